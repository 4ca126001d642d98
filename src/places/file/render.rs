//! Renders answers as JSON text with the exact layout of Google's legacy Nearby Search: an indent of three spaces, ` : `
//! between name and value, members by name, short arrays of strings on one line, empty arrays as `[]`.
//!
//! The code writes text into one `Vec<u8>` and builds no tree. No answer ends in a newline.
//!
//! `html_attributions` stays empty. Google fills it with links that the owners of third-party listings require. The licence
//! of the board's data does not require such links; its notice comes with the file (data/NOTICE).

use crate::places::error::PlacesError;
use crate::places::file::format::{AreaAt, Dat, Kind, RegionAt, Scratch, Spot};
use crate::places::file::nearest::{Nearest, nearest};
use crate::places::{MAX_ITEMS, Query};
use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use std::io::Write;
use std::ops::Range;

/// Initial capacity for an answer without results, and for each result. The mean of 200 answers of 20 results about
/// England is 340 bytes per result.
const ANSWER_BYTES: usize = 96;
const RESULT_BYTES: usize = 400;

/// An array of at least this width takes a line for each of its elements.
const ONE_LINE_MAX: usize = 74;

/// Queries `dat` and renders the whole answer: `OK` with at most `query.items` results, or `ZERO_RESULTS`.
///
/// # Errors
/// A query out of range, a failed read, or a damaged file.
pub fn answer(dat: &Dat, query: &Query, scratch: &mut Scratch) -> Result<Vec<u8>, PlacesError> {
    answer_with_info(dat, query, scratch, None)
}

/// [`answer`], with `info` as its only `info_messages` element. Google defines this member for text that a person may read
/// and a program may ignore.
pub(crate) fn answer_with_info(
    dat: &Dat,
    query: &Query,
    scratch: &mut Scratch,
    info: Option<&str>,
) -> Result<Vec<u8>, PlacesError> {
    let Nearest { any, spots } = nearest(dat, query, scratch)?;
    let json = Vec::with_capacity(ANSWER_BYTES + spots.len() * RESULT_BYTES);
    let mut writer =
        Writer { json, dat, scratch, areas: heapless::Vec::new(), regions: heapless::Vec::new() };
    writer.push("{\n   \"html_attributions\" : [],\n");
    if let Some(info) = info {
        let mut quoted = Vec::with_capacity(info.len() + 2);
        push_string(&mut quoted, info);
        writer.push("   \"info_messages\" : ");
        push_strings(&mut writer.json, 3, &[&String::from_utf8_lossy(&quoted)]);
        writer.push(",\n");
    }
    writer.push("   \"results\" : [");
    for (index, found) in spots.iter().enumerate() {
        writer.push(if index == 0 { "\n" } else { ",\n" });
        writer.push_result(&found.spot)?;
    }
    writer.push(if spots.is_empty() { "],\n" } else { "\n   ],\n" });
    writer.push(if any { "   \"status\" : \"OK\"\n}" } else { "   \"status\" : \"ZERO_RESULTS\"\n}" });
    Ok(writer.json)
}

/// The answer to a query that failed: no results, `status` (a Google status word) and `message` as `error_message`. No
/// newline at the end.
///
/// ```
/// let json = herd::places::error_json("UNKNOWN_ERROR", "no file");
/// assert_eq!(json, "{\n   \"error_message\" : \"no file\",\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : \"UNKNOWN_ERROR\"\n}");
/// ```
pub fn error_json(status: &str, message: &str) -> String {
    let mut json = Vec::with_capacity(ANSWER_BYTES + message.len() + status.len());
    push(&mut json, "{\n   \"error_message\" : ");
    push_string(&mut json, message);
    push(&mut json, ",\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : ");
    push_string(&mut json, status);
    push(&mut json, "\n}");
    String::from_utf8(json).unwrap_or_default()
}

/// The answer to a query that failed before a source was asked.
pub(crate) fn error_form(error: &PlacesError) -> Vec<u8> {
    error_json(error.status(), &error.for_clients()).into_bytes()
}

/// Replaces every run of newlines by one and removes newlines at the end, in place: the assignment's rule for JSON in an
/// answer. Such newlines lie between tokens, because JSON strings hold no newlines.
pub fn tidy(json: &mut Vec<u8>) {
    json.dedup_by(|byte, before| *byte == b'\n' && *before == b'\n');
    // After the replacement a run is one newline.
    if json.last() == Some(&b'\n') {
        json.pop();
    }
}

/// An answer under construction. Near places share areas and regions, so a text is read once and then copied from the
/// answer: eight results at UCLA take 11 reads instead of 24.
struct Writer<'a> {
    json: Vec<u8>,
    dat: &'a Dat,
    scratch: &'a mut Scratch,
    /// Areas in the answer: their places' kind, and the ranges of types and vicinity in `json`.
    areas: heapless::Vec<(AreaAt, Kind, Range<usize>), { MAX_ITEMS as usize }>,
    /// Regions in the answer, and their ranges in `json`, without quotes.
    regions: heapless::Vec<(RegionAt, Range<usize>), { MAX_ITEMS as usize }>,
}

impl Writer<'_> {
    fn push(&mut self, text: &str) {
        push(&mut self.json, text);
    }

    fn push_result(&mut self, spot: &Spot) -> Result<(), PlacesError> {
        self.push(
            "      {\n         \"geometry\" : {\n            \"location\" : {\n               \"lat\" : ",
        );
        push_degrees(&mut self.json, spot.latitude_udeg);
        self.push(",\n               \"lng\" : ");
        push_degrees(&mut self.json, spot.longitude_udeg);
        self.push("\n            }\n         },\n         \"name\" : ");
        let (area_at, name) = self.dat.name(spot, self.scratch)?;
        push_string(&mut self.json, name);
        let id = PlaceId::new(spot, name);
        self.push(",\n         \"place_id\" : \"");
        match self.areas.iter().find(|known| known.0 == area_at) {
            Some((_, kind, range)) => {
                let (kind, range) = (*kind, range.clone());
                id.push(&mut self.json, kind);
                self.json.extend_from_within(range);
            }
            None => self.push_new_area(area_at, id)?,
        }
        self.push("\n      }");
        Ok(())
    }

    /// The rest of a result whose area is new to the answer: id, types, vicinity.
    fn push_new_area(&mut self, area_at: AreaAt, id: PlaceId) -> Result<(), PlacesError> {
        let (kind, region_at, area) = self.dat.area(area_at, self.scratch)?;
        id.push(&mut self.json, kind);
        let begin = self.json.len();
        push(&mut self.json, "\",\n         \"types\" : ");
        push(&mut self.json, kind.types());
        push(&mut self.json, ",\n         \"vicinity\" : \"");
        if !area.is_empty() {
            push_unquoted(&mut self.json, area);
            push(&mut self.json, ", ");
        }
        let has_area = !area.is_empty();
        let region_at_byte = self.json.len();
        match self.regions.iter().find(|known| known.0 == region_at) {
            Some((_, range)) => self.json.extend_from_within(range.clone()),
            None => {
                push_unquoted(&mut self.json, self.dat.region(region_at, self.scratch)?);
                // A result adds at most one region and one area, and the capacity equals the number of results. A failed push would
                // only cause another read.
                let _ = self.regions.push((region_at, region_at_byte..self.json.len()));
            }
        }
        if has_area && self.json.len() == region_at_byte {
            // Imported places may have an empty region. Remove the comma before it.
            self.json.truncate(region_at_byte - 2);
        }
        self.push("\"");
        let _ = self.areas.push((area_at, kind, begin..self.json.len()));
        Ok(())
    }
}

/// A place's id: `herd-` and 16 hex digits, SipHash-2-4 (key 0 0) of latitude and longitude (millionths of a degree, i32,
/// little-endian), the name's bytes, 0xFF, and the kind's byte. The id does not depend on the place's offset in the file,
/// so a new build of the data does not change it. A new name or position does. The area is not a part of it, because
/// counties change their names more often than towns.
struct PlaceId(SipHasher24);

impl PlaceId {
    fn new(spot: &Spot, name: &str) -> Self {
        let mut hasher = SipHasher24::new();
        hasher.write(&spot.latitude_udeg.to_le_bytes());
        hasher.write(&spot.longitude_udeg.to_le_bytes());
        hasher.write(name.as_bytes());
        Self(hasher)
    }

    fn push(mut self, json: &mut Vec<u8>, kind: Kind) {
        self.0.write(&[0xFF, kind as u8]);
        let hash = self.0.finish();
        push_formatted(json, format_args!("herd-{hash:016x}"));
    }
}

/// The shortest decimal that equals `udeg` millionths.
fn push_degrees(json: &mut Vec<u8>, udeg: i32) {
    let (whole, fraction) = (udeg.unsigned_abs() / 1_000_000, udeg.unsigned_abs() % 1_000_000);
    let sign = if udeg < 0 { "-" } else { "" };
    if fraction == 0 {
        return push_formatted(json, format_args!("{sign}{whole}"));
    }
    push_formatted(json, format_args!("{sign}{whole}.{fraction:06}"));
    while json.last() == Some(&b'0') {
        json.pop();
    }
}

/// An array of strings that are already JSON, on one line if that is short enough, like Google's printer. `indent` is the
/// indent of the array's member.
pub(crate) fn push_strings(json: &mut Vec<u8>, indent: usize, strings: &[&str]) {
    let width = 4 + strings.iter().map(|text| text.len() + 2).sum::<usize>();
    let (open, between, close) = match strings.len() {
        0 => return push(json, "[]"),
        count if count * 3 < ONE_LINE_MAX && width - 2 < ONE_LINE_MAX => ("[ ", ", ", " ]"),
        _ => ("[\n", ",\n", "\n"),
    };
    let is_one_line = open == "[ ";
    let pad =
        |json: &mut Vec<u8>, by: usize| json.resize(json.len() + if is_one_line { 0 } else { by }, b' ');
    push(json, open);
    for (index, text) in strings.iter().enumerate() {
        push(json, if index == 0 { "" } else { between });
        pad(json, indent + 3);
        push(json, text);
    }
    push(json, close);
    pad(json, indent);
    push(json, if is_one_line { "" } else { "]" });
}

pub(crate) fn push(json: &mut Vec<u8>, text: &str) {
    json.extend_from_slice(text.as_bytes());
}

fn push_string(json: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(json, text).expect("a string is JSON and a Vec takes all that is written");
}

/// The inside of a JSON string, without quotes, as a part of a longer string.
fn push_unquoted(json: &mut Vec<u8>, text: &str) {
    let quote_at = json.len();
    push_string(json, text);
    json.remove(quote_at);
    json.pop();
}

fn push_formatted(json: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    json.write_fmt(arguments).expect("a Vec takes all that is written");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::file::encode::encode;
    use crate::places::testing::{TempFile, some_places};

    fn asked(query: &Query) -> String {
        let bytes = encode(&mut some_places()).expect("in range");
        let file = TempFile::new(&bytes);
        let dat = Dat::open(file.path()).expect("whole");
        let json = answer(&dat, query, &mut Scratch::new()).expect("the file is whole");
        String::from_utf8(json).expect("JSON is UTF-8")
    }

    #[test]
    fn results_look_like_googles() {
        let query =
            Query { latitude_deg: 34.06893, longitude_deg: -118.445127, radius_m: 20_000.0, items: 2 };
        let expected = r#"{
   "html_attributions" : [],
   "results" : [
      {
         "geometry" : {
            "location" : {
               "lat" : 34.0658,
               "lng" : -118.445
            }
         },
         "name" : "Westwood \"Village\"",
         "place_id" : "herd-0000000000000000",
         "types" : [ "locality", "political" ],
         "vicinity" : "Los Angeles County, California, US"
      },
      {
         "geometry" : {
            "location" : {
               "lat" : 33.942501,
               "lng" : -118.407997
            }
         },
         "name" : "Los Angeles International Airport",
         "place_id" : "herd-0000000000000000",
         "types" : [ "airport", "point_of_interest", "establishment" ],
         "vicinity" : "Los Angeles, California, US"
      }
   ],
   "status" : "OK"
}"#;
        let json = asked(&query);
        let mut plain = json.clone();
        for (at, _) in json.match_indices("herd-") {
            plain.replace_range(at + 5..at + 21, "0000000000000000");
        }
        assert_eq!(plain, expected);
        // Clients store ids: this one must never change.
        assert!(json.contains("herd-323a2a35a007aa6c"), "{json}");
    }

    #[test]
    fn nothing_near_and_nothing_asked_for() {
        let nothing = Query { latitude_deg: -40.0, longitude_deg: -100.0, radius_m: 50_000.0, items: 20 };
        let zero =
            "{\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : \"ZERO_RESULTS\"\n}";
        assert_eq!(asked(&nothing), zero);
        let no_items = Query { latitude_deg: 34.0658, longitude_deg: -118.445, radius_m: 1.0, items: 0 };
        assert_eq!(asked(&no_items), zero.replace("ZERO_RESULTS", "OK"));
    }

    #[test]
    fn every_answer_is_json_with_members_in_order() {
        let query = Query { latitude_deg: 89.9, longitude_deg: 0.0, radius_m: 50_000.0, items: 20 };
        for json in [asked(&query), error_json("UNKNOWN_ERROR", "a \"quote\"\nand a line")] {
            let value: serde_json::Value = serde_json::from_str(&json).expect("an answer is JSON");
            // serde_json sorts a map's members, so the order of the parsed members must equal the order in the text.
            let members: Vec<_> = value.as_object().expect("an object").keys().cloned().collect();
            let at: Vec<_> = members.iter().map(|name| json.find(&format!("   \"{name}\" : "))).collect();
            assert!(at.iter().all(Option::is_some) && at.is_sorted(), "{json}");
        }
    }

    #[test]
    fn arrays_of_strings_take_one_line_while_short() {
        let printed = |strings: &[&str]| {
            let mut json = Vec::new();
            push_strings(&mut json, 3, strings);
            String::from_utf8(json).expect("UTF-8")
        };
        assert_eq!(printed(&[]), "[]");
        assert_eq!(printed(&["\"a\"", "\"b\""]), "[ \"a\", \"b\" ]");
        let (short, long) = ("x".repeat(69), "x".repeat(70));
        assert_eq!(printed(&[&short]), format!("[ {short} ]"));
        assert_eq!(printed(&[&long]), format!("[\n      {long}\n   ]"));
        assert_eq!(printed(&[&short, "y"]), format!("[\n      {short},\n      y\n   ]"));
    }

    #[test]
    fn degrees_are_the_shortest_decimals() {
        let table = [
            (0, "0"),
            (-1, "-0.000001"),
            (12_000_000, "12"),
            (-118_445_127, "-118.445127"),
            (500_000, "0.5"),
        ];
        for (udeg, text) in table.into_iter().chain([(i32::MIN, "-2147.483648"), (-90_000_000, "-90")]) {
            let mut json = Vec::new();
            push_degrees(&mut json, udeg);
            assert_eq!(json, text.as_bytes());
        }
    }

    #[test]
    fn tidy_cuts_runs_and_the_end() {
        let table = [
            ("", ""),
            ("\n", ""),
            ("\n\n\n", ""),
            ("a\n\n\nb\nc\n\n", "a\nb\nc"),
            ("a\r\n\nb", "a\r\nb"),
            ("a b", "a b"),
        ];
        for (from, to) in table {
            let mut json = from.as_bytes().to_vec();
            tidy(&mut json);
            assert_eq!(json, to.as_bytes(), "{from:?}");
        }
    }
}
