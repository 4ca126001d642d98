//! Tests of censuses in small herds.

use super::*;
use crate::herd_tests::{Herd, keys};
use crate::limits::CENSUSES_MAX;

const WITHIN_MS: u64 = 5_000;

/// The herd's answer to this node after `ms` milliseconds.
fn asked(herd: &mut Herd, node: usize, number: u64, ms: u64) -> Option<Sum> {
    let now = herd.now().mono;
    herd.nodes[node].ask_herd(now, (number, 3), WITHIN_MS, true, None);
    herd.run(ms);
    herd.nodes[node].take_sum(number)
}

fn settled(capacities: &[usize]) -> Herd {
    let mut herd = Herd::of(capacities, &keys());
    herd.run(5_000);
    herd
}

#[test]
fn all_nodes_answer_any_asker() {
    let mut herd = settled(&[32; 3]);
    herd.iamat(0, "IAMAT kiwi +1+1 1");
    herd.run(1_000);
    for node in 0..3 {
        let sum = asked(&mut herd, node, 7 + node as u64, 100).expect("all nodes have answered");
        assert_eq!((sum.answered.len(), sum.troubled.len(), sum.strangers), (3, 0, 0));
        assert_eq!((sum.differs, sum.pending, &sum.floor), (0, 0, &None));
    }
}

#[test]
fn what_differs_and_what_is_down_shows() {
    let mut herd = settled(&[32; 3]);
    herd.iamat(0, "IAMAT kiwi +1+1 1");
    // The update has not been flooded yet, and a question goes before updates.
    let sum = asked(&mut herd, 2, 1, 100).expect("all nodes have answered");
    assert_eq!((sum.differs.count_ones(), sum.answered.len()), (1, 3));

    herd.reachable = false;
    herd.cut_all();
    let sum = asked(&mut herd, 1, 2, 100).expect("the other nodes are unreachable");
    assert_eq!((sum.answered.len(), sum.troubled.len()), (1, 1));
    assert!(sum.answered.has(1) && sum.troubled.has(1));
}

#[test]
fn floors_make_unlike_boards_comparable() {
    let mut herd = settled(&[32, 2, 32]);
    for client in ["a", "b", "c"] {
        herd.iamat(0, &format!("IAMAT {client} +1+1 {}", u32::from(client.as_bytes()[0])));
    }
    herd.run(3_000);
    let sum = asked(&mut herd, 0, 1, 100).expect("all nodes have answered");
    assert_ne!(sum.differs, 0, "the small board has evicted one entry");
    let floor = sum.floor.expect("the small board is full");
    assert_eq!(floor.client.as_bytes(), b"b");
    let now = herd.now().mono;
    herd.nodes[0].ask_herd(now, (2, 3), WITHIN_MS, false, Some(floor));
    herd.run(100);
    let sum = herd.nodes[0].take_sum(2).expect("all nodes have answered");
    assert_eq!((sum.differs, sum.answered.len()), (0, 3));
}

#[test]
fn a_silent_node_does_not_block_a_census() {
    let mut herd = settled(&[32; 3]);
    herd.hold_lines = true;
    assert_eq!(asked(&mut herd, 0, 1, WITHIN_MS - 10), None);
    herd.run(20);
    let sum = herd.nodes[0].take_sum(1).expect("the time is over");
    assert_eq!(sum.answered.len(), 1);
    herd.hold_lines = false;
    herd.run(1_000);
    assert!(herd.nodes.iter().map(|node| node.counters().census_late_replies).sum::<u64>() <= 2);
}

/// A stolen board may answer with links of nodes that the configuration does not have: their names would be looked up.
#[test]
fn links_of_unknown_nodes_are_left_out() {
    let mut herd = settled(&[32; 3]);
    let node = |index| NodeId::at(index).expect("a number of a node");
    let mut sum = Sum::NONE;
    for (end, other) in [(1, 2), (1, 3), (1_023, 0)] {
        let link = LinkTrouble { node: node(end), neighbour: node(other), trouble: Trouble::Down };
        sum.links.push(link).expect("there is room");
    }
    herd.hold_lines = true;
    let now = herd.now().mono;
    herd.nodes[0].ask_herd(now, (1, 3), WITHIN_MS, false, None);
    assert_eq!(herd.nodes[0].take_neighbours_sum(0, 1, &sum), LinkEvent::None);
    let sum = herd.nodes[0].take_sum(1).expect("the one neighbour has answered");
    let ends = sum.links.iter().map(|link| (link.node.index(), link.neighbour.index()));
    assert_eq!(ends.collect::<Vec<_>>(), [(1, 2)]);
}

#[test]
fn a_full_node_declines_censuses() {
    let mut herd = settled(&[32; 2]);
    let now = herd.now().mono;
    for number in 0..=CENSUSES_MAX as u64 {
        herd.nodes[0].ask_herd(now, (number, 3), WITHIN_MS, true, None);
    }
    assert_eq!(herd.nodes[0].counters().censuses_refused, 1);
    herd.run(100);
    for number in 0..CENSUSES_MAX as u64 {
        let sum = herd.nodes[0].take_sum(number).expect("all nodes have answered");
        assert_eq!(sum.answered.len(), 2, "{number}");
    }
    assert_eq!(herd.nodes[0].take_sum(CENSUSES_MAX as u64), None);
    // Censuses that are over make room for new ones.
    for number in 100..400 {
        assert!(asked(&mut herd, 0, number, 20).is_some_and(|sum| sum.answered.len() == 2), "{number}");
    }
    // The node discards a sum that is not taken.
    herd.nodes[0].ask_herd(now, (77, 3), WITHIN_MS, false, None);
    herd.run(WITHIN_MS + CENSUS_RETAIN_MS + 1);
    assert_eq!(herd.nodes[0].take_sum(77), None);
}

#[test]
fn facts_of_all_nodes_come_before_the_sum() {
    let mut herd = settled(&[32; 4]);
    herd.iamat(0, "IAMAT kiwi +1+1 1");
    herd.run(1_000);
    let now = herd.now().mono;
    for (kb, node) in (1..).zip(&mut herd.nodes) {
        node.set_facts(now, Version::of("0.1.0"), kb);
    }
    let sum = asked(&mut herd, 1, 7, 100).expect("all nodes have answered");
    assert_eq!(sum.answered.len(), 4);
    for (node, private_kb) in (0..4).zip(1..) {
        let facts = *herd.nodes[1].facts(NodeId::at(node).expect("within the limit"));
        let version = Version::of("0.1.0");
        assert_eq!(facts, Facts { version, up_s: 6, clients: 1, pending: 0, private_kb });
    }
    assert_eq!(herd.events.iter().filter(|event| **event == LinkEvent::FactsAsked).count(), 3);
    // Campbell-Hill-Jaquez-Smith: one line from Campbell, two over the link of Jaquez, one of them from Smith.
    assert_eq!(herd.traffic.iter().filter(|line| line.contains(" F 7 ")).count(), 4);

    // A census that does not ask for facts costs two lines an edge.
    let now = herd.now().mono;
    herd.nodes[1].ask_herd(now, (8, 3), WITHIN_MS, false, None);
    herd.run(100);
    assert!(herd.nodes[1].take_sum(8).is_some_and(|sum| sum.answered.len() == 4));
    assert!(!herd.traffic.iter().any(|line| line.contains(" F 8 ")));
}

#[test]
fn facts_that_were_not_requested_are_counted() {
    let mut herd = settled(&[32; 2]);
    let node = &mut herd.nodes[0];
    let other = NodeId::at(1).expect("within the limit");
    let facts = Facts { clients: 5, ..Facts::NONE };
    assert_eq!(node.take_facts(0, 9, other, facts), LinkEvent::None);
    assert_eq!((node.facts(other), node.counters().census_late_replies), (&Facts::NONE, 1));
}
