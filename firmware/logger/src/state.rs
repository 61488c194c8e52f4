//! What the logger remembers of its life: small, in EEPROM, and written only when it changes.

use protocol::record::{Health, ResetCause};
use update::memory::Eeprom;
use update::twin::Twin;

use crate::settings::SETTINGS_END;

/// Where it is kept.
const PLACE: Twin = Twin {
    offset: SETTINGS_END,
    copy_size: 12 + State::LENGTH as u32,
};

/// What is remembered.
#[derive(Clone, Copy, Default)]
pub struct State {
    /// Counts of watchdog resets and crashes, and the place of the latest crash.
    pub health: Health,
    /// How often the clock was started.
    pub session: u16,
    /// Recording has begun, by its start time or threshold, since the settings of its start were changed.
    pub started: bool,
    /// First segment of the log that was not erased.
    pub first: u32,
}

impl State {
    /// Bytes in EEPROM: a [`Health`], a byte each for `started` and nothing, session, first segment; in whole words.
    const LENGTH: usize = (Health::LENGTH + 2 + 2 + 4).next_multiple_of(4);

    /// As it was kept; a new logger has none yet.
    #[inline(never)]
    pub fn load(eeprom: &impl Eeprom) -> State {
        let mut bytes = [0; Self::LENGTH];
        // Nothing but zeros is the state of a new logger.
        PLACE.load(eeprom, bytes.as_chunks_mut().0);
        let (health, rest) = bytes.split_first_chunk().expect("its own length");
        State {
            health: Health::from_bytes(health),
            started: rest[0] != 0,
            session: u16::from_le_bytes([rest[2], rest[3]]),
            first: u32::from_le_bytes([rest[4], rest[5], rest[6], rest[7]]),
        }
    }

    /// Keeps it. When EEPROM does not take it, it holds until the next start all the same.
    #[inline(never)]
    pub fn save(&self, eeprom: &mut impl Eeprom) {
        let mut bytes = [0; Self::LENGTH];
        let (health, rest) = bytes.split_at_mut(Health::LENGTH);
        health.copy_from_slice(&self.health.to_bytes());
        rest[0] = self.started.into();
        rest[2..4].copy_from_slice(&self.session.to_le_bytes());
        rest[4..8].copy_from_slice(&self.first.to_le_bytes());
        let _ = PLACE.save(eeprom, bytes.as_chunks().0);
    }

    /// Takes in why this start came to be; whether there is something new to keep.
    pub fn count(&mut self, reset: ResetCause) -> bool {
        self.health.reset = reset;
        let counter = match reset {
            ResetCause::Watchdog => &mut self.health.watchdog_resets,
            ResetCause::Crash => &mut self.health.crashes,
            _ => return false,
        };
        *counter = counter.saturating_add(1);
        true
    }
}
