//! `memcpy` and its kin as the compiler calls them, in 110 bytes.
//!
//! Those that come with the compiler are unrolled and take more than 1 KB, which the bootloader needs for other things.
//! They must stay assembly: a compiler would see what such a loop does, and make it a call of the function itself.
//! Source: Run-time ABI for the Arm Architecture, 5.3.3 "Memory copying, clearing, and setting".

use core::arch::global_asm;
use core::ptr;
use core::sync::atomic::{Ordering, compiler_fence};

/// Copies bytes of flash; by words, where both places are aligned.
///
/// # Safety
/// All of them are flash, which can be read at any time.
pub(crate) unsafe fn read_flash(address: u32, out: &mut [u8]) {
    // Flash changes behind the compiler's back: what was read before says nothing.
    compiler_fence(Ordering::SeqCst);
    // SAFETY: the caller vouches for what is read; it cannot overlap with what is borrowed.
    unsafe { ptr::copy_nonoverlapping(address as *const u8, out.as_mut_ptr(), out.len()) };
    compiler_fence(Ordering::SeqCst);
}

// Pairs of words when both addresses are aligned, bytes for the rest. Flags and r0 to r3 are the caller's to save; nothing
// is returned by the `__aeabi` forms.
global_asm!(
    ".section .text.__aeabi_memcpy, \"ax\", %progbits",
    ".global __aeabi_memcpy",
    ".global __aeabi_memcpy4",
    ".global __aeabi_memcpy8",
    ".type __aeabi_memcpy, %function",
    ".type __aeabi_memcpy4, %function",
    ".type __aeabi_memcpy8, %function",
    ".thumb_func",
    "__aeabi_memcpy:",
    ".thumb_func",
    "__aeabi_memcpy4:",
    ".thumb_func",
    "__aeabi_memcpy8:",
    "mov r3, r0",
    "orrs r3, r1",
    "lsls r3, r3, #30",
    "bne 3f",
    "push {{r4}}",
    "1:",
    "subs r2, #8",
    "blo 2f",
    "ldmia r1!, {{r3, r4}}",
    "stmia r0!, {{r3, r4}}",
    "b 1b",
    "2:",
    "pop {{r4}}",
    "adds r2, #8",
    // Bytes, four at a time while there are as many.
    "3:",
    "subs r2, #4",
    "blo 4f",
    "ldrb r3, [r1]",
    "strb r3, [r0]",
    "ldrb r3, [r1, #1]",
    "strb r3, [r0, #1]",
    "ldrb r3, [r1, #2]",
    "strb r3, [r0, #2]",
    "ldrb r3, [r1, #3]",
    "strb r3, [r0, #3]",
    "adds r1, #4",
    "adds r0, #4",
    "b 3b",
    "4:",
    "adds r2, #4",
    "5:",
    "subs r2, #1",
    "blo 6f",
    "ldrb r3, [r1, r2]",
    "strb r3, [r0, r2]",
    "b 5b",
    "6:",
    "bx lr",
    ".size __aeabi_memcpy, . - __aeabi_memcpy",
);

// memclr(r0 address, r1 length): pairs of words when the address is aligned, which has left a zero in r3.
// memset(r0 address, r1 length, r2 byte), of which there is little: bytes.
global_asm!(
    ".section .text.__aeabi_memclr, \"ax\", %progbits",
    ".global __aeabi_memset",
    ".global __aeabi_memset4",
    ".global __aeabi_memset8",
    ".global __aeabi_memclr",
    ".global __aeabi_memclr4",
    ".global __aeabi_memclr8",
    ".type __aeabi_memclr, %function",
    ".type __aeabi_memclr4, %function",
    ".type __aeabi_memclr8, %function",
    ".thumb_func",
    "__aeabi_memclr:",
    ".thumb_func",
    "__aeabi_memclr4:",
    ".thumb_func",
    "__aeabi_memclr8:",
    "movs r2, #0",
    "lsls r3, r0, #30",
    "bne 3f",
    "1:",
    "subs r1, #8",
    "blo 2f",
    "stmia r0!, {{r2, r3}}",
    "b 1b",
    "2:",
    "adds r1, #8",
    ".type __aeabi_memset, %function",
    ".type __aeabi_memset4, %function",
    ".type __aeabi_memset8, %function",
    ".thumb_func",
    "__aeabi_memset:",
    ".thumb_func",
    "__aeabi_memset4:",
    ".thumb_func",
    "__aeabi_memset8:",
    "3:",
    "subs r1, #1",
    "blo 4f",
    "strb r2, [r0]",
    "adds r0, #1",
    "b 3b",
    "4:",
    "bx lr",
    ".size __aeabi_memclr, . - __aeabi_memclr",
);
