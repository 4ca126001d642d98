//! The manual page herd(1), rendered from the table of commands and flags.
//!
//! The program does not contain it. A test renders it and compares it with `cross/package/herd.1`;
//! `HERD_GOLDEN=write cargo test man` writes that file. So the page and `--help` agree.

use std::fmt::Write as _;

use super::entry::{Entry, Flag};
use super::help::{capitalised, spelled};
use super::table::{ABOUT, COMMANDS, NOTES};

/// The page, in the macros of man(7).
fn page() -> String {
    let mut text = String::from(".TH HERD 1 \"\" \"herd\" \"User Commands\"\n.SH NAME\nherd \\- ");
    writeln!(text, "{}", escaped(ABOUT)).expect("a String takes every write");
    text.push_str(".SH SYNOPSIS\n.B herd\n.I COMMAND\n.RI [ FLAG ...]\n.SH DESCRIPTION\n");
    paragraphs(&mut text, NOTES);
    text.push_str(".SH COMMANDS\n");
    for entry in COMMANDS {
        command(&mut text, entry);
    }
    text.push_str(FOOT);
    text
}

const FOOT: &str = r#".SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
The node stops within a second, with snapshots within about three, and with status 0.
.TP
.B SIGHUP
The node reloads its configuration; links that are in both configurations stay up. A node on a terminal stops instead.
.SH FILES
.TP
.I /etc/herd/herd.json
The configuration file of
.IR herd@.service ;
see
.BR herd.json (5).
.TP
.IR /etc/herd/key ", " /etc/herd/places-key
The herd's key and the key of a places service. Only their owner can read them. systemd passes them to a node as the credentials
.BR key " and " places-key .
.TP
.I /usr/share/herd/places.dat
The default places file.
.SH SEE ALSO
.BR herd.json (5),
.BR systemctl (1)
"#;

fn command(text: &mut String, entry: &Entry) {
    write!(text, ".SS herd {}", entry.words.join(" ")).expect("a String takes every write");
    if !entry.operands.is_empty() {
        write!(text, " {}", entry.operands).expect("a String takes every write");
    }
    writeln!(text, "\n{}.", escaped(&capitalised(entry.short))).expect("a String takes every write");
    paragraphs(text, entry.long);
    for flag in entry.flags {
        let Flag { short, long, .. } = flag;
        let full = if long.is_empty() { format!("{short}.") } else { format!("{short}. {long}") };
        writeln!(text, ".TP\n.B {}\n{}", escaped(&spelled(flag)), escaped(&capitalised(&full)))
            .expect("a String takes every write");
    }
    if !entry.examples.is_empty() {
        text.push_str(".PP\nExamples:\n.PP\n.nf\n");
        for example in entry.examples {
            writeln!(text, "    {}", escaped(example)).expect("a String takes every write");
        }
        text.push_str(".fi\n");
    }
}

fn paragraphs(text: &mut String, paragraphs: &[&str]) {
    for paragraph in paragraphs {
        writeln!(text, ".PP\n{}", escaped(paragraph)).expect("a String takes every write");
    }
}

/// Escapes text for man(7). Without the escape, a dash copied from the page is a different character.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[test]
fn the_manual_page_is_that_of_the_table() {
    super::completions::assert_golden("herd.1", &page(), "man");
}
