//! `herd_fuzz::link_line`, for cargo-fuzz; built otherwise, it plays the files that it is given.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| herd_fuzz::link_line(data));

#[cfg(not(fuzzing))]
fn main() {
    herd_fuzz::replay(herd_fuzz::link_line);
}
