//! The USB port with a conversation on it: what the main loop of both programs turns.

use protocol::device::{Program, SerialNumber};
use update::server::{Handler, Server};

use crate::clock::Clock;
use crate::inputs;
use crate::usb::Usb;

/// How long a computer has to fetch the last answer before a restart, in milliseconds.
const LAST_WORDS: u64 = 50;

/// The port.
pub struct Port {
    usb: Usb,
    /// Of its own place in memory: on the stack it would be built first and moved then.
    server: &'static mut Server,
}

impl Port {
    /// Connects to the bus. Nothing when it was called before.
    pub fn start(clock: &Clock, program: Program, serial: SerialNumber) -> Option<Port> {
        let server = cortex_m::singleton!(: Server = Server::new())?;
        server.set_program(program);
        Some(Port {
            usb: Usb::start(clock, serial),
            server,
        })
    }

    /// Switches USB and the core's speed when a cable was plugged or pulled since the last call: whether there is one,
    /// and the port is on.
    ///
    /// [`inputs::Inputs::start`] must have been called. Without a cable nothing else here may be.
    pub fn follow_cable(&mut self, clock: &mut Clock) -> bool {
        let powered = inputs::usb_powered();
        if powered != self.usb.is_on() {
            if powered {
                clock.full_speed();
                self.usb.switch_on();
            } else {
                self.usb.switch_off();
                self.server.reset();
                clock.battery_speed();
            }
        }
        powered
    }

    /// Moves what can be moved: at most one packet each way and one request.
    #[inline(never)]
    pub fn turn(&mut self, handler: &mut impl Handler) {
        self.usb.poll();
        if !self.usb.configured() {
            self.server.reset();
            return;
        }
        if let Some(room) = self.server.room()
            && let Some(length) = self.usb.receive(room)
        {
            self.server.received(length);
        }
        self.server.work(handler);
        let sent = self.usb.send(self.server.outgoing());
        self.server.sent(sent);
    }

    /// Whether a computer is there.
    pub fn connected(&self) -> bool {
        self.usb.configured()
    }

    /// Lets the core sleep for a moment, when a computer is there and wants nothing.
    pub fn rest(&mut self) {
        if self.usb.configured() && self.server.is_idle() {
            self.usb.sleep();
        }
    }

    /// Sends what was answered, before a restart.
    pub fn finish(&mut self, clock: &Clock) {
        let end = clock.millis() + LAST_WORDS;
        while clock.millis() < end {
            self.usb.poll();
            let sent = self.usb.send(self.server.outgoing());
            self.server.sent(sent);
        }
    }
}
