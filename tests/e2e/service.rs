//! A node as a service: what it tells the service manager, and maps that change while it runs.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Stdio};

use herd_test_support::http::{answer, opened};
use herd_test_support::{
    Client, Herd, PATIENCE, answers, command, configuration, configured, everyone_learns_of_everyone,
    free_addresses, is_free, json, until, until_some,
};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal};

/// A configuration of some of a herd's nodes.
fn map_of(herd: &Herd, names: &[&str], edges: &[(&str, &str)]) -> String {
    let node = |name: &&str| configured(name, herd[name].clients, herd[name].links, "");
    configuration(&names.iter().map(node).collect::<Vec<_>>(), edges, "")
}

/// What the service manager of a test hears.
struct Manager(UnixDatagram);

impl Manager {
    fn listen(path: &Path) -> Manager {
        let socket = UnixDatagram::bind(path).expect("the folder is ours");
        socket.set_read_timeout(Some(PATIENCE)).expect("the limit is not zero");
        Manager(socket)
    }

    fn hear(&self) -> String {
        self.hear_and_take().0
    }

    /// The next message and the descriptor that came with it.
    fn hear_and_take(&self) -> (String, Option<OwnedFd>) {
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received = recvmsg(&self.0, &mut parts, &mut control, RecvFlags::CMSG_CLOEXEC);
        let count = received.expect("the node says something").bytes;
        let taken = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        (String::from_utf8_lossy(&bytes[..count]).into_owned(), taken)
    }

    /// The next listener that the node stores under this name.
    fn take(&self, name: &str) -> OwnedFd {
        let wanted = format!("FDNAME={name}");
        until_some(&wanted, || {
            let (message, taken) = self.hear_and_take();
            taken.filter(|_| message.contains("FDSTORE=1") && message.lines().any(|line| line == wanted))
        })
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
fn notifications() {
    let mut herd = Herd::pair().build();
    let path = herd.folder.path("notify");
    let manager = Manager::listen(&path);
    herd["Smith"].start();
    herd["Hill"].launch.environment =
        vec![("NOTIFY_SOCKET", path.into()), ("WATCHDOG_USEC", "400000".into())];
    herd["Hill"].launch();
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains("STATUS=") && ready.contains("0 of 4096 clients known"), "{ready}");
    // By then its listeners are bound: the first try succeeds.
    assert!(answers(herd["Hill"].clients));
    manager.wait_for("STATUS=1 of 1 links up, 1 in sync; 0 of 4096 clients known");
    manager.wait_for("WATCHDOG=1");
    herd["Hill"].ask("IAMAT kiwi +1-1 1");
    manager.wait_for("STATUS=1 of 1 links up, 1 in sync; 1 of 4096 clients known");
    herd["Hill"].signal(Signal::HUP);
    let reloading = manager.wait_for("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    manager.wait_for("READY=1");
    herd["Hill"].signal(Signal::TERM);
    manager.wait_for("STOPPING=1");
    assert_eq!(herd["Hill"].wait_for_end().code(), Some(0));
}

#[test]
fn map_grows_and_shrinks() {
    let names = ["Campbell", "Hill", "Smith"];
    let edges = [("Campbell", "Hill"), ("Campbell", "Smith"), ("Hill", "Smith")];
    let mut herd = Herd::of(&names, &edges).build();
    let small = map_of(&herd, &["Hill", "Smith"], &[("Hill", "Smith")]);
    let large = map_of(&herd, &names, &edges);
    let tell = |herd: &Herd, map: &str| {
        for name in ["Smith", "Hill"] {
            herd.put_map(name, map);
            herd[name].reload();
        }
    };
    for name in ["Smith", "Hill"] {
        herd.put_map(name, &small);
        herd[name].start();
    }
    everyone_learns_of_everyone(&herd, "small");
    tell(&herd, &large);
    herd["Campbell"].start();
    herd.wait_for_links();
    everyone_learns_of_everyone(&herd, "large");
    let before = herd["Smith"].at("small-Hill");
    assert!(before.is_some() && herd["Campbell"].at("small-Hill") == before);
    // Campbell leaves, and what it heard goes with it: no configuration lists it.
    herd["Campbell"].kill();
    tell(&herd, &small);
    for name in ["Hill", "Smith"] {
        assert_eq!(herd[name].at("large-Campbell"), None);
        assert!(herd[name].at("large-Smith").is_some());
    }
    everyone_learns_of_everyone(&herd, "small-again");
    assert!(!herd["Hill"].log.has("link to Smith is down") && !herd["Smith"].log.has("link to Hill is down"));
    herd["Hill"].log.wait_for("link to Smith is up");
    assert_eq!(herd["Hill"].log.count("link to Smith is up"), 1);
}

#[test]
fn map_refused() {
    let herd = Herd::pair().keyed().start();
    everyone_learns_of_everyone(&herd, "before");
    let good = herd.map_text("Hill");
    let elsewhere = format!("\"{}\"", herd["Smith"].clients);
    let taken = format!("\"{}\"", herd["Hill"].clients);
    let smiths = std::net::TcpListener::bind(free_addresses(1)[0]).expect("the port is held for it");
    let occupied = format!("\"{}\"", smiths.local_addr().expect("the listener is bound"));
    for (map, words) in [
        (String::new(), "Hill.json"),
        (good.replace("\"edges\"", "\"edge\""), "unknown member"),
        (good.replace("\"Hill\"", "\"Hilda\""), "no longer lists node"),
        (good.replace(&taken, &elsewhere), "is already used by"),
        (good.replace(&taken, &occupied), "is in use"),
    ] {
        let before = herd["Hill"].log.count("the old configuration stays in force");
        herd.put_map("Hill", &map);
        herd["Hill"].signal(Signal::HUP);
        until(words, || herd["Hill"].log.count("the old configuration stays in force") > before);
        let line =
            herd["Hill"].log.last("the old configuration stays in force").expect("it was just counted");
        assert!(line.contains(words), "{line}");
    }
    everyone_learns_of_everyone(&herd, "after");
    assert!(!herd["Smith"].log.has("is down"));
    assert!(!herd["Hill"].log.has("and then"), "the old listener could be had back");
    // A deployment reads these: systemctl does not say what came of a reload.
    let status = herd.status("Hill");
    assert_eq!((&status["reloads"], &status["counters"]["reloads_failed"]), (&0.into(), &5.into()));
    herd.put_map("Hill", good);
    herd["Hill"].signal(Signal::HUP);
    until("the reload is counted", || herd.status("Hill")["reloads"] == 1);
}

#[test]
fn listeners_move() {
    let mut herd = Herd::pair().start();
    everyone_learns_of_everyone(&herd, "before");
    let (old, new) = (herd["Hill"].clients, free_addresses(2));
    let mut early = herd["Hill"].client();
    herd.edit_map("Hill", &old.to_string(), &new[0].to_string());
    herd.edit_map("Hill", &herd["Hill"].links.to_string(), &new[1].to_string());
    herd["Hill"].reload();
    until("no process listens there", || is_free(old));
    assert_eq!(early.ask("x"), "? x", "a connected client stays connected");
    herd["Hill"].clients = new[0];
    herd["Hill"].links = new[1];
    everyone_learns_of_everyone(&herd, "after");
    assert!(!herd["Smith"].log.has("is down"));
}

#[test]
fn stored_port_let_go() {
    let herd = Herd::one().build();
    let path = herd.folder.path("notify");
    let manager = Manager::listen(&path);
    let hill = start_with(&herd, &path, None);
    let stored = [manager.take("clients"), manager.take("links")];
    manager.wait_for("READY=1");
    drop(hill);
    // The same port of another address, which the stored listener holds.
    let links = herd["Hill"].links;
    let mapped = format!("[::ffff:{}]:{}", links.ip(), links.port());
    herd.edit_map("Hill", &links.to_string(), &mapped);
    let _hill = start_with(&herd, &path, Some(stored));
    manager.wait_for("FDSTOREREMOVE=1");
    manager.wait_for("READY=1");
    assert!(answers(herd["Hill"].clients));
}

/// A reload moves a listener to another address of its port, or fails and has it back: the service manager holds it meanwhile.
#[test]
fn reload_lets_port_go() {
    let herd = Herd::one().build();
    let path = herd.folder.path("notify");
    let manager = Manager::listen(&path);
    let hill = start_with(&herd, &path, None);
    let [on_clients, on_links] = ["clients", "links"].map(|name| manager.take(name));
    manager.wait_for("READY=1");
    let (clients, links) = (herd["Hill"].clients, herd["Hill"].links);
    let mapped = format!("[::ffff:{}]:{}", links.ip(), links.port());
    let other = std::net::TcpListener::bind(free_addresses(1)[0]).expect("the port is held for it");
    let occupied = other.local_addr().expect("the listener is bound");
    for (name, held, old, new, expected) in [
        ("links", on_links, links.to_string(), mapped.clone(), mapped),
        ("clients", on_clients, clients.to_string(), occupied.to_string(), clients.to_string()),
    ] {
        herd.edit_map("Hill", &old, &new);
        hill.signal(Signal::HUP);
        until("the manager is to close it", || {
            manager.wait_for("FDSTOREREMOVE=1").ends_with(&format!("FDNAME={name}"))
        });
        drop(held);
        let now = std::net::TcpListener::from(manager.take(name)).local_addr().expect("it is bound");
        assert_eq!(now.to_string(), expected);
        manager.wait_for("READY=1");
    }
    assert!(answers(clients));
}

#[test]
fn phones_listener_stored() {
    let herd = Herd::one().build();
    let phones = free_addresses(1)[0];
    herd.add_address("Hill", "phones", &phones.to_string());
    let path = herd.folder.path("notify");
    let manager = Manager::listen(&path);
    let hill = start_with(&herd, &path, None);
    let [clients, links, stored] = ["clients", "links", "phones"].map(|name| manager.take(name));
    manager.wait_for("READY=1");
    drop(hill);
    // The next start gets two of them.
    drop(links);
    // No node runs, and still no phone is refused.
    let waiting = opened(phones, b"GET /?id=van7&lat=1&lon=2 HTTP/1.0\r\n\r\n");
    let _hill = start_with(&herd, &path, Some([stored, clients]));
    let (head, _) = answer(waiting);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
}

/// Starts Hill of this herd with a service manager, and with the listeners that the manager stored.
fn start_with(herd: &Herd, manager: &Path, stored: Option<[OwnedFd; 2]>) -> Service {
    let hill = command(None);
    let mut shell = std::process::Command::new("sh");
    // The number of the process is known to itself alone. Standard input and output carry the listeners this far.
    let script = "exec 3<&0 4<&1 </dev/null >/dev/null; LISTEN_PID=$$ LISTEN_FDS=$0 exec \"$@\"";
    shell.args(["-c", script, if stored.is_some() { "2" } else { "0" }]).arg(hill.get_program());
    shell.args(["serve", "Hill", "--config"]).arg(herd.map("Hill"));
    shell.env_remove("CREDENTIALS_DIRECTORY").env("NOTIFY_SOCKET", manager);
    let [first, second] = stored.map_or([Stdio::null(), Stdio::null()], |stored| stored.map(Stdio::from));
    let hill = shell.stdin(first).stdout(second).stderr(Stdio::null()).spawn();
    Service(hill.expect("the program can be run"))
}

#[test]
fn descriptor_store() {
    let mut herd = Herd::pair().build();
    let path = herd.folder.path("notify");
    let manager = Manager::listen(&path);
    herd["Smith"].start();
    let hill = start_with(&herd, &path, None);
    let stored = [manager.take("clients"), manager.take("links")];
    manager.wait_for("READY=1");
    drop(hill);

    // No node runs, and still no client is refused.
    let mut waiting = Client::connect(herd["Hill"].clients);
    let hill = start_with(&herd, &path, Some(stored));
    let stored = [manager.take("clients"), manager.take("links")];
    manager.wait_for("READY=1");
    assert_eq!(waiting.ask("x"), "? x");
    manager.wait_for("STATUS=1 of 1 links up, 1 in sync; 0 of 4096 clients known");
    drop(hill);

    // A configuration that has another address by then: no process listens on the old one.
    let (old, new) = (herd["Hill"].clients, free_addresses(1)[0]);
    herd.edit_map("Hill", &old.to_string(), &new.to_string());
    let hill = start_with(&herd, &path, Some(stored));
    let stored = [manager.take("clients"), manager.take("links")];
    manager.wait_for("READY=1");
    assert!(answers(new));
    until("no process listens there", || is_free(old));
    drop(hill);

    // One that cannot start lets them go.
    herd.put_map("Hill", "{");
    let mut hill = start_with(&herd, &path, Some(stored));
    for name in ["clients", "links", "phones"] {
        let message = manager.wait_for("FDSTOREREMOVE=1");
        assert!(message.contains(&format!("FDNAME={name}")), "{message}");
    }
    assert_eq!(hill.0.wait().expect("it is our child").code(), Some(1));
    until("no process listens there", || is_free(new));
}

#[test]
fn json_log() {
    let mut herd = Herd::one().log_level("debug").build();
    let node = &mut herd["Hill"];
    node.launch.flags = vec!["--log-format", "json"];
    node.start();
    assert!(node.ask("IAMAT kiwi +1-1 1").starts_with("AT "));
    assert_eq!(node.ask("x"), "? x");
    node.signal(Signal::TERM);
    node.wait_for_end();
    let log = node.log.lines().join("\n");
    assert!(log.lines().count() >= 2 && !log.contains('\u{fffd}'), "{log}");
    for line in log.lines() {
        let read = json(line);
        assert!(
            read["time"].as_str().is_some_and(|time| time.len() == 24 && time.starts_with("20")),
            "{line}"
        );
        assert!(["debug", "info", "warn"].contains(&read["level"].as_str().unwrap_or_default()), "{line}");
    }
    assert!(log.contains("listens to clients on"), "{log}");
    let line = |words: &str| -> serde_json::Value {
        let line = log.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("{words}: {log}"));
        json(line)
    };
    for (words, id) in
        [(": IAMAT kiwi", "kiwi".into()), (": AT Hill", "kiwi".into()), (": ? x", serde_json::Value::Null)]
    {
        let line = line(words);
        let client = line["client"].as_str().unwrap_or_default();
        assert!(client.parse::<std::net::SocketAddr>().is_ok(), "{line}");
        assert_eq!(line["id"], id, "{line}");
    }
    assert!(line("has come")["client"].is_string() && line("listens to")["client"].is_null());
}
