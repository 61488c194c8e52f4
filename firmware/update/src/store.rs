//! The image store: three slots at the beginning of NAND.
//!
//! A slot is the first good one of its blocks; the others are spares. In that block:
//!
//! ```text
//! page 0        what is coming: magic, digest, length, CRC
//! pages 1..=18  the image, two chunks of 1024 bytes a page, each programmed by itself
//! page 19       the seal: magic, version, digest, length, CRC; written when all was read back and the digest was right
//! ```
//!
//! Without a seal a slot holds nothing. Each chunk is whole pages of the chip's ECC, so nothing has to be gathered
//! in RAM or in the NAND's buffer, and other users of the NAND may come between two chunks.

use protocol::device::HeldImage;
use protocol::frame::crc32;
use protocol::image::Digest;
use protocol::message::StorageError;
use serde::{Deserialize, Serialize};

use crate::memory::{NAND_BLOCK_PAGES, NAND_PAGE, Nand, ReadImage, Unreadable};

/// One of the store's places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
pub const CHUNK: usize = protocol::MAX_DATA;
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

/// What page 0 and the seal say, with a CRC behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Label {
    sealed: bool,
    image: HeldImage,
}

/// Bytes of a label: postcard, padded, then the CRC-32. Its length in the store never changes.
const LABEL_LENGTH: usize = 64;
/// Begins each label, so that neither an erased nor a foreign page looks like one.
const LABEL_MAGIC: [u8; 4] = *b"LDk1";

impl Label {
    fn to_bytes(self) -> [u8; LABEL_LENGTH] {
        let mut bytes = [0; LABEL_LENGTH];
        bytes[..4].copy_from_slice(&LABEL_MAGIC);
        // A label is at most 53 bytes long; the tests hold that.
        let _ = postcard::to_slice(&self, &mut bytes[4..LABEL_LENGTH - 4]);
        let crc = crc32(&bytes[..LABEL_LENGTH - 4]);
        bytes[LABEL_LENGTH - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8; LABEL_LENGTH]) -> Option<Label> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32(body) != u32::from_le_bytes(*crc) || body[..4] != LABEL_MAGIC {
            return None;
        }
        postcard::take_from_bytes(&body[4..])
            .ok()
            .map(|(label, _)| label)
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
    let label = Label {
        sealed: false,
        image,
    };
    for block in slot.blocks() {
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
        *writing = begin(
            nand,
            writing.slot,
            writing.image.digest,
            writing.image.length,
        )?;
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
    let label = Label {
        sealed: true,
        image: HeldImage {
            version,
            ..writing.image
        },
    };
    let page = writing.block * NAND_BLOCK_PAGES + SEAL_PAGE;
    nand.program(page, 0, &label.to_bytes()).map_err(|_| {
        nand.mark_bad(writing.block);
        StorageError::WriteFailed
    })
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
    let (block, label) = slot
        .blocks()
        .find_map(|block| Some((block, read_label(nand, block, SEAL_PAGE)?)))
        .filter(|(_, label)| label.sealed && label.image.length <= CAPACITY)?;
    Some((
        label.image,
        InStore {
            nand,
            block,
            length: label.image.length,
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

    #[test]
    fn the_longest_label_fits_and_comes_back() {
        let label = Label {
            sealed: true,
            image: HeldImage {
                version: Version {
                    major: 255,
                    minor: 255,
                    revision: u16::MAX,
                    build: u32::MAX,
                },
                digest: Digest([0xA5; 32]),
                length: u32::MAX,
            },
        };
        assert_eq!(Label::from_bytes(&label.to_bytes()), Some(label));
    }

    #[test]
    fn erased_and_changed_bytes_are_no_label() {
        assert_eq!(Label::from_bytes(&[0xFF; LABEL_LENGTH]), None);
        assert_eq!(Label::from_bytes(&[0; LABEL_LENGTH]), None);
    }
}
