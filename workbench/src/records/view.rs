//! The Records tab: how much there is, how copying it goes, the chart, the table, erasing.

use alloc::string::{String, ToString};

use protocol::record::{LogSummary, SEGMENT};
use ui::dom::{View, all, button, choose, el, live, nothing, when};
use ui::text::say;
use ui::words::{count, decimal, no_connection, seconds};

use super::store::{Info, Trouble};
use super::{Copied, Course, Erasing, Records, Saving, size, ticks};

/// Everything about records.
pub(super) fn view(records: Records) -> View {
    let has_records = move || records.info.with(|info| info.records > 0.0);
    el("section")
        .class("card")
        .attr("aria-label", say!("Records"))
        .with([
            el("h2").text(say!("Records")),
            el("p").class("under").text(live(move || {
                let summary = records.summary.get();
                summary.map_or_else(String::new, |summary| kept(&summary))
            })),
            opening(records),
            course(records),
            el("p")
                .class("hint")
                .attr("data-fact", "copy")
                .text(live(move || copied(records))),
            when(has_records, move || {
                all([records.chart.view(), table(records)])
            }),
            erase(records),
        ])
}

/// How much the logger keeps, and how its memory is.
fn kept(log: &LogSummary) -> String {
    if log.first == log.next && log.pending == 0 {
        return say!("The logger keeps no records yet.");
    }
    let used = log.next - log.first;
    let mut text = say!(
        "The logger keeps {size} of records: {percent} % of its memory.",
        size = segments(used),
        percent = decimal(100.0 * f64::from(used) / f64::from(log.capacity.max(1)), 1)
    );
    for (number, words) in [
        (
            u32::from(log.bad_blocks),
            say!(
                "{number} blocks of it are worn out and no longer used.",
                number = log.bad_blocks
            ),
        ),
        (
            log.unreadable,
            say!(
                "{number} pages could not be read since it was started.",
                number = log.unreadable
            ),
        ),
    ] {
        if number > 0 {
            text.push(' ');
            text.push_str(&words);
        }
    }
    text
}

fn segments(count: u32) -> String {
    size(f64::from(count) * SEGMENT as f64)
}

/// What of it is in this browser.
fn copied(records: Records) -> String {
    let Copied::There { kept } = records.copy.get() else {
        return String::new();
    };
    records.info.with(|info| {
        let mut text = String::new();
        if info.records > 0.0 {
            text = say!(
                "{number} records are in this browser ({size}), from {from} to {to}.",
                number = count(info.records as u32),
                size = size(info.bytes),
                from = moment(info.start),
                to = moment(info.end)
            );
            text.push(' ');
            text.push_str(&if kept {
                say!("They stay here for the next visit.")
            } else {
                say!(
                    "This browser keeps no files for this page, or another tab has them: at most 32 MB are held until the page is closed."
                )
            });
        }
        for sentence in faults(info) {
            text.push(' ');
            text.push_str(&sentence);
        }
        text
    })
}

/// A place of the axis as a date; logs without any known time have none.
fn moment(place: f64) -> String {
    if place < ticks::DAY * 365.0 {
        return say!("a time that is not known");
    }
    let (date, time) = ticks::local(place);
    [&date, " ", time.get(..5).unwrap_or_default()].concat()
}

fn faults(info: &Info) -> impl Iterator<Item = String> {
    let missing = info.missing_records.max(info.missing_segments);
    let missing = (missing > 0.0).then(|| match info.missing_records {
        0.0 => say!(
            "{number} pieces of the log are missing between them: the chart and the table show where.",
            number = count(info.missing_segments as u32)
        ),
        records => say!(
            "{number} more are missing between them: the chart and the table show where.",
            number = count(records as u32)
        ),
    });
    let damaged = info.damaged.then(|| {
        say!(
            "A part of what was kept here was damaged and was thrown away; what the logger still has of it is read again."
        )
    });
    missing.into_iter().chain(damaged)
}

fn opening(records: Records) -> View {
    choose(
        move || records.copy.get(),
        move |copy| match copy {
            Copied::Opening(_) => el("p").class("hint").text(live(move || {
                let Copied::Opening(done) = records.copy.get() else {
                    return String::new();
                };
                say!(
                    "Looking at the records that are in this browser: {percent} %",
                    percent = decimal(100.0 * done, 0)
                )
            })),
            Copied::Failed(trouble) => all([
                refusal(trouble_words(*trouble)),
                el("div")
                    .class("row")
                    .with([button(move || records.open()).text(say!("Try again"))]),
            ]),
            Copied::Closed | Copied::There { .. } => nothing(),
        },
    )
}

fn refusal(words: String) -> View {
    el("p").class("refusal").attr("role", "alert").text(words)
}

fn trouble_words(trouble: Trouble) -> String {
    match trouble {
        Trouble::NoHelp => say!(
            "The part of this page that keeps records could not be loaded, or failed. See whether this computer is online, and try again. The records are still in the logger."
        ),
        Trouble::Full => say!(
            "This browser has no room for more records. What is here stays; the rest is still in the logger. Save the table, remove the copy from this browser, or make room on this computer."
        ),
        Trouble::Refused => say!(
            "This browser could not read or write its copy of the records. They are still in the logger. Load the page anew to try again."
        ),
    }
}

/// Copying: what there is to do, or how it goes.
fn course(records: Records) -> View {
    // What is shown anew, and what only changes its numbers.
    let kind = move || {
        if !matches!(records.copy.get(), Copied::There { .. }) {
            return 0;
        }
        records.course.with(|course| match course {
            Course::Idle => 1,
            Course::Running => 2,
            Course::Paused => 3,
            Course::Current => 4,
            Course::Failed(_) => 5,
            Course::Silent(_) => 6,
        })
    };
    let unready = move || !records.logger.is_free() || is_empty(records);
    choose(kind, move |kind| {
        match kind {
        1 => all([
            el("div").class("row").with([button(move || records.start())
                .class("main")
                .flag("disabled", unready)
                .text(say!("Read the records"))]),
            el("p").class("hint").text(live(move || {
                records.summary.with(|summary| {
                    summary.as_ref().map_or_else(String::new, |summary| {
                        say!(
                            "{size} come into this browser, to be looked at and saved; nothing leaves this computer. The logger goes on recording meanwhile.",
                            size = segments(summary.next - summary.first)
                        )
                    })
                })
            })),
        ]),
        2 | 3 => under_way(records),
        5 | 6 => all([
            records.course.with(|course| match course {
                Course::Failed(trouble) => refusal(trouble_words(*trouble)),
                Course::Silent(error) => refusal(no_connection(error)),
                _ => nothing(),
            }),
            el("div").class("row").with([button(move || records.start())
                .flag("disabled", unready)
                .text(say!("Try again"))]),
        ]),
        _ => nothing(),
    }
    })
}

fn is_empty(records: Records) -> bool {
    records.summary.with(|summary| {
        summary
            .as_ref()
            .is_none_or(|log| log.first == log.next && log.pending == 0)
    })
}

/// Segments that are here, and in all.
fn progress(records: Records) -> (u32, u32) {
    let next = records.info.with(|info| info.next);
    records.summary.with(|summary| {
        let Some(log) = summary else { return (0, 1) };
        let done = next.clamp(log.first, log.next) - log.first;
        (done, (log.next - log.first).max(1))
    })
}

fn under_way(records: Records) -> View {
    let percent = move || {
        let (done, all) = progress(records);
        (100 * u64::from(done) / u64::from(all)).to_string()
    };
    let is_paused = move || records.course.with(|course| *course == Course::Paused);
    let words = move || {
        let (done, all) = progress(records);
        if !records.logger.is_free() {
            return say!(
                "The logger is away. Once it is there again, copying goes on from {percent} %.",
                percent = percent()
            );
        }
        let amount = say!(
            "{kept} of {total}",
            kept = segments(done),
            total = segments(all)
        );
        match records.rate().filter(|rate| *rate > 0.0) {
            Some(rate) if !is_paused() => say!(
                "{amount} · {rate} KB/s · about {left} left",
                amount,
                rate = decimal(rate / 1024.0, 0),
                left = seconds((f64::from(all - done) * SEGMENT as f64 / rate).max(0.1))
            ),
            _ => amount,
        }
    };
    all([
        el("div")
            .class("bar")
            .attr("role", "progressbar")
            .attr("aria-label", say!("Records in this browser"))
            .attr("aria-valuemin", "0")
            .attr("aria-valuemax", "100")
            .attr("aria-valuenow", live(percent))
            .with([el("i")
                .style("width", move || [&percent(), "%"].concat())
                .with([])]),
        el("p").class("hint").text(live(words)),
        el("div").class("row").with([button(move || {
            if is_paused() {
                records.start();
            } else {
                records.pause();
            }
        })
        .text(live(move || {
            if is_paused() {
                say!("Go on")
            } else {
                say!("Pause")
            }
        }))]),
    ])
}

/// Saving as a table.
fn table(records: Records) -> View {
    let is_busy = move || matches!(records.saving.get(), Saving::Running(_));
    let has_selection = move || records.chart.selection.get().is_some();
    all([
        el("div").class("row").with([
            button(move || records.save(None))
                .class("main")
                .flag("disabled", is_busy)
                .text(say!("Save all as CSV")),
            button(move || records.save(records.chart.selection.get()))
                .flag("disabled", move || is_busy() || !has_selection())
                .text(say!("Save the selection as CSV")),
        ]),
        el("p").class("hint").text(say!(
            "For spreadsheets and programs: times in UTC, a point in numbers."
        )),
        el("p")
            .class("note")
            .attr("role", "status")
            .flag("hidden", move || {
                matches!(records.saving.get(), Saving::No | Saving::Failed(_))
            })
            .text(live(move || match records.saving.get() {
                Saving::Running(done) => say!(
                    "Writing the table: {percent} %",
                    percent = decimal(100.0 * done, 0)
                ),
                Saving::Done(number) => say!(
                    "The table with {number} records was given to the browser, which saves it.",
                    number = count(number as u32)
                ),
                Saving::No | Saving::Failed(_) => String::new(),
            })),
        choose(
            move || match records.saving.get() {
                Saving::Failed(trouble) => Some(trouble),
                _ => None,
            },
            |trouble| trouble.map_or_else(nothing, |trouble| refusal(trouble_words(trouble))),
        ),
    ])
}

/// Erasing, which asks first.
fn erase(records: Records) -> View {
    let unready = move || is_empty(records) || !records.logger.is_free();
    let has_copy = move || records.info.with(|info| info.next > 0);
    let no = move || button(move || records.erasing.set(Erasing::No)).text(say!("Keep them"));
    let start = move || {
        el("div").class("row").with([
            button(move || {
                if let Some(summary) = records.summary.get() {
                    records.erasing.set(Erasing::Asked(summary));
                }
            })
            .flag("disabled", unready)
            .text(say!("Erase the logger's records…")),
            button(move || records.erasing.set(Erasing::CopyAsked))
                .flag("hidden", move || !has_copy())
                .text(say!("Remove the copy from this browser…")),
        ])
    };
    choose(
        move || records.erasing.get(),
        move |erasing| {
            match erasing {
            Erasing::No => start(),
            Erasing::Asked(summary) => {
                let summary = *summary;
                let missing = summary
                    .next
                    .saturating_sub(records.info.with(|info| info.next).max(summary.first));
                let words = say!(
                    "This erases {size} of records in the logger, for good. What it has not written to its memory yet stays, and so do its settings. Recording goes on.",
                    size = segments(summary.next - summary.first)
                );
                let rest = match missing {
                    0 => say!("All of them are in this browser, where they stay."),
                    missing => say!(
                        "{size} of them are not in this browser: nobody can read those again.",
                        size = segments(missing)
                    ),
                };
                el("div").class("refusal").attr("role", "alert").with([
                    el("p").text([&words, " ", &rest].concat()),
                    el("div").class("row").with([
                        button(move || records.erase(summary))
                            .flag("disabled", unready)
                            .text(say!("Erase them")),
                        no(),
                    ]),
                ])
            }
            Erasing::CopyAsked => el("div").class("refusal").attr("role", "alert").with([
                el("p").text(say!(
                    "This removes the copy of the records from this browser. What the logger still has can be read again; older records are gone then."
                )),
                el("div").class("row").with([
                    button(move || records.remove_copy()).text(say!("Remove it")),
                    no(),
                ]),
            ]),
            Erasing::Running => el("p")
                .class("note")
                .attr("role", "status")
                .text(say!("The logger erases its records…")),
            Erasing::Done => all([
                el("p")
                    .class("note")
                    .attr("role", "status")
                    .text(say!("The logger reports that its records are erased.")),
                start(),
            ]),
            Erasing::Failed(error) => all([
                refusal(say!(
                    "Whether the records were erased is not certain. {reason}",
                    reason = no_connection(error)
                )),
                start(),
            ]),
        }
        },
    )
}
