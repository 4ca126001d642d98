//! The README is kept true by running it: its exchanges are played to a node, its table of limits is
//! compared with the program's own, its shell commands with the command line.

use std::process::Command;

use herd::proto::limits::{AGE_S_MAX, ANSWER_BYTES_MAX, CLIENT_LINE_BYTES_MAX};
use herd::proto::node::{Answer, Node, Seed, Setup};
use herd::proto::out::Out;
use herd::proto::time::{Mono, Now, Timestamp};
use herd::shell::footprint::LIMITS;

fn readme() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    std::fs::read_to_string(path).expect("the README is there")
}

/// The bodies of the fenced blocks whose opening line is "```" and `label`.
fn blocks(text: &str, label: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == format!("```{label}") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            found.push(body.join("\n"));
        } else if line.starts_with("```") {
            // Another block: its closing line must not be taken for an opening one.
            lines.by_ref().take_while(|line| *line != "```").for_each(drop);
        }
    }
    found
}

/// Whether `answer` is `pattern`, where `…` in the pattern stands for anything.
fn fits(pattern: &str, answer: &str) -> bool {
    let mut parts = pattern.split('…');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = answer.strip_prefix(first) else { return false };
    for part in parts {
        match rest.find(part) {
            Some(at) if !part.is_empty() => rest = &rest[at + part.len()..],
            Some(_) => rest = "",
            None => return false,
        }
    }
    rest.is_empty()
}

#[test]
fn every_exchange_of_the_readme_is_what_a_node_answers() {
    let mut node = Box::new(Node::<64>::new());
    let setup = Setup {
        names: &["Hill"],
        me: 0,
        neighbours: &[],
        keys: None,
        capacity: 32,
        age_s_max: AGE_S_MAX,
        seed: Seed { hash_key: (1, 2), jitter: 3, boot: 4 },
    };
    node.start(&setup).expect("the setup is right");
    let now = Now { mono: Mono(0), wall: Timestamp(1_621_464_828_223_371_889), wall_is_trusted: true };
    let mut exchanges = 0;
    for block in blocks(&readme(), "exchange") {
        let mut lines = block.lines().peekable();
        while let Some(line) = lines.next() {
            let request = line.strip_prefix("> ").unwrap_or_else(|| panic!("no request: {line}"));
            let request = request.split_once("   #").map_or(request, |(request, _)| request.trim_end());
            let request = request.replace("\\r", "\r");
            let mut bytes = [0; ANSWER_BYTES_MAX + CLIENT_LINE_BYTES_MAX];
            let mut out = Out::new(&mut bytes);
            let answer = match node.client_line(&now, request.as_bytes(), &mut out) {
                Answer::Done => String::from_utf8_lossy(out.written()).into_owned(),
                Answer::Places(query) => format!("{}\n", String::from_utf8_lossy(&query.at_line)),
            };
            let pattern = lines.next().and_then(|line| line.strip_prefix("< ")).expect("an answer");
            let pattern = format!("{}\n", pattern.replace("\\r", "\r"));
            assert!(
                fits(&pattern, &answer),
                "{request:?}\n is answered {answer:?}\n not         {pattern:?}"
            );
            // What follows the first line of a WHATSAT's answer comes from places: shown, not played.
            while lines.peek().is_some_and(|line| !line.starts_with("> ")) {
                lines.next();
            }
            exchanges += 1;
        }
    }
    assert!(exchanges >= 6, "{exchanges} exchanges");
}

#[test]
fn the_table_of_limits_is_the_programs_own() {
    let text = readme();
    for limit in LIMITS {
        let row = format!("| {} | {} |", limit.what, limit.limit);
        let line =
            text.lines().find(|line| line.starts_with(&row)).unwrap_or_else(|| panic!("README lacks: {row}"));
        assert!(line.contains(limit.when_full), "{line}\n does not say: {}", limit.when_full);
    }
}

#[test]
fn every_command_of_the_readme_exists() {
    let mut commands = 0;
    for block in blocks(&readme(), "sh") {
        for line in block.lines().filter(|line| line.starts_with("herd ")) {
            let word = line.split_whitespace().nth(1).expect("a command");
            let output =
                Command::new(env!("CARGO_BIN_EXE_herd")).args([word, "--help"]).output().expect("herd runs");
            assert!(output.status.success(), "{line}");
            commands += 1;
        }
    }
    assert!(commands >= 4, "{commands} commands");
}
