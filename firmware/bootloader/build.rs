//! Writes the linker script from the memory map, and names the key that images must be signed with.

#[cfg_attr(feature = "stm32f072", path = "../board/src/stm32f072/memory_map.rs")]
#[cfg_attr(
    not(feature = "stm32f072"),
    path = "../board/src/stm32l052/memory_map.rs"
)]
#[allow(dead_code)]
mod memory_map;

use memory_map::*;
use std::{env, fs, path::PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let script = format!(
        "MEMORY {{
    FLASH : ORIGIN = {BOOTLOADER:#x}, LENGTH = {BOOTLOADER_SIZE:#x}
    RAM : ORIGIN = {RAM:#x}, LENGTH = {PROGRAM_RAM_SIZE:#x}
}}
_stext = {BOOTLOADER_CODE:#x};
SECTIONS {{
    .bootloader_info {BOOTLOADER_INFO:#x} : {{ KEEP(*(.bootloader_info)) }} > FLASH
}} INSERT AFTER .vector_table;
"
    );
    fs::write(out.join("memory.x"), script).expect("the linker script can be written");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=--nmagic");

    let key = env::var("LOGDOCK_PUBLIC_KEY").unwrap_or_else(|_| {
        let here = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
        format!("{here}/../keys/development-key.public")
    });
    println!("cargo:rustc-env=PUBLIC_KEY_FILE={key}");
    println!("cargo:rerun-if-changed={key}");
    println!("cargo:rerun-if-env-changed=LOGDOCK_PUBLIC_KEY");
    println!("cargo:rerun-if-changed=../board/src");
}
