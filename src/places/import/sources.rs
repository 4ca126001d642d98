//! Reads the two packages of the committed places file. It checks the members that it uses and ignores others, so a newer
//! package with more members still builds. This module does not know the written format.

use crate::places::file::encode::Place;
use crate::places::file::format::Kind;
use crate::places::import::build::BuildError;
use crate::places::import::csv::Records;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Adds the places of `cities`, with the names of their divisions. A code without a name is not an error: 384 of 171,075
/// cities have no first-level division.
pub(crate) fn add_cities(
    places: &mut Vec<Place>,
    cities: &Path,
    admin1: &Path,
    admin2: &Path,
) -> Result<(), BuildError> {
    let divisions = [read_divisions(admin1)?, read_divisions(admin2)?];
    each_object(cities, |city| {
        let country = city.country()?;
        let first = format!("{country}.{}", city.text("admin1")?);
        let second = format!("{first}.{}", city.text("admin2")?);
        let division = divisions[0].get(&first).map_or("", String::as_str);
        let subdivision = divisions[1].get(&second).map_or("", String::as_str);
        places.push(Place {
            latitude_udeg: city.degrees("lat", 90)?,
            longitude_udeg: city.degrees("lng", 180)?,
            kind: Kind::Locality,
            name: city.name("name")?,
            area: area(subdivision, division),
            region: region(division, country),
        });
        Ok(())
    })
}

/// Adds the places of `airports`.
pub(crate) fn add_airports(places: &mut Vec<Place>, airports: &Path) -> Result<(), BuildError> {
    let text = read(airports)?;
    let mut records = Records::new(&text).map(|record| {
        record.map_err(|error| {
            BuildError::Malformed(airports.into(), format!("line {}: {}", error.line, error.what))
        })
    });
    let header = records.next().transpose()?.map_or_else(Vec::new, |record| record.fields);
    let fail = |line: usize, member: &'static str, what: String| BuildError::Record {
        file: airports.into(),
        place: format!("line {line}"),
        member,
        what,
    };
    let mut columns = [("name", 0), ("city", 0), ("subd", 0), ("country", 0), ("lat", 0), ("lon", 0)];
    for (name, column) in &mut columns {
        let found = header.iter().position(|field| field == name);
        *column = found.ok_or_else(|| fail(1, name, "the header has no such column".to_owned()))?;
    }
    for record in records {
        let record = record?;
        if record.fields.len() != header.len() {
            let what = format!("{} fields where the header has {}", record.fields.len(), header.len());
            return Err(fail(record.line, columns[0].0, what));
        }
        let [name, city, subdivision, country, lat, lon] =
            columns.map(|(_, column)| record.fields[column].trim());
        if name.is_empty() {
            return Err(fail(record.line, "name", "is empty".to_owned()));
        }
        check_country(country).map_err(|what| fail(record.line, "country", what))?;
        places.push(Place {
            latitude_udeg: parse_udeg(lat, 90).map_err(|what| fail(record.line, "lat", what))?,
            longitude_udeg: parse_udeg(lon, 180).map_err(|what| fail(record.line, "lon", what))?,
            kind: Kind::Airport,
            name: name.to_owned(),
            area: area(city, subdivision),
            region: region(subdivision, country),
        });
    }
    Ok(())
}

/// "California, US". A country stays a code, because neither package has its name.
pub(crate) fn region(division: &str, country: &str) -> String {
    if division.is_empty() { country.to_owned() } else { format!("{division}, {country}") }
}

/// The name below the region, unless it repeats the region (Singapore, Singapore).
pub(crate) fn area(name: &str, division: &str) -> String {
    if name == division { String::new() } else { name.to_owned() }
}

fn read_divisions(file: &Path) -> Result<HashMap<String, String>, BuildError> {
    let mut divisions = HashMap::new();
    each_object(file, |object| {
        divisions.insert(object.name("code")?, object.name("name")?);
        Ok(())
    })?;
    Ok(divisions)
}

fn read(file: &Path) -> Result<String, BuildError> {
    fs::read_to_string(file).map_err(|error| BuildError::Read(file.into(), error))
}

/// Calls `take` with each object of the array in `file`. Only one object at a time is a tree; the rest stays text.
fn each_object(
    file: &Path,
    mut take: impl FnMut(Object<'_>) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    let text = read(file)?;
    let malformed = |what: String| BuildError::Malformed(file.into(), what);
    let records: Vec<&RawValue> =
        serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
    for (number, record) in (1..).zip(records) {
        let members = serde_json::from_str(record.get())
            .map_err(|error| malformed(format!("record {number} is not an object: {error}")))?;
        take(Object { file, number, members })?;
    }
    Ok(())
}

/// One object of an array in a file.
struct Object<'a> {
    file: &'a Path,
    number: usize,
    members: Map<String, Value>,
}

impl Object<'_> {
    fn text(&self, member: &'static str) -> Result<&str, BuildError> {
        match self.members.get(member) {
            Some(Value::String(text)) => Ok(text.trim()),
            Some(_) => Err(self.fail(member, "is not a string".to_owned())),
            None => Err(self.fail(member, "is missing".to_owned())),
        }
    }

    fn name(&self, member: &'static str) -> Result<String, BuildError> {
        match self.text(member)? {
            "" => Err(self.fail(member, "is empty".to_owned())),
            text => Ok(text.to_owned()),
        }
    }

    fn country(&self) -> Result<&str, BuildError> {
        let country = self.text("country")?;
        check_country(country).map_err(|what| self.fail("country", what))?;
        Ok(country)
    }

    fn degrees(&self, member: &'static str, limit_deg: u32) -> Result<i32, BuildError> {
        parse_udeg(self.text(member)?, limit_deg).map_err(|what| self.fail(member, what))
    }

    fn fail(&self, member: &'static str, what: String) -> BuildError {
        BuildError::Record { file: self.file.into(), place: format!("record {}", self.number), member, what }
    }
}

pub(crate) fn check_country(country: &str) -> Result<(), String> {
    let is_code = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { Ok(()) } else { Err(format!("{country:?} is not a country code of two capital letters")) }
}

/// Millionths of a degree from plain decimal digits, without a float. The seventh decimal rounds (half away from zero);
/// further decimals are ignored.
pub(crate) fn parse_udeg(text: &str, limit_deg: u32) -> Result<i32, String> {
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
}
