//! Counts what test programs say passed and failed, while their output goes on to the terminal as it comes.
//! Must never count silence as success.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::ops::AddAssign;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::project::show;

/// How many checks passed and failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Checks that held.
    pub passed: u32,
    /// Checks that did not.
    pub failed: u32,
    /// Tests that were not run, with the reason.
    pub skipped: Vec<String>,
}

impl Tally {
    /// Counts one check.
    pub fn check(&mut self, holds: bool) {
        *(if holds {
            &mut self.passed
        } else {
            &mut self.failed
        }) += 1;
    }

    /// One failed check: something could not even start.
    pub fn failure() -> Self {
        Self {
            failed: 1,
            ..Self::default()
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs a test program, shows what it prints and counts with `read`, which gets every line.
///
/// A program that ends badly without a failed test, or well without any test, counts as one failure.
///
/// # Errors
/// When it cannot be started.
pub fn count(command: &mut Command, read: fn(&str, &mut Tally)) -> Result<Tally> {
    count_to(&mut std::io::stdout(), command, read)
}

/// [`count`] with another place than this terminal for what the program prints.
fn count_to(
    terminal: &mut impl Write,
    command: &mut Command,
    read: fn(&str, &mut Tally),
) -> Result<Tally> {
    let shown = show(command);
    writeln!(terminal, "$ {shown}")?;
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{shown}`"))?;
    let mut output = BufReader::new(child.stdout.take().context("a child without output")?);
    let mut tally = Tally::default();
    let mut line = Vec::new();
    // Lines are bytes here: a test may print what is no UTF-8.
    while output
        .read_until(b'\n', &mut line)
        .context("could not read what the tests print")?
        > 0
    {
        terminal.write_all(&line)?;
        terminal.flush()?;
        read(&String::from_utf8_lossy(&line), &mut tally);
        line.clear();
    }
    let status = child.wait()?;
    if !status.success() && tally.failed == 0 {
        writeln!(terminal, "`{shown}` ended with {status}")?;
        tally.failed += 1;
    } else if status.success() && tally.passed + tally.failed == 0 {
        writeln!(terminal, "`{shown}` ran no test")?;
        tally.failed += 1;
    }
    Ok(tally)
}

/// Runs a command that is one check in itself.
///
/// # Errors
/// When it cannot be started.
pub fn check(command: &mut Command) -> Result<Tally> {
    let shown = show(command);
    println!("$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("could not start `{shown}`"))?;
    let mut tally = Tally::default();
    tally.check(status.success());
    Ok(tally)
}

/// Reads a line of Rust's test harness: `test result: ok. 3 passed; 0 failed; …` and `test name ... ignored, why`.
pub fn read_rust(line: &str, tally: &mut Tally) {
    let line = line.trim();
    if let Some(result) = line.strip_prefix("test result: ") {
        let counted = |what: &str| {
            let words: Vec<&str> = result
                .split([' ', ';'])
                .filter(|word| !word.is_empty())
                .collect();
            let pair = words.windows(2).find(|pair| pair[1] == what);
            pair.and_then(|pair| pair[0].parse::<u32>().ok())
                .unwrap_or_default()
        };
        tally.passed += counted("passed");
        tally.failed += counted("failed");
    } else if let Some((name, reason)) = line
        .strip_prefix("test ")
        .and_then(|test| test.split_once(" ... ignored"))
    {
        let reason = reason.trim_start_matches([',', ' ']);
        let reason = if reason.is_empty() {
            "no reason given"
        } else {
            reason
        };
        tally.skipped.push(format!("{name}: {reason}"));
    }
}

/// Reads a line of Playwright's list reporter: its last lines are `  3 passed (4.5s)`, `  1 failed` and the like.
///
/// A test that passed only at the second try, or never had its turn, has failed.
pub fn read_playwright(line: &str, tally: &mut Tally) {
    let line = line.trim();
    if let Some(name) = line.strip_prefix("- ") {
        // The list reporter marks a skipped test with a dash: `-  3 update.spec.mjs:7:1 › name`.
        if let Some((_, name)) = name.split_once(" › ") {
            tally.skipped.push(name.to_owned());
        }
        return;
    }
    let Some((number, what)) = line.split_once(' ') else {
        return;
    };
    let Ok(number) = number.parse::<u32>() else {
        return;
    };
    // Nothing may follow but the time that all of it took.
    let what = what.split_once(" (").map_or(what, |(what, _)| what);
    match what {
        "passed" => tally.passed += number,
        "failed" | "flaky" | "interrupted" | "did not run" => tally.failed += number,
        _ => {}
    }
}

/// Reads the closing line of a program that counts for itself: `120 passed, 0 failed`.
pub fn read_plain(line: &str, tally: &mut Tally) {
    let mut words = line.trim().split(' ');
    let mut number = |what: &str| {
        let number = words.next()?.parse::<u32>().ok()?;
        (words.next()? == what).then_some(number)
    };
    if let (Some(passed), Some(failed)) = (number("passed,"), number("failed")) {
        tally.passed += passed;
        tally.failed += failed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: fn(&str, &mut Tally), lines: &[&str]) -> Tally {
        let mut tally = Tally::default();
        lines.iter().for_each(|line| reader(line, &mut tally));
        tally
    }

    #[test]
    fn a_plain_closing_line_is_added_and_nothing_else() {
        let tally = read(
            read_plain,
            &["  100 of 120\n", "6 operations\n", "118 passed, 2 failed\n"],
        );
        assert_eq!((tally.passed, tally.failed), (118, 2));
    }

    #[test]
    fn every_result_line_of_rust_tests_is_added() {
        let tally = read(
            read_rust,
            &[
                "running 2 tests\n",
                "test frame::tests::a_frame ... ok\n",
                "test slow ... ignored, takes an hour\n",
                "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.01s\n",
                "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
            ],
        );
        assert_eq!(
            tally,
            Tally {
                passed: 15,
                failed: 2,
                skipped: vec!["slow: takes an hour".into()]
            }
        );
    }

    #[test]
    fn only_playwrights_summary_counts() {
        let tally = read(
            read_playwright,
            &[
                "Running 7 tests using 1 worker\n",
                "  ✓  1 update.spec.mjs:3:1 › 2 passed the test (2.3s)\n",
                "  -  3 update.spec.mjs:9:1 › needs hardware\n",
                "  1 failed\n",
                "    update.spec.mjs:5:1 › a flipped byte is refused\n",
                "  1 flaky\n",
                "  1 interrupted\n",
                "  1 skipped\n",
                "  2 did not run\n",
                "  4 passed (1.2m)\n",
            ],
        );
        assert_eq!(
            tally,
            Tally {
                passed: 4,
                failed: 5,
                skipped: vec!["needs hardware".into()]
            }
        );
    }

    /// Counts what a shell script prints, and gives back what went on to the terminal.
    fn count_script(script: &str) -> (Tally, String) {
        // Not to this terminal: whoever counts these tests would count the script's results, too.
        let mut terminal = Vec::new();
        let tally = count_to(
            &mut terminal,
            Command::new("sh").args(["-c", script]),
            read_rust,
        )
        .expect("a shell");
        (tally, String::from_utf8(terminal).expect("text"))
    }

    #[test]
    fn what_a_program_prints_goes_on_to_the_terminal() {
        let (tally, terminal) =
            count_script("echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; printf end");
        assert_eq!(
            tally,
            Tally {
                passed: 2,
                failed: 0,
                skipped: vec![]
            }
        );
        assert!(
            terminal.ends_with("\ntest result: ok. 2 passed; 0 failed; 0 ignored\nend"),
            "{terminal}"
        );
    }

    #[test]
    fn a_program_that_fails_without_a_failed_test_counts_as_a_failure() {
        let (tally, _) =
            count_script("echo 'test result: ok. 2 passed; 0 failed; 0 ignored'; exit 3");
        assert_eq!(
            tally,
            Tally {
                passed: 2,
                failed: 1,
                skipped: vec![]
            }
        );
    }

    #[test]
    fn a_program_that_runs_no_test_counts_as_a_failure() {
        assert_eq!(count_script("echo nothing to do").0, Tally::failure());
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error() {
        assert!(count(&mut Command::new("./no such program"), read_rust).is_err());
    }
}
