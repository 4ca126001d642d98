//! `herd-bridge` between real nodes and a real broker: `cargo build && cargo test --package herd-bridge`.
//!
//! The tests need Mosquitto: Debian's packages mosquitto and mosquitto-clients.

mod broker;
mod scripted;
mod tls;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use broker::{Broker, Process};
use herd_test_support::{Folder, Herd, runs_beside, until, until_some};
use rustix::process::Signal;
use serde_json::Value;

/// What a phone publishes, without the braces.
const PHONE: &str = r#""_type":"location","lat":34.06893,"lon":-118.445127,"tst":1621464827,"tid":"ph""#;

/// The bridge of a node.
fn bridge(herd: &Herd, name: &str, broker: &Broker, user: &str, more: &[&str]) -> Process {
    bridge_to(herd, name, &format!("mqtt://{user}{}", broker.address), more)
}

/// The bridge of a node to a broker at this address.
fn bridge_to(herd: &Herd, name: &str, url: &str, more: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_herd-bridge"));
    command.env_remove("CREDENTIALS_DIRECTORY").env_remove("JOURNAL_STREAM").env_remove("RUNTIME_DIRECTORY");
    runs_beside(&mut command, herd.map(name));
    command.args([name, "--broker", url, "--log-level", "debug", "--config"]);
    command.arg(herd.map(name)).args(more);
    Process::start(&mut command, "herd-bridge")
}

/// A bridge that is connected to the broker and to the node.
fn bridge_up(herd: &Herd, name: &str, broker: &Broker, more: &[&str]) -> Process {
    let bridge = bridge(herd, name, broker, "", more);
    bridge.log.wait_for("broker up");
    bridge.log.wait_for("node up");
    bridge
}

/// Waits for a message under this topic, and returns the last one.
fn message(reader: &Process, topic: &str) -> Value {
    let line = until_some(topic, || reader.log.last(&format!(" {topic} ")));
    let (_, message) = line.split_once(&format!(" {topic} ")).expect("it was looked for");
    serde_json::from_str(message).unwrap_or_else(|error| panic!("{error}: {message}"))
}

fn phone(more: &str) -> String {
    format!("{{{PHONE}{more}}}")
}

/// Waits until the bridge logs these counters.
fn counted(bridge: &Process, words: &str) {
    until(&format!("the bridge logs {words:?}"), || {
        bridge.signal(Signal::USR1);
        bridge
            .log
            .last("counters since the start")
            .is_some_and(|line| format!("{line},").contains(&format!(" {words},")))
    });
}

/// Waits until the bridge has processed all earlier entries of the node and all earlier messages of the broker.
fn wait_for_all_before(herd: &Herd, broker: &Broker, reader: &Process, name: &str) {
    broker.publish(&format!("owntracks/sentinel/{name}"), &phone(""));
    until("the sentinel goes round", || reader.log.has(&format!("/sentinel.{name} ")));
    assert!(herd["Hill"].at(&format!("sentinel.{name}")).is_some());
}

#[test]
fn an_update_becomes_a_location_once() {
    let (herd, broker) = (Herd::pair().start(), Broker::open());
    let early = herd["Smith"].ask("IAMAT early +1-2 5");
    herd.wait_for_at("early", &early);
    let reader = broker.reader();
    let bridge = bridge_up(&herd, "Hill", &broker, &[]);
    herd["Smith"].ask("IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503");
    let location = message(&reader, "owntracks/herd/kiwi.cs.ucla.edu");
    assert_eq!((&location["_type"], &location["tid"]), (&"location".into(), &"du".into()));
    assert_eq!((&location["lat"], &location["lon"]), (&34.06893.into(), &(-118.445127).into()));
    assert_eq!((&location["tst"], &location["herd"]["origin"]), (&1_621_464_827.into(), &"Smith".into()));
    assert_eq!(location["herd"]["time"], "1621464827.959498503");
    assert!(location["created_at"].as_i64() > Some(1_700_000_000));
    assert_eq!(message(&reader, "owntracks/herd/early")["tst"], 5);
    let status = message(&reader, "owntracks/herd/$bridge/Hill");
    assert_eq!((&status["online"], &status["node"]), (&true.into(), &"Hill".into()));
    // The bridge does not publish a duplicate, and publishes a newer update.
    herd["Smith"].ask("IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503");
    herd["Hill"].ask("IAMAT kiwi.cs.ucla.edu -34+118 1621464828");
    until("it has moved", || message(&reader, "owntracks/herd/kiwi.cs.ucla.edu")["lat"] == -34);
    wait_for_all_before(&herd, &broker, &reader, "1");
    assert_eq!(reader.log.count(" owntracks/herd/kiwi.cs.ucla.edu "), 2);
    assert_eq!(reader.log.count(" owntracks/herd/early "), 1);
    // In MQTT 5 the broker retains the message for a day.
    let mut expiry = broker.client("mosquitto_sub");
    expiry.args(["-V", "mqttv5", "-W", "10", "-C", "1", "-F", "%E", "-t", "owntracks/herd/early"]);
    let expiry = expiry.output().expect("mosquitto_sub is installed").stdout;
    let expiry_s: u32 = String::from_utf8_lossy(&expiry).trim().parse().expect("seconds");
    assert!((80_000..=86_400).contains(&expiry_s), "{expiry_s}");
    // A later subscriber gets the retained message.
    let late = broker.reader();
    until("it is retained", || late.log.has("1 owntracks/herd/kiwi.cs.ucla.edu "));
    drop(bridge);
}

#[test]
fn an_id_of_any_bytes_has_a_topic_that_the_broker_takes() {
    let (herd, broker) = (Herd::one().start(), Broker::open());
    let (reader, bridge) = (broker.reader(), bridge_up(&herd, "Hill", &broker, &[]));
    let long = [b'x'; 64];
    let ids: [&[u8]; 9] = [
        b"a/b",
        b"+",
        b"#",
        b"$bridge",
        b"\x01\x7f\x00",
        b"\xff\xfe",
        "\u{ffff}\u{85}".as_bytes(),
        b"\"\\",
        &long,
    ];
    let mut client = herd["Hill"].client();
    for id in ids {
        client.send([b"IAMAT ", id, b" +1+1 1\n"].concat());
        assert!(client.line().starts_with(b"AT Hill "));
    }
    for topic in [
        "a%2Fb",
        "%2B",
        "%23",
        "%24bridge",
        "%01%7F%00",
        "%FF%FE",
        "%EF%BF%BF%C2%85",
        "\"\\",
        &"x".repeat(64),
    ] {
        assert_eq!(message(&reader, &format!("owntracks/herd/{topic}"))["lat"], 1, "{topic}");
    }
    assert!(!bridge.log.has("broker down"), "{}", bridge.log.tail());
}

#[test]
fn a_message_becomes_an_update_and_does_not_come_back() {
    let (herd, broker) = (Herd::pair().start(), Broker::open());
    let reader = broker.reader();
    let _bridges = [
        bridge_up(&herd, "Hill", &broker, &[]),
        // Another prefix, so this bridge does not recognize the first one's messages by their prefix.
        bridge_up(&herd, "Smith", &broker, &["--prefix", "owntracks/other"]),
    ];
    broker.publish("owntracks/ann/phone", &phone(r#","batt":50"#));
    let at = until_some("Smith knows the phone", || herd["Smith"].at("ann.phone"));
    assert!(at.contains(" ann.phone +34.06893-118.445127 1621464827"), "{at}");
    for prefix in ["owntracks/herd", "owntracks/other"] {
        assert_eq!(message(&reader, &format!("{prefix}/ann.phone"))["herd"]["id"], "ann.phone");
    }
    wait_for_all_before(&herd, &broker, &reader, "1");
    wait_for_all_before(&herd, &broker, &reader, "2");
    for id in ["herd.ann.phone", "other.ann.phone", "herd.ann%2Ephone", "other.ann%2Ephone"] {
        assert_eq!((herd["Hill"].at(id), herd["Smith"].at(id)), (None, None), "{id}");
    }
    assert!(!reader.log.has("herd.ann") && !reader.log.has("other.ann"));
    // Both bridges take it in, so the origin of the entry can change once.
    assert!(reader.log.count(" owntracks/herd/ann.phone ") <= 2);
}

#[test]
fn an_empty_broker_gets_all_positions_again() {
    let (herd, mut broker) = (Herd::one().start(), Broker::open());
    let bridge = bridge_up(&herd, "Hill", &broker, &[]);
    let mut client = herd["Hill"].client();
    for number in 0..300 {
        client.send(format!("IAMAT c{number} +1+1 {number}\n"));
    }
    for _ in 0..300 {
        assert!(client.line().starts_with(b"AT "));
    }
    counted(&bridge, "published 300");
    broker.kill();
    bridge.log.wait_for("broker down");
    herd["Hill"].ask("IAMAT c7 +2+2 1000");
    broker.launch();
    counted(&bridge, "published 600");
    let reader = broker.reader();
    assert_eq!(message(&reader, "owntracks/herd/c7")["lat"], 2);
    until("all is there", || {
        (0..300).all(|number| reader.log.count(&format!(" owntracks/herd/c{number} ")) == 1)
    });
    // The killed broker does not acknowledge the messages in flight.
    counted(&bridge, "broker_up 2");
    broker.publish("owntracks/ann/phone", &phone(""));
    until("it takes in again", || herd["Hill"].at("ann.phone").is_some());
}

#[test]
fn updates_wait_for_a_node_that_is_down() {
    let (mut herd, broker) = (Herd::pair().start(), Broker::open());
    let reader = broker.reader();
    let mut bridge = bridge_up(&herd, "Hill", &broker, &[]);
    let before = herd["Smith"].ask("IAMAT before +1+1 1");
    herd.wait_for_at("before", &before);
    message(&reader, "owntracks/herd/before");
    herd["Hill"].kill();
    bridge.log.wait_for("node down");
    broker.publish("owntracks/ann/phone", &phone(""));
    bridge.log.wait_for("updates wait");
    // The message survives a kill of the bridge: it is not acknowledged, and it is not retained.
    bridge.signal(Signal::KILL);
    bridge.wait_for_end();
    until("the will is read", || message(&reader, "owntracks/herd/$bridge/Hill")["online"] == false);
    let bridge = self::bridge(&herd, "Hill", &broker, "", &[]);
    bridge.log.wait_for("broker up");
    herd["Hill"].start();
    until("Smith knows the phone", || herd["Smith"].at("ann.phone").is_some());
    bridge.log.wait_for("node up");
    until("it is published", || reader.log.has(" owntracks/herd/ann.phone "));
    // The second bridge publishes all positions once. A restarted node adds no message.
    wait_for_all_before(&herd, &broker, &reader, "1");
    herd["Hill"].kill();
    bridge.log.wait_for("node down");
    herd["Hill"].start();
    counted(&bridge, "node_up 2");
    wait_for_all_before(&herd, &broker, &reader, "2");
    assert_eq!(reader.log.count(" owntracks/herd/before "), 2, "one of each bridge");
}

#[test]
fn malformed_messages_are_counted() {
    let (herd, broker) = (Herd::one().start(), Broker::open());
    let large = broker.folder.path("large");
    std::fs::write(&large, vec![b'['; 700_000]).expect("the folder is ours");
    // A message that the broker retains before the bridge connects.
    broker.publish_with("owntracks/large/1", &["-r", "-f", large.to_str().expect("UTF-8")]);
    let bridge = bridge_up(&herd, "Hill", &broker, &[]);
    let deep = "[".repeat(5_000);
    for (topic, message) in [
        ("owntracks/a/b", "x"),
        ("owntracks/a/b", &*deep),
        ("owntracks/a/b", r#"{"_type":"location","lat":NaN,"lon":1,"tst":1}"#),
        ("owntracks/a/b", r#"{"_type":"location","lat":90.1,"lon":1,"tst":1}"#),
        ("owntracks/a/b", r#"{"_type":"location","lat":"1","lon":1,"tst":1}"#),
        ("owntracks/a/b", r#"{"_type":"location","lat":1,"lon":1}"#),
        ("owntracks/a/b", r#"{"_type":"lwt","tst":1}"#),
        ("owntracks//b", &phone("")),
        ("owntracks/a/b", &phone(r#","herd":1"#)),
        ("owntracks/herd/x", &phone("")),
        ("owntracks/a/b", r#"{"_type":"location","lat":1,"lon":1,"tst":99999999999}"#),
    ] {
        broker.publish(topic, message);
    }
    broker.publish_with("owntracks/large/2", &["-f", large.to_str().expect("UTF-8")]);
    broker.publish_with("owntracks/a/b", &["-n"]);
    let long = format!("owntracks/{}/y", "x".repeat(60_000));
    broker.publish(&long, &phone(""));
    broker.publish("owntracks/ann/my phone", &phone(""));
    until("the right one is taken", || herd["Hill"].at("ann.my%20phone").is_some());
    for words in [
        "taken_in 1",
        "refused 1",
        "bad_json 3",
        "bad_position 2",
        "bad_time 1",
        "no_location 2",
        "of_herd 1",
        "too_large 2",
        "bad_id 2",
        "broker_up 1",
    ] {
        counted(&bridge, words);
    }
    assert_eq!((herd["Hill"].at("a.b"), bridge.log.has("broker down")), (None, false));
}

/// A PUBLISH of quality 0, or the CONNECT before it, for a broker without passwords (MQTT 3.1.1, 3.1 and 3.3).
fn packet(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let (low, high) =
        (u8::try_from(length % 128).expect("a remainder"), u8::try_from(length / 128).expect("it is short"));
    let head = if high == 0 { vec![kind, low] } else { vec![kind, low | 0x80, high] };
    [head, parts.concat()].concat()
}

#[test]
fn a_user_that_floods_its_own_topic_evicts_no_client() {
    const HONEST: usize = 3_000;
    let (herd, broker) = (Herd::one().start(), Broker::open());
    let bridge = bridge_up(&herd, "Hill", &broker, &[]);
    let mut client = herd["Hill"].client();
    let now_s =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_secs();
    let honest: String = (0..HONEST).map(|n| format!("IAMAT honest{n} +1-1 {}\n", now_s - 1)).collect();
    client.send(honest);
    (0..HONEST).for_each(|_| assert!(client.line().starts_with(b"AT Hill ")));

    let mut mallory = std::net::TcpStream::connect(broker.address).expect("the broker listens");
    let mut flood = packet(0x10, &[b"\0\x04MQTT\x04\x02\0\x3c", b"\0\x07mallory"]);
    for n in 0..5_000 {
        let topic = format!("owntracks/mallory/d{n}");
        let message = format!("{{\"_type\":\"location\",\"lat\":1,\"lon\":1,\"tst\":{}}}", now_s + 86_000);
        let length = u16::try_from(topic.len()).expect("it is short").to_be_bytes();
        flood.extend(packet(0x30, &[&length, topic.as_bytes(), message.as_bytes()]));
    }
    mallory.write_all(&flood).expect("the broker reads");
    counted(&bridge, "taken_in 16");
    broker.publish("owntracks/ann/phone", &phone(""));
    until("another user is heard", || herd["Hill"].at("ann.phone").is_some());

    let known = (0..HONEST).filter(|n| {
        client.ask(&format!("WHATSAT honest{n} 0 0")).starts_with("AT ") && {
            client.json();
            true
        }
    });
    assert_eq!(known.count(), HONEST);
    counted(&bridge, "taken_in 17");
}

#[test]
fn a_wrong_password_is_reported_and_not_shown() {
    let herd = Herd::one().start();
    let folder = Folder::new();
    let passwords = folder.path("passwords");
    let mut made = Command::new("mosquitto_passwd");
    made.arg("-b").arg("-c").arg(&passwords).args(["ann", "right-one"]);
    assert!(made.status().expect("mosquitto_passwd is installed").success());
    let broker = Broker::start(&format!("allow_anonymous false\npassword_file {}", passwords.display()));
    let password = |text: &str| {
        let file = folder.path(text);
        std::fs::write(&file, format!("{text}\n")).expect("the folder is ours");
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).expect("it is ours");
        file
    };
    let with = |file: &Path| {
        bridge(&herd, "Hill", &broker, "ann@", &["--password-file", file.to_str().expect("UTF-8")])
    };
    for process in [with(&password("wrong-one")), bridge(&herd, "Hill", &broker, "", &[])] {
        process.log.wait_for("broker down");
        process.log.wait_for("wrong user or password");
        assert!(!process.log.has("wrong-one"), "{}", process.log.tail());
    }
    let mut right = with(&password("right-one"));
    right.log.wait_for("broker up");
    assert!(!right.log.has("right-one"));
    right.signal(Signal::TERM);
    assert_eq!(right.wait_for_end(), Some(0));
}

#[test]
fn a_stopped_bridge_publishes_that_it_is_offline() {
    let (herd, broker) = (Herd::one().start(), Broker::open());
    let reader = broker.reader();
    let mut bridge = bridge_up(&herd, "Hill", &broker, &["--take-in", "none"]);
    until("it is there", || message(&reader, "owntracks/herd/$bridge/Hill")["online"] == true);
    broker.publish("owntracks/ann/phone", &phone(""));
    herd["Hill"].ask("IAMAT kiwi +1+1 1");
    message(&reader, "owntracks/herd/kiwi");
    assert_eq!(herd["Hill"].at("ann.phone"), None, "it takes nothing in");
    bridge.signal(Signal::TERM);
    assert_eq!(bridge.wait_for_end(), Some(0));
    until("it is gone", || message(&reader, "owntracks/herd/$bridge/Hill")["online"] == false);
    assert!(bridge.log.has("received SIGTERM"));
}

#[test]
fn a_refused_publication_is_reported() {
    let (herd, folder) = (Herd::one().start(), Folder::new());
    std::fs::write(folder.path("acl"), "topic read #\ntopic write owntracks/+/+\n")
        .expect("the folder is ours");
    let broker = Broker::start(&format!("allow_anonymous true\nacl_file {}", folder.path("acl").display()));
    let bridge = bridge_up(&herd, "Hill", &broker, &["--prefix", "elsewhere"]);
    herd["Hill"].ask("IAMAT kiwi +1+1 1");
    bridge.log.wait_for("the broker refuses what the bridge publishes");
    counted(&bridge, "denied 2");
}

#[test]
fn dots_of_ids_are_encoded_on_request() {
    let (herd, broker) = (Herd::one().start(), Broker::open());
    let reader = broker.reader();
    let bridge = bridge_up(&herd, "Hill", &broker, &["--encode-dots"]);
    herd["Hill"].ask("IAMAT kiwi.cs.ucla.edu +1+1 1");
    assert_eq!(message(&reader, "owntracks/herd/kiwi%2Ecs%2Eucla%2Eedu")["herd"]["id"], "kiwi.cs.ucla.edu");
    broker.publish("owntracks/ann/phone", &phone(""));
    assert_eq!(message(&reader, "owntracks/herd/ann%2Ephone")["herd"]["id"], "ann.phone");
    assert!(!reader.log.has("owntracks/herd/ann.phone") && !bridge.log.has("broker down"));
}

#[test]
fn a_users_further_devices_are_refused_and_counted() {
    let (herd, broker) = (Herd::one().start(), Broker::open());
    let bridge = bridge_up(&herd, "Hill", &broker, &["--user-devices", "2"]);
    for device in ["a", "b", "c", "a", "d", "c"] {
        broker.publish(&format!("owntracks/ann/{device}"), &phone(""));
    }
    broker.publish("owntracks/bob/a", &phone(""));
    until("another user has devices of its own", || herd["Hill"].at("bob.a").is_some());
    counted(&bridge, "taken_in 4");
    counted(&bridge, "too_many_devices 3");
    assert!(herd["Hill"].at("ann.b").is_some() && herd["Hill"].at("ann.c").is_none());
    bridge.log.wait_for("more than 2 devices");
}
