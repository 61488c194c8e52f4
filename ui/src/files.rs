//! Files that a person hands to the page, and files that the page gives.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use wasm_bindgen::JsCast;
use web_sys::{Blob, File, FileList, HtmlElement, HtmlInputElement, Url};

use crate::dom::{View, all, el};
use crate::task::spawn;
use crate::time::timer;

/// How long the browser may take to begin with a file that it was given.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

/// The files of a list.
pub fn all_files(list: FileList) -> Vec<File> {
    (0..list.length())
        .filter_map(|index| list.get(index))
        .collect()
}

/// A button that lets the person choose a file of these kinds.
pub fn picker(
    id: &str,
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

/// Gives the person a file to keep: the browser puts it where it puts downloads.
pub fn save(name: &str, content: &Blob) {
    // It fails for what is no blob.
    let Ok(address) = Url::create_object_url_with_blob(content) else {
        return;
    };
    let link = crate::dom::place("a");
    for (attribute, value) in [("href", &*address), ("download", name)] {
        // It fails for what is no name of an attribute.
        let _ = link.set_attribute(attribute, value);
    }
    link.unchecked_into::<HtmlElement>().click();
    spawn(async move {
        timer(TAKEN_WITHIN).await;
        let _ = Url::revoke_object_url(&address);
    });
}
