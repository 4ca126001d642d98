//! What the commands do: one file each.

#[cfg(feature = "tools")]
pub(super) mod clients;
#[cfg(feature = "tools")]
pub(super) mod init;
#[cfg(feature = "tools")]
pub(super) mod key;
#[cfg(feature = "tools")]
pub(super) mod nodes;
#[cfg(feature = "up")]
mod output;
#[cfg(feature = "import")]
pub(super) mod places;
pub(super) mod send;
pub(super) mod serve;
pub(super) mod status;
#[cfg(feature = "up")]
mod supervise;
mod terminal;
pub(super) mod token;
#[cfg(feature = "up")]
pub(super) mod up;
