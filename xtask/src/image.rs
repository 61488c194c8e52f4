//! Writes firmware images in MCUboot's format, byte for byte as imgtool 2.5.0 does:
//! `imgtool sign --align 4 --header-size 0x100 --pad-header --erased-val 0 --security-counter N --vid … --cid …`.
//! Must never read images: `protocol` does that, for the device and the page alike.

use anyhow::{Result, ensure};
use protocol::device::Uuid;
use protocol::image::{HEADER_SIZE, MAGIC, PROTECTED_MAGIC, TLV_MAGIC, Version, tlv};
use sha2::{Digest, Sha256};

use crate::keys::SigningKey;

/// What erased flash of the STM32L0 reads as.
const ERASED: u8 = 0x00;

/// What an image says about itself, apart from its code.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Stands in the header.
    pub version: Version,
    /// A device never goes back to an image with a lower one.
    pub security_counter: u32,
    /// Who makes the hardware it runs on.
    pub vendor: Uuid,
    /// Which hardware of this vendor it runs on.
    pub class: Uuid,
}

/// Puts the header before a program and the signed TLVs behind it.
///
/// The program is what lies in flash from [`HEADER_SIZE`] bytes after the slot's start on; it is padded to whole words.
///
/// # Errors
/// When the program is empty or longer than a header can say.
pub fn sign(program: &[u8], description: &Description, key: &SigningKey) -> Result<Vec<u8>> {
    ensure!(!program.is_empty(), "the program is empty");
    let mut payload = program.to_vec();
    payload.resize(payload.len().next_multiple_of(4), ERASED);

    let protected = tlv_area(
        PROTECTED_MAGIC,
        &[
            (
                tlv::SECURITY_COUNTER,
                &description.security_counter.to_le_bytes(),
            ),
            (tlv::VENDOR_ID, &description.vendor.0),
            (tlv::CLASS_ID, &description.class.0),
        ],
    )?;
    let mut image = header(payload.len(), protected.len(), description.version)?;
    image.extend_from_slice(&payload);
    image.extend_from_slice(&protected);

    let digest: [u8; 32] = Sha256::digest(&image).into();
    let signature = key.sign(&digest);
    image.extend(tlv_area(
        TLV_MAGIC,
        &[
            (tlv::SHA256, &digest),
            (tlv::KEY_HASH, &key.hash()),
            (tlv::ED25519, &signature),
        ],
    )?);
    Ok(image)
}

/// `struct image_header`, padded to [`HEADER_SIZE`].
fn header(payload: usize, protected: usize, version: Version) -> Result<Vec<u8>> {
    let mut header = Vec::with_capacity(usize::from(HEADER_SIZE));
    header.extend(MAGIC.to_le_bytes());
    header.extend(0_u32.to_le_bytes()); // Load address: runs where it lies.
    header.extend(HEADER_SIZE.to_le_bytes());
    header.extend(u16::try_from(protected)?.to_le_bytes());
    header.extend(u32::try_from(payload)?.to_le_bytes());
    header.extend(0_u32.to_le_bytes()); // Flags.
    header.extend([version.major, version.minor]);
    header.extend(version.revision.to_le_bytes());
    header.extend(version.build.to_le_bytes());
    header.resize(usize::from(HEADER_SIZE), ERASED);
    Ok(header)
}

/// A TLV area: its own magic and length, then each type, length and value.
fn tlv_area(magic: u16, entries: &[(u16, &[u8])]) -> Result<Vec<u8>> {
    let mut values = Vec::new();
    for (kind, value) in entries {
        values.extend(kind.to_le_bytes());
        values.extend(u16::try_from(value.len())?.to_le_bytes());
        values.extend_from_slice(value);
    }
    let mut area = Vec::with_capacity(values.len() + 4);
    area.extend(magic.to_le_bytes());
    area.extend(u16::try_from(values.len() + 4)?.to_le_bytes());
    area.append(&mut values);
    Ok(area)
}

#[cfg(test)]
mod tests {
    use protocol::image::{Header, Trailer};

    use super::*;

    /// The key of RFC 8410, section 10.3: never changed, so imgtool's file below stays right.
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

    /// Written by imgtool 2.5.0 with that key from the twenty bytes 1 to 20:
    /// `imgtool sign -k KEY --align 4 -v 1.2.772+5 -s 7 -H 0x100 -R 0 --pad-header -S 0x9000 --overwrite-only
    /// --vid 00010203-0405-0607-0809-0a0b0c0d0e0f --cid f0f1f2f3-f4f5-f6f7-f8f9-fafbfcfdfeff`.
    const FROM_IMGTOOL: &[u8] = include_bytes!("image/imgtool-2.5.0.bin");

    fn description() -> Description {
        Description {
            version: Version {
                major: 1,
                minor: 2,
                revision: 0x304,
                build: 5,
            },
            security_counter: 7,
            vendor: Uuid(std::array::from_fn(|i| i as u8)),
            class: Uuid(std::array::from_fn(|i| 0xF0 | i as u8)),
        }
    }

    #[test]
    fn an_image_is_what_imgtool_would_have_written() {
        let key = SigningKey::from_pem(KEY).expect("a key");
        let program: Vec<u8> = (1..=20).collect();
        let image = sign(&program, &description(), &key).expect("an image");
        assert_eq!(image, FROM_IMGTOOL);
    }

    #[test]
    fn a_program_is_padded_to_whole_words_with_erased_bytes() {
        let key = SigningKey::from_pem(KEY).expect("a key");
        let odd = sign(&[1, 2, 3, 4, 5], &description(), &key).expect("an image");
        let padded = sign(&[1, 2, 3, 4, 5, 0, 0, 0], &description(), &key).expect("an image");
        assert_eq!(odd, padded);
        assert_eq!(odd[12..16], 8_u32.to_le_bytes());
    }

    #[test]
    fn an_empty_program_is_refused() {
        let key = SigningKey::from_pem(KEY).expect("a key");
        assert!(sign(&[], &description(), &key).is_err());
    }

    #[test]
    fn the_device_reads_back_what_was_written() {
        let key = SigningKey::from_pem(KEY).expect("a key");
        let image = sign(&[1, 2, 3, 4], &description(), &key).expect("an image");
        let header = Header::parse(&image).expect("the header");
        assert_eq!(header.version, description().version);
        assert_eq!(header.payload_size, 4);
        let trailer =
            Trailer::parse(&header, &image[header.trailer_offset() as usize..]).expect("the TLVs");
        assert_eq!(trailer.security_counter, 7);
        assert_eq!(trailer.vendor_id, description().vendor);
        assert_eq!(trailer.class_id, description().class);
        assert_eq!(trailer.key_hash, key.hash());
        assert_eq!(
            trailer.length as usize,
            image.len() - header.trailer_offset() as usize
        );
    }
}
