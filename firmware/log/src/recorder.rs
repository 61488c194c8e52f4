//! The recorder: records gathered into a segment in RAM, and written when it is time.
//!
//! One segment is the only buffer; its header lies in it while it is filled. A memory that fails must never stop sampling:
//! records that it cannot take are counted and dropped, and it is tried again.

use core::ops::Range;

use protocol::record::{
    CHANNELS, ChannelSet, Layout, LayoutReason, LogSummary, SEGMENT, SEGMENT_DATA, SEGMENT_HEADER,
    SegmentHeader, SegmentKind,
};
use update::memory::{Nand, Unreadable};

use crate::ring::{Ring, Trouble};

/// Failures of the memory that one call deals with before it gives up for a while.
const ATTEMPTS: u32 = 4;

/// What only the application knows.
pub trait Source {
    /// Counts how often the clock was started.
    fn session(&self) -> u16;

    /// What has to be added to the clock to get UTC in milliseconds since 1970; none when it was not set.
    fn utc_offset(&self) -> Option<i64>;

    /// What the records are, for this reason. Asked for only when it is written.
    fn layout(&self, reason: LayoutReason) -> Layout;
}

/// When records are written, and what happens when memory is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// After how many records a segment is written at the latest.
    pub records: u8,
    /// How many seconds after its first record a segment is written at the latest.
    pub seconds: u8,
    /// Whether recording stops when memory is full; else the oldest segments make room.
    pub keep_oldest: bool,
}

/// One record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// When it was taken: milliseconds since the clock was started. 48 bits.
    pub time: u64,
    /// When the next one is due, in milliseconds from this one.
    pub interval: u32,
    /// What it holds.
    pub channels: ChannelSet,
    /// Channels that are beyond their alarm threshold.
    pub alarms: ChannelSet,
    /// A raw value for each channel; only those of `channels` count. Each is cut to the bytes that its channel takes.
    pub values: [i32; CHANNELS],
}

/// The recorder, with the ring it writes to.
#[derive(Clone, Debug)]
pub struct Recorder {
    ring: Ring,
    /// When to write.
    pub rules: Rules,
    /// The segment under way, its header in front, without number and CRC; no header when there is none.
    segment: [u8; SEGMENT],
    /// Number of the next record.
    next_record: u32,
    /// A layout comes before the next records.
    layout: Option<LayoutReason>,
    trouble: Option<Trouble>,
    /// A memory that fails is tried again at this time of the clock.
    retry: u64,
}

impl Recorder {
    /// A recorder on these blocks of the NAND. Segments before number `first` were erased.
    pub const fn new(blocks: Range<u32>, first: u32, rules: Rules) -> Recorder {
        Recorder {
            ring: Ring::new(blocks, first),
            rules,
            segment: [0; SEGMENT],
            next_record: 0,
            layout: None,
            trouble: None,
            retry: 0,
        }
    }

    /// Finds the end of the log. A memory that does not answer is tried again later.
    pub fn mount<N: Nand>(&mut self, nand: &mut N) {
        self.trouble = self.try_mount(nand).err();
    }

    /// Takes a record.
    pub fn push<N: Nand>(&mut self, nand: &mut N, source: &impl Source, sample: &Sample) {
        let length = sample.channels.record_length();
        let goes_on = |header: &SegmentHeader| {
            let next = header.time + u64::from(header.interval) * u64::from(header.count);
            header.channels == sample.channels
                && header.interval == sample.interval
                && next == sample.time
        };
        if self.under_way().is_some_and(|header| !goes_on(&header)) {
            self.write_if_any(nand, source, sample.time);
        }
        let header = self.under_way().unwrap_or_else(|| {
            // Memory is looked for now, so that no record is taken that there is no room for.
            let result = self.find_place(nand, source, sample.time);
            self.note(result, sample.time);
            SegmentHeader {
                interval: sample.interval,
                channels: sample.channels,
                ..self.header(source, SegmentKind::Records, sample.time)
            }
        });
        if self.trouble == Some(Trouble::Full) {
            return;
        }
        self.next_record = self.next_record.wrapping_add(1);
        // A segment that could not be written has no room.
        if !goes_on(&header) || usize::from(header.length) + length > SEGMENT_DATA {
            return;
        }
        let mut place = self
            .segment
            .iter_mut()
            .skip(SEGMENT_HEADER + usize::from(header.length));
        for channel in sample.channels.iter() {
            let value = sample.values.get(channel as usize).copied().unwrap_or(0);
            for byte in value.to_le_bytes().iter().take(channel.width()) {
                if let Some(place) = place.next() {
                    *place = *byte;
                }
            }
        }
        let header = SegmentHeader {
            count: header.count + 1,
            length: header.length + length as u16,
            alarms: ChannelSet(header.alarms.0 | sample.alarms.0),
            ..header
        };
        self.keep(&header);
        if header.count >= self.rules.records.into()
            || usize::from(header.length) + length > SEGMENT_DATA
        {
            self.write_if_any(nand, source, sample.time);
        }
    }

    /// Writes the segment under way when it is time. To be called when [`Recorder::due`] says so, or more often.
    pub fn tick<N: Nand>(&mut self, nand: &mut N, source: &impl Source, now: u64) {
        if self.due().is_some_and(|due| now >= due) {
            self.write_if_any(nand, source, now);
        }
    }

    /// The time of the clock at which [`Recorder::tick`] has something to do.
    pub fn due(&self) -> Option<u64> {
        let header = self.under_way()?;
        let written = header.time + u64::from(self.rules.seconds) * 1000;
        Some(written.max(self.retry))
    }

    /// Writes the segment under way now: before a restart, for instance.
    pub fn flush<N: Nand>(&mut self, nand: &mut N, source: &impl Source, now: u64) {
        self.retry = 0;
        self.write_if_any(nand, source, now);
    }

    /// Closes the segment under way, and begins the next with a layout. To be called at the start, and *before* settings
    /// or the clock change: what is under way is written with the clock as it was.
    pub fn begin<N: Nand>(
        &mut self,
        nand: &mut N,
        source: &impl Source,
        now: u64,
        reason: LayoutReason,
    ) {
        self.flush(nand, source, now);
        self.layout.get_or_insert(reason);
    }

    /// Forgets all segments before `next`. [`LogSummary::first`] is then to be kept over power cuts, and given to
    /// [`Recorder::new`].
    pub fn erase_until(&mut self, next: u32) {
        self.ring.erase_until(next);
        self.retry = 0;
    }

    /// Reads a segment, stored or under way, and gives its length: 0 when none was ever written with this number.
    pub fn read<N: Nand>(
        &mut self,
        nand: &mut N,
        sequence: u32,
        out: &mut [u8; SEGMENT],
    ) -> Result<usize, Unreadable> {
        match self.under_way() {
            Some(header) if sequence == self.ring.next() => {
                *out = self.segment;
                let sealed = SegmentHeader { sequence, ..header }.seal(out);
                Ok(sealed.map_or(0, <[u8]>::len))
            }
            _ => self.ring.read(nand, sequence, out),
        }
    }

    /// What is in the log. What ECC mended is known to the NAND's driver alone, and 0 here.
    pub fn summary(&self) -> LogSummary {
        let first = self.ring.first();
        LogSummary {
            first,
            // A memory that is not there has no next one.
            next: self.ring.next().max(first),
            pending: self.under_way().map_or(0, |header| header.count),
            capacity: self.ring.capacity(),
            bad_blocks: self.ring.bad_blocks() as u16,
            rounds: self.ring.rounds(),
            mended: 0,
            unreadable: self.ring.unreadable(),
        }
    }

    /// Number of the next record.
    pub fn next_record(&self) -> u32 {
        self.next_record
    }

    /// Why records are not kept at present.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// The segment under way.
    fn under_way(&self) -> Option<SegmentHeader> {
        self.segment.first_chunk().and_then(SegmentHeader::peek)
    }

    fn keep(&mut self, header: &SegmentHeader) {
        if let Some(place) = self.segment.first_chunk_mut() {
            header.write(place);
        }
    }

    fn drop_segment(&mut self) {
        self.segment[0] = 0;
    }

    /// A header for what comes next.
    fn header(&self, source: &impl Source, kind: SegmentKind, time: u64) -> SegmentHeader {
        SegmentHeader {
            kind,
            sequence: self.ring.next(),
            record: self
                .under_way()
                .map_or(self.next_record, |header| header.record),
            session: source.session(),
            count: 0,
            time,
            utc_offset: source.utc_offset(),
            interval: 0,
            channels: ChannelSet::default(),
            alarms: ChannelSet::default(),
            length: 0,
        }
    }

    fn try_mount<N: Nand>(&mut self, nand: &mut N) -> Result<(), Trouble> {
        if let Some(last) = self.ring.mount(nand)? {
            let end = last.record.wrapping_add(last.count.into());
            // The memory may have taken the segment under way just before it stopped answering.
            if self.under_way().is_some_and(|header| end > header.record) {
                self.drop_segment();
            }
            self.next_record = self.next_record.max(end);
        }
        Ok(())
    }

    fn write_if_any<N: Nand>(&mut self, nand: &mut N, source: &impl Source, now: u64) {
        if self.under_way().is_some() {
            let result = self.write(nand, source, now);
            self.note(result, now);
        }
    }

    /// What became of an attempt. After one that failed there is a pause.
    fn note(&mut self, result: Result<(), Trouble>, now: u64) {
        self.trouble = result.err();
        if self.trouble.is_some() && now >= self.retry {
            self.retry = now + u64::from(self.rules.seconds) * 1000;
        }
    }

    fn write<N: Nand>(
        &mut self,
        nand: &mut N,
        source: &impl Source,
        now: u64,
    ) -> Result<(), Trouble> {
        for _ in 0..ATTEMPTS {
            self.find_place(nand, source, now)?;
            let Some(header) = self.under_way() else {
                return Ok(());
            };
            let sequence = self.ring.next();
            let header = SegmentHeader { sequence, ..header };
            if let Some(bytes) = header.seal(&mut self.segment)
                && self.ring.program(nand, bytes).is_ok()
            {
                self.drop_segment();
                return Ok(());
            }
        }
        Err(Trouble::Failing)
    }

    /// Makes sure of a place for the next segment, behind a layout if one is due.
    fn find_place<N: Nand>(
        &mut self,
        nand: &mut N,
        source: &impl Source,
        now: u64,
    ) -> Result<(), Trouble> {
        if let Some(trouble) = self.trouble
            && now < self.retry
        {
            return Err(trouble);
        }
        for _ in 0..ATTEMPTS {
            if !self.ring.is_mounted() {
                self.try_mount(nand)?;
            }
            if !self.ring.has_room() {
                self.ring.enter(nand, self.rules.keep_oldest)?;
                self.layout.get_or_insert(LayoutReason::Block);
            }
            let Some(reason) = self.layout else {
                return Ok(());
            };
            let mut bytes = [0; SEGMENT_HEADER + Layout::LENGTH];
            if let Some(data) = bytes.last_chunk_mut() {
                source.layout(reason).write(data);
            }
            let header = SegmentHeader {
                length: Layout::LENGTH as u16,
                ..self.header(source, SegmentKind::Layout, now)
            };
            if let Some(bytes) = header.seal(&mut bytes)
                && self.ring.program(nand, bytes).is_ok()
            {
                self.layout = None;
            }
        }
        Err(Trouble::Failing)
    }
}
