//! Reads firmware that a person wants to run: Intel HEX, raw binary or ELF.
//!
//! Any firmware for the chip, not only this project's: what is read here is bytes and addresses, never their meaning.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use emulator::machine::Machine;
use emulator::memory::{FLASH_BASE, FLASH_SIZE};
use ihex::Record;
use object::Endianness;
use object::elf::{self, FileHeader32};
use object::read::elf::{FileHeader, ProgramHeader};

/// First address of the data EEPROM (RM0376, memory map).
pub(crate) const EEPROM_BASE: u32 = 0x0808_0000;
/// Bytes of data EEPROM (STM32L052).
pub(crate) const EEPROM_SIZE: usize = 2 * 1024;

/// Bytes, and where they go in the chip's memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    address: u32,
    bytes: Vec<u8>,
}

/// Why a file cannot be run.
#[derive(Debug)]
pub struct FirmwareError {
    file: String,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    Unreadable(io::Error),
    UnknownKind,
    NoAddress,
    BadAddress(String),
    NotHex { line: usize, problem: String },
    HexWithoutEnd,
    NotElf(object::Error),
    NotArm,
    Empty,
    Outside { address: u32, length: usize },
    NotTaken { address: u32, problem: String },
}

impl Firmware {
    /// Reads `argument`, a path that ends in .hex, .ihex or .elf, or one that ends in .bin with `@ADDRESS` behind it.
    ///
    /// # Errors
    /// When the file cannot be read, is not what its name says, is empty, or wants memory that the chip does not have.
    pub fn open(argument: &str) -> Result<Firmware, FirmwareError> {
        let fail = |reason| FirmwareError {
            file: argument.to_string(),
            reason,
        };
        let (path, address) = match argument.rsplit_once('@') {
            Some((path, address)) if has_extension(path, "bin") => (path, Some(address)),
            _ => (argument, None),
        };
        let parse = kind(path).ok_or_else(|| fail(Reason::UnknownKind))?;
        let bytes = fs::read(path).map_err(|error| fail(Reason::Unreadable(error)))?;
        let segments = parse(&bytes, address).map_err(fail)?;
        if segments.iter().all(|segment| segment.bytes.is_empty()) {
            return Err(fail(Reason::Empty));
        }
        for segment in &segments {
            if segment.place().is_none() {
                return Err(fail(Reason::Outside {
                    address: segment.address,
                    length: segment.bytes.len(),
                }));
            }
        }
        Ok(Firmware { segments })
    }

    /// Puts it into the machine's flash and EEPROM, as a programmer would before the logger leaves the factory.
    ///
    /// # Errors
    /// When the machine refuses an address; `argument` names the file in the message.
    pub fn load_into(&self, machine: &mut Machine, argument: &str) -> Result<(), FirmwareError> {
        for segment in &self.segments {
            let address = segment.address;
            let taken = match segment.place() {
                Some(Place::Flash) => machine.program_flash(address, &segment.bytes),
                Some(Place::Eeprom { offset }) => machine.program_eeprom(offset, &segment.bytes),
                None => continue,
            };
            taken.map_err(|error| FirmwareError {
                file: argument.to_string(),
                reason: Reason::NotTaken {
                    address,
                    problem: error.to_string(),
                },
            })?;
        }
        Ok(())
    }
}

enum Place {
    Flash,
    Eeprom { offset: usize },
}

impl Segment {
    fn place(&self) -> Option<Place> {
        if offset_within(FLASH_BASE, FLASH_SIZE, self.address, self.bytes.len()).is_some() {
            return Some(Place::Flash);
        }
        let offset = offset_within(EEPROM_BASE, EEPROM_SIZE, self.address, self.bytes.len())?;
        Some(Place::Eeprom { offset })
    }
}

/// Where `length` bytes at `address` begin in a memory, when they fit.
pub(crate) fn offset_within(base: u32, size: usize, address: u32, length: usize) -> Option<usize> {
    let offset = address.checked_sub(base)? as usize;
    (offset.checked_add(length)? <= size).then_some(offset)
}

type Parse = fn(&[u8], Option<&str>) -> Result<Vec<Segment>, Reason>;

fn kind(path: &str) -> Option<Parse> {
    if has_extension(path, "hex") || has_extension(path, "ihex") {
        Some(|bytes, _| parse_hex(bytes))
    } else if has_extension(path, "elf") {
        Some(|bytes, _| parse_elf(bytes))
    } else if has_extension(path, "bin") {
        Some(parse_bin)
    } else {
        None
    }
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn parse_bin(bytes: &[u8], address: Option<&str>) -> Result<Vec<Segment>, Reason> {
    let text = address.ok_or(Reason::NoAddress)?;
    let address = parse_number(text).ok_or_else(|| Reason::BadAddress(text.to_string()))?;
    Ok(vec![Segment {
        address,
        bytes: bytes.to_vec(),
    }])
}

/// A number as people write addresses: decimal, or hexadecimal after `0x`; underscores are for the eye.
pub(crate) fn parse_number(text: &str) -> Option<u32> {
    let digits = text.replace('_', "");
    match digits
        .strip_prefix("0x")
        .or_else(|| digits.strip_prefix("0X"))
    {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => digits.parse().ok(),
    }
}

fn parse_hex(bytes: &[u8]) -> Result<Vec<Segment>, Reason> {
    let text = String::from_utf8_lossy(bytes);
    let mut segments: Vec<Segment> = Vec::new();
    let mut base = 0_u32;
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let record = Record::from_record_string(line).map_err(|error| Reason::NotHex {
            line: index + 1,
            problem: error.to_string(),
        })?;
        match record {
            Record::Data { offset, value } => {
                append(&mut segments, base.wrapping_add(u32::from(offset)), &value)
            }
            Record::ExtendedSegmentAddress(paragraph) => base = u32::from(paragraph) << 4,
            Record::ExtendedLinearAddress(upper) => base = u32::from(upper) << 16,
            Record::StartSegmentAddress { .. } | Record::StartLinearAddress(_) => {}
            Record::EndOfFile => return Ok(segments),
        }
    }
    Err(Reason::HexWithoutEnd)
}

/// Joins records that follow each other, so that a file of thousands of lines becomes a few segments.
fn append(segments: &mut Vec<Segment>, address: u32, bytes: &[u8]) {
    if let Some(last) = segments.last_mut()
        && last.address.checked_add(last.bytes.len() as u32) == Some(address)
    {
        last.bytes.extend_from_slice(bytes);
        return;
    }
    segments.push(Segment {
        address,
        bytes: bytes.to_vec(),
    });
}

fn parse_elf(bytes: &[u8]) -> Result<Vec<Segment>, Reason> {
    let header = FileHeader32::<Endianness>::parse(bytes).map_err(Reason::NotElf)?;
    let endian = header.endian().map_err(Reason::NotElf)?;
    if header.e_machine(endian) != elf::EM_ARM {
        return Err(Reason::NotArm);
    }
    let mut segments = Vec::new();
    for program in header
        .program_headers(endian, bytes)
        .map_err(Reason::NotElf)?
    {
        if program.p_type(endian) != elf::PT_LOAD || program.p_filesz(endian) == 0 {
            continue;
        }
        // The physical address: initial values of variables live in flash, the variables themselves in RAM.
        let address = program.p_paddr(endian);
        let bytes = program.data(endian, bytes).map_err(|()| Reason::Outside {
            address,
            length: program.p_filesz(endian) as usize,
        })?;
        segments.push(Segment {
            address,
            bytes: bytes.to_vec(),
        });
    }
    Ok(segments)
}

impl fmt::Display for FirmwareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        match &self.reason {
            Reason::Unreadable(error) => write!(f, "cannot be read: {error}"),
            Reason::UnknownKind => f.write_str("the name must end in .hex, .elf or .bin@ADDRESS"),
            Reason::NoAddress => {
                f.write_str("a raw binary does not say where it belongs: write .bin@ADDRESS, such as .bin@0x08000000")
            }
            Reason::BadAddress(text) => write!(f, "\"{text}\" is no address: write it like 0x08000000"),
            Reason::NotHex { line, problem } => write!(f, "line {line} is no Intel HEX record: {problem}"),
            Reason::HexWithoutEnd => f.write_str("there is no end-of-file record: the file was cut short"),
            Reason::NotElf(error) => write!(f, "is no 32-bit ELF file: {error}"),
            Reason::NotArm => f.write_str("is an ELF file for another processor than ARM"),
            Reason::Empty => f.write_str("has no bytes to load"),
            Reason::Outside { address, length } => write!(
                f,
                "{length} bytes at {address:#010x} do not fit: the chip has {} KB flash at {FLASH_BASE:#010x} \
                 and {} KB EEPROM at {EEPROM_BASE:#010x}",
                FLASH_SIZE / 1024,
                EEPROM_SIZE / 1024
            ),
            Reason::NotTaken { address, problem } => write!(f, "cannot be loaded at {address:#010x}: {problem}"),
        }
    }
}

impl std::error::Error for FirmwareError {}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO_RECORDS: &str = ":020000040800F2\n:04000000010203 04EE\n";

    fn hex(lines: &[&str]) -> Result<Vec<Segment>, Reason> {
        parse_hex(lines.join("\r\n").as_bytes())
    }

    /// A minimal ELF file with one loadable segment: linked to RAM, loaded from flash.
    fn small_elf(machine: u16) -> Vec<u8> {
        let mut file = b"\x7fELF\x01\x01\x01".to_vec();
        file.resize(16, 0);
        for half in [2, machine] {
            file.extend(u16::to_le_bytes(half));
        }
        // version, entry, program headers at 52, no sections, flags
        for word in [1_u32, 0x0800_0001, 52, 0, 0] {
            file.extend(word.to_le_bytes());
        }
        for half in [52_u16, 32, 1, 40, 0, 0] {
            file.extend(half.to_le_bytes());
        }
        // PT_LOAD, offset, virtual and physical address, size in file and memory, flags, alignment
        for word in [1_u32, 84, 0x2000_0000, 0x0800_0100, 4, 4, 7, 4] {
            file.extend(word.to_le_bytes());
        }
        file.extend(b"\xde\xad\xbe\xef");
        file
    }

    #[test]
    fn records_that_follow_each_other_become_one_segment() {
        let segments = hex(&[
            ":020000040800F2",
            ":0400000001020304F2",
            ":0400040005060708DE",
            ":04010000AABBCCDDED",
            ":00000001FF",
        ])
        .expect("a sound file");
        assert_eq!(
            segments,
            [
                Segment {
                    address: 0x0800_0000,
                    bytes: vec![1, 2, 3, 4, 5, 6, 7, 8]
                },
                Segment {
                    address: 0x0800_0100,
                    bytes: vec![0xAA, 0xBB, 0xCC, 0xDD]
                },
            ]
        );
    }

    #[test]
    fn a_broken_record_is_named_by_its_line() {
        assert!(matches!(
            parse_hex(TWO_RECORDS.as_bytes()),
            Err(Reason::NotHex { line: 2, .. })
        ));
        assert!(
            matches!(
                hex(&[":020000040800F3"]),
                Err(Reason::NotHex { line: 1, .. })
            ),
            "a bad checksum"
        );
    }

    #[test]
    fn a_hex_file_without_its_end_was_cut_short() {
        assert!(matches!(
            hex(&[":020000040800F2", ":0400000001020304F2"]),
            Err(Reason::HexWithoutEnd)
        ));
    }

    #[test]
    fn an_elf_file_is_loaded_at_its_physical_addresses() {
        let segments = parse_elf(&small_elf(elf::EM_ARM)).expect("a sound file");
        assert_eq!(
            segments,
            [Segment {
                address: 0x0800_0100,
                bytes: b"\xde\xad\xbe\xef".to_vec()
            }]
        );
    }

    #[test]
    fn elf_files_of_other_processors_and_torn_ones_are_refused() {
        assert!(matches!(
            parse_elf(&small_elf(elf::EM_X86_64)),
            Err(Reason::NotArm)
        ));
        assert!(matches!(
            parse_elf(b"not an ELF file at all"),
            Err(Reason::NotElf(_))
        ));
        let whole = small_elf(elf::EM_ARM);
        for length in 0..whole.len() {
            assert!(
                parse_elf(&whole[..length]).is_err(),
                "cut to {length} bytes"
            );
        }
    }

    #[test]
    fn a_raw_binary_must_say_where_it_belongs() {
        assert!(matches!(parse_bin(b"1234", None), Err(Reason::NoAddress)));
        assert!(matches!(
            parse_bin(b"1234", Some("flash")),
            Err(Reason::BadAddress(_))
        ));
        let segments = parse_bin(b"1234", Some("0x0800_7000")).expect("a sound address");
        assert_eq!(
            segments,
            [Segment {
                address: 0x0800_7000,
                bytes: b"1234".to_vec()
            }]
        );
    }

    #[test]
    fn what_does_not_fit_the_chip_is_refused() {
        let at = |address, length| {
            Segment {
                address,
                bytes: vec![0; length],
            }
            .place()
            .is_some()
        };
        assert!(at(0x0800_0000, 0x1_0000));
        assert!(!at(0x0800_0001, 0x1_0000));
        assert!(at(0x0808_0000, 2048));
        assert!(!at(0x0808_0000, 2049));
        assert!(!at(0x2000_0000, 4), "RAM is not for files");
        assert!(!at(0xFFFF_FFFF, 4));
    }

    #[test]
    fn a_file_that_is_not_there_or_of_no_known_kind_is_refused_by_name() {
        for (argument, words) in [
            ("nothing-here.hex", "cannot be read"),
            ("notes.txt", "must end in"),
        ] {
            let error = Firmware::open(argument)
                .expect_err("no such firmware")
                .to_string();
            assert!(
                error.starts_with(argument) && error.contains(words),
                "{error}"
            );
        }
    }
}
