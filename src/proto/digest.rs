//! Digests: how two nodes find out, in one line each, whether their tables agree, and where not.
//!
//! A digest covers the advertised entries at or above a floor, so that boards of unlike size compare
//! only what both can hold. A client falls in one of 64 buckets; a bucket's hash is the sum of the
//! hashes of its updates, so no order matters. Every hash is keyed by the round and by a secret of the
//! link: two tables that differ and collide in one round do not collide in the next, and nobody can
//! choose updates that collide.
//!
//! Equal digests are the only ground on which a node may say that it is in sync with a neighbour.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::limits::{
    DIGEST_ANSWER_COST, DIGEST_BUCKETS, DIGEST_COST_MS, DIGESTS_AT_ONCE, DIGESTS_EXCESS_MAX,
};
use super::names::Names;
use super::table::Table;
use super::time::Mono;
use super::update::{Update, UpdateRef};

/// The sums of the buckets.
pub type Buckets = [u64; DIGEST_BUCKETS];

/// What makes one round's hashes unlike another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt {
    /// The number of the round, chosen by the end that began it.
    pub round: u64,
    /// A secret of the link; 0 without keys.
    pub secret: u64,
}

impl Salt {
    fn hasher(self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.round, self.secret)
    }

    /// The bucket of a client: the same for all its updates.
    #[must_use]
    pub fn bucket(self, update: &UpdateRef) -> usize {
        let mut hasher = self.hasher();
        hasher.write(update.client.as_bytes());
        // The remainder is below 64, which fits any usize.
        usize::try_from(hasher.finish() % DIGEST_BUCKETS as u64).unwrap_or(0)
    }

    /// The hash of a whole update. Origins are hashed by name: two configurations may number them differently.
    fn update(self, update: &UpdateRef, names: &Names) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(update.client.as_bytes());
        // No id holds a blank: what follows cannot be mistaken for a part of one, nor for a name.
        hasher.write_u8(b' ');
        hasher.write(names.name(update.sighting.origin));
        hasher.write_u8(b' ');
        hasher.write_i64(update.sighting.heard.0);
        hasher.write_i64(update.sighting.rank.0);
        hasher.write_u8(u8::from(update.sighting.clock_was_trusted()));
        hasher.write(update.sighting.position.packed());
        hasher.write(update.sighting.time.packed());
        hasher.finish()
    }
}

/// How many more digests of a neighbour may be compared: the generic cell rate algorithm (ITU-T I.371). It belongs to the
/// neighbour and not to a link: a new link brings no new quota.
#[derive(Clone, Copy, Debug)]
pub(super) struct DigestQuota {
    /// When the quota is whole again.
    whole_at: Mono,
    /// Digests of this link passed over since the last that was compared.
    excess: u32,
}

impl DigestQuota {
    /// A whole one, all zero.
    pub(super) const NEW: DigestQuota = DigestQuota { whole_at: Mono(0), excess: 0 };

    /// Whether a digest that comes now is compared.
    pub(super) fn take(&mut self, now: Mono) -> bool {
        let is_allowed = self.whole_at.since_ms(now) <= (DIGESTS_AT_ONCE - 1) * DIGEST_COST_MS;
        if is_allowed {
            self.excess = 0;
            self.spend(now, 1);
        } else {
            self.excess = self.excess.saturating_add(1);
        }
        is_allowed
    }

    /// A new link is not blamed for the one before.
    pub(super) fn begin_link(&mut self) {
        self.excess = 0;
    }

    /// A digest that was taken makes this node send `pending` of at most `capacity` entries.
    pub(super) fn spend_answer(&mut self, now: Mono, pending: usize, capacity: usize) {
        self.spend(now, pending as u64 * DIGEST_ANSWER_COST / (capacity as u64).max(1));
    }

    fn spend(&mut self, now: Mono, digests: u64) {
        self.whole_at = self.whole_at.max(now).after_ms(digests * DIGEST_COST_MS);
    }

    /// Whether so many were passed over that the link has to end.
    pub(super) fn is_flooded(&self) -> bool {
        self.excess >= DIGESTS_EXCESS_MAX
    }
}

/// Whether `update` is at or above `floor`; without a floor everything is.
#[must_use]
pub fn is_at_or_above(update: &UpdateRef, floor: Option<&Update>) -> bool {
    floor.is_none_or(|floor| update.compare(&floor.borrowed()).is_ge())
}

/// The buckets of what `table` advertises at or above `floor`. Reads the whole table.
#[must_use]
pub fn buckets<const SLOTS: usize>(
    table: &Table<SLOTS>,
    names: &Names,
    now_s: i32,
    floor: Option<&Update>,
    salt: Salt,
) -> Buckets {
    let mut sums = [0_u64; DIGEST_BUCKETS];
    for update in table.advertised(now_s).filter(|update| is_at_or_above(update, floor)) {
        let sum = &mut sums[salt.bucket(&update)];
        *sum = sum.wrapping_add(salt.update(&update, names));
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Source;
    use crate::update::tests::{any_update, names};
    use proptest::prelude::*;

    const SALT: Salt = Salt { round: 7, secret: 9 };

    fn table(updates: &[Update]) -> Box<Table<64>> {
        let mut table = Box::new(Table::new());
        table.start(32, 100, (3, 4), 1);
        for update in updates {
            table.admit(update, 0, 0, Source::Neighbour(0));
        }
        table
    }

    proptest! {
        #[test]
        fn equal_exactly_when_the_tables_are(
            a in proptest::collection::vec(any_update(), 0..6),
            b in proptest::collection::vec(any_update(), 0..6),
        ) {
            let list = |table: &Table<64>| {
                let mut all: Vec<String> = table.advertised(0).map(|v| format!("{v:?}")).collect();
                all.sort();
                all
            };
            let (a, b) = (table(&a), table(&b));
            let digest = |table: &Table<64>| buckets(table, &names(), 0, None, SALT);
            prop_assert_eq!(digest(&a) == digest(&b), list(&a) == list(&b));
        }

        #[test]
        fn nothing_below_the_floor_counts(a in any_update(), b in any_update()) {
            let larger = if a.borrowed().compare(&b.borrowed()).is_ge() { &a } else { &b };
            let both = table(&[a.clone(), b.clone()]);
            let one = table(std::slice::from_ref(larger));
            let digest = |table: &Table<64>| buckets(table, &names(), 0, Some(larger), SALT);
            prop_assert_eq!(digest(&both), digest(&one));
        }
    }

    #[test]
    fn digests_are_compared_at_a_rate_and_by_what_they_cost() {
        let taken = |quota: &mut DigestQuota, now, tries| (0..tries).filter(|_| quota.take(now)).count();
        let mut quota = DigestQuota::NEW;
        assert_eq!(taken(&mut quota, Mono(0), 100), 16);
        assert!(quota.is_flooded());
        assert_eq!(taken(&mut quota, Mono(DIGEST_COST_MS), 5), 1);
        assert!(!quota.is_flooded());
        assert_eq!(taken(&mut quota, Mono(9_000_000), 100), 16, "no more for a long silence");
        let mut quota = DigestQuota::NEW;
        for _ in 0..2 {
            assert!(quota.take(Mono(0)));
            quota.spend_answer(Mono(0), 4096, 4096);
        }
        assert!(!quota.take(Mono(0)), "two whole tables at once");
        assert!(quota.take(Mono(3 * DIGEST_COST_MS)));
    }

    #[test]
    fn another_round_or_link_has_other_hashes() {
        let kiwi = crate::update::tests::update("AT Hill +0.000000000 kiwi +1+1 1");
        let table = table(&[kiwi]);
        let digest = |round, secret| buckets(&table, &names(), 0, None, Salt { round, secret });
        assert_ne!(digest(1, 1), digest(2, 1));
        assert_ne!(digest(1, 1), digest(1, 2));
    }
}
