//! Snapshots: a node's table in a file, for herds whose boards all lose power at once. Off by default.
//!
//! A node writes its table when it stops and, if there is news, every `snapshot_s` seconds. It restores the table before it
//! listens. Without news it writes no file, since writes wear out an SD card. With one exception: if the clock is not trusted,
//! the node cannot know how long the board was without power. So it updates the ages of unchanged entries once in
//! [`AGES_MS`]; otherwise entries of a board that is often switched off would never expire.
//!
//! This is the runtime-neutral half: the file format ([`mod@format`]), the writing thread ([`writer`]), the
//! [`record`] of what is on the disk, the schedule and the
//! log lines. A runtime adds the waiting. Without snapshots the module uses a few words of memory.
//!
//! Invariant: the node restores entries only after it has checked the whole file.

pub mod format;
mod keep;
pub mod record;
pub mod writer;

pub(crate) use keep::{keep, last};

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Seek};
use std::path::PathBuf;

use log::{info, warn};

use super::driver::Driver;
use super::limits::OUTPUT_BYTES;
use crate::files::open_regular;
use crate::proto::out::Out;
use crate::proto::time::Now;
use crate::proto::update::{AtLineError, Update};
use format::{Encoder, LINE_BYTES_MAX, Written, read};
use record::{LastWritten, NO_FOLDER, OnDisk};
use writer::Writer;

/// Entries that are written before other tasks have a turn.
pub const CHUNK_ENTRIES: usize = 56;
/// The interval of writing an unchanged table under an untrusted clock, in milliseconds: an hour, a 24th of an entry's life.
pub const AGES_MS: u64 = 3_600_000;

// The shared output buffer takes a chunk, and the first and the last line with it.
const _: () = assert!(OUTPUT_BYTES >= (CHUNK_ENTRIES + 2) * LINE_BYTES_MAX);

const FILE: &str = "table";
/// A table on its way to the disk.
#[derive(Debug)]
pub struct Walk {
    writer: Writer,
    encoder: Encoder,
    /// The moment for which all ages hold.
    now: Now,
    news: u64,
    /// The slot below which nothing has been written yet.
    slot: usize,
    bytes: u64,
    has_ended: bool,
}

impl Walk {
    /// Hands over a chunk from [`Driver::next_chunk`].
    ///
    /// # Errors
    /// That of the thread that writes.
    pub async fn put(&mut self, chunk: Vec<u8>) -> io::Result<()> {
        self.bytes += chunk.len() as u64;
        self.writer.put(chunk).await
    }
}

/// The snapshot file: in systemd's StateDirectory, which belongs to one unit and so to one node; or else in the user's state
/// folder, with one folder per node, also for the nodes of `herd up`.
fn file(name: &str, is_one_of_many: bool) -> Option<PathBuf> {
    let folder = |variable| {
        let value = std::env::var_os(variable).map(PathBuf::from);
        value.filter(|folder| folder.is_absolute())
    };
    let given = folder("STATE_DIRECTORY").map(|given| if is_one_of_many { given.join(name) } else { given });
    let given = given.or_else(|| folder("XDG_STATE_HOME").map(|base| base.join("herd").join(name)));
    Some(given?.join(FILE))
}

impl Driver {
    /// Applies the configuration's `snapshot_s`, at the start and after each reload. Warns if the folder is missing.
    pub fn set_snapshots(&self, between_s: Option<u32>, name: &str, is_one_of_many: bool) {
        let mut snapshots = self.snapshots.borrow_mut();
        snapshots.between_s = between_s;
        snapshots.file = between_s.and_then(|_| file(name, is_one_of_many));
        if between_s.is_some() && snapshots.file.is_none() {
            warn!("{NO_FOLDER}");
        }
    }

    /// The time between two snapshots, in seconds; none if none is due.
    #[must_use]
    pub fn snapshot_s(&self) -> Option<u32> {
        let snapshots = self.snapshots.borrow();
        snapshots.between_s.filter(|_| snapshots.file.is_some())
    }

    /// Restores the table. Call this after the start and before any listener: it reads a file of at most one megabyte.
    pub fn take_snapshot(&self) {
        let Some(file) = self.snapshots.borrow().file.clone() else { return };
        let opened = match open_regular(&file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                return warn!("cannot read the snapshot: {}: {error}", file.display());
            }
        };
        match self.take_from(opened) {
            Ok(written) => self.say_taken(written),
            Err(damage) => {
                let aside = file.with_extension("bad");
                let moved = match fs::rename(&file, &aside) {
                    Ok(()) => format!("it is renamed to {}", aside.display()),
                    Err(error) => format!("it cannot be renamed: {error}"),
                };
                warn!("snapshot rejected: {}: {damage}; {moved}", file.display());
            }
        }
    }

    fn take_from(&self, file: File) -> Result<Written, format::Damage> {
        let mut input = BufReader::new(file);
        let mut node = self.node.borrow_mut();
        let is_entry =
            |at_line: &[u8]| Update::parse_ranked_line(at_line, node.names()) != Err(AtLineError::Malformed);
        read(&mut input, |_, at_line, _| is_entry(at_line))?;
        input.rewind().map_err(format::Damage::Io)?;
        let now = self.clock.now();
        read(&mut input, |written, at_line, age_s| {
            match Update::parse_ranked_line(at_line, node.names()) {
                Ok(update) => {
                    node.restore_entry(&now, &update, age_s.saturating_add(written.down_s(&now)));
                }
                Err(_) => node.reject_entry(),
            }
            true
        })
    }

    fn say_taken(&self, written: Written) {
        let (now, counters) = (self.clock.now(), *self.node.borrow().counters());
        self.snapshots.borrow_mut().on_disk = OnDisk {
            news: counters.updates_new,
            at: now.mono,
            ages_tell: written.is_trusted && now.wall_is_trusted,
        };
        let (taken, refused) = (counters.snapshot_restored, counters.snapshot_rejected);
        let lay = if written.is_trusted && now.wall_is_trusted {
            format!("after {} s", written.down_s(&now))
        } else {
            "with their old ages, since the clock is not trusted".to_owned()
        };
        info!(
            "restored {taken} updates from the snapshot, {lay}; rejected {refused} that are too old or not for this configuration"
        );
    }

    /// Begins a snapshot if one is due. `stops` means that it is the last one.
    pub fn begin_snapshot(&self, stops: bool) -> Option<Walk> {
        let mut snapshots = self.snapshots.borrow_mut();
        let file = snapshots.file.clone()?;
        let (node, now) = (self.node.borrow(), self.clock.now());
        let between_ms = u64::from(snapshots.between_s?) * 1_000;
        let ages_ms = if stops { between_ms.min(AGES_MS) } else { between_ms.max(AGES_MS) };
        let news = node.counters().updates_new;
        if !snapshots.on_disk.is_stale(news, node.table().is_empty(), now.mono, ages_ms) {
            return None;
        }
        let writer = Writer::start(&file, &mut snapshots.thread);
        let writer = match writer {
            Ok(writer) => writer,
            Err(error) => {
                snapshots.fail(&file, &error);
                return None;
            }
        };
        let slot = node.table().len();
        Some(Walk { writer, encoder: Encoder::default(), now, news, slot, bytes: 0, has_ended: false })
    }

    /// The next chunk of it, for [`Walk::put`]; none when all has been given. Other tasks may run in between: see
    /// [`restore`](crate::proto::node::restore).
    pub fn next_chunk(&self, walk: &mut Walk) -> Option<Vec<u8>> {
        if walk.has_ended {
            return None;
        }
        let (mut buffers, node) = (self.buffers(), self.node.borrow());
        let mut out = Out::new(&mut buffers.output[..]);
        if walk.bytes == 0 {
            walk.encoder.begin(Written::at(&walk.now), &mut out);
        }
        walk.slot = walk.slot.min(node.table().len());
        let low = walk.slot.saturating_sub(CHUNK_ENTRIES);
        for slot in (low..walk.slot).rev() {
            if let Some((version, age_s)) = node.entry_at(&walk.now, slot) {
                walk.encoder.entry(&version, age_s, node.names(), &mut out);
            }
        }
        walk.slot = low;
        if low == 0 {
            walk.encoder.end(&mut out);
            walk.has_ended = true;
        }
        Some(out.written().to_vec())
    }

    /// Waits until all of a walk is on the disk, and records the outcome; `failed` is an earlier error.
    pub async fn end_snapshot(&self, walk: Walk, failed: Option<io::Error>) {
        let Walk { writer, encoder, now: began, news, bytes, .. } = walk;
        let outcome = match failed {
            Some(error) => Err(error),
            None => writer.finish().await,
        };
        let now = self.clock.steady();
        let mut snapshots = self.snapshots.borrow_mut();
        let file = snapshots.file.clone().unwrap_or_default();
        match outcome {
            Ok(()) => {
                let took_ms = now.since_ms(began.mono);
                let last = LastWritten { ago_ms: 0, entries: encoder.entries(), bytes, took_ms };
                snapshots.last_at = now;
                snapshots.on_disk = OnDisk { news, at: began.mono, ages_tell: began.wall_is_trusted };
                snapshots.succeed(&file, last);
            }
            Err(error) => snapshots.fail(&file, &error),
        }
    }
}
