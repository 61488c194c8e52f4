//! What a logger is, runs, measures and takes from its battery.

use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;
use host::battery::Work;
use host::conversation::{Conversation, TalkError};
use host::data::Column;
use host::device::{Device, read_health, read_status};
use host::log;
use host::settings::{self, number_text};
use host::time::utc_text;
use protocol::device::{HeldImage, Outcome, Phase, Program};
use protocol::message::Refusal;
use protocol::record::{Channel, Health, LogSummary, Recording, ResetCause, Status};
use serde_json::{Map, json};

use crate::answer::{Facts, Problem};
use crate::port::{Found, Port};

/// How long a battery lasts.
#[derive(Args)]
pub struct Battery {
    /// What it holds, in mAh
    #[arg(value_name = "MAH")]
    capacity: Option<f64>,
}

/// What is measured, live.
#[derive(Args)]
pub struct Watch {
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    interval: f64,
    /// Ends after so many; without it, Ctrl-C does
    #[arg(long, value_name = "NUMBER")]
    count: Option<u32>,
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.1..=86_400.0).contains(seconds))
        .ok_or_else(|| "it is a number of seconds, 0.1 at least".into())
}

/// Who a logger is, what it runs and how it is.
pub async fn info(conversation: &mut Conversation<Port>) -> Result<Facts, Problem> {
    let mut facts = Facts::default();
    let device = Device::read(conversation).await?;
    add_device(&mut facts, conversation, &device);
    if let Some(status) = known(read_status(conversation).await)? {
        add_status(&mut facts, &status);
    }
    if let Some(health) = known(read_health(conversation).await)? {
        add_health(&mut facts, &health);
    }
    if let Some(summary) = known(log::read_summary(conversation).await)? {
        add_log(&mut facts, &summary);
    }
    Ok(facts)
}

/// All that an engineer elsewhere may want to know: this program and computer, the logger, its settings.
pub async fn report(conversation: &mut Conversation<Port>) -> Result<Facts, Problem> {
    let mut facts = Facts::default();
    facts.add("logdock", env!("CARGO_PKG_VERSION"));
    let system = [std::env::consts::OS, std::env::consts::ARCH].join(" ");
    facts.add("computer", system);
    facts.add("computer's clock", utc_text(now() as i64));
    let hello = conversation.hello();
    facts.add("protocol", hello.version);
    facts.append(info(conversation).await?);
    let device = Device::read(conversation).await?;
    facts.add("vendor", device.target.vendor_id.to_string());
    facts.add("class", device.target.class_id.to_string());
    let key: String = device
        .public_key
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    facts.add("key", key);
    let slot = json!({ "address": device.target.slot_address, "length": device.target.slot_size,
        "page": device.page_size });
    let text = format!(
        "0x{:08X}, {} bytes, pages of {}",
        device.target.slot_address, device.target.slot_size, device.page_size
    );
    facts.add_as("slot", slot, &text);
    for setting in known(settings::read(conversation).await)?.unwrap_or_default() {
        crate::settings::show(&mut facts, &setting);
    }
    Ok(facts)
}

/// What the logger takes from its battery with its present settings: an estimate.
pub async fn battery(
    conversation: &mut Conversation<Port>,
    what: &Battery,
) -> Result<Facts, Problem> {
    let all = settings::read(conversation).await?;
    let work = Work::of(all.iter().map(|setting| (setting.id, &setting.value)));
    let mut facts = Facts::default();
    let microamperes = work.current() * 1e6;
    facts.add_as(
        "current",
        json!({ "microamperes": microamperes }),
        &format!("{microamperes:.1} µA on average, an estimate"),
    );
    if let Some(capacity) = what.capacity {
        let days = work.lasts(capacity).as_secs_f64() / 86_400.0;
        let text = if days < 730.0 {
            format!("{days:.0} days with {capacity} mAh")
        } else {
            format!("{:.1} years with {capacity} mAh", days / 365.25)
        };
        facts.add_as("lasts", json!({ "days": days }), &text);
    }
    Ok(facts)
}

/// Says what the logger measures, again and again.
pub async fn watch(
    conversation: &mut Conversation<Port>,
    found: &Found,
    what: &Watch,
    json: bool,
) -> Result<Facts, Problem> {
    let all = settings::read(conversation).await?;
    let columns = Channel::ALL.map(|channel| Column::of_settings(channel, &all));
    let mut done = 0;
    loop {
        let status = read_status(conversation).await?;
        println!("{}", reading(found, &columns, &status, json));
        done += 1;
        if what.count.is_some_and(|count| done >= count) {
            return Ok(Facts::default());
        }
        thread::sleep(Duration::from_secs_f64(what.interval));
    }
}

/// One look at a logger, as a line.
fn reading(found: &Found, columns: &[Column], status: &Status, json: bool) -> String {
    let utc = status
        .utc_offset
        .map(|offset| utc_text(status.time as i64 + offset));
    let values = columns
        .iter()
        .filter(|column| status.channels.has(column.channel))
        .map(|column| {
            let raw = status.values[column.channel as usize];
            (column, column.physical(raw.into()))
        });
    if json {
        let values: Map<_, _> = values
            .map(|(column, value)| {
                let value = json!({ "value": value.to_f64(), "unit": column.unit,
                    "alarm": status.alarms.has(column.channel) });
                (column.name.clone(), value)
            })
            .collect();
        return json!({ "port": found.path, "serial": found.serial, "time": utc,
            "recording": recording(status.recording), "records": status.next_record, "values": values })
        .to_string();
    }
    let values: Vec<_> = values
        .map(|(column, value)| {
            let alarm = if status.alarms.has(column.channel) {
                " (alarm)"
            } else {
                ""
            };
            let text = format!("{} {value} {}", column.name, column.unit);
            format!("{}{alarm}", text.trim_end())
        })
        .collect();
    format!(
        "{found}  {}  {}  recording {}, {} records",
        utc.as_deref().unwrap_or("clock not set"),
        values.join("  "),
        recording(status.recording),
        status.next_record
    )
}

/// What an application answers that need not know the request: in update mode, and on a board that records nothing, there
/// is nothing to say.
fn known<T>(answer: Result<T, TalkError>) -> Result<Option<T>, TalkError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(TalkError::Refused(Refusal::UnknownRequest)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Which of its two programs answers.
pub fn mode(conversation: &Conversation<Port>) -> &'static str {
    match conversation.hello().program {
        Program::Bootloader => "update mode",
        Program::Application => "normal",
    }
}

fn add_device(facts: &mut Facts, conversation: &Conversation<Port>, device: &Device) {
    facts.add("model", device.model.clone());
    facts.add("serial number", device.serial.to_string());
    facts.add("mode", mode(conversation));
    add_image(facts, "firmware", device.running);
    add_image(facts, "kept to go back to", device.previous);
    add_image(facts, "waiting to be installed", device.staged);
    facts.add("bootloader", device.bootloader.to_string());
    facts.add("update", phase(device.phase));
    facts.add("latest update", outcome(device.outcome));
    facts.add("security counter", device.target.security_counter);
    if device.direct {
        facts.add("image store", "none: an update cannot be rolled back");
    }
}

fn add_status(facts: &mut Facts, status: &Status) {
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
}

fn add_health(facts: &mut Facts, health: &Health) {
    facts.add_as(
        "uptime",
        json!({ "milliseconds": health.uptime }),
        &duration(health.uptime),
    );
    facts.add("started by", cause(health.reset));
    facts.add("watchdog resets", health.watchdog_resets);
    facts.add("crashes", health.crashes);
    if let Some(place) = health.crash {
        facts.add("latest crash", place.to_string());
    }
    if let Some(drift) = health.drift {
        facts.add_as(
            "clock drift",
            json!({ "ppm": drift }),
            &format!("{drift} ppm"),
        );
    }
}

fn add_log(facts: &mut Facts, summary: &LogSummary) {
    let held = summary.next - summary.first;
    facts.add_as(
        "log",
        json!({ "segments": held, "capacity": summary.capacity, "records_not_written": summary.pending }),
        &format!("{held} of {} segments", summary.capacity),
    );
    facts.add_as(
        "memory",
        json!({ "bad_blocks": summary.bad_blocks, "rounds": summary.rounds,
            "pages_mended": summary.mended, "pages_unreadable": summary.unreadable }),
        &format!(
            "{} bad blocks, each block erased {} times; since the start {} pages mended, {} unreadable",
            summary.bad_blocks, summary.rounds, summary.mended, summary.unreadable
        ),
    );
}

/// An image that the logger holds, when it does.
pub fn add_image(facts: &mut Facts, name: &str, image: Option<HeldImage>) {
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
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}
