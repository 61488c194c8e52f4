//! Measures every figure that the project is judged by, and prints them as `name value unit goal`.
//! Must never fail on a figure that misses its goal: that is for the reader to see.

use std::fs;

use anyhow::{Context, Result, ensure};
use protocol::device::{CLASS_ID, VENDOR_ID};
use protocol::image::{Header, Version};

use crate::firmware::{self, Release};
use crate::image::{self, Description};
use crate::keys::SigningKey;
use crate::project::{Project, run, write};
use crate::setup::{self, Need};
use crate::{browser, hex};

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
    let a = full(project, first, 2, seed, &key)?;
    let b = full(project, second, 3, !seed, &key)?;
    let mut changed = program(project, second)?;
    fill(&mut changed, payload_of_full(&key)?, !seed);
    // Somewhere in what nothing runs: one page of 128 bytes.
    let last = changed.last_mut().context("the program has bytes")?;
    *last ^= 1;
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
    let mut large = program(project, first)?;
    fill(&mut large, LARGE_HEX / RECORD_TEXT * RECORD + RECORD, seed);
    let large = sign(&large, 9, &key)?;
    let text = hex::write(&[(firmware::SLOT, &large)])?;
    ensure!(text.len() >= LARGE_HEX, "the .hex is too small");
    write(
        &project.firmware_files().join("bench-large.hex"),
        text.as_bytes(),
    )
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

fn full(
    project: &Project,
    release: &Release,
    minor: u8,
    seed: u32,
    key: &SigningKey,
) -> Result<Vec<u8>> {
    let mut program = program(project, release)?;
    fill(&mut program, payload_of_full(key)?, seed);
    sign(&program, minor, key)
}

/// Lengthens a program with words that are not zero, which cost as much as any code: xorshift32.
fn fill(program: &mut Vec<u8>, length: usize, mut word: u32) {
    while program.len() < length {
        word ^= word << 13;
        word ^= word >> 17;
        word ^= word << 5;
        program.extend(word.to_le_bytes());
    }
    program.truncate(length);
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
