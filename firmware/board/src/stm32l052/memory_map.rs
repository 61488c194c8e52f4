//! What lies where. The build scripts of both programs make their linker scripts from this very file.

/// First address of flash, and of the bootloader.
pub const BOOTLOADER: u32 = 0x0800_0000;
/// Bytes of the bootloader: write-protection sectors 0 to 6.
pub const BOOTLOADER_SIZE: u32 = 28 * 1024;
/// What the bootloader tells the application of itself: `program::BootloaderInfo`, behind its 48 vectors.
pub const BOOTLOADER_INFO: u32 = BOOTLOADER + 48 * 4;
/// The bootloader's code, behind that.
pub const BOOTLOADER_CODE: u32 = BOOTLOADER + 0x100;
/// First address of the application slot: the image's header.
pub const APPLICATION: u32 = BOOTLOADER + BOOTLOADER_SIZE;
/// Bytes of the application slot.
pub const APPLICATION_SIZE: u32 = 36 * 1024;
/// The application's vector table, behind its header.
pub const APPLICATION_VECTORS: u32 = APPLICATION + HEADER_SIZE;
/// Bytes of an image's header, as `protocol::image` has it.
pub const HEADER_SIZE: u32 = 0x100;
/// Room for the TLVs behind the application: digest, signature, key hash, counter, vendor and class.
pub const TRAILER_SIZE: u32 = 0x100;
/// First address of RAM.
pub const RAM: u32 = 0x2000_0000;
/// Bytes of RAM.
pub const RAM_SIZE: u32 = 8 * 1024;
/// Bytes of RAM that the programs have for themselves; the stack begins at the end of it, aligned to 8.
pub const PROGRAM_RAM_SIZE: u32 = RAM_SIZE - 32;
/// Behind that: the place of a crash, which a reset keeps: `crash`.
pub const CRASH: u32 = RAM + PROGRAM_RAM_SIZE;
/// Bytes of it.
pub const CRASH_SIZE: u32 = 28;
/// The last word, which a reset keeps: `start_count`.
pub const START_COUNT: u32 = RAM + RAM_SIZE - 4;
/// First address of the data EEPROM.
pub const EEPROM: u32 = 0x0808_0000;
/// Bytes of data EEPROM.
pub const EEPROM_SIZE: u32 = 2 * 1024;
/// The option bytes that write-protect sectors 0 to 15 of flash (RM0376, 3.8, "Option byte description").
pub const WRITE_PROTECTION: u32 = 0x1FF8_0008;
/// A sector of write protection.
pub const SECTOR_SIZE: u32 = 4 * 1024;
/// Three words of unique identifier, not in a row (RM0376, 33.2).
pub const UNIQUE_ID: [u32; 3] = [0x1FF8_0050, 0x1FF8_0054, 0x1FF8_0064];

const _: () = assert!(CRASH + CRASH_SIZE == START_COUNT);
const _: () = assert!(BOOTLOADER_SIZE.is_multiple_of(SECTOR_SIZE));
const _: () = assert!(APPLICATION + APPLICATION_SIZE == BOOTLOADER + 64 * 1024);
// VTOR wants the table aligned to its size, rounded up to a power of two: 48 words.
const _: () = assert!(APPLICATION_VECTORS.is_multiple_of(256));
