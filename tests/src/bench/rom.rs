//! What the bootloader in ST's ROM would need for the same image at 115,200 baud: AN3155's protocol, byte for byte.
//!
//! This logger cannot be reached that way (no pin for BOOT0); it is what other loggers of its kind are updated by.

use emulator::time::Time;

/// A start bit, eight bits, even parity, a stop bit (AN3155, section 1).
const BITS: u64 = 11;
const BAUD: u64 = 115_200;
/// The most bytes of one "Write Memory" (AN3155, section 3.6).
const MOST: usize = 256;
const PAGE: usize = 128;
const HALF_PAGE: usize = 64;
/// Time of one erase or half-page: DS10182. Should the ROM write word by word, it takes 16 times as long.
const FLASH_OPERATION: Time = Time::from_micros(3_200);

/// The exchange, as bytes on the line and operations on flash.
pub struct Update {
    bytes: usize,
    operations: usize,
}

impl Update {
    /// Connects, erases the pages, writes and starts, and trusts that all went well: nothing is read back.
    pub fn of(image: &[u8]) -> Self {
        const ACK: usize = 1;
        const COMMAND: usize = 2 + ACK;
        const ADDRESS: usize = 4 + 1 + ACK;
        let pages = image.len().div_ceil(PAGE);
        // 0x7F, answered.
        let connect = 1 + ACK;
        // "Extended Erase" with a list of pages: their number, two bytes each, a check sum.
        let erase = COMMAND + 2 + 2 * pages + 1 + ACK;
        // "Write Memory": address, length less one, bytes, a check sum.
        let write: usize = image
            .chunks(MOST)
            .map(|piece| COMMAND + ADDRESS + 1 + piece.len() + 1 + ACK)
            .sum();
        // "Go".
        let start = COMMAND + ADDRESS;
        Update {
            bytes: connect + erase + write + start,
            operations: pages + image.len().div_ceil(HALF_PAGE),
        }
    }

    /// In both directions.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Line and flash take turns: each answer comes when what it answers is done.
    pub fn time(&self) -> Time {
        let line = Time::from_micros(self.bytes as u64 * BITS * 1_000_000 / BAUD);
        line + FLASH_OPERATION * self.operations as u64
    }
}
