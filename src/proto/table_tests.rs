//! Tests of single operations of the table. `table_model_tests.rs` compares it with a model.

use super::*;
use crate::update::tests::{any_update, update};
use proptest::prelude::*;
use std::collections::BTreeMap;

const AGE_S_MAX: u32 = 100;

fn table(capacity: usize) -> Box<Table<64>> {
    let mut table = Box::new(Table::new());
    table.start(capacity, AGE_S_MAX, (1, 2), 2);
    table
}

fn contents(table: &Table<64>) -> Vec<Update> {
    let mut all: Vec<Update> = table
        .map
        .iter()
        .map(|(key, entry)| Update { client: key.client.clone(), sighting: entry.sighting })
        .collect();
    all.sort_by(|a, b| a.borrowed().compare(&b.borrowed()));
    all
}

fn after(capacity: usize, updates: &[Update]) -> Vec<Update> {
    let mut table = table(capacity);
    for update in updates {
        table.admit(update, 0, 0, Source::Neighbour(0));
    }
    contents(&table)
}

/// The model: the newest update of each client, and of these the newest `capacity`.
fn model(capacity: usize, updates: &[Update]) -> Vec<Update> {
    let mut newest: BTreeMap<Vec<u8>, Update> = BTreeMap::new();
    for update in updates {
        let entry = newest.entry(update.client.as_bytes().to_vec()).or_insert_with(|| update.clone());
        if update.sighting.compare(&entry.sighting).is_gt() {
            *entry = update.clone();
        }
    }
    let mut all: Vec<Update> = newest.into_values().collect();
    all.sort_by(|a, b| a.borrowed().compare(&b.borrowed()));
    all.split_off(all.len().saturating_sub(capacity))
}

/// Updates of many clients with few times, so that ties and evictions are common.
fn many() -> impl Strategy<Value = Vec<Update>> {
    let update = (any_update(), "[a-h]").prop_map(|(update, client)| Update {
        client: ClientId::parse(client.as_bytes()).expect("one letter"),
        ..update
    });
    proptest::collection::vec(update, 0..40)
}

proptest! {
    #[test]
    fn matches_the_model_without_evictions(updates in many()) {
        prop_assert_eq!(after(32, &updates), model(32, &updates));
    }

    #[test]
    fn bookkeeping_holds_at_every_step(
        steps in proptest::collection::vec((any_update(), "[a-h]", 0..3_i32, 0..2_usize), 0..60),
        capacity in 1..6_usize,
    ) {
        let mut table = table(capacity);
        let mut now_s = 0;
        for (update, client, wait, from) in steps {
            now_s += wait * 30;
            let update = Update { client: ClientId::parse(client.as_bytes()).expect("one letter"), ..update };
            let floor = table.floor().map(|floor| Update { client: floor.client.clone(), sighting: *floor.sighting });
            let admission = table.admit(&update, now_s, now_s, Source::Neighbour(from));
            prop_assert!(table.len() <= capacity);
            if admission == Admission::BelowFloor {
                prop_assert!(floor.is_some_and(|floor| update.borrowed().compare(&floor.borrowed()).is_lt()));
            }
            for neighbour in 0..2 {
                for slot in 0..64 {
                    prop_assert!(!table.pending.is_set(neighbour, slot) || slot < table.len());
                }
            }
            let smallest = contents(&table).into_iter().next();
            prop_assert_eq!(
                table.heap.smallest().map(|slot| table.update(slot).expect("an entry").sighting),
                smallest.as_ref().map(|update| &update.sighting)
            );
            if wait == 2 {
                table.sweep(now_s, |_| false);
            }
        }
    }
}

#[test]
fn an_update_is_pending_for_all_but_its_sender() {
    let mut table = table(4);
    let kiwi = update("AT Hill +0.000000000 kiwi +1+1 1");
    assert_eq!(table.admit(&kiwi, 0, 0, Source::Neighbour(0)), Admission::Newcomer);
    assert_eq!((table.pending().count(0), table.pending().count(1)), (0, 1));
    let (update, age_s) = table.take_pending(1, 7).expect("pending");
    assert_eq!((update.client.as_bytes(), age_s), (&b"kiwi"[..], 7));
    assert!(table.take_pending(1, 7).is_none());
}

#[test]
fn an_update_from_a_neighbour_clears_its_bit() {
    let mut table = table(4);
    let kiwi = update("AT Hill +0.000000000 kiwi +1+1 1");
    table.admit(&kiwi, 0, 0, Source::Client { quota_key: QuotaKey::EXEMPT });
    assert_eq!(table.admit(&kiwi, 0, 0, Source::Neighbour(1)), Admission::Duplicate);
    assert_eq!((table.pending().count(0), table.pending().count(1)), (1, 0));
}

#[test]
fn a_repeat_at_its_origin_is_a_duplicate() {
    let mut table = table(4);
    assert_eq!(
        table.admit(
            &update("AT Hill +0.000000001 kiwi +1+1 1"),
            0,
            0,
            Source::Client { quota_key: QuotaKey::EXEMPT }
        ),
        Admission::Newcomer
    );
    let again = update("AT Hill +5.000000000 kiwi +1+1 1.0");
    assert_eq!(
        table.admit(&again, 0, 0, Source::Client { quota_key: QuotaKey::EXEMPT }),
        Admission::Duplicate
    );
    assert_eq!(table.admit(&again, 0, 0, Source::Neighbour(0)), Admission::News);
}

#[test]
fn entries_age_by_the_steady_clock() {
    let mut table = table(4);
    let kiwi = update("AT Hill +0.000000000 kiwi +1+1 1");
    assert_eq!(
        table.admit(&kiwi, -100, 0, Source::Client { quota_key: QuotaKey::EXEMPT }),
        Admission::TooOld
    );
    table.admit(&kiwi, 0, 0, Source::Client { quota_key: QuotaKey::EXEMPT });
    assert_eq!(table.advertised(89).count(), 1);
    assert_eq!(table.advertised(90).count(), 0, "the last tenth is not advertised");
    assert!(table.take_pending(0, 90).is_none());
    assert!(table.get(&kiwi.client, 99).is_some());
    assert!(table.get(&kiwi.client, 100).is_none());
    assert_eq!(
        table.admit(&kiwi, 100, 100, Source::Client { quota_key: QuotaKey::EXEMPT }),
        Admission::Newcomer,
        "an expired entry does not count"
    );
    assert_eq!(table.sweep(200, |_| false), 1);
    assert!(table.is_empty());
}

/// A subscriber that reads all entries in pieces and receives the changes.
struct Watcher {
    known: BTreeMap<Vec<u8>, Sighting>,
    next: Option<usize>,
}

impl Watcher {
    fn take(&mut self, update: &UpdateRef) {
        self.known.insert(update.client.as_bytes().to_vec(), *update.sighting);
    }

    fn changes(&mut self, table: &mut Table<64>, most: usize) {
        for _ in 0..most {
            let Some((update, _)) = table.take_changed(0) else { break };
            self.take(&update);
        }
    }

    fn step(&mut self, table: &Table<64>) {
        self.next = self.next.and_then(|end| {
            let (slot, update, _) = table.below(end, 0)?;
            self.take(&update);
            Some(slot)
        });
    }
}

proptest! {
    #[test]
    fn a_subscriber_gets_every_entry(
        before in many(),
        meanwhile in proptest::collection::vec((many(), 0..4_usize, proptest::option::of("[a-h]")), 0..12),
        capacity in 2..9_usize,
    ) {
        let mut table = table(capacity);
        for update in &before {
            table.admit(update, 0, 0, Source::Neighbour(0));
        }
        table.watch(true);
        let mut watcher = Watcher { known: BTreeMap::new(), next: Some(usize::MAX) };
        for (updates, most, gone) in meanwhile {
            watcher.step(&table);
            for update in updates.iter().take(3) {
                table.admit(update, 0, 0, Source::Neighbour(0));
            }
            if let Some(gone) = gone {
                // Like a node that leaves the configuration: the entries of its clients go.
                let sighting = table.get(&ClientId::parse(gone.as_bytes()).expect("a letter"), 0).copied();
                table.sweep(0, |other| Some(other) == sighting.as_ref());
            }
            watcher.changes(&mut table, most);
        }
        while watcher.next.is_some() {
            watcher.step(&table);
        }
        watcher.changes(&mut table, usize::MAX);
        for update in contents(&table) {
            prop_assert_eq!(watcher.known.get(update.client.as_bytes()), Some(&update.sighting));
        }
    }
}

#[test]
fn expired_entries_are_not_reported() {
    let mut table = table(8);
    table.watch(true);
    table.admit(&update("AT Hill +0.000000000 kiwi +1+1 1"), 0, 0, Source::Neighbour(0));
    assert_eq!(table.below(usize::MAX, 7).map(|(slot, _, age_s)| (slot, age_s)), Some((0, 7)));
    let late = i32::try_from(AGE_S_MAX).expect("a hundred");
    assert!(table.below(usize::MAX, late).is_none() && table.take_changed(late).is_none());
}
