//! Why this program started.
//!
//! The one place where the flags of past resets are cleared. The bootloader only looks at them, so that they reach the
//! application.

use protocol::record::{CrashPlace, ResetCause};
use stm32_metapac::RCC;

use crate::crash;

/// The cause of the last reset, and the place when it was a crash. To be called once, early: the next start would take
/// flags that are still there for its own.
pub fn take() -> (ResetCause, Option<CrashPlace>) {
    let flags = RCC.csr().read();
    RCC.csr().modify(|w| w.set_rmvf(true));
    let place = crash::take();
    if flags.porrstf() {
        // What RAM holds then is nobody's.
        (ResetCause::PowerOn, None)
    } else if place.is_some() {
        (ResetCause::Crash, place)
    } else if flags.iwdgrstf() {
        (ResetCause::Watchdog, None)
    } else if flags.sftrstf() {
        (ResetCause::Software, None)
    } else {
        (ResetCause::Other, None)
    }
}
