//! An update from a checked file to a confirmed new version.
//!
//! Its end is what the logger reports: only when it runs the image with the file's digest, and has kept it, was the
//! update a success.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use protocol::device::{HeldImage, Outcome, Phase, Program};
use protocol::image::{Digest, Version};
use protocol::message::{CommonRequest, Refusal};

use crate::check::{Objection, check, explain};
use crate::conversation::{Conversation, TalkError};
use crate::device::Device;
use crate::firmware_file::FirmwareFile;
use crate::link::{Link, LinkError};

/// How long a logger may stay away while it installs: a full slot takes about 4 s, a port some seconds to come back.
const INSTALL_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a person may take to plug the cable in again.
pub const REPLUG_TIMEOUT: Duration = Duration::from_secs(3600);

/// How often something that a pulled plug may undo is tried.
const TRIES: usize = 5;

/// What the update is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The logger has no store for a second image: it restarts into update mode, to write the image as it comes.
    Preparing,
    /// The image goes over. A logger with a store goes on recording; one without writes it over its firmware.
    Sending {
        /// Bytes the logger keeps safe.
        kept: u32,
        /// Bytes in all.
        total: u32,
    },
    /// The cable was pulled; it goes on when the logger is there again.
    Unplugged {
        /// Bytes the logger kept safe when it was last heard of.
        kept: u32,
        /// Bytes in all.
        total: u32,
    },
    /// The logger reads back what it received.
    Checking,
    /// The logger restarts; its bootloader checks the image once more and installs it.
    Installing,
    /// The new firmware answers, on trial.
    Started,
    /// It is told that it may stay.
    Confirming,
}

/// Why an update did not come to its good end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpdateError {
    /// The file is not for this logger.
    Objection(Objection),
    /// The logger cannot be talked to, or refused.
    Talk(TalkError),
    /// The update ended, but not with the new image: what the logger says of it, and what runs now.
    NotInstalled {
        /// How it ended.
        outcome: Outcome,
        /// The version that runs now.
        running: Option<Version>,
    },
    /// Another logger than the one before came back.
    OtherLogger,
}

impl From<TalkError> for UpdateError {
    fn from(error: TalkError) -> Self {
        UpdateError::Talk(error)
    }
}

impl fmt::Display for UpdateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UpdateError::Objection(objection) => objection.fmt(f),
            UpdateError::Talk(error) => error.fmt(f),
            UpdateError::NotInstalled { outcome, running } => {
                match outcome {
                    Outcome::Refused(version, error) => {
                        write!(f, "The logger did not install {version}. {}", explain(*error))?;
                    }
                    Outcome::Reverted(version) => {
                        write!(f, "{version} did not start properly and was taken back.")?;
                    }
                    Outcome::Unreadable(version) => write!(
                        f,
                        "The logger could not read back its copy of {version}, so it did not install it. Send it again."
                    )?,
                    Outcome::None | Outcome::Installed(_) => {
                        f.write_str("The logger did not install the new firmware.")?;
                    }
                }
                match running {
                    Some(version) => write!(f, " It runs {version}."),
                    None => f.write_str(" It waits for a firmware it can start."),
                }
            }
            UpdateError::OtherLogger => f.write_str(
                "Another logger was plugged in. Plug in the one whose update broke off; it is fine as it is.",
            ),
        }
    }
}

impl core::error::Error for UpdateError {}

/// Brings `file` onto the logger. `device` is what the logger last said of itself; the result is what it says in the
/// end. Dropping the future cancels: the logger then keeps what it runs, and a later update goes on from where this
/// one stood. A logger without an image store waits in update mode for the rest.
pub async fn update<L: Link>(
    conversation: &mut Conversation<L>,
    device: &Device,
    file: &FirmwareFile,
    progress: impl FnMut(Progress),
) -> Result<Device, UpdateError> {
    check(file, device).map_err(UpdateError::Objection)?;
    install(conversation, device, &file.upload(), progress).await
}

/// An image on its way to a logger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Version of the firmware.
    pub version: Version,
    /// Its digest.
    pub digest: Digest,
    /// All its bytes.
    pub image: Vec<u8>,
    /// Where in them its trailer begins.
    pub trailer: u32,
}

/// The same with what was [checked](check) already.
pub async fn install<L: Link>(
    conversation: &mut Conversation<L>,
    device: &Device,
    upload: &Upload,
    mut progress: impl FnMut(Progress),
) -> Result<Device, UpdateError> {
    bring(conversation, device, Source::Sent(upload), &mut progress).await
}

/// Has a logger install the image that it [keeps](Device::kept): it goes back to the version before. The result is what
/// it says in the end. Dropping the future before [`Progress::Installing`] leaves everything as it is.
pub async fn put_back<L: Link>(
    conversation: &mut Conversation<L>,
    device: &Device,
    mut progress: impl FnMut(Progress),
) -> Result<Device, UpdateError> {
    let Some(kept) = device.kept(conversation.hello().program) else {
        return Err(TalkError::Refused(Refusal::NothingStaged).into());
    };
    bring(conversation, device, Source::Kept(kept), &mut progress).await
}

/// Where an image comes from.
#[derive(Clone, Copy)]
enum Source<'a> {
    Sent(&'a Upload),
    Kept(HeldImage),
}

/// From whatever the image comes, to its confirmation. Compiled once, for whoever has to be small.
async fn bring<L: Link>(
    conversation: &mut Conversation<L>,
    device: &Device,
    source: Source<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Device, UpdateError> {
    let (digest, total, mut kept) = match source {
        Source::Sent(upload) => (upload.digest, upload.image.len() as u32, 0),
        Source::Kept(image) => (image.digest, image.length, image.length),
    };
    let after = loop {
        let marked = match source {
            Source::Sent(upload) => {
                send(conversation, device, upload, &mut |step| {
                    if let Progress::Sending { kept: now, .. } = step {
                        kept = now;
                    }
                    progress(step);
                })
                .await
            }
            Source::Kept(_) => {
                let request = match conversation.hello().program {
                    Program::Application => CommonRequest::GoBack,
                    Program::Bootloader => CommonRequest::Install,
                };
                conversation.tell(request).await.map_err(UpdateError::Talk)
            }
        };
        match marked {
            Ok(()) => {
                progress(Progress::Installing);
                break restart(conversation, device).await?;
            }
            Err(UpdateError::Talk(TalkError::Link(LinkError::Lost))) => {
                progress(Progress::Unplugged { kept, total });
                let back = come_back(conversation, device, REPLUG_TIMEOUT).await?;
                // It lost power after it was told to install, and has done so.
                if runs(conversation, &back, digest) {
                    break back;
                }
            }
            Err(error) => return Err(error),
        }
    };
    conclude(conversation, after, digest, total, progress).await
}

/// Sends the image, in update mode where there is no store for it, and has the logger mark it for installation.
async fn send<L: Link>(
    conversation: &mut Conversation<L>,
    device: &Device,
    upload: &Upload,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), UpdateError> {
    if device.direct && conversation.hello().program == Program::Application {
        progress(Progress::Preparing);
    }
    enter_update_mode(conversation, device).await?;
    Ok(stage(conversation, device, upload, progress).await?)
}

/// Confirms the image of `total` bytes that was to be installed, if it is the one that runs.
async fn conclude<L: Link>(
    conversation: &mut Conversation<L>,
    mut after: Device,
    digest: Digest,
    total: u32,
    progress: &mut dyn FnMut(Progress),
) -> Result<Device, UpdateError> {
    if runs(conversation, &after, digest) {
        progress(Progress::Started);
    }
    while runs(conversation, &after, digest) {
        progress(Progress::Confirming);
        match confirm(conversation, digest).await {
            Ok(device) if runs(conversation, &device, digest) && device.phase == Phase::Idle => {
                return Ok(device);
            }
            Ok(device) => return Err(not_installed(device)),
            Err(TalkError::Link(LinkError::Lost)) => {
                progress(Progress::Unplugged { kept: total, total });
                after = come_back(conversation, &after, REPLUG_TIMEOUT).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(not_installed(after))
}

/// Tells the logger that the image which runs may stay.
async fn confirm<L: Link>(
    conversation: &mut Conversation<L>,
    digest: Digest,
) -> Result<Device, TalkError> {
    conversation.tell(CommonRequest::Confirm { digest }).await?;
    Device::read(conversation).await
}

/// Whether the logger runs this image. In update mode an image that is whole does not run.
fn runs<L: Link>(conversation: &Conversation<L>, device: &Device, digest: Digest) -> bool {
    conversation.hello().program == Program::Application
        && device
            .running
            .is_some_and(|running| running.digest == digest)
}

/// Has the application of a logger without an image store hand over to the bootloader, which can write flash.
async fn enter_update_mode<L: Link>(
    conversation: &mut Conversation<L>,
    device: &Device,
) -> Result<(), UpdateError> {
    let mut tries = 0;
    while device.direct && conversation.hello().program == Program::Application {
        if tries == TRIES {
            return Err(TalkError::Silent.into());
        }
        tries += 1;
        conversation.tell(CommonRequest::Install).await?;
        restart(conversation, device).await?;
    }
    Ok(())
}

/// Sends the image and has the logger mark it for installation.
async fn stage<L: Link>(
    conversation: &mut Conversation<L>,
    device: &Device,
    upload: &Upload,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), TalkError> {
    let total = upload.image.len() as u32;
    if device.direct {
        conversation
            .announce(upload.digest, &upload.image, upload.trailer as usize)
            .await?;
    }
    conversation
        .upload(upload.digest, &upload.image, |kept| {
            progress(Progress::Sending { kept, total });
        })
        .await?;
    progress(Progress::Checking);
    conversation.tell(CommonRequest::FinishUpload).await?;
    conversation.tell(CommonRequest::Install).await
}

/// Restarts the logger, so that it installs what waits for that, and waits until it is done. The result is what it says
/// then.
pub async fn restart<L: Link>(
    conversation: &mut Conversation<L>,
    device: &Device,
) -> Result<Device, UpdateError> {
    let mut tries = 0;
    loop {
        match conversation.tell(CommonRequest::Reboot).await {
            // The answer may be lost in the restart.
            Ok(()) | Err(TalkError::Link(LinkError::Lost) | TalkError::Silent) => {}
            Err(error) => return Err(error.into()),
        }
        let back = come_back(conversation, device, INSTALL_TIMEOUT).await?;
        tries += 1;
        // The plug was pulled before the logger had heard of the restart.
        let waits = match back.phase {
            Phase::Pending | Phase::Reverting => true,
            Phase::Installing => back.direct,
            _ => false,
        };
        if !waits || tries == TRIES {
            return Ok(back);
        }
    }
}

/// Waits for the logger, greets it and asks who it is, as often as it takes: a port that has just come back may vanish
/// once more.
async fn come_back<L: Link>(
    conversation: &mut Conversation<L>,
    before: &Device,
    timeout: Duration,
) -> Result<Device, UpdateError> {
    let mut tries = 0;
    while tries < TRIES {
        let device = match conversation.reopen(timeout).await {
            Ok(()) => Device::read(conversation).await,
            Err(error) => Err(error),
        };
        match device {
            Ok(device) if device.serial == before.serial => return Ok(device),
            Ok(_) if conversation.link().leave().await => {}
            Ok(_) => return Err(UpdateError::OtherLogger),
            Err(TalkError::Link(LinkError::Lost)) => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Err(TalkError::Link(LinkError::NotBack).into())
}

fn not_installed(device: Device) -> UpdateError {
    UpdateError::NotInstalled {
        outcome: device.outcome,
        running: device.running.map(|running| running.version),
    }
}
