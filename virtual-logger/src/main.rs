//! The virtual logger: the emulated chip in a Worker of the page, at the computer's pace, its memories kept between
//! visits. It must never know what is said over its port, nor let virtual time run ahead of the clock.
//!
//! [`device`] is the logger with its port, [`pace`] its clock, [`memories`] what outlives a visit; `worker` and `storage`
//! tie them to the browser.

#![cfg_attr(
    not(any(target_arch = "wasm32", test)),
    expect(dead_code, reason = "only the tests use it there")
)]

mod device;
mod memories;
mod pace;
#[cfg(target_arch = "wasm32")]
mod storage;
#[cfg(target_arch = "wasm32")]
mod worker;

#[cfg(target_arch = "wasm32")]
fn main() {
    console_error_panic_hook::set_once();
    worker::start();
}

/// `cargo run` where a browser is needed.
#[cfg(not(target_arch = "wasm32"))]
fn main() {
    eprintln!(
        "The virtual logger runs in the page. `cargo xtask virtual` plugs one into this computer."
    );
    std::process::exit(1);
}
