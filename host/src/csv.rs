//! Records as CSV (RFC 4180), for spreadsheets and programs: the same bytes on every computer.
//!
//! Times are UTC in ISO 8601, numbers have a point and all their decimals, and what is not known is an empty cell. What
//! the columns mean is in docs/data.md.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use protocol::record::{Channel, ResetCause};

use crate::clock::Accuracy;
use crate::data::{Batch, Before, Column};
use crate::time::utc_text;

/// In front of the channels: when a record was taken and which one it is.
const LEADING: [&str; 4] = ["utc", "record", "session", "elapsed_s"];
/// Behind them: what is special about it.
const TRAILING: [&str; 2] = ["alarm", "note"];

/// A column of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Values {
    channel: Channel,
    name: String,
    unit: String,
}

impl Values {
    fn is_of(&self, column: &Column) -> bool {
        self.channel == column.channel && self.name == column.name && self.unit == column.unit
    }
}

/// A CSV file in the making. A channel that was renamed or got another unit has a column for each name, so all batches
/// are shown to [`Csv::survey`] before the first is written.
#[derive(Clone, Debug, Default)]
pub struct Csv {
    columns: Vec<Values>,
}

impl Csv {
    /// A file without columns for values.
    pub fn new() -> Csv {
        Csv::default()
    }

    /// Takes in the columns of a batch.
    pub fn survey(&mut self, batch: &Batch<'_>) {
        let Some(run) = &batch.run else {
            return;
        };
        for channel in batch.header.channels.iter() {
            let column = run.column(channel);
            if !self.columns.iter().any(|known| known.is_of(column)) {
                self.columns.push(Values {
                    channel,
                    name: column.name.clone(),
                    unit: column.unit.clone(),
                });
                // In the order of the channels; names of one channel in the order of their use.
                self.columns.sort_by_key(|known| known.channel);
            }
        }
    }

    /// Writes the line with the columns' names.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn header(&self, out: &mut impl Write) -> fmt::Result {
        let mut names: Vec<String> = LEADING.map(Into::into).to_vec();
        for column in &self.columns {
            let name = match column.unit.as_str() {
                "" => column.name.clone(),
                unit => format!("{} ({unit})", column.name),
            };
            let taken = |name: &String| names.contains(name) || TRAILING.contains(&name.as_str());
            // Two channels may have one name.
            let name = (1..)
                .map(|number| match number {
                    1 => name.clone(),
                    _ => format!("{name} {number}"),
                })
                .find(|name| !taken(name));
            names.extend(name);
        }
        names.extend(TRAILING.map(Into::into));
        for (index, name) in names.iter().enumerate() {
            separate(out, index)?;
            cell(out, name)?;
        }
        out.write_str("\r\n")
    }

    /// Writes a line for each record of the batch for which `keep` says so.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn records(
        &self,
        out: &mut impl Write,
        batch: &Batch<'_>,
        keep: impl Fn(usize) -> bool,
    ) -> fmt::Result {
        let run = batch.run.as_deref();
        // Which column each channel goes to is the same for all of them.
        let channels: Vec<Option<Channel>> = self
            .columns
            .iter()
            .map(|values| {
                run.filter(|run| values.is_of(run.column(values.channel)))
                    .map(|_| values.channel)
            })
            .collect();
        let alarms = alarms(batch);
        for index in (0..batch.len()).filter(|index| keep(*index)) {
            if let Some(utc) = batch.utc(index) {
                out.write_str(&utc_text(utc))?;
            }
            let clock = batch.clock(index);
            write!(
                out,
                ",{},{},{}.{:03}",
                batch.record(index),
                batch.header.session,
                clock / 1000,
                clock % 1000
            )?;
            for channel in &channels {
                out.write_char(',')?;
                if let Some(value) = channel.and_then(|channel| batch.value(channel, index)) {
                    write!(out, "{value}")?;
                }
            }
            out.write_char(',')?;
            cell(out, &alarms)?;
            out.write_char(',')?;
            if index == 0 {
                cell(out, &note(&batch.before, batch.run.is_none()))?;
            }
            out.write_str("\r\n")?;
        }
        Ok(())
    }
}

fn separate(out: &mut impl Write, index: usize) -> fmt::Result {
    match index {
        0 => Ok(()),
        _ => out.write_char(','),
    }
}

/// What spreadsheets take for the beginning of a formula, the wide ones in Japan; and the mark of a text.
const FORMULAS: [char; 9] = [
    '=', '+', '-', '@', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}', '\'',
];

/// A text, in quotes where it has to be, and with an apostrophe in front where a spreadsheet would run it.
fn cell(out: &mut impl Write, text: &str) -> fmt::Result {
    let marked;
    let text = if text.starts_with(FORMULAS) {
        marked = format!("'{text}");
        &marked
    } else {
        text
    };
    if text.contains(['"', ',', '\r', '\n']) {
        write!(out, "\"{}\"", text.replace('"', "\"\""))
    } else {
        out.write_str(text)
    }
}

/// The channels that were beyond their alarm threshold.
fn alarms(batch: &Batch<'_>) -> String {
    let names: Vec<String> = batch
        .header
        .alarms
        .iter()
        .map(|channel| match &batch.run {
            Some(run) => run.column(channel).name.clone(),
            None => format!("channel {}", channel as u8 + 1),
        })
        .collect();
    names.join("; ")
}

/// What happened before a record.
fn note(before: &Before, layout_is_lost: bool) -> String {
    let mut notes = Vec::new();
    if let Some(cause) = before.start {
        notes.push(format!("started: {}", explain(cause)));
    }
    if before.change {
        notes.push("settings or clock changed".into());
    }
    if before.missing_segments > 0 {
        notes.push(format!("{} segments missing", before.missing_segments));
    }
    if before.missing_records > 0 {
        notes.push(format!("{} records missing", before.missing_records));
    }
    if before.pause > 0 {
        notes.push(format!(
            "no records for {}.{:03} s",
            before.pause / 1000,
            before.pause % 1000
        ));
    }
    notes.extend(before.accuracy.map(|accuracy| {
        match accuracy {
            Accuracy::Between => "utc corrected: the clock was set before and after",
            Accuracy::Behind => "utc corrected by the latest drift",
            Accuracy::Uncorrected => "utc not corrected: drift not known",
        }
        .into()
    }));
    if layout_is_lost {
        notes.push("layout missing: values not known".into());
    }
    notes.join("; ")
}

/// Why a logger started, in words.
pub fn explain(cause: ResetCause) -> &'static str {
    match cause {
        ResetCause::PowerOn => "power came up",
        ResetCause::Software => "restart that was asked for",
        ResetCause::Watchdog => "watchdog",
        ResetCause::Crash => "crash of the firmware",
        ResetCause::Other => "reset",
    }
}
