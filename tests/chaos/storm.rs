//! A storm from beginning to end: the herd is made, everything happens to it, it is healed, and then it must be whole.
//!
//! What must hold: no AT line that was not issued, ever; no demand of the ledger that is not met, ever; every request
//! answered, in order; no process that ends on its own; and after the storm, within [`EQUAL_WITHIN`], equal tables,
//! with memory and descriptors within their bounds.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Line, Wrong};
use crate::ledger::{Ledger, time_of};
use crate::load::{CLIENTS, Client, IDS_PER_CLIENT, SILENT_EVERY, id_of};
use crate::nodes::{Nodes, Shared};
use crate::plan::Storm;
use crate::world::{NAMES, World, client_address, write_map};
use herd_test_support::{key, places_file};

/// Until the tables are equal: a link that died unseen is cut after 30 s, and dialled again after another 30 at most.
const EQUAL_WITHIN: Duration = Duration::from_secs(90);
const LINKS_WITHIN: Duration = Duration::from_secs(60);
/// A node with 3,000 clients known, after all that: in its release build, and with the assertions of a debug build.
const PRIVATE_KIB_MAX: u64 = if cfg!(debug_assertions) { 2048 } else { 1536 };
/// Listeners, links, reactor, places, standard streams: what is left when all clients have gone.
const DESCRIPTORS_MAX: u64 = 48;
/// Of the clients that were acknowledged, so many in a hundred have a newest update that must be there at the end.
const DEMANDED_PERCENT_MIN: usize = 60;
const PATIENCE: Duration = Duration::from_secs(20);

type Table = Vec<Option<String>>;

pub(crate) fn run(folder: &Path, minutes: f64, seed: u64) -> Result<(), String> {
    the_ledger_is_not_blind()?;
    let ledger = Shared::new();
    let world = World::make()?;
    let map = write_map(folder, &fresh_key()?, &places_file())?;
    let mut nodes = Nodes::new(folder, map, ledger.clone());
    for node in (0..NAMES.len()).rev() {
        nodes.start(node)?;
        nodes.wait_for(node)?;
    }
    wait_for_links(&ledger)?;
    println!("storm: {minutes} minutes, seed {seed}; events and logs in {}", folder.display());
    let log = File::create(folder.join("events.log")).map_err(|error| error.to_string())?;
    let mut storm = Storm::new(world, nodes, ledger.clone(), seed, log);
    let length = Duration::from_secs_f64(minutes * 60.0);
    let healed = rage(&mut storm, &ledger, length, seed)?;
    let counts: Vec<String> = storm.counts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    let sound_percent = 100 * storm.sound.0 / storm.sound.1.max(1);
    println!("happened: {}; {sound_percent} of 100 edges were sound", counts.join(", "));
    println!("frames: {}", storm.world.figures()?);
    let table = wait_for_equal_tables(healed, &ledger)?;
    judge(&ledger, &table);
    look_at(&mut storm.nodes, &ledger);
    for node in 0..NAMES.len() {
        storm.nodes.terminate(node);
    }
    let ledger = ledger.lock();
    if ledger.faults.is_empty() { Ok(()) } else { Err(ledger.faults.join("\n")) }
}

/// 64 random hex digits.
fn fresh_key() -> Result<String, String> {
    let mut bytes = [0; 8];
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    filled.map_err(|error| format!("random bytes: {error}"))?;
    Ok(key(u64::from_ne_bytes(bytes)))
}

fn wait_for_links(ledger: &Shared) -> Result<(), String> {
    let begin = Instant::now();
    while !ledger.lock().all_links_are_up() {
        if begin.elapsed() > LINKS_WITHIN {
            return Err(format!("not all links are up after {LINKS_WITHIN:?}"));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The storm with its clients. When it is over, or has shown a fault, all is healed and the clients have gone. Says when
/// that began.
fn rage(storm: &mut Storm, ledger: &Shared, length: Duration, seed: u64) -> Result<Instant, String> {
    let is_over = AtomicBool::new(false);
    let silent_from = Instant::now() + length.mul_f64(0.6);
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let client = Client::new(number, seed, ledger.clone(), silent_from);
            let is_over = &is_over;
            scope.spawn(move || client.run(is_over));
        }
        let raged = storm.rage(length);
        is_over.store(true, Ordering::Relaxed);
        let healed = Instant::now();
        raged.and_then(|()| storm.heal()).map(|()| healed)
    })
}

/// Asks a node for all it may know.
fn table_of(node: usize) -> Result<Table, Wrong> {
    const AT_ONCE: usize = 50;
    let mut line = Line::connect(client_address(node), PATIENCE)?;
    let queries: Vec<String> = (0..CLIENTS)
        .flat_map(|client| {
            (0..IDS_PER_CLIENT).map(move |index| format!("WHATSAT {} 0 0", id_of(client, index)))
        })
        .collect();
    let mut table = Vec::with_capacity(queries.len());
    for some in queries.chunks(AT_ONCE) {
        line.send(format!("{}\n", some.join("\n")).as_bytes())?;
        for query in some {
            table.push(line.whatsat(query)?);
        }
    }
    Ok(table)
}

fn tables() -> Vec<Result<Table, Wrong>> {
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..NAMES.len()).map(|node| scope.spawn(move || table_of(node))).collect();
        asking.into_iter().map(|asked| asked.join().expect("it does not panic")).collect()
    })
}

fn wait_for_equal_tables(healed: Instant, ledger: &Shared) -> Result<Table, String> {
    loop {
        let asked = healed.elapsed();
        let tables = tables();
        let whole: Vec<&Table> = tables.iter().filter_map(|table| table.as_ref().ok()).collect();
        if whole.len() == NAMES.len() && whole.iter().all(|table| *table == whole[0]) {
            println!("equal tables when asked {:.1} s after the end of the storm", asked.as_secs_f64());
            return Ok(whole[0].clone());
        }
        let fault = !ledger.lock().faults.is_empty();
        if asked > EQUAL_WITHIN || fault {
            let mut what =
                vec![format!("no equal tables {:.0} s after the end of the storm", asked.as_secs_f64())];
            what.extend(ledger.lock().faults.clone());
            what.extend(differences(&tables));
            return Err(what.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

/// How many ids each node answers otherwise than the first, and one of them.
fn differences(tables: &[Result<Table, Wrong>]) -> Vec<String> {
    let Ok(first) = &tables[0] else { return vec![format!("{} does not answer", NAMES[0])] };
    let mut differences = Vec::new();
    for (name, table) in NAMES.iter().zip(tables) {
        match table {
            Ok(table) => {
                let others: Vec<usize> = (0..table.len()).filter(|at| table[*at] != first[*at]).collect();
                if let Some(&at) = others.first() {
                    let (its, firsts) = (&table[at], &first[at]);
                    differences.push(format!(
                        "{name} differs in {}, such as {its:?}; {}: {firsts:?}",
                        others.len(),
                        NAMES[0]
                    ));
                }
            }
            Err(wrong) => differences.push(format!("{name}: {wrong}")),
        }
    }
    differences
}

/// Holds the one table of all nodes against the ledger.
fn judge(ledger: &Shared, table: &Table) {
    let mut ledger = ledger.lock();
    let (mut known, mut demanded, mut demanded_silent, mut retained) = (0, 0, 0, 0);
    for (at, answer) in table.iter().enumerate() {
        let id = id_of(at / IDS_PER_CLIENT, at % IDS_PER_CLIENT);
        if let Some(answer) = answer {
            ledger.seen("the herd", answer);
        }
        let Some(newest) = ledger.newest.get(&id).copied() else { continue };
        known += 1;
        let has = answer.as_deref().and_then(time_of);
        let least = (0..NAMES.len()).filter_map(|node| ledger.surely(node, &id)).max();
        if least.is_some_and(|least| has.is_none_or(|has| has < least)) {
            ledger.fault(format!("an update of {id} of {least:?} ns must be there, and there is {answer:?}"));
        }
        demanded += usize::from(least >= Some(newest));
        demanded_silent +=
            usize::from(least >= Some(newest) && (at % IDS_PER_CLIENT).is_multiple_of(SILENT_EVERY));
        retained += usize::from(has >= Some(newest));
    }
    let c = ledger.counts;
    println!(
        "clients: {} updates acknowledged, {} not; {} queries, {} of which had to know an update; {} lines sent back",
        c.acknowledged, c.lost, c.queries, c.demands, c.echoes
    );
    println!(
        "nodes that ended held {} newest updates, of which {} had to live on with a neighbour",
        c.held_at_ends, c.survived_ends
    );
    println!(
        "at the end: the newest acknowledged update of {demanded} of {known} clients had to be there ({demanded_silent} of them silent since the storm's middle), and of {retained} it was"
    );
    if demanded * 100 < known * DEMANDED_PERCENT_MIN || known * 2 < table.len() {
        ledger.fault(format!("only {demanded} of {known} could be demanded: this storm proves too little"));
    }
}

/// What the processes hold when all clients have gone.
fn look_at(nodes: &mut Nodes, ledger: &Shared) {
    // A node sees them go in its own time.
    std::thread::sleep(Duration::from_secs(2));
    nodes.look_after();
    for (node, name) in NAMES.iter().enumerate() {
        let Some(look) = nodes.look(node) else { continue };
        println!(
            "{name}: {} KiB of private memory ({} anonymous), {} descriptors",
            look.private_kib, look.anonymous_kib, look.descriptors
        );
        if look.private_kib > PRIVATE_KIB_MAX || look.descriptors > DESCRIPTORS_MAX {
            let bounds = format!("{PRIVATE_KIB_MAX} KiB, {DESCRIPTORS_MAX} descriptors");
            ledger.lock().fault(format!("{name} is over its bounds: {bounds}"));
        }
    }
}

/// The ledger finds what it is there to find, or nothing that it says is worth anything.
fn the_ledger_is_not_blind() -> Result<(), String> {
    let command = "IAMAT kiwi +1.5-1.5 100.000000001";
    let at = "AT Hill +0.000000001 kiwi +1.5-1.5 100.000000001";
    type Spoil = fn(&mut Ledger);
    let spoilt: [(&str, Spoil); 5] = [
        ("another skew", |l| l.seen("Smith", "AT Hill +0.000000002 kiwi +1.5-1.5 100.000000001")),
        ("another position", |l| l.seen("Smith", "AT Hill +0.000000001 kiwi +1.5-1.6 100.000000001")),
        ("another node", |l| l.seen("Smith", "AT Smith +0.000000001 kiwi +1.5-1.5 100.000000001")),
        ("nothing at all", |l| l.answered(0, "kiwi", l.surely(0, "kiwi"), None)),
        ("an older update", |l| {
            l.issues(0, "IAMAT kiwi +1.5-1.5 99.000000001");
            let older = "AT Hill +0.000000001 kiwi +1.5-1.5 99.000000001";
            l.answered(0, "kiwi", l.surely(0, "kiwi"), Some(older));
        }),
    ];
    for (what, spoil) in spoilt {
        let mut ledger = Ledger::new();
        ledger.issues(0, command);
        ledger.acknowledged(0, 0, at);
        ledger.answered(0, "kiwi", ledger.surely(0, "kiwi"), Some(at));
        if !ledger.faults.is_empty() {
            return Err(format!("the ledger finds fault with what is right: {}", ledger.faults.join(", ")));
        }
        spoil(&mut ledger);
        if ledger.faults.is_empty() {
            return Err(format!("the ledger is blind to {what}"));
        }
    }
    Ok(())
}
