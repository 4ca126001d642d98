//! Answers WHATSAT with the places near a position, from Google or from a file on the board.
//!
//! This code blocks, so it runs apart from the event loop. [`Places`] takes plain data ([`Query`]) into a bounded queue.
//! Worker threads read files and ask upstreams. The caller gets plain data back: JSON text as bytes. This folder must not
//! know links, the table of clients, the herd's sockets or an async runtime.
//!
//! ```text
//!  pool (worker, lanes, cache) -> engine -> file      offline, render, nearest, format, scan, pair_encoding
//!                                        -> upstream  breaker, google, google_legacy, truncate, http, resolve, deadline
//!  import                                             makes places files of dumps, CSV, GeoJSON and PBF
//! ```
//!
//! Invariants:
//! - [`Places::ask`] does not block or panic, and calls `done` exactly once.
//! - A query is answered within its time limit, whatever the upstream does.
//! - The node forwards the upstream's bytes unchanged, and never shows a key.
//! - The node checks a whole file when it opens the file, not for each query.
//! - No file and no answer can make a query panic or use unbounded memory.
//!
//! # Keys and the log
//! ureq logs each request's address at the levels debug and trace. For `google-legacy` that address holds the key.
//! A program that installs a logger must drop records whose target [`is_secret_target`], as
//! [`server::logging`](crate::server::logging) does.

pub mod file;
pub mod import;
pub mod pool;
pub mod upstream;

mod command;
mod counters;
mod error;
mod health;
pub(crate) mod json;
mod settings;
#[cfg(test)]
mod testing;

pub use command::{import_command, near_command};
pub use counters::Counters;
pub use error::PlacesError;
pub use file::render::{error_json, tidy};
pub use health::Health;
pub use json::DEPTH_MAX;
pub use settings::{
    CONNECT_MS_DEFAULT, Endpoint, IDLE_MS_DEFAULT, PAUSE_MS_DEFAULT, PLACES_QUEUE_MAX,
    PLACES_UPSTREAM_QUEUE_MAX, ProxyUrl, Settings, Source, TIMEOUT_MS_DEFAULT, WORKERS_DEFAULT, WORKERS_MAX,
    check_url, sends_key_in_clear,
};
pub use upstream::breaker::BREAKER_FAILURES;
pub use upstream::failure::{Failure, Phase};
pub use upstream::http::{UPSTREAM_BODY_BYTES_MAX, UPSTREAM_HEAD_BYTES_MAX};
pub use upstream::key::Key;
pub use upstream::meter::QUERIES_PER_MINUTE_MAX;
pub use upstream::resolve::LOOKUPS_MAX;

/// The JSON of an answer, without a newline at its end. All clients that wait for the same query share one.
pub type Json = std::sync::Arc<Vec<u8>>;

/// Most items of an answer: the assignment's limit, and the size of one page of Google's.
pub const MAX_ITEMS: u8 = 20;

/// Largest radius in metres: the assignment's limit, and Google's.
pub const MAX_RADIUS_M: f64 = 50_000.0;

/// A client's query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query {
    /// Latitude in degrees, -90 to 90.
    pub latitude_deg: f64,
    /// Longitude in degrees, -180 to 180.
    pub longitude_deg: f64,
    /// Radius in metres, 0 to [`MAX_RADIUS_M`]. A place exactly at the radius is included.
    pub radius_m: f64,
    /// Most results of the answer, 0 to [`MAX_ITEMS`].
    pub items: u8,
}

impl Query {
    /// The identity of a query: its members' bits, so that a query equals itself (a float NaN does not).
    pub(crate) fn bits(&self) -> [u64; 4] {
        let Self { latitude_deg, longitude_deg, radius_m, items } = self;
        [latitude_deg.to_bits(), longitude_deg.to_bits(), radius_m.to_bits(), u64::from(*items)]
    }

    /// Whether every member is within its range. NaN is out of range.
    ///
    /// # Errors
    /// [`PlacesError::BadQuery`] with the first member out of range, and its range.
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

/// The handle to the source of places. [`Places::start`] makes it and [`Places::ask`] queries it. Its drop answers all
/// waiting queries with the error form and ends the threads.
pub struct Places {
    shared: std::sync::Arc<pool::worker::Shared>,
}

/// Log targets of the crates that carry requests. Their debug and trace records print addresses, heads and raw bytes.
/// This folder logs what an operator needs from them.
pub const SECRET_TARGETS: [&str; 6] = ["ureq", "ureq_proto", "rustls", "webpki", "http", "httparse"];

/// Whether log records of `target` may hold a key. The logger drops such records at every level (see [`SECRET_TARGETS`]).
///
/// ```
/// use herd::places::is_secret_target;
/// assert!(is_secret_target("ureq::run") && is_secret_target("rustls"));
/// assert!(!is_secret_target("herd::places") && !is_secret_target("ureqish"));
/// ```
#[must_use]
pub fn is_secret_target(target: &str) -> bool {
    let root = target.split("::").next().unwrap_or("");
    SECRET_TARGETS.contains(&root)
}

/// Reads a places file from end to end.
///
/// # Errors
/// What is wrong with it, with its name.
pub fn check_file(file: &std::path::Path) -> Result<(), String> {
    file::format::Dat::open(file).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_member_out_of_range() {
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
