//! The program from outside: help texts, exit statuses, `check`, `send`.
//!
//! Help texts are compared with `tests/golden/`. After a wanted change, `HERD_GOLDEN=write cargo test --test e2e cli::` writes
//! them anew; read the difference before it is committed.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use herd_test_support::{Folder, free_addresses, printed};

/// Every help text and the file that holds it.
const HELP: &[(&str, &str)] = &[
    ("help.txt", "--help"),
    ("help-up.txt", "up --help"),
    ("help-up-short.txt", "up -h"),
    ("help-serve.txt", "serve --help"),
    ("help-init.txt", "init --help"),
    ("help-send.txt", "send --help"),
    ("help-status.txt", "status --help"),
    ("help-clients.txt", "clients --help"),
    ("help-check.txt", "check --help"),
    ("help-places.txt", "places --help"),
    ("help-places-near.txt", "places near --help"),
    ("help-places-import.txt", "places import --help"),
];

fn herd(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_herd"));
    // A key of the machine that runs the tests is none of theirs.
    command.args(args).env_remove("CREDENTIALS_DIRECTORY").stdin(Stdio::null());
    command
}

/// What the program did with these words: its status, its output, its messages.
fn ran(args: &[&str]) -> (Option<i32>, String, String) {
    herd_test_support::ran(&mut herd(args))
}

/// `herd places near … | head -1`: the reader has what it wants.
#[test]
fn closed_pipe_is_no_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut near = herd(&["places", "near", "34.06893", "-118.445127", "10", "--file", "data/places.dat"]);
    printed(near.stdout(writer));
}

#[test]
fn help_texts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for (file, line) in HELP {
        let text = printed(&mut herd(&line.split(' ').collect::<Vec<_>>()));
        let golden = folder.join(file);
        if std::env::var_os("HERD_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(&golden, &text).expect("the golden file can be written");
        }
        let expected = std::fs::read_to_string(&golden).unwrap_or_default();
        assert!(text == expected, "{line} differs from {file}; HERD_GOLDEN=write renews it:\n{text}");
    }
}

#[test]
fn version() {
    let text = printed(&mut herd(&["--version"]));
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    assert!(text.starts_with(&format!("herd {} (", env!("CARGO_PKG_VERSION"))), "{text}");
    assert!(text.contains(&format!("{arch}-{os}; up tools")), "{text}");
}

#[test]
fn wrong_usage() {
    for (args, word) in [
        (&[][..], "no command"),
        (&["srve"], "\"srve\" (did you mean \"serve\"?)"),
        (&["up", "--mpa", "x"], "see: herd up --help"),
        (&["places", "near", "95", "0", "1"], "\"95\""),
        (&["serve", "Hil"], "no node \"Hil\" in the built-in configuration (did you mean \"Hill\"?)"),
        (&["send", "--to", "Hil", "x"], "did you mean \"Hill\"?"),
    ] {
        let (status, text, messages) = ran(args);
        assert_eq!((status, text.as_str()), (Some(2), ""), "{args:?}");
        assert!(messages.contains(word) && messages.ends_with('\n'), "{args:?}: {messages}");
    }
}

#[test]
fn negative_number() {
    let (status, _, messages) =
        ran(&["places", "near", "34.068930", "-118.445127", "10", "5", "--file", "/nowhere"]);
    assert_eq!(status, Some(1), "{messages}");
    assert!(messages.starts_with("herd: "), "{messages}");
}

#[test]
fn map_right() {
    let (status, text, _) = ran(&["check"]);
    assert_eq!(status, Some(0));
    assert!(text.lines().last().is_some_and(|line| line.starts_with("5 nodes, 6 edges: ok")), "{text}");
}

#[test]
fn map_wrong() {
    let folder = Folder::new();
    let map = folder.write(
        "wrong.json",
        r#"{ "nodes": {
 "Hill":  { "clients": "127.0.0.1:8001", "links": "127.0.0.1:9001" },
 "Smith": { "clients": "127.0.0.1:8001", "links": "127.0.0.1:9003", "port": 5 } },
 "edges": [["Hill", "Smith"],
  ["Hil", "Smith"]],
 "key_file": "none" }"#,
    );
    let (name, folder) = (map.to_str().expect("it is UTF-8"), folder.path(""));
    let folder = folder.display();
    let findings = [
        format!(
            "{name}:3: nodes.Smith.port: unknown member (known members: clients, links, listen, http, phones, public_key)\n"
        ),
        format!(
            "{name}:3: nodes.Smith.clients: 127.0.0.1:8001 is already used by nodes.Hill.clients on line 2 (give one of them another port)\n"
        ),
        format!("{name}:5: edges[1]: unknown node \"Hil\" (did you mean \"Hill\"?)\n"),
        format!("{name}:6: key_file: {folder}none: No such file or directory (os error 2)\n"),
    ];
    let (status, text, messages) = ran(&["check", "--config", name]);
    assert_eq!((status, messages.as_str()), (Some(1), ""));
    assert!(text.starts_with(&findings.concat()), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.starts_with("4 errors")), "{text}");
    for args in [&["up", "--config", name][..], &["serve", "Hill", "--config", name]] {
        let (status, text, messages) = ran(args);
        assert_eq!((status, text.as_str()), (Some(1), ""));
        assert!(messages.starts_with(&findings.concat()), "{messages}");
    }
}

#[test]
fn map_missing() {
    let (status, text, _) = ran(&["check", "--config", "/nowhere/herd.json"]);
    assert_eq!(status, Some(1));
    assert!(text.starts_with("/nowhere/herd.json: No such file or directory (os error 2)"), "{text}");
}

#[test]
fn first_node_cannot_start() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = taken.local_addr().expect("the listener is bound");
    let map = format!(r#"{{ "nodes": {{ "Hill": {{ "clients": "{address}", "links": "127.0.0.1:9" }} }} }}"#);
    let folder = Folder::new();
    let (map, logs) = (folder.write("taken.json", map), folder.path("logs"));
    let (status, _, messages) =
        ran(&["up", "--config", &map.to_string_lossy(), "--log-dir", &logs.to_string_lossy()]);
    let log = std::fs::read_to_string(logs.join("Hill.log")).unwrap_or_default();
    assert_eq!(status, Some(1), "{messages}");
    let reason = log.lines().last().expect("the node logs the reason");
    let expected = format!("herd: up: Hill cannot start (status 1): {}\n", reason.trim());
    assert!(messages.ends_with(&expected), "{messages}\n{log}");
}

#[test]
fn send() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("the listener is bound").to_string();
    let node = std::thread::spawn(move || {
        let mut received = Vec::new();
        for _ in 0..2 {
            let (mut client, _) = listener.accept().expect("a client comes");
            let mut lines = Vec::new();
            client.read_to_end(&mut lines).expect("the client sends and half-closes");
            client.write_all(b"answer\n\n").expect("the client reads");
            received.push(lines);
        }
        received
    });
    let answer = (Some(0), "answer\n\n".to_owned(), String::new());
    assert_eq!(ran(&["send", "--to", &address, "IAMAT  x", "--", "-y"]), answer);

    let (typed, mut typing) = std::io::pipe().expect("a pipe");
    typing.write_all(b"typed").expect("the pipe has room");
    drop(typing);
    assert_eq!(herd_test_support::ran(herd(&["send", "--to", &address]).stdin(typed)), answer);
    assert_eq!(node.join().expect("the node ended well"), [b"IAMAT  x\n-y\n".to_vec(), b"typed".to_vec()]);

    // Nothing ever listened there: a listener that is closed may live on for a moment in a process that another test starts.
    let address = free_addresses(1)[0].to_string();
    let (status, text, messages) = ran(&["send", "--to", &address, "x"]);
    assert_eq!((status, text.as_str()), (Some(1), ""));
    let expected = format!("herd: send: cannot connect to {address}: Connection refused");
    assert!(messages.starts_with(&expected), "{messages}");
    assert!(messages.ends_with("(is the herd running? start it with: herd up)\n"), "{messages}");
}

#[test]
fn journal_priorities() {
    // Inherited from a service whose standard error is the journal, as this program's is not (systemd.exec(5)).
    let (status, _, messages) =
        herd_test_support::ran(herd(&["serve", "Unknown"]).env("JOURNAL_STREAM", "8:1"));
    assert_ne!(status, Some(0), "{messages}");
    assert!(messages.starts_with("herd") && messages.contains("\"Unknown\""), "{messages}");
}

#[test]
fn runtime_folder_relative() {
    let folder = Folder::new();
    let of_node = folder.path("herd/Fake");
    std::fs::create_dir_all(&of_node).expect("the folder can be written");
    let _socket = std::os::unix::net::UnixListener::bind(of_node.join("control")).expect("it is free");
    for given in ["", ".", "herd/.."] {
        let mut status = herd(&["status", "Fake"]);
        let status = status.env("XDG_RUNTIME_DIR", given).current_dir(folder.path(""));
        let (status, _, messages) = herd_test_support::ran(status);
        assert_eq!(status, Some(1), "{messages}");
        assert!(messages.starts_with("herd: status: \"Fake\" does not answer ("), "{given:?}: {messages}");
    }
}
