//! The memories the core reads at full speed: flash and RAM, and the decoded form of what is in flash.
//!
//! Only the flash controller (`chip::flash`) and the loader change flash, through the functions here, so that the
//! decoded form never goes stale.

use std::sync::Arc;

use crate::cpu::decode::{Op, decode};

/// First address of flash. It also answers at 0 (the boot alias).
pub const FLASH_BASE: u32 = 0x0800_0000;
/// Bytes of flash (STM32L052x8).
pub const FLASH_SIZE: usize = 64 * 1024;
/// First address of RAM.
pub const RAM_BASE: u32 = 0x2000_0000;
/// Bytes of RAM.
pub const RAM_SIZE: usize = 8 * 1024;

/// Flash and RAM. A clone copies RAM and shares flash until one of the two is programmed.
#[derive(Clone)]
pub struct Memory {
    flash: Arc<Flash>,
    ram: Box<[u8; RAM_SIZE]>,
}

#[derive(Clone)]
struct Flash {
    bytes: Box<[u8; FLASH_SIZE]>,
    /// One for each half-word, as if an instruction began there.
    code: Box<[Op; FLASH_SIZE / 2]>,
}

/// What the fast loop works on, borrowed apart.
pub(crate) struct Banks<'a> {
    /// Flash decoded, an entry for each half-word; empty while flash is busy.
    pub code: &'a [Op],
    /// Flash as data; empty while flash is busy.
    pub flash: &'a [u8],
    pub ram: &'a mut [u8; RAM_SIZE],
}

impl Memory {
    /// Erased flash (0x00 on this chip) and RAM of zeros.
    pub fn new() -> Memory {
        Memory {
            flash: Arc::new(Flash {
                bytes: boxed(0),
                code: boxed(decode(0, 0, FLASH_BASE)),
            }),
            ram: boxed(0),
        }
    }

    /// The flash of `other` and RAM of zeros.
    pub(crate) fn with_flash(other: &Memory) -> Memory {
        Memory {
            flash: other.flash.clone(),
            ram: boxed(0),
        }
    }

    /// Flash, from [`FLASH_BASE`] on.
    pub fn flash(&self) -> &[u8; FLASH_SIZE] {
        &self.flash.bytes
    }

    /// RAM, from [`RAM_BASE`] on.
    pub fn ram(&self) -> &[u8; RAM_SIZE] {
        &self.ram
    }

    /// RAM, to be changed from outside the core: by DMA, a loader, a power cut.
    pub fn ram_mut(&mut self) -> &mut [u8; RAM_SIZE] {
        &mut self.ram
    }

    /// Stores `bytes` in flash at `offset` from its beginning, whatever was there. The rules of programming are the
    /// flash controller's business.
    ///
    /// # Panics
    /// When the bytes do not all lie in flash.
    pub fn program(&mut self, offset: usize, bytes: &[u8]) {
        if bytes.is_empty() || self.flash.bytes[offset..offset + bytes.len()] == *bytes {
            return;
        }
        let flash = Arc::make_mut(&mut self.flash);
        flash.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
        // The half-word before may be the first half of an instruction whose second half has just changed.
        let first = (offset / 2).saturating_sub(1);
        let last = (offset + bytes.len() - 1) / 2;
        for index in first..=last {
            let half = |index: usize| match flash.bytes.get(2 * index..2 * index + 2) {
                Some(pair) => u16::from_le_bytes([pair[0], pair[1]]),
                None => 0,
            };
            let address = FLASH_BASE + 2 * index as u32;
            flash.code[index] = decode(half(index), half(index + 1), address);
        }
    }

    /// Everything borrowed apart for the fast loop. While flash is busy its two views are empty, so that every fetch
    /// and read from it leaves the loop.
    pub(crate) fn banks(&mut self, flash_busy: bool) -> Banks<'_> {
        let (code, flash): (&[Op], &[u8]) = match flash_busy {
            false => (&*self.flash.code, &*self.flash.bytes),
            true => (&[], &[]),
        };
        Banks {
            code,
            flash,
            ram: &mut self.ram,
        }
    }
}

impl Default for Memory {
    fn default() -> Memory {
        Memory::new()
    }
}

/// Where `address` lies in flash, directly or through the boot alias at 0.
pub(crate) fn flash_offset(address: u32) -> Option<usize> {
    let offset = (address & !FLASH_BASE) as usize;
    (offset < FLASH_SIZE).then_some(offset)
}

/// An array made on the heap, never on the stack.
fn boxed<T: Clone, const N: usize>(value: T) -> Box<[T; N]> {
    match vec![value; N].into_boxed_slice().try_into() {
        Ok(array) => array,
        Err(_) => unreachable!("the vector was made with N elements"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::decode::Kind;

    #[test]
    fn new_flash_is_erased_to_zero() {
        let memory = Memory::new();
        assert!(memory.flash().iter().all(|byte| *byte == 0));
        assert!(memory.ram().iter().all(|byte| *byte == 0));
    }

    #[test]
    fn programming_decodes_the_instruction_whose_second_half_it_changes() {
        let mut memory = Memory::new();
        memory.program(0x100, &[0x00, 0xF0]);
        assert_eq!(memory.flash.code[0x80].kind, Kind::Undefined);
        memory.program(0x102, &[0x00, 0xF8]);
        assert_eq!(memory.flash.code[0x80].kind, Kind::Bl);
    }

    #[test]
    fn programming_reaches_the_last_byte_of_flash() {
        let mut memory = Memory::new();
        memory.program(FLASH_SIZE - 2, &[0x00, 0xBF]);
        assert_eq!(memory.flash.code[FLASH_SIZE / 2 - 1].kind, Kind::Nop);
    }

    #[test]
    fn a_clone_keeps_its_own_flash_and_ram() {
        let mut memory = Memory::new();
        let snapshot = memory.clone();
        memory.program(0, &[1, 2, 3, 4]);
        memory.ram_mut()[0] = 5;
        assert_eq!(snapshot.flash()[..4], [0; 4]);
        assert_eq!(snapshot.ram()[0], 0);
        assert_eq!(memory.flash()[..4], [1, 2, 3, 4]);
    }

    #[test]
    fn flash_answers_at_its_address_and_at_zero() {
        assert_eq!(flash_offset(0x0800_0010), Some(0x10));
        assert_eq!(flash_offset(0x0000_0010), Some(0x10));
        assert_eq!(flash_offset(0x0801_0000), None);
        assert_eq!(flash_offset(0x2000_0000), None);
    }
}
