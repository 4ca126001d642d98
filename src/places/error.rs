//! What can go wrong while places are looked up.
//!
//! One type for the whole look-up, since a caller does the same thing with every case: it tells the client that
//! places cannot be had. Each variant names the file and what to do about it. Errors of making a places file are
//! [`BuildError`](crate::places::import::build::BuildError).

use crate::places::upstream::failure::Failure;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// How the operator puts a broken places file right.
const REMEDY: &str = "make it again with data/fetch or copy it again";

/// Why a query has no answer.
#[derive(Debug)]
pub enum PlacesError {
    /// The node was given no places file.
    NoSource,
    /// The query itself is out of range: the member and its range.
    BadQuery(&'static str),
    /// The file cannot be opened or its length cannot be had.
    Open(PathBuf, io::Error),
    /// The file was opened but a read failed (a card pulled out, a bad sector).
    Read(PathBuf, io::Error),
    /// The file does not begin with the magic of a places file.
    NotPlaces(PathBuf),
    /// A places file of another version of the format: the version found.
    Version(PathBuf, u32),
    /// The file is not as long as its header says: bytes expected, bytes found.
    Length(PathBuf, u64, u64),
    /// The file's bytes are not those that were written.
    Checksum(PathBuf),
    /// The checksum holds but the content contradicts itself: what was wrong.
    Corrupt(PathBuf, &'static str),
    /// The upstream gave no answer: why.
    Upstream(Failure),
    /// The queue before the worker is full: its capacity.
    QueueFull(usize),
    /// The worker thread could not be started.
    NoThread(io::Error),
    /// The node is stopping; the query was queued and never begun.
    Stopping,
    /// The answer could not be written to where it was to go.
    Output(io::Error),
}

impl PlacesError {
    /// The message for a client: as `Display`, but a file is named without its folders, which are no client's
    /// business.
    pub fn for_clients(&self) -> String {
        let name = self.file().and_then(Path::file_name).map(Path::new).unwrap_or(Path::new(""));
        Message { error: self, name }.to_string()
    }

    /// The Google status word that fits the error.
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

/// One wording for operators and clients, who see the file's name at different length.
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
            PlacesError::Output(error) => write!(f, "places: cannot write the answer: {error}"),
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
