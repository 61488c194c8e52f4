//! What `assets/page.js` does for the page: the browser's own ways that take fewer words there. It knows nothing of
//! loggers.

use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use web_sys::Element;

use crate::workbench::SharedLogger;

#[wasm_bindgen]
extern "C" {
    /// Asks the [helper](crate::helper).
    #[wasm_bindgen(js_namespace = logdock)]
    pub(crate) fn ask(question: &Array) -> Promise;

    /// Loads the [workbench](crate::workbench) and opens it for one logger.
    #[wasm_bindgen(js_namespace = logdock, js_name = openWorkbench)]
    pub(crate) fn open_workbench(
        logger: SharedLogger,
        values: &Element,
        settings: &Element,
        records: &Element,
        how: &Element,
    ) -> Promise;

    /// Has WebUSB take the place of Web Serial, where there is one and not the other.
    #[wasm_bindgen(js_namespace = logdock, js_name = findPorts)]
    pub(crate) fn find_ports() -> Promise;

    /// Whether the computer must not fall asleep.
    #[wasm_bindgen(js_namespace = logdock, js_name = stayAwake)]
    pub(crate) fn stay_awake(on: bool);

    /// Hands over the files that the page was opened with, now and later.
    #[wasm_bindgen(js_namespace = logdock, js_name = onOpened)]
    pub(crate) fn on_opened(take: &Function);
}
