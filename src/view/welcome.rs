//! What is there before a logger is: one sentence, one way in.

use leptos::prelude::*;

use super::dynamic::{flag, text};
use super::words::no_connection;
use crate::logger::{Connection, Hindrance, Logger};

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
                disabled=connecting
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

/// A browser that cannot reach a logger.
#[component]
pub(crate) fn Unsupported() -> impl IntoView {
    view! {
        <section class="card welcome" aria-label="Connect">
            <h1>"This browser cannot reach a logger"</h1>
            <p>
                "Open this page in Chrome or Edge on a computer: they can talk to a logger over its USB cable. Your logger is fine; nothing was sent to it."
            </p>
        </section>
    }
}
