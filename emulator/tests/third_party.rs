//! Firmware that is not ours, unmodified, built from the registry's packages as these tests run.
//!
//! embassy's HAL and USB stack with its CDC echo, and ST's flash algorithms as probe-rs ships them. The emulator must
//! never have a special case for any of them, nor they for it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use emulator::fault::OperationKind;
use emulator::machine::{Halt, Machine, Options};
use emulator::memory::{FLASH_BASE, RAM_BASE};
use emulator::time::Time;
use object::Endianness;
use object::elf::{FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// Version of probe-rs whose target file is used.
const PROBE_RS: &str = "0.32.0";

/// Runs Cargo, and shows what it said when it fails.
fn cargo(folder: &Path, arguments: &[&str]) {
    let output = Command::new(env!("CARGO"))
        .current_dir(folder)
        .args(arguments)
        .env("CARGO_TARGET_DIR", built())
        // What is set for tests of this workspace is not for another target.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .output()
        .expect("Cargo starts");
    assert!(
        output.status.success(),
        "cargo {} failed:\n{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Where third-party firmware is built: kept between runs.
fn built() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("third-party")
}

fn next(random: &mut u64) -> u8 {
    *random = random
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*random >> 56) as u8
}

/// Puts the loadable segments of an ELF file where a programmer would.
fn program_elf(machine: &mut Machine, file: &Path) {
    let bytes = fs::read(file).expect("the firmware was built");
    let header = FileHeader32::<Endianness>::parse(&*bytes).expect("an ELF file");
    let endian = header.endian().expect("its byte order");
    for segment in header
        .program_headers(endian, &*bytes)
        .expect("its segments")
    {
        if segment.p_type(endian) == PT_LOAD && segment.p_filesz(endian) > 0 {
            let data = segment.data(endian, &*bytes).expect("a whole segment");
            machine
                .program_flash(segment.p_paddr(endian), data)
                .expect("it lies in flash");
        }
    }
}

#[test]
fn embassys_cdc_echo_gives_64_kb_back_byte_for_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("third-party/embassy-cdc");
    let target = "thumbv6m-none-eabi";
    cargo(
        &folder,
        &["build", "--release", "--locked", "--target", target],
    );
    let mut machine = Machine::new(Options::default());
    let file = built().join(target).join("release/embassy-cdc");
    program_elf(&mut machine, &file);
    machine.power_on();
    machine.usb_mut().attach();
    machine
        .run_for(Time::from_millis(1000))
        .expect("embassy runs in strict mode");
    assert!(machine.usb().is_configured(), "the host configured it");
    let identity = machine.usb().identity().expect("its descriptors");
    assert_eq!((identity.vendor_id, identity.product_id), (0xC0DE, 0xCAFE));
    assert_eq!(identity.product.as_deref(), Some("USB-serial example"));

    let mut random = 1;
    let sent: Vec<u8> = (0..0x1_0000).map(|_| next(&mut random)).collect();
    machine.usb_mut().write(&sent);
    let (mut got, began) = (Vec::new(), machine.now());
    while got.len() < sent.len() && machine.now().since(began) < Time::from_millis(2000) {
        machine
            .run_for(Time::from_millis(1))
            .expect("embassy runs in strict mode");
        got.extend(machine.usb_mut().read());
    }
    assert_eq!(got.len(), sent.len());
    assert!(got == sent, "every byte is what it was");
    assert_eq!(machine.usb().violations(), [] as [String; 0]);
    println!(
        "third-party binary 1 of 3: embassy-stm32's CDC echo, 64 KB there and back in {} ms",
        machine.now().since(began).millis()
    );
}

/// A flash algorithm of ST's, in the form of CMSIS-Pack: position-independent code with five entries.
struct Algorithm {
    code: Vec<u8>,
    init: u32,
    uninit: u32,
    erase_sector: u32,
    program_page: u32,
    static_base: u32,
}

impl Algorithm {
    /// From the entry `name` of probe-rs's target file of the STM32L0.
    fn named(name: &str) -> Algorithm {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Downloads the package if it is not there.
        cargo(
            folder,
            &["info", "--quiet", &format!("probe-rs@{PROBE_RS}")],
        );
        let file = package(&format!("probe-rs-{PROBE_RS}")).join("targets/STM32L0_Series.yaml");
        let text = fs::read_to_string(&file).expect("the target file");
        let (_, entry) = text
            .split_once("\nflash_algorithms:\n")
            .and_then(|(_, algorithms)| algorithms.split_once(&format!("- name: {name}\n")))
            .expect("the algorithm");
        // The file's keys are each on a line; an entry ends where the next begins.
        let entry = entry.split("\n- name:").next().expect("an entry");
        let value = |key: &str| {
            let line = entry
                .lines()
                .find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
            line.unwrap_or_else(|| panic!("{name} has no {key}"))
        };
        let number = |key: &str| {
            let digits = value(key).trim_start_matches("0x");
            u32::from_str_radix(digits, 16).expect("a number")
        };
        Algorithm {
            code: data_encoding::BASE64
                .decode(value("instructions").as_bytes())
                .expect("base 64"),
            init: number("pc_init"),
            uninit: number("pc_uninit"),
            erase_sector: number("pc_erase_sector"),
            program_page: number("pc_program_page"),
            static_base: number("data_section_offset"),
        }
    }
}

/// Where Cargo keeps the sources of a package from the registry.
fn package(name: &str) -> PathBuf {
    let home = env::var_os("CARGO_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").expect("a home")).join(".cargo"),
        PathBuf::from,
    );
    let registries = fs::read_dir(home.join("registry/src")).expect("Cargo's registry");
    registries
        .map(|registry| registry.expect("a registry").path().join(name))
        .find(|folder| folder.is_dir())
        .expect("the package was downloaded")
}

/// What CMSIS-Pack's algorithms are told they are called for.
#[derive(Clone, Copy)]
enum Purpose {
    Erase = 1,
    Program = 2,
}

/// Where the algorithm's code lies, behind the instruction that its functions return to.
const CODE: u32 = RAM_BASE + 4;
/// Where data to be programmed lies.
const BUFFER: u32 = RAM_BASE + 0x1000;
const STACK: u32 = RAM_BASE + 0x2000;
/// BKPT #0: returns to whoever called.
const BREAKPOINT: [u8; 2] = [0x00, 0xBE];

/// A chip whose core a debugger holds, with an algorithm in its RAM.
struct Programmer {
    machine: Machine,
    algorithm: Algorithm,
}

impl Programmer {
    fn new(name: &str) -> Programmer {
        let algorithm = Algorithm::named(name);
        let mut machine = Machine::new(Options::default());
        // Nothing but vectors and a loop: the core has to be somewhere until the debugger holds it.
        let waiting = [
            STACK.to_le_bytes(),
            (FLASH_BASE + 9).to_le_bytes(),
            [0xFE, 0xE7, 0, 0],
        ];
        machine
            .program_flash(FLASH_BASE, waiting.as_flattened())
            .expect("room in flash");
        machine.power_on();
        machine.run_for(Time::from_millis(3)).expect("it waits");
        let ram = machine.ram_mut();
        ram[..2].copy_from_slice(&BREAKPOINT);
        ram[4..4 + algorithm.code.len()].copy_from_slice(&algorithm.code);
        Programmer { machine, algorithm }
    }

    /// Calls one of its functions; gives its answer, which is 0 for success.
    fn call(&mut self, entry: u32, arguments: [u32; 3]) -> u32 {
        let core = self.machine.core_mut();
        for (number, argument) in arguments.into_iter().enumerate() {
            core.set_register(number, argument);
        }
        core.set_register(9, CODE + self.algorithm.static_base);
        core.set_register(13, STACK);
        core.set_register(14, RAM_BASE + 1);
        core.set_pc(CODE + entry);
        let halt = self.machine.run_for(Time::from_millis(60_000));
        assert_eq!(halt, Err(Halt::Breakpoint(0)));
        assert_eq!(self.machine.core().pc(), RAM_BASE);
        self.machine.core().register(0)
    }

    fn during(&mut self, purpose: Purpose, base: u32, work: impl FnOnce(&mut Programmer)) {
        let (init, uninit) = (self.algorithm.init, self.algorithm.uninit);
        assert_eq!(self.call(init, [base, 0, purpose as u32]), 0, "init");
        work(self);
        assert_eq!(self.call(uninit, [purpose as u32, 0, 0]), 0, "uninit");
    }

    fn erase(&mut self, address: u32) {
        let entry = self.algorithm.erase_sector;
        assert_eq!(self.call(entry, [address, 0, 0]), 0, "{address:#x}");
    }

    fn program(&mut self, address: u32, bytes: &[u8]) {
        let at = (BUFFER - RAM_BASE) as usize;
        self.machine.ram_mut()[at..at + bytes.len()].copy_from_slice(bytes);
        let entry = self.algorithm.program_page;
        let answer = self.call(entry, [address, bytes.len() as u32, BUFFER]);
        assert_eq!(answer, 0, "{address:#x}");
    }
}

#[test]
fn sts_flash_algorithm_erases_and_programs_flash() {
    const START: u32 = FLASH_BASE + 0x4000;
    const PAGE: usize = 0x400;
    let mut programmer = Programmer::new("stm32l0xx_192");
    let old = [0xA5; 4 * PAGE];
    programmer
        .machine
        .program_flash(START - 128, &old)
        .expect("room in flash");
    let mut random = 2;
    let new: Vec<u8> = (0..2 * PAGE).map(|_| next(&mut random)).collect();

    programmer.machine.faults_mut().record();
    programmer.during(Purpose::Erase, FLASH_BASE, |programmer| {
        for sector in (START..START + 2 * PAGE as u32).step_by(128) {
            programmer.erase(sector);
        }
    });
    let offset = (START - FLASH_BASE) as usize;
    let flash = programmer.machine.flash();
    assert!(flash[offset..offset + 2 * PAGE] == [0; 2 * PAGE], "erased");
    assert_eq!(flash[offset - 128..offset], old[..128], "the page before");
    assert_eq!(flash[offset + 2 * PAGE], 0xA5, "the page after");

    programmer.during(Purpose::Program, FLASH_BASE, |programmer| {
        for (page, address) in new.chunks(PAGE).zip((START..).step_by(PAGE)) {
            programmer.program(address, page);
        }
    });
    let flash = programmer.machine.flash();
    assert!(flash[offset..offset + 2 * PAGE] == new, "what was to be");
    assert_eq!(flash[offset - 128..offset], old[..128], "the page before");
    let count = |kind| {
        let recorded = programmer.machine.faults().recorded().iter();
        recorded.filter(|operation| operation.kind == kind).count()
    };
    let [erases, half_pages] =
        [OperationKind::FlashPageErase, OperationKind::FlashHalfPage].map(count);
    assert_eq!((erases, half_pages), (2 * PAGE / 128, 2 * PAGE / 64));
    println!(
        "third-party binary 2 of 3: ST's flash algorithm, {erases} pages erased and {half_pages} half-pages programmed"
    );
}

#[test]
fn sts_eeprom_algorithm_erases_and_programs_eeprom() {
    const EEPROM: u32 = 0x0808_0000;
    const PAGE: usize = 0x100;
    let mut programmer = Programmer::new("stm32l05_6x_eeprom");
    programmer
        .machine
        .program_eeprom(0, &[0x5A; 2048])
        .expect("it fits");
    let mut random = 3;
    let new: Vec<u8> = (0..2048).map(|_| next(&mut random)).collect();

    programmer.during(Purpose::Erase, EEPROM, |programmer| {
        // A call erases 256 bytes: that is in its code, whatever the target file calls a sector.
        (EEPROM..EEPROM + 2048)
            .step_by(PAGE)
            .for_each(|address| programmer.erase(address));
    });
    assert!(programmer.machine.eeprom() == [0; 2048], "all erased");
    programmer.during(Purpose::Program, EEPROM, |programmer| {
        for (page, address) in new.chunks(PAGE).zip((EEPROM..).step_by(PAGE)) {
            programmer.program(address, page);
        }
    });
    assert!(programmer.machine.eeprom() == new, "what was to be");
    println!("third-party binary 3 of 3: ST's EEPROM algorithm, 2,048 bytes erased and programmed");
}
