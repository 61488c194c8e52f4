//! A NAND with bad blocks, blocks that go bad, pages that cannot be read, or that is not there at all: the update goes
//! to its end, or is refused and the logger runs on.

mod model;

use std::time::Duration;

use futures_executor::block_on;
use host::conversation::{Conversation, TalkError};
use host::device::Device;
use host::firmware_file::FirmwareFile;
use host::update::{UpdateError, update};
use model::{Logger, connect, image};
use protocol::device::{Outcome, Phase};
use protocol::message::{CommonRequest, Refusal, StorageError};
use update::memory::NAND_BLOCK_PAGES;
use update::store::END_BLOCK;

/// Blocks of one slot of the store, and how many slots there are.
const BLOCKS: u32 = 8;
const SLOTS: u32 = END_BLOCK / BLOCKS;
const PAYLOAD: usize = 4_000;

fn version(major: u8) -> FirmwareFile {
    image(major, PAYLOAD, 1)
}

fn runs(device: &Device) -> Option<u8> {
    device.running.map(|image| image.version.major)
}

/// Updates from 1 to 2, 3 and 4, so that each slot has had each role.
#[track_caller]
fn three_updates_go_through(logger: Logger, why: &str) {
    let (mut conversation, mut device) = connect(logger);
    for major in 2..=4 {
        device = block_on(update(&mut conversation, &device, &version(major), |_| {}))
            .unwrap_or_else(|error| panic!("{why}: {error}"));
        assert_eq!(runs(&device), Some(major), "{why}");
        assert_eq!(
            device.previous.map(|image| image.version.major),
            Some(major - 1),
            "{why}"
        );
    }
}

fn stage(conversation: &mut Conversation<Logger>, file: &FirmwareFile) -> Result<(), TalkError> {
    block_on(async {
        conversation
            .upload(file.digest(), file.image(), |_| {})
            .await?;
        conversation.tell(CommonRequest::FinishUpload).await?;
        conversation.tell(CommonRequest::Install).await
    })
}

fn restart(conversation: &mut Conversation<Logger>) -> Device {
    block_on(async {
        conversation.tell(CommonRequest::Reboot).await.unwrap();
        conversation.reopen(Duration::ZERO).await.unwrap();
        Device::read(conversation).await.unwrap()
    })
}

#[test]
fn any_single_block_may_be_bad() {
    for block in 0..END_BLOCK {
        let logger = Logger::with(&version(1));
        logger.change(|memories| memories.mark_bad(block));
        three_updates_go_through(logger, &format!("block {block}"));
    }
}

#[test]
fn all_spares_but_one_may_be_bad() {
    let logger = Logger::with(&version(1));
    logger.change(|memories| {
        for slot in 0..SLOTS {
            let good = slot * BLOCKS + slot * 3 % BLOCKS;
            (slot * BLOCKS..(slot + 1) * BLOCKS)
                .filter(|&block| block != good)
                .for_each(|block| memories.mark_bad(block));
        }
    });
    three_updates_go_through(logger, "one good block in each slot");
}

#[test]
fn a_store_without_a_good_block_refuses_and_the_logger_runs_on() {
    let logger = Logger::with(&version(1));
    logger.change(|memories| (0..END_BLOCK).for_each(|block| memories.mark_bad(block)));
    let (mut conversation, device) = connect(logger);
    let refused = block_on(update(&mut conversation, &device, &version(2), |_| {}));
    assert_eq!(
        refused,
        Err(UpdateError::Talk(TalkError::Refused(Refusal::Storage(
            StorageError::NoGoodBlock
        ))))
    );
    assert_eq!(runs(&restart(&mut conversation)), Some(1));
}

#[test]
fn a_nand_that_is_not_there_refuses_and_the_logger_runs_on() {
    let logger = Logger::with(&version(1));
    logger.change(|memories| memories.nand_answers = false);
    let (mut conversation, device) = connect(logger);
    let refused = block_on(update(&mut conversation, &device, &version(2), |_| {}));
    assert_eq!(
        refused,
        Err(UpdateError::Talk(TalkError::Refused(Refusal::Storage(
            StorageError::NotThere
        ))))
    );
    assert_eq!(runs(&restart(&mut conversation)), Some(1));
}

#[test]
fn a_block_may_go_bad_at_any_operation() {
    let whole = {
        let (mut conversation, device) = connect(Logger::with(&version(1)));
        block_on(update(&mut conversation, &device, &version(2), |_| {})).unwrap();
        conversation.into_link().memories().operations
    };
    for operation in 0..whole {
        let logger = Logger::with(&version(1));
        logger.change(|memories| memories.goes_bad_at = Some(operation));
        let (mut conversation, device) = connect(logger);
        let result = block_on(update(&mut conversation, &device, &version(2), |_| {}));
        match result {
            Ok(device) => assert_eq!(runs(&device), Some(2), "operation {operation}"),
            Err(UpdateError::NotInstalled { .. } | UpdateError::Talk(TalkError::Refused(_))) => {
                let device = restart(&mut conversation);
                assert_eq!(runs(&device), Some(1), "operation {operation}");
            }
            Err(error) => panic!("operation {operation}: {error}"),
        }
        // With its spares it then takes the next one.
        let device = restart(&mut conversation);
        let after = block_on(update(&mut conversation, &device, &version(3), |_| {}))
            .unwrap_or_else(|error| panic!("after operation {operation}: {error}"));
        assert_eq!(runs(&after), Some(3));
    }
}

#[test]
fn a_staged_image_that_cannot_be_read_back_is_not_installed() {
    // Announcement, image and seal.
    for page in 0..20 {
        let (mut conversation, _) = connect(Logger::with(&version(1)));
        stage(&mut conversation, &version(2)).unwrap();
        conversation
            .link()
            .change(|memories| memories.break_page(page));
        let device = restart(&mut conversation);
        let needed = page == 19 || (1..=3).contains(&page);
        if needed {
            assert_eq!(runs(&device), Some(1), "page {page}");
            assert!(
                matches!(device.outcome, Outcome::Unreadable(_)),
                "page {page}"
            );
            assert_eq!(device.phase, Phase::Idle);
        } else {
            assert_eq!(runs(&device), Some(2), "page {page}");
        }
    }
}

#[test]
fn a_kept_image_that_cannot_be_read_back_leaves_what_runs() {
    let (mut conversation, device) = connect(Logger::with(&version(1)));
    block_on(update(&mut conversation, &device, &version(2), |_| {})).unwrap();
    conversation.link().change(|memories| {
        (0..END_BLOCK * NAND_BLOCK_PAGES)
            .step_by(16)
            .for_each(|page| memories.break_page(page));
    });
    let device = restart(&mut conversation);
    assert_eq!(runs(&device), Some(2));
    assert!(conversation.link().started);
}
