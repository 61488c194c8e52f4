//! Choosing a firmware file: a picker, the word that it can be dropped anywhere, and one to try on a virtual logger.

use alloc::string::String;
use alloc::vec::Vec;

use wasm_bindgen::JsCast;
use web_sys::{File, HtmlInputElement};

use super::shell::all_files;
use crate::logger::Logger;
use ui::dom::{View, all, button, el, when};
use ui::text::say;

/// The picker.
pub(crate) fn firmware_file_picker(logger: Logger) -> View {
    el("div").class("picker").with([
        el("p").text(say!(
            "Drop a firmware file (.hex or .bin) anywhere on this page, or choose it. It is checked first; nothing is sent before you say so."
        )),
        el("div").class("choices").with([
            picker(
                "firmware-file",
                ".hex,.bin",
                say!("Choose a firmware file"),
                move |files| logger.choose(files),
            ),
            when(
                move || logger.is_virtual(),
                move || {
                    button(move || logger.choose_sample()).text(say!("Use the sample update 1.1.0"))
                },
            ),
        ]),
    ])
}

/// A button that lets the person choose a file of these kinds.
pub(crate) fn picker(
    id: &'static str,
    kinds: &'static str,
    label: String,
    take: impl Fn(Vec<File>) + 'static,
) -> View {
    all([
        el("input")
            .attr("type", "file")
            .attr("id", id)
            .class("unseen")
            .attr("accept", kinds)
            .on("change", move |event| {
                let Some(input) = event.target() else { return };
                let input: HtmlInputElement = input.unchecked_into();
                let files = input.files().map(all_files).unwrap_or_default();
                // So that the same file, made anew, can be picked again.
                input.set_value("");
                take(files);
            })
            .with([]),
        el("label").class("button").attr("for", id).text(label),
    ])
}
