//! The way to a logger behind a USB-UART bridge: the far end of its USART2, in the machine's time.
//!
//! The port stays whatever the logger does, bytes come at the rate that each side believes in, and nothing holds the
//! computer back.

use std::time::Duration;

use emulator::machine::{Machine, SerialPort};
use emulator::time::Time;
use host::link::{Link, LinkError};
use host::protocol::BAUD_RATE;

use crate::Random;

/// Step in which the machine runs while an answer is awaited.
const STEP: Time = Time::from_micros(100);

/// A computer's port with a bridge on it.
pub struct BridgedLink {
    /// The logger.
    pub machine: Machine,
    /// Bytes that the computer has sent.
    pub sent: usize,
    /// Rates that the computer has changed to.
    pub changes: Vec<u32>,
    rates: &'static [u32],
    /// What is faster the bridge only says it can do.
    limit: u32,
    /// One byte in that many is hit, on either way.
    noise: Option<(Random, u64)>,
}

impl BridgedLink {
    /// A bridge that goes at 115,200 baud alone, as a browser's port does.
    pub fn new(machine: Machine) -> Self {
        let mut link = BridgedLink {
            machine,
            sent: 0,
            changes: Vec::new(),
            rates: &[],
            limit: u32::MAX,
            noise: None,
        };
        link.set_rate(BAUD_RATE);
        link
    }

    /// One that can be changed to these rates.
    pub fn with_rates(mut self, rates: &'static [u32]) -> Self {
        self.rates = rates;
        self
    }

    /// From here on one byte in `one_in` is hit.
    pub fn disturb(&mut self, one_in: u64) {
        self.noise = Some((Random(1), one_in));
    }

    /// What is faster than this fails on the way, though the computer is told nothing of it.
    pub fn limit_rate(&mut self, baud: u32) {
        self.limit = baud;
    }

    /// The computer's rate.
    pub fn set_rate(&mut self, baud: u32) {
        let baud = if baud > self.limit { baud / 2 } else { baud };
        self.machine.serial(SerialPort::Usart2).set_baud(Some(baud));
    }

    /// Sends bytes as they are.
    pub fn write(&mut self, bytes: &[u8]) {
        self.sent += bytes.len();
        let bytes = disturbed(&mut self.noise, bytes.to_vec());
        self.machine.serial(SerialPort::Usart2).write(&bytes);
    }

    /// What came since the last look.
    pub fn read(&mut self) -> Vec<u8> {
        let bytes = self.machine.serial(SerialPort::Usart2).read();
        disturbed(&mut self.noise, bytes)
    }

    /// Lets the logger run.
    pub fn run(&mut self, time: Duration) -> Result<(), LinkError> {
        self.machine
            .run_for(time.into())
            .map_err(|halt| LinkError::System(format!("at {:?}: {halt}", self.machine.now())))
    }
}

fn disturbed(noise: &mut Option<(Random, u64)>, mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some((random, one_in)) = noise {
        for byte in &mut bytes {
            if random.below(*one_in) == 0 {
                *byte ^= 1 << random.below(8);
            }
        }
    }
    bytes
}

impl Link for BridgedLink {
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.write(bytes);
        Ok(())
    }

    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError> {
        let end = self.machine.now() + timeout.into();
        loop {
            let bytes = self.read();
            if !bytes.is_empty() || self.machine.now() >= end {
                return Ok(bytes);
            }
            self.run(STEP.into())?;
        }
    }

    async fn reopen(&mut self, _: Duration) -> Result<(), LinkError> {
        self.set_rate(BAUD_RATE);
        self.read();
        Ok(())
    }

    fn baud_rates(&self) -> &'static [u32] {
        self.rates
    }

    async fn set_baud_rate(&mut self, baud: u32) -> Result<(), LinkError> {
        self.changes.push(baud);
        self.set_rate(baud);
        Ok(())
    }

    async fn sleep(&mut self, time: Duration) {
        // A logger that stands still is noticed by whoever talks to it next.
        let _ = self.run(time);
    }
}
