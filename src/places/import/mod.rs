//! Makes a places file of the operator's own data: reads GeoNames dumps, CSV, GeoJSON and OpenStreetMap's PBF, and merges
//! them with an existing places file.
//!
//! ```text
//!  lines -> geonames            rows -> encode     select the newest, sort, write
//!        -> table (CSV)         row: checks of a place, and its identity
//!        -> geojson -> document -> feature -> osm
//!           pbf                            -> osm
//! ```
//!
//! This folder must not know the command line. Places files are made on a PC: an import holds all places in memory.
//!
//! # Which of two rows wins
//! - Rows with the same id are one place. The id is GeoNames', OpenStreetMap's or a file's own. If the format has dates, the
//!   row with the later date wins, otherwise the row read later. A places file does not store ids.
//! - An id such as `w7` can be OpenStreetMap's or a file's own. Rows with such an id are one place if their names are equal
//!   or they are within 1 km, and different places otherwise.
//! - Places with the same position, kind and name are one place, because they would have the same `place_id`. The place read
//!   later wins. The base is read first, then the files in the given order, so the files win over the base.
//!
//! Near places with different names stay separate. So do places with the same name at different positions: two cafes of one
//! chain are not a mistake.
//!
//! Invariants: the output is replaced atomically. The same inputs in the same order give the same bytes. The import reports
//! or counts every row that it skips.

mod csv;
mod document;
mod error;
mod feature;
mod geojson;
mod geonames;
mod lines;
mod osm;
#[cfg(feature = "pbf")]
mod pbf;
mod progress;
mod row;
mod table;

pub use error::{BadRow, ImportError};
pub use progress::Progress;

use crate::files::{Replacement, replaceable};
use crate::places::file::encode::{Place, encode};
use crate::places::file::format::{Dat, Kind, Scratch};
use error::Wrong;
use geonames::Divisions;
use row::{Id, Row, are_one_element};
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Most places that have the same id of OpenStreetMap and are not one element.
const SAME_ID_MAX: u8 = 16;

/// Bad rows that the import reports one by one. It only counts the others.
const BAD_TOLD_MAX: u64 = 20;

/// The format of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A GeoNames dump: 19 columns parted by tabs.
    GeoNames,
    /// CSV with a header.
    Csv,
    /// GeoJSON: one collection, or features in a row.
    GeoJson,
    /// OpenStreetMap's PBF.
    Pbf,
}

impl Format {
    /// The words for formats on the command line.
    pub const WORDS: [&str; 4] = ["geonames", "csv", "geojson", "pbf"];

    /// The format with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        let at = Self::WORDS.iter().position(|known| *known == word)?;
        [Self::GeoNames, Self::Csv, Self::GeoJson, Self::Pbf].get(at).copied()
    }

    /// The format that a file's ending stands for.
    pub fn of_name(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::GeoNames),
            "csv" | "tsv" => Some(Self::Csv),
            "pbf" => Some(Self::Pbf),
            "geojson" | "json" | "geojsonl" | "geojsonseq" | "ndjson" => Some(Self::GeoJson),
            _ => None,
        }
    }
}

/// The layout of a CSV. The import guesses what is not given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The column of each of [`Columns::ROLES`].
    pub given: [Option<String>; Columns::ROLES.len()],
    /// The character between two fields.
    pub separator: Option<char>,
}

impl Columns {
    /// The roles of columns: a place's name, latitude and longitude in degrees, kind in the words of [`kind_of_word`], vicinity as
    /// answers show it, and the row's id within the file.
    pub const ROLES: [&str; 6] = ["name", "lat", "lon", "type", "vicinity", "id"];

    /// Parses `name=Title,lat=Y`. A column's name may hold commas.
    ///
    /// # Errors
    /// The part that does not have this form, or that repeats a role.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut columns = Self::default();
        let mut parts: Vec<String> = Vec::new();
        for part in list.split(',') {
            match parts.last_mut() {
                Some(last) if !part.trim().is_empty() && !part.contains('=') => *last += &format!(",{part}"),
                _ => parts.push(part.to_owned()),
            }
        }
        for part in parts {
            let (role, column) =
                part.split_once('=').map_or((&*part, ""), |(role, column)| (role.trim(), column.trim()));
            let Some(at) = Self::ROLES.iter().position(|known| *known == role) else { return Err(part) };
            let slot = &mut columns.given[at];
            if column.is_empty() || slot.replace(column.to_owned()).is_some() {
                return Err(part);
            }
        }
        Ok(columns)
    }
}

/// The kind with this word of Google's, such as `cafe`.
pub fn kind_of_word(word: &str) -> Option<Kind> {
    Kind::of_word(word)
}

/// The parameters of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The files, in the order in which they are read.
    pub inputs: Vec<(PathBuf, Format)>,
    /// A places file to merge into.
    pub base: Option<PathBuf>,
    /// GeoNames' files of divisions, `admin1CodesASCII.txt` and `admin2Codes.txt`.
    pub divisions: Vec<PathBuf>,
    /// The names of the CSV's columns.
    pub columns: Columns,
    /// The kind of rows without a kind.
    pub kind: Kind,
    /// Whether the import skips bad rows. Otherwise the first one ends the import.
    pub skips_bad: bool,
    /// The places file to write, which may be the base.
    pub out: PathBuf,
}

/// Counts of an import.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Places of the base.
    pub base: u64,
    /// Rows taken from the inputs.
    pub rows: u64,
    /// Bad rows left out.
    pub bad: u64,
    /// Features without a name.
    pub unnamed: u64,
    /// Lines, and areas without a known type.
    pub no_points: u64,
    /// Countries and their divisions, which are not places.
    pub divisions: u64,
    /// Places written. The other places of base and rows have the same id, or the same position, kind and name, as one of
    /// these.
    pub places: u32,
    /// The written file's length.
    pub bytes: u64,
}

impl Summary {
    /// What the import left out, and how many of each: empty if nothing.
    fn left_out(&self) -> String {
        let Self { bad, unnamed, no_points, divisions, .. } = self;
        let left_out = [
            (bad, counted(*bad, "bad row")),
            (unnamed, format!("{unnamed} without a name")),
            (no_points, format!("{no_points} other than points and typed areas")),
            (divisions, counted(*divisions, "division")),
        ];
        let texts = left_out.into_iter().filter(|(count, _)| **count > 0).map(|(_, text)| text);
        match texts.collect::<Vec<_>>().join(", ") {
            text if text.is_empty() => text,
            text => format!("; left out: {text}"),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, rows, places, bytes, .. } = self;
        let (rows_counted, places_counted) = (counted(*rows, "row"), counted(u64::from(*places), "place"));
        let same = base + rows - u64::from(*places);
        write!(
            f,
            "{places_counted} ({base} of the base, {rows_counted}, {same} the same as another), {bytes} bytes{}",
            self.left_out()
        )
    }
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The result of a row.
#[derive(Debug)]
enum Outcome {
    Row(Row),
    Bad(Wrong),
    LeftOut(LeftOut),
}

/// Why the import skips a valid row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeftOut {
    Unnamed,
    NoPoint,
    Division,
}

/// Takes each row of an input with its first line.
type Take<'a> = &'a mut dyn FnMut(usize, Outcome) -> Result<(), ImportError>;

/// Runs an import.
///
/// # Errors
/// A read of an input fails, an input is invalid (except for bad rows that the import skips), or a write of the output
/// fails. The output is then unchanged.
pub fn import(import: &Import, progress: &mut Progress<'_>) -> Result<Summary, ImportError> {
    let out = &import.out;
    let refuse = |error| ImportError::Write(out.clone(), error);
    replaceable(out).map_err(refuse)?;
    let is_out = |file: &Path| matches!((file.canonicalize(), out.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if import.inputs.iter().any(|(file, _)| is_out(file)) {
        return Err(refuse(io::Error::other("it is one of the files to import")));
    }
    let mut divisions = Divisions::default();
    for file in &import.divisions {
        divisions.read(file)?;
    }
    let mut rows = Rows::default();
    let mut summary = Summary::default();
    if let Some(base) = &import.base {
        summary.base = rows.add_base(base, progress)?;
    }
    for (number, (file, format)) in (0..).zip(&import.inputs) {
        read_input(import, (file, *format, number), &divisions, &mut rows, &mut summary, progress)?;
    }
    if summary.bad > BAD_TOLD_MAX {
        progress.message(&format!("{} more bad rows left out", summary.bad - BAD_TOLD_MAX));
    }
    progress.begin("writing places", 0);
    let mut places = rows.into_places();
    let bytes = encode(&mut places).map_err(ImportError::Limit)?;
    let new = Replacement::new(out, &format!("{}.new", std::process::id()), 0o666).map_err(refuse)?;
    new.file().write_all(&bytes).and_then(|()| new.commit()).map_err(refuse)?;
    progress.clear();
    let places = u32::try_from(places.len()).map_err(|_| refuse(io::ErrorKind::FileTooLarge.into()))?;
    Ok(Summary { places, bytes: bytes.len() as u64, ..summary })
}

/// Reads one input. Its number separates its ids from other inputs' ids.
fn read_input(
    import: &Import,
    (file, format, number): (&Path, Format, u32),
    divisions: &Divisions,
    rows: &mut Rows,
    summary: &mut Summary,
    progress: &mut Progress<'_>,
) -> Result<(), ImportError> {
    let bytes = Rc::new(Cell::new(0));
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    progress.begin(&format!("reading {name}"), fs::metadata(file).map_or(0, |metadata| metadata.len()));
    let before = *summary;
    let mut take = |line: usize, outcome: Outcome| {
        progress.at(bytes.get());
        match outcome {
            Outcome::Row(row) => {
                summary.rows += 1;
                rows.add(row);
            }
            Outcome::LeftOut(LeftOut::Unnamed) => summary.unnamed += 1,
            Outcome::LeftOut(LeftOut::NoPoint) => summary.no_points += 1,
            Outcome::LeftOut(LeftOut::Division) => summary.divisions += 1,
            Outcome::Bad(wrong) => {
                let row = BadRow { file: file.into(), line, wrong };
                if !import.skips_bad {
                    return Err(ImportError::Row(row));
                }
                summary.bad += 1;
                if summary.bad <= BAD_TOLD_MAX {
                    progress.message(&format!("{row}; left out"));
                }
            }
        }
        Ok(())
    };
    let kind_and_number = (import.kind, number);
    let open = || lines::open(file, &bytes);
    match format {
        Format::GeoNames => geonames::read(open()?, file, divisions, &mut take),
        Format::Csv => table::read(open()?, file, &import.columns, kind_and_number, &mut take),
        Format::GeoJson => geojson::read(open()?, file, kind_and_number, &mut take),
        #[cfg(feature = "pbf")]
        Format::Pbf => pbf::read(file, import.kind, &bytes, &mut take),
        #[cfg(not(feature = "pbf"))]
        Format::Pbf => Err(ImportError::Malformed(file.into(), 0, NO_PBF.into())),
    }?;
    if summary.rows == before.rows {
        let left_out = Summary {
            bad: summary.bad - before.bad,
            unnamed: summary.unnamed - before.unnamed,
            no_points: summary.no_points - before.no_points,
            divisions: summary.divisions - before.divisions,
            ..Summary::default()
        };
        return Err(ImportError::Nothing(file.into(), left_out.left_out()));
    }
    Ok(())
}

/// The remedy of a build without the feature `pbf`.
#[cfg(not(feature = "pbf"))]
const NO_PBF: &str = "this build does not read PBF (convert it: osmium export -f geojsonseq -u type_id -o NEW.geojsonseq FILE)";

/// All rows in the order of reading. A row that a newer one replaces leaves a gap.
#[derive(Default)]
struct Rows {
    places: Vec<Option<Place>>,
    /// The index of the row with an id, and its date.
    ids: HashMap<Id, (usize, u32)>,
    /// Areas and regions, each once.
    texts: HashSet<Rc<str>>,
}

impl Rows {
    fn add(&mut self, row: Row) {
        let Row { mut place, id, date } = row;
        place.area = self.shared(place.area);
        place.region = self.shared(place.region);
        if let Some(id) = id
            && !self.replaces(id, date, &place)
        {
            return;
        }
        self.places.push(Some(place));
    }

    /// Removes the row that `place` replaces, if any. Returns `false` if the row with its id is newer.
    fn replaces(&mut self, mut id: Id, date: u32, place: &Place) -> bool {
        let next = self.places.len();
        loop {
            let Some((at, had)) = self.ids.get_mut(&id) else {
                self.ids.insert(id, (next, date));
                return true;
            };
            if let Id::OpenStreetMap(_, _, nth) = &mut id
                && self.places[*at].as_ref().is_some_and(|other| !are_one_element(other, place))
            {
                *nth += 1;
                if *nth == SAME_ID_MAX {
                    return true;
                }
                continue;
            }
            if date < *had {
                return false;
            }
            self.places[*at] = None;
            (*at, *had) = (next, date);
            return true;
        }
    }

    /// The text, held once for all places.
    fn shared(&mut self, text: Rc<str>) -> Rc<str> {
        if let Some(known) = self.texts.get(&text) {
            return Rc::clone(known);
        }
        self.texts.insert(Rc::clone(&text));
        text
    }

    /// Adds the places of a places file. Returns their number.
    fn add_base(&mut self, base: &Path, progress: &mut Progress<'_>) -> Result<u64, ImportError> {
        let dat = Dat::open(base).map_err(ImportError::Base)?;
        let (mut scan, mut scratch) = (Scratch::new(), Scratch::new());
        progress.begin("reading the base", dat.places().into());
        let mut done = Ok(());
        dat.scan_band(i32::MIN, i32::MAX, &mut scan, |spot| {
            if done.is_ok() {
                let place = dat.place(&spot, &mut scratch).map_err(ImportError::Base);
                done = place.map(|place| self.add(Row { place, id: None, date: 0 }));
                progress.at(spot.number.into());
            }
        })
        .map_err(ImportError::Base)?;
        done.map(|()| self.places.len() as u64)
    }

    fn into_places(self) -> Vec<Place> {
        self.places.into_iter().flatten().collect()
    }
}

/// The rows that a reader finds, as one text per row.
#[cfg(test)]
fn shown_rows(read: impl FnOnce(Take<'_>) -> Result<(), ImportError>) -> Vec<String> {
    let mut rows = Vec::new();
    let mut take = |line: usize, outcome: Outcome| {
        rows.push(match outcome {
            Outcome::Row(Row { place, id, date }) => {
                let Place { latitude_udeg, longitude_udeg, kind, name, area, region } = place;
                let id = match id {
                    None => String::new(),
                    Some(Id::GeoNames(number)) => format!("{number} {date}"),
                    Some(Id::OpenStreetMap(letter, number, _)) => {
                        format!("{}{number} {date}", char::from(letter))
                    }
                    Some(Id::File(_, text)) => format!("{text} {date}"),
                };
                format!("{line} {kind:?} {latitude_udeg} {longitude_udeg} {name} | {area} | {region} | {id}")
            }
            Outcome::Bad(Wrong { member, what, remedy }) => {
                format!("{line} bad: {member}: {what} ({remedy})")
            }
            Outcome::LeftOut(why) => format!("{line} left out: {why:?}"),
        });
        Ok(())
    };
    read(&mut take).expect("the text can be read");
    rows
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
