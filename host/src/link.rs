//! The way to a logger: Web Serial, a native port, the emulator.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// A byte stream to one logger that can vanish and come back.
///
/// It assumes neither packet boundaries nor that a port vanishes at a reboot.
#[expect(
    async_fn_in_trait,
    reason = "a browser has one thread: futures need not be Send"
)]
pub trait Link {
    /// Sends all bytes, waiting while the other side cannot take them.
    async fn send(&mut self, bytes: &[u8]) -> Result<(), LinkError>;

    /// Waits until bytes come, at most `timeout`; none when it passed.
    async fn receive(&mut self, timeout: Duration) -> Result<Vec<u8>, LinkError>;

    /// Waits until the same logger can be talked to again, after a reboot or when the cable was pulled; at most
    /// `timeout`. Bytes from before are gone. With a port that stays while the logger reboots it returns at once.
    async fn reopen(&mut self, timeout: Duration) -> Result<(), LinkError>;

    /// What came back is another logger: leaves it, if the one that is meant may still come to another port. Whether it
    /// may; then it is to be reopened once more.
    async fn leave(&mut self) -> bool {
        false
    }

    /// Rates in bits a second that it can be changed to besides [`protocol::BAUD_RATE`], the fastest first. None where a
    /// rate means nothing, or cannot be changed while the port is open: what there is then goes at the rate it began with.
    fn baud_rates(&self) -> &'static [u32] {
        &[]
    }

    /// Goes on at another rate: [`protocol::BAUD_RATE`], as after it was opened, or one of [`Link::baud_rates`]. What was
    /// sent before goes at the one before.
    async fn set_baud_rate(&mut self, _baud: u32) -> Result<(), LinkError> {
        Ok(())
    }

    /// Lets time pass.
    async fn sleep(&mut self, time: Duration);
}

/// Why a link failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkError {
    /// The logger was unplugged or restarted.
    Lost,
    /// It did not come back in time.
    NotBack,
    /// The system refused, in its own words.
    System(String),
}

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LinkError::Lost => f.write_str("The connection to the logger was lost."),
            LinkError::NotBack => f.write_str(
                "The logger did not come back. Unplug it, plug it in again and connect it.",
            ),
            LinkError::System(words) => write!(f, "The port could not be used: {words}"),
        }
    }
}

impl core::error::Error for LinkError {}
