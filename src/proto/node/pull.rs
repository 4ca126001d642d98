//! What a node sends: a line at a time, when the connection accepts it.
//!
//! A link sends in this order: handshake, pings, census lines, pending updates, digests. A digest comes last,
//! so that it does not report a pending update as a difference.

use super::{Node, SessionId};
use crate::limits::{LINK_LINE_BYTES_MAX, TAG_FIELD_BYTES};
use crate::noise::connection::MESSAGE_BYTES_MAX;
use crate::out::Out;
use crate::session::{Guard, Phase};
use crate::time::Mono;
use crate::wire;

/// Bytes that [`Node::pull`] may write: the longest record, or the longest line and its LF.
pub const PULL_BYTES_MAX: usize = MESSAGE_BYTES_MAX;
const _: () = assert!(PULL_BYTES_MAX > LINK_LINE_BYTES_MAX);

impl<const SLOTS: usize> Node<SLOTS> {
    /// Writes what a link sends next into `out`: a line with its LF, its record on a secret link, or a step of a
    /// handshake. `out` must have room for [`PULL_BYTES_MAX`]. `sent` gets the line in clear, for the log. Returns
    /// `false` if the link has nothing to send now.
    pub fn pull(&mut self, now: Mono, id: SessionId, out: &mut Out, sent: &mut dyn FnMut(&[u8])) -> bool {
        let Some(index) = self.session(id) else { return false };
        debug_assert!(out.room() >= PULL_BYTES_MAX);
        if self.pull_step(index, out) {
            return true;
        }
        let mut bytes = [0; LINK_LINE_BYTES_MAX];
        let mut line = Out::new(&mut bytes);
        let wrote = self.pull_handshake(index, &mut line) || self.pull_up(now, index, &mut line);
        if !wrote {
            return false;
        }
        let session = &mut self.sessions[index];
        session.sent_at = now;
        match &mut session.guard {
            Guard::Secret(connection, _) => connection.seal(line.written(), out),
            guard => {
                out.put(line.written());
                // A PROOF is the last line without a tag. The keys sign every later line.
                let is_handshake =
                    line.written().starts_with(b"HELLO ") || line.written().starts_with(b"PROOF ");
                if let (Guard::Signed(keys), false) = (guard, is_handshake) {
                    debug_assert!(line.len() + TAG_FIELD_BYTES <= LINK_LINE_BYTES_MAX);
                    wire::put_tag(&keys.sign(line.written()), out);
                }
                out.put_byte(b'\n');
            }
        }
        sent(line.written());
        true
    }

    /// Sends the bytes of a secret link's handshake.
    fn pull_step(&mut self, index: usize, out: &mut Out) -> bool {
        let step = &mut self.sessions[index].step;
        out.put(step);
        let has_sent = !step.is_empty();
        step.clear();
        has_sent
    }

    fn pull_handshake(&mut self, index: usize, out: &mut Out) -> bool {
        let session = &self.sessions[index];
        if session.hello_due {
            wire::put_hello(&self.hello_fields(session), out);
            self.sessions[index].hello_due = false;
            return true;
        }
        if session.proof_due {
            let role = session.role();
            let proofs = self.with_transcript(index, |transcript, keys| transcript.proofs(keys, role));
            wire::put_proofs(&proofs.expect("a PROOF is due when there is a key and a HELLO"), out);
            self.sessions[index].proof_due = false;
            return true;
        }
        false
    }

    fn pull_up(&mut self, now: Mono, index: usize, out: &mut Out) -> bool {
        let session = &mut self.sessions[index];
        if session.phase != Phase::Up {
            return false;
        }
        if let Some(n) = session.echo_due.take() {
            wire::put_ping(n, out);
            return true;
        }
        if core::mem::take(&mut session.ping_due) {
            let n = session.pinged.map_or(0, |(n, _)| n) + 1;
            session.pinged = Some((n, now));
            wire::put_ping(n, out);
            return true;
        }
        let neighbour = usize::from(session.neighbour.expect("the link is up"));
        if self.pull_census(neighbour, out) {
            return true;
        }
        let session = &self.sessions[index];
        let overdue = session.digest.due.as_ref().is_some_and(|due| due.at_latest <= now);
        if !overdue && let Some((update, age_s)) = self.table.take_pending(neighbour, now.seconds()) {
            wire::put_update(&update, age_s, &self.names, out);
            self.sessions[index].digest.busy_at = now;
            self.counters.updates_sent += 1;
            return true;
        }
        self.pull_digest(now, index, out)
    }
}
