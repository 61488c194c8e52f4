//! ADC at 0x4001_2400 (RM0376): software-started conversions at their real speed.
//!
//! Hardware triggers, the analog watchdog and auto-off are not modelled. Noise and settling are not either: a
//! sampling time that is too short still converts exactly.

use crate::board::Board;
use crate::chip::Reg;
use crate::cpu::bus::BusFault;
use crate::time::Time;

/// Address of VREFINT_CAL: VREFINT converted at 3.0 V and 25 °C.
pub const VREFINT_CAL_ADDRESS: u32 = 0x1FF8_0078;
/// Address of TS_CAL1: the temperature sensor converted at 3.0 V and 30 °C.
pub const TS_CAL1_ADDRESS: u32 = 0x1FF8_007A;
/// Address of TS_CAL2: the temperature sensor converted at 3.0 V and 130 °C.
pub const TS_CAL2_ADDRESS: u32 = 0x1FF8_007E;
/// 1.224 V (DS10182, typical) of 3.0 V in 12 bits.
pub const VREFINT_CAL: u16 = 1671;
/// 100 °C below [`TS_CAL2`] at 1.61 mV/°C (DS10182, typical): 509 mV of 3.0 V in 12 bits.
pub const TS_CAL1: u16 = 695;
/// 670 mV at 130 °C (DS10182, typical) of 3.0 V in 12 bits.
pub const TS_CAL2: u16 = 915;
/// Supply at which the factory calibrated, in millivolts.
const CALIBRATION_SUPPLY: u64 = 3000;

/// Offset of DR.
pub(crate) const DR: u32 = 0x40;
const CHANNEL_VREFINT: u32 = 17;
const CHANNEL_TEMPERATURE: u32 = 18;

/// t_STAB, DS10182.
const ENABLE_TIME: Time = Time::from_micros(1);
/// t_CAL: cycles of the ADC's clock.
const CALIBRATION_CYCLES: u64 = 83;
/// Sampling time in half cycles for each SMP.
const SAMPLING: [u64; 8] = [3, 7, 15, 25, 39, 79, 159, 321];
/// Conversion time in half cycles for 12, 10, 8 and 6 bits.
const CONVERSION: [u64; 4] = [25, 23, 19, 15];

mod isr {
    pub const ADRDY: u32 = 1 << 0;
    pub const EOSMP: u32 = 1 << 1;
    pub const EOC: u32 = 1 << 2;
    pub const EOS: u32 = 1 << 3;
    pub const OVR: u32 = 1 << 4;
    pub const EOCAL: u32 = 1 << 11;
}

mod cr {
    pub const ADEN: u32 = 1 << 0;
    pub const ADDIS: u32 = 1 << 1;
    pub const ADSTART: u32 = 1 << 2;
    pub const ADSTP: u32 = 1 << 4;
    pub const ADVREGEN: u32 = 1 << 28;
    pub const ADCAL: u32 = 1 << 31;
}

mod cfgr1 {
    pub const SCANDIR: u32 = 1 << 2;
    pub const ALIGN: u32 = 1 << 5;
    pub const OVRMOD: u32 = 1 << 12;
    pub const CONT: u32 = 1 << 13;
    pub const WAIT: u32 = 1 << 14;
    pub const DISCEN: u32 = 1 << 16;
    pub const DMAEN: u32 = 1 << 0;
    /// EXTEN, AUTOFF, AWDEN.
    pub const NOT_MODELLED: u32 = 3 << 10 | 1 << 15 | 1 << 23;
}

mod ccr {
    pub const PRESC: u32 = 0xF << 18;
    pub const VREFEN: u32 = 1 << 22;
    pub const TSEN: u32 = 1 << 23;
    pub const LFMEN: u32 = 1 << 25;
}

/// What is going on and when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Idle,
    Enabling(Time),
    Calibrating(Time),
    /// Converting channel `.1` until `.0`.
    Converting(Time, u32),
    /// WAIT: the next conversion starts when DR is read.
    Waiting,
}

/// The clocks it can run from, at the moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdcClock {
    /// APB2 in hertz.
    pub pclk: u64,
    /// HSI16 in hertz, if it is running.
    pub hsi16: Option<u64>,
}

/// The registers.
#[derive(Clone)]
pub struct Adc {
    isr: u32,
    ier: u32,
    cr: u32,
    cfgr1: u32,
    cfgr2: u32,
    smpr: u32,
    tr: u32,
    chselr: u32,
    dr: u32,
    calfact: u32,
    ccr: u32,
    work: Work,
    /// Channels of the sequence that are still to come.
    remaining: u32,
}

impl Adc {
    pub(crate) fn new() -> Adc {
        Adc {
            isr: 0,
            ier: 0,
            cr: 0,
            cfgr1: 0,
            cfgr2: 0,
            smpr: 0,
            tr: 0x0FFF_0000,
            chselr: 0,
            dr: 0,
            calfact: 0,
            ccr: 0,
            work: Work::Idle,
            remaining: 0,
        }
    }

    /// Frequency of the ADC's clock in hertz; `None` when its source is off.
    fn clock(&self, clock: AdcClock) -> Option<u64> {
        const PRESCALERS: [u64; 16] = [
            1, 2, 4, 6, 8, 10, 12, 16, 32, 64, 128, 256, 256, 256, 256, 256,
        ];
        match self.cfgr2 >> 30 {
            0 => clock
                .hsi16
                .map(|hertz| hertz / PRESCALERS[((self.ccr & ccr::PRESC) >> 18) as usize]),
            1 => Some(clock.pclk / 2),
            2 => Some(clock.pclk / 4),
            _ => Some(clock.pclk),
        }
    }

    fn half_cycles(&self, count: u64, clock: AdcClock) -> Option<Time> {
        let hertz = self.clock(clock)?;
        Some(Time::from_picos(count * 500_000_000_000 / hertz.max(1)))
    }

    fn oversampling(&self) -> (u64, u32) {
        if self.cfgr2 & 1 == 0 {
            (1, 0)
        } else {
            (2 << (self.cfgr2 >> 2 & 7), self.cfgr2 >> 5 & 0xF)
        }
    }

    /// Starts the next conversion of the sequence at `at`. False when the sequence is over.
    fn convert_next(&mut self, at: Time, clock: AdcClock) -> bool {
        if self.remaining == 0 {
            return false;
        }
        let channel = if self.cfgr1 & cfgr1::SCANDIR != 0 {
            31 - self.remaining.leading_zeros()
        } else {
            self.remaining.trailing_zeros()
        };
        let half_cycles =
            SAMPLING[(self.smpr & 7) as usize] + CONVERSION[(self.cfgr1 >> 3 & 3) as usize];
        let (samples, _) = self.oversampling();
        match self.half_cycles(half_cycles * samples, clock) {
            Some(time) => {
                self.remaining &= !(1 << channel);
                self.work = Work::Converting(at + time, channel);
            }
            // Without a clock it never ends.
            None => self.work = Work::Idle,
        }
        true
    }

    fn sample(&self, channel: u32, board: &Board, is_analog: impl Fn(u32) -> bool) -> u32 {
        let supply = u64::from(board.supply.max(1));
        let scaled = |at_calibration: u64| at_calibration * CALIBRATION_SUPPLY / supply;
        let value = match channel {
            CHANNEL_VREFINT if self.ccr & ccr::VREFEN != 0 => scaled(VREFINT_CAL.into()),
            CHANNEL_TEMPERATURE if self.ccr & ccr::TSEN != 0 => {
                let span = i64::from(TS_CAL2 - TS_CAL1);
                let degrees = i64::from(board.temperature) - 3000;
                let raw = i64::from(TS_CAL1) * 10_000 + span * degrees;
                raw.max(0) as u64 * CALIBRATION_SUPPLY / supply / 10_000
            }
            0 | 1 if is_analog(channel) => {
                u64::from(board.inputs[channel as usize]) * 4096 / supply
            }
            _ => 0,
        };
        let value = value.min(0xFFF) as u32;
        let bits_dropped = 2 * (self.cfgr1 >> 3 & 3);
        let (samples, shift) = self.oversampling();
        let value = ((value >> bits_dropped) * samples as u32) >> shift & 0xFFFF;
        match (self.cfgr1 & cfgr1::ALIGN != 0, bits_dropped) {
            (false, _) => value,
            (true, 6) => value << 2,
            (true, _) => value << (4 + bits_dropped) & 0xFFFF,
        }
    }

    pub(crate) fn next_event(&self) -> Option<Time> {
        match self.work {
            Work::Enabling(until) | Work::Calibrating(until) | Work::Converting(until, _) => {
                Some(until)
            }
            Work::Idle | Work::Waiting => None,
        }
    }

    /// A result waits that DMA is to fetch.
    pub(crate) fn requests_dma(&self) -> bool {
        self.cfgr1 & cfgr1::DMAEN != 0 && self.isr & isr::EOC != 0
    }

    /// Finishes what is due first, if that is by `now`. False when nothing is.
    pub(crate) fn step(
        &mut self,
        now: Time,
        clock: AdcClock,
        board: &Board,
        is_analog: impl Fn(u32) -> bool,
    ) -> bool {
        let Some(due) = self.next_event().filter(|&due| due <= now) else {
            return false;
        };
        match self.work {
            Work::Enabling(_) => {
                self.work = Work::Idle;
                self.isr |= isr::ADRDY;
            }
            Work::Calibrating(_) => {
                self.work = Work::Idle;
                self.cr &= !cr::ADCAL;
                self.calfact = 0x40;
                self.isr |= isr::EOCAL;
            }
            Work::Converting(_, channel) => {
                self.finish_conversion(channel, due, clock, board, &is_analog);
            }
            Work::Idle | Work::Waiting => {}
        }
        true
    }

    fn finish_conversion(
        &mut self,
        channel: u32,
        due: Time,
        clock: AdcClock,
        board: &Board,
        is_analog: &impl Fn(u32) -> bool,
    ) {
        let value = self.sample(channel, board, is_analog);
        if self.isr & isr::EOC != 0 {
            self.isr |= isr::OVR;
        }
        if self.isr & isr::EOC == 0 || self.cfgr1 & cfgr1::OVRMOD != 0 {
            self.dr = value;
        }
        self.isr |= isr::EOSMP | isr::EOC;
        self.work = Work::Idle;
        let last = self.remaining == 0;
        if last {
            self.isr |= isr::EOS;
        }
        let continuous = self.cfgr1 & cfgr1::CONT != 0;
        if last && continuous {
            self.remaining = self.chselr;
        }
        if self.cfgr1 & cfgr1::DISCEN != 0 || (last && !continuous) {
            self.cr &= !cr::ADSTART;
        } else if self.cfgr1 & cfgr1::WAIT != 0 {
            self.work = Work::Waiting;
        } else {
            self.convert_next(due, clock);
        }
    }

    pub(crate) fn interrupt(&self) -> bool {
        self.isr & self.ier != 0
    }

    pub(crate) fn read(&mut self, offset: u32, now: Time, clock: AdcClock) -> Reg {
        Ok(match offset {
            0x00 => self.isr,
            0x04 => self.ier,
            0x08 => self.cr,
            0x0C => self.cfgr1,
            0x10 => self.cfgr2,
            0x14 => self.smpr,
            0x20 => self.tr,
            0x28 => self.chselr,
            DR => {
                self.isr &= !isr::EOC;
                if self.work == Work::Waiting {
                    self.work = Work::Idle;
                    self.convert_next(now, clock);
                }
                self.dr
            }
            0xB4 => self.calfact,
            0x308 => self.ccr,
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(
        &mut self,
        offset: u32,
        value: u32,
        now: Time,
        clock: AdcClock,
    ) -> Result<(), BusFault> {
        let enabled = self.cr & cr::ADEN != 0;
        let started = self.cr & cr::ADSTART != 0;
        match offset {
            0x00 => self.isr &= !value,
            0x04 => self.ier = value & 0x89F,
            0x08 => self.write_cr(value, now, clock),
            // Configuration is locked while it converts.
            0x0C if value & cfgr1::NOT_MODELLED != 0 => return Err(BusFault::Reserved),
            0x0C if !started => self.cfgr1 = value,
            0x10 if !started => {
                // CKMODE can only change while the ADC is off.
                let locked = if enabled { 3 << 30 } else { 0 };
                self.cfgr2 = self.cfgr2 & locked | value & 0xC000_03FD & !locked;
            }
            0x14 if !started => self.smpr = value & 7,
            0x20 if !started => self.tr = value & 0x0FFF_0FFF,
            0x28 if !started => self.chselr = value & 0x7_FFFF,
            0x0C | 0x10 | 0x14 | 0x20 | 0x28 | 0x40 => {}
            0xB4 => self.calfact = value & 0x7F,
            0x308 => self.ccr = value & (ccr::PRESC | ccr::VREFEN | ccr::TSEN | ccr::LFMEN),
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }

    /// Its bits are set by software and cleared by hardware, except ADVREGEN.
    fn write_cr(&mut self, value: u32, now: Time, clock: AdcClock) {
        let enabled = self.cr & cr::ADEN != 0;
        if !enabled {
            self.cr = self.cr & !cr::ADVREGEN | value & cr::ADVREGEN;
        }
        if value & cr::ADCAL != 0
            && !enabled
            && let Some(time) = self.half_cycles(2 * CALIBRATION_CYCLES, clock)
        {
            self.cr |= cr::ADCAL | cr::ADVREGEN;
            self.work = Work::Calibrating(now + time);
        }
        // ADEN is ignored during calibration.
        if value & cr::ADEN != 0 && !enabled && self.cr & cr::ADCAL == 0 {
            self.cr |= cr::ADEN | cr::ADVREGEN;
            if self.clock(clock).is_some() {
                self.work = Work::Enabling(now + ENABLE_TIME);
            }
        }
        if value & cr::ADSTP != 0 && self.cr & cr::ADSTART != 0 {
            self.cr &= !cr::ADSTART;
            self.work = Work::Idle;
        }
        let ready = self.isr & isr::ADRDY != 0 || enabled && self.work == Work::Idle;
        if value & cr::ADSTART != 0 && enabled && ready && self.cr & cr::ADSTART == 0 {
            self.cr |= cr::ADSTART;
            if self.remaining == 0 || self.cfgr1 & cfgr1::DISCEN == 0 {
                self.remaining = self.chselr;
            }
            if !self.convert_next(now, clock) {
                self.cr &= !cr::ADSTART;
            }
        }
        if value & cr::ADDIS != 0 && enabled && self.cr & cr::ADSTART == 0 {
            self.cr &= !cr::ADEN;
            self.isr &= !isr::ADRDY;
            self.work = Work::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOCK: AdcClock = AdcClock {
        pclk: 32_000_000,
        hsi16: Some(16_000_000),
    };

    struct Bench {
        adc: Adc,
        board: Board,
        now: Time,
    }

    impl Bench {
        /// Enabled, on HSI16, VREFINT and sensor on, longest sampling time.
        fn enabled() -> Bench {
            let mut bench = Bench {
                adc: Adc::new(),
                board: Board::default(),
                now: Time::ZERO,
            };
            bench.write(0x308, ccr::VREFEN | ccr::TSEN);
            bench.write(0x14, 7);
            bench.write(0x08, cr::ADEN);
            bench.wait(isr::ADRDY);
            bench
        }

        fn write(&mut self, offset: u32, value: u32) {
            self.adc.write(offset, value, self.now, CLOCK).unwrap();
        }

        fn read(&mut self, offset: u32) -> u32 {
            self.adc.read(offset, self.now, CLOCK).unwrap()
        }

        fn wait(&mut self, flag: u32) -> Time {
            let start = self.now;
            while self.adc.isr & flag == 0 {
                self.now = self.adc.next_event().expect("something is going on");
                while self.adc.step(self.now, CLOCK, &self.board, |_| true) {}
            }
            self.now.since(start)
        }

        fn convert(&mut self, channel: u32) -> u32 {
            self.write(0x28, 1 << channel);
            self.write(0x08, cr::ADSTART);
            self.wait(isr::EOC);
            self.read(0x40)
        }
    }

    #[test]
    fn the_supply_comes_out_of_vrefint_by_its_calibration() {
        let mut bench = Bench::enabled();
        for supply in [1800, 3000, 3300] {
            bench.board.supply = supply;
            let raw = bench.convert(CHANNEL_VREFINT);
            let measured = 3000 * u32::from(VREFINT_CAL) / raw;
            assert!(
                measured.abs_diff(supply.into()) <= 3,
                "{supply} mV measured as {measured}"
            );
        }
    }

    #[test]
    fn the_temperature_comes_out_of_the_sensor_by_its_calibration() {
        let mut bench = Bench::enabled();
        for (temperature, supply) in [(2500, 3000), (-2000, 3300), (8500, 2000)] {
            bench.board.temperature = temperature;
            bench.board.supply = supply;
            let raw = bench.convert(CHANNEL_TEMPERATURE) as i32 * i32::from(supply) / 3000;
            let span = i32::from(TS_CAL2) - i32::from(TS_CAL1);
            let measured = (raw - i32::from(TS_CAL1)) * 10_000 / span + 3000;
            let expected = i32::from(temperature);
            assert!(
                (measured - expected).abs() <= 100,
                "{expected} measured as {measured}"
            );
        }
    }

    #[test]
    fn a_conversion_takes_its_sampling_and_conversion_cycles() {
        let mut bench = Bench::enabled();
        bench.write(0x28, 1);
        bench.write(0x08, cr::ADSTART);
        // (160.5 + 12.5) cycles of 62.5 ns.
        assert_eq!(bench.wait(isr::EOC), Time::from_picos(10_812_500));
    }

    #[test]
    fn a_sequence_ends_once_and_an_unread_value_is_an_overrun() {
        let mut bench = Bench::enabled();
        bench.write(0x28, 1 << 17 | 1 << 18);
        bench.write(0x08, cr::ADSTART);
        bench.wait(isr::EOC);
        assert_eq!(bench.adc.isr & (isr::EOS | isr::OVR), 0);
        bench.wait(isr::EOS);
        assert_eq!(bench.adc.isr & isr::OVR, isr::OVR);
        assert_eq!(bench.read(0x08) & cr::ADSTART, 0);
    }

    #[test]
    fn wait_mode_holds_the_next_conversion_until_the_value_is_read() {
        let mut bench = Bench::enabled();
        bench.write(0x0C, cfgr1::WAIT);
        bench.write(0x28, 1 << 17 | 1 << 18);
        bench.write(0x08, cr::ADSTART);
        bench.wait(isr::EOC);
        assert_eq!(bench.adc.next_event(), None);
        assert_eq!(bench.read(0x40), 1671);
        bench.wait(isr::EOS);
        assert_eq!(bench.read(0x40), 684);
    }

    #[test]
    fn calibration_ends_by_itself() {
        let mut bench = Bench {
            adc: Adc::new(),
            board: Board::default(),
            now: Time::ZERO,
        };
        bench.write(0x08, cr::ADCAL);
        bench.wait(isr::EOCAL);
        assert_eq!(bench.read(0x08), cr::ADVREGEN);
    }

    #[test]
    fn external_inputs_follow_the_board() {
        let mut bench = Bench::enabled();
        bench.board.inputs = [1500, 0];
        assert_eq!(bench.convert(0), 2048);
    }
}
