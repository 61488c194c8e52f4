//! What `assets/page.js` does for the page: the browser's own ways that take fewer words there. It knows nothing of
//! loggers.

use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Asks the [helper](crate::helper).
    #[wasm_bindgen(js_namespace = logdock)]
    pub(crate) fn ask(question: &Array) -> Promise;

    /// Whether the computer must not fall asleep.
    #[wasm_bindgen(js_namespace = logdock, js_name = stayAwake)]
    pub(crate) fn stay_awake(on: bool);

    /// Hands over the files that the page was opened with, now and later.
    #[wasm_bindgen(js_namespace = logdock, js_name = onOpened)]
    pub(crate) fn on_opened(take: &Function);
}
