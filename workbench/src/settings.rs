//! The logger's settings: as it has them, what a person made of them, and the way back to the logger.
//!
//! Nothing is written that the person did not ask for, and nothing counts as written that the logger does not report.

mod battery;
mod draft;
mod file;
mod form;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Deref;

use host::conversation::TalkError;
use host::settings::{FromFile, NotTaken, Setting, Value, from_file, read, write};
use protocol::message::Refusal;
use protocol::settings::{Problem, SettingId};
use ui::dom::View;
use ui::signal::{Changes, Signal};
use ui::task::spawn;

use web_sys::File;

use crate::logger::Logger;
use draft::Draft;

/// The setting that holds the logger's name. Others of this name, of its channels, stand behind it.
const NAME: &str = "Name";

/// The settings of one logger.
#[derive(Clone, Copy)]
pub(crate) struct Settings(&'static State);

impl Deref for Settings {
    type Target = State;

    fn deref(&self) -> &State {
        self.0
    }
}

/// The settings of all loggers.
#[derive(Clone, Default)]
pub(crate) struct Everyone(Rc<RefCell<Vec<Settings>>>);

/// What is known and wanted.
pub(crate) struct State {
    logger: Logger,
    everyone: Everyone,
    /// What the logger has.
    known: Signal<Known>,
    /// What the person made of it and did not write yet.
    drafts: Signal<Vec<(SettingId, Draft)>>,
    /// How the latest writing ended.
    written: Signal<Option<Written>>,
    /// How it ended with the other loggers, by their names; none where they have nothing of it.
    told: Signal<Vec<(String, Option<Written>)>>,
    /// Whether writing was asked for while a field held no value.
    insisted: Signal<bool>,
    /// What came of the latest file.
    taken: Signal<Option<Taken>>,
    /// What the battery holds, in milliampere-hours as it was typed.
    capacity: Signal<String>,
}

/// What is known of a logger's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Known {
    /// They were not read yet.
    Nothing,
    /// They could not be read.
    Failed(TalkError),
    /// All of them, with their values.
    All(Rc<[Setting]>),
}

/// How writing ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    /// The logger has them.
    Done,
    /// It refused one, and changed none.
    Refused(SettingId, Problem),
    /// It did not come to that.
    Failed(TalkError),
}

/// What came of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Taken {
    /// Its values stand in the form.
    All {
        /// How many of them differ from the logger's.
        differ: usize,
        /// Names of those that this logger does not have.
        unknown: Vec<String>,
    },
    /// It is no file of settings.
    NoSettings,
    /// A value in it is not one that the setting takes: none stands in the form.
    Not(NotTaken),
    /// What the logger has is not known yet.
    TooEarly,
}

impl Settings {
    /// None are known yet.
    pub(crate) fn new(logger: Logger, changes: &Changes, everyone: &Everyone) -> Settings {
        let settings = Settings(Box::leak(Box::new(State {
            logger,
            everyone: everyone.clone(),
            known: Signal::new(changes, Known::Nothing),
            drafts: Signal::new(changes, Vec::new()),
            written: Signal::new(changes, None),
            told: Signal::new(changes, Vec::new()),
            insisted: Signal::new(changes, false),
            taken: Signal::new(changes, None),
            capacity: Signal::new(changes, battery::remembered()),
        })));
        everyone.0.borrow_mut().push(settings);
        settings
    }

    /// The tab.
    pub(crate) fn view(self) -> View {
        form::form(self)
    }

    /// What was known is not true of another logger.
    pub(crate) fn forget(self) {
        self.known.set(Known::Nothing);
        self.drafts.set(Vec::new());
        self.written.set(None);
        self.told.set(Vec::new());
        self.taken.set(None);
        self.insisted.set(false);
    }

    /// Asks the logger for them.
    pub(crate) fn read(self) {
        spawn(async move {
            let result = async { read(&mut self.logger.talk().await?).await };
            match result.await {
                Ok(settings) => {
                    self.take(settings);
                    self.written.update(|written| {
                        // Whether they arrived is certain now: what did not stands in the form still, marked.
                        if let Some(Written::Failed(_)) = written {
                            *written = None;
                        }
                    });
                }
                Err(error) => self.known.update(|known| match known {
                    // What was read before is shown on.
                    Known::All(_) => {}
                    _ => *known = Known::Failed(error),
                }),
            }
        });
    }

    fn take(self, settings: Vec<Setting>) {
        let known = Known::All(settings.into());
        if self.known.with(|before| *before != known) {
            self.known.set(known);
        }
        self.logger.is_called(&self.name());
    }

    /// The setting that holds the logger's name.
    fn name_setting(self) -> Option<Setting> {
        self.with(|list| list.iter().find(|setting| setting.name == NAME).cloned())
    }

    /// How its owner calls it; empty when it has no name.
    fn name(self) -> String {
        match self.name_setting().map(|setting| setting.value) {
            Some(Value::Text(name)) => name,
            _ => String::new(),
        }
    }

    /// Changes some on the logger.
    fn write(self, changes: Vec<(SettingId, Value)>) {
        spawn(async move {
            self.bring(&changes).await;
        });
    }

    async fn bring(self, changes: &[(SettingId, Value)]) -> Written {
        self.written.set(None);
        let result = async {
            let mut conversation = self.logger.talk().await?;
            write(&mut conversation, changes).await?;
            read(&mut conversation).await
        };
        let written = match result.await {
            Ok(settings) => {
                self.take(settings);
                // What the person made of others was not written.
                self.drafts.update(|drafts| {
                    drafts.retain(|(id, _)| !changes.iter().any(|(written, _)| written == id));
                });
                self.taken.set(None);
                Written::Done
            }
            Err(TalkError::Refused(Refusal::Setting { id, problem })) => {
                Written::Refused(id, problem)
            }
            Err(error) => Written::Failed(error),
        };
        self.written.set(Some(written.clone()));
        written
    }

    /// Other loggers that are there, and whose settings are known.
    fn others(self) -> Vec<Settings> {
        let everyone = self.everyone.0.borrow();
        let others = everyone.iter().copied().filter(|other| {
            !core::ptr::eq(other.0, self.0) && other.logger.is_free() && other.all().is_some()
        });
        others.collect()
    }

    /// What differs from the logger's and is not its name: that is each one's own.
    fn for_all(self) -> Vec<(SettingId, Value)> {
        let name = self.name_setting().map(|setting| setting.id);
        let mut changes = self.changes();
        changes.retain(|(id, _)| Some(*id) != name);
        changes
    }

    /// Writes what differs from this logger's to all loggers, to each what it has of it. What becomes of one does not touch
    /// the others.
    fn write_to_all(self) {
        let changes = self.for_all();
        self.told.set(Vec::new());
        self.write(self.changes());
        for other in self.others() {
            let mut common = changes.clone();
            common.retain(|(id, _)| self.is_common(*id, other));
            spawn(async move {
                let end = if common.is_empty() {
                    None
                } else {
                    Some(other.bring(&common).await)
                };
                self.told.update(|told| told.push((other.label(), end)));
            });
        }
    }

    /// Whether another logger has the same setting.
    fn is_common(self, id: SettingId, other: Settings) -> bool {
        let find = |list: &[Setting]| {
            let setting = list.iter().find(|setting| setting.id == id)?;
            Some((setting.name.clone(), setting.kind.clone()))
        };
        let own = self.with(find);
        own.is_some() && own == other.with(find)
    }

    /// Its name and the end of its serial number.
    fn label(self) -> String {
        let (name, serial) = (self.name(), self.logger.serial.get());
        let (_, end) = serial.split_at(serial.len().saturating_sub(4));
        [name.trim(), " ", end].concat().trim().into()
    }

    /// Takes a file: its values stand in the form then, and of what it does not name what stood there before.
    pub(crate) fn take_file(self, file: File) {
        spawn(async move {
            let entries = file::entries(&file).await;
            self.taken.set(Some(match (entries, self.all()) {
                (None, _) => Taken::NoSettings,
                (Some(_), None) => Taken::TooEarly,
                (Some(entries), Some(settings)) => match from_file(&entries, &settings) {
                    Err(not) => Taken::Not(not),
                    Ok(FromFile { changes, unknown }) => {
                        self.written.set(None);
                        self.drafts.update(|drafts| {
                            drafts.retain(|(id, _)| !entries.iter().any(|entry| entry.id == id.0));
                        });
                        for (id, value) in &changes {
                            let setting = settings.iter().find(|setting| setting.id == *id);
                            if let Some(setting) = setting {
                                self.put(*id, Draft::of(&setting.kind, value));
                            }
                        }
                        let differ = changes.len();
                        Taken::All { differ, unknown }
                    }
                },
            }));
        });
    }

    /// Gives the person a file of what the logger has.
    fn save(self) {
        let name = ["logdock-settings-", &self.logger.serial.get(), ".json"].concat();
        self.with(|settings| file::save_settings(&name, settings));
    }

    /// The id of an element of its form: there may be several loggers.
    fn element_id(self, name: &str) -> String {
        let serial = self.logger.serial.get();
        ["setting-", &serial, "-", name].concat()
    }

    /// All of them; none when they were not read yet.
    pub(crate) fn all(self) -> Option<Rc<[Setting]>> {
        self.known.with(|known| match known {
            Known::All(settings) => Some(settings.clone()),
            _ => None,
        })
    }

    /// Reads from all of them.
    fn with<T>(self, read: impl FnOnce(&[Setting]) -> T) -> T {
        self.known.with(|known| match known {
            Known::All(settings) => read(settings),
            _ => read(&[]),
        })
    }

    /// What stands in a setting's field.
    fn draft(self, setting: &Setting) -> Draft {
        self.drafts
            .with(|drafts| {
                drafts
                    .iter()
                    .find(|(id, _)| *id == setting.id)
                    .map(|(_, draft)| draft.clone())
            })
            .unwrap_or_else(|| Draft::of(&setting.kind, &setting.value))
    }

    /// Changes what stands in a setting's field.
    fn put(self, id: SettingId, draft: Draft) {
        // A refusal was of another value.
        self.written.set(None);
        self.told.set(Vec::new());
        self.drafts.update(|drafts| {
            drafts.retain(|(other, _)| *other != id);
            drafts.push((id, draft));
        });
    }

    /// Changes what stands in all fields.
    fn put_all(self, value: fn(&Setting) -> Value) {
        self.written.set(None);
        self.taken.set(None);
        self.drafts.set(self.with(|settings| {
            settings
                .iter()
                .map(|setting| (setting.id, Draft::of(&setting.kind, &value(setting))))
                .collect()
        }));
    }

    /// Whether a setting's field differs from what the logger has.
    fn is_changed(self, setting: &Setting) -> bool {
        self.draft(setting).value(setting).as_ref() != Ok(&setting.value)
    }

    fn count_changed(self) -> usize {
        self.with(|settings| {
            let changed = settings.iter().filter(|setting| self.is_changed(setting));
            changed.count()
        })
    }

    /// The values that differ from the logger's.
    fn changes(self) -> Vec<(SettingId, Value)> {
        self.with(|settings| {
            settings
                .iter()
                .filter(|setting| self.is_changed(setting))
                .filter_map(|setting| Some((setting.id, self.draft(setting).value(setting).ok()?)))
                .collect()
        })
    }

    /// The first setting whose field holds no value.
    fn first_fault(self) -> Option<SettingId> {
        self.with(|settings| {
            settings
                .iter()
                .find(|setting| self.draft(setting).value(setting).is_err())
                .map(|setting| setting.id)
        })
    }
}
