//! Ed25519 signature verification (RFC 8032) and the hashes SHA-256 and SHA-512 (FIPS 180-4), small enough for
//! a Cortex-M0+ with 64 KB flash and 8 KB RAM.
//!
//! The signature decides whether a device runs an image, so this crate errs on one side only: everything that is
//! not beyond doubt a good signature is a [`BadSignature`]. It must never panic, whatever bytes it is given, and
//! it must never be used with a secret: it takes different times for different inputs, which gives nothing
//! away while keys, messages and signatures are public, and would give a private key away.
//!
//! It has no dependencies, needs no allocator and contains no `unsafe`. What takes nearly all the time comes through
//! [`Arithmetic`]: it is here for every core ([`Portable`]), and a program may bring what its own core does better.
//! Measured on a Cortex-M0+ without flash wait states, all of it in one program built with `opt-level = "s"` (which is
//! both smaller and faster here than `"z"`, because `"z"` calls `memcpy` for every 32 bytes):
//!
//! | | [`Portable`] | the board's, in assembly |
//! |---|---|---|
//! | flash in the bootloader, both hashes and the tables included | 5.9 KB | 5.8 KB |
//! | stack, [`verify`] | 2.4 KB | 2.4 KB |
//! | stack, [`Sha256`] with its state | 0.4 KB | 0.4 KB |
//! | [`verify`] | 13.4 million cycles | 6.4 million cycles |
//! | [`Sha256::update`] | 140 cycles a byte | 72 cycles a byte |
//!
//! # What is accepted
//!
//! `s * B = R + k * A` without the cofactor, `k` being SHA-512 of `R`, `A` and the message, checked by computing
//! `s * B - k * A` and comparing its encoding with the 32 bytes of `R`. Every honest signature passes. Refused are:
//!
//! | input | why | ed25519-dalek's `verify_strict` |
//! |---|---|---|
//! | `s` not below the group's order | otherwise anyone makes a second signature of a first one | the same |
//! | `A` not on the curve | RFC 8032, 5.1.3 | the same |
//! | `A` with a y of p or more | two encodings of one key; RFC 8032, 5.1.3 | **accepts** |
//! | `A` of small order | one signature would fit many messages | the same |
//! | `A` with x = 0 and the sign bit set | RFC 8032, 5.1.3; y is then 1 or -1, so it is of small order as well | the same |
//! | `R` not encoded canonically | the bytes compared are canonical | the same |
//! | `R` of small order | no honest signer makes one | the same |
//!
//! So this crate accepts what `verify_strict` accepts, less keys with a non-canonical y. There are only a
//! handful of those, and nobody knows a private key to any of them but those of small order.
#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod arithmetic;
mod field;
mod limbs;
mod point;
mod scalar;
mod sha2;

pub use arithmetic::{Arithmetic, Portable};
pub use sha2::{Sha256, Sha512};

use core::fmt;

use point::Point;
use scalar::Scalar;

/// The signature is not a good signature of this message under this key, or the key or the signature is malformed.
///
/// There is no finer answer on purpose: nothing should be done about the one that should not be done about the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature does not match the message and the key")
    }
}

impl core::error::Error for BadSignature {}

/// Checks an Ed25519 `signature` of `message`: `public_key` is the 32 bytes of `A`, `signature` those of `R` and of `s`
/// (RFC 8032, 5.1.7). `message` is the whole message, not a digest of it made with SHA-512 (that is Ed25519ph).
///
/// # Errors
/// [`BadSignature`] for everything else than a good signature; see the crate's documentation for what exactly is good.
pub fn verify<A: Arithmetic>(
    public_key: &[u8; 32],
    message: &[u8],
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    let (r_encoded, s_encoded) = halves(signature);
    let s = Scalar::from_canonical(s_encoded).ok_or(BadSignature)?;
    let mut key = Point::<A>::decode(public_key).ok_or(BadSignature)?;
    if key.has_small_order() {
        return Err(BadSignature);
    }
    key.negate();
    let k = challenge::<A>(r_encoded, public_key, message);

    let r = Point::base_and_point_multiple(&s, &k, &key);
    if r.encode() != *r_encoded || r.has_small_order() {
        return Err(BadSignature);
    }
    Ok(())
}

/// `R` and `s`.
fn halves(signature: &[u8; 64]) -> (&[u8; 32], &[u8; 32]) {
    match signature.as_chunks() {
        ([r, s], []) => (r, s),
        _ => unreachable!("64 bytes are two times 32"),
    }
}

/// Kept out of [`verify`], whose frame would otherwise hold the hash state during the curve arithmetic.
#[inline(never)]
fn challenge<A: Arithmetic>(r: &[u8; 32], public_key: &[u8; 32], message: &[u8]) -> Scalar {
    let mut hash = Sha512::<A>::new();
    hash.update(r);
    hash.update(public_key);
    hash.update(message);
    Scalar::from_wide(&hash.finish())
}
