//! A node's table in a file, for herds whose boards all lose their power at once. Off unless the configuration asks for it.
//!
//! A node writes its table when it stops and, while there is news, once in so many seconds; it takes it back before it listens.
//! Nothing new is nothing written: a card lasts as long as what is written to it lets it. One thing more is written for: where
//! the clock is not known to be right nobody can tell how long a board was without power, so the ages of entries that stay the
//! same are brought up to date once in [`AGES_MS`], or entries of a board that is switched on and off would never die.
//!
//! The runtime-neutral half: what is written ([`mod@format`]), by whom ([`writer`]), when, and what is said of it. A runtime adds
//! the waiting. Where no snapshot is asked for this takes no memory but its own few words.
//!
//! Invariant: no entry is taken from a file before all of it was found to be right.

pub mod format;
mod keep;
pub mod writer;

pub(crate) use keep::{keep, last};

use std::fs::{self, File};
use std::io::{self, BufReader, ErrorKind, Seek};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use log::{debug, info, warn};

use super::driver::Driver;
use super::limits::OUTPUT_BYTES;
use crate::proto::out::Out;
use crate::proto::time::{Mono, Now};
use crate::proto::update::{AtLineError, Update};
use format::{Encoder, LINE_BYTES_MAX, Written, read};
use writer::Writer;

/// Entries that are written before anybody else has a turn.
pub const CHUNK_ENTRIES: usize = 56;
/// Without news, a table whose ages no clock tells is written once in so long, in milliseconds: an hour, a 24th of a life.
pub const AGES_MS: u64 = 3_600_000;

// The shared output buffer takes a chunk, and the first and the last line with it.
const _: () = assert!(OUTPUT_BYTES >= (CHUNK_ENTRIES + 2) * LINE_BYTES_MAX);

const FILE: &str = "table";
const NO_FOLDER: &str = "snapshot_s: there is no folder to keep the table in, and the node runs without: under systemd \
                         give it StateDirectory= (/usr/share/doc/herd/examples/snapshot.conf), elsewhere set XDG_STATE_HOME";

/// How a node's snapshots are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// The time between two of them, in seconds.
    pub between_s: u32,
    /// Written since the start.
    pub written: u64,
    /// That could not be written.
    pub failed: u64,
    /// The last one that was written since the start.
    pub last: Option<LastWritten>,
    /// Why the last one could not be written, if so.
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

/// What a node remembers of its snapshots.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    between_s: Option<u32>,
    /// Where the table is kept, if anywhere.
    file: Option<PathBuf>,
    health: Health,
    last_at: Mono,
    on_disk: OnDisk,
    /// The thread that wrote last.
    thread: Option<JoinHandle<()>>,
}

/// The table that lies on the disk, as far as it matters for the next one.
#[derive(Clone, Copy, Debug)]
struct OnDisk {
    /// The counter of news when it was made.
    news: u64,
    /// When that was.
    at: Mono,
    /// A clock will tell how old its entries are.
    ages_tell: bool,
}

impl Default for OnDisk {
    fn default() -> Self {
        OnDisk { news: 0, at: Mono(0), ages_tell: true }
    }
}

impl OnDisk {
    /// Whether it is to be written anew.
    fn is_stale(&self, news: u64, is_empty: bool, now: Mono, ages_ms: u64) -> bool {
        news != self.news || (!self.ages_tell && !is_empty && now.since_ms(self.at) >= ages_ms)
    }
}

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

/// Where a node keeps its table: systemd's StateDirectory, which is one unit's own and a unit is a node; or that of the user,
/// with a folder a node, and so for the nodes of `herd up`.
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
    /// What the configuration says of snapshots, now and whenever it has changed. Finds their folder, and says where there is none.
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

    /// Takes back the table that was kept. To be called after the start and before anything listens: it reads a file of a
    /// megabyte at most.
    pub fn take_snapshot(&self) {
        let Some(file) = self.snapshots.borrow().file.clone() else { return };
        let opened = match File::open(&file) {
            Ok(opened) => opened,
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                return warn!("the table that was kept cannot be read: {}: {error}", file.display());
            }
        };
        match self.take_from(opened) {
            Ok(written) => self.say_taken(written),
            Err(damage) => {
                let aside = file.with_extension("bad");
                let moved = match fs::rename(&file, &aside) {
                    Ok(()) => format!("it is {} now", aside.display()),
                    Err(error) => format!("and it cannot be put aside: {error}"),
                };
                warn!("the table that was kept is not taken: {}: {damage}; {moved}", file.display());
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
            "their ages as they were, as no clock tells how long that is ago".to_owned()
        };
        info!(
            "{taken} updates that were kept are back, {lay}; {refused} are not: dead, or not for this configuration"
        );
    }

    /// Begins a snapshot if one is due. `stops` says that there will be no later one.
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

    /// The next chunk of it, for [`Walk::put`]; none when all has been given. Others may have a turn in between: see
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

    /// Waits until all of a walk is on the disk, and notes how that went; `failed` is what went wrong before.
    pub async fn end_snapshot(&self, walk: Walk, failed: Option<io::Error>) {
        let Walk { writer, encoder, now: began, news, bytes, .. } = walk;
        let outcome = match failed {
            Some(error) => Err(error),
            None => writer.finish().await,
        };
        let now = self.clock.now().mono;
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

impl Snapshots {
    fn succeed(&mut self, file: &Path, last: LastWritten) {
        let LastWritten { entries, bytes, took_ms, .. } = last;
        debug!("{entries} entries are kept in {}: {bytes} bytes, in {took_ms} ms", file.display());
        self.health.written += 1;
        self.health.last = Some(last);
        if self.health.error.take().is_some() {
            info!("the table is kept again in {}", file.display());
        }
    }

    /// Says it once, until it goes well or wrong in another way.
    fn fail(&mut self, file: &Path, error: &io::Error) {
        self.health.failed += 1;
        let words = format!("{}: {error}", file.display());
        if self.health.error.as_ref() != Some(&words) {
            warn!("the table cannot be kept: {words}");
        }
        self.health.error = Some(words);
    }

    /// How they are; none where there are none.
    pub(super) fn health(&self, now: Mono) -> Option<Health> {
        let between_s = self.between_s?;
        let last = self.health.last.map(|last| LastWritten { ago_ms: now.since_ms(self.last_at), ..last });
        let no_folder = self.file.is_none().then(|| NO_FOLDER.to_owned());
        let error = self.health.error.clone().or(no_folder);
        Some(Health { between_s, last, error, ..self.health.clone() })
    }
}
