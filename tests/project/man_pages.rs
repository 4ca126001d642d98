//! herd.json(5) says what the program says: its example is a configuration, and no member is missing in it.

use std::path::Path;

use herd::config::Config;

const PAGE: &str = include_str!("../../cross/package/herd.json.5");

#[test]
fn example_of_page() {
    let (_, rest) = PAGE.split_once("\n.nf\n").expect("the page has an example");
    let (example, _) = rest.split_once("\n.fi\n").expect("the example ends");
    let findings = Config::parse(example, Path::new("herd.json")).text_findings();
    assert!(findings.is_empty(), "{findings:?}");
}

#[test]
fn all_members() {
    let plain = PAGE.replace("\\-", "-");
    for (text, path) in [
        ("{ \"x\": 1 }", "x"),
        ("{ \"nodes\": { \"A\": { \"x\": 1 } } }", "nodes.A.x"),
        ("{ \"places\": { \"x\": 1 } }", "places.x"),
        ("{ \"tls\": { \"x\": 1 } }", "tls.x"),
    ] {
        let findings = Config::parse(text, Path::new("herd.json")).text_findings();
        let unknown =
            findings.iter().find(|finding| finding.to_string().contains(&format!("{path}: unknown member")));
        let finding = unknown.expect("it is unknown").to_string();
        let known =
            finding.split_once("known members: ").expect("the remedy lists them").1.trim_end_matches(')');
        for member in known.split(", ") {
            let is_told = plain
                .split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-'))
                .any(|word| word == member);
            assert!(is_told, "{member} is not in herd.json(5)");
        }
    }
}

#[test]
fn example_beside_unit() {
    let text = include_str!("../../systemd/herd.json");
    assert!(Config::parse(text, Path::new("herd.json")).text_findings().is_empty());
}
