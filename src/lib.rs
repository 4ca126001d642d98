//! An application server herd for small boards.

pub mod cli;
pub mod config;
pub mod places;
pub mod proto;
pub mod shell;
