//! One row per mistake: the configuration and its exact findings.

use std::fmt::Write as _;
use std::path::Path;

use super::testing::{Node, errors_of};
use super::*;
use crate::files::testing::TestDir;

const A: &str = r#""A": { "clients": "127.0.0.1:1", "links": "127.0.0.1:2" }"#;
const B: &str = r#""B": { "clients": "127.0.0.1:3", "links": "127.0.0.1:4" }"#;

/// The findings of a configuration called `m`, except the warning about the missing places file.
pub(super) fn found_in(text: &str) -> Vec<String> {
    let (checked, findings) = Config::parse(text, Path::new("m")).check_in(&Environment::default());
    let has_errors = findings.iter().any(|finding| finding.severity == Severity::Error);
    assert_eq!(checked.is_none(), has_errors, "{text}");
    let lines = findings.iter().map(ToString::to_string);
    lines.filter(|line| !line.contains("no places file found")).collect()
}

/// A configuration of A and B and an edge, followed by more members.
pub(super) fn with(more: &str) -> String {
    format!("{{ \"nodes\": {{\n{A},\n{B} }},\n\"edges\": [[\"A\", \"B\"]]{more} }}")
}

#[test]
fn mistakes_of_shape_are_reported_with_their_line() {
    for (text, expected) in [
        (with(""), vec![]),
        (String::new(), vec!["m:1: not valid JSON: EOF while parsing a value"]),
        (
            "{ \"nodes\": {},\n }".to_owned(),
            vec!["m:2: not valid JSON: key must be a string (remove a comma before it)"],
        ),
        ("[]".to_owned(), vec!["m:1: found an array, expected an object"]),
        (
            "{}".to_owned(),
            vec![
                "m: nodes: the member is missing (add it: \"nodes\": { ... })",
                "m: edges: the member is missing (add it: \"edges\": [[\"Hill\", \"Smith\"], ...], the pairs of neighbours)",
            ],
        ),
        ("{ \"nodes\": {} }".to_owned(), vec!["m:1: nodes: the herd has no nodes (add at least one)"]),
        (
            "{ \"nodes\": 7, \"edges\": {} }".to_owned(),
            vec![
                "m:1: nodes: found a number, expected an object",
                "m:1: edges: found an object, expected an array",
            ],
        ),
        (with(",\n\"edge\": []"), vec!["m:5: edge: unknown member (did you mean \"edges\"?)"]),
        (
            with(",\n\"colour\": 1"),
            vec![
                "m:5: colour: unknown member (known members: nodes, edges, key_file, places, clock, clients_per_address, gateways, snapshot_s, clients_max, lifetime_s, friends, phone_tokens, tls, secret_links)",
            ],
        ),
        (with(",\n\"edges\": []"), vec!["m:5: edges: appears twice, first on line 4 (remove one of them)"]),
        (
            format!("{{ \"nodes\": {{\n{A},\n{A} }} }}"),
            vec!["m:3: nodes.A: appears twice, first on line 2 (remove one of them)"],
        ),
        (
            "{ \"nodes\": { \"A\": { \"client\": \"127.0.0.1:1\" } } }".to_owned(),
            vec![
                "m:1: nodes.A.client: unknown member (did you mean \"clients\"?)",
                "m:1: nodes.A: the member \"clients\" is missing (add \"clients\": \"ADDRESS:PORT\")",
                "m:1: nodes.A: the member \"links\" is missing (add \"links\": \"ADDRESS:PORT\")",
            ],
        ),
    ] {
        assert_eq!(found_in(&text), expected, "{text}");
    }
}

#[test]
fn what_is_saved_by_mistake_is_named() {
    for (text, expected) in [
        (
            "\u{feff}{ }".to_owned(),
            vec!["m:1: the file begins with a byte order mark (BOM) (save it as UTF-8 without BOM)"],
        ),
        (
            "# the herd\n---\nnodes:\n".to_owned(),
            vec!["m:1: this looks like YAML; the configuration is JSON (begin it with: { \"nodes\": {)"],
        ),
        (
            "{ \"nodes\": {\n\"A//\": 5, // the first\n } }".to_owned(),
            vec!["m:2: not valid JSON: JSON has no comments (remove the comment)"],
        ),
        (
            "{ \"nodes\": {\n\"A\": { \"clients\": \"[fe80::1]:1\", \"links\": \"224.0.0.1:1\" } } }"
                .to_owned(),
            vec![
                "m:2: nodes.A.clients: \"[fe80::1]:1\" is link-local and has no scope (add the number of the interface, \
                 such as [fe80::1%2]:8001 (see: ip link), or use another address)",
                "m:2: nodes.A.links: \"224.0.0.1:1\" is a multicast address (use the board's own address)",
            ],
        ),
    ] {
        assert_eq!(found_in(&text), expected, "{text}");
    }
}

#[test]
fn mistakes_of_a_node_or_an_edge_are_reported() {
    let address =
        "(use an address such as 192.168.1.5:8001 or 0.0.0.0:8001; only \"links\" takes a host name)";
    let addresses =
        "(use an address such as 192.168.1.5:9001 or [fd00::5]:9001, or a host name such as hill.local:9001)";
    let tokens = "(use 1 to 32 letters, digits, '.', '_' and '-'; begin with a letter or a digit)";
    for (text, expected) in [
        ("{ \"nodes\": { \"A\": null } }".to_owned(), vec!["m:1: nodes.A: found null, expected an object"]),
        (
            "{ \"nodes\": { \"A\": {\n\"clients\": \"hill.local:1\",\n\"links\": 5 } } }".to_owned(),
            vec![
                &*format!("m:2: nodes.A.clients: \"hill.local:1\" is not an address with a port {address}"),
                "m:3: nodes.A.links: found a number, expected a string \"ADDRESS:PORT\"",
            ],
        ),
        (
            "{ \"nodes\": { \"A\": {\n\"clients\": \"127.0.0.1:0\",\n\"links\": \"127.0.0.1\" } } }"
                .to_owned(),
            vec![
                "m:2: nodes.A.clients: \"127.0.0.1:0\" has no port (use a port from 1 to 65535)",
                &*format!("m:3: nodes.A.links: \"127.0.0.1\" is not an address with a port {addresses}"),
            ],
        ),
        (
            format!("{{ \"nodes\": {{ {} }} }}", A.replace("\"A\"", "\"a b\"")),
            vec![&*format!("m:1: nodes.\"a b\": \"a b\" is not a valid node name {tokens}")],
        ),
        (
            with("").replace("[\"A\", \"B\"]", "[\"A\"], [\"A\", 2], \"A-B\""),
            vec![
                "m:4: edges[0]: an edge is an array of two names (write it as [\"Hill\", \"Smith\"])",
                "m:4: edges[1]: an edge is an array of two names (write it as [\"Hill\", \"Smith\"])",
                "m:4: edges[2]: an edge is an array of two names (write it as [\"Hill\", \"Smith\"])",
            ],
        ),
    ] {
        assert_eq!(found_in(&text), expected, "{text}");
    }
}

#[test]
fn mistakes_of_other_members_are_reported() {
    for (text, expected) in [
        (with(", \"key_file\": \"\""), vec!["m:4: key_file: \"\" is not a path (name a file)"]),
        (with(", \"key_file\": 5"), vec!["m:4: key_file: found a number, expected a path in a string"]),
        (
            with(", \"clock\": \"trused\""),
            vec!["m:4: clock: unknown value \"trused\" (did you mean \"trusted\"?)"],
        ),
        (
            with(", \"clients_per_address\": 0"),
            vec!["m:4: clients_per_address: \"0\" is out of range (use whole clients, 1 to 32768)"],
        ),
        (with(", \"gateways\": {}"), vec!["m:4: gateways: found an object, expected an array of addresses"]),
        (
            with(", \"gateways\": [\"192.168.1.1\", \"192.168.1.1:80\", 7]"),
            vec![
                "m:4: gateways[1]: \"192.168.1.1:80\" is not an address (use an address such as 192.168.1.1 or fd00::1, without a port)",
                "m:4: gateways[2]: found a number, expected a string \"ADDRESS\"",
            ],
        ),
        (
            with(", \"snapshot_s\": 59"),
            vec!["m:4: snapshot_s: \"59\" is out of range (use whole seconds, 60 to 86400)"],
        ),
        (
            with(", \"snapshot_s\": 86401"),
            vec!["m:4: snapshot_s: \"86401\" is out of range (use whole seconds, 60 to 86400)"],
        ),
        (
            with(", \"snapshot_s\": true"),
            vec!["m:4: snapshot_s: found true or false, expected a number without quotes"],
        ),
        (
            with(", \"snapshot_s\": \"60\""),
            vec!["m:4: snapshot_s: found a string, expected a number without quotes"],
        ),
        (with(", \"clock\": true"), vec!["m:4: clock: found true or false, expected a string"]),
    ] {
        assert_eq!(found_in(&text), expected, "{text}");
    }
}

#[test]
fn a_limit_is_at_most_that_of_the_build() {
    let clients = "(use whole clients up to the size of this build, 16 to 4096)";
    let seconds = "(use whole seconds, 60 to 86400)";
    for (member, value, remedy) in [
        ("clients_max", "4097", clients),
        ("clients_max", "15", clients),
        ("lifetime_s", "86401", seconds),
        ("lifetime_s", "59.5", seconds),
    ] {
        let expected = format!("m:4: {member}: \"{value}\" is out of range {remedy}");
        assert_eq!(found_in(&with(&format!(", \"{member}\": {value}"))), [expected]);
    }
    for (text, clients_max, lifetime_s, clients_per_address) in [
        ("", 4096, 86_400, 204),
        (", \"clients_max\": 1000, \"lifetime_s\": 60", 1000, 60, 50),
        (", \"clients_max\": 16, \"clients_per_address\": 9", 16, 86_400, 9),
    ] {
        let config = Config::parse(&with(text), Path::new("m"));
        let checked = config.check_in(&Environment::default()).0.expect("it is right");
        let limits =
            (checked.settings.clients_max, checked.settings.lifetime_s, checked.settings.clients_per_address);
        assert_eq!(limits, (clients_max, lifetime_s, clients_per_address), "{text}");
    }
}

/// The errors and warnings of a herd of these nodes, each with addresses of its own on loopback.
fn herd(names: &[&str], edges: &[(&str, &str)]) -> Vec<String> {
    let addresses: Vec<_> =
        (0..names.len()).map(|i| [10_000 + i, 20_000 + i].map(|port| format!("127.0.0.1:{port}"))).collect();
    let nodes: Vec<_> =
        names.iter().zip(&addresses).map(|(name, [clients, links])| Node { name, clients, links }).collect();
    found_in(&testing::config_text(&nodes, edges))
}

#[test]
fn mistakes_of_the_edges_are_reported() {
    for (names, edges, expected) in [
        (vec!["A"], vec![], vec![]),
        (vec!["A", "B"], vec![("A", "B")], vec![]),
        (
            vec!["Hill", "Smith"],
            vec![("Hill", "Smith"), ("Hil", "Smith")],
            vec!["m:4: edges[1]: unknown node \"Hil\" (did you mean \"Hill\"?)"],
        ),
        (vec!["Hill"], vec![("X", "X")], vec!["m:3: edges[0]: unknown node \"X\" (add it to \"nodes\")"]),
        (
            vec!["A", "B"],
            vec![("A", "B"), ("A", "A")],
            vec!["m:4: edges[1]: an edge from A to itself (remove it)"],
        ),
        (
            vec!["A", "B"],
            vec![("A", "B"), ("B", "A"), ("A", "B")],
            vec![
                "m:4: edges[1]: B-A appears twice, first as edges[0] on line 4 (remove one of them)",
                "m:4: edges[2]: A-B appears twice, first as edges[0] on line 4 (remove one of them)",
            ],
        ),
        (
            vec!["A", "B"],
            vec![],
            vec![
                "m: edges: the herd has 2 partitions: no path between A and B (add edges, such as [\"A\", \"B\"])",
            ],
        ),
        (
            vec!["A", "B", "C", "D", "E"],
            vec![("A", "B"), ("D", "E")],
            vec![
                "m: edges: the herd has 3 partitions: no path between A, D and C (add edges, such as [\"A\", \"D\"])",
            ],
        ),
        (
            vec!["A", "B", "C"],
            vec![("A", "B"), ("B", "C")],
            vec!["m:3: warning: nodes.B: if this node fails, it cuts off C (add an edge that bypasses it)"],
        ),
        (vec!["A", "B", "C", "D"], vec![("A", "B"), ("B", "C"), ("C", "D"), ("A", "D")], vec![]),
    ] {
        assert_eq!(herd(&names, &edges), expected, "{names:?} {edges:?}");
    }
}

#[test]
fn a_node_of_too_many_neighbours_is_an_error() {
    let names: Vec<String> = (0..=NEIGHBOURS_MAX + 1).map(|i| format!("n{i:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let edges: Vec<_> = names[1..].iter().map(|name| (names[0], *name)).collect();
    assert_eq!(
        herd(&names, &edges),
        [
            "m:2: nodes.n00: 17 neighbours; the maximum is 16 (connect some of these neighbours to each other instead)",
            "m:2: warning: nodes.n00: if this node fails, it cuts off n02, n03, n04, n05, n06 and 11 more (add an edge that bypasses it)",
        ]
    );
}

#[test]
fn a_herd_beyond_the_limits_is_refused() {
    let mut text = "{ \"nodes\": {".to_owned();
    for i in 0..=NODES_MAX {
        let comma = if i == 0 { "" } else { "," };
        write!(
            text,
            "{comma}\n\"n{i}\": {{ \"clients\": \"127.0.1.1:{}\", \"links\": \"127.0.0.1:{}\" }}",
            i + 1,
            i + 1
        )
        .expect("a String");
    }
    text.push_str("}, \"edges\": [ [\"n0\", \"n1024\"] ] }");
    assert_eq!(found_in(&text), ["m:1026: nodes: more than 1024 nodes (split the herd in two)"]);

    let edges = "[\"A\",\"B\"],".repeat(EDGES_MAX);
    let (_, findings) =
        Config::parse(&with("").replace("[\"A\", \"B\"]", &format!("{edges}[0]")), Path::new("m")).check();
    assert_eq!(findings.len(), FINDINGS_MAX + 1);

    let dir = TestDir::new();
    let long = dir.write("long.json", " ".repeat(CONFIG_BYTES_MAX + 1), 0o644);
    let (_, findings) = Config::read(&long).check();
    assert_eq!(findings[0].message, "the file is longer than 1048576 bytes");
}

#[test]
fn an_unreadable_file_is_reported() {
    let dir = TestDir::new();
    // A read of a named pipe would wait for ever.
    let made =
        std::process::Command::new("mkfifo").arg(dir.path("pipe")).status().expect("mkfifo can be run");
    assert!(made.success());
    for (path, message) in [
        (dir.path("pipe"), "not a regular file"),
        (dir.path("/dev/null"), "not a regular file"),
        (dir.path("none.json"), "No such file or directory (os error 2)"),
        (dir.path("."), "not a regular file"),
    ] {
        let (checked, findings) = Config::read(&path).check();
        assert!(checked.is_none());
        let remedy = "(name a readable file; without --config, herd uses the built-in configuration)";
        assert_eq!(findings[0].to_string(), format!("{}: {message} {remedy}", path.display()));
    }
    let path = dir.path("latin.json");
    std::fs::write(&path, b"{\n\"nodes\": \"\xe9\" }").expect("the folder can be written");
    let (_, findings) = Config::read(&path).check();
    assert_eq!(findings[0].to_string(), format!("{}:2: the text is not UTF-8", path.display()));
}

#[test]
fn a_herd_beyond_loopback_needs_a_key() {
    let nodes = [
        Node { name: "A", clients: "127.0.0.1:1", links: "[::1]:2" },
        Node { name: "B", clients: "0.0.0.0:1", links: "10.0.0.2:2" },
    ];
    let how = keys::HOW_TO_MAKE_A_KEY;
    assert_eq!(
        errors_of(&nodes, &[("A", "B")]),
        [format!(
            "m:3: nodes.B.clients: 0.0.0.0:1 is not loopback, but the configuration has no key_file ({how})"
        )]
    );
}

#[test]
fn links_that_cannot_be_dialled_are_found() {
    let key = "0123456789abcdef".repeat(4);
    let dir = TestDir::new();
    dir.write("key", &key, 0o600);
    let config = |a: &str, b: &str| {
        let nodes = [
            Node { name: "A", clients: "127.0.0.1:1", links: a },
            Node { name: "B", clients: "127.0.0.1:3", links: b },
        ];
        let text = testing::config_text(&nodes, &[("A", "B")]);
        let text = text.replace("] }", "], \"key_file\": \"key\" }");
        let (_, findings) = Config::parse(&text, &dir.path("m")).check_in(&Environment::default());
        findings
            .iter()
            .filter(|f| f.member != "places")
            .map(|f| (f.line, f.message.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(config("10.0.0.1:2", "10.0.0.2:2"), []);
    // A dials B and is not dialled itself.
    assert_eq!(config("0.0.0.0:2", "10.0.0.2:2"), []);
    let message = "A dials [::]:2, which is a wildcard".to_owned();
    assert_eq!(config("10.0.0.1:2", "[::]:2"), [(Some(3), message)]);
    let message = "A dials 127.0.0.1:2, which is loopback, but the links address of A is not".to_owned();
    assert_eq!(config("10.0.0.1:2", "127.0.0.1:2"), [(Some(3), message)]);
}

#[test]
fn the_key_file_is_read_and_judged() {
    let dir = TestDir::new();
    let key = "0123456789abcdef".repeat(4);
    dir.write("good", format!("{key}\n"), 0o600);
    dir.write("open", &key, 0o640);
    dir.write("short", "0123\n", 0o600);
    dir.write("long", "0".repeat(5000), 0o600);
    for (file, expected) in [
        ("none", "/none: No such file or directory (os error 2)".to_owned()),
        (
            "open",
            format!("/open: mode 640 gives other users access (chmod 600 {}/open)", dir.path("").display())
                .replace("//", "/"),
        ),
        ("short", format!("/short: line 1: not a key of 64 hex digits ({})", keys::HOW_TO_MAKE_A_KEY)),
        ("long", format!("/long: the file is too long for a key file ({})", keys::HOW_TO_MAKE_A_KEY)),
    ] {
        let text = with(&format!(",\n\"key_file\": \"{file}\""));
        let (_, findings) = Config::parse(&text, &dir.path("m")).check_in(&Environment::default());
        let shown = findings[0].to_string();
        assert!(shown.contains(":5: key_file: "), "{shown}");
        assert!(shown.ends_with(&expected), "{shown}\n{expected}");
    }
    let text = with(", \"key_file\": \"good\"");
    let (checked, _) = Config::parse(&text, &dir.path("m")).check_in(&Environment::default());
    assert_eq!(checked.and_then(|c| c.keys), Keys::parse(&key).ok());
}

#[test]
fn a_systemd_credential_wins_over_the_key_file() {
    let dir = TestDir::new();
    let key = "ab".repeat(32);
    dir.write("key", &key, 0o640);
    let environment = Environment { credentials: Some(dir.path("")), places_files: Vec::new() };
    let config = Config::parse(&with(", \"key_file\": \"/nowhere/key\""), Path::new("m"));
    let (checked, _) = config.check_in(&environment);
    assert_eq!(checked.and_then(|c| c.keys), Keys::parse(&key).ok());
    for (credential, words) in
        [("no key\n", "key: line 1: not a key"), ("\n", "/nowhere/key"), ("", "/nowhere/key")]
    {
        dir.write("key", credential, 0o400);
        let (checked, findings) = config.check_in(&environment);
        // A blank one stands for none, and the configuration's own is looked for.
        assert!(checked.is_none() && findings[0].message.contains(words), "{credential:?}: {findings:?}");
    }
}

#[test]
fn the_builtin_herd_is_whole_even_with_a_node_lost() {
    let (checked, findings) = builtin().check_in(&Environment::default());
    assert_eq!(findings.len(), 1, "{findings:?}");
    let checked = checked.expect("the built-in configuration is right");
    let names: Vec<_> = checked.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["Campbell", "Hill", "Jaquez", "Singleton", "Smith"]);
    assert_eq!(checked.edges, [(0, 3), (0, 4), (1, 2), (1, 4), (2, 3), (3, 4)]);
    assert_eq!(checked.neighbours(3), [0, 2, 4]);
    assert!(checked.neighbours(99).is_empty());
    assert_eq!((checked.index_of("Smith"), checked.index_of("Hil")), (Some(4), None));
    assert_eq!(checked.settings.clock, ClockTrust::Trusted, "all of it is loopback");
    assert!(checked.keys.is_none());
    let keys = Keys { current: [7; KEY_BYTES], previous: None };
    assert_eq!(checked.with_keys(keys.clone()).keys, Some(keys));
    assert_eq!(builtin().names().next(), Some("Hill"));
}

#[test]
fn a_client_finds_a_node_that_listens_everywhere_at_its_links() {
    let text = with("").replace("127.0.0.1:3", "0.0.0.0:3").replace("127.0.0.1:4", "10.0.0.2:4");
    let config = Config::parse(&text, Path::new("m"));
    let reached = |config: &Config, name| config.client_address(name).map(|address| address.to_string());
    assert_eq!(reached(&config, "B").as_deref(), Some("10.0.0.2:3"));
    assert_eq!(reached(&config, "A").as_deref(), Some("127.0.0.1:1"));
    assert_eq!(reached(&config, "C"), None);
    let named = Config::parse(&text.replace("10.0.0.2:4", "b.local:4"), Path::new("m"));
    assert_eq!(reached(&named, "B").as_deref(), Some("b.local:3"));
    assert_eq!(named.client_address_on_board("B"), "127.0.0.1:3".parse().ok());
    assert_eq!(config.client_address_on_board("B"), "127.0.0.1:3".parse().ok());
    assert_eq!(config.client_address_on_board("A"), "127.0.0.1:1".parse().ok());
    assert!(config.text_findings().is_empty());
}

#[test]
fn a_page_that_other_machines_reach_needs_a_key() {
    let text = with("").replacen("\"links\"", "\"http\": \"0.0.0.0:80\", \"links\"", 1);
    let found = found_in(&text);
    assert!(
        found[0].contains("http: 0.0.0.0:80 is not loopback, but the configuration has no key_file"),
        "{found:?}"
    );
}

#[test]
fn a_board_is_checked_for_its_addresses_and_its_places_file() {
    let folder = TestDir::new();
    folder.write("cut.dat", "HERDPLC", 0o600);
    let text = "{ \"nodes\": {\n\"A\": { \"clients\": \"0.0.0.0:1\",\n\"links\": \"192.0.2.1:2\" } },\n\
                \"places\": { \"source\": \"offline\", \"file\": \"cut.dat\" } }";
    let config = Config::parse(text, &folder.path("m"));
    let found = |node| -> Vec<String> {
        let findings = config.board_findings(node);
        findings
            .iter()
            .map(|finding| finding.to_string().replace(&*folder.path("").to_string_lossy(), ""))
            .collect()
    };
    let all = found(Some("A"));
    assert!(
        all[0].starts_with("m:3: nodes.A.links: this machine does not have the address 192.0.2.1 ("),
        "{all:?}"
    );
    assert!(all[1].starts_with("m:4: places.file: ") && all.len() == 2, "{all:?}");
    assert_eq!(found(None).len(), 1);
    assert_eq!(found(Some("B"))[1], "m: the configuration has no node \"B\" (one of: A)");
}
