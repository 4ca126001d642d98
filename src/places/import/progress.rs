//! Shows an import's progress: a bar on a terminal, and messages.
//!
//! This module does not know places. The crates for progress bars add threads and a terminal library for one line. A failed
//! write of the bar is not an error.

use std::io::Write;
use std::time::{Duration, Instant};

/// Shortest time between two draws of the bar.
const PAUSE: Duration = Duration::from_millis(100);
const BAR_CHARS: usize = 30;
const LABEL_CHARS: usize = 32;
/// The code reads the clock once in this many steps.
const STEPS: u32 = 256;

/// A progress bar for one part of the work after another.
pub struct Progress<'a> {
    out: &'a mut dyn Write,
    is_terminal: bool,
    label: String,
    total: u64,
    drawn: Option<Instant>,
    steps: u32,
}

impl<'a> Progress<'a> {
    /// `out` gets the messages. It gets the bar only if it is a terminal.
    pub fn new(out: &'a mut dyn Write, is_terminal: bool) -> Self {
        Self { out, is_terminal, label: String::new(), total: 0, drawn: None, steps: 0 }
    }

    /// Begins a part of the work. A total of 0 means unknown.
    pub(super) fn begin(&mut self, label: &str, total: u64) {
        self.label = label.chars().take(LABEL_CHARS).collect();
        (self.total, self.steps) = (total, 0);
        self.draw(0);
    }

    /// Sets how much of the total is done.
    pub(super) fn at(&mut self, done: u64) {
        self.steps = (self.steps + 1) % STEPS;
        if self.steps == 0 && self.drawn.is_none_or(|drawn| drawn.elapsed() >= PAUSE) {
            self.draw(done);
        }
    }

    /// Writes a message on its own line.
    pub(super) fn message(&mut self, text: &str) {
        self.clear();
        let _ = writeln!(self.out, "{text}");
    }

    /// Removes the bar.
    pub(super) fn clear(&mut self) {
        if self.drawn.take().is_some() {
            let _ = write!(self.out, "\r{:79}\r", "").and_then(|()| self.out.flush());
        }
    }

    fn draw(&mut self, done: u64) {
        if !self.is_terminal {
            return;
        }
        let share = |of: usize| {
            let share = (u128::from(done) * of as u128).checked_div(self.total.into())?;
            Some(usize::try_from(share).unwrap_or(of).min(of))
        };
        let line = match (share(BAR_CHARS), share(100)) {
            (Some(filled), Some(percent)) => {
                let bar = format!("{}{}", "#".repeat(filled), " ".repeat(BAR_CHARS - filled));
                format!("{:LABEL_CHARS$} [{bar}] {:>3} %", self.label, percent)
            }
            _ => format!("{:LABEL_CHARS$} {done}", self.label),
        };
        let _ = write!(self.out, "\r{line:79}").and_then(|()| self.out.flush());
        self.drawn = Some(Instant::now());
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(is_terminal: bool) -> String {
        let mut out = Vec::new();
        let mut progress = Progress::new(&mut out, is_terminal);
        progress.begin("reading x", 200);
        for done in 0..200 {
            progress.at(done);
        }
        progress.draw(100);
        progress.draw(1_000);
        progress.message("message");
        progress.begin("a pipe", 0);
        drop(progress);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_terminal_sees_a_bar_that_goes_away() {
        let text = shown(true);
        let lines: Vec<_> = text.split(['\r', '\n']).filter(|line| !line.trim().is_empty()).collect();
        assert!(lines[0].starts_with("reading x ") && lines[0].contains("[   "), "{text}");
        assert!(text.contains("[###############               ]  50 %"), "{text}");
        assert!(text.contains("[##############################] 100 %"), "{text}");
        assert!(lines.iter().all(|line| line.chars().count() <= 79), "{text}");
        assert!(text.ends_with(&format!("\r{:79}\r", "")) && text.contains("\rmessage\n"), "{text:?}");
    }

    #[test]
    fn elsewhere_there_are_messages_alone() {
        assert_eq!(shown(false), "message\n");
    }
}
