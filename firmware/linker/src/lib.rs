//! Has a program linked to where it belongs, by the very memory map that its code uses. For build scripts alone: it must
//! never hold a number of a memory map itself.

use std::path::PathBuf;
use std::{env, fs};

#[path = "../../board/src/stm32f072/memory_map.rs"]
pub mod stm32f072;
#[path = "../../board/src/stm32l052/memory_map.rs"]
pub mod stm32l052;

/// First address and bytes of a memory, as far as a program may use it.
pub type Region = (u32, u32);

/// Links the programs of this package to `flash` and `ram`; `more` is what their linker script says besides.
///
/// # Panics
/// When the script cannot be written: nothing can be built then.
pub fn link(flash: Region, ram: Region, more: &str) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let script = format!(
        "MEMORY {{
    FLASH : ORIGIN = {:#x}, LENGTH = {:#x}
    RAM : ORIGIN = {:#x}, LENGTH = {:#x}
}}
{more}",
        flash.0, flash.1, ram.0, ram.1
    );
    fs::write(out.join("memory.x"), script).expect("the linker script can be written");
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
    println!("cargo:rustc-link-arg-bins=--nmagic");
    // The memory maps are part of this script: cargo runs it again when they change. Nothing else matters.
    println!("cargo:rerun-if-changed=build.rs");
}
