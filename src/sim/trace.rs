//! A run as one number. If two runs of a seed give different numbers, the run is not deterministic.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

/// A running hash of all lines and events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace(SipHasher13);

impl Trace {
    pub(super) fn new(seed: u64) -> Self {
        Trace(SipHasher13::new_with_keys(seed, 0))
    }

    pub(super) fn number(&mut self, value: u64) {
        self.0.write_u64(value);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.write(bytes);
    }

    pub(super) fn hash(self) -> u64 {
        self.0.finish()
    }
}
