//! How the logger is: lines for the page's details, to be copied whole into a bug report. In English, whatever the page
//! speaks: whoever reads them is an engineer, perhaps elsewhere.

use alloc::format;
use alloc::string::{String, ToString};

use host::conversation::TalkError;
use host::csv::explain;
use host::device::read_health;
use host::log::read_summary;
use protocol::record::{Health, LogSummary};
use ui::task::spawn;

use crate::logger::Logger;

/// Asks the logger, and hands the answer to the page.
pub(crate) fn report(logger: Logger) {
    spawn(async move {
        let lines = match ask(logger).await {
            Ok((health, log)) => lines(&health, &log),
            Err(error) => line("health", &error.to_string()),
        };
        logger.report_health(&lines);
    });
}

async fn ask(logger: Logger) -> Result<(Health, LogSummary), TalkError> {
    let mut conversation = logger.talk().await?;
    let health = read_health(&mut conversation).await?;
    Ok((health, read_summary(&mut conversation).await?))
}

fn lines(health: &Health, log: &LogSummary) -> String {
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
