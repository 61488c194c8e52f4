//! The boot record: what the bootloader has to do, and which image lies where.
//!
//! Every transition is one save of the record's older copy.

use protocol::device::{Outcome, Phase};
use protocol::image::ImageError;

use crate::memory::{Eeprom, WriteFailed};
use crate::store::Slot;
use crate::twin::Twin;

/// Where it is kept.
const PLACE: Twin = Twin {
    offset: 0,
    copy_size: COPY_SIZE,
};
/// Bytes of one of its two copies.
pub const COPY_SIZE: u32 = 12 + BootRecord::LENGTH as u32;
/// First byte of EEPROM that is free for others.
pub const EEPROM_END: u32 = PLACE.offset + 2 * PLACE.copy_size;

/// Starts that a new image has to be reached by a computer.
pub const TRIAL_STARTS: u8 = 3;

/// What the bootloader has to do, and which image lies where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// Bytes of a record in EEPROM.
    const LENGTH: usize = 20;

    /// The record; a new device has none yet and begins with [`Phase::Idle`].
    pub fn load(eeprom: &impl Eeprom) -> BootRecord {
        let mut bytes = [0; Self::LENGTH];
        if PLACE.load(eeprom, bytes.as_chunks_mut().0) {
            BootRecord::from_bytes(&bytes)
        } else {
            BootRecord::default()
        }
    }

    /// Makes this the record that counts.
    pub fn save(&self, eeprom: &mut impl Eeprom) -> Result<(), WriteFailed> {
        PLACE.save(eeprom, self.to_bytes().as_chunks().0)
    }

    fn to_bytes(self) -> [u8; Self::LENGTH] {
        let mut bytes = [0; Self::LENGTH];
        bytes[..2].copy_from_slice(&self.phase.to_bytes());
        bytes[2..12].copy_from_slice(&self.outcome.to_bytes());
        bytes[12..16].copy_from_slice(&self.security_counter.to_le_bytes());
        for (byte, slot) in bytes[16..].iter_mut().zip(self.slots()) {
            *byte = slot.map_or(0, |slot| slot as u8 + 1);
        }
        bytes
    }

    /// What no firmware has written is read as the harmless case; the CRC has held, so it should not happen.
    fn from_bytes(bytes: &[u8; Self::LENGTH]) -> BootRecord {
        let (phase, rest) = bytes.split_first_chunk().expect("20 bytes");
        let (outcome, rest) = rest.split_first_chunk().expect("18 bytes");
        let (counter, slots) = rest.split_first_chunk().expect("8 bytes");
        let slot = |index: usize| match slots[index] {
            1 => Some(Slot::A),
            2 => Some(Slot::B),
            3 => Some(Slot::C),
            _ => None,
        };
        BootRecord {
            phase: Phase::from_bytes(*phase),
            outcome: Outcome::from_bytes(outcome),
            security_counter: u32::from_le_bytes(*counter),
            running: slot(0),
            previous: slot(1),
            staged: slot(2),
        }
    }

    /// Whether the device may go on to an image with this security counter.
    pub fn check_counter(&self, security_counter: u32) -> Result<(), ImageError> {
        if security_counter < self.security_counter {
            Err(ImageError::CounterTooLow)
        } else {
            Ok(())
        }
    }

    fn slots(&self) -> [Option<Slot>; 3] {
        [self.running, self.previous, self.staged]
    }

    /// A slot of the store that holds nothing of value.
    pub fn free_slot(&self) -> Slot {
        let taken = self.slots();
        Slot::ALL
            .into_iter()
            .find(|&slot| !taken.contains(&Some(slot)))
            // All three are taken only while a staged image waits: a new upload replaces that one.
            .or(self.staged)
            .unwrap_or(Slot::ALL[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::image::Version;

    #[test]
    fn every_record_comes_back_as_it_was() {
        let version = Version {
            major: 1,
            minor: 2,
            revision: 300,
            build: 70_000,
        };
        let phases = [
            Phase::Idle,
            Phase::Pending,
            Phase::Installing,
            Phase::Trial { starts_left: 2 },
            Phase::Reverting,
        ];
        let mut outcomes = vec![
            Outcome::None,
            Outcome::Installed(version),
            Outcome::Reverted(version),
            Outcome::Unreadable(version),
        ];
        outcomes.extend(ImageError::ALL.map(|error| Outcome::Refused(version, error)));
        for phase in phases {
            for &outcome in &outcomes {
                for staged in [None, Some(Slot::A), Some(Slot::B), Some(Slot::C)] {
                    let record = BootRecord {
                        phase,
                        outcome,
                        security_counter: 0x0102_0304,
                        running: Some(Slot::C),
                        previous: None,
                        staged,
                    };
                    assert_eq!(BootRecord::from_bytes(&record.to_bytes()), record);
                }
            }
        }
    }

    #[test]
    fn errors_are_listed_in_the_order_of_their_encoding() {
        for (index, error) in ImageError::ALL.into_iter().enumerate() {
            assert_eq!(error as usize, index);
        }
    }
}
