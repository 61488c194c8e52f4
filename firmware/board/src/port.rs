//! The port with a conversation on it: what the main loop of both programs turns.

use protocol::device::{Program, SerialNumber};
use update::server::{Handler, Server};

use crate::clock::Clock;
#[cfg(feature = "stm32l052")]
use crate::inputs;
#[cfg(feature = "usart")]
use crate::usart::Usart as Wire;
#[cfg(not(feature = "usart"))]
use crate::usb::Usb as Wire;

/// How long a computer has to fetch the last answer before a restart, in milliseconds.
const LAST_WORDS: u64 = 50;

/// Packets that are moved before a program does something else: about 1 ms of them.
const PACKETS: usize = 16;

/// The port.
pub struct Port {
    wire: Wire,
    /// Of its own place in memory: on the stack it would be built first and moved then.
    server: &'static mut Server,
}

impl Port {
    /// Brings it up. Nothing when it was called before.
    pub fn start(clock: &Clock, program: Program, serial: SerialNumber) -> Option<Port> {
        Some(Port {
            server: cortex_m::singleton!(: Server = Server::new(program))?,
            wire: Wire::start(clock, serial),
        })
    }

    /// Whether there is a cable, and a computer at its other end that has not suspended the bus, or wakes it.
    #[cfg(feature = "stm32l052")]
    pub fn is_awake(&self) -> bool {
        inputs::usb_powered() && !self.wire.is_suspended()
    }

    /// Switches the port and the core's speed when a cable was plugged or pulled since the last call, or the bus was suspended
    /// or is woken: whether [`Port::is_awake`], and everything runs.
    ///
    /// [`inputs::Inputs::start`] or `start_cable` must have been called. When it is not awake nothing else here may be.
    #[cfg(feature = "stm32l052")]
    pub fn follow_cable(&mut self, clock: &mut Clock) -> bool {
        let powered = inputs::usb_powered();
        if !powered && self.wire.is_on() {
            self.wire.switch_off();
            self.server.reset();
        }
        let awake = self.is_awake();
        if awake != clock.is_running() {
            match awake {
                true => clock.full_speed(),
                false => clock.battery_speed(),
            }
        }
        if awake && !self.wire.is_on() {
            self.wire.switch_on();
        }
        awake
    }

    /// Moves what can be moved: a few packets each way and their requests.
    #[inline(never)]
    pub fn turn(&mut self, clock: &Clock, handler: &mut impl Handler) {
        self.wire.poll(clock);
        if !self.wire.configured() {
            self.server.reset();
            return;
        }
        for _ in 0..PACKETS {
            if let Some(room) = self.server.room()
                && let Some(length) = self.wire.receive(room)
            {
                self.server.received(length);
            }
            self.server.work(handler, &mut self.wire);
            self.send();
            if self.wire.poll(clock) && self.wire.changes_line(self.server.greeted()) {
                self.server.reset();
            }
        }
    }

    /// Sends what there is, and makes what comes behind it.
    #[inline(never)]
    fn send(&mut self) {
        let packet = self.server.outgoing();
        let went = packet.is_some_and(|(packet, length)| self.wire.send(packet, length));
        self.server.sent(went);
    }

    /// Whether a computer is there.
    pub fn connected(&self) -> bool {
        self.wire.configured()
    }

    /// Lets the core sleep for a moment, when a computer is there and wants nothing.
    pub fn rest(&mut self) {
        if self.wire.configured() && self.server.is_idle() {
            self.wire.sleep();
        }
    }

    /// Sends what was answered, before a restart.
    pub fn finish(&mut self, clock: &Clock) {
        let end = clock.millis() + LAST_WORDS;
        while clock.millis() < end {
            self.wire.poll(clock);
            self.send();
        }
    }
}
