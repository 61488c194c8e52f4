//! What a logger does between two updates: rest on its battery, and hand out its log.

use std::time::Duration;

use emulator::time::Time;
use futures_executor::block_on;
use host::conversation::Conversation;
use host::protocol::settings::SettingId;
use host::settings::{Value, write};

use crate::{EmulatedLink, connect, download, factory_logger};

/// The setting of that name: tenths of a second between two records.
const INTERVAL: SettingId = SettingId(2);
/// How long a logger rests while that is measured: long enough for what it writes now and then.
const REST: Duration = Duration::from_secs(600);
/// How long it records what is then downloaded, at ten records a second.
const RECORDED: Duration = Duration::from_secs(900);

/// The share of time that a logger without a cable spends in STOP while it records once a second.
pub fn stop_share() -> f64 {
    let mut link = connect(factory_logger()).0.into_link();
    link.machine.usb_mut().detach();
    link.run(Duration::from_secs(5));
    let before = link.machine.power_time().stop;
    link.run(REST);
    let stopped = link.machine.power_time().stop - before;
    stopped.picos() as f64 / Time::from(REST).picos() as f64
}

/// A logger that has recorded for a while, and goes on.
pub fn logger_with_a_log() -> Conversation<EmulatedLink> {
    let (mut conversation, _) = connect(factory_logger());
    block_on(write(&mut conversation, &[(INTERVAL, Value::Number(1))]))
        .unwrap_or_else(|error| panic!("{error:?}"));
    let mut link = conversation.into_link();
    link.machine.usb_mut().detach();
    link.run(RECORDED);
    link.machine.usb_mut().attach();
    connect(link).0
}

/// A whole log on its way to the computer, while the logger goes on recording: bytes of the log, and the time.
pub fn download_of_all() -> (usize, Time) {
    let mut conversation = logger_with_a_log();
    let start = conversation.link().machine.now();
    let (log, lost) = download(&mut conversation);
    assert_eq!(lost, [], "a sound NAND loses nothing");
    let time = conversation.link().machine.now() - start;
    (log.iter().map(Vec::len).sum(), time)
}
