//! The port between nodes: whatever comes in there, each table stays right and no link is lost for long.

use std::sync::atomic::{AtomicBool, Ordering};

use herd_test_support::{
    Builder, Dice, Fault, Herd, PATIENCE, Stranger, everyone_learns_of_everyone, key, ran, until,
    until_within,
};
use rustix::process::Signal;

/// Both links are as they were, and updates cross them.
fn is_in_sync(herd: &Herd, round: &str) {
    herd.wait_for_links();
    everyone_learns_of_everyone(herd, round);
}

/// No node knows this client.
fn no_node_knows(herd: &Herd, id: &str) {
    for node in herd.running() {
        assert_eq!(node.at(id), None, "{}", node.name);
    }
}

/// A U line about a client that no node heard.
const FORGED: &str = "U 1 AT Hill +1.000000000 forged +1-1 1";

#[test]
fn no_hello() {
    let mut dice = Dice::new(7);
    let long = vec![b'x'; 1024 * 1024];
    let hello = |rest: &str| format!("HELLO {rest}\n").into_bytes();
    let nonce = "000102030405060708090a0b0c0d0e0f";
    let lines = [
        b"\n".to_vec(),
        b"GET / HTTP/1.1\r\nHost: herd\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n".to_vec(),
        b"IAMAT forged +1-1 0\n".to_vec(),
        format!("{FORGED}\n").into_bytes(),
        format!("{FORGED} ~0011223344556677\n").into_bytes(),
        format!("PROOF {}\n", "00".repeat(32)).into_bytes(),
        b"P 1\n".to_vec(),
        format!("D 1 {} -\n", "0".repeat(1024)).into_bytes(),
        hello(&format!("2 Hill 1 4096 {nonce}")),
        hello(&format!("1 Other 1 4096 {nonce}")),
        // A node is not a neighbour of itself.
        hello(&format!("1 Smith 1 4096 {nonce}")),
        hello(&format!("1 hill 1 4096 {nonce}")),
        hello(&format!("1 Hill 1 4096 {}", &nonce[1..])),
        hello(&format!("1 Hill -1 4096 {nonce}")),
        hello(&format!("1 Hill 1 4096 {nonce} ")),
        hello(&format!("1 {} 1 4096 {nonce}", "H".repeat(1000))),
        hello(""),
        long,
        [dice.bytes(4000), vec![b'\n']].concat(),
    ];
    for keyed in [false, true] {
        let herd = Herd::pair().keyed_if(keyed).start();
        for line in &lines {
            let mut stranger = Stranger::connect(herd["Smith"].links);
            stranger.say(line);
            let received = stranger.until_closed();
            let is_hello_at_most =
                received.lines().all(|line| line.starts_with("HELLO 1 Smith ") || line == "NO config");
            assert!(
                is_hello_at_most && received.lines().count() <= 2,
                "{}: {received}",
                line[..line.len().min(80)].escape_ascii()
            );
        }
        herd["Smith"].log.wait_for("refused a link connection: its first line is not a HELLO");
        no_node_knows(&herd, "forged");
        assert!(!herd["Hill"].log.has("is down") && !herd["Smith"].log.has("is down"));
        is_in_sync(&herd, "after");
    }
}

#[test]
fn silent_strangers() {
    let herd = Herd::pair().keyed().start();
    // One says nothing, one not all of a line, one not what proves it.
    let mut silent: Vec<Stranger> = (0..3).map(|_| Stranger::connect(herd["Smith"].links)).collect();
    silent[1].say("HELLO 1 Hill 1 40");
    silent[2].say_hello("Hill");
    for stranger in &mut silent {
        assert!(stranger.until_closed().starts_with("HELLO 1 Smith "));
    }
    assert!(!herd["Smith"].log.has("is down"));
    is_in_sync(&herd, "after");
}

#[test]
fn strangers_evict_strangers() {
    let mut herd = Herd::five().keyed().start();
    let mut crowd: Vec<Stranger> = (0..200).map(|_| Stranger::connect(herd["Smith"].links)).collect();
    for stranger in &mut crowd[100..] {
        stranger.say_hello("Hill");
    }
    // The oldest had to make way long before their time was over.
    for stranger in &mut crowd[..100] {
        stranger.until_closed();
    }
    is_in_sync(&herd, "meanwhile");
    for node in herd.running() {
        assert!(!node.log.has("is down"), "{}", node.name);
    }
    // A neighbour gets in past them, from either side.
    for name in ["Hill", "Smith"] {
        herd[name].restart();
        let at = herd["Campbell"].at("meanwhile-Campbell").expect("it is Campbell's own");
        herd[name].wait_for_at("meanwhile-Campbell", &at);
        crowd.extend((0..50).map(|_| Stranger::connect(herd["Smith"].links)));
    }
    is_in_sync(&herd, "after");
}

#[test]
fn stranger_storm() {
    let mut herd = Herd::pair().keyed().start();
    let address = herd["Smith"].links;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let mut stranger = Stranger::connect(address);
                stranger.say_hello("Hill");
            }
        });
        // A panic below must not leave the storm blowing, or the scope would never end.
        let calm = Calm(&is_over);
        herd["Hill"].restart();
        is_in_sync(&herd, "meanwhile");
        assert!(!herd["Hill"].log.has("is down"));
        drop(calm);
    });
    is_in_sync(&herd, "after");
}

/// Ends the storm, however its test ends.
struct Calm<'a>(&'a AtomicBool);

impl Drop for Calm<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn stranger_without_key() {
    let herd = Herd::pair().keyed().start();
    let known = herd["Hill"].ask("IAMAT known +1-1 1");
    herd.wait_for_at("known", &known);
    let proof = format!("PROOF {}\n", "ab".repeat(32));
    for lines in [
        format!("{FORGED}\n"),
        format!("{FORGED} ~0011223344556677\n"),
        format!("{proof}{FORGED}\n"),
        "PROOF\n".to_owned(),
        format!("PROOF {}\n", ["ab".repeat(32).as_str(); 3].join(" ")),
        "P 1\n".to_owned(),
        format!("D 1 {} -\n", "0".repeat(1024)),
    ] {
        let mut stranger = Stranger::connect(herd["Smith"].links);
        stranger.say_hello("Hill");
        stranger.say(&lines);
        let received = stranger.until_closed();
        assert!(
            received.lines().all(|line| line.starts_with("HELLO ") || line.starts_with("PROOF ")),
            "{received}"
        );
    }
    // A proof that is sent back proves nothing.
    let mut mirror = Stranger::connect(herd["Smith"].links);
    mirror.say_hello("Hill");
    let (hello, proof) = (mirror.line(), mirror.line().expect("Smith proves itself"));
    assert!(hello.is_some_and(|line| line.starts_with("HELLO 1 Smith ")) && proof.starts_with("PROOF "));
    mirror.say(format!("{proof}\n{FORGED}\n"));
    assert_eq!(mirror.until_closed(), "");
    no_node_knows(&herd, "forged");
    assert!(!herd["Smith"].log.has("is down"), "the real neighbour's link was left alone");
    is_in_sync(&herd, "after");
}

#[test]
fn different_keys() {
    let refused = |smith_keys: &[&str], hill_says: &str, smith_says: &str| {
        let mut herd = Herd::pair().keyed().build();
        herd.write_keys("Smith", smith_keys);
        herd["Smith"].start();
        herd["Hill"].start();
        herd["Hill"].log.wait_for(hill_says);
        herd["Smith"].log.wait_for(smith_says);
        herd["Hill"].ask("IAMAT secret +1-1 1");
        assert_eq!(herd["Smith"].at("secret"), None);
        assert!(!herd["Smith"].log.has("is up") && !herd["Hill"].log.has("is up"));
        // Once both have the same key they find each other without a word.
        let keys = std::fs::read_to_string(herd.folder.path("Hill.key")).expect("it was written");
        herd["Smith"].kill();
        herd.write_keys("Smith", &[&keys]);
        herd["Smith"].start();
        is_in_sync(&herd, "same-key");
    };
    let wrong = "it knows another key: give both nodes the same key";
    // Smith may hear of it by the end of the connection alone.
    let same = "give both nodes the same key";
    refused(&[&key(1)], wrong, same);
    refused(&[&key(2), &key(3)], wrong, same);
}

#[test]
fn key_at_one_end() {
    let builder = Herd::pair().keyed();
    for keyless in ["Hill", "Smith"] {
        let mut herd = builder.build();
        herd.write_map(keyless, false);
        herd["Smith"].start();
        herd["Hill"].start();
        // The node that spoke second says it.
        until("one of them says it", || {
            herd.running().any(|node| node.log.has("give both nodes the same key"))
        });
        herd["Hill"].ask("IAMAT hill +1-1 1");
        herd["Smith"].ask("IAMAT smith +1-1 1");
        assert_eq!(
            (herd["Smith"].at("hill"), herd["Hill"].at("smith")),
            (None, None),
            "without a key: {keyless}"
        );
    }
}

/// Does this to an update on the wire, and sees that each node rejects it and the herd mends itself.
fn is_harmed_and_mended(builder: Builder, fault: Fault, to_smith: bool) {
    let herd = builder.keyed().proxied("Hill", "Smith").start();
    let (from, to) = if to_smith { ("Hill", "Smith") } else { ("Smith", "Hill") };
    everyone_learns_of_everyone(&herd, "before");
    herd.proxy("Hill", "Smith").harm_next(to_smith, "U ", fault);
    let first = herd[from].ask("IAMAT first +34.068930-118.445127 1621464827.959498503");
    // On a busy machine an update comes round over the other nodes before it is written here, and is not: more follow.
    let mut more = 0;
    until("a line was harmed", || {
        more += 1;
        herd[from].ask(&format!("IAMAT more{more} +1-1 1"));
        herd.proxy("Hill", "Smith").has_harmed()
    });
    // A line that is missing shows at the next one.
    let second = herd[from].ask("IAMAT second +34.068930-118.445127 1621464827.959498503");
    herd[to].log.wait_for(&format!("link to {from} is down: a line was forged, replayed or damaged"));
    for (id, at) in [("first", &first), ("second", &second)] {
        until(&format!("{to} learns of {id} in another way, and of nothing else"), || {
            let held = herd[to].at(id);
            assert!(held.is_none() || held.as_ref() == Some(at), "{held:?} is not {at}");
            held.is_some()
        });
    }
    is_in_sync(&herd, "after");
    assert!(herd.proxy("Hill", "Smith").accepted() >= 2, "the link came back");
}

#[test]
fn byte_changed() {
    is_harmed_and_mended(Herd::pair(), Fault::FlipByte, true);
    is_harmed_and_mended(Herd::pair(), Fault::FlipByte, false);
    is_harmed_and_mended(Herd::five(), Fault::FlipByte, true);
}

#[test]
fn line_repeated() {
    is_harmed_and_mended(Herd::pair(), Fault::Replay, true);
    is_harmed_and_mended(Herd::pair(), Fault::Replay, false);
}

#[test]
fn line_lost() {
    is_harmed_and_mended(Herd::pair(), Fault::Drop, true);
    is_harmed_and_mended(Herd::pair(), Fault::Drop, false);
}

#[test]
fn replayed_link() {
    // Smith and Hill meet through a proxy that writes down what Hill says.
    let mut herd = Herd::pair().keyed().proxied("Hill", "Smith").start();
    let at = herd["Hill"].ask("IAMAT kiwi +1-1 1");
    herd["Smith"].wait_for_at("kiwi", &at);
    let record = herd.proxy("Hill", "Smith").recorded();
    assert!(record.starts_with(b"HELLO 1 Hill ") && record.escape_ascii().to_string().contains(" kiwi "));
    herd["Hill"].kill();
    // A restarted Smith knows nothing, and would believe Hill every word.
    herd["Smith"].restart();
    let mut stranger = Stranger::connect(herd["Smith"].links);
    stranger.say(&record);
    let answer = stranger.until_closed();
    assert!(answer.lines().all(|line| line.starts_with("HELLO ") || line.starts_with("PROOF ")), "{answer}");
    assert_eq!(herd["Smith"].at("kiwi"), None);
    herd["Smith"].log.wait_for("it knows another key");
}

#[test]
fn byte_by_byte() {
    for keyed in [false, true] {
        let herd = Herd::pair().keyed_if(keyed).proxied("Hill", "Smith").start();
        herd.proxy("Hill", "Smith").split_every_byte();
        everyone_learns_of_everyone(&herd, "in-pieces");
        // The hand-shake and the digests too.
        herd.proxy("Hill", "Smith").cut();
        until("the link is down", || !herd["Smith"].is_linked_to("Hill"));
        let meanwhile: Vec<String> =
            (0..50).map(|i| herd["Hill"].ask(&format!("IAMAT m{i} +1-1 {i}"))).collect();
        herd.proxy("Hill", "Smith").heal();
        for (i, at) in meanwhile.iter().enumerate() {
            herd["Smith"].wait_for_at(&format!("m{i}"), at);
        }
        is_in_sync(&herd, "after");
    }
}

#[test]
fn frozen_link() {
    // Nothing is closed, nothing comes through: only time can tell, thirty seconds of it.
    let herd = Herd::pair().keyed().proxied("Hill", "Smith").start();
    everyone_learns_of_everyone(&herd, "before");
    herd.proxy("Hill", "Smith").freeze();
    let meanwhile = herd["Smith"].ask("IAMAT meanwhile +1-1 1");
    let words = "is down: it was silent for 30 s";
    until_within(3 * PATIENCE, "both give the link up", || {
        herd["Hill"].log.has(words) && herd["Smith"].log.has(words)
    });
    herd.proxy("Hill", "Smith").heal();
    herd["Hill"].wait_for_at("meanwhile", &meanwhile);
    is_in_sync(&herd, "after");
}

#[test]
fn key_rollover() {
    let mut herd = Herd::five().keyed().start();
    let old = std::fs::read_to_string(herd.folder.path("Hill.key")).expect("it was written");
    let new = key(99);
    everyone_learns_of_everyone(&herd, "old");
    let steps = [&[old.as_str(), new.as_str()][..], &[new.as_str(), old.as_str()], &[new.as_str()]];
    for (step, keys) in steps.iter().enumerate() {
        for name in herd.names() {
            herd.write_keys(name, keys);
            herd[name].restart();
            herd.wait_for_links();
        }
        everyone_learns_of_everyone(&herd, &format!("step-{step}"));
    }
    for node in herd.running() {
        assert!(node.at("old-Hill").is_some(), "{} learnt back what was known before", node.name);
        assert!(!node.log.has("refused"), "{}", node.log.tail());
    }
}

#[test]
fn key_required() {
    let herd = Herd::one().build();
    herd.edit_map("Hill", &herd["Hill"].clients.ip().to_string(), "192.0.2.1");
    let (code, _, received) = ran(&mut herd.serve("Hill"));
    assert_eq!(code, Some(1), "{received}");
    assert!(
        received.contains("is not loopback, but the configuration has no key_file")
            && received.contains("make a key"),
        "{received}"
    );
}

#[test]
fn refusals_rate_limited() {
    // A node alone has nothing to do: it wakes for this and nothing else.
    let herd = Herd::one().start();
    for _ in 0..5 {
        let mut stranger = Stranger::connect(herd["Hill"].links);
        stranger.say("nonsense\n");
        stranger.until_closed();
    }
    let (refused, last) = ("WARN  refused a link connection: ", " (the last of 4 like it in 10 s)");
    // Another thread reads the log, so the line may come after the end of the connection.
    herd["Hill"].log.wait_for(refused);
    assert_eq!(herd["Hill"].log.count(refused), 1, "{}", herd["Hill"].log.tail());
    herd["Hill"].log.wait_for(last);
    assert_eq!(herd["Hill"].log.count(refused), 2, "{}", herd["Hill"].log.tail());
}

/// Puts other text for the address of a node's links in the configuration of another, or of itself.
fn write_links(herd: &Herd, reader: &str, node: &str, links: &str) {
    herd.edit_map(reader, &format!("\"links\": \"{}\"", herd[node].links), &format!("\"links\": {links}"));
}

#[test]
fn host_names() {
    let mut herd = Herd::five().build();
    for reader in herd.names() {
        for node in herd.names() {
            let port = herd[node].links.port();
            write_links(&herd, reader, node, &format!("\"localhost:{port}\""));
        }
    }
    herd.start_built();
    is_in_sync(&herd, "before");
    for name in ["Smith", "Hill"] {
        let listens = format!("to its neighbours on 127.0.0.1:{}", herd[name].links.port());
        herd[name].log.wait_for(&listens);
        herd[name].restart();
        is_in_sync(&herd, &format!("after-{name}"));
    }
    let tasks = std::fs::read_dir(format!("/proc/{}/task", herd["Hill"].pid())).expect("it is our child");
    for task in tasks {
        let name = std::fs::read_to_string(task.expect("an entry").path().join("comm")).unwrap_or_default();
        assert_ne!(name.trim(), "look-up", "a look-up's thread ends with it");
    }
}

#[test]
fn name_without_address() {
    let mut herd =
        Herd::of(&["Hill", "Smith", "Zion"], &[("Hill", "Smith"), ("Hill", "Zion")]).keyed().build();
    let port = herd["Zion"].links.port();
    let listen = format!("\"nothing.invalid:{port}\", \"listen\": \"127.0.0.1:{port}\"");
    for reader in herd.names() {
        write_links(&herd, reader, "Zion", &listen);
    }
    // Zion knows Hill by a wrong name, so it cannot ask to be dialled back.
    write_links(&herd, "Zion", "Hill", "\"nothing.invalid:1\"");
    herd.names().into_iter().for_each(|name| herd[name].start());
    until("Hill and Smith are linked", || {
        herd["Hill"].is_linked_to("Smith") && herd["Smith"].is_linked_to("Hill")
    });
    let dials_failed = || herd.status("Hill")["counters"]["dials_failed"].as_u64();
    until("Hill has dialled in vain twice", || dials_failed() > Some(2));
    let (zion, words) = (&herd.status("Hill")["links"][1], "no address found for nothing.invalid: ");
    assert!(zion["last_error"].as_str().is_some_and(|error| error.starts_with(words)), "{zion}");
    herd["Hill"].log.wait_for(words);
    assert_eq!(herd["Hill"].log.count(words), 1, "the same warning again says nothing new");
    // The name becomes known.
    for reader in ["Hill", "Zion"] {
        herd.edit_map(reader, &format!("nothing.invalid:{port}"), &format!("localhost:{port}"));
    }
    herd["Hill"].signal(Signal::HUP);
    is_in_sync(&herd, "after");
    assert_eq!(herd["Hill"].log.count(words), 1);
}
