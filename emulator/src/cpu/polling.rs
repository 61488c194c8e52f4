//! Passing over rounds of a loop that only waits for a register to change.
//!
//! It must never change a run: what is passed over is what would have happened, to the cycle. So it only knows loops in
//! RAM of one load and operations on registers, that came round with every register as before.

use super::Core;
use super::bus::Bus;
use super::decode::{Kind, Op};
use super::execute::fetch_ram;
use crate::memory::Memory;

/// Most instructions of such a loop.
const LONGEST: u64 = 6;

/// The core before the load, when the loop came round last.
#[derive(Clone, Debug)]
pub(super) struct Round {
    registers: [u32; 16],
    apsr: u32,
    clock: u64,
    instructions: u64,
}

impl Core {
    /// The core is about to execute `op`, before `end` of its clock, until when the bus does nothing by itself: when that
    /// is the load of a loop that waits, all but the last rounds until then are over.
    pub(super) fn pass_over_rounds(&mut self, memory: &Memory, bus: &impl Bus, op: Op, end: u64) {
        let r = &self.registers.r;
        let base = r[usize::from(op.n)];
        let address = match op.kind {
            Kind::LdrImm | Kind::LdrhImm | Kind::LdrbImm => base.wrapping_add(op.immediate),
            Kind::LdrReg | Kind::LdrhReg | Kind::LdrbReg => base.wrapping_add(r[usize::from(op.m)]),
            _ => return,
        };
        // Whoever records accesses wants every one.
        if self.accesses.is_some() || !bus.is_steady(address) {
            return;
        }
        let now = Round {
            registers: *r,
            apsr: self.registers.flags.apsr(),
            clock: self.clock,
            instructions: self.instructions,
        };
        if let Some(last) = self.round.replace(now)
            && last.registers == self.registers.r
            && last.apsr == self.registers.flags.apsr()
            && self.waits(memory, self.instructions - last.instructions)
        {
            let cycles = self.clock - last.clock;
            let rounds = end.saturating_sub(self.clock + 1) / cycles;
            self.charge(rounds * cycles);
            self.instructions += rounds * (self.instructions - last.instructions);
            self.round = None;
        }
    }

    /// Whether so many instructions from PC on do nothing but change registers, and lead back to PC.
    fn waits(&self, memory: &Memory, instructions: u64) -> bool {
        let start = self.pc();
        if !(2..=LONGEST).contains(&instructions) {
            return false;
        }
        (1..instructions as u32).all(|index| {
            let pc = start.wrapping_add(2 * index);
            let Some(op) = fetch_ram(memory.ram(), pc) else {
                return false;
            };
            if u64::from(index) + 1 == instructions {
                branches(op.kind) && pc.wrapping_add(op.immediate) == start
            } else {
                changes_registers_only(op.kind)
            }
        })
    }
}

/// Two bytes long, and neither a branch nor an access.
fn changes_registers_only(kind: Kind) -> bool {
    use Kind::*;
    matches!(
        kind,
        LslImm
            | LsrImm
            | AsrImm
            | AddReg
            | SubReg
            | AddImm
            | SubImm
            | MovImm
            | CmpImm
            | And
            | Eor
            | LslReg
            | LsrReg
            | Tst
            | CmpReg
            | Orr
            | Bic
            | Mvn
            | Uxth
            | Uxtb
            | Nop
    )
}

fn branches(kind: Kind) -> bool {
    use Kind::*;
    matches!(kind, Beq | Bne | Bcs | Bcc | Bmi | Bpl | B)
}
