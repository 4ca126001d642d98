//! Reads GeoJSON: the points with a name and the areas with a name and a known type, as `osmium export` and Overpass write
//! them.
//!
//! A sequence (RFC 8142, or a feature a line) is read a record at a time, so a bad record costs itself alone. Any other text
//! is a document: a FeatureCollection, or features in a row.
//!
//! An extract holds other features too, such as benches without a name and streets. The import skips and counts them. They
//! are not bad rows, so an operator can import a whole extract.

use super::document::{self, RECORD_SEPARATOR};
use super::error::ImportError;
use super::feature::feature;
use super::{LeftOut, Outcome, Take};
use crate::places::file::format::Kind;
use crate::places::json::members;
use std::io::{self, BufRead, Read};
use std::path::Path;

/// Longest record of a sequence: the outline of a large country. The import leaves a longer one out.
const RECORD_BYTES_MAX: usize = 16 << 20;

/// Calls `take` with each feature. A feature without a known tag gets `kind`. `file_number` separates the file's ids from
/// other files' ids.
pub(super) fn read(
    mut reader: impl BufRead,
    file: &Path,
    kind_and_number: (Kind, u32),
    take: Take<'_>,
) -> Result<(), ImportError> {
    let fail = |error| ImportError::Read(file.into(), error);
    let mut first = Vec::new();
    reader.by_ref().take(RECORD_BYTES_MAX as u64).read_until(b'\n', &mut first).map_err(fail)?;
    // A longer line is not a record: it is a collection without line ends.
    let text = if first.len() < RECORD_BYTES_MAX { first.trim_ascii() } else { &[] };
    let separator = match text {
        [RECORD_SEPARATOR, ..] => Some(RECORD_SEPARATOR),
        [b'{', .., b'}'] if !is_collection(text) => Some(b'\n'),
        _ => None,
    };
    let reader = first.chain(reader);
    match separator {
        Some(separator) => read_sequence(reader, separator, kind_and_number, take, fail),
        None => document::read(reader, file, kind_and_number, take),
    }
}

/// Whether an object has a member `features`.
fn is_collection(text: &[u8]) -> bool {
    let mut is_found = false;
    let text = std::str::from_utf8(text).unwrap_or("");
    let _ = members(text, |member, _| is_found |= member == "features");
    is_found
}

/// Reads a record at a time. A record may have several lines if it begins with a record separator.
fn read_sequence(
    mut reader: impl BufRead,
    separator: u8,
    (kind, file_number): (Kind, u32),
    take: Take<'_>,
    fail: impl Fn(io::Error) -> ImportError,
) -> Result<(), ImportError> {
    let (mut line, mut record) = (1, Vec::new());
    loop {
        record.clear();
        let most = RECORD_BYTES_MAX as u64 + 1;
        if reader.by_ref().take(most).read_until(separator, &mut record).map_err(&fail)? == 0 {
            return Ok(());
        }
        let is_too_long = record.len() > RECORD_BYTES_MAX;
        if is_too_long && record.last() != Some(&separator) {
            reader.skip_until(separator).map_err(&fail)?;
        }
        let lines = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
        let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == RECORD_SEPARATOR;
        let begin = record.iter().position(|byte| !is_blank(byte)).unwrap_or(record.len());
        let end = record.iter().rposition(|byte| !is_blank(byte)).map_or(begin, |at| at + 1);
        let outcome = match &record[begin..end] {
            [] => None,
            _ if is_too_long => Some(Outcome::LeftOut(LeftOut::NoPoint)),
            text => Some(feature(text, kind, file_number).unwrap_or_else(Outcome::Bad)),
        };
        if let Some(outcome) = outcome {
            take(line + lines(&record[..begin]), outcome)?;
        }
        line += lines(&record);
    }
}

#[cfg(test)]
mod tests {
    use super::super::shown_rows;
    use super::*;
    use proptest::prelude::*;

    fn rows_of(text: &[u8]) -> Vec<String> {
        shown_rows(|take| read(text, Path::new("x"), (Kind::PointOfInterest, 3), take))
    }

    const CAFE: &str = r#"{"type":"Feature","id":"n42","geometry":{"type":"Point","coordinates":[-118.4470,34.0630]},"properties":{"amenity":"cafe","name":"Espresso Profeta","addr:street":"Glendon Avenue","addr:housenumber":"1129","addr:city":"Los Angeles"}}"#;

    #[test]
    fn features_as_they_occur() {
        let row = "Cafe 34063000 -118447000 Espresso Profeta | 1129 Glendon Avenue | Los Angeles | n42 0";
        let with = |from: &str, to: &str| CAFE.replacen(from, to, 1);
        let table = [
            (CAFE.to_owned(), format!("1 {row}")),
            (format!("{{\"type\":\"FeatureCollection\",\"features\":[\n{CAFE}\n]}}"), format!("2 {row}")),
            (with("\"cafe\"", "\"bench\""), format!("1 {}", row.replace("Cafe", "PointOfInterest"))),
            (with("-118.4470,34.0630", "-1.184470E2, 34.0630, 12"), format!("1 {row}")),
            (with("\"id\":\"n42\",", ""), format!("1 {}", row.replace("n42 0", ""))),
            (with("\"n42\"", "42"), format!("1 {}", row.replace("n42", "42"))),
            (with("\"name\":\"Espresso Profeta\",", ""), "1 left out: Unnamed".to_owned()),
            (with("\"Point\"", "\"LineString\""), "1 left out: NoPoint".to_owned()),
            (with("\"Point\",\"coordinates\":[-118.4470,34.0630]", "\"Polygon\",\"coordinates\":[[[-118.4480,34.0620],[-118.446,34.064],[-118.4465,34.063]]]"), format!("1 {row}")),
            (with("\"cafe\"", "\"bench\"").replace("\"Point\",\"coordinates\":[-118.4470,34.0630]", "\"MultiPolygon\",\"coordinates\":[[[[1,2,3]]]]"), "1 left out: NoPoint".to_owned()),
            (with("\"Point\",\"coordinates\":[-118.4470,34.0630]", "\"Polygon\",\"coordinates\":[[]]"), "1 bad: geometry.coordinates: has no position (an area has an outline)".to_owned()),
            (with("\"Espresso Profeta\"", "42"), format!("1 {}", row.replace("Espresso Profeta", "42"))),
            (with("\"n42\"", "\"node/42\""), format!("1 {row}")),
            (with("\"amenity\":\"cafe\"", "\"place\":\"state\""), "1 left out: Division".to_owned()),
            (r#"{"type":"Feature","geometry":null,"properties":null}"#.to_owned(), "1 left out: NoPoint".to_owned()),
            (with("34.0630", "91"), "1 bad: geometry.coordinates[1]: \"91\" is not a number from -90 to 90 (are latitude and longitude swapped? positions are decimal degrees)".to_owned()),
            (with("-118.4470", "\"x\""), "1 bad: geometry.coordinates[0]: \"\\\"x\\\"\" is not a number from -180 to 180 (positions are decimal degrees with a point, such as 34.068930 or -118.445127)".to_owned()),
            (with("[-118.4470,34.0630]", "[1]"), "1 bad: geometry.coordinates: is not an array of longitude and latitude (such as [-118.445127, 34.068930])".to_owned()),
            (with("\"Point\"", "\"point\""), "1 bad: geometry.type: \"point\" is not a geometry (\"Point\" is due)".to_owned()),
            (with("\"Feature\"", "\"Topology\""), "1 bad: type: is \"Topology\" where \"Feature\" is due (osmium export -f geojson writes it)".to_owned()),
            (with("\"Feature\",", "\"Feature\""), "1 bad: feature: is not JSON: expected `,` or `}` (correct it)".to_owned()),
            ("\u{1E}{\"type\":\n".to_owned() + "\u{1E}", "1 bad: feature: is not JSON: EOF while parsing a value (correct it)".to_owned()),
        ];
        for (text, expected) in table {
            assert_eq!(rows_of(text.as_bytes()), [expected], "{text}");
        }
        let latin: Vec<u8> = CAFE.bytes().map(|byte| if byte == b'P' { 0xE9 } else { byte }).collect();
        assert!(rows_of(&latin)[0].starts_with("1 bad: feature: is not UTF-8"));
    }

    #[test]
    fn what_follows_a_bad_feature_is_read() {
        let bad = CAFE.replace("34.0630", "x");
        let rows = rows_of(format!("{bad}\n{CAFE}\n{{}}\n{CAFE}").as_bytes());
        let begins: Vec<_> =
            rows.iter().map(|row| row.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(begins, ["1 bad:", "2 Cafe", "3 bad:", "4 Cafe"]);
    }

    /// The names of the places with their lines, or the error.
    fn names_of(text: &str) -> Result<Vec<String>, String> {
        let mut rows = Vec::new();
        let mut take = |line: usize, outcome: Outcome| {
            rows.push(match outcome {
                Outcome::Row(row) => format!("{line} {}", row.place.name),
                other => format!("{line} {other:?}").chars().take(5).collect(),
            });
            Ok(())
        };
        // Small chunks.
        let reader = io::BufReader::with_capacity(7, text.as_bytes());
        let read = read(reader, Path::new("x"), (Kind::Cafe, 3), &mut take);
        read.map(|()| rows).map_err(|error| error.to_string())
    }

    fn named(name: &str) -> String {
        let point = "{\"type\":\"Point\",\"coordinates\":[1,2]}";
        format!("{{\"type\":\"Feature\",\"geometry\":{point},\"properties\":{{\"name\":\"{name}\"}}}}")
    }

    #[test]
    fn features_in_every_wrapping() {
        let [a, b] = ["A", "B ]}\\\""].map(named);
        let pretty = |text: &str| text.replace(':', ":\n ");
        let long = "x".repeat(300_000);
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let collection = |before: &str, after: &str| {
            format!("{{\"type\":\"FeatureCollection\",{before}\"features\" : [\n{a},\n {b}\n]{after}}}\n")
        };
        let names = |lines: [usize; 2]| Ok(vec![format!("{} A", lines[0]), format!("{} B ]}}\"", lines[1])]);
        let table = [
            (String::new(), Ok(vec![])),
            ("\n \n".to_owned(), Ok(vec![])),
            (format!("{a}\n\n{b}\r\n"), names([1, 3])),
            (format!("\u{1E}{a}\n\u{1E}{b}"), names([1, 2])),
            (format!("\u{1E}\n{}\n\u{1E}{b}\n", pretty(&a)), names([2, 9])),
            (format!("{}\n{}", pretty(&a), pretty(&b)), names([1, 8])),
            (collection("", ""), names([2, 3])),
            (collection("", ",\"c\":{\"features\":{}}"), names([2, 3])),
            (collection(&format!("\"metadata\":{{\"query\":\"{long}\"}},\n"), ""), names([3, 4])),
            (collection(&format!("\"x\":{deep},\"y\":[\"features\",[]],"), ""), names([2, 3])),
            (collection(&"\"features_of\":[1],".repeat(10_000), ""), names([2, 3])),
            (format!("{{\"features\":[{a},{b}]}}"), names([1, 1])),
            (format!("{{\"features\":[{a}]}}\n{{\"features\":[{b}]}}"), names([1, 2])),
            // A line that is cut behind a brace when it is looked at.
            (
                format!("{{\"x\":\"{}}}\",\"features\":[{a},{b}]}}", "x".repeat(RECORD_BYTES_MAX - 7)),
                names([1, 1]),
            ),
            // A sequence continues behind a bad record, a collection behind a bad feature.
            (
                format!("{a}\n{{\"type\":}}\n{b}\n"),
                Ok(vec!["1 A".to_owned(), "2 Bad".to_owned(), "3 B ]}\"".to_owned()]),
            ),
            (
                format!("{{\"features\":[{a},7,\n{b}]}}"),
                Ok(vec!["1 A".to_owned(), "1 Bad".to_owned(), "2 B ]}\"".to_owned()]),
            ),
        ];
        for (text, expected) in table {
            let begin: String = text.chars().take(200).collect();
            assert_eq!(names_of(&text), expected, "{begin}");
        }
    }

    #[test]
    fn what_is_not_geojson_is_named_with_its_line() {
        let due = "where a feature is due (is this GeoJSON, as osmium export writes it?)";
        let a = named("A");
        let table = [
            ("\n[1]".to_owned(), format!("x:2: '[' {due}")),
            ("\n<html>".to_owned(), format!("x:2: '<' {due}")),
            (
                format!("{{\"features\":[\n{a}\n"),
                "x:3: ends in the middle of what begins on line 1 (was the download cut off?)".to_owned(),
            ),
            (
                format!("{{\n\"features\":[\n{a}\n{a}]}}"),
                "x:4: is not GeoJSON: expected `,` or `]`".to_owned(),
            ),
            (
                "{\n\"features\":\n7}".to_owned(),
                "x:3: is not GeoJSON: invalid type: integer `7`, expected an array of features".to_owned(),
            ),
        ];
        for (text, expected) in table {
            assert_eq!(names_of(&text), Err(expected), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_feature_is_something(text in r#"(\{|\}|\[|\]|"type":|"Feature"|"geometry":|"Point"|"coordinates":|,|1|"name"|:|null){0,20}"#) {
            let mut file = b"{".to_vec();
            file.extend_from_slice(text.as_bytes());
            let _ = feature(&file, Kind::Cafe, 0);
        }
    }
}
