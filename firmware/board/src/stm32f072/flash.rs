//! The flash controller: half-words, pages of 2 KB, erased to 0xFF.
//!
//! While it works, a fetch from flash stalls the core. A region is written only within its bounds: what is outside is
//! refused before a register is touched. The bootloader does not set its own write protection here: option bytes are
//! erased as a whole first, read protection among them, which is production's to do, with a probe.
//! Source: RM0091, section 3.2.

use core::ptr;

use stm32_metapac::FLASH;
use update::memory::{Flash, WriteFailed};

use crate::arithmetic::Thumb;
use crate::memory_functions::read_flash;
use crate::memory_map::{APPLICATION, APPLICATION_SIZE, BOOT_RECORD, BOOT_RECORD_SIZE};
use crate::watchdog;

/// Bytes of a page, which is erased at once, and of a half-word, which is programmed at once.
const PAGE: usize = 2048;
const HALF_WORD: usize = 2;

/// The application's slot.
pub type ApplicationFlash = Region<APPLICATION, APPLICATION_SIZE>;
/// The boot record's two pages.
pub type BootRecordFlash = Region<BOOT_RECORD, BOOT_RECORD_SIZE>;

/// A part of flash.
pub struct Region<const START: u32, const BYTES: u32>(());

impl<const START: u32, const BYTES: u32> Region<START, BYTES> {
    pub(crate) fn new() -> Self {
        Region(())
    }

    /// The address of `length` bytes at `offset`, aligned to `length`: a power of two.
    fn address(offset: u32, length: usize) -> Result<u32, WriteFailed> {
        let length = length as u32;
        let end = offset.checked_add(length).ok_or(WriteFailed)?;
        if end <= BYTES && offset & (length - 1) == 0 {
            Ok(START + offset)
        } else {
            Err(WriteFailed)
        }
    }
}

/// Flash that takes writes, until it is dropped.
struct Unlocked;

impl Unlocked {
    fn new() -> Unlocked {
        // Errors of before must not count for what comes.
        let stale = FLASH.sr().read();
        FLASH.sr().write_value(stale);
        if FLASH.cr().read().lock() {
            FLASH.keyr().write_value(0x4567_0123);
            FLASH.keyr().write_value(0xCDEF_89AB);
        }
        Unlocked
    }

    /// Waits for the end, and looks whether it went well.
    fn finish(self) -> Result<(), WriteFailed> {
        while FLASH.sr().read().bsy() {}
        watchdog::feed();
        let status = FLASH.sr().read();
        if status.pgerr() || status.wrprt() {
            Err(WriteFailed)
        } else {
            Ok(())
        }
    }
}

impl Drop for Unlocked {
    fn drop(&mut self) {
        FLASH.cr().write(|w| w.set_lock(true));
    }
}

impl<const START: u32, const BYTES: u32> Flash for Region<START, BYTES> {
    const SIZE: u32 = BYTES;
    type Page = [u8; PAGE];
    const UNIT: usize = HALF_WORD;
    const ERASED: u8 = 0xFF;
    type Arithmetic = Thumb;

    fn read(&self, offset: u32, out: &mut [u8]) {
        let end = offset as usize + out.len();
        assert!(end <= BYTES as usize);
        // SAFETY: within the region, as just checked.
        unsafe { read_flash(START + offset, out) };
    }

    fn erase_page(&mut self, offset: u32) -> Result<(), WriteFailed> {
        let address = Self::address(offset, PAGE)?;
        let unlocked = Unlocked::new();
        FLASH.cr().write(|w| w.set_per(true));
        FLASH.ar().write(|w| w.set_far(address));
        FLASH.cr().write(|w| {
            w.set_per(true);
            w.set_strt(true);
        });
        unlocked.finish()
    }

    fn program(&mut self, offset: u32, unit: &[u8]) -> Result<(), WriteFailed> {
        let address = Self::address(offset, HALF_WORD)?;
        let bytes = unit.try_into().map_err(|_| WriteFailed)?;
        let unlocked = Unlocked::new();
        FLASH.cr().write(|w| w.set_pg(true));
        // SAFETY: an aligned half-word of the region; no Rust object lies there in the program that writes it.
        unsafe { ptr::write_volatile(address as *mut u16, u16::from_le_bytes(bytes)) };
        unlocked.finish()
    }
}
