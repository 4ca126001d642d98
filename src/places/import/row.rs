//! A place between an input and the output: its checks, and its byte strings for the sort.
//!
//! This module does not know input formats. Invariant: a record sorts in the order of a places file (latitude, longitude,
//! kind, name). Places with the same identity sort in the order of reading.

use super::error::Wrong;
use crate::places::file::format::Kind;
use crate::places::file::pair_encoding::TEXT_BYTES_MAX;
use crate::places::import::sources::parse_udeg;
use std::borrow::Cow;

/// Longest id of a row in bytes. The import only compares ids.
const ID_BYTES_MAX: usize = 255;

/// A place of an input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) latitude_udeg: i32,
    pub(super) longitude_udeg: i32,
    pub(super) kind: Kind,
    pub(super) name: String,
    /// The area. The vicinity is the area, a comma and the region; each may be empty.
    pub(super) area: String,
    pub(super) region: String,
    pub(super) id: Option<Id>,
}

/// An id of a row. Rows with the same id are one place, and the newest wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Id {
    pub(super) scope: Scope,
    pub(super) text: String,
    /// The row's own date as YYYYMMDD; 0 without a date.
    pub(super) date: u32,
}

/// Where an id is unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// GeoNames' ids are unique in all of its files.
    GeoNames,
    /// OpenStreetMap's ids are unique in all extracts.
    OpenStreetMap,
    /// Ids of any other file are unique in that file.
    File(u32),
}

impl Id {
    pub(super) fn new(scope: Scope, text: &str, date: u32) -> Result<Self, Wrong> {
        if text.len() > ID_BYTES_MAX || text.contains('\0') {
            let what = format!("holds NUL or more than {ID_BYTES_MAX} bytes");
            return Err(Wrong::new("id", what, "give it a shorter one"));
        }
        Ok(Self { scope, text: text.to_owned(), date })
    }
}

/// A name or vicinity on one line, without white space at its ends. Spaces within stay as they are, because they are part of
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
        let what = format!("is {} bytes long, at most {TEXT_BYTES_MAX} fit", text.len());
        return Err(Wrong::new(member, what, "shorten it"));
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
        Wrong::new(member, format!("{shown:?} is no number from -{limit_deg} to {limit_deg}"), remedy)
    })
}

/// Degrees to the nearest millionth. `None` if they are out of range or not a number.
#[allow(clippy::cast_possible_truncation, reason = "180 degrees are 180 million")]
pub(super) fn udeg(degrees: f64, limit_deg: u32) -> Option<i32> {
    let udeg = (degrees * 1_000_000.0).round();
    (udeg.abs() <= f64::from(limit_deg) * 1_000_000.0).then_some(udeg as i32)
}

/// Bytes that sort in the order of the `i32`.
fn ordered(number: i32) -> [u8; 4] {
    (number ^ i32::MIN).to_be_bytes()
}

impl Row {
    /// Appends the record: position, kind and name as the identity, then the order of reading, then the other data.
    pub(super) fn encode(&self, read: u64, record: &mut Vec<u8>) {
        record.extend_from_slice(&ordered(self.latitude_udeg));
        record.extend_from_slice(&ordered(self.longitude_udeg));
        record.push(self.kind as u8);
        push_text(record, self.name.as_bytes());
        record.extend_from_slice(&read.to_be_bytes());
        push_text(record, self.area.as_bytes());
        push_text(record, self.region.as_bytes());
    }
}

impl Id {
    /// Appends the begin of a record with an id: the id, its date, and the order of reading. Returns the length of the part that
    /// rows with the same id share.
    pub(super) fn encode(&self, read: u64, record: &mut Vec<u8>) {
        let (tag, file) = match self.scope {
            Scope::GeoNames => (0, 0),
            Scope::OpenStreetMap => (1, 0),
            Scope::File(file) => (2, file),
        };
        record.push(tag);
        record.extend_from_slice(&file.to_be_bytes());
        push_text(record, self.text.as_bytes());
        record.extend_from_slice(&self.date.to_be_bytes());
        record.extend_from_slice(&read.to_be_bytes());
    }
}

/// Splits a record of [`Id::encode`] and [`Row::encode`] into the id and the row's record.
pub(super) fn split_id(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let text_end = 5 + record.get(5..)?.iter().position(|&byte| byte == 0)?;
    Some((&record[..text_end], record.get(text_end + 1 + 12..)?))
}

/// The parts of a row's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Parts<'a> {
    /// The place's identity: position, kind and name.
    pub(super) identity: &'a [u8],
    pub(super) latitude_udeg: i32,
    pub(super) longitude_udeg: i32,
    pub(super) kind: u8,
    pub(super) name: &'a [u8],
    /// The order of reading: the number of rows before this one.
    pub(super) read: u64,
    pub(super) area: &'a [u8],
    pub(super) region: &'a [u8],
}

impl<'a> Parts<'a> {
    /// `None` if [`Row::encode`] did not make the record.
    pub(super) fn of(record: &'a [u8]) -> Option<Self> {
        let (position, rest) = record.split_first_chunk::<8>()?;
        let (&kind, rest) = rest.split_first()?;
        let (name, rest) = split_text(rest)?;
        let identity = &record[..9 + name.len()];
        let (read, rest) = rest.split_first_chunk()?;
        let (area, rest) = split_text(rest)?;
        let (region, _) = split_text(rest)?;
        let [a, b, c, d, e, f, g, h] = *position;
        Some(Self {
            identity,
            latitude_udeg: i32::from_be_bytes([a, b, c, d]) ^ i32::MIN,
            longitude_udeg: i32::from_be_bytes([e, f, g, h]) ^ i32::MIN,
            kind,
            name,
            read: u64::from_be_bytes(*read),
            area,
            region,
        })
    }
}

/// Appends a text and NUL. A text holds no NUL, and with the terminator shorter texts sort first.
pub(super) fn push_text(record: &mut Vec<u8>, text: &[u8]) {
    record.extend_from_slice(text);
    record.push(0);
}

/// The text at the begin of `bytes`, and the rest.
pub(super) fn split_text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::super::runs::RECORD_BYTES_MAX;
    use super::*;
    use crate::places::file::encode::Place;
    use proptest::prelude::*;

    fn row(name: &str) -> Row {
        let (area, region) = ("a".to_owned(), String::new());
        let (latitude_udeg, longitude_udeg) = (-1, 2);
        Row { latitude_udeg, longitude_udeg, kind: Kind::Cafe, name: name.to_owned(), area, region, id: None }
    }

    #[test]
    fn texts_are_cleaned_and_bounded() {
        let table = [
            ("  a \t b\r\nc ", Ok("a b c")),
            ("\u{7}", Ok("")),
            ("\u{a0}é  x", Ok("é  x")),
            ("a\0b", Err("holds NUL")),
        ];
        for (raw, expected) in table {
            assert_eq!(
                text("name", raw).map_err(|wrong| wrong.what),
                expected.map(str::to_owned).map_err(str::to_owned)
            );
        }
        assert!(text("name", &"é".repeat(127)).is_ok());
        let wrong = text("name", &"é".repeat(128)).expect_err("256 bytes");
        assert_eq!(wrong.what, "is 256 bytes long, at most 255 fit");
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
    fn the_longest_record_fits() {
        let long = "x".repeat(TEXT_BYTES_MAX);
        let row = Row { area: long.clone(), region: long.clone(), ..row(&long) };
        let id = Id::new(Scope::File(u32::MAX), &"i".repeat(ID_BYTES_MAX), 0).expect("short enough");
        let mut record = Vec::new();
        id.encode(1, &mut record);
        row.encode(1, &mut record);
        assert!(record.len() <= RECORD_BYTES_MAX, "{}", record.len());
        assert!(Id::new(Scope::GeoNames, &"i".repeat(ID_BYTES_MAX + 1), 0).is_err());
    }

    #[test]
    fn ids_of_different_scopes_differ() {
        let key = |scope, text| {
            let mut record = Vec::new();
            Id::new(scope, text, 20_261_124).expect("short").encode(7, &mut record);
            row("x").encode(7, &mut record);
            let (id, rest) = split_id(&record).expect("as encoded");
            assert_eq!(Parts::of(rest).map(|parts| parts.name), Some(&b"x"[..]));
            id.to_vec()
        };
        assert_eq!(key(Scope::GeoNames, "1"), key(Scope::GeoNames, "1"));
        let scopes = [Scope::GeoNames, Scope::OpenStreetMap, Scope::File(0), Scope::File(1)];
        let mut keys: Vec<_> = scopes.iter().flat_map(|&scope| [key(scope, "1"), key(scope, "12")]).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), 8);
    }

    fn any_row() -> impl Strategy<Value = Row> {
        let position = (-90_000_000..=90_000_000, -180_000_000..=180_000_000);
        let texts = ("[a-c\u{1}é]{1,4}", "[a-cé]{0,3}", "[a-cé]{0,3}");
        (position, 0_u64..34, texts).prop_map(
            |((latitude_udeg, longitude_udeg), kind, (name, area, region))| {
                let kind = Kind::from_number(kind).expect("there are 34 kinds");
                Row { latitude_udeg, longitude_udeg, kind, name, area, region, id: None }
            },
        )
    }

    proptest! {
        #[test]
        fn records_come_apart_and_sort_as_places(rows in prop::collection::vec(any_row(), 2)) {
            let records: Vec<_> = rows.iter().map(|row| {
                let mut record = Vec::new();
                row.encode(5, &mut record);
                record
            }).collect();
            for (row, record) in rows.iter().zip(&records) {
                let parts = Parts::of(record).expect("as encoded");
                prop_assert_eq!((parts.latitude_udeg, parts.longitude_udeg), (row.latitude_udeg, row.longitude_udeg));
                prop_assert_eq!((parts.kind, parts.name, parts.read), (row.kind as u8, row.name.as_bytes(), 5));
                prop_assert_eq!((parts.area, parts.region), (row.area.as_bytes(), row.region.as_bytes()));
            }
            let places: Vec<_> = rows.into_iter().map(|Row { latitude_udeg, longitude_udeg, kind, name, .. }| {
                Place { latitude_udeg, longitude_udeg, kind, name, area: String::new(), region: String::new() }
            }).collect();
            let identities: Vec<_> = records.iter().map(|record| Parts::of(record).expect("as encoded").identity).collect();
            prop_assert_eq!(identities[0].cmp(identities[1]), places[0].cmp(&places[1]));
        }
    }
}
