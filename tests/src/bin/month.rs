//! Makes a logger that recorded for a month: the firmware's own binary on the emulated chip, with sensors that are told
//! what to measure. Writes its memories and what the sensors were told, for the tests of the page.
//!
//! It must never write a record itself: all that is in the log, the firmware put there.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use std::{env, fs};

use emulator_port::save_nand;
use futures_executor::block_on;
use host::conversation::Conversation;
use host::device::sync_clock;
use host::protocol::settings::SettingId;
use host::settings::{Value, write};
use logdock_tests::{EmulatedLink, MADE_AT, connect, factory_logger, utc};

/// Tenths of a second between two records: 1.7 million of them, more than 20 MB.
const INTERVAL: (SettingId, i32) = (SettingId(2), 15);
const DAYS: u64 = 30;
/// The world changes so often, in seconds.
const STEP: u64 = 120;
/// When power fails, in steps.
const CUTS: [u64; 2] = [7_000, 14_500];
/// How long it is gone, in steps.
const OUTAGE: u64 = 40;
/// How long after that somebody comes with a computer, which sets the clock, in steps.
const UNKNOWN: u64 = 300;

fn main() {
    let folder = PathBuf::from(env::args().nth(1).expect("the folder to write to"));
    fs::create_dir_all(&folder).expect("the folder can be made");
    let (mut conversation, _) = connect(factory_logger());
    block_on(write(
        &mut conversation,
        &[(INTERVAL.0, Value::Number(INTERVAL.1))],
    ))
    .expect("it takes the setting");
    let mut link = with_time(conversation);

    let mut told = String::from("utc,supply,temperature,input_a,input_b,pulses,power\n");
    let first = link.machine.now().micros() / 1_000_000 / STEP + 1;
    for step in first..first + DAYS * 86_400 / STEP {
        let now = link.machine.now().micros();
        link.run(Duration::from_micros(
            (step * STEP * 1_000_000).saturating_sub(now),
        ));
        let outage = CUTS
            .iter()
            .find(|cut| (**cut..**cut + OUTAGE).contains(&step));
        if CUTS.contains(&step) {
            link.machine.power_off();
        } else if outage.is_none()
            && step
                .checked_sub(OUTAGE)
                .is_some_and(|cut| CUTS.contains(&cut))
        {
            link.machine.power_on();
        }
        if step
            .checked_sub(OUTAGE + UNKNOWN)
            .is_some_and(|cut| CUTS.contains(&cut))
        {
            link.machine.usb_mut().attach();
            link = with_time(connect(link).0);
        }
        // A day's wave, and a saw that tells each step from its neighbours.
        let board = link.machine.board_mut();
        let hour = step as f64 * STEP as f64 / 3600.0;
        let wave = (hour * core::f64::consts::TAU / 24.0).sin();
        board.supply = 3300 - (step / 40) as u16;
        board.temperature = (2000.0 + 900.0 * wave) as i16;
        board.inputs = [(step * 37 % 2400) as u16, (1200.0 + 900.0 * wave) as u16];
        let pulses = step % 4;
        if outage.is_none() {
            for _ in 0..pulses {
                for closed in [true, false] {
                    link.machine.board_mut().event_closed = closed;
                    link.run(Duration::from_millis(2));
                }
            }
        }
        let board = link.machine.board();
        writeln!(
            told,
            "{},{},{},{},{},{pulses},{}",
            MADE_AT + step * STEP * 1000,
            board.supply,
            board.temperature,
            board.inputs[0],
            board.inputs[1],
            u8::from(outage.is_none()),
        )
        .expect("a text takes everything");
    }
    // Power goes when all is written: what was gathered would be lost with it.
    link.run(Duration::from_secs(90));
    link.machine.power_off();
    save_nand(link.machine.nand(), &folder.join("month.nand")).expect("the file can be written");
    fs::write(folder.join("month.eeprom"), link.machine.eeprom()).expect("the file can be written");
    fs::write(folder.join("month.csv"), told).expect("the file can be written");
}

/// Sets its clock, and pulls the cable.
fn with_time(mut conversation: Conversation<EmulatedLink>) -> EmulatedLink {
    block_on(sync_clock(&mut conversation, utc, 60)).expect("its clock is set");
    let mut link = conversation.into_link();
    link.machine.usb_mut().detach();
    link
}
