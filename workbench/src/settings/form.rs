//! The form, drawn from what the logger says of its settings. It knows none of them by itself.

use alloc::rc::Rc;
use alloc::string::{String, ToString};

use host::conversation::TalkError;
use host::settings::{Kind, NotTaken, Setting, explain, number_text};
use protocol::settings::{Problem, SettingId};

use ui::dom::{
    El, View, all, button, by_id, choose, el, input_checked, input_value, live, nothing, when,
    words,
};
use ui::files::picker;
use ui::text::{said, say};
use ui::words::{no_connection, with_mark};

use super::battery::battery;
use super::draft::{Draft, Fault};
use super::{Known, Settings, Taken, Written};

/// All settings of the logger.
pub(super) fn form(settings: Settings) -> View {
    let write = move |write: &dyn Fn()| {
        let faulty = settings.first_fault();
        settings.insisted.set(faulty.is_some());
        match faulty {
            Some(id) => {
                if let Some(field) = by_id(&element_id(settings, id)) {
                    if let Ok(Some(group)) = field.closest("details") {
                        // What is closed takes no focus.
                        let _ = group.set_attribute("open", "");
                    }
                    // Without focus the field is still marked.
                    let _ = field.focus();
                }
            }
            None => write(),
        }
    };
    let success = move || {
        if settings.written.get() == Some(Written::Done) && settings.count_changed() == 0 {
            say!("Settings written. The logger reports them as they stand here.")
        } else {
            String::new()
        }
    };
    let failure = move || {
        if settings.insisted.get() && settings.first_fault().is_some() {
            Some(say!(
                "Nothing was written: a value is not one that the logger takes. It is marked above."
            ))
        } else {
            failure(settings)
        }
    };
    let waiting = move || {
        if settings.logger.is_free() {
            say!("Reading the settings…")
        } else {
            say!("They are read as soon as the logger answers.")
        }
    };
    // New fields only when the logger reports other settings.
    let form = move |known: &Known| match known {
        Known::Nothing => el("p").attr("role", "status").text(live(waiting)),
        Known::Failed(error) => all([
            refusal(say!(
                "The settings could not be read. {reason}",
                reason = no_connection(error)
            )),
            el("div").class("row").with([button(move || settings.read())
                .flag("disabled", move || !settings.logger.is_free())
                .text(say!("Try again"))]),
        ]),
        Known::All(list) => {
            let groups = list.chunk_by(|a, b| a.group == b.group);
            let groups = groups.enumerate();
            all(groups.map(|(index, list)| group(settings, index < OPEN, list)))
        }
    };
    el("section")
        .class("card")
        .attr("aria-label", say!("Settings"))
        .with([
            el("h2").text(say!("Settings")),
            el("p").class("under").text(say!(
                "As the logger has them now. Nothing changes before you write it."
            )),
            el("form")
                .attr("novalidate", "")
                .on("submit", move |event| {
                    event.prevent_default();
                    write(&|| settings.write(settings.changes()));
                })
                .with([
                    choose(move || settings.known.get(), form),
                    when(
                        move || settings.all().is_some(),
                        move || {
                            all([
                                battery(settings),
                                actions(settings),
                                when(
                                    move || !settings.others().is_empty(),
                                    move || write_to_all(settings, write),
                                ),
                            ])
                        },
                    ),
                ]),
            el("p").attr("role", "status").text(live(success)),
            choose(failure, |words| {
                all(words.iter().map(|words| refusal(words.clone())))
            }),
            choose(
                move || settings.told.get(),
                move |told| all(told.iter().map(|(name, end)| told_of(settings, name, end))),
            ),
            when(move || settings.all().is_some(), move || files(settings)),
        ])
}

/// The way to all loggers that are there.
fn write_to_all(settings: Settings, write: impl Fn(&dyn Fn()) + Copy + 'static) -> View {
    let words = move || {
        say!(
            "Write to all {number} loggers",
            number = settings.others().len() + 1
        )
    };
    el("div").class("row").with([
        button(move || write(&|| settings.write_to_all()))
            .flag("disabled", move || {
                settings.for_all().is_empty() || !settings.logger.is_free()
            })
            .text(live(words)),
        el("small").text(say!(
            "To each what differs here and what it has of it. Its name is each logger's own."
        )),
    ])
}

/// How it ended with another logger.
fn told_of(settings: Settings, name: &str, end: &Option<Written>) -> View {
    let reason = match end {
        Some(Written::Done) => {
            let words = say!("{name}: written.", name);
            return el("p").class("note").attr("role", "status").text(words);
        }
        None => say!("It has none of these settings."),
        Some(Written::Refused(id, problem)) => settings.with(|list| {
            let setting = list.iter().find(|setting| setting.id == *id);
            setting.map_or_else(String::new, |setting| says(&setting.name, *problem))
        }),
        Some(Written::Failed(error)) => uncertain(error),
    };
    refusal(say!("{name}: {reason}", name, reason))
}

/// What the logger says of a value.
fn says(name: &str, problem: Problem) -> String {
    say!(
        "{name} {problem}, says the logger.",
        name,
        problem = said(&explain(problem))
    )
}

fn uncertain(error: &TalkError) -> String {
    say!(
        "Whether the settings arrived is not certain. {reason} Then write them again.",
        reason = no_connection(error)
    )
}

/// What is done with what stands in the form.
fn actions(settings: Settings) -> View {
    let summary = move || match settings.count_changed() {
        0 => String::new(),
        1 => say!("1 setting differs from the logger."),
        number => say!("{number} settings differ from the logger.", number),
    };
    el("div").class("row").with([
        el("button")
            .attr("type", "submit")
            .class("main")
            .flag("disabled", move || {
                settings.count_changed() == 0 || !settings.logger.is_free()
            })
            .text(say!("Write to the logger")),
        button(move || settings.put_all(|setting| setting.value.clone()))
            .flag("disabled", move || settings.count_changed() == 0)
            .text(say!("Revert")),
        button(move || settings.put_all(|setting| setting.kind.default_value()))
            .text(say!("Defaults")),
        el("small").text(live(summary)),
    ])
}

/// Settings as a file, there and back.
fn files(settings: Settings) -> View {
    let taken = move |taken: &Option<Taken>| match taken {
        None => nothing(),
        Some(Taken::All { differ, unknown }) => {
            let sentence = match differ {
                0 => say!("The file says what the logger has already."),
                1 => say!(
                    "1 value of the file differs from the logger's. It stands in the form, marked, and is not written yet."
                ),
                number => say!(
                    "{number} values of the file differ from the logger's. They stand in the form, marked, and are not written yet.",
                    number
                ),
            };
            let missing = if unknown.is_empty() {
                String::new()
            } else {
                say!(
                    "This logger does not have these: {names}.",
                    names = unknown.join(", ")
                )
            };
            el("p").class("note").attr("role", "status").with([
                words(sentence),
                words(" "),
                words(missing),
            ])
        }
        Some(Taken::NoSettings) => refusal(say!(
            "This is not a file of logger settings. Nothing in the form was changed."
        )),
        Some(Taken::TooEarly) => refusal(say!(
            "The logger's own settings are not known yet. Take the file again when they stand here."
        )),
        Some(Taken::Not(NotTaken {
            id, name, value, ..
        })) => {
            let range = settings.with(|list| {
                let setting = list.iter().find(|setting| setting.id == *id);
                setting.map_or_else(String::new, |setting| range(&setting.kind))
            });
            refusal(say!(
                "The file has “{value}” for {name}, which the logger does not take. {range} Nothing in the form was changed.",
                value,
                name,
                range
            ))
        }
    };
    all([
        el("div").class("row").with([
            button(move || settings.save()).text(say!("Save as a file")),
            picker(
                &settings.element_id("file"),
                ".json",
                say!("Take from a file"),
                move |mut files| {
                    if let Some(file) = files.pop() {
                        settings.take_file(file);
                    }
                },
            ),
            el("small").text(say!("The file holds what the logger has now.")),
        ]),
        choose(move || settings.taken.get(), taken),
    ])
}

fn refusal(words: String) -> View {
    el("p").class("refusal").attr("role", "alert").text(words)
}

fn element_id(settings: Settings, id: SettingId) -> String {
    settings.element_id(&id.0.to_string())
}

fn failure(settings: Settings) -> Option<String> {
    settings.written.with(|written| match written {
        Some(Written::Refused(..)) => Some(say!(
            "The logger refused one value and changed none. It says at the setting what is wrong."
        )),
        Some(Written::Failed(error)) => Some(uncertain(error)),
        _ => None,
    })
}

/// Groups that are open to begin with.
const OPEN: usize = 2;

fn group(settings: Settings, is_open: bool, list: &[Setting]) -> View {
    let name = list.first().map(|setting| setting.group.as_str());
    let name = name.unwrap_or_default();
    let own: Rc<[Setting]> = list.into();
    let changed = move || {
        let changed = own.iter().filter(|setting| settings.is_changed(setting));
        match changed.count() {
            0 => String::new(),
            number => say!("{number} changed", number),
        }
    };
    let fields = list.iter().map(|setting| field(settings, setting));
    let summary = el("summary").with([
        words(name),
        el("span").class("mark-changed").text(live(changed)),
    ]);
    let details = el("details").class("group").attr("aria-label", name);
    let details = if is_open {
        details.attr("open", "")
    } else {
        details
    };
    details.with(core::iter::once(summary).chain(fields))
}

fn field(settings: Settings, setting: &Setting) -> View {
    let id = element_id(settings, setting.id);
    let (help_id, problem_id) = ([&id, "-help"].concat(), [&id, "-problem"].concat());
    let unit = match &setting.kind {
        Kind::Number { unit, .. } => unit.as_str(),
        _ => "",
    };
    let setting = Rc::new(setting.clone());
    let changed = {
        let setting = setting.clone();
        move || settings.is_changed(&setting)
    };
    let wrong = {
        let setting = setting.clone();
        move || problem(settings, &setting).unwrap_or_default()
    };
    let mark = {
        let changed = changed.clone();
        move || {
            if changed() {
                say!("changed")
            } else {
                String::new()
            }
        }
    };
    el("div")
        .class("field")
        .class_when("changed", changed)
        .with([
            el("label").attr("for", id).text(setting.name.as_str()),
            el("div").class("control").with([
                input(settings, &setting, [&help_id, " ", &problem_id].concat()),
                el("span").class("unit").text(unit),
                el("span").class("mark-changed").text(live(mark)),
            ]),
            el("p").class("help").attr("id", help_id).with([
                words(setting.help.as_str()),
                words(" "),
                words(range(&setting.kind)),
            ]),
            el("p")
                .class("problem")
                .attr("id", problem_id)
                .text(live(wrong)),
        ])
}

/// The control that fits the setting's kind.
fn input(settings: Settings, setting: &Rc<Setting>, described_by: String) -> View {
    let id = setting.id;
    let invalid = {
        let setting = setting.clone();
        live(move || problem(settings, &setting).is_some().to_string())
    };
    let whole = |element: El| {
        element
            .attr("id", element_id(settings, id))
            .attr("aria-describedby", described_by)
    };
    let setting = setting.clone();
    match &setting.kind {
        Kind::Toggle { .. } => whole(el("input").attr("type", "checkbox"))
            .property("checked", {
                let setting = setting.clone();
                move || settings.draft(&setting) == Draft::Toggle(true)
            })
            .on("change", move |event| {
                settings.put(id, Draft::Toggle(input_checked(&event)));
            })
            .with([]),
        Kind::Choice { options, .. } => whole(el("select"))
            .attr("aria-invalid", invalid)
            .on("change", move |event| {
                if let Ok(index) = input_value(&event).parse() {
                    settings.put(id, Draft::Choice(index));
                }
            })
            .with((0u8..).zip(options).map(|(index, option)| {
                let setting = setting.clone();
                el("option")
                    .attr("value", index.to_string())
                    .property("selected", move || {
                        settings.draft(&setting) == Draft::Choice(index)
                    })
                    .text(option.as_str())
            })),
        Kind::Number { .. } | Kind::Text { .. } | Kind::Time => {
            let (class, keyboard) = match setting.kind {
                Kind::Number { .. } => ("number", "decimal"),
                _ => ("text", "text"),
            };
            whole(el("input").attr("type", "text"))
                .class(class)
                .attr("inputmode", keyboard)
                .attr("autocomplete", "off")
                .attr("spellcheck", "false")
                .attr("aria-invalid", invalid)
                .value({
                    let setting = setting.clone();
                    move || match settings.draft(&setting) {
                        Draft::Text(text) => text,
                        Draft::Toggle(_) | Draft::Choice(_) => String::new(),
                    }
                })
                .on("input", move |event| {
                    settings.put(id, Draft::Text(input_value(&event)));
                })
                .with([])
        }
    }
}

/// What values a setting takes.
fn range(kind: &Kind) -> String {
    match kind {
        Kind::Number {
            min,
            max,
            decimals,
            unit,
            ..
        } => {
            let [min, max] = [min, max].map(|end| with_mark(number_text(*end, *decimals)));
            if unit.is_empty() {
                say!("From {min} to {max}.", min, max)
            } else {
                say!("From {min} to {max} {unit}.", min, max, unit)
            }
        }
        Kind::Text { max_length, .. } => say!("At most {max_length} characters.", max_length),
        Kind::Time => say!("UTC, such as 2026-11-22T10:00Z."),
        Kind::Toggle { .. } | Kind::Choice { .. } => String::new(),
    }
}

/// What is wrong with a field, as the page or the logger sees it.
fn problem(settings: Settings, setting: &Setting) -> Option<String> {
    let name = &setting.name;
    match settings.draft(setting).value(setting) {
        Err(Fault::NoNumber) => match &setting.kind {
            Kind::Number { decimals: 0, .. } => Some(say!("{name} must be a whole number.", name)),
            Kind::Number { decimals: 1, .. } => Some(say!(
                "{name} must be a number with at most 1 decimal.",
                name
            )),
            Kind::Number { decimals, .. } => Some(say!(
                "{name} must be a number with at most {decimals} decimals.",
                name,
                decimals
            )),
            _ => None,
        },
        Err(Fault::NoTime) => Some(say!(
            "{name} must be a time in UTC, such as 2026-11-22T10:00Z.",
            name
        )),
        Err(Fault::Problem(problem)) => Some(say!(
            "{name} {problem}.",
            name,
            problem = said(&explain(problem))
        )),
        Ok(_) => settings.written.with(|written| match written {
            Some(Written::Refused(id, problem)) if *id == setting.id => Some(says(name, *problem)),
            _ => None,
        }),
    }
}
