//! `herd status`: the status at the control socket, and that no client there can disturb the node.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;

use herd_test_support::{Herd, json, until};
use rustix::process::Signal;
use serde_json::Value;

/// Exit status, standard output, standard error of `herd status`.
fn status(herd: &Herd, args: &[&str]) -> (Option<i32>, String, String) {
    herd.ran(&[&["status"], args].concat())
}

fn link<'a>(status: &'a Value, node: &str) -> &'a Value {
    let links = status["links"].as_array().expect("a list");
    links.iter().find(|link| link["node"] == node).unwrap_or_else(|| panic!("no {node} in {status}"))
}

#[test]
fn stopped_node() {
    let herd = Herd::one().start();
    let (name, path) = (herd.names()[0], herd.control_socket(herd.names()[0]));
    herd[name].signal(Signal::STOP);
    for (asked, remedy) in [
        (name, "restart it, such as: systemctl restart herd@"),
        (path.to_str().expect("a plain path"), "restart its process"),
    ] {
        let (code, text, messages) = status(&herd, &[asked]);
        assert_eq!((code, text.as_str()), (Some(1), ""));
        assert!(messages.contains("does not answer: its process is stopped or hangs"), "{messages}");
        assert!(messages.contains(remedy), "{messages}");
    }
    herd[name].signal(Signal::CONT);
}

#[test]
fn one_node() {
    let mut herd = Herd::five().start();
    herd["Hill"].ask("IAMAT kiwi +34.068930-118.445127 1621464827.959498503");
    until("Hill is in sync", || link(&herd.status("Hill"), "Smith")["is_in_sync"] == true);
    let hill = herd.status("Hill");
    assert_eq!((&hill["node"], &hill["version"]), (&"Hill".into(), &env!("CARGO_PKG_VERSION").into()));
    assert_eq!((&hill["table"]["entries"], &hill["table"]["capacity"]), (&1.into(), &4096.into()));
    assert_eq!((&hill["counters"]["iamat"], &hill["places"]["source"]), (&1.into(), &"offline".into()));
    assert!(hill["private_kb"].as_u64().is_some_and(|kb| kb > 50), "{hill}");
    assert_eq!(hill["clock_is_trusted"], true);
    // The operator of a board must not see a position.
    assert!(!hill.to_string().contains("118.4"), "{hill}");
    let (_, text, _) = status(&herd, &["Hill"]);
    assert!(!text.contains("counter"), "nothing was refused: {text}");

    herd["Smith"].kill();
    until("Hill notices", || link(&herd.status("Hill"), "Smith")["is_up"] == false);
    until("it says why", || link(&herd.status("Hill"), "Smith")["last_error"].as_str().is_some());
    let down = herd.status("Hill");
    assert_eq!(link(&down, "Smith")["is_in_sync"], false);
    assert!(link(&down, "Smith")["for_ms"].is_u64(), "{down}");
    assert_eq!(link(&down, "Jaquez")["is_up"], true);

    let text = herd.printed(&["status", "Hill"]);
    for words in [
        "Hill: up ",
        "  link     Jaquez  up ",
        "  link     Smith   down ",
        "; last error: ",
        "  table    1 of 4096",
    ] {
        assert!(text.contains(words), "{words:?} in {text}");
    }
    // What is routine or zero is left out, unless it is asked for.
    let (_, all, _) = status(&herd, &["-v", "Hill"]);
    for words in
        ["; 0 evicted", "counter  iamat 1", "counter  snapshot_restored 0", "counter  log_lines_lost 0"]
    {
        assert!(all.contains(words) && !text.contains(words), "{words:?} in {all} and {text}");
    }
    // A dial may have reached the socket of Smith as it ended, which counts.
    let failed = || herd.status("Hill")["counters"]["handshakes_failed"].as_u64().expect("a number");
    let before = failed();
    herd_test_support::Stranger::connect(herd["Hill"].links).say("x\n");
    until("what was refused is shown", || {
        status(&herd, &["Hill"]).1.contains(&format!("counter  handshakes_failed {}\n", before + 1))
    });
}

#[test]
fn all_nodes_of_machine() {
    let mut herd = Herd::five().start();
    herd["Smith"].kill();
    let text = herd.printed(&["status"]);
    for name in ["Campbell", "Hill", "Jaquez", "Singleton"] {
        assert_eq!(
            text.matches(&format!("\n{name}: up ")).count() + usize::from(text.starts_with(name)),
            1,
            "{text}"
        );
    }
    assert!(!text.contains("Smith: up "), "{text}");
    let (code, _, messages) = status(&herd, &["Smith"]);
    assert_eq!(code, Some(1));
    assert!(
        messages.starts_with("herd: status: \"Smith\" is not running (start it with: herd serve Smith)"),
        "{messages}"
    );
    let (code, _, messages) = status(&herd, &["Hil"]);
    assert_eq!(code, Some(1));
    assert!(messages.ends_with("(did you mean \"Hill\"?)\n"), "{messages}");
    let path = herd.control_socket("Hill");
    let text = herd.printed(&["status", path.to_str().expect("UTF-8")]);
    assert!(text.starts_with("Hill: up "), "{text}");
    // A node that stops takes its socket with it; one that was killed finds its own again.
    herd["Smith"].start();
    assert_eq!(status(&herd, &["Smith"]).0, Some(0));
    herd["Hill"].signal(Signal::TERM);
    herd["Hill"].wait_for_end();
    assert!(!path.exists());
}

#[test]
fn control_socket() {
    let herd = Herd::pair().start();
    let path = herd.control_socket("Hill");
    for words in [&b"GET / HTTP/1.1\r\n\r\n"[..], b"", b"status", &[b'x'; 4096], b"status json \n"] {
        let mut stranger = UnixStream::connect(&path).expect("the node listens");
        // It may be gone before it has all.
        let _ = stranger.write_all(words);
        let _ = stranger.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stranger.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{words:?} was answered");
    }
    // The node closes silent connections one after another, and clients never wait for them.
    let silent: Vec<UnixStream> =
        (0..3).map(|_| UnixStream::connect(&path).expect("the node listens")).collect();
    assert!(herd["Hill"].ask("IAMAT kiwi +1+1 1").starts_with("AT Hill "));
    let mut last = silent.last().expect("there are three");
    last.set_nonblocking(true).expect("it is a socket");
    let error = last.read(&mut [0]).expect_err("the node still waits for it, and a client was answered");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "{error}");
    until("the node answers again", || status(&herd, &["Hill"]).0 == Some(0));
    drop(silent);
}

/// Asks until the herd says that it is in sync.
fn wait_until_in_sync(herd: &Herd, name: &str) {
    until("the herd is in sync", || status(herd, &["--all", name]).0 == Some(0));
}

#[test]
fn whole_herd() {
    let mut herd = Herd::five().keyed().start();
    wait_until_in_sync(&herd, "Hill");
    for round in 0..20 {
        herd["Smith"].ask(&format!("IAMAT client{round} +1+1 {round}"));
    }
    // Any of them, at once, without a pause for the updates to settle.
    for name in ["Campbell", "Hill", "Jaquez", "Singleton", "Smith"] {
        let map = herd.map(name).display();
        let text = format!("in sync: 5 of 5 nodes answer, and all hold the same\n  asked {name}, of {map}\n");
        assert_eq!(status(&herd, &["--all", name]), (Some(0), text, String::new()));
    }
    herd["Jaquez"].kill();
    let (code, text, messages) = status(&herd, &["--all", "--json", "Hill"]);
    assert_eq!((code, messages.as_str()), (Some(1), ""), "{text}");
    let answer = json(&text);
    assert_eq!(answer["in_sync"], false);
    assert_eq!(answer["silent"], serde_json::json!(["Jaquez"]));
    assert_eq!(answer["troubled"], serde_json::json!(["Hill", "Singleton"]));
    assert_eq!(answer["differing_parts"], 0, "the others hold the same");
    let (code, text, _) = status(&herd, &["--all", "Hill"]);
    assert_eq!(code, Some(1));
    assert_eq!(
        text,
        "out of sync: 4 of 5 nodes answer\n  no answer from Jaquez\n  \
         the link Hill-Jaquez is down\n  the link Jaquez-Singleton is down\n  asked Hill, of "
            .to_owned()
            + &format!("{}\n", herd.map("Hill").display())
    );
    herd["Jaquez"].start();
    wait_until_in_sync(&herd, "Campbell");
}

#[test]
fn table_of_nodes() {
    let mut herd = Herd::five().keyed().start();
    wait_until_in_sync(&herd, "Hill");
    herd["Smith"].ask("IAMAT kiwi +1+1 1");
    wait_until_in_sync(&herd, "Hill");
    let all = json(&herd.printed(&["nodes", "--json"]));
    let nodes = all["nodes"].as_array().expect("a list");
    let names: Vec<&Value> = nodes.iter().map(|node| &node["node"]).collect();
    assert_eq!(names, ["Campbell", "Hill", "Jaquez", "Singleton", "Smith"]);
    for node in nodes {
        assert_eq!((&node["answers"], &node["is_in_sync"]), (&true.into(), &true.into()), "{node}");
        assert_eq!((&node["clients"], &node["pending"]), (&1.into(), &0.into()), "{node}");
        assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
        assert!(node["private_kb"].as_u64().is_some_and(|kb| kb > 50), "{node}");
    }
    herd["Jaquez"].kill();
    until("Hill notices", || link(&herd.status("Hill"), "Jaquez")["is_up"] == false);
    let text = herd.printed(&["nodes", "Jaquez", "Hill", "--node", "Campbell"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[1].starts_with("Hill    ") && lines[1].contains("  no   "), "{text}");
    assert_eq!((lines[2], lines[3]), ("Jaquez  no answer", "the reasons: herd status --all"));
    let (code, _, messages) = herd.ran(&["nodes", "Jaques"]);
    let unknown = "herd: nodes: the herd has no node \"Jaques\" (did you mean \"Jaquez\"?)\n";
    assert_eq!((code, messages.as_str()), (Some(1), unknown));
}

#[test]
fn smaller_table() {
    let mut herd = Herd::pair().build();
    for name in herd.names() {
        herd.add_member(name, "\"clients_max\": 16, \"lifetime_s\": 600");
    }
    herd.start_built();
    for round in 0..20 {
        herd["Hill"].ask(&format!("IAMAT client{round} +1+1 {round}"));
    }
    wait_until_in_sync(&herd, "Hill");
    let table = |herd: &Herd, name: &str| {
        let table = herd.status(name)["table"].clone();
        ["entries", "capacity", "evicted"].map(|member| table[member].as_u64().expect("a number"))
    };
    assert_eq!(table(&herd, "Hill"), [16, 16, 4]);
    assert_eq!(table(&herd, "Smith")[..2], [16, 16]);
    // A node takes a larger table and another life at a reload. The others then have another configuration.
    herd.edit_map("Hill", "16, \"lifetime_s\": 600", "64, \"lifetime_s\": 1200");
    herd["Hill"].signal(Signal::HUP);
    until("the node has reloaded", || table(&herd, "Hill")[1] == 64);
    let (code, text, _) = status(&herd, &["--all", "Hill"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("\n  1 node has another configuration: give all nodes the same\n"), "{text}");
}

#[test]
fn cut_link() {
    let herd = Herd::five().proxied("Hill", "Smith").start();
    wait_until_in_sync(&herd, "Hill");
    herd.proxy("Hill", "Smith").cut();
    let (code, text, _) = status(&herd, &["--all", "Campbell"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.starts_with("out of sync: 5 of 5 nodes answer\n  the link Hill-Smith is down\n  asked "),
        "{text}"
    );
    herd.proxy("Hill", "Smith").heal();
    wait_until_in_sync(&herd, "Campbell");
}

/// The answer to an IAMAT does not tell that it is not stored. `herd send` does.
#[test]
fn older_update_is_named() {
    let herd = Herd::one().start();
    let to = herd["Hill"].clients.to_string();
    for (lines, note) in [
        (&["IAMAT kiwi +1-1 5.5"][..], ""),
        (&["IAMAT kiwi +1-1 5.5", "IAMAT plum +1-1 1"], ""),
        (
            &["IAMAT kiwi +2-2 5", "IAMAT plum +2-2 2"],
            "herd send: \"kiwi\" is not stored: the herd knows a newer update (time 5.5)\n",
        ),
    ] {
        let (code, answers, messages) = herd.ran(&[&["send", "--to", &to], lines].concat());
        assert_eq!((code, answers.lines().count(), messages.as_str()), (Some(0), lines.len(), note));
    }
}
