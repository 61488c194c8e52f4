//! What a command has to say of one logger: for people, and for scripts.

use std::fmt;

use host::conversation::TalkError;
use host::link::LinkError;
use host::update::UpdateError;
use serde_json::{Map, Value, json};

use crate::port::Found;

/// Facts under their names, in the order in which they are shown.
#[derive(Default)]
pub struct Facts {
    /// For scripts.
    values: Map<String, Value>,
    /// For people: one a line.
    lines: Vec<String>,
    /// For people, in the place of the lines: a file's content.
    text: Option<String>,
}

impl Facts {
    /// A fact that reads the same for people and scripts.
    pub fn add(&mut self, name: &str, value: impl Into<Value>) {
        let value = value.into();
        let text = match &value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        self.add_as(name, value, &text);
    }

    /// A fact that people read in other words than scripts.
    pub fn add_as(&mut self, name: &str, value: impl Into<Value>, text: &str) {
        self.lines.push(format!("{name}: {text}"));
        self.values.insert(name.replace(' ', "_"), value.into());
    }

    /// People get this text, as it is.
    pub fn say(&mut self, text: String) {
        self.text = Some(text);
    }

    /// Others behind these.
    pub fn append(&mut self, others: Facts) {
        self.values.extend(others.values);
        self.lines.extend(others.lines);
    }
}

/// How a command ended on one logger.
pub struct Answer {
    /// Which logger.
    pub found: Found,
    /// What it found, or why it failed.
    pub result: Result<Facts, Problem>,
}

impl Answer {
    /// For scripts: the port, the serial number, and the facts or the error.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("port".into(), json!(self.found.path));
        object.insert("serial".into(), json!(self.found.serial));
        match &self.result {
            Ok(facts) => object.extend(facts.values.clone()),
            Err(problem) => {
                object.insert("error".into(), json!(problem.to_string()));
            }
        }
        Value::Object(object)
    }

    /// For people; with the logger's name in front when there are several.
    pub fn print(&self, several: bool) {
        match &self.result {
            Ok(Facts {
                text: Some(text), ..
            }) => print!("{text}"),
            Ok(facts) => {
                if several || facts.lines.is_empty() {
                    println!("{}", self.found);
                }
                let indent = if several { "  " } else { "" };
                for line in &facts.lines {
                    println!("{indent}{line}");
                }
            }
            Err(problem) if several => eprintln!("{}: {problem}", self.found),
            Err(problem) => eprintln!("logdock: {problem}"),
        }
    }
}

/// Why a command failed on one logger.
#[derive(Debug)]
pub enum Problem {
    /// Refused by the logger, or by what the computer knows of it: nothing was changed.
    Refused(String),
    /// Anything else.
    Failed(String),
}

impl Problem {
    /// As `--help` says.
    pub fn exit_code(&self) -> u8 {
        match self {
            Problem::Failed(_) => 1,
            Problem::Refused(_) => 4,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Refused(words) | Problem::Failed(words) => f.write_str(words),
        }
    }
}

impl From<LinkError> for Problem {
    fn from(error: LinkError) -> Self {
        Problem::Failed(error.to_string())
    }
}

impl From<TalkError> for Problem {
    fn from(error: TalkError) -> Self {
        match error {
            TalkError::Refused(_) => Problem::Refused(error.to_string()),
            _ => Problem::Failed(error.to_string()),
        }
    }
}

impl From<UpdateError> for Problem {
    fn from(error: UpdateError) -> Self {
        match error {
            UpdateError::Objection(_) => Problem::Refused(error.to_string()),
            UpdateError::Talk(error) => error.into(),
            _ => Problem::Failed(error.to_string()),
        }
    }
}
