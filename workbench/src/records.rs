//! What the logger recorded: copied into this browser bit by bit while one looks, drawn, saved as a table, erased.
//!
//! A copy goes on where it was, after a pause, another visit, or a cable that came out, and nothing is fetched twice. It
//! never says of records that they are saved or erased before that is so.

mod chart;
mod store;
mod ticks;
mod view;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};
use core::ops::Deref;
use core::time::Duration;

use host::conversation::TalkError;
use host::log::{self, Download, Loss};
use protocol::record::LogSummary;
use ui::dom::View;
use ui::files::save;
use ui::signal::{Changes, Signal};
use ui::task::spawn;
use ui::text::say;
use ui::time::{now, timer};
use ui::words::decimal;
use wasm_bindgen::JsCast;

use crate::logger::Logger;
use crate::settings::Settings;
use chart::{Chart, Part};
use store::{Info, Store, Table, Trouble};

/// For how long the logger is borrowed at a time, in seconds: what it measures is asked for in between.
const TURN: f64 = 0.4;
/// How often what is new is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How soon a pause or a new wish is heeded meanwhile.
const HEED_EVERY: Duration = Duration::from_millis(200);
/// The records of one logger.
#[derive(Clone, Copy)]
pub(crate) struct Records(&'static State);

impl Deref for Records {
    type Target = State;

    fn deref(&self) -> &State {
        self.0
    }
}

/// What is known and wanted.
pub(crate) struct State {
    logger: Logger,
    chart: Chart,
    store: RefCell<Option<Store>>,
    copy: Signal<Copied>,
    info: Signal<Info>,
    /// What the logger said last of its log.
    summary: Signal<Option<LogSummary>>,
    course: Signal<Course>,
    /// Whether the records are to be copied.
    is_wanted: Cell<bool>,
    /// The person looks at them.
    is_looked_at: Cell<bool>,
    /// Somebody attends to the logger's log.
    is_attended: Cell<bool>,
    /// The copy was compared with the logger's log since the logger came.
    is_compared: Cell<bool>,
    /// When copying began, in seconds, and how many bytes there were then.
    begun: Cell<Option<(f64, f64)>>,
    saving: Signal<Saving>,
    erasing: Signal<Erasing>,
}

/// The copy in this browser.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Copied {
    /// Nobody asked for it.
    Closed,
    /// What the file holds is looked at: how much of it is done, from 0 to 1.
    Opening(f64),
    /// It is there; and whether the browser keeps it.
    There { kept: bool },
    /// It could not be opened.
    Failed(Trouble),
}

/// How copying goes.
#[derive(Clone, Debug, PartialEq)]
enum Course {
    /// Nobody asked for it.
    Idle,
    /// It goes on.
    Running,
    /// The person wants to wait.
    Paused,
    /// All that the logger has is here.
    Current,
    /// The browser did not do its part.
    Failed(Trouble),
    /// The logger did not.
    Silent(TalkError),
}

/// How a table is saved.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Saving {
    /// None is.
    No,
    /// It is written: how much is done, from 0 to 1.
    Running(f64),
    /// The browser has it, with so many records.
    Done(f64),
    /// It could not be written.
    Failed(Trouble),
}

/// How erasing goes.
#[derive(Clone, Debug, PartialEq)]
enum Erasing {
    /// Not at all.
    No,
    /// What this summary speaks of is about to be erased, if the person means it.
    Asked(LogSummary),
    /// It is being done.
    Running,
    /// The logger says that it is done.
    Done,
    /// It did not say that.
    Failed(TalkError),
    /// The copy in this browser is about to be removed, if the person means it.
    CopyAsked,
}

enum Failure {
    Logger(TalkError),
    Store(Trouble),
}

impl From<TalkError> for Failure {
    fn from(error: TalkError) -> Failure {
        Failure::Logger(error)
    }
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        Failure::Store(trouble)
    }
}

impl Records {
    /// None are known yet.
    pub(crate) fn new(logger: Logger, settings: Settings, changes: &Changes) -> Records {
        Records(Box::leak(Box::new(State {
            logger,
            chart: Chart::new(settings, changes),
            store: RefCell::new(None),
            copy: Signal::new(changes, Copied::Closed),
            info: Signal::new(changes, Info::default()),
            summary: Signal::new(changes, None),
            course: Signal::new(changes, Course::Idle),
            is_wanted: Cell::new(false),
            is_looked_at: Cell::new(false),
            is_attended: Cell::new(false),
            is_compared: Cell::new(false),
            begun: Cell::new(None),
            saving: Signal::new(changes, Saving::No),
            erasing: Signal::new(changes, Erasing::No),
        })))
    }

    /// The tab.
    pub(crate) fn view(self) -> View {
        view::view(self)
    }

    /// What was known is not true of another logger.
    pub(crate) fn forget(self) {
        self.store.replace(None);
        self.chart.open(None);
        self.copy.set(Copied::Closed);
        self.info.set(Info::default());
        self.summary.set(None);
        self.course.set(Course::Idle);
        self.is_wanted.set(false);
        self.begun.set(None);
        self.saving.set(Saving::No);
        self.erasing.set(Erasing::No);
    }

    /// Whether they are looked at: records are dealt with then. The logger came, if it `is_new`.
    pub(crate) fn follow(self, looked_at: bool, is_new: bool) {
        self.is_looked_at.set(looked_at);
        if is_new {
            self.is_compared.set(false);
        }
        self.go_on();
    }

    fn go_on(self) {
        if !self.is_looked_at.get() {
            return;
        }
        self.chart.redraw();
        if self.copy.get() == Copied::Closed && self.logger.serial.with(|serial| !serial.is_empty())
        {
            self.open();
        }
        if self.may_attend() && !self.is_attended.replace(true) {
            spawn(async move {
                self.attend().await;
                self.is_attended.set(false);
            });
        }
    }

    fn may_attend(self) -> bool {
        self.logger.is_free()
            && self.is_looked_at.get()
            && matches!(self.copy.get(), Copied::There { .. })
    }

    /// Opens the copy of this logger's log.
    fn open(self) {
        self.copy.set(Copied::Opening(0.0));
        let serial = self.logger.serial.get();
        spawn(async move {
            let opening = async {
                let (store, kept) = Store::open(&serial).await?;
                loop {
                    let done = store.load().await?;
                    if self.logger.serial.with(|now| *now != serial) || done >= 1.0 {
                        break;
                    }
                    self.copy.set(Copied::Opening(done));
                }
                Ok((store.info().await?, store, kept))
            };
            let opened: Result<_, Trouble> = opening.await;
            if self.logger.serial.with(|now| *now != serial) {
                return;
            }
            match opened {
                Ok((info, store, kept)) => {
                    self.is_wanted.set(info.next > 0);
                    self.chart.open(Some(store.clone()));
                    self.store.replace(Some(store.clone()));
                    self.copy.set(Copied::There { kept });
                    self.show(&store, info);
                    self.go_on();
                }
                Err(trouble) => self.copy.set(Copied::Failed(trouble)),
            }
        });
    }

    /// Begins to copy, or goes on.
    fn start(self) {
        self.is_wanted.set(true);
        self.begun.set(None);
        self.course.set(Course::Running);
    }

    fn pause(self) {
        self.course.set(Course::Paused);
    }

    fn show(self, store: &Store, info: Info) {
        if store.is(self.store.borrow().as_ref()) && self.info.with(|before| *before != info) {
            self.chart.data_changed(&info);
            self.info.set(info);
        }
    }

    /// Looks after the log for as long as it may.
    async fn attend(self) {
        while self.may_attend() {
            let is_done = match self.turn().await {
                Ok(is_done) => is_done,
                Err(Failure::Store(trouble)) => {
                    self.is_wanted.set(false);
                    self.course.set(Course::Failed(trouble));
                    if trouble == Trouble::NoHelp {
                        // What it had opened went with it.
                        self.copy.set(Copied::Failed(trouble));
                    }
                    true
                }
                Err(Failure::Logger(error)) => {
                    if self.logger.is_free() && self.is_wanted.get() {
                        self.course.set(Course::Silent(error));
                    }
                    true
                }
            };
            let next = now() + LOOK_EVERY.as_secs_f64();
            while is_done && now() < next && self.may_attend() && !self.is_behind() {
                timer(HEED_EVERY).await;
            }
        }
    }

    /// Whether the person has just asked for more.
    fn is_behind(self) -> bool {
        self.course.with(|course| *course == Course::Running)
    }

    /// Asks the logger what it has, and copies some of it. Whether there is nothing more to do for now.
    async fn turn(self) -> Result<bool, Failure> {
        let Some(store) = self.store.borrow().clone() else {
            return Ok(true);
        };
        let begun = now();
        let mut conversation = self.logger.talk().await?;
        let summary = log::read_summary(&mut conversation).await?;
        if self.summary.with(|before| *before != Some(summary)) {
            self.summary.set(Some(summary));
        }
        let mut info = store.info().await?;
        if !self.is_compared.get() {
            let last = store.last().await?;
            let mut is_other = info.next > summary.next;
            if let Some((sequence, kept)) =
                last.filter(|(number, _)| (summary.first..summary.next).contains(number))
            {
                let mut download = Download::new(sequence..sequence + 1);
                while !download.is_complete() {
                    download
                        .step(&mut conversation, |piece| {
                            is_other |= piece.content != Ok(kept.clone())
                        })
                        .await?;
                }
            }
            if is_other {
                // The logger's memory began anew: what is here is of another life.
                store.clear().await?;
                info = store.info().await?;
            }
            self.is_compared.set(true);
        }
        if !self.is_wanted.get() || self.course.with(|course| *course == Course::Paused) {
            self.show(&store, info);
            return Ok(true);
        }
        let from = info.next.max(summary.first).min(summary.next);
        let mut download = Download::new(from..summary.next);
        if !download.is_complete() {
            self.course.set(Course::Running);
            if self.begun.get().is_none() {
                self.begun.set(Some((now(), info.bytes)));
            }
        }
        let is_paused = || self.course.with(|course| *course == Course::Paused);
        while !download.is_complete() && now() - begun < TURN && !is_paused() {
            let (mut segments, mut lost) = (Vec::new(), Vec::new());
            download
                .step(&mut conversation, |piece| match piece.content {
                    Ok(bytes) => segments.extend(bytes),
                    Err(Loss::NeverWritten) => {}
                    Err(_) => lost.push(piece.sequence),
                })
                .await?;
            let next = download.rest().start;
            store.take(&segments, &lost, summary.first, next).await?;
        }
        let is_done = download.is_complete();
        if is_done {
            if summary.pending != 0 {
                let mut download = Download::new(summary.next..summary.next + 1);
                let mut open = Vec::new();
                while !download.is_complete() {
                    download
                        .step(&mut conversation, |piece| {
                            open = piece.content.unwrap_or_default();
                        })
                        .await?;
                }
                // What is not written yet may be written now: then it comes the next time.
                if !open.is_empty() {
                    store.take_open(&open).await?;
                }
            }
            self.begun.set(None);
            self.course.set(Course::Current);
        }
        self.show(&store, store.info().await?);
        Ok(is_done)
    }

    /// Bytes a second, since copying began; none when that is too short a time to tell.
    fn rate(self) -> Option<f64> {
        let (begun, bytes) = self.begun.get()?;
        let time = now() - begun;
        (time > 1.0).then(|| (self.info.with(|info| info.bytes) - bytes) / time)
    }

    /// Saves the records of a part, or all, as a table.
    fn save(self, part: Option<Part>) {
        let Some(store) = self.store.borrow().clone() else {
            return;
        };
        self.saving.set(Saving::Running(0.0));
        let (from, to) = part.map_or((f64::NEG_INFINITY, f64::INFINITY), |part| {
            (part.from, part.to)
        });
        let name = ["logdock-", &self.logger.serial.get(), ".csv"].concat();
        spawn(async move {
            let writing = async {
                store.table(from, to).await?;
                loop {
                    match store.table_step().await? {
                        Table::Part(done) => self.saving.set(Saving::Running(done)),
                        Table::Whole(table, records) => break Ok((table, records)),
                    }
                }
            };
            self.saving.set(match writing.await {
                Ok((table, records)) => {
                    save(&name, &table.unchecked_into());
                    Saving::Done(records)
                }
                Err(trouble) => Saving::Failed(trouble),
            });
        });
    }

    /// Erases what the summary speaks of.
    fn erase(self, summary: LogSummary) {
        self.erasing.set(Erasing::Running);
        spawn(async move {
            let result = async {
                let mut conversation = self.logger.talk().await?;
                log::erase(&mut conversation, &summary).await?;
                log::read_summary(&mut conversation).await
            };
            self.erasing.set(match result.await {
                Ok(summary) => {
                    self.summary.set(Some(summary));
                    Erasing::Done
                }
                Err(error) => Erasing::Failed(error),
            });
        });
    }

    /// Removes the copy from this browser. The logger keeps what it has.
    fn remove_copy(self) {
        let Some(store) = self.store.borrow().clone() else {
            return;
        };
        self.erasing.set(Erasing::No);
        self.is_wanted.set(false);
        self.course.set(Course::Idle);
        spawn(async move {
            match store.clear().await {
                Ok(()) => {
                    self.chart.open(Some(store.clone()));
                    if let Ok(info) = store.info().await {
                        self.show(&store, info);
                    }
                }
                Err(trouble) => self.course.set(Course::Failed(trouble)),
            }
        });
    }
}

/// A size, such as `33.8 KB` or `21.2 MB`; 1 KB is 1024 bytes.
fn size(bytes: f64) -> String {
    let kilobytes = bytes / 1024.0;
    if kilobytes < 1000.0 {
        say!("{size} KB", size = decimal(kilobytes, 1))
    } else {
        say!("{size} MB", size = decimal(kilobytes / 1024.0, 1))
    }
}
