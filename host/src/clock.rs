//! The time of day of records, from what their logger's clock showed.
//!
//! That clock runs on the chip's own oscillator, which may be off by several percent and changes with the temperature. So
//! what was added to it when a computer set it holds at that moment alone. Between two of these moments times lie on the
//! straight line that joins them; behind the last one the clock is taken to go on as much too fast as it was last known
//! to be. Nothing is corrected by a drift that nobody measured, and what has no time gets none.

use alloc::vec::Vec;

use protocol::record::{SegmentHeader, Timekeeping};

/// A clock does not run so many millionths too fast or too slow: it was set to another time.
const LARGEST_DRIFT: i64 = 200_000;
const MILLION: i64 = 1_000_000;

/// A moment at which a computer set a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Set {
    session: u16,
    /// What the clock showed, in milliseconds.
    at: u64,
    /// What had to be added from then on to get UTC in milliseconds since 1970.
    offset: i64,
    drift: Option<i32>,
    cycles: u8,
}

impl Set {
    fn utc(&self) -> i64 {
        self.at as i64 + self.offset
    }

    /// How many cycles the oscillator makes in 1,000,000 real milliseconds, when that is known.
    fn frequency(&self) -> Option<i64> {
        let drift = i64::from(self.drift?);
        (drift.abs() <= LARGEST_DRIFT).then(|| i64::from(self.cycles) * (MILLION + drift))
    }
}

/// How well a time of day is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accuracy {
    /// The clock was set before and after.
    Between,
    /// The clock was set before, and it is known how much too fast it ran then.
    Behind,
    /// The clock was set before; how much too fast it runs was never measured.
    Uncorrected,
}

/// What becomes of the times of a clock that nobody set in between: a straight line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    clock: u64,
    utc: i64,
    /// So much time passes while the clock counts [`Line::counted`].
    real: i64,
    counted: i64,
    /// How well it is known.
    pub accuracy: Accuracy,
}

impl Line {
    /// UTC in milliseconds since 1970 when the clock showed so many milliseconds.
    pub fn utc(&self, clock: u64) -> i64 {
        let passed = i128::from(clock) - i128::from(self.clock);
        let (real, counted) = (i128::from(self.real), i128::from(self.counted));
        // To the nearest one.
        let passed = (2 * passed * real + counted).div_euclid(2 * counted);
        self.utc.saturating_add(passed as i64)
    }

    /// As the logger has it.
    fn uncorrected(set: &Set) -> Line {
        Line {
            clock: set.at,
            utc: set.utc(),
            real: 1,
            counted: 1,
            accuracy: Accuracy::Uncorrected,
        }
    }
}

/// When the clock of a logger was set, as its log tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clocks {
    /// By session and clock.
    sets: Vec<Set>,
}

impl Clocks {
    /// Of which nothing is known.
    pub fn new() -> Clocks {
        Clocks::default()
    }

    /// Takes in what the layout with this header says.
    pub(crate) fn add(&mut self, header: &SegmentHeader, clock: &Timekeeping) {
        let Some(offset) = header.utc_offset else {
            return;
        };
        let set = Set {
            session: header.session,
            at: clock.set_at,
            offset,
            drift: clock.drift,
            cycles: clock.cycles,
        };
        let place = self.behind(set.session, set.at);
        match place.checked_sub(1).and_then(|at| self.sets.get_mut(at)) {
            // Each block of the memory says it again.
            Some(known) if (known.session, known.at) == (set.session, set.at) => *known = set,
            _ => self.sets.insert(place, set),
        }
    }

    /// Index of the first that is later.
    fn behind(&self, session: u16, clock: u64) -> usize {
        self.sets
            .partition_point(|set| (set.session, set.at) <= (session, clock))
    }

    /// How the times of a segment become UTC; none when they do not, because the clock was not set.
    pub fn line(&self, header: &SegmentHeader) -> Option<Line> {
        let offset = header.utc_offset?;
        let is_its = |index: &usize| {
            self.sets
                .get(*index)
                .is_some_and(|set| (set.session, set.offset) == (header.session, offset))
        };
        let behind = self.behind(header.session, header.time);
        // A sample that was under way when the clock was set is a little older than that.
        let index = behind
            .checked_sub(1)
            .filter(is_its)
            .or(Some(behind).filter(is_its));
        let Some((index, set)) = index.and_then(|index| Some((index, self.sets.get(index)?)))
        else {
            // What would say more was lost.
            return Some(Line::uncorrected(&Set {
                session: header.session,
                at: header.time,
                offset,
                drift: None,
                cycles: 0,
            }));
        };
        if let Some(next) = self.sets.get(index + 1)
            && next.session == set.session
        {
            let (real, counted) = (next.utc() - set.utc(), (next.at - set.at) as i64);
            if (counted - real).abs() <= counted / (MILLION / LARGEST_DRIFT) {
                return Some(Line {
                    clock: set.at,
                    utc: set.utc(),
                    real,
                    counted,
                    accuracy: Accuracy::Between,
                });
            }
        }
        let (before, after) = (&self.sets[..=index], &self.sets[index + 1..]);
        // The oscillator stays the same one when power goes.
        let frequency = before
            .iter()
            .rev()
            .chain(after)
            .find_map(Set::frequency)
            .filter(|_| set.cycles > 0);
        Some(match frequency {
            Some(frequency) => Line {
                clock: set.at,
                utc: set.utc(),
                real: i64::from(set.cycles) * MILLION,
                counted: frequency,
                accuracy: Accuracy::Behind,
            },
            None => Line::uncorrected(set),
        })
    }
}
