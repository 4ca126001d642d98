//! Starts threads. One function for all, because std compiles what it does around a thread anew for each type of closure: a
//! kilobyte.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread with this name and this stack, in bytes of address space.
///
/// # Errors
/// The system has no room for another thread.
pub(crate) fn spawn(
    name: &str,
    stack_bytes: usize,
    run: Box<dyn FnOnce() + Send>,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).stack_size(stack_bytes).spawn(run)
}
