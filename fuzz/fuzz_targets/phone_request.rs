//! `herd_fuzz::phone_request` for cargo-fuzz: see `herd_fuzz::target`.

#![cfg_attr(fuzzing, no_main)]
herd_fuzz::target!(phone_request);
