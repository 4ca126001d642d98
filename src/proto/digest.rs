//! Digests: two nodes compare their tables with one line each, and find where they differ.
//!
//! A digest covers the advertised entries at or above a floor, so two boards of different capacity compare only
//! the entries that both can hold. Each client falls into one of 64 buckets. A bucket's hash is the sum of the
//! hashes of its updates, so their order does not matter. The round and a secret of the link key every hash. So
//! two different tables that collide in one round do not collide in the next, and a client cannot choose
//! updates that collide.
//!
//! Invariant: a node reports that it is in sync with a neighbour only after equal digests.

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

/// The key of the hashes of one round.
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

    /// The hash of a whole update. It hashes the origin's name, because two configurations may number the nodes
    /// differently.
    fn update(self, update: &UpdateRef, names: &Names) -> u64 {
        let mut hasher = self.hasher();
        hasher.write(update.client.as_bytes());
        // An id has no blank, so a blank separates the fields unambiguously.
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

/// The rate limit of a neighbour's digests: the generic cell rate algorithm (ITU-T I.371). It belongs to the
/// neighbour and not to a link, so a new link does not bring a new quota.
#[derive(Clone, Copy, Debug)]
pub(super) struct DigestQuota {
    /// When the full quota is available again.
    whole_at: Mono,
    /// Digests of this link ignored since the last comparison.
    excess: u32,
}

impl DigestQuota {
    /// A full quota. All bytes are zero.
    pub(super) const NEW: DigestQuota = DigestQuota { whole_at: Mono(0), excess: 0 };

    /// Whether the node may compare a digest that arrives now. Spends the quota.
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

    /// Resets the excess: a new link does not inherit it.
    pub(super) fn begin_link(&mut self) {
        self.excess = 0;
    }

    /// Charges the answer: the digest makes this node send `pending` of at most `capacity` entries.
    pub(super) fn spend_answer(&mut self, now: Mono, pending: usize, capacity: usize) {
        self.spend(now, pending as u64 * DIGEST_ANSWER_COST / (capacity as u64).max(1));
    }

    fn spend(&mut self, now: Mono, digests: u64) {
        self.whole_at = self.whole_at.max(now).after_ms(digests * DIGEST_COST_MS);
    }

    /// Whether the node has ignored so many digests that it must end the link.
    pub(super) fn is_flooded(&self) -> bool {
        self.excess >= DIGESTS_EXCESS_MAX
    }
}

/// Whether `update` is at or above `floor`. Without a floor this holds for all updates.
#[must_use]
pub fn is_at_or_above(update: &UpdateRef, floor: Option<&Update>) -> bool {
    floor.is_none_or(|floor| update.compare(&floor.borrowed()).is_ge())
}

/// The buckets of the entries that `table` advertises at or above `floor`. Reads the whole table.
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
    fn the_rate_limit_charges_digests_and_answers() {
        let taken = |quota: &mut DigestQuota, now, tries| (0..tries).filter(|_| quota.take(now)).count();
        let mut quota = DigestQuota::NEW;
        assert_eq!(taken(&mut quota, Mono(0), 100), 16);
        assert!(quota.is_flooded());
        assert_eq!(taken(&mut quota, Mono(DIGEST_COST_MS), 5), 1);
        assert!(!quota.is_flooded());
        assert_eq!(taken(&mut quota, Mono(9_000_000), 100), 16, "a long silence does not raise the quota");
        let mut quota = DigestQuota::NEW;
        for _ in 0..2 {
            assert!(quota.take(Mono(0)));
            quota.spend_answer(Mono(0), 4096, 4096);
        }
        assert!(!quota.take(Mono(0)), "two whole tables use up the quota");
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
