//! Findings of a configuration check: file, line, member, message, remedy.
//!
//! Invariants: a finding is one printed line, whatever bytes the configuration contains. The list of findings is bounded,
//! so a file full of mistakes cannot fill the memory of a small board.

use std::borrow::Cow;
use std::fmt;

/// The most findings of one check, about 150 bytes each. A configuration of 1 MB can contain half a million mistakes.
pub const FINDINGS_MAX: usize = 200;

/// The longest quoted text in a message, in characters. A name of 32 bytes fits.
const QUOTED_CHARS_MAX: usize = 48;

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// No node starts from this configuration.
    Error,
    /// The herd runs, but perhaps not as the operator expects.
    Warning,
}

/// A message or a remedy: the caller copies no constant.
pub(super) type Text = Cow<'static, str>;

/// One mistake in a configuration.
///
/// `Display` gives one line, `herd.json:7: edges[2]: unknown node "Hil" (did you mean "Hill"?)`; a warning has the word
/// `warning: ` after the line number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether a node starts despite it.
    pub severity: Severity,
    /// The configuration file as the user named it, or `built-in configuration`.
    pub file: String,
    /// The line of the configuration, from 1; `None` if no line is at fault.
    pub line: Option<usize>,
    /// The member at fault, such as `edges[2]` or `nodes.Hill.links`; empty for the whole file.
    pub member: String,
    /// What is wrong.
    pub message: String,
    /// What to do; empty if the message is enough.
    pub remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": ")?;
        if self.severity == Severity::Warning {
            write!(f, "warning: ")?;
        }
        if !self.member.is_empty() {
            write!(f, "{}: ", self.member)?;
        }
        write!(f, "{}", self.message)?;
        if !self.remedy.is_empty() {
            write!(f, " ({})", self.remedy)?;
        }
        Ok(())
    }
}

/// The findings so far, at most [`FINDINGS_MAX`] of them.
///
/// A full list counts further findings without storing them; [`Findings::finish`] then adds their number as a last line.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    file: String,
    list: Vec<Finding>,
    left_off: usize,
    errors: usize,
}

impl Findings {
    /// An empty list for the configuration file of this name.
    pub(super) fn new(file: String) -> Findings {
        Findings { file, ..Findings::default() }
    }

    /// An empty list for the same file.
    pub(super) fn emptied(&self) -> Findings {
        Findings::new(self.file.clone())
    }

    /// The absolute path of the file, or its label where no such file exists.
    pub(super) fn path(&self) -> String {
        let path = std::path::absolute(&self.file).ok().filter(|path| path.exists());
        path.map_or_else(|| self.file.clone(), |path| path.display().to_string())
    }

    /// Notes an error: no node starts from this configuration.
    pub(super) fn error(
        &mut self,
        line: Option<usize>,
        member: &str,
        message: impl Into<Text>,
        remedy: impl Into<Text>,
    ) {
        self.push(Severity::Error, line, member, message.into(), remedy.into());
    }

    /// Notes a warning.
    pub(super) fn warning(
        &mut self,
        line: Option<usize>,
        member: &str,
        message: impl Into<Text>,
        remedy: impl Into<Text>,
    ) {
        self.push(Severity::Warning, line, member, message.into(), remedy.into());
    }

    fn push(&mut self, severity: Severity, line: Option<usize>, member: &str, message: Text, remedy: Text) {
        self.errors += usize::from(severity == Severity::Error);
        if self.list.len() >= FINDINGS_MAX {
            self.left_off += 1;
            return;
        }
        self.list.push(Finding {
            severity,
            file: self.file.clone(),
            line,
            member: member.to_owned(),
            message: message.into_owned(),
            remedy: remedy.into_owned(),
        });
    }

    /// Whether an error was noted, stored or not.
    pub(super) fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The findings in the order of the configuration's lines; findings without a line come last.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|finding| finding.line.unwrap_or(usize::MAX));
        if self.left_off > 0 {
            let message = format!("{} more findings are not shown", self.left_off);
            let severity = if self.has_errors() { Severity::Error } else { Severity::Warning };
            self.left_off = 0;
            self.list.push(Finding {
                severity,
                file: self.file,
                line: None,
                member: String::new(),
                message,
                remedy: String::new(),
            });
        }
        self.list
    }
}

/// `one of: Hill, Smith`; of a long list only the first names.
pub(crate) fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN_MAX: usize = 20;
    let mut names: Vec<&str> = names.collect();
    let more = names.len().saturating_sub(SHOWN_MAX);
    names.truncate(SHOWN_MAX);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("one of: {}{rest}", names.join(", "))
}

/// `text` in double quotes, on one line: control characters are escaped and a long text is truncated.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(QUOTED_CHARS_MAX) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The remedy `did you mean "Hill"?` if a candidate is similar to `word`, else another one.
pub(crate) fn near_or<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
    otherwise: impl FnOnce() -> String,
) -> String {
    nearest(word, candidates).map_or_else(otherwise, |near| format!("did you mean {near:?}?"))
}

/// The same, else an empty text.
pub(crate) fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    near_or(word, candidates, String::new)
}

/// The candidate most similar to `word`: the one with the smallest distance, if that is at most a third of the longer
/// word. Otherwise a candidate that begins with `word`. `None` if there is neither.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A word much longer than any name is not a typing mistake, and the distance costs the product of the lengths.
    if word.len() > QUOTED_CHARS_MAX {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let mut apart = distance(word, candidate);
        let mut is_near = apart <= (word.len().max(candidate.len()) + 1) / 3 && apart < word.len();
        if !is_near && word.len() >= 3 && candidate.starts_with(word) {
            (apart, is_near) = (candidate.len(), true);
        }
        if is_near && best.is_none_or(|(least, _)| apart < least) {
            best = Some((apart, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// The edit distance of two words: insertions, deletions, changes and swaps of adjacent letters, without regard to case.
/// (Optimal string alignment, in three rows.)
fn distance(from: &str, to: &str) -> usize {
    let from = from.to_ascii_lowercase().into_bytes();
    let to = to.to_ascii_lowercase().into_bytes();
    let mut above: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let mut least = (row[j] + usize::from(a != b)).min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                least = least.min(above[j - 1] + 1);
            }
            next.push(least);
        }
        above = std::mem::replace(&mut row, next);
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_found_and_a_far_one_is_not() {
        let names = ["Hill", "Jaquez", "Smith", "Singleton", "Campbell"];
        for (word, near) in [
            ("Hil", Some("Hill")),
            ("hill", Some("Hill")),
            ("Simth", Some("Smith")),
            ("Cambell", Some("Campbell")),
            ("Single", Some("Singleton")),
            ("Sing", Some("Singleton")),
            ("Mill", Some("Hill")),
            ("Milk", None),
            ("Pluto", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), near, "{word}");
        }
    }

    #[test]
    fn a_finding_is_one_line_whatever_the_file_holds() {
        let long = "x".repeat(300);
        for text in ["a\nb", "\u{1b}[31m", long.as_str()] {
            let shown = quoted(text);
            assert!(!shown.contains(['\n', '\u{1b}']), "{shown}");
            assert!(shown.len() < 80, "{shown}");
        }
    }

    #[test]
    fn a_file_of_mistakes_gives_a_bounded_list() {
        let mut findings = Findings::new("herd.json".to_owned());
        for line in 0..FINDINGS_MAX + 3 {
            findings.error(Some(line), "m", "wrong", "");
        }
        let list = findings.finish();
        assert_eq!(list.len(), FINDINGS_MAX + 1);
        assert_eq!(list[FINDINGS_MAX].to_string(), "herd.json: 3 more findings are not shown");
    }
}
