//! Logdock's own commands: set-up, firmware, serving the page, tests. Run as `cargo xtask`.
//! Must never hold logic that the page, a device or a test depends on: it only puts the pieces together.

mod bench;
mod browser;
mod elf;
mod firmware;
mod hex;
mod image;
mod keys;
mod place;
mod project;
mod setup;
mod stack;
mod suites;
mod tally;
mod thumb;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

use crate::project::{Project, run, show};
use crate::setup::Need;
use crate::suites::Suite;

/// Logdock's own commands. Each installs what it needs and this computer lacks.
#[derive(Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Builds firmware and page, and serves the page on this computer
    Serve {
        /// Port of the page's address
        #[arg(long, default_value_t = 8080)]
        port: u16,
        /// Opens the page in the default browser
        #[arg(long)]
        open: bool,
        /// Ed25519 private key (PKCS#8 PEM) to sign with, instead of the development key
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Builds firmware and page into dist, as they are published
    Page {
        /// Ed25519 private key (PKCS#8 PEM) to sign with, instead of the development key
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Runs all tests, or the named suites; the last line is their count
    Test {
        /// Suites to run, in their fixed order
        #[arg(value_name = "NAME")]
        suites: Vec<Suite>,
        /// Every power cut and a million frames instead of a sample: takes an hour or two
        #[arg(long)]
        full: bool,
    },
    /// Builds and signs the firmware into target/firmware, and prints sizes against budgets
    Firmware {
        /// Ed25519 private key (PKCS#8 PEM) to sign with, instead of the development key
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// Prints the chains of calls that take most stack
        #[arg(long)]
        verbose: bool,
    },
    /// Measures every figure of the project and prints it as `name value unit goal`
    Bench {
        /// Prints where the time of an update goes, instead
        #[arg(long)]
        profile: bool,
    },
    /// Plugs a virtual logger into this computer as a serial port
    Virtual {
        /// Keeps the logger's NAND in this file
        #[arg(long, value_name = "FILE")]
        nand: Option<PathBuf>,
        /// Keeps a symbolic link to the port at this path, which stays the same when the logger restarts
        #[arg(long, value_name = "PATH")]
        link: Option<PathBuf>,
        /// Offers a serial port of the chip (usart2), too, as behind a USB-UART bridge, and prints its path
        #[arg(long, value_name = "NAME")]
        usart: Option<String>,
        /// Firmware to run (.hex, .elf, or .bin@ADDRESS), instead of bootloader and logger 1.0.0
        #[arg(long, value_name = "FILE")]
        firmware: Option<PathBuf>,
    },
    /// Prints the lines of the sources where a logger crashed, from what the page or `logdock info` says of it
    Place {
        /// Version of the logger's firmware, as built here, or the ELF file of its release
        program: String,
        /// Addresses, hexadecimal
        #[arg(required = true)]
        addresses: Vec<String>,
    },
    /// Installs what serving the page takes, without doing it
    Setup {
        /// What the tests take, too
        #[arg(long)]
        all: bool,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command.carry_out() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

impl Task {
    /// Gives back whether everything that was judged is good.
    fn carry_out(self) -> Result<bool> {
        let project = Project::find()?;
        match self {
            Self::Serve { port, open, key } => {
                serve(&project, port, open, key.as_deref()).map(|()| true)
            }
            Self::Page { key } => {
                setup::ensure_all(&project, setup::TO_SERVE)?;
                firmware::build(&project, key.as_deref())?;
                browser::build_page(&project)?;
                println!("Written to {}", project.dist().display());
                Ok(true)
            }
            Self::Test { suites, full } => Ok(suites::test(&project, &suites, full)),
            Self::Firmware { key, verbose } => {
                setup::ensure_all(&project, &[Need::DeviceTarget])?;
                let report = firmware::build(&project, key.as_deref())?;
                report.print(verbose);
                println!("Written to {}", project.firmware_files().display());
                Ok(report.tally().failed == 0)
            }
            Self::Place { program, addresses } => {
                place::print(&project, &program, &addresses).map(|()| true)
            }
            Self::Bench { profile } => bench::bench(&project, profile).map(|()| true),
            Self::Virtual {
                nand,
                link,
                usart,
                firmware,
            } => virtual_logger(&project, nand, link, usart, firmware).map(|()| true),
            Self::Setup { all: true } => setup::ensure_everything(&project).map(|()| true),
            Self::Setup { all: false } => {
                setup::ensure_all(&project, setup::TO_SERVE).map(|()| true)
            }
        }
    }
}

fn serve(project: &Project, port: u16, open: bool, key: Option<&Path>) -> Result<()> {
    setup::ensure_all(project, setup::TO_SERVE)?;
    firmware::build(project, key)?;
    println!();
    println!("The page will be at http://localhost:{port}/ once it is built; Ctrl-C ends it.");
    println!(
        "Open it in any browser and try the virtual logger there, or in Chrome and plug a logger in (`cargo xtask virtual` in another terminal plays one)."
    );
    println!(
        "To try an update, drop {} on the page.",
        firmware::update_file(project).display()
    );
    println!();
    let mut trunk = browser::trunk(project);
    trunk.args(["serve", "--release", "--port", &port.to_string()]);
    if open {
        trunk.arg("--open");
    }
    run(&mut trunk)
}

fn virtual_logger(
    project: &Project,
    nand: Option<PathBuf>,
    link: Option<PathBuf>,
    usart: Option<String>,
    firmware: Option<PathBuf>,
) -> Result<()> {
    ensure!(
        cfg!(target_os = "linux"),
        "only Linux lets a program plug a virtual serial port in"
    );
    let firmware = match firmware {
        Some(given) => std::path::absolute(given)?,
        None => {
            let factory = firmware::factory_file(project);
            if !factory.is_file() {
                setup::ensure_all(project, &[Need::DeviceTarget])?;
                firmware::build(project, None)?;
            }
            factory
        }
    };
    browser::build_virtual_logger(project)?;
    // A program of its own, so that it alone, and not a whole build, is what a person gives privileges to.
    let mut logger = project.command(&project.virtual_logger().to_string_lossy());
    if let Some(nand) = nand {
        logger.arg("--nand").arg(std::path::absolute(nand)?);
    }
    if let Some(link) = link {
        logger.arg("--link").arg(std::path::absolute(link)?);
    }
    if let Some(usart) = usart {
        logger.arg("--usart").arg(usart);
    }
    logger.arg(firmware);
    if !may_send_device_events().context("could not read this process's privileges")? {
        println!(
            "Browsers will not see the logger: telling them of a new device takes root. To let them:"
        );
        println!("  sudo {}", show(&logger));
    }
    println!("Type unplug, plug, cut, on, reset, status or quit; help explains them.");
    run(&mut logger)
}

/// Whether this process may send to udev's listeners.
fn may_send_device_events() -> Result<bool> {
    has_net_admin(&std::fs::read_to_string("/proc/self/status")?)
}

/// Whether a `/proc/PID/status` shows Linux's CAP_NET_ADMIN (capabilities(7)).
fn has_net_admin(status: &str) -> Result<bool> {
    const CAP_NET_ADMIN: u32 = 12;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .context("there is no CapEff line")?;
    Ok(u64::from_str_radix(effective.trim(), 16)? >> CAP_NET_ADMIN & 1 == 1)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_privilege_is_read_from_the_effective_set() {
        let status = |effective: &str| {
            format!("Name:\txtask\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\n")
        };
        assert!(has_net_admin(&status("0000000000001000")).expect("a set"));
        assert!(!has_net_admin(&status("000001ffffffefff")).expect("a set"));
        assert!(has_net_admin("Name:\txtask\n").is_err());
    }
}
