//! The logger's application: samples, records, keeps settings, answers, and receives an update while it goes on.
//!
//! It never writes flash: a new image goes to NAND, and the bootloader takes it from there. On the board without NAND it
//! hands over to the bootloader's update mode.

#![no_std]
#![no_main]

mod sampler;
mod settings;
mod state;

use board::flash::{ApplicationFlash, DataEeprom};
use board::identity::identity;
#[cfg(not(feature = "direct"))]
use board::nand::{BLOCKS, SpiNand as ImageMemory};
use board::port::Port;
use board::program::{self, BootloaderInfo};
use board::rtc::{ClockSetting, Rtc};
use board::{Board, crash, reset, start_count, watchdog};
use cortex_m_rt::entry;
use datalog::recorder::{self, Recorder, Source};
use datalog::ring::Trouble;
use protocol::device::Program;
use protocol::image::{HEADER_LENGTH, Header, Version};
use protocol::message::{CommonRequest, CommonResponse, LoggerRequest, LoggerResponse, Refusal};
use protocol::record::{
    Channel, ChannelSet, Health, Layout, LayoutReason, LogSummary, Recording, SEGMENT, Status,
};
use protocol::settings::{Setting, Settings};
use sampler::{Plan, Sample, Sampler, Sampling};
use settings::{Configuration, SettingsStore, Start};
use state::State;
#[cfg(feature = "direct")]
use update::direct::NoNand;
use update::engine::Engine;
use update::memory::Flash;
use update::server::{Handler, Reply};
use update::store::END_BLOCK;

/// How long a new image may wait for a computer to confirm it, in milliseconds. After that it starts over, and after
/// three starts the bootloader puts the old one back.
const TRIAL_TIME: u64 = 90_000;

/// After this time the application counts as healthy, in milliseconds: it samples and feeds the watchdog. Whether a
/// computer was there is no matter: most loggers run without one.
const HEALTHY: u64 = 10_000;

/// The application of the board without NAND takes no upload itself.
#[cfg(feature = "direct")]
type ImageMemory = NoNand<0>;
/// Nor does it keep records: it measures, and says so.
#[cfg(feature = "direct")]
const BLOCKS: u32 = END_BLOCK;
/// UTC that a clock can be set to, in milliseconds since 1970: from 2020 to the end of what a start time can say, 2106.
const POSSIBLE_TIMES: core::ops::Range<u64> = 1_577_836_800_000..(1 << 32) * 1000;

/// A drift is measured over at least this time, in milliseconds: over less, a millisecond is too much of it.
const DRIFT_TIME: u64 = 10_000;

#[entry]
fn main() -> ! {
    watchdog::feed();
    let Some(board) = Board::take() else {
        program::restart()
    };
    let Board {
        mut clock,
        flash,
        eeprom,
        #[cfg(not(feature = "direct"))]
        nand,
        adc,
        mut inputs,
        mut rtc,
        mut power,
        ..
    } = board;
    #[cfg(feature = "direct")]
    let nand = ImageMemory::new();
    let (public_key, bootloader) = match BootloaderInfo::read() {
        Some(info) => (&info.public_key, info.version()),
        // Started by a debugger without a bootloader: it runs, but no image can be confirmed or signed for it.
        None => (&[0; 32], Version::default()),
    };
    let identity = identity(public_key, bootloader);
    let Some(mut port) = Port::start(&clock, Program::Application, identity.serial) else {
        program::restart()
    };
    inputs.start();
    let new_session = !rtc.is_running();
    rtc.start(&clock);
    let sampler = Sampler::new(rtc, adc, inputs);
    let mut logger = Logger::start(
        Engine::new(
            Sampling::new(flash, &sampler),
            Sampling::new(eeprom, &sampler),
            Sampling::new(nand, &sampler),
            identity,
        ),
        &sampler,
        new_session,
    );
    while !logger.engine.restart_requested() {
        watchdog::feed();
        logger.record();
        let uptime = logger.uptime();
        if logger.engine.on_trial() && uptime > TRIAL_TIME {
            break;
        }
        if uptime > HEALTHY {
            start_count::clear();
        }
        if port.follow_cable(&mut clock) {
            port.turn(&clock, &mut logger);
            if !port.connected() {
                logger.reading = None;
            }
            if logger.reading.is_none() {
                port.rest();
            }
        } else {
            let deadline = logger.deadline();
            power.stop_until(&sampler.rtc, &port, deadline);
        }
    }
    logger.record();
    logger.flush();
    if port.follow_cable(&mut clock) {
        port.finish(&clock);
    }
    start_count::clear();
    program::restart()
}

/// What was asked for with `ReadLog`.
struct Reading {
    /// The request's number.
    request: u16,
    /// The next segment, and the one behind the last.
    next: u32,
    end: u32,
}

struct Logger<'a> {
    sampler: &'a Sampler,
    engine:
        Engine<Sampling<'a, ApplicationFlash>, Sampling<'a, DataEeprom>, Sampling<'a, ImageMemory>>,
    settings: SettingsStore,
    state: State,
    recorder: Recorder,
    reading: Option<Reading>,
    /// The clock when the program started.
    started: u64,
}

/// What the log is told about its records.
struct Context<'l, 'a> {
    settings: &'l SettingsStore,
    flash: &'l Sampling<'a, ApplicationFlash>,
    eeprom: &'l Sampling<'a, DataEeprom>,
    session: u16,
    rtc: &'l Rtc,
}

impl Source for Context<'_, '_> {
    fn session(&self) -> u16 {
        self.session
    }

    fn utc_offset(&self) -> Option<i64> {
        self.rtc.setting().map(|setting| setting.utc_offset)
    }

    #[inline(never)]
    fn layout(&self, reason: LayoutReason) -> Layout {
        let mut header = [0; HEADER_LENGTH];
        self.flash.read(0, &mut header);
        Layout {
            firmware: Header::parse(&header).map_or(Version::default(), |header| header.version),
            reason,
            channels: Channel::ALL.map(|channel| self.settings.layout(self.eeprom, channel)),
            clock: self.rtc.timekeeping(),
        }
    }
}

impl<'a> Logger<'a> {
    /// Takes up what was kept, and the log where it ends.
    #[inline(never)]
    fn start(
        engine: Engine<
            Sampling<'a, ApplicationFlash>,
            Sampling<'a, DataEeprom>,
            Sampling<'a, ImageMemory>,
        >,
        sampler: &'a Sampler,
        new_session: bool,
    ) -> Self {
        let state = State::load(&engine.eeprom);
        let settings = SettingsStore::load(&engine.eeprom);
        let rules = settings.configuration.rules();
        let mut logger = Logger {
            started: sampler.rtc.now(),
            sampler,
            engine,
            settings,
            recorder: Recorder::new(END_BLOCK..BLOCKS, state.first, rules),
            state,
            reading: None,
        };
        logger.count_start(new_session);
        logger.recorder.mount(&mut logger.engine.nand);
        logger.begin(LayoutReason::Start(logger.state.reset));
        logger.plan(&logger.settings.configuration);
        logger
    }

    /// Takes in why the program started, and keeps what that changes.
    #[inline(never)]
    fn count_start(&mut self, new_session: bool) {
        let counted = self.state.count(reset::take());
        if new_session {
            self.state.session = self.state.session.wrapping_add(1);
        }
        if counted || new_session {
            // Counted until the next start all the same.
            let _ = self.state.save(&mut self.engine.eeprom);
        }
    }

    /// The recorder, the memory it writes to, what it is told, and the clock.
    #[inline(never)]
    fn parts(
        &mut self,
    ) -> (
        &mut Recorder,
        &mut Sampling<'a, ImageMemory>,
        Context<'_, 'a>,
        u64,
    ) {
        let sampler = self.sampler;
        let context = Context {
            settings: &self.settings,
            flash: &self.engine.flash,
            eeprom: &self.engine.eeprom,
            session: self.state.session,
            rtc: &sampler.rtc,
        };
        let now = sampler.rtc.now();
        (&mut self.recorder, &mut self.engine.nand, context, now)
    }

    /// Milliseconds since the program started.
    fn uptime(&self) -> u64 {
        self.sampler.rtc.now() - self.started
    }

    /// Closes the segment under way, before something changes of what it was recorded under.
    fn begin(&mut self, reason: LayoutReason) {
        let (recorder, nand, context, now) = self.parts();
        recorder.begin(nand, &context, now, reason);
    }

    /// Writes what was not written yet.
    fn flush(&mut self) {
        let (recorder, nand, context, now) = self.parts();
        recorder.flush(nand, &context, now);
    }

    /// Lays down when samples are taken from now on: at once, or from the start time on.
    fn plan(&self, configuration: &Configuration) {
        let sampler = self.sampler;
        let now = sampler.rtc.now();
        let due = match configuration.start() {
            _ if !configuration.recording() => Sampler::NEVER,
            Start::At(seconds) if !self.state.started => match sampler.rtc.setting() {
                Some(clock) => now.max(clock.when(seconds)),
                None => Sampler::NEVER,
            },
            _ => now,
        };
        sampler.due.set(due);
        sampler.plan.set(Plan {
            interval: configuration.interval(),
            channels: configuration.sampled(),
            conversions: configuration.conversions(),
        });
    }

    /// Records what was sampled, and writes what it is time for.
    #[inline(never)]
    fn record(&mut self) {
        self.sampler.poll();
        while let Some(sample) = self.sampler.take() {
            self.push(&sample);
        }
        let (recorder, nand, context, now) = self.parts();
        recorder.tick(nand, &context, now);
    }

    fn push(&mut self, sample: &Sample) {
        let values = sample.values();
        let configuration = &self.settings.configuration;
        if !self.state.started {
            if configuration.start() == Start::Threshold
                && !configuration.start_threshold_crossed(&values)
            {
                return;
            }
            // A restart is to go on, whatever the clock or the value are then.
            self.state.started = true;
            let _ = self.state.save(&mut self.engine.eeprom);
        }
        let configuration = &self.settings.configuration;
        let mut record = recorder::Sample {
            time: 0,
            interval: configuration.interval(),
            channels: configuration.channels(),
            alarms: configuration.alarms(&values),
            values,
        };
        let (recorder, nand, context, now) = self.parts();
        record.time = sample.time(now);
        recorder.push(nand, &context, &record);
    }

    /// Until when there is nothing to do: the clock in milliseconds.
    #[inline(never)]
    fn deadline(&self) -> u64 {
        let due = self.sampler.due.get();
        let due = self.recorder.due().map_or(due, |tick| due.min(tick));
        match self.engine.on_trial() {
            true => due.min(self.started + TRIAL_TIME + 1),
            false => due,
        }
    }

    #[inline(never)]
    fn change_settings(&mut self, values: &Settings<'_>) -> Result<(), Refusal> {
        self.settings.check(values)?;
        let before = &self.settings.configuration;
        let after = self.settings.with(values);
        let starts_alike = after.starts_like(before);
        let same_grid = starts_alike
            && after.recording() == before.recording()
            && after.interval() == before.interval();
        let started = self.state.started;
        let starts_anew = started && !starts_alike;
        // First, so that a power cut never leaves a new start that counts as waited for.
        let mut written = Ok(());
        if starts_anew {
            self.state.started = false;
            written = self.state.save(&mut self.engine.eeprom);
        }
        written = written.and_then(|()| self.settings.write(&mut self.engine.eeprom, values));
        // Until the new settings are in force, recording goes on.
        self.state.started = started;
        if written.is_err() {
            if starts_anew {
                let _ = self.state.save(&mut self.engine.eeprom);
            }
            return written;
        }
        // What was sampled meanwhile is recorded as what it was sampled as. If it was still waiting for its start, and that
        // is another one now, it is none.
        while let Some(sample) = self.sampler.take() {
            if started || starts_alike {
                self.push(&sample);
            }
        }
        if !starts_alike {
            self.state.started = false;
        }
        // From here on samples are for the new settings. They wait while what was recorded under the old ones is written.
        let due = self.sampler.due.get();
        self.plan(&after);
        if same_grid {
            self.sampler.due.set(due);
        }
        self.begin(LayoutReason::Change);
        self.recorder.rules = after.rules();
        self.settings.take_over(&self.engine.eeprom, after);
        Ok(())
    }

    #[inline(never)]
    fn set_clock(&mut self, utc: u64, local_offset: i16) -> Result<(), Refusal> {
        if !POSSIBLE_TIMES.contains(&utc) {
            return Err(Refusal::ImpossibleTime);
        }
        let rtc = &self.sampler.rtc;
        // Before anything that takes time.
        let now = rtc.now();
        self.begin(LayoutReason::Change);
        let utc_offset = utc as i64 - now as i64;
        let drift = rtc.setting().and_then(|before| {
            drift(before.utc_offset - utc_offset, now - before.set_at).or(before.drift)
        });
        rtc.set(ClockSetting {
            utc_offset,
            local_offset,
            set_at: now,
            drift,
        });
        if !self.state.started {
            self.plan(&self.settings.configuration);
        }
        Ok(())
    }

    #[inline(never)]
    fn status(&mut self) -> Status {
        let configuration = &self.settings.configuration;
        let sampler = self.sampler;
        let clock = sampler.rtc.setting();
        let time = sampler.rtc.now();
        let mut values = sampler.measure(ChannelSet(u8::MAX), time).values();
        let alarms = configuration.alarms(&values);
        values[Channel::Events as usize] = sampler.events() as i32;
        Status {
            time,
            utc_offset: clock.map(|clock| clock.utc_offset),
            local_offset: clock.map_or(0, |clock| clock.local_offset),
            recording: match (configuration.start(), self.recorder.trouble()) {
                _ if !configuration.recording() => Recording::Off,
                (Start::At(_), _) if !self.state.started && clock.is_none() => {
                    Recording::WaitingForClock
                }
                _ if !self.state.started => Recording::Waiting,
                (_, Some(Trouble::Full)) => Recording::Full,
                (_, Some(Trouble::Failing)) => Recording::NoMemory,
                (_, None) => Recording::Running,
            },
            next_record: self.recorder.next_record(),
            channels: configuration.channels(),
            alarms,
            values,
        }
    }

    fn health(&self) -> Health {
        let drift = self.sampler.rtc.setting().and_then(|clock| clock.drift);
        self.state.health(self.uptime(), drift)
    }

    fn summary(&self) -> LogSummary {
        LogSummary {
            mended: mended(&self.engine.nand.memory),
            ..self.recorder.summary()
        }
    }

    /// The segment behind the last one that can be read.
    fn end(&self) -> u32 {
        let summary = self.recorder.summary();
        summary.next + u32::from(summary.pending > 0)
    }

    fn erase(&mut self, next: u32) -> Result<(), Refusal> {
        let summary = self.recorder.summary();
        if !(summary.first..=summary.next).contains(&next) {
            return Err(Refusal::OtherLog);
        }
        // Kept first: what was said to be erased must not come back.
        self.state.first = next;
        if let Err(refusal) = self.state.save(&mut self.engine.eeprom) {
            self.state.first = summary.first;
            return Err(refusal);
        }
        self.recorder.erase_until(next);
        self.flush();
        Ok(())
    }
}

/// Pages with errors that the memory's ECC mended.
#[cfg(not(feature = "direct"))]
fn mended(memory: &ImageMemory) -> u32 {
    memory.mended()
}

/// The same of no memory.
#[cfg(feature = "direct")]
fn mended(_: &ImageMemory) -> u32 {
    0
}

/// How much too fast a clock is, in millionths, that got ahead by `error` milliseconds while it counted `counted`. None when
/// it was too short a time, or something else than a drift: the clock was set right, for instance.
fn drift(error: i64, counted: u64) -> Option<i32> {
    let elapsed = (counted as i64).wrapping_sub(error);
    if counted < DRIFT_TIME || error.abs() >= elapsed >> 2 {
        return None;
    }
    // Both within 20 bits: a millionth of that is not lost, and nothing needs more than 32 bits.
    let (mut error, mut elapsed) = (error, elapsed);
    while elapsed >= 1 << 20 {
        elapsed >>= 1;
        error >>= 1;
    }
    let (thousandfold, elapsed) = (error as i32 * 1000, elapsed as i32);
    Some(thousandfold / elapsed * 1000 + thousandfold % elapsed * 1000 / elapsed)
}

impl Handler for Logger<'_> {
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
        match *request {
            LoggerRequest::DescribeSetting { index } => {
                let descriptor =
                    settings::descriptor(index.into()).ok_or(Refusal::NoSuchSetting)?;
                let mut window = [0; Setting::LONGEST];
                let value = self
                    .settings
                    .value(&self.engine.eeprom, &descriptor, &mut window);
                reply.other(LoggerResponse::Setting { descriptor, value });
            }
            LoggerRequest::WriteSettings { ref values } => self.change_settings(values)?,
            LoggerRequest::Status => reply.other(LoggerResponse::Status(self.status())),
            LoggerRequest::Health => reply.other(LoggerResponse::Health(self.health())),
            LoggerRequest::SetClock { utc, local_offset } => self.set_clock(utc, local_offset)?,
            LoggerRequest::LogSummary => reply.other(LoggerResponse::LogSummary(self.summary())),
            LoggerRequest::ReadLog { first, count } => {
                let end = self.end();
                if !(self.recorder.summary().first..=end).contains(&first) {
                    return Err(Refusal::OtherLog);
                }
                self.reading = Some(Reading {
                    request: reply.sequence(),
                    next: first,
                    end: end.min(first.saturating_add(count)),
                });
                self.go_on(reply);
            }
            LoggerRequest::EraseLog { next } => self.erase(next)?,
        }
        Ok(())
    }

    fn begin(&mut self) {
        self.reading = None;
    }

    #[inline(never)]
    fn go_on(&mut self, reply: &mut Reply<'_>) -> bool {
        let Some(reading) = &mut self.reading else {
            return false;
        };
        reply.belong_to(reading.request);
        if reading.next >= reading.end {
            self.reading = None;
            reply.common(CommonResponse::Done);
            return true;
        }
        let sequence = reading.next;
        reading.next += 1;
        let mut segment = [0; SEGMENT];
        let length = self
            .recorder
            .read(&mut self.engine.nand, sequence, &mut segment)
            // The first byte alone: no segment.
            .unwrap_or(1);
        let bytes = segment.get(..length).unwrap_or_default();
        reply.other(LoggerResponse::Segment { sequence, bytes });
        true
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    crash::keep();
    program::restart()
}
