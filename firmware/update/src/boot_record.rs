//! The boot record: what the bootloader has to do, and which image lies where.
//!
//! Every transition is one save of the record's older copy.

use protocol::device::{Outcome, Phase};
use serde::{Deserialize, Serialize};

use crate::memory::{Eeprom, WriteFailed};
use crate::store::Slot;
use crate::twin::Twin;

/// Where it is kept.
const PLACE: Twin = Twin {
    offset: 0,
    copy_size: 64,
};
/// First byte of EEPROM that is free for others.
pub const EEPROM_END: u32 = PLACE.offset + 2 * PLACE.copy_size;

/// Starts that a new image has to be reached by a computer.
pub const TRIAL_STARTS: u8 = 3;

/// What the bootloader has to do, and which image lies where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootRecord {
    /// What the engine is at.
    pub phase: Phase,
    /// How the latest update ended.
    pub outcome: Outcome,
    /// Images with a lower security counter are refused. Only grows.
    pub security_counter: u32,
    /// The copy of the image that flash holds; none before the first update of a factory-flashed logger.
    pub running: Option<Slot>,
    /// The image to go back to.
    pub previous: Option<Slot>,
    /// The image that waits to be installed.
    pub staged: Option<Slot>,
}

impl BootRecord {
    /// The record; a new device has none yet and begins with [`Phase::Idle`].
    pub fn load(eeprom: &impl Eeprom) -> BootRecord {
        let mut buffer = [0; PLACE.capacity()];
        PLACE
            .load(eeprom, &mut buffer)
            .and_then(|bytes| postcard::from_bytes(bytes).ok())
            .unwrap_or_default()
    }

    /// Makes this the record that counts.
    pub fn save(&self, eeprom: &mut impl Eeprom) -> Result<(), WriteFailed> {
        let mut buffer = [0; PLACE.capacity()];
        let bytes = postcard::to_slice(self, &mut buffer).map_err(|_| WriteFailed)?;
        PLACE.save(eeprom, bytes)
    }

    /// A slot of the store that holds nothing of value.
    pub fn free_slot(&self) -> Slot {
        let taken = [self.running, self.previous, self.staged];
        Slot::ALL
            .into_iter()
            .find(|&slot| !taken.contains(&Some(slot)))
            // All three are taken only while a staged image waits: a new upload replaces that one.
            .or(self.staged)
            .unwrap_or(Slot::ALL[0])
    }
}
