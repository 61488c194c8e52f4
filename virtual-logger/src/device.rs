//! A machine with its serial port, in step with what the emulated USB host sees.
//!
//! The port is there exactly while the host has the device configured. Bytes wait on the side they came from while the
//! other has no room; none is dropped but those that a disconnect loses on hardware as well.

use emulator::machine::Machine;
use emulator::time::Time;
use virtual_logger_messages::{Command, Event};

/// How far the machine runs between two looks at the port: one USB frame.
const SLICE: Time = Time::from_millis(1);
/// How much may wait in the emulated host for the device.
const TOWARDS_DEVICE: usize = 4096;
/// Bytes between two wrong bits of a noisy cable, on average: one frame of a transfer in four is hit.
const BETWEEN_WRONG_BITS: u32 = 4096;

/// How much of flash is changed between two words of it, in bytes: often enough to see it fill.
const STRETCH: usize = 512;

/// What comes out of the port and of the machine itself, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Sent by the device.
    Bytes(Vec<u8>),
    /// So many bytes of what was sent to the port are with the host, or lost.
    Taken(usize),
    /// It happened by itself.
    Event(Event),
}

/// A machine and its port.
pub(crate) struct Device {
    machine: Machine,
    /// Which enumeration the port belongs to, while there is one.
    port: Option<u64>,
    /// Whether a program has the port open (DTR).
    open: bool,
    /// Sent to the port, for which the host has no room yet.
    waiting: Vec<u8>,
    halted: bool,
    noise: Option<Noise>,
    flash: Watched,
    output: Vec<Output>,
}

/// Flash as it was last looked at.
struct Watched {
    bytes: Vec<u8>,
    /// The machine's count of operations then.
    operations: u64,
    /// What was told last.
    told: usize,
}

/// What a noisy cable does to bytes.
struct Noise(u32);

impl Noise {
    fn disturb(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            // Xorshift (Marsaglia, 2003).
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 17;
            self.0 ^= self.0 << 5;
            if self.0.is_multiple_of(BETWEEN_WRONG_BITS) {
                *byte ^= 1 << (self.0 >> 29);
            }
        }
    }
}

impl Device {
    /// Switches `machine` on, with its cable plugged in.
    pub(crate) fn new(mut machine: Machine) -> Device {
        machine.usb_mut().set_terminal_ready(false);
        machine.usb_mut().attach();
        machine.power_on();
        let flash = Watched {
            bytes: machine.flash().to_vec(),
            operations: machine.operations(),
            told: 0,
        };
        Device {
            flash,
            machine,
            port: None,
            open: false,
            waiting: Vec::new(),
            halted: false,
            noise: None,
            output: Vec::new(),
        }
    }

    /// The machine, to read its memories and its clock.
    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What came out since the last call.
    pub(crate) fn take_output(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.output)
    }

    /// Carries out what is done to port and cable; a new logger is its owner's matter.
    pub(crate) fn obey(&mut self, command: Command) {
        match command {
            Command::Open if self.port.is_some() => self.set_open(true),
            Command::Close if self.port.is_some() => self.set_open(false),
            Command::Open | Command::Close | Command::Renew | Command::Slow | Command::Swift => {}
            Command::Plug => {
                self.machine.power_on();
                self.machine.usb_mut().attach();
            }
            Command::Unplug => self.machine.usb_mut().detach(),
            Command::WearOut => {
                if let Some(block) = self.machine.nand().latest_block() {
                    self.machine.nand_mut().fail_program(block);
                    self.machine.nand_mut().fail_erase(block);
                }
            }
            Command::Disturb => self.noise = Some(Noise(1)),
            Command::Mend => self.noise = None,
            Command::Cut => {
                self.machine.usb_mut().detach();
                self.machine.power_off();
                self.halted = false;
            }
        }
        self.follow_the_host();
    }

    /// Takes bytes that a program writes to the port; without an open port they are lost.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        if self.open {
            self.waiting.extend(bytes);
            self.move_bytes();
        } else {
            self.output.push(Output::Taken(bytes.len()));
        }
    }

    /// Runs towards `due`, at most for a USB frame, and moves bytes. Whether there is more to run.
    pub(crate) fn advance(&mut self, due: Time) -> bool {
        let now = self.machine.now();
        if self.halted || due <= now {
            return false;
        }
        if let Err(halt) = self.machine.run_until(due.min(now + SLICE)) {
            self.halted = true;
            self.output
                .push(Output::Event(Event::Halted(halt.to_string())));
        }
        self.move_bytes();
        self.follow_the_host();
        self.watch_flash();
        true
    }

    fn move_bytes(&mut self) {
        let room = TOWARDS_DEVICE.saturating_sub(self.machine.usb().pending_out());
        let count = room.min(self.waiting.len());
        if count > 0 {
            let mut bytes: Vec<u8> = self.waiting.drain(..count).collect();
            if let Some(noise) = &mut self.noise {
                noise.disturb(&mut bytes);
            }
            self.machine.usb_mut().write(&bytes);
            self.output.push(Output::Taken(count));
        }
        if self.open {
            let mut bytes = self.machine.usb_mut().read();
            if let Some(noise) = &mut self.noise {
                noise.disturb(&mut bytes);
            }
            match self.output.last_mut() {
                _ if bytes.is_empty() => {}
                Some(Output::Bytes(before)) => before.extend(bytes),
                _ => self.output.push(Output::Bytes(bytes)),
            }
        }
    }

    /// Tells how far flash was changed, for as long as the device has no port to tell it over.
    fn watch_flash(&mut self) {
        let operations = self.machine.operations();
        if self.port.is_some() || operations == self.flash.operations {
            return;
        }
        self.flash.operations = operations;
        let (seen, now) = (&mut self.flash.bytes, self.machine.flash());
        let changed = seen.iter().zip(now).rposition(|(seen, now)| seen != now);
        let Some(changed) = changed else { return };
        seen.copy_from_slice(now);
        if changed / STRETCH != self.flash.told / STRETCH {
            self.flash.told = changed;
            self.output
                .push(Output::Event(Event::Written(changed as u32)));
        }
    }

    /// DTR. What one program has not read is not for the next.
    fn set_open(&mut self, open: bool) {
        self.open = open;
        if !self.waiting.is_empty() {
            self.output.push(Output::Taken(self.waiting.len()));
            self.waiting.clear();
        }
        self.machine.usb_mut().read();
        self.machine.usb_mut().set_terminal_ready(open);
    }

    /// Plugs and unplugs the port as the host configures and loses the device.
    fn follow_the_host(&mut self) {
        let configured = !self.halted && self.machine.is_on() && self.machine.usb().is_configured();
        let configuration = configured.then(|| self.machine.usb().configurations());
        if self.port == configuration {
            return;
        }
        if self.port.take().is_some() {
            self.set_open(false);
            self.output.push(Output::Event(Event::Unplugged));
        }
        if configuration.is_some() {
            self.port = configuration;
            self.output.push(Output::Event(Event::Plugged));
        }
    }
}

#[cfg(test)]
mod tests {
    use emulator::machine::Options;
    use emulator::memory::FLASH_BASE;

    use super::*;

    /// A device that runs `program` behind a vector table of two words.
    fn running(program: &[u16]) -> Device {
        let mut flash = Vec::new();
        flash.extend(0x2000_2000_u32.to_le_bytes());
        flash.extend((FLASH_BASE + 9).to_le_bytes());
        flash.extend(program.iter().flat_map(|code| code.to_le_bytes()));
        let mut machine = Machine::new(Options::default());
        machine
            .program_flash(FLASH_BASE, &flash)
            .expect("it fits into flash");
        Device::new(machine)
    }

    fn run_until(device: &mut Device, due: Time) {
        while device.advance(due) {}
    }

    /// `b .`: loops for ever.
    const FOR_EVER: u16 = 0xE7FE;
    /// `udf #0`: no instruction.
    const UNDEFINED: u16 = 0xDE00;

    #[test]
    fn it_runs_as_far_as_it_may_and_no_further() {
        let mut device = running(&[FOR_EVER]);
        let due = Time::from_millis(20);
        run_until(&mut device, due);
        // An instruction may be finished after the deadline.
        assert!(device.machine().now().since(due) < Time::from_micros(10));
        assert!(device.machine().now() >= due);
        assert_eq!(device.take_output(), []);
    }

    #[test]
    fn a_chip_that_stops_is_reported_once_and_runs_again_with_new_power() {
        let mut device = running(&[UNDEFINED]);
        run_until(&mut device, Time::from_millis(100));
        let output = device.take_output();
        assert!(
            matches!(output[..], [Output::Event(Event::Halted(_))]),
            "{output:?}"
        );
        let stopped = device.machine().now();
        assert!(!device.advance(Time::from_millis(200)));
        assert_eq!(device.machine().now(), stopped);

        device.obey(Command::Cut);
        device.obey(Command::Plug);
        run_until(&mut device, Time::from_millis(200));
        assert!(device.machine().now() > stopped);
        assert_eq!(device.take_output(), output, "the same mistake again");
    }

    #[test]
    fn a_noisy_cable_spoils_few_bits() {
        let mut noise = Noise(1);
        let mut bytes = vec![0; 64 * BETWEEN_WRONG_BITS as usize];
        noise.disturb(&mut bytes);
        let wrong: u32 = bytes.iter().map(|byte| byte.count_ones()).sum();
        assert!((32..128).contains(&wrong), "{wrong} bits");
    }

    #[test]
    fn without_an_open_port_bytes_are_lost_but_not_owed() {
        let mut device = running(&[FOR_EVER]);
        device.obey(Command::Open);
        device.send(&[1, 2, 3]);
        assert_eq!(device.take_output(), [Output::Taken(3)]);
    }
}
