//! The firmware's binaries on the emulated chip, dealt with as a computer deals with a logger. One program: so a long test
//! of one subject runs beside those of others.

mod arithmetic;
mod at_work;
mod battery;
mod command_line;
mod data;
mod direct;
mod division;
mod faults;
mod frames;
mod other_tools;
mod recording;
mod serial_board;
mod settings;
mod stack;
mod update;
mod update_mode;
mod usb_manners;
mod vendor_interface;
