//! What a logger remembers without power, in parts that a store can keep: flash, EEPROM, option bytes, identity, and
//! each page of the NAND. Only what changed since it was kept last is handed out again.
//!
//! Lost are the cells that an unfinished operation left between two values: they are kept as they read.

use emulator::chip::flash::OptionBytes;
use emulator::machine::{LoadError, Machine, Options};
use emulator::memory::FLASH_BASE;
use emulator::nand::{BLOCKS, Nand, PAGE_BYTES, PAGES_PER_BLOCK};

/// Which part; as a number it is the key in the store: pages of the NAND from 0, the others behind them.
pub(crate) type Key = u32;
const PAGES: Key = (BLOCKS * PAGES_PER_BLOCK) as Key;
const FLASH: Key = PAGES;
const EEPROM: Key = PAGES + 1;
const OPTIONS: Key = PAGES + 2;
const IDENTITY: Key = PAGES + 3;

/// What the store must do to be up to date.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Keep these bytes.
    Put(Key, Vec<u8>),
    /// Forget this part.
    Delete(Key),
}

/// What the store has already.
#[derive(Default)]
pub(crate) struct Kept {
    flash: Vec<u8>,
    eeprom: Vec<u8>,
    options: Vec<u8>,
    identity: Vec<u8>,
    /// Shares its pages with the machine's as long as those do not change.
    nand: Nand,
}

impl Kept {
    /// What changed since the last call; the store is believed to follow.
    pub(crate) fn changes(&mut self, machine: &Machine, unique_id: [u32; 3]) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut small = |key, kept: &mut Vec<u8>, now: &[u8]| {
            if kept != now {
                *kept = now.to_vec();
                changes.push(Change::Put(key, now.to_vec()));
            }
        };
        let options = machine.option_bytes();
        small(FLASH, &mut self.flash, machine.flash());
        small(EEPROM, &mut self.eeprom, machine.eeprom());
        small(
            OPTIONS,
            &mut self.options,
            &words(&[options.optr, options.write_protection]),
        );
        small(IDENTITY, &mut self.identity, &words(&unique_id));

        let nand = machine.nand();
        for (page, bytes) in nand.contents() {
            let same = self
                .nand
                .page(page)
                .is_some_and(|kept| core::ptr::eq(kept, bytes) || kept == bytes);
            if !same {
                changes.push(Change::Put(page.into(), bytes.to_vec()));
            }
        }
        for (page, _) in self.nand.contents() {
            if nand.page(page).is_none() {
                changes.push(Change::Delete(page.into()));
            }
        }
        self.nand = nand.clone();
        changes
    }
}

/// Why kept memories are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotWhole;

impl From<LoadError> for NotWhole {
    fn from(_: LoadError) -> NotWhole {
        NotWhole
    }
}

/// The machine that these parts were kept of, switched off, with its identity.
///
/// # Errors
/// When a part is missing, unknown or of the wrong size.
pub(crate) fn restore(
    seed: u64,
    parts: impl IntoIterator<Item = (Key, Vec<u8>)>,
) -> Result<(Machine, [u32; 3]), NotWhole> {
    let (mut flash, mut eeprom, mut options, mut identity) = (None, None, None, None);
    let mut nand = Nand::new();
    for (key, bytes) in parts {
        match key {
            FLASH => flash = Some(bytes),
            EEPROM => eeprom = Some(bytes),
            OPTIONS => options = read_words(&bytes),
            IDENTITY => identity = read_words(&bytes),
            _ => {
                let page = u16::try_from(key).map_err(|_| NotWhole)?;
                let bytes: &[u8; PAGE_BYTES] = bytes.as_slice().try_into().map_err(|_| NotWhole)?;
                nand.load_page(page, bytes);
            }
        }
    }
    let unique_id = identity.ok_or(NotWhole)?;
    let mut machine = blank(seed, unique_id);
    machine.program_flash(FLASH_BASE, &flash.ok_or(NotWhole)?)?;
    machine.program_eeprom(0, &eeprom.ok_or(NotWhole)?)?;
    let [optr, write_protection] = options.ok_or(NotWhole)?;
    machine.set_option_bytes(OptionBytes {
        optr,
        write_protection,
    });
    *machine.nand_mut() = nand;
    Ok((machine, unique_id))
}

/// A logger as it leaves the factory, switched off.
///
/// # Errors
/// When `image` does not fit into flash.
pub(crate) fn from_the_factory(
    seed: u64,
    unique_id: [u32; 3],
    image: &[u8],
) -> Result<Machine, LoadError> {
    let mut machine = blank(seed, unique_id);
    machine.program_flash(FLASH_BASE, image)?;
    Ok(machine)
}

fn blank(seed: u64, unique_id: [u32; 3]) -> Machine {
    Machine::new(Options {
        seed,
        unique_id,
        ..Options::default()
    })
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn read_words<const N: usize>(bytes: &[u8]) -> Option<[u32; N]> {
    let (words, rest) = bytes.as_chunks::<4>();
    let words: &[[u8; 4]; N] = words.try_into().ok().filter(|_| rest.is_empty())?;
    Some(words.map(u32::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const ID: [u32; 3] = [1, 2, 3];

    /// A store, as a browser's: follows the changes.
    #[derive(Default)]
    struct Store(BTreeMap<Key, Vec<u8>>);

    impl Store {
        fn follow(&mut self, changes: Vec<Change>) {
            for change in changes {
                match change {
                    Change::Put(key, bytes) => self.0.insert(key, bytes),
                    Change::Delete(key) => self.0.remove(&key),
                };
            }
        }
    }

    fn written() -> Machine {
        let mut machine = from_the_factory(0, ID, b"firmware").expect("it fits");
        machine.program_eeprom(5, b"settings").expect("it fits");
        machine.nand_mut().load_page(70, &[0x5A; PAGE_BYTES]);
        machine.nand_mut().load_page(65_535, &[0xA5; PAGE_BYTES]);
        machine
    }

    #[test]
    fn a_logger_comes_back_as_it_was_kept() {
        let mut store = Store::default();
        let machine = written();
        store.follow(Kept::default().changes(&machine, ID));
        let (back, unique_id) = restore(1, store.0).expect("whole memories");
        assert_eq!(unique_id, ID);
        assert_eq!(back.flash(), machine.flash());
        assert_eq!(back.eeprom(), machine.eeprom());
        assert_eq!(back.option_bytes(), machine.option_bytes());
        assert!(back.nand().contents().eq(machine.nand().contents()));
    }

    #[test]
    fn only_what_changed_is_kept_again() {
        let mut kept = Kept::default();
        let mut machine = written();
        assert_eq!(kept.changes(&machine, ID).len(), 6);
        assert_eq!(kept.changes(&machine, ID), []);

        machine.nand_mut().load_page(71, &[1; PAGE_BYTES]);
        let page = Change::Put(71, vec![1; PAGE_BYTES]);
        assert_eq!(kept.changes(&machine, ID), [page]);

        *machine.nand_mut() = Nand::new();
        machine.program_eeprom(0, b"x").expect("it fits");
        let eeprom = Change::Put(EEPROM, machine.eeprom().to_vec());
        assert_eq!(
            kept.changes(&machine, ID),
            [
                eeprom,
                Change::Delete(70),
                Change::Delete(71),
                Change::Delete(65_535)
            ]
        );
    }

    #[test]
    fn what_is_not_whole_is_no_logger() {
        let mut store = Store::default();
        store.follow(Kept::default().changes(&written(), ID));
        for part in [FLASH, EEPROM, OPTIONS, IDENTITY] {
            let mut parts = store.0.clone();
            parts.remove(&part);
            assert!(restore(0, parts).is_err(), "without {part}");
        }
        for (key, bytes) in [
            (70, vec![0; 10]),
            (OPTIONS, vec![0; 9]),
            (IDENTITY + 1, Vec::new()),
        ] {
            let mut parts = store.0.clone();
            parts.insert(key, bytes);
            assert!(restore(0, parts).is_err(), "with a wrong {key}");
        }
    }
}
