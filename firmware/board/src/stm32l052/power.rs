//! What a program does while no computer wants anything. The logger stops between samples: everything stands still but the
//! LSI, with the RTC and the watchdog on it. The bootloader sleeps: the RTC, without which STOP would end with the watchdog,
//! is not its to start, for that it runs tells the logger that its clock went on.
//!
//! Source: RM0376, section 6.3 "Low-power modes".

use cortex_m::interrupt;
use cortex_m::peripheral::{NVIC, SCB};
use stm32_metapac::pwr::vals::Mode;
use stm32_metapac::{EXTI, Interrupt, PWR};

use crate::clock::Clock;
use crate::port::Port;
use crate::rtc::{self, Rtc};
use crate::{nand, watchdog};

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

    /// Waits in STOP until the RTC shows `deadline`, in milliseconds, or the port is awake, and feeds the watchdog
    /// meanwhile. Events are counted and waited on.
    ///
    /// At battery speed only; `rtc` and [`crate::inputs::Inputs`] were started.
    pub fn stop_until(&mut self, rtc: &Rtc, port: &Port, deadline: u64) {
        nand::rest();
        EXTI.rtsr(0).modify(|w| w.set_line(rtc::WAKE_UP_LINE, true));
        EXTI.imr(0).modify(|w| w.set_line(rtc::WAKE_UP_LINE, true));
        while !port.is_awake() {
            watchdog::feed();
            let now = rtc.now();
            if now >= deadline {
                break;
            }
            rtc.wake_after((deadline - now).min(LONGEST_STOP) as u32);
            while !rtc.woke() && !port.is_awake() {
                self.stop(port);
            }
        }
    }

    /// Sleeps until `clock` shows `deadline`, in milliseconds, or the port is awake, and feeds the watchdog meanwhile. That a
    /// cable was plugged in is seen within a second.
    ///
    /// At battery speed only; [`crate::inputs::Inputs`]' cable was started.
    pub fn sleep_until(&mut self, clock: &mut Clock, port: &Port, deadline: u64) {
        while !port.is_awake() && clock.millis() < deadline {
            watchdog::feed();
            clock.sleep(|| wait(|| port.is_awake()));
        }
    }

    /// Until the next interrupt.
    fn stop(&mut self, port: &Port) {
        PWR.cr().modify(|w| {
            // Without the reference, which needs 3 ms to come up again: only the ADC waits for it.
            w.set_ulp(true);
            w.set_fwu(true);
            // In STOP alone: in sleep it would be too weak for this clock.
            w.set_lpsdsr(Mode::LOW_POWER_MODE);
        });
        self.scb.set_sleepdeep();
        wait(|| port.is_awake());
        self.scb.clear_sleepdeep();
        PWR.cr().modify(|w| w.set_lpsdsr(Mode::MAIN_MODE));
    }
}

/// Lets the core stand still until the next interrupt, which may be pending already: what was looked at before may have
/// changed since.
fn wait(is_awake: impl FnOnce() -> bool) {
    interrupt::free(|_| {
        // A suspended bus wakes it through EXTI's line 18, which needs no edge and no setting.
        NVIC::unpend(Interrupt::USB);
        // SAFETY: they wake the core, but while interrupts are off no handler runs, and they are masked again before.
        unsafe {
            NVIC::unmask(Interrupt::RTC);
            NVIC::unmask(Interrupt::USB);
        }
        // The cable's interrupt is handled, and over, when it was plugged in just before.
        if !is_awake() {
            cortex_m::asm::wfi();
        }
        NVIC::mask(Interrupt::RTC);
        NVIC::mask(Interrupt::USB);
    });
}
