//! Supply voltage, chip temperature and the analog inputs (PA0, PA1) from the ADC, with the factory's calibration.
//!
//! It is off between measurements, and converts only what is asked for.
//! Source: DS10182, "Embedded internal reference voltage" and "Temperature sensor"; RM0376, section 14.

use core::ptr;

use protocol::record::{Channel, ChannelSet};
use stm32_metapac::adc::vals::SampleTime;
use stm32_metapac::{ADC1, PWR, RCC};

/// What the reference reads as at [`CALIBRATION_SUPPLY`], stored by the factory.
const VREFINT_CAL: *const u16 = 0x1FF8_0078 as *const u16;
/// What the sensor reads as at 30 °C.
const TS_CAL1: *const u16 = 0x1FF8_007A as *const u16;
/// What the sensor reads as at 130 °C.
const TS_CAL2: *const u16 = 0x1FF8_007E as *const u16;
/// Supply at which the factory calibrates, in tenths of a millivolt.
const CALIBRATION_SUPPLY: u32 = 30_000;
/// Temperatures of the two calibration points, in hundredths of a degree Celsius.
const CALIBRATION_TEMPERATURES: (i32, i32) = (3_000, 13_000);

/// Numbers of the ADC's channels: the reference, and what it is there for.
const REFERENCE: usize = 17;
const SENSOR: usize = 18;
const INPUTS: [usize; 2] = [0, 1];

/// A mean is in 65536ths of the supply: 16 times a conversion.
const MEAN: u32 = 16;

/// What was measured at one moment; 0 where a channel was not asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measurement {
    /// Supply voltage in millivolts. Measured for every other channel as well.
    pub supply: u16,
    /// Chip temperature in hundredths of a degree Celsius.
    pub temperature: i16,
    /// Voltages at inputs A and B, in tenths of a millivolt.
    pub inputs: [u16; 2],
}

/// The ADC.
pub struct Adc(());

impl Adc {
    pub(crate) fn new() -> Adc {
        Adc(())
    }

    /// Means of `times` conversions each, 1 to 4096; of those channels alone, and of none that are not analog.
    pub fn measure(&self, channels: ChannelSet, times: u32) -> Measurement {
        let mut measurement = Measurement::default();
        if channels.0 & !(1 << Channel::Events as u8) == 0 {
            return measurement;
        }
        start();
        let times = times.clamp(1, 4096);
        let mean = |channel| (0..times).map(|_| convert(channel)).sum::<u32>() * MEAN / times;
        // SAFETY: three half-words of the factory's area, which every chip of this kind has.
        let (reference_cal, cal1, cal2) = unsafe {
            (
                u32::from(ptr::read_volatile(VREFINT_CAL)),
                i32::from(ptr::read_volatile(TS_CAL1)),
                i32::from(ptr::read_volatile(TS_CAL2)),
            )
        };
        let supply = (CALIBRATION_SUPPLY * reference_cal * MEAN / mean(REFERENCE).max(1))
            .min(u16::MAX.into());
        measurement.supply = ((supply + 5) / 10) as u16;
        if channels.has(Channel::Temperature) {
            // What the sensor would read as at the supply of the calibration.
            let sensor = (mean(SENSOR) * supply / CALIBRATION_SUPPLY) as i32;
            let (low, high) = CALIBRATION_TEMPERATURES;
            let steps = MEAN as i32 * (cal2 - cal1).max(1);
            let temperature = low + (sensor - MEAN as i32 * cal1) * (high - low) / steps;
            measurement.temperature = temperature.clamp(-30_000, 30_000) as i16;
        }
        for (index, input) in [Channel::InputA, Channel::InputB].into_iter().enumerate() {
            if channels.has(input) {
                measurement.inputs[index] = ((mean(INPUTS[index]) * supply) >> 16) as u16;
            }
        }
        stop();
        measurement
    }
}

/// From off to ready. HSI16 clocks it and runs at either speed of the core.
fn start() {
    RCC.apb2enr().modify(|w| w.set_adcen(true));
    // Calibration wants the ADC off.
    ADC1.cr().modify(|w| w.set_adcal(true));
    while ADC1.cr().read().adcal() {}
    // After STOP the reference comes up later than the core.
    while !PWR.csr().read().vrefintrdyf() {}
    ADC1.ccr().modify(|w| {
        w.set_vrefen(true);
        w.set_tsen(true);
    });
    // The sensor wants at least 10 µs; 160.5 cycles of HSI16 are just that.
    ADC1.smpr().modify(|w| w.set_smp(SampleTime::CYCLES160_5));
    ADC1.cr().modify(|w| w.set_aden(true));
    while !ADC1.isr().read().adrdy() {}
}

/// Off, with its regulator, the reference's buffer and the sensor.
fn stop() {
    ADC1.cr().modify(|w| w.set_addis(true));
    while ADC1.cr().read().aden() {}
    ADC1.cr().modify(|w| w.set_advregen(false));
    ADC1.ccr().modify(|w| {
        w.set_vrefen(false);
        w.set_tsen(false);
    });
    RCC.apb2enr().modify(|w| w.set_adcen(false));
}

/// One 12-bit conversion.
fn convert(channel: usize) -> u32 {
    ADC1.chselr().write(|w| w.set_chsel_x(channel, true));
    ADC1.cr().modify(|w| w.set_adstart(true));
    while !ADC1.isr().read().eoc() {}
    u32::from(ADC1.dr().read().data())
}
