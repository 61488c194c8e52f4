//! Who this device is: what the update engine of both programs is told.

use protocol::device::{self, Uuid, VENDOR_ID};
use protocol::image::{Target, Version};
use update::engine::Identity;

use crate::memory_map::{APPLICATION, APPLICATION_SIZE, RAM, RAM_SIZE};
use crate::program::serial_number;

/// Hardware model, as printed on the case, and hardware class. Each board has its own: an image for one of them must never
/// get onto another.
const BOARD: (&str, Uuid) = if cfg!(feature = "stm32f072") {
    ("LD-2", device::STM32F072_CLASS_ID)
} else if cfg!(feature = "usart") {
    ("LD-1U", device::USART_CLASS_ID)
} else if cfg!(feature = "direct") {
    ("LD-1D", device::DIRECT_CLASS_ID)
} else {
    ("LD-1", device::CLASS_ID)
};

/// What images for this device are like.
static TARGET: Target = Target {
    slot_address: APPLICATION,
    slot_size: APPLICATION_SIZE,
    ram_address: RAM,
    ram_size: RAM_SIZE,
    vendor_id: VENDOR_ID,
    class_id: BOARD.1,
    security_counter: 0,
};

/// This device, with the bootloader's key and version.
pub fn identity(public_key: &'static [u8; 32], bootloader: Version) -> Identity {
    Identity {
        model: BOARD.0,
        serial: serial_number(),
        target: &TARGET,
        public_key,
        bootloader,
    }
}
