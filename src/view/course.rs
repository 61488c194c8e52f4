//! An update under way, step by step, and how it went. It says "running" only in the logger's own words.

use alloc::string::{String, ToString};

use host::update::UpdateError;

use super::update::how_it_ended;
use crate::logger::{Chosen, Copying, Course, End, Logger};
use ui::dom::{View, all, button, catch_focus, choose, either, el, live, nothing, when, words};
use ui::step::Step;
use ui::text::{said, say};
use ui::words::{decimal, kilobytes, no_connection, seconds, short};

/// Takes the focus when the button that had it is gone.
const HEADING: &str = "course";

/// The steps, what may be done meanwhile, and the end.
pub(crate) fn course_view(logger: Logger) -> View {
    catch_focus(HEADING);
    let outcome = move |end: &Option<End>| match end {
        None => nothing(),
        Some(End::Installed) => el("p")
            .class("note")
            .attr("role", "status")
            .text(live(move || installed(logger))),
        Some(End::Cancelled) => all([
            el("p")
                .class("note")
                .attr("role", "status")
                .text(live(move || of(logger, stopped))),
            again(logger, say!("Go on")),
        ]),
        Some(End::Failed(error)) => all([
            el("div").class("refusal").attr("role", "alert").with([
                el("p").text(failure(error)),
                el("p").text(live(move || what_runs(logger))),
            ]),
            again(logger, say!("Try again")),
        ]),
    };
    let stop = move || {
        el("div").class("row").with([
            button(move || logger.cancel_update()).text(say!("Stop")),
            el("small").text(say!(
                "What the logger has received so far is kept for the next time."
            )),
        ])
    };
    all([
        el("h2")
            .attr("id", HEADING)
            .attr("tabindex", "-1")
            .text(live(move || of(logger, heading))),
        el("p")
            .class("under")
            .text(live(move || of(logger, promise))),
        el("ol")
            .class("steps")
            .with(Step::ALL.map(|step| step_item(logger, step))),
        el("p")
            .class("unseen")
            .attr("aria-live", "polite")
            .text(live(move || of(logger, announcement))),
        either(
            move || of(logger, Course::may_cancel),
            stop,
            || {
                catch_focus(HEADING);
                nothing()
            },
        ),
        choose(
            move || logger.course.with(|course| course.as_ref()?.end.clone()),
            outcome,
        ),
    ])
}

/// Why it did not come to its good end.
fn failure(error: &UpdateError) -> String {
    match error {
        UpdateError::Objection(objection) => said(objection),
        UpdateError::Talk(error) => no_connection(error),
        UpdateError::NotInstalled { outcome, running } => how_it_ended(*outcome, *running)
            .unwrap_or_else(|| say!("The logger did not install the new firmware.")),
        UpdateError::OtherLogger => said(error),
    }
}

/// Reads from the course, tracked; the default when there is none.
fn of<T: Default>(logger: Logger, read: impl FnOnce(&Course) -> T) -> T {
    logger
        .course
        .with(|course| course.as_ref().map(read).unwrap_or_default())
}

fn heading(course: &Course) -> String {
    let to = course.to;
    if course.is_kept {
        return match course.end {
            None => say!("Putting {to} back", to),
            Some(End::Installed) => say!("{to} is back", to),
            Some(End::Cancelled | End::Failed(_)) => say!("{to} could not be put back", to),
        };
    }
    match course.end {
        None => say!("Updating to {to}", to),
        Some(End::Installed) => say!("Updated to {to}", to),
        Some(End::Cancelled) => say!("The update to {to} was stopped", to),
        Some(End::Failed(_)) => say!("The update to {to} did not go through", to),
    }
}

fn promise(course: &Course) -> String {
    if course.end.is_some() {
        return String::new();
    }
    match course.kept_version {
        Some(from) => say!(
            "You may unplug at any time: the logger keeps {from} until {to} has proven itself.",
            from,
            to = course.to
        ),
        None if course.is_kept => say!(
            "You may unplug at any time: the logger goes on by itself as soon as it has power."
        ),
        None => say!(
            "Should the cable come out, plug it in again: the logger waits in update mode and takes the firmware again."
        ),
    }
}

/// What a screen reader says when a phase begins.
fn announcement(course: &Course) -> String {
    if course.end.is_some() {
        return String::new();
    }
    match (course.step, course.copying) {
        (_, Copying::Unplugged) => unplugged(course),
        (step, _) => title(step, course, State::Now),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Done,
    Now,
    Todo,
}

fn state(step: Step, course: &Course) -> State {
    if (step as usize) < course.took.len() {
        State::Done
    } else if step == course.step && course.end.is_none() {
        State::Now
    } else {
        State::Todo
    }
}

fn title(step: Step, course: &Course, state: State) -> String {
    let now = state == State::Now;
    match step {
        Step::Checked => say!("File checked"),
        Step::Copied if now => say!("Copying to the logger"),
        Step::Copied => say!("Copied to the logger"),
        Step::Restarted if now => say!("Restarting"),
        Step::Restarted => say!("Restarted"),
        Step::Installed if now => say!("Checking again and installing"),
        Step::Installed => say!("Checked again and installed"),
        Step::Started => say!("First start of {version}", version = course.to),
        Step::Confirmed if now => say!("Confirming"),
        Step::Confirmed => say!("Confirmed by this page"),
    }
}

fn step_item(logger: Logger, step: Step) -> View {
    let state = move || of(logger, |course| Some(state(step, course))).unwrap_or(State::Todo);
    let by_state = move |done: &'static str, now: &'static str, todo: &'static str| {
        live(move || {
            match state() {
                State::Done => done,
                State::Now => now,
                State::Todo => todo,
            }
            .into()
        })
    };
    let is_done = move || match state() {
        State::Done => say!("(done)"),
        _ => String::new(),
    };
    let detail =
        move || of(logger, |course| detail(logger, step, course, state())).unwrap_or_default();
    let time = move || {
        of(logger, |course| match state() {
            State::Done => course.took.get(step as usize).copied().map(seconds),
            State::Now => Some(seconds(course.elapsed)),
            State::Todo => None,
        })
        .unwrap_or_default()
    };
    let is_left_out = move || step <= Step::Copied && of(logger, |course| course.is_kept);
    el("li")
        .flag("hidden", is_left_out)
        .attr("data-step", step.name())
        .attr("data-state", by_state("done", "now", "todo"))
        .attr("aria-current", by_state("false", "step", "false"))
        .with([
            el("span").class("dot").attr("aria-hidden", "true").with([]),
            el("div").with([
                words(live(move || {
                    of(logger, |course| title(step, course, state()))
                })),
                words(" "),
                el("span").class("unseen").text(live(is_done)),
                el("small").text(live(detail)),
                when(
                    move || step == Step::Copied && state() == State::Now,
                    move || bar(logger),
                ),
            ]),
            el("span").class("n").text(live(time)),
        ])
}

fn detail(logger: Logger, step: Step, course: &Course, state: State) -> Option<String> {
    match (step, state) {
        (_, State::Now) if course.copying == Copying::Unplugged => Some(unplugged(course)),
        (Step::Checked, _) => {
            let model = logger.of_device(|device| device.model.clone())?;
            logger.page.chosen.with(|chosen| match chosen {
                Chosen::Whole { file, .. } => {
                    Some(say!("{name}, signed for {model}", name = file.name, model))
                }
                _ => None,
            })
        }
        (Step::Copied, State::Now) => Some(match course.copying {
            Copying::Preparing => say!("the logger restarts into update mode"),
            Copying::Sending { rate } => sending(course, rate),
            Copying::Unplugged | Copying::ReadingBack => {
                say!("the logger reads back what it received")
            }
        }),
        (Step::Copied, State::Done) => Some(match course.kept_version {
            Some(_) => say!(
                "{size}, kept beside the firmware that ran",
                size = kilobytes(course.total)
            ),
            None => kilobytes(course.total),
        }),
        (Step::Copied, State::Todo) if course.end.is_some() => {
            Some(say!("stopped at {percent} %", percent = course.percent()))
        }
        (Step::Installed, _) => Some(say!("signature, hardware and version, then page by page")),
        _ => None,
    }
}

/// How far it is, how fast, and how long it still takes.
fn sending(course: &Course, rate: Option<f64>) -> String {
    let amount = amount(course);
    match rate.filter(|rate| *rate > 0.0) {
        None => amount,
        Some(rate) => {
            let left = f64::from(course.total.saturating_sub(course.kept)) / rate;
            say!(
                "{amount} · {rate} KB/s · about {left} left",
                amount,
                rate = decimal(rate / 1024.0, 0),
                left = seconds(left.max(0.1))
            )
        }
    }
}

fn amount(course: &Course) -> String {
    say!(
        "{kept} of {total}",
        kept = decimal(f64::from(course.kept) / 1024.0, 1),
        total = kilobytes(course.total)
    )
}

fn unplugged(course: &Course) -> String {
    let percent = course.percent();
    match course.kept_version {
        _ if course.step != Step::Copied => {
            say!("The cable came out. The logger is fine. Plug it in again, and it goes on.")
        }
        Some(from) => say!(
            "The cable came out at {percent} %. The logger is fine and keeps {from}. Plug it in again and the copy goes on from {percent} %.",
            percent,
            from
        ),
        None => say!(
            "The cable came out at {percent} %. The logger is fine. Plug it in again and the copy goes on from {percent} %.",
            percent
        ),
    }
}

/// How much of the image the logger keeps safe.
fn bar(logger: Logger) -> View {
    let number = move |read: fn(&Course) -> u32| live(move || of(logger, read).to_string());
    el("div")
        .class("bar")
        .attr("role", "progressbar")
        .attr("aria-label", say!("Copied to the logger"))
        .attr("aria-valuemin", "0")
        .attr("aria-valuemax", number(|course| course.total))
        .attr("aria-valuenow", number(|course| course.kept))
        .attr("aria-valuetext", live(move || of(logger, amount)))
        .with([el("i")
            .style("width", move || {
                [&of(logger, Course::percent).to_string(), "%"].concat()
            })
            .with([])])
}

/// What the logger itself reports.
fn installed(logger: Logger) -> String {
    let running = logger.of_device(|device| device.running).flatten();
    running.map_or_else(String::new, |running| {
        say!(
            "{version} is running and confirmed. The logger itself reports this, and the image {digest}.",
            version = running.version,
            digest = short(running.digest)
        )
    })
}

/// What a stopped update means.
fn stopped(course: &Course) -> String {
    let percent = course.percent();
    match course.kept_version {
        Some(from) => say!(
            "You stopped at {percent} %. The logger keeps {from}. Started again, the copy goes on from there.",
            percent,
            from
        ),
        None => say!(
            "You stopped at {percent} %. The logger waits in update mode. Started again, the copy goes on from there.",
            percent
        ),
    }
}

/// What runs after an update that failed, when the logger answers.
fn what_runs(logger: Logger) -> String {
    let running = logger.of_device(|device| device.running).flatten();
    match running.filter(|_| logger.is_connected()) {
        Some(running) => say!(
            "Now the logger answers and runs {version}.",
            version = running.version
        ),
        None => String::new(),
    }
}

/// The way to begin once more, while the logger would take it.
fn again(logger: Logger, label: String) -> View {
    when(
        move || {
            logger.is_connected() && logger.is_accepted() && !of(logger, |course| course.is_kept)
        },
        move || {
            el("div").class("row").with([button(move || logger.update())
                .class("main")
                .text(label.clone())])
        },
    )
}
