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

/// A header that says nothing yet.
const EMPTY: SegmentHeader = SegmentHeader {
    kind: SegmentKind::Records,
    sequence: 0,
    record: 0,
    session: 0,
    count: 0,
    time: 0,
    utc_offset: None,
    interval: 0,
    channels: ChannelSet(0),
    alarms: ChannelSet(0),
    length: 0,
};

/// The recorder, with the ring it writes to.
#[derive(Clone, Debug)]
pub struct Recorder {
    ring: Ring,
    /// When to write.
    pub rules: Rules,
    /// Of the segment under way; without records when there is none.
    header: SegmentHeader,
    /// The segment under way: its data, behind room for the header.
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
            header: EMPTY,
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
        let length = sample.channels.record_length() as u16;
        if !self.goes_on(sample) {
            self.write_if_any(nand, source, sample.time);
        }
        if self.header.count == 0 {
            // Memory is looked for now, so that no record is taken that there is no room for.
            let result = self.find_place(nand, source, sample.time);
            self.note(result, sample.time);
            self.header = self.new_header(source, SegmentKind::Records, sample.time);
            self.header.interval = sample.interval;
            self.header.channels = sample.channels;
        }
        if self.trouble == Some(Trouble::Full) {
            return;
        }
        self.next_record = self.next_record.wrapping_add(1);
        // A segment that could not be written has no room.
        if !self.goes_on(sample) || !self.has_room(length) {
            return;
        }
        let start = SEGMENT_HEADER + usize::from(self.header.length);
        let mut place = self.segment.iter_mut().skip(start);
        for channel in sample.channels.iter() {
            let value = sample.values.get(channel as usize).copied().unwrap_or(0);
            for byte in value.to_le_bytes().iter().take(channel.width()) {
                if let Some(place) = place.next() {
                    *place = *byte;
                }
            }
        }
        self.header.count += 1;
        self.header.length += length;
        self.header.alarms.0 |= sample.alarms.0;
        if self.header.count >= self.rules.records.into() || !self.has_room(length) {
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
        let written = self.header.time + self.pause();
        (self.header.count > 0).then_some(written.max(self.retry))
    }

    /// Writes the segment under way now: before a restart, for instance.
    pub fn flush<N: Nand>(&mut self, nand: &mut N, source: &impl Source, now: u64) {
        self.retry = 0;
        self.write_if_any(nand, source, now);
    }

    /// Closes the segment under way, and begins the next with a layout. To be called at the start, and *before* settings
    /// or the clock change: what is under way is written with the clock as it was. Records that memory does not take then
    /// are missing, for the layout in front of them would no longer be theirs.
    pub fn begin<N: Nand>(
        &mut self,
        nand: &mut N,
        source: &impl Source,
        now: u64,
        reason: LayoutReason,
    ) {
        self.flush(nand, source, now);
        self.header.count = 0;
        self.layout.get_or_insert(reason);
    }

    /// Forgets all segments before `next`. [`LogSummary::first`] is then to be kept over power cuts, and given to
    /// [`Recorder::new`].
    pub fn erase_until(&mut self, next: u32) {
        self.ring.erase_until(next);
        self.layout.get_or_insert(LayoutReason::Block);
        self.retry = 0;
    }

    /// Reads a segment, stored or under way, and gives its length: 0 when none was ever written with this number.
    pub fn read<N: Nand>(
        &mut self,
        nand: &mut N,
        sequence: u32,
        out: &mut [u8; SEGMENT],
    ) -> Result<usize, Unreadable> {
        if self.header.count == 0 || sequence != self.ring.next() {
            return self.ring.read(nand, sequence, out);
        }
        *out = self.segment;
        self.header.sequence = sequence;
        Ok(self.header.seal(out).map_or(0, <[u8]>::len))
    }

    /// What is in the log. What ECC mended is known to the NAND's driver alone, and 0 here.
    pub fn summary(&self) -> LogSummary {
        let first = self.ring.first();
        LogSummary {
            first,
            // A memory that is not there has no next one.
            next: self.ring.next().max(first),
            pending: self.header.count,
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

    /// Whether a record may stand behind those in the segment under way.
    fn goes_on(&self, sample: &Sample) -> bool {
        let header = &self.header;
        let passed = u64::from(header.interval) * u64::from(header.count);
        header.channels == sample.channels
            && header.interval == sample.interval
            && header.time + passed == sample.time
    }

    fn has_room(&self, length: u16) -> bool {
        usize::from(self.header.length + length) <= SEGMENT_DATA
    }

    /// How long a segment may wait, and how long a memory that failed is left alone, in milliseconds.
    fn pause(&self) -> u64 {
        u64::from(u32::from(self.rules.seconds) * 1000)
    }

    /// A header for what comes next.
    fn new_header(&self, source: &impl Source, kind: SegmentKind, time: u64) -> SegmentHeader {
        let record = match self.header.count {
            0 => self.next_record,
            _ => self.header.record,
        };
        SegmentHeader {
            kind,
            sequence: self.ring.next(),
            record,
            session: source.session(),
            time,
            utc_offset: source.utc_offset(),
            ..EMPTY
        }
    }

    fn try_mount<N: Nand>(&mut self, nand: &mut N) -> Result<(), Trouble> {
        let end = self.ring.mount(nand)?;
        // The memory may have taken the segment under way just before it stopped answering.
        if end > self.header.record {
            self.header.count = 0;
        }
        self.next_record = self.next_record.max(end);
        Ok(())
    }

    fn write_if_any<N: Nand>(&mut self, nand: &mut N, source: &impl Source, now: u64) {
        if self.header.count > 0 {
            let result = self.write(nand, source, now);
            self.note(result, now);
        }
    }

    /// What became of an attempt. After one that failed there is a pause.
    fn note(&mut self, result: Result<(), Trouble>, now: u64) {
        self.trouble = result.err();
        if self.trouble.is_some() && now >= self.retry {
            self.retry = now + self.pause();
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
            if self.header.count == 0 {
                return Ok(());
            }
            self.header.sequence = self.ring.next();
            if let Some(bytes) = self.header.seal(&mut self.segment)
                && self.ring.program(nand, bytes).is_ok()
            {
                self.header.count = 0;
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
                let entered = self.ring.enter(nand, self.rules.keep_oldest);
                if entered == Err(Trouble::Failing) && self.ring.is_mounted() {
                    continue;
                }
                entered?;
                self.layout.get_or_insert(LayoutReason::Block);
            }
            let Some(reason) = self.layout else {
                return Ok(());
            };
            let mut bytes = [0; SEGMENT_HEADER + Layout::LENGTH];
            if let Some(data) = bytes.last_chunk_mut() {
                source.layout(reason).write(data);
            }
            let mut header = self.new_header(source, SegmentKind::Layout, now);
            header.length = Layout::LENGTH as u16;
            if let Some(bytes) = header.seal(&mut bytes)
                && self.ring.program(nand, bytes).is_ok()
            {
                self.layout = None;
            }
        }
        Err(Trouble::Failing)
    }
}
