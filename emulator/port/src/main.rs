//! Runs firmware for the logger's chip on an emulated one, and plugs that into this computer as a serial port.
//!
//! It can load any firmware for the STM32L052, and must never pretend: what the emulator does not model stops it
//! with a reason.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use clap::Parser;
use emulator::machine::{Machine, Options};
use emulator_port::{Firmware, load_nand, parse_speed, run_on_terminal, save_nand};

/// Runs firmware on an emulated STM32L052 logger and plugs it into this computer as a serial port.
///
/// Browsers list the port when this program may send udev events: run it as root or with CAP_NET_ADMIN. Other
/// programs open it by the path that is printed. Commands are read from standard input; type help to see them.
#[derive(Parser)]
#[command(name = "emulator-port")]
struct Arguments {
    /// Firmware to load: FILE.hex, FILE.elf, or FILE.bin@ADDRESS (such as logger.bin@0x08007000)
    #[arg(required = true, value_name = "FIRMWARE")]
    firmware: Vec<String>,
    /// Keeps the NAND in this file: read at the start if it exists, written at the end
    #[arg(long, value_name = "FILE")]
    nand: Option<PathBuf>,
    /// Keeps the data EEPROM in this file, 2,048 bytes: read at the start if it exists, written at the end
    #[arg(long, value_name = "FILE")]
    eeprom: Option<PathBuf>,
    /// Seed of whatever is left to chance on hardware
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The chip's 96-bit unique id as 24 hexadecimal digits; firmware makes its USB serial number from it
    #[arg(long, value_name = "DIGITS", value_parser = unique_id)]
    serial: Option<[u32; 3]>,
    /// Virtual seconds a second
    #[arg(long, default_value_t = 1.0, value_parser = parse_speed)]
    speed: f64,
    /// Goes on where firmware touches what the emulator does not model, instead of stopping with a report
    #[arg(long)]
    lenient: bool,
    /// Starts with the cable pulled: the command plug plugs it
    #[arg(long)]
    unplugged: bool,
}

fn main() -> ExitCode {
    match emulate(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("emulator-port: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn emulate(arguments: &Arguments) -> Result<(), String> {
    let mut options = Options {
        seed: arguments.seed,
        strict: !arguments.lenient,
        ..Options::default()
    };
    if let Some(unique_id) = arguments.serial {
        options.unique_id = unique_id;
    }
    let mut machine = Machine::new(options);
    for file in &arguments.firmware {
        Firmware::open(file)
            .and_then(|firmware| firmware.load_into(&mut machine, file))
            .map_err(|error| error.to_string())?;
    }
    if let Some(path) = existing(arguments.nand.as_deref()) {
        load_nand(machine.nand_mut(), path).map_err(|error| about(path, &error))?;
    }
    if let Some(path) = existing(arguments.eeprom.as_deref()) {
        let bytes = fs::read(path).map_err(|error| about(path, &error))?;
        machine
            .program_eeprom(0, &bytes)
            .map_err(|error| format!("{}: {error}", path.display()))?;
    }
    machine.power_on();
    if !arguments.unplugged {
        machine.usb_mut().attach();
    }

    let machine = run_on_terminal(machine, arguments.speed).map_err(|error| error.to_string())?;

    if let Some(path) = &arguments.nand {
        save_nand(machine.nand(), path).map_err(|error| about(path, &error))?;
    }
    if let Some(path) = &arguments.eeprom {
        fs::write(path, machine.eeprom()).map_err(|error| about(path, &error))?;
    }
    Ok(())
}

fn existing(path: Option<&Path>) -> Option<&Path> {
    path.filter(|path| path.exists())
}

fn about(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

fn unique_id(text: &str) -> Result<[u32; 3], String> {
    let word = |index: usize| {
        text.get(index * 8..index * 8 + 8)
            .and_then(|digits| u32::from_str_radix(digits, 16).ok())
    };
    match (text.len(), word(0), word(1), word(2)) {
        (24, Some(first), Some(second), Some(third)) => Ok([first, second, third]),
        _ => Err("it is 24 hexadecimal digits".to_string()),
    }
}
