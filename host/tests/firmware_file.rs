//! Whatever is dropped on the page: a whole image, or a sentence on what is wrong with it. Never a panic.

use host::firmware_file::{FileError, FirmwareFile};
use ihex::{Record, create_object_file_representation};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::image::{HEADER_SIZE, ImageError, MAGIC, PROTECTED_MAGIC, TLV_MAGIC, tlv};
use sha2::{Digest, Sha256};

/// First address of the application's slot.
const SLOT: u32 = 0x0800_7000;

/// An unsigned but whole image with `payload`.
fn image(payload: &[u8]) -> Vec<u8> {
    let mut protected = Vec::new();
    for (kind, value) in [
        (tlv::SECURITY_COUNTER, &[1, 0, 0, 0][..]),
        (tlv::VENDOR_ID, &[2; 16]),
        (tlv::CLASS_ID, &[3; 16]),
    ] {
        protected.extend(entry(kind, value));
    }
    let mut bytes = vec![0; usize::from(HEADER_SIZE)];
    bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[8..10].copy_from_slice(&HEADER_SIZE.to_le_bytes());
    bytes[10..12].copy_from_slice(&(protected.len() as u16 + 4).to_le_bytes());
    bytes[12..16].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    bytes[20] = 3;
    bytes.extend(payload);
    bytes.extend(list(PROTECTED_MAGIC, &protected));
    let digest = Sha256::digest(&bytes);
    let mut others = entry(tlv::SHA256, &digest);
    others.extend(entry(tlv::KEY_HASH, &[4; 32]));
    others.extend(entry(tlv::ED25519, &[5; 64]));
    bytes.extend(list(TLV_MAGIC, &others));
    bytes
}

fn entry(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend((value.len() as u16).to_le_bytes());
    bytes.extend(value);
    bytes
}

fn list(magic: u16, entries: &[u8]) -> Vec<u8> {
    let mut bytes = magic.to_le_bytes().to_vec();
    bytes.extend((entries.len() as u16 + 4).to_le_bytes());
    bytes.extend(entries);
    bytes
}

fn hex(address: u32, bytes: &[u8], per_line: usize) -> String {
    let mut records = Vec::new();
    let mut upper = None;
    for (index, value) in bytes.chunks(per_line).enumerate() {
        let address = address + (index * per_line) as u32;
        if upper != Some(address >> 16) {
            upper = Some(address >> 16);
            records.push(Record::ExtendedLinearAddress((address >> 16) as u16));
        }
        records.push(Record::Data {
            offset: address as u16,
            value: value.to_vec(),
        });
    }
    records.push(Record::EndOfFile);
    create_object_file_representation(&records).unwrap()
}

fn read(bytes: &[u8]) -> Result<FirmwareFile, FileError> {
    FirmwareFile::read("file", bytes)
}

#[test]
fn hex_and_bin_give_the_same_image() {
    let bytes = image(&[0x5A; 1000]);
    let bin = read(&bytes).unwrap();
    assert_eq!(bin.image(), &bytes[..]);
    assert_eq!(bin.version().major, 3);
    assert_eq!(bin.address, None);
    for text in [
        hex(SLOT, &bytes, 16),
        hex(SLOT, &bytes, 32).replace('\n', "\r\n"),
        hex(SLOT, &bytes, 16).to_lowercase(),
        format!("\n  {}\n\n", hex(SLOT, &bytes, 8)),
    ] {
        let file = read(text.as_bytes()).unwrap();
        assert_eq!(file.address, Some(SLOT));
        assert_eq!(file.digest(), bin.digest());
        assert_eq!(file.image(), bin.image());
    }
}

#[test]
fn lines_in_any_order_and_gaps_of_erased_flash_are_read() {
    let mut payload = [0x5A; 1000];
    payload[100..400].fill(0);
    let bytes = image(&payload);
    let text = hex(SLOT, &bytes, 16);
    let (first, rest) = text.split_once('\n').unwrap();
    let mut lines: Vec<_> = rest
        .lines()
        .filter(|line| !line.starts_with(":10") || !line.contains(&"0".repeat(32)))
        .collect();
    let end = lines.pop().unwrap();
    lines.reverse();
    let shuffled = format!("{first}\n{}\n{end}\n", lines.join("\n"));
    assert!(shuffled.len() < text.len());
    assert_eq!(read(shuffled.as_bytes()).unwrap().image(), &bytes[..]);
}

#[test]
fn padding_to_the_slots_end_is_no_part_of_the_image() {
    let bytes = image(&[0x5A; 100]);
    for fill in [0x00, 0xFF] {
        let mut padded = bytes.clone();
        padded.resize(0x9000, fill);
        assert_eq!(read(&padded).unwrap().image(), &bytes[..]);
    }
    let mut followed = bytes.clone();
    followed.push(0x12);
    assert_eq!(
        read(&followed),
        Err(FileError::Image(ImageError::BadTrailer))
    );
}

#[test]
fn what_is_no_firmware_is_told_apart() {
    let bytes = image(&[0x5A; 100]);
    let text = hex(SLOT, &bytes, 16);
    assert_eq!(read(b""), Err(FileError::Empty));
    assert_eq!(read(b"Dear Sir,\n"), Err(FileError::NotFirmware));
    assert_eq!(read(&vec![0; 5 << 20]), Err(FileError::TooLarge));
    assert_eq!(read(b":00000001FF\n"), Err(FileError::NotFirmware));

    // A digit changed on line 4, and a line that is none.
    let mut lines: Vec<String> = text.lines().map(Into::into).collect();
    lines[3].replace_range(12..13, "1");
    assert_eq!(
        read(lines.join("\n").as_bytes()),
        Err(FileError::HexLine {
            line: 4,
            checksum: true
        })
    );
    lines[3] = "hello".into();
    assert_eq!(
        read(lines.join("\n").as_bytes()),
        Err(FileError::HexLine {
            line: 4,
            checksum: false
        })
    );

    // Cut at a line's end, and within a line.
    let end = text.find(":00000001FF").unwrap();
    assert_eq!(read(&text.as_bytes()[..end]), Err(FileError::HexEnd));
    assert!(matches!(
        read(&text.as_bytes()[..end - 7]),
        Err(FileError::HexLine { .. })
    ));
    // Another program's .hex, and one that says two things of one place.
    assert_eq!(
        read(hex(SLOT, &[1; 64], 16).as_bytes()),
        Err(FileError::Image(ImageError::NotAnImage))
    );
    let twice = format!(
        "{}{text}",
        text.replace(":00000001FF\n", "").replace(":00000001FF", "")
    );
    assert_eq!(read(twice.as_bytes()), Err(FileError::HexLayout));
}

#[test]
fn an_image_changed_or_cut_anywhere_is_refused() {
    let bytes = image(&[0x5A; 300]);
    for length in 1..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "cut to {length}");
    }
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 0x10;
        let key_or_signature = index >= bytes.len() - (4 + 64 + 4 + 32);
        match read(&changed) {
            // Whether key and signature are right is asked when the logger is known.
            Ok(_) => assert!(key_or_signature, "byte {index}"),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in vec(any::<u8>(), 0..2000)) {
        let _ = read(&bytes);
    }

    #[test]
    fn any_hex_lines_are_read_without_a_panic(
        lines in vec(vec(any::<u8>(), 0..40), 0..20),
        changed in any::<(usize, u8)>(),
    ) {
        let mut text = String::new();
        for mut line in lines {
            if let Some(length) = line.len().checked_sub(4) {
                line[0] = length as u8;
                line[3] %= 6;
            }
            let sum = line.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
            line.push(sum.wrapping_neg());
            text.push(':');
            for byte in line {
                text += &format!("{byte:02X}");
            }
            text.push('\n');
        }
        text += ":00000001FF\n";
        let _ = read(text.as_bytes());
        let mut bytes = text.into_bytes();
        let index = changed.0 % bytes.len();
        bytes[index] = changed.1;
        let _ = read(&bytes);
    }

    #[test]
    fn any_payload_comes_back_through_hex(
        payload in vec(any::<u8>(), 1..3000),
        per_line in 1usize..255,
        address in 0u32..0xFFFF_0000,
    ) {
        let bytes = image(&payload);
        let text = hex(address, &bytes, per_line);
        match read(text.as_bytes()) {
            Ok(file) => prop_assert_eq!(file.image(), &bytes[..]),
            // A line that crosses a 64 KB boundary wraps round in it: such files contradict themselves.
            Err(error) => prop_assert!((address + bytes.len() as u32) >> 16 != address >> 16, "{}", error),
        }
    }
}
