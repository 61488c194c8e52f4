//! The fault campaign on the firmware's binaries: power cuts, and frames of all kinds. `cargo xtask test faults`, or
//! whole with `cargo xtask test faults --full`.
//!
//! The short form takes a stated sample; which one is decided by a fixed seed, so that a failure comes again. It must
//! never say that something was proven that was not tried.

use std::collections::HashSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use emulator::fault::{CutPoint, Place};
use host::protocol::device::Program;
use logdock_tests::Random;
use logdock_tests::faults::{Moment, Prover, Scenario, Written, places};
use logdock_tests::frames::bombard;

/// Torn outcomes of each operation.
const SEEDS: u64 = 8;
/// Decides which sample is taken.
const SEED: u64 = 0x10_6D0C;
/// How often a campaign says how far it is.
const PROGRESS: Duration = Duration::from_secs(5);

/// How much is tried.
struct Extent {
    /// First cuts of each scenario at most.
    cuts: usize,
    /// Second cuts of each scenario, and how many of them after the same first one.
    pairs: usize,
    pairs_of_one: usize,
    /// Frames at each program.
    frames: u64,
}

const SHORT: Extent = Extent {
    cuts: 60,
    pairs: 16,
    pairs_of_one: 2,
    frames: 20_000,
};
const FULL: Extent = Extent {
    cuts: usize::MAX,
    pairs: 4_000,
    pairs_of_one: 8,
    frames: 1_000_000,
};

const USAGE: &str = "\
Tries faults on an emulated logger that runs the firmware's binaries: power cuts at its operations on flash, EEPROM,
option bytes and NAND, and frames of all kinds.

Usage: faults [--full] [--campaign NAME] [--jobs N]

  --full            every operation cut before, inside (8 outcomes) and after it, 4,000 second cuts of each scenario
                    whose recoveries can be cut, 1,000,000 frames at each program; takes some hours
  --campaign NAME   one campaign alone: first-start, update, rollback, reinstall, settings, recording,
                    wrap-around, frames-application, frames-bootloader;
                    without it all but wrap-around, which takes as long as five others, unless --full is given
  --jobs N          as many at a time; without it, one for each core

A logger comes up from a cut with nothing but its memories. Cuts that leave the same memories, byte for byte, are proven
together: \"states\" counts what was run, \"cuts\" what is proven by it.";

/// A part that can be run alone.
#[derive(Clone, Copy, PartialEq)]
enum Campaign {
    Cuts(Scenario),
    Frames(Program),
}

impl Campaign {
    fn all() -> impl Iterator<Item = Campaign> {
        let programs = [Program::Application, Program::Bootloader];
        Scenario::ALL
            .map(Campaign::Cuts)
            .into_iter()
            .chain(programs.map(Campaign::Frames))
    }

    /// Whether it is left out of the short form, unless it is named.
    fn is_slow(self) -> bool {
        self == Campaign::Cuts(Scenario::WrapAround)
    }

    fn name(self) -> &'static str {
        match self {
            Campaign::Cuts(scenario) => scenario.name(),
            Campaign::Frames(Program::Application) => "frames-application",
            Campaign::Frames(Program::Bootloader) => "frames-bootloader",
        }
    }
}

struct Arguments {
    full: bool,
    only: Option<Campaign>,
    jobs: usize,
}

/// Nothing when help was asked for.
fn arguments() -> Result<Option<Arguments>, String> {
    let mut result = Arguments {
        full: false,
        only: None,
        jobs: thread::available_parallelism().map_or(1, Into::into),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--full" => result.full = true,
            "--campaign" => {
                let name = arguments.next().unwrap_or_default();
                let campaign = Campaign::all().find(|campaign| campaign.name() == name);
                result.only = Some(campaign.ok_or(format!("There is no campaign {name:?}."))?);
            }
            "--jobs" => {
                let number = arguments.next().and_then(|number| number.parse().ok());
                result.jobs = number
                    .filter(|&number| number > 0)
                    .ok_or("--jobs takes a number from 1 on.")?;
            }
            "--help" | "-h" => return Ok(None),
            other => return Err(format!("{other:?} is not known.")),
        }
    }
    Ok(Some(result))
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(what) => {
            eprintln!("{what}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let extent = if arguments.full { FULL } else { SHORT };
    let prover = Prover::default();
    let mut total = Counts::default();
    for campaign in Campaign::all() {
        let wanted = match arguments.only {
            Some(only) => only == campaign,
            None => arguments.full || !campaign.is_slow(),
        };
        if !wanted {
            continue;
        }
        let start = Instant::now();
        let counts = match campaign {
            Campaign::Cuts(scenario) => cut_power(&prover, scenario, &extent, arguments.jobs),
            Campaign::Frames(program) => send_frames(campaign, program, &extent),
        };
        println!(
            "{}: {counts}; {:.0} s",
            campaign.name(),
            start.elapsed().as_secs_f64()
        );
        total.add(counts);
    }
    println!(
        "all: {total}; {} states proven, {} states at rest updated",
        prover.states(),
        prover.states_at_rest()
    );
    println!("{} passed, {} failed", total.passed, total.failed);
    match total.failed == 0 && total.passed > 0 {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[derive(Clone, Copy, Default)]
struct Counts {
    operations: u64,
    cuts: usize,
    pairs: usize,
    recovered: usize,
    frames: u64,
    passed: u64,
    failed: u64,
}

impl Counts {
    fn add(&mut self, other: Counts) {
        self.operations += other.operations;
        self.cuts += other.cuts;
        self.pairs += other.pairs;
        self.recovered += other.recovered;
        self.frames += other.frames;
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts = Vec::new();
        if self.operations > 0 {
            parts.push(format!(
                "{} operations, {} cuts, {} second cuts, {} recoveries",
                self.operations, self.cuts, self.pairs, self.recovered
            ));
        }
        if self.frames > 0 {
            parts.push(format!("{} frames", self.frames));
        }
        write!(
            f,
            "{}, {} devices did not recover",
            parts.join(", "),
            self.failed
        )
    }
}

/// One cut that is tried.
#[derive(Clone, Copy)]
struct Try {
    moment: usize,
    point: CutPoint,
}

fn cut_power(prover: &Prover, scenario: Scenario, extent: &Extent, jobs: usize) -> Counts {
    let name = scenario.name();
    println!("{name}: recording its operations");
    let moments = scenario.record();
    let all: Vec<Try> = moments
        .iter()
        .enumerate()
        .flat_map(|(moment, Moment { operations, .. })| {
            operations.clone().flat_map(move |operation| {
                places(SEEDS).map(move |place| Try {
                    moment,
                    point: CutPoint { operation, place },
                })
            })
        })
        .collect();
    let operations = moments
        .iter()
        .map(|moment| moment.operations.end - moment.operations.start)
        .sum();
    let mut random = Random(SEED);
    let cuts = sample(&all, extent.cuts, &mut random);
    println!(
        "{name}: {operations} operations; trying {} of {} cuts",
        cuts.len(),
        all.len()
    );

    // Operations of each recovery, where it succeeded.
    let recoveries: Vec<OnceLock<u64>> = cuts.iter().map(|_| OnceLock::new()).collect();
    let lost = Mutex::new(HashSet::new());
    let fail = |what: String, why: String| {
        println!("  NOT RECOVERED: {what}: {why}");
        lost.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(what);
    };
    let machine_after = |this: Try| moments[this.moment].cut(this.point);
    in_parallel(prover, "cuts", cuts.len(), jobs, |index| {
        let this = cuts[index];
        let written = Written::of(&moments[this.moment].machine);
        let recovery =
            machine_after(this).and_then(|machine| prover.recovery(&machine, scenario, &written));
        match recovery {
            Ok(recovery) => drop(recoveries[index].set(recovery.operations)),
            Err(why) => fail(format!("{:?}", this.point), why),
        }
    });

    let (firsts, pairs) = first_cuts(&recoveries, extent, &mut random);
    if pairs == 0 {
        println!("{name}: no recovery touches the memories, so there is nothing to cut again");
    }
    in_parallel(
        prover,
        "first cuts, each cut again",
        firsts.len(),
        jobs,
        |index| {
            let (number, seconds) = &firsts[index];
            let this = cuts[*number];
            let mut torn = Written::default();
            let recovered = machine_after(this).and_then(|machine| {
                torn = Written::of(&machine).without(&Written::of(&moments[this.moment].machine));
                prover.moments(&machine)
            });
            for &(operation, place) in seconds {
                let second = recovered
                    .as_ref()
                    .map_err(Clone::clone)
                    .and_then(|moments| {
                        // Numbers go on from the first operation of this recovery.
                        let first = moments.first().map_or(0, |moment| moment.operations.start);
                        let operation = first + operation;
                        let moment = moments
                            .iter()
                            .find(|moment| moment.operations.contains(&operation))
                            .ok_or("it recovered otherwise than before")?;
                        let machine = moment.cut(CutPoint { operation, place })?;
                        let written = Written::of(&moment.machine).without(&torn);
                        prover.recovery(&machine, scenario, &written)
                    });
                if let Err(why) = second {
                    fail(format!("{:?}, then {operation} {place:?}", this.point), why);
                }
            }
        },
    );
    let failed = lost.lock().unwrap_or_else(PoisonError::into_inner).len();
    let recovered = cuts.len() + pairs - failed;
    Counts {
        operations,
        cuts: cuts.len(),
        pairs,
        recovered,
        passed: recovered as u64,
        failed: failed as u64,
        ..Counts::default()
    }
}

/// A sample spread evenly over the scenario: its places alternate, so each kind of operation is cut in each place.
fn sample(all: &[Try], most: usize, random: &mut Random) -> Vec<Try> {
    if all.len() <= most {
        return all.to_vec();
    }
    let span = all.len() / most;
    (0..most)
        .map(|index| all[index * span + random.below(span as u64) as usize])
        .collect()
}

/// A first cut, and where to cut its recovery: number of the operation in it, and place.
type Cuts = (usize, Vec<(u64, Place)>);

/// Which cuts are followed by second ones, and how many those are together.
fn first_cuts(
    recoveries: &[OnceLock<u64>],
    extent: &Extent,
    random: &mut Random,
) -> (Vec<Cuts>, usize) {
    let mut numbers: Vec<usize> = (0..recoveries.len()).collect();
    let mut firsts = Vec::new();
    let mut pairs = 0;
    while pairs < extent.pairs && !numbers.is_empty() {
        let number = numbers.swap_remove(random.below(numbers.len() as u64) as usize);
        let Some(&operations) = recoveries[number].get().filter(|&&count| count > 0) else {
            continue;
        };
        let seconds: Vec<_> = (0..extent.pairs_of_one)
            .map(|_| {
                let place = match random.below(3) {
                    0 => Place::Before,
                    1 => Place::After,
                    _ => Place::Inside {
                        seed: random.next(),
                    },
                };
                (random.below(operations), place)
            })
            .collect::<HashSet<_>>()
            .into_iter()
            .collect();
        pairs += seconds.len();
        firsts.push((number, seconds));
    }
    (firsts, pairs)
}

/// Does `work` for each number below `count` and says how far it is.
fn in_parallel(
    prover: &Prover,
    what: &str,
    count: usize,
    jobs: usize,
    work: impl Fn(usize) + Sync,
) {
    let start = Instant::now();
    let next = AtomicUsize::new(0);
    let done = AtomicUsize::new(0);
    let worker = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            work(index);
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(worker)).collect();
        let mut said = Instant::now();
        while !workers.iter().all(|worker| worker.is_finished()) {
            thread::sleep(Duration::from_millis(50));
            if said.elapsed() >= PROGRESS {
                said = Instant::now();
                println!(
                    "  {} of {count} {what}, {:.0} s; {} states proven, {} states at rest updated",
                    done.load(Ordering::Relaxed),
                    start.elapsed().as_secs_f64(),
                    prover.states(),
                    prover.states_at_rest()
                );
            }
        }
    });
}

fn send_frames(campaign: Campaign, program: Program, extent: &Extent) -> Counts {
    let name = campaign.name();
    println!("{name}: {} frames", extent.frames);
    let start = Instant::now();
    let mut said = start;
    let result = bombard(program, SEED, extent.frames, |frames| {
        if said.elapsed() >= PROGRESS {
            said = Instant::now();
            let seconds = start.elapsed().as_secs_f64();
            println!("  {frames} of {} frames, {seconds:.0} s", extent.frames);
        }
    });
    match &result {
        Ok(report) => println!("{name}: {report}"),
        Err(why) => println!("  HARM WAS DONE: {why}"),
    }
    Counts {
        frames: extent.frames,
        passed: u64::from(result.is_ok()),
        failed: u64::from(result.is_err()),
        ..Counts::default()
    }
}
