//! The logger's hardware: the one crate that touches STM32L052 registers and knows the pin map.
//!
//! The only crate with `unsafe`, each with its reason. It knows nothing of images, settings or the protocol beyond the
//! traits of `update::memory` and the numbers that USB shows.

#![no_std]

pub mod adc;
pub mod clock;
pub mod crash;
pub mod flash;
pub mod identity;
pub mod inputs;
mod memory_functions;
pub mod memory_map;
pub mod nand;
pub mod port;
pub mod power;
pub mod program;
pub mod reset;
pub mod rtc;
pub mod start_count;
#[cfg(feature = "usart")]
pub mod usart;
#[cfg(not(feature = "usart"))]
pub mod usb;
pub mod watchdog;

use adc::Adc;
use clock::Clock;
use flash::{ApplicationFlash, DataEeprom};
use inputs::Inputs;
use nand::SpiNand;
use power::Power;
use rtc::Rtc;

const _: () = assert!(memory_map::HEADER_SIZE == protocol::image::HEADER_SIZE as u32);

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
