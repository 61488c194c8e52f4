//! Where the chart's lines of reference go, and what is written at them: times of this computer's place, and values.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use host::time::utc_text;
use js_sys::Date;
use ui::words::decimal;
use wasm_bindgen::JsValue;

/// Milliseconds.
const SECOND: f64 = 1000.0;
const MINUTE: f64 = 60.0 * SECOND;
const HOUR: f64 = 60.0 * MINUTE;
/// See [`SECOND`].
pub(crate) const DAY: f64 = 24.0 * HOUR;

/// Distances that people count time in.
const STEPS: [f64; 30] = [
    100.0,
    200.0,
    500.0,
    SECOND,
    2.0 * SECOND,
    5.0 * SECOND,
    10.0 * SECOND,
    15.0 * SECOND,
    30.0 * SECOND,
    MINUTE,
    2.0 * MINUTE,
    5.0 * MINUTE,
    10.0 * MINUTE,
    15.0 * MINUTE,
    30.0 * MINUTE,
    HOUR,
    2.0 * HOUR,
    3.0 * HOUR,
    6.0 * HOUR,
    12.0 * HOUR,
    DAY,
    2.0 * DAY,
    7.0 * DAY,
    14.0 * DAY,
    28.0 * DAY,
    91.0 * DAY,
    182.0 * DAY,
    364.0 * DAY,
    1820.0 * DAY,
    3640.0 * DAY,
];

/// The next lower whole number.
pub(crate) fn floor(number: f64) -> f64 {
    let whole = number as i64 as f64;
    if whole > number { whole - 1.0 } else { whole }
}

/// What this computer's place is ahead of UTC at a moment, in milliseconds.
fn ahead(utc: f64) -> f64 {
    -Date::new(&JsValue::from(utc)).get_timezone_offset() * MINUTE
}

/// A moment as people here read it: date, and time of day with its milliseconds.
pub(crate) fn local(utc: f64) -> (String, String) {
    let text = utc_text((utc + ahead(utc)) as i64);
    let (date, time) = text.split_once('T').unwrap_or_default();
    (date.to_string(), time.trim_end_matches('Z').to_string())
}

/// What this computer's place is called against UTC at a moment, such as `UTC+1` or `UTC−3:30`.
pub(crate) fn zone(utc: f64) -> String {
    let ahead = ahead(utc);
    if ahead == 0.0 {
        return "UTC".into();
    }
    let sign = if ahead < 0.0 { "\u{2212}" } else { "+" };
    let minutes = ahead.abs() / MINUTE;
    let (hours, rest) = (floor(minutes / 60.0), minutes % 60.0);
    let rest = match rest as u32 {
        0 => String::new(),
        rest => [":", &two(rest)].concat(),
    };
    ["UTC", sign, &decimal(hours, 0), &rest].concat()
}

fn two(number: u32) -> String {
    let digits = number.to_string();
    if number < 10 {
        ["0", &digits].concat()
    } else {
        digits
    }
}

/// A time span from its start, such as `+2 d 3:04` or `+0:05:30`.
pub(crate) fn elapsed(millis: f64) -> String {
    let seconds = floor(millis / SECOND);
    let (days, rest) = (floor(seconds / 86_400.0), seconds % 86_400.0);
    let (hours, minutes, seconds) = (rest / 3600.0, rest / 60.0 % 60.0, rest % 60.0);
    let time = [
        &(hours as u32).to_string(),
        ":",
        &two(minutes as u32),
        ":",
        &two(seconds as u32),
    ]
    .concat();
    match days {
        0.0 => ["+", &time].concat(),
        days => ["+", &decimal(days, 0), " d ", &time].concat(),
    }
}

/// A line of reference.
pub(crate) struct Tick {
    /// What it stands at.
    pub(crate) at: f64,
    /// Written at it.
    pub(crate) label: String,
    /// Written below that, where it is another one than before: the date.
    pub(crate) below: String,
}

/// The distance between two lines, when they are to be at least that far apart.
fn distance(least: f64) -> f64 {
    STEPS
        .into_iter()
        .find(|step| *step >= least)
        .unwrap_or(STEPS[STEPS.len() - 1])
}

/// Times of day from `from` to `to` (UTC), at least `least` milliseconds apart.
pub(crate) fn times(from: f64, to: f64, least: f64) -> Vec<Tick> {
    let step = distance(least);
    let mut ticks: Vec<Tick> = Vec::new();
    let start = from + ahead(from);
    let mut number = floor(start / step);
    loop {
        number += 1.0;
        let moment = number * step;
        // Where the clocks here are changed, the day has another length.
        let at = moment - ahead(moment - ahead(from));
        if at > to {
            return ticks;
        }
        if at < from {
            continue;
        }
        let (date, time) = local(at);
        let label = match step {
            ..SECOND => time.get(..10),
            ..MINUTE => time.get(..8),
            ..DAY => time.get(..5),
            _ => None,
        };
        let is_new = ticks.last().is_none_or(|last| local(last.at).0 != date);
        ticks.push(match label {
            Some(label) => Tick {
                at,
                label: label.into(),
                below: if is_new { date } else { String::new() },
            },
            None => Tick {
                at,
                label: date,
                below: String::new(),
            },
        });
    }
}

/// Times since the logger was started, from `from` to `to`.
pub(crate) fn spans(from: f64, to: f64, least: f64) -> Vec<Tick> {
    let step = distance(least);
    let mut number = floor(from / step) + 1.0;
    let mut ticks = Vec::new();
    while number * step <= to {
        ticks.push(Tick {
            at: number * step,
            label: elapsed(number * step),
            below: String::new(),
        });
        number += 1.0;
    }
    ticks
}

/// Round values from `from` to `to`, about `count` of them.
pub(crate) fn values(from: f64, to: f64, count: f64) -> Vec<Tick> {
    let least = (to - from) / count;
    let mut step = 1e-6;
    let mut factors = [2.0, 2.5, 2.0].into_iter().cycle();
    while step < least {
        step *= factors.next().unwrap_or(2.0);
    }
    let mut decimals = 0;
    let mut whole = step;
    // A step of 0.2 needs one decimal.
    while decimals < 6 && (whole - floor(whole + 0.5)).abs() > 1e-6 * whole {
        whole *= 10.0;
        decimals += 1;
    }
    let mut number = floor(from / step) + 1.0;
    let mut ticks = Vec::new();
    while number * step <= to {
        ticks.push(Tick {
            at: number * step,
            label: decimal(number * step, decimals),
            below: String::new(),
        });
        number += 1.0;
    }
    ticks
}
