//! The hashes SHA-256 and SHA-512 (FIPS 180-4).
//!
//! They are one algorithm over words of 32 and of 64 bits, so one macro writes both, and SHA-256's constants are the upper
//! halves of SHA-512's first ones: in a table of their own, for the program that has no use for the other. What differs is
//! in the two uses of the macro.
//!
//! A device hashes its whole application at every boot: the rounds are arranged for speed on a core with eight usable
//! registers, see `compress`.

use core::cell::Cell;
use core::marker::PhantomData;

use crate::arithmetic::Arithmetic;

/// The first 64 bits of the fractional parts of the cube roots of the first 80 primes.
static ROUND_CONSTANTS: [u64; 80] = [
    0x428a_2f98_d728_ae22,
    0x7137_4491_23ef_65cd,
    0xb5c0_fbcf_ec4d_3b2f,
    0xe9b5_dba5_8189_dbbc,
    0x3956_c25b_f348_b538,
    0x59f1_11f1_b605_d019,
    0x923f_82a4_af19_4f9b,
    0xab1c_5ed5_da6d_8118,
    0xd807_aa98_a303_0242,
    0x1283_5b01_4570_6fbe,
    0x2431_85be_4ee4_b28c,
    0x550c_7dc3_d5ff_b4e2,
    0x72be_5d74_f27b_896f,
    0x80de_b1fe_3b16_96b1,
    0x9bdc_06a7_25c7_1235,
    0xc19b_f174_cf69_2694,
    0xe49b_69c1_9ef1_4ad2,
    0xefbe_4786_384f_25e3,
    0x0fc1_9dc6_8b8c_d5b5,
    0x240c_a1cc_77ac_9c65,
    0x2de9_2c6f_592b_0275,
    0x4a74_84aa_6ea6_e483,
    0x5cb0_a9dc_bd41_fbd4,
    0x76f9_88da_8311_53b5,
    0x983e_5152_ee66_dfab,
    0xa831_c66d_2db4_3210,
    0xb003_27c8_98fb_213f,
    0xbf59_7fc7_beef_0ee4,
    0xc6e0_0bf3_3da8_8fc2,
    0xd5a7_9147_930a_a725,
    0x06ca_6351_e003_826f,
    0x1429_2967_0a0e_6e70,
    0x27b7_0a85_46d2_2ffc,
    0x2e1b_2138_5c26_c926,
    0x4d2c_6dfc_5ac4_2aed,
    0x5338_0d13_9d95_b3df,
    0x650a_7354_8baf_63de,
    0x766a_0abb_3c77_b2a8,
    0x81c2_c92e_47ed_aee6,
    0x9272_2c85_1482_353b,
    0xa2bf_e8a1_4cf1_0364,
    0xa81a_664b_bc42_3001,
    0xc24b_8b70_d0f8_9791,
    0xc76c_51a3_0654_be30,
    0xd192_e819_d6ef_5218,
    0xd699_0624_5565_a910,
    0xf40e_3585_5771_202a,
    0x106a_a070_32bb_d1b8,
    0x19a4_c116_b8d2_d0c8,
    0x1e37_6c08_5141_ab53,
    0x2748_774c_df8e_eb99,
    0x34b0_bcb5_e19b_48a8,
    0x391c_0cb3_c5c9_5a63,
    0x4ed8_aa4a_e341_8acb,
    0x5b9c_ca4f_7763_e373,
    0x682e_6ff3_d6b2_b8a3,
    0x748f_82ee_5def_b2fc,
    0x78a5_636f_4317_2f60,
    0x84c8_7814_a1f0_ab72,
    0x8cc7_0208_1a64_39ec,
    0x90be_fffa_2363_1e28,
    0xa450_6ceb_de82_bde9,
    0xbef9_a3f7_b2c6_7915,
    0xc671_78f2_e372_532b,
    0xca27_3ece_ea26_619c,
    0xd186_b8c7_21c0_c207,
    0xeada_7dd6_cde0_eb1e,
    0xf57d_4f7f_ee6e_d178,
    0x06f0_67aa_7217_6fba,
    0x0a63_7dc5_a2c8_98a6,
    0x113f_9804_bef9_0dae,
    0x1b71_0b35_131c_471b,
    0x28db_77f5_2304_7d84,
    0x32ca_ab7b_40c7_2493,
    0x3c9e_be0a_15c9_bebc,
    0x431d_67c4_9c10_0d4c,
    0x4cc5_d4be_cb3e_42b6,
    0x597f_299c_fc65_7e2a,
    0x5fcb_6fab_3ad6_faec,
    0x6c44_198c_4a47_5817,
];

/// The upper halves of the first 64.
static UPPER_HALVES: [u32; 64] = {
    let mut halves = [0; 64];
    let mut index = 0;
    while index < halves.len() {
        halves[index] = (ROUND_CONSTANTS[index] >> 32) as u32;
        index += 1;
    }
    halves
};

/// The first 64 bits of the fractional parts of the square roots of the first 8 primes.
const INITIAL_STATE: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// How many words a block has, and how many rounds are done between two extensions of the message schedule.
const STEP: usize = 16;

/// `copy_from_slice` for cells, which it does not know.
fn copy<T: Copy>(from: &[Cell<T>], to: &[Cell<T>]) {
    for (to, from) in to.iter().zip(from) {
        to.set(from.get());
    }
}

macro_rules! sha2 {
    (
        $(#[$documentation:meta])*
        $name:ident, $compress:ident,
        word: $word:ident, block: $block:literal, digest: $digest:literal, constants: $constants:ident, rounds: $rounds:literal,
        big_sigma_0: $big_sigma_0:expr, big_sigma_1: $big_sigma_1:expr,
        small_sigma_0: $small_sigma_0:expr, small_sigma_1: $small_sigma_1:expr $(,)?
    ) => {
        $(#[$documentation])*
        #[derive(Clone)]
        pub struct $name<A> {
            state: [$word; 8],
            /// Its first `length % block` bytes are what has come of the block after the last whole one.
            block: [u8; $block],
            /// Of all that has come, in bytes.
            length: u64,
            arithmetic: PhantomData<A>,
        }

        impl<A: Arithmetic> $name<A> {
            /// The hash of nothing so far.
            pub fn new() -> Self {
                Self {
                    state: INITIAL_STATE.map(|word| (word >> (u64::BITS - $word::BITS)) as $word),
                    block: [0; $block],
                    length: 0,
                    arithmetic: PhantomData,
                }
            }

            /// Goes on with more of the message, any number of bytes. Fastest with whole blocks, which are
            /// not copied.
            pub fn update(&mut self, mut data: &[u8]) {
                let filled = self.length as usize % $block;
                self.length += data.len() as u64;
                if filled > 0 {
                    let (head, rest) = data.split_at(data.len().min($block - filled));
                    for (byte, new) in self.block.iter_mut().skip(filled).zip(head) {
                        *byte = *new;
                    }
                    if filled + head.len() < $block {
                        return;
                    }
                    A::$compress(&mut self.state, &self.block, &$constants);
                    data = rest;
                }
                let (blocks, tail) = data.as_chunks();
                for block in blocks {
                    A::$compress(&mut self.state, block, &$constants);
                }
                for (byte, new) in self.block.iter_mut().zip(tail) {
                    *byte = *new;
                }
            }

            /// The digest of the whole message.
            pub fn finish(mut self) -> [u8; $digest] {
                // FIPS 180-4, 5.1: a one, zeros, and in a block's last two words the length in bits.
                let bits = self.length * 8;
                self.update(&[0x80]);
                while self.length as usize % $block != $block - 2 * size_of::<$word>() {
                    self.update(&[0]);
                }
                self.update(&[0; 2 * size_of::<$word>() - size_of::<u64>()]);
                self.update(&bits.to_be_bytes());

                let mut digest = [0; $digest];
                for (bytes, word) in digest.as_chunks_mut().0.iter_mut().zip(&self.state) {
                    *bytes = word.to_be_bytes();
                }
                digest
            }
        }

        impl<A: Arithmetic> Default for $name<A> {
            fn default() -> Self {
                Self::new()
            }
        }

        /// Works one block into the state.
        ///
        /// A round moves each of the eight variables a to h one place on and computes a new a and a new e. Here
        /// nothing moves: `window` slides down one word a round over a longer array, the new a is written below it and
        /// the new e in place. With every operand at a fixed distance from one pointer, a round is loads, arithmetic
        /// and two stores.
        #[inline(never)]
        pub(crate) fn $compress(
            state: &mut [$word; 8],
            block: &[u8; $block],
            constants: &[$word; $rounds],
        ) {
            // Cells, because neighbouring windows overlap and are written to.
            let mut schedule = [0; 2 * STEP];
            for (word, bytes) in schedule[STEP..].iter_mut().zip(block.as_chunks().0) {
                *word = $word::from_be_bytes(*bytes);
            }
            let schedule: &[Cell<$word>; 2 * STEP] =
                Cell::from_mut(&mut schedule).as_array_of_cells();
            let mut variables = [0; STEP + 8];
            variables[STEP..].copy_from_slice(state);
            let variables: &[Cell<$word>; STEP + 8] =
                Cell::from_mut(&mut variables).as_array_of_cells();

            for (step, constants) in constants.chunks_exact(STEP).enumerate() {
                if step > 0 {
                    copy(&schedule[STEP..], &schedule[..STEP]);
                    for window in schedule.array_windows::<{ STEP + 1 }>() {
                        window[16].set(
                            $small_sigma_1(window[14].get())
                                .wrapping_add(window[9].get())
                                .wrapping_add($small_sigma_0(window[1].get()))
                                .wrapping_add(window[0].get()),
                        );
                    }
                }
                let inputs = constants.iter().zip(&schedule[STEP..]);
                let windows = variables.array_windows::<9>().rev();
                for (window, (constant, scheduled)) in windows.zip(inputs) {
                    let [next_a, a, b, c, d, e, f, g, h] = window;
                    let t1 = h
                        .get()
                        .wrapping_add($big_sigma_1(e.get()))
                        .wrapping_add(g.get() ^ (e.get() & (f.get() ^ g.get())))
                        .wrapping_add(*constant)
                        .wrapping_add(scheduled.get());
                    let t2 = $big_sigma_0(a.get())
                        .wrapping_add((a.get() & b.get()) | (c.get() & (a.get() | b.get())));
                    // d becomes e.
                    d.set(d.get().wrapping_add(t1));
                    next_a.set(t1.wrapping_add(t2));
                }
                copy(&variables[..8], &variables[STEP..]);
            }

            for (word, variable) in state.iter_mut().zip(variables) {
                *word = word.wrapping_add(variable.get());
            }
        }
    };
}

sha2! {
    /// SHA-256, for a message of up to 2^61 - 1 bytes that comes in pieces.
    Sha256, compress_256,
    word: u32, block: 64, digest: 32, constants: UPPER_HALVES, rounds: 64,
    big_sigma_0: |x: u32| x.rotate_right(2) ^ x.rotate_right(13) ^ x.rotate_right(22),
    big_sigma_1: |x: u32| x.rotate_right(6) ^ x.rotate_right(11) ^ x.rotate_right(25),
    small_sigma_0: |x: u32| x.rotate_right(7) ^ x.rotate_right(18) ^ (x >> 3),
    small_sigma_1: |x: u32| x.rotate_right(17) ^ x.rotate_right(19) ^ (x >> 10),
}

sha2! {
    /// SHA-512, for a message of up to 2^61 - 1 bytes that comes in pieces.
    Sha512, compress_512,
    word: u64, block: 128, digest: 64, constants: ROUND_CONSTANTS, rounds: 80,
    big_sigma_0: |x: u64| x.rotate_right(28) ^ x.rotate_right(34) ^ x.rotate_right(39),
    big_sigma_1: |x: u64| x.rotate_right(14) ^ x.rotate_right(18) ^ x.rotate_right(41),
    small_sigma_0: |x: u64| x.rotate_right(1) ^ x.rotate_right(8) ^ (x >> 7),
    small_sigma_1: |x: u64| x.rotate_right(19) ^ x.rotate_right(61) ^ (x >> 6),
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use num_bigint::BigUint;

    use super::*;

    fn primes() -> impl Iterator<Item = u32> {
        (2..).filter(|n| (2..*n).all(|divisor| n % divisor != 0))
    }

    /// The lowest 64 bits.
    fn low(number: BigUint) -> u64 {
        number.iter_u64_digits().next().unwrap_or(0)
    }

    #[test]
    fn constants_are_what_their_definitions_say() {
        let cube_roots: Vec<u64> = primes()
            .take(80)
            .map(|prime| low((BigUint::from(prime) << 192_u32).cbrt()))
            .collect();
        assert_eq!(ROUND_CONSTANTS.as_slice(), cube_roots);
        let square_roots: Vec<u64> = primes()
            .take(8)
            .map(|prime| low((BigUint::from(prime) << 128_u32).sqrt()))
            .collect();
        assert_eq!(INITIAL_STATE.as_slice(), square_roots);
    }
}
