//! When no application can be started, or one keeps failing, the bootloader takes the update itself.

use std::time::Duration;

use emulator::chip::flash::OptionBytes;
use emulator::cpu::bus::ResetCause;
use emulator::fault::{CutPoint, Place};
use futures_executor::block_on;
use host::conversation::{Conversation, TalkError};
use host::device::{Device, read_status};
use host::protocol::device::{Outcome, Phase, Program};
use host::protocol::message::{CommonRequest, Refusal};
use host::update::{UpdateError, update};
use logdock_tests::{
    EmulatedLink, V1_0, V1_1, connect, factory_logger, firmware, restart, running, stage,
    updated_logger,
};

/// First address of the application slot: the image's header.
const SLOT: u32 = 0x0800_7000;
/// First address of RAM, and a place between variables and stack that nobody uses.
const RAM: u32 = 0x2000_0000;
const UNUSED_RAM: usize = 0xB00;
/// `b .`
const ENDLESS_LOOP: [u8; 2] = [0xFE, 0xE7];
/// `udf #0`
const UNDEFINED: [u8; 2] = [0x00, 0xDE];
/// The watchdog's 7 s, and the start after it.
const WATCHDOG: Duration = Duration::from_secs(8);
/// Write protection of sectors 0 to 6: 28 KB.
const BOOTLOADER_SECTORS: u32 = 0x7F;

/// Takes the header out of flash: what is left is no image.
fn erase_header(link: &mut EmulatedLink) {
    link.machine.power_off();
    link.machine.program_flash(SLOT, &[0; 0x100]).unwrap();
    link.machine.power_on();
}

/// A logger whose application's header is gone, and which never kept an image in NAND.
fn empty_logger() -> EmulatedLink {
    let mut link = factory_logger();
    erase_header(&mut link);
    link
}

/// A logger that lost power while it installed 1.1.0, and whose NAND does not answer since.
fn logger_without_nand() -> EmulatedLink {
    let (mut conversation, _) = connect(factory_logger());
    let file = firmware("logger-1.1.0.bin");
    block_on(async {
        conversation
            .upload(file.digest(), file.image(), |_| {})
            .await?;
        conversation.tell(CommonRequest::FinishUpload).await?;
        conversation.tell(CommonRequest::Install).await?;
        conversation.tell(CommonRequest::Reboot).await
    })
    .unwrap();
    let mut link = conversation.into_link();
    link.run_until_flash_is_written(5);
    link.machine.power_off();
    link.machine.nand_mut().set_answers(false);
    link.machine.power_on();
    link
}

/// Lets the application run for a while, then hang until the watchdog ends it.
fn hang_after(link: &mut EmulatedLink, time: Duration) {
    link.run(time);
    assert!(
        link.machine.core().pc() >= SLOT,
        "the application runs, not {:#x}",
        link.machine.core().pc()
    );
    link.machine.ram_mut()[UNUSED_RAM..UNUSED_RAM + 2].copy_from_slice(&ENDLESS_LOOP);
    link.machine.core_mut().set_pc(RAM + UNUSED_RAM as u32);
    let resets = link.machine.resets(ResetCause::IndependentWatchdog);
    while link.machine.resets(ResetCause::IndependentWatchdog) == resets {
        link.run(Duration::from_millis(10));
    }
}

/// Lets the application fail as often as the bootloader puts up with.
fn crash_loop(link: &mut EmulatedLink) {
    for _ in 0..5 {
        hang_after(link, Duration::from_secs(2));
    }
}

fn program(conversation: &Conversation<EmulatedLink>) -> Program {
    conversation.hello().program
}

#[test]
fn without_an_application_the_bootloader_answers_and_installs_one() {
    let (conversation, factory) = connect(factory_logger());
    let identity = conversation.into_link().machine.usb().descriptors().clone();

    let (mut conversation, device) = connect(empty_logger());
    assert_eq!(program(&conversation), Program::Bootloader);
    assert_eq!(running(&device), None);
    assert_eq!(device.target, factory.target);
    assert_eq!(device.public_key, factory.public_key);
    let descriptors = conversation.link().machine.usb().descriptors();
    assert_eq!(*descriptors, identity, "computers see the same device");
    assert_eq!(
        block_on(read_status(&mut conversation)),
        Err(TalkError::Refused(Refusal::UnknownRequest))
    );

    let file = firmware("logger-1.1.0.hex");
    let after = block_on(update(&mut conversation, &device, &file, |_| {}))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(program(&conversation), Program::Application);
    assert_eq!(running(&after), Some(V1_1));
    assert_eq!(after.phase, Phase::Idle);
    assert_eq!(after.outcome, Outcome::Installed(V1_1));
}

#[test]
fn update_mode_refuses_what_the_application_would_refuse() {
    let (mut conversation, device) = connect(empty_logger());
    let file = firmware("logger-1.1.0-other-key.hex");
    block_on(async {
        conversation
            .upload(file.digest(), file.image(), |_| {})
            .await
            .unwrap();
        conversation
            .tell(CommonRequest::FinishUpload)
            .await
            .unwrap();
        conversation.tell(CommonRequest::Install).await.unwrap();
    });
    let after = restart(&mut conversation);
    assert_eq!(program(&conversation), Program::Bootloader);
    assert_eq!(running(&after), None);
    assert!(matches!(after.outcome, Outcome::Refused(V1_1, _)));
    assert_eq!(after.target, device.target);
    assert_eq!(
        block_on(conversation.tell(CommonRequest::Confirm {
            digest: file.digest()
        })),
        Err(TalkError::Refused(Refusal::UnknownRequest))
    );
    assert_eq!(
        block_on(conversation.tell(CommonRequest::Install)),
        Err(TalkError::Refused(Refusal::NothingStaged))
    );
}

#[test]
fn a_stored_image_is_put_back_without_a_computer() {
    let mut link = updated_logger();
    erase_header(&mut link);
    let (conversation, device) = connect(link);
    assert_eq!(program(&conversation), Program::Application);
    assert_eq!(running(&device), Some(V1_1));
}

#[test]
fn an_application_that_keeps_failing_ends_in_update_mode_and_a_new_one_gets_it_out() {
    let mut link = factory_logger();
    crash_loop(&mut link);
    let (mut conversation, device) = connect(link);
    assert_eq!(program(&conversation), Program::Bootloader);
    assert_eq!(running(&device), Some(V1_0), "it is whole");
    assert_eq!(device.phase, Phase::Idle);

    let file = firmware("logger-1.1.0.bin");
    let after = block_on(update(&mut conversation, &device, &file, |_| {})).unwrap();
    assert_eq!(running(&after), Some(V1_1));
    assert_eq!(after.previous.map(|image| image.version), Some(V1_0));
}

#[test]
fn an_application_that_faults_is_restarted_and_counted() {
    let (conversation, _) = connect(factory_logger());
    let mut link = conversation.into_link();
    for fault in 1..=5 {
        let resets = link.machine.resets(ResetCause::Software);
        link.machine.ram_mut()[UNUSED_RAM..UNUSED_RAM + 2].copy_from_slice(&UNDEFINED);
        link.machine.core_mut().set_pc(RAM + UNUSED_RAM as u32);
        link.run(Duration::from_secs(2));
        assert_eq!(
            link.machine.resets(ResetCause::Software),
            resets + 1,
            "fault {fault}"
        );
    }
    let (conversation, _) = connect(link);
    assert_eq!(program(&conversation), Program::Bootloader);
}

#[test]
fn an_application_that_kept_failing_gets_its_chances_again_after_update_mode() {
    let mut link = factory_logger();
    crash_loop(&mut link);
    let (mut conversation, _) = connect(link);
    assert_eq!(program(&conversation), Program::Bootloader);
    restart(&mut conversation);
    assert_eq!(program(&conversation), Program::Application);

    let mut link = conversation.into_link();
    crash_loop(&mut link);
    // And without a computer it does not stay in update mode for ever.
    link.machine.usb_mut().detach();
    link.run(Duration::from_secs(62));
    link.machine.usb_mut().attach();
    let (conversation, _) = connect(link);
    assert_eq!(program(&conversation), Program::Application);
}

#[test]
fn in_update_mode_the_version_before_is_installed_without_sending_it() {
    let mut link = updated_logger();
    crash_loop(&mut link);
    let (mut conversation, device) = connect(link);
    assert_eq!(program(&conversation), Program::Bootloader);
    assert_eq!(running(&device), Some(V1_1));
    block_on(conversation.tell(CommonRequest::Install)).unwrap();
    let after = restart(&mut conversation);
    assert_eq!(program(&conversation), Program::Application);
    assert_eq!(running(&after), Some(V1_0));
    assert_eq!(after.phase, Phase::Idle);
    assert_eq!(after.outcome, Outcome::Reverted(V1_1));
}

#[test]
fn failures_far_apart_and_restarts_that_were_asked_for_do_not_count() {
    let mut link = factory_logger();
    for _ in 0..6 {
        hang_after(&mut link, Duration::from_secs(12));
    }
    let (mut conversation, _) = connect(link);
    assert_eq!(program(&conversation), Program::Application);
    for _ in 0..6 {
        restart(&mut conversation);
        assert_eq!(program(&conversation), Program::Application);
    }
    let mut link = conversation.into_link();
    for _ in 0..6 {
        link.run(Duration::from_secs(1));
        link.machine.power_off();
        link.machine.power_on();
    }
    let (conversation, _) = connect(link);
    assert_eq!(program(&conversation), Program::Application);
}

#[test]
fn an_installation_stuck_for_want_of_nand_is_replaced_by_a_new_one() {
    let (mut conversation, device) = connect(logger_without_nand());
    assert_eq!(program(&conversation), Program::Bootloader);
    assert_eq!(running(&device), None);
    let file = firmware("logger-1.1.0.bin");
    let result = block_on(update(&mut conversation, &device, &file, |_| {}));
    let Err(UpdateError::Talk(error)) = result else {
        panic!("{result:?}");
    };
    assert!(error.to_string().contains("NAND"), "{error}");

    conversation.link().machine.nand_mut().set_answers(true);
    let after = block_on(update(&mut conversation, &device, &file, |_| {})).unwrap();
    assert_eq!(running(&after), Some(V1_1));
    assert_eq!(after.phase, Phase::Idle);
}

#[test]
fn an_installation_stuck_for_want_of_nand_ends_by_itself_when_it_answers_again() {
    let mut link = logger_without_nand();
    link.machine.usb_mut().detach();
    link.run(WATCHDOG);
    link.machine.nand_mut().set_answers(true);
    link.run(Duration::from_secs(60));
    link.machine.usb_mut().attach();
    let (conversation, device) = connect(link);
    assert_eq!(program(&conversation), Program::Application);
    assert_eq!(running(&device), Some(V1_0), "it was put back");
    assert_eq!(device.phase, Phase::Idle);
}

#[test]
fn a_conversation_keeps_update_mode_open() {
    let (mut conversation, _) = connect(empty_logger());
    let resets = conversation.link().machine.resets(ResetCause::Software);
    conversation.link().run(Duration::from_secs(150));
    let now = conversation.link().machine.resets(ResetCause::Software);
    assert_eq!(now, resets);
    block_on(Device::read(&mut conversation)).unwrap();
}

#[test]
fn the_bootloader_protects_its_sectors_once() {
    let (conversation, _) = connect(factory_logger());
    let mut link = conversation.into_link();
    let protection = link.machine.option_bytes().write_protection;
    assert_eq!(protection, BOOTLOADER_SECTORS);
    assert_eq!(link.machine.resets(ResetCause::OptionBytes), 1);

    link.machine.power_off();
    link.machine.power_on();
    let (conversation, _) = connect(link);
    let mut link = conversation.into_link();
    assert_eq!(link.machine.resets(ResetCause::OptionBytes), 1);

    // Somebody with a debugger took it away.
    let options = link.machine.option_bytes();
    link.machine.set_option_bytes(OptionBytes {
        write_protection: 0,
        ..options
    });
    link.machine.power_off();
    link.machine.power_on();
    let (conversation, _) = connect(link);
    let link = conversation.into_link();
    assert_eq!(link.machine.resets(ResetCause::OptionBytes), 2);
    assert_eq!(link.machine.option_bytes(), options);
}

#[test]
fn a_power_cut_while_protection_is_set_does_no_harm() {
    let places = (0..8)
        .map(|seed| Place::Inside { seed })
        .chain([Place::Before, Place::After]);
    for place in places {
        let mut link = factory_logger();
        let operation = link.machine.operations();
        link.machine.cut_at(CutPoint { operation, place });
        link.machine
            .run_for(Duration::from_secs(1).into())
            .expect_err("power is cut");
        link.machine.power_off();
        link.machine.power_on();
        let (conversation, device) = connect(link);
        let link = conversation.into_link();
        assert_eq!(running(&device), Some(V1_0), "{place:?}");
        let protection = link.machine.option_bytes().write_protection;
        assert_eq!(protection, BOOTLOADER_SECTORS, "{place:?}");
    }
}

#[test]
fn a_logger_whose_option_bytes_are_locked_for_ever_is_updated_all_the_same() {
    let mut link = factory_logger();
    let factory = link.machine.option_bytes();
    // Read protection level 2: nothing changes option bytes any more, and trying leaves an error flag.
    link.machine.set_option_bytes(OptionBytes {
        optr: factory.optr & !0xFF | 0xCC,
        write_protection: 0,
    });
    link.machine.power_off();
    link.machine.power_on();
    let (mut conversation, device) = connect(link);
    let file = firmware("logger-1.1.0.bin");
    let after = block_on(update(&mut conversation, &device, &file, |_| {}))
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(running(&after), Some(V1_1));
}

#[test]
fn without_an_image_to_put_back_an_installation_of_none_is_refused() {
    let (mut conversation, _) = connect(empty_logger());
    stage(&mut conversation, "logger-1.1.0.bin").unwrap();
    // Three starts on trial, then the bootloader: there is nothing to go back to.
    for _ in 0..4 {
        restart(&mut conversation);
    }
    assert_eq!(program(&conversation), Program::Bootloader);
    assert_eq!(
        block_on(conversation.tell(CommonRequest::Install)),
        Err(TalkError::Refused(Refusal::NothingStaged))
    );
}
