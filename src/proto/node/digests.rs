//! How two nodes find out whether they are in sync, and mend it where they are not.
//!
//! Part of [`Node`]; apart from it for length only. The exchange needs no memory of rounds past: each
//! digest says all that is needed to compare it. How often a round is answered is bounded
//! ([`DIGEST_ANSWERS_MAX`]), so whatever moves meanwhile, it ends.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::Node;
use super::links::LinkEvent;
use crate::auth::LineKeys;
use crate::digest::{Buckets, Salt, buckets, is_at_or_above};
use crate::limits::{DIGEST_ANSWERS_MAX, DIGEST_FIRST_MS};
use crate::out::Out;
use crate::session::{Cut, DigestDue};
use crate::time::Mono;
use crate::update::Update;
use crate::wire;

impl<const SLOTS: usize> Node<SLOTS> {
    /// Compares the neighbour's digest with our own, owes it what differs, and answers it.
    ///
    /// A digest can only be compared at a floor that both ends reach down to. So the rule of the
    /// exchange is: compare if our floor is no higher, and answer with a digest at the higher floor of
    /// both unless that is the very one we sent last. Two lines do when the floors are one, three when
    /// not, and both ends have compared.
    pub(crate) fn take_digest(
        &mut self,
        now: Mono,
        index: usize,
        neighbour: usize,
        round: u64,
        theirs: &Buckets,
        floor: Option<Update>,
    ) -> Result<LinkEvent, Cut> {
        if !self.links[neighbour].digests.take(now) {
            self.counters.digests_over_rate += 1;
            let is_flooded = self.links[neighbour].digests.is_flooded();
            return if is_flooded { Err(Cut::DigestFlood) } else { Ok(LinkEvent::None) };
        }
        let ours = self.own_floor();
        let node = self.links[neighbour].node;
        let comparable = match (&ours, &floor) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(ours), Some(floor)) => ours.borrowed().compare(&floor.borrowed()).is_le(),
        };
        let mut event = LinkEvent::None;
        if comparable {
            let salt = self.salt(index, round);
            let mine = buckets(&self.table, &self.names, now.seconds(), floor.as_ref(), salt);
            if mine == *theirs {
                self.counters.digests_equal += 1;
                self.links[neighbour].equal_at = Some(now);
                self.sessions[index].compared(now, true);
                event = LinkEvent::Equal { node };
            } else {
                self.counters.digests_differ += 1;
                // Nothing may be pending from here and yet be missing here.
                self.links[neighbour].equal_at = None;
                self.sessions[index].compared(now, false);
                let pending = self.table.mark_pending_where(neighbour, now.seconds(), |update| {
                    let bucket = salt.bucket(&update);
                    mine[bucket] != theirs[bucket] && is_at_or_above(&update, floor.as_ref())
                });
                self.links[neighbour].digests.spend_answer(now, pending, self.table.capacity());
                event = LinkEvent::Differs { node, pending };
            }
        }
        let floor = if comparable { floor } else { ours };
        let digest = &mut self.sessions[index].digest;
        let said = digest.round(round);
        let sent_this = said.sent == Some((round, floor_hash(floor.as_ref())));
        if !sent_this && said.answers < DIGEST_ANSWERS_MAX {
            said.answers += 1;
            digest.due = Some(DigestDue { round, at_latest: now.after_ms(DIGEST_FIRST_MS) });
            digest.due_floor = floor;
        }
        self.wakes |= 1 << index;
        Ok(event)
    }

    pub(crate) fn own_floor(&self) -> Option<Update> {
        self.table.floor().map(|floor| Update { client: floor.client.clone(), sighting: *floor.sighting })
    }

    fn salt(&self, index: usize, round: u64) -> Salt {
        Salt { round, secret: self.sessions[index].keys.as_ref().map_or(0, LineKeys::digest_secret) }
    }

    pub(crate) fn pull_digest(&mut self, now: Mono, index: usize, out: &mut Out) -> bool {
        let Some(due) = self.sessions[index].digest.due.take() else { return false };
        // Our own floor may have risen since: what is below it we cannot speak for.
        let ours = self.own_floor();
        let floor = match (self.sessions[index].digest.due_floor.take(), ours) {
            (Some(a), Some(b)) => Some(if a.borrowed().compare(&b.borrowed()).is_ge() { a } else { b }),
            (a, b) => a.or(b),
        };
        let salt = self.salt(index, due.round);
        let sums = buckets(&self.table, &self.names, now.seconds(), floor.as_ref(), salt);
        wire::put_digest(due.round, &sums, floor.as_ref(), &self.names, out);
        self.sessions[index].digest.round(due.round).sent = Some((due.round, floor_hash(floor.as_ref())));
        self.counters.digests_sent += 1;
        true
    }
}

/// Tells floors apart within a round. It need not be secret: the end that sent it compares.
fn floor_hash(floor: Option<&Update>) -> u64 {
    let Some(floor) = floor else { return 0 };
    let mut hasher = SipHasher13::new();
    hasher.write(floor.client.as_bytes());
    hasher.write_u8(b' ');
    hasher.write_usize(floor.sighting.origin.index());
    hasher.write_i64(floor.sighting.heard.0);
    hasher.write_i64(floor.sighting.rank.0);
    hasher.write_u8(u8::from(floor.sighting.clock_was_trusted()));
    hasher.write(floor.sighting.position.packed());
    hasher.write(floor.sighting.time.packed());
    hasher.finish() | 1
}
