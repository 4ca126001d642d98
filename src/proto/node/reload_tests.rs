//! Tests of configurations that change in a running herd.

use super::*;
use crate::auth::KEY_BYTES;
use crate::herd_tests::{Herd, keys};
use crate::limits::AGE_S_MAX;
use crate::random::Jitter;

/// Reloads a node with a configuration of these names and edges.
fn reload(
    herd: &mut Herd,
    node: usize,
    names: &[&str],
    edges: &[(&str, &str)],
    keys: Option<Keys>,
) -> Result<Reloaded, StartError> {
    let me = herd.name(node);
    let place =
        |name: &str| names.iter().position(|other| *other == name).expect("an edge joins listed nodes");
    let mut neighbours: Vec<usize> = edges
        .iter()
        .filter_map(|&(a, b)| if a == me { Some(place(b)) } else { (b == me).then(|| place(a)) })
        .collect();
    neighbours.sort_unstable();
    let now = herd.now();
    herd.nodes[node].reload(&now, &Reload { names, neighbours: &neighbours, keys, secrecy: None })
}

const LINE: [(&str, &str); 3] = [("Campbell", "Hill"), ("Hill", "Jaquez"), ("Jaquez", "Smith")];

fn one_client_each(herd: &mut Herd) {
    for node in 0..herd.nodes.len() {
        herd.iamat(node, &format!("IAMAT c{node} +1+1 1699999999"));
    }
    herd.run(100);
}

#[test]
fn links_of_both_configurations_stay_up() {
    let names = ["Anna", "Campbell", "Hill", "Ida", "Jaquez", "Smith", "Zoe"];
    let edges =
        [("Campbell", "Hill"), ("Hill", "Jaquez"), ("Campbell", "Smith"), ("Anna", "Zoe"), ("Ida", "Zoe")];
    for keys in [None, keys()] {
        let mut herd = Herd::of(&[32; 4], &keys);
        herd.run(2_000);
        one_client_each(&mut herd);
        let before = herd.at_lines(0);
        assert_eq!(before.len(), 4);
        for (node, (retained, added, removed)) in
            [(1, 1, 0), (2, 0, 0), (1, 0, 1), (0, 1, 1)].into_iter().enumerate()
        {
            let changed = reload(&mut herd, node, &names, &edges, keys.clone());
            assert_eq!(changed, Ok(Reloaded { retained, added, removed, entries_dropped: 0 }), "{node}");
            assert_eq!(herd.at_lines(node), before);
            // The configurations differ meanwhile.
            herd.run(300);
        }
        herd.run(60_000);
        assert!(
            herd.cuts.iter().all(|cut| matches!(cut, Cut::MapChanged | Cut::Stranger)),
            "{:?}",
            herd.cuts
        );
        assert_eq!(herd.nodes[1].counters().links_down, 0, "Hill's links are in both configurations");
        assert!(herd.all_equal());
        herd.iamat(3, "IAMAT news +1+1 1699999999");
        herd.run(100);
        for node in 0..4 {
            assert_eq!(herd.at_lines(node).len(), 5, "{node}");
            assert!(herd.nodes[node].links().all(|link| link.up_since.is_some()));
        }
    }
}

#[test]
fn a_removed_node_loses_its_updates() {
    let mut herd = Herd::of(&[32; 4], &keys());
    herd.run(2_000);
    one_client_each(&mut herd);
    let names = ["Campbell", "Hill", "Smith"];
    let edges = [("Campbell", "Hill"), ("Hill", "Smith")];
    for node in [0, 1, 3] {
        let changed = reload(&mut herd, node, &names, &edges, keys());
        assert_eq!(changed.map(|changed| changed.entries_dropped), Ok(1), "{node}");
    }
    // Jaquez has the old configuration, and its neighbours no longer accept its updates.
    herd.iamat(2, "IAMAT lost +1+1 1699999999");
    herd.run(150_000);
    for node in [0, 1, 3] {
        let clients: Vec<String> =
            herd.at_lines(node).iter().map(|line| line.split(' ').nth(3).expect("a client").into()).collect();
        assert_eq!(clients, ["c0", "c1", "c3"], "{node}");
        assert!(herd.nodes[node].links().all(|link| link.equal_at.is_some()), "{node}");
    }
}

#[test]
fn expired_entries_do_not_count_as_dropped() {
    let mut herd = Herd::of(&[32; 2], &keys());
    herd.run(2_000);
    one_client_each(&mut herd);
    // All entries have expired and are not swept yet.
    herd.now_ms += u64::from(AGE_S_MAX) * 1_000 + 1;
    let changed = reload(&mut herd, 0, &["Campbell", "Hill"], &LINE[..1], keys());
    assert_eq!(changed, Ok(Reloaded { retained: 1, added: 0, removed: 0, entries_dropped: 0 }));
    assert!(herd.nodes[0].table().is_empty());
}

#[test]
fn a_withdrawn_key_ends_links_and_an_added_one_does_not() {
    let (old, new) = ([7; KEY_BYTES], [8; KEY_BYTES]);
    let mut herd = Herd::of(&[32; 2], &keys());
    herd.run(2_000);
    let names = ["Campbell", "Hill"];
    let steps = [Keys::new(old, Some(new)), Keys::new(new, Some(old)), Keys::new(new, None)];
    for (step, keys) in steps.into_iter().enumerate() {
        for node in [0, 1] {
            reload(&mut herd, node, &names, &LINE[..1], Some(keys.clone()))
                .expect("the configuration is valid");
            herd.run(3_000);
            assert!(herd.nodes.iter().all(|node| node.links().all(|link| link.up_since.is_some())));
        }
        let is_new = step == 2;
        assert_eq!(herd.cuts.contains(&Cut::MapChanged), is_new, "{step}");
    }
    // A configuration without keys also withdraws the old key, so every link ends.
    herd.cuts.clear();
    for node in [0, 1] {
        reload(&mut herd, node, &names, &LINE[..1], None).expect("the configuration is valid");
    }
    herd.run(3_000);
    assert!(herd.cuts.contains(&Cut::MapChanged));
    assert!(herd.nodes.iter().all(|node| node.links().all(|link| link.up_since.is_some())));
}

#[test]
fn an_invalid_configuration_changes_nothing() {
    let mut herd = Herd::of(&[32; 2], &keys());
    herd.run(2_000);
    let now = herd.now();
    let too_many: Vec<usize> = (0..17).collect();
    let many: Vec<String> = (0..20).map(|i| format!("Campbell{i:02}")).collect();
    let many: Vec<&str> = std::iter::once("Campbell").chain(many.iter().map(String::as_str)).collect();
    let table: [(&[&str], &[usize]); 7] = [
        (&["Hill"], &[]),
        (&["Campbell", "Hill", "Hill"], &[1]),
        (&["Campbell", ""], &[1]),
        (&["Campbell", "Hill"], &[0]),
        (&["Campbell", "Hill"], &[2]),
        (&["Campbell", "Hill", "Ida"], &[2, 1]),
        (&many, &too_many.iter().map(|i| i + 1).collect::<Vec<_>>()),
    ];
    for (names, neighbours) in table {
        let reload = Reload { names, neighbours, keys: None, secrecy: None };
        assert!(herd.nodes[0].reload(&now, &reload).is_err(), "{names:?} {neighbours:?}");
    }
    assert_eq!(herd.name(0), "Campbell");
    herd.run(100_000);
    assert!(herd.cuts.is_empty() && herd.all_equal());
}

#[test]
fn random_herds_agree_after_any_configurations() {
    const ALL: [&str; 8] = ["Anna", "Campbell", "Eve", "Hill", "Jaquez", "Kim", "Smith", "Zoe"];
    for seed in 1..=60 {
        let mut random = Jitter::seeded(seed * 104_729);
        let mut pick = |n: u64| usize::try_from(random.between(0, n - 1)).expect("small");
        let keys = if pick(2) == 0 { keys() } else { None };
        let mut herd = Herd::of(&[[4, 32][pick(2)]; 4], &keys);
        for turn in 0..60 {
            match pick(6) {
                0 => herd.cut_all(),
                1 => herd.run(pick(50_000) as u64),
                2 | 3 => {
                    // Guests join and leave the list. The four nodes and their line are in every configuration.
                    let guests = [pick(2), pick(2), pick(2), pick(2)];
                    let is_in = |(i, _): &(usize, &&str)| {
                        ![0, 2, 5, 7].contains(i) || guests[[0, 9, 1, 9, 9, 2, 9, 3][*i]] == 1
                    };
                    let names: Vec<&str> =
                        ALL.iter().enumerate().filter(is_in).map(|(_, name)| *name).collect();
                    let mut edges = LINE.to_vec();
                    if pick(2) == 1 {
                        edges.push(("Campbell", "Smith"));
                    }
                    reload(&mut herd, pick(4), &names, &edges, keys.clone())
                        .expect("the configuration is valid");
                }
                _ => {
                    herd.iamat(pick(4), &format!("IAMAT c{} +{turn}+1 {}", pick(9), 1_699_999_000 + turn));
                }
            }
        }
        for node in 0..4 {
            reload(&mut herd, node, &ALL, &LINE, keys.clone()).expect("the configuration is valid");
        }
        herd.run(300_000);
        for node in 1..4 {
            assert_eq!(herd.at_lines(node), herd.at_lines(0), "seed {seed}, node {node}");
        }
        assert!(herd.all_equal(), "seed {seed}");
    }
}

#[test]
fn smaller_limits_apply_to_entries_at_once() {
    let mut herd = Herd::of(&[32; 2], &keys());
    herd.run(2_000);
    for client in ["a", "b", "c"] {
        herd.iamat(0, &format!("IAMAT {client} +1+1 {}", u32::from(client.as_bytes()[0])));
    }
    herd.run(1_000);
    for node in &mut herd.nodes {
        node.set_limits(2, AGE_S_MAX);
        assert_eq!((node.table().len(), node.table().capacity(), node.table().evicted()), (2, 2, 1));
        assert_eq!(node.table().floor().map(|floor| floor.client.as_bytes().to_vec()), Some(b"b".to_vec()));
    }
    assert_eq!(herd.at_lines(0), herd.at_lines(1));
    // A node with another lifetime has another configuration.
    herd.nodes[0].set_limits(32, 60);
    let now = herd.now().mono;
    herd.nodes[0].ask_herd(now, (1, 2), 1_000, false, None);
    herd.run(100);
    let sum = herd.nodes[0].take_sum(1).expect("the other node has answered");
    assert_eq!((sum.answered.len(), sum.strangers), (1, 1));
    herd.nodes[1].set_limits(32, 60);
    herd.run(61_000);
    assert!(herd.at_lines(0).is_empty() && herd.at_lines(1).is_empty(), "the entries have expired");
}
