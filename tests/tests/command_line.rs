//! The command line and the client in Python, as a person uses them: over a serial port of this computer, with the
//! firmware's own binaries behind it.
//!
//! `cargo xtask test firmware` builds the programs and says where they are.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::{env, fs};

use serde_json::{Value, json};

/// A file that `cargo xtask firmware` has built.
fn built(name: &str) -> PathBuf {
    folder("LOGDOCK_FIRMWARE", "../target/firmware").join(name)
}

fn folder(variable: &str, otherwise: &str) -> PathBuf {
    env::var_os(variable).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(otherwise),
        PathBuf::from,
    )
}

/// A virtual logger as a serial port of this computer.
struct VirtualLogger {
    child: Child,
    folder: PathBuf,
}

impl VirtualLogger {
    /// As it leaves the factory, plugged in; its files are in a folder of the test's own.
    fn plug(name: &str) -> VirtualLogger {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the test's folder can be made");
        let mut child = Command::new(self::folder(
            "LOGDOCK_VIRTUAL",
            "../target/emulation/emulator-port",
        ))
        .arg("--link")
        .arg(folder.join("port"))
        .arg(built("factory-1.0.0.hex"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the virtual logger was built");
        let output = child.stdout.take().expect("it has an output");
        let mut lines = BufReader::new(output).lines();
        let plugged =
            lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with("plugged")));
        assert!(plugged.is_some(), "it is plugged in");
        // What it says later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        VirtualLogger { child, folder }
    }

    fn run(&self, mut command: Command, words: &[&str]) -> Output {
        command
            .arg("--port")
            .arg(self.folder.join("port"))
            .args(words)
            .current_dir(&self.folder)
            .output()
            .expect("the program was built")
    }

    fn logdock(&self, words: &[&str]) -> Output {
        let program = folder("LOGDOCK_CLI", "../target/debug/logdock");
        self.run(Command::new(program), words)
    }

    /// What a script gets: the object of this logger.
    fn json(&self, words: &[&str]) -> Value {
        let output = self.logdock(&[&["--json"], words].concat());
        let text = String::from_utf8_lossy(&output.stdout);
        let answer: Value = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{error}: {text} {output:?}"));
        assert_eq!(output.status.success(), answer[0]["error"].is_null());
        answer[0].clone()
    }

    fn python(&self, words: &[&str]) -> Output {
        let python = env::var_os("LOGDOCK_PYTHON").unwrap_or_else(|| "python3".into());
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/python/logdock.py"));
        self.run(command, words)
    }
}

impl Drop for VirtualLogger {
    fn drop(&mut self) {
        if let Some(input) = &mut self.child.stdin {
            let _ = writeln!(input, "quit");
        }
        let _ = self.child.wait();
    }
}

fn path(name: &str) -> String {
    built(name).to_string_lossy().into_owned()
}

#[test]
fn a_script_updates_a_logger_and_goes_back_only_when_it_says_so() {
    let logger = VirtualLogger::plug("cli-update");
    assert_eq!(logger.json(&["info"])["firmware"]["version"], "1.0.0");

    let updated = logger.json(&["update", &path("logger-1.1.0.hex")]);
    assert_eq!(updated["firmware"]["version"], "1.1.0");
    let again = logger.json(&["update", &path("logger-1.1.0.bin")]);
    assert_eq!(again["firmware"], "1.1.0 runs already");

    let older = logger.logdock(&["update", &path("logger-1.0.0.bin")]);
    assert_eq!(older.status.code(), Some(4), "{older:?}");
    assert_eq!(logger.json(&["info"])["firmware"]["version"], "1.1.0");
    let back = logger.json(&["update", "--downgrade", &path("logger-1.0.0.bin")]);
    assert_eq!(back["firmware"]["version"], "1.0.0");
}

#[test]
fn a_script_has_a_logger_go_back_to_what_it_keeps() {
    let logger = VirtualLogger::plug("cli-go-back");
    let nothing = logger.logdock(&["go-back"]);
    assert_eq!(nothing.status.code(), Some(4), "{nothing:?}");
    logger.json(&["update", &path("logger-1.1.0.hex")]);
    for version in ["1.0.0", "1.1.0"] {
        let back = logger.json(&["go-back"]);
        assert_eq!(back["firmware"]["version"], version);
    }
}

#[test]
fn a_file_that_is_not_the_makers_is_refused_with_a_code_of_its_own() {
    let logger = VirtualLogger::plug("cli-refusal");
    let other_key = logger.logdock(&["update", &path("logger-1.1.0-other-key.hex")]);
    assert_eq!(other_key.status.code(), Some(4), "{other_key:?}");
    assert!(String::from_utf8_lossy(&other_key.stderr).contains("signed by someone else"));
    let no_file = logger.logdock(&["update", "nothing.hex"]);
    assert_eq!(no_file.status.code(), Some(1), "{no_file:?}");
    assert_eq!(logger.json(&["info"])["firmware"]["version"], "1.0.0");
}

#[test]
fn settings_are_set_exported_and_imported() {
    let logger = VirtualLogger::plug("cli-settings");
    let set = logger.json(&["settings", "set", "Logger/Name=Gare", "Interval=2.5"]);
    assert_eq!(set["Logger/Name"], "Gare");
    assert_eq!(set["Recording/Interval"], "2.5");

    let refused = logger.logdock(&[
        "settings",
        "set",
        "Interval=1",
        "Logger/Name=much too long for this logger",
    ]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let kept = logger.json(&["settings", "get", "Interval"]);
    assert_eq!(kept["Recording/Interval"], "2.5", "all of them or none");

    assert!(
        logger
            .logdock(&["settings", "export", "all.json"])
            .status
            .success()
    );
    logger.json(&["settings", "defaults"]);
    assert_ne!(logger.json(&["settings", "get"])["Logger/Name"], "Gare");
    logger.json(&["settings", "import", "all.json"]);
    let imported = logger.json(&["settings", "get"]);
    assert_eq!(imported["Logger/Name"], "Gare");
    assert_eq!(imported["Recording/Interval"], "2.5");
}

#[test]
fn the_clock_is_set_and_records_are_downloaded_and_erased() {
    let logger = VirtualLogger::plug("cli-data");
    assert_eq!(logger.json(&["info"])["clock"], "not set");
    logger.json(&["time", "sync"]);
    logger.json(&["settings", "set", "Interval=0.1"]);
    std::thread::sleep(std::time::Duration::from_secs(3));

    let downloaded = logger.json(&["download", "-o", "data.csv"]);
    let records = downloaded["records"].as_u64().expect("a number");
    assert!(records > 10, "{downloaded}");
    assert_eq!(downloaded["missing_records"], json!([]));
    let csv = fs::read_to_string(logger.folder.join("data.csv")).expect("it was written");
    assert_eq!(csv.lines().count() as u64, records + 1);
    assert!(!logger.folder.join("data.csv.segments").exists());

    let unsure = logger.logdock(&["erase"]);
    assert_eq!(unsure.status.code(), Some(2), "{unsure:?}");
    let erased = logger.json(&["erase", "--yes"]);
    assert!(
        erased["segments_erased"]
            .as_u64()
            .is_some_and(|segments| segments > 0)
    );
}

#[test]
fn the_client_in_python_does_what_the_protocols_description_says() {
    let logger = VirtualLogger::plug("python-client");
    let said = |output: Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(said(logger.python(&["info"])).contains("running: 1.0.0"));
    let set = said(logger.python(&["set", "Recording/Interval=2.5", "Logger/Name=Gare"]));
    assert!(
        set.contains("Recording/Interval: 2.5 s") && set.contains("Logger/Name: Gare"),
        "{set}"
    );
    let refused = logger.python(&["set", "Recording/Interval=-1"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("too low"),
        "{refused:?}"
    );
    assert!(said(logger.python(&["update", &path("logger-1.1.0.bin")])).contains("runs 1.1.0"));
    let refused = logger.python(&["update", &path("logger-1.1.0.hex")]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not a signed firmware image"));
    assert_eq!(logger.json(&["info"])["firmware"]["version"], "1.1.0");

    let client = include_str!("../../clients/python/logdock.py");
    assert!(client.lines().count() < 300, "a client is small");
}
