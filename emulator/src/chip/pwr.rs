//! Power control at 0x4000_7000 (RM0376): voltage ranges, access to the RTC domain, STOP and STANDBY.

use crate::chip::Reg;
use crate::cpu::bus::BusFault;
use crate::time::Time;

/// How long the regulator takes to change its range.
const RANGE_CHANGE: Time = Time::from_micros(10);

mod cr {
    pub const PDDS: u32 = 1 << 1;
    pub const CWUF: u32 = 1 << 2;
    pub const CSBF: u32 = 1 << 3;
    pub const DBP: u32 = 1 << 8;
    pub const FWU: u32 = 1 << 10;
    pub const VOS: u32 = 3 << 11;
    pub const RESET: u32 = 0x1000;
    pub const WRITABLE: u32 = 0x0001_7FF3;
    /// PVDE (the voltage detector) and LPRUN are not modelled.
    pub const NOT_MODELLED: u32 = 1 << 4 | 1 << 14;
}

const CSR_WUF: u32 = 1 << 0;
const CSR_SBF: u32 = 1 << 1;
const CSR_VREFINTRDYF: u32 = 1 << 3;
const CSR_VOSF: u32 = 1 << 4;
const CSR_EWUP: u32 = 7 << 8;

/// Core voltage range: how fast core and PLL may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VoltageRange {
    /// 1.8 V, up to 32 MHz.
    Range1,
    /// 1.5 V, up to 16 MHz.
    Range2,
    /// 1.2 V, up to 4.2 MHz.
    Range3,
}

/// The registers.
#[derive(Clone)]
pub struct Pwr {
    cr: u32,
    csr: u32,
    settled_at: Time,
    /// Level of the wake-up pins when they were last looked at.
    wakeup_pins: u32,
}

impl Pwr {
    pub(crate) fn new() -> Pwr {
        Pwr {
            cr: cr::RESET,
            csr: 0,
            settled_at: Time::ZERO,
            wakeup_pins: 0,
        }
    }

    /// A reset clears everything but, when it ends STANDBY, the flags that tell of it.
    pub(crate) fn reset(&mut self, from_standby: bool) {
        let flags = self.csr & (CSR_WUF | CSR_SBF);
        *self = Pwr::new();
        if from_standby {
            self.csr = flags | CSR_SBF;
        }
    }

    /// Deep sleep means STANDBY, not STOP.
    pub(crate) fn standby(&self) -> bool {
        self.cr & cr::PDDS != 0
    }

    /// Waking from STANDBY does not wait for VREFINT.
    pub(crate) fn fast_wakeup(&self) -> bool {
        self.cr & cr::FWU != 0
    }

    /// Whether something has asked to end STANDBY and was not cleared yet.
    pub(crate) fn woken(&self) -> bool {
        self.csr & CSR_WUF != 0
    }

    /// The RTC went off.
    pub(crate) fn wake(&mut self) {
        self.csr |= CSR_WUF;
    }

    /// Levels of the wake-up pins 1 to 3, a bit each: a rising edge of one that is enabled wakes.
    pub(crate) fn set_wakeup_pins(&mut self, levels: u32) {
        let rising = levels & !self.wakeup_pins;
        self.wakeup_pins = levels;
        if rising & self.csr >> 8 & 7 != 0 {
            self.wake();
        }
    }

    /// Whether the RTC domain may be written.
    pub(crate) fn rtc_access(&self) -> bool {
        self.cr & cr::DBP != 0
    }

    pub(crate) fn range(&self) -> VoltageRange {
        match self.cr & cr::VOS {
            0x0800 => VoltageRange::Range1,
            0x1000 => VoltageRange::Range2,
            _ => VoltageRange::Range3,
        }
    }

    pub(crate) fn read(&self, offset: u32, now: Time) -> Reg {
        match offset {
            0x00 => Ok(self.cr),
            0x04 => {
                let changing = if now < self.settled_at { CSR_VOSF } else { 0 };
                Ok(self.csr | CSR_VREFINTRDYF | changing)
            }
            _ => Err(BusFault::Reserved),
        }
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32, now: Time) -> Result<(), BusFault> {
        match offset {
            0x00 if value & cr::NOT_MODELLED != 0 => return Err(BusFault::Reserved),
            0x00 => {
                let old = self.cr;
                self.cr = value & cr::WRITABLE & !(cr::CWUF | cr::CSBF);
                if self.cr & cr::VOS == 0 {
                    // 0 is forbidden, and ignored by the hardware.
                    self.cr |= old & cr::VOS;
                }
                if value & cr::CWUF != 0 {
                    self.csr &= !CSR_WUF;
                }
                if value & cr::CSBF != 0 {
                    self.csr &= !CSR_SBF;
                }
                if (old ^ self.cr) & cr::VOS != 0 {
                    self.settled_at = now + RANGE_CHANGE;
                }
            }
            0x04 => self.csr = self.csr & !CSR_EWUP | value & CSR_EWUP,
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chip_starts_in_range_2_and_vosf_tells_when_a_change_is_done() {
        let mut pwr = Pwr::new();
        assert_eq!(pwr.range(), VoltageRange::Range2);
        pwr.write(0, 0x0800, Time::ZERO).unwrap();
        assert_eq!(pwr.range(), VoltageRange::Range1);
        assert_eq!(pwr.read(4, Time::from_micros(9)), Ok(0x18));
        assert_eq!(pwr.read(4, Time::from_micros(10)), Ok(0x08));
    }

    #[test]
    fn a_wakeup_pin_tells_of_its_rising_edge_once_it_is_enabled() {
        let mut pwr = Pwr::new();
        pwr.set_wakeup_pins(1);
        assert!(!pwr.woken());
        pwr.write(4, 1 << 8, Time::ZERO).unwrap();
        pwr.set_wakeup_pins(1);
        assert!(!pwr.woken(), "a level is not an edge");
        pwr.set_wakeup_pins(0);
        pwr.set_wakeup_pins(1);
        assert!(pwr.woken());
        pwr.write(0, 0x1000 | cr::CWUF, Time::ZERO).unwrap();
        assert!(!pwr.woken());
    }

    #[test]
    fn only_a_reset_out_of_standby_leaves_its_flag() {
        let mut pwr = Pwr::new();
        pwr.wake();
        pwr.reset(true);
        assert_eq!(pwr.read(4, Time::ZERO), Ok(0x0B));
        pwr.reset(false);
        assert_eq!(pwr.read(4, Time::ZERO), Ok(0x08));
    }

    #[test]
    fn a_forbidden_vos_keeps_the_range() {
        let mut pwr = Pwr::new();
        pwr.write(0, 0x0100, Time::ZERO).unwrap();
        assert_eq!(pwr.range(), VoltageRange::Range2);
        assert!(pwr.rtc_access());
    }
}
