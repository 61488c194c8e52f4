//! Plugs an emulated logger into this Linux computer as a serial port.
//!
//! A browser or any other program opens the port as it would open the real logger's: a pulled plug, a reboot and a
//! power cut take it away and bring it back as they would on hardware. Nothing here knows what is said over the port,
//! and nothing here changes what the machine does: it only feeds it time and bytes.
//!
//! - [`run`] is the whole of it: a machine, commands in, answers and news out; [`run_on_terminal`] for a person.
//! - [`VirtualDevice`] keeps a machine at the computer's pace and its serial port in step with what the emulated USB
//!   host sees.
//! - [`SerialPort`] is one plugged port: a pseudo-terminal, and the udev event that makes a browser list it.
//! - [`Firmware`] reads what a person may want to run: .hex, .bin and .elf.
//! - [`parse_cut`] reads where the power is to go away.
//! - [`load_nand`] and [`save_nand`] keep the NAND between runs.

mod command;
mod cut;
mod device;
mod firmware;
mod nand_file;
mod pace;
mod run;
mod serial_port;
mod trace;
mod udev;

pub use cut::parse_cut;
pub use device::{Moved, News, VirtualDevice};
pub use firmware::{Firmware, FirmwareError};
pub use nand_file::{load as load_nand, save as save_nand};
pub use pace::{Pace, parse_speed};
pub use run::{run, run_on_terminal};
pub use serial_port::{Announcement, PortIdentity, SerialPort};
