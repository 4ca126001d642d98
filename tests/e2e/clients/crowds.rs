//! Many clients, slow clients, and clients that do not read: none of them is the others' concern.

use std::io::Write;

use herd_test_support::{Client, Herd, KIWI, Node, allow_many_files, until};

/// Descriptors that a test needs beside its clients.
const SPARE: u64 = 300;

/// A client among others gets its answers.
fn is_served(node: &Node) {
    let mut client = node.client();
    assert!(client.ask(KIWI).starts_with("AT Hill "));
    let (at, json) = client.whatsat("WHATSAT kiwi.cs.ucla.edu 10 5");
    assert!(at.starts_with("AT Hill ") && json.contains("\"OK\""), "{at} {json}");
}

#[test]
fn whatsats_interleave() {
    let herd = Herd::one().start();
    let node = &herd["Hill"];
    node.ask(KIWI);
    let mut other = node.client();
    let has_overtaken = |other: &mut Client| {
        let mut asker = node.client();
        asker.send("WHATSAT kiwi.cs.ucla.edu 50 20\n".repeat(200) + "the last\n");
        let _ = asker.json();
        other.ask(KIWI);
        // The asker cannot have got its last answer while it has not yet been sent.
        asker.socket().set_nonblocking(true).expect("the socket is open");
        let mut waiting = vec![0; 4 << 20];
        let count = asker.socket().peek(&mut waiting).unwrap_or(0);
        !waiting[..count].ends_with(b"? the last\n")
    };
    until("a client overtakes another's WHATSATs", || has_overtaken(&mut other));
}

#[test]
fn idle_and_slow() {
    let herd = Herd::one().start();
    let node = &herd["Hill"];
    let idle_count = allow_many_files().saturating_sub(300 + SPARE).min(2000);
    is_served(node);
    let before_kib = node.anonymous_kib();
    let mut idle: Vec<Client> = (0..idle_count).map(|_| node.client()).collect();
    let mut slow: Vec<Client> = (0..300).map(|_| node.client()).collect();
    for (turn, byte) in KIWI.bytes().enumerate() {
        for client in &mut slow {
            client.send([byte]);
        }
        if turn % 10 == 0 {
            is_served(node);
        }
    }
    let grown_kib = node.grown_kib(before_kib);
    assert!(grown_kib < 4 * (idle_count + 300), "{grown_kib} KiB more for {idle_count} and 300");
    for client in &mut slow {
        client.send("\n");
        assert!(client.line().starts_with(b"AT Hill "), "a slow client is served too");
    }
    for client in &mut idle {
        assert!(client.ask(KIWI).starts_with("AT Hill "), "an idle client is still connected");
    }
}

#[test]
fn deaf_client_large_answers() {
    const QUERIES: usize = 3000;
    let herd = Herd::one().start();
    let node = &herd["Hill"];
    is_served(node);
    let mut client = node.client();
    let (_, one) = client.whatsat("WHATSAT kiwi.cs.ucla.edu 50 20");
    assert!(one.len() * QUERIES > 20 << 20, "{} bytes an answer", one.len());
    let before_kib = node.anonymous_kib();
    let socket = client.socket().try_clone().expect("descriptors are left");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let lines = "WHATSAT kiwi.cs.ucla.edu 50 20\n".repeat(QUERIES);
            (&socket).write_all(lines.as_bytes()).expect("the node takes it or the kernel does");
        });
        for _ in 0..200 {
            is_served(node);
        }
        let grown_kib = node.grown_kib(before_kib);
        assert!(grown_kib < 3 << 10, "{grown_kib} KiB more");
        // What it was pending is not lost.
        for turn in 0..QUERIES {
            assert!(client.line().starts_with(b"AT Hill "));
            assert_eq!(client.json(), one, "answer {turn}");
        }
    });
}

#[test]
fn deaf_client_memory() {
    const CROWD: usize = 60;
    let herd = Herd::one().start();
    let node = &herd["Hill"];
    is_served(node);
    let before_kib = node.anonymous_kib();
    let lines = [&[b'x'; 1000][..], b"\n"].concat().repeat(50);
    let crowd: Vec<Client> = (0..CROWD).map(|_| node.client()).collect();
    for client in &crowd {
        // The less the kernel holds, the sooner it is the node that has to.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(client.socket(), 4096);
        client.socket().set_nonblocking(true).expect("the socket is open");
    }
    let mut quiet_rounds = 0;
    until("nothing more goes through", || {
        let taken = crowd.iter().filter(|client| (&mut client.socket()).write(&lines).is_ok()).count();
        quiet_rounds = if taken == 0 { quiet_rounds + 1 } else { 0 };
        quiet_rounds == 5
    });
    is_served(node);
    let grown_kib = node.grown_kib(before_kib);
    assert!(grown_kib < 16 * CROWD as u64 + 1024, "{grown_kib} KiB more");
}

#[test]
fn longest_idle_evicted() {
    let files = allow_many_files();
    fills_up(Herd::one().descriptors(192).start(), 64);
    // As many as a node takes by itself, where this machine allows it.
    if files >= 4096 + SPARE {
        fills_up(Herd::one().start(), 4096);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the herd ends with the test")]
fn fills_up(herd: Herd, count: usize) {
    const LONGEST_IDLE: usize = 7;
    let node = &herd["Hill"];
    let mut clients: Vec<Client> = (0..count).map(|_| node.client()).collect();
    for client in &mut clients {
        client.ask("x");
    }
    // A node's clock counts milliseconds; within one millisecond no client is the longest idle.
    std::thread::sleep(std::time::Duration::from_millis(3));
    for (_, client) in clients.iter_mut().enumerate().filter(|(i, _)| *i != LONGEST_IDLE) {
        assert_eq!(client.ask("x"), "? x", "there is room for {count}");
    }
    let mut newcomer = node.client();
    assert_eq!(newcomer.ask("x"), "? x");
    assert!(clients.remove(LONGEST_IDLE).is_closed_by_node());
    for client in &mut clients {
        assert_eq!(client.ask("x"), "? x", "no other client was closed");
    }
}
