//! Failures, by exit status.

/// Why the bridge fails.
#[derive(Debug, PartialEq)]
pub enum Failure {
    /// Wrong usage: a description. Exit status 2.
    Usage(String),
    /// The bridge cannot run: a description. Exit status 1.
    CouldNotRun(String),
}
