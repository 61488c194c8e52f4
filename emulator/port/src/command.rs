//! What a person or a test may type, one command a line.

use std::path::PathBuf;
use std::str::FromStr;

use crate::firmware::parse_number;
use crate::pace::parse_speed;

/// One line of input, other than `quit`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Command {
    Plug,
    Unplug,
    Cut,
    On,
    Reset,
    Status,
    Read {
        address: u32,
        length: usize,
    },
    SaveNand(PathBuf),
    Pace(f64),
    Trace(bool),
    Descriptors,
    /// A control transfer: its setup packet, and what is sent behind it.
    Control([u8; 8], Vec<u8>),
    /// A bulk transfer to the vendor interface.
    Send(Vec<u8>),
    /// One of at most so many bytes from it.
    Ask(usize),
    /// Whatever transfers were asked for are given up.
    Cancel,
    Help,
}

/// One line on what can be typed.
pub(crate) const HELP: &str = "plug | unplug | cut (battery and cable gone) | on (battery back) | reset (NRST) | status | \
     usb descriptors | usb control SETUP [DATA] | usb send DATA | usb ask LENGTH | usb cancel | read ADDRESS LENGTH | nand save FILE | pace SPEED | trace on|off | help | quit";

impl FromStr for Command {
    type Err = String;

    fn from_str(line: &str) -> Result<Command, String> {
        let line = line.trim();
        if let Some(file) = line.strip_prefix("nand save ").map(str::trim)
            && !file.is_empty()
        {
            return Ok(Command::SaveNand(PathBuf::from(file)));
        }
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["plug"] => Ok(Command::Plug),
            ["unplug"] => Ok(Command::Unplug),
            ["cut"] => Ok(Command::Cut),
            ["on"] => Ok(Command::On),
            ["reset"] => Ok(Command::Reset),
            ["status"] => Ok(Command::Status),
            ["trace", "on"] => Ok(Command::Trace(true)),
            ["trace", "off"] => Ok(Command::Trace(false)),
            ["help"] => Ok(Command::Help),
            ["read", address, length] => match (parse_number(address), parse_number(length)) {
                (Some(address), Some(length)) => Ok(Command::Read {
                    address,
                    length: length as usize,
                }),
                _ => Err("write it like: read 0x08007014 4".to_string()),
            },
            ["usb", "descriptors"] => Ok(Command::Descriptors),
            ["usb", "control", setup] => control(setup, ""),
            ["usb", "control", setup, data] => control(setup, data),
            ["usb", "send", data] => parse_bytes(data).map(Command::Send),
            ["usb", "ask", length] => match parse_number(length) {
                Some(length) if length > 0 => Ok(Command::Ask(length as usize)),
                _ => Err("write it like: usb ask 64".to_string()),
            },
            ["usb", "cancel"] => Ok(Command::Cancel),
            ["pace", speed] => parse_speed(speed).map(Command::Pace),
            _ => Err(format!("\"{line}\" is no command: {HELP}")),
        }
    }
}

fn control(setup: &str, data: &str) -> Result<Command, String> {
    let setup = parse_bytes(setup)?
        .try_into()
        .map_err(|_| "a setup packet has 8 bytes".to_string())?;
    Ok(Command::Control(setup, parse_bytes(data)?))
}

/// Bytes as pairs of hexadecimal digits.
fn parse_bytes(text: &str) -> Result<Vec<u8>, String> {
    let digits = text.as_bytes();
    let (pairs, rest) = digits.as_chunks::<2>();
    pairs
        .iter()
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect::<Option<_>>()
        .filter(|_| rest.is_empty() && !text.contains('+'))
        .ok_or_else(|| format!("\"{text}\" is not bytes: write them like 00ff"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_their_arguments() {
        assert_eq!("plug".parse(), Ok(Command::Plug));
        assert_eq!(" unplug \r".parse(), Ok(Command::Unplug));
        assert_eq!(
            "read 0x08007014 4".parse(),
            Ok(Command::Read {
                address: 0x0800_7014,
                length: 4
            })
        );
        assert_eq!(
            "nand save my file.nand".parse(),
            Ok(Command::SaveNand(PathBuf::from("my file.nand")))
        );
        assert_eq!("pace 2.5".parse(), Ok(Command::Pace(2.5)));
        assert_eq!("usb send 00fF".parse(), Ok(Command::Send(vec![0, 255])));
        assert_eq!(
            "usb control 0102030405060700".parse(),
            Ok(Command::Control([1, 2, 3, 4, 5, 6, 7, 0], vec![]))
        );
        assert_eq!("usb ask 64".parse(), Ok(Command::Ask(64)));
        assert_eq!("trace on".parse(), Ok(Command::Trace(true)));
        assert_eq!("trace off".parse(), Ok(Command::Trace(false)));
    }

    #[test]
    fn what_cannot_be_done_is_said() {
        for line in [
            "",
            "plugg",
            "plug in",
            "read",
            "read flash 4",
            "read 0 -1",
            "nand save",
            "pace 0",
            "usb send 0",
            "usb send +1",
            "usb send xy",
            "usb control 00",
            "usb ask 0",
            "pace NaN",
            "pace 1e9",
        ] {
            assert!(line.parse::<Command>().is_err(), "{line:?}");
        }
    }
}
