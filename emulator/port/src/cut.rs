//! Where a person wants the power to go away, as text.

use emulator::fault::{CutPoint, Place};

/// Reads `OPERATION`, `OPERATION:before`, `OPERATION:after` or `OPERATION:inside[:SEED]`; without a place it is inside.
///
/// # Errors
/// When it is none of them.
pub fn parse_cut(text: &str) -> Result<CutPoint, String> {
    let mut parts = text.splitn(3, ':');
    let operation = parts.next().unwrap_or_default();
    let operation = operation
        .parse()
        .map_err(|_| format!("\"{operation}\" is no number of an operation, counted from 0"))?;
    let place = match (parts.next(), parts.next()) {
        (None | Some("inside"), None) => Place::Inside { seed: 0 },
        (Some("inside"), Some(seed)) => Place::Inside {
            seed: seed
                .parse()
                .map_err(|_| format!("\"{seed}\" is no seed: it is a number"))?,
        },
        (Some("before"), None) => Place::Before,
        (Some("after"), None) => Place::After,
        _ => return Err("write it like 12:before, 12:inside:SEED or 12:after".to_string()),
    };
    Ok(CutPoint { operation, place })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_read_with_their_place() {
        for (text, operation, place) in [
            ("0", 0, Place::Inside { seed: 0 }),
            ("12:before", 12, Place::Before),
            ("12:after", 12, Place::After),
            ("7:inside", 7, Place::Inside { seed: 0 }),
            ("7:inside:99", 7, Place::Inside { seed: 99 }),
        ] {
            assert_eq!(parse_cut(text), Ok(CutPoint { operation, place }));
        }
    }

    #[test]
    fn what_is_no_cut_is_said() {
        for text in [
            "",
            "x",
            "-1",
            "1:",
            "1:during",
            "1:before:3",
            "1:inside:x",
            "1:inside:1:2",
        ] {
            assert!(parse_cut(text).is_err(), "{text:?}");
        }
    }
}
