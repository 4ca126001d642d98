//! How many new client ids one address may bring in: nobody fills the table with inventions.
//!
//! A full table holds the newest reports, so whoever invents enough ids pushes everyone else out, and with
//! times a day ahead locks them out. So each address has a budget of ids that the table does not hold: so many a day,
//! a quarter of them at once. Ids that the table holds cost nothing, and loopback is exempt: who is on the board
//! has other means. What is over the budget is answered as ever, but neither stored nor flooded, and counted.
//!
//! Addresses share budgets by a keyed hash: a fixed number of them, so strangers cannot grow it, and nobody can choose
//! whom to share with. An IPv6 host owns a /64, so that is what counts as an address.
//!
//! A budget is one number (the generic cell rate algorithm, ITU-T I.371): when it will be whole again. 0 is a whole
//! one, so a static of them is all zero.

use core::hash::Hasher;
use core::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::limits::{NEW_ID_BUDGETS, NEW_IDS_AT_ONCE_DIVISOR, NEW_IDS_PER_DAY_MAX};
use super::time::Mono;

const DAY_MS: u64 = 86_400_000;

/// Where a client speaks from, as far as new ids go. Made by [`Node::caller`](super::node::Node::caller).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caller {
    /// From the board itself: no budget.
    #[default]
    Exempt,
    /// From an address that has the budget of this number.
    Budget(u8),
}
const _: () = assert!(NEW_ID_BUDGETS == 1 << u8::BITS);

/// The budgets of all addresses.
#[derive(Debug)]
pub(super) struct Newcomers {
    /// When each budget is whole again.
    whole_at: [Mono; NEW_ID_BUDGETS],
    /// What one new id costs, in milliseconds until it is there again.
    each_ms: u64,
    /// What may be spent at once, in the same coin.
    at_once_ms: u64,
}

impl Newcomers {
    /// Whole budgets of nothing, all zero: fit for a static.
    pub(super) const fn new() -> Self {
        Newcomers { whole_at: [Mono(0); NEW_ID_BUDGETS], each_ms: 0, at_once_ms: 0 }
    }

    /// Sets how many new ids an address may bring in a day: at least one, at most [`NEW_IDS_PER_DAY_MAX`]. What has
    /// been spent stays spent.
    pub(super) fn set_per_day(&mut self, per_day: u32) {
        let per_day = u64::from(per_day.clamp(1, NEW_IDS_PER_DAY_MAX));
        self.each_ms = DAY_MS / per_day;
        self.at_once_ms = (per_day / NEW_IDS_AT_ONCE_DIVISOR).max(1) * self.each_ms;
    }

    /// Which budget an address has, by the secret of the table's hash.
    pub(super) fn caller(address: IpAddr, hash_key: (u64, u64)) -> Caller {
        let address = address.to_canonical();
        if address.is_loopback() {
            return Caller::Exempt;
        }
        let mut hasher = SipHasher13::new_with_keys(hash_key.0, hash_key.1);
        match address {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()[..8]),
        }
        #[expect(clippy::cast_possible_truncation, reason = "one of 256 budgets")]
        Caller::Budget(hasher.finish() as u8)
    }

    /// Whether this caller may bring in one more new id.
    pub(super) fn has_room(&self, now: Mono, caller: Caller) -> bool {
        match caller {
            Caller::Exempt => true,
            Caller::Budget(number) => {
                let spent_ms = self.whole_at[usize::from(number)].since_ms(now);
                spent_ms + self.each_ms <= self.at_once_ms
            }
        }
    }

    /// The caller has brought one in.
    pub(super) fn spend(&mut self, now: Mono, caller: Caller) {
        if let Caller::Budget(number) = caller {
            let whole_at = &mut self.whole_at[usize::from(number)];
            *whole_at = (*whole_at).max(now).after_ms(self.each_ms);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH_KEY: (u64, u64) = (1, 2);

    fn budget(per_day: u32) -> Newcomers {
        let mut newcomers = Newcomers::new();
        newcomers.set_per_day(per_day);
        newcomers
    }

    /// How many of `tries` new ids go in at one moment.
    fn taken(newcomers: &mut Newcomers, now: Mono, tries: usize) -> usize {
        let caller = Caller::Budget(7);
        (0..tries)
            .filter(|_| {
                let may = newcomers.has_room(now, caller);
                if may {
                    newcomers.spend(now, caller);
                }
                may
            })
            .count()
    }

    #[test]
    fn a_quarter_at_once_and_the_rest_over_the_day() {
        let mut newcomers = budget(1024);
        assert_eq!(taken(&mut newcomers, Mono(0), 5_000), 256);
        assert_eq!(taken(&mut newcomers, Mono(DAY_MS / 1024), 10), 1);
        // A long silence saves up no more than a quarter.
        assert_eq!(taken(&mut newcomers, Mono(9 * DAY_MS), 5_000), 256);
        assert!(newcomers.has_room(Mono(0), Caller::Exempt));
        assert!(newcomers.has_room(Mono(0), Caller::Budget(8)));
    }

    #[test]
    fn the_smallest_budget_is_one_id() {
        for (per_day, at_once) in
            [(0, 1), (1, 1), (7, 1), (8, 2), (NEW_IDS_PER_DAY_MAX, 250_000), (u32::MAX, 250_000)]
        {
            assert_eq!(taken(&mut budget(per_day), Mono(5), 300_000), at_once, "{per_day} a day");
        }
    }

    #[test]
    fn who_shares_a_budget() {
        let caller = |text: &str| Newcomers::caller(text.parse().expect("an address"), HASH_KEY);
        for exempt in ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(caller(exempt), Caller::Exempt, "{exempt}");
        }
        assert_eq!(caller("192.0.2.7"), caller("::ffff:192.0.2.7"));
        assert_eq!(caller("2001:db8::1"), caller("2001:db8::ffff:0:2"), "one /64");
        let others = (0..=255).map(|n| caller(&format!("192.0.2.{n}")));
        assert!(others.filter(|other| *other == caller("198.51.100.1")).count() < 10);
        let otherwise = |n| Newcomers::caller(IpAddr::from([192, 0, 2, n]), (3, 4));
        assert!((0..=255).any(|n| otherwise(n) != caller(&format!("192.0.2.{n}"))), "the hash is keyed");
    }

    proptest! {
        /// In any stretch of time no more than a quarter and the day's rate go in.
        #[test]
        fn no_rhythm_brings_in_more(
            per_day in 1..20_000_u32,
            steps in proptest::collection::vec((0..3_600_000_u64, 0..400_usize), 1..60),
        ) {
            let mut newcomers = budget(per_day);
            let (mut now, mut all) = (Mono(0), 0);
            for (pause_ms, tries) in steps {
                now = now.after_ms(pause_ms);
                all += taken(&mut newcomers, now, tries);
                let each_ms = DAY_MS / u64::from(per_day);
                let allowed = u64::from(per_day / 4).max(1) + now.0 / each_ms;
                prop_assert!(all as u64 <= allowed, "{} of {}", all, allowed);
            }
        }
    }
}
