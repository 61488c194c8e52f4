//! Several loggers: a small card for each, of which one is looked at below, and what can be done to all of them at once.
//! Where there is only one, nothing of this is seen but the way to add another.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::device_card::{HEADING, name, state};
use super::hindrance::hindrance;
use crate::link::serial::serial;
use crate::logger::{Chosen, Course, End, Logger, Page, Verdict};
use ui::dom::{View, all, button, catch_focus, choose, el, live, nothing, when};
use ui::text::{said, say};

/// Takes the focus when a card is gone.
const CARDS: &str = "cards";

/// The way to one more logger, while there is one already.
pub(crate) fn add_button(page: Page) -> View {
    let may_add = move || serial().is_some() && additional(page).is_some();
    when(may_add, move || {
        button(move || {
            if let Some(logger) = additional(page) {
                logger.connect();
            }
        })
        .text(say!("Add a logger"))
    })
}

/// All loggers, when there are several, and why one more could not be added.
pub(crate) fn fleet(page: Page) -> View {
    all([
        choose(
            move || additional(page),
            |logger| all(logger.iter().map(|logger| hindrance(*logger))),
        ),
        when(
            move || page.known().len() > 1,
            move || {
                el("section")
                    .class("card fleet")
                    .attr("aria-label", say!("Loggers"))
                    .with([
                        choose(
                            move || page.known(),
                            move |loggers| {
                                let cards = loggers.iter().map(|logger| card(page, *logger));
                                el("ul")
                                    .attr("id", CARDS)
                                    .attr("tabindex", "-1")
                                    .with(cards)
                            },
                        ),
                        update_all(page),
                    ])
            },
        ),
    ])
}

/// The logger that is still to come, beside one that has come.
fn additional(page: Page) -> Option<Logger> {
    page.coming().filter(|logger| Some(*logger) != page.shown())
}

/// Its name and the end of its serial number: new loggers all have the same name.
fn label(logger: Logger) -> String {
    let serial = logger.of_device(|device| device.serial.to_string());
    let serial = serial.unwrap_or_default();
    let (_, end) = serial.split_at(serial.len().saturating_sub(4));
    match name(logger) {
        name if name.ends_with(end) => name,
        name => [&name, " ", end].concat(),
    }
}

fn card(page: Page, logger: Logger) -> View {
    let version = move || {
        let running = logger.of_device(|device| device.running).flatten();
        running.map_or_else(|| say!("none"), |running| running.version.to_string())
    };
    let percent = move || {
        let course = |course: &Option<Course>| course.as_ref().map(Course::progress);
        logger.course.with(course)
    };
    let put_away = move || {
        page.put_away(logger);
        catch_focus(CARDS);
        // With one logger, there are no cards.
        catch_focus(HEADING);
    };
    el("li").with([
        button(move || page.show(logger))
            .attr(
                "aria-pressed",
                live(move || (page.shown() == Some(logger)).to_string()),
            )
            .class_when("away", move || !logger.is_there())
            .with([
                el("b").text(live(move || label(logger))),
                el("span").class("n").text(live(version)),
                el("small").text(live(move || state(logger))),
                when(
                    move || logger.is_updating(),
                    move || {
                        let percent = move || percent().unwrap_or_default().to_string();
                        el("span")
                            .class("bar")
                            .attr("role", "progressbar")
                            .attr("aria-label", say!("Update"))
                            .attr("aria-valuenow", live(percent))
                            .with([el("i")
                                .style("width", move || [&percent(), "%"].concat())
                                .with([])])
                    },
                ),
            ]),
        when(
            move || !logger.is_there() && !logger.is_updating(),
            move || button(put_away).text(say!("Put {name} away", name = label(logger))),
        ),
    ])
}

/// One file for all of them: who takes it, who does not and why, and how it went.
fn update_all(page: Page) -> View {
    let begin = move || match page.whole_file() {
        Some((file, _)) => say!(
            "Update {number} loggers to {version}",
            number = page.ready().len(),
            version = file.upload.version
        ),
        None => String::new(),
    };
    let words = move || -> Vec<String> {
        let known = page.known().into_iter();
        known.filter_map(said_of).collect()
    };
    all([
        when(
            move || page.ready().len() > 1,
            move || {
                el("div")
                    .class("row")
                    .with([button(move || page.update_all()).text(live(begin))])
            },
        ),
        // There before its words, so that they are read out.
        el("div")
            .attr("role", "status")
            .with([choose(words, |words| match words.as_slice() {
                [] => nothing(),
                words => el("ul")
                    .class("said")
                    .with(words.iter().map(|words| el("li").text(words.as_str()))),
            })]),
    ])
}

/// What is to be said of one of them, with its name before it: how its update ended, or why it does not take the file.
fn said_of(logger: Logger) -> Option<String> {
    let name = label(logger);
    let version = match logger.page.chosen.get() {
        Chosen::Whole { file, .. } => file.upload.version,
        _ => return None,
    };
    let end = logger.course.with(|course| course.as_ref()?.end.clone());
    match end {
        Some(End::Installed) => {
            return Some(say!("{name}: runs {version}, confirmed.", name, version));
        }
        Some(End::Failed(error)) => {
            return Some(say!("{name}: {reason}", name, reason = said(&error)));
        }
        Some(End::Cancelled) | None => {}
    }
    logger.verdict.with(|verdict| match verdict {
        Verdict::Refused(why) => Some(say!("{name}: {reason}", name, reason = said(why))),
        _ => None,
    })
}
