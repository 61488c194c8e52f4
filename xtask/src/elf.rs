//! The parts of an ELF file that matter for a microcontroller: what goes into flash, what takes RAM, where functions are.
//! Must never be needed on a device: it is for building and judging firmware.

use anyhow::{Context, Result, bail};
use object::elf::{PT_LOAD, SHF_ALLOC, SHF_EXECINSTR};
use object::read::elf::{ElfFile32, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind};

/// Where RAM begins on every Cortex-M; flash lies below.
const RAM_START: u32 = 0x2000_0000;
/// Erased flash, which fills gaps between pieces.
const ERASED: u8 = 0x00;

/// A linked program.
pub struct Elf {
    /// What takes memory when it runs.
    pub sections: Vec<Section>,
    /// Functions by address, one for each address.
    pub functions: Vec<Function>,
    /// Where code and data begin within sections, by address.
    marks: Vec<Mark>,
    segments: Vec<(u32, Vec<u8>)>,
}

/// A section that takes memory when the program runs.
pub struct Section {
    /// As the linker script calls it.
    pub name: String,
    /// Where it is when the program runs.
    pub address: u32,
    /// Bytes it takes.
    pub size: u32,
    /// Its contents; none when it starts as zeros or unset.
    pub bytes: Vec<u8>,
    /// It holds instructions.
    pub executable: bool,
}

/// A function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Readable name.
    pub name: String,
    /// First instruction, without the Thumb bit.
    pub address: u32,
    /// First address behind it.
    pub end: u32,
}

/// One of ARM's mapping symbols (`$t`, `$d`; "ELF for the Arm Architecture", section 5.5.5).
struct Mark {
    address: u32,
    code: bool,
}

/// Every symbol of a program as it is linked, with the hash in its name, and where it lies.
///
/// # Errors
/// When it is no 32-bit ELF file.
pub fn symbols(file: &[u8]) -> Result<Vec<(String, u64)>> {
    let elf = ElfFile32::<Endianness>::parse(file).context("not a 32-bit ELF file")?;
    let symbols = elf.symbols();
    symbols
        .map(|symbol| Ok((symbol.name()?.to_owned(), symbol.address())))
        .collect()
}

impl Elf {
    /// Reads a linked 32-bit program.
    ///
    /// # Errors
    /// When it is no such file or contradicts itself.
    pub fn parse(file: &[u8]) -> Result<Self> {
        let elf = ElfFile32::<Endianness>::parse(file).context("not a 32-bit ELF file")?;

        let mut segments = Vec::new();
        for header in elf.elf_program_headers() {
            if header.p_type(elf.endian()) == PT_LOAD && header.p_filesz(elf.endian()) > 0 {
                let Ok(bytes) = header.data(elf.endian(), file) else {
                    bail!("a segment lies outside the file")
                };
                segments.push((header.p_paddr(elf.endian()), bytes.to_vec()));
            }
        }
        segments.sort_by_key(|&(address, _)| address);

        let mut sections = Vec::new();
        for section in elf.sections() {
            let SectionFlags::Elf { sh_flags } = section.flags() else {
                continue;
            };
            if sh_flags & u64::from(SHF_ALLOC) != 0 && section.size() > 0 {
                sections.push(Section {
                    name: section.name().unwrap_or("?").to_owned(),
                    address: u32::try_from(section.address())?,
                    size: u32::try_from(section.size())?,
                    bytes: section
                        .data()
                        .context("a section lies outside the file")?
                        .to_vec(),
                    executable: sh_flags & u64::from(SHF_EXECINSTR) != 0,
                });
            }
        }

        let mut functions = Vec::new();
        let mut marks = Vec::new();
        for symbol in elf.symbols() {
            let (Ok(name), Ok(address)) = (symbol.name(), u32::try_from(symbol.address())) else {
                continue;
            };
            match name.as_bytes() {
                [b'$', kind @ (b't' | b'd')] | [b'$', kind @ (b't' | b'd'), b'.', ..] => {
                    marks.push(Mark {
                        address,
                        code: *kind == b't',
                    });
                }
                _ if symbol.kind() == SymbolKind::Text && symbol.is_definition() => {
                    let address = address & !1;
                    let end = address.saturating_add(u32::try_from(symbol.size())?);
                    functions.push(Function {
                        name: format!("{:#}", rustc_demangle::demangle(name)),
                        address,
                        end,
                    });
                }
                _ => {}
            }
        }
        marks.sort_by_key(|mark| mark.address);
        Ok(Self {
            functions: tidy(functions, &sections),
            sections,
            marks,
            segments,
        })
    }

    /// The program as it lies in flash: its first address, and its bytes without gaps.
    ///
    /// # Errors
    /// When nothing goes into flash, or pieces overlap.
    pub fn flash(&self) -> Result<(u32, Vec<u8>)> {
        let start = self
            .segments
            .first()
            .context("nothing in it goes into flash")?
            .0;
        let mut flash = Vec::new();
        for (address, bytes) in &self.segments {
            let offset = (address - start) as usize;
            if *address >= RAM_START {
                bail!("a segment is to be loaded to RAM at {address:#010x}");
            }
            if offset < flash.len() {
                bail!("two segments overlap at {address:#010x}");
            }
            flash.resize(offset, ERASED);
            flash.extend_from_slice(bytes);
        }
        Ok((start, flash))
    }

    /// Bytes of RAM that are taken before the first call.
    pub fn static_ram(&self) -> u32 {
        self.sections
            .iter()
            .filter(|section| section.address >= RAM_START)
            .map(|section| section.size)
            .sum()
    }

    /// The section with this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The instruction halfword at an address; none where data lies or nothing.
    pub fn code(&self, address: u32) -> Option<u16> {
        let section = self
            .sections
            .iter()
            .find(|section| section.executable && section.contains(address))?;
        if !self.is_code(section, address) {
            return None;
        }
        section.read(address).map(u16::from_le_bytes)
    }

    /// The word at an address, as far as the file says.
    pub fn word(&self, address: u32) -> Option<u32> {
        self.sections
            .iter()
            .find_map(|section| section.read(address))
            .map(u32::from_le_bytes)
    }

    /// The function that an address belongs to.
    pub fn function_at(&self, address: u32) -> Option<&Function> {
        let behind = self
            .functions
            .partition_point(|function| function.address <= address);
        let function = self.functions.get(behind.checked_sub(1)?)?;
        (address < function.end).then_some(function)
    }

    /// Every word that is data and not an instruction: constants, tables, literals between functions.
    pub fn data_words(&self) -> impl Iterator<Item = (&Section, u32)> {
        self.sections.iter().flat_map(move |section| {
            let first = section.address.next_multiple_of(4);
            let end = section.address + section.bytes.len() as u32;
            (first..end)
                .step_by(4)
                .filter(move |&address| !section.executable || !self.is_code(section, address))
                .filter_map(move |address| {
                    section
                        .read(address)
                        .map(|bytes| (section, u32::from_le_bytes(bytes)))
                })
        })
    }

    /// Code is what the last mapping symbol of the section says; before the first it is code.
    fn is_code(&self, section: &Section, address: u32) -> bool {
        let behind = self.marks.partition_point(|mark| mark.address <= address);
        self.marks[..behind]
            .last()
            .is_none_or(|mark| mark.code || mark.address < section.address)
    }
}

impl Section {
    fn contains(&self, address: u32) -> bool {
        address
            .checked_sub(self.address)
            .is_some_and(|offset| offset < self.size)
    }

    fn read<const N: usize>(&self, address: u32) -> Option<[u8; N]> {
        let offset = address.checked_sub(self.address)? as usize;
        self.bytes.get(offset..)?.first_chunk().copied()
    }
}

/// One function an address, in order; hand-written assembly without a size reaches to the next function.
fn tidy(mut functions: Vec<Function>, sections: &[Section]) -> Vec<Function> {
    functions.sort_by(|a, b| {
        (a.address, std::cmp::Reverse(a.end)).cmp(&(b.address, std::cmp::Reverse(b.end)))
    });
    functions.dedup_by_key(|function| function.address);
    let starts: Vec<u32> = functions.iter().map(|function| function.address).collect();
    for (index, function) in functions.iter_mut().enumerate() {
        let section = sections
            .iter()
            .find(|section| section.contains(function.address));
        let section_end = section.map_or(u32::MAX, |section| section.address + section.size);
        let limit = starts
            .get(index + 1)
            .copied()
            .unwrap_or(u32::MAX)
            .min(section_end);
        if function.end == function.address || function.end > limit {
            function.end = limit;
        }
    }
    functions
}

#[cfg(test)]
impl Elf {
    /// A program made of code alone, for tests: functions by name and address, and which words are data.
    pub fn of_code(
        address: u32,
        bytes: Vec<u8>,
        functions: &[(&str, u32)],
        data_from: Option<u32>,
    ) -> Self {
        let size = bytes.len() as u32;
        let text = Section {
            name: ".text".into(),
            address,
            size,
            bytes,
            executable: true,
        };
        let functions = functions
            .iter()
            .map(|&(name, address)| Function {
                name: name.into(),
                address,
                end: address,
            })
            .collect();
        let sections = vec![text];
        let marks = data_from
            .map(|address| Mark {
                address,
                code: false,
            })
            .into_iter()
            .collect();
        Self {
            functions: tidy(functions, &sections),
            sections,
            marks,
            segments: Vec::new(),
        }
    }

    /// Marks these addresses as data among code.
    pub fn with_literals(mut self, addresses: std::ops::Range<u32>) -> Self {
        self.marks.push(Mark {
            address: addresses.start,
            code: false,
        });
        self.marks.push(Mark {
            address: addresses.end,
            code: true,
        });
        self
    }

    /// Adds a vector table with these words.
    pub fn with_vectors(mut self, words: &[u32]) -> Self {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let size = bytes.len() as u32;
        self.sections.push(Section {
            name: ".vector_table".into(),
            address: 0,
            size,
            bytes,
            executable: false,
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_segments(segments: Vec<(u32, Vec<u8>)>) -> Elf {
        Elf {
            sections: Vec::new(),
            functions: Vec::new(),
            marks: Vec::new(),
            segments,
        }
    }

    #[test]
    fn gaps_in_flash_are_filled_as_erased() {
        let elf = with_segments(vec![(0x0800_0000, vec![1, 2]), (0x0800_0004, vec![3])]);
        assert_eq!(
            elf.flash().expect("flash"),
            (0x0800_0000, vec![1, 2, 0, 0, 3])
        );
    }

    #[test]
    fn segments_that_overlap_or_go_to_ram_are_refused() {
        assert!(
            with_segments(vec![(0x0800_0000, vec![1, 2]), (0x0800_0001, vec![3])])
                .flash()
                .is_err()
        );
        assert!(
            with_segments(vec![(0x0800_0000, vec![1]), (0x2000_0000, vec![3])])
                .flash()
                .is_err()
        );
        assert!(with_segments(vec![]).flash().is_err());
    }

    #[test]
    fn an_address_belongs_to_the_function_around_it() {
        let elf = Elf::of_code(
            0x100,
            vec![0; 16],
            &[("first", 0x100), ("second", 0x108)],
            None,
        );
        assert_eq!(
            elf.function_at(0x106).map(|f| f.name.as_str()),
            Some("first")
        );
        assert_eq!(
            elf.function_at(0x108).map(|f| f.name.as_str()),
            Some("second")
        );
        assert_eq!(elf.function_at(0x110), None);
        assert_eq!(elf.function_at(0xFE), None);
    }

    #[test]
    fn a_literal_is_data_and_no_instruction() {
        let elf = Elf::of_code(
            0x100,
            vec![0x70, 0x47, 0, 0, 1, 2, 3, 4],
            &[("f", 0x100)],
            Some(0x104),
        );
        assert_eq!(elf.code(0x100), Some(0x4770));
        assert_eq!(elf.code(0x104), None);
        assert_eq!(
            elf.data_words().map(|(_, word)| word).collect::<Vec<_>>(),
            [0x0403_0201]
        );
    }

    #[test]
    fn what_is_no_elf_file_is_refused() {
        assert!(Elf::parse(b"").is_err());
        assert!(Elf::parse(b"\x7fELF and then nothing").is_err());
    }
}
