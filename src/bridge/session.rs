//! One connection to a broker, as MQTT 3.1.1 has it: bytes in, events out, and bytes to be sent.
//!
//! The session of a bridge that takes messages in is one that the broker keeps: what was not acknowledged to it comes again
//! when the bridge does, which no broker does for a clean session. What the bridge had in flight does not: whoever holds
//! this publishes everything anew.
//!
//! Invariant: whatever comes, at most [`PACKET_BYTES_MAX`] bytes and one read are kept, at most [`IN_FLIGHT_MAX`] messages
//! are in flight, and nothing panics. Knows no socket and no clock.

use bytes::{Buf, BytesMut};
use mqttbytes::v4::{
    Connect, ConnectReturnCode, LastWill, Login, Packet, PubAck, Publish, Subscribe, SubscribeReasonCode,
};
use mqttbytes::{Error, QoS};

use super::limits::{
    IN_FLIGHT_MAX, KEEP_ALIVE_S, OUTPUT_BYTES_MAX, PACKET_BYTES_MAX, SILENCE_MS_MAX, UNACKNOWLEDGED_MS_MAX,
};
use herd::proto::time::Mono;

/// The packet identifier of the only subscription; messages have the others.
const SUBSCRIPTION: u16 = 1;
const KEEP_ALIVE_MS: u64 = KEEP_ALIVE_S as u64 * 1000;
const PING: [u8; 2] = [0xc0, 0];
const DISCONNECT: [u8; 2] = [0xe0, 0];

/// What the bridge tells a broker first.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'a> {
    /// Who it is, which no other client of the broker may be.
    pub client_id: &'a str,
    /// Name and password.
    pub login: Option<&'a (String, String)>,
    /// The topic and message that the broker is to publish, and retain, when the bridge is gone without a word.
    pub will: (&'a str, &'a str),
    /// Whether the broker is to keep for the bridge what was not acknowledged.
    pub is_kept: bool,
}

/// What came from the broker.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// It takes the bridge.
    Accepted,
    /// It will send what was asked for; or it will not.
    Subscribed(bool),
    /// It has taken a message.
    Acknowledged,
    /// A message, to be acknowledged if it has a number.
    Message(Message),
    /// A message that was too large, likewise.
    TooLarge(Option<u16>),
}

/// A message from the broker.
#[derive(Debug, PartialEq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its bytes.
    pub payload: bytes::Bytes,
    /// The number by which it is acknowledged.
    pub number: Option<u16>,
}

/// What the next packet is.
enum Packed {
    Event(Event),
    /// Nothing to be told.
    Nothing,
    /// Not there as a whole.
    More,
}

/// A connection.
#[derive(Debug)]
pub struct Session {
    input: BytesMut,
    /// Bytes of a message that is too large, still to be passed over.
    passed_over: usize,
    output: BytesMut,
    is_accepted: bool,
    in_flight: Vec<u16>,
    /// Since when the broker owes an acknowledgement, if anything is in flight.
    unacknowledged: Mono,
    last_number: u16,
    last_sent: Mono,
    last_heard: Mono,
    /// When the broker was asked whether it is there, if it has not answered.
    pinged: Option<Mono>,
}

impl Session {
    /// Begins with the first word.
    #[must_use]
    pub fn open(now: Mono, hello: &Hello) -> Self {
        let mut output = BytesMut::new();
        let mut connect = Connect::new(hello.client_id);
        connect.keep_alive = KEEP_ALIVE_S;
        connect.clean_session = !hello.is_kept;
        connect.last_will = Some(LastWill::new(hello.will.0, hello.will.1, QoS::AtLeastOnce, true));
        connect.login = hello.login.map(|(user, password)| Login::new(user.as_str(), password.as_str()));
        connect.write(&mut output).expect("a packet of some hundred bytes");
        Session {
            input: BytesMut::new(),
            passed_over: 0,
            output,
            is_accepted: false,
            in_flight: Vec::with_capacity(IN_FLIGHT_MAX),
            unacknowledged: now,
            last_number: SUBSCRIPTION,
            last_sent: now,
            last_heard: now,
            pinged: None,
        }
    }

    /// Takes bytes of the broker. They are to be read to the end by [`Session::next_event`] before more are taken.
    pub fn take(&mut self, now: Mono, bytes: &[u8]) {
        self.last_heard = now;
        let passed = bytes.len().min(self.passed_over);
        self.passed_over -= passed;
        self.input.extend_from_slice(&bytes[passed..]);
    }

    /// The next event, if it is there as a whole.
    ///
    /// # Errors
    /// In words, why the connection is over.
    pub fn next_event(&mut self) -> Result<Option<Event>, String> {
        // A loop, and no recursion: a broker may send a thousand packets in one piece that are no event.
        loop {
            match self.packet()? {
                Packed::Event(event) => return Ok(Some(event)),
                Packed::Nothing => {}
                Packed::More => return Ok(None),
            }
        }
    }

    fn packet(&mut self) -> Result<Packed, String> {
        let packet = match mqttbytes::v4::read(&mut self.input, PACKET_BYTES_MAX) {
            Ok(packet) => packet,
            Err(Error::InsufficientBytes(_)) => return Ok(Packed::More),
            Err(Error::PayloadSizeLimitExceeded(length)) => return self.pass_over(length),
            Err(Error::InvalidConnectReturnCode(code)) => {
                return Err(format!("the broker refuses the bridge with the unknown code {code}"));
            }
            Err(error) => return Err(format!("the broker sent what is no MQTT ({error:?})")),
        };
        match packet {
            Packet::ConnAck(answer) if !self.is_accepted => {
                accepted(answer.code)?;
                self.is_accepted = true;
                Ok(Packed::Event(Event::Accepted))
            }
            _ if !self.is_accepted => Err("the broker's first word is no answer to the bridge's".to_owned()),
            Packet::Publish(Publish { qos: QoS::ExactlyOnce, .. }) => {
                Err("the broker sent a message at QoS 2, which was not asked for".to_owned())
            }
            Packet::Publish(message) => Ok(Packed::Event(Event::Message(Message {
                topic: message.topic,
                payload: message.payload,
                number: (message.pkid > 0).then_some(message.pkid),
            }))),
            Packet::PubAck(PubAck { pkid }) => match self.in_flight.iter().position(|number| *number == pkid)
            {
                Some(index) => {
                    self.in_flight.swap_remove(index);
                    self.unacknowledged = self.last_heard;
                    Ok(Packed::Event(Event::Acknowledged))
                }
                // Of an earlier connection.
                None => Ok(Packed::Nothing),
            },
            Packet::SubAck(answer) => {
                let refused = answer.return_codes.contains(&SubscribeReasonCode::Failure);
                Ok(Packed::Event(Event::Subscribed(!refused)))
            }
            Packet::PingResp => {
                self.pinged = None;
                Ok(Packed::Nothing)
            }
            _ => Err("the broker sent what only clients send".to_owned()),
        }
    }

    /// A packet that is too large. Of a message the number is read, which stands behind its topic.
    fn pass_over(&mut self, length: usize) -> Result<Packed, String> {
        let (kind, quality) = (self.input[0] >> 4, self.input[0] >> 1 & 3);
        if kind != 3 || !self.is_accepted || quality > 1 {
            return Err("the broker sent a packet that is too large".to_owned());
        }
        let length_bytes = self.input[1..].iter().take_while(|&&byte| byte >= 0x80).count() + 1;
        let head = 1 + length_bytes;
        let Some(&[a, b]) = self.input.get(head..head + 2) else { return Ok(Packed::More) };
        let number_at = head + 2 + usize::from(u16::from_be_bytes([a, b]));
        let number = match self.input.get(number_at..number_at + 2) {
            _ if quality == 0 => None,
            Some(&[a, b]) => Some(u16::from_be_bytes([a, b])),
            _ => return Ok(Packed::More),
        };
        let there = self.input.len().min(head + length);
        self.input.advance(there);
        self.passed_over = head + length - there;
        Ok(Packed::Event(Event::TooLarge(number)))
    }

    /// Asks for the messages of these topics.
    pub fn subscribe(&mut self, filter: &str) {
        let mut subscribe = Subscribe::new(filter, QoS::AtLeastOnce);
        subscribe.pkid = SUBSCRIPTION;
        subscribe.write(&mut self.output).expect("a packet of some hundred bytes");
    }

    /// Whether one more message may be published now.
    #[must_use]
    pub fn can_publish(&self) -> bool {
        self.is_accepted && self.in_flight.len() < IN_FLIGHT_MAX && self.has_room()
    }

    /// Whether so little waits to be sent that more may come of it.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.output.len() < OUTPUT_BYTES_MAX
    }

    /// Publishes a message, which the broker is to retain. Only while [`Session::can_publish`].
    pub fn publish(&mut self, now: Mono, topic: &str, message: String) {
        debug_assert!(self.can_publish());
        if self.in_flight.is_empty() {
            self.unacknowledged = now;
        }
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, message);
        publish.retain = true;
        publish.pkid = self.fresh_number();
        publish.write(&mut self.output).expect("a packet of some hundred bytes");
        self.in_flight.push(publish.pkid);
    }

    /// Acknowledges a message of the broker.
    pub fn acknowledge(&mut self, number: u16) {
        PubAck::new(number).write(&mut self.output).expect("a packet of four bytes");
    }

    /// Says the last word: a message that is not waited for, and that the bridge goes.
    pub fn close(&mut self, topic: &str, message: String) {
        let mut publish = Publish::new(topic, QoS::AtMostOnce, message);
        publish.retain = true;
        if self.is_accepted {
            publish.write(&mut self.output).expect("a packet of some hundred bytes");
        }
        self.output.extend_from_slice(&DISCONNECT);
    }

    /// Looks at the time: asks the broker whether it is there, and finds that it is not. While nothing is read from it,
    /// its silence says nothing, but it still hears that the bridge is there.
    ///
    /// # Errors
    /// In words, why the connection is over.
    pub fn tick(&mut self, now: Mono, is_read: bool) -> Result<(), String> {
        if !is_read {
            self.last_heard = now;
            self.pinged = None;
            self.unacknowledged = now;
        }
        if !self.in_flight.is_empty() && now.since_ms(self.unacknowledged) >= UNACKNOWLEDGED_MS_MAX {
            return Err(format!("the broker acknowledged nothing for {} s", UNACKNOWLEDGED_MS_MAX / 1000));
        }
        let is_due = now.since_ms(self.last_sent.min(self.last_heard)) >= KEEP_ALIVE_MS / 2;
        match self.pinged {
            Some(since) if now.since_ms(since) >= SILENCE_MS_MAX => {
                Err(format!("the broker said nothing for {} s", now.since_ms(self.last_heard) / 1000))
            }
            None if self.is_accepted && is_due => {
                self.output.extend_from_slice(&PING);
                self.pinged = Some(now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What is to be sent.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// So many bytes of it went.
    pub fn sent(&mut self, now: Mono, bytes: usize) {
        self.last_sent = now;
        self.output.advance(bytes);
    }

    fn fresh_number(&mut self) -> u16 {
        loop {
            self.last_number = self.last_number.checked_add(1).unwrap_or(SUBSCRIPTION + 1);
            if !self.in_flight.contains(&self.last_number) {
                return self.last_number;
            }
        }
    }
}

fn accepted(code: ConnectReturnCode) -> Result<(), String> {
    match code {
        ConnectReturnCode::Success => Ok(()),
        ConnectReturnCode::RefusedProtocolVersion => Err("the broker does not speak MQTT 3.1.1".to_owned()),
        ConnectReturnCode::BadClientId => Err("the broker refuses the bridge's client id".to_owned()),
        ConnectReturnCode::ServiceUnavailable => Err("the broker takes nobody at the moment".to_owned()),
        ConnectReturnCode::BadUserNamePassword => {
            Err("the broker refuses the user or the password".to_owned())
        }
        ConnectReturnCode::NotAuthorized => {
            Err("the broker does not let the bridge in: wrong user or password, or none given".to_owned())
        }
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
