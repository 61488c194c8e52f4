//! LPTIM1 at 0x4000_7C00 (RM0376): counting an internal clock, in STOP too when that is the LSI.
//!
//! External clock and trigger, encoder, outputs and the time-out function are not modelled.

use crate::chip::Reg;
use crate::cpu::bus::BusFault;
use crate::time::Time;

mod isr {
    pub const CMPM: u32 = 1 << 0;
    pub const ARRM: u32 = 1 << 1;
    pub const CMPOK: u32 = 1 << 3;
    pub const ARROK: u32 = 1 << 4;
    pub const ALL: u32 = 0x7F;
}

mod cr {
    pub const ENABLE: u32 = 1 << 0;
    pub const SNGSTRT: u32 = 1 << 1;
    pub const CNTSTRT: u32 = 1 << 2;
}

/// PRESC, WAVE, WAVPOL and PRELOAD: all that has a meaning without pins.
const CFGR_WRITABLE: u32 = 7 << 9 | 7 << 20;
const CFGR_PRELOAD: u32 = 1 << 22;

/// The registers.
#[derive(Clone)]
pub struct Lptim {
    isr: u32,
    ier: u32,
    cfgr: u32,
    enabled: bool,
    running: bool,
    single: bool,
    cmp: u32,
    arr: u32,
    active_cmp: u32,
    active_arr: u32,
    cnt: u32,
    phase: u64,
    at: Time,
    /// Length of a cycle of its clock; zero while that is off.
    period: Time,
}

impl Lptim {
    pub(crate) fn new() -> Lptim {
        Lptim {
            isr: 0,
            ier: 0,
            cfgr: 0,
            enabled: false,
            running: false,
            single: false,
            cmp: 0,
            arr: 1,
            active_cmp: 0,
            active_arr: 1,
            cnt: 0,
            phase: 0,
            at: Time::ZERO,
            period: Time::ZERO,
        }
    }

    fn counts(&self) -> bool {
        self.running && self.period > Time::ZERO
    }

    /// From `now` on a cycle of its clock takes `period`; zero stops it.
    pub(crate) fn set_period(&mut self, period: Time, now: Time) {
        if period != self.period {
            self.advance(now);
            self.period = period;
            self.at = now;
        }
    }

    fn divider(&self) -> u64 {
        1 << (self.cfgr >> 9 & 7)
    }

    fn cycles(&self, steps: u32) -> u64 {
        (u64::from(steps) * self.divider()).saturating_sub(self.phase)
    }

    fn until_end(&self) -> u64 {
        self.cycles(self.active_arr.max(self.cnt) - self.cnt + 1)
    }

    /// Brings the counter up to `now`.
    pub(crate) fn advance(&mut self, now: Time) {
        if !self.counts() {
            self.at = now;
            return;
        }
        let mut cycles = now.since(self.at).picos() / self.period.picos();
        self.at += self.period * cycles;
        while cycles > 0 && self.running {
            let rest = self.until_end();
            if cycles < rest {
                let total = self.phase + cycles;
                self.phase = total % self.divider();
                self.count_to(self.cnt + (total / self.divider()) as u32);
                return;
            }
            cycles -= rest;
            self.count_to(self.active_arr.max(self.cnt));
            self.phase = 0;
            self.cnt = 0;
            self.active_arr = self.arr;
            self.active_cmp = self.cmp;
            if self.single {
                self.running = false;
            }
            let round = self.until_end();
            if cycles > 2 * round && self.running {
                self.count_to(self.active_arr);
                self.cnt = 0;
                cycles -= (cycles / round - 1) * round;
            }
        }
    }

    fn count_to(&mut self, to: u32) {
        let reached = |value| self.cnt < value && value <= to;
        let mut flags = 0;
        if reached(self.active_cmp) {
            flags |= isr::CMPM;
        }
        if reached(self.active_arr) {
            flags |= isr::ARRM;
        }
        self.isr |= flags;
        self.cnt = to;
    }

    /// Its interrupt, which is its line of EXTI too.
    pub(crate) fn interrupt(&self) -> bool {
        self.isr & self.ier != 0
    }

    pub(crate) fn next_event(&self) -> Option<Time> {
        let wanted = self.ier & !self.isr;
        if !self.counts() || wanted & (isr::CMPM | isr::ARRM) == 0 {
            return None;
        }
        let mut cycles = self.until_end();
        for (flag, value) in [(isr::CMPM, self.active_cmp), (isr::ARRM, self.active_arr)] {
            if wanted & flag != 0 && self.cnt < value && value <= self.active_arr {
                cycles = cycles.min(self.cycles(value - self.cnt));
            }
        }
        Some(self.at + self.period * cycles)
    }

    pub(crate) fn read(&mut self, offset: u32, now: Time) -> Reg {
        self.advance(now);
        Ok(match offset {
            0x00 => self.isr,
            0x04 => 0,
            0x08 => self.ier,
            0x0C => self.cfgr,
            0x10 => u32::from(self.enabled),
            0x14 => self.cmp,
            0x18 => self.arr,
            0x1C => self.cnt,
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32, now: Time) -> Result<(), BusFault> {
        self.advance(now);
        let preloads = self.cfgr & CFGR_PRELOAD != 0 && self.running;
        match offset {
            0x00 | 0x1C => {}
            0x04 => self.isr &= !(value & isr::ALL),
            // Interrupts and configuration change only while it is off.
            0x08 if !self.enabled => self.ier = value & isr::ALL,
            0x0C if value & !CFGR_WRITABLE != 0 => return Err(BusFault::Reserved),
            0x0C if !self.enabled => self.cfgr = value,
            0x10 => {
                self.enabled = value & cr::ENABLE != 0;
                if !self.enabled {
                    let old = self.clone();
                    *self = Lptim {
                        ier: old.ier,
                        cfgr: old.cfgr,
                        cmp: old.cmp,
                        active_cmp: old.cmp,
                        arr: old.arr,
                        active_arr: old.arr,
                        at: now,
                        period: old.period,
                        ..Lptim::new()
                    };
                } else if value & (cr::SNGSTRT | cr::CNTSTRT) != 0 && !self.running {
                    self.running = true;
                    self.single = value & cr::SNGSTRT != 0;
                    self.at = now;
                }
            }
            // CMP and ARR can be written only while it is on.
            0x14 if self.enabled => {
                self.cmp = value & 0xFFFF;
                if !preloads {
                    self.active_cmp = self.cmp;
                }
                self.isr |= isr::CMPOK;
            }
            0x18 if self.enabled => {
                self.arr = value & 0xFFFF;
                if !preloads {
                    self.active_arr = self.arr;
                }
                self.isr |= isr::ARROK;
            }
            0x08 | 0x0C | 0x14 | 0x18 => {}
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting(arr: u32, cmp: u32, ier: u32) -> Lptim {
        let mut lptim = Lptim::new();
        lptim.set_period(Time::from_micros(1), Time::ZERO);
        for (offset, value) in [
            (0x08, ier),
            (0x0C, 3 << 9),
            (0x10, 1),
            (0x14, cmp),
            (0x18, arr),
            (0x10, 5),
        ] {
            lptim.write(offset, value, Time::ZERO).unwrap();
        }
        lptim
    }

    #[test]
    fn it_counts_its_clock_divided_by_eight_and_matches() {
        let mut lptim = counting(99, 50, isr::CMPM | isr::ARRM);
        assert_eq!(lptim.next_event(), Some(Time::from_micros(400)));
        lptim.advance(Time::from_micros(400));
        assert!(lptim.interrupt());
        lptim
            .write(0x04, isr::CMPM, Time::from_micros(400))
            .unwrap();
        // The compare flag is wanted again, but the end of the period comes first.
        assert_eq!(lptim.next_event(), Some(Time::from_micros(792)));
        assert_eq!(lptim.read(0x1C, Time::from_micros(799)), Ok(99));
        assert_eq!(lptim.read(0x1C, Time::from_micros(800)), Ok(0));
        let flags = isr::ARRM | isr::CMPOK | isr::ARROK;
        assert_eq!(lptim.read(0x00, Time::from_micros(800)), Ok(flags));
    }

    #[test]
    fn it_does_not_matter_in_how_many_pieces_it_is_advanced() {
        let (mut one, mut many) = (counting(31, 7, 0), counting(31, 7, 0));
        for micros in 0..50_000 {
            many.advance(Time::from_micros(micros));
        }
        let end = Time::from_micros(49_999);
        for offset in [0x00, 0x1C] {
            assert_eq!(one.read(offset, end), many.read(offset, end));
        }
    }

    #[test]
    fn it_is_configured_while_off_and_set_while_on() {
        let mut lptim = Lptim::new();
        lptim.write(0x18, 77, Time::ZERO).unwrap();
        assert_eq!(lptim.read(0x18, Time::ZERO), Ok(1));
        let mut lptim = counting(99, 50, 0);
        lptim.write(0x08, 1, Time::ZERO).unwrap();
        assert_eq!(lptim.read(0x08, Time::ZERO), Ok(0));
        assert_eq!(lptim.write(0x0C, 1, Time::ZERO), Err(BusFault::Reserved));
    }
}
