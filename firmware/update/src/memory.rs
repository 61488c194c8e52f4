//! The three memories an update deals with, as small as they can be.

use crate::direct::Upload;

/// A cell, page or block did not take what was written, or erasing it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteFailed;

/// What was stored cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Bytes of one erase page of flash (STM32L0: 128).
pub const FLASH_PAGE: usize = 128;
/// Bytes that are programmed at once.
pub const HALF_PAGE: usize = 64;
/// What an erased byte of flash reads as: zero on the STM32L0.
pub const ERASED: u8 = 0x00;

/// The application slot in flash. Offsets are in bytes from its beginning.
pub trait Flash {
    /// Bytes of the slot.
    const SIZE: u32;

    /// Reads; the caller stays within the slot.
    fn read(&self, offset: u32, out: &mut [u8]);

    /// Erases the page at `offset`, a multiple of [`FLASH_PAGE`].
    fn erase_page(&mut self, offset: u32) -> Result<(), WriteFailed>;

    /// Programs an erased half-page at `offset`, a multiple of [`HALF_PAGE`].
    fn program_half_page(&mut self, offset: u32, data: &[u8; HALF_PAGE])
    -> Result<(), WriteFailed>;
}

/// Makes a page of flash hold these bytes; one that does already is left alone.
pub fn put_page<F: Flash>(
    flash: &mut F,
    offset: u32,
    page: &[u8; FLASH_PAGE],
) -> Result<(), WriteFailed> {
    let mut present = [0; FLASH_PAGE];
    flash.read(offset, &mut present);
    if present == *page {
        return Ok(());
    }
    flash.erase_page(offset)?;
    let (halves, _) = page.as_chunks::<HALF_PAGE>();
    for (index, half) in halves.iter().enumerate() {
        if half.iter().any(|&byte| byte != ERASED) {
            flash.program_half_page(offset + (index * HALF_PAGE) as u32, half)?;
        }
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
