//! The log as a CSV file.
//!
//! Segments go to a file beside it first, as they come, and the CSV is made from that: so a download that broke off goes
//! on where it stopped, and a full log needs no more memory than a short one.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::Args;
use host::clock::Clocks;
use host::conversation::{Conversation, TalkError};
use host::csv::Csv;
use host::data::{Batch, Decoder};
use host::device::Device;
use host::link::LinkError;
use host::log::{self, Piece};
use host::time::read_utc;
use host::update::REPLUG_TIMEOUT;
use indicatif::{MultiProgress, ProgressBar};
use protocol::device::SerialNumber;
use protocol::record::{SEGMENT_HEADER, SegmentHeader};
use serde_json::json;

use crate::answer::{Facts, Problem};
use crate::command::bar_style;
use crate::port::{Found, Port};

/// A download.
#[derive(Args)]
pub struct Download {
    /// The CSV file to write; without it, `logdock-` and the serial number
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only records from this time on: UTC, as in 2026-11-22T10:00:00Z
    #[arg(long, value_name = "UTC", value_parser = utc)]
    from: Option<i64>,
    /// Only records up to this time
    #[arg(long, value_name = "UTC", value_parser = utc)]
    to: Option<i64>,
    /// Keeps the segments as they came from the logger, too, in FILE.segments
    #[arg(long)]
    keep_segments: bool,
}

fn utc(text: &str) -> Result<i64, &'static str> {
    read_utc(text).ok_or("it is not a time as in 2026-11-22T10:00:00Z")
}

impl Download {
    /// Whether all loggers would write to the same file.
    pub fn has_one_file(&self) -> bool {
        self.output.is_some()
    }

    fn keeps(&self, batch: &Batch<'_>, index: usize) -> bool {
        let any = self.from.is_none() && self.to.is_none();
        any || batch.utc(index).is_some_and(|utc| {
            self.from.is_none_or(|from| utc >= from) && self.to.is_none_or(|to| utc <= to)
        })
    }
}

/// Downloads the log, or the part of it that was asked for.
pub async fn download(
    conversation: &mut Conversation<Port>,
    found: &Found,
    what: &Download,
    bars: &MultiProgress,
) -> Result<Facts, Problem> {
    let serial = Device::read(conversation).await?.serial;
    let output = match &what.output {
        Some(output) => output.clone(),
        None => PathBuf::from(format!("logdock-{serial}.csv")),
    };
    let mut raw = OsString::from(&output);
    raw.push(".segments");
    let raw = PathBuf::from(raw);

    let whole = log::whole(&log::read_summary(conversation).await?);
    let mut range = whole.clone();
    let mut clocks = Clocks::new();
    if what.from.is_some() || what.to.is_some() {
        let utc = what.from.unwrap_or(i64::MIN)..=what.to.unwrap_or(i64::MAX);
        let timeline = log::read_timeline(conversation, whole.clone()).await?;
        range = log::of_time(conversation, &timeline, utc).await?;
        clocks = timeline.clocks().clone();
        range = log::with_layout(conversation, whole, range).await?;
    }
    let lost = fetch(conversation, (found, serial), range, &raw, bars).await?;

    let about = |path: &Path, error: &dyn fmt::Display| {
        Problem::Failed(format!("{}: {error}", path.display()))
    };
    let decoder = write_csv(&raw, &output, what, clocks).map_err(|error| about(&output, &error))?;
    if !what.keep_segments {
        fs::remove_file(&raw).map_err(|error| about(&raw, &error))?;
    }
    let seen = decoder.verification();
    let mut facts = Facts::default();
    facts.add("written to", output.display().to_string());
    facts.add("records", seen.records);
    facts.add("segments", seen.segments);
    facts.add("segments lost", lost);
    let missing: Vec<_> = seen
        .missing_records
        .iter()
        .map(|range| json!([range.start, range.end]))
        .collect();
    let text = match missing.len() {
        0 => "none".into(),
        count => format!(
            "{} in {count} places",
            seen.missing_records.iter().map(Range::len).sum::<usize>()
        ),
    };
    facts.add_as("missing records", missing, &text);
    Ok(facts)
}

/// Brings the segments of the log that are not in the file yet there. Gives how many are lost.
async fn fetch(
    conversation: &mut Conversation<Port>,
    (found, serial): (&Found, SerialNumber),
    range: Range<u32>,
    path: &Path,
    bars: &MultiProgress,
) -> Result<u32, Problem> {
    let about = |error: io::Error| Problem::Failed(format!("{}: {error}", path.display()));
    let have = last_sequence(path).map_err(about)?;
    let start = match have {
        Some(last) if range.contains(&last) => last + 1,
        // Of another time: it would not go on where this ends.
        _ => {
            File::create(path).map_err(about)?;
            range.start
        }
    };
    let file = OpenOptions::new().append(true).open(path).map_err(about)?;
    let mut file = BufWriter::new(file);
    let mut download = log::Download::new(start..range.end);
    let bar = bars.add(ProgressBar::new(u64::from(range.end - range.start) * 512));
    bar.set_style(bar_style());
    bar.set_prefix(found.to_string());
    bar.set_message("downloading");
    let mut written = Ok(());
    while !download.is_complete() && written.is_ok() {
        let step = download
            .step(conversation, |piece: Piece| {
                if let (Ok(bytes), Ok(())) = (&piece.content, &written) {
                    written = file.write_all(bytes);
                }
            })
            .await;
        bar.set_position(u64::from(download.rest().start - range.start) * 512);
        match step {
            Ok(()) => {}
            Err(TalkError::Link(_)) => {
                bar.set_message("unplugged: plug it in again, it goes on");
                match come_back(conversation, serial).await {
                    Ok(()) => bar.set_message("downloading"),
                    Err(problem) => {
                        bar.finish_and_clear();
                        return Err(problem);
                    }
                }
            }
            Err(error) => {
                bar.finish_and_clear();
                return Err(error.into());
            }
        }
    }
    bar.finish_and_clear();
    written.and_then(|()| file.flush()).map_err(about)?;
    Ok(download.progress().lost)
}

/// Waits for the logger with this serial number. A port that has just come back may vanish once more: the next step finds
/// that out.
async fn come_back(
    conversation: &mut Conversation<Port>,
    serial: SerialNumber,
) -> Result<(), Problem> {
    let back = match conversation.reopen(REPLUG_TIMEOUT).await {
        Ok(()) => Device::read(conversation).await,
        Err(error) => Err(error),
    };
    match back {
        Ok(device) if device.serial == serial => Ok(()),
        Ok(_) => Err(Problem::Failed(
            "Another logger was plugged in. Plug in the one whose download broke off, and run this again: it goes on."
                .into(),
        )),
        Err(TalkError::Link(LinkError::Lost)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The segments of a file, one after the other; what a program that was killed left half written is no segment.
fn segments(path: &Path) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>>> {
    let mut file = BufReader::new(File::open(path)?);
    Ok(std::iter::from_fn(move || {
        let mut bytes = vec![0; SEGMENT_HEADER];
        let read = file.read_exact(&mut bytes).and_then(|()| {
            let header = bytes.first_chunk().and_then(SegmentHeader::peek);
            let length = header.map_or(0, |header| header.length.into());
            bytes.resize(SEGMENT_HEADER + length, 0);
            file.read_exact(&mut bytes[SEGMENT_HEADER..])
        });
        match read {
            Ok(()) => Some(Ok(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => Some(Err(error)),
        }
    }))
}

/// The sequence number of a file's last whole segment; what is behind that is cut off.
fn last_sequence(path: &Path) -> io::Result<Option<u32>> {
    if !path.exists() {
        return Ok(None);
    }
    let (mut last, mut length) = (None, 0);
    for bytes in segments(path)? {
        let bytes = bytes?;
        let Some(segment) = protocol::record::Segment::parse(&bytes) else {
            break;
        };
        last = Some(segment.header.sequence);
        length += bytes.len() as u64;
    }
    OpenOptions::new().write(true).open(path)?.set_len(length)?;
    Ok(last)
}

/// Makes the CSV from the segments: once to see its columns and when the clock was set, once to write it.
fn write_csv(raw: &Path, output: &Path, what: &Download, clocks: Clocks) -> io::Result<Decoder> {
    let mut csv = Csv::new();
    let mut decoder = Decoder::with_clocks(clocks);
    for bytes in segments(raw)? {
        if let Ok(Some(batch)) = decoder.segment(&bytes?) {
            csv.survey(&batch);
        }
    }
    let mut decoder = decoder.again();
    let mut file = BufWriter::new(File::create(output)?);
    let mut text = String::new();
    let unwritable = |_| io::Error::other("a text could not be made");
    csv.header(&mut text).map_err(unwritable)?;
    for bytes in segments(raw)? {
        if let Ok(Some(batch)) = decoder.segment(&bytes?) {
            csv.records(&mut text, &batch, |index| what.keeps(&batch, index))
                .map_err(unwritable)?;
        }
        file.write_all(text.as_bytes())?;
        text.clear();
    }
    file.write_all(text.as_bytes())?;
    file.flush()?;
    Ok(decoder)
}
