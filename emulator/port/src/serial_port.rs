//! One plugged serial port: a pseudo-terminal, and the word to browsers that it is a USB device.
//!
//! A pseudo-terminal tells its other end nothing of opening and closing; inotify does, so that the device sees DTR as
//! it does on hardware, where the kernel raises it with the first open and drops it with the last close.
//!
//! It lives as long as the device is configured: a device that comes back gets a new one, as Linux makes a new tty.
//! It must never block: the machine's time depends on whoever calls it.

use std::fs;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::{self, Errno};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    OptionalActions, QueueSelector, ioctl_tiocnxcl, tcflush, tcgetattr, tcsetattr,
};

use crate::udev::{self, Action};

/// How long a program gets to fetch what the device had already sent when it disappeared. A real host has read such
/// bytes long before it notices the disconnect.
const LAST_BYTES: Duration = Duration::from_millis(500);
/// How long the kernel may take to bring written bytes to the program's end, where they count as unread.
const DELIVERY: Duration = Duration::from_millis(20);

/// Who the USB device says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortIdentity {
    /// idVendor of the device descriptor.
    pub vendor_id: u16,
    /// idProduct of the device descriptor.
    pub product_id: u16,
    /// The product's name, if it has one.
    pub product: Option<String>,
    /// The serial number, if it has one. Without it a browser's permission ends with the plug.
    pub serial_number: Option<String>,
}

/// Whether browsers were told of the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announcement {
    /// Every browser in this network namespace knows.
    Sent,
    /// CAP_NET_ADMIN is missing: programs can open the port by its path, browsers do not list it.
    NotPermitted,
    /// It is no USB device: nobody was to be told.
    Unwanted,
}

/// A serial port. Dropping it is pulling the plug: browsers are told, and every open file of it is dead.
#[derive(Debug)]
pub struct SerialPort {
    /// The device's end.
    master: OwnedFd,
    /// Kept open so that the device's end does not see a hang-up while no program has the port open.
    slave: OwnedFd,
    /// Reports programs that open and close it.
    watch: OwnedFd,
    /// Programs that have it open.
    openings: usize,
    path: PathBuf,
    properties: Vec<(&'static str, String)>,
    announcement: Announcement,
    last_written: Option<Instant>,
}

impl SerialPort {
    /// Makes the pseudo-terminal and tells browsers.
    ///
    /// # Errors
    /// Whatever the kernel says about pseudo-terminals, and about the netlink socket other than a missing permission.
    pub fn plug(identity: &PortIdentity) -> io::Result<SerialPort> {
        let mut port = SerialPort::wire()?;
        port.announce(identity)?;
        Ok(port)
    }

    /// Tells browsers of it.
    ///
    /// # Errors
    /// Whatever the kernel says about the netlink socket other than a missing permission.
    pub fn announce(&mut self, identity: &PortIdentity) -> io::Result<()> {
        self.properties = properties(identity, &self.path);
        self.announcement = match udev::broadcast(Action::Add, &self.properties) {
            Ok(()) => Announcement::Sent,
            Err(Errno::PERM) => Announcement::NotPermitted,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    /// Tells browsers that it is gone, when they were told of it.
    pub fn withdraw(&mut self) {
        if self.announcement == Announcement::Sent {
            // Nobody to tell the error to, and the port is gone either way: programs that have it open see the hang-up.
            let _ = udev::broadcast(Action::Remove, &self.properties);
        }
        self.announcement = Announcement::Unwanted;
    }

    /// Makes a pseudo-terminal that browsers are not told of yet: the other end of a USART's wires.
    ///
    /// # Errors
    /// Whatever the kernel says about pseudo-terminals.
    pub fn wire() -> io::Result<SerialPort> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&master, true)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let path = PathBuf::from(
            ptsname(&master, Vec::new())?
                .into_string()
                .map_err(|_| Errno::ILSEQ)?,
        );
        let slave = rustix::fs::open(
            &path,
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let mut raw = tcgetattr(&slave)?;
        raw.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &raw)?;
        give_to_the_user(&slave)?;
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let events = WatchFlags::OPEN | WatchFlags::CLOSE_WRITE | WatchFlags::CLOSE_NOWRITE;
        inotify::add_watch(&watch, &path, events)?;
        Ok(SerialPort {
            master,
            slave,
            watch,
            openings: 0,
            path,
            properties: Vec::new(),
            announcement: Announcement::Unwanted,
            last_written: None,
        })
    }

    /// Where programs open it, such as `/dev/pts/3`.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether browsers know of it.
    pub fn announcement(&self) -> Announcement {
        self.announcement
    }

    /// Whether a program has the port open. When the last one has closed it, what that had not read is gone, and so is
    /// its wish that nobody else open it (TIOCEXCL): as on a real tty, where this end does not keep the terminal open.
    /// What it had written still goes to the device. To be called every few milliseconds.
    ///
    /// # Errors
    /// What the kernel says about the watch.
    pub fn is_open(&mut self) -> io::Result<bool> {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(&self.watch, &mut buffer);
        loop {
            let happened = match events.next() {
                Ok(event) => event.events(),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            if happened.contains(ReadFlags::OPEN) {
                self.openings += 1;
            } else if happened.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::CLOSE_NOWRITE) {
                self.openings = self.openings.saturating_sub(1);
                if self.openings == 0 {
                    tcflush(&self.slave, QueueSelector::IFlush)?;
                }
            }
        }
        if self.openings == 0 {
            ioctl_tiocnxcl(&self.slave)?;
        }
        Ok(self.openings > 0)
    }

    /// The device's end, to wait on.
    pub(crate) fn device_end(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// The rate that a program has set, in bits a second; none that was ever set means what the kernel begins with.
    ///
    /// # Errors
    /// What the kernel says about the terminal.
    pub fn baud(&self) -> io::Result<u32> {
        Ok(tcgetattr(&self.slave)?.output_speed())
    }

    /// Takes up to `most` bytes that a program has written to the port; empty when there are none.
    pub fn read(&self, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; most];
        let got = none_when_blocked(rustix::io::read(&self.master, &mut bytes))?;
        bytes.truncate(got);
        Ok(bytes)
    }

    /// Offers bytes from the device to the program; says how many found room.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        self.last_written = Some(Instant::now());
        none_when_blocked(rustix::io::write(&self.master, bytes))
    }

    /// Whether bytes are on their way to a program, or waiting for one to read them.
    fn has_unread(&self) -> bool {
        self.last_written
            .is_some_and(|written| written.elapsed() < DELIVERY)
            || self.unread() > 0
    }

    /// Bytes that wait for a program to read them.
    fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.slave).unwrap_or(0)
    }
}

impl Drop for SerialPort {
    fn drop(&mut self) {
        let end = Instant::now() + LAST_BYTES;
        while self.is_open() == Ok(true) && self.has_unread() && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        self.withdraw();
    }
}

/// Zero where nothing can be moved now.
fn none_when_blocked(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(Errno::AGAIN | Errno::INTR) => Ok(0),
        other => other,
    }
}

/// Under sudo the port would be root's, and the person's browser could not open it.
fn give_to_the_user(slave: &OwnedFd) -> io::Result<()> {
    let id = |name| {
        std::env::var(name)
            .ok()
            .and_then(|id| id.parse::<u32>().ok())
    };
    match (id("SUDO_UID"), id("SUDO_GID")) {
        (Some(user), Some(group)) if rustix::process::geteuid().is_root() => {
            rustix::fs::fchown(slave, Some(Uid::from_raw(user)), Some(Gid::from_raw(group)))
        }
        _ => Ok(()),
    }
}

/// What udev would say of a USB CDC device with this identity.
fn properties(identity: &PortIdentity, path: &Path) -> Vec<(&'static str, String)> {
    let name = path.display().to_string();
    // One for each port, so that two virtual loggers are two devices.
    let number: String = name.chars().filter(char::is_ascii_digit).collect();
    let (major, minor) = serial_driver_numbers();
    let mut properties = vec![
        (
            "DEVPATH",
            format!("/devices/virtual/usb/logger{number}/1-1:1.0/tty/ttyACM{number}"),
        ),
        ("SUBSYSTEM", "tty".to_string()),
        ("SEQNUM", "1".to_string()),
        ("DEVNAME", name),
        ("MAJOR", major),
        ("MINOR", minor),
        ("ID_BUS", "usb".to_string()),
        ("ID_VENDOR_ID", format!("{:04x}", identity.vendor_id)),
        ("ID_MODEL_ID", format!("{:04x}", identity.product_id)),
    ];
    let strings = [
        ("ID_MODEL_ENC", &identity.product),
        ("ID_SERIAL_SHORT", &identity.serial_number),
    ];
    for (key, text) in strings {
        properties.extend(text.as_ref().map(|text| (key, encoded(text))));
    }
    properties
}

/// Chromium drops a tty whose device numbers belong to no driver of type "serial" in `/proc/tty/drivers`: the numbers
/// of the first one, or those of `/dev/ttyS0` (Linux, `Documentation/admin-guide/devices.txt`) where the file is hidden.
fn serial_driver_numbers() -> (String, String) {
    let drivers = fs::read_to_string("/proc/tty/drivers").unwrap_or_default();
    first_serial_driver(&drivers).unwrap_or_else(|| ("4".to_string(), "64".to_string()))
}

fn first_serial_driver(drivers: &str) -> Option<(String, String)> {
    drivers.lines().find_map(
        |line| match line.split_whitespace().collect::<Vec<_>>()[..] {
            [_, _, major, minors, "serial", ..] => {
                let first = minors.split('-').next().unwrap_or(minors);
                Some((major.to_string(), first.to_string()))
            }
            _ => None,
        },
    )
}

/// udev's encoding of text from a device: whatever is not plainly safe becomes `\xNN` (`encode_devnode_name`).
fn encoded(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'0'..=b'9'
            | b'A'..=b'Z'
            | b'a'..=b'z'
            | b'#'
            | b'+'
            | b'-'
            | b'.'
            | b':'
            | b'='
            | b'@'
            | b'_' => {
                out.push(char::from(byte));
            }
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::{Read, Write};

    use super::*;

    fn logger() -> PortIdentity {
        PortIdentity {
            vendor_id: 0x1209,
            product_id: 0x0001,
            product: Some("Test logger".to_string()),
            serial_number: Some("0123AB".to_string()),
        }
    }

    /// Reads from the device's end until so many bytes are there.
    fn device_reads(port: &SerialPort, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..1000 {
            bytes.extend(port.read(4096).expect("the port is open"));
            if bytes.len() >= count {
                break;
            }
            thread::sleep(Duration::from_millis(1));
        }
        bytes
    }

    #[test]
    fn every_byte_value_passes_both_ways_unchanged() {
        let mut port = SerialPort::plug(&logger()).expect("a port");
        let mut program = OpenOptions::new()
            .read(true)
            .write(true)
            .open(port.path())
            .expect("the port opens");
        let all: Vec<u8> = (0..=255).collect();

        program.write_all(&all).expect("the program writes");
        assert_eq!(device_reads(&port, all.len()), all);

        assert_eq!(port.write(&all), Ok(all.len()));
        let mut got = vec![0; all.len()];
        program.read_exact(&mut got).expect("the program reads");
        assert_eq!(got, all);
    }

    #[test]
    fn a_program_that_does_not_read_stops_the_device_instead_of_losing_bytes() {
        let mut port = SerialPort::plug(&logger()).expect("a port");
        let mut program = OpenOptions::new()
            .read(true)
            .write(true)
            .open(port.path())
            .expect("the port opens");
        let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut taken = 0;
        loop {
            match port.write(&sent[taken..]).expect("the port is open") {
                0 => break,
                more => taken += more,
            }
        }
        assert!(taken < sent.len(), "the terminal's buffer is finite");
        let mut got = vec![0; taken];
        program.read_exact(&mut got).expect("the program reads");
        assert!(got == sent[..taken], "what was taken arrives whole");
    }

    #[test]
    fn the_device_sees_programs_open_and_close_the_port() {
        let mut port = SerialPort::plug(&logger()).expect("a port");
        let open = |port: &SerialPort| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(port.path())
                .expect("it opens")
        };
        assert_eq!(port.is_open(), Ok(false));
        let first = open(&port);
        assert_eq!(port.is_open(), Ok(true));
        let second = open(&port);
        assert_eq!(port.is_open(), Ok(true));
        drop(first);
        assert_eq!(port.is_open(), Ok(true), "one still has it");
        drop(second);
        assert_eq!(port.is_open(), Ok(false));
    }

    #[test]
    fn what_a_program_left_unread_does_not_reach_the_next_one() {
        let mut port = SerialPort::plug(&logger()).expect("a port");
        let open = |port: &SerialPort| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(port.path())
                .expect("it opens")
        };
        let first = open(&port);
        assert_eq!(port.write(b"stale"), Ok(5));
        while port.unread() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        drop(first);
        assert_eq!(port.is_open(), Ok(false));
        let mut second = open(&port);
        assert_eq!(port.write(b"fresh"), Ok(5));
        let mut got = [0; 5];
        second.read_exact(&mut got).expect("the program reads");
        assert_eq!(got, *b"fresh");
    }

    #[test]
    fn pulling_the_plug_ends_a_pending_read() {
        let port = SerialPort::plug(&logger()).expect("a port");
        let mut program = OpenOptions::new()
            .read(true)
            .write(true)
            .open(port.path())
            .expect("the port opens");
        let reader = thread::spawn(move || program.read(&mut [0; 1]));
        thread::sleep(Duration::from_millis(20));
        drop(port);
        let ended = reader.join().expect("the reader's thread ends");
        assert!(
            matches!(ended, Ok(0) | Err(_)),
            "a hang-up, not data: {ended:?}"
        );
    }

    #[test]
    fn bytes_sent_just_before_the_plug_is_pulled_still_arrive() {
        let mut port = SerialPort::plug(&logger()).expect("a port");
        let mut program = OpenOptions::new()
            .read(true)
            .write(true)
            .open(port.path())
            .expect("the port opens");
        assert_eq!(port.write(b"bye"), Ok(3));
        while port.unread() == 0 {
            thread::sleep(Duration::from_millis(1));
        }
        let reader = thread::spawn(move || {
            let mut got = [0; 3];
            program.read_exact(&mut got).map(|()| got)
        });
        drop(port);
        assert_eq!(
            reader
                .join()
                .expect("the reader's thread ends")
                .expect("the bytes"),
            *b"bye"
        );
    }

    #[test]
    fn browsers_are_told_what_the_descriptors_say() {
        let properties = properties(&logger(), Path::new("/dev/pts/7"));
        for expected in [
            ("DEVNAME", "/dev/pts/7"),
            ("ID_VENDOR_ID", "1209"),
            ("ID_MODEL_ID", "0001"),
            ("ID_MODEL_ENC", "Test\\x20logger"),
            ("ID_SERIAL_SHORT", "0123AB"),
        ] {
            assert!(
                properties
                    .iter()
                    .any(|(key, value)| (*key, value.as_str()) == expected),
                "{expected:?}"
            );
        }
    }

    #[test]
    fn a_device_without_a_serial_number_is_not_given_one() {
        let nameless = PortIdentity {
            serial_number: None,
            ..logger()
        };
        let properties = properties(&nameless, Path::new("/dev/pts/7"));
        assert!(properties.iter().all(|(key, _)| *key != "ID_SERIAL_SHORT"));
    }

    #[test]
    fn the_first_serial_driver_lends_its_numbers() {
        let drivers = "/dev/tty             /dev/tty        5       0 system:/dev/tty\n\
                       usbserial            /dev/ttyUSB   188 0-511 serial\n\
                       serial               /dev/ttyS       4 64-95 serial\n";
        assert_eq!(
            first_serial_driver(drivers),
            Some(("188".to_string(), "0".to_string()))
        );
        assert_eq!(
            first_serial_driver("pty_slave /dev/pts 136 0-1048575 pty:slave\n"),
            None
        );
    }
}
