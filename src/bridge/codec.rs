//! The packets of MQTT that a bridge sends and reads, of 3.1.1 and of 5.
//!
//! The two versions differ in properties: a length and that many bytes. The bridge sends three properties. It reads the
//! properties of CONNACK that limit the bridge, and skips all others.
//!
//! Invariant: no bytes make it panic, and a text is not longer than the packet that it comes in.

use super::limits::{KEEP_ALIVE_S, RECEIVED_MAX, RETAINED_S_MAX, SESSION_S_MAX};

/// The versions, by the number that CONNECT has for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// 3.1.1.
    V3 = 4,
    /// 5.
    V5 = 5,
}

/// PINGREQ.
pub const PING: [u8; 2] = [0xc0, 0];
/// DISCONNECT.
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// What the bridge sends in CONNECT.
#[derive(Clone, Copy, Debug)]
pub struct Hello<'a> {
    /// The version.
    pub version: Version,
    /// The client id, which no other client of the broker may have.
    pub client_id: &'a str,
    /// Name and password.
    pub login: Option<&'a (String, String)>,
    /// The topic and message that the broker publishes, retained, when the connection breaks.
    pub will: (&'a str, &'a str),
    /// Whether the broker stores unacknowledged messages for the next connection.
    pub is_stored: bool,
}

/// What a broker sends.
#[derive(Debug, PartialEq)]
pub enum Packet {
    /// CONNACK: the broker's terms, or the code by which it refuses.
    Connected(Result<Terms, u8>),
    /// PUBLISH.
    Message(Message),
    /// PUBACK, and whether the broker took the message.
    Acknowledged(u16, bool),
    /// SUBACK, and whether the broker grants the subscription.
    Subscribed(bool),
    /// PINGRESP.
    Pong,
    /// DISCONNECT with its reason.
    Disconnected(u8),
}

/// What a broker allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Messages that the broker accepts before it acknowledges one.
    pub in_flight_max: u16,
    /// The keep-alive that the broker demands, in seconds.
    pub keep_alive_s: u16,
    /// Whether it takes messages at QoS 1 and retains them.
    pub retains: bool,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { in_flight_max: u16::MAX, keep_alive_s: KEEP_ALIVE_S, retains: true }
    }
}

/// A message from the broker.
#[derive(Debug, PartialEq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its bytes.
    pub payload: Vec<u8>,
    /// The number by which it is acknowledged, at QoS 1.
    pub number: Option<u16>,
}

/// The fixed header of a packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Head {
    /// Type and flags.
    pub first: u8,
    /// The header's own bytes.
    pub bytes: usize,
    /// The bytes that follow it.
    pub length: usize,
}

impl Head {
    /// Reads the header that these bytes start with. `Ok(None)` if it is not complete.
    ///
    /// # Errors
    /// If it is malformed.
    pub fn read(input: &[u8]) -> Result<Option<Head>, Malformed> {
        let Some((&first, rest)) = input.split_first() else { return Ok(None) };
        let mut body = Body(rest);
        match body.variable() {
            Some(length) => Ok(Some(Head { first, bytes: input.len() - body.0.len(), length })),
            None if rest.len() < 4 && rest.iter().all(|byte| byte & 0x80 != 0) => Ok(None),
            None => Err(Malformed),
        }
    }

    /// The packet's type.
    #[must_use]
    pub fn kind(self) -> u8 {
        self.first >> 4
    }

    /// The quality of service of a PUBLISH.
    #[must_use]
    pub fn quality(self) -> u8 {
        self.first >> 1 & 3
    }
}

/// The type of CONNACK.
pub const CONNACK: u8 = 2;
/// The type of PUBLISH.
pub const PUBLISH: u8 = 3;

/// These bytes are not MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Reads what follows a header.
///
/// # Errors
/// If it is malformed, or a packet that only clients send.
pub fn read(head: Head, body: &[u8], version: Version) -> Result<Packet, Malformed> {
    read_some(head, Body(body), version).ok_or(Malformed)
}

fn read_some(head: Head, mut body: Body, version: Version) -> Option<Packet> {
    match head.kind() {
        CONNACK => {
            let (_, code) = (body.byte()?, body.byte()?);
            Some(Packet::Connected(match (code, version) {
                // A refusal may have the form of 3.1.1; an acceptance of that form is not one of MQTT 5.
                (1.., _) => Err(code),
                (0, Version::V3) => Ok(Terms::default()),
                (0, Version::V5) => Ok(body.terms()?),
            }))
        }
        PUBLISH => {
            let topic = body.text()?;
            let number = match head.quality() {
                0 => None,
                1 => Some(body.number()?),
                _ => return None,
            };
            body.skip_properties(version)?;
            Some(Packet::Message(Message { topic, payload: body.0.to_vec(), number }))
        }
        4 => Some(Packet::Acknowledged(body.number()?, body.byte().unwrap_or(0) < 0x80)),
        9 => {
            body.number()?;
            body.skip_properties(version)?;
            Some(Packet::Subscribed(body.byte()? < 0x80))
        }
        13 => Some(Packet::Pong),
        14 if version == Version::V5 => Some(Packet::Disconnected(body.byte().unwrap_or(0))),
        _ => None,
    }
}

/// The unread part of a packet.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn split(&mut self, length: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(first)
    }

    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// A packet identifier, which is never 0.
    fn number(&mut self) -> Option<u16> {
        self.u16().filter(|number| *number > 0)
    }

    fn binary(&mut self) -> Option<&'a [u8]> {
        let length = self.u16()?;
        self.split(length.into())
    }

    fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.binary()?).ok().map(str::to_owned)
    }

    /// A number of one to four bytes, seven bits each.
    fn variable(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            number |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn skip_properties(&mut self, version: Version) -> Option<()> {
        if version == Version::V5 {
            let length = self.variable()?;
            self.split(length)?;
        }
        Some(())
    }

    /// The properties of CONNACK (MQTT 5, 3.2.2.3).
    fn terms(&mut self) -> Option<Terms> {
        let length = self.variable()?;
        let (mut own, mut terms) = (Body(self.split(length)?), Terms::default());
        while let Some(property) = own.byte() {
            match property {
                0x13 => terms.keep_alive_s = own.number().map_or(KEEP_ALIVE_S, |s| s.min(KEEP_ALIVE_S)),
                0x21 => terms.in_flight_max = own.number()?,
                0x24 | 0x25 => terms.retains &= own.byte()? > 0,
                0x22 => _ = own.split(2)?,
                0x28..=0x2a => _ = own.split(1)?,
                0x11 | 0x27 => _ = own.split(4)?,
                0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => _ = own.binary()?,
                0x26 => _ = (own.binary()?, own.binary()?),
                _ => return None,
            }
        }
        Some(terms)
    }
}

/// Writes CONNECT.
pub fn put_connect(output: &mut Vec<u8>, hello: &Hello) {
    let flag = |bit: u8, is_set: bool| u8::from(is_set) << bit;
    let (user, password) = hello.login.map_or(("", ""), |(user, password)| (user, password));
    // A will at QoS 1, retained.
    let flags =
        0b0010_1100 | flag(7, !user.is_empty()) | flag(6, !password.is_empty()) | flag(1, !hello.is_stored);
    let mut body = Vec::new();
    put_text(&mut body, "MQTT");
    body.extend([hello.version as u8, flags]);
    body.extend(KEEP_ALIVE_S.to_be_bytes());
    if hello.version == Version::V5 {
        let session_s = if hello.is_stored { SESSION_S_MAX } else { 0 };
        let properties = [&[0x11][..], &session_s.to_be_bytes(), &[0x21], &RECEIVED_MAX.to_be_bytes()];
        put_properties(&mut body, &properties.concat());
    }
    put_text(&mut body, hello.client_id);
    if hello.version == Version::V5 {
        put_properties(&mut body, &[]);
    }
    put_text(&mut body, hello.will.0);
    put_text(&mut body, hello.will.1);
    for text in [user, password].into_iter().filter(|text| !text.is_empty()) {
        put_text(&mut body, text);
    }
    put_packet(output, 0x10, &body);
}

/// Writes a PUBLISH that the broker retains: at QoS 1 with a number, else at QoS 0. In MQTT 5 a message that expires does so
/// after [`RETAINED_S_MAX`].
pub fn put_publish(
    output: &mut Vec<u8>,
    version: Version,
    (topic, message): (&str, &str),
    number: Option<u16>,
    expires: bool,
) {
    let mut body = Vec::new();
    put_text(&mut body, topic);
    body.extend(number.iter().flat_map(|number| number.to_be_bytes()));
    if version == Version::V5 {
        let expiry = [&[0x02][..], &RETAINED_S_MAX.to_be_bytes()].concat();
        put_properties(&mut body, if expires { &expiry } else { &[] });
    }
    body.extend_from_slice(message.as_bytes());
    put_packet(output, 0x31 | u8::from(number.is_some()) << 1, &body);
}

/// Writes a SUBSCRIBE at QoS 1. In MQTT 5 it leaves out what the bridge itself publishes.
pub fn put_subscribe(output: &mut Vec<u8>, version: Version, number: u16, filter: &str) {
    let mut body = number.to_be_bytes().to_vec();
    if version == Version::V5 {
        put_properties(&mut body, &[]);
    }
    put_text(&mut body, filter);
    body.push(if version == Version::V5 { 0b101 } else { 1 });
    put_packet(output, 0x82, &body);
}

/// Writes PUBACK.
pub fn put_acknowledgement(output: &mut Vec<u8>, number: u16) {
    put_packet(output, 0x40, &number.to_be_bytes());
}

fn put_packet(output: &mut Vec<u8>, first: u8, body: &[u8]) {
    output.push(first);
    put_variable(output, body.len());
    output.extend_from_slice(body);
}

fn put_properties(body: &mut Vec<u8>, properties: &[u8]) {
    put_variable(body, properties.len());
    body.extend_from_slice(properties);
}

fn put_variable(output: &mut Vec<u8>, mut number: usize) {
    loop {
        let low = u8::try_from(number % 128).expect("a remainder of 128");
        number /= 128;
        output.push(if number > 0 { low | 0x80 } else { low });
        if number == 0 {
            return;
        }
    }
}

fn put_text(body: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("the bridge's own texts are short: see limits");
    body.extend(length.to_be_bytes());
    body.extend_from_slice(text.as_bytes());
}
