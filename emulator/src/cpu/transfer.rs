//! Loads and stores wherever the fast loop cannot: peripherals, the core's own registers, busy flash, and all that
//! faults.
//!
//! A transfer that faults leaves every register as it was.

use core::ops::ControlFlow;

use super::Core;
use super::bus::{Bus, BusFault, Effect, Width};
use super::decode::{Kind, Op};
use super::report::{FaultKind, Stop};
use crate::memory::{Memory, RAM_BASE, RAM_SIZE, flash_offset};

/// The private peripheral bus (DDI 0419 B3.1).
const PRIVATE_BUS: core::ops::Range<u32> = 0xE000_0000..0xE010_0000;
/// The GPIO ports are on the core's single-cycle I/O port (ST RM0376, memory map).
const IO_PORT: core::ops::Range<u32> = 0x5000_0000..0x5000_2000;

/// A load's place in its register.
#[derive(Clone, Copy)]
enum Extend {
    Zero,
    Sign,
}

impl Core {
    /// Executes the load or store at PC. Breaks when the outer loop has to look at the world again, or to stop.
    pub(super) fn transfer(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        op: Op,
    ) -> ControlFlow<Option<Stop>> {
        let base = self.registers.r[usize::from(op.n)];
        let displaced = base.wrapping_add(op.immediate);
        let indexed = base.wrapping_add(self.registers.r[usize::from(op.m)]);
        let literal = self.pc().wrapping_add(op.immediate);
        let (address, loads) = match op.kind {
            Kind::Push => (base.wrapping_sub(4 * u32::from(op.d)), false),
            Kind::Stm => (base, false),
            Kind::Pop | Kind::PopPc | Kind::Ldm => (base, true),
            Kind::LdrLit => (literal, true),
            Kind::StrImm | Kind::StrhImm | Kind::StrbImm => (displaced, false),
            Kind::StrReg | Kind::StrhReg | Kind::StrbReg => (indexed, false),
            Kind::LdrImm | Kind::LdrhImm | Kind::LdrbImm => (displaced, true),
            _ => (indexed, true),
        };
        if loads && flash_offset(address).is_some() && bus.flash_busy_until(self.now).is_some() {
            self.stalled = true;
            return ControlFlow::Break(None);
        }
        let pc = self.pc();
        let done = match op.kind {
            Kind::Push | Kind::Stm => self.store_list(memory, bus, op, address),
            Kind::Pop | Kind::PopPc | Kind::Ldm => self.load_list(memory, bus, op, address),
            Kind::StrImm | Kind::StrReg => self.store_one(memory, bus, op, address, Width::Word),
            Kind::StrhImm | Kind::StrhReg => self.store_one(memory, bus, op, address, Width::Half),
            Kind::StrbImm | Kind::StrbReg => self.store_one(memory, bus, op, address, Width::Byte),
            Kind::LdrshReg => self.load_one(memory, bus, op, address, Width::Half, Extend::Sign),
            Kind::LdrsbReg => self.load_one(memory, bus, op, address, Width::Byte, Extend::Sign),
            Kind::LdrhImm | Kind::LdrhReg => {
                self.load_one(memory, bus, op, address, Width::Half, Extend::Zero)
            }
            Kind::LdrbImm | Kind::LdrbReg => {
                self.load_one(memory, bus, op, address, Width::Byte, Extend::Zero)
            }
            _ => self.load_one(memory, bus, op, address, Width::Word, Extend::Zero),
        };
        match done {
            Err(kind) => ControlFlow::Break(self.fault(memory, kind)),
            Ok(effect) => {
                self.instructions += 1;
                if op.kind == Kind::PopPc {
                    // The outer loop looks at T, and at EXC_RETURN.
                    let target = std::mem::replace(&mut self.registers.r[15], pc);
                    return self.finish_pop(memory, bus, target);
                }
                self.registers.r[15] = self.registers.r[15].wrapping_add(2);
                match effect {
                    Effect::None => ControlFlow::Continue(()),
                    Effect::Attention => ControlFlow::Break(None),
                }
            }
        }
    }

    fn load_one(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        op: Op,
        address: u32,
        width: Width,
        extend: Extend,
    ) -> Result<Effect, FaultKind> {
        let value = self.load(memory, bus, address, width)?;
        self.registers.r[usize::from(op.d)] = match (extend, width) {
            (Extend::Sign, Width::Byte) => value as i8 as u32,
            (Extend::Sign, Width::Half) => value as i16 as u32,
            _ => value,
        };
        self.charge(if IO_PORT.contains(&address) { 1 } else { 2 });
        Ok(Effect::None)
    }

    fn store_one(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        op: Op,
        address: u32,
        width: Width,
    ) -> Result<Effect, FaultKind> {
        let value = self.registers.r[usize::from(op.d)];
        let value = match width {
            Width::Byte => value & 0xFF,
            Width::Half => value & 0xFFFF,
            Width::Word => value,
        };
        let effect = self.store(memory, bus, address, width, value)?;
        self.charge(if IO_PORT.contains(&address) { 1 } else { 2 });
        Ok(effect)
    }

    fn store_list(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        op: Op,
        address: u32,
    ) -> Result<Effect, FaultKind> {
        let mut effect = Effect::None;
        let mut place = address;
        for number in (0..16).filter(|number| op.immediate >> number & 1 != 0) {
            let value = self.registers.r[number];
            if self.store(memory, bus, place, Width::Word, value)? == Effect::Attention {
                effect = Effect::Attention;
            }
            place = place.wrapping_add(4);
        }
        self.registers.r[usize::from(op.n)] = if op.kind == Kind::Push {
            address
        } else {
            place
        };
        self.charge(1 + u64::from(op.d));
        Ok(effect)
    }

    fn load_list(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        op: Op,
        address: u32,
    ) -> Result<Effect, FaultKind> {
        let with_pc = if op.kind == Kind::PopPc { 1 << 15 } else { 0 };
        let list = op.immediate | with_pc;
        let mut loaded = self.registers.r;
        let mut place = address;
        for number in (0..16).filter(|number| list >> number & 1 != 0) {
            loaded[number] = self.load(memory, bus, place, Width::Word)?;
            place = place.wrapping_add(4);
        }
        if list >> op.n & 1 == 0 {
            loaded[usize::from(op.n)] = place;
        }
        self.registers.r = loaded;
        self.charge(1 + u64::from(op.d) + if with_pc != 0 { 2 } else { 0 });
        Ok(Effect::None)
    }

    /// POP has loaded everything but PC, which is to be `target`.
    fn finish_pop(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        target: u32,
    ) -> ControlFlow<Option<Stop>> {
        if target >> 28 == 0xF {
            return ControlFlow::Break(self.end_exception(memory, bus, target));
        }
        self.registers.r[15] = target & !1;
        self.thumb = target & 1 != 0;
        ControlFlow::Break(None)
    }

    fn load(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        address: u32,
        width: Width,
    ) -> Result<u32, FaultKind> {
        let value = self.read(memory, bus, address, width);
        self.record(address, width, false, value);
        value.map_err(|fault| FaultKind::Access {
            address,
            width,
            write: false,
            fault,
        })
    }

    fn read(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        address: u32,
        width: Width,
    ) -> Result<u32, BusFault> {
        let bytes = width as usize;
        if address as usize & (bytes - 1) != 0 {
            return Err(BusFault::Unaligned);
        }
        if PRIVATE_BUS.contains(&address) {
            return self.read_private(address, width);
        }
        let ram_offset = address.wrapping_sub(RAM_BASE) as usize;
        let stored = if ram_offset < RAM_SIZE {
            &memory.ram()[ram_offset..ram_offset + bytes]
        } else if let Some(offset) = flash_offset(address) {
            &memory.flash()[offset..offset + bytes]
        } else {
            return bus.read(memory, address, width, self.now);
        };
        let mut word = [0; 4];
        word[..bytes].copy_from_slice(stored);
        Ok(u32::from_le_bytes(word))
    }

    fn store(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        address: u32,
        width: Width,
        value: u32,
    ) -> Result<Effect, FaultKind> {
        let effect = self.write(memory, bus, address, width, value);
        self.record(address, width, true, effect.map(|_| value));
        effect.map_err(|fault| FaultKind::Access {
            address,
            width,
            write: true,
            fault,
        })
    }

    fn write(
        &mut self,
        memory: &mut Memory,
        bus: &mut impl Bus,
        address: u32,
        width: Width,
        value: u32,
    ) -> Result<Effect, BusFault> {
        let bytes = width as usize;
        if address as usize & (bytes - 1) != 0 {
            return Err(BusFault::Unaligned);
        }
        if PRIVATE_BUS.contains(&address) {
            self.write_private(address, width, value)?;
            return Ok(Effect::Attention);
        }
        let ram_offset = address.wrapping_sub(RAM_BASE) as usize;
        if ram_offset < RAM_SIZE {
            memory.ram_mut()[ram_offset..ram_offset + bytes]
                .copy_from_slice(&value.to_le_bytes()[..bytes]);
            return Ok(Effect::None);
        }
        bus.write(memory, address, width, value, self.now)
    }
}
