//! USART2 behind a USB-UART bridge (PA2 sends, PA3 receives), in the place of USB.
//!
//! Nothing holds the computer back: the bridge has no lines for that. So DMA receives, which goes on while the core stalls
//! on flash or EEPROM, into a ring that holds all that a computer may have under way ([`Line::WINDOW`]). What it must
//! never do is to wait.
//! Sources: RM0376, sections 11 (DMA) and 29 (USART); DS10182, "Alternate functions".

use core::cell::UnsafeCell;
use core::ptr;

use protocol::BAUD_RATE;
use protocol::device::SerialNumber;
use protocol::frame::max_length;
use stm32_metapac::bdma::vals::Dir;
use stm32_metapac::gpio::vals::{Moder, Pupdr};
use stm32_metapac::{DMA1, GPIOA, RCC, USART2};
use update::server::Line;
use update::{MAX_DATA, MAX_PACKET};

use crate::clock::Clock;
use crate::crc_unit;
use crate::inputs;
use crate::oscillators::CORE_HERTZ;

/// The most bytes that are handed over at once.
pub const PACKET: usize = 64;
/// One request of the longest kind, with room for the zero in front of it and for what a line that is being plugged in
/// makes up. Never quite full: full and empty would look the same.
const RING: usize = max_length(MAX_PACKET) + 16;

/// Pins of port A, and what connects them to USART2.
const SEND_PIN: usize = 2;
const RECEIVE_PIN: usize = 3;
const ALTERNATE_FUNCTION: u8 = 4;

/// Channels of DMA for USART2, counted from 0, and the number by which they know it (RM0376, table "DMA1 requests").
const SEND: usize = 3;
const RECEIVE: usize = 4;
const USART2_REQUEST: u8 = 4;

/// Rates in bits a second that the core's clock makes well enough: within 1 %.
const RATES: [u32; 6] = [BAUD_RATE, 230_400, 460_800, 921_600, 1_000_000, 2_000_000];

/// How long nothing may be understood at another rate than [`BAUD_RATE`], in milliseconds.
const PATIENCE: u64 = 1000;

/// What makes a rate of [`CORE_HERTZ`].
const fn divider(baud: u32) -> u16 {
    let divider = (CORE_HERTZ + baud / 2) / baud;
    assert!(divider >= 16 && (divider * baud).abs_diff(CORE_HERTZ) < CORE_HERTZ / 100);
    divider as u16
}

const DIVIDERS: [u16; RATES.len()] = {
    let mut dividers = [0; RATES.len()];
    let mut index = 0;
    while index < RATES.len() {
        dividers[index] = divider(RATES[index]);
        index += 1;
    }
    dividers
};

/// What DMA reads and writes.
struct Buffers {
    ring: UnsafeCell<[u8; RING]>,
    packet: UnsafeCell<[u8; PACKET]>,
}

// SAFETY: only `Usart` touches them, and it says how at each place; there is no interrupt that would.
unsafe impl Sync for Buffers {}

static BUFFERS: Buffers = Buffers {
    ring: UnsafeCell::new([0; RING]),
    packet: UnsafeCell::new([0; PACKET]),
};

/// The port.
pub struct Usart {
    /// The next byte of the ring to look at.
    next: usize,
    /// What makes the present rate.
    divider: u16,
    /// What makes the next one, once all was sent.
    next_divider: u16,
    /// The other side was understood since the last look.
    heard: bool,
    /// When it was last, in milliseconds.
    heard_at: u64,
}

impl Line for Usart {
    const WINDOW: u16 = MAX_DATA as u16;

    fn crc32(bytes: &[u8]) -> u32 {
        crc_unit::crc32(bytes)
    }

    fn set_baud_rate(&mut self, baud: u32) -> bool {
        let known = RATES.iter().position(|&rate| rate == baud);
        if let Some(index) = known {
            self.next_divider = DIVIDERS[index];
        }
        known.is_some()
    }

    fn heard(&mut self) {
        self.heard = true;
    }
}

impl Usart {
    /// Brings it up. The clock proves that the clocks run; the bridge has a serial number of its own.
    pub(crate) fn start(_clock: &Clock, _: SerialNumber) -> Usart {
        let mut usart = Usart {
            next: 0,
            divider: DIVIDERS[0],
            next_divider: DIVIDERS[0],
            heard: false,
            heard_at: 0,
        };
        usart.switch_on();
        usart
    }

    /// Whether it is on; it is from the start on.
    pub fn is_on(&self) -> bool {
        RCC.apb1enr().read().usart2en()
    }

    /// Stops it. Its pins are let go: a bridge without power would draw its supply from them.
    pub fn switch_off(&mut self) {
        for pin in [SEND_PIN, RECEIVE_PIN] {
            GPIOA.moder().modify(|w| w.set_moder(pin, Moder::ANALOG));
            GPIOA.pupdr().modify(|w| w.set_pupdr(pin, Pupdr::FLOATING));
        }
        for channel in [SEND, RECEIVE] {
            DMA1.ch(channel).cr().modify(|w| w.set_en(false));
        }
        DMA1.ch(SEND).ndtr().write(|w| w.set_ndt(0));
        USART2.cr1().modify(|w| w.set_ue(false));
        RCC.apb1enr().modify(|w| w.set_usart2en(false));
    }

    /// Brings it up, after [`Usart::switch_off`] again.
    pub fn switch_on(&mut self) {
        RCC.gpioenr().modify(|w| w.set_gpioaen(true));
        RCC.ahbenr().modify(|w| w.set_dma1en(true));
        RCC.apb1enr().modify(|w| w.set_usart2en(true));
        GPIOA.afr(0).modify(|w| {
            w.set_afr(SEND_PIN, ALTERNATE_FUNCTION);
            w.set_afr(RECEIVE_PIN, ALTERNATE_FUNCTION);
        });
        // A bridge that does not drive its line yet is no byte.
        GPIOA
            .pupdr()
            .modify(|w| w.set_pupdr(RECEIVE_PIN, Pupdr::PULL_UP));
        GPIOA.moder().modify(|w| {
            w.set_moder(SEND_PIN, Moder::ALTERNATE);
            w.set_moder(RECEIVE_PIN, Moder::ALTERNATE);
            w.set_moder(inputs::CABLE, Moder::INPUT);
        });
        DMA1.cselr().modify(|w| {
            w.set_cs(SEND, USART2_REQUEST);
            w.set_cs(RECEIVE, USART2_REQUEST);
        });
        USART2.cr3().write(|w| {
            w.set_dmar(true);
            w.set_dmat(true);
            // What comes late is seen by its frame's CRC; reception must not stop for it.
            w.set_ovrdis(true);
        });
        let channel = DMA1.ch(RECEIVE);
        channel.par().write_value(USART2.rdr().as_ptr() as u32);
        channel.mar().write_value(BUFFERS.ring.get() as u32);
        channel.ndtr().write(|w| w.set_ndt(RING as u16));
        channel.cr().write(|w| {
            w.set_minc(true);
            w.set_circ(true);
            w.set_en(true);
        });
        self.next = 0;
        self.next_divider = DIVIDERS[0];
        self.change_rate();
    }

    /// What is being received is lost.
    fn change_rate(&mut self) {
        self.divider = self.next_divider;
        // The divider can be written while it is off.
        USART2.cr1().write(|_| {});
        USART2.brr().write(|w| w.set_brr(self.divider));
        USART2.cr1().write(|w| {
            w.set_ue(true);
            w.set_re(true);
            w.set_te(true);
        });
    }

    /// There is no other way to the port.
    pub fn changes_line(&mut self, _under_way: bool) -> bool {
        false
    }

    /// Looks whether the rate still is the computer's; to be called often. There is nothing to say of packets.
    pub fn poll(&mut self, clock: &Clock) -> bool {
        let now = clock.millis();
        if self.heard || self.divider == DIVIDERS[0] {
            self.heard = false;
            self.heard_at = now;
        } else if now - self.heard_at > PATIENCE {
            self.next_divider = DIVIDERS[0];
            self.change_rate();
        }
        false
    }

    /// Whether the bridge has power, and so a computer is there.
    pub fn configured(&self) -> bool {
        inputs::usb_powered()
    }

    /// A line is never suspended.
    pub fn is_suspended(&self) -> bool {
        false
    }

    /// What came, if anything did: how many bytes.
    pub fn receive(&mut self, packet: &mut [u8; PACKET]) -> Option<usize> {
        // It counts down, and never stays at zero.
        let end = RING - usize::from(DMA1.ch(RECEIVE).ndtr().read().ndt());
        let mut length = 0;
        for byte in packet {
            if self.next == end {
                break;
            }
            // SAFETY: within the ring. Volatile, because DMA writes it behind the compiler's back; this byte it has
            // written already.
            *byte = unsafe { ptr::read_volatile(BUFFERS.ring.get().cast::<u8>().add(self.next)) };
            self.next += 1;
            if self.next == RING {
                self.next = 0;
            }
            length += 1;
        }
        (length > 0).then_some(length)
    }

    /// Hands over a packet of this length, if the one before is on its way: whether it went.
    ///
    /// To be called with length 0 as well: the rate is changed when there is nothing to send any more.
    pub fn send(&mut self, packet: &[u8; PACKET], length: usize) -> bool {
        let channel = DMA1.ch(SEND);
        if channel.ndtr().read().ndt() != 0 {
            return false;
        }
        if length == 0 {
            if self.next_divider != self.divider && USART2.isr().read().tc() {
                self.change_rate();
            }
            return false;
        }
        channel.cr().write(|_| {});
        // SAFETY: DMA has fetched all of the packet before, and its channel is off.
        unsafe { *BUFFERS.packet.get() = *packet };
        channel.par().write_value(USART2.tdr().as_ptr() as u32);
        channel.mar().write_value(BUFFERS.packet.get() as u32);
        channel.ndtr().write(|w| w.set_ndt(length as u16));
        channel.cr().write(|w| {
            w.set_dir(Dir::FROM_MEMORY);
            w.set_minc(true);
            w.set_en(true);
        });
        true
    }

    /// USB lets the core sleep here. This board does not: while it is plugged in, the cable feeds it.
    pub fn sleep(&mut self) {}
}
