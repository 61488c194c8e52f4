//! Arithmetic modulo 2^255 - 19 and SHA-256 in the core's own instructions: more than twice as fast as what the
//! compiler makes of the portable ones, and smaller.
//!
//! The core multiplies 32 x 32 bits but keeps the lower 32 only, shifts nothing on the way to an addition, and has
//! eight registers that everything works on. What is won here is won by keeping operands in the other registers and by
//! carries that go from one addition to the next, neither of which can be said in Rust.
//!
//! The numbers are public ones: nothing here takes the same time for all of them.

use core::arch::global_asm;

use signature::Arithmetic;

global_asm!(include_str!("arithmetic.s"), options(raw));

/// 256 bits, the least significant digit first.
#[repr(C)]
struct Digits([u32; 8]);

unsafe extern "C" {
    fn add_modulo_25519(a: &[u32; 8], b: &[u32; 8]) -> Digits;
    fn subtract_modulo_25519(a: &[u32; 8], b: &[u32; 8]) -> Digits;
    fn multiply_modulo_25519(a: &[u32; 8], b: &[u32; 8]) -> Digits;
    fn sha256_compress(state: &mut [u32; 8], block: &[u8; 64], constants: &[u32; 64]);
}

/// A core with the instructions of ARMv6-M.
#[derive(Clone, Copy)]
pub struct Thumb;

impl Arithmetic for Thumb {
    fn add(a: &[u32; 8], b: &[u32; 8]) -> [u32; 8] {
        // SAFETY: it reads the two numbers, writes its result and its own stack, and keeps to the procedure call standard.
        unsafe { add_modulo_25519(a, b) }.0
    }

    fn subtract(a: &[u32; 8], b: &[u32; 8]) -> [u32; 8] {
        // SAFETY: the same.
        unsafe { subtract_modulo_25519(a, b) }.0
    }

    fn multiply(a: &[u32; 8], b: &[u32; 8]) -> [u32; 8] {
        // SAFETY: the same.
        unsafe { multiply_modulo_25519(a, b) }.0
    }

    fn square(a: &[u32; 8]) -> [u32; 8] {
        // Two times the same number is squared, which is faster.
        Self::multiply(a, a)
    }

    fn compress_256(state: &mut [u32; 8], block: &[u8; 64], constants: &[u32; 64]) {
        // SAFETY: it reads the block and the constants, writes the state and its own stack, and keeps to the procedure call
        // standard.
        unsafe { sha256_compress(state, block, constants) }
    }
}
