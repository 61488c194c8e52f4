//! What is there before a logger is: one sentence, and the ways in.

use alloc::string::String;

use super::hindrance::hindrance;
use crate::logger::{Connection, Logger, Virtual};
use ui::dom::{View, all, button, el, live, window};
use ui::text::say;

/// The first visit.
pub(crate) fn welcome(logger: Logger) -> View {
    el("section")
        .class("card welcome")
        .attr("aria-label", say!("Connect"))
        .with([
            el("h1").text(say!("Update and set up your data logger from here")),
            el("p").text(say!(
                "Plug the logger into this computer with its USB cable and connect it. Nothing is installed, and nothing leaves this computer."
            )),
            connect(logger),
            el("p").class("hint").text(say!(
                "No logger at hand? The virtual one is the real firmware on an emulated chip, in this tab."
            )),
            try_virtual(logger),
        ])
}

/// The button that connects, and why the last try did not work.
pub(crate) fn connect(logger: Logger) -> View {
    let connecting = move || logger.connection.get() == Connection::Connecting;
    let label = move || {
        if connecting() {
            say!("Connecting…")
        } else {
            say!("Connect a logger")
        }
    };
    all([
        el("div")
            .class("row")
            .with([button(move || logger.connect())
                .class("main")
                .flag("disabled", move || connecting() || is_wanted(logger))
                .text(live(label))]),
        hindrance(logger),
    ])
}

/// The button that starts the virtual logger, and why it does not run yet.
fn try_virtual(logger: Logger) -> View {
    let label = move || {
        if is_wanted(logger) {
            say!("Starting the virtual logger…")
        } else {
            say!("Try a virtual logger")
        }
    };
    let hindrance = move || {
        logger.virtual_logger.with(|state| match state {
            Virtual::Elsewhere => {
                say!("Another tab has the virtual logger. Close it there, and it starts here.")
            }
            Virtual::Off(Some(why)) => say!(
                "The virtual logger could not be started. See whether this computer is online, and try again. {why}",
                why
            ),
            _ => String::new(),
        })
    };
    all([
        el("div").class("row").with([
            button(move || logger.try_virtual())
                .flag("disabled", move || is_wanted(logger))
                .text(live(label)),
            button(move || {
                logger.is_explained.set(true);
                logger.try_virtual();
            })
            .flag("disabled", move || is_wanted(logger))
            .text(say!("See how an update works")),
        ]),
        el("p")
            .class("hint")
            .attr("aria-live", "polite")
            .text(live(hindrance)),
    ])
}

/// Whether the virtual logger is, or will be, the one that this page deals with.
fn is_wanted(logger: Logger) -> bool {
    logger
        .virtual_logger
        .with(|state| !matches!(state, Virtual::Off(_)))
}

/// A browser that cannot reach a logger.
pub(crate) fn unsupported(logger: Logger) -> View {
    el("section")
        .class("card welcome")
        .attr("aria-label", say!("Connect"))
        .with([
            el("h1").text(say!("This browser cannot reach a logger")),
            el("p").text(if window().is_secure_context() {
                say!(
                    "Open this page in Chrome, Edge or Firefox on a computer, or in Chrome on an Android phone: they can talk to a logger over its USB cable. Your logger is fine; nothing was sent to it."
                )
            } else {
                say!(
                    "This page came over an open connection, and browsers let no such page reach a logger. Open it with https:// before its address. Your logger is fine; nothing was sent to it."
                )
            }),
            el("p").text(say!(
                "A virtual logger runs in this browser too: the real firmware on an emulated chip, in this tab."
            )),
            try_virtual(logger),
        ])
}
