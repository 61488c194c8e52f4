//! The page: a logger in the browser. It only puts the page together; what it shows is in [`view`], what it knows of
//! the logger in [`logger`].
//!
//! It does without Rust's standard library, which brings words for every panic, and an eighth of the page with them.

#![cfg_attr(target_arch = "wasm32", no_std, no_main)]

#[cfg(target_arch = "wasm32")]
extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(target_arch = "wasm32")]
mod dom;
#[cfg(target_arch = "wasm32")]
mod draft;
#[cfg(target_arch = "wasm32")]
mod fetch;
#[cfg(target_arch = "wasm32")]
mod helper;
#[cfg(target_arch = "wasm32")]
mod link;
#[cfg(target_arch = "wasm32")]
mod logger;
#[cfg(target_arch = "wasm32")]
mod queue;
#[cfg(target_arch = "wasm32")]
mod session;
#[cfg(target_arch = "wasm32")]
mod signal;
#[cfg(target_arch = "wasm32")]
mod task;
#[cfg(target_arch = "wasm32")]
mod text;
#[cfg(target_arch = "wasm32")]
mod time;
#[cfg(target_arch = "wasm32")]
mod view;

#[cfg(target_arch = "wasm32")]
mod start {
    use core::panic::PanicInfo;

    use lol_alloc::{FreeListAllocator, LockedAllocator};
    use wasm_bindgen::prelude::*;

    use crate::dom::mount;
    use crate::logger::Logger;
    use crate::task::spawn;
    use crate::text::load_language;
    use crate::view::shell::shell;

    #[global_allocator]
    static MEMORY: LockedAllocator<FreeListAllocator> =
        LockedAllocator::new(FreeListAllocator::new());

    /// Called when the page was loaded.
    #[wasm_bindgen(start)]
    fn start() {
        spawn(async {
            load_language().await;
            let (logger, changed) = Logger::new();
            mount(shell(logger), changed);
        });
    }

    /// A mistake in the page: it stops there, and the browser's console says in which function.
    #[panic_handler]
    fn stop(_: &PanicInfo) -> ! {
        core::arch::wasm32::unreachable()
    }
}

/// `cargo run` where a browser is needed.
#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("The page runs in a browser: `cargo xtask serve` builds it and shows it.");
    std::process::exit(1);
}
