//! What a logger and a computer say to each other, and the format of a firmware image.
//!
//! Used by page and firmware alike, so `no_std` and without allocation. Nothing in here reads a clock, does I/O or
//! panics on what comes from outside: every byte that arrives may be wrong.
//!
//! A message travels as a [`frame`]: COBS, closed by a zero byte, with a CRC-32. Inside is a [`message::Packet`]: a
//! sequence number and a [`message::Request`] or [`message::Response`] in postcard. The enums are append-only; their
//! bytes are pinned in `tests/golden.rs`.

#![no_std]

mod byte_array;
pub mod device;
pub mod frame;
pub mod image;
pub mod message;
pub mod record;
pub mod settings;

/// The oldest protocol version this crate speaks.
pub const OLDEST_VERSION: u8 = 1;
/// The newest protocol version this crate speaks.
pub const NEWEST_VERSION: u8 = 1;
/// The most bytes of an image that one `UploadData` carries.
pub const MAX_DATA: usize = 1024;
/// Longest packet, postcard bytes without the CRC: an `UploadData` with its sequence number, tag, offset and length.
pub const MAX_PACKET: usize = MAX_DATA + 16;
/// Bits a second with which every conversation begins where a rate means something.
pub const BAUD_RATE: u32 = 115_200;
