//! Where the time of an update goes: the program counter, looked at every 10 µs of the emulator's time.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use futures_executor::block_on;
use host::conversation::TalkError;
use host::protocol::message::CommonRequest;

use super::symbols::Symbols;
use super::{FULL, recording, updated};
use crate::faults::APPLICATION;
use crate::{SAMPLE, built, connect, download, factory_logger, firmware};

/// The program in the first full slot.
const SENDING: &str = "logger-1.0.0.elf";
/// Where the application's code is.
const IN_SLOT: Range<u32> = APPLICATION..APPLICATION + 0x9000;
/// Functions that are named; the others together take less.
const NAMED: usize = 14;

/// Prints the functions that take most time in each stage of an update of a full slot.
///
/// # Panics
/// When the logger does not do what the tests promise.
pub fn print() {
    let [a, b, _] = FULL.map(firmware);
    let programs = [built("bootloader.elf"), built(SENDING)].map(|elf| Symbols::read(&elf));
    let (mut conversation, _) = connect(updated(factory_logger(), &a));
    let stage = |name: &str, samples: BTreeMap<u32, u32>| {
        let mut functions: BTreeMap<String, u32> = BTreeMap::new();
        for (address, count) in samples {
            let program = &programs[usize::from(IN_SLOT.contains(&address))];
            let function = program.name(address).unwrap_or("?");
            *functions.entry(function.to_owned()).or_default() += count;
        }
        let mut functions: Vec<_> = functions.into_iter().collect();
        functions.sort_by_key(|&(_, count)| core::cmp::Reverse(count));
        let milliseconds = |count: u32| f64::from(count) * SAMPLE.picos() as f64 / 1e9;
        let total = functions.iter().map(|&(_, count)| count).sum();
        println!("\n{name}: {:.1} ms", milliseconds(total));
        for (function, count) in functions.iter().take(NAMED) {
            println!("{:>10.2} ms  {function}", milliseconds(*count));
        }
    };
    let good = |result: Result<(), TalkError>| result.unwrap_or_else(|error| panic!("{error}"));

    let mut recorded = recording::logger_with_a_log();
    recorded.link().sample();
    download(&mut recorded);
    stage("download", recorded.link().take_samples());
    conversation.link().sample();
    good(block_on(conversation.upload(b.digest(), b.image(), |_| {})));
    stage("upload", conversation.link().take_samples());
    conversation.link().sample();
    good(block_on(conversation.tell(CommonRequest::FinishUpload)));
    stage("FinishUpload", conversation.link().take_samples());
    good(block_on(conversation.tell(CommonRequest::Install)));
    good(block_on(conversation.tell(CommonRequest::Reboot)));
    let mut link = conversation.into_link();
    // The application says its last words first; the bootloader is done long before the end.
    link.sample();
    link.run(Duration::from_secs(8));
    let mut samples = link.take_samples();
    samples.retain(|address, _| !IN_SLOT.contains(address));
    stage("bootloader, with an installation", samples);
    link.sample();
    link.machine.power_off();
    link.machine.power_on();
    link.run(Duration::from_secs(1));
    let mut samples = link.take_samples();
    samples.retain(|address, _| !IN_SLOT.contains(address));
    stage("bootloader, at power-on", samples);
}
