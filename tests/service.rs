//! A node as a service: what it tells the service manager, and maps that change while it runs.
#![cfg(feature = "smol")]

mod common;

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Stdio};

use common::{Herd, command, everyone_learns_of_everyone, free_addresses, until, until_some};
use rustix::process::{Pid, Signal};

/// A map of some of a herd's nodes.
fn map_of(herd: &Herd, names: &[&str], edges: &[(&str, &str)]) -> String {
    let node = |name: &&str| {
        let node = &herd[name];
        format!("\"{name}\": {{ \"clients\": \"{}\", \"links\": \"{}\" }}", node.clients, node.links)
    };
    let nodes: Vec<String> = names.iter().map(node).collect();
    let edges: Vec<String> = edges.iter().map(|(a, b)| format!("[\"{a}\", \"{b}\"]")).collect();
    format!("{{ \"nodes\": {{ {} }},\n  \"edges\": [{}] }}\n", nodes.join(",\n    "), edges.join(", "))
}

/// What the service manager of a test hears.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).expect("the folder is ours");
        socket.set_read_timeout(Some(common::PATIENCE)).expect("the limit is not zero");
        Manager(socket)
    }

    fn hear(&self) -> String {
        let mut bytes = [0; 4096];
        let count = self.0.recv(&mut bytes).expect("the node says something");
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }

    /// The next message with this line in it.
    fn wait_for(&self, words: &str) -> String {
        until_some(words, || Some(self.hear()).filter(|message| message.lines().any(|line| line == words)))
    }
}

/// A process that ends with the test, however that ends.
struct Service(Child);

impl Service {
    fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.0), signal).expect("it is our child");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_service_manager_is_told_what_it_wants_to_know() {
    let mut herd = Herd::pair().build();
    let path = herd.folder.path("notify");
    let manager = Manager::listen(&path);
    herd["Smith"].start();
    let hill = command(None)
        .args(["serve", "Hill", "--map"])
        .arg(herd.map("Hill"))
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "400000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut hill = Service(hill.expect("the program can be run"));
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains("STATUS=") && ready.contains("0 of 4096 clients known"), "{ready}");
    // By then its listeners are bound: the first try succeeds.
    assert!(common::answers(herd["Hill"].clients));
    manager.wait_for("STATUS=1 of 1 links up, 1 in step; 0 of 4096 clients known");
    manager.wait_for("WATCHDOG=1");
    herd["Hill"].ask("IAMAT kiwi +1-1 1");
    manager.wait_for("STATUS=1 of 1 links up, 1 in step; 1 of 4096 clients known");
    hill.signal(Signal::HUP);
    let reloading = manager.wait_for("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    manager.wait_for("READY=1");
    hill.signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert_eq!(hill.0.wait().expect("it is our child").code(), Some(0));
}

#[test]
fn a_map_that_grows_and_shrinks_leaves_the_other_links_alone() {
    let names = ["Campbell", "Hill", "Smith"];
    let mut herd =
        Herd::of(&names, &[("Campbell", "Hill"), ("Campbell", "Smith"), ("Hill", "Smith")]).build();
    let small = map_of(&herd, &["Hill", "Smith"], &[("Hill", "Smith")]);
    let large = map_of(&herd, &names, &[("Campbell", "Hill"), ("Campbell", "Smith"), ("Hill", "Smith")]);
    let tell = |herd: &Herd, map: &str| {
        for name in ["Smith", "Hill"] {
            let told = herd[name].log.count("the map was read again");
            std::fs::write(herd.map(name), map).expect("the folder is ours");
            herd[name].signal(Signal::HUP);
            until("it has read its map", || herd[name].log.count("the map was read again") > told);
        }
    };
    for name in ["Smith", "Hill"] {
        std::fs::write(herd.map(name), &small).expect("the folder is ours");
        herd[name].start();
    }
    everyone_learns_of_everyone(&herd, "small");
    tell(&herd, &large);
    herd["Campbell"].start();
    herd.wait_for_links();
    everyone_learns_of_everyone(&herd, "large");
    let before = herd["Smith"].at("small-Hill");
    assert!(before.is_some() && herd["Campbell"].at("small-Hill") == before);
    // Campbell leaves, and what it heard goes with it: no map says who it was.
    herd["Campbell"].kill();
    tell(&herd, &small);
    for name in ["Hill", "Smith"] {
        assert_eq!(herd[name].at("large-Campbell"), None);
        assert!(herd[name].at("large-Smith").is_some());
    }
    everyone_learns_of_everyone(&herd, "small-again");
    assert!(!herd["Hill"].log.has("link to Smith is down") && !herd["Smith"].log.has("link to Hill is down"));
    assert_eq!(herd["Hill"].log.count("link to Smith is up"), 1);
}

#[test]
fn a_map_that_cannot_be_taken_is_told_and_changes_nothing() {
    let herd = Herd::pair().keyed().start();
    everyone_learns_of_everyone(&herd, "before");
    let good = std::fs::read_to_string(herd.map("Hill")).expect("it was written");
    let elsewhere = format!("\"{}\"", herd["Smith"].clients);
    let taken = format!("\"{}\"", herd["Hill"].clients);
    let smiths = std::net::TcpListener::bind(free_addresses(1)[0]).expect("the port was free a moment ago");
    let occupied = format!("\"{}\"", smiths.local_addr().expect("the listener is bound"));
    for (map, words) in [
        (String::new(), "Hill.json"),
        (good.replace("\"edges\"", "\"edge\""), "unknown member"),
        (good.replace("\"Hill\"", "\"Hilda\""), "lists no node"),
        (good.replace(&taken, &elsewhere), "is taken by"),
        (good.replace(&taken, &occupied), "is in use"),
    ] {
        let before = herd["Hill"].log.count("the map stays as it was");
        std::fs::write(herd.map("Hill"), &map).expect("the folder is ours");
        herd["Hill"].signal(Signal::HUP);
        until(words, || herd["Hill"].log.count("the map stays as it was") > before);
        let told = herd["Hill"].log.last("the map stays as it was").expect("it was just counted");
        assert!(told.contains(words), "{told}");
    }
    everyone_learns_of_everyone(&herd, "after");
    assert!(!herd["Smith"].log.has("is down"));
    assert!(!herd["Hill"].log.has("and then"), "the old listener could be had back");
}

#[test]
fn listeners_move_with_the_map() {
    let mut herd = Herd::pair().start();
    everyone_learns_of_everyone(&herd, "before");
    let (old, new) = (herd["Hill"].clients, free_addresses(2));
    let mut early = herd["Hill"].client();
    let map = std::fs::read_to_string(herd.map("Hill")).expect("it was written");
    let map = map.replace(&old.to_string(), &new[0].to_string());
    let map = map.replace(&herd["Hill"].links.to_string(), &new[1].to_string());
    std::fs::write(herd.map("Hill"), map).expect("the folder is ours");
    herd["Hill"].signal(Signal::HUP);
    herd["Hill"].log.wait_for("the map was read again");
    assert!(common::is_free(old), "nobody listens there any more");
    assert_eq!(early.ask("x"), "? x", "who was connected stays so");
    herd["Hill"].clients = new[0];
    herd["Hill"].links = new[1];
    everyone_learns_of_everyone(&herd, "after");
    assert!(!herd["Smith"].log.has("is down"));
}
