//! Who a logger is, and the places of its memory that the computer has to know.

use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::byte_array::{Reader, Writer, as_bytes};
use crate::image::{Digest, ImageError, Version};

/// Vendor of the example logger: the name-based UUID (version 5, DNS) of `logdock.example`, as imgtool makes it.
pub const VENDOR_ID: Uuid = Uuid([
    0x6e, 0xc8, 0x07, 0xf1, 0x5a, 0xbe, 0x53, 0xea, 0x82, 0xda, 0x89, 0xc7, 0x21, 0xbe, 0x3c, 0xb3,
]);
/// Hardware class of the example logger: the name-based UUID of `LD-1` within [`VENDOR_ID`].
pub const CLASS_ID: Uuid = Uuid([
    0x3f, 0xf0, 0x6b, 0xaf, 0x42, 0x51, 0x53, 0xb9, 0xa2, 0x6a, 0x0a, 0xa7, 0xde, 0xfa, 0xa4, 0x0e,
]);

/// The same for `LD-1D`, which has no NAND: an image for the one must never get onto the other, for the application has
/// to know how it is updated.
pub const DIRECT_CLASS_ID: Uuid = Uuid([
    0x72, 0x15, 0x22, 0x77, 0x9b, 0x7a, 0x5d, 0x61, 0xbd, 0x80, 0xd8, 0xa4, 0x5a, 0x4d, 0xe3, 0xd2,
]);

/// The same for `LD-1U`, which has a USART behind a bridge in the place of USB.
pub const USART_CLASS_ID: Uuid = Uuid([
    0x0a, 0xd4, 0xd5, 0xda, 0x9d, 0x82, 0x5d, 0x0c, 0x9e, 0x69, 0x5d, 0x98, 0xbc, 0xd4, 0x09, 0xff,
]);

/// The same for `LD-2`, an STM32F072 with a cable and a light.
pub const STM32F072_CLASS_ID: Uuid = Uuid([
    0x1f, 0xf4, 0x9f, 0x64, 0x6a, 0x63, 0x5a, 0xf0, 0xa8, 0xea, 0xd9, 0xc4, 0xcd, 0x41, 0xcf, 0xfb,
]);

/// USB vendor id of both programs: pid.codes, for open hardware.
pub const USB_VENDOR_ID: u16 = 0x1209;
/// USB product id of both programs: pid.codes' number for tests. A maker asks for their own.
pub const USB_PRODUCT_ID: u16 = 0x0001;

/// A 128-bit identifier, in the order it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uuid(#[serde(with = "crate::byte_array")] pub [u8; 16]);

impl fmt::Display for Uuid {
    /// As `3ff06baf-4251-53b9-a26a-0aa7defaa40e`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if DASHES.contains(&index) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// Bytes of a UUID that a dash stands before (RFC 9562, 4).
const DASHES: [usize; 4] = [4, 6, 8, 10];

/// The chip's 96-bit unique identifier: the logger's serial number, also over USB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SerialNumber(#[serde(with = "crate::byte_array")] pub [u8; 12]);

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

/// Which of the two programs answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// Update mode: no application can be started, or it handed over because only the bootloader can write flash.
    Bootloader,
    /// The logger itself.
    Application,
}

/// What the bootloader is about to do or has done; the rows of the table in docs/update.md.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// The installed image is confirmed.
    #[default]
    Idle,
    /// A staged image waits to be verified; without an image store, one is to come.
    Pending,
    /// Flash is being written with the staged image.
    Installing,
    /// The new image runs, but no computer has confirmed it yet.
    Trial {
        /// Starts that are left before it is taken back.
        starts_left: u8,
    },
    /// The previous image is being put back.
    Reverting,
}

impl Phase {
    /// Bytes of a phase, in messages and in the boot record.
    pub const LENGTH: usize = 2;

    /// Number of the variant, starts left. Append-only.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        match self {
            Phase::Idle => [0, 0],
            Phase::Pending => [1, 0],
            Phase::Installing => [2, 0],
            Phase::Trial { starts_left } => [3, starts_left],
            Phase::Reverting => [4, 0],
        }
    }

    /// The reverse. What this version does not know is the harmless case.
    pub fn from_bytes([number, starts_left]: [u8; Self::LENGTH]) -> Phase {
        match number {
            1 => Phase::Pending,
            2 => Phase::Installing,
            3 => Phase::Trial { starts_left },
            4 => Phase::Reverting,
            _ => Phase::Idle,
        }
    }
}

/// How the latest update ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// There was none yet.
    #[default]
    None,
    /// Confirmed.
    Installed(Version),
    /// The bootloader did not install it; nothing was changed.
    Refused(Version, ImageError),
    /// It was installed, was not confirmed in its trial, and the image before it was put back.
    Reverted(Version),
    /// The stored copy could not be read back, so it could not be installed.
    Unreadable(Version),
}

impl Outcome {
    /// Bytes of an outcome, in messages and in the boot record.
    pub const LENGTH: usize = 2 + Version::LENGTH;

    /// Number of the variant, number of the error, version. Append-only.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let (number, error, version) = match self {
            Outcome::None => (0, 0, Version::default()),
            Outcome::Installed(version) => (1, 0, version),
            Outcome::Refused(version, error) => (2, error as u8, version),
            Outcome::Reverted(version) => (3, 0, version),
            Outcome::Unreadable(version) => (4, 0, version),
        };
        let mut bytes = [0; Self::LENGTH];
        bytes[..2].copy_from_slice(&[number, error]);
        bytes[2..].copy_from_slice(&version.to_bytes());
        bytes
    }

    /// The reverse. What this version does not know is the harmless case.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Outcome {
        let [number, error, version @ ..] = bytes;
        let version = Version::from_bytes(version);
        match number {
            1 => Outcome::Installed(version),
            2 => {
                let error = ImageError::ALL.get(usize::from(*error));
                Outcome::Refused(version, *error.unwrap_or(&ImageError::NotAnImage))
            }
            3 => Outcome::Reverted(version),
            4 => Outcome::Unreadable(version),
            _ => Outcome::None,
        }
    }
}

/// An image that the logger holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldImage {
    /// Version in its header.
    pub version: Version,
    /// SHA-256 over header, payload and protected TLVs.
    pub digest: Digest,
    /// Whole length in bytes, header and TLVs included.
    pub length: u32,
}

impl HeldImage {
    /// Bytes of this record, in messages and in the image store.
    pub const LENGTH: usize = Version::LENGTH + 32 + 4;

    /// Version, digest, length (little-endian).
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..8].copy_from_slice(&self.version.to_bytes());
        bytes[8..40].copy_from_slice(&self.digest.0);
        bytes[40..].copy_from_slice(&self.length.to_le_bytes());
        bytes
    }

    /// The reverse. Any bytes are a record.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> HeldImage {
        let mut version = [0; Version::LENGTH];
        let mut digest = Digest::default();
        let mut length = [0; 4];
        version.copy_from_slice(&bytes[..8]);
        digest.0.copy_from_slice(&bytes[8..40]);
        length.copy_from_slice(&bytes[40..]);
        HeldImage {
            version: Version::from_bytes(&version),
            digest,
            length: u32::from_le_bytes(length),
        }
    }
}

as_bytes!(HeldImage);

/// What a computer has to know before it deals with a logger. In a message: the model's text, then all the rest as bytes
/// in the order of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceInfo<'a> {
    /// Hardware model, as printed on the case.
    pub model: &'a str,
    /// Serial number, the same as over USB.
    pub serial: SerialNumber,
    /// The hardware's vendor, compared with the image's.
    pub vendor_id: Uuid,
    /// The hardware's class, compared with the image's.
    pub class_id: Uuid,
    /// The Ed25519 key that images must be signed with.
    pub public_key: [u8; 32],
    /// The bootloader's own version.
    pub bootloader: Version,
    /// First address of the application slot: the image header's place.
    pub slot_address: u32,
    /// Bytes of the application slot.
    pub slot_size: u32,
    /// Erase page of the slot in bytes.
    pub page_size: u16,
    /// Images with a lower security counter are refused.
    pub security_counter: u32,
    /// There is no store for images: an update goes straight to flash and cannot be rolled back.
    pub direct: bool,
    /// What the update engine is at.
    pub phase: Phase,
    /// How the latest update ended.
    pub outcome: Outcome,
    /// The image in flash, when there is a whole one.
    pub running: Option<HeldImage>,
    /// The image that is kept to go back to.
    pub previous: Option<HeldImage>,
    /// An image that was received whole and waits.
    pub staged: Option<HeldImage>,
}

/// Everything of a [`DeviceInfo`] but the model. Field by field, serde would cost each program 400 bytes of code.
#[derive(Serialize, Deserialize)]
struct Facts(#[serde(with = "crate::byte_array")] [u8; Facts::LENGTH]);

impl Facts {
    const LENGTH: usize = 12
        + 16
        + 16
        + 32
        + Version::LENGTH
        + 4
        + 4
        + 2
        + 4
        + 1
        + Phase::LENGTH
        + Outcome::LENGTH
        + 3 * HeldImage::LENGTH;
}

impl Serialize for DeviceInfo<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut facts = Facts([0; Facts::LENGTH]);
        let mut to = Writer(&mut facts.0);
        to.put(&self.serial.0);
        to.put(&self.vendor_id.0);
        to.put(&self.class_id.0);
        to.put(&self.public_key);
        to.put(&self.bootloader.to_bytes());
        to.put(&self.slot_address.to_le_bytes());
        to.put(&self.slot_size.to_le_bytes());
        to.put(&self.page_size.to_le_bytes());
        to.put(&self.security_counter.to_le_bytes());
        to.put(&[self.direct.into()]);
        to.put(&self.phase.to_bytes());
        to.put(&self.outcome.to_bytes());
        for image in [self.running, self.previous, self.staged] {
            // No image has no bytes: a length of 0 stands for none.
            to.put(&image.map_or([0; HeldImage::LENGTH], HeldImage::to_bytes));
        }
        (self.model, facts).serialize(serializer)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for DeviceInfo<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (model, facts) = <(&str, Facts)>::deserialize(deserializer)?;
        let mut from = Reader(&facts.0);
        let mut info = DeviceInfo {
            model,
            serial: SerialNumber(from.take()),
            vendor_id: Uuid(from.take()),
            class_id: Uuid(from.take()),
            public_key: from.take(),
            bootloader: Version::from_bytes(&from.take()),
            slot_address: u32::from_le_bytes(from.take()),
            slot_size: u32::from_le_bytes(from.take()),
            page_size: u16::from_le_bytes(from.take()),
            security_counter: u32::from_le_bytes(from.take()),
            direct: from.take() != [0],
            phase: Phase::from_bytes(from.take()),
            outcome: Outcome::from_bytes(&from.take()),
            running: None,
            previous: None,
            staged: None,
        };
        for image in [&mut info.running, &mut info.previous, &mut info.staged] {
            let held = HeldImage::from_bytes(&from.take());
            *image = (held.length != 0).then_some(held);
        }
        Ok(info)
    }
}
