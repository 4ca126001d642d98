//! The quota: how many clients one address may hold in the table. It stops one host from filling the table with
//! invented ids.
//!
//! A full table holds the newest updates, so an address that invents enough ids pushes out the clients of
//! others. Therefore each entry of this node's own clients belongs to the address of its last update, and each
//! address may hold a limited number. An update over the quota gets its normal answer. The node counts it, but
//! neither stores nor floods it. An address may always update the entries that it holds. An entry stops
//! counting when it ends, or when another node hears its client; it then counts at that node. So one address
//! holds at most its quota at each node.
//!
//! 24 bits of a keyed hash identify an address. An IPv6 host owns a /64, so a /64 counts as one address. The
//! count is a count-min sketch of three rows, one for each byte (Cormode and Muthukrishnan, "An improved data
//! stream summary: the count-min sketch and its applications", 2005). An address is over its quota only if all
//! three of its counters are. Remote hosts cannot grow the sketch and cannot choose which addresses share
//! counters. With k addresses over their quota, the chance that the sketch also rejects a further address is
//! (k/256)^3. All bytes are zero at the start, so the sketch fits a static.

use core::hash::Hasher;
use core::net::IpAddr;

use siphasher::sip::SipHasher13;

use super::limits::CLIENTS_PER_ADDRESS_MAX;

/// The key of the quota that an update counts against. [`Node::quota_key`](super::node::Node::quota_key) makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuotaKey([u8; ROWS]);

const ROWS: usize = 3;

impl QuotaKey {
    /// Exempt: a client of a herd on one machine, or one that connects through a gateway.
    pub const EXEMPT: QuotaKey = QuotaKey([0; ROWS]);

    /// The key of an address, by the secret of the table's hash.
    pub(super) fn of(address: IpAddr, hash_key: (u64, u64)) -> QuotaKey {
        let mut hasher = SipHasher13::new_with_keys(hash_key.0, hash_key.1);
        match address.to_canonical() {
            IpAddr::V4(v4) => hasher.write(&v4.octets()),
            IpAddr::V6(v6) => hasher.write(&v6.octets()[..8]),
        }
        QuotaKey::of_hash(hasher.finish())
    }

    /// The key of a name, by the same secret. No address hashes the same bytes: the word before the name has more than one has.
    pub(super) fn of_name(name: &[u8], hash_key: (u64, u64)) -> QuotaKey {
        let mut hasher = SipHasher13::new_with_keys(hash_key.0, hash_key.1);
        hasher.write(b"the name ");
        hasher.write(name);
        QuotaKey::of_hash(hasher.finish())
    }

    fn of_hash(hash: u64) -> QuotaKey {
        let [a, b, c, ..] = hash.to_be_bytes();
        QuotaKey::of_tag([a, b, c])
    }

    /// The first byte of the hash, for other code that distinguishes addresses.
    #[must_use]
    pub fn first_byte(self) -> u8 {
        self.0[0]
    }

    /// The key of this tag. The tag that means exempt maps to another one.
    #[must_use]
    pub fn of_tag(tag: [u8; ROWS]) -> QuotaKey {
        if tag == QuotaKey::EXEMPT.0 { QuotaKey([1; ROWS]) } else { QuotaKey(tag) }
    }
}

/// The number of entries of each address.
#[derive(Debug)]
pub(super) struct Quotas {
    /// Number of entries for each byte of their tags.
    counts: [[u16; 256]; ROWS],
    /// Number of entries that an address may hold.
    max: u16,
}

impl Quotas {
    pub(super) const fn new() -> Self {
        Quotas { counts: [[0; 256]; ROWS], max: 0 }
    }

    /// Sets the number of entries that an address may hold: at least one, at most [`CLIENTS_PER_ADDRESS_MAX`].
    /// Present entries stay.
    pub(super) fn set_max(&mut self, max: u32) {
        self.max = u16::try_from(max.clamp(1, CLIENTS_PER_ADDRESS_MAX)).unwrap_or(u16::MAX);
    }

    /// Whether `quota_key` may take over an entry of `holder`, or add an entry if `holder` is `None`.
    pub(super) fn allows(&self, quota_key: QuotaKey, holder: Option<QuotaKey>) -> bool {
        quota_key == QuotaKey::EXEMPT || holder == Some(quota_key) || self.held(quota_key) < self.max
    }

    /// An upper bound of the address's entries. It is too high if other addresses share all its counters.
    fn held(&self, quota_key: QuotaKey) -> u16 {
        let counts = self.counts.iter().zip(quota_key.0).map(|(counts, byte)| counts[usize::from(byte)]);
        counts.min().unwrap_or(0)
    }

    /// Moves an entry from the quota of `from` to that of `to`. [`QuotaKey::EXEMPT`] has no counters.
    pub(super) fn pass(&mut self, from: QuotaKey, to: QuotaKey) {
        if from == to {
            return;
        }
        for (quota_key, is_given) in [(from, false), (to, true)] {
            for (counts, byte) in
                self.counts.iter_mut().zip(quota_key.0).filter(|_| quota_key != QuotaKey::EXEMPT)
            {
                let count = &mut counts[usize::from(byte)];
                debug_assert!(is_given || *count > 0, "an entry is counted before it is released");
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
        let quota_key = QuotaKey([1, 2, 3]);
        let mut quotas = Quotas::new();
        quotas.set_max(2);
        for _ in 0..2 {
            assert!(quotas.allows(quota_key, None));
            quotas.pass(QuotaKey::EXEMPT, quota_key);
        }
        assert!(!quotas.allows(quota_key, None));
        assert!(
            !quotas.allows(quota_key, Some(QuotaKey::EXEMPT)),
            "an address over its quota cannot take over an exempt entry"
        );
        assert!(quotas.allows(quota_key, Some(quota_key)), "an address may update its own entry");
        for other in [[1, 2, 4], [1, 0, 3], [0, 2, 3]] {
            assert!(quotas.allows(QuotaKey(other), None), "sharing two bytes is not enough");
        }
        assert!(quotas.allows(QuotaKey::EXEMPT, None));
        // Another node has heard one of its clients.
        quotas.pass(quota_key, QuotaKey::EXEMPT);
        assert!(quotas.allows(quota_key, None));
    }

    #[test]
    fn addresses_of_one_host_share_a_quota() {
        let quota_key = |text: &str| QuotaKey::of(text.parse().expect("an address"), HASH_KEY);
        assert_eq!(quota_key("192.0.2.7"), quota_key("::ffff:192.0.2.7"));
        assert_eq!(quota_key("2001:db8::1"), quota_key("2001:db8::ffff:0:2"), "one /64 shares a quota");
        assert_ne!(quota_key("192.0.2.7"), quota_key("192.0.2.8"));
        assert_ne!(
            quota_key("127.0.0.1"),
            QuotaKey::EXEMPT,
            "the configuration decides which clients are exempt"
        );
        let name = |name: &[u8]| QuotaKey::of_name(name, HASH_KEY);
        assert_ne!(name(b"ann"), name(b"bob"), "each name has a quota");
        let otherwise = QuotaKey::of(IpAddr::from([192, 0, 2, 7]), (3, 4));
        assert_ne!(otherwise, quota_key("192.0.2.7"), "the hash is keyed");
    }

    proptest! {
        /// The counters match the entries after any steps, and are never too low.
        #[test]
        fn no_address_is_counted_short(
            max in 1..6_u32,
            steps in proptest::collection::vec((0..16_usize, [0..3_u8, 0..3, 0..2]), 0..200),
        ) {
            let (mut quotas, mut holders) = (Quotas::new(), [QuotaKey::EXEMPT; 16]);
            quotas.set_max(max);
            for (slot, tag) in steps {
                let quota_key = QuotaKey(tag);
                if quotas.allows(quota_key, Some(holders[slot])) {
                    quotas.pass(holders[slot], quota_key);
                    holders[slot] = quota_key;
                }
                for quota_key in holders.into_iter().filter(|holder| *holder != QuotaKey::EXEMPT) {
                    let held = holders.iter().filter(|other| **other == quota_key).count();
                    prop_assert!(held <= usize::from(quotas.held(quota_key)), "{} of {:?}", held, quota_key);
                    prop_assert!(held <= max as usize);
                }
            }
            holders.into_iter().for_each(|holder| quotas.pass(holder, QuotaKey::EXEMPT));
            prop_assert!(quotas.counts.iter().flatten().all(|count| *count == 0));
        }
    }
}
