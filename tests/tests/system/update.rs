//! An update from a file to a confirmed new version, and what happens when it must not be.

use std::time::Duration;

use emulator::cpu::bus::ResetCause;
use futures_executor::block_on;
use host::check::{Direction, Objection, check};
use host::conversation::{Conversation, TalkError};
use host::device::{Device, read_status};
use host::link::Link;
use host::protocol::device::{Outcome, Phase, STM32F072_CLASS_ID};
use host::protocol::image::ImageError;
use host::protocol::message::{CommonRequest, Refusal};
use host::protocol::record::Recording;
use host::update::{Progress, UpdateError, put_back, update};
use logdock_tests::{
    EmulatedLink, V1_0, V1_1, connect, factory_logger, firmware, restart, running, stage,
    updated_logger,
};

fn records(conversation: &mut Conversation<EmulatedLink>) -> u32 {
    block_on(read_status(conversation)).unwrap().next_record
}

#[test]
fn a_factory_logger_says_who_it_is_and_measures() {
    let (mut conversation, device) = connect(factory_logger());
    assert_eq!(device.model, "LD-1");
    assert_eq!(device.phase, Phase::Idle);
    assert_eq!(device.outcome, Outcome::None);
    let image = device.running.expect("it runs the factory image");
    assert_eq!(image.digest, firmware("logger-1.0.0.bin").digest());

    conversation.link().run(Duration::from_secs(3));
    let status = block_on(read_status(&mut conversation)).unwrap();
    assert!(status.next_record >= 3, "{status:?}");
    assert_eq!(status.recording, Recording::Running);
    let board = conversation.link().machine.board();
    let [supply, temperature, ..] = status.values;
    assert!(supply.abs_diff(board.supply.into()) <= 5, "{status:?}");
    assert!(
        temperature.abs_diff(board.temperature.into()) <= 100,
        "{status:?}"
    );
}

#[test]
fn an_image_for_a_board_with_more_ram_is_not_taken_for_one_that_cannot_start() {
    let (_, mut device) = connect(factory_logger());
    let file = firmware("blinky-f072-1.1.0.hex");
    assert_eq!(
        check(&file, &device),
        Err(Objection::Image(ImageError::OtherHardware))
    );
    device.target.class_id = STM32F072_CLASS_ID;
    assert_eq!(check(&file, &device).map(|plan| plan.to), Ok(V1_1));
}

#[test]
fn a_new_version_is_sent_installed_started_and_confirmed() {
    let (mut conversation, device) = connect(factory_logger());
    let file = firmware("logger-1.1.0.hex");
    let mut steps = Vec::new();
    let after = block_on(update(&mut conversation, &device, &file, |step| {
        steps.push(step);
    }))
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(after.running.map(|image| image.digest), Some(file.digest()));
    assert_eq!(after.phase, Phase::Idle);
    assert_eq!(after.outcome, Outcome::Installed(V1_1));
    assert_eq!(
        after.previous.map(|image| image.version),
        Some(V1_0),
        "the factory image is kept"
    );
    let order = [
        Progress::Checking,
        Progress::Installing,
        Progress::Started,
        Progress::Confirming,
    ];
    let places = order.map(|step| steps.iter().position(|&seen| seen == step));
    assert!(places.is_sorted() && places[0].is_some(), "{steps:?}");

    // What the logger says is what lies in its flash, and it stays so after losing all power.
    let machine = &mut conversation.link().machine;
    let slot = 0x7000;
    assert_eq!(
        &machine.flash()[slot..slot + file.image().len()],
        file.image()
    );
    machine.power_off();
    machine.power_on();
    let (_, device) = connect(conversation.into_link());
    assert_eq!(running(&device), Some(V1_1));
    assert_eq!(device.phase, Phase::Idle);
}

#[test]
fn it_goes_on_recording_while_an_image_is_received() {
    let (mut conversation, device) = connect(factory_logger());
    let before = block_on(read_status(&mut conversation)).unwrap();
    let file = firmware("logger-1.1.0.bin");
    assert_eq!(check(&file, &device).unwrap().direction, Direction::Up);
    block_on(async {
        for _ in 0..20 {
            conversation.link().sleep(Duration::from_millis(100)).await;
            conversation
                .upload(file.digest(), file.image(), |_| {})
                .await
                .unwrap();
            conversation.tell(CommonRequest::AbortUpload).await.unwrap();
        }
    });
    let after = block_on(read_status(&mut conversation)).unwrap();
    let records = u64::from(after.next_record - before.next_record);
    let seconds = (after.time - before.time) / 1000;
    assert!(
        records.abs_diff(seconds) <= 1,
        "{records} records in {seconds} s at one a second"
    );
}

#[test]
fn the_version_before_can_be_installed_again() {
    let (mut conversation, device) = connect(updated_logger());
    let file = firmware("logger-1.0.0.hex");
    assert_eq!(check(&file, &device).unwrap().direction, Direction::Down);
    let after = block_on(update(&mut conversation, &device, &file, |_| {})).unwrap();
    assert_eq!(running(&after), Some(V1_0));
    assert_eq!(after.previous.map(|image| image.version), Some(V1_1));
}

#[test]
fn an_image_that_nobody_confirms_is_taken_back_after_three_starts() {
    let (mut conversation, _) = connect(factory_logger());
    stage(&mut conversation, "logger-1.1.0.bin").unwrap();
    let mut device = restart(&mut conversation);
    for starts_left in [2, 1, 0] {
        assert_eq!(running(&device), Some(V1_1));
        assert_eq!(device.phase, Phase::Trial { starts_left });
        device = restart(&mut conversation);
    }
    assert_eq!(running(&device), Some(V1_0));
    assert_eq!(device.phase, Phase::Idle);
    assert_eq!(device.outcome, Outcome::Reverted(V1_1));

    // And the next update goes to its end.
    let file = firmware("logger-1.1.0.bin");
    let after = block_on(update(&mut conversation, &device, &file, |_| {})).unwrap();
    assert_eq!(running(&after), Some(V1_1));
}

#[test]
fn an_image_on_trial_starts_over_by_itself_when_no_computer_comes() {
    let (mut conversation, _) = connect(factory_logger());
    stage(&mut conversation, "logger-1.1.0.bin").unwrap();
    restart(&mut conversation);
    let mut link = conversation.into_link();
    link.machine.usb_mut().detach();
    link.run(Duration::from_secs(5 * 60));
    assert_eq!(link.machine.resets(ResetCause::IndependentWatchdog), 0);
    link.machine.usb_mut().attach();
    let (_, device) = connect(link);
    assert_eq!(running(&device), Some(V1_0));
    assert_eq!(device.outcome, Outcome::Reverted(V1_1));
}

#[test]
fn an_image_on_trial_is_not_replaced_before_its_end_is_known() {
    let (mut conversation, _) = connect(factory_logger());
    stage(&mut conversation, "logger-1.1.0.bin").unwrap();
    restart(&mut conversation);
    assert_eq!(
        stage(&mut conversation, "logger-1.0.0.bin"),
        Err(TalkError::Refused(Refusal::TrialUnderWay))
    );
}

#[test]
fn an_image_signed_with_another_key_is_refused_by_the_bootloader_too() {
    let (mut conversation, device) = connect(factory_logger());
    let file = firmware("logger-1.1.0-other-key.hex");
    assert!(matches!(
        block_on(update(&mut conversation, &device, &file, |_| {})),
        Err(UpdateError::Objection(_))
    ));
    // A computer that does not look itself.
    stage(&mut conversation, "logger-1.1.0-other-key.hex").unwrap();
    let device = restart(&mut conversation);
    assert_eq!(running(&device), Some(V1_0));
    assert_eq!(device.phase, Phase::Idle);
    assert_eq!(device.outcome, Outcome::Refused(V1_1, ImageError::OtherKey));
}

#[test]
fn a_pulled_plug_only_interrupts_a_transfer() {
    let (mut conversation, device) = connect(factory_logger());
    let file = firmware("logger-1.1.0.bin");
    // Half of it, as a page that was then closed.
    let link = conversation.link();
    link.unplug_after_sending(file.image().len() / 2);
    let broke_off = block_on(conversation.upload(file.digest(), file.image(), |_| {}));
    assert!(
        matches!(broke_off, Err(TalkError::Link(_))),
        "{broke_off:?}"
    );
    let link = conversation.link();
    link.run(Duration::from_secs(2));
    link.machine.usb_mut().attach();
    block_on(conversation.reopen(Duration::from_secs(5))).unwrap();

    let mut first = None;
    let after = block_on(update(&mut conversation, &device, &file, |step| {
        if let Progress::Sending { kept, .. } = step {
            first.get_or_insert(kept);
        }
    }))
    .unwrap();
    // Nothing was lost but what was under way.
    let window = u32::from(conversation.hello().window);
    let sent = file.image().len() as u32 / 2;
    assert!(
        first.is_some_and(|kept| kept > 0 && kept + window >= sent),
        "it began at {first:?}, after {sent} bytes"
    );
    assert_eq!(running(&after), Some(V1_1));
}

#[test]
fn an_update_goes_on_by_itself_when_the_plug_is_put_in_again() {
    let (mut conversation, device) = connect(factory_logger());
    let file = firmware("logger-1.1.0.bin");
    let link = conversation.link();
    link.unplug_after_sending(file.image().len() / 2);
    link.plug_in_again_after(Duration::from_secs(3));
    let mut steps = Vec::new();
    let after = block_on(update(&mut conversation, &device, &file, |step| {
        steps.push(step);
    }))
    .unwrap();
    let unplugged = steps
        .iter()
        .position(|step| matches!(step, Progress::Unplugged { .. }))
        .expect("the plug was pulled");
    let Progress::Sending { kept, .. } = steps[unplugged + 1] else {
        panic!("{:?}", &steps[unplugged..]);
    };
    assert!(kept > 0);
    assert_eq!(running(&after), Some(V1_1));
}

#[test]
fn a_power_cut_during_the_installation_only_delays_it() {
    let (mut conversation, _) = connect(factory_logger());
    stage(&mut conversation, "logger-1.1.0.bin").unwrap();
    block_on(conversation.tell(CommonRequest::Reboot)).unwrap();
    let mut link = conversation.into_link();
    // Each time it comes a few pages further.
    for _ in 0..4 {
        link.run_until_flash_is_written(5);
        link.machine.power_off();
        link.machine.power_on();
    }
    let (_, device) = connect(link);
    assert_eq!(running(&device), Some(V1_1));
}

/// Goes back to 1.0.0, and notes what is told of it.
fn go_back(
    conversation: &mut Conversation<EmulatedLink>,
    device: &Device,
) -> (Result<Device, UpdateError>, Vec<Progress>) {
    let mut steps = Vec::new();
    let result = block_on(put_back(conversation, device, |step| steps.push(step)));
    (result, steps)
}

#[test]
fn the_version_before_comes_back_without_being_sent_and_the_records_stay() {
    let (mut conversation, device) = connect(updated_logger());
    let before = records(&mut conversation);
    let (after, steps) = go_back(&mut conversation, &device);
    let after = after.unwrap();
    assert_eq!(
        steps,
        [
            Progress::Installing,
            Progress::Started,
            Progress::Confirming
        ]
    );
    assert_eq!(running(&after), Some(V1_0));
    assert_eq!(after.phase, Phase::Idle, "it is confirmed");
    assert_eq!(after.previous.map(|image| image.version), Some(V1_1));
    assert!(records(&mut conversation) >= before);
    // And forth.
    let (again, _) = go_back(&mut conversation, &after);
    assert_eq!(running(&again.unwrap()), Some(V1_1));
}

#[test]
fn where_nothing_is_kept_nothing_happens() {
    let (mut conversation, device) = connect(factory_logger());
    let (result, steps) = go_back(&mut conversation, &device);
    assert_eq!(
        result,
        Err(TalkError::Refused(Refusal::NothingStaged).into())
    );
    assert_eq!(steps, []);
}

#[test]
fn going_back_outlives_a_pulled_plug_at_each_of_its_messages() {
    let machine = updated_logger().machine;
    // Each count pulls the plug with another of its short frames.
    let mut places = 0;
    for bytes in (1..).step_by(5) {
        let (mut conversation, device) = connect(EmulatedLink::new(machine.clone()));
        let link = conversation.link();
        link.unplug_after_sending(bytes);
        link.plug_in_again_after(Duration::from_secs(3));
        let (after, _) = go_back(&mut conversation, &device);
        let after = after.unwrap_or_else(|error| panic!("after {bytes} bytes: {error}"));
        assert_eq!(running(&after), Some(V1_0), "after {bytes} bytes");
        assert_eq!(after.phase, Phase::Idle);
        if !conversation.link().was_unplugged() {
            break;
        }
        places += 1;
    }
    assert!(places > 3, "{places}");
}

#[test]
fn frames_that_are_no_messages_get_an_answer_and_change_nothing() {
    let (mut conversation, _) = connect(factory_logger());
    block_on(async {
        let link = conversation.link();
        link.send(b"\x01\x02hello\x00").await.unwrap();
        let answer = link.receive(Duration::from_millis(500)).await.unwrap();
        assert!(!answer.is_empty());
        assert_eq!(
            conversation.tell(CommonRequest::FinishUpload).await,
            Err(TalkError::Refused(Refusal::NoUpload))
        );
        assert_eq!(
            conversation.tell(CommonRequest::Install).await,
            Err(TalkError::Refused(Refusal::NothingStaged))
        );
    });
}

#[test]
fn a_logger_whose_nand_does_not_answer_goes_on_and_says_so() {
    let mut link = factory_logger();
    link.machine.nand_mut().set_answers(false);
    let (mut conversation, device) = connect(link);
    let file = firmware("logger-1.1.0.bin");
    let result = block_on(update(&mut conversation, &device, &file, |_| {}));
    let Err(UpdateError::Talk(error)) = result else {
        panic!("{result:?}");
    };
    assert!(error.to_string().contains("NAND"), "{error}");
    let before = records(&mut conversation);
    conversation.link().run(Duration::from_secs(2));
    assert!(records(&mut conversation) > before);
}
