//! Runs the tests that drive a real browser against the virtual logger.
//! Must never let their device events reach the rest of this computer where that can be helped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::project::{Project, output, run};
use crate::setup;
use crate::tally::{Tally, count, read_playwright};

/// Prepares the private surroundings, then becomes the command it is given.
///
/// The browser talks to its own tools and to the page's server over the loopback device. Where `/dev` is no devtmpfs,
/// libudev listens only when udev's control file is there; the file is put into a `/run` that nobody else sees.
const PRIVATELY: &str = "set -e
ip link set lo up
if [ ! -e /run/udev/control ]; then
    mount -t tmpfs tmpfs /run
    mkdir /run/udev
    : > /run/udev/control
fi
exec \"$@\"";

/// Builds page and virtual logger, and runs the tests on them. The firmware must be built already.
///
/// # Errors
/// When something does not build, or the tests cannot be started.
pub fn test(project: &Project) -> Result<Tally> {
    build_page(project)?;
    build_virtual_logger(project)?;
    let firefox = setup::firefox(project).context("no Firefox was found")?;
    let mut tests = private(project)?;
    surrounded(&mut tests, project)?
        .args(["playwright", "test"])
        .env("LOGDOCK_FIREFOX", firefox);
    count(&mut tests, read_playwright)
}

/// The same command, told where page, loggers and Chromium are.
fn surrounded<'a>(command: &'a mut Command, project: &Project) -> Result<&'a mut Command> {
    let chromium = setup::browser(project).context("no browser was found")?;
    Ok(command
        .current_dir(project.browser_tests())
        .env("LOGDOCK_DIST", project.dist())
        .env("LOGDOCK_FIRMWARE", project.firmware_files())
        .env("LOGDOCK_VIRTUAL", project.virtual_logger())
        .env("LOGDOCK_MONTH", recorded_month(project)?)
        .env("LOGDOCK_CHROMIUM", chromium))
}

/// Prints the figures of the built page in a browser.
///
/// # Errors
/// When there is no browser, or a measurement does not come to its end.
pub fn measure(project: &Project) -> Result<()> {
    build_virtual_logger(project)?;
    let mut bench = private(project)?;
    run(surrounded(&mut bench, project)?.args(["node", "bench.mjs"]))
}

/// Builds the page as it is published.
///
/// # Errors
/// When it does not build.
pub fn build_page(project: &Project) -> Result<()> {
    run(trunk(project).args(["build", "--release"]))
}

/// The memories of a logger that recorded for a month. To make them takes minutes, so they are kept for as long as firmware
/// and month are the same.
fn recorded_month(project: &Project) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for file in [
        project.firmware_files().join("factory-1.0.0.bin"),
        project.tests().join("src/bin/month.rs"),
    ] {
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        hash.update(bytes);
    }
    let name: String = hash.finalize()[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let months = project.cache().join("months");
    let folder = months.join(name);
    // It is written last.
    if !folder.join("month.csv").exists() {
        println!(
            "A logger records for a month on the emulated chip: that takes some minutes, once."
        );
        if months.exists() {
            fs::remove_dir_all(&months).context("the months before could not be removed")?;
        }
        run(project
            .command("cargo")
            .args(["run", "--package", "logdock-tests", "--bin", "month", "--"])
            .arg(&folder)
            .env("LOGDOCK_FIRMWARE", project.firmware_files()))?;
    }
    Ok(folder)
}

/// Builds the program that plays the logger on a serial port, and the one that plays something else on one.
///
/// # Errors
/// When it does not build.
pub fn build_virtual_logger(project: &Project) -> Result<()> {
    run(project
        .command("cargo")
        .args(["build", "--package", "emulator-port"])
        .args(["--bins", "--example", "stranger"]))
}

/// Trunk, without the variable that other programs take for a switch and trunk for a mistake.
pub fn trunk(project: &Project) -> Command {
    let mut trunk = project.command("trunk");
    trunk.env_remove("NO_COLOR");
    trunk
}

/// A command whose arguments are run in a network of their own, if this computer allows that.
fn private(project: &Project) -> Result<Command> {
    let own_user: &[&str] = if setup::is_root() {
        &[]
    } else {
        &["--map-root-user"]
    };
    let unshare = || {
        let mut command = project.command("unshare");
        command
            .args(own_user)
            .args(["--net", "--mount", "sh", "-c", PRIVATELY, "sh"]);
        command
    };
    if output(unshare().arg("true")).is_some() {
        return Ok(unshare());
    }
    println!(
        "This computer allows no private network: other browsers may see the virtual logger during the tests."
    );
    let control = Path::new("/run/udev/control");
    if !control.exists() {
        fs::create_dir_all("/run/udev")
            .and_then(|()| fs::write(control, ""))
            .context("no udev runs here, and its control file could not be made. To make it by hand: sudo sh -c 'mkdir -p /run/udev && touch /run/udev/control'")?;
    }
    Ok(project.command("env"))
}
