//! How often the application was started and did not stay healthy: what the bootloader sees a crash loop by.
//!
//! It lies in the last word of RAM, which neither program uses for anything else: a reset keeps it, loss of power does
//! not, and counting costs no write of EEPROM.

use core::ptr;

use stm32_metapac::RCC;

use crate::memory_map::START_COUNT;

/// Begins the word, so that RAM after power-on is no count.
const MAGIC: u32 = u32::from_le_bytes(*b"\0LDs");
const COUNT: u32 = 0xFF;

/// Starts since the application was last healthy; 0 after power-on.
///
/// The flags of past resets are left for `reset::take`. Should the application not live long enough to clear them, its
/// resets join the one by power-on, and are counted.
pub fn read() -> u8 {
    let resets = RCC.csr().read();
    // SAFETY: an aligned word of RAM, outside of what the linker gives to either program.
    let word = unsafe { ptr::read_volatile(START_COUNT as *const u32) };
    let begins = word & !COUNT == MAGIC;
    if begins && (!resets.porrstf() || resets.sftrstf() || resets.iwdgrstf()) {
        word as u8
    } else {
        0
    }
}

/// Keeps a count over the next reset.
pub fn write(count: u8) {
    // SAFETY: the same.
    unsafe { ptr::write_volatile(START_COUNT as *mut u32, MAGIC | u32::from(count)) };
}

/// Nothing to complain of: the application is healthy, or its restart was wanted.
pub fn clear() {
    write(0);
}
