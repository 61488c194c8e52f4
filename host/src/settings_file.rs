//! Settings as a JSON file: to keep them, and to bring other loggers to the same.
//!
//! Values stand as people know them: numbers in their unit, choices by name, times in ISO 8601. A file is taken whole or
//! not at all, and what this logger does not have is named, not passed over in silence.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use protocol::settings::{Problem, SettingId};
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::settings::{
    Kind, Setting, Value, explain, number_text, read_number, read_time, time_text,
};

/// Says in the file what it is.
const FORMAT: &str = "Logdock settings 1";

#[derive(Serialize, Deserialize)]
struct File {
    format: String,
    #[serde(default)]
    model: String,
    settings: Vec<Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    id: u16,
    #[serde(default)]
    group: String,
    #[serde(default)]
    name: String,
    value: Json,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    unit: String,
}

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileError {
    /// It is not one of these files; what the reader of JSON says, if that was it.
    NotSettings(String),
    /// A value that the logger would refuse.
    Setting {
        /// The setting's name and group on the logger.
        name: String,
        /// What is wrong.
        problem: Problem,
    },
    /// One setting stands in it twice.
    Twice(String),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::NotSettings(why) if why.is_empty() => {
                f.write_str("The file does not hold settings of a Logdock logger.")
            }
            FileError::NotSettings(why) => {
                write!(
                    f,
                    "The file does not hold settings of a Logdock logger: {why}."
                )
            }
            FileError::Setting { name, problem } => write!(
                f,
                "The value of “{name}” in the file {}. Nothing was changed.",
                explain(*problem)
            ),
            FileError::Twice(name) => {
                write!(f, "“{name}” stands in the file twice. Nothing was changed.")
            }
        }
    }
}

impl core::error::Error for FileError {}

/// What a file would do to a logger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// Values that differ from the logger's.
    pub changes: Vec<(SettingId, Value)>,
    /// Settings in the file that this logger does not have, by name.
    pub unknown: Vec<String>,
}

/// All of a logger's settings as the text of a file.
pub fn export(model: &str, settings: &[Setting]) -> String {
    let file = File {
        format: FORMAT.into(),
        model: model.into(),
        settings: settings.iter().map(entry).collect(),
    };
    // Strings and numbers alone can always be written.
    serde_json::to_string_pretty(&file).unwrap_or_default() + "\n"
}

fn entry(setting: &Setting) -> Entry {
    let (value, unit) = match (&setting.value, &setting.kind) {
        (Value::Toggle(on), _) => (Json::from(*on), String::new()),
        (Value::Number(number), Kind::Number { decimals, unit, .. }) => {
            let text = number_text(*number, *decimals);
            (text.parse().map_or(Json::Null, Json::Number), unit.clone())
        }
        (Value::Number(number), _) => (Json::from(*number), String::new()),
        (Value::Choice(index), Kind::Choice { options, .. }) => {
            let name = options.get(usize::from(*index)).cloned();
            (name.map_or(Json::from(*index), Json::from), String::new())
        }
        (Value::Choice(index), _) => (Json::from(*index), String::new()),
        (Value::Text(text), _) => (Json::from(text.as_str()), String::new()),
        (Value::Time(None), _) => (Json::Null, String::new()),
        (Value::Time(time), _) => (Json::from(time_text(*time)), String::new()),
    };
    Entry {
        id: setting.id.0,
        group: setting.group.clone(),
        name: setting.name.clone(),
        value,
        unit,
    }
}

/// What the text of a file would change on a logger with these settings.
///
/// # Errors
/// When it is no such file, or holds a value that the logger would refuse.
pub fn import(text: &str, settings: &[Setting]) -> Result<Import, FileError> {
    let file: File =
        serde_json::from_str(text).map_err(|error| FileError::NotSettings(error.to_string()))?;
    if file.format != FORMAT {
        return Err(FileError::NotSettings(String::new()));
    }
    let mut import = Import::default();
    for (index, entry) in file.settings.iter().enumerate() {
        let Some(setting) = settings.iter().find(|setting| setting.id.0 == entry.id) else {
            import.unknown.push(match entry.name.as_str() {
                "" => format!("setting {}", entry.id),
                name => name.into(),
            });
            continue;
        };
        let before = file.settings.get(..index).unwrap_or_default();
        if before.iter().any(|before| before.id == entry.id) {
            return Err(FileError::Twice(full_name(setting)));
        }
        let refused = |problem| FileError::Setting {
            name: full_name(setting),
            problem,
        };
        let value = value(&entry.value, &setting.kind).ok_or(refused(Problem::WrongKind))?;
        setting.kind.check(&value).map_err(refused)?;
        if value != setting.value {
            import.changes.push((setting.id, value));
        }
    }
    Ok(import)
}

/// Names are the same in several groups.
fn full_name(setting: &Setting) -> String {
    format!("{}, {}", setting.group, setting.name)
}

/// A value from the file, of the setting's kind; it may be out of its range still.
fn value(json: &Json, kind: &Kind) -> Option<Value> {
    match (kind, json) {
        (Kind::Toggle { .. }, Json::Bool(on)) => Some(Value::Toggle(*on)),
        (Kind::Number { decimals, .. }, Json::Number(number)) => {
            read_number(&number.to_string(), *decimals).map(Value::Number)
        }
        (Kind::Choice { options, .. }, Json::String(name)) => {
            let index = options.iter().position(|option| option == name)?;
            index.try_into().ok().map(Value::Choice)
        }
        (Kind::Text { .. }, Json::String(text)) => Some(Value::Text(text.clone())),
        (Kind::Time, Json::Null) => Some(Value::Time(None)),
        (Kind::Time, Json::String(text)) => read_time(text).map(Value::Time),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(id: u16, name: &str, kind: Kind, value: Value) -> Setting {
        Setting {
            id: SettingId(id),
            group: "Group".into(),
            name: name.into(),
            help: String::new(),
            kind,
            value,
        }
    }

    fn settings() -> Vec<Setting> {
        let number = Kind::Number {
            min: -20_000,
            max: i32::MAX,
            default: 10,
            decimals: 4,
            unit: "V".into(),
        };
        let choice = Kind::Choice {
            options: vec!["off".into(), "above".into()],
            default: 0,
        };
        let text = Kind::Text {
            max_length: 24,
            default: String::new(),
        };
        vec![
            setting(1, "Name", text, Value::Text("Gare \"3\" été".into())),
            setting(2, "Gain", number.clone(), Value::Number(-1)),
            setting(3, "Most", number, Value::Number(i32::MAX)),
            setting(4, "Alarm", choice, Value::Choice(1)),
            setting(
                5,
                "On",
                Kind::Toggle { default: true },
                Value::Toggle(false),
            ),
            setting(6, "Start", Kind::Time, Value::Time(Some(1_795_342_144))),
            setting(7, "End", Kind::Time, Value::Time(None)),
        ]
    }

    #[test]
    fn a_file_brings_another_logger_to_the_same() {
        let theirs = settings();
        let file = export("LD-1", &theirs);
        assert_eq!(import(&file, &theirs), Ok(Import::default()));
        assert!(file.contains("-0.0001") && file.contains("214748.3647"));
        assert!(file.contains("\"above\"") && file.contains("2026-11-22T10:09:04.000Z"));

        let mut ours = theirs.clone();
        for setting in &mut ours {
            setting.value = setting.kind.default_value();
        }
        let import = import(&file, &ours).unwrap();
        assert_eq!(import.unknown, [""; 0]);
        for (id, value) in import.changes {
            let setting = ours.iter_mut().find(|setting| setting.id == id);
            setting.unwrap().value = value;
        }
        assert_eq!(ours, theirs);
    }

    #[test]
    fn settings_of_other_firmware_are_named() {
        let file = export("LD-1", &settings());
        let import = import(&file, &settings()[..5]).unwrap();
        assert_eq!(import.unknown, ["Start", "End"]);
        assert_eq!(import.changes, []);
    }

    #[test]
    fn a_file_with_one_bad_value_is_not_taken() {
        let settings = settings();
        let file = export("LD-1", &settings);
        let refused = |from: &str, to: &str, name: &str, problem| {
            assert_ne!(file.replace(from, to), file);
            assert_eq!(
                import(&file.replace(from, to), &settings),
                Err(FileError::Setting {
                    name: format!("Group, {name}"),
                    problem
                })
            );
        };
        refused("-0.0001", "-2.0001", "Gain", Problem::TooLow);
        refused("-0.0001", "-0.00011", "Gain", Problem::WrongKind);
        refused("-0.0001", "\"-0.0001\"", "Gain", Problem::WrongKind);
        refused("\"above\"", "\"below\"", "Alarm", Problem::WrongKind);
        refused("Gare", "Gare de triage nord", "Name", Problem::TooLong);
        refused("2026-11", "2026-13", "Start", Problem::WrongKind);
        assert_eq!(
            import(&file.replace("\"id\": 3", "\"id\": 2"), &settings),
            Err(FileError::Twice("Group, Gain".into()))
        );
        for text in ["", "{}", "[]", &file.replace("settings 1", "settings 2")] {
            assert!(matches!(
                import(text, &settings),
                Err(FileError::NotSettings(_))
            ));
        }
    }
}
