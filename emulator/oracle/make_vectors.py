"""Makes `vectors.bin`: what an implementation of ARMv6-M that is not ours says of random instructions.

    python3 -m venv ~/.cache/logdock/oracle-venv
    ~/.cache/logdock/oracle-venv/bin/pip install unicorn==2.1.4
    ~/.cache/logdock/oracle-venv/bin/python emulator/oracle/make_vectors.py            # writes vectors.bin
    ~/.cache/logdock/oracle-venv/bin/python emulator/oracle/make_vectors.py --explain SEED

The oracle is unicorn (QEMU's translator) as a Cortex-M0. A vector is a seed: `emulator/tests/oracle.rs` makes the
same registers, memory and instructions of it that `Vector` makes here, runs them on our core, and compares the CRC-32
of all that came out: R0 to PC, the flags and T, PRIMASK, the whole of RAM and of a device, and what ended the run with
its address and width. Its output for a seed (`LOGDOCK_EXPLAIN=SEED cargo test ... -- --nocapture`) has the form of
`--explain`, so the two can be laid side by side. This file must never learn anything from our core.

Left out, because the oracle does not know ARMv6-M there (each with the place of its directed test in
`emulator/src/cpu`), and counted by this program when it ends:

  cbz, it          QEMU decodes CBZ, CBNZ and IT for a Cortex-M0, too.        decode.rs: what_armv6m_does_not_have
  unpredictable    QEMU executes MSR and MRS with SP or PC, and odd CPS.      decode.rs: what_armv6m_does_not_have
  sp-bits          QEMU keeps bits 1:0 of SP, which are zero (DDI 0419).      tests.rs: high_registers_and_pc_are_operands
  privilege        QEMU's Cortex-M0 has no CONTROL.nPRIV; a Cortex-M0+ does.  tests.rs: unprivileged_code
  q-flag           QEMU's MSR and MRS know the Q flag of ARMv7-M, too.        tests.rs: armv6m_has_no_q_flag
  private          QEMU's Cortex-M0 comes without NVIC, SCB and SysTick.      tests.rs, from `strict_mode_knows` on
  svc-masked       The oracle reports SVC, and does not take it.              tests.rs: svc_is_taken
  svc-stack        Likewise, where there is no room for the frame.            tests.rs: an_interrupt_without_room
  event            WFE after SEV: QEMU has no event register.                 tests.rs: wfe_takes_an_event
"""

import argparse
import struct
import sys
import zlib
from collections import Counter
from pathlib import Path

from unicorn import *
from unicorn.arm_const import *

RAM, RAM_SIZE = 0x2000_0000, 0x2000
FLASH, FLASH_SIZE = 0x0800_0000, 0x1_0000
DEVICE, DEVICE_SIZE = 0x4000_0000, 0x1000
PRIVATE = range(0xE000_0000, 0xE010_0000)
M64 = (1 << 64) - 1

# What ended the run.
NOTHING, ACCESS, UNDEFINED, SVC, BKPT, FETCH, NOT_THUMB, UNALIGNED, SLEEP = range(9)
NAMES = "nothing access undefined svc bkpt fetch not-thumb unaligned sleep".split()

# Encodings to choose from: what is fixed, and which bits are random. Those of 32 bits have the first half-word on top.
ENCODINGS = [
    (0x0000, 0x1FFF), (0x0000, 0x1FFF), (0x1800, 0x07FF), (0x2000, 0x1FFF), (0x2000, 0x1FFF),  # shifts to immediates
    (0x4000, 0x03FF), (0x4000, 0x03FF), (0x4000, 0x03FF), (0x4000, 0x03FF),  # register with register
    (0x4400, 0x03FF), (0x4400, 0x03FF),  # high registers, BX, BLX
    (0x4800, 0x07FF),  # LDR literal
    (0x5000, 0x0FFF), (0x5000, 0x0FFF), (0x6000, 0x1FFF), (0x7000, 0x0FFF), (0x8000, 0x0FFF), (0x9000, 0x0FFF),
    (0xA000, 0x0FFF),  # ADR, ADD SP
    (0xB000, 0x00FF), (0xB200, 0x00FF), (0xB400, 0x01FF), (0xBA00, 0x00FF), (0xBC00, 0x01FF),
    (0xB660, 0x001F), (0xBE00, 0x00FF), (0xBF00, 0x0070),  # CPS, BKPT, hints
    (0xC000, 0x07FF), (0xC800, 0x07FF),  # STM, LDM
    (0xD000, 0x0FFF), (0xDE00, 0x01FF), (0xE000, 0x07FF),  # branches, UDF and SVC
    (0x0000, 0xFFFF), (0x0000, 0xFFFF),  # anything
    (0xF000D000, 0x07FF2FFF), (0xF3808800, 0x001F00FF), (0xF3EF8000, 0x00000FFF), (0xF3BF8F40, 0x0000007F),
    (0xF0008000, 0x0FFF7FFF), (0xE8000000, 0x17FFFFFF),  # 32 bits: BL, MSR, MRS, barriers, anything
]
# Writes of special registers, and reads.
WRITES = [(0xF3808800, 0x000C0003), (0xF3808808, 0x000C0001), (0xF3808810, 0x000C0000), (0xF3808814, 0x000C0000),
          (0xB662, 0x0010)]
READS = [(0xF3EF8000, 0x00000307), (0xF3EF8008, 0x00000301), (0xF3EF8010, 0x00000300), (0xF3EF8014, 0x00000300)]
EDGES = [0, 1, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFFE, 0x8000_0001, 32]
REGIONS = [FLASH, 0, DEVICE, RAM + RAM_SIZE - 0x800]


class Random:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed

    def next(self):
        self.state = (self.state + 0x9E37_79B9_7F4A_7C15) & M64
        z = self.state
        z = (z ^ z >> 30) * 0xBF58_476D_1CE4_E5B9 & M64
        z = (z ^ z >> 27) * 0x94D0_49BB_1331_11EB & M64
        return z ^ z >> 31

    def register(self):
        x = self.next()
        y = x >> 32
        return [
            lambda: y,
            lambda: y & 0xFF,
            lambda: EDGES[y % 8],
            lambda: RAM + (y & 0x1FFC),
            lambda: RAM + (y & 0x1FFC),
            lambda: RAM + (y & 0x1FFF),
            lambda: (REGIONS[y >> 30] + (y & 0xFFC)) & 0xFFFF_FFFF,
            lambda: y & 0x7C,
        ][x & 7]()

    def halves(self, encodings):
        x = self.next()
        fixed, free = encodings[x % len(encodings)]
        code = fixed | x >> 32 & free
        return [code] if fixed < 0x1_0000 else [code >> 16, code & 0xFFFF]


class Vector:
    """Registers, flags, place and instructions of a seed."""

    def __init__(self, seed):
        random = Random(seed)
        self.r = [random.register() for _ in range(13)]
        x = random.next()
        self.r.append(RAM + 0x100 + 4 * ((x >> 32) % 0x7C0) if x & 15 < 13 else random.register() & ~3)
        x = random.next()
        self.r.append(random.register() | x & 1)
        self.flags = random.next() >> 60
        x = random.next()
        if x & 3 == 0:
            pc = RAM + 0x800 + 2 * ((x >> 32) % 0x200)
        else:
            pc = FLASH + 0x1000 + 2 * ((x >> 32) % 0x6000)
            if x & 0x1C == 0:
                pc -= FLASH
        self.r.append(pc)
        kind = seed % 8
        if kind < 6:
            tables = [ENCODINGS]
        elif kind == 6:
            tables = [ENCODINGS] * 8
        else:
            tables = [WRITES, READS, READS, WRITES, READS, READS]
        self.code = [half for table in tables for half in random.halves(table)]
        self.steps = len(tables)


def filled(seed, size):
    random = Random(seed)
    return b"".join(struct.pack("<Q", random.next()) for _ in range(size // 8))


class Excluded(Exception):
    """The oracle does not know ARMv6-M here."""


class Oracle:
    def __init__(self):
        self.ram = filled(1, RAM_SIZE)
        self.device = filled(2, DEVICE_SIZE)
        vectors = struct.pack("<48I", RAM + RAM_SIZE, *(FLASH + 0x201 + 0x40 * n for n in range(1, 48)))
        self.flash = vectors + filled(3, FLASH_SIZE)[len(vectors):]
        # Without MCLASS the chosen model holds; with it, unicorn takes a core of ARMv7-M.
        self.uc = uc = Uc(UC_ARCH_ARM, UC_MODE_THUMB)
        uc.ctl_set_cpu_model(UC_CPU_ARM_CORTEX_M0)
        for base in (0, FLASH):
            uc.mem_map(base, FLASH_SIZE, UC_PROT_READ | UC_PROT_EXEC)
            uc.mem_write(base, self.flash)
        uc.mem_map(RAM, RAM_SIZE)
        uc.mem_map(DEVICE, DEVICE_SIZE, UC_PROT_READ | UC_PROT_WRITE)
        uc.hook_add(UC_HOOK_INTR, self.on_interrupt)
        uc.hook_add(UC_HOOK_MEM_INVALID, self.on_invalid)
        self.names = [UC_ARM_REG_R0 + n for n in range(13)] + [UC_ARM_REG_SP, UC_ARM_REG_LR]

    def on_interrupt(self, uc, number, _):
        self.interrupt = number
        uc.emu_stop()

    def on_invalid(self, uc, access, address, size, value, _):
        self.invalid = (access, address, size)
        return False

    def place(self, pc, code):
        if pc >= RAM:
            self.uc.mem_write(pc, code)
        else:
            self.uc.mem_write(pc & ~FLASH, code)
            self.uc.mem_write(pc | FLASH, code)

    def run(self, vector):
        """The bytes that are hashed, and what is told of them."""
        uc = self.uc
        uc.ctl_flush_tb()
        uc.mem_write(RAM, self.ram)
        uc.mem_write(DEVICE, self.device)
        pc = vector.r[15]
        code = struct.pack(f"<{len(vector.code)}H", *vector.code)
        self.place(pc, code)
        uc.reg_write(UC_ARM_REG_CONTROL, 0)
        uc.reg_write(UC_ARM_REG_PSP, 0)
        uc.reg_write(UC_ARM_REG_PRIMASK, 0)
        uc.reg_write(UC_ARM_REG_XPSR, vector.flags << 28 | 1 << 24)
        for name, value in zip(self.names, vector.r):
            uc.reg_write(name, value)
        try:
            thumb, end, where, hide = True, NOTHING, (0, 0, 0), 0
            self.event_set = False
            for _ in range(vector.steps):
                pc, thumb, end, where, hide = self.step(pc, thumb, vector.steps)
                if end != NOTHING:
                    break
        finally:
            if vector.r[15] < RAM:
                offset = vector.r[15] & ~FLASH
                self.place(vector.r[15], self.flash[offset:offset + len(code)])

        r = [uc.reg_read(name) for name in self.names]
        sp = r[13]
        if sp & 3:
            raise Excluded("sp-bits")
        for number in range(16):
            if hide >> number & 1:
                r[number] = 0
        psr = uc.reg_read(UC_ARM_REG_XPSR) & 0xF000_0000 | thumb << 24
        ram = bytearray(uc.mem_read(RAM, RAM_SIZE))
        if end in (ACCESS, UNDEFINED, SVC, FETCH, NOT_THUMB, UNALIGNED):
            # Our core stacks a frame here.
            start = max(sp - 40 - RAM, 0)
            stop = min(max(sp - RAM, 0), RAM_SIZE)
            ram[start:stop] = bytes(max(stop - start, 0))
        state = [*r, pc, psr, uc.reg_read(UC_ARM_REG_PRIMASK) & 1, end, *where]
        return struct.pack("<22I", *state), bytes(ram), bytes(uc.mem_read(DEVICE, DEVICE_SIZE))

    def executable(self, pc):
        return any(base <= pc < base + size for base, size in ((0, FLASH_SIZE), (FLASH, FLASH_SIZE), (RAM, RAM_SIZE)))

    def step(self, pc, thumb, steps):
        """One instruction. PC and T after it, what ended the run, where, and registers that nobody may look at."""
        uc = self.uc
        none = (0, 0, 0)
        if not thumb:
            return pc, False, NOT_THUMB, none, 0
        if not self.executable(pc):
            # To be confirmed by the oracle below, at the fetch.
            opcode = None
        else:
            opcode, second = struct.unpack("<HH", bytes(uc.mem_read(pc, 2)) + (
                bytes(uc.mem_read(pc + 2, 2)) if self.executable(pc + 2) else b"\0\0"))
            if opcode & 0xF500 == 0xB100:
                raise Excluded("cbz")
            if opcode & 0xFF00 == 0xBF00 and opcode & 15:
                raise Excluded("it")
            if opcode & 0xFFE0 == 0xB660 and opcode & 15 != 2:
                raise Excluded("unpredictable")
            if opcode == 0xF3EF and second >> 12 == 8 and second >> 8 & 15 in (13, 15):
                raise Excluded("unpredictable")
            if opcode & 0xFFF0 == 0xF380 and second >> 8 == 0x88:
                if opcode & 15 in (13, 15):
                    raise Excluded("unpredictable")
                value = uc.reg_read(self.names[opcode & 15])
                if second & 0xFF < 4 and value >> 27 & 1 and steps > 1:
                    raise Excluded("q-flag")
                if second & 0xFF == 20 and value & 1:
                    raise Excluded("privilege")
                if second & 0xFF in (8, 9) and value & 3:
                    raise Excluded("sp-bits")
            if opcode == 0xBF20 and self.event_set:
                raise Excluded("event")
            self.event_set |= opcode == 0xBF40
        sp = uc.reg_read(UC_ARM_REG_SP)
        if sp & 3:
            raise Excluded("sp-bits")
        self.interrupt = self.invalid = None
        error = UC_ERR_OK
        try:
            uc.emu_start(pc | 1, 0xFFFF_FFF0, count=1)
        except UcError as problem:
            error = problem.errno
        after = uc.reg_read(UC_ARM_REG_PC)
        if opcode is None:
            assert error in (UC_ERR_FETCH_UNMAPPED, UC_ERR_FETCH_PROT), (hex(pc), error)
            return pc, True, FETCH, none, 0
        thumb = bool(uc.reg_read(UC_ARM_REG_XPSR) >> 24 & 1)

        if self.interrupt == 2:
            if uc.reg_read(UC_ARM_REG_PRIMASK) & 1:
                raise Excluded("svc-masked")
            if not RAM <= (sp - 32 & ~4) <= RAM + RAM_SIZE - 32:
                raise Excluded("svc-stack")
            return after, thumb, SVC, none, 0
        if self.interrupt == 7:
            return after, thumb, BKPT, none, 0
        if self.interrupt == 4:
            return pc, True, UNALIGNED, none, self.loaded(opcode)
        assert self.interrupt is None, self.interrupt
        if error in (UC_ERR_READ_UNMAPPED, UC_ERR_WRITE_UNMAPPED, UC_ERR_WRITE_PROT, UC_ERR_READ_PROT):
            access, address, size = self.invalid
            if address in PRIVATE:
                raise Excluded("private")
            write = access in (UC_MEM_WRITE_UNMAPPED, UC_MEM_WRITE_PROT)
            return pc, True, ACCESS, (address, size, int(write)), self.loaded(opcode)
        if opcode in (0xBF20, 0xBF30):
            return pc + 2, True, SLEEP, none, 0
        if opcode == 0xBF10:
            # QEMU leaves its loop for YIELD, which unicorn takes for an error.
            return pc + 2, True, NOTHING, none, 0
        if error in (UC_ERR_FETCH_UNMAPPED, UC_ERR_FETCH_PROT):
            # The instruction is done, and its successor cannot be fetched: that is the next step's business.
            assert after != pc
            return after, thumb, NOTHING, none, 0
        if error == UC_ERR_INSN_INVALID:
            if after != pc or not thumb:
                # Likewise for a successor in Arm state.
                assert not thumb
                return after, thumb, NOTHING, none, 0
            return pc, True, UNDEFINED, none, 0
        assert error == UC_ERR_OK, error
        return after, thumb, NOTHING, none, 0

    @staticmethod
    def loaded(opcode):
        """Registers that a broken-off LDM or POP leaves UNKNOWN (DDI 0419 B1.5.10)."""
        if opcode & 0xF800 == 0xC800:
            return opcode & 0xFF & ~(1 << (opcode >> 8 & 7))
        if opcode & 0xFE00 == 0xBC00:
            return opcode & 0xFF
        return 0


def explain(oracle, seed):
    vector = Vector(seed)
    print("code", *(f"{half:04x}" for half in vector.code), "steps", vector.steps)
    print("before", *(f"{value:08x}" for value in vector.r), f"{vector.flags:x}")
    state, ram, device = oracle.run(vector)
    words = struct.unpack("<22I", state)
    end = (NAMES[words[18]], *(f"{value:x}" for value in words[19:]))
    print("after ", *(f"{value:08x}" for value in words[:18]), *end)
    print(f"ram {zlib.crc32(ram):08x} device {zlib.crc32(device):08x}")


def main():
    parser = argparse.ArgumentParser(description="makes vectors.bin, or shows one vector")
    parser.add_argument("--explain", type=int, metavar="SEED")
    parser.add_argument("--seeds", type=int, default=160_000)
    arguments = parser.parse_args()
    oracle = Oracle()
    if arguments.explain is not None:
        return explain(oracle, arguments.explain)
    packed, previous, excluded, ends = bytearray(), -1, Counter(), Counter()
    for seed in range(arguments.seeds):
        try:
            state, ram, device = oracle.run(Vector(seed))
        except Excluded as reason:
            excluded[str(reason)] += 1
            continue
        ends[NAMES[struct.unpack_from("<I", state, 72)[0]]] += 1
        crc = zlib.crc32(device, zlib.crc32(ram, zlib.crc32(state)))
        packed += struct.pack("<BI", seed - previous, crc)
        previous = seed
        if seed % 20_000 == 0:
            print(seed, file=sys.stderr)
    Path(__file__).with_name("vectors.bin").write_bytes(packed)
    print(f"{len(packed) // 5} vectors; ended by: {dict(ends)}; excluded: {dict(excluded)}")


if __name__ == "__main__":
    main()
