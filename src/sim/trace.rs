//! A run as one number. If two runs of a seed give different numbers, the run is not deterministic.

/// A running hash of all lines and events.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace(u64);

impl Trace {
    pub(super) fn new(seed: u64) -> Self {
        Trace(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    pub(super) fn number(&mut self, value: u64) {
        // The finalizer of SplitMix64 (Steele, Lea, Flood 2014) over the state and the new value.
        let mut z = (self.0 ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = z ^ (z >> 31);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
    }

    pub(super) fn hash(self) -> u64 {
        self.0
    }
}
