//! Settings as a file, there and back: JSON, the same as the command line's.

use alloc::vec::Vec;

use host::settings::{FILE_FORMAT, FileEntry, Setting, to_file};
use js_sys::{Array, JSON, Object, Reflect};
use ui::files::save;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, File};

const FORMAT: &str = "format";
const SETTINGS: &str = "settings";
const ID: &str = "id";
const NAME: &str = "name";
const VALUE: &str = "value";

/// Gives the person a file of these settings.
pub(super) fn save_settings(name: &str, settings: &[Setting]) {
    let list: Array = to_file(settings)
        .into_iter()
        .map(|entry| {
            object([
                (ID, entry.id.into()),
                (NAME, entry.name.into()),
                (VALUE, entry.value.into()),
            ])
        })
        .collect();
    let file = object([(FORMAT, FILE_FORMAT.into()), (SETTINGS, list.into())]);
    // It fails for what holds itself.
    let Ok(text) = JSON::stringify_with_replacer_and_space(&file, &JsValue::NULL, &2.into()) else {
        return;
    };
    if let Ok(content) = Blob::new_with_str_sequence(&Array::of2(&text, &"\n".into())) {
        save(name, &content);
    }
}

/// What stands in a settings file; none when it is no such file.
pub(super) async fn entries(file: &File) -> Option<Vec<FileEntry>> {
    let text = JsFuture::from(file.text()).await.ok()?.as_string()?;
    let content = JSON::parse(&text).ok()?;
    if field(&content, FORMAT)?.as_string()? != FILE_FORMAT {
        return None;
    }
    let list: Array = field(&content, SETTINGS)?.dyn_into().ok()?;
    list.iter()
        .map(|entry| {
            let id = field(&entry, ID)?.as_f64()?;
            Some(FileEntry {
                // What is no such number is no setting of any logger.
                id: if id == f64::from(id as u16) {
                    id as u16
                } else {
                    u16::MAX
                },
                name: field(&entry, NAME)?.as_string()?,
                value: field(&entry, VALUE)?.as_string()?,
            })
        })
        .collect()
}

fn object<const N: usize>(fields: [(&str, JsValue); N]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // It fails for what is no object.
        let _ = Reflect::set(&object, &name.into(), &value);
    }
    object.into()
}

fn field(object: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(object, &name.into()).ok()
}
