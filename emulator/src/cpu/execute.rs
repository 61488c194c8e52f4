//! The fast loop: registers, flash and RAM, and nothing else.
//!
//! It never touches a peripheral, an exception or the time. Whatever needs one of those leaves the loop with nothing
//! of that instruction done, and the core does it in its own time (`mod.rs`, `system.rs`, `transfer.rs`). So this loop
//! has no callbacks, and all it works on can stay in the computer's registers.
//!
//! Cycles: Cortex-M0+ Technical Reference Manual (DDI 0484) table 3-1, with the single-cycle multiplier and without
//! wait states.

use super::decode::{Kind, Op, decode, is_wide};
use crate::memory::{Banks, FLASH_BASE, RAM_BASE, RAM_SIZE};

/// Most cycles one call runs.
pub(super) const LONGEST_BUDGET: u64 = 1 << 30;

/// The general registers and the flags.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    /// R0 to R12, SP, LR, and the address of the next instruction.
    pub r: [u32; 16],
    pub flags: Flags,
}

/// The flags, kept as what they are computed from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flags {
    /// N is bit 31.
    negative: u32,
    /// Z is set when this is 0.
    zero: u32,
    /// 0 or 1.
    carry: u32,
    /// 0 or 1.
    overflow: u32,
}

impl Flags {
    /// From N, Z, C and V in bits 31 to 28.
    pub fn from_apsr(apsr: u32) -> Flags {
        Flags {
            negative: apsr,
            zero: !apsr & 1 << 30,
            carry: apsr >> 29 & 1,
            overflow: apsr >> 28 & 1,
        }
    }

    /// N, Z, C and V in bits 31 to 28.
    pub fn apsr(self) -> u32 {
        self.negative & 1 << 31
            | u32::from(self.zero == 0) << 30
            | self.carry << 29
            | self.overflow << 28
    }

    #[inline(always)]
    fn result(&mut self, value: u32) -> u32 {
        self.negative = value;
        self.zero = value;
        value
    }

    /// Sets the result and the carry of a shift.
    #[inline(always)]
    fn shifted(&mut self, (value, carry): (u32, u32)) -> u32 {
        self.carry = carry;
        self.result(value)
    }

    /// AddWithCarry of DDI 0419; a subtraction adds the complement.
    #[inline(always)]
    fn add(&mut self, a: u32, b: u32, carry: u32) -> u32 {
        let wide = u64::from(a) + u64::from(b) + u64::from(carry);
        let sum = wide as u32;
        self.carry = (wide >> 32) as u32;
        self.overflow = ((a ^ sum) & (b ^ sum)) >> 31;
        self.result(sum)
    }

    #[inline(always)]
    fn subtract(&mut self, a: u32, b: u32) -> u32 {
        self.add(a, !b, 1)
    }

    #[inline(always)]
    fn less(self) -> bool {
        self.negative >> 31 != self.overflow
    }
}

/// Shift left by 0 to 255: the value and the carry.
#[inline(always)]
fn lsl(value: u32, by: u32, carry: u32) -> (u32, u32) {
    if by == 0 {
        return (value, carry);
    }
    // 33 bits matter: bit 32 is the carry.
    let wide = u64::from(value) << by.min(33);
    (wide as u32, (wide >> 32) as u32 & 1)
}

/// Logical shift right by 0 to 255.
#[inline(always)]
fn lsr(value: u32, by: u32, carry: u32) -> (u32, u32) {
    if by == 0 {
        return (value, carry);
    }
    // One bit lower down, so that the carry is bit 0.
    let wide = u64::from(value) << 1 >> by.min(33);
    ((wide >> 1) as u32, wide as u32 & 1)
}

/// Arithmetic shift right by 0 to 255.
#[inline(always)]
fn asr(value: u32, by: u32, carry: u32) -> (u32, u32) {
    if by == 0 {
        return (value, carry);
    }
    let wide = i64::from(value as i32) << 1 >> by.min(32);
    ((wide >> 1) as u32, wide as u32 & 1)
}

/// Rotation right by 0 to 255.
#[inline(always)]
fn ror(value: u32, by: u32, carry: u32) -> (u32, u32) {
    if by == 0 {
        return (value, carry);
    }
    let rotated = value.rotate_right(by & 31);
    (rotated, rotated >> 31)
}

/// Why the loop was left.
#[derive(Clone, Copy, Debug)]
pub(super) enum Exit {
    /// The cycles are used up.
    Budget,
    /// This instruction needs more than the loop has; PC is at it and nothing of it is done.
    Beyond(Op),
    /// BX or POP put this into PC, which ends an exception in handler mode. PC is at that instruction; a POP has
    /// already moved SP.
    ExceptionReturn(u32),
    /// A branch to an even address, which is in PC.
    NotThumb,
    /// Nothing to fetch at PC.
    Fetch,
}

/// What a call of the loop did.
pub(super) struct Progress {
    pub exit: Exit,
    pub cycles: u64,
    pub instructions: u64,
}

#[inline(always)]
fn load<const N: usize>(ram: &[u8; RAM_SIZE], flash: &[u8], address: u32) -> Option<[u8; N]> {
    if address & (N as u32 - 1) != 0 {
        return None;
    }
    let offset = address.wrapping_sub(RAM_BASE) as usize;
    if offset <= RAM_SIZE - N {
        return ram[offset..].first_chunk().copied();
    }
    flash
        .get((address & !FLASH_BASE) as usize..)?
        .first_chunk()
        .copied()
}

#[inline(always)]
fn store<const N: usize>(ram: &mut [u8; RAM_SIZE], address: u32, bytes: [u8; N]) -> Option<()> {
    let offset = address.wrapping_sub(RAM_BASE) as usize;
    if address & (N as u32 - 1) != 0 || offset > RAM_SIZE - N {
        return None;
    }
    *ram[offset..].first_chunk_mut()? = bytes;
    Some(())
}

/// Stores the listed registers from `address` up, all or none.
#[inline(always)]
fn store_list(
    ram: &mut [u8; RAM_SIZE],
    r: &[u32; 16],
    address: u32,
    mut list: u32,
    count: u8,
) -> Option<()> {
    let offset = address.wrapping_sub(RAM_BASE) as usize;
    if address & 3 != 0 || offset >= RAM_SIZE {
        return None;
    }
    let words = ram[offset..].get_mut(..4 * usize::from(count))?;
    for word in words.as_chunks_mut::<4>().0 {
        *word = r[(list.trailing_zeros() & 15) as usize].to_le_bytes();
        list &= list.wrapping_sub(1);
    }
    Some(())
}

/// Loads the listed registers from `address` up, all or none. `count` may be one more than there are in the list: then
/// the word after the last of them comes back.
#[inline(always)]
fn load_list(
    ram: &[u8; RAM_SIZE],
    flash: &[u8],
    r: &mut [u32; 16],
    address: u32,
    mut list: u32,
    count: u8,
) -> Option<u32> {
    if address & 3 != 0 {
        return None;
    }
    let offset = address.wrapping_sub(RAM_BASE) as usize;
    let bank = if offset < RAM_SIZE {
        &ram[offset..]
    } else {
        flash.get((address & !FLASH_BASE) as usize..)?
    };
    let mut after = 0;
    for word in bank.get(..4 * usize::from(count))?.as_chunks().0 {
        after = u32::from_le_bytes(*word);
        if list != 0 {
            r[(list.trailing_zeros() & 15) as usize] = after;
            list &= list - 1;
        }
    }
    Some(after)
}

/// An instruction in RAM, decoded on the spot: RAM may change at any time.
#[inline(never)]
pub(super) fn fetch_ram(ram: &[u8; RAM_SIZE], pc: u32) -> Option<Op> {
    let half = |address: u32| load::<2>(ram, &[], address).map(u16::from_le_bytes);
    let first = half(pc)?;
    let second = if is_wide(first) {
        half(pc.wrapping_add(2))?
    } else {
        0
    };
    Some(decode(first, second, pc))
}

/// Executes from PC until `budget` cycles (1 to [`LONGEST_BUDGET`]) are used or something lies beyond the loop. The
/// last instruction may use more cycles than are left.
#[inline(never)]
pub(super) fn execute(registers: &mut Registers, banks: Banks<'_>, budget: u64) -> Progress {
    let Banks { code, flash, ram } = banks;
    let r = &mut registers.r;
    let mut flags = registers.flags;
    let mut pc = r[15];
    let mut left = budget as i64;
    let mut instructions = 0u64;

    macro_rules! r {
        ($number:expr) => {
            r[usize::from($number & 15)]
        };
    }
    // An instruction that the loop cannot do gives its cycle back.
    macro_rules! beyond {
        ($op:expr) => {{
            left += 1;
            instructions -= 1;
            break Exit::Beyond($op);
        }};
    }
    macro_rules! load {
        ($op:expr, $address:expr, $number:ty, $as:ty) => {{
            let address = $address;
            let Some(bytes) = load(ram, flash, address) else {
                beyond!($op)
            };
            left -= 1;
            r!($op.d) = <$number>::from_le_bytes(bytes) as $as as u32;
        }};
    }
    macro_rules! store {
        ($op:expr, $address:expr, $number:ty) => {{
            let address = $address;
            let Some(()) = store(ram, address, (r!($op.d) as $number).to_le_bytes()) else {
                beyond!($op)
            };
            left -= 1;
        }};
    }
    macro_rules! branch_if {
        ($condition:expr, $op:expr) => {
            if $condition {
                pc = pc.wrapping_add($op.immediate);
                left -= 1;
                continue;
            }
        };
    }
    // BX, BLX and POP with PC.
    macro_rules! interwork {
        ($target:expr) => {{
            let target = $target;
            pc = target & !1;
            if target & 1 == 0 {
                break Exit::NotThumb;
            }
            continue;
        }};
    }
    macro_rules! indexed {
        ($op:expr) => {
            r!($op.n).wrapping_add(r!($op.m))
        };
    }
    macro_rules! displaced {
        ($op:expr) => {
            r!($op.n).wrapping_add($op.immediate)
        };
    }

    let exit = loop {
        if left <= 0 {
            break Exit::Budget;
        }
        let op = match code.get(((pc & !FLASH_BASE) >> 1) as usize) {
            Some(op) => *op,
            None => match fetch_ram(ram, pc) {
                Some(op) => op,
                None => break Exit::Fetch,
            },
        };
        left -= 1;
        instructions += 1;
        match op.kind {
            Kind::LslImm => {
                let shifted = lsl(r!(op.n), op.immediate, flags.carry);
                r!(op.d) = flags.shifted(shifted);
            }
            Kind::LsrImm => {
                let shifted = lsr(r!(op.n), op.immediate, flags.carry);
                r!(op.d) = flags.shifted(shifted);
            }
            Kind::AsrImm => {
                let shifted = asr(r!(op.n), op.immediate, flags.carry);
                r!(op.d) = flags.shifted(shifted);
            }
            Kind::LslReg => {
                let shifted = lsl(r!(op.n), r!(op.m) & 0xFF, flags.carry);
                r!(op.d) = flags.shifted(shifted);
            }
            Kind::LsrReg => {
                let shifted = lsr(r!(op.n), r!(op.m) & 0xFF, flags.carry);
                r!(op.d) = flags.shifted(shifted);
            }
            Kind::AsrReg => {
                let shifted = asr(r!(op.n), r!(op.m) & 0xFF, flags.carry);
                r!(op.d) = flags.shifted(shifted);
            }
            Kind::Ror => {
                let shifted = ror(r!(op.n), r!(op.m) & 0xFF, flags.carry);
                r!(op.d) = flags.shifted(shifted);
            }
            Kind::AddReg => r!(op.d) = flags.add(r!(op.n), r!(op.m), 0),
            Kind::SubReg => r!(op.d) = flags.subtract(r!(op.n), r!(op.m)),
            Kind::AddImm => r!(op.d) = flags.add(r!(op.n), op.immediate, 0),
            Kind::SubImm => r!(op.d) = flags.subtract(r!(op.n), op.immediate),
            Kind::MovImm => r!(op.d) = flags.result(op.immediate),
            Kind::CmpImm => {
                flags.subtract(r!(op.n), op.immediate);
            }
            Kind::And => r!(op.d) = flags.result(r!(op.n) & r!(op.m)),
            Kind::Eor => r!(op.d) = flags.result(r!(op.n) ^ r!(op.m)),
            Kind::Orr => r!(op.d) = flags.result(r!(op.n) | r!(op.m)),
            Kind::Bic => r!(op.d) = flags.result(r!(op.n) & !r!(op.m)),
            Kind::Mvn => r!(op.d) = flags.result(!r!(op.m)),
            Kind::Tst => {
                flags.result(r!(op.n) & r!(op.m));
            }
            Kind::Mul => r!(op.d) = flags.result(r!(op.n).wrapping_mul(r!(op.m))),
            Kind::Adc => r!(op.d) = flags.add(r!(op.n), r!(op.m), flags.carry),
            Kind::Sbc => r!(op.d) = flags.add(r!(op.n), !r!(op.m), flags.carry),
            Kind::Rsb => r!(op.d) = flags.subtract(0, r!(op.m)),
            Kind::CmpReg => {
                flags.subtract(r!(op.n), r!(op.m));
            }
            Kind::Cmn => {
                flags.add(r!(op.n), r!(op.m), 0);
            }
            Kind::AddHigh => {
                r[15] = pc.wrapping_add(4);
                let sum = indexed!(op);
                r!(op.d) = if op.d == 13 { sum & !3 } else { sum };
            }
            Kind::MovHigh => {
                r[15] = pc.wrapping_add(4);
                let value = r!(op.m);
                r!(op.d) = if op.d == 13 { value & !3 } else { value };
            }
            Kind::CmpHigh => {
                r[15] = pc.wrapping_add(4);
                flags.subtract(r!(op.n), r!(op.m));
            }
            Kind::AddPc => {
                r[15] = pc.wrapping_add(4);
                pc = indexed!(op) & !1;
                left -= 1;
                continue;
            }
            Kind::MovPc => {
                r[15] = pc.wrapping_add(4);
                pc = r!(op.m) & !1;
                left -= 1;
                continue;
            }
            Kind::Bx => {
                r[15] = pc.wrapping_add(4);
                let target = r!(op.m);
                left -= 1;
                if target >> 28 == 0xF {
                    break Exit::ExceptionReturn(target);
                }
                interwork!(target)
            }
            Kind::Blx => {
                r[15] = pc.wrapping_add(4);
                let target = r!(op.m);
                r[14] = pc.wrapping_add(2) | 1;
                left -= 1;
                interwork!(target)
            }
            Kind::LdrLit => load!(op, pc.wrapping_add(op.immediate), u32, u32),
            Kind::LdrImm => load!(op, displaced!(op), u32, u32),
            Kind::LdrhImm => load!(op, displaced!(op), u16, u16),
            Kind::LdrbImm => load!(op, displaced!(op), u8, u8),
            Kind::LdrReg => load!(op, indexed!(op), u32, u32),
            Kind::LdrhReg => load!(op, indexed!(op), u16, u16),
            Kind::LdrbReg => load!(op, indexed!(op), u8, u8),
            Kind::LdrshReg => load!(op, indexed!(op), u16, i16),
            Kind::LdrsbReg => load!(op, indexed!(op), u8, i8),
            Kind::StrImm => store!(op, displaced!(op), u32),
            Kind::StrhImm => store!(op, displaced!(op), u16),
            Kind::StrbImm => store!(op, displaced!(op), u8),
            Kind::StrReg => store!(op, indexed!(op), u32),
            Kind::StrhReg => store!(op, indexed!(op), u16),
            Kind::StrbReg => store!(op, indexed!(op), u8),
            Kind::Adr => r!(op.d) = pc.wrapping_add(op.immediate),
            Kind::AddSp => r!(op.d) = r[13].wrapping_add(op.immediate),
            Kind::Sxth => r!(op.d) = r!(op.m) as i16 as u32,
            Kind::Sxtb => r!(op.d) = r!(op.m) as i8 as u32,
            Kind::Uxth => r!(op.d) = u32::from(r!(op.m) as u16),
            Kind::Uxtb => r!(op.d) = u32::from(r!(op.m) as u8),
            Kind::Rev => r!(op.d) = r!(op.m).swap_bytes(),
            Kind::Rev16 => r!(op.d) = r!(op.m).swap_bytes().rotate_left(16),
            Kind::Revsh => r!(op.d) = (r!(op.m) as u16).swap_bytes() as i16 as u32,
            Kind::Push => {
                let address = r[13].wrapping_sub(4 * u32::from(op.d));
                let Some(()) = store_list(ram, r, address, op.immediate, op.d) else {
                    beyond!(op)
                };
                r[13] = address;
                left -= i64::from(op.d);
            }
            Kind::Stm => {
                let address = r!(op.n);
                let Some(()) = store_list(ram, r, address, op.immediate, op.d) else {
                    beyond!(op)
                };
                r!(op.n) = address.wrapping_add(4 * u32::from(op.d));
                left -= i64::from(op.d);
            }
            Kind::Pop => {
                let address = r[13];
                let Some(_) = load_list(ram, flash, r, address, op.immediate, op.d) else {
                    beyond!(op)
                };
                r[13] = address.wrapping_add(4 * u32::from(op.d));
                left -= i64::from(op.d);
            }
            Kind::PopPc => {
                let address = r[13];
                let Some(target) = load_list(ram, flash, r, address, op.immediate, op.d) else {
                    beyond!(op)
                };
                r[13] = address.wrapping_add(4 * u32::from(op.d));
                left -= 2 + i64::from(op.d);
                if target >> 28 == 0xF {
                    break Exit::ExceptionReturn(target);
                }
                interwork!(target)
            }
            Kind::Ldm => {
                let address = r!(op.n);
                let Some(_) = load_list(ram, flash, r, address, op.immediate, op.d) else {
                    beyond!(op)
                };
                if op.immediate >> (op.n & 15) & 1 == 0 {
                    r!(op.n) = address.wrapping_add(4 * u32::from(op.d));
                }
                left -= i64::from(op.d);
            }
            Kind::Beq => branch_if!(flags.zero == 0, op),
            Kind::Bne => branch_if!(flags.zero != 0, op),
            Kind::Bcs => branch_if!(flags.carry != 0, op),
            Kind::Bcc => branch_if!(flags.carry == 0, op),
            Kind::Bmi => branch_if!(flags.negative >> 31 != 0, op),
            Kind::Bpl => branch_if!(flags.negative >> 31 == 0, op),
            Kind::Bvs => branch_if!(flags.overflow != 0, op),
            Kind::Bvc => branch_if!(flags.overflow == 0, op),
            Kind::Bhi => branch_if!(flags.carry != 0 && flags.zero != 0, op),
            Kind::Bls => branch_if!(flags.carry == 0 || flags.zero == 0, op),
            Kind::Bge => branch_if!(!flags.less(), op),
            Kind::Blt => branch_if!(flags.less(), op),
            Kind::Bgt => branch_if!(flags.zero != 0 && !flags.less(), op),
            Kind::Ble => branch_if!(flags.zero == 0 || flags.less(), op),
            Kind::B => branch_if!(true, op),
            Kind::Bl => {
                r[14] = pc.wrapping_add(4) | 1;
                pc = pc.wrapping_add(op.immediate);
                left -= 2;
                continue;
            }
            Kind::Barrier => {
                left -= 2;
                pc = pc.wrapping_add(4);
                continue;
            }
            Kind::Nop => {}
            Kind::Undefined
            | Kind::Cps
            | Kind::Bkpt
            | Kind::Wfi
            | Kind::Wfe
            | Kind::Sev
            | Kind::Svc
            | Kind::Msr
            | Kind::Mrs => beyond!(op),
        }
        pc = pc.wrapping_add(2);
    };
    r[15] = pc;
    registers.flags = flags;
    Progress {
        exit,
        cycles: (budget as i64 - left) as u64,
        instructions,
    }
}
