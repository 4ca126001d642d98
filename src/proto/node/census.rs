//! The lines and timers of a census. [`census`](super::census) explains the algorithm.
//!
//! A census waits only for links that are up, and for each no longer than its time. A node passes a question on
//! once, and only while time is left. So every census ends, whatever the neighbours send.

use core::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::Node;
use super::links::LinkEvent;
use crate::census::{Census, LinkTrouble, Phase, Question, Sum, Trouble, halves};
use crate::digest::{Salt, buckets};
use crate::facts::{Facts, Version};
use crate::limits::{CENSUS_HOP_MS, CENSUS_MS_MAX, CENSUS_RETAIN_MS};
use crate::names::NodeId;
use crate::out::Out;
use crate::time::Mono;
use crate::update::{AtLineError, Update};
use crate::wire;

impl<const SLOTS: usize> Node<SLOTS> {
    /// Starts a census of the whole herd. `number` and `salt` must be random. [`Node::take_sum`] returns the
    /// answer within `within_ms`, unless too many censuses are under way.
    ///
    /// With `facts`, the caller calls [`Node::set_facts`] first, and reads [`Node::facts`] after the answer.
    pub fn ask_herd(
        &mut self,
        now: Mono,
        (number, salt): (u64, u64),
        within_ms: u64,
        facts: bool,
        floor: Option<Update>,
    ) {
        let question = Question { number, salt, config: self.config_hash(), within_ms, facts, floor };
        self.begin_census(now, question, None);
    }

    /// Sets what only the server knows of this node, and measures the rest.
    pub fn set_facts(&mut self, now: Mono, version: Version, private_kb: u32) {
        let [clients, pending] =
            [self.table.len(), self.pending()].map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let up_s = u32::try_from(now.0 / 1_000).unwrap_or(u32::MAX);
        let me = self.me().index();
        self.censuses.facts[me] = Facts { version, up_s, clients, pending, private_kb };
    }

    /// The last facts of a node. They are of a census whose sum has the node, if that census asked for facts.
    #[must_use]
    pub fn facts(&self, node: NodeId) -> &Facts {
        &self.censuses.facts[node.index()]
    }

    /// Takes the answer of the herd, if it is complete. The census is then over.
    pub fn take_sum(&mut self, number: u64) -> Option<Sum> {
        let place = self.censuses.list.iter().position(|census| {
            census.question.number == number && census.parent.is_none() && census.phase == Phase::Summed
        })?;
        let sum = core::mem::replace(&mut self.censuses.list[place].sum, Sum::NONE);
        self.end_census(place);
        Some(sum)
    }

    /// Marks the sum as sent or taken. The census ends after its last question is sent.
    fn end_census(&mut self, place: usize) {
        let census = &mut self.censuses.list[place];
        census.phase = Phase::Done;
        if census.asks == 0 {
            self.censuses.end(place);
        }
    }

    fn begin_census(&mut self, now: Mono, question: Question, parent: Option<u8>) {
        let up = self.links.iter().enumerate().filter(|(_, link)| link.session.is_some());
        let others = up.filter(|(neighbour, _)| parent.map(usize::from) != Some(*neighbour));
        // A question without time left is not passed on, so it cannot circulate for ever.
        let others = others.filter(|_| question.within_ms > 0);
        let others = others.fold(0, |mask, (neighbour, _)| mask | 1_u16 << neighbour);
        let until = now.after_ms(question.within_ms);
        let sum = self.own_sum(now, &question);
        self.record_census(
            now,
            Census {
                question,
                parent,
                asks: others,
                awaits: others,
                until,
                sum,
                next_facts: 0,
                phase: Phase::Open,
                is_late: false,
            },
        );
    }

    fn record_census(&mut self, now: Mono, census: Census) {
        let asks = census.asks;
        let notified = asks | census.parent.map_or(0, |parent| 1 << parent);
        let Some(place) = self.censuses.record(now, census, notified) else {
            self.counters.censuses_refused += 1;
            return;
        };
        for neighbour in (0..self.links.len()).filter(|neighbour| asks & 1 << neighbour != 0) {
            self.wake_neighbour(neighbour);
        }
        self.settle_census(place);
    }

    fn wake_neighbour(&mut self, neighbour: usize) {
        if let Some(session) = self.links[neighbour].session {
            self.wakes |= 1 << session;
        }
    }

    /// Completes the sum once no answer is outstanding.
    fn settle_census(&mut self, place: usize) {
        let census = &mut self.censuses.list[place];
        if census.phase == Phase::Open && census.awaits == 0 {
            census.phase = Phase::Summed;
            if let Some(parent) = census.parent.map(usize::from) {
                self.wake_neighbour(parent);
            }
        }
    }

    fn own_sum(&self, now: Mono, question: &Question) -> Sum {
        let salt = Salt { round: question.salt, secret: 0 };
        let buckets = buckets(&self.table, &self.names, now.seconds(), question.floor.as_ref(), salt);
        let mut sum = Sum { halves: halves(&buckets), floor: self.own_floor(), ..Sum::NONE };
        sum.answered.add(self.me());
        for link in self.links() {
            let trouble = match () {
                () if link.is_name_in_use(now) => Trouble::NameInUse,
                () if link.up_since.is_none() => Trouble::Down,
                () if link.equal_at.is_none() => Trouble::Pending,
                () => continue,
            };
            sum.add_link(LinkTrouble { node: self.me(), neighbour: link.node, trouble });
        }
        sum.pending = u32::try_from(self.pending()).unwrap_or(u32::MAX);
        sum
    }

    fn pending(&self) -> usize {
        self.links().map(|link| link.pending).sum()
    }

    /// A hash of what must be equal on all nodes. With another lifetime tables differ all the time.
    fn config_hash(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        hasher.write_u32(self.age_s_max);
        for name in self.names.each() {
            hasher.write(name);
            hasher.write_u8(b' ');
        }
        hasher.finish()
    }

    /// Handles Q: a neighbour asks, or reports that it knows the census.
    pub(crate) fn take_question(
        &mut self,
        now: Mono,
        neighbour: usize,
        question: Result<Question, AtLineError>,
        number: u64,
    ) -> LinkEvent {
        if self.censuses.has_seen(number) {
            // The neighbour waits for a line. A line that is due is still sent; if none is due, this node sends
            // a Q.
            if self.censuses.answer(number, 1 << neighbour) {
                self.wake_neighbour(neighbour);
            }
            let known = self.censuses.list.iter().position(|census| census.question.number == number);
            if let Some(place) = known {
                self.censuses.list[place].awaits &= !(1 << neighbour);
                self.settle_census(place);
            }
            return LinkEvent::None;
        }
        let parent = u8::try_from(neighbour).ok();
        match question {
            // To compute the sum is work.
            Ok(_) if !self.censuses.make_room(now) => self.counters.censuses_refused += 1,
            Ok(question) if question.config == self.config_hash() => {
                let within_ms = question.within_ms.min(CENSUS_MS_MAX).saturating_sub(CENSUS_HOP_MS);
                let event = if question.facts { LinkEvent::FactsAsked } else { LinkEvent::None };
                self.begin_census(now, Question { within_ms, ..question }, parent);
                return event;
            }
            // Its node numbers have another meaning. This node only reports that it exists.
            _ => self.record_census(
                now,
                Census {
                    question: Question::reply(number),
                    parent,
                    asks: 0,
                    awaits: 0,
                    until: now,
                    sum: Sum { strangers: 1, ..Sum::NONE },
                    next_facts: 0,
                    phase: Phase::Open,
                    is_late: false,
                },
            ),
        }
        LinkEvent::None
    }

    /// The place of the census in which an answer of this neighbour is outstanding. A late answer is counted.
    fn awaiting(&mut self, neighbour: usize, number: u64) -> Option<usize> {
        let place = self.censuses.list.iter().position(|census| {
            census.question.number == number
                && census.phase == Phase::Open
                && census.awaits & 1 << neighbour != 0
        });
        self.counters.census_late_replies += u64::from(place.is_none());
        place
    }

    /// Handles F: the facts of a node behind a neighbour. Facts that were not requested, or that come too late,
    /// are ignored and counted.
    pub(crate) fn take_facts(
        &mut self,
        neighbour: usize,
        number: u64,
        node: NodeId,
        facts: Facts,
    ) -> LinkEvent {
        if self.awaiting(neighbour, number).is_some() && node != self.me() {
            self.censuses.facts[node.index()] = facts;
        }
        LinkEvent::None
    }

    /// Handles R: a neighbour's sum. A sum that was not requested, or that comes too late, is ignored and
    /// counted.
    pub(crate) fn take_neighbours_sum(&mut self, neighbour: usize, number: u64, sum: &Sum) -> LinkEvent {
        if let Some(place) = self.awaiting(neighbour, number) {
            let census = &mut self.censuses.list[place];
            census.awaits &= !(1 << neighbour);
            census.sum.add(sum);
            // A neighbour may be a stolen board, and name nodes that are not there.
            let has = |node: NodeId| node.index() < self.names.len();
            census.sum.links.retain(|link| has(link.node) && has(link.neighbour));
            self.settle_census(place);
        }
        LinkEvent::None
    }

    /// Removes a link that is down from all censuses: nothing is awaited from it or sent to it.
    pub(crate) fn lose_from_censuses(&mut self, neighbour: usize) {
        self.censuses.lose(1 << neighbour);
        self.censuses.list.retain(|census| {
            let is_over = census.phase == Phase::Done && census.asks == 0;
            !is_over && census.parent.map(usize::from) != Some(neighbour)
        });
        for place in 0..self.censuses.list.len() {
            self.settle_census(place);
        }
    }

    /// Ends the waiting of each census whose time is over, and removes sums that were not taken.
    pub(crate) fn tick_censuses(&mut self, now: Mono) {
        self.censuses.list.retain(|census| {
            let until = match census.phase {
                Phase::Open | Phase::Summed => census.until.after_ms(CENSUS_RETAIN_MS),
                Phase::Done => census.until,
            };
            until > now
        });
        for place in 0..self.censuses.list.len() {
            let census = &mut self.censuses.list[place];
            if census.phase == Phase::Open && census.until <= now {
                (census.asks, census.awaits, census.is_late) = (0, 0, true);
                self.settle_census(place);
            }
        }
    }

    pub(crate) fn census_wake_at(&self) -> Mono {
        let due = self.censuses.list.iter().map(|census| match census.phase {
            Phase::Open | Phase::Done => census.until,
            Phase::Summed => census.until.after_ms(CENSUS_RETAIN_MS),
        });
        due.min().unwrap_or(Mono::NEVER)
    }

    pub(crate) fn pull_census(&mut self, neighbour: usize, out: &mut Out) -> bool {
        for place in 0..self.censuses.list.len() {
            let census = &mut self.censuses.list[place];
            if census.asks & 1 << neighbour != 0 {
                census.asks &= !(1 << neighbour);
                wire::put_question(&census.question, &self.names, out);
                if census.phase == Phase::Done && census.asks == 0 {
                    self.censuses.end(place);
                }
                return true;
            }
            if census.phase == Phase::Summed && census.parent.map(usize::from) == Some(neighbour) {
                if let Some(node) = census.take_facts_due() {
                    wire::put_facts(census.question.number, node, &self.censuses.facts[node.index()], out);
                    return true;
                }
                wire::put_sum(census.question.number, &census.sum, &self.names, out);
                self.end_census(place);
                return true;
            }
        }
        if let Some(number) = self.censuses.take_reply(1 << neighbour) {
            // The neighbour has asked about the same census. It only waits for a line with the number.
            wire::put_question(&Question::reply(number), &self.names, out);
            return true;
        }
        false
    }
}

#[cfg(test)]
#[path = "census_tests.rs"]
mod tests;
