//! A record of what the core asked of peripherals: for a person who wants to know what firmware does.
//!
//! It must never change a run: recording or not, the machine does the same to the cycle.

use super::Core;
use super::bus::{BusFault, Width};
use crate::memory::{RAM_BASE, RAM_SIZE, flash_offset};
use crate::time::Time;

/// One load or store that went beyond flash and RAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// When.
    pub at: Time,
    /// Address of the instruction.
    pub pc: u32,
    /// Where it went.
    pub address: u32,
    /// How many bytes.
    pub width: Width,
    /// A store, not a load.
    pub write: bool,
    /// What was stored or loaded, or why it did not go through.
    pub value: Result<u32, BusFault>,
}

impl Core {
    /// Keeps a list of accesses to peripherals from now on, or stops that. Off at first. The list grows until it is
    /// taken, and outlives resets.
    pub fn record_accesses(&mut self, on: bool) {
        self.accesses = on.then(Vec::new);
    }

    /// The accesses since the last call, in order.
    pub fn take_accesses(&mut self) -> Vec<Access> {
        self.accesses
            .as_mut()
            .map(std::mem::take)
            .unwrap_or_default()
    }

    /// Keeps one, when wanted. PC is still at its instruction.
    pub(super) fn record(
        &mut self,
        address: u32,
        width: Width,
        write: bool,
        value: Result<u32, BusFault>,
    ) {
        let Some(accesses) = &mut self.accesses else {
            return;
        };
        let in_ram = (address.wrapping_sub(RAM_BASE) as usize) < RAM_SIZE;
        if !in_ram && (write || flash_offset(address).is_none()) {
            accesses.push(Access {
                at: self.now,
                pc: self.registers.r[15],
                address,
                width,
                write,
                value,
            });
        }
    }
}
