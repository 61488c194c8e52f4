//! Brings what the other commands need and this computer lacks. Every step says what it does, does nothing when it is
//! already done, and names the command for a person when it fails.
//! Must never change what a person has installed: tools of a wanted version go into the project's own cache folder.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::project::{
    BINARYEN, DEVICE_TARGET, PAGE_TARGET, Project, TRUNK, WASM_BINDGEN, output, run,
};

/// MCUboot's own tool for images; its judgement on ours is asked for.
const IMGTOOL: &str = "2.5.0";
/// A reader of Intel HEX that is not ours.
const INTELHEX: &str = "2.3.0";
/// A client of MCUmgr, whose bytes ours are compared with, and what it drives a serial port with.
const SMPCLIENT: &str = "7.3.0";
const PYSERIAL: &str = "3.5";
/// What people read a CSV file with.
const PANDAS: &str = "2.3.3";
/// The oldest Node that runs the browser tests.
const NODE: u32 = 20;
/// Browsers that the tests can drive, by their programs' names.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// The other one, of Mozilla's.
const FIREFOXES: [&str; 2] = ["firefox-esr", "firefox"];

/// Something that may have to be installed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// `cargo fmt`.
    Formatter,
    /// `cargo clippy`.
    Linter,
    /// Rust's library for the logger's processor.
    DeviceTarget,
    /// Rust's library for the page.
    PageTarget,
    /// The program that builds and serves the page.
    Trunk,
    /// What makes WebAssembly callable from the page.
    WasmBindgen,
    /// Node with npm.
    Node,
    /// npm packages of the browser tests.
    NpmPackages,
    /// What makes WebAssembly small.
    WasmOpt,
    /// A browser that tests can drive.
    Browser,
    /// Firefox, which tests drive too.
    Firefox,
    /// `ip`, which brings a private network up.
    Network,
    /// imgtool, intelhex, smpclient and pandas: judges of our files and figures that are not ours.
    PythonJudges,
    /// objcopy and srec_cat: writers of .hex files that are not ours.
    HexWriters,
}

/// What serving the page takes.
pub const TO_SERVE: &[Need] = &[
    Need::DeviceTarget,
    Need::PageTarget,
    Need::Trunk,
    Need::WasmBindgen,
    Need::Node,
    Need::NpmPackages,
    Need::WasmOpt,
];

/// One thing to install.
struct Step {
    need: Need,
    name: &'static str,
    done: fn(&Project) -> bool,
    install: fn(&Project) -> Result<()>,
    /// The command that a person can run when the step fails.
    by_hand: fn(&Project) -> String,
}

/// All steps; later ones may rely on earlier ones.
const STEPS: [Step; 14] = [
    Step {
        need: Need::Formatter,
        name: "rustfmt",
        done: |project| output(project.command("cargo").args(["fmt", "--version"])).is_some(),
        install: |project| rustup(project, &["component", "add", "rustfmt"]),
        by_hand: |_| "rustup component add rustfmt".into(),
    },
    Step {
        need: Need::Linter,
        name: "clippy",
        done: |project| output(project.command("cargo").args(["clippy", "--version"])).is_some(),
        install: |project| rustup(project, &["component", "add", "clippy"]),
        by_hand: |_| "rustup component add clippy".into(),
    },
    Step {
        need: Need::DeviceTarget,
        name: "Rust for the logger",
        done: |project| has_target(project, DEVICE_TARGET),
        install: |project| rustup(project, &["target", "add", DEVICE_TARGET]),
        by_hand: |_| format!("rustup target add {DEVICE_TARGET}"),
    },
    Step {
        need: Need::PageTarget,
        name: "Rust for the page",
        done: |project| has_target(project, PAGE_TARGET),
        install: |project| rustup(project, &["target", "add", PAGE_TARGET]),
        by_hand: |_| format!("rustup target add {PAGE_TARGET}"),
    },
    Step {
        need: Need::Trunk,
        name: "trunk",
        done: |project| says(project, "trunk", &format!("trunk {TRUNK}")),
        install: |project| cargo_install(project, "trunk", "trunk", TRUNK, &[]),
        by_hand: |_| format!("cargo install --locked trunk --version {TRUNK}"),
    },
    Step {
        need: Need::WasmBindgen,
        name: "wasm-bindgen",
        done: |project| {
            says(
                project,
                "wasm-bindgen",
                &format!("wasm-bindgen {WASM_BINDGEN}"),
            )
        },
        install: |project| {
            cargo_install(
                project,
                "wasm-bindgen",
                "wasm-bindgen-cli",
                WASM_BINDGEN,
                &["--no-default-features"],
            )
        },
        by_hand: |_| {
            format!(
                "cargo install --locked wasm-bindgen-cli --version {WASM_BINDGEN} --no-default-features"
            )
        },
    },
    Step {
        need: Need::Node,
        name: "Node with npm",
        done: |project| {
            output(project.command("node").arg("--version"))
                .is_some_and(|said| is_recent_node(&said))
                && project.which(&["npm"]).is_some()
        },
        install: |project| apt_install(project, &["nodejs", "npm"]),
        by_hand: |_| {
            format!(
                "install Node {NODE} or newer with npm, from https://nodejs.org or with: sudo apt-get install nodejs npm"
            )
        },
    },
    Step {
        need: Need::NpmPackages,
        name: "npm packages",
        done: has_npm_packages,
        install: npm_packages,
        by_hand: npm_by_hand,
    },
    Step {
        need: Need::WasmOpt,
        name: "wasm-opt",
        done: |project| says(project, "wasm-opt", &format!("wasm-opt version {BINARYEN}")),
        install: npm_packages,
        by_hand: npm_by_hand,
    },
    Step {
        need: Need::Browser,
        name: "Chromium",
        done: |project| browser(project).is_some(),
        install: |project| apt_install(project, &["chromium"]),
        by_hand: |_| "sudo apt-get install chromium".into(),
    },
    Step {
        need: Need::Firefox,
        name: "Firefox",
        done: |project| firefox(project).is_some(),
        install: |project| apt_install(project, &["firefox-esr"]),
        by_hand: |_| "sudo apt-get install firefox-esr".into(),
    },
    Step {
        need: Need::Network,
        name: "ip",
        done: |project| project.which(&["ip"]).is_some(),
        install: |project| apt_install(project, &["iproute2"]),
        by_hand: |_| "sudo apt-get install iproute2".into(),
    },
    Step {
        need: Need::PythonJudges,
        name: "imgtool, intelhex, smpclient and pandas",
        done: has_python_judges,
        install: python_judges,
        by_hand: |project| {
            let folder = python(project);
            format!(
                "sudo apt-get install python3-venv && python3 -m venv {0} && {0}/bin/pip install {1}",
                folder.display(),
                judges().join(" ")
            )
        },
    },
    Step {
        need: Need::HexWriters,
        name: "objcopy and srec_cat",
        done: |project| {
            project.which(&["arm-none-eabi-objcopy"]).is_some()
                && project.which(&["srec_cat"]).is_some()
        },
        install: |project| apt_install(project, &["binutils-arm-none-eabi", "srecord"]),
        by_hand: |_| "sudo apt-get install binutils-arm-none-eabi srecord".into(),
    },
];

/// Carries out the steps that these needs take and that are not done yet.
///
/// # Errors
/// At the first step that fails, with the command that a person can run instead.
pub fn ensure_all(project: &Project, needs: &[Need]) -> Result<()> {
    STEPS
        .iter()
        .filter(|step| needs.contains(&step.need))
        .try_for_each(|step| carry_out(project, step))
}

/// Carries out every step there is.
///
/// # Errors
/// As [`ensure_all`].
pub fn ensure_everything(project: &Project) -> Result<()> {
    STEPS.iter().try_for_each(|step| carry_out(project, step))
}

fn carry_out(project: &Project, step: &Step) -> Result<()> {
    let name = step.name;
    if (step.done)(project) {
        println!("setup: {name}: already there");
        return Ok(());
    }
    println!("setup: {name}: installing …");
    let installed = (step.install)(project).and_then(|()| {
        ensure!(
            (step.done)(project),
            "{name} went in, but does not answer as it should"
        );
        Ok(())
    });
    installed.map_err(|error| {
        anyhow!(
            "setup: {name}: {error:#}\nTo install it by hand:\n  {}",
            (step.by_hand)(project)
        )
    })
}

/// A browser that tests can drive: the one in `LOGDOCK_CHROMIUM`, or the first that is installed.
pub fn browser(project: &Project) -> Option<PathBuf> {
    match env::var_os("LOGDOCK_CHROMIUM") {
        Some(given) => Some(PathBuf::from(given)).filter(|path| path.is_file()),
        None => project.which(&BROWSERS),
    }
}

/// Firefox; `LOGDOCK_FIREFOX` names another one.
pub fn firefox(project: &Project) -> Option<PathBuf> {
    match env::var_os("LOGDOCK_FIREFOX") {
        Some(given) => Some(PathBuf::from(given)).filter(|path| path.is_file()),
        None => project.which(&FIREFOXES),
    }
}

/// A program of the Python environment that holds the judges.
pub fn judge(project: &Project, program: &str) -> PathBuf {
    python(project).join("bin").join(program)
}

fn has_target(project: &Project, target: &str) -> bool {
    let asked =
        output(
            project
                .command("rustc")
                .args(["--print", "target-libdir", "--target", target]),
        );
    // The folder is named whether it is there or not, and may be there without a library.
    let Some(folder) = asked else { return false };
    let Ok(files) = fs::read_dir(folder.trim()) else {
        return false;
    };
    files
        .flatten()
        .any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
}

fn rustup(project: &Project, arguments: &[&str]) -> Result<()> {
    ensure!(
        project.which(&["rustup"]).is_some(),
        "Rust was not installed by rustup here, so this part of it cannot be added. Get Rust from https://rustup.rs"
    );
    run(project.command("rustup").args(arguments))
}

/// The program prints this version, and not one that merely begins the same.
fn says(project: &Project, program: &str, expected: &str) -> bool {
    output(project.command(program).arg("--version"))
        .is_some_and(|said| is_version(&said, expected))
}

fn is_version(said: &str, expected: &str) -> bool {
    said.trim()
        .strip_prefix(expected)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// Node says `v20.1.2`.
fn is_recent_node(said: &str) -> bool {
    let major = said
        .trim()
        .strip_prefix('v')
        .and_then(|version| version.split('.').next());
    major
        .and_then(|major| major.parse::<u32>().ok())
        .is_some_and(|major| major >= NODE)
}

/// Builds a tool from crates.io into a folder of its own; quickly rather than for speed.
fn cargo_install(
    project: &Project,
    tool: &str,
    package: &str,
    version: &str,
    more: &[&str],
) -> Result<()> {
    let folder = project.cache().join(format!("{tool}-{version}"));
    let build = project.cache().join("build");
    fs::create_dir_all(project.cache())
        .with_context(|| format!("could not make {}", project.cache().display()))?;
    println!("This takes some minutes, once.");
    run(project
        .command("cargo")
        .current_dir(project.cache())
        .args(["install", "--locked", package, "--version", version])
        .args(more)
        .arg("--root")
        .arg(&folder)
        .env("CARGO_TARGET_DIR", &build)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"))?;
    // Only worth keeping for a build that broke off.
    fs::remove_dir_all(&build).with_context(|| format!("could not remove {}", build.display()))
}

fn has_npm_packages(project: &Project) -> bool {
    let modified = |path: &str| {
        fs::metadata(project.browser_tests().join(path))
            .and_then(|file| file.modified())
            .ok()
    };
    // npm writes its own list last, so it is missing or old after an installation that broke off.
    match (
        modified("node_modules/.package-lock.json"),
        modified("package-lock.json"),
    ) {
        (Some(installed), Some(wanted)) => installed >= wanted,
        _ => false,
    }
}

fn npm_packages(project: &Project) -> Result<()> {
    run(project
        .command("npm")
        .current_dir(project.browser_tests())
        .args(["ci", "--no-audit", "--no-fund"]))
}

fn npm_by_hand(project: &Project) -> String {
    format!("cd {} && npm ci", project.browser_tests().display())
}

fn python(project: &Project) -> PathBuf {
    project.cache().join("python")
}

fn has_python_judges(project: &Project) -> bool {
    let listed = output(
        project
            .command(&judge(project, "python").to_string_lossy())
            .args(["-m", "pip", "freeze"]),
    );
    listed.is_some_and(|listed| {
        judges()
            .iter()
            .all(|wanted| listed.lines().any(|line| line.eq_ignore_ascii_case(wanted)))
    })
}

fn python_judges(project: &Project) -> Result<()> {
    let folder = python(project);
    let environment = |interpreter: &str| {
        run(project
            .command(interpreter)
            .args(["-m", "venv", "--clear"])
            .arg(&folder))
    };
    if project.which(&["python3"]).is_none() || environment("python3").is_err() {
        apt_install(project, &["python3", "python3-venv"])?;
        // Debian's own interpreter: another one that comes first in PATH does not know Debian's packages.
        environment("/usr/bin/python3")?;
    }
    run(project
        .command(&judge(project, "python").to_string_lossy())
        .args(["-m", "pip", "install", "--disable-pip-version-check"])
        .args(judges()))
}

/// The Python packages, as pip names them.
fn judges() -> [String; 5] {
    [
        ("imgtool", IMGTOOL),
        ("intelhex", INTELHEX),
        ("smpclient", SMPCLIENT),
        ("pyserial", PYSERIAL),
        ("pandas", PANDAS),
    ]
    .map(|(name, version)| format!("{name}=={version}"))
}

/// Installs Debian packages, as root or through a sudo that asks nothing.
fn apt_install(project: &Project, packages: &[&str]) -> Result<()> {
    ensure!(
        project.which(&["apt-get"]).is_some(),
        "this system has no apt-get; its own package manager has to do it"
    );
    let apt = |arguments: &[&str]| {
        let mut command = if is_root() {
            project.command("env")
        } else {
            let mut sudo = project.command("sudo");
            sudo.args(["-n", "env"]);
            sudo
        };
        command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .args(arguments);
        run(&mut command)
    };
    if !is_root() && output(project.command("sudo").args(["-n", "true"])).is_none() {
        bail!(
            "installing {} takes root, and sudo would ask for a password",
            packages.join(" ")
        );
    }
    let install = [&["install", "--yes", "--no-install-recommends"], packages].concat();
    let known = packages.iter().all(|package| {
        output(project.command("apt-cache").args(["show", package]))
            .is_some_and(|text| !text.trim().is_empty())
    });
    if known && apt(&install).is_ok() {
        return Ok(());
    }
    // A fresh machine has no package lists, and old lists name files that are gone.
    apt(&["update"])?;
    apt(&install)
}

/// Whether this process belongs to root.
pub fn is_root() -> bool {
    fs::metadata(Path::new("/proc/self")).is_ok_and(|process| process.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_whole() {
        assert!(is_version("trunk 0.21.14\n", "trunk 0.21.14"));
        assert!(is_version(
            "wasm-opt version 132 (version_132)\n",
            "wasm-opt version 132"
        ));
        assert!(!is_version("trunk 0.21.140\n", "trunk 0.21.14"));
        assert!(!is_version("trunk 0.21.1\n", "trunk 0.21.14"));
    }

    #[test]
    fn an_old_node_does_not_do() {
        assert!(is_recent_node("v20.20.2\n"));
        assert!(is_recent_node("v100.0.0\n"));
        assert!(!is_recent_node("v18.19.0\n"));
        assert!(!is_recent_node("node 20\n"));
    }

    #[test]
    fn every_need_has_exactly_one_step() {
        let needs: Vec<Need> = STEPS.iter().map(|step| step.need).collect();
        for need in &needs {
            assert_eq!(
                needs.iter().filter(|other| *other == need).count(),
                1,
                "{need:?}"
            );
        }
        assert!(TO_SERVE.iter().all(|need| needs.contains(need)));
    }

    #[test]
    fn trunk_looks_for_the_versions_that_are_installed() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Trunk.toml");
        let text = fs::read_to_string(&file).expect("Trunk.toml in the top folder");
        let wanted = |tool: &str, version: String| {
            let line = format!("{tool} = \"{version}\"");
            assert!(
                text.lines().any(|present| present.trim() == line),
                "Trunk.toml does not say {line}"
            );
        };
        wanted("wasm_bindgen", WASM_BINDGEN.into());
        wanted("wasm_opt", format!("version_{BINARYEN}"));
    }
}
