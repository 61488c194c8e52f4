//! The STM32L052 around its core: address decoding, clock gates, and one file for each peripheral.
//!
//! Register offsets and fields are those of `stm32-metapac` for the STM32L052K8. Behaviour, reset values and times name
//! RM0376 or DS10182 where they stand, and have had no second source yet: `docs/emulator.md` says which.
//! It must never make up an answer: what is not modelled is an error in strict mode.

pub mod adc;
pub mod crc;
pub mod crs;
pub mod dbg;
pub mod dma;
pub mod flash;
pub mod gpio;
pub mod iwdg;
pub mod pwr;
pub mod rcc;
pub mod spi;
pub mod syscfg;
pub mod usb;

use self::adc::{Adc, AdcClock};
use self::crc::Crc;
use self::crs::Crs;
use self::dbg::Dbg;
use self::dma::Dma;
use self::flash::{EEPROM_BASE, EEPROM_SIZE, Flash};
use self::gpio::Port;
use self::iwdg::Iwdg;
use self::pwr::{Pwr, VoltageRange};
use self::rcc::{Gate, HSI16, Rcc, RccWrite};
use self::spi::Spi;
use self::syscfg::Syscfg;
use self::usb::{PACKET_MEMORY, Usb};
use crate::board::{Board, NAND_SELECT};
use crate::cpu::bus::{Bus, BusFault, Effect, ResetCause, Width};
use crate::fault::Faults;
use crate::memory::{FLASH_SIZE, Memory, flash_offset};
use crate::time::Time;

/// What a register access gives.
pub(crate) type Reg = Result<u32, BusFault>;

/// Interrupt lines (RM0376, vector table).
mod line {
    pub const FLASH: u32 = 1 << 3;
    pub const RCC_CRS: u32 = 1 << 4;
    pub const ADC: u32 = 1 << 12;
    pub const SPI1: u32 = 1 << 25;
    pub const USB: u32 = 1 << 31;
}

/// Ports that exist: A, B, C, D and H.
const PORTS: [usize; 5] = [0, 1, 2, 3, 7];

/// Address of the unique id's first two words; the third is at +0x14.
const UNIQUE_ID: u32 = 0x1FF8_0050;
/// Address of the flash size in KB.
const FLASH_SIZE_KB: u32 = 0x1FF8_007C;

/// What answers at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Iwdg,
    Usb,
    UsbMemory,
    Crs,
    Pwr,
    Syscfg,
    Adc,
    Spi1,
    Dbg,
    Dma,
    Rcc,
    Flash,
    Crc,
    Gpio(usize),
    Eeprom,
    System,
    FlashCells,
    /// On the chip, but not here: timers, RTC, USARTs and the like.
    NotModelled,
}

impl Unit {
    /// The unit and the offset in it.
    fn at(address: u32) -> Option<(Unit, u32)> {
        let (unit, base) = match address {
            0x4000_3000..=0x4000_33FF => (Unit::Iwdg, 0x4000_3000),
            0x4000_5C00..=0x4000_5FFF => (Unit::Usb, 0x4000_5C00),
            0x4000_6000..=0x4000_63FF => (Unit::UsbMemory, 0x4000_6000),
            0x4000_6C00..=0x4000_6FFF => (Unit::Crs, 0x4000_6C00),
            0x4000_7000..=0x4000_73FF => (Unit::Pwr, 0x4000_7000),
            0x4001_0000..=0x4001_03FF => (Unit::Syscfg, 0x4001_0000),
            0x4001_2400..=0x4001_27FF => (Unit::Adc, 0x4001_2400),
            0x4001_3000..=0x4001_33FF => (Unit::Spi1, 0x4001_3000),
            0x4001_5800..=0x4001_5BFF => (Unit::Dbg, 0x4001_5800),
            0x4002_0000..=0x4002_03FF => (Unit::Dma, 0x4002_0000),
            0x4002_1000..=0x4002_13FF => (Unit::Rcc, 0x4002_1000),
            0x4002_2000..=0x4002_23FF => (Unit::Flash, 0x4002_2000),
            0x4002_3000..=0x4002_33FF => (Unit::Crc, 0x4002_3000),
            0x5000_0000..=0x5000_1FFF => {
                let port = (address - 0x5000_0000) / 0x400;
                let index = PORTS.iter().position(|&p| p == port as usize)?;
                (Unit::Gpio(index), 0x5000_0000 + port * 0x400)
            }
            0x1FF8_0000..=0x1FF8_00FF => (Unit::System, 0x1FF8_0000),
            // TIM2 to LPTIM1, EXTI to USART1, TSC, RNG and AES.
            0x4000_0000..=0x4000_7FFF | 0x4001_0000..=0x4001_5BFF | 0x4002_4000..=0x4002_63FF => {
                (Unit::NotModelled, address)
            }
            _ if (EEPROM_BASE..EEPROM_BASE + EEPROM_SIZE as u32).contains(&address) => {
                (Unit::Eeprom, EEPROM_BASE)
            }
            _ => {
                let offset = flash_offset(address)? as u32;
                return Some((Unit::FlashCells, offset));
            }
        };
        Some((unit, address - base))
    }

    fn gate(self) -> Option<Gate> {
        Some(match self {
            Unit::Usb | Unit::UsbMemory => Gate::Usb,
            Unit::Crs => Gate::Crs,
            Unit::Pwr => Gate::Pwr,
            Unit::Syscfg => Gate::Syscfg,
            Unit::Adc => Gate::Adc,
            Unit::Spi1 => Gate::Spi1,
            Unit::Dbg => Gate::Dbg,
            Unit::Dma => Gate::Dma,
            Unit::Crc => Gate::Crc,
            Unit::Gpio(index) => Gate::Gpio(PORTS[index] as u8),
            Unit::Iwdg
            | Unit::Rcc
            | Unit::Flash
            | Unit::Eeprom
            | Unit::System
            | Unit::FlashCells
            | Unit::NotModelled => return None,
        })
    }
}

/// The peripherals, and the board they are soldered to.
#[derive(Clone)]
pub struct Chip {
    strict: bool,
    unique_id: [u32; 3],
    rcc: Rcc,
    pwr: Pwr,
    crs: Crs,
    syscfg: Syscfg,
    flash: Flash,
    ports: [Port; 5],
    spi1: Spi,
    dma: Dma,
    adc: Adc,
    iwdg: Iwdg,
    usb: Usb,
    crc: Crc,
    dbg: Dbg,
    pub(crate) board: Board,
    pub(crate) faults: Faults,
    reset: Option<ResetCause>,
    violation: Option<String>,
}

impl Chip {
    pub(crate) fn new(strict: bool, unique_id: [u32; 3]) -> Chip {
        Chip {
            strict,
            unique_id,
            rcc: Rcc::new(),
            pwr: Pwr::new(),
            crs: Crs::new(),
            syscfg: Syscfg::new(),
            flash: Flash::new(),
            ports: PORTS.map(Port::new),
            spi1: Spi::new(),
            dma: Dma::new(),
            adc: Adc::new(),
            iwdg: Iwdg::new(),
            usb: Usb::new(),
            crc: Crc::new(),
            dbg: Dbg::new(),
            board: Board::default(),
            faults: Faults::default(),
            reset: None,
            violation: None,
        }
    }

    /// The clock tree.
    pub fn rcc(&self) -> &Rcc {
        &self.rcc
    }

    /// The flash controller with EEPROM and option bytes.
    pub fn flash(&self) -> &Flash {
        &self.flash
    }

    pub(crate) fn flash_mut(&mut self) -> &mut Flash {
        &mut self.flash
    }

    /// In strict mode: what the firmware demanded that the chip cannot do, such as a clock beyond its limits.
    pub(crate) fn take_violation(&mut self) -> Option<String> {
        self.violation.take()
    }

    /// Whether the watchdog is running.
    pub(crate) fn has_watchdog(&self) -> bool {
        self.iwdg.is_running()
    }

    /// Every register as after reset. What is in flash, EEPROM and option bytes stays.
    pub(crate) fn reset(&mut self, cause: ResetCause, memory: &mut Memory, now: Time, seed: u64) {
        self.flash.reset(cause, memory, seed);
        self.rcc.reset(cause);
        self.pwr = Pwr::new();
        self.crs = Crs::new();
        self.syscfg = Syscfg::new();
        self.ports = PORTS.map(Port::new);
        self.spi1 = Spi::new();
        self.dma = Dma::new();
        self.adc = Adc::new();
        self.iwdg = Iwdg::new();
        self.usb = Usb::new();
        self.crc = Crc::new();
        self.dbg = Dbg::new();
        self.reset = None;
        self.violation = None;
        if self.flash.hardware_watchdog() {
            self.iwdg.start(now);
            self.rcc.start_lsi(now);
        }
        self.wire(now);
    }

    /// A peripheral's bit in a reset register was set.
    fn reset_gate(&mut self, gate: Gate) {
        match gate {
            Gate::Gpio(port) => {
                if let Some(index) = PORTS.iter().position(|&p| p == usize::from(port)) {
                    self.ports[index] = Port::new(usize::from(port));
                }
            }
            Gate::Dma => self.dma = Dma::new(),
            Gate::Crc => self.crc = Crc::new(),
            Gate::Syscfg => self.syscfg = Syscfg::new(),
            Gate::Adc => self.adc = Adc::new(),
            Gate::Spi1 => self.spi1 = Spi::new(),
            Gate::Dbg => self.dbg = Dbg::new(),
            Gate::Usb => self.usb = Usb::new(),
            Gate::Crs => self.crs = Crs::new(),
            Gate::Pwr => self.pwr = Pwr::new(),
        }
    }

    /// Carries levels and clocks from where they are made to where they are felt.
    fn wire(&mut self, now: Time) {
        self.rcc
            .set_hsi48_reference(self.syscfg.hsi48_reference(), now);
        let clocked = self.rcc.clock48() && self.rcc.is_enabled(Gate::Usb);
        self.usb.set_clock(clocked, now);
        self.board.usb.observe(self.usb.pull_up(), now);
        // The pull-up on the board holds chip select high while the pin does not drive it.
        let selected = self.ports[0].drives(NAND_SELECT) == Some(false);
        self.board.nand.select(selected, now, &mut self.faults);
    }

    fn violate(&mut self, text: String) {
        if self.strict && self.violation.is_none() {
            self.violation = Some(text);
        }
    }

    /// The limits of each voltage range, DS10182 and RM0376.
    fn check_clocks(&mut self) {
        let hclk = self.rcc.hclk();
        let range = self.pwr.range();
        let (fastest, without_wait, vco) = match range {
            VoltageRange::Range1 => (32_000_000, 16_000_000, 96_000_000),
            VoltageRange::Range2 => (16_000_000, 8_000_000, 48_000_000),
            VoltageRange::Range3 => (4_200_000, 4_200_000, 24_000_000),
        };
        if hclk > fastest {
            self.violate(format!("{hclk} Hz is too fast for {range:?}"));
        } else if hclk > without_wait && self.flash.latency() == 0 {
            self.violate(format!("{hclk} Hz in {range:?} needs a flash wait state"));
        }
        if let Some(hertz) = self.rcc.running_vco().filter(|&hertz| hertz > vco) {
            self.violate(format!("a PLL VCO of {hertz} Hz is too fast for {range:?}"));
        }
    }

    fn adc_clock(&self) -> AdcClock {
        AdcClock {
            pclk: self.rcc.pclk2(),
            hsi16: self.rcc.hsi16_ready().then_some(HSI16),
        }
    }

    /// Moves frames between SPI1, the NAND and DMA as far as they are due.
    fn advance_spi(&mut self, memory: &mut Memory, now: Time) {
        let pclk = self.rcc.pclk2();
        let dma = self.rcc.is_enabled(Gate::Dma);
        // When the transmit buffer last became free: DMA fills it at once.
        let mut at = now;
        if let Some(until) = self.spi1.shifting_until() {
            at = at.min(until);
        }
        loop {
            if dma
                && self.spi1.requests_transmit()
                && self.dma.serves_spi1(dma::SPI1_TX)
                && let Some(frame) = self.dma.take(dma::SPI1_TX, memory)
            {
                self.spi1.put(frame, at, pclk);
                continue;
            }
            let Some((wire, bytes, end)) = self.spi1.due(now) else {
                break;
            };
            at = end;
            let mut answer = 0;
            for index in (0..bytes).rev() {
                let out = (wire >> (8 * index)) as u8;
                answer = answer << 8 | u16::from(self.exchange(out, end));
            }
            self.spi1.complete(answer, end, pclk);
            if dma && self.spi1.requests_receive() && self.dma.serves_spi1(dma::SPI1_RX) {
                let frame = self.spi1.take_received();
                self.dma.store(dma::SPI1_RX, frame, memory);
            }
        }
    }

    /// A byte on the wires of SPI1.
    fn exchange(&mut self, out: u8, at: Time) -> u8 {
        let port = &self.ports[0];
        let [clock, input, output] = [5, 6, 7].map(|pin| port.is_alternate(pin, 0));
        if !clock || !self.spi1.is_mode_0_or_3() {
            return 0xFF;
        }
        // MOSI floats high when the pin is not SPI's, and MISO is not looked at when its pin is not.
        let out = if output { out } else { 0xFF };
        let answer = self.board.nand.exchange(out, at, &mut self.faults);
        if input { answer } else { 0xFF }
    }

    fn spi_event(&self) -> Option<Time> {
        let shifting = self.spi1.shifting_until()?;
        if self.spi1.wants_events() {
            return Some(shifting);
        }
        if !self.rcc.is_enabled(Gate::Dma) {
            return None;
        }
        let frames = [dma::SPI1_RX, dma::SPI1_TX]
            .into_iter()
            .filter_map(|channel| self.dma.until_interrupt(channel))
            .min()?;
        let frame = self.spi1.frame_time(self.rcc.pclk2());
        Some(shifting + frame * u64::from(frames.saturating_sub(1)))
    }

    fn check(&self, unit: Unit) -> Result<(), BusFault> {
        match unit.gate() {
            Some(gate) if !self.rcc.is_enabled(gate) => Err(BusFault::Unclocked),
            _ => Ok(()),
        }
    }

    fn read_unit(
        &mut self,
        memory: &mut Memory,
        unit: Unit,
        offset: u32,
        width: Width,
        now: Time,
    ) -> Reg {
        self.check(unit)?;
        match unit {
            Unit::UsbMemory => {
                if offset as usize >= PACKET_MEMORY {
                    return Err(BusFault::Reserved);
                }
                return self.usb.read_memory(offset, width);
            }
            Unit::Eeprom => {
                return Ok(self.flash.read_eeprom(
                    offset as usize,
                    width,
                    memory,
                    &mut self.faults,
                ));
            }
            Unit::Spi1 | Unit::Dma => self.advance_spi(memory, now),
            _ => {}
        }
        let clock = self.adc_clock();
        let word = offset & !3;
        let value = match unit {
            Unit::Iwdg => self.iwdg.read(word, now),
            Unit::Usb => self.usb.read(word),
            Unit::Crs => self.crs.read(word),
            Unit::Pwr => self.pwr.read(word, now),
            Unit::Syscfg => self.syscfg.read(word),
            Unit::Adc => self.adc.read(word, now, clock),
            Unit::Spi1 => self.spi1.read(word),
            Unit::Dbg => self.dbg.read(word),
            Unit::Dma => self.dma.read(word),
            Unit::Rcc => self.rcc.read(word),
            Unit::Flash => self.flash.read(word),
            Unit::Crc => self.crc.read(word),
            Unit::Gpio(index) => {
                let (levels, driven) = match index {
                    0 => (self.board.port_a(), Board::PORT_A_DRIVEN),
                    _ => (0, 0),
                };
                self.ports[index].read(word, levels, driven)
            }
            Unit::System => self.read_system(word),
            Unit::FlashCells => {
                let at = word as usize;
                let cells = &memory.flash()[at..at + 4];
                Ok(cells
                    .iter()
                    .rev()
                    .fold(0, |value, &byte| value << 8 | u32::from(byte)))
            }
            Unit::NotModelled | Unit::UsbMemory | Unit::Eeprom => Err(BusFault::Reserved),
        }?;
        let mask = u32::MAX >> (32 - 8 * width as u32);
        Ok(value >> (8 * (offset & 3)) & mask)
    }

    fn read_system(&self, offset: u32) -> Reg {
        let address = 0x1FF8_0000 + offset;
        Ok(match address {
            UNIQUE_ID => self.unique_id[0],
            a if a == UNIQUE_ID + 4 => self.unique_id[1],
            a if a == UNIQUE_ID + 0x14 => self.unique_id[2],
            a if a == adc::VREFINT_CAL_ADDRESS => {
                u32::from(adc::VREFINT_CAL) | u32::from(adc::TS_CAL1) << 16
            }
            // Flash size in the lower half, TS_CAL2 in the upper.
            FLASH_SIZE_KB => (FLASH_SIZE / 1024) as u32 | u32::from(adc::TS_CAL2) << 16,
            _ => return self.flash.read_option(offset as usize / 4),
        })
    }

    fn write_unit(
        &mut self,
        memory: &mut Memory,
        unit: Unit,
        offset: u32,
        width: Width,
        value: u32,
        now: Time,
    ) -> Result<Effect, BusFault> {
        self.check(unit)?;
        let word = offset & !3;
        match unit {
            Unit::Gpio(index) => {
                if index == 0 {
                    self.advance_spi(memory, now);
                }
                self.ports[index].write(word, offset & 3, width, value)?;
                self.wire(now);
                // A NAND operation may have begun that power is to be cut in.
                let cut = self.board.nand.next_event().is_some() || self.faults.power_lost();
                return Ok(if cut { Effect::Attention } else { Effect::None });
            }
            Unit::UsbMemory => {
                if offset as usize >= PACKET_MEMORY {
                    return Err(BusFault::Reserved);
                }
                self.usb.write_memory(offset, width, value)?;
                return Ok(Effect::None);
            }
            Unit::Crc => {
                self.crc.write(word, value, width)?;
                return Ok(Effect::None);
            }
            Unit::Spi1 => {
                self.advance_spi(memory, now);
                let is_data = word == 0x0C;
                if !is_data && width == Width::Byte {
                    return Err(BusFault::Width);
                }
                self.spi1.write(word, value, now, self.rcc.pclk2())?;
                self.advance_spi(memory, now);
                let quiet = is_data && self.spi_event().is_none();
                return Ok(if quiet {
                    Effect::None
                } else {
                    Effect::Attention
                });
            }
            Unit::Usb if width != Width::Byte => {
                self.usb.write(word, value, now)?;
                self.wire(now);
                if self.usb.take_kick() {
                    self.board.usb.kick(now);
                }
                return Ok(Effect::Attention);
            }
            Unit::Eeprom => {
                let at = offset as usize;
                self.flash
                    .write_eeprom(at, width, value, memory, &mut self.faults, now)?;
                return Ok(Effect::Attention);
            }
            Unit::FlashCells => {
                self.flash
                    .write_flash(offset, width, value, memory, &mut self.faults, now)?;
                return Ok(Effect::Attention);
            }
            Unit::System => {
                let index = offset as usize / 4;
                self.flash
                    .write_option(index, width, value, memory, &mut self.faults, now)?;
                return Ok(Effect::Attention);
            }
            Unit::NotModelled => return Err(BusFault::Reserved),
            // The buses to the remaining ones repeat a narrow value in every lane: hardly what the writer meant.
            _ if width != Width::Word => return Err(BusFault::Width),
            _ => {}
        }
        let clock = self.adc_clock();
        match unit {
            Unit::Iwdg => {
                self.iwdg.write(word, value, now)?;
                if self.iwdg.is_running() {
                    self.rcc.start_lsi(now);
                }
            }
            Unit::Crs => self.crs.write(word, value)?,
            Unit::Pwr => {
                self.pwr.write(word, value, now)?;
                self.check_clocks();
            }
            Unit::Syscfg => self.syscfg.write(word, value)?,
            Unit::Adc => self.adc.write(word, value, now, clock)?,
            Unit::Dbg => self.dbg.write(word, value)?,
            Unit::Dma => {
                self.advance_spi(memory, now);
                self.dma.write(word, value)?;
                self.advance_spi(memory, now);
            }
            Unit::Rcc => {
                // Frames under way keep the clock they began with.
                self.advance_spi(memory, now);
                let done = self.rcc.write(word, value, self.pwr.rtc_access(), now)?;
                if let RccWrite::Resets { register, bits } = done {
                    for gate in Rcc::gates(register, bits) {
                        self.reset_gate(gate);
                    }
                }
                self.check_clocks();
            }
            Unit::Flash => {
                self.flash.write(word, value)?;
                self.check_clocks();
            }
            _ => return Err(BusFault::Reserved),
        }
        self.wire(now);
        Ok(Effect::Attention)
    }

    /// Outside strict mode only an address where nothing is faults, as on the chip.
    fn soften<T>(&self, result: Result<T, BusFault>, instead: T) -> Result<T, BusFault> {
        match result {
            Err(BusFault::Unclocked | BusFault::Reserved | BusFault::Width) if !self.strict => {
                Ok(instead)
            }
            other => other,
        }
    }
}

impl Bus for Chip {
    fn read(&mut self, memory: &mut Memory, address: u32, width: Width, now: Time) -> Reg {
        let (unit, offset) = Unit::at(address).ok_or(BusFault::Unmapped)?;
        let result = self.read_unit(memory, unit, offset, width, now);
        self.soften(result, 0)
    }

    fn write(
        &mut self,
        memory: &mut Memory,
        address: u32,
        width: Width,
        value: u32,
        now: Time,
    ) -> Result<Effect, BusFault> {
        let (unit, offset) = Unit::at(address).ok_or(BusFault::Unmapped)?;
        let result = self.write_unit(memory, unit, offset, width, value, now);
        self.soften(result, Effect::None)
    }

    fn next_event(&self) -> Option<Time> {
        [
            self.board.usb.next_event(),
            self.usb.next_event(),
            self.flash.next_event(),
            self.rcc.next_event(),
            self.iwdg.next_event(),
            self.adc.next_event(),
            self.spi_event(),
            self.board.nand.next_event(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn poll(&mut self, memory: &mut Memory, now: Time) -> u32 {
        self.rcc.tick(now);
        self.check_clocks();
        self.wire(now);
        self.flash.tick(memory, &mut self.faults, now);
        if self.flash.take_launch() {
            self.reset = Some(ResetCause::OptionBytes);
        }
        if self.iwdg.bites(now) {
            self.reset = Some(ResetCause::IndependentWatchdog);
        }
        self.advance_spi(memory, now);
        self.board.nand.advance(now, &mut self.faults);
        if self.board.usb.tick(&mut self.usb, now) {
            self.crs.start_of_frame();
        }
        self.usb.tick(now);
        let clock = self.adc_clock();
        let port = &self.ports[0];
        self.adc
            .tick(now, clock, &self.board, |pin| port.is_analog(pin));

        let flag = |set, mask| if set { mask } else { 0 };
        self.dma.interrupts()
            | flag(self.flash.interrupt(), line::FLASH)
            | flag(self.rcc.interrupt() || self.crs.interrupt(), line::RCC_CRS)
            | flag(self.adc.interrupt(), line::ADC)
            | flag(self.spi1.interrupt(), line::SPI1)
            | flag(self.usb.interrupt(), line::USB)
    }

    fn cycle(&self) -> Time {
        self.rcc.cycle()
    }

    fn flash_busy_until(&self, now: Time) -> Option<Time> {
        self.flash.busy_until(now)
    }

    fn flash_fetched(&mut self) {
        if self.flash.loads_half_page() {
            self.flash.fetched();
        }
    }

    fn take_reset(&mut self) -> Option<ResetCause> {
        // The machine sees to these two before it looks at the cause.
        if self.faults.power_lost() || self.violation.is_some() {
            return Some(ResetCause::PowerOn);
        }
        self.reset.take()
    }
}
