//! Who and how the logger is: lines for the page's details, to be copied whole into a bug report. In English, whatever the
//! page speaks: whoever reads them is an engineer, perhaps elsewhere.

use alloc::format;
use alloc::string::{String, ToString};

use host::check;
use host::conversation::TalkError;
use host::csv::explain;
use host::device::{Device, read_health};
use host::log::read_summary;
use protocol::device::{HeldImage, Outcome, Phase, Program};
use protocol::record::{Health, LogSummary};
use ui::task::spawn;

use crate::logger::Logger;

/// Asks the logger, and hands the answer to the page.
pub(crate) fn report(logger: Logger) {
    spawn(async move {
        let mut lines = String::new();
        if let Err(error) = ask(logger, &mut lines).await {
            lines += &line("report", &error.to_string());
        }
        logger.report(&lines);
    });
}

async fn ask(logger: Logger, lines: &mut String) -> Result<(), TalkError> {
    let mut conversation = logger.talk().await?;
    *lines += &who(&Device::read(&mut conversation).await?);
    // The bootloader knows nothing of the rest.
    if conversation.hello().program == Program::Application {
        let health = read_health(&mut conversation).await?;
        *lines += &how(&health, &read_summary(&mut conversation).await?);
    }
    Ok(())
}

fn who(device: &Device) -> String {
    let target = &device.target;
    let slot = format!(
        "0x{:08X}, {} bytes, pages of {}",
        target.slot_address, target.slot_size, device.page_size
    );
    [
        line("model", &device.model),
        line("serial", &device.serial.to_string()),
        line("bootloader", &device.bootloader.to_string()),
        line("phase", &phase(device.phase)),
        line("outcome", &outcome(device.outcome)),
        line("running", &held(device.running)),
        line("previous", &held(device.previous)),
        line("staged", &held(device.staged)),
        line("slot", &slot),
        line("counter", &target.security_counter.to_string()),
        line("store", if device.direct { "none" } else { "NAND" }),
    ]
    .concat()
}

fn held(image: Option<HeldImage>) -> String {
    image.map_or_else(
        || "none".into(),
        |image| {
            format!(
                "{}, {} bytes, {}",
                image.version, image.length, image.digest
            )
        },
    )
}

fn phase(phase: Phase) -> String {
    match phase {
        Phase::Idle => "idle".into(),
        Phase::Pending => "pending".into(),
        Phase::Installing => "installing".into(),
        Phase::Trial { starts_left } => format!("trial, {starts_left} starts left"),
        Phase::Reverting => "reverting".into(),
    }
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::None => "none".into(),
        Outcome::Installed(version) => format!("installed {version}"),
        Outcome::Refused(version, error) => {
            format!("refused {version}: {}", check::explain(error))
        }
        Outcome::Reverted(version) => format!("reverted {version}"),
        Outcome::Unreadable(version) => format!("unreadable {version}"),
    }
}

fn how(health: &Health, log: &LogSummary) -> String {
    let place = health
        .crash
        .map_or_else(String::new, |place| format!(", the latest at {place}"));
    let mut lines = [
        line("uptime", &format!("{} s", health.uptime / 1000)),
        line("started by", explain(health.reset)),
        line(
            "resets",
            &format!("{} by the watchdog", health.watchdog_resets),
        ),
        line("crashes", &format!("{}{place}", health.crashes)),
    ]
    .concat();
    if let Some(drift) = health.drift {
        lines += &line("drift", &format!("{drift} ppm"));
    }
    lines += &line(
        "log",
        &format!(
            "{} to {}, {} pending, room for {}",
            log.first, log.next, log.pending, log.capacity
        ),
    );
    lines += &line(
        "memory",
        &format!(
            "{} bad blocks, {} rounds, {} pages mended, {} unreadable",
            log.bad_blocks, log.rounds, log.mended, log.unreadable
        ),
    );
    lines
}

/// A line of the page's details (`src/view/details.rs`).
fn line(name: &str, value: &str) -> String {
    format!("{name:12}{value}\n")
}
