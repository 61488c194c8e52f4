//! A logger's settings: as it describes them, with their values, in types that the caller may keep.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use protocol::message::{LoggerRequest, LoggerResponse, Refusal};
use protocol::settings::{self as wire, Problem, SettingId};

use crate::conversation::{Conversation, TalkError};
use crate::link::Link;

/// One setting with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its number.
    pub id: SettingId,
    /// Heading it stands under.
    pub group: String,
    /// Its name.
    pub name: String,
    /// One sentence on what it does.
    pub help: String,
    /// What values it takes.
    pub kind: Kind,
    /// Its value on the logger.
    pub value: Value,
}

/// What values a setting takes; as [`wire::Kind`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
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
        /// Digits behind the decimal point.
        decimals: u8,
        /// Unit; empty for none.
        unit: String,
    },
    /// One of several.
    Choice {
        /// Their names.
        options: Vec<String>,
        /// Index of the default.
        default: u8,
    },
    /// A short text.
    Text {
        /// Most bytes of UTF-8.
        max_length: u8,
        /// Value when nothing else was set.
        default: String,
    },
}

/// A setting's value; as [`wire::Value`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// On or off.
    Toggle(bool),
    /// In the smallest steps.
    Number(i32),
    /// Index of the choice.
    Choice(u8),
    /// Text.
    Text(String),
}

impl Value {
    fn from_wire(value: &wire::Value) -> Value {
        match *value {
            wire::Value::Toggle(on) => Value::Toggle(on),
            wire::Value::Number(number) => Value::Number(number),
            wire::Value::Choice(index) => Value::Choice(index),
            wire::Value::Text(text) => Value::Text(text.into()),
        }
    }

    fn to_wire(&self) -> wire::Value<'_> {
        match self {
            Value::Toggle(on) => wire::Value::Toggle(*on),
            Value::Number(number) => wire::Value::Number(*number),
            Value::Choice(index) => wire::Value::Choice(*index),
            Value::Text(text) => wire::Value::Text(text),
        }
    }
}

impl Kind {
    /// The value that holds when nothing else was set.
    pub fn default_value(&self) -> Value {
        match self {
            Kind::Toggle { default } => Value::Toggle(*default),
            Kind::Number { default, .. } => Value::Number(*default),
            Kind::Choice { default, .. } => Value::Choice(*default),
            Kind::Text { default, .. } => Value::Text(default.clone()),
        }
    }

    /// Whether the logger will take this value: the same check as its own.
    pub fn check(&self, value: &Value) -> Result<(), Problem> {
        let joined;
        let kind = match self {
            Kind::Toggle { default } => wire::Kind::Toggle { default: *default },
            Kind::Number {
                min,
                max,
                default,
                decimals,
                unit,
            } => wire::Kind::Number {
                min: *min,
                max: *max,
                default: *default,
                decimals: *decimals,
                unit,
            },
            Kind::Choice { options, default } => {
                joined = options.join("\n");
                wire::Kind::Choice {
                    options: &joined,
                    default: *default,
                }
            }
            Kind::Text {
                max_length,
                default,
            } => wire::Kind::Text {
                max_length: *max_length,
                default,
            },
        };
        kind.check(&value.to_wire())
    }

    fn from_wire(kind: &wire::Kind) -> Kind {
        match *kind {
            wire::Kind::Toggle { default } => Kind::Toggle { default },
            wire::Kind::Number {
                min,
                max,
                default,
                decimals,
                unit,
            } => Kind::Number {
                min,
                max,
                default,
                decimals,
                unit: unit.into(),
            },
            wire::Kind::Choice { options, default } => Kind::Choice {
                options: options.lines().map(Into::into).collect(),
                default,
            },
            wire::Kind::Text {
                max_length,
                default,
            } => Kind::Text {
                max_length,
                default: default.into(),
            },
        }
    }
}

/// Every setting of the logger, in its order, with the values it has now.
pub async fn read<L: Link>(conversation: &mut Conversation<L>) -> Result<Vec<Setting>, TalkError> {
    let mut settings = Vec::new();
    for index in 0..=u8::MAX {
        let described = conversation
            .ask_logger(
                LoggerRequest::DescribeSetting { index },
                |response| match response {
                    LoggerResponse::Setting(descriptor) => Some(Setting {
                        id: descriptor.id,
                        group: descriptor.group.into(),
                        name: descriptor.name.into(),
                        help: descriptor.help.into(),
                        kind: Kind::from_wire(&descriptor.kind),
                        value: Value::from_wire(&descriptor.kind.default_value()),
                    }),
                    _ => None,
                },
            )
            .await;
        match described {
            Ok(setting) => settings.push(setting),
            Err(TalkError::Refused(Refusal::NoSuchSetting)) => break,
            Err(error) => return Err(error),
        }
    }
    let values = conversation
        .ask_logger(LoggerRequest::ReadSettings, |response| match response {
            LoggerResponse::Settings(values) => Some(
                values
                    .iter()
                    .map(|setting| (setting.id, Value::from_wire(&setting.value)))
                    .collect::<Vec<_>>(),
            ),
            _ => None,
        })
        .await?;
    for (id, value) in values {
        if let Some(setting) = settings.iter_mut().find(|setting| setting.id == id) {
            setting.value = value;
        }
    }
    Ok(settings)
}

/// Changes values: all of them, or none when the logger refuses one ([`Refusal::Setting`] names it).
pub async fn write<L: Link>(
    conversation: &mut Conversation<L>,
    changes: &[(SettingId, Value)],
) -> Result<(), TalkError> {
    let mut values = wire::Settings::new();
    for (id, value) in changes {
        let setting = wire::Setting {
            id: *id,
            value: value.to_wire(),
        };
        if values.push(setting).is_err() {
            return Err(TalkError::Unexpected);
        }
    }
    conversation
        .tell_logger(LoggerRequest::WriteSettings { values })
        .await
}

/// What is wrong with a value, in words that follow the setting's name.
pub fn explain(problem: Problem) -> &'static str {
    match problem {
        Problem::Unknown => "is not a setting of this logger",
        Problem::WrongKind => "is not of the right kind",
        Problem::TooLow => "is below the lowest value",
        Problem::TooHigh => "is above the highest value",
        Problem::TooLong => "is too long",
        Problem::NotPrintable => "has characters that cannot be shown",
    }
}

/// A number setting's value as people write it: 15 with one decimal is `1.5`.
pub fn number_text(value: i32, decimals: u8) -> String {
    let decimals = usize::from(decimals);
    let sign = if value < 0 { "-" } else { "" };
    let digits = format!("{:0width$}", value.unsigned_abs(), width = decimals + 1);
    let (whole, fraction) = digits.split_at(digits.len() - decimals);
    if fraction.is_empty() {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// What a person typed as a number, in the setting's smallest steps; a comma counts as a point. None when it is no
/// number, or has more decimals than the setting.
pub fn read_number(text: &str, decimals: u8) -> Option<i32> {
    let text = text.trim().replace(',', ".");
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.as_str()),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let fraction = fraction.trim_end_matches('0');
    let all_digits = [whole, fraction]
        .iter()
        .all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    if !all_digits || whole.is_empty() || fraction.len() > usize::from(decimals) {
        return None;
    }
    format!(
        "{sign}{whole}{fraction:0<width$}",
        width = usize::from(decimals)
    )
    .parse()
    .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_and_read_with_their_decimals() {
        for (value, decimals, text) in [
            (15, 1, "1.5"),
            (5, 2, "0.05"),
            (-5, 1, "-0.5"),
            (600, 0, "600"),
            (1000, 3, "1.000"),
            (i32::MIN, 0, "-2147483648"),
        ] {
            assert_eq!(number_text(value, decimals), text);
            assert_eq!(read_number(text, decimals), Some(value), "{text}");
        }
    }

    #[test]
    fn people_may_write_numbers_in_their_way() {
        assert_eq!(read_number(" 1,5 ", 1), Some(15));
        assert_eq!(read_number("2", 1), Some(20));
        assert_eq!(read_number("2.", 1), Some(20));
        assert_eq!(read_number("2.50", 1), Some(25));
    }

    #[test]
    fn what_is_no_number_of_this_setting_is_not_taken() {
        for text in [
            "",
            "-",
            ".",
            ".5",
            "x",
            "1e3",
            "+1",
            "1.2.3",
            "--1",
            "1.55",
            "99999999999",
        ] {
            assert_eq!(read_number(text, 1), None, "{text}");
        }
    }
}
