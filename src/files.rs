//! Opens the files that a configuration names, and replaces files atomically. The rest of the program opens no such file
//! and renames no file over another.
//!
//! A replacement goes to a second file in the same folder. `Replacement::commit` syncs it to the disk and renames it. A
//! program that has the old file open still reads the old content. A program that stops half-way leaves the old file
//! unchanged. This module does not know what the content means.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Symbolic links in a row that [`Replacement::new`] follows, as many as Linux does.
const LINKS_MAX: usize = 40;

/// Opens a regular file for reading. Refuses a device, a named pipe, a socket and a folder: a read of one can block for
/// ever, and an open of a device can have an effect.
///
/// # Errors
/// The file cannot be opened, or is not a regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    if !fs::metadata(path)?.is_file() {
        return Err(not_regular());
    }
    // A named pipe that takes the file's place now does not block either.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// Opens a file with a key or a password. With `must_be_private`, refuses a file that other users have access to. A
/// credential of systemd needs no such check: other users cannot open its folder, and the access list that systemd sets on
/// the file looks like a right of the group.
///
/// # Errors
/// The file's path and the problem; a command that solves it, or an empty text.
pub fn open_secret(path: &Path, must_be_private: bool) -> Result<File, (String, String)> {
    let name = path.display();
    let failed = |error: io::Error| (format!("{name}: {error}"), String::new());
    let file = open_regular(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.mode() & 0o777;
    if must_be_private && mode & 0o077 != 0 {
        let problem = format!("{name}: mode {mode:03o} gives other users access");
        return Err((problem, format!("chmod 600 {name}")));
    }
    Ok(file)
}

/// The first `bytes_max` bytes of a file that [`open_secret`] opens.
///
/// # Errors
/// The file's path, the problem and the remedy. Not the file's content.
pub fn read_secret(path: &Path, must_be_private: bool, bytes_max: u64) -> Result<String, String> {
    let file = open_secret(path, must_be_private).map_err(|(problem, remedy)| {
        if remedy.is_empty() { problem } else { format!("{problem} ({remedy})") }
    })?;
    let mut text = String::new();
    let read = file.take(bytes_max).read_to_string(&mut text);
    read.map(|_| text).map_err(|error| format!("{}: {error}", path.display()))
}

fn not_regular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")
}

/// The file that an output replaces: the end of a chain of symbolic links. It need not exist.
///
/// # Errors
/// What is there is not a regular file, or the path does not name a file in an existing folder.
pub(crate) fn replaceable(out: &Path) -> io::Result<PathBuf> {
    let mut path = out.to_owned();
    for _ in 0..LINKS_MAX {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => path = folder_of(&path).join(fs::read_link(&path)?),
            Ok(metadata) if metadata.is_file() => return Ok(path),
            Ok(_) => return Err(not_regular()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let is_file_name = path.file_name().is_some() && fs::metadata(folder_of(&path))?.is_dir();
                return if is_file_name { Ok(path) } else { Err(not_regular()) };
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

/// Whether the file belongs to this process's user.
fn is_own(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.uid() == rustix::process::geteuid().as_raw())
}

/// Creates a folder and the folders above it. Other users have no access to a new one.
///
/// # Errors
/// The errors of creating a folder.
pub(crate) fn create_private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The new file beside the old one. A drop before [`Replacement::commit`] removes it.
pub(crate) struct Replacement {
    file: File,
    beside: PathBuf,
    out: PathBuf,
    is_done: bool,
}

impl Replacement {
    /// Begins to replace `out`, or the file that it links to. The new file is called `.NAME.ENDING` until then. It has the
    /// owner and the mode of the old file, or `mode` if there is none. A process that may not give a file to another user
    /// owns it.
    ///
    /// # Errors
    /// The errors of [`replaceable`] and of creating a file.
    pub(crate) fn new(out: &Path, ending: &str, mode: u32) -> io::Result<Self> {
        let out = replaceable(out)?;
        let name = out.file_name().unwrap_or_default().to_string_lossy();
        let beside = out.with_file_name(format!(".{name}.{ending}"));
        let mut options = OpenOptions::new();
        options.write(true).mode(mode).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let file = match options.create_new(true).open(&beside) {
            // One that a crash left. What another user put there is not written to.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_own(&beside) => {
                options.create_new(false).truncate(true).open(&beside)?
            }
            created => created?,
        };
        let new = Self { file, beside, out, is_done: false };
        if let Ok(old) = fs::metadata(&new.out) {
            // Only root may give a file to another user; an owner may give it to one of his groups.
            let _ = fchown(&new.file, None, Some(old.gid()));
            let _ = fchown(&new.file, Some(old.uid()), None);
            new.file.set_permissions(old.permissions())?;
        }
        Ok(new)
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Syncs the content to the disk, then renames the file.
    ///
    /// # Errors
    /// The errors of a sync and a rename. The old file is then still there.
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
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
pub(crate) mod testing {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// A folder of its own for a test, removed with all that is in it.
    pub(crate) struct TestDir(PathBuf);

    impl TestDir {
        pub(crate) fn new() -> TestDir {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let name = format!("herd-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).expect("the temporary folder can be written");
            TestDir(path)
        }

        pub(crate) fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        /// Writes a file with these rights.
        pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>, mode: u32) -> PathBuf {
            let path = self.path(name);
            fs::write(&path, text).expect("the folder can be written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("the file is ours");
            path
        }
    }

    impl Drop for TestDir {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::TestDir;
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    fn count(folder: &TestDir) -> usize {
        fs::read_dir(folder.path("")).expect("the folder is there").count()
    }

    fn begun(out: &Path, bytes: &[u8]) -> Replacement {
        let new = Replacement::new(out, "new", 0o640).expect("the folder can be written");
        new.file().write_all(bytes).expect("the disk has room");
        new
    }

    /// A named pipe, by the program that every system has.
    fn named_pipe(path: &Path) {
        let status = std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo can be run");
        assert!(status.success());
    }

    #[test]
    fn a_file_is_replaced_whole_or_left_alone() {
        let folder = TestDir::new();
        let out = folder.path("x.dat");
        let state = || (fs::read(&out).ok(), count(&folder));
        drop(begun(&out, b"half"));
        assert_eq!(state(), (None, 0));
        begun(&out, b"old").commit().expect("the folder can be written");
        assert_eq!(state(), (Some(b"old".to_vec()), 1));
        drop(begun(&out, b"half"));
        assert_eq!(state(), (Some(b"old".to_vec()), 1));
        fs::write(folder.path(".x.dat.new"), "of a crash").expect("the folder can be written");
        begun(&out, b"new").commit().expect("the folder can be written");
        assert_eq!(state(), (Some(b"new".to_vec()), 1));
        symlink("x.dat", folder.path(".x.dat.new")).expect("the folder is ours");
        assert!(Replacement::new(&out, "new", 0o600).is_err(), "no link is followed there");
        for path in ["/nowhere/x.dat", "..", "", "/"] {
            assert!(Replacement::new(Path::new(path), "new", 0o600).is_err(), "{path}");
        }
        assert_eq!(folder_of(Path::new("x.dat")), Path::new("."));
    }

    #[test]
    fn a_replaced_file_has_its_old_mode() {
        let folder = TestDir::new();
        let out = folder.path("x.dat");
        let mode = || fs::metadata(&out).expect("it is there").permissions().mode() & 0o7777;
        begun(&out, b"first").commit().expect("the folder can be written");
        assert_eq!(mode() & 0o700, 0o600);
        for old in [0o644, 0o600, 0o664] {
            fs::set_permissions(&out, fs::Permissions::from_mode(old)).expect("the file is ours");
            begun(&out, b"again").commit().expect("the folder can be written");
            assert_eq!(mode(), old);
        }
        // Only root can give a file away, and so sees that its owner stays.
        if std::os::unix::fs::chown(&out, Some(4_321), Some(4_322)).is_ok() {
            begun(&out, b"again").commit().expect("the folder can be written");
            let metadata = fs::metadata(&out).expect("it is there");
            assert_eq!((metadata.uid(), metadata.gid(), mode()), (4_321, 4_322, 0o664));
        }
    }

    #[test]
    fn the_target_of_a_link_is_replaced() {
        let folder = TestDir::new();
        let path = |name: &str| folder.path(name);
        fs::create_dir(path("deep")).expect("the folder is ours");
        symlink("deep/x.dat", path("one")).expect("the folder is ours");
        symlink(path("one"), path("two")).expect("the folder is ours");
        for bytes in [b"new", b"old"] {
            begun(&path("two"), bytes).commit().expect("the folder can be written");
            assert_eq!(fs::read(path("deep/x.dat")).expect("the target"), bytes);
            assert!(path("one").is_symlink() && path("two").is_symlink());
        }
        symlink("loop", path("loop")).expect("the folder is ours");
        assert!(replaceable(&path("loop")).is_err());
    }

    #[test]
    fn only_regular_files_are_opened_or_replaced() {
        let folder = TestDir::new();
        let path = |name: &str| folder.path(name);
        named_pipe(&path("pipe"));
        let _socket = UnixListener::bind(path("socket")).expect("the folder is ours");
        symlink("pipe", path("link")).expect("the folder is ours");
        let before = count(&folder);
        for other in [path("pipe"), path("socket"), path("link"), path(""), "/dev/null".into()] {
            let refused = [open_regular(&other).err(), replaceable(&other).err()];
            for error in refused {
                let error = error.expect("it is refused").to_string();
                assert_eq!(error, "not a regular file", "{}", other.display());
            }
            assert!(Replacement::new(&other, "new", 0o600).is_err());
        }
        assert_eq!(count(&folder), before);
        fs::write(path("file"), "text").expect("the folder is ours");
        symlink("file", path("to-file")).expect("the folder is ours");
        assert!(open_regular(&path("to-file")).is_ok());
        assert!(open_regular(&path("none")).is_err_and(|error| error.kind() == io::ErrorKind::NotFound));
    }
}
