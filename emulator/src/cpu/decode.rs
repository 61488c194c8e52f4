//! Thumb opcodes of ARMv6-M, decoded into operations of eight bytes that the fast loop runs.
//!
//! It knows nothing of registers' contents or of memory. An operation may be used at an address and at any other that
//! differs from it by a multiple of four, so one decoded flash serves both places where it answers.
//!
//! Source: ARMv6-M Architecture Reference Manual (DDI 0419), chapter A5.

/// What an operation does. Names are the mnemonics, with the form where a mnemonic has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Permanently or otherwise undefined; `immediate` is the opcode.
    Undefined,
    LslImm,
    LsrImm,
    AsrImm,
    AddReg,
    SubReg,
    AddImm,
    SubImm,
    MovImm,
    CmpImm,
    And,
    Eor,
    LslReg,
    LsrReg,
    AsrReg,
    Adc,
    Sbc,
    Ror,
    Tst,
    Rsb,
    CmpReg,
    Cmn,
    Orr,
    Mul,
    Bic,
    Mvn,
    /// Any of the sixteen registers, no flags; the destination is not PC.
    AddHigh,
    AddPc,
    CmpHigh,
    MovHigh,
    MovPc,
    Bx,
    Blx,
    LdrLit,
    StrReg,
    StrhReg,
    StrbReg,
    LdrsbReg,
    LdrReg,
    LdrhReg,
    LdrbReg,
    LdrshReg,
    StrImm,
    LdrImm,
    StrbImm,
    LdrbImm,
    StrhImm,
    LdrhImm,
    Adr,
    /// `d` = SP + `immediate`; SUB SP has a negative one.
    AddSp,
    Sxth,
    Sxtb,
    Uxth,
    Uxtb,
    /// `immediate` is the list of registers, a bit each, and `d` their number. The same for the four that follow.
    Push,
    Pop,
    /// POP with PC, which is in the number but not in the list.
    PopPc,
    Stm,
    Ldm,
    /// `d` is the new PRIMASK.
    Cps,
    Rev,
    Rev16,
    Revsh,
    Bkpt,
    Nop,
    Wfi,
    Wfe,
    Sev,
    Beq,
    Bne,
    Bcs,
    Bcc,
    Bmi,
    Bpl,
    Bvs,
    Bvc,
    Bhi,
    Bls,
    Bge,
    Blt,
    Bgt,
    Ble,
    B,
    Bl,
    Svc,
    /// `immediate` is the special register's number (SYSm), here and in MRS.
    Msr,
    Mrs,
    /// DSB, DMB and ISB: the core is in order, so they only take time.
    Barrier,
}

/// One decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Op {
    pub kind: Kind,
    /// Destination register, or the value that is stored.
    pub d: u8,
    /// First operand or base.
    pub n: u8,
    /// Second operand or index.
    pub m: u8,
    /// Distances of branches, ADR and literals count from the instruction's own address.
    pub immediate: u32,
}

/// The number of a register is four bits of an opcode.
fn op(kind: Kind, d: u16, n: u16, m: u16, immediate: u32) -> Op {
    Op {
        kind,
        d: d as u8,
        n: n as u8,
        m: m as u8,
        immediate,
    }
}

fn undefined(opcode: u32) -> Op {
    op(Kind::Undefined, 0, 0, 0, opcode)
}

fn sign_extend(value: u32, bits: u32) -> u32 {
    ((value << (32 - bits)) as i32 >> (32 - bits)) as u32
}

/// Whether this half-word is the first of a 32-bit instruction.
pub(crate) fn is_wide(first: u16) -> bool {
    first >> 11 >= 0b11101
}

/// Decodes the instruction at `address`. `second` is the half-word after it and only matters to a 32-bit one.
pub(crate) fn decode(first: u16, second: u16, address: u32) -> Op {
    if is_wide(first) {
        wide(first, second)
    } else {
        narrow(first, address)
    }
}

fn narrow(code: u16, address: u32) -> Op {
    use Kind::*;
    let low = code & 7;
    let middle = code >> 3 & 7;
    let high = code >> 6 & 7;
    let imm5 = u32::from(code >> 6 & 31);
    let imm8 = u32::from(code & 0xFF);
    let r8 = code >> 8 & 7;
    // PC reads as the instruction's address plus four; ADR and literals align it down to a word.
    let aligned_pc = 4 - (address & 2);
    match code >> 11 {
        0 => op(LslImm, low, middle, 0, imm5),
        1 => op(LsrImm, low, middle, 0, if imm5 == 0 { 32 } else { imm5 }),
        2 => op(AsrImm, low, middle, 0, if imm5 == 0 { 32 } else { imm5 }),
        3 => {
            let kind = [AddReg, SubReg, AddImm, SubImm][usize::from(code >> 9 & 3)];
            op(kind, low, middle, high, u32::from(high))
        }
        4 => op(MovImm, r8, 0, 0, imm8),
        5 => op(CmpImm, 0, r8, 0, imm8),
        6 => op(AddImm, r8, r8, 0, imm8),
        7 => op(SubImm, r8, r8, 0, imm8),
        8 if code & 0x400 == 0 => {
            let kind = [
                And, Eor, LslReg, LsrReg, AsrReg, Adc, Sbc, Ror, Tst, Rsb, CmpReg, Cmn, Orr, Mul,
                Bic, Mvn,
            ][usize::from(code >> 6 & 15)];
            op(kind, low, low, middle, 0)
        }
        8 => {
            let d = low | code >> 4 & 8;
            let m = code >> 3 & 15;
            match code >> 8 & 3 {
                0 => op(if d == 15 { AddPc } else { AddHigh }, d, d, m, 0),
                1 => op(CmpHigh, 0, d, m, 0),
                2 => op(if d == 15 { MovPc } else { MovHigh }, d, 0, m, 0),
                _ if low != 0 => undefined(u32::from(code)),
                _ => op(if code & 0x80 == 0 { Bx } else { Blx }, 0, 0, m, 0),
            }
        }
        9 => op(LdrLit, r8, 0, 0, aligned_pc + imm8 * 4),
        10 | 11 => {
            let kind = [
                StrReg, StrhReg, StrbReg, LdrsbReg, LdrReg, LdrhReg, LdrbReg, LdrshReg,
            ][usize::from(code >> 9 & 7)];
            op(kind, low, middle, high, 0)
        }
        12 => op(StrImm, low, middle, 0, imm5 * 4),
        13 => op(LdrImm, low, middle, 0, imm5 * 4),
        14 => op(StrbImm, low, middle, 0, imm5),
        15 => op(LdrbImm, low, middle, 0, imm5),
        16 => op(StrhImm, low, middle, 0, imm5 * 2),
        17 => op(LdrhImm, low, middle, 0, imm5 * 2),
        18 => op(StrImm, r8, 13, 0, imm8 * 4),
        19 => op(LdrImm, r8, 13, 0, imm8 * 4),
        20 => op(Adr, r8, 0, 0, aligned_pc + imm8 * 4),
        21 => op(AddSp, r8, 0, 0, imm8 * 4),
        22 | 23 => miscellaneous(code),
        24 => list(Stm, r8, imm8, 0, code),
        25 => list(Ldm, r8, imm8, 0, code),
        26 | 27 => {
            let kind = [
                Beq, Bne, Bcs, Bcc, Bmi, Bpl, Bvs, Bvc, Bhi, Bls, Bge, Blt, Bgt, Ble, Undefined,
                Svc,
            ][usize::from(code >> 8 & 15)];
            match kind {
                Undefined => undefined(u32::from(code)),
                Svc => op(Svc, 0, 0, 0, imm8),
                _ => op(kind, 0, 0, 0, sign_extend(imm8 << 1, 9).wrapping_add(4)),
            }
        }
        _ => {
            let distance = sign_extend(u32::from(code & 0x7FF) << 1, 12);
            op(B, 0, 0, 0, distance.wrapping_add(4))
        }
    }
}

/// DDI 0419 A5.2.5.
fn miscellaneous(code: u16) -> Op {
    use Kind::*;
    let low = code & 7;
    let middle = code >> 3 & 7;
    let imm8 = u32::from(code & 0xFF);
    match code >> 8 & 15 {
        0 => {
            let distance = u32::from(code & 0x7F) * 4;
            let distance = if code & 0x80 == 0 {
                distance
            } else {
                distance.wrapping_neg()
            };
            op(AddSp, 13, 0, 0, distance)
        }
        2 => {
            let kind = [Sxth, Sxtb, Uxth, Uxtb][usize::from(code >> 6 & 3)];
            op(kind, low, 0, middle, 0)
        }
        4 => list(Push, 13, imm8, 0, code),
        5 => list(Push, 13, imm8 | 1 << 14, 0, code),
        6 if code & 0xFFEF == 0xB662 => op(Cps, code >> 4 & 1, 0, 0, 0),
        10 => match code >> 6 & 3 {
            0 => op(Rev, low, 0, middle, 0),
            1 => op(Rev16, low, 0, middle, 0),
            3 => op(Revsh, low, 0, middle, 0),
            _ => undefined(u32::from(code)),
        },
        12 => list(Pop, 13, imm8, 0, code),
        13 => list(PopPc, 13, imm8, 1, code),
        14 => op(Bkpt, 0, 0, 0, imm8),
        15 if code & 15 == 0 => match code >> 4 & 15 {
            2 => op(Wfe, 0, 0, 0, 0),
            3 => op(Wfi, 0, 0, 0, 0),
            4 => op(Sev, 0, 0, 0, 0),
            // YIELD and the unallocated hints do nothing.
            _ => op(Nop, 0, 0, 0, 0),
        },
        _ => undefined(u32::from(code)),
    }
}

/// A transfer of several registers, `extra` of which are not in the list. An empty list is unpredictable; here it is
/// undefined, so that nobody comes to rely on it.
fn list(kind: Kind, base: u16, registers: u32, extra: u32, code: u16) -> Op {
    match registers.count_ones() + extra {
        0 => undefined(u32::from(code)),
        count => op(kind, count as u16, base, 0, registers),
    }
}

/// DDI 0419 A5.3: BL, MSR, MRS and the barriers are all there is.
fn wide(first: u16, second: u16) -> Op {
    use Kind::*;
    let opcode = u32::from(first) << 16 | u32::from(second);
    if first & 0xF800 != 0xF000 || second & 0x8000 == 0 {
        return undefined(opcode);
    }
    match second >> 12 & 5 {
        5 => {
            let s = u32::from(first >> 10 & 1);
            let i1 = 1 ^ u32::from(second >> 13 & 1) ^ s;
            let i2 = 1 ^ u32::from(second >> 11 & 1) ^ s;
            let distance = s << 24
                | i1 << 23
                | i2 << 22
                | u32::from(first & 0x3FF) << 12
                | u32::from(second & 0x7FF) << 1;
            op(Bl, 0, 0, 0, sign_extend(distance, 25).wrapping_add(4))
        }
        0 => {
            // Bits that should be one or zero and are not make the rest unpredictable, and so do SP and PC: undefined
            // here, so that nobody comes to rely on them.
            let special = u32::from(second & 0xFF);
            let source = first & 15;
            let destination = second >> 8 & 15;
            let usable = |register| register != 13 && register != 15;
            match (first, second >> 8 & 0x3F) {
                (0xF380..=0xF38F, 0x08) if usable(source) => op(Msr, 0, source, 0, special),
                (0xF3EF, 0x00..=0x0F) if usable(destination) => op(Mrs, destination, 0, 0, special),
                (0xF3BF, 0x0F) if (4..=6).contains(&(second >> 4 & 15)) => op(Barrier, 0, 0, 0, 0),
                _ => undefined(opcode),
            }
        }
        _ => undefined(opcode),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_eight_bytes() {
        assert_eq!(size_of::<Op>(), 8);
    }

    #[test]
    fn branches_count_from_their_own_address() {
        // b . and bl .
        assert_eq!(decode(0xE7FE, 0, 0), op(Kind::B, 0, 0, 0, 0));
        assert_eq!(decode(0xF7FF, 0xFFFE, 0), op(Kind::Bl, 0, 0, 0, 0));
        // bl with its farthest distances: -16 MB and +16 MB - 2
        assert_eq!(
            decode(0xF400, 0xD000, 0).immediate,
            (-16_777_216i32 + 4) as u32
        );
        assert_eq!(decode(0xF3FF, 0xD7FF, 0).immediate, 16_777_214 + 4);
        // beq .+4-256
        assert_eq!(decode(0xD080, 0, 0).immediate, (-252i32) as u32);
    }

    #[test]
    fn literals_count_from_the_aligned_address() {
        assert_eq!(decode(0x4801, 0, 0x0800_0000).immediate, 8);
        assert_eq!(decode(0x4801, 0, 0x0800_0002).immediate, 6);
        assert_eq!(decode(0xA001, 0, 0x0800_0002).immediate, 6);
    }

    #[test]
    fn what_armv6m_does_not_have_is_undefined() {
        let undefined = [
            (0xDE00, 0),      // udf
            (0xB100, 0),      // cbz
            (0xBF08, 0),      // it eq
            (0xBA80, 0),      // hlt
            (0xE800, 0x0000), // first half-word of ARMv7-M
            (0xF7F0, 0xA000), // udf.w
            (0xFB90, 0xF0F1), // sdiv
            (0xF000, 0x8000), // wide conditional branch
            (0xF040, 0x0001), // orr.w
            (0xF3BF, 0x8F2F), // clrex
            (0xF390, 0x8800), // msr with a bit that should be zero
            (0xF380, 0x8200), // msr with wrong bits beside its register
            (0xF38D, 0x8808), // msr msp, sp
            (0xF3EF, 0x8F00), // mrs pc, apsr
            (0xF3EE, 0x8000), // mrs with a bit that should be one
            (0xB673, 0),      // cps with a bit that should be zero
            (0xB400, 0),      // push {}
            (0xC000, 0),      // stm r0!, {}
        ];
        for (first, second) in undefined {
            assert_eq!(
                decode(first, second, 0).kind,
                Kind::Undefined,
                "{first:04x} {second:04x}"
            );
        }
    }

    #[test]
    fn a_list_of_registers_knows_their_number() {
        assert_eq!(decode(0xB5F0, 0, 0), op(Kind::Push, 5, 13, 0, 0x40F0));
        assert_eq!(decode(0xBDF0, 0, 0), op(Kind::PopPc, 5, 13, 0, 0x00F0));
        assert_eq!(decode(0xBD00, 0, 0), op(Kind::PopPc, 1, 13, 0, 0));
        assert_eq!(decode(0xC907, 0, 0), op(Kind::Ldm, 3, 1, 0, 7));
    }
}
