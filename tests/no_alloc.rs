//! The core does not allocate after start, and a cut takes next to nothing: a counting allocator watches.

use herd::proto::auth::Keys;
use herd::proto::herd_tests::{public_keys, secret_node, started};
use herd::proto::limits::ANSWER_BYTES_MAX;
use herd::proto::node::pull::PULL_BYTES_MAX;
use herd::proto::node::secret::{Message, Mode};
use herd::proto::node::{Node, SessionId};
use herd::proto::noise::connection::FRESH_BYTES;
use herd::proto::out::Out;
use herd::proto::quota::QuotaKey;
use herd::proto::time::{Mono, Now, Timestamp};

type Small = Node<64>;

fn node(me: usize) -> Box<Small> {
    started(&["Hill", "Smith"], me, &[1 - me], 32, Some(Keys::new([7; 32], Some([8; 32]))), 4)
}

/// Carries lines both ways until neither end has more to say.
fn talk(ends: &mut [(&mut Small, SessionId); 2], now: &Now) -> usize {
    let mut lines = 0;
    loop {
        let before = lines;
        for from in 0..2 {
            let mut bytes = [0; PULL_BYTES_MAX];
            let mut out = Out::new(&mut bytes);
            if ends[from].0.pull(now.mono, ends[from].1, &mut out, &mut |_| {}) {
                let (length, id) = (out.len(), ends[1 - from].1);
                let to = &mut ends[1 - from].0;
                if let Message::Line(_, line) = to.take_message(now.mono, id, &mut bytes[..length]) {
                    to.link_line(now, id, line);
                }
                lines += 1;
            }
        }
        if lines == before {
            return lines;
        }
    }
}

#[test]
fn a_cut_takes_no_heap_in_proportion_to_the_answer() {
    let place = format!("{{ \"name\" : \"Caf\\u00e9\", \"photo_reference\" : \"{}\" }}", "x".repeat(2_000));
    for count in [2, 20, 100] {
        let results = vec![place.as_str(); count].join(",\n");
        let mut body = format!("{{\"results\" : [ {results} ], \"status\" : \"OK\"}}").into_bytes();
        let before = body.len();
        let allocations = allocation_counter::measure(|| {
            herd::places::upstream::truncate::cut(&mut body, 1).expect("it is JSON");
        });
        assert!(body.len() < before / count + 100, "it is cut");
        assert!(allocations.bytes_max < 256, "{count} results: {allocations:?}");
    }
}

#[test]
fn a_link_and_a_full_table_allocate_nothing() {
    full_table(node(0), node(1));
}

#[test]
fn a_secret_link_and_a_full_table_allocate_nothing() {
    let secret = |me| secret_node(me, &public_keys(2), Mode::Only, 4);
    full_table(secret(0), secret(1));
}

fn full_table(mut hill: Box<Small>, mut smith: Box<Small>) {
    let mut now = Now { mono: Mono(0), wall: Timestamp(1_700_000_000_000_000_000), wall_is_trusted: true };
    let mut lines = 0;
    let allocations = allocation_counter::measure(|| {
        let dialled = hill.take_dial(now.mono).expect("Hill sorts first");
        let mut ends = [(&mut *hill, SessionId::default()), (&mut *smith, SessionId::default())];
        ends[0].1 = ends[0].0.open(now.mono, Some(dialled), [1; FRESH_BYTES].into()).expect("no link yet");
        ends[1].1 = ends[1].0.open(now.mono, None, [2; FRESH_BYTES].into()).expect("anyone may come");
        // Ten times as many clients as the tables hold, and a digest now and then.
        for i in 0..320_u32 {
            let mut bytes = [0; ANSWER_BYTES_MAX];
            let mut out = Out::new(&mut bytes);
            let mut line = [0; 64];
            let mut command = Out::new(&mut line);
            command.put(b"IAMAT c");
            command.put_u128(u128::from(i));
            command.put(b" +1+1 160000");
            command.put_u128(u128::from(1000 + i));
            let _ = ends[0].0.client_line(&now, QuotaKey::EXEMPT, command.written(), &mut out);
            let _ = ends[1].0.client_line(&now, QuotaKey::EXEMPT, b"WHATSAT other 1 1", &mut out);
            lines += talk(&mut ends, &now);
            now.mono = now.mono.after_ms(1_000);
            ends[0].0.tick(&now);
            ends[1].0.tick(&now);
        }
    });
    assert!(lines > 320, "the link was up: {lines} lines");
    assert_eq!(hill.table().len(), 32);
    assert_eq!(smith.table().len(), 32);
    assert_eq!(allocations.count_total, 0, "{allocations:?}");
}
