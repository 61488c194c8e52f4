//! The update engine: image store, boot record, install, trial, rollback.
//!
//! Its promise: whatever happens, at any moment, the logger afterwards runs the old firmware or the new one, whole, and
//! can be updated again. docs/update.md draws every step.
//!
//! It touches no register and knows no time: flash, EEPROM and NAND are the traits in [`memory`], so that the same
//! engine runs in the bootloader, in the application and in tests on a computer.

#![cfg_attr(not(test), no_std)]

pub mod boot;
pub mod boot_record;
pub mod direct;
pub mod engine;
pub mod image_check;
pub mod memory;
pub mod server;
pub mod store;
pub mod twin;
