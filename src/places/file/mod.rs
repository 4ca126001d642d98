//! Places files: their format, what is near a position in one, and how an answer looks.

pub(crate) mod encode;
pub mod format;
pub(crate) mod kind;
pub mod nearest;
pub(crate) mod offline;
pub(crate) mod pair_encoding;
pub mod render;
pub(crate) mod scan;
