//! Directed tests of the core: small programs, assembled by hand, on a bus with one device.

use super::bus::{Bus, BusFault, Effect, ResetCause, Width};
use super::{Core, FaultKind, Stop};
use crate::memory::{FLASH_BASE, Memory, RAM_BASE, flash_offset};
use crate::time::Time;

const CYCLE: Time = Time::from_nanos(1);
const PROGRAM: u32 = FLASH_BASE + 0x1000;
const STACK: u32 = RAM_BASE + 0x2000;
/// Reads and writes the interrupt lines.
const LINES: u32 = 0x4000_0000;
/// Answers with `BusFault::Reserved`.
const RESERVED: u32 = 0x4000_0004;
/// How long a write to flash keeps it busy.
const FLASH_CYCLES: u64 = 500;

#[derive(Clone, Default)]
struct TestBus {
    lines: u32,
    /// When which lines change to what.
    plan: Vec<(Time, u32)>,
    flash_busy: Option<Time>,
    events_ran_at: Vec<Time>,
    stored: Vec<(u32, Width, u32)>,
}

impl Bus for TestBus {
    fn read(&mut self, _: &mut Memory, address: u32, _: Width, _: Time) -> Result<u32, BusFault> {
        match address {
            LINES => Ok(self.lines),
            RESERVED => Err(BusFault::Reserved),
            _ => Err(BusFault::Unmapped),
        }
    }

    fn write(
        &mut self,
        _: &mut Memory,
        address: u32,
        width: Width,
        value: u32,
        now: Time,
    ) -> Result<Effect, BusFault> {
        self.stored.push((address, width, value));
        match address {
            LINES => self.lines = value,
            RESERVED => return Err(BusFault::Reserved),
            _ if flash_offset(address).is_some() => {
                self.flash_busy = Some(now + CYCLE * FLASH_CYCLES);
            }
            _ => return Err(BusFault::Unmapped),
        }
        Ok(Effect::Attention)
    }

    fn next_event(&self) -> Option<Time> {
        let planned = self.plan.iter().map(|(at, _)| *at);
        planned.chain(self.flash_busy).min()
    }

    fn poll(&mut self, _: &mut Memory, now: Time) -> u32 {
        while let Some((at, lines)) = self.plan.first().copied()
            && at <= now
        {
            self.lines = lines;
            self.events_ran_at.push(now);
            self.plan.remove(0);
        }
        self.flash_busy = self.flash_busy.filter(|end| *end > now);
        self.lines
    }

    fn cycle(&self) -> Time {
        CYCLE
    }

    fn flash_busy_until(&self, now: Time) -> Option<Time> {
        self.flash_busy.filter(|end| *end > now)
    }

    fn take_reset(&mut self) -> Option<ResetCause> {
        None
    }
}

/// A core with a program, whose handlers are all `bkpt` with the exception's number.
#[derive(Clone)]
struct Rig {
    core: Core,
    memory: Memory,
    bus: TestBus,
}

fn handler_address(exception: u32) -> u32 {
    FLASH_BASE + 0x200 + 0x40 * exception
}

impl Rig {
    fn new(program: &[u16]) -> Rig {
        let mut memory = Memory::new();
        let bus = TestBus::default();
        memory.program(0, &STACK.to_le_bytes());
        memory.program(4, &(PROGRAM | 1).to_le_bytes());
        let mut core = Core::new();
        for exception in 2..48 {
            let vector = handler_address(exception) | 1;
            memory.program(4 * exception as usize, &vector.to_le_bytes());
        }
        core.reset(&memory, Time::ZERO);
        let mut rig = Rig { core, memory, bus };
        for exception in 2..48 {
            rig = rig.handler(exception, &[0xBE00 | exception as u16]);
        }
        rig.put(PROGRAM, program);
        rig
    }

    fn put(&mut self, address: u32, code: &[u16]) {
        let bytes: Vec<u8> = code.iter().flat_map(|half| half.to_le_bytes()).collect();
        if let Some(offset) = flash_offset(address) {
            self.memory.program(offset, &bytes);
        } else {
            let offset = (address - RAM_BASE) as usize;
            self.memory.ram_mut()[offset..offset + bytes.len()].copy_from_slice(&bytes);
        }
    }

    fn handler(mut self, exception: u32, code: &[u16]) -> Rig {
        self.put(handler_address(exception), code);
        self
    }

    fn with(mut self, register: usize, value: u32) -> Rig {
        self.core.set_register(register, value);
        self
    }

    fn word(&self, address: u32) -> u32 {
        let offset = (address - RAM_BASE) as usize;
        u32::from_le_bytes(self.memory.ram()[offset..offset + 4].try_into().unwrap())
    }

    /// Runs until something stops the core, but not for ever.
    fn run(&mut self) -> Stop {
        let until = self.core.now() + CYCLE * 1_000_000;
        self.core.run(&mut self.memory, &mut self.bus, until)
    }

    fn run_cycles(&mut self, cycles: u64) -> Stop {
        let until = self.core.now() + CYCLE * cycles;
        self.core.run(&mut self.memory, &mut self.bus, until)
    }

    /// Executes one instruction, or takes one exception.
    fn step(&mut self) -> &mut Rig {
        assert_eq!(self.run_cycles(1), Stop::Deadline);
        self
    }

    fn r(&self, number: usize) -> u32 {
        self.core.register(number)
    }

    /// N, Z, C and V, as in "nZCv".
    fn flags(&self) -> String {
        let xpsr = self.core.xpsr();
        let letter = |bit: u32, letter: char| match xpsr >> bit & 1 {
            1 => letter,
            _ => letter.to_ascii_lowercase(),
        };
        [(31, 'N'), (30, 'Z'), (29, 'C'), (28, 'V')]
            .iter()
            .map(|(bit, name)| letter(*bit, *name))
            .collect()
    }

    fn cycles(&self) -> u64 {
        self.core.now().picos() / CYCLE.picos()
    }
}

/// Runs `opcode` on R0 and R1 with a carry; R0 and the flags after it must be these.
#[track_caller]
fn computes(opcode: u16, r0: u32, r1: u32, carry: bool, result: u32, flags: &str) {
    let mut rig = Rig::new(&[opcode]).with(0, r0).with(1, r1);
    rig.core.set_xpsr(1 << 24 | u32::from(carry) << 29);
    rig.step();
    assert_eq!(
        (format!("{:08x}", rig.r(0)), rig.flags()),
        (format!("{result:08x}"), flags.to_string()),
    );
}

const ADDS: u16 = 0x1840; // adds r0, r0, r1
const SUBS: u16 = 0x1A40; // subs r0, r0, r1
const ADCS: u16 = 0x4148;
const SBCS: u16 = 0x4188;
const NEGS: u16 = 0x4248; // rsbs r0, r1, #0
const CMP: u16 = 0x4288;
const CMN: u16 = 0x42C8;
const MULS: u16 = 0x4348;
const LSLS: u16 = 0x4088;
const LSRS: u16 = 0x40C8;
const ASRS: u16 = 0x4108;
const RORS: u16 = 0x41C8;

#[test]
fn additions_and_subtractions_set_all_flags() {
    computes(ADDS, 1, 2, true, 3, "nzcv");
    computes(ADDS, 0xFFFF_FFFF, 1, false, 0, "nZCv");
    computes(ADDS, 0x7FFF_FFFF, 1, false, 0x8000_0000, "NzcV");
    computes(ADDS, 0x8000_0000, 0x8000_0000, false, 0, "nZCV");
    computes(SUBS, 5, 5, false, 0, "nZCv");
    computes(SUBS, 4, 5, false, 0xFFFF_FFFF, "Nzcv");
    computes(SUBS, 0x8000_0000, 1, false, 0x7FFF_FFFF, "nzCV");
    computes(NEGS, 0, 1, false, 0xFFFF_FFFF, "Nzcv");
    computes(NEGS, 0, 0, false, 0, "nZCv");
    computes(NEGS, 0, 0x8000_0000, false, 0x8000_0000, "NzcV");
}

#[test]
fn carries_go_in_and_out() {
    computes(ADCS, 0xFFFF_FFFF, 0, true, 0, "nZCv");
    computes(ADCS, 0xFFFF_FFFF, 0xFFFF_FFFF, true, 0xFFFF_FFFF, "NzCv");
    computes(ADCS, 0x7FFF_FFFF, 0, true, 0x8000_0000, "NzcV");
    computes(SBCS, 5, 3, true, 2, "nzCv");
    computes(SBCS, 5, 5, false, 0xFFFF_FFFF, "Nzcv");
    computes(SBCS, 0x8000_0000, 0, false, 0x7FFF_FFFF, "nzCV");
}

#[test]
fn comparisons_change_flags_alone() {
    computes(CMP, 3, 4, false, 3, "Nzcv");
    computes(CMN, 0xFFFF_FFFF, 1, false, 0xFFFF_FFFF, "nZCv");
    computes(0x2805, 5, 0, false, 5, "nZCv"); // cmp r0, #5
}

#[test]
fn multiplication_leaves_carry_and_overflow() {
    computes(MULS, 0x1_0001, 0x1_0001, true, 0x2_0001, "nzCv");
    computes(MULS, 0x1_0000, 0x1_0000, false, 0, "nZcv");
}

#[test]
fn shifts_by_register_go_to_255() {
    computes(LSLS, 0x8000_0001, 0, true, 0x8000_0001, "NzCv");
    computes(LSLS, 0x8000_0001, 1, false, 2, "nzCv");
    computes(LSLS, 0x8000_0001, 31, false, 0x8000_0000, "Nzcv");
    computes(LSLS, 0x8000_0001, 32, false, 0, "nZCv");
    computes(LSLS, 0xFFFF_FFFF, 33, true, 0, "nZcv");
    computes(LSLS, 0xFFFF_FFFF, 255, true, 0, "nZcv");
    computes(LSLS, 3, 0x101, false, 6, "nzcv");
    computes(LSRS, 0x8000_0001, 1, false, 0x4000_0000, "nzCv");
    computes(LSRS, 0x8000_0001, 32, false, 0, "nZCv");
    computes(LSRS, 0xFFFF_FFFF, 33, true, 0, "nZcv");
    computes(LSRS, 0xFFFF_FFFF, 200, true, 0, "nZcv");
    computes(ASRS, 0x8000_0000, 4, true, 0xF800_0000, "Nzcv");
    computes(ASRS, 0x8000_0000, 32, false, 0xFFFF_FFFF, "NzCv");
    computes(ASRS, 0x7FFF_FFFF, 100, true, 0, "nZcv");
    computes(RORS, 0x0000_0001, 1, false, 0x8000_0000, "NzCv");
    computes(RORS, 0x4000_0000, 32, true, 0x4000_0000, "nzcv");
    computes(RORS, 0x8000_0000, 64, false, 0x8000_0000, "NzCv");
    computes(RORS, 0x8000_0000, 0x100, true, 0x8000_0000, "NzCv");
}

#[test]
fn immediate_shifts_of_zero_mean_32_to_the_right() {
    computes(0x0008, 0, 0x8000_0000, true, 0x8000_0000, "NzCv"); // movs r0, r1
    computes(0x07C8, 0, 3, false, 0x8000_0000, "NzCv"); // lsls r0, r1, #31
    computes(0x0808, 7, 0x8000_0000, false, 0, "nZCv"); // lsrs r0, r1, #32
    computes(0x1008, 7, 0x8000_0000, false, 0xFFFF_FFFF, "NzCv"); // asrs r0, r1, #32
    computes(0x1008, 7, 0x7FFF_FFFF, true, 0, "nZcv");
    computes(0x1048, 7, 3, false, 1, "nzCv"); // asrs r0, r1, #1
}

#[test]
fn bytes_are_extended_and_reversed() {
    computes(0xB248, 0, 0x1280, false, 0xFFFF_FF80, "nzcv"); // sxtb
    computes(0xB208, 0, 0x1_8000, false, 0xFFFF_8000, "nzcv"); // sxth
    computes(0xB2C8, 0, 0x1280, false, 0x80, "nzcv"); // uxtb
    computes(0xB288, 0, 0x1_8000, false, 0x8000, "nzcv"); // uxth
    computes(0xBA08, 0, 0x1122_3344, false, 0x4433_2211, "nzcv"); // rev
    computes(0xBA48, 0, 0x1122_3344, false, 0x2211_4433, "nzcv"); // rev16
    computes(0xBAC8, 0, 0x1122_3384, false, 0xFFFF_8433, "nzcv"); // revsh
}

#[test]
fn high_registers_and_pc_are_operands() {
    let mut rig = Rig::new(&[
        0x4478, // add r0, pc
        0x4679, // mov r1, pc
        0x4685, // mov sp, r0
        0x4487, // add pc, r0
    ])
    .with(0, 3);
    rig.step();
    assert_eq!(rig.r(0), PROGRAM + 4 + 3);
    rig.step();
    assert_eq!(rig.r(1), PROGRAM + 2 + 4);
    rig.step();
    assert_eq!(rig.r(13), (PROGRAM + 7) & !3);
    rig.core.set_register(0, 0x11);
    rig.step();
    assert_eq!(rig.core.pc(), PROGRAM + 6 + 4 + 0x10);
}

#[test]
fn every_condition_branches_as_its_flags_say() {
    // N, Z, C and V in bits 3 to 0; the conditions as DDI 0419 A6.3 defines them.
    for nzcv in 0..16u32 {
        let [n, z, c, v] = [3, 2, 1, 0].map(|bit| nzcv >> bit & 1 == 1);
        let holds = [
            z,
            !z,
            c,
            !c,
            n,
            !n,
            v,
            !v,
            c && !z,
            !c || z,
            n == v,
            n != v,
            !z && n == v,
            z || n != v,
        ];
        for (condition, holds) in (0..).zip(holds) {
            let mut rig = Rig::new(&[0xD000 | condition << 8 | 0x10]);
            rig.core.set_xpsr(nzcv << 28 | 1 << 24);
            rig.step();
            let expected = if holds {
                PROGRAM + 4 + 0x20
            } else {
                PROGRAM + 2
            };
            assert_eq!(
                rig.core.pc(),
                expected,
                "condition {condition} on {nzcv:04b}"
            );
            assert_eq!(rig.cycles(), if holds { 2 } else { 1 });
        }
    }
}

#[test]
fn calls_leave_a_thumb_return_address() {
    let mut rig = Rig::new(&[0xF000, 0xF87E]); // bl PROGRAM + 0x100
    rig.put(PROGRAM + 0x100, &[0x4780]); // blx r0
    rig.core.set_register(0, PROGRAM + 0x201);
    rig.step();
    assert_eq!((rig.core.pc(), rig.r(14)), (PROGRAM + 0x100, PROGRAM + 5));
    assert_eq!(rig.cycles(), 3);
    rig.step();
    assert_eq!(
        (rig.core.pc(), rig.r(14)),
        (PROGRAM + 0x200, PROGRAM + 0x103)
    );
    assert_eq!(rig.cycles(), 5);
}

#[test]
fn loads_and_stores_of_every_width_meet_in_ram() {
    let mut rig = Rig::new(&[
        0x6008, // str r0, [r1]
        0x780A, // ldrb r2, [r1]
        0x568B, // ldrsb r3, [r1, r2]
        0x884C, // ldrh r4, [r1, #2]
        0x5FCD, // ldrsh r5, [r1, r7]
        0x70C8, // strb r0, [r1, #3]
        0x8088, // strh r0, [r1, #4]
        0x684E, // ldr r6, [r1, #4]
    ])
    .with(0, 0x8765_4302)
    .with(1, RAM_BASE)
    .with(7, 2);
    for _ in 0..8 {
        rig.step();
    }
    assert_eq!(rig.r(2), 0x02);
    assert_eq!(rig.r(3), 0x65);
    assert_eq!(rig.r(4), 0x8765);
    assert_eq!(rig.r(5), 0xFFFF_8765);
    assert_eq!(rig.word(RAM_BASE), 0x0265_4302);
    assert_eq!(rig.r(6), 0x4302);
    assert_eq!(rig.cycles(), 16);
}

#[test]
fn literals_and_the_boot_alias_read_flash() {
    let mut rig = Rig::new(&[
        0xBF00, // nop
        0x4800, // ldr r0, [pc, #0]: the next aligned word
        0x6809, // ldr r1, [r1]
        0xBE01, // bkpt 1
    ])
    .with(1, 4);
    assert_eq!(rig.run(), Stop::Breakpoint(1));
    assert_eq!(rig.r(0), 0xBE01_6809);
    assert_eq!(rig.r(1), PROGRAM | 1);
    assert_eq!(rig.core.pc(), PROGRAM + 6);
}

#[test]
fn code_runs_through_the_boot_alias_and_in_ram() {
    let program = [
        0x4801, // ldr r0, [pc, #4]
        0xA101, // adr r1, #4
        0xE002, // b over the literal
        0xBE01, 0x5678, 0x1234, // the literal
        0xBE02,
    ];
    for address in [PROGRAM & !FLASH_BASE, RAM_BASE + 0x100] {
        let mut rig = Rig::new(&program);
        rig.put(address, &program);
        rig.core.set_pc(address);
        assert_eq!(rig.run(), Stop::Breakpoint(2));
        assert_eq!(rig.r(0), 0x1234_5678);
        assert_eq!(rig.r(1), address + 8);
    }
}

#[test]
fn push_and_pop_are_each_others_inverse() {
    let mut rig = Rig::new(&[
        0xB507, // push {r0-r2, lr}
        0xBD70, // pop {r4-r6, pc}
    ])
    .with(0, 10)
    .with(1, 11)
    .with(2, 12)
    .with(14, PROGRAM + 0x101);
    rig.step();
    assert_eq!(rig.r(13), STACK - 16);
    assert_eq!([0, 4, 8].map(|at| rig.word(STACK - 16 + at)), [10, 11, 12]);
    assert_eq!(rig.word(STACK - 4), PROGRAM + 0x101);
    assert_eq!(rig.cycles(), 5);
    rig.step();
    assert_eq!([4, 5, 6].map(|n| rig.r(n)), [10, 11, 12]);
    assert_eq!(rig.core.pc(), PROGRAM + 0x100);
    assert_eq!(rig.r(13), STACK);
    assert_eq!(rig.cycles(), 5 + 7);
}

#[test]
fn ldm_writes_its_base_back_unless_it_loads_it() {
    let mut rig = Rig::new(&[
        0xC107, // stm r1!, {r0-r2}
        0xC818, // ldm r0!, {r3, r4}
        0xC803, // ldm r0, {r0, r1}
    ])
    .with(0, RAM_BASE)
    .with(1, RAM_BASE)
    .with(2, 22);
    rig.step();
    assert_eq!(rig.r(1), RAM_BASE + 12);
    assert_eq!(rig.word(RAM_BASE + 4), RAM_BASE);
    rig.step();
    assert_eq!(
        [0, 3, 4].map(|n| rig.r(n)),
        [RAM_BASE + 8, RAM_BASE, RAM_BASE]
    );
    rig.step();
    assert_eq!([0, 1].map(|n| rig.r(n)), [22, 0]);
}

#[test]
fn a_faulting_ldm_leaves_its_registers() {
    // The last word of the three lies behind RAM.
    let mut rig = Rig::new(&[0xC807])
        .with(0, STACK - 8)
        .with(13, RAM_BASE + 0x400); // ldm r0, {r0-r2}
    assert_eq!(rig.run(), Stop::Breakpoint(3));
    assert_eq!([0, 1, 2].map(|n| rig.r(n)), [STACK - 8, 0, 0]);
}

#[test]
fn lists_reach_the_bus_word_by_word() {
    let mut rig = Rig::new(&[0xC003, 0xBE01]) // stm r0!, {r0, r1}
        .with(0, LINES)
        .with(1, 7)
        .with(13, RAM_BASE + 0x400);
    rig.core.set_primask(true);
    assert_eq!(rig.run(), Stop::Breakpoint(3));
    assert_eq!(
        rig.bus.stored,
        [(LINES, Width::Word, LINES), (RESERVED, Width::Word, 7)]
    );
    assert_eq!(rig.r(0), LINES);
}

/// Runs one instruction that must end in HardFault for `kind`, and gives the rig back in the handler.
#[track_caller]
fn faults(rig: Rig, pc: u32, kind: FaultKind) -> Rig {
    let mut rig = rig;
    assert_eq!(rig.run(), Stop::Breakpoint(3));
    let fault = rig.core.last_fault().expect("HardFault has a reason");
    assert_eq!((fault.pc, fault.kind), (pc, kind));
    assert_eq!(rig.word(rig.r(13) + 24), pc);
    rig
}

#[test]
fn unaligned_accesses_fault() {
    for (opcode, width, write) in [
        (0x6808, Width::Word, false), // ldr r0, [r1]
        (0x8808, Width::Half, false),
        (0x6008, Width::Word, true),
        (0xC901, Width::Word, false), // ldm r1!, {r0}
    ] {
        let address = RAM_BASE + 1;
        let fault = BusFault::Unaligned;
        let kind = FaultKind::Access {
            address,
            width,
            write,
            fault,
        };
        faults(Rig::new(&[opcode]).with(1, address), PROGRAM, kind);
    }
}

#[test]
fn undefined_instructions_fault() {
    let kind = FaultKind::Undefined { opcode: 0xDE01 };
    faults(Rig::new(&[0xDE01]), PROGRAM, kind);
    let opcode = 0xF7F0_A000;
    faults(
        Rig::new(&[0xF7F0, 0xA000]),
        PROGRAM,
        FaultKind::Undefined { opcode },
    );
}

#[test]
fn a_branch_to_an_even_address_faults_there_with_t_clear() {
    let target = PROGRAM + 0x40;
    let rig = Rig::new(&[0x4700]).with(0, target); // bx r0
    let rig = faults(rig, target, FaultKind::NotThumb);
    assert_eq!(rig.word(rig.r(13) + 28) >> 24 & 1, 0);
    let rig = Rig::new(&[0x4780]).with(0, target); // blx r0
    let rig = faults(rig, target, FaultKind::NotThumb);
    assert_eq!(rig.word(rig.r(13) + 20), PROGRAM + 3);
}

#[test]
fn nothing_can_be_fetched_from_a_peripheral() {
    let rig = Rig::new(&[0x4700]).with(0, LINES | 1);
    faults(rig, LINES, FaultKind::Fetch);
    // EXC_RETURN means nothing in thread mode.
    let rig = Rig::new(&[0x4700]).with(0, 0xFFFF_FFF9);
    faults(rig, 0xFFFF_FFF8, FaultKind::Fetch);
}

#[test]
fn strict_mode_stops_at_a_bus_fault_after_entering_hardfault() {
    let program = Rig::new(&[0x6808]).with(1, RESERVED); // ldr r0, [r1]
    let kind = FaultKind::Access {
        address: RESERVED,
        width: Width::Word,
        write: false,
        fault: BusFault::Reserved,
    };
    let mut rig = faults(program.clone(), PROGRAM, kind);
    assert_eq!(rig.run(), Stop::Breakpoint(3));
    let mut rig = program;
    rig.core.set_strict(true);
    let Stop::Fault(report) = rig.run() else {
        panic!("the core did not stop at the fault")
    };
    assert_eq!((report.pc, report.kind), (PROGRAM, kind));
    assert_eq!(
        report.to_string(),
        "4-byte read at 0x40000004: no register that is modelled (pc 0x08001000)"
    );
    assert_eq!(rig.core.pc(), handler_address(3));
}

#[test]
fn strict_mode_knows_which_private_registers_exist() {
    // ldr r0, [r1] on MPU_TYPE, then bkpt.
    let mut rig = Rig::new(&[0x6808, 0xBE01]).with(1, 0xE000_ED90);
    assert_eq!(rig.clone().run(), Stop::Breakpoint(1));
    rig.core.set_strict(true);
    assert!(matches!(rig.run(), Stop::Fault(_)));
}

#[test]
fn a_fault_in_hardfault_locks_up() {
    let mut rig = Rig::new(&[0xDE00]).handler(3, &[0xDE01]);
    let Stop::Lockup(report) = rig.run() else {
        panic!("no lockup")
    };
    assert_eq!(report.pc, handler_address(3));
    assert_eq!(report.kind, FaultKind::Undefined { opcode: 0xDE01 });
    assert_eq!(rig.core.last_fault().unwrap().pc, PROGRAM);
    // It stays locked up.
    assert_eq!(rig.run(), Stop::Lockup(report));
}

#[test]
fn hardfault_without_room_for_its_frame_locks_up() {
    let mut rig = Rig::new(&[0xDE00]).with(13, RAM_BASE + 16);
    let Stop::Lockup(report) = rig.run() else {
        panic!("no lockup")
    };
    let address = RAM_BASE - 16;
    assert_eq!(report.kind, FaultKind::Stack { address });
}

#[test]
fn an_interrupt_without_room_for_its_frame_is_hardfault() {
    let mut rig = Rig::new(&[0xE7FE]).with(13, RAM_BASE + 16);
    rig.enable(5);
    rig.bus.lines = 1 << 5;
    assert_eq!(rig.run(), Stop::Breakpoint(3));
    assert_eq!(rig.r(13), RAM_BASE - 16);
}

#[test]
fn erased_flash_locks_up_at_reset() {
    let mut rig = Rig::new(&[]);
    rig.memory = Memory::new();
    rig.core.reset(&rig.memory, Time::ZERO);
    assert!(matches!(rig.run(), Stop::Lockup(_)));
}

impl Rig {
    /// Writes a private register as privileged code does.
    fn write_private(&mut self, address: u32, value: u32) {
        self.core
            .write_private(address, Width::Word, value)
            .unwrap();
    }

    fn read_private(&mut self, address: u32) -> u32 {
        self.core.read_private(address, Width::Word).unwrap()
    }

    fn enable(&mut self, interrupt: u32) {
        self.write_private(0xE000_E100, 1 << interrupt);
    }

    fn interrupt_priority(&mut self, interrupt: u32, priority: u8) {
        let address = 0xE000_E400 + (interrupt & !3);
        let shift = 8 * (interrupt & 3);
        let others = self.read_private(address) & !(0xFF << shift);
        self.write_private(address, others | u32::from(priority) << shift);
    }
}

#[test]
fn an_exception_stacks_its_frame_and_returns_to_it() {
    let mut rig = Rig::new(&[0x2001, 0x2002, 0xBE01]) // movs r0, #1; movs r0, #2
        .handler(16, &[0x2063, 0x2163, 0x4770]) // movs r0, #99; movs r1, #99; bx lr
        .with(1, 11)
        .with(12, 12)
        .with(13, STACK - 4)
        .with(14, 0x1415);
    rig.enable(0);
    rig.step();
    rig.write_private(0xE000_E200, 1);
    rig.step();
    assert_eq!(rig.core.pc(), handler_address(16));
    assert_eq!(rig.cycles(), 1 + 15);
    assert_eq!(rig.r(14), 0xFFFF_FFF9);
    // SP was not a multiple of eight: the frame is, and bit 9 of its xPSR says so.
    let frame = STACK - 40;
    assert_eq!(rig.r(13), frame);
    let stacked = [0, 4, 8, 12, 16, 20, 24, 28].map(|at| rig.word(frame + at));
    assert_eq!(stacked, [1, 11, 0, 0, 12, 0x1415, PROGRAM + 2, 0x0100_0200]);
    assert_eq!(rig.read_private(0xE000_ED04) & 0x1FF, 16);
    assert_eq!(rig.run(), Stop::Breakpoint(1));
    assert_eq!([0, 1].map(|n| rig.r(n)), [2, 11]);
    assert_eq!(rig.r(13), STACK - 4);
    assert_eq!(rig.core.xpsr() & 0x3F, 0);
}

#[test]
fn a_more_urgent_interrupt_preempts_and_an_equal_one_waits() {
    // The handler of interrupt 1 pends 0, 2 and 3 in turn.
    let mut rig = Rig::new(&[0xE7FE])
        .handler(
            17,
            &[0x2001, 0x6020, 0x2004, 0x6020, 0x2008, 0x6020, 0xBE11],
        ) // str r0, [r4]
        .handler(18, &[0xBE12]);
    for (interrupt, priority) in [(0, 0x80), (1, 0x80), (2, 0xC0), (3, 0x40)] {
        rig.enable(interrupt);
        rig.interrupt_priority(interrupt, priority);
    }
    rig.core.set_register(4, 0xE000_E200);
    rig.write_private(0xE000_E200, 2);
    assert_eq!(rig.run(), Stop::Breakpoint(19));
    assert_eq!(rig.r(14), 0xFFFF_FFF1);
    // Back in interrupt 1's handler; the other two are pending still.
    rig.put(handler_address(19), &[0x4770]);
    assert_eq!(rig.run(), Stop::Breakpoint(17));
    assert_eq!(rig.read_private(0xE000_E200), 0b101);
    assert_eq!(rig.read_private(0xE000_ED04), 16 << 12 | 1 << 22 | 17);
    // Of those, the more urgent one follows.
    rig.core.set_pc(handler_address(17) + 14);
    rig.put(handler_address(17) + 14, &[0x4770]);
    assert_eq!(rig.run(), Stop::Breakpoint(16));
}

#[test]
fn only_two_bits_of_a_priority_are_implemented() {
    let mut rig = Rig::new(&[]);
    rig.write_private(0xE000_E41C, 0xFFFF_FFFF);
    assert_eq!(rig.read_private(0xE000_E41C), 0xC0C0_C0C0);
    rig.write_private(0xE000_ED20, 0xFFFF_FFFF);
    assert_eq!(rig.read_private(0xE000_ED20), 0xC0C0_0000);
    rig.write_private(0xE000_ED1C, 0xFFFF_FFFF);
    assert_eq!(rig.read_private(0xE000_ED1C), 0xC000_0000);
}

#[test]
fn a_waiting_interrupt_is_chained_on_the_same_frame() {
    let mut rig = Rig::new(&[0xE7FE]).handler(16, &[0x2007, 0x4770]); // movs r0, #7; bx lr
    rig.enable(0);
    rig.enable(1);
    rig.write_private(0xE000_E200, 3);
    rig.step();
    let frame = rig.r(13);
    rig.step();
    let before = rig.cycles();
    assert_eq!(rig.run(), Stop::Breakpoint(17));
    // R0 is what the first handler left, for nothing was unstacked.
    assert_eq!((rig.r(13), rig.r(0), rig.r(14)), (frame, 7, 0xFFFF_FFF9));
    assert_eq!(rig.cycles() - before, 2 + 7);
}

#[test]
fn a_more_urgent_interrupt_that_arrives_during_stacking_goes_first_on_the_same_frame() {
    // Interrupt 1 is pended by the first instruction, interrupt 0 comes while its frame is being stacked.
    let late = |priority, at| {
        let mut rig = Rig::new(&[0x6020, 0xE7FE]) // str r0, [r4]
            .handler(16, &[0x2777, 0x602B, 0x4770]) // movs r7, #0x77; str r3, [r5]; bx lr
            .handler(17, &[0xBF00, 0xBE11])
            .with(0, 2)
            .with(4, 0xE000_E200)
            .with(5, LINES);
        for (interrupt, priority) in [(0, priority), (1, 0x80)] {
            rig.enable(interrupt);
            rig.interrupt_priority(interrupt, priority);
        }
        rig.bus.plan = vec![(Time::from_nanos(at), 1)];
        assert_eq!(rig.run_cycles(3), Stop::Deadline);
        rig
    };
    // The store ends at 2, the stacking at 17.
    let mut rig = late(0x40, 10);
    assert_eq!(rig.core.pc(), handler_address(16));
    assert_eq!((rig.cycles(), rig.r(14)), (17, 0xFFFF_FFF9));
    assert_eq!(rig.r(13), STACK - 32, "one frame for both");
    assert_eq!(rig.word(rig.r(13) + 24), PROGRAM + 2);
    // The one that had to wait is chained on that frame: R7 is what the first one left.
    assert_eq!(rig.run(), Stop::Breakpoint(17));
    assert_eq!((rig.r(13), rig.r(7)), (STACK - 32, 0x77));
    // One of the same urgency, or one that comes after the stacking, does not take its place.
    assert_eq!(late(0x80, 10).core.pc(), handler_address(17));
    assert_eq!(late(0x40, 18).core.pc(), handler_address(17));
    let mut rig = late(0x40, 18);
    assert_eq!(rig.step().step().core.pc(), handler_address(16));
    assert_eq!((rig.r(13), rig.r(14)), (STACK - 64, 0xFFFF_FFF1));
}

#[test]
fn a_line_that_stays_asserted_pends_again_at_return() {
    // The handler counts in memory, and releases the line the third time.
    let mut rig = Rig::new(&[0xE7FE])
        .handler(
            20,
            &[
                0x6820, // ldr r0, [r4]
                0x1C40, // adds r0, r0, #1
                0x6020, // str r0, [r4]
                0x2803, // cmp r0, #3
                0xD101, // bne .+6
                0x2000, // movs r0, #0
                0x6028, // str r0, [r5]
                0x4770, // bx lr
            ],
        )
        .with(4, RAM_BASE)
        .with(5, LINES);
    rig.enable(4);
    rig.bus.lines = 1 << 4;
    assert_eq!(rig.run_cycles(1_000), Stop::Deadline);
    assert_eq!(rig.word(RAM_BASE), 3);
    assert_eq!(rig.core.pc(), PROGRAM);
}

#[test]
fn primask_keeps_interrupts_out_until_cpsie() {
    let mut rig = Rig::new(&[
        0xB672, // cpsid i
        0x6020, // str r0, [r4]: the line is asserted
        0x2101, // movs r1, #1
        0xB662, // cpsie i
        0x2102, // movs r1, #2
    ])
    .with(0, 1)
    .with(4, LINES);
    rig.enable(0);
    assert_eq!(rig.run(), Stop::Breakpoint(16));
    assert_eq!(rig.r(1), 1);
    assert_eq!(rig.word(rig.r(13) + 24), PROGRAM + 8);
}

#[test]
fn nmi_and_hardfault_ignore_primask() {
    let mut rig = Rig::new(&[0xBF00, 0xDE00]);
    rig.core.set_primask(true);
    rig.write_private(0xE000_ED04, 1 << 31);
    assert_eq!(rig.run(), Stop::Breakpoint(2));
    let mut rig = Rig::new(&[0xDE00]);
    rig.core.set_primask(true);
    assert_eq!(rig.run(), Stop::Breakpoint(3));
}

#[test]
fn svc_is_taken_or_becomes_hardfault() {
    let mut rig = Rig::new(&[0xDF05]);
    assert_eq!(rig.run(), Stop::Breakpoint(11));
    assert_eq!(rig.word(rig.r(13) + 24), PROGRAM + 2);
    let mut masked = Rig::new(&[0xDF05]);
    masked.core.set_primask(true);
    faults(masked, PROGRAM, FaultKind::SupervisorCall);
    // From a handler of the same priority.
    let mut nested = Rig::new(&[0xE7FE]).handler(16, &[0xDF05]);
    nested.enable(0);
    nested.write_private(0xE000_E200, 1);
    faults(nested, handler_address(16), FaultKind::SupervisorCall);
    // In HardFault.
    let mut last = Rig::new(&[0xDE00]).handler(3, &[0xDF05]);
    assert!(matches!(last.run(), Stop::Lockup(_)));
}

#[test]
fn pendsv_waits_for_everything_more_urgent() {
    let mut rig = Rig::new(&[0xE7FE]);
    rig.write_private(0xE000_ED20, 0x00C0_0000);
    rig.enable(9);
    rig.write_private(0xE000_E200, 1 << 9);
    rig.write_private(0xE000_ED04, 1 << 28);
    assert_eq!(rig.run(), Stop::Breakpoint(25));
    rig.put(handler_address(25), &[0x4770]);
    assert_eq!(rig.run(), Stop::Breakpoint(14));
    assert_eq!(rig.read_private(0xE000_ED04) & 1 << 28, 0);
}

#[test]
fn the_process_stack_is_used_in_thread_mode_alone() {
    let psp = RAM_BASE + 0x800;
    let mut rig = Rig::new(&[
        0xF380, 0x8809, // msr psp, r0
        0xF381, 0x8814, // msr control, r1
        0xF3BF, 0x8F6F, // isb
        0xDF00, // svc 0
        0xF3EF, 0x8208, // mrs r2, msp
        0xBE01,
    ])
    .handler(11, &[0x466B, 0xF3EF, 0x8414, 0x4770]) // mov r3, sp; mrs r4, control; bx lr
    .with(0, psp)
    .with(1, 2);
    rig.step().step().step();
    assert_eq!(rig.r(13), psp);
    rig.step();
    assert_eq!((rig.r(13), rig.r(14)), (STACK, 0xFFFF_FFFD));
    assert_eq!(rig.word(psp - 8), PROGRAM + 14);
    rig.step().step();
    assert_eq!(rig.r(4), 0);
    assert_eq!(rig.run(), Stop::Breakpoint(1));
    assert_eq!((rig.r(13), rig.r(2)), (psp, STACK));
}

#[test]
fn armv6m_has_no_q_flag() {
    let mut rig = Rig::new(&[0xF380, 0x8800, 0xF3EF, 0x8100, 0xBE01]) // msr apsr, r0; mrs r1, apsr
        .with(0, 0xFFFF_FFFF);
    assert_eq!(rig.run(), Stop::Breakpoint(1));
    assert_eq!(rig.r(1), 0xF000_0000);
}

#[test]
fn accesses_to_peripherals_are_recorded_when_wanted_and_change_nothing() {
    // str r0, [r4]; ldr r1, [r4]; ldr r2, [r5]; ldr r3, [r6]
    let rig = Rig::new(&[0x6020, 0x6821, 0x682A, 0x6833])
        .with(0, 5)
        .with(4, LINES)
        .with(5, RAM_BASE)
        .with(6, RESERVED);
    let (mut plain, mut watched) = (rig.clone(), rig);
    watched.core.record_accesses(true);
    assert_eq!(plain.run(), Stop::Breakpoint(3));
    assert_eq!(watched.run(), Stop::Breakpoint(3));
    assert_eq!(plain.cycles(), watched.cycles());
    assert_eq!(plain.core.take_accesses(), []);
    let accesses = watched.core.take_accesses();
    let told: Vec<_> = accesses
        .iter()
        .map(|access| {
            (
                access.pc - PROGRAM,
                access.address,
                access.write,
                access.value,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (0, LINES, true, Ok(5)),
            (2, LINES, false, Ok(5)),
            (6, RESERVED, false, Err(BusFault::Reserved)),
        ]
    );
    assert_eq!(accesses[0].width, Width::Word);
    assert_eq!(watched.core.take_accesses(), [], "they are taken once");
}

#[test]
fn unprivileged_code_reaches_nothing_of_the_core() {
    let mut rig = Rig::new(&[
        0xF380, 0x8814, // msr control, r0
        0xB672, // cpsid i
        0xF381, 0x8810, // msr primask, r1
        0xF3EF, 0x8208, // mrs r2, msp
        0xF381, 0x8800, // msr apsr, r1
        0x6823, // ldr r3, [r4]
    ])
    .with(0, 1)
    .with(1, 0xF000_0001)
    .with(2, 99)
    .with(4, 0xE000_ED00);
    for _ in 0..5 {
        rig.step();
    }
    assert!(!rig.core.primask());
    assert_eq!(rig.r(2), 0);
    assert_eq!(rig.flags(), "NZCV");
    assert_eq!(rig.run(), Stop::Breakpoint(3));
}

#[test]
fn an_exception_return_that_does_not_fit_faults() {
    for value in [0xFFFF_FFF1u32, 0xFFFF_FFF0, 0xFFFF_FF09, 0xF000_0001] {
        let mut rig = Rig::new(&[0xE7FE]).handler(16, &[0x4700]).with(0, value); // bx r0
        rig.enable(0);
        rig.write_private(0xE000_E200, 1);
        faults(
            rig,
            handler_address(16),
            FaultKind::ExceptionReturn { value },
        );
    }
}

#[test]
fn pop_returns_from_an_exception() {
    let mut rig = Rig::new(&[0xBF00, 0xBE01]).handler(16, &[0xB510, 0x2400, 0xBD10]);
    rig.core.set_register(4, 44);
    rig.enable(0);
    rig.write_private(0xE000_E200, 1);
    assert_eq!(rig.run(), Stop::Breakpoint(1));
    assert_eq!((rig.r(4), rig.r(13)), (44, STACK));
}

#[test]
fn wfi_sleeps_to_the_interrupt_and_takes_it() {
    let mut rig = Rig::new(&[0xBF30]);
    rig.enable(7);
    rig.bus.plan = vec![(Time::from_micros(10), 1 << 7)];
    assert_eq!(rig.run(), Stop::Breakpoint(23));
    assert_eq!(rig.cycles(), 10_000 + 15);
    assert_eq!(rig.word(rig.r(13) + 24), PROGRAM + 2);
    assert_eq!(rig.core.asleep(), Time::from_nanos(10_000 - 2));
}

#[test]
fn wfi_ends_with_primask_set_but_takes_nothing() {
    let mut rig = Rig::new(&[0xBF30, 0xBE01]);
    rig.core.set_primask(true);
    rig.enable(7);
    // An interrupt that is not enabled does not end it.
    rig.bus.plan = vec![
        (Time::from_micros(5), 1 << 8),
        (Time::from_micros(10), 1 << 7),
    ];
    assert_eq!(rig.run(), Stop::Breakpoint(1));
    assert_eq!(rig.cycles(), 10_000);
}

#[test]
fn sleep_without_any_event_lasts_to_the_deadline() {
    let mut rig = Rig::new(&[0xBF30]);
    assert_eq!(rig.run_cycles(777), Stop::Deadline);
    assert!(rig.core.is_sleeping());
    assert_eq!(rig.cycles(), 777);
}

#[test]
fn wfe_takes_an_event_that_was_there_before() {
    let mut rig = Rig::new(&[0xBF40, 0xBF20, 0xBF20, 0xBE01]); // sev; wfe; wfe
    assert_eq!(rig.run_cycles(100), Stop::Deadline);
    assert!(rig.core.is_sleeping());
    assert_eq!(rig.core.pc(), PROGRAM + 6);
    // SEVONPEND: an interrupt that is not even enabled ends it.
    rig.write_private(0xE000_ED10, 1 << 4);
    rig.bus.lines = 2;
    assert_eq!(rig.run(), Stop::Breakpoint(1));
}

#[test]
fn sleep_on_exit_goes_back_to_sleep_after_the_handler() {
    let mut rig = Rig::new(&[0xBF30, 0xBE01])
        .handler(16, &[0x6025, 0x3601, 0x4770]) // str r5, [r4]; adds r6, #1
        .with(4, LINES);
    rig.write_private(0xE000_ED10, 1 << 1);
    rig.enable(0);
    rig.bus.plan = vec![(Time::from_micros(1), 1), (Time::from_micros(2), 1)];
    assert_eq!(rig.run_cycles(5_000), Stop::Deadline);
    assert!(rig.core.is_sleeping());
    assert_eq!(rig.r(6), 2);
    assert_eq!(rig.core.pc(), PROGRAM + 2);
}

#[test]
fn sysresetreq_needs_its_key() {
    let program = Rig::new(&[0x6008, 0xBE01]).with(1, 0xE000_ED0C); // str r0, [r1]
    assert_eq!(program.clone().with(0, 4).run(), Stop::Breakpoint(1));
    let mut rig = program.with(0, 0x05FA_0004);
    assert_eq!(rig.run(), Stop::Reset(ResetCause::Software));
    rig.core.reset(&rig.memory, rig.core.now());
    assert_eq!((rig.core.pc(), rig.r(13)), (PROGRAM, STACK));
}

#[test]
fn vectors_follow_vtor() {
    let mut rig = Rig::new(&[0xDF00]);
    rig.put(PROGRAM + 0x20, &[0xBE77]);
    let vector = (PROGRAM + 0x21).to_le_bytes();
    rig.memory.ram_mut()[0x12C..0x130].copy_from_slice(&vector);
    rig.write_private(0xE000_ED08, RAM_BASE + 0x1FF);
    assert_eq!(rig.read_private(0xE000_ED08), RAM_BASE + 0x100);
    assert_eq!(rig.run(), Stop::Breakpoint(0x77));
}

#[test]
fn the_core_identifies_itself() {
    let mut rig = Rig::new(&[]);
    let read = |rig: &mut Rig, address| rig.read_private(address);
    assert_eq!(read(&mut rig, 0xE000_ED00), 0x410C_C601);
    assert_eq!(read(&mut rig, 0xE000_ED0C), 0xFA05_0000);
    assert_eq!(read(&mut rig, 0xE000_ED14), 0x208);
    assert_eq!(
        rig.core.read_private(0xE000_ED00, Width::Byte),
        Err(BusFault::Width)
    );
}

const SYST_CSR: u32 = 0xE000_E010;
const SYST_RVR: u32 = 0xE000_E014;
const SYST_CVR: u32 = 0xE000_E018;
const COUNTFLAG: u32 = 1 << 16;

#[test]
fn systick_interrupts_once_a_period() {
    let mut rig = Rig::new(&[0xE7FE]).handler(15, &[0x3601, 0x4770]); // adds r6, #1; bx lr
    rig.write_private(SYST_RVR, 999);
    rig.write_private(SYST_CVR, 0);
    rig.write_private(SYST_CSR, 7);
    assert_eq!(rig.run_cycles(999), Stop::Deadline);
    assert_eq!(rig.r(6), 0);
    assert_eq!(rig.run_cycles(10_050 - 999), Stop::Deadline);
    assert_eq!(rig.r(6), 10);
}

#[test]
fn systick_counts_down_and_flags_zero_once() {
    let mut rig = Rig::new(&[0xBF00; 64]);
    rig.write_private(SYST_RVR, 9);
    rig.write_private(SYST_CVR, 0);
    rig.write_private(SYST_CSR, 5);
    let mut seen = Vec::new();
    for _ in 0..12 {
        rig.step();
        seen.push(rig.read_private(SYST_CVR));
    }
    assert_eq!(seen, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 9, 8]);
    assert_eq!(rig.read_private(SYST_CSR), COUNTFLAG | 5);
    assert_eq!(rig.read_private(SYST_CSR), 5);
    // A new reload value waits for the next wrap; clearing the counter is not an event.
    rig.write_private(SYST_RVR, 3);
    rig.step();
    assert_eq!(rig.read_private(SYST_CVR), 7);
    rig.write_private(SYST_CVR, 1234);
    rig.step();
    assert_eq!(rig.read_private(SYST_CVR), 3);
    assert_eq!(rig.read_private(SYST_CSR), 5);
}

#[test]
fn systick_can_count_an_eighth_of_the_clock() {
    let mut rig = Rig::new(&[0xE7FE]);
    rig.write_private(SYST_RVR, 99);
    rig.write_private(SYST_CVR, 0);
    rig.write_private(SYST_CSR, 3);
    assert_eq!(rig.run_cycles(798), Stop::Deadline);
    assert_eq!(rig.read_private(SYST_CVR), 1);
    assert_eq!(rig.run(), Stop::Breakpoint(15));
    assert_eq!(rig.cycles(), 800 + 15);
}

#[test]
fn systick_wakes_from_sleep_but_rests_in_deep_sleep() {
    let mut rig = Rig::new(&[0xBF30, 0xBE01]);
    rig.write_private(SYST_RVR, 999);
    rig.write_private(SYST_CSR, 7);
    let mut deep = rig.clone();
    assert_eq!(rig.run(), Stop::Breakpoint(15));
    assert_eq!(rig.cycles(), 1_000 + 15);
    deep.write_private(0xE000_ED10, 1 << 2);
    assert!(deep.core.deep_sleep_requested());
    assert_eq!(deep.run_cycles(5_000), Stop::Deadline);
    assert!(deep.core.is_sleeping());
    assert_eq!(deep.read_private(SYST_CVR), 998);
}

#[test]
fn a_fetch_from_busy_flash_stalls_with_events_in_order() {
    let mut rig = Rig::new(&[
        0x6008, // str r0, [r1]: flash is busy
        0x2201, // movs r2, #1
        0xBE01,
    ])
    .with(1, FLASH_BASE + 0x8000);
    rig.enable(0);
    rig.bus.plan = vec![
        (Time::from_nanos(100), 1),
        (Time::from_nanos(300), 0),
        (Time::from_nanos(400), 1),
    ];
    assert_eq!(rig.run(), Stop::Breakpoint(16));
    let at = [100, 300, 400].map(Time::from_nanos);
    assert_eq!(rig.bus.events_ran_at, at);
    // The interrupt waited until flash was free again.
    assert_eq!(rig.cycles(), FLASH_CYCLES + 15);
    assert_eq!(rig.word(rig.r(13) + 24), PROGRAM + 2);
}

#[test]
fn ram_code_runs_while_flash_is_busy_until_it_reads_flash() {
    let code = RAM_BASE + 0x100;
    let mut rig = Rig::new(&[]).with(1, FLASH_BASE + 0x8000);
    rig.put(
        code,
        &[
            0x6008, // str r0, [r1]
            0x2201, // movs r2, #1
            0x2202, // movs r2, #2
            0x680B, // ldr r3, [r1]
            0xBE01,
        ],
    );
    rig.core.set_pc(code);
    rig.step().step().step();
    assert_eq!((rig.r(2), rig.cycles()), (2, 4));
    assert_eq!(rig.run(), Stop::Breakpoint(1));
    assert_eq!(rig.cycles(), FLASH_CYCLES + 2);
}

#[test]
fn an_interrupt_during_a_flash_operation_waits_for_its_vector() {
    let code = RAM_BASE + 0x100;
    let mut rig = Rig::new(&[]).with(1, FLASH_BASE + 0x8000);
    rig.put(code, &[0x6008, 0x3201, 0xE7FD]); // str r0, [r1]; adds r2, #1; b .-2
    rig.core.set_pc(code);
    rig.enable(0);
    rig.bus.plan = vec![(Time::from_nanos(50), 1)];
    assert_eq!(rig.run(), Stop::Breakpoint(16));
    assert_eq!(rig.cycles(), FLASH_CYCLES + 15);
    // Its own code had stopped by then.
    assert_eq!(rig.r(2), 16);
}

#[test]
fn a_run_is_the_same_in_one_piece_and_in_many() {
    let mut whole = Rig::new(&[
        0x3001, // adds r0, #1
        0xBF30, // wfi
        0x680A, // ldr r2, [r1]
        0xB403, // push {r0, r1}
        0xBC03, // pop {r0, r1}
        0xE7F9, // b to the start
    ])
    .handler(15, &[0x3601, 0x4770]) // adds r6, #1; bx lr
    .handler(16, &[0x3701, 0x4770]) // adds r7, #1; bx lr
    .with(1, RAM_BASE);
    whole.enable(0);
    whole.write_private(SYST_RVR, 1_234);
    whole.write_private(SYST_CSR, 7);
    whole.bus.plan = (1..50)
        .map(|n| (Time::from_picos(777_777 * n), (n & 1) as u32))
        .collect();
    let mut pieces = whole.clone();
    assert_eq!(whole.run_cycles(100_000), Stop::Deadline);
    let end = Time::from_micros(100);
    let mut until = Time::ZERO;
    while until < end {
        until = (until + Time::from_picos(1_303)).min(end);
        let stop = pieces.core.run(&mut pieces.memory, &mut pieces.bus, until);
        assert_eq!(stop, Stop::Deadline);
    }
    assert_eq!(whole.core.now(), pieces.core.now());
    assert_eq!(whole.core.instructions(), pieces.core.instructions());
    assert!(whole.r(6) > 50 && whole.r(7) > 50);
    let registers = |rig: &Rig| (0..16).map(|n| rig.r(n)).collect::<Vec<_>>();
    assert_eq!(registers(&whole), registers(&pieces));
}
