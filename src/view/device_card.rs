//! The logger: its name first, then what it is doing, then numbers.

use host::device::Device;
use host::settings::{Setting, Value};
use leptos::prelude::*;
use protocol::device::{Phase, Program};
use protocol::record::{Channel, Status};

use super::dynamic::{flag, text, when};
use super::welcome::Connect;
use super::words::{count, decimal, nameless, short};
use crate::logger::{Connection, Copying, Logger, Step};

/// The setting that holds the logger's name.
const NAME_SETTING: &str = "Name";
/// Stands where there is no number.
const NO_NUMBER: &str = "–";

/// Name, state and facts.
#[component]
pub(crate) fn DeviceCard(logger: Logger) -> impl IntoView {
    let of_device = move |read: fn(&Device) -> String| {
        text(move || {
            logger
                .device
                .with(|device| device.as_ref().map(read).unwrap_or_default())
        })
    };
    let of_status = move |read: fn(&Status) -> String| {
        text(move || {
            logger
                .status
                .with(|status| status.as_ref().map_or_else(|| NO_NUMBER.into(), read))
        })
    };
    let name = text(move || {
        logger
            .settings
            .with(|settings| own_name(settings))
            .or_else(|| logger.device.with(|device| device.as_ref().map(nameless)))
            .unwrap_or_default()
    });
    let away = flag(move || {
        !matches!(
            logger.connection.get(),
            Connection::Connected | Connection::Connecting
        )
    });
    let model_and_serial = of_device(|device| format!("Logger {} · serial ", device.model));
    let version = of_device(|device| {
        device
            .running
            .map_or_else(|| "none".into(), |running| running.version.to_string())
    });
    let digest = of_device(|device| {
        device
            .running
            .map(|running| short(running.digest))
            .unwrap_or_default()
    });
    let supply = of_status(|status| format!("{} V", decimal(value(status, Channel::Supply), 2)));
    let temperature =
        of_status(|status| format!("{} °C", decimal(value(status, Channel::Temperature), 1)));
    view! {
        <section class="card device" aria-label="Logger" class:away=away>
            <div class="who">
                <h1>{name}</h1>
                <p>
                    {model_and_serial}
                    <span data-fact="serial">{of_device(|device| device.serial.to_string())}</span>
                </p>
                <p class="state" data-fact="state">
                    {text(move || state(logger).into())}
                </p>
            </div>
            <dl class="facts">
                <Fact name="Firmware" fact="firmware" value=version />
                <Fact name="Supply" fact="supply" value=supply />
                <Fact name="Temperature" fact="temperature" value=temperature />
                <Fact
                    name="Records"
                    fact="records"
                    value=of_status(|status| count(status.next_record))
                />
            </dl>
            <p class="image">
                {of_device(|device| standing(device).into())} <span data-fact="digest">{digest}</span>
            </p>
            {when(
                flag(move || away.get() && !logger.is_virtual()),
                move || view! { <div class="reconnect"><Connect logger /></div> }.into_any(),
            )}
        </section>
    }
}

/// The latest value of a channel, in its unit.
fn value(status: &Status, channel: Channel) -> f64 {
    let scale = 10f64.powi(channel.decimals().into());
    f64::from(status.values[channel as usize]) / scale
}

#[component]
fn Fact(name: &'static str, fact: &'static str, value: Signal<String>) -> impl IntoView {
    view! {
        <div>
            <dt>{name}</dt>
            <dd data-fact=fact>{value}</dd>
        </div>
    }
}

/// The name its owner gave it.
fn own_name(settings: &[Setting]) -> Option<String> {
    settings.iter().find_map(|setting| match &setting.value {
        Value::Text(name) if setting.name == NAME_SETTING && !name.trim().is_empty() => {
            Some(name.clone())
        }
        _ => None,
    })
}

/// How safe the running firmware is; stands before its digest.
fn standing(device: &Device) -> &'static str {
    match (device.running, device.phase) {
        (None, _) => "no firmware that can start",
        (Some(_), Phase::Trial { .. }) => "on trial, not confirmed yet · image ",
        (Some(_), Phase::Idle) => "confirmed · image ",
        (Some(_), _) => "an update waits · image ",
    }
}

/// What the logger is doing, as far as it said.
fn state(logger: Logger) -> &'static str {
    let step = logger.course.with(|course| {
        course
            .as_ref()
            .filter(|course| course.end.is_none())
            .map(|course| (course.step, course.copying))
    });
    match (step, logger.connection.get(), logger.program.get()) {
        (Some((Step::Copied, Copying::Unplugged)), ..) | (_, Connection::Lost, _) => {
            "Unplugged. Plug it in again: the page connects to it by itself."
        }
        (Some((Step::Copied, _)), _, Program::Application) => "Recording, and taking new firmware",
        (Some((Step::Copied, _)), _, Program::Bootloader) => "Taking new firmware",
        (Some((Step::Restarted | Step::Installed, _)), ..) => "Restarting with new firmware",
        (_, Connection::Disconnected(_), _) => "Not connected",
        (_, Connection::Connecting, _) => "Connecting…",
        (_, _, Program::Application) => "Recording",
        (_, _, Program::Bootloader) => "In update mode, not recording",
    }
}
