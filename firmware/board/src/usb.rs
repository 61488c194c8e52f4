//! USB: one port, reached as a serial port (CDC, abstract control model) or, where a browser has WebUSB alone, by a vendor
//! interface; the same identity in both programs, so that a browser keeps its permission. No more of it than computers ask
//! for: a stack for any device takes 4 KB more.
//!
//! There is no line behind the port, so what computers set for one is kept and told, and changes nothing. The two ways to
//! it must never be mixed: it belongs to the one on which a conversation began last.
//! Sources: USB 2.0, chapter 9; USB 3.2, section 9.6.2 (binary object store); USB CDC 1.2, section 5; CDC PSTN 1.2,
//! section 6.3; WebUSB, section 4.1; Microsoft OS 2.0 descriptors; RM0376, section 31.

use cortex_m::peripheral::NVIC;
use protocol::device::{SerialNumber, USB_PRODUCT_ID, USB_VENDOR_ID};
use protocol::frame::Aligned;
use stm32_metapac::common::{RW, Reg};
use stm32_metapac::usb::regs::{Bcdr, Daddr, Epr, Istr};
use stm32_metapac::{Interrupt, RCC, USB, USBRAM};
use update::MAX_DATA;
use update::server::Line;

use crate::clock::Clock;
use crate::crc_unit;
use crate::oscillators::CORE_HERTZ;

/// Bytes of the largest packet of every endpoint.
pub const PACKET: usize = 64;

/// Numbers of the endpoints. Both directions of a number are of one type: the chip has one register for them. Interface
/// n has number n + 1.
mod endpoint {
    pub const CONTROL: usize = 0;
    pub const NOTIFICATIONS: usize = 1;
    pub const SERIAL: usize = 2;
    pub const VENDOR: usize = 3;
    pub const COUNT: usize = 4;
    /// In the address of an endpoint that sends.
    pub const IN: u8 = 0x80;
}

/// Numbers of the texts.
mod text {
    pub const MANUFACTURER: u8 = 1;
    pub const PRODUCT: u8 = 2;
    pub const SERIAL: u8 = 3;
}

/// The languages of the texts: English of the United States.
static LANGUAGES: [u8; 4] = [4, 3, 0x09, 0x04];

#[rustfmt::skip]
static DEVICE: [u8; 18] = [
    // USB 2.1, so that it is asked for its binary object store; interfaces are grouped by associations.
    18, 1, 0x10, 0x02, 0xEF, 2, 1, PACKET as u8,
    USB_VENDOR_ID as u8, (USB_VENDOR_ID >> 8) as u8, USB_PRODUCT_ID as u8, (USB_PRODUCT_ID >> 8) as u8,
    0x11, 0x00, text::MANUFACTURER, text::PRODUCT, text::SERIAL, 1,
];

/// The configuration: descriptor by descriptor, each with its length and type in front.
#[rustfmt::skip]
static CONFIGURATION: [u8; 98] = [
    // Configuration 1: three interfaces, powered by the bus, 100 mA.
    9, 2, 98, 0, 3, 1, 0, 0x80, 50,
    // Association of the first two interfaces: CDC, abstract control model.
    8, 11, 0, 2, 0x02, 0x02, 0, 0,
    // Interface 0: control.
    9, 4, 0, 0, 1, 0x02, 0x02, 0, 0,
    // CDC 1.10; it knows the three requests; data on interface 1; no call management.
    5, 0x24, 0x00, 0x10, 0x01,
    4, 0x24, 0x02, 0x02,
    5, 0x24, 0x06, 0, 1,
    5, 0x24, 0x01, 0x00, 1,
    // Notifications of 8 bytes, of which there never is one, asked for every 255 ms.
    7, 5, endpoint::NOTIFICATIONS as u8 | endpoint::IN, 3, 8, 0, 255,
    // Interface 1: data.
    9, 4, 1, 0, 2, 0x0A, 0, 0, 0,
    7, 5, endpoint::SERIAL as u8 | endpoint::IN, 2, PACKET as u8, 0, 0,
    7, 5, endpoint::SERIAL as u8, 2, PACKET as u8, 0, 0,
    // Interface 2: the vendor's own, of a kind that bridges' are not: the page looks for this one (assets/web-usb.js).
    9, 4, VENDOR_INTERFACE, 0, 2, 0xFF, b'L', b'D', 0,
    7, 5, endpoint::VENDOR as u8 | endpoint::IN, 2, PACKET as u8, 0, 0,
    7, 5, endpoint::VENDOR as u8, 2, PACKET as u8, 0, 0,
];
const VENDOR_INTERFACE: u8 = 2;

/// The binary object store: what the device is besides USB 2.0.
#[rustfmt::skip]
static OBJECT_STORE: [u8; 57] = [
    5, 15, 57, 0, 2,
    // A platform's capability: WebUSB 1.0, {3408B638-09A9-47A0-8BFD-A0768815B665}; without a page of its own.
    24, 16, 5, 0,
    0x38, 0xB6, 0x08, 0x34, 0xA9, 0x09, 0xA0, 0x47, 0x8B, 0xFD, 0xA0, 0x76, 0x88, 0x15, 0xB6, 0x65,
    0x00, 0x01, request::WEBUSB, 0,
    // The same: Microsoft OS 2.0, {D8DD60DF-4589-4CC7-9CD2-659D9E648A9F}; a set for Windows 8.1 and later.
    28, 16, 5, 0,
    0xDF, 0x60, 0xDD, 0xD8, 0x89, 0x45, 0xC7, 0x4C, 0x9C, 0xD2, 0x65, 0x9D, 0x9E, 0x64, 0x8A, 0x9F,
    0x00, 0x00, 0x03, 0x06, MICROSOFT as u8, 0, request::MICROSOFT[1], 0,
];

/// Windows' descriptors: its own driver, WinUSB, is to serve the vendor interface. Up to the text in them.
#[rustfmt::skip]
static MICROSOFT_HEAD: [u8; 54] = [
    // The set; in it configuration 0, as Windows counts them; in it the function that begins with the vendor interface.
    10, 0, 0, 0, 0x00, 0x00, 0x03, 0x06, MICROSOFT as u8, 0,
    8, 0, 1, 0, 0, 0, MICROSOFT as u8 - 10, 0,
    8, 0, 2, 0, VENDOR_INTERFACE, 0, MICROSOFT as u8 - 18, 0,
    // Its compatible id, without a second one.
    20, 0, 3, 0, b'W', b'I', b'N', b'U', b'S', b'B', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    // A value of its registry key, strings; behind it the bytes of its name.
    MICROSOFT as u8 - 46, 0, 4, 0, 7, 0, 42, 0,
];
/// The text in them: the value's name, the bytes that follow, and the one string, by which programs find the interface.
static MICROSOFT_TEXT: [u8; 62] =
    *b"DeviceInterfaceGUIDs\0\x50{B408E524-F503-4B50-A3BD-6C8820E64E27}\0\0";
/// Bytes of them together.
const MICROSOFT: usize = MICROSOFT_HEAD.len() + 2 * MICROSOFT_TEXT.len();
/// Whole packets of the longest answer, which that is.
const ANSWER: usize = MICROSOFT.next_multiple_of(PACKET);

/// Requests, by type and number as they come in the first two bytes.
mod request {
    pub const DEVICE_STATUS: [u8; 2] = [0x80, 0];
    pub const INTERFACE_STATUS: [u8; 2] = [0x81, 0];
    pub const ENDPOINT_STATUS: [u8; 2] = [0x82, 0];
    pub const CLEAR_ENDPOINT_FEATURE: [u8; 2] = [0x02, 1];
    pub const SET_ENDPOINT_FEATURE: [u8; 2] = [0x02, 3];
    pub const SET_ADDRESS: [u8; 2] = [0x00, 5];
    pub const GET_DESCRIPTOR: [u8; 2] = [0x80, 6];
    pub const GET_CONFIGURATION: [u8; 2] = [0x80, 8];
    pub const SET_CONFIGURATION: [u8; 2] = [0x00, 9];
    pub const GET_INTERFACE: [u8; 2] = [0x81, 10];
    pub const SET_INTERFACE: [u8; 2] = [0x01, 11];
    pub const SET_LINE_CODING: [u8; 2] = [0x21, 0x20];
    pub const GET_LINE_CODING: [u8; 2] = [0xA1, 0x21];
    pub const SET_CONTROL_LINE_STATE: [u8; 2] = [0x21, 0x22];
    pub const MICROSOFT: [u8; 2] = [0xC0, 1];
    /// In the number of a request that asks for a page; there is none.
    pub const WEBUSB: u8 = 2;
    /// What a MICROSOFT request is about: the whole set.
    pub const MICROSOFT_SET: u8 = 7;
}

/// Bits of an endpoint's register. CTR bits are cleared by writing 0; DTOG and STAT bits change where 1 is written.
mod epr {
    pub const CTR_RX: u32 = 1 << 15;
    pub const DTOG_RX: u32 = 1 << 14;
    pub const STAT_RX: u32 = 0b11 << 12;
    pub const SETUP: u32 = 1 << 11;
    pub const CONTROL: u32 = 0b01 << 9;
    pub const INTERRUPT: u32 = 0b11 << 9;
    pub const BULK: u32 = 0b00 << 9;
    pub const CTR_TX: u32 = 1 << 7;
    pub const DTOG_TX: u32 = 1 << 6;
    pub const STAT_TX: u32 = 0b11 << 4;
    /// What is written as it was read: type, kind and address.
    pub const FIXED: u32 = 0b111 << 8 | 0b1111;

    /// What STAT says.
    pub const STALL: u32 = 0b01;
    pub const NAK: u32 = 0b10;
    pub const VALID: u32 = 0b11;
    /// The same, in the place of each direction.
    pub const RX: u32 = 12;
    pub const TX: u32 = 4;
}

/// Half-words of the packet memory that an endpoint has: a buffer each way.
const HALF_WORDS: usize = PACKET / 2;

/// The register of an endpoint. The remainder is for the compiler: it then sees that there is one.
fn register(endpoint: usize) -> Reg<Epr, RW> {
    USB.epr(endpoint % endpoint::COUNT)
}

/// One of the four half-words of an endpoint in the table of the buffers, which lies in front.
fn table(endpoint: usize, field: usize) -> Reg<u16, RW> {
    USBRAM.mem(4 * (endpoint % endpoint::COUNT) + field)
}

/// Where an endpoint's packet lies, in half-words.
const fn buffer(endpoint: usize, sends: bool) -> usize {
    HALF_WORDS * (1 + 2 * (endpoint % endpoint::COUNT) + sends as usize)
}

/// Changes the bits of `mask` to those of `value`, and clears the CTR bits in `clear`.
#[inline(never)]
fn change(endpoint: usize, clear: u32, mask: u32, value: u32) {
    let now = register(endpoint).read().0;
    let flags = (epr::CTR_RX | epr::CTR_TX) & !clear;
    register(endpoint).write_value(Epr(now & epr::FIXED | flags | (now ^ value) & mask));
}

/// Makes an endpoint ready, both ways, with buffers and toggles as after a reset.
#[inline(never)]
fn open(endpoint: usize, kind: u32, receives: u32) {
    table(endpoint, 0).write_value(2 * buffer(endpoint, true) as u16);
    table(endpoint, 2).write_value(2 * buffer(endpoint, false) as u16);
    // Room for two blocks of 32 bytes.
    table(endpoint, 3).write_value(1 << 15 | 1 << 10);
    let now = register(endpoint).read().0;
    let mask = epr::STAT_RX | epr::STAT_TX | epr::DTOG_RX | epr::DTOG_TX;
    let value = receives << epr::RX | epr::NAK << epr::TX;
    register(endpoint).write_value(Epr(kind | endpoint as u32 | (now ^ value) & mask));
}

/// Where the half-words of an endpoint's packet begin. By number, each access would check it, which takes longer than the
/// access.
fn half_words(endpoint: usize, sends: bool) -> *mut u16 {
    USBRAM.mem(buffer(endpoint, sends)).as_ptr()
}

/// Puts a packet of this length where the bus fetches it. It begins at an even address.
#[inline(never)]
fn send(endpoint: usize, packet: &[u8; PACKET], length: usize) {
    let mut place = half_words(endpoint, true);
    let mut half_word = packet.as_ptr().cast::<u16>();
    // Four at a time, of which the last may lie behind what is sent: the bus does not fetch those.
    for _ in 0..length.min(PACKET).div_ceil(8) {
        let copy = |index| {
            // SAFETY: half-words of the packet and of this endpoint's buffer, which both have room for the longest. Volatile,
            // for the bus looks at its memory behind the compiler's back.
            unsafe { place.add(index).write_volatile(*half_word.add(index)) }
        };
        copy(0);
        copy(1);
        copy(2);
        copy(3);
        place = place.wrapping_add(4);
        half_word = half_word.wrapping_add(4);
    }
    table(endpoint, 1).write_value(length as u16);
    change(endpoint, 0, epr::STAT_TX, epr::VALID << epr::TX);
}

/// Whether a packet came that was not taken yet.
#[inline(never)]
fn arrived(endpoint: usize) -> bool {
    register(endpoint).read().0 & epr::CTR_RX != 0
}

/// Lets the next packet come, whatever is in the one before.
#[inline(never)]
fn accept(endpoint: usize) {
    change(endpoint, epr::CTR_RX, epr::STAT_RX, epr::VALID << epr::RX);
}

/// Takes the packet that came, as far as there is room, and how long it is.
#[inline(never)]
fn take(endpoint: usize, packet: &mut [u8]) -> usize {
    let length = usize::from(table(endpoint, 3).read() & 0x3FF);
    let mut place = half_words(endpoint, false);
    // Nobody takes an odd number of bytes.
    for pair in packet.as_chunks_mut().0.iter_mut().take(HALF_WORDS) {
        // SAFETY: a half-word of this endpoint's buffer.
        *pair = unsafe { place.read_volatile() }.to_le_bytes();
        place = place.wrapping_add(1);
    }
    change(endpoint, epr::CTR_RX, 0, 0);
    length.min(packet.len())
}

/// Bytes of a line coding.
const LINE_CODING: usize = 7;

/// The USB port.
pub struct Usb {
    serial_number: SerialNumber,
    configured: bool,
    suspended: bool,
    /// The endpoint whose both directions the port's bytes go by.
    line: usize,
    /// The packet sent last was full: the computer's driver may be waiting for more.
    more_expected: bool,
    /// The address that counts when the computer has fetched the answer.
    address: Option<u8>,
    /// A line coding comes next.
    line_coding_comes: bool,
    /// Bits a second (4 bytes), stop bits, parity, data bits, as set last.
    line_coding: [u8; LINE_CODING],
    /// The answer to a request, and which of it is still to be sent.
    answer: Aligned<ANSWER>,
    answer_at: usize,
    answer_end: usize,
}

impl Line for Usb {
    // The bus holds back what does not fit: it is only there to bridge the computer's own delays.
    const WINDOW: u16 = 8 * MAX_DATA as u16;

    fn crc32(bytes: &[u8]) -> u32 {
        crc_unit::crc32(bytes)
    }
}

impl Usb {
    /// Connects to the bus. The clock proves that the clocks run.
    pub(crate) fn start(_clock: &Clock, serial_number: SerialNumber) -> Usb {
        let mut usb = Usb {
            serial_number,
            configured: false,
            suspended: false,
            line: endpoint::SERIAL,
            more_expected: false,
            address: None,
            line_coding_comes: false,
            // 9600 bits a second, 8 data bits, no parity, one stop bit.
            line_coding: [0x80, 0x25, 0, 0, 0, 0, 8],
            answer: Aligned([0; ANSWER]),
            answer_at: 0,
            answer_end: 0,
        };
        usb.switch_on();
        usb
    }

    /// Whether it is on; it is from the start on.
    pub fn is_on(&self) -> bool {
        RCC.apb1enr().read().usben()
    }

    /// Leaves the bus and stops its clock. Whatever was under way is over: it is no longer configured.
    pub fn switch_off(&mut self) {
        self.configured = false;
        self.suspended = false;
        USB.bcdr().write_value(Bcdr(0));
        USB.cntr().write(|w| {
            w.set_fres(true);
            w.set_pdwn(true);
        });
        RCC.apb1enr().modify(|w| w.set_usben(false));
    }

    /// Connects to the bus, after [`Usb::switch_off`] again. The clock that USB needs runs.
    pub fn switch_on(&mut self) {
        RCC.apb1enr().modify(|w| w.set_usben(true));
        RCC.apb1rstr().modify(|w| w.set_usbrst(true));
        RCC.apb1rstr().modify(|w| w.set_usbrst(false));
        USB.cntr().write(|w| w.set_fres(true));
        // 1 µs for the transceiver (DS10182, tSTARTUP).
        cortex_m::asm::delay(CORE_HERTZ / 1_000_000);
        // What wakes from sleep.
        USB.cntr().write(|w| {
            w.set_resetm(true);
            w.set_suspm(true);
            w.set_wkupm(true);
            w.set_ctrm(true);
        });
        USB.istr().write_value(Istr(0));
        USB.bcdr().write(|w| w.set_dppu(true));
    }

    /// Whether the bus is suspended, and wants nothing. The clock that USB needs may stand still then: the bus is felt
    /// without it.
    #[cfg(feature = "stm32l052")]
    pub fn is_suspended(&self) -> bool {
        // One that is switched off cannot be asked, and is not suspended.
        self.suspended && {
            let events = USB.istr().read();
            !(events.wkup() || events.reset() || events.susp() || events.ctr())
        }
    }

    /// Does what the bus asks for, and says whether a packet came or went; to be called often, at least every 10 ms while a
    /// computer enumerates.
    #[inline(never)]
    pub fn poll(&mut self, _: &Clock) -> bool {
        let events = USB.istr().read();
        // Bits are cleared by writing 0, and the others may be set meanwhile.
        let mut seen = Istr(u32::MAX);
        if events.wkup() {
            seen.set_wkup(false);
            USB.istr().write_value(seen);
            USB.cntr().modify(|w| w.set_fsusp(false));
            self.suspended = false;
        } else if events.reset() {
            seen.set_reset(false);
            USB.istr().write_value(seen);
            self.reset();
        } else if events.susp() {
            seen.set_susp(false);
            USB.istr().write_value(seen);
            USB.cntr().modify(|w| w.set_fsusp(true));
            // In a second step (RM0376, "Suspend/Resume events"). The hardware ends it when the bus wakes.
            USB.cntr().modify(|w| w.set_lpmode(true));
            self.suspended = true;
        } else if events.ctr() {
            self.transfer();
        }
        events.ctr()
    }

    fn reset(&mut self) {
        self.configured = false;
        self.suspended = false;
        open(endpoint::CONTROL, epr::CONTROL, epr::VALID);
        USB.daddr().write(|w| w.set_ef(true));
    }

    /// A packet came or went.
    fn transfer(&mut self) {
        // That it went is all there is to know.
        change(endpoint::SERIAL, epr::CTR_TX, 0, 0);
        change(endpoint::VENDOR, epr::CTR_TX, 0, 0);
        let control = register(endpoint::CONTROL).read().0;
        if control & epr::CTR_TX != 0 {
            change(endpoint::CONTROL, epr::CTR_TX, 0, 0);
            if let Some(address) = self.address.take() {
                let mut assigned = Daddr(address.into());
                assigned.set_ef(true);
                USB.daddr().write_value(assigned);
            }
            // What came behind ends it: the next request, or that the computer has enough.
            if control & epr::CTR_RX == 0 && self.answer_at < self.answer_end {
                self.send_answer();
            }
        }
        if control & epr::CTR_RX != 0 {
            let mut packet = [0; 8];
            let length = take(endpoint::CONTROL, &mut packet);
            let mut reaction = Some(());
            if control & epr::SETUP != 0 {
                self.address = None;
                self.line_coding_comes = false;
                self.answer_at = 0;
                self.answer_end = 0;
                reaction = self.setup(packet);
                if reaction.is_some() && !self.line_coding_comes {
                    self.send_answer();
                }
            } else if self.line_coding_comes {
                self.line_coding_comes = false;
                if length == LINE_CODING {
                    self.line_coding.copy_from_slice(&packet[..LINE_CODING]);
                }
                self.send_answer();
            }
            match reaction {
                Some(()) => change(endpoint::CONTROL, 0, epr::STAT_RX, epr::VALID << epr::RX),
                None => change(
                    endpoint::CONTROL,
                    0,
                    epr::STAT_RX | epr::STAT_TX,
                    epr::STALL << epr::RX | epr::STALL << epr::TX,
                ),
            }
        }
    }

    /// The next part of the answer; that there is no more is an empty one.
    fn send_answer(&mut self) {
        let length = PACKET.min(self.answer_end - self.answer_at);
        let rest = self.answer.0.get(self.answer_at..).unwrap_or_default();
        if let Some(packet) = rest.first_chunk() {
            send(endpoint::CONTROL, packet, length);
        }
        self.answer_at += length;
    }

    /// Does what a request asks for; none when there is no such thing here.
    #[inline(never)]
    fn setup(&mut self, packet: [u8; 8]) -> Option<()> {
        let [
            kind,
            number,
            value,
            value_high,
            index,
            _,
            length,
            length_high,
        ] = packet;
        let mut status = [0, 0];
        let answer: &[u8] = match [kind, number] {
            request::GET_DESCRIPTOR => match [value_high, value] {
                [1, 0] => &DEVICE,
                [2, 0] => &CONFIGURATION,
                [15, 0] => &OBJECT_STORE,
                [3, 0] => &LANGUAGES,
                [3, text] => {
                    self.text(text)?;
                    &[]
                }
                _ => return None,
            },
            request::MICROSOFT if index == request::MICROSOFT_SET => {
                self.widen(&MICROSOFT_HEAD, &MICROSOFT_TEXT);
                &[]
            }
            request::SET_ADDRESS => {
                self.address = Some(value);
                &[]
            }
            request::SET_CONFIGURATION => {
                match value {
                    0 => self.configured = false,
                    1 => self.configure(),
                    _ => return None,
                }
                &[]
            }
            request::GET_CONFIGURATION => {
                status[0] = self.configured.into();
                &status[..1]
            }
            request::DEVICE_STATUS | request::INTERFACE_STATUS => &status,
            request::GET_INTERFACE => &status[..1],
            request::SET_INTERFACE if value == 0 && index <= VENDOR_INTERFACE => {
                // Its endpoints begin anew.
                halt(index + 1, Some(false))?;
                halt((index + 1) | endpoint::IN, Some(false))?;
                &[]
            }
            request::ENDPOINT_STATUS => {
                status[0] = halt(index, None)?.into();
                &status
            }
            // The one feature that endpoints have.
            request::SET_ENDPOINT_FEATURE if value == 0 => {
                halt(index, Some(true))?;
                &[]
            }
            request::CLEAR_ENDPOINT_FEATURE if value == 0 => {
                halt(index, Some(false))?;
                &[]
            }
            request::SET_LINE_CODING if [length, length_high] == [LINE_CODING as u8, 0] => {
                self.line_coding_comes = true;
                &[]
            }
            request::GET_LINE_CODING => &self.line_coding.clone(),
            request::SET_CONTROL_LINE_STATE => &[],
            _ => return None,
        };
        if !answer.is_empty() {
            self.widen(answer, &[]);
        }
        let asked = usize::from(u16::from_le_bytes([length, length_high]));
        self.answer_end = self.answer_end.min(asked);
        Some(())
    }

    /// Answers with bytes and, behind them, a text as UTF-16.
    #[inline(never)]
    fn widen(&mut self, bytes: &[u8], text: &[u8]) {
        let (head, tail) = self.answer.0.split_at_mut(bytes.len());
        head.copy_from_slice(bytes);
        for (unit, byte) in tail.chunks_exact_mut(2).zip(text) {
            unit.copy_from_slice(&[*byte, 0]);
        }
        self.answer_end = bytes.len() + 2 * text.len();
    }

    /// Answers with a text.
    fn text(&mut self, number: u8) -> Option<()> {
        let serial;
        let text: &[u8] = match number {
            text::MANUFACTURER => b"Logdock",
            text::PRODUCT => b"Logdock logger",
            text::SERIAL => {
                serial = hexadecimal(self.serial_number);
                &serial
            }
            _ => return None,
        };
        self.widen(&[2 + 2 * text.len() as u8, 3], text);
        Some(())
    }

    fn configure(&mut self) {
        open(endpoint::NOTIFICATIONS, epr::INTERRUPT, 0);
        open(endpoint::SERIAL, epr::BULK, epr::VALID);
        open(endpoint::VENDOR, epr::BULK, epr::VALID);
        self.configured = true;
        self.more_expected = false;
    }

    /// Whether a computer has configured the port, and has not suspended it.
    pub fn configured(&self) -> bool {
        self.configured && !self.suspended
    }

    /// Whether a conversation begins on the other way than the last one: the port then belongs to that one, and what was
    /// under way is void. One begins with the end of a frame; while one is `under_way`, what else comes there is noise.
    pub fn changes_line(&mut self, under_way: bool) -> bool {
        let other = endpoint::SERIAL + endpoint::VENDOR - self.line;
        if !arrived(other) {
            return false;
        }
        if under_way && USBRAM.mem(buffer(other, false)).read() as u8 != 0 {
            accept(other);
            return false;
        }
        self.line = other;
        self.more_expected = false;
        true
    }

    /// One packet, if one came: its length.
    pub fn receive(&mut self, packet: &mut [u8; PACKET]) -> Option<usize> {
        if !arrived(self.line) {
            return None;
        }
        let length = take(self.line, packet);
        accept(self.line);
        Some(length)
    }

    /// Hands over a packet of this length, if the one before was fetched: whether it went.
    ///
    /// To be called with length 0 as well: a full packet is then followed by an empty one, or the computer's driver would
    /// wait for the rest of a transfer.
    pub fn send(&mut self, packet: &[u8; PACKET], length: usize) -> bool {
        if length == 0 && !self.more_expected {
            return false;
        }
        if register(self.line).read().0 & epr::STAT_TX != epr::NAK << epr::TX {
            // The packet before was not fetched yet, or nobody is there.
            return false;
        }
        send(self.line, packet, length);
        self.more_expected = length == PACKET;
        true
    }

    /// Lets the core sleep until the bus wants something, at most until its next frame a millisecond later.
    ///
    /// To be called only while configured: a bus without frames would not wake it.
    pub fn sleep(&mut self) {
        let mut seen = Istr(u32::MAX);
        // Bits are cleared by writing 0.
        seen.set_sof(false);
        USB.istr().write_value(seen);
        USB.cntr().modify(|w| w.set_sofm(true));
        cortex_m::interrupt::free(|_| {
            NVIC::unpend(Interrupt::USB);
            // SAFETY: it wakes the core, but while interrupts are off no handler runs, and it is masked again before.
            unsafe { NVIC::unmask(Interrupt::USB) };
            cortex_m::asm::wfi();
            NVIC::mask(Interrupt::USB);
        });
        USB.cntr().modify(|w| w.set_sofm(false));
    }
}

/// Whether an endpoint of the port is halted, after it was told to be, if it was; none when there is no such endpoint.
fn halt(address: u8, halted: Option<bool>) -> Option<bool> {
    let endpoint = usize::from(address & !endpoint::IN);
    if endpoint > endpoint::VENDOR {
        return None;
    }
    let (shift, toggle, ready) = if address & endpoint::IN == 0 {
        (epr::RX, epr::DTOG_RX, epr::VALID)
    } else {
        (epr::TX, epr::DTOG_TX, epr::NAK)
    };
    let status = 0b11 << shift;
    let was = register(endpoint).read().0 & status == epr::STALL << shift;
    match halted {
        Some(true) => change(endpoint, 0, status, epr::STALL << shift),
        // The toggle begins anew in any case; a packet that waits stays.
        Some(false) if was => change(endpoint, 0, status | toggle, ready << shift),
        Some(false) => change(endpoint, 0, toggle, 0),
        None => {}
    }
    Some(halted.unwrap_or(was))
}

fn hexadecimal(serial_number: SerialNumber) -> [u8; 24] {
    let mut text = [0; 24];
    for (pair, byte) in text.chunks_exact_mut(2).zip(serial_number.0) {
        for (digit, nibble) in pair.iter_mut().zip([byte >> 4, byte & 15]) {
            *digit = b"0123456789ABCDEF"[usize::from(nibble)];
        }
    }
    text
}
