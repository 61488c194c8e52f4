//! The update engine: image store, boot record, install, trial, rollback.
//!
//! Its promise: whatever happens, at any moment, the logger afterwards runs the old firmware or the new one, whole, and
//! can be updated again. docs/update.md draws every step.
//!
//! It touches no register and knows no time: flash, EEPROM and NAND are the traits in [`memory`], so that the same
//! engine runs in the bootloader, in the application and in tests on a computer.

#![cfg_attr(not(test), no_std)]

/// The most bytes of one upload request that this device takes. A port without flow control has to be able to hold them
/// twice: there they are half as many.
pub const MAX_DATA: usize = if cfg!(feature = "usart") {
    512
} else {
    protocol::MAX_DATA
};
/// The longest packet that this device takes, in bytes.
pub const MAX_PACKET: usize = MAX_DATA + (protocol::MAX_PACKET - protocol::MAX_DATA);

pub mod boot;
pub mod boot_record;
pub mod direct;
pub mod engine;
pub mod image_check;
pub mod memory;
pub mod records;
pub mod server;
pub mod store;
pub mod twin;
