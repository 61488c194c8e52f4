//! The logger's settings: one table that describes them, and their values in EEPROM.
//!
//! A new setting is one entry in [`TABLE`] and one function that reads it. Values of settings that this firmware does
//! not know are kept, for the one that does.

use protocol::message::{Refusal, StorageError};
use protocol::settings::{Descriptor, Kind, Setting, SettingId, Settings, Value};
use update::engine::FREE_EEPROM;
use update::memory::{Eeprom, WriteFailed};
use update::twin::Twin;

const NAME: SettingId = SettingId(1);
const INTERVAL: SettingId = SettingId(2);
const TEMPERATURE_OFFSET: SettingId = SettingId(3);
#[cfg(feature = "v1_1")]
const AVERAGING: SettingId = SettingId(4);

/// All settings, in the order in which they are shown.
pub static TABLE: &[Descriptor<'static>] = &[
    Descriptor {
        id: NAME,
        group: "Logger",
        name: "Name",
        help: "What this logger is called on the page.",
        kind: Kind::Text {
            max_length: 24,
            default: "Logger",
        },
    },
    Descriptor {
        id: INTERVAL,
        group: "Recording",
        name: "Interval",
        help: "Time between two records.",
        kind: Kind::Number {
            min: 1,
            max: 864_000,
            default: 10,
            decimals: 1,
            unit: "s",
        },
    },
    Descriptor {
        id: TEMPERATURE_OFFSET,
        group: "Recording",
        name: "Temperature offset",
        help: "Added to each measured temperature.",
        kind: Kind::Number {
            min: -2_000,
            max: 2_000,
            default: 0,
            decimals: 2,
            unit: "°C",
        },
    },
    #[cfg(feature = "v1_1")]
    Descriptor {
        id: AVERAGING,
        group: "Recording",
        name: "Averaging",
        help: "How many conversions make one record: more are quieter, and take more power.",
        kind: Kind::Choice {
            options: "1\n4\n16",
            default: 0,
        },
    },
];

/// Where the values are kept.
const PLACE: Twin = Twin {
    offset: FREE_EEPROM,
    copy_size: 384,
};

/// The values that were set, as they are kept: postcard of [`Settings`].
pub struct SettingsStore {
    bytes: [u8; PLACE.capacity()],
    length: usize,
}

impl SettingsStore {
    /// No values yet: defaults all over.
    pub const fn new() -> SettingsStore {
        SettingsStore {
            bytes: [0; PLACE.capacity()],
            length: 0,
        }
    }

    /// Takes over the kept values; defaults stay when there are none or they cannot be read.
    pub fn load(&mut self, eeprom: &impl Eeprom) {
        self.length = PLACE
            .load(eeprom, &mut self.bytes)
            .filter(|bytes| postcard::from_bytes::<Settings>(bytes).is_ok())
            .map_or(0, |bytes| bytes.len());
    }

    /// Values that were set once, those of other firmware included.
    fn kept(&self) -> Settings<'_> {
        postcard::from_bytes(&self.bytes[..self.length]).unwrap_or_default()
    }

    fn value_of(&self, descriptor: &Descriptor<'static>) -> Value<'_> {
        self.kept()
            .iter()
            .find(|setting| setting.id == descriptor.id)
            .map(|setting| setting.value)
            // What another firmware allowed may not be allowed here.
            .filter(|value| descriptor.kind.check(value).is_ok())
            .unwrap_or(descriptor.kind.default_value())
    }

    /// The value of each setting in [`TABLE`].
    pub fn values(&self) -> Settings<'_> {
        TABLE
            .iter()
            .map(|descriptor| Setting {
                id: descriptor.id,
                value: self.value_of(descriptor),
            })
            .collect()
    }

    /// Changes values: all, or none when one is refused or EEPROM does not take them.
    #[inline(never)]
    pub fn change(
        &mut self,
        eeprom: &mut impl Eeprom,
        changes: &Settings<'_>,
    ) -> Result<(), Refusal> {
        let mut bytes = [0; PLACE.capacity()];
        let length = {
            let mut values = self.kept();
            for change in changes {
                check(change)?;
                let kept = values.iter_mut().find(|kept| kept.id == change.id);
                match kept {
                    Some(kept) => kept.value = change.value,
                    None => values
                        .push(*change)
                        .map_err(|_| Refusal::Storage(StorageError::WriteFailed))?,
                }
            }
            postcard::to_slice(&values, &mut bytes)
                .map_err(|_| Refusal::Storage(StorageError::WriteFailed))?
                .len()
        };
        PLACE
            .save(eeprom, &bytes[..length])
            .map_err(|WriteFailed| Refusal::Storage(StorageError::WriteFailed))?;
        self.bytes = bytes;
        self.length = length;
        Ok(())
    }

    fn number(&self, id: SettingId) -> i32 {
        let descriptor = TABLE.iter().find(|descriptor| descriptor.id == id);
        match descriptor.map(|descriptor| self.value_of(descriptor)) {
            Some(Value::Number(number)) => number,
            _ => 0,
        }
    }

    /// Time between two records, in milliseconds.
    pub fn interval(&self) -> u64 {
        self.number(INTERVAL).max(1) as u64 * 100
    }

    /// Added to each temperature, in hundredths of a degree Celsius.
    pub fn temperature_offset(&self) -> i16 {
        self.number(TEMPERATURE_OFFSET) as i16
    }

    /// Conversions that make one record.
    #[cfg(feature = "v1_1")]
    pub fn averaged_conversions(&self) -> u32 {
        let descriptor = TABLE.iter().find(|descriptor| descriptor.id == AVERAGING);
        match descriptor.map(|descriptor| self.value_of(descriptor)) {
            Some(Value::Choice(index)) => 1 << (2 * index),
            _ => 1,
        }
    }

    /// Conversions that make one record.
    #[cfg(not(feature = "v1_1"))]
    pub fn averaged_conversions(&self) -> u32 {
        1
    }
}

fn check(change: &Setting) -> Result<(), Refusal> {
    let refused = |problem| Refusal::Setting {
        id: change.id,
        problem,
    };
    TABLE
        .iter()
        .find(|descriptor| descriptor.id == change.id)
        .ok_or(refused(protocol::settings::Problem::Unknown))?
        .kind
        .check(&change.value)
        .map_err(refused)
}
