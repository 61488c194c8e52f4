//! TIM2, TIM21, TIM22 and TIM6 (RM0376): counting up, update and compare interrupts.
//!
//! Counters advance lazily and exactly. Down and centre-aligned counting, slave modes, capture, outputs on pins and DMA
//! are not modelled and are refused.

use crate::chip::Reg;
use crate::cpu::bus::BusFault;
use crate::time::Time;

mod cr1 {
    pub const CEN: u32 = 1 << 0;
    pub const UDIS: u32 = 1 << 1;
    pub const URS: u32 = 1 << 2;
    pub const OPM: u32 = 1 << 3;
    pub const ARPE: u32 = 1 << 7;
    /// CKD as well: it clocks only capture filters.
    pub const WRITABLE: u32 = CEN | UDIS | URS | OPM | ARPE | 3 << 8;
}

/// UIF and UIE.
const UPDATE: u32 = 1;

/// How a timer counts: clock cycles since the prescaler's and the counter's last step, and what they are compared with.
#[derive(Clone)]
pub struct Timer {
    /// Compare channels: 4, 2 or none.
    channels: usize,
    cr1: u32,
    dier: u32,
    sr: u32,
    ccmr: [u32; 2],
    psc: u32,
    arr: u32,
    ccr: [u32; 4],
    /// PSC, ARR and CCR as they are in force.
    active_psc: u32,
    active_arr: u32,
    active_ccr: [u32; 4],
    cnt: u32,
    /// Cycles of the timer's clock since CNT last changed.
    phase: u64,
    /// Up to when CNT and `phase` are right.
    at: Time,
    /// Length of a cycle of its clock; zero while that is off.
    period: Time,
}

impl Timer {
    pub(crate) fn new(channels: usize) -> Timer {
        Timer {
            channels,
            cr1: 0,
            dier: 0,
            sr: 0,
            ccmr: [0; 2],
            psc: 0,
            arr: 0xFFFF,
            ccr: [0; 4],
            active_psc: 0,
            active_arr: 0xFFFF,
            active_ccr: [0; 4],
            cnt: 0,
            phase: 0,
            at: Time::ZERO,
            period: Time::ZERO,
        }
    }

    fn counts(&self) -> bool {
        self.cr1 & cr1::CEN != 0 && self.period > Time::ZERO
    }

    /// From `now` on a cycle of its clock takes `period`; zero stops it.
    pub(crate) fn set_period(&mut self, period: Time, now: Time) {
        if period != self.period {
            self.advance(now);
            self.period = period;
            self.at = now;
        }
    }

    /// Cycles until the next update.
    fn until_update(&self) -> u64 {
        // A counter beyond ARR runs on to its end.
        let last = if self.cnt <= self.active_arr {
            self.active_arr
        } else {
            0xFFFF
        };
        self.cycles(u64::from(last - self.cnt) + 1)
    }

    /// Cycles until CNT has made so many steps.
    fn cycles(&self, steps: u64) -> u64 {
        (steps * (u64::from(self.active_psc) + 1)).saturating_sub(self.phase)
    }

    /// Brings the counter up to `now`.
    pub(crate) fn advance(&mut self, now: Time) {
        if !self.counts() {
            self.at = now;
            return;
        }
        let mut cycles = now.since(self.at).picos() / self.period.picos();
        self.at += self.period * cycles;
        while cycles > 0 && self.cr1 & cr1::CEN != 0 {
            let rest = self.until_update();
            if cycles < rest {
                let total = self.phase + cycles;
                let steps = (total / (u64::from(self.active_psc) + 1)) as u32;
                self.phase = total % (u64::from(self.active_psc) + 1);
                self.compare(self.cnt, self.cnt + steps);
                self.cnt += steps;
                return;
            }
            cycles -= rest;
            self.compare(self.cnt, self.active_arr.max(self.cnt));
            self.phase = 0;
            let wrapped_beyond = self.cnt > self.active_arr;
            self.cnt = 0;
            if !wrapped_beyond {
                self.update(true);
            }
            self.match_zero();
            // Whole rounds in which nothing new can happen.
            let round = self.until_update();
            if cycles > 2 * round && self.cr1 & cr1::CEN != 0 && self.active_arr > 0 {
                self.compare(0, self.active_arr);
                cycles -= (cycles / round - 1) * round;
            } else if self.active_arr == 0 {
                // ARR of zero holds the counter.
                return;
            }
        }
    }

    /// The counter went from `from` to `to`: channels whose value it reached.
    fn compare(&mut self, from: u32, to: u32) {
        for channel in 0..self.channels {
            let value = self.active_ccr[channel];
            if from < value && value <= to {
                self.sr |= 2 << channel;
            }
        }
    }

    fn match_zero(&mut self) {
        for channel in 0..self.channels {
            if self.active_ccr[channel] == 0 {
                self.sr |= 2 << channel;
            }
        }
    }

    /// An update event: preloaded values come into force.
    fn update(&mut self, by_overflow: bool) {
        if self.cr1 & cr1::UDIS != 0 {
            return;
        }
        self.active_psc = self.psc;
        self.active_arr = self.arr;
        self.active_ccr = self.ccr;
        if by_overflow || self.cr1 & cr1::URS == 0 {
            self.sr |= UPDATE;
        }
        if by_overflow && self.cr1 & cr1::OPM != 0 {
            self.cr1 &= !cr1::CEN;
        }
    }

    pub(crate) fn interrupt(&self) -> bool {
        self.sr & self.dier != 0
    }

    pub(crate) fn next_event(&self) -> Option<Time> {
        let wanted = self.dier & !self.sr;
        if !self.counts() || wanted == 0 || self.active_arr == 0 {
            return None;
        }
        // What comes after the update is looked at again when that has passed.
        let mut cycles = self.until_update();
        for channel in 0..self.channels {
            let value = self.active_ccr[channel];
            if wanted & 2 << channel != 0 && self.cnt < value && value <= self.active_arr {
                cycles = cycles.min(self.cycles(u64::from(value - self.cnt)));
            }
        }
        Some(self.at + self.period * cycles)
    }

    fn preloads_channel(&self, channel: usize) -> bool {
        self.ccmr[channel / 2] >> (8 * (channel % 2)) & 1 << 3 != 0
    }

    pub(crate) fn read(&mut self, offset: u32, now: Time) -> Reg {
        self.advance(now);
        Ok(match offset {
            0x00 => self.cr1,
            0x04 => 0,
            0x08 | 0x20 | 0x48 | 0x4C | 0x50 if self.channels > 0 => 0,
            0x0C => self.dier,
            0x10 => self.sr,
            0x14 => 0,
            0x18 if self.channels > 0 => self.ccmr[0],
            0x1C if self.channels > 2 => self.ccmr[1],
            0x24 => self.cnt,
            0x28 => self.psc,
            0x2C => self.arr,
            0x34..=0x40 => *self
                .ccr
                .get(..self.channels)
                .and_then(|ccr| ccr.get((offset as usize - 0x34) / 4))
                .ok_or(BusFault::Reserved)?,
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32, now: Time) -> Result<(), BusFault> {
        self.advance(now);
        let flags = UPDATE | ((1 << self.channels) - 1) << 1;
        match offset {
            0x00 if value & !cr1::WRITABLE == 0 => {
                self.cr1 = value;
                if value & cr1::CEN == 0 {
                    self.at = now;
                }
            }
            // Master and slave modes, outputs, DMA and remapping: only "none" is modelled.
            0x04 if value == 0 => {}
            0x08 | 0x20 | 0x48 | 0x4C | 0x50 if value == 0 && self.channels > 0 => {}
            0x0C if value & !flags == 0 => self.dier = value,
            // Overcapture flags are never set.
            0x10 => self.sr &= value,
            0x14 if value & !(flags) == 0 => {
                self.sr |= value & flags & !UPDATE;
                if value & UPDATE != 0 {
                    self.cnt = 0;
                    self.phase = 0;
                    self.update(false);
                }
            }
            // CCxS other than output is capture.
            0x18 if self.channels > 0 && value & 0x0303 == 0 => self.ccmr[0] = value & 0xFCFC,
            0x1C if self.channels > 2 && value & 0x0303 == 0 => self.ccmr[1] = value & 0xFCFC,
            0x24 => {
                self.cnt = value & 0xFFFF;
                self.phase = 0;
            }
            0x28 => self.psc = value & 0xFFFF,
            0x2C => {
                self.arr = value & 0xFFFF;
                if self.cr1 & cr1::ARPE == 0 {
                    self.active_arr = self.arr;
                }
            }
            0x34..=0x40 => {
                let channel = (offset as usize - 0x34) / 4;
                if channel >= self.channels {
                    return Err(BusFault::Reserved);
                }
                self.ccr[channel] = value & 0xFFFF;
                if !self.preloads_channel(channel) {
                    self.active_ccr[channel] = self.ccr[channel];
                }
            }
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts microseconds: 1 MHz, prescaler as given.
    fn counting(psc: u32, arr: u32, dier: u32) -> Timer {
        let mut timer = Timer::new(4);
        timer.set_period(Time::from_micros(1), Time::ZERO);
        for (offset, value) in [
            (0x28, psc),
            (0x2C, arr),
            (0x00, cr1::URS),
            (0x14, 1),
            (0x0C, dier),
            (0x00, cr1::CEN),
        ] {
            timer.write(offset, value, Time::ZERO).unwrap();
        }
        timer
    }

    #[test]
    fn it_counts_cycles_through_its_prescaler() {
        let mut timer = counting(9, 0xFFFF, 0);
        assert_eq!(timer.read(0x24, Time::from_micros(99)), Ok(9));
        assert_eq!(timer.read(0x24, Time::from_micros(100)), Ok(10));
        assert_eq!(timer.read(0x10, Time::from_micros(100)), Ok(0));
    }

    #[test]
    fn an_overflow_is_an_update_and_comes_at_its_time() {
        let mut timer = counting(0, 999, UPDATE);
        assert_eq!(timer.next_event(), Some(Time::from_micros(1000)));
        timer.advance(Time::from_micros(999));
        assert!(!timer.interrupt());
        timer.advance(Time::from_micros(1000));
        assert!(timer.interrupt());
        assert_eq!(timer.next_event(), None, "the flag is still set");
        timer.write(0x10, !UPDATE, Time::from_micros(1500)).unwrap();
        assert_eq!(timer.next_event(), Some(Time::from_micros(2000)));
    }

    #[test]
    fn a_channel_matches_when_the_counter_reaches_it() {
        let mut timer = counting(0, 0xFFFF, 4);
        timer.write(0x38, 300, Time::ZERO).unwrap();
        assert_eq!(timer.next_event(), Some(Time::from_micros(300)));
        timer.advance(Time::from_micros(299));
        assert!(!timer.interrupt());
        timer.advance(Time::from_micros(300));
        assert!(timer.interrupt());
    }

    #[test]
    fn it_does_not_matter_in_how_many_pieces_it_is_advanced() {
        let (mut one, mut many) = (counting(6, 123, 0), counting(6, 123, 0));
        for timer in [&mut one, &mut many] {
            timer.write(0x34, 77, Time::ZERO).unwrap();
        }
        for micros in 0..100_000 {
            many.advance(Time::from_micros(micros));
        }
        let end = Time::from_micros(99_999);
        for offset in [0x10, 0x24] {
            assert_eq!(one.read(offset, end), many.read(offset, end));
        }
        assert_eq!(one.read(0x24, end), Ok(99_999 / 7 % 124));
    }

    #[test]
    fn one_pulse_stops_at_the_update() {
        let mut timer = counting(0, 9, 0);
        timer.write(0x00, cr1::CEN | cr1::OPM, Time::ZERO).unwrap();
        assert_eq!(timer.read(0x00, Time::from_micros(50)), Ok(cr1::OPM));
        assert_eq!(timer.read(0x24, Time::from_micros(50)), Ok(0));
    }

    #[test]
    fn a_preloaded_period_waits_for_the_update() {
        let mut timer = counting(0, 99, 0);
        timer.write(0x00, cr1::CEN | cr1::ARPE, Time::ZERO).unwrap();
        timer.write(0x2C, 9, Time::from_micros(5)).unwrap();
        assert_eq!(timer.read(0x24, Time::from_micros(95)), Ok(95));
        assert_eq!(timer.read(0x24, Time::from_micros(113)), Ok(3));
    }

    #[test]
    fn it_stands_still_without_its_clock() {
        let mut timer = counting(0, 0xFFFF, 0);
        timer.set_period(Time::ZERO, Time::from_micros(10));
        timer.set_period(Time::from_micros(2), Time::from_micros(110));
        assert_eq!(timer.read(0x24, Time::from_micros(130)), Ok(20));
    }

    #[test]
    fn what_is_not_modelled_is_refused() {
        let mut timer = Timer::new(2);
        for (offset, value) in [
            (0x00, 1 << 4),
            (0x08, 7),
            (0x18, 1),
            (0x1C, 0),
            (0x20, 1),
            (0x3C, 0),
        ] {
            let result = timer.write(offset, value, Time::ZERO);
            assert_eq!(result, Err(BusFault::Reserved), "{offset:#x}");
        }
        assert_eq!(
            Timer::new(0).read(0x34, Time::ZERO),
            Err(BusFault::Reserved)
        );
    }
}
