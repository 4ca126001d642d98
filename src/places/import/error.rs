//! Why an import failed, told so that it can be mended: file, line, member, what is wrong, what to do.

use crate::places::error::PlacesError;
use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// What is wrong with a row, before its file and line are known.
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

/// A row that cannot be taken, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    pub(super) file: PathBuf,
    /// The line that the row begins on, from 1.
    pub(super) line: usize,
    pub(super) wrong: Wrong,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, wrong: Wrong { member, what, remedy } } = self;
        write!(f, "{}:{line}: {member}: {what} ({remedy})", file.display())
    }
}

/// Why places could not be imported. Each names the file.
#[derive(Debug)]
#[non_exhaustive]
pub enum ImportError {
    /// The base is no places file, or a damaged one.
    Base(PlacesError),
    /// A file cannot be read.
    Read(PathBuf, io::Error),
    /// A row is bad, and bad rows are not to be left out.
    Row(BadRow),
    /// Bad rows are to be left out, and a file holds no others: how many.
    Nothing(PathBuf, u64),
    /// A file cannot be understood from there on, so that leaving out a row does not help: file, line, why and remedy.
    Malformed(PathBuf, usize, Cow<'static, str>),
    /// The temporary files, which lie in that folder, cannot be written or read.
    Temporary(PathBuf, io::Error),
    /// The places are more than the format can name: what there is too much of.
    Limit(String),
    /// The places file cannot be written.
    Write(PathBuf, io::Error),
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base(error) => write!(f, "--base: {error}"),
            Self::Read(file, error) => write!(f, "{}: cannot be read: {error}", file.display()),
            Self::Row(row) => write!(f, "{row}; to leave bad rows out: --skip-bad"),
            Self::Nothing(file, bad) => {
                let file = file.display();
                write!(f, "{file}: all that it holds is bad rows, {bad} of them (is it of another --format?)")
            }
            Self::Malformed(file, line, what) => write!(f, "{}:{line}: {what}", file.display()),
            Self::Temporary(folder, error) => {
                write!(f, "{}: temporary files cannot be kept there: {error}", folder.display())
            }
            Self::Limit(what) => write!(f, "places do not fit the format: {what} (import fewer)"),
            Self::Write(file, error) => write!(f, "{}: cannot be written: {error}", file.display()),
        }
    }
}

impl std::error::Error for ImportError {}
