//! Where a logger crashed: the lines of the sources behind the addresses that it kept.
//! Must never guess: an address that no line belongs to is said to have none.

use std::path::{Path, PathBuf};

use addr2line::Loader;
use anyhow::{Context, Result, anyhow};

use crate::project::Project;

/// Prints a line for each function that an address lies in, the innermost first: inlined ones too.
///
/// `program` is the version of a logger's application that was built here, or an ELF file. Addresses are hexadecimal, as
/// the logger tells them.
///
/// # Errors
/// When there is no such program, or it says nothing of its lines.
pub fn print(project: &Project, program: &str, addresses: &[String]) -> Result<()> {
    let path = elf_file(project, program)?;
    let loader = Loader::new(&path).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    println!("{}", path.display());
    for text in addresses {
        let digits = text.trim_start_matches("0x");
        let address = u64::from_str_radix(digits, 16)
            .with_context(|| format!("{text} is no hexadecimal number"))?;
        // Behind a call, unless it is marked as that of an instruction that faulted.
        let instruction = match address & 1 {
            1 => address - 1,
            _ => address.saturating_sub(2),
        };
        let lines =
            lines(&loader, instruction).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        if lines.is_empty() {
            println!("{text:>8}  in no function of this program");
        }
        for (index, line) in lines.iter().enumerate() {
            let shown = if index == 0 { text } else { "" };
            println!("{shown:>8}  {line}");
        }
    }
    Ok(())
}

fn elf_file(project: &Project, program: &str) -> Result<PathBuf> {
    let given = Path::new(program);
    let built = project
        .firmware_files()
        .join(format!("logger-{program}.elf"));
    [given, &built]
        .into_iter()
        .find(|path| path.is_file())
        .map(Path::to_owned)
        .with_context(|| {
            format!(
                "there is neither {program} nor {}: lines can be found with the very ELF file of that release alone",
                built.display()
            )
        })
}

/// `function at file:line`, the innermost first.
fn lines(loader: &Loader, address: u64) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let mut lines = Vec::new();
    let mut frames = loader.find_frames(address)?;
    while let Some(frame) = frames.next()? {
        let Some(place) = frame.location else {
            continue;
        };
        let (Some(file), Some(line)) = (place.file, place.line) else {
            continue;
        };
        let function = match &frame.function {
            Some(function) => function.demangle()?.into_owned(),
            None => "?".into(),
        };
        lines.push(format!("{function} at {file}:{line}"));
    }
    Ok(lines)
}
