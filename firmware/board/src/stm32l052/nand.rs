//! The SPI NAND, a Winbond W25N01GV on SPI1: PA4 chip select, PA5 clock, PA6 MISO, PA7 MOSI.
//!
//! Whoever reads a longer piece of a page mostly reads on: DMA fetches the next one while the core is at something else.
//!
//! Source of commands and bits: W25N01GV data sheet, revision G, sections 7 and 8.

use core::cell::UnsafeCell;
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU32, Ordering, compiler_fence};

use crate::watchdog;
use stm32_metapac::bdma::vals::Dir;
use stm32_metapac::gpio::vals::{Moder, Ospeedr};
use stm32_metapac::spi::vals::{Br, Mstr};
use stm32_metapac::{DMA1, GPIOA, RCC, SPI1};
use update::memory::{NAND_BLOCK_PAGES, NAND_PAGE, Nand, Unreadable, WriteFailed};

/// JEDEC identity of the W25N01GV.
const IDENTITY: [u8; 3] = [0xEF, 0xAA, 0x21];
/// Number of blocks.
pub const BLOCKS: u32 = 1024;

/// Commands.
mod command {
    pub const RESET: u8 = 0xFF;
    pub const READ_ID: u8 = 0x9F;
    pub const READ_STATUS: u8 = 0x0F;
    pub const WRITE_STATUS: u8 = 0x1F;
    pub const WRITE_ENABLE: u8 = 0x06;
    pub const READ_PAGE: u8 = 0x13;
    pub const READ_BUFFER: u8 = 0x03;
    pub const LOAD_BUFFER: u8 = 0x02;
    pub const PROGRAM: u8 = 0x10;
    pub const ERASE_BLOCK: u8 = 0xD8;
}

/// Status registers and their bits.
mod status {
    pub const PROTECTION: u8 = 0xA0;
    pub const UNPROTECTED: u8 = 0x00;
    pub const CONFIGURATION: u8 = 0xB0;
    /// ECC on, pages read one by one through the buffer.
    pub const ECC_AND_BUFFER: u8 = 0x18;
    pub const STATE: u8 = 0xC0;
    pub const BUSY: u8 = 1 << 0;
    pub const ERASE_FAILED: u8 = 1 << 2;
    pub const PROGRAM_FAILED: u8 = 1 << 3;
    /// Errors that ECC has mended.
    pub const MENDED: u8 = 1 << 4;
    /// Errors that ECC could not mend.
    pub const UNCORRECTABLE: u8 = 1 << 5;
}

/// Channels of DMA for SPI1, counted from 0, and the number by which they know it (RM0376, table "DMA1 requests").
const RECEIVE: usize = 1;
const SEND: usize = 2;
const SPI1_REQUEST: u8 = 1;

/// The longest operation is a block erase, 10 ms; one look at the status takes at least 1.5 µs.
const STATUS_READS: u32 = 10_000;

/// Lengths of a piece that is read on, in bytes. Those who look for something read less.
const READ_ON: RangeInclusive<usize> = 128..=LONGEST_AHEAD;
const LONGEST_AHEAD: usize = 512;

/// The NAND.
pub struct SpiNand {
    /// Set when it answered with its identity and was unlocked.
    ready: bool,
    /// The page in its buffer, if that is known and was read without an error.
    page: Option<u32>,
    /// What was fetched ahead of that page, or is on its way.
    ahead: Piece,
}

/// Column and length, in bytes.
type Piece = (usize, usize);
const NOTHING: Piece = (0, 0);

/// Where DMA puts what is fetched ahead.
struct Ahead(UnsafeCell<[u8; LONGEST_AHEAD]>);

// SAFETY: it is written by DMA alone, and read between `rest` and the next fetch by the one driver there is.
unsafe impl Sync for Ahead {}

static AHEAD: Ahead = Ahead(UnsafeCell::new([0; LONGEST_AHEAD]));

/// Pages that ECC has mended. Counted in the application alone: the bootloader, which nobody asks for it, has no room.
static MENDED: AtomicU32 = AtomicU32::new(0);

impl SpiNand {
    pub(crate) fn new() -> SpiNand {
        SpiNand {
            ready: false,
            page: None,
            ahead: NOTHING,
        }
    }

    /// How many pages ECC has mended when they were read, since the start.
    pub fn mended(&self) -> u32 {
        MENDED.load(Ordering::Relaxed)
    }

    /// Brings up pins and bus, and the chip if it is there.
    fn start(&mut self) {
        RCC.gpioenr().modify(|w| w.set_gpioaen(true));
        RCC.apb2enr().modify(|w| w.set_spi1en(true));
        RCC.ahbenr().modify(|w| w.set_dma1en(true));
        DMA1.cselr().modify(|w| {
            w.set_cs(RECEIVE, SPI1_REQUEST);
            w.set_cs(SEND, SPI1_REQUEST);
        });
        deselect();
        GPIOA.ospeedr().modify(|w| {
            for pin in 4..8 {
                w.set_ospeedr(pin, Ospeedr::VERY_HIGH_SPEED);
            }
        });
        // Alternate function 0 of PA5, PA6 and PA7 is SPI1, and 0 is what AFR has after reset.
        GPIOA.moder().modify(|w| {
            w.set_moder(4, Moder::OUTPUT);
            for pin in 5..8 {
                w.set_moder(pin, Moder::ALTERNATE);
            }
        });
        // 16 MHz, mode 0; the chip select is a pin of our own.
        SPI1.cr1().write(|w| {
            w.set_mstr(Mstr::MASTER);
            w.set_br(Br::DIV2);
            w.set_ssm(true);
            w.set_ssi(true);
            w.set_spe(true);
        });
        self.forget();
        order(&[command::RESET]);
        let mut identity = [0; 3];
        if self.wait().is_none() {
            return;
        }
        take(&[command::READ_ID, 0], &mut identity);
        if identity != IDENTITY {
            return;
        }
        // After power-up all blocks are protected.
        for (register, value) in [
            (status::PROTECTION, status::UNPROTECTED),
            (status::CONFIGURATION, status::ECC_AND_BUFFER),
        ] {
            order(&[command::WRITE_STATUS, register, value]);
        }
        self.ready = true;
    }

    /// Waits for the end of an operation; its status, or nothing when it does not end.
    fn wait(&mut self) -> Option<u8> {
        for _ in 0..STATUS_READS {
            let mut state = [0];
            take(&[command::READ_STATUS, status::STATE], &mut state);
            if state[0] & status::BUSY == 0 {
                return Some(state[0]);
            }
        }
        // It has stopped answering: it is looked for, and unlocked, anew.
        self.ready = false;
        None
    }

    /// A command that takes a page address, and its status.
    fn on_page(&mut self, command: u8, page: u32) -> Option<u8> {
        let [_, _, high, low] = page.to_be_bytes();
        order(&[command, 0, high, low]);
        watchdog::feed();
        self.wait()
    }

    /// The same for one that changes the page, and what its status then says if it failed.
    #[inline(never)]
    fn change(&mut self, command: u8, page: u32, failed: u8) -> Result<(), WriteFailed> {
        match self.on_page(command, page) {
            Some(state) if state & failed == 0 => Ok(()),
            _ => {
                self.ready = false;
                Err(WriteFailed)
            }
        }
    }

    /// Before anything that changes what is in the chip's buffer.
    fn forget(&mut self) {
        rest();
        self.page = None;
        self.ahead = NOTHING;
    }
}

impl Nand for SpiNand {
    fn is_there(&mut self) -> bool {
        if !self.ready {
            self.start();
        }
        self.ready
    }

    fn open(&mut self, page: u32) -> Result<(), Unreadable> {
        if !self.is_there() {
            return Err(Unreadable);
        }
        rest();
        // Read already, and nothing has come between: whether it still answers is all there is to know.
        let again = self.page == Some(page);
        let state = if again {
            self.wait()
        } else {
            self.forget();
            self.on_page(command::READ_PAGE, page)
        };
        match state {
            Some(state) if state & status::UNCORRECTABLE == 0 => {
                if cfg!(feature = "application") && !again && state & status::MENDED != 0 {
                    MENDED.store(MENDED.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                }
                self.page = Some(page);
                Ok(())
            }
            _ => {
                self.page = None;
                Err(Unreadable)
            }
        }
    }

    fn read(&mut self, column: u16, out: &mut [u8]) {
        rest();
        let piece = (column.into(), out.len());
        // SAFETY: DMA rests until the next fetch, when this is no longer used.
        let ahead = unsafe { &*AHEAD.0.get() };
        match ahead.get(..out.len()) {
            Some(ahead) if self.ahead == piece => out.copy_from_slice(ahead),
            _ => {
                fetch(piece, out.as_mut_ptr());
                rest();
            }
        }
        let (start, length) = piece;
        let next = (start + length, length);
        self.ahead = NOTHING;
        if READ_ON.contains(&length) && start + 2 * length <= NAND_PAGE {
            fetch(next, AHEAD.0.get().cast());
            self.ahead = next;
        }
    }

    fn program(&mut self, page: u32, column: u16, data: &[u8]) -> Result<(), WriteFailed> {
        if !self.is_there() {
            return Err(WriteFailed);
        }
        self.forget();
        let [high, low] = column.to_be_bytes();
        order(&[command::WRITE_ENABLE]);
        give(&[command::LOAD_BUFFER, high, low], data);
        self.change(command::PROGRAM, page, status::PROGRAM_FAILED)
    }

    fn erase(&mut self, block: u32) -> Result<(), WriteFailed> {
        if !self.is_there() {
            return Err(WriteFailed);
        }
        self.forget();
        order(&[command::WRITE_ENABLE]);
        let page = block * NAND_BLOCK_PAGES;
        self.change(command::ERASE_BLOCK, page, status::ERASE_FAILED)
    }

    fn is_bad(&mut self, block: u32) -> bool {
        // The first spare byte of the first page says it; ECC need not be content with a bad block.
        let _ = self.open(block * NAND_BLOCK_PAGES);
        let mut marker = [0];
        self.read(NAND_PAGE as u16, &mut marker);
        !self.ready || marker[0] != 0xFF
    }

    fn mark_bad(&mut self, block: u32) {
        // When not even this can be programmed, the block fails again next time, and is passed over again.
        let _ = self.program(block * NAND_BLOCK_PAGES, NAND_PAGE as u16, &[0]);
    }
}

fn select() {
    GPIOA.bsrr().write(|w| w.set_br(4, true));
}

fn deselect() {
    GPIOA.bsrr().write(|w| w.set_bs(4, true));
}

/// A command of these bytes alone.
fn order(command: &[u8]) {
    begin(command);
    deselect();
}

/// A command and the bytes that belong to it.
fn give(command: &[u8], data: &[u8]) {
    begin(command);
    stream(data.as_ptr() as u32, data.len(), false);
    rest();
}

/// A command and what is answered to it.
fn take(command: &[u8], data: &mut [u8]) {
    begin(command);
    stream(data.as_mut_ptr() as u32, data.len(), true);
    rest();
}

/// Lets DMA fetch a piece of the chip's buffer. Until [`rest`] its place belongs to DMA.
#[inline(never)]
fn fetch((column, length): Piece, place: *mut u8) {
    let [.., high, low] = column.to_be_bytes();
    begin(&[command::READ_BUFFER, high, low, 0]);
    stream(place as u32, length, true);
}

/// Selects the chip and sends it a command.
#[inline(never)]
fn begin(command: &[u8]) {
    select();
    for &byte in command {
        SPI1.dr().write(|w| w.set_dr(byte.into()));
        while !SPI1.sr().read().rxne() {}
        SPI1.dr().read();
    }
}

/// Lets DMA send the bytes at `address`, or put what comes in their place when it is to `receive`: while it answers, the
/// NAND does not look at what is sent. Until [`rest`] the bytes belong to DMA.
#[inline(never)]
fn stream(address: u32, length: usize, receive: bool) {
    // What was written to the bytes is in memory.
    compiler_fence(Ordering::SeqCst);
    let [receiving, sending] = [DMA1.ch(RECEIVE), DMA1.ch(SEND)];
    for channel in [receiving, sending] {
        channel.par().write_value(SPI1.dr().as_ptr() as u32);
        channel.mar().write_value(address);
        channel.ndtr().write(|w| w.set_ndt(length as u16));
    }
    if !receive {
        // What comes meanwhile is taken as well, one byte over the other, so that the last says when all is over.
        receiving.mar().write_value(AHEAD.0.get() as u32);
    }
    SPI1.cr2().write(|w| {
        w.set_rxdmaen(true);
        w.set_txdmaen(true);
    });
    receiving.cr().write(|w| {
        w.set_minc(receive);
        w.set_en(true);
    });
    sending.cr().write(|w| {
        w.set_dir(Dir::FROM_MEMORY);
        w.set_minc(true);
        w.set_en(true);
    });
}

/// Waits until DMA is done, and deselects the chip. Before its bus is used for something else, or stands still.
#[inline(never)]
pub(crate) fn rest() {
    let receiving = DMA1.ch(RECEIVE);
    // It cannot be asked before its clock runs.
    if !RCC.ahbenr().read().dma1en() || !receiving.cr().read().en() {
        return;
    }
    while receiving.ndtr().read().ndt() > 0 {}
    for channel in [receiving, DMA1.ch(SEND)] {
        channel.cr().write(|_| ());
    }
    SPI1.cr2().write(|_| ());
    deselect();
    // What is read of the bytes later is read anew.
    compiler_fence(Ordering::SeqCst);
}
