//! Schedules queries: a bounded queue where addresses take turns, worker threads, the engine, and cached answers.

pub mod cache;
pub(crate) mod engine;
pub(crate) mod lanes;
pub(crate) mod worker;
