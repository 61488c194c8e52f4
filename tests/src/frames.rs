//! Frames of all kinds at the firmware's binaries: noise, requests, and requests that were changed on the way or before.
//!
//! It knows what the logger must make of each: one answer to each frame, with its number, and behind that the segments
//! of the log that were asked for; a restart only when one was asked for; and no write but what a request may do, or what
//! recording takes. It must never send a whole image that may be installed, nor have one installed that is kept: what
//! counts here is that nothing else changes the logger.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use emulator::chip::flash::EEPROM_BASE;
use emulator::cpu::bus::ResetCause;
use emulator::fault::{Operation, OperationKind};
use emulator::nand::PAGES_PER_BLOCK;
use futures_executor::block_on;
use host::conversation::Conversation;
use host::data;
use host::device::Device;
use host::firmware_file::FirmwareFile;
use host::link::Link;
use host::log::{self, Download, Loss};
use host::protocol::device::Program;
use host::protocol::frame::{Decoder, Encoder, FrameError, max_length};
use host::protocol::image::Digest;
use host::protocol::message::{
    CommonRequest, CommonResponse, LoggerRequest, LoggerResponse, Packet, Refusal, Request,
    Response, sequence_of,
};
use host::protocol::record::Segment;
use host::protocol::settings::{MAX_SETTING, Setting, SettingId, Settings, Value};
use host::protocol::{MAX_DATA, MAX_PACKET, NEWEST_VERSION, OLDEST_VERSION};
use host::settings;
use host::update::update;

use crate::{
    EmulatedLink, LOG_BLOCKS, MADE_AT, MEMORY, Random, SETTINGS, STEP, connect, firmware,
    updated_logger,
};

/// Frames that are sent before their answers are looked at.
const BATCH: usize = 32;
/// How long the answers to a batch may take: longer than writing all settings some times over.
const ANSWERS: Duration = Duration::from_secs(20);
/// How long a logger may take to be there again after a restart.
const COMING_BACK: Duration = Duration::from_secs(30);
/// After so many frames a whole image is sent, but for one wrong bit.
const IMAGE_EVERY: u64 = 2_000;
/// First address of the application's slot: the image's header.
const APPLICATION: u32 = 0x0800_7000;
/// Pages of a block of the store that hold the image, see docs/update.md.
const IMAGE_PAGES: Range<u16> = 1..19;
/// Blocks of a slot of the store, and its slots, see docs/update.md.
const SLOT_BLOCKS: u32 = 8;
const SLOTS: u32 = 3;
/// Offsets of the boot record in EEPROM, see docs/update.md.
const BOOT_RECORD: Range<usize> = 0..0x40;
/// Longest answer, with its CRC.
const LONGEST_ANSWER: usize = 2048;

const CAUSES: [ResetCause; 7] = [
    ResetCause::PowerOn,
    ResetCause::Pin,
    ResetCause::Software,
    ResetCause::IndependentWatchdog,
    ResetCause::OptionBytes,
    ResetCause::LowPower,
    ResetCause::Standby,
];

/// A logger with two images in its store, whose application answers; or whose bootloader does, because what is in flash
/// is no image and neither of those in the store can be read.
pub fn logger(program: Program) -> EmulatedLink {
    let mut link = updated_logger();
    if program == Program::Bootloader {
        link.machine.power_off();
        link.machine
            .program_flash(APPLICATION, &[0; 128])
            .expect("the header is in flash");
        let pages: Vec<u16> = link
            .machine
            .nand()
            .contents()
            .map(|(page, _)| page)
            .collect();
        for page in pages {
            if IMAGE_PAGES.contains(&(page % PAGES_PER_BLOCK as u16)) {
                link.machine.nand_mut().set_bit_errors(page, 0, 2);
            }
        }
        link.machine.power_on();
    }
    link
}

/// Sends so many frames to a logger in which this program answers, and then updates it. What there was, or what harm was
/// done. `progress` gets the frames sent so far.
pub fn bombard(
    program: Program,
    seed: u64,
    frames: u64,
    mut progress: impl FnMut(u64),
) -> Result<Report, String> {
    let mut bombardment = Bombardment::new(logger(program), seed);
    while bombardment.report.frames < frames {
        bombardment.send_batch()?;
        progress(bombardment.report.frames);
    }
    bombardment.finish()
}

/// What was sent, and what came of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Report {
    /// Frames that were sent, noise included.
    pub frames: u64,
    /// Those that the logger took for frames: each was answered.
    pub answers: u64,
    /// Those among them that held a request.
    pub requests: u64,
    /// Requests that it refused.
    pub refused: u64,
    /// Segments of the log that came.
    pub segments: u64,
    /// Restarts that were asked for.
    pub restarts: u64,
    /// Operations on its memories, all of them such as a request may cause.
    pub operations: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} frames, {} answers, {} requests of which {} were refused, {} segments of the log, {} restarts asked \
             for, {} operations on memories in their places",
            self.frames,
            self.answers,
            self.requests,
            self.refused,
            self.segments,
            self.restarts,
            self.operations
        )
    }
}

/// A logger, and all that is known of it.
pub struct Bombardment {
    /// The logger.
    pub link: EmulatedLink,
    /// What there was so far.
    pub report: Report,
    program: Program,
    random: Random,
    file: FirmwareFile,
    /// Frames that are sent in order, among others.
    script: VecDeque<Vec<u8>>,
    /// The byte of an image that the logger waits for, as it last said.
    offset: u32,
    /// Segments of the log, as the logger last said: those that there are.
    log: Range<u32>,
    /// What it is sending of the log.
    reading: Option<Reading>,
    /// Settings were changed, and recording has not begun since: when it does, that is kept.
    begins: bool,
    /// The clock's setting, as the registers hold it that outlive a reset.
    clock: [u32; 5],
    greeted: bool,
    answers: Decoder<LONGEST_ANSWER>,
    flash: Vec<u8>,
    staging: Range<u32>,
    resets: [u64; CAUSES.len()],
}

/// What a frame is to the logger.
struct Expected {
    sequence: u16,
    /// Only of one that may be acted upon.
    request: Option<Effect>,
}

/// A run of segments that was asked for.
#[derive(Clone, Copy)]
struct Reading {
    /// The number that all of them bear.
    sequence: u16,
    /// The segment that comes next.
    next: u32,
    /// The one behind the last; the log may end before.
    end: u32,
}

/// What a request may do to the logger beyond its answer.
#[derive(Clone, Copy, PartialEq)]
enum Effect {
    None,
    Greet,
    Install,
    GoBack,
    WriteSettings,
    SetClock,
    ReadLog { first: u32, count: u32 },
    EraseLog,
    Restart,
}

impl Bombardment {
    /// Waits until the logger is there and greets it.
    pub fn new(link: EmulatedLink, seed: u64) -> Bombardment {
        let (conversation, _) = connect(link);
        let program = conversation.hello().program;
        let mut link = conversation.into_link();
        link.machine.faults_mut().record();
        let used: Vec<u32> = link
            .machine
            .nand()
            .contents()
            .map(|(page, _)| u32::from(page) / PAGES_PER_BLOCK as u32 / SLOT_BLOCKS)
            .collect();
        let free = (0..SLOTS)
            .find(|slot| !used.contains(slot))
            .expect("two images are in the store");
        Bombardment {
            flash: link.machine.flash().to_vec(),
            resets: CAUSES.map(|cause| link.machine.resets(cause)),
            clock: *link.machine.chip().rtc().backup(),
            link,
            report: Report::default(),
            program,
            random: Random(seed),
            file: firmware("logger-1.1.0.bin"),
            script: VecDeque::new(),
            offset: 0,
            log: 0..0,
            reading: None,
            begins: false,
            greeted: true,
            answers: Decoder::new(),
            staging: free * SLOT_BLOCKS..(free + 1) * SLOT_BLOCKS,
        }
    }

    /// Sends some frames and judges what the logger does with them.
    pub fn send_batch(&mut self) -> Result<(), String> {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for _ in 0..BATCH {
            let frame = self.next_frame();
            let mut greeted = self.greeted;
            let answers = foresee(&frame, &mut greeted);
            // Nobody could tell whose answer it is that comes; or flash would be written, by right: the image before it
            // would be installed.
            let goes_back = |frame: &Expected| frame.request == Some(Effect::GoBack);
            if self.is_ambiguous(&expected, &answers) || answers.iter().any(goes_back) {
                continue;
            }
            self.greeted = greeted;
            self.report.frames += 1;
            bytes.extend(frame);
            let last = restarts(&answers);
            expected.extend(answers);
            // Nothing is read after a restart was asked for.
            if last {
                break;
            }
        }
        self.link.machine.usb_mut().write(&bytes);
        self.take_answers(&expected)
            .map_err(|why| format!("frame {}: {why}", self.report.frames))?;
        if restarts(&expected) {
            block_on(self.link.reopen(COMING_BACK))
                .map_err(|error| format!("after a restart: {error}"))?;
            self.report.restarts += 1;
            self.resets[2] += 1;
            self.answers.reset();
            self.greeted = false;
            self.reading = None;
        }
        self.judge(&expected)
            .map_err(|why| format!("frame {}: {why}", self.report.frames))
    }

    /// Whether the logger is as good as before: an update goes to its end.
    pub fn finish(mut self) -> Result<Report, String> {
        if self.link.machine.flash() != self.flash {
            return Err("flash was written".into());
        }
        block_on(async {
            let mut conversation = Conversation::open(self.link)
                .await
                .map_err(|(_, error)| format!("afterwards: {error}"))?;
            let device = Device::read(&mut conversation)
                .await
                .map_err(|error| format!("afterwards: {error}"))?;
            if self.program == Program::Application {
                settings::read(&mut conversation)
                    .await
                    .map_err(|error| format!("settings afterwards: {error}"))?;
                read_log(&mut conversation)
                    .await
                    .map_err(|error| format!("the log afterwards: {error}"))?;
                self.file = firmware("logger-1.0.0.bin");
            }
            update(&mut conversation, &device, &self.file, |_| {})
                .await
                .map_err(|error| format!("the update afterwards: {error}"))?;
            Ok(self.report)
        })
    }

    /// Whether two frames have a number that one of them lends to a run of segments.
    fn is_ambiguous(&self, expected: &[Expected], answers: &[Expected]) -> bool {
        let under_way = |sequence| {
            self.reading
                .is_some_and(|reading| reading.sequence == sequence)
        };
        answers.iter().enumerate().any(|(index, answer)| {
            let mut others = expected.iter().chain(&answers[..index]);
            under_way(answer.sequence)
                || others.any(|other| {
                    other.sequence == answer.sequence && (other.reads() || answer.reads())
                })
        })
    }

    fn take_answers(&mut self, expected: &[Expected]) -> Result<(), String> {
        let end = self.link.machine.now() + ANSWERS.into();
        let mut waiting = expected.iter();
        while !waiting.as_slice().is_empty() {
            if self.link.machine.now() >= end {
                return Err(format!("{} answers are missing", waiting.len()));
            }
            self.link
                .try_run(STEP.into())
                .map_err(|halt| halt.to_string())?;
            let bytes = self.link.machine.usb_mut().read();
            let mut bytes = bytes.as_slice();
            while !bytes.is_empty() {
                let (taken, packet) = self.answers.feed(bytes);
                bytes = &bytes[taken..];
                let Some(packet) = packet else { continue };
                let packet = packet.map_err(|error| format!("an answer came {error:?}"))?;
                let answer: Packet<Response> =
                    Packet::parse(packet).map_err(|_| "an answer is no message")?;
                self.report.segments += u64::from(matches!(
                    answer.message,
                    Response::Logger(LoggerResponse::Segment { .. })
                ));
                if goes_on(&mut self.reading, self.log.end, &answer)? {
                    continue;
                }
                let expected = waiting.next().ok_or("an answer to nothing")?;
                if answer.sequence != expected.sequence {
                    return Err(format!(
                        "answer {} where {} was due",
                        answer.sequence, expected.sequence
                    ));
                }
                self.report.answers += 1;
                self.report.requests += u64::from(expected.request.is_some());
                match answer.message {
                    Response::Common(CommonResponse::Received { offset })
                    | Response::Common(CommonResponse::Refused(Refusal::WrongOffset {
                        expected: offset,
                    })) => self.offset = offset,
                    Response::Common(CommonResponse::Refused(_)) => {
                        self.report.refused += u64::from(expected.request.is_some());
                    }
                    Response::Logger(LoggerResponse::LogSummary(summary)) => {
                        self.log = summary.first..summary.next;
                    }
                    _ => {}
                }
                match expected.request {
                    Some(Effect::Greet | Effect::Restart) => self.reading = None,
                    Some(Effect::ReadLog { first, count }) if !is_refusal(&answer.message) => {
                        self.reading = Some(Reading {
                            sequence: answer.sequence,
                            next: first,
                            end: first.saturating_add(count),
                        });
                        goes_on(&mut self.reading, self.log.end, &answer)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn judge(&mut self, expected: &[Expected]) -> Result<(), String> {
        let machine = &mut self.link.machine;
        let resets = CAUSES.map(|cause| machine.resets(cause));
        if resets != self.resets {
            return Err(format!(
                "it restarted unasked, because of {:?}",
                machine.last_reset()
            ));
        }
        let operations = machine.faults().recorded().to_vec();
        machine.faults_mut().record();
        self.report.operations += operations.len() as u64;
        for operation in operations {
            if !self.may(&operation, expected) {
                return Err(format!("{operation:?} is out of place"));
            }
        }
        let clock = *self.link.machine.chip().rtc().backup();
        if clock != self.clock && !asked(expected, Effect::SetClock) {
            return Err("its clock was set unasked".into());
        }
        self.clock = clock;
        self.begins |= asked(expected, Effect::WriteSettings);
        let machine = &self.link.machine;
        let mut violations = machine
            .nand()
            .violations()
            .iter()
            .chain(machine.usb().violations());
        violations.next().map_or(Ok(()), |what| Err(what.clone()))
    }

    /// Whether one of these frames may have caused this operation, or recording.
    fn may(&self, operation: &Operation, expected: &[Expected]) -> bool {
        let records = self.program == Program::Application;
        let block = match operation.kind {
            OperationKind::FlashPageErase
            | OperationKind::FlashHalfPage
            | OperationKind::FlashWord
            | OperationKind::OptionBytes => return false,
            OperationKind::EepromWord => {
                let offset = (operation.address - EEPROM_BASE) as usize;
                let changes = asked(expected, Effect::WriteSettings);
                return if records {
                    SETTINGS.contains(&offset) && changes
                        || MEMORY.contains(&offset)
                            && (changes || self.begins || asked(expected, Effect::EraseLog))
                } else {
                    // It may put back an image of the store, and is told so.
                    BOOT_RECORD.contains(&offset) && asked(expected, Effect::Install)
                };
            }
            OperationKind::NandPageProgram => operation.address / PAGES_PER_BLOCK as u32,
            OperationKind::NandBlockErase => operation.address,
        };
        self.staging.contains(&block) || records && LOG_BLOCKS.contains(&block)
    }

    fn next_frame(&mut self) -> Vec<u8> {
        if self.report.frames % IMAGE_EVERY == IMAGE_EVERY / 2 {
            self.send_spoilt_image();
        }
        let kind = self.random.below(10);
        if kind < 4 {
            return self.noise();
        }
        if let Some(frame) = self.script.pop_front() {
            return frame;
        }
        let mut frame = self.request();
        match kind {
            4 | 5 => {}
            6 | 7 => {
                let mut packet = packet_of(&frame);
                self.change(&mut packet);
                frame = framed(&packet);
            }
            _ => {
                frame.pop();
                self.change(&mut frame);
                frame.push(0);
            }
        }
        frame
    }

    /// Anything at all, and the end of a frame.
    fn noise(&mut self) -> Vec<u8> {
        let longest = match self.random.below(50) {
            0 => 2 * MAX_DATA,
            _ => 48,
        };
        let length = self.random.below(longest as u64);
        let mut bytes: Vec<u8> = (0..length).map(|_| self.random.next() as u8).collect();
        bytes.push(0);
        bytes
    }

    /// Some changes of the kinds that a bad cable or a bad program makes.
    fn change(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.random.below(3) {
            let at = self.random.below(bytes.len() as u64) as usize;
            let to =
                [0, 1, 0x7F, 0x80, 0xFF, self.random.next() as u8][self.random.below(6) as usize];
            match (self.random.below(7), bytes.get_mut(at)) {
                (0..=2, Some(byte)) => *byte ^= 1 << self.random.below(8),
                (3, Some(byte)) => *byte = to,
                (4, Some(_)) => drop(bytes.remove(at)),
                (5, Some(_)) => bytes.truncate(at),
                _ => bytes.insert(at, to),
            }
        }
    }

    /// A whole image in order, but for one wrong bit, and what a computer says then.
    fn send_spoilt_image(&mut self) {
        let digest = self.file.digest();
        let mut image = self.file.image().to_vec();
        // Where the digest covers it: the signature is the bootloader's business.
        let middle = image.len() / 2;
        image[middle] ^= 1;
        let length = image.len() as u32;
        let hello = CommonRequest::Hello {
            oldest: OLDEST_VERSION,
            newest: NEWEST_VERSION,
        };
        let parts = (0..).step_by(MAX_DATA).zip(image.chunks(MAX_DATA));
        self.script = [hello, CommonRequest::BeginUpload { digest, length }]
            .into_iter()
            .chain(parts.map(|(offset, data)| CommonRequest::UploadData { offset, data }))
            .chain([CommonRequest::FinishUpload, CommonRequest::Install])
            .map(|request| frame_of(1, Request::Common(request)))
            .collect();
    }

    /// A request that a computer may send, well or ill meant. Those over which a logger takes its time come seldom.
    fn request(&mut self) -> Vec<u8> {
        let random = &mut self.random;
        let sequence = random.next() as u16;
        let digest = match random.below(2) {
            0 => self.file.digest(),
            _ => Digest([random.next() as u8; 32]),
        };
        let length = self.file.image().len() as u32;
        let number = match random.below(5) {
            0 => length,
            1 => random.below(5) as u32 * MAX_DATA as u32,
            2 => random.below(3 * MAX_DATA as u64) as u32,
            3 => random.below(40_000) as u32,
            _ => random.next() as u32,
        };
        // Mostly about what there is in the log, and a little beyond.
        let log = self.log.end - self.log.start;
        let segment = match random.below(8) {
            0 => random.next() as u32,
            _ => (self.log.start + random.below(u64::from(log) + 3) as u32).saturating_sub(1),
        };
        let data;
        let text;
        let mut room = [0; MAX_SETTING];
        let message = match random.below(1000) {
            0..200 => Request::Common(match random.below(4) {
                0 => CommonRequest::Hello {
                    oldest: random.next() as u8,
                    newest: random.next() as u8,
                },
                _ => CommonRequest::Hello {
                    oldest: OLDEST_VERSION,
                    newest: NEWEST_VERSION,
                },
            }),
            200..320 => Request::Common(CommonRequest::DeviceInfo),
            320..420 => Request::Common(CommonRequest::BeginUpload {
                digest,
                length: number,
            }),
            420..520 => {
                // What comes next, of the real image, never to its last byte.
                let rest = self
                    .file
                    .image()
                    .get(self.offset as usize..length as usize - 1);
                let rest = rest.unwrap_or_default();
                Request::Common(CommonRequest::UploadData {
                    offset: self.offset,
                    data: &rest[..rest.len().min(MAX_DATA)],
                })
            }
            520..620 => {
                data = vec![random.next() as u8; random.below(MAX_DATA as u64 + 1) as usize];
                Request::Common(CommonRequest::UploadData {
                    offset: number,
                    data: &data,
                })
            }
            620..680 => Request::Common(CommonRequest::FinishUpload),
            680..720 => Request::Common(CommonRequest::AbortUpload),
            720..760 => Request::Common(CommonRequest::Install),
            760..762 => Request::Common(CommonRequest::Reboot),
            762..770 => Request::Common(CommonRequest::Confirm { digest }),
            770..835 => Request::Logger(LoggerRequest::DescribeSetting {
                index: random.below(60) as u8,
            }),
            835..850 => Request::Logger(LoggerRequest::ReadLog {
                first: segment,
                count: match random.below(6) {
                    0 => random.next() as u32,
                    1 => random.below(300) as u32,
                    _ => random.below(4) as u32,
                },
            }),
            850..875 => Request::Logger(LoggerRequest::Health),
            875..900 => Request::Logger(LoggerRequest::LogSummary),
            900..907 => Request::Logger(LoggerRequest::SetClock {
                utc: match random.below(3) {
                    0 => random.next(),
                    _ => MADE_AT + random.below(1 << 40),
                },
                local_offset: random.next() as i16,
            }),
            907..909 => Request::Logger(LoggerRequest::EraseLog { next: segment }),
            909..914 => {
                text = format!("L{}", random.next() as u16);
                let value = match random.below(5) {
                    0 => Value::Number(random.next() as i32 % 4_000),
                    1 => Value::Choice(random.below(4) as u8),
                    2 => Value::Toggle(random.below(2) == 1),
                    3 => Value::Time(random.next() as u32),
                    _ => Value::Text(&text),
                };
                // Those of the logger as a whole, and those of its channels.
                let id = SettingId(match random.below(2) {
                    0 => random.below(16) as u16,
                    _ => 0x100 + 0x10 * random.below(6) as u16 + random.below(8) as u16,
                });
                let values = Setting { id, value }.write(&mut room).unwrap_or_default();
                Request::Logger(LoggerRequest::WriteSettings {
                    values: Settings::check(values).unwrap_or_default(),
                })
            }
            _ => Request::Logger(LoggerRequest::Status),
        };
        frame_of(sequence, message)
    }
}

/// What a logger will make of these bytes, which end a frame.
fn foresee(mut bytes: &[u8], greeted: &mut bool) -> Vec<Expected> {
    let mut decoder = Decoder::<{ MAX_PACKET + 4 }>::new();
    let mut expected = Vec::new();
    while !bytes.is_empty() && !restarts(&expected) {
        let (taken, packet) = decoder.feed(bytes);
        bytes = &bytes[taken..];
        let Some(packet) = packet else { continue };
        expected.push(match packet {
            Err(FrameError::TooLong | FrameError::Damaged) => Expected {
                sequence: 0,
                request: None,
            },
            Ok(packet) => Expected {
                sequence: sequence_of(packet),
                request: Packet::<Request>::parse(packet)
                    .ok()
                    .and_then(|packet| effect(&packet.message, greeted)),
            },
        });
    }
    expected
}

/// Everything in the log comes, and says of itself that nothing is missing.
async fn read_log(conversation: &mut Conversation<EmulatedLink>) -> Result<(), String> {
    let summary = log::read_summary(conversation)
        .await
        .map_err(|error| error.to_string())?;
    let mut download = Download::new(log::whole(&summary));
    let mut decoder = data::Decoder::new();
    let mut harm = None;
    while !download.is_complete() {
        let step = download.step(conversation, |piece| match piece.content {
            Ok(bytes) => {
                if decoder.segment(&bytes).is_err() {
                    harm = Some(format!("segment {} is damaged", piece.sequence));
                }
            }
            Err(Loss::NeverWritten) => {}
            Err(loss) => harm = Some(format!("segment {} {loss}", piece.sequence)),
        });
        step.await.map_err(|error| error.to_string())?;
    }
    let seen = decoder.verification();
    match harm {
        None if !seen.is_whole() => Err(format!("{seen:?}")),
        None => Ok(()),
        Some(harm) => Err(harm),
    }
}

/// Whether this answer is the next one of the run of segments under way. `end` is behind the segments that there are for
/// sure.
fn goes_on(
    reading: &mut Option<Reading>,
    end: u32,
    answer: &Packet<Response<'_>>,
) -> Result<bool, String> {
    let Some(run) = reading
        .as_mut()
        .filter(|run| run.sequence == answer.sequence)
    else {
        return Ok(false);
    };
    match answer.message {
        Response::Logger(LoggerResponse::Segment { sequence, bytes }) => {
            if sequence != run.next || sequence >= run.end {
                return Err(format!("segment {sequence} where {} was due", run.next));
            }
            let found = Segment::parse(bytes).map(|segment| segment.header.sequence);
            if !bytes.is_empty() && found != Some(sequence) {
                return Err(format!("segment {sequence} came as {bytes:?}"));
            }
            run.next += 1;
        }
        Response::Common(CommonResponse::Done) => {
            if run.next < run.end.min(end) {
                return Err(format!("the segments end with {}", run.next));
            }
            *reading = None;
        }
        _ => return Err("something else came instead of a segment".into()),
    }
    Ok(true)
}

fn is_refusal(response: &Response<'_>) -> bool {
    matches!(response, Response::Common(CommonResponse::Refused(_)))
}

impl Expected {
    fn reads(&self) -> bool {
        matches!(self.request, Some(Effect::ReadLog { .. }))
    }
}

fn asked(expected: &[Expected], effect: Effect) -> bool {
    expected.iter().any(|frame| frame.request == Some(effect))
}

fn restarts(expected: &[Expected]) -> bool {
    asked(expected, Effect::Restart)
}

/// What the logger may do on a request, if it acts upon it at all.
fn effect(request: &Request<'_>, greeted: &mut bool) -> Option<Effect> {
    match request {
        Request::Common(CommonRequest::Hello { oldest, newest }) => {
            *greeted = *newest >= OLDEST_VERSION && *oldest <= NEWEST_VERSION;
            Some(Effect::Greet)
        }
        _ if !*greeted => None,
        Request::Common(CommonRequest::Install) => Some(Effect::Install),
        Request::Common(CommonRequest::GoBack) => Some(Effect::GoBack),
        Request::Common(CommonRequest::Reboot) => Some(Effect::Restart),
        Request::Logger(LoggerRequest::WriteSettings { .. }) => Some(Effect::WriteSettings),
        Request::Logger(LoggerRequest::SetClock { .. }) => Some(Effect::SetClock),
        Request::Logger(LoggerRequest::ReadLog { first, count }) => Some(Effect::ReadLog {
            first: *first,
            count: *count,
        }),
        Request::Logger(LoggerRequest::EraseLog { .. }) => Some(Effect::EraseLog),
        Request::Common(_) | Request::Logger(_) => Some(Effect::None),
    }
}

fn frame_of(sequence: u16, message: Request<'_>) -> Vec<u8> {
    let mut frame = vec![0; max_length(MAX_PACKET)];
    let packet = Packet { sequence, message };
    let length = packet.frame(&mut frame).expect("a request fits its frame");
    frame.truncate(length);
    frame
}

/// The packet in a whole frame.
fn packet_of(frame: &[u8]) -> Vec<u8> {
    match Decoder::<{ MAX_PACKET + 4 }>::new().feed(frame).1 {
        Some(Ok(packet)) => packet.to_vec(),
        _ => unreachable!("the frame was made by its encoder"),
    }
}

/// A packet of any content in a whole frame.
fn framed(packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![0; max_length(packet.len())];
    let mut encoder = Encoder::new(&mut frame);
    encoder.extend(packet);
    let length = encoder
        .finish()
        .expect("there is room for a frame of this length");
    frame.truncate(length);
    frame
}
