//! The copy of a logger's log in this browser: segments as they came, in a file that outlives the page, and an overview
//! of them that is small enough for memory however many they are. Every step is short, so that a Worker that takes them
//! can answer other questions in between. It must never say of records that they are there when they are not whole.
//!
//! The file holds segments one behind the other, as the logger sent them ([`host::data::segments`] reads it), and between
//! them notes of its own: which segments are lost, and up to where everything that the logger has was taken. What lies
//! behind the last whole entry is thrown away when the file is opened.

mod axis;
pub(crate) mod file;
mod overview;
#[cfg(target_arch = "wasm32")]
mod page;
mod picture;
mod table;

use std::ops::Range;

use host::data::{Batch, Decoder};
use host::protocol::frame::crc32;
use host::protocol::record::{CHANNELS, Channel, SEGMENT, Segment};

use file::{File, FileError};
use overview::{Earlier, MOST, Overview, what_happened};
use picture::{Painter, Picture, Piece};
use table::Table;

/// Bytes of the file that are read at once.
const LOAD: u64 = 256 << 10;
/// Most segments that are looked at one by one for a picture: more are seen by their buckets.
const NEAR: u32 = 2048;

/// Begins a note; segments begin otherwise.
const NOTE: [u8; 4] = *b"LDn1";
/// Bytes of a note: its beginning, its kind, two numbers, a CRC-32 of all that.
const NOTE_LENGTH: usize = 20;

/// What the file consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry<'a> {
    Segment(&'a [u8]),
    /// This segment could not be had from the logger.
    Lost(u32),
    /// All that the logger has from the first number on and before the second was taken.
    Covered(u32, u32),
    /// The segment behind it is not complete yet.
    Open,
}

impl Entry<'_> {
    /// The entry at the beginning of these bytes, and its length.
    fn read(bytes: &[u8]) -> Option<(Entry<'_>, usize)> {
        if let Some(segment) = Segment::parse(bytes.get(..SEGMENT).unwrap_or(bytes)) {
            let length = segment.length();
            return Some((Entry::Segment(&bytes[..length]), length));
        }
        let (note, crc) = bytes.get(..NOTE_LENGTH)?.split_last_chunk::<4>()?;
        let word = |at: usize| Some(u32::from_le_bytes(*note.get(at..)?.first_chunk()?));
        if *crc != crc32(note).to_le_bytes() || !note.starts_with(&NOTE) {
            return None;
        }
        let (first, second) = (word(8)?, word(12)?);
        let entry = match word(4)? {
            1 => Entry::Lost(first),
            2 => Entry::Covered(first, second),
            3 => Entry::Open,
            _ => return None,
        };
        Some((entry, NOTE_LENGTH))
    }

    fn write(self, out: &mut Vec<u8>) {
        let (kind, first, second) = match self {
            Entry::Segment(bytes) => return out.extend_from_slice(bytes),
            Entry::Lost(sequence) => (1u32, sequence, 0),
            Entry::Covered(first, next) => (2, first, next),
            Entry::Open => (3, 0, 0),
        };
        let start = out.len();
        out.extend(NOTE);
        for word in [kind, first, second] {
            out.extend(word.to_le_bytes());
        }
        let crc = crc32(&out[start..]);
        out.extend(crc.to_le_bytes());
    }
}

/// One record, as it is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// Where it is on the axis.
    place: f64,
    /// Its number.
    number: u32,
    /// Milliseconds since 1970; none when it was not known.
    utc: Option<i64>,
    /// Counts the starts of the clock.
    session: u16,
    /// Milliseconds since the clock was started.
    clock: u64,
    /// Its values with all their decimals, with their series.
    values: Vec<(usize, String)>,
    /// Channels that were beyond their threshold in this segment.
    alarms: u8,
    /// What happened in front of it, as bits of [`overview::happened`].
    before: u8,
}

/// What a part of the log amounts to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sums {
    /// How many records.
    records: u64,
    /// For each series: how many values, least, most, sum; infinite without values.
    series: Vec<(u64, f64, f64, f64)>,
}

/// The copy.
pub(crate) struct Log {
    file: Box<dyn File>,
    /// How far the file was looked at; none once it was.
    loading: Option<u64>,
    /// Where the next segments go.
    end: u64,
    /// Where the file's content ends, the open segment included.
    behind: u64,
    /// Numbers of the segments that were taken.
    held: Option<Range<u32>>,
    /// The last segment, and its number.
    last: Option<(u32, u64)>,
    decoder: Decoder,
    overview: Overview,
    /// How it was before the open segment.
    earlier: Option<(Decoder, Earlier)>,
    /// Whether a part of the file had to be thrown away.
    damaged: bool,
}

impl Log {
    /// The copy in this file, of which nothing is known before it is [loaded](Log::load).
    pub(crate) fn new(file: Box<dyn File>) -> Log {
        Log {
            file,
            loading: Some(0),
            end: 0,
            behind: 0,
            held: None,
            last: None,
            decoder: Decoder::new(),
            overview: Overview::new(MOST),
            earlier: None,
            damaged: false,
        }
    }

    /// Looks at a piece of the file; how much of it was looked at, from 0 to 1, and nothing more to do.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn load(&mut self) -> Result<f64, FileError> {
        let Some(at) = self.loading else {
            return Ok(1.0);
        };
        let length = self.file.length()?;
        let bytes = self.read(at..(at + LOAD).min(length))?;
        let mut rest = bytes.as_slice();
        let mut at = at;
        let mut is_open = false;
        while let Some((entry, length)) = Entry::read(rest) {
            if entry == Entry::Open {
                is_open = true;
                break;
            }
            self.enter(at, entry);
            rest = &rest[length..];
            at += length as u64;
        }
        self.settle();
        let goes_on = rest.len() < SEGMENT && at + (rest.len() as u64) < length;
        if goes_on && !is_open {
            self.loading = Some(at);
            return Ok(at as f64 / length as f64);
        }
        // Here it ends, or what follows is nothing that this program wrote.
        self.damaged |= at < length && !is_open;
        self.loading = None;
        self.file.truncate(at)?;
        (self.end, self.behind) = (at, at);
        self.close()?;
        Ok(1.0)
    }

    /// Says in the file that what was taken is complete up to the last segment, where a torn write left that out.
    fn close(&mut self) -> Result<(), FileError> {
        let Some((sequence, _)) = self.last else {
            return Ok(());
        };
        let next = sequence + 1;
        let held = self.held.clone().unwrap_or(sequence..sequence);
        if held.end < next {
            self.append(&[], &[], held.start, next)?;
        }
        Ok(())
    }

    fn enter(&mut self, at: u64, entry: Entry) {
        match entry {
            Entry::Segment(bytes) => {
                let sequence = Segment::parse(bytes).map(|segment| segment.header.sequence);
                self.last = sequence.map(|sequence| (sequence, at));
                if self.held.is_none() {
                    self.held = sequence.map(|sequence| sequence..sequence);
                }
                if let Ok(Some(batch)) = self.decoder.segment(bytes) {
                    self.overview.take(at, &batch);
                }
            }
            Entry::Lost(sequence) => self.decoder.lost(sequence),
            Entry::Covered(first, next) => self.held = Some(first..next),
            Entry::Open => {}
        }
    }

    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, FileError> {
        let mut bytes = vec![0; range.end.saturating_sub(range.start) as usize];
        let count = self.file.read(range.start, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }

    /// Takes what a download brought: segments one behind the other, the numbers of those that are lost, both in order,
    /// and up to which number that is everything. `first` is where the log began when nothing was held yet.
    ///
    /// # Errors
    /// The file's: nothing was taken then.
    pub(crate) fn take(
        &mut self,
        bytes: &[u8],
        lost: &[u32],
        first: u32,
        next: u32,
    ) -> Result<(), FileError> {
        self.reopen();
        let first = self.held.as_ref().map_or(first, |held| held.start);
        self.append(bytes, lost, first, next)?;
        self.settle();
        Ok(())
    }

    fn append(
        &mut self,
        bytes: &[u8],
        lost: &[u32],
        first: u32,
        next: u32,
    ) -> Result<(), FileError> {
        let mut written = Vec::with_capacity(bytes.len() + NOTE_LENGTH * (lost.len() + 1));
        let mut lost = lost.iter().copied().peekable();
        for segment in host::data::segments(bytes) {
            let sequence = Segment::parse(segment).map(|segment| segment.header.sequence);
            while let Some(lost) = lost.next_if(|lost| Some(*lost) < sequence) {
                Entry::Lost(lost).write(&mut written);
            }
            Entry::Segment(segment).write(&mut written);
        }
        for lost in lost {
            Entry::Lost(lost).write(&mut written);
        }
        Entry::Covered(first, next).write(&mut written);
        self.file.write(self.end, &written)?;
        let mut rest = written.as_slice();
        while let Some((entry, length)) = Entry::read(rest) {
            self.enter(self.end, entry);
            rest = &rest[length..];
            self.end += length as u64;
        }
        self.behind = self.end;
        Ok(())
    }

    /// Takes the segment that the logger is still filling; the next that is taken stands in its place.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn take_open(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.reopen();
        let mut written = Vec::new();
        Entry::Open.write(&mut written);
        Entry::Segment(bytes).write(&mut written);
        self.file.write(self.end, &written)?;
        // What it takes away again must not have become one with others.
        self.overview.make_room();
        self.earlier = Some((self.decoder.clone(), self.overview.mark()));
        self.behind = self.end + written.len() as u64;
        let last = self.last;
        self.enter(self.end + NOTE_LENGTH as u64, Entry::Segment(bytes));
        self.last = last;
        self.settle();
        Ok(())
    }

    fn settle(&mut self) {
        self.overview.settle(self.decoder.clocks());
    }

    /// Forgets the open segment.
    fn reopen(&mut self) {
        if let Some((decoder, earlier)) = self.earlier.take() {
            self.decoder = decoder;
            self.overview.take_back(earlier);
            self.settle();
            self.behind = self.end;
        }
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn clear(&mut self) -> Result<(), FileError> {
        self.file.truncate(0)?;
        self.loading = None;
        (self.end, self.behind) = (0, 0);
        (self.held, self.last, self.earlier) = (None, None, None);
        self.decoder = Decoder::new();
        self.overview = Overview::new(MOST);
        self.damaged = false;
        Ok(())
    }

    /// The last complete segment and its number: a logger that has another one by that number has another log.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn last(&self) -> Result<Option<(u32, Vec<u8>)>, FileError> {
        let Some((sequence, at)) = self.last else {
            return Ok(None);
        };
        let bytes = self.read(at..(at + SEGMENT as u64).min(self.end))?;
        Ok(host::data::segments(&bytes)
            .next()
            .map(|bytes| (sequence, bytes.to_vec())))
    }

    /// A part of it in so many columns.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn picture(&self, from: f64, to: f64, width: u32) -> Result<Picture, FileError> {
        let around = self.overview.around(from, to);
        let buckets = &self.overview.buckets[around.clone()];
        let segments: u32 = buckets.iter().map(|bucket| bucket.segments).sum();
        let exact = segments <= NEAR;
        let mut painter = Painter::new(&self.overview, from, to, width, exact);
        if exact {
            self.visit(around, |batch, series, place, broken| {
                for index in 0..batch.len() {
                    painter.add(
                        &record(batch, index, place(index), broken && index == 0),
                        series,
                    );
                }
            })?;
        } else {
            for bucket in buckets {
                let reading = &self.overview.readings[bucket.reading];
                let piece = Piece {
                    start: bucket.start,
                    end: bucket.end,
                    broken: bucket.broken,
                    holes: bucket.holes,
                    channels: bucket.channels,
                    alarms: bucket.alarms,
                    least: bucket.least,
                    most: bucket.most,
                };
                painter.add(&piece, &reading.series);
            }
        }
        Ok(painter.finish(&self.overview))
    }

    /// Reads the records of these buckets from the file: each batch with the series of its channels, where its records are
    /// on the axis, and whether something lies before it.
    fn visit(
        &self,
        buckets: Range<usize>,
        mut visit: impl FnMut(&Batch, &[usize; CHANNELS], &dyn Fn(usize) -> f64, bool),
    ) -> Result<(), FileError> {
        let (start, end) = (buckets.start, buckets.end);
        let all = &self.overview.buckets;
        let Some(first) = all.get(start).filter(|_| start < end) else {
            return Ok(());
        };
        let behind = all.get(end).map_or(self.behind, |bucket| bucket.at);
        // What lies before the very first says how it is read, and what happened.
        let (from, run) = match start {
            0 => (0, None),
            _ => (first.at, self.overview.readings[first.reading].run.clone()),
        };
        let mut decoder = Decoder::within(run, self.decoder.clocks().clone());
        let mut follower = self.overview.axis.follow(first.start);
        let mut reading = first.reading;
        let mut is_first = start > 0;
        let mut at = from;
        loop {
            let bytes = self.read(at..(at + LOAD).min(behind))?;
            let mut rest = bytes.as_slice();
            while let Some((entry, length)) = Entry::read(rest) {
                rest = &rest[length..];
                let Entry::Segment(segment) = entry else {
                    if let Entry::Lost(sequence) = entry {
                        decoder.lost(sequence);
                    }
                    continue;
                };
                let Ok(Some(batch)) = decoder.segment(segment) else {
                    continue;
                };
                let Some(stretch) = follower.stretch(&batch.header) else {
                    continue;
                };
                let readings = &self.overview.readings;
                if readings[reading].run != batch.run {
                    let other = readings.iter().position(|known| known.run == batch.run);
                    reading = other.unwrap_or(reading);
                }
                let broken = if is_first {
                    first.broken
                } else {
                    what_happened(&batch) & !overview::happened::CHANGE != 0
                };
                is_first = false;
                let place = |index| stretch.place(batch.clock(index));
                visit(&batch, &readings[reading].series, &place, broken);
            }
            let taken = bytes.len() - rest.len();
            at += taken as u64;
            if taken == 0 || at >= behind {
                return Ok(());
            }
        }
    }

    /// The record that is nearest to a place; none when there are none.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn record_at(&self, wanted: f64) -> Result<Option<Record>, FileError> {
        let mut nearest: Option<Record> = None;
        self.visit(
            self.overview.around(wanted, wanted),
            |batch, series, place, _| {
                for index in 0..batch.len() {
                    let place = place(index);
                    let nearer = nearest.as_ref().is_none_or(|nearest| {
                        (place - wanted).abs() < (nearest.place - wanted).abs()
                    });
                    if !nearer {
                        continue;
                    }
                    let values = Channel::ALL.into_iter().filter_map(|channel| {
                        let value = batch.value(channel, index)?;
                        Some((series[channel as usize], value.to_string()))
                    });
                    nearest = Some(Record {
                        place,
                        number: batch.record(index),
                        utc: batch.utc(index),
                        session: batch.header.session,
                        clock: batch.clock(index),
                        values: values.collect(),
                        alarms: batch.header.alarms.0,
                        before: if index == 0 { what_happened(batch) } else { 0 },
                    });
                }
            },
        )?;
        Ok(nearest)
    }

    /// What the records from `from` to `to` amount to.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn sums(&self, from: f64, to: f64) -> Result<Sums, FileError> {
        let overview = &self.overview;
        let mut sums = Sums {
            records: 0,
            series: vec![(0, f64::INFINITY, f64::NEG_INFINITY, 0.0); overview.series.len()],
        };
        let mut add =
            |count: u32, piece: &Piece, sum: &[f64; CHANNELS], series: &[usize; CHANNELS]| {
                sums.records += u64::from(count);
                for channel in piece.channels.iter() {
                    let channel = channel as usize;
                    let (values, least, most, whole) = &mut sums.series[series[channel]];
                    *values += u64::from(count);
                    *least = least.min(piece.least[channel].into());
                    *most = most.max(piece.most[channel].into());
                    *whole += sum[channel];
                }
            };
        let around = overview.around(from, to);
        for index in around.clone() {
            let bucket = &overview.buckets[index];
            if bucket.end < from || bucket.start > to {
                continue;
            }
            if bucket.start >= from && bucket.end <= to {
                let piece = Piece {
                    start: bucket.start,
                    end: bucket.end,
                    broken: false,
                    holes: false,
                    channels: bucket.channels,
                    alarms: bucket.alarms,
                    least: bucket.least,
                    most: bucket.most,
                };
                let series = &overview.readings[bucket.reading].series;
                add(bucket.count, &piece, &bucket.sum, series);
                continue;
            }
            // At the edges records are looked at one by one.
            self.visit(index..index + 1, |batch, series, place, _| {
                for index in 0..batch.len() {
                    let place = place(index);
                    if (from..=to).contains(&place) {
                        let piece = record(batch, index, place, false);
                        add(1, &piece, &piece.least.map(f64::from), series);
                    }
                }
            })?;
        }
        Ok(sums)
    }

    /// A table of the records from `from` to `to`, to be written in steps. It is of what is here now.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn table(&self, from: f64, to: f64) -> Result<Table, FileError> {
        let around = self.overview.around(from, to);
        let buckets = &self.overview.buckets;
        let behind = buckets.get(around.end).map_or(self.end, |bucket| bucket.at);
        let open = self.read(self.end..self.behind)?;
        let first = buckets.get(around.start);
        let run = first.and_then(|first| self.overview.readings[first.reading].run.clone());
        // Before the first record lies what says where it belongs.
        let start = first
            .filter(|_| around.start > 0)
            .map_or(0, |first| first.at);
        let run = run.filter(|_| start > 0);
        let place = first.map_or(0.0, |first| first.start);
        let axis = self.overview.axis.clone();
        let whole = start..behind.min(self.end);
        let clocks = self.decoder.clocks().clone();
        Ok(Table::new(
            whole,
            open,
            (run, clocks),
            (place, axis),
            (from, to),
        ))
    }

    /// The next piece of a table; none when it is complete.
    ///
    /// # Errors
    /// The file's.
    pub(crate) fn table_step(&self, table: &mut Table) -> Result<Option<String>, FileError> {
        match table.wants() {
            Some(range) => {
                let bytes = self.read(range)?;
                Ok(Some(table.step(&bytes)))
            }
            None => Ok(None),
        }
    }
}

/// A record as a piece of a picture.
fn record(batch: &Batch, index: usize, place: f64, broken: bool) -> Piece {
    let mut values = [f32::NAN; CHANNELS];
    let mut piece = Piece {
        start: place,
        end: place,
        broken,
        holes: false,
        channels: Default::default(),
        alarms: batch.header.alarms,
        least: values,
        most: values,
    };
    for channel in batch.header.channels.iter() {
        if let Some(value) = batch.value(channel, index) {
            values[channel as usize] = value.to_f64() as f32;
            piece.channels.insert(channel);
        }
    }
    piece.least = values;
    piece.most = values;
    piece
}

#[cfg(test)]
mod tests;
