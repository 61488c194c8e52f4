//! How an update works: its steps in plain words, each with what happens if the plug is pulled just then. It follows what
//! the page knows of the update under way, and never says that a step is taken which the page has not seen.
//!
//! The picture of the memory is the page's; this stands beside it. What is said here of the logger is explained in
//! `docs/update.md`.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use ui::dom::{View, all, button, either, el, live, when, words};
use ui::signal::{Changes, Signal};
use ui::step::Step;
use ui::task::spawn;
use ui::text::say;
use virtual_logger_messages::Command;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

use crate::logger::Logger;

/// How an update stands.
#[derive(Default)]
pub(crate) struct Update {
    /// The step under way.
    pub(crate) step: Option<Step>,
    /// It came to its good end.
    pub(crate) is_done: bool,
    /// The logger kept its image: nothing is checked here or copied.
    pub(crate) is_kept: bool,
    /// The logger has room for one image only.
    pub(crate) is_direct: bool,
    /// What was done last to the virtual logger's cable; none when it is a real one.
    pub(crate) cable: Option<Command>,
}

/// The whole of it, closed until it is wanted.
pub(crate) fn how(logger: Logger, changes: &Changes) -> View {
    let slow: &'static Signal<bool> = Box::leak(Box::new(Signal::new(changes, false)));
    let is = move |read: fn(&Update) -> bool| move || logger.update.with(read);
    el("details")
        .class("card how")
        .with([
            el("summary").with([el("h2").text(say!("How an update works"))]),
            either(
                is(|update| update.cable.is_some()),
                move || hands(logger, slow),
                move || {
                    slow.set(false);
                    el("p").class("soft").text(say!(
                        "The steps below are marked as your logger takes them. With the virtual logger you can pull the plug at each of them and see what happens."
                    ))
                },
            ),
            either(
                is(|update| update.is_direct),
                direct,
                move || in_steps(logger),
            ),
        ])
}

/// Opens it in the place where it is shown, and goes there.
pub(crate) fn explain(place: &Element) {
    let place = place.clone();
    // What is being made is in the page only then.
    spawn(async move {
        let Some(details) = place.first_element_child() else {
            return;
        };
        // It fails for what is no name of an attribute.
        let _ = details.set_attribute("open", "");
        if let Some(summary) = details.first_element_child() {
            // Without focus it is still open.
            let _ = summary.unchecked_into::<HtmlElement>().focus();
        }
    });
}

/// What one does to a virtual logger while one looks on.
fn hands(logger: Logger, slow: &'static Signal<bool>) -> View {
    let cable = move || logger.update.with(|update| update.cable);
    // One button with two names keeps the focus.
    let plug = move || match cable() {
        Some(Command::Plug) => Command::Unplug,
        _ => Command::Plug,
    };
    all([
        el("p").class("soft").with([
            when(
                move || logger.update.with(|update| update.step.is_none()),
                || words(say!("Start the sample update above and follow it here.")),
            ),
            words(" "),
            words(say!(
                "Pull the plug or cut the power at any step: that is what this logger is for."
            )),
        ]),
        el("div").class("row").with([
            button(move || logger.handle(plug())).text(live(move || match plug() {
                Command::Unplug => say!("Unplug"),
                _ => say!("Plug in"),
            })),
            button(move || logger.handle(Command::Cut))
                .flag("disabled", move || cable() == Some(Command::Cut))
                .text(say!("Cut the power")),
            button(move || {
                let is_slow = !slow.get();
                slow.set(is_slow);
                logger.handle(if is_slow {
                    Command::Slow
                } else {
                    Command::Swift
                });
            })
            .attr(
                "aria-pressed",
                live(move || if slow.get() { "true" } else { "false" }.into()),
            )
            .text(say!("Slow motion")),
        ]),
    ])
}

/// A logger with one place for firmware.
fn direct() -> View {
    all([
        el("p").text(say!(
            "This logger has room for one firmware. It restarts into its bootloader, a small program that no update changes; the bootloader checks who signed the new firmware, writes it over the old one page by page, and starts it only when all of it is there."
        )),
        pulled(say!(
            "The bootloader stays as it is and waits in update mode. Plug it in again, and what is missing is written."
        )),
    ])
}

fn in_steps(logger: Logger) -> View {
    let is_still = move || logger.update.with(|update| update.step.is_none());
    all([
        when(is_still, || {
            part(
                say!("One runs, others are kept"),
                say!(
                    "The firmware that runs is in the flash memory. A second memory has three slots: for a copy of what runs, for the version before, and for what comes next. Nothing is written over the only good copy."
                ),
                say!("Nothing is under way. With its battery the logger goes on recording."),
            )
        }),
        el("ol")
            .class("steps")
            .with(Step::ALL.map(|step| step_item(logger, step))),
        when(
            move || is_still() || logger.update.with(|update| update.is_kept),
            || {
                part(
                    say!("The way back"),
                    say!(
                        "Firmware on trial that does not start, hangs or never answers is given three starts. Then the bootloader puts the one before back from its slot, and the logger remembers why. “Go back to the version before” is the same way, taken because you want it: with a trial, and with nothing to copy."
                    ),
                    say!("Both are kept until the end. With power it goes on where it was."),
                )
            },
        ),
    ])
}

fn part(heading: String, what: String, plug: String) -> View {
    el("section")
        .class("part")
        .with([el("h3").text(heading), el("p").text(what), pulled(plug)])
}

/// What happens if the plug is pulled now.
fn pulled(what: String) -> View {
    el("p").class("pulled").with([
        el("b").text(say!("If the plug is pulled now:")),
        words(" "),
        words(what),
    ])
}

fn step_item(logger: Logger, step: Step) -> View {
    let of = move |read: fn(&Update, Step) -> bool| move || logger.update.with(|u| read(u, step));
    let is_now = of(|update, step| update.step == Some(step));
    let is_past = of(|update, step| update.is_done || update.step.is_some_and(|now| now > step));
    let is_closed = of(|update, step| update.step.is_some_and(|now| now != step));
    let state = move || {
        match () {
            () if is_now() => "now",
            () if is_past() => "done",
            () if is_closed() => "todo",
            () => "rest",
        }
        .into()
    };
    let is_out = of(|update, step| {
        update.is_kept && step <= Step::Copied && (update.is_done || update.step.is_some())
    });
    let (heading, what, plug) = told(step);
    el("li")
        .flag("hidden", is_out)
        .attr("data-stage", step.name())
        .attr("data-state", live(state))
        .attr(
            "aria-current",
            live(move || if is_now() { "step" } else { "false" }.into()),
        )
        .with([
            el("span").class("dot").attr("aria-hidden", "true").with([]),
            el("div").with([
                el("h3").with([
                    words(heading),
                    words(" "),
                    el("span").class("unseen").text(live(move || {
                        if is_past() {
                            say!("(done)")
                        } else {
                            String::new()
                        }
                    })),
                ]),
                el("div")
                    .flag("hidden", is_closed)
                    .with(Vec::from([el("p").text(what), pulled(plug)])),
            ]),
        ])
}

/// Its heading, what the logger does, and what a pulled plug does to that.
fn told(step: Step) -> (String, String, String) {
    match step {
        Step::Checked => (
            say!("The file is checked, here"),
            say!(
                "Is it whole, signed by the logger's maker, and made for this hardware? The page asks that before it sends a byte, and the logger asks it again."
            ),
            say!("Nothing was sent. The file waits here until the logger is back."),
        ),
        Step::Copied => (
            say!("Copied into a free slot"),
            say!(
                "The old firmware runs on and records. What arrives goes into a free slot (“Received” in the picture). When all is there the logger reads it back, checks it and seals the slot; without its seal a slot counts as empty."
            ),
            say!(
                "What has arrived is kept, and the copy goes on from there. If all power went, it begins again."
            ),
        ),
        Step::Restarted => (
            say!("Noted, and restarted"),
            say!(
                "The logger notes that an update waits, and restarts into its bootloader: a small program in locked memory (striped in the picture) that no update changes."
            ),
            say!(
                "The note was written or it was not. At its next start the logger installs the new firmware, or runs the old one."
            ),
        ),
        Step::Installed => (
            say!("Checked again, and installed page by page"),
            say!(
                "The bootloader checks signature, hardware and version once more, and sees that the old firmware is safe in a slot of its own. Then it compares flash with the slot and writes the pages that differ."
            ),
            say!(
                "With its battery it simply goes on. If all power went, flash is partly old and partly new, and nothing of it is started: with power the copy goes on at the first page that differs."
            ),
        ),
        Step::Started => (
            say!("On trial"),
            say!(
                "The new firmware runs and records, but it may not stay yet. It has to answer this page within 90 seconds, else it restarts; after three starts the old one is put back."
            ),
            say!(
                "The trial goes on without this page. Plug it in again within three starts, and the page confirms it; later, the old firmware is back."
            ),
        ),
        Step::Confirmed => (
            say!("Confirmed"),
            say!(
                "The page asked for version and image, found them to be those of the file, and told the logger to keep them. What ran before stays in its slot (“Before” in the picture)."
            ),
            say!("It is done. Nothing is under way any more."),
        ),
    }
}
