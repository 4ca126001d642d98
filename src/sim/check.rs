//! The checks after every step, on the node that the step touched.

use std::cmp::Ordering;

use super::host::{Held, Host, client_name, client_number};
use super::net::{Kind, State};
use super::plan::{CLIENTS_MAX, SLOTS};
use super::world::World;
use crate::proto::limits::AHEAD_NS_MAX;
use crate::proto::names::NodeId;
use crate::proto::table::Table;
use crate::proto::time::Now;
use crate::proto::update::Sighting;

/// The largest rounding error of whole seconds.
const SECOND_MS: u64 = 1_000;

/// An update that was delivered to a node by one of its clients, or by the neighbour of number `from`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivered {
    pub(super) client: usize,
    pub(super) sighting: Sighting,
    /// The largest error of its age.
    pub(super) hidden_ms: u64,
    pub(super) from: Option<usize>,
}

type Broken = (&'static str, String);

/// Whether an age in whole seconds is correct within `hidden_ms` and rounding.
pub(super) fn age_is_true(age_s: i64, true_ms: u64, hidden_ms: u64) -> bool {
    let age_ms = u64::try_from(age_s).unwrap_or(0) * 1_000;
    age_ms.abs_diff(true_ms) <= hidden_ms + SECOND_MS
}

pub(super) fn issued_at(issued: &[(Sighting, u64)], sighting: &Sighting) -> Option<u64> {
    issued.iter().rev().find(|(other, _)| other == sighting).map(|(_, at)| *at)
}

pub(super) fn is_ahead(now: &Now, sighting: &Sighting) -> bool {
    now.wall_is_trusted && sighting.rank.0 > now.wall.0.saturating_add(AHEAD_NS_MAX)
}

/// Whether an update is smaller than all entries of a table.
fn is_smallest(table: &Table<SLOTS>, client: usize, sighting: &Sighting) -> bool {
    let name = client_name(client);
    table.sim_entries().all(|(other, _)| {
        let order = sighting.compare(other.sighting);
        order.then_with(|| name.as_bytes().cmp(other.client.as_bytes())).is_lt()
    })
}

impl World {
    /// Checks a node whose table may have changed, by a delivered update or otherwise.
    pub(super) fn check(&mut self, host: usize, delivered: Option<Delivered>) {
        let broken = self.check_entries(host, delivered).or_else(|| self.check_delivered(host, &delivered?));
        let broken = broken.or_else(|| self.check_pending(host)).or_else(|| self.check_links(host));
        if let Some((check, detail)) = broken {
            self.fail(check, format!("{}: {detail}", self.names[host]));
        }
    }

    fn check_entries(&mut self, host: usize, delivered: Option<Delivered>) -> Option<Broken> {
        let life_s = i64::from(self.plan.age_s_max);
        let now = self.hosts[host].now(self.now);
        let now_s = now.mono.seconds();
        let Host { node, held, evicted, must_send, holders, .. } = &mut self.hosts[host];
        let node = node.as_ref()?;
        let table = node.table();
        if table.len() > table.capacity() || table.capacity() > SLOTS / 2 {
            return Some((
                "a table respects its capacity",
                format!("{} of {}", table.len(), table.capacity()),
            ));
        }
        let mut seen = 0_u64;
        for (version, heard_s) in table.sim_entries() {
            let Some(client) = client_number(version.client) else {
                return Some(("every stored update was issued", format!("{:?}", version.client)));
            };
            seen |= 1 << client;
            let sighting = *version.sighting;
            let old = held[client].as_ref();
            if old.is_some_and(|old| old.sighting == sighting && old.heard_s == heard_s) {
                continue;
            }
            let lived = |old: &Held| i64::from(now_s) - i64::from(old.heard_s) >= life_s;
            if old.is_some_and(|old| !lived(old) && !sighting.compare(&old.sighting).is_gt()) {
                return Some(("a client's update never goes back", format!("{version:?} after {old:?}")));
            }
            let Some(issued_at) = issued_at(&self.issued[client], &sighting) else {
                return Some(("every stored update was issued", format!("{version:?}")));
            };
            let delivered = delivered.filter(|delivered| delivered.client == client);
            let hidden_ms = delivered.map_or(0, |delivered| delivered.hidden_ms);
            let age_s = i64::from(now_s) - i64::from(heard_s);
            let true_ms = self.now - issued_at;
            if !age_is_true(age_s, true_ms, hidden_ms) || age_s >= life_s {
                let detail = format!("{age_s} s for {true_ms} ms, {hidden_ms} ms hidden: {version:?}");
                return Some(("an age is correct and within a lifetime", detail));
            }
            held[client] = Some(Held { sighting, heard_s, hidden_ms });
            holders[client] = None;
            // A new update is pending for all neighbours except its sender.
            let from = delivered.and_then(|delivered| delivered.from);
            for (neighbour, must_send) in must_send.iter_mut().enumerate().take(node.links().count()) {
                *must_send = *must_send & !(1 << client) | u64::from(from != Some(neighbour)) << client;
            }
            if self.healed {
                let union = &mut self.union[client];
                *union = Some(
                    union.map_or(sighting, |old| if sighting.compare(&old).is_gt() { sighting } else { old }),
                );
            }
        }
        let evictions = table.evicted() - std::mem::replace(evicted, table.evicted());
        self.check_gone(host, seen, evictions, &now)
    }

    /// Checks that every removed entry had a reason.
    fn check_gone(&mut self, host: usize, seen: u64, evictions: u64, now: &Now) -> Option<Broken> {
        let Host { node, held, must_send, holders, .. } = &mut self.hosts[host];
        let table = node.as_ref()?.table();
        let now_s = now.mono.seconds();
        let mut evicted = 0;
        for (client, slot) in held.iter_mut().enumerate() {
            let Some(old) = slot.as_ref().filter(|_| seen & 1 << client == 0) else { continue };
            let expired =
                now_s.saturating_sub(old.heard_s) >= i32::try_from(self.plan.age_s_max).unwrap_or(i32::MAX);
            if !expired && !is_ahead(now, &old.sighting) {
                evicted += 1;
                if !is_smallest(table, client, &old.sighting) || table.len() < table.capacity() {
                    return Some((
                        "only the smallest entry of a full table is evicted",
                        format!("c{client}: {old:?}"),
                    ));
                }
            }
            *slot = None;
            holders[client] = None;
            must_send.iter_mut().for_each(|must_send| *must_send &= !(1 << client));
        }
        if evicted > evictions {
            return Some((
                "evictions are counted",
                format!("{evicted} entries were removed, {evictions} evictions counted"),
            ));
        }
        None
    }

    /// After delivery, the table holds the update or a larger one, unless it has a reason to refuse it. The
    /// update is not pending for its sender.
    fn check_delivered(&mut self, host: usize, delivered: &Delivered) -> Option<Broken> {
        if is_ahead(&self.hosts[host].now(self.now), &delivered.sighting) {
            return None;
        }
        let Host { node, held, must_send, .. } = &mut self.hosts[host];
        let (table, Delivered { client, sighting, from, .. }) = (node.as_ref()?.table(), delivered);
        let order = held[*client].map(|held| held.sighting.compare(sighting));
        if let (Some(Ordering::Equal), Some(from)) = (order, from) {
            must_send[*from] &= !(1 << client);
            let mut slots =
                table.sim_entries().enumerate().filter(|(slot, _)| table.pending().is_set(*from, *slot));
            if slots.any(|(_, (version, _))| client_number(version.client) == Some(*client)) {
                return Some(("the sender of an update has it", format!("c{client} is pending back")));
            }
        }
        let is_repeat = from.is_none()
            && held[*client].is_some_and(|Held { sighting: old, .. }| {
                let is_same = old.origin == sighting.origin && old.position == sighting.position;
                is_same && old.time.compare(&sighting.time).is_eq()
            });
        if order.is_some_and(Ordering::is_ge) || is_repeat {
            return None;
        }
        if table.len() == table.capacity() && is_smallest(table, *client, sighting) {
            return None;
        }
        Some(("a new update is stored", format!("c{client}: {sighting:?} was not")))
    }

    /// A pending bit implies an entry and a neighbour. An update that must be pending is pending, unless it is
    /// too old to send.
    fn check_pending(&self, host: usize) -> Option<Broken> {
        let Host { node, must_send, held, .. } = &self.hosts[host];
        let node = node.as_ref()?;
        let now_s = self.hosts[host].now(self.now).mono.seconds();
        let (table, pending) = (node.table(), node.table().pending());
        let advertised_s = i32::try_from(self.plan.age_s_max - self.plan.age_s_max / 10).unwrap_or(i32::MAX);
        for (neighbour, must) in must_send.iter().enumerate() {
            let count = pending.count(neighbour);
            if count == 0 && *must == 0 {
                continue;
            }
            let clients =
                table.sim_entries().enumerate().filter(|(slot, _)| pending.is_set(neighbour, *slot));
            let bits = clients.filter_map(|(_, (version, _))| client_number(version.client));
            let is = bits.fold(0_u64, |mask, client| mask | 1 << client);
            if neighbour >= node.links().count() || is.count_ones() as usize != count {
                let entries = is.count_ones();
                let detail = format!("{count} pending for neighbour {neighbour}, {entries} of them entries");
                return Some(("a pending bit implies an entry", detail));
            }
            let young =
                |client: &usize| held[*client].is_some_and(|held| now_s - held.heard_s < advertised_s);
            let mut missing = (0..CLIENTS_MAX).filter(|client| must & !is & 1 << client != 0).filter(young);
            if let Some(client) = missing.next() {
                let detail = format!("c{client} is not pending for neighbour {neighbour}");
                return Some(("a new update is pending until it is sent", detail));
            }
        }
        None
    }

    /// A neighbour has one link, however often it dials.
    fn check_links(&self, host: usize) -> Option<Broken> {
        let Host { node, sessions, .. } = &self.hosts[host];
        let node = node.as_ref()?;
        let mut peers: Vec<NodeId> = vec![];
        for &(conn, end) in sessions.iter().flatten() {
            let State::Open(id) = self.conns[conn].ends[end].state else { continue };
            let Some(peer) = node.peer(id) else { continue };
            if peers.contains(&peer) {
                return Some(("a neighbour has one link", format!("two to {}", self.names[peer.index()])));
            }
            peers.push(peer);
        }
        None
    }

    /// The number of a neighbour. Configurations do not change here, so it is the place among the neighbours.
    pub(super) fn neighbour(&self, host: usize, other: usize) -> Option<usize> {
        self.plan.neighbours(host).binary_search(&other).ok()
    }

    /// Checks that a sent update is the entry of the table, and that its age allows sending.
    pub(super) fn check_update(
        &mut self,
        host: usize,
        age_s: u32,
        client: Option<usize>,
        sighting: &Sighting,
        to: Option<usize>,
    ) -> Option<Kind> {
        let held = client.and_then(|client| self.hosts[host].held[client]);
        let Some((client, held)) = client.zip(held).filter(|(_, held)| held.sighting == *sighting) else {
            self.fail(
                "a node sends the entries that it holds",
                format!("{}: {sighting:?}", self.names[host]),
            );
            return None;
        };
        let life_s = self.plan.age_s_max;
        let true_ms = issued_at(&self.issued[client], sighting).map_or(0, |at| self.now - at);
        if age_s >= life_s - life_s / 10 || !age_is_true(i64::from(age_s), true_ms, held.hidden_ms) {
            let detail = format!("{}: c{client} sent at {age_s} s, it is {true_ms} ms old", self.names[host]);
            self.fail("no update is sent in the last tenth of its life", detail);
            return None;
        }
        if let Some(to) = to {
            self.hosts[host].must_send[to] &= !(1 << client);
        }
        Some(Kind::Update { client, sighting: *sighting, hidden_ms: held.hidden_ms })
    }
}
