//! The place of a crash, kept over the reset in RAM that neither program uses for anything else.

use core::mem;
use core::ptr;

use protocol::record::CrashPlace;

use crate::memory_map::{CRASH, CRASH_SIZE};

/// As it lies in RAM.
#[repr(C)]
struct Record {
    /// [`MAGIC`], when there was a crash.
    magic: u16,
    line: u16,
    file: [u8; CrashPlace::FILE],
}

const _: () = assert!(mem::size_of::<Record>() == CRASH_SIZE as usize);

const MAGIC: u16 = u16::from_le_bytes(*b"Cr");
const RECORD: *mut Record = CRASH as *mut Record;

/// Keeps the line and the end of the file's name for the next start.
pub fn keep(line: u32, file: &str) {
    let name = file.as_bytes();
    let tail = &name[name.len().saturating_sub(CrashPlace::FILE)..];
    let mut file = [0; CrashPlace::FILE];
    for (byte, from) in file.iter_mut().zip(tail) {
        *byte = *from;
    }
    let record = Record {
        magic: MAGIC,
        line: line as u16,
        file,
    };
    // SAFETY: an aligned place in RAM, outside of what the linker gives to either program.
    unsafe { ptr::write_volatile(RECORD, record) };
}

/// Keeps the address of an instruction that faulted, as its eight digits in the place of the file.
#[cfg(feature = "application")]
pub(crate) fn keep_fault(mut address: u32) {
    let mut digits = [0; 8];
    for digit in &mut digits {
        *digit = b"0123456789abcdef"[(address >> 28) as usize];
        address <<= 4;
    }
    keep(0, core::str::from_utf8(&digits).unwrap_or_default());
}

/// The place of a crash since the last call, if there was one. After power-on it may be anything.
pub(crate) fn take() -> Option<CrashPlace> {
    // SAFETY: the same place; any bytes are a record.
    let record = unsafe { ptr::read_volatile(RECORD) };
    // SAFETY: the same place.
    unsafe { ptr::write_volatile(&raw mut (*RECORD).magic, 0) };
    (record.magic == MAGIC).then_some(CrashPlace {
        line: record.line,
        file: record.file,
    })
}
