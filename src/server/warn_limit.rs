//! A rate limit for warnings that remote peers can trigger, so that they cannot fill a disk.
//!
//! The first warning of a kind is logged at once. Further ones within [`REPEATED_WARNING_MS`] are counted. After that time
//! the last of them is logged with their number: the log shows when a problem began, when it ended, and how often it
//! occurred. After a quiet period of that length, a kind counts as new. Each kind has its own limit.
//!
//! The module does not wait: `due_at` is the time of the next call, which is never while no warning is suppressed.
//! Invariant: a kind holds one text of at most [`REPEATED_BYTES_MAX`] bytes; it is empty while no warning is suppressed.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write};

use log::warn;

use super::limits::{REPEATED_BYTES_MAX, REPEATED_WARNING_MS};
use crate::proto::time::Mono;

/// The kinds of warnings of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An address has reached its quota of clients: counted as `iamat_over_quota`.
    Quota,
    /// Two boards use one name: counted as `names_in_use`.
    NameInUse,
    /// A neighbour does not complete the handshake: counted as `handshakes_failed`.
    Unproven,
    /// A link connection that claims to be a neighbour is refused: counted as `handshakes_failed`.
    Alleged,
    /// Any other link connection is refused: counted as `handshakes_failed`.
    Stranger,
    /// A report of a phone came without its client's token: counted as `phone_rejected`.
    Report,
    /// The host name of a neighbour has no address: counted as `dials_failed`.
    LookUp,
    /// A connection cannot be accepted: counted as `accepts_failed`.
    Accept,
}

/// The number of kinds of a node.
pub(super) const KINDS: usize = Kind::Accept as usize + 1;

impl From<Kind> for usize {
    fn from(kind: Kind) -> Self {
        kind as usize
    }
}

#[derive(Default)]
struct Repeats {
    /// When the first one, or the last count, was logged; none for a quiet kind.
    since: Option<Mono>,
    left_out: u64,
    last: String,
}

impl Repeats {
    fn ends_at(&self) -> Mono {
        self.since.map_or(Mono(0), |since| since.after_ms(REPEATED_WARNING_MS))
    }
}

/// The warnings of a process, of `KINDS` kinds.
pub struct WarnLimit<const KINDS: usize> {
    kinds: RefCell<[Repeats; KINDS]>,
    /// When [`WarnLimit::tick`] is next due. Outside `kinds`, since each client line checks it.
    due_at: Cell<Mono>,
}

impl<const KINDS: usize> Default for WarnLimit<KINDS> {
    fn default() -> Self {
        WarnLimit {
            kinds: RefCell::new(std::array::from_fn(|_| Repeats::default())),
            due_at: Cell::new(Mono::NEVER),
        }
    }
}

impl<const KINDS: usize> WarnLimit<KINDS> {
    /// Logs or counts a warning.
    pub fn warn(&self, kind: impl Into<usize>, now: Mono, message: &dyn fmt::Display) {
        self.warn_to(kind.into(), now, message, &mut |words| warn!("{words}"));
    }

    /// Logs the summaries that are due.
    pub fn tick(&self, now: Mono) {
        self.tick_to(now, &mut |words| warn!("{words}"));
    }

    /// When [`WarnLimit::tick`] is next due.
    pub(super) fn due_at(&self) -> Mono {
        self.due_at.get()
    }

    fn warn_to(
        &self,
        kind: usize,
        now: Mono,
        message: &dyn fmt::Display,
        say: &mut dyn FnMut(fmt::Arguments),
    ) {
        // First logs a summary that is overdue, so that this warning does not count in the old period.
        self.tick_to(now, say);
        let repeats = &mut self.kinds.borrow_mut()[kind];
        if repeats.since.is_none() || now >= repeats.ends_at() {
            repeats.since = Some(now);
            say(format_args!("{message}"));
            return;
        }
        repeats.left_out += 1;
        repeats.last.clear();
        // A text without room is truncated.
        let _ = write!(Bounded(&mut repeats.last), "{message}");
        self.due_at.set(self.due_at.get().min(repeats.ends_at()));
    }

    fn tick_to(&self, now: Mono, say: &mut dyn FnMut(fmt::Arguments)) {
        if now < self.due_at.get() {
            return;
        }
        let mut due_at = Mono::NEVER;
        for repeats in self.kinds.borrow_mut().iter_mut().filter(|repeats| repeats.left_out > 0) {
            if now < repeats.ends_at() {
                due_at = due_at.min(repeats.ends_at());
                continue;
            }
            let (last, left_out) = (std::mem::take(&mut repeats.last), std::mem::take(&mut repeats.left_out));
            let for_s = now.since_ms(repeats.since.unwrap_or(now)) / 1_000;
            repeats.since = Some(now);
            say(format_args!("{last} (the last of {left_out} like it in {for_s} s)"));
        }
        self.due_at.set(due_at);
    }
}

/// Writes text up to a limit and truncates the rest.
struct Bounded<'a>(&'a mut String);

impl Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut end = text.len().min(REPEATED_BYTES_MAX - self.0.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.0.push_str(&text[..end]);
        if end == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Warnings under a clock that the test moves, and the lines logged with their times.
    #[derive(Default)]
    struct Story {
        warn_limit: WarnLimit<KINDS>,
        logged: Vec<String>,
    }

    impl Story {
        fn warn(&mut self, ms: u64, kind: Kind, words: &str) {
            let logged = &mut self.logged;
            self.warn_limit
                .warn_to(kind.into(), Mono(ms), &words, &mut |words| logged.push(format!("{ms}: {words}")));
        }

        /// Calls it when it wants to be called, up to this time.
        fn run_to(&mut self, ms: u64) {
            while self.warn_limit.due_at() <= Mono(ms) {
                let at = self.warn_limit.due_at();
                let logged = &mut self.logged;
                self.warn_limit.tick_to(at, &mut |words| logged.push(format!("{}: {words}", at.0)));
                assert!(self.warn_limit.due_at() > at, "a tick without effect");
            }
        }

        fn tell(&mut self) -> String {
            std::mem::take(&mut self.logged).join("\n")
        }
    }

    #[test]
    fn a_single_warning_is_logged_and_needs_no_timer() {
        let mut story = Story::default();
        story.warn(5, Kind::Stranger, "a");
        assert_eq!(story.warn_limit.due_at(), Mono::NEVER);
        // The next one comes when its time is over: as new as the first.
        story.warn(10_005, Kind::Stranger, "b");
        assert_eq!((story.tell().as_str(), story.warn_limit.due_at()), ("5: a\n10005: b", Mono::NEVER));
    }

    #[test]
    fn the_first_is_logged_at_once_and_the_last_with_the_number_of_all() {
        let mut story = Story::default();
        for i in 0..38 {
            story.warn(100 + i, Kind::Stranger, &format!("refused {i}"));
        }
        assert_eq!(story.warn_limit.due_at(), Mono(10_100));
        story.run_to(60_000);
        assert_eq!(story.tell(), "100: refused 0\n10100: refused 37 (the last of 37 like it in 10 s)");
        story.warn(60_000, Kind::Stranger, "much later");
        assert_eq!((story.tell().as_str(), story.warn_limit.due_at()), ("60000: much later", Mono::NEVER));
    }

    #[test]
    fn what_goes_on_is_a_line_in_ten_seconds_and_nothing_is_lost_of_the_count() {
        let mut story = Story::default();
        for i in 0..35 {
            story.run_to(i * 1_000);
            story.warn(i * 1_000, Kind::Quota, &format!("at {i} s"));
        }
        story.run_to(100_000);
        assert_eq!(
            story.tell(),
            "0: at 0 s\n10000: at 9 s (the last of 9 like it in 10 s)\n20000: at 19 s (the last of 10 like it in 10 s)\n\
             30000: at 29 s (the last of 10 like it in 10 s)\n40000: at 34 s (the last of 5 like it in 10 s)"
        );
    }

    #[test]
    fn kinds_do_not_hide_each_other() {
        let mut story = Story::default();
        for (ms, kind, words) in [
            (0, Kind::Stranger, "a"),
            (1, Kind::Accept, "b"),
            (2, Kind::Stranger, "a"),
            (3, Kind::Alleged, "c"),
            (4, Kind::Accept, "b"),
        ] {
            story.warn(ms, kind, words);
        }
        story.run_to(100_000);
        assert_eq!(
            story.tell(),
            "0: a\n1: b\n3: c\n10000: a (the last of 1 like it in 10 s)\n10001: b (the last of 1 like it in 10 s)"
        );
    }

    #[test]
    fn a_tick_that_is_late_says_how_late_and_mixes_nothing() {
        let mut story = Story::default();
        story.warn(0, Kind::Unproven, "old");
        story.warn(1, Kind::Unproven, "old");
        // No tick came at 10 s.
        story.warn(25_000, Kind::Unproven, "new");
        assert_eq!(story.tell(), "0: old\n25000: old (the last of 1 like it in 25 s)");
        story.run_to(100_000);
        assert_eq!(story.tell(), "35000: new (the last of 1 like it in 10 s)");
    }

    #[test]
    fn a_text_is_bounded_and_nothing_of_it_stays() {
        let mut story = Story::default();
        let long = "é".repeat(REPEATED_BYTES_MAX);
        story.warn(0, Kind::Accept, "x");
        story.warn(1, Kind::Accept, &format!("x{long}"));
        let held = |story: &Story| story.warn_limit.kinds.borrow()[Kind::Accept as usize].last.len();
        assert_eq!(held(&story), REPEATED_BYTES_MAX - 1);
        story.run_to(100_000);
        assert_eq!(held(&story), 0);
        let expected = format!("10000: x{} (the last of 1 like it in 10 s)", &long[..REPEATED_BYTES_MAX - 2]);
        assert_eq!(story.tell().lines().last(), Some(expected.as_str()));
    }
}
