//! The loop that a person or a test steers: commands in, one answer line each, news in between.
//!
//! Answers begin with `ok`, `error:` or `{`. News begins with `plugged`, `unplugged`, `halted:`, `note:`, `usart`,
//! `trace:`, and where USB transfers were asked for, `control`, `sent` or `brought`.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use emulator::cpu::bus::ResetCause;
use emulator::machine::{Machine, SerialPort};
use emulator::memory::{FLASH_BASE, FLASH_SIZE, RAM_BASE, RAM_SIZE};
use emulator::usb_host::ControlResult;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::command::{Command, HELP};
use crate::device::{News, VirtualDevice};
use crate::firmware::{EEPROM_BASE, EEPROM_SIZE, offset_within};
use crate::nand_file;
use crate::serial_port::Announcement;
use crate::trace;

/// Runs a machine as a serial port of this computer until `quit` or the end of `input`.
///
/// The machine is taken as it stands: whoever wants it on and plugged from the start does that before.
/// It comes back as it stood at the end, so that its memories can be kept.
///
/// # Errors
/// When `output` cannot be written, or the kernel refuses a pseudo-terminal.
pub fn run(
    machine: Machine,
    input: impl BufRead + Send + 'static,
    output: impl Write,
) -> io::Result<Machine> {
    let (sender, lines) = mpsc::channel();
    send_lines(input, sender);
    serve(VirtualDevice::new(machine), &lines, output)
}

/// [`run`] for a person: standard input and output, `speed` virtual seconds a second, a USART as a pseudo-terminal of
/// its own if one is named, a symbolic link to the port; Ctrl-C ends it as `quit` does.
///
/// # Errors
/// As [`run`], and when Ctrl-C is already handled elsewhere in this program.
pub fn run_on_terminal(
    machine: Machine,
    speed: f64,
    usart: Option<SerialPort>,
    link: Option<PathBuf>,
) -> io::Result<Machine> {
    let (sender, lines) = mpsc::channel();
    let interrupted = sender.clone();
    ctrlc::set_handler(move || {
        // Nobody receives any more: it is already ending.
        let _ = interrupted.send(Input::End);
    })
    .map_err(io::Error::other)?;
    send_lines(BufReader::new(io::stdin()), sender);
    let mut device = VirtualDevice::new(machine);
    device.set_speed(speed);
    if let Some(link) = link {
        device.link(link);
    }
    if let Some(usart) = usart {
        let path = device.wire(usart)?;
        println!("usart {}", path.display());
    }
    serve(device, &lines, io::stdout())
}

enum Input {
    Line(String),
    End,
}

/// Reads lines in a thread of its own: the machine must not wait for a person.
fn send_lines(input: impl BufRead + Send + 'static, sender: Sender<Input>) {
    thread::spawn(move || {
        for line in input.lines() {
            let Ok(line) = line else { break };
            if sender.send(Input::Line(line)).is_err() {
                return;
            }
        }
        let _ = sender.send(Input::End);
    });
}

fn serve(
    mut device: VirtualDevice,
    lines: &Receiver<Input>,
    mut output: impl Write,
) -> io::Result<Machine> {
    loop {
        while let Ok(input) = lines.try_recv() {
            let answer = match input {
                Input::End => return finish(device, output),
                Input::Line(line) if line.trim().is_empty() => continue,
                Input::Line(line) if line.trim() == "quit" => {
                    writeln!(output, "ok")?;
                    return finish(device, output);
                }
                Input::Line(line) => line
                    .parse()
                    .and_then(|command| answer(&mut device, &command)),
            };
            match answer {
                Ok(answer) => writeln!(output, "{answer}")?,
                Err(problem) => writeln!(output, "error: {problem}")?,
            }
            output.flush()?;
        }
        let news = device.advance()?;
        for access in device.machine_mut().core_mut().take_accesses() {
            writeln!(output, "trace: {}", trace::line(&access))?;
        }
        for item in &news {
            tell(&mut output, item)?;
        }
        device.wait()?;
    }
}

/// The port is unplugged before the program ends, so that no browser keeps a dead one in its list.
fn finish(device: VirtualDevice, mut output: impl Write) -> io::Result<Machine> {
    let was_plugged = device.port().is_some();
    let machine = device.into_machine();
    if was_plugged {
        tell(&mut output, &News::Unplugged)?;
    }
    Ok(machine)
}

fn tell(output: &mut impl Write, news: &News) -> io::Result<()> {
    match news {
        News::Plugged {
            path,
            identity,
            announcement,
        } => {
            if *announcement == Announcement::NotPermitted {
                writeln!(
                    output,
                    "note: browsers were not told of the port, for that this program needs CAP_NET_ADMIN (run it as \
                     root); other programs can open {}",
                    path.display()
                )?;
            }
            writeln!(
                output,
                "plugged {} {:04x}:{:04x} {}",
                path.display(),
                identity.vendor_id,
                identity.product_id,
                identity.serial_number.as_deref().unwrap_or("-")
            )?;
        }
        News::Unplugged => writeln!(output, "unplugged")?,
        News::Control(ControlResult::Done(bytes)) => writeln!(output, "control {}", hex(bytes))?,
        News::Control(ControlResult::Stalled) => writeln!(output, "control stalled")?,
        News::Control(ControlResult::Failed) => writeln!(output, "control failed")?,
        News::Sent => writeln!(output, "sent")?,
        News::Brought(bytes) => writeln!(output, "brought {}", hex(bytes))?,
        News::Halted(why) => writeln!(output, "halted: {why}")?,
    }
    output.flush()
}

fn answer(device: &mut VirtualDevice, command: &Command) -> Result<String, String> {
    match command {
        Command::Plug => plug(device)?,
        Command::Unplug => {
            if !device.machine().usb().is_attached() {
                return Err("the cable is not plugged".to_string());
            }
            device.machine_mut().usb_mut().detach();
        }
        Command::Cut => {
            let machine = device.machine_mut();
            if machine.usb().is_attached() {
                machine.usb_mut().detach();
            }
            machine.power_off();
        }
        Command::On => {
            if device.machine().is_on() {
                return Err("it already has power".to_string());
            }
            device.machine_mut().power_on();
            device.restarted();
        }
        Command::Reset => {
            if !device.machine().is_on() {
                return Err("it has no power".to_string());
            }
            device.machine_mut().reset_pin();
            device.restarted();
        }
        Command::Status => return Ok(status(device)),
        Command::Read { address, length } => return read(device.machine(), *address, *length),
        Command::Descriptors => {
            let descriptors = device.machine().usb().descriptors();
            return Ok(json!({
                "device": hex(&descriptors.device),
                "configuration": hex(&descriptors.configuration),
            })
            .to_string());
        }
        Command::Control(..) | Command::Send(_) | Command::Ask(_)
            if !device.machine().usb().is_configured() =>
        {
            return Err("there is no device on the bus".to_string());
        }
        Command::Control(setup, data) => {
            let usb = device.machine_mut().usb_mut();
            usb.control(*setup, data.clone());
        }
        Command::Send(bytes) => device.send_transfer(bytes),
        Command::Ask(length) => device.machine_mut().usb_mut().ask_transfer(*length),
        Command::Cancel => device.cancel_transfers(),
        Command::SaveNand(path) => {
            nand_file::save(device.machine().nand(), path)
                .map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
        }
        Command::Pace(speed) => device.set_speed(*speed),
        Command::Trace(on) => device.machine_mut().core_mut().record_accesses(*on),
        Command::Help => return Ok(format!("ok {HELP}")),
    }
    Ok("ok".to_string())
}

/// The cable brings power as well.
fn plug(device: &mut VirtualDevice) -> Result<(), String> {
    if device.machine().usb().is_attached() {
        return Err("the cable is already plugged".to_string());
    }
    if !device.machine().is_on() {
        device.machine_mut().power_on();
        device.restarted();
    }
    device.machine_mut().usb_mut().attach();
    Ok(())
}

fn status(device: &VirtualDevice) -> String {
    let machine = device.machine();
    json!({
        "time_ms": machine.now().millis(),
        "speed": device.speed(),
        "on": machine.is_on(),
        "halted": device.halted(),
        "cable": machine.usb().is_attached(),
        "port": device.port().map(|port| port.path().display().to_string()),
        "bytes_to_device": device.moved().to_device,
        "bytes_to_program": device.moved().to_program,
        "usart_baud": device.wire_baud(),
        "configurations": machine.usb().configurations(),
        "resets": {
            "power_on": machine.resets(ResetCause::PowerOn),
            "pin": machine.resets(ResetCause::Pin),
            "software": machine.resets(ResetCause::Software),
            "watchdog": machine.resets(ResetCause::IndependentWatchdog),
            "option_bytes": machine.resets(ResetCause::OptionBytes),
        },
        "flash_sha256": hex(&Sha256::digest(machine.flash())),
    })
    .to_string()
}

fn read(machine: &Machine, address: u32, length: usize) -> Result<String, String> {
    let memories: [(u32, usize, &[u8]); 3] = [
        (FLASH_BASE, FLASH_SIZE, machine.flash()),
        (EEPROM_BASE, EEPROM_SIZE, machine.eeprom()),
        (RAM_BASE, RAM_SIZE, machine.ram()),
    ];
    memories
        .into_iter()
        .find_map(|(base, size, bytes)| {
            let offset = offset_within(base, size, address, length)?;
            Some(format!("ok {}", hex(bytes.get(offset..offset + length)?)))
        })
        .ok_or_else(|| {
            format!(
                "{length} bytes at {address:#010x} are neither in flash nor in EEPROM nor in RAM"
            )
        })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use emulator::machine::Options;

    use super::*;

    /// Runs `commands` on a machine that is off and holds no firmware; the lines that came out, and the machine.
    fn session(commands: &'static str) -> (Vec<String>, Machine) {
        let mut machine = Machine::new(Options::default());
        machine
            .program_flash(FLASH_BASE + 0x7014, &[1, 1, 2, 0])
            .expect("an address in flash");
        let mut output = Vec::new();
        let machine = run(machine, Cursor::new(commands), &mut output).expect("a session");
        let text = String::from_utf8(output).expect("text");
        (text.lines().map(str::to_string).collect(), machine)
    }

    #[test]
    fn every_command_gets_one_line() {
        let (lines, _) =
            session("read 0x08007014 4\n\nunplug\nfly\npace 4\nusb ask 64\nquit\nstatus\n");
        assert_eq!(lines.len(), 6, "{lines:?}");
        assert_eq!(lines[0], "ok 01010200");
        assert_eq!(lines[1], "error: the cable is not plugged");
        assert!(
            lines[2].starts_with("error: \"fly\" is no command"),
            "{}",
            lines[2]
        );
        assert_eq!(
            lines[3..],
            ["ok", "error: there is no device on the bus", "ok"]
        );
    }

    #[test]
    fn the_status_is_one_line_of_json() {
        let (lines, machine) = session("status\n");
        let status: serde_json::Value = serde_json::from_str(&lines[0]).expect("JSON");
        assert_eq!(status["on"], false);
        assert_eq!(status["port"], serde_json::Value::Null);
        assert_eq!(status["resets"]["power_on"], 0);
        assert_eq!(
            status["flash_sha256"],
            hex(&Sha256::digest(machine.flash()))
        );
    }

    #[test]
    fn memory_that_the_chip_does_not_have_cannot_be_read() {
        for command in [
            "read 0x0800FFFF 2\n",
            "read 0 4\n",
            "read 0x20000000 8193\n",
            "read 0xFFFFFFFF 2\n",
        ] {
            let (lines, _) = session(command);
            assert!(lines[0].starts_with("error:"), "{command}: {lines:?}");
        }
    }

    #[test]
    fn the_end_of_the_input_is_the_end_of_the_session() {
        let (lines, machine) = session("");
        assert_eq!(lines, [""; 0]);
        assert!(!machine.is_on());
    }
}
