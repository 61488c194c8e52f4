//! What is there before a logger is: one sentence, and the ways in.

use leptos::prelude::*;

use super::dynamic::{flag, text};
use super::words::no_connection;
use crate::logger::{Connection, Hindrance, Logger, Virtual};

/// The first visit.
#[component]
pub(crate) fn Welcome(logger: Logger) -> impl IntoView {
    view! {
        <section class="card welcome" aria-label="Connect">
            <h1>"Update and set up your data logger from here"</h1>
            <p>
                "Plug the logger into this computer with its USB cable and connect it. Nothing is installed, and nothing leaves this computer."
            </p>
            <Connect logger />
            <p class="hint">
                "No logger at hand? The virtual one is the real firmware on an emulated chip, in this tab."
            </p>
            <TryVirtual logger />
        </section>
    }
}

/// The button that connects, and why the last try did not work.
#[component]
pub(crate) fn Connect(logger: Logger) -> impl IntoView {
    let connecting = flag(move || logger.connection.get() == Connection::Connecting);
    let hindrance = text(move || {
        logger.connection.with(|connection| match connection {
            Connection::Disconnected(Some(Hindrance::NothingChosen)) => {
                "No logger was chosen. If the list was empty, look at the cable: some only charge."
                    .into()
            }
            Connection::Disconnected(Some(Hindrance::Failed(error))) => no_connection(error),
            _ => String::new(),
        })
    });
    let label = text(move || {
        if connecting.get() {
            "Connecting…".into()
        } else {
            "Connect a logger".into()
        }
    });
    view! {
        <div class="row">
            <button
                type="button"
                class="main"
                disabled=flag(move || connecting.get() || is_wanted(logger))
                on:click=move |_| logger.connect()
            >
                {label}
            </button>
        </div>
        <p class="hint" aria-live="polite">
            {hindrance}
        </p>
    }
}

/// The button that starts the virtual logger, and why it does not run yet.
#[component]
fn TryVirtual(logger: Logger) -> impl IntoView {
    let starting = flag(move || is_wanted(logger));
    let label = text(move || {
        if starting.get() {
            "Starting the virtual logger…".into()
        } else {
            "Try a virtual logger".into()
        }
    });
    let hindrance = text(move || {
        logger.virtual_logger.with(|state| match state {
            Virtual::Elsewhere => "Another tab has the virtual logger. Close it there, and it starts here.".into(),
            Virtual::Off(Some(why)) => format!(
                "The virtual logger could not be started. See whether this computer is online, and try again. {why}"
            ),
            _ => String::new(),
        })
    });
    view! {
        <div class="row">
            <button
                type="button"
                disabled=starting
                on:click=move |_| logger.try_virtual()
            >
                {label}
            </button>
        </div>
        <p class="hint" aria-live="polite">
            {hindrance}
        </p>
    }
}

/// Whether the virtual logger is, or will be, the one that this page deals with; tracked.
fn is_wanted(logger: Logger) -> bool {
    logger
        .virtual_logger
        .with(|state| !matches!(state, Virtual::Off(_)))
}

/// A browser that cannot reach a logger.
#[component]
pub(crate) fn Unsupported(logger: Logger) -> impl IntoView {
    view! {
        <section class="card welcome" aria-label="Connect">
            <h1>"This browser cannot reach a logger"</h1>
            <p>
                "Open this page in Chrome or Edge on a computer: they can talk to a logger over its USB cable. Your logger is fine; nothing was sent to it."
            </p>
            <p>"A virtual logger runs in this browser too: the real firmware on an emulated chip, in this tab."</p>
            <TryVirtual logger />
        </section>
    }
}
