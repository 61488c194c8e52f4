//! Numbers and names as people read them.

use alloc::string::{String, ToString};

use host::conversation::TalkError;
use host::device::Device;
use host::link::LinkError;
use protocol::image::Digest;

use crate::text::{said, say};

/// Stands where there is no number.
pub const NO_NUMBER: &str = "–";

/// A number with so many decimals. The browser writes it: Rust's own way would be a tenth of the page.
pub fn decimal(number: f64, decimals: u8) -> String {
    // It refuses more than 100 decimals only.
    js_sys::Number::from(number)
        .to_fixed(decimals)
        .map_or_else(|_| String::new(), |text| with_mark(text.into()))
}

/// A number as it is written in the language that is shown: what stands between whole and fraction.
pub fn with_mark(number: String) -> String {
    match number.split_once('.') {
        Some((whole, fraction)) => [whole, &say!("."), fraction].concat(),
        None => number,
    }
}

/// A size, such as `33.8 KB`; 1 KB is 1024 bytes.
pub fn kilobytes(bytes: u32) -> String {
    say!("{size} KB", size = decimal(f64::from(bytes) / 1024.0, 1))
}

/// A time in seconds, such as `0.02 s` or `3.1 s`; what took any time took a hundredth.
pub fn seconds(time: f64) -> String {
    match time.max(0.01) {
        ..0.1 => [&decimal(time, 2), " s"].concat(),
        ..100.0 => [&decimal(time, 1), " s"].concat(),
        _ => [&decimal(time / 60.0, 0), " min"].concat(),
    }
}

/// A count with its thousands apart, from five digits on.
pub fn count(number: u32) -> String {
    let digits = number.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            // A narrow space that no line breaks at.
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// The beginning of a digest: enough to compare by eye.
pub fn short(digest: Digest) -> String {
    let mut text = digest.to_string();
    text.truncate(16);
    text
}

/// What a logger is called that has no name of its own.
pub fn nameless(device: &Device) -> String {
    let serial = device.serial.to_string();
    let (_, last) = serial.split_at(serial.len() - 4);
    [&device.model, " ", last].concat()
}

/// Why there is no connection, and what to do.
pub fn no_connection(error: &TalkError) -> String {
    match error {
        TalkError::Link(LinkError::System(_)) => say!(
            "{error} Close other programs that use the logger, unplug it and plug it in again.",
            error
        ),
        error => said(error),
    }
}
