//! The emulated link with its bytes counted and its time taken.

use std::time::Duration;

use emulator::machine::Machine;
use emulator::time::Time;
use host::link::{Link, LinkError};

use crate::EmulatedLink;

/// A link, and what went over it since [`Counting::reset`].
pub struct Counting {
    link: EmulatedLink,
    since: Time,
    /// Bytes to the logger.
    pub sent: usize,
    /// Bytes from it.
    pub received: usize,
}

impl Counting {
    pub fn new(link: EmulatedLink) -> Self {
        Counting {
            since: link.machine.now(),
            link,
            sent: 0,
            received: 0,
        }
    }

    /// Counts and measures from here on.
    pub fn reset(&mut self) {
        self.since = self.now();
        self.sent = 0;
        self.received = 0;
    }

    pub fn now(&self) -> Time {
        self.link.machine.now()
    }

    pub fn time(&self) -> Time {
        self.now() - self.since
    }

    pub fn into_machine(self) -> Machine {
        self.link.machine
    }
}

impl Link for Counting {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.sent += bytes.len();
        self.link.send(bytes).await
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let bytes = self.link.receive(timeout).await?;
        self.received += bytes.len();
        Ok(bytes)
    }

    async fn reopen(&mut self, timeout: Duration) -> Result<(), LinkError> {
        self.link.reopen(timeout).await
    }

    async fn sleep(&mut self, time: Duration) {
        self.link.sleep(time).await;
    }
}
