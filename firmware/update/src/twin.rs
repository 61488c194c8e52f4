//! A value in EEPROM that survives any power cut: two copies, of which the newest whole one counts.
//!
//! A copy is `sequence, length, bytes, CRC-32`, in words. Saving overwrites the older copy only, so until its last word
//! is written the newer one holds; a torn copy is seen by its CRC.

use protocol::frame::Crc32;

use crate::memory::{Eeprom, WriteFailed};

/// The place of a value: two copies of `copy_size` bytes each, from `offset` on.
pub struct Twin {
    /// First byte of the first copy, a multiple of 4.
    pub offset: u32,
    /// Bytes of one copy, a multiple of 4: 12 more than the longest value.
    pub copy_size: u32,
}

/// Sequence and length in front, CRC behind.
const OVERHEAD: u32 = 12;
struct Copy {
    sequence: u32,
    length: u32,
}

impl Twin {
    /// The most bytes a value may have.
    pub const fn capacity(&self) -> usize {
        (self.copy_size - OVERHEAD) as usize
    }

    /// The newest whole copy, or nothing when there never was one. `out` must take [`Twin::capacity`] bytes.
    pub fn load<'a>(&self, eeprom: &impl Eeprom, out: &'a mut [u8]) -> Option<&'a [u8]> {
        let (index, copy) = self.newest(eeprom)?;
        let out = out.get_mut(..copy.length as usize)?;
        let start = self.start(index) + 8;
        for (position, bytes) in out.chunks_mut(4).enumerate() {
            let word = eeprom.read_word(start + 4 * position as u32).to_le_bytes();
            bytes.copy_from_slice(&word[..bytes.len()]);
        }
        Some(out)
    }

    /// Makes `value` the one that counts; when power is cut meanwhile, the one before still does.
    ///
    /// Fails when it is longer than [`Twin::capacity`] or EEPROM does not take it; the one before then still counts.
    pub fn save(&self, eeprom: &mut impl Eeprom, value: &[u8]) -> Result<(), WriteFailed> {
        if value.len() > self.capacity() {
            return Err(WriteFailed);
        }
        let (index, sequence) = match self.newest(eeprom) {
            Some((index, copy)) => (1 - index, copy.sequence.wrapping_add(1)),
            None => (0, 1),
        };
        let mut crc = Crc32::default();
        let mut offset = self.start(index);
        let mut put = |word: u32, eeprom: &mut _| {
            crc.update(&word.to_le_bytes());
            write(eeprom, offset, word)?;
            offset += 4;
            Ok(())
        };
        put(sequence, eeprom)?;
        put(value.len() as u32, eeprom)?;
        for bytes in value.chunks(4) {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            put(u32::from_le_bytes(word), eeprom)?;
        }
        write(eeprom, offset, crc.finish())
    }

    fn start(&self, index: u32) -> u32 {
        self.offset + index * self.copy_size
    }

    fn newest(&self, eeprom: &impl Eeprom) -> Option<(u32, Copy)> {
        match (self.check(eeprom, 0), self.check(eeprom, 1)) {
            // Sequence numbers wrap; one copy is always exactly one step ahead.
            (Some(first), Some(second))
                if second.sequence.wrapping_sub(first.sequence) as i32 > 0 =>
            {
                Some((1, second))
            }
            (Some(first), _) => Some((0, first)),
            (None, Some(second)) => Some((1, second)),
            (None, None) => None,
        }
    }

    fn check(&self, eeprom: &impl Eeprom, index: u32) -> Option<Copy> {
        let start = self.start(index);
        let length = eeprom.read_word(start + 4);
        if length == 0 || length as usize > self.capacity() {
            return None;
        }
        let end = start + 8 + length.next_multiple_of(4);
        let mut crc = Crc32::default();
        for offset in (start..end).step_by(4) {
            crc.update(&eeprom.read_word(offset).to_le_bytes());
        }
        (eeprom.read_word(end) == crc.finish()).then(|| Copy {
            sequence: eeprom.read_word(start),
            length,
        })
    }
}

/// Writes a word that is not there yet, and looks whether it is there then.
fn write(eeprom: &mut impl Eeprom, offset: u32, word: u32) -> Result<(), WriteFailed> {
    if eeprom.read_word(offset) == word {
        return Ok(());
    }
    eeprom.write_word(offset, word)?;
    if eeprom.read_word(offset) == word {
        Ok(())
    } else {
        Err(WriteFailed)
    }
}
