//! A maker's firmware, listed in a JSON file: how a page and a script learn that there is something newer for a logger.
//!
//! It only says what there is. Whatever is taken from it has to be the file that it means, by size and SHA-256, and is
//! then checked like any other. A file that it names lies beside it, and nowhere else. An entry that cannot be used is
//! passed over with a reason, and never keeps the others from being used.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use protocol::device::Uuid;
use protocol::image::{Target, Version};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::firmware_file::LARGEST_FILE;
use crate::time::read_utc;

/// What a catalogue says of itself under `format`.
pub const FORMAT: &str = "logdock-catalogue-1";
/// Bytes of the largest catalogue that is looked at.
pub const LARGEST_CATALOGUE: usize = 1 << 20;
/// The language of notes for those who have none in their own.
const COMMON_LANGUAGE: &str = "en";

/// What a maker offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Each release for each kind of hardware.
    pub releases: Vec<Release>,
    /// Why entries were passed over, for the maker.
    pub ignored: Vec<String>,
}

/// One firmware for one kind of hardware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// Vendor of the hardware.
    pub vendor: Uuid,
    /// Its class.
    pub class: Uuid,
    /// Its name, for people.
    pub model: String,
    /// Version of the firmware.
    pub version: Version,
    /// Name of the file, .hex or .bin, in the catalogue's folder.
    pub file: String,
    /// Its bytes.
    pub size: u32,
    /// Their SHA-256: of the file as it is, not the image's digest.
    pub sha256: [u8; 32],
    /// Day of its release, as in 2026-11-22.
    pub date: String,
    /// What is new, by language (`en`, `fr`).
    pub notes: Vec<(String, String)>,
}

/// Why there is nothing to be had from a catalogue or a file of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogueError {
    /// Larger than [`LARGEST_CATALOGUE`].
    TooLarge,
    /// It is no JSON, and why.
    NotJson(String),
    /// It is none, or a newer kind.
    OtherFormat,
    /// The file is not the one that the catalogue means.
    OtherFile,
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CatalogueError::TooLarge => f.write_str("The catalogue is larger than one can be."),
            CatalogueError::NotJson(why) => write!(f, "The catalogue is damaged: {why}."),
            CatalogueError::OtherFormat => write!(f, "The catalogue's format is not {FORMAT}."),
            CatalogueError::OtherFile => f.write_str(
                "The firmware file is not the one that the catalogue lists: it was changed or cut short on the way. Try it again later, or ask the maker.",
            ),
        }
    }
}

impl core::error::Error for CatalogueError {}

impl Catalogue {
    /// Reads it.
    ///
    /// # Errors
    /// When it is none as a whole.
    pub fn read(text: &str) -> Result<Catalogue, CatalogueError> {
        if text.len() > LARGEST_CATALOGUE {
            return Err(CatalogueError::TooLarge);
        }
        let file: Value = serde_json::from_str(text)
            .map_err(|error| CatalogueError::NotJson(error.to_string()))?;
        let entries = file["firmware"].as_array();
        let Some(entries) = entries.filter(|_| file["format"] == FORMAT) else {
            return Err(CatalogueError::OtherFormat);
        };
        let mut catalogue = Catalogue::default();
        for (index, entry) in entries.iter().enumerate() {
            match Release::read(entry) {
                Ok(release) => catalogue.releases.push(release),
                Err(wrong) => {
                    let name = entry["file"].as_str().unwrap_or_default();
                    let place = format!("Entry {} {name}", index + 1);
                    catalogue.ignored.push(format!(
                        "{}: {wrong} is missing or wrong.",
                        place.trim_end()
                    ));
                }
            }
        }
        Ok(catalogue)
    }

    /// The same as text.
    pub fn write(&self) -> String {
        let firmware: Vec<_> = self.releases.iter().map(Release::to_json).collect();
        format!("{:#}\n", json!({ "firmware": firmware, "format": FORMAT }))
    }

    /// The newest release for this hardware, if it is newer than what runs, or nothing does.
    pub fn newer(&self, target: &Target, running: Option<Version>) -> Option<&Release> {
        self.releases
            .iter()
            .filter(|release| {
                (release.vendor, release.class) == (target.vendor_id, target.class_id)
                    && running.is_none_or(|running| release.version > running)
            })
            .max_by_key(|release| release.version)
    }
}

impl Release {
    /// What is new, in this language (`fr`, or `fr-CH`), or in the one most people read.
    pub fn notes_in(&self, language: &str) -> Option<&str> {
        let short = language.split('-').next().unwrap_or_default();
        [language, short, COMMON_LANGUAGE]
            .iter()
            .find_map(|wanted| self.notes.iter().find(|(found, _)| found == wanted))
            .map(|(_, notes)| notes.as_str())
    }

    /// Whether this is the file that is meant.
    ///
    /// # Errors
    /// When it is not.
    pub fn check(&self, bytes: &[u8]) -> Result<(), CatalogueError> {
        let same = bytes.len() == self.size as usize
            && <[u8; 32]>::from(Sha256::digest(bytes)) == self.sha256;
        same.then_some(()).ok_or(CatalogueError::OtherFile)
    }

    /// An entry; or what is wrong with it.
    fn read(entry: &Value) -> Result<Release, &'static str> {
        let text = |name: &'static str| entry[name].as_str().ok_or(name);
        let notes = match &entry["notes"] {
            Value::Null => Vec::new(),
            Value::Object(notes) => notes
                .iter()
                .map(|(language, text)| Some((language.clone(), text.as_str()?.to_string())))
                .collect::<Option<_>>()
                .ok_or("notes")?,
            _ => return Err("notes"),
        };
        Ok(Release {
            vendor: uuid(text("vendor")?).ok_or("vendor")?,
            class: uuid(text("class")?).ok_or("class")?,
            model: text("model")?.to_string(),
            version: version(text("version")?).ok_or("version")?,
            file: Some(text("file")?)
                .filter(|name| is_plain(name))
                .ok_or("file")?
                .to_string(),
            size: entry["size"]
                .as_u64()
                .filter(|size| (1..=LARGEST_FILE as u64).contains(size))
                .and_then(|size| size.try_into().ok())
                .ok_or("size")?,
            sha256: bytes(text("sha256")?).ok_or("sha256")?,
            date: Some(text("date")?)
                .filter(|date| date.len() == 10 && read_utc(&format!("{date}T00:00Z")).is_some())
                .ok_or("date")?
                .to_string(),
            notes,
        })
    }

    fn to_json(&self) -> Value {
        let sha256: String = self
            .sha256
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let notes: Map<_, _> = self
            .notes
            .iter()
            .map(|(language, text)| (language.clone(), json!(text)))
            .collect();
        json!({
            "class": self.class.to_string(),
            "date": self.date,
            "file": self.file,
            "model": self.model,
            "notes": notes,
            "sha256": sha256,
            "size": self.size,
            "vendor": self.vendor.to_string(),
            "version": self.version.to_string(),
        })
    }
}

/// A name that cannot lead anywhere else.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+');
    !name.starts_with('.') && !name.is_empty() && name.chars().all(plain)
}

/// `N` bytes in hex.
fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let digits = text.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Its groups of digits may stand apart, with a dash between.
fn uuid(text: &str) -> Option<Uuid> {
    bytes(&text.replace('-', "")).map(Uuid)
}

/// As [`Version`] is written: `1.2.3`, or `1.2.3+4`.
fn version(text: &str) -> Option<Version> {
    let (numbers, build) = text.split_once('+').unwrap_or((text, "0"));
    let mut numbers = numbers.split('.');
    let version = Version {
        major: numbers.next()?.parse().ok()?,
        minor: numbers.next()?.parse().ok()?,
        revision: numbers.next()?.parse().ok()?,
        build: build.parse().ok()?,
    };
    numbers.next().is_none().then_some(version)
}

#[cfg(test)]
mod tests {
    use protocol::device::{CLASS_ID, USART_CLASS_ID, VENDOR_ID};

    use super::*;

    fn v(minor: u8) -> Version {
        Version {
            major: 1,
            minor,
            revision: 0,
            build: 0,
        }
    }

    fn release(minor: u8, class: Uuid) -> Release {
        Release {
            vendor: VENDOR_ID,
            class,
            model: "LD-1".into(),
            version: v(minor),
            file: format!("logger-1.{minor}.0.hex"),
            size: 3,
            sha256: Sha256::digest(b"abc").into(),
            date: "2026-11-22".into(),
            notes: [("en", "Quieter."), ("fr", "Moins de bruit.")]
                .map(|(language, text)| (language.into(), text.into()))
                .into(),
        }
    }

    fn target() -> Target {
        Target {
            slot_address: 0,
            slot_size: 0,
            ram_address: 0,
            ram_size: 0,
            vendor_id: VENDOR_ID,
            class_id: CLASS_ID,
            security_counter: 0,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let catalogue = Catalogue {
            releases: [release(0, CLASS_ID), release(1, USART_CLASS_ID)].into(),
            ignored: Vec::new(),
        };
        assert_eq!(Catalogue::read(&catalogue.write()), Ok(catalogue));
    }

    #[test]
    fn only_what_is_newer_and_for_this_hardware_is_offered() {
        let releases = [1, 3, 2].map(|minor| release(minor, CLASS_ID));
        let other = release(9, USART_CLASS_ID);
        let catalogue = Catalogue {
            releases: releases.into_iter().chain([other]).collect(),
            ignored: Vec::new(),
        };
        let newer = |running| catalogue.newer(&target(), running).map(|it| it.version);
        assert_eq!(newer(Some(v(0))), Some(v(3)));
        assert_eq!(newer(Some(v(3))), None);
        assert_eq!(newer(None), Some(v(3)), "in update mode anything is newer");
    }

    #[test]
    fn an_entry_that_is_wrong_is_passed_over_with_its_reason() {
        let good = release(1, CLASS_ID).to_json();
        let wrong = [
            ("vendor", json!("6ec807f1")),
            ("class", json!(7)),
            ("model", Value::Null),
            ("version", json!("1.2")),
            ("version", json!("1.2.3.4")),
            ("version", json!("1.256.0")),
            ("file", json!("../logger.hex")),
            ("file", json!("https://elsewhere/logger.hex")),
            ("file", json!(".hidden")),
            ("file", json!("")),
            ("size", json!(0)),
            ("size", json!(-1)),
            ("size", json!(1u64 << 40)),
            ("sha256", json!("é".repeat(32))),
            ("sha256", json!("+1".repeat(32))),
            ("date", json!("2026-02-30")),
            ("date", json!("yesterday")),
            ("notes", json!(["new"])),
            ("notes", json!({ "en": 1 })),
        ];
        for (name, value) in wrong {
            let mut entry = good.clone();
            entry[name] = value;
            let file = json!({ "format": FORMAT, "firmware": [entry, good] });
            let catalogue = Catalogue::read(&file.to_string()).expect("a catalogue");
            assert_eq!(catalogue.releases, [release(1, CLASS_ID)], "{name}");
            let [reason] = &catalogue.ignored[..] else {
                panic!("{name}: {:?}", catalogue.ignored);
            };
            assert!(reason.contains(name), "{reason}");
        }
        let odd = json!({ "format": FORMAT, "firmware": [null, 1, "x", [], {}] });
        let odd = Catalogue::read(&odd.to_string()).expect("a catalogue");
        assert_eq!((odd.releases.len(), odd.ignored.len()), (0, 5));
    }

    #[test]
    fn what_later_versions_add_to_an_entry_is_no_mistake() {
        let mut entry = release(1, CLASS_ID).to_json();
        entry["colour"] = json!("red");
        let file = json!({ "format": FORMAT, "firmware": [entry], "more": 1 });
        let catalogue = Catalogue::read(&file.to_string()).expect("a catalogue");
        assert_eq!(catalogue.releases, [release(1, CLASS_ID)]);
    }

    #[test]
    fn what_is_no_catalogue_is_refused_as_a_whole() {
        let read = |text: &str| Catalogue::read(text).expect_err("no catalogue");
        assert!(matches!(read("<html>"), CatalogueError::NotJson(_)));
        assert!(matches!(read(""), CatalogueError::NotJson(_)));
        assert!(matches!(
            read(&"[".repeat(100_000)),
            CatalogueError::NotJson(_)
        ));
        for other in [
            "[]",
            "{}",
            r#"{"format":"logdock-catalogue-2","firmware":[]}"#,
            r#"{"format":"logdock-catalogue-1","firmware":{}}"#,
        ] {
            assert_eq!(read(other), CatalogueError::OtherFormat, "{other}");
        }
        assert_eq!(
            read(&" ".repeat(LARGEST_CATALOGUE + 1)),
            CatalogueError::TooLarge
        );
    }

    #[test]
    fn notes_are_in_the_readers_language_if_there_are_any() {
        let mut release = release(1, CLASS_ID);
        assert_eq!(release.notes_in("fr-CH"), Some("Moins de bruit."));
        assert_eq!(release.notes_in("de"), Some("Quieter."));
        release.notes.clear();
        assert_eq!(release.notes_in("en"), None);
    }

    #[test]
    fn a_file_that_is_not_the_one_that_is_meant_is_refused() {
        let release = release(1, CLASS_ID);
        assert_eq!(release.check(b"abc"), Ok(()));
        for other in [b"abd".as_slice(), b"ab", b""] {
            assert_eq!(release.check(other), Err(CatalogueError::OtherFile));
        }
    }
}
