//! Files made by tools that are not ours: MCUboot's imgtool signs, objcopy, srec_cat and Python's intelhex write .hex.
//! And smpclient, whose bytes are what the benchmark takes for an upload by MCUmgr.
//!
//! `cargo xtask test firmware` installs the tools and says where they are; without it they are looked for in PATH.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use futures_executor::block_on;
use host::check::{Objection, check};
use host::firmware_file::FirmwareFile;
use host::protocol::image::{ImageError, Version};
use host::update::update;
use logdock_tests::bench::smp;
use logdock_tests::{built, connect, factory_logger, firmware, updated_logger};

/// First address of the application's slot.
const SLOT: &str = "0x08007000";

fn tool(variable: &str, name: &str) -> OsString {
    env::var_os(variable).unwrap_or_else(|| name.into())
}

fn run(program: impl AsRef<OsStr>, arguments: &[&OsStr]) -> Vec<u8> {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(
        output.status.success(),
        "{} {arguments:?}: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// A folder of the test's own.
fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("the test's folder can be made");
    folder
}

/// Signs the application of 1.1.0 with imgtool, as a maker would.
fn sign_with_imgtool(
    folder: &Path,
    version: &str,
    counter: &str,
    class: &str,
    output: &str,
) -> FirmwareFile {
    let payload = folder.join("payload.bin");
    fs::write(&payload, firmware("logger-1.1.0.bin").payload()).unwrap();
    let keys = env::var_os("LOGDOCK_KEYS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware/keys")),
        PathBuf::from,
    );
    let key = keys.join("development-key.pem");
    let output = folder.join(output);
    let words = |text: &'static str| text.split(' ').map(OsStr::new);
    let mut arguments: Vec<&OsStr> = vec!["sign".as_ref(), "--key".as_ref(), key.as_ref()];
    arguments.extend(words(
        "--align 4 --header-size 0x100 --pad-header --slot-size 0x9000 -R 0 --overwrite-only --vid logdock.example",
    ));
    for (option, value) in [
        ("--version", version),
        ("--security-counter", counter),
        ("--cid", class),
    ] {
        arguments.extend([OsStr::new(option), OsStr::new(value)]);
    }
    arguments.extend([payload.as_os_str(), output.as_os_str()]);
    run(tool("LOGDOCK_IMGTOOL", "imgtool"), &arguments);
    let bytes = fs::read(&output).unwrap();
    FirmwareFile::read("imgtool", &bytes).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn an_image_signed_by_imgtool_is_installed() {
    let folder = scratch("signed-by-imgtool");
    let file = sign_with_imgtool(&folder, "1.2.3+4", "7", "LD-1", "signed.bin");
    let (mut conversation, device) = connect(factory_logger());
    let after = block_on(update(&mut conversation, &device, &file, |_| {}))
        .unwrap_or_else(|error| panic!("{error}"));
    let expected = Version {
        major: 1,
        minor: 2,
        revision: 3,
        build: 4,
    };
    assert_eq!(after.running.map(|image| image.version), Some(expected));
    // Its security counter holds from now on.
    assert_eq!(after.target.security_counter, 7);
    assert_eq!(
        check(&firmware("logger-1.1.0.bin"), &after),
        Err(Objection::Image(ImageError::CounterTooLow))
    );
}

#[test]
fn an_image_of_imgtool_for_another_model_is_refused() {
    let folder = scratch("other-model");
    let file = sign_with_imgtool(&folder, "1.2.3", "7", "LD-2", "signed.bin");
    let (_, device) = connect(updated_logger());
    assert_eq!(
        check(&file, &device),
        Err(Objection::Image(ImageError::OtherHardware))
    );
}

#[test]
fn hex_files_of_three_tools_are_read_to_the_same_bytes() {
    let folder = scratch("hex");
    let binary = folder.join("logger.bin");
    let bytes = built("logger-1.1.0.bin");
    fs::write(&binary, &bytes).unwrap();
    let (ours, objcopy, srec, intelhex) = (
        FirmwareFile::read("ours.hex", &built("logger-1.1.0.hex")).unwrap(),
        folder.join("objcopy.hex"),
        folder.join("srec.hex"),
        folder.join("intelhex.hex"),
    );
    let change = format!("--change-addresses={SLOT}");
    run(
        "objcopy",
        &[
            "-Ibinary".as_ref(),
            "-Oihex".as_ref(),
            change.as_ref(),
            binary.as_ref(),
            objcopy.as_ref(),
        ],
    );
    run(
        "srec_cat",
        &[
            binary.as_ref(),
            "-binary".as_ref(),
            "-offset".as_ref(),
            SLOT.as_ref(),
            "-output".as_ref(),
            srec.as_ref(),
            "-intel".as_ref(),
        ],
    );
    let script = "import sys, intelhex; h = intelhex.IntelHex(); h.loadbin(sys.argv[1], int(sys.argv[2], 16)); h.write_hex_file(sys.argv[3])";
    run(
        tool("LOGDOCK_PYTHON", "python3"),
        &[
            "-c".as_ref(),
            script.as_ref(),
            binary.as_ref(),
            SLOT.as_ref(),
            intelhex.as_ref(),
        ],
    );
    for path in [objcopy, srec, intelhex] {
        let read = FirmwareFile::read("other", &fs::read(&path).unwrap())
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(read.image(), &bytes[..], "{}", path.display());
        assert_eq!(read.address, ours.address, "{}", path.display());
        assert_eq!(read.digest(), ours.digest(), "{}", path.display());
    }
}

#[test]
fn an_upload_by_mcumgr_is_measured_with_the_bytes_of_a_client_of_its_own() {
    let image = Path::new(env!("CARGO_TARGET_TMPDIR")).join("smp.bin");
    let bytes = built("logger-1.1.0.bin");
    fs::write(&image, &bytes).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/smp_upload.py");
    let buffer = smp::BUFFER.to_string();
    let sent = run(
        tool("LOGDOCK_PYTHON", "python3"),
        &[script.as_ref(), image.as_os_str(), buffer.as_ref()],
    );
    let ours: String = smp::Traffic::of(&bytes)
        .requests
        .concat()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert!(
        String::from_utf8_lossy(&sent).trim() == ours,
        "smpclient sends other bytes"
    );
}
