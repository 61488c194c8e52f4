//! Moments as text: UTC in ISO 8601, whatever the computer's language and place.
//!
//! It reads no clock.

use alloc::format;
use alloc::string::String;

const DAY: i64 = 86_400_000;

/// Milliseconds since 1970 as `2026-11-22T10:09:04.123Z`.
pub fn utc_text(millis: i64) -> String {
    let (year, month, day) = date(millis.div_euclid(DAY));
    let time = millis.rem_euclid(DAY);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        time / 3_600_000,
        time / 60_000 % 60,
        time / 1000 % 60,
        time % 1000
    )
}

/// The reverse, in milliseconds since 1970. Seconds and their fraction may be missing; the `Z` may not: without it the
/// time would be a local one. None when it is no moment of UTC.
pub fn read_utc(text: &str) -> Option<i64> {
    let (date, time) = text.trim().strip_suffix('Z')?.split_once(['T', ' '])?;
    let mut date = date.split('-').map(digits);
    let mut date = || date.next().flatten();
    let (year, month, day) = (date()?, date()?, date()?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.split(':').map(digits);
    let (hour, minute) = (time.next()??, time.next()??);
    let second = time.next().unwrap_or(Some(0))?;
    // Digits behind the third say less than a millisecond.
    digits(fraction)?;
    let millis = digits(&format!("{fraction:0<3}")[..3])?;
    let days = days(year, month, day);
    let is_date = self::date(days) == (year, month, day);
    let is_time = hour < 24 && minute < 60 && second < 60 && time.next().is_none();
    (is_date && is_time)
        .then_some(days * DAY + ((hour * 60 + minute) * 60 + second) * 1000 + millis)
}

fn digits(text: &str) -> Option<i64> {
    let are_digits = (1..=9).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    are_digits.then(|| text.parse().ok())?
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March on, so that the leap day is
/// their last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let month = (month + 9) % 12;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    365 * year + leap_days(year) + (153 * month + 2) / 5 + day - 1 - 719_468
}

fn leap_days(year: i64) -> i64 {
    year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400)
}

/// Year, month and day of a day since 1970-01-01.
fn date(days_since: i64) -> (i64, i64, i64) {
    // 400 years have 146,097 days; a guess from that is off by less than a year.
    let mut year = 1969 + (400 * days_since).div_euclid(146_097);
    while days(year + 1, 1, 1) <= days_since {
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days(year, month + 1, 1) <= days_since {
        month += 1;
    }
    (year, month, days_since - days(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_and_read() {
        // Seconds as `date -u -d TEXT +%s` gives them.
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_342_144, "2026-11-22T10:09:04.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.000Z"),
        ] {
            assert_eq!(utc_text(seconds * 1000), text);
            assert_eq!(read_utc(text), Some(seconds * 1000));
        }
        assert_eq!(utc_text(1_795_342_144_007), "2026-11-22T10:09:04.007Z");
        for day in (-200_000..200_000).step_by(7) {
            let millis = day * DAY + 45_296_789;
            assert_eq!(read_utc(&utc_text(millis)), Some(millis));
        }
    }

    #[test]
    fn people_may_leave_out_what_is_zero() {
        let millis = Some(1_795_342_140_000);
        assert_eq!(read_utc("2026-11-22 10:09Z"), millis);
        assert_eq!(read_utc("2026-11-22T10:09:00.0Z"), millis);
        assert_eq!(
            read_utc(" 2026-11-22T10:09:00.5Z "),
            millis.map(|millis| millis + 500)
        );
    }

    #[test]
    fn what_is_no_moment_of_utc_is_not_taken() {
        for text in [
            "",
            "Z",
            "2026-11-22T10:09:04",
            "2026-11-22Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-11-22T24:00:00Z",
            "2026-11-22T09:60:00Z",
            "2026-11-22T10:09:04.Z",
            "2026-11-22T10:09:04:05Z",
            "2026-11-22T09Z",
            "2026-11-22T-9:29Z",
            "99999999999-11-22T09:29Z",
            "2026-11-22T10:09:04+01:00",
        ] {
            assert_eq!(read_utc(text), None, "{text}");
        }
    }
}
