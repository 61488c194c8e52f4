//! The bootloader's own instructions for multiplication and SHA-256, called one by one on the emulated core, against the
//! portable ones: same results, nothing else touched, and no more cycles than is said of them.

use std::cell::RefCell;

use emulator::machine::{Halt, Machine, Options};
use emulator::time::Time;
use logdock_tests::bench::symbols::Symbols;
use logdock_tests::{Random, built};
use sha2::Digest;
use signature::{Arithmetic, Portable, Sha256};

const FLASH: u32 = 0x0800_0000;
const RAM: u32 = 0x2000_0000;
/// Where arguments lie in RAM, where the stack begins, and the most that a function may take of it.
const RETURN: u32 = RAM;
const RESULT: u32 = RAM + 0x100;
const FIRST: u32 = RAM + 0x200;
const SECOND: u32 = RAM + 0x300;
const STACK: u32 = RAM + 0x1000;
const STACK_BYTES: usize = 320;
/// The instruction `bkpt #0`, at which a function's caller waits.
const BREAKPOINT: [u8; 2] = 0xBE00_u16.to_le_bytes();
const SP: usize = 13;
const LR: usize = 14;
/// Registers that a function gives back as they were (AAPCS32, 6.1.1), but for the stack pointer.
const KEPT: std::ops::Range<usize> = 4..12;

/// A core on which functions are called.
struct Caller {
    machine: Machine,
    symbols: Symbols,
    /// Cycles of the calls since this was last taken.
    cycles: Vec<u64>,
}

impl Caller {
    fn new() -> Self {
        let mut machine = Machine::new(Options::default());
        machine
            .program_flash(FLASH, &built("bootloader.bin"))
            .unwrap();
        machine.power_on();
        // Up to the first instruction, which is never executed.
        while machine.core().instructions() == 0 {
            machine.run_for(Time::from_picos(1)).unwrap();
        }
        Caller {
            machine,
            symbols: Symbols::read(&built("bootloader.elf")),
            cycles: Vec::new(),
        }
    }

    /// Calls a function with these arguments, of which `memory` says what lies there; what it leaves at `RESULT`.
    fn call<const N: usize>(
        &mut self,
        name: &str,
        arguments: &[u32],
        memory: &[(u32, &[u8])],
    ) -> [u8; N] {
        let place = |address: u32| (address - RAM) as usize;
        let ram = self.machine.ram_mut();
        ram.fill(0xA5);
        for (address, bytes) in [(RETURN, &BREAKPOINT[..])].iter().chain(memory) {
            ram[place(*address)..][..bytes.len()].copy_from_slice(bytes);
        }
        let before = *ram;
        let core = self.machine.core_mut();
        for register in KEPT {
            core.set_register(register, 0x0101_0101 * register as u32);
        }
        for (register, argument) in arguments.iter().enumerate() {
            core.set_register(register, *argument);
        }
        core.set_register(SP, STACK);
        core.set_register(LR, RETURN | 1);
        core.set_pc(self.symbols.address(name));
        let start = core.cycles();
        let end = self.machine.run_for(Time::from_millis(100));
        assert_eq!(end, Err(Halt::Breakpoint(0)), "{name}");
        let core = self.machine.core();
        self.cycles.push(core.cycles() - start);
        assert_eq!(core.register(SP), STACK);
        for register in KEPT {
            assert_eq!(core.register(register), 0x0101_0101 * register as u32);
        }
        let mut after = *self.machine.ram();
        let result = after[place(RESULT)..][..N].try_into().unwrap();
        for untouched in [
            place(RESULT)..place(RESULT) + N,
            place(STACK) - STACK_BYTES..place(STACK),
        ] {
            after[untouched.clone()].copy_from_slice(&before[untouched]);
        }
        assert!(after == before, "{name} writes where it may not");
        result
    }

    /// The most cycles of a call, which are printed.
    fn take_most_cycles(&mut self, what: &str) -> u64 {
        let cycles = std::mem::take(&mut self.cycles);
        let most = *cycles.iter().max().unwrap();
        let average = cycles.iter().sum::<u64>() / cycles.len() as u64;
        println!(
            "{what}: {average} cycles, at most {most}, in {} calls",
            cycles.len()
        );
        most
    }
}

thread_local! {
    static CALLER: RefCell<Caller> = RefCell::new(Caller::new());
}

fn most_cycles(what: &str) -> u64 {
    CALLER.with_borrow_mut(|caller| caller.take_most_cycles(what))
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn words(bytes: [u8; 32]) -> [u32; 8] {
    let mut words = bytes.as_chunks().0.iter();
    std::array::from_fn(|_| u32::from_le_bytes(*words.next().unwrap()))
}

fn of_two(name: &str, a: &[u32; 8], b: &[u32; 8]) -> [u32; 8] {
    let memory = [(FIRST, &bytes(a)[..]), (SECOND, &bytes(b)[..])];
    CALLER.with_borrow_mut(|caller| words(caller.call(name, &[RESULT, FIRST, SECOND], &memory)))
}

/// What the bootloader has, on the emulated core.
#[derive(Clone, Copy)]
struct OnTheCore;

impl Arithmetic for OnTheCore {
    fn add(a: &[u32; 8], b: &[u32; 8]) -> [u32; 8] {
        of_two("add_modulo_25519", a, b)
    }

    fn subtract(a: &[u32; 8], b: &[u32; 8]) -> [u32; 8] {
        of_two("subtract_modulo_25519", a, b)
    }

    fn multiply(a: &[u32; 8], b: &[u32; 8]) -> [u32; 8] {
        of_two("multiply_modulo_25519", a, b)
    }

    fn square(a: &[u32; 8]) -> [u32; 8] {
        let memory = [(FIRST, &bytes(a)[..])];
        CALLER.with_borrow_mut(|caller| {
            let arguments = [RESULT, FIRST, FIRST];
            words(caller.call("multiply_modulo_25519", &arguments, &memory))
        })
    }

    fn compress_256(state: &mut [u32; 8], block: &[u8; 64], constants: &[u32; 64]) {
        // Where the block begins is no multiple of anything.
        let place = FIRST + u32::from(block[0] % 4);
        let memory = [
            (RESULT, &bytes(state)[..]),
            (place, block),
            (SECOND, &bytes(constants)),
        ];
        CALLER.with_borrow_mut(|caller| {
            let arguments = [RESULT, place, SECOND];
            *state = words(caller.call("sha256_compress", &arguments, &memory));
        });
    }
}

/// Numbers whose digits carry far, numbers close to 2^256 and to multiples of the modulus, and numbers that look random.
fn operands() -> Vec<[u32; 8]> {
    const DIGITS: [u32; 8] = [
        0,
        1,
        0xFFFF,
        0x1_0000,
        0x7FFF_FFFF,
        0x8000_0000,
        0xFFFF_0000,
        0xFFFF_FFFF,
    ];
    let mut random = Random(1);
    let mut operands = Vec::new();
    for digit in DIGITS {
        operands.push([digit; 8]);
        operands.push([digit, 0, 0, 0, 0, 0, 0, 0]);
        operands.push([0, 0, 0, 0, 0, 0, 0, digit]);
    }
    // The modulus is 2^255 - 19, two times it 2^256 - 38.
    for below in [1, 2, 18, 19, 20, 36, 37, 38, 39] {
        for top in [0x7FFF_FFFF, 0xFFFF_FFFF] {
            operands.push([0_u32.wrapping_sub(below), !0, !0, !0, !0, !0, !0, top]);
        }
    }
    for _ in 0..30 {
        operands.push(std::array::from_fn(|_| DIGITS[random.below(8) as usize]));
        operands.push(std::array::from_fn(|_| random.next() as u32));
    }
    operands
}

#[test]
fn sums_and_differences_are_those_of_the_portable_code() {
    type Function = fn(&[u32; 8], &[u32; 8]) -> [u32; 8];
    let functions: [(&str, Function, Function); 2] = [
        ("sum", OnTheCore::add, Portable::add),
        ("difference", OnTheCore::subtract, Portable::subtract),
    ];
    let operands = operands();
    for (name, on_the_core, portable) in functions {
        for a in &operands {
            for b in &operands {
                assert_eq!(
                    on_the_core(a, b),
                    portable(a, b),
                    "{name} of {a:08x?} and {b:08x?}"
                );
            }
        }
        assert!(most_cycles(name) <= 150);
    }
}

#[test]
fn products_and_squares_are_those_of_the_portable_code() {
    let operands = operands();
    for a in &operands {
        for b in operands.iter().filter(|b| *b != a) {
            assert_eq!(
                OnTheCore::multiply(a, b),
                Portable::multiply(a, b),
                "{a:08x?} * {b:08x?}"
            );
        }
    }
    assert!(most_cycles("product") <= 2_150);
    let mut random = Random(2);
    let others = (0..3_000).map(|_| std::array::from_fn(|_| random.next() as u32));
    for a in operands.into_iter().chain(others) {
        assert_eq!(OnTheCore::square(&a), Portable::square(&a), "{a:08x?}");
    }
    assert!(most_cycles("square") <= 1_500);
}

#[test]
fn digests_are_those_of_another_implementation() {
    let mut random = Random(3);
    let message: Vec<u8> = (0..40_000).map(|_| random.next() as u8).collect();
    for length in (0..300).chain([message.len()]) {
        let mut hash = Sha256::<OnTheCore>::new();
        hash.update(&message[..length]);
        assert_eq!(hash.finish(), *sha2::Sha256::digest(&message[..length]));
    }
    assert!(most_cycles("block of SHA-256") <= 4_800);
}

#[test]
fn a_block_changes_any_state_as_the_portable_code_does() {
    for state in operands() {
        for byte in [0, 1, 2, 3, 0x80, 0xFF] {
            let mut block = [byte; 64];
            block[63] = state[7] as u8;
            let constants: [u32; 64] = std::array::from_fn(|index| state[index % 8]);
            let (mut ours, mut portable) = (state, state);
            OnTheCore::compress_256(&mut ours, &block, &constants);
            Portable::compress_256(&mut portable, &block, &constants);
            assert_eq!(ours, portable, "{state:08x?} and {byte:#x}");
        }
    }
}
