//! A place between an input and the output: its checks, and what identifies it.
//!
//! This module does not know input formats.

use super::error::Wrong;
use crate::places::file::encode::Place;
use crate::places::file::pair_encoding::TEXT_BYTES_MAX;
use std::borrow::Cow;

/// Longest id of a row in bytes. The import only compares ids.
const ID_BYTES_MAX: usize = 255;
/// Two rows with one id of OpenStreetMap are the same element within this distance: mappers move elements less far.
const SAME_ELEMENT_M: f64 = 1_000.0;
/// Metres of a millionth of a degree on a meridian.
const UDEG_M: f64 = 0.111_195;

/// A place of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) id: Option<Id>,
    /// The row's own date as YYYYMMDD; 0 without a date.
    pub(super) date: u32,
}

/// An id of a row. Rows with the same id are one place, and the newest wins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Id {
    /// GeoNames' ids are unique in all of its files.
    GeoNames(u64),
    /// An element of OpenStreetMap: the letter of its type, its number, and which of the places that claim to be it. Ids of
    /// a file's own can look the same.
    OpenStreetMap(u8, u64, u8),
    /// Ids of any other file are unique in that file.
    File(u32, Box<str>),
}

impl Id {
    /// The id `text` of the file with this number.
    pub(super) fn of_file(file: u32, text: &str) -> Result<Self, Wrong> {
        if text.len() > ID_BYTES_MAX || text.contains('\0') {
            let what = format!("holds NUL or more than {ID_BYTES_MAX} bytes");
            return Err(Wrong::new("id", what, "give it a shorter one"));
        }
        Ok(Self::File(file, text.into()))
    }

    /// The id if it names an element of OpenStreetMap, as osmium (`n42`) or Overpass (`node/42`) writes it. Both mean the
    /// same element in every extract.
    pub(super) fn of_element(text: &str) -> Option<Self> {
        let types = [("node/", b'n'), ("way/", b'w'), ("relation/", b'r')];
        let types = types.into_iter().chain([("n", b'n'), ("w", b'w'), ("r", b'r'), ("a", b'a')]);
        let (letter, number) =
            types.into_iter().find_map(|(word, letter)| Some((letter, text.strip_prefix(word)?)))?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse().ok().filter(|_| is_number).map(|number| Self::OpenStreetMap(letter, number, 0))
    }
}

/// Whether two places with the same id of OpenStreetMap are the same element: it was moved, or it was renamed.
pub(super) fn are_one_element(a: &Place, b: &Place) -> bool {
    let north = f64::from(a.latitude_udeg) - f64::from(b.latitude_udeg);
    let east = (f64::from(a.longitude_udeg) - f64::from(b.longitude_udeg)).abs();
    let east = east.min(360e6 - east) * libm::cos((f64::from(a.latitude_udeg) / 1e6).to_radians());
    // Not `hypot`, which would want glibc 2.35 on the board.
    a.name == b.name || (north * north + east * east).sqrt() * UDEG_M <= SAME_ELEMENT_M
}

/// A name or vicinity on one line, without white space at its ends. A text too long for a places file is cut behind a
/// character: OpenStreetMap allows 255 of them, which are up to 1,020 bytes. Spaces within stay as they are, because they are part of
/// the place's identity.
pub(super) fn text(member: impl Into<Cow<'static, str>>, raw: &str) -> Result<String, Wrong> {
    let mut text = String::with_capacity(raw.len());
    let lines = raw.split(|c: char| c.is_control() && c != '\0').map(str::trim);
    for line in lines.filter(|line| !line.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(line);
    }
    if text.contains('\0') {
        return Err(Wrong::new(member, "holds NUL", "remove it"));
    }
    if text.len() > TEXT_BYTES_MAX {
        let end = (0..=TEXT_BYTES_MAX).rev().find(|&at| text.is_char_boundary(at));
        text.truncate(end.unwrap_or(0));
        text.truncate(text.trim_end().len());
    }
    Ok(text)
}

/// [`text`], but an empty one is an error.
pub(super) fn name(member: impl Into<Cow<'static, str>> + Clone, raw: &str) -> Result<String, Wrong> {
    let name = text(member.clone(), raw)?;
    if name.is_empty() { Err(Wrong::new(member, "is empty", "give the place a name")) } else { Ok(name) }
}

/// Splits a vicinity into area and region. An answer joins them again, and places of one town share the region.
pub(super) fn vicinity(member: impl Into<Cow<'static, str>>, raw: &str) -> Result<(String, String), Wrong> {
    let whole = text(member, raw)?;
    let (area, region) = whole.split_once(", ").unwrap_or((&whole, ""));
    // An empty part must not leave a comma in the answer.
    if area.is_empty() || region.is_empty() {
        return Ok((whole, String::new()));
    }
    Ok((area.to_owned(), region.to_owned()))
}

/// Millionths of a degree from a decimal number. Plain digits convert exactly; other spellings (`1e-3`, `.5`) convert
/// through a double.
pub(super) fn degrees(member: impl Into<Cow<'static, str>>, raw: &str, limit_deg: u32) -> Result<i32, Wrong> {
    let raw = raw.trim();
    let read = parse_udeg(raw, limit_deg).ok();
    let read = read.or_else(|| raw.parse().ok().and_then(|degrees| udeg(degrees, limit_deg)));
    read.ok_or_else(|| {
        let remedy = match raw.parse::<f64>() {
            Ok(degrees) if limit_deg == 90 && degrees.abs() <= 180.0 => {
                "are latitude and longitude swapped? positions are decimal degrees"
            }
            _ => "positions are decimal degrees with a point, such as 34.068930 or -118.445127",
        };
        let shown: String = raw.chars().take(40).collect();
        Wrong::new(member, format!("{shown:?} is not a number from -{limit_deg} to {limit_deg}"), remedy)
    })
}

/// Degrees to the nearest millionth. `None` if they are out of range or not a number.
#[allow(clippy::cast_possible_truncation, reason = "180 degrees are 180 million")]
pub(super) fn udeg(degrees: f64, limit_deg: u32) -> Option<i32> {
    let udeg = (degrees * 1_000_000.0).round();
    (udeg.abs() <= f64::from(limit_deg) * 1_000_000.0).then_some(udeg as i32)
}

/// Millionths of a degree from plain decimal digits, without a float. The seventh decimal rounds (half away from zero);
/// further decimals are ignored.
fn parse_udeg(text: &str, limit_deg: u32) -> Result<i32, String> {
    let refuse = || format!("{text:?} is not a decimal number from -{limit_deg} to {limit_deg}");
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || whole.len() > 3 {
        return Err(refuse());
    }
    let decimals = fraction.bytes().map(|byte| i32::from(byte - b'0')).chain(std::iter::repeat(0));
    let tenth_udeg = decimals.take(7).fold(0, |number, digit| number * 10 + digit);
    let whole: i32 = whole.parse().map_err(|_| refuse())?;
    let udeg = whole * 1_000_000 + (tenth_udeg + 5) / 10;
    if udeg.unsigned_abs() > limit_deg * 1_000_000 {
        return Err(refuse());
    }
    Ok(if text.starts_with('-') { -udeg } else { udeg })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::testing::some_places;

    #[test]
    fn texts_are_cleaned_and_cut() {
        let long = |text: &str, count: usize| text.repeat(count);
        let table = [
            ("  a \t b\r\nc ".to_owned(), Ok("a b c".to_owned())),
            ("\u{7}".to_owned(), Ok(String::new())),
            ("\u{a0}é  x".to_owned(), Ok("é  x".to_owned())),
            ("a\0b".to_owned(), Err("holds NUL")),
            (long("é", 127), Ok(long("é", 127))),
            (long("é", 128), Ok(long("é", 127))),
            (long("วัด", 60), Ok(long("วัด", 28) + "ว")),
            (long("x", 254) + " yz", Ok(long("x", 254))),
        ];
        for (raw, expected) in table {
            let found = text("name", &raw).map_err(|wrong| wrong.what);
            assert_eq!(found, expected.map_err(str::to_owned), "{raw}");
        }
        assert_eq!(name("Name", " \n").map_err(|wrong| wrong.what), Err("is empty".to_owned()));
    }

    #[test]
    fn a_vicinity_is_shown_as_it_was() {
        let table = [
            ("", ("", "")),
            ("Springfield", ("Springfield", "")),
            ("12 Main St, Springfield, IL", ("12 Main St", "Springfield, IL")),
            (", x", (", x", "")),
            ("x,", ("x,", "")),
            ("a,b", ("a,b", "")),
        ];
        for (raw, (area, region)) in table {
            assert_eq!(vicinity("vicinity", raw), Ok((area.to_owned(), region.to_owned())), "{raw}");
        }
    }

    #[test]
    fn degrees_in_every_spelling() {
        let table = [
            ("34.068930", 90, Some(34_068_930)),
            (" -118.445127 ", 180, Some(-118_445_127)),
            (".5", 90, Some(500_000)),
            ("5.", 90, Some(5_000_000)),
            ("1e-3", 90, Some(1_000)),
            ("-9E1", 90, Some(-90_000_000)),
            ("90.000001", 90, None),
            ("-118.4", 90, None),
            ("180.1", 180, None),
            ("nan", 90, None),
            ("inf", 180, None),
            ("1e300", 180, None),
            ("34,5", 90, None),
            ("", 90, None),
            ("N34", 90, None),
        ];
        for (raw, limit_deg, expected) in table {
            assert_eq!(degrees("lat", raw, limit_deg).ok(), expected, "{raw}");
        }
        let swapped = degrees("lat", "-118.4", 90).expect_err("out of range");
        assert!(swapped.remedy.contains("swapped") && swapped.what.contains("\"-118.4\""), "{swapped:?}");
    }

    #[test]
    fn degrees_are_parsed_exactly() {
        let table = [
            ("34.06893", 90, Some(34_068_930)),
            ("-118.445127", 180, Some(-118_445_127)),
            ("0", 90, Some(0)),
            ("+1.5", 90, Some(1_500_000)),
            ("-0.00000051", 90, Some(-1)),
            ("0.00000049", 90, Some(0)),
            ("89.9999996", 90, Some(90_000_000)),
            ("90.0000001", 90, Some(90_000_000)),
            ("90.000001", 90, None),
            ("180.0", 180, Some(180_000_000)),
            ("999.0", 180, None),
            ("1e1", 90, None),
            ("", 90, None),
            (".5", 90, None),
            ("5.", 90, None),
            ("--5", 90, None),
            ("٣", 90, None),
        ];
        for (text, limit_deg, expected) in table {
            assert_eq!(parse_udeg(text, limit_deg).ok(), expected, "{text}");
        }
    }

    #[test]
    fn ids_name_elements_or_are_of_their_file() {
        let node = Some(Id::OpenStreetMap(b'n', 42, 0));
        for text in ["n42", "node/42"] {
            assert_eq!(Id::of_element(text), node, "{text}");
        }
        assert_eq!(Id::of_element("relation/7"), Id::of_element("r7"));
        assert_ne!(Id::of_element("w42"), node);
        for text in ["42", "n", "north", "n+4", "node/", "x42", "n99999999999999999999"] {
            assert_eq!(Id::of_element(text), None, "{text}");
        }
        assert_ne!(Id::of_file(0, "7"), Id::of_file(1, "7"));
        assert!(Id::of_file(0, &"i".repeat(ID_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn an_element_may_be_moved_or_renamed() {
        let at = |latitude_udeg: i32, longitude_udeg: i32, name: &str| Place {
            latitude_udeg,
            longitude_udeg,
            name: name.to_owned(),
            ..some_places()[0].clone()
        };
        let here = at(60_000_000, 179_999_999, "A");
        let table = [
            (at(0, 0, "A"), true),
            (at(60_008_000, 179_999_999, "B"), true),
            (at(60_010_000, 179_999_999, "B"), false),
            // A degree of longitude is half as long here, and the date line is not far.
            (at(60_000_000, -179_983_000, "B"), true),
            (at(60_000_000, 179_981_000, "B"), false),
        ];
        for (there, expected) in table {
            assert_eq!(are_one_element(&here, &there), expected, "{there:?}");
        }
    }
}
