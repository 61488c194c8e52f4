//! A machine at the computer's pace, with its serial port in step with what the emulated USB host sees.
//!
//! The port is there exactly while the host has the device configured. Bytes wait on the side they came from while
//! the other has no room; none is dropped but those that a disconnect loses on hardware as well.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use emulator::machine::{self, Machine};
use emulator::time::Time;
use emulator::usb_host::ControlResult;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io;

use crate::pace::Pace;
use crate::serial_port::{Announcement, PortIdentity, SerialPort};

/// How far the machine runs between two looks at the port: one USB frame.
const SLICE: Time = Time::from_millis(1);
/// How much may wait in the emulated host for the device. What is beyond stays with the program that wrote it.
const TOWARDS_DEVICE: usize = 4096;
/// How much may wait in the emulated host for the program. What is beyond stays in the device.
const TOWARDS_PROGRAM: usize = 16 * 1024;
/// How much may wait on the wires of a USART for the chip. What is beyond stays with the program that wrote it.
const TOWARDS_USART: usize = 64;
/// Longest wait for something to happen while the machine is up to date.
const NAP: Duration = Duration::from_millis(1);

/// What happened by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// The device is configured: there is a port.
    Plugged {
        /// Where programs open it.
        path: PathBuf,
        /// What its descriptors say.
        identity: PortIdentity,
        /// Whether browsers know.
        announcement: Announcement,
    },
    /// The port is gone: the cable was pulled, the device restarted, or its power was cut.
    Unplugged,
    /// A control transfer is over.
    Control(ControlResult),
    /// A transfer to the vendor interface went whole.
    Sent,
    /// One from it is over, with what it brought.
    Brought(Vec<u8>),
    /// The machine stopped, with the reason. Nothing runs until it is reset or power-cycled.
    Halted(String),
}

/// A machine and its serial port.
pub struct VirtualDevice {
    machine: Machine,
    pace: Pace,
    port: Option<SerialPort>,
    /// Which enumeration the port belongs to.
    configuration: u64,
    /// Sent by the device, not yet taken by the pseudo-terminal.
    towards_program: Vec<u8>,
    /// Whether the device was told that a program has the port open (DTR).
    open: bool,
    halted: Option<String>,
    moved: Moved,
    /// Transfers to the vendor interface that are under way.
    sending: usize,
    wires: Option<Wires>,
    /// A path that leads to the port, whichever pseudo-terminal it is.
    link: Option<PathBuf>,
}

/// A USART of the chip, and the pseudo-terminal at the other end of its wires.
struct Wires {
    usart: machine::SerialPort,
    port: SerialPort,
    /// Sent by the chip, not yet taken by the pseudo-terminal.
    towards_program: Vec<u8>,
}

/// Bytes that went over the port since the machine was handed over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// From the program, given to the emulated host.
    pub to_device: u64,
    /// From the device, taken by the pseudo-terminal.
    pub to_program: u64,
}

impl VirtualDevice {
    /// Begins where the machine stands, at the speed of real time.
    pub fn new(mut machine: Machine) -> VirtualDevice {
        machine.usb_mut().set_terminal_ready(false);
        machine.usb_mut().set_incoming_limit(TOWARDS_PROGRAM);
        let pace = Pace::new(1.0, Instant::now(), machine.now());
        VirtualDevice {
            machine,
            pace,
            port: None,
            configuration: 0,
            towards_program: Vec::new(),
            open: false,
            halted: None,
            moved: Moved::default(),
            sending: 0,
            wires: None,
            link: None,
        }
    }

    /// Keeps a symbolic link to the port while it is there: programs that do not know how to look for a device that comes
    /// back open that.
    pub fn link(&mut self, path: PathBuf) {
        self.link = Some(path);
    }

    fn set_link(&self, target: Option<&Path>) -> io::Result<()> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        if link.is_symlink() {
            rustix::fs::unlink(link)?;
        }
        target.map_or(Ok(()), |target| rustix::fs::symlink(target, link))
    }

    /// Offers a USART as a pseudo-terminal, at the baud rate that a program sets there. Gives where programs open it. Browsers
    /// are told of a bridge (CP2102) while the cable is plugged in.
    ///
    /// # Errors
    /// What the kernel says about the pseudo-terminal.
    pub fn wire(&mut self, usart: machine::SerialPort) -> io::Result<PathBuf> {
        let port = SerialPort::wire()?;
        let path = port.path().to_path_buf();
        self.wires = Some(Wires {
            usart,
            port,
            towards_program: Vec::new(),
        });
        Ok(path)
    }

    /// The machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// The machine, for whatever is done to a real one by hand: cable, battery, reset pin.
    pub fn machine_mut(&mut self) -> &mut Machine {
        &mut self.machine
    }

    /// Ends: the port is unplugged, the machine handed back.
    pub fn into_machine(self) -> Machine {
        // A link that cannot be removed leads nowhere; the next one replaces it.
        let _ = self.set_link(None);
        self.machine
    }

    /// The plugged port.
    pub fn port(&self) -> Option<&SerialPort> {
        self.port.as_ref()
    }

    /// Why the machine stopped, if it did.
    pub fn halted(&self) -> Option<&str> {
        self.halted.as_deref()
    }

    /// The rate that a program has set at the other end of a USART's wires, in bits a second; none without wires.
    pub fn wire_baud(&self) -> Option<u32> {
        self.wires.as_ref()?.port.baud().ok()
    }

    /// How much went over the port so far.
    pub fn moved(&self) -> Moved {
        self.moved
    }

    /// To be called after a reset or power-up: a machine that had stopped runs again.
    pub fn restarted(&mut self) {
        self.halted = None;
    }

    /// Virtual seconds a second.
    pub fn speed(&self) -> f64 {
        self.pace.speed()
    }

    /// Goes on at another speed.
    pub fn set_speed(&mut self, speed: f64) {
        self.pace
            .set_speed(speed, Instant::now(), self.machine.now());
    }

    /// Runs the machine for a frame if it is due, and moves bytes. Says what happened by itself.
    ///
    /// # Errors
    /// What the kernel says about the pseudo-terminal.
    pub fn advance(&mut self) -> io::Result<Vec<News>> {
        let mut news = Vec::new();
        self.take_from_program()?;
        if self.is_running() {
            let now = self.machine.now();
            let due = self.pace.until(Instant::now(), now);
            if due > now
                && let Err(halt) = self.machine.run_until(due.min(now + SLICE))
            {
                self.halted = Some(halt.to_string());
                news.push(News::Halted(halt.to_string()));
            }
        }
        self.give_to_program()?;
        self.move_over_wires()?;
        self.tell_transfers(&mut news);
        self.follow_the_host(&mut news)?;
        self.follow_the_cable()?;
        Ok(news)
    }

    /// Waits until the machine is due again or a program has written something, a millisecond at most.
    ///
    /// # Errors
    /// What the kernel says about the pseudo-terminal.
    pub fn wait(&self) -> io::Result<()> {
        let mut nap = NAP;
        if self.is_running() {
            let next = self.machine.now() + SLICE;
            nap = nap.min(self.pace.wait_for(Instant::now(), next));
        }
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: nap.subsec_nanos().into(),
        };
        let mut ends = Vec::new();
        if let Some(port) = &self.port
            && self.room_towards_device() > 0
        {
            ends.push(PollFd::from_borrowed_fd(port.device_end(), PollFlags::IN));
        }
        match poll(&mut ends, Some(&timeout)) {
            Ok(_) | Err(io::Errno::INTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn is_running(&self) -> bool {
        self.halted.is_none()
    }

    fn room_towards_device(&self) -> usize {
        TOWARDS_DEVICE.saturating_sub(self.machine.usb().pending_out())
    }

    fn take_from_program(&mut self) -> io::Result<()> {
        let room = self.room_towards_device();
        let Some(port) = &mut self.port else {
            return Ok(());
        };
        let open = port.is_open()?;
        if open != self.open {
            self.tell_open(open);
        }
        if let Some(port) = &self.port
            && room > 0
        {
            let bytes = port.read(room)?;
            self.machine.usb_mut().write(&bytes);
            self.moved.to_device += bytes.len() as u64;
        }
        Ok(())
    }

    /// DTR. What one program has not read is not for the next.
    fn tell_open(&mut self, open: bool) {
        self.open = open;
        self.towards_program.clear();
        self.machine.usb_mut().read();
        self.machine.usb_mut().set_terminal_ready(open);
    }

    /// What finds no room stays here, and what comes after it stays with the emulated host, which then stops asking.
    fn give_to_program(&mut self) -> io::Result<()> {
        if self.towards_program.is_empty() {
            self.towards_program = self.machine.usb_mut().read();
        }
        if let Some(port) = &mut self.port {
            let taken = port.write(&self.towards_program)?;
            self.towards_program.drain(..taken);
            self.moved.to_program += taken as u64;
        }
        Ok(())
    }

    /// Starts a transfer to the vendor interface; [`News::Sent`] says that it went.
    pub fn send_transfer(&mut self, bytes: &[u8]) {
        self.machine.usb_mut().send_transfer(bytes);
        self.sending += 1;
    }

    /// Gives up all transfers with the vendor interface.
    pub fn cancel_transfers(&mut self) {
        self.machine.usb_mut().cancel_transfers();
        self.sending = 0;
    }

    fn tell_transfers(&mut self, news: &mut Vec<News>) {
        let usb = self.machine.usb_mut();
        // Those that were lost with the device went nowhere.
        let left = usb.transfers_to_send();
        let went = if usb.is_configured() {
            self.sending - left
        } else {
            0
        };
        self.sending = left;
        news.extend((0..went).map(|_| News::Sent));
        news.extend(usb.transfers().into_iter().map(News::Brought));
        news.extend(usb.control_results().into_iter().map(News::Control));
    }

    /// A wire has no flow control: what nobody reads is lost once the pseudo-terminal is full.
    fn move_over_wires(&mut self) -> io::Result<()> {
        let Some(wires) = &mut self.wires else {
            return Ok(());
        };
        // Nobody is told, but what a program leaves behind ends.
        wires.port.is_open()?;
        let chip = self.machine.serial(wires.usart);
        chip.set_baud(Some(wires.port.baud()?));
        let room = TOWARDS_USART.saturating_sub(chip.pending_out());
        if room > 0 {
            chip.write(&wires.port.read(room)?);
        }
        wires.towards_program.extend(chip.read());
        let taken = wires.port.write(&wires.towards_program)?;
        wires.towards_program.drain(..taken);
        let waiting = wires.towards_program.len();
        wires
            .towards_program
            .drain(..waiting.saturating_sub(TOWARDS_PROGRAM));
        Ok(())
    }

    /// A USART's wires lead to a bridge, which is there as long as its cable is in.
    fn follow_the_cable(&mut self) -> io::Result<()> {
        let plugged = self.machine.usb().is_attached();
        if let Some(Wires { port, .. }) = &mut self.wires {
            let known = port.announcement() != Announcement::Unwanted;
            if plugged && !known {
                port.announce(&bridge())?;
            } else if known && !plugged {
                port.withdraw();
            }
        }
        Ok(())
    }

    /// Plugs and unplugs the port as the host configures and loses the device.
    fn follow_the_host(&mut self, news: &mut Vec<News>) -> io::Result<()> {
        let configuration = self.machine.usb().configurations();
        let configured =
            self.is_running() && self.machine.is_on() && self.machine.usb().is_configured();
        if self.port.is_some() && (!configured || configuration != self.configuration) {
            self.port = None;
            self.set_link(None)?;
            self.tell_open(false);
            news.push(News::Unplugged);
        }
        if configured
            && self.port.is_none()
            && let Some(identity) = self.identity()
        {
            let port = SerialPort::plug(&identity)?;
            news.push(News::Plugged {
                path: port.path().to_path_buf(),
                identity,
                announcement: port.announcement(),
            });
            self.set_link(Some(port.path()))?;
            self.port = Some(port);
            self.configuration = configuration;
        }
        Ok(())
    }

    fn identity(&self) -> Option<PortIdentity> {
        let usb = self.machine.usb().identity()?;
        Some(PortIdentity {
            vendor_id: usb.vendor_id,
            product_id: usb.product_id,
            product: usb.product.clone(),
            serial_number: usb.serial_number.clone(),
        })
    }
}

/// The most common one.
fn bridge() -> PortIdentity {
    PortIdentity {
        vendor_id: 0x10C4,
        product_id: 0xEA60,
        product: Some("CP2102 USB to UART Bridge Controller".into()),
        serial_number: Some("0001".into()),
    }
}

#[cfg(test)]
mod tests {
    use emulator::machine::Options;
    use emulator::memory::FLASH_BASE;

    use super::*;

    /// A machine that holds `program` behind a vector table of two words, switched on.
    fn running(program: &[u16]) -> VirtualDevice {
        let mut flash = Vec::new();
        flash.extend(0x2000_2000_u32.to_le_bytes());
        flash.extend((FLASH_BASE + 9).to_le_bytes());
        flash.extend(program.iter().flat_map(|code| code.to_le_bytes()));
        let mut machine = Machine::new(Options::default());
        machine
            .program_flash(FLASH_BASE, &flash)
            .expect("it fits into flash");
        machine.power_on();
        VirtualDevice::new(machine)
    }

    /// Advances until the machine's clock shows `until` or it halts; all the news.
    fn advance_until(device: &mut VirtualDevice, until: Time) -> Vec<News> {
        let mut news = Vec::new();
        while device.machine().now() < until && device.halted().is_none() {
            news.extend(device.advance().expect("the kernel helps"));
            device.wait().expect("the kernel helps");
        }
        news
    }

    /// `b .`: loops for ever.
    const FOR_EVER: u16 = 0xE7FE;
    /// `udf #0`: no instruction.
    const UNDEFINED: u16 = 0xDE00;

    #[test]
    fn virtual_time_does_not_run_ahead_of_the_computer() {
        let started = Instant::now();
        let mut device = running(&[FOR_EVER]);
        let begun = device.machine().now();
        assert_eq!(advance_until(&mut device, Time::from_millis(20)), []);
        // An instruction may be finished after the deadline.
        let slack = Time::from_micros(10);
        let ran = device.machine().now().since(begun);
        assert!(Time::from(started.elapsed()) + slack >= ran);
    }

    #[test]
    fn a_machine_that_halts_is_reported_once_and_runs_again_after_a_reset() {
        let mut device = running(&[UNDEFINED]);
        let news = advance_until(&mut device, Time::from_millis(1000));
        assert!(matches!(news[..], [News::Halted(_)]), "{news:?}");
        let stopped = device.machine().now();
        assert_eq!(device.advance(), Ok(Vec::new()));
        assert_eq!(device.machine().now(), stopped);

        device.machine_mut().reset_pin();
        device.restarted();
        let news = advance_until(&mut device, Time::from_millis(1000));
        assert!(matches!(news[..], [News::Halted(_)]), "{news:?}");
        assert!(device.machine().now() > stopped);
    }
}
