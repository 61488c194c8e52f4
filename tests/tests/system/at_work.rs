//! A logger at work: records each second while power fails twice a day, an update comes in the middle, and a computer
//! looks in now and then. Every record that reached memory is in the download, in order, with the right time and the
//! values that there were. Its oscillator is off, as that of any chip is.

use std::time::Duration;

use emulator::machine::Options;
use futures_executor::block_on;
use host::conversation::Conversation;
use host::data::{Batch, Decoder};
use host::device::{read_health, sync_clock};
use host::protocol::record::{Channel, SEGMENT, Segment, SegmentKind};
use host::update::update;
use logdock_tests::{
    EmulatedLink, MADE_AT, V1_1, connect, csv, download, factory_logger_with, firmware,
    judge_with_pandas, running,
};

const DAYS: u64 = 7;
const HOUR: u64 = 3600;
/// The world changes so often, in seconds.
const STEP: u64 = 20;
/// Pulses in each step.
const PULSES: u64 = 2;
/// What the chip's oscillator makes in a second.
const LSI: u32 = 38_210;
/// So fast its clock is: it takes as many cycles for a millisecond as it measured, in whole ones.
const RATE: f64 = LSI as f64 / 38_000.0;
/// When the clock is started after power comes up, in seconds; and how far from that a time may be.
const STARTED_AFTER: f64 = 0.3;
const TIME_WITHIN: f64 = 1.0;

/// What the sensors are told in a step: each step of a week has a voltage of its own at input A.
fn world(step: u64) -> World {
    // Inputs are measured against the supply, which does not jump.
    let ramp = step / 7 % 1200;
    World {
        supply: 2700 + ramp.min(1200 - ramp) as u16,
        temperature: -1000 + (step / 5 % 6000) as i16,
        inputs: [(step * 37 % 2400) as u16, (step * 101 % 2400) as u16],
    }
}

#[derive(Clone, Copy)]
struct World {
    /// Millivolts.
    supply: u16,
    /// Hundredths of a degree Celsius.
    temperature: i16,
    /// Millivolts.
    inputs: [u16; 2],
}

/// A logger in its world.
struct Place {
    link: Option<EmulatedLink>,
    /// When power came up, in seconds of the machine, and when it went: of each session.
    sessions: Vec<(f64, f64)>,
    pulses: u64,
    random: u64,
}

impl Place {
    /// A number below `end`, of a row that is the same each time.
    fn random(&mut self, end: u64) -> u64 {
        // The multiplier and increment of Knuth's MMIX; its high bits are the good ones.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % end
    }

    fn link(&mut self) -> &mut EmulatedLink {
        self.link.as_mut().expect("nobody talks to it")
    }

    fn seconds(&mut self) -> f64 {
        self.link().machine.now().micros() as f64 / 1e6
    }

    /// Lets time pass up to a second of the machine's time, while the world changes.
    fn until(&mut self, second: u64) {
        loop {
            let link = self.link();
            let now = link.machine.now().micros();
            let step = now / 1_000_000 / STEP;
            let world = world(step);
            let board = link.machine.board_mut();
            board.supply = world.supply;
            board.temperature = world.temperature;
            board.inputs = world.inputs;
            if now >= second * 1_000_000 {
                return;
            }
            if now < step * STEP * 1_000_000 + 1_000 {
                for _ in 0..PULSES {
                    link.machine.board_mut().event_closed = true;
                    link.run(Duration::from_millis(2));
                    link.machine.board_mut().event_closed = false;
                    link.run(Duration::from_millis(2));
                }
                self.pulses += PULSES;
            }
            let link = self.link();
            let next = ((step + 1) * STEP).min(second) * 1_000_000;
            let now = link.machine.now().micros();
            link.run(Duration::from_micros(next.saturating_sub(now)));
        }
    }

    fn power_on(&mut self) {
        let now = self.seconds();
        self.sessions.push((now, f64::INFINITY));
        self.link().machine.power_on();
    }

    /// Takes power away in the midst of whatever is going on.
    fn cut(&mut self) {
        let micros = self.random(3_000_000);
        self.link().run(Duration::from_micros(micros));
        let now = self.seconds();
        if let Some((_, end)) = self.sessions.last_mut() {
            *end = now;
        }
        self.link().machine.power_off();
        let seconds = 20 + self.random(100);
        self.link().run(Duration::from_secs(seconds));
    }

    /// Plugs it in, lets a computer do something, and pulls the cable.
    fn visit(&mut self, visit: impl FnOnce(&mut Conversation<EmulatedLink>)) {
        let mut link = self.link.take().expect("nobody talks to it");
        link.machine.usb_mut().attach();
        let (mut conversation, _) = connect(link);
        visit(&mut conversation);
        let mut link = conversation.into_link();
        link.machine.usb_mut().detach();
        self.link = Some(link);
    }
}

/// Sets the clock; whether it is known then how it drifts.
fn synchronise(conversation: &mut Conversation<EmulatedLink>) -> bool {
    block_on(sync_clock(conversation, logdock_tests::utc, 60)).expect("its clock is set");
    let health = block_on(read_health(conversation)).expect("it says how it is");
    health.drift.is_some()
}

/// Every segment that lies whole in the NAND, by number.
fn in_memory(link: &EmulatedLink) -> Vec<(u32, Vec<u8>)> {
    let mut segments: Vec<(u32, Vec<u8>)> = link
        .machine
        .nand()
        .contents()
        .flat_map(|(_, page)| page.chunks_exact(SEGMENT).take(4))
        .filter_map(|bytes| {
            let segment = Segment::parse(bytes)?;
            Some((segment.header.sequence, bytes[..segment.length()].to_vec()))
        })
        .collect();
    segments.sort();
    segments
}

/// Whether each value of a record is that of the world at this moment, or at one that is so near that its time may be
/// meant: the world may change between two channels. It stands still behind its last step.
fn fits(batch: &Batch, index: usize, seconds: f64, last_step: u64) -> bool {
    let near = |channel: Channel, told: fn(World) -> f64, by: f64| {
        let value = batch.value(channel, index).map(|value| value.to_f64());
        [-TIME_WITHIN, 0.0, TIME_WITHIN].into_iter().any(|off| {
            let step = (seconds + off).max(0.0) as u64 / STEP;
            let told = told(world(step.min(last_step)));
            value.is_some_and(|value| (value - told).abs() <= by)
        })
    };
    // A step of the converter is below 1 mV; the reference's tells the supply, and one of the sensor's is 0.4 °C.
    near(
        Channel::Supply,
        |world| f64::from(world.supply) / 1000.0,
        0.004,
    ) && near(
        Channel::Temperature,
        |world| f64::from(world.temperature) / 100.0,
        1.0,
    ) && near(
        Channel::InputA,
        |world| f64::from(world.inputs[0]) / 1000.0,
        0.003,
    ) && near(
        Channel::InputB,
        |world| f64::from(world.inputs[1]) / 1000.0,
        0.003,
    )
}

#[test]
fn every_record_that_was_flushed_comes_back_with_its_time() {
    let mut place = Place {
        link: Some(factory_logger_with(Options {
            lsi: LSI,
            ..Options::default()
        })),
        sessions: vec![(0.0, f64::INFINITY)],
        pulses: 0,
        random: 1,
    };
    place.link().machine.usb_mut().detach();
    for day in 0..DAYS {
        let midnight = day * 24 * HOUR;
        // In the morning somebody comes with a computer.
        place.until(midnight + 2 * HOUR);
        let mut drift_is_known = false;
        place.visit(|conversation| {
            drift_is_known = synchronise(conversation);
            if day == DAYS / 2 {
                let device = block_on(host::device::Device::read(conversation)).unwrap();
                let file = firmware("logger-1.1.0.bin");
                let device = block_on(update(conversation, &device, &file, |_| {}))
                    .unwrap_or_else(|error| panic!("{error}"));
                assert_eq!(running(&device), Some(V1_1));
            }
        });
        // Whoever stays for a while lets the page find out how the clock drifts.
        if !drift_is_known {
            place.until(midnight + 2 * HOUR + 300);
            place.visit(|conversation| assert!(synchronise(conversation)));
        }
        // Power fails by day and by night; after the first time nobody sets the clock.
        for hour in [9, 20] {
            let second = midnight + hour * HOUR + place.random(HOUR);
            place.until(second);
            place.cut();
            place.power_on();
        }
        place.until(midnight + 24 * HOUR);
    }

    let link = place.link.as_mut().expect("nobody talks to it");
    link.machine.usb_mut().attach();
    let kept = in_memory(link);
    let (mut conversation, _) = connect(place.link.take().expect("nobody talks to it"));
    let asked = conversation.link().machine.now();
    let (log, lost) = download(&mut conversation);
    let answered = conversation.link().machine.now();
    assert_eq!(lost, []);

    // All that lay in memory is there, byte for byte.
    let mut downloaded = log.iter();
    for (sequence, bytes) in &kept {
        assert!(
            downloaded.any(|segment| segment == bytes),
            "segment {sequence} is missing, or out of order"
        );
    }
    assert!(
        kept.len() as u64 > DAYS * 24 * 60,
        "{} segments",
        kept.len()
    );

    let mut decoder = Decoder::new();
    for bytes in &log {
        decoder.segment(bytes).expect("whole segments");
    }
    decoder = decoder.again();
    let mut worst = 0.0f64;
    let mut counts = vec![0u64; place.sessions.len()];
    let (mut with_time, mut events, mut last) = (0u64, 0, (0, 0));
    for bytes in &log {
        let Some(batch) = decoder.segment(bytes).expect("whole segments") else {
            continue;
        };
        let session = usize::from(batch.header.session);
        let first = usize::from(Segment::parse(&log[0]).unwrap().header.session);
        let (begin, end) = place.sessions[session - first];
        for index in 0..batch.len() {
            counts[session - first] += 1;
            let place_in_order = (batch.header.session, batch.clock(index));
            assert!(place_in_order > last, "{place_in_order:?} behind {last:?}");
            last = place_in_order;
            let clock = batch.clock(index) as f64 / 1000.0;
            assert!(clock / RATE < end - begin, "recorded without power");
            let mut seconds = begin + STARTED_AFTER + clock / RATE;
            if let Some(utc) = batch.utc(index) {
                with_time += 1;
                let told = (utc - MADE_AT as i64) as f64 / 1000.0;
                worst = worst.max((told - seconds).abs());
                seconds = told;
            }
            assert!(
                fits(&batch, index, seconds, DAYS * 24 * HOUR / STEP),
                "record {} at {seconds} s: {:?}",
                batch.record(index),
                Channel::ALL.map(|channel| batch.value(channel, index))
            );
            events += batch.raw(Channel::Events, index).unwrap_or_default();
        }
    }
    println!("times are off by {worst:.3} s at most");
    assert!(worst < TIME_WITHIN);
    assert!(
        decoder.verification().is_whole(),
        "{:?}",
        decoder.verification()
    );
    // At most a minute is lost with the power, and the seconds of an update.
    let mut whole = 0;
    for ((begin, end), count) in place.sessions.iter().zip(&counts) {
        // What was under way when the log was asked for may have become more until it came.
        let [least, most] = [asked, answered].map(|moment| {
            let end = end.min(moment.micros() as f64 / 1e6);
            ((end - begin) * RATE) as u64
        });
        whole += most;
        assert!(
            (least.saturating_sub(70)..=most + 1).contains(count),
            "{count} records in {least} to {most} s"
        );
    }
    let records: u64 = counts.iter().sum();
    assert!(records <= whole);
    // From 2:00 to about 9:30 each day.
    assert!(with_time > DAYS * 7 * HOUR, "{with_time} with their time");
    let expected = place.pulses * records / (DAYS * 24 * HOUR);
    assert!(
        (expected * 98 / 100..=place.pulses).contains(&(events as u64)),
        "{events} of {} pulses",
        place.pulses
    );

    judge_with_pandas(
        concat!(env!("CARGO_TARGET_TMPDIR"), "/week"),
        &csv(&log),
        &format!(
            "\
assert len(log) == {records}, len(log)
assert str(log['utc'].dtype).startswith('datetime64[') and 'UTC' in str(log['utc'].dtype), log['utc'].dtype
assert log['utc'].notna().sum() == {with_time}
for name in ['record', 'session', 'Events']:
    assert log[name].dtype == 'int64', (name, log[name].dtype)
for name in ['elapsed_s', 'Supply (V)', 'Temperature (°C)', 'Input A (V)', 'Input B (V)']:
    assert log[name].dtype == 'float64', (name, log[name].dtype)
assert (log['record'].diff().dropna() == 1).all()
assert log.sort_values(['session', 'elapsed_s'], kind='stable').index.is_monotonic_increasing
for _, session in log.groupby('session'):
    assert session['elapsed_s'].is_monotonic_increasing
assert log['Events'].sum() == {events}
"
        ),
    );
    let layouts = log
        .iter()
        .filter_map(|bytes| Segment::parse(bytes))
        .filter(|segment| segment.header.kind == SegmentKind::Layout);
    assert!(layouts.count() as u64 >= 3 * DAYS);
}
