//! The flash and EEPROM controller.
//!
//! While it works, a fetch from flash stalls the core; USB hardware goes on answering NAK. Flash is written only within
//! the application's slot: what is outside is refused before a register is touched.
//! Source: RM0376, section 3.3; checked with ST's flash algorithms.

use core::ptr;

use stm32_metapac::FLASH;
use update::memory::{Eeprom, Flash, WriteFailed};

use crate::arithmetic::Thumb;
use crate::memory_functions::read_flash;
use crate::memory_map::{
    APPLICATION, APPLICATION_SIZE, BOOTLOADER_SIZE, EEPROM, EEPROM_SIZE, SECTOR_SIZE,
    WRITE_PROTECTION,
};
use crate::watchdog;

/// Bytes of a page, which is erased at once, and of a half-page, which is programmed at once (RM0376, 3.3.1).
const PAGE: usize = 128;
const HALF_PAGE: usize = PAGE / 2;

/// Opens PECR for the time of one operation.
struct Unlocked;

impl Unlocked {
    fn eeprom() -> Unlocked {
        // Errors of before must not count for what comes: an option byte that was refused leaves one, for instance.
        let stale = FLASH.sr().read();
        FLASH.sr().write_value(stale);
        if FLASH.pecr().read().pelock() {
            FLASH.pekeyr().write_value(0x89AB_CDEF);
            FLASH.pekeyr().write_value(0x0203_0405);
        }
        Unlocked
    }

    fn flash() -> Unlocked {
        let unlocked = Unlocked::eeprom();
        if FLASH.pecr().read().prglock() {
            FLASH.prgkeyr().write_value(0x8C9D_AEBF);
            FLASH.prgkeyr().write_value(0x1314_1516);
        }
        unlocked
    }

    /// Waits for the end, and looks whether it went well.
    fn finish(self) -> Result<(), WriteFailed> {
        while FLASH.sr().read().bsy() {}
        watchdog::feed();
        let status = FLASH.sr().read();
        let failed = status.wrperr()
            || status.pgaerr()
            || status.sizerr()
            || status.notzeroerr()
            || status.fwwerr();
        if failed { Err(WriteFailed) } else { Ok(()) }
    }
}

impl Drop for Unlocked {
    fn drop(&mut self) {
        FLASH.pecr().modify(|w| {
            w.set_erase(false);
            w.set_fprg(false);
            w.set_prog(false);
            w.set_prglock(true);
            w.set_optlock(true);
            w.set_pelock(true);
        });
    }
}

/// The bootloader's sectors, one bit each, and the complement that option bytes are checked by.
const PROTECTED: u32 = {
    let sectors = (1 << (BOOTLOADER_SIZE / SECTOR_SIZE)) - 1;
    sectors | !sectors << 16
};

/// Sees to it that the bootloader cannot be overwritten, not even by an application run wild: sets the write protection
/// of its sectors when it is not set. The chip then restarts, for option bytes are only loaded so.
///
/// Should they not take it, everything goes on without: a logger that works is worth more.
pub fn protect_bootloader() {
    // SAFETY: an aligned word of the option bytes, which can be read at any time.
    let protection = || unsafe { ptr::read_volatile(WRITE_PROTECTION as *const u32) };
    if protection() == PROTECTED {
        return;
    }
    let unlocked = Unlocked::eeprom();
    FLASH.optkeyr().write_value(0xFBEA_D9C8);
    FLASH.optkeyr().write_value(0x2425_2627);
    // SAFETY: an aligned word of the option bytes; no Rust object lies there.
    unsafe { ptr::write_volatile(WRITE_PROTECTION as *mut u32, PROTECTED) };
    while FLASH.sr().read().bsy() {}
    if protection() == PROTECTED {
        FLASH.pecr().modify(|w| w.set_obl_launch(true));
    }
    drop(unlocked);
}

/// The application's slot of flash.
pub struct ApplicationFlash(());

impl ApplicationFlash {
    pub(crate) fn new() -> Self {
        ApplicationFlash(())
    }
}

/// The address of `length` bytes at `offset` of the slot, aligned to `length`.
fn slot_address(offset: u32, length: usize) -> Result<u32, WriteFailed> {
    let length = length as u32;
    let fits = offset
        .checked_add(length)
        .is_some_and(|end| end <= APPLICATION_SIZE);
    // Both lengths are powers of two; a division takes 300 cycles.
    if fits && offset & (length - 1) == 0 {
        Ok(APPLICATION + offset)
    } else {
        Err(WriteFailed)
    }
}

impl Flash for ApplicationFlash {
    const SIZE: u32 = APPLICATION_SIZE;
    type Page = [u8; PAGE];
    const UNIT: usize = HALF_PAGE;
    const ERASED: u8 = 0x00;
    type Arithmetic = Thumb;

    fn read(&self, offset: u32, out: &mut [u8]) {
        let end = offset as usize + out.len();
        assert!(end <= APPLICATION_SIZE as usize);
        // SAFETY: within the slot, as just checked.
        unsafe { read_flash(APPLICATION + offset, out) };
    }

    fn erase_page(&mut self, offset: u32) -> Result<(), WriteFailed> {
        let address = slot_address(offset, PAGE)?;
        let unlocked = Unlocked::flash();
        FLASH.pecr().modify(|w| {
            w.set_erase(true);
            w.set_prog(true);
        });
        // SAFETY: the address is a page of the slot; no Rust object lies there in the program that erases it.
        unsafe { ptr::write_volatile(address as *mut u32, 0) };
        unlocked.finish()
    }

    fn program(&mut self, offset: u32, half_page: &[u8]) -> Result<(), WriteFailed> {
        let address = slot_address(offset, HALF_PAGE)?;
        let mut words = [0; HALF_PAGE / 4];
        let (bytes, _) = half_page.as_chunks::<4>();
        for (word, bytes) in words.iter_mut().zip(bytes) {
            *word = u32::from_le_bytes(*bytes);
        }
        let unlocked = Unlocked::flash();
        FLASH.pecr().modify(|w| {
            w.set_fprg(true);
            w.set_prog(true);
        });
        cortex_m::interrupt::free(|_| {
            // SAFETY: a half-page of the slot, as checked; interrupts are off, so nothing fetches from flash meanwhile.
            unsafe { write_half_page_from_ram(address as *mut u32, words.as_ptr()) };
        });
        unlocked.finish()
    }
}

/// Bit BSY of FLASH_SR.
const BUSY: u32 = 1;

/// Hands sixteen words to the controller and waits, without one fetch from flash in between: a half-page is only taken
/// in one go (RM0376, 3.3.4 "Program half-page").
///
/// # Safety
/// `half_page` is the address of an erased half-page that no Rust object lives in, `words` points to 16 words in RAM,
/// FPRG and PROG are set, and interrupts are off.
#[unsafe(link_section = ".data.write_half_page_from_ram")]
#[inline(never)]
unsafe fn write_half_page_from_ram(half_page: *mut u32, words: *const u32) {
    let status = FLASH.sr().as_ptr() as *const u32;
    let mut index = 0;
    while index < HALF_PAGE / 4 {
        // SAFETY: both are in bounds for 16 words, as the caller promises.
        unsafe { ptr::write_volatile(half_page.add(index), ptr::read_volatile(words.add(index))) };
        index += 1;
    }
    // SAFETY: the status register can be read at any time.
    while unsafe { ptr::read_volatile(status) } & BUSY != 0 {}
}

/// The data EEPROM.
pub struct DataEeprom(());

impl DataEeprom {
    pub(crate) fn new() -> Self {
        DataEeprom(())
    }

    fn address(offset: u32) -> Option<u32> {
        (offset.is_multiple_of(4) && offset < EEPROM_SIZE).then_some(EEPROM + offset)
    }
}

impl Eeprom for DataEeprom {
    fn read_word(&self, offset: u32) -> u32 {
        let address = Self::address(offset).expect("a word of the EEPROM");
        // SAFETY: an aligned word of the EEPROM, which can be read at any time.
        unsafe { ptr::read_volatile(address as *const u32) }
    }

    fn write_word(&mut self, offset: u32, word: u32) -> Result<(), WriteFailed> {
        let address = Self::address(offset).ok_or(WriteFailed)?;
        let unlocked = Unlocked::eeprom();
        // SAFETY: an aligned word of the EEPROM; no Rust object lies there.
        unsafe { ptr::write_volatile(address as *mut u32, word) };
        unlocked.finish()
    }
}
