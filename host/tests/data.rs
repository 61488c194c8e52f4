//! Segments become typed columns and CSV; what is missing or damaged is seen and nothing is invented.

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
         2026-11-22T10:11:04.000Z,2,1,127.000,3.000,-5.25,,-0.075000,\"Supply; Inside, \"\"top\",settings or clock changed; no records for 120.000 s\r\n"
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
