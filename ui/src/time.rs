//! The page's clocks and its timer.

use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use wasm_bindgen::prelude::*;

use crate::dom::window;
use crate::queue::{Receiver, queue};

/// Seconds since the page was opened.
pub fn now() -> f64 {
    window()
        .performance()
        .map_or(0.0, |clock| clock.now() / 1000.0)
}

/// What time it is: milliseconds since 1970, as this computer believes.
pub fn utc() -> i64 {
    js_sys::Date::now() as i64
}

/// What this computer's own time is ahead of UTC, in minutes.
pub fn ahead_of_utc() -> i16 {
    -js_sys::Date::new_0().get_timezone_offset() as i16
}

/// Ends when its time has passed; dropped before that, it never does.
pub struct Timer {
    passed: Receiver<()>,
    number: i32,
    /// Kept because the browser calls it.
    _pass: Closure<dyn Fn()>,
}

/// Ends when this time has passed.
pub fn timer(time: Duration) -> Timer {
    let (sender, passed) = queue();
    let pass = Closure::<dyn Fn()>::new(move || {
        sender.send(());
    });
    let number = window().set_timeout_with_callback_and_timeout_and_arguments_0(
        pass.as_ref().unchecked_ref(),
        time.as_millis().try_into().unwrap_or(i32::MAX),
    );
    Timer {
        passed,
        // It fails for what is no function.
        number: number.unwrap_or_default(),
        _pass: pass,
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context) -> Poll<()> {
        Pin::new(&mut self.passed.next()).poll(context).map(drop)
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        window().clear_timeout_with_handle(self.number);
    }
}
