//! Samples texts for the choice of pairs, and records the bytes that all texts use.
//!
//! Invariants: the sample holds at most [`SAMPLE_BYTES_MAX`] and one text. The same texts in the same order give the same
//! sample.

use siphasher::sip::SipHasher13;
use std::hash::Hasher;

/// Bytes of the sample. The choice of 100 pairs reads it 200 times.
const SAMPLE_BYTES_MAX: usize = 512 * 1_024;
/// Bits of the filter for known vicinities. Places of a town share their vicinity, which the file holds once.
const SEEN_BITS: u64 = 1 << 19;

pub(super) struct Sample {
    is_used: [bool; 256],
    /// Every `step`th text, separated by NUL.
    texts: Vec<u8>,
    step: u64,
    count: u64,
    seen: Vec<u64>,
}

impl Default for Sample {
    fn default() -> Self {
        let words = usize::try_from(SEEN_BITS / 64).unwrap_or(0);
        Self { is_used: [false; 256], texts: Vec::new(), step: 1, count: 0, seen: vec![0; words] }
    }
}

impl Sample {
    /// Adds a place's name, and its area and region, which other places may share.
    pub(super) fn add(&mut self, name: &[u8], shared: [&[u8]; 2]) {
        self.add_text(name);
        for text in shared {
            if self.is_new(text) {
                self.add_text(text);
            }
        }
    }

    /// Whether `text` is new. This is a filter, so it misses a few new texts.
    fn is_new(&mut self, text: &[u8]) -> bool {
        let mut hasher = SipHasher13::new();
        hasher.write(text);
        let bit = hasher.finish() % SEEN_BITS;
        let Some(word) = usize::try_from(bit / 64).ok().and_then(|at| self.seen.get_mut(at)) else {
            return true;
        };
        let is_new = *word & 1 << (bit % 64) == 0;
        *word |= 1 << (bit % 64);
        // Mark its bytes even if another text has set its bit.
        for &byte in text {
            self.is_used[usize::from(byte)] = true;
        }
        is_new
    }

    fn add_text(&mut self, text: &[u8]) {
        for &byte in text {
            self.is_used[usize::from(byte)] = true;
        }
        if self.count.is_multiple_of(self.step) {
            self.texts.extend_from_slice(text);
            self.texts.push(0);
        }
        self.count += 1;
        if self.texts.len() > SAMPLE_BYTES_MAX {
            self.thin();
        }
    }

    /// Drops every other text.
    fn thin(&mut self) {
        let mut is_kept = true;
        self.texts.retain(|&byte| {
            let keep = is_kept;
            is_kept ^= byte == 0;
            keep
        });
        self.step *= 2;
    }

    /// The bytes that the texts use, in the sample or not.
    pub(super) fn is_used(&self) -> &[bool; 256] {
        &self.is_used
    }

    /// The sample.
    pub(super) fn texts(&self) -> Vec<u8> {
        self.texts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_bounded_and_spread() {
        let mut sample = Sample::default();
        for i in 0..400_000 {
            sample.add(format!("name {i:06}").as_bytes(), [b"area", b"\xFFregion"]);
        }
        assert!(sample.texts.len() <= SAMPLE_BYTES_MAX);
        let texts: Vec<_> = sample.texts.split(|&byte| byte == 0).map(String::from_utf8_lossy).collect();
        let numbers: Vec<u32> =
            texts.iter().filter_map(|text| text.strip_prefix("name ")?.parse().ok()).collect();
        assert!(numbers.len() > 10_000 && numbers.is_sorted());
        let gaps = numbers.windows(2).map(|pair| pair[1] - pair[0]);
        assert!(gaps.clone().max() <= gaps.min().map(|gap| gap + 3), "every so many");
        let used: Vec<u8> = (0..=255).filter(|&byte| sample.is_used[usize::from(byte)]).collect();
        assert_eq!(used, b" 0123456789aegimnor\xFF");
    }
}
