//! The logger's settings: as it has them, what a person made of them, and the way back to the logger.
//!
//! Nothing is written that the person did not ask for, and nothing counts as written that the logger does not report.

mod draft;
mod form;

use alloc::boxed::Box;
use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::Deref;

use host::conversation::TalkError;
use host::settings::{Setting, Value, read, write};
use protocol::message::Refusal;
use protocol::settings::{Problem, SettingId};
use ui::dom::View;
use ui::signal::{Changes, Signal};
use ui::task::spawn;

use crate::logger::{Logger, Tab};
use draft::Draft;

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
    /// They are as they were read since the logger came.
    is_fresh: Cell<bool>,
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

impl Settings {
    /// None are known yet.
    pub(crate) fn new(logger: Logger, changes: &Changes) -> Settings {
        Settings(Box::leak(Box::new(State {
            logger,
            known: Signal::new(changes, Known::Nothing),
            drafts: Signal::new(changes, Vec::new()),
            written: Signal::new(changes, None),
            insisted: Signal::new(changes, false),
            is_fresh: Cell::new(false),
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
        self.insisted.set(false);
    }

    /// The logger came, if it `is_new`, or the person looks elsewhere. The settings are read when they are looked at.
    pub(crate) fn follow(self, is_new: bool) {
        if is_new {
            self.is_fresh.set(false);
        }
        let logger = self.logger;
        if logger.is_free() && logger.tab.get() == Some(Tab::Settings) && !self.is_fresh.get() {
            self.read();
        }
    }

    /// Asks the logger for them.
    fn read(self) {
        self.is_fresh.set(true);
        spawn(async move {
            let result = async { read(&mut self.logger.talk().await?).await };
            match result.await {
                Ok(settings) => self.take(settings),
                Err(error) => {
                    self.is_fresh.set(false);
                    self.known.update(|known| match known {
                        // What was read before is shown on.
                        Known::All(_) => {}
                        _ => *known = Known::Failed(error),
                    });
                }
            }
        });
    }

    fn take(self, settings: Vec<Setting>) {
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
                    self.logger.settings_changed();
                    Written::Done
                }
                Err(TalkError::Refused(Refusal::Setting { id, problem })) => {
                    Written::Refused(id, problem)
                }
                Err(error) => Written::Failed(error),
            }));
        });
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
