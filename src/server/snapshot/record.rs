//! A node's record of its snapshots: which one is on the disk, and how the last ones went.

use std::io;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use log::{debug, info, warn};

use crate::proto::time::Mono;

pub(super) const NO_FOLDER: &str = "snapshot_s: no folder for the snapshot, so the node runs without: under systemd \
                         set StateDirectory= (/usr/share/doc/herd/examples/snapshot.conf), elsewhere set XDG_STATE_HOME";

/// The state of a node's snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The time between two of them, in seconds.
    pub between_s: u32,
    /// Written since the start.
    pub written: u64,
    /// Snapshots that failed.
    pub failed: u64,
    /// The last one that was written since the start.
    pub last: Option<LastWritten>,
    /// The error of the last one, if it failed.
    pub error: Option<String>,
}

/// A snapshot that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastWritten {
    /// How long ago, in milliseconds.
    pub ago_ms: u64,
    /// Entries in it.
    pub entries: u32,
    /// Its length.
    pub bytes: u64,
    /// How long it took until it was on the disk, in milliseconds.
    pub took_ms: u64,
}

/// A node's record of its snapshots.
#[derive(Debug, Default)]
pub(in crate::server) struct Snapshots {
    pub(super) between_s: Option<u32>,
    /// The snapshot file, if there is a folder for it.
    pub(super) file: Option<PathBuf>,
    health: Health,
    pub(super) last_at: Mono,
    pub(super) on_disk: OnDisk,
    /// The thread that wrote last.
    pub(super) thread: Option<JoinHandle<()>>,
}

/// The properties of the last snapshot that decide about the next one.
#[derive(Clone, Copy, Debug)]
pub(super) struct OnDisk {
    /// The counter of news when it was made.
    pub(super) news: u64,
    /// When that was.
    pub(super) at: Mono,
    /// The ages of its entries can be computed by a trusted clock.
    pub(super) ages_tell: bool,
}

impl Default for OnDisk {
    fn default() -> Self {
        OnDisk { news: 0, at: Mono(0), ages_tell: true }
    }
}

impl OnDisk {
    /// Whether a new snapshot is due.
    pub(super) fn is_stale(&self, news: u64, is_empty: bool, now: Mono, ages_ms: u64) -> bool {
        news != self.news || (!self.ages_tell && !is_empty && now.since_ms(self.at) >= ages_ms)
    }
}

impl Snapshots {
    pub(super) fn succeed(&mut self, file: &Path, last: LastWritten) {
        let LastWritten { entries, bytes, took_ms, .. } = last;
        debug!("snapshot of {entries} entries in {}: {bytes} bytes, in {took_ms} ms", file.display());
        self.health.written += 1;
        self.health.last = Some(last);
        if self.health.error.take().is_some() {
            info!("snapshots succeed again: {}", file.display());
        }
    }

    /// Warns once per error, until a snapshot succeeds or fails in another way.
    pub(super) fn fail(&mut self, file: &Path, error: &io::Error) {
        self.health.failed += 1;
        let words = format!("{}: {error}", file.display());
        if self.health.error.as_ref() != Some(&words) {
            warn!("snapshot failed: {words}");
        }
        self.health.error = Some(words);
    }

    /// Their state; none without snapshots.
    pub(in crate::server) fn health(&self, now: Mono) -> Option<Health> {
        let between_s = self.between_s?;
        let last = self.health.last.map(|last| LastWritten { ago_ms: now.since_ms(self.last_at), ..last });
        let no_folder = self.file.is_none().then(|| NO_FOLDER.to_owned());
        let error = self.health.error.clone().or(no_folder);
        Some(Health { between_s, last, error, ..self.health.clone() })
    }
}
