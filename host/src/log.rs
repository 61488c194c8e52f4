//! Reads the log off a logger: what is in it, which part belongs to a time, and the segments themselves.
//!
//! A [`Download`] gives each segment once and in order, whatever is lost on the way, and goes on after the link broke.
//! It holds [`CHUNK`] segments at most, so a full log takes no more memory than a short one. It never says of a segment
//! that it is there when the logger did not send it whole.

use alloc::vec::Vec;
use core::fmt;
use core::ops::{Range, RangeInclusive};

use protocol::message::{LoggerRequest, LoggerResponse, Refusal};
use protocol::record::{Layout, LogSummary, Segment, SegmentHeader, SegmentKind};

use crate::clock::Clocks;
use crate::conversation::{Conversation, TRIES, TalkError};
use crate::link::Link;

/// Segments that are asked for at once: at the full rate of the link a fifth of a second, after which others have their
/// turn with the logger.
pub const CHUNK: u32 = 256;

/// What is in the log.
pub async fn read_summary<L: Link>(
    conversation: &mut Conversation<L>,
) -> Result<LogSummary, TalkError> {
    conversation
        .ask_logger(LoggerRequest::LogSummary, |response| match response {
            LoggerResponse::LogSummary(summary) => Some(summary),
            _ => None,
        })
        .await
}

/// Everything that is in the log, the records that are not written yet included.
pub fn whole(summary: &LogSummary) -> Range<u32> {
    summary.first..summary.next.saturating_add(u32::from(summary.pending != 0))
}

/// Erases all that the summary speaks of; what was recorded since stays. Records that were not written yet stay too.
///
/// # Errors
/// [`Refusal::OtherLog`] when the log is not the one of the summary any more.
pub async fn erase<L: Link>(
    conversation: &mut Conversation<L>,
    summary: &LogSummary,
) -> Result<(), TalkError> {
    conversation
        .tell_logger(LoggerRequest::EraseLog { next: summary.next })
        .await
}

/// A part of the log, without gaps in what it says of time: nobody set the clock in it, and it did not start anew.
#[derive(Clone, Debug)]
struct Stretch {
    segments: Range<u32>,
    utc_offset: Option<i64>,
}

/// How time goes through the log.
#[derive(Clone, Debug)]
pub struct Timeline {
    stretches: Vec<Stretch>,
    clocks: Clocks,
}

impl Timeline {
    /// When the clock was set: for a [`crate::data::Decoder`] of a part of the log.
    pub fn clocks(&self) -> &Clocks {
        &self.clocks
    }
}

/// How time goes through this part of the log. Where the clock was set is searched, between headers of single segments
/// that do not agree; the log is not read. A clock that was set to another time and back again, to the millisecond, can
/// stay unseen.
pub async fn read_timeline<L: Link>(
    conversation: &mut Conversation<L>,
    log: Range<u32>,
) -> Result<Timeline, TalkError> {
    let mut timeline = Timeline {
        stretches: Vec::new(),
        clocks: Clocks::new(),
    };
    let mut start = log.start;
    while let Some((at, header)) =
        first_header(conversation, start..log.end, Some(&mut timeline.clocks)).await?
    {
        // What cannot be read in front belongs to it as well as to the one before.
        let (session, utc_offset) = (header.session, header.utc_offset);
        let agrees =
            |header: &SegmentHeader| (header.session, header.utc_offset) == (session, utc_offset);
        // First in strides that double, then by halves.
        let (mut low, mut stride) = (at + 1, 1u32);
        let mut high = loop {
            let probe = low.saturating_add(stride).min(log.end);
            if probe == log.end {
                break probe;
            }
            match first_header(conversation, probe..log.end, Some(&mut timeline.clocks)).await? {
                Some((at, header)) if agrees(&header) => low = at + 1,
                _ => break probe,
            }
            stride = stride.saturating_mul(2);
        };
        while low < high {
            let middle = low + (high - low) / 2;
            match first_header(conversation, middle..high, Some(&mut timeline.clocks)).await? {
                Some((at, header)) if agrees(&header) => low = at + 1,
                _ => high = middle,
            }
        }
        timeline.stretches.push(Stretch {
            segments: start..low,
            utc_offset,
        });
        start = low;
    }
    if let Some(last) = timeline.stretches.last_mut() {
        last.segments.end = log.end;
    }
    Ok(timeline)
}

/// The segments whose records may be of this time (UTC in milliseconds since 1970). Others may lie between them, and
/// records whose time is not known: where a clock was set back, the same time comes twice.
pub async fn of_time<L: Link>(
    conversation: &mut Conversation<L>,
    timeline: &Timeline,
    utc: RangeInclusive<i64>,
) -> Result<Range<u32>, TalkError> {
    let mut found: Option<Range<u32>> = None;
    let clocks = &timeline.clocks;
    for stretch in &timeline.stretches {
        if stretch.utc_offset.is_none() {
            continue;
        }
        let (mut low, mut high) = (stretch.segments.start, stretch.segments.end);
        while low < high {
            let middle = low + (high - low) / 2;
            match first_header(conversation, middle..high, None).await? {
                Some((at, header)) if last_utc(clocks, &header) < Some(*utc.start()) => {
                    low = at + 1
                }
                _ => high = middle,
            }
        }
        let start = low;
        high = stretch.segments.end;
        while low < high {
            let middle = low + (high - low) / 2;
            match first_header(conversation, middle..high, None).await? {
                Some((_, header)) if first_utc(clocks, &header) > Some(*utc.end()) => high = middle,
                Some((at, _)) => low = at + 1,
                // They may be of that time.
                None => low = high,
            }
        }
        if start < low {
            let first = found.map_or(start, |found| found.start);
            found = Some(first..low);
        }
    }
    Ok(found.unwrap_or(0..0))
}
fn first_utc(clocks: &Clocks, header: &SegmentHeader) -> Option<i64> {
    Some(clocks.line(header)?.utc(header.time))
}

fn last_utc(clocks: &Clocks, header: &SegmentHeader) -> Option<i64> {
    let steps = u64::from(header.count.saturating_sub(1));
    let last = header.time + steps * u64::from(header.interval);
    Some(clocks.line(header)?.utc(last))
}

/// The first segment of the range that can be read. What it says of the clock goes to `clocks`.
async fn first_header<L: Link>(
    conversation: &mut Conversation<L>,
    range: Range<u32>,
    mut clocks: Option<&mut Clocks>,
) -> Result<Option<(u32, SegmentHeader)>, TalkError> {
    let (mut start, mut count) = (range.start, 1);
    while start < range.end {
        let mut found = None;
        let end = start.saturating_add(count).min(range.end);
        let mut download = Download::new(start..end);
        while !download.is_complete() {
            download
                .step(conversation, |piece| {
                    let Some(segment) = piece.segment().filter(|_| found.is_none()) else {
                        return;
                    };
                    if segment.header.kind == SegmentKind::Layout
                        && let Some(layout) = Layout::parse(segment.data)
                        && let Some(clocks) = &mut clocks
                    {
                        clocks.add(&segment.header, &layout.clock);
                    }
                    found = Some((piece.sequence, segment.header));
                })
                .await?;
        }
        if found.is_some() {
            return Ok(found);
        }
        // A block of the memory that was given up leaves many numbers unused.
        start = end;
        count = (2 * count).min(CHUNK);
    }
    Ok(None)
}

/// The same segments from the layout on that says what the first of them holds: it lies in front of them, at most a
/// block of the NAND away, unless it was lost. `log` is everything that can be read.
pub async fn with_layout<L: Link>(
    conversation: &mut Conversation<L>,
    log: Range<u32>,
    segments: Range<u32>,
) -> Result<Range<u32>, TalkError> {
    let mut behind = segments.start.saturating_add(1).min(segments.end);
    while behind > log.start {
        let before = behind.saturating_sub(CHUNK).max(log.start);
        let mut layout = None;
        let mut download = Download::new(before..behind);
        while !download.is_complete() {
            download
                .step(conversation, |piece| {
                    if let Some(segment) = piece.segment()
                        && segment.header.kind == SegmentKind::Layout
                    {
                        layout = Some(piece.sequence);
                    }
                })
                .await?;
        }
        if let Some(start) = layout {
            return Ok(start..segments.end);
        }
        behind = before;
    }
    Ok(segments)
}

/// One segment, or that it is lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its sequence number.
    pub sequence: u32,
    /// Its bytes: a whole [`Segment`], without what may stand behind it.
    pub content: Result<Vec<u8>, Loss>,
}

impl Piece {
    /// The segment, when it is there.
    pub fn segment(&self) -> Option<Segment<'_>> {
        self.content
            .as_ref()
            .ok()
            .and_then(|bytes| Segment::parse(bytes))
    }
}

/// Why there is no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The logger cannot read it back, or what it reads is damaged.
    Unreadable,
    /// It was overwritten by newer ones, or erased, while others were read.
    Gone,
    /// None was ever written with this number, as when power failed: nothing is missing.
    NeverWritten,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Loss::Unreadable => "could not be read back from the logger's memory",
            Loss::Gone => "was overwritten or erased before it was read",
            Loss::NeverWritten => "was never written",
        })
    }
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Segments that came, or are known to be lost.
    pub done: u32,
    /// Segments in all.
    pub total: u32,
    /// Of those that are done: how many are lost.
    pub lost: u32,
    /// Bytes of those that came.
    pub bytes: u64,
}

/// A part of the log on its way to the computer.
///
/// It is small, and needs no conversation to exist: after the link broke, the next [`Download::step`] goes on with what
/// is still missing, over any conversation with the same logger.
#[derive(Clone, Debug)]
pub struct Download {
    range: Range<u32>,
    /// The first that was not given to the caller.
    next: u32,
    /// What came of those from `next` on.
    chunk: Vec<Option<Result<Vec<u8>, Loss>>>,
    lost: u32,
    bytes: u64,
}

impl Download {
    /// Of these segments.
    pub fn new(segments: Range<u32>) -> Download {
        Download {
            next: segments.start,
            range: segments,
            chunk: Vec::new(),
            lost: 0,
            bytes: 0,
        }
    }

    /// The segments that were not given to the caller yet: what a new download has to ask for to complete this one.
    pub fn rest(&self) -> Range<u32> {
        self.next..self.range.end
    }

    /// Whether each segment was given to the caller.
    pub fn is_complete(&self) -> bool {
        self.rest().is_empty()
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            done: self.next.saturating_sub(self.range.start),
            total: self.range.end.saturating_sub(self.range.start),
            lost: self.lost,
            bytes: self.bytes,
        }
    }

    /// Reads up to [`CHUNK`] segments and gives them to `take`, in order and each once. Between two steps the
    /// conversation is free for other requests.
    ///
    /// # Errors
    /// When the link broke or the logger went silent. What came until then is kept for the next step.
    pub async fn step<L: Link>(
        &mut self,
        conversation: &mut Conversation<L>,
        mut take: impl FnMut(Piece),
    ) -> Result<(), TalkError> {
        let length = self.rest().len().min(CHUNK as usize);
        self.chunk.resize(length, None);
        let mut in_vain = 0;
        while let Some(gap) = first_gap(&self.chunk) {
            let first = self.next + gap.start as u32;
            let missing = self.missing();
            let chunk = &mut self.chunk;
            let next = self.next;
            let done = conversation
                .read_log(first, gap.len() as u32, |sequence, bytes| {
                    let place = sequence
                        .checked_sub(next)
                        .and_then(|index| chunk.get_mut(index as usize));
                    if let Some(place) = place {
                        *place = Some(content(sequence, bytes));
                    }
                })
                .await;
            match done {
                Ok(_) if self.missing() < missing => in_vain = 0,
                Ok(true) | Err(TalkError::Refused(Refusal::OtherLog)) => {
                    in_vain += 1;
                    self.give_up_gone(conversation, in_vain == TRIES).await?;
                }
                Ok(false) => {
                    in_vain += 1;
                    if in_vain == TRIES {
                        return Err(TalkError::Silent);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let unreadable = |content: &Option<_>| *content == Some(Err(Loss::Unreadable));
        if self.chunk.iter().any(unreadable) {
            // What was overwritten or erased just before it was to be read is no failure of the memory.
            let log = whole(&read_summary(conversation).await?);
            for (sequence, content) in (self.next..).zip(&mut self.chunk) {
                if unreadable(content) && !log.contains(&sequence) {
                    *content = Some(Err(Loss::Gone));
                }
            }
        }
        for content in self.chunk.drain(..).flatten() {
            match &content {
                Ok(bytes) => self.bytes += bytes.len() as u64,
                Err(Loss::NeverWritten) => {}
                Err(_) => self.lost += 1,
            }
            take(Piece {
                sequence: self.next,
                content,
            });
            self.next += 1;
        }
        Ok(())
    }

    fn missing(&self) -> usize {
        self.chunk
            .iter()
            .filter(|content| content.is_none())
            .count()
    }

    /// Marks what the log does not hold any more. When the logger says of what it does hold, time and again, that there
    /// is nothing, that cannot be read either.
    async fn give_up_gone<L: Link>(
        &mut self,
        conversation: &mut Conversation<L>,
        all: bool,
    ) -> Result<(), TalkError> {
        let log = whole(&read_summary(conversation).await?);
        for (sequence, content) in (self.next..).zip(&mut self.chunk) {
            if content.is_some() {
                continue;
            }
            if !log.contains(&sequence) {
                *content = Some(Err(Loss::Gone));
            } else if all {
                *content = Some(Err(Loss::Unreadable));
            }
        }
        Ok(())
    }
}

/// The first run of segments that did not come.
fn first_gap<T>(chunk: &[Option<T>]) -> Option<Range<usize>> {
    let start = chunk.iter().position(Option::is_none)?;
    let length = chunk
        .iter()
        .skip(start)
        .take_while(|content| content.is_none());
    Some(start..start + length.count())
}

/// What a logger sent, checked.
fn content(sequence: u32, bytes: &[u8]) -> Result<Vec<u8>, Loss> {
    if bytes.is_empty() {
        return Err(Loss::NeverWritten);
    }
    Segment::parse(bytes)
        .filter(|segment| segment.header.sequence == sequence)
        .and_then(|segment| bytes.get(..segment.length()))
        .map(<[u8]>::to_vec)
        .ok_or(Loss::Unreadable)
}
