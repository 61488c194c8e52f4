//! The independent watchdog: once started, only a reset stops it.
//!
//! The bootloader starts it first of all, and the application inherits it. The drivers of flash, EEPROM and NAND feed it
//! after each operation, so that long work is no hang.

use stm32_metapac::IWDG;
use stm32_metapac::iwdg::vals::{Key, Pr};

/// Ticks of the 37 kHz LSI, divided by 64: about 7 s, and 5 s at the LSI's fastest (56 kHz).
const RELOAD: u16 = 4095;

/// Starts it.
pub fn start() {
    IWDG.kr().write(|w| w.set_key(Key::START));
    IWDG.kr().write(|w| w.set_key(Key::ENABLE));
    IWDG.pr().write(|w| w.set_pr(Pr::DIVIDE_BY64));
    IWDG.rlr().write(|w| w.set_rl(RELOAD));
    feed();
}

/// Shows that the program is alive.
pub fn feed() {
    IWDG.kr().write(|w| w.set_key(Key::RESET));
}
