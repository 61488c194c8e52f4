//! Recorded data: segments of the log, what a logger measures now, and how it is.
//!
//! A record holds one value of each channel that is on. Records lie in [`Segment`]s, the pieces in which they are written
//! and read; each says by itself where it belongs, and is checked by its own CRC. All fields are little-endian.
//! What the bytes mean is in docs/data.md.

use core::fmt;

use crate::byte_array::{Reader, Writer, as_bytes};
use crate::frame::Crc32;
use crate::image::Version;

/// What can be recorded, in the order in which a record holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// Supply voltage, in millivolts.
    Supply,
    /// Chip temperature, in hundredths of a degree Celsius.
    Temperature,
    /// Analog input A, in tenths of a millivolt.
    InputA,
    /// Analog input B, in tenths of a millivolt.
    InputB,
    /// Pulses at the event input since the record before.
    Events,
}

/// How many channels there are.
pub const CHANNELS: usize = 5;

impl Channel {
    /// All of them, in order.
    pub const ALL: [Channel; CHANNELS] = [
        Channel::Supply,
        Channel::Temperature,
        Channel::InputA,
        Channel::InputB,
        Channel::Events,
    ];

    /// Decimals of a raw value: 3 means thousandths of the unit.
    pub const fn decimals(self) -> u8 {
        match self {
            Channel::Supply => 3,
            Channel::Temperature => 2,
            Channel::InputA | Channel::InputB => 4,
            Channel::Events => 0,
        }
    }

    /// Bytes of a value in a record.
    pub const fn width(self) -> usize {
        match self {
            Channel::Events => 4,
            _ => 2,
        }
    }

    /// A value from its bytes in a record, [`Channel::width`] of them.
    pub fn value(self, bytes: &[u8]) -> Option<i64> {
        Some(match self {
            Channel::Temperature => i16::from_le_bytes(bytes.try_into().ok()?).into(),
            Channel::Events => u32::from_le_bytes(bytes.try_into().ok()?).into(),
            _ => u16::from_le_bytes(bytes.try_into().ok()?).into(),
        })
    }
}

/// A set of channels: bit 0 is [`Channel::Supply`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelSet(pub u8);

impl ChannelSet {
    /// Whether a channel is in it.
    pub const fn has(self, channel: Channel) -> bool {
        self.0 & 1 << channel as u8 != 0
    }

    /// Puts a channel in.
    pub fn insert(&mut self, channel: Channel) {
        self.0 |= 1 << channel as u8;
    }

    /// Those in it, in order.
    pub fn iter(self) -> impl Iterator<Item = Channel> {
        Channel::ALL
            .into_iter()
            .filter(move |channel| self.has(*channel))
    }

    /// Bytes of a record of these channels.
    pub fn record_length(self) -> usize {
        self.iter().map(Channel::width).sum()
    }
}

/// Bytes of a segment: a sector of the NAND, the piece that can be programmed by itself and has an ECC of its own.
pub const SEGMENT: usize = 512;
/// Bytes in front of a segment's data.
pub const SEGMENT_HEADER: usize = 40;
/// The most bytes of data in a segment.
pub const SEGMENT_DATA: usize = SEGMENT - SEGMENT_HEADER;
/// The most records in a segment, however small they are.
pub const MAX_RECORDS: usize = 64;

/// Begins each segment.
const MAGIC: [u8; 2] = *b"LD";
/// Version of this format.
const FORMAT: u8 = 1;

/// What a segment holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// A [`Layout`]: what the records behind it are. Written after each start, after each change of settings, and first
    /// in each block of the NAND.
    Layout,
    /// Records.
    Records,
}

/// What stands in front of a segment's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// What the data is.
    pub kind: SegmentKind,
    /// Counts the segments that this logger ever wrote, from 0 on.
    pub sequence: u32,
    /// Number of the first record in it, counted from 0 over the logger's life; of the next one, in a layout.
    pub record: u32,
    /// Counts how often the clock was started: whenever power came back. Times of one session can be compared with each
    /// other.
    pub session: u16,
    /// How many records there are.
    pub count: u16,
    /// When the first record was taken, or the layout written: milliseconds since the clock was started. 48 bits.
    pub time: u64,
    /// What has to be added to get UTC in milliseconds since 1970; none when the clock was not set in this session.
    pub utc_offset: Option<i64>,
    /// From one record to the next, in milliseconds.
    pub interval: u32,
    /// What each record holds.
    pub channels: ChannelSet,
    /// Channels whose alarm threshold was crossed in at least one of the records.
    pub alarms: ChannelSet,
    /// Bytes of data, at most [`SEGMENT_DATA`].
    pub length: u16,
}

/// In the place of an offset to UTC that is not known.
const UNKNOWN: i64 = -(1 << 47);

fn six_bytes(value: i64) -> [u8; 6] {
    let [a, b, c, d, e, f, ..] = value.to_le_bytes();
    [a, b, c, d, e, f]
}

fn from_six_bytes([a, b, c, d, e, f]: [u8; 6]) -> i64 {
    // The sign is in the highest of the six.
    i64::from_le_bytes([0, 0, a, b, c, d, e, f]) >> 16
}

fn offset_to_bytes(offset: Option<i64>) -> [u8; 6] {
    six_bytes(offset.unwrap_or(UNKNOWN))
}

fn offset_from_bytes(bytes: [u8; 6]) -> Option<i64> {
    Some(from_six_bytes(bytes)).filter(|offset| *offset != UNKNOWN)
}

impl SegmentHeader {
    /// Writes the header without its CRC: of a segment that is still being filled.
    pub fn write(&self, out: &mut [u8; SEGMENT_HEADER]) {
        let kind = match self.kind {
            SegmentKind::Layout => 1,
            SegmentKind::Records => 2,
        };
        let [m, n] = MAGIC;
        // Two numbers of 48 bits share three words.
        let (time, offset) = (self.time, self.utc_offset.unwrap_or(UNKNOWN) as u64);
        let halves = |low: u16, high: u16| u32::from(low) | u32::from(high) << 16;
        let words = [
            u32::from_le_bytes([m, n, FORMAT, kind]),
            self.sequence,
            self.record,
            halves(self.session, self.count),
            time as u32,
            halves((time >> 32) as u16, offset as u16),
            (offset >> 16) as u32,
            self.interval,
            u32::from_le_bytes([self.channels.0, self.alarms.0, 0, 0]) | halves(0, self.length),
        ];
        for (bytes, word) in out.as_chunks_mut().0.iter_mut().zip(words) {
            *bytes = word.to_le_bytes();
        }
    }

    /// Writes the header and its CRC in front of `length` bytes of data, which are there already. Gives back the bytes of
    /// both; none when the segment is too short for them.
    pub fn seal<'a>(&self, segment: &'a mut [u8]) -> Option<&'a [u8]> {
        let whole = segment.get_mut(..SEGMENT_HEADER + usize::from(self.length))?;
        let (header, data) = whole.split_first_chunk_mut::<SEGMENT_HEADER>()?;
        self.write(header);
        let (fields, crc) = header.split_last_chunk_mut::<4>()?;
        *crc = checksum(fields, data);
        Some(whole)
    }

    /// Reads the header alone, without its CRC: to find the way in the log. None when it does not begin as one.
    pub fn peek(bytes: &[u8; SEGMENT_HEADER]) -> Option<SegmentHeader> {
        let mut words = [0; SEGMENT_HEADER / 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        let [m, n, format, kind] = words[0].to_le_bytes();
        let [channels, alarms, ..] = words[8].to_le_bytes();
        // Its sign is in the highest of 48 bits.
        let offset = (u64::from(words[5] >> 16) << 16 | u64::from(words[6]) << 32) as i64 >> 16;
        let header = SegmentHeader {
            kind: match kind {
                1 => SegmentKind::Layout,
                2 => SegmentKind::Records,
                _ => return None,
            },
            sequence: words[1],
            record: words[2],
            session: words[3] as u16,
            count: (words[3] >> 16) as u16,
            time: u64::from(words[4]) | u64::from(words[5] as u16) << 32,
            utc_offset: Some(offset).filter(|offset| *offset != UNKNOWN),
            interval: words[7],
            channels: ChannelSet(channels),
            alarms: ChannelSet(alarms),
            length: (words[8] >> 16) as u16,
        };
        let known = [m, n] == MAGIC && format == FORMAT;
        (known && usize::from(header.length) <= SEGMENT_DATA).then_some(header)
    }
}

/// The CRC of a segment: over its header's other fields and its data.
fn checksum(fields: &[u8], data: &[u8]) -> [u8; 4] {
    let mut crc = Crc32::default();
    crc.update(fields);
    crc.update(data);
    crc.finish().to_le_bytes()
}

/// A segment that was checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<'a> {
    /// What it says of itself.
    pub header: SegmentHeader,
    /// Its data.
    pub data: &'a [u8],
}

impl<'a> Segment<'a> {
    /// Bytes of it, header included.
    pub fn length(&self) -> usize {
        SEGMENT_HEADER + self.data.len()
    }

    /// From the beginning of `bytes`. None when it is no whole segment.
    pub fn parse(bytes: &'a [u8]) -> Option<Segment<'a>> {
        let (head, rest) = bytes.split_first_chunk::<SEGMENT_HEADER>()?;
        let header = SegmentHeader::peek(head)?;
        let data = rest.get(..header.length.into())?;
        let (fields, crc) = head.split_last_chunk::<4>()?;
        (*crc == checksum(fields, data)).then_some(Segment { header, data })
    }
}

/// What a channel was called and how its values are to be read when they were recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelLayout {
    /// Its name in UTF-8, closed by zeros.
    pub name: [u8; Self::NAME],
    /// Its unit in UTF-8, closed by zeros.
    pub unit: [u8; Self::UNIT],
    /// What the value is multiplied by, in ten-thousandths.
    pub gain: i32,
    /// What is added then, in thousandths of the unit.
    pub offset: i32,
}

impl ChannelLayout {
    /// The longest name in bytes.
    pub const NAME: usize = 12;
    /// The longest unit in bytes.
    pub const UNIT: usize = 8;
    /// A gain of 1.
    pub const GAIN_ONE: i32 = 10_000;
    /// Bytes of this record.
    pub const LENGTH: usize = Self::NAME + Self::UNIT + 4 + 4;

    /// Whether `raw` is above the threshold (in thousandths of the unit): in whole numbers, as the logger decides it.
    pub fn is_above(gain: i32, offset: i32, channel: Channel, raw: i64, threshold: i32) -> bool {
        // Both sides in units of 10^-(decimals + 4).
        let mut scale = 10;
        for _ in 0..channel.decimals() {
            scale *= 10;
        }
        raw * i64::from(gain) > (i64::from(threshold) - i64::from(offset)) * scale
    }
}

/// What the records behind it are, until the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The firmware that recorded them.
    pub firmware: Version,
    /// Why this layout was written.
    pub reason: LayoutReason,
    /// All channels, also those that are off.
    pub channels: [ChannelLayout; CHANNELS],
    /// What is known of the clock that their times come from.
    pub clock: Timekeeping,
}

/// What is known of a clock: enough to correct the times that it gave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timekeeping {
    /// When a computer set it last: milliseconds since it was started, 48 bits. Says nothing when none did in this session.
    pub set_at: u64,
    /// How much too fast it ran before that, in millionths, when that was measured in this session; not `i32::MIN`.
    pub drift: Option<i32>,
    /// How many cycles of its oscillator it takes for a millisecond.
    pub cycles: u8,
}

impl Timekeeping {
    /// Bytes of this record.
    pub const LENGTH: usize = 6 + 4 + 1;
    /// In the place of a drift that is not known.
    pub const NO_DRIFT: i32 = i32::MIN;
}

/// Why a layout was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayoutReason {
    /// A new block of memory begins.
    #[default]
    Block,
    /// Settings were changed, the clock was set, or recording began.
    Change,
    /// The logger was started, for this reason.
    Start(ResetCause),
}

impl Layout {
    /// Bytes of a layout.
    pub const LENGTH: usize =
        Version::LENGTH + 2 + CHANNELS * ChannelLayout::LENGTH + Timekeeping::LENGTH;

    /// Writes it to the beginning of a segment's data.
    pub fn write(&self, out: &mut [u8; Self::LENGTH]) {
        let mut to = Writer(out);
        to.put(&self.firmware.to_bytes());
        to.put(&match self.reason {
            LayoutReason::Block => [0, 0],
            LayoutReason::Change => [1, 0],
            LayoutReason::Start(cause) => [2, cause.to_byte()],
        });
        for channel in &self.channels {
            to.put(&channel.name);
            to.put(&channel.unit);
            to.put(&channel.gain.to_le_bytes());
            to.put(&channel.offset.to_le_bytes());
        }
        let clock = &self.clock;
        to.put(&six_bytes(clock.set_at as i64));
        let drift = clock.drift.unwrap_or(Timekeeping::NO_DRIFT);
        to.put(&drift.to_le_bytes());
        to.put(&[clock.cycles]);
    }

    /// From a segment's data; none when there are too few bytes.
    pub fn parse(data: &[u8]) -> Option<Layout> {
        let data = data.first_chunk::<{ Self::LENGTH }>()?;
        let mut from = Reader(data);
        Some(Layout {
            firmware: Version::from_bytes(&from.take()),
            reason: match from.take() {
                [2, cause] => LayoutReason::Start(ResetCause::from_byte(cause)),
                [1, _] => LayoutReason::Change,
                _ => LayoutReason::Block,
            },
            channels: core::array::from_fn(|_| ChannelLayout {
                name: from.take(),
                unit: from.take(),
                gain: i32::from_le_bytes(from.take()),
                offset: i32::from_le_bytes(from.take()),
            }),
            clock: Timekeeping {
                set_at: from_six_bytes(from.take()) as u64 & 0xFFFF_FFFF_FFFF,
                drift: Some(i32::from_le_bytes(from.take()))
                    .filter(|drift| *drift != Timekeeping::NO_DRIFT),
                cycles: from.take::<1>()[0],
            },
        })
    }
}

/// Why a logger started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResetCause {
    /// None of the others.
    #[default]
    Other,
    /// Power came up.
    PowerOn,
    /// A restart that was asked for: after an update, for instance.
    Software,
    /// The watchdog: a program hung.
    Watchdog,
    /// A panic or fault of the application.
    Crash,
}

impl ResetCause {
    /// Its number. Append-only.
    pub const fn to_byte(self) -> u8 {
        self as u8
    }

    /// The reverse. What this version does not know is none of the others.
    pub const fn from_byte(byte: u8) -> ResetCause {
        match byte {
            1 => ResetCause::PowerOn,
            2 => ResetCause::Software,
            3 => ResetCause::Watchdog,
            4 => ResetCause::Crash,
            _ => ResetCause::Other,
        }
    }
}

/// Whether records are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// It is switched off.
    #[default]
    Off,
    /// It waits for its start: a time, or a threshold.
    Waiting,
    /// It waits for its start time, and does not know what time it is.
    WaitingForClock,
    /// Records are taken.
    Running,
    /// Memory is full, and the oldest records are to be kept.
    Full,
    /// Memory does not work: nothing is kept.
    NoMemory,
}

impl Recording {
    /// Its number. Append-only.
    pub const fn to_byte(self) -> u8 {
        self as u8
    }

    /// The reverse. What this version does not know is off.
    pub const fn from_byte(byte: u8) -> Recording {
        match byte {
            1 => Recording::Waiting,
            2 => Recording::WaitingForClock,
            3 => Recording::Running,
            4 => Recording::Full,
            5 => Recording::NoMemory,
            _ => Recording::Off,
        }
    }
}

/// What a logger measures now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Milliseconds since its clock was started. 48 bits.
    pub time: u64,
    /// What has to be added to get UTC in milliseconds since 1970; none when the clock was not set since power came up.
    pub utc_offset: Option<i64>,
    /// What the computer that set the clock was ahead of UTC, in minutes.
    pub local_offset: i16,
    /// Whether records are taken.
    pub recording: Recording,
    /// Number of the next record.
    pub next_record: u32,
    /// Channels that are on.
    pub channels: ChannelSet,
    /// Channels that are beyond their alarm threshold now.
    pub alarms: ChannelSet,
    /// The latest value of each channel, raw; of those that are off too. Pulses: since the logger was started.
    pub values: [i32; CHANNELS],
}

impl Status {
    /// Bytes of this record.
    pub const LENGTH: usize = 6 + 6 + 2 + 1 + 4 + 2 + 4 * CHANNELS;

    /// Field after field.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let mut to = Writer(&mut bytes);
        to.put(&six_bytes(self.time as i64));
        to.put(&offset_to_bytes(self.utc_offset));
        to.put(&self.local_offset.to_le_bytes());
        to.put(&[self.recording.to_byte()]);
        to.put(&self.next_record.to_le_bytes());
        to.put(&[self.channels.0, self.alarms.0]);
        for value in self.values {
            to.put(&value.to_le_bytes());
        }
        bytes
    }

    /// The reverse. Any bytes are a record.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Status {
        let mut from = Reader(bytes);
        Status {
            time: from_six_bytes(from.take()) as u64 & 0xFFFF_FFFF_FFFF,
            utc_offset: offset_from_bytes(from.take()),
            local_offset: i16::from_le_bytes(from.take()),
            recording: Recording::from_byte(from.take::<1>()[0]),
            next_record: u32::from_le_bytes(from.take()),
            channels: ChannelSet(from.take::<1>()[0]),
            alarms: ChannelSet(from.take::<1>()[0]),
            values: core::array::from_fn(|_| i32::from_le_bytes(from.take())),
        }
    }
}

as_bytes!(Status);

/// What is in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSummary {
    /// Sequence number of the oldest segment that is kept.
    pub first: u32,
    /// Sequence number of the next one to be written. When [`LogSummary::pending`] is not 0 it can be read already, and
    /// will have more records when it is written.
    pub next: u32,
    /// Records that are not written yet.
    pub pending: u16,
    /// Most segments that there is room for.
    pub capacity: u32,
    /// Blocks of the NAND that are marked bad, as far as they were come across since the start.
    pub bad_blocks: u16,
    /// How often each block was erased, about: rounds of the ring.
    pub rounds: u32,
    /// Pages with errors that ECC mended, since the start.
    pub mended: u32,
    /// Pages that could not be read, since the start.
    pub unreadable: u32,
}

impl LogSummary {
    /// Bytes of this record.
    pub const LENGTH: usize = 4 + 4 + 2 + 4 + 2 + 4 + 4 + 4;

    /// Field after field.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        let mut to = Writer(&mut bytes);
        to.put(&self.first.to_le_bytes());
        to.put(&self.next.to_le_bytes());
        to.put(&self.pending.to_le_bytes());
        to.put(&self.capacity.to_le_bytes());
        to.put(&self.bad_blocks.to_le_bytes());
        to.put(&self.rounds.to_le_bytes());
        to.put(&self.mended.to_le_bytes());
        to.put(&self.unreadable.to_le_bytes());
        bytes
    }

    /// The reverse. Any bytes are a record.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> LogSummary {
        let mut from = Reader(bytes);
        LogSummary {
            first: u32::from_le_bytes(from.take()),
            next: u32::from_le_bytes(from.take()),
            pending: u16::from_le_bytes(from.take()),
            capacity: u32::from_le_bytes(from.take()),
            bad_blocks: u16::from_le_bytes(from.take()),
            rounds: u32::from_le_bytes(from.take()),
            mended: u32::from_le_bytes(from.take()),
            unreadable: u32::from_le_bytes(from.take()),
        }
    }
}

as_bytes!(LogSummary);

/// Where a program crashed: its version, and where each call that was under way returns to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CrashPlace(pub [u8; Self::LENGTH]);

impl CrashPlace {
    /// The most addresses that are kept.
    pub const CALLS: usize = 9;
    /// Bytes of it: the version as in an image's header, and the lower half of each address, the innermost first; zeros
    /// behind them.
    pub const LENGTH: usize = Version::LENGTH + 2 * Self::CALLS;
    /// The upper half of each address: flash.
    const FLASH: u32 = 0x0800_0000;

    /// The program that crashed.
    pub fn version(&self) -> Version {
        self.0
            .first_chunk()
            .map_or(Version::default(), Version::from_bytes)
    }

    /// Addresses behind calls. One that is odd is of the instruction in front of it itself, which faulted.
    pub fn calls(&self) -> impl Iterator<Item = u32> {
        let (halves, _) = self.0[Version::LENGTH..].as_chunks();
        let halves = halves.iter().map(|half| u16::from_le_bytes(*half));
        halves
            .take_while(|half| *half != 0)
            .map(|half| Self::FLASH | u32::from(half))
    }
}

impl fmt::Display for CrashPlace {
    /// As `cargo xtask place` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.version())?;
        self.calls().try_for_each(|call| write!(f, " {call:x}"))
    }
}

/// How a logger is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Milliseconds since the program started. 48 bits.
    pub uptime: u64,
    /// Why it started.
    pub reset: ResetCause,
    /// Resets by the watchdog, over its life.
    pub watchdog_resets: u16,
    /// Panics and faults of the application, over its life.
    pub crashes: u16,
    /// Where the latest crash was; none when there never was one.
    pub crash: Option<CrashPlace>,
    /// What its clock was off by when it was last set, in millionths: positive when it ran too fast. None before it was
    /// set twice since power came up.
    pub drift: Option<i32>,
}

impl Health {
    /// Bytes of this record.
    pub const LENGTH: usize = 6 + 1 + 2 + 2 + 1 + CrashPlace::LENGTH + 4;

    /// Field after field.
    pub fn to_bytes(self) -> [u8; Self::LENGTH] {
        let place = self.crash.unwrap_or_default();
        let mut bytes = [0; Self::LENGTH];
        let mut to = Writer(&mut bytes);
        to.put(&six_bytes(self.uptime as i64));
        to.put(&[self.reset.to_byte()]);
        to.put(&self.watchdog_resets.to_le_bytes());
        to.put(&self.crashes.to_le_bytes());
        to.put(&[self.crash.is_some().into()]);
        to.put(&place.0);
        to.put(&self.drift.unwrap_or(Timekeeping::NO_DRIFT).to_le_bytes());
        bytes
    }

    /// The reverse. Any bytes are a record.
    pub fn from_bytes(bytes: &[u8; Self::LENGTH]) -> Health {
        let mut from = Reader(bytes);
        Health {
            uptime: from_six_bytes(from.take()) as u64 & 0xFFFF_FFFF_FFFF,
            reset: ResetCause::from_byte(from.take::<1>()[0]),
            watchdog_resets: u16::from_le_bytes(from.take()),
            crashes: u16::from_le_bytes(from.take()),
            crash: {
                let [is_some] = from.take();
                let place = CrashPlace(from.take());
                (is_some != 0).then_some(place)
            },
            drift: Some(i32::from_le_bytes(from.take()))
                .filter(|drift| *drift != Timekeeping::NO_DRIFT),
        }
    }
}

as_bytes!(Health);

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;

    use super::*;

    fn header() -> SegmentHeader {
        SegmentHeader {
            kind: SegmentKind::Records,
            sequence: 0x0102_0304,
            record: 77,
            session: 3,
            count: 2,
            time: 0x1234_5678_9ABC,
            utc_offset: Some(1_795_000_000_123),
            interval: 1000,
            channels: ChannelSet(0b10011),
            alarms: ChannelSet(0b10),
            length: 16,
        }
    }

    #[test]
    fn a_segment_comes_back_as_it_was_and_no_changed_bit_goes_unseen() {
        let mut bytes = [0xFF; SEGMENT];
        bytes[SEGMENT_HEADER..][..16].copy_from_slice(b"0123456789abcdef");
        header().seal(&mut bytes);
        let segment = Segment::parse(&bytes).unwrap();
        assert_eq!(segment.header, header());
        assert_eq!(segment.data, b"0123456789abcdef");
        for bit in 0..8 * (SEGMENT_HEADER + 16) {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Segment::parse(&bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(Segment::parse(&[0xFF; SEGMENT]), None);
        assert_eq!(Segment::parse(&bytes[..SEGMENT_HEADER + 15]), None);
    }

    #[test]
    fn offsets_to_utc_may_be_negative_or_unknown() {
        for utc_offset in [None, Some(0), Some(-1), Some(-5_000_000_000), Some(1 << 46)] {
            assert_eq!(offset_from_bytes(offset_to_bytes(utc_offset)), utc_offset);
        }
    }

    #[test]
    fn a_layout_comes_back_as_it_was() {
        let mut layout = Layout {
            firmware: Version {
                major: 1,
                minor: 2,
                revision: 3,
                build: 4,
            },
            reason: LayoutReason::Start(ResetCause::Watchdog),
            channels: [ChannelLayout::default(); CHANNELS],
            clock: Timekeeping {
                set_at: 0x8765_4321_0FED,
                drift: Some(-5),
                cycles: 38,
            },
        };
        layout.channels[2] = ChannelLayout {
            name: *b"Pressure\0\0\0\0",
            unit: *b"mbar\0\0\0\0",
            gain: -12_345,
            offset: 678,
        };
        let mut bytes = [0; Layout::LENGTH];
        layout.write(&mut bytes);
        assert_eq!(Layout::parse(&bytes), Some(layout));
        layout.clock.drift = None;
        layout.write(&mut bytes);
        assert_eq!(Layout::parse(&bytes), Some(layout));
        assert_eq!(Layout::parse(&bytes[1..]), None);
    }

    #[test]
    fn status_summary_and_health_come_back_as_they_were() {
        let status = Status {
            time: 1 << 47,
            utc_offset: Some(-3),
            local_offset: -90,
            recording: Recording::Full,
            next_record: 5,
            channels: ChannelSet(7),
            alarms: ChannelSet(2),
            values: [3300, -1234, 36_000, 0, i32::MAX],
        };
        assert_eq!(Status::from_bytes(&status.to_bytes()), status);
        let summary = LogSummary {
            first: 1,
            next: 2,
            pending: 3,
            capacity: 4,
            bad_blocks: 5,
            rounds: 6,
            mended: 7,
            unreadable: 8,
        };
        assert_eq!(LogSummary::from_bytes(&summary.to_bytes()), summary);
        let mut place = CrashPlace::default();
        place.0[..12].copy_from_slice(&[1, 2, 3, 0, 0, 0, 0, 0, 0x34, 0x12, 0xCD, 0xAB]);
        assert_eq!(place.to_string(), "1.2.3 8001234 800abcd");
        let health = Health {
            uptime: 9,
            reset: ResetCause::Crash,
            watchdog_resets: 1,
            crashes: 2,
            crash: Some(place),
            drift: Some(-2000),
        };
        assert_eq!(Health::from_bytes(&health.to_bytes()), health);
        assert_eq!(
            Health::from_bytes(&Health::default().to_bytes()),
            Health::default()
        );
    }

    #[test]
    fn a_threshold_is_compared_in_the_unit_that_people_set() {
        let above = |gain, offset, raw, threshold| {
            ChannelLayout::is_above(gain, offset, Channel::Temperature, raw, threshold)
        };
        // 25.00 °C against 25 °C, then against 24.999 °C.
        assert!(!above(10_000, 0, 2500, 25_000));
        assert!(above(10_000, 0, 2500, 24_999));
        // Twice 12.50 °C plus 1 °C.
        assert!(above(20_000, 1_000, 1250, 25_999));
        assert!(!above(20_000, 1_000, 1250, 26_000));
        assert!(above(i32::MAX, i32::MIN, 32_767, i32::MAX));
    }
}
