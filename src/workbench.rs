//! The workbench: a program of its own for what one does with a logger besides updating it. It is loaded when the first
//! logger answers, and fills its tabs by itself.
//!
//! It hears from here what changes, and talks to the logger over [leases](crate::lease).

use alloc::string::{String, ToString};

use js_sys::Function;
use protocol::device::Program;
use protocol::record::Status;
use ui::dom::{View, all, button, choose, el, kept, nothing, place};
use ui::step::{DONE, Step};
use ui::task::spawn;
use ui::text::say;
use virtual_logger_messages::Command;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Element, File};

use crate::browser::open_workbench;
use crate::lease::Asked;
use crate::logger::{Cable, End, Logger, Order, Tab, Virtual};

#[wasm_bindgen]
extern "C" {
    /// The program's end, for one logger.
    #[derive(Clone, PartialEq)]
    pub(crate) type Workbench;

    /// How things stand: whether the logger answers, whether it is in update mode, whether it is being updated, whether
    /// its details and whether its records are looked at, and its serial number.
    #[wasm_bindgen(method)]
    fn changed(
        this: &Workbench,
        answers: bool,
        waits: bool,
        updating: bool,
        detailed: bool,
        recorded: bool,
        serial: &str,
    );

    /// How its update stands: the [step](Step::name) under way, or `done`, or nothing; whether the image was kept by the
    /// logger, whether it has room for one only, and what was done last to the virtual logger's cable, if it is one.
    #[wasm_bindgen(method)]
    fn updates(this: &Workbench, step: &str, kept: bool, direct: bool, cable: &str);

    /// Opens the explanation of how an update works.
    #[wasm_bindgen(method)]
    fn explain(this: &Workbench);

    /// Takes a file of settings.
    #[wasm_bindgen(method, js_name = takeSettings)]
    fn take_settings(this: &Workbench, file: &File);

    /// What it measures, as the logger said it; nothing when it does not measure.
    #[wasm_bindgen(method)]
    fn measured(this: &Workbench, status: &[u8]);
}

/// What the page knows of it.
pub(crate) struct Bench {
    state: State,
    /// What is measured now, for the logger's card.
    pub(crate) values: Element,
    settings: Element,
    records: Element,
    /// How an update works, for the update's tab.
    pub(crate) how: Element,
}

/// Whether it is there.
#[derive(Clone, PartialEq)]
enum State {
    Away,
    Loading,
    Failed,
    There(Workbench),
}

impl Default for Bench {
    fn default() -> Bench {
        Bench {
            state: State::Away,
            values: place("div"),
            settings: place("div"),
            records: place("div"),
            how: place("div"),
        }
    }
}

/// The logger, as the workbench may use it.
#[wasm_bindgen]
pub struct SharedLogger(Logger);

#[wasm_bindgen]
impl SharedLogger {
    /// Answers with a [lease](crate::lease::Lease) of it, for one short matter; with nothing when there is no logger, or it
    /// is being updated.
    pub fn lease(&self, answer: Function) {
        self.0.order(Order::Lend(Asked::new(answer)));
    }

    /// Its owner calls it so.
    pub fn name(&self, name: String) {
        self.0.name.set(name);
    }

    /// Does something to the virtual logger or its cable, by its [text](Command::text).
    pub fn handle(&self, command: &str) {
        if let Some(command) = Command::read(command) {
            self.0.handle_virtual(command);
        }
    }

    /// Who and how it is: lines for the details.
    pub fn report(&self, lines: String) {
        self.0.report.set(lines);
    }
}

/// Loads it, and tells it what changes, for as long as the view is there.
pub(crate) fn follow(logger: Logger) -> View {
    if logger.bench.with(|bench| bench.state == State::Away) {
        load(logger);
    }
    let there = move || workbench(logger);
    let standing = move || {
        let serial = logger.of_device(|device| device.serial.to_string());
        (
            there(),
            logger.is_connected(),
            logger.program.get() == Program::Bootloader,
            logger.is_updating(),
            logger.is_detailed.get(),
            logger.page.tab.get() == Tab::Records && logger.page.shown() == Some(logger),
            serial,
        )
    };
    all([
        choose(
            standing,
            |(there, answers, waits, is_updating, is_detailed, has_records, serial)| {
                if let Some(workbench) = there {
                    let serial = serial.as_deref().unwrap_or_default();
                    workbench.changed(
                        *answers,
                        *waits,
                        *is_updating,
                        *is_detailed,
                        *has_records,
                        serial,
                    );
                }
                nothing()
            },
        ),
        choose(
            move || (there(), update_of(logger)),
            |(there, (step, is_kept, is_direct, cable))| {
                if let Some(workbench) = there {
                    workbench.updates(step, *is_kept, *is_direct, cable);
                }
                nothing()
            },
        ),
        choose(
            move || there().filter(|_| logger.is_explained.get()),
            move |asked| {
                if let Some(workbench) = asked {
                    workbench.explain();
                    logger.is_explained.set(false);
                }
                nothing()
            },
        ),
        choose(
            move || (there(), logger.status.get()),
            |(there, status)| {
                if let Some(workbench) = there {
                    let bytes = status.map(Status::to_bytes);
                    workbench.measured(bytes.as_ref().map_or(&[], |bytes| bytes));
                }
                nothing()
            },
        ),
    ])
}

/// How its update stands, as [`Workbench::updates`] takes it.
fn update_of(logger: Logger) -> (&'static str, bool, bool, &'static str) {
    let (step, is_kept) = logger.course.with(|course| match course {
        Some(course) => {
            let step = match (&course.end, course.step) {
                (Some(End::Installed), _) => DONE,
                (Some(_), _) => "",
                // It is on trial until the logger says that it is not.
                (None, Step::Confirmed) => Step::Started.name(),
                (None, step) => step.name(),
            };
            (step, course.is_kept)
        }
        None if logger.is_accepted() => (Step::Checked.name(), false),
        None => ("", false),
    });
    let cable = logger.virtual_logger.with(|state| match state {
        Virtual::There { cable, .. } => match cable {
            Cable::In => Command::Plug.text(),
            Cable::Out => Command::Unplug.text(),
            Cable::NoPower => Command::Cut.text(),
        },
        _ => "",
    });
    let is_direct = logger.of_device(|device| device.direct) == Some(true);
    (step, is_kept, is_direct, cable)
}

fn workbench(logger: Logger) -> Option<Workbench> {
    logger.bench.with(|bench| match &bench.state {
        State::There(workbench) => Some(workbench.clone()),
        _ => None,
    })
}

/// Hands it a file of settings; whether it is there to take one.
pub(crate) fn take_settings(logger: Logger, file: &File) -> bool {
    let workbench = workbench(logger);
    if let Some(workbench) = &workbench {
        workbench.take_settings(file);
        logger.page.tab.set(Tab::Settings);
    }
    workbench.is_some()
}

/// What it shows in one of its tabs.
pub(crate) fn content(logger: Logger, tab: Tab) -> View {
    choose(
        move || logger.bench.with(|bench| bench.state.clone()),
        move |state| {
            match state {
            State::There(_) => logger.bench.with(|bench| {
                kept(match tab {
                    Tab::Settings => &bench.settings,
                    _ => &bench.records,
                })
            }),
            State::Failed => el("section").class("card").attr("aria-label", say!("Not loaded")).with([
                el("p").class("refusal").attr("role", "alert").text(say!(
                    "This part of the page could not be loaded. The logger is not touched by that. See whether this computer is online, and try again."
                )),
                el("div")
                    .class("row")
                    .with([button(move || load(logger)).text(say!("Try again"))]),
            ]),
            State::Away | State::Loading => {
                el("section").class("card").attr("aria-busy", "true").with([el("p").text(say!("Loading…"))])
            }
        }
        },
    )
}

fn load(logger: Logger) {
    logger.bench.update(|bench| bench.state = State::Loading);
    spawn(async move {
        let opened = logger.bench.with(|bench| {
            open_workbench(
                SharedLogger(logger),
                &bench.values,
                &bench.settings,
                &bench.records,
                &bench.how,
            )
        });
        let opened = JsFuture::from(opened).await;
        logger.bench.update(|bench| {
            bench.state = match opened {
                Ok(workbench) => State::There(workbench.unchecked_into()),
                Err(_) => State::Failed,
            };
        });
    });
}
