//! The logger: its name first, then what it is doing, then numbers.

use alloc::string::{String, ToString};

use host::device::Device;
use host::settings::{Setting, Value};
use protocol::device::{Phase, Program};
use protocol::record::{Channel, Status};

use super::welcome::connect;
use super::words::{count, decimal, nameless, short};
use crate::dom::{Text, View, el, live, when, words};
use crate::logger::{Connection, Copying, Logger, Step};
use crate::text::say;

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
            say!("Supply"),
            "supply",
            of_status(|status| [&decimal(value(status, Channel::Supply), 2), " V"].concat()),
        ),
        fact(
            say!("Temperature"),
            "temperature",
            of_status(|status| [&decimal(value(status, Channel::Temperature), 1), " °C"].concat()),
        ),
        fact(
            say!("Records"),
            "records",
            of_status(|status| count(status.next_record)),
        ),
    ]);
    el("section")
        .class("card device")
        .attr("aria-label", say!("Logger"))
        .class_when("away", away)
        .with([
            who,
            facts,
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

/// The latest value of a channel, in its unit.
fn value(status: &Status, channel: Channel) -> f64 {
    let scale = 10u32.pow(channel.decimals().into());
    f64::from(status.values[channel as usize]) / f64::from(scale)
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
        (_, _, Program::Application) => say!("Recording"),
        (_, _, Program::Bootloader) => say!("In update mode, not recording"),
    }
}
