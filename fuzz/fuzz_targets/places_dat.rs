//! `herd_fuzz::places_dat` for cargo-fuzz: see `herd_fuzz::target`.

#![cfg_attr(fuzzing, no_main)]
herd_fuzz::target!(places_dat);
