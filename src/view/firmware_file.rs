//! Choosing a firmware file: a picker, the word that it can be dropped anywhere, and one to try on a virtual logger.

use leptos::prelude::*;
use web_sys::HtmlInputElement;

use super::dynamic::{flag, when};
use super::shell::all_files;
use crate::logger::Logger;

/// The picker.
#[component]
pub(crate) fn FirmwareFilePicker(logger: Logger) -> impl IntoView {
    let on_change = move |event| {
        let input: HtmlInputElement = event_target(&event);
        let files = input.files().map(all_files).unwrap_or_default();
        // So that the same file, made anew, can be picked again.
        input.set_value("");
        logger.choose(files);
    };
    let sample = move || {
        view! {
            <button type="button" on:click=move |_| logger.choose_sample()>
                "Use the sample update 1.1.0"
            </button>
        }
        .into_any()
    };
    view! {
        <div class="picker">
            <p>"Drop a firmware file (.hex or .bin) anywhere on this page, or choose it. It is checked first; nothing is sent before you say so."</p>
            <input
                type="file"
                id="firmware-file"
                data-testid="firmware-file"
                class="unseen"
                accept=".hex,.bin"
                on:change=on_change
            />
            <div class="choices">
                <label class="button" for="firmware-file">
                    "Choose a firmware file"
                </label>
                {when(flag(move || logger.is_virtual()), sample)}
            </div>
        </div>
    }
}
