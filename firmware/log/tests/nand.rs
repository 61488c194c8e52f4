//! A whole chip, full, with bad blocks anywhere; blocks that fail, pages that cannot be read, a memory that is not there;
//! and a long random life of a logger.

mod model;

use datalog::recorder::{Recorder, Rules};
use datalog::ring::{BLOCK_SEGMENTS, Trouble};
use model::{Chip, Failure, Logger, Moment, Random, quiet, sample};
use protocol::record::{LayoutReason, SEGMENT, Segment, SegmentKind};
use update::memory::Nand;
use update::store::END_BLOCK;

const EACH: Rules = Rules {
    records: 1,
    seconds: 60,
    keep_oldest: false,
};

/// Blocks of the real chip.
const CHIP: u32 = 1024;
/// Blocks that it may lose over its life (W25N01GV datasheet).
const DEAD: u32 = 20;
/// The most pages that a mount reads, whatever the chip holds: at 60 µs a page, and as long again to move what is read,
/// a tenth of the time that a start may take for it.
const MOUNT_READS: u64 = 400;

/// Bad blocks alone, in rows, at both ends, and in front of others.
fn bad_blocks() -> Vec<u32> {
    [
        24..30,
        100..101,
        200..212,
        511..513,
        700..701,
        702..703,
        704..705,
        1021..1024,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A mount of its own finds what the running recorder knows, and reads few pages.
fn mount_again(logger: &mut Logger, most: &mut u64) {
    let mut recorder = Recorder::new(END_BLOCK..CHIP, 0, EACH);
    let before = logger.chip.page_reads;
    recorder.mount(&mut logger.chip);
    *most = (*most).max(logger.chip.page_reads - before);
    let found = recorder.summary();
    let known = logger.recorder.summary();
    let context = format!("{found:?} {known:?}");
    // The block that is entered next is empty until then.
    assert!(found.next >= known.next, "{context}");
    assert!(found.next - known.next < 12, "{context}");
    assert_eq!(found.first, known.first, "{context}");
    assert_eq!(found.bad_blocks, known.bad_blocks, "{context}");
    assert_eq!(recorder.next_record(), logger.recorder.next_record());
}

#[test]
fn a_full_chip_is_mounted_with_few_reads_wherever_its_end_is() {
    for bad in [Vec::new(), bad_blocks()] {
        let mut chip = Chip::new(CHIP);
        for block in &bad {
            chip.bad_from_factory(*block);
        }
        let good = CHIP - END_BLOCK - bad.len() as u32;
        let mut logger = Logger::new(chip, END_BLOCK..CHIP, EACH);
        let mut most = 0;
        let mut random = Random::new(7);
        let mut next_mount = 0;
        // Once around and half.
        while logger.recorder.summary().next < good * BLOCK_SEGMENTS * 3 / 2 {
            let number = logger.recorder.next_record();
            let sample = sample(number, u64::from(number) * 1000);
            logger
                .recorder
                .push(&mut logger.chip, &logger.facts, &sample);
            if number >= next_mount {
                mount_again(&mut logger, &mut most);
                next_mount = number + random.below(1500) as u32;
            }
        }
        println!("{} bad blocks: at most {most} page reads", bad.len());
        assert!(most <= MOUNT_READS, "{most} page reads");
        let summary = logger.recorder.summary();
        assert_eq!(u32::from(summary.bad_blocks), bad.len() as u32);
        assert_eq!(summary.capacity, good * BLOCK_SEGMENTS);
        assert_eq!(summary.rounds, 1);
        // Any segment is found, from anywhere.
        for _ in 0..2000 {
            let span = u64::from(summary.next - summary.first);
            let sequence = summary.first + random.below(span) as u32;
            let mut out = [0; SEGMENT];
            let before = logger.chip.page_reads;
            let length = logger
                .recorder
                .read(&mut logger.chip, sequence, &mut out)
                .unwrap();
            let segment = Segment::parse(&out[..length]).unwrap();
            assert_eq!(segment.header.sequence, sequence);
            assert!(logger.chip.page_reads - before <= 100);
        }
        // One after the other costs a page read each, and a step to the next block.
        let before = logger.chip.page_reads;
        let from = summary.next - 10 * BLOCK_SEGMENTS;
        let mut out = [0; SEGMENT];
        for sequence in from..summary.next {
            assert!(
                logger
                    .recorder
                    .read(&mut logger.chip, sequence, &mut out)
                    .is_ok()
            );
        }
        let reads = logger.chip.page_reads - before;
        assert!(reads <= 10 * u64::from(BLOCK_SEGMENTS) + 150, "{reads}");
        assert_eq!(logger.chip.violations, Vec::<String>::new());
    }
}

#[test]
fn every_good_block_is_erased_as_often_as_any_other() {
    let mut chip = Chip::new(12);
    for block in [2, 5, 6, 11] {
        chip.bad_from_factory(block);
    }
    let mut logger = Logger::new(chip, 2..12, EACH);
    for round in 1..=40 {
        while logger.recorder.summary().next < round * 6 * BLOCK_SEGMENTS - 10 {
            logger.push(1);
        }
        logger.flush();
        logger.start();
        logger.check("worn");
        let erases: Vec<u32> = [3, 4, 7, 8, 9, 10]
            .iter()
            .map(|block| logger.chip.erases[*block])
            .collect();
        let (least, most) = (erases.iter().min().unwrap(), erases.iter().max().unwrap());
        assert!(most - least <= 1, "{erases:?}");
        assert!(*most >= round, "{erases:?}");
    }
    // Further on than the last block, which is a bad one.
    logger.push(BLOCK_SEGMENTS);
    assert_eq!(logger.recorder.summary().rounds, 40);
    assert_eq!(logger.recorder.summary().bad_blocks, 4);
}

#[test]
fn a_full_log_keeps_its_oldest_segments_when_it_is_told_to() {
    let rules = Rules {
        keep_oldest: true,
        ..EACH
    };
    let mut logger = Logger::new(Chip::new(6), 2..6, rules);
    while logger.trouble().is_none() {
        logger.push(1);
    }
    assert_eq!(logger.trouble(), Some(Trouble::Full));
    let full = logger.recorder.summary();
    assert_eq!((full.first, full.next), (0, 4 * BLOCK_SEGMENTS));
    assert_eq!(full.pending, 0, "no record was taken that has no place");
    let record = logger.recorder.next_record();
    logger.push(100);
    assert_eq!(logger.recorder.next_record(), record);
    logger.check("full");
    // After a start the same.
    logger.start();
    logger.push(5);
    assert_eq!(logger.trouble(), Some(Trouble::Full));
    assert_eq!(logger.recorder.next_record(), record);
    // One segment more than a block: a block becomes free.
    logger.erase(BLOCK_SEGMENTS + 1);
    logger.push(5);
    logger.check("erased");
    assert_eq!(logger.trouble(), None);
    assert_eq!(logger.recorder.next_record(), record + 5);
    assert_eq!(logger.recorder.summary().first, BLOCK_SEGMENTS + 1);
    // All of it.
    logger.erase(logger.recorder.summary().next);
    assert_eq!(
        logger.recorder.summary().first,
        logger.recorder.summary().next
    );
    logger.start();
    logger.push(5);
    logger.check("erased");
    assert_eq!(logger.kept.len(), 6, "a layout and five records");
}

#[test]
fn numbers_go_on_when_the_memory_is_another_one() {
    let mut logger = Logger::new(Chip::new(6), 2..6, EACH);
    logger.push(600);
    let next = logger.recorder.summary().next;
    logger.erase(next);
    logger.chip = Chip::new(6);
    logger.start();
    logger.push(10);
    let summary = logger.recorder.summary();
    assert!(
        summary.first >= next && summary.next == summary.first + 11,
        "{summary:?}"
    );
    logger.start();
    logger.push(10);
    logger.check("another one");
    assert_eq!(logger.recorder.summary().first, summary.first);
}

#[test]
fn records_are_written_when_it_is_time() {
    let rules = Rules {
        records: 10,
        seconds: 5,
        keep_oldest: false,
    };
    let mut logger = Logger::new(Chip::new(6), 2..6, rules);
    logger.push(3);
    assert_eq!(logger.recorder.summary().pending, 3);
    assert_eq!(logger.recorder.due(), Some(5000));
    let tick = |logger: &mut Logger, now| {
        logger.powered(|logger| logger.recorder.tick(&mut logger.chip, &logger.facts, now))
    };
    tick(&mut logger, 4999);
    assert_eq!(logger.recorder.summary().pending, 3);
    tick(&mut logger, 5000);
    assert_eq!(logger.recorder.summary().pending, 0);
    assert_eq!(logger.recorder.due(), None);
    logger.push(10);
    assert_eq!(
        logger.recorder.summary().pending,
        0,
        "so many are written at once"
    );
    // Off the grid, with other channels, at another interval: each begins a segment.
    logger.push(2);
    logger.time += 1;
    logger.push(2);
    let mut other = sample(logger.recorder.next_record(), logger.time);
    other.channels.0 = 1;
    logger
        .recorder
        .push(&mut logger.chip, &logger.facts, &other);
    other.time += 1000;
    other.interval = 500;
    logger
        .recorder
        .push(&mut logger.chip, &logger.facts, &other);
    logger.facts.utc_offset = None;
    logger.recorder.begin(
        &mut logger.chip,
        &logger.facts,
        logger.time,
        LayoutReason::Change,
    );
    logger.facts.utc_offset = Some(1 << 40);
    logger.push(1);
    logger.flush();
    let summary = logger.recorder.summary();
    let mut out = [0; SEGMENT];
    let mut found = Vec::new();
    for sequence in 0..summary.next {
        let length = logger
            .recorder
            .read(&mut logger.chip, sequence, &mut out)
            .unwrap();
        let header = Segment::parse(&out[..length]).unwrap().header;
        found.push((header.kind, header.record, header.count));
        assert_eq!(header.utc_offset.is_some(), header.record == 19);
    }
    use SegmentKind::{Layout, Records};
    let expected = [
        (Layout, 0, 0),
        (Records, 0, 3),
        (Records, 3, 10),
        (Records, 13, 2),
        (Records, 15, 2),
        (Records, 17, 1),
        (Records, 18, 1),
        (Layout, 19, 0),
        (Records, 19, 1),
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_segment_holds_as_many_records_as_fit_and_is_read_while_it_fills() {
    let rules = Rules {
        records: 64,
        seconds: 60,
        keep_oldest: false,
    };
    let mut logger = Logger::new(Chip::new(6), 2..6, rules);
    let mut out = [0; SEGMENT];
    for number in 0..100 {
        let mut all = sample(number, u64::from(number) * 1000);
        all.channels.0 = 0b11111;
        all.alarms.0 = (number == 40).into();
        logger.recorder.push(&mut logger.chip, &logger.facts, &all);
        let summary = logger.recorder.summary();
        assert_eq!(u32::from(summary.pending), (number + 1) % 39);
        if summary.pending > 0 {
            let length = logger
                .recorder
                .read(&mut logger.chip, summary.next, &mut out)
                .unwrap();
            let segment = Segment::parse(&out[..length]).unwrap();
            assert_eq!(segment.header.sequence, summary.next);
            assert_eq!(segment.header.count, summary.pending);
            assert_eq!(segment.header.alarms.0, (40..78).contains(&number).into());
            let record = segment.data.chunks(12).next_back().unwrap();
            assert_eq!(record[8..], number.to_le_bytes());
        }
    }
}

#[test]
fn pages_that_cannot_be_read_cost_their_segments_alone() {
    let mut start = Logger::new(Chip::new(9), 3..9, EACH);
    while start.recorder.summary().next < 7 * BLOCK_SEGMENTS + 30 {
        start.push(1);
    }
    let first = start.recorder.summary().first;
    for sequence in (first..start.recorder.summary().next).step_by(3) {
        let mut logger = start.clone();
        let page = logger.chip.page_of(sequence).unwrap();
        logger.chip.break_page(page);
        let sector = (sequence % BLOCK_SEGMENTS + 1) % 4;
        let gone: Vec<u32> = (sequence - sector..sequence - sector + 4).collect();
        logger.kept.retain(|sequence, _| !gone.contains(sequence));
        logger.gaps = true;
        logger.check("broken page");
        assert_eq!(logger.recorder.summary().unreadable, 1);
        logger.start();
        // What is not found of the newest page is written anew.
        logger.check("broken page, mounted");
        logger.push(40);
        logger.check("broken page, and on");
    }
}

#[test]
fn blocks_fail_and_nothing_is_lost() {
    quiet();
    for failure in [Failure::Dead, Failure::Worn, Failure::Liar] {
        for at in (0..2600).step_by(13) {
            let mut logger = Logger::new(Chip::new(9), 3..9, EACH);
            logger.chip.fails_at = Some((at, failure));
            for part in 0..8 {
                logger.push(400);
                let why = format!("{failure:?} at {at}, part {part}");
                assert_eq!(logger.trouble(), None, "{why}");
                logger.check(&why);
                logger.start();
                logger.check(&why);
            }
            assert!(!logger.chip.failures.is_empty());
            logger.push(7 * BLOCK_SEGMENTS);
            logger.check("once more around");
            if failure == Failure::Worn {
                let block = *logger.chip.failures.keys().next().unwrap();
                assert!(logger.chip.is_bad(block), "{at}: marked in the end");
            }
        }
    }
}

#[test]
fn a_memory_that_is_not_there_stops_nothing_and_is_found_again() {
    let rules = Rules {
        records: 4,
        seconds: 10,
        keep_oldest: false,
    };
    for away_at in 0..12 {
        let mut logger = Logger::new(Chip::new(6), 2..6, rules);
        logger.push(250 * 4 + away_at);
        logger.chip.answers = false;
        logger.push(30);
        assert_eq!(logger.trouble(), Some(Trouble::Failing));
        assert_eq!(logger.recorder.next_record(), 1000 + away_at + 30);
        let operations = logger.chip.operations;
        logger.chip.answers = true;
        logger.gaps = true;
        logger.push(30);
        logger.flush();
        assert_eq!(logger.trouble(), None);
        assert!(logger.chip.operations > operations);
        assert_eq!(logger.recorder.next_record(), 1000 + away_at + 60);
        logger.check("away");
        logger.start();
        assert_eq!(logger.recorder.next_record(), 1000 + away_at + 60);
        logger.check("away, and started");
        assert!(logger.chip.failures.is_empty());
        assert!(
            (2..6).all(|block| !logger.chip.is_bad(block)),
            "a block was blamed"
        );
    }
    // Not there at the start.
    let mut chip = Chip::new(6);
    chip.answers = false;
    let mut logger = Logger::new(chip, 2..6, rules);
    assert_eq!(logger.trouble(), Some(Trouble::Failing));
    logger.push(3);
    logger.chip.answers = true;
    logger.time += 10_000;
    logger.push(3);
    logger.flush();
    logger.check("late");
    assert_eq!(logger.recorder.next_record(), 6);
    assert_eq!(logger.trouble(), None);
}

#[test]
fn what_memory_did_not_take_before_a_change_is_missing_and_not_read_anew() {
    let rules = Rules {
        records: 10,
        seconds: 5,
        keep_oldest: false,
    };
    let mut logger = Logger::new(Chip::new(6), 2..6, rules);
    logger.push(14);
    logger.chip.answers = false;
    logger.recorder.begin(
        &mut logger.chip,
        &logger.facts,
        logger.time,
        LayoutReason::Change,
    );
    logger.facts.gain += 1;
    logger.chip.answers = true;
    logger.gaps = true;
    logger.time += 60_000;
    logger.push(3);
    logger.flush();
    logger.check("changed while away");
    let summary = logger.recorder.summary();
    let mut out = [0; SEGMENT];
    let mut found = Vec::new();
    for sequence in 0..summary.next {
        let length = logger
            .recorder
            .read(&mut logger.chip, sequence, &mut out)
            .unwrap();
        // A memory that was away is found again at a later number.
        if let Some(Segment { header, .. }) = Segment::parse(&out[..length]) {
            found.push((header.kind, header.record, header.count));
        }
    }
    use SegmentKind::{Layout, Records};
    let expected = [
        (Layout, 0, 0),
        (Records, 0, 10),
        (Layout, 14, 0),
        (Records, 14, 3),
    ];
    assert_eq!(found, expected);
}

/// As many blocks as a chip may lose over its life, all in one row, that take neither erase nor mark: wherever they lie and
/// whatever they hold, the log goes on behind them, and is found there at a start.
#[test]
fn a_row_of_dead_blocks_is_stepped_over() {
    let ring = 2..50;
    for written in [0, 1, 20, 46, 60] {
        for distance in [0, 2, 29] {
            let mut logger = Logger::new(Chip::new(ring.end), ring.clone(), EACH);
            let why = format!("{distance} behind {written} blocks");
            logger.push_slowly(written * BLOCK_SEGMENTS);
            for place in written + distance..written + distance + DEAD {
                let block = ring.start + place % ring.len() as u32;
                logger.chip.failures.insert(block, Failure::Dead);
            }
            // Up to them and past them, and once more.
            for _ in 0..2 {
                let records = logger.recorder.next_record();
                logger.gaps = true;
                logger.push_slowly(35 * BLOCK_SEGMENTS);
                let check = |logger: &mut Logger| {
                    assert_eq!(logger.trouble(), None, "{why}");
                    let first = logger.recorder.summary().first;
                    logger.kept.retain(|sequence, _| *sequence >= first);
                    logger.check(&why);
                };
                check(&mut logger);
                let end = logger.recorder.next_record();
                assert_eq!(end, records + 35 * BLOCK_SEGMENTS);
                logger.start();
                assert_eq!(logger.recorder.next_record(), end, "{why}");
                logger.push(1);
                check(&mut logger);
            }
        }
    }
}

#[test]
fn a_chip_that_takes_nothing_is_left_alone_for_a_while() {
    let mut chip = Chip::new(60);
    for block in 2..60 {
        chip.failures.insert(block, Failure::Worn);
    }
    let mut logger = Logger::new(chip, 2..60, EACH);
    logger.push(30);
    assert_eq!(logger.trouble(), Some(Trouble::Failing));
    let marked = (2..60).filter(|block| logger.chip.is_bad(*block)).count();
    assert!(marked <= 4, "{marked} blocks were given up at once");
}

#[test]
fn a_long_random_life() {
    quiet();
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let mut chip = Chip::new(14);
        for _ in 0..random.below(4) {
            chip.bad_from_factory(3 + random.below(11) as u32);
        }
        let rules = Rules {
            records: 1 + random.below(3) as u8,
            seconds: 5,
            keep_oldest: false,
        };
        let mut logger = Logger::new(chip, 3..14, rules);
        let mut failures = 3;
        for step in 0..60 {
            let why = format!("seed {seed}, step {step}");
            match random.below(12) {
                0 => {
                    logger.flush();
                    logger.start();
                }
                1..=3 => {
                    let moment = match random.below(8) {
                        0 => Moment::Before,
                        1 => Moment::After,
                        _ => Moment::Inside(random.next()),
                    };
                    logger.chip.cut = Some((logger.chip.operations + random.below(40), moment));
                    logger.push(100);
                    logger.start();
                }
                4 if failures > 0 => {
                    failures -= 1;
                    let failure = match random.below(3) {
                        0 => Failure::Dead,
                        1 => Failure::Worn,
                        _ => Failure::Liar,
                    };
                    let at = logger.chip.operations + random.below(300);
                    logger.chip.fails_at = Some((at, failure));
                }
                5 => {
                    let next = logger.recorder.summary().next;
                    logger.erase(next - random.below(300.min(u64::from(next) + 1)) as u32);
                }
                6 => {
                    logger.chip.answers = false;
                    logger.push(random.below(10) as u32);
                    logger.chip.answers = true;
                    logger.gaps = true;
                    logger.time += 5000;
                    logger.flush();
                }
                7 => {
                    logger.powered(|logger| {
                        logger.recorder.begin(
                            &mut logger.chip,
                            &logger.facts,
                            logger.time,
                            LayoutReason::Change,
                        );
                    });
                    logger.time += random.below(3);
                }
                _ => {
                    logger.push(random.below(700) as u32);
                }
            }
            assert_eq!(logger.trouble(), None, "{why}");
            logger.check(&why);
        }
    }
}
