//! The computer at the other end of the USB cable: enumerates what is plugged in, and if it is a CDC device
//! (class 0x0A) carries its byte stream. Of an interface of the vendor's own (class 0xFF) it carries the bulk transfers,
//! as they are asked for: what a program does that has taken it, such as a browser with WebUSB.
//!
//! How it goes about it is its [`Manners`]: at first Linux's order of requests on a bus of its own. It must never look
//! into the device: all it knows came over the bus.
//! What the device does against the USB 2.0 specification ends up in [`UsbHost::violations`].

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use crate::chip::usb::{Packet, Response, Usb};
use crate::fault::Random;
use crate::time::Time;

/// Attach debounce, USB 2.0 7.1.7.3.
const DEBOUNCE: Time = Time::from_millis(100);
/// Reset signalling from a root port (T_DRSTR), USB 2.0 7.1.7.5.
const RESET: Time = Time::from_millis(50);
/// Reset recovery (T_RSTRCY), USB 2.0 7.1.7.5.
const RECOVERY: Time = Time::from_millis(10);
/// After SET_ADDRESS, USB 2.0 9.2.6.3.
const ADDRESS_RECOVERY: Time = Time::from_millis(2);
/// How long a control transfer may take in all, USB 2.0 9.2.6.1.
const CONTROL_TIMEOUT: Time = Time::from_millis(5000);
/// Between two attempts at a device that does not enumerate.
const RETRY: Time = Time::from_millis(500);
const FRAME: Time = Time::from_millis(1);
/// From the start of frame to the first transaction.
const AFTER_SOF: Time = Time::from_micros(8);
/// A 64-byte bulk transaction: 64 bytes and 13 of overhead at 12 Mbit/s, USB 2.0 table 5-9.
const SLOT: Time = Time::from_micros(52);
/// Bulk packets of 64 bytes that fit in a frame, USB 2.0 table 5-9.
pub const PACKETS_PER_FRAME: u64 = 19;
/// Transactions without an answer before a transfer fails, USB 2.0 4.5.2.
const ERRORS: u8 = 3;
/// The address every device is given.
const ADDRESS: u8 = 5;

/// Resume signalling from the host (T_DRSMDN), USB 2.0 7.1.7.7.
const RESUME: Time = Time::from_millis(20);

/// Whose order of requests a host follows. Orders as bus traces of these systems show them, from memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostSystem {
    /// Linux: 64 bytes of device descriptor, a second reset, everything exactly as long as it is.
    Linux,
    /// Windows: configuration with length 255, string 0xEE (Microsoft OS descriptors 1.0), device qualifier.
    Windows,
    /// macOS: 8 bytes of device descriptor, no second reset, two bytes of each string before the whole.
    MacOs,
}

/// How a host behaves within what USB 2.0 allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manners {
    /// Whose order of requests.
    pub system: HostSystem,
    /// How many 64-byte packets go into a frame, each frame anew by chance: between 1 and 19.
    pub packets_per_frame: RangeInclusive<u64>,
    /// A transaction that got a NAK is tried again at once, as controllers do that have nothing else to do, not in the
    /// next frame or when the device has something.
    pub retries_naks: bool,
    /// Mean time between incidents while a device is configured: suspend for a while, reset, unplug and plug in again.
    pub incidents: Option<Time>,
    /// Decides what is left to chance.
    pub seed: u64,
}

impl Default for Manners {
    /// Linux on a bus of its own.
    fn default() -> Manners {
        Manners {
            system: HostSystem::Linux,
            packets_per_frame: PACKETS_PER_FRAME..=PACKETS_PER_FRAME,
            retries_naks: false,
            incidents: None,
            seed: 0,
        }
    }
}

impl Manners {
    /// Manners chosen by `seed`, without incidents: how full the bus is and what happens on a NAK.
    pub fn seeded(system: HostSystem, seed: u64) -> Manners {
        let mut random = Random::new(seed);
        let low = 1 + random.below(PACKETS_PER_FRAME);
        let high = low + random.below(PACKETS_PER_FRAME + 1 - low);
        Manners {
            system,
            packets_per_frame: low..=high,
            retries_naks: random.below(2) == 1,
            incidents: None,
            seed: random.next(),
        }
    }
}

/// A step of enumeration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// So many bytes of the device descriptor, at address 0.
    Head(u16),
    Reset,
    Address,
    Device,
    ConfigurationHead,
    /// Exactly as long as its head says.
    Configuration,
    /// With length 255, the head not known yet.
    WholeConfiguration,
    Bos,
    /// Microsoft OS 2.0 descriptors, when the binary object store tells of them.
    MicrosoftSet,
    MicrosoftString,
    Qualifier,
    Languages,
    /// Two bytes of the string whose index stands there in the device descriptor.
    Peek(usize),
    Product,
    Manufacturer,
    SerialNumber,
    Configure,
    GetLineCoding,
    SetLineCoding,
    LineState,
}

impl HostSystem {
    fn script(self) -> &'static [Step] {
        use Step::*;
        match self {
            HostSystem::Linux => &[
                Head(64),
                Reset,
                Address,
                Device,
                ConfigurationHead,
                Configuration,
                Bos,
                Languages,
                Product,
                Manufacturer,
                SerialNumber,
                Configure,
                SetLineCoding,
                LineState,
            ],
            HostSystem::Windows => &[
                Head(64),
                Reset,
                Address,
                Device,
                WholeConfiguration,
                Bos,
                MicrosoftSet,
                MicrosoftString,
                Languages,
                SerialNumber,
                Languages,
                Product,
                Manufacturer,
                Qualifier,
                Device,
                ConfigurationHead,
                Configuration,
                Configure,
                GetLineCoding,
                LineState,
                SetLineCoding,
                LineState,
            ],
            HostSystem::MacOs => &[
                Head(8),
                Address,
                Device,
                Languages,
                Peek(PRODUCT),
                Product,
                Peek(MANUFACTURER),
                Manufacturer,
                Peek(SERIAL_NUMBER),
                SerialNumber,
                ConfigurationHead,
                Configuration,
                Bos,
                Configure,
                GetLineCoding,
                SetLineCoding,
                LineState,
            ],
        }
    }
}

/// Marks the platform capability of Microsoft OS 2.0 descriptors: {D8DD60DF-4589-4CC7-9CD2-659D9E648A9F}.
const MICROSOFT_OS_2: [u8; 16] = [
    0xDF, 0x60, 0xDD, 0xD8, 0x89, 0x45, 0xC7, 0x4C, 0x9C, 0xD2, 0x65, 0x9D, 0x9E, 0x64, 0x8A, 0x9F,
];

/// iProduct, iManufacturer and iSerialNumber: offsets in the device descriptor.
const PRODUCT: usize = 15;
const MANUFACTURER: usize = 14;
const SERIAL_NUMBER: usize = 16;

/// Who the device says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsbIdentity {
    /// idVendor.
    pub vendor_id: u16,
    /// idProduct.
    pub product_id: u16,
    /// iManufacturer's string, if there is one.
    pub manufacturer: Option<String>,
    /// iProduct's string, if there is one.
    pub product: Option<String>,
    /// iSerialNumber's string, if there is one.
    pub serial_number: Option<String>,
}

/// What came back on GET_DESCRIPTOR, byte for byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Descriptors {
    /// Device descriptor.
    pub device: Vec<u8>,
    /// First configuration with its interfaces and endpoints.
    pub configuration: Vec<u8>,
    /// Binary object store, when bcdUSB is at least 2.01.
    pub bos: Vec<u8>,
    /// Microsoft OS 2.0 descriptors, when a host asks for them and the binary object store tells how.
    pub microsoft: Vec<u8>,
}

/// How a control transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlResult {
    /// Completed, with the data of an IN transfer.
    Done(Vec<u8>),
    /// The device does not know it.
    Stalled,
    /// No answer, or not in time.
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    DeviceHead,
    SetAddress,
    Device,
    ConfigurationHead,
    Configuration,
    Bos,
    MicrosoftSet,
    Languages,
    /// Something a host asks for and makes no use of.
    Curiosity,
    Product,
    Manufacturer,
    SerialNumber,
    Configure,
    LineCoding,
    LineState,
    ClearHalt {
        way: Way,
        input: bool,
    },
    User,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Setup,
    Data,
    Status,
}

#[derive(Clone, Debug)]
struct Transfer {
    purpose: Purpose,
    setup: [u8; 8],
    data: Vec<u8>,
    /// Bytes of `data` sent so far, when the host sends.
    sent: usize,
    stage: Stage,
    toggle: bool,
    errors: u8,
    deadline: Option<Time>,
}

impl Transfer {
    fn new(purpose: Purpose, setup: [u8; 8], data: Vec<u8>) -> Transfer {
        Transfer {
            purpose,
            setup,
            data,
            sent: 0,
            stage: Stage::Setup,
            toggle: true,
            errors: 0,
            deadline: None,
        }
    }

    fn get_descriptor(
        purpose: Purpose,
        kind: u8,
        index: u8,
        language: u16,
        length: u16,
    ) -> Transfer {
        let [language_low, language_high] = language.to_le_bytes();
        let [length_low, length_high] = length.to_le_bytes();
        let setup = [
            0x80,
            6,
            index,
            kind,
            language_low,
            language_high,
            length_low,
            length_high,
        ];
        Transfer::new(purpose, setup, Vec::new())
    }

    fn is_input(&self) -> bool {
        self.setup[0] & 0x80 != 0
    }

    fn length(&self) -> usize {
        u16::from_le_bytes([self.setup[6], self.setup[7]]).into()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No cable, or no pull-up at its other end.
    Detached,
    Debounce(Time),
    Reset(Time),
    Recovery(Time),
    Running,
    /// No frames, until somebody wants something.
    Suspended,
    /// Resume signalling, then frames without transactions.
    Resuming(Time),
    Resumed(Time),
}

/// What is to happen with the port as soon as the bus is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Reset,
    Suspend,
    Resume,
    Unplug,
    Replug,
}

/// Which of a device's pairs of bulk endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The CDC data interface's.
    Serial,
    /// The vendor interface's.
    Vendor,
}

impl Way {
    fn other(self) -> Way {
        match self {
            Way::Serial => Way::Vendor,
            Way::Vendor => Way::Serial,
        }
    }
}

/// A pair of bulk endpoints, and the interface that has it.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    interface: Option<u8>,
    input: Option<Pipe>,
    output: Option<Pipe>,
}

/// Transfers on the vendor interface.
#[derive(Clone, Debug, Default)]
struct Transfers {
    /// Lengths of those that are to bring something, in order, and what the first has so far.
    wanted: VecDeque<usize>,
    partial: Vec<u8>,
    brought: Vec<Vec<u8>>,
    /// What is still to be sent of the others.
    outgoing: VecDeque<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pipe {
    endpoint: u8,
    size: usize,
    toggle: bool,
    errors: u8,
    halted: bool,
}

/// The host, one port, one device.
#[derive(Clone)]
pub struct UsbHost {
    cable: bool,
    state: State,
    first_reset: bool,
    frame: Time,
    frame_number: u16,
    /// The next transaction; `None` while the device has nothing and wants nothing.
    slot: Option<Time>,
    /// End of the last transaction.
    bus_free: Time,
    hold: Time,
    address: u8,
    control_size: usize,
    queue: VecDeque<Transfer>,
    current: Option<Transfer>,
    language: u16,
    control_interface: u8,
    serial: Pair,
    vendor: Pair,
    transfers: Transfers,
    input_turn: bool,
    way_turn: Way,
    configured: bool,
    configurations: u64,
    terminal_ready: bool,
    incoming_limit: usize,
    manners: Manners,
    random: Random,
    /// Packets that fit into this frame.
    room: u64,
    step: usize,
    wish: Option<Wish>,
    planned: Option<(Time, Wish)>,
    incidents: u64,
    identity: UsbIdentity,
    descriptors: Descriptors,
    results: Vec<ControlResult>,
    outgoing: VecDeque<u8>,
    incoming: Vec<u8>,
    naks: u64,
    packets: u64,
    violations: Vec<String>,
}

impl Default for UsbHost {
    fn default() -> Self {
        UsbHost::new()
    }
}

impl UsbHost {
    /// A host without a cable plugged in; the terminal program is ready (DTR) as soon as there is a port.
    pub fn new() -> UsbHost {
        UsbHost {
            cable: false,
            state: State::Detached,
            first_reset: true,
            frame: Time::ZERO,
            frame_number: 0,
            slot: None,
            bus_free: Time::ZERO,
            hold: Time::ZERO,
            address: 0,
            control_size: 64,
            queue: VecDeque::new(),
            current: None,
            language: 0,
            control_interface: 0,
            serial: Pair::default(),
            vendor: Pair::default(),
            transfers: Transfers::default(),
            input_turn: false,
            way_turn: Way::Serial,
            configured: false,
            configurations: 0,
            terminal_ready: true,
            incoming_limit: usize::MAX,
            manners: Manners::default(),
            random: Random::new(0),
            room: PACKETS_PER_FRAME,
            step: 0,
            wish: None,
            planned: None,
            incidents: 0,
            identity: UsbIdentity::default(),
            descriptors: Descriptors::default(),
            results: Vec::new(),
            outgoing: VecDeque::new(),
            incoming: Vec::new(),
            naks: 0,
            packets: 0,
            violations: Vec::new(),
        }
    }

    /// Behaves differently from now on; the order of requests from the next enumeration on.
    pub fn set_manners(&mut self, manners: Manners) {
        self.random = Random::new(manners.seed);
        self.manners = manners;
    }

    /// Resets the port, and enumerates what is there anew.
    pub fn reset_port(&mut self) {
        self.wish = Some(Wish::Reset);
    }

    /// Suspends the bus: no frames until [`UsbHost::resume`], or until there is something to write.
    pub fn suspend(&mut self) {
        self.wish = Some(Wish::Suspend);
    }

    /// Ends a suspend.
    pub fn resume(&mut self) {
        self.wish = Some(Wish::Resume);
    }

    /// Whether the bus is suspended.
    pub fn is_suspended(&self) -> bool {
        self.state == State::Suspended
    }

    /// Incidents so far that the host's manners brought about.
    pub fn incidents(&self) -> u64 {
        self.incidents
    }

    /// Plugs the cable in.
    pub fn attach(&mut self) {
        self.cable = true;
        self.planned = None;
    }

    /// Pulls the cable. What was not sent yet is lost, as it is with a port that vanishes.
    pub fn detach(&mut self) {
        self.cable = false;
        self.planned = None;
        self.disconnect();
    }

    /// Whether the cable is plugged in.
    pub fn is_attached(&self) -> bool {
        self.cable
    }

    /// Whether a device is enumerated, configured and its class set up.
    pub fn is_configured(&self) -> bool {
        self.configured
    }

    /// Who the configured device is.
    pub fn identity(&self) -> Option<&UsbIdentity> {
        self.configured.then_some(&self.identity)
    }

    /// How many enumerations were completed.
    pub fn configurations(&self) -> u64 {
        self.configurations
    }

    /// The descriptors of the last device.
    pub fn descriptors(&self) -> &Descriptors {
        &self.descriptors
    }

    /// Queues bytes towards the device. They are lost when it goes away first.
    pub fn write(&mut self, bytes: &[u8]) {
        self.outgoing.extend(bytes);
        self.wake();
    }

    /// Bytes queued that the device has not taken yet.
    pub fn pending_out(&self) -> usize {
        self.outgoing.len()
    }

    /// Takes what came from the device.
    pub fn read(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.incoming)
    }

    /// Opens or closes the port: DTR, and whether the host asks for data at all. As on Linux, data stays in the device
    /// while the port is closed.
    pub fn set_terminal_ready(&mut self, ready: bool) {
        self.terminal_ready = ready;
        if self.configured {
            self.queue.push_back(self.line_state());
        }
    }

    /// How many bytes may wait to be read before the host stops asking the device for more, as a driver does whose
    /// buffers are full; no limit at first.
    pub fn set_incoming_limit(&mut self, bytes: usize) {
        self.incoming_limit = bytes;
    }

    /// The number of the vendor interface, if the configured device has one.
    pub fn vendor_interface(&self) -> Option<u8> {
        self.vendor.interface.filter(|_| self.configured)
    }

    /// Queues a transfer to the vendor interface. Like all of them it is lost when the device goes away first.
    pub fn send_transfer(&mut self, bytes: &[u8]) {
        self.transfers.outgoing.push_back(bytes.to_vec());
        self.wake();
    }

    /// Transfers queued with [`UsbHost::send_transfer`] that the device has not taken whole yet.
    pub fn transfers_to_send(&self) -> usize {
        self.transfers.outgoing.len()
    }

    /// Queues a transfer of at most `length` bytes from the vendor interface; without one, nothing is asked of it. It is
    /// over when it is full, or with a packet that is not.
    pub fn ask_transfer(&mut self, length: usize) {
        self.transfers.wanted.push_back(length);
        self.wake();
    }

    /// Takes what the transfers queued with [`UsbHost::ask_transfer`] brought, each by itself, in order.
    pub fn transfers(&mut self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.transfers.brought)
    }

    /// Gives up all transfers, as a program does that ends.
    pub fn cancel_transfers(&mut self) {
        self.transfers = Transfers::default();
    }

    fn wake(&mut self) {
        if self.state == State::Suspended {
            self.resume();
        }
    }

    /// How many 64-byte packets go into a frame, 1 to 19: a busy bus has room for less.
    pub fn set_packets_per_frame(&mut self, packets: u64) {
        let packets = packets.clamp(1, PACKETS_PER_FRAME);
        self.manners.packets_per_frame = packets..=packets;
        self.room = packets;
    }

    /// Queues a control transfer. `data` is sent when bit 7 of `setup[0]` is 0, and is then as long as wLength says.
    pub fn control(&mut self, setup: [u8; 8], data: Vec<u8>) {
        self.queue
            .push_back(Transfer::new(Purpose::User, setup, data));
    }

    /// Takes the results of the transfers queued with [`UsbHost::control`], in order.
    pub fn control_results(&mut self) -> Vec<ControlResult> {
        std::mem::take(&mut self.results)
    }

    /// Transactions that the device answered with NAK. One that waits is asked again each frame or when it has
    /// something, not continuously.
    pub fn naks(&self) -> u64 {
        self.naks
    }

    /// Bulk packets transferred, both directions.
    pub fn packets(&self) -> u64 {
        self.packets
    }

    /// What the device did that USB 2.0 forbids, in words.
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    fn violation(&mut self, text: String) {
        // A device that goes on doing it would fill the memory.
        if self.violations.len() < 100 {
            self.violations.push(text);
        }
    }

    fn disconnect(&mut self) {
        self.state = State::Detached;
        self.slot = None;
        self.forget_device();
        self.forget_transfers();
    }

    fn forget_transfers(&mut self) {
        self.outgoing.clear();
        self.cancel_transfers();
    }

    fn forget_device(&mut self) {
        self.address = 0;
        self.queue.clear();
        self.current = None;
        self.serial = Pair::default();
        self.vendor = Pair::default();
        self.configured = false;
        if self.first_reset {
            self.identity = UsbIdentity::default();
            self.descriptors = Descriptors::default();
        }
    }

    /// The device's pull-up as it is now.
    pub(crate) fn observe(&mut self, pull_up: bool, now: Time) {
        let connected = self.cable && pull_up;
        match (connected, self.state) {
            (true, State::Detached) => {
                self.first_reset = true;
                self.state = State::Debounce(now + DEBOUNCE);
            }
            (false, State::Detached) => {}
            (false, _) => self.disconnect(),
            (true, _) => {}
        }
    }

    /// The device changed an endpoint: a transaction may go through now.
    pub(crate) fn kick(&mut self, now: Time) {
        if self.state != State::Running || self.slot.is_some() {
            return;
        }
        let first = self.frame + AFTER_SOF;
        let index = now
            .max(self.bus_free)
            .since(first)
            .picos()
            .div_ceil(SLOT.picos());
        self.slot = (index < self.room).then(|| first + SLOT * index);
    }

    pub(crate) fn next_event(&self) -> Option<Time> {
        let planned = self.planned.map(|(at, _)| at);
        let event = self.state_event();
        match (planned, event) {
            (Some(planned), Some(event)) => Some(planned.min(event)),
            _ => planned.or(event),
        }
    }

    fn state_event(&self) -> Option<Time> {
        match self.state {
            State::Detached | State::Suspended => None,
            State::Resuming(until) => Some(until),
            State::Resumed(until) => Some(until.min(self.frame + FRAME)),
            State::Debounce(until) | State::Reset(until) => Some(until),
            State::Recovery(until) => Some(until.min(self.frame + FRAME)),
            State::Running => {
                let frame = self.frame + FRAME;
                Some(self.slot.map_or(frame, |slot| slot.min(frame)))
            }
        }
    }

    /// Does everything that is due at `now`.
    pub(crate) fn tick(&mut self, device: &mut Usb, now: Time) -> bool {
        let mut frames = false;
        if let Some((_, wish)) = self.planned.take_if(|(at, _)| *at <= now) {
            self.wish = Some(wish);
        }
        if let Some(wish) = self.wish.take() {
            self.grant(wish, device, now);
        }
        while let Some(due) = self.state_event().filter(|&due| due <= now) {
            match self.state {
                State::Detached | State::Suspended => {}
                State::Resuming(_) => {
                    self.frame = due;
                    self.state = State::Resumed(due + RECOVERY);
                }
                State::Resumed(until) if due >= until => {
                    self.state = State::Running;
                    self.slot = Some(due.max(self.frame + AFTER_SOF));
                }
                State::Resumed(_) => {
                    self.start_frame(device, due);
                    frames = true;
                }
                State::Debounce(_) => self.start_reset(device, due),
                State::Reset(_) => {
                    device.bus_reset(false, due);
                    self.frame = due;
                    self.state = State::Recovery(due + RECOVERY);
                }
                State::Recovery(until) if due >= until => {
                    self.state = State::Running;
                    self.begin_enumeration(due);
                    self.slot = Some(due.max(self.frame + AFTER_SOF));
                }
                State::Recovery(_) => {
                    self.start_frame(device, due);
                    frames = true;
                }
                State::Running => {
                    if self.slot.is_some_and(|slot| slot <= due) {
                        self.run_slot(device, due);
                    } else {
                        self.start_frame(device, due);
                        self.slot = Some(due + AFTER_SOF);
                        frames = true;
                        self.plan_incident(due);
                    }
                }
            }
        }
        frames
    }

    /// Does to the port what was asked for, if it is in a state for that.
    fn grant(&mut self, wish: Wish, device: &mut Usb, now: Time) {
        match (wish, self.state) {
            (Wish::Unplug, _) => {
                self.cable = false;
                self.disconnect();
            }
            (Wish::Replug, _) => self.cable = true,
            (Wish::Reset, State::Running | State::Suspended) => {
                self.first_reset = true;
                self.start_reset(device, now);
            }
            (Wish::Suspend, State::Running) => {
                self.state = State::Suspended;
                self.slot = None;
            }
            (Wish::Resume, State::Suspended) => {
                device.resume(now);
                self.state = State::Resuming(now + RESUME);
            }
            _ => {}
        }
    }

    /// Now and then something happens, and a while later it is over.
    fn plan_incident(&mut self, at: Time) {
        let Some(mean) = self.manners.incidents else {
            return;
        };
        let frames = (mean.picos() / FRAME.picos()).max(1);
        if !self.configured || self.planned.is_some() || self.random.below(frames) != 0 {
            return;
        }
        self.incidents += 1;
        let a_while = Time::from_micros(5_000 + self.random.below(300_000));
        (self.wish, self.planned) = match self.random.below(3) {
            0 => (Some(Wish::Suspend), Some((at + a_while, Wish::Resume))),
            1 => (Some(Wish::Unplug), Some((at + a_while, Wish::Replug))),
            _ => (Some(Wish::Reset), None),
        };
    }

    fn start_frame(&mut self, device: &mut Usb, at: Time) {
        let (low, high) = (
            (*self.manners.packets_per_frame.start()).clamp(1, PACKETS_PER_FRAME),
            (*self.manners.packets_per_frame.end()).clamp(1, PACKETS_PER_FRAME),
        );
        self.room = low;
        if high > low {
            self.room += self.random.below(high - low + 1);
        }
        self.frame = at;
        self.frame_number = self.frame_number.wrapping_add(1) & 0x7FF;
        device.start_of_frame(self.frame_number, at);
    }

    fn start_reset(&mut self, device: &mut Usb, at: Time) {
        self.forget_device();
        device.bus_reset(true, at);
        self.state = State::Reset(at + RESET);
    }

    /// The port has recovered from a reset: enumeration begins, or goes on behind the reset that is part of it.
    fn begin_enumeration(&mut self, now: Time) {
        if self.first_reset {
            self.control_size = 64;
            self.step = 0;
        } else {
            self.step += 1;
        }
        self.run_step(now);
    }

    /// Queues the next request of enumeration. Steps that do not concern this device are left out.
    fn run_step(&mut self, now: Time) {
        loop {
            let Some(&step) = self.manners.system.script().get(self.step) else {
                return self.configuration_complete();
            };
            if self.take_step(step, now) {
                return;
            }
            self.step += 1;
        }
    }

    /// False when there is nothing to do.
    fn take_step(&mut self, step: Step, now: Time) -> bool {
        let class = self.serial.input.is_some();
        match step {
            Step::Head(length) => self.ask(Purpose::DeviceHead, 1, 0, 0, length),
            Step::Reset => {
                self.first_reset = false;
                self.state = State::Debounce(now);
                self.slot = None;
            }
            Step::Address => self.push(
                Purpose::SetAddress,
                [0, 5, ADDRESS, 0, 0, 0, 0, 0],
                Vec::new(),
            ),
            Step::Device => self.ask(Purpose::Device, 1, 0, 0, 18),
            Step::ConfigurationHead => self.ask(Purpose::ConfigurationHead, 2, 0, 0, 9),
            Step::Configuration => {
                let length = half(&self.descriptors.configuration, 2);
                self.ask(Purpose::Configuration, 2, 0, 0, length);
            }
            Step::WholeConfiguration => self.ask(Purpose::Configuration, 2, 0, 0, 255),
            Step::Bos if half(&self.descriptors.device, 2) < 0x0201 => return false,
            Step::Bos => self.ask(Purpose::Bos, 15, 0, 0, 255),
            Step::MicrosoftSet => {
                let Some((code, length)) = microsoft_set(&self.descriptors.bos) else {
                    return false;
                };
                let [low, high] = length.to_le_bytes();
                let setup = [0xC0, code, 0, 0, 7, 0, low, high];
                self.push(Purpose::MicrosoftSet, setup, Vec::new());
            }
            Step::MicrosoftString => self.ask(Purpose::Curiosity, 3, 0xEE, 0, 18),
            Step::Qualifier => self.ask(Purpose::Curiosity, 6, 0, 0, 10),
            Step::Languages => self.ask(Purpose::Languages, 3, 0, 0, 255),
            Step::Peek(at) => return self.ask_string(Purpose::Curiosity, at, 2),
            Step::Product => return self.ask_string(Purpose::Product, PRODUCT, 255),
            Step::Manufacturer => return self.ask_string(Purpose::Manufacturer, MANUFACTURER, 255),
            Step::SerialNumber => {
                return self.ask_string(Purpose::SerialNumber, SERIAL_NUMBER, 255);
            }
            Step::Configure => {
                let value = self.descriptors.configuration.get(5).copied().unwrap_or(1);
                self.push(Purpose::Configure, [0, 9, value, 0, 0, 0, 0, 0], Vec::new());
            }
            Step::GetLineCoding | Step::SetLineCoding | Step::LineState if !class => return false,
            Step::GetLineCoding => {
                let setup = [0xA1, 0x21, 0, 0, self.control_interface, 0, 7, 0];
                self.push(Purpose::Curiosity, setup, Vec::new());
            }
            Step::SetLineCoding => {
                // 9,600 baud, 8N1: what a port is opened with.
                let coding = vec![0x80, 0x25, 0, 0, 0, 0, 8];
                let setup = [0x21, 0x20, 0, 0, self.control_interface, 0, 7, 0];
                self.push(Purpose::LineCoding, setup, coding);
            }
            Step::LineState => {
                let transfer = self.line_state();
                self.queue.push_back(transfer);
            }
        }
        true
    }

    fn push(&mut self, purpose: Purpose, setup: [u8; 8], data: Vec<u8>) {
        self.queue.push_back(Transfer::new(purpose, setup, data));
    }

    fn line_state(&self) -> Transfer {
        // DTR and RTS together, as a terminal program sets them.
        let state = if self.terminal_ready { 3 } else { 0 };
        let setup = [0x21, 0x22, state, 0, self.control_interface, 0, 0, 0];
        Transfer::new(Purpose::LineState, setup, Vec::new())
    }

    fn run_slot(&mut self, device: &mut Usb, now: Time) {
        let moved = now >= self.hold && self.transact(device, now);
        if self.state != State::Running {
            return;
        }
        let next = now + SLOT;
        self.bus_free = next;
        let last = self.frame + AFTER_SOF + SLOT * (self.room - 1);
        let again = moved || self.manners.retries_naks;
        self.slot = (again && next <= last).then_some(next);
    }

    /// One transaction. False when the device is not ready for anything.
    fn transact(&mut self, device: &mut Usb, now: Time) -> bool {
        if self.current.is_none() {
            self.current = self.queue.pop_front();
        }
        if let Some(transfer) = self.current.take() {
            return self.control_transaction(device, transfer, now);
        }
        self.input_turn = !self.input_turn;
        if self.input_turn {
            self.way_turn = self.way_turn.other();
        }
        // A NAK costs little time on the bus: the other directions still fit into the slot.
        for input in [self.input_turn, !self.input_turn] {
            for way in [self.way_turn, self.way_turn.other()] {
                let moved = if input {
                    self.bulk_input(way, device, now)
                } else {
                    self.bulk_output(way, device, now)
                };
                if moved || self.state != State::Running {
                    return moved;
                }
            }
        }
        false
    }

    fn pipe(&mut self, way: Way, input: bool) -> &mut Option<Pipe> {
        let pair = match way {
            Way::Serial => &mut self.serial,
            Way::Vendor => &mut self.vendor,
        };
        if input {
            &mut pair.input
        } else {
            &mut pair.output
        }
    }

    fn bulk_input(&mut self, way: Way, device: &mut Usb, now: Time) -> bool {
        let asks = match way {
            Way::Serial => self.terminal_ready && self.incoming.len() < self.incoming_limit,
            Way::Vendor => !self.transfers.wanted.is_empty(),
        };
        let asks = self.configured && asks;
        let Some(mut pipe) = self.pipe(way, true).filter(|pipe| asks && !pipe.halted) else {
            return false;
        };
        let response = device.input(self.address, pipe.endpoint);
        let moved = match response {
            Response::Data(packet, toggle) => {
                pipe.errors = 0;
                self.packets += 1;
                if packet.data().len() > pipe.size {
                    self.violation(format!("bulk IN packet of {} bytes", packet.data().len()));
                }
                if toggle == pipe.toggle {
                    pipe.toggle = !toggle;
                    match way {
                        Way::Serial => self.incoming.extend(packet.data()),
                        Way::Vendor => self.bring(packet.data(), pipe.size),
                    }
                } else {
                    self.violation("bulk IN data toggle repeated".into());
                }
                true
            }
            other => self.no_progress(other, &mut pipe, way, true, device, now),
        };
        if self.state == State::Running {
            *self.pipe(way, true) = Some(pipe);
        }
        moved
    }

    /// A packet for the first transfer that waits for one.
    fn bring(&mut self, packet: &[u8], size: usize) {
        let transfers = &mut self.transfers;
        transfers.partial.extend(packet);
        let wanted = transfers.wanted.front().copied().unwrap_or_default();
        let length = transfers.partial.len();
        if packet.len() < size || length >= wanted {
            transfers.wanted.pop_front();
            transfers
                .brought
                .push(std::mem::take(&mut transfers.partial));
        }
        if length > wanted {
            self.violation(format!("a transfer of {wanted} bytes got {length}"));
        }
    }

    fn bulk_output(&mut self, way: Way, device: &mut Usb, now: Time) -> bool {
        let configured = self.configured;
        let Some(mut pipe) = self
            .pipe(way, false)
            .filter(|pipe| configured && !pipe.halted)
        else {
            return false;
        };
        let bytes: Vec<u8> = match (way, self.transfers.outgoing.front()) {
            (Way::Serial, _) if self.outgoing.is_empty() => return false,
            (Way::Serial, _) => self.outgoing.iter().take(pipe.size).copied().collect(),
            (Way::Vendor, None) => return false,
            (Way::Vendor, Some(rest)) => rest.iter().take(pipe.size).copied().collect(),
        };
        let moved = match device.out(self.address, pipe.endpoint, &bytes, pipe.toggle) {
            Response::Ack => {
                pipe.errors = 0;
                pipe.toggle = !pipe.toggle;
                self.packets += 1;
                match (way, self.transfers.outgoing.front_mut()) {
                    (Way::Vendor, Some(rest)) if rest.len() > bytes.len() => {
                        rest.drain(..bytes.len());
                    }
                    (Way::Vendor, _) => drop(self.transfers.outgoing.pop_front()),
                    (Way::Serial, _) => drop(self.outgoing.drain(..bytes.len())),
                }
                true
            }
            other => self.no_progress(other, &mut pipe, way, false, device, now),
        };
        if self.state == State::Running {
            *self.pipe(way, false) = Some(pipe);
        }
        moved
    }

    /// NAK, STALL or silence on a bulk pipe. True when there is reason to try again in the next slot.
    fn no_progress(
        &mut self,
        response: Response,
        pipe: &mut Pipe,
        way: Way,
        input: bool,
        device: &mut Usb,
        now: Time,
    ) -> bool {
        match response {
            Response::Nak => {
                pipe.errors = 0;
                self.naks += 1;
                false
            }
            Response::Stall => {
                pipe.halted = true;
                let endpoint = pipe.endpoint | if input { 0x80 } else { 0 };
                let setup = [0x02, 1, 0, 0, endpoint, 0, 0, 0];
                self.queue.push_back(Transfer::new(
                    Purpose::ClearHalt { way, input },
                    setup,
                    Vec::new(),
                ));
                true
            }
            _ => {
                pipe.errors += 1;
                if pipe.errors >= ERRORS {
                    self.violation("a bulk endpoint stopped answering".into());
                    self.restart(device, now);
                }
                true
            }
        }
    }

    /// The device does not behave: reset the port and enumerate again.
    fn restart(&mut self, device: &mut Usb, now: Time) {
        self.first_reset = true;
        self.forget_transfers();
        self.start_reset(device, now);
    }

    fn control_transaction(&mut self, device: &mut Usb, mut transfer: Transfer, now: Time) -> bool {
        let deadline = *transfer.deadline.get_or_insert(now + CONTROL_TIMEOUT);
        let input = transfer.is_input();
        let response = match transfer.stage {
            Stage::Setup => device.setup(self.address, transfer.setup),
            Stage::Data if input => device.input(self.address, 0),
            Stage::Data => {
                let rest = &transfer.data[transfer.sent..];
                let packet = Packet::new(&rest[..rest.len().min(self.control_size)]);
                device.out(self.address, 0, packet.data(), transfer.toggle)
            }
            Stage::Status if input && transfer.length() > 0 => {
                device.out(self.address, 0, &[], true)
            }
            Stage::Status => device.input(self.address, 0),
        };
        match response {
            Response::Ack | Response::Data(..) => {
                transfer.errors = 0;
                if self.control_progress(&mut transfer, response) {
                    self.finish(transfer, now);
                } else {
                    self.current = Some(transfer);
                }
                true
            }
            Response::Nak if now < deadline => {
                self.naks += 1;
                self.current = Some(transfer);
                false
            }
            Response::Stall => {
                self.fail(device, transfer, ControlResult::Stalled, now);
                true
            }
            Response::None if transfer.errors + 1 < ERRORS => {
                transfer.errors += 1;
                self.current = Some(transfer);
                true
            }
            Response::None | Response::Nak => {
                self.fail(device, transfer, ControlResult::Failed, now);
                true
            }
        }
    }

    /// Moves a control transfer on after a transaction that went through. True when it is complete.
    fn control_progress(&mut self, transfer: &mut Transfer, response: Response) -> bool {
        match (transfer.stage, response) {
            (Stage::Setup, _) => {
                transfer.stage = if transfer.length() == 0 {
                    Stage::Status
                } else {
                    Stage::Data
                };
            }
            (Stage::Data, Response::Data(packet, toggle)) => {
                if toggle != transfer.toggle {
                    self.violation("control IN data toggle repeated".into());
                    return false;
                }
                transfer.toggle = !toggle;
                let length = packet.data().len();
                if transfer.purpose == Purpose::DeviceHead
                    && transfer.data.is_empty()
                    && let Some(&size) = packet.data().get(7)
                {
                    self.control_size = usize::from(size).clamp(8, 64);
                }
                if length > self.control_size {
                    self.violation(format!("control IN packet of {length} bytes"));
                }
                transfer.data.extend(packet.data());
                if transfer.data.len() > transfer.length() {
                    self.violation(format!(
                        "{} bytes where {} were asked for",
                        transfer.data.len(),
                        transfer.length()
                    ));
                }
                if length < self.control_size || transfer.data.len() >= transfer.length() {
                    transfer.stage = Stage::Status;
                }
            }
            (Stage::Data, _) => {
                transfer.sent += (transfer.data.len() - transfer.sent).min(self.control_size);
                transfer.toggle = !transfer.toggle;
                if transfer.sent >= transfer.data.len() {
                    transfer.stage = Stage::Status;
                }
            }
            (Stage::Status, Response::Data(packet, toggle)) => {
                if !packet.data().is_empty() || !toggle {
                    self.violation("status stage is not an empty DATA1".into());
                }
                return true;
            }
            (Stage::Status, _) => return true,
        }
        false
    }

    fn fail(&mut self, device: &mut Usb, transfer: Transfer, result: ControlResult, now: Time) {
        match transfer.purpose {
            Purpose::User => self.results.push(result),
            // What a device may well not have.
            Purpose::Bos
            | Purpose::MicrosoftSet
            | Purpose::Languages
            | Purpose::Curiosity
            | Purpose::Product
            | Purpose::Manufacturer
            | Purpose::SerialNumber
            | Purpose::LineCoding
            | Purpose::LineState
                if result == ControlResult::Stalled =>
            {
                let empty = Transfer {
                    data: Vec::new(),
                    ..transfer
                };
                self.finish(empty, now);
            }
            purpose => {
                self.violation(format!("{purpose:?} {result:?}"));
                self.restart(device, now);
                // Not at once: a device that never answers must not be reset without end.
                self.state = State::Reset(now + RETRY);
            }
        }
    }

    /// A control transfer is complete: the next step of enumeration, if it was part of it.
    fn finish(&mut self, transfer: Transfer, now: Time) {
        let data = transfer.data;
        match transfer.purpose {
            Purpose::DeviceHead | Purpose::Curiosity | Purpose::Configure | Purpose::LineCoding => {
            }
            Purpose::SetAddress => {
                self.address = ADDRESS;
                self.hold = now + ADDRESS_RECOVERY;
            }
            Purpose::Device => {
                if data.len() != 18 {
                    self.violation(format!("device descriptor of {} bytes", data.len()));
                }
                self.identity.vendor_id = half(&data, 8);
                self.identity.product_id = half(&data, 10);
                self.descriptors.device = data;
            }
            Purpose::ConfigurationHead => self.descriptors.configuration = data,
            Purpose::Configuration => {
                if data.len() != usize::from(half(&data, 2)) {
                    self.violation(format!(
                        "configuration of {} bytes says otherwise",
                        data.len()
                    ));
                }
                self.find_pipes(&data);
                self.descriptors.configuration = data;
            }
            Purpose::Bos => self.descriptors.bos = data,
            Purpose::MicrosoftSet => self.descriptors.microsoft = data,
            Purpose::Languages => self.language = half(&data, 2),
            Purpose::Product => self.identity.product = string(&data),
            Purpose::Manufacturer => self.identity.manufacturer = string(&data),
            Purpose::SerialNumber => self.identity.serial_number = string(&data),
            Purpose::LineState if self.configured => return,
            Purpose::LineState => {}
            Purpose::ClearHalt { way, input } => {
                if let Some(pipe) = self.pipe(way, input) {
                    pipe.halted = false;
                    pipe.toggle = false;
                }
                return;
            }
            Purpose::User => {
                // SET_INTERFACE: toggles begin anew, USB 2.0 9.1.1.5.
                if let [1, 11, _, _, interface, ..] = transfer.setup {
                    for pair in [&mut self.serial, &mut self.vendor] {
                        let pipes = [&mut pair.input, &mut pair.output].into_iter().flatten();
                        pipes
                            .filter(|_| pair.interface == Some(interface))
                            .for_each(|pipe| pipe.toggle = false);
                    }
                }
                return self.results.push(ControlResult::Done(data));
            }
        }
        self.step += 1;
        self.run_step(now);
    }

    fn configuration_complete(&mut self) {
        self.configured = true;
        self.configurations += 1;
    }

    fn ask(&mut self, purpose: Purpose, kind: u8, index: u8, language: u16, length: u16) {
        self.queue.push_back(Transfer::get_descriptor(
            purpose, kind, index, language, length,
        ));
    }

    /// Asks for the string whose index stands at `at` in the device descriptor. False when there is none.
    fn ask_string(&mut self, purpose: Purpose, at: usize, length: u16) -> bool {
        match self.descriptors.device.get(at) {
            Some(&index) if index != 0 => {
                self.ask(purpose, 3, index, self.language, length);
                true
            }
            _ => false,
        }
    }

    /// Finds the CDC control interface, the bulk endpoints of the data interface, and those of the vendor's own.
    fn find_pipes(&mut self, configuration: &[u8]) {
        let mut rest = configuration;
        let mut class = 0;
        while let [length, kind, body @ ..] = rest {
            let length = usize::from(*length);
            if length < 2 || length > rest.len() {
                self.violation("configuration with a descriptor that does not end".into());
                return;
            }
            match (*kind, body) {
                (4, [number, _, _, interface_class, ..]) => {
                    class = *interface_class;
                    match class {
                        0x02 => self.control_interface = *number,
                        0x0A => self.serial.interface = Some(*number),
                        0xFF => self.vendor.interface = Some(*number),
                        _ => {}
                    }
                }
                (5, [address, attributes, low, high, ..])
                    if matches!(class, 0x0A | 0xFF) && attributes & 3 == 2 =>
                {
                    let size = u16::from_le_bytes([*low, *high]);
                    if !matches!(size, 8 | 16 | 32 | 64) {
                        self.violation(format!("bulk endpoint of {size} bytes"));
                    }
                    let pipe = Pipe {
                        endpoint: address & 0xF,
                        size: usize::from(size).clamp(8, 64),
                        ..Pipe::default()
                    };
                    let way = if class == 0xFF {
                        Way::Vendor
                    } else {
                        Way::Serial
                    };
                    *self.pipe(way, address & 0x80 != 0) = Some(pipe);
                }
                _ => {}
            }
            rest = &rest[length..];
        }
    }
}

/// The vendor request that a binary object store names for Microsoft OS 2.0 descriptors, and how many bytes they have.
fn microsoft_set(bos: &[u8]) -> Option<(u8, u16)> {
    let mut rest = bos;
    while let [length, body @ ..] = rest {
        // A platform capability; behind its UUID a version of Windows, the length of its set, the request's number.
        if let [16, 5, _, rest @ ..] = body
            && let Some(set) = rest.strip_prefix(&MICROSOFT_OS_2)
            && let [_, _, _, _, low, high, code, ..] = set
        {
            return Some((*code, u16::from_le_bytes([*low, *high])));
        }
        rest = rest.get((*length).max(1).into()..)?;
    }
    None
}

fn half(data: &[u8], at: usize) -> u16 {
    match data.get(at..at + 2) {
        Some(&[low, high]) => u16::from_le_bytes([low, high]),
        _ => 0,
    }
}

/// The text of a string descriptor.
fn string(data: &[u8]) -> Option<String> {
    let units: Vec<u16> = data
        .get(2..)?
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .collect();
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::bus::Width;

    const DEVICE: [u8; 18] = [
        18, 1, 0, 2, 2, 0, 0, 16, 0x09, 0x12, 0x01, 0x00, 0, 1, 1, 2, 3, 1,
    ];
    #[rustfmt::skip]
    const CONFIGURATION: [u8; 48] = [
        9, 2, 48, 0, 2, 1, 0, 0x80, 50,
        9, 4, 0, 0, 1, 2, 2, 1, 0,
        7, 5, 0x82, 3, 8, 0, 255,
        9, 4, 1, 0, 2, 0x0A, 0, 0, 0,
        7, 5, 0x01, 2, 64, 0, 0,
        7, 5, 0x81, 2, 64, 0, 0,
    ];

    /// The least firmware that makes the peripheral a CDC device: it echoes what it receives.
    struct Device {
        usb: Usb,
        reply: VecDeque<Vec<u8>>,
        address: Option<u8>,
        setups: Vec<[u8; 8]>,
        stalls: bool,
        echoes: bool,
        stored: VecDeque<Vec<u8>>,
        transmitting: bool,
    }

    impl Device {
        fn new() -> Device {
            let mut usb = Usb::new();
            usb.set_clock(true, Time::ZERO);
            usb.write(0x40, 0, Time::ZERO).unwrap();
            usb.write(0x44, 0, Time::ZERO).unwrap();
            Device {
                usb,
                reply: VecDeque::new(),
                address: None,
                setups: Vec::new(),
                stalls: false,
                echoes: true,
                stored: VecDeque::new(),
                transmitting: false,
            }
        }

        fn connect(&mut self, on: bool, now: Time) {
            self.usb.write(0x58, u32::from(on) << 15, now).unwrap();
        }

        fn set_half(&mut self, at: u32, value: u32) {
            self.usb.write_memory(at, Width::Half, value).unwrap();
        }

        /// Brings STAT_TX and STAT_RX to what is wanted, clearing nothing and keeping toggles.
        fn stat(&mut self, n: u32, transmit: Option<u32>, receive: Option<u32>, now: Time) {
            let old = self.usb.read(4 * n).unwrap();
            let mut value = old & 0x070F | 0x8080;
            if let Some(transmit) = transmit {
                value |= (old ^ transmit << 4) & 0x30;
            }
            if let Some(receive) = receive {
                value |= (old ^ receive << 12) & 0x3000;
            }
            self.usb.write(4 * n, value, now).unwrap();
        }

        fn send(&mut self, n: u32, buffer: u32, data: &[u8], now: Time) {
            for (index, &byte) in data.iter().enumerate() {
                self.usb
                    .write_memory(buffer + index as u32, Width::Byte, byte.into())
                    .unwrap();
            }
            self.set_half(8 * n + 2, data.len() as u32);
            self.stat(n, Some(3), None, now);
        }

        fn received(&self, n: u32, buffer: u32) -> Vec<u8> {
            let count = self.usb.read_memory(8 * n + 6, Width::Half).unwrap() & 0x3FF;
            (0..count)
                .map(|index| self.usb.read_memory(buffer + index, Width::Byte).unwrap() as u8)
                .collect()
        }

        fn poll(&mut self, now: Time) {
            let flags = self.usb.read(0x44).unwrap();
            if flags & 1 << 10 != 0 {
                self.usb.write(0x44, !(1 << 10), now).unwrap();
                for (offset, value) in [(0, 0x40), (2, 0), (4, 0x80), (6, 0x8400)] {
                    self.set_half(offset, value);
                }
                for (offset, value) in [(8, 0xC0), (10, 0), (12, 0x100), (14, 0x8400)] {
                    self.set_half(offset, value);
                }
                // STAT is 0 after a reset, so that toggling sets it.
                self.usb.write(0, 0x3220, now).unwrap();
                self.usb.write(4, 0x3021, now).unwrap();
                self.usb.write(0x4C, 0x80, now).unwrap();
                self.stored.clear();
                self.transmitting = false;
            }
            for n in 0..2 {
                let register = self.usb.read(4 * n).unwrap();
                if register & 0x8000 != 0 {
                    self.usb
                        .write(4 * n, register & 0x070F | 0x80, now)
                        .unwrap();
                    match (n, register & 0x0800 != 0) {
                        (0, true) => self.setup(now),
                        (0, false) => self.stat(0, None, Some(3), now),
                        _ => {
                            let data = self.received(1, 0x100);
                            self.stored.push_back(data);
                            self.stat(1, None, Some(3), now);
                        }
                    }
                }
                let register = self.usb.read(4 * n).unwrap();
                if register & 0x80 != 0 {
                    self.usb
                        .write(4 * n, register & 0x070F | 0x8000, now)
                        .unwrap();
                    if n == 1 {
                        self.transmitting = false;
                    } else if let Some(address) = self.address.take() {
                        self.usb
                            .write(0x4C, 0x80 | u32::from(address), now)
                            .unwrap();
                    } else if let Some(next) = self.reply.pop_front() {
                        self.send(0, 0x40, &next, now);
                    }
                }
            }
            if self.echoes
                && !self.transmitting
                && let Some(data) = self.stored.pop_front()
            {
                self.transmitting = true;
                self.send(1, 0xC0, &data, now);
            }
        }

        fn setup(&mut self, now: Time) {
            let bytes: [u8; 8] = self.received(0, 0x80).try_into().unwrap();
            self.setups.push(bytes);
            let length = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
            let text = |text: &str| {
                let mut descriptor = vec![2 + 2 * text.len() as u8, 3];
                descriptor.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
                descriptor
            };
            let data = match bytes {
                [0x80, 6, _, 1, ..] => DEVICE.to_vec(),
                [0x80, 6, _, 2, ..] => CONFIGURATION.to_vec(),
                [0x80, 6, 0, 3, ..] => vec![4, 3, 9, 4],
                [0x80, 6, 1, 3, ..] => text("Maker"),
                [0x80, 6, 2, 3, ..] => text("A sixteen chars!"),
                [0x80, 6, 3, 3, ..] => text("42"),
                [0, 5, address, ..] => {
                    self.address = Some(address);
                    Vec::new()
                }
                [0, 9, ..] | [0x21, ..] => Vec::new(),
                _ => {
                    self.stalls = true;
                    self.stat(0, Some(1), Some(1), now);
                    return;
                }
            };
            let data = &data[..data.len().min(length)];
            self.reply = data.chunks(16).map(<[u8]>::to_vec).collect();
            // A short packet ends what is shorter than the host asked for.
            if !data.is_empty() && data.len() % 16 == 0 && data.len() < length {
                self.reply.push_back(Vec::new());
            }
            let first = self.reply.pop_front().unwrap_or_default();
            self.send(0, 0x40, &first, now);
            self.stat(0, None, Some(3), now);
        }
    }

    fn run(host: &mut UsbHost, device: &mut Device, from: Time, millis: u64) -> Time {
        let end = from + Time::from_millis(millis);
        let mut now = from;
        while now < end {
            host.observe(device.usb.pull_up(), now);
            host.tick(&mut device.usb, now);
            device.usb.tick(now);
            device.poll(now);
            if device.usb.take_kick() {
                host.kick(now);
            }
            // The device polls every 20 µs, and in between when something happens on the bus.
            let next = now + Time::from_micros(20);
            now = host
                .next_event()
                .map_or(next, |event| event.min(next))
                .max(now + Time::from_nanos(1));
        }
        now
    }

    fn enumerated() -> (UsbHost, Device, Time) {
        let (mut host, mut device) = (UsbHost::new(), Device::new());
        host.attach();
        device.connect(true, Time::ZERO);
        let now = run(&mut host, &mut device, Time::ZERO, 400);
        assert!(
            host.is_configured(),
            "{:?} {:02x?}",
            host.violations(),
            device.setups
        );
        (host, device, now)
    }

    #[test]
    fn a_device_is_enumerated_and_known_by_its_strings() {
        let (host, device, _) = enumerated();
        let identity = host.identity().unwrap();
        assert_eq!((identity.vendor_id, identity.product_id), (0x1209, 0x0001));
        assert_eq!(identity.manufacturer.as_deref(), Some("Maker"));
        assert_eq!(identity.product.as_deref(), Some("A sixteen chars!"));
        assert_eq!(identity.serial_number.as_deref(), Some("42"));
        assert_eq!(host.descriptors().configuration, CONFIGURATION);
        assert_eq!(host.configurations(), 1);
        assert_eq!(device.setups[0], [0x80, 6, 0, 1, 0, 0, 64, 0]);
        assert_eq!(device.setups.last(), Some(&[0x21, 0x22, 3, 0, 0, 0, 0, 0]));
        assert!(host.violations().is_empty(), "{:?}", host.violations());
    }

    #[test]
    fn nothing_happens_without_cable_or_pull_up() {
        let (mut host, mut device) = (UsbHost::new(), Device::new());
        device.connect(true, Time::ZERO);
        let now = run(&mut host, &mut device, Time::ZERO, 300);
        assert!(device.setups.is_empty());
        device.connect(false, now);
        host.attach();
        run(&mut host, &mut device, now, 300);
        assert!(device.setups.is_empty() && !host.is_configured());
    }

    #[test]
    fn bytes_come_back_in_order_through_an_echo() {
        let (mut host, mut device, now) = enumerated();
        let sent: Vec<u8> = (0..5000u32).map(|n| (n * 7 + n / 256) as u8).collect();
        host.write(&sent);
        run(&mut host, &mut device, now, 20);
        assert_eq!(host.pending_out(), 0);
        assert_eq!(host.read(), sent);
        assert!(host.violations().is_empty(), "{:?}", host.violations());
    }

    #[test]
    fn no_more_than_19_packets_fit_into_a_frame() {
        let (mut host, mut device, now) = enumerated();
        device.echoes = false;
        host.write(&[0; 64 * 100]);
        run(&mut host, &mut device, now, 3);
        let taken = 100 - host.pending_out() / 64;
        assert!(
            (50..=57).contains(&taken),
            "{taken} packets in three frames"
        );
        host.set_packets_per_frame(2);
        let before = host.pending_out() / 64;
        run(&mut host, &mut device, now + Time::from_millis(3), 3);
        let taken = before - host.pending_out() / 64;
        assert!((5..=7).contains(&taken), "{taken} packets in three frames");
    }

    #[test]
    fn a_closed_port_leaves_data_in_the_device() {
        let (mut host, mut device, now) = enumerated();
        host.set_terminal_ready(false);
        host.write(b"hello");
        let now = run(&mut host, &mut device, now, 10);
        assert!(host.read().is_empty());
        host.set_terminal_ready(true);
        run(&mut host, &mut device, now, 10);
        assert_eq!(host.read(), b"hello");
        let states: Vec<u8> = device
            .setups
            .iter()
            .filter(|setup| setup[1] == 0x22)
            .map(|setup| setup[2])
            .collect();
        assert_eq!(states, [3, 0, 3]);
    }

    #[test]
    fn a_device_that_goes_and_comes_back_is_enumerated_again() {
        let (mut host, mut device, now) = enumerated();
        host.write(&[1; 6400]);
        device.connect(false, now);
        let now = run(&mut host, &mut device, now, 5);
        assert!(!host.is_configured());
        assert_eq!(host.pending_out(), 0);
        device.connect(true, now);
        let soon = run(&mut host, &mut device, now, 90);
        assert_eq!(
            device.setups.iter().filter(|setup| setup[1] == 5).count(),
            1,
            "debounce is 100 ms"
        );
        run(&mut host, &mut device, soon, 300);
        assert_eq!(host.configurations(), 2);
    }

    #[test]
    fn a_pulled_cable_suspends_the_device() {
        let (mut host, mut device, now) = enumerated();
        device.usb.write(0x44, 0, now).unwrap();
        host.detach();
        run(&mut host, &mut device, now, 5);
        assert_eq!(device.usb.read(0x44).unwrap() & 1 << 11, 1 << 11);
        assert!(!host.is_configured() && host.identity().is_none());
    }

    #[test]
    fn an_unknown_request_stalls_and_the_next_one_works() {
        let (mut host, mut device, now) = enumerated();
        host.control([0xC0, 0x77, 0, 0, 0, 0, 4, 0], Vec::new());
        host.control([0x80, 6, 0, 1, 0, 0, 18, 0], Vec::new());
        run(&mut host, &mut device, now, 5);
        assert!(device.stalls);
        assert_eq!(
            host.control_results(),
            [ControlResult::Stalled, ControlResult::Done(DEVICE.to_vec())]
        );
        assert!(host.is_configured());
    }

    #[test]
    fn each_system_enumerates_in_its_own_order() {
        for (system, has) in [
            (HostSystem::Windows, [0x80, 6, 0xEE, 3, 0, 0, 18, 0]),
            (HostSystem::Windows, [0x80, 6, 0, 6, 0, 0, 10, 0]),
            (HostSystem::Windows, [0x80, 6, 0, 2, 0, 0, 255, 0]),
            (HostSystem::MacOs, [0x80, 6, 0, 1, 0, 0, 8, 0]),
            (HostSystem::MacOs, [0x80, 6, 2, 3, 9, 4, 2, 0]),
            (HostSystem::MacOs, [0xA1, 0x21, 0, 0, 0, 0, 7, 0]),
        ] {
            for seed in 0..4 {
                let (mut host, mut device) = (UsbHost::new(), Device::new());
                host.set_manners(Manners::seeded(system, seed));
                host.attach();
                device.connect(true, Time::ZERO);
                run(&mut host, &mut device, Time::ZERO, 600);
                assert!(
                    host.is_configured(),
                    "{system:?} {seed}: {:02x?}",
                    device.setups
                );
                assert!(device.setups.contains(&has), "{system:?}: {has:02x?}");
                let identity = host.identity().unwrap();
                assert_eq!(identity.product.as_deref(), Some("A sixteen chars!"));
                assert!(host.violations().is_empty(), "{:?}", host.violations());
            }
        }
    }

    #[test]
    fn a_suspended_bus_has_no_frames_and_resumes_with_what_it_knew() {
        let (mut host, mut device, now) = enumerated();
        device.usb.write(0x44, 0, now).unwrap();
        host.suspend();
        let now = run(&mut host, &mut device, now, 50);
        assert!(host.is_suspended() && host.is_configured());
        assert_eq!(device.usb.read(0x44).unwrap() & 1 << 11, 1 << 11);
        host.write(b"hello");
        let now = run(&mut host, &mut device, now, 25);
        assert!(host.read().is_empty(), "resume takes 20 ms and recovery 10");
        run(&mut host, &mut device, now, 20);
        assert_eq!(host.read(), b"hello");
        assert_eq!(host.configurations(), 1);
    }

    #[test]
    fn a_port_can_be_reset_at_any_moment() {
        let (mut host, mut device, now) = enumerated();
        host.reset_port();
        let now = run(&mut host, &mut device, now, 10);
        assert!(!host.is_configured());
        run(&mut host, &mut device, now, 400);
        assert_eq!(host.configurations(), 2);
        assert!(host.violations().is_empty(), "{:?}", host.violations());
    }

    #[test]
    fn incidents_come_by_the_seed_and_are_survived() {
        let outcome = |seed| {
            let (mut host, mut device, now) = enumerated();
            host.set_manners(Manners {
                incidents: Some(Time::from_millis(100)),
                seed,
                ..Manners::default()
            });
            let now = run(&mut host, &mut device, now, 3000);
            host.set_manners(Manners::default());
            host.resume();
            run(&mut host, &mut device, now, 1000);
            assert!(host.is_configured(), "seed {seed}");
            (host.incidents(), host.configurations())
        };
        assert!(outcome(1).0 >= 3);
        assert_eq!(outcome(2), outcome(2));
        assert_ne!(outcome(2), outcome(3));
    }

    #[test]
    fn a_host_that_retries_naks_asks_again_in_the_same_frame() {
        let naks = |retries_naks| {
            let (mut host, mut device, now) = enumerated();
            host.set_manners(Manners {
                retries_naks,
                ..Manners::default()
            });
            let before = host.naks();
            run(&mut host, &mut device, now, 10);
            host.naks() - before
        };
        assert!((9..=11).contains(&naks(false)));
        assert!((180..=200).contains(&naks(true)), "{}", naks(true));
    }

    #[test]
    fn a_device_that_stops_answering_is_reset() {
        let (mut host, mut device, now) = enumerated();
        // FRES: the transceiver stays on, the engine does not answer.
        device.usb.write(0x40, 1, now).unwrap();
        host.write(&[1]);
        run(&mut host, &mut device, now, 5);
        assert!(!host.is_configured());
        assert_eq!(host.violations(), ["a bulk endpoint stopped answering"]);
    }
}
