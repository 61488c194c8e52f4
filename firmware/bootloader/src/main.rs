//! The bootloader: decides what runs, installs and puts back; takes an update itself when no application can.
//!
//! It is the only program that writes application flash, and it never starts anything whose digest it has not checked.

#![no_std]
#![no_main]

use core::mem;

use board::clock::Clock;
#[cfg(feature = "stm32l052")]
use board::flash::protect_bootloader;
use board::port::Port;
use board::program::{self, BootloaderInfo};
use board::{Board, identity::identity, start_count, watchdog};
use cortex_m_rt::entry;
use protocol::device::{Program, SerialNumber};
use protocol::message::{CommonRequest, Never, Refusal};
use update::boot::Decision;
use update::engine::Engine;
use update::memory::{Eeprom, Flash, Nand};
use update::server::{Handler, Reply};

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

/// Starts in a row that a confirmed application may fail to become healthy, before a computer is asked for help.
const FAILED_STARTS: u8 = 5;

/// How long update mode waits for a computer before it looks again for something to start, in milliseconds.
const NEXT_LOOK: u64 = 60_000;

#[entry]
fn main() -> ! {
    // Over everything: there is no reset button. Work on the memories feeds it, as long as it gets on.
    watchdog::start();
    let Some(board) = Board::take() else {
        program::restart()
    };
    #[cfg(feature = "stm32l052")]
    protect_bootloader();
    let Board {
        mut clock,
        flash,
        eeprom,
        #[cfg(not(feature = "direct"))]
        nand,
        #[cfg(feature = "stm32l052")]
        mut inputs,
        #[cfg(feature = "stm32l052")]
        mut power,
        ..
    } = board;
    #[cfg(feature = "direct")]
    let nand = update::direct::NoNand::<1>::new();
    let identity = identity(&INFO.public_key, INFO.version());
    let mut engine = Engine::new(flash, eeprom, nand, identity);
    if engine.boot() == Decision::Start {
        // Starts on trial are counted in the boot record.
        let starts = if engine.on_trial() {
            0
        } else {
            start_count::read()
        };
        if starts < FAILED_STARTS {
            start_count::write(starts + 1);
            program::start_application(clock)
        }
    }
    // When it is left, the application gets its chances again.
    start_count::clear();
    let updater = Updater {
        engine: &mut engine,
        heard: false,
    };
    #[cfg(feature = "stm32l052")]
    let wait = {
        inputs.start_cable();
        |clock: &mut Clock, port: &mut Port, deadline| {
            let awake = port.follow_cable(clock);
            if !awake {
                power.sleep_until(clock, port, deadline);
            }
            awake
        }
    };
    #[cfg(not(feature = "stm32l052"))]
    let wait = |_: &mut Clock, _: &mut Port, _| true;
    update_mode(&mut clock, updater, identity.serial, wait);
    program::restart()
}

/// Converses until a computer asks for a restart, or none was there for a while. Where an application could go on, it is
/// not enough that one is there: it has to say something.
///
/// `wait` says whether the port is awake. When it is not, it first lets time pass, until a deadline at most.
fn update_mode<F: Flash, E: Eeprom, N: Nand>(
    clock: &mut Clock,
    mut updater: Updater<'_, F, E, N>,
    serial: SerialNumber,
    mut wait: impl FnMut(&mut Clock, &mut Port, u64) -> bool,
) {
    let Some(mut port) = Port::start(clock, Program::Bootloader, serial) else {
        return;
    };
    let mut next_look = NEXT_LOOK;
    while !updater.engine.restart_requested() && clock.millis() < next_look {
        watchdog::feed();
        if !wait(clock, &mut port, next_look) {
            continue;
        }
        port.turn(clock, &mut updater);
        let heard = mem::take(&mut updater.heard);
        if port.connected() && (heard || !updater.engine.handed_over()) {
            next_look = clock.millis() + NEXT_LOOK;
        }
    }
    if wait(clock, &mut port, 0) {
        port.finish(clock);
    }
}

/// Offers what concerns updates, and nothing else.
struct Updater<'a, F, E, N> {
    engine: &'a mut Engine<F, E, N>,
    /// A request came.
    heard: bool,
}

impl<F: Flash, E: Eeprom, N: Nand> Handler for Updater<'_, F, E, N> {
    type Request<'r> = Never;

    fn common(
        &mut self,
        request: &CommonRequest<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Refusal> {
        self.heard = true;
        match request {
            // No image runs that could be confirmed.
            CommonRequest::Confirm { .. } => Err(Refusal::UnknownRequest),
            CommonRequest::Install if self.engine.put_back()? => Ok(()),
            _ => self.engine.handle(request, reply),
        }
    }

    fn other(&mut self, request: &Never, _: &mut Reply<'_>) -> Result<(), Refusal> {
        match *request {}
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    program::restart()
}
