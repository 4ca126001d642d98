//! How many clients one address may hold in the table at a time: a stranger cannot fill it with ids that it makes up.
//!
//! A full table holds the newest updates, so an address that invents enough ids pushes the clients of others out. So each
//! entry that this node's own clients brought belongs to the address of the last one, and an address holds so many at
//! most. An update that would give it one more is answered as ever, but neither stored nor flooded, and counted. What an
//! address holds already it may update as often as it likes. An entry stops to count when it ends, or when its client is
//! heard by another node: there it counts then. So one address holds so many at each node, and never more.
//!
//! Addresses are told apart by 24 bits of a keyed hash, and an IPv6 host owns a /64, so that is what counts as an address.
//! The count is a count-min sketch (Cormode and Muthukrishnan, "An improved data stream summary: the count-min sketch and
//! its applications", 2005) of three rows, one by each byte: an address is over its quota only if all of its counters are.
//! Strangers cannot grow it, and cannot choose with whom they share. With k addresses over their quota an honest one is taken
//! for one of them with a chance of (k/256)^3. All is zero at the start: fit for a static.

use core::hash::Hasher;
use core::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::limits::CLIENTS_PER_ADDRESS_MAX;

/// Whose quota an update draws on. Made by [`Node::caller`](super::node::Node::caller).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller([u8; ROWS]);

const ROWS: usize = 3;

impl Caller {
    /// Nobody's: a client of a herd on one machine, or one that comes through a gateway.
    pub const EXEMPT: Caller = Caller([0; ROWS]);

    /// The quota of an address, by the secret of the table's hash.
    pub(super) fn of(address: IpAddr, hash_key: (u64, u64)) -> Caller {
        let mut hasher = SipHasher13::new_with_keys(hash_key.0, hash_key.1);
        match address.to_canonical() {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()[..8]),
        }
        let [a, b, c, ..] = hasher.finish().to_be_bytes();
        Caller::of_tag([a, b, c])
    }

    /// A part of the hash, for others that tell addresses apart.
    #[must_use]
    pub fn first_byte(self) -> u8 {
        self.0[0]
    }

    /// The quota of this tag; the one tag that stands for nobody is another's.
    #[must_use]
    pub fn of_tag(tag: [u8; ROWS]) -> Caller {
        if tag == Caller::EXEMPT.0 { Caller([1; ROWS]) } else { Caller(tag) }
    }
}

/// How many entries each address holds.
#[derive(Debug)]
pub(super) struct Quotas {
    /// Entries by each byte of their tags.
    counts: [[u16; 256]; ROWS],
    /// Entries that an address may hold.
    max: u16,
}

impl Quotas {
    pub(super) const fn new() -> Self {
        Quotas { counts: [[0; 256]; ROWS], max: 0 }
    }

    /// Sets how many entries an address may hold: at least one, at most [`CLIENTS_PER_ADDRESS_MAX`]. What it holds
    /// already it keeps.
    pub(super) fn set_max(&mut self, max: u32) {
        self.max = u16::try_from(max.clamp(1, CLIENTS_PER_ADDRESS_MAX)).unwrap_or(u16::MAX);
    }

    /// Whether an entry of `holder`, or none yet, may become this caller's.
    pub(super) fn allows(&self, caller: Caller, holder: Option<Caller>) -> bool {
        caller == Caller::EXEMPT || holder == Some(caller) || self.held(caller) < self.max
    }

    /// The most that the caller may hold: too much where it shares all its counters with others.
    fn held(&self, caller: Caller) -> u16 {
        let counts = self.counts.iter().zip(caller.0).map(|(counts, byte)| counts[usize::from(byte)]);
        counts.min().unwrap_or(0)
    }

    /// An entry was `from`'s and is `to`'s from now on. One that nobody holds is exempt.
    pub(super) fn pass(&mut self, from: Caller, to: Caller) {
        if from == to {
            return;
        }
        for (caller, is_given) in [(from, false), (to, true)] {
            for (counts, byte) in self.counts.iter_mut().zip(caller.0).filter(|_| caller != Caller::EXEMPT) {
                let count = &mut counts[usize::from(byte)];
                debug_assert!(is_given || *count > 0, "what is taken back was given");
                *count = if is_given { *count + 1 } else { count.saturating_sub(1) };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH_KEY: (u64, u64) = (1, 2);

    #[test]
    fn an_address_holds_its_quota_and_no_more() {
        let caller = Caller([1, 2, 3]);
        let mut quotas = Quotas::new();
        quotas.set_max(2);
        for _ in 0..2 {
            assert!(quotas.allows(caller, None));
            quotas.pass(Caller::EXEMPT, caller);
        }
        assert!(!quotas.allows(caller, None));
        assert!(!quotas.allows(caller, Some(Caller::EXEMPT)), "nor does it take over what others hold");
        assert!(quotas.allows(caller, Some(caller)), "what it holds it may update");
        for other in [[1, 2, 4], [1, 0, 3], [0, 2, 3]] {
            assert!(quotas.allows(Caller(other), None), "two bytes are shared");
        }
        assert!(quotas.allows(Caller::EXEMPT, None));
        // Another node has heard of one of its clients.
        quotas.pass(caller, Caller::EXEMPT);
        assert!(quotas.allows(caller, None));
    }

    #[test]
    fn who_shares_a_quota() {
        let caller = |text: &str| Caller::of(text.parse().expect("an address"), HASH_KEY);
        assert_eq!(caller("192.0.2.7"), caller("::ffff:192.0.2.7"));
        assert_eq!(caller("2001:db8::1"), caller("2001:db8::ffff:0:2"), "one /64");
        assert_ne!(caller("192.0.2.7"), caller("192.0.2.8"));
        assert_ne!(caller("127.0.0.1"), Caller::EXEMPT, "who is exempt is for the configuration to say");
        let otherwise = Caller::of(IpAddr::from([192, 0, 2, 7]), (3, 4));
        assert_ne!(otherwise, caller("192.0.2.7"), "the hash is keyed");
    }

    proptest! {
        /// The counters are those of the entries, whatever happens, and never count too few.
        #[test]
        fn no_address_is_counted_short(
            max in 1..6_u32,
            steps in proptest::collection::vec((0..16_usize, [0..3_u8, 0..3, 0..2]), 0..200),
        ) {
            let (mut quotas, mut holders) = (Quotas::new(), [Caller::EXEMPT; 16]);
            quotas.set_max(max);
            for (slot, tag) in steps {
                let caller = Caller(tag);
                if quotas.allows(caller, Some(holders[slot])) {
                    quotas.pass(holders[slot], caller);
                    holders[slot] = caller;
                }
                for caller in holders.into_iter().filter(|holder| *holder != Caller::EXEMPT) {
                    let held = holders.iter().filter(|other| **other == caller).count();
                    prop_assert!(held <= usize::from(quotas.held(caller)), "{} of {:?}", held, caller);
                    prop_assert!(held <= max as usize);
                }
            }
            holders.into_iter().for_each(|holder| quotas.pass(holder, Caller::EXEMPT));
            prop_assert!(quotas.counts.iter().flatten().all(|count| *count == 0));
        }
    }
}
