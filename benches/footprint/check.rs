//! Whether a table is worse than one that was kept: in ratios, so that the machine matters little, of what does not depend on
//! time, and by a wide margin, so that only a regression shows.

use std::path::Path;

use serde_json::Value;

use crate::rows::{Row, Table};

/// A ratio that was kept may grow to this many times itself.
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
/// The rows that have become worse, or are missing, or a file that is no table.
pub(crate) fn compare(table: &Table, kept: &Path) -> Result<(), String> {
    let place = |what: &str| format!("{}: {what}", kept.display());
    let text = std::fs::read_to_string(kept).map_err(|error| place(&error.to_string()))?;
    let kept: Value = serde_json::from_str(&text).map_err(|error| place(&error.to_string()))?;
    let rows = kept["rows"].as_array().ok_or_else(|| place("no rows"))?;
    let mut compared = 0;
    let mut worse = Vec::new();
    for row in table.rows.iter().filter(|row| is_timeless(row)) {
        let Some(before) = rows.iter().find(|kept| kept["what"] == row.what) else { continue };
        // Where the second needs nothing there is no ratio, and the first is held to what it was.
        let pair = before["ratio"].as_f64().zip(row.ratio());
        let Some((before, now)) = pair.or_else(|| before["median"].as_f64().zip(row.median(0))) else {
            continue;
        };
        compared += 1;
        println!("{}: {now:.2}, kept {before:.2}", row.what);
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
