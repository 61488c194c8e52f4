//! Where things are in this repository, and how other programs are run from it.
//! Must never change anything outside the repository and the project's cache folder.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The target of everything that runs on the logger.
pub const DEVICE_TARGET: &str = "thumbv6m-none-eabi";
/// The target of the page.
pub const PAGE_TARGET: &str = "wasm32-unknown-unknown";

/// Version of trunk that builds the page.
pub const TRUNK: &str = "0.21.14";
/// Version of wasm-bindgen's program: must be the crate's own.
pub const WASM_BINDGEN: &str = "0.2.126";
/// Version of Binaryen, as `wasm-opt --version` says it.
pub const BINARYEN: &str = "132";

/// This checkout and the folders that belong to it.
pub struct Project {
    root: PathBuf,
    cache: PathBuf,
}

impl Project {
    /// Finds the checkout that this program was built from.
    ///
    /// # Errors
    /// When neither `XDG_CACHE_HOME` nor `HOME` says where a cache may live.
    pub fn find() -> Result<Self> {
        // Cargo sets the variable at run time too, so a moved checkout is found without a rebuild.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = manifest
            .parent()
            .context("xtask does not lie in a folder of the project")?
            .to_path_buf();
        let absolute = |name: &str| {
            env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let cache = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
            .context("neither XDG_CACHE_HOME nor HOME is set, so there is no place for the tools")?
            .join("logdock");
        Ok(Self { root, cache })
    }

    /// Copies what the firmware is built from, and what Cargo wants to see of the computers' workspace, to another folder.
    ///
    /// # Errors
    /// Those of the file system, with the path.
    pub fn copy_for_firmware(&self) -> Result<Self> {
        let root = self.root.join("target/another folder");
        for name in ["firmware", "host", "src", "Cargo.toml"] {
            copy(&self.root.join(name), &root.join(name))?;
        }
        Ok(Self {
            root,
            cache: self.cache.clone(),
        })
    }

    /// Where tools live that set-up installs for this project alone.
    pub fn cache(&self) -> &Path {
        &self.cache
    }

    /// The firmware's own Cargo workspace.
    pub fn firmware_workspace(&self) -> PathBuf {
        self.root.join("firmware")
    }

    /// Signing keys, the development one among them.
    pub fn keys(&self) -> PathBuf {
        self.root.join("firmware/keys")
    }

    /// Cargo's target folder for the firmware.
    pub fn firmware_build(&self) -> PathBuf {
        self.root.join("target/firmware-build")
    }

    /// Where the finished firmware files go.
    pub fn firmware_files(&self) -> PathBuf {
        self.root.join("target/firmware")
    }

    /// The whole-system tests.
    pub fn tests(&self) -> PathBuf {
        self.root.join("tests")
    }

    /// The browser tests with their npm packages.
    pub fn browser_tests(&self) -> PathBuf {
        self.root.join("tests/browser")
    }

    /// The emulator's crate.
    pub fn emulator(&self) -> PathBuf {
        self.root.join("emulator")
    }

    /// The built page.
    pub fn dist(&self) -> PathBuf {
        self.root.join("dist")
    }

    /// Cargo's target folder for the programs of this computer.
    pub fn host_build(&self) -> PathBuf {
        env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| self.root.join("target"), |path| self.root.join(path))
    }

    /// The program that plays the logger on a serial port, once it is built.
    pub fn virtual_logger(&self) -> PathBuf {
        self.host_build().join("debug/emulator-port")
    }

    /// `PATH` with the project's own tools in front.
    pub fn path(&self) -> OsString {
        let own = [
            self.cache.join(format!("trunk-{TRUNK}/bin")),
            self.cache.join(format!("wasm-bindgen-{WASM_BINDGEN}/bin")),
            self.browser_tests().join("node_modules/.bin"),
        ];
        let inherited = env::var_os("PATH").unwrap_or_default();
        // A folder with a colon in its name cannot stand in PATH; then the tools of the system have to do.
        env::join_paths(own.into_iter().chain(env::split_paths(&inherited))).unwrap_or(inherited)
    }

    /// A command that runs in the top folder and finds the project's own tools.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root).env("PATH", self.path());
        command
    }

    /// Cargo for the firmware's workspace.
    pub fn firmware_cargo(&self) -> Command {
        let mut command = self.command("cargo");
        command
            .current_dir(self.firmware_workspace())
            .env("CARGO_TARGET_DIR", self.firmware_build())
            .env(
                "LOGDOCK_PUBLIC_KEY",
                self.keys().join("development-key.public"),
            );
        command
    }

    /// The first of these programs that is in `PATH`.
    pub fn which(&self, names: &[&str]) -> Option<PathBuf> {
        let path = self.path();
        names.iter().find_map(|name| {
            env::split_paths(&path)
                .map(|folder| folder.join(name))
                .find(|file| file.is_file())
        })
    }
}

/// Runs a command with this terminal as its own.
///
/// # Errors
/// When it cannot be started or ends with a failure; the message shows the command.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = show(command);
    println!("$ {shown}");
    let status = command
        .status()
        .with_context(|| format!("could not start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` ended with {status}");
    }
    Ok(())
}

/// What a command prints, or nothing when it cannot be started or fails.
pub fn output(command: &mut Command) -> Option<String> {
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok()
}

/// A command as a person would type it.
pub fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted: Vec<String> = words
        .map(|word| {
            let word = word.to_string_lossy();
            if word.is_empty()
                || word.contains(|c: char| c.is_whitespace() || "'\"$;&|<>()*".contains(c))
            {
                format!("'{}'", word.replace('\'', "'\\''"))
            } else {
                word.into_owned()
            }
        })
        .collect();
    quoted.join(" ")
}

/// Writes a file, and leaves it alone when it already holds these bytes: whoever watches it is not woken for nothing.
///
/// # Errors
/// Those of the file system, with the path.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("could not write {}", path.display()))
}

/// Copies a file, or a folder but for what Cargo has built there. What is equal already is left alone.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let unreadable = || format!("could not read {}", from.display());
    if from.is_file() {
        return write(to, &fs::read(from).with_context(unreadable)?);
    }
    fs::create_dir_all(to).with_context(|| format!("could not make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(unreadable)? {
        let name = entry.with_context(unreadable)?.file_name();
        if name != "target" {
            copy(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_so_that_a_shell_reads_the_same_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo it's", "plain", ""]);
        assert_eq!(show(&command), r"sh -c 'echo it'\''s' plain ''");
    }

    #[test]
    fn the_projects_own_tools_come_before_those_of_the_system() {
        let project = Project {
            root: "/project".into(),
            cache: "/cache".into(),
        };
        let path = project.path();
        let first = env::split_paths(&path).next();
        assert_eq!(
            first,
            Some(PathBuf::from(format!("/cache/trunk-{TRUNK}/bin")))
        );
    }
}
