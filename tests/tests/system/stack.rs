//! RAM at the deepest point that is ever reached, as painted RAM shows it. `cargo xtask firmware` prints the bound that
//! cannot be exceeded; this is what really happens.

use futures_executor::block_on;
use host::settings::{self, Value};
use host::update::update;
use logdock_tests::{EmulatedLink, connect, direct_logger, factory_logger, firmware};

/// What RAM is filled with before the start.
const PAINT: u8 = 0xA5;
/// The most that variables and stack may take together, of 8 KB.
const BUDGET: usize = 7_680;

/// Bytes between the variables and the deepest stack: the longest stretch of paint.
fn untouched(ram: &[u8]) -> usize {
    ram.split(|&byte| byte != PAINT)
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0)
}

#[test]
fn both_programs_stay_within_their_ram_through_everything_they_do() {
    do_everything(factory_logger(), "logger-1.1.0.bin");
}

#[test]
fn so_do_those_of_the_board_without_nand() {
    do_everything(direct_logger(), "logger-direct-1.1.0.bin");
}

fn do_everything(mut link: EmulatedLink, update_file: &str) {
    link.machine.ram_mut().fill(PAINT);
    let (mut conversation, device) = connect(link);
    let settings = block_on(settings::read(&mut conversation)).unwrap();
    let name = settings
        .iter()
        .find(|setting| setting.name == "Name")
        .unwrap();
    let longest = Value::Text("x".repeat(24));
    block_on(settings::write(&mut conversation, &[(name.id, longest)])).unwrap();
    block_on(update(
        &mut conversation,
        &device,
        &firmware(update_file),
        |_| {},
    ))
    .unwrap();
    block_on(settings::read(&mut conversation)).unwrap();
    let ram = conversation.link().machine.ram();
    let used = ram.len() - untouched(ram);
    println!("{used} of {} bytes of RAM were used", ram.len());
    assert!(used <= BUDGET, "{used} bytes of RAM were used");
    // Paint that nobody touched would show nothing.
    assert!(used > 3_000);
}
