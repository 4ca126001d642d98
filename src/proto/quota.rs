//! How many clients one address may hold in the table at a time: a stranger cannot fill it with ids that it makes up.
//!
//! A full table holds the newest updates, so an address that invents enough ids pushes the clients of others out. So each
//! entry that this node's own clients brought belongs to the address of the last one, and an address holds so many at
//! most. An update that would give it one more is answered as ever, but neither stored nor flooded, and counted. What an
//! address holds already it may update as often as it likes. An entry stops to count when it ends, or when its client is
//! heard by another node: there it counts then. So one address holds so many at each node, and never more.
//!
//! Addresses are told apart by 16 bits of a keyed hash, and an IPv6 host owns a /64, so that is what counts as an address.
//! The count is a count-min sketch (Cormode and Muthukrishnan, "An improved data stream summary: the count-min sketch and
//! its applications", 2005) of two rows, by the upper and the lower byte: an address is over its quota only if both of its
//! counters are. Strangers cannot grow it, and cannot choose with whom they share: of 3,000 addresses it takes 20 that are
//! over their quota to lock out one. All is zero at the start: fit for a static.

use core::hash::Hasher;
use core::net::IpAddr;
use core::num::NonZeroU16;

use siphasher::sip::SipHasher13;

use super::limits::CLIENTS_PER_ADDRESS_MAX;

/// Whose quota an update draws on. Made by [`Node::caller`](super::node::Node::caller).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caller {
    /// Nobody's: a client of a herd on one machine, or one that comes through a gateway.
    #[default]
    Exempt,
    /// That of the addresses with this hash.
    Address(NonZeroU16),
}

impl Caller {
    /// The quota of an address, by the secret of the table's hash.
    pub(super) fn of(address: IpAddr, hash_key: (u64, u64)) -> Caller {
        let mut hasher = SipHasher13::new_with_keys(hash_key.0, hash_key.1);
        match address.to_canonical() {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()[..8]),
        }
        #[expect(clippy::cast_possible_truncation, reason = "16 bits of a hash are meant")]
        Caller::Address(NonZeroU16::new(hasher.finish() as u16).unwrap_or(NonZeroU16::MAX))
    }

    fn tag(self) -> u16 {
        match self {
            Caller::Exempt => 0,
            Caller::Address(tag) => tag.get(),
        }
    }
}

/// Who holds which slot of a table, and how many each.
#[derive(Debug)]
pub(super) struct Quotas<const SLOTS: usize> {
    /// By slot: the address that brought its entry, 0 for none.
    tags: [u16; SLOTS],
    /// Entries by the upper and by the lower byte of their tags.
    counts: [[u16; 256]; 2],
    /// Entries that an address may hold.
    max: u16,
}

impl<const SLOTS: usize> Quotas<SLOTS> {
    pub(super) const fn new() -> Self {
        Quotas { tags: [0; SLOTS], counts: [[0; 256]; 2], max: 0 }
    }

    /// Sets how many entries an address may hold: at least one, at most [`CLIENTS_PER_ADDRESS_MAX`]. What it holds
    /// already it keeps.
    pub(super) fn set_max(&mut self, max: u32) {
        self.max = u16::try_from(max.clamp(1, CLIENTS_PER_ADDRESS_MAX)).unwrap_or(u16::MAX);
    }

    /// Whether an update of this address may be stored: in the slot of its client, or in a new one.
    pub(super) fn allows(&self, caller: Caller, slot: Option<usize>) -> bool {
        let tag = caller.tag();
        tag == 0 || slot.is_some_and(|slot| self.tags[slot] == tag) || self.held(tag) < self.max
    }

    /// The most that the address may hold: too much where it shares both counters with others.
    fn held(&self, tag: u16) -> u16 {
        let [upper, lower] = tag.to_be_bytes().map(usize::from);
        self.counts[0][upper].min(self.counts[1][lower])
    }

    /// The entry of `slot` belongs to this address from now on.
    pub(super) fn give(&mut self, slot: usize, caller: Caller) {
        let (old, new) = (self.tags[slot], caller.tag());
        if old == new {
            return;
        }
        self.tags[slot] = new;
        for (tag, is_given) in [(old, false), (new, true)] {
            let bytes = tag.to_be_bytes().map(usize::from);
            for (counts, byte) in self.counts.iter_mut().zip(bytes).filter(|_| tag != 0) {
                debug_assert!(is_given || counts[byte] > 0, "what is taken back was given");
                counts[byte] = if is_given { counts[byte] + 1 } else { counts[byte].saturating_sub(1) };
            }
        }
    }

    /// The entry at slot `from` stands at slot `to` now, which is free.
    pub(super) fn move_slot(&mut self, from: usize, to: usize) {
        debug_assert_eq!(self.tags[to], 0, "the slot is free");
        self.tags[to] = core::mem::take(&mut self.tags[from]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HASH_KEY: (u64, u64) = (1, 2);

    fn caller(tag: u16) -> Caller {
        NonZeroU16::new(tag).map_or(Caller::Exempt, Caller::Address)
    }

    #[test]
    fn an_address_holds_its_quota_and_no_more() {
        let mut quotas = Quotas::<8>::new();
        quotas.set_max(2);
        for slot in [0, 1] {
            assert!(quotas.allows(caller(0x0102), None));
            quotas.give(slot, caller(0x0102));
        }
        assert!(!quotas.allows(caller(0x0102), None));
        assert!(!quotas.allows(caller(0x0102), Some(2)), "nor does it take over what others hold");
        assert!(quotas.allows(caller(0x0102), Some(1)), "what it holds it may update");
        assert!(
            quotas.allows(caller(0x0103), None) && quotas.allows(caller(0x0202), None),
            "one byte is shared"
        );
        assert!(quotas.allows(Caller::Exempt, None));
        // Another node has heard of one of its clients.
        quotas.give(0, Caller::Exempt);
        assert!(quotas.allows(caller(0x0102), None));
    }

    #[test]
    fn who_shares_a_quota() {
        let caller = |text: &str| Caller::of(text.parse().expect("an address"), HASH_KEY);
        assert_eq!(caller("192.0.2.7"), caller("::ffff:192.0.2.7"));
        assert_eq!(caller("2001:db8::1"), caller("2001:db8::ffff:0:2"), "one /64");
        assert_ne!(caller("192.0.2.7"), caller("192.0.2.8"));
        assert_ne!(caller("127.0.0.1"), Caller::Exempt, "who is exempt is for the configuration to say");
        let otherwise = Caller::of(IpAddr::from([192, 0, 2, 7]), (3, 4));
        assert_ne!(otherwise, caller("192.0.2.7"), "the hash is keyed");
    }

    proptest! {
        /// The counters are those of the tags, whatever happens, and never count too few.
        #[test]
        fn no_address_is_counted_short(
            max in 1..6_u32,
            steps in proptest::collection::vec((0..16_usize, 0..16_usize, prop_oneof![0..5_u16, 256..260_u16]), 0..200),
        ) {
            let mut quotas = Quotas::<16>::new();
            quotas.set_max(max);
            for (slot, hole, tag) in steps {
                if quotas.allows(caller(tag), Some(slot)) {
                    quotas.give(slot, caller(tag));
                }
                if slot != hole {
                    quotas.give(hole, Caller::Exempt);
                    quotas.move_slot(slot, hole);
                }
                for tag in quotas.tags.into_iter().filter(|tag| *tag != 0) {
                    let held = quotas.tags.iter().filter(|other| **other == tag).count();
                    prop_assert!(held <= usize::from(quotas.held(tag)), "{} of {}", held, tag);
                    prop_assert!(held <= max as usize);
                }
            }
            (0..16).for_each(|slot| quotas.give(slot, Caller::Exempt));
            prop_assert!(quotas.counts.iter().flatten().all(|count| *count == 0));
        }
    }
}
