//! Reads one feature of GeoJSON: a point or an area, and its tags.

use super::error::Wrong;
use super::osm::{Bounds, Shape, Tags};
use super::row::{Id, degrees};
use super::{LeftOut, Outcome};
use crate::places::file::format::Kind;
use crate::places::json::{elements, members, string};

/// Geometries other than points and areas. A geometry of any other name is an error.
const OTHERS: [&str; 4] = ["LineString", "MultiPoint", "MultiLineString", "GeometryCollection"];

/// The place of a feature, or why it is not one. A feature without a known tag gets `kind`.
pub(super) fn feature(text: &[u8], kind: Kind, file_number: u32) -> Result<Outcome, Wrong> {
    let utf8 = "convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW";
    let text = std::str::from_utf8(text).map_err(|_| Wrong::new("feature", "is not UTF-8", utf8))?;
    let (mut word, mut geometry, mut properties, mut id) = (None, "null", "null", None);
    members(text, |member, value| match &*member {
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
    let Some((shape, coordinates)) = shape(geometry)? else {
        return Ok(Outcome::LeftOut(LeftOut::NoPoint));
    };
    if properties == "null" {
        return Ok(Outcome::LeftOut(LeftOut::Unnamed));
    }
    let tags = Tags::of_json(properties)?;
    let id = id.filter(|id| id != "null").or_else(|| tags.id().map(str::to_owned));
    let id =
        id.map(|id| Id::of_element(&id).map_or_else(|| Id::of_file(file_number, &id), Ok)).transpose()?;
    let position = || match shape {
        Shape::Point => point(coordinates),
        Shape::Area => centre(coordinates),
    };
    tags.place(shape, position, id, kind)
}

/// The text of an error without line and column, which count from the feature's begin.
pub(super) fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}

/// A geometry's shape, and the text of its coordinates. `None` for lines and other geometries.
fn shape(geometry: &str) -> Result<Option<(Shape, &str)>, Wrong> {
    if geometry == "null" {
        return Ok(None);
    }
    let (mut word, mut coordinates) = (String::new(), "");
    members(geometry, |member, value| match &*member {
        "type" => word = string(value).unwrap_or_default(),
        "coordinates" => coordinates = value.get(),
        _ => {}
    })
    .map_err(|_| Wrong::new("geometry", "is not an object", "a point has \"type\" and \"coordinates\""))?;
    match word.as_str() {
        "Point" => Ok(Some((Shape::Point, coordinates))),
        "Polygon" | "MultiPolygon" => Ok(Some((Shape::Area, coordinates))),
        other if OTHERS.contains(&other) => Ok(None),
        other => {
            let shown: String = other.chars().take(40).collect();
            Err(Wrong::new("geometry.type", format!("{shown:?} is not a geometry"), "\"Point\" is due"))
        }
    }
}

/// Latitude and longitude of a point, in millionths of a degree.
fn point(coordinates: &str) -> Result<(i32, i32), Wrong> {
    let mut numbers = Vec::with_capacity(3);
    let read = elements(coordinates, |value| {
        // A height may follow.
        if numbers.len() < 3 {
            numbers.push(value.get());
        }
    });
    match (read, numbers.as_slice()) {
        (Ok(()), [longitude, latitude, ..]) => Ok((
            degrees("geometry.coordinates[1]", latitude, 90)?,
            degrees("geometry.coordinates[0]", longitude, 180)?,
        )),
        _ => {
            let what = "is not an array of longitude and latitude";
            Err(Wrong::new("geometry.coordinates", what, "such as [-118.445127, 34.068930]"))
        }
    }
}

/// Latitude and longitude of the middle of an area's outlines, in millionths of a degree.
fn centre(coordinates: &str) -> Result<(i32, i32), Wrong> {
    let mut bounds = Bounds::default();
    // The innermost brackets hold positions. Between them are commas.
    for position in coordinates.split(['[', ']']).filter(|text| text.contains(|c: char| c.is_ascii_digit())) {
        let mut numbers = position.split(',');
        let longitude = degrees("geometry.coordinates", numbers.next().unwrap_or(""), 180)?;
        bounds.add(degrees("geometry.coordinates", numbers.next().unwrap_or(""), 90)?, longitude);
    }
    let nothing = || Wrong::new("geometry.coordinates", "has no position", "an area has an outline");
    bounds.centre().ok_or_else(nothing)
}
