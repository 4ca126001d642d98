//! The code checks the code: what may be imported where, how long a function and a file may be, and
//! words that must not be left behind.

use std::path::Path;

use crate::{files, path, read, rust_files};

/// Roots that `src/proto` may name in a `use`: nothing that does IO, tells the time, draws random
/// numbers, starts threads or allocates.
const PROTO_ROOTS: [&str; 10] = [
    "chacha20poly1305",
    "core",
    "crate",
    "heapless",
    "hmac",
    "sha2",
    "siphasher",
    "super",
    "x25519_dalek",
    "zeroize",
];

/// Where the project's own Rust lies.
const FOLDERS: [&str; 4] = ["src", "tests", "benches", "fuzz"];

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 60;
const MAIN_LINES_MAX: usize = 40;

/// The lines of a core file that are no test: everything above `#[cfg(test)]`.
fn shipped(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().take_while(|(_, line)| line.trim() != "#[cfg(test)]")
}

#[test]
fn imports_of_core() {
    for path in rust_files("src/proto") {
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with("tests.rs")) {
            continue;
        }
        let text = read(&path);
        for (i, line) in shipped(&text) {
            let place = format!("{}:{}", path.display(), i + 1);
            let code = line.split("//").next().unwrap_or("");
            if let Some(import) = code.trim_start().trim_start_matches("pub ").strip_prefix("use ") {
                let root = import.split([':', ';', ' ']).next().unwrap_or("");
                assert!(PROTO_ROOTS.contains(&root), "{place}: the core may not use {root}");
            }
            for word in ["std::", "alloc::", "Vec<u8>", "String::", "Box::", "Instant::now", "SystemTime"] {
                let bounded = code.contains("heapless::Vec<u8") && word == "Vec<u8>";
                assert!(bounded || !code.contains(word), "{place}: {word} does not belong into the core");
            }
        }
    }
}

#[test]
fn simulator_and_server() {
    for path in rust_files("src/server") {
        assert!(!read(&path).contains("crate::sim"), "{}", path.display());
    }
    for path in rust_files("src/sim") {
        let text = read(&path);
        assert!(!text.contains("crate::server"), "{}", path.display());
        // The program around the worlds tells the time and starts threads; a world does not.
        if path.ends_with("src/sim/runner.rs") {
            continue;
        }
        for word in ["std::net", "std::thread", "Instant", "SystemTime", "HashMap", "HashSet"] {
            assert!(!text.contains(word), "{}: a world with {word} does not repeat", path.display());
        }
    }
}

/// What a folder may not know: arrows between folders point one way (CONTRIBUTING, Where things are).
const ARROWS: [(&str, &[&str]); 5] = [
    ("src/places", &["config", "cli", "sim"]),
    ("src/server", &["cli", "sim"]),
    ("src/config", &["server", "cli", "sim"]),
    ("src/bridge", &["cli", "sim", "places"]),
    ("src/sim", &["server", "cli", "config", "places"]),
];

#[test]
fn arrows_between_folders() {
    for (folder, unknown) in ARROWS {
        for path in rust_files(folder) {
            let text = read(&path);
            for (i, line) in text.lines().enumerate() {
                let names = |other: &&&str| {
                    ["crate", "herd"].iter().any(|root| line.contains(&format!("{root}::{other}::")))
                };
                if let Some(other) = unknown.iter().find(names) {
                    panic!("{}:{}: {folder} may not know {other}", path.display(), i + 1);
                }
            }
        }
    }
    // A doc comment of places names the logger; no code of it does.
    for path in rust_files("src/places") {
        let text = read(&path);
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        assert!(!code.into_iter().any(|line| line.contains("crate::server")), "{}", path.display());
    }
}

#[test]
fn lengths() {
    for path in FOLDERS.into_iter().flat_map(rust_files) {
        let text = read(&path);
        let lines = text.lines().count();
        let is_main = path.ends_with("src/main.rs") || path.ends_with("src/bridge/main.rs");
        let max = if is_main { MAIN_LINES_MAX } else { FILE_LINES_MAX };
        assert!(lines <= max, "{}: {lines} lines, at most {max}", path.display());
        for (name, length) in functions(&text) {
            assert!(length <= FUNCTION_LINES_MAX, "{}: {name} has {length} lines", path.display());
        }
    }
}

/// Name and length of each function, by indentation: the formatter closes a body where it opened.
fn functions(text: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut open: Option<(String, usize, usize)> = None;
    for (i, line) in text.lines().enumerate() {
        let indent = line.len() - line.trim_start().len();
        match &open {
            None if line.contains("fn ")
                && !line.trim_start().starts_with("//")
                && !line.trim_end().ends_with(';') =>
            {
                let name = line.split("fn ").nth(1).unwrap_or("").split(['(', '<']).next().unwrap_or("");
                open = (!line.trim_end().ends_with('}')).then(|| (name.to_string(), i, indent));
            }
            // One of a trait, without a body.
            Some((_, _, at)) if indent == *at && line.trim_end().ends_with(';') => open = None,
            Some((name, start, at)) if indent == *at && line.trim_start().starts_with('}') => {
                found.push((name.clone(), i - start + 1));
                open = None;
            }
            _ => {}
        }
    }
    found
}

#[test]
fn leftovers() {
    // Spelled in two parts, so that this file does not find itself.
    let words =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["dbg", "!"], ["todo", "!"], ["unimplemented", "!"]]
            .map(|parts| parts.concat());
    for path in FOLDERS.into_iter().flat_map(rust_files) {
        for (i, line) in read(&path).lines().enumerate() {
            for word in &words {
                assert!(!line.contains(word.as_str()), "{}:{}: {word}", path.display(), i + 1);
            }
        }
    }
}

/// Words that a reader has to guess at, in the documents: the actor has a name there.
const VAGUE: [&str; 9] = [
    "nobody",
    "somebody",
    "whoever",
    "none any more",
    "is no ",
    "are no ",
    "those who",
    "gave way",
    "given up",
];

#[test]
fn words_of_documents() {
    let top = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(path);
    for path in files("docs").into_iter().chain(top) {
        let mut is_code = false;
        for (i, line) in read(&path).lines().enumerate() {
            is_code ^= line.starts_with("```");
            // A row of a table may quote a message; the protocol's text is the assignment's.
            if is_code || line.starts_with('|') || path.ends_with("docs/PROTOCOL.md") {
                continue;
            }
            let words = line.to_lowercase().replace("there is no ", "").replace("there are no ", "");
            for vague in VAGUE {
                assert!(!words.contains(vague), "{}:{}: {vague}", path.display(), i + 1);
            }
        }
    }
}

/// Folders whose Rust is in plain technical English throughout: comments, strings and names.
const PLAIN_FOLDERS: [&str; 4] = ["src", "fuzz", "benches", "tests"];
/// Files that quote: this one the patterns, the others messages of `src/places`.
const QUOTING: [&str; 4] = ["tidy.rs", "places_import.rs", "places_tls.rs", "places_upstream.rs"];

/// Words that hide the actor or have several meanings. A space in a pattern stands for one space in the text.
const NOT_PLAIN: [&str; 13] = [
    "is no",
    "are no",
    "who",
    "whoever",
    "those",
    "nobody",
    "somebody",
    "none any more",
    "give up",
    "given up",
    "said",
    "told",
    // Three meanings: restored, inherited, retained.
    "kept",
];

#[test]
fn plain_words() {
    let mut found = String::new();
    for path in PLAIN_FOLDERS.into_iter().flat_map(rust_files) {
        if !QUOTING.iter().any(|file| path.ends_with(file)) {
            note_words(&path, |_| true, &mut found);
        }
    }
    // Of scripts and units the comments; manuals, rules and dashboards are for operators throughout.
    for path in ["cross", "systemd", ".ci", "tests/board"].into_iter().flat_map(files) {
        let is_text = path
            .extension()
            .is_some_and(|ending| ["1", "5", "yml", "json"].iter().any(|text| ending == *text));
        note_words(&path, |line| is_text || line.trim_start().starts_with('#'), &mut found);
    }
    assert!(found.is_empty(), "{found}");
}

/// Appends the places of words that are not plain in the lines that are `read`.
fn note_words(path: &Path, is_read: impl Fn(&str) -> bool, found: &mut String) {
    for (i, line) in read(path).lines().enumerate().filter(|(_, line)| is_read(line)) {
        let line = line.to_lowercase();
        for pattern in NOT_PLAIN.iter().filter(|pattern| has_words(&line, pattern)) {
            *found += &format!("{}:{}: {pattern}\n", path.display(), i + 1);
        }
    }
}

/// Whether `line` has `pattern` between word boundaries. An underscore is a part of a word, as in a regular expression.
fn has_words(line: &str, pattern: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(pattern)
        .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + pattern.len()..].starts_with(is_word))
}

#[test]
fn word_boundaries() {
    for line in ["who", "a node, who", "(those)", "there is no way", "is no\u{a0}"] {
        assert!(NOT_PLAIN.iter().any(|pattern| has_words(line, pattern)), "{line}");
    }
    for line in ["whole", "said_hello", "untold", "is not", "this no"] {
        assert!(!NOT_PLAIN.iter().any(|pattern| has_words(line, pattern)), "{line}");
    }
}
