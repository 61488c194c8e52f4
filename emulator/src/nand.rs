//! A Winbond W25N01GV SPI NAND flash: 1,024 blocks of 64 pages of 2,048 + 64 bytes.
//!
//! Facts are the datasheet's (W25N01GVxxxG/T/R, revision "N"). It must never do what the datasheet forbids silently:
//! what a driver may not do ends up in [`Nand::violations`].

use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use crate::fault::{Faults, OperationKind, Place, Random, tear};
use crate::time::Time;

/// Blocks of the device.
pub const BLOCKS: usize = 1024;
/// Pages of a block.
pub const PAGES_PER_BLOCK: usize = 64;
/// Bytes of a page's main area.
pub const MAIN_BYTES: usize = 2048;
/// Bytes of a page, main and spare.
pub const PAGE_BYTES: usize = 2112;
/// Bytes of main area that one ECC word covers.
pub const SECTOR_BYTES: usize = 512;
/// Sectors of a page.
pub const SECTORS: usize = MAIN_BYTES / SECTOR_BYTES;
/// Bytes of spare area for each sector: marker 2, user data II 2 (both without ECC), user data I 4, ECC 8.
const SPARE_PER_SECTOR: usize = 16;
/// Programs a page takes between two erases (NoP).
pub const PARTIAL_PROGRAMS: u8 = 4;

/// t_RD2: page to buffer with ECC, maximum.
const READ_TIME_ECC: Time = Time::from_micros(60);
/// t_RD1: page to buffer without ECC, maximum.
const READ_TIME_RAW: Time = Time::from_micros(25);
/// t_PP, typical and maximum.
const PROGRAM_TIME: [Time; 2] = [Time::from_micros(250), Time::from_micros(700)];
/// t_BE, typical and maximum.
const ERASE_TIME: [Time; 2] = [Time::from_millis(2), Time::from_millis(10)];
/// Most blocks that may be bad when the device leaves the factory. Block 0 never is.
const FACTORY_BAD_BLOCKS: u64 = 20;
/// t_RST when idle or reading, maximum.
const RESET_TIME: Time = Time::from_micros(5);
/// t_RST when programming, maximum.
const RESET_TIME_PROGRAM: Time = Time::from_micros(10);
/// t_RST when erasing, maximum.
const RESET_TIME_ERASE: Time = Time::from_micros(500);

mod command {
    pub const RESET: u8 = 0xFF;
    pub const JEDEC_ID: u8 = 0x9F;
    pub const READ_STATUS: [u8; 2] = [0x0F, 0x05];
    pub const WRITE_STATUS: [u8; 2] = [0x1F, 0x01];
    pub const WRITE_ENABLE: u8 = 0x06;
    pub const WRITE_DISABLE: u8 = 0x04;
    pub const BLOCK_ERASE: u8 = 0xD8;
    pub const LOAD: u8 = 0x02;
    pub const RANDOM_LOAD: u8 = 0x84;
    pub const PROGRAM_EXECUTE: u8 = 0x10;
    pub const PAGE_READ: u8 = 0x13;
    pub const READ: [u8; 2] = [0x03, 0x0B];
}

mod status {
    pub const BUSY: u8 = 1 << 0;
    pub const WEL: u8 = 1 << 1;
    pub const ERASE_FAIL: u8 = 1 << 2;
    pub const PROGRAM_FAIL: u8 = 1 << 3;
    pub const ECC_CORRECTED: u8 = 1 << 4;
    pub const ECC_UNCORRECTABLE: u8 = 2 << 4;
    pub const ECC_MASK: u8 = 3 << 4;
}

mod config {
    pub const BUF: u8 = 1 << 3;
    pub const ECC_ENABLE: u8 = 1 << 4;
    /// OTP-L, OTP-E, SR1-L: the one-time-programmable area and locks, which are not modelled.
    pub const OTP: u8 = 7 << 5;
}

mod protection {
    pub const SRP1: u8 = 1 << 0;
    pub const WP_E: u8 = 1 << 1;
    pub const SRP0: u8 = 1 << 7;
}

/// Protection register after power-up: every block protected.
const PROTECTION_RESET: u8 = 0x7C;
/// Manufacturer Winbond, device W25N01GV.
pub const JEDEC_ID: [u8; 3] = [0xEF, 0xAA, 0x21];

/// What makes one device unlike another. The default is one that is perfect and always takes the typical time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Character {
    /// Decides what is left to chance.
    pub seed: u64,
    /// Up to 20 blocks, but not block 0, are bad from the factory.
    pub factory_bad_blocks: bool,
    /// Programs and erases take between their typical and their maximum time, mostly near the former.
    pub spreads_times: bool,
    /// Cells wear out.
    pub wear: Option<Wear>,
}

/// How fast bit errors come. The datasheet promises 100,000 erases; smaller numbers make a test short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Wear {
    /// Erases of a block after which a sector in it has one wrong bit on average. Beyond twice as many its next erase
    /// may fail, and then fails for ever.
    pub erases: u32,
    /// Page reads in a block since its erase that do as much.
    pub reads: u32,
}

/// A page that has been programmed since its block was erased.
#[derive(Clone, Debug, Hash)]
struct Page {
    data: [u8; PAGE_BYTES],
    programs: u8,
    /// Wrong bits of each sector as its ECC sees them: 1 is corrected, more are not.
    bit_errors: [u8; SECTORS],
    /// Sectors, a bit each, that were torn in such a way that their ECC finds nothing wrong.
    blind: u8,
    /// Power went away while it was programmed or erased: wrong bits differ from read to read.
    torn: bool,
}

impl Page {
    fn erased() -> Page {
        Page {
            data: [0xFF; PAGE_BYTES],
            programs: 0,
            bit_errors: [0; SECTORS],
            blind: 0,
            torn: false,
        }
    }
}

#[derive(Clone, Debug)]
struct Block {
    pages: [Option<Arc<Page>>; PAGES_PER_BLOCK],
    erases: u32,
    /// Page reads since the last erase; counted only when cells wear out.
    reads: u32,
    fails_erase: bool,
    fails_program: bool,
}

impl Block {
    fn new() -> Block {
        Block {
            pages: [const { None }; PAGES_PER_BLOCK],
            erases: 0,
            reads: 0,
            fails_erase: false,
            fails_program: false,
        }
    }
}

#[derive(Clone, Debug)]
enum Work {
    Read { page: u16 },
    Program { page: u16 },
    Erase { block: u16 },
    Reset,
}

#[derive(Clone, Debug)]
struct Pending {
    work: Work,
    until: Time,
    cut: Option<Place>,
    ecc: bool,
}

/// The device. A clone shares its pages with the original until one of them changes.
#[derive(Clone)]
pub struct Nand {
    blocks: Vec<Option<Arc<Block>>>,
    buffer: Arc<[u8; PAGE_BYTES]>,
    protection: u8,
    config: u8,
    status: u8,
    pending: Option<Pending>,
    /// Bytes of the command since chip select went low.
    taken: usize,
    header: [u8; 4],
    column: usize,
    selected: bool,
    /// The command came while busy, and all its bytes are ignored.
    ignored: bool,
    answers: bool,
    violations: Vec<String>,
    character: Character,
    random: Random,
    /// SR-1 cannot be written until the next power-up.
    locked_down: bool,
    /// Time in which it read, programmed and erased its cells.
    busy: Time,
    /// The block that it began to program or erase last.
    latest: Option<u16>,
}

impl Default for Nand {
    fn default() -> Self {
        Nand::new()
    }
}

impl Nand {
    /// Erased, without a bad block.
    pub fn new() -> Nand {
        Nand {
            blocks: vec![None; BLOCKS],
            buffer: Arc::new([0xFF; PAGE_BYTES]),
            protection: PROTECTION_RESET,
            config: config::ECC_ENABLE | config::BUF,
            status: 0,
            pending: None,
            taken: 0,
            header: [0; 4],
            column: 0,
            selected: false,
            ignored: false,
            answers: true,
            violations: Vec::new(),
            character: Character::default(),
            random: Random::new(0),
            locked_down: false,
            busy: Time::ZERO,
            latest: None,
        }
    }

    /// Erased, and of this character.
    pub fn with_character(character: Character) -> Nand {
        let mut random = Random::new(character.seed);
        let count = match character.factory_bad_blocks {
            true => random.below(FACTORY_BAD_BLOCKS + 1),
            false => 0,
        };
        let bad: Vec<u16> = (0..count)
            .map(|_| 1 + random.below(BLOCKS as u64 - 1) as u16)
            .collect();
        Nand {
            character,
            random,
            ..Nand::with_bad_blocks(&bad)
        }
    }

    /// Erased, with blocks that the factory marked bad: byte 0 of main and spare area of their first page is not 0xFF,
    /// and they neither erase nor program. Numbers past the last block are ignored.
    pub fn with_bad_blocks(blocks: &[u16]) -> Nand {
        let mut nand = Nand::new();
        for &number in blocks {
            if let Some(block) = nand.block_mut(number) {
                let mut page = Page::erased();
                page.data[0] = 0;
                page.data[MAIN_BYTES] = 0;
                block.pages[0] = Some(Arc::new(page));
                block.fails_erase = true;
                block.fails_program = true;
            }
        }
        nand
    }

    /// A device with the cells and the character of `other`, as it is after a loss of power; what is left to chance from
    /// here on is decided by `seed`.
    pub(crate) fn with_cells(other: &Nand, seed: u64) -> Nand {
        Nand {
            blocks: other.blocks.clone(),
            answers: other.answers,
            character: other.character,
            random: Random::new(seed),
            ..Nand::new()
        }
    }

    /// Everything about the cells that a driver could come to see, but for the blocks of `without`. Counts of erases and
    /// reads do not show unless cells wear out by them.
    pub(crate) fn hash_cells(&self, without: Range<usize>, hasher: &mut impl Hasher) {
        (self.answers, self.character).hash(hasher);
        let wears = self.character.wear.is_some();
        for (number, block) in self.blocks.iter().enumerate() {
            let Some(block) = block.as_ref().filter(|_| !without.contains(&number)) else {
                continue;
            };
            (number, block.fails_erase, block.fails_program).hash(hasher);
            if wears {
                (block.erases, block.reads).hash(hasher);
            }
            block.pages.hash(hasher);
        }
    }

    /// Content of a page (0..65,536), main and spare, without regard to ECC; `None` when it is erased.
    pub fn page(&self, page: u16) -> Option<&[u8; PAGE_BYTES]> {
        self.stored(page).map(|page| &page.data)
    }

    /// Puts content into a page as if it had been programmed once since its block was erased.
    pub fn load_page(&mut self, page: u16, data: &[u8; PAGE_BYTES]) {
        self.replace(
            page,
            Page {
                data: *data,
                programs: 1,
                ..Page::erased()
            },
        );
    }

    /// Every page that is not erased, in order, for keeping a device between runs.
    pub fn contents(&self) -> impl Iterator<Item = (u16, &[u8; PAGE_BYTES])> {
        self.blocks.iter().enumerate().flat_map(|(number, block)| {
            block.iter().flat_map(move |block| {
                block
                    .pages
                    .iter()
                    .enumerate()
                    .filter_map(move |(index, page)| {
                        let page = page.as_ref()?;
                        Some(((number * PAGES_PER_BLOCK + index) as u16, &page.data))
                    })
            })
        })
    }

    /// From now on every erase of `block` fails (E-FAIL) and changes nothing.
    pub fn fail_erase(&mut self, block: u16) {
        if let Some(block) = self.block_mut(block) {
            block.fails_erase = true;
        }
    }

    /// From now on every program in `block` fails (P-FAIL) and leaves random bits.
    pub fn fail_program(&mut self, block: u16) {
        if let Some(block) = self.block_mut(block) {
            block.fails_program = true;
        }
    }

    /// Gives a sector (0..4) of a programmed page so many wrong bits: 1 is corrected, more are not. No effect on an
    /// erased page.
    pub fn set_bit_errors(&mut self, page: u16, sector: usize, bits: u8) {
        if sector < SECTORS
            && let Some(stored) = self.stored(page).cloned()
        {
            let mut stored = stored;
            stored.bit_errors[sector] = bits;
            self.replace(page, stored);
        }
    }

    /// Whether it drives MISO.
    pub(crate) fn drives(&self) -> bool {
        self.selected && self.answers
    }

    /// Whether the device answers at all; one that does not lets go of MISO.
    pub fn set_answers(&mut self, answers: bool) {
        self.answers = answers;
    }

    /// How often a block was erased.
    pub fn erases(&self, block: u16) -> u32 {
        self.blocks
            .get(usize::from(block))
            .and_then(|block| block.as_ref())
            .map_or(0, |block| block.erases)
    }

    /// The block that was programmed or erased last; none before the first.
    pub fn latest_block(&self) -> Option<u16> {
        self.latest
    }

    /// What the driver did that the datasheet forbids, in words.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    fn stored(&self, page: u16) -> Option<&Page> {
        let page = usize::from(page);
        self.blocks[page / PAGES_PER_BLOCK].as_ref()?.pages[page % PAGES_PER_BLOCK].as_deref()
    }

    fn block_mut(&mut self, number: u16) -> Option<&mut Block> {
        let block = self.blocks.get_mut(usize::from(number))?;
        Some(Arc::make_mut(
            block.get_or_insert_with(|| Arc::new(Block::new())),
        ))
    }

    fn replace(&mut self, page: u16, content: Page) {
        let number = usize::from(page);
        if let Some(block) = self.block_mut((number / PAGES_PER_BLOCK) as u16) {
            block.pages[number % PAGES_PER_BLOCK] = Some(Arc::new(content));
        }
    }

    fn violation(&mut self, text: String) {
        // A driver that goes on doing it would fill the memory.
        if self.violations.len() < 100 {
            self.violations.push(text);
        }
    }

    pub(crate) fn power_on(&mut self) {
        self.protection = PROTECTION_RESET;
        self.config = config::ECC_ENABLE | config::BUF;
        self.status = 0;
        self.locked_down = false;
        self.pending = None;
        self.selected = false;
        // Page 0 is read into the buffer by itself after power-up.
        self.read_page(0, true);
    }

    /// Power goes away: an operation that is running is torn with `seed`.
    pub(crate) fn power_off(&mut self, seed: u64) {
        if let Some(pending) = self.pending.take() {
            self.tear_work(&pending, seed);
        }
        self.selected = false;
    }

    /// Time in which it read, programmed and erased its cells, all its life.
    pub fn busy_time(&self) -> Time {
        self.busy
    }

    /// Chip select fell or rose.
    pub(crate) fn select(&mut self, low: bool, now: Time, faults: &mut Faults) {
        self.advance(now, faults);
        if low == self.selected {
            return;
        }
        self.selected = low;
        if low {
            self.taken = 0;
            self.ignored = false;
        } else if self.taken > 0 && !self.ignored && self.answers {
            self.execute(now, faults);
        }
    }

    /// One byte each way; what comes back counts only while it [`Nand::drives`] MISO.
    pub(crate) fn exchange(&mut self, out: u8, now: Time, faults: &mut Faults) -> u8 {
        if !self.selected || !self.answers {
            return 0xFF;
        }
        self.advance(now, faults);
        let index = self.taken;
        self.taken += 1;
        if index == 0 {
            self.header[0] = out;
            self.begin(out);
            return 0xFF;
        }
        if self.ignored {
            return 0xFF;
        }
        if index < self.header.len() {
            self.header[index] = out;
        }
        match self.header[0] {
            command::JEDEC_ID => index
                .checked_sub(2)
                .and_then(|n| JEDEC_ID.get(n).copied())
                .unwrap_or(0xFF),
            c if command::READ_STATUS.contains(&c) && index >= 2 => self.feature(self.header[1]),
            c if command::READ.contains(&c) => {
                if index == 2 {
                    self.column = self.header_column();
                }
                if index < 4 {
                    return 0xFF;
                }
                let byte = self.buffer.get(self.column).copied().unwrap_or(0xFF);
                self.column += 1;
                byte
            }
            command::LOAD | command::RANDOM_LOAD => {
                if index == 2 {
                    self.column = self.header_column();
                }
                if index >= 3 {
                    if self.column < PAGE_BYTES {
                        Arc::make_mut(&mut self.buffer)[self.column] = out;
                    } else {
                        self.violation("data loaded past the end of the page buffer".into());
                    }
                    self.column += 1;
                }
                0xFF
            }
            _ => 0xFF,
        }
    }

    /// When something happens by itself that others must see: only a planned power cut.
    pub(crate) fn next_event(&self) -> Option<Time> {
        self.pending
            .as_ref()
            .filter(|pending| pending.cut.is_some())
            .map(|pending| pending.until)
    }

    /// Finishes what is due at `now`.
    pub(crate) fn advance(&mut self, now: Time, faults: &mut Faults) {
        let Some(pending) = self.pending.take_if(|pending| pending.until <= now) else {
            return;
        };
        match pending.cut {
            None => self.finish(&pending),
            Some(Place::After) => {
                self.finish(&pending);
                faults.lose_power();
            }
            Some(Place::Inside { seed }) => {
                self.tear_work(&pending, seed);
                faults.lose_power();
            }
            Some(Place::Before) => faults.lose_power(),
        }
    }

    fn header_column(&self) -> usize {
        // 12 bits address the 2,112 bytes; the upper four are dummy.
        usize::from(u16::from_be_bytes([self.header[1], self.header[2]]) & 0x0FFF)
    }

    fn header_page(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    fn begin(&mut self, command: u8) {
        let busy = self.pending.is_some();
        if busy
            && !command::READ_STATUS.contains(&command)
            && command != command::JEDEC_ID
            && command != command::RESET
        {
            self.violation(format!("command {command:#04x} while the device is busy"));
            self.ignored = true;
            return;
        }
        match command {
            command::LOAD => {
                if self.status & status::WEL == 0 {
                    self.violation("program data load without write enable".into());
                    self.ignored = true;
                } else {
                    self.buffer = Arc::new([0xFF; PAGE_BYTES]);
                }
            }
            command::RANDOM_LOAD if self.status & status::WEL == 0 => {
                self.violation("random program data load without write enable".into());
                self.ignored = true;
            }
            c if command::READ.contains(&c) && self.config & config::BUF == 0 => {
                self.violation("continuous read mode is not modelled".into());
                self.ignored = true;
            }
            command::RESET
            | command::JEDEC_ID
            | command::WRITE_ENABLE
            | command::WRITE_DISABLE
            | command::BLOCK_ERASE
            | command::RANDOM_LOAD
            | command::PROGRAM_EXECUTE
            | command::PAGE_READ => {}
            c if command::READ.contains(&c)
                || command::READ_STATUS.contains(&c)
                || command::WRITE_STATUS.contains(&c) => {}
            other => {
                self.violation(format!("command {other:#04x} is not modelled"));
                self.ignored = true;
            }
        }
    }

    fn feature(&mut self, address: u8) -> u8 {
        match address {
            0xA0 => self.protection,
            0xB0 => self.config,
            0xC0 => {
                self.status
                    | if self.pending.is_some() {
                        status::BUSY
                    } else {
                        0
                    }
            }
            other => {
                self.violation(format!("read of status register {other:#04x}"));
                0xFF
            }
        }
    }

    /// Chip select rose after a command: those that act do so now.
    fn execute(&mut self, now: Time, faults: &mut Faults) {
        let ecc = self.config & config::ECC_ENABLE != 0;
        match self.header[0] {
            command::WRITE_ENABLE => self.status |= status::WEL,
            command::WRITE_DISABLE => self.status &= !status::WEL,
            command::RESET => self.reset(now),
            c if command::WRITE_STATUS.contains(&c) && self.taken >= 3 => match self.header[1] {
                0xA0 => self.write_protection(self.header[2]),
                0xB0 => {
                    if self.header[2] & config::OTP != 0 {
                        self.violation("the OTP area is not modelled".into());
                    }
                    self.config = self.header[2] & (config::ECC_ENABLE | config::BUF);
                }
                other => self.violation(format!("write to status register {other:#04x}")),
            },
            command::PAGE_READ if self.taken >= 4 => {
                let time = if ecc { READ_TIME_ECC } else { READ_TIME_RAW };
                self.busy += time;
                self.pending = Some(Pending {
                    work: Work::Read {
                        page: self.header_page(),
                    },
                    until: now + time,
                    cut: None,
                    ecc,
                });
            }
            command::PROGRAM_EXECUTE if self.taken >= 4 => {
                let page = self.header_page();
                self.status &= !status::PROGRAM_FAIL;
                if self.may_change(page / PAGES_PER_BLOCK as u16, status::PROGRAM_FAIL) {
                    let work = Work::Program { page };
                    let time = self.time(PROGRAM_TIME);
                    self.start(
                        OperationKind::NandPageProgram,
                        page.into(),
                        work,
                        time,
                        now,
                        faults,
                    );
                }
            }
            command::BLOCK_ERASE if self.taken >= 4 => {
                let block = self.header_page() / PAGES_PER_BLOCK as u16;
                self.status &= !status::ERASE_FAIL;
                if self.may_change(block, status::ERASE_FAIL) {
                    let work = Work::Erase { block };
                    let time = self.time(ERASE_TIME);
                    self.start(
                        OperationKind::NandBlockErase,
                        block.into(),
                        work,
                        time,
                        now,
                        faults,
                    );
                }
            }
            command::PAGE_READ | command::PROGRAM_EXECUTE | command::BLOCK_ERASE => {
                self.violation(format!("command {:#04x} cut short", self.header[0]));
            }
            _ => {}
        }
    }

    /// WP-E makes the /WP pin count, which the board holds high. SRP1 alone locks the register until power goes.
    fn write_protection(&mut self, value: u8) {
        if self.locked_down {
            self.violation("status register 1 is locked until the next power-up".into());
            return;
        }
        let locks = value & (protection::SRP0 | protection::SRP1);
        if locks == protection::SRP0 | protection::SRP1 {
            self.violation("locking status register 1 for ever is not modelled".into());
            return;
        }
        self.locked_down = locks == protection::SRP1 && value & protection::WP_E == 0;
        self.protection = value;
    }

    /// How long an operation takes on this device.
    fn time(&mut self, [typical, longest]: [Time; 2]) -> Time {
        if !self.character.spreads_times {
            return typical;
        }
        // The cube of a uniform number: half of them in the lowest eighth.
        let x = self.random.below(1 << 16);
        let span = (longest - typical).picos() >> 16;
        let share = ((x * x) >> 16) * x;
        typical + Time::from_picos((span * share) >> 16)
    }

    fn reset(&mut self, now: Time) {
        let time = match self.pending.take() {
            None => RESET_TIME,
            Some(running) => {
                let seed = now.picos();
                self.tear_work(&running, seed);
                match running.work {
                    Work::Erase { .. } => RESET_TIME_ERASE,
                    Work::Program { .. } => RESET_TIME_PROGRAM,
                    Work::Read { .. } | Work::Reset => RESET_TIME,
                }
            }
        };
        self.pending = Some(Pending {
            work: Work::Reset,
            until: now + time,
            cut: None,
            ecc: false,
        });
    }

    /// Write enable and protection; on refusal sets `fail`.
    fn may_change(&mut self, block: u16, fail: u8) -> bool {
        if self.status & status::WEL == 0 {
            self.violation(format!(
                "program or erase of block {block} without write enable"
            ));
            return false;
        }
        if self.is_protected(block) {
            self.status = (self.status & !status::WEL) | fail;
            return false;
        }
        true
    }

    fn is_protected(&self, block: u16) -> bool {
        // BP[3:0]: 0 none, 1..=9 from two blocks doubling up to half the array, above all. TB: from the top or bottom.
        let bp = u32::from(self.protection >> 3 & 0xF);
        let covered = match bp {
            0 => 0,
            1..=9 => 2 << (bp - 1),
            _ => BLOCKS as u32,
        };
        let from_bottom = self.protection & 1 << 2 != 0;
        if from_bottom {
            u32::from(block) < covered
        } else {
            u32::from(block) >= BLOCKS as u32 - covered
        }
    }

    fn start(
        &mut self,
        kind: OperationKind,
        address: u32,
        work: Work,
        time: Time,
        now: Time,
        faults: &mut Faults,
    ) {
        self.busy += time;
        self.latest = match work {
            Work::Program { page } => Some(page / PAGES_PER_BLOCK as u16),
            Work::Erase { block } => Some(block),
            Work::Read { .. } | Work::Reset => self.latest,
        };
        let cut = faults.begin(kind, address, now);
        let until = match cut {
            Some(Place::Before) => now,
            Some(Place::Inside { .. }) => now + Time::from_picos(time.picos() / 2),
            Some(Place::After) | None => now + time,
        };
        self.pending = Some(Pending {
            work,
            until,
            cut,
            ecc: self.config & config::ECC_ENABLE != 0,
        });
        self.advance(now, faults);
    }

    fn finish(&mut self, pending: &Pending) {
        match pending.work {
            Work::Reset => self.status = 0,
            Work::Read { page } => self.read_page(page, pending.ecc),
            Work::Program { page } => {
                self.status &= !status::WEL;
                let fails = self.blocks[usize::from(page) / PAGES_PER_BLOCK]
                    .as_ref()
                    .is_some_and(|block| block.fails_program);
                if fails {
                    self.status |= status::PROGRAM_FAIL;
                    self.tear_work(pending, u64::from(page));
                } else {
                    let programmed = self.programmed(page, pending.ecc);
                    self.replace(page, programmed);
                }
            }
            Work::Erase { block } => {
                self.status &= !status::WEL;
                let wears_out = self.wears_out(block);
                let Some(cells) = self.block_mut(block) else {
                    return;
                };
                cells.fails_erase |= wears_out;
                if cells.fails_erase {
                    self.status |= status::ERASE_FAIL;
                } else {
                    cells.pages = [const { None }; PAGES_PER_BLOCK];
                    cells.erases += 1;
                    cells.reads = 0;
                }
            }
        }
    }

    /// What the page holds once the buffer has been programmed into it: bits go from 1 to 0 only.
    fn programmed(&mut self, number: u16, ecc: bool) -> Page {
        let mut page = self.stored(number).cloned().unwrap_or_else(Page::erased);
        page.programs = page.programs.saturating_add(1);
        if page.programs > PARTIAL_PROGRAMS {
            self.violation(format!(
                "page {number} programmed {} times since its erase",
                page.programs
            ));
            page.bit_errors = [2; SECTORS];
        }
        let first = usize::from(number) / PAGES_PER_BLOCK * PAGES_PER_BLOCK;
        if page.programs == 1
            && (usize::from(number) + 1..first + PAGES_PER_BLOCK)
                .any(|later| self.stored(later as u16).is_some())
        {
            self.violation(format!(
                "page {number} programmed after a later page of its block"
            ));
        }
        for sector in 0..SECTORS {
            // ECC covers the main area and user data I, and its parity bits cannot go back to 1.
            let covered = covered_by_ecc(sector);
            let written = covered.clone().any(|byte| page.data[byte] != 0xFF);
            let changes = covered
                .clone()
                .any(|byte| page.data[byte] & self.buffer[byte] != page.data[byte]);
            if ecc && written && changes {
                page.bit_errors[sector] = page.bit_errors[sector].max(2);
            }
        }
        for (cell, load) in page.data.iter_mut().zip(self.buffer.iter()) {
            *cell &= load;
        }
        page
    }

    /// Leaves the cells of an operation between old and new.
    fn tear_work(&mut self, pending: &Pending, seed: u64) {
        match pending.work {
            Work::Read { .. } | Work::Reset => {}
            Work::Program { page } => {
                let target = self.programmed(page, pending.ecc);
                let mut torn = self.stored(page).cloned().unwrap_or_else(Page::erased);
                torn.programs = target.programs;
                torn.bit_errors = target.bit_errors;
                tear(&mut torn.data, &target.data, seed);
                let mut random = Random::new(!seed);
                let old = self.stored(page).map(|page| page.data);
                for sector in 0..SECTORS {
                    let wrong = covered_by_ecc(sector)
                        .map(|byte| (torn.data[byte] ^ target.data[byte]).count_ones())
                        .sum::<u32>();
                    let errors = &mut torn.bit_errors[sector];
                    if wrong == 1 {
                        // ECC makes it whole.
                        for byte in covered_by_ecc(sector) {
                            torn.data[byte] = target.data[byte];
                        }
                        *errors = (*errors).max(1);
                    } else if wrong > 0 {
                        let untouched = covered_by_ecc(sector)
                            .all(|byte| torn.data[byte] == old.map_or(0xFF, |old| old[byte]));
                        // A code that corrects one bit finds nothing in one of some sixteen of many.
                        if untouched || random.below(16) == 0 {
                            torn.blind |= 1 << sector;
                        } else {
                            *errors = (*errors).max(2);
                        }
                    } else if random.below(4) == 0 {
                        // All bits read back, but some only just.
                        *errors = (*errors).max(1);
                    }
                }
                torn.torn = true;
                self.replace(page, torn);
            }
            Work::Erase { block } => {
                let mut random = Random::new(seed);
                let Some(cells) = self.block_mut(block) else {
                    return;
                };
                for page in cells.pages.iter_mut() {
                    let Some(content) = page else { continue };
                    let content = Arc::make_mut(content);
                    match random.below(4) {
                        // The cell voltages had not crossed the threshold yet: reads as before, or nearly.
                        0 => content.bit_errors = [(random.below(3)) as u8; SECTORS],
                        1 => *page = None,
                        _ => {
                            tear(&mut content.data, &[0xFF; PAGE_BYTES], random.next());
                            content.bit_errors = [3; SECTORS];
                            content.torn = true;
                        }
                    }
                }
            }
        }
    }

    /// Whether a block that has been erased too often fails this time.
    fn wears_out(&mut self, block: u16) -> bool {
        let Some(wear) = self.character.wear else {
            return false;
        };
        let over = self
            .erases(block)
            .saturating_sub(wear.erases.saturating_mul(2));
        over > 0 && self.random.below(u64::from(wear.erases).max(1)) < u64::from(over)
    }

    fn read_page(&mut self, number: u16, ecc: bool) {
        self.status &= !status::ECC_MASK;
        let mut stress = 0;
        if let Some(wear) = self.character.wear
            && let Some(block) = self.block_mut(number / PAGES_PER_BLOCK as u16)
        {
            block.reads = block.reads.saturating_add(1);
            stress = u64::from(block.erases) * 1000 / u64::from(wear.erases.max(1))
                + u64::from(block.reads) * 1000 / u64::from(wear.reads.max(1));
        }
        let Some(page) = self.stored(number).cloned() else {
            self.buffer = Arc::new([0xFF; PAGE_BYTES]);
            return;
        };
        let mut data = page.data;
        let mut random = Random::new(match page.torn {
            true => self.random.next(),
            false => number.into(),
        });
        for (sector, &errors) in page.bit_errors.iter().enumerate() {
            let worn = worn_bits(self.character.seed, number, sector, stress);
            let errors = errors.saturating_add(worn);
            let ecc = ecc && page.blind >> sector & 1 == 0;
            if ecc && errors == 1 {
                if self.status & status::ECC_MASK == 0 {
                    self.status |= status::ECC_CORRECTED;
                }
                continue;
            }
            if ecc && errors > 1 {
                self.status = (self.status & !status::ECC_MASK) | status::ECC_UNCORRECTABLE;
            }
            let mut flipped = Vec::new();
            while flipped.len() < usize::from(errors) {
                let bit = random.below(8 * SECTOR_BYTES as u64) as usize;
                if !flipped.contains(&bit) {
                    data[sector * SECTOR_BYTES + bit / 8] ^= 1 << (bit % 8);
                    flipped.push(bit);
                }
            }
        }
        self.buffer = Arc::new(data);
    }
}

/// Wrong bits of a sector at a stress, in 1/1000 of what makes one on average. They only become more.
fn worn_bits(seed: u64, page: u16, sector: usize, stress: u64) -> u8 {
    let mut random = Random::new(seed ^ u64::from(page) << 8 ^ sector as u64);
    let mut threshold = 0;
    let mut bits = 0;
    while bits < 8 {
        threshold += 250 + random.below(1500);
        if threshold > stress {
            break;
        }
        bits += 1;
    }
    bits
}

/// The bytes of a page that a sector's ECC protects: its main area, and user data I of its spare bytes.
fn covered_by_ecc(sector: usize) -> impl Iterator<Item = usize> + Clone {
    let main = sector * SECTOR_BYTES;
    let spare = MAIN_BYTES + sector * SPARE_PER_SECTOR;
    (main..main + SECTOR_BYTES).chain(spare + 4..spare + 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::CutPoint;

    /// A driver's view: commands one after the other, with waiting.
    struct Bench {
        nand: Nand,
        faults: Faults,
        now: Time,
    }

    impl Bench {
        fn new(nand: Nand) -> Bench {
            let mut bench = Bench {
                nand,
                faults: Faults::default(),
                now: Time::ZERO,
            };
            bench.nand.power_on();
            bench
        }

        fn unprotected() -> Bench {
            let mut bench = Bench::new(Nand::new());
            bench.command(&[0x1F, 0xA0, 0x00], 0);
            bench
        }

        fn command(&mut self, out: &[u8], read: usize) -> Vec<u8> {
            self.nand.select(true, self.now, &mut self.faults);
            let mut answer = Vec::new();
            for index in 0..out.len() + read {
                self.now += Time::from_nanos(500);
                let byte = out.get(index).copied().unwrap_or(0);
                let back = self.nand.exchange(byte, self.now, &mut self.faults);
                if index >= out.len() {
                    answer.push(back);
                }
            }
            self.nand.select(false, self.now, &mut self.faults);
            answer
        }

        fn status(&mut self) -> u8 {
            self.command(&[0x0F, 0xC0], 1)[0]
        }

        fn wait(&mut self) -> u8 {
            loop {
                let status = self.status();
                if status & status::BUSY == 0 || self.faults.power_lost() {
                    return status;
                }
                self.now += Time::from_micros(5);
            }
        }

        fn program(&mut self, page: u16, column: u16, data: &[u8]) -> u8 {
            self.command(&[0x06], 0);
            let mut load = vec![0x02];
            load.extend(column.to_be_bytes());
            load.extend(data);
            self.command(&load, 0);
            let [high, low] = page.to_be_bytes();
            self.command(&[0x10, 0, high, low], 0);
            self.wait()
        }

        fn erase(&mut self, block: u16) -> u8 {
            self.command(&[0x06], 0);
            let [high, low] = (block * 64).to_be_bytes();
            self.command(&[0xD8, 0, high, low], 0);
            self.wait()
        }

        fn read(&mut self, page: u16, column: u16, length: usize) -> (Vec<u8>, u8) {
            let [high, low] = page.to_be_bytes();
            self.command(&[0x13, 0, high, low], 0);
            let status = self.wait();
            let [high, low] = column.to_be_bytes();
            (self.command(&[0x03, high, low, 0], length), status)
        }
    }

    #[test]
    fn the_id_follows_a_dummy_byte() {
        let mut bench = Bench::new(Nand::new());
        assert_eq!(bench.command(&[0x9F, 0], 3), JEDEC_ID);
    }

    #[test]
    fn every_block_is_protected_after_power_up() {
        let mut bench = Bench::new(Nand::new());
        assert_eq!(bench.program(64, 0, &[1, 2, 3]), status::PROGRAM_FAIL);
        assert_eq!(bench.erase(1023) & status::ERASE_FAIL, status::ERASE_FAIL);
        assert_eq!(bench.nand.page(64), None);
        assert_eq!(bench.faults.operations(), 0);
    }

    #[test]
    fn protection_bits_cover_what_the_table_says() {
        let mut nand = Nand::new();
        nand.protection = 1 << 3;
        assert!(nand.is_protected(1022) && !nand.is_protected(1021));
        nand.protection = 9 << 3 | 1 << 2;
        assert!(nand.is_protected(511) && !nand.is_protected(512));
    }

    #[test]
    fn what_is_programmed_is_read_back_from_any_column() {
        let mut bench = Bench::unprotected();
        assert_eq!(bench.program(130, 2040, &[7; 20]), 0);
        let (data, status) = bench.read(130, 2038, 24);
        assert_eq!(data, [&[0xFF; 2][..], &[7; 20], &[0xFF; 2]].concat());
        assert_eq!(status, 0);
        assert!(
            bench.nand.violations().is_empty(),
            "{:?}",
            bench.nand.violations()
        );
    }

    #[test]
    fn random_load_fills_the_buffer_piece_by_piece() {
        let mut bench = Bench::unprotected();
        bench.command(&[0x06], 0);
        bench.command(&[0x02, 0, 0, 1, 2], 0);
        bench.command(&[0x84, 0, 4, 5, 6], 0);
        bench.command(&[0x10, 0, 0, 0], 0);
        bench.wait();
        assert_eq!(bench.read(0, 0, 7).0, [1, 2, 0xFF, 0xFF, 5, 6, 0xFF]);
    }

    #[test]
    fn operations_take_their_typical_time() {
        let mut bench = Bench::unprotected();
        let start = bench.now;
        bench.erase(3);
        let took = bench.now.since(start).micros();
        assert!((2000..2030).contains(&took), "erase took {took} µs");
        let start = bench.now;
        bench.program(192, 0, &[0; 16]);
        let took = bench.now.since(start).micros();
        assert!((250..290).contains(&took), "program took {took} µs");
    }

    #[test]
    fn a_command_while_busy_is_ignored_and_noted() {
        let mut bench = Bench::unprotected();
        bench.command(&[0x13, 0, 0, 0], 0);
        bench.command(&[0x06], 0);
        assert_eq!(bench.status(), status::BUSY);
        assert_eq!(bench.nand.violations().len(), 1);
    }

    #[test]
    fn an_erase_brings_back_ff_in_its_block_only() {
        let mut bench = Bench::unprotected();
        bench.program(64, 0, &[1]);
        bench.program(128, 0, &[2]);
        assert_eq!(bench.erase(1), 0);
        assert_eq!(bench.read(64, 0, 1).0, [0xFF]);
        assert_eq!(bench.read(128, 0, 1).0, [2]);
        assert_eq!((bench.nand.erases(1), bench.nand.erases(2)), (1, 0));
    }

    #[test]
    fn sectors_take_partial_programs_but_a_sector_programmed_twice_loses_its_ecc() {
        let mut bench = Bench::unprotected();
        bench.program(0, 0, &[0x11; 512]);
        bench.program(0, 512, &[0x22; 512]);
        assert_eq!(bench.read(0, 511, 2), (vec![0x11, 0x22], 0));
        bench.program(0, 0, &[0x10; 1]);
        assert_eq!(bench.read(0, 0, 1).1, status::ECC_UNCORRECTABLE);
    }

    #[test]
    fn a_fifth_partial_program_is_a_violation() {
        let mut bench = Bench::unprotected();
        for n in 0..4 {
            bench.program(0, n * 512, &[0; 4]);
        }
        assert!(bench.nand.violations().is_empty());
        bench.program(0, 2048, &[0]);
        assert_eq!(bench.nand.violations().len(), 1);
    }

    #[test]
    fn one_wrong_bit_is_corrected_and_two_are_not() {
        let mut bench = Bench::unprotected();
        bench.program(5, 0, &[0xA5; 2048]);
        bench.nand.set_bit_errors(5, 2, 1);
        let (data, status) = bench.read(5, 0, 2048);
        assert_eq!(status, status::ECC_CORRECTED);
        assert_eq!(data, [0xA5; 2048]);
        bench.nand.set_bit_errors(5, 1, 2);
        let (data, status) = bench.read(5, 0, 2048);
        assert_eq!(status, status::ECC_UNCORRECTABLE);
        let wrong: u32 = data.iter().map(|byte| (byte ^ 0xA5).count_ones()).sum();
        assert_eq!(wrong, 2);
    }

    #[test]
    fn factory_bad_blocks_are_marked_and_refuse() {
        let mut bench = Bench::new(Nand::with_bad_blocks(&[9]));
        bench.command(&[0x1F, 0xA0, 0], 0);
        assert_eq!(bench.read(9 * 64, 2048, 1).0, [0]);
        assert_eq!(bench.erase(9), status::ERASE_FAIL);
        assert_ne!(bench.program(9 * 64 + 1, 0, &[0]) & status::PROGRAM_FAIL, 0);
        assert_eq!(bench.read(9 * 64, 2048, 1).0, [0]);
    }

    #[test]
    fn a_cut_before_inside_and_after_a_program_leave_nothing_a_mixture_and_everything() {
        let mut bench = Bench::unprotected();
        let mut mixtures = 0;
        for (place, seeds) in [
            (Place::Before, 1),
            (Place::After, 1),
            (Place::Inside { seed: 0 }, 32),
        ] {
            for seed in 0..seeds {
                let mut bench = Bench {
                    nand: bench.nand.clone(),
                    faults: Faults::default(),
                    now: bench.now,
                };
                let place = match place {
                    Place::Inside { .. } => Place::Inside { seed },
                    other => other,
                };
                bench.faults.cut_at(CutPoint {
                    operation: 0,
                    place,
                });
                bench.program(70, 0, &[0; 2048]);
                assert!(bench.faults.power_lost());
                let sum = |page: &[u8; PAGE_BYTES]| {
                    page[..2048].iter().map(|&b| b.count_ones()).sum::<u32>()
                };
                let ones = bench.nand.page(70).map(sum);
                match place {
                    Place::Before => assert_eq!(ones, None),
                    Place::After => assert_eq!(ones, Some(0)),
                    Place::Inside { .. } => {
                        mixtures += u32::from(ones.is_some_and(|n| n > 0 && n < 16384))
                    }
                }
            }
        }
        assert_eq!(mixtures, 32);
        assert_eq!(bench.status() & status::BUSY, 0);
    }

    #[test]
    fn a_cut_before_inside_and_after_an_erase_leave_all_some_and_nothing() {
        let mut bench = Bench::unprotected();
        for page in 64..128 {
            bench.program(page, 0, &[0; 2048]);
        }
        let left = |place| {
            let mut bench = Bench {
                nand: bench.nand.clone(),
                faults: Faults::default(),
                now: bench.now,
            };
            bench.faults.cut_at(CutPoint {
                operation: 0,
                place,
            });
            bench.erase(1);
            assert!(bench.faults.power_lost());
            bench
                .nand
                .contents()
                .map(|(_, page)| page.iter().map(|byte| byte.count_zeros()).sum::<u32>())
                .collect::<Vec<_>>()
        };
        assert_eq!(left(Place::Before), [16_384; 64]);
        assert_eq!(left(Place::After), []);
        for seed in 0..16 {
            let torn = left(Place::Inside { seed });
            assert_eq!(torn, left(Place::Inside { seed }), "the same seed");
            assert_ne!(torn, left(Place::Inside { seed: seed + 1 }));
            assert!((20..64).contains(&torn.len()), "{} pages left", torn.len());
            assert!(torn.iter().any(|&zeros| zeros < 16_384));
        }
    }

    #[test]
    fn factory_bad_blocks_follow_the_seed_and_spare_block_0() {
        let marked = |seed| {
            let nand = Nand::with_character(Character {
                seed,
                factory_bad_blocks: true,
                ..Character::default()
            });
            nand.contents()
                .map(|(page, _)| page / 64)
                .collect::<Vec<_>>()
        };
        for seed in 0..50 {
            let blocks = marked(seed);
            assert!(blocks.len() <= 20 && !blocks.contains(&0));
        }
        assert_eq!(marked(7), marked(7));
        assert_ne!(marked(7), marked(8));
    }

    #[test]
    fn times_spread_between_typical_and_longest() {
        let mut bench = Bench::unprotected();
        bench.nand.character.spreads_times = true;
        let mut times: Vec<u64> = (0..64)
            .map(|_| bench.nand.time(PROGRAM_TIME).micros())
            .collect();
        times.sort_unstable();
        assert!(
            times[0] >= 250 && times[63] <= 700 && times[63] > 500,
            "{times:?}"
        );
        assert!(times[32] < 350, "{times:?}");
    }

    #[test]
    fn worn_cells_give_more_and_more_wrong_bits_until_the_block_fails() {
        let mut bench = Bench::new(Nand::with_character(Character {
            wear: Some(Wear {
                erases: 20,
                reads: 1_000_000,
            }),
            ..Character::default()
        }));
        bench.command(&[0x1F, 0xA0, 0], 0);
        let mut verdicts = Vec::new();
        let mut failed = 0;
        for _ in 0..80 {
            failed += u32::from(bench.erase(5) & status::ERASE_FAIL != 0);
            if failed > 0 {
                continue;
            }
            bench.program(320, 0, &[0x5A; 2048]);
            verdicts.push(bench.read(320, 0, 1).1 & status::ECC_MASK);
        }
        assert_eq!(verdicts[0], 0);
        assert!(verdicts.contains(&status::ECC_CORRECTED), "{verdicts:?}");
        assert_eq!(verdicts.last(), Some(&status::ECC_UNCORRECTABLE));
        assert!(verdicts.is_sorted(), "errors never become fewer");
        assert!(failed > 10 && verdicts.len() > 40, "{}", verdicts.len());
    }

    #[test]
    fn reading_disturbs_until_the_block_is_erased() {
        let mut bench = Bench::new(Nand::with_character(Character {
            wear: Some(Wear {
                erases: 100_000,
                reads: 50,
            }),
            ..Character::default()
        }));
        bench.command(&[0x1F, 0xA0, 0], 0);
        bench.program(64, 0, &[0; 2048]);
        let first = bench.read(64, 0, 1).1;
        for _ in 0..200 {
            bench.read(64, 0, 1);
        }
        assert_eq!(
            (first, bench.read(64, 0, 1).1),
            (0, status::ECC_UNCORRECTABLE)
        );
        bench.erase(1);
        bench.program(64, 0, &[0; 2048]);
        assert_eq!(bench.read(64, 0, 1).1, 0);
    }

    #[test]
    fn a_torn_page_fails_its_ecc_for_most_seeds_and_passes_for_a_few() {
        let bench = Bench::unprotected();
        let (mut fails, mut passes, mut unstable) = (0, 0, 0);
        for seed in 0..200 {
            let mut bench = Bench {
                nand: bench.nand.clone(),
                faults: Faults::default(),
                now: bench.now,
            };
            bench.faults.cut_at(CutPoint {
                operation: 0,
                place: Place::Inside { seed },
            });
            bench.program(70, 0, &[0x3C; 512]);
            bench.nand.power_off(0);
            bench.nand.power_on();
            bench.faults = Faults::default();
            let (one, status) = bench.read(70, 0, 512);
            let (two, _) = bench.read(70, 0, 512);
            match status & status::ECC_MASK {
                status::ECC_UNCORRECTABLE => fails += 1,
                _ if one != [0x3C; 512] => passes += 1,
                _ => {}
            }
            unstable += u32::from(one != two);
        }
        assert!(fails > 150, "{fails} of 200");
        assert!(unstable > 100, "{unstable} of 200");
        assert!((3..40).contains(&passes), "{passes} of 200");
    }

    #[test]
    fn power_lock_down_freezes_the_protection_register() {
        let mut bench = Bench::unprotected();
        bench.command(&[0x1F, 0xA0, protection::SRP1], 0);
        bench.command(&[0x1F, 0xA0, 0x7C], 0);
        assert_eq!(bench.command(&[0x0F, 0xA0], 1), [protection::SRP1]);
        assert_eq!(bench.nand.violations().len(), 1);
        bench.nand.power_on();
        bench.command(&[0x1F, 0xA0, 0x7C], 0);
        assert_eq!(bench.command(&[0x0F, 0xA0], 1), [0x7C]);
    }

    #[test]
    fn continuous_read_is_a_violation() {
        let mut bench = Bench::unprotected();
        bench.command(&[0x1F, 0xB0, 0x10], 0);
        bench.command(&[0x03, 0, 0, 0], 4);
        assert_eq!(bench.nand.violations().len(), 1);
    }

    #[test]
    fn a_clone_does_not_see_later_writes() {
        let mut bench = Bench::unprotected();
        bench.program(1, 0, &[1]);
        let before = bench.nand.clone();
        bench.erase(0);
        assert!(before.page(1).is_some() && bench.nand.page(1).is_none());
    }
}
