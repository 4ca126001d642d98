//! `herd_fuzz::phone_request` as a target of cargo-fuzz. A build without cargo-fuzz runs it on the files that the arguments
//! name.

#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|data: &[u8]| herd_fuzz::phone_request(data));

#[cfg(not(fuzzing))]
fn main() {
    herd_fuzz::replay(herd_fuzz::phone_request);
}
