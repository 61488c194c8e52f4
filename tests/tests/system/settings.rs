//! Settings: described by the logger, checked by it, kept through restarts, power cuts and updates.

use std::time::Duration;

use futures_executor::block_on;
use host::conversation::TalkError;
use host::protocol::message::{LoggerRequest, Refusal};
use host::protocol::settings::{self as wire, Problem, SettingId};
use host::settings::{FromFile, Kind, Setting, Value, from_file, read, to_file, write};
use logdock_tests::{SETTINGS, connect, factory_logger, keep_in_eeprom, updated_logger};

fn named<'a>(settings: &'a [Setting], name: &str) -> &'a Setting {
    settings
        .iter()
        .find(|setting| setting.name == name)
        .unwrap_or_else(|| panic!("no setting {name}"))
}

#[test]
fn a_logger_describes_its_settings_and_their_defaults_hold() {
    let (mut conversation, _) = connect(factory_logger());
    let settings = block_on(read(&mut conversation)).unwrap();
    for setting in &settings {
        assert_eq!(setting.value, setting.kind.default_value(), "{setting:?}");
        assert_eq!(setting.kind.check(&setting.value), Ok(()), "{setting:?}");
        assert!(!setting.help.is_empty() && !setting.group.is_empty());
    }
    let mut ids: Vec<_> = settings.iter().map(|setting| setting.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), settings.len(), "each has a number of its own");
    assert!(matches!(
        named(&settings, "Interval").kind,
        Kind::Number { decimals: 1, .. }
    ));
}

#[test]
fn values_are_kept_without_power_and_through_an_update() {
    let (mut conversation, _) = connect(factory_logger());
    let settings = block_on(read(&mut conversation)).unwrap();
    let changes = [
        (
            named(&settings, "Name").id,
            Value::Text("Gewächshaus 3".into()),
        ),
        (named(&settings, "Interval").id, Value::Number(25)),
    ];
    block_on(write(&mut conversation, &changes)).unwrap();
    let mut link = conversation.into_link();
    link.machine.power_off();
    link.machine.power_on();

    let (mut conversation, device) = connect(link);
    let kept = |settings: &[Setting]| {
        changes.iter().all(|(id, value)| {
            settings
                .iter()
                .any(|setting| setting.id == *id && setting.value == *value)
        })
    };
    assert!(kept(&block_on(read(&mut conversation)).unwrap()));
    let file = logdock_tests::firmware("logger-1.1.0.bin");
    block_on(host::update::update(
        &mut conversation,
        &device,
        &file,
        |_| {},
    ))
    .unwrap();
    let settings = block_on(read(&mut conversation)).unwrap();
    assert!(kept(&settings));
    assert!(
        matches!(named(&settings, "Averaging").kind, Kind::Choice { .. }),
        "1.1.0 brings a setting of its own"
    );
}

#[test]
fn a_setting_that_the_version_before_does_not_know_is_kept_through_its_writes() {
    let (mut conversation, mut device) = connect(updated_logger());
    let averaging = |settings: &[Setting]| {
        let setting = settings.iter().find(|setting| setting.name == "Averaging");
        setting.map(|setting| (setting.id, setting.value.clone()))
    };
    let id = averaging(&block_on(read(&mut conversation)).unwrap())
        .unwrap()
        .0;
    block_on(write(&mut conversation, &[(id, Value::Choice(2))])).unwrap();
    for version in ["1.0.0", "1.1.0"] {
        let file = logdock_tests::firmware(&format!("logger-{version}.bin"));
        device = block_on(host::update::update(
            &mut conversation,
            &device,
            &file,
            |_| {},
        ))
        .unwrap();
        let settings = block_on(read(&mut conversation)).unwrap();
        let known = (version == "1.1.0").then_some((id, Value::Choice(2)));
        assert_eq!(averaging(&settings), known);
        // Whatever is written, all that is kept is written anew.
        let name = named(&settings, "Name").id;
        let change = (name, Value::Text(version.into()));
        block_on(write(&mut conversation, &[change])).unwrap();
    }
}

#[test]
fn one_bad_value_refuses_all() {
    let (mut conversation, _) = connect(factory_logger());
    let before = block_on(read(&mut conversation)).unwrap();
    let interval = named(&before, "Interval").id;
    for (value, problem) in [
        (Value::Number(0), Problem::TooLow),
        (Value::Number(i32::MAX), Problem::TooHigh),
        (Value::Toggle(true), Problem::WrongKind),
    ] {
        let changes = [
            (named(&before, "Name").id, Value::Text("Other".into())),
            (interval, value),
        ];
        assert_eq!(
            block_on(write(&mut conversation, &changes)),
            Err(TalkError::Refused(Refusal::Setting {
                id: interval,
                problem
            }))
        );
    }
    let unknown = SettingId(999);
    assert_eq!(
        block_on(write(&mut conversation, &[(unknown, Value::Toggle(true))])),
        Err(TalkError::Refused(Refusal::Setting {
            id: unknown,
            problem: Problem::Unknown
        }))
    );
    assert_eq!(block_on(read(&mut conversation)).unwrap(), before);
}

#[test]
fn a_shorter_interval_holds_at_once() {
    let (mut conversation, _) = connect(factory_logger());
    let settings = block_on(read(&mut conversation)).unwrap();
    let interval = named(&settings, "Interval").id;
    block_on(async {
        write(&mut conversation, &[(interval, Value::Number(1))])
            .await
            .unwrap();
        let before = host::device::read_status(&mut conversation).await.unwrap();
        conversation.link().run(std::time::Duration::from_secs(2));
        let after = host::device::read_status(&mut conversation).await.unwrap();
        assert!((18..=22).contains(&(after.next_record - before.next_record)));
        // An index behind the last setting is the end of the list, and no fault.
        let beyond = LoggerRequest::DescribeSetting { index: u8::MAX };
        assert_eq!(
            conversation.tell_logger(beyond).await,
            Err(TalkError::Refused(Refusal::NoSuchSetting))
        );
    });
}

#[test]
fn a_file_brings_another_logger_to_the_same_settings() {
    let (mut conversation, _) = connect(factory_logger());
    let settings = block_on(read(&mut conversation)).unwrap();
    let changes = [
        (named(&settings, "Name").id, Value::Text("Été 3".into())),
        (named(&settings, "Interval").id, Value::Number(25)),
        (
            named(&settings, "Start time").id,
            Value::Time(Some(1_800_000_000)),
        ),
        (named(&settings, "Alarm").id, Value::Choice(2)),
    ];
    block_on(write(&mut conversation, &changes)).unwrap();
    let file = to_file(&block_on(read(&mut conversation)).unwrap());

    // A newer logger has settings that the file does not speak of.
    let (mut conversation, _) = connect(updated_logger());
    let settings = block_on(read(&mut conversation)).unwrap();
    let plan = from_file(&file, &settings).unwrap();
    assert_eq!(plan.unknown, [""; 0]);
    assert_eq!(plan.changes.len(), changes.len());
    block_on(write(&mut conversation, &plan.changes)).unwrap();
    let settings = block_on(read(&mut conversation)).unwrap();
    assert_eq!(from_file(&file, &settings), Ok(FromFile::default()));
}

#[test]
fn more_than_one_message_holds_is_refused_before_it_is_sent() {
    let (mut conversation, _) = connect(factory_logger());
    let before = block_on(read(&mut conversation)).unwrap();
    let name = named(&before, "Name").id;
    let changes = vec![(name, Value::Text("x".repeat(24))); 60];
    assert_eq!(
        block_on(write(&mut conversation, &changes)),
        Err(TalkError::TooMuch)
    );
    let changes = [(name, Value::Text("x".repeat(300)))];
    assert_eq!(
        block_on(write(&mut conversation, &changes)),
        Err(TalkError::Refused(Refusal::Setting {
            id: name,
            problem: Problem::TooLong
        }))
    );
    assert_eq!(block_on(read(&mut conversation)).unwrap(), before);
}

#[test]
fn all_settings_at_their_longest_have_room_in_answers_and_in_memory() {
    let (mut conversation, _) = connect(updated_logger());
    let settings = block_on(read(&mut conversation)).unwrap();
    let longest: Vec<_> = settings
        .iter()
        .map(|setting| {
            let value = match &setting.kind {
                Kind::Toggle { .. } => Value::Toggle(true),
                Kind::Number { max, .. } => Value::Number(*max),
                Kind::Choice { options, .. } => Value::Choice(options.len() as u8 - 1),
                Kind::Text { max_length, .. } => Value::Text("x".repeat((*max_length).into())),
                Kind::Time => Value::Time(Some(u32::MAX)),
            };
            (setting.id, value)
        })
        .collect();
    let values = |conversation: &mut _| -> Vec<_> {
        let settings = block_on(read(conversation)).unwrap();
        let value = |setting: Setting| (setting.id, setting.value);
        settings.into_iter().map(value).collect()
    };
    block_on(write(&mut conversation, &longest)).unwrap();
    assert_eq!(values(&mut conversation), longest);
    let mut link = conversation.into_link();
    link.machine.power_off();
    link.machine.power_on();
    let (mut conversation, _) = connect(link);
    assert_eq!(values(&mut conversation), longest);
}

#[test]
fn a_setting_that_has_no_room_is_refused_by_its_name_and_nothing_changes() {
    let mut link = factory_logger();
    let mut kept = Vec::new();
    // Another firmware's settings take nearly all there is.
    for id in 0x300..0x30C {
        let setting = wire::Setting {
            id: SettingId(id),
            value: wire::Value::Text(&"x".repeat(32)),
        };
        kept.extend(setting.write(&mut [0; wire::MAX_SETTING]).unwrap());
    }
    link.run(Duration::from_secs(1));
    link.machine.power_off();
    keep_in_eeprom(&mut link.machine, SETTINGS, &kept);
    link.machine.power_on();
    let (mut conversation, _) = connect(link);
    let before = block_on(read(&mut conversation)).unwrap();
    let (interval, name) = (named(&before, "Interval").id, named(&before, "Name").id);
    let inputs = before.iter().filter(|setting| setting.name == "Unit");
    let mut changes = vec![(interval, Value::Number(20))];
    changes.extend(inputs.map(|unit| (unit.id, Value::Text("eight by".into()))));
    changes.push((name, Value::Text("Greenhouse 3, north end".into())));
    assert_eq!(
        block_on(write(&mut conversation, &changes)),
        Err(TalkError::Refused(Refusal::Setting {
            id: name,
            problem: Problem::NoRoom
        }))
    );
    assert_eq!(block_on(read(&mut conversation)).unwrap(), before);
    // The others have room.
    changes.pop();
    block_on(write(&mut conversation, &changes)).unwrap();
    let after = block_on(read(&mut conversation)).unwrap();
    assert_eq!(named(&after, "Interval").value, Value::Number(20));
}
