//! The board with a USART behind a USB-UART bridge: its binaries on the emulated chip, at the rates that both sides
//! believe in, without anything that would hold the computer back.

use std::time::Duration;

use emulator::fault::{CutPoint, Place};
use emulator::machine::{Machine, Options};
use futures_executor::block_on;
use host::conversation::{Conversation, TalkError};
use host::device::Device;
use host::link::{Link, LinkError};
use host::log::{self, Download};
use host::protocol::device::{Outcome, Phase, Program};
use host::protocol::frame::{Decoder, max_length};
use host::protocol::image::Version;
use host::protocol::message::{
    CommonRequest, CommonResponse, LoggerRequest, Packet, Refusal, Request, Response,
};
use host::protocol::settings as wire;
use host::protocol::{BAUD_RATE, MAX_PACKET};
use host::settings::{self, Value};
use host::update::{UpdateError, update};
use logdock_tests::bridge::BridgedLink;
use logdock_tests::{
    V1_0, V1_1, bridged_logger, built, connect, factory_logger, firmware, running,
};

const NEW: &str = "logger-usart-1.1.0.bin";
const OLD: &str = "logger-usart-1.0.0.bin";
/// What a CP2102 can do beyond the first rate.
const RATES: [u32; 3] = [921_600, 460_800, 230_400];
/// After that long without a word the logger is back at the first rate.
const FALLBACK: Duration = Duration::from_millis(1100);
/// Power cuts that are tried over one update.
const CUTS: u64 = 12;

fn update_to<L: Link>(
    conversation: &mut Conversation<L>,
    device: &Device,
    name: &str,
) -> Result<Device, UpdateError> {
    block_on(update(conversation, device, &firmware(name), |_| {}))
}

fn updated_in(link: BridgedLink) -> (Duration, Conversation<BridgedLink>) {
    let (mut conversation, device) = connect(link);
    assert_eq!(device.model, "LD-1U");
    let link = conversation.link();
    let start = link.machine.now();
    link.sent = 0;
    let after = update_to(&mut conversation, &device, NEW).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(running(&after), Some(V1_1));
    assert_eq!(
        (after.phase, after.outcome),
        (Phase::Idle, Outcome::Installed(V1_1))
    );
    let time = Duration::from(conversation.link().machine.now() - start);
    (time, conversation)
}

/// One request as a frame.
fn frame(sequence: u16, message: Request<'_>) -> Vec<u8> {
    let mut frame = [0; max_length(MAX_PACKET)];
    let length = Packet { sequence, message }
        .frame(&mut frame)
        .expect("it has room");
    frame[..length].to_vec()
}

/// What the logger answers within a time: sequence numbers and whether it was damaged, or data acknowledged.
fn answers(link: &mut BridgedLink, time: Duration) -> Vec<(u16, Result<Option<u32>, Refusal>)> {
    link.run(time).expect("it runs");
    let mut decoder = Decoder::<2048>::new();
    let bytes = link.read();
    let mut rest = &bytes[..];
    let mut answers = Vec::new();
    while !rest.is_empty() {
        let (taken, packet) = decoder.feed(rest);
        if let Some(Ok(packet)) = packet {
            let packet = Packet::<Response>::parse(packet).expect("an answer");
            let what = match packet.message {
                Response::Common(CommonResponse::Refused(refusal)) => Err(refusal),
                Response::Common(CommonResponse::Received { offset }) => Ok(Some(offset)),
                _ => Ok(None),
            };
            answers.push((packet.sequence, what));
        }
        rest = &rest[taken..];
    }
    answers
}

#[test]
fn it_is_updated_at_the_first_rate_and_in_less_time_at_a_faster_one() {
    let image = firmware(NEW).image().len();
    let (slow, mut conversation) = updated_in(bridged_logger());
    let hello = conversation.hello();
    assert_eq!(hello.window, hello.max_data, "one request under way");
    let sent = conversation.link().sent;
    println!("{slow:.2?} at {BAUD_RATE} baud, {sent} bytes for {image}");
    assert!(conversation.link().changes.is_empty());
    // Nothing was sent twice.
    assert!(sent < image + image / 20, "{sent} bytes for {image}");

    let (fast, mut conversation) = updated_in(bridged_logger().with_rates(&RATES));
    let sent = conversation.link().sent;
    println!("{fast:.2?} at {} baud, {sent} bytes", RATES[0]);
    assert_eq!(conversation.link().changes, [RATES[0], BAUD_RATE]);
    assert!(sent < image + image / 20, "{sent} bytes for {image}");
    assert!(fast + Duration::from_secs(2) < slow);
}

#[test]
fn an_image_for_usb_is_refused_and_the_other_way_round() {
    let refused = |result| matches!(result, Err(UpdateError::Objection(_)));
    let (mut conversation, device) = connect(bridged_logger());
    assert!(refused(update_to(
        &mut conversation,
        &device,
        "logger-1.1.0.bin"
    )));
    let (mut conversation, device) = connect(factory_logger());
    assert!(refused(update_to(&mut conversation, &device, NEW)));
}

#[test]
fn without_an_application_update_mode_answers_on_the_same_port() {
    let mut machine = Machine::new(Options::default());
    machine
        .program_flash(0x0800_0000, &built("bootloader-usart.bin"))
        .expect("it fits");
    machine.usb_mut().attach();
    machine.power_on();
    let (mut conversation, device) = connect(BridgedLink::new(machine).with_rates(&RATES));
    assert_eq!(conversation.hello().program, Program::Bootloader);
    assert_eq!(running(&device), None);
    let after = update_to(&mut conversation, &device, NEW).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(conversation.hello().program, Program::Application);
    assert_eq!((running(&after), after.phase), (Some(V1_1), Phase::Idle));
}

/// Settings are written to EEPROM, which stalls the core for 3 to 6 ms a word. All that may be under way comes meanwhile.
#[test]
fn what_may_be_under_way_is_not_lost_while_the_core_stalls() {
    let image = firmware(NEW);
    let (digest, length) = (image.digest(), image.image().len() as u32);
    // As many frames as the window allows, and too many: the test must be able to see a loss.
    for (frames, all_come) in [(1, true), (4, false)] {
        let (mut conversation, _) = connect(bridged_logger());
        let data = usize::from(conversation.hello().max_data);
        let settings = block_on(settings::read(&mut conversation)).expect("settings");
        let name = settings.iter().find(|setting| setting.name == "Name");
        let name = name.expect("a logger has a name").id;
        let begin = CommonRequest::BeginUpload { digest, length };
        block_on(conversation.ask(begin, |response| {
            matches!(response, CommonResponse::Received { .. }).then_some(())
        }))
        .expect("it takes an upload");
        let fast = CommonRequest::SetBaudRate { baud: RATES[0] };
        block_on(conversation.tell(fast)).expect("it knows the rate");
        let mut link = conversation.into_link();
        link.set_rate(RATES[0]);

        let mut values = [0; wire::MAX_SETTING];
        let setting = wire::Setting {
            id: name,
            value: wire::Value::Text("Written meanwhile"),
        };
        let values =
            wire::Settings::check(setting.write(&mut values).expect("room")).expect("whole");
        link.write(&frame(
            100,
            Request::Logger(LoggerRequest::WriteSettings { values }),
        ));
        let operations = link.machine.operations();
        // Until it is at it.
        while link.machine.operations() < operations + 3 {
            link.run(Duration::from_micros(100)).expect("it runs");
        }
        for index in 0..frames {
            let offset = (index * data) as u32;
            let data = &image.image()[index * data..][..data];
            let upload = CommonRequest::UploadData { offset, data };
            link.write(&frame(101 + index as u16, Request::Common(upload)));
        }
        // They are all through before it is done with the settings.
        let busy = link.machine.operations();
        link.run(Duration::from_millis(30)).expect("it runs");
        assert!(link.machine.operations() > busy, "it still writes");
        let answers = answers(&mut link, Duration::from_millis(900));
        assert_eq!(answers.first(), Some(&(100, Ok(None))), "{answers:?}");
        let expected: Vec<_> = (0..frames)
            .map(|index| (101 + index as u16, Ok(Some(((index + 1) * data) as u32))))
            .collect();
        assert_eq!(answers[1..] == expected, all_come, "{answers:?}");
    }
}

#[test]
fn after_silence_or_damage_it_is_back_at_the_first_rate() {
    let (mut conversation, _) = connect(bridged_logger());
    for noise in [false, true] {
        for baud in [230_400, 460_800, 921_600, 1_000_000, 2_000_000] {
            block_on(conversation.tell(CommonRequest::SetBaudRate { baud })).expect("it knows it");
            let link = conversation.link();
            if noise {
                // The computer has not heard of the change.
                for _ in 0..11 {
                    link.write(&frame(7, Request::Common(CommonRequest::DeviceInfo)));
                    link.run(FALLBACK / 10).expect("it runs");
                }
            } else {
                link.run(FALLBACK).expect("it runs");
            }
            link.read();
            let device = block_on(Device::read(&mut conversation)).expect("it is back");
            assert_eq!(running(&device), Some(V1_0), "{baud}");
        }
    }
    // A rate that the chip's clock does not make.
    for baud in [0, 9_600, 3_000_000, u32::MAX] {
        let asked = block_on(conversation.tell(CommonRequest::SetBaudRate { baud }));
        assert_eq!(
            asked,
            Err(TalkError::Refused(Refusal::UnknownRequest)),
            "{baud}"
        );
    }
}

#[test]
fn a_logger_over_usb_knows_no_rate() {
    let (mut conversation, _) = connect(factory_logger());
    let request = CommonRequest::SetBaudRate { baud: RATES[0] };
    let asked = block_on(conversation.tell(request));
    assert_eq!(asked, Err(TalkError::Refused(Refusal::UnknownRequest)));
}

#[test]
fn a_rate_that_does_not_work_on_the_way_is_given_up() {
    let mut link = bridged_logger().with_rates(&RATES);
    link.limit_rate(RATES[2]);
    let (_, mut conversation) = updated_in(link);
    let changes = &conversation.link().changes;
    // Each is tried, and left; the last one works.
    assert_eq!(
        changes[..],
        [
            RATES[0], BAUD_RATE, RATES[1], BAUD_RATE, RATES[2], BAUD_RATE
        ]
    );
}

#[test]
fn a_disturbed_line_only_slows_an_update_down() {
    let mut link = bridged_logger().with_rates(&RATES);
    // One request in eight does not come through.
    link.disturb(4_000);
    let (time, mut conversation) = updated_in(link);
    println!("{time:.2?}, {} bytes sent", conversation.link().sent);
}

#[test]
fn the_log_is_read_at_the_faster_rate() {
    let (mut conversation, _) = connect(bridged_logger().with_rates(&RATES));
    let read = block_on(settings::read(&mut conversation)).expect("settings");
    let interval = read.iter().find(|setting| setting.name == "Interval");
    let id = interval.expect("it has an interval").id;
    block_on(settings::write(
        &mut conversation,
        &[(id, Value::Number(1))],
    ))
    .expect("it is written");
    conversation
        .link()
        .run(Duration::from_secs(120))
        .expect("it runs");
    conversation.link().changes.clear();
    let summary = block_on(log::read_summary(&mut conversation)).expect("a summary");
    let range = log::whole(&summary);
    println!("{} segments", range.len());
    assert!(range.len() > 8);
    let mut download = Download::new(range);
    while !download.is_complete() {
        block_on(download.step(&mut conversation, |piece| {
            assert!(piece.segment().is_some(), "{piece:?}");
        }))
        .expect("it is read");
    }
    assert_eq!(conversation.link().changes, [RATES[0], BAUD_RATE]);
}

/// A sample of all cuts of an update. The old firmware runs then, or the new one, and the next update goes to its end.
#[test]
fn power_may_be_cut_at_any_operation() {
    let (mut conversation, device) = connect(bridged_logger().with_rates(&RATES));
    let start = conversation.link().machine.clone();
    let first = start.operations();
    update_to(&mut conversation, &device, NEW).unwrap_or_else(|e| panic!("{e}"));
    let operations = conversation.link().machine.operations() - first;
    let mut found = Vec::new();
    for cut in 0..CUTS {
        let place = match cut % 3 {
            0 => Place::Before,
            1 => Place::Inside { seed: cut },
            _ => Place::After,
        };
        let operation = first + operations * cut / CUTS;
        let mut machine = start.clone();
        machine.cut_at(CutPoint { operation, place });
        let (mut conversation, device) = connect(BridgedLink::new(machine).with_rates(&RATES));
        let result = update_to(&mut conversation, &device, NEW);
        let lost = matches!(
            result,
            Err(UpdateError::Talk(TalkError::Link(LinkError::System(_))))
        );
        assert!(lost, "operation {operation}: {result:?}");
        let mut machine = conversation.into_link().machine;
        machine.power_on();
        let (mut conversation, device) = connect(BridgedLink::new(machine).with_rates(&RATES));
        assert_eq!(conversation.hello().program, Program::Application);
        let version = running(&device).expect("one of the two runs");
        found.push(version);
        let next = if version == V1_1 { OLD } else { NEW };
        if let (Phase::Trial { .. }, Some(image)) = (device.phase, device.running) {
            let digest = image.digest;
            block_on(conversation.tell(CommonRequest::Confirm { digest })).expect("confirmed");
        }
        let after = update_to(&mut conversation, &device, next);
        let after = after.unwrap_or_else(|error| panic!("operation {operation}: {error}"));
        let expected: Version = if next == NEW { V1_1 } else { V1_0 };
        assert_eq!(
            (running(&after), after.phase),
            (Some(expected), Phase::Idle)
        );
    }
    let old = found.iter().filter(|&&version| version == V1_0).count();
    println!(
        "{operations} operations, {CUTS} cuts: {old} old, {} new",
        found.len() - old
    );
    assert!(found.contains(&V1_0) && found.contains(&V1_1));
}
