//! What one does to a virtual logger with one's hands: its cable, its power, and taking a new one from the shelf.

use leptos::prelude::*;
use virtual_logger_messages::Command;

use super::dynamic::{flag, text, when, when_else};
use crate::logger::{Cable, Logger, Virtual};

/// There only while a virtual logger is.
#[component]
pub(crate) fn VirtualLogger(logger: Logger) -> impl IntoView {
    when(flag(move || logger.is_virtual()), move || {
        view! { <Bench logger /> }.into_any()
    })
}

#[component]
fn Bench(logger: Logger) -> impl IntoView {
    let cable = move || {
        logger.virtual_logger.with(|state| match state {
            Virtual::There { cable, .. } => Some(*cable),
            _ => None,
        })
    };
    let has_cable = flag(move || cable() == Some(Cable::In));
    let has_no_power = flag(move || cable() == Some(Cable::NoPower));
    let idle = flag(move || !logger.is_updating());
    let hanging = text(move || {
        match cable() {
            Some(Cable::Out) => "The cable is out; the logger goes on with its battery.",
            Some(Cable::NoPower) => "It has no power at all. Plugged in, it starts again.",
            _ => "",
        }
        .into()
    });
    let halted = text(move || {
        logger.virtual_logger.with(|state| match state {
            Virtual::There {
                halted: Some(why), ..
            } => format!(
                "The emulated chip stopped: {why}. That is a mistake in the firmware or the emulator, and worth a report. Cut the power and plug it in to go on."
            ),
            _ => String::new(),
        })
    });
    let not_kept = text(move || {
        if logger.virtual_is_kept.get() {
            String::new()
        } else {
            "This browser keeps nothing for this page: at the next visit the virtual logger is new."
                .into()
        }
    });
    let button = move |name: &'static str, command: Command| {
        view! {
            <button type="button" on:click=move |_| logger.handle_virtual(command)>
                {name}
            </button>
        }
        .into_any()
    };
    let whole = move || {
        view! {
            {button("Start over with a new logger", Command::Renew)}
            <button type="button" on:click=move |_| logger.leave_virtual()>
                "Put it away"
            </button>
        }
        .into_any()
    };
    view! {
        <section class="card" aria-label="Virtual logger">
            <h2>"This is a virtual logger"</h2>
            <p class="soft">
                "The real bootloader and firmware on an emulated chip, in this tab. It remembers everything until you start over. Pull its cable or cut its power whenever you like, also in the middle of an update."
            </p>
            <div class="row">
                {when_else(
                    has_cable,
                    Box::new(move || button("Unplug", Command::Unplug)),
                    Box::new(move || button("Plug in", Command::Plug)),
                )}
                <button
                    type="button"
                    disabled=has_no_power
                    on:click=move |_| logger.handle_virtual(Command::Cut)
                >
                    "Cut the power"
                </button>
                {when(idle, whole)}
            </div>
            <p class="hint" aria-live="polite">
                {hanging}
            </p>
            <p class="note">{halted}</p>
            <p class="note">{not_kept}</p>
        </section>
    }
}
