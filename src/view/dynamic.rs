//! The parts of a view that change, each as one type. Leptos compiles its machinery anew for each type of closure that
//! a view holds; with these the page stays small enough to load at once.

use leptos::prelude::*;

/// A text that follows signals.
pub(crate) fn text(read: impl Fn() -> String + Send + Sync + 'static) -> Signal<String> {
    Signal::derive(read)
}

/// A fact that follows signals.
pub(crate) fn flag(read: impl Fn() -> bool + Send + Sync + 'static) -> Signal<bool> {
    Signal::derive(read)
}

/// A view while `condition` holds; made anew only when that changes.
pub(crate) fn when(
    condition: Signal<bool>,
    view: impl Fn() -> AnyView + Send + 'static,
) -> AnyView {
    when_else(condition, Box::new(view), Box::new(|| ().into_any()))
}

/// One view or the other; made anew only when `condition` changes.
pub(crate) fn when_else(
    condition: Signal<bool>,
    view: Box<dyn Fn() -> AnyView + Send>,
    other: Box<dyn Fn() -> AnyView + Send>,
) -> AnyView {
    let condition = Memo::new(move |_| condition.get());
    follow(Box::new(
        move || if condition.get() { view() } else { other() },
    ))
}

/// A view that is made anew whenever what it reads changes.
pub(crate) fn follow(view: Box<dyn Fn() -> AnyView + Send>) -> AnyView {
    (move || view()).into_any()
}
