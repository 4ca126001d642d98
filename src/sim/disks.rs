//! The snapshot on a board's disk: entries, their ages, and the clock at the time of writing. It survives a
//! crash.
//!
//! The server defines the file format. The simulator does not use the server, so this file holds the decoded
//! contents.

use super::check::{age_is_true, is_ahead, issued_at};
use super::host::{Disk, Held, Stored, client_number};
use super::world::World;
use crate::proto::update::Update;

impl World {
    /// Writes the board's table.
    pub(super) fn write_disk(&mut self, host: usize) {
        let now = self.hosts[host].now(self.now);
        let board = &mut self.hosts[host];
        let Some(node) = &board.node else { return };
        let entries = (0..node.table().len()).rev().filter_map(|slot| {
            let (version, age_s) = node.entry_at(&now, slot)?;
            let hidden_ms = board.held[client_number(version.client)?]?.hidden_ms;
            let update = Update { client: version.client.clone(), sighting: *version.sighting };
            Some(Stored { update, age_s, hidden_ms })
        });
        board.disk = Disk {
            entries: entries.collect(),
            wall_s: now.wall.0.div_euclid(1_000_000_000),
            is_trusted: now.wall_is_trusted,
            wall_off_ns: board.wall_off_ns,
        };
    }

    /// Restores the table of a board that has just started.
    pub(super) fn read_disk(&mut self, host: usize) {
        let now = self.hosts[host].now(self.now);
        let board = &mut self.hosts[host];
        let Disk { entries, wall_s, is_trusted, wall_off_ns } = std::mem::take(&mut board.disk);
        let node = board.node.as_mut().expect("it has just started");
        let has_clocks = is_trusted && now.wall_is_trusted;
        let down_s = (now.wall.0.div_euclid(1_000_000_000) - wall_s).max(0);
        let down_s = if has_clocks { u32::try_from(down_s).unwrap_or(u32::MAX) } else { 0 };
        let mut broken = None;
        for Stored { update, age_s, hidden_ms } in &entries {
            let age_s = age_s.saturating_add(down_s);
            let taken = node.restore_entry(&now, update, age_s);
            let is_fit = age_s < self.plan.age_s_max && !is_ahead(&now, &update.sighting);
            if taken != is_fit {
                broken = Some((
                    "a stored entry is restored unless it has expired",
                    format!("{update:?} of {age_s} s"),
                ));
            }
            let client = client_number(&update.client).expect("the stored entries were checked");
            let issued_at =
                issued_at(&self.issued[client], &update.sighting).expect("a stored update was issued");
            let true_ms = self.now - issued_at;
            // Writing and restoring each round to whole seconds.
            if has_clocks
                && wall_off_ns == board.wall_off_ns
                && !age_is_true(i64::from(age_s), true_ms, hidden_ms + 2_000)
            {
                broken = Some(("an age grows while a board is down", format!("{age_s} s for {true_ms} ms")));
            }
            if taken {
                let heard_s = now.mono.seconds() - i32::try_from(age_s).unwrap_or(i32::MAX);
                let hidden_ms = true_ms.abs_diff(u64::from(age_s) * 1_000);
                board.held[client] = Some(Held { sighting: update.sighting, heard_s, hidden_ms });
            }
        }
        if (0..node.links().count()).any(|neighbour| node.table().pending().count(neighbour) > 0) {
            broken = Some(("a restored entry is pending for no neighbour", String::new()));
        }
        if let Some((check, detail)) = broken {
            return self.fail(check, format!("{}: {detail}", self.names[host]));
        }
        self.check(host, None);
    }
}
