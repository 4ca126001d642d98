//! Replaces a file atomically: a reader sees the whole old file or the whole new file.
//!
//! The new content goes to a second file in the same folder. [`Replacement::commit`] syncs it to the disk and renames it.
//! A program that has the old file open still reads the old content. A program that stops half-way leaves the old file
//! unchanged. This module does not know what the content means.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The new file beside `out`. A drop before [`Replacement::commit`] removes it.
pub(crate) struct Replacement {
    file: File,
    beside: PathBuf,
    out: PathBuf,
    is_done: bool,
}

impl Replacement {
    pub(crate) fn new(out: &Path) -> io::Result<Self> {
        let Some(name) = out.file_name() else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"));
        };
        let mut beside = OsString::from(".");
        beside.push(name);
        beside.push(format!(".{}.new", std::process::id()));
        let beside = out.with_file_name(beside);
        // Readable too: the caller reads the content back for its checksum.
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&beside)?;
        Ok(Self { file, beside, out: out.into(), is_done: false })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Syncs the content to the disk, then renames the file to `out`.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.beside, &self.out)?;
        self.is_done = true;
        // Without this sync a power cut can restore the old name. Either file is whole.
        File::open(folder_of(&self.out))?.sync_all()
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.is_done {
            let _ = fs::remove_file(&self.beside);
        }
    }
}

/// The folder that contains the file.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_replaced_whole_or_left_alone() {
        let folder = std::env::temp_dir().join(format!("herd-replace-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("the folder can be written");
        let out = folder.join("x.dat");
        let state = || (fs::read(&out).ok(), fs::read_dir(&folder).expect("the folder is there").count());
        let write = |bytes: &[u8]| {
            let new = Replacement::new(&out).expect("the folder can be written");
            new.file().write_all(bytes).expect("the disk has room");
            new
        };
        drop(write(b"half"));
        assert_eq!(state(), (None, 0));
        write(b"old").commit().expect("the folder can be written");
        assert_eq!(state(), (Some(b"old".to_vec()), 1));
        drop(write(b"half"));
        assert_eq!(state(), (Some(b"old".to_vec()), 1));
        write(b"new").commit().expect("the folder can be written");
        assert_eq!(state(), (Some(b"new".to_vec()), 1));
        let _ = fs::remove_dir_all(&folder);
        assert!(Replacement::new(Path::new("/nowhere/x.dat")).is_err());
        assert!(Replacement::new(Path::new("..")).is_err());
        assert_eq!(folder_of(Path::new("x.dat")), Path::new("."));
    }
}
