//! Replays the vectors of an implementation of ARMv6-M that is not ours: `emulator/oracle/make_vectors.py` says how
//! they were made, and which instructions the oracle does not know.
//!
//! What a seed stands for is said there and here alike, and nowhere else; the expected results are in `vectors.bin`,
//! and nothing here may compute them.

use crc32fast::Hasher;
use emulator::cpu::bus::{Bus, BusFault, Effect, ResetCause, Width};
use emulator::cpu::{Core, FaultKind, FaultReport, Stop};
use emulator::memory::{FLASH_BASE, FLASH_SIZE, Memory, RAM_BASE, RAM_SIZE};
use emulator::time::Time;

/// For each vector the distance of its seed from the one before (the first from -1), and a CRC-32, little endian.
const VECTORS: &[u8] = include_bytes!("../oracle/vectors.bin");
/// As many as the emulator wants to be judged by.
const LEAST: usize = 100_000;

const DEVICE_BASE: u32 = 0x4000_0000;
const DEVICE_SIZE: usize = 0x1000;

const XPSR_THUMB: u32 = 1 << 24;
const XPSR_FLAGS: u32 = 0xF000_0000;
const XPSR_REALIGNED: u32 = 1 << 9;
const XPSR_EXCEPTION: u32 = 0x3F;
const HARD_FAULT: u32 = 3;
const SV_CALL: u32 = 11;

/// What ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
enum End {
    Nothing,
    Access,
    Undefined,
    Svc,
    Bkpt,
    Fetch,
    NotThumb,
    Unaligned,
    Sleep,
    /// What the oracle has no word for: a mismatch.
    Unknown,
}

/// Encodings to choose from: what is fixed, and which bits are random. Those of 32 bits have the first half-word on
/// top.
const ENCODINGS: &[(u32, u32)] = &[
    // Shifts to immediates.
    (0x0000, 0x1FFF),
    (0x0000, 0x1FFF),
    (0x1800, 0x07FF),
    (0x2000, 0x1FFF),
    (0x2000, 0x1FFF),
    // Register with register, high registers, BX and BLX.
    (0x4000, 0x03FF),
    (0x4000, 0x03FF),
    (0x4000, 0x03FF),
    (0x4000, 0x03FF),
    (0x4400, 0x03FF),
    (0x4400, 0x03FF),
    // Loads and stores.
    (0x4800, 0x07FF),
    (0x5000, 0x0FFF),
    (0x5000, 0x0FFF),
    (0x6000, 0x1FFF),
    (0x7000, 0x0FFF),
    (0x8000, 0x0FFF),
    (0x9000, 0x0FFF),
    // ADR, ADD SP and the miscellaneous ones: CPS, BKPT and hints last.
    (0xA000, 0x0FFF),
    (0xB000, 0x00FF),
    (0xB200, 0x00FF),
    (0xB400, 0x01FF),
    (0xBA00, 0x00FF),
    (0xBC00, 0x01FF),
    (0xB660, 0x001F),
    (0xBE00, 0x00FF),
    (0xBF00, 0x0070),
    // STM, LDM, branches, UDF and SVC.
    (0xC000, 0x07FF),
    (0xC800, 0x07FF),
    (0xD000, 0x0FFF),
    (0xDE00, 0x01FF),
    (0xE000, 0x07FF),
    // Anything.
    (0x0000, 0xFFFF),
    (0x0000, 0xFFFF),
    // 32 bits: BL, MSR, MRS, barriers, anything.
    (0xF000_D000, 0x07FF_2FFF),
    (0xF380_8800, 0x001F_00FF),
    (0xF3EF_8000, 0x0000_0FFF),
    (0xF3BF_8F40, 0x0000_007F),
    (0xF000_8000, 0x0FFF_7FFF),
    (0xE800_0000, 0x17FF_FFFF),
];
/// Writes of special registers.
const WRITES: &[(u32, u32)] = &[
    (0xF380_8800, 0x000C_0003),
    (0xF380_8808, 0x000C_0001),
    (0xF380_8810, 0x000C_0000),
    (0xF380_8814, 0x000C_0000),
    (0xB662, 0x0010),
];
/// Reads of special registers.
const READS: &[(u32, u32)] = &[
    (0xF3EF_8000, 0x0000_0307),
    (0xF3EF_8008, 0x0000_0301),
    (0xF3EF_8010, 0x0000_0300),
    (0xF3EF_8014, 0x0000_0300),
];
const EDGES: [u32; 8] = [
    0,
    1,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0xFFFF_FFFE,
    0x8000_0001,
    32,
];
const REGIONS: [u32; 4] = [
    FLASH_BASE,
    0,
    DEVICE_BASE,
    RAM_BASE + RAM_SIZE as u32 - 0x800,
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = self.0;
        let z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn register(&mut self) -> u32 {
        let x = self.next();
        let y = (x >> 32) as u32;
        match x & 7 {
            0 => y,
            1 => y & 0xFF,
            2 => EDGES[y as usize % 8],
            3 | 4 => RAM_BASE + (y & 0x1FFC),
            5 => RAM_BASE + (y & 0x1FFF),
            6 => REGIONS[(y >> 30) as usize] + (y & 0xFFC),
            _ => y & 0x7C,
        }
    }

    fn push_code(&mut self, encodings: &[(u32, u32)], code: &mut Vec<u16>) {
        let x = self.next();
        let (fixed, free) = encodings[(x % encodings.len() as u64) as usize];
        let opcode = fixed | (x >> 32) as u32 & free;
        if fixed >= 0x1_0000 {
            code.push((opcode >> 16) as u16);
        }
        code.push(opcode as u16);
    }

    fn fill(seed: u64, bytes: &mut [u8]) {
        let mut random = Random(seed);
        for chunk in bytes.as_chunks_mut().0 {
            *chunk = random.next().to_le_bytes();
        }
    }
}

/// Registers, flags, place and instructions of a seed.
struct Vector {
    /// R0 to PC.
    r: [u32; 16],
    flags: u32,
    code: Vec<u16>,
    steps: usize,
}

impl Vector {
    fn new(seed: u64) -> Vector {
        let mut random = Random(seed);
        let mut r = [0; 16];
        for value in &mut r[..13] {
            *value = random.register();
        }
        let x = random.next();
        r[13] = if x & 15 < 13 {
            RAM_BASE + 0x100 + 4 * ((x >> 32) % 0x7C0) as u32
        } else {
            random.register() & !3
        };
        let x = random.next();
        r[14] = random.register() | x as u32 & 1;
        let flags = (random.next() >> 60) as u32;
        let x = random.next();
        r[15] = if x & 3 == 0 {
            RAM_BASE + 0x800 + 2 * ((x >> 32) % 0x200) as u32
        } else {
            let base = if x & 0x1C == 0 { 0 } else { FLASH_BASE };
            base + 0x1000 + 2 * ((x >> 32) % 0x6000) as u32
        };
        let tables: &[&[(u32, u32)]] = match seed % 8 {
            0..6 => &[ENCODINGS],
            6 => &[ENCODINGS; 8],
            _ => &[WRITES, READS, READS, WRITES, READS, READS],
        };
        let mut code = Vec::new();
        for table in tables {
            random.push_code(table, &mut code);
        }
        Vector {
            r,
            flags,
            code,
            steps: tables.len(),
        }
    }
}

/// A device of plain memory, and nothing else.
#[derive(Clone)]
struct Device(Box<[u8; DEVICE_SIZE]>);

impl Device {
    fn cells(&mut self, address: u32, width: Width) -> Result<&mut [u8], BusFault> {
        let offset = address.wrapping_sub(DEVICE_BASE) as usize;
        let cells = self.0.get_mut(offset..).ok_or(BusFault::Unmapped)?;
        cells.get_mut(..width as usize).ok_or(BusFault::Unmapped)
    }
}

impl Bus for Device {
    fn read(
        &mut self,
        _: &mut Memory,
        address: u32,
        width: Width,
        _: Time,
    ) -> Result<u32, BusFault> {
        let cells = self.cells(address, width)?;
        let mut word = [0; 4];
        word[..cells.len()].copy_from_slice(cells);
        Ok(u32::from_le_bytes(word))
    }

    fn write(
        &mut self,
        _: &mut Memory,
        address: u32,
        width: Width,
        value: u32,
        _: Time,
    ) -> Result<Effect, BusFault> {
        let cells = self.cells(address, width)?;
        cells.copy_from_slice(&value.to_le_bytes()[..cells.len()]);
        Ok(Effect::None)
    }

    fn next_event(&self) -> Option<Time> {
        None
    }

    fn poll(&mut self, _: &mut Memory, _: Time) -> u32 {
        0
    }

    fn cycle(&self) -> Time {
        Time::from_nanos(1)
    }

    fn flash_busy_until(&self, _: Time) -> Option<Time> {
        None
    }

    fn take_reset(&mut self) -> Option<ResetCause> {
        None
    }
}

/// What everything begins with.
struct Bench {
    core: Core,
    memory: Memory,
    ram: [u8; RAM_SIZE],
    device: Device,
}

/// What came out of a vector.
struct Outcome {
    /// R0 to PC, flags with T, PRIMASK, what ended it, its address, width and whether it was a store.
    state: [u32; 22],
    ram: [u8; RAM_SIZE],
    device: Device,
}

impl Bench {
    fn new() -> Bench {
        let mut flash = vec![0; FLASH_SIZE];
        Random::fill(3, &mut flash);
        flash[..4].copy_from_slice(&(RAM_BASE + RAM_SIZE as u32).to_le_bytes());
        for exception in 1..48 {
            let vector = FLASH_BASE + 0x201 + 0x40 * exception;
            flash[4 * exception as usize..][..4].copy_from_slice(&vector.to_le_bytes());
        }
        // The generators of the oracle and of this file draw eight bytes at a time from the very beginning.
        let mut memory = Memory::new();
        memory.program(0, &flash);
        let mut ram = [0; RAM_SIZE];
        Random::fill(1, &mut ram);
        let mut device = Box::new([0; DEVICE_SIZE]);
        Random::fill(2, &mut device[..]);
        let mut core = Core::new();
        core.reset(&memory, Time::ZERO);
        Bench {
            core,
            memory,
            ram,
            device: Device(device),
        }
    }

    fn run(&mut self, vector: &Vector) -> Outcome {
        let mut core = self.core.clone();
        let mut device = self.device.clone();
        *self.memory.ram_mut() = self.ram;
        for (number, value) in vector.r.iter().enumerate() {
            core.set_register(number, *value);
        }
        core.set_xpsr(vector.flags << 28 | XPSR_THUMB);
        let code: Vec<u8> = vector
            .code
            .iter()
            .flat_map(|half| half.to_le_bytes())
            .collect();
        let restore = self.place(vector.r[15], &code);

        let (mut end, mut opcode) = (None, 0);
        for _ in 0..vector.steps {
            // Read now: the frame of a fault may come to lie on it.
            opcode = self.opcode(core.pc());
            end = step(&mut core, &mut self.memory, &mut device);
            if end.is_some() {
                break;
            }
        }
        let outcome = self.outcome(&core, end, opcode, device);
        if let Some((offset, bytes)) = restore {
            self.memory.program(offset, &bytes);
        }
        outcome
    }

    /// Puts code into flash or RAM; the flash content that is to come back.
    fn place(&mut self, address: u32, code: &[u8]) -> Option<(usize, Vec<u8>)> {
        if address >= RAM_BASE {
            let offset = (address - RAM_BASE) as usize;
            self.memory.ram_mut()[offset..offset + code.len()].copy_from_slice(code);
            return None;
        }
        let offset = (address & !FLASH_BASE) as usize;
        let before = self.memory.flash()[offset..offset + code.len()].to_vec();
        self.memory.program(offset, code);
        Some((offset, before))
    }

    fn outcome(&self, core: &Core, ended: Option<Ended>, opcode: u32, device: Device) -> Outcome {
        let mut r: [u32; 16] = std::array::from_fn(|number| core.register(number));
        let mut xpsr = core.xpsr();
        let mut ram = *self.memory.ram();
        let exception = xpsr & XPSR_EXCEPTION;
        let ended = ended.unwrap_or(Ended {
            end: End::Nothing,
            place: [0; 3],
        });
        if exception != 0 && ended.end != End::Unknown {
            // What the handler found is in its frame.
            let frame = (r[13] - RAM_BASE) as usize;
            let stacked: [u32; 8] = std::array::from_fn(|index| {
                let word = ram[frame + 4 * index..].first_chunk().expect("a frame");
                u32::from_le_bytes(*word)
            });
            r[..4].copy_from_slice(&stacked[..4]);
            r[12] = stacked[4];
            r[14] = stacked[5];
            r[15] = stacked[6];
            xpsr = stacked[7];
            r[13] += 32 + if xpsr & XPSR_REALIGNED != 0 { 4 } else { 0 };
        }
        if matches!(ended.end, End::Access | End::Unaligned) {
            // A load that broke off leaves its registers UNKNOWN (DDI 0419 B1.5.10).
            let unknown = match opcode >> 8 {
                0xC8..=0xCF => opcode & 0xFF & !(1 << (opcode >> 8 & 7)),
                0xBC | 0xBD => opcode & 0xFF,
                _ => 0,
            };
            for (number, value) in r.iter_mut().enumerate().take(8) {
                if unknown >> number & 1 != 0 {
                    *value = 0;
                }
            }
        }
        if !matches!(ended.end, End::Nothing | End::Bkpt | End::Sleep) {
            // The oracle stacks no frame.
            let sp = r[13].saturating_sub(RAM_BASE) as usize;
            ram[sp.saturating_sub(40).min(RAM_SIZE)..sp.min(RAM_SIZE)].fill(0);
        }
        let mut state = [0; 22];
        state[..16].copy_from_slice(&r);
        state[16] = xpsr & (XPSR_FLAGS | XPSR_THUMB);
        state[17] = u32::from(core.primask());
        state[18] = ended.end as u32;
        state[19..].copy_from_slice(&ended.place);
        Outcome { state, ram, device }
    }

    /// The half-word at `pc`; 0 where there is no memory.
    fn opcode(&self, pc: u32) -> u32 {
        let (memory, offset): (&[u8], u32) = if pc >= RAM_BASE {
            (self.memory.ram(), pc - RAM_BASE)
        } else {
            (self.memory.flash(), pc & !FLASH_BASE)
        };
        match memory.get(offset as usize..) {
            Some([low, high, ..]) => u32::from(u16::from_le_bytes([*low, *high])),
            _ => 0,
        }
    }
}

impl Outcome {
    fn crc(&self) -> u32 {
        let mut crc = Hasher::new();
        for word in self.state {
            crc.update(&word.to_le_bytes());
        }
        crc.update(&self.ram);
        crc.update(&self.device.0[..]);
        crc.finalize()
    }
}

/// What ended a run, and where.
struct Ended {
    end: End,
    /// Address, width, whether it was a store.
    place: [u32; 3],
}

/// Executes one instruction.
fn step(core: &mut Core, memory: &mut Memory, device: &mut Device) -> Option<Ended> {
    let until = core.now() + Time::from_nanos(1);
    let stop = core.run(memory, device, until);
    let plain = |end| Some(Ended { end, place: [0; 3] });
    match stop {
        Stop::Breakpoint(_) => return plain(End::Bkpt),
        Stop::Deadline | Stop::Lockup(_) => {}
        other => panic!("{other:?}"),
    }
    if core.is_sleeping() {
        return plain(End::Sleep);
    }
    match core.xpsr() & XPSR_EXCEPTION {
        SV_CALL => return plain(End::Svc),
        HARD_FAULT => {}
        _ if matches!(stop, Stop::Lockup(_)) => {}
        _ => return None,
    }
    let FaultReport { kind, .. } = core.last_fault().expect("a fault that is told");
    match kind {
        FaultKind::Access {
            fault: BusFault::Unaligned,
            ..
        } => plain(End::Unaligned),
        FaultKind::Access {
            address,
            width,
            write,
            ..
        } => Some(Ended {
            end: End::Access,
            place: [address, width as u32, u32::from(write)],
        }),
        FaultKind::Undefined { .. } => plain(End::Undefined),
        FaultKind::Fetch => plain(End::Fetch),
        FaultKind::NotThumb => plain(End::NotThumb),
        _ => plain(End::Unknown),
    }
}

/// The seeds with their CRCs.
fn vectors() -> impl Iterator<Item = (u64, u32)> {
    let mut next = 0;
    VECTORS
        .as_chunks::<5>()
        .0
        .iter()
        .map(move |[distance, crc @ ..]| {
            let seed = next + u64::from(*distance) - 1;
            next = seed + 1;
            (seed, u32::from_le_bytes(*crc))
        })
}

#[test]
fn every_vector_of_the_oracle_agrees() {
    let mut bench = Bench::new();
    let mut different = Vec::new();
    let mut count = 0;
    for (seed, crc) in vectors() {
        count += 1;
        if bench.run(&Vector::new(seed)).crc() != crc {
            different.push(seed);
        }
    }
    println!("oracle: {count} vectors, {} differ", different.len());
    assert!(count >= LEAST, "{count} vectors are too few");
    assert!(
        different.is_empty(),
        "{} of {count} vectors differ, the first with these seeds (LOGDOCK_EXPLAIN=SEED shows one): {:?}",
        different.len(),
        &different[..different.len().min(20)]
    );
}

#[test]
fn a_single_wrong_bit_anywhere_is_seen() {
    let mut bench = Bench::new();
    let (seed, crc) = vectors().next().expect("a vector");
    let mut outcome = bench.run(&Vector::new(seed));
    for word in 0..outcome.state.len() {
        outcome.state[word] ^= 1 << (word % 32);
        assert_ne!(outcome.crc(), crc, "word {word} of the state");
        outcome.state[word] ^= 1 << (word % 32);
    }
    outcome.ram[RAM_SIZE - 1] ^= 1;
    assert_ne!(outcome.crc(), crc);
    outcome.ram[RAM_SIZE - 1] ^= 1;
    outcome.device.0[0] ^= 0x80;
    assert_ne!(outcome.crc(), crc);
    outcome.device.0[0] ^= 0x80;
    assert_eq!(outcome.crc(), crc);
}

/// Without `LOGDOCK_EXPLAIN=SEED` it is only checked that a vector gives the same twice; with it, a person gets it laid
/// out as `make_vectors.py --explain` does.
#[test]
fn a_vector_is_the_same_every_time_and_can_be_explained() {
    let wanted = std::env::var("LOGDOCK_EXPLAIN").ok();
    let seed = wanted
        .as_deref()
        .map_or(0, |text| text.parse().expect("LOGDOCK_EXPLAIN is a seed"));
    let vector = Vector::new(seed);
    let outcome = Bench::new().run(&vector);
    if wanted.is_some() {
        let words = |words: &[u32]| {
            let words: Vec<String> = words.iter().map(|word| format!("{word:08x}")).collect();
            words.join(" ")
        };
        let code: Vec<String> = vector
            .code
            .iter()
            .map(|half| format!("{half:04x}"))
            .collect();
        println!("code {} steps {}", code.join(" "), vector.steps);
        println!("before {} {:x}", words(&vector.r), vector.flags);
        println!("after  {}", words(&outcome.state));
        println!(
            "ram {:08x} device {:08x}",
            crc32fast::hash(&outcome.ram),
            crc32fast::hash(&outcome.device.0[..])
        );
    }
    assert_eq!(Bench::new().run(&vector).crc(), outcome.crc());
}
