//! Division of 32-bit numbers as the compiler calls it, in 64 bytes: the core has no instruction for it.
//!
//! The one that comes with the compiler takes 400 bytes, and half of the 300 cycles that this one needs. A divisor of zero
//! is the caller's to look for, as Rust does; the quotient is then of no use.
//! Source: Run-time ABI for the Arm Architecture, 5.3.1.2 "Integer (32/32 -> 32) division functions".

use core::arch::global_asm;

// uidivmod(r0 numerator, r1 denominator): r0 quotient, r1 remainder. Bit by bit from the top: what is left of the
// numerator leaves r0 at one end, and the quotient comes in at the other.
global_asm!(
    ".section .text.__aeabi_uidivmod, \"ax\", %progbits",
    ".global __aeabi_uidiv",
    ".global __aeabi_uidivmod",
    ".type __aeabi_uidiv, %function",
    ".type __aeabi_uidivmod, %function",
    ".thumb_func",
    "__aeabi_uidiv:",
    ".thumb_func",
    "__aeabi_uidivmod:",
    "movs r2, #0",
    "movs r3, #32",
    "1:",
    "lsls r0, r0, #1",
    "adcs r2, r2",
    // A 33rd bit: more than any denominator.
    "bcs 2f",
    "cmp r2, r1",
    "blo 3f",
    "2:",
    "subs r2, r2, r1",
    "adds r0, #1",
    "3:",
    "subs r3, #1",
    "bne 1b",
    "mov r1, r2",
    "bx lr",
    ".size __aeabi_uidivmod, . - __aeabi_uidivmod",
);

// idiv(r0 numerator, r1 denominator): r0 quotient, rounded towards zero.
global_asm!(
    ".section .text.__aeabi_idiv, \"ax\", %progbits",
    ".global __aeabi_idiv",
    ".type __aeabi_idiv, %function",
    ".thumb_func",
    "__aeabi_idiv:",
    "push {{r4, lr}}",
    // All ones when the signs differ.
    "movs r4, r0",
    "eors r4, r1",
    "asrs r4, r4, #31",
    // Both without their signs.
    "asrs r2, r0, #31",
    "eors r0, r2",
    "subs r0, r0, r2",
    "asrs r2, r1, #31",
    "eors r1, r2",
    "subs r1, r1, r2",
    "bl __aeabi_uidivmod",
    "eors r0, r4",
    "subs r0, r0, r4",
    "pop {{r4, pc}}",
    ".size __aeabi_idiv, . - __aeabi_idiv",
);
