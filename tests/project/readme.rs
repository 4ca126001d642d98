//! README and docs are compared with the code: exchanges with a node's, tables of limits, failures and figures with the
//! program's own, commands with the command line, links with the files that they name.

use std::process::Command;

use herd::places::{Failure, Phase, UPSTREAM_BODY_BYTES_MAX};
use herd::proto::herd_tests::started;
use herd::proto::limits::{ANSWER_BYTES_MAX, CLIENT_LINE_BYTES_MAX};
use herd::proto::node::Answer;
use herd::proto::out::Out;
use herd::proto::quota::QuotaKey;
use herd::proto::time::{Mono, Now, Timestamp};
use herd::server::footprint::LIMITS;
use herd_test_support::{Folder, json, printed};

use crate::{files, path, read};

/// The README is read in five minutes.
const README_LINES_MAX: usize = 300;

fn readme() -> String {
    read("README.md")
}

#[test]
fn length_and_links() {
    let lines = readme().lines().count();
    assert!(lines <= README_LINES_MAX, "README.md has {lines} lines");
    for document in files("docs").into_iter().chain(["README.md", "CHANGELOG.md"].map(path)) {
        let (text, name) = (read(&document), document.display());
        let folder = document.parent().expect("a file is in a folder");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            let (target, anchor) = link.0.split_once('#').unwrap_or((link.0, ""));
            if target.starts_with("http") {
                continue;
            }
            let file = if target.is_empty() { document.clone() } else { folder.join(target) };
            assert!(file.exists(), "{name}: {target} does not exist");
            if !anchor.is_empty() {
                let heading =
                    |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
                let found = read(&file).lines().any(|line| line.starts_with('#') && heading(line) == anchor);
                assert!(found, "{name}: {target}#{anchor} does not exist");
            }
        }
    }
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
fn exchanges() {
    let mut node = started(&["Hill"], 0, &[], 32, None, 4);
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
            let answer = match node.client_line(&now, QuotaKey::EXEMPT, request.as_bytes(), &mut out) {
                Answer::Done | Answer::Close => String::from_utf8_lossy(out.written()).into_owned(),
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
fn table_of_limits() {
    let text = read("docs/OPERATIONS.md");
    for (what, limit, when_full) in LIMITS {
        let row = format!("| {what} | {limit} |");
        let line = text
            .lines()
            .find(|line| line.starts_with(&row))
            .unwrap_or_else(|| panic!("OPERATIONS lacks: {row}"));
        assert!(line.contains(when_full), "{line}\n does not say: {when_full}");
    }
}

/// A failure of each kind, with and without an upstream's own words.
fn failures() -> Vec<Failure> {
    let mut all = vec![
        Failure::NoKey,
        Failure::Unreachable("how".to_owned()),
        Failure::ClockWrong,
        Failure::Tls("the certificate has expired, or this board's clock is ahead".to_owned()),
        Failure::Tls("how".to_owned()),
        Failure::NoTls,
        Failure::BadJson("why".to_owned()),
        Failure::TooLarge(UPSTREAM_BODY_BYTES_MAX),
        Failure::Status(503),
        Failure::Redirect(302),
        Failure::KeyEchoed,
        Failure::OverRate(600),
        Failure::Setting("the CA file x cannot be used: why".to_owned()),
        Failure::Paused("the quota is used up".to_owned(), 30),
    ];
    let phases = [Phase::Queue, Phase::Resolve, Phase::Connect, Phase::Head, Phase::Body];
    all.extend(phases.map(Failure::TimedOut));
    for words in ["", "its words"] {
        let own = || words.to_owned();
        all.extend([
            Failure::KeyRefused(own()),
            Failure::Quota(own()),
            Failure::Refused(own()),
            Failure::Upstream(own()),
        ]);
    }
    all
}

#[test]
fn failures_of_upstream() {
    let text = read("docs/PLACES.md");
    let rows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .filter(|row: &Vec<&str>| row.len() == 4)
        .collect();
    let mut taken: Vec<(usize, std::mem::Discriminant<Failure>)> = Vec::new();
    for failure in failures() {
        let words = failure.to_string();
        // A row for what is left over stands below the rows for special cases.
        let found = (0..rows.len()).find(|&row| fits(rows[row][2], &words));
        let found = found.unwrap_or_else(|| panic!("no row has {words:?}"));
        let status = rows[found][1];
        let its_own = matches!(failure, Failure::Paused(..) | Failure::Upstream(_));
        assert!(its_own || status == format!("`{}`", failure.status()), "{words}: {status}");
        let kind = std::mem::discriminant(&failure);
        assert!(taken.iter().all(|(row, other)| *row != found || *other == kind), "{words}: as another");
        taken.push((found, kind));
    }
}

/// The cells of a row of a table.
fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn table_of_footprint() {
    let stored = json(&read("benches/footprint/x86_64.json"));
    let (readme, text) = (readme(), read("docs/BENCHMARKS.md"));
    let rows = |text: &str, head: &str| -> Vec<Vec<String>> {
        let table = text.lines().skip_while(|line| !line.starts_with(head)).skip(2);
        let table = table.take_while(|line| line.starts_with('|'));
        table.map(|line| cells(line).into_iter().map(str::to_owned).collect()).collect()
    };
    let all = rows(&text, "| what | unit | smol | tokio |");
    let short = rows(&readme, "| what | this node | tokio | ratio |");
    assert_eq!(short.len(), 8, "eight rows in README");
    for row in stored["rows"].as_array().expect("rows") {
        let what = row["what"].as_str().expect("a name");
        let cells =
            all.iter().find(|cells| cells[0] == what).unwrap_or_else(|| panic!("BENCHMARKS lacks {what}"));
        let ratio = row["ratio"].as_f64().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        assert_eq!(cells[4], ratio, "{what}");
        if let Some(cells) = short.iter().find(|cells| cells[0].split(", in ").next() == Some(what)) {
            assert_eq!(cells[3], ratio, "README: {what}");
        }
    }
}

#[test]
fn commands() {
    let mut commands = 0;
    for block in blocks(&readme(), "sh") {
        for line in block.lines().filter(|line| line.starts_with("herd ")) {
            let word = line.split_whitespace().nth(1).expect("a command");
            printed(Command::new(env!("CARGO_BIN_EXE_herd")).args([word, "--help"]));
            commands += 1;
        }
    }
    assert!(commands >= 4, "{commands} commands");
}

#[test]
fn map_of_five_pis() {
    let maps = blocks(&read("docs/PI-QUICKSTART.md"), "json");
    let [map] = &maps[..] else { panic!("{} maps", maps.len()) };
    let folder = Folder::new();
    folder.write_private("key", "0123456789abcdef".repeat(4));
    let mut check = Command::new(env!("CARGO_BIN_EXE_herd"));
    printed(check.args(["check", "--config"]).arg(folder.write("herd.json", map)));
}
