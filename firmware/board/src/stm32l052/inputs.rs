//! The digital inputs: events (PA8, active low) and the USB cable's voltage (PA9, high while a cable is plugged in).
//!
//! An event is counted in an interrupt, so none is lost while the program waits for a memory, and both wake from STOP.
//! A core that stalls on flash or EEPROM (6.4 ms) counts one event afterwards: up to 100 a second are safe.

use core::sync::atomic::{AtomicU32, Ordering};

use cortex_m::peripheral::NVIC;
use stm32_metapac::gpio::vals::{Idr, Moder, Pupdr};
#[cfg(feature = "application")]
use stm32_metapac::interrupt;
use stm32_metapac::{EXTI, GPIOA, Interrupt, RCC};

/// Pins of port A, and lines of EXTI: port A is what they come from after reset.
const EVENT: usize = 8;
pub(crate) const CABLE: usize = 9;
/// The NAND's answer, which nobody drives while it is not selected.
const NAND_MISO: usize = 6;

static EVENTS: AtomicU32 = AtomicU32::new(0);

/// The inputs.
pub struct Inputs(());

impl Inputs {
    pub(crate) fn new() -> Inputs {
        Inputs(())
    }

    /// Sets up the pins and begins to count.
    pub fn start(&mut self) {
        RCC.gpioenr().modify(|w| w.set_gpioaen(true));
        GPIOA.pupdr().modify(|w| {
            w.set_pupdr(EVENT, Pupdr::PULL_UP);
            w.set_pupdr(NAND_MISO, Pupdr::PULL_DOWN);
        });
        GPIOA.moder().modify(|w| {
            w.set_moder(EVENT, Moder::INPUT);
            w.set_moder(CABLE, Moder::INPUT);
        });
        EXTI.ftsr(0).modify(|w| w.set_line(EVENT, true));
        EXTI.rtsr(0).modify(|w| w.set_line(CABLE, true));
        EXTI.imr(0).modify(|w| {
            w.set_line(EVENT, true);
            w.set_line(CABLE, true);
        });
        // SAFETY: the handler is below and shares nothing with the program but an atomic.
        unsafe { NVIC::unmask(Interrupt::EXTI4_15) };
    }

    /// Sets up the cable's pin alone, for a program that counts no events.
    pub fn start_cable(&mut self) {
        RCC.gpioenr().modify(|w| w.set_gpioaen(true));
        GPIOA.moder().modify(|w| w.set_moder(CABLE, Moder::INPUT));
    }

    /// Events since the start, modulo 2^32.
    pub fn events(&self) -> u32 {
        EVENTS.load(Ordering::Relaxed)
    }
}

/// Whether a USB cable is plugged in. [`Inputs::start`] or [`Inputs::start_cable`] must have been called.
pub(crate) fn usb_powered() -> bool {
    GPIOA.idr().read().idr(CABLE) == Idr::HIGH
}

/// Counts an event. A cable only wakes.
#[cfg(feature = "application")]
#[interrupt]
fn EXTI4_15() {
    let pending = EXTI.pr(0).read();
    EXTI.pr(0).write_value(pending);
    if pending.line(EVENT) {
        // Nobody else writes it.
        EVENTS.store(
            EVENTS.load(Ordering::Relaxed).wrapping_add(1),
            Ordering::Relaxed,
        );
    }
}
