//! The state of the places source, for `herd status`.

use std::fmt;

use crate::places::counters::Counters;
use crate::places::settings::Source;

/// The state of the places source at one moment.
#[derive(Clone, Debug)]
pub struct Health {
    /// `offline`, `google`, `google-legacy`, or `none`.
    pub source: &'static str,
    /// Queries that wait.
    pub waiting: usize,
    /// Capacity of the queue.
    pub queue_max: usize,
    /// Worker threads that run now.
    pub workers: usize,
    /// Seconds until the node asks the upstream again.
    pub paused_s: Option<u64>,
    /// The failure logged last, and its age in seconds.
    pub last_failure: Option<(String, u64)>,
    /// Queries by result.
    pub counters: Counters,
}

pub(super) fn source_word(source: &Source) -> &'static str {
    match source {
        Source::Offline { .. } => "offline",
        Source::Google(_) => "google",
        Source::GoogleLegacy(_) => "google-legacy",
        Source::Missing => "none",
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Health { source, waiting, queue_max, .. } = self;
        write!(f, "{source}; {waiting} of {queue_max} queries wait")?;
        for (name, value) in self.counters.each().filter(|(_, value)| *value > 0) {
            write!(f, ", {value} {}", name.replace('_', " "))?;
        }
        if let Some(s) = self.paused_s {
            write!(f, "; left alone for {s} s")?;
        }
        match &self.last_failure {
            Some((words, ago_s)) => write!(f, "; last failure {ago_s} s ago: {words}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_one_line() {
        let mut health = Health {
            source: "google",
            waiting: 3,
            queue_max: 64,
            workers: 2,
            paused_s: None,
            last_failure: None,
            counters: Counters { asked: 9, from_fallback: 2, ..Counters::default() },
        };
        assert_eq!(health.to_string(), "google; 3 of 64 queries wait, 9 asked, 2 from fallback");
        health.paused_s = Some(12);
        health.last_failure = Some(("no answer".to_owned(), 4));
        assert_eq!(
            health.to_string(),
            "google; 3 of 64 queries wait, 9 asked, 2 from fallback; left alone for 12 s; last failure 4 s ago: no answer"
        );
    }
}
