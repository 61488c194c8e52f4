//! How fast virtual time goes: it follows the computer's clock, never ahead of it.

use std::time::{Duration, Instant};

use emulator::time::Time;

/// What a computer that was too slow may catch up at most. Older arrears are forgotten: the machine just was slower.
const ARREARS: Duration = Duration::from_millis(50);

/// How fast a machine may be asked to go. Above this the computer's own speed is the limit anyway.
const FASTEST: f64 = 1000.0;

/// Reads a speed in virtual seconds a second: above 0, up to 1000.
///
/// # Errors
/// What a speed is, for people, when `text` is none.
pub fn parse_speed(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(speed) if speed > 0.0 && speed <= FASTEST => Ok(speed),
        _ => Err(format!("the speed is a number above 0 and up to {FASTEST}")),
    }
}

/// Maps the computer's time to the machine's.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    speed: f64,
    /// The two clocks at a moment when they were in step.
    wall: Instant,
    machine: Time,
}

impl Pace {
    /// In step at this moment, `speed` virtual seconds a second from here.
    pub fn new(speed: f64, wall: Instant, machine: Time) -> Pace {
        Pace {
            speed,
            wall,
            machine,
        }
    }

    /// Virtual seconds a second.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// Goes on from here at another speed.
    pub fn set_speed(&mut self, speed: f64, wall: Instant, machine: Time) {
        *self = Pace::new(speed, wall, machine);
    }

    /// How far the machine may run, given both clocks. Forgets arrears of more than 50 ms.
    pub fn until(&mut self, wall: Instant, machine: Time) -> Time {
        let due = self.machine + self.scaled(wall.saturating_duration_since(self.wall));
        let arrears = self.scaled(ARREARS);
        if due.since(machine) > arrears {
            self.wall = wall;
            self.machine = machine + arrears;
            return self.machine;
        }
        due
    }

    /// How long the computer should wait until the machine may run on to `machine`.
    pub fn wait_for(&self, wall: Instant, machine: Time) -> Duration {
        let ahead = Duration::from(machine.since(self.machine)).div_f64(self.speed);
        (self.wall + ahead).saturating_duration_since(wall)
    }

    fn scaled(&self, span: Duration) -> Time {
        Time::from(span.mul_f64(self.speed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_machine_may_run_as_far_as_the_clock_has_gone() {
        let start = Instant::now();
        let mut pace = Pace::new(1.0, start, Time::from_millis(700));
        assert_eq!(
            pace.until(start, Time::from_millis(700)),
            Time::from_millis(700)
        );
        assert_eq!(
            pace.until(start + ms(10), Time::from_millis(700)),
            Time::from_millis(710)
        );
    }

    #[test]
    fn a_machine_that_is_ahead_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(1.0, start, Time::ZERO);
        assert_eq!(
            pace.until(start + ms(10), Time::from_millis(12)),
            Time::from_millis(10)
        );
        assert_eq!(pace.wait_for(start + ms(10), Time::from_millis(13)), ms(3));
        assert_eq!(
            pace.wait_for(start + ms(20), Time::from_millis(13)),
            Duration::ZERO
        );
    }

    #[test]
    fn a_computer_that_slept_for_a_minute_is_not_made_up_for() {
        let start = Instant::now();
        let mut pace = Pace::new(1.0, start, Time::ZERO);
        let woke = start + ms(60_000);
        assert_eq!(
            pace.until(woke, Time::from_millis(3)),
            Time::from_millis(53)
        );
        assert_eq!(
            pace.until(woke + ms(1), Time::from_millis(53)),
            Time::from_millis(54)
        );
    }

    #[test]
    fn the_speed_multiplies() {
        let start = Instant::now();
        let mut pace = Pace::new(4.0, start, Time::ZERO);
        assert_eq!(
            pace.until(start + ms(10), Time::ZERO),
            Time::from_millis(40)
        );
        assert_eq!(pace.wait_for(start, Time::from_millis(40)), ms(10));
        pace.set_speed(0.5, start + ms(10), Time::from_millis(40));
        assert_eq!(
            pace.until(start + ms(20), Time::from_millis(40)),
            Time::from_millis(45)
        );
    }
}
