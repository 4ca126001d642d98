//! Host names in `links`, and `listen`: tables of configurations and their findings.

use std::path::Path;

use super::tests::{found_in, with};
use super::*;

#[test]
fn links_may_be_a_host_name_and_listen_an_address() {
    let named = |links: &str, more: &str| {
        with(",\n\"key_file\": \"absent\"")
            .replace("\"127.0.0.1:4\"", &format!("\"{links}\"{more}"))
            .replace("127.0.0.1", "10.0.0.1")
    };
    let port = "(give one of them another port)";
    for (text, expected) in [
        (named("b.local:4", ""), vec![]),
        (named("b.local:4", ", \"listen\": \"0.0.0.0:9\""), vec![]),
        (
            named("b.local:0", ""),
            vec!["m:3: nodes.B.links: \"b.local:0\" has no port (use a port from 1 to 65535)".to_owned()],
        ),
        (
            named("b.local:4", ", \"listen\": \"b.local:9\""),
            vec![
                "m:3: nodes.B.listen: \"b.local:9\" is not an address with a port (use an address such as \
                 192.168.1.5:8001 or 0.0.0.0:8001; only \"links\" takes a host name)"
                    .to_owned(),
            ],
        ),
        // A listener is compared where it listens, not where it is dialled.
        (
            named("b.local:4", ", \"listen\": \"10.0.0.1:3\""),
            vec![format!(
                "m:3: nodes.B.listen: 10.0.0.1:3 is already used by nodes.B.clients on line 3 {port}"
            )],
        ),
        (
            named("10.0.0.1:2", ", \"listen\": \"0.0.0.0:9\""),
            vec![format!("m:3: nodes.B.links: 10.0.0.1:2 is already used by nodes.A.links {port}")],
        ),
        (
            named("0.0.0.0:4", ", \"listen\": \"0.0.0.0:4\""),
            vec![
                "m:3: nodes.B.links: A dials 0.0.0.0:4, which is a wildcard (use the board's own address)"
                    .to_owned(),
            ],
        ),
    ] {
        let mut found = found_in(&text);
        // The key is not there.
        found.retain(|finding| !finding.contains("key_file"));
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn a_herd_without_a_key_has_no_name_but_localhost() {
    for (links, listen, beyond) in [
        ("localhost:4", None, None),
        ("LOCALHOST:4", None, None),
        ("hill.local:4", None, Some("links: hill.local:4")),
        ("localhost:4", Some("0.0.0.0:4"), Some("listen: 0.0.0.0:4")),
    ] {
        let listen = listen.map(|listen| format!(", \"listen\": \"{listen}\"")).unwrap_or_default();
        let text = with("").replace("\"127.0.0.1:4\"", &format!("\"{links}\"{listen}"));
        let found = found_in(&text);
        let expected = beyond.map(|beyond| {
            format!("m:3: nodes.B.{beyond} is not loopback, but the configuration has no key_file (")
        });
        assert_eq!(found.len(), usize::from(expected.is_some()), "{text}: {found:?}");
        assert!(expected.is_none_or(|expected| found[0].starts_with(&expected)), "{found:?}");
    }
    let text = with("").replace("127.0.0.1:4", "localhost:4");
    let checked =
        Config::parse(&text, Path::new("m")).check_in(&Environment::default()).0.expect("no errors");
    assert!(checked.settings.is_loopback);
    assert_eq!(checked.nodes[1].links.to_string(), "localhost:4");
    assert_eq!(checked.nodes[1].listen.to_string(), "127.0.0.1:4");
    assert_eq!(checked.nodes[0].listen.to_string(), "127.0.0.1:2");
}

#[test]
fn a_board_is_checked_for_its_names() {
    let text = with("").replace("127.0.0.1:4", "nothing.invalid:4").replace("127.0.0.1:2", "localhost:2");
    let config = Config::parse(&text, Path::new("m"));
    let expected = "m:3: warning: nodes.B.links: this machine cannot look up nothing.invalid (see: getent hosts nothing.invalid; \
                    static programs know DNS and /etc/hosts, not .local)";
    for node in ["A", "B"] {
        let found: Vec<String> = config.board_findings(Some(node)).iter().map(ToString::to_string).collect();
        assert_eq!(found, [expected], "{node}");
    }
    assert!(config.board_findings(None).is_empty());
}
