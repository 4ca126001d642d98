//! The ways an upstream refuses a query: an HTTP status, an error object, or an answer that the node must not forward.

use crate::places::json::{members, string};
use crate::places::settings::Endpoint;
use crate::places::upstream::failure::{Failure, words};

/// Why the upstream gave no answer, and the text for the client.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) failure: Failure,
    /// The upstream's own status word, if it sent one.
    pub(crate) status: Option<String>,
    /// The upstream's own text, truncated, if it has the shape that clients expect.
    pub(crate) text: Option<Vec<u8>>,
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        Self { failure, status: None, text: None }
    }
}

/// Whether the answer contains the key. Error pages do if they print the requested address.
pub(crate) fn echoes_key(endpoint: &Endpoint, body: &[u8]) -> bool {
    endpoint.key.as_ref().is_some_and(|key| key.is_in(body))
}

/// The meaning of an HTTP status other than 200. `message` is the upstream's text.
pub(crate) fn of_http(status: u16, message: String) -> Failure {
    match status {
        300..=399 => Failure::Redirect(status),
        400 => Failure::Refused(message),
        401 | 403 => Failure::KeyRefused(message),
        429 => Failure::Quota(message),
        _ => Failure::Status(status),
    }
}

/// The text of `{"error": {"message": ...}}`, ready to print. All of Google's newer services write refusals like this.
pub(crate) fn error_words(body: &[u8]) -> String {
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
