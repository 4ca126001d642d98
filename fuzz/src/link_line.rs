//! A neighbour with the correct key that sends any lines, and a man in the middle that changes lines.
//!
//! Input: text. The first line holds letters: `d` the node dials (else the neighbour dials), `t` the wall clock
//! is trusted, `s` updates live for 100 s, `e` the link is encrypted. Each further line is a step. Its first character selects the kind:
//!
//! | | |
//! |---|---|
//! | `=` | the rest is sent with its tag or in its record; in `D 7 @ -`, `@` stands for the hashes of the node itself, `#` for others |
//! | `!` | the rest is sent with a tag that has one wrong bit |
//! | `?` | the rest is sent without a tag, or in a record in clear |
//! | `r` | an earlier line is sent again: the digit counts back from the last one |
//! | `c` | a client of the node sends the rest |
//! | `p` | the target reads all lines of the node |
//! | `t` | this many seconds pass |
//! | `w` | switches whether the wall clock is trusted |
//!
//! Checks: a wrong tag changes nothing, ends the link and is counted. A line of the neighbour outside the grammar also
//! ends the link. Any other line changes the table and the counters as a simple table predicts, and the link
//! stays. No update names a node outside the configuration. The node's lines are protected and valid. The table
//! respects its capacity.

use herd::proto::counters::Counters;
use herd::proto::digest::{Salt, buckets};
use herd::proto::limits::TAG_FIELD_BYTES;
use herd::proto::limits::{
    AGE_S_MAX, AHEAD_NS_MAX, ANSWER_BYTES_MAX, DEAD_AFTER_MS, DIGEST_ANSWER_COST, DIGEST_BUCKETS,
    DIGEST_COST_MS, DIGESTS_AT_ONCE, DIGESTS_EXCESS_MAX, LINK_LINE_BYTES_MAX,
};
use herd::proto::node::links::LinkEvent;
use herd::proto::node::secret::{Mode, Secrecy};
use herd::proto::node::{Node, Seed, Setup};
use herd::proto::out::Out;
use herd::proto::quota::QuotaKey;
use herd::proto::session::Cut;
use herd::proto::time::{Mono, Now, Timestamp};
use herd::proto::update::{AtLineError, Update};
use herd::proto::wire::Line;

use crate::herd_of_nodes::check_pending;
use crate::neighbour::{Neighbour, keys, pair};

const NAMES: [&str; 5] = ["Campbell", "Hill", "Jaquez", "Singleton", "Smith"];
/// Jaquez: it dials Singleton and is dialled by Hill.
const ME: usize = 2;
const CAPACITY: usize = 4;
const WALL_NS: i64 = 1_700_000_000_000_000_000;
const SHORT_AGE_S: u32 = 100;
/// The largest number of steps of an input.
const STEPS_MAX: usize = 200;

/// See the head of the file.
pub fn link_line(data: &[u8]) {
    let mut steps = data.split(|&byte| byte == b'\n');
    let head = steps.next().unwrap_or_default();
    let mut play = Play::new(head);
    for step in steps.take(STEPS_MAX) {
        let Some((&what, rest)) = step.split_first() else { continue };
        // The server ends the link at a longer line and does not pass it to the core.
        let rest = &rest[..rest.len().min(LINK_LINE_BYTES_MAX - TAG_FIELD_BYTES)];
        match what {
            b'=' => play.send_guarded(rest),
            b'!' => play.send_tampered(rest),
            b'?' => play.send_unguarded(rest),
            b'r' => play.send_again(rest),
            b'c' => play.hear_client(rest),
            b'p' => play.read_all(),
            b't' => play.pass_seconds(rest),
            b'w' => play.trusted = !play.trusted,
            _ => {}
        }
        play.check();
    }
    play.read_all();
}

struct Play {
    node: Box<Node<16>>,
    neighbour: Neighbour,
    /// Lines sent on this link, with their tags.
    came: Vec<Vec<u8>>,
    node_dials: bool,
    is_secret: bool,
    trusted: bool,
    age_s_max: u32,
    now_ms: u64,
    /// When the node last received a line, in milliseconds.
    heard_ms: u64,
    /// When the quota of digests is full again, in milliseconds.
    digests_whole_ms: u64,
    /// Digests ignored in a row.
    digests_excess: u32,
}

/// The expected effect of a signed line.
#[derive(Debug, PartialEq)]
enum Effect {
    Nonsense,
    /// This counter grows by one, and the table holds these updates.
    Counted(&'static str, Vec<Update>),
    Ping(u64),
    /// A digest over the rate limit. The link ends if `is_flood`.
    DigestTooMany {
        is_flood: bool,
    },
    /// The table does not change. The node takes part in the census, or counts that it declines.
    Question,
}

impl Play {
    fn new(head: &[u8]) -> Self {
        let age_s_max = if head.contains(&b's') { SHORT_AGE_S } else { AGE_S_MAX };
        let mut node = Box::new(Node::new());
        let is_secret = head.contains(&b'e');
        let own = pair(ME);
        let public_keys: [_; NAMES.len()] = std::array::from_fn(|node| [Some(*pair(node).public()), None]);
        let secrecy = Secrecy { mode: Mode::Only, pair: &own, public_keys: &public_keys };
        let setup = Setup {
            names: &NAMES,
            me: ME,
            neighbours: &[1, 3],
            keys: Some(keys()),
            secrecy: is_secret.then_some(secrecy),
            capacity: CAPACITY,
            age_s_max,
            seed: Seed { hash_key: (1, 2), jitter: 3, boot: 4 },
        };
        node.start(&setup).expect("the setup is right");
        let (node_dials, trusted) = (head.contains(&b'd'), head.contains(&b't'));
        let now = Now { mono: Mono(1_000), wall: Timestamp(WALL_NS), wall_is_trusted: trusted };
        let neighbour = meet(&mut node, &now, node_dials, is_secret);
        Play {
            node,
            neighbour,
            came: vec![],
            node_dials,
            is_secret,
            trusted,
            age_s_max,
            now_ms: 1_000,
            heard_ms: 1_000,
            digests_whole_ms: 0,
            digests_excess: 0,
        }
    }

    fn now(&self) -> Now {
        let passed_ns = i64::try_from(self.now_ms).expect("an input lasts weeks") * 1_000_000;
        let wall = Timestamp(WALL_NS.saturating_add(passed_ns));
        Now { mono: Mono(self.now_ms), wall, wall_is_trusted: self.trusted }
    }

    /// All entries in rising order, including expired ones that are not swept yet.
    fn updates(&self) -> Vec<Update> {
        // At the earliest time, every entry is young enough to be advertised.
        let all = self.node.table().advertised(i32::MIN);
        sorted(all.map(|v| Update { client: v.client.clone(), sighting: *v.sighting }).collect())
    }

    /// Checks that the node has ended the link for this reason, then brings up a new one.
    fn expect_cut(&mut self, cut: Cut) {
        let (id, ended) = self.node.take_cut().expect("the link is cut");
        assert_eq!((id, ended.cut), (self.neighbour.id, cut));
        assert!(!self.node.is_open(id) && self.node.peer(id).is_none(), "the session has ended");
        let now = self.now();
        assert_eq!(self.node.link_line(&now, id, b"P 1"), LinkEvent::None);
        assert!(self.neighbour.pull(&mut self.node, &now).is_none());
        self.meet_again();
    }

    fn meet_again(&mut self) {
        let now = self.now();
        self.neighbour = meet(&mut self.node, &now, self.node_dials, self.is_secret);
        self.came.clear();
        self.digests_excess = 0;
        self.heard_ms = self.now_ms;
        while self.node.take_cut().is_some() {}
    }

    fn send_tampered(&mut self, line: &[u8]) {
        let mut whole = self.neighbour.guarded(line);
        let last = whole.last_mut().expect("a tag has digits");
        *last = if *last == b'0' { b'1' } else { b'0' };
        self.send_forged(&whole);
    }

    fn send_unguarded(&mut self, line: &[u8]) {
        let whole = self.neighbour.unguarded(line);
        self.send_forged(&whole);
    }

    fn send_again(&mut self, digits: &[u8]) {
        let back = usize::from(digits.first().unwrap_or(&b'0').wrapping_sub(b'0'));
        if let Some(at) = self.came.len().checked_sub(1 + back) {
            let line = self.came[at].clone();
            self.send_forged(&line);
        }
    }

    /// Sends a line with a wrong tag, or a record that does not open.
    fn send_forged(&mut self, whole: &[u8]) {
        let (before, counters) = (self.updates(), *self.node.counters());
        let now = self.now();
        assert_eq!(self.neighbour.deliver(&mut self.node, &now, whole), LinkEvent::None);
        assert!(self.updates() == before, "a wrong tag changes nothing");
        self.expect_growth(&counters, &["link_tags_invalid", "links_down"]);
        self.expect_cut(self.neighbour.cut_of_a_forgery());
    }

    fn expect_growth(&self, before: &Counters, names: &[&str]) {
        for ((name, was), (_, is)) in before.each().zip(self.node.counters().each()) {
            assert_eq!(is - was, u64::from(names.contains(&name)), "{name}, where {names:?} should grow");
        }
    }

    fn send_guarded(&mut self, line: &[u8]) {
        let line = self.filled(line);
        let now = self.now();
        let effect = self.effect(&line, &now);
        let is_over_rate = matches!(effect, Effect::DigestTooMany { .. });
        let digest = self.digest_event(&line, &now);
        let (before, counters) = (self.updates(), *self.node.counters());
        let (here, there) = if self.node_dials { (1, 0) } else { (0, 1) };
        let pending = self.node.table().pending().count(here);
        let whole = self.neighbour.guarded(&line);
        let event = self.neighbour.deliver(&mut self.node, &now, &whole);
        self.came.push(whole);
        self.heard_ms = self.now_ms;
        let shown = || String::from_utf8_lossy(&line).into_owned();
        match effect {
            Effect::Nonsense => {
                self.expect_growth(&counters, &["link_lines_malformed", "links_down"]);
                return self.expect_cut(Cut::Nonsense);
            }
            Effect::Counted(name, updates) => {
                assert_eq!(self.updates(), updates, "after {}", shown());
                self.expect_growth(&counters, &[name]);
                let pending_now = |neighbour| self.node.table().pending().count(neighbour);
                let is_update = name.starts_with("updates_");
                assert!(!is_update || pending_now(here) <= pending, "its sender has it");
                assert!(name != "updates_new" || pending_now(there) > 0, "pending for the other one");
            }
            Effect::DigestTooMany { is_flood } => {
                assert!(self.updates() == before, "a digest changes nothing");
                self.digests_excess += 1;
                if is_flood {
                    self.expect_growth(&counters, &["digests_over_rate", "links_down"]);
                    return self.expect_cut(Cut::DigestFlood);
                }
                self.expect_growth(&counters, &["digests_over_rate"]);
            }
            Effect::Question => {
                assert!(self.updates() == before, "a question changes nothing");
                let refused = self.node.counters().censuses_refused > counters.censuses_refused;
                self.expect_growth(&counters, if refused { &["censuses_refused"] } else { &[] });
            }
            Effect::Ping(number) => {
                self.expect_growth(&counters, &[]);
                if !self.node_dials {
                    let echo = self.neighbour.pull(&mut self.node, &now).expect("an echo is due");
                    assert_eq!(echo, format!("P {number}").as_bytes());
                }
            }
        }
        if self.is_digest(&line) && !is_over_rate {
            self.spend_digest(event);
        }
        match digest.filter(|_| !is_over_rate) {
            Some(is_equal) => assert_eq!(matches!(event, LinkEvent::Equal { .. }), is_equal, "{}", shown()),
            None => assert!(matches!(event, LinkEvent::None | LinkEvent::FactsAsked), "{}", shown()),
        }
        assert!(self.node.take_cut().is_none() && self.node.is_open(self.neighbour.id), "{}", shown());
    }

    /// The expected effect of a line, by the rules in `table.rs` and a simple list.
    fn effect(&self, line: &[u8], now: &Now) -> Effect {
        let updates = self.updates();
        match Line::parse(line, self.node.names()) {
            None
            | Some(
                Line::Hello { .. }
                | Line::Proof(_)
                | Line::Update { update: Err(AtLineError::Malformed), .. }
                | Line::Digest { floor: Err(AtLineError::Malformed), .. }
                | Line::Question { question: Err(AtLineError::Malformed), .. }
                | Line::Sum { sum: Err(AtLineError::Malformed), .. },
            ) => Effect::Nonsense,
            Some(
                Line::Update { update: Err(AtLineError::UnknownOrigin), .. }
                | Line::Digest { floor: Err(AtLineError::UnknownOrigin), .. }
                | Line::Sum { sum: Err(AtLineError::UnknownOrigin), .. },
            ) => Effect::Counted("origins_unknown", updates),
            Some(Line::Ping(number)) => Effect::Ping(number),
            Some(Line::Question { .. }) => Effect::Question,
            // The node has not started a census.
            Some(Line::Facts { .. } | Line::Sum { .. }) => Effect::Counted("census_late_replies", updates),
            Some(Line::Digest { .. })
                if self.digests_whole_ms.saturating_sub(self.now_ms)
                    > (DIGESTS_AT_ONCE - 1) * DIGEST_COST_MS =>
            {
                Effect::DigestTooMany { is_flood: self.digests_excess + 1 >= DIGESTS_EXCESS_MAX }
            }
            Some(Line::Digest { .. }) => match self.digest_event(line, now) {
                Some(true) => Effect::Counted("digests_equal", updates),
                Some(false) => Effect::Counted("digests_differ", updates),
                None => Effect::Counted("", updates),
            },
            Some(Line::Update { age_s, update: Ok(update) }) => self.update(age_s, &update, updates, now),
        }
    }

    fn update(&self, age_s: u32, update: &Update, mut updates: Vec<Update>, now: &Now) -> Effect {
        if is_ahead(now, update.sighting.rank) {
            return Effect::Counted("updates_ahead", updates);
        }
        let heard_s = i64::from(now.mono.seconds()) - i64::from(age_s);
        // An age beyond the lifetime is too old. A lifetime fits 32 bits.
        if i64::from(now.mono.seconds()) - heard_s >= i64::from(self.age_s_max) {
            return Effect::Counted("updates_expired", updates);
        }
        if let Some(at) = updates.iter().position(|old| old.client == update.client) {
            let is_alive = self.node.table().get(&update.client, now.mono.seconds()).is_some();
            match update.sighting.compare(&updates[at].sighting) {
                std::cmp::Ordering::Less if is_alive => return Effect::Counted("updates_stale", updates),
                std::cmp::Ordering::Equal if is_alive => {
                    return Effect::Counted("updates_duplicate", updates);
                }
                _ => updates.remove(at),
            };
        } else if updates.len() == CAPACITY {
            if update.borrowed().compare(&updates[0].borrowed()).is_lt() {
                return Effect::Counted("updates_below_floor", updates);
            }
            updates.remove(0);
        }
        updates.push(update.clone());
        Effect::Counted("updates_new", sorted(updates))
    }

    /// Charges the quota for a digest that the node has compared, by the size of its answer.
    fn spend_digest(&mut self, event: LinkEvent) {
        let answer = if let LinkEvent::Differs { pending, .. } = event { pending as u64 } else { 0 };
        let cost = 1 + answer * DIGEST_ANSWER_COST / CAPACITY as u64;
        self.digests_whole_ms = self.digests_whole_ms.max(self.now_ms) + cost * DIGEST_COST_MS;
        self.digests_excess = 0;
    }

    /// Whether the line is a valid digest.
    fn is_digest(&self, line: &[u8]) -> bool {
        matches!(Line::parse(line, self.node.names()), Some(Line::Digest { floor: Ok(_), .. }))
    }

    /// Whether a digest equals the node's. `None` if the two are not comparable.
    fn digest_event(&self, line: &[u8], now: &Now) -> Option<bool> {
        let Some(Line::Digest { round, buckets: theirs, floor: Ok(floor) }) =
            Line::parse(line, self.node.names())
        else {
            return None;
        };
        let table = self.node.table();
        let reaches = table
            .floor()
            .is_none_or(|ours| floor.as_ref().is_some_and(|floor| ours.compare(&floor.borrowed()).is_le()));
        let salt = Salt { round, secret: self.neighbour.digest_secret() };
        let seconds = now.mono.seconds();
        reaches.then(|| buckets(table, self.node.names(), seconds, floor.as_ref(), salt) == theirs)
    }

    /// The line with its hashes, if it has a placeholder.
    fn filled(&self, line: &[u8]) -> Vec<u8> {
        let Some(at) = line.iter().position(|byte| b"@#".contains(byte)) else { return line.to_vec() };
        let zeros = [b'0'; 16 * DIGEST_BUCKETS];
        let with = |hashes: &[u8]| [&line[..at], hashes, &line[at + 1..]].concat();
        let draft = with(&zeros);
        match Line::parse(&draft, self.node.names()) {
            Some(Line::Digest { round, floor: Ok(floor), .. }) if line[at] == b'@' => {
                let salt = Salt { round, secret: self.neighbour.digest_secret() };
                let seconds = self.now().mono.seconds();
                let sums = buckets(self.node.table(), self.node.names(), seconds, floor.as_ref(), salt);
                with(sums.map(|sum| format!("{sum:016x}")).concat().as_bytes())
            }
            Some(Line::Digest { .. }) => draft,
            _ => line.to_vec(),
        }
    }

    fn hear_client(&mut self, line: &[u8]) {
        let mut bytes = vec![0; ANSWER_BYTES_MAX.max(line.len() + 3)];
        let now = self.now();
        let _ = self.node.client_line(&now, QuotaKey::EXEMPT, line, &mut Out::new(&mut bytes));
    }

    fn read_all(&mut self) {
        let now = self.now();
        while let Some(line) = self.neighbour.pull(&mut self.node, &now) {
            let held = self.updates();
            match Line::parse(&line, self.node.names()) {
                Some(Line::Update { age_s, update: Ok(update) }) => {
                    assert!(held.contains(&update), "a node sends the entries that it holds");
                    assert!(age_s < self.age_s_max - self.age_s_max / 10, "{age_s} s is too old to be sent");
                }
                Some(
                    Line::Digest { floor: Ok(_), .. }
                    | Line::Ping(_)
                    | Line::Question { question: Ok(_), .. }
                    | Line::Facts { .. }
                    | Line::Sum { sum: Ok(_), .. },
                ) => {}
                _ => panic!("a node writes valid lines: {}", String::from_utf8_lossy(&line)),
            }
        }
    }

    fn pass_seconds(&mut self, digits: &[u8]) {
        let digits = &digits[..digits.len().min(5)];
        let seconds = std::str::from_utf8(digits).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(1);
        self.now_ms += seconds * 1_000;
        let now = self.now();
        self.node.tick(&now);
        let is_silent = self.now_ms - self.heard_ms >= DEAD_AFTER_MS;
        let cut = self.node.take_cut().map(|(_, ended)| ended.cut);
        assert_eq!(cut, is_silent.then_some(Cut::Silent), "{} ms of silence", self.now_ms - self.heard_ms);
        if is_silent {
            self.meet_again();
        }
    }

    fn check(&self) {
        let table = self.node.table();
        assert!(table.len() <= CAPACITY, "the table respects its capacity");
        for version in table.advertised(i32::MIN) {
            let origin = version.sighting.origin;
            assert_eq!(
                self.node.names().id(origin.index()),
                Some(origin),
                "the configuration lists the origin"
            );
        }
        check_pending(table, 2);
    }
}

fn meet(node: &mut Node<16>, now: &Now, node_dials: bool, is_secret: bool) -> Neighbour {
    let name = if node_dials { "Singleton" } else { "Hill" };
    if is_secret {
        Neighbour::meet_in_secret(node, now, name, node_dials, *pair(ME).public())
    } else {
        Neighbour::meet(node, now, name, node_dials)
    }
}

fn sorted(mut updates: Vec<Update>) -> Vec<Update> {
    updates.sort_by(|a, b| a.borrowed().compare(&b.borrowed()));
    updates
}

fn is_ahead(now: &Now, rank: Timestamp) -> bool {
    now.wall_is_trusted && rank.0 > now.wall.0.saturating_add(AHEAD_NS_MAX)
}
