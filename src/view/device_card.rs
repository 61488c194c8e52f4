//! The logger: its name first, then what it is doing, then numbers.

use alloc::string::{String, ToString};

use host::device::Device;
use protocol::device::{Phase, Program};
use protocol::record::{Recording, Status};

use super::welcome::connect;
use crate::logger::{Connection, Copying, Logger};
use ui::dom::{Text, View, el, kept, live, when, words};
use ui::step::Step;
use ui::text::say;
use ui::words::{NO_NUMBER, count, decimal, nameless, short};

/// Takes the focus when what had it is gone.
pub(crate) const HEADING: &str = "logger";

/// What its owner calls it, else its model and the end of its serial number.
pub(crate) fn name(logger: Logger) -> String {
    match logger.name.get() {
        name if name.trim().is_empty() => logger.of_device(nameless).unwrap_or_default(),
        name => name,
    }
}

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
    let away = move || !logger.is_there();
    let who = el("div").class("who").with([
        el("h1")
            .attr("id", HEADING)
            .attr("tabindex", "-1")
            .text(live(move || name(logger))),
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
            logger.bench.with(|bench| kept(&bench.values)),
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

fn fact(name: String, fact: &'static str, value: Text) -> View {
    el("div").with([
        el("dt").text(name),
        el("dd").attr("data-fact", fact).text(value),
    ])
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
pub(crate) fn state(logger: Logger) -> String {
    let step = logger.course.with(|course| {
        course
            .as_ref()
            .filter(|course| course.end.is_none())
            .map(|course| (course.step, course.copying))
    });
    match (step, logger.connection.get(), logger.program.get()) {
        (Some((_, Copying::Unplugged)), ..) | (_, Connection::Lost, _) => {
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
