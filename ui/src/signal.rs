//! Values that may change, and the word that one did.
//!
//! Nothing follows single values: after a change, everything on the page that may look otherwise now is asked again
//! (see [`crate::dom`]), once for all changes of a moment. That costs a fraction of a millisecond and keeps the page small.

use crate::queue::{Receiver, Sender, queue};
use alloc::rc::Rc;
use core::cell::{Cell, RefCell};

/// Tells whoever shows the page that something changed.
#[derive(Clone)]
pub struct Changes(Rc<Told>);

struct Told {
    pending: Cell<bool>,
    tell: Sender<()>,
}

/// Hears of changes.
pub struct Changed {
    changes: Changes,
    told: Receiver<()>,
}

/// The two ends.
pub fn changes() -> (Changes, Changed) {
    let (tell, told) = queue();
    let changes = Changes(Rc::new(Told {
        pending: Cell::new(false),
        tell,
    }));
    (changes.clone(), Changed { changes, told })
}

impl Changes {
    fn tell(&self) {
        if !self.0.pending.replace(true) {
            // The page is shown as long as it is there.
            self.0.tell.send(());
        }
    }
}

impl Changed {
    /// Waits until something changed since the last call.
    pub async fn next(&mut self) {
        self.told.next().await;
        self.changes.0.pending.set(false);
    }
}

/// A value that may change.
pub struct Signal<T> {
    value: RefCell<T>,
    changes: Changes,
}

impl<T> Signal<T> {
    /// A new one.
    pub fn new(changes: &Changes, value: T) -> Signal<T> {
        Signal {
            value: RefCell::new(value),
            changes: changes.clone(),
        }
    }

    /// Reads it.
    pub fn with<R>(&self, read: impl FnOnce(&T) -> R) -> R {
        read(&self.value.borrow())
    }

    /// A copy.
    pub fn get(&self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Gives it another value.
    pub fn set(&self, value: T) {
        self.update(|old| *old = value);
    }

    /// Changes it.
    pub fn update(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.value.borrow_mut());
        self.changes.tell();
    }
}
