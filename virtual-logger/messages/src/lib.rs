//! What the page and the Worker with the virtual logger say to each other, besides the port's bytes.
//!
//! Both directions are `postMessage`: bytes of the port go as `Uint8Array`, the count of bytes that the emulated
//! computer has taken as a number, everything else as the texts below. It must never hold anything of what is said over
//! the port.
//!
//! `assets/virtual-logger-worker.js`, which starts the Worker, sends [`Event::Elsewhere`] and [`Event::Failed`] by
//! itself: their texts stand there too.

#![cfg_attr(not(test), no_std)]

extern crate alloc;

use alloc::string::{String, ToString};

/// What is done to the virtual logger and its cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A program opens the port. What was sent before that is lost, as on hardware.
    Open,
    /// It closes the port.
    Close,
    /// The cable goes in; it brings power as well.
    Plug,
    /// The cable comes out; the logger goes on with its battery.
    Unplug,
    /// Cable and battery go at once.
    Cut,
    /// A new logger takes the place of this one, whose memories are forgotten.
    Renew,
    /// The block of the memory that was written last fails from now on.
    WearOut,
    /// The cable gets noisy: now and then a bit of what goes over it is wrong.
    Disturb,
    /// The cable is good again.
    Mend,
    /// Its time goes slowly from now on, so that a person can watch.
    Slow,
    /// Its time goes as on hardware.
    Swift,
}

impl Command {
    const ALL: [Command; 11] = [
        Command::Open,
        Command::Close,
        Command::Plug,
        Command::Unplug,
        Command::Cut,
        Command::Renew,
        Command::WearOut,
        Command::Disturb,
        Command::Mend,
        Command::Slow,
        Command::Swift,
    ];

    /// As it goes over.
    pub const fn text(self) -> &'static str {
        match self {
            Command::Open => "open",
            Command::Close => "close",
            Command::Plug => "plug",
            Command::Unplug => "unplug",
            Command::Cut => "cut",
            Command::Renew => "renew",
            Command::WearOut => "wear out",
            Command::Disturb => "disturb",
            Command::Mend => "mend",
            Command::Slow => "slow",
            Command::Swift => "swift",
        }
    }

    /// Reads what [`Command::text`] wrote; none from anything else.
    pub fn read(text: &str) -> Option<Command> {
        Command::ALL
            .into_iter()
            .find(|command| command.text() == text)
    }
}

/// What happened at the virtual logger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another tab has it; this one waits until it is free.
    Elsewhere,
    /// It runs, with its cable plugged in.
    Started,
    /// It is enumerated: there is a port.
    Plugged,
    /// The port is gone.
    Unplugged,
    /// The browser does not keep its memories for the next visit.
    NotKept,
    /// Without a port, its flash was changed up to here: bytes from where flash begins.
    Written(u32),
    /// The emulated chip stopped, with the reason. It runs again after its power was cut.
    Halted(String),
    /// It could not be started, with the reason.
    Failed(String),
}

const WRITTEN: &str = "written: ";
const HALTED: &str = "halted: ";
const FAILED: &str = "failed: ";

impl Event {
    /// As it goes over.
    pub fn text(&self) -> String {
        match self {
            Event::Elsewhere => "elsewhere".into(),
            Event::Started => "started".into(),
            Event::Plugged => "plugged".into(),
            Event::Unplugged => "unplugged".into(),
            Event::NotKept => "not kept".into(),
            Event::Written(offset) => [WRITTEN, &offset.to_string()].concat(),
            Event::Halted(why) => [HALTED, why].concat(),
            Event::Failed(why) => [FAILED, why].concat(),
        }
    }

    /// Reads what [`Event::text`] wrote; none from anything else.
    pub fn read(text: &str) -> Option<Event> {
        Some(match text {
            "elsewhere" => Event::Elsewhere,
            "started" => Event::Started,
            "plugged" => Event::Plugged,
            "unplugged" => Event::Unplugged,
            "not kept" => Event::NotKept,
            _ => {
                if let Some(why) = text.strip_prefix(HALTED) {
                    Event::Halted(why.into())
                } else if let Some(why) = text.strip_prefix(FAILED) {
                    Event::Failed(why.into())
                } else {
                    Event::Written(text.strip_prefix(WRITTEN)?.parse().ok()?)
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_read_as_what_was_written() {
        for command in Command::ALL {
            assert_eq!(Command::read(command.text()), Some(command));
        }
        for event in [
            Event::Elsewhere,
            Event::Started,
            Event::Plugged,
            Event::Unplugged,
            Event::NotKept,
            Event::Written(0x7080),
            Event::Halted("lockup: at 0x08000100".into()),
            Event::Failed(String::new()),
        ] {
            assert_eq!(Event::read(&event.text()), Some(event));
        }
    }

    #[test]
    fn other_texts_are_no_messages() {
        for text in ["", "opened", "halted", "Plugged", "failed:", "written: x"] {
            assert_eq!(Command::read(text), None, "{text}");
            assert_eq!(Event::read(text), None, "{text}");
        }
    }
}
