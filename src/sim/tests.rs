//! Tests of the simulator itself: a run is reproducible, and the seeds reach every counter.

use super::{Options, Summary, run};

fn held(seed: u64, options: &Options) -> Summary {
    run(seed, options).unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn a_seed_repeats_to_the_last_byte() {
    for seed in [3, 17, 40] {
        assert_eq!(held(seed, &Options::default()), held(seed, &Options::default()));
    }
    let hashes = [1, 2].map(|seed| held(seed, &Options::default()).hash);
    assert_ne!(hashes[0], hashes[1], "seeds differ");
}

#[test]
fn two_hundred_seeds_reach_every_counter() {
    let mut sums: Vec<(&str, u64)> = vec![];
    for seed in 0..200 {
        let counters = held(seed, &Options::default()).counters;
        if sums.is_empty() {
            sums = counters;
        } else {
            sums.iter_mut().zip(counters).for_each(|((_, sum), (_, value))| *sum += value);
        }
    }
    for (name, sum) in sums {
        assert_ne!(sum, 0, "{name}");
    }
}

#[test]
fn a_herd_of_any_size_holds() {
    for (seed, nodes) in [(1, 2), (2, 40), (5, 40), (6, 40), (7, 40)] {
        let options = Options { nodes: Some(nodes), updates: Some(30), trace: false };
        assert!(held(seed, &options).plan.contains(&format!("of {nodes} nodes")));
    }
}
