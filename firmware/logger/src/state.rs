//! What the logger remembers of its life: small, in EEPROM, and written only when it changes.

use protocol::message::{Refusal, StorageError};
use protocol::record::{CrashPlace, Health, ResetCause};
use update::memory::{Eeprom, WriteFailed};
use update::twin::Twin;

use crate::settings::SETTINGS_END;

/// Bytes in EEPROM: first segment, session, watchdog resets, crashes, two flags of one byte each, and the place of the
/// latest crash; in whole words.
const LENGTH: usize = 4 + 3 * 2 + 2 + CrashPlace::LENGTH + 2;

/// Where it is kept.
const PLACE: Twin = Twin {
    offset: SETTINGS_END,
    // More than this version takes: one that remembers more finds both copies where they are.
    copy_size: 128,
};
const _: () = assert!(LENGTH <= PLACE.capacity());

/// What is remembered.
pub struct State {
    /// First segment of the log that was not erased.
    pub first: u32,
    /// How often the clock was started.
    pub session: u16,
    watchdog_resets: u16,
    crashes: u16,
    /// Where the latest crash was, if there was one.
    crash: Option<CrashPlace>,
    /// Recording has begun, by its start time or threshold, since the settings of its start were changed.
    pub started: bool,
    /// Why the program started. Not kept.
    pub reset: ResetCause,
}

impl State {
    /// As it was kept, by whichever version: what another one does not keep is zeros here, as all is in a new logger.
    #[inline(never)]
    pub fn load(eeprom: &impl Eeprom) -> State {
        let mut words = [[0; 4]; LENGTH / 4];
        let kept = PLACE.find(eeprom).unwrap_or_default();
        let bytes = words.as_flattened_mut().iter_mut();
        // More than there is reads as nothing.
        for (offset, byte) in (0..kept.length).zip(bytes) {
            kept.read(eeprom, offset, core::slice::from_mut(byte));
        }
        let [first, a, b, place @ ..] = &words;
        let half = |word: &[u8; 4], at: usize| u16::from_le_bytes([word[at], word[at + 1]]);
        let place = place.as_flattened().first_chunk().copied().map(CrashPlace);
        State {
            first: u32::from_le_bytes(*first),
            session: half(a, 0),
            watchdog_resets: half(a, 2),
            crashes: half(b, 0),
            crash: place.filter(|_| b[3] != 0),
            started: b[2] != 0,
            reset: ResetCause::Other,
        }
    }

    /// Keeps it. When EEPROM does not take it, it holds until the next start all the same.
    #[inline(never)]
    pub fn save(&self, eeprom: &mut impl Eeprom) -> Result<(), Refusal> {
        let pair = |low: u16, high: u16| (u32::from(low) | u32::from(high) << 16).to_le_bytes();
        let place = self.crash.unwrap_or_default();
        let mut words = [[0; 4]; LENGTH / 4];
        let [first, a, b, rest @ ..] = &mut words;
        let [low, high] = self.crashes.to_le_bytes();
        *first = self.first.to_le_bytes();
        *a = pair(self.session, self.watchdog_resets);
        *b = [low, high, self.started.into(), self.crash.is_some().into()];
        if let Some(bytes) = rest.as_flattened_mut().first_chunk_mut() {
            *bytes = place.0;
        }
        PLACE
            .save(eeprom, &words)
            .map_err(|WriteFailed| Refusal::Storage(StorageError::WriteFailed))
    }

    /// Takes in why this start came to be; whether that is something to keep.
    pub fn count(&mut self, (reset, crash): (ResetCause, Option<CrashPlace>)) -> bool {
        self.reset = reset;
        let counter = match reset {
            ResetCause::Watchdog => &mut self.watchdog_resets,
            ResetCause::Crash => &mut self.crashes,
            _ => return false,
        };
        *counter = counter.saturating_add(1);
        self.crash = crash.or(self.crash);
        true
    }

    /// How the logger is, after a time in milliseconds since its start.
    pub fn health(&self, uptime: u64, drift: Option<i32>) -> Health {
        Health {
            uptime,
            reset: self.reset,
            watchdog_resets: self.watchdog_resets,
            crashes: self.crashes,
            crash: self.crash,
            drift,
        }
    }
}
