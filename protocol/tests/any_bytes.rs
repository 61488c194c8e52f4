//! Whatever comes, nothing panics; whatever is sent, comes back as it was.

use proptest::collection::vec;
use proptest::prelude::*;
use protocol::device::*;
use protocol::frame::{Crc32, Decoder, crc32, max_length};
use protocol::image::*;
use protocol::message::*;
use protocol::settings::*;
use protocol::{MAX_DATA, MAX_PACKET};

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn version() -> impl Strategy<Value = Version> {
    any::<(u8, u8, u16, u32)>().prop_map(|(major, minor, revision, build)| Version {
        major,
        minor,
        revision,
        build,
    })
}

fn text() -> impl Strategy<Value = &'static str> {
    ".{0,20}".prop_map(|text| &*text.leak())
}

fn image_error() -> impl Strategy<Value = ImageError> {
    prop::sample::select(&ImageError::ALL[..])
}

fn problem() -> impl Strategy<Value = Problem> {
    use Problem::*;
    prop::sample::select(vec![
        Unknown,
        WrongKind,
        TooLow,
        TooHigh,
        TooLong,
        NotPrintable,
    ])
}

fn value() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        any::<bool>().prop_map(Value::Toggle),
        any::<i32>().prop_map(Value::Number),
        any::<u8>().prop_map(Value::Choice),
        text().prop_map(Value::Text),
    ]
}

fn settings() -> impl Strategy<Value = Settings<'static>> {
    vec((any::<u16>(), value()), 0..=MAX_SETTINGS).prop_map(|values| {
        values
            .into_iter()
            .map(|(id, value)| Setting {
                id: SettingId(id),
                value,
            })
            .collect()
    })
}

fn kind() -> impl Strategy<Value = Kind<'static>> {
    prop_oneof![
        any::<bool>().prop_map(|default| Kind::Toggle { default }),
        (any::<(i32, i32, i32, u8)>(), text()).prop_map(|((min, max, default, decimals), unit)| {
            Kind::Number {
                min,
                max,
                default,
                decimals,
                unit,
            }
        }),
        (text(), any::<u8>()).prop_map(|(options, default)| Kind::Choice { options, default }),
        (any::<u8>(), text()).prop_map(|(max_length, default)| Kind::Text {
            max_length,
            default,
        }),
    ]
}

fn request() -> impl Strategy<Value = Request<'static>> {
    let common = prop_oneof![
        any::<(u8, u8)>().prop_map(|(oldest, newest)| CommonRequest::Hello { oldest, newest }),
        Just(CommonRequest::DeviceInfo),
        (digest(), any::<u32>())
            .prop_map(|(digest, length)| CommonRequest::BeginUpload { digest, length }),
        (any::<u32>(), vec(any::<u8>(), 0..=MAX_DATA)).prop_map(|(offset, data)| {
            CommonRequest::UploadData {
                offset,
                data: data.leak(),
            }
        }),
        Just(CommonRequest::FinishUpload),
        Just(CommonRequest::AbortUpload),
        Just(CommonRequest::Install),
        Just(CommonRequest::Reboot),
        digest().prop_map(|digest| CommonRequest::Confirm { digest }),
    ];
    let logger = prop_oneof![
        any::<u8>().prop_map(|index| LoggerRequest::DescribeSetting { index }),
        Just(LoggerRequest::ReadSettings),
        settings().prop_map(|values| LoggerRequest::WriteSettings { values }),
        Just(LoggerRequest::Status),
    ];
    prop_oneof![
        common.prop_map(Request::Common),
        logger.prop_map(Request::Logger)
    ]
}

fn refusal() -> impl Strategy<Value = Refusal> {
    use StorageError::*;
    prop_oneof![
        prop::sample::select(vec![
            Refusal::UnknownRequest,
            Refusal::Damaged,
            Refusal::HelloFirst,
            Refusal::NoUpload,
            Refusal::NothingStaged,
            Refusal::TrialUnderWay,
            Refusal::OtherImageRuns,
            Refusal::NoSuchSetting,
        ]),
        any::<(u8, u8)>()
            .prop_map(|(oldest, newest)| Refusal::UnsupportedVersion { oldest, newest }),
        any::<u32>().prop_map(|expected| Refusal::WrongOffset { expected }),
        image_error().prop_map(Refusal::Image),
        prop::sample::select(vec![NotThere, NoGoodBlock, Unreadable, WriteFailed])
            .prop_map(Refusal::Storage),
        (any::<u16>(), problem()).prop_map(|(id, problem)| Refusal::Setting {
            id: SettingId(id),
            problem,
        }),
    ]
}

fn held_image() -> impl Strategy<Value = Option<HeldImage>> {
    prop::option::of(
        (version(), digest(), 1..=u32::MAX).prop_map(|(version, digest, length)| HeldImage {
            version,
            digest,
            length,
        }),
    )
}

fn device_info() -> impl Strategy<Value = DeviceInfo<'static>> {
    let phase = prop_oneof![
        Just(Phase::Idle),
        Just(Phase::Pending),
        Just(Phase::Installing),
        any::<u8>().prop_map(|starts_left| Phase::Trial { starts_left }),
        Just(Phase::Reverting),
    ];
    let outcome = prop_oneof![
        Just(Outcome::None),
        version().prop_map(Outcome::Installed),
        (version(), image_error()).prop_map(|(version, why)| Outcome::Refused(version, why)),
        version().prop_map(Outcome::Reverted),
        version().prop_map(Outcome::Unreadable),
    ];
    (
        (
            text(),
            any::<[u8; 12]>(),
            any::<([u8; 16], [u8; 16])>(),
            any::<[u8; 32]>(),
            version(),
        ),
        (any::<(u32, u32, u16, u32, bool)>(), phase, outcome),
        (held_image(), held_image(), held_image()),
    )
        .prop_map(
            |(
                (model, serial, (vendor_id, class_id), public_key, bootloader),
                ((slot_address, slot_size, page_size, security_counter, direct), phase, outcome),
                (running, previous, staged),
            )| DeviceInfo {
                model,
                serial: SerialNumber(serial),
                vendor_id: Uuid(vendor_id),
                class_id: Uuid(class_id),
                public_key,
                bootloader,
                slot_address,
                slot_size,
                page_size,
                security_counter,
                direct,
                phase,
                outcome,
                running,
                previous,
                staged,
            },
        )
}

fn response() -> impl Strategy<Value = Response<'static>> {
    let common = prop_oneof![
        refusal().prop_map(CommonResponse::Refused),
        any::<(u8, bool, u16, u16)>().prop_map(|(version, boot, max_data, window)| {
            CommonResponse::Hello(Hello {
                version,
                program: if boot {
                    Program::Bootloader
                } else {
                    Program::Application
                },
                max_data,
                window,
            })
        }),
        device_info().prop_map(CommonResponse::DeviceInfo),
        any::<u32>().prop_map(|offset| CommonResponse::Received { offset }),
        Just(CommonResponse::Done),
    ];
    let logger = prop_oneof![
        (any::<u16>(), text(), text(), text(), kind()).prop_map(|(id, group, name, help, kind)| {
            LoggerResponse::Setting(Descriptor {
                id: SettingId(id),
                group,
                name,
                help,
                kind,
            })
        }),
        settings().prop_map(LoggerResponse::Settings),
        any::<(u64, u32, u16, i16)>().prop_map(|(uptime, records, supply, temperature)| {
            LoggerResponse::Status(Status {
                uptime,
                records,
                supply,
                temperature,
            })
        }),
    ];
    prop_oneof![
        common.prop_map(Response::Common),
        logger.prop_map(Response::Logger)
    ]
}

/// Frames, transfers in pieces of `piece` bytes, and takes apart again.
fn there_and_back<T: serde::Serialize>(packet: &Packet<T>, piece: usize) -> Vec<u8> {
    let mut bytes = vec![0; max_length(4096)];
    let length = packet.frame(&mut bytes).unwrap();
    let mut decoder = Decoder::<4096>::new();
    for piece in bytes[..length].chunks(piece) {
        if let (taken, Some(packet)) = decoder.feed(piece) {
            assert_eq!(taken, piece.len());
            return packet.unwrap().to_vec();
        }
    }
    panic!("no frame came out");
}

proptest! {
    #[test]
    fn our_crc_is_the_one_of_the_catalogue(bytes in vec(any::<u8>(), 0..600), at in any::<prop::sample::Index>()) {
        let theirs = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC).checksum(&bytes);
        prop_assert_eq!(crc32(&bytes), theirs);
        let (first, second) = bytes.split_at(at.index(bytes.len() + 1));
        let mut crc = Crc32::default();
        crc.update(first);
        crc.update(second);
        prop_assert_eq!(crc.finish(), theirs);
    }

    #[test]
    fn a_request_comes_back_as_it_was(sequence: u16, message in request(), piece in 1usize..200) {
        let packet = Packet { sequence, message };
        let bytes = there_and_back(&packet, piece);
        prop_assert!(bytes.len() <= MAX_PACKET);
        prop_assert_eq!(sequence_of(&bytes), sequence);
        prop_assert_eq!(Packet::parse(&bytes), Ok(packet));
    }

    #[test]
    fn a_response_comes_back_as_it_was(sequence: u16, message in response(), piece in 1usize..200) {
        let packet = Packet { sequence, message };
        let bytes = there_and_back(&packet, piece);
        prop_assert_eq!(Packet::parse(&bytes), Ok(packet));
    }

    #[test]
    fn a_packet_with_a_byte_too_many_or_too_few_is_malformed(message in request()) {
        let mut bytes = there_and_back(&Packet { sequence: 7, message }, 64);
        bytes.push(0);
        prop_assert_eq!(Packet::<Request>::parse(&bytes), Err(Malformed));
        bytes.truncate(bytes.len() - 2);
        prop_assert_eq!(Packet::<Request>::parse(&bytes), Err(Malformed));
    }

    #[test]
    fn any_bytes_are_taken_without_a_panic(bytes in vec(any::<u8>(), 0..3000), piece in 1usize..200) {
        let mut decoder = Decoder::<{ MAX_PACKET + 4 }>::new();
        for mut piece in bytes.chunks(piece) {
            while !piece.is_empty() {
                let (taken, packet) = decoder.feed(piece);
                if let Some(Ok(packet)) = packet {
                    let _ = Packet::<Request>::parse(packet);
                }
                piece = &piece[taken..];
            }
        }
        let _ = Packet::<Request>::parse(&bytes);
        let _ = Packet::<Response>::parse(&bytes);
        let _ = sequence_of(&bytes);
        let _ = Header::parse(&bytes);
    }

    #[test]
    fn any_header_and_trailer_are_taken_without_a_panic(
        sizes in any::<(u16, u32)>(),
        trailer in vec(any::<u8>(), 0..300),
        magic: bool,
    ) {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[..4].copy_from_slice(&MAGIC.to_le_bytes());
        bytes[8..10].copy_from_slice(&HEADER_SIZE.to_le_bytes());
        bytes[10..12].copy_from_slice(&sizes.0.to_le_bytes());
        bytes[12..16].copy_from_slice(&sizes.1.to_le_bytes());
        let mut trailer = trailer;
        if magic && trailer.len() >= 4 {
            trailer[..2].copy_from_slice(&PROTECTED_MAGIC.to_le_bytes());
            trailer[2..4].copy_from_slice(&sizes.0.to_le_bytes());
        }
        if let Ok(header) = Header::parse(&bytes) {
            let _ = Trailer::parse(&header, &trailer);
        }
    }
}
