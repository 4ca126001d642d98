//! Tables and properties of the fields: one row for each case.

use super::*;
use proptest::prelude::*;

#[test]
fn white_space_is_six_bytes() {
    let white: Vec<u8> = (0..=255).filter(|&byte| is_white_space(byte)).collect();
    assert_eq!(white, [b'\t', b'\n', 0x0b, 0x0c, b'\r', b' ']);
    let line = b" \tIAMAT\x0b\x0ca\xc2\xa0b \x1c\r";
    assert_eq!(fields(line).collect::<Vec<_>>(), [&b"IAMAT"[..], b"a\xc2\xa0b", b"\x1c"]);
}

#[test]
fn client_ids_are_1_to_64_bytes() {
    assert_eq!(ClientId::parse(b""), None);
    assert!(ClientId::parse(&[0xff; 64]).is_some());
    assert_eq!(ClientId::parse(&[b'a'; 65]), None);
    assert_eq!(ClientId::parse(b"a b"), None);
}

#[test]
fn positions_follow_the_grammar() {
    let right = [
        "+34.068930-118.445127",
        "+1+1",
        "-0-0",
        "+90-180",
        "+90.000+180.0",
        "-90.00000000000000000-180.0000000000000000000000",
        "+05.5+005.5",
    ];
    for text in right {
        assert!(Position::parse(text.as_bytes()).is_some(), "{text}");
    }
    let wrong = [
        "",
        "+",
        "34.0-118.0",
        "+34.0",
        "+34.0-",
        "+34.0-118.4/",
        "+34.0-118.4+10",
        "+34.-118.4",
        "+.5+1",
        "+90.1+0",
        "+91+0",
        "+0+180.01",
        "+0+181",
        "+034+1",
        "+1+1000",
        "+1e1+1",
        "+34,5+1",
        "+nan+1",
        "++34+1",
        "+34.0--118",
        "+34.0-118.4451270000000000000000000000000000000000",
        "\u{2212}34+1",
    ];
    for text in wrong {
        assert_eq!(Position::parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn positions_give_their_degrees() {
    let degrees = |text: &str| Position::parse(text.as_bytes()).map(|position| position.degrees());
    assert_eq!(degrees("+34.068930-118.445127"), Some((34.068_93, -118.445_127)));
    assert_eq!(degrees("-90+180.0"), Some((-90.0, 180.0)));
    assert_eq!(degrees("-0.5-0"), Some((-0.5, -0.0)));
}

#[test]
fn times_follow_the_grammar() {
    for text in ["0", "1621464827.959498503", "-1.5", "0001", "99999999999999999999999999999999", "-0"] {
        assert!(ClientTime::parse(text.as_bytes()).is_some(), "{text}");
    }
    let wrong = [
        "",
        "-",
        ".5",
        "5.",
        "+5",
        "1e9",
        "nan",
        "inf",
        "1_000",
        "0x10",
        "1.2.3",
        "--1",
        "1-",
        "123456789012345678901234567890123",
    ];
    for text in wrong {
        assert_eq!(ClientTime::parse(text.as_bytes()), None, "{text}");
    }
}

fn time(text: &str) -> ClientTime {
    ClientTime::parse(text.as_bytes()).expect("a time of the table is right")
}

#[test]
fn times_compare_to_the_nanosecond() {
    let rising = [
        "-9999999999999999999999999999999",
        "-9999999999999999999999999999998",
        "-10000000000",
        "-1.000000001",
        "-1",
        "-0.000000001",
        "0",
        "0.000000001",
        "1621464827.959498503",
        "1621464827.959498504",
        "9999999999",
        "10000000000",
        "99999999999999999999999999999998",
        "99999999999999999999999999999999",
    ];
    for (i, a) in rising.iter().enumerate() {
        for (j, b) in rising.iter().enumerate() {
            assert_eq!(time(a).compare(&time(b)), i.cmp(&j), "{a} against {b}");
        }
    }
    assert_eq!(time("1").compare(&time("1.0000000009")), Ordering::Equal);
    assert_ne!(time("1").compare_text(&time("1.0")), Ordering::Equal);
}

fn skew_text(skew: Seconds) -> String {
    let mut bytes = [0; 64];
    let mut out = Out::new(&mut bytes);
    skew.put_skew(&mut out);
    String::from_utf8(out.written().to_vec()).expect("ASCII")
}

#[test]
fn skews_are_signed_and_have_nine_digits() {
    let second = 1_000_000_000;
    let table = [
        (1_621_464_828_223_371_889, "1621464827.959498503", "+0.263873386"),
        (0, "0", "+0.000000000"),
        (0, "0.5", "-0.500000000"),
        (second, "2.25", "-1.250000000"),
        (2 * second, "3", "-1.000000000"),
        (-second / 2, "-1.25", "+0.750000000"),
        (0, "99999999999999999999999999999999", "-99999999999999999999999999999999.000000000"),
        (second, "-99999999999999999999999999999.9", "+100000000000000000000000000000.900000000"),
    ];
    for (wall, client, expected) in table {
        let skew = Seconds::of_wall(Timestamp(wall)).minus(time(client).seconds());
        assert_eq!(skew_text(skew), expected, "wall {wall}, client {client}");
        assert!(expected.len() <= super::super::limits::SKEW_BYTES_MAX);
    }
}

#[test]
fn skews_read_back_only_as_they_are_written() {
    for wrong in [
        "",
        "0.263873386",
        "+0.26387338",
        "+0.2638733860",
        "+.263873386",
        "+00.263873386",
        "+1",
        "+1.00000000x",
        "-0.000000000",
    ] {
        assert_eq!(Seconds::parse_skew(wrong.as_bytes()), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn skew_and_time_give_the_wall_clock_back(wall in any::<i64>(), client in "-?[0-9]{1,20}(\\.[0-9]{1,10})?") {
        let client = time(&client).seconds();
        let text = skew_text(Seconds::of_wall(Timestamp(wall)).minus(client));
        let skew = Seconds::parse_skew(text.as_bytes()).expect("as it was written");
        prop_assert_eq!(skew.plus(client).to_wall(), Some(Timestamp(wall)));
        prop_assert_eq!(skew_text(skew), text);
    }

    #[test]
    fn parsers_never_panic(field in proptest::collection::vec(any::<u8>(), 0..80)) {
        let _ = ClientId::parse(&field);
        let _ = Position::parse(&field).map(|position| position.degrees());
        let _ = ClientTime::parse(&field);
        let _ = Seconds::parse_skew(&field);
        let _ = Radius::parse(&field);
        let _ = ItemLimit::parse(&field);
    }
}

#[test]
fn radii_and_item_counts_have_their_bounds() {
    let metres = |text: &str| Radius::parse(text.as_bytes()).map(Radius::metres);
    assert_eq!(metres("10"), Some(10_000.0));
    assert_eq!(metres("0"), Some(0.0));
    assert_eq!(metres("0.5"), Some(500.0));
    assert_eq!(metres("50.000"), Some(50_000.0));
    assert_eq!(metres("0010.25"), Some(10_250.0));
    for wrong in [
        "",
        "51",
        "50.0000000000001",
        "-1",
        "+1",
        "1.",
        ".5",
        "1e1",
        "inf",
        "4294967296",
        "99999999999999999999999999999999999999999999",
    ] {
        assert_eq!(metres(wrong), None, "{wrong}");
    }
    let items = |text: &str| ItemLimit::parse(text.as_bytes()).map(ItemLimit::get);
    assert_eq!(items("0"), Some(0));
    assert_eq!(items("20"), Some(20));
    assert_eq!(items("005"), Some(5));
    for wrong in ["", "21", "-1", "+1", "5.0", "256", "999999999999999999999999999999999999999999"] {
        assert_eq!(items(wrong), None, "{wrong}");
    }
}
