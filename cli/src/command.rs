//! What can be asked of a logger, and how it is done on one.

use std::time::Duration;

use chrono::Local;
use clap::Subcommand;
use futures_executor::block_on;
use host::conversation::{Conversation, TalkError};
use host::device::sync_clock;
use host::link::Link;
use host::log;
use indicatif::{MultiProgress, ProgressStyle};
use serde_json::json;

use crate::answer::{Facts, Problem};
use crate::download::{Download, download};
use crate::firmware::{self, Update};
use crate::info::{self, Battery, Watch, now};
use crate::port::{Found, Port};
use crate::settings::{Settings, settings};

/// How long a logger that is being plugged in has to answer.
const GREETING: Duration = Duration::from_secs(5);

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// Lists the loggers that are plugged in
    List,
    /// Says who a logger is, what it runs and how it is
    Info,
    /// Says what a logger measures, again and again; with --json one object a line
    Watch(Watch),
    /// Updates the firmware; the logger goes on recording meanwhile
    Update(Update),
    /// Goes back to the version that the logger keeps: the one before, or in update mode one that can be started
    GoBack,
    /// Restarts the logger
    Restart,
    /// Shows and changes settings
    #[command(subcommand)]
    Settings(Settings),
    /// Estimates how long a battery lasts with the logger's settings
    Battery(Battery),
    /// Writes what was recorded to a CSV file; a download that broke off goes on where it stopped
    Download(Download),
    /// Erases what was recorded. Download it first
    Erase {
        /// Does it without asking
        #[arg(long)]
        yes: bool,
    },
    /// The logger's clock
    #[command(subcommand)]
    Time(Time),
    /// Says everything that belongs into a bug report, settings included
    Report,
}

/// What to do with the clock.
#[derive(Subcommand)]
pub enum Time {
    /// Sets it to this computer's time
    Sync,
}

/// How it is done, on whichever logger.
pub struct Manner {
    /// Where progress is shown.
    pub bars: MultiProgress,
    /// How long a logger that was unplugged is waited for.
    pub wait: Duration,
    /// For a script.
    pub json: bool,
}

impl Command {
    /// Whether it can be done on so many loggers at once.
    pub fn check(&self, loggers: usize) -> Result<(), String> {
        match self {
            Command::Settings(Settings::Export { .. }) if loggers > 1 => Err(
                "Settings are exported from one logger at a time: name it with --serial.".into(),
            ),
            Command::Download(download) if loggers > 1 && download.has_one_file() => Err(
                "Each logger has a file of its own: leave --output away, or name one logger."
                    .into(),
            ),
            Command::Erase { yes: false } => {
                Err("This erases all records. Download them first, then say so with --yes.".into())
            }
            _ => Ok(()),
        }
    }
}

/// Does it on one logger.
pub fn run(command: &Command, found: &Found, manner: &Manner) -> Result<Facts, Problem> {
    // A file that is no firmware is said before a port is touched.
    let source = match command {
        Command::Update(update) => Some(update.open()?),
        _ => None,
    };
    let bars = &manner.bars;
    let mut conversation = greet(found, manner.wait)?;
    let talk = &mut conversation;
    block_on(async {
        match command {
            // Answered without a conversation.
            Command::List => Ok(Facts::default()),
            Command::Info => info::info(talk).await,
            Command::Watch(what) => info::watch(talk, found, what, manner.json).await,
            Command::Update(what) => match &source {
                Some(source) => firmware::install(talk, found, source, what, bars).await,
                None => Ok(Facts::default()),
            },
            Command::GoBack => firmware::go_back(talk, found, bars).await,
            Command::Restart => firmware::start_again(talk).await,
            Command::Settings(what) => settings(talk, what).await,
            Command::Battery(what) => info::battery(talk, what).await,
            Command::Download(what) => download(talk, found, what, bars).await,
            Command::Erase { .. } => erase(talk).await,
            Command::Time(Time::Sync) => sync(talk).await,
            Command::Report => info::report(talk).await,
        }
    })
}

fn greet(found: &Found, wait: Duration) -> Result<Conversation<Port>, Problem> {
    let port = Port::open(found.clone(), wait)?;
    block_on(async {
        match Conversation::open(port).await {
            Ok(conversation) => Ok(conversation),
            // Just plugged in, or restarting.
            Err((mut port, TalkError::Link(_))) => {
                port.reopen(GREETING).await?;
                Conversation::open(port)
                    .await
                    .map_err(|(_, error)| error.into())
            }
            Err((_, error)) => Err(error.into()),
        }
    })
}

async fn sync(conversation: &mut Conversation<Port>) -> Result<Facts, Problem> {
    // No place on Earth is further from UTC than 14 hours.
    let local_offset = (Local::now().offset().local_minus_utc() / 60) as i16;
    let before = sync_clock(conversation, |_| now(), local_offset).await?;
    let mut facts = Facts::default();
    match before {
        Some(ahead) => facts.add_as(
            "was ahead",
            json!({ "milliseconds": ahead }),
            &format!("{ahead} ms; the clock is set"),
        ),
        None => facts.add("clock", "was not set before; it is now"),
    }
    Ok(facts)
}

async fn erase(conversation: &mut Conversation<Port>) -> Result<Facts, Problem> {
    let summary = log::read_summary(conversation).await?;
    log::erase(conversation, &summary).await?;
    let mut facts = Facts::default();
    facts.add("segments erased", summary.next - summary.first);
    Ok(facts)
}

/// How progress looks.
pub fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} [{bar:30}] {bytes}/{total_bytes} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
