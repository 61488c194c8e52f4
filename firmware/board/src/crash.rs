//! The place of a crash, kept over the reset in RAM that neither program uses for anything else.
//!
//! Names and lines of source files would take 2.3 KB of flash, so it is kept as addresses. `cargo xtask place` finds the
//! lines in the program's ELF file.

use core::mem;
use core::ptr;

use protocol::image::{Header, Version};
use protocol::record::CrashPlace;

use crate::memory_functions::read_flash;
use crate::memory_map::{APPLICATION, APPLICATION_SIZE, APPLICATION_VECTORS, CRASH, CRASH_SIZE};

/// As it lies in RAM.
#[repr(C)]
struct Record {
    /// [`MAGIC`], when there was a crash.
    magic: u16,
    place: CrashPlace,
}

const _: () = assert!(mem::size_of::<Record>() == CRASH_SIZE as usize);

const MAGIC: u16 = u16::from_le_bytes(*b"Cr");
const RECORD: *mut Record = CRASH as *mut Record;

/// Keeps where the program is, for the next start: where each call that is under way returns to, the innermost first. For
/// the panic handler of the application.
#[inline(always)] // Or its own place would be the innermost.
pub fn keep() {
    keep_from(None);
}

/// The same, behind the address of an instruction that faulted.
#[cfg(feature = "application")]
pub(crate) fn keep_fault(address: u32) {
    keep_from(Some(address));
}

fn keep_from(fault: Option<u32>) {
    let mut place = CrashPlace::default();
    let (version, calls) = place.0.split_at_mut(Version::LENGTH);
    // SAFETY: bytes of the header in front of the application, in flash.
    unsafe { read_flash(APPLICATION + Header::VERSION.start as u32, version) };
    let mut halves = calls.as_chunks_mut().0.iter_mut();
    let mut keep = |address: u32| {
        if let Some(half) = halves.next() {
            *half = (address as u16).to_le_bytes();
        }
    };
    if let Some(address) = fault {
        keep(address | 1);
    }
    let mut address = cortex_m::register::msp::read();
    while address < CRASH {
        // SAFETY: an aligned word of the stack, which ends where the record begins.
        let word = unsafe { ptr::read_volatile(address as *const u32) };
        // The lowest bit says that it is Thumb code.
        let next = word.wrapping_sub(1);
        let code = APPLICATION_VECTORS + 4..APPLICATION_VECTORS + APPLICATION_SIZE;
        if next & 1 == 0 && code.contains(&next) && follows_call(next) {
            keep(next);
        }
        address += 4;
    }
    let magic = MAGIC;
    // SAFETY: an aligned place in RAM, outside of what the linker gives to either program.
    unsafe { ptr::write_volatile(RECORD, Record { magic, place }) };
}

/// Whether the instruction in front of an address is BL or BLX (ARMv6-M Architecture Reference Manual, A6.7).
fn follows_call(next: u32) -> bool {
    // SAFETY: aligned half-words of the application's slot, as the caller has looked; flash can be read at any time.
    let half = |back| unsafe { ptr::read_volatile((next - back) as *const u16) };
    half(4) & 0xF800 == 0xF000 && half(2) & 0xD000 == 0xD000 || half(2) & 0xFF87 == 0x4780
}

/// The place of a crash since the last call, if there was one. After power-on it may be anything.
pub(crate) fn take() -> Option<CrashPlace> {
    // SAFETY: the same place as in `keep_from`; any bytes are a record.
    let record = unsafe { ptr::read_volatile(RECORD) };
    // SAFETY: the same place.
    unsafe { ptr::write_volatile(&raw mut (*RECORD).magic, 0) };
    (record.magic == MAGIC).then_some(record.place)
}
