//! Where power is cut: every operation that changes flash, EEPROM or NAND is numbered here, and one of them can be
//! chosen to be the last.
//!
//! It must never change what an operation does unless a cut was planned for it: a machine without a plan behaves as
//! the chip's documentation says.

use crate::time::Time;

/// What kind of cells an operation changes, and how many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OperationKind {
    /// Erase of a 128-byte flash page.
    FlashPageErase,
    /// Programming of 64 bytes of flash.
    FlashHalfPage,
    /// Programming of 4 bytes of flash.
    FlashWord,
    /// Erase, write or both of one EEPROM word.
    EepromWord,
    /// Write of one option byte word.
    OptionBytes,
    /// Programming of a NAND page.
    NandPageProgram,
    /// Erase of a NAND block.
    NandBlockErase,
}

/// One operation on memory that outlives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What it does.
    pub kind: OperationKind,
    /// Where: a bus address for flash, EEPROM and option bytes, a page or block number for NAND.
    pub address: u32,
    /// When it began.
    pub at: Time,
}

/// Where in an operation power goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Nothing of it happens.
    Before,
    /// Its cells are left with seeded random bits between old and new.
    Inside {
        /// Which bits.
        seed: u64,
    },
    /// It completes, and nothing after it happens.
    After,
}

/// A planned power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutPoint {
    /// Number of the operation, counted from 0 over the whole life of the machine.
    pub operation: u64,
    /// Where in it.
    pub place: Place,
}

/// Counts operations and carries the plan.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    count: u64,
    plan: Option<CutPoint>,
    record: Option<Vec<Operation>>,
    power_lost: bool,
}

impl Faults {
    /// How many operations have begun since the machine was made: the number of the next one.
    pub fn operations(&self) -> u64 {
        self.count
    }

    /// Cuts power at `point`; replaces an earlier plan. A point that has passed never comes.
    pub fn cut_at(&mut self, point: CutPoint) {
        self.plan = Some(point);
    }

    /// Forgets a planned cut.
    pub fn cancel(&mut self) {
        self.plan = None;
    }

    /// Keeps a list of the operations from now on. Off at first: it grows with every one.
    pub fn record(&mut self) {
        self.record = Some(Vec::new());
    }

    /// The operations since [`Faults::record`], in order.
    pub fn recorded(&self) -> &[Operation] {
        self.record.as_deref().unwrap_or_default()
    }

    /// Counts an operation that begins now. The answer is where it is to be cut, if it is.
    pub(crate) fn begin(&mut self, kind: OperationKind, address: u32, at: Time) -> Option<Place> {
        let number = self.count;
        self.count += 1;
        if let Some(record) = &mut self.record {
            record.push(Operation { kind, address, at });
        }
        let place = self
            .plan
            .filter(|plan| plan.operation == number)
            .map(|plan| plan.place);
        if place.is_some() {
            self.plan = None;
        }
        place
    }

    /// Power is gone from this moment on.
    pub(crate) fn lose_power(&mut self) {
        self.power_lost = true;
    }

    /// Whether a planned cut has happened and the machine has not been switched on since.
    pub fn power_lost(&self) -> bool {
        self.power_lost
    }

    pub(crate) fn power_on(&mut self) {
        self.power_lost = false;
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable, the same on every computer.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// Moves `cells` some way towards `target`: each differing bit goes over with a probability that the seed chooses too,
/// so that a cut early in an operation and one late in it both come up.
pub(crate) fn tear(cells: &mut [u8], target: &[u8], seed: u64) {
    let mut random = Random::new(seed);
    // In 1/256: 8 steps from nearly nothing to nearly everything.
    let share = 16 + 32 * random.below(8);
    for (cell, &target) in cells.iter_mut().zip(target) {
        let mut mask = 0u8;
        for bit in 0..8 {
            if random.below(256) < share {
                mask |= 1 << bit;
            }
        }
        *cell ^= (*cell ^ target) & mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_planned_operation_is_cut_and_no_other() {
        let mut faults = Faults::default();
        faults.cut_at(CutPoint {
            operation: 2,
            place: Place::After,
        });
        let places: Vec<_> = (0..5)
            .map(|n| faults.begin(OperationKind::FlashWord, n, Time::ZERO))
            .collect();
        assert_eq!(places, [None, None, Some(Place::After), None, None]);
        assert_eq!(faults.operations(), 5);
    }

    #[test]
    fn operations_are_recorded_only_when_asked() {
        let mut faults = Faults::default();
        faults.begin(OperationKind::EepromWord, 1, Time::ZERO);
        assert!(faults.recorded().is_empty());
        faults.record();
        faults.begin(OperationKind::NandBlockErase, 7, Time::from_millis(3));
        assert_eq!(
            faults.recorded(),
            [Operation {
                kind: OperationKind::NandBlockErase,
                address: 7,
                at: Time::from_millis(3)
            }]
        );
    }

    #[test]
    fn a_torn_cell_has_only_bits_of_the_old_or_the_new_value() {
        let (old, new) = ([0x0Fu8; 64], [0x3Cu8; 64]);
        let mut mixed = 0;
        for seed in 0..64 {
            let mut cells = old;
            tear(&mut cells, &new, seed);
            for cell in cells {
                assert_eq!(cell & !(0x0F ^ 0x3C), 0x0F & !(0x0F ^ 0x3C));
            }
            mixed += u32::from(cells != old && cells != new);
        }
        assert!(mixed > 60, "a tear leaves a mixture: {mixed} of 64 did");
    }

    #[test]
    fn the_same_seed_tears_the_same_bits() {
        let (mut one, mut two) = ([0u8; 32], [0u8; 32]);
        tear(&mut one, &[0xFF; 32], 9);
        tear(&mut two, &[0xFF; 32], 9);
        assert_eq!(one, two);
    }
}
