//! Reads GeoJSON: the features that are points with a name, as `osmium export` and Overpass write them.
//!
//! An extract holds other features too, such as benches without a name and outlines of buildings. The import skips and
//! counts them. They are not bad rows, so an operator can import a whole extract.

use super::error::{ImportError, Wrong};
use super::features::{Broken, Features, Next};
use super::osm::describe;
use super::row::{Id, Row, Scope, degrees};
use super::{LeftOut, Outcome, Take};
use crate::places::file::format::Kind;
use crate::places::json::{elements, members, string};
use std::io::BufRead;
use std::path::Path;

/// Geometries other than points. A geometry of any other name is an error.
const OTHERS: [&str; 6] =
    ["LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"];

/// Calls `take` with each feature. A feature without a known tag gets `kind`. `file_number` separates the file's ids from
/// other files' ids.
pub(super) fn read(
    reader: impl BufRead,
    file: &Path,
    (kind, file_number): (Kind, u32),
    take: Take<'_>,
) -> Result<(), ImportError> {
    let mut features = Features::new(reader);
    let mut text = Vec::new();
    loop {
        let (line, next) = features.next(&mut text).map_err(|broken| match broken {
            Broken::Read(error) => ImportError::Read(file.into(), error),
            Broken::Malformed(line, what) => ImportError::Malformed(file.into(), line, what.into()),
        })?;
        let outcome = match next {
            Next::End => return Ok(()),
            Next::Object => feature(&text, kind, file_number).unwrap_or_else(Outcome::Bad),
            Next::TooLong => Outcome::LeftOut(LeftOut::NoPoint),
            Next::Cut => {
                Outcome::Bad(Wrong::new("feature", "breaks off before the next one", "write the file again"))
            }
        };
        take(line, outcome)?;
    }
}

fn feature(text: &[u8], kind: Kind, file_number: u32) -> Result<Outcome, Wrong> {
    let utf8 = "convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW";
    let text = std::str::from_utf8(text).map_err(|_| Wrong::new("feature", "is not UTF-8", utf8))?;
    let (mut word, mut geometry, mut properties, mut id) = (None, "null", "null", None);
    members(text, |member, value| match member {
        "type" => word = string(value),
        "geometry" => geometry = value.get(),
        "properties" => properties = value.get(),
        "id" => id = Some(string(value).unwrap_or_else(|| value.get().to_owned())),
        _ => {}
    })
    .map_err(|error| {
        Wrong::new("feature", format!("is not JSON: {}", without_place(&error)), "correct it")
    })?;
    if word.as_deref() != Some("Feature") {
        let what = match word {
            Some(word) => {
                format!("is {:?} where \"Feature\" is due", word.chars().take(40).collect::<String>())
            }
            None => "is missing".to_owned(),
        };
        return Err(Wrong::new("type", what, "osmium export -f geojson writes it"));
    }
    let Some((longitude, latitude)) = point(geometry)? else {
        return Ok(Outcome::LeftOut(LeftOut::NoPoint));
    };
    if properties == "null" {
        return Ok(Outcome::LeftOut(LeftOut::Unnamed));
    }
    let tags = describe(properties)?;
    if tags.is_division {
        return Ok(Outcome::LeftOut(LeftOut::Division));
    }
    if tags.name.is_empty() {
        return Ok(Outcome::LeftOut(LeftOut::Unnamed));
    }
    let id = id.filter(|id| id != "null").or(tags.id);
    Ok(Outcome::Row(Row {
        latitude_udeg: degrees("geometry.coordinates[1]", latitude, 90)?,
        longitude_udeg: degrees("geometry.coordinates[0]", longitude, 180)?,
        kind: tags.kind.unwrap_or(kind),
        name: tags.name,
        area: tags.area,
        region: tags.region,
        id: id.map(|id| Id::new(scope(&id, file_number), &id, 0)).transpose()?,
    }))
}

/// The text of an error without line and column, which count from the feature's begin.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// Longitude and latitude of a point, as in its text. `None` for other geometries.
fn point(geometry: &str) -> Result<Option<(&str, &str)>, Wrong> {
    if geometry == "null" {
        return Ok(None);
    }
    let (mut word, mut coordinates) = (String::new(), "");
    members(geometry, |member, value| match member {
        "type" => word = string(value).unwrap_or_default(),
        "coordinates" => coordinates = value.get(),
        _ => {}
    })
    .map_err(|_| Wrong::new("geometry", "is not an object", "a point has \"type\" and \"coordinates\""))?;
    if OTHERS.contains(&word.as_str()) {
        return Ok(None);
    }
    if word != "Point" {
        let shown: String = word.chars().take(40).collect();
        return Err(Wrong::new("geometry.type", format!("{shown:?} is not a geometry"), "\"Point\" is due"));
    }
    let mut numbers = Vec::with_capacity(3);
    let read = elements(coordinates, |value| {
        // A height may follow.
        if numbers.len() < 3 {
            numbers.push(value.get());
        }
    });
    match (read, numbers.as_slice()) {
        (Ok(()), [longitude, latitude, ..]) => Ok(Some((longitude, latitude))),
        _ => {
            let what = "is not an array of longitude and latitude";
            Err(Wrong::new("geometry.coordinates", what, "such as [-118.445127, 34.068930]"))
        }
    }
}

/// OpenStreetMap's ids name the type of element (`n42`, `node/42`) and are the same in every extract.
fn scope(id: &str, file_number: u32) -> Scope {
    let kinds = ["node/", "way/", "relation/", "n", "w", "r", "a"];
    let number = kinds.iter().find_map(|kind| id.strip_prefix(kind)).unwrap_or("");
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        Scope::OpenStreetMap
    } else {
        Scope::File(file_number)
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
            (with("\"Point\"", "\"Polygon\""), "1 left out: NoPoint".to_owned()),
            (with("\"amenity\":\"cafe\"", "\"place\":\"state\""), "1 left out: Division".to_owned()),
            (r#"{"type":"Feature","geometry":null,"properties":null}"#.to_owned(), "1 left out: NoPoint".to_owned()),
            (with("34.0630", "91"), "1 bad: geometry.coordinates[1]: \"91\" is no number from -90 to 90 (are latitude and longitude swapped? positions are decimal degrees)".to_owned()),
            (with("-118.4470", "\"x\""), "1 bad: geometry.coordinates[0]: \"\\\"x\\\"\" is no number from -180 to 180 (positions are decimal degrees with a point, such as 34.068930 or -118.445127)".to_owned()),
            (with("[-118.4470,34.0630]", "[1]"), "1 bad: geometry.coordinates: is not an array of longitude and latitude (such as [-118.445127, 34.068930])".to_owned()),
            (with("\"Point\"", "\"point\""), "1 bad: geometry.type: \"point\" is not a geometry (\"Point\" is due)".to_owned()),
            (with("\"Feature\"", "\"Topology\""), "1 bad: type: is \"Topology\" where \"Feature\" is due (osmium export -f geojson writes it)".to_owned()),
            (with("\"Feature\",", "\"Feature\""), "1 bad: feature: is not JSON: expected `,` or `}` (correct it)".to_owned()),
            ("\u{1E}{\"type\":\n".to_owned() + "\u{1E}", "1 bad: feature: breaks off before the next one (write the file again)".to_owned()),
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

    #[test]
    fn openstreetmap_ids_are_global() {
        for (id, is_osm) in
            [("n42", true), ("relation/7", true), ("42", false), ("n", false), ("north", false)]
        {
            assert_eq!(scope(id, 3) == Scope::OpenStreetMap, is_osm, "{id}");
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
