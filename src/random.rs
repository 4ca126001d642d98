//! Random bytes from the kernel.

use std::io;

/// Fills these bytes.
///
/// # Errors
/// The system has none: on Linux it has always, once it has started.
#[cfg(target_os = "linux")]
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    // The kernel gives up to 256 bytes in one piece (getrandom(2)).
    for piece in bytes.chunks_mut(256) {
        let filled = rustix::rand::getrandom(&mut *piece, rustix::rand::GetRandomFlags::empty())?;
        debug_assert_eq!(filled, piece.len());
    }
    Ok(())
}

/// Fills these bytes.
///
/// # Errors
/// The error of reading `/dev/urandom`.
#[cfg(not(target_os = "linux"))]
pub fn fill(bytes: &mut [u8]) -> io::Result<()> {
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, bytes)
}
