//! Exceptions: which one is due, entry with its stack frame, return, and what a fault leads to.
//!
//! Nothing here knows where interrupt lines come from. Source: ARMv6-M Architecture Reference Manual (DDI 0419) B1.5.
//! Entry takes 15 cycles (Cortex-M0+ TRM, DDI 0484 1.4); the manuals give no number for return and tail-chaining, so
//! those are entry without what it does not do.

use super::bus::Bus;
use super::execute::Flags;
use super::report::{FaultKind, FaultReport, Stop};
use super::{Core, Sleep};
use crate::memory::{Memory, RAM_BASE, RAM_SIZE, flash_offset};

pub(super) const NMI: u8 = 2;
pub(super) const HARD_FAULT: u8 = 3;
pub(super) const SV_CALL: u8 = 11;
pub(super) const PEND_SV: u8 = 14;
pub(super) const SYS_TICK: u8 = 15;
/// Number of interrupt 0's exception.
pub(super) const INTERRUPT_0: u8 = 16;
/// Exceptions of 32 interrupts and the core.
const EXCEPTIONS: usize = 48;

/// Priority of thread mode: below every exception.
const THREAD: i16 = 256;
/// What PRIMASK raises the priority to.
const MASKED: i16 = 0;
/// Two bits of priority are implemented.
pub(super) const PRIORITY_BITS: u8 = 0xC0;

const ENTRY_CYCLES: u64 = 15;
/// Entry less the eight words that are not stacked.
const TAIL_CHAIN_CYCLES: u64 = 7;
/// Eight words and a refill of the pipeline; the branch that led here has counted its own.
const RETURN_CYCLES: u64 = 11;

const FRAME_BYTES: u32 = 32;
/// In a stacked xPSR: SP was not a multiple of eight.
const XPSR_REALIGNED: u32 = 1 << 9;
pub(super) const XPSR_THUMB: u32 = 1 << 24;
const XPSR_EXCEPTION: u32 = 0x3F;

const RETURN_TO_HANDLER: u32 = 0xFFFF_FFF1;
const RETURN_TO_MAIN_STACK: u32 = 0xFFFF_FFF9;
const RETURN_TO_PROCESS_STACK: u32 = 0xFFFF_FFFD;

fn bit(exception: u8) -> u64 {
    1 << exception
}

/// State of every exception, a bit for each number.
#[derive(Clone, Debug)]
pub(super) struct Exceptions {
    pub pending: u64,
    /// Those of the core are always enabled.
    pub enabled: u64,
    active: u64,
    priority: [i16; EXCEPTIONS],
    /// Interrupt lines as they were asserted last.
    lines: u32,
}

impl Exceptions {
    pub fn new() -> Exceptions {
        let mut priority = [0; EXCEPTIONS];
        priority[usize::from(NMI)] = -2;
        priority[usize::from(HARD_FAULT)] = -1;
        Exceptions {
            pending: 0,
            enabled: bit(INTERRUPT_0) - 1,
            active: 0,
            priority,
            lines: 0,
        }
    }

    pub fn pend(&mut self, exception: u8) {
        self.pending |= bit(exception);
    }

    pub fn unpend(&mut self, exception: u8) {
        self.pending &= !bit(exception);
    }

    pub fn is_pending(&self, exception: u8) -> bool {
        self.pending & bit(exception) != 0
    }

    /// Pending interrupts, a bit each.
    pub fn pending_interrupts(&self) -> u32 {
        (self.pending >> INTERRUPT_0) as u32
    }

    /// The priority as it is in SHPR and IPR.
    pub fn priority(&self, exception: u8) -> u8 {
        self.priority[usize::from(exception)] as u8
    }

    /// Only for exceptions whose priority can be chosen.
    pub fn set_priority(&mut self, exception: u8, priority: u8) {
        self.priority[usize::from(exception)] = i16::from(priority & PRIORITY_BITS);
    }

    /// Takes what the lines say now. An asserted line pends its interrupt unless that is being handled, where it must
    /// have been released in between. True when something became pending.
    pub fn set_lines(&mut self, lines: u32) -> bool {
        let handled = (self.active >> INTERRUPT_0) as u32;
        let pend = lines & !(handled & self.lines);
        self.lines = lines;
        let before = self.pending;
        self.pending |= u64::from(pend) << INTERRUPT_0;
        self.pending != before
    }

    /// Makes those lines that are still asserted, and whose interrupt is not being handled, pend again.
    pub fn pend_asserted(&mut self) {
        let handled = (self.active >> INTERRUPT_0) as u32;
        self.pending |= u64::from(self.lines & !handled) << INTERRUPT_0;
    }

    fn active_priority(&self) -> i16 {
        exceptions(self.active)
            .map(|exception| self.priority[usize::from(exception)])
            .min()
            .unwrap_or(THREAD)
    }

    /// The most urgent one that is pending and enabled, masked or not; of equals the lowest number.
    pub fn most_urgent(&self) -> Option<u8> {
        exceptions(self.pending & self.enabled)
            .min_by_key(|exception| self.priority[usize::from(*exception)])
    }
}

/// The numbers of the bits that are set, lowest first.
fn exceptions(mut set: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        if set == 0 {
            return None;
        }
        let lowest = set.trailing_zeros() as u8;
        set &= set - 1;
        Some(lowest)
    })
}

/// A word of RAM or flash.
fn word(memory: &Memory, address: u32) -> Option<u32> {
    let offset = address.wrapping_sub(RAM_BASE) as usize;
    let bank: &[u8] = if offset < RAM_SIZE {
        &memory.ram()[offset..]
    } else {
        &memory.flash()[flash_offset(address)?..]
    };
    Some(u32::from_le_bytes(*bank.first_chunk()?))
}

impl Core {
    /// What the core is doing is as urgent as this.
    pub(super) fn execution_priority(&self) -> i16 {
        let active = self.exceptions.active_priority();
        if self.primask {
            active.min(MASKED)
        } else {
            active
        }
    }

    /// The exception that is to be taken now, if any.
    pub(super) fn preempting(&self) -> Option<u8> {
        let urgent = self.exceptions.most_urgent()?;
        let priority = self.exceptions.priority[usize::from(urgent)];
        (priority < self.execution_priority()).then_some(urgent)
    }

    /// Whether an exception is pending that would be taken were it not for PRIMASK: what ends WFI.
    pub(super) fn wakes_from_interrupt_sleep(&self) -> bool {
        self.exceptions.most_urgent().is_some_and(|urgent| {
            self.exceptions.priority[usize::from(urgent)] < self.exceptions.active_priority()
        })
    }

    /// Address of an exception's vector.
    pub(super) fn vector_address(&self, exception: u8) -> u32 {
        self.vector_table + 4 * u32::from(exception)
    }

    /// Stacks and begins handling `exception`. An error is a lockup.
    pub(super) fn enter(&mut self, memory: &mut Memory, exception: u8) -> Result<(), FaultReport> {
        let (taken, exception_return) = self.stack(memory, exception)?;
        self.take(memory, taken, exception_return)
    }

    /// Like [`enter`](Self::enter), for an exception that comes from outside: a more urgent one that arrives while the
    /// frame is being stacked is begun in its place, on that frame, and it waits for its turn (late arrival,
    /// Cortex-M0+ Devices Generic User Guide 2.3.6).
    pub(super) fn preempt(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        exception: u8,
    ) -> Result<(), FaultReport> {
        let (mut taken, exception_return) = self.stack(memory, exception)?;
        let lines = bus.poll(memory, self.now);
        self.set_lines(lines);
        self.advance_systick();
        let priority = |exception: u8| self.exceptions.priority[usize::from(exception)];
        if taken == exception
            && let Some(late) = self.preempting()
            && priority(late) < priority(taken)
        {
            taken = late;
        }
        self.take(memory, taken, exception_return)
    }

    /// Stacks a frame for `exception` and goes on on the main stack. Gives what is to be begun, which is HardFault when
    /// there was no room, and its EXC_RETURN. An error is a lockup.
    fn stack(&mut self, memory: &mut Memory, exception: u8) -> Result<(u8, u32), FaultReport> {
        let sp = self.registers.r[13];
        let frame = sp.wrapping_sub(FRAME_BYTES) & !4;
        let realigned = if sp & 4 != 0 { XPSR_REALIGNED } else { 0 };
        let r = &self.registers.r;
        let words = [
            r[0],
            r[1],
            r[2],
            r[3],
            r[12],
            r[14],
            r[15],
            self.xpsr() | realigned,
        ];
        let mut taken = exception;
        let offset = frame.wrapping_sub(RAM_BASE) as usize;
        let room = memory.ram_mut().get_mut(offset..RAM_SIZE);
        match room.and_then(|room| room.get_mut(..words.len() * 4)) {
            Some(room) => {
                for (place, word) in room.as_chunks_mut().0.iter_mut().zip(words) {
                    *place = word.to_le_bytes();
                }
            }
            None => {
                let report = FaultReport {
                    pc: self.pc(),
                    kind: FaultKind::Stack { address: frame },
                };
                // A frame that does not fit ends in HardFault without one, unless that is what was being entered.
                if exception == NMI || exception == HARD_FAULT {
                    return Err(report);
                }
                self.last_fault = Some(report);
                taken = HARD_FAULT;
            }
        }
        let exception_return = if self.exception != 0 {
            RETURN_TO_HANDLER
        } else if self.process_stack {
            RETURN_TO_PROCESS_STACK
        } else {
            RETURN_TO_MAIN_STACK
        };
        self.registers.r[13] = frame;
        self.select_stack(false);
        self.charge(ENTRY_CYCLES);
        Ok((taken, exception_return))
    }

    /// Begins handling `exception` on a frame that is already stacked. An error is a lockup.
    fn take(
        &mut self,
        memory: &Memory,
        exception: u8,
        exception_return: u32,
    ) -> Result<(), FaultReport> {
        let mut taken = exception;
        let vector = match word(memory, self.vector_address(taken)) {
            Some(vector) => vector,
            None => {
                let report = FaultReport {
                    pc: self.pc(),
                    kind: FaultKind::Vector {
                        exception,
                        address: self.vector_address(exception),
                    },
                };
                // HardFault's own vector is in the same table, and is missing with it or not.
                let vector = word(memory, self.vector_address(HARD_FAULT));
                let (false, Some(vector)) = (exception <= HARD_FAULT, vector) else {
                    return Err(report);
                };
                self.last_fault = Some(report);
                taken = HARD_FAULT;
                vector
            }
        };
        self.exceptions.active |= bit(taken);
        self.exceptions.pending &= !bit(taken);
        self.exception = taken;
        self.registers.r[14] = exception_return;
        self.registers.r[15] = vector & !1;
        self.thumb = vector & 1 != 0;
        self.sleep = Sleep::Awake;
        Ok(())
    }

    /// Carries out an exception return that put `value` into PC; the interrupt lines have just been taken. With
    /// `may_chain` a pending exception is taken at once on the same frame. An error is a fault in the returning code.
    pub(super) fn leave(
        &mut self,
        memory: &Memory,
        value: u32,
        may_chain: bool,
    ) -> Result<(), Leave> {
        let misfit = FaultReport {
            pc: self.pc(),
            kind: FaultKind::ExceptionReturn { value },
        };
        let others = self.exceptions.active & !bit(self.exception);
        let fits = match value {
            RETURN_TO_HANDLER => others != 0,
            RETURN_TO_MAIN_STACK | RETURN_TO_PROCESS_STACK => others == 0,
            _ => false,
        };
        if !fits {
            return Err(Leave::Fault(misfit));
        }
        self.exceptions.active = others;
        self.exceptions.pend_asserted();
        self.event = true;
        if may_chain && let Some(exception) = self.preempting() {
            self.charge(TAIL_CHAIN_CYCLES);
            return self.take(memory, exception, value).map_err(Leave::Lockup);
        }

        let to_process_stack = value == RETURN_TO_PROCESS_STACK;
        let frame = if to_process_stack {
            self.banked_sp
        } else {
            self.registers.r[13]
        };
        let mut words = [0; 8];
        for (place, offset) in words.iter_mut().zip((0..).step_by(4)) {
            *place = match word(memory, frame.wrapping_add(offset)) {
                Some(word) => word,
                None => {
                    let kind = FaultKind::Stack { address: frame };
                    return self.fail_return(memory, value, FaultReport { kind, ..misfit });
                }
            };
        }
        let [r0, r1, r2, r3, r12, lr, pc, xpsr] = words;
        let exception = (xpsr & XPSR_EXCEPTION) as u8;
        let returns_to_handler = value == RETURN_TO_HANDLER;
        let resumes_active = exception != 0 && others & bit(exception) != 0;
        if returns_to_handler != resumes_active || (!returns_to_handler && exception != 0) {
            return self.fail_return(memory, value, misfit);
        }
        self.select_stack(to_process_stack);
        let r = &mut self.registers.r;
        r[..4].copy_from_slice(&[r0, r1, r2, r3]);
        r[12] = r12;
        r[13] = frame.wrapping_add(FRAME_BYTES) | (xpsr & XPSR_REALIGNED) >> 7;
        r[14] = lr;
        r[15] = pc & !1;
        self.registers.flags = Flags::from_apsr(xpsr);
        self.thumb = xpsr & XPSR_THUMB != 0;
        self.exception = exception;
        self.charge(RETURN_CYCLES);
        if self.sleep_on_exit && exception == 0 {
            self.sleep = Sleep::UntilInterrupt;
        }
        Ok(())
    }

    /// A return that broke on its frame is HardFault on that frame.
    fn fail_return(
        &mut self,
        memory: &Memory,
        value: u32,
        report: FaultReport,
    ) -> Result<(), Leave> {
        if self.execution_priority() <= self.exceptions.priority[usize::from(HARD_FAULT)] {
            return Err(Leave::Lockup(report));
        }
        self.last_fault = Some(report);
        self.charge(TAIL_CHAIN_CYCLES);
        self.take(memory, HARD_FAULT, value).map_err(Leave::Lockup)
    }

    /// Enters HardFault for what the instruction at PC did. Says when the core has to stop for it.
    pub(super) fn fault(&mut self, memory: &mut Memory, kind: FaultKind) -> Option<Stop> {
        let report = FaultReport {
            pc: self.pc(),
            kind,
        };
        if self.execution_priority() <= self.exceptions.priority[usize::from(HARD_FAULT)] {
            return Some(Stop::Lockup(report));
        }
        self.last_fault = Some(report);
        match self.enter(memory, HARD_FAULT) {
            Err(report) => Some(Stop::Lockup(report)),
            Ok(()) if self.strict && report.is_bus_fault() => Some(Stop::Fault(report)),
            Ok(()) => None,
        }
    }

    /// SVC: PC is at it.
    pub(super) fn supervisor_call(&mut self, memory: &mut Memory) -> Option<Stop> {
        let priority = self.exceptions.priority[usize::from(SV_CALL)];
        if priority >= self.execution_priority() {
            return self.fault(memory, FaultKind::SupervisorCall);
        }
        self.registers.r[15] = self.registers.r[15].wrapping_add(2);
        self.enter(memory, SV_CALL).err().map(Stop::Lockup)
    }

    /// Makes the process stack (or the main one) the current one.
    pub(super) fn select_stack(&mut self, process: bool) {
        if process != self.process_stack {
            std::mem::swap(&mut self.registers.r[13], &mut self.banked_sp);
            self.process_stack = process;
        }
    }
}

/// Why an exception return did not return.
pub(super) enum Leave {
    /// A fault of the code that returned, still in its handler.
    Fault(FaultReport),
    /// No way out.
    Lockup(FaultReport),
}
