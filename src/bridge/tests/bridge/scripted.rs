//! Scripted brokers: they answer wrongly, close at once, or never stop.

use std::io::{Read, Write};
use std::net::TcpStream;

use rustix::process::Signal;

use super::broker::Broker;
use super::{bridge, counted, message, phone};
use herd_test_support::{Herd, PATIENCE, until};

/// CONNACK of MQTT 5, without properties.
const ACCEPTED: &[u8] = b"\x20\x03\x00\x00\x00";

#[test]
fn a_program_that_is_not_a_broker() {
    let herd = Herd::one().start();
    for (answer, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"[..], "first packet"),
        (b"", "is it a broker of MQTT 3.1.1 or 5?"),
        (b"\x20\x02\x00\x01", "does not speak this version of MQTT"),
        (b"\xff\xff\xff\xff\xff", "not MQTT"),
        (b"\x20\x03\x00\x00\x00\x30\xff\xff\xff\x7f", "ended the connection at once"),
        (b"\x20\x03\x00\x00\x00\x30\x03\x00\x00\x00", "broker up"),
    ] {
        let broker = Broker::played(move |mut stream| {
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(answer);
        });
        let mut bridge = bridge(&herd, "Hill", &broker, "", &[]);
        bridge.log.wait_for("broker down");
        assert!(bridge.log.has(words), "{words}: {}", bridge.log.tail());
        bridge.signal(Signal::TERM);
        assert_eq!(bridge.wait_for_end(), Some(0));
    }
}

#[test]
fn a_broker_that_sends_all_the_time_and_acknowledges_nothing_takes_no_memory() {
    const MESSAGES: u32 = 100_000;
    const GROWN_KIB_MAX: u64 = 6 * 1024;
    let herd = Herd::one().start();
    let (sender, all_read) = std::sync::mpsc::channel();
    let broker = Broker::played(move |mut stream| {
        let _ = stream.read(&mut [0; 1000]);
        let mut packets = ACCEPTED.to_vec();
        for number in 0..MESSAGES {
            // A new client of a new user each, at QoS 1, and an acknowledgement of what was never sent.
            let (topic, payload) = (format!("owntracks/{number}/a"), phone(""));
            let topic_bytes = u8::try_from(topic.len()).expect("it is short");
            let message = [&[0, topic_bytes], topic.as_bytes(), &[0, 7, 0], payload.as_bytes()].concat();
            packets.extend([0x32, u8::try_from(message.len()).expect("it is short")]);
            packets.extend(message);
            packets.extend(b"\x40\x02\xff\xff");
            if number % 10_000 == 0 {
                // And one of 2 MB.
                packets.extend(b"\x30\x80\x80\x80\x01\x00\x03a/b\x00");
                packets.resize(packets.len() + (1 << 21) - 6, b' ');
            }
            stream.write_all(&packets).expect("the bridge reads");
            packets.clear();
        }
        let _ = sender.send(());
        while stream.read(&mut [0; 1000]).is_ok_and(|read| read > 0) {}
    });
    let bridge = bridge(&herd, "Hill", &broker, "", &[]);
    bridge.log.wait_for("node up");
    let before_kib = bridge.private_kib();
    all_read.recv_timeout(2 * PATIENCE).expect("the bridge reads all");
    // As many as a node remembers.
    counted(&bridge, "taken_in 4096");
    counted(&bridge, &format!("too_many_devices {}", MESSAGES - 4096));
    counted(&bridge, "too_large 10");
    let grown_kib = bridge.private_kib().saturating_sub(before_kib);
    assert!(grown_kib < GROWN_KIB_MAX, "{grown_kib} KiB more");
    assert!(!bridge.log.has("broker down"), "{}", bridge.log.tail());
}

#[test]
fn a_broker_that_never_stops_leaves_everything_else_its_turn() {
    let herd = Herd::one().start();
    let broker = Broker::played(|mut stream| {
        let _ = stream.read(&mut [0; 1000]);
        let _ = stream.write_all(ACCEPTED);
        // At QoS 0, with the bridge's own prefix: nothing to wait for.
        let message = b"\x30\x13\x00\x10owntracks/herd/x\x00".repeat(1000);
        while stream.write_all(&message).is_ok() {}
    });
    let mut bridge = bridge(&herd, "Hill", &broker, "", &[]);
    bridge.log.wait_for("node up");
    herd["Hill"].ask("IAMAT kiwi +1+1 1");
    counted(&bridge, "published 1");
    bridge.signal(Signal::TERM);
    assert_eq!(bridge.wait_for_end(), Some(0));
}

#[test]
fn a_broker_that_closes_at_once_is_never_reported_as_up() {
    let herd = Herd::one().start();
    for (answer, words) in [
        (&b""[..], "before it accepted the bridge"),
        (ACCEPTED, "the broker accepted the bridge and ended the connection at once"),
    ] {
        let broker = Broker::played(move |mut stream| {
            let _ = stream.read(&mut [0; 1000]);
            let _ = stream.write_all(answer);
        });
        let bridge = bridge(&herd, "Hill", &broker, "", &[]);
        bridge.log.wait_for(words);
        // The waits before these grow: see `Backoff`.
        counted(&bridge, "broker_down 3");
        assert!(!bridge.log.has("broker up"), "{}", bridge.log.tail());
    }
}

#[test]
fn a_broker_that_only_speaks_3_1_1() {
    let (herd, mosquitto) = (Herd::one().start(), Broker::open());
    let reader = mosquitto.reader();
    let address = mosquitto.address;
    let broker = Broker::played(move |mut stream| {
        let mut connect = [0; 1000];
        let read = stream.read(&mut connect).expect("the bridge begins");
        // The version follows the fixed header and the protocol's name.
        if connect[8] == 4 {
            let mut beyond = TcpStream::connect(address).expect("Mosquitto listens");
            beyond.write_all(&connect[..read]).expect("Mosquitto reads");
            let (mut answers, mut to_bridge) = (beyond.try_clone(), stream.try_clone());
            std::thread::spawn(move || {
                std::io::copy(answers.as_mut().expect("a socket"), to_bridge.as_mut().expect("a socket"))
            });
            std::thread::spawn(move || std::io::copy(&mut stream, &mut beyond));
        }
    });
    let bridge = bridge(&herd, "Hill", &broker, "", &[]);
    bridge.log.wait_for("(MQTT 3.1.1)");
    herd["Hill"].ask("IAMAT kiwi +1+1 1");
    assert_eq!(message(&reader, "owntracks/herd/kiwi")["lat"], 1);
    mosquitto.publish("owntracks/ann/phone", &phone(""));
    until("it takes in", || herd["Hill"].at("ann.phone").is_some());
}
