//! The table, operation by operation; against a plain model it is in `table_model_tests.rs`.

use super::*;
use crate::report::tests::{any_report, report};
use proptest::prelude::*;
use std::collections::BTreeMap;

const AGE_S_MAX: u32 = 100;

fn table(capacity: usize) -> Box<Table<64>> {
    let mut table = Box::new(Table::new());
    table.start(capacity, AGE_S_MAX, (1, 2), 2);
    table
}

fn contents(table: &Table<64>) -> Vec<Report> {
    let mut all: Vec<Report> = table
        .map
        .iter()
        .map(|(key, entry)| Report { client: key.client.clone(), sighting: entry.sighting })
        .collect();
    all.sort_by(|a, b| a.version().compare(&b.version()));
    all
}

fn after(capacity: usize, reports: &[Report]) -> Vec<Report> {
    let mut table = table(capacity);
    for report in reports {
        table.admit(report, 0, 0, Source::Neighbour(0));
    }
    contents(&table)
}

/// The newest of each client, and of those the newest `capacity`: what the rules promise.
fn model(capacity: usize, reports: &[Report]) -> Vec<Report> {
    let mut newest: BTreeMap<Vec<u8>, Report> = BTreeMap::new();
    for report in reports {
        let entry = newest.entry(report.client.as_bytes().to_vec()).or_insert_with(|| report.clone());
        if report.sighting.compare(&entry.sighting).is_gt() {
            *entry = report.clone();
        }
    }
    let mut all: Vec<Report> = newest.into_values().collect();
    all.sort_by(|a, b| a.version().compare(&b.version()));
    all.split_off(all.len().saturating_sub(capacity))
}

/// Reports of many clients with few times, so that ties and evictions are common.
fn many() -> impl Strategy<Value = Vec<Report>> {
    let report = (any_report(), "[a-h]").prop_map(|(report, client)| Report {
        client: ClientId::parse(client.as_bytes()).expect("one letter"),
        ..report
    });
    proptest::collection::vec(report, 0..40)
}

proptest! {
    #[test]
    fn holds_what_the_model_holds_when_nothing_is_evicted(reports in many()) {
        prop_assert_eq!(after(32, &reports), model(32, &reports));
    }

    #[test]
    fn bookkeeping_holds_at_every_step(
        steps in proptest::collection::vec((any_report(), "[a-h]", 0..3_i32, 0..2_usize), 0..60),
        capacity in 1..6_usize,
    ) {
        let mut table = table(capacity);
        let mut now_s = 0;
        for (report, client, wait, from) in steps {
            now_s += wait * 30;
            let report = Report { client: ClientId::parse(client.as_bytes()).expect("one letter"), ..report };
            let floor = table.floor().map(|floor| Report { client: floor.client.clone(), sighting: *floor.sighting });
            let admission = table.admit(&report, now_s, now_s, Source::Neighbour(from));
            prop_assert!(table.len() <= capacity);
            if admission == Admission::BelowFloor {
                prop_assert!(floor.is_some_and(|floor| report.version().compare(&floor.version()).is_lt()));
            }
            for neighbour in 0..2 {
                for slot in 0..64 {
                    prop_assert!(!table.owed.is_set(neighbour, slot) || slot < table.len());
                }
            }
            let smallest = contents(&table).into_iter().next();
            prop_assert_eq!(
                table.floor.smallest().map(|slot| table.version(slot).expect("an entry").sighting),
                smallest.as_ref().map(|report| &report.sighting)
            );
            if wait == 2 {
                table.sweep(now_s, |_| false);
            }
        }
    }
}

#[test]
fn a_report_is_owed_to_all_but_its_sender() {
    let mut table = table(4);
    let kiwi = report("AT Hill +0.000000000 kiwi +1+1 1");
    assert_eq!(table.admit(&kiwi, 0, 0, Source::Neighbour(0)), Admission::Newcomer);
    assert_eq!((table.owed().count(0), table.owed().count(1)), (0, 1));
    let (version, age_s) = table.take_owed(1, 7).expect("owed");
    assert_eq!((version.client.as_bytes(), age_s), (&b"kiwi"[..], 7));
    assert!(table.take_owed(1, 7).is_none());
}

#[test]
fn a_neighbour_that_sends_what_is_owed_to_it_is_owed_it_no_longer() {
    let mut table = table(4);
    let kiwi = report("AT Hill +0.000000000 kiwi +1+1 1");
    table.admit(&kiwi, 0, 0, Source::Client { caller: Caller::EXEMPT });
    assert_eq!(table.admit(&kiwi, 0, 0, Source::Neighbour(1)), Admission::Duplicate);
    assert_eq!((table.owed().count(0), table.owed().count(1)), (1, 0));
}

#[test]
fn the_same_time_and_place_is_a_duplicate_at_its_origin_whatever_the_skew() {
    let mut table = table(4);
    assert_eq!(
        table.admit(
            &report("AT Hill +0.000000001 kiwi +1+1 1"),
            0,
            0,
            Source::Client { caller: Caller::EXEMPT }
        ),
        Admission::Newcomer
    );
    let again = report("AT Hill +5.000000000 kiwi +1+1 1.0");
    assert_eq!(table.admit(&again, 0, 0, Source::Client { caller: Caller::EXEMPT }), Admission::Duplicate);
    assert_eq!(table.admit(&again, 0, 0, Source::Neighbour(0)), Admission::News);
}

#[test]
fn entries_age_by_the_steady_clock() {
    let mut table = table(4);
    let kiwi = report("AT Hill +0.000000000 kiwi +1+1 1");
    assert_eq!(table.admit(&kiwi, -100, 0, Source::Client { caller: Caller::EXEMPT }), Admission::TooOld);
    table.admit(&kiwi, 0, 0, Source::Client { caller: Caller::EXEMPT });
    assert_eq!(table.advertised(89).count(), 1);
    assert_eq!(table.advertised(90).count(), 0, "the last tenth is not advertised");
    assert!(table.take_owed(0, 90).is_none());
    assert!(table.get(&kiwi.client, 99).is_some());
    assert!(table.get(&kiwi.client, 100).is_none());
    assert_eq!(
        table.admit(&kiwi, 100, 100, Source::Client { caller: Caller::EXEMPT }),
        Admission::Newcomer,
        "an expired entry is none"
    );
    assert_eq!(table.sweep(200, |_| false), 1);
    assert!(table.is_empty());
}

/// Somebody who looks at all entries, a few at a time, and is told of changes.
struct Watcher {
    known: BTreeMap<Vec<u8>, Sighting>,
    next: Option<usize>,
}

impl Watcher {
    fn take(&mut self, version: &Version) {
        self.known.insert(version.client.as_bytes().to_vec(), *version.sighting);
    }

    fn changes(&mut self, table: &mut Table<64>, most: usize) {
        for _ in 0..most {
            let Some((version, _)) = table.take_changed(0) else { break };
            self.take(&version);
        }
    }

    fn step(&mut self, table: &Table<64>) {
        self.next = self.next.and_then(|end| {
            let (slot, version, _) = table.below(end, 0)?;
            self.take(&version);
            Some(slot)
        });
    }
}

proptest! {
    #[test]
    fn a_watcher_knows_every_entry_however_the_table_changes_meanwhile(
        before in many(),
        meanwhile in proptest::collection::vec((many(), 0..4_usize, proptest::option::of("[a-h]")), 0..12),
        capacity in 2..9_usize,
    ) {
        let mut table = table(capacity);
        for report in &before {
            table.admit(report, 0, 0, Source::Neighbour(0));
        }
        table.watch(true);
        let mut watcher = Watcher { known: BTreeMap::new(), next: Some(usize::MAX) };
        for (reports, most, gone) in meanwhile {
            watcher.step(&table);
            for report in reports.iter().take(3) {
                table.admit(report, 0, 0, Source::Neighbour(0));
            }
            if let Some(gone) = gone {
                // As when a node leaves the map: what it heard goes, wherever that lies.
                let sighting = table.get(&ClientId::parse(gone.as_bytes()).expect("a letter"), 0).copied();
                table.sweep(0, |other| Some(other) == sighting.as_ref());
            }
            watcher.changes(&mut table, most);
        }
        while watcher.next.is_some() {
            watcher.step(&table);
        }
        watcher.changes(&mut table, usize::MAX);
        for report in contents(&table) {
            prop_assert_eq!(watcher.known.get(report.client.as_bytes()), Some(&report.sighting));
        }
    }
}

#[test]
fn what_is_past_its_age_is_neither_told_nor_seen() {
    let mut table = table(8);
    table.watch(true);
    table.admit(&report("AT Hill +0.000000000 kiwi +1+1 1"), 0, 0, Source::Neighbour(0));
    assert_eq!(table.below(usize::MAX, 7).map(|(slot, _, age_s)| (slot, age_s)), Some((0, 7)));
    let late = i32::try_from(AGE_S_MAX).expect("a hundred");
    assert!(table.below(usize::MAX, late).is_none() && table.take_changed(late).is_none());
}
