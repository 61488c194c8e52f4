//! A restart looked at from outside: what is written when, and when which program runs.
//!
//! It knows no more of the firmware than where a function begins: what it does is read from the chip.

use emulator::cpu::bus::ResetCause;
use emulator::fault::OperationKind;
use emulator::machine::Machine;
use emulator::time::Time;

use crate::faults::APPLICATION;

/// Time that the chip takes for one erase or half-page of flash: hardware.md's figure, of DS10182.
const FLASH_OPERATION: Time = Time::from_micros(3_200);
/// The same for an EEPROM word that must be erased first; one that need not be takes half.
const EEPROM_OPERATION: Time = Time::from_micros(6_400);
/// Longest that a restart may take.
const PATIENCE: Time = Time::from_millis(30_000);
/// Steps in which nothing is looked for exactly.
const STEP: Time = Time::from_micros(100);
/// ADC_CR, and its bit ADSTART (RM0376, 14.12).
const ADC_CR: u32 = 0x4001_2408;
const ADSTART: u32 = 1 << 2;

/// What was seen of a restart.
pub struct Restart {
    /// The logger, shortly after its application's first measurement.
    pub machine: Machine,
    /// Nothing when flash was not written.
    pub install: Option<Install>,
    /// From the reset to the application's `main`.
    pub to_main: Time,
    /// From the request to the application's first measurement.
    pub not_logging: Time,
}

/// Writing of flash with all that belongs to it: from the boot record that lets it begin to the one that ends it.
pub struct Install {
    pub time: Time,
    /// What the operations on flash alone take.
    pub floor: Time,
}

/// Lets a logger that was asked for it restart, up to the application's first measurement.
pub fn restart(mut machine: Machine, asked: Time, main: u32) -> Restart {
    machine.faults_mut().record();
    let resets = machine.resets(ResetCause::Software);
    let end = machine.now() + PATIENCE;
    while machine.resets(ResetCause::Software) == resets {
        assert!(machine.now() < end, "it does not restart");
        step(&mut machine, STEP);
    }
    let reset = machine.now();
    let to_main = run_to(&mut machine, main) - reset;
    let install = install(&machine);
    let measured = first_measurement(&mut machine);
    Restart {
        machine,
        install,
        to_main,
        not_logging: measured - asked,
    }
}

/// Runs to the first instruction of a function of the application, to the instruction; the moment.
pub fn run_to(machine: &mut Machine, address: u32) -> Time {
    let end = machine.now() + PATIENCE;
    loop {
        assert!(machine.now() < end, "the application does not start");
        let before = machine.clone();
        step(machine, STEP);
        if machine.core().pc() >= APPLICATION {
            *machine = before;
            break;
        }
    }
    // An instruction at a time: a deadline that is almost there lets one through.
    while machine.core().pc() != address {
        assert!(machine.now() < end, "the function is never called");
        step(machine, Time::from_picos(1));
    }
    machine.now()
}

fn first_measurement(machine: &mut Machine) -> Time {
    machine.core_mut().record_accesses(true);
    let end = machine.now() + PATIENCE;
    loop {
        assert!(machine.now() < end, "the application does not measure");
        step(machine, STEP);
        let accesses = machine.core_mut().take_accesses();
        let started = accesses.iter().find(|access| {
            access.write
                && access.address == ADC_CR
                && access.value.is_ok_and(|value| value & ADSTART != 0)
        });
        if let Some(started) = started {
            machine.core_mut().record_accesses(false);
            return started.at;
        }
    }
}

fn install(machine: &Machine) -> Option<Install> {
    let operations = machine.faults().recorded();
    let in_flash = |kind| {
        matches!(
            kind,
            OperationKind::FlashPageErase | OperationKind::FlashHalfPage
        )
    };
    let first = operations.iter().position(|one| in_flash(one.kind))?;
    let last = operations.iter().rposition(|one| in_flash(one.kind))?;
    let is_record = |kind| kind == OperationKind::EepromWord;
    let begin = operations[..first]
        .iter()
        .rfind(|one| is_record(one.kind))?;
    let end = operations[last..].iter().find(|one| is_record(one.kind))?;
    let count = operations[first..=last]
        .iter()
        .filter(|one| in_flash(one.kind))
        .count();
    Some(Install {
        time: end.at.since(begin.at + EEPROM_OPERATION),
        floor: FLASH_OPERATION * count as u64,
    })
}

fn step(machine: &mut Machine, time: Time) {
    machine
        .run_for(time)
        .unwrap_or_else(|halt| panic!("at {:?}: {halt}", machine.now()));
}
