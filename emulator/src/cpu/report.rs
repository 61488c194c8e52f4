//! Why the core stopped, in terms a person can act on.

use core::fmt;

use super::bus::{BusFault, ResetCause, Width};

/// Why [`Core::run`](super::Core::run) came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The time is over.
    Deadline,
    /// The chip is to be reset: the core or the bus asked for it.
    Reset(ResetCause),
    /// A BKPT instruction, with its number. PC is at it.
    Breakpoint(u8),
    /// A fault where none can be handled any more (DDI 0419 B1.5.14). Only a reset helps.
    Lockup(FaultReport),
    /// In strict mode: an access that nothing sound answers. HardFault has been entered as well.
    Fault(FaultReport),
}

/// One fault: where and what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultReport {
    /// Address of the instruction that was being executed, or next to be.
    pub pc: u32,
    /// What went wrong.
    pub kind: FaultKind,
}

/// What went wrong. All of them are HardFault on ARMv6-M.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A load or store.
    Access {
        /// Where it went.
        address: u32,
        /// How many bytes.
        width: Width,
        /// A store, not a load.
        write: bool,
        /// Why it did not go through.
        fault: BusFault,
    },
    /// An instruction was to be fetched where there is no memory.
    Fetch,
    /// No instruction of ARMv6-M; a 32-bit one has its first half-word above.
    Undefined {
        /// The opcode.
        opcode: u32,
    },
    /// A branch, vector or exception return without bit 0: the Arm state does not exist here.
    NotThumb,
    /// An EXC_RETURN value or stacked xPSR that does not fit the active exceptions.
    ExceptionReturn {
        /// The value in PC.
        value: u32,
    },
    /// No memory for an exception's stack frame, on entry or return.
    Stack {
        /// Where the frame should have been.
        address: u32,
    },
    /// The vector table is not in memory.
    Vector {
        /// The exception's number.
        exception: u8,
        /// Where its vector should have been.
        address: u32,
    },
    /// SVC at a priority, or with PRIMASK set, where it cannot be taken.
    SupervisorCall,
}

impl FaultReport {
    /// Whether it is an access or fetch that nothing sound answers: what strict mode stops at.
    pub fn is_bus_fault(&self) -> bool {
        matches!(self.kind, FaultKind::Access { .. } | FaultKind::Fetch)
    }
}

impl fmt::Display for FaultReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            FaultKind::Access {
                address,
                width,
                write,
                fault,
            } => {
                let what = if write { "write" } else { "read" };
                let bytes = width as u8;
                write!(f, "{bytes}-byte {what} at {address:#010x}: {fault}")?;
            }
            FaultKind::Fetch => write!(f, "instruction fetch where there is no memory")?,
            FaultKind::Undefined { opcode } => write!(f, "undefined instruction {opcode:#06x}")?,
            FaultKind::NotThumb => write!(f, "branch to an even address (Arm state)")?,
            FaultKind::ExceptionReturn { value } => {
                write!(f, "exception return {value:#010x} that does not fit")?;
            }
            FaultKind::Stack { address } => {
                write!(f, "no memory for the stack frame at {address:#010x}")?;
            }
            FaultKind::Vector { exception, address } => {
                write!(f, "no memory for vector {exception} at {address:#010x}")?;
            }
            FaultKind::SupervisorCall => write!(f, "SVC where it cannot be taken")?,
        }
        write!(f, " (pc {:#010x})", self.pc)
    }
}

impl fmt::Display for BusFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BusFault::Unmapped => "nothing answers there",
            BusFault::Unclocked => "the peripheral's clock is off",
            BusFault::Reserved => "no register that is modelled",
            BusFault::Width => "the register does not take this width",
            BusFault::Unaligned => "not aligned to its width",
        })
    }
}
