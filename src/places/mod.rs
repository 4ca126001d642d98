//! What is near a position, from a file on the board: the answers to WHATSAT when there is no internet.
//!
//! This part blocks, so it has a fence: [`Places`] takes plain data ([`Query`]), one worker thread behind a bounded
//! queue does the reading, and plain data comes back (JSON text as bytes). It must not know links, the table of
//! clients or sockets of the herd, nor any async runtime.
//!
//! ```text
//!  Places (worker.rs) -> render -> near -> dat, band -> text  a query, top to bottom
//!  build -> sources -> csv                                    making a places file
//!  build -> encode -> text
//! ```
//!
//! Invariants: [`Places::ask`] neither blocks nor panics and calls `done` exactly once; the file is checked whole when
//! it is opened, never for a query; nothing in a file makes a query panic or take memory without bound.

pub mod build;
pub mod dat;
pub mod near;
pub mod render;

mod band;
mod command;
mod csv;
mod encode;
mod error;
mod sources;
#[cfg(test)]
mod testing;
mod text;
mod worker;

pub use command::{build_command, near_command};
pub use error::PlacesError;
pub use render::{error_json, tidy};
pub use worker::{Counters, PLACES_QUEUE_MAX, Places};

use std::path::PathBuf;

/// Most items of an answer: the assignment's limit, and that of one page of Google's.
pub const MAX_ITEMS: u8 = 20;

/// Largest radius in metres: the assignment's limit, and Google's.
pub const MAX_RADIUS_M: f64 = 50_000.0;

/// What a client wants to know.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query {
    /// Latitude in degrees, -90 to 90.
    pub latitude_deg: f64,
    /// Longitude in degrees, -180 to 180.
    pub longitude_deg: f64,
    /// Radius in metres, 0 to [`MAX_RADIUS_M`], the rim included.
    pub radius_m: f64,
    /// Most results wanted, 0 to [`MAX_ITEMS`].
    pub items: u8,
}

impl Query {
    /// Whether every member is within its range; NaN is within none.
    ///
    /// # Errors
    /// [`PlacesError::BadQuery`] with the first member that is not, and its range.
    pub fn check(&self) -> Result<(), PlacesError> {
        let what = if !(-90.0..=90.0).contains(&self.latitude_deg) {
            "the latitude is not within -90 to 90 degrees"
        } else if !(-180.0..=180.0).contains(&self.longitude_deg) {
            "the longitude is not within -180 to 180 degrees"
        } else if !(0.0..=MAX_RADIUS_M).contains(&self.radius_m) {
            "the radius is not within 0 to 50 km"
        } else if self.items > MAX_ITEMS {
            "more than 20 items are asked for"
        } else {
            return Ok(());
        };
        Err(PlacesError::BadQuery(what))
    }
}

/// Where answers come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file in the format of [`dat`].
    Offline {
        /// The file's path. It is opened at the first query.
        file: PathBuf,
    },
    /// None was given: every query is answered by the error form, and no thread starts.
    Missing,
}

/// How [`Places`] is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where answers come from.
    pub source: Source,
    /// Most queries that wait for the worker; one more is refused at once. See [`PLACES_QUEUE_MAX`].
    pub queue_max: usize,
}

impl Settings {
    /// `source` with the default queue.
    pub fn new(source: Source) -> Self {
        Self { source, queue_max: PLACES_QUEUE_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_out_of_range_are_told_apart() {
        let good = Query { latitude_deg: -90.0, longitude_deg: 180.0, radius_m: 50_000.0, items: 20 };
        assert!(good.check().is_ok());
        let table = [
            (Query { latitude_deg: f64::NAN, ..good }, "latitude"),
            (Query { latitude_deg: 90.000001, ..good }, "latitude"),
            (Query { longitude_deg: -180.5, ..good }, "longitude"),
            (Query { longitude_deg: f64::INFINITY, ..good }, "longitude"),
            (Query { radius_m: -0.1, ..good }, "radius"),
            (Query { radius_m: 50_000.1, ..good }, "radius"),
            (Query { items: 21, ..good }, "items"),
        ];
        for (query, member) in table {
            let error = query.check().err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(member), "{query:?}: {error}");
        }
    }
}
