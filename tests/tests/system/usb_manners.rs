//! The logger's own firmware under hosts of every kind: whoever enumerates it, however full the bus is and whatever
//! happens to the cable, it becomes a port that answers.

use emulator::cpu::bus::ResetCause;
use emulator::machine::{Machine, Options};
use emulator::time::Time;
use emulator::usb_host::{ControlResult, HostSystem, Manners};
use host::data::Decoder;
use logdock_tests::{EmulatedLink, built, connect, download};

const SYSTEMS: [HostSystem; 3] = [HostSystem::Linux, HostSystem::Windows, HostSystem::MacOs];

fn logger() -> Machine {
    let mut machine = Machine::new(Options::default());
    machine
        .program_flash(0x0800_0000, &built("factory-1.0.0.bin"))
        .unwrap();
    machine.power_on();
    machine
}

/// Lets time pass until the host has set the device up; false when it takes longer than two seconds.
fn is_configured_soon(machine: &mut Machine) -> bool {
    for _ in 0..200 {
        machine.run_for(Time::from_millis(10)).unwrap();
        if machine.usb().is_configured() {
            return true;
        }
    }
    false
}

/// Sends the end of a frame and one that is garbage; the device refuses it with a frame of its own.
fn answers(machine: &mut Machine) -> bool {
    machine.usb_mut().read();
    machine
        .usb_mut()
        .write(&[0, 9, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0]);
    let mut answer = Vec::new();
    for _ in 0..50 {
        machine.run_for(Time::from_millis(10)).unwrap();
        answer.extend(machine.usb_mut().read());
        if answer.len() > 1 && answer.last() == Some(&0) {
            return true;
        }
    }
    false
}

#[test]
fn every_system_with_any_manners_gets_a_port_that_answers() {
    let fresh = logger();
    for system in SYSTEMS {
        for seed in 0..6 {
            let mut machine = fresh.clone();
            let manners = Manners::seeded(system, seed);
            machine.usb_mut().set_manners(manners.clone());
            machine.usb_mut().attach();
            assert!(is_configured_soon(&mut machine), "{manners:?}");
            assert!(answers(&mut machine), "{manners:?}");
            let violations = machine.usb().violations();
            assert!(violations.is_empty(), "{manners:?}: {violations:?}");
        }
    }
}

#[test]
fn suspends_resets_and_unplugs_at_any_moment_leave_a_port_that_answers() {
    let fresh = logger();
    for system in SYSTEMS {
        for seed in 0..4 {
            let mut machine = fresh.clone();
            let manners = Manners {
                incidents: Some(Time::from_millis(60)),
                ..Manners::seeded(system, seed)
            };
            machine.usb_mut().set_manners(manners.clone());
            machine.usb_mut().attach();
            for _ in 0..300 {
                machine.usb_mut().write(&[7; 40]);
                machine.run_for(Time::from_millis(7)).unwrap();
            }
            assert!(machine.usb().incidents() > 0, "{manners:?}");
            machine.usb_mut().set_manners(Manners::seeded(system, seed));
            machine.usb_mut().resume();
            machine.run_for(Time::from_millis(400)).unwrap();
            assert!(is_configured_soon(&mut machine), "{manners:?}");
            assert!(answers(&mut machine), "{manners:?}");
        }
    }
}

#[test]
fn a_line_coding_of_another_length_is_refused_and_changes_nothing() {
    let mut machine = logger();
    machine.usb_mut().attach();
    assert!(is_configured_soon(&mut machine));
    let coding = [0x00, 0xC2, 0x01, 0, 2, 1, 7, 9];
    let set = |length: u8| [0x21, 0x20, 0, 0, 0, 0, length, 0];
    let usb = machine.usb_mut();
    for length in [7, 0, 6, 8] {
        usb.control(set(length), coding[..usize::from(length)].to_vec());
    }
    usb.control([0xA1, 0x21, 0, 0, 0, 0, 7, 0], Vec::new());
    machine.run_for(Time::from_millis(200)).unwrap();
    assert_eq!(
        machine.usb_mut().control_results(),
        [
            ControlResult::Done(coding[..7].to_vec()),
            ControlResult::Stalled,
            ControlResult::Stalled,
            ControlResult::Stalled,
            ControlResult::Done(coding[..7].to_vec()),
        ]
    );
    assert!(answers(&mut machine));
}

/// Amperes that a machine takes over some time.
fn current(machine: &mut Machine, seconds: u64) -> f64 {
    let before = machine.charge();
    machine.run_for(Time::from_millis(1000 * seconds)).unwrap();
    (machine.charge() - before) / seconds as f64
}

/// Suspends the bus for some seconds, and wakes it by a resume or a reset: the amperes taken meanwhile. The port answers
/// before and afterwards.
fn current_while_suspended(machine: &mut Machine, seconds: u64, reset: bool) -> f64 {
    machine.usb_mut().suspend();
    // 10 ms after the bus became idle (USB 2.0, 7.1.7.6).
    machine.run_for(Time::from_millis(10)).unwrap();
    assert!(machine.usb().is_suspended());
    let suspended = current(machine, seconds);
    if reset {
        machine.usb_mut().reset_port();
        assert!(is_configured_soon(machine));
    } else {
        machine.usb_mut().resume();
        // 20 ms of resume, and 10 to recover.
        machine.run_for(Time::from_millis(40)).unwrap();
        assert!(!machine.usb().is_suspended() && machine.usb().is_configured());
    }
    assert!(answers(machine));
    suspended
}

#[test]
fn a_suspended_logger_takes_no_more_than_it_may_goes_on_recording_and_wakes_with_the_bus() {
    let mut machine = logger();
    machine.usb_mut().attach();
    assert!(is_configured_soon(&mut machine));
    assert!(answers(&mut machine));
    for reset in [false, true, false] {
        // With what it records each second; the pull-up at D+ takes 0.2 mA more (7.2.3).
        let suspended = current_while_suspended(&mut machine, 20, reset);
        assert!(suspended < 0.1e-3, "{} mA", suspended * 1e3);
    }
    assert_eq!(machine.usb().violations(), &[] as &[String]);
    let (mut conversation, _) = connect(EmulatedLink::new(machine));
    let (log, lost) = download(&mut conversation);
    assert_eq!(lost, []);
    let mut decoder = Decoder::new();
    for bytes in &log {
        if let Some(batch) = decoder.segment(bytes).unwrap() {
            assert_eq!(batch.before.pause, 0);
        }
    }
    assert!(decoder.verification().is_whole() && decoder.verification().records > 60);
}

#[test]
fn update_mode_takes_no_more_than_it_may_while_the_bus_is_suspended_or_no_cable_is_plugged_in() {
    let mut machine = Machine::new(Options::default());
    machine
        .program_flash(0x0800_0000, &built("bootloader.bin"))
        .unwrap();
    machine.power_on();
    machine.usb_mut().attach();
    assert!(is_configured_soon(&mut machine));
    assert!(answers(&mut machine));
    for reset in [false, true, false] {
        let suspended = current_while_suspended(&mut machine, 20, reset);
        assert!(suspended < 1.1e-3, "{} mA", suspended * 1e3);
    }
    assert_eq!(machine.usb().violations(), &[] as &[String]);
    // It looks for something to start once a minute, however long the bus is suspended.
    let resets = machine.resets(ResetCause::Software);
    machine.usb_mut().suspend();
    machine.run_for(Time::from_millis(63_000)).unwrap();
    assert_eq!(machine.resets(ResetCause::Software), resets + 1);
    machine.usb_mut().detach();
    machine.run_for(Time::from_millis(10)).unwrap();
    let unplugged = current(&mut machine, 20);
    assert!(unplugged < 1.1e-3, "{} mA", unplugged * 1e3);
    machine.usb_mut().attach();
    assert!(is_configured_soon(&mut machine));
    assert!(answers(&mut machine));
    assert_eq!(machine.resets(ResetCause::IndependentWatchdog), 0);
}
