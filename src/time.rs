//! The page's clock and its timer. It only measures how long something took; it never says what time it is.

use core::time::Duration;

use gloo_timers::future::TimeoutFuture;

/// Seconds since the page was opened.
pub(crate) fn now() -> f64 {
    web_sys::window()
        .and_then(|window| window.performance())
        .map_or(0.0, |clock| clock.now() / 1000.0)
}

/// Ends when this time has passed.
pub(crate) fn timer(time: Duration) -> TimeoutFuture {
    TimeoutFuture::new(time.as_millis().try_into().unwrap_or(u32::MAX))
}
