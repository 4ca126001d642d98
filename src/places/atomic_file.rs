//! A file that appears whole or not at all: it is written beside its place under another name, made durable, renamed.
//!
//! Whoever has the old file open keeps it, no reader sees half a file, and a program that is stopped half-way leaves the old
//! file as it was. Knows nothing of what is written.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A file beside `out` that is to take its place. Dropped before [`Replacement::commit`], it leaves nothing.
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
        // Read as well: a checksum is made of what was written.
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&beside)?;
        Ok(Self { file, beside, out: out.into(), is_done: false })
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name. Its bytes are on the disk before its name is.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.beside, &self.out)?;
        self.is_done = true;
        // Without this a power cut may bring the old file back; either is whole.
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

/// The folder that a file lies in.
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
