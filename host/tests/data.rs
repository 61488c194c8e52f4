//! Segments become typed columns and CSV; what is missing or damaged is seen and nothing is invented.

use host::clock::Accuracy;
use host::csv::Csv;
use host::data::{Before, Damaged, Decoder, segments};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::image::Version;
use protocol::record::*;

const MINUTE: u64 = 60_000;

/// Writes segments as a logger does: channel B of the inputs and the pulses are off.
struct Writer {
    sequence: u32,
    record: u32,
    session: u16,
    time: u64,
    utc_offset: Option<i64>,
    channels: ChannelSet,
    alarms: ChannelSet,
    clock: Timekeeping,
}

impl Writer {
    fn new() -> Writer {
        Writer {
            sequence: 0,
            record: 0,
            session: 1,
            time: 5_000,
            utc_offset: None,
            channels: ChannelSet(0b0_0111),
            alarms: ChannelSet(0),
            clock: Timekeeping::default(),
        }
    }

    fn seal(&mut self, kind: SegmentKind, count: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = [0xFF; SEGMENT];
        bytes[SEGMENT_HEADER..][..data.len()].copy_from_slice(data);
        SegmentHeader {
            kind,
            sequence: self.sequence,
            record: self.record,
            session: self.session,
            count,
            time: self.time,
            utc_offset: self.utc_offset,
            interval: 1000,
            channels: self.channels,
            alarms: self.alarms,
            length: data.len() as u16,
        }
        .seal(&mut bytes);
        self.sequence += 1;
        bytes[..SEGMENT_HEADER + data.len()].to_vec()
    }

    fn layout(&mut self, reason: LayoutReason, name: &str, unit: &str, gain: i32) -> Vec<u8> {
        let mut layout = Layout {
            firmware: Version::default(),
            reason,
            channels: [ChannelLayout {
                gain: ChannelLayout::GAIN_ONE,
                ..ChannelLayout::default()
            }; CHANNELS],
            clock: self.clock,
        };
        for (channel, (name, unit)) in layout.channels.iter_mut().zip([
            ("Supply", "V"),
            ("Inside, \"top\"", "°C"),
            (name, unit),
        ]) {
            let name = &name.as_bytes()[..name.len().min(ChannelLayout::NAME)];
            channel.name[..name.len()].copy_from_slice(name);
            channel.unit[..unit.len()].copy_from_slice(unit.as_bytes());
        }
        layout.channels[2].gain = gain;
        let mut data = [0; Layout::LENGTH];
        layout.write(&mut data);
        self.seal(SegmentKind::Layout, 0, &data)
    }

    /// So many records one second apart: 3.000 V and one millivolt more with each; -5.25 °C; 0.5 V.
    fn records(&mut self, count: u16) -> Vec<u8> {
        let mut data = Vec::new();
        for index in 0..count {
            data.extend_from_slice(&(3000 + index).to_le_bytes());
            data.extend_from_slice(&(-525i16).to_le_bytes());
            data.extend_from_slice(&5000u16.to_le_bytes());
        }
        let bytes = self.seal(SegmentKind::Records, count, &data);
        self.record += u32::from(count);
        self.time += u64::from(count) * 1000;
        bytes
    }
}

fn csv_of(log: &[Vec<u8>]) -> String {
    let mut csv = Csv::new();
    let mut decoder = Decoder::new();
    for bytes in log {
        if let Ok(Some(batch)) = decoder.segment(bytes) {
            csv.survey(&batch);
        }
    }
    let mut out = String::new();
    csv.header(&mut out).unwrap();
    let mut decoder = Decoder::new();
    for bytes in log {
        if let Ok(Some(batch)) = decoder.segment(bytes) {
            csv.records(&mut out, &batch, |_| true).unwrap();
        }
    }
    out
}

#[test]
fn names_that_spreadsheets_would_run_are_texts_and_numbers_stay_numbers() {
    for (name, cell) in [
        ("=1+1", "'=1+1 (V)"),
        ("+1", "'+1 (V)"),
        ("-1", "'-1 (V)"),
        ("@SUM(A1)", "'@SUM(A1) (V)"),
        ("=A1,2", "\"'=A1,2 (V)\""),
        ("'quoted", "''quoted (V)"),
        ("\u{FF1D}1", "'\u{FF1D}1 (V)"),
        ("a=1", "a=1 (V)"),
    ] {
        let mut writer = Writer::new();
        writer.alarms = ChannelSet(0b100);
        let log = [
            writer.layout(LayoutReason::Block, name, "V", -10_000),
            writer.records(1),
        ];
        let csv = csv_of(&log);
        let (head, line) = csv.split_once("\r\n").unwrap();
        assert!(head.contains(&format!(",{cell},alarm")), "{head}");
        let alarm = cell.replace(" (V)", "");
        assert_eq!(line, format!(",0,1,5.000,3.000,-5.25,-0.5000,{alarm},\r\n"));
    }
}

/// A clock that counts 1,010 milliseconds in a second, set for the first time 1,000 s after power came up.
const SET_AT: u64 = 1_010_000;
const SET_TO: i64 = 1_795_342_000_000;

/// Records a minute apart, from one moment of the clock to another. The clock was set last at `set_at`, and was ahead then.
fn minutes(
    writer: &mut Writer,
    clock: core::ops::Range<u64>,
    set_at: u64,
    utc: i64,
) -> Vec<Vec<u8>> {
    writer.clock.set_at = set_at;
    writer.utc_offset = Some(utc - set_at as i64);
    writer.time = clock.start;
    let mut log = vec![writer.layout(LayoutReason::Change, "Tank", "V", 10_000)];
    while writer.time < clock.end {
        log.push(writer.records(1));
        writer.time += MINUTE - 1000;
    }
    log
}

/// Clock, time and its accuracy, of all records; twice through the log if so asked.
fn times(log: &[Vec<u8>], again: bool) -> Vec<(u64, Option<i64>, Option<Accuracy>)> {
    let mut decoder = Decoder::new();
    if again {
        for bytes in log {
            decoder.segment(bytes).unwrap();
        }
        decoder = decoder.again();
    }
    let mut times = Vec::new();
    for bytes in log {
        if let Some(batch) = decoder.segment(bytes).unwrap() {
            times.push((batch.clock(0), batch.utc(0), batch.accuracy()));
        }
    }
    times
}

#[test]
fn times_between_two_settings_of_a_clock_lie_on_a_line_and_later_ones_go_on_with_its_drift() {
    let mut writer = Writer::new();
    writer.clock.cycles = 37;
    // An hour later it is set again: it got 36 s ahead.
    let again_at = SET_AT + 3_636_000;
    let mut log = minutes(&mut writer, SET_AT + 7..again_at, SET_AT, SET_TO);
    writer.clock.drift = Some(10_000);
    let end = again_at + 3_000_000;
    log.extend(minutes(
        &mut writer,
        again_at..end,
        again_at,
        SET_TO + 3_600_000,
    ));
    // A new session, with an oscillator that is divided by another number: it runs 1.9 % too slow.
    writer.session += 1;
    writer.clock.cycles = 38;
    writer.clock.drift = None;
    let later = SET_TO + 86_400_000;
    log.extend(minutes(&mut writer, 500_000..9_000_000, 500_000, later));

    let right = |session: u64, clock: u64| match session {
        0 => SET_TO + ((clock - SET_AT) as f64 / 1.01).round() as i64,
        _ => later + ((clock - 500_000) as f64 / (1.01 * 37.0 / 38.0)).round() as i64,
    };
    let mut session = 0;
    let mut last = 0;
    for (index, (clock, utc, accuracy)) in times(&log, true).into_iter().enumerate() {
        session += u64::from(clock < last);
        last = clock;
        assert_eq!(utc, Some(right(session, clock)), "record {index}");
        let between = session == 0 && clock < again_at;
        let wanted = if between {
            Accuracy::Between
        } else {
            Accuracy::Behind
        };
        assert_eq!(accuracy, Some(wanted), "record {index}");
    }
    assert_eq!(session, 1);
    // Whoever looks only once does not know of the first hour's drift, and says so.
    let once = times(&log, false);
    assert_eq!(once[10].1, Some(SET_TO + (once[10].0 - SET_AT) as i64));
    assert_eq!(once[10].2, Some(Accuracy::Uncorrected));
    assert_eq!(once.last(), times(&log, true).last());
}

#[test]
fn a_clock_that_was_set_to_another_time_has_no_drift_by_that() {
    let mut writer = Writer::new();
    writer.clock.cycles = 37;
    // The first computer was a day behind.
    let mut log = minutes(&mut writer, 60_000..3_600_000, 60_000, SET_TO);
    log.extend(minutes(
        &mut writer,
        3_600_000..7_200_000,
        3_600_000,
        SET_TO + 90_000_000,
    ));
    for (clock, utc, accuracy) in times(&log, true) {
        let (set_at, set_to) = match clock {
            ..3_600_000 => (60_000, SET_TO),
            _ => (3_600_000, SET_TO + 90_000_000),
        };
        assert_eq!(utc, Some(set_to + (clock - set_at) as i64));
        assert_eq!(accuracy, Some(Accuracy::Uncorrected));
    }
}

#[test]
fn times_are_as_the_logger_had_them_when_it_is_lost_when_its_clock_was_set() {
    let mut writer = Writer::new();
    writer.clock.cycles = 37;
    writer.clock.drift = Some(10_000);
    let first = minutes(&mut writer, SET_AT..2_000_000, SET_AT, SET_TO);
    let mut second = minutes(&mut writer, 2_000_000..3_000_000, 2_000_000, SET_TO);
    second.remove(0);
    let mut decoder = Decoder::new();
    for bytes in first.iter().chain(&second) {
        if let Some(batch) = decoder.segment(bytes).unwrap() {
            let offset = batch.header.utc_offset.unwrap();
            let uncorrected = batch.clock(0) as i64 + offset;
            let told = batch.clock(0) < 2_000_000;
            assert_eq!(
                batch.utc(0) == Some(uncorrected),
                !told || batch.clock(0) == SET_AT
            );
        }
    }
}

#[test]
fn records_become_typed_columns() {
    let mut writer = Writer::new();
    writer.utc_offset = Some(1_795_342_139_000);
    let mut decoder = Decoder::new();
    let layout = writer.layout(
        LayoutReason::Start(ResetCause::PowerOn),
        "Tank",
        "bar",
        25_000,
    );
    assert!(decoder.segment(&layout).unwrap().is_none());
    let bytes = writer.records(3);
    let batch = decoder.segment(&bytes).unwrap().unwrap();
    assert_eq!(batch.before.start, Some(ResetCause::PowerOn));
    assert_eq!((batch.record(2), batch.clock(2)), (2, 7000));
    assert_eq!(batch.utc(0), Some(1_795_342_144_000));
    assert_eq!(batch.values(Channel::Supply), Some(vec![3.0, 3.001, 3.002]));
    assert_eq!(batch.values(Channel::Temperature), Some(vec![-5.25; 3]));
    // 0.5 V times 2.5.
    assert_eq!(batch.values(Channel::InputA), Some(vec![1.25; 3]));
    assert_eq!(batch.values(Channel::InputB), None);
    assert_eq!(batch.raw(Channel::InputA, 0), Some(5000));
    let run = batch.run.unwrap();
    assert_eq!(run.column(Channel::InputA).name, "Tank");
    assert_eq!(run.column(Channel::InputA).unit, "bar");
}

#[test]
fn csv_is_the_same_everywhere() {
    let mut writer = Writer::new();
    let mut log = vec![
        writer.layout(
            LayoutReason::Start(ResetCause::PowerOn),
            "Tank",
            "V",
            10_000,
        ),
        writer.records(2),
    ];
    writer.utc_offset = Some(1_795_342_137_000);
    writer.alarms = ChannelSet(0b11);
    // One record is lost with the power; its number was never given.
    writer.time += 2 * MINUTE;
    log.push(writer.layout(LayoutReason::Change, "Level", "cm", -1_500));
    log.push(writer.records(1));
    assert_eq!(
        csv_of(&log),
        "utc,record,session,elapsed_s,Supply (V),\"Inside, \"\"top (°C)\",Tank (V),Level (cm),alarm,note\r\n\
         ,0,1,5.000,3.000,-5.25,0.5000,,,started: power came up\r\n\
         ,1,1,6.000,3.001,-5.25,0.5000,,,\r\n\
         2026-11-22T10:11:04.000Z,2,1,127.000,3.000,-5.25,,-0.075000,\"Supply; Inside, \"\"top\",settings or clock changed; no records for 120.000 s; utc not corrected: drift not known\r\n"
    );
}

#[test]
fn what_is_missing_is_seen() {
    let mut writer = Writer::new();
    let log = [
        writer.layout(LayoutReason::Block, "Tank", "V", 10_000),
        writer.records(64),
        writer.records(64),
        writer.records(64),
        writer.records(10),
        writer.layout(LayoutReason::Change, "Tank", "bar", 20_000),
        writer.records(10),
        writer.layout(LayoutReason::Block, "Tank", "bar", 20_000),
        writer.records(10),
    ];
    let without = |missing: &[usize]| {
        let mut decoder = Decoder::new();
        let batches: Vec<(Before, bool)> = log
            .iter()
            .enumerate()
            .filter(|(index, _)| !missing.contains(index))
            .filter_map(|(_, bytes)| decoder.segment(bytes).unwrap())
            .map(|batch| (batch.before, batch.run.is_some()))
            .collect();
        (decoder.verification().clone(), batches)
    };
    let (whole, _) = without(&[]);
    assert!(whole.is_whole());
    assert_eq!((whole.segments, whole.records), (9, 222));

    // Two segments full of records: what they were measured with is known.
    let (verification, batches) = without(&[2, 3]);
    assert!(!verification.is_whole());
    assert_eq!(verification.missing_segments, vec![2..4]);
    assert_eq!(verification.missing_records, vec![64..192]);
    assert_eq!(batches[1].0.missing_segments, 2);
    assert_eq!(batches[1].0.missing_records, 128);
    assert!(batches.iter().all(|(_, has_layout)| *has_layout));

    // A change of the layout is lost: values are not known until the next one.
    let (verification, batches) = without(&[5]);
    assert_eq!(verification.missing_segments, vec![5..6]);
    assert_eq!(verification.missing_records, []);
    let known: Vec<bool> = batches.iter().map(|(_, has_layout)| *has_layout).collect();
    assert_eq!(known, [true, true, true, true, false, true]);
    let csv = csv_of(&[&log[..5], &log[6..]].concat());
    let line = csv.lines().nth(1 + 202).unwrap();
    assert!(line.starts_with(",202,1,207.000,,,,,,"), "{line}");
    assert!(line.contains("layout missing"), "{line}");
}

#[test]
fn numbers_that_were_never_used_are_not_missing() {
    let mut writer = Writer::new();
    let start = LayoutReason::Start(ResetCause::PowerOn);
    let mut log = vec![
        writer.layout(start, "Tank", "V", 10_000),
        writer.records(10),
    ];
    // Power failed while a page was written.
    writer.sequence += 3;
    writer.session += 1;
    writer.time = 100;
    log.push(writer.layout(start, "Tank", "V", 10_000));
    log.push(writer.records(10));
    let mut decoder = Decoder::new();
    for bytes in &log {
        decoder.segment(bytes).unwrap();
    }
    assert!(decoder.verification().is_whole());
    assert!(
        csv_of(&log)
            .lines()
            .nth(11)
            .unwrap()
            .ends_with(",started: power came up")
    );

    // One of them is known to be lost.
    let mut decoder = Decoder::new();
    decoder.segment(&log[0]).unwrap();
    decoder.segment(&log[1]).unwrap();
    decoder.lost(2);
    decoder.segment(&log[2]).unwrap();
    let batch = decoder.segment(&log[3]).unwrap().unwrap();
    assert_eq!(batch.before.missing_segments, 1);
    assert_eq!(decoder.verification().missing_segments, vec![2..3]);
}

#[test]
fn what_comes_twice_counts_once() {
    let mut writer = Writer::new();
    let mut decoder = Decoder::new();
    let layout = writer.layout(LayoutReason::Block, "Tank", "V", 10_000);
    let records = writer.records(3);
    for (bytes, records) in [(&layout, 0), (&records, 3), (&layout, 0), (&records, 0)] {
        let batch = decoder.segment(bytes).unwrap();
        assert_eq!(batch.map_or(0, |batch| batch.len()), records);
    }
    assert_eq!(decoder.verification().out_of_order, 2);
    assert!(!decoder.verification().is_whole());
}

#[test]
fn a_kept_log_is_read_around_damage() {
    let mut writer = Writer::new();
    let log = [
        writer.layout(LayoutReason::Block, "Tank", "V", 10_000),
        writer.records(64),
        writer.records(64),
        writer.records(64),
    ];
    let mut kept = log.concat();
    let second = log[0].len() + 100;
    kept[second] ^= 1;
    let read: Vec<&[u8]> = segments(&kept).collect();
    assert_eq!(read, [&log[0][..], &log[2], &log[3]]);
}

#[test]
fn values_are_exact() {
    let mut writer = Writer::new();
    let mut decoder = Decoder::new();
    for (gain, text) in [
        (10_000, "0.5000"),
        (1, "0.00005000"),
        (-1, "-0.00005000"),
        (i32::MAX, "107374.18235000"),
        (0, "0.0000"),
    ] {
        let layout = writer.layout(LayoutReason::Change, "Tank", "V", gain);
        decoder.segment(&layout).unwrap();
        let records = writer.records(1);
        let batch = decoder.segment(&records).unwrap().unwrap();
        let value = batch.value(Channel::InputA, 0).unwrap();
        assert_eq!(value.to_string(), text);
        assert_eq!(value.to_f64(), text.parse::<f64>().unwrap());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_taken_without_a_panic(
        mut data in vec(any::<u8>(), 0..=SEGMENT_DATA),
        is_layout: bool,
        numbers in any::<[u32; 4]>(),
        small in any::<(u16, u16, u8, u8)>(),
        time in 0u64..1 << 48,
        utc_offset in prop::option::of(1i64 - (1 << 47)..1 << 47),
    ) {
        let [sequence, record, interval, _] = numbers;
        let (session, count, channels, alarms) = small;
        let mut decoder = Decoder::new();
        let mut writer = Writer::new();
        prop_assert_eq!(decoder.segment(&data).err(), Some(Damaged));
        decoder.segment(&writer.layout(LayoutReason::Block, "Tank", "V", -7)).unwrap();
        decoder.segment(&writer.records(3)).unwrap();
        let set = ChannelSet(channels);
        if data.len() >= set.record_length() && set.record_length() > 0 {
            data.truncate(data.len() / set.record_length() * set.record_length());
        }
        let fitting = (data.len() / set.record_length().max(1)) as u16;
        for count in [count, fitting] {
            let mut bytes = [0; SEGMENT];
            bytes[SEGMENT_HEADER..][..data.len()].copy_from_slice(&data);
            SegmentHeader {
                kind: if is_layout { SegmentKind::Layout } else { SegmentKind::Records },
                sequence, record, session, count, time, utc_offset, interval,
                channels: set,
                alarms: ChannelSet(alarms),
                length: data.len() as u16,
            }.seal(&mut bytes);
            if let Ok(Some(batch)) = decoder.segment(&bytes) {
                let mut csv = Csv::new();
                csv.survey(&batch);
                let mut out = String::new();
                csv.header(&mut out).unwrap();
                csv.records(&mut out, &batch, |_| true).unwrap();
                prop_assert_eq!(out.matches("\r\n").count(), 1 + batch.len());
            }
        }
        prop_assert!(segments(&data).count() == 0);
    }
}
