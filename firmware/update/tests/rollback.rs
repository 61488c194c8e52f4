//! What an update may fall back on: kept images that have gone bad, none at all, and ones that must not come back.

mod model;

use std::time::Duration;

use futures_executor::block_on;
use host::conversation::Conversation;
use host::device::Device;
use host::firmware_file::FirmwareFile;
use host::update::update;
use model::{Logger, connect, image};
use protocol::device::{Outcome, Phase};
use protocol::message::CommonRequest;
use update::memory::NAND_BLOCK_PAGES;
use update::store::END_BLOCK;

const PAYLOAD: usize = 4_000;
/// Blocks of one slot of the store.
const BLOCKS: u32 = 8;

fn version(major: u8) -> FirmwareFile {
    image(major, PAYLOAD, 1)
}

fn runs(device: &Device) -> Option<u8> {
    device.running.map(|image| image.version.major)
}

fn install(
    conversation: &mut Conversation<Logger>,
    device: &Device,
    file: &FirmwareFile,
) -> Device {
    block_on(update(conversation, device, file, |_| {})).unwrap_or_else(|error| panic!("{error}"))
}

fn stage(conversation: &mut Conversation<Logger>, file: &FirmwareFile) {
    block_on(async {
        conversation
            .upload(file.digest(), file.image(), |_| {})
            .await?;
        conversation.tell(CommonRequest::FinishUpload).await?;
        conversation.tell(CommonRequest::Install).await
    })
    .unwrap();
}

fn restart(conversation: &mut Conversation<Logger>) -> Device {
    block_on(async {
        conversation.tell(CommonRequest::Reboot).await.unwrap();
        conversation.reopen(Duration::ZERO).await.unwrap();
        Device::read(conversation).await.unwrap()
    })
}

/// The image before is installed, without being sent.
fn go_back(conversation: &mut Conversation<Logger>) -> Device {
    block_on(conversation.tell(CommonRequest::GoBack)).unwrap();
    restart(conversation)
}

fn confirm(conversation: &mut Conversation<Logger>, device: &Device) {
    let digest = device.running.unwrap().digest;
    block_on(conversation.tell(CommonRequest::Confirm { digest })).unwrap();
}

/// The first page of the image in each slot cannot be read any more.
fn spoil_kept_images(logger: &Logger) {
    logger.change(|memories| {
        (0..END_BLOCK)
            .step_by(BLOCKS as usize)
            .for_each(|block| memories.break_page(block * NAND_BLOCK_PAGES + 1));
    });
}

#[test]
fn a_kept_image_that_rotted_is_stored_anew_before_it_is_needed() {
    let (mut conversation, device) = connect(Logger::with(&version(1)));
    install(&mut conversation, &device, &version(2));
    spoil_kept_images(conversation.link());
    // 3 is never confirmed: 2 has to come back.
    stage(&mut conversation, &version(3));
    let mut device = restart(&mut conversation);
    assert_eq!(runs(&device), Some(3));
    for _ in 0..3 {
        device = restart(&mut conversation);
    }
    assert_eq!(runs(&device), Some(2));
    assert_eq!(device.outcome, Outcome::Reverted(version(3).version()));
}

#[test]
fn the_image_before_comes_back_without_being_sent_and_forth_again() {
    let (mut conversation, device) = connect(Logger::with(&version(1)));
    install(&mut conversation, &device, &version(2));
    for expected in [1, 2, 1] {
        let device = go_back(&mut conversation);
        assert_eq!(runs(&device), Some(expected));
        assert!(matches!(device.phase, Phase::Trial { .. }));
        let before = device.previous.unwrap().version.major;
        assert_eq!(before, 3 - expected);
        let refused = block_on(conversation.tell(CommonRequest::GoBack));
        assert!(refused.is_err(), "the trial comes first");
        confirm(&mut conversation, &device);
    }
    let device = block_on(Device::read(&mut conversation)).unwrap();
    let after = install(&mut conversation, &device, &version(3));
    assert_eq!(runs(&after), Some(3));
}

#[test]
fn going_back_to_an_image_that_is_never_confirmed_is_taken_back_too() {
    let (mut conversation, device) = connect(Logger::with(&version(1)));
    install(&mut conversation, &device, &version(2));
    let mut device = go_back(&mut conversation);
    for _ in 0..3 {
        device = restart(&mut conversation);
    }
    assert_eq!(runs(&device), Some(2));
    assert_eq!(device.outcome, Outcome::Reverted(version(1).version()));
}

#[test]
fn there_is_no_way_back_where_nothing_is_kept_or_it_rotted_or_is_forbidden() {
    let (mut conversation, device) = connect(Logger::with(&version(1)));
    assert!(block_on(conversation.tell(CommonRequest::GoBack)).is_err());
    install(&mut conversation, &device, &image(2, PAYLOAD, 5));
    let device = go_back(&mut conversation);
    assert_eq!(runs(&device), Some(2), "1 has a lower counter");
    assert_eq!(
        device.outcome,
        Outcome::Refused(
            version(1).version(),
            protocol::image::ImageError::CounterTooLow
        )
    );
    install(&mut conversation, &device, &image(3, PAYLOAD, 5));
    spoil_kept_images(conversation.link());
    let device = go_back(&mut conversation);
    assert_eq!(runs(&device), Some(3));
    let device = install(&mut conversation, &device, &image(4, PAYLOAD, 5));
    assert_eq!(runs(&device), Some(4));
}

#[test]
fn a_new_image_goes_on_when_the_old_one_was_lost_during_its_trial() {
    let (mut conversation, _) = connect(Logger::with(&version(1)));
    stage(&mut conversation, &version(2));
    restart(&mut conversation);
    spoil_kept_images(conversation.link());
    for _ in 0..12 {
        let device = restart(&mut conversation);
        assert_eq!(runs(&device), Some(2));
    }
    let device = block_on(Device::read(&mut conversation)).unwrap();
    assert!(matches!(device.phase, Phase::Trial { .. }));
    let digest = version(2).digest();
    if conversation.link().started {
        block_on(conversation.tell(CommonRequest::Confirm { digest })).unwrap();
    }
    assert_eq!(runs(&restart(&mut conversation)), Some(2));
}

#[test]
fn an_image_without_one_before_it_is_never_thrown_away() {
    // An empty logger: the bootloader takes its first image, and nobody ever confirms it.
    let empty = Logger::with(&version(1));
    empty.change(|memories| memories.flash[..256].fill(0));
    let (mut conversation, device) = connect(empty);
    assert_eq!(runs(&device), None);
    stage(&mut conversation, &version(2));
    let mut waited = 0;
    for _ in 0..12 {
        let device = restart(&mut conversation);
        assert_eq!(runs(&device), Some(2));
        waited += u32::from(!conversation.link().started);
    }
    // Now and then the bootloader can be talked to, should the image be a bad one.
    assert!(waited >= 2);
    while conversation.link().started {
        restart(&mut conversation);
    }
    let device = block_on(Device::read(&mut conversation)).unwrap();
    let after = install(&mut conversation, &device, &version(3));
    assert_eq!(runs(&after), Some(3));
}

#[test]
fn an_image_with_a_lower_counter_does_not_come_back_once_a_higher_one_was_confirmed() {
    let (mut conversation, device) = connect(Logger::with(&version(1)));
    install(&mut conversation, &device, &image(2, PAYLOAD, 5));
    // Flash and the copy of what runs are lost; only the image before is left.
    let link = conversation.link();
    link.change(|memories| {
        memories.flash[..256].fill(0);
        memories.break_page(1);
    });
    let device = restart(&mut conversation);
    assert_eq!(runs(&device), None);
    assert!(!conversation.link().started);
    let after = install(&mut conversation, &device, &image(3, PAYLOAD, 5));
    assert_eq!(runs(&after), Some(3));
}

#[test]
fn a_block_that_neither_erases_nor_takes_its_mark_does_not_bring_an_old_image_back() {
    for block in (0..END_BLOCK).step_by(BLOCKS as usize) {
        let (mut conversation, mut device) = connect(Logger::with(&version(1)));
        for major in 2..=4 {
            device = install(&mut conversation, &device, &version(major));
        }
        conversation
            .link()
            .change(|memories| memories.fail_block(block));
        for major in 5..=7 {
            let _ = block_on(update(&mut conversation, &device, &version(major), |_| {}));
            let before = runs(&device);
            device = restart(&mut conversation);
            assert!(
                runs(&device) == before || runs(&device) == Some(major),
                "block {block}: it runs {:?}",
                runs(&device)
            );
        }
    }
}
