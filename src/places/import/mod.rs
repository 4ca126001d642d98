//! Makes a places file of one's own: reads GeoNames dumps, CSV and GeoJSON, merges them with a places file that is there,
//! and writes one of version 2 of the format.
//!
//! ```text
//!  lines -> geonames            rows -> runs -> stream     sorted, the newest kept, written
//!        -> table (CSV)         row: what is checked of a place, and the record it is sorted as
//!  features -> geojson -> osm
//! ```
//!
//! It must not know the command line. Runs where a node may be running, on a board too: what it holds does not grow with
//! the number of rows; rows lie in unnamed files beside the output until they are merged.
//!
//! # Which of two is kept
//! - Rows of the same id are one place (GeoNames' number, OpenStreetMap's, a file's own): the one with the later date, where
//!   the format has dates, else the one read later. Ids are not kept in a places file.
//! - Places with the same position, kind and name are one place (they would have the same `place_id`): the one read later.
//!   The base is read first, then the files as they are given, so one's own rows win over the base.
//!
//! Places near each other with different names, or of the same name at different positions, stay apart: two cafes of one
//! chain are no mistake.
//!
//! Invariants: the output is written whole or not at all; the same inputs in the same order give the same bytes; a row
//! that is not taken is told or counted, never passed over in silence.

pub mod build;
pub(crate) mod csv;
pub(crate) mod sources;

mod error;
mod features;
mod geojson;
mod geonames;
mod lines;
mod osm;
mod progress;
mod row;
mod runs;
mod sample;
mod stream;
mod table;

pub use error::{BadRow, ImportError};
pub use progress::Progress;

use super::error::PlacesError;
use crate::places::atomic_file::folder_of;
use crate::places::file::format::{Dat, Kind, Scratch, Spot};
use error::Wrong;
use geonames::Divisions;
use row::{Row, split_id};
use runs::{RUN_BYTES, Sorter};
use std::cell::Cell;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use stream::last_of_equals;

/// Bad rows that are told one by one; the rest is only counted.
const BAD_TOLD_MAX: u64 = 20;

/// What an input is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A GeoNames dump: 19 columns parted by tabs.
    GeoNames,
    /// CSV with a header.
    Csv,
    /// GeoJSON: one collection, or features one behind the other.
    GeoJson,
}

impl Format {
    /// The words for formats.
    pub const WORDS: [&str; 3] = ["geonames", "csv", "geojson"];

    /// The format of that word.
    pub fn of_word(word: &str) -> Option<Self> {
        let at = Self::WORDS.iter().position(|known| *known == word)?;
        [Self::GeoNames, Self::Csv, Self::GeoJson].get(at).copied()
    }

    /// The format that a file's name promises by its ending.
    pub fn of_name(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::GeoNames),
            "csv" => Some(Self::Csv),
            "geojson" | "json" | "geojsonl" | "geojsonseq" | "ndjson" => Some(Self::GeoJson),
            _ => None,
        }
    }
}

/// What the columns of a CSV are called, where that is not guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The place's name.
    pub name: Option<String>,
    /// Its latitude in degrees.
    pub lat: Option<String>,
    /// Its longitude in degrees.
    pub lon: Option<String>,
    /// What it is, in the words of [`kind_of_word`].
    pub kind: Option<String>,
    /// Where it lies, as answers show it.
    pub vicinity: Option<String>,
    /// What tells it from other rows of the file.
    pub id: Option<String>,
}

impl Columns {
    /// What a column may be for.
    pub const ROLES: [&str; 6] = ["name", "lat", "lon", "type", "vicinity", "id"];

    /// From `name=Title,lat=Y`.
    ///
    /// # Errors
    /// The part that is not of this form, or says what another part said.
    pub fn parse(list: &str) -> Result<Self, String> {
        let mut columns = Self::default();
        for part in list.split(',') {
            let (role, column) =
                part.split_once('=').map_or((part, ""), |(role, column)| (role.trim(), column.trim()));
            let slot = match role {
                "name" => &mut columns.name,
                "lat" => &mut columns.lat,
                "lon" => &mut columns.lon,
                "type" => &mut columns.kind,
                "vicinity" => &mut columns.vicinity,
                "id" => &mut columns.id,
                _ => return Err(part.to_owned()),
            };
            if column.is_empty() || slot.replace(column.to_owned()).is_some() {
                return Err(part.to_owned());
            }
        }
        Ok(columns)
    }
}

/// The kind of places that Google calls so, such as `cafe`.
pub fn kind_of_word(word: &str) -> Option<Kind> {
    Kind::of_word(word)
}

/// What is to be imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The files, in the order in which they are read.
    pub inputs: Vec<(PathBuf, Format)>,
    /// A places file to begin with.
    pub base: Option<PathBuf>,
    /// GeoNames' files of divisions, `admin1CodesASCII.txt` and `admin2Codes.txt`.
    pub divisions: Vec<PathBuf>,
    /// What the columns of CSV are called.
    pub columns: Columns,
    /// What places are that do not say it.
    pub kind: Kind,
    /// Whether bad rows are left out; else the first one ends the import.
    pub skips_bad: bool,
    /// The places file to write, which may be the base.
    pub out: PathBuf,
}

/// What an import read and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Places of the base.
    pub base: u64,
    /// Rows taken from the inputs.
    pub rows: u64,
    /// Bad rows left out.
    pub bad: u64,
    /// Features that have no name.
    pub unnamed: u64,
    /// Features that are no point.
    pub no_points: u64,
    /// Countries and their divisions, which are no places.
    pub divisions: u64,
    /// Places written. What base and rows have more is in another one of the same id, or of the same position, kind
    /// and name.
    pub places: u32,
    /// The written file's length.
    pub bytes: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { base, rows, bad, unnamed, no_points, divisions, places, bytes } = self;
        let counted = |count: u64, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let (rows_counted, places_counted) = (counted(*rows, "row"), counted(u64::from(*places), "place"));
        let same = base + rows - u64::from(*places);
        write!(
            f,
            "{places_counted} ({base} of the base, {rows_counted}, {same} the same as another), {bytes} bytes"
        )?;
        let left_out = [
            (bad, counted(*bad, "bad row")),
            (unnamed, format!("{unnamed} without a name")),
            (no_points, format!("{no_points} other than points")),
            (divisions, counted(*divisions, "division")),
        ];
        for (index, (_, text)) in left_out.iter().filter(|(count, _)| **count > 0).enumerate() {
            write!(f, "{}{text}", if index == 0 { "; left out: " } else { ", " })?;
        }
        Ok(())
    }
}

/// What a reader makes of a row.
#[derive(Debug)]
enum Outcome {
    Row(Row),
    Bad(Wrong),
    LeftOut(LeftOut),
}

/// Why a row is no place, though nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LeftOut {
    Unnamed,
    NoPoint,
    Division,
}

/// Takes each row of an input with the line that it begins on.
type Take<'a> = &'a mut dyn FnMut(usize, Outcome) -> Result<(), ImportError>;

/// Imports.
///
/// # Errors
/// An input that cannot be read or, unless bad rows are skipped, understood; an output that cannot be written. The output
/// is then as it was.
pub fn import(import: &Import, progress: &mut Progress<'_>) -> Result<Summary, ImportError> {
    import_by(import, RUN_BYTES, progress)
}

fn import_by(import: &Import, run_bytes: usize, progress: &mut Progress<'_>) -> Result<Summary, ImportError> {
    let out = &import.out;
    let refuse = |error| Err(ImportError::Write(out.clone(), error));
    if out.is_dir() {
        return refuse(io::ErrorKind::IsADirectory.into());
    }
    let is_out = |file: &Path| matches!((file.canonicalize(), out.canonicalize()), (Ok(a), Ok(b)) if a == b);
    if import.inputs.iter().any(|(file, _)| is_out(file)) {
        return refuse(io::Error::other("it is one of the files to import"));
    }
    let mut divisions = Divisions::default();
    for file in &import.divisions {
        divisions.read(file)?;
    }
    let mut rows = Rows::new(out, run_bytes)?;
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
    let written = stream::write(rows.merge(progress)?, out, run_bytes, progress)?;
    progress.clear();
    Ok(Summary { places: written.places, bytes: written.bytes, ..summary })
}

/// Reads one input, whose number tells its ids from those of others.
fn read_input(
    import: &Import,
    (file, format, number): (&Path, Format, u32),
    divisions: &Divisions,
    rows: &mut Rows,
    summary: &mut Summary,
    progress: &mut Progress<'_>,
) -> Result<(), ImportError> {
    let bytes = Rc::new(Cell::new(0));
    let reader = lines::open(file, &bytes)?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    progress.begin(&format!("reading {name}"), fs::metadata(file).map_or(0, |metadata| metadata.len()));
    let before = *summary;
    let mut take = |line: usize, outcome: Outcome| {
        progress.at(bytes.get());
        match outcome {
            Outcome::Row(row) => {
                summary.rows += 1;
                return rows.add(&row);
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
    match format {
        Format::GeoNames => geonames::read(reader, file, divisions, &mut take),
        Format::Csv => table::read(reader, file, &import.columns, kind_and_number, &mut take),
        Format::GeoJson => geojson::read(reader, file, kind_and_number, &mut take),
    }?;
    let bad = summary.bad - before.bad;
    // A file of another kind must not replace places by none.
    let has_bad_alone = *summary == Summary { bad: summary.bad, ..before };
    if bad > 0 && has_bad_alone {
        return Err(ImportError::Nothing(file.into(), bad));
    }
    Ok(())
}

/// All rows, on their way to be sorted.
struct Rows {
    /// Those with an id, by that.
    with_id: Sorter,
    places: Sorter,
    read: u64,
    record: Vec<u8>,
    folder: PathBuf,
}

impl Rows {
    fn new(out: &Path, run_bytes: usize) -> Result<Self, ImportError> {
        let folder = folder_of(out);
        let sorter =
            || Sorter::new(folder, run_bytes).map_err(|error| ImportError::Temporary(folder.into(), error));
        Ok(Self { with_id: sorter()?, places: sorter()?, read: 0, record: Vec::new(), folder: folder.into() })
    }

    fn add(&mut self, row: &Row) -> Result<(), ImportError> {
        self.record.clear();
        let sorter = match &row.id {
            Some(id) => {
                id.encode(self.read, &mut self.record);
                &mut self.with_id
            }
            None => &mut self.places,
        };
        row.encode(self.read, &mut self.record);
        self.read += 1;
        sorter.push(&self.record).map_err(|error| ImportError::Temporary(self.folder.clone(), error))
    }

    /// Adds the places of a places file, and gives their number.
    fn add_base(&mut self, base: &Path, progress: &mut Progress<'_>) -> Result<u64, ImportError> {
        let dat = Dat::open(base).map_err(ImportError::Base)?;
        let (mut scan, mut scratch) = (Scratch::new(), Scratch::new());
        progress.begin("reading the base", dat.places().into());
        let mut done = Ok(());
        dat.scan_band(i32::MIN, i32::MAX, &mut scan, |spot| {
            if done.is_ok() {
                let row = base_row(&dat, &spot, &mut scratch).map_err(ImportError::Base);
                done = row.and_then(|row| self.add(&row));
                progress.at(spot.number.into());
            }
        })
        .map_err(ImportError::Base)?;
        done.map(|()| self.read)
    }

    /// All places in order; of rows with the same id, only the newest.
    fn merge(self, progress: &mut Progress<'_>) -> Result<runs::Merge, ImportError> {
        let Self { with_id, mut places, folder, .. } = self;
        let mut done = 0;
        let merged = with_id.merge().and_then(|mut with_id| {
            progress.begin("sorting ids", with_id.total());
            last_of_equals(&mut with_id, id, |record| {
                done += 1;
                progress.at(done);
                let (_, row) = split_id(record).ok_or(io::ErrorKind::InvalidData)?;
                places.push(row)
            })?;
            // Its memory first: the merge takes its own.
            drop(with_id);
            places.merge()
        });
        merged.map_err(|error| ImportError::Temporary(folder, error))
    }
}

fn id(record: &[u8]) -> &[u8] {
    split_id(record).map_or(record, |(id, _)| id)
}

fn base_row(dat: &Dat, spot: &Spot, scratch: &mut Scratch) -> Result<Row, PlacesError> {
    let (area_at, name) = dat.name(spot, scratch)?;
    let name = name.to_owned();
    let (kind, region_at, area) = dat.area(area_at, scratch)?;
    let area = area.to_owned();
    let region = dat.region(region_at, scratch)?.to_owned();
    let Spot { latitude_udeg, longitude_udeg, .. } = *spot;
    Ok(Row { latitude_udeg, longitude_udeg, kind, name, area, region, id: None })
}

/// What a reader finds, a text for each row.
#[cfg(test)]
fn told(read: impl FnOnce(Take<'_>) -> Result<(), ImportError>) -> Vec<String> {
    let mut rows = Vec::new();
    let mut take = |line: usize, outcome: Outcome| {
        rows.push(match outcome {
            Outcome::Row(Row { latitude_udeg, longitude_udeg, kind, name, area, region, id }) => {
                let id = id.map_or_else(String::new, |id| format!("{} {}", id.text, id.date));
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
