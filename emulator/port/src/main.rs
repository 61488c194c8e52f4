//! Runs firmware for the logger's chip on an emulated one, and plugs that into this computer as a serial port.
//!
//! It can load any firmware for the STM32L052, and must never pretend: what the emulator does not model stops it
//! with a reason.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use clap::Parser;
use emulator::fault::CutPoint;
use emulator::machine::{Machine, Options, SerialPort};
use emulator_port::{Firmware, load_nand, parse_cut, parse_speed, run_on_terminal, save_nand};

/// Runs firmware on an emulated STM32L052 logger and plugs it into this computer as a serial port.
///
/// Browsers list the port when this program may send udev events: run it as root or with CAP_NET_ADMIN. Other
/// programs open it by the path that is printed. Commands are read from standard input; type help to see them.
/// The word "run" may stand before the firmware.
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
    /// Stops with a report where firmware touches what the emulator does not model: as without this
    #[arg(long, conflicts_with = "lenient")]
    strict: bool,
    /// Goes on where firmware touches what the emulator does not model, instead of stopping with a report
    #[arg(long)]
    lenient: bool,
    /// Starts with the cable pulled: the command plug plugs it
    #[arg(long)]
    unplugged: bool,
    /// Keeps a symbolic link to the port at this path, whichever pseudo-terminal it is after a restart
    #[arg(long, value_name = "PATH")]
    link: Option<PathBuf>,
    /// Offers a serial port of the chip as a pseudo-terminal, too, and prints its path: usart1, usart2 or lpuart1. Browsers
    /// list it as a bridge (CP2102) while the cable is plugged in
    #[arg(long, value_name = "NAME", value_parser = serial_port)]
    usart: Option<SerialPort>,
    /// Prints every access to a peripheral: time, program counter, register, value. The command trace does so later
    #[arg(long)]
    trace: bool,
    /// Cuts the power at an operation on flash, EEPROM or NAND, counted from 0: such as 12:before, 12:inside:SEED,
    /// 12:after. The command on brings it back
    #[arg(long, value_name = "OPERATION[:PLACE[:SEED]]", value_parser = parse_cut)]
    cut_at: Option<CutPoint>,
}

fn main() -> ExitCode {
    let mut words: Vec<OsString> = env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "run") {
        words.remove(1);
    }
    match emulate(&Arguments::parse_from(words)) {
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
        strict: arguments.strict || !arguments.lenient,
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
    if let Some(point) = arguments.cut_at {
        machine.cut_at(point);
    }
    machine.core_mut().record_accesses(arguments.trace);
    machine.power_on();
    if !arguments.unplugged {
        machine.usb_mut().attach();
    }

    let machine = run_on_terminal(
        machine,
        arguments.speed,
        arguments.usart,
        arguments.link.clone(),
    )
    .map_err(|error| error.to_string())?;

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

fn serial_port(name: &str) -> Result<SerialPort, String> {
    match name {
        "usart1" => Ok(SerialPort::Usart1),
        "usart2" => Ok(SerialPort::Usart2),
        "lpuart1" => Ok(SerialPort::Lpuart1),
        _ => Err("the chip has usart1, usart2 and lpuart1".to_string()),
    }
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
