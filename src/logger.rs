//! A logger and its state, as signals, and the [`Page`] with all of them: the only things that views talk to.
//!
//! It keeps what the logger said and what the person chose, and passes orders to the [session](crate::session), which
//! alone talks to the logger. It holds no words for people, only the facts that views put into words, and it never
//! says of a logger what that logger did not report.

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use host::check::{Direction, Plan};
use host::conversation::TalkError;
use host::device::Device;
use host::update::{Progress, UpdateError, Upload};
use js_sys::{Array, Uint8Array};
use protocol::device::{HeldImage, Outcome, Program, SerialNumber};
use protocol::image::{Digest, Version};
use protocol::record::Status;
use virtual_logger_messages::{Command, Event};
use wasm_bindgen::prelude::*;
use web_sys::{File, SerialPort};

use crate::browser::{on_opened, stay_awake};
use crate::helper::{NoHelp, objection, offer, read, read_listed};
use crate::lease::Asked;
use crate::link::PortEvent;
use crate::link::serial::{Desk, ask, serial};
use crate::link::virtual_logger::Hand;
use crate::session;
use crate::workbench::{Bench, take_settings};
use core::ops::Deref;
use ui::dom::window;
use ui::fetch;
use ui::queue::{Sender, queue};
use ui::signal::{Changed, Changes, Signal, changes};
use ui::step::Step;
use ui::task::spawn;
use ui::text::storage;
use ui::time::now;

/// How the names of settings files end.
const SETTINGS_FILE: &str = ".json";
/// In the page's address, it asks for the virtual logger.
const VIRTUAL: &str = "#virtual-logger";
/// An update to try on it, beside the page.
const SAMPLE: &str = "logger-1.1.0.hex";
/// What the maker offers, beside the page.
const CATALOGUE: &str = "./firmware/catalogue.json";

/// Whether there is a logger to talk to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Connection {
    /// This browser has no Web Serial, and the virtual logger is not wanted.
    Unsupported,
    /// None was chosen yet, or it could not be used.
    Disconnected(Option<Hindrance>),
    /// It is being greeted and asked who it is.
    Connecting,
    /// It answers.
    Connected,
    /// It was unplugged; the page waits for it.
    Lost,
}

/// Why there is no connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hindrance {
    /// The chooser was closed without choosing.
    NothingChosen,
    /// The system or the browser did not open its port.
    NotOpened {
        /// Who made what is plugged in, by its USB descriptor.
        vendor: u16,
        /// What it is.
        product: u16,
    },
    /// The logger that was chosen does not answer as one.
    Failed(TalkError),
}

/// The virtual logger, beside what it says over its port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Virtual {
    /// Nobody asked for it, or it could not be started: then with the reason.
    Off(Option<String>),
    /// It is being loaded.
    Starting,
    /// Another tab has it; it starts here as soon as it is free.
    Elsewhere,
    /// It is there.
    There {
        /// Where its cable and its power are.
        cable: Cable,
        /// Why the emulated chip stopped, if it did.
        halted: Option<String>,
        /// How far its flash was changed since it had a port: bytes from where flash begins.
        written: u32,
    },
}

/// What the virtual logger hangs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cable {
    /// The cable is in.
    In,
    /// It is out; the logger goes on with its battery.
    Out,
    /// It is out, and the battery too.
    NoPower,
}

/// The firmware file that was dropped or picked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Chosen {
    /// None yet.
    Nothing,
    /// It is being read.
    Reading(String),
    /// It could not be taken; whether a logger takes one that is, is the [verdict](State::verdict)'s matter.
    Refused {
        /// The file's name; none when there were several.
        name: Option<String>,
        /// Why.
        error: Unreadable,
    },
    /// A whole image.
    Whole {
        /// The image.
        file: Rc<Firmware>,
        /// Seconds that reading and checking took.
        took: f64,
    },
}

impl Chosen {
    /// The file's name, when there is one file.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Chosen::Nothing => None,
            Chosen::Reading(name) => Some(name),
            Chosen::Refused { name, .. } => name.as_deref(),
            Chosen::Whole { file, .. } => Some(&file.name),
        }
    }
}

/// A firmware file that is whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Firmware {
    /// The file's name.
    pub(crate) name: String,
    /// The image in it.
    pub(crate) upload: Upload,
}

/// Newer firmware for this logger, as the maker's catalogue says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    /// Its version.
    pub(crate) version: String,
    /// The file beside the page.
    pub(crate) file: String,
    /// The day of its release.
    pub(crate) date: String,
    /// What is new, in the maker's words.
    pub(crate) notes: String,
}

/// Whether the logger will take the chosen file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// There is no file, or no logger to ask.
    Open,
    /// It is being checked.
    Checking,
    /// What checks files could not be loaded.
    Unchecked,
    /// It will not, for this reason (in English).
    Refused(String),
    /// It will, and this is what comes of it.
    Accepted(Plan),
}

/// Why a file could not be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// More than one file was dropped.
    Several,
    /// The browser could not read it: a folder, or a file that is gone.
    Browser,
    /// It could not be loaded from where the page came from.
    NotLoaded,
    /// What reads files could not be loaded.
    NoHelp,
    /// It is no firmware, for this reason (in English).
    File(String),
}

/// How the image and the conversation come along.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Copying {
    /// The logger restarts into update mode, for only there can it take the image.
    Preparing,
    /// Bytes go over.
    Sending {
        /// Bytes per second; none until there is something to measure.
        rate: Option<f64>,
    },
    /// The cable is out; also after all is there.
    Unplugged,
    /// All is there, and the logger has read it back or does.
    ReadingBack,
}

/// An update under way, or how it went.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Course {
    /// What ran before and is kept until the new one has proven itself; none when the logger has no room for both.
    pub(crate) kept_version: Option<Version>,
    /// What is being installed.
    pub(crate) to: Version,
    /// Its digest.
    pub(crate) digest: Digest,
    /// It is an image that the logger keeps: no file is checked, and nothing is copied.
    pub(crate) is_kept: bool,
    /// The step under way; when the update ended, the one it ended in.
    pub(crate) step: Step,
    /// Seconds that the finished steps took, in their order.
    pub(crate) took: Vec<f64>,
    /// Seconds that the present step takes until now.
    pub(crate) elapsed: f64,
    /// What goes on in [`Step::Copied`].
    pub(crate) copying: Copying,
    /// Bytes that the logger keeps safe.
    pub(crate) kept: u32,
    /// Bytes in all.
    pub(crate) total: u32,
    /// How it ended.
    pub(crate) end: Option<End>,
    /// When the present step began.
    began: f64,
    /// When the present run of bytes began, and at which byte.
    run: Option<(f64, u32)>,
    /// When the port came back after the restart.
    returned: Option<f64>,
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The logger reports the new image, confirmed.
    Installed,
    /// The person stopped it.
    Cancelled,
    /// It did not come to its good end.
    Failed(UpdateError),
}

/// What one does with a logger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tab {
    /// New firmware.
    Update,
    /// What it recorded.
    Records,
    /// Its settings.
    Settings,
}

impl Tab {
    /// All of them, in their order.
    pub(crate) const ALL: [Tab; 3] = [Tab::Update, Tab::Records, Tab::Settings];
}

/// What the session is told to do.
pub(crate) enum Order {
    /// Use this port.
    Connect(SerialPort),
    /// Bring the chosen file onto the logger.
    Update,
    /// Have the image installed that the logger keeps.
    PutBack,
    /// Have a logger in update mode start over.
    Restart,
    /// Stop sending.
    Cancel,
    /// Let somebody else talk to the logger for a while.
    Lend(Asked),
    /// Look no more for the logger that was known.
    Forget,
    /// Take the virtual logger in place of the real ones, or the other way round.
    Exchange,
}

/// A logger, as the page knows it, for as long as the page is there: one that was connected once, or will be.
#[derive(Clone, Copy)]
pub(crate) struct Logger(&'static State);

impl Deref for Logger {
    type Target = State;

    fn deref(&self) -> &State {
        self.0
    }
}

impl PartialEq for Logger {
    fn eq(&self, other: &Logger) -> bool {
        core::ptr::eq(self.0, other.0)
    }
}

/// The page: its loggers, and what it knows besides them.
#[derive(Clone, Copy)]
pub(crate) struct Page(&'static Common);

impl Deref for Page {
    type Target = Common;

    fn deref(&self) -> &Common {
        self.0
    }
}

/// What is known and wanted, whichever logger it is about.
pub(crate) struct Common {
    desk: Desk,
    /// The firmware file.
    pub(crate) chosen: Signal<Chosen>,
    /// What is looked at.
    pub(crate) tab: Signal<Tab>,
    /// Whether a file is being dragged over the page.
    pub(crate) dragging: Signal<bool>,
    /// All loggers, in the order in which they came. The last one may be one that is still to come.
    loggers: Signal<Vec<Logger>>,
    /// Which one is looked at.
    selected: Signal<usize>,
    /// Serial numbers of the loggers whose update was under way when the page was left.
    unfinished: Signal<Vec<String>>,
    changes: Changes,
}

/// What is known and wanted of a logger.
pub(crate) struct State {
    /// The page that it is on.
    pub(crate) page: Page,
    /// Whether it can be talked to.
    pub(crate) connection: Signal<Connection>,
    /// Which of its programs answers.
    pub(crate) program: Signal<Program>,
    /// What it last said of itself; stays when it is unplugged.
    pub(crate) device: Signal<Option<Device>>,
    /// What it measures; none when it is unplugged or does not measure.
    pub(crate) status: Signal<Option<Status>>,
    /// What its clock is ahead of this computer's, in milliseconds; none when it does not know the time.
    pub(crate) ahead: Signal<Option<i64>>,
    /// The same before this page set the clock, if it did.
    pub(crate) ahead_before: Signal<Option<Option<i64>>>,
    /// The name that its owner gave it; empty when it has none, or it is not known yet.
    pub(crate) name: Signal<String>,
    /// Who and how it is: lines for the details. They stay when it is unplugged.
    pub(crate) report: Signal<String>,
    /// Whether this logger takes the firmware file.
    pub(crate) verdict: Signal<Verdict>,
    /// What the maker offers that is newer than what runs.
    pub(crate) offer: Signal<Option<Offer>>,
    /// What is wrong with the maker's catalogue.
    pub(crate) catalogue: Signal<String>,
    /// The update.
    pub(crate) course: Signal<Option<Course>>,
    /// A version on trial that this page found and confirmed, without an update of its own.
    pub(crate) confirmed: Signal<Option<Version>>,
    /// The virtual logger.
    pub(crate) virtual_logger: Signal<Virtual>,
    /// Whether its memories outlive this visit.
    pub(crate) virtual_is_kept: Signal<bool>,
    /// Whether its cable is noisy.
    pub(crate) is_noisy: Signal<bool>,
    /// The program that has the other tabs.
    pub(crate) bench: Signal<Bench>,
    /// Whether the person asked how an update works, and has not been shown it yet.
    pub(crate) is_explained: Signal<bool>,
    /// Whether the details are looked at.
    pub(crate) is_detailed: Signal<bool>,
    /// Whether the details could be copied, once that was asked for.
    pub(crate) copied: Signal<Option<bool>>,
    hand: Signal<Option<Hand>>,
    orders: Sender<Order>,
}

impl Page {
    /// Which logger has which port.
    pub(crate) fn desk(self) -> &'static Desk {
        &self.0.desk
    }

    /// Begins to look for loggers that were chosen in an earlier visit, or starts the virtual one if the address asks for
    /// it.
    pub(crate) fn new() -> (Page, Changed) {
        let (changes, changed) = changes();
        let page = Page(Box::leak(Box::new(Common {
            desk: Desk::default(),
            chosen: Signal::new(&changes, Chosen::Nothing),
            tab: Signal::new(&changes, Tab::Update),
            dragging: Signal::new(&changes, false),
            loggers: Signal::new(&changes, Vec::new()),
            selected: Signal::new(&changes, 0),
            unfinished: Signal::new(&changes, Vec::new()),
            changes,
        })));
        page.expect(if window().location().hash().as_deref() == Ok(VIRTUAL) {
            Virtual::Starting
        } else {
            Virtual::Off(None)
        });
        let take = Closure::<dyn Fn(Array)>::new(move |files: Array| {
            page.choose(files.iter().map(JsCast::unchecked_into).collect());
        });
        on_opened(take.as_ref().unchecked_ref());
        // Files may be opened as long as the page is there.
        take.forget();
        page.recall_update();
        (page, changed)
    }

    /// One more logger may come.
    fn expect(self, virtual_logger: Virtual) {
        let logger = Logger::new(self, virtual_logger);
        self.loggers.update(|loggers| loggers.push(logger));
    }

    /// A logger has said who it is. From now on the next one may come, unless this one is virtual.
    pub(crate) fn introduce(self, logger: Logger) {
        if logger.wants_virtual() {
            return;
        }
        if self.coming() == Some(logger) {
            self.expect(Virtual::Off(None));
        }
        if !self.shown().is_some_and(Logger::is_there) {
            self.show(logger);
        }
    }

    /// The logger that is looked at.
    pub(crate) fn shown(self) -> Option<Logger> {
        let selected = self.selected.get();
        self.loggers.with(|loggers| loggers.get(selected).copied())
    }

    /// Looks at another one.
    pub(crate) fn show(self, logger: Logger) {
        let place = self
            .loggers
            .with(|loggers| loggers.iter().position(|other| *other == logger));
        self.selected.set(place.unwrap_or(0));
    }

    /// The one that is still to come.
    pub(crate) fn coming(self) -> Option<Logger> {
        self.loggers.with(|loggers| loggers.last().copied())
    }

    /// Looks no more for a logger that is away; should it come again, it is a new one.
    pub(crate) fn put_away(self, logger: Logger) {
        logger.forget();
        logger.order(Order::Forget);
        let known = self.known();
        let there = known.iter().find(|other| other.is_there());
        if let Some(other) = there.or(known.first())
            && self.shown() == Some(logger)
        {
            self.show(*other);
        }
    }

    /// Those that have said who they are.
    pub(crate) fn known(self) -> Vec<Logger> {
        let is_known = |logger: &Logger| logger.device.with(Option::is_some);
        self.loggers
            .with(|loggers| loggers.iter().copied().filter(is_known).collect())
    }

    /// The one with this serial number.
    pub(crate) fn with_serial(self, serial: SerialNumber) -> Option<Logger> {
        let mut known = self.known().into_iter();
        known.find(|logger| logger.of_device(|device| device.serial) == Some(serial))
    }

    /// Whether an update is under way on any of them.
    pub(crate) fn is_updating(self) -> bool {
        self.known().into_iter().any(Logger::is_updating)
    }

    /// Those that would take the chosen file now, and do not run it yet.
    pub(crate) fn ready(self) -> Vec<Logger> {
        let known = self.known().into_iter();
        known.filter(|logger| logger.is_ready()).collect()
    }

    /// Brings the chosen file onto all that take it. What becomes of one does not touch the others.
    pub(crate) fn update_all(self) {
        self.ready().into_iter().for_each(Logger::update);
    }

    /// Takes the files that were dropped or picked. Nothing is sent.
    pub(crate) fn choose(self, files: Vec<File>) {
        if self.is_updating() || files.is_empty() {
            return;
        }
        self.unfinished.set(Vec::new());
        let [file] = files.as_slice() else {
            self.set_chosen(Chosen::Refused {
                name: None,
                error: Unreadable::Several,
            });
            return;
        };
        if file.name().ends_with(SETTINGS_FILE)
            && self
                .shown()
                .is_some_and(|logger| take_settings(logger, file))
        {
            return;
        }
        self.set_chosen(Chosen::Reading(file.name()));
        let file = file.clone();
        spawn(async move {
            let began = now();
            let read = read(&file.name(), &file).await;
            self.take(&file.name(), read, began);
        });
    }

    /// Takes the update that is there to be tried, as if it had been dropped.
    pub(crate) fn choose_sample(self) {
        self.choose_beside(SAMPLE.into());
    }

    /// Takes a firmware file from beside the page, as if it had been dropped.
    pub(crate) fn choose_beside(self, name: String) {
        if self.is_updating() {
            return;
        }
        self.unfinished.set(Vec::new());
        self.set_chosen(Chosen::Reading(name.clone()));
        spawn(async move {
            let began = now();
            let read = match fetch(&["./firmware/", &name].concat()).await {
                Ok(bytes) => read_listed(&name, &bytes).await,
                Err(_) => Err(Unreadable::NotLoaded),
            };
            self.take(&name, read, began);
        });
    }

    fn take(self, name: &str, read: Result<Rc<Firmware>, Unreadable>, began: f64) {
        self.set_chosen(match read {
            Ok(file) => Chosen::Whole {
                file,
                took: now() - began,
            },
            Err(error) => Chosen::Refused {
                name: Some(name.into()),
                error,
            },
        });
    }

    fn set_chosen(self, chosen: Chosen) {
        self.chosen.set(chosen);
        for logger in self.known() {
            logger.course.set(None);
            logger.judge();
        }
    }

    /// The chosen file, when it is one.
    pub(crate) fn whole_file(self) -> Option<(Rc<Firmware>, f64)> {
        self.chosen.with(|chosen| match chosen {
            Chosen::Whole { file, took } => Some((file.clone(), *took)),
            _ => None,
        })
    }
}

impl Logger {
    /// Begins to look for it.
    fn new(page: Page, virtual_logger: Virtual) -> Logger {
        let (sender, orders) = queue();
        let changes = &page.changes;
        let logger = Logger(Box::leak(Box::new(State {
            page,
            connection: Signal::new(changes, without_logger()),
            program: Signal::new(changes, Program::Application),
            device: Signal::new(changes, None),
            status: Signal::new(changes, None),
            ahead: Signal::new(changes, None),
            ahead_before: Signal::new(changes, None),
            name: Signal::new(changes, String::new()),
            report: Signal::new(changes, String::new()),
            offer: Signal::new(changes, None),
            catalogue: Signal::new(changes, String::new()),
            verdict: Signal::new(changes, Verdict::Open),
            course: Signal::new(changes, None),
            confirmed: Signal::new(changes, None),
            virtual_logger: Signal::new(changes, virtual_logger),
            virtual_is_kept: Signal::new(changes, true),
            is_noisy: Signal::new(changes, false),
            is_explained: Signal::new(changes, false),
            bench: Signal::new(changes, Bench::default()),
            is_detailed: Signal::new(changes, false),
            copied: Signal::new(changes, None),
            hand: Signal::new(changes, None),
            orders: sender,
        })));
        spawn(session::run(logger, serial(), orders));
        logger
    }

    /// Lets the person choose a logger. To be called from a click, before anything else.
    pub(crate) fn connect(self) {
        let Some(serial) = serial() else { return };
        let port = ask(&serial);
        spawn(async move {
            match port.await {
                Some(port) => match self.page.desk.holder(&port) {
                    // It is connected already.
                    Some(place) => self.page.selected.set(place),
                    None => self.order(Order::Connect(port)),
                },
                None => self.connection.update(|connection| {
                    if let Connection::Disconnected(hindrance) = connection {
                        *hindrance = Some(Hindrance::NothingChosen);
                    }
                }),
            }
        });
    }

    /// Starts the virtual logger; from now on it is the one that this page deals with.
    pub(crate) fn try_virtual(self) {
        self.virtual_logger.set(Virtual::Starting);
        remember_in_address(VIRTUAL);
        self.order(Order::Exchange);
    }

    /// Puts the virtual logger away, as it is.
    pub(crate) fn leave_virtual(self) {
        self.virtual_logger.set(Virtual::Off(None));
        remember_in_address("");
        self.order(Order::Exchange);
    }

    /// Does something to the virtual logger or its cable, at once.
    pub(crate) fn handle_virtual(self, command: Command) {
        self.hand.with(|hand| {
            if let Some(hand) = hand {
                hand.act(command);
            }
        });
        match command {
            Command::Disturb => self.is_noisy.set(true),
            Command::Mend | Command::Renew => self.is_noisy.set(false),
            _ => {}
        }
        self.virtual_logger.update(|state| {
            if let Virtual::There { cable, halted, .. } = state {
                *cable = match command {
                    Command::Plug | Command::Renew => Cable::In,
                    Command::Unplug => Cable::Out,
                    Command::Cut => Cable::NoPower,
                    Command::Open
                    | Command::Close
                    | Command::WearOut
                    | Command::Disturb
                    | Command::Mend
                    | Command::Slow
                    | Command::Swift => return,
                };
                if matches!(command, Command::Cut | Command::Renew) {
                    *halted = None;
                }
            }
        });
    }

    /// Whether the virtual logger is there.
    pub(crate) fn is_virtual(self) -> bool {
        self.virtual_logger
            .with(|state| matches!(state, Virtual::There { .. }))
    }

    /// Brings the chosen file onto the logger.
    pub(crate) fn update(self) {
        self.order(Order::Update);
    }

    /// Has the image installed that the logger keeps.
    pub(crate) fn put_back(self) {
        self.order(Order::PutBack);
    }

    /// Has a logger in update mode try once more to start what it has.
    pub(crate) fn restart(self) {
        self.order(Order::Restart);
    }

    /// Stops an update that still sends.
    pub(crate) fn cancel_update(self) {
        self.order(Order::Cancel);
    }

    /// What the logger says of itself.
    pub(crate) fn set_device(self, device: Option<Device>) {
        self.device.set(device);
        self.judge();
        self.look_for_newer();
    }

    /// Asks what the maker offers this logger. The virtual one has its sample.
    fn look_for_newer(self) {
        self.offer.set(None);
        let Some(device) = self.device.get().filter(|_| !self.wants_virtual()) else {
            return;
        };
        spawn(async move {
            let (offer, wrong) = match fetch(CATALOGUE).await {
                Ok(bytes) => offer(&bytes, &device).await,
                Err(_) => (None, "not there".into()),
            };
            // Another logger may have been plugged in, or this one updated.
            if self.device.with(|now| now.as_ref() == Some(&device)) {
                self.offer.set(offer);
                self.catalogue.set(wrong);
            }
        });
    }

    /// Asks whether the logger takes the file.
    fn judge(self) {
        let (Some((file, _)), Some(device)) = (self.page.whole_file(), self.device.get()) else {
            self.verdict.set(Verdict::Open);
            return;
        };
        self.verdict.set(Verdict::Checking);
        spawn(async move {
            let answer = objection(device.clone()).await;
            // The person may have chosen another file, or plugged in another logger.
            let same_file = self
                .page
                .whole_file()
                .is_some_and(|(now, _)| Rc::ptr_eq(&now, &file));
            if !same_file || self.device.get().as_ref() != Some(&device) {
                return;
            }
            let upload = &file.upload;
            let length = upload.image.len() as u32;
            self.verdict.set(match answer {
                Err(NoHelp) => Verdict::Unchecked,
                Ok(Some(why)) => Verdict::Refused(why),
                Ok(None) => {
                    Verdict::Accepted(Plan::new(&device, upload.version, upload.digest, length))
                }
            });
            self.go_on_with_update(&device);
        });
    }

    /// Whether the logger takes the chosen file.
    pub(crate) fn is_accepted(self) -> bool {
        self.verdict
            .with(|verdict| matches!(verdict, Verdict::Accepted(_)))
    }

    /// Whether the logger takes the chosen file and does not run it.
    fn takes_new(self) -> bool {
        self.verdict.with(|verdict| {
            matches!(verdict, Verdict::Accepted(plan) if plan.direction != Direction::Same)
        })
    }

    /// The same, and it may be updated now.
    fn is_ready(self) -> bool {
        self.takes_new() && self.is_connected() && !self.is_updating()
    }

    /// Whether it is plugged in, as far as the page knows.
    pub(crate) fn is_there(self) -> bool {
        self.connection
            .with(|connection| matches!(connection, Connection::Connected | Connection::Connecting))
    }

    /// Reads from what the logger said of itself, when it has.
    pub(crate) fn of_device<T>(self, read: impl FnOnce(&Device) -> T) -> Option<T> {
        self.device.with(|device| device.as_ref().map(read))
    }

    /// Whether an update is under way.
    pub(crate) fn is_updating(self) -> bool {
        self.course
            .with(|course| course.as_ref().is_some_and(|course| course.end.is_none()))
    }

    /// Whether the logger answers.
    pub(crate) fn is_connected(self) -> bool {
        self.connection
            .with(|connection| *connection == Connection::Connected)
    }

    /// Tells the session what to do.
    pub(crate) fn order(self, order: Order) {
        // The session lives as long as the page.
        self.orders.send(order);
    }
}

/// What the session reports.
impl Logger {
    /// An update with `file` begins.
    pub(crate) fn update_begins(self, device: &Device, file: &Firmware, checked_in: f64) {
        let upload = &file.upload;
        let image = HeldImage {
            version: upload.version,
            digest: upload.digest,
            length: upload.image.len() as u32,
        };
        self.course_begins(device, &image, false, vec![checked_in]);
        self.page.remember_updates();
    }

    /// An installation of an image that the logger keeps begins.
    pub(crate) fn put_back_begins(self, device: &Device, kept: &HeldImage) {
        // The steps that it does without take no time.
        self.course_begins(device, kept, true, vec![0.0, 0.0]);
    }

    fn course_begins(self, device: &Device, image: &HeldImage, is_kept: bool, took: Vec<f64>) {
        // In update mode, what runs no more is put back without a trial.
        let in_trial = !is_kept || self.program.get() == Program::Application;
        self.confirmed.set(None);
        self.course.set(Some(Course {
            kept_version: device
                .running
                .filter(|_| in_trial && !device.direct)
                .map(|running| running.version),
            to: image.version,
            digest: image.digest,
            is_kept,
            step: Step::ALL[took.len()],
            took,
            elapsed: 0.0,
            copying: Copying::Sending { rate: None },
            kept: 0,
            total: image.length,
            end: None,
            began: now(),
            run: None,
            returned: None,
        }));
        self.keep_awake();
    }

    /// It came further.
    pub(crate) fn update_progresses(self, progress: Progress) {
        self.change_course(|course| course.progresses(progress));
    }

    /// Time passed.
    pub(crate) fn update_waits(self) {
        self.change_course(|course| course.elapsed = now() - course.began);
    }

    /// It ended.
    pub(crate) fn update_ends(self, end: End) {
        self.change_course(|course| {
            if end == End::Installed {
                course.finish(now());
            }
            course.end = Some(end);
        });
        self.page.remember_updates();
        self.keep_awake();
    }

    /// Whether it may still be stopped: the logger has not been told to install.
    pub(crate) fn may_cancel(self) -> bool {
        self.course
            .with(|course| course.as_ref().is_some_and(Course::may_cancel))
    }

    /// Whether the latest update came to its good end.
    pub(crate) fn has_installed(self) -> bool {
        self.course.with(|course| {
            course
                .as_ref()
                .is_some_and(|course| course.end == Some(End::Installed))
        })
    }

    /// Whether the virtual logger is to take the place of the real ones.
    pub(crate) fn wants_virtual(self) -> bool {
        self.virtual_logger
            .with(|state| !matches!(state, Virtual::Off(_)))
    }

    /// All that is known is of another logger.
    pub(crate) fn forget(self) {
        self.hand.set(None);
        self.connection.set(without_logger());
        self.program.set(Program::Application);
        self.set_device(None);
        self.forget_logger();
        self.virtual_is_kept.set(true);
        self.is_noisy.set(false);
    }

    /// What was known of a logger is not true of the next one.
    pub(crate) fn forget_logger(self) {
        self.status.set(None);
        self.ahead_before.set(None);
        self.name.set(String::new());
        self.report.set(String::new());
        self.course.set(None);
        self.confirmed.set(None);
    }

    /// How it stands when its port is gone.
    pub(crate) fn without_port(self) -> Connection {
        if self.device.with(Option::is_some) {
            Connection::Lost
        } else {
            without_logger()
        }
    }

    /// The virtual logger can be handled.
    pub(crate) fn give_hand(self, hand: Hand) {
        self.hand.set(Some(hand));
    }

    /// Something happened to the virtual logger.
    pub(crate) fn virtual_changed(self, event: Event) {
        match event {
            Event::Elsewhere => self.virtual_logger.set(Virtual::Elsewhere),
            Event::Started => self.virtual_logger.set(Virtual::There {
                cable: Cable::In,
                halted: None,
                written: 0,
            }),
            Event::NotKept => self.virtual_is_kept.set(false),
            Event::Halted(why) => self.virtual_logger.update(|state| {
                if let Virtual::There { halted, .. } = state {
                    *halted = Some(why);
                }
            }),
            Event::Failed(why) => self.virtual_failed(why),
            Event::Written(offset) => self.flash_changed(offset),
            // The session sees to the port.
            Event::Plugged => self.flash_changed(0),
            Event::Unplugged => {}
        }
    }

    fn flash_changed(self, offset: u32) {
        self.virtual_logger.update(|state| {
            if let Virtual::There { written, .. } = state {
                *written = offset;
            }
        });
    }

    /// The virtual logger could not be started.
    pub(crate) fn virtual_failed(self, why: String) {
        self.virtual_logger.set(Virtual::Off(Some(why)));
        self.order(Order::Exchange);
    }

    /// The port opened or vanished.
    pub(crate) fn port_changed(self, event: PortEvent) {
        if event == PortEvent::Lost {
            self.status.set(None);
        }
        if !self.is_updating() {
            return;
        }
        self.change_course(|course| match (event, course.step) {
            (PortEvent::Lost, Step::Restarted) => course.enter(Step::Installed, now()),
            (PortEvent::Opened, Step::Installed) => course.returned = Some(now()),
            _ => {}
        });
    }

    /// The computer must not fall asleep while something is on its way.
    fn keep_awake(self) {
        stay_awake(self.page.is_updating());
    }

    fn change_course(self, change: impl FnOnce(&mut Course)) {
        self.course.update(|course| {
            if let Some(course) = course {
                change(course);
            }
        });
    }
}

impl Course {
    /// Whether the logger has not been told to install yet.
    pub(crate) fn may_cancel(&self) -> bool {
        self.end.is_none() && self.step == Step::Copied && self.copying != Copying::ReadingBack
    }

    /// How much the logger keeps safe, in percent.
    pub(crate) fn percent(&self) -> u32 {
        (u64::from(self.kept) * 100 / u64::from(self.total.max(1))) as u32
    }

    /// How much of it is done, in percent: half of it is the copy, the rest is a matter of steps.
    pub(crate) fn progress(&self) -> u32 {
        match self.step {
            Step::Checked => 0,
            Step::Copied => self.percent() / 2,
            step => 50 + 12 * (step as u32 - Step::Copied as u32),
        }
    }

    fn progresses(&mut self, progress: Progress) {
        let now = now();
        match progress {
            Progress::Preparing => self.copying = Copying::Preparing,
            Progress::Sending { kept, total } => {
                let (since, first) = *self.run.get_or_insert((now, kept));
                let time = now - since;
                // Shorter times measure the computer, not the link.
                let rate = (time > 0.05).then(|| f64::from(kept.saturating_sub(first)) / time);
                self.copying = Copying::Sending { rate };
                (self.kept, self.total) = (kept, total);
            }
            Progress::Unplugged { kept, total } => {
                self.run = None;
                self.copying = Copying::Unplugged;
                (self.kept, self.total) = (kept, total);
            }
            Progress::Checking => self.copying = Copying::ReadingBack,
            // Where nothing was copied it began with that.
            Progress::Installing => {
                self.copying = Copying::ReadingBack;
                self.enter(Step::Restarted, now);
            }
            Progress::Started => {
                let returned = self.returned.unwrap_or(now);
                self.enter(Step::Started, returned);
                self.enter(Step::Confirmed, now);
            }
            Progress::Confirming => self.copying = Copying::ReadingBack,
        }
        self.elapsed = now - self.began;
    }

    /// Ends all steps before `step`; a link that stays through a restart cannot tell some of them apart.
    fn enter(&mut self, step: Step, time: f64) {
        while self.step < step {
            self.finish(time);
            self.step = Step::ALL[self.took.len()];
        }
    }

    /// Ends the present step.
    fn finish(&mut self, time: f64) {
        self.took.push(time - self.began);
        self.began = time;
        self.elapsed = 0.0;
    }
}

/// Where an update under way is remembered, for the case that the page is loaded anew in the middle of it.
const UNDER_WAY: &str = "logdock-update";
/// Between the serial numbers there.
const AND: &str = ",";

/// An update outlives a reload of the page: the image, and which loggers it is for.
impl Page {
    /// Takes up the file of an update that was under way when the page was left.
    fn recall_update(self) {
        let kept = storage().and_then(|storage| storage.get_item(UNDER_WAY).ok()?);
        let Some((serials, name, image)) = kept.as_deref().and_then(|kept| {
            let (serials, rest) = kept.split_once('\n')?;
            let (name, image) = rest.split_once('\n')?;
            Some((serials, String::from(name), image))
        }) else {
            return;
        };
        let image: Vec<u8> = image.chars().map(|byte| byte as u8).collect();
        self.unfinished
            .set(serials.split(AND).map(Into::into).collect());
        self.set_chosen(Chosen::Reading(name.clone()));
        spawn(async move {
            let began = now();
            let read = read(&name, &Uint8Array::from(&image[..])).await;
            self.take(&name, read, began);
        });
    }

    /// Remembers which loggers are not done yet, and the file for them.
    fn remember_updates(self) {
        let Some(storage) = storage() else { return };
        let known = self.known().into_iter();
        let under_way = known.filter(|logger| logger.is_updating());
        let serials = under_way.filter_map(|logger| logger.of_device(|it| it.serial.to_string()));
        let mut serials: Vec<String> = serials.collect();
        serials.extend(self.unfinished.get());
        let file = self.whole_file().filter(|_| !serials.is_empty());
        let Some((file, _)) = file else {
            let _ = storage.remove_item(UNDER_WAY);
            return;
        };
        let bytes = file.upload.image.iter();
        let image: String = bytes.map(|byte| char::from(*byte)).collect();
        // Without room for it, a reload only needs the person to choose the file once more.
        let _ = storage.set_item(
            UNDER_WAY,
            &[&serials.join(AND), "\n", &file.name, "\n", &image].concat(),
        );
    }
}

impl Logger {
    /// Goes on with it when its logger is there and takes the file still. What the logger has taken back meanwhile is not
    /// tried again unasked.
    fn go_on_with_update(self, device: &Device) {
        let serial = device.serial.to_string();
        let page = self.page;
        if !page.unfinished.with(|serials| serials.contains(&serial)) {
            return;
        }
        page.unfinished
            .update(|serials| serials.retain(|other| *other != serial));
        let is_taken_back = matches!(
            (device.outcome, page.whole_file()),
            (Outcome::Reverted(version), Some((file, _))) if version == file.upload.version
        );
        if self.takes_new() && !is_taken_back {
            self.order(Order::Update);
        }
        page.remember_updates();
    }
}

/// How it stands when there is no logger.
fn without_logger() -> Connection {
    match serial() {
        Some(_) => Connection::Disconnected(None),
        None => Connection::Unsupported,
    }
}

/// So that a reload comes back to the same logger.
fn remember_in_address(hash: &str) {
    let window = window();
    let (Ok(history), Ok(path)) = (window.history(), window.location().pathname()) else {
        return;
    };
    // Without it, a reload begins at the welcome.
    let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&(path + hash)));
}
