//! Every operation of an update and of a rollback is cut, before it, inside it and after it, on a model of the memories;
//! then cut again while it recovers. The emulator does the same with the firmware's binaries, more slowly.

mod model;

use std::sync::OnceLock;
use std::time::Duration;

use futures_executor::block_on;
use host::conversation::{Conversation, TalkError};
use host::device::Device;
use host::firmware_file::FirmwareFile;
use host::link::LinkError;
use host::update::{UpdateError, update};
use model::{Cut, Logger, Memories, Place, Random, connect, image, quiet};
use protocol::device::{Outcome, Phase};
use protocol::message::CommonRequest;

/// Torn outcomes of each operation.
const SEEDS: u64 = 8;
/// Pairs of cuts.
const PAIRS: u64 = 10_000;
/// Large enough for several NAND pages and flash pages, small enough to be hashed thousands of times.
const PAYLOAD: usize = 4_000;

fn old() -> &'static FirmwareFile {
    static OLD: OnceLock<FirmwareFile> = OnceLock::new();
    OLD.get_or_init(|| image(1, PAYLOAD, 1))
}

fn new() -> &'static FirmwareFile {
    static NEW: OnceLock<FirmwareFile> = OnceLock::new();
    NEW.get_or_init(|| image(2, PAYLOAD + 500, 1))
}

/// A factory logger that takes the new image; a page that was there all the time.
fn update_to_new(logger: Logger) -> Logger {
    let (mut conversation, device) = connect(logger);
    match block_on(update(&mut conversation, &device, new(), |_| {})) {
        Ok(_) | Err(UpdateError::NotInstalled { .. }) => {}
        // Power went in the few places where the page gives up and asks for the logger.
        Err(UpdateError::Talk(TalkError::Link(LinkError::Lost) | TalkError::Silent)) => {}
        Err(error) => panic!("{error}"),
    }
    conversation.into_link()
}

/// The new image is staged, never confirmed, and taken back.
fn stage_and_forget(logger: Logger) -> Logger {
    let (mut conversation, _) = connect(logger);
    let file = new();
    let staged: Result<(), TalkError> = block_on(async {
        conversation
            .upload(file.digest(), file.image(), |_| {})
            .await?;
        conversation.tell(CommonRequest::FinishUpload).await?;
        conversation.tell(CommonRequest::Install).await
    });
    if staged.is_ok() {
        for _ in 0..4 {
            let _ = block_on(conversation.tell(CommonRequest::Reboot));
            if block_on(conversation.reopen(Duration::ZERO)).is_err() {
                break;
            }
        }
    }
    conversation.into_link()
}

/// Updated, then sent back to the image before.
fn update_and_go_back(logger: Logger) -> Logger {
    let (mut conversation, _) = connect(update_to_new(logger));
    if block_on(conversation.tell(CommonRequest::GoBack)).is_ok() {
        let _ = block_on(conversation.tell(CommonRequest::Reboot));
        if block_on(conversation.reopen(Duration::ZERO)).is_ok() {
            let digest = old().digest();
            let _ = block_on(conversation.tell(CommonRequest::Confirm { digest }));
        }
    }
    conversation.into_link()
}

type Scenario = fn(Logger) -> Logger;

const SCENARIOS: [(&str, Scenario); 3] = [
    ("update", update_to_new),
    ("rollback", stage_and_forget),
    ("going back", update_and_go_back),
];

fn factory() -> Memories {
    Logger::with(old()).memories()
}

/// The logger after a scenario with these cuts, and how many of them came.
fn run(scenario: Scenario, cuts: &[Cut]) -> (Memories, u64) {
    let mut memories = factory();
    memories.cuts = cuts.to_vec();
    let logger = scenario(Logger::from(memories));
    let mut memories = logger.memories();
    memories.cuts.clear();
    (memories, logger.losses)
}

/// Whether a logger with these memories runs one whole image and takes the next update to its end.
#[track_caller]
fn check(memories: Memories, why: &str) {
    let (mut conversation, device) = connect(Logger::from(memories));
    assert!(conversation.link().started, "{why}: nothing was started");
    let running = device
        .running
        .unwrap_or_else(|| panic!("{why}: it runs no image"));
    let [old, new] = [old(), new()];
    let next = if running.digest == old.digest() {
        new
    } else {
        assert_eq!(running.digest, new.digest(), "{why}");
        old
    };
    confirm(&mut conversation, &device);
    let after = block_on(update(&mut conversation, &device, next, |_| {}))
        .unwrap_or_else(|error| panic!("{why}: the next update: {error}"));
    assert_eq!(
        after.running.map(|image| image.digest),
        Some(next.digest()),
        "{why}"
    );
    assert_eq!(after.phase, Phase::Idle, "{why}");
}

fn confirm(conversation: &mut Conversation<Logger>, device: &Device) {
    if let (Phase::Trial { .. }, Some(running)) = (device.phase, device.running) {
        let digest = running.digest;
        block_on(conversation.tell(CommonRequest::Confirm { digest })).expect("it is confirmed");
    }
}

#[test]
fn without_a_cut_the_new_image_runs_and_the_old_one_is_kept() {
    let (memories, losses) = run(update_to_new, &[]);
    assert_eq!(losses, 0);
    let (_, device) = connect(Logger::from(memories));
    assert_eq!(
        device.running.map(|image| image.digest),
        Some(new().digest())
    );
    assert_eq!(
        device.previous.map(|image| image.digest),
        Some(old().digest())
    );
    assert_eq!(device.outcome, Outcome::Installed(new().version()));
}

#[test]
fn without_a_cut_an_image_that_nobody_confirms_is_taken_back() {
    let (memories, _) = run(stage_and_forget, &[]);
    let (_, device) = connect(Logger::from(memories));
    assert_eq!(
        device.running.map(|image| image.digest),
        Some(old().digest())
    );
    assert_eq!(device.outcome, Outcome::Reverted(new().version()));
}

#[test]
fn every_operation_may_be_cut() {
    quiet();
    for (name, scenario) in SCENARIOS {
        let operations = run(scenario, &[]).0.operations;
        let places = [Place::Before, Place::After]
            .into_iter()
            .chain((0..SEEDS).map(Place::Inside));
        let mut tried = 0;
        for place in places {
            for operation in 0..operations {
                let (memories, losses) = run(scenario, &[Cut { operation, place }]);
                assert_eq!(losses, 1, "{name}: operation {operation} of {operations}");
                check(memories, &format!("{name}: {operation} {place:?}"));
                tried += 1;
            }
        }
        println!("{name}: {operations} operations, {tried} cuts, all recovered");
    }
}

#[test]
fn a_second_cut_may_come_while_it_recovers() {
    quiet();
    let mut random = Random(42);
    let mut twice = 0;
    for (name, scenario) in SCENARIOS {
        let operations = run(scenario, &[]).0.operations;
        for _ in 0..PAIRS / SCENARIOS.len() as u64 {
            let place = |random: &mut Random| match random.below(3) {
                0 => Place::Before,
                1 => Place::After,
                _ => Place::Inside(random.next()),
            };
            let first = Cut {
                operation: random.below(operations),
                place: place(&mut random),
            };
            // Recovery comes right after: mostly near, sometimes far.
            let distance = 1 + if random.below(2) == 0 {
                random.below(12)
            } else {
                random.below(operations)
            };
            let second = Cut {
                operation: first.operation + distance,
                place: place(&mut random),
            };
            let (memories, losses) = run(scenario, &[first, second]);
            twice += u64::from(losses == 2);
            check(memories, &format!("{name}: {first:?}, {second:?}"));
        }
    }
    println!("{PAIRS} pairs, {twice} of them with both cuts");
    assert!(twice > PAIRS / 2);
}
