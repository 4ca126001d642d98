//! Peers with a neighbour's name, and perhaps its key: a stranger, a copied SD card, a faulty node.

use std::fmt::Write as _;

use herd_test_support::{Folder, Herd, Launch, Node, Stranger, free_addresses, until};
use serde_json::Value;

#[test]
fn no_trace_in_link() {
    let herd = Herd::pair().keyed().start();
    for lines in [format!("PROOF {}\n", "0".repeat(64)), "U 0 AT\n".to_owned(), "x".repeat(4_000)] {
        let mut stranger = Stranger::connect(herd["Smith"].links);
        stranger.say_hello("Hill");
        stranger.say(lines);
        stranger.until_closed();
    }
    let smith = herd.status("Smith");
    assert_eq!((&smith["links"][0]["is_up"], &smith["links"][0]["last_error"]), (&true.into(), &Value::Null));
    assert_eq!(smith["counters"]["handshakes_failed"], 3);
    // The log has it all the same.
    herd["Smith"].log.wait_for("refused a link connection that claims to be Hill");
}

#[test]
fn name_in_use_twice() {
    let herd = Herd::pair().keyed().start();
    // The same card in another board: the same name and key, and addresses of its own.
    let (folder, addresses) = (Folder::new(), free_addresses(2));
    let map = herd
        .map_text("Hill")
        .replace(&herd["Hill"].clients.to_string(), &addresses[0].to_string())
        .replace(&herd["Hill"].links.to_string(), &addresses[1].to_string())
        .replace("\"Hill.key\"", &format!("{:?}", herd.folder.path("Hill.key")));
    let launch = Launch { map: folder.write("Hill.json", map), ..herd["Hill"].launch.clone() };
    let mut copy = Node::new("Hill", addresses[0], addresses[1], launch);
    copy.start();
    herd["Smith"].log.wait_for("two boards use the name Hill, at 127.0.0.1 and 127.0.0.1");
    let smith = herd.status("Smith");
    assert_eq!(smith["links"][0]["name_in_use_at"], "127.0.0.1 and 127.0.0.1");
    assert!(smith["counters"]["names_in_use"].as_u64() > Some(0));
    assert!(
        herd.ran(&["status", "Smith"]).1.contains("two boards use this name, at 127.0.0.1 and 127.0.0.1")
    );
    until("the herd is not well", || {
        herd.ran(&["status", "--all", "Smith"]).1.contains("two boards use the name Hill, reports Smith")
    });
}

#[test]
fn digest_storm() {
    let herd = Herd::pair().played("Hill").start();
    let smith = &herd["Smith"];
    let lines: String = (0..1_000).fold(String::new(), |mut lines, n| {
        writeln!(lines, "IAMAT client{n} +1-1 {}", 1_700_000_000 + n).expect("a String takes every write");
        lines
    });
    let mut client = smith.client();
    client.send(lines);
    (0..1_000).for_each(|_| assert!(client.line().starts_with(b"AT Smith ")));
    let mut updates = 0;
    for _ in 0..3 {
        let mut insider = Stranger::connect(smith.links);
        insider.say_hello("Hill");
        for round in 0..200_u64 {
            insider.say(format!("D {round} {:016x}{} -\n", round + 1, "5a".repeat(504)));
        }
        updates += insider.until_closed().lines().filter(|line| line.starts_with("U ")).count();
    }
    // What is pending when a link comes up is one table; two more are what differing digests may ask for at once.
    assert!(updates <= 3 * 1_000 + 200, "{updates} updates");
    let counters = &herd.status("Smith")["counters"];
    assert!(counters["digests_over_rate"].as_u64() >= Some(150), "{counters}");
    smith.log.wait_for("it compares tables without pause");
}

/// One of the two has a configuration without the edge between them. Both ends say the same, and no link comes up.
#[test]
fn other_configuration() {
    let words = "the two nodes have different configuration files: give both nodes the same file";
    for (keyed, refusing, refused) in
        [(true, "Smith", "Hill"), (true, "Hill", "Smith"), (false, "Smith", "Hill"), (false, "Hill", "Smith")]
    {
        let edges = [("Hill", "Smith"), ("Hill", "Zion"), ("Smith", "Zion")];
        let mut herd = Herd::of(&["Hill", "Smith", "Zion"], &edges).keyed_if(keyed).played("Zion").build();
        herd.edit_map(refusing, "[\"Hill\", \"Smith\"], ", "");
        for name in [refusing, refused] {
            herd[name].start();
        }
        herd[refusing].log.wait_for(&format!("refused a link connection: {words}"));
        // Without keys a HELLO is enough for the refused end: its link can come up before it goes down.
        let fate = if keyed { "does not come up" } else { "" };
        until("the refused end says the same", || {
            let line = herd[refused].log.last(words).unwrap_or_default();
            line.contains(&format!("link to {refusing} ")) && line.contains(fate)
        });
        let links = herd.status(refused)["links"].clone();
        let link = links.as_array().and_then(|links| links.iter().find(|link| link["node"] == refusing));
        let link = link.expect("it is a neighbour");
        assert_eq!(link["last_error"], words, "{refused}");
        assert!(!herd[refusing].log.has("is up"));
        assert!(!keyed || !herd[refused].log.has("is up"));
        assert!(herd.running().all(|node| !node.log.has("same key")));
    }
}
