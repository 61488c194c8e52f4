//! A bad cable: bytes lost, changed, repeated and late, the plug pulled at every message, and frames of all kinds. The
//! logger takes no harm, and a clean link afterwards brings the update to its end.

mod model;

use std::sync::OnceLock;
use std::time::Duration;

use futures_executor::block_on;
use host::conversation::{Conversation, TalkError};
use host::device::Device;
use host::firmware_file::FirmwareFile;
use host::link::{Link, LinkError};
use host::update::{Progress, UpdateError, update};
use model::{Logger, Random, connect, image};
use protocol::frame::max_length;
use protocol::image::Digest;
use protocol::message::{CommonRequest, LoggerRequest, Message, Never, Packet};
use protocol::{MAX_DATA, MAX_PACKET};

const PAYLOAD: usize = 30_000;

fn old() -> &'static FirmwareFile {
    static OLD: OnceLock<FirmwareFile> = OnceLock::new();
    OLD.get_or_init(|| image(1, PAYLOAD, 1))
}

fn new() -> &'static FirmwareFile {
    static NEW: OnceLock<FirmwareFile> = OnceLock::new();
    NEW.get_or_init(|| image(2, PAYLOAD, 1))
}

/// As they leave the factory, with this image: a board with NAND and one without.
fn boards(file: &FirmwareFile) -> [Logger; 2] {
    let logger = Logger::with(file);
    let direct = Logger::direct(logger.memories());
    [logger, direct]
}

/// A link that spoils what goes through it, both ways.
struct Noisy {
    logger: Logger,
    random: Random,
    /// One byte in so many is hit.
    rate: u64,
    /// Bytes that come with the next ones.
    late: Vec<u8>,
    /// Messages until the plug is pulled.
    until_unplugged: Option<u64>,
}

impl Noisy {
    fn new(logger: Logger, rate: u64, seed: u64) -> Noisy {
        Noisy {
            logger,
            random: Random(seed),
            rate,
            late: Vec::new(),
            until_unplugged: None,
        }
    }

    fn spoil(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut out = core::mem::take(&mut self.late);
        for &byte in bytes {
            if self.rate == 0 || self.random.below(self.rate) != 0 {
                out.push(byte);
                continue;
            }
            match self.random.below(4) {
                0 => {}
                1 => out.push(byte ^ (1 << self.random.below(8))),
                2 => out.extend([byte, byte]),
                _ => self.late.push(byte),
            }
        }
        out
    }
}

impl Link for Noisy {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        if let Some(left) = &mut self.until_unplugged {
            if *left == 0 {
                self.until_unplugged = None;
                self.logger.unplug();
                return Err(LinkError::Lost);
            }
            *left -= 1;
        }
        let bytes = self.spoil(bytes);
        self.logger.send(&bytes).await
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let bytes = self.logger.receive(timeout).await?;
        Ok(self.spoil(&bytes))
    }

    async fn reopen(&mut self, timeout: Duration) -> Result<(), LinkError> {
        self.late.clear();
        self.logger.reopen(timeout).await
    }

    async fn sleep(&mut self, _: Duration) {}
}

/// An update over this link from the beginning, some times if need be: whether it came to its end.
fn update_over(mut link: Noisy, tries: usize) -> (Noisy, bool) {
    for _ in 0..tries {
        block_on(link.reopen(Duration::ZERO)).expect("it is plugged in");
        let mut conversation = match block_on(Conversation::open(link)) {
            Ok(conversation) => conversation,
            Err((back, _)) => {
                link = back;
                continue;
            }
        };
        let result: Result<Device, UpdateError> = block_on(async {
            let device = Device::read(&mut conversation).await?;
            if device
                .running
                .is_some_and(|image| image.digest == new().digest())
            {
                let digest = new().digest();
                conversation.tell(CommonRequest::Confirm { digest }).await?;
                return Ok(Device::read(&mut conversation).await?);
            }
            update(&mut conversation, &device, new(), |_| {}).await
        });
        link = conversation.into_link();
        if result.is_ok() {
            return (link, true);
        }
    }
    (link, false)
}

#[track_caller]
fn runs_the_new_image(logger: Logger) {
    let (_, device) = connect(logger);
    assert_eq!(
        device.running.map(|image| image.digest),
        Some(new().digest())
    );
}

#[test]
fn a_byte_in_ten_thousand_may_be_hit() {
    for seed in 1..=20 {
        for logger in boards(old()) {
            let link = Noisy::new(logger, 10_000, seed);
            let (link, done) = update_over(link, 20);
            assert!(done, "seed {seed}: it never came to its end");
            runs_the_new_image(link.logger);
        }
    }
}

#[test]
fn worse_links_end_in_an_error_and_do_no_harm() {
    for (rate, seed) in [1_000, 300, 100]
        .into_iter()
        .flat_map(|rate| (1..=20).map(move |seed| (rate, seed)))
    {
        for logger in boards(old()) {
            let link = Noisy::new(logger, rate, seed);
            let (link, _) = update_over(link, 3);
            // Over a good cable it then goes to its end, whatever came before.
            let clean = Noisy::new(link.logger, 0, 1);
            let (link, done) = update_over(clean, 1);
            assert!(done, "one byte in {rate}, seed {seed}: harm was done");
            runs_the_new_image(link.logger);
        }
    }
}

#[test]
fn the_plug_may_be_pulled_at_every_message() {
    for board in 0..boards(old()).len() {
        pull_the_plug_at_every_message(|| boards(old()).into_iter().nth(board).expect("a board"));
    }
}

fn pull_the_plug_at_every_message(logger: impl Fn() -> Logger) {
    let mut message = 0;
    loop {
        let mut link = Noisy::new(logger(), 0, 1);
        block_on(link.reopen(Duration::ZERO)).unwrap();
        let mut conversation = block_on(Conversation::open(link))
            .map_err(|(_, error)| error)
            .unwrap();
        let device = block_on(Device::read(&mut conversation)).unwrap();
        conversation.link().until_unplugged = Some(message);
        let mut begun_at = Vec::new();
        let result = block_on(update(&mut conversation, &device, new(), |step| {
            if let Progress::Sending { kept, .. } = step {
                begun_at.push(kept);
            }
        }));
        if conversation.link().until_unplugged.is_some() {
            result.unwrap();
            break;
        }
        match result {
            Ok(_) => assert!(begun_at.is_sorted(), "message {message}: bytes were lost"),
            // Between the restart and the confirmation the page asks for the logger.
            Err(UpdateError::Talk(TalkError::Link(LinkError::Lost))) => {}
            Err(error) => panic!("message {message}: {error}"),
        }
        let (link, done) = update_over(conversation.into_link(), 2);
        assert!(done, "message {message}");
        runs_the_new_image(link.logger);
        message += 1;
    }
    assert!(message > 30, "{message} messages");
}

/// A request that a well-meaning or ill-meaning computer may send.
fn any_request(
    random: &mut Random,
    file: &FirmwareFile,
    data: &[u8],
) -> Message<CommonRequest<'static>, LoggerRequest<'static>> {
    let digest = if random.below(2) == 0 {
        file.digest()
    } else {
        Digest([random.next() as u8; 32])
    };
    let number = match random.below(4) {
        0 => random.below(5) as u32 * MAX_DATA as u32,
        1 => file.image().len() as u32,
        2 => random.below(40_000) as u32,
        _ => random.next() as u32,
    };
    let length = random.below(data.len() as u64 + 1) as usize;
    let data: &'static [u8] = data[..length].to_vec().leak();
    Message::Common(match random.below(9) {
        0 => CommonRequest::Hello {
            oldest: random.next() as u8,
            newest: random.next() as u8,
        },
        1 => CommonRequest::BeginUpload {
            digest,
            length: number,
        },
        2..=4 => CommonRequest::UploadData {
            offset: number,
            data,
        },
        5 => CommonRequest::FinishUpload,
        6 => CommonRequest::AbortUpload,
        7 => CommonRequest::Confirm { digest },
        _ => return Message::Logger(LoggerRequest::DescribeSetting { index: 0 }),
    })
}

#[test]
fn a_million_frames_of_all_kinds_do_no_harm() {
    // A small image: it is hashed each time that somebody confirms it.
    for mut logger in boards(&image(1, 2_000, 1)) {
        block_on(logger.reopen(Duration::ZERO)).unwrap();
        send_a_million_frames(logger);
    }
}

#[test]
fn a_million_frames_to_a_bootloader_that_writes_flash_itself_do_no_harm() {
    let [_, logger] = boards(&image(1, 2_000, 1));
    let (mut conversation, _) = connect(logger);
    block_on(async {
        conversation.tell(CommonRequest::Install).await.unwrap();
        conversation.tell(CommonRequest::Reboot).await.unwrap();
        conversation.reopen(Duration::ZERO).await.unwrap();
    });
    assert!(!conversation.link().started, "it is in update mode");
    send_a_million_frames(conversation.into_link());
}

fn send_a_million_frames(mut logger: Logger) {
    const FRAMES: u64 = 1_000_000;
    let mut random = Random(7);
    let file = new();
    let flash = logger.memories().flash;
    let hello = Packet {
        sequence: 1,
        message: Message::<_, Never>::Common(CommonRequest::Hello {
            oldest: 1,
            newest: 1,
        }),
    };
    let mut frame = vec![0; max_length(MAX_PACKET) + 64];
    let mut answers = 0;
    for number in 0..FRAMES {
        let length = match random.below(8) {
            // Anything.
            0..=3 => {
                let longest = if random.below(50) == 0 { 1100 } else { 48 };
                let length = random.below(longest) as usize;
                frame[..length].fill_with(|| random.next() as u8);
                frame[length] = 0;
                length + 1
            }
            4 => hello.frame(&mut frame).unwrap(),
            // A request, sometimes with a byte changed.
            kind => {
                let packet = Packet {
                    sequence: number as u16,
                    message: any_request(&mut random, file, &[0x5A; 64]),
                };
                let length = packet.frame(&mut frame).unwrap();
                if kind == 7 {
                    frame[random.below(length as u64) as usize] = random.next() as u8;
                }
                length
            }
        };
        block_on(async {
            logger.send(&frame[..length]).await.unwrap();
            answers += usize::from(!logger.receive(Duration::ZERO).await.unwrap().is_empty());
        });
    }
    assert!(answers as u64 > FRAMES / 2, "{answers} answers");
    assert_eq!(
        logger.memories().flash,
        flash,
        "only an image of the maker is written to flash"
    );
    assert_eq!(logger.losses, 0);
    let (link, done) = update_over(Noisy::new(logger, 0, 1), 1);
    assert!(done, "harm was done");
    runs_the_new_image(link.logger);
}
