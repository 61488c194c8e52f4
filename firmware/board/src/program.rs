//! The two programs: what one tells the other, starting the application, restarting.

use core::ptr;

use cortex_m::peripheral::SCB;
use cortex_m_rt::exception;
use protocol::device::SerialNumber;
use protocol::image::Version;

use crate::clock::Clock;
use crate::memory_map::{APPLICATION_VECTORS, BOOTLOADER_INFO, UNIQUE_ID};

/// What the bootloader says of itself, at [`BOOTLOADER_INFO`]. Append-only: an application is newer than it.
#[repr(C)]
pub struct BootloaderInfo {
    /// [`BootloaderInfo::MAGIC`].
    pub magic: u32,
    /// Version: major, minor, revision (little-endian).
    pub version: [u8; 4],
    /// The Ed25519 key that it wants images to be signed with.
    pub public_key: [u8; 32],
}

impl BootloaderInfo {
    /// Begins the record.
    pub const MAGIC: u32 = u32::from_le_bytes(*b"LDbi");

    /// The bootloader's version.
    pub fn version(&self) -> Version {
        let [major, minor, low, high] = self.version;
        Version {
            major,
            minor,
            revision: u16::from_le_bytes([low, high]),
            build: 0,
        }
    }

    /// The record of the bootloader on this device, if there is one.
    pub fn read() -> Option<&'static BootloaderInfo> {
        // SAFETY: an aligned place in flash, any bytes are a value of this type, and nothing writes there while a
        // program runs.
        let info = unsafe { &*(BOOTLOADER_INFO as *const BootloaderInfo) };
        // SAFETY: the same. Volatile, because the compiler has never seen anybody put something there.
        let magic = unsafe { ptr::read_volatile(&info.magic) };
        (magic == Self::MAGIC).then_some(info)
    }
}

/// The chip's unique identifier.
pub fn serial_number() -> SerialNumber {
    let mut bytes = [0; 12];
    for (bytes, address) in bytes.chunks_exact_mut(4).zip(UNIQUE_ID) {
        // SAFETY: an aligned word of the factory's area, which every chip of this kind has.
        let word = unsafe { ptr::read_volatile(address as *const u32) };
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    SerialNumber(bytes)
}

/// Leaves this program for the one whose vector table lies at [`APPLICATION_VECTORS`], which must have been checked.
pub fn start_application(clock: Clock) -> ! {
    clock.stop();
    #[cfg(feature = "stm32l052")]
    crate::nand::rest();
    // SAFETY: the caller has checked stack pointer and reset vector; no interrupt of this program is enabled, DMA stands
    // still, and nothing of its RAM is used again.
    unsafe {
        // An STM32F0's core has no such register: a fault there is the bootloader's to handle, which starts over too.
        #[cfg(feature = "stm32l052")]
        (*SCB::PTR).vtor.write(APPLICATION_VECTORS);
        cortex_m::asm::bootload(APPLICATION_VECTORS as *const u32)
    }
}

/// Starts over, from the bootloader on.
pub fn restart() -> ! {
    SCB::sys_reset()
}

/// A fault starts over, in both programs: the bootloader then counts it.
///
/// # Safety
/// Called by the core alone.
#[exception]
unsafe fn DefaultHandler(_interrupt: i16) {
    restart()
}

/// The same for the fault that has a handler of its own; the application keeps where it was.
///
/// # Safety
/// Called by the core alone.
#[cfg(feature = "application")]
#[exception]
unsafe fn HardFault(frame: &cortex_m_rt::ExceptionFrame) -> ! {
    crate::crash::keep_fault(frame.pc());
    restart()
}

/// The same for the fault that has a handler of its own.
///
/// # Safety
/// Called by the core alone.
#[cfg(not(feature = "application"))]
#[exception(trampoline = false)]
unsafe fn HardFault() -> ! {
    restart()
}
