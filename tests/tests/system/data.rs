//! Recorded data on its way to a computer: whole downloads over links that fail, parts found by their time, a clock that
//! is set, and what is erased.

use std::time::Duration;

use emulator::machine::{Machine, Options};
use futures_executor::block_on;
use host::conversation::{Conversation, TalkError};
use host::data::Decoder;
use host::device::{read_health, read_status, sync_clock};
use host::link::{Link, LinkError};
use host::log::{self, Download, Loss};
use host::protocol::MAX_PACKET;
use host::protocol::frame::max_length;
use host::protocol::message::{LoggerRequest, Message, Packet, Refusal, Request};
use host::protocol::record::{Channel, Recording};
use host::settings::{self, Setting, Value};
use logdock_tests::{
    EmulatedLink, MADE_AT, connect, csv, download, factory_logger, factory_logger_with,
    judge_with_pandas, utc,
};

/// A link on which things go wrong on the way to the computer.
struct Mishaps {
    link: EmulatedLink,
    received: usize,
    /// One byte of so many is changed.
    damage: Option<usize>,
    /// The cable is pulled, for a while, each time that so many bytes came.
    unplug: Option<usize>,
}

impl Link for Mishaps {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.link.send(bytes).await
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let mut bytes = self.link.receive(timeout).await?;
        let before = self.received;
        self.received += bytes.len();
        if let Some(distance) = self.damage {
            for (index, byte) in (before..).zip(&mut bytes) {
                if index % distance == distance / 2 {
                    *byte ^= 0x10;
                }
            }
        }
        if let Some(distance) = self.unplug
            && before / distance != self.received / distance
        {
            self.link.machine.usb_mut().detach();
            self.link.plug_in_again_after(Duration::from_millis(700));
        }
        Ok(bytes)
    }

    async fn reopen(&mut self, timeout: Duration) -> Result<(), LinkError> {
        self.link.reopen(timeout).await
    }

    async fn sleep(&mut self, time: Duration) {
        self.link.sleep(time).await;
    }
}

fn change(conversation: &mut Conversation<EmulatedLink>, changes: &[(&str, &str, Value)]) {
    let settings = block_on(settings::read(conversation)).unwrap();
    let changes: Vec<_> = changes
        .iter()
        .map(|(group, name, value)| (named(&settings, group, name).id, value.clone()))
        .collect();
    block_on(settings::write(conversation, &changes)).unwrap();
}

fn named<'a>(settings: &'a [Setting], group: &str, name: &str) -> &'a Setting {
    settings
        .iter()
        .find(|setting| setting.group == group && setting.name == name)
        .unwrap_or_else(|| panic!("no setting {group}, {name}"))
}

/// A logger that recorded for so many seconds without a cable, a segment for each four of them; now it has one.
fn with_log(seconds: u64) -> (Machine, Vec<Vec<u8>>) {
    let (mut conversation, _) = connect(factory_logger());
    change(
        &mut conversation,
        &[("Memory", "Save after", Value::Number(4))],
    );
    let mut link = conversation.into_link();
    link.machine.usb_mut().detach();
    link.run(Duration::from_secs(seconds));
    link.machine.usb_mut().attach();
    let (mut conversation, _) = connect(link);
    change(
        &mut conversation,
        &[("Recording", "Record", Value::Toggle(false))],
    );
    let (log, lost) = download(&mut conversation);
    assert_eq!(lost, []);
    (conversation.into_link().machine, log)
}

#[test]
fn what_was_recorded_becomes_a_table() {
    let (mut conversation, _) = connect(factory_logger());
    block_on(sync_clock(&mut conversation, utc, -90)).unwrap();
    change(
        &mut conversation,
        &[
            ("Input A", "Name", Value::Text("Tank, \"left\"".into())),
            ("Input A", "Unit", Value::Text("bar".into())),
            ("Input A", "Gain", Value::Number(25_000)),
            ("Input A", "Offset", Value::Number(-500)),
            ("Input A", "Alarm", Value::Choice(1)),
            ("Input A", "Alarm threshold", Value::Number(2_000)),
            ("Input B", "Record", Value::Toggle(false)),
        ],
    );
    let from = conversation.link().machine.now().millis();
    conversation.link().machine.board_mut().inputs = [800, 0];
    conversation.link().run(Duration::from_secs(20));
    conversation.link().machine.board_mut().inputs = [1200, 0];
    conversation.link().run(Duration::from_secs(20));
    let status = block_on(read_status(&mut conversation)).unwrap();
    assert!(status.alarms.has(Channel::InputA));
    assert_eq!(status.local_offset, -90);
    let (log, lost) = download(&mut conversation);
    assert_eq!(lost, []);
    let mut decoder = Decoder::new();
    let (mut below, mut above) = (0, 0);
    for bytes in &log {
        let Some(batch) = decoder.segment(bytes).unwrap() else {
            continue;
        };
        for index in 0..batch.len() {
            let Some(time) = batch.utc(index).map(|utc| utc as u64 - MADE_AT) else {
                continue;
            };
            if time <= from {
                continue;
            }
            let bar = batch.value(Channel::InputA, index).unwrap().to_f64();
            assert_eq!(batch.value(Channel::InputB, index), None);
            // 0.8 V and 1.2 V, times 2.5, less 0.5.
            if (bar - 1.5).abs() < 0.01 {
                below += 1;
                assert!(time < from + 20_100, "{time}");
            } else {
                above += 1;
                assert!((bar - 2.5).abs() < 0.01, "{bar} bar");
                assert!(time > from + 19_900, "{time}");
                assert!(batch.header.alarms.has(Channel::InputA));
            }
        }
    }
    assert!(
        (19..=21).contains(&below) && (18..=21).contains(&above),
        "{below} and {above}"
    );
    assert!(decoder.verification().is_whole());
    judge_with_pandas(
        concat!(env!("CARGO_TARGET_TMPDIR"), "/table"),
        &csv(&log),
        "\
assert str(log['utc'].dtype).startswith('datetime64[') and 'UTC' in str(log['utc'].dtype)
assert log['Tank, \"left\" (bar)'].dtype == 'float64'
assert log['Tank, \"left\" (bar)'].max() > 2.4
assert log['Input A (V)'].notna().sum() < 10
assert log['Events'].dtype == 'int64'
assert (log['record'].diff().dropna() == 1).all()
assert set(log['alarm'].dropna()) == {'Tank, \"left\"'}
assert log['note'].iloc[0] == 'started: power came up'
",
    );
}

#[test]
fn a_download_survives_a_link_that_damages_and_a_cable_that_is_pulled() {
    let (machine, whole) = with_log(2400);
    assert!(whole.len() > 600, "{} segments", whole.len());
    for (damage, unplug) in [
        (Some(5_003), None),
        (None, Some(20_000)),
        (Some(3_001), Some(30_000)),
    ] {
        let mut link = Mishaps {
            link: EmulatedLink::new(machine.clone()),
            received: 0,
            damage: None,
            unplug: None,
        };
        block_on(async {
            link.reopen(Duration::from_secs(5)).await.unwrap();
            let mut conversation = Conversation::open(link).await.map_err(|(_, e)| e).unwrap();
            let summary = log::read_summary(&mut conversation).await.unwrap();
            conversation.link().damage = damage;
            conversation.link().unplug = unplug;
            let mut download = Download::new(log::whole(&summary));
            let (mut got, mut broken) = (Vec::new(), 0);
            while !download.is_complete() {
                let step = download.step(&mut conversation, |piece| {
                    assert_eq!(piece.sequence, summary.first + got.len() as u32);
                    got.push(piece.content.unwrap());
                });
                match step.await {
                    Ok(()) => {
                        let status = read_status(&mut conversation).await;
                        if !matches!(status, Err(TalkError::Link(_))) {
                            assert_eq!(status.unwrap().recording, Recording::Off);
                        }
                    }
                    Err(TalkError::Link(LinkError::Lost)) => {
                        broken += 1;
                        while let Err(error) = conversation.reopen(Duration::from_secs(5)).await {
                            assert_eq!(error, TalkError::Link(LinkError::Lost));
                        }
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            assert_eq!(unplug.is_some(), broken > 0);
            assert_eq!(download.progress().done, download.progress().total);
            assert!(got == whole);
        });
    }
}

#[test]
fn a_part_is_found_by_its_time() {
    let (mut conversation, _) = connect(factory_logger());
    change(
        &mut conversation,
        &[("Memory", "Save after", Value::Number(4))],
    );
    let mut link = conversation.into_link();
    link.machine.usb_mut().detach();
    link.run(Duration::from_secs(600));
    link.machine.usb_mut().attach();
    let (mut conversation, _) = connect(link);
    block_on(sync_clock(&mut conversation, utc, 0)).unwrap();
    let known_from = conversation.link().machine.now().millis();
    let mut link = conversation.into_link();
    link.machine.usb_mut().detach();
    link.run(Duration::from_secs(1800));
    link.machine.usb_mut().attach();
    let (mut conversation, _) = connect(link);
    let until = conversation.link().machine.now().millis();
    let summary = block_on(log::read_summary(&mut conversation)).unwrap();
    let all = log::whole(&summary);
    for (from, to) in [
        (known_from + 100_000, known_from + 160_000),
        (known_from + 1_000_000, known_from + 1_000_000),
        (known_from.saturating_sub(1_000_000), known_from + 5_000),
        (until - 10_000, until + 10_000),
        (until + 10_000, until + 20_000),
    ] {
        let asked = (MADE_AT + from) as i64..=(MADE_AT + to) as i64;
        let mut seconds = 0;
        let segments = block_on(async {
            let timeline = log::read_timeline(&mut conversation, all.clone())
                .await
                .unwrap();
            let part = log::of_time(&mut conversation, &timeline, asked.clone())
                .await
                .unwrap();
            let part = log::with_layout(&mut conversation, all.clone(), part)
                .await
                .unwrap();
            let mut decoder = Decoder::new();
            let mut download = Download::new(part.clone());
            while !download.is_complete() {
                download
                    .step(&mut conversation, |piece| {
                        let bytes = piece.content.unwrap();
                        if let Some(batch) = decoder.segment(&bytes).unwrap() {
                            assert!(batch.run.is_some(), "it begins with a layout");
                            seconds += (0..batch.len())
                                .filter_map(|index| batch.utc(index))
                                .filter(|utc| asked.contains(utc))
                                .count();
                        }
                    })
                    .await
                    .unwrap();
            }
            part.len()
        });
        let wanted = (to.min(until).max(known_from) - from.clamp(known_from, until)) / 1000;
        assert!(
            (wanted as usize).saturating_sub(1) <= seconds && seconds <= wanted as usize + 2,
            "{seconds} records of {wanted} s"
        );
        // Its block's layout may lie up to a block in front.
        assert!(segments <= 256 + seconds / 4 + 160, "{segments} segments");
    }
}

#[test]
fn a_part_is_whole_where_the_clock_was_set_back_and_its_times_are_those_of_the_whole() {
    let (mut conversation, _) = connect(factory_logger_with(Options {
        lsi: 38_400,
        ..Options::default()
    }));
    change(
        &mut conversation,
        &[("Memory", "Save after", Value::Number(4))],
    );
    // In turn a clock that is right and one that is 10 minutes behind.
    for behind in [0, 600_000, 0, 600_000] {
        let ahead = |link: &mut EmulatedLink| utc(link) - behind;
        block_on(sync_clock(&mut conversation, ahead, 0)).unwrap();
        let mut link = conversation.into_link();
        link.machine.usb_mut().detach();
        link.run(Duration::from_secs(600));
        link.machine.usb_mut().attach();
        (conversation, _) = connect(link);
    }
    let times = |log: &[Vec<u8>], mut decoder: Decoder| {
        let mut times = Vec::new();
        for bytes in log {
            if let Some(batch) = decoder.segment(bytes).unwrap() {
                times.extend(
                    (0..batch.len())
                        .filter_map(|index| Some((batch.record(index), batch.utc(index)?))),
                );
            }
        }
        (times, decoder)
    };
    let (log, _) = download(&mut conversation);
    let (_, seen) = times(&log, Decoder::new());
    let (all, _) = times(&log, seen.again());
    let summary = block_on(log::read_summary(&mut conversation)).unwrap();
    let timeline = block_on(log::read_timeline(&mut conversation, log::whole(&summary))).unwrap();
    let (begin, end) = (
        all.iter().map(|(_, utc)| *utc).min().unwrap(),
        all.iter().map(|(_, utc)| *utc).max().unwrap(),
    );
    let mut shortest = usize::MAX;
    for start in (begin - 100_000..end).step_by(20_000) {
        let asked = start..=start + 60_000;
        let of_it = |times: Vec<(u32, i64)>| {
            let asked = asked.clone();
            times
                .into_iter()
                .filter(move |(_, utc)| asked.contains(utc))
                .collect::<Vec<_>>()
        };
        let range = block_on(log::of_time(&mut conversation, &timeline, asked.clone())).unwrap();
        let range = block_on(log::with_layout(
            &mut conversation,
            log::whole(&summary),
            range,
        ))
        .unwrap();
        shortest = shortest.min(range.len());
        let mut part = Vec::new();
        let mut download = Download::new(range);
        while !download.is_complete() {
            block_on(download.step(&mut conversation, |piece| {
                part.extend(piece.content.ok());
            }))
            .unwrap();
        }
        let (part, _) = times(&part, Decoder::with_clocks(timeline.clocks().clone()));
        // Without what was recorded since the whole was read.
        let known = |(record, _): &(u32, i64)| *record <= all[all.len() - 1].0;
        let part = part.into_iter().filter(known).collect();
        assert_eq!(of_it(part), of_it(all.clone()), "from {start} on");
    }
    assert!(shortest < log.len() / 2, "not everything is read");
}

#[test]
fn a_clock_that_runs_too_fast_is_told_and_set() {
    // The RTC counts 38,000 cycles of its oscillator as a second.
    let link = factory_logger_with(Options {
        lsi: 38_300,
        ..Options::default()
    });
    let (mut conversation, _) = connect(link);
    block_on(async {
        let before = sync_clock(&mut conversation, utc, 60).await.unwrap();
        assert_eq!(before, None, "nobody set it before");
        assert_eq!(read_health(&mut conversation).await.unwrap().drift, None);
    });
    let mut link = conversation.into_link();
    link.machine.usb_mut().detach();
    link.run(Duration::from_secs(1000));
    link.machine.usb_mut().attach();
    let (mut conversation, _) = connect(link);
    block_on(async {
        let ahead = sync_clock(&mut conversation, utc, 60)
            .await
            .unwrap()
            .unwrap();
        // 8 ms in each second.
        assert!((7_850..7_990).contains(&ahead), "{ahead} ms");
        let drift = read_health(&mut conversation).await.unwrap().drift.unwrap();
        assert!((7_880..7_910).contains(&drift), "{drift} ppm");
        let status = read_status(&mut conversation).await.unwrap();
        let now = utc(conversation.link()) as i64;
        let told = status.time as i64 + status.utc_offset.unwrap();
        assert!(now.abs_diff(told) <= 3, "{} ms off", told - now);
        let impossible = LoggerRequest::SetClock {
            utc: 1,
            local_offset: 0,
        };
        assert_eq!(
            conversation.tell_logger(impossible).await,
            Err(TalkError::Refused(Refusal::ImpossibleTime))
        );
        let after = read_status(&mut conversation).await.unwrap();
        assert_eq!(after.utc_offset, status.utc_offset);
    });
}

#[test]
fn only_what_the_computer_knows_of_is_erased() {
    let (machine, log) = with_log(100);
    let mut link = EmulatedLink::new(machine);
    link.machine.usb_mut().attach();
    let (mut conversation, _) = connect(link);
    block_on(async {
        let summary = log::read_summary(&mut conversation).await.unwrap();
        assert_eq!(log::whole(&summary).len(), log.len());
        let beyond = LoggerRequest::EraseLog {
            next: summary.next + 1,
        };
        assert_eq!(
            conversation.tell_logger(beyond).await,
            Err(TalkError::Refused(Refusal::OtherLog))
        );
        let unchanged = log::read_summary(&mut conversation).await.unwrap();
        assert_eq!(unchanged.first, summary.first);
    });
    change(
        &mut conversation,
        &[("Recording", "Record", Value::Toggle(true))],
    );
    let before = block_on(async {
        let summary = log::read_summary(&mut conversation).await.unwrap();
        conversation.link().run(Duration::from_secs(10));
        log::erase(&mut conversation, &summary).await.unwrap();
        summary
    });
    // Erased for good: power may fail at once.
    let mut link = conversation.into_link();
    link.machine.power_off();
    link.machine.power_on();
    let (mut conversation, _) = connect(link);
    let after = block_on(log::read_summary(&mut conversation)).unwrap();
    assert_eq!(after.first, before.next);
    assert!(after.next > before.next, "what came since is there");
    let (log, lost) = download(&mut conversation);
    assert_eq!(lost, []);
    let mut decoder = Decoder::new();
    let first = log
        .iter()
        .find_map(|bytes| decoder.segment(bytes).unwrap().map(|batch| batch.record(0)));
    assert!(first.is_some_and(|record| record >= 100), "{first:?}");
}

/// A link on which somebody erases the log right behind the next request.
struct Erasing {
    link: EmulatedLink,
    /// What is erased.
    next: Option<u32>,
}

impl Link for Erasing {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.link.send(bytes).await?;
        if let Some(next) = self.next.take() {
            let request: Request = Message::Logger(LoggerRequest::EraseLog { next });
            let packet = Packet {
                sequence: 60_000,
                message: &request,
            };
            let mut frame = [0; max_length(MAX_PACKET)];
            let length = packet.frame(&mut frame).unwrap();
            self.link.send(&frame[..length]).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        self.link.receive(timeout).await
    }

    async fn reopen(&mut self, timeout: Duration) -> Result<(), LinkError> {
        self.link.reopen(timeout).await
    }

    async fn sleep(&mut self, time: Duration) {
        self.link.sleep(time).await;
    }
}

#[test]
fn what_is_erased_while_it_is_read_is_gone_and_not_unreadable() {
    let (machine, log) = with_log(900);
    let (mut conversation, _) = connect(Erasing {
        link: EmulatedLink::new(machine),
        next: None,
    });
    let summary = block_on(log::read_summary(&mut conversation)).unwrap();
    let range = log::whole(&summary);
    assert!(range.len() >= 15, "{range:?} of {} segments", log.len());
    conversation.link().next = Some(summary.next);
    let mut download = Download::new(range);
    let (mut whole, mut gone) = (0, 0);
    while !download.is_complete() {
        block_on(
            download.step(&mut conversation, |piece| match piece.content {
                Ok(_) => whole += 1,
                Err(Loss::Gone) => gone += 1,
                Err(Loss::NeverWritten) => {}
                Err(Loss::Unreadable) => panic!("{} is not unreadable", piece.sequence),
            }),
        )
        .unwrap();
    }
    // Some were sent before.
    assert!(
        whole > 0 && gone > 3,
        "{whole} segments came, {gone} are gone"
    );
}

#[test]
fn what_is_recorded_after_an_erase_can_be_read() {
    let (mut conversation, _) = connect(factory_logger());
    conversation.link().run(Duration::from_secs(100));
    let summary = block_on(log::read_summary(&mut conversation)).unwrap();
    block_on(log::erase(&mut conversation, &summary)).unwrap();
    conversation.link().run(Duration::from_secs(600));
    let (segments, lost) = download(&mut conversation);
    assert_eq!(lost, []);
    let mut decoder = Decoder::new();
    let mut records = 0;
    let mut unknown = 0;
    for bytes in &segments {
        if let Some(batch) = decoder.segment(bytes).unwrap() {
            records += batch.len();
            for index in 0..batch.len() {
                unknown += u32::from(batch.value(Channel::Supply, index).is_none());
            }
        }
    }
    assert!(records >= 598);
    assert_eq!(unknown, 0);
}
