//! Connections of the world: dials, accepts, written and read bytes, ends of streams.

use super::check::{Delivered, is_ahead};
use super::event::Event;
use super::host::client_number;
use super::net::{Arrival, Conn, End, Kind, Meta, State};
use super::plan::{Fault, GOOD_WAYS};
use super::world::World;
use crate::proto::names::NodeId;
use crate::proto::node::pull::PULL_BYTES_MAX;
use crate::proto::node::secret::Message;
use crate::proto::node::{Node, SessionId};
use crate::proto::out::Out;
use crate::proto::wire::{self, Line};

impl World {
    pub(super) fn latency(&mut self, conn: usize) -> u64 {
        let (low, high) = self.conns[conn].quality.latency_ms;
        self.rng.u64(low..=high)
    }

    /// The end of the partition of the connection's edge.
    fn partitioned_until(&self, conn: usize) -> u64 {
        self.conns[conn].edge.map_or(0, |edge| self.partitioned_until[edge])
    }

    pub(super) fn dial(&mut self, host: usize, to: NodeId) {
        let edge = self.plan.edge(host, to.index());
        let ends = [End::of(Some(host), State::Waiting), End::of(Some(to.index()), State::Waiting)];
        let quality = self.ways[edge];
        self.conns.push(Conn::new(ends, Some(edge), quality, self.hosts[host].epoch));
        let conn = self.conns.len() - 1;
        let at = self.now + self.latency(conn);
        self.at(at, Event::Connect { conn });
    }

    pub(super) fn connect(&mut self, conn: usize) {
        let [from, to] = self.conns[conn].ends.map(|end| end.host);
        let (Some(from), Some(to)) = (from, to) else { return };
        let late = self.latency(conn);
        let lost = self.partitioned_until(conn) > self.now;
        if lost || !self.hosts[to].is_up() {
            // The dial is refused at once, or gets no answer.
            let at = self.now + if lost { self.rng.u64(1_000..3_000) } else { late };
            let epoch = self.conns[conn].epoch;
            self.conns[conn].forget();
            return self.at(at, Event::DialFailed { host: from, epoch, to });
        }
        self.at(self.now, Event::Accept { conn });
        self.at(self.now + late, Event::Dialled { conn });
    }

    pub(super) fn dial_failed(&mut self, host: usize, epoch: u64, to: usize) {
        if self.hosts[host].epoch != epoch || !self.hosts[host].is_up() {
            return;
        }
        let (to, mono) = (self.id(host, to), self.hosts[host].now(self.now).mono);
        if let Some(node) = self.node(host) {
            node.dial_failed(mono, to);
        }
        self.settle(host);
    }

    pub(super) fn accept(&mut self, conn: usize) {
        let end = &self.conns[conn].ends[1];
        let (Some(host), State::Waiting) = (end.host, end.state) else { return };
        let mono = self.hosts[host].now(self.now).mono;
        let Some(node) = &self.hosts[host].node else { return self.leave(conn, 1) };
        let at = node.accept_at();
        if at > mono {
            // The connection waits in the kernel's queue.
            return self.at(self.now + at.since_ms(mono), Event::Accept { conn });
        }
        let fresh = self.fresh();
        let opened = self.node(host).and_then(|node| node.open(mono, None, fresh));
        self.install(conn, 1, host, opened);
    }

    pub(super) fn dialled(&mut self, conn: usize) {
        let end = &self.conns[conn].ends[0];
        let (Some(host), State::Waiting) = (end.host, end.state) else { return };
        if self.conns[conn].epoch != self.hosts[host].epoch || !self.hosts[host].is_up() {
            return self.leave(conn, 0);
        }
        let to = self.conns[conn].ends[1].host.expect("only nodes are dialled");
        let (to, fresh, mono) = (self.id(host, to), self.fresh(), self.hosts[host].now(self.now).mono);
        let opened = self.node(host).and_then(|node| node.open(mono, Some(to), fresh));
        self.install(conn, 0, host, opened);
    }

    fn install(&mut self, conn: usize, end: usize, host: usize, opened: Option<SessionId>) {
        // A session that was pushed out had the index of the new one.
        self.close_cut(host);
        match opened {
            Some(id) => {
                self.conns[conn].ends[end].state = State::Open(id);
                self.hosts[host].sessions[usize::from(id.index)] = Some((conn, end));
            }
            None => self.leave(conn, end),
        }
        self.settle(host);
        self.arrive(conn, end);
    }

    /// Closes the connections that the node has cut.
    pub(super) fn close_cut(&mut self, host: usize) {
        while let Some((id, ended)) = self.node(host).and_then(Node::take_cut) {
            self.say(|world| format!("{} cuts: {}", world.names[host], ended.cut.reason()));
            self.trace.number(ended.cut as u64);
            if let Some((conn, end)) = self.hosts[host].sessions[usize::from(id.index)].take() {
                self.leave(conn, end);
            }
        }
    }

    /// Closes an end. The other end reads the bytes in flight, then the end of the stream.
    pub(super) fn leave(&mut self, conn: usize, end: usize) {
        let at = self.now + self.latency(conn);
        self.conns[conn].ends[end].state = State::Gone;
        let at = self.conns[conn].ways[1 - end].finish(at);
        if self.conns[conn].is_over() {
            self.conns[conn].forget();
        } else {
            self.at(at, Event::Arrive { conn, end: 1 - end });
        }
    }

    /// Writes lines until the node has none or the connection is full.
    pub(super) fn pump(&mut self, conn: usize, end: usize) {
        let State::Open(id) = self.conns[conn].ends[end].state else { return };
        let host = self.conns[conn].ends[end].host.expect("only nodes pull lines");
        loop {
            let way = &mut self.conns[conn].ways[1 - end];
            if !way.has_room() || self.failure.is_some() {
                return;
            }
            if way.free_at > self.now {
                let at = way.free_at;
                if way.pump_at.replace(at) != Some(at) {
                    self.at(at, Event::Pump { conn, end });
                }
                return;
            }
            let mut bytes = [0; PULL_BYTES_MAX];
            let mut out = Out::new(&mut bytes);
            let mut clear = None;
            let now = self.hosts[host].now(self.now);
            let mut note = |line: &[u8]| clear = Some(line.to_vec());
            if !self.node(host).is_some_and(|node| node.pull(now.mono, id, &mut out, &mut note)) {
                return;
            }
            let free_at = self.now + self.conns[conn].quality.line_every_ms;
            self.conns[conn].ways[1 - end].free_at = free_at;
            self.write(conn, end, host, out.written(), clear);
            self.set_tick(host);
        }
    }

    /// Sends what a node has pulled. `clear` is the line without its protection; a step of a handshake has none.
    fn write(&mut self, conn: usize, end: usize, host: usize, line: &[u8], clear: Option<Vec<u8>>) {
        self.lines += 1;
        self.trace.bytes(line);
        let other = self.conns[conn].ends[1 - end].host;
        let is_secret = self.plan.secret;
        let shown = if is_secret { clear.as_deref().unwrap_or(b"(handshake)") } else { line };
        self.say(|world| {
            let to = other.map_or("a stranger", |other| &world.names[other]);
            format!("{} -> {to} #{conn} {}", world.names[host], String::from_utf8_lossy(shown).trim_end())
        });
        let kind = match clear {
            None if is_secret => Some(Kind::Step),
            Some(clear) if is_secret => self.check_line(conn, end, host, &clear),
            _ => self.check_written(conn, end, host, line),
        };
        let Some(kind) = kind else { return };
        let meta = Meta { kind, pulled_at: self.now, tampered: false };
        if self.plan.has(Fault::Middleman) && !self.healed {
            self.meddle(conn, end, line, meta);
        } else {
            self.send(conn, end, line, meta);
        }
    }

    /// Sends a line, whole or in pieces.
    pub(super) fn send(&mut self, conn: usize, end: usize, line: &[u8], meta: Meta) {
        self.conns[conn].ways[1 - end].metas.push_back(meta);
        let split = self.plan.has(Fault::Splits) && !self.healed;
        let at = self.now + self.latency(conn);
        let cut = if split { self.rng.usize(0..=line.len()) } else { 0 };
        let (first, rest) = line.split_at(cut);
        let later = at + if split { self.rng.u64(0..200) } else { 0 };
        for (at, piece) in [(at, first), (later, rest)] {
            if !piece.is_empty() {
                let at = self.conns[conn].ways[1 - end].send(at, piece);
                self.at(at, Event::Arrive { conn, end: 1 - end });
            }
        }
    }

    /// Reads the bytes that have arrived for an end.
    pub(super) fn arrive(&mut self, conn: usize, end: usize) {
        let partitioned_until = self.partitioned_until(conn);
        if partitioned_until > self.now {
            return self.at(partitioned_until, Event::Arrive { conn, end });
        }
        loop {
            let state = self.conns[conn].ends[end].state;
            if state == State::Waiting || self.failure.is_some() {
                return;
            }
            let way = &mut self.conns[conn].ways[end];
            let Some(arrival) = way.arrived(self.now) else {
                if let (Some(next), stalled) = (way.next_at(), way.stalled_until)
                    && stalled > self.now
                {
                    self.at(stalled.max(next), Event::Arrive { conn, end });
                }
                return;
            };
            match (state, arrival) {
                (State::Open(id), Arrival::Bytes(bytes)) => self.read(conn, end, id, &bytes),
                (State::Open(id), Arrival::Fin) => self.read_end(conn, end, id),
                (State::Stranger { echoes: true }, Arrival::Bytes(bytes)) => self.echo(conn, end, &bytes),
                (State::Insider, Arrival::Bytes(bytes)) => self.insider_reads(conn, &bytes),
                (State::Insider, Arrival::Fin) => self.conns[conn].ends[end].state = State::Gone,
                // The end is closed. A running board resets the connection; a board that is down does not
                // react.
                (State::Gone, Arrival::Bytes(_)) if self.is_up_at(conn, end) => self.leave(conn, end),
                _ => {}
            }
            self.at(self.now, Event::Pump { conn, end: 1 - end });
        }
    }

    fn is_up_at(&self, conn: usize, end: usize) -> bool {
        self.conns[conn].ends[end].host.is_some_and(|host| self.hosts[host].is_up())
    }

    fn read_end(&mut self, conn: usize, end: usize, id: SessionId) {
        let host = self.conns[conn].ends[end].host.expect("a session is a node's");
        let mono = self.hosts[host].now(self.now).mono;
        self.hosts[host].sessions[usize::from(id.index)] = None;
        if let Some(node) = self.node(host) {
            node.closed(mono, id);
        }
        self.leave(conn, end);
        self.settle(host);
    }

    fn read(&mut self, conn: usize, end: usize, id: SessionId, bytes: &[u8]) {
        let host = self.conns[conn].ends[end].host.expect("a session is a node's");
        self.conns[conn].ways[end].held.extend_from_slice(bytes);
        while self.conns[conn].ends[end].state == State::Open(id) {
            let mut held = std::mem::take(&mut self.conns[conn].ways[end].held);
            let mono = self.hosts[host].now(self.now).mono;
            let Some(node) = self.node(host) else { return };
            let (done, line) = match node.take_message(mono, id, &mut held) {
                Message::Part => {
                    self.conns[conn].ways[end].held = held;
                    return;
                }
                Message::Ended => return self.settle(host),
                Message::Step(done) => (done, None),
                Message::Line(done, line) => (done, Some(line.to_vec())),
            };
            let way = &mut self.conns[conn].ways[end];
            way.held = held.split_off(done);
            let wild = || Meta { kind: Kind::Wild, pulled_at: 0, tampered: true };
            let meta = way.metas.pop_front().unwrap_or_else(wild);
            match line {
                Some(line) => self.take_line(conn, end, host, id, &line, &meta),
                None => self.take_step(conn, end, host, &meta),
            }
        }
    }

    /// A step of a handshake was taken. A changed one makes a later step fail.
    fn take_step(&mut self, conn: usize, end: usize, host: usize, meta: &Meta) {
        self.conns[conn].ends[end].poisoned |= meta.tampered;
        self.settle(host);
    }

    fn take_line(&mut self, conn: usize, end: usize, host: usize, id: SessionId, line: &[u8], meta: &Meta) {
        let now = self.hosts[host].now(self.now);
        let knows = match &meta.kind {
            Kind::Hello => !self.plan.keyed || self.plan.secret,
            Kind::Proof(numbers) => self.hosts[host].shares_a_key_with(numbers),
            _ => false,
        };
        let here = &mut self.conns[conn].ends[end];
        here.authenticated |= knows;
        // A changed PROOF does not count as poisoned: it may contain another proof that is intact.
        here.poisoned |= meta.tampered && !matches!(meta.kind, Kind::Proof(_));
        let bad = here.poisoned || self.conns[conn].ends[1 - end].is_stranger();
        let Some(node) = self.node(host) else { return };
        let event = node.link_line(&now, id, line);
        let is_up = node.peer(id).is_some();
        self.trace.number(host as u64);
        self.trace.number(self.now);
        if bad && is_up {
            let line = String::from_utf8_lossy(line);
            self.fail("only a neighbour authenticates", format!("{} after {line}", self.names[host]));
        }
        if meta.kind == Kind::Nonsense && is_up {
            let line = String::from_utf8_lossy(line);
            self.fail("a malformed line ends the link", format!("{} after {line}", self.names[host]));
        }
        let from = self.conns[conn].node_at(1 - end).and_then(|from| self.neighbour(host, from));
        let delivered = match meta.kind {
            Kind::Update { client, sighting, hidden_ms } if is_up => {
                let hidden_ms = hidden_ms + self.now - meta.pulled_at + 1_000;
                Some(Delivered { client, sighting, hidden_ms, from })
            }
            Kind::Claim { client, sighting } if is_up && !is_ahead(&now, &sighting) => {
                self.issued[client].push((sighting, self.now));
                Some(Delivered { client, sighting, hidden_ms: 1_000, from })
            }
            _ => None,
        };
        self.note(host, event);
        self.check(host, delivered);
        self.settle(host);
    }

    /// The kind of a line, if the protocol allows it at this point.
    fn check_written(&mut self, conn: usize, end: usize, host: usize, written: &[u8]) -> Option<Kind> {
        let Some(line) = written.strip_suffix(b"\n").filter(|line| !line.contains(&b'\n')) else {
            self.fail("a line is whole, and fits", String::from_utf8_lossy(written).into_owned());
            return None;
        };
        let here = &mut self.conns[conn].ends[end];
        let (hello, proof) = (line.starts_with(b"HELLO "), line.starts_with(b"PROOF "));
        let keyed = self.plan.keyed;
        let fits = match () {
            () if hello => !std::mem::replace(&mut here.sent_hello, true),
            () if proof => keyed && here.sent_hello && !std::mem::replace(&mut here.sent_proof, true),
            () => here.sent_hello && here.sent_proof == keyed && here.authenticated && !here.poisoned,
        };
        let tag = wire::split_tag(line);
        if !fits || tag.is_some() != (keyed && !hello && !proof) {
            let line = String::from_utf8_lossy(line);
            self.fail("lines come in the order of the handshake", format!("{}: {line}", self.names[host]));
            return None;
        }
        if hello || proof {
            return Some(if hello { Kind::Hello } else { Kind::Proof(self.hosts[host].keys.clone()) });
        }
        self.check_content(conn, end, host, written.len(), tag.map_or(line, |(line, _)| line))
    }

    /// The kind of a line of a secret link.
    fn check_line(&mut self, conn: usize, end: usize, host: usize, line: &[u8]) -> Option<Kind> {
        let here = &mut self.conns[conn].ends[end];
        if line.starts_with(b"HELLO ") {
            let is_first = !std::mem::replace(&mut here.sent_hello, true);
            return is_first.then_some(Kind::Hello);
        }
        if !here.sent_hello || !here.authenticated || here.poisoned {
            let line = String::from_utf8_lossy(line);
            self.fail("lines come in the order of the handshake", format!("{}: {line}", self.names[host]));
            return None;
        }
        self.check_content(conn, end, host, line.len(), line)
    }

    fn check_content(
        &mut self,
        conn: usize,
        end: usize,
        host: usize,
        bytes: usize,
        line: &[u8],
    ) -> Option<Kind> {
        let names = self.hosts[host].node.as_ref()?.names();
        match Line::parse(line, names) {
            Some(Line::Update { age_s, update: Ok(update) }) => {
                self.updates += 1;
                self.update_bytes += bytes as u64;
                let client = client_number(&update.client);
                let to = self.conns[conn].node_at(1 - end).and_then(|to| self.neighbour(host, to));
                self.check_update(host, age_s, client, &update.sighting, to)
            }
            Some(Line::Digest { floor: Ok(_), .. }) => Some(Kind::Digest),
            // The number of these lines depends on the paths of a census.
            Some(Line::Ping(_) | Line::Facts { .. }) => Some(Kind::Ping),
            Some(Line::Question { question: Ok(_), .. } | Line::Sum { sum: Ok(_), .. }) => {
                self.census_lines += 1;
                Some(Kind::Ping)
            }
            _ => {
                let line = String::from_utf8_lossy(line).into_owned();
                self.fail("a node writes valid lines", line);
                None
            }
        }
    }

    /// Restores the quality of all edges and ends all partitions and stalls.
    pub(super) fn mend_ways(&mut self) {
        self.ways.fill(GOOD_WAYS);
        self.partitioned_until.fill(0);
        for conn in 0..self.conns.len() {
            self.conns[conn].quality = GOOD_WAYS;
            for end in 0..2 {
                self.conns[conn].ways[end].stalled_until = 0;
                if !self.conns[conn].ways[end].is_idle() {
                    self.at(self.now, Event::Arrive { conn, end });
                }
            }
        }
    }
}
