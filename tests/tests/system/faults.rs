//! That a logger that does not recover would be seen: the judge of the power cuts in `cargo xtask test faults` is itself
//! tried, on memories that no cut leaves.

use emulator::fault::{CutPoint, Place};
use emulator::machine::Machine;
use emulator::nand::PAGE_BYTES;
use logdock_tests::faults::{Prover, Scenario, State, Written};

/// The settings in EEPROM, see docs/update.md.
const SETTINGS: usize = 0x40;
const SETTINGS_LENGTH: usize = 0x400;
/// Pages of the NAND, see docs/update.md: the last of the image store and of the log.
const LAST_OF_STORE: u16 = 24 * 64 - 1;
const LAST_OF_LOG: u16 = u16::MAX;

/// The logger as it is before the scenario changes anything.
fn before(scenario: Scenario) -> Machine {
    let moments = scenario.record();
    let operation = moments[0].operations.start;
    let place = Place::Before;
    moments[0]
        .cut(CutPoint { operation, place })
        .unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn equal_memories_are_proven_once_and_all_others_by_themselves() {
    let prover = Prover::default();
    let mut machine = before(Scenario::Settings);
    let written = Written::of(&machine);
    for _ in 0..2 {
        let recovery = prover.recovery(&machine, Scenario::Settings, &written);
        assert!(recovery.is_ok(), "{recovery:?}");
    }
    assert_eq!((prover.states(), prover.states_at_rest()), (1, 1));

    // What lies in the log makes no difference to an update; what lies in the image store may.
    for (page, states) in [(LAST_OF_LOG, (2, 1)), (LAST_OF_STORE, (3, 2))] {
        let state = State::of(&machine);
        machine.nand_mut().load_page(page, &[0xFE; PAGE_BYTES]);
        assert_ne!(State::of(&machine), state);
        let recovery = prover.recovery(&machine, Scenario::Settings, &written);
        assert!(recovery.is_ok(), "{recovery:?}");
        assert_eq!((prover.states(), prover.states_at_rest()), states);
    }
}

#[test]
fn records_that_are_lost_are_seen() {
    let mut machine = before(Scenario::Recording);
    let written = Written::of(&machine);
    // The newest: behind them nothing tells that there were any.
    let pages = machine.nand().contents().map(|(page, _)| page);
    let newest = pages.max().expect("it has recorded");
    machine.nand_mut().load_page(newest, &[0xFF; PAGE_BYTES]);
    let recovery = Prover::default().recovery(&machine, Scenario::Recording, &written);
    let why = recovery.map(|_| ()).expect_err("it goes unseen");
    assert!(why.contains("of the log was lost"), "{why}");
}

#[test]
fn a_logger_that_does_not_go_on_recording_is_seen() {
    let mut machine = before(Scenario::Recording);
    machine.nand_mut().set_answers(false);
    let recovery = Prover::default().recovery(&machine, Scenario::Recording, &Written::default());
    assert_eq!(
        recovery.map(|_| ()),
        Err("it does not go on recording".into())
    );
}

#[test]
fn settings_that_are_lost_are_seen() {
    let mut machine = before(Scenario::Settings);
    machine
        .program_eeprom(SETTINGS, &[0; SETTINGS_LENGTH])
        .expect("they lie there");
    let recovery = Prover::default().recovery(&machine, Scenario::Settings, &Written::default());
    assert_eq!(
        recovery.map(|_| ()),
        Err("settings were lost: its name is \"Logger\"".into())
    );
}

#[test]
fn a_logger_without_an_image_is_seen_unless_it_had_none_before() {
    let prover = Prover::default();
    let machine = before(Scenario::Reinstall);
    assert!(
        prover
            .recovery(&machine, Scenario::Reinstall, &Written::default())
            .is_ok()
    );
    let recovery = prover.recovery(&machine, Scenario::Update, &Written::default());
    assert_eq!(recovery.map(|_| ()), Err("it runs no image".into()));
}

#[test]
fn a_logger_that_cannot_take_the_next_update_is_seen() {
    let mut machine = before(Scenario::Update);
    machine.nand_mut().set_answers(false);
    let recovery = Prover::default().recovery(&machine, Scenario::Update, &Written::default());
    assert!(
        recovery.is_err_and(|why| why.starts_with("the next update: ")),
        "without its NAND it takes none"
    );
}
