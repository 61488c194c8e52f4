//! The SPI NAND, a Winbond W25N01GV on SPI1: PA4 chip select, PA5 clock, PA6 MISO, PA7 MOSI.
//!
//! Source of commands and bits: W25N01GV data sheet, revision G, sections 7 and 8.

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

/// The NAND.
pub struct SpiNand {
    /// Set when it answered with its identity and was unlocked.
    ready: bool,
}

/// Pages that ECC has mended. Counted in the application alone: the bootloader, which nobody asks for it, has no room.
static MENDED: AtomicU32 = AtomicU32::new(0);

impl SpiNand {
    pub(crate) fn new() -> SpiNand {
        SpiNand { ready: false }
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
    fn wait(&self) -> Option<u8> {
        for _ in 0..STATUS_READS {
            let mut state = [0];
            take(&[command::READ_STATUS, status::STATE], &mut state);
            if state[0] & status::BUSY == 0 {
                return Some(state[0]);
            }
        }
        None
    }

    /// A command that takes a page address, and its status.
    fn on_page(&mut self, command: u8, page: u32) -> Option<u8> {
        let [_, _, high, low] = page.to_be_bytes();
        order(&[command, 0, high, low]);
        watchdog::feed();
        let state = self.wait();
        // It has stopped answering: it is looked for, and unlocked, anew.
        self.ready = state.is_some();
        state
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
        match self.on_page(command::READ_PAGE, page) {
            Some(state) if state & status::UNCORRECTABLE == 0 => {
                if cfg!(feature = "application") && state & status::MENDED != 0 {
                    MENDED.store(MENDED.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                }
                Ok(())
            }
            _ => Err(Unreadable),
        }
    }

    fn read(&mut self, column: u16, out: &mut [u8]) {
        let [high, low] = column.to_be_bytes();
        take(&[command::READ_BUFFER, high, low, 0], out);
    }

    fn program(&mut self, page: u32, column: u16, data: &[u8]) -> Result<(), WriteFailed> {
        if !self.is_there() {
            return Err(WriteFailed);
        }
        let [high, low] = column.to_be_bytes();
        order(&[command::WRITE_ENABLE]);
        give(&[command::LOAD_BUFFER, high, low], data);
        match self.on_page(command::PROGRAM, page) {
            Some(state) if state & status::PROGRAM_FAILED == 0 => Ok(()),
            _ => {
                self.ready = false;
                Err(WriteFailed)
            }
        }
    }

    fn erase(&mut self, block: u32) -> Result<(), WriteFailed> {
        if !self.is_there() {
            return Err(WriteFailed);
        }
        order(&[command::WRITE_ENABLE]);
        match self.on_page(command::ERASE_BLOCK, block * NAND_BLOCK_PAGES) {
            Some(state) if state & status::ERASE_FAILED == 0 => Ok(()),
            _ => {
                self.ready = false;
                Err(WriteFailed)
            }
        }
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
    transfer(command, 0, 0, false);
}

/// A command and the bytes that belong to it.
fn give(command: &[u8], data: &[u8]) {
    transfer(command, data.as_ptr() as u32, data.len(), false);
}

/// A command and what is answered to it.
fn take(command: &[u8], data: &mut [u8]) {
    transfer(command, data.as_mut_ptr() as u32, data.len(), true);
}

/// Sends a command; then DMA sends the bytes at `address`, and puts what comes in their place when it is to `receive`.
///
/// It is done when this returns: the bytes are lent for no longer than the caller has them.
#[inline(never)]
fn transfer(command: &[u8], address: u32, length: usize, receive: bool) {
    // What was written to the bytes is in memory, and what is read of them later is read anew.
    compiler_fence(Ordering::SeqCst);
    select();
    for &byte in command {
        SPI1.dr().write(|w| w.set_dr(byte.into()));
        while !SPI1.sr().read().rxne() {}
        SPI1.dr().read();
    }
    if length > 0 {
        // While it answers, the NAND does not look at what is sent: the place of its answer serves.
        stream(address, length, receive);
    }
    deselect();
    compiler_fence(Ordering::SeqCst);
}

#[inline(always)]
fn stream(address: u32, length: usize, receive: bool) {
    let channels = [DMA1.ch(RECEIVE), DMA1.ch(SEND)];
    for channel in channels {
        channel.par().write_value(SPI1.dr().as_ptr() as u32);
        channel.mar().write_value(address);
        channel.ndtr().write(|w| w.set_ndt(length as u16));
    }
    let [receiving, sending] = channels;
    SPI1.cr2().write(|w| {
        w.set_rxdmaen(receive);
        w.set_txdmaen(true);
    });
    receiving.cr().write(|w| {
        w.set_minc(true);
        w.set_en(receive);
    });
    sending.cr().write(|w| {
        w.set_dir(Dir::FROM_MEMORY);
        w.set_minc(true);
        w.set_en(true);
    });
    while channels[usize::from(!receive)].ndtr().read().ndt() > 0 {}
    while !SPI1.sr().read().txe() || SPI1.sr().read().bsy() {}
    for channel in channels {
        channel.cr().write(|w| w.set_en(false));
    }
    SPI1.cr2().write(|_| ());
    // What came while nothing was to be received: reading both registers forgets that it was too much.
    SPI1.dr().read();
    SPI1.sr().read();
}
