//! The simulator itself: that it repeats, and that it is not blind.

use super::{Options, run};

#[test]
fn a_seed_repeats_to_the_last_byte() {
    for seed in [3, 17, 40] {
        let once = run(seed, &Options::default()).unwrap_or_else(|failure| panic!("{failure}"));
        let again = run(seed, &Options::default()).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(once, again);
    }
}

#[test]
fn seeds_differ() {
    let hash = |seed| run(seed, &Options::default()).unwrap_or_else(|failure| panic!("{failure}")).hash;
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_hundred_seeds_hold() {
    for seed in 0..100 {
        run(seed, &Options::default()).unwrap_or_else(|failure| panic!("{failure}"));
    }
}
