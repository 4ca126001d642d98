//! The commands as a person or a service manager uses them: `up`, `serve`, `send`, `check`, `places near`.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use herd_test_support::{
    Herd, KIWI, LogReader, Node, Up, answers, command, everyone_learns_of_everyone, is_free, places_file,
    printed, ran, runs, runs_beside, until,
};
use rustix::process::{Pid, Signal};

const NAMES: [&str; 5] = ["Campbell", "Hill", "Jaquez", "Singleton", "Smith"];

/// `herd send` to this node by its name in the configuration.
fn send(herd: &Herd, name: &str, line: &str) -> String {
    printed(&mut sending(herd, name, line))
}

/// The command that does it.
fn sending(herd: &Herd, name: &str, line: &str) -> Command {
    let mut command = command(None);
    command.args(["send", "--to", name, "--config"]).arg(herd.map("Hill")).arg(line);
    command
}

fn all_free(herd: &Herd) -> bool {
    NAMES.iter().all(|name| is_free(herd[name].clients) && is_free(herd[name].links))
}

/// The names of the places of an answer.
fn places(json: &str) -> Vec<String> {
    let reply = herd_test_support::json(json);
    assert_eq!(reply["status"], "OK", "{json}");
    let results = reply["results"].as_array().expect("results is an array");
    results.iter().map(|place| place["name"].as_str().expect("a name").to_owned()).collect()
}

/// Around UCLA, nearest first.
const NEAR_UCLA: [&str; 5] = ["Bel Air", "Westwood", "Century City", "Brentwood", "Sawtelle"];

#[test]
fn up_starts() {
    let herd = Herd::five().build();
    let up = Up::start(&herd);
    let map = herd.map("Hill").display();
    for words in [
        "all 5 nodes are up. In another terminal:".to_owned(),
        format!(
            "send --config {map} --to Campbell \"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 $(date +%s)\""
        ),
        format!("send --config {map} --to Smith \"WHATSAT kiwi.cs.ucla.edu 10 5\""),
        format!("nc {} {}", herd["Campbell"].clients.ip(), herd["Campbell"].clients.port()),
    ] {
        assert!(up.printed.has(&words), "{words}");
    }
    for name in NAMES {
        up.log.wait_for(&format!("{name} listens to clients on {}", herd[name].clients));
    }
    // The command that it prints does what it promises.
    let at = send(&herd, "Hill", KIWI);
    assert!(
        at.starts_with("AT Hill +") && at.ends_with(" +34.068930-118.445127 1621464827.959498503\n"),
        "{at}"
    );
    herd["Campbell"].wait_for_at("kiwi.cs.ucla.edu", at.trim_end());
    let answer = send(&herd, "Campbell", "WHATSAT kiwi.cs.ucla.edu 10 5");
    let (first, json) = answer.split_once('\n').expect("two parts");
    assert_eq!(first, at.trim_end());
    assert_eq!(places(json), NEAR_UCLA);
    assert!(answer.ends_with("}\n\n"), "{answer}");
}

#[test]
fn killed_node_restarted() {
    let herd = Herd::five().build();
    let up = Up::start(&herd);
    for name in NAMES {
        let at = herd[name].ask(&format!("IAMAT by-{name} +1-1 1"));
        for other in NAMES {
            herd[other].wait_for_at(&format!("by-{name}"), &at);
        }
        up.kill_node(name);
        until("it listens again", || answers(herd[name].clients));
        herd[name].wait_for_at(&format!("by-{name}"), &at);
        up.log.wait_for(&format!("{name} ended (signal 9); starting it again"));
    }
}

#[test]
fn up_stops() {
    for signal in [Signal::TERM, Signal::INT] {
        let herd = Herd::five().build();
        let mut up = Up::start(&herd);
        let pids: Vec<i32> = NAMES.iter().map(|name| up.pid_of(name).expect("it runs")).collect();
        let mut client = herd["Hill"].client();
        client.ask(KIWI);
        up.signal(signal);
        assert_eq!(up.wait_for_end().code(), Some(0));
        assert!(all_free(&herd));
        for (name, pid) in NAMES.iter().zip(pids) {
            assert!(!runs(pid), "{name}");
            up.log.wait_for(&format!("{name} stops"));
        }
        assert!(client.is_closed_by_node());
    }
}

#[test]
fn up_killed() {
    let herd = Herd::five().build();
    let mut up = Up::start(&herd);
    let pids: Vec<i32> = NAMES.iter().map(|name| up.pid_of(name).expect("it runs")).collect();
    up.signal(Signal::KILL);
    assert_eq!(up.wait_for_end().code(), None);
    for pid in pids {
        until("the node has gone", || !runs(pid));
    }
    // No process reaps a node whose parent was killed, so its first thread may look gone while another still holds its files.
    until("its ports are free", || all_free(&herd));
}

#[test]
fn up_port_taken() {
    let herd = Herd::five().build();
    for address in [herd["Jaquez"].clients, herd["Singleton"].links] {
        let taken = TcpListener::bind(address).expect("the port is held for it");
        let mut up = Up::launch(herd.map("Hill"));
        assert_eq!(up.wait_for_end().code(), Some(1));
        up.log.wait_for(&format!("{address} is in use"));
        up.log.wait_for("cannot start");
        assert!(!up.printed.has("nodes are up"));
        drop(taken);
        // A process that another test starts at this moment has the listener, too, until it is another program.
        until("all ports are free", || all_free(&herd));
    }
}

#[test]
fn serve_stops() {
    let mut herd = Herd::pair().keyed().start();
    for (signal, word) in [(Signal::TERM, "term"), (Signal::INT, "int")] {
        for name in ["Hill", "Smith"] {
            let id = format!("{word}-{name}");
            let at = herd[name].ask(&format!("IAMAT {id} +1-1 1"));
            // Not even with clients in the middle of a line, of an answer, of nothing.
            let mut clients: Vec<_> = (0..3).map(|_| herd[name].client()).collect();
            clients[0].send("IAMAT kiwi");
            clients[1].send(format!("WHATSAT {id} 50 20\n").repeat(500));
            herd.wait_for_at(&id, &at);
            herd[name].signal(signal);
            assert_eq!(herd[name].wait_for_end().code(), Some(0));
            herd[name].log.wait_for(&format!("{name} stops"));
            // The very next process has the ports; a second try does not happen.
            herd[name].start();
            herd[name].wait_for_at(&id, &at);
            assert!(clients[0].is_closed_by_node());
        }
    }
    everyone_learns_of_everyone(&herd, "after");
}

#[test]
fn log_not_read() {
    let mut herd = Herd::pair().log_level("debug").build();
    for name in ["Smith", "Hill"] {
        herd[name].launch.log_reader = LogReader::Gone;
        herd[name].start();
    }
    let at = |node: &Node, i: u32| node.ask(&format!("IAMAT c{i} +1-1 {i}"));
    for i in 0..200 {
        let at = at(&herd["Hill"], i);
        assert!(at.starts_with("AT Hill +"), "{at}");
        herd["Smith"].wait_for_at(&format!("c{i}"), &at);
    }
    herd["Hill"].signal(Signal::TERM);
    assert_eq!(herd["Hill"].wait_for_end().code(), Some(0));
}

#[test]
fn log_read_late() {
    let mut herd = Herd::pair().log_level("debug").build();
    for name in ["Smith", "Hill"] {
        herd[name].launch.log_reader = LogReader::Stalls;
        herd[name].start();
    }
    // Each of these is two lines of the log, and a pipe holds 64 KB.
    let mut client = herd["Hill"].client();
    for i in 0..3000 {
        assert!(client.ask(&format!("IAMAT c{i} +1-1 {i}")).starts_with("AT Hill +"));
    }
    let last = herd["Hill"].at("c2999").expect("Hill heard it");
    herd["Smith"].wait_for_at("c2999", &last);
    herd["Hill"].read_log_on();
    herd["Hill"].log.wait_for("link to Smith is up");
    until("the log says what is missing", || {
        herd["Hill"].ask("?");
        herd["Hill"].log.has("log lines were dropped: the log was not read in time")
    });
    let is_whole =
        |line: &str| ["INFO ", "DEBUG", "WARN "].iter().any(|level| line.get(25..30) == Some(level));
    assert!(herd["Hill"].log.tail().lines().all(is_whole), "{}", herd["Hill"].log.tail());
    herd["Hill"].log.wait_for(": ? ?");
    herd["Hill"].signal(Signal::TERM);
    assert_eq!(herd["Hill"].wait_for_end().code(), Some(0));
}

#[test]
fn log_without_key() {
    let mut herd = Herd::pair().keyed().log_level("debug").start();
    let key = std::fs::read_to_string(herd.folder.path("Hill.key")).expect("it was written");
    herd["Hill"].ask("IAMAT kiwi\x07\u{e4} +1-1 1");
    let at = herd["Hill"].at("kiwi\x07\u{e4}").expect("Hill heard it");
    herd["Smith"].wait_for_at("kiwi\x07\u{e4}", &at);
    herd["Hill"].ask("what\u{1b}[2J");
    herd["Hill"].log.wait_for(r": IAMAT kiwi\x07\xc3\xa4 +1-1 1");
    herd["Hill"].log.wait_for(r": AT Hill +");
    herd["Hill"].log.wait_for(r": what\x1b[2J");
    herd["Hill"].log.wait_for("link out: U 0 AT Hill +");
    herd["Smith"].log.wait_for("link in: U 0 AT Hill +");
    herd["Smith"].kill();
    herd["Hill"].log.wait_for("link to Smith is down");
    for node in ["Hill", "Smith"] {
        assert!(!herd[node].log.has(key.trim()), "{node}");
    }
}

#[test]
fn serve_port_taken() {
    let herd = Herd::one().build();
    for (member, address) in [("clients", herd["Hill"].clients), ("links", herd["Hill"].links)] {
        let taken = TcpListener::bind(address).expect("the port is held for it");
        let (status, _, messages) = ran(&mut herd.serve("Hill"));
        assert_eq!(status, Some(1));
        assert!(messages.contains(&format!("{member}: {address} is in use")), "{messages}");
        drop(taken);
        until("the port is free", || is_free(address));
    }
}

#[test]
fn check_send_near() {
    let herd = Herd::five().keyed().start();
    let text = printed(command(None).args(["check", "--config"]).arg(herd.map("Smith")));
    assert_eq!(text, "5 nodes, 6 edges: ok\n");

    let words = ["places", "near", "34.068930", "-118.445127", "10", "5", "--file"];
    let text = printed(command(None).args(words).arg(places_file()));
    assert_eq!(places(&text), NEAR_UCLA);

    let at = herd["Jaquez"].ask(KIWI);
    let fields = KIWI.strip_prefix("IAMAT").expect("it is one");
    assert!(at.starts_with("AT Jaquez +") && at.ends_with(fields), "{at}");
    herd.wait_for_at("kiwi.cs.ucla.edu", &at);
    for name in NAMES {
        let answer = send(&herd, name, "WHATSAT kiwi.cs.ucla.edu 10 5");
        let json = answer.strip_prefix(&format!("{at}\n")).unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(json.trim_end(), text.trim_end(), "{name} answers as `places near` does");
    }
    assert_eq!(
        ran(&mut sending(&herd, &herd["Smith"].clients.to_string(), " no  command\t")),
        (
            Some(3),
            "?  no  command\t\n".to_owned(),
            "herd send: \"no\" is not a command; the commands are IAMAT and WHATSAT\n".to_owned()
        )
    );
}

#[test]
fn stops_with_log_unread() {
    let herd = Herd::pair().build();
    let mut command = command(None);
    command.args(["up", "--log-level", "debug", "--config"]).arg(herd.map("Hill"));
    runs_beside(&mut command, herd.map("Hill")).env("NOTIFY_SOCKET", "@herd-not-there");
    let mut up = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it can be run");
    until("a node listens", || TcpStream::connect(herd["Hill"].clients).is_ok());
    // More lines than the pipe and all buffers hold.
    let mut client = herd["Hill"].client();
    for i in 0..3000 {
        assert!(client.ask(&format!("IAMAT c{i} +1-1 {i}")).starts_with("AT Hill +"));
    }
    rustix::process::kill_process(Pid::from_child(&up), Signal::TERM).expect("it runs");
    let status = up.wait().expect("it is ours");
    assert_eq!(status.code(), Some(0));
    let mut log = String::new();
    up.stderr.take().expect("a pipe").read_to_string(&mut log).expect("it is text");
    assert!(!log.contains("service manager"), "the nodes have no service manager: {log}");
}

#[test]
fn clients_of_herd() {
    let herd = Herd::pair().start();
    let at = herd["Hill"].ask(KIWI);
    herd["Smith"].ask("IAMAT far +1-1 1");
    herd.wait_for_at("kiwi.cs.ucla.edu", &at);
    until("Hill knows both", || herd["Hill"].at("far").is_some());
    let text = herd.printed(&["clients"]);
    assert!(text.ends_with("\n2 clients\n") && text.contains("from Smith"), "{text}");
    let text = herd.printed(&["clients", "--near", "34.07,-118.45,5", "--node", "Smith"]);
    assert!(text.starts_with("kiwi.cs.ucla.edu  +34.068930-118.445127  "), "{text}");
    let read = herd_test_support::json(&herd.printed(&["clients", "far", "--json"]));
    assert_eq!(read[0]["origin"], "Smith");
    assert_eq!(herd.ran(&["clients", "unknown"]).0, Some(1));
}
