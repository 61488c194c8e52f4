//! Who this device is: what the update engine of both programs is told.

#[cfg(not(any(feature = "direct", feature = "usart")))]
use protocol::device::CLASS_ID;
#[cfg(feature = "direct")]
use protocol::device::DIRECT_CLASS_ID as CLASS_ID;
#[cfg(feature = "usart")]
use protocol::device::USART_CLASS_ID as CLASS_ID;
use protocol::device::VENDOR_ID;
use protocol::image::{Target, Version};
use update::engine::Identity;

use crate::memory_map::{APPLICATION, APPLICATION_SIZE, RAM, RAM_SIZE};
use crate::program::serial_number;

/// Hardware model, as printed on the case.
pub const MODEL: &str = if cfg!(feature = "direct") {
    "LD-1D"
} else if cfg!(feature = "usart") {
    "LD-1U"
} else {
    "LD-1"
};

/// What images for this device are like.
static TARGET: Target = Target {
    slot_address: APPLICATION,
    slot_size: APPLICATION_SIZE,
    ram_address: RAM,
    ram_size: RAM_SIZE,
    vendor_id: VENDOR_ID,
    class_id: CLASS_ID,
    security_counter: 0,
};

/// This device, with the bootloader's key and version.
pub fn identity(public_key: &'static [u8; 32], bootloader: Version) -> Identity {
    Identity {
        model: MODEL,
        serial: serial_number(),
        target: &TARGET,
        public_key,
        bootloader,
    }
}
