//! One connection to a broker, in MQTT 3.1.1 or 5: bytes in, events out, and bytes to send.
//!
//! If the bridge takes messages in, the broker stores the session. It sends unacknowledged messages again on the next
//! connection. The bridge does not send its own messages in flight again: it publishes all positions on each connection.
//!
//! Invariant: for any input the session stores at most [`PACKET_BYTES_MAX`] bytes and one read, at most [`IN_FLIGHT_MAX`]
//! messages are in flight, and it does not panic. It uses neither a socket nor a clock.

use herd::proto::time::Mono;

use super::codec::{
    self, CONNACK, DISCONNECT, Head, Hello, Malformed, Message, PING, PUBLISH, Packet, Version,
};
use super::limits::{
    IN_FLIGHT_MAX, KEEP_ALIVE_S, OUTPUT_BYTES_MAX, PACKET_BYTES_MAX, SILENCE_MS_MAX, UNACKNOWLEDGED_MS_MAX,
};

/// The packet identifier of the only subscription; messages have the others.
const SUBSCRIPTION: u16 = 1;

/// What came from the broker.
#[derive(Debug, PartialEq)]
pub enum Event {
    /// The broker accepts the bridge.
    Accepted,
    /// Whether the broker grants the subscription.
    Subscribed(bool),
    /// Whether the broker accepts a message. In MQTT 5 it can refuse one.
    Acknowledged(bool),
    /// A message. The bridge acknowledges it if it has a number.
    Message(Message),
    /// The number of a message that is too large.
    TooLarge(Option<u16>),
}

/// The result of reading the next packet.
enum Packed {
    Event(Event),
    /// No event.
    Nothing,
    /// The packet is not complete.
    More,
}

/// A connection.
#[derive(Debug)]
pub struct Session {
    version: Version,
    input: Vec<u8>,
    /// Bytes of `input` that are processed.
    read: usize,
    /// Bytes to skip of a message that is too large.
    passed_over: usize,
    output: Vec<u8>,
    is_accepted: bool,
    in_flight: Vec<u16>,
    in_flight_max: usize,
    keep_alive_ms: u64,
    /// When the wait for an acknowledgement began, if a message is in flight.
    unacknowledged: Mono,
    last_number: u16,
    last_sent: Mono,
    last_heard: Mono,
    /// When the bridge sent a ping that the broker has not answered.
    pinged: Option<Mono>,
}

impl Session {
    /// Begins with CONNECT.
    #[must_use]
    pub fn open(now: Mono, hello: &Hello) -> Self {
        let mut output = Vec::new();
        codec::put_connect(&mut output, hello);
        Session {
            version: hello.version,
            input: Vec::new(),
            read: 0,
            passed_over: 0,
            output,
            is_accepted: false,
            in_flight: Vec::with_capacity(IN_FLIGHT_MAX),
            in_flight_max: IN_FLIGHT_MAX,
            keep_alive_ms: u64::from(KEEP_ALIVE_S) * 1000,
            unacknowledged: now,
            last_number: SUBSCRIPTION,
            last_sent: now,
            last_heard: now,
            pinged: None,
        }
    }

    /// Takes bytes of the broker. Before the next call, read all events with [`Session::next_event`].
    pub fn take(&mut self, now: Mono, bytes: &[u8]) {
        self.last_heard = now;
        self.input.drain(..std::mem::take(&mut self.read));
        let passed = bytes.len().min(self.passed_over);
        self.passed_over -= passed;
        self.input.extend_from_slice(&bytes[passed..]);
    }

    /// The next event, if its packet is complete.
    ///
    /// # Errors
    /// Why the connection must end.
    pub fn next_event(&mut self) -> Result<Option<Event>, String> {
        // A loop and not a recursion: one read may hold a thousand packets without an event.
        loop {
            match self.packet()? {
                Packed::Event(event) => return Ok(Some(event)),
                Packed::Nothing => {}
                Packed::More => return Ok(None),
            }
        }
    }

    fn packet(&mut self) -> Result<Packed, String> {
        let malformed = |Malformed| "the broker sent bytes that are not MQTT".to_owned();
        let input = &self.input[self.read..];
        let Some(head) = Head::read(input).map_err(malformed)? else { return Ok(Packed::More) };
        // A broker sends CONNACK first, and only once.
        if (head.kind() == CONNACK) == self.is_accepted {
            return Err("the broker's first packet is not CONNACK, or CONNACK comes twice".to_owned());
        }
        if head.kind() == PUBLISH && head.quality() == 2 {
            return Err("the broker sent a message at QoS 2, which the bridge did not ask for".to_owned());
        }
        if head.length > PACKET_BYTES_MAX {
            return self.pass_over(head);
        }
        let Some(body) = input.get(head.bytes..head.bytes + head.length) else { return Ok(Packed::More) };
        let packet = codec::read(head, body, self.version).map_err(malformed)?;
        self.read += head.bytes + head.length;
        self.act_on(packet)
    }

    fn act_on(&mut self, packet: Packet) -> Result<Packed, String> {
        Ok(match packet {
            Packet::Connected(answer) => {
                let terms = answer.map_err(refused)?;
                if !terms.retains {
                    return Err(
                        "the broker does not retain messages, or does not accept them at QoS 1".to_owned()
                    );
                }
                self.is_accepted = true;
                self.in_flight_max = IN_FLIGHT_MAX.min(terms.in_flight_max.into());
                self.keep_alive_ms = u64::from(terms.keep_alive_s) * 1000;
                Packed::Event(Event::Accepted)
            }
            Packet::Message(message) => Packed::Event(Event::Message(message)),
            Packet::Acknowledged(number, is_taken) => {
                match self.in_flight.iter().position(|other| *other == number) {
                    Some(index) => {
                        self.in_flight.swap_remove(index);
                        self.unacknowledged = self.last_heard;
                        Packed::Event(Event::Acknowledged(is_taken))
                    }
                    // Of an earlier connection.
                    None => Packed::Nothing,
                }
            }
            Packet::Subscribed(is_granted) => Packed::Event(Event::Subscribed(is_granted)),
            Packet::Pong => {
                self.pinged = None;
                Packed::Nothing
            }
            Packet::Disconnected(0x8e) => {
                return Err("another client took over the bridge's client id".to_owned());
            }
            Packet::Disconnected(reason) => {
                return Err(format!("the broker ended the connection with reason {reason:#04x}"));
            }
        })
    }

    /// Skips a message that is too large. Its number follows its topic.
    fn pass_over(&mut self, head: Head) -> Result<Packed, String> {
        if head.kind() != PUBLISH || head.quality() > 1 {
            return Err("the broker sent a packet that is too large".to_owned());
        }
        let input = &self.input[self.read..];
        let Some(&[a, b]) = input.get(head.bytes..head.bytes + 2) else { return Ok(Packed::More) };
        let number_at = head.bytes + 2 + usize::from(u16::from_be_bytes([a, b]));
        let number = match input.get(number_at..number_at + 2) {
            _ if head.quality() == 0 => None,
            Some(&[a, b]) => Some(u16::from_be_bytes([a, b])),
            _ => return Ok(Packed::More),
        };
        let there = input.len().min(head.bytes + head.length);
        self.read += there;
        self.passed_over = head.bytes + head.length - there;
        Ok(Packed::Event(Event::TooLarge(number)))
    }

    /// Subscribes to these topics.
    pub fn subscribe(&mut self, filter: &str) {
        codec::put_subscribe(&mut self.output, self.version, SUBSCRIPTION, filter);
    }

    /// Whether the bridge may publish one more message now.
    #[must_use]
    pub fn can_publish(&self) -> bool {
        self.is_accepted && self.in_flight.len() < self.in_flight_max && self.has_room()
    }

    /// Whether the output has room for more.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.output.len() < OUTPUT_BYTES_MAX
    }

    /// Publishes a message that the broker retains. In MQTT 5 it can expire. Call it only while
    /// [`Session::can_publish`].
    pub fn publish(&mut self, now: Mono, message: (&str, &str), expires: bool) {
        debug_assert!(self.can_publish());
        if self.in_flight.is_empty() {
            self.unacknowledged = now;
        }
        let number = self.fresh_number();
        codec::put_publish(&mut self.output, self.version, message, Some(number), expires);
        self.in_flight.push(number);
    }

    /// Acknowledges a message of the broker.
    pub fn acknowledge(&mut self, number: u16) {
        codec::put_acknowledgement(&mut self.output, number);
    }

    /// Sends the last packets: a message at QoS 0, and DISCONNECT.
    pub fn close(&mut self, message: (&str, &str)) {
        if self.is_accepted {
            codec::put_publish(&mut self.output, self.version, message, None, false);
        }
        self.output.extend_from_slice(&DISCONNECT);
    }

    /// Checks the deadlines, and sends a ping when one is due. While the bridge does not read, it ignores the broker's
    /// silence, and still sends pings.
    ///
    /// # Errors
    /// Why the connection must end.
    pub fn tick(&mut self, now: Mono, is_read: bool) -> Result<(), String> {
        if !is_read {
            self.last_heard = now;
            self.pinged = None;
            self.unacknowledged = now;
        }
        if !self.in_flight.is_empty() && now.since_ms(self.unacknowledged) >= UNACKNOWLEDGED_MS_MAX {
            return Err(format!("the broker acknowledged nothing for {} s", UNACKNOWLEDGED_MS_MAX / 1000));
        }
        let is_due = now.since_ms(self.last_sent.min(self.last_heard)) >= self.keep_alive_ms / 2;
        match self.pinged {
            Some(since) if now.since_ms(since) >= SILENCE_MS_MAX => {
                Err(format!("the broker sent nothing for {} s", now.since_ms(self.last_heard) / 1000))
            }
            None if self.is_accepted && is_due => {
                self.output.extend_from_slice(&PING);
                self.pinged = Some(now);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The bytes to send.
    #[must_use]
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// Removes bytes that were sent.
    pub fn sent(&mut self, now: Mono, bytes: usize) {
        self.last_sent = now;
        self.output.drain(..bytes);
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

/// The meaning of a refusal: the codes of CONNACK in both versions.
fn refused(code: u8) -> String {
    let why = match code {
        1 | 0x84 => "the broker does not speak this version of MQTT",
        2 | 0x85 => "the broker refuses the bridge's client id",
        3 | 0x88 | 0x89 => "the broker accepts no client at the moment",
        4 | 0x86 => "the broker refuses the user or the password",
        5 | 0x87 => "the broker refuses the bridge: wrong user or password, or a password is missing",
        code => return format!("the broker refuses the bridge with the unknown code {code:#04x}"),
    };
    why.to_owned()
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
