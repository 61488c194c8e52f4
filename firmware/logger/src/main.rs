//! The logger's application: samples, keeps settings, answers, and receives an update while it goes on.
//!
//! It never writes flash: a new image goes to NAND, and the bootloader takes it from there. On the board without NAND it
//! hands over to the bootloader's update mode.

#![no_std]
#![no_main]

mod settings;

use board::adc::{Adc, Measurement};
use board::clock::Clock;
use board::flash::{ApplicationFlash, DataEeprom};
use board::identity::identity;
#[cfg(not(feature = "direct"))]
use board::nand::SpiNand as ImageMemory;
use board::port::Port;
use board::program::{self, BootloaderInfo};
use board::{Board, start_count, watchdog};
use cortex_m_rt::entry;
use protocol::device::{Program, Status};
use protocol::image::Version;
use protocol::message::{CommonRequest, LoggerRequest, LoggerResponse, Refusal};
use settings::SettingsStore;
#[cfg(feature = "direct")]
use update::direct::NoNand;
use update::engine::Engine;
use update::server::{Handler, Reply};

/// How long a new image may wait for a computer to confirm it, in milliseconds. After that it starts over, and after
/// three starts the bootloader puts the old one back.
const TRIAL_TIME: u64 = 90_000;

/// After this time the application counts as healthy, in milliseconds: it samples and feeds the watchdog. Whether a
/// computer was there is no matter: most loggers run without one.
const HEALTHY: u64 = 10_000;

/// The application of the board without NAND takes no upload itself.
#[cfg(feature = "direct")]
type ImageMemory = NoNand<0>;

#[entry]
fn main() -> ! {
    watchdog::feed();
    let Some(board) = Board::take() else {
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
    #[cfg(not(feature = "direct"))]
    let nand = board.nand;
    #[cfg(feature = "direct")]
    let nand = ImageMemory::new();
    let mut logger = Logger {
        settings: SettingsStore::new(),
        engine: Engine::new(board.flash, board.eeprom, nand, identity),
        clock: board.clock,
        adc: board.adc,
        records: 0,
        next_sample: 0,
        latest: Measurement::default(),
    };
    logger.settings.load(&logger.engine.eeprom);
    while !logger.engine.restart_requested() {
        watchdog::feed();
        logger.sample_when_due();
        port.turn(&mut logger);
        port.rest();
        if logger.engine.on_trial() && logger.clock.millis() > TRIAL_TIME {
            program::restart();
        }
        if logger.clock.millis() > HEALTHY {
            start_count::clear();
        }
    }
    port.finish(&logger.clock);
    start_count::clear();
    program::restart()
}

struct Logger {
    engine: Engine<ApplicationFlash, DataEeprom, ImageMemory>,
    settings: SettingsStore,
    clock: Clock,
    adc: Adc,
    /// Samples taken since the start.
    records: u32,
    /// When the next one is due, in milliseconds since the start.
    next_sample: u64,
    latest: Measurement,
}

impl Logger {
    #[inline(never)]
    fn sample_when_due(&mut self) {
        let now = self.clock.millis();
        if now < self.next_sample {
            return;
        }
        self.latest = self.adc.measure(self.settings.averaged_conversions());
        self.latest.temperature = self
            .latest
            .temperature
            .saturating_add(self.settings.temperature_offset());
        self.records += 1;
        let interval = self.settings.interval();
        self.next_sample += interval;
        // Time passed by while the core stood still, or the interval was made shorter.
        if self.next_sample <= now || self.next_sample > now + interval {
            self.next_sample = now + interval;
        }
    }
}

impl Handler for Logger {
    type Request<'r> = LoggerRequest<'r>;

    #[inline(never)]
    fn common(
        &mut self,
        request: &CommonRequest<'_>,
        reply: &mut Reply<'_>,
    ) -> Result<(), Refusal> {
        self.engine.handle(request, reply)
    }

    #[inline(never)]
    fn other(&mut self, request: &LoggerRequest<'_>, reply: &mut Reply<'_>) -> Result<(), Refusal> {
        match request {
            LoggerRequest::DescribeSetting { index } => {
                let setting = settings::TABLE
                    .get(usize::from(*index))
                    .ok_or(Refusal::NoSuchSetting)?;
                reply.other(LoggerResponse::Setting(*setting));
            }
            LoggerRequest::ReadSettings => {
                reply.other(LoggerResponse::Settings(self.settings.values()));
            }
            LoggerRequest::WriteSettings { values } => {
                self.settings.change(&mut self.engine.eeprom, values)?;
                // A shorter interval holds from now on.
                let soonest = self.clock.millis() + self.settings.interval();
                self.next_sample = self.next_sample.min(soonest);
            }
            LoggerRequest::Status => reply.other(LoggerResponse::Status(Status {
                uptime: self.clock.millis(),
                records: self.records,
                supply: self.latest.supply,
                temperature: self.latest.temperature,
            })),
        }
        Ok(())
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    program::restart()
}
