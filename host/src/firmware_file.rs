//! A firmware file as a person drops it: .hex or .bin, to an image that is whole.
//!
//! Nothing here needs a logger: a file can be dropped first and the logger connected later.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use protocol::image::{Digest, HEADER_LENGTH, Header, ImageError, MAX_TRAILER, Trailer, Version};
use sha2::{Digest as _, Sha256};

use crate::update::Upload;

/// The largest file that is looked at, in bytes; a .hex of a full slot is about 100 KB.
pub const LARGEST_FILE: usize = 4 << 20;
/// The largest span of addresses a .hex may cover.
const LARGEST_SPAN: usize = 1 << 20;
/// What flash holds where a .hex says nothing: this chip's erased cells read as zero.
const ERASED: u8 = 0x00;

/// A whole image: its lengths fit together and its digest is right. Whether a logger takes it is [`crate::check`]'s
/// question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareFile {
    /// The file's name.
    pub name: String,
    /// First address, when the file says one.
    pub address: Option<u32>,
    image: Vec<u8>,
    header: Header,
    digest: Digest,
}

/// Why a file is no firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// It has no bytes.
    Empty,
    /// Larger than any firmware of this device.
    TooLarge,
    /// Neither Intel HEX nor an image.
    NotFirmware,
    /// A line of a .hex is not Intel HEX.
    HexLine {
        /// Counted from 1.
        line: usize,
        /// Its check sum does not fit, rather than its form.
        checksum: bool,
    },
    /// A .hex without its end record: cut short.
    HexEnd,
    /// Two lines of a .hex say different things of one address, or it covers too much.
    HexLayout,
    /// It is an image, but not a whole one.
    Image(ImageError),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Empty => f.write_str(
                "The file is empty. Download it again from where you got it.",
            ),
            FileError::TooLarge => f.write_str(
                "The file is far too large for a logger's firmware. Choose the .hex or .bin file.",
            ),
            FileError::NotFirmware => f.write_str(
                "This is not a firmware file for a logger. Choose the .hex or .bin file of the firmware.",
            ),
            FileError::HexLine { line, checksum: true } => write!(
                f,
                "Line {line} of the file has a wrong check sum: the file was changed or damaged. Download it again."
            ),
            FileError::HexLine { line, checksum: false } => write!(
                f,
                "Line {line} of the file is not Intel HEX: the file was changed or damaged. Download it again."
            ),
            FileError::HexEnd => f.write_str(
                "The file was cut short: its end is missing. Download it again.",
            ),
            FileError::HexLayout => f.write_str(
                "The .hex file contradicts itself or covers more memory than a logger has. Ask whoever made it.",
            ),
            FileError::Image(error) => f.write_str(crate::check::explain(*error)),
        }
    }
}

impl core::error::Error for FileError {}

impl FirmwareFile {
    /// Reads a dropped file and checks that it is whole.
    pub fn read(name: &str, bytes: &[u8]) -> Result<FirmwareFile, FileError> {
        if bytes.is_empty() {
            return Err(FileError::Empty);
        }
        if bytes.len() > LARGEST_FILE {
            return Err(FileError::TooLarge);
        }
        let (address, image) = match hex_text(bytes) {
            Some(text) => {
                let (address, image) = read_hex(text)?;
                (Some(address), image)
            }
            None => (None, bytes.to_vec()),
        };
        let header = Header::parse(&image).map_err(|error| match (error, address) {
            (ImageError::NotAnImage, None) => FileError::NotFirmware,
            _ => FileError::Image(error),
        })?;
        let mut file = FirmwareFile {
            name: name.into(),
            address,
            digest: Digest::default(),
            image,
            header,
        };
        let signed = file
            .image
            .get(..header.signed_length() as usize)
            .ok_or(FileError::Image(ImageError::Truncated))?;
        let digest = Digest(Sha256::digest(signed).into());
        let trailer = file.parse_trailer().map_err(FileError::Image)?;
        if trailer.digest != digest {
            return Err(FileError::Image(ImageError::BadDigest));
        }
        let end = (header.trailer_offset() + trailer.length) as usize;
        file.digest = digest;
        if file.image[end..]
            .iter()
            .any(|&byte| byte != ERASED && byte != 0xFF)
        {
            return Err(FileError::Image(ImageError::BadTrailer));
        }
        // What pads a slot to its end is no part of the image.
        file.image.truncate(end);
        Ok(file)
    }

    /// What an update sends of it.
    pub fn upload(&self) -> Upload {
        Upload {
            version: self.version(),
            digest: self.digest,
            image: self.image.clone(),
            trailer: self.header.trailer_offset(),
        }
    }

    /// All bytes, header and TLVs included.
    pub fn image(&self) -> &[u8] {
        &self.image
    }

    /// The image's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Version of the firmware.
    pub fn version(&self) -> Version {
        self.header.version
    }

    /// SHA-256 over header, payload and protected TLVs; computed, and the same as the one in the file.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The payload: vector table first.
    pub fn payload(&self) -> &[u8] {
        &self.image[usize::from(self.header.header_size)..self.header.trailer_offset() as usize]
    }

    /// The image's TLVs.
    pub fn trailer(&self) -> Trailer<'_> {
        self.parse_trailer()
            .expect("the trailer was parsed when the file was read")
    }

    fn parse_trailer(&self) -> Result<Trailer<'_>, ImageError> {
        let bytes = self
            .image
            .get(self.header.trailer_offset() as usize..)
            .ok_or(ImageError::Truncated)?;
        let trailer = Trailer::parse(&self.header, bytes)?;
        if trailer.length as usize > MAX_TRAILER {
            return Err(ImageError::BadTrailer);
        }
        Ok(trailer)
    }
}

const _: () = assert!(HEADER_LENGTH <= protocol::image::HEADER_SIZE as usize);

/// The text of a file that means to be Intel HEX: its first character that is no blank is a colon.
fn hex_text(bytes: &[u8]) -> Option<&[u8]> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    bytes.trim_ascii_start().starts_with(b":").then_some(bytes)
}

/// Address and bytes of what an Intel HEX file describes, gaps filled with what erased flash holds.
fn read_hex(text: &[u8]) -> Result<(u32, Vec<u8>), FileError> {
    let mut base = 0u32;
    // All data one after the other, and which address each piece of it begins at.
    let mut data = Vec::with_capacity(text.len() / 2);
    let mut pieces: Vec<(u32, Range<usize>)> = Vec::new();
    let mut ended = false;
    // Lines are handed over one by one, so that an error can name its line.
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let wrong = |checksum| FileError::HexLine {
            line: index + 1,
            checksum,
        };
        if ended {
            return Err(wrong(false));
        }
        let digits = line.strip_prefix(b":").ok_or(wrong(false))?;
        let begin = data.len();
        let sum = push_hex(digits, &mut data).ok_or(wrong(false))?;
        let [length, high, low, kind, content @ .., _checksum] = &data[begin..] else {
            return Err(wrong(false));
        };
        if content.len() != usize::from(*length) {
            return Err(wrong(false));
        }
        if sum != 0 {
            return Err(wrong(true));
        }
        // The kinds of record, from Intel's specification of the format.
        match (*kind, content) {
            (0, content) => {
                let address = base + u32::from(u16::from_be_bytes([*high, *low]));
                let content = begin + 4..begin + 4 + content.len();
                pieces.push((address, content));
            }
            (1, []) => ended = true,
            (2, &[high, low]) => base = u32::from(u16::from_be_bytes([high, low])) << 4,
            (4, &[high, low]) => base = u32::from(u16::from_be_bytes([high, low])) << 16,
            // Where a debugger would begin: means nothing to an image.
            (3 | 5, [_, _, _, _]) => {}
            _ => return Err(wrong(false)),
        }
    }
    if !ended {
        return Err(FileError::HexEnd);
    }
    pieces.retain(|(_, content)| !content.is_empty());
    pieces.sort_unstable_by_key(|(address, _)| *address);
    let start = pieces.first().ok_or(FileError::NotFirmware)?.0;
    let mut image = Vec::with_capacity(data.len());
    for (address, content) in pieces {
        let offset = (address - start) as usize;
        // Said twice, or too far away.
        if offset < image.len() || offset > LARGEST_SPAN - content.len() {
            return Err(FileError::HexLayout);
        }
        image.resize(offset, ERASED);
        image.extend_from_slice(&data[content]);
    }
    Ok((start, image))
}

/// Puts the bytes that pairs of hexadecimal digits stand for behind others; their sum, without what it carries. None when
/// the digits are none, or one is alone. A file has half a million of them: each is looked up, and nothing is decided
/// before the end.
fn push_hex(digits: &[u8], to: &mut Vec<u8>) -> Option<u8> {
    let (pairs, alone) = digits.as_chunks();
    let (mut seen, mut sum) = (0, 0u8);
    to.extend(pairs.iter().map(|&[high, low]| {
        let (high, low) = (DIGITS[usize::from(high)], DIGITS[usize::from(low)]);
        seen |= high | low;
        let byte = high << 4 | low;
        sum = sum.wrapping_add(byte);
        byte
    }));
    (alone.is_empty() && seen < NO_DIGIT).then_some(sum)
}

/// More than any hexadecimal digit is worth.
const NO_DIGIT: u8 = 0x10;

/// What each character is worth as a hexadecimal digit.
static DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit] as usize] = digit as u8;
        digits[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    digits
};
