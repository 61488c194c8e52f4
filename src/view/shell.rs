//! The page around everything: header, tabs, and the whole window as a place to drop a file on.

use protocol::device::Program;
use wasm_bindgen::JsCast;
use web_sys::{DragEvent, KeyboardEvent};

use super::details::details;
use super::device_card::device_card;
use super::fleet::{add_button, fleet};
use super::memory_map::memory_map;
use super::update::update;
use super::virtual_logger::virtual_logger;
use super::welcome::{unsupported, welcome};
use crate::logger::{Connection, Logger, Page, Tab};
use crate::workbench::{content, follow};
use ui::dom::{
    View, all, button, by_id, choose, either, el, input_value, kept, listen, live, nothing, window,
};
use ui::files::all_files;
use ui::text::{LANGUAGES, choose_language, language, say};

/// The whole page.
pub(crate) fn shell(page: Page) -> View {
    take_dropped_files(page);
    guard_leaving(page);
    all([
        el("header").class("top").with([
            el("span")
                .class("mark")
                .attr("aria-hidden", "true")
                .text("L"),
            el("b").text("Logdock"),
            add_button(page),
            languages(page),
        ]),
        el("main").with([
            fleet(page),
            choose(
                move || page.shown(),
                |logger| all(logger.iter().map(|logger| one(*logger))),
            ),
            choose(
                move || page.known(),
                |loggers| all(loggers.iter().map(|logger| follow(*logger))),
            ),
        ]),
        el("div")
            .class("drop-here")
            .attr("aria-hidden", "true")
            .flag("hidden", move || !page.dragging.get())
            .with([el("p").text(say!(
                "Drop the firmware file: it is checked first, and nothing is sent yet."
            ))]),
    ])
}

/// The choice of a language in its own words.
fn languages(page: Page) -> View {
    let shown = language();
    el("select")
        .class("language")
        .attr("aria-label", say!("Language"))
        // The page is loaded anew.
        .flag("disabled", move || page.is_updating())
        .on("change", |event| choose_language(&input_value(&event)))
        .with(LANGUAGES.map(|(code, name)| {
            let is_shown = shown == code;
            el("option")
                .attr("value", code)
                .attr("lang", code)
                .property("selected", move || is_shown)
                .text(name)
        }))
}

/// The logger that is looked at.
fn one(logger: Logger) -> View {
    either(
        move || logger.device.with(Option::is_some),
        move || with_logger(logger),
        move || before_logger(logger),
    )
}

fn before_logger(logger: Logger) -> View {
    either(
        move || logger.connection.get() != Connection::Unsupported || logger.is_virtual(),
        move || all([welcome(logger), virtual_logger(logger), update(logger)]),
        move || unsupported(logger),
    )
}

/// The logger, and what one does with it.
fn with_logger(logger: Logger) -> View {
    let panels = move || {
        all([
            tabs(logger),
            panel(
                logger,
                Tab::Update,
                update_and_memory(logger, logger.bench.with(|bench| kept(&bench.how))),
            ),
            panel(logger, Tab::Records, content(logger, Tab::Records)),
            panel(logger, Tab::Settings, content(logger, Tab::Settings)),
        ])
    };
    all([
        device_card(logger),
        virtual_logger(logger),
        either(
            move || logger.program.get() == Program::Application,
            panels,
            move || update_and_memory(logger, nothing()),
        ),
        details(logger),
    ])
}

/// What is done to the memory beside what is in it, and how that works.
fn update_and_memory(logger: Logger, how: View) -> View {
    el("div")
        .class("beside")
        .with([update(logger), memory_map(logger), how])
}

/// Tabs as the keyboard expects them: one stop, and the arrow keys between them.
fn tabs(logger: Logger) -> View {
    el("div")
        .class("tabs")
        .attr("role", "tablist")
        .attr("aria-label", say!("What to do with the logger"))
        .on("keydown", move |event| {
            let here = Tab::ALL
                .iter()
                .position(|tab| *tab == logger.page.tab.get());
            let (here, count) = (here.unwrap_or(0), Tab::ALL.len());
            let there = match event.unchecked_ref::<KeyboardEvent>().key().as_str() {
                "ArrowLeft" => (here + count - 1) % count,
                "ArrowRight" => (here + 1) % count,
                "Home" => 0,
                "End" => count - 1,
                _ => return,
            };
            event.prevent_default();
            logger.page.tab.set(Tab::ALL[there]);
            if let Some(button) = by_id(Tab::ALL[there].names().0) {
                // Without focus the tab is still the one that is shown.
                let _ = button.focus();
            }
        })
        .with(Tab::ALL.map(|tab| tab_button(logger, tab)))
}

fn tab_button(logger: Logger, this: Tab) -> View {
    let (id, panel) = this.names();
    let either = move |yes: &'static str, no: &'static str| {
        live(move || {
            if logger.page.tab.get() == this {
                yes
            } else {
                no
            }
            .into()
        })
    };
    button(move || logger.page.tab.set(this))
        .attr("role", "tab")
        .attr("id", id)
        .attr("aria-controls", panel)
        .attr("aria-selected", either("true", "false"))
        .attr("tabindex", either("0", "-1"))
        .text(match this {
            Tab::Update => say!("Update"),
            Tab::Records => say!("Records"),
            Tab::Settings => say!("Settings"),
        })
}

fn panel(logger: Logger, this: Tab, content: View) -> View {
    let (tab, id) = this.names();
    el("div")
        .attr("id", id)
        .attr("role", "tabpanel")
        .attr("aria-labelledby", tab)
        .flag("hidden", move || logger.page.tab.get() != this)
        .with([content])
}

impl Tab {
    /// The ids of its button and its panel.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Tab::Update => ("tab-update", "panel-update"),
            Tab::Records => ("tab-records", "panel-records"),
            Tab::Settings => ("tab-settings", "panel-settings"),
        }
    }
}

/// Takes files that are dropped anywhere.
fn take_dropped_files(page: Page) {
    // Without this the browser would leave the page and show the file.
    listen(&window(), "dragover", move |event| {
        event.prevent_default();
        if !page.dragging.get() {
            page.dragging.set(true);
        }
    });
    listen(&window(), "dragleave", move |event| {
        // From one element to the next is not out of the window.
        if event
            .unchecked_ref::<DragEvent>()
            .related_target()
            .is_none()
        {
            page.dragging.set(false);
        }
    });
    listen(&window(), "drop", move |event| {
        event.prevent_default();
        page.dragging.set(false);
        let data = event.unchecked_ref::<DragEvent>().data_transfer();
        let files = data.and_then(|data| data.files());
        page.choose(files.map(all_files).unwrap_or_default());
    });
}

/// Asks before the page is left in the middle of an update.
fn guard_leaving(page: Page) {
    listen(&window(), "beforeunload", move |event| {
        if page.is_updating() {
            event.prevent_default();
        }
    });
}
