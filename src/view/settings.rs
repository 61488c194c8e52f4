//! The settings form, drawn from what the logger says of its settings. It knows none of them by itself.

use host::settings::{
    Kind, Setting, Value, explain, number_text, read_number, read_time, time_text,
};
use leptos::prelude::*;
use protocol::settings::{Problem, SettingId};
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, SubmitEvent};

use super::dynamic::{flag, follow, text};
use super::words::no_connection;
use crate::logger::{Logger, Written};

/// One setting and what the person made of it.
#[derive(Clone, PartialEq)]
struct Field {
    setting: Setting,
    draft: ArcRwSignal<Draft>,
}

/// What stands in a field, valid or not.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Draft {
    Toggle(bool),
    Choice(u8),
    Text(String),
}

/// Why a draft is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    NoNumber,
    NoTime,
    Problem(Problem),
}

impl Field {
    fn new(setting: &Setting) -> Field {
        Field {
            draft: ArcRwSignal::new(draft_of(&setting.kind, &setting.value)),
            setting: setting.clone(),
        }
    }

    /// The value that the draft stands for; tracked.
    fn value(&self) -> Result<Value, Fault> {
        let value = match (&self.setting.kind, self.draft.get()) {
            (_, Draft::Toggle(on)) => Value::Toggle(on),
            (_, Draft::Choice(index)) => Value::Choice(index),
            (Kind::Number { decimals, .. }, Draft::Text(text)) => {
                Value::Number(read_number(&text, *decimals).ok_or(Fault::NoNumber)?)
            }
            (Kind::Time, Draft::Text(text)) => Value::Time(read_time(&text).ok_or(Fault::NoTime)?),
            (_, Draft::Text(text)) => Value::Text(text),
        };
        self.setting.kind.check(&value).map_err(Fault::Problem)?;
        Ok(value)
    }

    /// Whether it differs from what the logger has; tracked.
    fn is_changed(&self) -> bool {
        self.value().as_ref() != Ok(&self.setting.value)
    }

    fn put(&self, value: &Value) {
        self.draft.set(draft_of(&self.setting.kind, value));
    }

    fn element_id(&self) -> String {
        format!("setting-{}", self.setting.id.0)
    }
}

fn draft_of(kind: &Kind, value: &Value) -> Draft {
    match (value, kind) {
        (Value::Toggle(on), _) => Draft::Toggle(*on),
        (Value::Choice(index), _) => Draft::Choice(*index),
        (Value::Number(number), Kind::Number { decimals, .. }) => {
            Draft::Text(number_text(*number, *decimals))
        }
        (Value::Number(number), _) => Draft::Text(number.to_string()),
        (Value::Text(text), _) => Draft::Text(text.clone()),
        (Value::Time(seconds), _) => Draft::Text(time_text(*seconds)),
    }
}

/// All settings of the logger.
#[component]
pub(crate) fn Settings(logger: Logger) -> impl IntoView {
    // New fields only when the logger reports other settings: what was typed outlives an unplugged cable.
    let fields = Memo::new(move |_| {
        logger
            .settings
            .with(|settings| settings.iter().map(Field::new).collect::<Vec<_>>())
    });
    let changed = Signal::derive(move || {
        fields.with(|fields| fields.iter().filter(|field| field.is_changed()).count())
    });
    let put_all = move |value: fn(&Setting) -> Value| {
        move |_| {
            logger.written.set(None);
            fields.with_untracked(|fields| {
                fields
                    .iter()
                    .for_each(|field| field.put(&value(&field.setting)));
            });
        }
    };
    let insisted = RwSignal::new(false);
    let write = move |event: SubmitEvent| {
        event.prevent_default();
        let faulty = untrack(|| fields.with(|fields| first_fault(fields)));
        insisted.set(faulty.is_some());
        if let Some(id) = faulty {
            focus(&id);
            return;
        }
        let changes: Vec<(SettingId, Value)> = untrack(|| {
            fields.with(|fields| {
                fields
                    .iter()
                    .filter(|field| field.is_changed())
                    .filter_map(|field| Some((field.setting.id, field.value().ok()?)))
                    .collect()
            })
        });
        if !changes.is_empty() {
            logger.write_settings(changes);
        }
    };
    let unready =
        flag(move || !(changed.get() > 0 && logger.is_connected() && !logger.is_updating()));
    let nothing_to_revert = flag(move || changed.get() == 0);
    let summary = text(move || match changed.get() {
        0 => String::new(),
        1 => "1 setting differs from the logger.".into(),
        number => format!("{number} settings differ from the logger."),
    });
    let success = text(move || {
        if logger.written.get() == Some(Written::Done) && changed.get() == 0 {
            "Settings written. The logger reports them as they stand here.".into()
        } else {
            String::new()
        }
    });
    let failure = move || {
        let words = if insisted.get() && fields.with(|fields| first_fault(fields).is_some()) {
            Some("Nothing was written: a value is not one that the logger takes. It is marked above.".into())
        } else {
            failure(logger)
        };
        words
            .map(|words| view! { <p class="refusal" role="alert">{words}</p> })
            .into_any()
    };
    let form = move || {
        fields
            .with(|fields| {
                let groups = fields.chunk_by(|a, b| a.setting.group == b.setting.group);
                groups
                    .map(|group| view! { <Group logger fields=group.to_vec() /> })
                    .collect_view()
            })
            .into_any()
    };
    view! {
        <section class="card" aria-label="Settings">
            <h2>"Settings"</h2>
            <p class="under">"As the logger has them now. Nothing changes before you write it."</p>
            <form novalidate on:submit=write>
                {follow(Box::new(form))}
                <div class="row">
                    <button type="submit" class="main" disabled=unready>
                        "Write to the logger"
                    </button>
                    <button
                        type="button"
                        disabled=nothing_to_revert
                        on:click=put_all(|setting| setting.value.clone())
                    >
                        "Revert"
                    </button>
                    <button type="button" on:click=put_all(|setting| setting.kind.default_value())>
                        "Defaults"
                    </button>
                    <small>{summary}</small>
                </div>
            </form>
            <p role="status">{success}</p>
            {follow(Box::new(failure))}
        </section>
    }
}

/// The element of the first field that holds no value; tracked.
fn first_fault(fields: &[Field]) -> Option<String> {
    fields
        .iter()
        .find(|field| field.value().is_err())
        .map(Field::element_id)
}

fn focus(id: &str) {
    let element = document().get_element_by_id(id);
    if let Some(element) = element.and_then(|element| element.dyn_into::<HtmlElement>().ok()) {
        // Without focus the field is still marked.
        let _ = element.focus();
    }
}

fn failure(logger: Logger) -> Option<String> {
    logger.written.with(|written| match written {
        Some(Written::Refused(..)) => Some(
            "The logger refused one value and changed none. It says at the setting what is wrong."
                .into(),
        ),
        Some(Written::Failed(error)) => Some(format!(
            "Whether the settings arrived is not certain. {} Then write them again.",
            no_connection(error)
        )),
        _ => None,
    })
}

#[component]
fn Group(logger: Logger, fields: Vec<Field>) -> impl IntoView {
    let legend = fields
        .first()
        .map(|field| field.setting.group.clone())
        .unwrap_or_default();
    view! {
        <fieldset>
            <legend>{legend}</legend>
            {fields.into_iter().map(|field| view! { <FieldView logger field /> }).collect_view()}
        </fieldset>
    }
}

#[component]
fn FieldView(logger: Logger, field: Field) -> impl IntoView {
    let id = field.element_id();
    let (help_id, problem_id) = (format!("{id}-help"), format!("{id}-problem"));
    let setting = field.setting.clone();
    let unit = match &setting.kind {
        Kind::Number { unit, .. } => unit.clone(),
        _ => String::new(),
    };
    let changed = flag({
        let field = field.clone();
        move || field.is_changed()
    });
    let problem = text({
        let field = field.clone();
        move || problem(logger, &field).unwrap_or_default()
    });
    let mark = text(move || {
        if changed.get() {
            "changed".into()
        } else {
            String::new()
        }
    });
    let help = format!("{} {}", setting.help, range(&setting.kind));
    view! {
        <div class="field" class:changed=changed>
            <label for=id>{setting.name}</label>
            <div class="control">
                <Input logger field described_by=format!("{help_id} {problem_id}") problem />
                <span class="unit">{unit}</span>
                <span class="mark-changed">{mark}</span>
            </div>
            <p class="help" id=help_id>
                {help}
            </p>
            <p class="problem" id=problem_id>
                {problem}
            </p>
        </div>
    }
}

/// The control that fits the setting's kind.
#[component]
fn Input(
    logger: Logger,
    field: Field,
    described_by: String,
    problem: Signal<String>,
) -> impl IntoView {
    let id = field.element_id();
    let invalid = text(move || (!problem.with(String::is_empty)).to_string());
    let draft = field.draft;
    let change = {
        let draft = draft.clone();
        move |value| {
            // A refusal was of another value.
            logger.written.set(None);
            draft.set(value);
        }
    };
    match field.setting.kind {
        Kind::Toggle { .. } => view! {
            <input
                type="checkbox"
                id=id
                aria-describedby=described_by
                prop:checked=flag(move || draft.get() == Draft::Toggle(true))
                on:change=move |event| change(Draft::Toggle(event_target_checked(&event)))
            />
        }
        .into_any(),
        Kind::Choice { options, .. } => {
            let options = (0u8..)
                .zip(options)
                .map(|(index, option)| {
                    let draft = draft.clone();
                    let selected = flag(move || draft.get() == Draft::Choice(index));
                    view! {
                        <option value=index.to_string() prop:selected=selected>
                            {option}
                        </option>
                    }
                })
                .collect_view();
            view! {
                <select
                    id=id
                    aria-describedby=described_by
                    aria-invalid=invalid
                    on:change=move |event| {
                        if let Ok(index) = event_target_value(&event).parse() {
                            change(Draft::Choice(index));
                        }
                    }
                >
                    {options}
                </select>
            }
            .into_any()
        }
        Kind::Number { .. } | Kind::Text { .. } | Kind::Time => {
            let (class, keyboard) = match field.setting.kind {
                Kind::Number { .. } => ("number", "decimal"),
                _ => ("text", "text"),
            };
            let value = text(move || match draft.get() {
                Draft::Text(text) => text,
                Draft::Toggle(_) | Draft::Choice(_) => String::new(),
            });
            view! {
                <input
                    type="text"
                    id=id
                    class=class
                    inputmode=keyboard
                    autocomplete="off"
                    spellcheck="false"
                    aria-describedby=described_by
                    aria-invalid=invalid
                    prop:value=value
                    on:input=move |event| change(Draft::Text(event_target_value(&event)))
                />
            }
            .into_any()
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
            format!(
                "From {} to {} {unit}",
                number_text(*min, *decimals),
                number_text(*max, *decimals)
            )
            .trim_end()
            .to_string()
                + "."
        }
        Kind::Text { max_length, .. } => format!("At most {max_length} characters."),
        Kind::Time => "UTC, such as 2026-11-22T10:00Z.".into(),
        Kind::Toggle { .. } | Kind::Choice { .. } => String::new(),
    }
}

/// What is wrong with a field, as the page or the logger sees it.
fn problem(logger: Logger, field: &Field) -> Option<String> {
    let words = match field.value() {
        Err(Fault::NoNumber) => match &field.setting.kind {
            Kind::Number { decimals: 0, .. } => "must be a whole number".into(),
            Kind::Number { decimals: 1, .. } => "must be a number with at most 1 decimal".into(),
            Kind::Number { decimals, .. } => {
                format!("must be a number with at most {decimals} decimals")
            }
            _ => return None,
        },
        Err(Fault::NoTime) => "must be a time in UTC, such as 2026-11-22T10:00Z".into(),
        Err(Fault::Problem(problem)) => explain(problem).to_string(),
        Ok(_) => logger.written.with(|written| match written {
            Some(Written::Refused(id, problem)) if *id == field.setting.id => {
                Some(format!("{}, says the logger", explain(*problem)))
            }
            _ => None,
        })?,
    };
    Some(format!("{} {words}.", field.setting.name))
}
