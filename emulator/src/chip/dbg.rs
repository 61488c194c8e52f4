//! Debug support at 0x4001_5800 (RM0376): the device identity. Freezing peripherals has no effect, as no
//! debugger ever halts this core.

use crate::chip::Reg;
use crate::cpu::bus::BusFault;

/// Device 0x417 (STM32L05x/L06x, category 3), revision X.
const IDCODE: u32 = 0x1038_6417;

/// The registers.
#[derive(Clone)]
pub struct Dbg {
    cr: u32,
    freeze: [u32; 2],
}

impl Dbg {
    pub(crate) fn new() -> Dbg {
        Dbg {
            cr: 0,
            freeze: [0; 2],
        }
    }

    pub(crate) fn read(&self, offset: u32) -> Reg {
        Ok(match offset {
            0x00 => IDCODE,
            0x04 => self.cr,
            0x08 => self.freeze[0],
            0x0C => self.freeze[1],
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32) -> Result<(), BusFault> {
        match offset {
            0x00 => {}
            0x04 => self.cr = value & 7,
            0x08 => self.freeze[0] = value,
            0x0C => self.freeze[1] = value,
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}
