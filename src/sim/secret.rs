//! The insider's end of a secret link, and the random bytes of connections.

use super::attacker::Insider;
use super::host::keys;
use super::net::{Kind, Meta};
use super::world::World;
use crate::proto::auth::KEY_BYTES;
use crate::proto::noise::connection::{Connection, FRESH_BYTES, Fresh, Identity, MESSAGE_BYTES_MAX, Taken};
use crate::proto::out::Out;

/// What an insider has heard.
enum Heard {
    /// It answers this.
    Step(Vec<u8>),
    Authenticated,
    Update,
}

impl World {
    /// An insider begins a secret link to a board, with the private key of the neighbour whose name it uses.
    pub(super) fn insider_dials(&mut self, conn: usize, host: usize) {
        let (fresh, theirs) = (self.fresh(), self.pairs.as_ref().map(|pairs| *pairs.pair(host).public()));
        let Some(theirs) = theirs else { return };
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        let connection = Connection::dial(theirs, fresh, &mut out);
        if let Some(insider) = &mut self.conns[conn].insider {
            insider.connection = Some(connection);
        }
        self.utter_bytes(conn, out.written(), Kind::Step);
    }

    fn utter_bytes(&mut self, conn: usize, bytes: &[u8], kind: Kind) {
        self.trace.bytes(bytes);
        self.send(conn, 0, bytes, Meta { kind, pulled_at: self.now, tampered: false });
    }

    /// Sends a line as a record.
    pub(super) fn utter_secret(&mut self, conn: usize, line: &[u8], kind: Kind) {
        self.say(|_| format!("an insider -> #{conn} {}", String::from_utf8_lossy(line)));
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let mut out = Out::new(&mut bytes);
        // A middleman may have ended it.
        let insider = self.conns[conn].insider.as_mut();
        let connection = insider.and_then(|insider| insider.connection.as_mut());
        let Some(connection) = connection.filter(|connection| connection.is_open()) else { return };
        connection.seal(line, &mut out);
        self.utter_bytes(conn, out.written(), kind);
    }

    /// Takes the steps and lines of the board.
    pub(super) fn insider_reads_secret(&mut self, conn: usize, bytes: &[u8]) {
        let Some(mut insider) = self.conns[conn].insider.take() else { return };
        self.conns[conn].ways[0].held.extend_from_slice(bytes);
        let heard = self.insider_takes(conn, &mut insider);
        let manner = insider.manner;
        self.conns[conn].insider = Some(insider);
        for heard in heard {
            match heard {
                Heard::Step(answer) => self.utter_bytes(conn, &answer, Kind::Step),
                Heard::Authenticated => {
                    self.insider_greets(conn);
                    self.insider_begins(conn, manner);
                }
                Heard::Update => {
                    let Some(host) = self.conns[conn].ends[1].host else { return };
                    let _ = self.count_answer(conn, host);
                }
            }
        }
    }

    fn insider_takes(&mut self, conn: usize, insider: &mut Insider) -> Vec<Heard> {
        let held = &mut self.conns[conn].ways[0].held;
        let (Some(pairs), Some(keys)) = (&self.pairs, keys(&insider.numbers)) else { return vec![] };
        let us = Identity { pair: pairs.pair(insider.identity), keys: &keys };
        let Some(connection) = &mut insider.connection else { return vec![] };
        let mut all = vec![];
        while let Ok(Some(length)) = connection.message_bytes(held)
            && length <= held.len()
        {
            let mut message: Vec<u8> = held.drain(..length).collect();
            let mut bytes = [0; MESSAGE_BYTES_MAX];
            let mut out = Out::new(&mut bytes);
            // A middleman may have changed it: then the insider hears nothing more.
            match connection.take(&mut message, us, [].iter(), &mut out) {
                Ok(Taken::Step) => all.push(Heard::Step(out.written().to_vec())),
                Ok(Taken::Authenticated) => all.push(Heard::Authenticated),
                Ok(Taken::Line(line)) if line.starts_with(b"U ") => all.push(Heard::Update),
                Ok(Taken::Line(_) | Taken::Introduced { .. }) => {}
                Err(_) => return all,
            }
        }
        all
    }

    /// The random bytes of a connection. Signed links need a nonce only.
    pub(super) fn fresh(&mut self) -> Fresh {
        let mut bytes = [0; FRESH_BYTES];
        let (ephemeral, nonce) = bytes.split_at_mut(KEY_BYTES);
        nonce.copy_from_slice(&self.nonce());
        if self.plan.secret {
            self.rng.fill(ephemeral);
        }
        bytes.into()
    }
}
