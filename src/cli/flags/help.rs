//! Help texts, rendered from the table.

use std::fmt::Write as _;

use super::entry::{Entry, Flag};
use super::table::{ABOUT, COMMANDS, NOTES};

/// The largest width of help, in characters: it fits a terminal of 80 columns.
const WIDTH: usize = 79;

/// Which help: `-h` prints the short one, `--help` the long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Detail {
    Short,
    Long,
}

/// Version, commit, target and features: `herd 0.1.0 (3f2a9c1, aarch64-linux; up page tls)` and a line feed. The scripts that
/// make packages name the commit; a build by cargo alone has none.
pub(in crate::cli) fn version() -> String {
    let commit = option_env!("HERD_COMMIT").map(|commit| format!("{commit}, ")).unwrap_or_default();
    let mut features = String::new();
    for (name, is_built_in) in [
        ("up", cfg!(feature = "up")),
        ("tools", cfg!(feature = "tools")),
        ("phones", cfg!(feature = "phones")),
        ("page", cfg!(feature = "page")),
        ("import", cfg!(feature = "import")),
        ("upstream", cfg!(feature = "upstream")),
        ("tls", cfg!(feature = "tls")),
        ("portable", cfg!(feature = "portable")),
    ] {
        if is_built_in {
            features.push(' ');
            features.push_str(name);
        }
    }
    let (arch, os) = (std::env::consts::ARCH, std::env::consts::OS);
    format!("herd {} ({commit}{arch}-{os};{features})\n", env!("CARGO_PKG_VERSION"))
}

/// Help for the whole program.
pub(in crate::cli) fn program() -> String {
    let mut text = String::new();
    wrap(&mut text, &format!("herd {}: {ABOUT}.", env!("CARGO_PKG_VERSION")), "");
    text.push_str("\nUsage: herd COMMAND ...\n\nCommands:\n");
    list(&mut text, COMMANDS.iter());
    text.push_str("\nFlags:\n  -h, --help     print this text; for a command's flags: herd help COMMAND\n");
    text.push_str("  -V, --version  print the version\n");
    for note in NOTES {
        text.push('\n');
        wrap(&mut text, note, "");
    }
    text
}

/// Help for a group of commands, such as `places`.
pub(in crate::cli) fn group(word: &str) -> String {
    let mut text = format!("Usage: herd {word} COMMAND ...\n\nCommands:\n");
    list(&mut text, COMMANDS.iter().filter(|entry| entry.words[0] == word));
    text
}

/// Help for one command.
pub(in crate::cli) fn command(entry: &Entry, detail: Detail) -> String {
    let name = entry.words.join(" ");
    let mut text = String::new();
    wrap(&mut text, &format!("herd {name}: {}.", entry.short), "");
    text.push('\n');
    wrap_with(&mut text, &usage(entry), "Usage: ", "           ");
    if detail == Detail::Long {
        for paragraph in entry.long {
            text.push('\n');
            wrap(&mut text, paragraph, "");
        }
    }
    if !entry.flags.is_empty() {
        text.push_str("\nFlags:\n");
        let width = entry.flags.iter().map(|flag| spelled(flag).len()).max().unwrap_or(0);
        for flag in entry.flags {
            flag_help(&mut text, flag, width, detail);
        }
    }
    if detail == Detail::Long && !entry.examples.is_empty() {
        text.push_str("\nExamples:\n");
        for example in entry.examples {
            line(&mut text, &format!("  {example}"));
        }
    }
    text
}

/// `herd serve [--config FILE] NAME`.
fn usage(entry: &Entry) -> String {
    let mut text = format!("herd {}", entry.words.join(" "));
    for flag in entry.flags {
        // A no-break space holds a flag and its value on one line; `wrap_with` replaces it.
        let spelled = spelled(flag).replace(' ', "\u{a0}");
        let shown = if flag.is_required { spelled } else { format!("[{spelled}]") };
        write!(text, " {shown}").expect("a String takes every write");
    }
    if !entry.operands.is_empty() {
        write!(text, " {}", entry.operands).expect("a String takes every write");
    }
    text
}

/// `--config FILE`.
pub(in crate::cli) fn spelled(flag: &Flag) -> String {
    match flag.value {
        Some(value) => format!("--{} {value}", flag.name),
        None => format!("--{}", flag.name),
    }
}

/// One flag: a line in short help, a paragraph below its name in long help.
fn flag_help(text: &mut String, flag: &Flag, width: usize, detail: Detail) {
    let spelled = spelled(flag);
    if detail == Detail::Short || flag.long.is_empty() {
        let first = format!("  {spelled:width$}  ");
        wrap_with(text, flag.short, &first, &" ".repeat(width + 4));
    } else {
        line(text, &format!("  {spelled}"));
        wrap(text, &format!("{}. {}", capitalised(flag.short), flag.long), "      ");
    }
}

/// A list of commands and what they do.
fn list<'a>(text: &mut String, entries: impl Iterator<Item = &'a Entry> + Clone) {
    let spelled =
        |entry: &Entry| format!("{} {}", entry.words.join(" "), entry.operands).trim_end().to_owned();
    let width = entries.clone().map(|entry| spelled(entry).len()).max().unwrap_or(0);
    for entry in entries {
        let first = format!("  {:width$}  ", spelled(entry));
        wrap_with(text, entry.short, &first, &" ".repeat(width + 4));
    }
}

pub(in crate::cli) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| std::iter::once(first.to_ascii_uppercase()).chain(chars).collect())
}

fn line(text: &mut String, content: &str) {
    text.push_str(content.trim_end());
    text.push('\n');
}

/// Adds a paragraph, its lines broken at white space and indented.
fn wrap(text: &mut String, paragraph: &str, indent: &str) {
    wrap_with(text, paragraph, indent, indent);
}

/// Adds a paragraph whose first line has an indent of its own.
fn wrap_with(text: &mut String, paragraph: &str, first_indent: &str, indent: &str) {
    let mut current = first_indent.to_owned();
    let mut is_empty = true;
    for word in paragraph.split(' ').filter(|word| !word.is_empty()) {
        if !is_empty && current.chars().count() + 1 + word.chars().count() > WIDTH {
            line(text, &current.replace('\u{a0}', " "));
            indent.clone_into(&mut current);
            is_empty = true;
        }
        if !is_empty {
            current.push(' ');
        }
        current.push_str(word);
        is_empty = false;
    }
    line(text, &current.replace('\u{a0}', " "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_help_is_wider_than_a_terminal() {
        let mut texts = vec![program(), group("places")];
        for entry in COMMANDS {
            texts.extend([command(entry, Detail::Short), command(entry, Detail::Long)]);
        }
        for shown in texts.iter().flat_map(|text| text.lines()) {
            assert!(shown.chars().count() <= WIDTH && shown.is_ascii(), "{shown}");
            assert_eq!(shown, shown.trim_end());
        }
    }

    #[test]
    fn no_flag_is_listed_twice_and_no_group_is_a_command() {
        for entry in COMMANDS {
            let mut names: Vec<_> = entry.flags.iter().map(|flag| flag.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), entry.flags.len(), "{:?}", entry.words);
            assert!((1..=2).contains(&entry.words.len()));
            let is_group = |other: &Entry| other.words.len() == 2 && other.words[0] == entry.words[0];
            assert!(entry.words.len() == 2 || !COMMANDS.iter().any(is_group));
        }
    }
}
