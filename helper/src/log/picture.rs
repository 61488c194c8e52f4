//! A part of a log as it is drawn: one point for each column of the picture that has records.

use host::protocol::record::{CHANNELS, ChannelSet};

use super::overview::{Mark, Overview};

/// A part of a log, ready to be drawn.
pub(crate) struct Picture {
    /// Where each point is on the axis: its record, or the middle of its column when it has several.
    pub(crate) places: Vec<f64>,
    /// For each point, whether no line leads to it from the one before.
    pub(crate) breaks: Vec<u8>,
    /// For each point, the channels that were beyond their alarm threshold.
    pub(crate) alarms: Vec<u8>,
    /// For each series, for each point: its least value, NaN where there is none.
    pub(crate) least: Vec<Vec<f32>>,
    /// The same for the most.
    pub(crate) most: Vec<Vec<f32>>,
    /// What happened, once for each column.
    pub(crate) marks: Vec<Mark>,
    /// The axis: start, end, what has to be added to get UTC or NaN, the logger's clock at the start, the session.
    pub(crate) axis: Vec<[f64; 5]>,
    /// Whether all records were looked at, rather than buckets of them.
    pub(crate) exact: bool,
}

/// Consecutive records that go into the picture together: one of them, or a bucket.
pub(crate) struct Piece {
    /// Places of the first and the last.
    pub(crate) start: f64,
    /// See there.
    pub(crate) end: f64,
    /// Whether no line leads to it.
    pub(crate) broken: bool,
    /// Whether time passed within it without records.
    pub(crate) holes: bool,
    /// Channels that have values.
    pub(crate) channels: ChannelSet,
    /// Channels beyond their threshold.
    pub(crate) alarms: ChannelSet,
    /// Least and most of each channel.
    pub(crate) least: [f32; CHANNELS],
    /// See there.
    pub(crate) most: [f32; CHANNELS],
}

/// Gathers points.
pub(crate) struct Painter {
    from: f64,
    column: f64,
    width: i64,
    /// Which column the last point is of.
    last: Option<i64>,
    picture: Picture,
}

impl Painter {
    /// Of so many columns from `from` to `to`, and one on each side, which shows where lines lead.
    pub(crate) fn new(overview: &Overview, from: f64, to: f64, width: u32, exact: bool) -> Painter {
        let none = || vec![Vec::new(); overview.series.len()];
        Painter {
            from,
            column: (to - from) / f64::from(width.max(1)),
            width: width.max(1).into(),
            last: None,
            picture: Picture {
                places: Vec::new(),
                breaks: Vec::new(),
                alarms: Vec::new(),
                least: none(),
                most: none(),
                marks: Vec::new(),
                axis: Vec::new(),
                exact,
            },
        }
    }

    fn column(&self, place: f64) -> i64 {
        let column = ((place - self.from) / self.column).floor();
        (column as i64).clamp(-1, self.width)
    }

    /// The next records; they are behind those before.
    pub(crate) fn add(&mut self, some: &Piece, series: &[usize; CHANNELS]) {
        let (first, last) = (self.column(some.start), self.column(some.end));
        self.point(first, some.start, some.broken, some, series);
        if last == first {
            return;
        }
        if !some.holes {
            for column in first + 1..last {
                let middle = self.from + (column as f64 + 0.5) * self.column;
                self.point(column, middle, false, some, series);
            }
        }
        self.point(last, some.end, some.holes, some, series);
    }

    fn point(
        &mut self,
        column: i64,
        place: f64,
        broken: bool,
        some: &Piece,
        series: &[usize; CHANNELS],
    ) {
        let picture = &mut self.picture;
        let again = self.last == Some(column);
        self.last = Some(column);
        if again && column == self.width {
            // Only where the first of those beyond the edge is matters.
            return;
        }
        if !again {
            picture.places.push(place);
            picture.breaks.push(broken.into());
            picture.alarms.push(some.alarms.0);
            for values in picture.least.iter_mut().chain(&mut picture.most) {
                values.push(f32::NAN);
            }
        }
        let Some(index) = picture.places.len().checked_sub(1) else {
            return;
        };
        // Of those before the edge only the last.
        let replace = again && column < 0;
        if replace {
            picture.places[index] = place;
            picture.alarms[index] = some.alarms.0;
            for values in picture.least.iter_mut().chain(&mut picture.most) {
                values[index] = f32::NAN;
            }
        } else if again {
            picture.places[index] = self.from + (column as f64 + 0.5) * self.column;
            picture.alarms[index] |= some.alarms.0;
        }
        for channel in some.channels.iter() {
            let (line, channel) = (series[channel as usize], channel as usize);
            // A number wins over none.
            picture.least[line][index] = picture.least[line][index].min(some.least[channel]);
            picture.most[line][index] = picture.most[line][index].max(some.most[channel]);
        }
    }

    /// The picture, with what happened there and its axis.
    pub(crate) fn finish(mut self, overview: &Overview) -> Picture {
        let to = self.from + self.column * self.width as f64;
        let first = overview
            .marks
            .partition_point(|mark| mark.place < self.from);
        let mut last = None;
        for mark in overview.marks[first..]
            .iter()
            .take_while(|mark| mark.place <= to)
        {
            let column = self.column(mark.place);
            match self.picture.marks.last_mut() {
                Some(before) if last == Some(column) => before.what |= mark.what,
                _ => self.picture.marks.push(*mark),
            }
            last = Some(column);
        }
        let axis = &mut self.picture.axis;
        for stretch in overview.axis.stretches() {
            if stretch.end() < self.from || stretch.start() > to {
                continue;
            }
            let shift = stretch.shift().unwrap_or(f64::NAN);
            match axis.last_mut() {
                // Where UTC is simply what the axis says, it goes on through gaps.
                Some(last) if (last[2] - shift).abs() < 1.0 => last[1] = stretch.end(),
                _ => axis.push([
                    stretch.start(),
                    stretch.end(),
                    shift,
                    stretch.clock(),
                    stretch.session().into(),
                ]),
            }
        }
        // What is narrower than a column cannot be seen.
        axis.retain(|[start, end, ..]| end - start >= self.column || self.column == 0.0);
        self.picture
    }
}
