//! A logger's settings: as it describes them, with their values, in types that the caller may keep.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use protocol::message::{LoggerRequest, LoggerResponse, Refusal};
use protocol::record::Channel;
use protocol::settings::{self as wire, Problem, SettingId};

use crate::conversation::{Conversation, TalkError};
use crate::link::Link;
use crate::time::{read_utc, utc_text};

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
    /// A moment. None when nothing else was set.
    Time,
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
    /// UTC as in 2026-11-22T10:00:00Z, or none.
    Time(Option<u32>),
}

impl Value {
    fn from_wire(value: &wire::Value) -> Value {
        match *value {
            wire::Value::Toggle(on) => Value::Toggle(on),
            wire::Value::Number(number) => Value::Number(number),
            wire::Value::Choice(index) => Value::Choice(index),
            wire::Value::Text(text) => Value::Text(text.into()),
            wire::Value::Time(utc) => Value::Time((utc != 0).then_some(utc)),
        }
    }

    fn to_wire(&self) -> wire::Value<'_> {
        match self {
            Value::Toggle(on) => wire::Value::Toggle(*on),
            Value::Number(number) => wire::Value::Number(*number),
            Value::Choice(index) => wire::Value::Choice(*index),
            Value::Text(text) => wire::Value::Text(text),
            Value::Time(utc) => wire::Value::Time(utc.unwrap_or(0)),
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
            Kind::Time => Value::Time(None),
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
            Kind::Time => wire::Kind::Time,
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
            wire::Kind::Time => Kind::Time,
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
                    LoggerResponse::Setting { descriptor, value } => Some(Setting {
                        id: descriptor.id,
                        group: descriptor.group.into(),
                        name: descriptor.name.into(),
                        help: descriptor.help.into(),
                        kind: Kind::from_wire(&descriptor.kind),
                        value: Value::from_wire(&value),
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
    Ok(settings)
}

/// Changes values: all of them, or none when the logger refuses one ([`Refusal::Setting`] names it).
///
/// # Errors
/// [`TalkError::TooMuch`] before anything is sent when they are more than one request holds: whole or not at all means
/// one request.
pub async fn write<L: Link>(
    conversation: &mut Conversation<L>,
    changes: &[(SettingId, Value)],
) -> Result<(), TalkError> {
    let mut bytes = Vec::new();
    for (id, value) in changes {
        let setting = wire::Setting {
            id: *id,
            value: value.to_wire(),
        };
        let mut room = [0; wire::MAX_SETTING];
        // A text that does not fit is longer than any logger takes: said as the logger would.
        let written = setting
            .write(&mut room)
            .ok_or(TalkError::Refused(Refusal::Setting {
                id: *id,
                problem: Problem::TooLong,
            }))?;
        bytes.extend_from_slice(written);
    }
    // The rest of a packet has room beside that much data.
    if bytes.len() > usize::from(conversation.hello().max_data) {
        return Err(TalkError::TooMuch);
    }
    let values = wire::Settings::check(&bytes).map_err(|_| TalkError::Unexpected)?;
    conversation
        .tell_logger(LoggerRequest::WriteSettings { values })
        .await
}

/// A value as people write it: `1.5`, `on`, a choice's name, a text, a moment in UTC or `none`.
pub fn value_text(kind: &Kind, value: &Value) -> String {
    match (kind, value) {
        (Kind::Number { decimals, .. }, Value::Number(number)) => number_text(*number, *decimals),
        (Kind::Choice { options, .. }, Value::Choice(index)) => options
            .get(usize::from(*index))
            .cloned()
            .unwrap_or_else(|| index.to_string()),
        (_, Value::Toggle(true)) => "on".into(),
        (_, Value::Toggle(false)) => "off".into(),
        (_, Value::Number(number)) => number.to_string(),
        (_, Value::Choice(index)) => index.to_string(),
        (_, Value::Text(text)) => text.clone(),
        (_, Value::Time(seconds)) => time_text(*seconds),
    }
}

/// The reverse of [`value_text`]: what a person, a script or a file says. None when the setting takes nothing of the
/// kind; whether it is in range is [`Kind::check`]'s to say.
pub fn read_value(kind: &Kind, text: &str) -> Option<Value> {
    match kind {
        Kind::Toggle { .. } => match text {
            "on" => Some(Value::Toggle(true)),
            "off" => Some(Value::Toggle(false)),
            _ => None,
        },
        Kind::Number { decimals, .. } => read_number(text, *decimals).map(Value::Number),
        Kind::Choice { options, .. } => {
            let index = options.iter().position(|option| option == text)?;
            u8::try_from(index).ok().map(Value::Choice)
        }
        Kind::Text { .. } => Some(Value::Text(text.into())),
        Kind::Time => read_time(text).map(Value::Time),
    }
}

/// What a setting takes, in words that follow "takes".
pub fn describe(kind: &Kind) -> String {
    match kind {
        Kind::Toggle { .. } => "on or off".into(),
        Kind::Number {
            min,
            max,
            decimals,
            unit,
            ..
        } => format!(
            "{} to {} {unit}",
            number_text(*min, *decimals),
            number_text(*max, *decimals)
        )
        .trim_end()
        .into(),
        Kind::Choice { options, .. } => format!("one of: {}", options.join(", ")),
        Kind::Text { max_length, .. } => format!("a text of at most {max_length} bytes"),
        Kind::Time => "UTC as in 2026-11-22T10:00:00Z, or nothing".into(),
    }
}

/// A setting of a channel: of each, 0 says whether it is recorded, 1 is its name, 2 its unit, 3 its gain in
/// ten-thousandths, 4 its offset in thousandths of the unit, 5 which values are marked (none, above, below), 6 beyond which
/// threshold in thousandths of the unit.
pub fn of_channel(channel: Channel, place: u16) -> SettingId {
    SettingId(0x100 + 0x10 * channel as u16 + place)
}

/// Which values of a channel are marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Those below the threshold, not those above it.
    pub is_below: bool,
    /// In thousandths of the channel's unit.
    pub threshold: i32,
}

impl Alarm {
    /// What a logger with these settings marks of a channel; none when it marks nothing.
    pub fn of_settings(channel: Channel, settings: &[Setting]) -> Option<Alarm> {
        let value = |place| {
            let id = of_channel(channel, place);
            let setting = settings.iter().find(|setting| setting.id == id)?;
            Some(&setting.value)
        };
        let is_below = match value(5)? {
            Value::Choice(1) => false,
            Value::Choice(2) => true,
            _ => return None,
        };
        match value(6)? {
            Value::Number(threshold) => Some(Alarm {
                is_below,
                threshold: *threshold,
            }),
            _ => None,
        }
    }
}

/// One setting of a settings file: a JSON object with these three under these names. The file is an object with
/// [`FILE_FORMAT`] under `format` and a list of them under `settings`; the same from the page and from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    /// Its number: what it is found by.
    pub id: u16,
    /// Its name, for people.
    pub name: String,
    /// Its value, as [`value_text`] writes it.
    pub value: String,
}

/// What a settings file says of itself under `format`.
pub const FILE_FORMAT: &str = "logdock-settings-1";

/// All settings as entries of a file.
pub fn to_file(settings: &[Setting]) -> Vec<FileEntry> {
    settings
        .iter()
        .map(|setting| FileEntry {
            id: setting.id.0,
            name: format!("{}/{}", setting.group, setting.name),
            value: value_text(&setting.kind, &setting.value),
        })
        .collect()
}

/// What a file brings to a logger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FromFile {
    /// The values that are different there.
    pub changes: Vec<(SettingId, Value)>,
    /// Names of settings that this logger does not have: from another firmware.
    pub unknown: Vec<String>,
}

/// A value in a file that its setting does not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotTaken {
    /// The setting.
    pub id: SettingId,
    /// Its name in the file.
    pub name: String,
    /// What the setting takes, as [`describe`] says it.
    pub takes: String,
    /// The value.
    pub value: String,
}

impl fmt::Display for NotTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NotTaken {
            name, takes, value, ..
        } = self;
        write!(f, "{name} takes {takes}, not “{value}”.")
    }
}

/// The entries of a file as values for a logger with these settings.
///
/// # Errors
/// When a value is not one that the setting takes: then none should be written.
pub fn from_file(entries: &[FileEntry], settings: &[Setting]) -> Result<FromFile, NotTaken> {
    let mut from_file = FromFile::default();
    for entry in entries {
        let Some(setting) = settings.iter().find(|setting| setting.id.0 == entry.id) else {
            from_file.unknown.push(entry.name.clone());
            continue;
        };
        let value = read_value(&setting.kind, &entry.value)
            .filter(|value| setting.kind.check(value).is_ok())
            .ok_or_else(|| NotTaken {
                id: setting.id,
                name: entry.name.clone(),
                takes: describe(&setting.kind),
                value: entry.value.clone(),
            })?;
        if value != setting.value {
            from_file.changes.push((setting.id, value));
        }
    }
    Ok(from_file)
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
        Problem::NoRoom => "has no room left in the logger's memory",
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

/// A time setting's value as people write it: UTC in ISO 8601, empty for none.
pub fn time_text(seconds: Option<u32>) -> String {
    seconds.map_or_else(String::new, |seconds| utc_text(i64::from(seconds) * 1000))
}

/// What a person typed as a time; nothing means none. None when it is neither, or before 1970 or behind 2106.
pub fn read_time(text: &str) -> Option<Option<u32>> {
    if text.trim().is_empty() {
        return Some(None);
    }
    let seconds = read_utc(text)?.div_euclid(1000);
    u32::try_from(seconds).ok().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_logger_marks_is_read_from_its_settings() {
        let marked = |choice| {
            let setting = |place, value| Setting {
                id: of_channel(Channel::Temperature, place),
                group: "Temperature".into(),
                name: String::new(),
                help: String::new(),
                kind: Kind::Time,
                value,
            };
            let settings = [
                setting(5, Value::Choice(choice)),
                setting(6, Value::Number(-2500)),
            ];
            assert_eq!(Alarm::of_settings(Channel::Supply, &settings), None);
            Alarm::of_settings(Channel::Temperature, &settings)
                .map(|alarm| (alarm.is_below, alarm.threshold))
        };
        assert_eq!(marked(0), None);
        assert_eq!(marked(1), Some((false, -2500)));
        assert_eq!(marked(2), Some((true, -2500)));
    }

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

    fn some_settings() -> Vec<Setting> {
        let setting = |id, name: &str, kind: Kind, value| Setting {
            id: SettingId(id),
            group: "G".into(),
            name: name.into(),
            help: String::new(),
            kind,
            value,
        };
        let number = Kind::Number {
            min: 1,
            max: 600,
            default: 10,
            decimals: 1,
            unit: "s".into(),
        };
        let choice = Kind::Choice {
            options: vec!["a".into(), "b".into()],
            default: 0,
        };
        let text = Kind::Text {
            max_length: 8,
            default: String::new(),
        };
        vec![
            setting(
                1,
                "Toggle",
                Kind::Toggle { default: false },
                Value::Toggle(true),
            ),
            setting(2, "Number", number, Value::Number(25)),
            setting(3, "Choice", choice, Value::Choice(1)),
            setting(4, "Text", text, Value::Text("\"é\"".into())),
            setting(5, "Time", Kind::Time, Value::Time(Some(1_795_000_000))),
        ]
    }

    #[test]
    fn settings_come_back_from_a_file_as_they_were() {
        let settings = some_settings();
        let mut others = some_settings();
        for setting in &mut others {
            setting.value = setting.kind.default_value();
        }
        let changes = settings
            .iter()
            .map(|setting| (setting.id, setting.value.clone()))
            .collect();
        assert_eq!(
            from_file(&to_file(&settings), &others),
            Ok(FromFile {
                changes,
                unknown: vec![]
            })
        );
        assert_eq!(
            from_file(&to_file(&settings), &settings),
            Ok(FromFile::default())
        );
    }

    #[test]
    fn a_file_of_another_firmware_gives_what_is_known_and_says_what_is_not() {
        let settings = some_settings();
        let from = from_file(&to_file(&settings), &settings[..1]).unwrap();
        assert_eq!(from.changes, []);
        assert_eq!(from.unknown, ["G/Number", "G/Choice", "G/Text", "G/Time"]);
    }

    #[test]
    fn a_wrong_value_in_a_file_refuses_all_of_it() {
        let settings = some_settings();
        for (index, value) in [
            (0, "yes"),
            (1, "60.1"),
            (1, "2.55"),
            (2, "c"),
            (3, "123456789"),
            (4, "-1"),
        ] {
            let mut entries = to_file(&settings);
            entries[index].value = value.into();
            let problem = from_file(&entries, &settings).unwrap_err().to_string();
            assert!(
                problem.contains(&entries[index].name) && problem.contains(value),
                "{problem}"
            );
        }
    }

    #[test]
    fn times_are_written_and_read() {
        for (seconds, text) in [
            (None, ""),
            (Some(1_795_342_144), "2026-11-22T10:09:04.000Z"),
            (Some(u32::MAX), "2106-02-07T06:28:15.000Z"),
        ] {
            assert_eq!(time_text(seconds), text);
            assert_eq!(read_time(text), Some(seconds));
        }
        assert_eq!(read_time("2106-02-07T06:28:16Z"), None);
        assert_eq!(read_time("1969-12-31T23:59:59Z"), None);
        assert_eq!(read_time("soon"), None);
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
