//! STOP: what the logger does between samples while no cable is plugged in. Everything stands still but the LSI, with
//! the RTC and the watchdog on it.
//!
//! Source: RM0376, section 6.3 "Low-power modes".

use cortex_m::interrupt;
use cortex_m::peripheral::{NVIC, SCB};
use stm32_metapac::pwr::vals::Mode;
use stm32_metapac::{EXTI, Interrupt, PWR};

use crate::rtc::{self, Rtc};
use crate::{inputs, watchdog};

/// The longest time in STOP at once, in milliseconds. The watchdog takes 4.7 s on the fastest LSI.
const LONGEST_STOP: u64 = 4_000;

/// The way into STOP.
pub struct Power {
    scb: SCB,
}

impl Power {
    pub(crate) fn new(scb: SCB) -> Power {
        Power { scb }
    }

    /// Waits in STOP until the RTC shows `deadline`, in milliseconds, or a cable is plugged in, and feeds the watchdog
    /// meanwhile. Events are counted and waited on.
    ///
    /// At battery speed only; `rtc` and [`inputs::Inputs`] were started.
    pub fn stop_until(&mut self, rtc: &Rtc, deadline: u64) {
        EXTI.rtsr(0).modify(|w| w.set_line(rtc::WAKE_UP_LINE, true));
        EXTI.imr(0).modify(|w| w.set_line(rtc::WAKE_UP_LINE, true));
        while !inputs::usb_powered() {
            watchdog::feed();
            let now = rtc.now();
            if now >= deadline {
                break;
            }
            rtc.wake_after((deadline - now).min(LONGEST_STOP) as u32);
            while !rtc.woke() && !inputs::usb_powered() {
                self.stop();
            }
        }
    }

    /// Until the next interrupt, which may be pending already: what was looked at before may have changed since.
    fn stop(&mut self) {
        PWR.cr().modify(|w| {
            // Without the reference, which needs 3 ms to come up again: only the ADC waits for it.
            w.set_ulp(true);
            w.set_fwu(true);
            // In STOP alone: in sleep it would be too weak for this clock.
            w.set_lpsdsr(Mode::LOW_POWER_MODE);
        });
        self.scb.set_sleepdeep();
        interrupt::free(|_| {
            // SAFETY: it wakes the core, but while interrupts are off no handler runs, and it is masked again before.
            unsafe { NVIC::unmask(Interrupt::RTC) };
            // Its interrupt is handled, and over, when the cable was plugged in just before.
            if !inputs::usb_powered() {
                cortex_m::asm::wfi();
            }
            NVIC::mask(Interrupt::RTC);
        });
        self.scb.clear_sleepdeep();
        PWR.cr().modify(|w| w.set_lpsdsr(Mode::MAIN_MODE));
    }
}
