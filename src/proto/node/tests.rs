//! Tests of whole nodes, joined by pipes in memory, with a clock that the test moves.

use super::*;
use crate::fields::ClientId;
use crate::herd_tests::{Herd, WALL_NS, keys, node};
use crate::limits::{ANSWER_BYTES_MAX, DIGEST_EVERY_MS, NONCE_BYTES, STRANGER_MS_MIN};
use crate::node::Answer;
use crate::noise::connection::{FRESH_BYTES, Fresh};
use crate::out::Out;
use crate::quota::QuotaKey;
use crate::time::Timestamp;

#[test]
fn an_update_reaches_every_node_once_per_link() {
    for keys in [None, keys()] {
        let mut herd = Herd::of(&[32; 4], &keys);
        herd.run(1_000);
        let answer = herd.iamat(1, "IAMAT kiwi +34.068930-118.445127 1699999999.5");
        assert_eq!(answer, "AT Hill +1.500000000 kiwi +34.068930-118.445127 1699999999.5\n");
        herd.run(10);
        assert!((0..4).all(|node| herd.knows(node, "kiwi")));
        assert_eq!(herd.updates(), 3);
        herd.iamat(1, "IAMAT kiwi +34.068930-118.445127 1699999999.5");
        herd.run(10);
        assert_eq!(herd.updates(), 3, "a duplicate is not flooded again");
        herd.run(2 * DIGEST_EVERY_MS);
        assert!(herd.all_equal());
        assert!(herd.cuts.is_empty());
        assert_eq!(herd.updates(), 3, "equal digests cause no updates");
    }
}

#[test]
fn a_healed_cut_and_a_restart_are_made_good() {
    let mut herd = Herd::of(&[32; 3], &keys());
    herd.run(1_000);
    herd.reachable = false;
    herd.cut_all();
    for (node, client) in ["a", "b", "c"].into_iter().enumerate() {
        herd.iamat(node, &format!("IAMAT {client} +1+1 1699999999"));
    }
    herd.run(60_000);
    assert!(!herd.knows(0, "c"));
    herd.reachable = true;
    herd.run(31_000);
    assert!((0..3).all(|node| ["a", "b", "c"].iter().all(|client| herd.knows(node, client))));
    assert!(herd.all_equal());

    herd.cut_all();
    herd.nodes[1] = node(1, 3, 32, keys(), 99);
    // A restarted node would have a new steady clock. The pipes share one here, which is sufficient.
    herd.events.clear();
    herd.run(31_000);
    assert!(
        ["a", "b", "c"].iter().all(|client| herd.knows(1, client)),
        "the neighbours send the table again"
    );
    let restarted = |event: &LinkEvent| matches!(event, LinkEvent::Up { restarted: true, .. });
    assert_eq!(herd.events.iter().filter(|event| restarted(event)).count(), 2);
}

#[test]
fn boards_of_unlike_size_agree_on_the_newest() {
    let mut herd = Herd::of(&[4, 32], &keys());
    herd.run(1_000);
    for i in 0..20 {
        herd.iamat(1, &format!("IAMAT c{i:02} +1+1 {}", 1_699_999_000 + i));
        herd.run(10);
    }
    herd.cut_all();
    herd.run(31_000);
    assert!((16..20).all(|i| herd.knows(0, &format!("c{i}"))));
    assert_eq!(herd.nodes[0].table().len(), 4);
    assert!(herd.all_equal(), "they only compare above the floor of the small board");
    let before = herd.traffic.len();
    herd.run(DIGEST_EVERY_MS * 2);
    let digests = herd.traffic[before..].iter().filter(|line| line.contains(" D ")).count();
    assert!(digests <= 3 * 3, "the exchange about floors does not end: {digests}");
}

#[test]
fn a_silent_neighbour_is_dialled_again() {
    let mut herd = Herd::of(&[32; 2], &keys());
    herd.run(1_000);
    assert!(herd.events.iter().any(|event| matches!(event, LinkEvent::Up { .. })));
    // The cable is cut. Both ends only see silence.
    herd.pipes.clear();
    herd.run(29_000);
    herd.reachable = false;
    herd.run(2_000);
    assert_eq!(herd.cuts, [Cut::Silent, Cut::Silent]);
    herd.reachable = true;
    herd.run(31_000);
    assert!(herd.nodes[0].links().all(|link| link.up_since.is_some()));
}

#[test]
fn a_board_that_comes_back_is_linked_at_once() {
    for keys in [None, keys()] {
        let mut herd = Herd::of(&[32; 3], &keys);
        herd.run(2_000);
        herd.iamat(0, "IAMAT kiwi +1+1 1699999999");
        herd.reachable = false;
        herd.cut_all();
        // By now its neighbours dial every 30 s.
        herd.run(300_000);
        herd.reachable = true;
        herd.nodes[1] = node(1, 3, 32, keys.clone(), 99);
        herd.run(100);
        assert!(herd.nodes.iter().all(|node| node.links().all(|link| link.up_since.is_some())));
        assert!(herd.knows(1, "kiwi"));

        // The power fails. Its neighbours would wait for 30 s until the link times out.
        herd.run(2_000);
        herd.pipes.clear();
        herd.nodes[1] = node(1, 3, 32, keys.clone(), 100);
        herd.run(100);
        assert!(herd.nodes.iter().all(|node| node.links().all(|link| link.up_since.is_some())));
        assert!(herd.knows(1, "kiwi"));
        // One neighbour learns of the restart from a dial-back request, the other from a newer link.
        assert_eq!(herd.cuts.len(), 2);
        assert!(herd.cuts.contains(&Cut::Abandoned) && herd.cuts.contains(&Cut::Replaced));
        assert_eq!(herd.nodes[1].counters().dial_back_requests, 0);
        assert!(
            herd.nodes[0].counters().dial_back_requests >= 2,
            "the node whose name sorts first gets the dial-back request"
        );
    }
}

#[test]
fn a_late_dial_back_request_leaves_a_good_link() {
    let mut herd = Herd::of(&[32; 2], &keys());
    // Campbell accepts Hill's dial-back request. Its lines are delayed until Campbell's dial has made the link.
    let now = herd.now();
    let here = herd.nodes[1].take_dial(now.mono).expect("both dial at the start");
    let fresh = || Fresh::from([9; FRESH_BYTES]);
    let request = herd.nodes[1].open(now.mono, Some(here), fresh()).expect("the link is down");
    let dial_back_asked = herd.nodes[0].open(now.mono, None, fresh()).expect("any host may connect");
    herd.run(100);
    assert!(herd.nodes.iter().all(|node| node.links().all(|link| link.up_since.is_some())));
    assert!(!herd.nodes[1].is_open(request), "the link's start ends the request");
    assert!(herd.nodes[0].is_open(dial_back_asked));
    let now = herd.now().mono;
    herd.nodes[0].expect(dial_back_asked);
    herd.nodes[0].closed(now, dial_back_asked);
    herd.run(DIGEST_EVERY_MS);
    assert!(herd.cuts.is_empty() && herd.all_equal());
    assert_eq!(herd.nodes[0].counters().handshakes_failed, 0, "its neighbour gave it up");
    let stranger = herd.nodes[0].open(now, None, fresh()).expect("any host may connect");
    herd.nodes[0].closed(now, stranger);
    assert_eq!(herd.nodes[0].counters().handshakes_failed, 1);
}

#[test]
fn a_link_that_fails_at_once_backs_off() {
    // The dialling end has no key, so the other end's HELLO brings its link up.
    let mut herd = Herd::of(&[32; 2], &None);
    herd.nodes[1] = node(1, 2, 32, keys(), 2);
    herd.run(600_000);
    let ups = herd.events.iter().filter(|event| matches!(event, LinkEvent::Up { .. })).count();
    assert!((15..60).contains(&ups), "up {ups} times in ten minutes");
}

#[test]
fn simultaneous_rounds_end() {
    for capacities in [[32, 32], [4, 32]] {
        let mut herd = Herd::of(&capacities, &keys());
        herd.run(2_000);
        for i in 0..20 {
            herd.iamat(i % 2, &format!("IAMAT c{i:02} +1+1 {}", 1_699_999_000 + i));
        }
        herd.run(5_000);
        let before = herd.traffic.len();
        let now = herd.now().mono;
        for node in &mut herd.nodes {
            for session in node.sessions.iter_mut().filter(|session| session.phase == Phase::Up) {
                session.begin_round(now, u64::from(session.dialled), DIGEST_EVERY_MS);
            }
            node.wakes = u32::MAX;
        }
        herd.run(1_000);
        let digests = herd.traffic[before..].iter().filter(|line| line.contains(" D ")).count();
        assert!((4..=8).contains(&digests), "{digests} lines for two rounds");
        assert!(herd.all_equal());
    }
}

#[test]
fn idle_links_only_ping() {
    let mut herd = Herd::of(&[32; 2], &keys());
    herd.run(1_000);
    let before = herd.traffic.len();
    herd.run(50_000);
    let lines = &herd.traffic[before..];
    assert_eq!(lines.len(), 10, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains(" P ")));
}

#[test]
fn a_differing_digest_ends_in_sync() {
    let mut node = node(0, 2, 32, None, 1);
    let now = Now { mono: Mono(0), wall: Timestamp(WALL_NS), wall_is_trusted: true };
    let hill = node.take_dial(now.mono).expect("Campbell sorts first");
    let id = node.open(now.mono, Some(hill), [0; FRESH_BYTES].into()).expect("the link is down");
    node.link_line(&now, id, format!("HELLO 1 Hill 7 32 {}", "00".repeat(NONCE_BYTES)).as_bytes());
    let is_in_sync = |node: &Node<64>| node.links().all(|link| link.is_in_sync());
    let equal = node.link_line(&now, id, format!("D 1 {} -", "0".repeat(1024)).as_bytes());
    assert_eq!(equal, LinkEvent::Equal { node: hill });
    assert!(is_in_sync(&node));
    // Hill holds entries, and this node is empty.
    let differs = node.link_line(&now, id, format!("D 2 {} -", "1".repeat(1024)).as_bytes());
    assert_eq!(differs, LinkEvent::Differs { node: hill, pending: 0 });
    assert!(!is_in_sync(&node));
}

#[test]
fn a_trusted_clock_removes_entries_too_far_ahead() {
    let mut node = node(0, 1, 32, None, 1);
    // The clock is years ahead while it is not trusted, so a time up to the clock ranks unchanged.
    let now = |wall_is_trusted| {
        let wall = if wall_is_trusted { WALL_NS } else { 9_100_000_000_000_000_000 };
        Now { mono: Mono(0), wall: Timestamp(wall), wall_is_trusted }
    };
    node.tick(&now(true));
    let mut bytes = [0; ANSWER_BYTES_MAX];
    for (trusted, held) in [(true, 0), (false, 1)] {
        let line = b"IAMAT early +1+1 9000000000";
        assert!(matches!(
            node.client_line(&now(trusted), QuotaKey::EXEMPT, line, &mut Out::new(&mut bytes)),
            Answer::Done
        ));
        assert_eq!(node.table().len(), held);
    }
    node.tick(&now(true));
    assert!(node.table().is_empty());
}

/// Uptime in seconds, the clock in seconds, whether the clock is trusted, and a client's line.
type Step = (u64, i64, bool, &'static str);

/// The client's time in the table after these updates.
fn held_after(updates: &[Step]) -> String {
    let mut node = node(0, 1, 32, None, 1);
    for (mono_s, wall_s, wall_is_trusted, line) in updates {
        let wall = Timestamp(wall_s * 1_000_000_000);
        let now = Now { mono: Mono(mono_s * 1_000), wall, wall_is_trusted: *wall_is_trusted };
        let mut bytes = [0; ANSWER_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        assert!(matches!(node.client_line(&now, QuotaKey::EXEMPT, line.as_bytes(), &mut out), Answer::Done));
        let line = line.strip_prefix("IAMAT ").expect("a test's line is an IAMAT");
        assert!(out.written().ends_with(format!(" {line}\n").as_bytes()), "the answer holds what was sent");
    }
    let client = ClientId::parse(b"kiwi").expect("an id");
    let sighting = node.table().get(&client, 100).expect("the client was just heard");
    let mut bytes = [0; 32];
    let mut out = Out::new(&mut bytes);
    sighting.time.put(&mut out);
    String::from_utf8_lossy(out.written()).into_owned()
}

#[test]
fn a_time_ahead_yields_to_the_next_update() {
    let nines = "IAMAT kiwi +1+1 9999999999999999999999999999999";
    let table: [(&str, &[Step]); 9] = [
        ("101", &[(1, 100, true, "IAMAT kiwi +1+1 86499"), (2, 101, true, "IAMAT kiwi +2+2 101")]),
        // The later update wins, although both times are ahead.
        ("86000", &[(1, 100, true, "IAMAT kiwi +1+1 86499"), (2, 101, true, "IAMAT kiwi +2+2 86000")]),
        // An older update changes nothing. Neither does one that was sent before the stored one.
        ("101", &[(1, 101, true, "IAMAT kiwi +1+1 101"), (2, 102, true, "IAMAT kiwi +2+2 100")]),
        ("86499", &[(1, 100, true, "IAMAT kiwi +1+1 86499"), (2, 101, true, "IAMAT kiwi +2+2 99")]),
        // The clock is right and not trusted.
        ("101", &[(1, 100, false, nines), (2, 101, false, "IAMAT kiwi +2+2 101")]),
        ("1764000000000", &[(1, 100, false, nines), (2, 101, false, "IAMAT kiwi +2+2 1764000000000")]),
        // The clock is years behind, stops, or goes back.
        ("5000", &[(1, 100, false, nines), (2, 101, false, "IAMAT kiwi +2+2 5000")]),
        ("5001", &[(1, 100, false, nines), (1, 100, false, "IAMAT kiwi +2+2 5001")]),
        ("5002", &[(1, 100, false, nines), (2, 50, false, "IAMAT kiwi +2+2 5002")]),
    ];
    for (held, updates) in table {
        assert_eq!(held_after(updates), held, "{updates:?}");
    }
}

#[test]
fn times_ahead_of_the_clock_evict_no_client() {
    let mut node = node(0, 1, 32, None, 1);
    let mut say = |at_s: i64, trusted, line: String| {
        let now = Now {
            mono: Mono(at_s.unsigned_abs() * 1_000),
            wall: Timestamp(at_s * 1_000_000_000),
            wall_is_trusted: trusted,
        };
        let mut bytes = [0; ANSWER_BYTES_MAX];
        let answer = node.client_line(&now, QuotaKey::EXEMPT, line.as_bytes(), &mut Out::new(&mut bytes));
        matches!(answer, Answer::Places(_))
    };
    for trusted in [true, false] {
        for i in 0..100 {
            say(100 + i, trusted, format!("IAMAT ahead{i} +0+0 {}", 100 + i + 80_000));
        }
        for i in 0..32 {
            say(300 + i, trusted, format!("IAMAT honest{i} +1+1 {}", 300 + i));
        }
        for i in 0..32 {
            assert!(say(400, trusted, format!("WHATSAT honest{i} 1 1")), "{trusted} {i}");
        }
    }
}

#[test]
fn an_update_over_the_quota_is_not_stored() {
    let mut node = node(0, 2, 4, None, 1);
    node.set_clients_per_address(2);
    let now = Now { mono: Mono(0), wall: Timestamp(WALL_NS), wall_is_trusted: true };
    let (one, other) = ("192.0.2.7", "192.0.2.8");
    let (one, other) = (
        node.quota_key(one.parse().expect("an address")),
        node.quota_key(other.parse().expect("an address")),
    );
    let mut say = |quota_key, id: &str, time: u32| {
        let mut bytes = [0; ANSWER_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        let line = format!("IAMAT {id} +1+1 {time}");
        assert!(matches!(node.client_line(&now, quota_key, line.as_bytes(), &mut out), Answer::Done));
        assert!(out.written().starts_with(b"AT Campbell "), "the answer is the same in any case");
        assert!(out.written().ends_with(format!(" {id} +1+1 {time}\n").as_bytes()));
        (node.table().len(), node.table().pending().count(0), node.counters().iamat_over_quota)
    };
    assert_eq!(say(one, "a", 10), (1, 1, 0));
    assert_eq!(say(one, "b", 11), (2, 2, 0));
    assert_eq!(say(one, "c", 12), (2, 2, 1), "neither stored nor pending");
    assert_eq!(say(one, "a", 20), (2, 2, 1), "an address may update its own entry");
    assert_eq!(say(QuotaKey::EXEMPT, "c", 12), (3, 3, 1));
    assert_eq!(say(one, "c", 13), (3, 3, 2), "an address over its quota cannot take over an entry");
    assert_eq!(say(other, "a", 21), (3, 3, 2), "a client has changed its address");
    assert_eq!(say(one, "d", 14), (4, 4, 2), "the address has room again");
    assert_eq!(say(one, "e", 15), (4, 4, 3), "an update over the quota evicts nothing");
    assert_eq!(say(one, "f", 1), (4, 4, 3), "an update below the floor has its own counter");
    assert_eq!(say(one, "b", 1), (4, 4, 3));
    let counters = node.counters();
    assert_eq!((counters.iamat_table_full, counters.iamat_stale), (1, 1));
}

#[test]
fn a_connection_that_speaks_http_ends() {
    let mut node = node(0, 1, 4, None, 1);
    let now = Now { mono: Mono(0), wall: Timestamp(WALL_NS), wall_is_trusted: true };
    let mut bytes = [0; ANSWER_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    let answer = node.client_line(&now, QuotaKey::EXEMPT, b"POST / HTTP/1.1\r", &mut out);
    assert!(matches!(answer, Answer::Close));
    assert_eq!(out.written(), b"? POST / HTTP/1.1\r\n");
    assert!(node.count_long_line(b"GET /long") && !node.count_long_line(b"IAMAT long"));
    assert_eq!((node.counters().http_clients_refused, node.counters().invalid), (2, 3));
}

/// Sends lines as the acceptor Hill to the dialling node Campbell.
fn hostile(keys: Option<Keys>, lines: &[&str]) -> Option<Cut> {
    let mut node = node(0, 2, 32, keys, 1);
    let now = Now { mono: Mono(0), wall: Timestamp(WALL_NS), wall_is_trusted: true };
    let hill = node.take_dial(now.mono).expect("Campbell sorts first");
    let id = node.open(now.mono, Some(hill), [0; FRESH_BYTES].into()).expect("the link is down");
    for line in lines {
        node.link_line(&now, id, line.as_bytes());
    }
    let cut = node.take_cut();
    assert!(cut.is_none_or(|(cut_id, _)| cut_id == id));
    assert!(node.table().is_empty(), "an unauthenticated line does not reach the table");
    cut.map(|(_, ended)| ended.cut)
}

#[test]
fn malformed_and_early_lines_end_the_link() {
    const HELLO: &str = "HELLO 1 Hill 1 4096 00000000000000000000000000000000";
    const U: &str = "U 0 AT Hill +0.000000000 kiwi +1+1 1";
    let proof = format!("PROOF {}", "0".repeat(64));
    let table: [(Option<Keys>, &[&str], Option<Cut>); 18] = [
        (keys(), &[U], Some(Cut::NoHello)),
        (keys(), &["GET / HTTP/1.1"], Some(Cut::NoHello)),
        (keys(), &["HELLO 2 Hill 1 4096 00000000000000000000000000000000"], Some(Cut::Version)),
        (keys(), &["HELLO 1 Mallory 1 4096 00000000000000000000000000000000"], Some(Cut::Stranger)),
        (keys(), &["HELLO 1 Campbell 1 4096 00000000000000000000000000000000"], Some(Cut::Stranger)),
        (keys(), &["NO config"], Some(Cut::Refused)),
        (keys(), &[HELLO, "NO config"], Some(Cut::Refused)),
        (keys(), &[HELLO, "NO confi"], Some(Cut::NoProof)),
        (None, &[HELLO, "NO config"], Some(Cut::Refused)),
        (keys(), &[HELLO, U], Some(Cut::NoProof)),
        (keys(), &[HELLO, HELLO], Some(Cut::NoProof)),
        (keys(), &[HELLO, &proof], Some(Cut::WrongKey)),
        (keys(), &[HELLO], None),
        (None, &[HELLO, &proof], Some(Cut::Unexpected)),
        (None, &[HELLO, HELLO], Some(Cut::Nonsense)),
        (None, &[HELLO, "U 0 AT Hill +0.000000000 kiwi +91+1 1"], Some(Cut::Nonsense)),
        (None, &[HELLO, "U 0 AT Mallory +0.000000000 kiwi +1+1 1"], None),
        (None, &[HELLO, "U 0 AT Hill +0.000000000 kiwi +1+1 3700000000"], None),
    ];
    for (keys, lines, expected) in table {
        assert_eq!(hostile(keys, lines), expected, "{lines:?}");
    }
}

#[test]
fn strangers_push_out_strangers_only() {
    let mut herd = Herd::of(&[32; 2], &keys());
    herd.run(1_000);
    let now = herd.now().mono;
    let mut pushed_out = 0;
    let mut ids = vec![];
    for _ in 0..100 {
        ids.push(herd.nodes[1].open(now, None, [0; FRESH_BYTES].into()).expect("any host may connect"));
        while let Some((_, ended)) = herd.nodes[1].take_cut() {
            assert_eq!(ended.cut, Cut::PushedOut);
            pushed_out += 1;
        }
    }
    assert_eq!(pushed_out, 100 - 31, "one of 32 sessions is up");
    assert!(herd.nodes[1].links().all(|link| link.up_since.is_some()));
    assert!(herd.nodes[1].session(ids[0]).is_none());
    assert!(herd.nodes[1].session(ids[99]).is_some());
    // The server waits for the strangers' time before it accepts the next connection.
    assert_eq!(herd.nodes[1].accept_at(), now.after_ms(STRANGER_MS_MIN));
    herd.nodes[1].closed(now, ids[99]);
    assert_eq!(herd.nodes[1].accept_at(), Mono(0));
    // The node closes a connection from a neighbour's address last.
    let expected = herd.nodes[1].open(now, None, [0; FRESH_BYTES].into()).expect("there is room");
    herd.nodes[1].expect(expected);
    for ms in 1..100 {
        herd.nodes[1].open(now.after_ms(ms), None, [0; FRESH_BYTES].into()).expect("any host may connect");
        while herd.nodes[1].take_cut().is_some() {}
    }
    assert!(herd.nodes[1].session(expected).is_some());
}
