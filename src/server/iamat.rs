//! Updates made from what other programs send: one conversion for the bridge and for phones.
//!
//! Other programs write degrees and times as numbers of their languages, and name a client by a user and a device. The herd
//! wants ISO 6709, seconds since 1970, and one id without white space.

use crate::percent;
use crate::proto::fields::{ClientId, ClientTime, Position, is_white_space};

/// The longest number, in bytes: longer than any double that is printed.
const NUMBER_BYTES_MAX: usize = 32;
/// A time from here on is in milliseconds: as seconds it would be the year 5138.
const FIRST_MS: f64 = 1e11;
/// No time is that many milliseconds: more than a double counts one by one.
const END_MS: f64 = 9e15;
/// Digits of a second that a double still holds.
const DOUBLE_DECIMALS: usize = 3;
/// Digits of a second that the herd distinguishes.
const DECIMALS_MAX: usize = 9;

/// An update on its way to the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fix {
    /// ISO 6709.
    pub position: String,
    /// Seconds since 1970.
    pub time: String,
}

/// Degrees from a decimal number, which may have an exponent (Java prints `-4.5E-4`). `None` for anything else, `inf` and `nan`
/// included.
#[must_use]
pub fn degrees(text: &str) -> Option<f64> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = text.parse().ok().filter(|_| is_number && text.len() <= NUMBER_BYTES_MAX);
    number.filter(|number: &f64| number.is_finite())
}

/// ISO 6709 of two numbers in degrees, to a tenth of a millimetre. `None` outside the globe.
#[must_use]
pub fn position(latitude_deg: f64, longitude_deg: f64) -> Option<String> {
    let text = |degrees: f64| trimmed(&format!("{degrees:+.9}"));
    let is_there = (-90.0..=90.0).contains(&latitude_deg) && (-180.0..=180.0).contains(&longitude_deg);
    let position = if is_there { text(latitude_deg) + &text(longitude_deg) } else { return None };
    Position::parse(position.as_bytes()).map(|_| position)
}

/// A client's time from a number of seconds, or of milliseconds from 1e11 on.
///
/// The digits of a plain number stay. A number with an exponent is a double, and keeps three decimals.
#[must_use]
pub fn time(number: &str) -> Option<String> {
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
    let value = degrees(number)?;
    let text = match (value.abs() >= FIRST_MS, is_plain) {
        (false, true) => number.to_owned(),
        (false, false) => trimmed(&format!("{value:.DOUBLE_DECIMALS$}")),
        (true, _) => {
            #[expect(clippy::cast_possible_truncation, reason = "parts of a millisecond are cut")]
            let ms = Some(value).filter(|value| value.abs() < END_MS)? as i64;
            let sign = if ms < 0 { "-" } else { "" };
            trimmed(&format!("{sign}{}.{:03}", ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000))
        }
    };
    ClientTime::parse(text.as_bytes()).map(|_| text)
}

/// A number with a point, without the zeros at its end.
fn trimmed(number: &str) -> String {
    number.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A client's time from a date of ISO 8601: `2026-11-26T21:03:00Z`, with a blank for the `T`, with decimals, with `+0100` or
/// `+01:00` for the `Z`. Without a zone it is UTC.
#[must_use]
pub fn time_of_date(text: &str) -> Option<String> {
    let (date, clock) = text.split_once(['T', 't', ' '])?;
    let mut parts = date.splitn(3, '-');
    let (year, month, day) = (whole(parts.next()?, 4)?, whole(parts.next()?, 2)?, whole(parts.next()?, 2)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, offset_s) = match clock.find(['Z', 'z', '+', '-']) {
        None => (clock, 0),
        Some(at) => (&clock[..at], offset_s(clock[at..].trim_end())?),
    };
    let (clock, decimals) = clock.trim_end().split_once('.').unwrap_or((clock.trim_end(), ""));
    let mut parts = clock.splitn(3, ':');
    let (hour, minute) = (whole(parts.next()?, 2)?, whole(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |second| whole(second, 2))?;
    if hour > 23 || minute > 59 || second > 60 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let day_s = hour * 3600 + minute * 60 + second;
    let seconds = days_since_1970(year, month, day) * 86_400 + day_s - offset_s;
    let decimals = &decimals[..decimals.len().min(DECIMALS_MAX)];
    let text = if decimals.is_empty() { seconds.to_string() } else { format!("{seconds}.{decimals}") };
    ClientTime::parse(text.as_bytes()).filter(|_| seconds >= 0).map(|_| text)
}

/// The seconds by which a zone is ahead of UTC: `Z`, `+01`, `+0100`, `+01:00`.
fn offset_s(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return (zone.len() == 1).then_some(0),
    };
    let digits = zone[1..].replacen(':', "", 1);
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = if minutes.is_empty() { 0 } else { whole(minutes, 2)? };
    let hours = whole(hours, 2)?;
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// The value of so many digits.
fn whole(text: &str, digits: usize) -> Option<i64> {
    let is_whole = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_whole)
}

/// Days from 1970-01-01 to this date of the Gregorian calendar (Howard Hinnant, "chrono-compatible low-level date algorithms",
/// `days_from_civil`).
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // A year begins in March here, so the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The id of a user's device: `user.device`. White space, `%` and the dots of a device are percent-encoded, so the last dot of
/// an id separates its two parts. `None` if it is not an id.
#[must_use]
pub fn id_of_device(user: &str, device: &str) -> Option<String> {
    let is_named = !user.is_empty() && !device.is_empty();
    let id = encoded(user, "%") + "." + &encoded(device, "%.");
    ClientId::parse(id.as_bytes()).filter(|_| is_named).map(|_| id)
}

/// The id of a device that has one name: white space and `%` are percent-encoded. `None` if it is not an id.
#[must_use]
pub fn id_of_name(name: &str) -> Option<String> {
    let id = encoded(name, "%");
    ClientId::parse(id.as_bytes()).map(|_| id)
}

/// The text with its white space and these signs percent-encoded.
fn encoded(text: &str, signs: &str) -> String {
    percent::encoded(text.as_bytes(), |c| !signs.contains(c) && !u8::try_from(c).is_ok_and(is_white_space))
}

/// The line of an update, without its end.
#[must_use]
pub fn line(id: &str, fix: &Fix) -> String {
    format!("IAMAT {id} {} {}", fix.position, fix.time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_number_is_a_time() {
        for (number, expected) in [
            ("1795700010", Some("1795700010")),
            ("1795700010.95", Some("1795700010.95")),
            ("1795700010.123456789", Some("1795700010.123456789")),
            ("1795724300123", Some("1795724300.123")),
            ("1795724300120", Some("1795724300.12")),
            ("1795724300000", Some("1795724300")),
            ("1795724300123.5", Some("1795724300.123")),
            ("1.79570001E9", Some("1795700010")),
            ("1.795700010123E12", Some("1795700010.123")),
            ("99999999999", Some("99999999999")),
            ("100000000000", Some("100000000")),
            ("-5", Some("-5")),
            ("-1.5e0", Some("-1.5")),
            ("0", Some("0")),
            ("", None),
            ("x", None),
            ("NaN", None),
            ("inf", None),
            ("1e400", None),
            ("1e300", None),
            ("--1", None),
            ("1.2.3", None),
            ("0x10", None),
            ("100000000000000000000000000000000", None),
        ] {
            assert_eq!(time(number).as_deref(), expected, "{number}");
        }
    }

    #[test]
    fn a_date_is_a_time() {
        for (date, expected) in [
            ("2026-11-26T21:05:00Z", Some("1795727100")),
            ("2026-11-26T22:05:00+0100", Some("1795727100")),
            ("2026-11-26T22:05:00+01:00", Some("1795727100")),
            ("2026-11-26T22:05:00+01", Some("1795727100")),
            ("2026-11-26T16:35:00-0430", Some("1795727100")),
            ("2026-11-26 21:05", Some("1795727100")),
            ("2026-11-26t21:05:00.949z", Some("1795727100.949")),
            ("2026-11-26T21:05:00.94912345678Z", Some("1795727100.949123456")),
            ("1970-01-01T00:00:00Z", Some("0")),
            ("2000-02-29T12:00:00Z", Some("951825600")),
            ("2100-03-01T00:00:00Z", Some("4107542400")),
            ("1970-01-01T00:00:00+0001", None),
            ("1969-12-31T23:59:59Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-11-26T24:00:00Z", None),
            ("2026-11-26T21:60:00Z", None),
            ("2026-11-26T21:05:00.9x9Z", None),
            ("2026-11-26T21:05:00+1", None),
            ("2026-11-26T21:05:00+24:00", None),
            ("2026-11-26T21:05:00ZZ", None),
            ("2026-11-26", None),
            ("26-11-26T21:05:00Z", None),
            ("+026-11-26T21:05:00Z", None),
            ("2026-11-26T21:05:00+\u{e9}1", None),
            ("", None),
        ] {
            assert_eq!(time_of_date(date).as_deref(), expected, "{date}");
        }
    }

    #[test]
    fn degrees_are_numbers() {
        for (text, expected) in [
            ("51.5", Some(51.5)),
            ("-4.5E-4", Some(-0.00045)),
            ("+1e1", Some(10.0)),
            ("inf", None),
            ("nan", None),
            ("1e999", None),
            ("", None),
            ("1,5", None),
            ("0.000000000000000000000000000000001", None),
        ] {
            assert_eq!(degrees(text), expected, "{text}");
        }
        assert_eq!(position(51.476_900_123_456_79, -0.00045).as_deref(), Some("+51.476900123-0.00045"));
        assert_eq!(position(90.000_000_1, 0.0), None);
        assert_eq!(position(f64::NAN, 0.0), None);
    }

    #[test]
    fn names_are_ids() {
        assert_eq!(id_of_device("ann.lee", "my phone").as_deref(), Some("ann.lee.my%20phone"));
        assert_eq!(id_of_device("100%", "a.b").as_deref(), Some("100%25.a%2Eb"));
        for (user, device) in [("", "a"), ("a", ""), (&*"x".repeat(63), "a")] {
            assert_eq!(id_of_device(user, device), None, "{user} {device}");
        }
        assert_eq!(id_of_name("Ann's phone").as_deref(), Some("Ann's%20phone"));
        assert_eq!(id_of_name(""), None);
    }

    proptest! {
        #[test]
        fn what_is_made_is_what_a_node_takes(
            lat in -90.0..=90.0_f64, lon in -180.0..=180.0_f64, text in "\\PC{0,40}", number in "[0-9eE.+-]{0,34}",
        ) {
            let made = position(lat, lon).expect("on the globe");
            let (lat_deg, lon_deg) = Position::parse(made.as_bytes()).expect("a position").degrees();
            prop_assert!((lat_deg - lat).abs() < 1e-9 && (lon_deg - lon).abs() < 1e-9);
            for made in [time(&text), time_of_date(&text), time(&number)].into_iter().flatten() {
                prop_assert!(ClientTime::parse(made.as_bytes()).is_some());
            }
            for id in [id_of_name(&text), id_of_device(&text, &text)].into_iter().flatten() {
                prop_assert!(ClientId::parse(id.as_bytes()).is_some());
            }
        }
    }
}
