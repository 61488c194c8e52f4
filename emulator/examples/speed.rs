//! How fast the emulator is: prints the figures as `name value unit goal`, and fails on none of them.
//!
//! `cargo run -p emulator --profile emulation --example speed` measures here. Built for WebAssembly, `main` only runs
//! the same workload; `speed.mjs` takes its time in a browser.

use emulator::machine::{Machine, Options};
use emulator::memory::FLASH_BASE;
use emulator::time::Time;

/// Virtual time of the workload, at the 2.1 MHz that the chip has after reset.
const SPAN: Time = Time::from_millis(60_000);

/// A loop of the instructions that compiled code mostly consists of: loads, stores, shifts, additions, a branch. It
/// stirs 4 KB of RAM with xorshift32.
const PROGRAM: [u16; 16] = [
    0x4807, // ldr r0, [pc, #28]: RAM
    0x4908, // ldr r1, [pc, #32]: 4,096
    0x3904, // subs r1, #4
    0x5843, // ldr r3, [r0, r1]
    0x3301, // adds r3, #1
    0x035C, // lsls r4, r3, #13
    0x4063, // eors r3, r4
    0x0C5C, // lsrs r4, r3, #17
    0x4063, // eors r3, r4
    0x015C, // lsls r4, r3, #5
    0x4063, // eors r3, r4
    0x5043, // str r3, [r0, r1]
    0x2900, // cmp r1, #0
    0xD1F3, // bne to subs
    0xE7F1, // b to the second ldr
    0x0000,
];

/// A machine that has just been switched on with the workload in its flash.
fn machine() -> Machine {
    let mut image = Vec::new();
    for word in [0x2000_2000, FLASH_BASE + 9] {
        image.extend(word.to_le_bytes());
    }
    image.extend(PROGRAM.iter().flat_map(|half| half.to_le_bytes()));
    image.extend(0x2000_0000_u32.to_le_bytes());
    image.extend(4096_u32.to_le_bytes());
    let mut machine = Machine::new(Options::default());
    machine
        .program_flash(FLASH_BASE, &image)
        .expect("it fits into flash");
    machine.power_on();
    machine
}

/// Runs it, and gives the instructions executed.
fn work(machine: &mut Machine) -> u64 {
    machine.run_for(SPAN).expect("it runs in strict mode");
    machine.core().instructions()
}

#[cfg(target_arch = "wasm32")]
fn main() {
    std::hint::black_box(work(&mut machine()));
}

#[cfg(not(target_arch = "wasm32"))]
fn main() {
    use std::time::Instant;

    /// Clones to take the mean of.
    const SNAPSHOTS: u32 = 1000;

    let mut machine = machine();
    let start = Instant::now();
    let instructions = work(&mut machine);
    let mips = instructions as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!("emulator-native {mips:.0} MIPS >=120");

    let mut snapshots = Vec::new();
    let start = Instant::now();
    for _ in 0..SNAPSHOTS {
        snapshots.push(machine.clone());
    }
    let micros = start.elapsed().as_secs_f64() * 1e6 / f64::from(SNAPSHOTS);
    std::hint::black_box(&snapshots);
    println!("emulator-snapshot {micros:.1} us <=100");
    // What speed.mjs divides by: the run is the same everywhere.
    println!("emulator-workload {instructions} instructions");
}
