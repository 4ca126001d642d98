//! Jitter: random numbers that need not be secret, from a seed that the server passes.
//!
//! The core has no source of randomness, so a seed reproduces a whole run. Do not use this generator for nonces
//! or keys: the server takes these from the system.

/// xorshift64* (Vigna 2016, "An experimental exploration of Marsaglia's xorshift generators").
#[derive(Debug)]
pub(super) struct Jitter(u64);

impl Jitter {
    /// Before the seed is set.
    pub(super) const UNSEEDED: Jitter = Jitter(0);

    pub(super) fn seeded(seed: u64) -> Self {
        // 0 would stay 0 for ever.
        Jitter(seed | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        debug_assert!(low <= high);
        // The bias of a remainder does not matter for a pause.
        low + self.next() % (high - low + 1)
    }
}
