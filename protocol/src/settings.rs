//! Settings: the device describes each one, and holds a value for it.
//!
//! The page draws its form from the descriptions, so old and new firmware work with the same page.

use serde::{Deserialize, Serialize};

/// The longest text value, in bytes.
pub const MAX_TEXT: usize = 32;
/// The longest value and its setting's number, in bytes: a text with its number, kind and length.
pub const MAX_SETTING: usize = 3 + 1 + 1 + MAX_TEXT;

/// A setting's number: never used again for another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SettingId(pub u16);

/// One setting, as the device describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor<'a> {
    /// Its number.
    pub id: SettingId,
    /// Heading it stands under.
    pub group: &'a str,
    /// Its name, for people.
    pub name: &'a str,
    /// One sentence on what it does.
    pub help: &'a str,
    /// What values it takes.
    #[serde(borrow)]
    pub kind: Kind<'a>,
}

/// What values a setting takes, and its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind<'a> {
    /// On or off.
    Toggle {
        /// Value when nothing else was set.
        default: bool,
    },
    /// A whole number of `10^-decimals` units.
    Number {
        /// Lowest value.
        min: i32,
        /// Highest value.
        max: i32,
        /// Value when nothing else was set.
        default: i32,
        /// Digits behind the decimal point: 1 means that a value of 15 is shown as 1.5.
        decimals: u8,
        /// Unit, such as `s`; empty for none.
        unit: &'a str,
    },
    /// One of several.
    Choice {
        /// Their names, one a line.
        options: &'a str,
        /// Index of the default.
        default: u8,
    },
    /// A short text.
    Text {
        /// Most bytes of UTF-8, at most [`MAX_TEXT`].
        max_length: u8,
        /// Value when nothing else was set.
        default: &'a str,
    },
    /// A moment. None when nothing else was set.
    Time,
}

/// A setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value<'a> {
    /// For [`Kind::Toggle`].
    Toggle(bool),
    /// For [`Kind::Number`], in its smallest steps.
    Number(i32),
    /// For [`Kind::Choice`]: the index.
    Choice(u8),
    /// For [`Kind::Text`].
    Text(&'a str),
    /// For [`Kind::Time`]: UTC in seconds since 1970; 0 for none.
    Time(u32),
}

/// A value and the setting it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting<'a> {
    /// Which one.
    pub id: SettingId,
    /// Its value.
    #[serde(borrow)]
    pub value: Value<'a>,
}

/// Several values: one [`Setting`] in postcard after the other. They are read one by one, so a device needs no room for
/// all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings<'a>(#[serde(borrow)] &'a [u8]);

/// Bytes that are no settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSettings;

impl<'a> Settings<'a> {
    /// Looks through all of them, so that [`Settings::iter`] gives each one.
    pub fn check(bytes: &'a [u8]) -> Result<Self, NotSettings> {
        let settings = Settings(bytes);
        settings.are_whole().then_some(settings).ok_or(NotSettings)
    }

    /// Whether the bytes are settings to their end. Those of a message may not be.
    pub fn are_whole(&self) -> bool {
        let mut iter = self.iter();
        iter.by_ref().for_each(drop);
        iter.0.is_empty()
    }

    /// As they came.
    pub fn bytes(&self) -> &'a [u8] {
        self.0
    }

    /// One after the other, up to the first that cannot be read.
    pub fn iter(&self) -> Iter<'a> {
        Iter(self.0)
    }
}

/// The settings of [`Settings::iter`].
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = Setting<'a>;

    fn next(&mut self) -> Option<Setting<'a>> {
        let (setting, rest) = Setting::take(self.0)?;
        self.0 = rest;
        Some(setting)
    }
}

/// A number in postcard's way: seven bits a byte, the lowest first, and the highest bit says that more follow.
#[inline(never)]
fn take_number(bytes: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for shift in (0..u32::BITS).step_by(7) {
        let byte = bytes.split_off_first()?;
        number |= u32::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

impl<'a> Setting<'a> {
    /// The most bytes that a setting with a text of [`MAX_TEXT`] takes, however its three numbers are written.
    pub const LONGEST: usize = 3 * 5 + MAX_TEXT;

    /// The first of several settings, and the bytes behind it. It takes what postcard takes, and in the device a third of
    /// the code.
    #[inline(never)]
    pub fn take(mut bytes: &'a [u8]) -> Option<(Setting<'a>, &'a [u8])> {
        let id = SettingId(u16::try_from(take_number(&mut bytes)?).ok()?);
        let kind = take_number(&mut bytes)?;
        let number = match kind {
            0 | 2 => u32::from(*bytes.split_off_first()?),
            _ => take_number(&mut bytes)?,
        };
        let value = match kind {
            0 if number <= 1 => Value::Toggle(number == 1),
            // Zigzag: the lowest bit is the sign.
            1 => Value::Number((number >> 1) as i32 ^ -((number & 1) as i32)),
            2 => Value::Choice(number as u8),
            3 => Value::Text(str::from_utf8(bytes.split_off(..number as usize)?).ok()?),
            4 => Value::Time(number),
            _ => return None,
        };
        Some((Setting { id, value }, bytes))
    }

    /// As bytes, at the beginning of `out`: as [`Settings`] are made of.
    pub fn write<'o>(&self, out: &'o mut [u8; MAX_SETTING]) -> Option<&'o [u8]> {
        postcard::to_slice(self, out).ok().map(|bytes| &*bytes)
    }
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Problem {
    /// The device has no such setting.
    Unknown,
    /// A number where it takes a text, for instance.
    WrongKind,
    /// Below the lowest value.
    TooLow,
    /// Above the highest value, or no such choice.
    TooHigh,
    /// More bytes than it takes.
    TooLong,
    /// A text with control characters.
    NotPrintable,
    /// With the others it takes more room than the memory for settings has.
    NoRoom,
}

impl<'a> Kind<'a> {
    /// The value that holds when nothing else was set.
    pub fn default_value(&self) -> Value<'a> {
        match *self {
            Kind::Toggle { default } => Value::Toggle(default),
            Kind::Number { default, .. } => Value::Number(default),
            Kind::Choice { default, .. } => Value::Choice(default),
            Kind::Text { default, .. } => Value::Text(default),
            Kind::Time => Value::Time(0),
        }
    }

    /// Whether `value` is one that this setting takes. Device and page ask the same function.
    pub fn check(&self, value: &Value) -> Result<(), Problem> {
        let (number, min, max) = match (*self, *value) {
            (Kind::Toggle { .. }, Value::Toggle(_)) | (Kind::Time, Value::Time(_)) => {
                return Ok(());
            }
            (Kind::Number { min, max, .. }, Value::Number(number)) => (number, min, max),
            (Kind::Choice { options, .. }, Value::Choice(index)) => {
                let ends = options.bytes().filter(|byte| *byte == b'\n').count();
                (index.into(), 0, ends as i32)
            }
            (Kind::Text { max_length, .. }, Value::Text(text)) => {
                return if text.len() > usize::from(max_length).min(MAX_TEXT) {
                    Err(Problem::TooLong)
                } else if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
                    Err(Problem::NotPrintable)
                } else {
                    Ok(())
                };
            }
            _ => return Err(Problem::WrongKind),
        };
        if number < min {
            Err(Problem::TooLow)
        } else if number > max {
            Err(Problem::TooHigh)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_settings_are_read_one_by_one() {
        let settings = [
            Setting {
                id: SettingId(2),
                value: Value::Number(-600),
            },
            Setting {
                id: SettingId(0x1FF),
                value: Value::Text("Gare"),
            },
        ];
        let mut bytes = [0; 2 * MAX_SETTING];
        let mut length = 0;
        for setting in settings {
            let mut one = [0; MAX_SETTING];
            let one = setting.write(&mut one).unwrap();
            bytes[length..][..one.len()].copy_from_slice(one);
            length += one.len();
        }
        assert!(
            Settings::check(&bytes[..length])
                .unwrap()
                .iter()
                .eq(settings)
        );
        assert_eq!(Settings::check(&bytes[..length - 1]), Err(NotSettings));
        assert_eq!(Settings::check(&[]).unwrap().iter().count(), 0);
    }

    #[test]
    fn values_are_read_as_postcard_reads_them() {
        let values = [
            Value::Toggle(false),
            Value::Toggle(true),
            Value::Number(0),
            Value::Number(-1),
            Value::Number(i32::MIN),
            Value::Number(i32::MAX),
            Value::Choice(0),
            Value::Choice(u8::MAX),
            Value::Text(""),
            Value::Text("°C"),
            Value::Time(u32::MAX),
        ];
        for value in values {
            for id in [0, 127, 128, u16::MAX] {
                let setting = Setting {
                    id: SettingId(id),
                    value,
                };
                let mut bytes = [7; MAX_SETTING];
                let length = setting.write(&mut bytes).unwrap().len();
                assert_eq!(postcard::from_bytes(&bytes[..length]), Ok(setting));
                let (read, rest) = Setting::take(&bytes).unwrap();
                assert_eq!((read, rest.len()), (setting, MAX_SETTING - length));
                for short in 0..length {
                    assert_eq!(Setting::take(&bytes[..short]), None);
                }
            }
        }
        // No toggle, no kind, no text.
        for bytes in [
            &[1, 0, 2][..],
            &[1, 5, 0],
            &[1, 3, 1, 0xFF],
            &[1, 3, 9, b'a'],
        ] {
            assert_eq!(Setting::take(bytes), None);
            assert!(postcard::from_bytes::<Setting>(bytes).is_err());
        }
    }

    #[test]
    fn the_longest_setting_has_room() {
        let setting = Setting {
            id: SettingId(u16::MAX),
            value: Value::Text("0123456789abcdef0123456789abcdef"),
        };
        assert_eq!(
            setting.write(&mut [0; MAX_SETTING]).map(<[u8]>::len),
            Some(MAX_SETTING)
        );
    }

    #[test]
    fn a_value_is_taken_only_in_its_kind_and_range() {
        let interval = Kind::Number {
            min: 1,
            max: 600,
            default: 10,
            decimals: 1,
            unit: "s",
        };
        assert_eq!(interval.check(&Value::Number(1)), Ok(()));
        assert_eq!(interval.check(&Value::Number(600)), Ok(()));
        assert_eq!(interval.check(&Value::Number(0)), Err(Problem::TooLow));
        assert_eq!(interval.check(&Value::Number(601)), Err(Problem::TooHigh));
        assert_eq!(
            interval.check(&Value::Toggle(true)),
            Err(Problem::WrongKind)
        );

        let mode = Kind::Choice {
            options: "fast\nslow",
            default: 0,
        };
        assert_eq!(mode.check(&Value::Choice(1)), Ok(()));
        assert_eq!(mode.check(&Value::Choice(2)), Err(Problem::TooHigh));

        let name = Kind::Text {
            max_length: 8,
            default: "Logger",
        };
        assert_eq!(name.check(&Value::Text("Gare été")), Err(Problem::TooLong));
        assert_eq!(name.check(&Value::Text("a\nb")), Err(Problem::NotPrintable));
        assert_eq!(name.check(&Value::Text("Été 3")), Ok(()));
    }
}
