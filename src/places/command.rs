//! `herd places near` and `import` as plain functions, after the command line is parsed.
//!
//! This module does not know arguments or exit codes.

use super::Query;
use super::file::render;
use crate::places::error::PlacesError;
use crate::places::file::format::{Dat, Scratch};
use crate::places::import::{Import, ImportError, Progress, import};
use std::io::Write;
use std::path::Path;

/// Checks `file` and runs `query` on it: the JSON answer, and a newline.
///
/// # Errors
/// The query is out of range, or the file is missing or damaged. The messages name the file and the remedy.
pub fn near_command(file: &Path, query: &Query) -> Result<Vec<u8>, PlacesError> {
    query.check()?;
    let dat = Dat::open(file)?;
    let mut json = render::answer(&dat, query, &mut Scratch::new())?;
    json.push(b'\n');
    Ok(json)
}

/// Runs the import (see [`import`]). Prints a summary of one line to `log`.
///
/// # Errors
/// The errors of [`import`]. A failed write to `log` is not an error, because the file is complete by then.
pub fn import_command(
    what: &Import,
    progress: &mut Progress<'_>,
    log: &mut dyn Write,
) -> Result<(), ImportError> {
    let summary = import(what, progress)?;
    let _ = writeln!(log, "{}: {summary}", what.out.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::file::encode::encode;
    use crate::places::testing::{TempFile, some_places};

    #[test]
    fn the_committed_file_knows_what_is_near_ucla() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/places.dat");
        let query =
            Query { latitude_deg: 34.06893, longitude_deg: -118.445127, radius_m: 10_000.0, items: 2 };
        let out = near_command(&file, &query).expect("the file is whole");
        let json: serde_json::Value = serde_json::from_slice(&out).expect("JSON");
        let names: Vec<_> =
            json["results"].as_array().expect("an array").iter().map(|result| &result["name"]).collect();
        assert_eq!(names, ["Bel Air", "Westwood"]);
    }

    #[test]
    fn near_prints_json_and_one_newline() {
        let file = TempFile::new(&encode(&mut some_places()).expect("in range"));
        let query = Query { latitude_deg: -23.5, longitude_deg: -46.6, radius_m: 10_000.0, items: 1 };
        let out = near_command(file.path(), &query).expect("the file is whole");
        let text = String::from_utf8(out).expect("JSON is UTF-8");
        assert!(text.contains("\"name\" : \"São Paulo\"") && text.ends_with("\"OK\"\n}\n"), "{text}");
        let error = near_command(Path::new("/nowhere/x.dat"), &query).err().map(|e| e.to_string());
        assert!(error.is_some_and(|error| error.contains("/nowhere/x.dat")));
    }
}
