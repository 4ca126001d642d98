//! A broker that is played, well and badly.

use bytes::BytesMut;
use mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, Packet as Theirs, Publish, SubAck, SubscribeReasonCode,
};
use mqttbytes::{Error, QoS};
use proptest::prelude::*;

use super::*;

const KEEP_ALIVE_MS: u64 = KEEP_ALIVE_S as u64 * 1000;
const NOW: Mono = Mono(1_000_000);

fn opened() -> Session {
    opened_as(Version::V3)
}

fn opened_as(version: Version) -> Session {
    let login = ("ann".to_owned(), "secret".to_owned());
    Session::open(
        NOW,
        &Hello { version, client_id: "herd-Hill", login: Some(&login), will: ("w", "gone"), is_stored: true },
    )
}

fn written(write: impl FnOnce(&mut BytesMut) -> Result<usize, Error>) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    write(&mut bytes).expect("a small packet");
    bytes.to_vec()
}

fn accepted() -> Session {
    let mut session = opened();
    session.take(NOW, &written(|bytes| ConnAck::new(ConnectReturnCode::Success, true).write(bytes)));
    assert_eq!(session.next_event(), Ok(Some(Event::Accepted)));
    session.output.clear();
    session
}

fn message(topic: &str, payload: &[u8], qos: QoS, pkid: u16) -> Vec<u8> {
    written(|bytes| {
        let mut publish = Publish::new(topic, qos, payload);
        publish.pkid = pkid;
        publish.write(bytes)
    })
}

/// What comes of these bytes, in pieces of this size.
fn events(bytes: &[u8], size: usize) -> Vec<Event> {
    let (mut session, mut events) = (accepted(), Vec::new());
    for piece in bytes.chunks(size) {
        session.take(NOW, piece);
        while let Some(event) = session.next_event().expect("it is right") {
            events.push(event);
        }
        assert!(session.input.len() <= PACKET_BYTES_MAX + size);
    }
    events
}

/// What is to be sent, packet by packet.
fn sent(session: &mut Session) -> Vec<Theirs> {
    let (mut bytes, mut packets) = (BytesMut::from(&*std::mem::take(&mut session.output)), Vec::new());
    while !bytes.is_empty() {
        packets.push(mqttbytes::v4::read(&mut bytes, usize::MAX).expect("whole packets"));
    }
    packets
}

#[test]
fn the_first_word_has_all_that_a_broker_wants_to_know() {
    let packets = sent(&mut opened());
    let [Theirs::Connect(connect)] = &packets[..] else { panic!("{packets:?}") };
    assert_eq!(
        (&*connect.client_id, connect.clean_session, connect.keep_alive),
        ("herd-Hill", false, KEEP_ALIVE_S)
    );
    let login = connect.login.as_ref().expect("a login");
    assert_eq!((&*login.username, &*login.password), ("ann", "secret"));
    let will = connect.last_will.as_ref().expect("a will");
    assert_eq!((&*will.topic, &*will.message, will.retain), ("w", &b"gone"[..], true));
}

#[test]
fn a_broker_that_refuses_is_quoted() {
    for (code, words) in [
        (ConnectReturnCode::NotAuthorized, "wrong user or password"),
        (ConnectReturnCode::BadUserNamePassword, "user or the password"),
        (ConnectReturnCode::ServiceUnavailable, "no client at the moment"),
    ] {
        let mut session = opened();
        session.take(NOW, &written(|bytes| ConnAck::new(code, false).write(bytes)));
        assert!(session.next_event().expect_err("it refuses").contains(words));
    }
    for (bytes, words) in [
        (&[0x20, 2, 0, 77][..], "unknown code 0x4d"),
        (&[0xd0, 0], "first packet"),
        (&[0x40, 2, 0, 1], "first packet"),
        (&[0x20, 0], "not MQTT"),
        (&[b'H'; 100], "first packet"),
        (&[0x30, 0xff, 0xff, 0xff, 0x7f], "first packet"),
        (&[0x20, 0xff, 0xff, 0xff, 0x7f], "too large"),
        (&[0x20, 0xff, 0xff, 0xff, 0xff], "not MQTT"),
    ] {
        let mut session = opened();
        session.take(NOW, bytes);
        let why = session.next_event().expect_err("it is wrong");
        assert!(why.contains(words), "{bytes:?}: {why}");
    }
}

#[test]
fn so_many_are_in_flight_and_no_more() {
    let mut session = accepted();
    let mut published = 0;
    while session.can_publish() {
        session.publish(NOW, ("t", "{}"), true);
        published += 1;
    }
    assert_eq!(published, IN_FLIGHT_MAX);
    // A number that the bridge did not send, then one that it sent.
    session.take(NOW, &[0x40, 2, 0xff, 0xff, 0x40, 2, 0, 5]);
    assert_eq!((session.next_event(), session.next_event()), (Ok(Some(Event::Acknowledged(true))), Ok(None)));
    assert!(session.can_publish());
    let numbers: Vec<u16> = sent(&mut session)
        .into_iter()
        .map(|packet| if let Theirs::Publish(message) = packet { message.pkid } else { 0 })
        .collect();
    assert_eq!(numbers, (2..18).collect::<Vec<u16>>());
}

#[test]
fn numbers_wrap_and_skip_the_ones_in_flight() {
    let mut session = accepted();
    session.in_flight = vec![2, 3];
    session.last_number = u16::MAX - 1;
    assert_eq!((session.fresh_number(), session.fresh_number()), (u16::MAX, 4));
}

#[test]
fn messages_come_in_whatever_pieces() {
    let bytes = [
        message("owntracks/ann/phone", b"{}", QoS::AtLeastOnce, 7),
        message("a", b"", QoS::AtMostOnce, 0),
        written(|bytes| SubAck::new(1, vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)]).write(bytes)),
        written(|bytes| SubAck::new(1, vec![SubscribeReasonCode::Failure]).write(bytes)),
    ]
    .concat();
    for size in [1, 2, 3, 7, bytes.len()] {
        let events = events(&bytes, size);
        let [
            Event::Message(first),
            Event::Message(second),
            Event::Subscribed(true),
            Event::Subscribed(false),
        ] = &events[..]
        else {
            panic!("{events:?}")
        };
        assert_eq!(
            (&*first.topic, &*first.payload, first.number),
            ("owntracks/ann/phone", &b"{}"[..], Some(7))
        );
        assert_eq!((&*second.topic, second.payload.len(), second.number), ("a", 0, None));
    }
}

#[test]
fn a_message_that_is_too_large_is_passed_over_and_the_next_one_read() {
    for (topic_bytes, qos) in [(20, QoS::AtLeastOnce), (65_535, QoS::AtLeastOnce), (1, QoS::AtMostOnce)] {
        let large = message(&"x".repeat(topic_bytes), &vec![b'y'; 4 * PACKET_BYTES_MAX], qos, 9);
        let bytes = [large, message("a", b"b", QoS::AtLeastOnce, 10)].concat();
        for size in [1000, 4096, bytes.len()] {
            let events = events(&bytes, size);
            let number = (qos == QoS::AtLeastOnce).then_some(9);
            assert_eq!((events.len(), &events[0]), (2, &Event::TooLarge(number)));
            assert!(matches!(&events[1], Event::Message(message) if message.number == Some(10)));
        }
    }
}

#[test]
fn what_was_not_asked_for_ends_the_connection() {
    for bytes in [
        message("a", b"b", QoS::ExactlyOnce, 3),
        written(|bytes| ConnAck::new(ConnectReturnCode::Success, false).write(bytes)),
        written(|bytes| Connect::new("x").write(bytes)),
        vec![0xf0, 0],
        vec![0x32, 3, 0, 1, b'a'],
        vec![0x32, 5, 0, 1, b'a', 0, 0],
        vec![0x30, 3, 0, 9, b'a'],
        vec![0x34, 0xff, 0xff, 0xff, 0x7f],
    ] {
        let mut session = accepted();
        session.take(NOW, &bytes);
        session.next_event().expect_err("it is wrong");
    }
}

#[test]
fn a_broker_that_is_silent_is_asked_and_then_left() {
    let mut session = accepted();
    let at = |ms: u64| NOW.after_ms(ms);
    assert_eq!(session.tick(at(KEEP_ALIVE_MS / 2 - 1), true), Ok(()));
    assert!(session.output().is_empty());
    assert_eq!(session.tick(at(KEEP_ALIVE_MS / 2), true), Ok(()));
    assert_eq!(session.output(), PING);
    session.sent(at(KEEP_ALIVE_MS / 2), 2);
    assert_eq!(session.tick(at(KEEP_ALIVE_MS / 2 + SILENCE_MS_MAX - 1), true), Ok(()));
    // While the bridge does not read, it cannot hear the broker. It sends pings all the same.
    assert_eq!(session.tick(at(10 * SILENCE_MS_MAX), false), Ok(()));
    assert_eq!(session.output(), PING);
    session.sent(at(10 * SILENCE_MS_MAX), 2);
    assert_eq!(session.tick(at(11 * SILENCE_MS_MAX - 1), true), Ok(()));
    assert!(session.tick(at(11 * SILENCE_MS_MAX), true).is_err());
    session.take(at(11 * SILENCE_MS_MAX), &[0xd0, 0]);
    assert_eq!(session.next_event(), Ok(None));
    assert_eq!(session.tick(at(11 * SILENCE_MS_MAX), true), Ok(()));
}

#[test]
fn a_broker_that_acknowledges_nothing_is_left() {
    let mut session = accepted();
    session.publish(NOW, ("t", "{}"), true);
    session.publish(NOW, ("t", "{}"), true);
    let at = |ms: u64| NOW.after_ms(ms);
    let answers = |session: &mut Session, now: Mono, bytes: &[u8]| {
        session.take(now, bytes);
        while session.next_event().expect("it is right").is_some() {}
        session.tick(now, true)
    };
    assert_eq!(answers(&mut session, at(UNACKNOWLEDGED_MS_MAX - 1), &[0xd0, 0, 0x40, 2, 0, 2]), Ok(()));
    assert_eq!(answers(&mut session, at(2 * UNACKNOWLEDGED_MS_MAX - 2), &[0xd0, 0]), Ok(()));
    assert!(answers(&mut session, at(2 * UNACKNOWLEDGED_MS_MAX), &[0xd0, 0]).is_err());
    assert_eq!(answers(&mut session, at(2 * UNACKNOWLEDGED_MS_MAX), &[0xd0, 0, 0x40, 2, 0, 3]), Ok(()));
    assert_eq!(answers(&mut session, at(9 * UNACKNOWLEDGED_MS_MAX), &[0xd0, 0]), Ok(()));
}

#[test]
fn the_last_word_is_the_last() {
    let mut session = accepted();
    session.acknowledge(3);
    session.close(("t", "off"));
    let packets = sent(&mut session);
    assert!(matches!(&packets[..], [Theirs::PubAck(_), Theirs::Publish(message), Theirs::Disconnect]
        if message.retain && message.qos == QoS::AtMostOnce));
    let mut session = opened();
    session.close(("t", "off"));
    assert!(matches!(&sent(&mut session)[..], [Theirs::Connect(_), Theirs::Disconnect]));
}

/// A broker of MQTT 5 that has sent this in CONNACK, and what the bridge sent before.
fn accepted_with(properties: &[u8]) -> Result<Session, String> {
    let mut session = opened_as(Version::V5);
    let length = u8::try_from(properties.len()).expect("it is short");
    session.take(NOW, &[&[0x20, length + 3, 0, 0, length], properties].concat());
    session.next_event().map(|event| {
        assert_eq!(event, Some(Event::Accepted));
        session.output.clear();
        session
    })
}

#[test]
fn the_packets_of_mqtt_5_have_properties() {
    let mut session = opened_as(Version::V5);
    let connect = std::mem::take(&mut session.output);
    let head = b"\0\x04MQTT\x05\xec\0\x1e\x08\x11\0\x01\x51\x80\x21\0\x40\0\x09herd-Hill\0\0\x01w\0\x04gone";
    assert_eq!(&connect[2..2 + head.len()], head);
    let mut session = accepted_with(b"").expect("it is right");
    session.subscribe("a/#");
    session.publish(NOW, ("t", "{}"), true);
    session.publish(NOW, ("t", "{}"), false);
    session.close(("t", "off"));
    let expected: [&[u8]; 5] = [
        b"\x82\x09\0\x01\0\0\x03a/#\x05",
        b"\x33\x0d\0\x01t\0\x02\x05\x02\0\x01\x51\x80{}",
        b"\x33\x08\0\x01t\0\x03\0{}",
        b"\x31\x07\0\x01t\0off",
        &DISCONNECT,
    ];
    assert_eq!(session.output, expected.concat());
    session.take(
        NOW,
        b"\x90\x04\0\x01\0\x01\x40\x04\0\x02\x10\0\x40\x02\0\x03\x32\x0b\0\x01a\0\x07\x03\x23\0\x01x{\xd0\0",
    );
    assert_eq!(session.next_event(), Ok(Some(Event::Subscribed(true))));
    assert_eq!(session.next_event(), Ok(Some(Event::Acknowledged(true))));
    assert_eq!(session.next_event(), Ok(Some(Event::Acknowledged(true))));
    let message = Message { topic: "a".to_owned(), payload: b"x{".to_vec(), number: Some(7) };
    assert_eq!(session.next_event(), Ok(Some(Event::Message(message))));
    assert_eq!(session.next_event(), Ok(None));
    session.publish(NOW, ("t", "{}"), true);
    session.take(NOW, b"\x40\x03\0\x04\x87");
    assert_eq!(session.next_event(), Ok(Some(Event::Acknowledged(false))));
    session.take(NOW, b"\xe0\x02\x8e\0");
    assert!(session.next_event().is_err_and(|why| why.contains("another client")));
}

#[test]
fn a_broker_of_mqtt_5_states_its_terms() {
    let terms = b"\x11\0\0\0\x01\x12\0\x01i\x13\0\x0a\x21\0\x02\x22\0\x09\x26\0\x01k\0\x01v\x27\0\0\x10\0\x28\x01\x25\x01";
    let mut session = accepted_with(terms).expect("it is right");
    session.publish(NOW, ("t", "{}"), true);
    session.publish(NOW, ("t", "{}"), true);
    assert!(!session.can_publish());
    session.output.clear();
    assert_eq!((session.tick(NOW.after_ms(5_000), true), &*session.output), (Ok(()), &PING[..]));
    for (properties, words) in [
        (&b"\x25\0"[..], "does not retain"),
        (b"\x24\0", "does not retain"),
        (b"\x21\0\0", "not MQTT"),
        (b"\x21\0", "not MQTT"),
        (b"\x7f", "not MQTT"),
    ] {
        let why = accepted_with(properties).expect_err("it is wrong");
        assert!(why.contains(words), "{properties:?}: {why}");
    }
    // A broker of 3.1.1 that takes the bridge by mistake.
    let mut session = opened_as(Version::V5);
    session.take(NOW, b"\x20\x02\0\0");
    assert!(session.next_event().is_err());
}

/// Bytes that are nearly packets.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let packet =
        (any::<u8>(), prop::collection::vec(any::<u8>(), 0..40), 0usize..4).prop_map(|(kind, body, off)| {
            let length = u8::try_from((body.len() + off).saturating_sub(1)).expect("it is small");
            [vec![kind, length], body].concat()
        });
    let right =
        (0usize..300).prop_map(|length| message("owntracks/a/b", &vec![b'x'; length], QoS::AtLeastOnce, 4));
    prop_oneof![packet, right, prop::collection::vec(any::<u8>(), 0..100)]
}

proptest! {
    #[test]
    fn no_broker_makes_it_panic_or_grow(pieces in prop::collection::vec(hostile(), 0..30), state in 0..4) {
        let mut session = match state {
            0 => opened(),
            1 => opened_as(Version::V5),
            2 => accepted(),
            _ => accepted_with(b"").expect("it is right"),
        };
        'over: for piece in pieces {
            session.take(NOW, &piece);
            loop {
                match session.next_event() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(why) => {
                        prop_assert!(why.chars().all(|c| !c.is_control()));
                        break 'over;
                    }
                }
            }
            prop_assert!(session.input.len() <= PACKET_BYTES_MAX + 400);
            if session.can_publish() {
                session.publish(NOW, ("t", "{}"), true);
            }
        }
    }
}
