//! Logs made of whole segments, as a logger writes them.

use std::cell::RefCell;
use std::rc::Rc;

use host::clock::Clocks;
use host::csv::Csv;
use host::protocol::image::Version;
use host::protocol::record::{
    ChannelLayout, ChannelSet, Layout, LayoutReason, ResetCause, SEGMENT_HEADER, SegmentHeader,
    SegmentKind, Timekeeping,
};

use super::file::MEMORY;
use super::overview::happened;
use super::*;

/// A file that several copies see one after the other.
#[derive(Clone, Default)]
struct Shared(Rc<RefCell<Vec<u8>>>);

impl File for Shared {
    fn length(&self) -> Result<u64, FileError> {
        Ok(self.0.borrow().len() as u64)
    }

    fn read(&self, at: u64, out: &mut [u8]) -> Result<usize, FileError> {
        let bytes = self.0.borrow();
        let bytes = bytes.get(at as usize..).unwrap_or_default();
        let count = bytes.len().min(out.len());
        out[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), FileError> {
        self.truncate(at)?;
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> Result<(), FileError> {
        self.0.borrow_mut().truncate(length as usize);
        Ok(())
    }
}

/// Supply and temperature.
const CHANNELS_ON: ChannelSet = ChannelSet(0b11);
/// Records of a segment.
const RECORDS: u16 = 60;

/// A logger, as far as its segments go.
struct Source {
    sequence: u32,
    record: u32,
    session: u16,
    clock: u64,
    utc_offset: Option<i64>,
    set_at: u64,
}

impl Source {
    fn new() -> Source {
        Source {
            sequence: 0,
            record: 0,
            session: 1,
            clock: 0,
            utc_offset: Some(1_795_000_000_000),
            set_at: 0,
        }
    }

    fn segment(&mut self, kind: SegmentKind, count: u16, data: &[u8]) -> Vec<u8> {
        let header = SegmentHeader {
            kind,
            sequence: self.sequence,
            record: self.record,
            session: self.session,
            count,
            time: self.clock,
            utc_offset: self.utc_offset,
            interval: 1000,
            channels: CHANNELS_ON,
            alarms: ChannelSet(u8::from(self.record == 600)),
            length: data.len() as u16,
        };
        self.sequence += 1;
        self.record += u32::from(count);
        self.clock += 1000 * u64::from(count);
        let mut bytes = vec![0; SEGMENT_HEADER];
        bytes.extend_from_slice(data);
        header.seal(&mut bytes).expect("it has room").to_vec()
    }

    fn layout(&mut self, name: &[u8], reason: LayoutReason) -> Vec<u8> {
        let mut channels = [ChannelLayout::default(); CHANNELS];
        for (layout, name) in channels.iter_mut().zip([name, b"Temperature"]) {
            layout.name[..name.len()].copy_from_slice(name);
            layout.unit[0] = b'V';
            layout.gain = ChannelLayout::GAIN_ONE;
        }
        channels[1].gain = -20_000;
        let layout = Layout {
            firmware: Version::from_bytes(&[1, 0, 0, 0, 0, 0, 0, 0]),
            reason,
            channels,
            clock: Timekeeping {
                set_at: self.set_at,
                drift: None,
                cycles: 37,
            },
        };
        let mut data = [0; Layout::LENGTH];
        layout.write(&mut data);
        self.segment(SegmentKind::Layout, 0, &data)
    }

    fn records(&mut self, count: u16) -> Vec<u8> {
        let mut data = Vec::new();
        for record in self.record..self.record + u32::from(count) {
            data.extend((record % 3001).to_le_bytes()[..2].iter());
            data.extend(((record % 777) as i16 - 300).to_le_bytes());
        }
        self.segment(SegmentKind::Records, count, &data)
    }

    /// A log of a life: a start, unused numbers behind a power cut, a time without UTC, other names.
    fn life(&mut self) -> Vec<Vec<u8>> {
        let mut log = vec![self.layout(b"Supply", LayoutReason::Start(ResetCause::PowerOn))];
        log.extend((0..40).map(|_| self.records(RECORDS)));
        self.session += 1;
        (self.sequence, self.clock, self.utc_offset) = (self.sequence + 5, 300, None);
        log.push(self.layout(b"Supply", LayoutReason::Start(ResetCause::PowerOn)));
        log.extend((0..30).map(|_| self.records(RECORDS)));
        (self.utc_offset, self.set_at) = (Some(1_795_090_000_000), self.clock);
        log.push(self.layout(b"Battery", LayoutReason::Change));
        log.extend((0..30).map(|_| self.records(RECORDS)));
        log
    }
}

fn loaded(file: impl File + 'static) -> Log {
    let mut log = Log::new(Box::new(file));
    while log.load().unwrap() < 1.0 {}
    log
}

fn whole(log: &Log) -> (f64, f64) {
    let buckets = &log.overview.buckets;
    (buckets.first().unwrap().start, buckets.last().unwrap().end)
}

fn csv(log: &Log, from: f64, to: f64) -> String {
    let mut table = log.table(from, to).unwrap();
    let mut text = String::new();
    while let Some(more) = log.table_step(&mut table).unwrap() {
        text += &more;
    }
    assert_eq!(table.records() as usize + 1, text.lines().count());
    assert_eq!(table.done(), 1.0);
    text
}

/// What the command line writes.
fn csv_of(segments: &[Vec<u8>]) -> String {
    let (mut csv, mut text, mut clocks) = (Csv::new(), String::new(), Clocks::new());
    for write in [false, true] {
        let mut decoder = Decoder::with_clocks(clocks);
        if write {
            csv.header(&mut text).unwrap();
        }
        for bytes in segments {
            match decoder.segment(bytes) {
                Ok(Some(batch)) if write => csv.records(&mut text, &batch, |_| true).unwrap(),
                Ok(Some(batch)) => csv.survey(&batch),
                _ => {}
            }
        }
        clocks = decoder.clocks().clone();
    }
    text
}

#[test]
fn what_was_taken_is_there_again_with_the_file() {
    let file = Shared::default();
    let segments = Source::new().life();
    let mut log = loaded(file.clone());
    for (index, some) in segments.chunks(7).enumerate() {
        let next = if index == 14 { 108 } else { 7 * index as u32 };
        log.take(&some.concat(), &[], 0, next).unwrap();
    }
    assert_eq!(log.held, Some(0..108));
    let again = loaded(file);
    assert!(!again.damaged);
    assert_eq!(again.held, log.held);
    assert_eq!(again.decoder.verification(), log.decoder.verification());
    assert!(again.decoder.verification().is_whole());
    assert_eq!(again.decoder.verification().records, 100 * 60);
    assert_eq!(again.last().unwrap(), Some((107, segments[102].clone())));
    let (from, to) = whole(&log);
    assert_eq!(csv(&again, from, to), csv_of(&segments));
    assert_eq!(again.sums(from, to), log.sums(from, to));
    assert_eq!(again.overview.series.len(), 6);
}

#[test]
fn a_damaged_file_is_taken_as_far_as_it_is_good() {
    let segments = Source::new().life();
    let file = Shared::default();
    let mut log = loaded(file.clone());
    let numbers: Vec<u32> = segments
        .iter()
        .map(|segment| Segment::parse(segment).unwrap().header.sequence)
        .collect();
    for (segment, number) in segments.iter().zip(&numbers) {
        log.take(segment, &[], 0, number + 1).unwrap();
    }
    let good = file.0.borrow().clone();
    for place in (0..good.len()).step_by(1997) {
        for cut in [false, true] {
            let mut bytes = good.clone();
            if cut {
                bytes.truncate(place);
            } else {
                bytes[place] ^= 1;
            }
            let file = Shared(Rc::new(RefCell::new(bytes)));
            let log = loaded(file.clone());
            let left = file.0.borrow().clone();
            // Where only the note of what was complete is torn, it is written again.
            assert!(left.len() <= place + NOTE_LENGTH);
            assert!(place < SEGMENT || left.len() + SEGMENT + NOTE_LENGTH > place);
            assert!(log.damaged || cut);
            let taken = host::data::segments(&left).count();
            let last = taken.checked_sub(1).map_or(0, |last| numbers[last] + 1);
            let held = log.held.clone().map_or(0, |held| held.end);
            assert_eq!(held, last, "at {place}");
            // What is missing is taken again.
            let mut log = log;
            let rest = segments[taken..].concat();
            log.take(&rest, &[], 0, 108).unwrap();
            let (from, to) = whole(&log);
            assert_eq!(csv(&log, from, to), csv_of(&segments));
        }
    }
    assert!(loaded(Shared(Rc::new(RefCell::new(vec![7; 5000])))).damaged);
}

#[test]
fn the_open_segment_gives_way_to_what_comes_next() {
    let file = Shared::default();
    let mut source = Source::new();
    source.utc_offset = None;
    let mut log = loaded(file.clone());
    let layout = source.layout(b"Supply", LayoutReason::Change);
    let first = source.records(RECORDS);
    log.take(&[layout, first].concat(), &[], 0, 2).unwrap();
    let before = (
        whole(&log),
        log.sums(f64::MIN, f64::MAX),
        log.decoder.verification().clone(),
    );
    // The first that knows its time: all before it move, and move back.
    source.utc_offset = Some(1_795_000_000_000);
    for count in [1, 7, 30] {
        let (sequence, record, clock) = (source.sequence, source.record, source.clock);
        log.take_open(&source.records(count)).unwrap();
        assert_eq!(log.decoder.verification().records, 60 + u64::from(count));
        assert_eq!(
            whole(&log).1,
            1_795_000_060_000.0 + 1000.0 * f64::from(count - 1)
        );
        let (from, to) = whole(&log);
        assert_eq!(csv(&log, from, to).lines().count(), 61 + usize::from(count));
        let last = log.record_at(to).unwrap().unwrap();
        assert_eq!((last.number, last.place), (60 + u32::from(count) - 1, to));
        (source.sequence, source.record, source.clock) = (sequence, record, clock);
    }
    // It is not what a later visit begins with.
    let again = loaded(file);
    assert!(!again.damaged);
    assert_eq!(again.held, Some(0..2));
    assert_eq!(whole(&again), before.0);
    log.reopen();
    assert_eq!(
        (
            whole(&log),
            log.sums(f64::MIN, f64::MAX),
            log.decoder.verification().clone()
        ),
        before
    );
    log.take(&source.records(RECORDS), &[], 0, 3).unwrap();
    assert_eq!(log.decoder.verification().records, 120);
}

#[test]
fn segments_that_are_lost_are_missing_and_others_with_them_known() {
    let mut source = Source::new();
    let mut log = loaded(Shared::default());
    let layout = source.layout(b"Supply", LayoutReason::Change);
    let segments: Vec<_> = (0..4).map(|_| source.records(RECORDS)).collect();
    let bytes = [&layout[..], &segments[0], &segments[3]].concat();
    log.take(&bytes, &[2, 3], 0, 5).unwrap();
    let verification = log.decoder.verification();
    assert_eq!(
        verification.missing_segments.as_slice(),
        core::slice::from_ref(&(2..4))
    );
    let (from, to) = whole(&log);
    let picture = log.picture(from, to + 1.0, 1000).unwrap();
    let broken = picture.breaks.iter().position(|broken| *broken == 1);
    assert_eq!(
        broken.map(|index| picture.places[index]),
        Some(from + 180_000.0)
    );
    let mark = picture.marks.last().unwrap();
    assert_eq!(mark.what & happened::MISSING, happened::MISSING);
}

#[test]
fn pictures_show_least_and_most_of_what_they_stand_for() {
    let mut log = loaded(Shared::default());
    let segments = Source::new().life();
    log.take(&segments.concat(), &[], 0, 108).unwrap();
    let (from, to) = whole(&log);
    for width in [1, 10, 333, 100_000] {
        let picture = log.picture(from, to + 1.0, width).unwrap();
        assert!(picture.exact);
        assert!(picture.places.is_sorted());
        assert!(picture.places.len() <= width as usize + 2);
        let all = log.sums(from, to).unwrap();
        for (line, (_, least, most, _)) in all.series.iter().enumerate() {
            let of = |values: &[f32], pick: fn(f32, f32) -> f32| {
                f64::from(values.iter().copied().fold(f32::NAN, pick))
            };
            assert!(of(&picture.least[line], f32::min) == *least || least.is_infinite());
            assert!(of(&picture.most[line], f32::max) == *most || most.is_infinite());
        }
        assert_eq!(
            picture.marks.iter().fold(0, |what, mark| what | mark.what),
            happened::START | happened::CHANGE
        );
    }
    // Records from 1,000 s on, one column each.
    let picture = log
        .picture(from + 1_000_000.0, from + 1_010_000.0, 10)
        .unwrap();
    let supply: Vec<f32> = picture.least[0][1..].to_vec();
    let expected: Vec<f32> = (1000..=1010).map(|record| record as f32 / 1000.0).collect();
    assert_eq!(supply, expected);
    assert_eq!(
        picture.least[1][1],
        -2.0 * ((1000 % 777) as f32 - 300.0) / 100.0
    );
    let record = log.record_at(from + 1_004_400.0).unwrap().unwrap();
    assert_eq!((record.number, record.place), (1004, from + 1_004_000.0));
    assert_eq!(record.values, [(0, "1.004".into()), (1, "1.46".into())]);
    // Without UTC, the axis says so.
    let unknown = picture_axis(&log, from, to);
    assert_eq!(unknown.iter().filter(|part| part[2].is_nan()).count(), 1);
}

fn picture_axis(log: &Log, from: f64, to: f64) -> Vec<[f64; 5]> {
    log.picture(from, to, 1000).unwrap().axis
}

#[test]
fn times_move_to_where_they_belong_once_the_clock_is_known_better() {
    let mut log = loaded(Shared::default());
    let mut source = Source::new();
    let mut segments = vec![source.layout(b"Supply", LayoutReason::Change)];
    segments.extend((0..60).map(|_| source.records(RECORDS)));
    log.take(&segments.concat(), &[], 0, 61).unwrap();
    assert_eq!(whole(&log).1, 1_795_003_599_000.0);
    // In an hour the clock ran 36 s too fast, as a computer finds then.
    (source.utc_offset, source.set_at) = (Some(1_794_999_964_000), source.clock);
    let rest = [
        source.layout(b"Supply", LayoutReason::Change),
        source.records(RECORDS),
    ];
    log.take(&rest.concat(), &[], 0, 63).unwrap();
    let parts = picture_axis(&log, f64::MIN, f64::MAX);
    assert!(parts.iter().all(|part| part[2].abs() < 1.0), "{parts:?}");
    let half = log.record_at(1_795_001_782_000.0).unwrap().unwrap();
    assert_eq!((half.number, half.utc), (1800, Some(1_795_001_782_000)));
    segments.extend(rest);
    let text = csv(&log, f64::MIN, f64::MAX);
    assert_eq!(text, csv_of(&segments));
    assert!(text.contains("the clock was set before and after"));
}

#[test]
fn a_selection_is_as_exact_as_the_whole() {
    let mut log = loaded(Shared::default());
    let mut source = Source::new();
    let mut segments = vec![source.layout(b"Supply", LayoutReason::Change)];
    segments.extend((0..3000).map(|_| source.records(RECORDS)));
    log.take(&segments.concat(), &[], 0, 3001).unwrap();
    let (from, to) = (1_795_000_100_500.0, 1_795_000_900_000.0);
    let text = csv(&log, from, to);
    let all = csv_of(&segments);
    let expected: Vec<&str> = all
        .lines()
        .take(1)
        .chain(all.lines().skip(102).take(800))
        .collect();
    assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    let sums = log.sums(from, to).unwrap();
    let values: Vec<f64> = (101..=900)
        .map(|record| f64::from(record % 3001) / 1000.0)
        .collect();
    let sum: f64 = values.iter().sum();
    assert_eq!(sums.records, 800);
    assert_eq!(sums.series[0].0, 800);
    assert!(
        (sums.series[0].3 - sum).abs() < 1e-3,
        "{} {sum}",
        sums.series[0].3
    );
    assert_eq!(sums.series[0].1 as f32, 0.101);
}

#[test]
fn an_overview_stays_small_and_true() {
    let mut source = Source::new();
    let mut small = loaded(Shared::default());
    small.overview = Overview::new(64);
    let mut exact = loaded(Shared::default());
    for round in 0..40 {
        let mut bytes = source.layout(b"Supply", LayoutReason::Block);
        for _ in 0..100 {
            bytes.extend(source.records(RECORDS));
        }
        if round % 10 == 9 {
            // Power goes for a day.
            source.session += 1;
            source.clock = 0;
            source.utc_offset = source
                .utc_offset
                .map(|offset| offset + 90_000_000 + 60_000_000);
        }
        for log in [&mut small, &mut exact] {
            log.take(&bytes, &[], 0, source.sequence).unwrap();
        }
        assert!(small.overview.buckets.len() <= 64);
    }
    assert_eq!(exact.overview.buckets.len(), 4000);
    let (from, to) = whole(&exact);
    assert_eq!(whole(&small), (from, to));
    let sums = |log: &Log| log.sums(from + 7_000_000.0, to - 7_000_000.0).unwrap();
    let (a, b) = (sums(&small), sums(&exact));
    assert_eq!(a.records, b.records);
    for (a, b) in a.series.iter().zip(&b.series) {
        assert_eq!((a.0, a.1, a.2), (b.0, b.1, b.2));
        // Records at the edges are added as they are drawn.
        assert!((a.3 - b.3).abs() < 0.01, "{} {}", a.3, b.3);
    }
    let [a, b] = [&small, &exact].map(|log| log.picture(from, to, 20).unwrap());
    assert_eq!(a.breaks.iter().filter(|broken| **broken == 1).count(), 3);
    assert_eq!(b.breaks.iter().filter(|broken| **broken == 1).count(), 3);
    assert_eq!(small.overview.marks, exact.overview.marks);
    // Gaps everywhere: they are within buckets then.
    let mut gaps = loaded(Shared::default());
    gaps.overview = Overview::new(64);
    for _ in 0..500 {
        source.clock += 10_000;
        gaps.take(
            &source.records(1),
            &[],
            source.sequence - 1,
            source.sequence,
        )
        .unwrap();
        assert!(gaps.overview.buckets.len() <= 64 && gaps.overview.marks.len() <= 64);
    }
    assert!(gaps.overview.buckets.iter().any(|bucket| bucket.holes));
}

#[test]
fn the_open_segment_gives_way_in_an_overview_that_is_full_too() {
    let mut source = Source::new();
    let mut log = loaded(Shared::default());
    log.overview = Overview::new(64);
    let mut next = vec![source.layout(b"Supply", LayoutReason::Change)];
    for _ in 0..400 {
        // Each follows a gap, and so has a mark.
        source.clock += 10_000;
        log.take(&next.concat(), &[], 0, source.sequence).unwrap();
        next = vec![source.records(RECORDS)];
        log.take_open(&next[0]).unwrap();
        for open in [true, false] {
            let sums = log.sums(f64::MIN, f64::MAX).unwrap();
            assert_eq!(sums.records, log.decoder.verification().records);
            assert!(log.overview.buckets.len() <= 64 && log.overview.marks.len() <= 64);
            if open {
                log.reopen();
            }
        }
    }
}

#[test]
fn a_full_log_takes_little_memory() {
    // 20 MB and more of segments; each is looked at once.
    let mut log = loaded(Shared::default());
    let room = log.overview.buckets.capacity();
    let mut source = Source::new();
    log.take(&source.layout(b"Supply", LayoutReason::Change), &[], 0, 1)
        .unwrap();
    while log.end < 20 << 20 {
        let bytes: Vec<u8> = (0..256).flat_map(|_| source.records(64)).collect();
        log.take(&bytes, &[], 0, source.sequence).unwrap();
    }
    assert_eq!(
        log.overview.buckets.capacity(),
        room,
        "as much as an empty one"
    );
    assert!(room * size_of::<overview::Bucket>() <= 6 << 20);
    let (from, to) = whole(&log);
    let picture = log.picture(from, to, 1500).unwrap();
    assert!(!picture.exact);
    assert_eq!(picture.places.len(), 1501);
}

#[test]
fn memory_that_is_full_says_so_and_keeps_what_it_has() {
    let mut log = loaded(file::Memory::default());
    let mut source = Source::new();
    log.take(&source.layout(b"Supply", LayoutReason::Change), &[], 0, 1)
        .unwrap();
    log.take(&source.records(RECORDS), &[], 0, 2).unwrap();
    let error = loop {
        // What is lost takes room, too.
        let lost: Vec<u32> = (source.sequence..source.sequence + 50_000).collect();
        source.sequence += 50_000;
        if let Err(error) = log.take(&[], &lost, 0, source.sequence) {
            break error;
        }
    };
    assert_eq!(error, FileError::Full);
    assert!(log.end <= MEMORY);
    let (_, to) = whole(&log);
    assert_eq!(log.record_at(to).unwrap().unwrap().place, to);
    log.clear().unwrap();
    assert_eq!(log.held, None);
    assert_eq!(log.record_at(to).unwrap(), None);
}
