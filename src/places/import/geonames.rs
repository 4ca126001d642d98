//! Reads GeoNames dumps: `allCountries.txt`, `US.txt`, `cities500.txt` and the daily `modifications-*.txt`. Each line has 19
//! columns separated by tabs, without quotes.
//!
//! The import skips divisions of countries (class A), because they are not places. A place's vicinity has the same form as
//! in the committed file: the names of its divisions, if [`Divisions`] has them, and the country's code.

use super::error::{ImportError, Wrong};
use super::lines::{Line, Lines, open};
use super::row::{Id, Row, degrees, name, text};
use super::{LeftOut, Outcome, Take};
use crate::places::file::encode::Place;
use crate::places::file::format::Kind;
use std::cell::Cell;
use std::collections::HashMap;
use std::io::BufRead;
use std::path::Path;
use std::rc::Rc;

/// The columns, as GeoNames' `readme.txt` calls them.
const COLUMNS: [&str; 19] = [
    "geonameid",
    "name",
    "asciiname",
    "alternatenames",
    "latitude",
    "longitude",
    "feature class",
    "feature code",
    "country code",
    "cc2",
    "admin1 code",
    "admin2 code",
    "admin3 code",
    "admin4 code",
    "population",
    "elevation",
    "dem",
    "timezone",
    "modification date",
];

/// Most bytes of codes and names in the files of divisions: three times their size today.
const DIVISIONS_BYTES_MAX: usize = 8 << 20;

/// Names of divisions by their codes, `US.CA` and `US.CA.037`.
#[derive(Default)]
pub(super) struct Divisions {
    names: HashMap<Box<str>, Box<str>>,
    bytes: usize,
}

impl Divisions {
    /// Reads `admin1CodesASCII.txt` or `admin2Codes.txt`: code, name, and unused columns.
    pub(super) fn read(&mut self, file: &Path) -> Result<(), ImportError> {
        let mut lines = Lines::new(open(file, &Rc::new(Cell::new(0)))?);
        let mut line = Vec::new();
        loop {
            match lines.next(&mut line).map_err(|error| ImportError::Read(file.into(), error))? {
                Line::End => return Ok(()),
                Line::Whole if is_nothing(&line) => {}
                _ => {
                    let malformed =
                        |what: &'static str| ImportError::Malformed(file.into(), lines.number(), what.into());
                    let text = std::str::from_utf8(&line).map_err(|_| malformed(NOT_UTF8))?;
                    let (code, rest) = text.split_once('\t').ok_or_else(|| malformed(NO_DIVISION))?;
                    let name = rest.split('\t').next().unwrap_or(rest).trim();
                    self.bytes += code.len() + name.len();
                    if self.bytes > DIVISIONS_BYTES_MAX {
                        return Err(malformed("more than 8 MB of divisions (is this the right file?)"));
                    }
                    self.names.insert(code.into(), name.into());
                }
            }
        }
    }

    fn name(&self, code: &str) -> &str {
        self.names.get(code).map_or("", |name| name)
    }
}

const NOT_UTF8: &str = "is not UTF-8 (convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW)";
const NO_DIVISION: &str = "has no tab (code, tab and name are due, as in admin1CodesASCII.txt)";

/// Whether the line is blank or a comment. Some of the files have such lines.
fn is_nothing(line: &[u8]) -> bool {
    line.trim_ascii_start().is_empty() || line.starts_with(b"#")
}

/// Calls `take` with each row.
pub(super) fn read(
    reader: impl BufRead,
    file: &Path,
    divisions: &Divisions,
    take: Take<'_>,
) -> Result<(), ImportError> {
    let mut lines = Lines::new(reader);
    let mut line = Vec::new();
    loop {
        let outcome = match lines.next(&mut line).map_err(|error| ImportError::Read(file.into(), error))? {
            Line::End => return Ok(()),
            Line::TooLong => Outcome::Bad(Wrong::new(
                "line",
                format!("is longer than {} bytes", super::lines::LINE_BYTES_MAX),
                "is this a GeoNames dump? it has a place a line",
            )),
            Line::Whole if is_nothing(&line) => continue,
            Line::Whole => row(&line, divisions).unwrap_or_else(Outcome::Bad),
        };
        take(lines.number(), outcome)?;
    }
}

/// The columns of one line.
struct Fields<'a>([&'a [u8]; COLUMNS.len()]);

impl<'a> Fields<'a> {
    fn of(line: &'a [u8]) -> Result<Self, Wrong> {
        let mut fields = [&[][..]; COLUMNS.len()];
        let mut count = 0;
        for field in line.split(|&byte| byte == b'\t') {
            if let Some(slot) = fields.get_mut(count) {
                *slot = field;
            }
            count += 1;
        }
        if count == COLUMNS.len() {
            return Ok(Self(fields));
        }
        let remedy = "a GeoNames dump has 19 columns parted by tabs; other files: --format csv";
        let member = COLUMNS.get(count).copied().unwrap_or("columns");
        Err(Wrong::new(member, format!("{count} columns where {} are due", COLUMNS.len()), remedy))
    }

    fn text(&self, column: usize) -> Result<&'a str, Wrong> {
        std::str::from_utf8(self.0[column]).map(str::trim).map_err(|_| {
            Wrong::new(COLUMNS[column], "is not UTF-8", "convert it: iconv -f LATIN1 -t UTF-8 FILE > NEW")
        })
    }
}

fn row(line: &[u8], divisions: &Divisions) -> Result<Outcome, Wrong> {
    let fields = Fields::of(line)?;
    let id = fields.text(0)?;
    let id = id.parse().map_err(|_| {
        Wrong::new(COLUMNS[0], format!("{id:?} is not a number"), "every GeoNames place has one")
    })?;
    let name = name(COLUMNS[1], fields.text(1)?)?;
    let latitude_udeg = degrees(COLUMNS[4], fields.text(4)?, 90)?;
    let longitude_udeg = degrees(COLUMNS[5], fields.text(5)?, 180)?;
    let (class, code) = (fields.text(6)?, fields.text(7)?);
    let country = fields.text(8)?;
    // A place on the high seas has an empty country.
    if !country.is_empty() {
        check_country(country)
            .map_err(|what| Wrong::new(COLUMNS[8], what, "two capital letters, or nothing at sea"))?;
    }
    let date = date(fields.text(18)?)?;
    let Some(kind) = kind(class, code)? else { return Ok(Outcome::LeftOut(LeftOut::Division)) };
    let first = format!("{country}.{}", fields.text(10)?);
    let second = format!("{first}.{}", fields.text(11)?);
    let (first, second) = (divisions.name(&first), divisions.name(&second));
    let area = text(COLUMNS[11], if second == first { "" } else { second })?.into();
    // A country stays a code, because no file of the dump has its name.
    let region = if first.is_empty() { country.to_owned() } else { format!("{first}, {country}") };
    let region = text(COLUMNS[10], &region)?.into();
    let place = Place { latitude_udeg, longitude_udeg, kind, name, area, region };
    Ok(Outcome::Row(Row { place, id: Some(Id::GeoNames(id)), date }))
}

fn check_country(country: &str) -> Result<(), String> {
    let is_code = country.len() == 2 && country.bytes().all(|byte| byte.is_ascii_uppercase());
    if is_code { Ok(()) } else { Err(format!("{country:?} is not a country code of two capital letters")) }
}

/// `2026-11-24` as 20261124; an empty text as 0.
fn date(text: &str) -> Result<u32, Wrong> {
    let bytes = text.as_bytes();
    if bytes.is_empty() {
        return Ok(0);
    }
    let is_dashed = bytes.len() == 10 && bytes[4] == b'-' && bytes[7] == b'-';
    let digits = text.replace('-', "");
    let number = digits.parse().ok().filter(|_| is_dashed && digits.bytes().all(|b| b.is_ascii_digit()));
    let is_day = |date: &u32| (1..=12).contains(&(date / 100 % 100)) && (1..=31).contains(&(date % 100));
    number.filter(is_day).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        Wrong::new(COLUMNS[18], format!("{shown:?} is not a date"), "YYYY-MM-DD; has a column been lost?")
    })
}

/// The kind of a feature. `None` for divisions of countries.
fn kind(class: &str, code: &str) -> Result<Option<Kind>, Wrong> {
    Ok(Some(match class {
        "A" => return Ok(None),
        "P" => Kind::Locality,
        "H" | "T" | "U" | "V" => Kind::NaturalFeature,
        "L" if code.starts_with("PRK") || code.starts_with("RES") => Kind::Park,
        "R" if code == "PKLT" => Kind::Parking,
        "S" => spot(code),
        "L" | "R" | "" => Kind::PointOfInterest,
        _ => {
            let shown: String = class.chars().take(40).collect();
            let remedy = "one of A, H, L, P, R, S, T, U, V; has a column been lost?";
            return Err(Wrong::new(COLUMNS[6], format!("{shown:?} is not a feature class"), remedy));
        }
    }))
}

/// The kind of a building or similar spot, by GeoNames' `featureCodes`.
fn spot(code: &str) -> Kind {
    match code {
        "AIRP" | "AIRF" | "AIRH" | "AIRB" | "AIRS" | "AIRT" => Kind::Airport,
        "REST" => Kind::Restaurant,
        "HTL" | "GHSE" | "RSRT" | "HUT" | "RHSE" => Kind::Lodging,
        "MALL" | "MKT" | "SHOPC" => Kind::Store,
        "HSP" | "HSPC" | "HSPD" | "HSPL" => Kind::Hospital,
        "CTRM" => Kind::Doctor,
        "SCH" | "SCHA" | "SCHC" | "SCHL" | "SCHM" | "SCHN" | "SCHT" => Kind::School,
        "UNIV" | "UNIP" => Kind::University,
        "LIBR" => Kind::Library,
        "MUS" => Kind::Museum,
        "CH" | "MSQE" | "TMPL" | "SHRN" | "SYG" | "CTRR" => Kind::PlaceOfWorship,
        "BANK" => Kind::Bank,
        "PO" => Kind::PostOffice,
        "PP" => Kind::Police,
        "BUSTN" | "BUSTP" => Kind::BusStation,
        "RSTN" | "RSTP" | "MTRO" => Kind::TrainStation,
        "STDM" | "ATHF" => Kind::Stadium,
        "CMTY" | "GRVE" | "TMB" => Kind::Cemetery,
        "ADMF" | "GOVL" | "CTHSE" | "DIP" => Kind::LocalGovernmentOffice,
        "AMTH" | "ANS" | "CSTL" | "HSTS" | "LTHSE" | "MNMT" | "OPRA" | "PAL" | "PYR" | "RUIN" | "THTR"
        | "ZOO" => Kind::TouristAttraction,
        _ => Kind::PointOfInterest,
    }
}

#[cfg(test)]
mod tests {
    use super::super::shown_rows;
    use super::*;
    use crate::places::testing::TempFile;

    const WESTWOOD: &str = "5408211\tWestwood\tWestwood\tWestwud\t34.05612\t-118.43063\tP\tPPLX\tUS\t\tCA\t037\t\t\t0\t104\t101\tAmerica/Los_Angeles\t2017-12-09";

    fn divisions() -> Divisions {
        let mut divisions = Divisions::default();
        let first = "# code\tname\nUS.CA\tCalifornia\tCalifornia\t5332921\nSG.01\tSingapore\tSingapore\t1\n";
        for text in
            [first, "US.CA.037\tLos Angeles County\tLos Angeles County\t5368381\nSG.01.1\tSingapore\n"]
        {
            divisions.read(TempFile::new(text.as_bytes()).path()).expect("divisions");
        }
        divisions
    }

    fn read_all(text: &str) -> Vec<String> {
        shown_rows(|take| read(text.as_bytes(), Path::new("x.txt"), &divisions(), take))
    }

    /// Westwood with another value in `column`.
    fn at(column: usize, value: &str) -> String {
        let mut fields: Vec<&str> = WESTWOOD.split('\t').collect();
        fields[column] = value;
        fields.join("\t")
    }

    #[test]
    fn rows_as_they_occur() {
        let table = [
            (
                WESTWOOD.to_owned(),
                "1 Locality 34056120 -118430630 Westwood | Los Angeles County | California, US | 5408211 20171209",
            ),
            (
                format!("# a comment\n\n{WESTWOOD}\r\n"),
                "3 Locality 34056120 -118430630 Westwood | Los Angeles County | California, US | 5408211 20171209",
            ),
            (at(11, ""), "1 Locality 34056120 -118430630 Westwood |  | California, US | 5408211 20171209"),
            (at(10, "99"), "1 Locality 34056120 -118430630 Westwood |  | US | 5408211 20171209"),
            (at(8, ""), "1 Locality 34056120 -118430630 Westwood |  |  | 5408211 20171209"),
            (
                at(18, ""),
                "1 Locality 34056120 -118430630 Westwood | Los Angeles County | California, US | 5408211 0",
            ),
            (
                at(6, "T"),
                "1 NaturalFeature 34056120 -118430630 Westwood | Los Angeles County | California, US | 5408211 20171209",
            ),
            (at(6, "A"), "1 left out: Division"),
        ];
        for (text, expected) in table {
            assert_eq!(read_all(&text), [expected], "{text}");
        }
        assert_eq!(read_all(""), [""; 0]);
    }

    #[test]
    fn bad_rows_name_the_column() {
        let table = [
            (at(1, " "), "1 bad: name: is empty (give the place a name)"),
            (
                at(4, "34.0561x"),
                "1 bad: latitude: \"34.0561x\" is not a number from -90 to 90 (positions are decimal degrees with a point, such as 34.068930 or -118.445127)",
            ),
            (
                at(5, "181"),
                "1 bad: longitude: \"181\" is not a number from -180 to 180 (positions are decimal degrees with a point, such as 34.068930 or -118.445127)",
            ),
            (at(0, "x"), "1 bad: geonameid: \"x\" is not a number (every GeoNames place has one)"),
            (
                at(6, "Q"),
                "1 bad: feature class: \"Q\" is not a feature class (one of A, H, L, P, R, S, T, U, V; has a column been lost?)",
            ),
            (
                at(8, "us"),
                "1 bad: country code: \"us\" is not a country code of two capital letters (two capital letters, or nothing at sea)",
            ),
            (
                at(18, "2017-13-09"),
                "1 bad: modification date: \"2017-13-09\" is not a date (YYYY-MM-DD; has a column been lost?)",
            ),
            (
                at(18, "20171209"),
                "1 bad: modification date: \"20171209\" is not a date (YYYY-MM-DD; has a column been lost?)",
            ),
            (
                "a\tb".to_owned(),
                "1 bad: asciiname: 2 columns where 19 are due (a GeoNames dump has 19 columns parted by tabs; other files: --format csv)",
            ),
            (
                format!("{WESTWOOD}\t"),
                "1 bad: columns: 20 columns where 19 are due (a GeoNames dump has 19 columns parted by tabs; other files: --format csv)",
            ),
        ];
        for (text, expected) in table {
            assert_eq!(read_all(&text), [expected], "{text}");
        }
        assert!(
            read_all(&format!("{}\n{WESTWOOD}", "x".repeat(70_000)))[0].starts_with("1 bad: line: is longer")
        );
    }

    #[test]
    fn a_column_in_another_encoding_is_named() {
        let line = WESTWOOD.as_bytes().iter().map(|&byte| if byte == b'W' { 0xE9 } else { byte });
        let line: Vec<u8> = line.collect();
        let rows = shown_rows(|take| read(&line[..], Path::new("x"), &Divisions::default(), take));
        assert!(rows[0].starts_with("1 bad: name: is not UTF-8 (convert it: iconv"), "{rows:?}");
    }

    #[test]
    fn features_are_kinds() {
        let table = [
            (("S", "AIRP"), Kind::Airport),
            (("S", "LIBR"), Kind::Library),
            (("S", "HTL"), Kind::Lodging),
            (("S", "FRM"), Kind::PointOfInterest),
            (("L", "PRK"), Kind::Park),
            (("L", "AREA"), Kind::PointOfInterest),
            (("R", "PKLT"), Kind::Parking),
            (("H", "LK"), Kind::NaturalFeature),
            (("", ""), Kind::PointOfInterest),
        ];
        for ((class, code), expected) in table {
            assert_eq!(kind(class, code), Ok(Some(expected)), "{class}.{code}");
        }
    }

    #[test]
    fn what_is_no_file_of_divisions_is_named() {
        for (text, word) in
            [("US.CA California\n", ":1: has no tab"), ("a\tb\n\u{1}\tc\nx", ":3: has no tab")]
        {
            let error = Divisions::default().read(TempFile::new(text.as_bytes()).path());
            assert!(error.is_err_and(|error| error.to_string().contains(word)));
        }
    }
}
