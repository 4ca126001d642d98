//! A census: how the whole herd is, asked through one node.
//!
//! The echo algorithm (Chang, "Echo algorithms: depth parallel operations on general graphs", 1982). The asking node sends Q to
//! its neighbours. A node that hears of a census for the first time takes the sender for its parent, sends Q to all
//! others, and waits until each of them has sent Q or R; then it sends its parent R, the sum of what it has heard and
//! of itself. So two lines cross each edge, every node holds one sum whatever the herd's size, and a neighbour that does
//! not answer is waited for no longer than the time that came with Q.
//!
//! Invariant: whoever sends Q gets Q or R back, whatever came first. A node that has its neighbour's Q before it sent its
//! own still sends it: the neighbour waits for it.
//!
//! What is summed: which nodes have answered, which of their links are not well ([`LinkTrouble`]), and for each bucket of
//! clients whether all tables hold the same (see [`digest`](super::digest)), from the highest floor of all upwards.
//!
//! This file is the sum, and what a census remembers; when lines come and go is in `node/census.rs`.

use super::digest::Buckets;
use super::limits::{
    CENSUS_KEPT_MS, CENSUS_LINKS_MAX, CENSUSES_MAX, CENSUSES_SEEN_MAX, DIGEST_BUCKETS, NODES_MAX,
};
use super::names::NodeId;
use super::time::Mono;
use super::update::Update;

/// A set of nodes, by their place in the configuration's sorted list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeSet([u8; NODES_MAX / 8]);

impl NodeSet {
    /// None.
    pub const EMPTY: NodeSet = NodeSet([0; NODES_MAX / 8]);

    pub(super) fn add(&mut self, node: NodeId) {
        self.0[node.index() / 8] |= 1 << (node.index() % 8);
    }

    /// Whether the node at this place is one of them.
    #[must_use]
    pub fn has(&self, index: usize) -> bool {
        self.0.get(index / 8).is_some_and(|byte| byte & (1 << (index % 8)) != 0)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn join(&mut self, other: &NodeSet) {
        self.0.iter_mut().zip(other.0).for_each(|(byte, other)| *byte |= other);
    }

    /// Its bytes, without those of zero at the end.
    pub(super) fn bytes(&self) -> &[u8] {
        let len = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self.0[..len]
    }

    /// The first `len` bytes; `None` if it has fewer.
    pub(super) fn bytes_mut(&mut self, len: usize) -> Option<&mut [u8]> {
        self.0.get_mut(..len)
    }
}

/// Half of each bucket's hash: of two buckets that differ one in four thousand million looks equal.
pub type Halves = [u32; DIGEST_BUCKETS];

/// The lower halves of the hashes of buckets.
#[must_use]
pub fn halves(buckets: &Buckets) -> Halves {
    #[expect(clippy::cast_possible_truncation, reason = "half of it is meant")]
    buckets.map(|bucket| bucket as u32)
}

/// What is wrong with a link, as one of its ends sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It is down.
    Down,
    /// It is up, and the tables of its ends have not been found equal since they last differed.
    Pending,
    /// Two boards use the neighbour's name.
    NameInUse,
}

impl Trouble {
    /// The letter that stands for it in an R.
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

/// A link that is not well, as one of its ends sees it. A link that neither end lists is up and in sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkTrouble {
    /// The end that updates it.
    pub node: NodeId,
    /// The other end.
    pub neighbour: NodeId,
    /// What is wrong.
    pub trouble: Trouble,
}

/// What some nodes say together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// Those that have answered.
    pub answered: NodeSet,
    /// Those that have a link which is not well.
    pub troubled: NodeSet,
    /// The links that are not well, each from the end that updates it.
    pub links: heapless::Vec<LinkTrouble, CENSUS_LINKS_MAX>,
    /// Links that are not well either, and that `links` has no room for.
    pub links_left_out: u32,
    /// Nodes whose configuration lists other nodes: they are in neither set.
    pub strangers: u32,
    /// Updates that nodes owe to each other.
    pub pending: u32,
    /// The buckets in which tables differ, a bit each.
    pub differs: u64,
    /// The hashes of the buckets in which they do not.
    pub halves: Halves,
    /// The highest floor of all: below it some table is full.
    pub floor: Option<Update>,
}
const _: () = assert!(DIGEST_BUCKETS <= u64::BITS as usize);

impl Sum {
    /// What nobody says.
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

    /// Adds what others say together.
    pub(super) fn add(&mut self, other: &Sum) {
        // Whoever has a sum of nobody has no table to compare.
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
    /// Adds a link that is not well.
    pub(super) fn add_link(&mut self, link: LinkTrouble) {
        self.troubled.add(link.node);
        if self.links.push(link).is_err() {
            self.links_left_out = self.links_left_out.saturating_add(1);
        }
    }
}

/// The higher of two floors; none is the lowest.
pub(super) fn higher(a: Option<Update>, b: Option<Update>) -> Option<Update> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if a.borrowed().compare(&b.borrowed()).is_ge() { a } else { b }),
        (a, b) => a.or(b),
    }
}

/// What Q asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Tells this census from all others: random.
    pub number: u64,
    /// Salts the hashes: the same again makes the buckets of two censuses those of the same clients.
    pub salt: u64,
    /// A hash of the asker's list of nodes.
    pub names: u64,
    /// So long whoever gets it may take for its R, in milliseconds.
    pub within_ms: u64,
    /// Tables are compared from here upwards.
    pub floor: Option<Update>,
}

impl Question {
    /// A Q that asks for nothing: it says that the sender knows of the census.
    pub(super) fn reply(number: u64) -> Self {
        Question { number, salt: 0, names: 0, within_ms: 0, floor: None }
    }
}

/// A census that passes through this node.
#[derive(Debug)]
pub(super) struct Census {
    pub(super) question: Question,
    /// The neighbour that is told the sum; none at the asking node.
    pub(super) parent: Option<u8>,
    /// Neighbours that Q is still to be sent to, a bit each: those that have sent their own Q meanwhile too.
    pub(super) asks: u16,
    /// Neighbours whose Q or R is waited for, a bit each.
    pub(super) awaits: u16,
    pub(super) until: Mono,
    pub(super) sum: Sum,
    pub(super) phase: Phase,
    /// Some neighbour has not answered in time, and may yet.
    pub(super) is_late: bool,
}

/// How far a census has come here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Others are waited for.
    Open,
    /// The sum is there, and is to be sent.
    Summed,
    /// The sum has been sent or taken. The census stays until its last Q has left.
    Done,
}

/// A census that this node has heard of.
#[derive(Debug)]
pub(super) struct Seen {
    number: u64,
    /// Its questions may come until then.
    until: Mono,
    /// Neighbours that get Q or R from this node without asking again, a bit each.
    told: u16,
    /// Neighbours whose Q came later than that, and is still to be answered by a Q.
    replies: u16,
    /// Both lines have crossed each edge of this node, so no further one comes: it may be forgotten.
    is_over: bool,
}

/// The censuses that a node takes part in, and the numbers of those it has.
#[derive(Debug)]
pub(super) struct Censuses {
    pub(super) list: heapless::Vec<Census, CENSUSES_MAX>,
    seen: heapless::Vec<Seen, CENSUSES_SEEN_MAX>,
}

impl Censuses {
    pub(super) const fn new() -> Self {
        Censuses { list: heapless::Vec::new(), seen: heapless::Vec::new() }
    }

    /// Whether this node has heard of it.
    pub(super) fn has_seen(&self, number: u64) -> bool {
        self.seen.iter().any(|seen| seen.number == number)
    }

    /// Takes one in, of which `told` will get Q or R. `None` if there is no room; gives its place otherwise.
    pub(super) fn keep(&mut self, now: Mono, census: Census, told: u16) -> Option<usize> {
        self.seen.retain(|seen| seen.until > now);
        if self.seen.is_full()
            && let Some(over) = self.seen.iter().position(|seen| seen.is_over)
        {
            self.seen.remove(over);
        }
        if self.list.is_full() || self.seen.is_full() {
            return None;
        }
        let until = census.until.after_ms(CENSUS_KEPT_MS);
        let _ =
            self.seen.push(Seen { number: census.question.number, until, told, replies: 0, is_over: false });
        let _ = self.list.push(census);
        Some(self.list.len() - 1)
    }

    /// Takes out a census that is over here.
    pub(super) fn end(&mut self, place: usize) {
        let census = self.list.remove(place);
        let number = census.question.number;
        if let Some(seen) = self.seen.iter_mut().find(|seen| seen.number == number) {
            seen.is_over = !census.is_late;
        }
    }

    /// The neighbours of this mask have asked. Says whether they get an answer that was not due before.
    pub(super) fn answer(&mut self, number: u64, neighbour: u16) -> bool {
        let seen = self.seen.iter_mut().find(|seen| seen.number == number && seen.told & neighbour == 0);
        if let Some(seen) = seen {
            seen.told |= neighbour;
            seen.replies |= neighbour;
            seen.is_over = false;
            return true;
        }
        false
    }

    /// A census whose question this neighbour has sent, and which is to be answered by a Q now.
    pub(super) fn take_reply(&mut self, neighbour: u16) -> Option<u64> {
        let seen = self.seen.iter_mut().find(|seen| seen.replies & neighbour != 0)?;
        seen.replies &= !neighbour;
        Some(seen.number)
    }

    /// The link is down: nothing is waited for there, and nothing is sent.
    pub(super) fn lose(&mut self, neighbour: u16) {
        for census in &mut self.list {
            census.asks &= !neighbour;
            census.awaits &= !neighbour;
        }
        for seen in &mut self.seen {
            seen.replies &= !neighbour;
        }
    }

    /// Forgets all: nodes have other numbers now.
    pub(super) fn clear(&mut self) {
        self.list.clear();
        for seen in &mut self.seen {
            (seen.told, seen.replies) = (u16::MAX, 0);
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
    fn sums_agree_until_one_differs_whatever_the_order() {
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
    fn whoever_has_another_map_compares_nothing() {
        let stranger = Sum { strangers: 1, halves: [9; DIGEST_BUCKETS], ..Sum::NONE };
        let mut all = sum(1, 5);
        all.add(&stranger);
        assert_eq!((all.strangers, all.differs), (1, 0));
    }
}
