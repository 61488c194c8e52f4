//! Reset and clock control at 0x4002_1000 (RM0376).
//!
//! Owns every clock of the chip. It must never report an oscillator ready before its start-up time, and never run the
//! core from one that is not.

use crate::chip::Reg;
use crate::cpu::bus::{BusFault, ResetCause};
use crate::time::Time;

// Start-up times, DS10182 (typical, or the maximum where no typical value is given).
const HSI16_START: Time = Time::from_nanos(3_700);
const HSI48_START: Time = Time::from_micros(6);
const MSI_START: Time = Time::from_micros(5);
const PLL_LOCK: Time = Time::from_micros(115);
const LSI_START: Time = Time::from_micros(200);

/// HSI16's frequency in hertz.
pub const HSI16: u64 = 16_000_000;
/// MSI's frequency at range 0; each range doubles it. Hertz.
const MSI_RANGE0: u64 = 65_536;
/// LSI's typical frequency in hertz.
pub const LSI: u32 = 37_000;
/// What it may be on one chip or another (DS10182).
pub const LSI_RANGE: core::ops::RangeInclusive<u32> = 26_000..=56_000;

mod cr {
    pub const HSI16ON: u32 = 1 << 0;
    pub const HSI16KERON: u32 = 1 << 1;
    pub const HSI16RDY: u32 = 1 << 2;
    pub const HSI16DIVEN: u32 = 1 << 3;
    pub const HSI16DIVF: u32 = 1 << 4;
    pub const MSION: u32 = 1 << 8;
    pub const MSIRDY: u32 = 1 << 9;
    pub const HSEON: u32 = 1 << 16;
    pub const PLLON: u32 = 1 << 24;
    pub const PLLRDY: u32 = 1 << 25;
    pub const RESET: u32 = MSION;
    /// What STOP switches off and waking leaves off.
    pub const STOPPED: u32 = HSI16ON | HSI16KERON | MSION | HSEON | PLLON;
    /// HSI16OUTEN, HSEBYP, CSSHSEON and RTCPRE are kept and have no effect: no crystal is fitted.
    pub const WRITABLE: u32 = 0x017D_012B;
}

mod csr {
    pub const LSION: u32 = 1 << 0;
    pub const LSIRDY: u32 = 1 << 1;
    pub const RTCRST: u32 = 1 << 19;
    pub const RMVF: u32 = 1 << 23;
    pub const OBLRSTF: u32 = 1 << 25;
    pub const PINRSTF: u32 = 1 << 26;
    pub const PORRSTF: u32 = 1 << 27;
    pub const SFTRSTF: u32 = 1 << 28;
    pub const IWDGRSTF: u32 = 1 << 29;
    pub const LPWRRSTF: u32 = 1 << 31;
    pub const FLAGS: u32 = 0xFF << 24;
    /// LSEON, LSEBYP, LSEDRV, CSSLSEON, RTCSEL, RTCEN: in the RTC domain, behind PWR_CR.DBP.
    pub const RTC_DOMAIN: u32 = 0x0007_3D00;
    pub const RTCSEL_LSI: u32 = 2 << 16;
    pub const RTCSEL: u32 = 3 << 16;
    pub const RTCEN: u32 = 1 << 18;
}

const CFGR_WRITABLE: u32 = 0x7FFD_BFF3;
const CFGR_STOPWUCK: u32 = 1 << 15;
/// From a wake-up event in STOP to the first instruction on HSI16, and on each range of MSI: DS10182, typical, with the
/// regulator in low-power mode.
const WAKE_HSI16: Time = Time::from_nanos(4_900);
const WAKE_MSI: [u64; 8] = [
    190_000, 100_000, 51_000, 28_000, 13_000, 7_300, 5_000, 5_000,
];
const CRRCR_HSI48ON: u32 = 1 << 0;
const CRRCR_HSI48RDY: u32 = 1 << 1;
const CCIPR_CLK48_HSI48: u32 = 1 << 26;
/// Bit of HSI48 in CIER, CIFR and CICR; the others are in [`Source`]'s order.
const READY_INTERRUPTS: u32 = 0x7F;

/// Something with a clock gate or a reset bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Gpio(u8),
    Dma,
    Crc,
    Syscfg,
    Adc,
    Spi1,
    Dbg,
    Usb,
    Crs,
    Pwr,
    Tim2,
    Tim6,
    Tim21,
    Tim22,
    Lptim1,
    Usart1,
    Usart2,
    Lpuart1,
}

impl Gate {
    pub(crate) const ALL: [Gate; 22] = [
        Gate::Gpio(0),
        Gate::Gpio(1),
        Gate::Gpio(2),
        Gate::Gpio(3),
        Gate::Gpio(7),
        Gate::Dma,
        Gate::Crc,
        Gate::Syscfg,
        Gate::Adc,
        Gate::Spi1,
        Gate::Dbg,
        Gate::Usb,
        Gate::Crs,
        Gate::Pwr,
        Gate::Tim2,
        Gate::Tim6,
        Gate::Tim21,
        Gate::Tim22,
        Gate::Lptim1,
        Gate::Usart1,
        Gate::Usart2,
        Gate::Lpuart1,
    ];

    /// Index into the IOP, AHB, APB2, APB1 registers, and the bit there.
    const fn position(self) -> (usize, u32) {
        match self {
            Gate::Gpio(port) => (0, port as u32),
            Gate::Dma => (1, 0),
            Gate::Crc => (1, 12),
            Gate::Syscfg => (2, 0),
            Gate::Adc => (2, 9),
            Gate::Spi1 => (2, 12),
            Gate::Dbg => (2, 22),
            Gate::Usb => (3, 23),
            Gate::Crs => (3, 27),
            Gate::Pwr => (3, 28),
            Gate::Tim21 => (2, 2),
            Gate::Tim22 => (2, 5),
            Gate::Usart1 => (2, 14),
            Gate::Tim2 => (3, 0),
            Gate::Tim6 => (3, 4),
            Gate::Usart2 => (3, 17),
            Gate::Lpuart1 => (3, 18),
            Gate::Lptim1 => (3, 31),
        }
    }
}

/// An oscillator or the PLL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Lsi = 0,
    Hsi16 = 2,
    Pll = 4,
    Msi = 5,
    Hsi48 = 6,
}

const SOURCES: [Source; 5] = [
    Source::Lsi,
    Source::Hsi16,
    Source::Pll,
    Source::Msi,
    Source::Hsi48,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oscillator {
    Off,
    Starting(Time),
    Ready,
}

/// What a write asks the chip to do beyond RCC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RccWrite {
    Done,
    /// Peripherals whose reset bit was just set.
    Resets {
        register: usize,
        bits: u32,
    },
}

/// The registers, and the state of every oscillator.
#[derive(Clone)]
pub struct Rcc {
    cr: u32,
    icscr: u32,
    cfgr: u32,
    cier: u32,
    cifr: u32,
    resets: [u32; 4],
    enables: [u32; 4],
    sleep_enables: [u32; 4],
    ccipr: u32,
    csr: u32,
    hsi48_on: bool,
    hsi48_reference: bool,
    oscillators: [Oscillator; 7],
    /// SWS: what really drives SYSCLK.
    active: u32,
    sysclk: u64,
    hclk: u64,
    /// LSI's frequency on this chip, in hertz.
    lsi: u32,
    cycle: Time,
}

const RESET_ENABLES: [u32; 4] = [0, 0x100, 0, 0];
const RESET_SLEEP_ENABLES: [u32; 4] = [0x9F, 0x0111_1301, 0x0040_5225, 0xB8E6_4A11];
const RESET_ICSCR: u32 = 0x0080_B080;

impl Rcc {
    pub(crate) fn new(lsi: u32) -> Rcc {
        let mut rcc = Rcc {
            cr: cr::RESET,
            icscr: RESET_ICSCR,
            cfgr: 0,
            cier: 0,
            cifr: 0,
            resets: [0; 4],
            enables: RESET_ENABLES,
            sleep_enables: RESET_SLEEP_ENABLES,
            ccipr: 0,
            csr: 0,
            hsi48_on: false,
            hsi48_reference: false,
            oscillators: [Oscillator::Off; 7],
            active: 0,
            sysclk: 0,
            hclk: 0,
            lsi,
            cycle: Time::ZERO,
        };
        rcc.oscillators[Source::Msi as usize] = Oscillator::Ready;
        rcc.recompute();
        rcc
    }

    /// Back to the state after reset; the cause's flag joins those that are still there.
    pub(crate) fn reset(&mut self, cause: ResetCause) {
        let kept = match cause {
            ResetCause::PowerOn => 0,
            // The LSI goes on through STANDBY.
            ResetCause::Standby => self.csr & (csr::FLAGS | csr::RTC_DOMAIN | csr::LSION),
            _ => self.csr & (csr::FLAGS | csr::RTC_DOMAIN),
        };
        // Every internal reset pulls NRST low as well.
        let flag = match cause {
            ResetCause::PowerOn => csr::PINRSTF | csr::PORRSTF,
            ResetCause::Pin => csr::PINRSTF,
            ResetCause::Software => csr::PINRSTF | csr::SFTRSTF,
            ResetCause::IndependentWatchdog => csr::PINRSTF | csr::IWDGRSTF,
            ResetCause::OptionBytes => csr::PINRSTF | csr::OBLRSTF,
            ResetCause::LowPower => csr::PINRSTF | csr::LPWRRSTF,
            ResetCause::Standby => 0,
        };
        let lsi = self.oscillators[Source::Lsi as usize];
        *self = Rcc::new(self.lsi);
        self.csr = kept | flag;
        if self.csr & csr::LSION != 0 {
            self.oscillators[Source::Lsi as usize] = lsi;
        }
    }

    fn recompute(&mut self) {
        self.sysclk = match self.active {
            0 => self.msi(),
            1 => self.hsi16(),
            _ => self.pll_output().unwrap_or(0),
        };
        let hpre = self.cfgr >> 4 & 0xF;
        let shift = match hpre {
            0..=7 => 0,
            8..=11 => hpre - 7,
            _ => hpre - 6,
        };
        self.hclk = self.sysclk >> shift;
        self.cycle = Time::period_of(self.hclk.max(1));
    }

    fn msi(&self) -> u64 {
        MSI_RANGE0 << (self.icscr >> 13 & 7)
    }

    /// HSI16 as SYSCLK and PLL see it.
    fn hsi16(&self) -> u64 {
        if self.cr & cr::HSI16DIVEN != 0 {
            HSI16 / 4
        } else {
            HSI16
        }
    }

    fn pll_vco(&self) -> u64 {
        const MULTIPLIERS: [u64; 9] = [3, 4, 6, 8, 12, 16, 24, 32, 48];
        let index = (self.cfgr >> 18 & 0xF) as usize;
        // PLLSRC: HSI16; HSE has no crystal.
        self.hsi16() * MULTIPLIERS.get(index).copied().unwrap_or(0)
    }

    fn pll_output(&self) -> Option<u64> {
        match self.cfgr >> 22 & 3 {
            0 => None,
            division => Some(self.pll_vco() / u64::from(division + 1)),
        }
    }

    /// AHB clock, the core's, in hertz.
    pub fn hclk(&self) -> u64 {
        self.hclk
    }

    /// APB1 clock in hertz.
    pub fn pclk1(&self) -> u64 {
        self.hclk >> apb_shift(self.cfgr >> 8)
    }

    /// APB2 clock in hertz.
    pub fn pclk2(&self) -> u64 {
        self.hclk >> apb_shift(self.cfgr >> 11)
    }

    /// SYSCLK in hertz.
    pub(crate) fn sysclk(&self) -> u64 {
        self.sysclk
    }

    /// Length of a cycle of the timers on APB `number` (1 or 2): twice as fast as a bus that is divided.
    pub(crate) fn timer_period(&self, number: u32) -> Time {
        let shift = apb_shift(self.cfgr >> (5 + 3 * number));
        self.cycle * (1 << shift.saturating_sub(1))
    }

    /// What a peripheral that chooses its clock with two bits of CCIPR at `bit` runs from, in hertz; zero when that is
    /// off. `pclk`: its bus.
    pub(crate) fn kernel_clock(&self, bit: u32, pclk: u64) -> u64 {
        match self.ccipr >> bit & 3 {
            0 => pclk,
            1 => self.sysclk(),
            2 if self.hsi16_ready() => HSI16,
            _ => 0,
        }
    }

    /// LPTIM1's clock in hertz; zero when that is off.
    pub(crate) fn lptim_clock(&self, stopped: bool) -> u64 {
        match self.ccipr >> 18 & 3 {
            0 if !stopped => self.pclk1(),
            1 if self.is_ready(Source::Lsi) => self.lsi.into(),
            2 if self.hsi16_ready() => HSI16,
            _ => 0,
        }
    }

    /// LSI's frequency on this chip, in hertz.
    pub(crate) fn lsi(&self) -> u32 {
        self.lsi
    }

    /// Whether the RTC runs from the LSI; no other clock is there.
    pub(crate) fn rtc_runs(&self) -> bool {
        self.csr & (csr::RTCSEL | csr::RTCEN) == csr::RTCSEL_LSI | csr::RTCEN
            && self.is_ready(Source::Lsi)
    }

    /// Whether RTCRST holds the RTC domain in reset.
    pub(crate) fn resets_rtc(&self) -> bool {
        self.csr & csr::RTCRST != 0
    }

    /// Every clock but the LSI stops.
    pub(crate) fn stop(&mut self) {
        for source in [Source::Hsi16, Source::Pll, Source::Msi, Source::Hsi48] {
            self.oscillators[source as usize] = Oscillator::Off;
        }
        self.hsi48_on = false;
        self.cr &= !cr::STOPPED;
    }

    /// A wake-up event ends STOP: SYSCLK is the one that STOPWUCK names. Returns how long it takes to come up.
    pub(crate) fn wake(&mut self) -> Time {
        let hsi16 = self.cfgr & CFGR_STOPWUCK != 0;
        let (source, on, time) = if hsi16 {
            (Source::Hsi16, cr::HSI16ON, WAKE_HSI16)
        } else {
            let range = (self.icscr >> 13 & 7) as usize;
            (Source::Msi, cr::MSION, Time::from_nanos(WAKE_MSI[range]))
        };
        self.cr |= on;
        self.oscillators[source as usize] = Oscillator::Ready;
        self.active = u32::from(hsi16);
        self.cfgr = self.cfgr & !3 | self.active;
        self.recompute();
        time
    }

    /// Length of a core cycle.
    pub fn cycle(&self) -> Time {
        self.cycle
    }

    /// VCO frequency of a running PLL in hertz, for its limits.
    pub(crate) fn running_vco(&self) -> Option<u64> {
        (self.oscillators[Source::Pll as usize] != Oscillator::Off).then(|| self.pll_vco())
    }

    /// Whether HSI16 is running and stable: the ADC's asynchronous clock.
    pub(crate) fn hsi16_ready(&self) -> bool {
        self.is_ready(Source::Hsi16)
    }

    /// Whether USB has its 48 MHz.
    pub(crate) fn clock48(&self) -> bool {
        if self.ccipr & CCIPR_CLK48_HSI48 != 0 {
            self.is_ready(Source::Hsi48)
        } else {
            self.is_ready(Source::Pll) && self.pll_vco() == 96_000_000
        }
    }

    pub(crate) fn is_enabled(&self, gate: Gate) -> bool {
        let (register, bit) = gate.position();
        self.enables[register] >> bit & 1 != 0 && self.resets[register] >> bit & 1 == 0
    }

    /// The gate behind a bit of a reset register.
    pub(crate) fn gates(register: usize, bits: u32) -> impl Iterator<Item = Gate> {
        Gate::ALL.into_iter().filter(move |gate| {
            let (r, bit) = gate.position();
            r == register && bits >> bit & 1 != 0
        })
    }

    /// SYSCFG's EN_VREFINT and ENREF_HSI48, without which HSI48 does not start.
    pub(crate) fn set_hsi48_reference(&mut self, on: bool, now: Time) {
        self.hsi48_reference = on;
        let on = self.hsi48_on && on;
        self.switch(Source::Hsi48, on, HSI48_START, now);
    }

    fn is_ready(&self, source: Source) -> bool {
        self.oscillators[source as usize] == Oscillator::Ready
    }

    fn switch(&mut self, source: Source, on: bool, start: Time, now: Time) {
        let oscillator = &mut self.oscillators[source as usize];
        match (on, *oscillator) {
            (true, Oscillator::Off) => *oscillator = Oscillator::Starting(now + start),
            (false, _) => *oscillator = Oscillator::Off,
            (true, _) => {}
        }
    }

    pub(crate) fn next_event(&self) -> Option<Time> {
        self.oscillators
            .iter()
            .filter_map(|oscillator| match oscillator {
                Oscillator::Starting(until) => Some(*until),
                _ => None,
            })
            .min()
    }

    pub(crate) fn tick(&mut self, now: Time) {
        for source in SOURCES {
            let oscillator = &mut self.oscillators[source as usize];
            if matches!(*oscillator, Oscillator::Starting(until) if until <= now) {
                *oscillator = Oscillator::Ready;
                self.cifr |= 1 << source as u32 & self.cier;
            }
        }
        self.follow_switch();
    }

    pub(crate) fn interrupt(&self) -> bool {
        self.cifr & self.cier != 0
    }

    /// SWS follows SW as soon as the clock it names is stable.
    fn follow_switch(&mut self) {
        let wanted = self.cfgr & 3;
        let ready = match wanted {
            0 => self.is_ready(Source::Msi),
            1 => self.is_ready(Source::Hsi16),
            2 => false,
            _ => self.is_ready(Source::Pll) && self.pll_output().is_some(),
        };
        if ready {
            self.active = wanted;
        }
        self.recompute();
    }

    pub(crate) fn read(&self, offset: u32) -> Reg {
        let bit = |source, mask| if self.is_ready(source) { mask } else { 0 };
        Ok(match offset {
            0x00 => {
                let divided = if self.cr & cr::HSI16DIVEN != 0 {
                    cr::HSI16DIVF
                } else {
                    0
                };
                self.cr
                    | divided
                    | bit(Source::Hsi16, cr::HSI16RDY)
                    | bit(Source::Msi, cr::MSIRDY)
                    | bit(Source::Pll, cr::PLLRDY)
            }
            0x04 => self.icscr,
            0x08 => {
                let on = if self.hsi48_on { CRRCR_HSI48ON } else { 0 };
                on | bit(Source::Hsi48, CRRCR_HSI48RDY)
            }
            0x0C => self.cfgr | self.active << 2,
            0x10 => self.cier,
            0x14 => self.cifr,
            0x18 => 0,
            0x1C..=0x28 => self.resets[(offset as usize - 0x1C) / 4],
            0x2C..=0x38 => self.enables[(offset as usize - 0x2C) / 4],
            0x3C..=0x48 => self.sleep_enables[(offset as usize - 0x3C) / 4],
            0x4C => self.ccipr,
            0x50 => self.csr | bit(Source::Lsi, csr::LSIRDY),
            _ => return Err(BusFault::Reserved),
        })
    }

    /// `rtc_access`: PWR_CR.DBP.
    pub(crate) fn write(
        &mut self,
        offset: u32,
        value: u32,
        rtc_access: bool,
        now: Time,
    ) -> Result<RccWrite, BusFault> {
        match offset {
            0x00 => self.write_cr(value, now),
            0x04 => {
                // HSI16TRIM and MSITRIM are kept and do not change the frequency.
                self.icscr = self.icscr & 0x00FF_00FF | value & 0xFF00_FF00;
                self.recompute();
            }
            0x08 => {
                if value & 4 != 0 {
                    return Err(BusFault::Reserved); // HSI48DIV6OUTEN, to TIM3 only
                }
                self.hsi48_on = value & CRRCR_HSI48ON != 0;
                let on = self.hsi48_on && self.hsi48_reference;
                self.switch(Source::Hsi48, on, HSI48_START, now);
            }
            0x0C => {
                let pll = 0xFD_0000;
                // PLLSRC, PLLMUL and PLLDIV cannot change while the PLL is on.
                let locked = if self.cr & cr::PLLON != 0 { pll } else { 0 };
                self.cfgr = self.cfgr & locked | value & CFGR_WRITABLE & !locked;
                self.follow_switch();
            }
            0x10 => self.cier = value & 0x1FF,
            0x14 => {}
            0x18 => self.cifr &= !(value & READY_INTERRUPTS),
            0x1C..=0x28 => {
                let register = (offset as usize - 0x1C) / 4;
                let bits = value & !self.resets[register];
                self.resets[register] = value;
                return Ok(RccWrite::Resets { register, bits });
            }
            0x2C..=0x38 => self.enables[(offset as usize - 0x2C) / 4] = value,
            0x3C..=0x48 => self.sleep_enables[(offset as usize - 0x3C) / 4] = value,
            0x4C => self.ccipr = value,
            0x50 => {
                if value & csr::RMVF != 0 {
                    self.csr &= !csr::FLAGS;
                }
                let mut writable = csr::LSION;
                if rtc_access {
                    writable |= csr::RTC_DOMAIN | csr::RTCRST;
                }
                self.csr = self.csr & !writable | value & writable;
                if self.csr & csr::RTCRST != 0 {
                    self.csr &= !csr::RTC_DOMAIN;
                }
                let on = value & csr::LSION != 0;
                self.switch(Source::Lsi, on, LSI_START, now);
            }
            _ => return Err(BusFault::Reserved),
        }
        Ok(RccWrite::Done)
    }

    fn write_cr(&mut self, value: u32, now: Time) {
        let mut value = value & cr::WRITABLE;
        // What drives SYSCLK, directly or through the PLL, cannot be switched off.
        let hsi16_in_use = self.active == 1 || self.active == 3;
        let msi_in_use = self.active == 0;
        if hsi16_in_use {
            value |= cr::HSI16ON;
        }
        if msi_in_use {
            value |= cr::MSION;
        }
        if self.active == 3 {
            value |= cr::PLLON;
        }
        self.cr = value;
        let hsi16 = value & (cr::HSI16ON | cr::HSI16KERON) != 0;
        self.switch(Source::Hsi16, hsi16, HSI16_START, now);
        self.switch(Source::Msi, value & cr::MSION != 0, MSI_START, now);
        // Without a running input the PLL does not lock. HSE is not fitted, HSEON never becomes HSERDY.
        let input = hsi16 && self.cfgr & 1 << 16 == 0;
        self.switch(Source::Pll, value & cr::PLLON != 0 && input, PLL_LOCK, now);
        debug_assert!(value & cr::HSEON == 0 || self.active != 2);
        self.follow_switch();
    }

    /// The LSI is switched on by the watchdog, whatever LSION says.
    pub(crate) fn start_lsi(&mut self, now: Time) {
        self.csr |= csr::LSION;
        self.switch(Source::Lsi, true, LSI_START, now);
    }
}

fn apb_shift(ppre: u32) -> u32 {
    match ppre & 7 {
        0..=3 => 0,
        n => n - 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(rcc: &mut Rcc, offset: u32, value: u32, micros: u64) {
        rcc.write(offset, value, false, Time::from_micros(micros))
            .unwrap();
    }

    #[test]
    fn the_chip_starts_at_2_097_mhz_from_msi() {
        let rcc = Rcc::new(LSI);
        assert_eq!(rcc.hclk(), 2_097_152);
        assert_eq!(rcc.read(0x00), Ok(0x300));
    }

    #[test]
    fn hsi16_takes_its_start_up_time() {
        let mut rcc = Rcc::new(LSI);
        write(&mut rcc, 0x00, 0x101, 10);
        assert_eq!(rcc.read(0x00), Ok(0x301));
        rcc.tick(Time::from_micros(13));
        assert_eq!(rcc.read(0x00), Ok(0x301));
        rcc.tick(Time::from_micros(14));
        assert_eq!(rcc.read(0x00), Ok(0x305));
    }

    #[test]
    fn the_pll_gives_32_mhz_from_hsi16_times_4_by_2() {
        let mut rcc = Rcc::new(LSI);
        write(&mut rcc, 0x00, 0x101, 0);
        rcc.tick(Time::from_micros(5));
        write(&mut rcc, 0x0C, 1 << 18 | 1 << 22, 5);
        write(&mut rcc, 0x00, 0x0100_0101, 5);
        write(&mut rcc, 0x0C, 1 << 18 | 1 << 22 | 3, 6);
        assert_eq!(
            rcc.read(0x0C).unwrap() >> 2 & 3,
            0,
            "not before the PLL has locked"
        );
        assert_eq!(rcc.hclk(), 2_097_152);
        rcc.tick(Time::from_micros(121));
        assert_eq!(rcc.read(0x0C).unwrap() >> 2 & 3, 3);
        assert_eq!(rcc.hclk(), 32_000_000);
        assert_eq!(rcc.cycle(), Time::from_picos(31_250));
    }

    #[test]
    fn prescalers_divide() {
        let mut rcc = Rcc::new(LSI);
        write(&mut rcc, 0x0C, 0x9 << 4 | 4 << 8 | 5 << 11, 0);
        assert_eq!(rcc.hclk(), 2_097_152 / 4);
        assert_eq!(rcc.pclk1(), 2_097_152 / 8);
        assert_eq!(rcc.pclk2(), 2_097_152 / 16);
        write(&mut rcc, 0x0C, 0xF << 4, 0);
        assert_eq!(rcc.hclk(), 2_097_152 / 512);
    }

    #[test]
    fn the_clock_in_use_cannot_be_switched_off() {
        let mut rcc = Rcc::new(LSI);
        write(&mut rcc, 0x00, 0, 0);
        assert_eq!(rcc.read(0x00), Ok(0x300));
    }

    #[test]
    fn hsi48_needs_its_reference() {
        let mut rcc = Rcc::new(LSI);
        write(&mut rcc, 0x08, 1, 0);
        write(&mut rcc, 0x4C, 1 << 26, 0);
        rcc.tick(Time::from_millis(1));
        assert!(!rcc.clock48());
        rcc.set_hsi48_reference(true, Time::from_millis(1));
        rcc.tick(Time::from_millis(2));
        assert!(rcc.clock48());
        assert_eq!(rcc.read(0x08), Ok(3));
    }

    #[test]
    fn reset_flags_gather_until_rmvf() {
        let mut rcc = Rcc::new(LSI);
        rcc.reset(ResetCause::PowerOn);
        assert_eq!(rcc.read(0x50), Ok(0x0C00_0000));
        rcc.reset(ResetCause::Software);
        assert_eq!(rcc.read(0x50), Ok(0x1C00_0000));
        write(&mut rcc, 0x50, 1 << 23, 0);
        rcc.reset(ResetCause::IndependentWatchdog);
        assert_eq!(rcc.read(0x50), Ok(0x2400_0000));
    }

    #[test]
    fn a_ready_interrupt_is_raised_and_cleared() {
        let mut rcc = Rcc::new(LSI);
        write(&mut rcc, 0x10, 1 << 2, 0);
        write(&mut rcc, 0x00, 0x101, 0);
        rcc.tick(Time::from_micros(4));
        assert!(rcc.interrupt());
        write(&mut rcc, 0x18, 1 << 2, 4);
        assert!(!rcc.interrupt());
    }
}
