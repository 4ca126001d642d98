//! A census: the state of the whole herd, queried through one node.
//!
//! It is the echo algorithm (Chang, "Echo algorithms: depth parallel operations on general graphs", 1982). The
//! asking node sends Q to its neighbours. A node that first hears of a census takes the sender as its parent
//! and sends Q to all other neighbours. It waits until each of them has sent Q or R. Then it sends R to its
//! parent: the sum of the answers and of its own state. So two lines cross each edge, and every node stores one
//! sum whatever the herd's size. A node waits for a silent neighbour no longer than the time in Q.
//!
//! Invariant: a node that sends Q gets Q or R back, in whatever order the lines cross. A node that receives its
//! neighbour's Q before it has sent its own still sends it, because the neighbour waits for it.
//!
//! The sum holds the nodes that have answered and the links that have a trouble ([`LinkTrouble`]). For each
//! bucket of clients it says whether all tables are equal (see [`digest`](super::digest)), above the highest
//! floor of all.
//!
//! If Q asks for facts, each node sends the [`Facts`] of the nodes in its sum, one line each, before its R.
//!
//! This file defines the sum and the state of a census. `node/census.rs` handles the lines and timers.

use super::digest::Buckets;
use super::facts::Facts;
use super::limits::{
    CENSUS_LINKS_MAX, CENSUS_RETAIN_MS, CENSUSES_MAX, CENSUSES_SEEN_MAX, DIGEST_BUCKETS, NODES_MAX,
};
use super::names::NodeId;
use super::time::Mono;
use super::update::Update;

/// A set of nodes, by their place in the configuration's sorted list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeSet([u8; NODES_MAX / 8]);

impl NodeSet {
    /// The empty set.
    pub const EMPTY: NodeSet = NodeSet([0; NODES_MAX / 8]);

    pub(super) fn add(&mut self, node: NodeId) {
        self.0[node.index() / 8] |= 1 << (node.index() % 8);
    }

    /// Whether the node at this place is in the set.
    #[must_use]
    pub fn has(&self, index: usize) -> bool {
        self.0.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    /// Number of nodes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether the set is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn join(&mut self, other: &NodeSet) {
        self.0.iter_mut().zip(other.0).for_each(|(byte, other)| *byte |= other);
    }

    /// The bytes of the set, without trailing zeros.
    pub(super) fn bytes(&self) -> &[u8] {
        let len = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self.0[..len]
    }

    /// The first `len` bytes. `None` if the set has fewer.
    pub(super) fn bytes_mut(&mut self, len: usize) -> Option<&mut [u8]> {
        self.0.get_mut(..len)
    }
}

/// Half of each bucket's hash. Two different buckets look equal with a chance of 2^-32.
pub type Halves = [u32; DIGEST_BUCKETS];

/// The lower halves of the hashes of buckets.
#[must_use]
pub fn halves(buckets: &Buckets) -> Halves {
    #[expect(clippy::cast_possible_truncation, reason = "half of it is meant")]
    buckets.map(|bucket| bucket as u32)
}

/// The trouble of a link, as one of its ends sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The link is down.
    Down,
    /// The link is up, and its ends have not found their tables equal since the last difference.
    Pending,
    /// Two boards use the neighbour's name.
    NameInUse,
}

impl Trouble {
    /// The letter of the trouble in an R.
    pub(super) fn letter(self) -> u8 {
        match self {
            Trouble::Down => b'd',
            Trouble::Pending => b'p',
            Trouble::NameInUse => b'n',
        }
    }

    pub(super) fn of_letter(letter: u8) -> Option<Self> {
        [Trouble::Down, Trouble::Pending, Trouble::NameInUse].into_iter().find(|t| t.letter() == letter)
    }
}

/// A link with a trouble, as one of its ends sees it. A link that neither end lists is up and in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkTrouble {
    /// The end that reports the trouble.
    pub node: NodeId,
    /// The other end.
    pub neighbour: NodeId,
    /// The trouble.
    pub trouble: Trouble,
}

/// The combined state of some nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// The nodes that have answered.
    pub answered: NodeSet,
    /// The nodes that have a link with a trouble.
    pub troubled: NodeSet,
    /// The links with a trouble, each from the end that reports it.
    pub links: heapless::Vec<LinkTrouble, CENSUS_LINKS_MAX>,
    /// Number of further links with a trouble, for which `links` had no room.
    pub links_left_out: u32,
    /// Number of nodes whose configuration lists other nodes. They are in neither set.
    pub strangers: u32,
    /// Number of updates pending on all links.
    pub pending: u32,
    /// The buckets in which tables differ, one bit each.
    pub differs: u64,
    /// The half hashes of the buckets, valid if the bucket does not differ.
    pub halves: Halves,
    /// The highest floor of all. Some table has evicted updates below it.
    pub floor: Option<Update>,
}
const _: () = assert!(DIGEST_BUCKETS <= u64::BITS as usize);

impl Sum {
    /// The sum of no nodes.
    pub const NONE: Sum = Sum {
        answered: NodeSet::EMPTY,
        troubled: NodeSet::EMPTY,
        links: heapless::Vec::new(),
        links_left_out: 0,
        strangers: 0,
        pending: 0,
        differs: 0,
        halves: [0; DIGEST_BUCKETS],
        floor: None,
    };

    /// Adds the sum of other nodes.
    pub(super) fn add(&mut self, other: &Sum) {
        // A sum of no nodes has no hashes to compare.
        if self.answered.is_empty() {
            self.halves = other.halves;
        } else if !other.answered.is_empty() {
            for (bucket, (ours, theirs)) in self.halves.iter().zip(&other.halves).enumerate() {
                self.differs |= u64::from(ours != theirs) << bucket;
            }
        }
        self.answered.join(&other.answered);
        self.troubled.join(&other.troubled);
        other.links.iter().for_each(|link| self.add_link(*link));
        self.links_left_out = self.links_left_out.saturating_add(other.links_left_out);
        self.strangers = self.strangers.saturating_add(other.strangers);
        self.pending = self.pending.saturating_add(other.pending);
        self.differs |= other.differs;
        self.floor = higher(self.floor.take(), other.floor.clone());
    }
}

impl Sum {
    /// Adds a link with a trouble.
    pub(super) fn add_link(&mut self, link: LinkTrouble) {
        self.troubled.add(link.node);
        if self.links.push(link).is_err() {
            self.links_left_out = self.links_left_out.saturating_add(1);
        }
    }
}

/// The higher of two floors. `None` is the lowest.
pub(super) fn higher(a: Option<Update>, b: Option<Update>) -> Option<Update> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.borrowed().compare(&b.borrowed()).is_ge() { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// The fields of Q.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The random number of this census.
    pub number: u64,
    /// The salt of the hashes. With an equal salt, two censuses assign the clients to the same buckets.
    pub salt: u64,
    /// A hash of the asker's list of nodes and of the life of its entries.
    pub config: u64,
    /// Time in milliseconds that the receiver may take for its R.
    pub within_ms: u64,
    /// Whether each node also sends its facts.
    pub facts: bool,
    /// The lower bound of the comparison.
    pub floor: Option<Update>,
}

impl Question {
    /// A Q that only reports that the sender knows of the census.
    pub(super) fn reply(number: u64) -> Self {
        Question { number, salt: 0, config: 0, within_ms: 0, facts: false, floor: None }
    }
}

/// A census in which this node takes part.
#[derive(Debug)]
pub(super) struct Census {
    pub(super) question: Question,
    /// The neighbour that gets the sum. `None` at the asking node.
    pub(super) parent: Option<u8>,
    /// Neighbours to which this node must still send Q, one bit each, even if their own Q has arrived.
    pub(super) asks: u16,
    /// Neighbours whose Q or R is outstanding, one bit each.
    pub(super) awaits: u16,
    pub(super) until: Mono,
    pub(super) sum: Sum,
    /// The first node whose facts have not been sent to the parent.
    pub(super) next_facts: u16,
    pub(super) phase: Phase,
    /// A neighbour did not answer in time and may still answer.
    pub(super) is_late: bool,
}

impl Census {
    /// Takes the next node whose facts go to the parent before the sum.
    pub(super) fn take_facts_due(&mut self) -> Option<NodeId> {
        let mut rest = (usize::from(self.next_facts)..NODES_MAX).filter(|_| self.question.facts);
        let node = rest.find(|index| self.sum.answered.has(*index)).and_then(NodeId::at);
        self.next_facts = node.map_or(u16::MAX, |node| node.number() + 1);
        node
    }
}

/// The phase of a census at this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Answers are outstanding.
    Open,
    /// The sum is complete and not sent yet.
    Summed,
    /// The sum has been sent or taken. The census stays until its last Q is sent.
    Done,
}

/// A census that this node knows.
#[derive(Debug)]
pub(super) struct Seen {
    number: u64,
    /// Its questions may arrive until then.
    until: Mono,
    /// Neighbours to which this node sends Q or R in any case, one bit each.
    notified: u16,
    /// Neighbours whose Q came later. This node must still answer each of them by a Q.
    replies: u16,
    /// Both lines have crossed each edge of this node, so no further line comes. The node may forget the
    /// census.
    is_over: bool,
}

/// The censuses in which a node takes part, and the numbers of recent ones.
#[derive(Debug)]
pub(super) struct Censuses {
    pub(super) list: heapless::Vec<Census, CENSUSES_MAX>,
    seen: heapless::Vec<Seen, CENSUSES_SEEN_MAX>,
    /// The last facts of each node, from any census.
    pub(super) facts: [Facts; NODES_MAX],
}

impl Censuses {
    pub(super) const fn new() -> Self {
        Censuses { list: heapless::Vec::new(), seen: heapless::Vec::new(), facts: [Facts::NONE; NODES_MAX] }
    }

    /// Whether this node knows the census.
    pub(super) fn has_seen(&self, number: u64) -> bool {
        self.seen.iter().any(|seen| seen.number == number)
    }

    /// Records a census. The neighbours of `notified` will get Q or R. Returns its place, or `None` if the
    /// lists are full.
    pub(super) fn record(&mut self, now: Mono, census: Census, notified: u16) -> Option<usize> {
        if !self.make_room(now) {
            return None;
        }
        let until = census.until.after_ms(CENSUS_RETAIN_MS);
        let _ = self.seen.push(Seen {
            number: census.question.number,
            until,
            notified,
            replies: 0,
            is_over: false,
        });
        let _ = self.list.push(census);
        Some(self.list.len() - 1)
    }

    /// Whether there is room for one more census. Forgets one that is over if need be.
    pub(super) fn make_room(&mut self, now: Mono) -> bool {
        self.seen.retain(|seen| seen.until > now);
        if self.seen.is_full()
            && let Some(over) = self.seen.iter().position(|seen| seen.is_over)
        {
            self.seen.remove(over);
        }
        !self.list.is_full() && !self.seen.is_full()
    }

    /// Removes a census that is over here.
    pub(super) fn end(&mut self, place: usize) {
        let census = self.list.remove(place);
        let number = census.question.number;
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.number == number) {
            seen.is_over = !census.is_late;
        }
    }

    /// Records that the neighbours of this mask have asked. Returns whether this adds an answer that was not
    /// due.
    pub(super) fn answer(&mut self, number: u64, neighbour: u16) -> bool {
        let seen = self.seen.iter_mut().find(|seen| seen.number == number && seen.notified & neighbour == 0);
        if let Some(seen) = seen {
            seen.notified |= neighbour;
            seen.replies |= neighbour;
            seen.is_over = false;
            return true;
        }
        false
    }

    /// Takes the number of a census whose question this neighbour has sent and that this node must answer by a
    /// Q.
    pub(super) fn take_reply(&mut self, neighbour: u16) -> Option<u64> {
        let seen = self.seen.iter_mut().find(|seen| seen.replies & neighbour != 0)?;
        seen.replies &= !neighbour;
        Some(seen.number)
    }

    /// Removes a link that is down: nothing is awaited from it or sent to it.
    pub(super) fn lose(&mut self, neighbour: u16) {
        for census in &mut self.list {
            census.asks &= !neighbour;
            census.awaits &= !neighbour;
        }
        for seen in &mut self.seen {
            seen.replies &= !neighbour;
        }
    }

    /// Ends all censuses, because the nodes have new numbers.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        // A write to zeros would make their pages resident.
        self.facts.iter_mut().filter(|facts| **facts != Facts::NONE).for_each(|facts| *facts = Facts::NONE);
        for seen in &mut self.seen {
            (seen.notified, seen.replies) = (u16::MAX, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(node: usize, half: u32) -> Sum {
        let mut sum = Sum { pending: 1, halves: [half; DIGEST_BUCKETS], ..Sum::NONE };
        sum.answered.add(NodeId::at(node).expect("within the limit"));
        sum
    }

    #[test]
    fn one_difference_shows_in_any_order_of_adding() {
        let mut equal = sum(0, 5);
        equal.add(&sum(1023, 5));
        assert_eq!((equal.answered.len(), equal.pending, equal.differs), (2, 2, 0));
        assert!(equal.answered.has(0) && equal.answered.has(1023) && !equal.answered.has(1024));
        let mut other = sum(2, 5);
        other.halves[63] = 6;
        for (mut a, b) in [(equal.clone(), other.clone()), (other, equal)] {
            a.add(&b);
            assert_eq!((a.differs, a.answered.len()), (1 << 63, 3));
        }
    }

    #[test]
    fn nodes_of_another_configuration_are_not_compared() {
        let stranger = Sum { strangers: 1, halves: [9; DIGEST_BUCKETS], ..Sum::NONE };
        let mut all = sum(1, 5);
        all.add(&stranger);
        assert_eq!((all.strangers, all.differs), (1, 0));
    }
}
