//! What the two kinds of Google sources share: asking one, and reading refusals.
//!
//! Knows that there are two dialects; each knows its own words.

use super::failure::{Failure, words};
use super::http::{Http, Response};
use super::json::{members, string};
use super::settings::{Endpoint, Settings, Source, check_url, sends_key_in_clear};
use super::{Query, legacy, modern};
use std::time::Instant;

/// An upstream that can be asked from several threads at once.
pub(super) struct Upstream {
    http: Http,
    dialect: Dialect,
    endpoint: Endpoint,
}

#[derive(Clone, Copy)]
enum Dialect {
    Legacy,
    Modern,
}

/// Why there is no answer, and what the client is told.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) failure: Failure,
    /// The upstream's own status word, where it gave one.
    pub(super) status: Option<String>,
    /// The upstream's own text, cut, where it is of the shape that clients expect.
    pub(super) text: Option<Vec<u8>>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, status: None, text: None }
    }
}

impl Upstream {
    /// Makes ready to ask; connects nowhere.
    pub(super) fn new(settings: &Settings) -> Result<Self, Failure> {
        if !cfg!(feature = "upstream") {
            return Err(Failure::Setting(
                "this build asks no other server (feature \"upstream\")".to_owned(),
            ));
        }
        let (dialect, endpoint, default) = match &settings.source {
            Source::Google(endpoint) => (Dialect::Modern, endpoint, modern::URL),
            Source::GoogleLegacy(endpoint) => (Dialect::Legacy, endpoint, legacy::URL),
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

    /// Ends calls in flight and refuses new ones. A look-up or a connect in progress ends at its own limit.
    pub(super) fn stop(&self) {
        if cfg!(feature = "upstream") {
            self.http.stop();
        }
    }

    /// Asks, and gives the answer cut to the query's items.
    pub(super) fn ask(&self, query: &Query, deadline: Instant) -> Result<Vec<u8>, Refusal> {
        if !cfg!(feature = "upstream") {
            // There is no such value, which the linker cannot know.
            return Err(Failure::Setting("this build asks no other server".to_owned()).into());
        }
        let items = usize::from(query.items);
        match self.dialect {
            Dialect::Legacy => {
                let response = self.http.run(legacy::request(&self.endpoint, query)?, deadline)?;
                legacy::read(response, &self.endpoint, items)
            }
            Dialect::Modern => {
                let response: Response = self.http.run(modern::request(&self.endpoint, query)?, deadline)?;
                modern::read(&response, &self.endpoint, items)
            }
        }
    }
}

/// Whether the answer repeats the key, as error pages do that print the address asked.
pub(super) fn echoes_key(endpoint: &Endpoint, body: &[u8]) -> bool {
    endpoint.key.as_ref().is_some_and(|key| key.is_in(body))
}

/// What an HTTP status other than 200 means; `said` are the upstream's words.
pub(super) fn of_http(status: u16, said: String) -> Failure {
    match status {
        300..=399 => Failure::Redirect(status),
        400 => Failure::Refused(said),
        401 | 403 => Failure::KeyRefused(said),
        429 => Failure::Quota(said),
        _ => Failure::Status(status),
    }
}

/// The words of `{"error": {"message": ...}}`, as all of Google's newer services write refusals; fit to be shown.
pub(super) fn error_words(body: &[u8]) -> String {
    let mut message = None;
    if let Ok(text) = str::from_utf8(body) {
        let _ = members(text, |name, error| {
            if name == "error" {
                let _ = members(error.get(), |name, value| {
                    if name == "message" {
                        message = string(value);
                    }
                });
            }
        });
    }
    message.map_or_else(String::new, |message| words(&message))
}
