//! The flags of the commands: a table, the parser that it drives, and the help and manual page made of it.

mod command;
#[cfg(test)]
mod completions;
mod entry;
pub(super) mod help;
#[cfg(test)]
mod man;
pub(super) mod parse;
mod table;
