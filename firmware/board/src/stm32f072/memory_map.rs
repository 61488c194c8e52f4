//! What lies where. The build scripts of both programs make their linker scripts from this very file.

/// First address of flash, and of the bootloader.
pub const BOOTLOADER: u32 = 0x0800_0000;
/// Bytes of the bootloader: sectors of write protection are 4 KB.
pub const BOOTLOADER_SIZE: u32 = 28 * 1024;
/// What the bootloader tells the application of itself: `program::BootloaderInfo`, behind its 48 vectors.
pub const BOOTLOADER_INFO: u32 = BOOTLOADER + 48 * 4;
/// The bootloader's code, behind that.
pub const BOOTLOADER_CODE: u32 = BOOTLOADER + 0x100;
/// First address of the application slot: the image's header.
pub const APPLICATION: u32 = BOOTLOADER + BOOTLOADER_SIZE;
/// Bytes of the application slot.
pub const APPLICATION_SIZE: u32 = 96 * 1024;
/// The application's vector table, behind its header.
pub const APPLICATION_VECTORS: u32 = APPLICATION + HEADER_SIZE;
/// Bytes of an image's header, as `protocol::image` has it.
pub const HEADER_SIZE: u32 = 0x100;
/// Room for the TLVs behind the application: digest, signature, key hash, counter, vendor and class.
pub const TRAILER_SIZE: u32 = 0x100;
/// The boot record: a page for each of its two copies.
pub const BOOT_RECORD: u32 = APPLICATION + APPLICATION_SIZE;
/// Bytes of both.
pub const BOOT_RECORD_SIZE: u32 = 2 * 2048;
/// First address of RAM.
pub const RAM: u32 = 0x2000_0000;
/// Bytes of RAM.
pub const RAM_SIZE: u32 = 16 * 1024;
/// Bytes of RAM that the programs have for themselves; the stack begins at the end of it, aligned to 8.
pub const PROGRAM_RAM_SIZE: u32 = RAM_SIZE - 32;
/// Behind that: the place of a crash, which a reset keeps: `crash`.
pub const CRASH: u32 = RAM + PROGRAM_RAM_SIZE;
/// Bytes of it.
pub const CRASH_SIZE: u32 = 28;
/// The last word, which a reset keeps: `start_count`.
pub const START_COUNT: u32 = RAM + RAM_SIZE - 4;
/// Three words of unique identifier (RM0091, 33.1).
pub const UNIQUE_ID: [u32; 3] = [0x1FFF_F7AC, 0x1FFF_F7B0, 0x1FFF_F7B4];

const _: () = assert!(CRASH + CRASH_SIZE == START_COUNT);
const _: () = assert!(BOOT_RECORD + BOOT_RECORD_SIZE == BOOTLOADER + 128 * 1024);
