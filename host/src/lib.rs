//! How a computer deals with a logger: read a firmware file, check it, update, configure, read out.
//!
//! It knows no browser, no serial port and no clock: all that is behind [`link::Link`]. It never tells the caller that
//! something succeeded which the logger itself did not report.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod battery;
#[cfg(feature = "json")]
pub mod catalogue;
pub mod check;
pub mod clock;
pub mod conversation;
pub mod csv;
pub mod data;
pub mod device;
pub mod firmware_file;
pub mod link;
pub mod log;
pub mod settings;
pub mod time;
pub mod update;

pub use protocol;
