//! What a logger takes from its battery: little, and what the page says it will.

use std::time::Duration;

use futures_executor::block_on;
use host::battery::Work;
use host::protocol::settings::SettingId;
use host::settings::{Value, read, write};
use logdock_tests::{connect, updated_logger};

#[test]
fn the_estimate_is_what_the_emulated_logger_takes() {
    let name = |channel: u16| SettingId(0x100 + 0x10 * channel);
    let interval = |tenths| (SettingId(2), Value::Number(tenths));
    let off = |channel| (name(channel), Value::Toggle(false));
    for changes in [
        vec![],
        vec![interval(1)],
        vec![off(0), off(1), off(2), off(3)],
        vec![interval(600)],
        vec![interval(100), off(0), off(2), off(3), off(4)],
        vec![(SettingId(4), Value::Choice(2))],
        vec![(SettingId(12), Value::Number(4))],
        vec![interval(20), (SettingId(13), Value::Number(2))],
        vec![(SettingId(5), Value::Toggle(false))],
    ] {
        let (mut conversation, _) = connect(updated_logger());
        block_on(write(&mut conversation, &changes)).unwrap();
        let settings = block_on(read(&mut conversation)).unwrap();
        let work = Work::of(settings.iter().map(|setting| (setting.id, &setting.value)));
        let mut link = conversation.into_link();
        link.machine.usb_mut().detach();
        link.run(Duration::from_secs(5));
        let before = link.machine.charge();
        let time = Duration::from_secs(1800);
        link.run(time);
        let measured = (link.machine.charge() - before) / time.as_secs_f64();
        let estimate = work.current();
        assert!(
            (0.97..1.03).contains(&(estimate / measured)),
            "{changes:?}: {measured} A measured, {estimate} A estimated"
        );
    }
}
