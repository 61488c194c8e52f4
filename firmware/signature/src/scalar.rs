//! Scalars: integers modulo L, the order of Ed25519's base point, and their digits for multiplication.

use crate::limbs::{self, Limbs};

/// L = 2^252 + 27742317777372353535851937790883648493 (RFC 8032, 5.1).
const L: Limbs = [
    0x5cf5_d3ed,
    0x5812_631a,
    0xa2f7_9cd6,
    0x14de_f9de,
    0x0000_0000,
    0x0000_0000,
    0x0000_0000,
    0x1000_0000,
];

/// A number below L.
pub(crate) struct Scalar(Limbs);

impl Scalar {
    /// Reads 32 little-endian bytes; `None` when the number is not below L.
    pub(crate) fn from_canonical(bytes: &[u8; 32]) -> Option<Self> {
        let limbs = limbs::from_bytes(bytes);
        limbs::is_below(&limbs, &L).then_some(Self(limbs))
    }

    /// Reads 64 little-endian bytes and takes the remainder modulo L, bit by bit: slow, which once a signature is
    /// nothing beside the curve arithmetic, and short.
    #[inline(never)]
    pub(crate) fn from_wide(bytes: &[u8; 64]) -> Self {
        let mut remainder = [0; 8];
        for &byte in bytes.iter().rev() {
            for bit in (0..8).rev() {
                let mut carry = u32::from(byte >> bit & 1);
                for limb in &mut remainder {
                    let over = *limb >> 31;
                    *limb = *limb << 1 | carry;
                    carry = over;
                }
                limbs::subtract_if_not_below(&mut remainder, &L);
            }
        }
        Self(remainder)
    }
}

/// The digits of two scalars side by side, as the double-scalar multiplication reads them.
///
/// Each scalar is written as the sum of `digit * 2^position` with digits that are zero or odd and from -7 to 7, of any
/// four neighbours at most one not zero (the non-adjacent form of width 4). A byte a position: the first scalar's digit
/// in the lower four bits, the second's in the upper ones, both in two's complement.
pub(crate) struct DigitPairs([u8; 256]);

impl DigitPairs {
    pub(crate) fn new(first: &Scalar, second: &Scalar) -> Self {
        let mut pairs = Self([0; 256]);
        pairs.place(first, 0);
        pairs.place(second, 4);
        pairs
    }

    #[inline(never)]
    fn place(&mut self, scalar: &Scalar, shift: u32) {
        // A scalar has 253 bits. Whatever is read above them is the last carry and then zeros.
        let bit = |position: usize| match scalar.0.get(position / 32) {
            Some(limb) => (limb >> (position % 32) & 1) as u8,
            None => 0,
        };
        let mut carry = 0;
        // Bits of the current digit's window that are still to be stepped over: they are in the digit already.
        let mut covered = 0;
        for position in 0..256 {
            if covered > 0 {
                covered -= 1;
                continue;
            }
            if bit(position) == carry {
                continue;
            }
            // Odd: the window's four bits, plus the carry, as a number from -7 to 7; 8 and above borrow 16 from
            // the next window.
            let window = (0..4).fold(0, |window, i| window | bit(position + i) << i) + carry;
            carry = window >> 3;
            self.0[position] |= (window & 0xF) << shift;
            covered = 3;
        }
    }

    /// The digits of the first and of the second scalar, from the most significant position down.
    pub(crate) fn descending(&self) -> impl Iterator<Item = (i8, i8)> {
        self.0
            .iter()
            .rev()
            .map(|&pair| ((pair << 4).cast_signed() >> 4, pair.cast_signed() >> 4))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use num_bigint::{BigInt, BigUint};

    use super::*;
    use crate::limbs::tests::{big, samples};

    /// L from its definition.
    fn order() -> BigUint {
        (BigUint::from(1_u32) << 252) + 27_742_317_777_372_353_535_851_937_790_883_648_493_u128
    }

    #[test]
    fn order_is_what_rfc_8032_says() {
        assert_eq!(big(&L), order());
    }

    #[test]
    fn canonical_scalars_are_those_below_the_order() {
        let bytes = |number: BigUint| {
            let mut bytes = [0; 32];
            let digits = number.to_bytes_le();
            bytes[..digits.len()].copy_from_slice(&digits);
            bytes
        };
        assert!(Scalar::from_canonical(&[0; 32]).is_some());
        assert!(Scalar::from_canonical(&bytes(order() - 1_u32)).is_some());
        assert!(Scalar::from_canonical(&bytes(order())).is_none());
        assert!(Scalar::from_canonical(&bytes(order() + 1_u32)).is_none());
        assert!(Scalar::from_canonical(&[0xFF; 32]).is_none());
    }

    #[test]
    fn wide_numbers_are_reduced() {
        for low in samples() {
            for high in samples() {
                let mut bytes = [0; 64];
                bytes[..32].copy_from_slice(&limbs::to_bytes(&low));
                bytes[32..].copy_from_slice(&limbs::to_bytes(&high));
                let scalar = Scalar::from_wide(&bytes);
                assert_eq!(big(&scalar.0), BigUint::from_bytes_le(&bytes) % order());
            }
        }
    }

    #[test]
    fn digits_are_sparse_and_odd_and_sum_up_to_their_scalars() {
        let mut scalars: Vec<Limbs> = samples()
            .into_iter()
            .filter(|sample| big(sample) < order())
            .collect();
        scalars.extend(samples().into_iter().map(|sample| {
            let mut wide = [0; 64];
            wide[..32].copy_from_slice(&limbs::to_bytes(&sample));
            Scalar::from_wide(&wide).0
        }));
        let mut largest = L;
        largest[0] -= 1;
        scalars.push(largest);
        for pair in scalars.windows(2) {
            let pairs = DigitPairs::new(&Scalar(pair[0]), &Scalar(pair[1]));
            let (first, second): (Vec<i8>, Vec<i8>) = pairs.descending().unzip();
            for (digits, scalar) in [(first, pair[0]), (second, pair[1])] {
                let sum = digits
                    .iter()
                    .fold(BigInt::ZERO, |sum, &digit| sum * 2 + digit);
                assert_eq!(sum, BigInt::from(big(&scalar)));
                assert!(digits.iter().all(|digit| *digit == 0 || digit % 2 != 0));
                assert!(digits.iter().all(|digit| (-7..=7).contains(digit)));
                for neighbours in digits.windows(4) {
                    assert!(neighbours.iter().filter(|digit| **digit != 0).count() <= 1);
                }
            }
        }
    }
}
