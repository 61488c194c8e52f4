//! The page's clock. It only measures how long something took; it never says what time it is.

/// Seconds since the page was opened.
pub(crate) fn now() -> f64 {
    web_sys::window()
        .and_then(|window| window.performance())
        .map_or(0.0, |clock| clock.now() / 1000.0)
}
