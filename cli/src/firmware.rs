//! The firmware of a logger: update, way back, restart.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use host::check::{Direction, Plan, check};
use host::conversation::Conversation;
use host::device::Device;
use host::firmware_file::FirmwareFile;
use host::update::{Progress, put_back, restart, update};
use indicatif::{MultiProgress, ProgressBar};
use protocol::device::{Phase, Program};

use crate::answer::{Facts, Problem};
use crate::command::bar_style;
use crate::info::{add_image, mode};
use crate::port::{Found, Port};

/// An update.
#[derive(Args)]
pub struct Update {
    /// The signed firmware, .hex or .bin
    pub file: PathBuf,
    /// Installs an older version, too
    #[arg(long)]
    downgrade: bool,
}

/// Reads a firmware file.
pub fn read(path: &Path) -> Result<FirmwareFile, Problem> {
    let about = |error: &dyn Display| format!("{}: {error}", path.display());
    let bytes = fs::read(path).map_err(|error| Problem::Failed(about(&error)))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    FirmwareFile::read(&name, &bytes).map_err(|error| Problem::Refused(about(&error)))
}

/// Brings a file onto the logger.
pub async fn install(
    conversation: &mut Conversation<Port>,
    found: &Found,
    file: &FirmwareFile,
    what: &Update,
    bars: &MultiProgress,
) -> Result<Facts, Problem> {
    let device = Device::read(conversation).await?;
    let plan = check(file, &device).map_err(|objection| Problem::Refused(objection.to_string()))?;
    let mut facts = Facts::default();
    let runs = conversation.hello().program == Program::Application;
    match plan {
        Plan {
            direction: Direction::Same,
            ..
        } if runs && device.phase == Phase::Idle => {
            facts.add("firmware", format!("{} runs already", plan.to));
            return Ok(facts);
        }
        Plan {
            direction: Direction::Down,
            from: Some(from),
            to,
            ..
        } if !what.downgrade => {
            return Err(Problem::Refused(format!(
                "The file is older ({to}) than what runs ({}). To install it all the same, add --downgrade.",
                from.version
            )));
        }
        _ => {}
    }
    let bar = Bar::new(bars, found, plan.length);
    let after = update(conversation, &device, file, |step| bar.show(step)).await?;
    add_image(&mut facts, "firmware", after.running);
    Ok(facts)
}

/// Has the logger install the version that it keeps.
pub async fn go_back(
    conversation: &mut Conversation<Port>,
    found: &Found,
    bars: &MultiProgress,
) -> Result<Facts, Problem> {
    let device = Device::read(conversation).await?;
    let Some(kept) = device.kept(conversation.hello().program) else {
        return Err(Problem::Refused(
            "The logger keeps no version that it could go back to.".into(),
        ));
    };
    let bar = Bar::new(bars, found, kept.length);
    let after = put_back(conversation, &device, |step| bar.show(step)).await?;
    let mut facts = Facts::default();
    add_image(&mut facts, "firmware", after.running);
    Ok(facts)
}

/// Restarts it, and says what runs then.
pub async fn start_again(conversation: &mut Conversation<Port>) -> Result<Facts, Problem> {
    let device = Device::read(conversation).await?;
    let after = restart(conversation, &device).await?;
    let mut facts = Facts::default();
    facts.add("mode", mode(conversation));
    add_image(&mut facts, "firmware", after.running);
    Ok(facts)
}

/// Where an update is, while it runs.
struct Bar(ProgressBar);

impl Bar {
    fn new(bars: &MultiProgress, found: &Found, length: u32) -> Bar {
        let bar = bars.add(ProgressBar::new(length.into()));
        bar.set_style(bar_style());
        bar.set_prefix(found.to_string());
        Bar(bar)
    }

    fn show(&self, step: Progress) {
        self.0.set_message(match step {
            Progress::Preparing => "restarting into update mode",
            Progress::Sending { .. } => "sending",
            Progress::Unplugged { .. } => "unplugged: plug it in again, it goes on",
            Progress::Checking => "checking",
            Progress::Installing => "installing",
            Progress::Started | Progress::Confirming => "confirming",
        });
        if let Progress::Sending { kept, .. } = step {
            self.0.set_position(kept.into());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
