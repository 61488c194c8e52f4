//! Who the logger is, in values that the caller may keep.

use alloc::string::String;

use protocol::device::{HeldImage, Outcome, Phase, Program, SerialNumber};
use protocol::image::{Target, Version};
use protocol::message::{CommonRequest, CommonResponse, LoggerRequest, LoggerResponse};
use protocol::record::{Health, Status};

use crate::conversation::{Conversation, TRIES, TalkError};
use crate::link::Link;

/// Where an image's stack may begin: the region for RAM of every Cortex-M (ARMv6-M, B3.1). How much of it is there, the
/// logger looks at itself.
const RAM: core::ops::Range<u32> = 0x2000_0000..0x4000_0000;

/// What a logger says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Hardware model.
    pub model: String,
    /// Serial number.
    pub serial: SerialNumber,
    /// Ed25519 key that images must be signed with.
    pub public_key: [u8; 32],
    /// Version of the bootloader.
    pub bootloader: Version,
    /// What an image must be to be accepted.
    pub target: Target,
    /// Erase page in bytes.
    pub page_size: u16,
    /// It has no image store: an update cannot be rolled back.
    pub direct: bool,
    /// What the update engine is at.
    pub phase: Phase,
    /// How the latest update ended.
    pub outcome: Outcome,
    /// The image in flash.
    pub running: Option<HeldImage>,
    /// The image to go back to.
    pub previous: Option<HeldImage>,
    /// The image that waits.
    pub staged: Option<HeldImage>,
}

impl Device {
    /// What the logger can install without being sent anything: the image before; in update mode a staged one whose
    /// installation did not end comes first.
    pub fn kept(&self, program: Program) -> Option<HeldImage> {
        match (program, self.phase) {
            (Program::Bootloader, Phase::Pending | Phase::Installing) => self.staged,
            _ => self.previous,
        }
    }

    /// Asks the logger.
    pub async fn read<L: Link>(conversation: &mut Conversation<L>) -> Result<Device, TalkError> {
        conversation
            .ask(CommonRequest::DeviceInfo, |response| match response {
                CommonResponse::DeviceInfo(info) => Some(Device {
                    model: info.model.into(),
                    serial: info.serial,
                    public_key: info.public_key,
                    bootloader: info.bootloader,
                    target: Target {
                        slot_address: info.slot_address,
                        slot_size: info.slot_size,
                        ram_address: RAM.start,
                        ram_size: RAM.end - RAM.start,
                        vendor_id: info.vendor_id,
                        class_id: info.class_id,
                        security_counter: info.security_counter,
                    },
                    page_size: info.page_size,
                    direct: info.direct,
                    phase: info.phase,
                    outcome: info.outcome,
                    running: info.running,
                    previous: info.previous,
                    staged: info.staged,
                }),
                _ => None,
            })
            .await
    }
}

/// What the logger measures now.
pub async fn read_status<L: Link>(conversation: &mut Conversation<L>) -> Result<Status, TalkError> {
    conversation
        .ask_logger(LoggerRequest::Status, |response| match response {
            LoggerResponse::Status(status) => Some(status),
            _ => None,
        })
        .await
}

/// How the logger is.
pub async fn read_health<L: Link>(conversation: &mut Conversation<L>) -> Result<Health, TalkError> {
    conversation
        .ask_logger(LoggerRequest::Health, |response| match response {
            LoggerResponse::Health(health) => Some(health),
            _ => None,
        })
        .await
}

/// Sets the logger's clock to the computer's. `utc` says what time it is, in milliseconds since 1970; `local_offset` is
/// what the computer's own time is ahead of UTC, in minutes.
///
/// The answer is what the logger's clock was ahead before, in milliseconds: none when it did not know the time.
pub async fn sync_clock<L: Link>(
    conversation: &mut Conversation<L>,
    utc: impl Fn(&mut L) -> u64,
    local_offset: i16,
) -> Result<Option<i64>, TalkError> {
    let status = read_status(conversation).await?;
    let before = status
        .utc_offset
        .map(|offset| status.time as i64 + offset - utc(conversation.link()) as i64);
    for _ in 0..TRIES {
        // A repeated request would set the time of its first try.
        let request = LoggerRequest::SetClock {
            utc: utc(conversation.link()),
            local_offset,
        };
        match conversation.tell_logger_once(request).await {
            Err(TalkError::Silent) => {}
            end => return end.map(|()| before),
        }
    }
    Err(TalkError::Silent)
}
