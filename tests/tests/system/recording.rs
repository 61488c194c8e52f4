//! The logger at work: when it records, that nothing else keeps it from that, what a power cut costs, and what it knows
//! of itself.

use std::time::Duration;

use emulator::fault::{CutPoint, Place};
use emulator::machine::Options;
use emulator::nand::{Nand, PAGE_BYTES};
use emulator::time::Time;
use futures_executor::block_on;
use host::conversation::{Conversation, TalkError};
use host::data::Decoder;
use host::device::{read_health, read_status, sync_clock};
use host::log::{Download, erase, read_summary};
use host::protocol::message::{CommonRequest, LoggerRequest, Refusal};
use host::protocol::record::{
    Channel, ChannelSet, Health, Recording, ResetCause, SEGMENT, SegmentHeader, SegmentKind, Status,
};
use host::protocol::settings::{Problem, SettingId};
use host::settings::{Value, read, write};
use logdock_tests::{
    EmulatedLink, MEMORY, V1_0, connect, download, factory_logger, factory_logger_with, firmware,
    keep_in_eeprom, restart, running, stage, utc,
};

const INTERVAL: SettingId = SettingId(2);
const RECORD: SettingId = SettingId(5);
const START: SettingId = SettingId(6);
const START_TIME: SettingId = SettingId(7);
const START_CHANNEL: SettingId = SettingId(8);
const START_THRESHOLD: SettingId = SettingId(9);
const START_WHEN: SettingId = SettingId(10);
const WHEN_FULL: SettingId = SettingId(11);
const SAVE_SECONDS: SettingId = SettingId(13);
const INPUT_A: u16 = 0x120;
const GAIN: u16 = 3;
const OFFSET: u16 = 4;
const ALARM: u16 = 5;
const ALARM_THRESHOLD: u16 = 6;

/// A record as it was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    number: u32,
    session: u16,
    clock: u64,
    utc: Option<i64>,
    values: [Option<i64>; 5],
    alarms: u8,
}

fn records(conversation: &mut Conversation<EmulatedLink>) -> Vec<Record> {
    let (log, lost) = download(conversation);
    assert_eq!(lost, []);
    let mut decoder = Decoder::new();
    let mut records = Vec::new();
    for bytes in &log {
        let Some(batch) = decoder.segment(bytes).unwrap() else {
            continue;
        };
        records.extend((0..batch.len()).map(|index| Record {
            number: batch.record(index),
            session: batch.header.session,
            clock: batch.clock(index),
            utc: batch.utc(index),
            values: Channel::ALL.map(|channel| batch.raw(channel, index)),
            alarms: batch.header.alarms.0,
        }));
    }
    records
}

fn unplugged(conversation: Conversation<EmulatedLink>) -> EmulatedLink {
    let mut link = conversation.into_link();
    link.machine.usb_mut().detach();
    link
}

fn plugged(mut link: EmulatedLink) -> Conversation<EmulatedLink> {
    link.machine.usb_mut().attach();
    connect(link).0
}

/// A logger that was set up in this way.
fn logger_with(changes: &[(SettingId, Value)]) -> Conversation<EmulatedLink> {
    let (mut conversation, _) = connect(factory_logger());
    block_on(write(&mut conversation, changes)).unwrap();
    conversation
}

fn on(channel: Channel) -> SettingId {
    SettingId(0x100 + 0x10 * channel as u16)
}

fn set(conversation: &mut Conversation<EmulatedLink>, changes: &[(SettingId, Value)]) {
    block_on(write(conversation, changes)).unwrap();
}

fn status(conversation: &mut Conversation<EmulatedLink>) -> Status {
    block_on(read_status(conversation)).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Nothing is missing, and all are `interval` milliseconds apart.
fn assert_gapless(records: &[Record], interval: u64) {
    for pair in records.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1);
        assert_eq!(pair[1].session, pair[0].session);
        assert_eq!(pair[1].clock, pair[0].clock + interval, "{pair:?}");
    }
}

#[test]
fn the_interval_is_exact_with_and_without_a_cable() {
    let (mut conversation, _) = connect(factory_logger());
    block_on(sync_clock(&mut conversation, utc, 60)).unwrap();
    let began = conversation.link().machine.now().millis();
    for _ in 0..20 {
        let mut link = unplugged(conversation);
        link.run(Duration::from_millis(7_300));
        conversation = plugged(link);
        conversation.link().run(Duration::from_millis(2_700));
    }
    let ended = conversation.link().machine.now().millis();
    let records = records(&mut conversation);
    assert_gapless(&records, 1000);
    let dated: Vec<_> = records.iter().filter_map(|record| record.utc).collect();
    assert!(
        dated.len() as u64 + 2 >= (ended - began) / 1000,
        "{}",
        dated.len()
    );
    let made_at = logdock_tests::MADE_AT as i64;
    let (first, last) = (dated[0] - made_at, dated[dated.len() - 1] - made_at);
    assert!(first.abs_diff(began as i64) <= 1_005, "{first} {began}");
    assert!(last.abs_diff(ended as i64) <= 1_005, "{last} {ended}");
}

#[test]
fn nothing_keeps_it_from_recording_ten_times_a_second() {
    let (mut conversation, device) = connect(factory_logger());
    block_on(write(&mut conversation, &[(INTERVAL, Value::Number(1))])).unwrap();
    let began = conversation.link().machine.now().millis();
    let file = firmware("logger-1.1.0.bin");
    block_on(async {
        conversation
            .upload(file.digest(), file.image(), |_| {})
            .await
            .unwrap();
        conversation
            .tell(CommonRequest::FinishUpload)
            .await
            .unwrap();
        let settings = read(&mut conversation).await.unwrap();
        // All at once, which rewrites as much of EEPROM as there can be.
        let all: Vec<_> = settings
            .iter()
            .filter(|setting| setting.id != INTERVAL)
            .map(|setting| (setting.id, setting.value.clone()))
            .collect();
        write(&mut conversation, &all).await.unwrap();
        // The running image is hashed.
        let digest = device.running.unwrap().digest;
        conversation
            .tell(CommonRequest::Confirm { digest })
            .await
            .unwrap();
    });
    let _ = download(&mut conversation);
    conversation.link().run(seconds(1));
    let ended = conversation.link().machine.now().millis();
    let records = records(&mut conversation);
    let from = records
        .windows(2)
        .position(|pair| pair[1].clock - pair[0].clock == 100)
        .unwrap();
    assert_gapless(&records[from..], 100);
    let taken = (records.len() - from) as u64;
    assert!(
        taken.abs_diff((ended - began) / 100) <= 3,
        "{taken} in {began}..{ended}"
    );
}

#[test]
fn a_power_cut_costs_no_more_than_what_was_not_saved() {
    let conversation = logger_with(&[(SAVE_SECONDS, Value::Number(5))]);
    let mut link = unplugged(conversation);
    link.run(seconds(33));
    link.machine.power_off();
    link.machine.power_on();
    link.run(seconds(20));
    let mut conversation = plugged(link);
    let records = records(&mut conversation);
    let sessions: Vec<_> = records.iter().map(|record| record.session).collect();
    let first = sessions[0];
    let split = sessions
        .iter()
        .position(|session| *session != first)
        .unwrap();
    assert!(
        sessions[split..]
            .iter()
            .all(|session| *session == first + 1)
    );
    assert_gapless(&records[..split], 1000);
    assert_gapless(&records[split..], 1000);
    assert!(records[split - 1].clock >= 33_000 - 6_000, "{records:?}");
    assert!(records[split].clock < 2_000, "a new session begins anew");
    assert_eq!(records[split].utc, None);
}

#[test]
fn a_restart_that_was_asked_for_costs_nothing() {
    let (mut conversation, _) = connect(factory_logger());
    block_on(sync_clock(&mut conversation, utc, 0)).unwrap();
    conversation.link().run(Duration::from_millis(10_500));
    logdock_tests::restart(&mut conversation);
    conversation.link().run(seconds(5));
    let records = records(&mut conversation);
    let mut gaps = 0;
    for pair in records.windows(2) {
        assert_eq!(pair[1].number, pair[0].number + 1, "none is missing");
        assert_eq!(pair[1].session, pair[0].session, "the clock goes on");
        let passed = pair[1].clock - pair[0].clock;
        gaps += u32::from(passed != 1000);
        assert!(passed < 2_500, "{pair:?}");
    }
    assert!(gaps <= 1);
    let known = block_on(read_status(&mut conversation)).unwrap().utc_offset;
    assert!(known.is_some() && records[records.len() - 1].utc.is_some());
}

#[test]
fn recording_begins_at_a_set_time() {
    let (mut conversation, _) = connect(factory_logger());
    let at = utc(conversation.link()) / 1000 + 30;
    let changes = [
        (START, Value::Choice(1)),
        (START_TIME, Value::Time(Some(at as u32))),
    ];
    block_on(write(&mut conversation, &changes)).unwrap();
    let before = block_on(read_status(&mut conversation)).unwrap();
    assert_eq!(before.recording, Recording::WaitingForClock);
    block_on(sync_clock(&mut conversation, utc, 0)).unwrap();
    let waiting = block_on(read_status(&mut conversation)).unwrap();
    assert_eq!(waiting.recording, Recording::Waiting);
    let mut link = unplugged(conversation);
    link.run(seconds(40));
    let mut conversation = plugged(link);
    let status = block_on(read_status(&mut conversation)).unwrap();
    assert_eq!(status.recording, Recording::Running);
    let records = records(&mut conversation);
    let begun: Vec<_> = records
        .iter()
        .filter(|record| record.number >= before.next_record)
        .collect();
    assert!(begun[0].utc.unwrap().abs_diff(at as i64 * 1000) <= 2);
    // Once begun, it goes on without a clock.
    let mut link = conversation.into_link();
    link.machine.power_off();
    link.machine.power_on();
    link.run(seconds(3));
    let status = block_on(read_status(&mut connect(link).0)).unwrap();
    assert_eq!(status.recording, Recording::Running);
    assert_eq!(status.utc_offset, None);
}

/// A logger whose oscillator makes so many cycles in a second.
fn logger_that_ticks(lsi: u32) -> EmulatedLink {
    factory_logger_with(Options {
        lsi,
        ..Options::default()
    })
}

#[test]
fn a_second_is_a_second_whatever_the_oscillator_makes_of_it() {
    // The slowest and the fastest chip, and some between (DS10182).
    for lsi in [26_000, 31_500, 37_000, 43_499, 56_000] {
        let (mut conversation, _) = connect(logger_that_ticks(lsi));
        let before = status(&mut conversation);
        let mut link = unplugged(conversation);
        link.run(seconds(1000));
        let mut conversation = plugged(link);
        set(&mut conversation, &[(INTERVAL, Value::Number(864_000))]);
        let passed = status(&mut conversation).time - before.time;
        // It counts whole kilohertz: half a one is missing or too much at the most, whichever of the two is nearer.
        assert!(
            (984_000..1_021_000).contains(&passed),
            "{lsi} Hz: {passed} ms"
        );
        let number = status(&mut conversation).next_record - before.next_record;
        assert!(
            u64::from(number).abs_diff(passed / 1000) <= 2,
            "{lsi} Hz: {number} records"
        );
        // The watchdog runs on the same oscillator, undivided.
        let mut link = unplugged(conversation);
        link.run(seconds(300));
        link.machine.usb_mut().attach();
        let (health, _) = health(link);
        assert_eq!(health.reset, ResetCause::PowerOn, "{lsi} Hz");
    }
}

#[test]
fn a_set_time_is_met_by_a_clock_whose_drift_is_known() {
    let (mut conversation, _) = connect(logger_that_ticks(38_450));
    block_on(sync_clock(&mut conversation, utc, 0)).unwrap();
    let mut link = unplugged(conversation);
    link.run(seconds(1000));
    let mut conversation = plugged(link);
    block_on(sync_clock(&mut conversation, utc, 0)).unwrap();
    let at = utc(conversation.link()) / 1000 + 20_000;
    set(
        &mut conversation,
        &[
            (START, Value::Choice(1)),
            (START_TIME, Value::Time(Some(at as u32))),
        ],
    );
    let before = status(&mut conversation).next_record;
    let mut link = unplugged(conversation);
    link.run(seconds(20_100));
    let records = records(&mut plugged(link));
    let begun = records.iter().find(|record| record.number == before);
    // Uncorrected, it would be 4 minutes too early.
    let utc = begun.unwrap().utc.unwrap();
    assert!(
        utc.abs_diff(at as i64 * 1000) <= 100,
        "{}",
        utc - at as i64 * 1000
    );
}

#[test]
fn recording_begins_at_a_threshold_and_alarms_are_marked() {
    let mut conversation = logger_with(&[
        (START, Value::Choice(2)),
        (START_CHANNEL, Value::Choice(2)),
        (START_THRESHOLD, Value::Number(1_500)),
        (START_WHEN, Value::Choice(0)),
        (SettingId(INPUT_A + ALARM), Value::Choice(1)),
        (SettingId(INPUT_A + ALARM_THRESHOLD), Value::Number(2_000)),
    ]);
    let before = block_on(read_status(&mut conversation)).unwrap();
    let mut link = unplugged(conversation);
    link.machine.board_mut().inputs[0] = 1_400;
    link.run(seconds(10));
    link.machine.board_mut().inputs[0] = 1_600;
    link.run(seconds(70));
    link.machine.board_mut().inputs[0] = 2_100;
    link.run(seconds(70));
    let mut conversation = plugged(link);
    let status = block_on(read_status(&mut conversation)).unwrap();
    assert_eq!(before.recording, Recording::Waiting);
    assert_eq!(status.recording, Recording::Running);
    assert!(status.alarms.has(Channel::InputA));
    let records = records(&mut conversation);
    let begun: Vec<_> = records
        .into_iter()
        .filter(|record| record.number >= before.next_record)
        .collect();
    assert_gapless(&begun, 1000);
    for record in &begun {
        let value = record.values[Channel::InputA as usize].unwrap();
        assert!(value > 15_000, "{record:?}");
    }
    assert_eq!(begun[0].alarms, 0);
    assert_eq!(begun[begun.len() - 1].alarms, 1 << Channel::InputA as u8);
}

#[test]
fn events_are_counted_in_the_record_behind_them() {
    let (mut conversation, _) = connect(factory_logger());
    let before = block_on(read_status(&mut conversation))
        .unwrap()
        .next_record;
    let mut link = unplugged(conversation);
    for _ in 0..200 {
        for closed in [true, false] {
            link.machine.board_mut().event_closed = closed;
            link.run(Duration::from_millis(25));
        }
    }
    link.run(seconds(2));
    let mut conversation = plugged(link);
    let status = block_on(read_status(&mut conversation)).unwrap();
    assert_eq!(status.values[Channel::Events as usize], 200);
    let counts: Vec<_> = records(&mut conversation)
        .iter()
        .filter(|record| record.number >= before)
        .map(|record| record.values[Channel::Events as usize].unwrap())
        .collect();
    assert_eq!(counts.iter().sum::<i64>(), 200);
    assert!(counts.iter().all(|count| *count <= 21), "{counts:?}");
}

#[test]
fn nothing_is_recorded_when_it_is_switched_off() {
    let mut conversation = logger_with(&[(RECORD, Value::Toggle(false))]);
    let before = block_on(read_summary(&mut conversation)).unwrap();
    let status = block_on(read_status(&mut conversation)).unwrap();
    assert_eq!(status.recording, Recording::Off);
    let mut conversation = plugged({
        let mut link = unplugged(conversation);
        link.run(seconds(30));
        link
    });
    let after = block_on(read_summary(&mut conversation)).unwrap();
    assert_eq!(after, before);
    assert!(status.values[Channel::Supply as usize].abs_diff(3_000) <= 5);
}

#[test]
fn refused_settings_change_nothing_of_the_recording() {
    let (mut conversation, _) = connect(factory_logger());
    conversation.link().run(seconds(3));
    let before = block_on(read_summary(&mut conversation)).unwrap();
    assert_eq!(
        block_on(write(&mut conversation, &[(INTERVAL, Value::Number(0))])),
        Err(TalkError::Refused(Refusal::Setting {
            id: INTERVAL,
            problem: Problem::TooLow
        }))
    );
    let beyond = LoggerRequest::ReadLog {
        first: before.next + 2,
        count: 1,
    };
    assert_eq!(
        block_on(conversation.tell_logger(beyond)),
        Err(TalkError::Refused(Refusal::OtherLog))
    );
    let after = block_on(read_summary(&mut conversation)).unwrap();
    assert_eq!((after.first, after.next), (before.first, before.next));
}

#[test]
fn it_is_in_stop_for_all_but_a_hundredth_of_the_time() {
    let (conversation, _) = connect(factory_logger());
    let mut link = unplugged(conversation);
    link.run(seconds(5));
    let before = link.machine.power_time();
    link.run(seconds(600));
    let after = link.machine.power_time();
    let share = |now: Time, then: Time| (now - then).millis() as f64 / 600_000.0;
    let stop = share(after.stop, before.stop);
    println!("STOP {:.3} %", 100.0 * stop);
    assert!(stop >= 0.99, "{stop}");
}

fn health(link: EmulatedLink) -> (Health, Conversation<EmulatedLink>) {
    let (mut conversation, _) = connect(link);
    (
        block_on(read_health(&mut conversation)).unwrap(),
        conversation,
    )
}

#[test]
fn it_knows_why_it_started_and_how_often_it_failed() {
    let (fresh, conversation) = health(factory_logger());
    assert_eq!(
        (
            fresh.reset,
            fresh.watchdog_resets,
            fresh.crashes,
            fresh.crash
        ),
        (ResetCause::PowerOn, 0, 0, None)
    );
    // A program that does nothing any more: an endless loop in RAM, with interrupts off.
    let mut link = conversation.into_link();
    let place = 0x2000_1800;
    link.machine.ram_mut()[0x1800..0x1802].copy_from_slice(&0xE7FE_u16.to_le_bytes());
    link.machine.core_mut().set_primask(true);
    link.machine.core_mut().set_pc(place);
    link.run(seconds(12));
    let (hung, conversation) = health(link);
    assert_eq!(
        (hung.reset, hung.watchdog_resets, hung.crashes),
        (ResetCause::Watchdog, 1, 0)
    );

    // An instruction that does not exist.
    let mut link = conversation.into_link();
    link.machine.core_mut().set_strict(false);
    link.machine.ram_mut()[0x1800..0x1802].copy_from_slice(&0xDE00_u16.to_le_bytes());
    link.machine.core_mut().set_pc(place);
    link.run(seconds(2));
    let (crashed, mut conversation) = health(link);
    assert_eq!(
        (crashed.reset, crashed.watchdog_resets, crashed.crashes),
        (ResetCause::Crash, 1, 1)
    );
    let place = crashed.crash.unwrap();
    assert_eq!(place.version(), V1_0);
    // Calls that were under way lie in the application's slot.
    println!("{place}");
    assert!(place.calls().count() >= 2);
    assert!(
        place
            .calls()
            .skip(1)
            .all(|call| (0x0800_7100..0x0801_0000).contains(&call))
    );

    logdock_tests::restart(&mut conversation);
    let asked = block_on(read_health(&mut conversation)).unwrap();
    assert_eq!(asked.reset, ResetCause::Software);
    assert_eq!(
        (asked.watchdog_resets, asked.crashes, asked.crash),
        (1, 1, crashed.crash)
    );
    let mut link = conversation.into_link();
    link.machine.power_off();
    link.machine.power_on();
    let (kept, _) = health(link);
    assert_eq!(kept.reset, ResetCause::PowerOn);
    assert_eq!(
        (kept.watchdog_resets, kept.crashes, kept.crash),
        (1, 1, crashed.crash)
    );
}

/// What a logger remembers has other fields in another firmware, behind or in place of the last ones.
#[test]
fn sessions_and_counters_survive_an_update_that_remembers_more_or_less() {
    for length in [12, 40, 48, 100] {
        let mut link = factory_logger();
        link.run(seconds(1));
        link.machine.power_off();
        // First segment, session and watchdog resets, crashes.
        let mut memory = vec![7, 0, 0, 0, 0x34, 0x12, 5, 0, 9, 0, 0, 0];
        memory.resize(length, 0);
        keep_in_eeprom(&mut link.machine, MEMORY, &memory);
        link.machine.power_on();
        link.run(seconds(5));
        let (mut conversation, _) = connect(link);
        let health = block_on(read_health(&mut conversation)).unwrap();
        assert_eq!(
            (health.watchdog_resets, health.crashes),
            (5, 9),
            "{length} bytes"
        );
        let records = records(&mut conversation);
        assert_eq!(records[records.len() - 1].session, 0x1235);
    }
}

#[test]
fn a_channel_switched_on_after_all_were_off_is_recorded() {
    let (mut conversation, _) = connect(factory_logger());
    let all = Channel::ALL.map(|channel| (on(channel), Value::Toggle(false)));
    set(&mut conversation, &all);
    restart(&mut conversation);
    set(
        &mut conversation,
        &[(on(Channel::Supply), Value::Toggle(true))],
    );
    conversation.link().run(seconds(5));
    let before = status(&mut conversation);
    conversation.link().run(seconds(60));
    let after = status(&mut conversation);
    assert!(after.next_record >= before.next_record + 59);
}

#[test]
fn nothing_is_recorded_without_channels() {
    let (mut conversation, _) = connect(factory_logger());
    let all = Channel::ALL.map(|channel| (on(channel), Value::Toggle(false)));
    set(&mut conversation, &all);
    conversation.link().run(seconds(2));
    let before = status(&mut conversation);
    conversation.link().run(seconds(60));
    let after = status(&mut conversation);
    assert_eq!(after.next_record, before.next_record);
}

/// A logger with settings at such a length that changing one of them takes EEPROM most of a second.
fn wordy() -> Conversation<EmulatedLink> {
    let (mut conversation, _) = connect(factory_logger());
    let mut changes = vec![(SettingId(1), Value::Text("Greenhouse 3, north end".into()))];
    for channel in 0..5 {
        changes.push((
            SettingId(0x101 + 0x10 * channel),
            Value::Text("Twelve bytes".into()),
        ));
        changes.push((
            SettingId(0x102 + 0x10 * channel),
            Value::Text("eight by".into()),
        ));
        changes.push((SettingId(0x104 + 0x10 * channel), Value::Number(1_000_000)));
        changes.push((
            SettingId(0x106 + 0x10 * channel),
            Value::Number(1_999_000_000),
        ));
    }
    set(&mut conversation, &changes);
    conversation
}

#[test]
fn a_start_time_that_is_to_come_is_waited_for_whenever_it_is_set() {
    let mut wrong = Vec::new();
    for phase in 0..10 {
        let mut conversation = wordy();
        block_on(sync_clock(&mut conversation, utc, 0)).unwrap();
        conversation
            .link()
            .run(Duration::from_millis(2000 + 100 * phase));
        let at = utc(conversation.link()) / 1000 + 3600;
        set(
            &mut conversation,
            &[
                (START, Value::Choice(1)),
                (START_TIME, Value::Time(Some(at as u32))),
            ],
        );
        conversation.link().run(seconds(2));
        let waiting = status(&mut conversation);
        restart(&mut conversation);
        conversation.link().run(seconds(5));
        let later = status(&mut conversation);
        if waiting.recording != Recording::Waiting || later.recording != Recording::Waiting {
            wrong.push(phase);
        }
    }
    assert!(wrong.is_empty());
}

#[test]
fn a_threshold_that_is_not_crossed_is_waited_for_whenever_it_is_set() {
    let mut wrong = Vec::new();
    for phase in 0..10 {
        let mut conversation = wordy();
        conversation.link().machine.board_mut().inputs = [1500, 1500];
        set(
            &mut conversation,
            &[
                (on(Channel::InputA), Value::Toggle(false)),
                (SettingId(INPUT_A + OFFSET), Value::Number(0)),
            ],
        );
        conversation
            .link()
            .run(Duration::from_millis(2000 + 100 * phase));
        set(
            &mut conversation,
            &[
                (START, Value::Choice(2)),
                (START_CHANNEL, Value::Choice(2)),
                (START_THRESHOLD, Value::Number(500)),
                (START_WHEN, Value::Choice(1)),
            ],
        );
        conversation.link().run(seconds(3));
        let recording = status(&mut conversation).recording;
        if recording != Recording::Waiting {
            wrong.push(phase);
        }
    }
    assert!(wrong.is_empty());
}

#[test]
fn a_channel_that_is_switched_on_has_no_invented_values() {
    let mut conversation = wordy();
    conversation.link().machine.board_mut().inputs = [1500, 1500];
    set(
        &mut conversation,
        &[(on(Channel::InputA), Value::Toggle(false))],
    );
    let mut zeros = Vec::new();
    for phase in 0..20 {
        let link = EmulatedLink::new(conversation.link().machine.clone());
        let (mut conversation, _) = connect(link);
        let now = status(&mut conversation).time;
        conversation
            .link()
            .run(Duration::from_millis(3000 - now % 1000 + 50 * phase));
        let from = status(&mut conversation).time;
        set(
            &mut conversation,
            &[(on(Channel::InputA), Value::Toggle(true))],
        );
        let to = status(&mut conversation).time;
        conversation.link().run(seconds(3));
        let (log, _) = download(&mut conversation);
        let mut decoder = Decoder::new();
        for bytes in &log {
            if let Some(batch) = decoder.segment(bytes).unwrap() {
                for index in 0..batch.len() {
                    if batch.clock(index) >= from && batch.raw(Channel::InputA, index) == Some(0) {
                        zeros.push((from, to, batch.clock(index)));
                    }
                }
            }
        }
    }
    assert!(zeros.is_empty());
}

#[test]
fn a_new_start_is_waited_for_after_a_power_cut_at_any_write_of_the_settings() {
    let mut conversation = wordy();
    conversation.link().run(seconds(3));
    block_on(sync_clock(&mut conversation, utc, 0)).unwrap();
    let at = (utc(conversation.link()) / 1000 + 3600) as u32;
    let changes = [
        (START, Value::Choice(1)),
        (START_TIME, Value::Time(Some(at))),
    ];
    let machine = conversation.link().machine.clone();
    let start = machine.operations();
    let (mut running, mut never) = (Vec::new(), 0);
    for operation in start..start + 150 {
        let place = match operation % 3 {
            0 => Place::Before,
            1 => Place::After,
            _ => Place::Inside { seed: operation },
        };
        let (mut conversation, _) = connect(EmulatedLink::new(machine.clone()));
        conversation
            .link()
            .machine
            .cut_at(CutPoint { operation, place });
        if block_on(write(&mut conversation, &changes)).is_ok() {
            conversation.link().machine.faults_mut().cancel();
            if conversation.link().machine.is_on() {
                never += 1;
                if never > 3 {
                    break;
                }
                continue;
            }
        }
        let mut link = conversation.into_link();
        if link.machine.is_on() {
            link.machine.power_off();
        }
        link.machine.power_on();
        link.run(seconds(3));
        let (mut conversation, _) = connect(link);
        let settings = block_on(read(&mut conversation)).unwrap();
        let value = |id| {
            settings
                .iter()
                .find(|setting| setting.id == id)
                .unwrap()
                .value
                .clone()
        };
        let recording = status(&mut conversation).recording;
        if value(START) == Value::Choice(1) && value(START_TIME) == Value::Time(Some(at)) {
            if recording == Recording::Running {
                running.push(operation - start);
            }
        } else {
            assert_eq!(value(START), Value::Choice(0));
            assert_eq!(value(START_TIME), Value::Time(None));
        }
    }
    assert!(running.is_empty());
}

#[test]
fn records_that_memory_did_not_take_are_not_read_with_a_gain_set_later() {
    let (mut conversation, _) = connect(factory_logger());
    conversation.link().machine.board_mut().inputs = [1000, 1000];
    conversation.link().run(seconds(3));
    set(
        &mut conversation,
        &[(SettingId(1), Value::Text("x".into()))],
    );
    conversation.link().run(seconds(10));
    conversation.link().machine.nand_mut().set_answers(false);
    set(
        &mut conversation,
        &[(SettingId(INPUT_A + GAIN), Value::Number(1_000_000))],
    );
    let changed = status(&mut conversation).time;
    conversation.link().machine.nand_mut().set_answers(true);
    conversation.link().run(seconds(100));
    let (log, _) = download(&mut conversation);
    let mut decoder = Decoder::new();
    let mut wrong = Vec::new();
    for bytes in &log {
        if let Some(batch) = decoder.segment(bytes).unwrap() {
            for index in 0..batch.len() {
                if batch.clock(index) + 1000 < changed
                    && batch.clock(index) > 2500
                    && let Some(value) = batch.value(Channel::InputA, index)
                    && (value.to_f64() - 1.0).abs() > 0.1
                {
                    wrong.push((batch.clock(index), value.to_f64()));
                }
            }
        }
    }
    assert!(wrong.is_empty());
}

#[test]
fn a_trial_without_a_cable_ends_by_itself() {
    let (mut conversation, _) = connect(factory_logger());
    set(&mut conversation, &[(RECORD, Value::Toggle(false))]);
    stage(&mut conversation, "logger-1.1.0.bin").unwrap();
    restart(&mut conversation);
    let mut link = conversation.into_link();
    link.machine.usb_mut().detach();
    link.run(seconds(1200));
    link.machine.usb_mut().attach();
    let (_, device) = connect(link);
    assert_eq!(running(&device), Some(V1_0));
}

#[test]
fn a_memory_that_lost_its_power_alone_is_recorded_to_again() {
    let (mut conversation, _) = connect(factory_logger());
    conversation.link().run(seconds(20));
    let mut link = conversation.into_link();
    link.machine.usb_mut().detach();
    link.run(seconds(100));
    // As after power-up: what was stored is there, and every block is protected.
    let mut again = Nand::new();
    let old: Vec<_> = link
        .machine
        .nand()
        .contents()
        .map(|(page, bytes)| (page, *bytes))
        .collect();
    for (page, bytes) in &old {
        again.load_page(*page, bytes);
    }
    *link.machine.nand_mut() = again;
    link.run(seconds(300));
    link.machine.usb_mut().attach();
    let (mut conversation, _) = connect(link);
    let now = status(&mut conversation);
    let staged = stage(&mut conversation, "logger-1.1.0.bin");
    let (_, lost) = download(&mut conversation);
    assert_eq!(now.recording, Recording::Running);
    assert_eq!(lost, []);
    assert_eq!(staged, Ok(()));
}

/// Blocks of the log, and segments of a block: see docs/data.md.
const LOG_BLOCKS: std::ops::Range<u32> = 24..1024;
const BLOCK_SEGMENTS: u32 = 255;

/// A memory that is full of records, the newest of them in this block of the log.
fn full_memory(newest: u32) -> Nand {
    let mut nand = Nand::new();
    for (place, block) in LOG_BLOCKS.enumerate() {
        let round = if place as u32 <= newest { 3 } else { 2 };
        let turn = round * LOG_BLOCKS.len() as u32 + place as u32;
        let mut page = [0xFF; PAGE_BYTES];
        for sector in 1..=BLOCK_SEGMENTS {
            let sequence = turn * BLOCK_SEGMENTS + sector - 1;
            let header = SegmentHeader {
                kind: SegmentKind::Records,
                sequence,
                record: sequence,
                session: 1,
                count: 1,
                time: u64::from(sequence) * 1000,
                utc_offset: None,
                interval: 1000,
                channels: ChannelSet(1),
                alarms: ChannelSet(0),
                length: 2,
            };
            let place = sector as usize % 4 * SEGMENT;
            header.seal(&mut page[place..place + SEGMENT]).unwrap();
            if sector % 4 == 3 {
                let page = std::mem::replace(&mut page, [0xFF; PAGE_BYTES]);
                nand.load_page((block * 64 + sector / 4) as u16, &page);
            }
        }
    }
    nand
}

#[test]
fn a_full_memory_is_mounted_in_half_a_second_and_goes_on_as_it_was_set_to() {
    let all = LOG_BLOCKS.len() as u32 * BLOCK_SEGMENTS;
    for newest in [0, 511, 998, 999] {
        let stop = newest == 511;
        let changes = [(WHEN_FULL, Value::Choice(stop.into()))];
        let mut link = logger_with(&changes).into_link();
        link.machine.power_off();
        *link.machine.nand_mut() = full_memory(newest);
        link.machine.power_on();
        link.run(seconds(10));
        let (mut conversation, _) = connect(link);
        let summary = block_on(read_summary(&mut conversation)).unwrap();
        let end = (3 * LOG_BLOCKS.len() as u32 + newest + 1) * BLOCK_SEGMENTS;
        if stop {
            assert_eq!(status(&mut conversation).recording, Recording::Full);
            assert_eq!((summary.first, summary.next), (end - all, end));
            // Its owner makes room.
            block_on(erase(&mut conversation, &summary)).unwrap();
            conversation.link().run(seconds(2));
            assert_eq!(status(&mut conversation).recording, Recording::Running);
            continue;
        }
        assert_eq!(
            summary.first,
            end - all + BLOCK_SEGMENTS,
            "the oldest block"
        );
        assert!(summary.next > end);
        let mut first = None;
        let mut newest = Download::new(end..summary.next + 1);
        while !newest.is_complete() {
            let take = |piece: host::log::Piece| {
                let header = piece.content.ok().and_then(|bytes| {
                    let (header, _) = bytes.split_first_chunk()?;
                    SegmentHeader::peek(header)
                });
                let records = header.filter(|header| header.kind == SegmentKind::Records);
                first = first.or(records.map(|header| header.time));
            };
            block_on(newest.step(&mut conversation, take)).unwrap();
        }
        // The clock starts before the memory is mounted, and the first record is taken as soon as it is.
        assert!(first.is_some_and(|clock| clock < 500), "{first:?}");
        println!("the first record after {first:?} ms");
    }
}

#[test]
fn an_interval_of_a_day_is_kept() {
    let day = 24 * 3600;
    let mut link = unplugged(logger_with(&[(INTERVAL, Value::Number(day * 10))]));
    link.run(seconds(2 * day as u64 + 10));
    let records = records(&mut plugged(link));
    let last = &records[records.len() - 3..];
    assert_gapless(last, 1000 * day as u64);
}
