//! SysTick: the core's own 24-bit down-counter.
//!
//! It counts cycles of the core's clock (`clock` in every function: all cycles since the machine was made, those of
//! sleep included, those of deep sleep not) and is brought up to date only when somebody looks.
//!
//! Source: ARMv6-M Architecture Reference Manual (DDI 0419) B3.3; clock sources and calibration: ST RM0376.

const ENABLE: u32 = 1 << 0;
const TICKINT: u32 = 1 << 1;
const CLKSOURCE: u32 = 1 << 2;
const COUNTFLAG: u32 = 1 << 16;

/// SYST_CALIB: 4,000 ticks of HCLK/8 are 1 ms at 32 MHz.
pub(super) const CALIBRATION: u32 = 4_000;

/// What the external reference divides HCLK by on this chip.
const REFERENCE_DIVIDER: u64 = 8;

#[derive(Clone, Debug, Default)]
pub(super) struct SysTick {
    /// ENABLE, TICKINT, CLKSOURCE.
    control: u32,
    count_flag: bool,
    reload: u32,
    /// The counter at `tick`.
    value: u32,
    /// In ticks of the chosen clock.
    tick: u64,
}

impl SysTick {
    fn tick_at(&self, clock: u64) -> u64 {
        if self.control & CLKSOURCE != 0 {
            clock
        } else {
            clock / REFERENCE_DIVIDER
        }
    }

    /// Ticks from `self.tick` until the counter goes from 1 to 0, if it ever does.
    fn ticks_to_zero(&self) -> Option<u64> {
        if self.control & ENABLE == 0 || (self.value == 0 && self.reload == 0) {
            None
        } else if self.value == 0 {
            Some(u64::from(self.reload) + 1)
        } else {
            Some(u64::from(self.value))
        }
    }

    /// Core cycles from `clock` until the counter next goes from 1 to 0.
    pub fn cycles_to_zero(&self, clock: u64) -> Option<u64> {
        let zero = self.tick + self.ticks_to_zero()?;
        let zero = if self.control & CLKSOURCE != 0 {
            zero
        } else {
            zero * REFERENCE_DIVIDER
        };
        Some(zero.saturating_sub(clock))
    }

    /// Counts up to `clock`. True when the SysTick exception becomes pending.
    pub fn advance(&mut self, clock: u64) -> bool {
        let tick = self.tick_at(clock);
        let elapsed = tick - self.tick;
        self.tick = tick;
        let Some(to_zero) = self.ticks_to_zero() else {
            return false;
        };
        if elapsed < to_zero {
            if elapsed > 0 {
                self.value = (to_zero - elapsed) as u32;
            }
            return false;
        }
        let period = u64::from(self.reload) + 1;
        self.value = match (elapsed - to_zero) % period {
            0 => 0,
            into => (period - into) as u32,
        };
        self.count_flag = true;
        self.control & TICKINT != 0
    }

    /// SYST_CSR. Reading it clears COUNTFLAG.
    pub fn read_control(&mut self) -> u32 {
        let flag = if self.count_flag { COUNTFLAG } else { 0 };
        self.count_flag = false;
        self.control | flag
    }

    /// SYST_CSR, after [`advance`](Self::advance) to the same `clock`.
    pub fn write_control(&mut self, value: u32, clock: u64) {
        self.control = value & (ENABLE | TICKINT | CLKSOURCE);
        self.tick = self.tick_at(clock);
    }

    /// SYST_RVR.
    pub fn reload(&self) -> u32 {
        self.reload
    }

    /// SYST_RVR, after `advance`: the running count is finished with the old one.
    pub fn set_reload(&mut self, value: u32) {
        self.reload = value & 0x00FF_FFFF;
    }

    /// SYST_CVR, after `advance`.
    pub fn value(&self) -> u32 {
        self.value
    }

    /// A write of anything to SYST_CVR, after `advance`: the counter is 0, without an exception.
    pub fn clear_value(&mut self) {
        self.value = 0;
        self.count_flag = false;
    }
}
