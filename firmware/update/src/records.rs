//! Values on a chip without EEPROM: flash in its place, a page for each copy of a value that is kept twice.
//!
//! It must never touch the page of the copy that counts, and does not: `twin::Twin` writes to the other one alone, so it
//! may lose power at any moment, as an EEPROM may.

use crate::boot_record;
use crate::memory::{Eeprom, Flash, Page, WriteFailed, program_all};

/// Bytes of a copy: the boot record's.
const COPY: usize = boot_record::COPY_SIZE as usize;

/// The boot record's EEPROM: two pages of flash, which `F` is the whole of.
pub struct Records<F>(pub F);

impl<F: Flash> Records<F> {
    /// The page that a word of EEPROM lies in, and the word's place there.
    fn place(offset: u32) -> (u32, usize) {
        const {
            assert!(F::SIZE as usize == 2 * F::Page::BYTES);
            assert!(4_usize.is_multiple_of(F::UNIT) && COPY <= F::Page::BYTES);
        }
        let second = offset as usize >= COPY;
        let page = if second { F::Page::BYTES as u32 } else { 0 };
        (page, offset as usize - if second { COPY } else { 0 })
    }
}

impl<F: Flash> Eeprom for Records<F> {
    fn read_word(&self, offset: u32) -> u32 {
        let (page, at) = Self::place(offset);
        let mut word = [0; 4];
        self.0.read(page + at as u32, &mut word);
        u32::from_le_bytes(word)
    }

    fn write_word(&mut self, offset: u32, word: u32) -> Result<(), WriteFailed> {
        let (page, at) = Self::place(offset);
        let mut copy = [0; COPY];
        self.0.read(page, &mut copy);
        let target = copy.get_mut(at..at + 4).ok_or(WriteFailed)?;
        let erased = target.iter().all(|&byte| byte == F::ERASED);
        target.copy_from_slice(&word.to_le_bytes());
        if erased {
            return program_all(&mut self.0, page + at as u32, target);
        }
        self.0.erase_page(page)?;
        program_all(&mut self.0, page, &copy)
    }
}
