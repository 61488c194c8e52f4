//! What the whole-system tests share: the built firmware, a logger that runs it, and the link between it and `host`.
//!
//! Everything here is real: the firmware's own binaries on the emulated chip, dealt with by the very code that the page
//! uses. Time is the emulator's.

pub mod bench;
pub mod bridge;
pub mod faults;
pub mod frames;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{env, fs};

use emulator::fault::OperationKind;
use emulator::machine::{Halt, Machine, Options};
use emulator::time::Time;
use futures_executor::block_on;
use host::conversation::{Conversation, TalkError};
use host::csv::Csv;
use host::data::Decoder;
use host::device::Device;
use host::firmware_file::FirmwareFile;
use host::link::{Link, LinkError};
use host::log::{self, Download, Loss};
use host::protocol::frame::Crc32;
use host::protocol::image::Version;
use host::protocol::message::CommonRequest;
use host::update::update;

use bridge::BridgedLink;
use faults::Moment;

/// Offsets in EEPROM of the settings' two copies: see docs/update.md.
pub const SETTINGS: Range<usize> = 0x40..0x440;
/// The same of what the application remembers.
pub const MEMORY: Range<usize> = 0x440..0x540;
/// The NAND's blocks of the log.
const LOG_BLOCKS: Range<u32> = 24..1024;
/// First address of the bootloader: where a factory image begins.
const FLASH: u32 = 0x0800_0000;
/// How long a computer takes to see and set up a port that is there.
const ENUMERATION: Duration = Duration::from_secs(5);
/// Step in which the machine runs while an answer is awaited.
const STEP: Time = Time::from_micros(100);
/// What a page asks for with each transfer, and how many it keeps asking for.
const TRANSFER: usize = 16_384;
const TRANSFERS: usize = 2;
/// Time between two looks at the program counter.
pub const SAMPLE: Time = Time::from_micros(10);

/// A file that `cargo xtask firmware` has built.
pub fn built(name: &str) -> Vec<u8> {
    let folder = env::var_os("LOGDOCK_FIRMWARE").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/firmware")),
        PathBuf::from,
    );
    let path = folder.join(name);
    fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}; build it with `cargo xtask firmware`",
            path.display()
        )
    })
}

/// A firmware file as a person would drop it.
pub fn firmware(name: &str) -> FirmwareFile {
    FirmwareFile::read(name, &built(name)).expect("the build makes whole images")
}

/// Numbers that are the same every time (xorshift64*); the seed is not zero.
pub struct Random(pub u64);

impl Random {
    /// The next one.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `limit`, or 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

/// A logger as it leaves the factory with firmware 1.0.0, switched on and plugged in for the first time.
pub fn factory_logger() -> EmulatedLink {
    factory_logger_with(Options::default())
}

/// The same, of a chip of one's choice.
pub fn factory_logger_with(options: Options) -> EmulatedLink {
    switched_on(Machine::new(options), "factory-1.0.0.bin")
}

/// The same on the board without NAND.
pub fn direct_logger() -> EmulatedLink {
    let mut machine = Machine::new(Options::default());
    machine.nand_mut().set_answers(false);
    switched_on(machine, "factory-direct-1.0.0.bin")
}

/// The same on the board with a USART behind a bridge, which feeds it too.
pub fn bridged_logger() -> BridgedLink {
    let EmulatedLink { machine, .. } =
        switched_on(Machine::new(Options::default()), "factory-usart-1.0.0.bin");
    BridgedLink::new(machine)
}

fn switched_on(mut machine: Machine, factory: &str) -> EmulatedLink {
    machine
        .program_flash(FLASH, &built(factory))
        .expect("the factory image fits");
    machine.usb_mut().attach();
    machine.power_on();
    EmulatedLink::new(machine)
}

/// A logger that was updated to 1.1.0 and confirmed.
pub fn updated_logger() -> EmulatedLink {
    let (mut conversation, device) = connect(factory_logger());
    let file = firmware("logger-1.1.0.bin");
    block_on(update(&mut conversation, &device, &file, |_| {}))
        .unwrap_or_else(|error| panic!("{error}"));
    conversation.into_link()
}

/// The firmware that leaves the factory.
pub const V1_0: Version = version(1, 0);
/// The firmware that it is updated to.
pub const V1_1: Version = version(1, 1);

const fn version(major: u8, minor: u8) -> Version {
    Version {
        major,
        minor,
        revision: 0,
        build: 0,
    }
}

/// The version that a logger says it runs.
pub fn running(device: &Device) -> Option<Version> {
    device.running.map(|running| running.version)
}

/// Stages a file as the page does, but asks nothing of it first.
pub fn stage(conversation: &mut Conversation<EmulatedLink>, name: &str) -> Result<(), TalkError> {
    let file = firmware(name);
    block_on(async {
        conversation
            .upload(file.digest(), file.image(), |_| {})
            .await?;
        conversation.tell(CommonRequest::FinishUpload).await?;
        conversation.tell(CommonRequest::Install).await
    })
}

/// Restarts the logger and waits until it is there again.
pub fn restart<L: Link>(conversation: &mut Conversation<L>) -> Device {
    block_on(async {
        conversation
            .tell(CommonRequest::Reboot)
            .await
            .expect("it restarts");
        conversation
            .reopen(Duration::from_secs(30))
            .await
            .expect("it comes back");
        Device::read(conversation).await.expect("it says who it is")
    })
}

/// Greets the logger once a computer sees it, and asks who it is.
pub fn connect<L: Link>(mut link: L) -> (Conversation<L>, Device) {
    block_on(async {
        link.reopen(ENUMERATION).await.expect("the logger comes up");
        let mut conversation = Conversation::open(link)
            .await
            .map_err(|(_, error)| error)
            .expect("the logger answers");
        let device = Device::read(&mut conversation)
            .await
            .expect("the logger says who it is");
        (conversation, device)
    })
}

/// UTC at the moment a machine was made, in milliseconds since 1970: 2026-11-22T10:00:00Z.
pub const MADE_AT: u64 = 1_795_341_600_000;

/// UTC in the machine's time, in milliseconds since 1970.
pub fn utc(link: &mut EmulatedLink) -> u64 {
    MADE_AT + link.machine.now().millis()
}

/// Everything in a logger's log, and the pieces of it that are lost.
pub fn download(conversation: &mut Conversation<EmulatedLink>) -> (Vec<Vec<u8>>, Vec<Loss>) {
    block_on(async {
        let summary = log::read_summary(conversation)
            .await
            .expect("it says what is in its log");
        let mut download = Download::new(log::whole(&summary));
        let (mut segments, mut lost) = (Vec::new(), Vec::new());
        while !download.is_complete() {
            download
                .step(conversation, |piece| match piece.content {
                    Ok(bytes) => segments.push(bytes),
                    Err(Loss::NeverWritten) => {}
                    Err(loss) => lost.push(loss),
                })
                .await
                .expect("it sends its log");
        }
        (segments, lost)
    })
}

/// Puts a value into EEPROM as another firmware would have: both of its copies (docs/update.md), the second one newer than
/// any that is there.
pub fn keep_in_eeprom(machine: &mut Machine, copies: Range<usize>, value: &[u8]) {
    let copy_size = copies.len() / 2;
    for (sequence, place) in (u32::MAX / 4..).zip(copies.step_by(copy_size)) {
        let mut bytes = [sequence.to_le_bytes(), (value.len() as u32).to_le_bytes()].concat();
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        let mut crc = Crc32::default();
        crc.update(&bytes);
        bytes.extend(crc.finish().to_le_bytes());
        assert!(bytes.len() <= copy_size);
        machine
            .program_eeprom(place, &bytes)
            .expect("it lies in EEPROM");
    }
}

/// A log as CSV.
pub fn csv(log: &[Vec<u8>]) -> String {
    let mut csv = Csv::new();
    let mut out = String::new();
    let mut decoder = Decoder::new();
    for write in [false, true] {
        if write {
            csv.header(&mut out).expect("memory has room");
        }
        decoder = decoder.again();
        for bytes in log {
            let Ok(Some(batch)) = decoder.segment(bytes) else {
                continue;
            };
            if write {
                csv.records(&mut out, &batch, |_| true)
                    .expect("memory has room");
            } else {
                csv.survey(&batch);
            }
        }
    }
    out
}

/// Lets pandas load a CSV file, and a script in Python judge the table `log` that it finds.
///
/// # Panics
/// When there is no pandas, or the script finds fault.
pub fn judge_with_pandas(folder: &str, csv: &str, script: &str) {
    let folder = Path::new(folder);
    fs::create_dir_all(folder).expect("the test's folder can be made");
    let file = folder.join("log.csv");
    fs::write(&file, csv).expect("the test's file can be written");
    let script = format!(
        "import sys\nimport pandas\nlog = pandas.read_csv(sys.argv[1], parse_dates=['utc'])\n{script}"
    );
    let python = env::var_os("LOGDOCK_PYTHON").unwrap_or_else(|| "python3".into());
    let output = Command::new(&python)
        .args(["-c", &script])
        .arg(&file)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The way to an emulated logger: its CDC byte stream, or that of its vendor interface, in the machine's time.
pub struct EmulatedLink {
    /// The logger.
    pub machine: Machine,
    /// It is the vendor interface's.
    over_vendor: bool,
    /// Which time the port was set up: another count is another port.
    opened: u64,
    /// Bytes that may still be sent before the cable is pulled.
    until_unplugged: Option<usize>,
    /// How long the cable then stays pulled, when somebody puts it in again.
    unplugged_for: Option<Duration>,
    /// The moments before operations on memory, when they are recorded.
    moments: Option<Vec<Moment>>,
    /// How often each address was found in the program counter, when that is looked at.
    samples: Option<BTreeMap<u32, u32>>,
}

impl EmulatedLink {
    /// The way to a machine that may be off, or not be set up yet.
    pub fn new(machine: Machine) -> Self {
        EmulatedLink {
            machine,
            over_vendor: false,
            opened: 0,
            until_unplugged: None,
            unplugged_for: None,
            moments: None,
            samples: None,
        }
    }

    /// The way to its vendor interface, as a browser without Web Serial goes.
    pub fn over_vendor_interface(self) -> Self {
        EmulatedLink {
            over_vendor: true,
            ..self
        }
    }

    /// Takes what came, and asks for more.
    fn read(&mut self) -> Vec<u8> {
        let usb = self.machine.usb_mut();
        if !self.over_vendor {
            return usb.read();
        }
        let transfers = usb.transfers();
        transfers.iter().for_each(|_| usb.ask_transfer(TRANSFER));
        transfers.concat()
    }

    /// Lets the logger run.
    ///
    /// # Panics
    /// When the firmware does something that the chip does not answer soundly.
    pub fn run(&mut self, time: Duration) {
        self.try_run(time)
            .unwrap_or_else(|halt| panic!("at {:?}: {halt}", self.machine.now()));
    }

    fn try_run(&mut self, time: Duration) -> Result<(), Halt> {
        let end = self.machine.now() + time.into();
        let step = match self {
            EmulatedLink {
                samples: Some(_), ..
            } => SAMPLE,
            EmulatedLink {
                moments: Some(_), ..
            } => STEP,
            _ => time.into(),
        };
        while self.machine.now() < end {
            let before = self.moments.is_some().then(|| self.machine.clone());
            self.machine.run_until(end.min(self.machine.now() + step))?;
            if let Some(samples) = &mut self.samples {
                *samples.entry(self.machine.core().pc()).or_default() += 1;
            }
            if let (Some(moments), Some(machine)) = (&mut self.moments, before) {
                let operations = machine.operations()..self.machine.operations();
                if !operations.is_empty() {
                    moments.push(Moment {
                        machine,
                        operations,
                    });
                }
            }
        }
        Ok(())
    }

    /// The same for whoever holds the other end: a logger that stands still is no panic of the computer's.
    fn turn(&mut self, time: Duration) -> Result<(), LinkError> {
        self.try_run(time)
            .map_err(|halt| LinkError::System(format!("at {:?}: {halt}", self.machine.now())))
    }

    /// Lets a logger that installs run until it has begun to write so many pages of flash, from now on.
    pub fn run_until_flash_is_written(&mut self, pages: usize) {
        self.machine.faults_mut().record();
        let too_few = |machine: &Machine| {
            let operations = machine.faults().recorded().iter();
            let erases = operations.filter(|one| one.kind == OperationKind::FlashPageErase);
            erases.count() < pages
        };
        let written = self.turn_while(Duration::from_secs(10), too_few);
        assert_eq!(written, Ok(true), "it installs");
    }

    /// Keeps the moments before operations on memory from now on.
    pub fn record(&mut self) {
        self.moments = Some(Vec::new());
    }

    /// The moments kept so far.
    pub fn take_moments(&mut self) -> Vec<Moment> {
        self.moments.take().unwrap_or_default()
    }

    /// Looks at the program counter from now on.
    pub fn sample(&mut self) {
        self.samples = Some(BTreeMap::new());
    }

    /// How often each address was found in it.
    pub fn take_samples(&mut self) -> BTreeMap<u32, u32> {
        self.samples.take().unwrap_or_default()
    }

    /// Takes the port that is there now for the one to talk to.
    pub fn adopt(&mut self) {
        self.opened = self.machine.usb().configurations();
    }

    /// Pulls the cable once that many bytes have been sent.
    pub fn unplug_after_sending(&mut self, bytes: usize) {
        self.until_unplugged = Some(bytes);
    }

    /// Puts the cable in again that long after it was pulled, when somebody waits for it.
    pub fn plug_in_again_after(&mut self, time: Duration) {
        self.unplugged_for = Some(time);
    }

    /// Whether the cable was pulled as planned.
    pub fn was_unplugged(&self) -> bool {
        self.until_unplugged.is_none()
    }

    fn is_open(&self) -> bool {
        let usb = self.machine.usb();
        usb.is_configured() && usb.configurations() == self.opened
    }

    fn check(&self) -> Result<(), LinkError> {
        if self.is_open() {
            Ok(())
        } else {
            Err(LinkError::Lost)
        }
    }

    fn turn_while(
        &mut self,
        timeout: Duration,
        condition: impl Fn(&Machine) -> bool,
    ) -> Result<bool, LinkError> {
        let end = self.machine.now() + timeout.into();
        while condition(&self.machine) {
            if self.machine.now() >= end {
                return Ok(false);
            }
            self.turn(STEP.into())?;
        }
        Ok(true)
    }
}

impl Link for EmulatedLink {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.check()?;
        let usb = self.machine.usb_mut();
        if self.over_vendor {
            usb.send_transfer(bytes);
        } else {
            usb.write(bytes);
        }
        if let Some(left) = &mut self.until_unplugged {
            *left = left.saturating_sub(bytes.len());
            if *left == 0 {
                self.until_unplugged = None;
                self.turn(Duration::from_millis(5))?;
                self.machine.usb_mut().detach();
            }
        }
        Ok(())
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let end = self.machine.now() + timeout.into();
        loop {
            let bytes = self.read();
            if !bytes.is_empty() {
                return Ok(bytes);
            }
            self.check()?;
            if self.machine.now() >= end {
                return Ok(Vec::new());
            }
            self.turn(STEP.into())?;
        }
    }

    async fn reopen(&mut self, timeout: Duration) -> Result<(), LinkError> {
        if !self.machine.usb().is_attached()
            && let Some(time) = self.unplugged_for.take()
        {
            self.turn(time)?;
            self.machine.usb_mut().attach();
        }
        // A restart that was announced takes a moment to be seen.
        let opened = self.opened;
        if self.is_open() {
            self.turn_while(Duration::from_secs(2), |machine| {
                machine.usb().is_configured() && machine.usb().configurations() == opened
            })?;
        }
        if !self.turn_while(timeout, |machine| !machine.usb().is_configured())? {
            return Err(LinkError::NotBack);
        }
        self.opened = self.machine.usb().configurations();
        let usb = self.machine.usb_mut();
        usb.read();
        if self.over_vendor {
            usb.cancel_transfers();
            (0..TRANSFERS).for_each(|_| usb.ask_transfer(TRANSFER));
        }
        Ok(())
    }

    async fn sleep(&mut self, time: Duration) {
        // A logger that stands still is noticed by whoever talks to it next.
        let _ = self.try_run(time);
    }
}
