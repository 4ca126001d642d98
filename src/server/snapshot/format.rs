//! The format of a snapshot file: a table as lines of text, with a checksum.
//!
//! ```text
//! herd table 1 1621464828 trusted
//! 12 AT Hill +0.263873386 kiwi +34.068930-118.445127 1621464827.959498503
//! end 1 9297cb6aaea487d1
//! ```
//!
//! The first line has the version of the format, the wall clock in seconds since 1970 at the time of writing, and whether that
//! clock was trusted. Each further line has one entry: its age in seconds, and the AT line with the name of its origin, and
//! with its rank as on a link ([`crate::proto::update`]). The last line has the number of entries, and SipHash-2-4 of all
//! bytes before the checksum itself. The checksum detects damage, not forgery: only the node may have write access to the
//! file.
//!
//! Entries are written one by one and read one by one. Knows nothing of files or folders.
//! Invariants: nothing read here is longer than [`LINE_BYTES_MAX`] a line or [`ENTRIES_MAX`] lines; what is damaged
//! anywhere is damaged as a whole, so it is read once before the first entry is believed.

use std::fmt;
use std::hash::Hasher;
use std::io::{self, BufRead, Read};

use siphasher::sip::SipHasher24;

use crate::proto::limits::RANKED_LINE_BYTES_MAX;
use crate::proto::names::Names;
use crate::proto::out::Out;
use crate::proto::time::Now;
use crate::proto::update::UpdateRef;

/// Entries of a file that is read, at most: what the largest table of any build holds. Of more than this build's table
/// holds the newest stay.
pub const ENTRIES_MAX: u32 = 32_768;

/// The longest line of a file, in bytes: an age, a blank, an AT line with its rank, a line feed. The first and the last are shorter.
pub const LINE_BYTES_MAX: usize = 10 + 1 + RANKED_LINE_BYTES_MAX + 1;

const VERSION: u32 = 1;
/// Tells these checksums from SipHashes of anything else.
const CHECKSUM_KEY: (u64, u64) = (0x6865_7264_2074_6162, 0x6c65_2031_0000_0000);
const NANOSECONDS: i64 = 1_000_000_000;

/// When a table was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// By the wall clock, in seconds since 1970.
    pub unix_s: i64,
    /// Whether that clock was known to be right.
    pub is_trusted: bool,
}

impl Written {
    /// A table that is written now.
    #[must_use]
    pub fn at(now: &Now) -> Self {
        Written { unix_s: now.wall.0.div_euclid(NANOSECONDS), is_trusted: now.wall_is_trusted }
    }

    /// For how long the table lay there, in seconds. Only a clock that was trusted then and is trusted now can tell. Otherwise, or
    /// if it was set back, the result is 0.
    #[must_use]
    pub fn down_s(&self, now: &Now) -> u32 {
        let known = self.is_trusted && now.wall_is_trusted;
        let down_s = Written::at(now).unix_s.saturating_sub(self.unix_s).max(0);
        if known { u32::try_from(down_s).unwrap_or(u32::MAX) } else { 0 }
    }
}

/// Writes a table. Each method appends whole lines to `out`, which must have room for [`LINE_BYTES_MAX`].
#[derive(Debug)]
pub struct Encoder {
    checksum: SipHasher24,
    entries: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        Encoder { checksum: SipHasher24::new_with_keys(CHECKSUM_KEY.0, CHECKSUM_KEY.1), entries: 0 }
    }
}

impl Encoder {
    /// How many entries have been written.
    #[must_use]
    pub fn entries(&self) -> u32 {
        self.entries
    }

    /// The first line.
    pub fn begin(&mut self, written: Written, out: &mut Out) {
        let trust = if written.is_trusted { "trusted" } else { "untrusted" };
        out.put(format!("herd table {VERSION} {} {trust}\n", written.unix_s).as_bytes());
        self.checksum.write(out.written());
    }

    /// A line an entry.
    pub fn entry(&mut self, update: &UpdateRef, age_s: u32, names: &Names, out: &mut Out) {
        let before = out.len();
        out.put_u128(age_s.into());
        out.put_byte(b' ');
        update.put_ranked_line(names, out);
        out.put_byte(b'\n');
        self.checksum.write(&out.written()[before..]);
        self.entries += 1;
    }

    /// The last line.
    pub fn end(&mut self, out: &mut Out) {
        let before = out.len();
        out.put(format!("end {} ", self.entries).as_bytes());
        self.checksum.write(&out.written()[before..]);
        out.put_hex(&self.checksum.finish().to_be_bytes());
        out.put_byte(b'\n');
    }
}

/// Why bytes are not a table.
#[derive(Debug)]
pub enum Damage {
    /// They could not be read.
    Io(io::Error),
    /// They do not begin as a table does.
    Foreign,
    /// They have another version of the format.
    Version(String),
    /// The last line is missing.
    Short,
    /// This line, counted from 1, is not what it should be.
    Line(u32),
    /// There are more entries than any table holds.
    Long,
    /// The checksum is another.
    Checksum,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Damage::Io(error) => write!(f, "{error}"),
            Damage::Foreign => write!(f, "it is not a snapshot"),
            Damage::Version(version) => {
                write!(f, "its version is {version}, but this release reads version {VERSION}")
            }
            Damage::Short => write!(f, "its end is missing"),
            Damage::Line(line) => write!(f, "line {line} is not valid"),
            Damage::Long => write!(f, "it has more than {ENTRIES_MAX} entries"),
            Damage::Checksum => write!(f, "its checksum is wrong"),
        }
    }
}

/// Reads a whole table and gives the AT line of each entry and its age at writing to `take`, which says whether it is one.
///
/// # Errors
/// [`Damage`]. Entries that were given before it was found are not to be believed: read once without taking any.
pub fn read(
    input: &mut impl BufRead,
    mut take: impl FnMut(Written, &[u8], u32) -> bool,
) -> Result<Written, Damage> {
    let mut checksum = Encoder::default().checksum;
    let mut line = Vec::new();
    read_line(input, &mut line, 1)?;
    let written = read_first(&line)?;
    checksum.write(&line);
    for entries in 0..=ENTRIES_MAX {
        let number = entries + 2;
        read_line(input, &mut line, number)?;
        if line.starts_with(b"end ") {
            read_last(&line, entries, checksum).ok_or(Damage::Checksum)?;
            let is_all = input.fill_buf().map_err(Damage::Io)?.is_empty();
            return if is_all { Ok(written) } else { Err(Damage::Line(number + 1)) };
        }
        if entries == ENTRIES_MAX {
            break;
        }
        checksum.write(&line);
        let entry = split_entry(&line).filter(|(at_line, age_s)| take(written, at_line, *age_s));
        entry.ok_or(Damage::Line(number))?;
    }
    Err(Damage::Long)
}

/// Reads one line with its line feed.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>, number: u32) -> Result<(), Damage> {
    line.clear();
    let mut bounded = Read::take(&mut *input, LINE_BYTES_MAX as u64);
    bounded.read_until(b'\n', line).map_err(Damage::Io)?;
    match line.last() {
        Some(b'\n') => Ok(()),
        // Without the right beginning it is not a table, however long its first line is.
        Some(_) if line.len() == LINE_BYTES_MAX && number > 1 => Err(Damage::Line(number)),
        Some(_) if number == 1 && !line.starts_with(b"herd table ") => Err(Damage::Foreign),
        _ => Err(Damage::Short),
    }
}

fn read_first(line: &[u8]) -> Result<Written, Damage> {
    let rest = line.strip_prefix(b"herd table ").ok_or(Damage::Foreign)?;
    let rest = str::from_utf8(rest).ok().and_then(|rest| rest.strip_suffix('\n')).ok_or(Damage::Line(1))?;
    let mut words = rest.split(' ');
    let version = words.next().unwrap_or_default();
    if version != VERSION.to_string() {
        return Err(Damage::Version(version.chars().take(10).flat_map(char::escape_default).collect()));
    }
    let mut read = || {
        let unix_s = words.next()?.parse().ok()?;
        let is_trusted = match words.next()? {
            "trusted" => true,
            "untrusted" => false,
            _ => return None,
        };
        words.next().is_none().then_some(Written { unix_s, is_trusted })
    };
    read().ok_or(Damage::Line(1))
}

fn split_entry(line: &[u8]) -> Option<(&[u8], u32)> {
    let line = line.strip_suffix(b"\n")?;
    let blank = line.iter().position(|&byte| byte == b' ')?;
    let age_s = str::from_utf8(&line[..blank]).ok()?.parse().ok()?;
    Some((&line[blank + 1..], age_s))
}

fn read_last(line: &[u8], entries: u32, mut checksum: SipHasher24) -> Option<()> {
    let words = format!("end {entries} ");
    let digits = line.strip_prefix(words.as_bytes())?.strip_suffix(b"\n")?;
    checksum.write(words.as_bytes());
    (digits == format!("{:016x}", checksum.finish()).as_bytes()).then_some(())
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
