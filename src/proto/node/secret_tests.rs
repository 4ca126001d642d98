use super::*;
use crate::herd_tests::{Herd, keys, node, pair, public_keys, secret_node};
use crate::limits::{BACKOFF_MS_MAX, DIGEST_EVERY_MS};
use crate::node::links::LinkEvent;
use crate::node::pull::PULL_BYTES_MAX;
use crate::node::reload::Reload;

const IAMAT: &str = "IAMAT kiwi.example +34.068930-118.445127 1699999999";

fn secret_herd(count: usize, mode: Mode) -> Herd {
    let keys = public_keys(count);
    Herd::joined((0..count).map(|me| secret_node(me, &keys, mode, me as u64 + 1)).collect())
}

fn are_linked(herd: &Herd) -> bool {
    herd.nodes.iter().all(|node| node.links().all(|link| link.up_since.is_some()))
}

/// Whether each end of each connection encrypts.
fn all_secret(herd: &Herd) -> bool {
    herd.pipes.iter().flat_map(|pipe| pipe.ends).all(|(node, id)| herd.nodes[node].is_secret(id))
}

fn reload(herd: &mut Herd, me: usize, own: &KeyPair, public_keys: &[PublicKeys], mode: Mode) {
    let now = herd.now();
    let count = public_keys.len();
    let neighbours: Vec<usize> = (0..count).filter(|&other| other.abs_diff(me) == 1).collect();
    let secrecy =
        Some(Secrecy { mode, pair: own, public_keys }).filter(|secrecy| secrecy.mode != Mode::Signed);
    let reload =
        Reload { names: &crate::herd_tests::NAMES[..count], neighbours: &neighbours, keys: keys(), secrecy };
    herd.nodes[me].reload(&now, &reload).expect("it lists the node");
}

#[test]
fn a_secret_herd_agrees_and_shows_nothing() {
    let mut herd = secret_herd(4, Mode::Only);
    // What crosses the wire, without what the harness sees in clear.
    let mut wire = Vec::new();
    for _ in 0..50 {
        herd.run(10);
        if herd.now_ms == 100 {
            assert!(herd.iamat(0, IAMAT).starts_with("AT Campbell"));
        }
        wire.extend(herd.pipes.iter().flat_map(|pipe| pipe.queues.iter().flatten().flatten().copied()));
    }
    herd.run(3_000);
    assert!(are_linked(&herd) && all_secret(&herd) && herd.all_equal());
    assert!(herd.nodes.iter().enumerate().all(|(node, _)| herd.knows(node, "kiwi.example")));
    assert!(herd.cuts.is_empty(), "{:?}", herd.cuts);
    // A HELLO each way for each link, then lines.
    assert_eq!(herd.traffic.iter().filter(|line| line.contains(" HELLO ")).count(), 2 * 3);
    assert!(!herd.traffic.iter().any(|line| line.contains(" PROOF ") || line.contains(" ~")));
    herd.run(10 * DIGEST_EVERY_MS);
    assert!(herd.cuts.is_empty() && herd.all_equal());
}

#[test]
fn a_board_that_comes_back_is_linked_at_once() {
    let mut herd = secret_herd(3, Mode::Only);
    herd.run(2_000);
    herd.iamat(0, IAMAT);
    herd.reachable = false;
    herd.cut_all();
    herd.run(300_000);
    herd.reachable = true;
    herd.nodes[1] = secret_node(1, &public_keys(3), Mode::Only, 99);
    herd.run(100);
    assert!(are_linked(&herd) && herd.knows(1, "kiwi.example"));
    // Its other end does not learn that the power failed.
    herd.pipes.clear();
    herd.nodes[1] = secret_node(1, &public_keys(3), Mode::Only, 100);
    herd.run(100);
    assert!(are_linked(&herd) && herd.knows(1, "kiwi.example"));
    assert!(herd.cuts.contains(&Cut::Abandoned) && herd.cuts.contains(&Cut::Replaced));
    assert_eq!(herd.cuts.len(), 2);
}

/// Each step of the change, node by node: a link is down for no longer than a dial.
#[test]
fn a_herd_moves_from_signed_to_secret_links_and_back() {
    let mut herd = Herd::of(&[32; 3], &keys());
    herd.run(5_000);
    herd.iamat(2, IAMAT);
    let steps = [Mode::Accept, Mode::Dial, Mode::Only, Mode::Dial, Mode::Accept, Mode::Signed];
    for mode in steps {
        for me in 0..3 {
            reload(&mut herd, me, &pair(me), &public_keys(3), mode);
            herd.run(100);
            assert!(are_linked(&herd), "{mode:?} at {me}");
            herd.run(DIGEST_EVERY_MS);
            assert!(herd.all_equal(), "{mode:?} at {me}");
        }
        match mode {
            Mode::Only => assert!(all_secret(&herd)),
            Mode::Signed => assert!(!all_secret(&herd)),
            Mode::Accept | Mode::Dial => {
                // A link that comes up anew is of the kind that this step dials.
                herd.cut_all();
                herd.run(2_000);
                assert_eq!(all_secret(&herd), mode == Mode::Dial, "{mode:?}");
            }
        }
    }
    assert!(herd.cuts.iter().all(|cut| *cut == Cut::MapChanged), "{:?}", herd.cuts);
    assert!((0..3).all(|node| herd.knows(node, "kiwi.example")));
}

#[test]
fn nodes_that_do_not_fit_stay_apart() {
    let secret = |me, mode| secret_node(me, &public_keys(2), mode, me as u64 + 1);
    let other_herd = || {
        let mut keys = public_keys(2);
        keys[0] = [Some(*pair(7).public()), None];
        keys
    };
    for (nodes, expected) in [
        // Neither falls back to a signed link.
        (vec![secret(0, Mode::Only), node(1, 2, 32, keys(), 2)], Cut::NotSecret),
        (vec![node(0, 2, 32, keys(), 1), secret(1, Mode::Only)], Cut::NotSecret),
        (vec![secret(0, Mode::Accept), secret(1, Mode::Only)], Cut::NotSecret),
        // Hill expects another key of Campbell.
        (vec![secret(0, Mode::Only), secret_node(1, &other_herd(), Mode::Only, 2)], Cut::UnknownKey),
    ] {
        let mut herd = Herd::joined(nodes);
        herd.run(60_000);
        assert!(herd.nodes.iter().all(|node| node.links().all(|link| link.up_since.is_none())));
        assert!(herd.cuts.contains(&expected), "{:?}, {expected:?}", herd.cuts);
        // Each end has a reason for its status. Campbell's dial of a secret link is closed without a word.
        let reasons: Vec<_> =
            herd.nodes.iter().flat_map(|node| node.links()).map(|link| link.last_cut).collect();
        assert!(reasons.iter().any(Option::is_some), "{reasons:?}");
        if expected == Cut::UnknownKey {
            assert_eq!(reasons, [Some(Cut::HandshakeClosed); 2]);
        }
        assert!(!herd.traffic.iter().any(|line| line.contains(" U ") || line.contains(" D ")));
    }
}

#[test]
fn a_revoked_key_ends_the_link_and_no_other() {
    let mut herd = secret_herd(3, Mode::Only);
    herd.run(5_000);
    let mut without = public_keys(3);
    without[2] = [Some(*pair(9).public()), None];
    for me in [0, 1] {
        reload(&mut herd, me, &pair(me), &without, Mode::Only);
    }
    herd.run(60_000);
    let is_up = |herd: &Herd, node: usize, other: usize| {
        let link =
            |link: &crate::node::links::LinkState| link.node.index() == other && link.up_since.is_some();
        herd.nodes[node].links().any(|state| link(&state))
    };
    assert!(is_up(&herd, 0, 1) && is_up(&herd, 1, 0) && !is_up(&herd, 1, 2) && !is_up(&herd, 2, 1));
    assert_eq!(herd.cuts.iter().filter(|cut| **cut == Cut::Revoked).count(), 1, "{:?}", herd.cuts);
    assert!(!herd.cuts.contains(&Cut::MapChanged));
    // With the new key it comes back.
    reload(&mut herd, 2, &pair(9), &without, Mode::Only);
    herd.run(2 * BACKOFF_MS_MAX);
    assert!(are_linked(&herd) && herd.all_equal());
}

/// Both keys are listed while one node after another learns of the new one.
#[test]
fn a_node_changes_its_key_without_losing_its_links_for_longer_than_a_dial() {
    let mut herd = secret_herd(3, Mode::Only);
    herd.run(5_000);
    let mut both = public_keys(3);
    both[1] = [Some(*pair(9).public()), Some(*pair(1).public())];
    for me in 0..3 {
        reload(&mut herd, me, &pair(me), &both, Mode::Only);
        herd.run(100);
        assert!(are_linked(&herd) && herd.cuts.is_empty());
    }
    // Its node starts with the new key. Neighbours that dial it try each key in turn.
    herd.nodes[1] = secret_node(1, &both, Mode::Only, 99);
    reload(&mut herd, 1, &pair(9), &both, Mode::Only);
    herd.cut_all();
    herd.run(3_000);
    assert!(are_linked(&herd));
    both[1] = [Some(*pair(9).public()), None];
    for me in 0..3 {
        let own = if me == 1 { pair(9) } else { pair(me) };
        reload(&mut herd, me, &own, &both, Mode::Only);
    }
    herd.run(DIGEST_EVERY_MS);
    assert!(are_linked(&herd) && herd.all_equal());
    assert!(!herd.cuts.contains(&Cut::Revoked), "{:?}", herd.cuts);
}

#[test]
fn the_dialling_end_renews_a_link() {
    let mut herd = secret_herd(2, Mode::Only);
    herd.run(5_000);
    let before = herd.pipes[0].ends;
    herd.run(SECRET_RENEW_MS * 12 / 10);
    assert!(are_linked(&herd) && herd.all_equal());
    assert_ne!(herd.pipes[0].ends, before);
    assert_eq!(herd.pipes.len(), 1);
    assert_eq!(herd.cuts, [Cut::Replaced], "the dialling end closes the old connection");
    let ups = herd.events.iter().filter(|event| matches!(event, LinkEvent::Up { .. })).count();
    assert_eq!(ups, 2, "a renewal causes none");
    assert_eq!(herd.nodes[1].counters().links_down, 0, "at the accepting end the link is never down");
    // A neighbour that cannot be dialled keeps the link that is up.
    herd.reachable = false;
    herd.run(SECRET_RENEW_MS * 12 / 10);
    assert!(are_linked(&herd));
    herd.reachable = true;
    herd.run(2 * BACKOFF_MS_MAX);
    assert_eq!(herd.cuts, [Cut::Replaced; 2]);
}

/// Campbell's board is stolen. It cannot be Jaquez to Hill, a neighbour of both.
#[test]
fn a_key_is_good_for_its_own_name() {
    for (name, expected) in
        [("Campbell", None), ("Jaquez", Some(Cut::UnknownKey)), ("Smith", Some(Cut::Stranger))]
    {
        let mut hill = secret_node(1, &public_keys(3), Mode::Only, 1);
        let now = Herd::of(&[32], &None).now();
        let id = hill.open(now.mono, None, Fresh::from([3; 48])).expect("any host may connect");
        let (pair, keys) = (pair(0), keys().expect("the key of the herd"));
        let mut sent = [0; PULL_BYTES_MAX];
        let mut out = Out::new(&mut sent);
        let mut thief =
            Connection::dial(*crate::herd_tests::pair(1).public(), Fresh::from([4; 48]), &mut out);
        let mut length = out.len();
        let mut has_greeted = false;
        while length > 0 {
            if let Message::Line(_, line) = hill.take_message(now.mono, id, &mut sent[..length]) {
                hill.link_line(&now, id, line);
            }
            length = 0;
            let mut answer = [0; PULL_BYTES_MAX];
            let mut out = Out::new(&mut answer);
            if !has_greeted && hill.pull(now.mono, id, &mut out, &mut |_| {}) {
                let received = out.len();
                let mut out = Out::new(&mut sent);
                let us = Identity { pair: &pair, keys: &keys };
                let taken = thief.take(&mut answer[..received], us, [].iter(), &mut out);
                if taken.expect("Hill is right") == Taken::Authenticated {
                    let hello = format!("HELLO 1 {name} 7 32 {}", "00".repeat(16));
                    thief.seal(hello.as_bytes(), &mut out);
                    has_greeted = true;
                }
                length = out.len();
            }
        }
        assert!(has_greeted);
        assert_eq!(hill.take_cut().map(|(_, ended)| ended.cut), expected, "{name}");
        assert_eq!(hill.peer(id).is_some(), expected.is_none(), "{name}");
    }
}

#[test]
fn bytes_that_are_no_message_end_the_connection() {
    for (bytes, expected) in [
        (&b"HELLO 1 Hill 7 32 00000000000000000000000000000000\n"[..], Cut::NotSecret),
        (b"\x02", Cut::HandshakeTimeout),
        (b"\x01", Cut::NotSecret),
        (&[2; 1 + INTRODUCTION_BYTES], Cut::UnknownKey),
    ] {
        let mut node = secret_node(0, &public_keys(2), Mode::Only, 1);
        let now = Herd::of(&[32], &None).now();
        let id = node.open(now.mono, None, Fresh::from([3; 48])).expect("any host may connect");
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        while let Message::Step(done) = node.take_message(now.mono, id, input) {
            input = &mut input[done..];
        }
        if expected == Cut::HandshakeTimeout {
            assert!(node.is_open(id));
            continue;
        }
        assert_eq!(node.take_cut().map(|(_, ended)| ended.cut), Some(expected));
    }
}
