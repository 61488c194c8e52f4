//! Where records lie on an axis of time, also those whose time is not known.
//!
//! The axis counts milliseconds. Where the logger knew UTC, it is UTC. Records without it follow those before them, one
//! interval later, or end where the first known ones begin; where the clock was set back, records go on behind those
//! before them. The axis says of each [`Stretch`] of it which of these it is, so nobody takes a place for a time.

use host::protocol::record::SegmentHeader;

/// Records of one session whose clock was not set in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    /// Where it begins on the axis.
    pub(crate) start: f64,
    /// Where its latest record is.
    pub(crate) end: f64,
    /// Which session.
    pub(crate) session: u16,
    /// The logger's clock where it begins: milliseconds of the session.
    pub(crate) clock: u64,
    /// From the clock to UTC; none when that was not known.
    pub(crate) utc_offset: Option<i64>,
}

impl Stretch {
    /// Whether a segment's records belong to it, if they come next.
    fn goes_on(&self, header: &SegmentHeader) -> bool {
        self.session == header.session && self.utc_offset == header.utc_offset
    }

    /// Where a moment of its clock is.
    pub(crate) fn place(&self, clock: u64) -> f64 {
        self.start + (clock as f64 - self.clock as f64)
    }

    /// What has to be added to a place to get UTC: 0 but where the clock was set back.
    pub(crate) fn shift(&self) -> Option<f64> {
        Some(self.clock as f64 + self.utc_offset? as f64 - self.start)
    }
}

/// The whole axis.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis {
    stretches: Vec<Stretch>,
    /// Whether UTC was known anywhere.
    known: bool,
}

/// What [`Axis::take_back`] needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    count: usize,
    end: f64,
    known: bool,
}

impl Axis {
    /// All of it, in order.
    pub(crate) fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Makes room for the records of a segment. Gives by how much everything before has to move: records of unknown time,
    /// when the first known ones come.
    pub(crate) fn take(&mut self, header: &SegmentHeader) -> f64 {
        let steps = u64::from(header.count.saturating_sub(1)) * u64::from(header.interval);
        let mut moved = 0.0;
        if !self
            .stretches
            .last()
            .is_some_and(|last| last.goes_on(header))
        {
            let behind = self
                .stretches
                .last()
                .map(|last| last.end + f64::from(header.interval));
            let utc = header
                .utc_offset
                .map(|offset| header.time as f64 + offset as f64);
            if let (Some(utc), Some(behind), false) = (utc, behind, self.known) {
                moved = utc - behind;
                self.move_by(moved);
            }
            self.known |= utc.is_some();
            let start = match (utc, behind) {
                (Some(utc), Some(behind)) => utc.max(behind + moved),
                (Some(utc), None) => utc,
                (None, behind) => behind.unwrap_or(0.0),
            };
            self.stretches.push(Stretch {
                start,
                end: start,
                session: header.session,
                clock: header.time,
                utc_offset: header.utc_offset,
            });
        }
        if let Some(last) = self.stretches.last_mut() {
            last.end = last.place(header.time + steps);
        }
        moved
    }

    fn move_by(&mut self, by: f64) {
        for stretch in &mut self.stretches {
            stretch.start += by;
            stretch.end += by;
        }
    }

    /// How it is now.
    pub(crate) fn mark(&self) -> Before {
        Before {
            count: self.stretches.len(),
            end: self.stretches.last().map_or(0.0, |last| last.end),
            known: self.known,
        }
    }

    /// As it was then, given by how much everything was moved since.
    pub(crate) fn take_back(&mut self, before: Before, moved: f64) {
        self.stretches.truncate(before.count);
        self.move_by(-moved);
        self.known = before.known;
        if let Some(last) = self.stretches.last_mut() {
            last.end = before.end;
        }
    }

    /// Goes along with segments that were taken before, from the stretch on that has this place.
    pub(crate) fn follow(&self, from: f64) -> Follower<'_> {
        let behind = self
            .stretches
            .partition_point(|stretch| stretch.start <= from);
        Follower {
            stretches: &self.stretches,
            at: behind.saturating_sub(1),
        }
    }
}

/// See [`Axis::follow`].
pub(crate) struct Follower<'a> {
    stretches: &'a [Stretch],
    at: usize,
}

impl Follower<'_> {
    /// The stretch of the next segment; none when it was never taken.
    pub(crate) fn stretch(&mut self, header: &SegmentHeader) -> Option<&Stretch> {
        while !self.stretches.get(self.at)?.goes_on(header) {
            self.at += 1;
        }
        self.stretches.get(self.at)
    }
}

#[cfg(test)]
mod tests {
    use host::protocol::record::{ChannelSet, SegmentKind};

    use super::*;

    fn header(session: u16, time: u64, utc_offset: Option<i64>) -> SegmentHeader {
        SegmentHeader {
            kind: SegmentKind::Records,
            sequence: 0,
            record: 0,
            session,
            count: 11,
            time,
            utc_offset,
            interval: 1000,
            channels: ChannelSet(1),
            alarms: ChannelSet(0),
            length: 22,
        }
    }

    fn places(axis: &Axis) -> Vec<(f64, f64)> {
        let stretches = axis.stretches().iter();
        stretches
            .map(|stretch| (stretch.start, stretch.end))
            .collect()
    }

    #[test]
    fn known_times_are_utc_and_unknown_ones_follow_them() {
        let mut axis = Axis::default();
        assert_eq!(axis.take(&header(1, 0, Some(1_000_000))), 0.0);
        axis.take(&header(1, 11_000, Some(1_000_000)));
        axis.take(&header(2, 500, None));
        axis.take(&header(3, 500, Some(2_000_000)));
        assert_eq!(
            places(&axis),
            [
                (1_000_000.0, 1_021_000.0),
                (1_022_000.0, 1_032_000.0),
                (2_000_500.0, 2_010_500.0)
            ]
        );
        assert_eq!(axis.stretches()[0].shift(), Some(0.0));
        assert_eq!(axis.stretches()[1].shift(), None);
    }

    #[test]
    fn unknown_times_at_the_beginning_end_where_the_known_ones_begin() {
        let mut axis = Axis::default();
        axis.take(&header(1, 0, None));
        axis.take(&header(2, 0, None));
        let before = axis.mark();
        let was = places(&axis);
        assert_eq!(was, [(0.0, 10_000.0), (11_000.0, 21_000.0)]);
        let moved = axis.take(&header(2, 11_000, Some(500_000)));
        assert_eq!(
            places(&axis),
            [
                (489_000.0, 499_000.0),
                (500_000.0, 510_000.0),
                (511_000.0, 521_000.0)
            ]
        );
        axis.take_back(before, moved);
        assert_eq!(places(&axis), was);
    }

    #[test]
    fn a_clock_that_is_set_back_moves_no_record_before_others() {
        let mut axis = Axis::default();
        axis.take(&header(1, 0, Some(1_000_000)));
        axis.take(&header(1, 11_000, Some(900_000)));
        assert_eq!(places(&axis)[1], (1_011_000.0, 1_021_000.0));
        // What is shown there is what the logger said.
        assert_eq!(axis.stretches()[1].shift(), Some(-100_000.0));
        axis.take(&header(2, 0, Some(2_000_000)));
        assert_eq!(axis.stretches()[2].shift(), Some(0.0));
        let mut follower = axis.follow(1_011_500.0);
        let stretch = follower.stretch(&header(1, 11_000, Some(900_000))).unwrap();
        assert_eq!(stretch.place(12_000), 1_012_000.0);
        assert!(follower.stretch(&header(2, 0, Some(2_000_000))).is_some());
        assert!(follower.stretch(&header(9, 0, None)).is_none());
    }
}
