//! The update, before it begins: which file, and what it will do to this logger.

use std::sync::Arc;

use host::check::{Direction, Plan};
use host::firmware_file::FirmwareFile;
use leptos::prelude::*;
use protocol::device::{Outcome, Program};
use protocol::image::Digest;

use super::course::CourseView;
use super::dynamic::{flag, follow, text, when, when_else};
use super::firmware_file::FirmwareFilePicker;
use super::words::{kilobytes, short};
use crate::logger::{Chosen, Logger, Unreadable};

/// Everything about new firmware.
#[component]
pub(crate) fn Update(logger: Logger) -> impl IntoView {
    let has_course = flag(move || logger.course.with(Option::is_some));
    let idle = flag(move || !logger.is_updating());
    view! {
        <section class="card" aria-label="Update">
            {when_else(
                has_course,
                Box::new(move || view! { <CourseView logger /> }.into_any()),
                Box::new(move || view! { <Before logger /> }.into_any()),
            )}
            {when(idle, move || view! { <FirmwareFilePicker logger /> }.into_any())}
        </section>
    }
}

#[component]
fn Before(logger: Logger) -> impl IntoView {
    let file = move || match logger.chosen.get() {
        Chosen::Nothing => ().into_any(),
        Chosen::Reading(name) => view! { <p>"Reading "{name}"…"</p> }.into_any(),
        Chosen::Refused { name, error } => {
            view! { <Refused logger name words=unreadable(&error) /> }.into_any()
        }
        Chosen::Whole { file, .. } => match logger.plan.get() {
            None => view! { <Waiting file /> }.into_any(),
            Some(Ok(plan)) => view! { <PlanView logger file plan /> }.into_any(),
            Some(Err(objection)) => {
                let name = Some(file.name.clone());
                view! { <Refused logger name words=objection.to_string() /> }.into_any()
            }
        },
    };
    view! {
        <h2>"New firmware"</h2>
        <Notes logger />
        {follow(Box::new(file))}
    }
}

/// What the logger remembers of its latest update, and what it is in for.
#[component]
fn Notes(logger: Logger) -> impl IntoView {
    let update_mode = text(move || {
        if logger.program.get() != Program::Bootloader {
            return String::new();
        }
        let goes_on = logger.device.with(|device| {
            let device = device.as_ref()?;
            Some(device.running.filter(|_| device.direct))
        });
        match goes_on {
            None => String::new(),
            Some(Some(running)) => format!(
                "This logger waits in update mode for a firmware file. Without one it goes back to {} after a minute.",
                running.version
            ),
            Some(None) => "This logger waits in update mode: it has no firmware it can start. Choose a firmware file to bring it back; its settings and records are kept.".into(),
        }
    });
    let confirmed = text(move || {
        logger.confirmed.get().map_or_else(String::new, |version| {
            format!("{version} was new on the logger and on trial. It answers well, so this page confirmed it: it stays.")
        })
    });
    let outcome = text(move || {
        logger
            .device
            .with(|device| device.as_ref().and_then(outcome_words))
            .unwrap_or_default()
    });
    view! {
        <p class="note">{update_mode}</p>
        <p class="note">{confirmed}</p>
        <p class="note">{outcome}</p>
    }
}

/// How the latest update ended, when that needs saying.
fn outcome_words(device: &host::device::Device) -> Option<String> {
    let runs = match device.running {
        Some(running) => format!("The logger runs {}.", running.version),
        None => String::new(),
    };
    match device.outcome {
        Outcome::None | Outcome::Installed(_) => None,
        Outcome::Refused(version, error) => Some(format!(
            "The logger did not install {version}. {} {runs}",
            host::check::explain(error)
        )),
        Outcome::Reverted(version) => Some(match device.running {
            Some(running) => format!(
                "{version} did not start properly; {} was put back.",
                running.version
            ),
            None => format!("{version} did not start properly and was taken back."),
        }),
        Outcome::Unreadable(version) => Some(format!(
            "The logger could not read back its copy of {version}, so it did not install it. {runs} Send it again."
        )),
    }
}

fn unreadable(error: &Unreadable) -> String {
    match error {
        Unreadable::Several => "Several files were dropped. Drop one firmware file.".into(),
        Unreadable::Browser => {
            "This could not be read: it is a folder, or the file is gone. Choose the .hex or .bin file."
                .into()
        }
        Unreadable::NotLoaded => {
            "It could not be loaded from where this page came from. See whether this computer is online, and try again.".into()
        }
        Unreadable::File(error) => error.to_string(),
    }
}

#[component]
fn Refused(logger: Logger, name: Option<String>, words: String) -> impl IntoView {
    let heading = name.map_or_else(String::new, |name| format!("{name} cannot be used"));
    let meaning = text(move || {
        if logger.is_connected() && logger.program.get() == Program::Application {
            "Nothing was sent; the logger goes on recording.".into()
        } else {
            "Nothing was sent.".into()
        }
    });
    view! {
        <div class="refusal" role="alert">
            <b>{heading}</b>
            <p>{words}</p>
            <p>{meaning}</p>
        </div>
    }
}

/// A file that is whole, before there is a logger.
#[component]
fn Waiting(file: Arc<FirmwareFile>) -> impl IntoView {
    let content = describe(file.image().len() as u32, file.digest());
    view! {
        <div class="files">
            <Firmware class="to" over=file.name.clone() name=file.version().to_string() under=content />
        </div>
        <p>"The file is whole. It waits for a logger: connect one, and it is checked against it."</p>
    }
}

/// Length and digest of an image.
fn describe(length: u32, digest: Digest) -> String {
    format!("{} · image {}", kilobytes(length), short(digest))
}

/// One firmware, in a box.
#[component]
fn Firmware(class: &'static str, over: String, name: String, under: String) -> impl IntoView {
    view! {
        <div class=class>
            <span>{over}</span>
            <b>{name}</b>
            <span>{under}</span>
        </div>
    }
}

/// Now and new, side by side, and the button that begins.
#[component]
fn PlanView(logger: Logger, file: Arc<FirmwareFile>, plan: Plan) -> impl IntoView {
    let to = plan.to;
    let model = logger
        .device
        .with_untracked(|device| device.as_ref().map(|device| device.model.clone()))
        .unwrap_or_default();
    let (version, held) = match plan.from {
        Some(from) => (from.version.to_string(), describe(from.length, from.digest)),
        None => ("none".into(), "no firmware that can start".into()),
    };
    let sentence = match (plan.direction, plan.from) {
        (Direction::Same, _) => {
            "The logger runs exactly this firmware already. There is nothing to do.".to_string()
        }
        (Direction::Down, Some(from)) => format!(
            "This is an older version than the one that runs. The logger goes back from {} to {to} and keeps its settings and records.",
            from.version
        ),
        (_, Some(from)) if plan.no_rollback => format!(
            "The logger stops recording, checks that {to} comes from its maker, and writes it over {}.",
            from.version
        ),
        (Direction::Sideways, _) => "This is another build with the same version number. The logger tries it out and keeps the present one until the new one has proven itself.".to_string(),
        (_, Some(from)) => format!(
            "The logger records on while {to} is copied, then restarts for some seconds. You may unplug at any time: it keeps {} until {to} has proven itself.",
            from.version
        ),
        _ => format!("{to} is copied to the logger, checked there and started."),
    };
    let action = match plan.direction {
        Direction::Same => None,
        Direction::Down => Some(format!("Go back to {to}")),
        Direction::First => Some(format!("Install {to}")),
        Direction::Up | Direction::Sideways => Some(format!("Update to {to}")),
    };
    let new = format!(
        "signed for {model} · {}",
        describe(plan.length, file.digest())
    );
    let over = if plan.direction == Direction::Down {
        "Older"
    } else {
        "New"
    };
    let warning = if plan.no_rollback {
        "This logger has no room for a second firmware: it cannot go back by itself. Leave it plugged in until the update is done."
    } else {
        ""
    };
    let button = action.map(|action| {
        view! {
            <button
                type="button"
                class="main"
                disabled=flag(move || !logger.is_connected())
                on:click=move |_| logger.update()
            >
                {action}
            </button>
        }
    });
    view! {
        <div class="files">
            <Firmware class="from" over="Now".into() name=version under=held />
            <span class="arrow" aria-hidden="true">
                "→"
            </span>
            <Firmware class="to" over=over.into() name=to.to_string() under=new />
        </div>
        <p>{sentence}</p>
        <p class="note">{warning}</p>
        <div class="row">{button} <small>{file.name.clone()}</small></div>
    }
}
