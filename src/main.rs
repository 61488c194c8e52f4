//! The page: a logger in the browser. It only puts the page together; what it shows is in [`view`], what it knows of
//! the logger in [`logger`].
//!
//! What is only of use with a logger at hand is another program, the [`workbench`].

#![cfg_attr(target_arch = "wasm32", no_std, no_main)]

#[cfg(target_arch = "wasm32")]
extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(target_arch = "wasm32")]
mod helper;
#[cfg(target_arch = "wasm32")]
mod lease;
#[cfg(target_arch = "wasm32")]
mod link;
#[cfg(target_arch = "wasm32")]
mod logger;
#[cfg(target_arch = "wasm32")]
mod session;
#[cfg(target_arch = "wasm32")]
mod view;
#[cfg(target_arch = "wasm32")]
mod workbench;

#[cfg(target_arch = "wasm32")]
mod start {
    use ui::dom::{body, mount};
    use ui::task::spawn;
    use ui::text::load_language;
    use wasm_bindgen::prelude::*;
    use wasm_bindgen_futures::JsFuture;

    use crate::browser::find_ports;
    use crate::logger::Logger;
    use crate::view::shell::shell;

    /// Called when the page was loaded.
    #[wasm_bindgen(start)]
    fn start() {
        spawn(async {
            load_language().await;
            // Where that fails there is no way to a logger, and the page says so.
            let _ = JsFuture::from(find_ports()).await;
            let (logger, changed) = Logger::new();
            mount([(shell(logger), body())], changed);
        });
    }
}

/// `cargo run` where a browser is needed.
#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("The page runs in a browser: `cargo xtask serve` builds it and shows it.");
    std::process::exit(1);
}
