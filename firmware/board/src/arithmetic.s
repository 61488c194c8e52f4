// What arithmetic.rs declares, for ARMv6-M. Cycles are those of a Cortex-M0+ without wait states.
//
// All functions keep to the procedure call standard (AAPCS32) and may be interrupted anywhere: nothing of theirs lies
// below the stack pointer.

.syntax unified

// \name(r0: result, r1: a, r2: b): a number below 2^256 that is a + b or a - b modulo 2^255 - 19, in 64 cycles, or with
// the longest carries in 150.
//
// What passes 2^256, or falls below zero, is 38, for 2^256 is 38 modulo 2^255 - 19; that can happen once again.

.macro two_digits first, next
    ldmia r1!, {r3, r4}
    ldmia r2!, {r5, r6}
    \first r3, r3, r5
    \next r4, r4, r6
    stmia r0!, {r3, r4}
.endm

.macro sum_or_difference name, first, next, if_within
.section .text.\name, "ax", %progbits
.global \name
.type \name, %function
.thumb_func
\name:
    push {r4, r5, r6, lr}
    two_digits \first, \next
    two_digits \next, \next
    two_digits \next, \next
    two_digits \next, \next
    \if_within 3f
    movs r1, r0
1:  subs r0, #32
    movs r2, #38
    // As far as it carries, which is hardly ever beyond the first digit.
2:  ldr r3, [r0]
    \first r3, r3, r2
    stmia r0!, {r3}
    \if_within 3f
    movs r2, #1
    cmp r0, r1
    bne 2b
    b 1b
3:  pop {r4, r5, r6, pc}
.size \name, . - \name
.endm

sum_or_difference add_modulo_25519, adds, adcs, bcc
sum_or_difference subtract_modulo_25519, subs, sbcs, bcs

// multiply_modulo_25519(r0: result, r1: a, r2: b): a number below 2^256 that is a * b modulo 2^255 - 19, in 2,150 cycles;
// where b is a itself, in 1,500.
//
// First the product of 512 bits, on the stack: long multiplication, a row for each digit of b, of which each step adds
// the product of two digits, what is in the row and what was carried. Then 38 times the upper half is added to the lower
// one.
//
// In a row: r1 the digits of a up to r10, r2 the row, r7 and r8 the upper and the lower half of the row's multiplier, r14
// is 2^16.

// row += digit * multiplier + \carry. What is carried is in \digit then: it does not overflow, for
// (2^32 - 1)^2 + 2 (2^32 - 1) = 2^64 - 1.
.macro multiply_add digit, carry
    ldmia r1!, {\digit}
    uxth r4, \digit
    movs r5, r4
    muls r5, r7, r5             // lower half * upper half
    mov r6, r8
    muls r4, r6, r4             // lower * lower
    lsrs \digit, \digit, #16
    muls r6, \digit, r6         // upper * lower
    muls \digit, r7, \digit     // upper * upper
    adds r5, r5, r6             // both in the middle, 33 bits
    bcc 9f
    add \digit, lr
9:  lsls r6, r5, #16
    lsrs r5, r5, #16
    adds r4, r4, r6
    adcs \digit, r5
    movs r6, #0
    adds r4, r4, \carry
    adcs \digit, r6
    ldr \carry, [r2]
    adds r4, r4, \carry
    adcs \digit, r6
    stmia r2!, {r4}
.endm

// Takes the row's multiplier, r7, apart; nothing is carried yet.
.macro begin_row
    uxth r3, r7
    mov r8, r3
    lsrs r7, r7, #16
    movs r3, #0
.endm

.section .text.multiply_modulo_25519, "ax", %progbits
.global multiply_modulo_25519
.type multiply_modulo_25519, %function
.thumb_func
multiply_modulo_25519:
    push {r0, r4, r5, r6, r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4, r5, r6, r7}
    sub sp, #64
    mov r3, sp
    movs r4, #0
    movs r5, #0
    movs r6, #0
    movs r7, #0
    stmia r3!, {r4, r5, r6, r7}
    stmia r3!, {r4, r5, r6, r7}
    movs r4, #1
    lsls r4, r4, #16
    mov lr, r4
    mov r9, r1
    movs r4, r1
    adds r4, #32
    mov r10, r4
    cmp r1, r2
    beq 3f

    // A row a turn: r11 is the next multiplier's place, r12 the end of b.
    mov r11, r2
    adds r2, #32
    mov r12, r2
    mov r2, sp
1:  mov r1, r11
    ldmia r1!, {r7}
    mov r11, r1
    begin_row
    mov r1, r9
2:  multiply_add r0, r3
    multiply_add r3, r0
    cmp r1, r10
    bne 2b
    str r3, [r2]
    subs r2, #28
    cmp r11, r12
    bne 1b
    b 6f

    // The square: each pair of different digits once, so a row is a digit times those above it, and begins two digits on.
    // r9 is the next multiplier's place, r12 that of the last digit, which has none above it; r11 the next row.
3:  str r5, [r3, #28]
    subs r4, #4
    mov r12, r4
    add r2, sp, #4
4:  movs r4, r2
    adds r4, #8
    mov r11, r4
    mov r1, r9
    ldmia r1!, {r7}
    mov r9, r1
    begin_row
5:  multiply_add r0, r3
    movs r3, r0
    cmp r1, r10
    bne 5b
    str r3, [r2]
    mov r2, r11
    cmp r9, r12
    bne 4b
    // All that doubled, and the squares of the digits; r3 is carried, at most 2.
    mov r1, r10
    subs r1, #32
    mov r2, sp
    movs r3, #0
5:  ldmia r1!, {r0}
    uxth r4, r0
    lsrs r0, r0, #16
    movs r5, r4
    muls r5, r0, r5
    muls r4, r4, r4
    muls r0, r0, r0
    lsls r6, r5, #17
    lsrs r5, r5, #15
    adds r4, r4, r6
    adcs r0, r5
    movs r6, #0
    adds r4, r4, r3
    adcs r0, r6
    ldr r5, [r2]
    ldr r7, [r2, #4]
    movs r3, #0
    adds r5, r5, r5
    adcs r7, r7
    adcs r3, r6
    adds r5, r5, r4
    adcs r7, r0
    adcs r3, r6
    stmia r2!, {r5, r7}
    cmp r1, r10
    bne 5b

    // The lower half += 38 times the upper one; r3 is carried, at most 38.
6:  mov r2, sp
    add r1, sp, #32
    add r3, sp, #64
    mov r10, r3
    movs r3, #0
    movs r6, #0
    movs r7, #38
7:  ldmia r1!, {r0}
    uxth r4, r0
    lsrs r0, r0, #16
    muls r4, r7, r4
    muls r0, r7, r0
    adds r4, r4, r3
    lsls r5, r0, #16
    lsrs r0, r0, #16
    adds r4, r4, r5
    adcs r0, r6
    ldr r5, [r2]
    adds r4, r4, r5
    adcs r0, r6
    stmia r2!, {r4}
    movs r3, r0
    cmp r1, r10
    bne 7b

    // And 38 times that carry, on the way to the result.
    muls r3, r7, r3
    mov r1, sp
    ldr r0, [sp, #80]
    ldmia r1!, {r2, r4, r5, r7}
    adds r2, r2, r3
    adcs r4, r6
    adcs r5, r6
    adcs r7, r6
    stmia r0!, {r2, r4, r5, r7}
    ldmia r1!, {r2, r4, r5, r7}
    adcs r2, r6
    adcs r4, r6
    adcs r5, r6
    adcs r7, r6
    stmia r0!, {r2, r4, r5, r7}
    bcc 8f
    // It passed 2^256 by less than 38 * 38: the first digit takes 38 more.
    subs r0, #32
    ldr r1, [r0]
    adds r1, #38
    str r1, [r0]
8:  add sp, #64
    pop {r4, r5, r6, r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r0, r4, r5, r6, r7, pc}
.size multiply_modulo_25519, . - multiply_modulo_25519

// sha256_compress(r0: state, r1: block, r2: constants), FIPS 180-4, 6.2.2, in 4,600
// cycles, or 4,800 where the block does not lie at a word.
//
// The 64 words of the message schedule lie on the stack. The variables a and e are in r0 and r1, b, c and d in r8, r9 and
// r10, f, g and h in r11, r12 and r14. What a round leaves as b and f goes where d and h were, and two rounds together
// bring the others to their places. r2 is b ^ c, from which a ^ b and a ^ c follow the majority: it is
// b ^ ((a ^ b) & (b ^ c)). r6 and r7 are the next constant and the next word, r3 is what the round adds up.

// to = value rotated right by \third, that by \third + \second, and that by all three.
.macro rotations to, value, first, second, third
    movs \to, \value
    movs r5, #\first
    rors \to, r5
    eors \to, \value
    movs r5, #\second
    rors \to, r5
    eors \to, \value
    movs r5, #\third
    rors \to, r5
.endm

// The first half of a round. It takes f into \t and g into r5, which the second half may move on before \t is used.
.macro begin_round f, g, h, t
    ldmia r6!, {r3}
    ldmia r7!, {\t}
    adds r3, r3, \t
    add r3, \h
    rotations \t, r1, 14, 5, 6
    adds r3, r3, \t
    mov r5, \g
    mov \t, \f
.endm

// Adds g ^ (e & (f ^ g)).
.macro choose t
    eors \t, r5
    ands \t, r1
    eors \t, r5
    adds r3, r3, \t
.endm

// The end of a round: b is in \t and r5. \x is b ^ c, and \t will be.
.macro end_round x, t
    eors \t, r0
    ands \x, \t
    eors \x, r5
    adds r3, r3, \x
    rotations \x, r0, 9, 11, 2
    adds r0, r3, \x
.endm

.section .text.sha256_compress, "ax", %progbits
.global sha256_compress
.type sha256_compress, %function
.thumb_func
sha256_compress:
    push {r0, r2, r4, r5, r6, r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4, r5, r6, r7}
    sub sp, #256

    // The block's words; byte by byte, where it does not lie at one.
    mov r3, sp
    add r7, sp, #64
    lsls r4, r1, #30
    bne 1f
0:  ldmia r1!, {r4}
    rev r4, r4
    stmia r3!, {r4}
    cmp r3, r7
    bne 0b
    b 4f
1:  ldrb r4, [r1]
    ldrb r5, [r1, #1]
    ldrb r6, [r1, #2]
    ldrb r0, [r1, #3]
    lsls r4, r4, #8
    adds r4, r4, r5
    lsls r4, r4, #8
    adds r4, r4, r6
    lsls r4, r4, #8
    adds r4, r4, r0
    stmia r3!, {r4}
    adds r1, #4
    cmp r3, r7
    bne 1b

    // And 48 more: r4 is word 0, r5 word 1 of the window at r3, which ends before word 16.
4:  mov r3, sp
    add r0, sp, #192
    mov r12, r0
    movs r0, #17
    movs r1, #2
    movs r2, #11
    ldr r4, [r3]
2:  ldr r6, [r3, #36]
    adds r4, r4, r6
    ldr r6, [r3, #56]
    movs r7, r6
    rors r7, r1
    eors r7, r6
    rors r7, r0
    lsrs r6, r6, #10
    eors r7, r6
    adds r4, r4, r7
    ldr r5, [r3, #4]
    movs r7, r5
    rors r7, r2
    eors r7, r5
    movs r6, #7
    rors r7, r6
    lsrs r6, r5, #3
    eors r7, r6
    adds r4, r4, r7
    str r4, [r3, #64]
    movs r4, r5
    adds r3, #4
    cmp r3, r12
    bne 2b

    ldr r7, [sp, #272]
    ldmia r7!, {r0, r2, r4, r5}
    mov r8, r2
    mov r9, r4
    mov r10, r5
    eors r2, r4
    ldmia r7!, {r1, r4, r5, r6}
    mov r11, r4
    mov r12, r5
    mov lr, r6
    ldr r6, [sp, #276]
    mov r7, sp

3:  begin_round r11, r12, lr, r4
    choose r4
    mov lr, r1
    mov r1, r10
    adds r1, r1, r3
    mov r10, r0
    mov r4, r8
    movs r5, r4
    end_round r2, r4

    begin_round lr, r11, r12, r2
    mov lr, r5
    mov r12, r2
    mov r11, r1
    choose r2
    mov r1, r9
    adds r1, r1, r3
    mov r2, r10
    mov r9, r2
    movs r5, r2
    mov r10, r8
    mov r8, r0
    end_round r4, r2
    // The rounds end with the words.
    add r5, sp, #256
    cmp r7, r5
    bne 3b

    ldr r2, [sp, #272]
    movs r3, r2
    ldmia r2!, {r4, r5, r6, r7}
    adds r4, r4, r0
    add r5, r8
    add r6, r9
    add r7, r10
    stmia r3!, {r4, r5, r6, r7}
    ldmia r2!, {r4, r5, r6, r7}
    adds r4, r4, r1
    add r5, r11
    add r6, r12
    add r7, lr
    stmia r3!, {r4, r5, r6, r7}
    add sp, #256
    pop {r4, r5, r6, r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r0, r2, r4, r5, r6, r7, pc}
.size sha256_compress, . - sha256_compress
