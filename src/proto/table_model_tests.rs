//! Compares the table with a simple model, and checks the laws of merging.
//!
//! The model is a `BTreeMap` and a few sets. It implements each operation a second time, without the table's
//! heap, slots and bits.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::digest::{Salt, buckets};
use crate::fields::{ClientTime, Position};
use crate::names::Names;
use crate::time::Timestamp;
use crate::update::tests::names;

const NEIGHBOURS: usize = 3;
const QUOTA: u32 = 2;
const LIFE_S: i32 = 100;
/// The node does not advertise an entry in the last tenth of its life.
const TOLD_S: i32 = 90;

type Client = Vec<u8>;

#[derive(Clone, Debug)]
enum Op {
    Admit {
        update: Update,
        age_s: i32,
        from: Source,
    },
    TakePending {
        neighbour: usize,
    },
    /// The entries of every second client become pending.
    OweHalf {
        neighbour: usize,
        odd: bool,
    },
    Wait {
        s: i32,
    },
    Sweep,
    /// A node leaves the configuration.
    Drop {
        origin: NodeId,
    },
}

struct Model {
    capacity: usize,
    now_s: i32,
    entries: BTreeMap<Client, (Sighting, i32)>,
    holders: BTreeMap<Client, QuotaKey>,
    pending: [BTreeSet<Client>; NEIGHBOURS],
    evicted: u64,
}

impl Model {
    fn new(capacity: usize) -> Self {
        let (entries, holders) = (BTreeMap::new(), BTreeMap::new());
        Model { capacity, now_s: 0, entries, holders, pending: Default::default(), evicted: 0 }
    }

    fn is_expired(&self, heard_s: i32) -> bool {
        self.now_s - heard_s >= LIFE_S
    }

    fn is_advertised(&self, client: &Client) -> bool {
        self.entries.get(client).is_some_and(|(_, heard_s)| self.now_s - heard_s < TOLD_S)
    }

    /// The addresses of the tests share no counter, so the counts must be equal.
    fn allows(&self, from: Source, client: Option<&Client>) -> bool {
        let quota_key = from.quota_key();
        let holds = self.holders.values().filter(|holder| **holder == quota_key).count();
        quota_key == QuotaKey::EXEMPT
            || client.is_some_and(|client| self.holders[client] == quota_key)
            || holds < QUOTA as usize
    }

    fn forget(&mut self, client: &Client) {
        self.entries.remove(client);
        self.holders.remove(client);
        for pending in &mut self.pending {
            pending.remove(client);
        }
    }

    fn smallest(&self) -> Option<(Client, Sighting)> {
        let order = |a: &(&Client, &(Sighting, i32)), b: &(&Client, &(Sighting, i32))| {
            a.1.0.compare(&b.1.0).then_with(|| a.0.cmp(b.0))
        };
        let (client, (sighting, _)) = self.entries.iter().min_by(order)?;
        Some((client.clone(), *sighting))
    }

    fn admit(&mut self, update: &Update, heard_s: i32, from: Source) -> Admission {
        if self.is_expired(heard_s) {
            return Admission::TooOld;
        }
        let (client, new) = (update.client.as_bytes().to_vec(), update.sighting);
        if self.entries.get(&client).is_some_and(|(_, heard_s)| self.is_expired(*heard_s)) {
            self.forget(&client);
        }
        let admission = match self.entries.get(&client).map(|(old, _)| *old) {
            Some(old) => {
                let is_client = matches!(from, Source::Client { .. });
                let same_place = old.origin == new.origin && old.position == new.position;
                if is_client && same_place && old.time.compare(&new.time).is_eq() {
                    return Admission::Duplicate;
                }
                match new.compare(&old) {
                    Ordering::Less => return Admission::Stale,
                    Ordering::Equal => {
                        if let Source::Neighbour(neighbour) = from {
                            self.pending[neighbour].remove(&client);
                        }
                        return Admission::Duplicate;
                    }
                    Ordering::Greater if !self.allows(from, Some(&client)) => return Admission::OverQuota,
                    Ordering::Greater => Admission::News,
                }
            }
            None => {
                if self.entries.len() == self.capacity {
                    let (smallest, sighting) = self.smallest().expect("the model is full");
                    if new.compare(&sighting).then_with(|| client.cmp(&smallest)).is_lt() {
                        return Admission::BelowFloor;
                    }
                    if !self.allows(from, None) {
                        return Admission::OverQuota;
                    }
                    self.forget(&smallest);
                    self.evicted += 1;
                }
                if !self.allows(from, None) {
                    return Admission::OverQuota;
                }
                Admission::Newcomer
            }
        };
        self.entries.insert(client.clone(), (new, heard_s));
        self.holders.insert(client.clone(), from.quota_key());
        for (neighbour, pending) in self.pending.iter_mut().enumerate() {
            if from == Source::Neighbour(neighbour) {
                pending.remove(&client);
            } else {
                pending.insert(client.clone());
            }
        }
        admission
    }

    fn retain(&mut self, keep: impl Fn(&Sighting, i32) -> bool) -> usize {
        let gone = self.entries.iter().filter(|(_, (sighting, heard_s))| !keep(sighting, *heard_s));
        let gone: Vec<Client> = gone.map(|(client, _)| client.clone()).collect();
        gone.iter().for_each(|client| self.forget(client));
        gone.len()
    }

    /// The entries that are pending for a neighbour and not too old to send.
    fn advertised(&self, neighbour: usize) -> BTreeSet<Client> {
        self.pending[neighbour].iter().filter(|client| self.is_advertised(client)).cloned().collect()
    }
}

fn is_odd(client: &[u8]) -> bool {
    client[0] % 2 == 1
}

fn play(table: &mut Table<16>, model: &mut Model, op: &Op) {
    let now_s = model.now_s;
    match op {
        Op::Admit { update, age_s, from } => {
            let heard_s = now_s - age_s;
            assert_eq!(table.admit(update, heard_s, now_s, *from), model.admit(update, heard_s, *from));
        }
        Op::TakePending { neighbour } => {
            let advertised = model.advertised(*neighbour);
            match table.take_pending(*neighbour, now_s) {
                None => assert!(advertised.is_empty(), "{advertised:?} is pending"),
                Some((update, age_s)) => {
                    let client = update.client.as_bytes().to_vec();
                    assert!(advertised.contains(&client), "{client:?} is not pending");
                    let (sighting, heard_s) = model.entries[&client];
                    assert_eq!(
                        (*update.sighting, i32::try_from(age_s)),
                        (sighting, Ok((now_s - heard_s).max(0)))
                    );
                    model.pending[*neighbour].remove(&client);
                }
            }
        }
        Op::OweHalf { neighbour, odd } => {
            let half: Vec<Client> =
                model.entries.keys().filter(|client| is_odd(client) == *odd).cloned().collect();
            let half: Vec<Client> = half.into_iter().filter(|client| model.is_advertised(client)).collect();
            let count = table
                .mark_pending_where(*neighbour, now_s, |update| is_odd(update.client.as_bytes()) == *odd);
            assert_eq!(count, half.len());
            model.pending[*neighbour].extend(half);
        }
        Op::Wait { s } => model.now_s += s,
        Op::Sweep => {
            let swept = model.retain(|_, heard_s| now_s - heard_s < LIFE_S);
            assert_eq!(table.sweep(now_s, |_| false), swept);
        }
        Op::Drop { origin } => {
            let swept =
                model.retain(|sighting, heard_s| sighting.origin != *origin && now_s - heard_s < LIFE_S);
            assert_eq!(table.sweep(now_s, |sighting| sighting.origin == *origin), swept);
        }
    }
}

fn compare(table: &Table<16>, model: &Model) {
    let held: BTreeMap<Client, (Sighting, i32)> = table
        .map
        .iter()
        .map(|(key, entry)| (key.client.as_bytes().to_vec(), (entry.sighting, entry.heard_s)))
        .collect();
    assert_eq!(held, model.entries);
    assert_eq!((table.len(), table.evicted()), (model.entries.len(), model.evicted));
    for (client, (sighting, heard_s)) in &model.entries {
        let id = ClientId::parse(client).expect("a token");
        assert_eq!(table.get(&id, model.now_s), (!model.is_expired(*heard_s)).then_some(sighting));
    }
    let floor = table.floor().map(|floor| (floor.client.as_bytes().to_vec(), *floor.sighting));
    assert_eq!(floor, model.smallest().filter(|_| model.entries.len() == model.capacity));
    for neighbour in 0..NEIGHBOURS {
        let slots = table.map.keys().enumerate().filter(|(slot, _)| table.pending.is_set(neighbour, *slot));
        let pending: BTreeSet<Client> = slots.map(|(_, key)| key.client.as_bytes().to_vec()).collect();
        assert_eq!(pending.len(), table.pending.count(neighbour), "a pending bit implies an entry");
        // The table may clear the bits of entries that are too old to send when it searches for others.
        assert!(pending.is_subset(&model.pending[neighbour]));
        assert!(model.advertised(neighbour).is_subset(&pending));
    }
    let advertised = table.advertised(model.now_s).count();
    assert_eq!(advertised, model.entries.keys().filter(|client| model.is_advertised(client)).count());
}

fn table_of(capacity: usize) -> Box<Table<16>> {
    let mut table = Box::new(Table::new());
    table.start(capacity, LIFE_S.unsigned_abs(), (1, 2), NEIGHBOURS);
    table.set_clients_per_address(QUOTA);
    table
}

fn any_origin() -> impl Strategy<Value = NodeId> {
    (0..3_usize).prop_map(|index| names().id(index).expect("there are three"))
}

fn any_update() -> impl Strategy<Value = Update> {
    let times = prop_oneof![Just("1"), Just("1.0"), Just("2"), Just("3"), Just("4"), Just("-5.5")];
    let positions = prop_oneof![Just("+1+1"), Just("-1+1")];
    (any_origin(), 0..2_i64, "[a-h]", positions, times).prop_map(|(origin, heard, client, position, time)| {
        let time = ClientTime::parse(time.as_bytes()).expect("of the list");
        let position = Position::parse(position.as_bytes()).expect("of the list");
        let heard = Timestamp(heard * 2_500_000_000);
        let sighting = Sighting::trusted(time, origin, position, heard);
        Update { client: ClientId::parse(client.as_bytes()).expect("one letter"), sighting }
    })
}

fn any_op() -> impl Strategy<Value = Op> {
    let from = prop_oneof![
        2 => (0..4_u8).prop_map(|n| Source::Client {
            quota_key: if n == 0 { QuotaKey::EXEMPT } else { QuotaKey::of_tag([n; 3]) },
        }),
        3 => (0..NEIGHBOURS).prop_map(Source::Neighbour),
    ];
    prop_oneof![
        8 => (any_update(), 0..110_i32, from).prop_map(|(update, age_s, from)| {
            // Updates of own clients are new; most updates of neighbours are young.
            let age_s = if matches!(from, Source::Client { .. }) { 0 } else { age_s * age_s / 110 };
            Op::Admit { update, age_s, from }
        }),
        4 => (0..NEIGHBOURS).prop_map(|neighbour| Op::TakePending { neighbour }),
        1 => (0..NEIGHBOURS, any::<bool>()).prop_map(|(neighbour, odd)| Op::OweHalf { neighbour, odd }),
        1 => (0..60_i32).prop_map(|s| Op::Wait { s }),
        1 => Just(Op::Sweep),
        1 => any_origin().prop_map(|origin| Op::Drop { origin }),
    ]
}

/// The table after these updates in this order.
fn merged<'a>(
    capacity: usize,
    updates: impl IntoIterator<Item = &'a Update>,
) -> (Vec<String>, crate::digest::Buckets) {
    let names: Names = names();
    let mut table = table_of(capacity);
    for update in updates {
        table.admit(update, 0, 0, Source::Neighbour(0));
    }
    let mut held: Vec<String> = table.advertised(0).map(|update| format!("{update:?}")).collect();
    held.sort();
    (held, buckets(&table, &names, 0, None, Salt { round: 3, secret: 4 }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_table_matches_the_model(
        capacity in 1..=8_usize,
        ops in proptest::collection::vec(any_op(), 0..120),
    ) {
        let (mut table, mut model) = (table_of(capacity), Model::new(capacity));
        for op in &ops {
            play(&mut table, &mut model, op);
            compare(&table, &model);
        }
    }

    /// Merging is commutative and associative: the order of the sets and of their elements does not matter. It
    /// is idempotent: repeated updates do not matter. This also holds if the table is full.
    #[test]
    fn merging_is_of_sets(
        capacity in 1..=8_usize,
        a in proptest::collection::vec(any_update(), 0..12),
        b in proptest::collection::vec(any_update(), 0..12),
        c in proptest::collection::vec(any_update(), 0..12),
        turn in any::<proptest::sample::Index>(),
    ) {
        let expected = merged(capacity, a.iter().chain(&b).chain(&c));
        prop_assert_eq!(&merged(capacity, c.iter().chain(&a).chain(&b)), &expected);
        prop_assert_eq!(&merged(capacity, b.iter().rev().chain(&c).chain(&a)), &expected);
        let mut all: Vec<&Update> = a.iter().chain(&b).chain(&c).collect();
        prop_assert_eq!(&merged(capacity, all.iter().copied().chain(all.iter().copied())), &expected);
        if !all.is_empty() {
            let at = turn.index(all.len());
            all.rotate_left(at);
            prop_assert_eq!(&merged(capacity, all), &expected);
        }
    }

    /// A small table holds the newest entries of a large one.
    #[test]
    fn a_small_table_is_a_prefix_of_a_large_one(
        small in 1..=8_usize,
        updates in proptest::collection::vec(any_update(), 0..30),
    ) {
        let hold = |capacity| {
            let mut table = table_of(capacity);
            for update in &updates {
                table.admit(update, 0, 0, Source::Neighbour(0));
            }
            let mut held: Vec<Update> = table
                .advertised(0)
                .map(|update| Update { client: update.client.clone(), sighting: *update.sighting })
                .collect();
            held.sort_by(|a, b| b.borrowed().compare(&a.borrowed()));
            held
        };
        let (large, small) = (hold(8), hold(small));
        prop_assert_eq!(&small[..], &large[..small.len()]);
    }
}
