//! What a board's disk keeps over a crash, where its configuration asks for snapshots: entries and their ages, and what the clock said.
//!
//! The server's file is not here, as the simulator does not know the server: this is what a file comes to.

use super::check::{age_is_true, is_ahead, issued_at};
use super::host::{Held, client_number};
use super::world::World;
use crate::proto::update::Update;

/// A table on a disk.
#[derive(Default)]
pub(super) struct Disk {
    entries: Vec<Kept>,
    wall_s: i64,
    is_trusted: bool,
    /// How wrong the wall clock was.
    wall_off_ns: i64,
}

struct Kept {
    update: Update,
    age_s: u32,
    /// By so much its age was short of the truth when it was written.
    hidden_ms: u64,
}

impl World {
    /// The board writes its table.
    pub(super) fn write_disk(&mut self, host: usize) {
        let now = self.hosts[host].now(self.now);
        let board = &mut self.hosts[host];
        let Some(node) = &board.node else { return };
        let entries = (0..node.table().len()).rev().filter_map(|slot| {
            let (version, age_s) = node.entry_at(&now, slot)?;
            let hidden_ms = board.held[client_number(version.client)?]?.hidden_ms;
            let update = Update { client: version.client.clone(), sighting: *version.sighting };
            Some(Kept { update, age_s, hidden_ms })
        });
        board.disk = Disk {
            entries: entries.collect(),
            wall_s: now.wall.0.div_euclid(1_000_000_000),
            is_trusted: now.wall_is_trusted,
            wall_off_ns: board.wall_off_ns,
        };
    }

    /// The board has started, and takes its table back.
    pub(super) fn read_disk(&mut self, host: usize) {
        let now = self.hosts[host].now(self.now);
        let board = &mut self.hosts[host];
        let Disk { entries, wall_s, is_trusted, wall_off_ns } = std::mem::take(&mut board.disk);
        let node = board.node.as_mut().expect("it has just started");
        let clocks_tell = is_trusted && now.wall_is_trusted;
        let down_s = (now.wall.0.div_euclid(1_000_000_000) - wall_s).max(0);
        let down_s = if clocks_tell { u32::try_from(down_s).unwrap_or(u32::MAX) } else { 0 };
        let mut broken = None;
        for Kept { update, age_s, hidden_ms } in &entries {
            let age_s = age_s.saturating_add(down_s);
            let taken = node.restore_entry(&now, update, age_s);
            let is_fit = age_s < self.plan.age_s_max && !is_ahead(&now, &update.sighting);
            if taken != is_fit {
                broken =
                    Some(("what was kept is back unless it is dead", format!("{update:?} of {age_s} s")));
            }
            let client = client_number(&update.client).expect("the check before has seen it");
            let issued_at = issued_at(&self.issued[client], &update.sighting).expect("as before");
            let true_ms = self.now - issued_at;
            // What seconds cut off while it was written, and while it lay there.
            if clocks_tell
                && wall_off_ns == board.wall_off_ns
                && !age_is_true(i64::from(age_s), true_ms, hidden_ms + 2_000)
            {
                broken =
                    Some(("an age goes on while a board is down", format!("{age_s} s for {true_ms} ms")));
            }
            if taken {
                let heard_s = now.mono.seconds() - i32::try_from(age_s).unwrap_or(i32::MAX);
                let hidden_ms = true_ms.abs_diff(u64::from(age_s) * 1_000);
                board.held[client] = Some(Held { sighting: update.sighting, heard_s, hidden_ms });
            }
        }
        if (0..node.links().count()).any(|neighbour| node.table().pending().count(neighbour) > 0) {
            broken = Some(("what was kept is pending for no neighbour", String::new()));
        }
        if let Some((check, detail)) = broken {
            return self.fail(check, format!("{}: {detail}", self.names[host]));
        }
        self.check(host, None);
    }
}
