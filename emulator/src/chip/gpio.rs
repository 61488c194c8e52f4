//! General-purpose I/O ports at 0x5000_0000 (RM0376).

use crate::chip::Reg;
use crate::cpu::bus::{BusFault, Width};

const MODE_INPUT: u32 = 0;
const MODE_OUTPUT: u32 = 1;
const MODE_ALTERNATE: u32 = 2;

/// Whether the register at `offset` decides which pins are alternate functions.
pub(crate) fn sets_function(offset: u32) -> bool {
    matches!(offset, 0x00 | 0x20 | 0x24)
}

/// Progress of the LCKR sequence: write 1, write 0, write 1, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lock {
    Open(u8),
    Locked,
}

/// One port.
#[derive(Clone)]
pub struct Port {
    moder: u32,
    otyper: u32,
    ospeedr: u32,
    pupdr: u32,
    odr: u32,
    afr: [u32; 2],
    lock: Lock,
    lock_mask: u32,
}

impl Port {
    /// Port A's SWD pins come up as alternate functions with their pulls.
    pub(crate) fn new(port: usize) -> Port {
        let a = port == 0;
        Port {
            moder: if a { 0xEBFF_FCFF } else { 0xFFFF_FFFF },
            otyper: 0,
            ospeedr: if a { 0x0C00_0000 } else { 0 },
            pupdr: if a { 0x2400_0000 } else { 0 },
            odr: 0,
            afr: [0; 2],
            lock: Lock::Open(0),
            lock_mask: 0,
        }
    }

    /// Port A in STANDBY: not even the pulls of SWD.
    pub(crate) fn floating() -> Port {
        Port {
            moder: 0xFFFF_FFFF,
            ospeedr: 0,
            pupdr: 0,
            ..Port::new(0)
        }
    }

    fn mode(&self, pin: u32) -> u32 {
        self.moder >> (2 * pin) & 3
    }

    /// Whether a pin is connected to alternate function `function`.
    pub(crate) fn is_alternate(&self, pin: u32, function: u32) -> bool {
        let selected = self.afr[pin as usize / 8] >> (4 * (pin % 8)) & 0xF;
        self.mode(pin) == MODE_ALTERNATE && selected == function
    }

    /// Whether a pin is switched to analog.
    pub(crate) fn is_analog(&self, pin: u32) -> bool {
        self.mode(pin) == 3
    }

    /// Level that an output pin drives; `None` when it does not drive.
    pub(crate) fn drives(&self, pin: u32) -> Option<bool> {
        let high = self.odr >> pin & 1 != 0;
        let open_drain = self.otyper >> pin & 1 != 0;
        (self.mode(pin) == MODE_OUTPUT && !(high && open_drain)).then_some(high)
    }

    /// Whether a pin that nobody drives is pulled low.
    pub(crate) fn pulls_down(&self, pin: usize) -> bool {
        self.pupdr >> (2 * pin) & 3 == 2
    }

    /// `levels`: what the board drives, where `driven` has a bit.
    pub(crate) fn inputs(&self, levels: u16, driven: u16) -> u32 {
        (0..16)
            .filter(|&pin| match self.mode(pin) {
                MODE_INPUT | MODE_OUTPUT | MODE_ALTERNATE => {
                    self.drives(pin).unwrap_or_else(|| {
                        if driven >> pin & 1 != 0 {
                            levels >> pin & 1 != 0
                        } else {
                            self.pupdr >> (2 * pin) & 3 == 1
                        }
                    })
                }
                // The Schmitt trigger is off in analog mode.
                _ => false,
            })
            .fold(0, |idr, pin| idr | 1 << pin)
    }

    pub(crate) fn read(&mut self, offset: u32, levels: u16, driven: u16) -> Reg {
        Ok(match offset {
            0x00 => self.moder,
            0x04 => self.otyper,
            0x08 => self.ospeedr,
            0x0C => self.pupdr,
            0x10 => self.inputs(levels, driven),
            0x14 => self.odr,
            0x18 | 0x28 => 0,
            0x1C => {
                if self.lock == Lock::Open(3) {
                    self.lock = Lock::Locked;
                }
                self.lock_mask | u32::from(self.lock == Lock::Locked) << 16
            }
            0x20 | 0x24 => self.afr[(offset as usize - 0x20) / 4],
            _ => return Err(BusFault::Reserved),
        })
    }

    /// `offset` of the register's word, `value` in its place there and `width` of the access at byte `lane`.
    pub(crate) fn write(
        &mut self,
        offset: u32,
        lane: u32,
        width: Width,
        value: u32,
    ) -> Result<(), BusFault> {
        let shift = 8 * lane;
        let mask = u32::MAX >> (32 - 8 * width as u32) << shift;
        let value = value << shift;
        // A locked pin keeps its configuration.
        let (mut single, mut double) = (0, 0);
        if self.lock == Lock::Locked {
            single = self.lock_mask;
            double = (0..16)
                .filter(|pin| single >> pin & 1 != 0)
                .fold(0, |m, pin| m | 3 << (2 * pin));
        }
        let merge = |old: u32, kept: u32| old & (!mask | kept) | value & mask & !kept;
        match offset {
            0x00 => self.moder = merge(self.moder, double),
            0x04 => self.otyper = merge(self.otyper, single) & 0xFFFF,
            0x08 => self.ospeedr = merge(self.ospeedr, double),
            0x0C => self.pupdr = merge(self.pupdr, double),
            0x10 => {}
            0x14 => self.odr = merge(self.odr, 0) & 0xFFFF,
            // Set wins over reset.
            0x18 => self.odr = self.odr & !(value >> 16) | value & 0xFFFF,
            0x1C => {
                let key = value & 1 << 16 != 0;
                let same = value & 0xFFFF == self.lock_mask;
                self.lock = match self.lock {
                    Lock::Locked => Lock::Locked,
                    Lock::Open(0) if key => {
                        self.lock_mask = value & 0xFFFF;
                        Lock::Open(1)
                    }
                    Lock::Open(1) if !key && same => Lock::Open(2),
                    Lock::Open(2) if key && same => Lock::Open(3),
                    Lock::Open(_) => Lock::Open(0),
                };
            }
            0x20 | 0x24 => {
                let index = (offset as usize - 0x20) / 4;
                let kept = (0..8)
                    .filter(|pin| single >> (8 * index + pin) & 1 != 0)
                    .fold(0, |m, pin| m | 0xF << (4 * pin));
                self.afr[index] = merge(self.afr[index], kept);
            }
            0x28 => self.odr &= !value,
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(port: &mut Port, offset: u32, value: u32) {
        port.write(offset, 0, Width::Word, value).unwrap();
    }

    #[test]
    fn an_output_reads_back_what_it_drives() {
        let mut port = Port::new(1);
        write(&mut port, 0x00, 0b01_01);
        write(&mut port, 0x18, 0b01 | 0b10 << 16);
        assert_eq!((port.drives(0), port.drives(1)), (Some(true), Some(false)));
        assert_eq!(port.read(0x10, 0, 0), Ok(1));
        write(&mut port, 0x28, 1);
        assert_eq!(port.read(0x10, 0, 0), Ok(0));
    }

    #[test]
    fn an_input_sees_the_board_and_else_its_pull() {
        let mut port = Port::new(1);
        write(&mut port, 0x00, 0);
        write(&mut port, 0x0C, 0b01_01_01);
        assert_eq!(port.read(0x10, 0b100, 0b110), Ok(0b101));
    }

    #[test]
    fn an_analog_pin_reads_low() {
        let mut port = Port::new(1);
        assert_eq!(port.read(0x10, 0xFFFF, 0xFFFF), Ok(0));
    }

    #[test]
    fn an_open_drain_output_releases_the_line_when_high() {
        let mut port = Port::new(1);
        write(&mut port, 0x00, 1);
        write(&mut port, 0x04, 1);
        write(&mut port, 0x14, 1);
        assert_eq!(port.drives(0), None);
        write(&mut port, 0x14, 0);
        assert_eq!(port.drives(0), Some(false));
    }

    #[test]
    fn a_byte_write_changes_its_lane_only() {
        let mut port = Port::new(1);
        port.write(0x00, 1, Width::Byte, 0).unwrap();
        assert_eq!(port.read(0, 0, 0), Ok(0xFFFF_00FF));
    }

    #[test]
    fn a_locked_pin_keeps_its_mode() {
        let mut port = Port::new(1);
        for value in [0x1_0001, 0x0_0001, 0x1_0001] {
            write(&mut port, 0x1C, value);
        }
        assert_eq!(port.read(0x1C, 0, 0), Ok(0x1_0001));
        write(&mut port, 0x00, 0);
        assert_eq!(port.read(0, 0, 0), Ok(3));
    }
}
