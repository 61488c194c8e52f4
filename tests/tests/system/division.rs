//! Division as the firmware does it, on the emulated core: the compiler calls these functions and trusts them.

use emulator::machine::Machine;
use emulator::time::Time;
use logdock_tests::bench::symbols::Symbols;
use logdock_tests::{built, connect, factory_logger};

const LR: usize = 14;
/// The longest takes less.
const INSTRUCTIONS: usize = 1_000;

/// Numbers near everything that is special, and some that are not.
const NUMBERS: [u32; 20] = [
    0,
    1,
    2,
    3,
    7,
    10,
    255,
    256,
    1_000,
    65_535,
    65_536,
    1_000_003,
    0x4000_0000,
    0x7FFF_FFFE,
    0x7FFF_FFFF,
    0x8000_0000,
    0x8000_0001,
    0xAAAA_AAAA,
    0xFFFF_FFFE,
    0xFFFF_FFFF,
];

/// Calls a function of the running program: what it leaves in the first two registers.
fn call(machine: &mut Machine, function: u32, arguments: [u32; 2]) -> [u32; 2] {
    let back = machine.core().pc();
    let core = machine.core_mut();
    core.set_register(0, arguments[0]);
    core.set_register(1, arguments[1]);
    core.set_register(LR, back | 1);
    core.set_pc(function);
    for _ in 0..INSTRUCTIONS {
        // A deadline that is almost there lets one instruction through.
        machine
            .run_for(Time::from_picos(1))
            .expect("the program runs");
        if machine.core().pc() == back {
            return [0, 1].map(|number| machine.core().register(number));
        }
    }
    panic!("the function does not return");
}

#[test]
fn quotients_and_remainders_are_those_of_the_computer() {
    let symbols = Symbols::read(&built("logger-1.0.0.elf"));
    let [unsigned, signed] = ["__aeabi_uidivmod", "__aeabi_idiv"].map(|name| symbols.address(name));
    let mut machine = connect(factory_logger()).0.into_link().machine;
    machine.core_mut().set_primask(true);
    for numerator in NUMBERS {
        for denominator in NUMBERS.into_iter().filter(|&number| number != 0) {
            assert_eq!(
                call(&mut machine, unsigned, [numerator, denominator]),
                [numerator / denominator, numerator % denominator],
                "{numerator} / {denominator}"
            );
            let (numerator, denominator) = (numerator as i32, denominator as i32);
            let [quotient, _] = call(&mut machine, signed, [numerator as u32, denominator as u32]);
            assert_eq!(
                quotient as i32,
                numerator.wrapping_div(denominator),
                "{numerator} / {denominator}"
            );
        }
    }
}
