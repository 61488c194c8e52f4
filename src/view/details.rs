//! Everything the page knows of the logger, one click away, to be copied whole into a bug report.

use core::fmt::Write;

use host::check::explain;
use leptos::prelude::*;
use protocol::device::{HeldImage, Outcome, Phase, Program};
use wasm_bindgen_futures::spawn_local;

use super::dynamic::text;
use crate::logger::{Connection, End, Hindrance, Logger, Virtual};

/// Closed until it is wanted.
#[component]
pub(crate) fn Details(logger: Logger) -> impl IntoView {
    let report = text(move || report(logger));
    let copied = RwSignal::new(String::new());
    let copy = move |_| {
        let clipboard = window().navigator().clipboard();
        let written = clipboard.write_text(&report.get_untracked());
        spawn_local(async move {
            copied.set(if written.await.is_ok() {
                "Copied.".into()
            } else {
                "The browser did not allow it: select the text and copy it.".into()
            });
        });
    };
    view! {
        <details class="card">
            <summary>"Details for a bug report"</summary>
            <pre tabindex="0" aria-label="Details">{report}</pre>
            <div class="row">
                <button type="button" on:click=copy>
                    "Copy"
                </button>
                <small aria-live="polite">{text(move || copied.get())}</small>
            </div>
        </details>
    }
}

fn report(logger: Logger) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name:<11} {value}");
    };
    line("page", env!("CARGO_PKG_VERSION").into());
    line(
        "browser",
        window().navigator().user_agent().unwrap_or_default(),
    );
    line("connection", connection(&logger.connection.get()));
    logger.virtual_logger.with(|state| match state {
        Virtual::There { halted: None, .. } => line("logger", "virtual".into()),
        Virtual::There {
            halted: Some(why), ..
        } => line("logger", format!("virtual, halted: {why}")),
        _ => {}
    });
    line(
        "program",
        match logger.program.get() {
            Program::Application => "application".into(),
            Program::Bootloader => "bootloader (update mode)".into(),
        },
    );
    logger.device.with(|device| {
        let Some(device) = device else { return };
        line("model", device.model.clone());
        line("serial", device.serial.to_string());
        line("bootloader", device.bootloader.to_string());
        line("phase", phase(device.phase));
        line("outcome", outcome(device.outcome));
        line("running", held(device.running));
        line("previous", held(device.previous));
        line("staged", held(device.staged));
        let target = &device.target;
        line(
            "slot",
            format!(
                "0x{:08X}, {} bytes, pages of {}",
                target.slot_address, target.slot_size, device.page_size
            ),
        );
        line("counter", target.security_counter.to_string());
        line("store", if device.direct { "none" } else { "NAND" }.into());
    });
    logger.status.with(|status| {
        if let Some(status) = status {
            line("clock", format!("{} s", status.time / 1000));
        }
    });
    logger.course.with(|course| {
        if let Some(course) = course {
            let step = course.step as usize + 1;
            let end = match &course.end {
                None => "under way".into(),
                Some(End::Installed) => "installed".into(),
                Some(End::Cancelled) => "stopped".into(),
                Some(End::Failed(error)) => error.to_string(),
            };
            line(
                "update",
                format!(
                    "to {}, step {step}, {} of {} bytes, {end}",
                    course.to, course.kept, course.total
                ),
            );
        }
    });
    text
}

fn held(image: Option<HeldImage>) -> String {
    image.map_or_else(
        || "none".into(),
        |image| {
            format!(
                "{}, {} bytes, {}",
                image.version, image.length, image.digest
            )
        },
    )
}

fn connection(connection: &Connection) -> String {
    match connection {
        Connection::Unsupported => "no Web Serial".into(),
        Connection::Disconnected(None | Some(Hindrance::NothingChosen)) => "none".into(),
        Connection::Disconnected(Some(Hindrance::Failed(error))) => error.to_string(),
        Connection::Connecting => "connecting".into(),
        Connection::Connected => "connected".into(),
        Connection::Lost => "unplugged".into(),
    }
}

fn phase(phase: Phase) -> String {
    match phase {
        Phase::Idle => "idle".into(),
        Phase::Pending => "pending".into(),
        Phase::Installing => "installing".into(),
        Phase::Trial { starts_left } => format!("trial, {starts_left} starts left"),
        Phase::Reverting => "reverting".into(),
    }
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::None => "none".into(),
        Outcome::Installed(version) => format!("installed {version}"),
        Outcome::Refused(version, error) => format!("refused {version}: {}", explain(error)),
        Outcome::Reverted(version) => format!("reverted {version}"),
        Outcome::Unreadable(version) => format!("unreadable {version}"),
    }
}
