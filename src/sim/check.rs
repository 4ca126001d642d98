//! What must hold at every step, on the node that was touched.

use super::host::{Held, Host, client_name, client_number};
use super::net::Kind;
use super::plan::SLOTS;
use super::world::World;
use crate::proto::limits::{AHEAD_NS_MAX, NEIGHBOURS_MAX};
use crate::proto::report::Sighting;
use crate::proto::time::Now;

/// What whole seconds may cut off.
const SECOND_MS: u64 = 1_000;

type Broken = (&'static str, String);

/// Whether an age in whole seconds is what it should be, as far as its holder can know.
fn age_is_true(age_s: i64, true_ms: u64, hidden_ms: u64) -> bool {
    let age_ms = u64::try_from(age_s).unwrap_or(0) * 1_000;
    age_ms.abs_diff(true_ms) <= hidden_ms + SECOND_MS
}

pub(super) fn issued_at(issued: &[(Sighting, u64)], sighting: &Sighting) -> Option<u64> {
    issued.iter().rev().find(|(other, _)| other == sighting).map(|(_, at)| *at)
}

fn is_ahead(now: &Now, sighting: &Sighting) -> bool {
    now.wall_is_trusted && sighting.time.timestamp().0 > now.wall.0.saturating_add(AHEAD_NS_MAX)
}

impl World {
    /// Checks a node whose table may have changed. `arrival` is the client of a report that came over a
    /// link, and by how much its age may be short of the truth.
    pub(super) fn check(&mut self, host: usize, arrival: Option<(usize, u64)>) {
        let broken = self.check_entries(host, arrival).or_else(|| self.check_owed(host));
        if let Some((check, detail)) = broken {
            self.fail(check, format!("{}: {detail}", self.names[host]));
        }
    }

    fn check_entries(&mut self, host: usize, arrival: Option<(usize, u64)>) -> Option<Broken> {
        let life_s = i64::from(self.plan.age_s_max);
        let now = self.hosts[host].now(self.now);
        let now_s = now.mono.seconds();
        let Host { node, held, evicted, .. } = &mut self.hosts[host];
        let table = node.as_ref()?.table();
        if table.len() > table.capacity() || table.capacity() > SLOTS / 2 {
            return Some((
                "a table keeps to its capacity",
                format!("{} of {}", table.len(), table.capacity()),
            ));
        }
        let mut seen = 0_u64;
        for (version, heard_s) in table.sim_entries() {
            let Some(client) = client_number(version.client) else {
                return Some(("every stored report was issued", format!("{:?}", version.client)));
            };
            seen |= 1 << client;
            let sighting = *version.sighting;
            let old = held[client].as_ref();
            if old.is_some_and(|old| old.sighting == sighting && old.heard_s == heard_s) {
                continue;
            }
            let lived = |old: &Held| i64::from(now_s) - i64::from(old.heard_s) >= life_s;
            if old.is_some_and(|old| !lived(old) && !sighting.compare(&old.sighting).is_gt()) {
                return Some(("a client's report never goes back", format!("{version:?} after {old:?}")));
            }
            let Some(issued_at) = issued_at(&self.issued[client], &sighting) else {
                return Some(("every stored report was issued", format!("{version:?}")));
            };
            let hidden_ms = arrival.filter(|(of, _)| *of == client).map_or(0, |(_, hidden_ms)| hidden_ms);
            let age_s = i64::from(now_s) - i64::from(heard_s);
            let true_ms = self.now - issued_at;
            if !age_is_true(age_s, true_ms, hidden_ms) || age_s >= life_s {
                let detail = format!("{age_s} s for {true_ms} ms, {hidden_ms} ms hidden: {version:?}");
                return Some(("an age is true, and within a life", detail));
            }
            held[client] = Some(Held { sighting, heard_s, hidden_ms });
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

    /// Every entry that is gone had a reason to go.
    fn check_gone(&mut self, host: usize, seen: u64, evictions: u64, now: &Now) -> Option<Broken> {
        let Host { node, held, .. } = &mut self.hosts[host];
        let table = node.as_ref()?.table();
        let now_s = now.mono.seconds();
        let mut evicted = 0;
        for (client, slot) in held.iter_mut().enumerate() {
            let Some(old) = slot.as_ref().filter(|_| seen & 1 << client == 0) else { continue };
            let expired =
                now_s.saturating_sub(old.heard_s) >= i32::try_from(self.plan.age_s_max).unwrap_or(i32::MAX);
            if !expired && !is_ahead(now, &old.sighting) {
                evicted += 1;
                let name = client_name(client);
                let is_smallest = table.sim_entries().all(|(other, _)| {
                    let order = old.sighting.compare(other.sighting);
                    order.then_with(|| name.as_bytes().cmp(other.client.as_bytes())).is_lt()
                });
                if !is_smallest || table.len() < table.capacity() {
                    return Some((
                        "only the smallest of a full table gives way",
                        format!("c{client}: {old:?}"),
                    ));
                }
            }
            *slot = None;
        }
        if evicted > evictions {
            return Some(("what goes is counted", format!("{evicted} entries went, {evictions} gave way")));
        }
        None
    }

    /// An owed bit implies an entry, and a neighbour.
    fn check_owed(&self, host: usize) -> Option<Broken> {
        let node = self.hosts[host].node.as_ref()?;
        let (table, owed) = (node.table(), node.table().owed());
        let neighbours = node.links().count();
        for neighbour in 0..NEIGHBOURS_MAX {
            let count = owed.count(neighbour);
            if count == 0 {
                continue;
            }
            let set = (0..table.len()).filter(|&slot| owed.is_set(neighbour, slot)).count();
            if neighbour >= neighbours || set != count {
                let detail = format!("{count} owed to neighbour {neighbour}, {set} of them entries");
                return Some(("an owed bit implies an entry", detail));
            }
        }
        None
    }

    /// A report that a node writes is the one it holds, of an age that may be told.
    pub(super) fn check_update(
        &mut self,
        host: usize,
        age_s: u32,
        client: Option<usize>,
        sighting: &Sighting,
    ) -> Option<Kind> {
        let held = client.and_then(|client| self.hosts[host].held[client]);
        let Some((client, held)) = client.zip(held).filter(|(_, held)| held.sighting == *sighting) else {
            self.fail("what is sent is what is held", format!("{}: {sighting:?}", self.names[host]));
            return None;
        };
        let life_s = self.plan.age_s_max;
        let true_ms = issued_at(&self.issued[client], sighting).map_or(0, |at| self.now - at);
        if age_s >= life_s - life_s / 10 || !age_is_true(i64::from(age_s), true_ms, held.hidden_ms) {
            let detail = format!("{}: c{client} sent at {age_s} s, it is {true_ms} ms old", self.names[host]);
            self.fail("nothing is told in the last tenth of its life", detail);
            return None;
        }
        Some(Kind::Update { client, hidden_ms: held.hidden_ms })
    }
}
