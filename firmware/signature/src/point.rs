//! Points of Ed25519's curve, -x^2 + y^2 = 1 + d x^2 y^2, and the one sum of multiples that verification needs.
//!
//! The formulas are those for extended coordinates by Hisil, Wong, Carter and Dawson ("Twisted Edwards Curves
//! Revisited", 2008), which hold for every pair of points: there is no special case to forget.

use crate::arithmetic::Arithmetic;
use crate::field::FieldElement;
use crate::limbs::{self, Limbs};
use crate::scalar::{DigitPairs, Scalar};

/// The curve's d = -121665 / 121666.
const D: Limbs = [
    0x1359_78a3,
    0x75eb_4dca,
    0x4141_d8ab,
    0x0070_0a4d,
    0x7779_e898,
    0x8cc7_4079,
    0x2b6f_fe73,
    0x5203_6cee,
];

/// The base point B (RFC 8032, 5.1).
const BASE_X: Limbs = [
    0x8f25_d51a,
    0xc956_2d60,
    0x9525_a7b2,
    0x692c_c760,
    0xfdd6_dc5c,
    0xc0a4_e231,
    0xcd6e_53fe,
    0x2169_36d3,
];
const BASE_Y: Limbs = [
    0x6666_6658,
    0x6666_6666,
    0x6666_6666,
    0x6666_6666,
    0x6666_6666,
    0x6666_6666,
    0x6666_6666,
    0x6666_6666,
];

/// A point as (x, y) = (X / Z, Y / Z), with T = X Y / Z. T is up to date only where an addition comes next.
#[derive(Clone, Copy)]
pub(crate) struct Point<A> {
    x: FieldElement<A>,
    y: FieldElement<A>,
    z: FieldElement<A>,
    t: FieldElement<A>,
}

/// What is done next with a point: additions read T, doublings do not, and a T that nobody reads is not computed.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Addition,
    Other,
}

impl Next {
    fn is_addition(yes: bool) -> Self {
        if yes { Self::Addition } else { Self::Other }
    }
}

/// An odd multiple of a point, made ready to be added to others.
#[derive(Clone, Copy)]
struct Multiple<A> {
    y_plus_x: FieldElement<A>,
    y_minus_x: FieldElement<A>,
    /// 2 d T.
    t_2d: FieldElement<A>,
    /// 2 Z.
    z_2: FieldElement<A>,
}

impl<A: Arithmetic> Multiple<A> {
    const UNSET: Self = Self {
        y_plus_x: FieldElement::ZERO,
        y_minus_x: FieldElement::ZERO,
        t_2d: FieldElement::ZERO,
        z_2: FieldElement::ZERO,
    };

    /// In place, because a copy of 128 bytes is much on this stack.
    fn set(&mut self, point: &Point<A>) {
        self.y_plus_x = point.y.add(&point.x);
        self.y_minus_x = point.y.subtract(&point.x);
        let t_d = point.t.multiply(&FieldElement::new(D));
        self.t_2d = t_d.add(&t_d);
        self.z_2 = point.z.add(&point.z);
    }
}

impl<A: Arithmetic> Point<A> {
    /// The neutral element.
    const IDENTITY: Self = Self {
        x: FieldElement::ZERO,
        y: FieldElement::ONE,
        z: FieldElement::ONE,
        t: FieldElement::ZERO,
    };

    /// Reads the 32 bytes of a point (RFC 8032, 5.1.3). `None` when y is not below p or when the curve has no point
    /// there. It lets x = 0 with the sign bit set pass as x = 0; both such points are of small order.
    #[inline(never)]
    pub(crate) fn decode(bytes: &[u8; 32]) -> Option<Self> {
        let mut y_limbs = limbs::from_bytes(bytes);
        let x_is_odd = y_limbs[7] >> 31 == 1;
        y_limbs[7] &= 0x7FFF_FFFF;
        let y = FieldElement::from_canonical(y_limbs)?;
        // x^2 = u / v, and x = u v^3 (u v^7)^((p - 5) / 8) is the root, or is it after one more factor, or none is.
        let y_2 = y.square();
        let u = y_2.subtract(&FieldElement::ONE);
        let v = y_2.multiply(&FieldElement::new(D)).add(&FieldElement::ONE);
        let u_v3 = v.square().multiply(&v).multiply(&u);
        let u_v7 = u_v3.multiply(&v.square().square());
        let mut x = u_v7.root_power().multiply(&u_v3);
        let v_x2 = x.square().multiply(&v);
        if v_x2 != u {
            if v_x2 != u.negate() {
                return None;
            }
            x = x.multiply(&FieldElement::SQRT_MINUS_ONE);
        }
        if x.is_odd() != x_is_odd {
            x = x.negate();
        }
        Some(Self {
            x,
            y,
            z: FieldElement::ONE,
            t: x.multiply(&y),
        })
    }

    /// The 32 bytes of the point, the only ones that [`Self::decode`] takes for it.
    #[inline(never)]
    pub(crate) fn encode(&self) -> [u8; 32] {
        let z_inverse = self.z.invert();
        let x = self.x.multiply(&z_inverse);
        let mut y = self.y.multiply(&z_inverse).canonical();
        y[7] |= u32::from(x.is_odd()) << 31;
        limbs::to_bytes(&y)
    }

    /// Whether eight times the point is the identity. An honest key or R is of order L.
    #[inline(never)]
    pub(crate) fn has_small_order(&self) -> bool {
        // x is zero for the identity and for the one point of order 2, so two doublings do for three.
        let mut multiple = *self;
        multiple.double(Next::Other);
        multiple.double(Next::Other);
        multiple.x.is_zero()
    }

    /// The point becomes minus the point.
    pub(crate) fn negate(&mut self) {
        self.x = self.x.negate();
        self.t = self.t.negate();
    }

    /// The base point.
    fn base() -> Self {
        let (x, y) = (FieldElement::new(BASE_X), FieldElement::new(BASE_Y));
        Self {
            x,
            y,
            z: FieldElement::ONE,
            t: x.multiply(&y),
        }
    }

    /// `base_factor` times the base point plus `point_factor` times `point`, whose T must be up to date. The result's T
    /// is not.
    ///
    /// A table of the base point's multiples would save a tenth of the time, and cost 300 bytes.
    #[inline(never)]
    pub(crate) fn base_and_point_multiple(
        base_factor: &Scalar,
        point_factor: &Scalar,
        point: &Self,
    ) -> Self {
        let mut multiples = [[Multiple::UNSET; 4]; 2];
        let mut sum = Self::base();
        sum.set_odd_multiples(&mut multiples[0]);
        sum = *point;
        sum.set_odd_multiples(&mut multiples[1]);

        sum = Self::IDENTITY;
        for (base_digit, point_digit) in DigitPairs::new(base_factor, point_factor).descending() {
            sum.double(Next::is_addition(base_digit != 0 || point_digit != 0));
            for (multiples, digit, next) in [
                (
                    &multiples[0],
                    base_digit,
                    Next::is_addition(point_digit != 0),
                ),
                (&multiples[1], point_digit, Next::Other),
            ] {
                if digit != 0 {
                    sum.add(&multiples[multiple_of(digit)], digit < 0, next);
                }
            }
        }
        sum
    }

    /// Makes the multiples 1, 3, 5 and 7 of a point, whose T must be up to date. The point is 7 times itself afterwards.
    #[inline(never)]
    fn set_odd_multiples(&mut self, multiples: &mut [Multiple<A>; 4]) {
        multiples[0].set(self);
        self.double(Next::Addition);
        // The last place holds 2 while the others are made.
        multiples[3].set(self);
        self.add(&multiples[0], false, Next::Addition);
        for n in 1..3 {
            multiples[n].set(self);
            self.add(&multiples[3], false, Next::Addition);
        }
        multiples[3].set(self);
    }

    #[inline(never)]
    fn double(&mut self, next: Next) {
        let x_2 = self.x.square();
        let y_2 = self.y.square();
        let z_2 = self.z.square();
        let h = x_2.add(&y_2);
        let e = h.subtract(&self.x.add(&self.y).square());
        let g = x_2.subtract(&y_2);
        let f = z_2.add(&z_2).add(&g);
        self.complete(&e, &f, &g, &h, next);
    }

    /// Adds a point, or subtracts it where `negative`.
    #[inline(never)]
    fn add(&mut self, addend: &Multiple<A>, negative: bool, next: Next) {
        let (mut with_sum, mut with_difference) = (&addend.y_plus_x, &addend.y_minus_x);
        if negative {
            (with_sum, with_difference) = (with_difference, with_sum);
        }
        let a = self.y.subtract(&self.x).multiply(with_difference);
        let b = self.y.add(&self.x).multiply(with_sum);
        let c = self.t.multiply(&addend.t_2d);
        let d = self.z.multiply(&addend.z_2);
        let (e, h) = (b.subtract(&a), b.add(&a));
        let (difference, sum) = (d.subtract(&c), d.add(&c));
        if negative {
            self.complete(&e, &sum, &difference, &h, next);
        } else {
            self.complete(&e, &difference, &sum, &h, next);
        }
    }

    /// How both formulas end: x = e / g and y = h / f.
    #[inline(never)]
    fn complete(
        &mut self,
        e: &FieldElement<A>,
        f: &FieldElement<A>,
        g: &FieldElement<A>,
        h: &FieldElement<A>,
        next: Next,
    ) {
        self.x = e.multiply(f);
        self.y = g.multiply(h);
        self.z = f.multiply(g);
        if next == Next::Addition {
            self.t = e.multiply(h);
        }
    }
}

/// Where a table of the multiples 1, 3, 5 and 7 holds that of an odd digit.
fn multiple_of(digit: i8) -> usize {
    usize::from(digit.unsigned_abs() / 2 % 4)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec::Vec;

    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
    use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
    use num_bigint::BigUint;

    use super::*;
    use crate::Portable;
    use crate::field::tests::p;
    use crate::limbs::tests::big;

    type Point = super::Point<Portable>;

    /// d from its definition.
    fn d() -> BigUint {
        let inverse = BigUint::from(121_666_u32).modpow(&(p() - 2_u32), &p());
        (p() - 121_665_u32) * inverse % p()
    }

    /// The encoded y, its lowest 255 bits.
    fn y_of(bytes: &[u8; 32]) -> BigUint {
        let mut y = *bytes;
        y[31] &= 0x7F;
        BigUint::from_bytes_le(&y)
    }

    fn theirs(point: &Point) -> EdwardsPoint {
        CompressedEdwardsY(point.encode()).decompress().unwrap()
    }

    #[test]
    fn d_is_what_its_definition_says() {
        assert_eq!(big(&D), d());
    }

    #[test]
    fn the_base_point_is_the_one_of_rfc_8032() {
        let bytes = ED25519_BASEPOINT_POINT.compress().to_bytes();
        let (x, y) = (big(&BASE_X), big(&BASE_Y));
        // Its encoding has y and the sign of x; the curve's equation leaves no other x.
        assert_eq!(y, y_of(&bytes));
        assert_eq!(x.bit(0), bytes[31] >> 7 == 1);
        let (x_2, y_2) = (&x * &x, &y * &y);
        assert_eq!(
            (&y_2 + (p() - &x_2 % p())) % p(),
            (d() * &x_2 * &y_2 + 1_u32) % p()
        );
        assert_eq!(theirs(&Point::base()), ED25519_BASEPOINT_POINT);
    }

    #[test]
    fn points_survive_decoding_and_encoding_and_small_orders_are_known() {
        let mut point = ED25519_BASEPOINT_POINT;
        for _ in 0..20 {
            for torsion in EIGHT_TORSION {
                let bytes = (point + torsion).compress().to_bytes();
                let decoded = Point::decode(&bytes).unwrap();
                assert_eq!(decoded.encode(), bytes);
                assert!(!decoded.has_small_order());
                let mut negative = decoded;
                negative.negate();
                assert_eq!(theirs(&negative), -(point + torsion));
            }
            point += point;
        }
        for torsion in EIGHT_TORSION {
            let bytes = torsion.compress().to_bytes();
            let decoded = Point::decode(&bytes).unwrap();
            assert_eq!(decoded.encode(), bytes);
            assert!(decoded.has_small_order());
        }
    }

    #[test]
    fn a_zero_x_with_the_sign_bit_set_is_of_small_order() {
        for mut bytes in
            [EIGHT_TORSION[0], EIGHT_TORSION[4]].map(|point| point.compress().to_bytes())
        {
            bytes[31] |= 0x80;
            assert!(Point::decode(&bytes).is_none_or(|point| point.has_small_order()));
        }
    }

    #[test]
    fn bytes_that_are_no_point_are_refused_as_dalek_refuses_them() {
        let mut points = 0;
        for low in 0..=255 {
            let mut bytes = [0xA5; 32];
            bytes[0] = low;
            let decoded = Point::decode(&bytes);
            let expected = CompressedEdwardsY(bytes).decompress();
            assert_eq!(decoded.as_ref().map(theirs), expected);
            points += usize::from(expected.is_some());
        }
        assert!((64..192).contains(&points), "{points} of 256 are points");
    }

    #[test]
    fn a_y_of_p_or_more_is_refused_though_dalek_takes_it() {
        let mut of_large_order = 0;
        for low in 0xED..=0xFF_u8 {
            for sign in [0, 0x80] {
                let mut bytes = [0xFF; 32];
                bytes[0] = low;
                bytes[31] = 0x7F | sign;
                assert!(Point::decode(&bytes).is_none());
                let point = CompressedEdwardsY(bytes).decompress();
                of_large_order += usize::from(point.is_some_and(|point| !point.is_small_order()));
            }
        }
        assert_ne!(of_large_order, 0);
        // And p - 1 is taken.
        let mut bytes = [0xFF; 32];
        bytes[0] = 0xEC;
        bytes[31] = 0x7F;
        assert!(Point::decode(&bytes).is_some());
    }

    #[test]
    fn sums_of_multiples_agree_with_dalek() {
        let factors: Vec<[u8; 32]> = [0_u8, 1, 2, 3, 7, 8, 0x5A, 0xFF]
            .into_iter()
            .map(|byte| {
                let mut wide = [byte; 64];
                wide[1..].fill(byte / 3);
                curve25519_dalek::Scalar::from_bytes_mod_order_wide(&wide).to_bytes()
            })
            .collect();
        for torsion in EIGHT_TORSION {
            let base = ED25519_BASEPOINT_POINT;
            let key = base + base + torsion;
            let point = Point::decode(&key.compress().to_bytes()).unwrap();
            for s in &factors {
                for k in &factors {
                    let sum = Point::base_and_point_multiple(
                        &Scalar::from_canonical(s).unwrap(),
                        &Scalar::from_canonical(k).unwrap(),
                        &point,
                    );
                    let number =
                        |bytes: &[u8; 32]| curve25519_dalek::Scalar::from_bytes_mod_order(*bytes);
                    assert_eq!(theirs(&sum), base * number(s) + key * number(k));
                }
            }
        }
    }
}
