//! Every operation on the NAND is cut, before it, inside it and after it: while segments are appended, a block is entered,
//! the ring wraps around and the log was erased. What was written is found again, byte for byte.

mod model;

use datalog::recorder::Rules;
use model::{Chip, Failure, Logger, Moment, Random, quiet};

/// Torn outcomes of each operation: hardly begun, all but done, and bits of both.
const SEEDS: u64 = 12;
/// Blocks of the chip, and those of them that are the ring.
const BLOCKS: u32 = 9;
const RING: std::ops::Range<u32> = 3..BLOCKS;

const EACH: Rules = Rules {
    records: 1,
    seconds: 60,
    keep_oldest: false,
};

fn moments() -> impl Iterator<Item = Moment> {
    let torn = (0..SEEDS).map(Moment::Inside);
    [Moment::Before, Moment::After].into_iter().chain(torn)
}

/// A logger that wrote so many segments.
fn logger(segments: u32) -> Logger {
    quiet();
    let mut logger = Logger::new(Chip::new(BLOCKS), RING, EACH);
    while logger.recorder.summary().next < segments {
        logger.push(1);
    }
    logger.check("before");
    logger
}

/// Cuts each operation of `work` in each way. Gives back how many cuts there were.
fn cut_all(logger: &Logger, why: &str, work: impl Fn(&mut Logger)) -> u64 {
    let mut whole = logger.clone();
    work(&mut whole);
    whole.recover(why);
    let first = logger.chip.operations;
    // Up to the end of what `work` does, not of the trial behind it.
    let mut probe = logger.clone();
    work(&mut probe);
    let mut cuts = 0;
    for operation in first..probe.chip.operations {
        for moment in moments() {
            let mut logger = logger.clone();
            logger.chip.cut = Some((operation, moment));
            work(&mut logger);
            assert_eq!(logger.chip.cut, None, "{why}: the cut came");
            logger.recover(&format!(
                "{why}: operation {}, {moment:?}",
                operation - first
            ));
            cuts += 1;
        }
    }
    cuts
}

fn segments_of(blocks: u32) -> u32 {
    blocks * datalog::ring::BLOCK_SEGMENTS
}

#[test]
fn the_first_segments_of_a_new_chip() {
    let cuts = cut_all(&logger(0), "new chip", |logger| {
        logger.push(10);
    });
    assert_eq!(cuts, 12 * (2 + SEEDS));
}

#[test]
fn appending() {
    cut_all(&logger(100), "append", |logger| {
        logger.push(9);
    });
}

#[test]
fn entering_a_block() {
    cut_all(&logger(segments_of(1) - 4), "new block", |logger| {
        logger.push(9);
    });
}

#[test]
fn wrapping_around() {
    for blocks in [6, 7, 12, 17] {
        let logger = logger(segments_of(blocks) - 3);
        cut_all(&logger, &format!("after {blocks} blocks"), |logger| {
            logger.push(7);
        });
    }
}

#[test]
fn after_the_log_was_erased() {
    let mut logger = logger(segments_of(8) - 3);
    logger.erase(logger.recorder.summary().next - 1);
    cut_all(&logger, "erased", |logger| {
        logger.push(7);
    });
}

#[test]
fn segments_of_many_records_that_wait_for_their_time() {
    let mut start = logger(segments_of(7) - 5);
    start.recorder.rules.records = 64;
    start.recorder.rules.seconds = 3;
    cut_all(&start, "by time", |logger| {
        for _ in 0..20 {
            let there = logger.push(1)
                && logger.powered(|logger| {
                    logger
                        .recorder
                        .tick(&mut logger.chip, &logger.facts, logger.time);
                });
            if !there {
                return;
            }
        }
    });
}

#[test]
fn while_blocks_fail() {
    for failure in [Failure::Dead, Failure::Worn, Failure::Liar] {
        for (segments, window) in [(segments_of(7) - 3, 9), (segments_of(7) + 100, 6)] {
            let start = logger(segments);
            let first = start.chip.operations;
            for at in first..first + window {
                let mut start = start.clone();
                start.chip.fails_at = Some((at, failure));
                cut_all(
                    &start,
                    &format!("{failure:?} from {}", at - first),
                    |logger| {
                        logger.push(window as u32);
                    },
                );
            }
        }
    }
}

/// The round after a block was retired: it is marked bad.
#[test]
fn a_retired_block_when_the_ring_comes_round() {
    let mut start = logger(segments_of(3) + 100);
    start.chip.fails_at = Some((start.chip.operations, Failure::Worn));
    while start.recorder.summary().next < segments_of(9) - 3 {
        start.push(1);
    }
    start.check("before");
    cut_all(&start, "retired", |logger| {
        logger.push(8);
    });
}

#[test]
fn cut_again_while_it_recovers() {
    let starts = [
        logger(100),
        logger(segments_of(1) - 4),
        logger(segments_of(7) - 4),
        logger(segments_of(12) - 4),
    ];
    let mut random = Random::new(1);
    for round in 0..1500 {
        let mut logger = starts[random.below(4) as usize].clone();
        for _ in 0..2 + random.below(4) {
            let moment = match random.below(6) {
                0 => Moment::Before,
                1 => Moment::After,
                _ => Moment::Inside(random.next()),
            };
            let operation = logger.chip.operations + random.below(6);
            logger.chip.cut = Some((operation, moment));
            logger.push(9);
            logger.start();
        }
        logger.recover(&format!("round {round}"));
    }
}
