//! The bytes of every message, once and for all: a logger in the field and a page of tomorrow must understand each other.
//!
//! A line that has to change here breaks every logger out there. New variants go to the end of their enum, and get a new
//! line.

use protocol::MAX_PACKET;
use protocol::device::*;
use protocol::frame::max_length;
use protocol::image::*;
use protocol::message::*;
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
    let hex: String = bytes
        .unwrap()
        .unwrap()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(hex, golden);
}

fn settings() -> Settings<'static> {
    [
        (1, Value::Toggle(true)),
        (2, Value::Number(-3)),
        (3, Value::Choice(2)),
        (300, Value::Text("Été")),
    ]
    .map(|(id, value)| Setting {
        id: SettingId(id),
        value,
    })
    .into_iter()
    .collect()
}

fn descriptor(kind: Kind<'static>) -> Response<'static> {
    Response::Logger(LoggerResponse::Setting(Descriptor {
        id: SettingId(7),
        group: "G",
        name: "N",
        help: "H",
        kind,
    }))
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
    request(
        Request::Logger(LoggerRequest::DescribeSetting { index: 3 }),
        "05010003",
    );
    request(Request::Logger(LoggerRequest::ReadSettings), "050101");
    request(
        Request::Logger(LoggerRequest::WriteSettings { values: settings() }),
        "05010204010001020105030202ac020305c38974c3a9",
    );
    request(Request::Logger(LoggerRequest::Status), "050103");
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
        descriptor(Kind::Toggle { default: true }),
        "050100070147014e01480001",
    );
    response(
        descriptor(Kind::Number {
            min: -5,
            max: 600,
            default: 10,
            decimals: 1,
            unit: "s",
        }),
        "050100070147014e01480109b00914010173",
    );
    response(
        descriptor(Kind::Choice {
            options: "a\nb",
            default: 1,
        }),
        "050100070147014e01480203610a6201",
    );
    response(
        descriptor(Kind::Text {
            max_length: 24,
            default: "x",
        }),
        "050100070147014e014803180178",
    );
    response(
        Response::Logger(LoggerResponse::Settings(settings())),
        "05010104010001020105030202ac020305c38974c3a9",
    );
    response(
        Response::Logger(LoggerResponse::Status(Status {
            uptime: 123_456,
            records: 12,
            supply: 3012,
            temperature: -550,
        })),
        "050102c0c4070cc417cb08",
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
}
