//! Writes Intel HEX files. Must never read them: `host` does that.

use anyhow::{Context, Result};
use ihex::Record;

/// Bytes a line, as objcopy and most other tools write them.
const LINE: usize = 16;

/// An Intel HEX file with these pieces of memory, each with its address.
///
/// # Errors
/// When a piece does not fit into 32-bit addresses.
pub fn write(pieces: &[(u32, &[u8])]) -> Result<String> {
    let mut records = Vec::new();
    let mut upper = None;
    for &(start, bytes) in pieces {
        let mut address = start;
        let mut rest = bytes;
        while !rest.is_empty() {
            // A line must not run over the end of the 64 KB that its upper address names.
            let room = 0x1_0000 - (address as usize & 0xFFFF);
            let (line, after) = rest.split_at(rest.len().min(LINE).min(room));
            let high = (address >> 16) as u16;
            if upper != Some(high) {
                records.push(Record::ExtendedLinearAddress(high));
                upper = Some(high);
            }
            records.push(Record::Data {
                offset: address as u16,
                value: line.to_vec(),
            });
            rest = after;
            if !rest.is_empty() {
                address = address
                    .checked_add(line.len() as u32)
                    .context("the data runs over the end of memory")?;
            }
        }
    }
    records.push(Record::EndOfFile);
    ihex::create_object_file_representation(&records).context("a .hex record is not representable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_lines_of_sixteen_under_their_upper_address() {
        let bytes: Vec<u8> = (0..17).collect();
        let text = write(&[(0x0800_7000, &bytes)]).expect("a file");
        assert_eq!(
            text,
            ":020000040800F2\n:10700000000102030405060708090A0B0C0D0E0F08\n:01701000106F\n:00000001FF\n"
        );
    }

    #[test]
    fn a_line_ends_where_its_upper_address_does() {
        let text = write(&[(0x0000_FFFE, &[1, 2, 3])]).expect("a file");
        assert_eq!(
            text,
            ":020000040000FA\n:02FFFE000102FE\n:020000040001F9\n:0100000003FC\n:00000001FF\n"
        );
    }

    #[test]
    fn two_pieces_keep_their_addresses() {
        let text = write(&[(0x0800_0000, &[1]), (0x0800_7000, &[2])]).expect("a file");
        assert_eq!(
            text,
            ":020000040800F2\n:0100000001FE\n:01700000028D\n:00000001FF\n"
        );
    }

    #[test]
    fn data_past_the_end_of_memory_is_refused() {
        assert!(write(&[(0xFFFF_FFFF, &[1])]).is_ok());
        assert!(write(&[(0xFFFF_FFFF, &[1, 2])]).is_err());
    }
}
