//! Who is asked when: a bounded queue in which addresses have turns, worker threads, one query's way, and kept answers.

pub mod cache;
pub(crate) mod engine;
pub(crate) mod lanes;
pub(crate) mod worker;
