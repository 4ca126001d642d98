//! Clients: they send lines that are split at any byte, and each line must get exactly one answer, in order.

use super::check::Delivered;
use super::host::{ADDRESSES, TIGHT_QUOTA, WALL_NS, client_name, client_number};
use super::plan::{Fault, pick};
use super::world::World;
use crate::proto::client::{Piece, Splitter};
use crate::proto::fields::ClientId;
use crate::proto::limits::{
    AHEAD_NS_MAX, ANSWER_BYTES_MAX, AT_LINE_BYTES_MAX, CENSUS_MS_MAX, CENSUSES_MAX, LEARNED_CLOCK_NS_MAX,
    TIME_BYTES_MAX,
};
use crate::proto::node::Answer;
use crate::proto::out::Out;
use crate::proto::quota::QuotaKey;
use crate::proto::time::{Now, Timestamp};
use crate::proto::update::{Sighting, Update, UpdateRef};

const POSITIONS: [&str; 5] = ["+34.068930-118.445127", "+1+1", "-1+1", "+1.0+1", "-90.00+180"];
/// One time in three forms, and the nearest times.
const EQUAL_TIMES: [&str; 5] =
    ["1700000000", "1700000000.0", "1700000000.00", "1700000000.000000001", "1699999999.999999999"];
const HTTP: &str = "POST / HTTP/1.1";
const NONSENSE: [&str; 6] =
    [HTTP, "", "IAMAT", "AT n0000 +0.0 c0 +1+1 1", "WHATSAT c0 51 1", "IAMAT c0 +91+1 1"];

/// A client's line and its parsed fields.
#[derive(Clone, Debug)]
pub(super) enum ClientLine {
    Iamat { line: String, client: usize, fields: String, time_ns: i64 },
    Whatsat { line: String, client: usize },
    Nonsense(String),
}

impl ClientLine {
    pub(super) fn iamat(client: usize, position: &str, time: &str, time_ns: i64) -> Self {
        let fields = format!("{} {position} {time}", client_name(client));
        ClientLine::Iamat { line: format!("IAMAT {fields}"), client, fields, time_ns }
    }

    fn line(&self) -> &str {
        match self {
            ClientLine::Iamat { line, .. }
            | ClientLine::Whatsat { line, .. }
            | ClientLine::Nonsense(line) => line,
        }
    }
}

impl World {
    /// A client sends a few lines to `host` at once.
    pub(super) fn client(&mut self, host: usize) {
        if !self.hosts[host].is_up() {
            return;
        }
        if self.rng.u8(0..8) == 0 {
            self.ask_around(host);
        }
        let count = self.rng.usize(1..=3);
        let sent: Vec<ClientLine> = (0..count).map(|_| self.draw_line()).collect();
        self.say_all(host, &sent);
        if self.plan.has(Fault::EqualTimes) && self.rng.u8(0..3) == 0 {
            // The same lines go to all nodes at the same instant: only the origins distinguish these updates.
            for other in (0..self.plan.nodes).filter(|&other| other != host) {
                let board = &self.hosts[other];
                if board.is_up() && board.paused_until <= self.now && self.failure.is_none() {
                    self.say_all(other, &sent);
                }
            }
        }
    }

    /// Starts censuses, at times more than a node can remember.
    fn ask_around(&mut self, host: usize) {
        let now = self.hosts[host].now(self.now).mono;
        for _ in 0..self.rng.usize(1..=CENSUSES_MAX) {
            let (number, within_ms) = (self.rng.u64(..), self.rng.u64(0..2 * CENSUS_MS_MAX));
            if let Some(node) = self.node(host) {
                node.ask_herd(now, (number, number), within_ms, number % 2 == 0, None);
            }
        }
        self.settle(host);
    }

    fn draw_line(&mut self) -> ClientLine {
        let client = self.rng.usize(0..self.plan.clients);
        match self.rng.u8(0..10) {
            0 => ClientLine::Nonsense((*pick(&mut self.rng, &NONSENSE)).to_string()),
            1 | 2 => ClientLine::Whatsat { line: format!("WHATSAT {} 10 5", client_name(client)), client },
            _ => {
                let position = *pick(&mut self.rng, &POSITIONS);
                let (time, time_ns) = self.draw_time();
                ClientLine::iamat(client, position, &time, time_ns)
            }
        }
    }

    fn draw_time(&mut self) -> (String, i64) {
        if self.plan.has(Fault::EqualTimes) && self.rng.u8(0..4) != 0 {
            return ((*pick(&mut self.rng, &EQUAL_TIMES)).to_string(), WALL_NS);
        }
        let ahead_s = match self.rng.u8(0..8) {
            0 if self.plan.has(Fault::FutureTimes) && self.rng.bool() => {
                // Milliseconds instead of seconds, or the largest number of digits.
                let now_ms = WALL_NS / 1_000_000 + self.later_s * 1_000;
                return match self.rng.bool() {
                    true => (format!("{now_ms}"), i64::MAX),
                    false => ("9".repeat(TIME_BYTES_MAX - 1), i64::MAX),
                };
            }
            0 if self.plan.has(Fault::FutureTimes) => self.rng.i64(2 * 86_400..86_400 * 365 * 30),
            1 if self.plan.has(Fault::FutureTimes) => self.rng.i64(3_600..86_000),
            0 => self.rng.i64(-86_400 * 365..0),
            _ => self.rng.i64(-100..=100),
        };
        self.time(ahead_s)
    }

    /// A client's time `ahead_s` seconds ahead of the true time, with a random fraction.
    pub(super) fn time(&mut self, ahead_s: i64) -> (String, i64) {
        let now_s = i64::try_from(self.now / 1_000).expect("a world lasts minutes");
        let (second, nanos) =
            (WALL_NS / 1_000_000_000 + self.later_s + now_s + ahead_s, self.rng.i64(0..1_000_000_000));
        (format!("{second}.{nanos:09}"), second * 1_000_000_000 + nanos)
    }

    /// Passes lines to the node in pieces, as a server does.
    pub(super) fn say_all(&mut self, host: usize, sent: &[ClientLine]) {
        let mut input: Vec<u8> =
            sent.iter().flat_map(|sent| [sent.line().as_bytes(), b"\n"].concat()).collect();
        if self.rng.bool() {
            // The end of input ends the last line.
            input.pop();
        }
        let (mut splitter, mut held, mut rest) = (Splitter::default(), Vec::new(), input.as_slice());
        let mut waiting = sent.iter();
        loop {
            let ended = rest.is_empty();
            let (piece, later) = rest.split_at(self.rng.usize(0..=rest.len()));
            rest = later;
            held.extend_from_slice(piece);
            while let Some((piece, taken)) = splitter.next(&held, ended) {
                let next = waiting
                    .next()
                    .filter(|sent| matches!(piece, Piece::Line(line) if line == sent.line().as_bytes()));
                let Some(next) = next else {
                    return self.fail("lines arrive as they were sent", format!("{piece:?} of {sent:?}"));
                };
                self.command(host, next);
                if next.line() == HTTP {
                    // The server closes the connection after the answer.
                    return;
                }
                held.drain(..taken);
            }
            if ended {
                break;
            }
        }
        // An empty last line without a newline does not count.
        if waiting.any(|sent| !sent.line().is_empty()) {
            self.fail("one answer for each request", format!("{sent:?}"));
        }
    }

    fn command(&mut self, host: usize, sent: &ClientLine) {
        // During the faults, clients use a few addresses. A client over its quota still gets an answer.
        let tight = self.plan.has(Fault::TightQuotas) && !self.healed;
        let address = tight.then(|| self.rng.usize(0..ADDRESSES));
        // The tags share no counter.
        let tag = address.and_then(|address| u8::try_from(address + 1).ok());
        let quota_key = tag.map_or(QuotaKey::EXEMPT, |tag| QuotaKey::of_tag([tag; 3]));
        let now = self.hosts[host].now(self.now);
        let mut bytes = [0; ANSWER_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        let Some(node) = self.hosts[host].node.as_mut() else { return };
        let received = node.receive_time(&now);
        if !self.is_shown_by_a_clock(&now, received) {
            let received = received.0;
            return self.fail("a receive time is one that a clock shows", format!("{received}, {now:?}"));
        }
        let node = self.hosts[host].node.as_mut().expect("the node is up");
        let (refusals, news) = (node.counters().iamat_over_quota, node.counters().updates_new);
        let answer = node.client_line(&now, quota_key, sent.line().as_bytes(), &mut out);
        let over_quota = node.counters().iamat_over_quota > refusals;
        let is_news = node.counters().updates_new > news;
        let text = String::from_utf8_lossy(out.written()).into_owned();
        self.trace.bytes(text.as_bytes());
        self.say(|world| format!("{} gets {:?}: {}", world.names[host], sent.line(), text.trim_end()));
        let refused = text == format!("? {}\n", sent.line());
        let mut delivered = None;
        let is_right = match (sent, answer) {
            (ClientLine::Iamat { client, fields, time_ns, .. }, Answer::Done) => {
                let ahead = now.wall_is_trusted && *time_ns > now.wall.0.saturating_add(AHEAD_NS_MAX);
                if ahead {
                    refused
                } else {
                    delivered = self.take_answer(host, *client, fields, &text, received);
                    let is_right = delivered.is_some();
                    delivered = delivered.filter(|_| !over_quota);
                    let address = address.filter(|_| over_quota);
                    is_right && address.is_none_or(|address| self.is_full(host, *client, address))
                }
            }
            (ClientLine::Whatsat { client, .. }, Answer::Places(query)) => {
                text.is_empty() && self.at_line(host, *client).as_deref() == Some(query.at_line.as_slice())
            }
            (ClientLine::Whatsat { client, .. }, Answer::Done) => {
                refused && self.at_line(host, *client).is_none()
            }
            (ClientLine::Nonsense(line), Answer::Done) => refused && line != HTTP,
            (ClientLine::Nonsense(line), Answer::Close) => refused && line == HTTP,
            _ => false,
        };
        if !is_right {
            return self.fail("the answer is correct", format!("{}: {sent:?}: {text}", self.names[host]));
        }
        self.check(host, delivered);
        self.hold(host, delivered.filter(|_| is_news), address);
        self.settle(host);
    }

    /// Whether a receive time is this node's own clock if that is trusted, and otherwise not later than any
    /// clock.
    fn is_shown_by_a_clock(&mut self, now: &Now, received: Timestamp) -> bool {
        let world_ns = i64::try_from(self.now).expect("a world lasts minutes") * 1_000_000;
        let clocks = self.hosts.iter().map(|board| board.now(self.now).wall.0 - world_ns);
        self.farthest_ns = clocks.fold(self.farthest_ns, i64::max);
        // A learned clock may be wrong by a minute, plus a second for each hop of the update.
        let hops_ns = i64::try_from(self.plan.nodes).expect("few") * 1_000_000_000;
        let bound_ns = self.farthest_ns + world_ns + LEARNED_CLOCK_NS_MAX + hops_ns;
        let is_bounded = received.0 <= bound_ns || self.plan.has(Fault::Insiders);
        is_bounded && (!now.wall_is_trusted || received == now.wall)
    }

    /// Whether the quota of an address does not allow this client.
    fn is_full(&self, host: usize, client: usize, address: usize) -> bool {
        let holders = &self.hosts[host].holders;
        let holds = holders.iter().filter(|holder| **holder == Some(address)).count();
        holders[client] != Some(address) && holds >= TIGHT_QUOTA as usize
    }

    /// Records that `address` holds the stored update.
    fn hold(&mut self, host: usize, delivered: Option<Delivered>, address: Option<usize>) {
        let Some(delivered) = delivered else { return };
        let board = &mut self.hosts[host];
        board.holders[delivered.client] = address;
        let held = |address: usize| board.holders.iter().filter(|holder| **holder == Some(address)).count();
        if address.is_some_and(|address| held(address) > TIGHT_QUOTA as usize) {
            self.fail("an address holds no more than its quota", self.names[host].clone());
        }
    }

    /// The update in the answer to an IAMAT, if the answer is correct.
    fn take_answer(
        &mut self,
        host: usize,
        client: usize,
        fields: &str,
        text: &str,
        received: Timestamp,
    ) -> Option<Delivered> {
        let now = self.hosts[host].now(self.now);
        let node = self.hosts[host].node.as_ref()?;
        let line = text.strip_suffix('\n').filter(|line| line.ends_with(&format!(" {fields}")))?;
        let Update { sighting, client: name } = Update::parse_at_line(line.as_bytes(), node.names()).ok()?;
        let is_right = client_number(&name) == Some(client)
            && sighting.origin == node.me()
            && sighting.heard == now.wall;
        // The answer does not show the rank, so this computes it.
        let Sighting { time, origin, position, heard, .. } = sighting;
        let sighting = match now.wall_is_trusted {
            true => sighting,
            false => Sighting::untrusted(time, origin, position, heard, received),
        };
        self.issued[client].push((sighting, self.now));
        is_right.then_some(Delivered { client, sighting, hidden_ms: 0, from: None })
    }

    /// The expected first line of a WHATSAT answer, by the recorded entries.
    fn at_line(&self, host: usize, client: usize) -> Option<Vec<u8>> {
        let board = &self.hosts[host];
        let held = board.held[client].as_ref()?;
        let age_s = board.now(self.now).mono.seconds() - held.heard_s;
        if i64::from(age_s) >= i64::from(self.plan.age_s_max) {
            return None;
        }
        let client = ClientId::parse(client_name(client).as_bytes())?;
        let mut bytes = [0; AT_LINE_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        let version = UpdateRef { client: &client, sighting: &held.sighting };
        version.put_at_line(board.node.as_ref()?.names(), &mut out);
        Some(out.written().to_vec())
    }
}
