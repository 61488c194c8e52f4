//! Flash, EEPROM and option byte controller at 0x4002_2000 (RM0376).
//!
//! Erased cells read 0x00. Content changes at the end of an operation's busy time, so that a power cut finds the old
//! cells before it. It must never change a cell without the key sequences, and never one of a protected sector.

use std::hash::{Hash, Hasher};
use std::ops::Range;

use crate::chip::Reg;
use crate::cpu::bus::{BusFault, ResetCause, Width};
use crate::fault::{Faults, OperationKind, Place, tear};
use crate::memory::{FLASH_BASE, FLASH_SIZE, Memory};
use crate::time::Time;

/// First address of the data EEPROM.
pub const EEPROM_BASE: u32 = 0x0808_0000;
/// Bytes of data EEPROM (STM32L052).
pub const EEPROM_SIZE: usize = 2048;
/// First address of the option bytes.
pub const OPTION_BASE: u32 = 0x1FF8_0000;
/// Words of option bytes: OPTR, WRPROT1 and WRPROT2 as half words, each with its complement above it.
pub const OPTION_WORDS: usize = 5;
/// FLASH_SR, which changes at the end of an operation.
pub(crate) const STATUS: u32 = 0x4002_2018;
/// Bytes that one page erase clears.
pub const PAGE_SIZE: usize = 128;
/// Bytes of a half-page.
pub const HALF_PAGE_SIZE: usize = 64;
/// Bytes that one bit of WRPROT protects.
pub const SECTOR_SIZE: usize = 4096;

/// t_prog: erase or program of a word, half-page or page; RM0376 and DS10182 give 3.2 ms typical.
pub const OPERATION_TIME: Time = Time::from_micros(3_200);

/// As the factory leaves them: protection level 0, no write protection, brown-out reset level 8, software watchdog.
const FACTORY_OPTIONS: [u16; OPTION_WORDS] = [0x00AA, 0x8070, 0, 0, 0];

mod pecr {
    pub const PELOCK: u32 = 1 << 0;
    pub const PRGLOCK: u32 = 1 << 1;
    pub const OPTLOCK: u32 = 1 << 2;
    pub const LOCKS: u32 = 7;
    pub const PROG: u32 = 1 << 3;
    pub const DATA: u32 = 1 << 4;
    pub const FIX: u32 = 1 << 8;
    pub const ERASE: u32 = 1 << 9;
    pub const FPRG: u32 = 1 << 10;
    pub const EOPIE: u32 = 1 << 16;
    pub const ERRIE: u32 = 1 << 17;
    pub const OBL_LAUNCH: u32 = 1 << 18;
    pub const WRITABLE: u32 = PROG | DATA | FIX | ERASE | FPRG | EOPIE | ERRIE;
    /// What decides on the kind of an operation.
    pub const MODE: u32 = PROG | ERASE | FPRG;
}

mod sr {
    pub const BSY: u32 = 1 << 0;
    pub const EOP: u32 = 1 << 1;
    pub const ENDHV: u32 = 1 << 2;
    pub const READY: u32 = 1 << 3;
    pub const WRPERR: u32 = 1 << 8;
    pub const PGAERR: u32 = 1 << 9;
    pub const SIZERR: u32 = 1 << 10;
    pub const OPTVERR: u32 = 1 << 11;
    pub const NOTZEROERR: u32 = 1 << 16;
    pub const FWWERR: u32 = 1 << 17;
    /// RDERR as well, which nothing here sets: PCROP is not modelled.
    pub const CLEARABLE: u32 =
        EOP | WRPERR | PGAERR | SIZERR | OPTVERR | 1 << 14 | NOTZEROERR | FWWERR;
    pub const ERRORS: u32 = CLEARABLE & !EOP;
}

/// Progress of a two-key unlock sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keys {
    First,
    Second,
    /// A wrong key came: locked until the next reset.
    Dead,
}

impl Keys {
    fn take(&mut self, value: u32, keys: [u32; 2]) -> bool {
        match *self {
            Keys::First if value == keys[0] => *self = Keys::Second,
            Keys::Second if value == keys[1] => {
                *self = Keys::First;
                return true;
            }
            _ => *self = Keys::Dead,
        }
        false
    }
}

const PEKEYS: [u32; 2] = [0x89AB_CDEF, 0x0203_0405];
const PRGKEYS: [u32; 2] = [0x8C9D_AEBF, 0x1314_1516];
const OPTKEYS: [u32; 2] = [0xFBEA_D9C8, 0x2425_2627];

#[derive(Clone, Debug)]
enum Cells {
    /// Offset into flash and its new content.
    Flash {
        offset: usize,
        bytes: [u8; PAGE_SIZE],
        length: usize,
    },
    /// Offset of an EEPROM word, its new content, and whether it is erased on the way.
    Eeprom {
        offset: usize,
        bytes: [u8; 4],
        erases: bool,
    },
    /// An option byte word.
    Option { index: usize, value: u32 },
}

impl Cells {
    /// What programming them counts as, its address, and how long it takes.
    fn operation(&self) -> (OperationKind, u32, Time) {
        match self {
            Cells::Flash { offset, length, .. } => {
                let kind = match *length {
                    PAGE_SIZE => OperationKind::FlashPageErase,
                    HALF_PAGE_SIZE => OperationKind::FlashHalfPage,
                    _ => OperationKind::FlashWord,
                };
                (kind, FLASH_BASE + *offset as u32, OPERATION_TIME)
            }
            Cells::Eeprom { offset, erases, .. } => {
                let times = if *erases { 2 } else { 1 };
                let address = EEPROM_BASE + *offset as u32;
                (OperationKind::EepromWord, address, OPERATION_TIME * times)
            }
            Cells::Option { index, .. } => {
                let address = OPTION_BASE + 4 * *index as u32;
                (OperationKind::OptionBytes, address, OPERATION_TIME * 2)
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Pending {
    cells: Cells,
    until: Time,
    cut: Option<Place>,
    /// The cells have their new content already, because somebody had to wait for it.
    settled: bool,
}

#[derive(Clone, Debug)]
struct HalfPage {
    offset: usize,
    words: [u32; HALF_PAGE_SIZE / 4],
    count: usize,
}

/// The option bytes as they were loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionBytes {
    /// FLASH_OPTR: bits 7..0 RDPROT, 8 WPRMOD, 19..16 BOR_LEV, 20 WDG_SW, 21 nRST_STOP, 22 nRST_STDBY, 31 nBOOT1.
    pub optr: u32,
    /// FLASH_WRPROT1: bit n protects sector n (4 KB).
    pub write_protection: u32,
}

/// The controller with the cells of EEPROM and option bytes; those of flash are in [`Memory`].
#[derive(Clone)]
pub struct Flash {
    acr: u32,
    pecr: u32,
    sr: u32,
    keys: [Keys; 3],
    pending: Option<Pending>,
    half_page: Option<HalfPage>,
    eeprom: Box<[u8; EEPROM_SIZE]>,
    option_words: [u32; OPTION_WORDS],
    options: OptionBytes,
    launch: bool,
}

impl Flash {
    pub(crate) fn new() -> Flash {
        let mut flash = Flash {
            acr: 0,
            pecr: pecr::LOCKS,
            sr: 0,
            keys: [Keys::First; 3],
            pending: None,
            half_page: None,
            eeprom: Box::new([0; EEPROM_SIZE]),
            option_words: FACTORY_OPTIONS.map(with_complement),
            options: OptionBytes {
                optr: 0,
                write_protection: 0,
            },
            launch: false,
        };
        flash.load_options();
        flash
    }

    /// A controller after a loss of power, with the EEPROM and the option bytes of `other`.
    pub(crate) fn with_cells(other: &Flash) -> Flash {
        Flash {
            eeprom: other.eeprom.clone(),
            option_words: other.option_words,
            ..Flash::new()
        }
    }

    /// The cells of EEPROM but for `without`, and option bytes, torn ones as they are.
    pub(crate) fn hash_cells(&self, without: Range<usize>, hasher: &mut impl Hasher) {
        self.eeprom[..without.start].hash(hasher);
        self.eeprom[without.end..].hash(hasher);
        self.option_words.hash(hasher);
    }

    /// Content of the data EEPROM.
    pub fn eeprom(&self) -> &[u8; EEPROM_SIZE] {
        &self.eeprom
    }

    pub(crate) fn eeprom_mut(&mut self) -> &mut [u8; EEPROM_SIZE] {
        &mut self.eeprom
    }

    /// The option bytes in force.
    pub fn options(&self) -> OptionBytes {
        self.options
    }

    /// Sets the option bytes as a programmer would, in force at the next power-on.
    pub(crate) fn set_options(&mut self, options: OptionBytes) {
        let [optr, wrprot] = [options.optr, options.write_protection];
        self.option_words = [
            optr as u16,
            (optr >> 16) as u16,
            wrprot as u16,
            (wrprot >> 16) as u16,
            0,
        ]
        .map(with_complement);
    }

    /// Whether the watchdog starts by itself.
    pub(crate) fn hardware_watchdog(&self) -> bool {
        self.options.optr & 1 << 20 == 0
    }

    /// Whether option bytes nRST_STOP or nRST_STDBY turn a low-power mode into a reset.
    pub(crate) fn resets_in_low_power(&self, standby: bool) -> bool {
        let bit = if standby { 22 } else { 21 };
        self.options.optr >> bit & 1 == 0
    }

    /// Wait states: 0 or 1.
    pub(crate) fn latency(&self) -> u32 {
        self.acr & 1
    }

    fn load_options(&mut self) {
        let valid = |word: u32| (word as u16 == !((word >> 16) as u16)).then_some(word & 0xFFFF);
        let mut bad = false;
        let mut take = |index: usize, fallback: u16| {
            valid(self.option_words[index]).unwrap_or_else(|| {
                bad = true;
                fallback.into()
            })
        };
        // Torn option bytes: protection level 1, all sectors write-protected (RM0367, 3.4.4, of the sister chip), the rest
        // as from the factory.
        let optr = take(0, 0x0000) | take(1, FACTORY_OPTIONS[1]) << 16;
        let write_protection = take(2, 0xFFFF) | take(3, 0xFFFF) << 16;
        self.options = OptionBytes {
            optr,
            write_protection,
        };
        if bad {
            self.sr |= sr::OPTVERR;
        }
    }

    pub(crate) fn reset(&mut self, cause: ResetCause, memory: &mut Memory, seed: u64) {
        self.abort(memory, seed);
        self.acr = 0;
        self.pecr = pecr::LOCKS;
        self.sr = 0;
        self.keys = [Keys::First; 3];
        self.half_page = None;
        self.launch = false;
        if matches!(cause, ResetCause::PowerOn | ResetCause::OptionBytes) {
            self.load_options();
        }
    }

    /// Power or clock goes away: an operation that is running is torn with `seed`.
    pub(crate) fn abort(&mut self, memory: &mut Memory, seed: u64) {
        if let Some(pending) = self.pending.take()
            && !pending.settled
        {
            self.tear(&pending.cells, memory, seed);
        }
        self.half_page = None;
    }

    /// Until when flash and EEPROM cannot be read.
    pub(crate) fn busy_until(&self, now: Time) -> Option<Time> {
        self.pending
            .as_ref()
            .map(|pending| pending.until)
            .filter(|&until| until > now)
    }

    pub(crate) fn next_event(&self) -> Option<Time> {
        self.pending.as_ref().map(|pending| pending.until)
    }

    pub(crate) fn tick(&mut self, memory: &mut Memory, faults: &mut Faults, now: Time) {
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.until <= now)
        {
            self.settle(memory, faults);
            self.pending = None;
            self.sr |= sr::EOP;
        }
    }

    pub(crate) fn interrupt(&self) -> bool {
        (self.pecr & pecr::EOPIE != 0 && self.sr & sr::EOP != 0)
            || (self.pecr & pecr::ERRIE != 0 && self.sr & sr::ERRORS != 0)
    }

    pub(crate) fn take_launch(&mut self) -> bool {
        std::mem::take(&mut self.launch)
    }

    /// The core fetched from flash while a half-page was being loaded.
    pub(crate) fn fetched(&mut self) {
        if self.half_page.take().is_some() {
            self.sr |= sr::FWWERR;
        }
    }

    /// Whether words of a half-page are being collected.
    pub(crate) fn loads_half_page(&self) -> bool {
        self.half_page.is_some()
    }

    /// Gives the cells of a running operation their final content.
    fn settle(&mut self, memory: &mut Memory, faults: &mut Faults) {
        let Some(pending) = &mut self.pending else {
            return;
        };
        if pending.settled {
            return;
        }
        pending.settled = true;
        let cells = pending.cells.clone();
        match pending.cut {
            None => self.commit(&cells, memory),
            Some(Place::Before) => faults.lose_power(),
            Some(Place::After) => {
                self.commit(&cells, memory);
                faults.lose_power();
            }
            Some(Place::Inside { seed }) => {
                self.tear(&cells, memory, seed);
                faults.lose_power();
            }
        }
    }

    fn commit(&mut self, cells: &Cells, memory: &mut Memory) {
        match cells {
            Cells::Flash {
                offset,
                bytes,
                length,
            } => memory.program(*offset, &bytes[..*length]),
            Cells::Eeprom { offset, bytes, .. } => {
                self.eeprom[*offset..offset + 4].copy_from_slice(bytes);
            }
            Cells::Option { index, value } => {
                let leaves_level_1 =
                    *index == 0 && *value as u8 == 0xAA && self.options.optr as u8 != 0xAA;
                if leaves_level_1 {
                    // Read protection goes, and with it everything it protected.
                    memory.program(0, &[0; FLASH_SIZE]);
                    self.eeprom.fill(0);
                }
                self.option_words[*index] = *value;
            }
        }
    }

    fn tear(&mut self, cells: &Cells, memory: &mut Memory, seed: u64) {
        match cells {
            Cells::Flash {
                offset,
                bytes,
                length,
            } => {
                let mut torn = [0; PAGE_SIZE];
                let torn = &mut torn[..*length];
                torn.copy_from_slice(&memory.flash()[*offset..offset + length]);
                tear(torn, &bytes[..*length], seed);
                memory.program(*offset, torn);
            }
            Cells::Eeprom {
                offset,
                bytes,
                erases,
            } => {
                let word = &mut self.eeprom[*offset..offset + 4];
                if *erases && seed & 1 == 0 {
                    tear(word, &[0; 4], seed);
                } else {
                    if *erases {
                        word.fill(0);
                    }
                    tear(word, bytes, seed);
                }
            }
            Cells::Option { index, value } => {
                let mut word = self.option_words[*index].to_le_bytes();
                tear(&mut word, &value.to_le_bytes(), seed);
                self.option_words[*index] = u32::from_le_bytes(word);
            }
        }
    }

    fn start(&mut self, cells: Cells, memory: &mut Memory, faults: &mut Faults, now: Time) {
        // A write while another operation runs waits on the bus for its end.
        let begin = self.busy_until(now).unwrap_or(now);
        self.settle(memory, faults);
        if faults.power_lost() {
            return;
        }
        let (kind, address, time) = cells.operation();
        let cut = faults.begin(kind, address, begin);
        let until = match cut {
            Some(Place::Before) => begin,
            Some(Place::Inside { .. }) => begin + Time::from_picos(time.picos() / 2),
            Some(Place::After) | None => begin + time,
        };
        self.pending = Some(Pending {
            cells,
            until,
            cut,
            settled: false,
        });
    }

    pub(crate) fn read(&self, offset: u32) -> Reg {
        Ok(match offset {
            0x00 => self.acr,
            0x04 => self.pecr,
            0x08..=0x14 => 0,
            0x18 if self.pending.is_some() => self.sr | sr::BSY,
            0x18 => self.sr | sr::READY | sr::ENDHV,
            0x1C => self.options.optr,
            0x20 => self.options.write_protection,
            0x80 => 0,
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32) -> Result<(), BusFault> {
        match offset {
            0x00 => self.acr = value & 0x7B,
            0x04 => self.write_pecr(value),
            0x0C => {
                if self.keys[0].take(value, PEKEYS) {
                    self.pecr &= !pecr::PELOCK;
                }
            }
            0x10 => {
                if self.pecr & pecr::PELOCK == 0 && self.keys[1].take(value, PRGKEYS) {
                    self.pecr &= !pecr::PRGLOCK;
                }
            }
            0x14 => {
                if self.pecr & pecr::PELOCK == 0 && self.keys[2].take(value, OPTKEYS) {
                    self.pecr &= !pecr::OPTLOCK;
                }
            }
            0x18 => self.sr &= !(value & sr::CLEARABLE),
            // Read-only.
            0x1C | 0x20 | 0x80 => {}
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }

    fn write_pecr(&mut self, value: u32) {
        if self.pecr & pecr::PELOCK != 0 {
            return;
        }
        // Software sets locks, only keys clear them; without PELOCK the other two are of no use.
        let mut locks = (self.pecr | value) & pecr::LOCKS;
        if locks & pecr::PELOCK != 0 {
            locks = pecr::LOCKS;
        }
        self.launch |= value & pecr::OBL_LAUNCH != 0 && self.pecr & pecr::OPTLOCK == 0;
        self.pecr = value & pecr::WRITABLE | locks;
        self.half_page = None;
    }

    fn is_protected(&self, offset: usize) -> bool {
        self.options.write_protection >> (offset / SECTOR_SIZE) & 1 != 0
    }

    /// A write to flash at `address`, 0x0800_0000 or its alias at 0.
    pub(crate) fn write_flash(
        &mut self,
        address: u32,
        width: Width,
        value: u32,
        memory: &mut Memory,
        faults: &mut Faults,
        now: Time,
    ) -> Result<(), BusFault> {
        let offset = (address & !FLASH_BASE) as usize;
        if self.pecr & (pecr::PELOCK | pecr::PRGLOCK) != 0 || self.is_protected(offset) {
            self.sr |= sr::WRPERR;
            return Ok(());
        }
        if width != Width::Word {
            self.sr |= sr::SIZERR;
            return Ok(());
        }
        match self.pecr & pecr::MODE {
            mode if mode == pecr::ERASE | pecr::PROG => {
                let offset = offset & !(PAGE_SIZE - 1);
                let cells = Cells::Flash {
                    offset,
                    bytes: [0; PAGE_SIZE],
                    length: PAGE_SIZE,
                };
                self.start(cells, memory, faults, now);
            }
            mode if mode == pecr::FPRG | pecr::PROG => {
                self.load_half_page(offset, value, memory, faults, now);
            }
            0 | pecr::PROG => {
                self.settle(memory, faults);
                if memory.flash()[offset..offset + 4] != [0; 4] {
                    self.sr |= sr::NOTZEROERR;
                    return Ok(());
                }
                let mut bytes = [0; PAGE_SIZE];
                bytes[..4].copy_from_slice(&value.to_le_bytes());
                let cells = Cells::Flash {
                    offset,
                    bytes,
                    length: 4,
                };
                self.start(cells, memory, faults, now);
            }
            // Erase and half-page without PROG are not described by the manual.
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }

    fn load_half_page(
        &mut self,
        offset: usize,
        value: u32,
        memory: &mut Memory,
        faults: &mut Faults,
        now: Time,
    ) {
        let base = offset & !(HALF_PAGE_SIZE - 1);
        let aligned = match &self.half_page {
            // Words come in order, from the first one of the half-page.
            None => offset == base,
            Some(half_page) => offset == half_page.offset + 4 * half_page.count,
        };
        if !aligned {
            self.half_page = None;
            self.sr |= sr::PGAERR;
            return;
        }
        let half_page = self.half_page.get_or_insert(HalfPage {
            offset: base,
            words: [0; HALF_PAGE_SIZE / 4],
            count: 0,
        });
        half_page.words[half_page.count] = value;
        half_page.count += 1;
        if half_page.count < HALF_PAGE_SIZE / 4 {
            return;
        }
        let words = half_page.words;
        self.half_page = None;
        self.settle(memory, faults);
        if memory.flash()[base..base + HALF_PAGE_SIZE]
            .iter()
            .any(|&byte| byte != 0)
        {
            self.sr |= sr::NOTZEROERR;
            return;
        }
        let mut bytes = [0; PAGE_SIZE];
        for (cell, word) in bytes.chunks_exact_mut(4).zip(words) {
            cell.copy_from_slice(&word.to_le_bytes());
        }
        let cells = Cells::Flash {
            offset: base,
            bytes,
            length: HALF_PAGE_SIZE,
        };
        self.start(cells, memory, faults, now);
    }

    pub(crate) fn read_eeprom(
        &mut self,
        offset: usize,
        width: Width,
        memory: &mut Memory,
        faults: &mut Faults,
    ) -> u32 {
        // A read waits on the bus for the end of a running operation: it sees the new content.
        self.settle(memory, faults);
        let mut bytes = [0; 4];
        let length = width as usize;
        bytes[..length].copy_from_slice(&self.eeprom[offset..offset + length]);
        u32::from_le_bytes(bytes)
    }

    pub(crate) fn write_eeprom(
        &mut self,
        offset: usize,
        width: Width,
        value: u32,
        memory: &mut Memory,
        faults: &mut Faults,
        now: Time,
    ) -> Result<(), BusFault> {
        if self.pecr & pecr::PELOCK != 0 {
            self.sr |= sr::WRPERR;
            return Ok(());
        }
        self.settle(memory, faults);
        let base = offset & !3;
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&self.eeprom[base..base + 4]);
        let old = bytes;
        let erase_only = self.pecr & pecr::ERASE != 0;
        if erase_only {
            if self.pecr & pecr::DATA == 0 {
                return Err(BusFault::Reserved);
            }
            bytes = [0; 4];
        } else if self.pecr & pecr::FPRG != 0 {
            // Parallel double-word programming is not modelled.
            return Err(BusFault::Reserved);
        } else {
            let at = offset - base;
            let length = width as usize;
            bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
        }
        let erases = !erase_only && (self.pecr & pecr::FIX != 0 || old != [0; 4]);
        let cells = Cells::Eeprom {
            offset: base,
            bytes,
            erases,
        };
        self.start(cells, memory, faults, now);
        Ok(())
    }

    pub(crate) fn read_option(&self, index: usize) -> Reg {
        self.option_words
            .get(index)
            .copied()
            .ok_or(BusFault::Unmapped)
    }

    pub(crate) fn write_option(
        &mut self,
        index: usize,
        width: Width,
        value: u32,
        memory: &mut Memory,
        faults: &mut Faults,
        now: Time,
    ) -> Result<(), BusFault> {
        if index >= OPTION_WORDS {
            return Err(BusFault::Unmapped);
        }
        let level_2 = self.options.optr as u8 == 0xCC;
        if self.pecr & (pecr::PELOCK | pecr::OPTLOCK) != 0 || level_2 {
            self.sr |= sr::WRPERR;
            return Ok(());
        }
        if width != Width::Word {
            self.sr |= sr::SIZERR;
            return Ok(());
        }
        let value = if self.pecr & pecr::ERASE != 0 {
            0
        } else {
            value
        };
        let cells = Cells::Option { index, value };
        self.start(cells, memory, faults, now);
        Ok(())
    }
}

const fn with_complement(half: u16) -> u32 {
    half as u32 | (!half as u32) << 16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::CutPoint;

    struct Bench {
        flash: Flash,
        memory: Memory,
        faults: Faults,
        now: Time,
    }

    const PAGE: u32 = FLASH_BASE + 0x8000;

    impl Bench {
        fn locked() -> Bench {
            Bench {
                flash: Flash::new(),
                memory: Memory::new(),
                faults: Faults::default(),
                now: Time::ZERO,
            }
        }

        fn unlocked() -> Bench {
            let mut bench = Bench::locked();
            for (offset, keys) in [(0x0C, PEKEYS), (0x10, PRGKEYS), (0x14, OPTKEYS)] {
                for key in keys {
                    bench.flash.write(offset, key).unwrap();
                }
            }
            bench
        }

        fn mode(&mut self, bits: u32) {
            self.flash.write(0x04, bits).unwrap();
        }

        fn store(&mut self, address: u32, value: u32) {
            self.flash
                .write_flash(
                    address,
                    Width::Word,
                    value,
                    &mut self.memory,
                    &mut self.faults,
                    self.now,
                )
                .unwrap();
        }

        fn wait(&mut self) -> Time {
            let start = self.now;
            if let Some(until) = self.flash.busy_until(self.now) {
                self.now = until;
            }
            self.flash
                .tick(&mut self.memory, &mut self.faults, self.now);
            self.now.since(start)
        }

        fn errors(&self) -> u32 {
            self.flash.read(0x18).unwrap() & sr::ERRORS
        }

        fn word(&self, address: u32) -> u32 {
            let at = (address - FLASH_BASE) as usize;
            u32::from_le_bytes(self.memory.flash()[at..at + 4].try_into().unwrap())
        }

        fn half_page(&mut self, address: u32, value: u32) {
            self.mode(pecr::FPRG | pecr::PROG);
            for n in 0..16 {
                self.store(address + 4 * n, value + n);
            }
        }

        fn eeprom(&mut self, offset: usize, width: Width, value: u32) {
            self.flash
                .write_eeprom(
                    offset,
                    width,
                    value,
                    &mut self.memory,
                    &mut self.faults,
                    self.now,
                )
                .unwrap();
        }
    }

    #[test]
    fn nothing_is_written_while_locked() {
        let mut bench = Bench::locked();
        bench.store(PAGE, 1);
        assert_eq!(bench.errors(), sr::WRPERR);
        bench.flash.write(0x18, sr::WRPERR).unwrap();
        bench.eeprom(0, Width::Word, 1);
        assert_eq!(bench.errors(), sr::WRPERR);
        assert_eq!(bench.faults.operations(), 0);
    }

    #[test]
    fn a_wrong_key_locks_until_reset() {
        let mut bench = Bench::locked();
        bench.flash.write(0x0C, 0x1234_5678).unwrap();
        for key in PEKEYS {
            bench.flash.write(0x0C, key).unwrap();
        }
        assert_eq!(bench.flash.read(0x04), Ok(7));
        bench
            .flash
            .reset(ResetCause::Software, &mut bench.memory, 0);
        for key in PEKEYS {
            bench.flash.write(0x0C, key).unwrap();
        }
        assert_eq!(bench.flash.read(0x04), Ok(6));
    }

    #[test]
    fn a_word_is_programmed_in_3_2_ms_and_only_once() {
        let mut bench = Bench::unlocked();
        bench.store(PAGE, 0x1234_5678);
        assert_eq!(bench.flash.read(0x18), Ok(sr::BSY));
        assert_eq!(bench.word(PAGE), 0, "not before the end");
        assert_eq!(bench.wait(), OPERATION_TIME);
        assert_eq!(bench.word(PAGE), 0x1234_5678);
        assert_eq!(bench.flash.read(0x18), Ok(sr::EOP | sr::READY | sr::ENDHV));
        bench.store(PAGE, 0xFFFF_FFFF);
        assert_eq!(bench.errors(), sr::NOTZEROERR);
        assert_eq!(bench.word(PAGE), 0x1234_5678);
    }

    #[test]
    fn a_page_erase_clears_128_bytes() {
        let mut bench = Bench::unlocked();
        bench.memory.program(0x7F80, &[0x55; 384]);
        bench.mode(pecr::ERASE | pecr::PROG);
        bench.store(PAGE + 0x40, 0);
        bench.wait();
        assert_eq!(
            (
                bench.word(PAGE - 4),
                bench.word(PAGE),
                bench.word(PAGE + 124),
                bench.word(PAGE + 128)
            ),
            (0x5555_5555, 0, 0, 0x5555_5555)
        );
    }

    #[test]
    fn a_half_page_is_one_operation() {
        let mut bench = Bench::unlocked();
        bench.half_page(PAGE + 64, 0x100);
        assert_eq!(bench.wait(), OPERATION_TIME);
        assert_eq!(
            (bench.word(PAGE + 64), bench.word(PAGE + 124)),
            (0x100, 0x10F)
        );
        assert_eq!(bench.faults.operations(), 1);
        bench.half_page(PAGE + 64, 0x200);
        assert_eq!(bench.errors(), sr::NOTZEROERR);
    }

    #[test]
    fn a_half_page_must_be_aligned_and_whole() {
        let mut bench = Bench::unlocked();
        bench.mode(pecr::FPRG | pecr::PROG);
        bench.store(PAGE + 4, 1);
        assert_eq!(bench.errors(), sr::PGAERR);
        bench.flash.write(0x18, sr::ERRORS).unwrap();
        bench.store(PAGE, 1);
        bench.store(PAGE + 64, 1);
        assert_eq!(bench.errors(), sr::PGAERR);
        assert_eq!(bench.faults.operations(), 0);
    }

    #[test]
    fn a_fetch_from_flash_in_the_middle_of_a_half_page_is_an_error() {
        let mut bench = Bench::unlocked();
        bench.mode(pecr::FPRG | pecr::PROG);
        bench.store(PAGE, 1);
        assert!(bench.flash.loads_half_page());
        bench.flash.fetched();
        assert_eq!(bench.errors(), sr::FWWERR);
    }

    #[test]
    fn flash_takes_words_only() {
        let mut bench = Bench::unlocked();
        bench
            .flash
            .write_flash(
                PAGE,
                Width::Half,
                1,
                &mut bench.memory,
                &mut bench.faults,
                Time::ZERO,
            )
            .unwrap();
        assert_eq!(bench.errors(), sr::SIZERR);
    }

    #[test]
    fn the_eeprom_takes_every_width_and_erases_when_it_must() {
        let mut bench = Bench::unlocked();
        bench.eeprom(8, Width::Word, 0x0403_0201);
        assert_eq!(bench.wait(), OPERATION_TIME);
        bench.eeprom(9, Width::Byte, 0xAA);
        assert_eq!(bench.wait(), OPERATION_TIME * 2);
        bench.eeprom(10, Width::Half, 0xBBCC);
        bench.wait();
        assert_eq!(bench.flash.eeprom()[8..12], [0x01, 0xAA, 0xCC, 0xBB]);
        bench.mode(pecr::ERASE | pecr::DATA);
        bench.eeprom(8, Width::Word, 0);
        assert_eq!(bench.wait(), OPERATION_TIME);
        assert_eq!(bench.flash.eeprom()[8..12], [0; 4]);
    }

    #[test]
    fn a_second_eeprom_write_waits_for_the_first() {
        let mut bench = Bench::unlocked();
        bench.eeprom(0, Width::Word, 1);
        bench.eeprom(4, Width::Word, 2);
        assert_eq!(bench.wait(), OPERATION_TIME * 2);
        assert_eq!(bench.flash.eeprom()[..8], [1, 0, 0, 0, 2, 0, 0, 0]);
    }

    #[test]
    fn write_protection_is_in_force_after_a_reload() {
        let mut bench = Bench::unlocked();
        let wrprot: u16 = 1 << 8;
        bench
            .flash
            .write_option(
                2,
                Width::Word,
                with_complement(wrprot),
                &mut bench.memory,
                &mut bench.faults,
                Time::ZERO,
            )
            .unwrap();
        bench.wait();
        assert!(!bench.flash.is_protected(0x8000));
        bench.mode(pecr::OBL_LAUNCH);
        assert!(bench.flash.take_launch());
        bench
            .flash
            .reset(ResetCause::OptionBytes, &mut bench.memory, 0);
        assert_eq!(bench.flash.read(0x20), Ok(0x100));
        for (offset, keys) in [(0x0C, PEKEYS), (0x10, PRGKEYS)] {
            for key in keys {
                bench.flash.write(offset, key).unwrap();
            }
        }
        bench.store(PAGE, 1);
        assert_eq!(bench.errors(), sr::WRPERR);
        bench.store(PAGE + 4096, 1);
        assert_eq!(bench.errors(), sr::WRPERR, "only the first one was refused");
        bench.wait();
        assert_eq!((bench.word(PAGE), bench.word(PAGE + 4096)), (0, 1));
    }

    #[test]
    fn option_bytes_with_a_wrong_complement_are_told() {
        let mut bench = Bench::unlocked();
        bench.flash.option_words[2] = 0x0000_0001;
        bench.flash.reset(ResetCause::PowerOn, &mut bench.memory, 0);
        assert_eq!(bench.errors(), sr::OPTVERR);
    }

    #[test]
    fn leaving_protection_level_1_erases_everything() {
        let mut bench = Bench::unlocked();
        bench.memory.program(0, &[1; 8]);
        bench.flash.eeprom_mut()[0] = 1;
        for level in [0x00BB, 0x00AA] {
            bench
                .flash
                .write_option(
                    0,
                    Width::Word,
                    with_complement(level),
                    &mut bench.memory,
                    &mut bench.faults,
                    bench.now,
                )
                .unwrap();
            bench.wait();
            bench.flash.load_options();
            let kept = level == 0x00BB;
            assert_eq!(
                (bench.memory.flash()[0] == 1, bench.flash.eeprom()[0] == 1),
                (kept, kept)
            );
        }
    }

    #[test]
    fn cuts_before_inside_and_after_an_erase_leave_all_some_and_nothing() {
        let left = |place| {
            let mut bench = Bench::unlocked();
            bench.memory.program(0x8000, &[0xFF; 128]);
            bench.faults.cut_at(CutPoint {
                operation: 0,
                place,
            });
            bench.mode(pecr::ERASE | pecr::PROG);
            bench.store(PAGE, 0);
            bench.wait();
            assert!(bench.faults.power_lost());
            bench.memory.flash()[0x8000..0x8080]
                .iter()
                .map(|byte| byte.count_ones())
                .sum::<u32>()
        };
        assert_eq!(left(Place::Before), 1024);
        assert_eq!(left(Place::After), 0);
        for seed in 0..16 {
            let ones = left(Place::Inside { seed });
            assert!((1..1024).contains(&ones), "seed {seed}: {ones} bits left");
        }
    }

    #[test]
    fn cuts_before_inside_and_after_differ_for_every_operation_and_follow_their_seed() {
        type Operation = fn(&mut Bench);
        type Cells = fn(&Bench) -> Vec<u8>;
        fn flash(bench: &Bench) -> Vec<u8> {
            bench.memory.flash()[0x8000..0x8080].to_vec()
        }
        fn eeprom(bench: &Bench) -> Vec<u8> {
            bench.flash.eeprom()[..4].to_vec()
        }
        fn option(bench: &Bench) -> Vec<u8> {
            bench.flash.option_words[2].to_le_bytes().to_vec()
        }
        let operations: [(OperationKind, Operation, Cells); 5] = [
            (
                OperationKind::FlashPageErase,
                |bench| {
                    bench.memory.program(0x8000, &[0xA7; 128]);
                    bench.mode(pecr::ERASE | pecr::PROG);
                    bench.store(PAGE, 0);
                },
                flash,
            ),
            (
                OperationKind::FlashHalfPage,
                |bench| bench.half_page(PAGE, 0xFEDC_BA98),
                flash,
            ),
            (
                OperationKind::FlashWord,
                |bench| bench.store(PAGE, 0xFFFF_FFFF),
                flash,
            ),
            (
                OperationKind::EepromWord,
                |bench| bench.eeprom(0, Width::Word, 0xFFFF_FFFF),
                eeprom,
            ),
            (
                OperationKind::OptionBytes,
                |bench| {
                    bench
                        .flash
                        .write_option(
                            2,
                            Width::Word,
                            with_complement(0xF0F0),
                            &mut bench.memory,
                            &mut bench.faults,
                            bench.now,
                        )
                        .unwrap();
                },
                option,
            ),
        ];
        for (kind, operation, cells) in operations {
            let outcome = |place| {
                let mut bench = Bench::unlocked();
                bench.faults.record();
                bench.faults.cut_at(CutPoint {
                    operation: 0,
                    place,
                });
                operation(&mut bench);
                bench.wait();
                assert!(bench.faults.power_lost());
                assert_eq!(bench.faults.recorded()[0].kind, kind);
                cells(&bench)
            };
            let (before, after) = (outcome(Place::Before), outcome(Place::After));
            assert_ne!(before, after, "{kind:?}");
            let mut mixed = 0;
            for seed in 0..32 {
                let inside = outcome(Place::Inside { seed });
                assert_eq!(inside, outcome(Place::Inside { seed }), "{kind:?} {seed}");
                mixed += u32::from(inside != before && inside != after);
            }
            assert!(mixed > 20, "{kind:?}: {mixed} of 32");
        }
    }

    #[test]
    fn each_bit_of_write_protection_guards_its_4_kb_and_no_other() {
        for sector in 0..16usize {
            let mut bench = Bench::unlocked();
            bench.flash.options.write_protection = 1 << sector;
            let (first, last) = (sector * SECTOR_SIZE, (sector + 1) * SECTOR_SIZE - 4);
            for (offset, refused) in [
                (first as u32, true),
                (last as u32, true),
                (first.wrapping_sub(4) as u32, false),
                (last as u32 + 4, false),
            ] {
                if offset as usize >= FLASH_SIZE {
                    continue;
                }
                bench.flash.write(0x18, sr::CLEARABLE).unwrap();
                bench.store(FLASH_BASE + offset, 1);
                bench.wait();
                assert_eq!(bench.errors() == sr::WRPERR, refused, "{offset:#x}");
                assert_eq!(bench.word(FLASH_BASE + offset) == 0, refused, "{offset:#x}");
            }
        }
    }

    #[test]
    fn fix_makes_every_eeprom_write_erase_first() {
        let mut bench = Bench::unlocked();
        bench.mode(pecr::FIX);
        bench.eeprom(0, Width::Word, 1);
        assert_eq!(bench.wait(), OPERATION_TIME * 2);
        bench.mode(0);
        bench.eeprom(4, Width::Word, 1);
        assert_eq!(bench.wait(), OPERATION_TIME);
    }

    #[test]
    fn level_2_freezes_the_option_bytes_and_level_1_does_not_stop_the_firmware() {
        for (level, errors) in [(0x00BB, 0), (0x00CC, sr::WRPERR)] {
            let mut bench = Bench::unlocked();
            bench.flash.options.optr = bench.flash.options.optr & !0xFF | level;
            bench.store(PAGE, 7);
            bench.wait();
            assert_eq!(bench.word(PAGE), 7);
            bench
                .flash
                .write_option(
                    2,
                    Width::Word,
                    with_complement(1),
                    &mut bench.memory,
                    &mut bench.faults,
                    bench.now,
                )
                .unwrap();
            bench.wait();
            assert_eq!(bench.errors(), errors, "{level:#x}");
        }
    }

    #[test]
    fn errors_and_the_end_of_an_operation_interrupt_when_asked() {
        let mut bench = Bench::unlocked();
        bench.mode(pecr::EOPIE | pecr::ERRIE);
        bench.store(PAGE, 1);
        assert!(!bench.flash.interrupt());
        bench.wait();
        assert!(bench.flash.interrupt());
        bench.flash.write(0x18, sr::EOP).unwrap();
        assert!(!bench.flash.interrupt());
        bench.store(PAGE, 2);
        assert!(bench.flash.interrupt());
        bench.flash.write(0x18, sr::NOTZEROERR).unwrap();
        assert!(!bench.flash.interrupt());
    }

    #[test]
    fn a_torn_eeprom_word_is_neither_old_nor_new_for_most_seeds() {
        let mut mixed = 0;
        for seed in 0..64 {
            let mut bench = Bench::unlocked();
            bench.flash.eeprom_mut()[..4].copy_from_slice(&0x0F0F_0F0Fu32.to_le_bytes());
            bench.faults.cut_at(CutPoint {
                operation: 0,
                place: Place::Inside { seed },
            });
            bench.eeprom(0, Width::Word, 0xFF00_FF00);
            bench.wait();
            let word = u32::from_le_bytes(bench.flash.eeprom()[..4].try_into().unwrap());
            mixed += u32::from(word != 0x0F0F_0F0F && word != 0xFF00_FF00);
        }
        assert!(mixed > 48, "{mixed} of 64");
    }
}
