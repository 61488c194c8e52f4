//! The test suites, each with what it needs, and their counts.
//! Must never hide a suite that could not run: it counts as failed.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::project::{DEVICE_TARGET, PAGE_TARGET, Project, output, run};
use crate::setup::{self, Need, ensure_all, judge};
use crate::tally::{Tally, check, count, read_plain, read_rust};
use crate::{browser, firmware};

/// A suite of tests; all of them run in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Suite {
    /// The sources are formatted
    Format,
    /// Clippy finds nothing
    Lint,
    /// Tests of single crates on this computer
    Unit,
    /// The emulated chip
    Emulator,
    /// Firmware within its budgets, images that imgtool accepts, whole updates on the emulated chip
    Firmware,
    /// Power cuts at the firmware's operations on flash, EEPROM and NAND
    Faults,
    /// The page in real browsers with the virtual logger
    Browser,
}

/// Crates of the main workspace that the unit tests cover.
const HOST_CRATES: [&str; 7] = [
    "logdock-host",
    "helper",
    "logdock-cli",
    "emulator-port",
    "virtual-logger",
    "virtual-logger-messages",
    "xtask",
];
/// Crates of the firmware that run on this computer, too.
const PORTABLE_FIRMWARE: [&str; 4] = ["log", "protocol", "signature", "update"];
/// Crates of the firmware that run on the logger alone.
const DEVICE_FIRMWARE: [&str; 3] = ["board", "bootloader", "logger"];
/// The same for the board with an STM32F072.
const SMALLEST_FIRMWARE: [&str; 3] = ["blinky", "board", "bootloader"];

/// The tests of a USB host's manners, among those of the whole system.
const MANNERS: &str = "usb_manners::";

impl Suite {
    fn needs(self) -> &'static [Need] {
        match self {
            Self::Format => &[Need::Formatter],
            Self::Lint => &[Need::Linter, Need::DeviceTarget, Need::PageTarget],
            Self::Unit => &[],
            // Third-party firmware is built for the logger; speed is measured in the browser, too.
            Self::Emulator => &[
                Need::DeviceTarget,
                Need::PageTarget,
                Need::Node,
                Need::NpmPackages,
                Need::Browser,
            ],
            Self::Firmware => &[Need::DeviceTarget, Need::PythonJudges, Need::HexWriters],
            Self::Faults => &[Need::DeviceTarget],
            Self::Browser => &[
                Need::DeviceTarget,
                Need::PageTarget,
                Need::Trunk,
                Need::WasmBindgen,
                Need::Node,
                Need::NpmPackages,
                Need::WasmOpt,
                Need::Browser,
                Need::Firefox,
                Need::Network,
            ],
        }
    }

    fn run(self, project: &Project, full: bool) -> Result<Tally> {
        match self {
            Self::Format => format(project),
            Self::Lint => lint(project),
            Self::Unit => unit(project),
            Self::Emulator => test_emulator(project),
            Self::Firmware => test_firmware(project),
            Self::Faults => test_faults(project, full),
            Self::Browser => {
                firmware::build(project, None)?;
                browser::test(project)
            }
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.to_possible_value();
        f.pad(name.as_ref().map_or("", |name| name.get_name()))
    }
}

/// Runs these suites, or all when none is named, and prints their counts. Gives back whether nothing failed.
pub fn test(project: &Project, named: &[Suite], full: bool) -> bool {
    let suites: Vec<Suite> = if named.is_empty() {
        Suite::value_variants().to_vec()
    } else {
        Suite::value_variants()
            .iter()
            .copied()
            .filter(|suite| named.contains(suite))
            .collect()
    };
    let mut done: Vec<(Suite, Tally, Duration)> = Vec::new();
    for suite in suites {
        println!("\n{suite}");
        let start = Instant::now();
        let result = ensure_all(project, suite.needs()).and_then(|()| suite.run(project, full));
        let tally = result.unwrap_or_else(|error| {
            println!("{suite} could not run: {error:#}");
            Tally::failure()
        });
        for skipped in &tally.skipped {
            println!("not run: {skipped}");
        }
        println!("{suite}: {tally}");
        done.push((suite, tally, start.elapsed()));
    }

    let mut all = Tally::default();
    println!();
    for (suite, tally, time) in done {
        println!("{suite:<10} {:>7.1} s   {tally}", time.as_secs_f64());
        all += tally;
    }
    println!("{all}");
    all.failed == 0
}

fn format(project: &Project) -> Result<Tally> {
    let mut tally = check(project.command("cargo").args(["fmt", "--all", "--check"]))?;
    tally += check(project.firmware_cargo().args(["fmt", "--all", "--check"]))?;
    Ok(tally)
}

fn lint(project: &Project) -> Result<Tally> {
    let deny = ["--", "-D", "warnings"];
    let mut tally = check(
        project
            .command("cargo")
            .args(["clippy", "--workspace", "--all-targets"])
            .args(deny),
    )?;
    // One by one, as they are built: together they would bring the page the standard library.
    for package in ["logdock", "workbench", "helper", "virtual-logger"] {
        tally += check(
            project
                .command("cargo")
                .args(["clippy", "--package", package, "--target", PAGE_TARGET])
                .args(deny),
        )?;
    }
    for board in [
        "",
        "bootloader/direct,logger/direct",
        "bootloader/usart,logger/usart",
    ] {
        tally += check(
            project
                .firmware_cargo()
                .arg("clippy")
                .args(packages(&DEVICE_FIRMWARE))
                .args(["--target", DEVICE_TARGET, "--features", board])
                .args(deny),
        )?;
    }
    tally += check(
        project
            .firmware_cargo()
            .arg("clippy")
            .args(packages(&SMALLEST_FIRMWARE))
            .args(["--target", DEVICE_TARGET, "--no-default-features"])
            .args(["--features", "bootloader/stm32f072"])
            .args(deny),
    )?;
    for package in PORTABLE_FIRMWARE {
        tally += check(
            portable(project, "clippy", package)?
                .arg("--all-targets")
                .args(deny),
        )?;
    }
    Ok(tally)
}

fn unit(project: &Project) -> Result<Tally> {
    let mut tally = Tally::default();
    // One after the other: a crate that does not compile must not keep the rest from being tested.
    for package in HOST_CRATES {
        tally += count(
            project.command("cargo").args([
                "test",
                "--no-fail-fast",
                "--all-features",
                "--package",
                package,
            ]),
            read_rust,
        )?;
    }
    for package in PORTABLE_FIRMWARE {
        tally += count(
            portable(project, "test", package)?.arg("--no-fail-fast"),
            read_rust,
        )?;
    }
    Ok(tally)
}

/// Cargo for a crate of the firmware on this computer.
fn portable(project: &Project, subcommand: &str, package: &str) -> Result<Command> {
    let mut cargo = project.firmware_cargo();
    // Named by its folder: a crate from the registry may have the same name.
    cargo.args([
        subcommand,
        "--manifest-path",
        &format!("{package}/Cargo.toml"),
    ]);
    cargo.args(["--target", &host_target(project)?]);
    Ok(cargo)
}

/// The tests of the emulated chip, which say how many vectors and third-party binaries they ran, and its speeds.
fn test_emulator(project: &Project) -> Result<Tally> {
    let mut tally = count(
        project.command("cargo").args([
            "test",
            "--no-fail-fast",
            "--package",
            "emulator",
            "--",
            "--show-output",
        ]),
        read_rust,
    )?;
    // The host's manners, tried on the logger's own firmware.
    firmware::build(project, None)?;
    tally += count(
        project
            .command("cargo")
            .args(["test", "--package", "logdock-tests", "--", MANNERS])
            .env("LOGDOCK_FIRMWARE", project.firmware_files()),
        read_rust,
    )?;
    // Slowness is no failure; not to have been measured is one.
    let measured = measure_emulator(project);
    if let Err(error) = &measured {
        println!("the emulator's speed was not measured: {error:#}");
    }
    tally.check(measured.is_ok());
    Ok(tally)
}

/// Prints the emulator's speed here and in a browser as `name value unit goal`.
fn measure_emulator(project: &Project) -> Result<()> {
    let example = |subcommand: &str| {
        let mut cargo = project.command("cargo");
        cargo.args([subcommand, "--quiet", "--package", "emulator"]);
        cargo.args(["--profile", "emulation", "--example", "speed"]);
        cargo
    };
    let native = output(&mut example("run")).context("the workload did not run")?;
    print!("{native}");
    let instructions = native
        .lines()
        .find_map(|line| line.strip_prefix("emulator-workload "))
        .and_then(|rest| rest.split(' ').next())
        .context("the workload does not say its length")?;
    run(example("build").args(["--target", PAGE_TARGET]))?;
    let file = project
        .host_build()
        .join(PAGE_TARGET)
        .join("emulation/examples/speed.wasm");
    let chromium = setup::browser(project).context("no browser was found")?;
    run(project
        .command("node")
        .current_dir(project.browser_tests())
        .env("LOGDOCK_CHROMIUM", chromium)
        .arg(project.emulator().join("examples/speed.mjs"))
        .arg(file)
        .arg(instructions))
}

fn test_firmware(project: &Project) -> Result<Tally> {
    let report = firmware::build(project, None)?;
    report.print(false);
    let mut tally = report.tally();
    let compared = firmware::compare_with_another_folder(project);
    if let Err(error) = &compared {
        println!("{error:#}");
    }
    tally.check(compared.is_ok());

    let imgtool = judge(project, "imgtool");
    let verify = |key: &str, image: &Path| {
        let mut command = project.command(&imgtool.to_string_lossy());
        command
            .args(["verify", "--key"])
            .arg(project.keys().join(key))
            .arg(image);
        command
    };
    for image in firmware::signed_images(project) {
        tally += check(&mut verify("development-key.pem", &image))?;
        tally.check(output(&mut verify("other-key-for-tests.pem", &image)).is_none());
    }

    // Programs that the tests use as a person does.
    browser::build_virtual_logger(project)?;
    run(project
        .command("cargo")
        .args(["build", "--package", "logdock-cli"]))?;
    let mut whole = project.command("cargo");
    whole
        .args(["test", "--no-fail-fast", "--package", "logdock-tests"])
        // Those of the USB host's manners belong to the emulator's suite.
        .args(["--", "--skip", MANNERS])
        .env("LOGDOCK_FIRMWARE", project.firmware_files())
        .env("LOGDOCK_KEYS", project.keys())
        .env("LOGDOCK_VIRTUAL", project.virtual_logger())
        .env("LOGDOCK_CLI", project.host_build().join("debug/logdock"))
        .env("LOGDOCK_IMGTOOL", &imgtool)
        .env("LOGDOCK_PYTHON", judge(project, "python"));
    tally += count(&mut whole, read_rust)?;
    Ok(tally)
}

fn test_faults(project: &Project, full: bool) -> Result<Tally> {
    firmware::build(project, None)?;
    let mut campaign = project.command("cargo");
    campaign
        .args(["run", "--package", "logdock-tests", "--bin", "faults"])
        .args(["--profile", "emulation", "--"])
        .args(full.then_some("--full"))
        .env("LOGDOCK_FIRMWARE", project.firmware_files());
    count(&mut campaign, read_plain)
}

fn packages<'a>(names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    names.iter().flat_map(|&name| ["--package", name])
}

/// This computer's own target: the firmware's workspace may have the logger's as its default.
fn host_target(project: &Project) -> Result<String> {
    let version =
        output(project.command("rustc").arg("-vV")).context("rustc does not say its version")?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host
        .context("rustc does not say which computer it is for")?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_are_named_as_they_are_typed() {
        let names: Vec<String> = Suite::value_variants()
            .iter()
            .map(Suite::to_string)
            .collect();
        assert_eq!(
            names,
            [
                "format", "lint", "unit", "emulator", "firmware", "faults", "browser"
            ]
        );
    }
}
