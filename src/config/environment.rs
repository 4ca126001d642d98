//! The environment of a check: folders and files besides the configuration. A value, so a test can choose it: a process with
//! threads cannot change its real environment safely.

use std::path::PathBuf;

/// The file name of a places file.
const PLACES_FILE: &str = "places.dat";

/// The folders and files that a check uses besides the configuration.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The folder of systemd's credentials. A file `key` in it overrides the configuration's `key_file`, a file
    /// `places-key` the one of `places`, and a file `private-key` the node's private key beside the configuration.
    pub credentials: Option<PathBuf>,
    /// Candidates for the places file if the configuration names none; the first one that exists is used.
    pub places_files: Vec<PathBuf>,
}

impl Environment {
    /// The environment of this process: `$CREDENTIALS_DIRECTORY`; `places.dat` beside the executable, `data/places.dat`
    /// two folders above that (a cargo build tree), `data/places.dat` below the current folder, and
    /// `/usr/share/herd/places.dat`.
    #[must_use]
    pub fn of_this_process() -> Environment {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
        let mut places_files = Vec::new();
        let executable = std::env::current_exe().ok();
        if let Some(folder) = executable.as_deref().and_then(std::path::Path::parent) {
            places_files.push(folder.join(PLACES_FILE));
            places_files.push(folder.join("../../data").join(PLACES_FILE));
        }
        places_files.push(PathBuf::from("data").join(PLACES_FILE));
        places_files.push(PathBuf::from("/usr/share/herd").join(PLACES_FILE));
        Environment { credentials: credentials.map(PathBuf::from), places_files }
    }

    /// The credential of this name, if there is one.
    pub(super) fn credential(&self, name: &str) -> Option<PathBuf> {
        let file = self.credentials.as_ref()?.join(name);
        // The unit passes a blank line if the board has no such key.
        file.metadata().is_ok_and(|metadata| metadata.len() > 1).then_some(file)
    }

    /// The default places file, if it exists.
    #[must_use]
    pub fn places_file(&self) -> Option<PathBuf> {
        self.places_files.iter().find(|file| file.is_file()).cloned()
    }
}
