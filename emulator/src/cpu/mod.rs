//! The Cortex-M0+: ARMv6-M with its NVIC, SCB and SysTick, in virtual time.
//!
//! It executes from flash and RAM and reaches everything else through a [`Bus`]. It must never know what is behind
//! that, nor depend on the computer's clock: the same memory, bus and deadlines give the same run, to the cycle, in
//! however many pieces it is run.
//!
//! Timing is that of the Cortex-M0+ Technical Reference Manual (DDI 0484) with its single-cycle multiplier and
//! single-cycle I/O port. Flash wait states are not modelled: code that runs from flash at 32 MHz with one wait state
//! is faster here than on the chip. A core that needs flash while it is busy does stall.
//!
//! Not modelled, and reserved registers in strict mode: the MPU and everything for debuggers.

pub mod bus;
pub(crate) mod decode;
mod exceptions;
mod execute;
mod polling;
mod report;
mod system;
mod systick;
#[cfg(test)]
mod tests;
mod trace;
mod transfer;

use core::ops::ControlFlow;

use self::bus::{Bus, ResetCause};
use self::decode::{Kind, Op};
use self::exceptions::{Exceptions, Leave, XPSR_THUMB};
use self::execute::{Exit, Flags, LONGEST_BUDGET, Registers, execute};
use self::polling::Round;
pub use self::report::{FaultKind, FaultReport, Stop};
use self::systick::SysTick;
pub use self::trace::Access;
use crate::memory::{Memory, flash_offset};
use crate::time::Time;

/// The core: its registers, its private peripherals and its time. A clone is a snapshot.
#[derive(Clone, Debug)]
pub struct Core {
    registers: Registers,
    /// The stack pointer that is not in use: PSP in handler mode and on the main stack, else MSP.
    banked_sp: u32,
    /// CONTROL.SPSEL; handler mode always is on the main stack.
    process_stack: bool,
    /// CONTROL.nPRIV.
    unprivileged: bool,
    primask: bool,
    /// IPSR: the exception being handled, 0 in thread mode.
    exception: u8,
    /// EPSR.T: cleared by a branch to an even address, which faults before the next instruction.
    thumb: bool,

    exceptions: Exceptions,
    systick: SysTick,
    vector_table: u32,
    sleep_on_exit: bool,
    sleep_deep: bool,
    event_on_pend: bool,
    /// AIRCR.SYSRESETREQ was written.
    reset_requested: bool,

    sleep: Sleep,
    /// The event register of WFE and SEV.
    event: bool,
    /// A fetch or read waits for flash, and interrupts wait with it.
    stalled: bool,

    now: Time,
    /// Length of one cycle since the bus was asked last.
    cycle: Time,
    /// Cycles of the core's clock, those of sleep but not of deep sleep included: SysTick's measure.
    clock: u64,
    instructions: u64,
    asleep: Time,
    /// Cycles of its clock in sleep, but not in deep sleep, since the core was made.
    cycles_asleep: u64,
    /// Cycles in all before the latest reset.
    cycles_before: u64,
    strict: bool,
    last_fault: Option<FaultReport>,
    /// Accesses to peripherals, while they are wanted.
    accesses: Option<Vec<Access>>,
    /// Of a loop that waits, perhaps.
    round: Option<Round>,
}

/// What the core waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sleep {
    Awake,
    /// WFI, or SLEEPONEXIT.
    UntilInterrupt,
    /// WFE.
    UntilEvent,
}

impl Core {
    /// A core before its first [`reset`](Self::reset), at time zero.
    pub fn new() -> Core {
        Core {
            registers: Registers {
                r: [0; 16],
                flags: Flags::from_apsr(0),
            },
            banked_sp: 0,
            process_stack: false,
            unprivileged: false,
            primask: false,
            exception: 0,
            thumb: true,
            exceptions: Exceptions::new(),
            systick: SysTick::default(),
            vector_table: 0,
            sleep_on_exit: false,
            sleep_deep: false,
            event_on_pend: false,
            reset_requested: false,
            sleep: Sleep::Awake,
            event: false,
            stalled: false,
            now: Time::ZERO,
            cycle: Time::ZERO,
            clock: 0,
            instructions: 0,
            asleep: Time::ZERO,
            cycles_asleep: 0,
            cycles_before: 0,
            strict: false,
            last_fault: None,
            accesses: None,
            round: None,
        }
    }

    /// Starts over at `now` as after a reset: MSP and PC come from the vector table at 0. The counts of instructions
    /// and of time asleep go on, and strictness stays.
    pub fn reset(&mut self, memory: &Memory, now: Time) {
        let [sp, entry] = [0, 4].map(|offset| {
            let [a, b, c, d] = [0, 1, 2, 3].map(|byte| memory.flash()[offset + byte]);
            u32::from_le_bytes([a, b, c, d])
        });
        let mut core = Core {
            now,
            instructions: self.instructions,
            asleep: self.asleep,
            cycles_asleep: self.cycles_asleep,
            cycles_before: self.cycles(),
            strict: self.strict,
            accesses: self.accesses.take(),
            thumb: entry & 1 != 0,
            ..Core::new()
        };
        core.registers.r[13] = sp & !3;
        core.registers.r[14] = u32::MAX;
        core.registers.r[15] = entry & !1;
        *self = core;
    }

    /// Runs to `until`, or until something else stops the core. The last instruction or cycle may end after `until`.
    ///
    /// Between two events of the bus the interrupt lines, the clock and flash are taken to change only when a write
    /// has the effect [`Attention`](bus::Effect::Attention).
    pub fn run(&mut self, memory: &mut Memory, bus: &mut impl Bus, until: Time) -> Stop {
        loop {
            let lines = bus.poll(memory, self.now);
            self.set_lines(lines);
            self.event |= bus.take_event();
            if let Some(cause) = bus.take_reset() {
                return Stop::Reset(cause);
            }
            self.cycle = bus.cycle();
            self.advance_systick();
            if self.now >= until {
                return Stop::Deadline;
            }
            let budget = self.budget(bus.next_event().map_or(until, |event| event.min(until)));

            if self.sleep == Sleep::Awake && flash_offset(self.pc()).is_some() {
                bus.flash_fetched();
            }
            let flash_busy = bus.flash_busy_until(self.now).filter(|end| *end > self.now);
            if let Some(end) = flash_busy
                && self.sleep == Sleep::Awake
                && (self.stalled || flash_offset(self.pc()).is_some())
            {
                self.stalled = true;
                self.wait(budget.min(self.cycles_until(end)));
                continue;
            }
            self.stalled = false;

            if self.stays_asleep() {
                if bus.sleeping(self.sleep_deep, self.now) {
                    continue;
                }
                let (began, clock) = (self.now, self.clock);
                self.wait(budget);
                self.asleep += self.now - began;
                self.cycles_asleep += self.clock - clock;
                continue;
            }

            if let Some(exception) = self.preempting() {
                // The vector is a read like any other. The frame is stacked after the wait: nobody can tell.
                if flash_busy.is_some() && flash_offset(self.vector_address(exception)).is_some() {
                    self.stalled = true;
                } else if let Err(report) = self.preempt(memory, bus, exception) {
                    return Stop::Lockup(report);
                }
                continue;
            }

            let stop = if self.thumb {
                self.burst(memory, bus, budget, flash_busy.is_some())
            } else {
                self.fault(memory, FaultKind::NotThumb)
            };
            if let Some(stop) = stop {
                return stop;
            }
            if self.reset_requested {
                self.reset_requested = false;
                return Stop::Reset(ResetCause::Software);
            }
        }
    }

    /// The core's time. It goes on with [`run`](Self::run) alone.
    pub fn now(&self) -> Time {
        self.now
    }

    /// Moves the core to another time, as when power was off in between.
    pub fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    /// Instructions executed since the core was made.
    pub fn instructions(&self) -> u64 {
        self.instructions
    }

    /// Time spent asleep since the core was made.
    pub fn asleep(&self) -> Time {
        self.asleep
    }

    /// Cycles of the core's clock since the core was made. In deep sleep there are none.
    pub fn cycles(&self) -> u64 {
        self.cycles_before + self.clock
    }

    /// Those of them in which it slept.
    pub fn cycles_asleep(&self) -> u64 {
        self.cycles_asleep
    }

    /// R0 to R12, SP in use (13), LR (14) or PC (15).
    ///
    /// # Panics
    /// When `number` is above 15.
    pub fn register(&self, number: usize) -> u32 {
        self.registers.r[number]
    }

    /// Sets R0 to R12, SP in use (13), LR (14) or PC (15), as a debugger does.
    ///
    /// # Panics
    /// When `number` is above 15.
    pub fn set_register(&mut self, number: usize, value: u32) {
        match number {
            13 => self.registers.r[13] = value & !3,
            15 => self.set_pc(value),
            _ => self.registers.r[number] = value,
        }
    }

    /// Address of the next instruction.
    pub fn pc(&self) -> u32 {
        self.registers.r[15]
    }

    /// Goes on at `address`, awake and in Thumb state; bit 0 does not matter.
    pub fn set_pc(&mut self, address: u32) {
        self.registers.r[15] = address & !1;
        self.thumb = true;
        self.sleep = Sleep::Awake;
        self.stalled = false;
    }

    /// Flags, T and the number of the exception being handled.
    pub fn xpsr(&self) -> u32 {
        let thumb = if self.thumb { XPSR_THUMB } else { 0 };
        self.registers.flags.apsr() | thumb | u32::from(self.exception)
    }

    /// Sets the flags and T. Which exception is being handled stays.
    pub fn set_xpsr(&mut self, value: u32) {
        self.registers.flags = Flags::from_apsr(value);
        self.thumb = value & XPSR_THUMB != 0;
    }

    /// Whether PRIMASK keeps interrupts out.
    pub fn primask(&self) -> bool {
        self.primask
    }

    /// Sets PRIMASK.
    pub fn set_primask(&mut self, masked: bool) {
        self.primask = masked;
    }

    /// Whether the core waits in WFI, WFE or SLEEPONEXIT.
    pub fn is_sleeping(&self) -> bool {
        self.sleep != Sleep::Awake
    }

    /// SCR.SLEEPDEEP: sleep means STOP or STANDBY, and SysTick rests with it.
    pub fn deep_sleep_requested(&self) -> bool {
        self.sleep_deep
    }

    /// Whether accesses that nothing sound answers stop the core.
    pub fn strict(&self) -> bool {
        self.strict
    }

    /// Makes every access or fetch that nothing sound answers stop the core, besides entering HardFault.
    pub fn set_strict(&mut self, strict: bool) {
        self.strict = strict;
    }

    /// What last led into HardFault since the reset: for whoever finds the core in that handler.
    pub fn last_fault(&self) -> Option<FaultReport> {
        self.last_fault
    }

    fn set_lines(&mut self, lines: u32) {
        if self.exceptions.set_lines(lines) && self.event_on_pend {
            self.event = true;
        }
    }

    fn advance_systick(&mut self) {
        if self.systick.advance(self.clock) {
            let news = !self.exceptions.is_pending(exceptions::SYS_TICK);
            self.exceptions.pend(exceptions::SYS_TICK);
            self.event |= news && self.event_on_pend;
        }
    }

    fn cycles_until(&self, time: Time) -> u64 {
        let cycle = self.cycle.picos().max(1);
        time.since(self.now).picos().div_ceil(cycle).max(1)
    }

    /// Cycles until the bus or SysTick wants attention.
    fn budget(&self, event: Time) -> u64 {
        let cycles = self.cycles_until(event);
        if self.is_sleeping() && self.sleep_deep {
            return cycles;
        }
        match self.systick.cycles_to_zero(self.clock) {
            Some(zero) => cycles.min(zero.max(1)),
            None => cycles,
        }
    }

    /// Lets cycles pass in which instructions execute.
    fn charge(&mut self, cycles: u64) {
        self.now += self.cycle * cycles;
        self.clock += cycles;
    }

    /// Lets cycles pass in which nothing executes. Time stays on the grid of cycles, so it does not matter in how many
    /// pieces the core waits.
    fn wait(&mut self, cycles: u64) {
        let span = self.cycle.picos().saturating_mul(cycles);
        self.now = Time::from_picos(self.now.picos().saturating_add(span));
        if !(self.is_sleeping() && self.sleep_deep) {
            self.clock += cycles;
        }
    }

    /// Whether the core sleeps on; wakes it otherwise.
    fn stays_asleep(&mut self) -> bool {
        let wakes = match self.sleep {
            Sleep::Awake => return false,
            Sleep::UntilInterrupt => self.wakes_from_interrupt_sleep(),
            Sleep::UntilEvent => std::mem::take(&mut self.event) || self.preempting().is_some(),
        };
        if wakes {
            self.sleep = Sleep::Awake;
        }
        !wakes
    }

    /// Executes for `budget` cycles, or until the outer loop has to look at the world again. Says when to stop.
    fn burst(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        budget: u64,
        flash_busy: bool,
    ) -> Option<Stop> {
        let end = self.clock + budget;
        while self.clock < end {
            let cycles = (end - self.clock).min(LONGEST_BUDGET);
            let progress = execute(&mut self.registers, memory.banks(flash_busy), cycles);
            self.instructions += progress.instructions;
            self.charge(progress.cycles);
            match progress.exit {
                Exit::Budget => {}
                Exit::Beyond(op) => {
                    self.pass_over_rounds(memory, bus, op, end);
                    if let ControlFlow::Break(stop) = self.beyond(memory, bus, op) {
                        return stop;
                    }
                }
                Exit::ExceptionReturn(value) => return self.end_exception(memory, bus, value),
                Exit::NotThumb => {
                    self.thumb = false;
                    return None;
                }
                // The outer loop waits until flash is free.
                Exit::Fetch if flash_busy && flash_offset(self.pc()).is_some() => return None,
                Exit::Fetch => return self.fault(memory, FaultKind::Fetch),
            }
        }
        None
    }

    /// Executes the instruction at PC, which the fast loop could not. Breaks when the outer loop has to look at the
    /// world again, or to stop.
    fn beyond(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        op: Op,
    ) -> ControlFlow<Option<Stop>> {
        match op.kind {
            Kind::Undefined => {
                let opcode = op.immediate;
                ControlFlow::Break(self.fault(memory, FaultKind::Undefined { opcode }))
            }
            Kind::Bkpt => ControlFlow::Break(Some(Stop::Breakpoint(op.immediate as u8))),
            Kind::Svc => {
                self.instructions += 1;
                self.charge(1);
                ControlFlow::Break(self.supervisor_call(memory))
            }
            Kind::Cps | Kind::Wfi | Kind::Wfe | Kind::Sev | Kind::Msr | Kind::Mrs => {
                self.instructions += 1;
                self.system_instruction(op)
            }
            _ => self.transfer(memory, bus, op),
        }
    }

    /// PC was given an EXC_RETURN value. In thread mode that is an ordinary branch, to where nothing can be fetched.
    fn end_exception(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        value: u32,
    ) -> Option<Stop> {
        if self.exception == 0 {
            self.registers.r[15] = value & !1;
            self.thumb = value & 1 != 0;
            return None;
        }
        let lines = bus.poll(memory, self.now);
        self.set_lines(lines);
        // While flash is busy the next vector would have to wait; the outer loop sees to that.
        let may_chain = bus.flash_busy_until(self.now).is_none();
        match self.leave(memory, value, may_chain) {
            Ok(()) => None,
            Err(Leave::Fault(report)) => self.fault(memory, report.kind),
            Err(Leave::Lockup(report)) => Some(Stop::Lockup(report)),
        }
    }
}

impl Default for Core {
    fn default() -> Core {
        Core::new()
    }
}
