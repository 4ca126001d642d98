//! `herd places import`: makes a places file.

use std::io::{self, IsTerminal, Write};

use crate::places;
use crate::places::import::{Import, Progress};

/// Imports places. Writes a summary to `out`, a progress bar and bad rows to standard error.
pub(in crate::cli) fn import(what: &Import, out: &mut dyn Write) -> Result<(), String> {
    let mut stderr = io::stderr();
    let is_terminal = stderr.is_terminal();
    places::import_command(what, &mut Progress::new(&mut stderr, is_terminal), out)
        .map_err(|error| error.to_string())
}
