//! A ring of NAND blocks that holds numbered segments: appended at one end, forgotten at the other.
//!
//! A segment's number says where it lies: the ring enters one block after the other, each gets the next *turn*, and in
//! turn `t` the numbers `t * 255` to `t * 255 + 254` belong to the sectors 1 to 255 of the block. So nothing has to be
//! remembered but where the newest block is, and [`Ring::mount`] finds that by a search.
//!
//! It must never write into a page that a cut may have touched, and never erase a block other than the one behind the
//! newest.

use core::ops::Range;

use protocol::frame::Crc32;
use protocol::record::{SEGMENT, SEGMENT_HEADER, SegmentHeader};
use update::memory::{NAND_BLOCK_PAGES, NAND_PAGE, Nand, Unreadable};

/// Segments of a page, each a sector with an ECC of its own and one of the four programs that a page takes.
const PAGE_SECTORS: u32 = (NAND_PAGE / SEGMENT) as u32;
/// Sectors of a block.
const BLOCK_SECTORS: u32 = NAND_BLOCK_PAGES * PAGE_SECTORS;
/// The first sector that holds a segment. Sector 0 stays empty: its page's fourth program is for the mark of a bad block.
const FIRST_SECTOR: u32 = 1;
/// Segments of a block, and numbers of a turn.
pub const BLOCK_SEGMENTS: u32 = BLOCK_SECTORS - FIRST_SECTOR;

/// Where the mark lies that a block is not to be written again: in its last page, the second spare byte, which ECC leaves
/// out as it does the first.
const RETIRED_PAGE: u32 = NAND_BLOCK_PAGES - 1;
const RETIRED_COLUMN: u16 = NAND_PAGE as u16 + 1;

/// Bytes that are read at once to see whether they are erased: a piece of a sector, longer than a header.
const PIECE: usize = 64;
const _: () = assert!(SEGMENT.is_multiple_of(PIECE) && PIECE > SEGMENT_HEADER);

/// Blank pages in a row behind which no segment is looked for in a block: a start leaves one.
const BLANK_PAGES: u32 = 3;
/// Blocks in a row, not counting those that are marked bad, that are looked at for what may lie behind unreadable ones: a
/// W25N01GV may lose 20 over its life.
const FAR: i32 = 21;
/// The same where it is only a step of a search whose outcome is looked at once more.
const NEAR: i32 = 4;

/// Why nothing can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The memory is full of segments that are to be kept.
    Full,
    /// The memory does not take what is written, or does not answer.
    Failing,
}

/// A block of the ring, and which turn it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    block: u32,
    turn: u32,
}

/// What the ring needs of a header.
#[derive(Clone, Copy)]
struct Found {
    sequence: u32,
    /// Number of the record behind it.
    next_record: u32,
    /// Bytes of data.
    length: usize,
}

impl Found {
    fn peek(bytes: &[u8; SEGMENT_HEADER]) -> Option<Found> {
        let header = SegmentHeader::peek(bytes)?;
        Some(Found {
            sequence: header.sequence,
            next_record: header.record.wrapping_add(header.count.into()),
            length: header.length.into(),
        })
    }
}

/// The ring. It holds no memory itself: every call is given the NAND, which others may use in between.
#[derive(Clone, Debug)]
pub struct Ring {
    /// Its blocks, good and bad.
    blocks: Range<u32>,
    /// The newest block.
    head: Place,
    /// The next sector of it to be programmed; [`BLOCK_SECTORS`] when there is none.
    sector: u32,
    /// The oldest block. A turn behind the head's when nothing was written yet.
    tail: Place,
    /// The block that was read last.
    cursor: Place,
    /// Segments before this one were erased by their owner.
    first: u32,
    /// Pages that could not be read.
    unreadable: u32,
    /// The latest of them.
    unreadable_page: u32,
    mounted: bool,
}

impl Ring {
    /// A ring of these blocks, not mounted. Segments before number `first` do not count any more.
    pub const fn new(blocks: Range<u32>, first: u32) -> Ring {
        let before = Place {
            block: blocks.end - 1,
            turn: u32::MAX,
        };
        let tail = Place {
            block: blocks.start,
            turn: 0,
        };
        Ring {
            blocks,
            head: before,
            sector: BLOCK_SECTORS,
            tail,
            cursor: before,
            first,
            unreadable: 0,
            unreadable_page: u32::MAX,
            mounted: false,
        }
    }

    /// Finds the newest segment, and gives the number of the record behind it.
    pub fn mount<N: Nand>(&mut self, nand: &mut N) -> Result<u32, Trouble> {
        if !nand.is_there() {
            return Err(Trouble::Failing);
        }
        let size = self.size();
        let start = self.blocks.start;
        let anchor = self.seek(nand, start, FAR, 0..u32::MAX);
        let mut last = None;
        let mut head = anchor.map(|anchor| self.find_head(nand, anchor));
        // A layout that was cut may be readable once, and then no more: its block counts as not entered.
        while let Some(place) = head {
            self.head = place;
            last = self.find_end(nand);
            if last.is_some() {
                break;
            }
            let before = self.step(place.block, -1);
            // What a block holds that does not erase is about a round older.
            let turns = place.turn.saturating_sub(size >> 1)..place.turn;
            head = self.seek(nand, before, -FAR, turns);
        }
        if let (Some(anchor), Some(head)) = (anchor, head) {
            // When the ring is full, an older block follows.
            let turns = head.turn.saturating_sub(size - 1)..head.turn;
            let behind = self.step(head.block, 1);
            self.tail = self.seek(nand, behind, FAR, turns.clone()).unwrap_or(
                if turns.contains(&anchor.turn) {
                    anchor
                } else {
                    head
                },
            );
        } else {
            *self = Ring {
                unreadable: self.unreadable,
                ..Ring::new(self.blocks.clone(), self.first)
            };
        }
        if self.first > self.next() {
            // The memory is another one, or was emptied. No number is given out twice all the same.
            self.head.turn = self.first / BLOCK_SEGMENTS;
            self.sector = BLOCK_SECTORS;
            if last.is_none() {
                self.tail.turn = self.head.turn + 1;
            }
        }
        self.cursor = self.head;
        // What went wrong on the way may have been that it stopped answering.
        self.mounted = nand.is_there();
        if self.mounted {
            Ok(last.map_or(0, |last| last.next_record))
        } else {
            Err(Trouble::Failing)
        }
    }

    /// Whether [`Ring::mount`] is done.
    pub fn is_mounted(&self) -> bool {
        self.mounted
    }

    /// Number of the oldest segment that counts. It need not be readable.
    pub fn first(&self) -> u32 {
        self.first.max(self.tail.turn.wrapping_mul(BLOCK_SEGMENTS))
    }

    /// Number of the next segment to be written, unless its block fails.
    pub fn next(&self) -> u32 {
        let base = self.head.turn.wrapping_mul(BLOCK_SEGMENTS);
        base.wrapping_add(self.sector - FIRST_SECTOR)
    }

    /// Forgets all segments before `next`, which is at most [`Ring::next`]. Where the log begins is to be kept elsewhere,
    /// and given to [`Ring::new`].
    pub fn erase_until(&mut self, next: u32) {
        self.first = self.first().max(next.min(self.next()));
    }

    /// Blocks that are marked bad, of those that the ring has been through.
    pub fn bad_blocks(&self) -> u32 {
        let turns = self.turns();
        let passed = match () {
            () if turns == 0 => 0,
            () if self.tail.block > self.head.block => self.size(),
            () => self.head.block + 1 - self.blocks.start,
        };
        passed.saturating_sub(turns)
    }

    /// Most segments that there is room for, as far as bad blocks are known.
    pub fn capacity(&self) -> u32 {
        (self.size() - self.bad_blocks()) * BLOCK_SEGMENTS
    }

    /// How often each block was erased, rounded down.
    pub fn rounds(&self) -> u32 {
        let good = self.size() - self.bad_blocks();
        self.head.turn.wrapping_add(1) / good.max(1)
    }

    /// Pages that could not be read.
    pub fn unreadable(&self) -> u32 {
        self.unreadable
    }

    /// Whether the newest block has room for a segment.
    pub fn has_room(&self) -> bool {
        self.sector < BLOCK_SECTORS
    }

    /// Enters the next good block and empties it. With `keep` that is refused when segments in it still count. One that
    /// fails is given up: the next call goes on behind it, if the ring is still mounted.
    pub fn enter<N: Nand>(&mut self, nand: &mut N, keep: bool) -> Result<(), Trouble> {
        self.check_answers(nand)?;
        let Place { mut block, turn } = self.head;
        let turn = turn.wrapping_add(1);
        let empty = self.tail.turn == turn;
        for _ in 0..self.size() {
            block = self.step(block, 1);
            if block == self.tail.block && !empty {
                let end = self.tail.turn.wrapping_add(1);
                if keep && end.wrapping_mul(BLOCK_SEGMENTS) > self.first() {
                    return Err(Trouble::Full);
                }
                let behind = self.step(block, 1);
                let turns = end..self.head.turn.wrapping_add(1);
                self.tail = self.seek(nand, behind, FAR, turns).unwrap_or(self.head);
            }
            if nand.is_bad(block) {
                continue;
            }
            if !is_retired(nand, block) && nand.erase(block).is_ok() {
                self.head = Place { block, turn };
                if empty || self.tail.block == block {
                    self.tail = self.head;
                }
                self.sector = FIRST_SECTOR;
                return Ok(());
            }
            self.check_answers(nand)?;
            nand.mark_bad(block);
            self.head.block = block;
            if !nand.is_bad(block) {
                // It may go on holding a segment of this turn that a cut caught.
                self.head.turn = turn;
                if empty {
                    self.tail.turn = turn.wrapping_add(1);
                }
            }
            return Err(Trouble::Failing);
        }
        // Blocks were passed over that may be good: what is there is looked at anew.
        self.mounted = false;
        Err(Trouble::Failing)
    }

    /// Programs segment [`Ring::next`]. When the block does not take it, it is left as it is, and has no room any more.
    pub fn program<N: Nand>(&mut self, nand: &mut N, segment: &[u8]) -> Result<(), Trouble> {
        let sector = self.sector;
        let (page, column) = address(self.head.block, sector);
        if nand.program(page, column, segment).is_ok() {
            // Cells that a cut caught at its very beginning look erased, and need not hold what they are given.
            if nand.open(page).is_ok() && whole_segment(nand, sector).is_some() {
                self.sector = sector + 1;
                return Ok(());
            }
            self.sector = (sector / PAGE_SECTORS + 1) * PAGE_SECTORS;
            return self.check_answers(nand).and(Err(Trouble::Failing));
        }
        self.check_answers(nand)?;
        // A page takes four programs: one that failed with its last keeps no mark, and its block is tried once more.
        if sector < BLOCK_SECTORS - 1 {
            let page = self.head.block * NAND_BLOCK_PAGES + RETIRED_PAGE;
            let _ = nand.program(page, RETIRED_COLUMN, &[0]);
        }
        self.sector = BLOCK_SECTORS;
        Err(Trouble::Failing)
    }

    /// Reads a segment and gives its length: 0 when nothing was ever written in its place. It is sure to be the right one,
    /// and whole as far as the NAND can tell; the last word has the CRC in it.
    ///
    /// Segments that follow each other are read without a search.
    pub fn read<N: Nand>(
        &mut self,
        nand: &mut N,
        sequence: u32,
        out: &mut [u8; SEGMENT],
    ) -> Result<usize, Unreadable> {
        if !self.mounted || sequence < self.first() || sequence >= self.next() {
            return Err(Unreadable);
        }
        let block = self.locate(nand, sequence / BLOCK_SEGMENTS)?;
        let sector = sequence % BLOCK_SEGMENTS + FIRST_SECTOR;
        let (page, column) = address(block, sector);
        let opened = nand.open(page).is_ok();
        let found = match opened {
            true => {
                nand.read(column, out);
                out.first_chunk().and_then(Found::peek)
            }
            // Another sector of the page may be the one that is damaged.
            false => whole_segment(nand, sector).inspect(|_| nand.read(column, out)),
        };
        if let Some(found) = found.filter(|found| found.sequence == sequence) {
            return Ok(SEGMENT_HEADER + found.length);
        }
        if opened && out.iter().all(|byte| *byte == 0xFF) {
            return Ok(0);
        }
        if self.unreadable_page != page {
            self.unreadable_page = page;
            self.unreadable = self.unreadable.saturating_add(1);
        }
        Err(Unreadable)
    }

    /// A memory that does not answer says nothing about its blocks: it is mounted anew when it does again.
    fn check_answers<N: Nand>(&mut self, nand: &mut N) -> Result<(), Trouble> {
        self.mounted = nand.is_there();
        if self.mounted {
            Ok(())
        } else {
            Err(Trouble::Failing)
        }
    }

    fn size(&self) -> u32 {
        self.blocks.end - self.blocks.start
    }

    /// Turns that are there.
    fn turns(&self) -> u32 {
        self.head.turn.wrapping_sub(self.tail.turn).wrapping_add(1)
    }

    /// The block `distance` further on, or back, at most once around.
    fn step(&self, block: u32, distance: i32) -> u32 {
        let block = block.wrapping_add_signed(distance);
        // Before the beginning also when that is before block 0.
        if block >= self.blocks.end && distance > 0 {
            block - self.size()
        } else if block < self.blocks.start || block >= self.blocks.end {
            block.wrapping_add(self.size())
        } else {
            block
        }
    }

    /// The first block from this one on that is of one of these turns, of as many as `reach` says: backwards, when that is
    /// negative.
    fn seek<N: Nand>(
        &self,
        nand: &mut N,
        mut block: u32,
        mut reach: i32,
        turns: Range<u32>,
    ) -> Option<Place> {
        // Its sign.
        let step = reach >> 31 | 1;
        for _ in 0..self.size() {
            if !nand.is_bad(block) {
                if let Some(turn) = turn_of(nand, block).filter(|turn| turns.contains(turn)) {
                    return Some(Place { block, turn });
                }
                reach -= step;
            }
            if reach == 0 {
                break;
            }
            block = self.step(block, step);
        }
        None
    }

    /// The newest block. Turns grow from the first block to the newest, and from the one behind it, with older ones, to
    /// the last.
    fn find_head<N: Nand>(&self, nand: &mut N, anchor: Place) -> Place {
        let mut head = anchor;
        loop {
            let mut end = self.blocks.end;
            while end - head.block > 1 {
                let middle = (head.block + end) >> 1;
                match self.seek(nand, middle, NEAR, head.turn..u32::MAX) {
                    Some(place) if place.block >= middle => head = place,
                    _ => end = middle,
                }
            }
            // Blocks that neither erase nor take a mark keep what they held long ago, and may have misled the search.
            let behind = self.step(head.block, 1);
            let newer = head.turn.saturating_add(1)..u32::MAX;
            match self.seek(nand, behind, FAR, newer) {
                Some(place) => head = place,
                None => return head,
            }
        }
    }

    /// The newest segment of the newest block; what follows it begins with a page that no cut can have touched.
    fn find_end<N: Nand>(&mut self, nand: &mut N) -> Option<Found> {
        let first_page = self.head.block * NAND_BLOCK_PAGES;
        let mut last = None;
        let mut free = first_page;
        for sector in (FIRST_SECTOR..BLOCK_SECTORS).rev() {
            let (page, column) = address(self.head.block, sector);
            let opens_badly = sector % PAGE_SECTORS == PAGE_SECTORS - 1 && nand.open(page).is_err();
            if !opens_badly && reads_erased(nand, column.into()) {
                continue;
            }
            // A program that was cut right away leaves cells that read as erased: the page behind the last that holds
            // anything is left out.
            free = free.max(page + 2);
            last = whole_segment(nand, sector);
            if last.is_some() {
                break;
            }
        }
        self.sector = match is_retired(nand, self.head.block) {
            true => BLOCK_SECTORS,
            false => BLOCK_SECTORS.min((free - first_page) * PAGE_SECTORS),
        };
        last
    }

    /// The block of a turn. From the one that was read last it is as many blocks away as turns, and bad ones more.
    fn locate<N: Nand>(&mut self, nand: &mut N, turn: u32) -> Result<u32, Unreadable> {
        if self.cursor.turn < self.tail.turn {
            // Its block was emptied meanwhile.
            self.cursor = self.tail;
        }
        while self.cursor.turn != turn {
            let at = self.cursor;
            let distance = turn.wrapping_sub(at.turn) as i32;
            let (reach, turns) = match distance > 0 {
                true => (FAR, at.turn.wrapping_add(1)..turn.wrapping_add(1)),
                false => (-FAR, turn..at.turn),
            };
            let target = self.step(at.block, distance);
            self.cursor = self.seek(nand, target, reach, turns).ok_or(Unreadable)?;
        }
        Ok(self.cursor.block)
    }
}

fn address(block: u32, sector: u32) -> (u32, u16) {
    let page = block * NAND_BLOCK_PAGES + sector / PAGE_SECTORS;
    (page, (sector % PAGE_SECTORS) as u16 * SEGMENT as u16)
}

/// A segment that is whole, and lies where it belongs; from the page that was opened last.
fn whole_segment<N: Nand>(nand: &mut N, sector: u32) -> Option<Found> {
    let (_, mut column) = address(0, sector);
    let mut piece = [0; SEGMENT_HEADER];
    nand.read(column, &mut piece);
    let found = Found::peek(&piece)?;
    let (fields, stored) = piece.split_last_chunk::<4>()?;
    let stored = *stored;
    let mut crc = Crc32::default();
    crc.update(fields);
    let mut left = found.length;
    while left > 0 {
        column += SEGMENT_HEADER as u16;
        let piece = piece.get_mut(..left.min(SEGMENT_HEADER))?;
        nand.read(column, piece);
        crc.update(piece);
        left -= piece.len();
    }
    let belongs = found.sequence % BLOCK_SEGMENTS + FIRST_SECTOR == sector;
    (belongs && crc.finish().to_le_bytes() == stored).then_some(found)
}

/// The turn of a block, from the first segment that can be read: pages that fail do not hide a whole block.
fn turn_of<N: Nand>(nand: &mut N, block: u32) -> Option<u32> {
    let mut blank = 0;
    for page in 0..NAND_BLOCK_PAGES {
        let sector = FIRST_SECTOR.max(page * PAGE_SECTORS);
        let (page, column) = address(block, sector);
        // ECC may be discontent with another sector of the page.
        let opened = nand.open(page);
        if let Some(found) = whole_segment(nand, sector) {
            return Some(found.sequence / BLOCK_SEGMENTS);
        }
        blank = match opened.is_ok() && reads_erased(nand, column.into()) {
            true => blank + 1,
            false => 0,
        };
        if blank == BLANK_PAGES {
            break;
        }
    }
    None
}

/// Whether [`PIECE`] bytes of the page that was opened last are erased.
fn reads_erased<N: Nand>(nand: &mut N, column: usize) -> bool {
    let mut piece = [0; PIECE];
    nand.read(column as u16, &mut piece);
    piece == [0xFF; PIECE]
}

/// Whether a program failed in a block.
fn is_retired<N: Nand>(nand: &mut N, block: u32) -> bool {
    let _ = nand.open(block * NAND_BLOCK_PAGES + RETIRED_PAGE);
    let mut mark = [0];
    nand.read(RETIRED_COLUMN, &mut mark);
    mark != [0xFF]
}
