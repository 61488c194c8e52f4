//! The copy of a log as `assets/helper-worker.js` uses it: numbers, texts and typed arrays in and out.

use js_sys::{Array, Float32Array, Float64Array, Uint8Array};
use wasm_bindgen::prelude::*;
use web_sys::FileSystemSyncAccessHandle;

use super::Log;
use super::file::kept::Kept;
use super::file::{FileError, Memory};
use super::table::Table;

/// The copy of a logger's log.
#[wasm_bindgen]
pub struct LogCopy {
    log: Log,
    table: Option<Table>,
}

/// In words for the page: see `workbench/src/records/store.rs`.
fn word(error: FileError) -> String {
    match error {
        FileError::Full => "full".into(),
        FileError::Refused => "refused".into(),
    }
}

fn bytes(values: &[u8]) -> JsValue {
    Uint8Array::from(values).into()
}

fn numbers(values: &[f64]) -> JsValue {
    Float64Array::from(values).into()
}

#[wasm_bindgen]
impl LogCopy {
    /// In this file; without one in memory, for as long as the page is there.
    #[wasm_bindgen(constructor)]
    pub fn new(file: Option<FileSystemSyncAccessHandle>) -> LogCopy {
        LogCopy {
            log: Log::new(match file {
                Some(file) => Box::new(Kept(file)),
                None => Box::new(Memory::default()),
            }),
            table: None,
        }
    }

    /// Looks at a piece of what the file holds: how much was looked at, from 0 to 1.
    ///
    /// # Errors
    /// `full` or `refused`, as everywhere here.
    pub fn load(&mut self) -> Result<f64, String> {
        self.log.load().map_err(word)
    }

    /// What is there: number of the first segment and of the next one, records, bytes, where they begin and end on the
    /// axis, segments and records that are missing, whether a part of the file had to be thrown away, and each series:
    /// number of its channel, name, unit.
    pub fn info(&self) -> Array {
        let log = &self.log;
        let verification = log.decoder.verification();
        let count = |ranges: &[core::ops::Range<u32>]| -> f64 {
            ranges.iter().map(|range| range.len() as f64).sum()
        };
        let held = log.held.clone().unwrap_or(0..0);
        let buckets = &log.overview.buckets;
        let place = |place: Option<f64>| JsValue::from(place.unwrap_or(f64::NAN));
        let info = Array::new();
        info.push(&held.start.into());
        info.push(&held.end.into());
        info.push(&(verification.records as f64).into());
        info.push(&(log.behind as f64).into());
        info.push(&place(buckets.first().map(|bucket| bucket.start)));
        info.push(&place(buckets.last().map(|bucket| bucket.end)));
        info.push(&count(&verification.missing_segments).into());
        info.push(&count(&verification.missing_records).into());
        info.push(&log.damaged.into());
        for series in &log.overview.series {
            info.push(&(series.channel as u8).into());
            info.push(&series.name.as_str().into());
            info.push(&series.unit.as_str().into());
        }
        info
    }

    /// Takes what came from the logger: see [`Log::take`].
    ///
    /// # Errors
    /// Nothing was taken then.
    pub fn take(
        &mut self,
        bytes: &[u8],
        lost: &[u32],
        first: u32,
        next: u32,
    ) -> Result<(), String> {
        self.log.take(bytes, lost, first, next).map_err(word)
    }

    /// Takes the segment that the logger is still filling.
    ///
    /// # Errors
    /// Nothing was taken then.
    pub fn take_open(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.log.take_open(bytes).map_err(word)
    }

    /// Number and bytes of the last complete segment; empty without one.
    ///
    /// # Errors
    /// Of the file.
    pub fn last(&self) -> Result<Array, String> {
        let last = self.log.last().map_err(word)?;
        Ok(last.map_or_else(Array::new, |(sequence, segment)| {
            Array::of2(&sequence.into(), &bytes(&segment))
        }))
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// Of the file.
    pub fn clear(&mut self) -> Result<(), String> {
        self.table = None;
        self.log.clear().map_err(word)
    }

    /// A part of it in so many columns: places, breaks, alarms, places of marks, what they are, axis, whether every record
    /// was looked at; then least and most of each series.
    ///
    /// # Errors
    /// Of the file.
    pub fn picture(&self, from: f64, to: f64, width: u32) -> Result<Array, String> {
        let picture = self.log.picture(from, to, width).map_err(word)?;
        let (places, whats): (Vec<f64>, Vec<u8>) = picture
            .marks
            .iter()
            .map(|mark| (mark.place, mark.what))
            .unzip();
        let answer = Array::new();
        answer.push(&numbers(&picture.places));
        answer.push(&bytes(&picture.breaks));
        answer.push(&bytes(&picture.alarms));
        answer.push(&numbers(&places));
        answer.push(&bytes(&whats));
        answer.push(&numbers(picture.axis.as_flattened()));
        answer.push(&picture.exact.into());
        for (least, most) in picture.least.iter().zip(&picture.most) {
            answer.push(&Float32Array::from(least.as_slice()));
            answer.push(&Float32Array::from(most.as_slice()));
        }
        Ok(answer)
    }

    /// The record that is nearest to a place: place, number, UTC or NaN, session, clock, alarms, what happened before it;
    /// then pairs of a series and its value. Empty when there is none.
    ///
    /// # Errors
    /// Of the file.
    pub fn record_at(&self, place: f64) -> Result<Array, String> {
        let answer = Array::new();
        if let Some(record) = self.log.record_at(place).map_err(word)? {
            answer.push(&record.place.into());
            answer.push(&record.number.into());
            answer.push(&record.utc.map_or(f64::NAN, |utc| utc as f64).into());
            answer.push(&record.session.into());
            answer.push(&(record.clock as f64).into());
            answer.push(&record.alarms.into());
            answer.push(&record.before.into());
            for (series, value) in record.values {
                answer.push(&(series as u32).into());
                answer.push(&value.into());
            }
        }
        Ok(answer)
    }

    /// What a part of it amounts to: records; then how many values each series has, their least, most and mean, which mean
    /// nothing without values.
    ///
    /// # Errors
    /// Of the file.
    pub fn sums(&self, from: f64, to: f64) -> Result<Vec<f64>, String> {
        let sums = self.log.sums(from, to).map_err(word)?;
        let mut answer = vec![sums.records as f64];
        for (count, least, most, sum) in sums.series {
            answer.extend([count as f64, least, most, sum / count as f64]);
        }
        Ok(answer)
    }

    /// Begins a table of a part of it.
    ///
    /// # Errors
    /// Of the file.
    pub fn table(&mut self, from: f64, to: f64) -> Result<(), String> {
        self.table = Some(self.log.table(from, to).map_err(word)?);
        Ok(())
    }

    /// The next piece of the table; none when it is complete.
    ///
    /// # Errors
    /// Of the file.
    pub fn table_step(&mut self) -> Result<Option<String>, String> {
        match &mut self.table {
            Some(table) => self.log.table_step(table).map_err(word),
            None => Ok(None),
        }
    }

    /// How much of the table is done, from 0 to 1.
    pub fn table_done(&self) -> f64 {
        self.table.as_ref().map_or(0.0, Table::done)
    }

    /// Records in the table so far.
    pub fn table_records(&self) -> f64 {
        self.table
            .as_ref()
            .map_or(0.0, |table| table.records() as f64)
    }
}
