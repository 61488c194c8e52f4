//! Settings of a logger, one by one and as a file.

use std::fs;
use std::path::PathBuf;

use clap::Subcommand;
use host::conversation::{Conversation, TalkError};
use host::settings::{
    self, FILE_FORMAT, FileEntry, Kind, Setting, Value, describe, explain, value_text,
};
use protocol::message::Refusal;
use serde_json::json;

use crate::answer::{Facts, Problem};
use crate::port::Port;

/// What to do with settings.
#[derive(Subcommand)]
pub enum Settings {
    /// Shows all settings, or those named
    Get {
        /// A setting's name, or GROUP/NAME
        names: Vec<String>,
    },
    /// Changes settings: all of these, or none when one is refused
    Set {
        /// A setting's name, or GROUP/NAME, and its new value
        #[arg(required = true, value_name = "NAME=VALUE")]
        changes: Vec<String>,
    },
    /// Writes all settings as JSON
    Export {
        /// Where to; standard output without it
        file: Option<PathBuf>,
    },
    /// Takes settings from a file that `export` or the page has written: all of them, or none
    Import {
        /// The file
        file: PathBuf,
    },
    /// Sets all settings to their defaults
    Defaults,
}

/// Does it on one logger.
pub async fn settings(
    conversation: &mut Conversation<Port>,
    what: &Settings,
) -> Result<Facts, Problem> {
    let all = settings::read(conversation).await?;
    let mut facts = Facts::default();
    match what {
        Settings::Get { names } if names.is_empty() => {
            all.iter().for_each(|setting| show(&mut facts, setting));
        }
        Settings::Get { names } => {
            for name in names {
                show(&mut facts, named(&all, name)?);
            }
        }
        Settings::Set { changes } => {
            let mut values = Vec::new();
            for change in changes {
                let (name, text) = change
                    .split_once('=')
                    .ok_or_else(|| Problem::Refused(format!("{change} is not NAME=VALUE.")))?;
                let setting = named(&all, name)?;
                values.push((setting, read_value(setting, text)?));
            }
            write(conversation, &all, values, &mut facts).await?;
        }
        Settings::Defaults => {
            let values = all
                .iter()
                .map(|setting| (setting, setting.kind.default_value()))
                .collect();
            write(conversation, &all, values, &mut facts).await?;
        }
        Settings::Export { file } => {
            let text = format!("{:#}\n", to_json(&all));
            match file {
                Some(path) => {
                    fs::write(path, text)
                        .map_err(|error| Problem::Failed(format!("{}: {error}", path.display())))?;
                    facts.add("written to", path.display().to_string());
                }
                None => {
                    facts.add_as("file", to_json(&all), "");
                    facts.say(text);
                }
            }
        }
        Settings::Import { file } => {
            let text = fs::read_to_string(file)
                .map_err(|error| Problem::Failed(format!("{}: {error}", file.display())))?;
            let imported = from_json(&text)
                .and_then(|entries| {
                    settings::from_file(&entries, &all).map_err(|error| error.to_string())
                })
                .map_err(|error| Problem::Refused(format!("{}: {error}", file.display())))?;
            for unknown in &imported.unknown {
                eprintln!("logdock: this logger has no setting {unknown}; it was passed over");
            }
            let values = imported
                .changes
                .into_iter()
                .filter_map(|(id, value)| {
                    Some((all.iter().find(|setting| setting.id == id)?, value))
                })
                .collect();
            write(conversation, &all, values, &mut facts).await?;
        }
    }
    Ok(facts)
}

/// Writes what differs, and shows what the logger then has.
async fn write(
    conversation: &mut Conversation<Port>,
    all: &[Setting],
    values: Vec<(&Setting, Value)>,
    facts: &mut Facts,
) -> Result<(), Problem> {
    for (setting, value) in &values {
        setting.kind.check(value).map_err(|problem| {
            Problem::Refused(format!(
                "{}: {} {}.",
                full_name(setting),
                value_text(&setting.kind, value),
                explain(problem)
            ))
        })?;
    }
    let changes: Vec<_> = values
        .into_iter()
        .filter(|(setting, value)| setting.value != *value)
        .map(|(setting, value)| (setting.id, value))
        .collect();
    if !changes.is_empty() {
        settings::write(conversation, &changes)
            .await
            .map_err(|error| match error {
                TalkError::Refused(Refusal::Setting { id, problem }) => {
                    let name = all.iter().find(|setting| setting.id == id).map(full_name);
                    Problem::Refused(format!(
                        "{} {}.",
                        name.unwrap_or_default(),
                        explain(problem)
                    ))
                }
                error => error.into(),
            })?;
    }
    let after = settings::read(conversation).await?;
    after
        .iter()
        .filter(|setting| changes.iter().any(|(id, _)| *id == setting.id))
        .for_each(|setting| show(facts, setting));
    if changes.is_empty() {
        facts.add("settings", "nothing to change");
    }
    Ok(())
}

/// A settings file: what it is made of is said at [`FileEntry`].
fn to_json(all: &[Setting]) -> serde_json::Value {
    let entries: Vec<_> = settings::to_file(all)
        .into_iter()
        .map(|entry| json!({ "id": entry.id, "name": entry.name, "value": entry.value }))
        .collect();
    json!({ "format": FILE_FORMAT, "settings": entries })
}

fn from_json(text: &str) -> Result<Vec<FileEntry>, String> {
    let file: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if file["format"] != FILE_FORMAT {
        return Err("This is no settings file of a logger.".into());
    }
    let entry = |entry: &serde_json::Value| {
        Some(FileEntry {
            id: entry["id"].as_u64()?.try_into().ok()?,
            name: entry["name"].as_str()?.into(),
            value: entry["value"].as_str()?.into(),
        })
    };
    file["settings"]
        .as_array()
        .and_then(|entries| entries.iter().map(entry).collect())
        .ok_or_else(|| "The settings file is damaged.".into())
}

fn full_name(setting: &Setting) -> String {
    format!("{}/{}", setting.group, setting.name)
}

/// A setting as a fact.
pub fn show(facts: &mut Facts, setting: &Setting) {
    let value = match &setting.value {
        Value::Toggle(on) => json!(on),
        Value::Text(text) => json!(text),
        other => json!(value_text(&setting.kind, other)),
    };
    let mut text = value_text(&setting.kind, &setting.value);
    if let Kind::Number { unit, .. } = &setting.kind
        && !unit.is_empty()
    {
        text = format!("{text} {unit}");
    }
    facts.add_as(&full_name(setting), value, &text);
}

/// What a person wrote as a value.
fn read_value(setting: &Setting, text: &str) -> Result<Value, Problem> {
    settings::read_value(&setting.kind, text).ok_or_else(|| {
        let expected = describe(&setting.kind);
        Problem::Refused(format!(
            "{} takes {expected}, not {text:?}.",
            full_name(setting)
        ))
    })
}

/// The one setting that is called so.
fn named<'a>(all: &'a [Setting], name: &str) -> Result<&'a Setting, Problem> {
    let fits = |setting: &&Setting| setting.name == name || full_name(setting) == name;
    let mut fitting = all.iter().filter(fits);
    match (fitting.next(), fitting.next()) {
        (Some(setting), None) => Ok(setting),
        (None, _) => Err(Problem::Refused(format!(
            "There is no setting {name:?}; `logdock settings get` shows them all."
        ))),
        (Some(_), Some(_)) => Err(Problem::Refused(format!(
            "There are several settings {name:?}; put the group in front, as `logdock settings get` shows them."
        ))),
    }
}
