//! Decodes ARMv6-M instructions as far as the stack and the way through a function depend on them
//! (ARMv6-M Architecture Reference Manual, chapter A5). Must never be used to execute anything.

/// A core register, 0 to 15.
pub type Register = u8;

const SP: Register = 13;
const LR: Register = 14;
const PC: Register = 15;

/// What one instruction means for stack and control flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// `push`: this many bytes.
    Push(u32),
    /// `pop` without `pc`: these low registers (one bit each).
    Pop(u8),
    /// `sub sp, #n`.
    Grow(u32),
    /// `add sp, #n`.
    Shrink(u32),
    /// `add sp, rN`.
    AddToStack(Register),
    /// `mov sp, rN`.
    SetStack(Register),
    /// `pop {…, pc}`, `bx lr`, `mov pc, lr`.
    Return,
    /// `b`.
    Jump(u32),
    /// `b<condition>`.
    Branch(u32),
    /// `bl`.
    Call(u32),
    /// `blx rN`.
    CallRegister(Register),
    /// `bx rN`.
    JumpRegister(Register),
    /// A jump through a table: `mov pc, rN` or `add pc, rN`.
    ComputedJump,
    /// `udf`: nothing runs behind it.
    Undefined,
    /// A register gets a constant from memory.
    LoadLiteral(Register, u32),
    /// A register gets a small constant.
    Set(Register, u32),
    /// `lsls rD, rM, #n`.
    ShiftLeft {
        to: Register,
        from: Register,
        by: u32,
    },
    /// `rsbs rD, rN, #0`.
    Negate { to: Register, from: Register },
    /// `mvns rD, rM`.
    Invert { to: Register, from: Register },
    /// `adds rD, #n`.
    Add(Register, u32),
    /// `subs rD, #n`.
    Subtract(Register, u32),
    /// `mov rD, rM`; one of them may be a high register.
    Copy { to: Register, from: Register },
    /// Anything else; it may change these low registers (one bit each).
    Other { changes: u8 },
}

/// Decodes the instruction at an address from its halfword and the one behind it; also says how many bytes it has.
pub fn decode(address: u32, first: u16, second: Option<u16>) -> (Instruction, u32) {
    if first >> 11 >= 0b11101 {
        return (decode_wide(address, first, second), 4);
    }
    let low = |shift: u16| (first >> shift & 7) as Register;
    let byte = u32::from(first & 0xFF);
    // A register as the three instructions on high registers name it.
    let high_to = ((first >> 4 & 8) | (first & 7)) as Register;
    let high_from = (first >> 3 & 15) as Register;
    let instruction = match first >> 8 {
        0x00..=0x07 => Instruction::ShiftLeft {
            to: low(0),
            from: low(3),
            by: u32::from(first >> 6 & 31),
        },
        0x08..=0x1F => changes(1 << low(0)),
        0x20..=0x27 => Instruction::Set(low(8), byte),
        0x28..=0x2F => changes(0),
        0x30..=0x37 => Instruction::Add(low(8), byte),
        0x38..=0x3F => Instruction::Subtract(low(8), byte),
        0x40..=0x43 => match first >> 6 {
            0x109 => Instruction::Negate {
                to: low(0),
                from: low(3),
            },
            0x10F => Instruction::Invert {
                to: low(0),
                from: low(3),
            },
            _ => changes(1 << low(0)),
        },
        0x44 if high_to == SP => Instruction::AddToStack(high_from),
        0x46 if high_to == SP => Instruction::SetStack(high_from),
        0x46 if high_to == PC && high_from == LR => Instruction::Return,
        0x44 | 0x46 if high_to == PC => Instruction::ComputedJump,
        0x46 if high_from < SP => Instruction::Copy {
            to: high_to,
            from: high_from,
        },
        0x44 | 0x46 if high_to < 8 => changes(1 << high_to),
        0x47 if first & 0x80 != 0 => Instruction::CallRegister(high_from),
        0x47 if high_from == LR => Instruction::Return,
        0x47 => Instruction::JumpRegister(high_from),
        0x48..=0x4F => Instruction::LoadLiteral(
            low(8),
            (address.wrapping_add(4) & !3).wrapping_add(byte * 4),
        ),
        // Loads with a register or a constant as the offset.
        0x56..=0x5F | 0x68..=0x6F | 0x78..=0x7F | 0x88..=0x8F => changes(1 << low(0)),
        0x98..=0xAF => changes(1 << low(8)),
        0xB0 if first & 0x80 != 0 => Instruction::Grow(u32::from(first & 0x7F) * 4),
        0xB0 => Instruction::Shrink(u32::from(first & 0x7F) * 4),
        0xB2 | 0xBA => changes(1 << low(0)),
        0xB4 | 0xB5 => Instruction::Push((first & 0x1FF).count_ones() * 4),
        0xBC => Instruction::Pop((first & 0xFF) as u8),
        0xBD => Instruction::Return,
        0xC8..=0xCF => changes((first & 0xFF) as u8 | 1 << low(8)),
        0xC0..=0xC7 => changes(1 << low(8)),
        0xD0..=0xDD => {
            let offset = (byte as u8).cast_signed();
            Instruction::Branch(
                address
                    .wrapping_add(4)
                    .wrapping_add_signed(i32::from(offset) * 2),
            )
        }
        0xDE => Instruction::Undefined,
        0xE0..=0xE7 => {
            let offset = (first << 5).cast_signed() >> 4;
            Instruction::Jump(
                address
                    .wrapping_add(4)
                    .wrapping_add_signed(i32::from(offset)),
            )
        }
        _ => changes(0),
    };
    (instruction, 2)
}

/// The 32-bit instructions: `bl` matters, `mrs` writes a register, barriers and `msr` change nothing that is followed here.
fn decode_wide(address: u32, first: u16, second: Option<u16>) -> Instruction {
    let Some(second) = second else {
        return Instruction::Undefined;
    };
    if first >> 11 == 0b11110 && second & 0xD000 == 0xD000 {
        let sign = u32::from(first >> 10 & 1);
        let i1 = 1 ^ u32::from(second >> 13 & 1) ^ sign;
        let i2 = 1 ^ u32::from(second >> 11 & 1) ^ sign;
        let offset = sign << 24
            | i1 << 23
            | i2 << 22
            | u32::from(first & 0x3FF) << 12
            | u32::from(second & 0x7FF) << 1;
        let signed = (offset << 7).cast_signed() >> 7;
        return Instruction::Call(address.wrapping_add(4).wrapping_add_signed(signed));
    }
    match (first, second) {
        (0xF7F0..=0xF7FF, 0xA000..=0xAFFF) => Instruction::Undefined,
        (0xF3EF, _) => changes(if second >> 8 & 15 < 8 {
            1 << (second >> 8 & 7)
        } else {
            0
        }),
        _ => changes(0),
    }
}

fn changes(registers: u8) -> Instruction {
    Instruction::Other { changes: registers }
}

#[cfg(test)]
mod tests {
    use super::Instruction::*;
    use super::*;

    /// Encodings as `arm-none-eabi-as -mcpu=cortex-m0plus` writes them.
    #[test]
    fn instructions_that_move_the_stack_are_known() {
        let cases = [
            (0xB5F0, Push(20)),                // push {r4, r5, r6, r7, lr}
            (0xB401, Push(4)),                 // push {r0}
            (0xBC30, Pop(0x30)),               // pop {r4, r5}
            (0xBDF0, Return),                  // pop {r4, r5, r6, r7, pc}
            (0xB082, Grow(8)),                 // sub sp, #8
            (0xB0FF, Grow(508)),               // sub sp, #508
            (0xB07F, Shrink(508)),             // add sp, #508
            (0x44B5, AddToStack(6)),           // add sp, r6
            (0x46A5, SetStack(4)),             // mov sp, r4
            (0x466C, Other { changes: 0x10 }), // mov r4, sp
        ];
        for (halfword, expected) in cases {
            assert_eq!(
                decode(0x100, halfword, None),
                (expected, 2),
                "{halfword:#06x}"
            );
        }
    }

    #[test]
    fn instructions_that_lead_elsewhere_are_known() {
        let cases = [
            (0x4770, Return),               // bx lr
            (0x46F7, Return),               // mov pc, lr
            (0x4718, JumpRegister(3)),      // bx r3
            (0x4798, CallRegister(3)),      // blx r3
            (0x4487, ComputedJump),         // add pc, r0
            (0x4687, ComputedJump),         // mov pc, r0
            (0xE7FE, Jump(0x100)),          // b .
            (0xE001, Jump(0x106)),          // b .+6
            (0xD0FE, Branch(0x100)),        // beq .
            (0xD101, Branch(0x106)),        // bne .+6
            (0xDEFE, Undefined),            // udf #254
            (0xDF01, Other { changes: 0 }), // svc #1
        ];
        for (halfword, expected) in cases {
            assert_eq!(
                decode(0x100, halfword, None),
                (expected, 2),
                "{halfword:#06x}"
            );
        }
    }

    #[test]
    fn constants_on_their_way_to_the_stack_pointer_are_known() {
        let cases = [
            (0x4E01, LoadLiteral(6, 0x108)), // ldr r6, [pc, #4]
            (0x26FF, Set(6, 255)),           // movs r6, #255
            (
                0x0136,
                ShiftLeft {
                    to: 6,
                    from: 6,
                    by: 4,
                },
            ), // lsls r6, r6, #4
            (0x4276, Negate { to: 6, from: 6 }), // rsbs r6, r6, #0
            (0x43F6, Invert { to: 6, from: 6 }), // mvns r6, r6
            (0x3601, Add(6, 1)),             // adds r6, #1
            (0x3E01, Subtract(6, 1)),        // subs r6, #1
        ];
        for (halfword, expected) in cases {
            assert_eq!(
                decode(0x102, halfword, None),
                (expected, 2),
                "{halfword:#06x}"
            );
        }
    }

    #[test]
    fn copies_between_registers_are_known() {
        let cases = [
            (0x46A0, Copy { to: 8, from: 4 }), // mov r8, r4
            (0x4644, Copy { to: 4, from: 8 }), // mov r4, r8
        ];
        for (halfword, expected) in cases {
            assert_eq!(
                decode(0x100, halfword, None),
                (expected, 2),
                "{halfword:#06x}"
            );
        }
    }

    #[test]
    fn registers_that_other_instructions_change_are_known() {
        let cases = [
            (0x6823, 0x08),                   // ldr r3, [r4]
            (0x9B01, 0x08),                   // ldr r3, [sp, #4]
            (0x9B01, 0x08),                   // ldr r3, [sp, #4]
            (0xAB01, 0x08),                   // add r3, sp, #4
            (0x6023, 0x00),                   // str r3, [r4]
            (0xCC06, 0x16),                   // ldmia r4!, {r1, r2}
            (0xC406, 0x10),                   // stmia r4!, {r1, r2}
            (0xB2DB, 0x08),                   // uxtb r3, r3
            (0x2B00, 0x00),                   // cmp r3, #0
            (0x43C8 & !0x3C0 | 0x0040, 0x01), // eors r0, r1
        ];
        for (halfword, changes) in cases {
            assert_eq!(
                decode(0x100, halfword, None).0,
                Other { changes },
                "{halfword:#06x}"
            );
        }
    }

    #[test]
    fn a_call_reaches_forwards_and_backwards() {
        assert_eq!(decode(0x100, 0xF000, Some(0xF801)), (Call(0x106), 4));
        assert_eq!(decode(0x100, 0xF7FF, Some(0xFFFE)), (Call(0x100), 4));
        assert_eq!(
            decode(0x0800_0000, 0xF010, Some(0xF800)),
            (Call(0x0801_0004), 4)
        );
        assert_eq!(
            decode(0x100, 0xF3EF, Some(0x8510)),
            (Other { changes: 0x20 }, 4)
        );
        assert_eq!(decode(0x100, 0xF7F0, Some(0xA000)), (Undefined, 4));
    }
}
