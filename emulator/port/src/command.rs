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
    Read { address: u32, length: usize },
    SaveNand(PathBuf),
    Pace(f64),
    Trace(bool),
    Help,
}

/// One line on what can be typed.
pub(crate) const HELP: &str = "plug | unplug | cut (battery and cable gone) | on (battery back) | reset (NRST) | status | \
     read ADDRESS LENGTH | nand save FILE | pace SPEED | trace on|off | help | quit";

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
            ["pace", speed] => parse_speed(speed).map(Command::Pace),
            _ => Err(format!("\"{line}\" is no command: {HELP}")),
        }
    }
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
            "pace NaN",
            "pace 1e9",
        ] {
            assert!(line.parse::<Command>().is_err(), "{line:?}");
        }
    }
}
