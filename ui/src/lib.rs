//! What the programs of the page share: elements, values that change, words in several languages, times. It knows what a
//! logger is called and how its failures read, but holds nothing of any logger, and talks to none.
//!
//! The programs do without Rust's standard library, which brings words for every panic, and an eighth of the page with
//! them: their memory and the end of a panic are here too.

#![cfg(target_arch = "wasm32")]
#![no_std]

extern crate alloc;

pub mod dom;
mod fetch;
pub mod files;
pub mod queue;
pub mod signal;
pub mod step;
pub mod task;
pub mod text;
pub mod time;
pub mod words;

pub use fetch::fetch;

use core::panic::PanicInfo;

use lol_alloc::{FreeListAllocator, LockedAllocator};

#[global_allocator]
static MEMORY: LockedAllocator<FreeListAllocator> = LockedAllocator::new(FreeListAllocator::new());

/// A mistake in a program: it stops there, and the browser's console says in which function.
#[panic_handler]
fn stop(_: &PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}
