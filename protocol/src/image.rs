//! The firmware image: MCUboot's format, as imgtool writes it.
//!
//! ```text
//! 0        header, 32 bytes, padded with 0x00 to header_size
//! 0x100    payload: the vector table comes first
//!          protected TLVs: security counter, vendor, hardware class
//!          TLVs: SHA-256 of all before, hash of the key, Ed25519 signature of that SHA-256
//! ```
//!
//! Parsing checks once; after that nothing can panic. It never says that an image may run: the digest and the
//! signature are for the caller to compute and compare.
//! Source: MCUboot, docs/design.md "Image format", and imgtool 2.5.0.

use core::fmt;
use core::ops::Range;
use serde::{Deserialize, Serialize};

use crate::byte_array::as_bytes;
use crate::device::Uuid;

/// Bytes of a header; the rest up to its `header_size` is padding.
pub const HEADER_LENGTH: usize = 32;
/// The `header_size` of every image for this device: the vector table behind it is 256-byte aligned, as VTOR wants.
pub const HEADER_SIZE: u16 = 0x100;
/// The most bytes of TLVs that a device takes.
pub const MAX_TRAILER: usize = 256;

/// Positions in the header.
mod field {
    use core::ops::Range;
    pub const MAGIC: Range<usize> = 0..4;
    pub const LOAD_ADDRESS: Range<usize> = 4..8;
    pub const HEADER_SIZE: Range<usize> = 8..10;
    pub const PROTECTED_SIZE: Range<usize> = 10..12;
    pub const PAYLOAD_SIZE: Range<usize> = 12..16;
    pub const FLAGS: Range<usize> = 16..20;
    pub const VERSION: Range<usize> = 20..28;
}

/// First word of an image.
pub const MAGIC: u32 = 0x96F3_B83D;
/// Begins the TLVs that the signature covers.
pub const PROTECTED_MAGIC: u16 = 0x6908;
/// Begins the other TLVs.
pub const TLV_MAGIC: u16 = 0x6907;

/// Types of TLVs that this device knows; others are passed over.
pub mod tlv {
    /// SHA-256 of the public key in DER (SubjectPublicKeyInfo).
    pub const KEY_HASH: u16 = 0x01;
    /// SHA-256 of header, payload and protected TLVs.
    pub const SHA256: u16 = 0x10;
    /// Ed25519 signature of that SHA-256.
    pub const ED25519: u16 = 0x24;
    /// Security counter, little-endian u32, protected.
    pub const SECURITY_COUNTER: u16 = 0x50;
    /// Vendor, a UUID, protected.
    pub const VENDOR_ID: u16 = 0x74;
    /// Hardware class, a UUID, protected.
    pub const CLASS_ID: u16 = 0x75;
}

/// A SHA-256.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(#[serde(with = "crate::byte_array")] pub [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A version, ordered as people order them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Incompatible changes.
    pub major: u8,
    /// New features.
    pub minor: u8,
    /// Corrections.
    pub revision: u16,
    /// Build number.
    pub build: u32,
}

impl Version {
    /// Bytes of a version, in a header and elsewhere.
    pub const LENGTH: usize = 8;

    /// As it stands in a header.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let [low, high] = self.revision.to_le_bytes();
        let [a, b, c, d] = self.build.to_le_bytes();
        [self.major, self.minor, low, high, a, b, c, d]
    }

    /// From a header. Any bytes are a version.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Version {
        let [major, minor, low, high, a, b, c, d] = *bytes;
        Version {
            major,
            minor,
            revision: u16::from_le_bytes([low, high]),
            build: u32::from_le_bytes([a, b, c, d]),
        }
    }
}

as_bytes!(Version);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.revision)?;
        if self.build != 0 {
            write!(f, "+{}", self.build)?;
        }
        Ok(())
    }
}

/// Why an image is not one that may be installed here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageError {
    /// It does not begin with the magic number.
    NotAnImage,
    /// It ends before what its header announces.
    Truncated,
    /// Header size or flags are not those of this device.
    UnsupportedHeader,
    /// Lists of TLVs that do not fit together.
    BadTrailer,
    /// It has no digest, signature, vendor, class or security counter.
    Incomplete,
    /// It does not fit into the slot.
    TooLarge,
    /// Stack pointer or reset vector point outside RAM or slot.
    BadVectors,
    /// It is for another vendor's hardware or another model.
    OtherHardware,
    /// Its security counter is lower than the device's.
    CounterTooLow,
    /// The digest differs from what was computed.
    BadDigest,
    /// It was signed with another key.
    OtherKey,
    /// The signature is not of this image.
    BadSignature,
}

impl ImageError {
    /// All of them, in the order of their encoding.
    pub const ALL: [ImageError; 12] = [
        ImageError::NotAnImage,
        ImageError::Truncated,
        ImageError::UnsupportedHeader,
        ImageError::BadTrailer,
        ImageError::Incomplete,
        ImageError::TooLarge,
        ImageError::BadVectors,
        ImageError::OtherHardware,
        ImageError::CounterTooLow,
        ImageError::BadDigest,
        ImageError::OtherKey,
        ImageError::BadSignature,
    ];
}

/// An image's header, checked in itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes up to the payload, padding included.
    pub header_size: u16,
    /// Bytes of protected TLVs, their info included.
    pub protected_size: u16,
    /// Bytes of payload.
    pub payload_size: u32,
    /// Version of the firmware.
    pub version: Version,
}

impl Header {
    /// Where the version stands in it: for whoever has no room for the rest.
    pub const VERSION: Range<usize> = field::VERSION;

    /// From the first [`HEADER_LENGTH`] bytes of an image.
    pub fn parse(bytes: &[u8]) -> Result<Header, ImageError> {
        let Some(bytes) = bytes.first_chunk::<HEADER_LENGTH>() else {
            return Err(match le_u32(bytes, field::MAGIC) {
                Some(MAGIC) => ImageError::Truncated,
                _ => ImageError::NotAnImage,
            });
        };
        let half = |range| le_u16(bytes, range).unwrap_or_default();
        let word = |range| le_u32(bytes, range).unwrap_or_default();
        if word(field::MAGIC) != MAGIC {
            return Err(ImageError::NotAnImage);
        }
        // Neither RAM-loaded, encrypted nor compressed images exist for this device.
        if half(field::HEADER_SIZE) != HEADER_SIZE
            || word(field::FLAGS) != 0
            || word(field::LOAD_ADDRESS) != 0
        {
            return Err(ImageError::UnsupportedHeader);
        }
        let header = Header {
            header_size: HEADER_SIZE,
            protected_size: half(field::PROTECTED_SIZE),
            payload_size: word(field::PAYLOAD_SIZE),
            version: bytes[field::VERSION]
                .try_into()
                .map(Version::from_bytes)
                .unwrap_or_default(),
        };
        // So that no sum of lengths can overflow; the slot's limit comes with the target.
        if header.payload_size > u32::MAX / 4 {
            return Err(ImageError::TooLarge);
        }
        Ok(header)
    }

    /// Where the TLVs begin.
    pub fn trailer_offset(&self) -> u32 {
        u32::from(self.header_size) + self.payload_size
    }

    /// Bytes that digest and signature cover: header, payload and protected TLVs.
    pub fn signed_length(&self) -> u32 {
        self.trailer_offset() + u32::from(self.protected_size)
    }
}

/// The TLVs behind the payload, checked in themselves: none is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailer<'a> {
    /// Bytes of all TLVs.
    pub length: u32,
    /// What the image says its digest is.
    pub digest: Digest,
    /// SHA-256 of the key it was signed with, in DER.
    pub key_hash: [u8; 32],
    /// Ed25519 signature of the digest.
    pub signature: &'a [u8; 64],
    /// The hardware's vendor.
    pub vendor_id: Uuid,
    /// The hardware's class.
    pub class_id: Uuid,
    /// Never goes down on a device.
    pub security_counter: u32,
}

impl<'a> Trailer<'a> {
    /// From the bytes at [`Header::trailer_offset`] on; more may follow.
    pub fn parse(header: &Header, bytes: &'a [u8]) -> Result<Trailer<'a>, ImageError> {
        let protected_size = usize::from(header.protected_size);
        let protected = Tlvs::parse(bytes, PROTECTED_MAGIC)?;
        if protected.length != protected_size {
            return Err(ImageError::BadTrailer);
        }
        let others = Tlvs::parse(&bytes[protected_size..], TLV_MAGIC)?;
        Ok(Trailer {
            length: (protected_size + others.length) as u32,
            digest: Digest(*others.find(tlv::SHA256)?),
            key_hash: *others.find(tlv::KEY_HASH)?,
            signature: others.find(tlv::ED25519)?,
            vendor_id: Uuid(*protected.find(tlv::VENDOR_ID)?),
            class_id: Uuid(*protected.find(tlv::CLASS_ID)?),
            security_counter: u32::from_le_bytes(*protected.find(tlv::SECURITY_COUNTER)?),
        })
    }
}

/// One list of TLVs: an info of magic and length, then type, length and value of each.
struct Tlvs<'a> {
    /// The entries, whole in themselves.
    entries: &'a [u8],
    /// Bytes with the info.
    length: usize,
}

impl<'a> Tlvs<'a> {
    const INFO: usize = 4;

    fn parse(bytes: &'a [u8], magic: u16) -> Result<Self, ImageError> {
        let (found, length) = le_u16(bytes, 0..2)
            .zip(le_u16(bytes, 2..4))
            .ok_or(ImageError::Truncated)?;
        let length = usize::from(length);
        if found != magic || length < Self::INFO {
            return Err(ImageError::BadTrailer);
        }
        let entries = bytes.get(Self::INFO..length).ok_or(ImageError::Truncated)?;
        let tlvs = Tlvs { entries, length };
        let walked: usize = tlvs.iter().map(|(_, value)| Self::INFO + value.len()).sum();
        if walked != entries.len() {
            return Err(ImageError::BadTrailer);
        }
        Ok(tlvs)
    }

    fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.entries;
        core::iter::from_fn(move || {
            let kind = le_u16(rest, 0..2)?;
            let length = usize::from(le_u16(rest, 2..4)?);
            let value = rest.get(Self::INFO..Self::INFO + length)?;
            rest = &rest[Self::INFO + length..];
            Some((kind, value))
        })
    }

    /// The only value of this type, of exactly `N` bytes.
    fn find<const N: usize>(&self, kind: u16) -> Result<&'a [u8; N], ImageError> {
        let mut values = self.iter().filter(|(found, _)| *found == kind);
        let (_, value) = values.next().ok_or(ImageError::Incomplete)?;
        match (value.try_into(), values.next()) {
            (Ok(value), None) => Ok(value),
            _ => Err(ImageError::BadTrailer),
        }
    }
}

/// What a device demands of an image besides a good signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// First address of the slot.
    pub slot_address: u32,
    /// Bytes of the slot.
    pub slot_size: u32,
    /// First address of RAM.
    pub ram_address: u32,
    /// Bytes of RAM.
    pub ram_size: u32,
    /// The hardware's vendor.
    pub vendor_id: Uuid,
    /// The hardware's class.
    pub class_id: Uuid,
    /// The lowest security counter that is accepted.
    pub security_counter: u32,
}

impl Target {
    /// Whether the image's whole length fits the slot and is the one announced.
    pub fn check_size(&self, header: &Header, length: u32) -> Result<(), ImageError> {
        if length > self.slot_size || header.signed_length() > self.slot_size {
            Err(ImageError::TooLarge)
        } else if length < header.signed_length() {
            Err(ImageError::Truncated)
        } else {
            Ok(())
        }
    }

    /// Whether the image is for this hardware and not older than what is allowed.
    pub fn check_trailer(
        &self,
        header: &Header,
        trailer: &Trailer,
        length: u32,
    ) -> Result<(), ImageError> {
        let whole = header.trailer_offset() + trailer.length;
        if length < whole {
            Err(ImageError::Truncated)
        } else if length > whole {
            Err(ImageError::BadTrailer)
        } else if trailer.vendor_id != self.vendor_id || trailer.class_id != self.class_id {
            Err(ImageError::OtherHardware)
        } else if trailer.security_counter < self.security_counter {
            Err(ImageError::CounterTooLow)
        } else {
            Ok(())
        }
    }

    /// Whether the first two words of the payload, initial stack pointer and reset vector, can be started.
    pub fn check_vectors(&self, header: &Header, vectors: &[u8]) -> Result<(), ImageError> {
        let (stack, reset) = le_u32(vectors, 0..4)
            .zip(le_u32(vectors, 4..8))
            .ok_or(ImageError::BadVectors)?;
        let ram = self.ram_address..=self.ram_address + self.ram_size;
        let payload = self.slot_address + u32::from(header.header_size);
        let code = payload..payload + header.payload_size;
        // Thumb code has odd addresses; the stack is 8-byte aligned.
        if ram.contains(&stack) && stack % 8 == 0 && reset % 2 == 1 && code.contains(&reset) {
            Ok(())
        } else {
            Err(ImageError::BadVectors)
        }
    }
}

fn le_u16(bytes: &[u8], range: core::ops::Range<usize>) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(range)?.try_into().ok()?))
}

fn le_u32(bytes: &[u8], range: core::ops::Range<usize>) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(range)?.try_into().ok()?))
}
