//! Firmware files: read, and checked for a logger.

use host::check::check_for;
use host::firmware_file::{FirmwareFile, LARGEST_FILE};
use host::protocol::device::Uuid;
use host::protocol::image::{HEADER_SIZE, MAGIC, Target};
use wasm_bindgen::prelude::wasm_bindgen;

/// Bytes of the largest file that is looked at.
#[wasm_bindgen]
pub fn largest_file() -> usize {
    LARGEST_FILE
}

/// Reads what is like a firmware file up to its end. A browser compiles a program well only where it has run for a while:
/// the first large file is read in a fifth of the time when a small one was read before.
#[wasm_bindgen]
pub fn warm_up() {
    let mut image = vec![0; WARM_UP];
    image[..4].copy_from_slice(&MAGIC.to_le_bytes());
    image[8..10].copy_from_slice(&HEADER_SIZE.to_le_bytes());
    let payload = WARM_UP as u32 - u32::from(HEADER_SIZE);
    image[12..16].copy_from_slice(&payload.to_le_bytes());
    let mut text = String::new();
    for (index, bytes) in image.chunks(16).enumerate() {
        let offset = (16 * index) as u16;
        let mut record = [&[16], &offset.to_be_bytes()[..], &[0], bytes].concat();
        let sum = record.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        record.push(sum.wrapping_neg());
        text.push(':');
        for byte in record {
            text.push_str(&format!("{byte:02X}"));
        }
        text.push('\n');
    }
    text.push_str(":00000001FF\n");
    // It has no signature, and more than that nobody asks.
    let _ = FirmwareFile::read("", text.as_bytes());
}

/// Bytes of an image that are enough for that: as many as a logger takes.
const WARM_UP: usize = 32 << 10;

/// A file that is whole.
#[wasm_bindgen]
pub struct Firmware(FirmwareFile);

#[wasm_bindgen]
impl Firmware {
    /// Reads it; throws words for its owner.
    ///
    /// # Errors
    /// Why it is no firmware.
    #[wasm_bindgen(constructor)]
    pub fn read(name: &str, bytes: &[u8]) -> Result<Firmware, String> {
        FirmwareFile::read(name, bytes)
            .map(Firmware)
            .map_err(|error| error.to_string())
    }

    /// Its version, as in its header.
    pub fn version(&self) -> Vec<u8> {
        self.0.version().to_bytes().into()
    }

    /// Its digest.
    pub fn digest(&self) -> Vec<u8> {
        self.0.digest().0.into()
    }

    /// The whole image.
    pub fn image(&self) -> Vec<u8> {
        self.0.image().into()
    }

    /// Where the image's trailer begins.
    pub fn trailer(&self) -> u32 {
        self.0.header().trailer_offset()
    }

    /// Why a logger would not take it, in words for its owner: its numbers are those of [`Target`] in their order there,
    /// its ids (vendor, class) and its public key stand one behind the other. None when it will.
    pub fn objection(&self, numbers: &[u32], ids: &[u8]) -> Option<String> {
        let (
            &[
                slot_address,
                slot_size,
                ram_address,
                ram_size,
                security_counter,
            ],
            Some(ids),
        ) = (numbers, split(ids))
        else {
            return Some(String::new());
        };
        let (vendor_id, class_id, key) = ids;
        let target = Target {
            slot_address,
            slot_size,
            ram_address,
            ram_size,
            vendor_id,
            class_id,
            security_counter,
        };
        check_for(&self.0, &target, key)
            .err()
            .map(|objection| objection.to_string())
    }
}

fn split(ids: &[u8]) -> Option<(Uuid, Uuid, &[u8; 32])> {
    let (vendor, rest) = ids.split_first_chunk()?;
    let (class, rest) = rest.split_first_chunk()?;
    Some((Uuid(*vendor), Uuid(*class), rest.try_into().ok()?))
}
