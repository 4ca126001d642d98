//! Makes a places file of the operator's own data: reads GeoNames dumps, CSV and GeoJSON, merges them with an existing
//! places file, and writes version 2 of the format.
//!
//! ```text
//!  lines -> geonames            rows -> runs -> stream     sort, select the newest, write
//!        -> table (CSV)         row: checks of a place, and its record for the sort
//!  features -> geojson -> osm
//! ```
//!
//! This folder must not know the command line. An import can run on a board beside a node, so its memory does not grow with
//! the number of rows. Rows are in unnamed files beside the output until the merge.
//!
//! # Which of two rows wins
//! - Rows with the same id are one place. The id is GeoNames', OpenStreetMap's or a file's own. If the format has dates, the
//!   row with the later date wins, otherwise the row read later. A places file does not store ids.
//! - Places with the same position, kind and name are one place, because they would have the same `place_id`. The place read
//!   later wins. The base is read first, then the files in the given order, so the files win over the base.
//!
//! Near places with different names stay separate. So do places with the same name at different positions: two cafes of one
//! chain are not a mistake.
//!
//! Invariants: the output is replaced atomically. The same inputs in the same order give the same bytes. The import reports
//! or counts every row that it skips.

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
}

impl Format {
    /// The words for formats on the command line.
    pub const WORDS: [&str; 3] = ["geonames", "csv", "geojson"];

    /// The format with this word.
    pub fn of_word(word: &str) -> Option<Self> {
        let at = Self::WORDS.iter().position(|known| *known == word)?;
        [Self::GeoNames, Self::Csv, Self::GeoJson].get(at).copied()
    }

    /// The format that a file's ending stands for.
    pub fn of_name(file: &Path) -> Option<Self> {
        match file.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "txt" => Some(Self::GeoNames),
            "csv" => Some(Self::Csv),
            "geojson" | "json" | "geojsonl" | "geojsonseq" | "ndjson" => Some(Self::GeoJson),
            _ => None,
        }
    }
}

/// The names of a CSV's columns. The import guesses the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The place's name.
    pub name: Option<String>,
    /// The place's latitude in degrees.
    pub lat: Option<String>,
    /// The place's longitude in degrees.
    pub lon: Option<String>,
    /// The place's kind, in the words of [`kind_of_word`].
    pub kind: Option<String>,
    /// The place's vicinity, as answers show it.
    pub vicinity: Option<String>,
    /// The row's id within the file.
    pub id: Option<String>,
}

impl Columns {
    /// The roles of columns.
    pub const ROLES: [&str; 6] = ["name", "lat", "lon", "type", "vicinity", "id"];

    /// Parses `name=Title,lat=Y`.
    ///
    /// # Errors
    /// The part that does not have this form, or that repeats a role.
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
    /// Features other than points.
    pub no_points: u64,
    /// Countries and their divisions, which are not places.
    pub divisions: u64,
    /// Places written. The other places of base and rows have the same id, or the same position, kind and name, as one of
    /// these.
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
    // The wrong format gives only bad rows. Such a file must not replace the output with an empty one.
    let has_bad_alone = *summary == Summary { bad: summary.bad, ..before };
    if bad > 0 && has_bad_alone {
        return Err(ImportError::Nothing(file.into(), bad));
    }
    Ok(())
}

/// All rows, before the sort.
struct Rows {
    /// Rows with an id, for a sort by id.
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

    /// Adds the places of a places file. Returns their number.
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

    /// All places in order. Of rows with the same id, only the newest.
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
            // Free its memory before the next merge allocates.
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

/// The rows that a reader finds, as one text per row.
#[cfg(test)]
fn shown_rows(read: impl FnOnce(Take<'_>) -> Result<(), ImportError>) -> Vec<String> {
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
