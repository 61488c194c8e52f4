//! What takes nearly all the time of a verification, for a core that has something better than what a compiler makes of it.

use crate::{field, sha2};

/// Arithmetic modulo 2^255 - 19 and the hashes' work on a block. Each function may be replaced by one that gives the
/// same results, digit for digit. Numbers are below 2^256, in digits of 32 bits, the least significant one first.
pub trait Arithmetic: Copy {
    /// A number that is `a + b` modulo 2^255 - 19: for what passes 2^256, 38 is added, until nothing does.
    fn add(a: &[u32; 8], b: &[u32; 8]) -> [u32; 8] {
        field::add(a, b)
    }

    /// A number that is `a - b` modulo 2^255 - 19: for what falls below zero, 38 is subtracted, until nothing does.
    fn subtract(a: &[u32; 8], b: &[u32; 8]) -> [u32; 8] {
        field::subtract(a, b)
    }

    /// A number that is `a * b` modulo 2^255 - 19: of the product, the upper half times 38 is added to the lower one,
    /// and so is what then passes 2^256, until nothing does.
    fn multiply(a: &[u32; 8], b: &[u32; 8]) -> [u32; 8] {
        field::multiply(a, b)
    }

    /// `a * a` in the same way.
    fn square(a: &[u32; 8]) -> [u32; 8] {
        field::square(a)
    }

    /// Works one block into the state of SHA-256 (FIPS 180-4, 6.2.2). The constants are those of its rounds.
    fn compress_256(state: &mut [u32; 8], block: &[u8; 64], constants: &[u32; 64]) {
        sha2::compress_256(state, block, constants);
    }

    /// The same for SHA-512 (FIPS 180-4, 6.4.2).
    fn compress_512(state: &mut [u64; 8], block: &[u8; 128], constants: &[u64; 80]) {
        sha2::compress_512(state, block, constants);
    }
}

/// What runs everywhere.
#[derive(Clone, Copy, Debug)]
pub struct Portable;

impl Arithmetic for Portable {}
