//! One logger, as the page tells of it and lends it. There may be several, each with its own of everything here.

use alloc::boxed::Box;
use alloc::string::String;
use core::cell::Cell;
use core::ops::Deref;

use host::conversation::{Conversation, TalkError};
use protocol::record::Status;
use ui::dom::mount;
use ui::signal::{Changes, Signal, changes};
use ui::text::{language, load};
use virtual_logger_messages::Command;
use wasm_bindgen::prelude::*;
use web_sys::{Element, File};

use crate::how::{Update, explain, how};
use crate::link::{LentLink, SharedLogger};
use crate::records::Records;
use crate::report::report;
use crate::settings::{Everyone, Settings};
use crate::values::values;
use ui::step::{DONE, Step};

/// What is known of it; for as long as the page is there.
#[derive(Clone, Copy)]
pub(crate) struct Logger(&'static State);

impl Deref for Logger {
    type Target = State;

    fn deref(&self) -> &State {
        self.0
    }
}

/// What the page tells.
pub(crate) struct State {
    /// Whether it answers, and takes measurements.
    pub(crate) is_connected: Signal<bool>,
    /// Whether it is being updated: then it is not lent.
    pub(crate) is_updating: Signal<bool>,
    /// Whether it answers and is not being updated; also in update mode.
    answers: Cell<bool>,
    /// Whether its details are looked at.
    is_detailed: Cell<bool>,
    /// What it measures.
    pub(crate) status: Signal<Option<Status>>,
    /// Its serial number; empty before it was told.
    pub(crate) serial: Signal<String>,
    /// How its update stands.
    pub(crate) update: Signal<Update>,
    page: SharedLogger,
}

impl Logger {
    fn new(page: SharedLogger, changes: &Changes) -> Logger {
        Logger(Box::leak(Box::new(State {
            is_connected: Signal::new(changes, false),
            is_updating: Signal::new(changes, false),
            answers: Cell::new(false),
            is_detailed: Cell::new(false),
            status: Signal::new(changes, None),
            serial: Signal::new(changes, String::new()),
            update: Signal::new(changes, Update::default()),
            page,
        })))
    }

    /// Whether the page will lend it.
    pub(crate) fn is_free(self) -> bool {
        self.is_connected.get() && !self.is_updating.get()
    }

    /// A conversation with it, for one short matter: the page waits until it is dropped.
    ///
    /// # Errors
    /// When the page has none to lend, or the logger does not answer.
    pub(crate) async fn talk(self) -> Result<Conversation<LentLink>, TalkError> {
        let link = LentLink::ask(&self.page).await?;
        Conversation::open(link).await.map_err(|(_, error)| error)
    }

    /// Tells the page how its owner calls it.
    pub(crate) fn is_called(self, name: &str) {
        self.page.name(name);
    }

    /// Does something to the virtual logger or its cable.
    pub(crate) fn handle(self, command: Command) {
        self.page.handle(command.text());
    }

    /// Gives the page lines for the details.
    pub(crate) fn report(self, lines: &str) {
        self.page.report(lines);
    }
}

/// The page's end of it.
#[wasm_bindgen]
pub struct Workbench {
    logger: Logger,
    settings: Settings,
    records: Records,
    how: Element,
}

/// All workbenches: what is done on one may concern several loggers.
#[wasm_bindgen]
#[derive(Default)]
pub struct Workbenches(Everyone);

#[wasm_bindgen]
impl Workbenches {
    /// None is open yet.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Workbenches {
        Workbenches::default()
    }

    /// Opens one for a logger, and fills the places that the page has for what it measures, for its settings, for its
    /// records, and for how an update works.
    pub async fn open(
        &self,
        page: SharedLogger,
        values_place: Element,
        settings_place: Element,
        records_place: Element,
        how_place: Element,
    ) -> Workbench {
        load(&language()).await;
        let (changes, changed) = changes();
        let logger = Logger::new(page, &changes);
        let settings = Settings::new(logger, &changes, &self.0);
        let records = Records::new(logger, settings, &changes);
        let views = [
            (values(logger, settings), values_place),
            (settings.view(), settings_place),
            (records.view(), records_place),
            (how(logger, &changes), how_place.clone()),
        ];
        mount(views, changed);
        Workbench {
            logger,
            settings,
            records,
            how: how_place,
        }
    }
}

#[wasm_bindgen]
impl Workbench {
    /// How things stand: whether the logger answers, whether it is in update mode, whether it is being updated, whether
    /// its details and whether its records are looked at, and its serial number.
    pub fn changed(
        &self,
        answers: bool,
        waits: bool,
        updating: bool,
        detailed: bool,
        recorded: bool,
        serial: String,
    ) {
        let logger = self.logger;
        if logger.serial.get() != serial {
            logger.serial.set(serial);
            self.settings.forget();
            self.records.forget();
        }
        let was_free = logger.is_free();
        // The bootloader has nothing of what is here.
        logger.is_connected.set(answers && !waits);
        logger.is_updating.set(updating);
        let came = logger.is_free() && !was_free;
        self.records.follow(recorded, came);
        let answers = answers && !updating;
        let answered = logger.answers.replace(answers);
        let was_detailed = logger.is_detailed.replace(detailed);
        if came {
            // It came, or has other firmware.
            self.settings.read();
        }
        // Should it be gone when somebody looks, the details have it all the same.
        if answers && (came || !answered || detailed && !was_detailed) {
            report(logger);
        }
    }

    /// What it measures; no bytes when it does not measure.
    pub fn measured(&self, status: &[u8]) {
        let status = status.first_chunk().map(Status::from_bytes);
        self.logger.status.set(status);
    }

    /// How its update stands: the step under way, or `done`, or nothing; whether the image was kept by the logger,
    /// whether it has room for one only, and what was done last to the virtual logger's cable, if it is one.
    pub fn updates(&self, step: &str, kept: bool, direct: bool, cable: &str) {
        self.logger.update.set(Update {
            step: Step::read(step),
            is_done: step == DONE,
            is_kept: kept,
            is_direct: direct,
            cable: Command::read(cable),
        });
    }

    /// Opens the explanation of how an update works.
    pub fn explain(&self) {
        explain(&self.how);
    }

    /// Takes a file of settings: its values stand in the form then.
    #[wasm_bindgen(js_name = takeSettings)]
    pub fn take_settings(&self, file: File) {
        self.settings.take_file(file);
    }
}
