//! An STM32L052 with its SPI NAND and a USB host around it, which runs the firmware's real binaries.
//!
//! Virtual time, deterministic: the same inputs give the same run, to the cycle. It knows nothing of Logdock's
//! protocol, updates or logs: what it is judged by is the chip's documentation and firmware that is not ours.

pub mod board;
pub mod chip;
pub mod cpu;
pub mod current;
pub mod fault;
pub mod machine;
pub mod memory;
pub mod nand;
pub mod time;
pub mod usb_host;
