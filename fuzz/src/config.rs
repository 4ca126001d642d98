//! A configuration file of arbitrary bytes: the target reads and checks it, and compares the result with the
//! promises about findings and valid configurations.
//!
//! Input: the file. The folder of the files that it names does not exist. The fuzzer's own program stands for a
//! places file. Checks: each finding is one line of text and has a line number of the file. The check returns a
//! configuration exactly if it finds no error. That configuration satisfies the promises of `Checked`, and a node
//! starts with it. The same bytes give the same findings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use herd::config::{
    Checked, Config, Environment, FINDINGS_MAX, Finding, NAME_BYTES_MAX, NEIGHBOURS_MAX, NODES_MAX, Severity,
};
use herd::proto::limits::AGE_S_MAX;
use herd::proto::node::{Node, Seed, Setup};

use crate::scratch;

/// Relative paths of the configuration start here. The folder does not exist.
const FILE: &str = "/nonexistent/herd.json";

/// See the head of the file.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return not_utf8(data) };
    // An absolute path would depend on the files of this machine.
    if text.contains("\"/") || text.contains("\\") && text.contains("file") {
        return;
    }
    let check = || Config::parse(text, Path::new(FILE)).check_in(&environment());
    let (checked, findings) = check();
    check_findings(text, &findings);
    let is_wrong = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(checked.is_none(), is_wrong, "{findings:?}");
    assert_eq!(check(), (checked.clone(), findings), "the same configuration gives the same findings");
    if let Some(checked) = checked {
        check_nodes(&checked);
        check_edges(&checked);
        check_addresses(&checked);
        check_start(&checked);
    }
}

/// An environment with one file that passes as a places file. The check only looks at the kind of the file.
fn environment() -> Environment {
    Environment { credentials: None, places_files: vec![PathBuf::from("/proc/self/exe")] }
}

fn not_utf8(data: &[u8]) {
    let (checked, findings) = Config::read(scratch::file_of(data)).check_in(&environment());
    let bad = std::str::from_utf8(data).expect_err("the text is not UTF-8").valid_up_to();
    let line = 1 + data[..bad].iter().filter(|byte| **byte == b'\n').count();
    assert!(checked.is_none());
    assert_eq!(findings.iter().map(|finding| finding.line).collect::<Vec<_>>(), [Some(line)]);
    assert!(findings[0].message.contains("UTF-8"));
}

fn check_findings(text: &str, findings: &[Finding]) {
    let lines = 1 + text.matches('\n').count();
    assert!(findings.len() <= FINDINGS_MAX + 1, "the list of findings is bounded");
    for finding in findings {
        let shown = finding.to_string();
        assert!(finding.line.is_none_or(|line| (1..=lines).contains(&line)), "{lines} lines: {shown}");
        assert!(!finding.message.trim().is_empty() && finding.file == FILE, "{shown:?}");
        assert!(!shown.contains(char::is_control), "a finding is printed on one line: {shown:?}");
        // A finding truncates quotations. Only names and paths appear in full.
        assert!(shown.len() <= 4 * 1024, "a finding is short: {} bytes", shown.len());
    }
}

fn check_nodes(checked: &Checked) {
    assert!((1..=NODES_MAX).contains(&checked.nodes.len()));
    assert!(checked.nodes.is_sorted_by(|a, b| a.name < b.name), "names are sorted, and each is there once");
    for (index, node) in checked.nodes.iter().enumerate() {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!((1..=NAME_BYTES_MAX).contains(&node.name.len()) && node.name.bytes().all(is_plain));
        assert!(node.name.as_bytes()[0].is_ascii_alphanumeric(), "{}", node.name);
        assert_eq!(checked.index_of(&node.name), Some(index));
    }
}

fn check_edges(checked: &Checked) {
    let nodes = checked.nodes.len();
    assert!(checked.edges.is_sorted_by(|a, b| a < b), "edges are sorted, and each is there once");
    assert!(checked.edges.iter().all(|&(a, b)| a < b && b < nodes));
    let mut reached = BTreeSet::from([0]);
    let mut waiting = vec![0];
    while let Some(node) = waiting.pop() {
        let neighbours = checked.neighbours(node);
        assert!(neighbours.len() <= NEIGHBOURS_MAX);
        waiting.extend(neighbours.into_iter().filter(|&neighbour| reached.insert(neighbour)));
    }
    assert_eq!(reached.len(), nodes, "there is a path between any two nodes");
}

fn check_addresses(checked: &Checked) {
    let all = || checked.nodes.iter().flat_map(|node| [node.clients, node.listen]);
    let is_loopback = all().all(|address| address.ip().to_canonical().is_loopback())
        && checked.nodes.iter().all(|node| node.links.is_loopback());
    assert!(checked.keys.is_some() || is_loopback, "without keys the herd is on loopback");
    assert!(all().all(|address| address.port() != 0));
    assert!(checked.nodes.iter().all(|node| node.links.port() != 0));
    // Loopback addresses are on one machine for certain.
    let local: Vec<_> = all().filter(|address| address.ip().to_canonical().is_loopback()).collect();
    let distinct: BTreeSet<_> =
        local.iter().map(|address| (address.ip().to_canonical(), address.port())).collect();
    assert_eq!(distinct.len(), local.len(), "no two listeners want the same port");
    for &(_, dialled) in &checked.edges {
        assert!(!checked.nodes[dialled].links.is_wildcard(), "a dialled address is specified");
    }
}

/// The core accepts a checked configuration. The test uses the node with the most neighbours.
fn check_start(checked: &Checked) {
    let names: Vec<&str> = checked.nodes.iter().map(|node| node.name.as_str()).collect();
    let me = (0..names.len()).max_by_key(|&node| checked.neighbours(node).len()).expect("one at least");
    let mut node: Box<Node<16>> = Box::new(Node::new());
    let setup = Setup {
        names: &names,
        me,
        neighbours: &checked.neighbours(me),
        keys: None,
        secrecy: None,
        capacity: 8,
        age_s_max: AGE_S_MAX,
        seed: Seed { hash_key: (1, 2), jitter: 3, boot: 4 },
    };
    assert_eq!(node.start(&setup), Ok(()));
    assert_eq!(node.links().count(), setup.neighbours.len());
}
