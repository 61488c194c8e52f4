//! What a logger takes from its battery: an estimate from the datasheets' typical currents at 3 V and 25 °C.
//!
//! It knows how long chip and NAND were at what, and nothing of the voltage range, of single peripherals or of the board:
//! good for comparing settings, and to tell months from years. What comes over USB while a cable is plugged in is not
//! told from what the battery gives.
//!
//! | part | typical current | source |
//! |---|---|---|
//! | chip, STOP with RTC | 0.8 µA | DS10182, features |
//! | its LSI, in STOP and STANDBY | 0.4 µA | DS10182, from memory |
//! | chip, STANDBY | 0.27 µA | DS10182, features |
//! | chip, running from flash, range 1 | 200 µA a MHz | DS10182, from memory: 6.4 mA at 32 MHz |
//! | chip, sleeping, range 1 | 60 µA a MHz | DS10182, from memory: 1.9 mA at 32 MHz |
//! | NAND, standby | 10 µA | W25N01GV datasheet, from memory |
//! | NAND, reading, programming or erasing | 25 mA | W25N01GV datasheet, from memory |

use crate::machine::PowerTime;
use crate::time::Time;

/// Amperes in STOP, with RTC and LSI.
const STOP: f64 = 1.2e-6;
/// Amperes in STANDBY, with RTC and LSI.
const STANDBY: f64 = 0.67e-6;
/// Coulombs of a cycle of the running core: 200 µA/MHz.
const CYCLE_AWAKE: f64 = 200e-12;
/// Coulombs of a cycle in which it sleeps.
const CYCLE_ASLEEP: f64 = 60e-12;
/// Amperes of a NAND that does nothing.
const NAND_STANDBY: f64 = 10e-6;
/// Amperes of one that reads, programs or erases.
const NAND_BUSY: f64 = 25e-3;

/// What a logger did.
pub(crate) struct Activity {
    /// How long the chip was at what.
    pub power: PowerTime,
    /// Cycles in which the core ran.
    pub cycles_awake: u64,
    /// Cycles in which it slept, its clock going.
    pub cycles_asleep: u64,
    /// How long the NAND worked on its cells.
    pub nand_busy: Time,
}

/// The charge that it took, in coulombs.
pub(crate) fn charge(activity: &Activity) -> f64 {
    let PowerTime {
        run,
        sleep,
        stop,
        standby,
    } = activity.power;
    seconds(stop) * STOP
        + seconds(standby) * STANDBY
        + activity.cycles_awake as f64 * CYCLE_AWAKE
        + activity.cycles_asleep as f64 * CYCLE_ASLEEP
        + seconds(run + sleep + stop + standby) * NAND_STANDBY
        + seconds(activity.nand_busy) * (NAND_BUSY - NAND_STANDBY)
}

fn seconds(time: Time) -> f64 {
    time.picos() as f64 / 1e12
}
