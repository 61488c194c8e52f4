//! What one task or event hands to another, in its order. The page has one thread.

use alloc::collections::VecDeque;
use alloc::rc::Rc;
use core::cell::RefCell;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};

struct Shared<T> {
    waiting: VecDeque<T>,
    waker: Option<Waker>,
}

/// Where things go in.
pub struct Sender<T>(Rc<RefCell<Shared<T>>>);

/// Where they come out.
pub struct Receiver<T>(Rc<RefCell<Shared<T>>>);

/// The two ends.
pub fn queue<T>() -> (Sender<T>, Receiver<T>) {
    let shared = Rc::new(RefCell::new(Shared {
        waiting: VecDeque::new(),
        waker: None,
    }));
    (Sender(shared.clone()), Receiver(shared))
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Sender<T> {
    /// Puts something in. Whether anybody takes it out is not known.
    pub fn send(&self, thing: T) {
        self.0.borrow_mut().waiting.push_back(thing);
        self.wake();
    }

    /// Whether this is the only end that is left.
    pub fn is_alone(&self) -> bool {
        Rc::strong_count(&self.0) == 1
    }

    fn wake(&self) {
        // Outside of the borrow: whoever wakes may look at once.
        let waker = self.0.borrow_mut().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.wake();
    }
}

impl<T> Receiver<T> {
    /// The next thing; waits for it. None when there is none, and nobody is left to put one in.
    #[expect(clippy::should_implement_trait, reason = "an iterator does not wait")]
    pub fn next(&mut self) -> Next<'_, T> {
        Next(self)
    }

    /// The next thing, if there is one now.
    pub fn take(&mut self) -> Option<T> {
        self.0.borrow_mut().waiting.pop_front()
    }
}

/// See [`Receiver::next`].
pub struct Next<'a, T>(&'a mut Receiver<T>);

impl<T> Future for Next<'_, T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<Option<T>> {
        if let Some(thing) = self.0.take() {
            return Poll::Ready(Some(thing));
        }
        if Rc::strong_count(&self.0.0) == 1 {
            return Poll::Ready(None);
        }
        self.0.0.borrow_mut().waker = Some(context.waker().clone());
        Poll::Pending
    }
}
