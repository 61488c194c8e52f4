//! The image store: three slots at the beginning of NAND.
//!
//! A slot is the first good one of its blocks; the others are spares. In that block:
//!
//! ```text
//! page 0        what is coming: magic, digest, length, CRC
//! pages 1..=18  the image, in chunks of 1024 or 512 bytes, each programmed by itself
//! page 19       the seal: magic, version, digest, length, CRC; written when all was read back and the digest was right
//! ```
//!
//! Without a seal a slot holds nothing. Each chunk is whole pages of the chip's ECC, so nothing has to be gathered
//! in RAM or in the NAND's buffer, and other users of the NAND may come between two chunks.

use protocol::device::HeldImage;
use protocol::frame::crc32;
use protocol::image::Digest;
use protocol::message::StorageError;

use crate::memory::{NAND_BLOCK_PAGES, NAND_PAGE, Nand, ReadImage, Unreadable};

/// One of the store's places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Blocks 0 to 7.
    A,
    /// Blocks 8 to 15.
    B,
    /// Blocks 16 to 23.
    C,
}

/// Blocks of one slot: one is used, the others replace it when it goes bad.
const BLOCKS_PER_SLOT: u32 = 8;
/// First block behind the store.
pub const END_BLOCK: u32 = Slot::ALL.len() as u32 * BLOCKS_PER_SLOT;
/// Bytes of an image that are programmed at once: all but the last are full.
pub const CHUNK: usize = crate::MAX_DATA;
const CHUNKS_PER_PAGE: u32 = (NAND_PAGE / CHUNK) as u32;
/// Pages for an image's bytes: a full slot of flash.
const IMAGE_PAGES: u32 = 18;
/// The largest image that a slot takes, in bytes.
pub const CAPACITY: u32 = IMAGE_PAGES * NAND_PAGE as u32;

const ANNOUNCEMENT_PAGE: u32 = 0;
const FIRST_IMAGE_PAGE: u32 = 1;
const SEAL_PAGE: u32 = FIRST_IMAGE_PAGE + IMAGE_PAGES;
const _: () = assert!(SEAL_PAGE < NAND_BLOCK_PAGES);
const _: () = assert!(NAND_PAGE.is_multiple_of(CHUNK));

impl Slot {
    /// All of them.
    pub const ALL: [Slot; 3] = [Slot::A, Slot::B, Slot::C];

    fn blocks(self) -> core::ops::Range<u32> {
        let first = self as u32 * BLOCKS_PER_SLOT;
        first..first + BLOCKS_PER_SLOT
    }
}

/// What page 0 and the seal say of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Label {
    Announced(HeldImage),
    Sealed(HeldImage),
}

/// Bytes of a label: magic, image, CRC-32 of both.
const LABEL_LENGTH: usize = 4 + HeldImage::LENGTH + 4;
/// Begins a label, so that neither an erased nor a foreign page looks like one.
const ANNOUNCED: [u8; 4] = *b"LDan";
const SEALED: [u8; 4] = *b"LDse";

impl Label {
    fn to_bytes(self) -> [u8; LABEL_LENGTH] {
        let (magic, image) = match self {
            Label::Announced(image) => (ANNOUNCED, image),
            Label::Sealed(image) => (SEALED, image),
        };
        let mut bytes = [0; LABEL_LENGTH];
        let (body, crc) = bytes.split_at_mut(LABEL_LENGTH - 4);
        body[..4].copy_from_slice(&magic);
        body[4..].copy_from_slice(&image.to_bytes());
        crc.copy_from_slice(&crc32(body).to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; LABEL_LENGTH]) -> Option<Label> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        let (magic, image) = body.split_first_chunk::<4>()?;
        if crc32(body) != u32::from_le_bytes(*crc) {
            return None;
        }
        let image = HeldImage::from_bytes(image.try_into().ok()?);
        match *magic {
            ANNOUNCED => Some(Label::Announced(image)),
            SEALED => Some(Label::Sealed(image)),
            _ => None,
        }
    }
}

/// A slot that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writing {
    slot: Slot,
    block: u32,
    /// What was announced; its version is known only when the image is sealed.
    image: HeldImage,
    /// Bytes written so far.
    offset: u32,
}

impl Writing {
    /// The image's digest, as announced.
    pub fn digest(&self) -> Digest {
        self.image.digest
    }

    /// The image's length, as announced.
    pub fn length(&self) -> u32 {
        self.image.length
    }

    /// The next byte that is waited for.
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// How many bytes [`append`] takes next.
    pub fn next_length(&self) -> usize {
        CHUNK.min((self.image.length - self.offset) as usize)
    }
}

/// Empties a slot for an image of `length` bytes, at most [`CAPACITY`].
pub fn begin<N: Nand>(
    nand: &mut N,
    slot: Slot,
    digest: Digest,
    length: u32,
) -> Result<Writing, StorageError> {
    if !nand.is_there() {
        return Err(StorageError::NotThere);
    }
    let image = HeldImage {
        version: Default::default(),
        digest,
        length,
    };
    begin_from(nand, slot, slot.blocks().start, image)
}

/// In the first block from `first` on that takes it.
fn begin_from<N: Nand>(
    nand: &mut N,
    slot: Slot,
    first: u32,
    image: HeldImage,
) -> Result<Writing, StorageError> {
    let label = Label::Announced(image);
    for block in first..slot.blocks().end {
        if nand.is_bad(block) {
            continue;
        }
        let page = block * NAND_BLOCK_PAGES + ANNOUNCEMENT_PAGE;
        if nand.erase(block).is_ok() && nand.program(page, 0, &label.to_bytes()).is_ok() {
            return Ok(Writing {
                slot,
                block,
                image,
                offset: 0,
            });
        }
        nand.mark_bad(block);
    }
    Err(StorageError::NoGoodBlock)
}

/// Writes the next chunk: [`Writing::next_length`] bytes. When the block fails it is marked bad, and the upload begins
/// anew in the next one.
pub fn append<N: Nand>(
    nand: &mut N,
    writing: &mut Writing,
    data: &[u8],
) -> Result<(), StorageError> {
    let chunk = writing.offset / CHUNK as u32;
    let page = writing.block * NAND_BLOCK_PAGES + FIRST_IMAGE_PAGE + chunk / CHUNKS_PER_PAGE;
    let column = (chunk % CHUNKS_PER_PAGE) as usize * CHUNK;
    if nand.program(page, column as u16, data).is_err() {
        nand.mark_bad(writing.block);
        // Never the same block again, even if it does not take the mark.
        *writing = begin_from(nand, writing.slot, writing.block + 1, writing.image)?;
        return Ok(());
    }
    writing.offset += data.len() as u32;
    Ok(())
}

/// Closes a slot whose image was read back and found whole.
pub fn seal<N: Nand>(
    nand: &mut N,
    writing: &Writing,
    version: protocol::image::Version,
) -> Result<(), StorageError> {
    let label = Label::Sealed(HeldImage {
        version,
        ..writing.image
    });
    let page = writing.block * NAND_BLOCK_PAGES + SEAL_PAGE;
    let sealed = nand.program(page, 0, &label.to_bytes()).is_ok();
    // A block that neither erases nor takes its mark could stand before this one, with an older seal.
    let held = held(nand, writing.slot).map(|(image, _)| image);
    if sealed && held.is_some_and(|image| Label::Sealed(image) == label) {
        return Ok(());
    }
    nand.mark_bad(writing.block);
    Err(StorageError::WriteFailed)
}

/// An image in the store, read page by page.
pub struct InStore<'a, N> {
    nand: &'a mut N,
    block: u32,
    length: u32,
    /// The page in the NAND's buffer.
    open: Option<u32>,
}

/// The image of a sealed slot.
pub fn held<N: Nand>(nand: &mut N, slot: Slot) -> Option<(HeldImage, InStore<'_, N>)> {
    if !nand.is_there() {
        return None;
    }
    let (block, image) =
        slot.blocks()
            .find_map(|block| match read_label(nand, block, SEAL_PAGE)? {
                Label::Sealed(image) if image.length <= CAPACITY => Some((block, image)),
                _ => None,
            })?;
    Some((
        image,
        InStore {
            nand,
            block,
            length: image.length,
            open: None,
        },
    ))
}

/// The image that is being written, as far as it goes.
pub fn unsealed<'a, N: Nand>(nand: &'a mut N, writing: &Writing) -> InStore<'a, N> {
    InStore {
        nand,
        block: writing.block,
        length: writing.offset,
        open: None,
    }
}

fn read_label<N: Nand>(nand: &mut N, block: u32, page: u32) -> Option<Label> {
    if nand.is_bad(block) || nand.open(block * NAND_BLOCK_PAGES + page).is_err() {
        return None;
    }
    let mut bytes = [0; LABEL_LENGTH];
    nand.read(0, &mut bytes);
    Label::from_bytes(&bytes)
}

impl<N: Nand> ReadImage for InStore<'_, N> {
    fn read(&mut self, offset: u32, out: &mut [u8]) -> Result<(), Unreadable> {
        let end = offset as usize + out.len();
        if end > self.length as usize {
            return Err(Unreadable);
        }
        let mut at = offset as usize;
        let mut out = out;
        while !out.is_empty() {
            let page = (at / NAND_PAGE) as u32;
            let column = at % NAND_PAGE;
            if self.open != Some(page) {
                self.open = None;
                self.nand
                    .open(self.block * NAND_BLOCK_PAGES + FIRST_IMAGE_PAGE + page)?;
                self.open = Some(page);
            }
            let (now, later) = out.split_at_mut(out.len().min(NAND_PAGE - column));
            self.nand.read(column as u16, now);
            at += now.len();
            out = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::image::Version;

    fn image() -> HeldImage {
        HeldImage {
            version: Version {
                major: 1,
                minor: 2,
                revision: 3,
                build: 4,
            },
            digest: Digest([0xA5; 32]),
            length: 0x1234,
        }
    }

    #[test]
    fn a_label_comes_back_as_it_was() {
        for label in [Label::Announced(image()), Label::Sealed(image())] {
            assert_eq!(Label::from_bytes(&label.to_bytes()), Some(label));
        }
    }

    #[test]
    fn erased_and_changed_bytes_are_no_label() {
        assert_eq!(Label::from_bytes(&[0xFF; LABEL_LENGTH]), None);
        assert_eq!(Label::from_bytes(&[0; LABEL_LENGTH]), None);
        for index in 0..LABEL_LENGTH {
            let mut bytes = Label::Sealed(image()).to_bytes();
            bytes[index] ^= 1;
            assert_eq!(Label::from_bytes(&bytes), None, "byte {index}");
        }
    }
}
