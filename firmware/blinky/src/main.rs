//! The smallest application that can be updated: a light blinks, and a computer can ask who it is and hand it over to the
//! bootloader's update mode. What every application owes the bootloader is here, and nothing else: begin with this one.
//!
//! It never writes flash but for the boot record, and enables no interrupt: an STM32F0 takes its vectors from the
//! bootloader.

#![no_std]
#![no_main]

use board::port::Port;
use board::program::{self, BootloaderInfo};
use board::{Board, identity::identity, start_count, watchdog};
use cortex_m_rt::entry;
use protocol::device::Program;
use protocol::image::Version;
use protocol::message::{CommonRequest, Never, Refusal};
use update::direct::NoNand;
use update::engine::Engine;
use update::memory::{Eeprom, Flash};
use update::server::{Handler, Reply};

/// How long a new image may wait for a computer to confirm it, in milliseconds. After that it starts over; after three
/// starts the bootloader offers update mode.
const TRIAL_TIME: u64 = 90_000;

/// After this time it counts as healthy, in milliseconds.
const HEALTHY: u64 = 10_000;

/// How long the light is on, and off, in milliseconds.
const BLINK: u64 = if cfg!(feature = "v1_1") { 200 } else { 500 };

#[entry]
fn main() -> ! {
    watchdog::feed();
    let Some(mut board) = Board::take() else {
        program::restart()
    };
    let (public_key, bootloader) = match BootloaderInfo::read() {
        Some(info) => (&info.public_key, info.version()),
        // Started by a debugger without a bootloader: it runs, but no image can be confirmed or signed for it.
        None => (&[0; 32], Version::default()),
    };
    let identity = identity(public_key, bootloader);
    let Some(mut port) = Port::start(&board.clock, Program::Application, identity.serial) else {
        program::restart()
    };
    let mut answers = Answers(Engine::new(
        board.flash,
        board.eeprom,
        NoNand::<0>::new(),
        identity,
    ));
    let mut next_change = 0;
    let mut on = false;
    while !answers.0.restart_requested() {
        watchdog::feed();
        let now = board.clock.millis();
        if now >= next_change {
            on = !on;
            board.led.set(on);
            next_change = now + BLINK;
        }
        port.turn(&board.clock, &mut answers);
        port.rest();
        if answers.0.on_trial() && now > TRIAL_TIME {
            program::restart();
        }
        if now > HEALTHY {
            start_count::clear();
        }
    }
    port.finish(&board.clock);
    start_count::clear();
    program::restart()
}

/// Nothing but what both programs answer.
struct Answers<F, E>(Engine<F, E, NoNand<0>>);

impl<F: Flash, E: Eeprom> Handler for Answers<F, E> {
    type Request<'r> = Never;

    fn common(
        &mut self,
        request: &CommonRequest<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Refusal> {
        self.0.handle(request, reply)
    }

    fn other(&mut self, request: &Never, _: &mut Reply<'_>) -> Result<(), Refusal> {
        match *request {}
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    program::restart()
}
