//! The page's helper: what a visit needs late or never, and would be heavy in every first load. It runs in a Worker, so
//! that long work never holds up the page. It must never talk to a logger, nor decide what is done with an answer.
//!
//! `assets/helper-worker.js` starts it and passes the page's questions on.

#[cfg(target_arch = "wasm32")]
mod catalogue;
#[cfg(target_arch = "wasm32")]
mod firmware;
#[cfg(any(target_arch = "wasm32", test))]
mod log;

fn main() {
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("The helper runs in the page: `cargo xtask serve`.");
}
