//! What the commands do: one file each.

#[cfg(feature = "up")]
pub(super) mod clients;
#[cfg(feature = "up")]
pub(super) mod init;
#[cfg(feature = "up")]
mod output;
pub(super) mod places;
pub(super) mod send;
pub(super) mod serve;
pub(super) mod status;
#[cfg(feature = "up")]
mod supervise;
mod terminal;
#[cfg(feature = "up")]
pub(super) mod up;
