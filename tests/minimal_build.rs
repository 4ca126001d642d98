//! What a node without HTTP, import and `up` says when it is asked for them: `cargo test --no-default-features --features smol
//! --test minimal_build`. That it does all the rest is seen by `cross/check --small`, on the program itself.
#![cfg(all(feature = "smol", not(feature = "up"), not(feature = "upstream"), not(feature = "import")))]

use std::process::Command;

use herd_test_support::Folder;

/// Exit status, and what it says on either output.
fn ran(args: &[&str]) -> (Option<i32>, String) {
    let (status, printed, messages) =
        herd_test_support::ran(Command::new(env!("CARGO_BIN_EXE_herd")).args(args));
    (status, printed + &messages)
}

#[test]
fn a_map_that_wants_another_server_is_refused_with_the_line_and_the_remedy() {
    let folder = Folder::new();
    let text = r#"{ "nodes": { "Hill": { "clients": "127.0.0.1:8001", "links": "127.0.0.1:9001" } }, "edges": [],
  "places": { "source": "google-legacy", "url": "http://127.0.0.1:8080/" } }"#;
    let map = folder.write("herd.json", text);
    let map = map.to_str().expect("UTF-8");
    for command in [&["check", "--config", map][..], &["serve", "Hill", "--config", map]] {
        let (status, printed) = ran(command);
        assert_eq!(status, Some(1), "{command:?}: {printed}");
        let expected = format!(
            "{map}:2: places.source: this build cannot ask a server for places (build herd with the feature \"upstream\", or \
             use the source \"offline\")"
        );
        assert!(printed.contains(&expected), "{command:?}: {printed}");
    }
}

#[test]
fn a_herd_is_sent_to_a_pc_too() {
    let (status, printed) = ran(&["up"]);
    assert_eq!(status, Some(1));
    assert!(printed.contains("this build runs only single nodes"), "{printed}");
    assert!(printed.contains("herd serve"), "{printed}");
}

#[test]
fn a_command_that_is_left_out_says_so_whatever_its_arguments() {
    for (args, remedy) in [
        (
            &["init", "--help"][..],
            "init: this build only runs a node (run herd init with a build that has the feature",
        ),
        (&["key"], "key: this build only runs a node"),
        (
            &["clients", "--near", "x"],
            "this build cannot list clients or nodes (build herd with the feature \"tools\"",
        ),
        (&["nodes"], "or use: herd status)"),
    ] {
        let (status, printed) = ran(args);
        assert_eq!(status, Some(1), "{args:?}: {printed}");
        assert!(printed.starts_with("herd: ") && printed.contains(remedy), "{args:?}: {printed}");
    }
    let (status, printed) = ran(&["help"]);
    assert_eq!(status, Some(0));
    assert!(printed.contains("  init [NAME=HOST...]  "), "{printed}");
}

#[test]
fn an_import_is_sent_to_a_pc() {
    let (status, printed) = ran(&["places", "import", "--out", "/nowhere/own.dat", "/nowhere/own.csv"]);
    assert_eq!(status, Some(1));
    assert!(printed.contains("this build cannot make places files (make the file on a PC"), "{printed}");
}
