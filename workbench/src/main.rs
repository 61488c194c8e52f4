//! The workbench: what one does with a logger besides updating it, and how an update works. The page loads it when the
//! first logger answers; it fills the tabs that the page gives it.
//!
//! It talks to the logger only over what the page lends it ([`link`]), each time for one short matter.

#![cfg_attr(target_arch = "wasm32", no_std, no_main)]

#[cfg(target_arch = "wasm32")]
extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod how;
#[cfg(target_arch = "wasm32")]
mod link;
#[cfg(target_arch = "wasm32")]
mod logger;
#[cfg(target_arch = "wasm32")]
mod records;
#[cfg(target_arch = "wasm32")]
mod report;
#[cfg(target_arch = "wasm32")]
mod settings;
#[cfg(target_arch = "wasm32")]
mod values;

/// `cargo run` where a browser is needed.
#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!("The workbench runs in the page: `cargo xtask serve`.");
}
