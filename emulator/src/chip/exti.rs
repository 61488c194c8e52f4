//! Extended interrupts and events at 0x4001_0400 (RM0376): pins and peripherals that can wake the chip from STOP.
//!
//! Lines 0 to 15 are pins, 17 the RTC's alarms, 20 its wake-up timer: these have edges and pending bits. 18 (USB) and
//! 29 (LPTIM1) are direct: they wake, and their interrupt is the peripheral's own. The voltage detector, comparators,
//! tamper inputs and wake-up by USART and I2C are not modelled; their lines never become active.

use crate::chip::Reg;
use crate::cpu::bus::BusFault;

/// The lines of the pins, a bit each.
pub(crate) const PINS: u32 = 0xFFFF;
/// The RTC's alarms.
pub(crate) const RTC_ALARM: u32 = 1 << 17;
/// USB activity while suspended.
pub(crate) const USB_WAKEUP: u32 = 1 << 18;
/// The RTC's wake-up timer.
pub(crate) const RTC_WAKEUP: u32 = 1 << 20;
/// LPTIM1.
pub(crate) const LPTIM1: u32 = 1 << 29;

/// Lines with edge selection, software trigger and pending bit.
const CONFIGURABLE: u32 = 0x007B_FFFF;
const MASKABLE: u32 = 0x3FFF_FFFF;
/// The direct lines are unmasked after reset.
const IMR_RESET: u32 = 0x3F84_0000;

/// The registers.
#[derive(Clone)]
pub struct Exti {
    imr: u32,
    emr: u32,
    rtsr: u32,
    ftsr: u32,
    swier: u32,
    pr: u32,
    levels: u32,
    direct: u32,
    /// An event for WFE that nobody has taken yet.
    event: bool,
}

impl Exti {
    pub(crate) fn new() -> Exti {
        Exti {
            imr: IMR_RESET,
            emr: 0,
            rtsr: 0,
            ftsr: 0,
            swier: 0,
            pr: 0,
            levels: 0,
            direct: 0,
            event: false,
        }
    }

    /// Whether the level of any pin matters.
    pub(crate) fn watches_pins(&self) -> bool {
        (self.rtsr | self.ftsr) & PINS != 0
    }

    /// Levels of the lines in `mask` as they are now; an edge that was asked for pends or is an event.
    pub(crate) fn set_levels(&mut self, mask: u32, levels: u32) {
        let old = self.levels;
        self.levels = old & !mask | levels & mask;
        let rising = self.levels & !old & self.rtsr;
        let falling = old & !self.levels & self.ftsr;
        self.trigger(rising | falling);
    }

    /// What the direct lines carry now.
    pub(crate) fn set_direct(&mut self, active: u32) {
        self.event |= active & !self.direct & self.emr != 0;
        self.direct = active;
    }

    fn trigger(&mut self, lines: u32) {
        self.pr |= lines & self.imr;
        self.event |= lines & self.emr != 0;
    }

    /// Whether STOP ends, or is not entered at all.
    pub(crate) fn wakes(&self) -> bool {
        (self.pr | self.direct) & self.imr != 0 || self.event
    }

    pub(crate) fn take_event(&mut self) -> bool {
        std::mem::take(&mut self.event)
    }

    /// Interrupt lines of the core: RTC 2, pins 5 to 7.
    pub(crate) fn interrupts(&self) -> u32 {
        let pending = self.pr & self.imr;
        if pending == 0 {
            return 0;
        }
        [
            (RTC_ALARM | RTC_WAKEUP | 1 << 19, 2),
            (0x0003, 5),
            (0x000C, 6),
            (0xFFF0, 7),
        ]
        .into_iter()
        .filter(|(lines, _)| pending & lines != 0)
        .fold(0, |all, (_, number)| all | 1 << number)
    }

    pub(crate) fn read(&self, offset: u32) -> Reg {
        Ok(match offset {
            0x00 => self.imr,
            0x04 => self.emr,
            0x08 => self.rtsr,
            0x0C => self.ftsr,
            0x10 => self.swier,
            0x14 => self.pr,
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32) -> Result<(), BusFault> {
        match offset {
            0x00 => self.imr = value & MASKABLE,
            0x04 => self.emr = value & MASKABLE,
            0x08 => self.rtsr = value & CONFIGURABLE,
            0x0C => self.ftsr = value & CONFIGURABLE,
            0x10 => {
                let new = value & CONFIGURABLE & !self.swier;
                self.swier |= new;
                self.trigger(new);
            }
            0x14 => {
                self.pr &= !value;
                self.swier &= !value;
            }
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unmasked(line: u32) -> Exti {
        let mut exti = Exti::new();
        exti.write(0x00, line).unwrap();
        exti
    }

    #[test]
    fn a_rising_edge_pends_only_when_it_was_asked_for_and_only_once() {
        let mut exti = unmasked(1 << 9);
        exti.set_levels(PINS, 1 << 9);
        assert_eq!(exti.read(0x14), Ok(0), "no edge was selected");
        exti.set_levels(PINS, 0);
        exti.write(0x08, 1 << 9).unwrap();
        exti.set_levels(PINS, 1 << 9);
        assert_eq!((exti.read(0x14), exti.interrupts()), (Ok(1 << 9), 1 << 7));
        exti.write(0x14, 1 << 9).unwrap();
        exti.set_levels(PINS, 1 << 9);
        assert_eq!((exti.interrupts(), exti.wakes()), (0, false));
    }

    #[test]
    fn an_event_neither_pends_nor_interrupts() {
        let mut exti = Exti::new();
        exti.write(0x04, 2).unwrap();
        exti.write(0x0C, 2).unwrap();
        exti.set_levels(PINS, 2);
        assert!(!exti.take_event());
        exti.set_levels(PINS, 0);
        assert_eq!(exti.read(0x14), Ok(0));
        assert!(exti.wakes() && exti.take_event() && !exti.take_event());
    }

    #[test]
    fn software_can_trigger_a_line() {
        let mut exti = unmasked(RTC_ALARM);
        exti.write(0x10, RTC_ALARM).unwrap();
        assert_eq!(exti.interrupts(), 1 << 2);
        exti.write(0x14, RTC_ALARM).unwrap();
        assert_eq!((exti.read(0x10), exti.interrupts()), (Ok(0), 0));
    }

    #[test]
    fn a_direct_line_wakes_without_a_pending_bit() {
        let mut exti = Exti::new();
        exti.set_direct(USB_WAKEUP);
        assert!(exti.wakes());
        assert_eq!((exti.read(0x14), exti.interrupts()), (Ok(0), 0));
        exti.write(0x00, 0).unwrap();
        assert!(!exti.wakes());
    }
}
