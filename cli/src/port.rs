//! Loggers at the serial ports of this computer.
//!
//! It must never open a port that is not a logger's by its USB identity, unless a person names it: opening a port can
//! reset what is behind it.

use std::fmt;
use std::io::{self, Read, Write};
use std::thread;
use std::time::{Duration, Instant};

use host::link::{Link, LinkError};
use host::update::REPLUG_TIMEOUT;
use protocol::BAUD_RATE;
use protocol::device::{USB_PRODUCT_ID, USB_VENDOR_ID};
use serialport::{SerialPortInfo, SerialPortType};

/// Rates that the common bridges (CP2102, CH340, FT232) can do. A USB port has none, and takes any.
const FASTER: [u32; 3] = [921_600, 460_800, 230_400];
/// How often a port is looked for.
const LOOK: Duration = Duration::from_millis(100);
/// How long it may take until a port that is being opened or written to moves.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a logger that restarts needs to be gone: a port that is opened before is still the old one.
const RESTART: Duration = Duration::from_millis(300);

/// A port that a logger is behind, or may be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it is opened, such as `/dev/ttyACM0` or `COM3`.
    pub path: String,
    /// The serial number that USB says; none for a port that was named and is no USB port.
    pub serial: Option<String>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.serial {
            Some(serial) => write!(f, "{} at {}", serial, self.path),
            None => f.write_str(&self.path),
        }
    }
}

/// The serial number of a port with a logger's USB identity.
fn logger_serial(port: &SerialPortInfo) -> Option<String> {
    match &port.port_type {
        SerialPortType::UsbPort(usb) if (usb.vid, usb.pid) == (USB_VENDOR_ID, USB_PRODUCT_ID) => {
            Some(usb.serial_number.clone().unwrap_or_default())
        }
        _ => None,
    }
}

/// All ports with a logger's USB identity, in order.
pub fn find() -> Result<Vec<Found>, LinkError> {
    let ports =
        serialport::available_ports().map_err(|error| LinkError::System(error.to_string()))?;
    let mut found: Vec<_> = ports
        .into_iter()
        // macOS lists each port twice; this one waits for a carrier that never comes.
        .filter(|port| !port.port_name.starts_with("/dev/tty."))
        .filter_map(|port| {
            let serial = logger_serial(&port)?;
            Some(Found {
                path: port.port_name,
                serial: Some(serial),
            })
        })
        .collect();
    found.sort();
    Ok(found)
}

/// A logger's port, open or waiting to be.
pub struct Port {
    found: Found,
    open: Option<Box<dyn serialport::SerialPort>>,
    /// How long a person may take to plug the cable in again.
    wait: Duration,
}

impl Port {
    /// Opens it. When it is unplugged later, it is waited for so long.
    pub fn open(found: Found, wait: Duration) -> Result<Port, LinkError> {
        let open = Some(open(&found.path)?);
        Ok(Port { found, open, wait })
    }

    fn try_again(&mut self) -> Option<Box<dyn serialport::SerialPort>> {
        if let Some(serial) = self.found.serial.clone() {
            // It may come back under another name.
            let again = find().ok()?;
            self.found = again
                .into_iter()
                .find(|found| found.serial.as_ref() == Some(&serial))?;
        }
        open(&self.found.path).ok()
    }
}

fn open(path: &str) -> Result<Box<dyn serialport::SerialPort>, LinkError> {
    serialport::new(path, BAUD_RATE)
        .timeout(PATIENCE)
        .open()
        .map_err(|error| LinkError::System(format!("{path}: {error}")))
}

impl Link for Port {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let port = self.open.as_mut().ok_or(LinkError::Lost)?;
        let sent = port.set_timeout(PATIENCE).map_err(io::Error::from);
        sent.and_then(|()| port.write_all(bytes)).map_err(|_| {
            self.open = None;
            LinkError::Lost
        })
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let port = self.open.as_mut().ok_or(LinkError::Lost)?;
        let mut bytes = vec![0; 4096];
        let set = port.set_timeout(timeout).map_err(io::Error::from);
        match set.and_then(|()| port.read(&mut bytes)) {
            // A port that ends is one that was unplugged.
            Ok(0) => {}
            Ok(length) => {
                bytes.truncate(length);
                return Ok(bytes);
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Vec::new()),
            Err(_) => {}
        }
        self.open = None;
        Err(LinkError::Lost)
    }

    async fn reopen(&mut self, timeout: Duration) -> Result<(), LinkError> {
        self.open = None;
        // A restart takes the time that it takes; a person may take as long as was said.
        let timeout = if timeout < REPLUG_TIMEOUT {
            timeout
        } else {
            self.wait
        };
        let end = Instant::now() + timeout;
        thread::sleep(RESTART);
        loop {
            self.open = self.try_again();
            if self.open.is_some() {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(LinkError::NotBack);
            }
            thread::sleep(LOOK);
        }
    }

    fn baud_rates(&self) -> &'static [u32] {
        // A logger's own USB port has no rate.
        if self.found.serial.is_some() {
            &[]
        } else {
            &FASTER
        }
    }

    async fn set_baud_rate(&mut self, baud: u32) -> Result<(), LinkError> {
        let port = self.open.as_mut().ok_or(LinkError::Lost)?;
        port.flush()
            .map_err(serialport::Error::from)
            .and_then(|()| port.set_baud_rate(baud))
            .map_err(|error| LinkError::System(error.to_string()))
    }

    async fn sleep(&mut self, time: Duration) {
        thread::sleep(time);
    }
}
