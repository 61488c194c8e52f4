//! Records as CSV: the very bytes that the command line writes, made piece by piece. The log is gone through twice: to
//! see which columns there are, then to write them.

use std::ops::Range;
use std::rc::Rc;

use host::clock::Clocks;
use host::csv::Csv;
use host::data::{Decoder, Run};

use super::Entry;
use super::axis::Axis;

/// Bytes of the log that are looked at in one step.
const LOOK: u64 = 512 << 10;
/// Bytes of the log that are written in one step: as text they are some six times as much.
const WRITE: u64 = 96 << 10;

/// A table in the making.
pub(crate) struct Table {
    csv: Csv,
    /// Where its segments are in the file, and what followed them when it was begun.
    whole: Range<u64>,
    open: Vec<u8>,
    /// How the records at the beginning are read, and where they are on the axis.
    run: Option<Rc<Run>>,
    clocks: Clocks,
    begin: f64,
    /// Where all of them are on the axis, as it was when the table was begun.
    axis: Axis,
    /// Where the latest was.
    place: f64,
    /// Which records are wanted, by their place.
    from: f64,
    /// See there.
    to: f64,
    pass: Pass,
    at: u64,
    decoder: Decoder,
    records: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pass {
    Survey,
    Write,
    Done,
}

impl Table {
    /// Of segments in the file, and the open one behind them.
    pub(crate) fn new(
        whole: Range<u64>,
        open: Vec<u8>,
        (run, clocks): (Option<Rc<Run>>, Clocks),
        (begin, axis): (f64, Axis),
        (from, to): (f64, f64),
    ) -> Table {
        Table {
            csv: Csv::new(),
            at: whole.start,
            whole,
            open,
            decoder: Decoder::within(run.clone(), clocks.clone()),
            run,
            clocks,
            begin,
            axis,
            place: begin,
            from,
            to,
            pass: Pass::Survey,
            records: 0,
        }
    }

    /// Which bytes of the file the next step takes; none when the table is complete.
    pub(crate) fn wants(&self) -> Option<Range<u64>> {
        let step = match self.pass {
            Pass::Survey => LOOK,
            Pass::Write => WRITE,
            Pass::Done => return None,
        };
        Some(self.at..(self.at + step).min(self.whole.end))
    }

    /// How much of it is done, from 0 to 1.
    pub(crate) fn done(&self) -> f64 {
        let length = self.whole.end.saturating_sub(self.whole.start).max(1) as f64;
        let through = (self.at - self.whole.start) as f64 / length;
        // To write takes much longer than to look.
        match self.pass {
            Pass::Survey => 0.1 * through,
            Pass::Write => 0.1 + 0.9 * through,
            Pass::Done => 1.0,
        }
    }

    /// Records written so far.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// The text of the next bytes.
    pub(crate) fn step(&mut self, bytes: &[u8]) -> String {
        let mut text = String::new();
        let taken = self.go_through(bytes, &mut text);
        self.at += taken as u64;
        if self.at < self.whole.end && taken > 0 {
            return text;
        }
        let open = std::mem::take(&mut self.open);
        self.go_through(&open, &mut text);
        self.open = open;
        if self.pass == Pass::Survey {
            // A text takes everything.
            let _ = self.csv.header(&mut text);
            self.pass = Pass::Write;
            self.at = self.whole.start;
            self.place = self.begin;
            self.decoder = Decoder::within(self.run.clone(), self.clocks.clone());
        } else {
            self.pass = Pass::Done;
        }
        text
    }

    /// How many bytes are whole entries.
    fn go_through(&mut self, bytes: &[u8], text: &mut String) -> usize {
        let mut follower = self.axis.follow(self.place);
        let mut rest = bytes;
        while let Some((entry, length)) = Entry::read(rest) {
            rest = &rest[length..];
            let batch = match entry {
                Entry::Segment(segment) => self.decoder.segment(segment),
                Entry::Lost(sequence) => {
                    self.decoder.lost(sequence);
                    continue;
                }
                _ => continue,
            };
            let Ok(Some(batch)) = batch else {
                continue;
            };
            let Some(stretch) = follower.stretch(&batch.header) else {
                continue;
            };
            let wanted =
                |index: usize| (self.from..=self.to).contains(&stretch.place(batch.clock(index)));
            self.place = stretch.place(batch.clock(0));
            let count = (0..batch.len()).filter(|index| wanted(*index)).count();
            if count == 0 {
                continue;
            }
            if self.pass == Pass::Survey {
                self.csv.survey(&batch);
            } else {
                let _ = self.csv.records(text, &batch, wanted);
                self.records += count as u64;
            }
        }
        bytes.len() - rest.len()
    }
}
