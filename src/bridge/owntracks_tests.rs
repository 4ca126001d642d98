//! Messages and lines, right and wrong.

use proptest::prelude::*;

use super::*;

const LINE: &str = "AT Hill +0.263873386 kiwi.cs.ucla.edu +34.068930-118.445127 1621464827.959498503 12";

#[test]
fn an_entry_becomes_a_location() {
    for (line, message) in [
        (
            LINE.as_bytes(),
            "{\"_type\":\"location\",\"lat\":34.06893,\"lon\":-118.445127,\"tst\":1621464827,\"tid\":\"du\",\
             \"created_at\":7,\"herd\":{\"id\":\"kiwi.cs.ucla.edu\",\"origin\":\"Hill\",\"skew\":\"+0.263873386\",\
             \"position\":\"+34.068930-118.445127\",\"time\":\"1621464827.959498503\"}}",
        ),
        (
            b"AT Hill -0.5 \"%FF +05.5-0 -0.5",
            "{\"_type\":\"location\",\"lat\":5.5,\"lon\":-0,\"tst\":-1,\"tid\":\"FF\",\"created_at\":7,\
             \"herd\":{\"id\":\"\\\"%FF\",\"origin\":\"Hill\",\"skew\":\"-0.5\",\"position\":\"+05.5-0\",\"time\":\"-0.5\"}}",
        ),
    ] {
        let entry = Entry::parse(line).expect("an entry");
        assert_eq!(entry.message(7), message);
        serde_json::from_str::<Value>(message).expect("JSON");
    }
}

#[test]
fn an_entry_is_the_same_whatever_its_age() {
    let entry = Entry::parse(LINE.as_bytes()).expect("an entry");
    assert_eq!((&*entry.id, entry.content), (&b"kiwi.cs.ucla.edu"[..], &LINE.as_bytes()[..LINE.len() - 3]));
    assert_eq!(Entry::parse(entry.content).expect("without its age").content, entry.content);
    for wrong in [
        "",
        "AT",
        "AT Hill +0.2 kiwi +34-118",
        "? Hill +0.2 kiwi +34-118 1 2",
        "AT Hill +0.2 kiwi +34-118 1 2 3",
        "AT Hill +0.2 kiwi +94-118 1 2",
        "AT Hill +0.2 kiwi +34-118 x 2",
        "AT Hill +0.2  +34-118 1 2",
        "AT Hill +0.2 100% +34-118 1 2",
        "AT Hill +0.2 a%20b +34-118 1 2",
    ] {
        assert_eq!(Entry::parse(wrong.as_bytes()), None, "{wrong}");
    }
}

#[test]
fn a_location_becomes_a_report() {
    for (members, expected) in [
        (r#""lat":34.06893,"lon":-118.445127,"tst":1621464827"#, Ok("+34.06893-118.445127 1621464827")),
        (r#""acc":7,"tst":5,"lat":1,"lon":-0.0,"batt":50,"x":[{}]"#, Ok("+1-0 5")),
        (r#""lat":1e-300,"lon":1.0000000004,"tst":-1"#, Ok("+0+1 -1")),
        (r#""lat":-90,"lon":180,"tst":1.5"#, Ok("-90+180 1.5")),
        (r#""lat":90.0000001,"lon":180,"tst":1"#, Err(Count::BadPosition)),
        (r#""lat":90,"lon":-180.1,"tst":1"#, Err(Count::BadPosition)),
        (r#""lat":"NaN","lon":1,"tst":1"#, Err(Count::BadPosition)),
        (r#""lat":null,"lon":1,"tst":1"#, Err(Count::BadPosition)),
        (r#""lon":1,"tst":1"#, Err(Count::BadPosition)),
        (r#""lat":NaN,"lon":1,"tst":1"#, Err(Count::BadJson)),
        (r#""lat":1e999,"lon":1,"tst":1"#, Err(Count::BadJson)),
        (r#""lat":1,"lon":1"#, Err(Count::BadTime)),
        (r#""lat":1,"lon":1,"tst":"1""#, Err(Count::BadTime)),
        (r#""lat":1,"lon":1,"tst":1e300"#, Err(Count::BadTime)),
        (r#""lat":1,"lon":1,"tst":1,"herd":{}"#, Err(Count::OfHerd)),
        (r#""lat":1,"lon":1,"tst":1,"herd":null"#, Err(Count::OfHerd)),
        (r#""lat":1,"lon":1,"tst":1,"_type":"waypoint""#, Err(Count::NoLocation)),
    ] {
        let message = format!("{{\"_type\":\"location\",{members}}}");
        let expected = expected.map(|rest| format!("IAMAT ann.phone {rest}"));
        assert_eq!(update("owntracks/ann/phone", message.as_bytes()), expected, "{message}");
    }
}

#[test]
fn other_messages_are_not_locations() {
    let (deep, large) =
        ("[".repeat(5000), format!("{{\"_type\":\"location\"}}{}", " ".repeat(MESSAGE_BYTES_MAX)));
    let right = r#"{"_type":"location","lat":1,"lon":1,"tst":1}"#;
    for (topic, message, expected) in [
        ("owntracks/ann/phone", "", Count::NoLocation),
        ("owntracks/ann/phone", "{}", Count::NoLocation),
        ("owntracks/ann/phone", r#"{"_type":"lwt","tst":1}"#, Count::NoLocation),
        ("owntracks/ann/phone", r#"{"_type":"encrypted","data":"x"}"#, Count::NoLocation),
        ("owntracks/ann/phone", "x", Count::BadJson),
        ("owntracks/ann/phone", "[]", Count::BadJson),
        ("owntracks/ann/phone", "{\"_type\":\"location\"", Count::BadJson),
        ("owntracks/ann/phone", &deep, Count::BadJson),
        ("owntracks/ann/phone", &large, Count::TooLarge),
        ("phone", right, Count::BadId),
        ("owntracks//phone", right, Count::BadId),
    ] {
        assert_eq!(update(topic, message.as_bytes()), Err(expected), "{topic} {message:.60}");
    }
    assert_eq!(update("o/a/b", b"{\"_type\":\"location\",\"lat\":1,\"lon\":\"\xff\"}"), Err(Count::BadJson));
}

proptest! {
    #[test]
    fn no_message_panics(topic in "\\PC{0,40}", message in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = update(&topic, &message);
        let _ = Entry::parse(&message);
    }

    #[test]
    fn a_report_is_one_that_a_node_takes(lat in -90.0..=90.0f64, lon in -180.0..=180.0f64, tst in -99_999_999_999..=99_999_999_999_i64) {
        let message = format!("{{\"_type\":\"location\",\"lat\":{lat:?},\"lon\":{lon:?},\"tst\":{tst}}}");
        let line = update("o/a/b", message.as_bytes()).expect("it is right");
        let fields: Vec<&str> = line.split(' ').collect();
        let (lat_deg, lon_deg) = Position::parse(fields[2].as_bytes()).expect("a position").degrees();
        prop_assert!((lat_deg - lat).abs() < 1e-9 && (lon_deg - lon).abs() < 1e-9);
        prop_assert_eq!(fields[3], tst.to_string());
    }

    #[test]
    fn what_a_bridge_publishes_no_bridge_takes_in(id in "[!-$&-~]{1,64}") {
        let line = format!("AT Hill +0.2 {id} +34.5-118.25 17.5 3");
        let message = Entry::parse(line.as_bytes()).expect("an entry").message(1);
        prop_assert_eq!(update("somewhere/else/x", message.as_bytes()), Err(Count::OfHerd));
    }
}
