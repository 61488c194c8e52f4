//! Something else on a serial port, behind an FT232R: a GPS receiver that talks all the time, or a modem that says back
//! what it hears. For tests of what a program makes of it; it must never answer as a logger would.
//!
//! `stranger gps` or `stranger modem` plugs it in and prints its path; it is unplugged when standard input ends.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use std::{env, io};

use emulator_port::{PortIdentity, SerialPort};

/// How often it looks whether something came.
const LOOK: Duration = Duration::from_millis(5);
/// Between two sentences of the receiver.
const SECOND: Duration = Duration::from_secs(1);
/// Where it is (NMEA 0183, GGA).
const POSITION: &[u8] = b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n";
/// What the modem says to each line that it does not understand (ITU-T V.250, 5.7.1).
const ERROR: &[u8] = b"\r\nERROR\r\n";

fn main() -> ExitCode {
    let kind = env::args().nth(1).unwrap_or_default();
    let ended = match kind.as_str() {
        "gps" => run(gps()),
        "modem" => run(modem),
        _ => {
            eprintln!("usage: stranger gps|modem");
            return ExitCode::FAILURE;
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("stranger: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plugs it in. While a program has the port open, `answer` gets what came, and gives what is said.
fn run(mut answer: impl FnMut(&[u8]) -> Vec<u8>) -> io::Result<()> {
    static UNPLUGGED: AtomicBool = AtomicBool::new(false);
    thread::spawn(|| {
        // However it ends, it is the end.
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        UNPLUGGED.store(true, Ordering::Relaxed);
    });
    let mut port = SerialPort::plug(&PortIdentity {
        vendor_id: 0x0403,
        product_id: 0x6001,
        product: Some("FT232R USB UART".into()),
        serial_number: Some("A50285BI".into()),
    })?;
    println!("plugged {}", port.path().display());
    while !UNPLUGGED.load(Ordering::Relaxed) {
        let heard = port.read(4096)?;
        if port.is_open()? {
            // What finds no room is lost, as on a wire.
            port.write(&answer(&heard))?;
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// It listens to nobody.
fn gps() -> impl FnMut(&[u8]) -> Vec<u8> {
    let mut said: Option<Instant> = None;
    move |_| {
        if said.is_some_and(|said| said.elapsed() < SECOND) {
            return Vec::new();
        }
        said = Some(Instant::now());
        POSITION.into()
    }
}

/// It says back what it hears, and that it is wrong.
fn modem(heard: &[u8]) -> Vec<u8> {
    let mut said = heard.to_vec();
    if !heard.is_empty() {
        said.extend(ERROR);
    }
    said
}
