//! Writes the linker script from the memory map: the application begins behind the image's header.

#[path = "../board/src/stm32l052/memory_map.rs"]
#[allow(dead_code)]
mod memory_map;

use memory_map::*;
use std::{env, fs, path::PathBuf};

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let script = format!(
        "MEMORY {{
    FLASH : ORIGIN = {APPLICATION_VECTORS:#x}, LENGTH = {:#x}
    RAM : ORIGIN = {RAM:#x}, LENGTH = {PROGRAM_RAM_SIZE:#x}
}}
",
        APPLICATION_SIZE - HEADER_SIZE - TRAILER_SIZE,
    );
    fs::write(out.join("memory.x"), script).expect("the linker script can be written");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rerun-if-changed=../board/src/stm32l052/memory_map.rs");
}
