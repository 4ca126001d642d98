//! What a client sees, byte for byte as PROTOCOL.md has it: each test is a sentence of that document.
//! What crowds of clients may do to a node is in `crowds`.

mod crowds;

use herd_test_support::{Client, Dice, Herd, KIWI, Node, exchange, is_skew, now_ns, tables};

/// Seconds and nanoseconds, the latter added to the former: exact where nanoseconds alone would not fit 128 bits.
type Exact = (i128, i128);

const NS: i128 = 1_000_000_000;

fn minus(a: Exact, b: Exact) -> Exact {
    let nanoseconds = a.1 - b.1;
    (a.0 - b.0 + nanoseconds.div_euclid(NS), nanoseconds.rem_euclid(NS))
}

/// A number of seconds as a client writes it, cut to the nanosecond.
fn exact(text: &str) -> Exact {
    let number = text.trim_start_matches(['+', '-']);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let nine: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let value = (whole.parse().expect("digits"), nine.parse().expect("digits"));
    if text.starts_with('-') { minus((0, 0), value) } else { value }
}

/// The skew of an AT line, checked for its form.
fn skew(at: &str, origin: &str, copied: &str) -> Exact {
    let fields = at.strip_prefix(&format!("AT {origin} ")).unwrap_or_else(|| panic!("{at}"));
    let (skew, rest) = fields.split_once(' ').expect("fields follow the skew");
    assert_eq!(rest, copied, "the fields are copied digit for digit");
    assert!(is_skew(skew), "{at}");
    exact(skew)
}

#[test]
fn iamat_form() {
    let herd = Herd::one().start();
    let before = now_ns();
    let at = herd["Hill"].ask(KIWI);
    let after = now_ns();
    let skew = skew(&at, "Hill", KIWI.strip_prefix("IAMAT ").expect("it is one"));
    let clock = minus(skew, exact("-1621464827.959498503"));
    let clock_ns = clock.0 * NS + clock.1;
    assert!((before..=after).contains(&clock_ns), "{at}: between {before} and {after}");
}

#[test]
fn skew_exact() {
    let herd = Herd::one().start();
    let ahead = (now_ns() / NS + 86_000).to_string();
    for time in tables::TIMES.iter().copied().chain([ahead.as_str()]) {
        // The clock is read with time 0 before and after, in one and the same write.
        let mut client = herd["Hill"].client();
        client.send(format!("IAMAT a +1-1 0\nIAMAT b +1-1 {time}\nIAMAT c +1-1 0\n"));
        let mut next = |id: &str, time: &str| {
            let at = String::from_utf8(client.line()).expect("it is ASCII");
            skew(&at, "Hill", &format!("{id} +1-1 {time}"))
        };
        let (early, skew, late) = (next("a", "0"), next("b", time), next("c", "0"));
        let (least, most) = (minus(early, exact(time)), minus(late, exact(time)));
        assert!(least <= skew && skew <= most, "{time}: {least:?} <= {skew:?} <= {most:?}");
    }
}

#[test]
fn time_ahead() {
    let herd = Herd::one().start();
    let soon = (now_ns() / NS + 86_400 + 600).to_string();
    for time in [soon.as_str(), "9999999999", &"9".repeat(32), "9223372036.854775808"] {
        let line = format!("IAMAT kiwi +1-1 {time}");
        assert_eq!(herd["Hill"].ask(&line), format!("? {line}"));
    }
    assert_eq!(herd["Hill"].at("kiwi"), None);
}

/// Kilometres between two positions in degrees, on a ball.
fn distance_km(a: (f64, f64), b: (f64, f64)) -> f64 {
    let half = |x: f64, y: f64| ((y - x).to_radians() / 2.0).sin().powi(2);
    let h = half(a.0, b.0) + a.0.to_radians().cos() * b.0.to_radians().cos() * half(a.1, b.1);
    2.0 * 6371.0 * h.sqrt().asin()
}

#[test]
fn whatsat_form() {
    let herd = Herd::one().start();
    let at = herd["Hill"].ask(KIWI);
    for (radius, items) in
        [("10", 5), ("50", 20), ("50.000", 20), ("2.5", 3), ("0", 0), ("0.001", 20), ("50", 1)]
    {
        let query = format!("WHATSAT kiwi.cs.ucla.edu {radius} {items}");
        let answer = exchange(herd["Hill"].clients, query.as_bytes());
        let answer = String::from_utf8(answer).expect("it is UTF-8");
        let json = answer.strip_prefix(&format!("{at}\n")).unwrap_or_else(|| panic!("{answer}"));
        let json = json.strip_suffix("\n\n").unwrap_or_else(|| panic!("{answer:?}"));
        assert!(!json.ends_with('\n') && !json.contains("\n\n"), "{answer:?}");
        let reply = herd_test_support::json(json);
        let results = reply["results"].as_array().expect("results is an array");
        assert!(results.len() <= items, "{} for {items}", results.len());
        let status = reply["status"].as_str().expect("status is text");
        assert!(matches!((status, results.len()), ("OK", 1..) | (_, 0)), "{json}");
        let distances: Vec<f64> = results
            .iter()
            .map(|place| {
                let location = &place["geometry"]["location"];
                let degrees = |member: &str| location[member].as_f64().expect("degrees");
                distance_km((34.068930, -118.445127), (degrees("lat"), degrees("lng")))
            })
            .collect();
        assert!(distances.is_sorted_by(|a, b| a <= &(b + 0.01)), "nearest first: {distances:?}");
        let radius_km: f64 = radius.parse().expect("a number");
        assert!(distances.iter().all(|km| *km <= radius_km + 0.01 + radius_km / 200.0), "{distances:?}");
        if radius == "10" {
            assert_eq!((results.len(), status), (5, "OK"), "there are five places around UCLA");
        }
    }
}

/// Sends lines on one connection, each with its LF, and checks the copies that come back.
fn are_copied_back(node: &Node, lines: &[&[u8]]) {
    let mut client = node.client();
    for line in lines {
        client.send([line, &b"\n"[..]].concat());
        let answer = client.raw_line();
        let expected = [b"? ", *line, b"\n"].concat();
        assert_eq!(answer.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
    assert!(client.ask("IAMAT after +1-1 0").starts_with("AT Hill "), "the connection goes on");
}

#[test]
fn invalid_copied_back() {
    let herd = Herd::one().start();
    are_copied_back(&herd["Hill"], tables::INVALID);
}

/// Everything that the node sends until it closes.
fn all_of(node: &Node, sent: String) -> String {
    let mut client = node.client();
    client.send(sent);
    String::from_utf8(client.rest()).expect("the command was UTF-8")
}

#[test]
fn speaks_http() {
    let herd = Herd::one().start();
    let node = &herd["Hill"];
    let body = "IAMAT web +0+0 1\n".repeat(2_000);
    for (first, answer) in [
        ("POST / HTTP/1.1\r", "? POST / HTTP/1.1\r\n"),
        ("Host: 127.0.0.1:8001\r", "? Host: 127.0.0.1:8001\r\n"),
        ("IAMAT kiwi +1+1 1\nGET /kiwi HTTP/1.1", " kiwi +1+1 1\n? GET /kiwi HTTP/1.1\n"),
    ] {
        let got = all_of(node, format!("{first}\n{body}"));
        assert!(got.ends_with(answer) && got.lines().count() == answer.lines().count(), "{first}: {got}");
    }
    let long = format!("GET /{} HTTP/1.1\r", "x".repeat(20_000));
    assert_eq!(all_of(node, format!("{long}\n{body}")), format!("? {long}\n"));
    assert_eq!(node.ask("WHATSAT web 1 1"), "? WHATSAT web 1 1");
}

#[test]
fn field_bounds() {
    let herd = Herd::one().start();
    let node = &herd["Hill"];
    node.ask(KIWI);
    let with = |template: &str, field: &str| template.replace('#', field);
    for (template, fields) in tables::WITHIN_BOUNDS {
        for field in *fields {
            let line = with(template, field);
            let answer = node.ask(&line);
            assert!(answer.starts_with("AT Hill "), "{line}: {answer}");
        }
    }
    for (template, fields) in tables::OUT_OF_BOUNDS {
        let lines: Vec<String> = fields.iter().map(|field| with(template, field)).collect();
        are_copied_back(node, &lines.iter().map(String::as_bytes).collect::<Vec<_>>());
    }
}

#[test]
fn white_space() {
    let herd = Herd::one().start();
    let mut client = herd["Hill"].client();
    client.send(b" \t\x0b\x0c\rIAMAT\tkiwi\x0b \x0c+34-118\r 7 \r\n");
    skew(&String::from_utf8(client.line()).expect("it is ASCII"), "Hill", "kiwi +34-118 7");
    let (at, _) = client.whatsat("WHATSAT\x0ckiwi\r0\t 0\r");
    skew(&at, "Hill", "kiwi +34-118 7");
}

#[test]
fn id_any_byte() {
    let herd = Herd::one().start();
    let mut client = herd["Hill"].client();
    let bytes = (0..=255_u8).filter(|byte| !b" \t\r\n\x0b\x0c".contains(byte));
    let ids = bytes.map(|byte| vec![byte]).chain([
        "kiwi-\u{fc}\u{1f95d}\u{a0}\u{feff}".as_bytes().to_vec(),
        vec![b'x'; 64],
        vec![0xff; 64],
        b"IAMAT".to_vec(),
    ]);
    for id in ids {
        client.send([b"IAMAT ", &id[..], b" +1-1 5\n"].concat());
        let at = client.raw_line();
        let copied = [b" ", &id[..], b" +1-1 5\n"].concat();
        assert!(at.starts_with(b"AT Hill +") && at.ends_with(&copied), "{}", at.escape_ascii());
        client.send([b"WHATSAT ", &id[..], b" 0 0\n"].concat());
        assert_eq!(client.raw_line().escape_ascii().to_string(), at.escape_ascii().to_string());
        client.json();
    }
    for length in [65, 66, 128, 900] {
        let line = format!("IAMAT {} +1-1 5", "x".repeat(length));
        assert_eq!(client.ask(&line), format!("? {line}"));
    }
}

#[test]
fn iamat_older() {
    let herd = Herd::one().start();
    let node = &herd["Hill"];
    let newer = node.ask("IAMAT kiwi +34-118 100.000000001");
    for older in ["100", "100.000000000", "99.9999999999", "-5"] {
        let at = node.ask(&format!("IAMAT kiwi +35-119 {older}"));
        skew(&at, "Hill", &format!("kiwi +35-119 {older}"));
        assert_eq!(node.at("kiwi").as_ref(), Some(&newer));
    }
    let newest = node.ask("IAMAT kiwi +36-120 100.000000002");
    assert_eq!(node.at("kiwi"), Some(newest));
}

#[test]
fn pipelined_commands() {
    let herd = Herd::one().start();
    let mut client = herd["Hill"].client();
    let command = |i: u32| match i % 10 {
        9 => format!("WHATSAT p{} 1 1", i - 1),
        5 => format!("nonsense  {i}"),
        _ => format!("IAMAT p{i} +34-118 {i}"),
    };
    let all: String = (0..1000).map(|i| command(i) + "\n").collect();
    let socket = client.socket().try_clone().expect("descriptors are left");
    std::thread::scope(|scope| {
        scope.spawn(move || std::io::Write::write_all(&mut &socket, all.as_bytes()).expect("the node reads"));
        let mut stored = String::new();
        for i in 0..1000 {
            let answer = String::from_utf8(client.line()).expect("it is ASCII");
            match i % 10 {
                9 => {
                    assert_eq!(answer, stored, "the stored line of the command before");
                    client.json();
                }
                5 => assert_eq!(answer, format!("? nonsense  {i}")),
                _ => assert!(answer.ends_with(&format!(" p{i} +34-118 {i}")), "{i}: {answer}"),
            }
            stored = answer;
        }
    });
}

#[test]
fn half_closed() {
    let herd = Herd::one().start();
    let node = &herd["Hill"];
    let at = node.ask(KIWI);
    // The last line has no LF: the end of input ends it.
    for last in ["WHATSAT kiwi.cs.ucla.edu 0 0", "WHATSAT kiwi.cs.ucla.edu 0 0\n"] {
        let input = format!("x\n{}{last}", "WHATSAT kiwi.cs.ucla.edu 0 0\n".repeat(50));
        let answer = String::from_utf8(exchange(node.clients, input.as_bytes())).expect("it is UTF-8");
        assert!(answer.starts_with("? x\nAT ") && answer.ends_with("}\n\n"), "{answer}");
        assert_eq!(answer.matches(&at).count(), 51);
    }
    for (input, answer) in [("x", "? x\n"), ("x\n", "? x\n"), ("\n\n", "? \n? \n"), ("", ""), (" ", "?  \n")]
    {
        assert_eq!(String::from_utf8_lossy(&exchange(node.clients, input.as_bytes())), answer);
    }
}

#[test]
fn byte_at_a_time() {
    let herd = Herd::one().start();
    let mut client = herd["Hill"].client();
    for byte in format!("{KIWI}\nWHATSAT kiwi.cs.ucla.edu 0 0\n b\u{e4}d\r\n").bytes() {
        client.send([byte]);
    }
    let at = client.line();
    assert!(at.starts_with(b"AT Hill +"));
    assert_eq!(client.line(), at);
    client.json();
    assert_eq!(client.line(), "?  b\u{e4}d\r".as_bytes());
}

#[test]
fn megabyte_line() {
    const LONG: usize = 1024 * 1024;
    let herd = Herd::one().start();
    let node = &herd["Hill"];
    node.ask(KIWI);
    let before_kib = node.anonymous_kib();
    let mut client = node.client();
    let line: Vec<u8> = Dice::new(1).bytes(LONG).into_iter().map(|byte| byte | 0x10).collect();
    let socket = client.socket().try_clone().expect("descriptors are left");
    let mut copy = vec![0; 2 + LONG];
    std::thread::scope(|scope| {
        scope.spawn(|| std::io::Write::write_all(&mut &socket, &line).expect("the node reads"));
        client.read_exact(&mut copy);
    });
    // The line has not ended, so its copy is all that the node can have let go of.
    let grown_kib = node.grown_kib(before_kib);
    assert!(grown_kib < 1024, "{grown_kib} KiB more");
    assert!(copy.starts_with(b"? ") && copy[2..] == line, "the copy is exact");
    client.send("\n");
    assert_eq!(client.raw_line(), b"\n");
    assert!(client.ask(KIWI).starts_with("AT Hill "), "the connection goes on");
}

#[test]
fn line_over_limit() {
    let herd = Herd::one().start();
    for blanks in [900, 1023, 1024, 1025, 4094, 4095, 4096, 4097, 5119, 5120, 5121, 20_000] {
        let long = format!("IAMAT{}kiwi +1-1 0", " ".repeat(blanks));
        let answer = exchange(herd["Hill"].clients, format!("{long}\n{KIWI}\n{long}").as_bytes());
        let answer = String::from_utf8(answer).expect("it is ASCII");
        let lines: Vec<&str> = answer.split_terminator('\n').collect();
        assert_eq!(lines.len(), 3, "{blanks}");
        let copy = format!("? {long}");
        let is_valid = blanks == 900;
        for line in [lines[0], lines[2]] {
            assert!(if is_valid { line.starts_with("AT ") } else { line == copy }, "{blanks}: {line}");
        }
        assert!(lines[1].starts_with("AT Hill +"), "{blanks}");
    }
}

#[test]
fn random_bytes() {
    let herd = Herd::one().start();
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let mut input = dice.bytes(50_000);
        if seed % 2 == 0 {
            // Some with short lines, some with whatever chance gives.
            input.iter_mut().filter(|byte| **byte < 16).for_each(|byte| *byte = b'\n');
        }
        let mut expected = Vec::new();
        for line in input.split_inclusive(|byte| *byte == b'\n') {
            expected.extend_from_slice(b"? ");
            expected.extend_from_slice(line.strip_suffix(b"\n").unwrap_or(line));
            expected.push(b'\n');
        }
        assert!(exchange(herd["Hill"].clients, &input) == expected, "seed {seed}");
    }
    assert!(herd["Hill"].ask(KIWI).starts_with("AT Hill "));
}

#[test]
fn breaks_off_anywhere() {
    let herd = Herd::one().start();
    let input = format!("{KIWI}\nWHATSAT kiwi.cs.ucla.edu 50 20\nx\n").repeat(20);
    for length in (0..input.len()).step_by(37) {
        let mut client = herd["Hill"].client();
        client.send(&input[..length]);
        drop(client);
    }
    assert!(Client::connect(herd["Hill"].clients).ask(KIWI).starts_with("AT Hill "));
}
