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

/// Updates of many clients with few times, so that ties and evictions are common.
fn many() -> impl Strategy<Value = Vec<Update>> {
    let update = (any_update(), "[a-h]").prop_map(|(update, client)| Update {
        client: ClientId::parse(client.as_bytes()).expect("one letter"),
        ..update
    });
    proptest::collection::vec(update, 0..40)
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
