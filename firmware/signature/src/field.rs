//! The field Ed25519's curve is over: integers modulo p = 2^255 - 19.
//!
//! An element is kept as any number below 2^256 that is equal to it modulo p, so most operations need no comparison:
//! what passes 2^256 comes back as 38 times itself, because 2^256 = 2 p + 38. Only [`FieldElement::canonical`] is
//! the number below p, and only that must ever be compared or encoded.

use core::marker::PhantomData;

use crate::arithmetic::Arithmetic;
use crate::limbs::{self, Limbs};

/// p = 2^255 - 19.
const P: Limbs = [
    0xFFFF_FFED,
    0xFFFF_FFFF,
    0xFFFF_FFFF,
    0xFFFF_FFFF,
    0xFFFF_FFFF,
    0xFFFF_FFFF,
    0xFFFF_FFFF,
    0x7FFF_FFFF,
];

/// What 2^256 is modulo p.
const WRAP: u16 = 38;

/// An integer modulo p, multiplied by what `A` has for it.
#[derive(Clone, Copy)]
pub(crate) struct FieldElement<A>(Limbs, PhantomData<A>);

impl<A: Arithmetic> FieldElement<A> {
    pub(crate) const ZERO: Self = Self::new([0; 8]);
    pub(crate) const ONE: Self = Self::new([1, 0, 0, 0, 0, 0, 0, 0]);
    /// A square root of -1: 2^((p - 1) / 4).
    pub(crate) const SQRT_MINUS_ONE: Self = Self::new([
        0x4a0e_a0b0,
        0xc4ee_1b27,
        0xad2f_e478,
        0x2f43_1806,
        0x3dfb_d7a7,
        0x2b4d_0099,
        0x4fc1_df0b,
        0x2b83_2480,
    ]);

    /// Any number below 2^256 stands for an element.
    pub(crate) const fn new(limbs: Limbs) -> Self {
        Self(limbs, PhantomData)
    }

    /// `None` when the number is not below p.
    pub(crate) fn from_canonical(limbs: Limbs) -> Option<Self> {
        limbs::is_below(&limbs, &P).then_some(Self::new(limbs))
    }

    /// The number below p.
    #[inline(never)]
    pub(crate) fn canonical(&self) -> Limbs {
        let mut limbs = self.0;
        // Below 2^256, that is below 2 p + 38.
        for _ in 0..2 {
            limbs::subtract_if_not_below(&mut limbs, &P);
        }
        limbs
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.canonical().iter().all(|limb| *limb == 0)
    }

    /// Whether the number below p is odd: what RFC 8032 calls the sign of x.
    pub(crate) fn is_odd(&self) -> bool {
        self.canonical()[0] & 1 == 1
    }

    #[inline(never)]
    pub(crate) fn add(&self, other: &Self) -> Self {
        Self::new(A::add(&self.0, &other.0))
    }

    #[inline(never)]
    pub(crate) fn subtract(&self, other: &Self) -> Self {
        Self::new(A::subtract(&self.0, &other.0))
    }

    pub(crate) fn negate(&self) -> Self {
        Self::ZERO.subtract(self)
    }

    #[inline(never)]
    pub(crate) fn multiply(&self, other: &Self) -> Self {
        Self::new(A::multiply(&self.0, &other.0))
    }

    #[inline(never)]
    pub(crate) fn square(&self) -> Self {
        Self::new(A::square(&self.0))
    }

    /// The element to the power 2^`times`.
    #[inline(never)]
    fn square_times(&self, times: u32) -> Self {
        let mut power = *self;
        for _ in 0..times {
            power = power.square();
        }
        power
    }

    /// The element to the powers 2^250 - 1 and 11, of which both exponents below are made.
    #[inline(never)]
    fn common_powers(&self) -> (Self, Self) {
        let power_2 = self.square();
        let power_9 = power_2.square_times(2).multiply(self);
        let power_11 = power_9.multiply(&power_2);
        // From here on: ones(n) is the element to the power 2^n - 1, and ones(m + n) = ones(m)^(2^n) * ones(n).
        let ones_5 = power_11.square().multiply(&power_9);
        let ones_10 = ones_5.square_times(5).multiply(&ones_5);
        let mut ones = ones_10.square_times(10).multiply(&ones_10);
        ones = ones.square_times(20).multiply(&ones);
        let ones_50 = ones.square_times(10).multiply(&ones_10);
        ones = ones_50.square_times(50).multiply(&ones_50);
        ones = ones.square_times(100).multiply(&ones);
        (ones.square_times(50).multiply(&ones_50), power_11)
    }

    /// The element to the power p - 2 = 2^255 - 21: its inverse, and zero for zero.
    pub(crate) fn invert(&self) -> Self {
        let (ones_250, power_11) = self.common_powers();
        ones_250.square_times(5).multiply(&power_11)
    }

    /// The element to the power (p - 5) / 8 = 2^252 - 3, the heart of a square root.
    pub(crate) fn root_power(&self) -> Self {
        let (ones_250, _) = self.common_powers();
        ones_250.square_times(2).multiply(self)
    }
}

impl<A: Arithmetic> PartialEq for FieldElement<A> {
    fn eq(&self, other: &Self) -> bool {
        self.subtract(other).is_zero()
    }
}

/// A number below 2^256 that is `a + b` modulo p.
pub(crate) fn add(a: &Limbs, b: &Limbs) -> Limbs {
    let mut sum = *a;
    let mut carry = limbs::add(&mut sum, b);
    while carry {
        carry = limbs::add_small(&mut sum, u32::from(WRAP));
    }
    sum
}

/// A number below 2^256 that is `a - b` modulo p.
pub(crate) fn subtract(a: &Limbs, b: &Limbs) -> Limbs {
    let mut difference = *a;
    let mut borrow = limbs::subtract(&mut difference, b);
    while borrow {
        borrow = limbs::subtract_small(&mut difference, u32::from(WRAP));
    }
    difference
}

/// A number below 2^256 that is `a * b` modulo p.
pub(crate) fn multiply(a: &Limbs, b: &Limbs) -> Limbs {
    let mut product = [0; 16];
    limbs::multiply(&mut product, a, b);
    reduce(&mut product)
}

/// A number below 2^256 that is `a * a` modulo p.
pub(crate) fn square(a: &Limbs) -> Limbs {
    let mut product = [0; 16];
    limbs::square(&mut product, a);
    reduce(&mut product)
}

/// A number below 2^256 that is equal to a product modulo p. It works in the product's place, to spare a copy.
fn reduce(product: &mut [u32; 16]) -> Limbs {
    let (low, high) = match product.as_chunks_mut() {
        ([low, high], []) => (low, high),
        _ => unreachable!("16 digits are two times 8"),
    };
    let carry = limbs::add_multiple(low, high, WRAP);
    let mut carried = limbs::add_small(low, carry * u32::from(WRAP));
    while carried {
        carried = limbs::add_small(low, u32::from(WRAP));
    }
    *low
}

#[cfg(test)]
pub(crate) mod tests {
    extern crate std;

    use num_bigint::BigUint;

    use super::*;
    use crate::Portable;
    use crate::limbs::tests::{big, samples};

    /// The modulus from its definition.
    pub(crate) fn p() -> BigUint {
        (BigUint::from(1_u32) << 255) - 19_u32
    }

    /// The number below p, for arithmetic that has nothing to do with this crate's.
    pub(crate) fn value(element: &FieldElement<Portable>) -> BigUint {
        big(&element.canonical())
    }

    #[test]
    fn constants_are_what_their_definitions_say() {
        assert_eq!(big(&P), p());
        assert_eq!(BigUint::from(WRAP), (BigUint::from(1_u32) << 256) % p());
        let root = BigUint::from(2_u32).modpow(&((p() - 1_u32) / 4_u32), &p());
        assert_eq!(value(&FieldElement::SQRT_MINUS_ONE), root);
        assert_eq!(&root * &root % p(), p() - 1_u32);
    }

    #[test]
    fn arithmetic_agrees_with_a_big_integer_library() {
        for a in samples().into_iter().map(FieldElement::<Portable>::new) {
            let number = big(&a.0);
            assert_eq!(value(&a), &number % p());
            assert_eq!(a.is_zero(), value(&a) == BigUint::ZERO);
            assert_eq!(a.is_odd(), value(&a).bit(0));
            assert_eq!(value(&a.square()), &number * &number % p());
            assert_eq!(value(&a.invert()), number.modpow(&(p() - 2_u32), &p()));
            assert_eq!(
                value(&a.root_power()),
                number.modpow(&((p() - 5_u32) / 8_u32), &p())
            );
            assert_eq!((value(&a.negate()) + value(&a)) % p(), BigUint::ZERO);
            for b in samples().into_iter().map(FieldElement::<Portable>::new) {
                assert_eq!(value(&a.add(&b)), (&number + big(&b.0)) % p());
                assert_eq!((value(&a.subtract(&b)) + value(&b)) % p(), value(&a));
                assert_eq!(value(&a.multiply(&b)), &number * big(&b.0) % p());
                assert_eq!(a == b, value(&a) == value(&b));
            }
        }
    }
}
