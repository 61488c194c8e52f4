//! Measures every figure that the project is judged by, and prints them as `name value unit goal`.
//! Must never fail on a figure that misses its goal: that is for the reader to see.

use std::fs;

use anyhow::{Context, Result, bail, ensure};
use protocol::device::{CLASS_ID, VENDOR_ID};
use protocol::image::{Header, Version};

use crate::firmware::{self, Release};
use crate::image::{self, Description};
use crate::keys::SigningKey;
use crate::project::{Project, run, write};
use crate::setup::{self, Need};
use crate::{browser, hex};

/// Bytes that flash is erased by.
const PAGE: usize = 128;
/// Bytes that code is shifted by at most.
const MOST_SHIFTED: u32 = 64;
/// Bytes of the large .hex that a tab reads, at least.
const LARGE_HEX: usize = 1_000_000;
/// Bytes that a data record of a .hex stands for, and its characters with the line's end.
const RECORD: usize = 16;
const RECORD_TEXT: usize = 44;

/// Builds everything and measures it; or shows where the time of an update goes.
///
/// # Errors
/// When something does not build, or a measurement does not come to its end.
pub fn bench(project: &Project, profile: bool) -> Result<()> {
    setup::ensure_all(project, &[Need::DeviceTarget])?;
    let report = firmware::build(project, None)?;
    write_images(project)?;
    let mut device = project.command("cargo");
    device
        .args(["run", "--quiet", "--package", "logdock-tests"])
        .args(["--bin", "bench", "--"])
        .args(profile.then_some("--profile"))
        .env("LOGDOCK_FIRMWARE", project.firmware_files());
    if profile {
        return run(&mut device);
    }
    setup::ensure_all(project, setup::TO_SERVE)?;
    setup::ensure_all(project, &[Need::NpmPackages, Need::Browser])?;
    browser::build_page(project)?;
    println!();
    report.print_figures();
    run(&mut device)?;
    browser::measure(project)
}

/// Images that fill the slot, and a .hex far larger than any logger takes.
fn write_images(project: &Project) -> Result<()> {
    let key = SigningKey::read(&project.keys().join("development-key.pem"))?;
    let [first, second] = &firmware::RELEASES;
    let seed = 0x2545_F491;
    let length = payload_of_full(&key)?;
    let first = program(project, first)?;
    let a = sign(&filled(&first, length, seed), 2, &key)?;
    let (second, b) = unlike(project, second, &a, |program| {
        let program = filled(program, length, !seed);
        let image = sign(&program, 3, &key)?;
        Ok((program, image))
    })?;
    // One byte where nothing runs: a page of the program, and those with digest and signature.
    let mut changed = second;
    *changed.last_mut().context("the program has bytes")? ^= 1;
    let c = sign(&changed, 3, &key)?;
    for (name, image) in [("a", &a), ("b", &b), ("c", &c)] {
        ensure!(
            image.len() == firmware::SLOT_SIZE as usize,
            "the image does not fill the slot: {} bytes",
            image.len()
        );
        write(
            &project
                .firmware_files()
                .join(format!("bench-full-{name}.bin")),
            image,
        )?;
    }
    let large = filled(&first, LARGE_HEX / RECORD_TEXT * RECORD + RECORD, seed);
    let large = sign(&large, 9, &key)?;
    let text = hex::write(&[(firmware::SLOT, &large)])?;
    ensure!(text.len() >= LARGE_HEX, "the .hex is too small");
    write(
        &project.firmware_files().join("bench-large.hex"),
        text.as_bytes(),
    )
}

/// Builds a release so that no page of its image, which `finish` makes, is like the one of another image in its place.
fn unlike(
    project: &Project,
    release: &Release,
    other: &[u8],
    finish: impl Fn(&[u8]) -> Result<(Vec<u8>, Vec<u8>)>,
) -> Result<(Vec<u8>, Vec<u8>)> {
    for shift in (4..=MOST_SHIFTED).step_by(4) {
        let (elf, program) = firmware::build_shifted(project, release, shift)?;
        let (program, image) = finish(&program)?;
        let mut pages = image.chunks(PAGE).zip(other.chunks(PAGE));
        // The second half of the header is empty in each.
        let empty = |page: &[u8]| page.iter().all(|&byte| byte == 0);
        if pages.all(|(page, other)| page != other || empty(page)) {
            write(&project.firmware_files().join("bench-shifted.elf"), &elf)?;
            return Ok((program, image));
        }
    }
    bail!("however far its code is shifted, some page of the release is like another release's")
}

/// The program of a release as it was built and signed.
fn program(project: &Project, release: &Release) -> Result<Vec<u8>> {
    let file = firmware::image_file(project, release);
    let image = fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
    let header =
        Header::parse(&image).map_err(|error| anyhow::anyhow!("{}: {error:?}", file.display()))?;
    let start = usize::from(protocol::image::HEADER_SIZE);
    image
        .get(start..start + header.payload_size as usize)
        .map(<[u8]>::to_vec)
        .context("the image is shorter than its header says")
}

/// How long a program is whose image fills the slot.
fn payload_of_full(key: &SigningKey) -> Result<usize> {
    let around = sign(&[0; 4], 0, key)?.len() - 4;
    Ok(firmware::SLOT_SIZE as usize - around)
}

/// A program lengthened with words that are not zero, which cost as much as any code: xorshift32.
fn filled(program: &[u8], length: usize, mut word: u32) -> Vec<u8> {
    let mut program = program.to_vec();
    while program.len() < length {
        word ^= word << 13;
        word ^= word >> 17;
        word ^= word << 5;
        program.extend(word.to_le_bytes());
    }
    program.truncate(length);
    program
}

fn sign(program: &[u8], minor: u8, key: &SigningKey) -> Result<Vec<u8>> {
    let description = Description {
        version: Version {
            major: 1,
            minor,
            revision: 0,
            build: 0,
        },
        security_counter: 1,
        vendor: VENDOR_ID,
        class: CLASS_ID,
    };
    image::sign(program, &description, key)
}
