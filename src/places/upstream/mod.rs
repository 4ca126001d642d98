//! Asks an upstream: the common code of the two Google dialects.
//!
//! This module knows that there are two dialects. Each dialect knows its own protocol.

pub(crate) mod breaker;
pub(crate) mod deadline;
pub(crate) mod failure;
pub(crate) mod google;
pub(crate) mod google_legacy;
pub(crate) mod http;
pub(crate) mod key;
pub(crate) mod meter;
pub(crate) mod refusal;
pub(crate) mod resolve;
pub(crate) mod reuse;
pub mod truncate;

use crate::places::settings::{Endpoint, Settings, Source, check_url, sends_key_in_clear};
use crate::places::upstream::failure::Failure;
use crate::places::upstream::http::{Http, Response};
use crate::places::upstream::refusal::Refusal;

use crate::places::Query;
use std::time::Instant;

/// An upstream. Several threads can ask it at once.
pub(crate) struct Upstream {
    http: Http,
    dialect: Dialect,
    endpoint: Endpoint,
}

#[derive(Clone, Copy)]
enum Dialect {
    Legacy,
    Modern,
}

impl Upstream {
    /// Prepares the client; connects nowhere.
    pub(crate) fn new(settings: &Settings) -> Result<Self, Failure> {
        if !cfg!(feature = "upstream") {
            return Err(Failure::Setting(
                "this build asks no other server (feature \"upstream\")".to_owned(),
            ));
        }
        let (dialect, endpoint, default) = match &settings.source {
            Source::Google(endpoint) => (Dialect::Modern, endpoint, google::URL),
            Source::GoogleLegacy(endpoint) => (Dialect::Legacy, endpoint, google_legacy::URL),
            Source::Offline { .. } | Source::Missing => {
                return Err(Failure::Setting("this node has no upstream".to_owned()));
            }
        };
        if endpoint.url.is_none() && endpoint.key.is_none() {
            return Err(Failure::NoKey);
        }
        let url = endpoint.url.as_deref().unwrap_or(default);
        if url.starts_with("https://") && !cfg!(feature = "tls") {
            return Err(Failure::NoTls);
        }
        check_url(url).map_err(|what| Failure::Setting(format!("places.url cannot be asked: {what}")))?;
        if endpoint.key.is_some() && sends_key_in_clear(url) {
            log::warn!("places: the upstream's address is plain http: the key can be read on the way");
        }
        Ok(Self { http: Http::new(settings)?, dialect, endpoint: endpoint.clone() })
    }

    /// Ends calls in flight and refuses new ones. A name look-up or a connect in progress ends at its own limit.
    pub(crate) fn stop(&self) {
        if cfg!(feature = "upstream") {
            self.http.stop();
        }
    }

    /// Asks the upstream, and returns the answer truncated to the query's items. `may_retry` counts one more request if
    /// there is room for it.
    pub(crate) fn ask(
        &self,
        query: &Query,
        deadline: Instant,
        may_retry: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, Refusal> {
        if !cfg!(feature = "upstream") {
            // This type has no values, but the linker does not know that.
            return Err(Failure::Setting("this build asks no other server".to_owned()).into());
        }
        let items = usize::from(query.items);
        match self.dialect {
            Dialect::Legacy => {
                let request = google_legacy::request(&self.endpoint, query)?;
                let response = without_mark(self.http.run(&request, deadline, may_retry)?);
                google_legacy::read(response, &self.endpoint, items)
            }
            Dialect::Modern => {
                let request = google::request(&self.endpoint, query)?;
                let response = without_mark(self.http.run(&request, deadline, may_retry)?);
                google::read(&response, &self.endpoint, items)
            }
        }
    }
}

/// The response without a byte order mark, which some servers put before JSON (RFC 8259, 8.1).
fn without_mark(mut response: Response) -> Response {
    if response.body.starts_with(b"\xEF\xBB\xBF") {
        response.body.drain(..3);
    }
    response
}
