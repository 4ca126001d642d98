//! What is near a position: the answers to WHATSAT, from Google, or from a file on the board when there is no internet.
//!
//! This part blocks, so it has a fence: [`Places`] takes plain data ([`Query`]), worker threads behind a bounded queue do
//! the reading and asking, and plain data comes back (JSON text as bytes). It must not know links, the table of clients or
//! sockets of the herd, nor any async runtime.
//!
//! ```text
//!  pool (worker, lanes, cache) -> engine -> file      offline, render, nearest, format, scan, pair_encoding
//!                                        -> upstream  breaker, google, google_legacy, truncate, http, resolve, deadline
//!  import                                             making places files of dumps, CSV and GeoJSON; build, the committed one
//! ```
//!
//! Invariants: [`Places::ask`] neither blocks nor panics and calls `done` exactly once; a query is answered within its
//! time limit whatever an upstream does; the upstream's bytes are passed on as they came; a key is shown nowhere; a file is
//! checked whole when it is opened, never for a query; nothing in a file or an answer makes a query panic or take memory
//! without bound.
//!
//! # Keys and the log
//! ureq writes each request's address at the levels debug and trace, and for `google-legacy` that address holds the key:
//! whoever installs a logger must drop records whose target [`is_secret_target`], as
//! [`server::logging`](crate::server::logging) does.

pub mod file;
pub mod import;
pub mod pool;
pub mod upstream;

mod atomic_file;
mod command;
mod counters;
mod error;
mod health;
mod json;
mod settings;
#[cfg(test)]
mod testing;

pub use command::{build_command, import_command, near_command};
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
    /// What makes two queries the same query: the members' bits, so that they compare and are equal to themselves.
    pub(crate) fn bits(&self) -> [u64; 4] {
        let Self { latitude_deg, longitude_deg, radius_m, items } = self;
        [latitude_deg.to_bits(), longitude_deg.to_bits(), radius_m.to_bits(), u64::from(*items)]
    }

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

/// The handle to nearby answers. Made by [`Places::start`], asked by [`Places::ask`]. Dropping it answers all that wait with
/// the error form and ends its threads.
pub struct Places {
    shared: std::sync::Arc<pool::worker::Shared>,
}

/// The crates that carry requests, as they name themselves in the log: their debug and trace records print addresses,
/// heads and raw bytes. What an operator needs of their findings, this part logs in its own words.
pub const SECRET_TARGETS: [&str; 6] = ["ureq", "ureq_proto", "rustls", "webpki", "http", "httparse"];

/// Whether log records of `target` may hold a key, and so must be dropped at every level: those of [`SECRET_TARGETS`].
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
