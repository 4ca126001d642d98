//! The wait before the next attempt to connect.

use super::limits::{AGAIN_MS_FIRST, AGAIN_MS_MAX, STEADY_MS};

/// Waits that grow while attempts fail.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next wait in milliseconds, after a connection that lasted `lasted_ms` (0 if there was none). `dice` is random.
    pub fn next_ms(&mut self, lasted_ms: u64, dice: u64) -> u64 {
        if lasted_ms >= STEADY_MS {
            self.failures = 0;
        }
        let doubled = AGAIN_MS_FIRST.checked_shl(self.failures.min(32)).unwrap_or(AGAIN_MS_MAX);
        self.failures = self.failures.saturating_add(1);
        let longest = doubled.min(AGAIN_MS_MAX);
        longest - dice % (longest / 2)
    }
}

/// A random number. It spreads the attempts of bridges that lost the broker at the same time.
pub(super) fn dice() -> u64 {
    let mut bytes = [0; 8];
    // If the system has no random numbers, each wait is the longest.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    u64::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_begin_anew_after_a_good_connection() {
        for dice in [0, 1, 12_345, u64::MAX] {
            let mut backoff = Backoff::default();
            let mut longest = AGAIN_MS_FIRST;
            for lasted_ms in [0, STEADY_MS - 1, 0, 0, 0, 0, 0, 0, 0, 0] {
                let wait = backoff.next_ms(lasted_ms, dice);
                assert!((longest / 2..=longest).contains(&wait), "{wait} of {longest}");
                longest = (2 * longest).min(AGAIN_MS_MAX);
            }
            assert_eq!(longest, AGAIN_MS_MAX);
            assert!(backoff.next_ms(STEADY_MS, dice) <= AGAIN_MS_FIRST);
        }
        let mut backoff = Backoff { failures: u32::MAX };
        assert!(backoff.next_ms(0, 7) <= AGAIN_MS_MAX);
    }
}
