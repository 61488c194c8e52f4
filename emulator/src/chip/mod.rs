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
pub mod exti;
pub mod flash;
pub mod gpio;
pub mod iwdg;
pub mod lptim;
pub mod pwr;
pub mod rcc;
pub mod rtc;
pub mod spi;
pub mod syscfg;
pub mod timer;
pub mod usart;
pub mod usb;

use self::adc::{Adc, AdcClock};
use self::crc::Crc;
use self::crs::Crs;
use self::dbg::Dbg;
use self::dma::Dma;
use self::exti::Exti;
use self::flash::{EEPROM_BASE, EEPROM_SIZE, Flash};
use self::gpio::Port;
use self::iwdg::Iwdg;
use self::lptim::Lptim;
use self::pwr::{Pwr, VoltageRange};
use self::rcc::{Gate, HSI16, Rcc, RccWrite};
use self::rtc::Rtc;
use self::spi::Spi;
use self::syscfg::Syscfg;
use self::timer::Timer;
use self::usart::{Serial, Usart};
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
    pub const LPTIM1: u32 = 1 << 13;
    /// TIM2, TIM6, TIM21, TIM22.
    pub const TIMERS: [u32; 4] = [1 << 15, 1 << 17, 1 << 20, 1 << 22];
    pub const SPI1: u32 = 1 << 25;
    /// USART1, USART2, LPUART1.
    pub const USARTS: [u32; 3] = [1 << 27, 1 << 28, 1 << 29];
    pub const USB: u32 = 1 << 31;
}

/// Ports that exist: A, B, C, D and H.
const PORTS: [usize; 5] = [0, 1, 2, 3, 7];

/// Gates of the timers, and the APB bus that clocks each.
const TIMERS: [(Gate, u32); 4] = [
    (Gate::Tim2, 1),
    (Gate::Tim6, 1),
    (Gate::Tim21, 2),
    (Gate::Tim22, 2),
];
/// USART1, USART2 and LPUART1: gate, bit of the clock choice in CCIPR, and the pins that can be TX and RX as port (index
/// into [`PORTS`]), pin and alternate function. Source: `stm32-metapac`.
const USARTS: [UsartPlace; 3] = [
    UsartPlace {
        gate: Gate::Usart1,
        clock: 0,
        transmit: [(0, 9, 4), (1, 6, 0)],
        receive: [(0, 10, 4), (1, 7, 0)],
    },
    UsartPlace {
        gate: Gate::Usart2,
        clock: 2,
        transmit: [(0, 2, 4), (0, 14, 4)],
        receive: [(0, 3, 4), (0, 15, 4)],
    },
    UsartPlace {
        gate: Gate::Lpuart1,
        clock: 10,
        transmit: [(1, 10, 4), (1, 10, 4)],
        receive: [(1, 11, 4), (1, 11, 4)],
    },
];

struct UsartPlace {
    gate: Gate,
    clock: u32,
    transmit: [(usize, u32, u32); 2],
    receive: [(usize, u32, u32); 2],
}

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
    Rtc,
    Exti,
    /// Index into [`TIMERS`].
    Timer(usize),
    Lptim1,
    /// Index into [`USARTS`].
    Usart(usize),
    Dma,
    Rcc,
    Flash,
    Crc,
    Gpio(usize),
    Eeprom,
    System,
    FlashCells,
    /// On the chip, but not here: I2C, SPI2, DAC and the like.
    NotModelled,
}

impl Unit {
    /// The unit and the offset in it.
    fn at(address: u32) -> Option<(Unit, u32)> {
        let (unit, base) = match address {
            0x4000_0000..=0x4000_03FF => (Unit::Timer(0), 0x4000_0000),
            0x4000_1000..=0x4000_13FF => (Unit::Timer(1), 0x4000_1000),
            0x4000_2800..=0x4000_2BFF => (Unit::Rtc, 0x4000_2800),
            0x4000_4400..=0x4000_47FF => (Unit::Usart(1), 0x4000_4400),
            0x4000_4800..=0x4000_4BFF => (Unit::Usart(2), 0x4000_4800),
            0x4000_7C00..=0x4000_7FFF => (Unit::Lptim1, 0x4000_7C00),
            0x4001_0400..=0x4001_07FF => (Unit::Exti, 0x4001_0400),
            0x4001_0800..=0x4001_0BFF => (Unit::Timer(2), 0x4001_0800),
            0x4001_1400..=0x4001_17FF => (Unit::Timer(3), 0x4001_1400),
            0x4001_3800..=0x4001_3BFF => (Unit::Usart(0), 0x4001_3800),
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
            // On APB1 and APB2, TSC, RNG and AES.
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
            Unit::Timer(index) => TIMERS[index].0,
            Unit::Lptim1 => Gate::Lptim1,
            Unit::Usart(index) => USARTS[index].gate,
            Unit::Iwdg
            | Unit::Rtc
            | Unit::Exti
            | Unit::Rcc
            | Unit::Flash
            | Unit::Eeprom
            | Unit::System
            | Unit::FlashCells
            | Unit::NotModelled => return None,
        })
    }
}

/// How much of the chip is awake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    /// The core may sleep, but clocks run.
    Run,
    /// Since a moment.
    Stop(Time),
    /// Out of STOP, until the clock has come up.
    Waking(Time),
    /// Since a moment.
    Standby(Time),
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
    exti: Exti,
    rtc: Rtc,
    timers: [Timer; 4],
    lptim1: Lptim,
    usarts: [Usart; 3],
    power: Power,
    /// Clocks, gates, power mode or alternate functions may have changed: [`Chip::wire`] has to tell the counters.
    clocks_changed: bool,
    /// Some timer or USART is switched on.
    counters_on: bool,
    /// Time in STOP and STANDBY that is over.
    stopped: Time,
    stood_by: Time,
    pub(crate) board: Board,
    pub(crate) faults: Faults,
    reset: Option<ResetCause>,
    violation: Option<String>,
}

impl Chip {
    pub(crate) fn new(strict: bool, unique_id: [u32; 3], lsi: u32) -> Chip {
        Chip {
            strict,
            unique_id,
            rcc: Rcc::new(lsi),
            pwr: Pwr::new(),
            crs: Crs::new(),
            syscfg: Syscfg::new(),
            flash: Flash::new(),
            ports: PORTS.map(Port::new),
            spi1: Spi::new(),
            dma: Dma::new(),
            adc: Adc::new(),
            iwdg: Iwdg::new(lsi),
            usb: Usb::new(),
            crc: Crc::new(),
            dbg: Dbg::new(),
            exti: Exti::new(),
            rtc: Rtc::new(lsi),
            timers: [4, 0, 2, 2].map(Timer::new),
            lptim1: Lptim::new(),
            usarts: [false, false, true].map(Usart::new),
            power: Power::Run,
            clocks_changed: true,
            counters_on: false,
            stopped: Time::ZERO,
            stood_by: Time::ZERO,
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

    /// The real-time clock.
    pub fn rtc(&self) -> &Rtc {
        &self.rtc
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

    /// The other end of a serial cable: of USART1 (0), USART2 (1) or LPUART1 (2).
    pub(crate) fn serial_mut(&mut self, index: usize) -> &mut Serial {
        &mut self.usarts[index].serial
    }

    /// Time spent in STOP and in STANDBY up to `now`.
    pub(crate) fn deep_sleep_time(&self, now: Time) -> (Time, Time) {
        match self.power {
            Power::Stop(since) => (self.stopped + now.since(since), self.stood_by),
            Power::Standby(since) => (self.stopped, self.stood_by + now.since(since)),
            Power::Run | Power::Waking(_) => (self.stopped, self.stood_by),
        }
    }

    /// Power went away at `now`: nothing is awake or asleep any more.
    pub(crate) fn power_off(&mut self, now: Time) {
        (self.stopped, self.stood_by) = self.deep_sleep_time(now);
        self.power = Power::Run;
    }

    /// Whether STANDBY ends without waiting for VREFINT.
    pub(crate) fn fast_wakeup(&self) -> bool {
        self.pwr.fast_wakeup()
    }

    /// Whether the watchdog is running.
    pub(crate) fn has_watchdog(&self) -> bool {
        self.iwdg.is_running()
    }

    /// Every register as after reset. What is in flash, EEPROM and option bytes stays.
    pub(crate) fn reset(&mut self, cause: ResetCause, memory: &mut Memory, now: Time, seed: u64) {
        (self.stopped, self.stood_by) = self.deep_sleep_time(now);
        self.power = Power::Run;
        self.clocks_changed = true;
        self.flash.reset(cause, memory, seed);
        self.rcc.reset(cause);
        self.pwr.reset(cause == ResetCause::Standby);
        if cause == ResetCause::PowerOn {
            self.rtc = Rtc::new(self.rcc.lsi());
        } else {
            self.rtc.reset();
        }
        self.exti = Exti::new();
        self.timers = [4, 0, 2, 2].map(Timer::new);
        self.lptim1 = Lptim::new();
        self.usarts.iter_mut().for_each(Usart::reset);
        self.crs = Crs::new();
        self.syscfg = Syscfg::new();
        self.ports = PORTS.map(Port::new);
        self.spi1 = Spi::new();
        self.dma = Dma::new();
        self.adc = Adc::new();
        self.iwdg = Iwdg::new(self.rcc.lsi());
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
            Gate::Pwr => self.pwr.reset(false),
            Gate::Tim2 => self.timers[0] = Timer::new(4),
            Gate::Tim6 => self.timers[1] = Timer::new(0),
            Gate::Tim21 => self.timers[2] = Timer::new(2),
            Gate::Tim22 => self.timers[3] = Timer::new(2),
            Gate::Lptim1 => self.lptim1 = Lptim::new(),
            Gate::Usart1 => self.usarts[0].reset(),
            Gate::Usart2 => self.usarts[1].reset(),
            Gate::Lpuart1 => self.usarts[2].reset(),
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
        if std::mem::take(&mut self.clocks_changed) {
            self.clock_counters(now);
        }
    }

    /// Gives timers, RTC and USARTs their clocks.
    fn clock_counters(&mut self, now: Time) {
        let stopped = self.power != Power::Run;
        self.counters_on = TIMERS
            .iter()
            .map(|(gate, _)| *gate)
            .chain(USARTS.iter().map(|place| place.gate))
            .any(|gate| self.rcc.is_enabled(gate));
        for (timer, (gate, bus)) in self.timers.iter_mut().zip(TIMERS) {
            let period = if stopped || !self.rcc.is_enabled(gate) {
                Time::ZERO
            } else {
                self.rcc.timer_period(bus)
            };
            timer.set_period(period, now);
        }
        let hertz = match self.rcc.is_enabled(Gate::Lptim1) {
            true => self.rcc.lptim_clock(stopped),
            false => 0,
        };
        let period = match hertz {
            0 => Time::ZERO,
            hertz => Time::period_of(hertz),
        };
        self.lptim1.set_period(period, now);
        if self.rcc.resets_rtc() {
            self.rtc = Rtc::new(self.rcc.lsi());
        }
        self.rtc.set_running(self.rcc.rtc_runs(), now);
        for (usart, place) in self.usarts.iter_mut().zip(USARTS) {
            if !self.rcc.is_enabled(place.gate) || stopped {
                usart.connect(0, false, false);
                continue;
            }
            let pclk = match place.gate {
                Gate::Usart1 => self.rcc.pclk2(),
                _ => self.rcc.pclk1(),
            };
            let [transmit, receive] = [place.transmit, place.receive].map(|pins| {
                pins.into_iter()
                    .any(|(port, pin, function)| self.ports[port].is_alternate(pin, function))
            });
            usart.connect(self.rcc.kernel_clock(place.clock, pclk), transmit, receive);
        }
    }

    /// Carries levels of pins and peripherals to EXTI and the wake-up pins.
    fn connect_exti(&mut self) {
        let flag = |set, mask| if set { mask } else { 0 };
        self.exti.set_levels(
            exti::RTC_ALARM | exti::RTC_WAKEUP,
            flag(self.rtc.alarm_line(), exti::RTC_ALARM)
                | flag(self.rtc.wakeup_line(), exti::RTC_WAKEUP),
        );
        self.exti.set_direct(
            flag(self.usb.wakeup_line(), exti::USB_WAKEUP)
                | flag(self.lptim1.interrupt(), exti::LPTIM1),
        );
        if self.rtc.alarm_line() || self.rtc.wakeup_line() {
            self.pwr.wake();
        }
        // Wake-up pin 1 is PA0; the two others are not wired.
        self.pwr.set_wakeup_pins(u32::from(self.board.port_a() & 1));
        if self.exti.watches_pins() {
            let mut levels = 0;
            for pin in 0..16 {
                // EXTICR's code 5 is port H.
                let port = match self.syscfg.exti_port(pin) {
                    port @ 0..=3 => port,
                    5 => 4,
                    _ => continue,
                };
                levels |= self.inputs(port) & 1 << pin;
            }
            self.exti.set_levels(exti::PINS, levels);
        }
    }

    /// Levels of a port's pins as its input register shows them.
    fn inputs(&self, port: usize) -> u32 {
        match port {
            0 => self.ports[0].inputs(self.board.port_a(), self.board.port_a_driven()),
            _ => self.ports[port].inputs(0, 0),
        }
    }

    /// Moves on through STOP and STANDBY. True when clocks run and peripherals work.
    fn is_awake(&mut self, now: Time) -> bool {
        match self.power {
            Power::Run => {}
            Power::Stop(since) => {
                if self.exti.wakes() {
                    self.stopped += now.since(since);
                    self.power = Power::Waking(now + self.rcc.wake());
                    self.clocks_changed = true;
                }
            }
            Power::Waking(until) => {
                if until <= now {
                    self.power = Power::Run;
                    self.clocks_changed = true;
                    self.check_clocks();
                    self.wire(now);
                }
            }
            Power::Standby(_) => {
                if self.pwr.woken() {
                    self.reset.get_or_insert(ResetCause::Standby);
                }
            }
        }
        self.power == Power::Run
    }

    fn counter_event(&self) -> Option<Time> {
        if !self.counters_on {
            return None;
        }
        let timers = self.timers.iter().filter_map(Timer::next_event);
        let usarts = self.usarts.iter().filter_map(Usart::next_frame);
        timers.chain(usarts).min()
    }

    /// Moves bytes between the USARTs, the cables and DMA as far as they are due.
    fn advance_usarts(&mut self, memory: &mut Memory, now: Time) {
        if !self.counters_on {
            return;
        }
        let dma = self.rcc.is_enabled(Gate::Dma);
        for (index, usart) in self.usarts.iter_mut().enumerate() {
            if !self.rcc.is_enabled(USARTS[index].gate) {
                continue;
            }
            usart.start_receiving(now);
            let mut at = now;
            loop {
                if dma
                    && usart.requests_transmit()
                    && let Some(channel) = self.dma.channel(&dma::TO_USART[index])
                    && let Some(value) = self.dma.take(channel, memory)
                {
                    usart.put(value as u8, at);
                    continue;
                }
                if dma
                    && usart.requests_receive()
                    && let Some(channel) = self.dma.channel(&dma::FROM_USART[index])
                {
                    let byte = usart.take_received();
                    self.dma.store(channel, byte.into(), memory);
                }
                let Some(end) = usart.finish_frame(now) else {
                    break;
                };
                at = end;
                usart.start_receiving(end);
            }
        }
    }

    fn advance_adc(&mut self, memory: &mut Memory, now: Time) {
        let clock = self.adc_clock();
        loop {
            let port = &self.ports[0];
            let moved = self
                .adc
                .step(now, clock, &self.board, |pin| port.is_analog(pin));
            if self.adc.requests_dma()
                && self.rcc.is_enabled(Gate::Dma)
                && let Some(channel) = self.dma.channel(&dma::FROM_ADC)
                && let Ok(value) = self.adc.read(adc::DR, now, clock)
            {
                self.dma.store(channel, value as u16, memory);
            }
            if !moved {
                return;
            }
        }
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
        match () {
            () if !input => 0xFF,
            () if self.board.nand.drives() => answer,
            // Nobody holds MISO: the chip's own pull does, if there is one.
            () if self.ports[0].pulls_down(6) => 0x00,
            () => 0xFF,
        }
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
            Unit::Spi1 => self.advance_spi(memory, now),
            Unit::Usart(_) => self.advance_usarts(memory, now),
            Unit::Dma => {
                self.advance_spi(memory, now);
                self.advance_usarts(memory, now);
                self.advance_adc(memory, now);
            }
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
            Unit::Rtc => self.rtc.read(word, now),
            Unit::Exti => self.exti.read(word),
            Unit::Timer(index) => self.timers[index].read(word, now),
            Unit::Lptim1 => self.lptim1.read(word, now),
            Unit::Usart(index) => self.usarts[index].read(word),
            Unit::Dma => self.dma.read(word),
            Unit::Rcc => self.rcc.read(word),
            Unit::Flash => self.flash.read(word),
            Unit::Crc => self.crc.read(word),
            Unit::Gpio(index) => {
                let (levels, driven) = match index {
                    0 => (self.board.port_a(), self.board.port_a_driven()),
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
                self.clocks_changed |= gpio::sets_function(word);
                self.wire(now);
                // A NAND operation may have begun that power is to be cut in.
                let cut = self.board.nand.next_event().is_some() || self.faults.power_lost();
                return Ok(if cut || self.exti.watches_pins() {
                    Effect::Attention
                } else {
                    Effect::None
                });
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
            Unit::Timer(index) if width != Width::Byte => {
                self.timers[index].write(word, value, now)?;
                return Ok(Effect::Attention);
            }
            Unit::Usart(index) if width == Width::Word || word == usart::TDR => {
                self.advance_usarts(memory, now);
                self.usarts[index].write(word, value, now)?;
                self.wire(now);
                self.advance_usarts(memory, now);
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
            Unit::Rtc => self.rtc.write(word, value, self.pwr.rtc_access(), now)?,
            Unit::Exti => self.exti.write(word, value)?,
            Unit::Lptim1 => self.lptim1.write(word, value, now)?,
            Unit::Dma => {
                self.advance_spi(memory, now);
                self.advance_usarts(memory, now);
                self.dma.write(word, value)?;
                self.advance_spi(memory, now);
                self.advance_usarts(memory, now);
            }
            Unit::Rcc => {
                // Frames under way keep the clock they began with.
                self.advance_spi(memory, now);
                self.advance_usarts(memory, now);
                let done = self.rcc.write(word, value, self.pwr.rtc_access(), now)?;
                self.clocks_changed = true;
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

    fn is_steady(&self, address: u32) -> bool {
        address == flash::STATUS
    }

    fn next_event(&self) -> Option<Time> {
        // What goes on in STOP and STANDBY too.
        let always = [
            self.board.usb.next_event(),
            self.rcc.next_event(),
            self.iwdg.next_event(),
            self.rtc.next_event(),
            self.lptim1.next_event(),
            self.board.nand.next_event(),
        ];
        match self.power {
            Power::Run => {}
            Power::Waking(until) => return always.into_iter().flatten().chain([until]).min(),
            Power::Stop(_) | Power::Standby(_) => return always.into_iter().flatten().min(),
        }
        [
            self.usb.next_event(),
            self.flash.next_event(),
            self.adc.next_event(),
            self.spi_event(),
        ]
        .into_iter()
        .chain(always)
        .flatten()
        .chain(self.counter_event())
        .min()
    }

    fn poll(&mut self, memory: &mut Memory, now: Time) -> u32 {
        if self.rcc.next_event().is_some_and(|due| due <= now) {
            self.rcc.tick(now);
            self.clocks_changed = true;
        }
        self.check_clocks();
        self.rtc.tick(now);
        self.lptim1.advance(now);
        self.wire(now);
        self.flash.tick(memory, &mut self.faults, now);
        if self.flash.take_launch() {
            self.reset = Some(ResetCause::OptionBytes);
        }
        if self.iwdg.bites(now) {
            self.reset = Some(ResetCause::IndependentWatchdog);
        }
        self.board.nand.advance(now, &mut self.faults);
        if self.board.usb.tick(&mut self.usb, now) && self.power == Power::Run {
            self.crs.start_of_frame();
        }
        self.connect_exti();
        if !self.is_awake(now) {
            return 0;
        }
        self.advance_spi(memory, now);
        self.advance_usarts(memory, now);
        self.usb.tick(now);
        self.advance_adc(memory, now);

        let flag = |set, mask| if set { mask } else { 0 };
        let mut lines = self.exti.interrupts() | self.dma.interrupts();
        if self.counters_on {
            for (timer, line) in self.timers.iter_mut().zip(line::TIMERS) {
                timer.advance(now);
                lines |= flag(timer.interrupt(), line);
            }
            for (usart, line) in self.usarts.iter().zip(line::USARTS) {
                lines |= flag(usart.interrupt(), line);
            }
        }
        lines
            | flag(self.lptim1.interrupt(), line::LPTIM1)
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

    fn sleeping(&mut self, deep: bool, now: Time) -> bool {
        // A flash operation that is running is waited for first.
        if !deep || self.power != Power::Run || self.flash.busy_until(now).is_some() {
            return false;
        }
        let standby = self.pwr.standby();
        if !standby && self.exti.wakes() {
            return false;
        }
        if self.flash.resets_in_low_power(standby) {
            self.reset = Some(ResetCause::LowPower);
            return true;
        }
        if standby {
            self.power = Power::Standby(now);
            // Every pin floats, and what is clocked from the core's domain loses its power.
            self.ports = PORTS.map(|port| {
                if port == 0 {
                    Port::floating()
                } else {
                    Port::new(port)
                }
            });
            self.usb = Usb::new();
            self.lptim1 = Lptim::new();
        } else {
            self.power = Power::Stop(now);
        }
        self.rcc.stop();
        self.clocks_changed = true;
        self.wire(now);
        true
    }

    fn take_event(&mut self) -> bool {
        self.power == Power::Run && self.exti.take_event()
    }

    fn take_reset(&mut self) -> Option<ResetCause> {
        // The machine sees to these two before it looks at the cause.
        if self.faults.power_lost() || self.violation.is_some() {
            return Some(ResetCause::PowerOn);
        }
        self.reset.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Random;

    const RCC: u32 = 0x4002_1000;

    /// A chip whose every gate is open.
    fn clocked() -> (Chip, Memory) {
        let (mut chip, mut memory) = (Chip::new(true, [0; 3], rcc::LSI), Memory::new());
        for (offset, value) in [
            (0x2C, 0x9F),
            (0x30, 0x0111_1101),
            (0x34, 0x0040_5665),
            (0x38, 0xFFFF_FFFF),
        ] {
            chip.write(&mut memory, RCC + offset, Width::Word, value, Time::ZERO)
                .unwrap();
        }
        (chip, memory)
    }

    /// Offsets of first and last word.
    type Runs = &'static [(u32, u32)];

    /// What answers in each peripheral, as `docs/emulator.md` has it: first and last word of each run.
    #[rustfmt::skip]
    const REGISTERS: &[(&str, u32, Runs)] = &[
        ("TIM2", 0x4000_0000, &[(0x00, 0x2C), (0x34, 0x40), (0x48, 0x50)]),
        ("TIM6", 0x4000_1000, &[(0x00, 0x04), (0x0C, 0x14), (0x24, 0x2C)]),
        ("RTC", 0x4000_2800, &[(0x00, 0x14), (0x1C, 0x28), (0x30, 0x60)]),
        ("IWDG", 0x4000_3000, &[(0x00, 0x10)]),
        ("USART2", 0x4000_4400, &[(0x00, 0x28)]),
        ("LPUART1", 0x4000_4800, &[(0x00, 0x28)]),
        ("USB", 0x4000_5C00, &[(0x00, 0x1C), (0x40, 0x58)]),
        ("USB memory", 0x4000_6000, &[(0x00, 0x3FC)]),
        ("CRS", 0x4000_6C00, &[(0x00, 0x0C)]),
        ("PWR", 0x4000_7000, &[(0x00, 0x04)]),
        ("LPTIM1", 0x4000_7C00, &[(0x00, 0x1C)]),
        ("SYSCFG", 0x4001_0000, &[(0x00, 0x14), (0x20, 0x20)]),
        ("EXTI", 0x4001_0400, &[(0x00, 0x14)]),
        ("TIM21", 0x4001_0800, &[(0x00, 0x18), (0x20, 0x2C), (0x34, 0x38), (0x48, 0x50)]),
        ("TIM22", 0x4001_1400, &[(0x00, 0x18), (0x20, 0x2C), (0x34, 0x38), (0x48, 0x50)]),
        ("ADC", 0x4001_2400, &[(0x00, 0x14), (0x20, 0x20), (0x28, 0x28), (0x40, 0x40), (0xB4, 0xB4), (0x308, 0x308)]),
        ("SPI1", 0x4001_3000, &[(0x00, 0x10)]),
        ("USART1", 0x4001_3800, &[(0x00, 0x28)]),
        ("DBGMCU", 0x4001_5800, &[(0x00, 0x0C)]),
        ("DMA1", 0x4002_0000, &[(0x00, 0x14), (0x1C, 0x28), (0x30, 0x3C), (0x44, 0x50), (0x58, 0x64), (0x6C, 0x78), (0x80, 0x8C), (0xA8, 0xA8)]),
        ("RCC", 0x4002_1000, &[(0x00, 0x50)]),
        ("FLASH", 0x4002_2000, &[(0x00, 0x20), (0x80, 0x80)]),
        ("CRC", 0x4002_3000, &[(0x00, 0x08), (0x10, 0x14)]),
        ("GPIOA", 0x5000_0000, &[(0x00, 0x28)]),
    ];

    #[test]
    fn every_register_that_answers_is_listed_and_no_other_does() {
        let (mut chip, mut memory) = clocked();
        for &(name, base, runs) in REGISTERS {
            for offset in (0..0x400).step_by(4) {
                let width = if name == "USB memory" {
                    Width::Half
                } else {
                    Width::Word
                };
                let answer = chip.read(&mut memory, base + offset, width, Time::ZERO);
                let listed = runs
                    .iter()
                    .any(|&(first, last)| (first..=last).contains(&offset));
                assert_eq!(answer.is_ok(), listed, "{name} {offset:#x}");
            }
        }
    }

    #[test]
    fn no_access_of_any_kind_breaks_the_emulator() {
        const BASES: [u32; 24] = [
            0x4000_0000,
            0x4000_1000,
            0x4000_2800,
            0x4000_3000,
            0x4000_4400,
            0x4000_4800,
            0x4000_5C00,
            0x4000_6000,
            0x4000_6C00,
            0x4000_7000,
            0x4000_7C00,
            0x4001_0000,
            0x4001_0400,
            0x4001_0800,
            0x4001_1400,
            0x4001_2400,
            0x4001_2700,
            0x4001_3000,
            0x4001_3800,
            0x4002_0000,
            0x4002_2000,
            0x4002_3000,
            0x5000_0000,
            0x5000_0400,
        ];
        for seed in 0..8 {
            let (mut chip, mut memory) = clocked();
            let mut random = Random::new(seed);
            let mut now = Time::ZERO;
            for _ in 0..20_000 {
                let base = BASES[random.below(BASES.len() as u64) as usize];
                let width = [Width::Byte, Width::Half, Width::Word][random.below(3) as usize];
                // Most registers stand at the beginning.
                let reach = if random.below(4) == 0 { 0x400 } else { 0x60 };
                let offset = random.below(reach) as u32;
                let address = base + (offset & !(width as u32 - 1));
                let value = match random.below(3) {
                    0 => random.next() as u32,
                    1 => 1 << random.below(32),
                    _ => random.below(256) as u32,
                } & u32::MAX >> (32 - 8 * width as u32);
                if random.below(2) == 0 {
                    let _ = chip.read(&mut memory, address, width, now);
                } else {
                    let _ = chip.write(&mut memory, address, width, value, now);
                }
                now += Time::from_nanos(random.below(200_000));
                chip.poll(&mut memory, now);
                if chip.sleeping(random.below(50) == 0, now) {
                    let event = chip.next_event().unwrap_or(now);
                    now = now.max(event.min(now + Time::from_millis(100)));
                    chip.poll(&mut memory, now);
                }
                chip.violation = None;
                if let Some(cause) = chip.take_reset() {
                    chip = clocked().0;
                    assert_ne!(cause, ResetCause::PowerOn, "nothing planned a cut");
                }
            }
        }
    }
}
