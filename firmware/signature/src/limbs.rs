//! 256-bit integers: what field elements and scalars are both made of.
//!
//! Nothing in here knows a modulus.

/// A number below 2^256, in eight digits of 32 bits, the least significant one first.
pub(crate) type Limbs = [u32; 8];

/// Reads 32 little-endian bytes.
pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Limbs {
    let mut limbs = [0; 8];
    for (limb, digits) in limbs.iter_mut().zip(bytes.as_chunks().0) {
        *limb = u32::from_le_bytes(*digits);
    }
    limbs
}

/// Writes 32 little-endian bytes.
pub(crate) fn to_bytes(limbs: &Limbs) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (digits, limb) in bytes.as_chunks_mut().0.iter_mut().zip(limbs) {
        *digits = limb.to_le_bytes();
    }
    bytes
}

/// `a += b`. Returns whether the sum passed 2^256; `a` is then too small by just that.
#[inline(never)]
pub(crate) fn add(a: &mut Limbs, b: &Limbs) -> bool {
    let mut carry = false;
    for (a, &b) in a.iter_mut().zip(b) {
        let (sum, over) = a.overflowing_add(b);
        let (sum, over_again) = sum.overflowing_add(u32::from(carry));
        *a = sum;
        carry = over | over_again;
    }
    carry
}

/// `a -= b`. Returns whether the difference fell below zero; `a` is then too large by 2^256.
#[inline(never)]
pub(crate) fn subtract(a: &mut Limbs, b: &Limbs) -> bool {
    let mut borrow = false;
    for (a, &b) in a.iter_mut().zip(b) {
        let (difference, under) = a.overflowing_sub(b);
        let (difference, under_again) = difference.overflowing_sub(u32::from(borrow));
        *a = difference;
        borrow = under | under_again;
    }
    borrow
}

/// `a += b` for a small `b`, as far as the carry reaches. Returns whether the sum passed 2^256.
pub(crate) fn add_small(a: &mut Limbs, b: u32) -> bool {
    let mut carry = b;
    for limb in a {
        let (sum, over) = limb.overflowing_add(carry);
        *limb = sum;
        if !over {
            return false;
        }
        carry = 1;
    }
    true
}

/// `a -= b` for a small `b`, as far as the borrow reaches. Returns whether the difference fell below zero.
pub(crate) fn subtract_small(a: &mut Limbs, b: u32) -> bool {
    let mut borrow = b;
    for limb in a {
        let (difference, under) = limb.overflowing_sub(borrow);
        *limb = difference;
        if !under {
            return false;
        }
        borrow = 1;
    }
    true
}

/// `a -= b` where `a >= b`, and nothing otherwise. Returns whether it was subtracted.
#[inline(never)]
pub(crate) fn subtract_if_not_below(a: &mut Limbs, b: &Limbs) -> bool {
    // Mostly their first digits tell.
    if a[7] < b[7] {
        return false;
    }
    let mut difference = *a;
    let below = subtract(&mut difference, b);
    if !below {
        *a = difference;
    }
    !below
}

/// Whether `a < b`.
pub(crate) fn is_below(a: &Limbs, b: &Limbs) -> bool {
    let mut difference = *a;
    subtract(&mut difference, b)
}

/// `a * b + c + d` as its lower and its upper 32 bits, with `b` in halves of 16 bits. No inputs make it overflow.
///
/// The core multiplies 32 x 32 bits, but keeps the lower 32 only; with `u64` this would be a call of a library
/// function. As in long multiplication on paper, a product of two digits, of 16 bits here, leaves room for one more
/// digit: nothing overflows but the two sums whose carries are taken.
#[inline(always)]
fn multiply_add(a: u32, (b_low, b_high): (u32, u32), c: u32, d: u32) -> (u32, u32) {
    let (a_low, a_high) = (a & 0xFFFF, a >> 16);
    let bottom = a_low * b_low;
    let middle = a_high * b_low + (bottom >> 16);
    let other_middle = a_low * b_high + (middle & 0xFFFF);
    let top = a_high * b_high + (middle >> 16) + (other_middle >> 16);
    let (sum, carry) = ((other_middle << 16) | (bottom & 0xFFFF)).overflowing_add(c);
    let (sum, other_carry) = sum.overflowing_add(d);
    (sum, top + u32::from(carry) + u32::from(other_carry))
}

/// `row += multiplicand * multiplier`, over as many digits as the multiplicand has. The digit of the row above those
/// becomes what is carried, where there is one.
#[inline(never)]
fn add_product(row: &mut [u32], multiplicand: &[u32], multiplier: u32) {
    let halves = (multiplier & 0xFFFF, multiplier >> 16);
    let mut carry = 0;
    for (digit, &limb) in row.iter_mut().zip(multiplicand) {
        (*digit, carry) = multiply_add(limb, halves, *digit, carry);
    }
    if let Some(above) = row.get_mut(multiplicand.len()) {
        *above = carry;
    }
}

/// `product += a * b`, for a product that is zero.
#[inline(always)]
pub(crate) fn multiply(product: &mut [u32; 16], a: &Limbs, b: &Limbs) {
    let mut rows: &mut [u32] = product;
    for &multiplier in b {
        add_product(rows, a, multiplier);
        let [_, next @ ..] = rows else { return };
        rows = next;
    }
}

/// `product += a * a`, for a product that is zero, in 36 of the 64 digit products that [`multiply`] takes.
#[inline(always)]
pub(crate) fn square(product: &mut [u32; 16], a: &Limbs) {
    // Each pair of different digits once.
    let [_, rows @ ..] = product;
    let mut rows: &mut [u32] = rows;
    let mut digits: &[u32] = a;
    while let [multiplier, above @ ..] = digits {
        add_product(rows, above, *multiplier);
        let [_, _, next @ ..] = rows else { break };
        (rows, digits) = (next, above);
    }
    // All that doubled, and the squares of the digits.
    let (mut shifted_out, mut carry) = (0, 0);
    for ([low, high], &limb) in product.as_chunks_mut().0.iter_mut().zip(a) {
        let doubled_low = (*low << 1) | shifted_out;
        let doubled_high = (*high << 1) | (*low >> 31);
        shifted_out = *high >> 31;
        let (sum, above) = multiply_add(limb, (limb & 0xFFFF, limb >> 16), doubled_low, carry);
        *low = sum;
        let (sum, over) = doubled_high.overflowing_add(above);
        *high = sum;
        carry = u32::from(over);
    }
}

/// `a += b * factor`, for a factor below 2^16. Returns what passed 2^256, which is at most the factor.
pub(crate) fn add_multiple(a: &mut Limbs, b: &Limbs, factor: u16) -> u32 {
    let factor = u32::from(factor);
    let mut carry = 0;
    for (digit, &limb) in a.iter_mut().zip(b) {
        let bottom = (limb & 0xFFFF) * factor + carry;
        let top = (limb >> 16) * factor + (bottom >> 16);
        let (sum, over) = digit.overflowing_add((top << 16) | (bottom & 0xFFFF));
        *digit = sum;
        carry = (top >> 16) + u32::from(over);
    }
    carry
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;
    use std::vec::Vec;

    use num_bigint::BigUint;

    use super::*;

    /// The same number, for arithmetic that has nothing to do with this crate's.
    pub(crate) fn big(limbs: &Limbs) -> BigUint {
        BigUint::new(limbs.to_vec())
    }

    /// Numbers whose carries run far, and numbers that look random.
    pub(crate) fn samples() -> Vec<Limbs> {
        let mut samples = std::vec![
            [0; 8],
            [1, 0, 0, 0, 0, 0, 0, 0],
            [37, 0, 0, 0, 0, 0, 0, 0],
            [38, 0, 0, 0, 0, 0, 0, 0],
            [u32::MAX; 8],
            [u32::MAX - 37, !0, !0, !0, !0, !0, !0, !0],
            [u32::MAX - 18, !0, !0, !0, !0, !0, !0, !0 >> 1],
            [u32::MAX - 19, !0, !0, !0, !0, !0, !0, !0 >> 1],
            [0, 0, 0, 0, 0, 0, 0, 1 << 31],
            [0xFFFF_0000; 8],
            [0x0000_FFFF; 8],
        ];
        let mut state = 1_u64;
        for _ in 0..20 {
            samples.push(core::array::from_fn(|_| {
                // Knuth's MMIX generator.
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 32) as u32
            }));
        }
        samples
    }

    #[test]
    fn sums_differences_and_products_agree_with_a_big_integer_library() {
        let wrap = BigUint::from(1_u32) << 256;
        for a in samples() {
            for b in samples() {
                let mut sum = a;
                let carry = add(&mut sum, &b);
                assert_eq!(big(&sum) + &wrap * u32::from(carry), big(&a) + big(&b));

                let mut difference = a;
                let borrow = subtract(&mut difference, &b);
                assert_eq!(
                    big(&difference) + big(&b),
                    big(&a) + &wrap * u32::from(borrow)
                );

                let mut kept = a;
                let subtracted = subtract_if_not_below(&mut kept, &b);
                assert_eq!(subtracted, big(&a) >= big(&b));
                assert_eq!(kept, if subtracted { difference } else { a });

                let small = b[0];
                let mut sum = a;
                let carry = add_small(&mut sum, small);
                assert_eq!(big(&sum) + &wrap * u32::from(carry), big(&a) + small);

                let mut difference = a;
                let borrow = subtract_small(&mut difference, small);
                assert_eq!(
                    big(&difference) + small,
                    big(&a) + &wrap * u32::from(borrow)
                );

                let mut raised = a;
                let factor = a[7] as u16;
                let carry = add_multiple(&mut raised, &b, factor);
                assert_eq!(big(&raised) + &wrap * carry, big(&a) + big(&b) * factor);
                assert!(carry <= u32::from(factor));

                assert_eq!(is_below(&a, &b), big(&a) < big(&b));
                let mut product = [0; 16];
                multiply(&mut product, &a, &b);
                assert_eq!(BigUint::new(product.to_vec()), big(&a) * big(&b));
            }
            let mut product = [0; 16];
            square(&mut product, &a);
            assert_eq!(BigUint::new(product.to_vec()), big(&a) * big(&a));
        }
    }

    #[test]
    fn bytes_are_little_endian() {
        let bytes: [u8; 32] = core::array::from_fn(|i| i as u8 + 1);
        assert_eq!(big(&from_bytes(&bytes)), BigUint::from_bytes_le(&bytes));
        assert_eq!(to_bytes(&from_bytes(&bytes)), bytes);
    }
}
