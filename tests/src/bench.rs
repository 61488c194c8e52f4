//! The figures that a logger is judged by, measured on the firmware's own binaries in the emulator's time, and what
//! other ways of updating would need for the same image.
//!
//! It never judges: a figure that misses its goal is printed like any other.

mod link;
pub mod profile;
mod recording;
mod rom;
pub mod smp;
mod stages;
pub mod symbols;

use std::fmt;

use emulator::machine::Machine;
use emulator::time::Time;
use futures_executor::block_on;
use host::conversation::Conversation;
use host::firmware_file::FirmwareFile;
use host::protocol::message::CommonRequest;
use host::update::update;

use crate::{EmulatedLink, built, connect, factory_logger, firmware};
use link::Counting;
use stages::Restart;
use symbols::Symbols;

/// Two full slots of firmware that differs in every page, and a third that is the second with one page of its program changed.
pub const FULL: [&str; 3] = ["bench-full-a.bin", "bench-full-b.bin", "bench-full-c.bin"];
/// The program in the last two of them.
const PROGRAM: &str = "bench-shifted.elf";

/// A measured value, as `name value unit goal`.
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    /// As it is printed; "-" without one.
    goal: &'static str,
}

impl Figure {
    fn new(name: impl Into<String>, value: f64, unit: &'static str, goal: &'static str) -> Self {
        Figure {
            name: name.into(),
            value,
            unit,
            goal,
        }
    }

    fn time(name: impl Into<String>, time: Time, goal: &'static str) -> Self {
        Self::new(name, seconds(time), "s", goal)
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = match self.value {
            value if value >= 1000.0 || value.fract() == 0.0 => 0,
            value if value >= 100.0 => 1,
            _ => 3,
        };
        let Figure {
            name,
            value,
            unit,
            goal,
        } = self;
        write!(f, "{name} {value:.digits$} {unit} {goal}")
    }
}

fn seconds(time: Time) -> f64 {
    time.picos() as f64 / 1e12
}

/// Full speed carries at most 19 packets of 64 bytes in a frame of 1 ms (USB 2.0, table 5-9).
const USB_BYTES_A_SECOND: f64 = 19.0 * 64.0 * 1000.0;

/// Measures everything on emulated loggers and hands over figure by figure.
///
/// # Panics
/// When a logger does not do what the tests promise.
pub fn measure(mut tell: impl FnMut(Figure)) {
    let [a, b, c] = FULL.map(firmware);
    let program = Symbols::read(&built(PROGRAM));
    let before = updated(factory_logger(), &a).machine;

    let mut link = EmulatedLink::new(before.clone());
    let start = link.machine.now();
    link = updated(link, &b);
    let whole = link.machine.now() - start;
    let after = link.machine;
    tell(Figure::time("update-36k", whole, "<=6.0"));

    let full = staged_and_restarted(&before, &b, &program, &mut tell);
    assert_eq!(
        &after.flash()[SLOT_OFFSET..],
        &full.machine.flash()[SLOT_OFFSET..],
        "both ways end with the same image"
    );
    let install = full.install.expect("flash was written");
    tell(Figure::new(
        "install-full",
        seconds(install.time) / seconds(install.floor),
        "x",
        "<=1.10",
    ));
    tell(Figure::time("install-full-time", install.time, "-"));
    tell(Figure::time("install-full-floor", install.floor, "-"));
    tell(Figure::time("restart-to-main-full", full.to_main, "-"));
    tell(Figure::time("not-logging", full.not_logging, "<=4.0"));

    let page = staged_and_restarted(&after, &c, &program, &mut |_| ());
    let install = page.install.expect("flash was written");
    tell(Figure::time("install-one-page", page.to_main, "<=0.6"));
    tell(Figure::time("install-one-page-floor", install.floor, "-"));

    let mut machine = after.clone();
    machine.power_off();
    machine.power_on();
    let start = machine.now();
    let main = stages::run_to(&mut machine, program.address("main"));
    tell(Figure::time("power-on-to-main", main - start, "<=0.35"));

    let (bytes, time) = recording::download_of_all();
    tell(Figure::new(
        "log-download",
        bytes as f64 / 1024.0 / seconds(time),
        "KB/s",
        ">=600",
    ));
    tell(Figure::new(
        "stop-share",
        100.0 * recording::stop_share(),
        "%",
        ">=99",
    ));

    let image = b.image();
    let (mut conversation, _) = connect(EmulatedLink::new(after));
    let machine = &mut conversation.link().machine;
    for (name, in_flight) in [("one-by-one", 1), ("windowed", smp::WINDOW)] {
        let transfer = smp::send(machine.clone(), image, in_flight);
        tell(Figure::time(format!("peer-smp-{name}"), transfer, "-"));
    }
    let traffic = smp::Traffic::of(image);
    tell(Figure::new(
        "peer-smp-wire-per-byte",
        traffic.bytes() as f64 / image.len() as f64,
        "x",
        "-",
    ));
    tell(Figure::time(
        "peer-smp-115200",
        smp::at_115200(&traffic),
        "-",
    ));
    let rom = rom::Update::of(image);
    tell(Figure::time("peer-an3155-115200", rom.time(), "-"));
    tell(Figure::new(
        "peer-an3155-wire-per-byte",
        rom.bytes() as f64 / image.len() as f64,
        "x",
        "-",
    ));
}

/// Where the application's slot begins in flash.
const SLOT_OFFSET: usize = 0x7000;

/// Updates a logger as the page does.
fn updated(link: EmulatedLink, file: &FirmwareFile) -> EmulatedLink {
    let (mut conversation, device) = connect(link);
    block_on(update(&mut conversation, &device, file, |_| {}))
        .unwrap_or_else(|error| panic!("{error}"));
    conversation.into_link()
}

/// The same in its steps, each measured, to the new application's first measurement.
fn staged_and_restarted(
    logger: &Machine,
    file: &FirmwareFile,
    program: &Symbols,
    tell: &mut impl FnMut(Figure),
) -> Restart {
    let (conversation, _) = connect(EmulatedLink::new(logger.clone()));
    let link = Counting::new(conversation.into_link());
    let mut conversation = block_on(Conversation::open(link))
        .map_err(|(_, error)| error)
        .expect("it answers");
    let size = file.image().len() as f64;

    conversation.link().reset();
    block_on(conversation.upload(file.digest(), file.image(), |_| {}))
        .unwrap_or_else(|error| panic!("{error}"));
    let link = conversation.link();
    tell(Figure::new(
        "staging",
        size / 1024.0 / seconds(link.time()),
        "KB/s",
        ">=250",
    ));
    tell(Figure::new(
        "staging-limit-of-usb",
        USB_BYTES_A_SECOND / 1024.0,
        "KB/s",
        "-",
    ));
    tell(Figure::new(
        "wire-per-byte",
        link.sent as f64 / size,
        "x",
        "<=1.03",
    ));
    tell(Figure::new(
        "wire-per-byte-with-answers",
        (link.sent + link.received) as f64 / size,
        "x",
        "-",
    ));

    for (name, request) in [
        ("finish-upload", CommonRequest::FinishUpload),
        ("mark-for-install", CommonRequest::Install),
    ] {
        conversation.link().reset();
        block_on(conversation.tell(request)).unwrap_or_else(|error| panic!("{error}"));
        tell(Figure::time(name, conversation.link().time(), "-"));
    }
    let asked = conversation.link().now();
    block_on(conversation.tell(CommonRequest::Reboot)).unwrap_or_else(|error| panic!("{error}"));
    let machine = conversation.into_link().into_machine();
    stages::restart(machine, asked, program.address("main"))
}
