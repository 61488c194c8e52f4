//! The logger's wiring: what is connected to which pin, and what the world around it is like.
//!
//! It must never know what the firmware does with it.
//!
//! | pin | connected to |
//! |---|---|
//! | PA0, PA1 | analog inputs of the logger (ADC channels 0 and 1); PA0 is wake-up pin 1 too |
//! | PA4 | chip select of the NAND, active low, with a pull-up |
//! | PA5, PA6, PA7 | SPI1 SCK, MISO, MOSI of the NAND |
//! | PA8 | event input: a contact to ground, with the chip's pull-up |
//! | PA9 | VBUS through a divider: high while a USB cable is plugged in |
//! | PA11, PA12 | USB D-, D+ |

use crate::nand::Nand;
use crate::usb_host::UsbHost;

/// The NAND's chip select: bit of port A.
pub const NAND_SELECT: u32 = 4;
/// Event input: bit of port A.
pub const EVENT: u32 = 8;
/// VBUS sense: bit of port A.
pub const VBUS_SENSE: u32 = 9;

/// Everything on the board that is not the microcontroller.
#[derive(Clone)]
pub struct Board {
    /// Supply voltage VDDA = VDD in millivolts, 1,650 to 3,600.
    pub supply: u16,
    /// Temperature of the chip in 1/100 °C.
    pub temperature: i16,
    /// Voltage at PA0 and PA1 in millivolts.
    pub inputs: [u16; 2],
    /// The contact at the event input is closed: it pulls PA8 low.
    pub event_closed: bool,
    /// The NAND flash.
    pub nand: Nand,
    /// The computer at the other end of the USB cable.
    pub usb: UsbHost,
}

impl Default for Board {
    fn default() -> Board {
        Board {
            supply: 3000,
            temperature: 2500,
            inputs: [0; 2],
            event_closed: false,
            nand: Nand::new(),
            usb: UsbHost::new(),
        }
    }
}

impl Board {
    /// Whether a USB cable brings 5 V.
    pub fn is_usb_powered(&self) -> bool {
        self.usb.is_attached()
    }

    /// Levels that the board drives into port A. The Schmitt trigger's threshold is taken as half the supply.
    pub(crate) fn port_a(&self) -> u16 {
        let high = |pin: usize| u16::from(self.inputs[pin] > self.supply / 2) << pin;
        u16::from(self.is_usb_powered()) << VBUS_SENSE | high(0) | high(1)
    }

    /// Pins of port A that the board drives, whatever the chip's pull resistors say.
    pub(crate) fn port_a_driven(&self) -> u16 {
        1 << VBUS_SENSE | u16::from(self.event_closed) << EVENT | 3
    }
}
