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

/// What is known and wanted.
pub(crate) struct State {
    logger: Logger,
    /// What the logger has.
    known: Signal<Known>,
    /// What the person made of it and did not write yet.
    drafts: Signal<Vec<(SettingId, Draft)>>,
    /// How the latest writing ended.
    written: Signal<Option<Written>>,
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
    pub(crate) fn new(logger: Logger, changes: &Changes) -> Settings {
        Settings(Box::leak(Box::new(State {
            logger,
            known: Signal::new(changes, Known::Nothing),
            drafts: Signal::new(changes, Vec::new()),
            written: Signal::new(changes, None),
            insisted: Signal::new(changes, false),
            taken: Signal::new(changes, None),
            capacity: Signal::new(changes, battery::remembered()),
        })))
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
        let name = settings.iter().find(|setting| setting.name == NAME);
        self.logger
            .is_called(match name.map(|setting| &setting.value) {
                Some(Value::Text(name)) => name,
                _ => "",
            });
        let known = Known::All(settings.into());
        if self.known.with(|before| *before != known) {
            self.known.set(known);
        }
    }

    /// Changes some on the logger.
    fn write(self, changes: Vec<(SettingId, Value)>) {
        self.written.set(None);
        spawn(async move {
            let result = async {
                let mut conversation = self.logger.talk().await?;
                write(&mut conversation, &changes).await?;
                read(&mut conversation).await
            };
            self.written.set(Some(match result.await {
                Ok(settings) => {
                    self.take(settings);
                    self.drafts.set(Vec::new());
                    self.taken.set(None);
                    Written::Done
                }
                Err(TalkError::Refused(Refusal::Setting { id, problem })) => {
                    Written::Refused(id, problem)
                }
                Err(error) => Written::Failed(error),
            }));
        });
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
