//! Reads places files: the format, the places near a position, and the layout of an answer.

pub(crate) mod encode;
pub mod format;
pub(crate) mod kind;
pub mod nearest;
pub(crate) mod offline;
pub(crate) mod pair_encoding;
pub mod render;
pub(crate) mod scan;
pub mod towns;
