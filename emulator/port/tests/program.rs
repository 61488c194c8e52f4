//! The program as a person starts it: what it says of bad input, its trace, and a planned power cut.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

/// Unlocks the data EEPROM, writes a word of it, and loops for ever.
const WRITES_EEPROM: [u16; 10] = [
    0x4804, // ldr r0, [pc, #16]: FLASH
    0x4905, // ldr r1, [pc, #20]: first key
    0x60C1, // str r1, [r0, #12]: PEKEYR
    0x4905, // ldr r1, [pc, #20]: second key
    0x60C1, // str r1, [r0, #12]
    0x4A05, // ldr r2, [pc, #20]: EEPROM
    0x6011, // str r1, [r2]
    0xE7FE, // b .
    0x0000, 0x0000,
];
const LITERALS: [u32; 4] = [0x4002_2000, 0x89AB_CDEF, 0x0203_0405, 0x0808_0000];

/// A raw binary of it as `FILE@ADDRESS`.
fn firmware(name: &str) -> String {
    save(name, &WRITES_EEPROM, &LITERALS)
}

/// Registers and what an echo on USART2 writes to them first.
const USART2: u32 = 0x4000_4400;
const SET_UP: [(u32, u32); 6] = [
    (0x4002_102C, 1),           // RCC.IOPENR: GPIOA
    (0x4002_1038, 1 << 17),     // RCC.APB1ENR: USART2
    (0x5000_0000, 0xEBFF_FCAF), // GPIOA.MODER: PA2 and PA3 alternate
    (0x5000_0020, 0x4400),      // GPIOA.AFRL: USART2 on both
    (USART2 + 0x0C, 18),        // BRR: 115,200 baud at 2.1 MHz
    (USART2, 0xD),              // CR1: UE, RE, TE
];

/// A raw binary that sends back what comes on USART2.
fn echo(name: &str) -> String {
    let literals: Vec<u32> = SET_UP
        .iter()
        .flat_map(|(register, value)| [*register, *value])
        .chain([USART2])
        .collect();
    let halves = 3 * SET_UP.len() + 8;
    let mut code: Vec<u16> = Vec::new();
    for literal in 0..literals.len() {
        // ldr r0 or r1, [pc, #...]: counted from the next word but one.
        let distance = halves * 2 + literal * 4 - (code.len() * 2 + 4) / 4 * 4;
        let register = literal as u16 % 2;
        code.push(0x4800 | register << 8 | (distance as u16 / 4));
        if register == 1 {
            code.push(0x6001); // str r1, [r0]
        }
    }
    code.extend([
        0x69C1, // ldr r1, [r0, #0x1C]: ISR
        0x0689, // lsls r1, r1, #26: RXNE
        0xD5FC, // bpl to the ldr
        0x6A41, // ldr r1, [r0, #0x24]: RDR
        0x6281, // str r1, [r0, #0x28]: TDR
        0xE7F9, // b to the ldr
        0x0000,
    ]);
    assert_eq!(code.len(), halves);
    save(name, &code, &literals)
}

/// Writes code and its literals to a file, with the vectors in front.
fn save(name: &str, code: &[u16], literals: &[u32]) -> String {
    let mut image = Vec::new();
    for word in [0x2000_2000_u32, 0x0800_0009] {
        image.extend(word.to_le_bytes());
    }
    image.extend(code.iter().flat_map(|half| half.to_le_bytes()));
    image.extend(literals.iter().flat_map(|word| word.to_le_bytes()));
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&file, image).expect("a place for files");
    format!("{}@0x08000000", file.display())
}

/// Starts it, lets it run for a moment, types these lines and takes what it said.
fn run(arguments: &[&str], lines: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_emulator-port"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    thread::sleep(Duration::from_millis(200));
    let mut input = child.stdin.take().expect("its input");
    // One that has refused its arguments no longer reads.
    let _ = input.write_all(lines.as_bytes());
    drop(input);
    child.wait_with_output().expect("it ends")
}

#[test]
fn bad_input_is_refused_with_its_reason() {
    let good = firmware("refused.bin");
    let bare = good.trim_end_matches("@0x08000000");
    for (arguments, words) in [
        (vec![], "required"),
        (vec!["run"], "required"),
        (vec!["run", "nothing.hex"], "nothing.hex: cannot be read"),
        (vec!["run", bare], "does not say where it belongs"),
        (vec![&good, "--cut-at", "soon"], "no number of an operation"),
        (vec![&good, "--cut-at", "3:during"], "12:before"),
        (vec![&good, "--strict", "--lenient"], "cannot be used with"),
        (vec![&good, "--seed", "x"], "invalid"),
        (
            vec![&good, "--usart", "usart9"],
            "usart1, usart2 and lpuart1",
        ),
    ] {
        let output = run(&arguments, "quit\n");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn the_trace_names_registers_and_run_is_only_a_word() {
    let firmware = firmware("traced.bin");
    for run_word in [&["run"][..], &[]] {
        let arguments = [run_word, &[&firmware, "--trace", "--strict"]].concat();
        let output = run(&arguments, "status\nquit\n");
        assert!(output.status.success());
        let said = String::from_utf8_lossy(&output.stdout);
        let first = said.lines().next().unwrap_or_default();
        assert!(
            first.starts_with("trace: 2.0")
                && first.ends_with("pc 0x0800000c FLASH.PEKEYR (0x4002200c) <- 89abcdef"),
            "{said}"
        );
        assert!(
            said.contains("EEPROM+0x00 (0x08080000) <- 02030405"),
            "{said}"
        );
    }
    let quiet = run(&["run", &firmware], "quit\n");
    assert!(!String::from_utf8_lossy(&quiet.stdout).contains("trace"));
}

#[test]
fn a_planned_cut_halts_the_machine_and_leaves_what_it_says() {
    let firmware = firmware("cut.bin");
    for (place, expected) in [("0:before", "ok 00000000"), ("0:after", "ok 05040302")] {
        let output = run(
            &["run", &firmware, "--cut-at", place],
            "read 0x08080000 4\non\nquit\n",
        );
        let said = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines[..2], ["halted: power was lost", expected], "{said}");
        assert_eq!(lines[2], "ok", "the power comes back");
    }
}

#[test]
fn a_usart_is_offered_as_a_terminal() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_emulator-port"))
        .args(["run", &echo("echo.bin"), "--usart", "usart2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut said = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    let path = line.trim().strip_prefix("usart ").expect("the path");
    let mut port = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .expect("it opens");
    // The receiver is on after a few milliseconds.
    thread::sleep(Duration::from_millis(200));
    let sent: Vec<u8> = (0..=255).collect();
    port.write_all(&sent).expect("it takes bytes");
    let mut got = [0; 256];
    port.read_exact(&mut got).expect("they come back");
    assert_eq!(got[..], sent);
    child
        .stdin
        .take()
        .expect("its input")
        .write_all(b"quit\n")
        .expect("it reads");
    assert!(child.wait().expect("it ends").success());
}
