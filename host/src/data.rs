//! Recorded data in typed columns: segments in, batches of records out, with what is missing between them.
//!
//! One segment is looked at after the other, so any amount of data takes the same memory. Nothing is invented: a record
//! without a known time has none, and values whose layout was lost have none either.

use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::clock::{Accuracy, Clocks, Line};
use protocol::image::Version;
use protocol::record::{
    CHANNELS, Channel, ChannelLayout, ChannelSet, Layout, LayoutReason, MAX_RECORDS, ResetCause,
    SEGMENT, SEGMENT_DATA, Segment, SegmentHeader, SegmentKind,
};

use crate::settings::{Setting, Value, of_channel};

/// A number as it is meant: `units` times `10^-decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// In its smallest steps.
    pub units: i128,
    /// Digits behind the point, at most 8.
    pub decimals: u8,
}

impl Decimal {
    /// The nearest binary number.
    pub fn to_f64(self) -> f64 {
        self.units as f64 / 10u64.pow(self.decimals.into()) as f64
    }
}

impl fmt::Display for Decimal {
    /// With a point, whatever the computer's language, and with all its decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10u128.pow(self.decimals.into());
        let (whole, rest) = (
            self.units.unsigned_abs() / scale,
            self.units.unsigned_abs() % scale,
        );
        if self.units < 0 {
            f.write_str("-")?;
        }
        match self.decimals {
            0 => write!(f, "{whole}"),
            decimals => write!(f, "{whole}.{rest:0width$}", width = decimals.into()),
        }
    }
}

/// A column of values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// What was measured.
    pub channel: Channel,
    /// What its owner called it.
    pub name: String,
    /// Unit of its values; may be empty.
    pub unit: String,
    gain: i32,
    offset: i32,
}

impl Column {
    fn new(channel: Channel, layout: &ChannelLayout) -> Column {
        Column {
            channel,
            name: text(&layout.name),
            unit: text(&layout.unit),
            gain: layout.gain,
            offset: layout.offset,
        }
    }

    /// What a logger with these settings records of a channel. Settings that are missing count as not set.
    pub fn of_settings(channel: Channel, settings: &[Setting]) -> Column {
        let value = |place: u16| {
            let id = of_channel(channel, place);
            let setting = settings.iter().find(|setting| setting.id == id);
            setting.map(|setting| &setting.value)
        };
        let text = |place| match value(place) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        };
        let number = |place, none| match value(place) {
            Some(Value::Number(number)) => *number,
            _ => none,
        };
        Column {
            channel,
            name: text(1),
            unit: text(2),
            gain: number(3, 10_000),
            offset: number(4, 0),
        }
    }

    /// A raw value in the column's unit, exactly.
    pub fn physical(&self, raw: i64) -> Decimal {
        // In steps of the raw value's last decimal times the gain's.
        let scale = 10i128.pow(u32::from(self.channel.decimals()) + 1);
        let units = i128::from(raw) * i128::from(self.gain) + i128::from(self.offset) * scale;
        let all = self.channel.decimals() + 4;
        let decimals = self.decimals();
        Decimal {
            units: units / 10i128.pow((all - decimals).into()),
            decimals,
        }
    }

    /// Decimals that its values need.
    fn decimals(&self) -> u8 {
        let of_gain = self.channel.decimals() + 4 - trailing_zeros(self.gain, 4);
        of_gain.max(3 - trailing_zeros(self.offset, 3))
    }
}

/// Zeros at the end of a number, at most so many.
fn trailing_zeros(mut value: i32, most: u8) -> u8 {
    let mut zeros = 0;
    while zeros < most && value % 10 == 0 {
        value /= 10;
        zeros += 1;
    }
    zeros
}

/// A text that zeros close.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default())
        .into_owned()
}

/// What the records of a stretch have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The firmware that recorded them.
    pub firmware: Version,
    columns: [Column; CHANNELS],
}

impl Run {
    fn new(layout: &Layout) -> Run {
        Run {
            firmware: layout.firmware,
            columns: core::array::from_fn(|index| {
                Column::new(Channel::ALL[index], &layout.channels[index])
            }),
        }
    }

    /// A channel's column.
    pub fn column(&self, channel: Channel) -> &Column {
        &self.columns[channel as usize]
    }
}

/// What happened since the batch before, or since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// The logger was started, for this reason: the latest, if it was started several times.
    pub start: Option<ResetCause>,
    /// Segments that are missing.
    pub missing_segments: u32,
    /// Records that are missing: they have numbers, but are not in the data.
    pub missing_records: u32,
    /// Settings were changed or the clock was set.
    pub change: bool,
    /// Time in which no records were taken although the logger ran, beyond the interval: in milliseconds.
    pub pause: u64,
    /// How well times are known from here on, when that is not as before.
    pub accuracy: Option<Accuracy>,
}

/// The records of one segment. All of them have the same channels, and a fixed time from one to the next.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    /// What the segment says of itself.
    pub header: SegmentHeader,
    /// How its values are to be read; none when that was lost.
    pub run: Option<Rc<Run>>,
    /// What happened since the batch before.
    pub before: Before,
    line: Option<Line>,
    records: &'a [u8],
}

impl Batch<'_> {
    /// How many records it has.
    pub fn len(&self) -> usize {
        self.header.count.into()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.header.count == 0
    }

    /// Number of its record `index`.
    pub fn record(&self, index: usize) -> u32 {
        self.header.record.wrapping_add(index as u32)
    }

    /// When it was taken: milliseconds since the clock was started, in the session of the header.
    pub fn clock(&self, index: usize) -> u64 {
        self.header.time + index as u64 * u64::from(self.header.interval)
    }

    /// When it was taken: UTC in milliseconds since 1970, corrected by what the decoder knows of the clock. None when the
    /// logger did not know.
    pub fn utc(&self, index: usize) -> Option<i64> {
        Some(self.line?.utc(self.clock(index)))
    }

    /// How well its times are known; none when they are not.
    pub fn accuracy(&self) -> Option<Accuracy> {
        Some(self.line?.accuracy)
    }

    /// What the logger measured, in steps of the [channel's decimals](Channel::decimals). None when the channel was off.
    pub fn raw(&self, channel: Channel, index: usize) -> Option<i64> {
        let channels = self.header.channels;
        if !channels.has(channel) {
            return None;
        }
        let before = ChannelSet(channels.0 & ((1 << channel as u8) - 1)).record_length();
        let start = index * channels.record_length() + before;
        channel.value(self.records.get(start..start + channel.width())?)
    }

    /// The same in the channel's unit. None when the channel was off or its layout was lost.
    pub fn value(&self, channel: Channel, index: usize) -> Option<Decimal> {
        let raw = self.raw(channel, index)?;
        Some(self.run.as_ref()?.column(channel).physical(raw))
    }

    /// All values of a channel, in its unit: a typed column.
    pub fn values(&self, channel: Channel) -> Option<Vec<f64>> {
        (0..self.len())
            .map(|index| self.value(channel, index).map(Decimal::to_f64))
            .collect()
    }
}

/// Bytes that are no whole segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damaged;

/// What was seen so far, and what is missing in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Whole segments.
    pub segments: u32,
    /// Records in them.
    pub records: u64,
    /// Segments between the first and the last that are not there, by sequence number.
    pub missing_segments: Vec<Range<u32>>,
    /// Records between the first and the last that are not there, by number.
    pub missing_records: Vec<Range<u32>>,
    /// Segments that came twice, or before others with lower numbers.
    pub out_of_order: u32,
}

impl Verification {
    /// Whether nothing is missing between the first and the last record.
    pub fn is_whole(&self) -> bool {
        self.missing_segments.is_empty()
            && self.missing_records.is_empty()
            && self.out_of_order == 0
    }
}

/// Takes segments in their order and gives their records.
///
/// Times are better known when it is known as well how the clock went on afterwards: [`Decoder::again`] goes through the
/// same segments a second time with that.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    run: Option<Rc<Run>>,
    before: Before,
    /// What comes next, once something came.
    next: Option<Next>,
    /// Segments that are known to be lost since the last one came.
    lost: u32,
    clocks: Clocks,
    /// How well the times of the latest records are known, once there were some that are.
    accuracy: Option<Accuracy>,
    verification: Verification,
}

#[derive(Clone, Copy, Debug)]
struct Next {
    sequence: u32,
    record: u32,
    session: u16,
    /// What the records before held; none behind a layout, which says nothing of that.
    channels: Option<ChannelSet>,
    /// When the next record would be due; none behind a start.
    time: Option<u64>,
}

impl Decoder {
    /// A decoder that saw nothing.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// A decoder for segments from the middle of a log: `run` is that of the batch before them, or of the first.
    pub fn within(run: Option<Rc<Run>>, clocks: Clocks) -> Decoder {
        Decoder {
            run,
            ..Decoder::with_clocks(clocks)
        }
    }

    /// What it knows of the logger's clock.
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }

    /// A decoder that saw nothing but knows when the clock was set.
    pub fn with_clocks(clocks: Clocks) -> Decoder {
        Decoder {
            clocks,
            ..Decoder::default()
        }
    }

    /// One that saw nothing but knows of the clock what this one does.
    pub fn again(&self) -> Decoder {
        Decoder::with_clocks(self.clocks.clone())
    }

    /// What was seen so far.
    pub fn verification(&self) -> &Verification {
        &self.verification
    }

    /// The next segment is lost, and had this number.
    pub fn lost(&mut self, sequence: u32) {
        let missing = &mut self.verification.missing_segments;
        match missing.last_mut() {
            Some(range) if range.end == sequence => range.end += 1,
            _ => missing.push(sequence..sequence.saturating_add(1)),
        }
        self.lost += 1;
    }

    /// The next segment, from the beginning of `bytes`. A layout has no records; it says what those behind it are.
    ///
    /// # Errors
    /// When that is no whole segment: nothing changes, and what is missing is seen with the next one.
    pub fn segment<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Batch<'a>>, Damaged> {
        let Segment { header, data } = Segment::parse(bytes).ok_or(Damaged)?;
        let layout = match header.kind {
            SegmentKind::Layout => Some(Layout::parse(data).ok_or(Damaged)?),
            SegmentKind::Records => {
                let length = usize::from(header.count) * header.channels.record_length();
                if data.len() != length || header.count == 0 {
                    return Err(Damaged);
                }
                None
            }
        };
        if let Some(next) = self.next
            && header.sequence < next.sequence
        {
            self.verification.out_of_order += 1;
            return Ok(None);
        }
        self.compare(&header, layout.is_some());
        self.verification.segments += 1;
        if let Some(layout) = layout {
            self.clocks.add(&header, &layout.clock);
            self.take_layout(&layout);
            let start = matches!(layout.reason, LayoutReason::Start(_));
            self.next = Some(Next {
                sequence: header.sequence.wrapping_add(1),
                record: header.record,
                session: header.session,
                channels: None,
                time: self.next.and_then(|next| next.time).filter(|_| !start),
            });
            return Ok(None);
        }
        self.verification.records += u64::from(header.count);
        let line = self.clocks.line(&header);
        let accuracy = line.map(|line| line.accuracy);
        if accuracy.is_some() && accuracy != self.accuracy {
            self.before.accuracy = accuracy;
            self.accuracy = accuracy;
        }
        let batch = Batch {
            header,
            line,
            run: self.run.clone(),
            before: core::mem::take(&mut self.before),
            records: data,
        };
        self.next = Some(Next {
            sequence: header.sequence.wrapping_add(1),
            record: batch.record(batch.len()),
            session: header.session,
            channels: Some(header.channels),
            time: Some(batch.clock(batch.len())),
        });
        Ok(Some(batch))
    }

    /// Notes what lies between this segment and the one before.
    fn compare(&mut self, header: &SegmentHeader, has_layout: bool) {
        let lost = core::mem::take(&mut self.lost);
        self.before.missing_segments += lost;
        let Some(next) = self.next else {
            return;
        };
        // What was told to be lost is among those that did not come. The others may be numbers that were never used: a
        // logger steps over some when it starts, and when its memory fails, and writes a layout behind them.
        let skipped = header.sequence.saturating_sub(next.sequence);
        let unused = has_layout && (header.record == next.record || lost > 0);
        let untold = if unused {
            0
        } else {
            skipped.saturating_sub(lost)
        };
        if untold > 0 {
            self.before.missing_segments += untold;
            self.verification
                .missing_segments
                .push(header.sequence - untold..header.sequence);
        }
        let missing = lost + untold;
        if missing > 0 {
            let most = SEGMENT_DATA / header.channels.record_length().max(1);
            let records = header.record.saturating_sub(next.record) as usize;
            // As many records as are missing fill all of these segments: no layout is among them.
            let are_records = records > (missing as usize - 1) * most.min(MAX_RECORDS);
            let same = header.session == next.session
                && next
                    .channels
                    .is_none_or(|channels| channels == header.channels);
            if !are_records || !same {
                self.run = None;
            }
        }
        if header.record > next.record {
            let missing = next.record..header.record;
            self.before.missing_records += missing.len() as u32;
            self.verification.missing_records.push(missing);
        }
        if header.session != next.session {
            // The clock is started when power comes up, and only then.
            self.before.start = Some(ResetCause::PowerOn);
        } else if let Some(time) = next.time
            && header.kind == SegmentKind::Records
        {
            self.before.pause += header.time.saturating_sub(time);
        }
    }

    fn take_layout(&mut self, layout: &Layout) {
        match layout.reason {
            LayoutReason::Block => {}
            LayoutReason::Change => self.before.change = true,
            LayoutReason::Start(cause) => self.before.start = Some(cause),
        }
        let run = Run::new(layout);
        // Batches of one run share it: who holds on to many of them holds it once.
        if self.run.as_deref() != Some(&run) {
            self.run = Some(Rc::new(run));
        }
    }
}

/// Goes through downloaded segments that lie one behind the other, as [`crate::log::Piece`]s were kept. Bytes that are no
/// segment are stepped over, up to the next that is one.
pub fn segments(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    core::iter::from_fn(move || {
        while !rest.is_empty() {
            let head = rest.get(..SEGMENT).unwrap_or(rest);
            if let Some(segment) = Segment::parse(head) {
                let (segment, behind) = rest.split_at_checked(segment.length())?;
                rest = behind;
                return Some(segment);
            }
            rest = &rest[1..];
        }
        None
    })
}
