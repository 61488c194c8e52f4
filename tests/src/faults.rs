//! Power cuts: every operation on flash, EEPROM, option bytes and NAND in a scenario is cut before it, inside it and
//! after it; then the logger must come up with one whole image, all its settings and every record that was written, go on
//! recording, and take the next update to its end.
//!
//! What outlives a cut is what the memories hold, and the machine is deterministic. So each state of the memories is
//! proven once, however many cuts lead to it, by a machine that has nothing but these memories. It must never take two
//! states for one that differ in anything a logger could see.
//!
//! There is one exception, the next update of a logger at rest. No two of them have the same log, nor have they been
//! started equally often. Both are the application's business alone: the update engine reads neither, as its own tests
//! make sure (`firmware/update/tests/model`), and the application has just been seen to start with this very log.
//! So loggers at rest that differ in nothing else are updated once.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hasher;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use emulator::fault::{CutPoint, Place};
use emulator::machine::{Halt, Machine, Options};
use emulator::nand::{Nand, PAGES_PER_BLOCK};
use emulator::time::Time;
use futures_executor::block_on;
use host::conversation::Conversation;
use host::data::Decoder;
use host::device::Device;
use host::firmware_file::FirmwareFile;
use host::link::Link;
use host::log::{self, Download, Loss};
use host::protocol::device::{Outcome, Phase, Program};
use host::protocol::message::CommonRequest;
use host::protocol::record::{SEGMENT, Segment};
use host::protocol::settings::SettingId;
use host::settings::{self, Value};
use host::update::update;
use sha2::{Digest as _, Sha256};

use crate::{
    EmulatedLink, LOG_BLOCKS, MEMORY, V1_0, V1_1, connect, factory_logger, firmware, restart,
    running, stage, updated_logger,
};

/// How long a logger may take to be there again: the longest is keeping the old image, installing, and putting it back.
const COMING_BACK: Duration = Duration::from_secs(30);
/// Numbers of segments that belong to a block of the log, and how many of them are left when recording is looked at.
const BLOCK_SEGMENTS: u32 = 255;
const LEFT_OF_BLOCK: u32 = 14;
/// Blocks of the log of a logger that is seen to begin with the first one again.
const GOOD_BLOCKS: u32 = 3;
/// Settings: tenths of a second from one record to the next, and records of a segment.
const INTERVAL: SettingId = SettingId(2);
const SAVE_RECORDS: SettingId = SettingId(12);
/// How long recording is looked at: until the next block is in use.
const RECORDING: Duration = Duration::from_secs(5);
/// How long a logger that records ten times a second, three records a segment, may take to write the next one.
const NEXT_SEGMENT: Duration = Duration::from_millis(700);
/// Longer than any operation on memory.
const ONE_OPERATION: Duration = Duration::from_millis(15);
/// First byte of the application's slot in flash, and its address.
const SLOT: usize = 0x7000;
pub(crate) const APPLICATION: u32 = 0x0800_7000;
/// The name that a logger has from the factory, the one it has before a scenario, and the one it may have after.
const FACTORY_NAME: &str = "Logger";
const OLD_NAME: &str = "Before";
const NEW_NAME: &str = "After";

/// Something a logger does that changes its memories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// The very first power-on, which write-protects the bootloader.
    FirstStart,
    /// From the factory image to 1.1.0, confirmed.
    Update,
    /// 1.1.0 is never confirmed and the old image is put back.
    Rollback,
    /// The bootloader itself takes an image, when there is no application.
    Reinstall,
    /// A setting is written.
    Settings,
    /// Records are written, and a block of the log comes into use.
    Recording,
    /// The same, and the block holds the oldest records.
    WrapAround,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Scenario; 7] = [
        Scenario::FirstStart,
        Scenario::Update,
        Scenario::Rollback,
        Scenario::Reinstall,
        Scenario::Settings,
        Scenario::Recording,
        Scenario::WrapAround,
    ];

    /// As it is printed and typed.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::FirstStart => "first-start",
            Scenario::Update => "update",
            Scenario::Rollback => "rollback",
            Scenario::Reinstall => "reinstall",
            Scenario::Settings => "settings",
            Scenario::Recording => "recording",
            Scenario::WrapAround => "wrap-around",
        }
    }

    fn start(self) -> EmulatedLink {
        let link = match self {
            Scenario::FirstStart => return factory_logger(),
            Scenario::Update | Scenario::Rollback | Scenario::Reinstall => factory_logger(),
            Scenario::Settings | Scenario::Recording => updated_logger(),
            Scenario::WrapAround => logger_with_little_memory(),
        };
        let (mut conversation, _) = connect(link);
        rename(&mut conversation, OLD_NAME);
        match self {
            Scenario::Recording => nearly_fill_blocks(&mut conversation, 1),
            Scenario::WrapAround => nearly_fill_blocks(&mut conversation, GOOD_BLOCKS),
            _ => {}
        }
        let mut link = conversation.into_link();
        if self == Scenario::Reinstall {
            link.machine.power_off();
            link.machine
                .program_flash(APPLICATION, &[0; 128])
                .expect("the header is in flash");
            link.machine.power_on();
        }
        link
    }

    fn act(self, conversation: &mut Conversation<EmulatedLink>, device: &Device) {
        let file = firmware("logger-1.1.0.bin");
        match self {
            Scenario::FirstStart => assert_eq!(running(device), Some(V1_0)),
            Scenario::Update | Scenario::Reinstall => {
                let after = block_on(update(conversation, device, &file, |_| {}))
                    .unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(running(&after), Some(V1_1));
            }
            Scenario::Rollback => {
                stage(conversation, "logger-1.1.0.bin").expect("it is staged");
                let outcomes = [(); 4].map(|()| restart(conversation).outcome);
                assert_eq!(outcomes[3], Outcome::Reverted(V1_1));
            }
            Scenario::Settings => rename(conversation, NEW_NAME),
            Scenario::Recording | Scenario::WrapAround => {
                let before = next_segment(conversation);
                conversation.link().run(RECORDING);
                let after = next_segment(conversation);
                assert_eq!(after / BLOCK_SEGMENTS, before / BLOCK_SEGMENTS + 1);
            }
        }
    }

    /// Runs it once without a cut and keeps the moments before each operation.
    pub fn record(self) -> Vec<Moment> {
        let mut link = self.start();
        link.record();
        let (mut conversation, device) = connect(link);
        self.act(&mut conversation, &device);
        conversation.into_link().take_moments()
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Scenario::FirstStart => &[FACTORY_NAME],
            Scenario::Settings => &[OLD_NAME, NEW_NAME],
            Scenario::Update
            | Scenario::Rollback
            | Scenario::Reinstall
            | Scenario::Recording
            | Scenario::WrapAround => &[OLD_NAME],
        }
    }

    /// Whether a logger may be so after a cut in this scenario.
    ///
    /// Only where there was no application before, the bootloader may still be waiting for one.
    fn accepts(self, recovery: &Recovery, written: &Written) -> Result<(), String> {
        match &recovery.runs {
            Some(name) => self.accepts_name(name)?,
            None if self == Scenario::Reinstall => {}
            None => return Err("it runs no image".into()),
        }
        if let Some(log) = &recovery.log {
            // The turn of the first block has come, be it emptied yet or not.
            let oldest = match self {
                Scenario::WrapAround => BLOCK_SEGMENTS,
                _ => 0,
            };
            written.is_in(log, oldest)?;
        }
        self.accepts_name(&recovery.name_after)
    }

    fn accepts_name(self, name: &str) -> Result<(), String> {
        match self.names().contains(&name) {
            true => Ok(()),
            false => Err(format!("settings were lost: its name is {name:?}")),
        }
    }
}

/// Segments of a log, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written(BTreeMap<u32, State>);

impl Written {
    /// Those that lie whole in the NAND, whatever its ECC makes of them.
    pub fn of(machine: &Machine) -> Written {
        let mut written = Written::default();
        for (page, data) in machine.nand().contents() {
            if LOG_BLOCKS.contains(&(u32::from(page) / PAGES_PER_BLOCK as u32)) {
                for sector in data.chunks_exact(SEGMENT) {
                    written.insert(sector);
                }
            }
        }
        written
    }

    /// Those here that are not there.
    pub fn without(mut self, there: &Written) -> Written {
        self.0.retain(|number, _| !there.0.contains_key(number));
        self
    }

    /// Whether those from number `oldest` on are in a log.
    fn is_in(&self, log: &Written, oldest: u32) -> Result<(), String> {
        let lost = self
            .0
            .range(oldest..)
            .find(|(number, segment)| log.0.get(number) != Some(segment));
        lost.map_or(Ok(()), |(number, _)| {
            Err(format!("segment {number} of the log was lost"))
        })
    }

    fn insert(&mut self, bytes: &[u8]) {
        if let Some(segment) = Segment::parse(bytes) {
            let digest = Sha256::digest(&bytes[..segment.length()]);
            self.0.insert(segment.header.sequence, State(digest.into()));
        }
    }
}

/// The logger shortly before operations on its memories.
#[derive(Clone)]
pub struct Moment {
    /// A snapshot.
    pub machine: Machine,
    /// Numbers of the operations that come within the next step.
    pub operations: core::ops::Range<u64>,
}

impl Moment {
    /// The logger as it is after a cut of one of these operations: off.
    pub fn cut(&self, point: CutPoint) -> Result<Machine, String> {
        let mut machine = self.machine.clone();
        machine.cut_at(point);
        match machine.run_for(Time::from_millis(200)) {
            Err(Halt::PowerLost) => Ok(machine),
            Err(halt) => Err(format!("before the cut: {halt}")),
            Ok(()) => Err("the cut never came".into()),
        }
    }
}

/// All places of a cut: before, inside with `seeds` different outcomes, and after.
pub fn places(seeds: u64) -> impl Iterator<Item = Place> {
    [Place::Before, Place::After]
        .into_iter()
        .chain((0..seeds).map(|seed| Place::Inside { seed }))
}

/// SHA-256 of everything that a loss of power leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State([u8; 32]);

impl State {
    /// That of a machine that is off.
    pub fn of(machine: &Machine) -> State {
        let mut hasher = Sha(Sha256::new());
        machine.hash_memories(&mut hasher);
        State(hasher.0.finalize().into())
    }

    /// Decides what is left to chance from here on: what RAM holds at power-on, how torn pages read.
    fn seed(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

struct Sha(Sha256);

impl Hasher for Sha {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        State(self.0.clone().finalize().into()).seed()
    }
}

/// How a logger recovered.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// Operations on its memories until it was there again and confirmed.
    pub operations: u64,
    /// Its name, when it runs one of the two images, whole; nothing when the bootloader waits for one.
    runs: Option<String>,
    /// What is in its log, when its application runs.
    log: Option<Written>,
    /// Its name when it has taken the next update.
    name_after: String,
}

/// Proves states, each of them once; shared by threads.
#[derive(Default)]
pub struct Prover {
    /// From a state to a logger at rest, and what comes of that.
    recoveries: Memo<Recovery>,
    /// From a logger at rest to the end of the next update: its name then.
    updates: Memo<String>,
}

impl Prover {
    /// How a logger with the memories of this one recovers: it comes up, is confirmed if it is on trial, has in its log
    /// what was `written`, loses power once more, and takes an update to the other image to its end. One that records many
    /// times a second is seen to go on with that, and to come up with all that once more. Otherwise what is wrong.
    pub fn recovery(
        &self,
        machine: &Machine,
        scenario: Scenario,
        written: &Written,
    ) -> Result<Recovery, String> {
        let state = State::of(machine);
        let recovery = self.recoveries.get(state, || {
            let link = revive(machine, state);
            let first = link.machine.operations();
            let (mut link, rest) = block_on(come_to_rest(link))?;
            let operations = link.machine.operations() - first;
            // Its settings are part of the state: it is the same for all that lead here.
            if matches!(scenario, Scenario::Recording | Scenario::WrapAround) {
                link = block_on(goes_on_recording(link))?;
            }
            link.machine.power_off();
            let name_after = self.updates.get(at_rest(&link.machine), || {
                let link = revive(&link.machine, State::of(&link.machine));
                block_on(take_an_update(link))
            })?;
            let (runs, log) = rest.unzip();
            Ok(Recovery {
                operations,
                runs,
                log,
                name_after,
            })
        })?;
        scenario.accepts(&recovery, written)?;
        Ok(recovery)
    }

    /// The moments before each operation of a recovery: where it can be cut again.
    pub fn moments(&self, machine: &Machine) -> Result<Vec<Moment>, String> {
        let mut link = revive(machine, State::of(machine));
        link.record();
        let (mut link, _) = block_on(come_to_rest(link))?;
        Ok(link.take_moments())
    }

    /// Different states that were proven.
    pub fn states(&self) -> usize {
        self.recoveries.len()
    }

    /// Different states of loggers at rest that were updated.
    pub fn states_at_rest(&self) -> usize {
        self.updates.len()
    }
}

/// The state of a logger at rest, as far as it matters to its next update: all of it but the log, and what the application
/// remembers of its own life.
fn at_rest(machine: &Machine) -> State {
    let mut hasher = Sha(Sha256::new());
    let blocks = LOG_BLOCKS.start as usize..LOG_BLOCKS.end as usize;
    machine.hash_memories_without(MEMORY, blocks, &mut hasher);
    State(hasher.0.finalize().into())
}

/// What was found out for a state, by whoever asked first.
type Finding<T> = Arc<OnceLock<Result<T, String>>>;

struct Memo<T>(Mutex<HashMap<State, Finding<T>>>);

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Memo(Mutex::default())
    }
}

impl<T: Clone> Memo<T> {
    fn get(&self, state: State, find: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
        let finding = {
            let mut findings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            findings.entry(state).or_default().clone()
        };
        finding.get_or_init(find).clone()
    }

    fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A logger with these memories, switched on and plugged in.
fn revive(machine: &Machine, state: State) -> EmulatedLink {
    let options = Options {
        seed: state.seed(),
        ..Options::default()
    };
    let mut machine = Machine::with_memories(options, machine);
    machine.usb_mut().attach();
    machine.power_on();
    EmulatedLink::new(machine)
}

/// Waits until the logger is there, and confirms an image on trial. Name and log of one that runs an image.
async fn come_to_rest(
    link: EmulatedLink,
) -> Result<(EmulatedLink, Option<(String, Written)>), String> {
    let (mut conversation, device) = open(link).await?;
    let rest = match image_of(&mut conversation, &device)? {
        None => None,
        Some((running, _)) => {
            if matches!(device.phase, Phase::Trial { .. }) {
                let digest = running.digest();
                conversation
                    .tell(CommonRequest::Confirm { digest })
                    .await
                    .map_err(|error| format!("confirmation: {error}"))?;
            }
            let name = name(&mut conversation).await?;
            Some((name, read_log(&mut conversation).await?))
        }
    };
    Ok((conversation.into_link(), rest))
}

/// Sees a logger write more to its log, and have that too after another loss of power.
async fn goes_on_recording(mut link: EmulatedLink) -> Result<EmulatedLink, String> {
    let before = Written::of(&link.machine);
    link.sleep(NEXT_SEGMENT).await;
    // What is just being written may be torn.
    let mut operations = None;
    while operations != Some(link.machine.operations()) {
        operations = Some(link.machine.operations());
        link.sleep(ONE_OPERATION).await;
    }
    let more = Written::of(&link.machine).without(&before);
    if more.0.is_empty() {
        return Err("it does not go on recording".into());
    }
    link.machine.power_off();
    let (mut conversation, _) = open(revive(&link.machine, State::of(&link.machine))).await?;
    more.is_in(&read_log(&mut conversation).await?, 0)?;
    Ok(conversation.into_link())
}

/// Reads the whole log. Nothing must be missing in it but what a cut has torn, and it must be in order.
async fn read_log(conversation: &mut Conversation<EmulatedLink>) -> Result<Written, String> {
    let summary = log::read_summary(conversation)
        .await
        .map_err(|error| format!("summary: {error}"))?;
    let mut written = Written::default();
    let mut decoder = Decoder::new();
    let mut damaged = None;
    let mut download = Download::new(log::whole(&summary));
    while !download.is_complete() {
        let step = download.step(conversation, |piece| match piece.content {
            Ok(bytes) => {
                written.insert(&bytes);
                if decoder.segment(&bytes).is_err() {
                    damaged = Some(piece.sequence);
                }
            }
            // Torn: what was written for sure is asked for by its number.
            Err(Loss::NeverWritten | Loss::Unreadable) => {}
            Err(Loss::Gone) => damaged = Some(piece.sequence),
        });
        step.await.map_err(|error| format!("its log: {error}"))?;
    }
    let seen = decoder.verification();
    match damaged {
        Some(number) => Err(format!("segment {number} of the log is damaged")),
        None if seen.out_of_order > 0 || !seen.missing_records.is_empty() => {
            Err(format!("its log is not whole: {seen:?}"))
        }
        None => Ok(written),
    }
}

/// Updates a logger to the image that it does not run. Its name afterwards.
async fn take_an_update(link: EmulatedLink) -> Result<String, String> {
    let (mut conversation, device) = open(link).await?;
    let other = match image_of(&mut conversation, &device)? {
        None => firmware("logger-1.1.0.bin"),
        Some((_, other)) => other,
    };
    let after = update(&mut conversation, &device, &other, |_| {})
        .await
        .map_err(|error| format!("the next update: {error}"))?;
    match image_of(&mut conversation, &after)? {
        Some((running, _)) if running.digest() == other.digest() && after.phase == Phase::Idle => {}
        _ => return Err(format!("after the next update it runs {:?}", after.running)),
    }
    name(&mut conversation).await
}

async fn open(mut link: EmulatedLink) -> Result<(Conversation<EmulatedLink>, Device), String> {
    link.reopen(COMING_BACK)
        .await
        .map_err(|error| format!("it does not come up: {error}"))?;
    let mut conversation = Conversation::open(link)
        .await
        .map_err(|(_, error)| format!("hello: {error}"))?;
    let device = Device::read(&mut conversation)
        .await
        .map_err(|error| format!("device info: {error}"))?;
    Ok((conversation, device))
}

/// The image that runs, which flash must hold whole, and the other one; nothing when the bootloader waits for one.
fn image_of(
    conversation: &mut Conversation<EmulatedLink>,
    device: &Device,
) -> Result<Option<(FirmwareFile, FirmwareFile)>, String> {
    if conversation.hello().program == Program::Bootloader {
        return match device.running {
            None => Ok(None),
            Some(image) => Err(format!("it does not start {}", image.version)),
        };
    }
    let Some(image) = device.running else {
        return Err("what it runs is not whole".into());
    };
    let flash = &conversation.link().machine.flash()[SLOT..];
    let [old, new] = ["logger-1.0.0.bin", "logger-1.1.0.bin"].map(firmware);
    let (running, other) = match image.digest == old.digest() {
        true => (old, new),
        false => (new, old),
    };
    match image.digest == running.digest() && flash.starts_with(running.image()) {
        true => Ok(Some((running, other))),
        false => Err(format!("it runs {} {}", image.version, image.digest)),
    }
}

/// A logger whose memory has few good blocks for its log: its last, for that is where they are found soonest.
fn logger_with_little_memory() -> EmulatedLink {
    let mut link = factory_logger();
    link.machine.power_off();
    let bad: Vec<u16> = (LOG_BLOCKS.start..LOG_BLOCKS.end - GOOD_BLOCKS)
        .map(|block| block as u16)
        .collect();
    *link.machine.nand_mut() = Nand::with_bad_blocks(&bad);
    link.machine.power_on();
    link
}

/// Lets a logger record until its log has few places left in so many blocks, and then set about recording ten times a
/// second, three records a segment.
fn nearly_fill_blocks(conversation: &mut Conversation<EmulatedLink>, blocks: u32) {
    let set = |conversation: &mut _, changes: &[_]| {
        block_on(settings::write(conversation, changes)).expect("it is set up");
    };
    set(
        conversation,
        &[
            (INTERVAL, Value::Number(1)),
            (SAVE_RECORDS, Value::Number(1)),
        ],
    );
    loop {
        let left = blocks * BLOCK_SEGMENTS - next_segment(conversation);
        if left <= LEFT_OF_BLOCK {
            break;
        }
        let time = Duration::from_millis(100) * (left - LEFT_OF_BLOCK);
        conversation.link().run(time);
    }
    set(conversation, &[(SAVE_RECORDS, Value::Number(3))]);
}

fn next_segment(conversation: &mut Conversation<EmulatedLink>) -> u32 {
    block_on(log::read_summary(conversation))
        .expect("it says what is in its log")
        .next
}

fn rename(conversation: &mut Conversation<EmulatedLink>, name: &str) {
    block_on(async {
        let settings = settings::read(conversation).await.expect("settings");
        let setting = settings
            .iter()
            .find(|setting| setting.name == "Name")
            .expect("a logger has a name");
        settings::write(conversation, &[(setting.id, Value::Text(name.into()))])
            .await
            .expect("the name is written");
    });
}

async fn name(conversation: &mut Conversation<EmulatedLink>) -> Result<String, String> {
    let settings = settings::read(conversation)
        .await
        .map_err(|error| format!("settings: {error}"))?;
    let name = settings.into_iter().find(|setting| setting.name == "Name");
    match name.map(|setting| setting.value) {
        Some(Value::Text(name)) => Ok(name),
        other => Err(format!("settings were lost: its name is {other:?}")),
    }
}
