//! `herd places`: asks a places file, and makes one.

use std::io::Write;
#[cfg(feature = "import")]
use std::io::{self, IsTerminal};
use std::path::Path;

#[cfg(feature = "import")]
use crate::places::import::{Import, Progress};
use crate::places::{self, Query};

/// The query of `places near`: degrees, kilometres from 0 to 50, 1 to 20 places.
#[derive(Debug)]
pub(in crate::cli) struct NearQuery {
    pub(in crate::cli) lat_deg: f64,
    pub(in crate::cli) lon_deg: f64,
    pub(in crate::cli) radius_km: f64,
    pub(in crate::cli) items: usize,
}

/// Writes the answer from a places file, and a line feed.
pub(in crate::cli) fn near(file: &Path, query: &NearQuery, out: &mut dyn Write) -> Result<(), String> {
    let query = Query {
        latitude_deg: query.lat_deg,
        longitude_deg: query.lon_deg,
        radius_m: query.radius_km * 1_000.0,
        items: u8::try_from(query.items).unwrap_or(places::MAX_ITEMS),
    };
    places::near_command(file, query, out).map_err(|error| error.to_string())
}

/// Imports places. Writes a summary to `out`, a progress bar and bad rows to standard error.
#[cfg(feature = "import")]
pub(in crate::cli) fn import(what: &Import, out: &mut dyn Write) -> Result<(), String> {
    let mut stderr = io::stderr();
    let is_terminal = stderr.is_terminal();
    places::import_command(what, &mut Progress::new(&mut stderr, is_terminal), out)
        .map_err(|error| error.to_string())
}
