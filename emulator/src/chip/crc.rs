//! CRC calculation unit at 0x4002_3000 (RM0376).

use crate::chip::Reg;
use crate::cpu::bus::{BusFault, Width};

/// The registers.
#[derive(Clone)]
pub struct Crc {
    value: u32,
    idr: u32,
    cr: u32,
    init: u32,
    pol: u32,
}

impl Crc {
    pub(crate) fn new() -> Crc {
        Crc {
            value: 0xFFFF_FFFF,
            idr: 0,
            cr: 0,
            init: 0xFFFF_FFFF,
            pol: 0x04C1_1DB7,
        }
    }

    /// Bits of the polynomial.
    fn size(&self) -> u32 {
        [32, 16, 8, 7][(self.cr >> 3 & 3) as usize]
    }

    fn mask(&self) -> u32 {
        u32::MAX >> (32 - self.size())
    }

    fn feed(&mut self, data: u32, width: Width) {
        let bits = 8 * width as u32;
        // REV_IN: bits are reversed within a byte, a half word or a word, but never across the data written.
        let data = match (self.cr >> 5 & 3, width) {
            (0, _) => data,
            (1, _) | (_, Width::Byte) => data.swap_bytes().reverse_bits(),
            (2, Width::Word) => data.reverse_bits().rotate_left(16),
            (2, Width::Half) | (_, Width::Half) => (data << 16).reverse_bits(),
            _ => data.reverse_bits(),
        };
        let size = self.size();
        for bit in (0..bits).rev() {
            let feedback = (data >> bit ^ self.value >> (size - 1)) & 1 != 0;
            self.value = self.value << 1 & self.mask();
            if feedback {
                self.value ^= self.pol & self.mask();
            }
        }
    }

    pub(crate) fn read(&self, offset: u32) -> Reg {
        Ok(match offset {
            0x00 if self.cr & 1 << 7 != 0 => self.value.reverse_bits() >> (32 - self.size()),
            0x00 => self.value,
            0x04 => self.idr,
            0x08 => self.cr,
            0x10 => self.init,
            0x14 => self.pol,
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32, width: Width) -> Result<(), BusFault> {
        match offset {
            0x00 => self.feed(value, width),
            _ if width != Width::Word => return Err(BusFault::Width),
            0x04 => self.idr = value & 0xFF,
            0x08 => {
                self.cr = value & 0xF8;
                if value & 1 != 0 {
                    self.value = self.init & self.mask();
                }
            }
            0x10 => {
                // The data register takes the new start value at once.
                self.init = value;
                self.value = value & self.mask();
            }
            0x14 => self.pol = value,
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(crc: &mut Crc, data: &[u8]) {
        for &byte in data {
            crc.write(0, byte.into(), Width::Byte).unwrap();
        }
    }

    #[test]
    fn the_ethernet_crc_of_123456789_is_cbf43926() {
        let mut crc = Crc::new();
        crc.write(8, 0xA1, Width::Word).unwrap();
        bytes(&mut crc, b"123456789");
        assert_eq!(crc.read(0).map(|value| !value), Ok(0xCBF4_3926));
    }

    #[test]
    fn words_and_bytes_give_the_same_value() {
        let (mut by_bytes, mut by_words) = (Crc::new(), Crc::new());
        bytes(&mut by_bytes, b"abcdefgh");
        for word in [u32::from_be_bytes(*b"abcd"), u32::from_be_bytes(*b"efgh")] {
            by_words.write(0, word, Width::Word).unwrap();
        }
        assert_eq!(by_bytes.read(0), by_words.read(0));
        let (mut by_bytes, mut by_words) = (Crc::new(), Crc::new());
        by_bytes.write(8, 0xA1, Width::Word).unwrap();
        by_words.write(8, 0xE1, Width::Word).unwrap();
        bytes(&mut by_bytes, b"abcdefgh");
        for word in [u32::from_le_bytes(*b"abcd"), u32::from_le_bytes(*b"efgh")] {
            by_words.write(0, word, Width::Word).unwrap();
        }
        assert_eq!(
            by_bytes.read(0),
            by_words.read(0),
            "little-endian words with REV_IN by word"
        );
    }

    #[test]
    fn a_16_bit_polynomial_gives_ccitt() {
        let mut crc = Crc::new();
        crc.write(0x14, 0x1021, Width::Word).unwrap();
        crc.write(8, 0x08 | 1, Width::Word).unwrap();
        bytes(&mut crc, b"123456789");
        assert_eq!(crc.read(0), Ok(0x29B1));
    }
}
