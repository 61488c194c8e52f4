//! Clocks: 32 MHz from HSI16 through the PLL with 48 MHz from HSI48 for USB, or HSI16 alone.

use stm32_metapac::crs::vals::Syncsrc;
use stm32_metapac::pwr::vals::Vos;
use stm32_metapac::rcc::vals::{Clk48sel, Plldiv, Pllmul, Pllsrc, Stopwuck, Sw};
use stm32_metapac::{CRS, FLASH, PWR, RCC, SYSCFG};

use crate::clock::Clock;

/// Core clock at full speed in hertz.
pub const CORE_HERTZ: u32 = 32_000_000;
/// The same at battery speed.
pub(crate) const BATTERY_HERTZ: u32 = 16_000_000;

/// Brings the core to 32 MHz and starts the clock that USB needs.
pub(crate) fn start_clocks() {
    RCC.apb1enr().modify(|w| {
        w.set_pwren(true);
        w.set_crsen(true);
    });
    RCC.apb2enr().modify(|w| w.set_syscfgen(true));
    // 32 MHz wants voltage range 1 and one flash wait state (RM0376, table 13).
    PWR.cr().modify(|w| w.set_vos(Vos::RANGE1));
    while PWR.csr().read().vosf() {}
    FLASH.acr().modify(|w| {
        w.set_latency(true);
        w.set_prften(true);
    });
    RCC.cr().modify(|w| w.set_hsion(true));
    while !RCC.cr().read().hsirdy() {}
    if RCC.cfgr().read().sws() != Sw::PLL1_R {
        RCC.cfgr().modify(|w| {
            w.set_pllsrc(Pllsrc::HSI);
            w.set_pllmul(Pllmul::MUL4);
            w.set_plldiv(Plldiv::DIV2);
        });
        RCC.cr().modify(|w| w.set_pllon(true));
        while !RCC.cr().read().pllrdy() {}
        RCC.cfgr().modify(|w| w.set_sw(Sw::PLL1_R));
        while RCC.cfgr().read().sws() != Sw::PLL1_R {}
    }
    // HSI48 needs the reference voltage and its buffer; CRS then trims it from USB's start of frame.
    SYSCFG.cfgr3().modify(|w| {
        w.set_en_vrefint(true);
        w.set_enref_hsi48(true);
    });
    while !SYSCFG.cfgr3().read().vrefint_rdyf() {}
    RCC.crrcr().modify(|w| w.set_hsi48on(true));
    while !RCC.crrcr().read().hsi48rdy() {}
    RCC.ccipr().modify(|w| w.set_clk48sel(Clk48sel::HSI48));
    CRS.cfgr().modify(|w| w.set_syncsrc(Syncsrc::USB));
    CRS.cr().modify(|w| {
        w.set_autotrimen(true);
        w.set_cen(true);
    });
}

/// Brings the core to [`BATTERY_HERTZ`], and stops what it does not need then. STOP leads back here too.
fn slow_down() {
    CRS.cr().modify(|w| {
        w.set_autotrimen(false);
        w.set_cen(false);
    });
    RCC.crrcr().modify(|w| w.set_hsi48on(false));
    SYSCFG.cfgr3().modify(|w| {
        w.set_en_vrefint(false);
        w.set_enref_hsi48(false);
    });
    RCC.cfgr().modify(|w| {
        w.set_stopwuck(Stopwuck::HSI);
        w.set_sw(Sw::HSI);
    });
    while RCC.cfgr().read().sws() != Sw::HSI {}
    RCC.cr().modify(|w| {
        w.set_pllon(false);
        w.set_msion(false);
    });
    // Up to 16 MHz with one wait state, and a third less current (RM0376, table 13).
    PWR.cr().modify(|w| w.set_vos(Vos::RANGE2));
    while PWR.csr().read().vosf() {}
}

impl Clock {
    /// Brings the core to [`CORE_HERTZ`] and starts the clock that USB needs.
    pub fn full_speed(&mut self) {
        start_clocks();
        self.resume();
    }

    /// Runs the core from HSI16 alone, without the clock that USB needs.
    pub fn battery_speed(&mut self) {
        self.pause();
        slow_down();
    }
}
