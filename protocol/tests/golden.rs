//! The bytes of every message, once and for all: a logger in the field and a page of tomorrow must understand each other.
//!
//! A line that has to change here breaks every logger out there. New variants go to the end of their enum, and get a new
//! line.

use protocol::MAX_PACKET;
use protocol::device::*;
use protocol::frame::max_length;
use protocol::image::*;
use protocol::message::*;
use protocol::record::*;
use protocol::settings::*;

const DIGEST: Digest = Digest([0xD1; 32]);

/// Sequence 5, then the message, then the CRC: the frame without its COBS, in hex.
#[track_caller]
fn request(message: Request, golden: &str) {
    pinned(message, golden);
}

#[track_caller]
fn response(message: Response, golden: &str) {
    pinned(message, golden);
}

#[track_caller]
fn common(message: CommonRequest, golden: &str) {
    request(Request::Common(message), golden);
}

#[track_caller]
fn refused(refusal: Refusal, golden: &str) {
    response(Response::Common(CommonResponse::Refused(refusal)), golden);
}

#[track_caller]
fn pinned<M: serde::Serialize>(message: M, golden: &str) {
    let packet = Packet {
        sequence: 5,
        message,
    };
    let mut out = [0; max_length(MAX_PACKET)];
    let length = packet.frame(&mut out).unwrap();
    let mut decoder = protocol::frame::Decoder::<{ MAX_PACKET + 4 }>::new();
    let (_, bytes) = decoder.feed(&out[..length]);
    assert_eq!(hex(bytes.unwrap().unwrap()), golden);
}

fn settings() -> Vec<u8> {
    let mut bytes = Vec::new();
    for (id, value) in [
        (1, Value::Toggle(true)),
        (2, Value::Number(-3)),
        (3, Value::Choice(2)),
        (300, Value::Text("Été")),
        (7, Value::Time(1_800_000_000)),
    ] {
        let setting = Setting {
            id: SettingId(id),
            value,
        };
        bytes.extend_from_slice(setting.write(&mut [0; MAX_SETTING]).unwrap());
    }
    bytes
}

fn setting(kind: Kind<'static>, value: Value<'static>) -> Response<'static> {
    Response::Logger(LoggerResponse::Setting {
        descriptor: Descriptor {
            id: SettingId(7),
            group: "G",
            name: "N",
            help: "H",
            kind,
        },
        value,
    })
}

fn info() -> DeviceInfo<'static> {
    let held = |major| {
        Some(HeldImage {
            version: Version {
                major,
                minor: 2,
                revision: 300,
                build: 4,
            },
            digest: DIGEST,
            length: 0x9000,
        })
    };
    DeviceInfo {
        model: "LD-1",
        serial: SerialNumber([0x5E; 12]),
        vendor_id: Uuid([0xAA; 16]),
        class_id: Uuid([0xBB; 16]),
        public_key: [0xCC; 32],
        bootloader: Version {
            major: 1,
            ..Version::default()
        },
        slot_address: 0x0800_7000,
        slot_size: 0x9000,
        page_size: 128,
        security_counter: 1,
        direct: false,
        phase: Phase::Trial { starts_left: 2 },
        outcome: Outcome::Refused(
            Version {
                major: 1,
                ..Version::default()
            },
            ImageError::OtherKey,
        ),
        running: held(1),
        previous: held(0),
        staged: None,
    }
}

#[test]
fn a_frame_is_as_it_always_was() {
    let packet = Packet {
        sequence: 5,
        message: Request::Common(CommonRequest::Hello {
            oldest: 1,
            newest: 1,
        }),
    };
    let mut out = [0; 32];
    let length = packet.frame(&mut out).unwrap();
    assert_eq!(
        &out[..length],
        b"\x02\x05\x01\x07\x01\x01\xba\x79\xde\x60\x00"
    );
}

#[test]
fn requests_are_as_they_always_were() {
    common(
        CommonRequest::Hello {
            oldest: 1,
            newest: 2,
        },
        "0500000102",
    );
    common(CommonRequest::DeviceInfo, "050001");
    common(
        CommonRequest::BeginUpload {
            digest: DIGEST,
            length: 0x8765,
        },
        "05000220d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1e58e02",
    );
    common(
        CommonRequest::UploadData {
            offset: 1024,
            data: &[1, 0, 2],
        },
        "050003800803010002",
    );
    common(CommonRequest::FinishUpload, "050004");
    common(CommonRequest::AbortUpload, "050005");
    common(CommonRequest::Install, "050006");
    common(CommonRequest::Reboot, "050007");
    common(
        CommonRequest::Confirm { digest: DIGEST },
        "05000820d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1",
    );
    common(CommonRequest::GoBack, "050009");
    common(CommonRequest::SetBaudRate { baud: 921_600 }, "05000a80a038");
    request(
        Request::Logger(LoggerRequest::DescribeSetting { index: 3 }),
        "05010003",
    );
    request(
        Request::Logger(LoggerRequest::WriteSettings {
            values: Settings::check(&settings()).unwrap(),
        }),
        "05010119010001020105030202ac020305c38974c3a9070480a4a7da06",
    );
    request(Request::Logger(LoggerRequest::Status), "050102");
    request(Request::Logger(LoggerRequest::Health), "050103");
    request(
        Request::Logger(LoggerRequest::SetClock {
            utc: 1_800_000_000_123,
            local_offset: -90,
        }),
        "050104fba0f1c2b134b301",
    );
    request(Request::Logger(LoggerRequest::LogSummary), "050105");
    request(
        Request::Logger(LoggerRequest::ReadLog {
            first: 300,
            count: 256,
        }),
        "050106ac028002",
    );
    request(
        Request::Logger(LoggerRequest::EraseLog { next: 70_000 }),
        "050107f0a204",
    );
}

#[test]
fn responses_are_as_they_always_were() {
    response(
        Response::Common(CommonResponse::Hello(Hello {
            version: 1,
            program: Program::Bootloader,
            max_data: 1024,
            window: 8192,
        })),
        "050001010080088040",
    );
    response(
        Response::Common(CommonResponse::Hello(Hello {
            version: 1,
            program: Program::Application,
            max_data: 1024,
            window: 8192,
        })),
        "050001010180088040",
    );
    response(
        Response::Common(CommonResponse::DeviceInfo(info())),
        "050002044c442d31f3015e5e5e5e5e5e5e5e5e5e5e5eaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbcccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc01000000000000000070000800900000800001000000000302020a010000000000000001022c0104000000d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d10090000000022c0104000000d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1009000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000",
    );
    response(
        Response::Common(CommonResponse::Received { offset: 2048 }),
        "0500038010",
    );
    response(Response::Common(CommonResponse::Done), "050004");
    response(
        setting(Kind::Toggle { default: true }, Value::Toggle(false)),
        "050100070147014e014800010000",
    );
    response(
        setting(
            Kind::Number {
                min: -5,
                max: 600,
                default: 10,
                decimals: 1,
                unit: "s",
            },
            Value::Number(-2),
        ),
        "050100070147014e01480109b009140101730103",
    );
    response(
        setting(
            Kind::Choice {
                options: "a\nb",
                default: 1,
            },
            Value::Choice(0),
        ),
        "050100070147014e01480203610a62010200",
    );
    response(
        setting(
            Kind::Text {
                max_length: 24,
                default: "x",
            },
            Value::Text("yz"),
        ),
        "050100070147014e0148031801780302797a",
    );
    response(
        setting(Kind::Time, Value::Time(1_800_000_000)),
        "050100070147014e0148040480a4a7da06",
    );
    response(
        Response::Logger(LoggerResponse::Status(Status {
            time: 0x0102_0304_0506,
            utc_offset: Some(1_800_000_000_000),
            local_offset: -90,
            recording: Recording::Running,
            next_record: 77,
            channels: ChannelSet(0b1_0011),
            alarms: ChannelSet(0b10),
            values: [3012, -550, 3, 4, 5],
        })),
        "0501012906050403020100505c18a301a6ff034d0000001302c40b0000dafdffff030000000400000005000000",
    );
    response(
        Response::Logger(LoggerResponse::Health(Health {
            uptime: 123_456,
            reset: ResetCause::Watchdog,
            watchdog_resets: 2,
            crashes: 3,
            crash: Some(CrashPlace(*b"\x2c\x01logger/src/main.rs\0\0\0\0\0\0")),
            drift: Some(-2_000),
        })),
        "0501022a40e2010000000302000300012c016c6f676765722f7372632f6d61696e2e727300000000000030f8ffff",
    );
    response(
        Response::Logger(LoggerResponse::LogSummary(LogSummary {
            first: 1,
            next: 2,
            pending: 3,
            capacity: 4,
            bad_blocks: 5,
            rounds: 6,
            mended: 7,
            unreadable: 8,
        })),
        "0501031c01000000020000000300040000000500060000000700000008000000",
    );
    response(
        Response::Logger(LoggerResponse::Segment {
            sequence: 300,
            bytes: &[1, 0, 2],
        }),
        "050104ac0203010002",
    );
    response(
        Response::Logger(LoggerResponse::Segment {
            sequence: 301,
            bytes: &[],
        }),
        "050104ad0200",
    );
}

/// The bytes in hex.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn segments_are_as_they_always_were() {
    let header = |kind, length| SegmentHeader {
        kind,
        sequence: 0x0102_0304,
        record: 77,
        session: 3,
        count: 2,
        time: 0x1234_5678_9ABC,
        utc_offset: Some(-2),
        interval: 1000,
        channels: ChannelSet(0b1_0011),
        alarms: ChannelSet(0b10),
        length,
    };
    let mut records = [0xFF; SEGMENT];
    records[SEGMENT_HEADER..][..16].copy_from_slice(b"0123456789abcdef");
    header(SegmentKind::Records, 16).seal(&mut records);
    assert_eq!(
        hex(&records[..SEGMENT_HEADER + 16]),
        "4c440102040302014d00000003000200bc9a78563412feffffffffffe80300001302100043acc64930313233343536373839616263646566"
    );

    let mut layout = Layout {
        firmware: Version {
            major: 1,
            minor: 2,
            revision: 300,
            build: 4,
        },
        reason: LayoutReason::Start(ResetCause::Crash),
        channels: [ChannelLayout {
            name: *b"Pressure\0\0\0\0",
            unit: *b"mbar\0\0\0\0",
            gain: -12_345,
            offset: 678,
        }; CHANNELS],
        clock: Timekeeping {
            set_at: 0x1234_5678_9ABC,
            drift: Some(-2),
            cycles: 37,
        },
    };
    layout.channels[4].gain = ChannelLayout::GAIN_ONE;
    let mut bytes = [0xFF; SEGMENT];
    let data = bytes[SEGMENT_HEADER..].first_chunk_mut().unwrap();
    layout.write(data);
    header(SegmentKind::Layout, Layout::LENGTH as u16).seal(&mut bytes);
    assert_eq!(
        hex(&bytes[..SEGMENT_HEADER + Layout::LENGTH]),
        "4c440101040302014d00000003000200bc9a78563412feffffffffffe80300001302a100cbdf88d601022c010400000002045072657373757265000000006d62617200000000c7cfffffa60200005072657373757265000000006d62617200000000c7cfffffa60200005072657373757265000000006d62617200000000c7cfffffa60200005072657373757265000000006d62617200000000c7cfffffa60200005072657373757265000000006d6261720000000010270000a6020000bc9a78563412feffffff25"
    );
}

#[test]
fn refusals_are_as_they_always_were() {
    refused(Refusal::UnknownRequest, "05000000");
    refused(Refusal::Damaged, "05000001");
    refused(
        Refusal::UnsupportedVersion {
            oldest: 1,
            newest: 2,
        },
        "050000020102",
    );
    refused(Refusal::HelloFirst, "05000003");
    refused(Refusal::NoUpload, "05000004");
    refused(Refusal::WrongOffset { expected: 1024 }, "050000058008");
    refused(Refusal::Image(ImageError::NotAnImage), "0500000600");
    refused(Refusal::Image(ImageError::Truncated), "0500000601");
    refused(Refusal::Image(ImageError::UnsupportedHeader), "0500000602");
    refused(Refusal::Image(ImageError::BadTrailer), "0500000603");
    refused(Refusal::Image(ImageError::Incomplete), "0500000604");
    refused(Refusal::Image(ImageError::TooLarge), "0500000605");
    refused(Refusal::Image(ImageError::BadVectors), "0500000606");
    refused(Refusal::Image(ImageError::OtherHardware), "0500000607");
    refused(Refusal::Image(ImageError::CounterTooLow), "0500000608");
    refused(Refusal::Image(ImageError::BadDigest), "0500000609");
    refused(Refusal::Image(ImageError::OtherKey), "050000060a");
    refused(Refusal::Image(ImageError::BadSignature), "050000060b");
    refused(Refusal::Storage(StorageError::NotThere), "0500000700");
    refused(Refusal::Storage(StorageError::NoGoodBlock), "0500000701");
    refused(Refusal::Storage(StorageError::Unreadable), "0500000702");
    refused(Refusal::Storage(StorageError::WriteFailed), "0500000703");
    refused(Refusal::NothingStaged, "05000008");
    refused(Refusal::TrialUnderWay, "05000009");
    refused(Refusal::OtherImageRuns, "0500000a");
    refused(Refusal::NoSuchSetting, "0500000b");
    refused(Refusal::OtherLog, "0500000d");
    refused(Refusal::ImpossibleTime, "0500000e");
    refused(
        Refusal::Setting {
            id: SettingId(3),
            problem: Problem::Unknown,
        },
        "0500000c0300",
    );
    refused(
        Refusal::Setting {
            id: SettingId(3),
            problem: Problem::WrongKind,
        },
        "0500000c0301",
    );
    refused(
        Refusal::Setting {
            id: SettingId(3),
            problem: Problem::TooLow,
        },
        "0500000c0302",
    );
    refused(
        Refusal::Setting {
            id: SettingId(3),
            problem: Problem::TooHigh,
        },
        "0500000c0303",
    );
    refused(
        Refusal::Setting {
            id: SettingId(3),
            problem: Problem::TooLong,
        },
        "0500000c0304",
    );
    refused(
        Refusal::Setting {
            id: SettingId(3),
            problem: Problem::NotPrintable,
        },
        "0500000c0305",
    );
    refused(
        Refusal::Setting {
            id: SettingId(3),
            problem: Problem::NoRoom,
        },
        "0500000c0306",
    );
}
