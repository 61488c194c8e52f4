//! An update under way, step by step, and how it went. It says "running" only in the logger's own words.

use leptos::prelude::*;

use super::dynamic::{flag, follow, text, when};
use super::words::{decimal, kilobytes, seconds, short};
use crate::logger::{Chosen, Copying, Course, End, Logger, Step};

/// The steps, what may be done meanwhile, and the end.
#[component]
pub(crate) fn CourseView(logger: Logger) -> impl IntoView {
    let end = Memo::new(move |_| logger.course.with(|course| course.as_ref()?.end.clone()));
    let outcome = move || match end.get() {
        None => ().into_any(),
        Some(End::Installed) => view! { <Installed logger /> }.into_any(),
        Some(End::Cancelled) => view! {
            <p class="note" role="status">
                {of(logger, stopped)}
            </p>
            <Again logger label="Go on" />
        }
        .into_any(),
        Some(End::Failed(error)) => view! {
            <div class="refusal" role="alert">
                <p>{error.to_string()}</p>
                <p>{what_runs(logger)}</p>
            </div>
            <Again logger label="Try again" />
        }
        .into_any(),
    };
    let stop = move || {
        view! {
            <div class="row">
                <button type="button" on:click=move |_| logger.cancel_update()>
                    "Stop"
                </button>
                <small>"What the logger has received so far is kept for the next time."</small>
            </div>
        }
        .into_any()
    };
    view! {
        <h2>{text(move || of(logger, heading))}</h2>
        <p class="under">{text(move || of(logger, promise))}</p>
        <ol class="steps">
            {Step::ALL.map(|step| view! { <StepItem logger step /> }).into_iter().collect_view()}
        </ol>
        <p class="unseen" aria-live="polite">
            {text(move || of(logger, announcement))}
        </p>
        {when(flag(move || of(logger, Course::may_cancel)), stop)}
        {follow(Box::new(outcome))}
    }
}

/// Reads from the course, tracked; the default when there is none.
fn of<T: Default>(logger: Logger, read: impl FnOnce(&Course) -> T) -> T {
    logger
        .course
        .with(|course| course.as_ref().map(read).unwrap_or_default())
}

fn heading(course: &Course) -> String {
    match course.end {
        None => format!("Updating to {}", course.to),
        Some(End::Installed) => format!("Updated to {}", course.to),
        Some(End::Cancelled) => format!("The update to {} was stopped", course.to),
        Some(End::Failed(_)) => format!("The update to {} did not go through", course.to),
    }
}

fn promise(course: &Course) -> String {
    if course.end.is_some() {
        return String::new();
    }
    match course.kept_version {
        Some(from) => format!(
            "You may unplug at any time: the logger keeps {from} until {} has proven itself.",
            course.to
        ),
        _ => "Should the cable come out, plug it in again: the logger waits in update mode and takes the firmware again.".into(),
    }
}

/// What a screen reader says when a phase begins.
fn announcement(course: &Course) -> String {
    if course.end.is_some() {
        return String::new();
    }
    match (course.step, course.copying) {
        (Step::Copied, Copying::Unplugged) => unplugged(course),
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
        Step::Checked => "File checked".into(),
        Step::Copied if now => "Copying to the logger".into(),
        Step::Copied => "Copied to the logger".into(),
        Step::Restarted if now => "Restarting".into(),
        Step::Restarted => "Restarted".into(),
        Step::Installed if now => "Checking again and installing".into(),
        Step::Installed => "Checked again and installed".into(),
        Step::Started => format!("First start of {}", course.to),
        Step::Confirmed if now => "Confirming".into(),
        Step::Confirmed => "Confirmed by this page".into(),
    }
}

#[component]
fn StepItem(logger: Logger, step: Step) -> impl IntoView {
    let name = match step {
        Step::Checked => "checked",
        Step::Copied => "copied",
        Step::Restarted => "restarted",
        Step::Installed => "installed",
        Step::Started => "started",
        Step::Confirmed => "confirmed",
    };
    let state = move || of(logger, |course| Some(state(step, course))).unwrap_or(State::Todo);
    let by_state = move |done: &'static str, now: &'static str, todo: &'static str| {
        text(move || {
            match state() {
                State::Done => done,
                State::Now => now,
                State::Todo => todo,
            }
            .into()
        })
    };
    let title = text(move || of(logger, |course| title(step, course, state())));
    let detail = text(move || {
        of(logger, |course| detail(logger, step, course, state())).unwrap_or_default()
    });
    let time = text(move || {
        of(logger, |course| match state() {
            State::Done => course.took.get(step as usize).copied().map(seconds),
            State::Now => Some(seconds(course.elapsed)),
            State::Todo => None,
        })
        .unwrap_or_default()
    });
    let copying = flag(move || step == Step::Copied && state() == State::Now);
    view! {
        <li
            data-step=name
            data-state=by_state("done", "now", "todo")
            aria-current=by_state("false", "step", "false")
        >
            <span class="dot" aria-hidden="true"></span>
            <div>
                {title} <span class="unseen">{by_state(" (done)", "", "")}</span>
                <small>{detail}</small>
                {when(copying, move || view! { <Bar logger /> }.into_any())}
            </div>
            <span class="n">{time}</span>
        </li>
    }
}

fn detail(logger: Logger, step: Step, course: &Course, state: State) -> Option<String> {
    match (step, state) {
        (Step::Checked, _) => {
            let model = logger
                .device
                .with(|device| device.as_ref().map(|device| device.model.clone()))?;
            logger.chosen.with(|chosen| match chosen {
                Chosen::Whole { file, .. } => Some(format!("{}, signed for {model}", file.name)),
                _ => None,
            })
        }
        (Step::Copied, State::Now) => Some(match course.copying {
            Copying::Preparing => "the logger restarts into update mode".into(),
            Copying::Sending { rate } => sending(course, rate),
            Copying::Unplugged => unplugged(course),
            Copying::ReadingBack => "the logger reads back what it received".into(),
        }),
        (Step::Copied, State::Done) => Some(match course.kept_version {
            Some(_) => format!(
                "{}, kept beside the firmware that ran",
                kilobytes(course.total)
            ),
            None => kilobytes(course.total),
        }),
        (Step::Copied, State::Todo) if course.end.is_some() => {
            Some(format!("stopped at {} %", course.percent()))
        }
        (Step::Installed, _) => Some("signature, hardware and version, then page by page".into()),
        _ => None,
    }
}

/// How far it is, how fast, and how long it still takes.
fn sending(course: &Course, rate: Option<f64>) -> String {
    let mut text = amount(course);
    if let Some(rate) = rate.filter(|rate| *rate > 0.0) {
        let left = f64::from(course.total.saturating_sub(course.kept)) / rate;
        text += &format!(
            " · {} KB/s · about {} left",
            decimal(rate / 1024.0, 0),
            seconds(left.max(0.1))
        );
    }
    text
}

fn amount(course: &Course) -> String {
    format!(
        "{} of {}",
        decimal(f64::from(course.kept) / 1024.0, 1),
        kilobytes(course.total)
    )
}

fn unplugged(course: &Course) -> String {
    format!(
        "The cable came out at {percent} %. The logger is fine{}. Plug it in again and the copy goes on from {percent} %.",
        course
            .kept_version
            .map(|from| format!(" and keeps {from}"))
            .unwrap_or_default(),
        percent = course.percent(),
    )
}

/// How much of the image the logger keeps safe.
#[component]
fn Bar(logger: Logger) -> impl IntoView {
    let number = move |read: fn(&Course) -> u32| text(move || of(logger, read).to_string());
    view! {
        <div
            class="bar"
            role="progressbar"
            aria-label="Copied to the logger"
            aria-valuemin="0"
            aria-valuemax=number(|course| course.total)
            aria-valuenow=number(|course| course.kept)
            aria-valuetext=text(move || of(logger, amount))
        >
            <i style:width=text(move || format!("{}%", of(logger, Course::percent)))></i>
        </div>
    }
}

/// What the logger itself reports.
#[component]
fn Installed(logger: Logger) -> impl IntoView {
    let report = text(move || {
        let running = logger.device.with(|device| device.as_ref()?.running);
        running.map_or_else(String::new, |running| {
            format!(
                "{} is running and confirmed. The logger itself reports this, and the image {}.",
                running.version,
                short(running.digest)
            )
        })
    });
    view! {
        <p class="note" role="status">
            {report}
        </p>
    }
}

/// What a stopped update means.
fn stopped(course: &Course) -> String {
    format!(
        "You stopped at {} %.{} Started again, the copy goes on from there.",
        course.percent(),
        course
            .kept_version
            .map_or(" The logger waits in update mode.".into(), |from| format!(
                " The logger keeps {from}."
            ))
    )
}

/// What runs after an update that failed, when the logger answers.
fn what_runs(logger: Logger) -> Signal<String> {
    text(move || {
        let running = logger.device.with(|device| device.as_ref()?.running);
        match running.filter(|_| logger.is_connected()) {
            Some(running) => format!("Now the logger answers and runs {}.", running.version),
            None => String::new(),
        }
    })
}

/// The way to begin once more, while the logger would take it.
#[component]
fn Again(logger: Logger, label: &'static str) -> impl IntoView {
    let possible =
        flag(move || logger.is_connected() && logger.plan.with(|plan| matches!(plan, Some(Ok(_)))));
    let button = move || {
        view! {
            <div class="row">
                <button type="button" class="main" on:click=move |_| logger.update()>
                    {label}
                </button>
            </div>
        }
        .into_any()
    };
    when(possible, button)
}
