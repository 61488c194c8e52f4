//! That harm done by a frame would be seen: the judge of the frames in `cargo xtask test faults` is itself tried, on a
//! logger to which something happens that no frame asked for.

use emulator::nand::PAGE_BYTES;
use host::protocol::device::Program;
use logdock_tests::frames::{Bombardment, bombard, logger};

const SEED: u64 = 3;
/// The first page of the NAND that belongs to the log, see docs/update.md.
const FIRST_OF_LOG: u16 = 24 * 64;

/// A logger that has got some frames already, and now this.
fn after(program: Program, happens: fn(&mut Bombardment)) -> Result<(), String> {
    let mut bombardment = Bombardment::new(logger(program), SEED);
    for _ in 0..3 {
        bombardment.send_batch()?;
    }
    happens(&mut bombardment);
    for _ in 0..3 {
        bombardment.send_batch()?;
    }
    bombardment.finish().map(drop)
}

#[test]
fn frames_of_all_kinds_do_no_harm() {
    for program in [Program::Application, Program::Bootloader] {
        let report = bombard(program, SEED, 3_000, |_| {}).unwrap_or_else(|harm| panic!("{harm}"));
        assert!(report.frames >= 3_000);
        // Most noise is a frame with errors or several; some requests are acted upon, others are not.
        assert!(report.answers > 3_000, "{report}");
        assert!(report.requests > 500, "{report}");
        assert!(report.refused > 50, "{report}");
        assert!(report.operations > 50, "{report}");
        let reads = program == Program::Application;
        assert_eq!(report.segments > 0, reads, "{report}");
    }
}

#[test]
fn a_restart_that_nobody_asked_for_is_seen() {
    let harm = after(Program::Application, |logger| {
        logger.link.machine.reset_pin()
    });
    assert!(harm.is_err());
}

#[test]
fn an_answer_that_is_missing_is_seen() {
    let harm = after(Program::Application, |logger| {
        // The beginning of a frame that the judge does not know of: what follows belongs to it.
        logger.link.machine.usb_mut().write(&[1, 2, 3, 0]);
    });
    assert_eq!(
        harm.map_err(|harm| harm.contains("was due") || harm.contains("to nothing")),
        Err(true)
    );
}

#[test]
fn a_write_to_flash_is_seen() {
    let harm = after(Program::Bootloader, |logger| {
        logger
            .link
            .machine
            .program_flash(0x0800_FF80, &[1])
            .expect("it lies in flash");
    });
    assert_eq!(harm, Err("flash was written".into()));
}

#[test]
fn a_write_to_a_slot_in_use_is_seen() {
    // A logger that has forgotten which slots are in use takes the first one.
    let mut link = logger(Program::Bootloader);
    link.machine.power_off();
    link.machine
        .program_eeprom(0, &[0; 0x40])
        .expect("the boot record lies there");
    link.machine.power_on();
    let mut bombardment = Bombardment::new(link, SEED);
    let harm = (0..100).find_map(|_| bombardment.send_batch().err());
    let harm = harm.expect("it goes unseen");
    assert!(harm.contains("NandBlockErase, address: 0,"), "{harm}");
}

#[test]
fn records_that_are_lost_are_seen() {
    let harm = after(Program::Application, |logger| {
        let machine = &mut logger.link.machine;
        let pages: Vec<u16> = machine.nand().contents().map(|(page, _)| page).collect();
        for page in pages {
            if page >= FIRST_OF_LOG {
                machine.nand_mut().load_page(page, &[0; PAGE_BYTES]);
            }
        }
    });
    assert!(harm.is_err_and(|harm| harm.contains("segment")));
}
