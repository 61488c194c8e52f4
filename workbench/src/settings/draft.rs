//! What a person made of a setting before writing it: what stands in its field, valid or not.

use alloc::string::{String, ToString};
use host::settings::{Kind, Setting, Value, number_text, read_number, read_time, time_text};
use protocol::settings::Problem;
use ui::words::with_mark;

/// What stands in a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Draft {
    /// Ticked or not.
    Toggle(bool),
    /// Index of the choice.
    Choice(u8),
    /// What was typed, for a text or a number.
    Text(String),
}

/// Why a draft is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is no number, or one with too many decimals.
    NoNumber,
    /// It is no moment in UTC.
    NoTime,
    /// The setting does not take it.
    Problem(Problem),
}

impl Draft {
    /// What stands in the field of a setting with this value.
    pub(super) fn of(kind: &Kind, value: &Value) -> Draft {
        match (value, kind) {
            (Value::Toggle(on), _) => Draft::Toggle(*on),
            (Value::Choice(index), _) => Draft::Choice(*index),
            (Value::Number(number), Kind::Number { decimals, .. }) => {
                Draft::Text(with_mark(number_text(*number, *decimals)))
            }
            (Value::Number(number), _) => Draft::Text(number.to_string()),
            (Value::Text(text), _) => Draft::Text(text.clone()),
            (Value::Time(seconds), _) => Draft::Text(time_text(*seconds)),
        }
    }

    /// The value that it stands for.
    pub(super) fn value(&self, setting: &Setting) -> Result<Value, Fault> {
        let value = match (&setting.kind, self) {
            (_, Draft::Toggle(on)) => Value::Toggle(*on),
            (_, Draft::Choice(index)) => Value::Choice(*index),
            (Kind::Number { decimals, .. }, Draft::Text(text)) => {
                Value::Number(read_number(text, *decimals).ok_or(Fault::NoNumber)?)
            }
            (Kind::Time, Draft::Text(text)) => Value::Time(read_time(text).ok_or(Fault::NoTime)?),
            (_, Draft::Text(text)) => Value::Text(text.clone()),
        };
        setting.kind.check(&value).map_err(Fault::Problem)?;
        Ok(value)
    }
}
