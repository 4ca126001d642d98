//! Writes a file on a separate thread, so that a slow SD card does not block the node.
//!
//! The old file remains until the new one is on the disk: the thread writes a `Replacement`. Each file has its own thread, which costs no memory between snapshots. The thread allocates almost
//! nothing, since the first allocation of a thread can create a separate heap.
//!
//! Invariant: only one thread of a node writes, since each waits for the one before.

use std::io::{self, Write};
use std::path::Path;
use std::thread::JoinHandle;

use async_channel::{Receiver, Sender, bounded};

use crate::files::{Replacement, create_private_folder};
use crate::threads::spawn;

/// The stack of the thread, in bytes: resident as reached.
const STACK_BYTES: usize = 64 * 1024;

/// The other end of a thread that writes. Dropped before [`Writer::finish`], it leaves the old file in place.
#[derive(Debug)]
pub struct Writer {
    pieces: Sender<Vec<u8>>,
    done: Receiver<io::Result<()>>,
}

impl Writer {
    /// Starts the thread, behind the one `before`, which is replaced by it.
    ///
    /// # Errors
    /// That of starting a thread.
    pub fn start(file: &Path, before: &mut Option<JoinHandle<()>>) -> io::Result<Self> {
        let (pieces, incoming) = bounded(1);
        let (done, outcome) = bounded(1);
        let file = file.to_owned();
        let earlier = before.take();
        let run = move || {
            if let Some(earlier) = earlier {
                let _ = earlier.join();
            }
            let _ = done.send_blocking(write(&file, &incoming));
        };
        *before = Some(spawn("snapshot", STACK_BYTES, Box::new(run))?);
        Ok(Writer { pieces, done: outcome })
    }

    /// Hands over the next piece, once the one before has been taken.
    ///
    /// # Errors
    /// That of the thread, which has ended.
    pub async fn put(&self, piece: Vec<u8>) -> io::Result<()> {
        match self.pieces.send(piece).await {
            Ok(()) => Ok(()),
            Err(_) => self.outcome().await,
        }
    }

    /// Ends the file: waits until all is on the disk.
    ///
    /// # Errors
    /// That of the thread.
    pub async fn finish(self) -> io::Result<()> {
        // An empty piece marks the end.
        self.put(Vec::new()).await?;
        self.outcome().await
    }

    async fn outcome(&self) -> io::Result<()> {
        self.done.recv().await.unwrap_or_else(|_| Err(io::Error::other("the writing thread has ended")))
    }
}

fn write(file: &Path, pieces: &Receiver<Vec<u8>>) -> io::Result<()> {
    create_private_folder(file.parent().unwrap_or(Path::new("/")))?;
    let new = Replacement::new(file, "new", 0o600)?;
    loop {
        match pieces.recv_blocking() {
            Ok(piece) if piece.is_empty() => return new.commit(),
            Ok(piece) => new.file().write_all(&piece)?,
            Err(_) => return Err(io::ErrorKind::Interrupted.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::testing::TestDir;
    use std::fs;

    fn put(writer: &Writer, piece: &[u8]) {
        writer.pieces.send_blocking(piece.to_vec()).expect("the thread is there");
    }

    fn outcome(writer: &Writer) -> io::Result<()> {
        writer.done.recv_blocking().expect("the thread says how it went")
    }

    #[test]
    fn the_old_file_is_there_until_the_new_one_is_whole() {
        let folder = TestDir::new();
        let file = folder.path("deep/table");
        let mut thread = None;
        let first = Writer::start(&file, &mut thread).expect("a thread");
        put(&first, b"one");
        assert!(!file.exists());
        put(&first, b"");
        outcome(&first).expect("it is written");
        assert_eq!(fs::read(&file).expect("it is there"), b"one");

        // A cancelled writer changes no file and leaves none behind.
        let cancelled = Writer::start(&file, &mut thread).expect("a thread");
        put(&cancelled, b"tw");
        drop(cancelled);
        // The next one waits for it: both use the same temporary file.
        let third = Writer::start(&file, &mut thread).expect("a thread");
        put(&third, b"three");
        assert_eq!(fs::read(&file).expect("it is there"), b"one");
        put(&third, b"");
        outcome(&third).expect("it is written");
        assert_eq!(fs::read(&file).expect("it is there"), b"three");
        assert_eq!(fs::read_dir(file.parent().expect("a folder")).expect("a folder").count(), 1);

        // What cannot be written says so, and the old file stays.
        fs::create_dir(file.with_file_name(".table.new")).expect("the folder is ours");
        let blocked = Writer::start(&file, &mut thread).expect("a thread");
        assert!(outcome(&blocked).is_err());
        assert_eq!(fs::read(&file).expect("it is there"), b"three");
    }
}
