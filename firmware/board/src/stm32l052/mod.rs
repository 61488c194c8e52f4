//! The loggers with an STM32L052, or an STM32L051 and a bridge: everything that only this chip has, or has in this way.

pub mod adc;
pub mod flash;
pub mod inputs;
pub mod memory_map;
pub mod nand;
pub mod oscillators;
pub mod power;
pub mod rtc;
#[cfg(feature = "usart")]
pub mod usart;

use adc::Adc;
use flash::{ApplicationFlash, DataEeprom};
use inputs::Inputs;
use nand::SpiNand;
use power::Power;
use rtc::Rtc;

use crate::clock::Clock;

/// Everything on the board, each to be taken once.
pub struct Board {
    /// Time since start.
    pub clock: Clock,
    /// The application's slot.
    pub flash: ApplicationFlash,
    /// The data EEPROM.
    pub eeprom: DataEeprom,
    /// The image store and the log.
    pub nand: SpiNand,
    /// Supply voltage, temperature and the analog inputs.
    pub adc: Adc,
    /// Events and cable, to be started.
    pub inputs: Inputs,
    /// The time of day, to be started.
    pub rtc: Rtc,
    /// STOP.
    pub power: Power,
}

impl Board {
    /// Brings up clocks and peripherals. Nothing when it was called before: each register has one owner.
    pub fn take() -> Option<Board> {
        let core = cortex_m::Peripherals::take()?;
        let clock = Clock::start(core.SYST);
        Some(Board {
            clock,
            flash: ApplicationFlash::new(),
            eeprom: DataEeprom::new(),
            nand: SpiNand::new(),
            adc: Adc::new(),
            inputs: Inputs::new(),
            rtc: Rtc::new(),
            power: Power::new(core.SCB),
        })
    }
}
