//! `herd_fuzz::node_ops` for cargo-fuzz: see `herd_fuzz::target`.

#![cfg_attr(fuzzing, no_main)]
herd_fuzz::target!(node_ops);
