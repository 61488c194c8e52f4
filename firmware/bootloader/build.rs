//! Links the bootloader to the beginning of flash, with its description behind its vectors, and names the key that images
//! must be signed with.

use std::env;

#[cfg(feature = "stm32f072")]
use linker::stm32f072::*;
#[cfg(not(feature = "stm32f072"))]
use linker::stm32l052::*;

fn main() {
    let description = format!(
        "_stext = {BOOTLOADER_CODE:#x};
SECTIONS {{
    .bootloader_info {BOOTLOADER_INFO:#x} : {{ KEEP(*(.bootloader_info)) }} > FLASH
}} INSERT AFTER .vector_table;
"
    );
    linker::link(
        (BOOTLOADER, BOOTLOADER_SIZE),
        (RAM, PROGRAM_RAM_SIZE),
        &description,
    );

    let key = env::var("LOGDOCK_PUBLIC_KEY").unwrap_or_else(|_| {
        let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
        format!("{here}/../keys/development-key.public")
    });
    println!("cargo:rustc-env=PUBLIC_KEY_FILE={key}");
    println!("cargo:rerun-if-changed={key}");
    println!("cargo:rerun-if-env-changed=LOGDOCK_PUBLIC_KEY");
}
