//! How many devices one MQTT user may update. An MQTT user that writes to its own topics cannot fill the herd's table.
//!
//! The node sees only the bridge's address, so the bridge distinguishes the MQTT users. The user is the topic without its
//! last level, which is what a broker's access list grants. A device counts for as long as the herd may hold it. When a user
//! has its maximum, the bridge refuses further devices and still admits the known ones.
//!
//! Invariant: at most [`DEVICES_MAX`] devices are remembered.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::limits::{DEVICES_MAX, DEVICES_SWEPT_MS};
use herd::proto::limits::AGE_S_MAX;
use herd::proto::time::Mono;

/// The recently updated devices. Topics and users are stored as hashes.
#[derive(Debug)]
pub(super) struct Devices {
    /// The maximum of devices of one user.
    user_max: usize,
    hasher: RandomState,
    /// By topic: its user, and the time of its last update.
    seen: HashMap<u64, (u64, Mono)>,
    /// By user: its devices.
    users: HashMap<u64, usize>,
    swept_at: Mono,
}

impl Devices {
    pub(super) fn new(user_max: usize) -> Devices {
        Devices {
            user_max,
            hasher: RandomState::new(),
            seen: HashMap::new(),
            users: HashMap::new(),
            swept_at: Mono::default(),
        }
    }

    /// Whether the bridge accepts an update under this topic.
    pub(super) fn admit(&mut self, topic: &str, now: Mono) -> bool {
        let user = topic.rsplit_once('/').map_or(topic, |(user, _)| user);
        let (device, user) = (self.hasher.hash_one(topic), self.hasher.hash_one(user));
        if let Some((_, at)) = self.seen.get_mut(&device) {
            *at = now;
            return true;
        }
        if !self.has_room(user) && now.since_ms(self.swept_at) >= DEVICES_SWEPT_MS {
            self.sweep(now);
        }
        if !self.has_room(user) {
            return false;
        }
        self.seen.insert(device, (user, now));
        *self.users.entry(user).or_default() += 1;
        true
    }

    fn has_room(&self, user: u64) -> bool {
        let devices = self.users.get(&user).copied().unwrap_or(0);
        devices < self.user_max && self.seen.len() < DEVICES_MAX
    }

    /// Forgets devices that the herd no longer holds.
    fn sweep(&mut self, now: Mono) {
        self.swept_at = now;
        self.users.clear();
        self.seen.retain(|_, (_, at)| now.since_ms(*at) < u64::from(AGE_S_MAX) * 1_000);
        for (user, _) in self.seen.values() {
            *self.users.entry(*user).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::limits::USER_DEVICES_MAX;
    use super::*;

    #[test]
    fn a_user_has_so_many_devices_and_others_have_theirs() {
        let mut devices = Devices::new(USER_DEVICES_MAX);
        let day = Mono(u64::from(AGE_S_MAX) * 1_000);
        let mut taken = |user: &str, now| {
            (0..100).filter(|n| devices.admit(&format!("owntracks/{user}/d{n}"), now)).count()
        };
        assert_eq!(taken("mallory", Mono(0)), USER_DEVICES_MAX);
        assert_eq!(
            taken("mallory", Mono(day.0 / 2)),
            USER_DEVICES_MAX,
            "known devices may send updates again"
        );
        assert_eq!(taken("ann", Mono(day.0 / 2)), USER_DEVICES_MAX);
        assert!(!devices.admit("owntracks/mallory/other", day), "devices with a recent update count");
        assert!(devices.admit("owntracks/mallory/other", Mono(2 * day.0)));
    }

    #[test]
    fn all_devices_together_are_bounded() {
        let mut devices = Devices::new(USER_DEVICES_MAX);
        let taken = (0..2 * DEVICES_MAX).filter(|n| devices.admit(&format!("owntracks/u{n}/d"), Mono(0)));
        assert_eq!(taken.count(), DEVICES_MAX);
    }
}
