//! Choosing a firmware file: a picker, the word that it can be dropped anywhere, and one to try on a virtual logger.

use crate::logger::Logger;
use ui::dom::{View, button, el, when};
use ui::files::picker;
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
