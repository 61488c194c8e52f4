//! The page around everything: header, tabs, and the whole window as a place to drop a file on.

use leptos::prelude::*;
use leptos::{ev, html};
use protocol::device::Program;
use web_sys::{DragEvent, File, FileList, KeyboardEvent};

use super::details::Details;
use super::device_card::DeviceCard;
use super::dynamic::{flag, text, when_else};
use super::settings::Settings;
use super::update::Update;
use super::virtual_logger::VirtualLogger;
use super::welcome::{Unsupported, Welcome};
use crate::logger::{Connection, Logger};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tab {
    Update,
    Settings,
}

/// The whole page.
#[component]
pub(crate) fn Shell() -> impl IntoView {
    let logger = Logger::new();
    let dragging = take_dropped_files(logger);
    guard_leaving(logger);

    let reachable =
        flag(move || logger.connection.get() != Connection::Unsupported || logger.is_virtual());
    let known = flag(move || logger.device.with(Option::is_some));
    let welcome = move || {
        view! {
            {when_else(
                reachable,
                Box::new(move || {
                    view! {
                        <Welcome logger />
                        <VirtualLogger logger />
                        <Update logger />
                    }
                        .into_any()
                }),
                Box::new(move || view! { <Unsupported logger /> }.into_any()),
            )}
        }
        .into_any()
    };
    view! {
        <header class="top">
            <span class="mark" aria-hidden="true">"L"</span>
            <b>"Logdock"</b>
        </header>
        <main>
            {when_else(
                known,
                Box::new(move || view! { <WithLogger logger /> }.into_any()),
                Box::new(welcome),
            )}
        </main>
        <div class="drop-here" aria-hidden="true" hidden=flag(move || !dragging.get())>
            <p>"Drop the firmware file: it is checked first, and nothing is sent yet."</p>
        </div>
    }
}

/// The logger, and what one does with it.
#[component]
fn WithLogger(logger: Logger) -> impl IntoView {
    let tab = RwSignal::new(Tab::Update);
    let has_settings = flag(move || logger.program.get() == Program::Application);
    let panels = move || {
        view! {
            <Tabs tab />
            <div
                id="panel-update"
                role="tabpanel"
                aria-labelledby="tab-update"
                hidden=flag(move || tab.get() != Tab::Update)
            >
                <Update logger />
            </div>
            <div
                id="panel-settings"
                role="tabpanel"
                aria-labelledby="tab-settings"
                hidden=flag(move || tab.get() != Tab::Settings)
            >
                <Settings logger />
            </div>
        }
        .into_any()
    };
    view! {
        <DeviceCard logger />
        <VirtualLogger logger />
        {when_else(
            has_settings,
            Box::new(panels),
            Box::new(move || view! { <Update logger /> }.into_any()),
        )}
        <Details logger />
    }
}

/// Tabs as the keyboard expects them: one stop, and the arrow keys between them.
#[component]
fn Tabs(tab: RwSignal<Tab>) -> impl IntoView {
    let update = NodeRef::<html::Button>::new();
    let settings = NodeRef::<html::Button>::new();
    let on_key = move |event: KeyboardEvent| {
        let other = match event.key().as_str() {
            "ArrowLeft" | "ArrowRight" => match tab.get_untracked() {
                Tab::Update => Tab::Settings,
                Tab::Settings => Tab::Update,
            },
            "Home" => Tab::Update,
            "End" => Tab::Settings,
            _ => return,
        };
        event.prevent_default();
        tab.set(other);
        let button = match other {
            Tab::Update => update,
            Tab::Settings => settings,
        };
        if let Some(button) = button.get_untracked() {
            // Without focus the tab is still the one that is shown.
            let _ = button.focus();
        }
    };
    view! {
        <div class="tabs" role="tablist" aria-label="What to do with the logger" on:keydown=on_key>
            <TabButton tab this=Tab::Update button=update />
            <TabButton tab this=Tab::Settings button=settings />
        </div>
    }
}

#[component]
fn TabButton(tab: RwSignal<Tab>, this: Tab, button: NodeRef<html::Button>) -> impl IntoView {
    let (id, panel, name) = match this {
        Tab::Update => ("tab-update", "panel-update", "Update"),
        Tab::Settings => ("tab-settings", "panel-settings", "Settings"),
    };
    let either = move |yes: &'static str, no: &'static str| {
        text(move || {
            if tab.get() == this {
                yes.into()
            } else {
                no.into()
            }
        })
    };
    view! {
        <button
            type="button"
            role="tab"
            id=id
            node_ref=button
            aria-controls=panel
            aria-selected=either("true", "false")
            tabindex=either("0", "-1")
            on:click=move |_| tab.set(this)
        >
            {name}
        </button>
    }
}

/// Takes files that are dropped anywhere; whether something is being dragged over the page.
fn take_dropped_files(logger: Logger) -> ReadSignal<bool> {
    let (dragging, set_dragging) = signal(false);
    // Without this the browser would leave the page and show the file.
    let over = window_event_listener(ev::dragover, move |event: DragEvent| {
        event.prevent_default();
        if !dragging.get_untracked() {
            set_dragging.set(true);
        }
    });
    let leave = window_event_listener(ev::dragleave, move |event: DragEvent| {
        // From one element to the next is not out of the window.
        if event.related_target().is_none() {
            set_dragging.set(false);
        }
    });
    let drop = window_event_listener(ev::drop, move |event: DragEvent| {
        event.prevent_default();
        set_dragging.set(false);
        let files = event.data_transfer().and_then(|data| data.files());
        logger.choose(files.map(all_files).unwrap_or_default());
    });
    on_cleanup(move || {
        over.remove();
        leave.remove();
        drop.remove();
    });
    dragging
}

/// Asks before the page is left in the middle of an update.
fn guard_leaving(logger: Logger) {
    let guard = window_event_listener(ev::beforeunload, move |event| {
        if untrack(|| logger.is_updating()) {
            event.prevent_default();
        }
    });
    on_cleanup(move || guard.remove());
}

/// The files of a list.
pub(crate) fn all_files(list: FileList) -> Vec<File> {
    (0..list.length())
        .filter_map(|index| list.get(index))
        .collect()
}
