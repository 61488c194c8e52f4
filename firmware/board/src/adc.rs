//! Supply voltage and chip temperature from the ADC, with the factory's calibration.
//!
//! Source: DS10182, "Embedded internal reference voltage" and "Temperature sensor"; RM0376, section 14.

use core::ptr;

use stm32_metapac::adc::vals::SampleTime;
use stm32_metapac::{ADC1, RCC};

/// What the reference reads as at [`CALIBRATION_SUPPLY`], stored by the factory.
const VREFINT_CAL: *const u16 = 0x1FF8_0078 as *const u16;
/// What the sensor reads as at 30 °C.
const TS_CAL1: *const u16 = 0x1FF8_007A as *const u16;
/// What the sensor reads as at 130 °C.
const TS_CAL2: *const u16 = 0x1FF8_007E as *const u16;
/// Supply at which the factory calibrates, in millivolts.
const CALIBRATION_SUPPLY: u32 = 3000;
/// Temperatures of the two calibration points, in hundredths of a degree Celsius.
const CALIBRATION_TEMPERATURES: (i32, i32) = (3_000, 13_000);

const VREFINT_CHANNEL: usize = 17;
const TEMPERATURE_CHANNEL: usize = 18;

/// Supply and temperature at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measurement {
    /// Supply voltage in millivolts.
    pub supply: u16,
    /// Chip temperature in hundredths of a degree Celsius.
    pub temperature: i16,
}

/// The ADC.
pub struct Adc {
    started: bool,
}

impl Adc {
    pub(crate) fn new() -> Adc {
        Adc { started: false }
    }

    fn start(&mut self) {
        RCC.apb2enr().modify(|w| w.set_adcen(true));
        // Calibration wants the ADC off.
        ADC1.cr().modify(|w| w.set_adcal(true));
        while ADC1.cr().read().adcal() {}
        ADC1.ccr().modify(|w| {
            w.set_vrefen(true);
            w.set_tsen(true);
        });
        // The sensor wants at least 10 µs; 160.5 cycles of HSI16 are just that.
        ADC1.smpr().modify(|w| w.set_smp(SampleTime::CYCLES160_5));
        ADC1.cr().modify(|w| w.set_aden(true));
        while !ADC1.isr().read().adrdy() {}
        self.started = true;
    }

    /// Mean of `times` conversions, at least one.
    pub fn measure(&mut self, times: u32) -> Measurement {
        if !self.started {
            self.start();
        }
        let times = times.max(1);
        let (mut reference, mut sensor) = (0, 0);
        for _ in 0..times {
            reference += convert(VREFINT_CHANNEL);
            sensor += convert(TEMPERATURE_CHANNEL);
        }
        // SAFETY: three half-words of the factory's area, which every chip of this kind has.
        let (reference_cal, cal1, cal2) = unsafe {
            (
                u32::from(ptr::read_volatile(VREFINT_CAL)),
                i32::from(ptr::read_volatile(TS_CAL1)),
                i32::from(ptr::read_volatile(TS_CAL2)),
            )
        };
        let supply = CALIBRATION_SUPPLY * reference_cal * times / reference.max(1);
        // What the sensor would read as at the supply of the calibration.
        let sensor = (sensor * supply / CALIBRATION_SUPPLY / times) as i32;
        let (low, high) = CALIBRATION_TEMPERATURES;
        let temperature = low + (sensor - cal1) * (high - low) / (cal2 - cal1).max(1);
        Measurement {
            supply: supply.min(u32::from(u16::MAX)) as u16,
            temperature: temperature.clamp(-30_000, 30_000) as i16,
        }
    }
}

/// One 12-bit conversion.
fn convert(channel: usize) -> u32 {
    ADC1.chselr().write(|w| w.set_chsel_x(channel, true));
    ADC1.cr().modify(|w| w.set_adstart(true));
    while !ADC1.isr().read().eoc() {}
    u32::from(ADC1.dr().read().data())
}
