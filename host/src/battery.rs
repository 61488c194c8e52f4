//! How long a battery lasts with these settings: an estimate, while they are being edited.
//!
//! It is a sum of what a logger takes to do nothing, to wake up and measure, and to write what it gathered. The parts
//! were measured on the emulated logger, whose own estimate comes from the datasheets' typical currents
//! (`emulator/src/current.rs`); a test compares the two. It says nothing of a plugged cable, of a battery's own loss, or
//! of cold.

use core::time::Duration;

use protocol::record::{CHANNELS, Channel, ChannelSet, MAX_RECORDS, SEGMENT_DATA};
use protocol::settings::SettingId;

use crate::settings::{Value, of_channel};

/// Amperes of a logger that waits: chip in STOP with its clock going, NAND in standby.
const WAITING: f64 = 11.2e-6;
/// The longest that it waits without feeding its watchdog.
const LONGEST_STOP: Duration = Duration::from_secs(4);
/// Coulombs to wake up and feed it.
const WAKE: f64 = 0.2e-6;
/// Coulombs to wake up and take a record with nothing in it.
const RECORD: f64 = 0.87e-6;
/// Coulombs to switch the converter on and calibrate it; counting pulses does not need it.
const CONVERTER: f64 = 0.58e-6;
/// Coulombs of one conversion.
const CONVERSION: f64 = 0.04e-6;
/// Coulombs to keep a byte of a record and to write it in the end.
const BYTE: f64 = 0.0196e-6;
/// Coulombs to write a segment, whatever is in it.
const SEGMENT: f64 = 10.2e-6;

/// What decides on a logger's current.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// Whether it records.
    pub records: bool,
    /// Time between two records.
    pub interval: Duration,
    /// What each of them holds.
    pub channels: ChannelSet,
    /// Conversions that make one value.
    pub conversions: u32,
    /// Records after which a segment is written.
    pub save_records: u32,
    /// Time after which one is written.
    pub save_after: Duration,
}

impl Work {
    /// What these values of a logger's settings come to; those that are missing count as their defaults.
    pub fn of<'a>(values: impl IntoIterator<Item = (SettingId, &'a Value)>) -> Work {
        let mut work = Work {
            records: true,
            interval: Duration::from_secs(1),
            channels: ChannelSet((1 << CHANNELS) - 1),
            conversions: 1,
            save_records: MAX_RECORDS as u32,
            save_after: Duration::from_secs(60),
        };
        for (SettingId(id), value) in values {
            match (id, value) {
                (2, Value::Number(tenths)) => {
                    work.interval = Duration::from_millis(u64::from(tenths.unsigned_abs()) * 100);
                }
                (4, Value::Choice(index)) => work.conversions = 1 << (2 * u32::from(*index)).min(8),
                (5, Value::Toggle(on)) => work.records = *on,
                (12, Value::Number(records)) => work.save_records = records.unsigned_abs(),
                (13, Value::Number(seconds)) => {
                    work.save_after = Duration::from_secs(seconds.unsigned_abs().into());
                }
                (_, Value::Toggle(false)) => {
                    let channel = Channel::ALL
                        .into_iter()
                        .find(|channel| SettingId(id) == of_channel(*channel, 0));
                    if let Some(channel) = channel {
                        work.channels.0 &= !(1 << channel as u8);
                    }
                }
                _ => {}
            }
        }
        work
    }

    /// What it takes on average, in amperes.
    pub fn current(&self) -> f64 {
        if !self.records {
            return WAITING + WAKE / LONGEST_STOP.as_secs_f64();
        }
        let interval_millis = self.interval.as_millis().max(100);
        let interval = interval_millis as f64 / 1000.0;
        let measured = self
            .channels
            .iter()
            .filter(|channel| *channel != Channel::Events)
            .count();
        let mut record = RECORD + BYTE * self.channels.record_length() as f64;
        if measured > 0 {
            record += CONVERTER + CONVERSION * measured as f64 * f64::from(self.conversions);
        }
        let room = SEGMENT_DATA / self.channels.record_length().max(1);
        // One that comes just when it is time to write comes along.
        let in_time = self.save_after.as_millis() / interval_millis + 1;
        let records = (room.min(MAX_RECORDS) as f64)
            .min(f64::from(self.save_records.max(1)))
            .min(in_time as f64);
        // It wakes up for records, and in between for its watchdog.
        let feeds = interval_millis.div_ceil(LONGEST_STOP.as_millis()) - 1;
        WAITING + (record + SEGMENT / records + WAKE * feeds as f64) / interval
    }

    /// How long a battery of this many milliampere-hours lasts.
    pub fn lasts(&self, milliampere_hours: f64) -> Duration {
        let coulombs = milliampere_hours.max(0.0) * 3.6;
        // A century is longer than any battery.
        Duration::from_secs_f64((coulombs / self.current()).min(100.0 * 365.25 * 86_400.0))
    }
}
