//! Whatever comes, nothing panics; whatever is sent, comes back as it was.

use proptest::collection::vec;
use proptest::prelude::*;
use protocol::device::*;
use protocol::frame::{Crc32, Decoder, crc32, max_length};
use protocol::image::*;
use protocol::message::*;
use protocol::record::*;
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
        any::<u32>().prop_map(Value::Time),
    ]
}

fn settings() -> impl Strategy<Value = Vec<Setting<'static>>> {
    vec((any::<u16>(), value()), 0..=20).prop_map(|values| {
        values
            .into_iter()
            .map(|(id, value)| Setting {
                id: SettingId(id),
                value,
            })
            .filter(|setting| setting.write(&mut [0; MAX_SETTING]).is_some())
            .collect()
    })
}

fn written(settings: &[Setting]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for setting in settings {
        bytes.extend_from_slice(setting.write(&mut [0; MAX_SETTING]).expect("it has room"));
    }
    bytes
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
        Just(Kind::Time),
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
        any::<u32>().prop_map(|baud| CommonRequest::SetBaudRate { baud }),
    ];
    let logger = prop_oneof![
        any::<u8>().prop_map(|index| LoggerRequest::DescribeSetting { index }),
        settings().prop_map(|settings| LoggerRequest::WriteSettings {
            values: Settings::check(written(&settings).leak()).expect("whole settings"),
        }),
        prop::sample::select(vec![
            LoggerRequest::Status,
            LoggerRequest::Health,
            LoggerRequest::LogSummary,
        ]),
        any::<(u64, i16)>()
            .prop_map(|(utc, local_offset)| LoggerRequest::SetClock { utc, local_offset }),
        any::<(u32, u32)>().prop_map(|(first, count)| LoggerRequest::ReadLog { first, count }),
        any::<u32>().prop_map(|next| LoggerRequest::EraseLog { next }),
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
            Refusal::OtherLog,
            Refusal::ImpossibleTime,
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

/// A moment or an offset of six bytes.
fn six_bytes() -> impl Strategy<Value = u64> {
    0u64..1 << 48
}

fn utc_offset() -> impl Strategy<Value = Option<i64>> {
    prop::option::of(1i64 - (1 << 47)..1 << 47)
}

fn status() -> impl Strategy<Value = Status> {
    (
        six_bytes(),
        utc_offset(),
        any::<(i16, u8, u32, u8, u8)>(),
        any::<[i32; CHANNELS]>(),
    )
        .prop_map(
            |(
                time,
                utc_offset,
                (local_offset, recording, next_record, channels, alarms),
                values,
            )| Status {
                time,
                utc_offset,
                local_offset,
                recording: Recording::from_byte(recording),
                next_record,
                channels: ChannelSet(channels),
                alarms: ChannelSet(alarms),
                values,
            },
        )
}

fn health() -> impl Strategy<Value = Health> {
    (
        six_bytes(),
        any::<(u8, u16, u16)>(),
        prop::option::of(any::<[u8; CrashPlace::LENGTH]>()),
        prop::option::of(i32::MIN + 1..=i32::MAX),
    )
        .prop_map(
            |(uptime, (reset, watchdog_resets, crashes), crash, drift)| Health {
                uptime,
                reset: ResetCause::from_byte(reset),
                watchdog_resets,
                crashes,
                crash: crash.map(CrashPlace),
                drift,
            },
        )
}

fn summary() -> impl Strategy<Value = LogSummary> {
    any::<([u32; 6], u16, u16)>().prop_map(
        |([first, next, capacity, rounds, mended, unreadable], pending, bad_blocks)| LogSummary {
            first,
            next,
            pending,
            capacity,
            bad_blocks,
            rounds,
            mended,
            unreadable,
        },
    )
}

fn segment_header() -> impl Strategy<Value = SegmentHeader> {
    (
        any::<(bool, u32, u32, u16, u16)>(),
        six_bytes(),
        utc_offset(),
        any::<(u32, u8, u8)>(),
        0..=SEGMENT_DATA as u16,
    )
        .prop_map(
            |(
                (layout, sequence, record, session, count),
                time,
                utc_offset,
                (interval, channels, alarms),
                length,
            )| SegmentHeader {
                kind: if layout {
                    SegmentKind::Layout
                } else {
                    SegmentKind::Records
                },
                sequence,
                record,
                session,
                count,
                time,
                utc_offset,
                interval,
                channels: ChannelSet(channels),
                alarms: ChannelSet(alarms),
                length,
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
        (any::<u16>(), (text(), text(), text()), kind(), value()).prop_map(
            |(id, (group, name, help), kind, value)| {
                LoggerResponse::Setting {
                    descriptor: Descriptor {
                        id: SettingId(id),
                        group,
                        name,
                        help,
                        kind,
                    },
                    value,
                }
            }
        ),
        status().prop_map(LoggerResponse::Status),
        health().prop_map(LoggerResponse::Health),
        summary().prop_map(LoggerResponse::LogSummary),
        (any::<u32>(), vec(any::<u8>(), 0..=SEGMENT)).prop_map(|(sequence, bytes)| {
            LoggerResponse::Segment {
                sequence,
                bytes: bytes.leak(),
            }
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
    fn settings_come_back_one_by_one_and_cut_ones_are_none(settings in settings()) {
        let bytes = written(&settings);
        prop_assert!(Settings::check(&bytes).unwrap().iter().eq(settings.iter().copied()));
        if let Some((_, cut)) = bytes.split_last() {
            prop_assert_eq!(Settings::check(cut), Err(NotSettings));
        }
    }

    #[test]
    fn a_segment_comes_back_as_it_was(header in segment_header(), filling: u8) {
        let mut bytes = [filling; SEGMENT];
        header.seal(&mut bytes);
        let whole = SEGMENT_HEADER + usize::from(header.length);
        let segment = Segment::parse(&bytes[..whole]).unwrap();
        prop_assert_eq!(segment.header, header);
        prop_assert_eq!(segment.data, &bytes[SEGMENT_HEADER..whole]);
        prop_assert_eq!(Segment::parse(&bytes[..whole - 1]), None);
    }

    #[test]
    fn any_segment_is_taken_without_a_panic(bytes in vec(any::<u8>(), 0..SEGMENT), magic: bool) {
        let mut bytes = bytes;
        if magic && bytes.len() >= 4 {
            bytes[..4].copy_from_slice(b"LD\x01\x01");
        }
        let _ = Segment::parse(&bytes);
        // Whatever layout is read is one that can be written: only what this version does not know changes.
        if let Some(layout) = Layout::parse(&bytes) {
            let mut again = [0; Layout::LENGTH];
            layout.write(&mut again);
            prop_assert_eq!(Layout::parse(&again), Some(layout));
        }
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
