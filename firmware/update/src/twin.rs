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

    /// Where the newest whole copy lies; nothing when there never was one.
    pub fn find(&self, eeprom: &impl Eeprom) -> Option<Kept> {
        let (index, copy) = self.newest(eeprom)?;
        Some(Kept {
            start: self.start(index) + 8,
            length: copy.length,
        })
    }

    /// Reads a value that always fills `out`; whether there was one.
    pub fn load(&self, eeprom: &impl Eeprom, out: &mut [[u8; 4]]) -> bool {
        let Some(kept) = self.find(eeprom) else {
            return false;
        };
        if kept.length as usize != out.as_flattened().len() {
            return false;
        }
        let mut place = kept.start;
        for word in out {
            *word = eeprom.read_word(place).to_le_bytes();
            place += 4;
        }
        true
    }

    /// Makes `value` the one that counts; when power is cut meanwhile, the one before still does.
    ///
    /// Fails when it is longer than [`Twin::capacity`] or EEPROM does not take it; the one before then still counts.
    pub fn save(&self, eeprom: &mut impl Eeprom, value: &[[u8; 4]]) -> Result<(), WriteFailed> {
        let mut index = 0;
        self.save_words(eeprom, value.as_flattened().len(), |_| {
            let word = value[index];
            index += 1;
            u32::from_le_bytes(word)
        })
    }

    /// The same for a value of `length` bytes that is nowhere as a whole: `next` gives one word of it after the other, and
    /// may read the value before, which is never the copy that is being overwritten.
    pub fn save_words<E: Eeprom>(
        &self,
        eeprom: &mut E,
        length: usize,
        mut next: impl FnMut(&E) -> u32,
    ) -> Result<(), WriteFailed> {
        if length > self.capacity() {
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
        put(length as u32, eeprom)?;
        for _ in (0..length).step_by(4) {
            put(next(eeprom), eeprom)?;
        }
        write(eeprom, offset, crc.finish())
    }

    fn start(&self, index: u32) -> u32 {
        self.offset + index * self.copy_size
    }

    fn newest(&self, eeprom: &impl Eeprom) -> Option<(u32, Copy)> {
        let (first, second) = (self.check(eeprom, 0), self.check(eeprom, 1));
        // Sequence numbers wrap; one copy is always exactly one step ahead.
        match (&first, &second) {
            (Some(one), Some(other)) if other.sequence.wrapping_sub(one.sequence) as i32 <= 0 => {
                first.map(|copy| (0, copy))
            }
            (_, Some(_)) => second.map(|copy| (1, copy)),
            _ => first.map(|copy| (0, copy)),
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

/// Where a value lies that is kept whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    start: u32,
    /// Bytes of the value.
    pub length: u32,
}

impl Kept {
    /// Reads from byte `offset` of the value on; the caller stays within it.
    pub fn read(&self, eeprom: &impl Eeprom, offset: u32, out: &mut [u8]) {
        for (place, byte) in (self.start + offset..).zip(out) {
            *byte = (eeprom.read_word(place & !3) >> (8 * (place & 3))) as u8;
        }
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
