//! What can be asked of a logger, and how it is done on one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Args, Subcommand};
use futures_executor::block_on;
use host::check::{Direction, Plan, check};
use host::conversation::{Conversation, TalkError};
use host::device::{Device, read_health, read_status, sync_clock};
use host::firmware_file::FirmwareFile;
use host::link::Link;
use host::log;
use host::settings::{
    self, FILE_FORMAT, FileEntry, Kind, Setting, Value, describe, explain, number_text, value_text,
};
use host::update::{Progress, put_back, update};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use protocol::device::{HeldImage, Outcome, Phase, Program};
use protocol::message::Refusal;
use protocol::record::{Channel, Recording, ResetCause};
use serde_json::json;

use crate::answer::{Facts, Problem};
use crate::download::{Download, download};
use crate::port::{Found, Port};

/// How long a logger that is being plugged in has to answer.
const GREETING: Duration = Duration::from_secs(5);
/// How long a person may take to plug the cable in again.
pub const REPLUG: Duration = Duration::from_secs(3600);

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Lists the loggers that are plugged in
    List,
    /// Says who a logger is, what it runs and how it is
    Info,
    /// Updates the firmware; the logger goes on recording meanwhile
    Update(Update),
    /// Goes back to the version before, which the logger keeps; settings and records stay
    GoBack,
    /// Shows and changes settings
    #[command(subcommand)]
    Settings(Settings),
    /// Writes what was recorded to a CSV file; a download that broke off goes on where it stopped
    Download(Download),
    /// Erases what was recorded. Download it first
    Erase {
        /// Does it without asking
        #[arg(long)]
        yes: bool,
    },
    /// The logger's clock
    #[command(subcommand)]
    Time(Time),
}

/// An update.
#[derive(Args)]
pub struct Update {
    /// The signed firmware, .hex or .bin
    file: PathBuf,
    /// Installs an older version, too
    #[arg(long)]
    downgrade: bool,
}

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

/// What to do with the clock.
#[derive(Subcommand)]
pub enum Time {
    /// Sets it to this computer's time
    Sync,
}

impl Command {
    /// Whether it can be done on so many loggers at once.
    pub fn check(&self, loggers: usize) -> Result<(), String> {
        match self {
            Command::Settings(Settings::Export { .. }) if loggers > 1 => Err(
                "Settings are exported from one logger at a time: name it with --serial.".into(),
            ),
            Command::Download(download) if loggers > 1 && download.has_one_file() => Err(
                "Each logger has a file of its own: leave --output away, or name one logger."
                    .into(),
            ),
            Command::Erase { yes: false } => {
                Err("This erases all records. Download them first, then say so with --yes.".into())
            }
            _ => Ok(()),
        }
    }
}

/// Does it on one logger.
pub fn run(command: &Command, found: &Found, bars: &MultiProgress) -> Result<Facts, Problem> {
    // A file that is no firmware is said before a port is touched.
    let file = match command {
        Command::Update(update) => Some(read_firmware(&update.file)?),
        _ => None,
    };
    let mut conversation = greet(found)?;
    block_on(async {
        match command {
            // Answered without a conversation.
            Command::List => Ok(Facts::default()),
            Command::Info => info(&mut conversation).await,
            Command::Update(Update { downgrade, .. }) => match &file {
                Some(file) => install(&mut conversation, found, file, *downgrade, bars).await,
                None => Ok(Facts::default()),
            },
            Command::GoBack => go_back(&mut conversation, found, bars).await,
            Command::Settings(what) => settings(&mut conversation, what).await,
            Command::Download(what) => {
                let serial = Device::read(&mut conversation).await?.serial.to_string();
                download(&mut conversation, found, &serial, what, bars).await
            }
            Command::Erase { .. } => erase(&mut conversation).await,
            Command::Time(Time::Sync) => sync(&mut conversation).await,
        }
    })
}

fn greet(found: &Found) -> Result<Conversation<Port>, Problem> {
    let port = Port::open(found.clone())?;
    block_on(async {
        match Conversation::open(port).await {
            Ok(conversation) => Ok(conversation),
            // Just plugged in, or restarting.
            Err((mut port, TalkError::Link(_))) => {
                port.reopen(GREETING).await?;
                Conversation::open(port)
                    .await
                    .map_err(|(_, error)| error.into())
            }
            Err((_, error)) => Err(error.into()),
        }
    })
}

fn read_firmware(path: &Path) -> Result<FirmwareFile, Problem> {
    let about = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let bytes = fs::read(path).map_err(|error| Problem::Failed(about(&error)))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    FirmwareFile::read(&name, &bytes).map_err(|error| Problem::Refused(about(&error)))
}

async fn info(conversation: &mut Conversation<Port>) -> Result<Facts, Problem> {
    let device = Device::read(conversation).await?;
    let mut facts = Facts::default();
    facts.add("model", device.model.clone());
    facts.add("serial number", device.serial.to_string());
    let in_update_mode = conversation.hello().program == Program::Bootloader;
    facts.add(
        "mode",
        if in_update_mode {
            "update mode"
        } else {
            "normal"
        },
    );
    add_image(&mut facts, "firmware", device.running);
    add_image(&mut facts, "kept to go back to", device.previous);
    add_image(&mut facts, "waiting to be installed", device.staged);
    facts.add("bootloader", device.bootloader.to_string());
    facts.add("update", phase(device.phase));
    facts.add("latest update", outcome(device.outcome));
    facts.add("security counter", device.target.security_counter);
    if device.direct {
        facts.add("image store", "none: an update cannot be rolled back");
    }
    if in_update_mode {
        return Ok(facts);
    }
    let status = read_status(conversation).await?;
    facts.add("recording", recording(status.recording));
    facts.add("records", status.next_record);
    let supply = status.values[Channel::Supply as usize];
    facts.add_as(
        "supply",
        json!({ "millivolts": supply }),
        &format!("{} V", number_text(supply, 3)),
    );
    match status.utc_offset {
        Some(offset) => {
            let ahead = status.time as i64 + offset - now() as i64;
            facts.add_as(
                "clock ahead",
                json!({ "milliseconds": ahead }),
                &format!("{ahead} ms"),
            );
        }
        None => facts.add("clock", "not set"),
    }
    let health = read_health(conversation).await?;
    facts.add_as(
        "uptime",
        json!({ "milliseconds": health.uptime }),
        &duration(health.uptime),
    );
    facts.add("started by", cause(health.reset));
    facts.add("watchdog resets", health.watchdog_resets);
    facts.add("crashes", health.crashes);
    if let Some(place) = health.crash {
        let file = String::from_utf8_lossy(&place.file);
        let file = file.trim_end_matches('\0');
        facts.add("latest crash", format!("{file}:{}", place.line));
    }
    if let Some(drift) = health.drift {
        facts.add_as(
            "clock drift",
            json!({ "ppm": drift }),
            &format!("{drift} ppm"),
        );
    }
    Ok(facts)
}

fn add_image(facts: &mut Facts, name: &str, image: Option<HeldImage>) {
    if let Some(image) = image {
        let value = json!({
            "version": image.version.to_string(),
            "digest": image.digest.to_string(),
            "length": image.length,
        });
        facts.add_as(name, value, &format!("{} {}", image.version, image.digest));
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Idle => "none under way",
        Phase::Pending => "is installed at the next restart",
        Phase::Installing => "is being installed",
        Phase::Trial { .. } => "on trial until a computer confirms it",
        Phase::Reverting => "is being taken back",
    }
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::None => "none yet".into(),
        Outcome::Installed(version) => format!("{version} was installed"),
        Outcome::Refused(version, error) => {
            format!("{version} was refused. {}", host::check::explain(error))
        }
        Outcome::Reverted(version) => {
            format!("{version} did not start properly and was taken back")
        }
        Outcome::Unreadable(version) => {
            format!("the stored copy of {version} could not be read back")
        }
    }
}

fn recording(recording: Recording) -> &'static str {
    match recording {
        Recording::Off => "off",
        Recording::Waiting => "waits for its start",
        Recording::WaitingForClock => "waits for its clock to be set",
        Recording::Running => "on",
        Recording::Full => "stopped: memory is full",
        Recording::NoMemory => "stopped: memory does not work",
    }
}

fn cause(cause: ResetCause) -> &'static str {
    match cause {
        ResetCause::Other => "a reset of unknown cause",
        ResetCause::PowerOn => "power coming up",
        ResetCause::Software => "a restart that was asked for",
        ResetCause::Watchdog => "the watchdog",
        ResetCause::Crash => "a crash",
    }
}

fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    format!(
        "{days} d {hours:02}:{:02}:{:02}",
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

async fn sync(conversation: &mut Conversation<Port>) -> Result<Facts, Problem> {
    // The standard library does not know the time zone; the page sets it.
    let local_offset = read_status(conversation).await?.local_offset;
    let before = sync_clock(conversation, |_| now(), local_offset).await?;
    let mut facts = Facts::default();
    match before {
        Some(ahead) => facts.add_as(
            "was ahead",
            json!({ "milliseconds": ahead }),
            &format!("{ahead} ms; the clock is set"),
        ),
        None => facts.add("clock", "was not set before; it is now"),
    }
    Ok(facts)
}

async fn erase(conversation: &mut Conversation<Port>) -> Result<Facts, Problem> {
    let summary = log::read_summary(conversation).await?;
    log::erase(conversation, &summary).await?;
    let mut facts = Facts::default();
    facts.add("segments erased", summary.next - summary.first);
    Ok(facts)
}

async fn install(
    conversation: &mut Conversation<Port>,
    found: &Found,
    file: &FirmwareFile,
    downgrade: bool,
    bars: &MultiProgress,
) -> Result<Facts, Problem> {
    let device = Device::read(conversation).await?;
    let plan = check(file, &device).map_err(|objection| Problem::Refused(objection.to_string()))?;
    let mut facts = Facts::default();
    match plan {
        Plan {
            direction: Direction::Same,
            ..
        } if device.phase == Phase::Idle => {
            facts.add("firmware", format!("{} runs already", plan.to));
            return Ok(facts);
        }
        Plan {
            direction: Direction::Down,
            from: Some(from),
            to,
            ..
        } if !downgrade => {
            return Err(Problem::Refused(format!(
                "The file is older ({to}) than what runs ({}). To install it all the same, add --downgrade.",
                from.version
            )));
        }
        _ => {}
    }
    let bar = bar(bars, found, plan.length);
    let result = update(conversation, &device, file, |step| {
        show_progress(&bar, step)
    })
    .await;
    bar.finish_and_clear();
    add_image(&mut facts, "firmware", result?.running);
    Ok(facts)
}

async fn go_back(
    conversation: &mut Conversation<Port>,
    found: &Found,
    bars: &MultiProgress,
) -> Result<Facts, Problem> {
    let device = Device::read(conversation).await?;
    let kept = device
        .kept(conversation.hello().program)
        .ok_or_else(|| Problem::Refused("The logger keeps no version to go back to.".into()))?;
    let bar = bar(bars, found, kept.length);
    let result = put_back(conversation, &device, |step| show_progress(&bar, step)).await;
    bar.finish_and_clear();
    let mut facts = Facts::default();
    add_image(&mut facts, "firmware", result?.running);
    Ok(facts)
}

fn bar(bars: &MultiProgress, found: &Found, length: u32) -> ProgressBar {
    let bar = bars.add(ProgressBar::new(length.into()));
    bar.set_style(bar_style());
    bar.set_prefix(found.to_string());
    bar
}

fn show_progress(bar: &ProgressBar, progress: Progress) {
    match progress {
        Progress::Preparing => bar.set_message("restarting into update mode"),
        Progress::Sending { kept, .. } => {
            bar.set_message("sending");
            bar.set_position(kept.into());
        }
        Progress::Unplugged { .. } => bar.set_message("unplugged: plug it in again, it goes on"),
        Progress::Checking => bar.set_message("checking"),
        Progress::Installing => bar.set_message("installing"),
        Progress::Started | Progress::Confirming => bar.set_message("confirming"),
    }
}

/// How progress looks.
pub fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} [{bar:30}] {bytes}/{total_bytes} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

async fn settings(
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
                None => print!("{text}"),
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

fn show(facts: &mut Facts, setting: &Setting) {
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
