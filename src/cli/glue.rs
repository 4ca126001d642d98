//! Where the command line meets the rest of the program: one function for each command that others carry out.
//!
//! Arguments are already checked. A message that comes back is printed after `herd: ` and the exit status is then 1.

use std::io::Write;
use std::path::{Path, PathBuf};

use log::LevelFilter;

use crate::config::Checked;

/// How a node is run.
#[derive(Debug)]
pub(super) struct ServeOptions {
    pub(super) log_level: LevelFilter,
    /// Whether the node is to stop at the end of its standard input, which `herd up` holds open. The key has been read
    /// from it already; nothing more will come.
    pub(super) stops_with_stdin: bool,
}

/// What `places near` asks for: degrees, kilometres from 0 to 50, 1 to 20 places.
#[derive(Debug)]
pub(super) struct NearQuery {
    pub(super) lat_deg: f64,
    pub(super) lon_deg: f64,
    pub(super) radius_km: f64,
    pub(super) items: usize,
}

/// What `places build` reads.
#[derive(Debug)]
pub(super) struct BuildInputs {
    pub(super) cities: PathBuf,
    pub(super) admin1: PathBuf,
    pub(super) admin2: PathBuf,
    pub(super) airports: PathBuf,
}

/// Runs the node of this index until it is told to stop.
pub(super) fn serve(checked: Checked, me: usize, options: &ServeOptions) -> Result<(), String> {
    let name = checked.nodes.into_iter().nth(me).map(|node| node.name).unwrap_or_default();
    let ServeOptions { log_level, stops_with_stdin } = options;
    Err(format!("serve {name}: not built yet (log level {log_level}, stops with stdin: {stops_with_stdin})"))
}

/// Writes the table of what this build takes.
pub(super) fn footprint(_out: &mut dyn Write) -> Result<(), String> {
    Err("footprint: not built yet".to_owned())
}

/// Writes the answer of a places file and a line feed.
pub(super) fn places_near(file: &Path, query: &NearQuery, _out: &mut dyn Write) -> Result<(), String> {
    let NearQuery { lat_deg, lon_deg, radius_km, items } = query;
    Err(format!(
        "places near {lat_deg} {lon_deg} {radius_km} {items} --file {}: not built yet",
        file.display()
    ))
}

/// Builds a places file and writes to `out` what went into it.
pub(super) fn places_build(inputs: &BuildInputs, file: &Path, _out: &mut dyn Write) -> Result<(), String> {
    let BuildInputs { cities, admin1, admin2, airports } = inputs;
    Err(format!(
        "places build of {} from {:?}: not built yet",
        file.display(),
        [cities, admin1, admin2, airports]
    ))
}
