//! The update, before it begins: which file, and what it will do to this logger.

use alloc::string::{String, ToString};

use host::check::{Direction, Plan};
use host::device::Device;
use protocol::device::{HeldImage, Outcome, Program};
use protocol::image::{Digest, Version};

use super::course::course_view;
use super::firmware_file::firmware_file_picker;
use crate::logger::{Chosen, Firmware, Logger, Offer, Unreadable, Verdict};
use ui::dom::{View, all, button, choose, either, el, live, nothing, when};
use ui::text::{said, say};
use ui::words::{kilobytes, short};

/// Everything about new firmware.
pub(crate) fn update(logger: Logger) -> View {
    el("section")
        .class("card")
        .attr("aria-label", say!("Update"))
        .with([
            choose(
                move || {
                    let waits = logger.program.get() == Program::Bootloader;
                    let version = |image: Option<HeldImage>| Some(image?.version);
                    logger
                        .of_device(|device| Waiting {
                            running: version(device.running),
                            kept: version(device.kept(Program::Bootloader)),
                            direct: device.direct,
                        })
                        .filter(|_| waits && !logger.is_updating())
                },
                move |waiting| all(waiting.iter().map(|waiting| update_mode(logger, waiting))),
            ),
            either(
                move || logger.course.with(Option::is_some),
                move || course_view(logger),
                move || before(logger),
            ),
            when(
                move || !logger.page.is_updating(),
                move || firmware_file_picker(logger),
            ),
            choose(
                move || {
                    let may = logger.program.get() == Program::Application && !logger.is_updating();
                    let device = logger.device.get()?;
                    Some((device.running?, device.previous.filter(|_| may)?))
                },
                move |images| {
                    all(images
                        .iter()
                        .map(|(now, before)| go_back(logger, now, before)))
                },
            ),
        ])
}

/// The way back to the version before, closed until it is wanted.
fn go_back(logger: Logger, now: &HeldImage, before: &HeldImage) -> View {
    let (now, before) = (now.version, before.version);
    el("details").class("back").with([
        el("summary").text(say!("Go back to the version before")),
        el("p").text(say!(
            "{before} ran here before {now}, and the logger keeps it. It restarts for some seconds and tries {before} out; settings and records stay. {now} is kept in its turn.",
            before,
            now
        )),
        el("div").class("row").with([button(move || logger.put_back())
            .flag("disabled", move || !logger.is_connected())
            .text(say!("Go back to {to}", to = before))]),
    ])
}

fn before(logger: Logger) -> View {
    let file = move |(chosen, verdict): &(Chosen, Verdict)| match chosen {
        Chosen::Nothing => nothing(),
        Chosen::Reading(name) => el("p").text(say!("Reading {name}…", name)),
        Chosen::Refused { name, error } => refused(logger, name.as_deref(), unreadable(error)),
        Chosen::Whole { file, .. } => match verdict {
            Verdict::Open => waiting(file),
            Verdict::Checking => el("p").text(say!("Checking {name}…", name = file.name)),
            Verdict::Unchecked => {
                refused(logger, Some(&file.name), unreadable(&Unreadable::NoHelp))
            }
            Verdict::Refused(why) => refused(logger, Some(&file.name), said(why)),
            Verdict::Accepted(plan) => plan_view(logger, file, plan),
        },
    };
    all([
        el("h2").text(say!("New firmware")),
        notes(logger),
        choose(
            move || {
                logger.offer.get().filter(|offer| {
                    logger
                        .page
                        .chosen
                        .with(|chosen| chosen.name() != Some(&*offer.file))
                })
            },
            move |offer| all(offer.iter().map(|offer| offer_view(logger, offer))),
        ),
        choose(
            move || (logger.page.chosen.get(), logger.verdict.get()),
            file,
        ),
    ])
}

/// What the maker has that is newer, one click away.
fn offer_view(logger: Logger, offer: &Offer) -> View {
    let file = offer.file.clone();
    let get = button(move || logger.page.choose_beside(file.clone()))
        .text(say!("Get {version}", version = offer.version));
    el("div").class("note").with([
        el("b").text(say!(
            "{version} is available, published on {date}.",
            version = offer.version,
            date = offer.date
        )),
        el("p").text(offer.notes.clone()),
        el("div").class("row").with([get]),
    ])
}

/// What a logger in update mode has.
#[derive(PartialEq)]
struct Waiting {
    running: Option<Version>,
    kept: Option<Version>,
    direct: bool,
}

/// Why the logger waits in update mode, and what brings it back.
fn update_mode(logger: Logger, waiting: &Waiting) -> View {
    let &Waiting {
        running,
        kept,
        direct,
    } = waiting;
    let why = match (running, kept) {
        (Some(running), _) if direct => say!(
            "This logger waits in update mode for a firmware file. Without one it goes back to {version} after a minute.",
            version = running
        ),
        (Some(running), _) => say!(
            "This logger waits in update mode: {version} was started again and again, and never ran for long. Its settings and records are kept.",
            version = running
        ),
        (None, Some(kept)) => say!(
            "This logger waits in update mode: it has no firmware it can start, but it keeps {version}. Its settings and records are kept.",
            version = kept
        ),
        (None, None) => say!(
            "This logger waits in update mode: it has no firmware it can start. Choose a firmware file to bring it back; its settings and records are kept."
        ),
    };
    let unready = move || !logger.is_connected();
    let put_back = kept.map(|kept| {
        button(move || logger.put_back())
            .class("main")
            .flag("disabled", unready)
            .text(say!("Put {version} back", version = kept))
    });
    let start = running.map(|running| {
        button(move || logger.restart())
            .flag("disabled", unready)
            .text(say!("Start {version} once more", version = running))
    });
    all([
        el("p").class("note").text(why),
        el("div")
            .class("row")
            .with(put_back.into_iter().chain(start)),
    ])
}

/// What the logger remembers of its latest update.
fn notes(logger: Logger) -> View {
    let confirmed = move || {
        logger.confirmed.get().map_or_else(String::new, |version| {
            say!(
                "{version} was new on the logger and on trial. It answers well, so this page confirmed it: it stays.",
                version
            )
        })
    };
    let outcome = move || {
        logger
            .of_device(outcome_words)
            .flatten()
            .unwrap_or_default()
    };
    all([
        el("p").class("note").text(live(confirmed)),
        el("p").class("note").text(live(outcome)),
    ])
}

/// How the latest update ended, when that needs saying.
fn outcome_words(device: &Device) -> Option<String> {
    let running = device.running.map(|running| running.version);
    how_it_ended(device.outcome, running)
}

/// How an update ended with which version running now, when that needs saying.
pub(crate) fn how_it_ended(outcome: Outcome, running: Option<Version>) -> Option<String> {
    let runs = running.map_or_else(String::new, |running| {
        say!("The logger runs {version}.", version = running)
    });
    match outcome {
        Outcome::None | Outcome::Installed(_) => None,
        Outcome::Refused(version, error) => Some(say!(
            "The logger did not install {version}. {reason} {runs}",
            version,
            reason = said(&host::check::explain(error)),
            runs
        )),
        Outcome::Reverted(version) => Some(match running {
            Some(running) => say!(
                "{version} did not start properly; {before} was put back.",
                version,
                before = running
            ),
            None => say!(
                "{version} did not start properly and was taken back.",
                version
            ),
        }),
        Outcome::Unreadable(version) => Some(say!(
            "The logger could not read back its copy of {version}, so it did not install it. {runs} Send it again.",
            version,
            runs
        )),
    }
}

fn unreadable(error: &Unreadable) -> String {
    match error {
        Unreadable::Several => say!("Several files were dropped. Drop one firmware file."),
        Unreadable::Browser => say!(
            "This could not be read: it is a folder, or the file is gone. Choose the .hex or .bin file."
        ),
        Unreadable::NoHelp => say!(
            "The part of this page that checks files could not be loaded. See whether this computer is online, and choose the file again."
        ),
        Unreadable::NotLoaded => say!(
            "It could not be loaded from where this page came from. See whether this computer is online, and try again."
        ),
        Unreadable::File(error) => said(error),
    }
}

fn refused(logger: Logger, name: Option<&str>, reason: String) -> View {
    let heading = name.map_or_else(String::new, |name| say!("{name} cannot be used", name));
    let meaning = move || {
        if logger.is_connected() && logger.program.get() == Program::Application {
            say!("Nothing was sent; the logger goes on recording.")
        } else {
            say!("Nothing was sent.")
        }
    };
    el("div").class("refusal").attr("role", "alert").with([
        el("b").text(heading),
        el("p").text(reason),
        el("p").text(live(meaning)),
    ])
}

/// A file that is whole, before there is a logger.
fn waiting(file: &Firmware) -> View {
    let upload = &file.upload;
    let content = describe(upload.image.len() as u32, upload.digest);
    all([
        el("div").class("files").with([firmware(
            "to",
            file.name.clone(),
            upload.version.to_string(),
            content,
        )]),
        el("p").text(say!(
            "The file is whole. It waits for a logger: connect one, and it is checked against it."
        )),
    ])
}

/// Length and digest of an image.
fn describe(length: u32, digest: Digest) -> String {
    say!(
        "{size} · image {digest}",
        size = kilobytes(length),
        digest = short(digest)
    )
}

/// One firmware, in a box.
fn firmware(class: &'static str, over: String, name: String, under: String) -> View {
    el("div").class(class).with([
        el("span").text(over),
        el("b").text(name),
        el("span").text(under),
    ])
}

/// Now and new, side by side, and the button that begins.
fn plan_view(logger: Logger, file: &Firmware, plan: &Plan) -> View {
    let to = plan.to;
    let model = logger
        .of_device(|device| device.model.clone())
        .unwrap_or_default();
    let (version, held) = match plan.from {
        Some(from) => (from.version.to_string(), describe(from.length, from.digest)),
        None => (say!("none"), say!("no firmware that can start")),
    };
    let sentence = match (plan.direction, plan.from) {
        (Direction::Same, _) => {
            say!("The logger runs exactly this firmware already. There is nothing to do.")
        }
        (Direction::Down, Some(from)) => say!(
            "This is an older version than the one that runs. The logger goes back from {from} to {to} and keeps its settings and records.",
            from = from.version,
            to
        ),
        (_, Some(from)) if plan.no_rollback => say!(
            "The logger stops recording, checks that {to} comes from its maker, and writes it over {from}.",
            from = from.version,
            to
        ),
        (Direction::Sideways, _) => say!(
            "This is another build with the same version number. The logger tries it out and keeps the present one until the new one has proven itself."
        ),
        (_, Some(from)) => say!(
            "The logger records on while {to} is copied, then restarts for some seconds. You may unplug at any time: it keeps {from} until {to} has proven itself.",
            from = from.version,
            to
        ),
        _ => say!(
            "{to} is copied to the logger, checked there and started.",
            to
        ),
    };
    let action = match plan.direction {
        Direction::Same => None,
        Direction::Down => Some(say!("Go back to {to}", to)),
        Direction::First => Some(say!("Install {to}", to)),
        Direction::Up | Direction::Sideways => Some(say!("Update to {to}", to)),
    };
    let new = say!(
        "signed for {model} · at most {pages} pages change · {image}",
        model,
        pages = plan.pages,
        image = describe(plan.length, file.upload.digest)
    );
    let over = if plan.direction == Direction::Down {
        say!("Older")
    } else {
        say!("New")
    };
    let warning = if plan.no_rollback {
        say!(
            "This logger has no room for a second firmware: it cannot go back by itself. Leave it plugged in until the update is done."
        )
    } else {
        String::new()
    };
    let begin = action.map_or_else(nothing, |action| {
        button(move || logger.update())
            .class("main")
            .flag("disabled", move || !logger.is_connected())
            .text(action)
    });
    all([
        el("div").class("files").with([
            firmware("from", say!("Now"), version, held),
            el("span")
                .class("arrow")
                .attr("aria-hidden", "true")
                .text("→"),
            firmware("to", over, to.to_string(), new),
        ]),
        el("p").text(sentence),
        el("p").class("note").text(warning),
        el("div")
            .class("row")
            .with([begin, el("small").text(file.name.clone())]),
    ])
}
