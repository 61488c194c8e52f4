//! USB full-speed device at 0x4000_5C00 with its packet memory at 0x4000_6000 (RM0376).
//!
//! It answers the host's transactions from packet memory as the hardware does, whatever the core is doing, and must
//! never answer without its 48 MHz clock.

use crate::chip::Reg;
use crate::cpu::bus::{BusFault, Width};
use crate::time::Time;

/// Bytes of packet memory.
pub const PACKET_MEMORY: usize = 1024;

mod ep {
    pub const ADDRESS: u16 = 0x000F;
    pub const STAT_TX: u16 = 0x0030;
    pub const DTOG_TX: u16 = 0x0040;
    pub const CTR_TX: u16 = 0x0080;
    pub const KIND: u16 = 0x0100;
    pub const TYPE: u16 = 0x0600;
    pub const TYPE_CONTROL: u16 = 0x0200;
    pub const SETUP: u16 = 0x0800;
    pub const STAT_RX: u16 = 0x3000;
    pub const DTOG_RX: u16 = 0x4000;
    pub const CTR_RX: u16 = 0x8000;
    /// Written as they are.
    pub const PLAIN: u16 = 0x070F;
    /// Toggled by writing 1.
    pub const TOGGLED: u16 = STAT_TX | DTOG_TX | STAT_RX | DTOG_RX;
    /// Cleared by writing 0.
    pub const CLEARED: u16 = CTR_TX | CTR_RX;
}

mod istr {
    pub const DIR: u16 = 1 << 4;
    pub const ESOF: u16 = 1 << 8;
    pub const SOF: u16 = 1 << 9;
    pub const RESET: u16 = 1 << 10;
    pub const SUSP: u16 = 1 << 11;
    pub const WKUP: u16 = 1 << 12;
    pub const PMAOVR: u16 = 1 << 14;
    pub const CTR: u16 = 1 << 15;
    /// Every flag that software clears by writing 0.
    pub const FLAGS: u16 = 0x7F80;
}

mod cntr {
    pub const FRES: u16 = 1 << 0;
    pub const PDWN: u16 = 1 << 1;
    pub const LPMODE: u16 = 1 << 2;
    pub const FSUSP: u16 = 1 << 3;
    pub const RESUME: u16 = 1 << 4;
    /// L1RESUME and L1REQM: link power management, which is not modelled.
    pub const L1: u16 = 1 << 5 | 1 << 7;
}

const BCDR_DPPU: u16 = 1 << 15;
const DADDR_EF: u16 = 1 << 7;
/// A frame.
const FRAME: Time = Time::from_millis(1);

/// A packet's payload, at most 64 bytes as full-speed bulk and control have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    bytes: [u8; 64],
    length: u8,
}

impl Packet {
    /// Of the first 64 bytes of `data`.
    pub fn new(data: &[u8]) -> Packet {
        let length = data.len().min(64);
        let mut bytes = [0; 64];
        bytes[..length].copy_from_slice(&data[..length]);
        Packet {
            bytes,
            length: length as u8,
        }
    }

    /// The payload.
    pub fn data(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// What the device answers to a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// Data or setup was taken.
    Ack,
    /// Data of an IN transaction with its toggle.
    Data(Packet, bool),
    /// Not now.
    Nak,
    /// Halted.
    Stall,
    /// Nothing: not addressed, no clock, or an error.
    None,
}

/// The peripheral's registers and packet memory.
#[derive(Clone)]
pub struct Usb {
    endpoints: [u16; 8],
    cntr: u16,
    istr: u16,
    fnr: u16,
    daddr: u16,
    btable: u16,
    bcdr: u16,
    memory: Box<[u8; PACKET_MEMORY]>,
    clock: bool,
    /// The last start of frame, reset or resume.
    activity: Time,
    /// Frames missed since.
    missed: u8,
    in_reset: bool,
    /// EPnR was written: a waiting host may try again.
    kicked: bool,
}

impl Usb {
    pub(crate) fn new() -> Usb {
        Usb {
            endpoints: [0; 8],
            cntr: cntr::FRES | cntr::PDWN,
            istr: 0,
            fnr: 0,
            daddr: 0,
            btable: 0,
            bcdr: 0,
            memory: Box::new([0; PACKET_MEMORY]),
            clock: false,
            activity: Time::ZERO,
            missed: 0,
            in_reset: false,
            kicked: false,
        }
    }

    /// The 48 MHz clock came or went.
    pub(crate) fn set_clock(&mut self, on: bool, now: Time) {
        if on && !self.clock {
            self.activity = now;
            self.missed = 0;
        }
        let came = on && !self.clock;
        self.clock = on;
        if came && self.in_reset && self.watches_bus() {
            // It goes on, and is seen now.
            self.clear_endpoints();
            self.istr |= istr::RESET;
        }
    }

    /// Whether a host sees a full-speed device: transceiver on, pull-up on D+. That takes no clock; answering does.
    pub(crate) fn pull_up(&self) -> bool {
        self.cntr & cntr::PDWN == 0 && self.bcdr & BCDR_DPPU != 0
    }

    pub(crate) fn take_kick(&mut self) -> bool {
        std::mem::take(&mut self.kicked)
    }

    pub(crate) fn interrupt(&self) -> bool {
        self.istr_value() & self.cntr & 0xFF00 != 0
    }

    /// What EXTI line 18 carries.
    pub(crate) fn wakeup_line(&self) -> bool {
        self.istr & istr::WKUP != 0
    }

    /// Activity on the bus is felt without a clock while suspended.
    fn feel(&mut self) {
        if !self.clock && self.cntr & (cntr::PDWN | cntr::FRES) == 0 && self.cntr & cntr::FSUSP != 0
        {
            self.wake();
        }
    }

    /// The hardware ends its low-power mode by itself.
    fn wake(&mut self) {
        self.istr |= istr::WKUP;
        self.cntr &= !cntr::LPMODE;
    }

    fn watches_bus(&self) -> bool {
        self.clock && self.cntr & (cntr::FRES | cntr::PDWN) == 0
    }

    /// The next expected start of frame, which may stay away.
    pub(crate) fn next_event(&self) -> Option<Time> {
        let counts = self.watches_bus()
            && self.pull_up()
            && !self.in_reset
            && self.missed < 3
            && self.cntr & cntr::FSUSP == 0;
        // A frame that is on time comes before this.
        counts.then(|| self.activity + FRAME * (u64::from(self.missed) + 1) + Time::from_micros(10))
    }

    pub(crate) fn tick(&mut self, now: Time) {
        while self.next_event().is_some_and(|due| due <= now) {
            self.missed += 1;
            self.istr |= istr::ESOF;
            if self.missed == 3 {
                self.istr |= istr::SUSP;
            }
        }
    }

    fn bus_active(&mut self, now: Time) {
        if self.missed >= 3 || self.cntr & cntr::FSUSP != 0 {
            self.wake();
        }
        self.activity = now;
        self.missed = 0;
    }

    /// The host holds or releases reset signalling.
    pub(crate) fn bus_reset(&mut self, held: bool, now: Time) {
        self.in_reset = held;
        self.feel();
        if !self.watches_bus() {
            return;
        }
        self.bus_active(now);
        if held {
            self.clear_endpoints();
            self.istr |= istr::RESET;
        }
    }

    fn clear_endpoints(&mut self) {
        for endpoint in &mut self.endpoints {
            // CTR flags survive a USB reset, so that software still sees the last transaction.
            *endpoint &= ep::CLEARED;
        }
        self.daddr = 0;
    }

    /// The host ends a suspend: K state on the bus.
    pub(crate) fn resume(&mut self, now: Time) {
        self.feel();
        if self.watches_bus() {
            self.bus_active(now);
        }
    }

    pub(crate) fn start_of_frame(&mut self, number: u16, now: Time) {
        self.feel();
        if self.watches_bus() {
            self.bus_active(now);
            self.fnr = number & 0x7FF | 1 << 13;
            self.istr |= istr::SOF;
        }
    }

    fn half(&self, at: usize) -> u16 {
        let at = at & (PACKET_MEMORY - 2);
        u16::from_le_bytes([self.memory[at], self.memory[at + 1]])
    }

    fn set_half(&mut self, at: usize, value: u16) {
        let at = at & (PACKET_MEMORY - 2);
        self.memory[at..at + 2].copy_from_slice(&value.to_le_bytes());
    }

    fn find(&self, address: u8, endpoint: u8, field: u16) -> Option<usize> {
        if !self.watches_bus() || self.daddr & DADDR_EF == 0 || (self.daddr & 0x7F) as u8 != address
        {
            return None;
        }
        (0..8).find(|&n| {
            (self.endpoints[n] & ep::ADDRESS) as u8 == endpoint && self.endpoints[n] & field != 0
        })
    }

    fn is_double_buffered(register: u16) -> bool {
        register & ep::TYPE == 0 && register & ep::KIND != 0
    }

    fn store(&mut self, descriptor: usize, data: &[u8]) -> bool {
        let address = usize::from(self.half(descriptor));
        let count = self.half(descriptor + 2);
        let blocks = usize::from(count >> 10 & 0x1F);
        let room = if count & 0x8000 != 0 {
            (blocks + 1) * 32
        } else {
            blocks * 2
        };
        if data.len() > room {
            return false;
        }
        for (index, &byte) in data.iter().enumerate() {
            self.memory[(address + index) % PACKET_MEMORY] = byte;
        }
        self.set_half(descriptor + 2, count & 0xFC00 | data.len() as u16);
        true
    }

    /// A SETUP transaction.
    pub(crate) fn setup(&mut self, address: u8, data: [u8; 8]) -> Response {
        let Some(n) = self.find(address, 0, ep::STAT_RX) else {
            return Response::None;
        };
        let register = self.endpoints[n];
        // While CTR_RX is set a SETUP gets no handshake, so that software never loses one; the host tries again.
        if register & ep::TYPE != ep::TYPE_CONTROL || register & ep::CTR_RX != 0 {
            return Response::None;
        }
        let table = usize::from(self.btable) + n * 8;
        if !self.store(table + 4, &data) {
            self.istr |= istr::PMAOVR;
            return Response::None;
        }
        // Both directions NAK until software has decided; DATA1 comes next both ways.
        self.endpoints[n] = register & !(ep::STAT_RX | ep::STAT_TX)
            | 0x2020
            | ep::CTR_RX
            | ep::SETUP
            | ep::DTOG_RX
            | ep::DTOG_TX;
        Response::Ack
    }

    /// An OUT transaction with its data toggle.
    pub(crate) fn out(&mut self, address: u8, endpoint: u8, data: &[u8], toggle: bool) -> Response {
        let Some(n) = self.find(address, endpoint, ep::STAT_RX) else {
            return Response::None;
        };
        let register = self.endpoints[n];
        match register & ep::STAT_RX {
            0x1000 => return Response::Stall,
            0x2000 => return Response::Nak,
            _ => {}
        }
        let dtog = register & ep::DTOG_RX != 0;
        let double = Self::is_double_buffered(register);
        if double && dtog == (register & ep::DTOG_TX != 0) {
            return Response::Nak;
        }
        if dtog != toggle {
            // The host missed our handshake: acknowledged and dropped.
            return Response::Ack;
        }
        let control = register & ep::TYPE == ep::TYPE_CONTROL;
        if control && register & ep::KIND != 0 && !data.is_empty() {
            // STATUS_OUT: only an empty packet is expected.
            self.endpoints[n] = register & !ep::STAT_RX | 0x1000;
            return Response::Stall;
        }
        let table = usize::from(self.btable) + n * 8;
        let descriptor = if double && !dtog { table } else { table + 4 };
        if !self.store(descriptor, data) {
            self.istr |= istr::PMAOVR;
            return Response::None;
        }
        let mut after = register & !ep::SETUP | ep::CTR_RX;
        if !double {
            after = after & !ep::STAT_RX | 0x2000;
        }
        self.endpoints[n] = after ^ ep::DTOG_RX;
        Response::Ack
    }

    /// An IN transaction; the host is taken to have received the data.
    pub(crate) fn input(&mut self, address: u8, endpoint: u8) -> Response {
        let Some(n) = self.find(address, endpoint, ep::STAT_TX) else {
            return Response::None;
        };
        let register = self.endpoints[n];
        match register & ep::STAT_TX {
            0x10 => return Response::Stall,
            0x20 => return Response::Nak,
            _ => {}
        }
        let dtog = register & ep::DTOG_TX != 0;
        let double = Self::is_double_buffered(register);
        if double && dtog == (register & ep::DTOG_RX != 0) {
            return Response::Nak;
        }
        let table = usize::from(self.btable) + n * 8;
        let descriptor = if double && dtog { table + 4 } else { table };
        let address = usize::from(self.half(descriptor));
        let count = usize::from(self.half(descriptor + 2) & 0x3FF);
        let mut data = [0; 64];
        for (index, byte) in data.iter_mut().enumerate().take(count) {
            *byte = self.memory[(address + index) % PACKET_MEMORY];
        }
        let mut after = register | ep::CTR_TX;
        if !double {
            after = after & !ep::STAT_TX | 0x20;
        }
        self.endpoints[n] = after ^ ep::DTOG_TX;
        Response::Data(Packet::new(&data[..count.min(64)]), dtog)
    }

    fn istr_value(&self) -> u16 {
        let pending = self
            .endpoints
            .iter()
            .position(|register| register & ep::CLEARED != 0);
        let Some(n) = pending else { return self.istr };
        let direction = if self.endpoints[n] & ep::CTR_RX != 0 {
            istr::DIR
        } else {
            0
        };
        self.istr | istr::CTR | n as u16 | direction
    }

    pub(crate) fn read(&self, offset: u32) -> Reg {
        let value = match offset {
            0x00..=0x1C => self.endpoints[offset as usize / 4],
            0x40 => self.cntr,
            0x44 => self.istr_value(),
            0x48 => {
                self.fnr
                    | if self.pull_up() && !self.in_reset {
                        1 << 15
                    } else {
                        0
                    }
            }
            0x4C => self.daddr,
            0x50 => self.btable,
            0x54 => 0,
            0x58 => self.bcdr,
            _ => return Err(BusFault::Reserved),
        };
        Ok(value.into())
    }

    pub(crate) fn write(&mut self, offset: u32, value: u32, now: Time) -> Result<(), BusFault> {
        let value = value as u16;
        match offset {
            0x00..=0x1C => {
                let register = &mut self.endpoints[offset as usize / 4];
                let old = *register;
                *register = old & value & ep::CLEARED
                    | value & ep::PLAIN
                    | old & ep::SETUP
                    | (old ^ value) & ep::TOGGLED;
                self.kicked = true;
            }
            0x40 => {
                if value & (cntr::L1 | cntr::RESUME) != 0 {
                    return Err(BusFault::Reserved);
                }
                let watched = self.watches_bus();
                self.cntr = value;
                if value & cntr::FRES != 0 {
                    self.clear_endpoints();
                    self.istr = if value & cntr::PDWN == 0 {
                        istr::RESET
                    } else {
                        0
                    };
                }
                if !watched && self.watches_bus() {
                    self.activity = now;
                    self.missed = 0;
                }
            }
            0x44 => self.istr &= value | !istr::FLAGS,
            0x4C => self.daddr = value & 0xFF,
            0x50 => self.btable = value & 0xFFF8,
            // Link power management off is all that is modelled.
            0x54 if value & 0xB == 0 => {}
            // Battery charger detection is not modelled.
            0x58 if value & 0xF == 0 => {
                if value & BCDR_DPPU != 0 && self.bcdr & BCDR_DPPU == 0 {
                    self.activity = now;
                    self.missed = 0;
                }
                self.bcdr = value & BCDR_DPPU;
            }
            _ => return Err(BusFault::Reserved),
        }
        Ok(())
    }

    /// Packet memory takes bytes and half words; a word would reach only half of its bytes.
    pub(crate) fn read_memory(&self, offset: u32, width: Width) -> Reg {
        let at = offset as usize;
        match width {
            Width::Byte => Ok(self.memory[at].into()),
            Width::Half => Ok(self.half(at).into()),
            Width::Word => Err(BusFault::Width),
        }
    }

    pub(crate) fn write_memory(
        &mut self,
        offset: u32,
        width: Width,
        value: u32,
    ) -> Result<(), BusFault> {
        let at = offset as usize;
        match width {
            Width::Byte => self.memory[at] = value as u8,
            Width::Half => self.set_half(at, value as u16),
            Width::Word => return Err(BusFault::Width),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Usb {
        let mut usb = Usb::new();
        usb.set_clock(true, Time::ZERO);
        usb.write(0x40, 0, Time::ZERO).unwrap();
        usb.write(0x44, 0, Time::ZERO).unwrap();
        usb.write(0x58, 0x8000, Time::ZERO).unwrap();
        usb.write(0x4C, 0x80, Time::ZERO).unwrap();
        usb
    }

    /// Endpoint `n` as bulk, 64-byte buffers at 0x100 (TX) and 0x140 (RX), both directions VALID.
    fn with_bulk(n: u32) -> Usb {
        let mut usb = running();
        for (offset, value) in [(0, 0x100u32), (2, 0), (4, 0x140), (6, 0x8400)] {
            usb.write_memory(n * 8 + offset, Width::Half, value)
                .unwrap();
        }
        usb.write(4 * n, 0x3030 | n, Time::ZERO).unwrap();
        usb
    }

    #[test]
    fn nothing_answers_without_the_48_mhz_clock() {
        let mut usb = with_bulk(1);
        usb.set_clock(false, Time::ZERO);
        assert!(usb.pull_up(), "the resistor takes no clock");
        assert_eq!(usb.out(0, 1, &[1], false), Response::None);
        usb.start_of_frame(1, Time::from_micros(1));
        assert_eq!(usb.read(0x44), Ok(0));
    }

    #[test]
    fn a_suspended_device_feels_the_bus_wake_without_its_clock() {
        let mut usb = running();
        usb.write(0x40, cntr::FSUSP.into(), Time::ZERO).unwrap();
        usb.set_clock(false, Time::ZERO);
        assert!(!usb.wakeup_line());
        usb.resume(Time::from_millis(50));
        assert!(usb.wakeup_line());
    }

    #[test]
    fn waking_ends_the_low_power_mode_but_not_the_suspend() {
        let mut usb = running();
        let low_power = u32::from(cntr::FSUSP | cntr::LPMODE);
        usb.write(0x40, low_power, Time::ZERO).unwrap();
        usb.set_clock(false, Time::ZERO);
        assert_eq!(usb.read(0x40), Ok(low_power));
        usb.resume(Time::from_millis(50));
        assert_eq!(usb.read(0x40), Ok(cntr::FSUSP.into()));
    }

    #[test]
    fn a_reset_that_began_without_its_clock_is_seen_when_that_comes() {
        let mut usb = running();
        usb.write(0x40, cntr::FSUSP.into(), Time::ZERO).unwrap();
        usb.set_clock(false, Time::ZERO);
        usb.bus_reset(true, Time::from_millis(50));
        assert_eq!(usb.read(0x44).unwrap() & u32::from(istr::RESET), 0);
        usb.set_clock(true, Time::from_millis(54));
        assert_ne!(usb.read(0x44).unwrap() & u32::from(istr::RESET), 0);
    }

    #[test]
    fn an_out_packet_lands_in_packet_memory_and_the_next_is_naked() {
        let mut usb = with_bulk(1);
        assert_eq!(usb.out(0, 1, &[1, 2, 3], false), Response::Ack);
        assert_eq!(usb.read_memory(0x140, Width::Half), Ok(0x0201));
        assert_eq!(usb.read_memory(8 + 6, Width::Half), Ok(0x8403));
        assert_eq!(usb.read(0x44), Ok(0x8011));
        assert_eq!(usb.out(0, 1, &[4], true), Response::Nak);
    }

    #[test]
    fn a_repeated_packet_is_acknowledged_and_dropped() {
        let mut usb = with_bulk(1);
        usb.out(0, 1, &[1], false);
        // CTR_RX cleared by writing 0, STAT_RX toggled from NAK to VALID.
        usb.write(4, 0x1081, Time::ZERO).unwrap();
        assert_eq!(usb.out(0, 1, &[9], false), Response::Ack);
        assert_eq!(usb.read_memory(0x140, Width::Byte), Ok(1));
        assert_eq!(usb.out(0, 1, &[2], true), Response::Ack);
        assert_eq!(usb.read_memory(0x140, Width::Byte), Ok(2));
    }

    #[test]
    fn a_packet_that_does_not_fit_sets_pmaovr() {
        let mut usb = with_bulk(1);
        usb.write_memory(8 + 6, Width::Half, 4 << 10).unwrap();
        assert_eq!(usb.out(0, 1, &[0; 9], false), Response::None);
        assert_eq!(usb.read(0x44), Ok(0x4000));
    }

    #[test]
    fn stat_bits_toggle_and_ctr_bits_clear_on_zero() {
        let mut usb = with_bulk(1);
        usb.write_memory(8 + 2, Width::Half, 2).unwrap();
        assert!(
            matches!(usb.input(0, 1), Response::Data(packet, false) if packet.data().len() == 2)
        );
        assert_eq!(usb.read(4), Ok(0x30E1));
        // CTR_TX written 1 stays, DTOG and STAT written 0 stay.
        usb.write(4, 0x8081, Time::ZERO).unwrap();
        assert_eq!(usb.read(4), Ok(0x30E1));
        usb.write(4, 0x8001 | 0x10, Time::ZERO).unwrap();
        assert_eq!(usb.read(4), Ok(0x3071));
    }

    #[test]
    fn setup_is_taken_over_nak_and_makes_both_directions_nak() {
        let mut usb = running();
        usb.write_memory(4, Width::Half, 0x80).unwrap();
        usb.write_memory(6, Width::Half, 0x8400).unwrap();
        usb.write(0, 0x2220, Time::ZERO).unwrap();
        assert_eq!(usb.setup(0, [1, 2, 3, 4, 5, 6, 7, 8]), Response::Ack);
        assert_eq!(usb.read(0), Ok(0xEA60));
        assert_eq!(usb.setup(0, [0; 8]), Response::None, "CTR_RX is still set");
        assert_eq!(usb.read_memory(0x86, Width::Half), Ok(0x0807));
    }

    #[test]
    fn double_buffered_out_fills_both_buffers_before_it_naks() {
        let mut usb = with_bulk(2);
        usb.write_memory(2 * 8 + 2, Width::Half, 0x8400).unwrap();
        // EP_KIND, and SW_BUF (DTOG_TX) to 1: hardware owns buffer 0.
        usb.write(8, 0x0142, Time::ZERO).unwrap();
        assert_eq!(usb.out(0, 2, &[5], false), Response::Ack);
        assert_eq!(usb.read_memory(0x100, Width::Byte), Ok(5));
        assert_eq!(
            usb.out(0, 2, &[6], true),
            Response::Nak,
            "both buffers belong to software"
        );
        // Software gives buffer 1 to the hardware by toggling SW_BUF, before it has read buffer 0.
        usb.write(8, 0x0142, Time::ZERO).unwrap();
        assert_eq!(usb.out(0, 2, &[6], true), Response::Ack);
        assert_eq!(usb.read_memory(0x140, Width::Byte), Ok(6));
    }

    #[test]
    fn three_missing_frames_suspend_and_a_reset_wakes() {
        let mut usb = running();
        usb.tick(Time::from_micros(2900));
        assert_eq!(usb.read(0x44), Ok(0x0100));
        usb.tick(Time::from_micros(3100));
        assert_eq!(usb.read(0x44), Ok(0x0900));
        usb.bus_reset(true, Time::from_millis(9));
        assert_eq!(usb.read(0x44), Ok(0x1D00));
    }

    #[test]
    fn a_word_access_to_packet_memory_is_refused() {
        let mut usb = running();
        assert_eq!(usb.read_memory(0, Width::Word), Err(BusFault::Width));
        assert_eq!(usb.write_memory(0, Width::Word, 1), Err(BusFault::Width));
    }
}
