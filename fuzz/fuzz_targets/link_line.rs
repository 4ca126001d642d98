//! `herd_fuzz::link_line` for cargo-fuzz: see `herd_fuzz::target`.

#![cfg_attr(fuzzing, no_main)]
herd_fuzz::target!(link_line);
