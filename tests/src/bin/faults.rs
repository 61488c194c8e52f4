//! The power cut campaign: `cargo xtask test faults`, or whole with `cargo xtask test faults --full`.
//!
//! The short form takes every operation kind and a stated sample of the cuts; which ones is decided by a fixed seed, so
//! that a failure comes again.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use emulator::fault::{CutPoint, Place};
use logdock_tests::faults::{Moment, Scenario, come_up, cut, cut_again, places, recovers};

/// Torn outcomes of each operation.
const SEEDS: u64 = 8;
/// Cuts of one scenario in the short form.
const SHORT_CUTS: usize = 90;
/// Second cuts of one scenario in the short form, and in the full one.
const SHORT_PAIRS: usize = 30;
const FULL_PAIRS: usize = 10_000;

const USAGE: &str = "Cuts the power of an emulated logger at its operations on flash, EEPROM and NAND.

Usage: faults [--full] [--scenario update|rollback|reinstall|settings]

  --full             every operation, before, inside (8 seeds) and after, and 10,000 second cuts of each; takes hours
  --scenario NAME    one scenario alone";

/// One cut that is tried.
#[derive(Clone, Copy)]
struct Try {
    moment: usize,
    point: CutPoint,
    /// Cut again while it comes up: which part of its recovery, in thousandths, and where in that operation.
    again: Option<(u64, Place)>,
}

/// A small generator of numbers that are the same every time (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit.max(1)
    }
}

fn main() -> ExitCode {
    let mut full = false;
    let mut only = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--full" => full = true,
            "--scenario" => {
                let name = arguments.next().unwrap_or_default();
                only = Scenario::ALL
                    .into_iter()
                    .find(|scenario| scenario.name().starts_with(&name) && !name.is_empty());
                if only.is_none() {
                    eprintln!("There is no scenario {name:?}.\n\n{USAGE}");
                    return ExitCode::from(2);
                }
            }
            "--help" | "-h" => {
                println!("{USAGE}");
                return ExitCode::SUCCESS;
            }
            other => {
                eprintln!("{other:?} is not known.\n\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let mut total = Counts::default();
    for scenario in Scenario::ALL {
        if only.is_none_or(|only| only == scenario) {
            total.add(campaign(scenario, full));
        }
    }
    println!(
        "{} operations, {} cuts, {} second cuts, {} recoveries, {} devices did not recover",
        total.operations, total.cuts, total.second, total.recovered, total.lost
    );
    println!("{} passed, {} failed", total.recovered, total.lost);
    if total.lost == 0 && total.recovered > 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

#[derive(Clone, Copy, Default)]
struct Counts {
    operations: u64,
    cuts: usize,
    second: usize,
    recovered: usize,
    lost: usize,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.operations += other.operations;
        self.cuts += other.cuts;
        self.second += other.second;
        self.recovered += other.recovered;
        self.lost += other.lost;
    }
}

fn campaign(scenario: Scenario, full: bool) -> Counts {
    let start = Instant::now();
    let moments = scenario.record();
    let all: Vec<Try> = moments
        .iter()
        .enumerate()
        .flat_map(|(moment, Moment { operations, .. })| {
            operations.clone().flat_map(move |operation| {
                places(SEEDS).map(move |place| Try {
                    moment,
                    point: CutPoint { operation, place },
                    again: None,
                })
            })
        })
        .collect();
    let operations = moments
        .iter()
        .map(|moment| moment.operations.end - moment.operations.start)
        .sum();
    let mut random = Random(0x10_6D0C);
    let (singles, pairs) = if full {
        (all.clone(), FULL_PAIRS)
    } else {
        (sample(&all, &moments, &mut random), SHORT_PAIRS)
    };
    let pairs = (0..pairs).map(|_| {
        let first = all[random.below(all.len() as u64) as usize];
        let place = match random.below(3) {
            0 => Place::Before,
            1 => Place::After,
            _ => Place::Inside {
                seed: random.below(u64::MAX),
            },
        };
        Try {
            again: Some((random.below(1000), place)),
            ..first
        }
    });
    let tries: Vec<Try> = singles.iter().copied().chain(pairs).collect();
    println!(
        "{}: {operations} operations; trying {} of {} cuts, and {} second cuts",
        scenario.name(),
        singles.len(),
        all.len(),
        tries.len() - singles.len(),
    );
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(BTreeMap::new());
    let second = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, Into::into) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&this) = tries.get(index) else { break };
                    match attempt(scenario, &moments[this.moment], this) {
                        Ok(twice) => {
                            second.fetch_add(usize::from(twice), Ordering::Relaxed);
                        }
                        Err(why) => {
                            println!("  NOT RECOVERED: {:?} {:?}: {why}", this.point, this.again);
                            failures
                                .lock()
                                .unwrap_or_else(|error| error.into_inner())
                                .insert(index, why);
                        }
                    }
                    if (index + 1).is_multiple_of(100) {
                        println!("  {} of {}", index + 1, tries.len());
                    }
                }
            });
        }
    });
    let lost = failures.into_inner().map_or(tries.len(), |all| all.len());
    println!(
        "  {} recovered, {lost} did not, in {:.0} s",
        tries.len() - lost,
        start.elapsed().as_secs_f64()
    );
    Counts {
        operations,
        cuts: singles.len(),
        second: second.into_inner(),
        recovered: tries.len() - lost,
        lost,
    }
}

/// A sample spread evenly over the scenario: its places alternate, so each kind of operation is cut in each place.
fn sample(all: &[Try], moments: &[Moment], random: &mut Random) -> Vec<Try> {
    if all.len() <= SHORT_CUTS || moments.is_empty() {
        return all.to_vec();
    }
    let span = all.len() / SHORT_CUTS;
    (0..SHORT_CUTS)
        .map(|index| all[index * span + random.below(span as u64) as usize])
        .collect()
}

/// Cuts, perhaps twice, and looks whether the logger recovers. Whether there was a second cut.
fn attempt(scenario: Scenario, moment: &Moment, this: Try) -> Result<bool, String> {
    let machine = cut(moment, this.point)?;
    let Some((part, place)) = this.again else {
        recovers(machine, scenario)?;
        return Ok(false);
    };
    let (_, operations) = come_up(machine.clone())?;
    let count = operations.end - operations.start;
    if count == 0 {
        // It comes up without touching its memories: there is nothing to cut.
        recovers(machine, scenario)?;
        return Ok(false);
    }
    let operation = operations.start + part * count / 1000;
    recovers(cut_again(machine, CutPoint { operation, place })?, scenario)?;
    Ok(true)
}
