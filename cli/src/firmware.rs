//! The firmware of a logger: update, way back, restart.

use std::borrow::Cow;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use host::catalogue::Catalogue;
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
    #[arg(required_unless_present = "catalogue")]
    file: Option<PathBuf>,
    /// Takes the newest for each logger from a catalogue, whose files lie beside it
    #[arg(long, value_name = "FILE", conflicts_with_all = ["file", "downgrade"])]
    catalogue: Option<PathBuf>,
    /// Installs an older version, too
    #[arg(long)]
    downgrade: bool,
}

/// Where the firmware comes from.
pub enum Source {
    /// One file for whichever logger.
    File(FirmwareFile),
    /// Each logger's newest, from the files in a folder.
    Catalogue(Catalogue, PathBuf),
}

impl Update {
    /// Reads file or catalogue.
    pub fn open(&self) -> Result<Source, Problem> {
        if let Some(file) = &self.file {
            return read_firmware(file, &read(file)?).map(Source::File);
        }
        let path = self.catalogue.as_deref().unwrap_or(Path::new(""));
        let text = String::from_utf8_lossy(&read(path)?).into_owned();
        let catalogue = Catalogue::read(&text).map_err(|error| refused(path, &error))?;
        for reason in &catalogue.ignored {
            eprintln!("logdock: {}: {reason}", path.display());
        }
        let folder = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Ok(Source::Catalogue(catalogue, folder))
    }
}

impl Source {
    /// The file for this logger; none when there is nothing newer for it.
    fn pick(&self, device: &Device) -> Result<Option<Cow<'_, FirmwareFile>>, Problem> {
        let (catalogue, folder) = match self {
            Source::File(file) => return Ok(Some(Cow::Borrowed(file))),
            Source::Catalogue(catalogue, folder) => (catalogue, folder),
        };
        let running = device.running.map(|image| image.version);
        let Some(release) = catalogue.newer(&device.target, running) else {
            return Ok(None);
        };
        let path = folder.join(&release.file);
        let bytes = read(&path)?;
        release
            .check(&bytes)
            .map_err(|error| refused(&path, &error))?;
        read_firmware(&path, &bytes).map(|file| Some(Cow::Owned(file)))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| Problem::Failed(format!("{}: {error}", path.display())))
}

fn read_firmware(path: &Path, bytes: &[u8]) -> Result<FirmwareFile, Problem> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    FirmwareFile::read(&name, bytes).map_err(|error| refused(path, &error))
}

fn refused(path: &Path, error: &dyn Display) -> Problem {
    Problem::Refused(format!("{}: {error}", path.display()))
}

/// Brings the firmware onto the logger.
pub async fn install(
    conversation: &mut Conversation<Port>,
    found: &Found,
    source: &Source,
    what: &Update,
    bars: &MultiProgress,
) -> Result<Facts, Problem> {
    let device = Device::read(conversation).await?;
    let mut facts = Facts::default();
    let Some(file) = source.pick(&device)? else {
        add_image(&mut facts, "firmware", device.running);
        facts.add("catalogue", "nothing newer for this logger");
        return Ok(facts);
    };
    let plan =
        check(&file, &device).map_err(|objection| Problem::Refused(objection.to_string()))?;
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
    let after = update(conversation, &device, &file, |step| bar.show(step)).await?;
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
