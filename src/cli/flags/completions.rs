//! Completions for bash, zsh and fish, rendered from the table of commands and flags.
//!
//! The program does not contain them. A test renders them and compares them with the files in `cross/package/completions`;
//! `HERD_GOLDEN=write cargo test completions` writes the files.

use std::fmt::Write as _;

use super::entry::{Entry, Flag};
use super::table::COMMANDS;

/// How the word after a flag, or an operand, is completed.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    File,
    Nothing,
}

fn kind(value: &str) -> Kind {
    let is_path = ["FILE", "DIR", "FOLDER"].iter().any(|word| value.contains(word));
    if is_path { Kind::File } else { Kind::Nothing }
}

/// Each command as the words that select it: groups first, then their commands.
fn groups() -> Vec<&'static str> {
    let mut words: Vec<&str> = COMMANDS.iter().map(|entry| entry.words[0]).collect();
    words.dedup();
    words.push("help");
    words
}

fn members(group: &str) -> Vec<&'static Entry> {
    COMMANDS.iter().filter(|entry| entry.words.len() == 2 && entry.words[0] == group).collect()
}

fn spelled(flag: &Flag) -> String {
    format!("--{}", flag.name)
}

fn bash() -> String {
    let mut text = String::from(
        "# bash completion for herd(1)\n_herd() {\n    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} \
         command=\"${COMP_WORDS[*]:1:2}\"\n    COMPREPLY=()\n",
    );
    let paths: Vec<String> =
        flags().filter(|flag| kind(flag.value.unwrap_or("")) == Kind::File).map(spelled).collect();
    let _ = writeln!(
        text,
        "    case $before in\n        {}) compopt -o filenames 2>/dev/null",
        paths.join(" | ")
    );
    text.push_str("            mapfile -t COMPREPLY < <(compgen -f -- \"$word\"); return ;;\n    esac\n");
    let _ = writeln!(
        text,
        "    [ \"$COMP_CWORD\" != 1 ] || {{ mapfile -t COMPREPLY < <(compgen -W '{} --help --version' -- \"$word\"); return; }}",
        groups().join(" ")
    );
    text.push_str("    case $command in\n");
    let mut seen = Vec::new();
    for entry in COMMANDS {
        let group = entry.words[0];
        let words: Vec<String> = entry.flags.iter().map(spelled).chain(["--help".to_owned()]).collect();
        let files = if kind(entry.operands) == Kind::File { " files" } else { "" };
        let _ = writeln!(
            text,
            "        '{}'*) _herd_words '{}'{files} ;;",
            entry.words.join(" "),
            words.join(" ")
        );
        if entry.words.len() == 2 && !seen.contains(&group) {
            seen.push(group);
        }
    }
    for group in seen {
        let names: Vec<&str> = members(group).iter().map(|entry| entry.words[1]).collect();
        let _ = writeln!(text, "        '{group}'*) _herd_words '{} --help' ;;", names.join(" "));
    }
    text.push_str(
        "    esac\n}\n_herd_words() {\n    mapfile -t COMPREPLY < <(compgen -W \"$1\" -- \"$word\")\n    if [ \"${2-}\" = files ]; then\n        \
         compopt -o filenames 2>/dev/null\n        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$word\")\n    fi\n}\n\
         complete -F _herd herd\n",
    );
    text
}

fn flags() -> impl Iterator<Item = &'static Flag> {
    let mut names = std::collections::BTreeSet::new();
    COMMANDS.iter().flat_map(|entry| entry.flags).filter(move |flag| names.insert(flag.name))
}

fn zsh() -> String {
    let quoted = |text: &str| text.replace('\'', "'\\''").replace(['[', ']'], "").replace(':', "\\:");
    let mut text = String::from(
        "#compdef herd\n# zsh completion for herd(1)\n_herd() {\n    local -a commands\n    if (( CURRENT == 2 )); then\n        commands=(\n",
    );
    for group in groups() {
        let short = match (members(group).is_empty(), COMMANDS.iter().find(|entry| entry.words == [group])) {
            (true, Some(entry)) => entry.short,
            (true, None) => "prints help",
            (false, _) => "a group of commands",
        };
        let _ = writeln!(text, "            '{group}:{}'", quoted(short));
    }
    text.push_str("        )\n        _describe command commands\n        return\n    fi\n    case \"$words[2] $words[3]\" in\n");
    for entry in COMMANDS {
        let pattern = if entry.words.len() == 2 {
            format!("'{}'*", entry.words.join(" "))
        } else {
            format!("'{} '*", entry.words[0])
        };
        let _ = write!(text, "        {pattern}) _arguments");
        for flag in entry.flags {
            let value = flag.value.map_or_else(String::new, |value| {
                let action = if kind(value) == Kind::File { "_files" } else { " " };
                format!(":{value}:{action}")
            });
            let _ = write!(text, " \\\n            '--{}[{}]{value}'", flag.name, quoted(flag.short));
        }
        let files = if kind(entry.operands) == Kind::File { " \\\n            '*:FILE:_files'" } else { "" };
        let _ = writeln!(text, " \\\n            '--help[prints help]'{files} ;;");
    }
    for group in groups().into_iter().filter(|group| !members(group).is_empty()) {
        let names: Vec<&str> = members(group).iter().map(|entry| entry.words[1]).collect();
        let _ = writeln!(text, "        '{group} '*) compadd {} ;;", names.join(" "));
    }
    text.push_str("    esac\n}\n_herd \"$@\"\n");
    text
}

fn fish() -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('\'', "\\'");
    let mut text = String::from("# fish completion for herd(1)\ncomplete -c herd -f\n");
    for group in groups() {
        let short = COMMANDS.iter().find(|entry| entry.words == [group]).map_or("", |entry| entry.short);
        let _ = writeln!(text, "complete -c herd -n __fish_use_subcommand -a {group} -d '{}'", quoted(short));
    }
    for entry in COMMANDS {
        let mut condition = format!("__fish_seen_subcommand_from {}", entry.words[0]);
        if let Some(second) = entry.words.get(1) {
            let names: Vec<&str> = members(entry.words[0]).iter().map(|entry| entry.words[1]).collect();
            let _ = writeln!(
                text,
                "complete -c herd -n '{condition}; and not __fish_seen_subcommand_from {}' -a {second} -d '{}'",
                names.join(" "),
                quoted(entry.short)
            );
            let _ = write!(condition, "; and __fish_seen_subcommand_from {second}");
        }
        for flag in entry.flags {
            let value =
                flag.value.map_or("", |value| if kind(value) == Kind::File { " -r -F" } else { " -x" });
            let _ = writeln!(
                text,
                "complete -c herd -n '{condition}' -l {}{value} -d '{}'",
                flag.name,
                quoted(flag.short)
            );
        }
        if kind(entry.operands) == Kind::File {
            let _ = writeln!(text, "complete -c herd -n '{condition}' -F");
        }
    }
    text
}

/// Compares a text with the committed file in `cross/package`, or writes it. `tests` are the words for cargo test.
pub(super) fn assert_golden(file: &str, text: &str, tests: &str) {
    let path = format!("{}/cross/package/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("HERD_GOLDEN").is_some_and(|wish| wish == "write") {
        std::fs::write(&path, text).expect("it can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{file} differs from the table (write it: HERD_GOLDEN=write cargo test {tests})"
    );
}

#[test]
fn the_completions_match_the_table() {
    for (name, text) in [("herd.bash", bash()), ("_herd", zsh()), ("herd.fish", fish())] {
        assert_golden(&format!("completions/{name}"), &text, "completions");
    }
}

#[test]
fn bash_completes_commands_flags_and_members_of_groups() {
    for (words, expected) in [
        ("st", "status"),
        ("serve --con", "--config"),
        ("places ne", "near"),
        ("places import --ou", "--out"),
        ("check --config Cargo.tom", "Cargo.toml"),
        ("check Cargo.tom", "Cargo.toml"),
    ] {
        let script = format!(
            "{}\ncd {}; COMP_WORDS=(herd {words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _herd; echo \"${{COMPREPLY[@]}}\"",
            bash(),
            env!("CARGO_MANIFEST_DIR")
        );
        let output =
            std::process::Command::new("bash").args(["-c", &script]).output().expect("bash can be run");
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), expected, "{words}");
    }
}
