//! A NAND that can lose power at any operation, and a logger on it that remembers what it was promised.
//!
//! A cut unwinds out of the recorder, as power does. Cells that it caught in the middle read differently from one time to
//! the next, also as if all had gone well; programming them again is a violation.

#![allow(dead_code, reason = "each test takes what it needs of the model")]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{self, AssertUnwindSafe, panic_any};
use std::rc::Rc;
use std::sync::Once;

use datalog::recorder::{Recorder, Rules, Sample, Source};
use datalog::ring::{BLOCK_SEGMENTS, Trouble};
use protocol::record::{
    CHANNELS, ChannelLayout, ChannelSet, Layout, LayoutReason, SEGMENT, Segment, SegmentKind,
    Timekeeping,
};
use update::memory::{NAND_BLOCK_PAGES, NAND_PAGE, Nand, Unreadable, WriteFailed};

/// Bytes of a page with its spare bytes.
const RAW_PAGE: usize = NAND_PAGE + 64;
/// Sectors of a page that have an ECC of their own, and programs that it takes.
const SECTORS: usize = NAND_PAGE / SEGMENT;
const PROGRAMS: u8 = 4;

/// The most operations and page reads that a record may take, whatever the chip does: of 10 ms and 0.1 ms each.
const PUSH_OPERATIONS: u64 = 12;
const PUSH_READS: u64 = 300;

/// Where in an operation power goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    Inside(u64),
    After,
}

/// What the recorder unwinds with when power is lost.
struct PowerLost;

/// A small generator of numbers that are the same every time (xorshift64*).
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }
}

/// A page that is not erased.
#[derive(Clone)]
struct Page {
    bytes: [u8; RAW_PAGE],
    /// What the cells may be as well, where a cut left them in between.
    instead: Option<Box<[u8; RAW_PAGE]>>,
    /// Sectors that ECC cannot mend.
    broken: [bool; SECTORS],
    programs: u8,
}

const ERASED_PAGE: Page = Page {
    bytes: [0xFF; RAW_PAGE],
    instead: None,
    broken: [false; SECTORS],
    programs: 0,
};

/// How a block fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It takes nothing, not even a mark.
    Dead,
    /// Programs leave some bits, and report that; erases change nothing. It takes a mark.
    Worn,
    /// Only programs fail, and all bits are there all the same.
    Liar,
}

#[derive(Clone)]
pub struct Chip {
    /// Pages that are not erased.
    pages: Vec<Option<Rc<Page>>>,
    pub failures: BTreeMap<u32, Failure>,
    /// At this operation the block that it concerns begins to fail.
    pub fails_at: Option<(u64, Failure)>,
    pub answers: bool,
    /// Operations so far, and the one at which power is lost.
    pub operations: u64,
    pub cut: Option<(u64, Moment)>,
    pub page_reads: u64,
    /// How often each block was erased.
    pub erases: Vec<u32>,
    /// Turns whose blocks were emptied or given up, or are half empty.
    pub emptied: BTreeSet<u32>,
    /// How often a page was programmed that a cut had caught.
    pub touched: u32,
    /// What the datasheet forbids.
    pub violations: Vec<String>,
    buffer: [u8; RAW_PAGE],
    random: Random,
}

impl Chip {
    pub fn new(blocks: u32) -> Chip {
        Chip {
            pages: vec![None; (blocks * NAND_BLOCK_PAGES) as usize],
            failures: BTreeMap::new(),
            fails_at: None,
            answers: true,
            operations: 0,
            cut: None,
            page_reads: 0,
            erases: vec![0; blocks as usize],
            emptied: BTreeSet::new(),
            touched: 0,
            violations: Vec::new(),
            buffer: [0; RAW_PAGE],
            random: Random::new(1),
        }
    }

    fn page(&self, page: u32) -> &Page {
        self.pages[page as usize].as_deref().unwrap_or(&ERASED_PAGE)
    }

    fn page_mut(&mut self, page: u32) -> &mut Page {
        Rc::make_mut(self.pages[page as usize].get_or_insert_with(|| Rc::new(ERASED_PAGE)))
    }

    /// Marked by its maker: it takes nothing, and what it holds means nothing.
    pub fn bad_from_factory(&mut self, block: u32) {
        let page = self.page_mut(block * NAND_BLOCK_PAGES);
        page.bytes = [0; RAW_PAGE];
        self.failures.insert(block, Failure::Dead);
    }

    /// Spoils a page so that ECC cannot mend it.
    pub fn break_page(&mut self, page: u32) {
        let page = self.page_mut(page);
        page.broken = [true; SECTORS];
        for sector in page.bytes[..NAND_PAGE].chunks_mut(SEGMENT) {
            sector[1] ^= 0x11;
        }
    }

    /// Where a segment lies: its page.
    pub fn page_of(&self, sequence: u32) -> Option<u32> {
        let sector = (sequence % BLOCK_SEGMENTS + 1) as usize;
        (0..self.pages.len() as u32)
            .step_by(NAND_BLOCK_PAGES as usize)
            .map(|first| first + (sector / SECTORS) as u32)
            .find(|page| {
                let bytes = &self.page(*page).bytes[sector % SECTORS * SEGMENT..][..SEGMENT];
                Segment::parse(bytes).is_some_and(|segment| segment.header.sequence == sequence)
            })
    }

    /// What a block holds is to go.
    fn empty(&mut self, block: u32) {
        for page in block * NAND_BLOCK_PAGES..(block + 1) * NAND_BLOCK_PAGES {
            for sector in self.pages[page as usize]
                .iter()
                .flat_map(|page| page.bytes.chunks(SEGMENT))
            {
                if let Some(segment) = Segment::parse(sector) {
                    self.emptied
                        .insert(segment.header.sequence / BLOCK_SEGMENTS);
                    return;
                }
            }
        }
    }

    /// An operation begins. Whether power is lost then, and what becomes of it.
    fn operation(&mut self) -> Option<Moment> {
        let number = self.operations;
        self.operations += 1;
        let (at, moment) = self.cut?;
        if at != number {
            return None;
        }
        if moment == Moment::Before {
            panic_any(PowerLost);
        }
        Some(moment)
    }

    fn failure(&mut self, block: u32) -> Option<Failure> {
        if let Some((at, failure)) = self.fails_at
            && at <= self.operations
        {
            self.fails_at = None;
            self.failures.entry(block).or_insert(failure);
        }
        self.failures.get(&block).copied()
    }
}

/// Each bit from one of the two.
fn mix(random: &mut Random, one: &[u8], other: &[u8]) -> [u8; RAW_PAGE] {
    std::array::from_fn(|index| {
        let mask = (random.next() >> 32) as u8;
        one[index] & mask | other[index] & !mask
    })
}

impl Nand for Chip {
    fn is_there(&mut self) -> bool {
        self.answers
    }

    fn open(&mut self, page: u32) -> Result<(), Unreadable> {
        if !self.answers {
            return Err(Unreadable);
        }
        self.page_reads += 1;
        let Some(page) = self.pages[page as usize].clone() else {
            self.buffer = ERASED_PAGE.bytes;
            return Ok(());
        };
        let mut fine = !page.broken.contains(&true);
        self.buffer = page.bytes;
        if let Some(instead) = &page.instead {
            let random = &mut self.random;
            (self.buffer, fine) = match random.below(4) {
                0 => (page.bytes, fine),
                1 => (**instead, fine),
                // ECC may notice, or be fooled.
                _ => (mix(random, &page.bytes, &instead[..]), random.below(8) == 0),
            };
        }
        if fine { Ok(()) } else { Err(Unreadable) }
    }

    fn read(&mut self, column: u16, out: &mut [u8]) {
        let column = usize::from(column);
        match self.answers {
            true => out.copy_from_slice(&self.buffer[column..][..out.len()]),
            false => out.fill(0xFF),
        }
    }

    fn program(&mut self, page: u32, column: u16, data: &[u8]) -> Result<(), WriteFailed> {
        let column = usize::from(column);
        let block = page / NAND_BLOCK_PAGES;
        self.buffer = [0xA5; RAW_PAGE];
        if !self.answers {
            return Err(WriteFailed);
        }
        let failure = self.failure(block).filter(|it| {
            // Marks are single bytes.
            *it == Failure::Dead || data.len() > 1
        });
        let moment = self.operation();
        let mut violations = Vec::new();
        let later = page + 1..(block + 1) * NAND_BLOCK_PAGES;
        if self.page(page).programs == 0
            && later.clone().any(|later| self.page(later).programs > 0)
            && data.len() > 1
        {
            violations.push(format!("page {page} after a later one"));
        }
        let mut random = self.random.clone();
        let cells = self.page_mut(page);
        // A mark that did not come about has to be tried again.
        if data.len() > 1 || moment.is_none() && failure.is_none() {
            cells.programs += 1;
        }
        if cells.programs > PROGRAMS {
            violations.push(format!("page {page} programmed {} times", cells.programs));
        }
        let touched = data.len() > 1 && cells.instead.take().is_some();
        if let Some(instead) = &mut cells.instead
            && failure.is_none()
        {
            // Its neighbours may be uncertain, a mark is not.
            instead[column] &= data[0];
        }
        let old = cells.bytes;
        let mut new = old;
        for (cell, byte) in new[column..].iter_mut().zip(data) {
            if data.len() > 1 && *cell != 0xFF {
                violations.push(format!("page {page} programmed over what it holds"));
            }
            *cell &= byte;
        }
        match (moment, failure) {
            (Some(Moment::Inside(seed)), _) => {
                random = Random::new(seed);
                // Hardly begun, all but done, or bits of both: then it may read as if all had gone well.
                let few = mix(&mut random, &old, &new);
                let mut some = |most: [u8; RAW_PAGE]| {
                    std::array::from_fn(|index| match random.below(8) {
                        0 => few[index],
                        _ => most[index],
                    })
                };
                let (bytes, instead) = match seed % 4 {
                    0 => (old, some(old)),
                    1 => (new, some(new)),
                    _ => (few, new),
                };
                cells.bytes = bytes;
                cells.instead = Some(Box::new(instead));
            }
            (_, Some(Failure::Dead)) => {}
            (_, Some(Failure::Worn)) => cells.bytes = mix(&mut random, &old, &new),
            (_, Some(Failure::Liar) | None) => cells.bytes = new,
        }
        if touched {
            // They look as they should at best by chance.
            let cells = self.page_mut(page);
            cells.bytes = mix(&mut random, &cells.bytes, &new);
            cells.bytes[column + 2] ^= 1;
            cells.instead = None;
            self.touched += 1;
        }
        self.random = random;
        self.violations.append(&mut violations);
        if moment.is_some() {
            panic_any(PowerLost);
        }
        if failure.is_some() {
            return Err(WriteFailed);
        }
        if let Some(segment) = Segment::parse(data) {
            self.emptied
                .remove(&(segment.header.sequence / BLOCK_SEGMENTS));
        }
        Ok(())
    }

    fn erase(&mut self, block: u32) -> Result<(), WriteFailed> {
        self.buffer = [0xA5; RAW_PAGE];
        if !self.answers {
            return Err(WriteFailed);
        }
        let failure = self.failure(block).filter(|it| *it != Failure::Liar);
        let moment = self.operation();
        self.empty(block);
        let pages = block * NAND_BLOCK_PAGES..(block + 1) * NAND_BLOCK_PAGES;
        if let Some(Moment::Inside(seed)) = moment {
            let mut random = Random::new(seed);
            for page in pages {
                if self.pages[page as usize].is_none() {
                    continue;
                }
                let cells = self.page_mut(page);
                match random.below(4) {
                    0 => {}
                    1 => self.pages[page as usize] = None,
                    2 => cells.instead = Some(Box::new([0xFF; RAW_PAGE])),
                    _ => {
                        cells.instead = Some(Box::new(cells.bytes));
                        cells.bytes = [0xFF; RAW_PAGE];
                    }
                }
            }
        } else if failure.is_none() {
            self.erases[block as usize] += 1;
            for page in pages {
                self.pages[page as usize] = None;
            }
        }
        if moment.is_some() {
            panic_any(PowerLost);
        }
        match failure {
            Some(_) => Err(WriteFailed),
            None => Ok(()),
        }
    }

    fn is_bad(&mut self, block: u32) -> bool {
        let _ = self.open(block * NAND_BLOCK_PAGES);
        let mut mark = [0];
        self.read(NAND_PAGE as u16, &mut mark);
        !self.answers || mark[0] != 0xFF
    }

    fn mark_bad(&mut self, block: u32) {
        self.empty(block);
        let _ = self.program(block * NAND_BLOCK_PAGES, NAND_PAGE as u16, &[0]);
    }
}

/// What a logger says of itself.
#[derive(Clone)]
pub struct Facts {
    pub session: u16,
    pub utc_offset: Option<i64>,
    pub gain: i32,
}

impl Source for Facts {
    fn session(&self) -> u16 {
        self.session
    }

    fn utc_offset(&self) -> Option<i64> {
        self.utc_offset
    }

    fn layout(&self, reason: LayoutReason) -> Layout {
        let mut layout = Layout {
            firmware: Default::default(),
            reason,
            channels: [ChannelLayout::default(); CHANNELS],
            clock: Timekeeping::default(),
        };
        layout.channels[0].gain = self.gain;
        layout
    }
}

/// Temperature and pulses: 6 bytes a record.
pub const CHANNELS_ON: ChannelSet = ChannelSet(0b10010);

/// One record, of which everything follows from its number.
pub fn sample(number: u32, time: u64) -> Sample {
    Sample {
        time,
        interval: 1000,
        channels: CHANNELS_ON,
        alarms: ChannelSet((number.is_multiple_of(5)).into()),
        values: [0, number as i32 % 10_000, 0, 0, number as i32],
    }
}

#[derive(Clone)]
/// A logger: the chip and what EEPROM keeps live on, the recorder is made anew at each start.
pub struct Logger {
    pub chip: Chip,
    pub recorder: Recorder,
    pub facts: Facts,
    pub time: u64,
    blocks: Range<u32>,
    rules: Rules,
    /// The first segment that counts, in EEPROM.
    first: u32,
    /// Every whole segment that was ever there to be read, but not the one under way.
    seen: BTreeMap<u32, Vec<u8>>,
    /// Those of them that were written to their end, and must stay.
    pub kept: BTreeMap<u32, Vec<u8>>,
    /// Whether records were dropped.
    pub gaps: bool,
}

impl Logger {
    pub fn new(chip: Chip, blocks: Range<u32>, rules: Rules) -> Logger {
        let recorder = Recorder::new(blocks.clone(), 0, rules);
        let mut logger = Logger {
            chip,
            recorder,
            facts: Facts {
                session: 1,
                utc_offset: None,
                gain: 1,
            },
            time: 0,
            blocks,
            rules,
            first: 0,
            seen: BTreeMap::new(),
            kept: BTreeMap::new(),
            gaps: false,
        };
        logger.start();
        logger
    }

    /// Power comes back.
    pub fn start(&mut self) {
        self.chip.cut = None;
        self.recorder = Recorder::new(self.blocks.clone(), self.first, self.rules);
        self.recorder.mount(&mut self.chip);
        self.facts.session += 1;
        self.recorder.begin(
            &mut self.chip,
            &self.facts,
            self.time,
            LayoutReason::Start(Default::default()),
        );
    }

    /// Does something that a cut may end. Whether power was still there afterwards.
    pub fn powered(&mut self, work: impl FnOnce(&mut Logger)) -> bool {
        let next = self.recorder.summary().next;
        match panic::catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(()) => {
                let after = self.recorder.summary();
                let new = next.max(after.first)..after.next;
                self.note_kept(new);
                true
            }
            Err(payload) if payload.is::<PowerLost>() => {
                self.chip.cut = None;
                false
            }
            Err(other) => panic::resume_unwind(other),
        }
    }

    /// What was written is to be found from now on.
    fn note_kept(&mut self, new: Range<u32>) {
        for sequence in new {
            let mut out = [0; SEGMENT];
            if let Ok(length @ 1..) = self.recorder.read(&mut self.chip, sequence, &mut out) {
                self.kept.insert(sequence, out[..length].to_vec());
            }
        }
    }

    /// Takes `count` records, a second apart.
    pub fn push(&mut self, count: u32) -> bool {
        for _ in 0..count {
            let there = self.powered(|logger| {
                let sample = sample(logger.recorder.next_record(), logger.time);
                let (operations, reads) = (logger.chip.operations, logger.chip.page_reads);
                logger
                    .recorder
                    .push(&mut logger.chip, &logger.facts, &sample);
                let operations = logger.chip.operations - operations;
                let reads = logger.chip.page_reads - reads;
                assert!(
                    operations <= PUSH_OPERATIONS && reads <= PUSH_READS,
                    "{operations} operations and {reads} page reads for a record"
                );
            });
            if !there {
                return false;
            }
            self.time += 1000;
        }
        true
    }

    /// The same so far apart that a memory that failed is tried again for each.
    pub fn push_slowly(&mut self, count: u32) {
        for _ in 0..count {
            self.push(1);
            self.time += 60_000;
        }
    }

    pub fn flush(&mut self) -> bool {
        self.powered(|logger| {
            logger
                .recorder
                .flush(&mut logger.chip, &logger.facts, logger.time);
        })
    }

    pub fn erase(&mut self, next: u32) {
        self.recorder.erase_until(next);
        self.first = self.recorder.summary().first;
    }

    pub fn trouble(&self) -> Option<Trouble> {
        self.recorder.trouble()
    }

    /// All that can be read, in order, against everything that was ever promised.
    #[track_caller]
    pub fn check(&mut self, why: &str) {
        let summary = self.recorder.summary();
        let emptied = self.chip.emptied.clone();
        let mut kept: BTreeMap<_, _> = self.kept.split_off(&self.first);
        kept.retain(|sequence, _| !emptied.contains(&(sequence / BLOCK_SEGMENTS)));
        let mut end = None;
        let mut found = 0;
        for sequence in summary.first..summary.next {
            let mut out = [0; SEGMENT];
            let length = self.recorder.read(&mut self.chip, sequence, &mut out);
            if let Some(kept) = kept.get(&sequence) {
                let length = length.unwrap_or_else(|_| panic!("{why}: segment {sequence} is gone"));
                assert!(
                    out[..length] == kept[..],
                    "{why}: segment {sequence} has changed"
                );
                found += 1;
            }
            let segment = length
                .ok()
                .and_then(|length| Segment::parse(&out[..length]));
            let Some(segment) = segment else {
                // What a cut caught may have counted when the log went on, and be unreadable now.
                end = None;
                continue;
            };
            let bytes = out[..length.unwrap()].to_vec();
            let header = segment.header;
            assert_eq!(header.sequence, sequence, "{why}");
            if sequence.is_multiple_of(BLOCK_SEGMENTS) {
                assert_eq!(header.kind, SegmentKind::Layout, "{why}: begins a block");
            }
            if header.kind == SegmentKind::Records {
                check_records(&segment, why);
                assert!(
                    self.gaps || end.is_none_or(|end| header.record <= end),
                    "{why}: records are missing in front of {header:?}"
                );
                end = Some(header.record + u32::from(header.count));
            } else {
                assert!(Layout::parse(segment.data).is_some(), "{why}");
            }
            let seen = self.seen.entry(sequence).or_insert_with(|| bytes.clone());
            assert!(*seen == bytes, "{why}: number {sequence} was used twice");
        }
        assert_eq!(
            found,
            kept.len(),
            "{why}: kept segments are outside of the log {summary:?}"
        );
        assert_eq!(self.chip.violations, Vec::<String>::new(), "{why}");
        self.kept = kept;
    }

    /// After a cut: power comes back, everything is there, and the log goes on; so does the start after that.
    #[track_caller]
    pub fn recover(&mut self, why: &str) {
        self.start();
        assert_eq!(self.trouble(), None, "{why}");
        self.check(why);
        let before = self.recorder.next_record();
        self.push(3);
        self.flush();
        assert_eq!(self.recorder.next_record(), before + 3, "{why}");
        assert_eq!(self.recorder.summary().pending, 0, "{why}");
        self.check(why);
        self.start();
        assert_eq!(self.recorder.next_record(), before + 3, "{why}");
        self.check(why);
    }
}

fn check_records(segment: &Segment, why: &str) {
    assert_eq!(
        segment.data.len(),
        6 * usize::from(segment.header.count),
        "{why}"
    );
    for (index, record) in segment.data.chunks(6).enumerate() {
        let number = segment.header.record + index as u32;
        let values = sample(number, 0).values;
        let expected = [&values[1].to_le_bytes()[..2], &values[4].to_le_bytes()[..]].concat();
        assert_eq!(record, expected, "{why}: record {number}");
    }
}

/// Cuts are no accidents: their panics are not printed.
pub fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !info.payload().is::<PowerLost>() {
                report(info);
            }
        }));
    });
}
