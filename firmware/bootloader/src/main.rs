//! The bootloader: decides what runs, installs and puts back.
//!
//! It is the only program that writes application flash, and it never starts anything whose digest it has not checked.

#![no_std]
#![no_main]

use board::program::{self, BootloaderInfo};
use board::{Board, identity::identity, watchdog};
use cortex_m_rt::entry;
use update::boot::Decision;
use update::engine::Engine;

/// For the application, which shows version and key to computers.
#[allow(
    unsafe_code,
    reason = "the linker script places it where the application looks"
)]
#[unsafe(link_section = ".bootloader_info")]
#[used]
static INFO: BootloaderInfo = BootloaderInfo {
    magic: BootloaderInfo::MAGIC,
    version: [1, 0, 0, 0],
    public_key: *include_bytes!(env!("PUBLIC_KEY_FILE")),
};

/// How long it waits before it looks again for something to start, in milliseconds.
const NEXT_LOOK: u64 = 1000;

#[entry]
fn main() -> ! {
    let Some(board) = Board::take() else {
        program::restart()
    };
    let Board {
        clock,
        flash,
        eeprom,
        nand,
        ..
    } = board;
    let identity = identity(INFO.public_key, INFO.version());
    match Engine::new(flash, eeprom, nand, identity).boot() {
        Decision::Start => {
            watchdog::start();
            program::start_application(clock)
        }
        Decision::Wait => {
            while clock.millis() < NEXT_LOOK {}
            program::restart()
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    program::restart()
}
