//! What subscribers are sent.

use super::*;

#[test]
fn a_ring_gives_what_it_has_in_order_and_knows_what_is_gone() {
    let mut ring = Ring::default();
    assert_eq!(ring.since(0), Some(&[][..]));
    let mut position = 0;
    let mut sent = 0_u64;
    // Past its end several times, in pieces that do not divide it.
    while sent < 5 * RING_BYTES as u64 {
        let piece: Vec<u8> = (sent..sent + 999).map(|at| (at % 251) as u8).collect();
        ring.put(&piece);
        sent += 999;
        while let Some(bytes) = ring.since(position).filter(|bytes| !bytes.is_empty()) {
            assert!(bytes.iter().zip(position..).all(|(&byte, at)| byte == (at % 251) as u8));
            position += bytes.len() as u64;
        }
        assert_eq!(position, sent);
    }
    ring.put(&vec![0; RING_BYTES]);
    assert_eq!(ring.since(position).map(<[u8]>::len).map(|len| len > 0), Some(true));
    ring.put(b"x");
    assert_eq!(ring.since(position), None);
}

#[test]
fn subscribers_are_counted() {
    let events = EventRing::default();
    let mut taken: Vec<RingReader> = std::iter::from_fn(|| events.join(Subscriber::Http)).collect();
    assert_eq!((taken.len(), events.lost_and_refused()), (SUBSCRIBERS_MAX, (0, 1)));
    assert!(events.join(Subscriber::Local).is_some(), "local subscribers have a limit of their own");
    taken.pop();
    assert!(events.join(Subscriber::Http).is_some());
    drop(taken);
    assert_eq!(events.subscribers(), 0);
}

#[test]
fn a_watcher_is_let_go_when_the_map_changes_or_it_falls_behind() {
    let events = EventRing::default();
    let mut reader = events.join(Subscriber::Http).expect("there is room");
    events.tell("status", "{}\n");
    let expected = b"event: status\ndata: {}\n\n";
    assert_eq!(reader.next(|bytes| bytes == expected), Next::Sent(true));
    reader.sent(expected.len());
    assert_eq!(reader.next(<[u8]>::len), Next::Nothing);
    events.renew();
    assert_eq!((reader.next(<[u8]>::len), events.lost_and_refused().0), (Next::Lost, 1));
    let late = events.join(Subscriber::Http).expect("there is room");
    assert_eq!(late.next(<[u8]>::len), Next::Nothing);
}

#[test]
fn a_page_has_an_address_that_a_browser_can_open() {
    let node = |links: &str, http: Option<&str>| {
        let address = |text: &str| text.parse().expect("an address");
        let endpoint = |text: &str| {
            text.parse().map_or_else(|_| Endpoint::named(text).expect("a name"), Endpoint::Address)
        };
        Address {
            name: "Hill".to_owned(),
            clients: address("0.0.0.0:1"),
            links: endpoint(links),
            http: http.map(address),
            phones: None,
        }
    };
    let me = node("192.0.2.1:9", None);
    for (links, http, page) in [
        ("192.0.2.2:9", None, None),
        ("192.0.2.2:9", Some("192.0.2.3:80"), Some("192.0.2.3:80")),
        ("192.0.2.2:9", Some("0.0.0.0:80"), Some("192.0.2.2:80")),
        ("[2001:db8::1]:9", Some("[::]:80"), Some("[2001:db8::1]:80")),
        ("0.0.0.0:9", Some("0.0.0.0:80"), None),
        ("192.0.2.2:9", Some("127.0.0.1:80"), None),
        ("Smith.local:9", Some("0.0.0.0:80"), Some("smith.local:80")),
        ("smith.local:9", Some("192.0.2.3:80"), Some("192.0.2.3:80")),
        ("192.0.2.1:9", Some("127.0.0.1:80"), Some("127.0.0.1:80")),
        ("192.0.2.1:9", Some("[::ffff:127.0.0.1]:80"), Some("127.0.0.1:80")),
    ] {
        let found = page_of(&node(links, http), &me).map(|at| at.to_string());
        assert_eq!(found.as_deref(), page, "{links} {http:?}");
    }
}

#[test]
fn ids_that_are_not_text_stay_different() {
    let events_of = |line: &[u8]| {
        let mut event = Vec::new();
        put_entry(line, |part| event.extend_from_slice(part));
        String::from_utf8(event).expect("UTF-8")
    };
    let mut seen = Vec::new();
    for (id, text) in
        [(&b"caf\xe9"[..], "caf%E9"), (b"caf\xe8", "caf%E8"), (b"caf%E9", "caf%25E9"), (b"a", "a")]
    {
        let line = [b"AT Hill +0.2 ", id, b" +34.0-118.4 1621464827.9 12"].concat();
        assert_eq!(events_of(&line), format!("data: AT Hill +0.2 {text} +34.0-118.4 1621464827.9 12\n\n"));
        assert!(!seen.contains(&text));
        seen.push(text);
    }
    let longest =
        [b"AT Hill +0.2 ".to_vec(), vec![0xff; CLIENT_ID_BYTES_MAX], b" +1+1 1 1".to_vec()].concat();
    assert!(events_of(&longest).len() <= DATA.len() + ENTRY_BYTES_MAX + END.len());
}
