//! SPI1 at 0x4001_3000 (RM0376) as a master, at its real bit rate.
//!
//! The chip moves bytes between it and the board: see `Chip::advance_spi`. Slave, I2S, CRC and one-line modes are not
//! modelled.

use crate::chip::Reg;
use crate::cpu::bus::BusFault;
use crate::time::Time;

mod cr1 {
    pub const CPHA: u32 = 1 << 0;
    pub const CPOL: u32 = 1 << 1;
    pub const MSTR: u32 = 1 << 2;
    pub const SPE: u32 = 1 << 6;
    pub const LSBFIRST: u32 = 1 << 7;
    pub const SSI: u32 = 1 << 8;
    pub const SSM: u32 = 1 << 9;
    pub const DFF: u32 = 1 << 11;
    /// RXONLY, CRCNEXT, CRCEN, BIDIOE, BIDIMODE.
    pub const NOT_MODELLED: u32 = 0xF400;
}

mod cr2 {
    pub const RXDMAEN: u32 = 1 << 0;
    pub const TXDMAEN: u32 = 1 << 1;
    pub const SSOE: u32 = 1 << 2;
    pub const FRF: u32 = 1 << 4;
    pub const ERRIE: u32 = 1 << 5;
    pub const RXNEIE: u32 = 1 << 6;
    pub const TXEIE: u32 = 1 << 7;
}

mod sr {
    pub const RXNE: u32 = 1 << 0;
    pub const TXE: u32 = 1 << 1;
    pub const MODF: u32 = 1 << 5;
    pub const OVR: u32 = 1 << 6;
    pub const BSY: u32 = 1 << 7;
}

/// A frame in the shift register.
#[derive(Clone, Copy, Debug)]
struct Shift {
    frame: u16,
    until: Time,
}

/// The registers.
#[derive(Clone)]
pub struct Spi {
    cr1: u32,
    cr2: u32,
    transmit: Option<u16>,
    shift: Option<Shift>,
    received: Option<u16>,
    last: u16,
    overrun: bool,
    /// DR was read since the overrun: reading SR now clears it.
    overrun_read: bool,
    mode_fault: bool,
    crc_polynomial: u32,
}

impl Spi {
    pub(crate) fn new() -> Spi {
        Spi {
            cr1: 0,
            cr2: 0,
            transmit: None,
            shift: None,
            received: None,
            last: 0,
            overrun: false,
            overrun_read: false,
            mode_fault: false,
            crc_polynomial: 7,
        }
    }

    fn frame_bits(&self) -> u64 {
        if self.cr1 & cr1::DFF != 0 { 16 } else { 8 }
    }

    /// How long a frame takes at an APB2 clock of `pclk` hertz.
    pub(crate) fn frame_time(&self, pclk: u64) -> Time {
        let divider = 2 << (self.cr1 >> 3 & 7);
        Time::from_picos(self.frame_bits() * divider * 1_000_000_000_000 / pclk.max(1))
    }

    /// Bytes of the frame that is due at `now` in the order of the wire, and when it ended. `None` while it is still
    /// being shifted.
    pub(crate) fn due(&self, now: Time) -> Option<(u16, u64, Time)> {
        let shift = self.shift.filter(|shift| shift.until <= now)?;
        Some((
            self.on_wire(shift.frame),
            self.frame_bits() / 8,
            shift.until,
        ))
    }

    fn on_wire(&self, frame: u16) -> u16 {
        match (self.cr1 & cr1::LSBFIRST != 0, self.frame_bits()) {
            (false, _) => frame,
            (true, 8) => (frame as u8).reverse_bits().into(),
            (true, _) => frame.reverse_bits(),
        }
    }

    /// The frame that was due has been answered with `answer`; the next one starts.
    pub(crate) fn complete(&mut self, answer: u16, at: Time, pclk: u64) {
        let frame = self.on_wire(answer);
        self.shift = None;
        if self.received.is_some() {
            self.overrun = true;
            self.overrun_read = false;
        } else {
            self.received = Some(frame);
        }
        if let Some(frame) = self.transmit.take() {
            self.begin(frame, at, pclk);
        }
    }

    fn begin(&mut self, frame: u16, at: Time, pclk: u64) {
        self.shift = Some(Shift {
            frame,
            until: at + self.frame_time(pclk),
        });
    }

    /// Whether CPOL and CPHA are modes 0 or 3, which the NAND understands.
    pub(crate) fn is_mode_0_or_3(&self) -> bool {
        let mode = self.cr1 & (cr1::CPHA | cr1::CPOL);
        mode == 0 || mode == cr1::CPHA | cr1::CPOL
    }

    /// End of the frame being shifted.
    pub(crate) fn shifting_until(&self) -> Option<Time> {
        self.shift.map(|shift| shift.until)
    }

    /// Whether interrupts want to know when a frame ends.
    pub(crate) fn wants_events(&self) -> bool {
        self.cr2 & (cr2::ERRIE | cr2::RXNEIE | cr2::TXEIE) != 0
    }

    pub(crate) fn requests_transmit(&self) -> bool {
        let on = cr1::SPE | cr1::MSTR;
        self.cr2 & cr2::TXDMAEN != 0 && self.cr1 & on == on && self.transmit.is_none()
    }

    pub(crate) fn requests_receive(&self) -> bool {
        self.cr2 & cr2::RXDMAEN != 0 && self.received.is_some()
    }

    pub(crate) fn interrupt(&self) -> bool {
        let status = self.status();
        (self.cr2 & cr2::RXNEIE != 0 && status & sr::RXNE != 0)
            || (self.cr2 & cr2::TXEIE != 0 && status & sr::TXE != 0)
            || (self.cr2 & cr2::ERRIE != 0 && status & (sr::OVR | sr::MODF) != 0)
    }

    fn status(&self) -> u32 {
        let flag = |set, mask| if set { mask } else { 0 };
        flag(self.received.is_some(), sr::RXNE)
            | flag(self.transmit.is_none(), sr::TXE)
            | flag(self.mode_fault, sr::MODF)
            | flag(self.overrun, sr::OVR)
            | flag(self.shift.is_some(), sr::BSY)
    }

    /// Takes the received frame, as a read of DR does.
    pub(crate) fn take_received(&mut self) -> u16 {
        if let Some(frame) = self.received.take() {
            self.last = frame;
        }
        self.overrun_read = true;
        self.last
    }

    /// Puts a frame into the transmit buffer, as a write to DR does.
    pub(crate) fn put(&mut self, frame: u16, now: Time, pclk: u64) {
        let frame = if self.frame_bits() == 8 {
            frame & 0xFF
        } else {
            frame
        };
        let on = cr1::SPE | cr1::MSTR;
        if self.cr1 & on == on && self.shift.is_none() {
            self.begin(frame, now, pclk);
        } else {
            self.transmit = Some(frame);
        }
    }

    pub(crate) fn read(&mut self, offset: u32) -> Reg {
        Ok(match offset {
            0x00 => self.cr1,
            0x04 => self.cr2,
            0x08 => {
                let status = self.status();
                if self.overrun_read {
                    self.overrun = false;
                }
                status
            }
            0x0C => self.take_received().into(),
            0x10 => self.crc_polynomial,
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(
        &mut self,
        offset: u32,
        value: u32,
        now: Time,
        pclk: u64,
    ) -> Result<(), BusFault> {
        match offset {
            0x00 => {
                if value & cr1::NOT_MODELLED != 0 || value & (cr1::SPE | cr1::MSTR) == cr1::SPE {
                    return Err(BusFault::Reserved);
                }
                self.cr1 = value & 0xFFFF;
                self.mode_fault = false;
                // A master whose NSS reads low, with neither SSI nor SSOE holding it, drops out of master mode.
                let held = value & (cr1::SSM | cr1::SSI) == cr1::SSM | cr1::SSI
                    || (value & cr1::SSM == 0 && self.cr2 & cr2::SSOE != 0);
                if value & cr1::SPE != 0 && !held {
                    self.mode_fault = true;
                    self.cr1 &= !(cr1::SPE | cr1::MSTR);
                }
                if self.cr1 & cr1::SPE == 0 {
                    self.shift = None;
                } else if self.shift.is_none()
                    && let Some(frame) = self.transmit.take()
                {
                    self.begin(frame, now, pclk);
                }
            }
            0x04 if value & cr2::FRF != 0 => return Err(BusFault::Reserved),
            0x04 => self.cr2 = value & 0xE7,
            0x08 => {}
            0x0C => self.put(value as u16, now, pclk),
            0x10 => self.crc_polynomial = value & 0xFFFF,
            // I2SCFGR and I2SPR: only "off" is modelled.
            0x1C if value == 0 => {}
            0x20 if value & !2 == 0 => {}
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PCLK: u64 = 32_000_000;

    fn enabled(extra: u32) -> Spi {
        let mut spi = Spi::new();
        spi.write(
            0,
            cr1::SPE | cr1::MSTR | cr1::SSM | cr1::SSI | extra,
            Time::ZERO,
            PCLK,
        )
        .unwrap();
        spi
    }

    /// Sends `frames` back to back, the wire looped back, and returns when each ended.
    fn loop_back(spi: &mut Spi, frames: &[u16]) -> Vec<u64> {
        let mut ends = Vec::new();
        for &frame in frames {
            spi.write(0xC, frame.into(), Time::ZERO, PCLK).unwrap();
        }
        while let Some((wire, _, at)) = spi.due(Time::from_millis(1)) {
            spi.complete(wire, at, PCLK);
            ends.push(at.picos() / 1000);
        }
        ends
    }

    #[test]
    fn a_byte_takes_eight_bits_at_half_the_clock_and_the_next_follows_at_once() {
        let mut spi = enabled(0);
        assert_eq!(loop_back(&mut spi, &[1, 2]), [500, 1000]);
    }

    #[test]
    fn the_divider_slows_the_bits() {
        let mut spi = enabled(3 << 3);
        assert_eq!(loop_back(&mut spi, &[1]), [4000]);
    }

    #[test]
    fn status_tells_what_is_going_on() {
        let mut spi = enabled(0);
        assert_eq!(spi.read(8), Ok(sr::TXE));
        spi.write(0xC, 1, Time::ZERO, PCLK).unwrap();
        assert_eq!(spi.read(8), Ok(sr::TXE | sr::BSY));
        spi.write(0xC, 2, Time::ZERO, PCLK).unwrap();
        assert_eq!(spi.read(8), Ok(sr::BSY));
        spi.complete(7, Time::from_nanos(500), PCLK);
        assert_eq!(spi.read(8), Ok(sr::TXE | sr::BSY | sr::RXNE));
        assert_eq!(spi.read(0xC), Ok(7));
    }

    #[test]
    fn a_byte_not_read_in_time_is_an_overrun_until_dr_and_sr_are_read() {
        let mut spi = enabled(0);
        loop_back(&mut spi, &[1, 2]);
        assert_eq!(spi.read(8), Ok(sr::TXE | sr::RXNE | sr::OVR));
        assert_eq!(spi.read(0xC), Ok(1));
        assert_eq!(spi.read(8), Ok(sr::TXE | sr::OVR));
        assert_eq!(spi.read(8), Ok(sr::TXE));
    }

    #[test]
    fn a_master_without_its_select_held_faults() {
        let mut spi = Spi::new();
        spi.write(0, cr1::SPE | cr1::MSTR, Time::ZERO, PCLK)
            .unwrap();
        assert_eq!(spi.read(8), Ok(sr::TXE | sr::MODF));
        assert_eq!(spi.read(0), Ok(0));
    }

    #[test]
    fn lsb_first_reverses_the_wire() {
        let mut spi = enabled(cr1::LSBFIRST);
        spi.write(0xC, 0x01, Time::ZERO, PCLK).unwrap();
        assert_eq!(
            spi.due(Time::from_millis(1)).map(|(wire, ..)| wire),
            Some(0x80)
        );
    }
}
