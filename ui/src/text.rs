//! The page's own words, in the language of whoever reads them.
//!
//! In the sources they stand in English, in [`say!`]; each other language is one file, `assets/text/LANGUAGE.txt`, of
//! pairs of lines: the English text as it stands in the sources, and the same in that language. It is loaded only when
//! wanted; a further one needs its file and no more. What a logger says of itself is shown as the logger says it.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use once_cell::race::OnceBox;
use web_sys::Storage;

use crate::dom::{root, window};
use crate::fetch::fetch;

/// A text of the page: `say!("Update to {version}", version = plan.to)`.
#[macro_export]
macro_rules! say {
    ($template:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $crate::text::fill($template, &[$((stringify!($name), &$crate::say!(@value $name $(= $value)?))),*])
    };
    (@value $name:ident) => { $name };
    (@value $name:ident = $value:expr) => { $value };
}
pub use crate::say;

include!(concat!(env!("OUT_DIR"), "/languages.rs"));

/// Where the choice of a language is remembered.
const REMEMBERED: &str = "logdock-language";

/// English, and the language that is shown; none for English itself.
static PAIRS: OnceBox<Vec<(String, String)>> = OnceBox::new();

/// The code of the language that is shown.
pub fn language() -> String {
    root().lang()
}

/// Loads the language that the person chose, else the first that the browser asks for and that is there. Without its
/// file the page speaks English.
pub async fn load_language() {
    let asked = js_sys::Array::from(&window().navigator().languages());
    if let Some(remembered) = storage().and_then(|storage| storage.get_item(REMEMBERED).ok()?) {
        asked.unshift(&remembered.into());
    }
    let wanted = (0..asked.length()).find_map(|index| {
        let asked = asked.get(index).as_string()?;
        let language = LANGUAGES.iter().find(|(code, _)| asked.starts_with(code));
        language.map(|(code, _)| *code)
    });
    let Some(code) = wanted else { return };
    if load(code).await {
        root().set_lang(code);
    }
}

/// Loads a language, by its code; whether it is there. That of the sources needs no loading.
pub async fn load(code: &str) -> bool {
    if code == LANGUAGES[0].0 {
        return true;
    }
    let Ok(bytes) = fetch(&["./text/", code, ".txt"].concat()).await else {
        return false;
    };
    let text = String::from_utf8(bytes).unwrap_or_default();
    let mut lines = text.split('\n').filter(|line| !line.is_empty());
    let mut pairs = Vec::new();
    while let (Some(english), Some(other)) = (lines.next(), lines.next()) {
        pairs.push((english.into(), other.into()));
    }
    PAIRS.set(Box::new(pairs)).is_ok()
}

/// Remembers another language, and shows the page in it.
pub fn choose_language(code: &str) {
    if let Some(storage) = storage() {
        // Where nothing is kept, the browser's own choice stands.
        let _ = storage.set_item(REMEMBERED, code);
    }
    let _ = window().location().reload();
}

/// What this browser keeps for the page; none where it keeps nothing.
pub fn storage() -> Option<Storage> {
    window().local_storage().ok().flatten()
}

/// What the numbers in a text that was [said] are called in its translation.
const NUMBERS: [&str; 3] = ["1", "2", "3"];

/// A text that another crate has for people, in English: its words are looked up without its numbers.
pub fn said(text: &dyn Display) -> String {
    let text = text.to_string();
    let mut template = String::new();
    let mut numbers = Vec::new();
    for word in text.split_inclusive(' ') {
        let number = word.trim_end_matches([' ', '.', ',', ':', ';']);
        match NUMBERS.get(numbers.len()) {
            Some(name) if number.starts_with(|first: char| first.is_ascii_digit()) => {
                template.extend(["{", name, "}"]);
                template.push_str(&word[number.len()..]);
                numbers.push((*name, number));
            }
            _ => template.push_str(word),
        }
    }
    let values: Vec<(&str, &dyn Display)> = numbers
        .iter()
        .map(|(name, number)| (*name, number as &dyn Display))
        .collect();
    fill(&template, &values)
}

/// The text in the language that is shown, with its values in the places of their names.
pub fn fill(template: &str, values: &[(&str, &dyn Display)]) -> String {
    let other = PAIRS
        .get()
        .and_then(|pairs| pairs.iter().find(|(english, _)| english == template));
    let mut rest = other.map_or(template, |(_, other)| other);
    let mut text = String::new();
    while let Some((before, (name, after))) = rest
        .split_once('{')
        .and_then(|(before, after)| Some((before, after.split_once('}')?)))
    {
        text.push_str(before);
        if let Some((_, value)) = values.iter().find(|(other, _)| *other == name) {
            text.push_str(&value.to_string());
        }
        rest = after;
    }
    text.push_str(rest);
    text
}
