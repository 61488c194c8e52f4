//! Virtual time: what the machine's clocks count, never the computer's.

use core::ops::{Add, AddAssign, Mul, Sub};
use core::time::Duration;

/// A moment since the machine was made, or a span between two, in picoseconds.
///
/// 64 bits hold 213 days. Picoseconds keep every clock of the chip (2.097 MHz to 48 MHz) exact to better than 1 ppm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(u64);

impl Time {
    /// The moment the machine was made.
    pub const ZERO: Time = Time(0);

    /// From picoseconds.
    pub const fn from_picos(picos: u64) -> Time {
        Time(picos)
    }

    /// From nanoseconds.
    pub const fn from_nanos(nanos: u64) -> Time {
        Time(nanos * 1_000)
    }

    /// From microseconds.
    pub const fn from_micros(micros: u64) -> Time {
        Time(micros * 1_000_000)
    }

    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Time {
        Time(millis * 1_000_000_000)
    }

    /// The period of a clock, rounded to whole picoseconds.
    pub const fn period_of(hertz: u64) -> Time {
        Time((1_000_000_000_000 + hertz / 2) / hertz)
    }

    /// In picoseconds.
    pub const fn picos(self) -> u64 {
        self.0
    }

    /// In whole microseconds.
    pub const fn micros(self) -> u64 {
        self.0 / 1_000_000
    }

    /// In whole milliseconds.
    pub const fn millis(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// The span from `earlier` to here, or zero when `earlier` is later.
    pub const fn since(self, earlier: Time) -> Time {
        Time(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Time {
    type Output = Time;
    fn add(self, other: Time) -> Time {
        Time(self.0 + other.0)
    }
}

impl AddAssign for Time {
    fn add_assign(&mut self, other: Time) {
        self.0 += other.0;
    }
}

impl Sub for Time {
    type Output = Time;
    fn sub(self, other: Time) -> Time {
        Time(self.0 - other.0)
    }
}

impl Mul<u64> for Time {
    type Output = Time;
    fn mul(self, times: u64) -> Time {
        Time(self.0 * times)
    }
}

impl From<Duration> for Time {
    fn from(duration: Duration) -> Time {
        Time(duration.as_nanos() as u64 * 1_000)
    }
}

impl From<Time> for Duration {
    fn from(time: Time) -> Duration {
        Duration::from_nanos(time.0 / 1_000)
    }
}
