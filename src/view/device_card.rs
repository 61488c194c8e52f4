//! The logger: its name first, then what it is doing, then numbers.

use alloc::string::{String, ToString};
use core::cell::Cell;

use host::device::Device;
use host::settings::{Setting, Value};
use protocol::device::{Phase, Program};
use protocol::record::{Channel, Recording, Status};

use super::welcome::connect;
use crate::logger::{Connection, Copying, Logger, Step};
use ui::dom::{Text, View, choose, el, live, nothing, when, words};
use ui::text::say;
use ui::words::{count, decimal, nameless, short};

/// The setting that holds the logger's name.
const NAME_SETTING: &str = "Name";
/// Stands where there is no number.
const NO_NUMBER: &str = "–";

/// Name, state and facts.
pub(crate) fn device_card(logger: Logger) -> View {
    let of_device =
        move |read: fn(&Device) -> String| live(move || logger.of_device(read).unwrap_or_default());
    let of_status = move |read: fn(&Status) -> String| {
        live(move || {
            logger
                .status
                .with(|status| status.as_ref().map_or_else(|| NO_NUMBER.into(), read))
        })
    };
    let name = move || {
        logger
            .settings
            .with(|settings| own_name(settings))
            .or_else(|| logger.of_device(nameless))
            .unwrap_or_default()
    };
    let away = move || {
        !matches!(
            logger.connection.get(),
            Connection::Connected | Connection::Connecting
        )
    };
    let who = el("div").class("who").with([
        el("h1").text(live(name)),
        el("p").with([
            words(of_device(|device| {
                say!("Logger {model} · serial", model = device.model)
            })),
            words(" "),
            el("span")
                .attr("data-fact", "serial")
                .text(of_device(|device| device.serial.to_string())),
        ]),
        el("p")
            .class("state")
            .attr("data-fact", "state")
            .text(live(move || state(logger))),
    ]);
    let facts = el("dl").class("facts").with([
        fact(
            say!("Firmware"),
            "firmware",
            of_device(|device| match device.running {
                Some(running) => running.version.to_string(),
                None => say!("none"),
            }),
        ),
        fact(
            say!("Records"),
            "records",
            of_status(|status| count(status.next_record)),
        ),
        fact(
            say!("Clock"),
            "clock",
            live(move || {
                logger
                    .status
                    .with(|status| clock(status.as_ref(), logger.ahead.get()))
            }),
        ),
    ]);
    el("section")
        .class("card device")
        .attr("aria-label", say!("Logger"))
        .class_when("away", away)
        .with([
            who,
            facts,
            values(logger),
            el("p").class("image").with([
                words(of_device(standing)),
                words(" "),
                el("span")
                    .attr("data-fact", "digest")
                    .text(of_device(|device| {
                        device
                            .running
                            .map(|running| short(running.digest))
                            .unwrap_or_default()
                    })),
            ]),
            when(
                move || away() && !logger.is_virtual(),
                move || el("div").class("reconnect").with([connect(logger)]),
            ),
        ])
}

/// Whether the logger knows what time it is.
fn clock(status: Option<&Status>, ahead: Option<i64>) -> String {
    if status.is_none() {
        return NO_NUMBER.into();
    }
    let Some(ahead) = ahead else {
        return say!("not set");
    };
    let off = decimal(ahead.unsigned_abs() as f64 / 1000.0, 1);
    match ahead {
        -999..=999 => say!("right"),
        ..-999 => say!("{off} s behind", off),
        _ => say!("{off} s ahead", off),
    }
}

/// Settings of a channel, as firmware numbers them (`firmware/logger/src/settings.rs`).
const CHANNELS_FROM: u16 = 0x100;
const CHANNEL_STEP: u16 = 0x10;
const NAME: u16 = 1;
const UNIT: u16 = 2;
const GAIN: u16 = 3;
const OFFSET: u16 = 4;

/// What the channels that are on measure now, in their own units.
fn values(logger: Logger) -> View {
    // They keep their places while the logger is away.
    let last = Cell::new(None);
    let is_on = move || {
        let now = logger
            .status
            .with(|status| status.as_ref().map(|status| status.channels));
        last.set(now.or(last.get()));
        last.get()
    };
    choose(
        move || (is_on(), logger.settings.get()),
        move |(channels, settings)| {
            let Some(channels) = *channels else {
                return nothing();
            };
            let facts = channels
                .iter()
                .map(|channel| live_value(logger, channel, settings));
            el("dl").class("facts values").with(facts)
        },
    )
}

fn live_value(logger: Logger, channel: Channel, settings: &[Setting]) -> View {
    let setting = |place: u16| {
        let id = CHANNELS_FROM + CHANNEL_STEP * channel as u16 + place;
        settings.iter().find(|setting| setting.id.0 == id)
    };
    let text = |place| match setting(place).map(|setting| &setting.value) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    // Gain in ten-thousandths, offset in thousandths of the unit.
    let number = |place, none: i32, scale: f64| match setting(place).map(|setting| &setting.value) {
        Some(Value::Number(number)) => f64::from(*number) / scale,
        _ => f64::from(none) / scale,
    };
    let (gain, offset) = (number(GAIN, 10_000, 1e4), number(OFFSET, 0, 1e3));
    let unit = text(UNIT);
    let decimals = channel.decimals();
    let shown = move || {
        logger.status.with(|status| {
            let Some(status) = status else {
                return NO_NUMBER.into();
            };
            let raw = f64::from(status.values[channel as usize]);
            let value = raw / f64::from(10u32.pow(decimals.into())) * gain + offset;
            let alarm = if status.alarms.has(channel) {
                "⚠ "
            } else {
                ""
            };
            [alarm, &decimal(value, decimals), " ", &unit].concat()
        })
    };
    el("div")
        .class_when("alarm", move || {
            logger.status.with(|status| {
                status
                    .as_ref()
                    .is_some_and(|status| status.alarms.has(channel))
            })
        })
        .with([el("dt").text(text(NAME)), el("dd").text(live(shown))])
}

fn fact(name: String, fact: &'static str, value: Text) -> View {
    el("div").with([
        el("dt").text(name),
        el("dd").attr("data-fact", fact).text(value),
    ])
}

/// The name its owner gave it.
fn own_name(settings: &[Setting]) -> Option<String> {
    // Others of this name, of its channels, stand behind.
    let setting = settings
        .iter()
        .find(|setting| setting.name == NAME_SETTING)?;
    match &setting.value {
        Value::Text(name) if !name.trim().is_empty() => Some(name.clone()),
        _ => None,
    }
}

/// How safe the running firmware is; stands before its digest.
fn standing(device: &Device) -> String {
    match (device.running, device.phase) {
        (None, _) => say!("no firmware that can start"),
        (Some(_), Phase::Trial { .. }) => say!("on trial, not confirmed yet · image"),
        (Some(_), Phase::Idle) => say!("confirmed · image"),
        (Some(_), _) => say!("an update waits · image"),
    }
}

fn recording(recording: Recording) -> String {
    match recording {
        Recording::Off => say!("Not recording: it is switched off in the settings"),
        Recording::Waiting => say!("Waiting for its start"),
        Recording::WaitingForClock => say!("Waiting for its start, and for its clock to be set"),
        Recording::Running => say!("Recording"),
        Recording::Full => say!("Memory is full, and the settings say to stop then"),
        Recording::NoMemory => say!("Its memory does not work: nothing is recorded"),
    }
}

/// What the logger is doing, as far as it said.
fn state(logger: Logger) -> String {
    let step = logger.course.with(|course| {
        course
            .as_ref()
            .filter(|course| course.end.is_none())
            .map(|course| (course.step, course.copying))
    });
    match (step, logger.connection.get(), logger.program.get()) {
        (Some((Step::Copied, Copying::Unplugged)), ..) | (_, Connection::Lost, _) => {
            say!("Unplugged. Plug it in again: the page connects to it by itself.")
        }
        (Some((Step::Copied, _)), _, Program::Application) => {
            say!("Recording, and taking new firmware")
        }
        (Some((Step::Copied, _)), _, Program::Bootloader) => say!("Taking new firmware"),
        (Some((Step::Restarted | Step::Installed, _)), ..) => say!("Restarting with new firmware"),
        (_, Connection::Disconnected(_), _) => say!("Not connected"),
        (_, Connection::Connecting, _) => say!("Connecting…"),
        (_, _, Program::Application) => logger.status.with(|status| {
            status
                .as_ref()
                .map_or_else(|| say!("Connected"), |status| recording(status.recording))
        }),
        (_, _, Program::Bootloader) => say!("In update mode, not recording"),
    }
}
