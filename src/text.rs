//! The page's own words, in the language of whoever reads them.
//!
//! In the sources they stand in English, in [`say!`]; each other language is one file, `assets/text/LANGUAGE.txt`, of
//! pairs of lines: the English text as it stands in the sources, and the same in that language. It is loaded only when
//! wanted. What a logger says of itself is shown as the logger says it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Display;

use once_cell::race::OnceBox;

/// A text of the page: `say!("Update to {version}", version = plan.to)`.
macro_rules! say {
    ($template:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $crate::text::fill($template, &[$((stringify!($name), &$crate::text::say!(@value $name $(= $value)?))),*])
    };
    (@value $name:ident) => { $name };
    (@value $name:ident = $value:expr) => { $value };
}
pub(crate) use say;

/// English, and the language that is shown; none for English itself.
static PAIRS: OnceBox<Vec<(String, String)>> = OnceBox::new();

/// The text in the language that is shown, with its values in the places of their names.
pub(crate) fn fill(template: &str, values: &[(&str, &dyn Display)]) -> String {
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
