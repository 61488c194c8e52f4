//! The board without NAND: the bootloader writes flash straight from the computer. The binaries that are built for it
//! run on the emulated chip with a NAND that does not answer.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use emulator::fault::{CutPoint, Place};
use emulator::machine::Machine;
use futures_executor::block_on;
use host::check::{Objection, check};
use host::conversation::{Conversation, TalkError};
use host::device::Device;
use host::protocol::device::{Outcome, Phase, Program};
use host::protocol::image::{ImageError, Version};
use host::protocol::message::{CommonRequest, Refusal};
use host::settings::{self, Value};
use host::update::{Progress, UpdateError, update};
use logdock_tests::faults::places;
use logdock_tests::{
    EmulatedLink, V1_0, V1_1, connect, direct_logger, factory_logger, firmware, restart, running,
};

/// Where the application's slot begins in flash.
const SLOT: usize = 28 * 1024;
const OLD: &str = "logger-direct-1.0.0.bin";
const NEW: &str = "logger-direct-1.1.0.bin";
/// The name that a logger has before an update, and must have after.
const NAME: &str = "Without NAND";
/// How long update mode waits for a computer, and the start after it.
const UPDATE_MODE: Duration = Duration::from_secs(65);
/// Torn outcomes of each operation, cuts and second cuts that are tried.
const SEEDS: u64 = 8;
const CUTS: usize = 60;
const SECOND_CUTS: usize = 20;

fn program(conversation: &Conversation<EmulatedLink>) -> Program {
    conversation.hello().program
}

/// What is in the application's slot.
fn slot(conversation: &mut Conversation<EmulatedLink>) -> Vec<u8> {
    conversation.link().machine.flash()[SLOT..].to_vec()
}

/// The application hands over to update mode.
fn enter_update_mode(conversation: &mut Conversation<EmulatedLink>) -> Device {
    block_on(conversation.tell(CommonRequest::Install)).expect("it hands over");
    let device = restart(conversation);
    assert_eq!(program(conversation), Program::Bootloader);
    device
}

fn update_to(
    conversation: &mut Conversation<EmulatedLink>,
    device: &Device,
    name: &str,
) -> Result<Device, UpdateError> {
    block_on(update(conversation, device, &firmware(name), |_| {}))
}

async fn name_of(conversation: &mut Conversation<EmulatedLink>) -> Option<Value> {
    let settings = settings::read(conversation).await.ok()?;
    let name = settings.into_iter().find(|setting| setting.name == "Name");
    name.map(|setting| setting.value)
}

fn give_name(conversation: &mut Conversation<EmulatedLink>) {
    block_on(async {
        let settings = settings::read(conversation).await.expect("settings");
        let setting = settings.iter().find(|setting| setting.name == "Name");
        let id = setting.expect("a logger has a name").id;
        let values = [(id, Value::Text(NAME.into()))];
        settings::write(conversation, &values)
            .await
            .expect("it is written");
    });
}

#[test]
fn it_says_that_it_has_no_store_and_is_updated_through_update_mode() {
    let (mut conversation, device) = connect(direct_logger());
    assert!(device.direct);
    assert_eq!(device.model, "LD-1D");
    assert!(check(&firmware(NEW), &device).unwrap().no_rollback);
    give_name(&mut conversation);

    let start = conversation.link().machine.now();
    let mut steps = Vec::new();
    let after = block_on(update(&mut conversation, &device, &firmware(NEW), |step| {
        steps.push(step);
    }))
    .unwrap_or_else(|error| panic!("{error}"));
    let time = Duration::from(conversation.link().machine.now() - start);
    println!("from the application to the confirmed new one: {time:.2?}");
    assert_eq!(steps.first(), Some(&Progress::Preparing));
    assert_eq!(steps.last(), Some(&Progress::Confirming));
    assert_eq!(program(&conversation), Program::Application);
    assert_eq!(running(&after), Some(V1_1));
    assert_eq!(after.phase, Phase::Idle);
    assert_eq!(after.outcome, Outcome::Installed(V1_1));
    assert_eq!((after.previous, after.staged), (None, None));
    let name = block_on(name_of(&mut conversation));
    assert_eq!(name, Some(Value::Text(NAME.into())));
}

#[test]
fn an_image_for_the_board_with_nand_is_refused_and_the_other_way_round() {
    let objection = Objection::Image(ImageError::OtherHardware);
    let (mut conversation, device) = connect(direct_logger());
    let result = update_to(&mut conversation, &device, "logger-1.1.0.bin");
    assert_eq!(result, Err(UpdateError::Objection(objection.clone())));
    let (mut conversation, device) = connect(factory_logger());
    let result = update_to(&mut conversation, &device, NEW);
    assert_eq!(result, Err(UpdateError::Objection(objection)));
}

#[test]
fn a_forged_image_is_refused_before_a_byte_of_flash_changes() {
    let (mut conversation, device) = connect(direct_logger());
    let before = slot(&mut conversation);
    enter_update_mode(&mut conversation);
    let operations = conversation.link().machine.operations();
    let forged = firmware("logger-direct-1.1.0-other-key.hex");
    let other_board = firmware("logger-1.1.0.bin");
    let mut changed = firmware(NEW).image().to_vec();
    let last = changed.len() - 1;
    changed[last] ^= 1;
    for (digest, image, error) in [
        (forged.digest(), forged.image(), ImageError::OtherKey),
        (
            other_board.digest(),
            other_board.image(),
            ImageError::OtherHardware,
        ),
        (
            firmware(NEW).digest(),
            &changed[..],
            ImageError::BadSignature,
        ),
    ] {
        let file = if image.len() == forged.image().len() {
            &forged
        } else {
            &other_board
        };
        let trailer = file.header().trailer_offset() as usize;
        assert_eq!(
            block_on(conversation.announce(digest, image, trailer)),
            Err(TalkError::Refused(Refusal::Image(error)))
        );
        // Nor does it help to send the image without that.
        assert_eq!(
            block_on(conversation.upload(digest, image, |_| {})),
            Err(TalkError::Refused(Refusal::Image(error)))
        );
    }
    assert_eq!(conversation.link().machine.operations(), operations);
    assert_eq!(slot(&mut conversation), before);
    let after = update_to(&mut conversation, &device, NEW).unwrap();
    assert_eq!(running(&after), Some(V1_1));
}

#[test]
fn update_mode_without_a_word_gives_back_to_the_application() {
    for plugged in [true, false] {
        let (mut conversation, _) = connect(direct_logger());
        let before = slot(&mut conversation);
        let device = enter_update_mode(&mut conversation);
        assert_eq!(running(&device), Some(V1_0), "nothing is erased yet");
        let mut link = conversation.into_link();
        if !plugged {
            link.machine.usb_mut().detach();
        }
        link.run(UPDATE_MODE);
        link.machine.usb_mut().attach();
        let (mut conversation, device) = connect(link);
        assert_eq!(program(&conversation), Program::Application);
        assert_eq!((running(&device), device.phase), (Some(V1_0), Phase::Idle));
        assert_eq!(slot(&mut conversation), before);
    }
}

#[test]
fn a_conversation_keeps_update_mode_open() {
    let (mut conversation, _) = connect(direct_logger());
    enter_update_mode(&mut conversation);
    for _ in 0..4 {
        conversation.link().run(UPDATE_MODE / 2);
        block_on(Device::read(&mut conversation)).expect("it still answers");
    }
    assert_eq!(program(&conversation), Program::Bootloader);
}

#[test]
fn an_update_that_lost_power_goes_on_in_update_mode() {
    let (mut conversation, device) = connect(direct_logger());
    give_name(&mut conversation);
    conversation.link().record();
    update_to(&mut conversation, &device, NEW).unwrap();
    let moments = conversation.into_link().take_moments();
    let moment = &moments[moments.len() / 2];
    let point = CutPoint {
        operation: moment.operations.start,
        place: Place::Inside { seed: 1 },
    };
    let link = powered(moment.cut(point).unwrap());

    let (mut conversation, now) = connect(link);
    assert_eq!(program(&conversation), Program::Bootloader);
    assert_eq!((running(&now), now.phase), (None, Phase::Installing));
    let after = update_to(&mut conversation, &device, NEW).unwrap();
    assert_eq!(running(&after), Some(V1_1));
    let name = block_on(name_of(&mut conversation));
    assert_eq!(name, Some(Value::Text(NAME.into())));
}

#[test]
fn an_update_goes_on_when_the_cable_was_pulled() {
    // Somewhere in the first messages, in the image, and at its end.
    let image = firmware(NEW).image().len();
    let spread = (10..900)
        .step_by(60)
        .chain((900..image + 900).step_by(4_000));
    for bytes in spread {
        let (mut conversation, device) = connect(direct_logger());
        let link = conversation.link();
        link.unplug_after_sending(bytes);
        link.plug_in_again_after(Duration::from_secs(3));
        let after = update_to(&mut conversation, &device, NEW)
            .unwrap_or_else(|error| panic!("after {bytes} bytes: {error}"));
        assert_eq!(running(&after), Some(V1_1), "after {bytes} bytes");
    }
}

/// A sample of all cuts of an update, and of second cuts: then the old firmware runs or the new one, whole, or update
/// mode takes an image.
#[test]
fn power_may_be_cut_at_any_operation() {
    let (mut conversation, device) = connect(direct_logger());
    give_name(&mut conversation);
    conversation.link().record();
    update_to(&mut conversation, &device, NEW).unwrap();
    let moments = conversation.into_link().take_moments();
    let all: Vec<_> = moments
        .iter()
        .flat_map(|moment| {
            let points = moment.operations.clone().flat_map(|operation| {
                places(SEEDS).map(move |place| CutPoint { operation, place })
            });
            points.map(move |point| (moment, point))
        })
        .collect();
    // Spread evenly over the update; the places of a cut alternate.
    let spread = |count: usize| {
        let last = all.len() - 1;
        (0..count).map(move |index| (index * last / count + index % (SEEDS as usize + 2)).min(last))
    };
    let tries: Vec<_> = spread(CUTS).chain(spread(SECOND_CUTS)).collect();
    let found = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&cut_at) = tries.get(index) else {
                        break;
                    };
                    let (moment, point) = all[cut_at];
                    let result = moment.cut(point).and_then(|machine| {
                        if index < CUTS {
                            recovers(machine)
                        } else {
                            recovers(cut_again_while_it_goes_on(machine, index)?)
                        }
                    });
                    let version = result.unwrap_or_else(|why| panic!("{point:?}: {why}"));
                    found.lock().unwrap().push(version);
                }
            });
        }
    });
    let found = found.into_inner().unwrap();
    let count = |what| found.iter().filter(|&&found| found == what).count();
    println!(
        "{} operations, {CUTS} of {} cuts and {SECOND_CUTS} second cuts: {} old, {} new, {} in update mode",
        all.len() as u64 / (SEEDS + 2),
        all.len(),
        count(Some(V1_0)),
        count(Some(V1_1)),
        count(None),
    );
    let kinds: BTreeSet<_> = found.into_iter().collect();
    assert_eq!(kinds, [None, Some(V1_0), Some(V1_1)].into());
}

/// A computer goes on with the update, and power is cut again. `index` says where.
fn cut_again_while_it_goes_on(machine: Machine, index: usize) -> Result<Machine, String> {
    let (mut conversation, device) = connect(powered(machine));
    confirm(&mut conversation, &device)?;
    conversation.link().record();
    let next = other_than(&device);
    update_to(&mut conversation, &device, next)
        .map_err(|error| format!("the next update: {error}"))?;
    let moments = conversation.into_link().take_moments();
    let moment = &moments[(index * moments.len() / (CUTS + SECOND_CUTS)).min(moments.len() - 1)];
    let place = places(SEEDS).nth(index % (SEEDS as usize + 2));
    let point = CutPoint {
        operation: moment.operations.start,
        place: place.expect("there are as many"),
    };
    moment
        .cut(point)
        .map_err(|why| format!("second cut {point:?}: {why}"))
}

/// Confirms an image on trial, as the page does when it finds one.
fn confirm(conversation: &mut Conversation<EmulatedLink>, device: &Device) -> Result<(), String> {
    if let (Phase::Trial { .. }, Some(image)) = (device.phase, device.running) {
        let digest = image.digest;
        block_on(conversation.tell(CommonRequest::Confirm { digest }))
            .map_err(|error| format!("confirm: {error}"))?;
    }
    Ok(())
}

/// Switched on again.
fn powered(mut machine: Machine) -> EmulatedLink {
    machine.usb_mut().attach();
    machine.power_on();
    EmulatedLink::new(machine)
}

/// The image that a logger is to be updated to next.
fn other_than(device: &Device) -> &'static str {
    if running(device) == Some(V1_1) {
        OLD
    } else {
        NEW
    }
}

/// Whether the logger, switched on again, runs one whole image or waits for one, has its settings, and the next update
/// goes to its end: the version that it was found with. Otherwise what is wrong.
fn recovers(machine: Machine) -> Result<Option<Version>, String> {
    let (mut conversation, device) = connect(powered(machine));
    let found = device.running.map(|image| image.digest);
    let whole = [
        None,
        Some(firmware(OLD).digest()),
        Some(firmware(NEW).digest()),
    ];
    if !whole.contains(&found) {
        return Err(format!("it runs {found:?}"));
    }
    // With a whole image it waits only when it was asked to, and then nothing has been erased.
    let waits = program(&conversation) == Program::Bootloader;
    if waits && found.is_some() && running(&device) != Some(V1_0) || !waits && found.is_none() {
        return Err(format!("{found:?}, {:?}: waits {waits}", device.phase));
    }
    confirm(&mut conversation, &device)?;
    let next = other_than(&device);
    let after = update_to(&mut conversation, &device, next)
        .map_err(|error| format!("the next update: {error}"))?;
    let digest = after.running.map(|image| image.digest);
    if digest != Some(firmware(next).digest()) || after.phase != Phase::Idle {
        return Err(format!("after the next update it runs {digest:?}"));
    }
    match block_on(name_of(&mut conversation)) {
        Some(Value::Text(name)) if name == NAME => Ok(running(&device)),
        other => Err(format!("settings were lost: its name is {other:?}")),
    }
}
