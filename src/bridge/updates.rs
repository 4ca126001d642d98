//! Updates on their way to the node, in the order of sending.

use std::collections::VecDeque;

use super::limits::{SILENCE_MS_MAX, UPDATES_MAX};
use herd::proto::time::Mono;

/// Updates that the node has not answered, in the order of sending.
#[derive(Debug, Default)]
pub(super) struct Updates {
    waiting: VecDeque<Update>,
    /// How many of the first updates the bridge sent over this connection.
    pub(super) sent: usize,
    /// When the bridge began to wait for the first answer.
    since: Mono,
}

#[derive(Debug)]
pub(super) struct Update {
    pub(super) line: String,
    /// The connection to the broker and the number by which it is acknowledged.
    pub(super) number: Option<(u64, u16)>,
}

impl Updates {
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn push(&mut self, line: String, number: Option<(u64, u16)>) {
        debug_assert!(self.waiting.len() < UPDATES_MAX);
        self.waiting.push_back(Update { line, number });
    }

    /// The lines that the bridge has not sent. They count as sent.
    pub(super) fn send(&mut self, now: Mono) -> String {
        let lines = self.waiting.iter().skip(self.sent).flat_map(|update| [&*update.line, "\n"]).collect();
        if self.sent == 0 {
            self.since = now;
        }
        self.sent = self.waiting.len();
        lines
    }

    /// The update that an answer is for: the first. `None` if the bridge sent none.
    pub(super) fn answered(&mut self, now: Mono) -> Option<Update> {
        self.sent = self.sent.checked_sub(1)?;
        self.since = now;
        self.waiting.pop_front()
    }

    pub(super) fn is_late(&self, now: Mono) -> bool {
        self.sent > 0 && now.since_ms(self.since) >= SILENCE_MS_MAX
    }
}
