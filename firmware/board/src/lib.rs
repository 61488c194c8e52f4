//! The boards' hardware: the one crate that touches registers and knows the pin maps. What only one chip has lies in that
//! chip's folder; what is beside this file is the same on all.
//!
//! The only crate with `unsafe`, each with its reason. It knows nothing of images, settings or the protocol beyond the
//! traits of `update::memory` and the numbers that USB shows.

#![no_std]

mod arithmetic;
pub mod clock;
pub mod crash;
mod crc_unit;
mod division;
pub mod identity;
mod memory_functions;
pub mod port;
pub mod program;
pub mod reset;
pub mod start_count;
#[cfg(not(feature = "usart"))]
pub mod usb;
pub mod watchdog;

#[cfg(feature = "stm32f072")]
mod stm32f072;
#[cfg(feature = "stm32l052")]
mod stm32l052;

#[cfg(feature = "stm32f072")]
pub use stm32f072::*;
#[cfg(feature = "stm32l052")]
pub use stm32l052::*;

const _: () = assert!(memory_map::HEADER_SIZE == protocol::image::HEADER_SIZE as u32);
