//! A board with an STM32F072 and nothing but a cable and a light: no NAND, no EEPROM, flash that erases to 0xFF in pages
//! of 2 KB. No emulator runs it: it is built, its sizes are checked, and the engine runs on a model of its flash.

pub mod flash;
pub mod led;
pub mod memory_map;
pub mod oscillators;

use flash::{ApplicationFlash, BootRecordFlash, Region};
use led::Led;
use update::records::Records;

use crate::clock::Clock;

/// Everything on the board, each to be taken once.
pub struct Board {
    /// Time since start.
    pub clock: Clock,
    /// The application's slot.
    pub flash: ApplicationFlash,
    /// Two pages of flash in the place of EEPROM.
    pub eeprom: Records<BootRecordFlash>,
    /// The light.
    pub led: Led,
}

impl Board {
    /// Brings up clocks and peripherals. Nothing when it was called before: each register has one owner.
    pub fn take() -> Option<Board> {
        let core = cortex_m::Peripherals::take()?;
        Some(Board {
            clock: Clock::start(core.SYST),
            flash: Region::new(),
            eeprom: Records(Region::new()),
            led: Led::new(),
        })
    }
}
