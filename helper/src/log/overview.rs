//! What a log looks like from afar: its records in buckets, each with its place in the file, its time, and least, most
//! and sum of each channel. It is made while records come, and stays small however many they become: when there are too
//! many buckets, neighbours become one. Seen close by, records are read from the file.

use std::rc::Rc;

use host::clock::Clocks;
use host::data::{Batch, Run};
use host::protocol::record::{CHANNELS, Channel, ChannelSet};

use super::axis::{Axis, Before, Moment};

/// Most buckets, and most marks: 6 MB of memory.
pub(crate) const MOST: usize = 32_768;

/// A channel under one name and unit: a line of the chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// What was measured.
    pub(crate) channel: Channel,
    /// What its owner called it.
    pub(crate) name: String,
    /// Its unit; may be empty.
    pub(crate) unit: String,
}

/// How the values of some buckets are read.
#[derive(Clone)]
pub(crate) struct Reading {
    /// None where the layout was lost.
    pub(crate) run: Option<Rc<Run>>,
    /// Which series each channel goes to.
    pub(crate) series: [usize; CHANNELS],
}

/// Some consecutive records of one reading and with the same channels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Where its first segment begins in the file.
    pub(crate) at: u64,
    /// When its first and its last record were taken.
    first: Moment,
    last: Moment,
    /// Where these are on the axis.
    pub(crate) start: f64,
    /// See [`Bucket::start`].
    pub(crate) end: f64,
    /// How many records.
    pub(crate) count: u32,
    /// In how many segments.
    pub(crate) segments: u32,
    /// Which of [`Overview::readings`].
    pub(crate) reading: usize,
    /// Channels that have values.
    pub(crate) channels: ChannelSet,
    /// Channels that were beyond their alarm threshold somewhere in it.
    pub(crate) alarms: ChannelSet,
    /// Between it and the records before it some are missing, or time passed without any.
    pub(crate) broken: bool,
    /// The same within it.
    pub(crate) holes: bool,
    /// Least value of each channel, in its unit.
    pub(crate) least: [f32; CHANNELS],
    /// Most of each.
    pub(crate) most: [f32; CHANNELS],
    /// Sum of each.
    pub(crate) sum: [f64; CHANNELS],
}

impl Bucket {
    fn absorb(&mut self, next: &Bucket) {
        (self.last, self.end) = (next.last, next.end);
        self.count += next.count;
        self.segments += next.segments;
        self.alarms.0 |= next.alarms.0;
        self.holes |= next.broken | next.holes;
        for channel in 0..CHANNELS {
            self.least[channel] = self.least[channel].min(next.least[channel]);
            self.most[channel] = self.most[channel].max(next.most[channel]);
            self.sum[channel] += next.sum[channel];
        }
    }

    fn is_like(&self, next: &Bucket) -> bool {
        self.reading == next.reading && self.channels == next.channels
    }
}

/// Something that happened, as bits.
pub(crate) mod happened {
    /// The logger was started.
    pub(crate) const START: u8 = 1;
    /// Segments or records are missing.
    pub(crate) const MISSING: u8 = 2;
    /// No records were taken for a while.
    pub(crate) const PAUSE: u8 = 4;
    /// Settings were changed or the clock was set.
    pub(crate) const CHANGE: u8 = 8;
}

/// What [`happened`], in front of the record at this place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mark {
    moment: Moment,
    /// On the axis.
    pub(crate) place: f64,
    /// Bits of [`happened`].
    pub(crate) what: u8,
}

/// What happened before a batch.
pub(crate) fn what_happened(batch: &Batch) -> u8 {
    let before = &batch.before;
    let missing = before.missing_segments > 0 || before.missing_records > 0;
    let bit = |on: bool, bit: u8| if on { bit } else { 0 };
    bit(before.start.is_some(), happened::START)
        | bit(missing, happened::MISSING)
        | bit(is_pause(batch), happened::PAUSE)
        | bit(before.change, happened::CHANGE)
}

/// Whether at least one record more would have been due.
fn is_pause(batch: &Batch) -> bool {
    batch.before.pause > 0 && batch.before.pause >= u64::from(batch.header.interval)
}

/// All buckets of a log.
pub(crate) struct Overview {
    /// In their order.
    pub(crate) buckets: Vec<Bucket>,
    /// In their order.
    pub(crate) marks: Vec<Mark>,
    /// The lines of the chart, in the order of their first record.
    pub(crate) series: Vec<Series>,
    /// How buckets are read.
    pub(crate) readings: Vec<Reading>,
    /// Where they lie.
    pub(crate) axis: Axis,
    /// Most segments of a bucket.
    span: u32,
    /// Most buckets and most marks.
    most: usize,
}

/// What [`Overview::take_back`] needs.
#[derive(Clone)]
pub(crate) struct Earlier {
    buckets: usize,
    last: Option<Bucket>,
    marks: usize,
    axis: Before,
}

impl Overview {
    /// Of nothing, with at most so many buckets.
    pub(crate) fn new(most: usize) -> Overview {
        Overview {
            // All at once: a program's memory in the browser keeps the room that was grown out of.
            buckets: Vec::with_capacity(most),
            marks: Vec::new(),
            series: Vec::new(),
            readings: Vec::new(),
            axis: Axis::default(),
            span: 1,
            most,
        }
    }

    /// Takes in the records of the segment that lies there in the file.
    pub(crate) fn take(&mut self, at: u64, batch: &Batch) {
        self.make_room();
        let (first, last) = self.axis.take(&batch.header);
        let what = what_happened(batch);
        if what != 0 {
            self.marks.push(Mark {
                moment: first,
                place: self.axis.place(first),
                what,
            });
        }
        let new = self.bucket(at, batch, (first, last), what & !happened::CHANGE != 0);
        match self.buckets.last_mut() {
            Some(last) if last.segments < self.span && !new.broken && last.is_like(&new) => {
                last.absorb(&new);
            }
            _ => self.buckets.push(new),
        }
    }

    /// Puts everything where it belongs by what is known of the logger's clock by now.
    pub(crate) fn settle(&mut self, clocks: &Clocks) {
        if self.axis.refresh(clocks) {
            for bucket in &mut self.buckets {
                bucket.start = self.axis.place(bucket.first);
                bucket.end = self.axis.place(bucket.last);
            }
            for mark in &mut self.marks {
                mark.place = self.axis.place(mark.moment);
            }
        }
    }

    /// Makes it small again when it has no room for another segment.
    pub(crate) fn make_room(&mut self) {
        if self.buckets.len() >= self.most {
            self.span = self.span.saturating_mul(2);
            self.join(false);
            // Where gaps are everywhere, buckets get holes.
            if self.buckets.len() > self.most * 3 / 4 {
                self.join(true);
            }
        }
        if self.marks.len() >= self.most {
            let mut kept = Vec::with_capacity(self.most);
            for pair in self.marks.chunks(2) {
                kept.push(Mark {
                    what: pair.iter().fold(0, |what, mark| what | mark.what),
                    ..pair[0]
                });
            }
            self.marks = kept;
        }
    }

    /// Neighbours become one, two at a time; across what lies between them, or not.
    fn join(&mut self, across: bool) {
        let mut full = false;
        self.buckets.dedup_by(|next, last| {
            full = !full && last.is_like(next) && (across || !next.broken);
            if full {
                last.absorb(next);
            }
            full
        });
    }

    fn bucket(
        &mut self,
        at: u64,
        batch: &Batch,
        (first, last): (Moment, Moment),
        broken: bool,
    ) -> Bucket {
        let reading = self.reading(batch);
        let mut bucket = Bucket {
            at,
            first,
            last,
            start: self.axis.place(first),
            end: self.axis.place(last),
            count: batch.len() as u32,
            segments: 1,
            reading,
            channels: ChannelSet(0),
            alarms: batch.header.alarms,
            broken,
            holes: false,
            least: [f32::NAN; CHANNELS],
            most: [f32::NAN; CHANNELS],
            sum: [0.0; CHANNELS],
        };
        let Some(run) = &batch.run else {
            return bucket;
        };
        bucket.channels = batch.header.channels;
        for channel in bucket.channels.iter() {
            let raw = (0..batch.len()).filter_map(|index| batch.raw(channel, index));
            let (mut least, mut most, mut sum) = (i64::MAX, i64::MIN, 0);
            for value in raw {
                least = least.min(value);
                most = most.max(value);
                sum += value;
            }
            let column = run.column(channel);
            let [a, b] = [least, most].map(|raw| column.physical(raw).to_f64());
            let zero = column.physical(0).to_f64();
            let step = column.physical(1).to_f64() - zero;
            // A gain below 0 turns them round.
            bucket.least[channel as usize] = a.min(b) as f32;
            bucket.most[channel as usize] = a.max(b) as f32;
            bucket.sum[channel as usize] = step * sum as f64 + zero * batch.len() as f64;
        }
        bucket
    }

    /// Which reading a batch has.
    fn reading(&mut self, batch: &Batch) -> usize {
        let same = |reading: &Reading| match (&reading.run, &batch.run) {
            (Some(known), Some(run)) => Rc::ptr_eq(known, run) || known == run,
            (None, None) => true,
            _ => false,
        };
        // Most often it is the latest.
        if let Some(index) = self.readings.iter().rposition(same) {
            return index;
        }
        let mut series = [0; CHANNELS];
        if let Some(run) = &batch.run {
            for channel in Channel::ALL {
                let column = run.column(channel);
                let line = Series {
                    channel,
                    name: column.name.clone(),
                    unit: column.unit.clone(),
                };
                let known = self.series.iter().position(|known| *known == line);
                series[channel as usize] = known.unwrap_or_else(|| {
                    self.series.push(line);
                    self.series.len() - 1
                });
            }
        }
        self.readings.push(Reading {
            run: batch.run.clone(),
            series,
        });
        self.readings.len() - 1
    }

    /// How it is now.
    pub(crate) fn mark(&self) -> Earlier {
        Earlier {
            buckets: self.buckets.len(),
            last: self.buckets.last().copied(),
            marks: self.marks.len(),
            axis: self.axis.mark(),
        }
    }

    /// As it was then, once it is settled again; it must not have shrunk since.
    pub(crate) fn take_back(&mut self, earlier: Earlier) {
        self.buckets.truncate(earlier.buckets);
        self.marks.truncate(earlier.marks);
        self.axis.take_back(earlier.axis);
        if let (Some(last), Some(was)) = (self.buckets.last_mut(), earlier.last) {
            *last = was;
        }
    }

    /// Buckets that have records from `from` to `to`, and one more on each side.
    pub(crate) fn around(&self, from: f64, to: f64) -> core::ops::Range<usize> {
        let first = self.buckets.partition_point(|bucket| bucket.end < from);
        let behind = self.buckets.partition_point(|bucket| bucket.start <= to);
        let first = first.saturating_sub(1);
        first..(behind + 1).min(self.buckets.len()).max(first)
    }
}
