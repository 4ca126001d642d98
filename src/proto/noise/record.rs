//! Records: an encrypted line each, and its length.
//!
//! ```text
//! length[2] || ciphertext || tag[16]
//! ```
//!
//! The length is that of ciphertext and tag, big-endian. The plaintext is the line, LF, and zeros up to the next size
//! of [`SIZES`]: an observer learns the size, not the length of a line. Ciphertext and tag are a transport message of
//! the Noise framework. The length needs no authentication of its own: a wrong one changes what the tag covers.
//!
//! Each direction has its own key and counter. So a record that is replayed, reordered, reflected, or that follows a
//! dropped one, does not open, and the link ends. After [`REKEY_RECORDS`] records a direction replaces its key.

use super::cipher::Cipher;
use super::secret::Secret;
use super::symmetric::Symmetric;
use super::{Refused, TAG_BYTES};
use crate::auth::Role;
use crate::limits::LINK_LINE_BYTES_MAX;
use crate::out::Out;

/// The sizes of a plaintext in bytes, rising. Multiples of 64, ChaCha20's block.
///
/// An update is 128 or 256, a census question with a floor 640, a digest 1,280, or 1,536 with a floor. The sum of a
/// census may need the last one.
pub const SIZES: [usize; 6] = [128, 256, 640, 1_280, 1_536, PLAINTEXT_BYTES_MAX];

const PLAINTEXT_BYTES_MAX: usize = 1_856;
const _: () = assert!(PLAINTEXT_BYTES_MAX > LINK_LINE_BYTES_MAX, "the longest line and its LF");

/// Bytes of the length before a record's ciphertext.
pub const LENGTH_BYTES: usize = 2;

/// The longest record, in bytes.
pub const RECORD_BYTES_MAX: usize = LENGTH_BYTES + PLAINTEXT_BYTES_MAX + TAG_BYTES;

/// Records of one direction until it replaces its key.
pub const REKEY_RECORDS: u64 = 65_536;

/// Bytes of the record that begins with `bytes`, its length included. `None` if `bytes` do not have the whole length
/// yet.
///
/// # Errors
/// [`Refused::Length`] if a record cannot have that length.
pub fn record_bytes(bytes: &[u8]) -> Result<Option<usize>, Refused> {
    let Some(length) = bytes.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes(*length));
    let is_possible = SIZES.iter().any(|size| size + TAG_BYTES == length);
    if is_possible { Ok(Some(LENGTH_BYTES + length)) } else { Err(Refused::Length) }
}

/// The size of the plaintext of a line of this many bytes.
fn size_for(line_bytes: usize) -> Option<usize> {
    SIZES.into_iter().find(|&size| line_bytes < size)
}

/// The keys of one link after the handshake.
#[cfg_attr(test, derive(Clone))]
pub struct Records {
    pub(super) sent: Cipher,
    pub(super) received: Cipher,
    exported: Secret,
    #[cfg(test)]
    pub(super) handshake_hash: [u8; 32],
}

impl core::fmt::Debug for Records {
    fn fmt(&self, f: &mut core::fmt::Formatter) -> core::fmt::Result {
        f.write_str("Records")
    }
}

impl Records {
    pub(super) fn new(state: &Symmetric, role: Role) -> Self {
        let [dialler, acceptor, exported] = state.split();
        let (sent, received) = match role {
            Role::Dialler => (dialler, acceptor),
            Role::Acceptor => (acceptor, dialler),
        };
        Records {
            sent: Cipher::new(sent),
            received: Cipher::new(received),
            exported,
            #[cfg(test)]
            handshake_hash: *state.hash(),
        }
    }

    /// Appends the record of `line`, which has no LF. `line` has at most [`LINK_LINE_BYTES_MAX`] bytes, and `out` has
    /// room for [`RECORD_BYTES_MAX`].
    pub fn seal(&mut self, line: &[u8], out: &mut Out) {
        debug_assert!(!line.contains(&b'\n'), "a record is one line");
        let size = size_for(line.len()).filter(|size| LENGTH_BYTES + size + TAG_BYTES <= out.room());
        debug_assert!(size.is_some(), "the caller ensures room, and lines are bounded");
        let Some(size) = size else { return };
        let length = u16::try_from(size + TAG_BYTES).expect("the largest size is below 64 KB");
        out.put(&length.to_be_bytes());
        let (plaintext, tag) = out.extend(size + TAG_BYTES).split_at_mut(size);
        plaintext[..line.len()].copy_from_slice(line);
        plaintext[line.len()] = b'\n';
        rekey_if_due(&mut self.sent);
        tag.copy_from_slice(&self.sent.seal(&[], plaintext));
    }

    /// Decrypts a record in place and returns its line, without LF. `record` has the length from [`record_bytes`].
    ///
    /// # Errors
    /// [`Refused`]. The link must end.
    pub fn open<'a>(&mut self, record: &'a mut [u8]) -> Result<&'a [u8], Refused> {
        if record_bytes(record)? != Some(record.len()) {
            return Err(Refused::Length);
        }
        let sealed = &mut record[LENGTH_BYTES..];
        let (plaintext, tag) = sealed.split_last_chunk_mut::<TAG_BYTES>().ok_or(Refused::Length)?;
        rekey_if_due(&mut self.received);
        self.received.open(&[], plaintext, tag)?;
        line_of(plaintext).ok_or(Refused::Padding)
    }

    /// A secret of both ends for another purpose: the salt of digests, [`Salt`](crate::digest::Salt).
    #[must_use]
    pub fn digest_secret(&self) -> u64 {
        u64::from_be_bytes(*self.exported.first_chunk().expect("eight bytes of 32"))
    }
}

fn rekey_if_due(cipher: &mut Cipher) {
    let records = cipher.counter();
    if records > 0 && records.is_multiple_of(REKEY_RECORDS) {
        cipher.rekey();
    }
}

/// The line of a plaintext. `None` if it is not one line, or if a smaller size had room for it: there is one
/// record for a line.
fn line_of(plaintext: &[u8]) -> Option<&[u8]> {
    let end = plaintext.iter().rposition(|&byte| byte != 0)?;
    let line = &plaintext[..end];
    let is_one = plaintext[end] == b'\n' && !line.contains(&b'\n');
    (is_one && size_for(line.len()) == Some(plaintext.len())).then_some(line)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
