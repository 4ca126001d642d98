//! Round trips of every kind of line: a written line parses to the same value, and a parsed line is written
//! back unchanged.

use super::auth::{HelloFields, PROOF_BYTES};
use super::census::{Question, Sum};
use super::client::Command;
use super::digest::Buckets;
use super::facts::{Facts, Version};
use super::fields::{ClientId, ClientTime, Position};
use super::limits::{CLIENT_LINE_BYTES_MAX, DIGEST_BUCKETS, LINK_LINE_BYTES_MAX, NODES_MAX, NONCE_BYTES};
use super::names::NodeId;
use super::out::Out;
use super::time::Timestamp;
use super::update::tests::names;
use super::update::{Sighting, Update};
use super::wire::{self, Line};
use proptest::prelude::*;

fn written(write: impl FnOnce(&mut Out)) -> Vec<u8> {
    let mut bytes = [0; LINK_LINE_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    write(&mut out);
    out.written().to_vec()
}

/// Writes a parsed line again.
fn rewritten(line: &Line) -> Vec<u8> {
    written(|out| match line {
        Line::Hello { version, name, boot, capacity, nonce } => {
            assert_eq!(*version, wire::VERSION);
            wire::put_hello(&HelloFields { name, boot: *boot, capacity: *capacity, nonce }, out);
        }
        Line::Proof(proofs) => wire::put_proofs(proofs, out),
        Line::Update { age_s, update } => {
            let update = update.as_ref().expect("the line is right");
            wire::put_update(&update.borrowed(), *age_s, &names(), out);
        }
        Line::Digest { round, buckets, floor } => {
            let floor = floor.as_ref().expect("the line is right");
            wire::put_digest(*round, buckets, floor.as_ref(), &names(), out);
        }
        Line::Ping(number) => wire::put_ping(*number, out),
        Line::Question { question, .. } => {
            let question = question.as_ref().expect("the line is right");
            wire::put_question(question, &names(), out);
        }
        Line::Facts { number, node, facts } => wire::put_facts(*number, *node, facts, out),
        Line::Sum { number, sum } => {
            let sum = sum.as_ref().expect("the line is right");
            wire::put_sum(*number, sum, &names(), out);
        }
    })
}

/// Any byte except white space.
fn client() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_filter("white space", |byte| !super::fields::is_white_space(*byte));
    proptest::collection::vec(byte, 1..=64)
}

fn position() -> impl Strategy<Value = String> {
    let latitude = "[-+]([0-8]?[0-9](\\.[0-9]{1,18})?|90(\\.0{1,18})?)";
    let longitude = "[-+](0?[0-9]?[0-9](\\.[0-9]{1,18})?|1[0-7][0-9](\\.[0-9]{1,18})?|180(\\.0{1,18})?)";
    (latitude, longitude).prop_map(|(latitude, longitude)| latitude + &longitude)
}

fn time() -> impl Strategy<Value = String> {
    prop_oneof!["-?[0-9]{1,12}(\\.[0-9]{1,18})?", "-?[0-9]{1,31}", "[0-9]{32}"]
}

fn update() -> impl Strategy<Value = Update> {
    let origin = prop::sample::select(vec!["Campbell", "Hill", "Jaquez", "Singleton", "Smith"]);
    let received = proptest::option::of(any::<i64>());
    (client(), position(), time(), origin, any::<i64>(), received).prop_map(
        |(client, position, time, origin, heard, received)| {
            let time = ClientTime::parse(time.as_bytes()).expect("of the grammar");
            let origin = names().find(origin.as_bytes()).expect("of the list");
            let position = Position::parse(position.as_bytes()).expect("of the grammar");
            let sighting = match received {
                Some(at) => Sighting::untrusted(time, origin, position, Timestamp(heard), Timestamp(at)),
                None => Sighting::trusted(time, origin, position, Timestamp(heard)),
            };
            Update { client: ClientId::parse(&client).expect("1 to 64 bytes without white space"), sighting }
        },
    )
}

fn proofs() -> impl Strategy<Value = Vec<[u8; PROOF_BYTES]>> {
    proptest::collection::vec(any::<[u8; PROOF_BYTES]>(), 1..=2)
}

/// Lines of each kind, in the canonical form that nodes write.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let hello = ("[!-~]{1,32}", any::<u64>(), any::<u32>(), any::<[u8; NONCE_BYTES]>()).prop_map(
        |(name, boot, capacity, nonce)| {
            let hello = HelloFields { name: name.as_bytes(), boot, capacity, nonce: &nonce };
            written(|out| wire::put_hello(&hello, out))
        },
    );
    let proof = proofs().prop_map(|proofs| written(|out| wire::put_proofs(&proofs, out)));
    let update_line = (update(), any::<u32>()).prop_map(|(update, age_s)| {
        written(|out| wire::put_update(&update.borrowed(), age_s, &names(), out))
    });
    let digest =
        (any::<u64>(), any::<u64>(), proptest::option::of(update())).prop_map(|(round, seed, floor)| {
            let sums: Buckets =
                core::array::from_fn(|i| seed.rotate_left(u32::try_from(i).expect("64")) ^ i as u64);
            written(|out| wire::put_digest(round, &sums, floor.as_ref(), &names(), out))
        });
    let ping = any::<u64>().prop_map(|number| written(|out| wire::put_ping(number, out)));
    let question = (any::<[u64; 4]>(), any::<bool>(), proptest::option::of(update())).prop_map(
        |(numbers, facts, floor)| {
            let [number, salt, config, within_ms] = numbers;
            let question = Question { number, salt, config, within_ms, facts, floor };
            written(|out| wire::put_question(&question, &names(), out))
        },
    );
    let facts = (any::<u64>(), 0..NODES_MAX, any::<[u32; 4]>(), "[!-~]{1,16}").prop_map(
        |(number, node, [up_s, clients, pending, private_kb], version)| {
            let node = NodeId::at(node).expect("within the limit");
            let facts = Facts { version: Version::of(&version), up_s, clients, pending, private_kb };
            written(|out| wire::put_facts(number, node, &facts, out))
        },
    );
    let sum = (any::<[u64; 2]>(), any::<[u32; 2]>(), proptest::option::of(update())).prop_map(
        |([number, differs], [strangers, pending], floor)| {
            let sum = Sum { strangers, pending, differs, floor, ..Sum::NONE };
            written(|out| wire::put_sum(number, &sum, &names(), out))
        },
    );
    prop_oneof![hello, proof, update_line, digest, ping, question, facts, sum]
}

proptest! {
    #[test]
    fn link_lines_round_trip(line in line()) {
        let read = Line::parse(&line, &names()).expect("a node parses the lines that nodes write");
        prop_assert_eq!(rewritten(&read), line);
    }

    /// The parser may accept other forms of a line (leading zeros, white space within an AT line). Written
    /// again, such a line has the canonical form and the same meaning.
    #[test]
    fn a_damaged_line_is_rejected_or_unambiguous(line in line(), at: prop::sample::Index, byte: u8) {
        let mut damaged = line;
        let at = at.index(damaged.len());
        damaged[at] = byte;
        let Some(read) = Line::parse(&damaged, &names()) else { return Ok(()) };
        let is_whole = match &read {
            Line::Hello { version, .. } => *version == wire::VERSION,
            Line::Update { update, .. } => update.is_ok(),
            Line::Digest { floor, .. } => floor.is_ok(),
            Line::Question { question, .. } => question.is_ok(),
            Line::Sum { sum, .. } => sum.is_ok(),
            Line::Proof(_) | Line::Ping(_) | Line::Facts { .. } => true,
        };
        if is_whole {
            let once = rewritten(&read);
            prop_assert!(once.len() <= damaged.len());
            let again = Line::parse(&once, &names()).expect("a node parses the lines that nodes write");
            prop_assert_eq!(format!("{again:?}"), format!("{read:?}"));
        }
    }

    #[test]
    fn hellos_and_proofs_read_as_they_were_written(
        name in "[!-~]{1,32}", boot: u64, capacity: u32, nonce: [u8; NONCE_BYTES], proofs in proofs(),
    ) {
        let hello = HelloFields { name: name.as_bytes(), boot, capacity, nonce: &nonce };
        let line = written(|out| wire::put_hello(&hello, out));
        let read = Line::parse(&line, &names());
        let Some(Line::Hello { version, name: n, boot: b, capacity: c, nonce: o }) = read else { panic!("{read:?}") };
        prop_assert_eq!((version, n, b, c, o), (wire::VERSION, name.as_bytes(), boot, capacity, nonce));
        let line = written(|out| wire::put_proofs(&proofs, out));
        let Some(Line::Proof(read)) = Line::parse(&line, &names()) else { panic!("no PROOF") };
        prop_assert_eq!(&read[..], &proofs[..]);
    }

    #[test]
    fn updates_and_floors_round_trip(update in update(), age_s: u32, round: u64, number: u64) {
        let line = written(|out| wire::put_update(&update.borrowed(), age_s, &names(), out));
        let read = Line::parse(&line, &names());
        let Some(Line::Update { age_s: age, update: Ok(back) }) = read else { panic!("{read:?}") };
        prop_assert_eq!((age, &back), (age_s, &update));
        let sums: Buckets = [number; DIGEST_BUCKETS];
        let line = written(|out| wire::put_digest(round, &sums, Some(&update), &names(), out));
        let read = Line::parse(&line, &names());
        let Some(Line::Digest { round: r, buckets, floor: Ok(Some(floor)) }) = read else { panic!("{read:?}") };
        prop_assert_eq!((r, buckets, floor), (round, sums, update));
        let line = written(|out| wire::put_ping(number, out));
        prop_assert!(matches!(Line::parse(&line, &names()), Some(Line::Ping(n)) if n == number));
    }

    #[test]
    fn commands_allow_any_white_space_between_fields(
        client in client(), position in position(), time in time(),
        radius in "0{0,3}([0-4]?[0-9](\\.[0-9]{1,12})?|50(\\.0{1,12})?)", items in "0{0,3}(1?[0-9]|20)",
        white in proptest::collection::vec("[ \t\r\x0b\x0c]{1,3}", 3), around in "[ \t\r\x0b\x0c]{0,3}",
    ) {
        let line = |word: &str, second: &str, third: &str| {
            let fields = [word.as_bytes(), &client, second.as_bytes(), third.as_bytes()];
            let mut line = around.clone().into_bytes();
            for (field, white) in fields.into_iter().zip(white.iter().chain([&around])) {
                line.extend_from_slice(field);
                line.extend_from_slice(white.as_bytes());
            }
            line
        };
        let iamat = line("IAMAT", &position, &time);
        prop_assert!(iamat.len() <= CLIENT_LINE_BYTES_MAX);
        let Some(Command::Iamat { client: c, position: p, time: t }) = Command::parse(&iamat) else { panic!("IAMAT") };
        prop_assert_eq!(c.as_bytes(), &client[..]);
        prop_assert_eq!(written(|out| p.put(out)), position.as_bytes());
        prop_assert_eq!(written(|out| t.put(out)), time.as_bytes());
        let whatsat = line("WHATSAT", &radius, &items);
        let Some(Command::Whatsat { client: c, radius: r, items: n }) = Command::parse(&whatsat) else {
            panic!("WHATSAT")
        };
        prop_assert_eq!(c.as_bytes(), &client[..]);
        let metres = radius.parse::<f64>().expect("a number") * 1_000.0;
        prop_assert!((r.metres() - metres).abs() < 0.0011, "{} {metres}", r.metres());
        prop_assert_eq!(n.get(), items.parse::<u8>().expect("a number"));
    }
}
