//! Five nodes and fewer: what one hears all come to know, and what is lost comes back.

use herd_test_support::{
    Herd, Node, Stranger, everyone_learns_of_everyone, exchange, now_ns, until, until_some,
};
use rustix::process::Signal;
use std::net::TcpListener;

#[test]
fn all_nodes_learn() {
    for keyed in [false, true] {
        let herd = Herd::five().keyed_if(keyed).start();
        everyone_learns_of_everyone(&herd, "first");
        everyone_learns_of_everyone(&herd, "second");
    }
}

#[test]
fn newest_wins() {
    let herd = Herd::five().start();
    herd["Hill"].ask("IAMAT kiwi +10-10 100");
    let newer = herd["Campbell"].ask("IAMAT kiwi +20-20 100.000000001");
    herd.wait_for_at("kiwi", &newer);
    // Older than what is known: answered with its own data, and changes nothing anywhere.
    for (name, time) in [("Jaquez", "100"), ("Campbell", "99"), ("Smith", "-1"), ("Hill", "100.0000000009")] {
        let answer = herd[name].ask(&format!("IAMAT kiwi +30-30 {time}"));
        assert!(
            answer.starts_with(&format!("AT {name} +")) && answer.ends_with(&format!(" {time}")),
            "{answer}"
        );
    }
    // What came after it on every link has arrived, so the older would have too.
    everyone_learns_of_everyone(&herd, "after");
    for node in herd.running() {
        assert_eq!(node.at("kiwi").as_ref(), Some(&newer), "{}", node.name);
    }
}

#[test]
fn same_time_larger_name() {
    let herd = Herd::five().start();
    let answers: Vec<String> = ["Smith", "Hill", "Singleton", "Campbell", "Jaquez"]
        .iter()
        .map(|name| herd[name].ask("IAMAT kiwi +10-10 5"))
        .collect();
    herd.wait_for_at("kiwi", &answers[0]);
    everyone_learns_of_everyone(&herd, "after");
    herd.wait_for_at("kiwi", &answers[0]);
}

#[test]
fn killed_node_relearns() {
    let mut herd = Herd::five().keyed().start();
    let says = |node: &Node, i: u32| node.ask(&format!("IAMAT client-{i} +{}-118 {i}", i % 90));
    let mut client_count = 0;
    for name in herd.names() {
        let before: Vec<String> = (0..100).map(|i| says(&herd[name], client_count + i)).collect();
        herd.wait_for_at(&format!("client-{}", client_count + 99), &before[99]);
        herd[name].kill();
        // The herd goes on without it, and learns of new clients meanwhile.
        let other = if name == "Hill" { "Campbell" } else { "Hill" };
        let meanwhile = says(&herd[other], client_count + 100);
        herd.wait_for_at(&format!("client-{}", client_count + 100), &meanwhile);
        everyone_learns_of_everyone(&herd, &format!("without-{name}"));
        herd[name].start();
        for (i, at) in (client_count..).zip(before.iter().chain([&meanwhile])) {
            herd[name].wait_for_at(&format!("client-{i}"), at);
        }
        herd.wait_for_links();
        client_count += 101;
    }
    everyone_learns_of_everyone(&herd, "at-last");
}

#[test]
fn partition_heals() {
    for keyed in [false, true] {
        let mut herd = Herd::five().keyed_if(keyed).start();
        let whole = herd["Jaquez"].ask("IAMAT whole +1-1 1");
        herd.wait_for_at("whole", &whole);
        // Without these two no path exists between Campbell and the others.
        herd["Smith"].kill();
        herd["Singleton"].kill();
        let here = herd["Hill"].ask("IAMAT here +2-2 2");
        let there = herd["Campbell"].ask("IAMAT there +3-3 3");
        let older = herd["Campbell"].ask("IAMAT both +4-4 4");
        let newer = herd["Jaquez"].ask("IAMAT both +5-5 5");
        herd["Jaquez"].wait_for_at("here", &here);
        assert_eq!(herd["Campbell"].at("here"), None);
        assert_eq!(herd["Hill"].at("there"), None);
        assert_eq!(herd["Campbell"].at("both").as_ref(), Some(&older));
        herd["Singleton"].start();
        herd["Smith"].start();
        for (id, at) in [("whole", &whole), ("here", &here), ("there", &there), ("both", &newer)] {
            herd.wait_for_at(id, at);
        }
        herd.wait_for_links();
    }
}

#[test]
fn cut_edge_catches_up() {
    for keyed in [false, true] {
        let herd = Herd::pair().keyed_if(keyed).proxied("Hill", "Smith").start();
        everyone_learns_of_everyone(&herd, "before");
        for turn in 0..2 {
            herd.proxy("Hill", "Smith").cut();
            until("both have seen it", || {
                !herd["Hill"].is_linked_to("Smith") && !herd["Smith"].is_linked_to("Hill")
            });
            let hill: Vec<String> =
                (0..200).map(|i| herd["Hill"].ask(&format!("IAMAT h-{turn}-{i} +1-1 {i}"))).collect();
            let smith = herd["Smith"].ask(&format!("IAMAT s-{turn} +2-2 2"));
            assert_eq!(herd["Smith"].at(&format!("h-{turn}-0")), None);
            herd.proxy("Hill", "Smith").heal();
            for (i, at) in hill.iter().enumerate() {
                herd["Smith"].wait_for_at(&format!("h-{turn}-{i}"), at);
            }
            herd["Hill"].wait_for_at(&format!("s-{turn}"), &smith);
        }
    }
}

#[test]
fn frozen_neighbour() {
    let mut herd = Herd::five().keyed().start();
    everyone_learns_of_everyone(&herd, "before");
    // A node in the middle stands still with its connections open.
    herd["Smith"].signal(Signal::STOP);
    let mut last = String::new();
    let mut client = herd["Hill"].client();
    for turn in 0..20_000 {
        client.send(format!("IAMAT c{} +1-1 {turn}\n", turn % 1000));
        if turn % 100 == 99 {
            for _ in 0..100 {
                last = String::from_utf8(client.line()).expect("it is ASCII");
            }
        }
    }
    for name in ["Hill", "Jaquez", "Singleton", "Campbell"] {
        herd[name].wait_for_at("c999", &last);
    }
    let mut answers = Vec::new();
    for name in ["Campbell", "Jaquez", "Singleton"] {
        answers.push((name, herd[name].ask(&format!("IAMAT by-{name} +1-1 1"))));
    }
    for (name, at) in &answers {
        for other in ["Hill", "Jaquez", "Singleton", "Campbell"] {
            herd[other].wait_for_at(&format!("by-{name}"), at);
        }
    }
    herd["Smith"].signal(Signal::CONT);
    herd.wait_for_at("c999", &last);
    for (name, at) in &answers {
        herd.wait_for_at(&format!("by-{name}"), at);
    }
    for turn in 0..1000 {
        let at = herd["Hill"].at(&format!("c{turn}")).expect("Hill heard it");
        herd["Smith"].wait_for_at(&format!("c{turn}"), &at);
    }
    herd["Smith"].kill();
}

#[test]
fn deaf_neighbour() {
    // Hill dials Smith, whom the test plays; Campbell dials Hill.
    let herd =
        Herd::of(&["Campbell", "Hill", "Smith"], &[("Campbell", "Hill"), ("Hill", "Smith")]).played("Smith");
    let (mut herd, _link) = linked_to_a_played_smith(herd.build());
    herd["Campbell"].start();
    until("Hill is linked to Campbell", || herd["Hill"].is_linked_to("Campbell"));
    let before_kib = herd["Hill"].anonymous_kib();
    let mut client = herd["Hill"].client();
    let mut last = String::new();
    // Far more than the buffers of a socket hold, all about a thousand clients.
    for round in 0..60 {
        let lines: String =
            (0..1000).map(|i| format!("IAMAT {i:060} +34.068930-118.445127 {round}.{i:09}\n")).collect();
        std::thread::scope(|scope| {
            let mut socket = client.socket().try_clone().expect("descriptors are left");
            scope
                .spawn(move || std::io::Write::write_all(&mut socket, lines.as_bytes()).expect("Hill reads"));
            for _ in 0..1000 {
                last = String::from_utf8(client.line()).expect("it is ASCII");
            }
        });
    }
    herd["Campbell"].wait_for_at(&format!("{:060}", 999), &last);
    let grown_kib = herd["Hill"].grown_kib(before_kib);
    assert!(grown_kib < 1024, "{grown_kib} KiB more, its table included");
    assert!(herd["Hill"].is_linked_to("Smith"), "a node that does not read keeps its link");
    herd["Hill"].kill();
}

#[test]
fn half_open_link() {
    for keyed in [false, true] {
        let herd = Herd::pair().keyed_if(keyed).proxied("Hill", "Smith").start();
        everyone_learns_of_everyone(&herd, "before");
        // Hill's end is gone; Smith's is as open as ever.
        herd.proxy("Hill", "Smith").half_open();
        herd["Smith"].log.wait_for("the same neighbour made a newer link");
        everyone_learns_of_everyone(&herd, "after");
        herd.wait_for_links();
    }
}

#[test]
fn power_loss() {
    let mut herd = Herd::five().keyed().start();
    everyone_learns_of_everyone(&herd, "before");
    for name in herd.names() {
        herd[name].kill();
    }
    // In the order in which every dial is too early.
    for name in herd.names() {
        herd[name].launch();
    }
    for name in herd.names() {
        herd[name].try_wait_until_it_serves().unwrap_or_else(|why| panic!("{why}"));
    }
    herd.wait_for_links();
    // The memory was theirs alone, so nothing is left of it.
    assert_eq!(herd["Hill"].at("before-Hill"), None);
    everyone_learns_of_everyone(&herd, "after");
}

#[test]
fn bytes_unchanged() {
    let herd = Herd::five().keyed().start();
    let mut client = herd["Hill"].client();
    for id in
        [&b"\xff\x00\x1c\xa0 "[..4], "\u{fc}\u{1f95d}".as_bytes(), b"~0011223344556677", b"AT", &[0xfe; 64]]
    {
        for time in ["-9999999999999999999999999999999", "-0.00", "000.10", "1621464827.9594985030000"] {
            let fields = [b" ", id, b" +00.50-000.0 ", time.as_bytes(), b"\n"].concat();
            client.send([b"IAMAT", &fields[..]].concat());
            let at = client.raw_line();
            assert!(at.starts_with(b"AT Hill ") && at.ends_with(&fields), "{}", at.escape_ascii());
            let mut other = herd["Campbell"].client();
            until("Campbell holds it, byte for byte", || {
                other.send([b"WHATSAT ", id, b" 0 0\n"].concat());
                let line = other.raw_line();
                if line.starts_with(b"AT ") {
                    other.json();
                }
                line == at
            });
        }
    }
}

#[test]
fn full_table() {
    const TABLE: u64 = 4096;
    let herd = Herd::pair().start();
    let lines: String = (0..TABLE + 500).map(|i| format!("IAMAT c{i} +1-1 {i}\n")).collect();
    let answers = exchange(herd["Hill"].clients, lines.as_bytes());
    let answers = String::from_utf8(answers).expect("it is ASCII");
    let last = answers.lines().last().expect("there are answers");
    herd.wait_for_at(&format!("c{}", TABLE + 499), last);
    let newest: Vec<&str> = answers.lines().skip(500).collect();
    for (i, at) in newest.iter().enumerate().step_by(101) {
        herd.wait_for_at(&format!("c{}", i + 500), at);
    }
    for node in herd.running() {
        assert_eq!(node.at("c499"), None, "{} dropped the oldest", node.name);
    }
    // Older than all that a full table holds: answered and not stored.
    assert!(herd["Smith"].ask("IAMAT late +1-1 3").starts_with("AT Smith "));
    assert_eq!(herd["Smith"].at("late"), None);
}

#[test]
fn skew_by_own_clock() {
    let herd = Herd::pair().start();
    let before = now_ns();
    let at = herd["Smith"].ask("IAMAT kiwi +1-1 0");
    let after = now_ns();
    let stored = until_some("Hill holds it", || herd["Hill"].at("kiwi"));
    assert_eq!(stored, at, "it is not computed again");
    let skew = at.split(' ').nth(2).expect("a third field").replace(['+', '.'], "");
    assert!((before..=after).contains(&skew.parse().expect("nanoseconds")), "{at}");
}

/// Hill and a link of its own to Smith, whom the test plays without a key.
fn hill_with_a_played_smith() -> (Herd, Stranger) {
    linked_to_a_played_smith(Herd::pair().played("Smith").build())
}

fn linked_to_a_played_smith(mut herd: Herd) -> (Herd, Stranger) {
    let smith = TcpListener::bind(herd["Smith"].links).expect("the port is held for it");
    herd["Hill"].start();
    let mut link = Stranger::on(smith.accept().expect("Hill dials").0);
    link.say_hello("Smith");
    until("the link is up", || herd["Hill"].is_linked_to("Smith"));
    (herd, link)
}

/// The next update on the link; pings and digests are passed over.
fn next_update(link: &mut Stranger) -> String {
    until_some("an update comes", || link.line().filter(|line| line.starts_with("U ")))
}

#[test]
fn no_news_not_flooded() {
    let (herd, mut link) = hill_with_a_played_smith();
    let first = herd["Hill"].ask("IAMAT kiwi +1-1 5");
    assert!(next_update(&mut link).ends_with(&first));
    // The same again, and older.
    for line in ["IAMAT kiwi +1-1 5", "IAMAT kiwi +1-1 5", "IAMAT kiwi +2-2 4.999999999"] {
        assert!(herd["Hill"].ask(line).starts_with("AT Hill +"));
    }
    // What comes from a link does not go back on it.
    link.say("U 0 AT Smith +1.000000000 plum +3-3 3\n");
    herd["Hill"].wait_for_at("plum", "AT Smith +1.000000000 plum +3-3 3");
    let marker = herd["Hill"].ask("IAMAT marker +1-1 1");
    assert!(next_update(&mut link).ends_with(&marker), "nothing came before it");
    assert_eq!(herd["Hill"].at("kiwi"), Some(first));
}

/// A stolen board has a key. What it sends too fast is read later, and the node serves its clients meanwhile.
#[test]
fn fast_neighbour_is_named() {
    let herd = Herd::pair().played("Smith").build();
    herd.add_member("Hill", "\"clients_max\": 16");
    let (herd, mut link) = linked_to_a_played_smith(herd);
    // The pace of a small table is 1,024 a second, and twice that at once.
    let updates: String =
        (0..3_000).map(|n| format!("U 0 AT Smith +1.000000000 c{} +3-3 {n}\n", n % 10)).collect();
    link.say(updates);
    let at = herd["Hill"].ask("IAMAT kiwi +1-1 5");
    assert!(at.starts_with("AT Hill "), "{at}");
    let received = |member: &str| herd.status("Hill")["links"][0]["received"][member].as_u64();
    until("all is read", || received("updates") == Some(3_000));
    assert!(received("waits") >= Some(1));
    herd["Hill"].wait_for_at("c9", "AT Smith +1.000000000 c9 +3-3 2999");
    assert!(herd["Hill"].is_linked_to("Smith"));
}

#[test]
fn impossible_update() {
    let (herd, mut link) = hill_with_a_played_smith();
    let ahead = now_ns() / 1_000_000_000 + 2 * 86_400;
    for (age_s, update) in [
        (86_400, "AT Smith +1.000000000 old +1-1 1".to_owned()),
        (u64::from(u32::MAX), "AT Smith +1.000000000 older +1-1 1".to_owned()),
        (0, "AT Mallory +1.000000000 unlisted +1-1 1".to_owned()),
        (0, format!("AT Smith +1.000000000 ahead +1-1 {ahead}")),
    ] {
        link.say(format!("U {age_s} {update}\n"));
    }
    let last = "AT Smith +1.000000000 last +1-1 1";
    link.say(format!("U 80000 {last}\n"));
    herd["Hill"].wait_for_at("last", last);
    for id in ["old", "older", "unlisted", "ahead"] {
        assert_eq!(herd["Hill"].at(id), None);
    }
    assert!(herd["Hill"].is_linked_to("Smith"), "none of that is a reason to part");
    link.say("U 0 AT Smith 1.000000000 malformed +1-1 1\n");
    herd["Hill"].log.wait_for("link to Smith is down: a line made no sense");
    assert_eq!(herd["Hill"].at("malformed"), None);
    assert_eq!(herd["Hill"].at("last").as_deref(), Some(last));
}
