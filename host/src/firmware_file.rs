//! A firmware file as a person drops it: .hex or .bin, to an image that is whole.
//!
//! Nothing here needs a logger: a file can be dropped first and the logger connected later.

use core::fmt;

use ihex::{Reader, ReaderError, Record};
use protocol::image::{Digest, HEADER_LENGTH, Header, ImageError, MAX_TRAILER, Trailer, Version};
use sha2::{Digest as _, Sha256};

/// The largest file that is looked at, in bytes; a .hex of a full slot is about 100 KB.
pub const LARGEST_FILE: usize = 4 << 20;
/// The largest span of addresses a .hex may cover.
const LARGEST_SPAN: u32 = 1 << 20;
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

impl std::error::Error for FileError {}

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
fn hex_text(bytes: &[u8]) -> Option<&str> {
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let first = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    if bytes[first] != b':' {
        return None;
    }
    // Bytes beyond ASCII make that line no Intel HEX; what comes before is still looked at.
    let end = bytes
        .iter()
        .position(|byte| !byte.is_ascii())
        .unwrap_or(bytes.len());
    str::from_utf8(&bytes[..end]).ok()
}

/// Address and bytes of what an Intel HEX file describes, gaps filled with what erased flash holds.
fn read_hex(text: &str) -> Result<(u32, Vec<u8>), FileError> {
    let mut base = 0u32;
    let mut pieces: Vec<(u32, Vec<u8>)> = Vec::new();
    let mut ended = false;
    // Lines are handed over one by one, so that an error can name its line.
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
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
        let record = match Reader::new(line).next() {
            Some(Ok(record)) => record,
            Some(Err(ReaderError::ChecksumMismatch(..))) => return Err(wrong(true)),
            _ => return Err(wrong(false)),
        };
        match record {
            Record::Data { offset, value } => pieces.push((base + u32::from(offset), value)),
            Record::ExtendedSegmentAddress(segment) => base = u32::from(segment) << 4,
            Record::ExtendedLinearAddress(upper) => base = u32::from(upper) << 16,
            // Where a debugger would begin: means nothing to an image.
            Record::StartSegmentAddress { .. } | Record::StartLinearAddress(_) => {}
            Record::EndOfFile => ended = true,
        }
    }
    if !ended {
        return Err(FileError::HexEnd);
    }
    pieces.retain(|(_, bytes)| !bytes.is_empty());
    pieces.sort_by_key(|(address, _)| *address);
    let start = pieces.first().ok_or(FileError::NotFirmware)?.0;
    let mut image: Vec<u8> = Vec::new();
    for (address, bytes) in pieces {
        let offset = address - start;
        if offset > LARGEST_SPAN || (offset as usize) < image.len() {
            return Err(FileError::HexLayout);
        }
        image.resize(offset as usize, ERASED);
        image.extend(bytes);
    }
    Ok((start, image))
}
