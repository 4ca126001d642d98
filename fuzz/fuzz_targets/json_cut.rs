//! `herd_fuzz::json_cut` for cargo-fuzz: see `herd_fuzz::target`.

#![cfg_attr(fuzzing, no_main)]
herd_fuzz::target!(json_cut);
