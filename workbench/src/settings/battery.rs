//! How long a battery lasts with what stands in the form.

use alloc::string::String;
use alloc::vec::Vec;

use host::battery::Work;
use host::settings::{Value, read_number};
use protocol::settings::SettingId;
use ui::dom::{View, el, input_value, live};
use ui::text::{say, storage};
use ui::words::decimal;

use super::Settings;

/// Where the capacity is remembered, in milliampere-hours as it was typed.
const REMEMBERED: &str = "logdock-battery";
const DAY: f64 = 86_400.0;

/// What was typed in an earlier visit.
pub(super) fn remembered() -> String {
    storage()
        .and_then(|storage| storage.get_item(REMEMBERED).ok()?)
        .unwrap_or_default()
}

/// The estimate, and the field for the capacity.
pub(super) fn battery(settings: Settings) -> View {
    let remember = move |text: String| {
        if let Some(storage) = storage() {
            // Where nothing is kept, it is typed again.
            let _ = storage.set_item(REMEMBERED, &text);
        }
        settings.capacity.set(text);
    };
    let id = settings.element_id("battery");
    let estimate_id = settings.element_id("estimate");
    el("div").class("row battery").with([
        el("label").attr("for", id.as_str()).text(say!("Battery")),
        el("input")
            .attr("id", id)
            .attr("type", "text")
            .class("number")
            .attr("inputmode", "decimal")
            .attr("autocomplete", "off")
            .attr("aria-describedby", estimate_id.as_str())
            .value(move || settings.capacity.get())
            .on("input", move |event| remember(input_value(&event)))
            .with([]),
        el("span").class("unit").text("mAh"),
        el("span")
            .attr("id", estimate_id)
            .attr("role", "status")
            .text(live(move || estimate(settings))),
    ])
}

fn estimate(settings: Settings) -> String {
    let values: Vec<(SettingId, Value)> = settings.with(|list| {
        list.iter()
            .map(|setting| {
                let value = settings.draft(setting).value(setting);
                (setting.id, value.unwrap_or_else(|_| setting.value.clone()))
            })
            .collect()
    });
    let work = Work::of(values.iter().map(|(id, value)| (*id, value)));
    let current = decimal(work.current() * 1e6, 1);
    let typed = settings.capacity.get();
    if typed.trim().is_empty() {
        return say!(
            "With these settings the logger takes {current} µA on average, without a cable. Enter a capacity to see how long that lasts.",
            current
        );
    }
    let Some(tenths) = read_number(&typed, 1).filter(|tenths| *tenths > 0) else {
        return say!("The capacity must be a number with at most 1 decimal.");
    };
    let days = work.lasts(f64::from(tenths) / 10.0).as_secs() as f64 / DAY;
    say!(
        "lasts about {time} with these settings, without a cable: {current} µA on average.",
        time = match days {
            ..2.0 => say!("{hours} hours", hours = decimal(days * 24.0, 0)),
            ..90.0 => say!("{days} days", days = decimal(days, 0)),
            ..730.0 => say!("{months} months", months = decimal(days / 30.44, 0)),
            _ => say!("{years} years", years = decimal(days / 365.25, 1)),
        },
        current
    )
}
