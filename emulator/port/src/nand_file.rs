//! Keeps the NAND in a file between runs.
//!
//! Only pages that were ever programmed are written: a fresh NAND of 128 MB is a file of a few bytes. The format is
//! this program's own: eight bytes of magic, then for each page its number (16 bits, little endian) and its 2,112 bytes.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::Path;

use emulator::nand::{Nand, PAGE_BYTES};

const MAGIC: &[u8; 8] = b"LDNAND1\n";

/// Reads a NAND from a file.
///
/// # Errors
/// When the file cannot be read, was not written by [`save`], or was cut short.
pub fn load(nand: &mut Nand, path: &Path) -> io::Result<()> {
    read_from(nand, &mut BufReader::new(File::open(path)?))
}

/// Writes a NAND to a file, which is replaced only once it is whole.
///
/// # Errors
/// When the file cannot be written.
pub fn save(nand: &Nand, path: &Path) -> io::Result<()> {
    let mut beside = path.as_os_str().to_os_string();
    beside.push(".new");
    let mut file = BufWriter::new(File::create(&beside)?);
    write_to(nand, &mut file)?;
    file.into_inner()
        .map_err(io::IntoInnerError::into_error)?
        .sync_all()?;
    std::fs::rename(&beside, path)
}

fn read_from(nand: &mut Nand, file: &mut impl Read) -> io::Result<()> {
    let wrong = |what: &str| io::Error::new(ErrorKind::InvalidData, what.to_string());
    let mut magic = [0; MAGIC.len()];
    file.read_exact(&mut magic)
        .map_err(|_| wrong("it is no saved NAND"))?;
    if magic != *MAGIC {
        return Err(wrong("it is no saved NAND"));
    }
    loop {
        let mut number = [0; 2];
        // The end of the file is between two pages, nowhere else.
        if file.read(&mut number[..1])? == 0 {
            return Ok(());
        }
        let mut contents = [0; PAGE_BYTES];
        file.read_exact(&mut number[1..])
            .and_then(|()| file.read_exact(&mut contents))
            .map_err(|_| wrong("the saved NAND was cut short"))?;
        nand.load_page(u16::from_le_bytes(number), &contents);
    }
}

fn write_to(nand: &Nand, file: &mut impl Write) -> io::Result<()> {
    file.write_all(MAGIC)?;
    for (page, contents) in nand.contents() {
        file.write_all(&page.to_le_bytes())?;
        file.write_all(contents)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_page() -> Nand {
        let mut nand = Nand::new();
        let mut contents = [0xFF; PAGE_BYTES];
        contents[..5].copy_from_slice(b"hello");
        nand.load_page(70, &contents);
        nand
    }

    #[test]
    fn a_saved_nand_comes_back_page_by_page() {
        let mut file = Vec::new();
        write_to(&one_page(), &mut file).expect("memory takes it");
        let mut back = Nand::new();
        read_from(&mut back, &mut file.as_slice()).expect("a whole file");
        assert_eq!(
            back.page(70).map(|page| &page[..6]),
            Some(&b"hello\xff"[..])
        );
        assert_eq!(back.page(71), None);
    }

    #[test]
    fn other_files_and_torn_ones_are_refused() {
        let mut whole = Vec::new();
        write_to(&one_page(), &mut whole).expect("memory takes it");
        for length in (0..whole.len()).filter(|&length| length != MAGIC.len()) {
            assert!(
                read_from(&mut Nand::new(), &mut &whole[..length]).is_err(),
                "cut to {length} bytes"
            );
        }
        assert!(read_from(&mut Nand::new(), &mut &b"something else"[..]).is_err());
    }
}
