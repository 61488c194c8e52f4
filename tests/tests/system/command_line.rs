//! The command line and the client in Python, as a person uses them: over a serial port of this computer, with the
//! firmware's own binaries behind it.
//!
//! `cargo xtask test firmware` builds the programs and says where they are.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;
use std::{env, fs, thread};

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
    /// What it says.
    lines: Receiver<String>,
    folder: PathBuf,
    port: PathBuf,
}

/// Longest that anything the virtual logger does by itself may take.
const PATIENCE: Duration = Duration::from_secs(20);

impl VirtualLogger {
    /// As it leaves the factory, plugged in; its files are in a folder of the test's own.
    fn plug(name: &str) -> VirtualLogger {
        let mut logger = VirtualLogger::start(name, "factory-1.0.0.hex", &["--link", "port"]);
        logger.hear("plugged ");
        logger
    }

    /// The one with a USART, behind a bridge.
    fn plug_bridge(name: &str) -> VirtualLogger {
        let options = ["--usart", "usart2"];
        let mut logger = VirtualLogger::start(name, "factory-usart-1.0.0.hex", &options);
        logger.port = PathBuf::from(&logger.hear("usart ")["usart ".len()..]);
        logger
    }

    fn start(name: &str, firmware: &str, options: &[&str]) -> VirtualLogger {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).expect("the test's folder can be made");
        let program = self::folder("LOGDOCK_VIRTUAL", "../target/debug/emulator-port");
        let mut child = Command::new(program)
            .args(options)
            .arg(built(firmware))
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the virtual logger was built");
        let output = child.stdout.take().expect("it has an output");
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody may be listening any more; it must not be stopped by a full pipe.
                let _ = sender.send(line);
            }
        });
        let port = folder.join("port");
        VirtualLogger {
            child,
            lines,
            folder,
            port,
        }
    }

    /// The next line that begins so.
    fn hear(&mut self, beginning: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("it did not say {beginning:?}"));
            if line.starts_with(beginning) {
                return line;
            }
        }
    }

    /// What is done by hand to a real one.
    fn tell(&mut self, command: &str) {
        let input = self.child.stdin.as_mut().expect("it has an input");
        writeln!(input, "{command}").expect("it listens");
    }

    /// What it says of itself: its own memory and cable, not its firmware.
    fn status(&mut self) -> Value {
        self.tell("status");
        serde_json::from_str(&self.hear("{")).expect("JSON")
    }

    fn run(&self, mut command: Command, words: &[&str]) -> Output {
        command
            .arg("--port")
            .arg(&self.port)
            .args(words)
            .current_dir(&self.folder)
            .output()
            .expect("the program was built")
    }

    fn logdock(&self, words: &[&str]) -> Output {
        self.run(logdock(), words)
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

fn logdock() -> Command {
    Command::new(folder("LOGDOCK_CLI", "../target/debug/logdock"))
}

/// The same on several loggers at once.
fn logdock_on(loggers: &[VirtualLogger], words: &[&str]) -> Command {
    let mut command = logdock();
    command.current_dir(&loggers[0].folder).arg("--json");
    for logger in loggers {
        command.arg("--port").arg(&logger.port);
    }
    command.args(words);
    command
}

/// What a script gets: an object for each logger, in the order of their ports.
fn objects(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
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
    thread::sleep(Duration::from_secs(3));

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
fn several_loggers_are_updated_at_once_and_one_that_is_unplugged_does_not_hold_the_others_up() {
    let mut loggers = ["cli-three-a", "cli-three-b", "cli-three-c"].map(VirtualLogger::plug);
    let words = ["update", "--wait", "2", &path("logger-1.1.0.hex")];
    let child = logdock_on(&loggers, &words)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program was built");
    while loggers[1].status()["bytes_to_device"].as_u64() < Some(10_000) {
        thread::sleep(Duration::from_millis(5));
    }
    loggers[1].tell("unplug");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let answers = objects(&output);
    assert_eq!(answers.len(), 3, "{answers:?}");
    for (logger, answer) in loggers.iter().zip(&answers) {
        assert_eq!(answer["port"], json!(logger.port));
    }
    assert_eq!(answers[0]["firmware"]["version"], "1.1.0");
    assert_eq!(answers[2]["firmware"]["version"], "1.1.0");
    let error = answers[1]["error"].as_str().expect("it was unplugged");
    assert!(error.contains("did not come back"), "{error}");

    loggers[1].tell("plug");
    loggers[1].hear("plugged ");
    let again = logdock_on(&loggers, &words).output().expect("it runs");
    assert_eq!(again.status.code(), Some(0), "{again:?}");
    assert_eq!(objects(&again)[0]["firmware"], "1.1.0 runs already");
    assert_eq!(objects(&again)[1]["firmware"]["version"], "1.1.0");
}

#[test]
fn several_loggers_are_set_and_read_out_at_once() {
    let two = [("cli-two-a", "A1"), ("cli-two-b", "B2")].map(|(name, serial)| {
        let serial = format!("{serial:0>24}");
        let options = ["--link", "port", "--serial", &serial];
        let mut logger = VirtualLogger::start(name, "factory-1.0.0.hex", &options);
        logger.hear("plugged ");
        logger
    });
    let run = |words: &[&str]| logdock_on(&two, words).output().expect("it runs");
    let set = run(&["settings", "set", "Interval=0.1", "Logger/Name=Pair"]);
    assert_eq!(set.status.code(), Some(0), "{set:?}");
    assert!(
        objects(&set)
            .iter()
            .all(|answer| answer["Recording/Interval"] == "0.1")
    );
    thread::sleep(Duration::from_secs(2));

    let downloaded = run(&["download"]);
    assert_eq!(downloaded.status.code(), Some(0), "{downloaded:?}");
    let files: BTreeSet<_> = objects(&downloaded)
        .iter()
        .map(|answer| answer["written_to"].as_str().expect("a file").to_owned())
        .collect();
    assert_eq!(files.len(), 2, "each has its own: {files:?}");
    for file in &files {
        let csv = fs::read_to_string(two[0].folder.join(file)).expect("it was written");
        assert!(csv.lines().count() > 5, "{csv}");
    }
    let one_file = run(&["download", "-o", "both.csv"]);
    assert_eq!(one_file.status.code(), Some(2), "{one_file:?}");

    // One refuses: nothing is hidden behind the other's success.
    let wrong = run(&["update", &path("logger-direct-1.1.0.hex")]);
    assert_eq!(wrong.status.code(), Some(4), "{wrong:?}");
}

#[test]
fn each_logger_gets_what_a_catalogue_has_for_it() {
    let plain = VirtualLogger::plug("cli-catalogue");
    let mut direct = VirtualLogger::start(
        "cli-catalogue-direct",
        "factory-direct-1.0.0.hex",
        &["--link", "port"],
    );
    direct.hear("plugged ");
    let loggers = [plain, direct];
    let catalogue = path("catalogue.json");
    let words = ["update", "--catalogue", &catalogue];
    for expected in [Value::Null, json!("nothing newer for this logger")] {
        let output = logdock_on(&loggers, &words).output().expect("it runs");
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        for answer in objects(&output) {
            assert_eq!(answer["firmware"]["version"], "1.1.0", "{answer}");
            assert_eq!(answer["catalogue"], expected);
        }
    }

    // A file that was changed after it was listed.
    let folder = &loggers[0].folder;
    let newer = fs::read_to_string(&catalogue).expect("it was built");
    let newer = newer.replace("\"1.1.0\"", "\"1.2.0\"");
    fs::write(folder.join("catalogue.json"), newer).expect("it can be written");
    fs::write(folder.join("logger-1.1.0.hex"), ":00000001FF\n").expect("it can be written");
    let changed = loggers[0].logdock(&["update", "--catalogue", "catalogue.json"]);
    assert_eq!(changed.status.code(), Some(4), "{changed:?}");
    assert!(
        String::from_utf8_lossy(&changed.stderr).contains("not the one"),
        "{changed:?}"
    );
}

#[test]
fn what_a_logger_measures_and_how_it_is_can_be_read_by_a_script() {
    let logger = VirtualLogger::plug("cli-watch");
    let watched = logger.logdock(&["--json", "watch", "--interval", "0.2", "--count", "3"]);
    let text = String::from_utf8_lossy(&watched.stdout);
    let looks: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    assert_eq!(looks.len(), 3, "{watched:?}");
    let supply = &looks[0]["values"]["Supply"];
    assert_eq!(supply["unit"], "V", "{}", looks[0]);
    let volts = supply["value"].as_f64().expect("a number");
    assert!((2.0..4.0).contains(&volts), "{volts}");

    let often = logger.json(&["battery", "1000"]);
    logger.json(&["settings", "set", "Interval=60"]);
    let seldom = logger.json(&["battery", "1000"]);
    let days = |answer: &Value| answer["lasts"]["days"].as_f64().expect("a number");
    assert!(days(&seldom) > days(&often), "{seldom} {often}");

    let report = logger.json(&["report"]);
    assert_eq!(report["Recording/Interval"], "60.0");
    assert_eq!(report["memory"]["bad_blocks"], 0);
    assert_eq!(report["class"], "3ff06baf-4251-53b9-a26a-0aa7defaa40e");

    let resets = logger.json(&["restart"]);
    assert_eq!(resets["firmware"]["version"], "1.0.0");
    assert_eq!(
        logger.json(&["info"])["started_by"],
        "a restart that was asked for"
    );

    let exported = logger.logdock(&["settings", "export"]);
    let file: Value = serde_json::from_slice(&exported.stdout).expect("a file and nothing else");
    assert_eq!(logger.json(&["settings", "export"])["file"], file);
}

#[test]
fn a_logger_behind_a_bridge_is_updated_at_the_fastest_rate() {
    let mut logger = VirtualLogger::plug_bridge("cli-bridge");
    assert_eq!(logger.json(&["info"])["model"], "LD-1U");
    let words = ["update", &path("logger-usart-1.1.0.hex")];
    let mut child = logdock()
        .arg("--port")
        .arg(&logger.port)
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program was built");
    let mut rates = BTreeSet::new();
    while child.try_wait().expect("it runs").is_none() {
        rates.insert(logger.status()["usart_baud"].as_u64().expect("a number"));
        thread::sleep(Duration::from_millis(10));
    }
    assert!(child.wait().expect("it ended").success());
    assert!(
        rates.contains(&921_600) && rates.contains(&115_200),
        "{rates:?}"
    );
    assert_eq!(logger.json(&["info"])["firmware"]["version"], "1.1.0");
    let set = logger.json(&["settings", "set", "Interval=0.1"]);
    assert_eq!(set["Recording/Interval"], "0.1");
    thread::sleep(Duration::from_secs(1));
    let downloaded = logger.json(&["download", "-o", "data.csv"]);
    assert!(downloaded["records"].as_u64() > Some(3), "{downloaded}");
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

    let client = include_str!("../../../clients/python/logdock.py");
    assert!(client.lines().count() < 300, "a client is small");
}

#[test]
fn the_client_in_python_updates_every_kind_of_logger() {
    let start = |name: &str, firmware: &str| {
        let mut logger = VirtualLogger::start(name, firmware, &["--link", "port"]);
        logger.hear("plugged ");
        logger
    };
    let said = |output: Output| {
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };

    let direct = start("python-direct", "factory-direct-1.0.0.hex");
    assert!(said(direct.python(&["info"])).contains("direct: True"));
    let refused = direct.python(&["update", &path("logger-1.1.0.bin")]);
    assert!(
        String::from_utf8_lossy(&refused.stderr).contains("other hardware"),
        "{refused:?}"
    );
    let update = ["update", &path("logger-direct-1.1.0.bin")];
    assert!(said(direct.python(&update)).contains("runs 1.1.0"));
    assert_eq!(direct.json(&["info"])["update"], "none under way");

    let empty = start("python-update-mode", "bootloader.hex");
    assert!(said(empty.python(&["info"])).contains("program: bootloader (update mode)"));
    let update = ["update", &path("logger-1.0.0.bin")];
    assert!(said(empty.python(&update)).contains("runs 1.0.0"));
    assert_eq!(empty.json(&["info"])["mode"], "normal");

    let bridge = VirtualLogger::plug_bridge("python-bridge");
    let update = ["update", &path("logger-usart-1.1.0.bin")];
    assert!(said(bridge.python(&update)).contains("runs 1.1.0"));
}
