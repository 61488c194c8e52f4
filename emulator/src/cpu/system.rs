//! The core's own registers: the special ones of MSR and MRS, and NVIC, SCB and SysTick on the private bus.
//!
//! It never reaches the bus outside. Source: ARMv6-M Architecture Reference Manual (DDI 0419) B3.2 to B3.4 and B5.2;
//! CPUID: Cortex-M0+ Technical Reference Manual (DDI 0484).

use core::ops::ControlFlow;

use super::bus::{BusFault, Width};
use super::decode::{Kind, Op};
use super::exceptions::{INTERRUPT_0, NMI, PEND_SV, SV_CALL, SYS_TICK};
use super::execute::Flags;
use super::report::Stop;
use super::systick::CALIBRATION;
use super::{Core, Sleep};

const SYST_CSR: u32 = 0xE000_E010;
const SYST_RVR: u32 = 0xE000_E014;
const SYST_CVR: u32 = 0xE000_E018;
const SYST_CALIB: u32 = 0xE000_E01C;
const NVIC_ISER: u32 = 0xE000_E100;
const NVIC_ICER: u32 = 0xE000_E180;
const NVIC_ISPR: u32 = 0xE000_E200;
const NVIC_ICPR: u32 = 0xE000_E280;
const NVIC_IPR0: u32 = 0xE000_E400;
const NVIC_IPR7: u32 = 0xE000_E41C;
const CPUID: u32 = 0xE000_ED00;
const ICSR: u32 = 0xE000_ED04;
const VTOR: u32 = 0xE000_ED08;
const AIRCR: u32 = 0xE000_ED0C;
const SCR: u32 = 0xE000_ED10;
const CCR: u32 = 0xE000_ED14;
const SHPR2: u32 = 0xE000_ED1C;
const SHPR3: u32 = 0xE000_ED20;

/// Cortex-M0+ r0p1.
const CORTEX_M0_PLUS: u32 = 0x410C_C601;

const ICSR_NMIPENDSET: u32 = 1 << 31;
const ICSR_PENDSVSET: u32 = 1 << 28;
const ICSR_PENDSVCLR: u32 = 1 << 27;
const ICSR_PENDSTSET: u32 = 1 << 26;
const ICSR_PENDSTCLR: u32 = 1 << 25;
const ICSR_ISRPENDING: u32 = 1 << 22;
const ICSR_VECTPENDING_SHIFT: u32 = 12;

const VTOR_TBLOFF: u32 = 0xFFFF_FF00;

const AIRCR_VECTKEY: u32 = 0x05FA;
const AIRCR_VECTKEYSTAT: u32 = 0xFA05_0000;
const AIRCR_SYSRESETREQ: u32 = 1 << 2;

const SCR_SLEEPONEXIT: u32 = 1 << 1;
const SCR_SLEEPDEEP: u32 = 1 << 2;
const SCR_SEVONPEND: u32 = 1 << 4;

/// STKALIGN and UNALIGN_TRP, which are fixed.
const CCR_FIXED: u32 = 0x208;

impl Core {
    fn privileged(&self) -> bool {
        self.exception != 0 || !self.unprivileged
    }

    /// CPS, MSR, MRS, WFI, WFE and SEV. Breaks when an exception may be due or the core is to sleep.
    pub(super) fn system_instruction(&mut self, op: Op) -> ControlFlow<Option<Stop>> {
        let mut go_on = true;
        let (bytes, cycles) = match op.kind {
            Kind::Msr => {
                self.write_special(op.immediate, self.registers.r[usize::from(op.n)]);
                go_on = self.preempting().is_none();
                (4, 3)
            }
            Kind::Mrs => {
                self.registers.r[usize::from(op.d)] = self.read_special(op.immediate);
                (4, 3)
            }
            Kind::Cps => {
                if self.privileged() {
                    self.primask = op.d != 0;
                    go_on = self.preempting().is_none();
                }
                (2, 1)
            }
            Kind::Sev => {
                self.event = true;
                (2, 1)
            }
            Kind::Wfe => {
                if !std::mem::take(&mut self.event) {
                    self.sleep = Sleep::UntilEvent;
                    go_on = false;
                }
                (2, 2)
            }
            _ => {
                self.sleep = Sleep::UntilInterrupt;
                go_on = false;
                (2, 2)
            }
        };
        self.registers.r[15] = self.registers.r[15].wrapping_add(bytes);
        self.charge(cycles);
        if go_on {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(None)
        }
    }

    /// MRS. What cannot be read reads as zero.
    fn read_special(&self, number: u32) -> u32 {
        let [main, process] = if self.process_stack {
            [self.banked_sp, self.registers.r[13]]
        } else {
            [self.registers.r[13], self.banked_sp]
        };
        match number {
            // APSR, IAPSR, EAPSR, XPSR, -, IPSR, EPSR, IEPSR: bit 2 leaves out APSR, bit 0 adds IPSR; EPSR reads as 0.
            0..=7 => {
                let apsr = if number & 4 == 0 {
                    self.registers.flags.apsr()
                } else {
                    0
                };
                let ipsr = if number & 1 != 0 {
                    u32::from(self.exception)
                } else {
                    0
                };
                apsr | ipsr
            }
            8 if self.privileged() => main,
            9 if self.privileged() => process,
            16 if self.privileged() => u32::from(self.primask),
            20 => u32::from(self.process_stack) << 1 | u32::from(self.unprivileged),
            _ => 0,
        }
    }

    /// MSR. What cannot be written stays.
    fn write_special(&mut self, number: u32, value: u32) {
        if let 0..=3 = number {
            self.registers.flags = Flags::from_apsr(value);
            return;
        }
        if !self.privileged() {
            return;
        }
        match number {
            8 | 9 => {
                let current = self.process_stack == (number == 9);
                let sp = if current {
                    &mut self.registers.r[13]
                } else {
                    &mut self.banked_sp
                };
                *sp = value & !3;
            }
            16 => self.primask = value & 1 != 0,
            20 => {
                self.unprivileged = value & 1 != 0;
                if self.exception == 0 {
                    self.select_stack(value & 2 != 0);
                }
            }
            _ => {}
        }
    }

    /// A read on the private bus. It answers to privileged words only.
    pub(super) fn read_private(&mut self, address: u32, width: Width) -> Result<u32, BusFault> {
        self.check_private(width)?;
        self.advance_systick();
        Ok(match address {
            SYST_CSR => self.systick.read_control(),
            SYST_RVR => self.systick.reload(),
            SYST_CVR => self.systick.value(),
            SYST_CALIB => CALIBRATION,
            NVIC_ISER | NVIC_ICER => (self.exceptions.enabled >> INTERRUPT_0) as u32,
            NVIC_ISPR | NVIC_ICPR => self.exceptions.pending_interrupts(),
            NVIC_IPR0..=NVIC_IPR7 => {
                let first = first_of_priority_register(address);
                u32::from_le_bytes([0, 1, 2, 3].map(|k| self.exceptions.priority(first + k)))
            }
            CPUID => CORTEX_M0_PLUS,
            ICSR => {
                let set = |exception, bit| {
                    if self.exceptions.is_pending(exception) {
                        bit
                    } else {
                        0
                    }
                };
                let interrupt = self.exceptions.pending_interrupts() != 0;
                let urgent = self.exceptions.most_urgent().unwrap_or(0);
                set(NMI, ICSR_NMIPENDSET)
                    | set(PEND_SV, ICSR_PENDSVSET)
                    | set(SYS_TICK, ICSR_PENDSTSET)
                    | if interrupt { ICSR_ISRPENDING } else { 0 }
                    | u32::from(urgent) << ICSR_VECTPENDING_SHIFT
                    | u32::from(self.exception)
            }
            VTOR => self.vector_table,
            AIRCR => AIRCR_VECTKEYSTAT,
            SCR => {
                let bit = |set, bit| if set { bit } else { 0 };
                bit(self.sleep_on_exit, SCR_SLEEPONEXIT)
                    | bit(self.sleep_deep, SCR_SLEEPDEEP)
                    | bit(self.event_on_pend, SCR_SEVONPEND)
            }
            CCR => CCR_FIXED,
            SHPR2 => u32::from(self.exceptions.priority(SV_CALL)) << 24,
            SHPR3 => {
                u32::from(self.exceptions.priority(SYS_TICK)) << 24
                    | u32::from(self.exceptions.priority(PEND_SV)) << 16
            }
            _ if self.strict => return Err(BusFault::Reserved),
            _ => 0,
        })
    }

    /// A write on the private bus. It answers to privileged words only.
    pub(super) fn write_private(
        &mut self,
        address: u32,
        width: Width,
        value: u32,
    ) -> Result<(), BusFault> {
        self.check_private(width)?;
        self.advance_systick();
        let interrupts = u64::from(value) << INTERRUPT_0;
        match address {
            SYST_CSR => self.systick.write_control(value, self.clock),
            SYST_RVR => self.systick.set_reload(value),
            SYST_CVR => self.systick.clear_value(),
            NVIC_ISER => self.exceptions.enabled |= interrupts,
            NVIC_ICER => self.exceptions.enabled &= !interrupts,
            NVIC_ISPR => {
                self.event |= self.event_on_pend && interrupts & !self.exceptions.pending != 0;
                self.exceptions.pending |= interrupts;
            }
            NVIC_ICPR => {
                self.exceptions.pending &= !interrupts;
                self.exceptions.pend_asserted();
            }
            NVIC_IPR0..=NVIC_IPR7 => {
                let first = first_of_priority_register(address);
                for (exception, priority) in (first..).zip(value.to_le_bytes()) {
                    self.exceptions.set_priority(exception, priority);
                }
            }
            ICSR => {
                // Clearing comes first: to set and clear at once is unpredictable.
                for (bit, exception) in [(ICSR_PENDSVCLR, PEND_SV), (ICSR_PENDSTCLR, SYS_TICK)] {
                    if value & bit != 0 {
                        self.exceptions.unpend(exception);
                    }
                }
                for (bit, exception) in [
                    (ICSR_NMIPENDSET, NMI),
                    (ICSR_PENDSVSET, PEND_SV),
                    (ICSR_PENDSTSET, SYS_TICK),
                ] {
                    if value & bit != 0 {
                        self.exceptions.pend(exception);
                    }
                }
            }
            VTOR => self.vector_table = value & VTOR_TBLOFF,
            AIRCR => {
                self.reset_requested |=
                    value >> 16 == AIRCR_VECTKEY && value & AIRCR_SYSRESETREQ != 0;
            }
            SCR => {
                self.sleep_on_exit = value & SCR_SLEEPONEXIT != 0;
                self.sleep_deep = value & SCR_SLEEPDEEP != 0;
                self.event_on_pend = value & SCR_SEVONPEND != 0;
            }
            SHPR2 => self.exceptions.set_priority(SV_CALL, (value >> 24) as u8),
            SHPR3 => {
                self.exceptions.set_priority(SYS_TICK, (value >> 24) as u8);
                self.exceptions.set_priority(PEND_SV, (value >> 16) as u8);
            }
            // Read-only.
            CPUID | CCR | SYST_CALIB => {}
            _ if self.strict => return Err(BusFault::Reserved),
            _ => {}
        }
        Ok(())
    }

    fn check_private(&self, width: Width) -> Result<(), BusFault> {
        if !self.privileged() {
            Err(BusFault::Unmapped)
        } else if width != Width::Word {
            Err(BusFault::Width)
        } else {
            Ok(())
        }
    }
}

/// The exception that is lowest in the NVIC_IPR register at `address`; each holds four.
fn first_of_priority_register(address: u32) -> u8 {
    INTERRUPT_0 + (address - NVIC_IPR0) as u8
}
