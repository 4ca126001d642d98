//! Random bytes for a node, whose lack is a reason not to run.

use super::RunError;

/// Fills these bytes.
///
/// # Errors
/// [`RunError::System`] when the system has none.
pub(super) fn fill_random(bytes: &mut [u8]) -> Result<(), RunError> {
    crate::random::fill(bytes).map_err(|error| RunError::System { what: "random bytes", error })
}

/// Four words of them.
///
/// # Errors
/// As [`fill_random`].
pub(super) fn random_words() -> Result<[u64; 4], RunError> {
    let mut bytes = [0; 32];
    fill_random(&mut bytes)?;
    let word = |i: usize| u64::from_le_bytes(bytes[8 * i..8 * i + 8].try_into().expect("eight bytes"));
    Ok([word(0), word(1), word(2), word(3)])
}
