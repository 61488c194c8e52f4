//! USART1, USART2 and LPUART1 (RM0376): asynchronous frames at their real rate, to and from the other end of a cable.
//!
//! Only 8 data bits without parity and one stop bit are modelled; synchronous, LIN, IrDA, smartcard, half-duplex,
//! multiprocessor, flow control, auto baud rate and wake-up from STOP are refused.

use std::collections::VecDeque;

use crate::chip::Reg;
use crate::cpu::bus::BusFault;
use crate::time::Time;

mod cr1 {
    pub const UE: u32 = 1 << 0;
    pub const RE: u32 = 1 << 2;
    pub const TE: u32 = 1 << 3;
    pub const IDLEIE: u32 = 1 << 4;
    pub const RXNEIE: u32 = 1 << 5;
    pub const TCIE: u32 = 1 << 6;
    pub const TXEIE: u32 = 1 << 7;
    pub const PEIE: u32 = 1 << 8;
    pub const OVER8: u32 = 1 << 15;
    pub const WRITABLE: u32 = UE | RE | TE | IDLEIE | RXNEIE | TCIE | TXEIE | PEIE | OVER8;
}

mod cr3 {
    pub const EIE: u32 = 1 << 0;
    pub const DMAR: u32 = 1 << 6;
    pub const DMAT: u32 = 1 << 7;
    pub const ONEBIT: u32 = 1 << 11;
    pub const OVRDIS: u32 = 1 << 12;
    pub const DDRE: u32 = 1 << 13;
    pub const WRITABLE: u32 = EIE | DMAR | DMAT | ONEBIT | OVRDIS | DDRE;
}

mod isr {
    pub const FE: u32 = 1 << 1;
    pub const NE: u32 = 1 << 2;
    pub const ORE: u32 = 1 << 3;
    pub const IDLE: u32 = 1 << 4;
    pub const RXNE: u32 = 1 << 5;
    pub const TC: u32 = 1 << 6;
    pub const TXE: u32 = 1 << 7;
    pub const BUSY: u32 = 1 << 16;
    pub const TEACK: u32 = 1 << 21;
    pub const REACK: u32 = 1 << 22;
    pub const CLEARABLE: u32 = FE | NE | ORE | IDLE | TC | 1;
}

/// Offset of TDR.
pub(crate) const TDR: u32 = 0x28;
/// Bits of a frame on the wire: start, eight data bits, stop.
const FRAME_BITS: u64 = 10;

/// The other end of the cable.
#[derive(Clone, Debug, Default)]
pub struct Serial {
    /// Baud rate of the other end; `None` follows the chip's.
    baud: Option<u32>,
    outgoing: VecDeque<u8>,
    incoming: Vec<u8>,
}

impl Serial {
    /// Sends bytes to the chip, one after the other without a pause. What comes while its receiver is off is lost.
    pub fn write(&mut self, bytes: &[u8]) {
        self.outgoing.extend(bytes);
    }

    /// Bytes that have not gone over the wire yet.
    pub fn pending_out(&self) -> usize {
        self.outgoing.len()
    }

    /// Takes what the chip has sent.
    pub fn read(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.incoming)
    }

    /// Fixes the rate at which this end sends and listens; `None`, as at first, follows the chip's. More than 3.5 %
    /// apart, each byte comes as noise with a framing error.
    pub fn set_baud(&mut self, baud: Option<u32>) {
        self.baud = baud;
    }
}

/// The registers, and the frames on the wires.
#[derive(Clone)]
pub struct Usart {
    low_power: bool,
    cr1: u32,
    cr3: u32,
    brr: u32,
    flags: u32,
    transmit: Option<u8>,
    /// Frame being sent and when it ends.
    shift: Option<(u8, Time)>,
    received: Option<u8>,
    last: u8,
    /// When the frame on the receive wire ends.
    arriving: Option<Time>,
    /// Kernel clock in hertz; zero while it is off.
    clock: u64,
    pins: (bool, bool),
    pub(crate) serial: Serial,
}

impl Usart {
    pub(crate) fn new(low_power: bool) -> Usart {
        Usart {
            low_power,
            cr1: 0,
            cr3: 0,
            brr: 0,
            flags: isr::TC,
            transmit: None,
            shift: None,
            received: None,
            last: 0,
            arriving: None,
            clock: 0,
            pins: (false, false),
            serial: Serial::default(),
        }
    }

    /// Back to the state after reset; the cable's other end does not notice.
    pub(crate) fn reset(&mut self) {
        let serial = std::mem::take(&mut self.serial);
        *self = Usart {
            serial,
            ..Usart::new(self.low_power)
        };
    }

    /// Its clock in hertz, zero when off, and whether its pins are switched to TX and RX.
    pub(crate) fn connect(&mut self, clock: u64, transmit: bool, receive: bool) {
        if self.clock == 0 {
            // Nobody heard what came before.
            self.miss();
        }
        self.clock = clock;
        self.pins = (transmit, receive);
    }

    /// Bits a second, if it can make any.
    pub(crate) fn baud(&self) -> Option<u64> {
        let divider = u64::from(self.brr);
        let baud = if self.low_power {
            256 * self.clock / divider.max(1)
        } else if self.cr1 & cr1::OVER8 != 0 {
            // BRR[2:0] holds the fraction shifted right by one.
            2 * self.clock / (divider & !0xF | (divider & 7) << 1).max(1)
        } else {
            self.clock / divider.max(1)
        };
        (self.brr >= 16 && baud > 0).then_some(baud)
    }

    fn frame(&self, baud: u64) -> Time {
        Time::from_picos(FRAME_BITS * 1_000_000_000_000 / baud.max(1))
    }

    fn is_on(&self, direction: u32) -> bool {
        self.cr1 & (cr1::UE | direction) == cr1::UE | direction
    }

    /// The two ends agree on the rate well enough.
    fn agrees(&self, baud: u64) -> bool {
        self.serial
            .baud
            .is_none_or(|other| u64::from(other).abs_diff(baud) * 1000 <= baud * 35)
    }

    pub(crate) fn requests_transmit(&self) -> bool {
        self.cr3 & cr3::DMAT != 0 && self.is_on(cr1::TE) && self.transmit.is_none()
    }

    pub(crate) fn requests_receive(&self) -> bool {
        self.cr3 & cr3::DMAR != 0 && self.received.is_some()
    }

    pub(crate) fn take_received(&mut self) -> u8 {
        if let Some(byte) = self.received.take() {
            self.last = byte;
        }
        self.last
    }

    /// Puts a byte into the transmit register, as a write to TDR does.
    pub(crate) fn put(&mut self, byte: u8, now: Time) {
        if !self.is_on(cr1::TE) {
            return;
        }
        self.flags &= !isr::TC;
        self.transmit = Some(byte);
        self.begin(now);
    }

    fn begin(&mut self, at: Time) {
        if self.shift.is_none()
            && let Some(baud) = self.baud()
            && let Some(byte) = self.transmit.take()
        {
            self.shift = Some((byte, at + self.frame(baud)));
        }
    }

    /// When the next frame ends, in either direction.
    pub(crate) fn next_frame(&self) -> Option<Time> {
        [self.shift.map(|(_, until)| until), self.arriving]
            .into_iter()
            .flatten()
            .min()
    }

    /// Puts the next byte of the other end on the wire if that is free.
    pub(crate) fn start_receiving(&mut self, now: Time) {
        if self.arriving.is_some() || self.serial.outgoing.is_empty() {
            return;
        }
        match self.baud().filter(|_| self.is_on(cr1::RE)) {
            Some(baud) => {
                let baud = self.serial.baud.map_or(baud, u64::from);
                self.arriving = Some(now + self.frame(baud));
            }
            None => self.miss(),
        }
    }

    /// What the other end sends now is not heard.
    fn miss(&mut self) {
        self.serial.outgoing.clear();
        self.arriving = None;
    }

    /// Finishes the frame that ends first, if that is by `now`; says when it ended.
    pub(crate) fn finish_frame(&mut self, now: Time) -> Option<Time> {
        let due = self.next_frame().filter(|&due| due <= now)?;
        if let Some((byte, until)) = self.shift
            && until == due
        {
            self.shift = None;
            let baud = self.baud().unwrap_or(0);
            if self.pins.0 {
                let byte = if self.agrees(baud) { byte } else { byte ^ 0xA5 };
                self.serial.incoming.push(byte);
            }
            self.begin(due);
            if self.shift.is_none() {
                self.flags |= isr::TC;
            }
            return Some(due);
        }
        self.arriving = None;
        let byte = self.serial.outgoing.pop_front()?;
        if self.is_on(cr1::RE) && self.pins.1 {
            let agrees = self.baud().is_some_and(|baud| self.agrees(baud));
            self.receive(byte, agrees);
        }
        if self.serial.outgoing.is_empty() {
            self.flags |= isr::IDLE;
        }
        Some(due)
    }

    fn receive(&mut self, byte: u8, agrees: bool) {
        let byte = if agrees {
            byte
        } else {
            self.flags |= isr::FE;
            byte ^ 0xA5
        };
        if self.received.is_none() || self.cr3 & cr3::OVRDIS != 0 {
            self.received = Some(byte);
        } else {
            self.flags |= isr::ORE;
        }
    }

    fn status(&self) -> u32 {
        let flag = |set, mask| if set { mask } else { 0 };
        self.flags
            | flag(self.received.is_some(), isr::RXNE)
            | flag(self.transmit.is_none(), isr::TXE)
            | flag(self.arriving.is_some(), isr::BUSY)
            | flag(self.is_on(cr1::TE), isr::TEACK)
            | flag(self.is_on(cr1::RE), isr::REACK)
    }

    pub(crate) fn interrupt(&self) -> bool {
        if self.cr1 & cr1::UE == 0 {
            return false;
        }
        let status = self.status();
        let on = |enable: u32, flags: u32| self.cr1 & enable != 0 && status & flags != 0;
        on(cr1::IDLEIE, isr::IDLE)
            || on(cr1::RXNEIE, isr::RXNE | isr::ORE)
            || on(cr1::TCIE, isr::TC)
            || on(cr1::TXEIE, isr::TXE)
            || (self.cr3 & cr3::EIE != 0
                && self.cr3 & cr3::DMAR != 0
                && status & (isr::FE | isr::NE | isr::ORE) != 0)
    }

    pub(crate) fn read(&mut self, offset: u32) -> Reg {
        Ok(match offset {
            0x00 => self.cr1,
            0x04 | 0x10 | 0x14 | 0x18 | 0x20 => 0,
            0x08 => self.cr3,
            0x0C => self.brr,
            0x1C => self.status(),
            0x24 => self.take_received().into(),
            TDR => self.transmit.unwrap_or(0).into(),
            _ => return Err(BusFault::Reserved),
        })
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32, now: Time) -> Result<(), BusFault> {
        let off = self.cr1 & cr1::UE == 0;
        match offset {
            0x00 if value & !cr1::WRITABLE != 0 || self.low_power && value & cr1::OVER8 != 0 => {
                return Err(BusFault::Reserved);
            }
            0x00 => {
                let fixed = if off { 0 } else { cr1::OVER8 };
                self.cr1 = self.cr1 & fixed | value & !fixed;
                if self.cr1 & cr1::UE == 0 {
                    // Switching it off drops what it was doing.
                    self.flags = isr::TC;
                    self.transmit = None;
                    self.shift = None;
                    self.received = None;
                }
            }
            // One stop bit, nothing else.
            0x04 | 0x10 | 0x14 if value == 0 => {}
            0x08 if value & !cr3::WRITABLE != 0 => return Err(BusFault::Reserved),
            0x08 => {
                // OVRDIS, ONEBIT and DDRE are fixed while it is on.
                let fixed = if off {
                    0
                } else {
                    cr3::OVRDIS | cr3::ONEBIT | cr3::DDRE
                };
                self.cr3 = self.cr3 & fixed | value & !fixed;
            }
            0x0C if off => self.brr = value & if self.low_power { 0xF_FFFF } else { 0xFFFF },
            0x0C => {}
            // RXFRQ; the other requests belong to modes that are refused.
            0x18 if value & !(1 << 3) == 0 => {
                if value & 1 << 3 != 0 {
                    self.received = None;
                }
            }
            0x20 => self.flags &= !(value & isr::CLEARABLE),
            TDR => self.put(value as u8, now),
            0x1C | 0x24 => {}
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 115,200 baud from 16 MHz, both pins connected.
    fn running(extra: u32) -> Usart {
        let mut usart = Usart::new(false);
        usart.connect(16_000_000, true, true);
        usart.write(0x0C, 139, Time::ZERO).unwrap();
        usart
            .write(0x00, cr1::UE | cr1::RE | cr1::TE | extra, Time::ZERO)
            .unwrap();
        usart
    }

    fn run(usart: &mut Usart, to: Time) {
        usart.start_receiving(Time::ZERO);
        while let Some(at) = usart.finish_frame(to) {
            usart.start_receiving(at);
        }
    }

    #[test]
    fn a_byte_takes_ten_bits_and_the_next_follows_at_once() {
        let mut usart = running(0);
        usart.write(0x28, 0x41, Time::ZERO).unwrap();
        assert_eq!(usart.read(0x1C).unwrap() & (isr::TXE | isr::TC), isr::TXE);
        usart.write(0x28, 0x42, Time::ZERO).unwrap();
        assert_eq!(usart.read(0x1C).unwrap() & (isr::TXE | isr::TC), 0);
        // 16 MHz / 139 = 115,107 baud: 86.88 µs.
        run(&mut usart, Time::from_micros(86));
        assert!(usart.serial.read().is_empty());
        run(&mut usart, Time::from_micros(87));
        assert_eq!(usart.serial.read(), b"A");
        run(&mut usart, Time::from_micros(174));
        assert_eq!(usart.serial.read(), b"B");
        assert_eq!(usart.read(0x1C).unwrap() & isr::TC, isr::TC);
    }

    #[test]
    fn a_byte_that_is_not_read_in_time_is_an_overrun_and_the_first_stays() {
        let mut usart = running(cr1::RXNEIE);
        usart.serial.write(b"xyz");
        run(&mut usart, Time::from_micros(87));
        assert!(usart.interrupt());
        assert_eq!(usart.serial.pending_out(), 2);
        run(&mut usart, Time::from_micros(400));
        let status = usart.read(0x1C).unwrap();
        assert_eq!(
            status & (isr::ORE | isr::RXNE | isr::IDLE),
            isr::ORE | isr::RXNE | isr::IDLE
        );
        assert_eq!(usart.read(0x24), Ok(u32::from(b'x')));
        usart.write(0x20, isr::ORE, Time::ZERO).unwrap();
        assert!(!usart.interrupt());
    }

    #[test]
    fn ends_that_disagree_on_the_rate_get_framing_errors() {
        let mut usart = running(0);
        usart.serial.set_baud(Some(9600));
        usart.serial.write(b"x");
        run(&mut usart, Time::from_millis(2));
        assert_eq!(usart.read(0x1C).unwrap() & isr::FE, isr::FE);
        assert_ne!(usart.read(0x24), Ok(u32::from(b'x')));
    }

    #[test]
    fn nothing_leaves_a_pin_that_is_not_switched_to_it() {
        let mut usart = running(0);
        usart.connect(16_000_000, false, false);
        usart.serial.write(b"x");
        usart.write(0x28, 1, Time::ZERO).unwrap();
        run(&mut usart, Time::from_millis(1));
        assert!(usart.serial.read().is_empty());
        assert_eq!(usart.read(0x1C).unwrap() & isr::RXNE, 0);
    }

    #[test]
    fn rates_follow_the_divider_of_each_kind() {
        let mut usart = Usart::new(false);
        usart.connect(32_000_000, true, true);
        usart.write(0x00, cr1::OVER8, Time::ZERO).unwrap();
        // USARTDIV 556 = 0x22C: BRR 0x220 | 0xC >> 1.
        usart.write(0x0C, 0x226, Time::ZERO).unwrap();
        assert_eq!(usart.baud(), Some(115_107));
        let mut lpuart = Usart::new(true);
        lpuart.connect(32_768, true, true);
        lpuart.write(0x0C, 0x369, Time::ZERO).unwrap();
        assert_eq!(lpuart.baud(), Some(9608));
    }

    #[test]
    fn what_is_not_modelled_is_refused() {
        let mut usart = Usart::new(false);
        for (offset, value) in [(0x00, 1 << 12), (0x00, 2), (0x04, 1 << 12), (0x08, 1 << 8)] {
            let result = usart.write(offset, value, Time::ZERO);
            assert_eq!(result, Err(BusFault::Reserved), "{offset:#x}");
        }
    }
}
