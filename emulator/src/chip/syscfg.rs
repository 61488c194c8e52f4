//! System configuration at 0x4001_0000 (RM0376): the references of HSI48 and the ADC.
//!
//! The memory remap is not modelled: flash always answers at 0.

use crate::chip::Reg;
use crate::cpu::bus::BusFault;

const CFGR1_MEM_MODE: u32 = 3;
const EN_VREFINT: u32 = 1 << 0;
const ENREF_HSI48: u32 = 1 << 13;
const VREFINT_RDYF: u32 = 1 << 30;
const CFGR3_WRITABLE: u32 = 0x0000_3331;

/// The registers.
#[derive(Clone)]
pub struct Syscfg {
    cfgr2: u32,
    exticr: [u32; 4],
    cfgr3: u32,
}

impl Syscfg {
    pub(crate) fn new() -> Syscfg {
        Syscfg {
            cfgr2: 0,
            exticr: [0; 4],
            cfgr3: 0,
        }
    }

    /// Whether HSI48 has its reference voltage.
    pub(crate) fn hsi48_reference(&self) -> bool {
        self.cfgr3 & (EN_VREFINT | ENREF_HSI48) == EN_VREFINT | ENREF_HSI48
    }

    /// EXTICR: the port that EXTI line `pin` listens to, 0 for A.
    pub(crate) fn exti_port(&self, pin: usize) -> usize {
        (self.exticr[pin / 4] >> (4 * (pin % 4)) & 0xF) as usize
    }

    pub(crate) fn read(&self, offset: u32) -> Reg {
        Ok(match offset {
            0x00 => 0,
            0x04 => self.cfgr2,
            0x08..=0x14 => self.exticr[(offset as usize - 8) / 4],
            // VREFINT runs anyway outside ultra-low-power mode, so it is ready as soon as it is asked for.
            0x20 if self.cfgr3 & EN_VREFINT != 0 => self.cfgr3 | VREFINT_RDYF,
            0x20 => self.cfgr3,
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32) -> Result<(), BusFault> {
        match offset {
            0x00 if value & CFGR1_MEM_MODE == 0 => {}
            0x04 => self.cfgr2 = value & 0x7F01,
            0x08..=0x14 => self.exticr[(offset as usize - 8) / 4] = value & 0xFFFF,
            0x20 => self.cfgr3 = value & CFGR3_WRITABLE,
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_hsi48_needs_both_bits() {
        let mut syscfg = Syscfg::new();
        syscfg.write(0x20, ENREF_HSI48).unwrap();
        assert!(!syscfg.hsi48_reference());
        syscfg.write(0x20, ENREF_HSI48 | EN_VREFINT).unwrap();
        assert!(syscfg.hsi48_reference());
        assert_eq!(syscfg.read(0x20), Ok(0x4000_2001));
    }

    #[test]
    fn a_remap_is_refused_rather_than_ignored() {
        assert_eq!(Syscfg::new().write(0, 3), Err(BusFault::Reserved));
    }
}
