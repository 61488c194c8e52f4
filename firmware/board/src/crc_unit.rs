//! The chip's CRC unit: CRC-32 (ISO-HDLC) at two cycles a byte. For what goes over the line; what is short is computed.
//!
//! Source: RM0376, section 18, and RM0091, section 12, which are alike.

use stm32_metapac::crc::vals::{RevIn, RevOut};
use stm32_metapac::{CRC, RCC};

/// The same as [`protocol::frame::crc32`].
#[inline(never)]
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    // SAFETY: any four bytes are a word.
    let (head, words, tail) = unsafe { bytes.align_to::<u32>() };
    RCC.ahbenr().modify(|w| w.set_crcen(true));
    // Polynomial and start value are those of this CRC after each reset. The lowest bit of each byte comes first.
    CRC.cr().write(|w| {
        w.set_reset(true);
        w.set_rev_in(RevIn::BYTE);
        w.set_rev_out(RevOut::REVERSED);
    });
    for &byte in head {
        CRC.dr8().write_value(byte);
    }
    // The highest byte comes first. A word takes the unit four cycles, fewer than the loop: it never waits.
    for &word in words {
        CRC.dr32().write_value(word.swap_bytes());
    }
    for &byte in tail {
        CRC.dr8().write_value(byte);
    }
    !CRC.dr32().read()
}
