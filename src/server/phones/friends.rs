//! Friends: the newest other clients, as OwnTracks shows them on its map.
//!
//! Both apps name a friend by its `tid`, whole. Android decodes all objects of an answer or none: a time is a whole number other
//! than 0, and only these two types may appear.

use std::collections::BinaryHeap;

use super::FRIENDS_MAX;
use crate::proto::default_node::BoardNode;
use crate::server::client_id::encoded;
use crate::server::json::Json;

/// Nanoseconds of a second.
const NANOSECONDS: i64 = 1_000_000_000;

/// The JSON array of an answer: a card and a location for each of the [`FRIENDS_MAX`] newest clients other than this one.
#[must_use]
pub(super) fn answer(node: &BoardNode, now_s: i32, but: &[u8]) -> String {
    // The newest, the oldest of them first; the age of a client and where it stands in the table.
    let mut newest = BinaryHeap::with_capacity(FRIENDS_MAX + 1);
    let mut end = usize::MAX;
    while let Some((place, update, age_s)) = node.table().below(end, now_s) {
        end = place;
        if update.client.as_bytes() != but {
            newest.push((age_s, place));
            if newest.len() > FRIENDS_MAX {
                newest.pop();
            }
        }
    }
    let mut objects = Vec::with_capacity(2 * newest.len());
    for (_, place) in newest.into_sorted_vec() {
        let Some((_, update, _)) = node.table().below(place + 1, now_s) else { continue };
        let tst = update.sighting.time.timestamp().0.div_euclid(NANOSECONDS);
        if tst == 0 {
            continue;
        }
        let name = encoded(update.client.as_bytes()).replace('/', "%2F");
        let (lat_deg, lon_deg) = update.sighting.position.degrees();
        let mut card = Json::default();
        card.text("_type", "card");
        card.text("tid", &name);
        card.text("name", &name);
        let mut location = Json::default();
        location.text("_type", "location");
        location.text("tid", &name);
        location.number("lat", Some(lat_deg));
        location.number("lon", Some(lon_deg));
        location.number("tst", Some(tst));
        objects.extend([card, location].map(|json| json.finish().trim_end().to_owned()));
    }
    format!("[{}]", objects.join(","))
}
