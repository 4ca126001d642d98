//! Whether a table is worse than a stored one. The check compares ratios, so that the machine matters little. It takes only
//! rows that do not depend on time, and a wide margin, so that only a regression shows.

use std::path::Path;

use serde_json::Value;

use crate::rows::{Row, Table};

/// A stored ratio may grow to this many times itself.
const GROWTH_MAX: f64 = 1.25;

/// What repeats: sizes, memory of a node that is idle, and what tools count. How many of many clients are looked at together
/// depends on when they come, and with it the system calls and allocations of a request; and what stays of a crowd depends
/// on the order in which it went.
fn is_timeless(row: &Row) -> bool {
    let is_counted = row.what.ends_with(" a request, one client") || row.what.starts_with("instructions");
    let is_of_idle = row.what.starts_with("idle, private") || row.what.starts_with("five nodes, private");
    row.unit == "bytes" || is_counted || is_of_idle
}

/// Compares the ratios of two tables.
///
/// # Errors
/// Rows are worse or missing, or the file does not hold a table.
pub(crate) fn compare(table: &Table, stored: &Path) -> Result<(), String> {
    let place = |what: &str| format!("{}: {what}", stored.display());
    let text = std::fs::read_to_string(stored).map_err(|error| place(&error.to_string()))?;
    let stored: Value = serde_json::from_str(&text).map_err(|error| place(&error.to_string()))?;
    let rows = stored["rows"].as_array().ok_or_else(|| place("no rows"))?;
    let mut compared = 0;
    let mut worse = Vec::new();
    for row in table.rows.iter().filter(|row| is_timeless(row)) {
        let Some(before) = rows.iter().find(|stored| stored["what"] == row.what) else { continue };
        // If the second program needs nothing, no ratio exists, and the first is compared with its stored value.
        let pair = before["ratio"].as_f64().zip(row.ratio());
        let Some((before, now)) = pair.or_else(|| before["median"].as_f64().zip(row.median(0))) else {
            continue;
        };
        compared += 1;
        println!("{}: {now:.2}, stored {before:.2}", row.what);
        if now > before * GROWTH_MAX {
            worse.push(format!("{} is {now:.2} now and was {before:.2}", row.what));
        }
    }
    match (compared, worse.is_empty()) {
        (0, _) => Err(place("no row of it was measured")),
        (_, true) => Ok(()),
        (_, false) => Err(worse.join("\n")),
    }
}
