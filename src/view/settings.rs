//! The settings form, drawn from what the logger says of its settings. It knows none of them by itself.

use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use host::settings::{Kind, Setting, Value, explain, number_text};
use protocol::settings::SettingId;

use super::words::no_connection;
use crate::dom::{
    El, View, all, button, by_id, choose, el, input_checked, input_value, live, words,
};
use crate::draft::{Draft, Fault};
use crate::logger::{Logger, Written};
use crate::text::{said, say};

/// All settings of the logger.
pub(crate) fn settings(logger: Logger) -> View {
    let write = move || {
        let faulty = first_fault(logger);
        logger.insisted.set(faulty.is_some());
        match faulty {
            Some(id) => {
                if let Some(field) = by_id(&element_id(id)) {
                    if let Ok(Some(group)) = field.closest("details") {
                        // What is closed takes no focus.
                        let _ = group.set_attribute("open", "");
                    }
                    // Without focus the field is still marked.
                    let _ = field.focus();
                }
            }
            None => logger.write_settings(changes(logger)),
        }
    };
    let put_all = move |value: fn(&Setting) -> Value| {
        logger.written.set(None);
        logger.drafts.set(logger.settings.with(|settings| {
            settings
                .iter()
                .map(|setting| (setting.id, Draft::of(&setting.kind, &value(setting))))
                .collect()
        }));
    };
    let summary = move || match count_changed(logger) {
        0 => String::new(),
        1 => say!("1 setting differs from the logger."),
        number => say!("{number} settings differ from the logger.", number),
    };
    let success = move || {
        if logger.written.get() == Some(Written::Done) && count_changed(logger) == 0 {
            say!("Settings written. The logger reports them as they stand here.")
        } else {
            String::new()
        }
    };
    let failure = move || {
        if logger.insisted.get() && first_fault(logger).is_some() {
            Some(say!(
                "Nothing was written: a value is not one that the logger takes. It is marked above."
            ))
        } else {
            failure(logger)
        }
    };
    // New fields only when the logger reports other settings.
    let form = move |settings: &Vec<Setting>| {
        let groups = settings.chunk_by(|a, b| a.group == b.group);
        let groups = groups.enumerate();
        all(groups.map(|(index, settings)| group(logger, index < OPEN, settings)))
    };
    let actions = el("div").class("row").with([
        el("button")
            .attr("type", "submit")
            .class("main")
            .flag("disabled", move || {
                count_changed(logger) == 0 || !logger.is_connected() || logger.is_updating()
            })
            .text(say!("Write to the logger")),
        button(move || put_all(|setting| setting.value.clone()))
            .flag("disabled", move || count_changed(logger) == 0)
            .text(say!("Revert")),
        button(move || put_all(|setting| setting.kind.default_value())).text(say!("Defaults")),
        el("small").text(live(summary)),
    ]);
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
                    write();
                })
                .with([choose(move || logger.settings.get(), form), actions]),
            el("p").attr("role", "status").text(live(success)),
            choose(failure, |words| {
                all(words.iter().map(|words| refusal(words.clone())))
            }),
        ])
}

fn refusal(words: String) -> View {
    el("p").class("refusal").attr("role", "alert").text(words)
}

/// What stands in a setting's field.
fn draft(logger: Logger, setting: &Setting) -> Draft {
    logger
        .drafts
        .with(|drafts| {
            drafts
                .iter()
                .find(|(id, _)| *id == setting.id)
                .map(|(_, draft)| draft.clone())
        })
        .unwrap_or_else(|| Draft::of(&setting.kind, &setting.value))
}

/// Changes what stands in a setting's field.
fn put(logger: Logger, id: SettingId, draft: Draft) {
    // A refusal was of another value.
    logger.written.set(None);
    logger.drafts.update(|drafts| {
        drafts.retain(|(other, _)| *other != id);
        drafts.push((id, draft));
    });
}

/// Whether a setting's field differs from what the logger has.
fn is_changed(logger: Logger, setting: &Setting) -> bool {
    draft(logger, setting).value(setting).as_ref() != Ok(&setting.value)
}

fn count_changed(logger: Logger) -> usize {
    logger.settings.with(|settings| {
        let changed = settings
            .iter()
            .filter(|setting| is_changed(logger, setting));
        changed.count()
    })
}

fn changes(logger: Logger) -> Vec<(SettingId, Value)> {
    logger.settings.with(|settings| {
        settings
            .iter()
            .filter(|setting| is_changed(logger, setting))
            .filter_map(|setting| Some((setting.id, draft(logger, setting).value(setting).ok()?)))
            .collect()
    })
}

/// The first setting whose field holds no value.
fn first_fault(logger: Logger) -> Option<SettingId> {
    logger.settings.with(|settings| {
        settings
            .iter()
            .find(|setting| draft(logger, setting).value(setting).is_err())
            .map(|setting| setting.id)
    })
}

fn element_id(id: SettingId) -> String {
    ["setting-", &id.0.to_string()].concat()
}

fn failure(logger: Logger) -> Option<String> {
    logger.written.with(|written| match written {
        Some(Written::Refused(..)) => Some(say!(
            "The logger refused one value and changed none. It says at the setting what is wrong."
        )),
        Some(Written::Failed(error)) => Some(say!(
            "Whether the settings arrived is not certain. {reason} Then write them again.",
            reason = no_connection(error)
        )),
        _ => None,
    })
}

/// Groups that are open to begin with.
const OPEN: usize = 2;

fn group(logger: Logger, is_open: bool, settings: &[Setting]) -> View {
    let name = settings.first().map(|setting| setting.group.as_str());
    let name = name.unwrap_or_default();
    let own: Rc<[Setting]> = settings.into();
    let changed = move || {
        let changed = own.iter().filter(|setting| is_changed(logger, setting));
        match changed.count() {
            0 => String::new(),
            number => say!("{number} changed", number),
        }
    };
    let fields = settings.iter().map(|setting| field(logger, setting));
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

fn field(logger: Logger, setting: &Setting) -> View {
    let id = element_id(setting.id);
    let (help_id, problem_id) = ([&id, "-help"].concat(), [&id, "-problem"].concat());
    let unit = match &setting.kind {
        Kind::Number { unit, .. } => unit.as_str(),
        _ => "",
    };
    let setting = Rc::new(setting.clone());
    let changed = {
        let setting = setting.clone();
        move || is_changed(logger, &setting)
    };
    let wrong = {
        let setting = setting.clone();
        move || problem(logger, &setting).unwrap_or_default()
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
                input(logger, &setting, [&help_id, " ", &problem_id].concat()),
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
fn input(logger: Logger, setting: &Rc<Setting>, described_by: String) -> View {
    let id = setting.id;
    let invalid = {
        let setting = setting.clone();
        live(move || problem(logger, &setting).is_some().to_string())
    };
    let whole = |element: El| {
        element
            .attr("id", element_id(id))
            .attr("aria-describedby", described_by)
    };
    let setting = setting.clone();
    match &setting.kind {
        Kind::Toggle { .. } => whole(el("input").attr("type", "checkbox"))
            .property("checked", {
                let setting = setting.clone();
                move || draft(logger, &setting) == Draft::Toggle(true)
            })
            .on("change", move |event| {
                put(logger, id, Draft::Toggle(input_checked(&event)));
            })
            .with([]),
        Kind::Choice { options, .. } => whole(el("select"))
            .attr("aria-invalid", invalid)
            .on("change", move |event| {
                if let Ok(index) = input_value(&event).parse() {
                    put(logger, id, Draft::Choice(index));
                }
            })
            .with((0u8..).zip(options).map(|(index, option)| {
                let setting = setting.clone();
                el("option")
                    .attr("value", index.to_string())
                    .property("selected", move || {
                        draft(logger, &setting) == Draft::Choice(index)
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
                    move || match draft(logger, &setting) {
                        Draft::Text(text) => text,
                        Draft::Toggle(_) | Draft::Choice(_) => String::new(),
                    }
                })
                .on("input", move |event| {
                    put(logger, id, Draft::Text(input_value(&event)));
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
            let (min, max) = (number_text(*min, *decimals), number_text(*max, *decimals));
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
fn problem(logger: Logger, setting: &Setting) -> Option<String> {
    let name = &setting.name;
    match draft(logger, setting).value(setting) {
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
        Ok(_) => logger.written.with(|written| match written {
            Some(Written::Refused(id, problem)) if *id == setting.id => Some(say!(
                "{name} {problem}, says the logger.",
                name,
                problem = said(&explain(*problem))
            )),
            _ => None,
        }),
    }
}
