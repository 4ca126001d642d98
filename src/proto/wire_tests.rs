//! Tests of the lines between nodes.

use super::*;
use crate::limits::{LINK_LINE_BYTES_MAX, NODES_MAX};
use crate::update::tests::{any_update, names};
use proptest::prelude::*;

fn written(write: impl FnOnce(&mut Out)) -> Vec<u8> {
    let mut bytes = [0; LINK_LINE_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    write(&mut out);
    out.written().to_vec()
}

#[test]
fn a_hello_reads_as_it_was_written() {
    let hello = HelloFields { name: b"Hill", boot: u64::MAX, capacity: 4096, nonce: &[0xab; 16] };
    let line = written(|out| put_hello(&hello, out));
    assert_eq!(line, b"HELLO 1 Hill 18446744073709551615 4096 abababababababababababababababab");
    let Some(Line::Hello { version: 1, name: b"Hill", boot: u64::MAX, capacity: 4096, nonce }) =
        Line::parse(&line, &names())
    else {
        panic!("the line parses as another kind")
    };
    assert_eq!(nonce, [0xab; 16]);
}

proptest! {
    #[test]
    fn questions_and_sums_read_as_they_were_written(
        floor in proptest::option::of(any_update()),
        numbers: [u64; 4],
        small: [u32; 2],
        nodes in proptest::collection::vec(0..NODES_MAX, 0..40),
    ) {
        let names = names();
        let [number, salt, config, within_ms] = numbers;
        let facts = small[0] % 2 == 0;
        let question = Question { number, salt, config, within_ms, facts, floor: floor.clone() };
        let line = written(|out| put_question(&question, &names, out));
        let read = Line::parse(&line, &names);
        let Some(Line::Question { number: n, question: Ok(back) }) = read else { panic!("{read:?}") };
        prop_assert_eq!((n, back), (number, question));

        let mut sum = Sum { strangers: small[0], pending: small[1], differs: salt, floor, ..Sum::NONE };
        for (half, factor) in sum.halves.iter_mut().zip(1..) {
            *half = small[0].wrapping_mul(factor);
        }
        for (i, node) in nodes.iter().enumerate() {
            let set = if i % 2 == 0 { &mut sum.answered } else { &mut sum.troubled };
            let node = NodeId::at(*node).expect("within the limit");
            set.add(node);
            let trouble = [Trouble::Down, Trouble::Pending, Trouble::NameInUse][i % 3];
            sum.add_link(LinkTrouble { node, neighbour: node, trouble });
        }
        let line = written(|out| put_sum(number, &sum, &names, out));
        prop_assert!(line.len() + TAG_FIELD_BYTES <= LINK_LINE_BYTES_MAX);
        let read = Line::parse(&line, &names);
        let Some(Line::Sum { number: n, sum: Ok(back) }) = read else { panic!("{read:?}") };
        prop_assert_eq!((n, back), (number, sum));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(line in proptest::collection::vec(any::<u8>(), 0..200), word in "(HELLO|PROOF|U|D|P|Q|F|R) .{0,40}") {
        let _ = Line::parse(&line, &names());
        let _ = Line::parse(word.as_bytes(), &names());
        let _ = split_tag(&line);
    }
}

#[test]
fn tags_round_trip() {
    let line = written(|out| {
        out.put(b"P 1");
        put_tag(&[0, 1, 2, 3, 4, 5, 6, 0xff], out);
    });
    assert_eq!(line, b"P 1 ~00010203040506ff");
    assert_eq!(split_tag(&line), Some((&b"P 1"[..], [0, 1, 2, 3, 4, 5, 6, 0xff])));
    for wrong in
        [&b""[..], b"P 1", b"P 1 00010203040506ff", b"P 1 ~00010203040506f", b"P 1 ~00010203040506FF"]
    {
        assert_eq!(split_tag(wrong), None);
    }
}

#[test]
fn malformed_lines_are_rejected() {
    for wrong in [
        "",
        "U",
        "U x AT",
        "P",
        "P -1",
        "P 1 2",
        "D 1 00 -",
        "PROOF",
        "PROOF 00",
        "HELLO 1 Hill 1 1",
        "X 1",
        "Q 1 2 -",
        "Q 1 2 3 4 -",
        "Q 1 2 3 4 2 -",
        "F 1 0 0 0 0 0",
        "F 1 1024 0 0 0 0 1",
        "F 1 0 4294967296 0 0 0 1",
        "F 1 0 0 0 0 0 12345678901234567",
        "R 1 0 0 0000000000000000 - - - 0 - -",
        "R 1 0 0 0000000000000000 0 - - 0 00 -",
        "U 4294967296 AT",
    ] {
        assert!(Line::parse(wrong.as_bytes(), &names()).is_none(), "{wrong}");
    }
}
