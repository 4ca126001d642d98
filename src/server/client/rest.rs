//! The rest of an answer that a socket did not take at once.

use std::rc::Rc;

use super::whatsat_head;
use crate::places::Json;
use crate::proto::node::PlacesQuery;
use crate::server::budget::{Budget, Held, SharedPlaces};

/// What follows the places of an answer (PROTOCOL, WHATSAT).
pub(super) const END: &[u8] = b"\n\n";

/// Bytes that a client is to get, before the node holds them.
pub enum Unwritten {
    /// Copied answers.
    Lines(Vec<u8>),
    /// An answer to a WHATSAT, of which the socket has taken so many bytes.
    Places(Box<PlacesQuery>, Json, usize),
}

/// Bytes that a client is to get, and their share of the memory for unread answers. Clients that wait for the same places share these.
pub struct Rest {
    own: Vec<u8>,
    places: Option<Rc<SharedPlaces>>,
    written: usize,
    _held: Held<'static>,
}

impl Unwritten {
    /// Gives itself back when the memory for unread answers is used up.
    pub(in crate::server) fn hold(self, budget: &'static Budget) -> Result<Rest, Unwritten> {
        let own_bytes = match &self {
            Unwritten::Lines(lines) => lines.capacity(),
            Unwritten::Places(query, ..) => query.at_line.len() + 1,
        };
        let Some(_held) = budget.hold(own_bytes) else { return Err(self) };
        match self {
            Unwritten::Lines(own) => Ok(Rest { own, places: None, written: 0, _held }),
            Unwritten::Places(query, json, written) => match budget.hold_places(&json) {
                Some(places) => Ok(Rest { own: whatsat_head(&query), places: Some(places), written, _held }),
                None => Err(Unwritten::Places(query, json, written)),
            },
        }
    }
}

impl Rest {
    /// The next bytes to write; none when all are written.
    pub(in crate::server) fn next(&self) -> &[u8] {
        let places = self.places.as_ref().map(|places| [places.json(), END]);
        let mut before = 0;
        for part in [&self.own[..]].into_iter().chain(places.into_iter().flatten()) {
            if self.written < before + part.len() {
                return &part[self.written - before..];
            }
            before += part.len();
        }
        &[]
    }

    /// The socket has taken so many of [`next`](Self::next).
    pub(in crate::server) fn took(&mut self, bytes: usize) {
        self.written += bytes;
    }
}
