//! Whether the herd knew newer updates than the ones that were sent. The answer to an IAMAT does not tell (PROTOCOL), so the node is
//! asked for its clients afterwards, over its control socket: a node on this machine alone can be asked.

use serde_json::Value;

use super::status;
use crate::config::quoted;
use crate::proto::fields::{ClientTime, fields};
use crate::server::client_id::encoded;
use crate::server::control::Request;

/// The most clients that are looked up. A program writes longer input, and knows its own times.
const LOOKED_UP_MAX: usize = 20;

/// The answers to IAMAT so far.
#[derive(Default)]
pub(super) struct Answered {
    /// The name of the node that answered.
    node: Vec<u8>,
    /// The last time that was sent for each client, with its id as it is printed.
    last: Vec<(String, ClientTime)>,
    /// There were more clients than are looked up.
    are_many: bool,
}

impl Answered {
    /// Takes the AT line that answers an IAMAT.
    pub(super) fn push(&mut self, at: &[u8]) {
        let mut parts = fields(at);
        let (Some(b"AT"), Some(node), Some(_), Some(id), Some(_), Some(time)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        let Some(time) = ClientTime::parse(time) else { return };
        node.clone_into(&mut self.node);
        let id = encoded(id).into_owned();
        if let Some((_, last)) = self.last.iter_mut().find(|(known, _)| *known == id) {
            *last = time;
        } else if self.last.len() < LOOKED_UP_MAX {
            self.last.push((id, time));
        } else {
            self.are_many = true;
        }
    }

    /// A message for each client that the node knows a newer update of. Empty if the node cannot be asked.
    pub(super) fn notes(&self) -> Vec<String> {
        if self.last.is_empty() || self.are_many {
            return Vec::new();
        }
        let Ok(node) = std::str::from_utf8(&self.node) else { return Vec::new() };
        let answer = status::answer(Some(node), Request::Clients).unwrap_or_default();
        self.notes_of(&serde_json::from_str::<Vec<Value>>(&answer).unwrap_or_default())
    }

    /// The messages of [`notes`](Self::notes), by what the node says of its clients.
    fn notes_of(&self, clients: &[Value]) -> Vec<String> {
        let newer = self.last.iter().filter_map(|(id, sent)| {
            let client = clients.iter().find(|client| client["id"] == **id)?;
            let stored = client["time"].as_str()?;
            ClientTime::parse(stored.as_bytes())?.compare(sent).is_gt().then(|| {
                format!("{} is not stored: the herd knows a newer update (time {stored})", quoted(id))
            })
        });
        newer.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_update_of_a_client_is_compared_with_what_is_stored() {
        let stored = serde_json::json!([{ "id": "kiwi", "time": "5.5" }, { "id": "50%25", "time": "7" }]);
        let stored = stored.as_array().expect("a list");
        let kiwi = "\"kiwi\" is not stored: the herd knows a newer update (time 5.5)";
        let cases: [(&[&str], &[&str]); 8] = [
            (&[], &[]),
            (&["AT Hill +1 kiwi +1+2 5.5"], &[]),
            (&["AT Hill +1 kiwi +1+2 5.50"], &[]),
            (&["AT Hill +1 kiwi +1+2 6"], &[]),
            (&["AT Hill +1 kiwi +1+2 5.499999999"], &[kiwi]),
            // Stored, and replaced by the second.
            (&["AT Hill +1 kiwi +1+2 5", "AT Hill +1 kiwi +1+2 5.5"], &[]),
            (&["AT Hill +1 kiwi +1+2 5.5", "AT Hill +1 kiwi +1+2 5"], &[kiwi]),
            (
                &["AT Hill +1 50% +1+2 1", "AT Hill +1 plum +1+2 1", "AT Hill"],
                &["\"50%25\" is not stored: the herd knows a newer update (time 7)"],
            ),
        ];
        for (answers, notes) in cases {
            let mut answered = Answered::default();
            answers.iter().for_each(|at| answered.push(at.as_bytes()));
            assert_eq!(answered.notes_of(stored), notes, "{answers:?}");
        }
    }

    #[test]
    fn a_long_input_is_not_looked_up() {
        let mut answered = Answered::default();
        for i in 0..=LOOKED_UP_MAX {
            assert!(!answered.are_many);
            answered.push(format!("AT Hill +1 c{i} +1+2 5").as_bytes());
        }
        assert!(answered.are_many && answered.notes().is_empty());
    }
}
