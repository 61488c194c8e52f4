//! A millisecond count.

use core::cell::Cell;

#[cfg(feature = "stm32l052")]
use cortex_m::peripheral::SCB;
use cortex_m::peripheral::SYST;
use cortex_m::peripheral::syst::SystClkSource;

#[cfg(feature = "stm32l052")]
use crate::oscillators::BATTERY_HERTZ;
use crate::oscillators::{CORE_HERTZ, start_clocks};

/// Cycles between two looks at SysTick that are not lost: its 24 bits, 0.52 s at 32 MHz and 0.35 s at 48 MHz.
pub(crate) const SYSTICK_SPAN: u32 = 1 << 24;

pub(crate) const CYCLES_PER_MILLISECOND: u32 = CORE_HERTZ / 1000;

/// Time at full speed since start, without an interrupt: SysTick runs freely and each look adds what passed.
///
/// Look at least every third of a second, or time is lost. At battery speed it counts the seconds that the core sleeps, and
/// in STOP it stands still: the time of day is `rtc::Rtc`'s.
pub struct Clock {
    syst: SYST,
    last: Cell<u32>,
    /// Cycles that do not make up a millisecond yet.
    cycles: Cell<u32>,
    millis: Cell<u64>,
    #[cfg(feature = "stm32l052")]
    paused: bool,
}

impl Clock {
    pub(crate) fn start(mut syst: SYST) -> Clock {
        start_clocks();
        syst.set_clock_source(SystClkSource::Core);
        syst.set_reload(SYSTICK_SPAN - 1);
        syst.clear_current();
        syst.enable_counter();
        Clock {
            last: Cell::new(SYST::get_current()),
            syst,
            cycles: Cell::new(0),
            millis: Cell::new(0),
            #[cfg(feature = "stm32l052")]
            paused: false,
        }
    }

    /// The core's clock is about to change: time stands still.
    #[cfg(feature = "stm32l052")]
    pub(crate) fn pause(&mut self) {
        self.millis();
        self.syst.disable_counter();
        self.paused = true;
    }

    /// Whether the core runs at full speed.
    #[cfg(feature = "stm32l052")]
    pub(crate) fn is_running(&self) -> bool {
        !self.paused
    }

    /// The core runs at full speed again.
    #[cfg(feature = "stm32l052")]
    pub(crate) fn resume(&mut self) {
        self.syst.enable_counter();
        self.paused = false;
    }

    /// Lets the core sleep at battery speed for as long as `wait` does, for a second at most. One that is whole counts.
    ///
    /// `wait` ends with any interrupt that is pending; no handler runs meanwhile.
    #[cfg(feature = "stm32l052")]
    pub(crate) fn sleep(&mut self, wait: impl FnOnce()) {
        self.syst.set_reload(BATTERY_HERTZ - 1);
        self.syst.clear_current();
        self.syst.enable_interrupt();
        self.syst.enable_counter();
        cortex_m::interrupt::free(|_| {
            wait();
            // First: whatever reads its register forgets that.
            if self.syst.has_wrapped() {
                self.millis.set(self.millis.get() + 1000);
            }
            self.syst.disable_counter();
            self.syst.disable_interrupt();
            SCB::clear_pendst();
        });
        self.syst.set_reload(SYSTICK_SPAN - 1);
        self.syst.clear_current();
        self.last.set(0);
    }

    /// Milliseconds at full speed since start.
    #[inline(never)]
    pub fn millis(&self) -> u64 {
        let now = SYST::get_current();
        // It counts down.
        let passed = self.last.get().wrapping_sub(now) % SYSTICK_SPAN;
        self.last.set(now);
        let mut cycles = self.cycles.get() + passed;
        // Few rounds when it is called often; a division would take 300 cycles.
        while cycles >= CYCLES_PER_MILLISECOND {
            cycles -= CYCLES_PER_MILLISECOND;
            self.millis.set(self.millis.get() + 1);
        }
        self.cycles.set(cycles);
        self.millis.get()
    }

    /// Stops it, so that the next program finds SysTick as after a reset.
    pub(crate) fn stop(mut self) {
        self.syst.disable_counter();
    }
}
