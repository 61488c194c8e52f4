//! The light: PA5, as on ST's Nucleo board.

use stm32_metapac::gpio::vals::Moder;
use stm32_metapac::{GPIOA, RCC};

const PIN: usize = 5;

/// The light.
pub struct Led(());

impl Led {
    pub(crate) fn new() -> Led {
        Led(())
    }

    /// Switches it.
    pub fn set(&mut self, on: bool) {
        RCC.ahbenr().modify(|w| w.set_gpioaen(true));
        GPIOA.moder().modify(|w| w.set_moder(PIN, Moder::OUTPUT));
        GPIOA.bsrr().write(|w| {
            w.set_bs(PIN, on);
            w.set_br(PIN, !on);
        });
    }
}
