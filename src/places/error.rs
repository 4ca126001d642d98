//! Errors of a look-up of places.
//!
//! The whole look-up has one error type, because the caller handles every case in the same way: the client gets the error
//! form. Each variant names the file and the remedy. The errors of an import are in
//! [`ImportError`](crate::places::import::ImportError).

use crate::places::upstream::failure::Failure;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// How the operator repairs a broken places file.
const REMEDY: &str = "make it again with data/fetch or copy it again";

/// Why a query has no answer.
#[derive(Debug)]
pub enum PlacesError {
    /// The node has no places file.
    NoSource,
    /// The query is out of range: the member and its range.
    BadQuery(&'static str),
    /// The file cannot be opened, or its length cannot be read.
    Open(PathBuf, io::Error),
    /// A read failed after the file was opened, for example because of a bad sector.
    Read(PathBuf, io::Error),
    /// The file does not begin with the magic of a places file.
    NotPlaces(PathBuf),
    /// The file has another version of the format: the version found.
    Version(PathBuf, u32),
    /// The file's length differs from its header: bytes expected, bytes found.
    Length(PathBuf, u64, u64),
    /// The checksum is wrong.
    Checksum(PathBuf),
    /// The checksum is right but the content contradicts itself: the contradiction.
    Corrupt(PathBuf, &'static str),
    /// The upstream gave no answer: the reason.
    Upstream(Failure),
    /// The queue is full: its capacity.
    QueueFull(usize),
    /// The worker thread cannot be started.
    NoThread(io::Error),
    /// The node stopped before a worker began the query.
    Stopping,
}

impl PlacesError {
    /// The message for a client. It differs from `Display` in one point: a file is named without its folders, because they
    /// show the operator's file system.
    pub fn for_clients(&self) -> String {
        let name = self.file().and_then(Path::file_name).map(Path::new).unwrap_or(Path::new(""));
        Message { error: self, name }.to_string()
    }

    /// Google's status word for the error.
    pub fn status(&self) -> &'static str {
        match self {
            Self::BadQuery(_) => "INVALID_REQUEST",
            Self::Upstream(failure) => failure.status(),
            _ => "UNKNOWN_ERROR",
        }
    }

    fn file(&self) -> Option<&Path> {
        match self {
            Self::Open(file, _)
            | Self::Read(file, _)
            | Self::NotPlaces(file)
            | Self::Version(file, _)
            | Self::Length(file, _, _)
            | Self::Checksum(file)
            | Self::Corrupt(file, _) => Some(file),
            _ => None,
        }
    }
}

impl fmt::Display for PlacesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Message { error: self, name: self.file().unwrap_or(Path::new("")) }.fmt(f)
    }
}

impl std::error::Error for PlacesError {}

/// The common text for operators and clients. Operators get the file's path, clients its name.
struct Message<'a> {
    error: &'a PlacesError,
    name: &'a Path,
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.display();
        match self.error {
            PlacesError::NoSource => f.write_str(
                "places: this node has no places file; give one in the configuration's places.file",
            ),
            PlacesError::BadQuery(what) => write!(f, "places: {what}"),
            PlacesError::Open(_, error) => write!(f, "places: cannot open {name}: {error}"),
            PlacesError::Read(_, error) => write!(f, "places: cannot read {name}: {error}"),
            PlacesError::NotPlaces(_) => write!(f, "places: {name} is not a places file; {REMEDY}"),
            PlacesError::Version(_, found) => {
                write!(
                    f,
                    "places: {name} has format version {found}, which this program does not read; {REMEDY}"
                )
            }
            PlacesError::Length(_, expected, found) => {
                write!(f, "places: {name} is {found} bytes long where {expected} are due; {REMEDY}")
            }
            PlacesError::Checksum(_) => {
                write!(f, "places: {name} is damaged, its checksum is wrong; {REMEDY}")
            }
            PlacesError::Corrupt(_, what) => write!(f, "places: {name} is damaged: {what}; {REMEDY}"),
            PlacesError::Upstream(failure) => write!(f, "places: {failure}"),
            PlacesError::QueueFull(max) => {
                write!(f, "places: {max} queries are waiting already; ask again later")
            }
            PlacesError::NoThread(error) => write!(f, "places: cannot start the worker thread: {error}"),
            PlacesError::Stopping => f.write_str("places: the node is stopping"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_see_the_file_but_not_its_folders() {
        let error = PlacesError::Checksum(PathBuf::from("/var/lib/herd/places.dat"));
        assert!(error.to_string().contains("/var/lib/herd/places.dat"));
        assert!(error.for_clients().contains(" places.dat is damaged"));
        assert!(!error.for_clients().contains("/var"));
    }
}
