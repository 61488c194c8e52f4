//! Where records lie on an axis of time, also those whose time is not known.
//!
//! The axis counts milliseconds. Where the logger knew UTC, it is UTC, corrected by what is known of the logger's clock. Records without it follow those before them, one
//! interval later, or end where the first known ones begin; where the clock was set back, records go on behind those
//! before them. The axis says of each [`Stretch`] of it which of these it is, so nobody takes a place for a time.

use host::clock::Clocks;
use host::protocol::record::SegmentHeader;

/// Records of one session whose clock was not set in between.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stretch {
    /// Of its first segment.
    header: SegmentHeader,
    /// The logger's clock at its latest record: milliseconds of the session.
    latest: u64,
    /// Where it begins on the axis.
    start: f64,
    /// UTC there, when that is known.
    utc: Option<f64>,
    /// Real time while the clock counts one millisecond.
    rate: f64,
}

impl Stretch {
    /// Whether a segment's records belong to it, if they come next.
    fn goes_on(&self, header: &SegmentHeader) -> bool {
        (self.header.session, self.header.utc_offset) == (header.session, header.utc_offset)
    }

    /// Where it begins on the axis.
    pub(crate) fn start(&self) -> f64 {
        self.start
    }

    /// Where its latest record is.
    pub(crate) fn end(&self) -> f64 {
        self.place(self.latest)
    }

    /// Where a moment of its clock is.
    pub(crate) fn place(&self, clock: u64) -> f64 {
        self.start + (clock as f64 - self.clock()) * self.rate
    }

    /// The logger's clock where it begins.
    pub(crate) fn clock(&self) -> f64 {
        self.header.time as f64
    }

    /// Which session.
    pub(crate) fn session(&self) -> u16 {
        self.header.session
    }

    /// What has to be added to a place to get UTC: 0 but where the clock was set back.
    pub(crate) fn shift(&self) -> Option<f64> {
        Some(self.utc? - self.start)
    }
}

/// A moment of a stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    stretch: usize,
    clock: u64,
}

/// The whole axis.
#[derive(Clone, Debug, Default)]
pub(crate) struct Axis {
    stretches: Vec<Stretch>,
    /// What is known of the clock since the axis was last laid out.
    clocks: Clocks,
    /// Some of it is not laid out as it should be.
    stale: bool,
}

/// What [`Axis::take_back`] needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before {
    count: usize,
    latest: u64,
}

/// So long a time tells a clock's rate to a billionth, in milliseconds.
const LONG: u64 = 1_000_000_000;

impl Axis {
    /// All of it, in order.
    pub(crate) fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// Makes room for the records of a segment; gives when the first and the last of them were taken.
    pub(crate) fn take(&mut self, header: &SegmentHeader) -> (Moment, Moment) {
        let goes_on = self
            .stretches
            .last()
            .is_some_and(|last| last.goes_on(header));
        if !goes_on {
            let known = self.stretches.iter().any(|before| before.utc.is_some());
            let behind = self.stretches.last().map(|last| self.behind(last, header));
            let stretch = place(header, behind, &self.clocks);
            // Those of unknown time end where the first known ones begin.
            self.stale |= !known && stretch.utc.is_some() && behind.is_some();
            self.stretches.push(stretch);
        }
        let steps = u64::from(header.count.saturating_sub(1)) * u64::from(header.interval);
        let moment = |clock| Moment {
            stretch: self.stretches.len() - 1,
            clock,
        };
        let (first, last) = (moment(header.time), moment(header.time + steps));
        if let Some(stretch) = self.stretches.last_mut() {
            stretch.latest = last.clock;
        }
        (first, last)
    }

    /// Where records go that follow a stretch.
    fn behind(&self, last: &Stretch, header: &SegmentHeader) -> f64 {
        last.end() + f64::from(header.interval)
    }

    /// Lays it out anew when more is known of the logger's clock, or of times that were not known. Whether places changed.
    pub(crate) fn refresh(&mut self, clocks: &Clocks) -> bool {
        if !self.stale && self.clocks == *clocks {
            return false;
        }
        self.stale = false;
        self.clocks = clocks.clone();
        let first = self
            .stretches
            .iter()
            .position(|stretch| stretch.header.utc_offset.is_some());
        let mut behind = None;
        for index in 0..self.stretches.len() {
            let mut stretch = self.stretches[index];
            let latest = stretch.latest;
            stretch = place(&stretch.header, behind, &self.clocks);
            stretch.latest = latest;
            if Some(index) == first
                && let (Some(behind), Some(utc)) = (behind, stretch.utc)
            {
                for before in &mut self.stretches[..index] {
                    before.start += utc - behind;
                }
                stretch.start = utc;
            }
            self.stretches[index] = stretch;
            let next = self.stretches.get(index + 1).map(|next| next.header);
            behind = next.map(|next| self.behind(&stretch, &next));
        }
        true
    }

    /// Where a moment is.
    pub(crate) fn place(&self, moment: Moment) -> f64 {
        let stretch = self.stretches.get(moment.stretch);
        stretch.map_or(0.0, |stretch| stretch.place(moment.clock))
    }

    /// How it is now.
    pub(crate) fn mark(&self) -> Before {
        Before {
            count: self.stretches.len(),
            latest: self.stretches.last().map_or(0, |last| last.latest),
        }
    }

    /// Of the stretches that there were then.
    pub(crate) fn take_back(&mut self, before: Before) {
        self.stretches.truncate(before.count);
        if let Some(last) = self.stretches.last_mut() {
            last.latest = before.latest;
        }
        self.stale = true;
    }

    /// Goes along with segments that were taken before, from the stretch on that has this place.
    pub(crate) fn follow(&self, from: f64) -> Follower<'_> {
        let behind = self
            .stretches
            .partition_point(|stretch| stretch.start() <= from);
        Follower {
            stretches: &self.stretches,
            at: behind.saturating_sub(1),
        }
    }
}

/// A stretch behind that place.
fn place(header: &SegmentHeader, behind: Option<f64>, clocks: &Clocks) -> Stretch {
    let line = clocks.line(header);
    let utc = line.map(|line| line.utc(header.time) as f64);
    let rate = line.map(|line| {
        let passed = line.utc(header.time + LONG) - line.utc(header.time);
        passed as f64 / LONG as f64
    });
    let start = match (utc, behind) {
        (Some(utc), Some(behind)) => utc.max(behind),
        (utc, behind) => utc.or(behind).unwrap_or(0.0),
    };
    Stretch {
        header: *header,
        latest: header.time,
        start,
        utc,
        rate: rate.unwrap_or(1.0),
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
            .map(|stretch| (stretch.start(), stretch.end()))
            .collect()
    }

    #[test]
    fn known_times_are_utc_and_unknown_ones_follow_them() {
        let mut axis = Axis::default();
        axis.take(&header(1, 0, Some(1_000_000)));
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
        let (first, _) = axis.take(&header(2, 11_000, Some(500_000)));
        assert!(axis.refresh(&Clocks::new()));
        assert_eq!(axis.place(first), 511_000.0);
        assert!(!axis.refresh(&Clocks::new()));
        assert_eq!(
            places(&axis),
            [
                (489_000.0, 499_000.0),
                (500_000.0, 510_000.0),
                (511_000.0, 521_000.0)
            ]
        );
        axis.take_back(before);
        axis.refresh(&Clocks::new());
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
