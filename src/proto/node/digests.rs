//! How two nodes detect whether they are in sync, and resend the differing updates if not.
//!
//! A digest carries everything that its comparison needs, so the exchange needs no memory of earlier rounds.
//! [`DIGEST_ANSWERS_MAX`] bounds the answers of a round, so a round ends even if the tables change meanwhile.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::Node;
use super::links::LinkEvent;
use crate::digest::{Buckets, Salt, buckets, is_at_or_above};
use crate::limits::{DIGEST_ANSWERS_MAX, DIGEST_FIRST_MS};
use crate::out::Out;
use crate::session::{Cut, DigestDue};
use crate::time::Mono;
use crate::update::Update;
use crate::wire;

impl<const SLOTS: usize> Node<SLOTS> {
    /// Compares the neighbour's digest with our own, marks the differing updates as pending, and answers.
    ///
    /// Two digests are only comparable at a floor that both tables reach. So this node compares if its own
    /// floor is not higher. It answers with a digest at the higher of the two floors, unless it sent exactly
    /// that one last. If the floors are equal, the exchange takes two lines, else three. Then both ends have
    /// compared.
    pub(crate) fn take_digest(
        &mut self,
        now: Mono,
        index: usize,
        neighbour: usize,
        round: u64,
        theirs: &Buckets,
        floor: Option<Update>,
    ) -> Result<LinkEvent, Cut> {
        self.links[neighbour].pace.received.digests += 1;
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
                // The difference may be entries that are missing here. Then nothing is pending, and the link is
                // still not in sync.
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
        let progress = digest.round(round);
        let sent_this = progress.sent == Some((round, floor_hash(floor.as_ref())));
        if !sent_this && progress.answers < DIGEST_ANSWERS_MAX {
            progress.answers += 1;
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
        Salt { round, secret: self.sessions[index].digest_secret() }
    }

    pub(crate) fn pull_digest(&mut self, now: Mono, index: usize, out: &mut Out) -> bool {
        let Some(due) = self.sessions[index].digest.due.take() else { return false };
        // Our own floor may have risen since. This table cannot answer for updates below it.
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

/// Distinguishes floors within a round. The hash need not be secret: only the end that sent the floor compares
/// it.
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
