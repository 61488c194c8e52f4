//! Boards without NAND: the bootloader writes flash straight from the computer. Every operation is cut, before it,
//! inside it and after it, then cut again while it goes on; and nothing but the maker's firmware costs the one that runs.

mod model;

use std::sync::OnceLock;
use std::time::Duration;

use futures_executor::block_on;
use host::check::Objection;
use host::conversation::{Conversation, TalkError};
use host::device::Device;
use host::firmware_file::FirmwareFile;
use host::link::LinkError;
use host::update::{Progress, UpdateError, update};
use model::{Cut, Logger, Memories, Place, Random, connect, image, quiet};
use protocol::device::{Outcome, Phase, Program};
use protocol::image::{HEADER_SIZE, ImageError};
use protocol::message::{CommonRequest, CommonResponse, Refusal};

/// Torn outcomes of each operation.
const SEEDS: u64 = 8;
/// Pairs of cuts.
const PAIRS: u64 = 10_000;
/// Large enough for several chunks and pages, small enough to be hashed thousands of times.
const PAYLOAD: usize = 4_000;
/// Header and vectors: the part that is looked at first.
const BEGINNING: usize = HEADER_SIZE as usize + 8;

fn old() -> &'static FirmwareFile {
    static OLD: OnceLock<FirmwareFile> = OnceLock::new();
    OLD.get_or_init(|| image(1, PAYLOAD, 1))
}

fn new() -> &'static FirmwareFile {
    static NEW: OnceLock<FirmwareFile> = OnceLock::new();
    NEW.get_or_init(|| image(2, PAYLOAD + 500, 1))
}

fn factory() -> Memories {
    Logger::with(old()).memories()
}

/// Factory loggers of both geometries, by name: an STM32L0, and an STM32F0 with large pages that erase to 0xFF.
fn factories() -> [(&'static str, Memories); 2] {
    [("L0", factory()), ("F0", factory().on_f0())]
}

/// A factory logger, greeted.
fn logger() -> (Conversation<Logger>, Device) {
    connect(Logger::direct(factory()))
}

fn running(device: &Device) -> Option<u8> {
    device.running.map(|running| running.version.major)
}

fn flash(conversation: &mut Conversation<Logger>) -> Vec<u8> {
    conversation.link().memories().flash
}

/// The application hands over to update mode.
fn enter_update_mode(conversation: &mut Conversation<Logger>) {
    block_on(async {
        conversation.tell(CommonRequest::Install).await.unwrap();
        conversation.tell(CommonRequest::Reboot).await.unwrap();
        conversation.reopen(Duration::ZERO).await.unwrap();
    });
    assert_eq!(conversation.hello().program, Program::Bootloader);
}

/// Asks with a request about an upload: the offset that is waited for.
fn ask(
    conversation: &mut Conversation<Logger>,
    request: CommonRequest<'_>,
) -> Result<u32, TalkError> {
    block_on(conversation.ask(request, |response| match response {
        CommonResponse::Received { offset } => Some(offset),
        _ => None,
    }))
}

fn announce(conversation: &mut Conversation<Logger>, file: &FirmwareFile) -> Result<(), TalkError> {
    let trailer = file.header().trailer_offset() as usize;
    block_on(conversation.announce(file.digest(), file.image(), trailer))
}

fn update_to(
    conversation: &mut Conversation<Logger>,
    device: &Device,
    file: &FirmwareFile,
) -> Device {
    block_on(update(conversation, device, file, |_| {})).unwrap_or_else(|error| panic!("{error}"))
}

/// An update as the page does it; it gives up only in the few places where the page asks for the logger.
fn update_to_new(logger: Logger) -> Logger {
    let (mut conversation, device) = connect(logger);
    match block_on(update(&mut conversation, &device, new(), |_| {})) {
        Ok(_) | Err(UpdateError::NotInstalled { .. }) => {}
        Err(UpdateError::Talk(TalkError::Link(LinkError::Lost) | TalkError::Silent)) => {}
        Err(error) => panic!("{error}"),
    }
    conversation.into_link()
}

/// An upload that is given up at the first cut, so that what the cut left is what the check sees.
fn update_once(logger: Logger) -> Logger {
    let (mut conversation, _) = connect(logger);
    let file = new();
    let _: Result<(), TalkError> = block_on(async {
        conversation.tell(CommonRequest::Install).await?;
        conversation.tell(CommonRequest::Reboot).await?;
        conversation.reopen(Duration::ZERO).await?;
        let trailer = file.header().trailer_offset() as usize;
        let announced = conversation.announce(file.digest(), file.image(), trailer);
        announced.await?;
        let uploaded = conversation.upload(file.digest(), file.image(), |_| {});
        uploaded.await?;
        conversation.tell(CommonRequest::FinishUpload).await?;
        conversation.tell(CommonRequest::Reboot).await?;
        conversation.reopen(Duration::ZERO).await
    });
    conversation.into_link()
}

type Scenario = fn(Logger) -> Logger;

const SCENARIOS: [(&str, Scenario); 2] = [("update", update_to_new), ("given up", update_once)];

fn run(mut memories: Memories, scenario: Scenario, cuts: &[Cut]) -> (Memories, u64) {
    memories.cuts = cuts.to_vec();
    let logger = scenario(Logger::direct(memories));
    let mut memories = logger.memories();
    memories.cuts.clear();
    (memories, logger.losses)
}

/// How a logger was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The old firmware runs, as if nothing had been.
    Old,
    /// The new firmware runs.
    New,
    /// Update mode: flash holds no image.
    Waiting,
}

/// Whether a logger with these memories runs one whole image or waits for one, and takes the next update to its end.
#[track_caller]
fn check(memories: Memories, why: &str) -> Found {
    let [old, new] = [old(), new()];
    let (mut conversation, mut device) = connect(Logger::direct(memories));
    // With a whole image it was only asked for, or is the pause between the starts of a trial: it ends by itself.
    if conversation.hello().program == Program::Bootloader && device.running.is_some() {
        let mut logger = conversation.into_link();
        logger.start_over();
        (conversation, device) = connect(logger);
    }
    let (found, next) = match device.running.map(|running| running.digest) {
        None => (Found::Waiting, &new),
        Some(digest) if digest == old.digest() => (Found::Old, &new),
        Some(digest) => {
            assert_eq!(digest, new.digest(), "{why}");
            (Found::New, &old)
        }
    };
    assert_eq!(
        conversation.link().started,
        found != Found::Waiting,
        "{why}"
    );
    match device.phase {
        Phase::Idle => {}
        Phase::Trial { .. } => {
            assert_eq!(found, Found::New, "{why}: the old one was confirmed before");
            let digest = new.digest();
            block_on(conversation.tell(CommonRequest::Confirm { digest })).expect(why);
        }
        phase => assert_eq!((phase, found), (Phase::Installing, Found::Waiting), "{why}"),
    }
    let after = block_on(update(&mut conversation, &device, next, |_| {}))
        .unwrap_or_else(|error| panic!("{why}: the next update: {error}"));
    let running = after.running.map(|image| image.digest);
    assert_eq!(running, Some(next.digest()), "{why}");
    assert_eq!(after.phase, Phase::Idle, "{why}");
    found
}

#[test]
fn an_update_goes_through_update_mode_and_is_confirmed() {
    for (chip, memories) in factories() {
        let (mut conversation, device) = connect(Logger::direct(memories));
        update_is_confirmed(&mut conversation, &device);
        let page_size = if chip == "L0" { 128 } else { 2048 };
        assert_eq!(device.page_size, page_size, "{chip}");
    }
}

fn update_is_confirmed(conversation: &mut Conversation<Logger>, device: &Device) {
    assert!(device.direct);
    let mut steps = Vec::new();
    let file = new();
    let after = block_on(update(conversation, device, file, |step| {
        steps.push(step);
    }))
    .unwrap_or_else(|error| panic!("{error}"));
    let total = file.image().len() as u32;
    assert_eq!(steps.first(), Some(&Progress::Preparing));
    assert!(steps.contains(&Progress::Sending { kept: 0, total }));
    assert!(steps.contains(&Progress::Sending { kept: total, total }));
    assert_eq!(steps.last(), Some(&Progress::Confirming));
    assert_eq!(running(&after), Some(2));
    assert_eq!(after.previous, None);
    assert_eq!(after.staged, None);
    assert_eq!(after.outcome, Outcome::Installed(file.version()));
    assert_eq!(conversation.hello().program, Program::Application);
}

#[test]
fn every_operation_may_be_cut() {
    quiet();
    for ((name, scenario), (chip, memories)) in SCENARIOS
        .into_iter()
        .flat_map(|scenario| factories().map(|factory| (scenario, factory)))
    {
        // An F0 programs two bytes at a time: of its many operations, some of each kind.
        let step = if chip == "L0" { 1 } else { 19 };
        let operations = run(memories.clone(), scenario, &[]).0.operations;
        let places = [Place::Before, Place::After]
            .into_iter()
            .chain((0..SEEDS).map(Place::Inside));
        let mut found = Vec::new();
        for place in places {
            for operation in (0..operations).step_by(step) {
                let (memories, losses) =
                    run(memories.clone(), scenario, &[Cut { operation, place }]);
                assert_eq!(
                    losses, 1,
                    "{chip}, {name}: operation {operation} of {operations}"
                );
                found.push(check(
                    memories,
                    &format!("{chip}, {name}: {operation} {place:?}"),
                ));
            }
        }
        let count = |what| found.iter().filter(|&&found| found == what).count();
        println!(
            "{chip}, {name}: {operations} operations, {} cuts: {} old, {} new, {} in update mode",
            found.len(),
            count(Found::Old),
            count(Found::New),
            count(Found::Waiting)
        );
        assert!(count(Found::New) > 0);
        if name == "given up" {
            assert!(count(Found::Old) > 0 && count(Found::Waiting) > 0);
        }
    }
}

#[test]
fn a_second_cut_may_come_while_it_goes_on() {
    quiet();
    let mut random = Random(42);
    for (chip, memories) in factories() {
        let mut twice = 0;
        let operations = run(memories.clone(), update_to_new, &[]).0.operations;
        for _ in 0..PAIRS / 2 {
            let place = |random: &mut Random| match random.below(3) {
                0 => Place::Before,
                1 => Place::After,
                _ => Place::Inside(random.next()),
            };
            let first = Cut {
                operation: random.below(operations),
                place: place(&mut random),
            };
            let second = Cut {
                operation: first.operation + 1 + random.below(operations / 2),
                place: place(&mut random),
            };
            let (memories, losses) = run(memories.clone(), update_to_new, &[first, second]);
            twice += u64::from(losses == 2);
            check(memories, &format!("{chip}: {first:?}, {second:?}"));
        }
        println!(
            "{chip}: {} pairs, {twice} of them with both cuts",
            PAIRS / 2
        );
        assert!(twice > PAIRS / 4);
    }
}

#[test]
fn update_mode_that_nobody_uses_ends_with_the_same_firmware() {
    let (mut conversation, _) = logger();
    let before = flash(&mut conversation);
    enter_update_mode(&mut conversation);
    let device = block_on(Device::read(&mut conversation)).unwrap();
    assert_eq!(running(&device), Some(1), "nothing is erased yet");
    announce(&mut conversation, new()).unwrap();
    assert_eq!(flash(&mut conversation), before, "not even now");

    let mut logger = conversation.into_link();
    logger.start_over();
    let (mut conversation, device) = connect(logger);
    assert_eq!(conversation.hello().program, Program::Application);
    assert_eq!((running(&device), device.phase), (Some(1), Phase::Idle));
    assert_eq!(flash(&mut conversation), before);
}

#[test]
fn the_application_takes_no_image_itself() {
    let (mut conversation, _) = logger();
    let (digest, length) = (new().digest(), 1000);
    for request in [
        CommonRequest::BeginUpload { digest, length },
        CommonRequest::UploadData {
            offset: 0,
            data: &[0; 1000],
        },
        CommonRequest::FinishUpload,
    ] {
        assert_eq!(
            ask(&mut conversation, request),
            Err(TalkError::Refused(Refusal::UnknownRequest))
        );
    }
}

#[test]
fn what_is_not_for_this_device_changes_nothing() {
    let (mut conversation, device) = logger();
    enter_update_mode(&mut conversation);
    let before = conversation.link().memories();
    let good = new();
    let trailer = good.header().trailer_offset() as usize;
    // Where a byte is changed, in the image as it is announced, and what is said of it.
    let places = [
        (0, ImageError::NotAnImage),
        (8, ImageError::UnsupportedHeader),
        (14, ImageError::TooLarge),
        (0x103, ImageError::BadVectors),
        (trailer, ImageError::BadTrailer),
        // The values of vendor and class, which begin behind info, counter and their own type and length.
        (trailer + 4 + 8 + 4, ImageError::OtherHardware),
        (trailer + 4 + 8 + 20 + 4, ImageError::OtherHardware),
        (good.image().len() - 1, ImageError::BadSignature),
        (good.image().len() - 64 - 4 - 1, ImageError::OtherKey),
        (good.image().len() - 64 - 4 - 36 - 1, ImageError::BadDigest),
    ];
    for (place, error) in places {
        let mut bytes = good.image().to_vec();
        bytes[place] ^= 0x80;
        let refused = block_on(conversation.announce(good.digest(), &bytes, trailer));
        let expected = TalkError::Refused(Refusal::Image(error));
        assert_eq!(refused, Err(expected), "byte {place}");
        // And it goes on with nothing.
        let data = &good.image()[..1024];
        assert_eq!(
            ask(
                &mut conversation,
                CommonRequest::UploadData { offset: 0, data }
            ),
            Err(TalkError::Refused(Refusal::NoUpload)),
            "byte {place}"
        );
    }
    let after = conversation.link().memories();
    assert_eq!(after.operations, before.operations, "nothing was written");
    assert_eq!(after.flash, before.flash);

    let after = update_to(&mut conversation, &device, good);
    assert_eq!(running(&after), Some(2));
}

#[test]
fn an_older_security_counter_is_refused_before_anything_is_erased() {
    let (mut conversation, device) = logger();
    let newer = image(3, PAYLOAD, 5);
    let after = update_to(&mut conversation, &device, &newer);
    assert_eq!(after.target.security_counter, 5);
    let before = flash(&mut conversation);
    let result = block_on(update(&mut conversation, &after, new(), |_| {}));
    let objection = Objection::Image(ImageError::CounterTooLow);
    assert_eq!(result, Err(UpdateError::Objection(objection)));
    // Nor does it help to leave out that question.
    enter_update_mode(&mut conversation);
    assert_eq!(
        announce(&mut conversation, new()),
        Err(TalkError::Refused(Refusal::Image(
            ImageError::CounterTooLow
        )))
    );
    assert_eq!(flash(&mut conversation), before);
}

#[test]
fn another_image_behind_a_good_announcement_is_never_started() {
    let (mut conversation, device) = logger();
    enter_update_mode(&mut conversation);
    let good = new();
    let mut damaged = good.image().to_vec();
    damaged[1000] ^= 1;
    let whole = image(5, PAYLOAD + 500, 1);
    assert_eq!(whole.image().len(), good.image().len());
    for other in [whole.image(), &damaged] {
        announce(&mut conversation, good).unwrap();
        block_on(conversation.upload(good.digest(), other, |_| {})).unwrap();
        assert_eq!(
            block_on(conversation.tell(CommonRequest::FinishUpload)),
            Err(TalkError::Refused(Refusal::Image(ImageError::BadDigest)))
        );
        assert_eq!(
            block_on(conversation.tell(CommonRequest::Install)),
            Err(TalkError::Refused(Refusal::NothingStaged))
        );
    }
    let mut logger = conversation.into_link();
    logger.start_over();
    assert!(!logger.started);
    let (mut conversation, _) = connect(logger);
    let after = update_to(&mut conversation, &device, good);
    assert_eq!(running(&after), Some(2));
}

/// What was announced need not be what came: whatever is found in flash is checked as if nothing had been announced.
#[test]
fn a_whole_image_that_is_too_old_or_not_signed_is_not_started_from_phase_installing() {
    let (mut conversation, device) = logger();
    update_to(&mut conversation, &device, &image(3, PAYLOAD, 5));
    enter_update_mode(&mut conversation);
    let next = image(4, PAYLOAD, 5);
    announce(&mut conversation, &next).unwrap();
    let first = CommonRequest::UploadData {
        offset: 0,
        data: &next.image()[..1024],
    };
    assert_eq!(ask(&mut conversation, first), Ok(1024));
    let memories = conversation.link().memories();
    let mut unsigned = next.image().to_vec();
    *unsigned.last_mut().unwrap() ^= 1;
    for (bytes, program) in [
        (old().image(), Program::Bootloader),
        (&unsigned, Program::Bootloader),
        (next.image(), Program::Application),
    ] {
        let mut memories = memories.clone();
        memories.flash[..bytes.len()].copy_from_slice(bytes);
        let (conversation, device) = connect(Logger::direct(memories));
        assert!(device.running.is_some());
        assert_eq!(conversation.hello().program, program);
    }
}

#[test]
fn pages_that_are_equal_are_not_written_again() {
    let (mut conversation, device) = logger();
    enter_update_mode(&mut conversation);
    let file = new();
    announce(&mut conversation, file).unwrap();
    block_on(conversation.upload(file.digest(), file.image(), |_| {})).unwrap();
    let written = conversation.link().memories().operations;
    let mut logger = conversation.into_link();
    logger.start_over();
    let (mut conversation, _) = connect(logger);
    let after = update_to(&mut conversation, &device, file);
    assert_eq!(running(&after), Some(2));
    // What is left is the header's page, and two saves of the record: on trial, and confirmed.
    let page = 1;
    let save = 8;
    let second = conversation.link().memories().operations - written;
    assert!(second <= page + 3 * save, "{second} operations");
}

#[test]
fn an_upload_goes_on_after_the_cable_was_out() {
    for (_, memories) in factories() {
        goes_on(memories);
    }
}

fn goes_on(memories: Memories) {
    let (mut conversation, device) = connect(Logger::direct(memories));
    enter_update_mode(&mut conversation);
    let file = new();
    announce(&mut conversation, file).unwrap();
    let request = CommonRequest::UploadData {
        offset: 0,
        data: &file.image()[..1024],
    };
    assert_eq!(ask(&mut conversation, request), Ok(1024));
    conversation.link().unplug();
    block_on(conversation.reopen(Duration::ZERO)).unwrap();
    let mut first = None;
    let after = block_on(update(&mut conversation, &device, file, |step| {
        if let Progress::Sending { kept, .. } = step {
            first.get_or_insert(kept);
        }
    }))
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(first, Some(1024));
    assert_eq!(running(&after), Some(2));
}

#[test]
fn parts_in_any_other_order_are_refused() {
    let (mut conversation, _) = logger();
    enter_update_mode(&mut conversation);
    let file = new();
    let trailer = file.header().trailer_offset();
    let begin = CommonRequest::BeginUpload {
        digest: file.digest(),
        length: file.image().len() as u32,
    };
    let part = |offset: u32, length: usize| CommonRequest::UploadData {
        offset,
        data: &file.image()[offset as usize..offset as usize + length],
    };
    let wrong = |expected| Err(TalkError::Refused(Refusal::WrongOffset { expected }));
    let rest = file.image().len() - trailer as usize;
    let operations = conversation.link().memories().operations;
    assert_eq!(
        ask(&mut conversation, part(0, 1024)),
        Err(TalkError::Refused(Refusal::NoUpload))
    );
    assert_eq!(ask(&mut conversation, begin.clone()), Ok(0));
    assert_eq!(ask(&mut conversation, part(trailer, rest)), wrong(0));
    assert_eq!(ask(&mut conversation, part(0, BEGINNING)), Ok(trailer));
    assert_eq!(ask(&mut conversation, part(0, 1024)), wrong(trailer));
    assert_eq!(ask(&mut conversation, part(trailer, rest)), Ok(0));
    assert_eq!(ask(&mut conversation, part(0, 1000)), wrong(0));
    assert_eq!(ask(&mut conversation, part(1024, 1024)), wrong(0));
    assert_eq!(
        block_on(conversation.tell(CommonRequest::FinishUpload)),
        Err(TalkError::Refused(Refusal::WrongOffset { expected: 0 }))
    );
    assert_eq!(conversation.link().memories().operations, operations);
    assert_eq!(ask(&mut conversation, part(0, 1024)), Ok(1024));
    block_on(conversation.tell(CommonRequest::AbortUpload)).unwrap();
    assert_eq!(
        ask(&mut conversation, part(1024, 1024)),
        Err(TalkError::Refused(Refusal::NoUpload))
    );
}

#[test]
fn an_image_that_nobody_confirms_comes_back_to_update_mode_again_and_again() {
    let mut logger = update_once(Logger::direct(factory()));
    assert!(logger.started);
    for _ in 0..3 {
        for _ in 0..2 {
            logger.start_over();
            assert!(logger.started);
        }
        logger.start_over();
        assert!(!logger.started, "a computer gets its chance");
        logger.start_over();
        assert!(logger.started);
    }
    // On trial it does not hand over: unconfirmed, it must not count as confirmed after that.
    let (mut conversation, device) = connect(logger);
    assert!(matches!(device.phase, Phase::Trial { .. }));
    assert_eq!(
        block_on(conversation.tell(CommonRequest::Install)),
        Err(TalkError::Refused(Refusal::TrialUnderWay))
    );
}
