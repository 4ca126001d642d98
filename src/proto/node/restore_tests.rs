//! Tests of restored entries: a walk misses no entry, and an entry passes the same checks as an update.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use crate::herd_tests::{Herd, WALL_NS, keys, node};
use crate::limits::{AGE_S_MAX, AHEAD_NS_MAX, DIGEST_EVERY_MS};
use crate::node::Node;
use crate::time::{Mono, Now, Timestamp};
use crate::update::Update;
use crate::update::tests::update;

fn now(s: u64) -> Now {
    let wall = Timestamp(WALL_NS + i64::try_from(s).expect("small") * 1_000_000_000);
    Now { mono: Mono(s * 1_000), wall, wall_is_trusted: true }
}

fn of(client: &str, time: u64) -> Update {
    update(&format!("AT Hill +0.000000000 {client} +1+1 {time}"))
}

fn at(node: &Node<64>, now: &Now, slot: usize) -> Option<(Update, u32)> {
    let (version, age_s) = node.entry_at(now, slot)?;
    Some((Update { client: version.client.clone(), sighting: *version.sighting }, age_s))
}

fn all(node: &Node<64>, now: &Now) -> Vec<(Update, u32)> {
    (0..node.table().len()).rev().filter_map(|slot| at(node, now, slot)).collect()
}

#[test]
fn restored_entries_have_their_age_and_are_not_pending() {
    let mut before = node(0, 2, 32, None, 1);
    assert!(before.restore_entry(&now(0), &of("a", 1_699_999_999), 7));
    assert!(before.restore_entry(&now(3), &of("b", 1_699_999_998), 0));
    assert!(at(&before, &now(3), 2).is_none(), "an empty slot");
    let stored = all(&before, &now(5));
    assert_eq!(stored.iter().map(|(_, age_s)| *age_s).collect::<Vec<_>>(), [2, 12]);
    let mut after = node(0, 2, 32, None, 2);
    for (update, age_s) in &stored {
        assert!(after.restore_entry(&now(0), update, *age_s));
    }
    let mut came_back = all(&after, &now(0));
    came_back.sort_by(|(a, _), (b, _)| b.borrowed().compare(&a.borrowed()));
    assert_eq!(came_back, [(of("a", 1_699_999_999), 12), (of("b", 1_699_999_998), 2)]);
    assert_eq!(after.table().pending().count(0), 0);
    let counters = after.counters();
    assert_eq!((counters.snapshot_restored, counters.snapshot_rejected, counters.updates_new), (2, 0, 0));
}

#[test]
fn a_restored_entry_passes_the_checks_of_an_update() {
    let mut node = node(0, 2, 2, None, 1);
    let wall_s = u64::try_from(WALL_NS / 1_000_000_000).expect("after 1970");
    let ahead_s = u64::try_from(AHEAD_NS_MAX / 1_000_000_000).expect("a day");
    assert!(!node.restore_entry(&now(0), &of("dead", wall_s), AGE_S_MAX));
    assert!(node.restore_entry(&now(0), &of("dying", wall_s), AGE_S_MAX - 1));
    assert!(!node.restore_entry(&now(0), &of("ahead", wall_s + ahead_s + 9), 0));
    assert!(node.restore_entry(&now(0), &of("b", wall_s), 0));
    assert!(node.restore_entry(&now(0), &of("b", wall_s), 0), "restored again");
    assert!(!node.restore_entry(&now(0), &of("b", wall_s - 1), 0), "older than the entry");
    assert!(!node.restore_entry(&now(0), &of("c", wall_s - 9), 0), "below the floor of a full table");
    assert_eq!(node.table().len(), 2);
    node.reject_entry();
    let counters = node.counters();
    assert_eq!((counters.snapshot_restored, counters.snapshot_rejected), (3, 5));
    // An untrusted node accepts the entry and checks it again when its clock becomes trusted, like any update.
    let untrusted = Now { wall_is_trusted: false, ..now(0) };
    assert!(node.restore_entry(&untrusted, &of("ahead", wall_s + ahead_s + 9), 0));
    node.tick(&now(1));
    assert!(all(&node, &now(1)).iter().all(|(update, _)| update.client.as_bytes() != b"ahead"));
}

#[test]
fn an_expired_entry_does_not_set_the_clock() {
    let mut node = node(0, 2, 8, None, 1);
    let untrusted = Now { mono: Mono(0), wall: Timestamp(7), wall_is_trusted: false };
    // The clock jumped by three years while the board was off.
    assert!(!node.restore_entry(&untrusted, &of("dead", 1_700_000_000), 3 * 365 * 86_400));
    assert_eq!(node.receive_time(&untrusted), Timestamp(7));
    assert!(node.restore_entry(&untrusted, &of("live", 1_700_000_000), 60));
    assert_eq!(node.receive_time(&untrusted), Timestamp(1_700_000_060_000_000_000));
}

#[test]
fn a_restored_herd_compares_and_sends_nothing() {
    let mut herd = Herd::of(&[32; 3], &keys());
    herd.run(1_000);
    for i in 0..20 {
        herd.iamat(i % 3, &format!("IAMAT c{i:02} +1+1 {}", 1_699_999_000 + i));
    }
    herd.run(2 * DIGEST_EVERY_MS);
    assert!(herd.all_equal());
    let now = herd.now();
    let stored: Vec<_> = herd.nodes.iter().map(|node| all(node, &now)).collect();
    herd.cut_all();
    for (me, stored) in stored.iter().enumerate() {
        herd.nodes[me] = node(me, 3, 32, keys(), 50 + me as u64);
        for (update, age_s) in stored {
            assert!(herd.nodes[me].restore_entry(&now, update, *age_s));
        }
    }
    let before = herd.updates();
    herd.run(31_000);
    assert!(herd.all_equal() && (0..3).all(|node| herd.knows(node, "c07")));
    assert_eq!(herd.updates(), before, "equal digests suffice");

    // A node that lost its snapshot gets the entries from the others.
    herd.cut_all();
    herd.nodes[1] = node(1, 3, 32, keys(), 99);
    herd.run(31_000);
    assert!(herd.all_equal() && herd.knows(1, "c07"));
}

/// An event between two entries of a walk.
#[derive(Clone, Debug)]
enum Between {
    /// The node hears a client, new or known.
    Heard(u8),
    /// Time passes, and expired entries are swept.
    Later(u64),
}

fn between() -> impl Strategy<Value = Vec<Between>> {
    let one = prop_oneof![3 => (0..24_u8).prop_map(Between::Heard), 1 => (0..AGE_S_MAX as u64 / 3).prop_map(Between::Later)];
    proptest::collection::vec(one, 0..3)
}

proptest! {
    #[test]
    fn a_walk_misses_no_present_entry(
        ages in proptest::collection::vec(0..AGE_S_MAX, 0..16),
        changes in proptest::collection::vec(between(), 16),
    ) {
        let mut node = node(0, 2, 16, None, 1);
        for (i, age_s) in ages.iter().enumerate() {
            node.restore_entry(&now(0), &of(&format!("c{i}"), 1_699_000_000 + i as u64), *age_s);
        }
        let clients = |node: &Node<64>, now: &Now| -> BTreeSet<Vec<u8>> {
            all(node, now).into_iter().map(|(update, _)| update.client.as_bytes().to_vec()).collect()
        };
        let (held, began) = (node.table().len(), clients(&node, &now(0)));
        let mut heard = BTreeSet::new();
        let mut there_all_along = began;
        let mut given: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        let (mut slot, mut s, mut time, mut count) = (held, 0, 1_699_500_000, 0);
        for changes in changes {
            slot = slot.min(node.table().len());
            let Some(next) = slot.checked_sub(1) else { break };
            slot = next;
            let (update, age_s) = at(&node, &now(s), slot).expect("below the length");
            count += 1;
            given.insert(update.client.as_bytes().to_vec(), age_s);
            for change in changes {
                match change {
                    Between::Heard(n) => {
                        time += 1;
                        heard.insert(format!("c{n}").into_bytes());
                        node.restore_entry(&now(s), &of(&format!("c{n}"), time), 0);
                    }
                    Between::Later(by_s) => {
                        s += by_s;
                        node.tick(&now(s));
                    }
                }
            }
            let there = clients(&node, &now(s));
            there_all_along.retain(|client| there.contains(client));
        }
        prop_assert!(count <= held);
        // Entries heard during the walk count as new, so the next walk stores them.
        for client in there_all_along.difference(&heard) {
            prop_assert!(given.contains_key(client), "{} was missed", String::from_utf8_lossy(client));
        }
    }
}
