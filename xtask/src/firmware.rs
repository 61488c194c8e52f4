//! Builds bootloader and application for each board, signs the application, writes the files that people flash and drop
//! on the page, and holds the programs against their budgets. Must never sign with anything but the key it was given, and the tests' own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use host::catalogue::{self, Catalogue};
use protocol::device::{
    CLASS_ID, DIRECT_CLASS_ID, STM32F072_CLASS_ID, USART_CLASS_ID, Uuid, VENDOR_ID,
};
use protocol::image::{HEADER_SIZE, Version};
use sha2::{Digest, Sha256};

use crate::elf::{self, Elf};
use crate::hex;
use crate::image::{self, Description};
use crate::keys::SigningKey;
use crate::project::{DEVICE_TARGET, Project, run, write};
use crate::stack::{self, StackBound};
use crate::tally::Tally;

/// First address of flash, and of the bootloader (docs: "Memory").
const BOOTLOADER: u32 = 0x0800_0000;
/// Flash of the bootloader: the write-protected sectors 0 to 6.
const BOOTLOADER_SIZE: u32 = 28 * 1024;
/// First address of the application slot.
pub const SLOT: u32 = BOOTLOADER + BOOTLOADER_SIZE;
/// Flash of the application slot, header and TLVs included.
pub const SLOT_SIZE: u32 = 36 * 1024;
/// Flash that stays free in each, for the correction that is needed one day.
const SPARE: u32 = 1024;
/// RAM for variables and stack together; the chip has 8 KB.
const RAM: u32 = 7 * 1024 + 512;

/// One logger to build.
pub struct Release {
    version: Version,
    /// Cargo features that make it this version.
    features: &'static [&'static str],
    /// Goes up only when older versions must never be installed again.
    security_counter: u32,
    /// The day it is published.
    date: &'static str,
    /// What is new: application, language, text.
    notes: &'static [(&'static str, &'static str, &'static str)],
}

impl Release {
    /// The name of its files.
    fn name(&self, board: &Board) -> String {
        format!("{}{}-{}", board.application, board.suffix, self.version)
    }
}

/// Both loggers: what a device comes with, and what it is updated to.
pub const RELEASES: [Release; 2] = [
    Release {
        version: Version {
            major: 1,
            minor: 0,
            revision: 0,
            build: 0,
        },
        features: &[],
        security_counter: 1,
        date: "2026-11-01",
        notes: &[
            ("logger", "en", "What the logger leaves the factory with."),
            ("logger", "fr", "La version d’origine de l’enregistreur."),
        ],
    },
    Release {
        version: Version {
            major: 1,
            minor: 1,
            revision: 0,
            build: 0,
        },
        features: &["v1_1"],
        security_counter: 1,
        date: "2026-11-22",
        notes: &[
            (
                "logger",
                "en",
                "Averaging: 4 or 16 conversions can make one value, with less noise.",
            ),
            (
                "logger",
                "fr",
                "Moyenne : 4 ou 16 conversions peuvent faire une valeur, avec moins de bruit.",
            ),
            ("blinky", "en", "It blinks faster."),
            ("blinky", "fr", "Elle clignote plus vite."),
        ],
    },
];

/// A board that both programs are built for.
struct Board {
    /// As the device says it (`board::identity`).
    model: &'static str,
    /// Stands in the names of its files.
    suffix: &'static str,
    /// The package of its application.
    application: &'static str,
    /// The Cargo feature of the bootloader that names the chip.
    chip: &'static str,
    /// Cargo features that make both programs this board's.
    features: &'static [&'static str],
    class: Uuid,
    /// Flash of the application slot, header and TLVs included.
    slot_size: u32,
    /// RAM for variables and stack together: half a kilobyte less than the chip has.
    ram: u32,
    /// What erased flash reads as.
    erased: u8,
}

/// The logger.
const LD_1: Board = Board {
    model: "LD-1",
    suffix: "",
    application: "logger",
    chip: "stm32l052",
    features: &[],
    class: CLASS_ID,
    slot_size: SLOT_SIZE,
    ram: RAM,
    erased: 0x00,
};

/// The logger; the one without NAND, which is updated straight from the computer; the one with a USART behind a bridge in
/// the place of USB; and the smallest of all, on another chip.
const BOARDS: [Board; 4] = [
    LD_1,
    Board {
        model: "LD-1D",
        suffix: "-direct",
        features: &["direct"],
        class: DIRECT_CLASS_ID,
        ..LD_1
    },
    Board {
        model: "LD-1U",
        suffix: "-usart",
        features: &["usart"],
        class: USART_CLASS_ID,
        ..LD_1
    },
    Board {
        model: "LD-2",
        suffix: "-f072",
        application: "blinky",
        chip: "stm32f072",
        features: &[],
        class: STM32F072_CLASS_ID,
        slot_size: 96 * 1024,
        ram: 15 * 1024 + 512,
        erased: 0xFF,
    },
];

/// What a build came to.
pub struct Report {
    programs: Vec<ProgramReport>,
}

struct ProgramReport {
    name: String,
    flash: u32,
    flash_limit: u32,
    ram_limit: u32,
    static_ram: u32,
    stack: StackBound,
}

/// Builds everything and writes it to `target/firmware`. Without a key file the development key signs.
///
/// # Errors
/// When something does not build, lies at the wrong address or cannot be written. A budget that is not kept is no error
/// here: the report says it.
pub fn build(project: &Project, key_file: Option<&Path>) -> Result<Report> {
    let key = SigningKey::read(&key_file.map_or_else(
        || project.keys().join("development-key.pem"),
        Path::to_path_buf,
    ))?;
    let other_key = SigningKey::read(&project.keys().join("other-key-for-tests.pem"))?;
    let folder = project.firmware_files();
    for needed in [&folder, &project.firmware_build()] {
        fs::create_dir_all(needed)
            .with_context(|| format!("could not make {}", needed.display()))?;
    }
    let public_key = project.firmware_build().join("public-key");
    write(&public_key, &key.public())?;
    let (mut programs, mut catalogue) = (Vec::new(), Catalogue::default());
    for board in &BOARDS {
        build_for(
            project,
            board,
            (&key, &other_key),
            &public_key,
            (&mut programs, &mut catalogue),
        )?;
    }
    write(&folder.join("catalogue.json"), catalogue.write().as_bytes())?;
    Ok(Report { programs })
}

fn build_for(
    project: &Project,
    board: &Board,
    (key, other_key): (&SigningKey, &SigningKey),
    public_key: &Path,
    (programs, catalogue): (&mut Vec<ProgramReport>, &mut Catalogue),
) -> Result<()> {
    let folder = project.firmware_files();
    let name = format!("bootloader{}", board.suffix);
    let features = [&[board.chip], board.features].concat();
    let file = cargo_build(project, "bootloader", &features, public_key, &[])?;
    let elf = Elf::parse(&file).with_context(|| name.clone())?;
    let bootloader = flash_at(&elf, BOOTLOADER).with_context(|| name.clone())?;
    write(&folder.join(format!("{name}.elf")), &file)?;
    write_both(&folder, &name, BOOTLOADER, &bootloader)?;
    programs.push(ProgramReport::new(
        &name,
        &elf,
        bootloader.len(),
        (BOOTLOADER_SIZE, board.ram),
    )?);

    for release in &RELEASES {
        let name = release.name(board);
        let features = [board.features, release.features].concat();
        let file = cargo_build(project, board.application, &features, public_key, &[])?;
        let elf = Elf::parse(&file).with_context(|| name.clone())?;
        let program =
            flash_at(&elf, SLOT + u32::from(HEADER_SIZE)).with_context(|| name.clone())?;
        let description = Description {
            version: release.version,
            security_counter: release.security_counter,
            vendor: VENDOR_ID,
            class: board.class,
        };
        let signed = image::sign(&program, &description, key)?;
        write(&folder.join(format!("{name}.elf")), &file)?;
        write_both(&folder, &name, SLOT, &signed)?;
        // For whoever signs elsewhere, where the key is.
        write(&folder.join(format!("{name}-unsigned.bin")), &program)?;
        catalogue.releases.push(entry(&folder, release, board)?);
        programs.push(ProgramReport::new(
            &name,
            &elf,
            signed.len(),
            (board.slot_size, board.ram),
        )?);

        if release.version == RELEASES[0].version {
            let name = format!("factory{}-{}", board.suffix, release.version);
            write_factory(&folder, &name, board, (&bootloader, &signed))?;
        } else {
            let signed = image::sign(&program, &description, other_key)?;
            let text = hex::write(&[(SLOT, &signed)])?;
            write(
                &folder.join(format!("{name}-other-key.hex")),
                text.as_bytes(),
            )?;
        }
    }
    Ok(())
}

/// What the catalogue says of a release, whose .hex is written.
fn entry(folder: &Path, release: &Release, board: &Board) -> Result<catalogue::Release> {
    let file = format!("{}.hex", release.name(board));
    let bytes = fs::read(folder.join(&file)).with_context(|| file.clone())?;
    let notes = release.notes.iter();
    Ok(catalogue::Release {
        vendor: VENDOR_ID,
        class: board.class,
        model: board.model.into(),
        version: release.version,
        file,
        size: u32::try_from(bytes.len())?,
        sha256: Sha256::digest(&bytes).into(),
        date: release.date.into(),
        notes: notes
            .filter(|(application, ..)| *application == board.application)
            .map(|(_, language, text)| ((*language).into(), (*text).into()))
            .collect(),
    })
}

/// A release with its code `by` bytes further on than where it belongs, a multiple of 4: its ELF file and its program.
///
/// # Errors
/// When it does not build.
pub fn build_shifted(project: &Project, release: &Release, by: u32) -> Result<(Vec<u8>, Vec<u8>)> {
    let name = format!("logger-{}.elf", release.version);
    let elf = fs::read(project.firmware_files().join(&name)).with_context(|| name.clone())?;
    let elf = Elf::parse(&elf).with_context(|| name.clone())?;
    let code = elf
        .sections
        .iter()
        .find(|section| section.name == ".text")
        .with_context(|| format!("{name} has no code"))?
        .address;
    let public_key = project.firmware_build().join("public-key");
    let link = [format!("--defsym=_stext={:#x}", code + by)];
    let file = cargo_build(project, "logger", release.features, &public_key, &link)?;
    let program = flash_at(&Elf::parse(&file)?, SLOT + u32::from(HEADER_SIZE))?;
    Ok((file, program))
}

/// Builds both programs of the logger in another folder, and compares them with what [`build`] made here: by their symbols
/// as well, for these decide where everything lies, even where it came out the same by chance.
///
/// # Errors
/// When one does not build, or is another program there.
pub fn compare_with_another_folder(project: &Project) -> Result<()> {
    let copy = project.copy_for_firmware()?;
    let public_key = project.firmware_build().join("public-key");
    let newest = &RELEASES[1];
    for (name, package, features) in [
        ("bootloader".into(), "bootloader", [LD_1.chip].as_slice()),
        (newest.name(&LD_1), LD_1.application, newest.features),
    ] {
        let there = cargo_build(&copy, package, features, &public_key, &[])?;
        let here = fs::read(project.firmware_files().join(format!("{name}.elf")))?;
        ensure!(
            Elf::parse(&here)?.flash()? == Elf::parse(&there)?.flash()?
                && elf::symbols(&here)? == elf::symbols(&there)?,
            "{name} is another program when it is built in another folder"
        );
    }
    Ok(())
}

/// The file for a logger that comes from production, if it was built already.
pub fn factory_file(project: &Project) -> PathBuf {
    project
        .firmware_files()
        .join(format!("factory-{}.hex", RELEASES[0].version))
}

/// The file that updates such a logger.
pub fn update_file(project: &Project) -> PathBuf {
    project
        .firmware_files()
        .join(format!("logger-{}.hex", RELEASES[1].version))
}

/// The signed images, by their .bin files.
pub fn signed_images(project: &Project) -> Vec<PathBuf> {
    let folder = project.firmware_files();
    BOARDS
        .iter()
        .flat_map(|board| RELEASES.iter().map(|release| release.name(board)))
        .map(|name| folder.join(format!("{name}.bin")))
        .collect()
}

/// The signed image of a release.
pub fn image_file(project: &Project, release: &Release) -> PathBuf {
    project
        .firmware_files()
        .join(format!("logger-{}.bin", release.version))
}

/// Builds one program and gives back its ELF file: the next build of the same program overwrites it.
fn cargo_build(
    project: &Project,
    package: &str,
    features: &[&str],
    public_key: &Path,
    link: &[String],
) -> Result<Vec<u8>> {
    let mut cargo = project.firmware_cargo();
    cargo.args([
        "rustc",
        "--release",
        "--package",
        package,
        "--target",
        DEVICE_TARGET,
        "--no-default-features",
    ]);
    if !features.is_empty() {
        cargo.args(["--features", &features.join(",")]);
    }
    if !link.is_empty() {
        cargo.arg("--");
    }
    for argument in link {
        cargo.args(["-C", &format!("link-arg={argument}")]);
    }
    run(cargo.env("LOGDOCK_PUBLIC_KEY", public_key))?;
    let file = project
        .firmware_build()
        .join(DEVICE_TARGET)
        .join("release")
        .join(package);
    fs::read(&file).with_context(|| format!("cargo built no {}", file.display()))
}

fn flash_at(elf: &Elf, expected: u32) -> Result<Vec<u8>> {
    let (start, flash) = elf.flash()?;
    ensure!(
        start == expected,
        "it is linked to {start:#010x} instead of {expected:#010x}"
    );
    Ok(flash)
}

fn write_both(folder: &Path, name: &str, address: u32, bytes: &[u8]) -> Result<()> {
    write(&folder.join(format!("{name}.bin")), bytes)?;
    write(
        &folder.join(format!("{name}.hex")),
        hex::write(&[(address, bytes)])?.as_bytes(),
    )
}

/// Bootloader and signed logger together: what production flashes by SWD. Without room for both there is no such file,
/// not even one of an earlier build; the report says why.
fn write_factory(
    folder: &Path,
    name: &str,
    board: &Board,
    (bootloader, signed): (&[u8], &[u8]),
) -> Result<()> {
    let (bin, hex) = (
        folder.join(format!("{name}.bin")),
        folder.join(format!("{name}.hex")),
    );
    if bootloader.len() > BOOTLOADER_SIZE as usize || signed.len() > board.slot_size as usize {
        for stale in [bin, hex].iter().filter(|file| file.exists()) {
            fs::remove_file(stale)
                .with_context(|| format!("could not remove {}", stale.display()))?;
        }
        return Ok(());
    }
    let mut whole = bootloader.to_vec();
    whole.resize(BOOTLOADER_SIZE as usize, board.erased);
    whole.extend_from_slice(signed);
    write(&bin, &whole)?;
    write(
        &hex,
        hex::write(&[(BOOTLOADER, bootloader), (SLOT, signed)])?.as_bytes(),
    )
}

impl ProgramReport {
    fn new(name: &str, elf: &Elf, flash: usize, (size, ram_limit): (u32, u32)) -> Result<Self> {
        Ok(Self {
            name: name.to_owned(),
            flash: u32::try_from(flash)?,
            flash_limit: size - SPARE,
            ram_limit,
            static_ram: elf.static_ram(),
            stack: stack::bound(elf).with_context(|| format!("the stack of {name}"))?,
        })
    }

    fn ram(&self) -> u32 {
        self.static_ram.saturating_add(self.stack.bytes)
    }

    /// What is demanded of a program, and whether it holds.
    fn checks(&self) -> [(&'static str, bool); 3] {
        [
            ("flash within its limit", self.flash <= self.flash_limit),
            ("RAM within its limit", self.ram() <= self.ram_limit),
            (
                "every way of the stack followed",
                self.stack.unknown.is_empty(),
            ),
        ]
    }
}

impl Report {
    /// Prints the table, and with `verbose` the calls that take most stack.
    pub fn print(&self, verbose: bool) {
        println!();
        println!(
            "{:<20} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}   (bytes)",
            "program", "flash", "limit", "static", "stack", "RAM", "limit"
        );
        for program in &self.programs {
            println!(
                "{:<20} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}",
                program.name,
                program.flash,
                program.flash_limit,
                program.static_ram,
                program.stack.bytes,
                program.ram(),
                program.ram_limit
            );
        }
        println!(
            "Stack is an upper bound, read from the instructions: deepest calls plus the deepest exception handler."
        );
        println!(
            "Flash limits leave {SPARE} bytes of each region free; a logger counts with header and signature."
        );
        for program in &self.programs {
            program.print_stack(verbose);
        }
        for (program, check) in self.failures() {
            println!("over budget: {program}: not {check}");
        }
    }

    /// Prints sizes as figures of `cargo xtask bench`.
    pub fn print_figures(&self) {
        for program in &self.programs {
            let ProgramReport {
                name,
                flash,
                flash_limit,
                ..
            } = program;
            println!("flash-{name} {flash} B <={flash_limit}");
            println!("ram-{name} {} B <={}", program.ram(), program.ram_limit);
        }
    }

    /// Every budget as a counted check.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for (_, holds) in self.programs.iter().flat_map(ProgramReport::checks) {
            tally.check(holds);
        }
        tally
    }

    fn failures(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.programs.iter().flat_map(|program| {
            program
                .checks()
                .into_iter()
                .filter(|(_, holds)| !holds)
                .map(|(check, _)| (program.name.as_str(), check))
        })
    }
}

impl ProgramReport {
    fn print_stack(&self, verbose: bool) {
        for what in &self.stack.unknown {
            println!("{}: the stack bound does not hold: {what}", self.name);
        }
        if !verbose {
            return;
        }
        for group in &self.stack.recursion {
            println!(
                "{}: may reach themselves, each counted once: {}",
                self.name,
                group.join(", ")
            );
        }
        for (title, chain) in [
            ("deepest calls", &self.stack.thread),
            ("deepest exception handler", &self.stack.handler),
        ] {
            println!("{}: {title}:", self.name);
            for call in chain {
                println!("{:>6}  {}", call.bytes, call.name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(flash: u32, static_ram: u32, stack: u32) -> ProgramReport {
        let stack = StackBound {
            bytes: stack,
            thread: Vec::new(),
            handler: Vec::new(),
            recursion: Vec::new(),
            unknown: Vec::new(),
        };
        ProgramReport {
            name: "logger".into(),
            flash,
            flash_limit: SLOT_SIZE - SPARE,
            ram_limit: RAM,
            static_ram,
            stack,
        }
    }

    #[test]
    fn a_program_at_its_limits_is_within_them() {
        let report = Report {
            programs: vec![program(SLOT_SIZE - SPARE, 5000, RAM - 5000)],
        };
        assert_eq!(
            report.tally(),
            Tally {
                passed: 3,
                failed: 0,
                skipped: vec![]
            }
        );
    }

    #[test]
    fn one_byte_too_many_fails() {
        let flash = Report {
            programs: vec![program(SLOT_SIZE - SPARE + 1, 0, 0)],
        };
        assert_eq!(
            flash.failures().collect::<Vec<_>>(),
            [("logger", "flash within its limit")]
        );
        let ram = Report {
            programs: vec![program(0, 5001, RAM - 5000)],
        };
        assert_eq!(
            ram.failures().collect::<Vec<_>>(),
            [("logger", "RAM within its limit")]
        );
    }

    #[test]
    fn a_stack_that_cannot_be_followed_fails_however_small_it_looks() {
        let mut doubtful = program(0, 0, 0);
        doubtful
            .stack
            .unknown
            .push("main moves its stack pointer by an unknown amount".into());
        assert_eq!(
            Report {
                programs: vec![doubtful]
            }
            .tally()
            .failed,
            1
        );
    }
}
