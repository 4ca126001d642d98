//! Why an import failed. An error states file, line, member, problem and remedy, so that the operator can correct it.

use crate::places::error::PlacesError;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// The problem of a row, before its file and line are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// The column or property.
    pub(super) member: Cow<'static, str>,
    pub(super) what: String,
    pub(super) remedy: Cow<'static, str>,
}

impl Wrong {
    pub(super) fn new(
        member: impl Into<Cow<'static, str>>,
        what: impl Into<String>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { member: member.into(), what: what.into(), remedy: remedy.into() }
    }
}

/// An invalid row and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    pub(super) file: PathBuf,
    /// The first line of the row, from 1; 0 if the format has no lines.
    pub(super) line: usize,
    pub(super) wrong: Wrong,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, wrong: Wrong { member, what, remedy } } = self;
        write!(f, "{}: {member}: {what} ({remedy})", Place(file, *line))
    }
}

/// A file and a line; line 0 is not shown.
struct Place<'a>(&'a Path, usize);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(file, 0) => write!(f, "{}", file.display()),
            Self(file, line) => write!(f, "{}:{line}", file.display()),
        }
    }
}

/// Why an import failed. Each variant names the file.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportError {
    /// The base is not a places file, or is damaged.
    Base(PlacesError),
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A row is bad, and the import must not skip bad rows.
    Row(BadRow),
    /// A file gives no place: what the import left out of it.
    Nothing(PathBuf, String),
    /// A file is invalid from this line (0 if it has none) on, so a skipped row does not help: file, line, problem and remedy.
    Malformed(PathBuf, usize, Cow<'static, str>),
    /// The places exceed a limit of the format: which limit.
    Limit(String),
    /// A write of the places file failed.
    Write(PathBuf, io::Error),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base(error) => write!(f, "--base: {error}"),
            Self::Read(file, error) => write!(f, "{}: cannot be read: {error}", file.display()),
            Self::Row(row) => write!(f, "{row}; to leave bad rows out: --skip-bad"),
            Self::Nothing(file, left_out) => {
                let question = "is it of another --format? was the download cut off?";
                write!(f, "{}: holds no place ({question}){left_out}", file.display())
            }
            Self::Malformed(file, line, what) => write!(f, "{}: {what}", Place(file, *line)),
            Self::Limit(what) => write!(f, "places do not fit the format: {what} (import fewer)"),
            Self::Write(file, error) => write!(f, "{}: cannot be written: {error}", file.display()),
        }
    }
}

impl std::error::Error for ImportError {}
