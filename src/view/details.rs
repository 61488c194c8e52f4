//! Everything the page knows of the logger, one click away, to be copied whole into a bug report. In English, whatever
//! the page speaks: whoever reads it is an engineer, perhaps elsewhere. What the logger says of itself is asked and worded
//! by the workbench (`workbench/src/report.rs`).

use alloc::format;
use alloc::string::{String, ToString};

use protocol::device::Program;

use wasm_bindgen::JsCast;
use web_sys::{Element, Event};

use crate::logger::{Connection, End, Hindrance, Logger, Virtual};
use ui::dom::{View, button, el, live, window};
use ui::task::spawn;
use ui::text::say;

/// Closed until it is wanted.
pub(crate) fn details(logger: Logger) -> View {
    let copy = move || {
        let clipboard = window().navigator().clipboard();
        let written = clipboard.write_text(&report(logger));
        spawn(async move {
            logger.copied.set(Some(written.await.is_ok()));
        });
    };
    let copied = move || match logger.copied.get() {
        None => String::new(),
        Some(true) => say!("Copied."),
        Some(false) => say!("The browser did not allow it: select the text and copy it."),
    };
    let look = move |event: Event| {
        if let Some(details) = event.target() {
            let is_open = details.unchecked_ref::<Element>().has_attribute("open");
            logger.is_detailed.set(is_open);
        }
    };
    el("details").class("card").on("toggle", look).with([
        el("summary").text(say!("Details for a bug report")),
        el("pre")
            .attr("tabindex", "0")
            .attr("aria-label", say!("Details"))
            .text(live(move || report(logger))),
        el("div").class("row").with([
            button(copy).text(say!("Copy")),
            el("small").attr("aria-live", "polite").text(live(copied)),
        ]),
    ])
}

fn report(logger: Logger) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.push_str(name);
        // The values stand one below the other.
        (name.len()..12).for_each(|_| text.push(' '));
        text.push_str(value);
        text.push('\n');
    };
    line("page", env!("CARGO_PKG_VERSION"));
    line(
        "browser",
        &window().navigator().user_agent().unwrap_or_default(),
    );
    line("connection", &connection(&logger.connection.get()));
    logger.virtual_logger.with(|state| match state {
        Virtual::There { halted: None, .. } => line("logger", "virtual"),
        Virtual::There {
            halted: Some(why), ..
        } => {
            line("logger", &["virtual, halted: ", why].concat());
        }
        _ => {}
    });
    line(
        "program",
        match logger.program.get() {
            Program::Application => "application",
            Program::Bootloader => "bootloader (update mode)",
        },
    );
    logger.offer.with(|offer| {
        if let Some(offer) = offer {
            line("offered", &[&offer.version, ", ", &*offer.file].concat());
        }
    });
    logger.catalogue.with(|wrong| {
        if !wrong.is_empty() {
            line("catalogue", wrong);
        }
    });
    logger.status.with(|status| {
        if let Some(status) = status {
            line("clock", &format!("{} s", status.time / 1000));
        }
    });
    let ahead = |ahead: Option<i64>| {
        ahead.map_or_else(
            || "not set".into(),
            |ahead| format!("{ahead} ms ahead of this computer"),
        )
    };
    if logger.status.with(Option::is_some) {
        line("time", &ahead(logger.ahead.get()));
    }
    if let Some(before) = logger.ahead_before.get() {
        line("time was", &[&ahead(before), ", set by this page"].concat());
    }
    logger.course.with(|course| {
        if let Some(course) = course {
            let step = course.step as usize + 1;
            let end = match &course.end {
                None => "under way".into(),
                Some(End::Installed) => "installed".into(),
                Some(End::Cancelled) => "stopped".into(),
                Some(End::Failed(error)) => error.to_string(),
            };
            let update = format!(
                "to {}, step {step}, {} of {} bytes, {end}",
                course.to, course.kept, course.total
            );
            line("update", &update);
        }
    });
    logger.report.with(|lines| text.push_str(lines));
    text
}

fn connection(connection: &Connection) -> String {
    match connection {
        Connection::Unsupported => "no Web Serial, no WebUSB".into(),
        Connection::Disconnected(None | Some(Hindrance::NothingChosen)) => "none".into(),
        Connection::Disconnected(Some(Hindrance::NotOpened { .. })) => "port not opened".into(),
        Connection::Disconnected(Some(Hindrance::Failed(error))) => error.to_string(),
        Connection::Connecting => "connecting".into(),
        Connection::Connected => "connected".into(),
        Connection::Lost => "unplugged".into(),
    }
}
