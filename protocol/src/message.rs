//! What is said: requests of the computer, responses of the logger.
//!
//! Each request gets one response with the same sequence number. The first is always [`CommonRequest::Hello`]; its bytes,
//! and those of the answer, stay the same in every version. Enums are append-only: the order of their variants is
//! their encoding.

#![expect(
    clippy::large_enum_variant,
    reason = "the device has no allocator to box with; a message lives only where it is sent or read"
)]

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize, Serializer};

use crate::device::{DeviceInfo, Program};
use crate::frame::{Encoder, NoRoom};
use crate::image::{Digest, ImageError};
use crate::record::{Health, LogSummary, Status};
use crate::settings::{Descriptor, Problem, SettingId, Settings, Value};

/// A message and the number that joins a response to its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet<T> {
    /// Chosen by the computer; 0 is for responses to frames whose number could not be read.
    pub sequence: u16,
    /// The message.
    pub message: T,
}

/// A message that both programs know, or one of the logger's application alone: the bootloader, for which each
/// kilobyte counts, does not even read those.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message<C, L> {
    /// Known to both programs.
    Common(C),
    /// Known to the application.
    Logger(L),
}

/// What a computer asks.
pub type Request<'a> = Message<CommonRequest<'a>, LoggerRequest<'a>>;
/// What the application answers.
pub type Response<'a> = Message<CommonResponse<'a>, LoggerResponse<'a>>;

/// In the place of a message that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Never {}

/// What a computer asks of both programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommonRequest<'a> {
    /// Opens a conversation: the versions that the computer speaks.
    Hello {
        /// Oldest protocol version.
        oldest: u8,
        /// Newest protocol version.
        newest: u8,
    },
    /// Who are you, and what do you run?
    DeviceInfo,
    /// An image will come. If the same one (digest and length) broke off before, the upload goes on from there.
    BeginUpload {
        /// The image's digest, as in its TLV.
        digest: Digest,
        /// Whole length in bytes.
        length: u32,
    },
    /// The next part of the image: [`Hello::max_data`] bytes, fewer only at its end. At most the window announced in
    /// [`Hello`] may be unacknowledged.
    ///
    /// A logger without an image store ([`DeviceInfo::direct`]) wants to see two parts first, before it erases anything,
    /// and answers each with the offset that it waits for next: the beginning of the image up to its first two vectors,
    /// then all of its TLVs. Then comes the image from its first byte on.
    UploadData {
        /// Where it belongs in the image: must be the next byte that the logger waits for.
        offset: u32,
        /// The bytes.
        #[serde(borrow)]
        data: &'a [u8],
    },
    /// The image is complete: check it and keep it.
    FinishUpload,
    /// Forget the image that is being received.
    AbortUpload,
    /// Install the staged image at the next restart. The application of a logger without an image store has none: there
    /// the bootloader will wait for one.
    Install,
    /// Restart. The answer comes first; then a USB port vanishes and comes back.
    Reboot,
    /// The running image with this digest was reached by a computer: it may stay.
    Confirm {
        /// Digest of the running image.
        digest: Digest,
    },
    /// Install the image before the running one at the next restart: on trial, as one that was sent.
    GoBack,
    /// Speak at another rate, once this was answered. Known where a rate means something: behind a USB-UART bridge. After
    /// a second in which nothing was understood the logger is back at [`crate::BAUD_RATE`].
    #[cfg(feature = "baud_rate")]
    SetBaudRate {
        /// Bits a second.
        baud: u32,
    },
}

/// What a computer asks of the application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoggerRequest<'a> {
    /// Describe one setting, and say what its value is.
    DescribeSetting {
        /// From 0 on, until [`Refusal::NoSuchSetting`].
        index: u8,
    },
    /// Change values: all of these, or none when one is refused.
    WriteSettings {
        /// The values that change.
        #[serde(borrow)]
        values: Settings<'a>,
    },
    /// What do you measure now?
    Status,
    /// How are you?
    Health,
    /// It is this time now.
    SetClock {
        /// UTC in milliseconds since 1970.
        utc: u64,
        /// What the computer's own time is ahead of UTC, in minutes: kept for display.
        local_offset: i16,
    },
    /// What is in the log?
    LogSummary,
    /// Send segments of the log. Each comes as a response of its own with this request's number, closed by
    /// [`CommonResponse::Done`]; other requests are answered in between. A new `ReadLog` ends the one before.
    ReadLog {
        /// Sequence number of the first one.
        first: u32,
        /// How many at most; up to the end of the log, if there are fewer.
        count: u32,
    },
    /// Forget all segments before `next`: as [`LogSummary::next`] said, so that nothing is erased that the computer does
    /// not know of.
    EraseLog {
        /// The first segment that stays.
        next: u32,
    },
}

/// The answer to [`CommonRequest::Hello`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version to speak from here on: the newest that both know.
    pub version: u8,
    /// Which program answers.
    pub program: Program,
    /// The most bytes of one [`CommonRequest::UploadData`].
    pub max_data: u16,
    /// The most bytes of `UploadData` that may be under way unacknowledged.
    pub window: u16,
}

/// What both programs answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommonResponse<'a> {
    /// It was not done, and nothing was changed.
    Refused(Refusal),
    /// To [`CommonRequest::Hello`].
    Hello(Hello),
    /// To [`CommonRequest::DeviceInfo`].
    #[serde(borrow)]
    DeviceInfo(DeviceInfo<'a>),
    /// To [`CommonRequest::BeginUpload`] and [`CommonRequest::UploadData`]: every byte before `offset` is kept safe.
    Received {
        /// The next byte that the logger waits for.
        offset: u32,
    },
    /// It is done.
    Done,
}

/// What the application answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoggerResponse<'a> {
    /// To [`LoggerRequest::DescribeSetting`].
    Setting {
        /// What it is.
        #[serde(borrow)]
        descriptor: Descriptor<'a>,
        /// Its value.
        #[serde(borrow)]
        value: Value<'a>,
    },
    /// To [`LoggerRequest::Status`].
    Status(Status),
    /// To [`LoggerRequest::Health`].
    Health(Health),
    /// To [`LoggerRequest::LogSummary`].
    LogSummary(LogSummary),
    /// To [`LoggerRequest::ReadLog`]: one segment.
    Segment {
        /// Its sequence number.
        sequence: u32,
        /// [`crate::record::Segment`]. Empty when none was ever written with this number, as when power failed before it
        /// was; what else is no segment could not be read.
        #[serde(borrow, serialize_with = "whole")]
        bytes: &'a [u8],
    },
}

/// Why a request was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// This program does not know the request, or does not offer it.
    UnknownRequest,
    /// A frame came with errors; its sequence number is not known, so this one is 0.
    Damaged,
    /// No version in common.
    UnsupportedVersion {
        /// Oldest version of the logger.
        oldest: u8,
        /// Newest version of the logger.
        newest: u8,
    },
    /// A conversation begins with hello.
    HelloFirst,
    /// There is no upload under way.
    NoUpload,
    /// Data is not what comes next; the computer goes on from `expected`.
    WrongOffset {
        /// The next byte that the logger waits for.
        expected: u32,
    },
    /// The image was not accepted.
    Image(ImageError),
    /// The image store does not work.
    Storage(StorageError),
    /// No image is staged.
    NothingStaged,
    /// An update is under way that must be confirmed or taken back first.
    TrialUnderWay,
    /// Another image is running than the one to be confirmed.
    OtherImageRuns,
    /// There is no setting with this index.
    NoSuchSetting,
    /// A value was refused; none was changed.
    Setting {
        /// Which one.
        id: SettingId,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The log does not begin or end there: there were others in between, or it was erased.
    OtherLog,
    /// A clock cannot be set to that time.
    ImpossibleTime,
}

/// What is wrong with the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StorageError {
    /// The NAND does not answer.
    NotThere,
    /// More blocks are bad than there are spares.
    NoGoodBlock,
    /// What was stored cannot be read back.
    Unreadable,
    /// EEPROM or flash did not take what was written.
    WriteFailed,
}

/// A packet that is no message of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl<'a, T: Deserialize<'a>> Packet<T> {
    /// From the bytes of a frame.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        match postcard::take_from_bytes(bytes) {
            Ok((packet, [])) => Ok(packet),
            _ => Err(Malformed),
        }
    }
}

impl<T: Serialize> Packet<T> {
    /// As one frame, written to the beginning of `out`; its length.
    pub fn frame(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut encoder = Encoder::new(out);
        self.write(&mut encoder);
        encoder.finish()
    }

    /// As the packet of a frame that is finished elsewhere.
    pub fn write(&self, encoder: &mut Encoder<'_>) {
        // That there is no room is said when the frame is finished, and nothing else can fail.
        let _ = postcard::serialize_with_flavor(self, PacketFlavor(encoder));
    }
}

/// The number of a packet whose message is unknown, so that it can be answered all the same.
pub fn sequence_of(bytes: &[u8]) -> u16 {
    postcard::take_from_bytes(bytes).map_or(0, |(sequence, _)| sequence)
}

/// Bytes in one piece; on the wire it is the same as one by one.
fn whole<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bytes(bytes)
}

/// Lets postcard write into a frame as it goes.
struct PacketFlavor<'e, 'a>(&'e mut Encoder<'a>);

impl Flavor for PacketFlavor<'_, '_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.try_extend(&[byte])
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
