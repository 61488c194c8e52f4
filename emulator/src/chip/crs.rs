//! Clock recovery system at 0x4000_6C00 (RM0376): trims HSI48 from USB's start of frame.
//!
//! HSI48 is exactly 48 MHz here, so that every synchronisation succeeds and TRIM never has to move.

use crate::chip::Reg;
use crate::cpu::bus::BusFault;

mod cr {
    pub const CEN: u32 = 1 << 5;
    pub const SWSYNC: u32 = 1 << 7;
    pub const WRITABLE: u32 = 0x3F6F;
    pub const RESET: u32 = 0x2000;
}

const CFGR_RESET: u32 = 0x2022_BB7F;
const CFGR_WRITABLE: u32 = 0xB7FF_FFFF;
/// SYNCSRC: USB start of frame.
const SYNC_USB: u32 = 2;
const SYNCOKF: u32 = 1 << 0;
const ESYNCF: u32 = 1 << 3;

/// The registers.
#[derive(Clone)]
pub struct Crs {
    cr: u32,
    cfgr: u32,
    isr: u32,
}

impl Crs {
    pub(crate) fn new() -> Crs {
        Crs {
            cr: cr::RESET,
            cfgr: CFGR_RESET,
            isr: 0,
        }
    }

    /// USB saw a start of frame.
    pub(crate) fn start_of_frame(&mut self) {
        if self.cfgr >> 28 & 3 == SYNC_USB {
            self.synchronise();
        }
    }

    fn synchronise(&mut self) {
        if self.cr & cr::CEN != 0 {
            self.isr |= SYNCOKF | ESYNCF;
        }
    }

    pub(crate) fn interrupt(&self) -> bool {
        self.isr & self.cr & 0xF != 0
    }

    pub(crate) fn read(&self, offset: u32) -> Reg {
        Ok(match offset {
            0x00 => self.cr,
            0x04 => self.cfgr,
            0x08 => self.isr,
            0x0C => 0,
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32) -> Result<(), BusFault> {
        match offset {
            0x00 => {
                self.cr = value & cr::WRITABLE;
                if value & cr::SWSYNC != 0 {
                    self.synchronise();
                }
            }
            0x04 => self.cfgr = value & CFGR_WRITABLE,
            0x0C => self.isr &= !(value & 0xF),
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_of_frame_synchronises_only_when_it_is_the_source_and_the_counter_runs() {
        let mut crs = Crs::new();
        crs.start_of_frame();
        assert_eq!(crs.read(8), Ok(0));
        crs.write(0, 0x2061).unwrap();
        crs.start_of_frame();
        assert_eq!(crs.read(8), Ok(9));
        assert!(crs.interrupt());
        crs.write(0xC, 9).unwrap();
        crs.write(4, 0x1022_BB7F).unwrap();
        crs.start_of_frame();
        assert_eq!(crs.read(8), Ok(0));
    }
}
