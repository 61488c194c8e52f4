//! What the channels that are on measure now, in their own units: a part of the logger's card.

use alloc::rc::Rc;
use alloc::string::String;
use core::cell::Cell;

use host::settings::{Setting, Value};
use protocol::record::Channel;
use ui::dom::{View, choose, el, live, nothing};
use ui::words::{NO_NUMBER, decimal};

use crate::logger::Logger;
use crate::settings::Settings;

/// Settings of a channel, as firmware numbers them (`firmware/logger/src/settings.rs`).
const CHANNELS_FROM: u16 = 0x100;
const CHANNEL_STEP: u16 = 0x10;
const NAME: u16 = 1;
const UNIT: u16 = 2;
const GAIN: u16 = 3;
const OFFSET: u16 = 4;

/// One after the other.
pub(crate) fn values(logger: Logger, settings: Settings) -> View {
    // They keep their places while the logger is away.
    let last = Cell::new(None);
    let is_on = move || {
        let now = logger
            .status
            .with(|status| status.as_ref().map(|status| status.channels));
        last.set(now.or(last.get()));
        last.get()
    };
    choose(
        move || (is_on(), settings.all()),
        move |(channels, settings)| {
            let (Some(channels), Some(settings)) = (*channels, settings) else {
                return nothing();
            };
            let facts = channels
                .iter()
                .map(|channel| live_value(logger, channel, settings));
            el("dl").class("facts values").with(facts)
        },
    )
}

fn live_value(logger: Logger, channel: Channel, settings: &Rc<[Setting]>) -> View {
    let setting = |place: u16| {
        let id = CHANNELS_FROM + CHANNEL_STEP * channel as u16 + place;
        settings.iter().find(|setting| setting.id.0 == id)
    };
    let text = |place| match setting(place).map(|setting| &setting.value) {
        Some(Value::Text(text)) => text.clone(),
        _ => String::new(),
    };
    // Gain in ten-thousandths, offset in thousandths of the unit.
    let number = |place, none: i32, scale: f64| match setting(place).map(|setting| &setting.value) {
        Some(Value::Number(number)) => f64::from(*number) / scale,
        _ => f64::from(none) / scale,
    };
    let (gain, offset) = (number(GAIN, 10_000, 1e4), number(OFFSET, 0, 1e3));
    let unit = text(UNIT);
    let decimals = channel.decimals();
    let shown = move || {
        logger.status.with(|status| {
            let Some(status) = status else {
                return NO_NUMBER.into();
            };
            let raw = f64::from(status.values[channel as usize]);
            let value = raw / f64::from(10u32.pow(decimals.into())) * gain + offset;
            let alarm = if status.alarms.has(channel) {
                "⚠ "
            } else {
                ""
            };
            [alarm, &decimal(value, decimals), " ", &unit].concat()
        })
    };
    el("div")
        .class_when("alarm", move || {
            logger.status.with(|status| {
                status
                    .as_ref()
                    .is_some_and(|status| status.alarms.has(channel))
            })
        })
        .with([el("dt").text(text(NAME)), el("dd").text(live(shown))])
}
