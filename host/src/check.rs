//! Whether a firmware file may go to a logger, before anything is sent, and what will then happen.

use core::cmp::Ordering;
use core::fmt;

use protocol::device::HeldImage;
use protocol::image::{Digest, ImageError, Target, Version};
use sha2::{Digest as _, Sha256};

use crate::device::Device;
use crate::firmware_file::FirmwareFile;

/// DER of an Ed25519 SubjectPublicKeyInfo up to the key's 32 bytes (RFC 8410).
const DER_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A file that this logger will take, and what will change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What runs now, when something does.
    pub from: Option<HeldImage>,
    /// What will run.
    pub to: Version,
    /// Whether that is a step forward.
    pub direction: Direction,
    /// Bytes that go over the link.
    pub length: u32,
    /// Pages of flash that the image takes.
    pub pages: u32,
    /// The logger cannot put the old firmware back by itself.
    pub no_rollback: bool,
}

/// How the file's version compares with the running one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The logger runs nothing yet.
    First,
    /// To a newer version.
    Up,
    /// The same version, but not the same image.
    Sideways,
    /// To an older version: the page asks first.
    Down,
    /// This very image runs already.
    Same,
}

/// Why a logger would not take a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// The image itself.
    Image(ImageError),
    /// The .hex is for another place in memory: a factory file, or another device's.
    OtherAddress {
        /// First address in the file.
        file: u32,
        /// First address of the logger's slot.
        slot: u32,
    },
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Objection::Image(error) => f.write_str(explain(*error)),
            Objection::OtherAddress { file, slot } => write!(
                f,
                "The file is for memory at 0x{file:08X}, but this logger's firmware stands at 0x{slot:08X}: it is a factory file or one for another device. Choose the update file."
            ),
        }
    }
}

impl core::error::Error for Objection {}

/// What is wrong with an image and what to do, in words for the logger's owner.
pub fn explain(error: ImageError) -> &'static str {
    match error {
        ImageError::NotAnImage => {
            "The file is not a firmware image for a logger. Choose the signed .hex or .bin file of the firmware."
        }
        ImageError::Truncated => "The file was cut short: a part is missing. Download it again.",
        ImageError::UnsupportedHeader => {
            "The firmware was packed for another kind of device. Choose the file for this logger."
        }
        ImageError::BadTrailer => {
            "The end of the file, where its signature belongs, is damaged. Download it again."
        }
        ImageError::Incomplete => {
            "The firmware is not signed, or does not say which hardware it is for. Choose the signed file."
        }
        ImageError::TooLarge => {
            "The firmware is larger than this logger's memory. Choose the file for this logger."
        }
        ImageError::BadVectors => {
            "The firmware was built for another place in memory and could not start. Choose the file for this logger."
        }
        ImageError::OtherHardware => {
            "The firmware is for another device. Choose the file for this logger's model."
        }
        ImageError::CounterTooLow => {
            "The firmware is older than this logger may run: a security update forbids going back that far. Choose a newer file."
        }
        ImageError::BadDigest => {
            "The file was changed or damaged: its check sum does not fit. Download it again."
        }
        ImageError::OtherKey => {
            "The firmware is signed by someone else than this logger's maker, so the logger would not run it. Get the file from the maker."
        }
        ImageError::BadSignature => {
            "The firmware's signature is wrong: it does not come from this logger's maker as it is. Get the file from the maker."
        }
    }
}

/// Whether `device` will take `file`. The bootloader asks all of this again; here it is asked before anything is sent.
pub fn check(file: &FirmwareFile, device: &Device) -> Result<Plan, Objection> {
    check_for(file, &device.target, &device.public_key)?;
    let length = file.image().len() as u32;
    Ok(Plan::new(device, file.version(), file.digest(), length))
}

/// The same for a logger of which only this is known: what it demands, and whose signature.
pub fn check_for(file: &FirmwareFile, target: &Target, key: &[u8; 32]) -> Result<(), Objection> {
    if let Some(address) = file
        .address
        .filter(|&address| address != target.slot_address)
    {
        return Err(Objection::OtherAddress {
            file: address,
            slot: target.slot_address,
        });
    }
    check_image(file, target, key).map_err(Objection::Image)
}

impl Plan {
    /// What changes when `device` takes an image of this length in bytes.
    pub fn new(device: &Device, to: Version, digest: Digest, length: u32) -> Plan {
        let direction = match device.running {
            None => Direction::First,
            Some(running) if running.digest == digest => Direction::Same,
            Some(running) => match to.cmp(&running.version) {
                Ordering::Greater => Direction::Up,
                Ordering::Equal => Direction::Sideways,
                Ordering::Less => Direction::Down,
            },
        };
        Plan {
            from: device.running,
            to,
            direction,
            length,
            pages: length.div_ceil(u32::from(device.page_size.max(1))),
            no_rollback: device.direct,
        }
    }
}

fn check_image(file: &FirmwareFile, target: &Target, key: &[u8; 32]) -> Result<(), ImageError> {
    let (header, trailer, length) = (file.header(), file.trailer(), file.image().len() as u32);
    target.check_size(header, length)?;
    target.check_trailer(header, &trailer, length)?;
    target.check_vectors(header, file.payload())?;
    let mut der = Sha256::new();
    der.update(DER_PREFIX);
    der.update(key);
    if trailer.key_hash != <[u8; 32]>::from(der.finalize()) {
        return Err(ImageError::OtherKey);
    }
    ed25519_compact::PublicKey::new(*key)
        .verify(
            file.digest().0,
            &ed25519_compact::Signature::new(*trailer.signature),
        )
        .map_err(|_| ImageError::BadSignature)
}
