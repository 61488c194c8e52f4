//! The three memories an update deals with, as small as they can be.

use signature::Arithmetic;

use crate::direct::Upload;

/// A cell, page or block did not take what was written, or erasing it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteFailed;

/// What was stored cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// A page of flash in RAM: as many bytes as are erased at once.
pub trait Page: AsRef<[u8]> + AsMut<[u8]> + PartialEq {
    /// How many.
    const BYTES: usize;

    /// One that holds this byte alone.
    fn filled(byte: u8) -> Self;
}

impl<const N: usize> Page for [u8; N] {
    const BYTES: usize = N;

    fn filled(byte: u8) -> Self {
        [byte; N]
    }
}

/// The application slot in flash, with the chip's geometry. Offsets are in bytes from its beginning.
pub trait Flash {
    /// Bytes of the slot.
    const SIZE: u32;
    /// What is erased at once: 128 bytes on the STM32L0, 2 KB on the STM32F072.
    type Page: Page;
    /// Bytes that are programmed at once: a half-page of 64 on the STM32L0, 2 on the STM32F072.
    const UNIT: usize;
    /// What an erased byte reads as: 0x00 on the STM32L0, 0xFF on most others.
    const ERASED: u8;
    /// How the core that runs from this flash computes digests and signatures.
    type Arithmetic: Arithmetic;

    /// Reads; the caller stays within the slot.
    fn read(&self, offset: u32, out: &mut [u8]);

    /// Erases the page at `offset`, a multiple of its size.
    fn erase_page(&mut self, offset: u32) -> Result<(), WriteFailed>;

    /// Programs [`Flash::UNIT`] erased bytes at `offset`, a multiple of that.
    fn program(&mut self, offset: u32, unit: &[u8]) -> Result<(), WriteFailed>;
}

/// Whether a page of flash holds these bytes.
pub fn holds<F: Flash>(flash: &F, offset: u32, page: &F::Page) -> bool {
    let mut present = F::Page::filled(F::ERASED);
    flash.read(offset, present.as_mut());
    present == *page
}

/// Makes a page of flash hold these bytes; one that does already is left alone.
pub fn put_page<F: Flash>(flash: &mut F, offset: u32, page: &F::Page) -> Result<(), WriteFailed> {
    if holds(flash, offset, page) {
        return Ok(());
    }
    flash.erase_page(offset)?;
    program_all(flash, offset, page.as_ref())
}

/// Makes a part of a page hold these bytes, behind what was put into it before; what lies behind them may be lost.
pub fn put_part<F: Flash>(flash: &mut F, offset: u32, bytes: &[u8]) -> Result<(), WriteFailed> {
    let within = offset as usize % F::Page::BYTES;
    let start = offset - within as u32;
    let end = within + bytes.len();
    let units = end.next_multiple_of(F::UNIT);
    let mut page = F::Page::filled(F::ERASED);
    flash.read(start, page.as_mut());
    let content = page.as_mut();
    if content[within..end] == *bytes {
        return Ok(());
    }
    // The page was erased when its beginning was written.
    let erased = within > 0 && content[within..units].iter().all(|&byte| byte == F::ERASED);
    content[within..end].copy_from_slice(bytes);
    content[end..].fill(F::ERASED);
    if erased {
        return program_all(flash, offset, &content[within..units]);
    }
    flash.erase_page(start)?;
    program_all(flash, start, content)
}

/// Programs erased flash, but for what stays erased.
pub fn program_all<F: Flash>(
    flash: &mut F,
    mut offset: u32,
    bytes: &[u8],
) -> Result<(), WriteFailed> {
    for unit in bytes.chunks(F::UNIT) {
        if unit.iter().any(|&byte| byte != F::ERASED) {
            flash.program(offset, unit)?;
        }
        offset += F::UNIT as u32;
    }
    Ok(())
}

/// The data EEPROM. Offsets are in bytes from its beginning, multiples of 4.
pub trait Eeprom {
    /// One word.
    fn read_word(&self, offset: u32) -> u32;

    /// Writes one word. A power cut in the middle may leave any value.
    fn write_word(&mut self, offset: u32, word: u32) -> Result<(), WriteFailed>;
}

/// Bytes of one NAND page, without its spare bytes.
pub const NAND_PAGE: usize = 2048;
/// Pages of one NAND block.
pub const NAND_BLOCK_PAGES: u32 = 64;

/// The SPI NAND. Pages are counted from 0 over the whole chip; a block is [`NAND_BLOCK_PAGES`] of them.
pub trait Nand {
    /// Whether the board has one. Without, there is no image store, and an update goes straight to flash.
    const FITTED: bool = true;

    /// The upload that goes straight to flash, in a program that takes one.
    fn direct(&mut self) -> Option<&mut Upload> {
        None
    }

    /// Whether it answers with the identity that the board expects.
    fn is_there(&mut self) -> bool;

    /// Fetches a page into the chip's own buffer, mended by its ECC.
    fn open(&mut self, page: u32) -> Result<(), Unreadable>;

    /// Reads from the page that was opened last.
    fn read(&mut self, column: u16, out: &mut [u8]);

    /// Programs bytes of an erased part of a page; the rest stays as it is. At most 4 times a page.
    fn program(&mut self, page: u32, column: u16, data: &[u8]) -> Result<(), WriteFailed>;

    /// Erases a block to 0xFF.
    fn erase(&mut self, block: u32) -> Result<(), WriteFailed>;

    /// Whether the block is marked bad, by its maker or by [`Nand::mark_bad`].
    fn is_bad(&mut self, block: u32) -> bool;

    /// Marks a block that failed, so that it is never used again.
    fn mark_bad(&mut self, block: u32);
}

/// An image, wherever it lies: in flash or in the store.
pub trait ReadImage {
    /// Reads bytes of the image from `offset` on.
    fn read(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Unreadable>;
}

/// The image in the application slot.
pub struct InFlash<'a, F>(pub &'a F);

impl<F: Flash> ReadImage for InFlash<'_, F> {
    fn read(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Unreadable> {
        let end = offset as usize + out.len();
        if end > F::SIZE as usize {
            return Err(Unreadable);
        }
        Flash::read(self.0, offset, out);
        Ok(())
    }
}
