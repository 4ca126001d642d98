//! Snapshots: what a herd knows outlives it, where the configuration asks for that, and a file is never believed too much.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use herd::config::SNAPSHOT_S_MIN;
use herd::proto::limits::AGE_S_MAX;
use herd::proto::node::{Node, Seed, Setup};
use herd::proto::out::Out;
use herd::proto::update::Update;
use herd::server::snapshot::format::{Encoder, LINE_BYTES_MAX, Written};
use herd_test_support::{Herd, until, until_within};
use rustix::process::Signal;
use serde_json::Value;

/// Has this node of a herd that is not started yet, or is to read its configuration again, keep its table, once in so many seconds.
fn ask_for_snapshots(herd: &Herd, name: &str, between_s: u32) {
    herd.add_member(name, &format!("\"snapshot_s\": {between_s}"));
}

/// A herd whose nodes keep their tables, before it is started.
fn keeping(herd: Herd) -> Herd {
    for name in herd.names() {
        // No test takes so long: what is written is written at the end.
        ask_for_snapshots(&herd, name, 600);
    }
    herd
}

fn stop(herd: &mut Herd) {
    // All at once: no node is left that could send anything back.
    for node in herd.running() {
        node.signal(Signal::TERM);
    }
    for name in herd.names() {
        assert!(herd[name].wait_for_end().success(), "{name}");
    }
}

/// Where a node keeps its table.
fn table(herd: &Herd, name: &str) -> PathBuf {
    herd.folder.path("state").join("herd").join(name).join("table")
}

/// A table as a node would have written it `ago_s` seconds ago.
fn written(ago_s: i64, is_trusted: bool, names: &[&str], entries: &[(String, u32)]) -> Vec<u8> {
    let mut node = Box::new(Node::<64>::new());
    let seed = Seed { hash_key: (1, 2), jitter: 3, boot: 4 };
    let setup = Setup {
        names,
        me: 0,
        neighbours: &[],
        keys: None,
        secrecy: None,
        capacity: 1,
        age_s_max: AGE_S_MAX,
        seed,
    };
    node.start(&setup).expect("the setup is right");
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let unix_s = i64::try_from(since).expect("before the end") - ago_s;
    let mut bytes = vec![0; (entries.len() + 2) * LINE_BYTES_MAX];
    let mut out = Out::new(&mut bytes);
    let mut encoder = Encoder::default();
    encoder.begin(Written { unix_s, is_trusted }, &mut out);
    for (at_line, age_s) in entries {
        let update =
            Update::parse_at_line(at_line.as_bytes(), node.names()).expect("the test's line is right");
        encoder.entry(&update.borrowed(), *age_s, node.names(), &mut out);
    }
    encoder.end(&mut out);
    out.written().to_vec()
}

fn put(herd: &Herd, name: &str, bytes: &[u8]) {
    let file = table(herd, name);
    fs::create_dir_all(file.parent().expect("a folder")).expect("the folder is ours");
    fs::write(file, bytes).expect("the folder is ours");
}

fn at(client: &str, time: u64) -> String {
    format!("AT Hill +0.500000000 {client} +34.068930-118.445127 {time}")
}

#[test]
fn herd_restarts() {
    let mut herd = keeping(Herd::five().keyed().build());
    herd.start_built();
    let mut answers = Vec::new();
    for (index, name) in herd.names().into_iter().enumerate() {
        let id = format!("client-{index}");
        let answer = herd[name].ask(&format!("IAMAT {id} +34.068930-118.445127 16214648{index}7.959498503"));
        answers.push((id, answer));
    }
    for (id, at) in &answers {
        herd.wait_for_at(id, at);
    }
    stop(&mut herd);
    for name in herd.names() {
        let file = table(&herd, name);
        let folder = file.parent().expect("a folder");
        assert_eq!(fs::read_dir(folder).expect("a folder").count(), 1, "the table and nothing else");
        assert_eq!(fs::metadata(&file).expect("it was written").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(folder).expect("it was made").permissions().mode() & 0o777, 0o700);
    }

    herd.start_built();
    for node in herd.running() {
        node.log.wait_for("INFO  restored 5 updates from the snapshot, after ");
        for (id, at) in &answers {
            assert_eq!(node.at(id).as_ref(), Some(at), "{} at once", node.name);
        }
    }
    let in_sync = |name: &str| {
        let status = herd.status(name);
        let links = status["links"].as_array().expect("a list").clone();
        links.iter().all(|link| link["is_in_sync"] == true)
    };
    until("all are in sync", || herd.names().into_iter().all(in_sync));
    for name in herd.names() {
        let status = herd.status(name);
        assert_eq!(status["counters"]["updates_sent"], 0, "equal tables need no words: {status}");
        assert_eq!(
            (&status["counters"]["snapshot_restored"], &status["snapshot"]["written"]),
            (&5.into(), &0.into())
        );
    }

    // Nothing new is nothing written.
    let inodes = |herd: &Herd| -> Vec<u64> {
        let inode = |name| fs::metadata(table(herd, name)).expect("it is there").ino();
        herd.names().into_iter().map(inode).collect()
    };
    let before = inodes(&herd);
    stop(&mut herd);
    assert_eq!(inodes(&herd), before);
}

#[test]
fn power_cut() {
    let mut herd = Herd::pair().log_level("debug").build();
    for name in herd.names() {
        ask_for_snapshots(&herd, name, SNAPSHOT_S_MIN);
    }
    herd.start_built();
    let restored = herd["Hill"].ask("IAMAT restored +1+1 1");
    herd.wait_for_at("restored", &restored);
    let has_written = |name: &str| herd.status(name)["snapshot"]["written"] == 1;
    until_within(Duration::from_secs(120), "both have written", || herd.names().into_iter().all(has_written));
    let status = herd.status("Hill");
    let last = &status["snapshot"];
    assert_eq!(
        (&last["between_s"], &last["written"], &last["last_entries"]),
        (&SNAPSHOT_S_MIN.into(), &1.into(), &1.into())
    );
    assert_eq!(last["last_bytes"], fs::metadata(table(&herd, "Hill")).expect("it is there").len(), "{last}");
    let lost = herd["Hill"].ask("IAMAT lost +1+1 1");
    herd.wait_for_at("lost", &lost);
    for name in herd.names() {
        herd[name].kill();
    }
    herd.start_built();
    assert_eq!(herd["Smith"].at("restored"), Some(restored));
    assert_eq!((herd["Hill"].at("lost"), herd["Smith"].at("lost")), (None, None));
}

#[test]
fn damaged_file() {
    let whole = written(0, true, &["Hill"], &[(at("a", 1), 5), (at("b", 2), 5)]);
    let replaced = |from, to| String::from_utf8(whole.clone()).expect("ASCII").replacen(from, to, 1);
    let (spoilt, foreign) = (replaced("+34.0", "+35.0"), replaced("table 1 ", "table 2 "));
    for (bytes, why) in [
        (spoilt.as_bytes(), "its checksum is wrong"),
        (&whole[..whole.len() - 1], "its end is missing"),
        (&[0; 4096], "it is not a snapshot"),
        (b"", "its end is missing"),
        (foreign.as_bytes(), "its version is 2, but this release reads version 1"),
    ] {
        let mut herd = keeping(Herd::one().build());
        put(&herd, "Hill", bytes);
        herd.start_built();
        let file = table(&herd, "Hill");
        let aside = file.with_extension("bad");
        let warning = format!(
            "WARN  snapshot rejected: {}: {why}; it is renamed to {}",
            file.display(),
            aside.display()
        );
        herd["Hill"].log.wait_for(&warning);
        assert_eq!((herd["Hill"].at("a"), herd["Hill"].at("b")), (None, None));
        assert!(!file.exists() && fs::read(&aside).expect("it is there") == bytes);
        // The node goes on as one that never had a snapshot.
        herd["Hill"].ask("IAMAT c +1+1 1");
        stop(&mut herd);
        herd.start_built();
        assert!(herd["Hill"].at("c").is_some());
    }
}

/// An open of a named pipe waits for a writer, for ever: a node must start without it, and leave it where it is.
#[test]
fn not_a_file() {
    let mut herd = keeping(Herd::pair().keyed().build());
    let file = table(&herd, "Hill");
    fs::create_dir_all(file.parent().expect("a folder")).expect("the folder is ours");
    let made = Command::new("mkfifo").arg(&file).status().expect("mkfifo can be run");
    assert!(made.success());
    herd.start_built();
    herd["Hill"].log.wait_for("cannot read the snapshot: ");
    herd["Hill"].log.wait_for("/table: not a regular file");
    let at = herd["Hill"].ask("IAMAT a +34.068930-118.445127 1");
    herd.wait_for_at("a", &at);
    stop(&mut herd);
    use std::os::unix::fs::FileTypeExt;
    assert!(fs::metadata(&file).expect("it is there").file_type().is_fifo());
}

#[test]
fn ages() {
    let entries = [
        (at("young", 1_621_464_827), 12),
        (at("dead-by-now", 1_621_464_828), AGE_S_MAX - 600),
        (at("ahead", 9_000_000_000), 12),
        ("AT Mallory +0.500000000 m +1+1 1".to_owned(), 12),
    ];
    // Trusted at both ends, at one only, and set back since.
    for (ago_s, is_trusted, down_s) in [(1_000, true, 1_000), (1_000, false, 0), (-1_000, true, 0)] {
        let mut herd = keeping(Herd::one().build());
        put(&herd, "Hill", &written(ago_s, is_trusted, &["Hill", "Mallory"], &entries));
        herd.start_built();
        let status = herd.status("Hill");
        let (taken, refused) = if down_s == 0 { (2, 2) } else { (1, 3) };
        let counters = &status["counters"];
        assert_eq!(
            (&counters["snapshot_restored"], &counters["snapshot_rejected"]),
            (&taken.into(), &refused.into())
        );
        assert!(herd["Hill"].at("young").is_some() && herd["Hill"].at("ahead").is_none());
        assert_eq!(herd["Hill"].at("dead-by-now").is_some(), down_s == 0);
        let oldest_s = status["table"]["oldest_s"].as_u64().expect("there is one");
        let expected = if down_s == 0 { u64::from(AGE_S_MAX) - 600 } else { 12 + down_s };
        assert!((expected..expected + 30).contains(&oldest_s), "{oldest_s} s, and {expected} at least");
    }
}

#[test]
fn more_than_table() {
    let entries: Vec<(String, u32)> = (0..6_000).map(|i| (at(&format!("c{i}"), 1_000 + i), 5)).collect();
    let mut herd = keeping(Herd::one().build());
    put(&herd, "Hill", &written(0, true, &["Hill"], &entries));
    herd.start_built();
    assert_eq!(herd.status("Hill")["table"]["entries"], 4096);
    assert!(herd["Hill"].at("c5999").is_some() && herd["Hill"].at("c1904").is_some());
    assert!(herd["Hill"].at("c1903").is_none());
    // A whole table goes out as it came in: several chunks, nothing lost, nothing twice.
    herd["Hill"].ask("IAMAT c5999 +1+1 9999");
    stop(&mut herd);
    let text = fs::read_to_string(table(&herd, "Hill")).expect("it was written");
    let mut clients: Vec<&str> = text.lines().filter_map(|line| line.split(' ').nth(4)).collect();
    clients.retain(|client| client.starts_with('c'));
    clients.sort_unstable();
    clients.dedup();
    assert_eq!((clients.len(), text.lines().count()), (4096, 4096 + 2));
    herd.start_built();
    assert_eq!(herd.status("Hill")["counters"]["snapshot_restored"], 4096);
}

#[test]
fn member_missing() {
    let mut herd = Herd::one().start();
    herd["Hill"].ask("IAMAT kiwi +1+1 1");
    assert_eq!(herd.status("Hill")["snapshot"], Value::Null);
    herd["Hill"].signal(Signal::TERM);
    herd["Hill"].wait_for_end();
    assert!(!herd.folder.path("state").exists());
    put(&herd, "Hill", &written(0, true, &["Hill"], &[(at("a", 1), 5)]));
    herd["Hill"].start();
    assert!(herd["Hill"].at("a").is_none());

    // A configuration that comes to ask for it is heard, and one that does not any more is too.
    ask_for_snapshots(&herd, "Hill", 600);
    herd["Hill"].signal(Signal::HUP);
    until("the configuration is read", || herd.status("Hill")["snapshot"]["between_s"] == 600);
    herd.write_map("Hill", false);
    herd["Hill"].signal(Signal::HUP);
    until("the configuration is read", || herd.status("Hill")["snapshot"] == Value::Null);
    ask_for_snapshots(&herd, "Hill", 600);
    herd["Hill"].signal(Signal::HUP);
    until("the configuration is read", || herd.status("Hill")["snapshot"]["between_s"] == 600);
    herd["Hill"].ask("IAMAT b +1+1 1");
    stop(&mut herd);
    let text = fs::read_to_string(table(&herd, "Hill")).expect("it was written");
    assert!(text.contains(" b +1+1 1\n") && !text.contains(" a "), "{text}");
}

#[test]
fn folders() {
    let mut herd = keeping(Herd::one().build());
    let state = herd.folder.path("of the unit");
    for (variable, value, expected) in [
        ("STATE_DIRECTORY", state.clone(), Some(state.join("table"))),
        ("XDG_STATE_HOME", state.clone(), Some(state.join("herd/Hill/table"))),
        ("XDG_STATE_HOME", PathBuf::from("not/absolute"), None),
    ] {
        let node = &mut herd["Hill"];
        node.launch.environment = vec![(variable, value.into())];
        node.start();
        node.ask("IAMAT kiwi +1+1 1");
        node.signal(Signal::TERM);
        assert!(node.wait_for_end().success(), "it runs without");
        match expected {
            Some(file) => {
                assert!(fs::read_to_string(&file).is_ok_and(|text| text.contains(" kiwi ")), "{file:?}");
            }
            None => node.log.wait_for("WARN  snapshot_s: no folder for the snapshot"),
        }
    }
}

#[test]
fn disk_stalls() {
    let mut herd = keeping(Herd::one().build());
    let temporary = table(&herd, "Hill").with_file_name(".table.new");
    put(&herd, "Hill", &written(0, true, &["Hill"], &[(at("a", 1), 5)]));
    // To open a FIFO for writing waits until a reader opens it.
    assert!(Command::new("mkfifo").arg(&temporary).status().expect("there is mkfifo").success());
    herd.start_built();
    herd["Hill"].ask("IAMAT b +1+1 1");
    herd["Hill"].signal(Signal::TERM);
    // Clients are served to the end.
    assert!(herd["Hill"].at("a").is_some());
    assert!(herd["Hill"].wait_for_end().success());
    herd["Hill"].log.wait_for("WARN  the last snapshot took longer than 3000 ms");
    let restored = fs::read_to_string(table(&herd, "Hill")).expect("the old one stays");
    assert!(restored.contains(" a ") && !restored.contains(" b "), "{restored}");

    // One that refuses says so.
    fs::remove_file(&temporary).expect("it is ours");
    fs::create_dir(&temporary).expect("the folder is ours");
    herd.start_built();
    herd["Hill"].ask("IAMAT b +1+1 1");
    stop(&mut herd);
    assert!(herd["Hill"].log.has("WARN  snapshot failed: "), "{}", herd["Hill"].log.tail());
}
