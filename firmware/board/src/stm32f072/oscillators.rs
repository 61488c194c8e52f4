//! Clocks: 48 MHz from HSI48, which USB's start of frame trims, for core and USB alike.
//! Source: RM0091, sections 3.2 (flash wait states) and 6.2 (clocks).

use stm32_metapac::crs::vals::Syncsrc;
use stm32_metapac::flash::vals::Latency;
use stm32_metapac::rcc::vals::{Sw, Usbsw};
use stm32_metapac::{CRS, FLASH, RCC};

/// Core clock in hertz.
pub const CORE_HERTZ: u32 = 48_000_000;

/// Brings core and USB to 48 MHz.
pub(crate) fn start_clocks() {
    // More than 24 MHz wants a wait state.
    FLASH.acr().modify(|w| {
        w.set_latency(Latency::WS1);
        w.set_prftbe(true);
    });
    RCC.cr2().modify(|w| w.set_hsi48on(true));
    while !RCC.cr2().read().hsi48rdy() {}
    RCC.cfgr().modify(|w| w.set_sw(Sw::HSI48));
    while RCC.cfgr().read().sws() != Sw::HSI48 {}
    RCC.cfgr3().modify(|w| w.set_usbsw(Usbsw::HSI48));
    RCC.apb1enr().modify(|w| w.set_crsen(true));
    CRS.cfgr().modify(|w| w.set_syncsrc(Syncsrc::USB));
    CRS.cr().modify(|w| {
        w.set_autotrimen(true);
        w.set_cen(true);
    });
}
