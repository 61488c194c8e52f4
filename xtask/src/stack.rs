//! How deep a program's stack can get: an upper bound, read from its instructions.
//! Must never guess low: what it cannot follow is reported and makes the bound worthless.
//!
//! Every function is walked along all its ways with the bytes it has on the stack, and every call is noted with the
//! depth at that point. A call through a register may reach any function whose address stands somewhere in the
//! program's data. Functions that can reach themselves count once each, and are named. Then comes the deepest exception
//! handler on top: all of them have the same priority, so one never interrupts another.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use crate::elf::Elf;
use crate::thumb::{Instruction, Register, decode};

/// An exception pushes eight words, and one more when the stack was not aligned to 8 bytes
/// (ARMv6-M Architecture Reference Manual, B1.5.6).
const EXCEPTION_FRAME: u32 = 36;
/// More than there is RAM: a function that gets here grows in a loop.
const ABSURD: u32 = 8192;
/// `mov r8, r8`, with which compilers for this processor fill up to an aligned address.
const NOP: u16 = 0x46C0;
/// Section of the vector table, as cortex-m-rt names it.
const VECTOR_TABLE: &str = ".vector_table";

/// What is known of a program's stack.
#[derive(Debug, PartialEq, Eq)]
pub struct StackBound {
    /// Bytes that it never exceeds, unless something is `unknown`.
    pub bytes: u32,
    /// The chain of calls that takes most, from the reset handler on.
    pub thread: Vec<Call>,
    /// The chain of calls that takes most on top of it, from an exception handler on.
    pub handler: Vec<Call>,
    /// Groups of functions that can reach themselves; each function is counted once.
    pub recursion: Vec<Vec<String>>,
    /// What could not be followed.
    pub unknown: Vec<String>,
}

/// One function of a chain of calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The function.
    pub name: String,
    /// Bytes it has on the stack when it calls the next of the chain; for the last one, its most.
    pub bytes: u32,
}

/// Finds the bound for a linked program with symbols and a vector table.
///
/// # Errors
/// When there is no vector table to start from.
pub fn bound(elf: &Elf) -> Result<StackBound> {
    let table = elf
        .section(VECTOR_TABLE)
        .context("the program has no vector table")?;
    let vectors: Vec<u32> = (table.address..table.address + table.size)
        .step_by(4)
        .skip(1)
        .filter_map(|address| elf.word(address))
        .filter(|word| word & 1 == 1)
        .map(|word| word & !1)
        .collect();
    let (&reset, handlers) = vectors.split_first().context("the vector table is empty")?;

    let mut graph = Graph::of(elf);
    let depths = graph.depths();
    let of = |address: u32| {
        graph
            .index_of(elf, address)
            .map(|index| (depths.bytes[index], index))
    };
    let (thread_bytes, thread) = of(reset).context("the reset vector points at no function")?;
    let handler = handlers.iter().filter_map(|&address| of(address)).max();
    if handlers.iter().any(|&address| of(address).is_none()) {
        graph
            .unknown
            .insert("an exception vector points at no function".to_owned());
    }

    Ok(StackBound {
        bytes: thread_bytes + handler.map_or(0, |(bytes, _)| EXCEPTION_FRAME + bytes),
        thread: graph.chain(&depths, thread),
        handler: handler
            .map(|(_, index)| graph.chain(&depths, index))
            .unwrap_or_default(),
        recursion: depths.recursion,
        unknown: graph.unknown.into_iter().collect(),
    })
}

/// The program as functions that call each other.
struct Graph {
    nodes: Vec<Node>,
    unknown: BTreeSet<String>,
}

struct Node {
    name: String,
    /// Most bytes it has on the stack itself.
    own: u32,
    /// Functions it calls, with the most bytes it has on the stack then.
    calls: BTreeMap<usize, u32>,
}

/// Results for all functions.
struct Depths {
    /// Most bytes from a function's start on.
    bytes: Vec<u32>,
    /// The call that takes most, if one takes more than the function itself.
    next: Vec<Option<usize>>,
    recursion: Vec<Vec<String>>,
}

impl Graph {
    fn of(elf: &Elf) -> Self {
        let mut unknown = BTreeSet::new();
        let taken = address_taken(elf);
        let mut nodes = Vec::new();
        for function in &elf.functions {
            let body = Walk::through(elf, function.address, function.end);
            let mut calls = BTreeMap::new();
            let mut call = |index: usize, depth: u32| {
                let most = calls.entry(index).or_insert(depth);
                *most = depth.max(*most);
            };
            for (callee, depth) in body.calls {
                match callee {
                    Callee::At(address) => match elf
                        .functions
                        .iter()
                        .position(|f| (f.address..f.end).contains(&address))
                    {
                        Some(index) => call(index, depth),
                        None => {
                            unknown.insert(format!(
                                "{} calls {address:#010x}, where no function is",
                                function.name
                            ));
                        }
                    },
                    Callee::Any => taken.iter().for_each(|&index| call(index, depth)),
                }
            }
            unknown.extend(
                body.unknown
                    .into_iter()
                    .map(|what| format!("{} {what}", function.name)),
            );
            nodes.push(Node {
                name: function.name.clone(),
                own: body.most,
                calls,
            });
        }
        Self { nodes, unknown }
    }

    fn index_of(&self, elf: &Elf, address: u32) -> Option<usize> {
        let found = elf.function_at(address)?;
        elf.functions.iter().position(|function| function == found)
    }

    /// Adds depths up from the leaves; functions that reach each other are taken together.
    fn depths(&self) -> Depths {
        let count = self.nodes.len();
        let mut depths = Depths {
            bytes: vec![0; count],
            next: vec![None; count],
            recursion: Vec::new(),
        };
        for group in self.groups() {
            let [only] = group[..] else {
                self.add_up_recursion(&group, &mut depths);
                continue;
            };
            if self.nodes[only].calls.contains_key(&only) {
                self.add_up_recursion(&group, &mut depths);
                continue;
            }
            let node = &self.nodes[only];
            depths.bytes[only] = node.own;
            for (&callee, &depth) in &node.calls {
                if depth + depths.bytes[callee] > depths.bytes[only] {
                    depths.bytes[only] = depth + depths.bytes[callee];
                    depths.next[only] = Some(callee);
                }
            }
        }
        depths
    }

    /// Every function of the group once, and the deepest call out of it: no way without repetition takes more.
    fn add_up_recursion(&self, group: &[usize], depths: &mut Depths) {
        let inside: u32 = group.iter().map(|&index| self.nodes[index].own).sum();
        let out = group
            .iter()
            .flat_map(|&index| self.nodes[index].calls.keys().copied())
            .filter(|callee| !group.contains(callee))
            .max_by_key(|&callee| depths.bytes[callee]);
        for &index in group {
            depths.bytes[index] = inside + out.map_or(0, |callee| depths.bytes[callee]);
            depths.next[index] = out;
        }
        depths.recursion.push(
            group
                .iter()
                .map(|&index| self.nodes[index].name.clone())
                .collect(),
        );
    }

    /// Strongly connected groups, callees before their callers (Tarjan).
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut search = Search {
            graph: self,
            order: vec![None; self.nodes.len()],
            lowest: vec![0; self.nodes.len()],
            open: Vec::new(),
            groups: Vec::new(),
            visited: 0,
        };
        for index in 0..self.nodes.len() {
            if search.order[index].is_none() {
                search.visit(index);
            }
        }
        search.groups
    }

    fn chain(&self, depths: &Depths, start: usize) -> Vec<Call> {
        let mut chain = Vec::new();
        let mut at = Some(start);
        while let Some(index) = at {
            let next = depths.next[index];
            // What lies between two functions' bounds is what the first has on the stack, its recursion included.
            let bytes = depths.bytes[index] - next.map_or(0, |next| depths.bytes[next]);
            chain.push(Call {
                name: self.nodes[index].name.clone(),
                bytes,
            });
            at = next;
        }
        chain
    }
}

struct Search<'a> {
    graph: &'a Graph,
    order: Vec<Option<usize>>,
    lowest: Vec<usize>,
    open: Vec<usize>,
    groups: Vec<Vec<usize>>,
    visited: usize,
}

impl Search<'_> {
    fn visit(&mut self, index: usize) {
        let own = self.visited;
        self.visited += 1;
        self.order[index] = Some(own);
        self.lowest[index] = own;
        self.open.push(index);
        let graph = self.graph;
        for &callee in graph.nodes[index].calls.keys() {
            match self.order[callee] {
                None => {
                    self.visit(callee);
                    self.lowest[index] = self.lowest[index].min(self.lowest[callee]);
                }
                Some(order) if self.open.contains(&callee) => {
                    self.lowest[index] = self.lowest[index].min(order);
                }
                Some(_) => {}
            }
        }
        if self.lowest[index] == own {
            let start = self
                .open
                .iter()
                .rposition(|&open| open == index)
                .unwrap_or_default();
            self.groups.push(self.open.split_off(start));
        }
    }
}

/// Functions whose address stands in data: those that a call through a register may reach.
fn address_taken(elf: &Elf) -> BTreeSet<usize> {
    let starts: BTreeMap<u32, usize> = elf
        .functions
        .iter()
        .enumerate()
        .map(|(index, function)| (function.address | 1, index))
        .collect();
    elf.data_words()
        .filter(|(section, _)| section.name != VECTOR_TABLE)
        .filter_map(|(_, word)| starts.get(&word).copied())
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Callee {
    At(u32),
    /// Whatever a register holds.
    Any,
}

/// What a register holds, as far as a call or the stack pointer may depend on it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Value {
    Unknown,
    Constant(u32),
    /// Its low bits were cleared, up to this many bytes: how a stack is aligned beyond 8.
    Aligned(u32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    depth: u32,
    registers: [Value; 13],
}

/// A walk along all ways through one function.
struct Walk<'a> {
    elf: &'a Elf,
    start: u32,
    end: u32,
    /// What holds at each instruction, whichever way leads there.
    reached: BTreeMap<u32, State>,
    most: u32,
    calls: BTreeMap<Callee, u32>,
    /// The deepest jump through a table.
    computed: Option<u32>,
    unknown: BTreeSet<String>,
}

impl<'a> Walk<'a> {
    fn through(elf: &'a Elf, start: u32, end: u32) -> Self {
        let mut walk = Self {
            elf,
            start,
            end,
            reached: BTreeMap::new(),
            most: 0,
            calls: BTreeMap::new(),
            computed: None,
            unknown: BTreeSet::new(),
        };
        walk.follow(start, State::at(0));
        // Where a table leads is not followed: every instruction that was not reached otherwise is.
        let mut landings = BTreeSet::new();
        while let Some(depth) = walk.computed {
            landings.extend(walk.unreached());
            if landings.iter().all(|landing| {
                walk.reached
                    .get(landing)
                    .is_some_and(|state| state.depth >= depth)
            }) {
                break;
            }
            for &landing in &landings {
                walk.follow(landing, State::at(depth));
            }
        }
        walk
    }

    /// The first instruction that no way has led to, leaving out what only fills the room before a literal.
    fn unreached(&self) -> Option<u32> {
        let mut address = self.start;
        while address < self.end {
            match self.code(address) {
                Some(first) if self.reached.contains_key(&address) => {
                    address += decode(address, first, self.code(address + 2)).1;
                }
                Some(_) if !self.is_padding(address) => return Some(address),
                _ => address += 2,
            }
        }
        None
    }

    fn call(&mut self, callee: Callee, depth: u32) {
        let most = self.calls.entry(callee).or_insert(depth);
        *most = depth.max(*most);
    }

    fn follow(&mut self, address: u32, state: State) {
        let mut ways = vec![(address, state)];
        while let Some((address, state)) = ways.pop() {
            if !(self.start..self.end).contains(&address) {
                // A jump to, or a way on into, another function: its depth comes on top of this one's.
                self.call(Callee::At(address), state.depth);
                continue;
            }
            let state = match self.reached.get(&address) {
                Some(&before) => {
                    let both = before.joined(state);
                    if both == before {
                        continue;
                    }
                    both
                }
                None => state,
            };
            if state.depth > ABSURD {
                self.unknown
                    .insert("takes more and more stack in a loop".to_owned());
                continue;
            }
            self.reached.insert(address, state);
            let Some(first) = self.code(address) else {
                self.unknown
                    .insert(format!("runs into data at {address:#010x}"));
                continue;
            };
            let (instruction, length) = decode(address, first, self.code(address + 2));
            self.step(address + length, instruction, state, &mut ways);
        }
    }

    fn step(
        &mut self,
        behind: u32,
        instruction: Instruction,
        mut state: State,
        ways: &mut Vec<(u32, State)>,
    ) {
        let value = |register: Register| {
            state
                .registers
                .get(usize::from(register))
                .copied()
                .unwrap_or(Value::Unknown)
        };
        match instruction {
            Instruction::Push(bytes) | Instruction::Grow(bytes) => state.depth += bytes,
            Instruction::Shrink(bytes) => state.depth = state.depth.saturating_sub(bytes),
            Instruction::Pop(registers) => {
                state.depth = state.depth.saturating_sub(registers.count_ones() * 4);
                state.forget(registers);
            }
            Instruction::AddToStack(register) => match value(register) {
                Value::Constant(constant) => {
                    state.depth = state
                        .depth
                        .saturating_add_signed(constant.cast_signed().wrapping_neg());
                }
                _ => {
                    self.unknown
                        .insert("moves its stack pointer by an unknown amount".to_owned());
                }
            },
            // Otherwise it is the way back from a frame pointer: it never adds to the stack.
            Instruction::SetStack(register) => {
                if let Value::Aligned(bytes) = value(register) {
                    state.depth += bytes - 1;
                }
            }
            Instruction::Return => {
                self.leave_thunk(&state);
                return;
            }
            Instruction::Undefined => return,
            Instruction::Jump(target) => {
                ways.push((target, state));
                return;
            }
            Instruction::Branch(target) => ways.push((target, state)),
            // Too far for a branch, compilers use the instruction of a call to jump within a function.
            Instruction::Call(target) if target > self.start && target < self.end => {
                ways.push((target, state));
                return;
            }
            Instruction::Call(target) => {
                self.call(Callee::At(target), state.depth);
                if !self.comes_back(behind) {
                    return;
                }
                state.forget_after_call();
            }
            Instruction::CallRegister(register) => {
                self.call(reached_by(value(register)), state.depth);
                if !self.comes_back(behind) {
                    return;
                }
                state.forget_after_call();
            }
            Instruction::JumpRegister(register) => {
                self.call(reached_by(value(register)), state.depth);
                return;
            }
            Instruction::ComputedJump => {
                self.computed = self.computed.max(Some(state.depth));
                return;
            }
            Instruction::LoadLiteral(register, address) => {
                let literal = self
                    .elf
                    .word(address)
                    .map_or(Value::Unknown, Value::Constant);
                state.registers[usize::from(register)] = literal;
            }
            Instruction::Set(register, constant) => {
                state.registers[usize::from(register)] = Value::Constant(constant);
            }
            Instruction::ShiftLeft { to, from, by } => {
                state.registers[usize::from(to)] = match value(from) {
                    Value::Constant(constant) => Value::Constant(constant << by),
                    _ if by > 0 => Value::Aligned(1 << by),
                    other => other,
                };
            }
            Instruction::Negate { to, from } => {
                state.compute(to, value(from), |constant| constant.wrapping_neg())
            }
            Instruction::Invert { to, from } => {
                state.compute(to, value(from), |constant| !constant)
            }
            Instruction::Add(register, n) => {
                state.compute(register, value(register), |constant| {
                    constant.wrapping_add(n)
                });
            }
            Instruction::Subtract(register, n) => {
                state.compute(register, value(register), |constant| {
                    constant.wrapping_sub(n)
                });
            }
            Instruction::Copy { to, from } => {
                // What the link register holds is not followed.
                let copied = value(from);
                if let Some(held) = state.registers.get_mut(usize::from(to)) {
                    *held = copied;
                }
            }
            Instruction::Other { changes } => state.forget(changes),
        }
        self.most = self.most.max(state.depth);
        ways.push((behind, state));
    }

    /// A call with no code of its function behind it is to one that never returns, such as a panic.
    fn comes_back(&self, behind: u32) -> bool {
        self.code(behind).is_some() && !self.is_padding(behind)
    }

    /// The instruction at an address, if it is this function's.
    fn code(&self, address: u32) -> Option<u16> {
        self.elf
            .code(address)
            .filter(|_| (self.start..self.end).contains(&address))
    }

    /// Only fills the room before a literal or the next function.
    fn is_padding(&self, address: u32) -> bool {
        self.code(address) == Some(NOP) && self.code(address + 2).is_none()
    }

    /// The linker reaches far functions through thunks that put the address on the stack and "return" to it.
    fn leave_thunk(&mut self, state: &State) {
        let name = self
            .elf
            .function_at(self.start)
            .map(|function| function.name.as_str())
            .unwrap_or_default();
        let Some((_, target)) = name
            .split_once("Thunk_")
            .filter(|_| name.starts_with("__Thumb"))
        else {
            return;
        };
        match self
            .elf
            .functions
            .iter()
            .find(|function| function.name == format!("{:#}", rustc_demangle::demangle(target)))
        {
            Some(function) => self.call(Callee::At(function.address), state.depth),
            None => {
                self.unknown
                    .insert(format!("leads to {target}, which is not there"));
            }
        }
    }
}

impl State {
    fn at(depth: u32) -> Self {
        Self {
            depth,
            registers: [Value::Unknown; 13],
        }
    }

    /// These low registers got another value, one bit each.
    fn forget(&mut self, registers: u8) {
        for (register, held) in self.registers.iter_mut().enumerate().take(8) {
            if registers >> register & 1 == 1 {
                *held = Value::Unknown;
            }
        }
    }

    /// A function may change r0 to r3 and r12 (Procedure Call Standard for the Arm Architecture, 6.1.1).
    fn forget_after_call(&mut self) {
        self.registers[..4].fill(Value::Unknown);
        self.registers[12] = Value::Unknown;
    }

    /// What holds where two ways meet.
    fn joined(self, other: Self) -> Self {
        let mut registers = self.registers;
        for (held, others) in registers.iter_mut().zip(other.registers) {
            if *held != others {
                *held = Value::Unknown;
            }
        }
        Self {
            depth: self.depth.max(other.depth),
            registers,
        }
    }

    fn compute(&mut self, to: Register, from: Value, operation: impl Fn(u32) -> u32) {
        self.registers[usize::from(to)] = match from {
            Value::Constant(constant) => Value::Constant(operation(constant)),
            _ => Value::Unknown,
        };
    }
}

/// Whom a call or jump through a register reaches.
fn reached_by(value: Value) -> Callee {
    match value {
        Value::Constant(address) => Callee::At(address & !1),
        _ => Callee::Any,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUSH_LR: u16 = 0xB500;
    const POP_PC: u16 = 0xBD00;
    const PUSH_4: u16 = 0xB510;
    const POP_4: u16 = 0xBD10;
    const SUB_SP_32: u16 = 0xB088;
    const ADD_SP_32: u16 = 0xB008;
    const BX_LR: u16 = 0x4770;

    /// A program at address 0x100 whose functions start at these halfwords; the first is the reset handler.
    fn program(code: &[u16], functions: &[(&str, u32)], data_from: Option<u32>) -> Elf {
        let bytes = code
            .iter()
            .flat_map(|halfword| halfword.to_le_bytes())
            .collect();
        let functions: Vec<(&str, u32)> = functions
            .iter()
            .map(|&(name, halfword)| (name, 0x100 + halfword * 2))
            .collect();
        Elf::of_code(
            0x100,
            bytes,
            &functions,
            data_from.map(|halfword| 0x100 + halfword * 2),
        )
        .with_vectors(&[0x2000_2000, 0x101])
    }

    /// `bl` from one halfword to another.
    fn call(from: u32, to: u32) -> [u16; 2] {
        let offset = (i64::from(to) - i64::from(from) - 2) as u32;
        [
            0xF000 | (offset >> 11 & 0x7FF) as u16,
            0xF800 | (offset & 0x7FF) as u16,
        ]
    }

    fn bytes(elf: &Elf) -> u32 {
        let bound = bound(elf).expect("a bound");
        assert_eq!(bound.unknown, Vec::<String>::new());
        bound.bytes
    }

    #[test]
    fn a_function_takes_what_it_pushes_and_subtracts() {
        assert_eq!(
            bytes(&program(
                &[PUSH_4, SUB_SP_32, NOP, ADD_SP_32, POP_4],
                &[("reset", 0)],
                None
            )),
            40
        );
    }

    #[test]
    fn a_call_counts_with_the_depth_at_its_place() {
        // The caller has 4 bytes at the call and 36 later; the callee takes 8.
        let [high, low] = call(1, 6);
        let code = [
            PUSH_LR, high, low, SUB_SP_32, ADD_SP_32, POP_PC, PUSH_4, POP_4,
        ];
        assert_eq!(
            bytes(&program(&code, &[("reset", 0), ("callee", 6)], None)),
            36
        );
        let [high, low] = call(2, 6);
        let code = [
            PUSH_LR, SUB_SP_32, high, low, ADD_SP_32, POP_PC, PUSH_4, POP_4,
        ];
        let elf = program(&code, &[("reset", 0), ("callee", 6)], None);
        assert_eq!(bytes(&elf), 44);
        let thread = bound(&elf).expect("a bound").thread;
        assert_eq!(
            thread,
            [
                Call {
                    name: "reset".into(),
                    bytes: 36
                },
                Call {
                    name: "callee".into(),
                    bytes: 8
                }
            ]
        );
    }

    #[test]
    fn a_call_that_never_returns_may_stand_last() {
        // reset: push {lr}; bl endless; endless: b .; deep: sub, add, bx lr, which nobody calls
        let [high, low] = call(1, 6);
        let code = [PUSH_LR, high, low, SUB_SP_32, ADD_SP_32, BX_LR, 0xE7FE];
        assert_eq!(
            bytes(&program(
                &code,
                &[("reset", 0), ("deep", 3), ("endless", 6)],
                None
            )),
            4
        );
        // The same with room and a literal behind the call.
        let [high, low] = call(1, 6);
        let code = [PUSH_LR, high, low, NOP, 1, 2, 0xE7FE];
        let elf = program(&code, &[("reset", 0), ("endless", 6)], None).with_literals(0x108..0x10C);
        assert_eq!(bytes(&elf), 4);
    }

    #[test]
    fn a_far_jump_within_a_function_is_no_call() {
        // reset: push {r4, lr}; bl to the last instruction; sub, add; pop {r4, pc}
        let [high, low] = call(1, 5);
        let elf = program(
            &[PUSH_4, high, low, SUB_SP_32, ADD_SP_32, POP_4],
            &[("reset", 0)],
            None,
        );
        assert_eq!(bytes(&elf), 8);
        assert_eq!(
            bound(&elf).expect("a bound").recursion,
            Vec::<Vec<String>>::new()
        );
    }

    #[test]
    fn an_early_return_does_not_lower_what_comes_behind_it() {
        // push; beq over the return; pop {pc}; sub sp; add sp; pop {pc}
        let code = [PUSH_4, 0xD000, POP_4, SUB_SP_32, ADD_SP_32, POP_4];
        assert_eq!(bytes(&program(&code, &[("reset", 0)], None)), 40);
    }

    #[test]
    fn a_large_frame_is_read_from_its_literal() {
        // ldr r6, [pc, #4]; add sp, r6; b .; nop; .word -2048
        let code = [0x4E01, 0x44B5, 0xE7FE, NOP, 0xF800, 0xFFFF];
        assert_eq!(bytes(&program(&code, &[("reset", 0)], Some(4))), 2048);
    }

    #[test]
    fn a_stack_aligned_to_sixteen_takes_up_to_fifteen_more() {
        // mov r4, sp; lsrs r4, r4, #4; lsls r4, r4, #4; mov sp, r4; bx lr
        assert_eq!(
            bytes(&program(
                &[0x466C, 0x0924, 0x0124, 0x46A5, BX_LR],
                &[("reset", 0)],
                None
            )),
            15
        );
    }

    #[test]
    fn a_call_through_a_register_reaches_every_function_whose_address_is_taken() {
        // reset: push {lr}; blx r3; pop {pc}; big: sub, add, bx; small and unnamed in data: bx; .word big + 1
        let code = [
            PUSH_LR, 0x4798, POP_PC, SUB_SP_32, ADD_SP_32, BX_LR, 0x0107, 0,
        ];
        let functions = [("reset", 0), ("big", 3)];
        assert_eq!(bytes(&program(&code, &functions, Some(6))), 36);
        let nobody = [PUSH_LR, 0x4798, POP_PC, SUB_SP_32, ADD_SP_32, BX_LR, 0, 0];
        assert_eq!(bytes(&program(&nobody, &functions, Some(6))), 4);
    }

    #[test]
    fn a_callee_is_known_through_copies_until_its_register_is_popped() {
        // reset: ldr r4, =quiet; mov r8, r4; mov r5, r8; push/pop of r4; blx r5; b .; quiet: bx lr; deep; literals
        let functions = [("reset", 0), ("quiet", 7), ("deep", 8)];
        let through = |call: u16| {
            vec![
                0x4C05, 0x46A0, 0x4645, 0xB410, 0xBC10, call, 0xE7FE, BX_LR, SUB_SP_32, ADD_SP_32,
                BX_LR, NOP, 0x010F, 0, 0x0111, 0,
            ]
        };
        assert_eq!(bytes(&program(&through(0x47A8), &functions, Some(12))), 4);
        assert_eq!(bytes(&program(&through(0x47A0), &functions, Some(12))), 32);
    }

    #[test]
    fn two_ways_with_two_callees_reach_both() {
        // ldr r3, =quiet; beq over; ldr r3, =deep; blx r3; b .; quiet: bx lr; deep: sub, add, bx lr; literals
        let code = [
            0x4B04, 0xD000, 0x4B04, 0x4798, 0xE7FE, BX_LR, SUB_SP_32, ADD_SP_32, BX_LR, NOP,
            0x010B, 0, 0x010D, 0,
        ];
        assert_eq!(
            bytes(&program(
                &code,
                &[("reset", 0), ("quiet", 5), ("deep", 6)],
                Some(10)
            )),
            32
        );
    }

    #[test]
    fn what_a_table_leads_to_is_followed_with_the_depth_of_the_jump() {
        // push; mov pc, r0; then a part that only the table reaches: sub sp; add sp; pop {pc}
        let code = [PUSH_4, 0x4687, SUB_SP_32, ADD_SP_32, POP_4];
        assert_eq!(bytes(&program(&code, &[("reset", 0)], None)), 40);
        // The same with room before a literal, which is no way into the literal.
        let code = [PUSH_4, 0x4687, SUB_SP_32, ADD_SP_32, POP_4, NOP, 1, 2];
        assert_eq!(bytes(&program(&code, &[("reset", 0)], Some(6))), 40);
    }

    #[test]
    fn recursion_is_named_and_counted_once() {
        let [high, low] = call(2, 0);
        let code = [PUSH_4, SUB_SP_32, high, low, ADD_SP_32, POP_4];
        let bound = bound(&program(&code, &[("again", 0)], None)).expect("a bound");
        assert_eq!(bound.bytes, 40);
        assert_eq!(bound.recursion, [vec!["again".to_owned()]]);
    }

    #[test]
    fn the_deepest_exception_handler_comes_on_top() {
        let code = [PUSH_4, POP_4, SUB_SP_32, ADD_SP_32, BX_LR, BX_LR];
        let functions = [("reset", 0), ("deep_handler", 2), ("handler", 5)];
        let mut elf = program(&code, &functions, None);
        elf.sections.pop();
        let elf = elf.with_vectors(&[0x2000_2000, 0x101, 0x10B, 0, 0x105]);
        let bound = bound(&elf).expect("a bound");
        assert_eq!(bound.bytes, 8 + EXCEPTION_FRAME + 32);
        assert_eq!(
            bound.handler,
            [Call {
                name: "deep_handler".into(),
                bytes: 32
            }]
        );
    }

    #[test]
    fn a_jump_into_another_function_counts_as_a_call() {
        // reset: sub sp; b deep; deep: push; pop
        let code = [SUB_SP_32, 0xE7FF, PUSH_4, POP_4];
        assert_eq!(
            bytes(&program(&code, &[("reset", 0), ("deep", 2)], None)),
            40
        );
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        let moved = bound(&program(&[0x44B5, BX_LR], &[("reset", 0)], None)).expect("a bound");
        assert_eq!(
            moved.unknown,
            ["reset moves its stack pointer by an unknown amount"]
        );
        let endless =
            bound(&program(&[SUB_SP_32, 0xE7FD], &[("reset", 0)], None)).expect("a bound");
        assert_eq!(
            endless.unknown,
            ["reset takes more and more stack in a loop"]
        );
        let nowhere = bound(&program(
            &[NOP, 0xE7FF, NOP, NOP],
            &[("reset", 0), ("data", 2)],
            Some(2),
        ));
        assert_eq!(
            nowhere.expect("a bound").unknown,
            ["data runs into data at 0x00000104"]
        );
    }
}
