//! How fast virtual time goes: it follows the computer's clock, never ahead of it.

use emulator::time::Time;

/// What a computer that was too slow may catch up at most, in milliseconds. Older arrears are forgotten: the logger just
/// was slower, as after the lid of a laptop was closed.
const ARREARS: f64 = 100.0;

/// Maps the computer's time, in milliseconds, to the machine's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    speed: f64,
    /// The two clocks at a moment when they were in step.
    clock: f64,
    machine: Time,
}

impl Pace {
    /// In step at this moment, `speed` virtual seconds a second from here.
    pub(crate) fn new(speed: f64, clock: f64, machine: Time) -> Pace {
        Pace {
            speed,
            clock,
            machine,
        }
    }

    /// How far the machine may run, given both clocks.
    pub(crate) fn until(&mut self, clock: f64, machine: Time) -> Time {
        let due = self.machine + self.scaled(clock - self.clock);
        let arrears = self.scaled(ARREARS);
        if due.since(machine) > arrears {
            self.clock = clock;
            self.machine = machine + arrears;
            return self.machine;
        }
        due
    }

    fn scaled(&self, milliseconds: f64) -> Time {
        // From a float `as` saturates: a clock that goes backwards stands still.
        Time::from_nanos((milliseconds * self.speed * 1e6) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn the_machine_may_run_as_far_as_the_clock_has_gone() {
        let mut pace = Pace::new(1.0, 5.0, ms(700));
        assert_eq!(pace.until(5.0, ms(700)), ms(700));
        assert_eq!(pace.until(15.0, ms(700)), ms(710));
        assert_eq!(pace.until(15.0, ms(712)), ms(710), "it is ahead and waits");
        assert_eq!(pace.until(4.0, ms(700)), ms(700), "a clock goes backwards");
    }

    #[test]
    fn a_computer_that_slept_for_a_minute_is_not_made_up_for() {
        let mut pace = Pace::new(1.0, 0.0, Time::ZERO);
        assert_eq!(pace.until(60_000.0, ms(3)), ms(103));
        assert_eq!(pace.until(60_001.0, ms(103)), ms(104));
    }

    #[test]
    fn the_speed_multiplies() {
        let mut pace = Pace::new(4.0, 0.0, Time::ZERO);
        assert_eq!(pace.until(10.0, Time::ZERO), ms(40));
        let mut pace = Pace::new(0.05, 0.0, Time::ZERO);
        assert_eq!(pace.until(100.0, Time::ZERO), ms(5));
    }
}
