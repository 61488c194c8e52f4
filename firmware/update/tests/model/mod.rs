//! A logger without its chip: memories that can lose power at any operation, the engine on them, and a link to `host`.
//!
//! A cut unwinds out of the engine, as power does. What is in the memories then stays; everything else is gone.

#![allow(dead_code, reason = "each test takes what it needs of the model")]

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, panic_any};
use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use ed25519_compact::{KeyPair, Seed};
use host::conversation::Conversation;
use host::device::Device;
use host::firmware_file::FirmwareFile;
use host::link::{Link, LinkError};
use protocol::device::{CLASS_ID, Program, SerialNumber, VENDOR_ID};
use protocol::image::{HEADER_SIZE, MAGIC, PROTECTED_MAGIC, TLV_MAGIC, Target, Version, tlv};
use protocol::message::{CommonRequest, Never, Refusal};
use sha2::{Digest, Sha256};
use signature::Portable;
use update::MAX_DATA;
use update::boot::Decision;
use update::direct::NoNand;
use update::engine::{Engine, FREE_EEPROM, Identity};
use update::memory::*;
use update::records::Records;
use update::server::{Handler, Line, Reply, Server};
use update::store::END_BLOCK;

/// First address of the slot.
const SLOT: u32 = 0x0800_7000;
const SLOT_SIZE: usize = 36 * 1024;
const RAM: u32 = 0x2000_0000;
/// Bytes of a NAND page with its spare bytes.
const RAW_PAGE: usize = NAND_PAGE + 64;
/// Bytes that the chip's ECC protects together.
const SECTOR: usize = 512;

/// Where in an operation power goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nothing of it happens.
    Before,
    /// Its cells are left between old and new.
    Inside(u64),
    /// It completes.
    After,
}

/// A planned cut: the operation's number and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    pub operation: u64,
    pub place: Place,
}

/// The memories, and what shall go wrong.
#[derive(Clone)]
pub struct Memories {
    pub flash: Vec<u8>,
    pub eeprom: Vec<u32>,
    /// Of a chip with pages of 2 KB that erase to 0xFF, and no EEPROM.
    pub f0: bool,
    /// Two pages of flash in the place of EEPROM.
    pub records: Vec<u8>,
    /// Pages that were ever written; the others are erased.
    nand: Vec<Option<Rc<Page>>>,
    /// Blocks whose erase and program fail from now on.
    failing: Vec<u32>,
    pub nand_answers: bool,
    /// The operation at which the NAND block that it concerns goes bad.
    pub goes_bad_at: Option<u64>,
    /// Operations so far.
    pub operations: u64,
    pub cuts: Vec<Cut>,
    open: usize,
}

#[derive(Clone)]
struct Page {
    bytes: [u8; RAW_PAGE],
    /// Sectors that ECC cannot mend.
    broken: [bool; 4],
}

const ERASED_PAGE: Page = Page {
    bytes: [0xFF; RAW_PAGE],
    broken: [false; 4],
};

/// What the engine unwinds with when power is lost.
struct PowerLost;

/// A small generator of numbers that are the same every time (xorshift64*).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Each bit from one of the two.
    fn between(&mut self, old: u8, new: u8) -> u8 {
        let mask = (self.next() >> 32) as u8;
        old & !mask | new & mask
    }
}

impl Memories {
    fn new() -> Self {
        Memories {
            flash: vec![L0_ERASED; SLOT_SIZE],
            f0: false,
            records: vec![F0_ERASED; 2 * F0_PAGE],
            eeprom: vec![0; 512],
            nand: vec![None; (END_BLOCK * NAND_BLOCK_PAGES) as usize],
            failing: Vec::new(),
            nand_answers: true,
            goes_bad_at: None,
            operations: 0,
            cuts: Vec::new(),
            open: 0,
        }
    }

    /// An operation begins: `change` does it, or, with a generator, leaves it half done.
    fn operation(&mut self, change: impl FnOnce(&mut Memories, Option<&mut Random>)) {
        let number = self.operations;
        self.operations += 1;
        let place = self
            .cuts
            .iter()
            .find(|cut| cut.operation == number)
            .map(|cut| cut.place);
        match place {
            None => return change(self, None),
            Some(Place::Before) => {}
            Some(Place::Inside(seed)) => {
                change(
                    self,
                    Some(&mut Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)),
                );
            }
            Some(Place::After) => change(self, None),
        }
        panic_any(PowerLost);
    }

    /// What a factory has written, on the other chip: what it has not is erased there.
    pub fn on_f0(mut self) -> Memories {
        let used = self.flash.iter().rposition(|&byte| byte != L0_ERASED);
        self.flash[used.map_or(0, |last| last + 1)..].fill(F0_ERASED);
        self.f0 = true;
        self
    }

    /// Marks a NAND block bad, as its maker does.
    pub fn mark_bad(&mut self, block: u32) {
        self.page_mut(block * NAND_BLOCK_PAGES).bytes[NAND_PAGE] = 0;
    }

    /// Whether the NAND can erase and program this block.
    fn takes_writes(&mut self, block: u32) -> bool {
        if self.goes_bad_at == Some(self.operations) {
            self.goes_bad_at = None;
            self.failing.push(block);
        }
        self.nand_answers && !self.failing.contains(&block)
    }

    fn page(&self, page: u32) -> &Page {
        self.nand[page as usize].as_deref().unwrap_or(&ERASED_PAGE)
    }

    fn page_mut(&mut self, page: u32) -> &mut Page {
        Rc::make_mut(self.nand[page as usize].get_or_insert_with(|| Rc::new(ERASED_PAGE)))
    }

    /// Lets a block neither erase nor program any more.
    pub fn fail_block(&mut self, block: u32) {
        self.failing.push(block);
    }

    /// Spoils a sector so that ECC cannot mend it.
    pub fn break_page(&mut self, page: u32) {
        self.page_mut(page).broken[0] = true;
    }
}

type Shared = Rc<RefCell<Memories>>;

/// Geometries: bytes of a page, bytes that are programmed at once, what is erased.
type L0Flash = ModelFlash<L0_PAGE, 64, L0_ERASED>;
type F0Flash = ModelFlash<F0_PAGE, 2, F0_ERASED>;
const L0_PAGE: usize = 128;
const L0_ERASED: u8 = 0x00;
const F0_PAGE: usize = 2048;
const F0_ERASED: u8 = 0xFF;

/// One of the flashes of [`Memories`].
struct ModelFlash<const PAGE: usize, const UNIT: usize, const ERASED: u8>(
    Shared,
    fn(&mut Memories) -> &mut Vec<u8>,
);
/// The other one, behind the slot of a chip without EEPROM.
struct RecordPages(F0Flash);
struct ModelEeprom(Shared);
struct ModelNand(Shared);

fn mix(random: Option<&mut Random>, cells: &mut [u8], new: impl Fn(usize) -> u8) {
    match random {
        None => (0..cells.len()).for_each(|index| cells[index] = new(index)),
        Some(random) => {
            for (index, cell) in cells.iter_mut().enumerate() {
                *cell = random.between(*cell, new(index));
            }
        }
    }
}

impl<const PAGE: usize, const UNIT: usize, const ERASED: u8> Flash
    for ModelFlash<PAGE, UNIT, ERASED>
{
    const SIZE: u32 = SLOT_SIZE as u32;
    type Page = [u8; PAGE];
    const UNIT: usize = UNIT;
    const ERASED: u8 = ERASED;
    type Arithmetic = Portable;

    fn read(&self, offset: u32, out: &mut [u8]) {
        let offset = offset as usize;
        let mut memories = self.0.borrow_mut();
        out.copy_from_slice(&(self.1)(&mut memories)[offset..offset + out.len()]);
    }

    fn erase_page(&mut self, offset: u32) -> Result<(), WriteFailed> {
        let offset = offset as usize;
        assert_eq!(offset % PAGE, 0);
        let cells = self.1;
        self.0.borrow_mut().operation(|memories, random| {
            let page = &mut cells(memories)[offset..offset + PAGE];
            mix(random, page, |_| ERASED);
        });
        Ok(())
    }

    fn program(&mut self, offset: u32, unit: &[u8]) -> Result<(), WriteFailed> {
        let offset = offset as usize;
        assert_eq!((offset % UNIT, unit.len()), (0, UNIT));
        let cells = self.1;
        let mut memories = self.0.borrow_mut();
        // NOTZEROERR, PGERR.
        if cells(&mut memories)[offset..offset + UNIT]
            .iter()
            .any(|&byte| byte != ERASED)
        {
            return Err(WriteFailed);
        }
        memories.operation(|memories, random| {
            let target = &mut cells(memories)[offset..offset + UNIT];
            mix(random, target, |index| unit[index]);
        });
        Ok(())
    }
}

impl Flash for RecordPages {
    const SIZE: u32 = 2 * F0_PAGE as u32;
    type Page = [u8; F0_PAGE];
    const UNIT: usize = F0Flash::UNIT;
    const ERASED: u8 = F0_ERASED;
    type Arithmetic = Portable;

    fn read(&self, offset: u32, out: &mut [u8]) {
        self.0.read(offset, out);
    }

    fn erase_page(&mut self, offset: u32) -> Result<(), WriteFailed> {
        self.0.erase_page(offset)
    }

    fn program(&mut self, offset: u32, unit: &[u8]) -> Result<(), WriteFailed> {
        self.0.program(offset, unit)
    }
}

/// What lies behind is the application's: nothing of it may make a difference to an update. (So it is with the NAND, where
/// the model ends with the image store.)
fn assert_is_the_engines(offset: u32) {
    assert!(offset < FREE_EEPROM, "offset {offset:#x} of EEPROM");
}

impl Eeprom for ModelEeprom {
    fn read_word(&self, offset: u32) -> u32 {
        assert_is_the_engines(offset);
        self.0.borrow().eeprom[offset as usize / 4]
    }

    fn write_word(&mut self, offset: u32, word: u32) -> Result<(), WriteFailed> {
        assert_is_the_engines(offset);
        let index = offset as usize / 4;
        self.0.borrow_mut().operation(|memories, random| {
            let mut cells = memories.eeprom[index].to_le_bytes();
            mix(random, &mut cells, |byte| word.to_le_bytes()[byte]);
            memories.eeprom[index] = u32::from_le_bytes(cells);
        });
        Ok(())
    }
}

impl Nand for ModelNand {
    fn is_there(&mut self) -> bool {
        self.0.borrow().nand_answers
    }

    fn open(&mut self, page: u32) -> Result<(), Unreadable> {
        let mut memories = self.0.borrow_mut();
        memories.open = page as usize;
        if memories.page(page).broken.contains(&true) || !memories.nand_answers {
            Err(Unreadable)
        } else {
            Ok(())
        }
    }

    fn read(&mut self, column: u16, out: &mut [u8]) {
        let memories = self.0.borrow();
        let column = usize::from(column);
        out.copy_from_slice(&memories.page(memories.open as u32).bytes[column..column + out.len()]);
    }

    fn program(&mut self, page: u32, column: u16, data: &[u8]) -> Result<(), WriteFailed> {
        let column = usize::from(column);
        let mut memories = self.0.borrow_mut();
        if !memories.takes_writes(page / NAND_BLOCK_PAGES) {
            return Err(WriteFailed);
        }
        memories.operation(|memories, mut random| {
            let page = memories.page_mut(page);
            for (index, &byte) in data.iter().enumerate() {
                let cell = &mut page.bytes[column + index];
                // Programming only clears bits.
                let new = *cell & byte;
                *cell = match &mut random {
                    None => new,
                    Some(random) => random.between(*cell, new),
                };
            }
            if let Some(random) = random {
                // ECC may notice, or be fooled.
                for sector in column / SECTOR..=(column + data.len() - 1) / SECTOR {
                    if sector < 4 {
                        page.broken[sector] = random.below(2) == 0;
                    }
                }
            }
        });
        Ok(())
    }

    fn erase(&mut self, block: u32) -> Result<(), WriteFailed> {
        let mut memories = self.0.borrow_mut();
        if !memories.takes_writes(block) {
            return Err(WriteFailed);
        }
        memories.operation(|memories, random| {
            let pages = block * NAND_BLOCK_PAGES..(block + 1) * NAND_BLOCK_PAGES;
            match random {
                None => pages.for_each(|page| memories.nand[page as usize] = None),
                Some(random) => {
                    for page in pages {
                        if memories.nand[page as usize].is_some() {
                            let page = memories.page_mut(page);
                            mix(Some(random), &mut page.bytes, |_| 0xFF);
                            page.broken = [random.below(2) == 0; 4];
                        }
                    }
                }
            }
        });
        Ok(())
    }

    fn is_bad(&mut self, block: u32) -> bool {
        let memories = self.0.borrow();
        memories.page(block * NAND_BLOCK_PAGES).bytes[NAND_PAGE] != 0xFF
    }

    fn mark_bad(&mut self, block: u32) {
        let page = block * NAND_BLOCK_PAGES;
        let mut memories = self.0.borrow_mut();
        if !memories.takes_writes(block) {
            return;
        }
        memories.operation(|memories, random| {
            mix(
                random,
                &mut memories.page_mut(page).bytes[NAND_PAGE..=NAND_PAGE],
                |_| 0,
            );
        });
    }
}

fn key() -> KeyPair {
    KeyPair::from_seed(Seed::new([7; 32]))
}

const TARGET: Target = Target {
    slot_address: SLOT,
    slot_size: SLOT_SIZE as u32,
    ram_address: RAM,
    ram_size: 8192,
    vendor_id: VENDOR_ID,
    class_id: CLASS_ID,
    security_counter: 0,
};

fn identity() -> Identity {
    static PUBLIC_KEY: OnceLock<[u8; 32]> = OnceLock::new();
    Identity {
        model: "model",
        serial: SerialNumber([1; 12]),
        target: &TARGET,
        public_key: PUBLIC_KEY.get_or_init(|| *key().pk),
        bootloader: Version::default(),
    }
}

/// A signed image of `payload` bytes that differ from version to version.
pub fn image(major: u8, payload: usize, counter: u32) -> FirmwareFile {
    let entry = |kind: u16, value: &[u8]| {
        [
            &kind.to_le_bytes()[..],
            &(value.len() as u16).to_le_bytes(),
            value,
        ]
        .concat()
    };
    let list = |magic: u16, entries: &[u8]| {
        [
            &magic.to_le_bytes()[..],
            &(entries.len() as u16 + 4).to_le_bytes(),
            entries,
        ]
        .concat()
    };
    let protected = [
        entry(tlv::SECURITY_COUNTER, &counter.to_le_bytes()),
        entry(tlv::VENDOR_ID, &VENDOR_ID.0),
        entry(tlv::CLASS_ID, &CLASS_ID.0),
    ]
    .concat();
    let mut bytes = vec![0; usize::from(HEADER_SIZE)];
    bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
    bytes[8..10].copy_from_slice(&HEADER_SIZE.to_le_bytes());
    bytes[10..12].copy_from_slice(&(protected.len() as u16 + 4).to_le_bytes());
    bytes[12..16].copy_from_slice(&(payload as u32).to_le_bytes());
    bytes[20] = major;
    let mut random = Random(u64::from(major) + 1);
    let start = bytes.len();
    // Two pages in three are the same in all versions.
    for index in 0..payload {
        let common = !(index / L0_PAGE).is_multiple_of(3);
        bytes.push(if common {
            (index / 3) as u8
        } else {
            random.next() as u8
        });
    }
    bytes[start..start + 4].copy_from_slice(&(RAM + 8192).to_le_bytes());
    bytes[start + 4..start + 8].copy_from_slice(&(SLOT + 0x141).to_le_bytes());
    bytes.extend(list(PROTECTED_MAGIC, &protected));
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    let der = [
        &[
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
        ][..],
        &key().pk[..],
    ]
    .concat();
    let others = [
        entry(tlv::SHA256, &digest),
        entry(tlv::KEY_HASH, &Sha256::digest(der)),
        entry(tlv::ED25519, &key().sk.sign(digest, None)[..]),
    ]
    .concat();
    bytes.extend(list(TLV_MAGIC, &others));
    FirmwareFile::read("image.bin", &bytes).expect("a whole image")
}

struct Updater<F, E, N> {
    engine: Engine<F, E, N>,
    program: Program,
}

impl<F: Flash, E: Eeprom, N: Nand> Handler for Updater<F, E, N> {
    type Request<'r> = Never;

    fn common(
        &mut self,
        request: &CommonRequest<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Refusal> {
        match (self.program, request) {
            // As the bootloader does.
            (Program::Bootloader, CommonRequest::Confirm { .. }) => Err(Refusal::UnknownRequest),
            _ => self.engine.handle(request, reply),
        }
    }

    fn other(&mut self, request: &Never, _: &mut Reply<'_>) -> Result<(), Refusal> {
        match *request {}
    }
}

/// The call of a function in the place of a wire: nothing is ever under way.
struct Direct;

impl Line for Direct {
    const WINDOW: u16 = 8 * MAX_DATA as u16;
}

/// What runs, whatever its memories.
trait Turn {
    fn work(&mut self, server: &mut Server);
    fn restart_requested(&self) -> bool;
}

impl<F: Flash + 'static, E: Eeprom + 'static, N: Nand + 'static> Updater<F, E, N> {
    fn boxed(engine: Engine<F, E, N>, program: Program) -> Box<dyn Turn> {
        Box::new(Updater { engine, program })
    }
}

impl<F: Flash, E: Eeprom, N: Nand> Turn for Updater<F, E, N> {
    fn work(&mut self, server: &mut Server) {
        server.work(self, &mut Direct);
    }

    fn restart_requested(&self) -> bool {
        self.engine.restart_requested()
    }
}

/// The program that runs, with its side of the conversation.
struct Running {
    updater: Box<dyn Turn>,
    server: Server,
}

/// What it is built of.
#[derive(Clone, Copy)]
enum Board {
    /// An STM32L0 with NAND.
    WithNand,
    /// An STM32L0 alone.
    Direct,
    /// An STM32F0 alone: large pages, erased to 0xFF, no EEPROM.
    F0,
}

/// A logger, and the way to it. It restarts or loses power by itself; [`Link::reopen`] finds it as it is.
pub struct Logger {
    memories: Shared,
    board: Board,
    running: Option<Running>,
    /// Whether the latest start found an application.
    pub started: bool,
    incoming: Vec<u8>,
    /// Times that power was lost.
    pub losses: u64,
}

impl Logger {
    /// As it leaves the factory, with `file` in flash.
    pub fn with(file: &FirmwareFile) -> Logger {
        let mut memories = Memories::new();
        memories.flash[..file.image().len()].copy_from_slice(file.image());
        Logger::from(memories)
    }

    /// Switched off, with these memories.
    pub fn from(memories: Memories) -> Logger {
        Logger::new(memories, Board::WithNand)
    }

    /// The same on a board without NAND.
    pub fn direct(memories: Memories) -> Logger {
        let board = if memories.f0 {
            Board::F0
        } else {
            Board::Direct
        };
        Logger::new(memories, board)
    }

    fn new(memories: Memories, board: Board) -> Logger {
        Logger {
            memories: Rc::new(RefCell::new(memories)),
            board,
            running: None,
            started: false,
            incoming: Vec::new(),
            losses: 0,
        }
    }

    /// What it keeps without power.
    pub fn memories(&self) -> Memories {
        self.memories.borrow().clone()
    }

    /// Changes what it keeps.
    pub fn change(&self, change: impl FnOnce(&mut Memories)) {
        change(&mut self.memories.borrow_mut());
    }

    /// Nobody was there for as long as update mode waits, or somebody switched it off and on.
    pub fn start_over(&mut self) {
        self.incoming.clear();
        self.start();
    }

    /// Pulls the cable: the program runs on, its battery feeds it.
    pub fn unplug(&mut self) {
        self.incoming.clear();
        if let Some(Running { server, .. }) = &mut self.running {
            server.reset();
        }
    }

    /// Does something that a cut may end.
    fn powered<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> Option<T> {
        match panic::catch_unwind(AssertUnwindSafe(|| work(self))) {
            Ok(value) => Some(value),
            Err(payload) if payload.is::<PowerLost>() => {
                self.running = None;
                self.losses += 1;
                None
            }
            Err(other) => panic::resume_unwind(other),
        }
    }

    fn start(&mut self) {
        self.running = None;
        while self.running.is_none() {
            self.powered(|logger| {
                let (updater, program) = match logger.board {
                    Board::WithNand => {
                        let nand = ModelNand(logger.memories.clone());
                        let mut engine =
                            Engine::new(logger.l0(), logger.eeprom(), nand, identity());
                        let program = program(engine.boot());
                        (Updater::boxed(engine, program), program)
                    }
                    Board::Direct => without_nand(|| (logger.l0(), logger.eeprom())),
                    Board::F0 => without_nand(|| {
                        let slot: F0Flash =
                            ModelFlash(logger.memories.clone(), |memories| &mut memories.flash);
                        let records =
                            ModelFlash(logger.memories.clone(), |memories| &mut memories.records);
                        (slot, Records(RecordPages(records)))
                    }),
                };
                logger.started = program == Program::Application;
                let server = Server::new(program);
                logger.running = Some(Running { updater, server });
            });
        }
    }

    fn l0(&self) -> L0Flash {
        ModelFlash(self.memories.clone(), |memories| &mut memories.flash)
    }

    fn eeprom(&self) -> ModelEeprom {
        ModelEeprom(self.memories.clone())
    }

    fn exchange(&mut self, mut bytes: &[u8]) {
        let mut answers: Vec<u8> = Vec::new();
        let mut restart = false;
        let alive = self.powered(|logger| {
            let Some(Running { updater, server }) = &mut logger.running else {
                return;
            };
            loop {
                let idle = server.is_idle();
                if let Some(room) = server.room() {
                    let length = bytes.len().min(room.len());
                    if length == 0 && idle {
                        break;
                    }
                    room[..length].copy_from_slice(&bytes[..length]);
                    bytes = &bytes[length..];
                    server.received(length);
                }
                updater.work(server);
                let packet = server.outgoing();
                answers.extend(
                    packet
                        .iter()
                        .flat_map(|(packet, length)| &packet[..*length]),
                );
                server.sent(packet.is_some());
            }
            restart = updater.restart_requested();
        });
        if alive.is_some() {
            self.incoming.extend(answers);
        }
        if restart {
            self.running = None;
        }
    }
}

fn program(decision: Decision) -> Program {
    match decision {
        Decision::Start => Program::Application,
        Decision::Wait => Program::Bootloader,
    }
}

/// What runs on a board without NAND.
fn without_nand<F: Flash + 'static, E: Eeprom + 'static>(
    memories: impl Fn() -> (F, E),
) -> (Box<dyn Turn>, Program) {
    let (flash, eeprom) = memories();
    let mut engine = Engine::new(flash, eeprom, NoNand::<1>::new(), identity());
    let program = program(engine.boot());
    let updater = match program {
        Program::Bootloader => Updater::boxed(engine, program),
        Program::Application => {
            let (flash, eeprom) = memories();
            let engine = Engine::new(flash, eeprom, NoNand::<0>::new(), identity());
            Updater::boxed(engine, program)
        }
    };
    (updater, program)
}

impl Link for Logger {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        if self.running.is_none() {
            return Err(LinkError::Lost);
        }
        self.exchange(bytes);
        Ok(())
    }

    async fn receive(&mut self, _: Duration) -> Result<Vec<u8>, LinkError> {
        let bytes = core::mem::take(&mut self.incoming);
        if bytes.is_empty() && self.running.is_none() {
            Err(LinkError::Lost)
        } else {
            Ok(bytes)
        }
    }

    async fn reopen(&mut self, _: Duration) -> Result<(), LinkError> {
        self.incoming.clear();
        match &mut self.running {
            // Only the cable was out.
            Some(Running { server, .. }) => server.reset(),
            None => self.start(),
        }
        Ok(())
    }

    async fn sleep(&mut self, _: Duration) {}
}

/// Switches the logger on, greets it and asks who it is.
pub fn connect(mut logger: Logger) -> (Conversation<Logger>, Device) {
    futures_executor::block_on(async {
        logger.reopen(Duration::ZERO).await.expect("it starts");
        let mut conversation = Conversation::open(logger)
            .await
            .map_err(|(_, error)| error)
            .expect("it answers");
        let device = Device::read(&mut conversation)
            .await
            .expect("it says who it is");
        (conversation, device)
    })
}

/// Cuts are no accidents: their panics are not printed.
pub fn quiet() {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !info.payload().is::<PowerLost>() {
            report(info);
        }
    }));
}
