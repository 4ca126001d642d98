//! `places.dat`: places in one file. A query reads it with positioned reads; only 512 bytes of index are in memory.
//!
//! This module must not know queries or JSON: it returns coordinates and names. `scan.rs` scans the coordinates.
//! `encode.rs` writes the format; a node never runs it.
//!
//! # The format
//! All numbers are little-endian. Positions are degrees times 1,000,000 in an `i32`. That is exact
//! for GeoNames and for lists of airports (5 and 6 decimals). A unit of 1e-5 would move airports by up to half a metre and save nothing, because
//! a longitude needs four bytes either way.
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 8 | magic `HERDPLCS` |
//! | 8 | 4 | u32 version, 2 |
//! | 12 | 4 | u32 number of places, `P` |
//! | 16 | 4 | u32 number of blocks, `B` |
//! | 20 | 4 | u32 where the texts begin |
//! | 24 | 4 | u32 where the areas begin |
//! | 28 | 4 | u32 where the regions begin |
//! | 32 | 4 | u32 where the checksum lies, the file's length less 8 |
//! | 36 | 512 | pair table: what each byte of a packed text stands for: two bytes, or 0 0 for itself |
//! | 548 | 12 (B + 1) | blocks: i32 latitude of the first place, u32 its number, u32 its text from the texts' begin |
//! | then | 6 P | coordinates: u16 latitude above that of the block's first place, i32 longitude |
//! | then | | texts: one a place: u32 its area from the areas' begin, u8 length, packed name |
//! | then | | areas: u32 its region from the regions' begin, u8 kind, u8 length, packed name |
//! | then | | regions: u8 length, packed name |
//! | last | 8 | u64 SipHash-1-3, key 0 0, of every byte before it |
//!
//! Places are sorted by latitude, then longitude, kind and name. A block holds 1 to 32 places whose latitudes lie within
//! 65,535 millionths of a degree. The last block is a sentinel: latitude `i32::MAX`, number `P`, text = the texts' length.
//! An area is the data that places share: their kind (see [`Kind`]), and the name of their county or town, which may be
//! empty. Its region is the rest ("California, US"). `pair_encoding.rs` describes packed texts.
//!
//! # Alternatives
//! The committed file has 199,371 places in 4,637,983 bytes: blocks 77,808, coordinates 1,196,226, texts 2,531,384, areas
//! 789,531, regions 42,478. Alternatives, measured or computed for the same places:
//! - Two `i32` for each place instead of blocks: 1,594,968; an offset for each name: 797,484. Together 1.1 MB more.
//! - Unpacked names: 1.0 MB more. Escapes for rare letters, to free bytes for 62 more pairs: 0.1 MB less.
//! - An offset of three bytes for an area: 0.2 MB less, but a million places have more than 16 MB of areas.
//! - Without counties and airports' towns: about 0.8 MB less, but many counties have a "Springfield".
//!
//! The cost of a query: to find a name, the code skips at most 31 lengths in a buffer that it reads anyway. A result takes
//! three reads (text, area, region); results of one area share two of them.
//!
//! # Trust
//! The checksum detects accidents, not malice, because its key is public. The code checks it once, when it opens a file, in
//! constant memory. For any content of a file, a read does not panic, allocate or loop without bound: each offset is checked
//! against its section. A node holds the file open. To replace it, rename a new file over it, as an import does, and
//! reload the node. A file changed in place gives errors or wrong names, never a crash.

use crate::files::open_regular;
use crate::places::error::PlacesError;
pub use crate::places::file::kind::Kind;
use crate::places::file::pair_encoding::{PAIRS_BYTES, Pairs, TEXT_BYTES_MAX};
use siphasher::sip::SipHasher13;
use std::fs::File;
use std::hash::Hasher;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The version of the format. Files of version 1, which held less, are made again.
pub const VERSION: u32 = 2;

pub(crate) const MAGIC: [u8; 8] = *b"HERDPLCS";
pub(crate) const HEADER_BYTES: u32 = 36 + 512;
const _: () = assert!(PAIRS_BYTES == 512);
pub(crate) const BLOCK_BYTES: u32 = 12;
pub(crate) const COORDINATE_BYTES: u32 = 6;
pub(crate) const CHECKSUM_BYTES: u32 = 8;
/// Most places in a block. With 32, a block's texts are about 370 bytes, one read. With 16, the blocks would take twice the space.
pub(crate) const BLOCK_PLACES_MAX: u32 = 32;
/// Bytes of a text's head: area and length.
const TEXT_HEAD_BYTES: usize = 5;
/// Bytes of an area's head: region, kind and length.
const AREA_HEAD_BYTES: usize = 6;
/// Coordinates per read: 8,184 bytes. A read of 512 bytes costs the same as one of 8 KB (0.9 us in a measurement). A radius
/// of 10 km takes two reads in the densest latitudes and one read elsewhere.
pub(crate) const COORDINATES_WINDOW: u32 = 1_364;
/// Blocks per read: 768 bytes. That is more than 10 km need in the densest latitudes (56 blocks), and more than the blocks
/// between two fences of the committed file.
pub(crate) const BLOCKS_WINDOW: u32 = 64;
/// Latitudes held in memory while a file is open, 512 bytes: the first latitude of every n-th block. Without them, a query
/// needs seven reads for a binary search in 6,483 blocks.
pub(crate) const FENCES: u32 = 128;
/// Bytes per read of texts: the usual length of a block's texts, and at least the longest entry.
const TEXT_WINDOW_BYTES: usize = 512;
const _: () = assert!(TEXT_WINDOW_BYTES >= AREA_HEAD_BYTES + TEXT_BYTES_MAX);

/// Buffers for one query at a time: 9.7 KB. The caller allocates them once.
pub struct Scratch {
    pub(crate) coordinates: [u8; (COORDINATES_WINDOW * COORDINATE_BYTES) as usize],
    pub(crate) blocks: [u8; (BLOCKS_WINDOW * BLOCK_BYTES) as usize],
    text: [u8; TEXT_WINDOW_BYTES],
    name: [u8; TEXT_BYTES_MAX],
}

impl Scratch {
    /// Empty buffers.
    pub const fn new() -> Self {
        Self {
            coordinates: [0; (COORDINATES_WINDOW * COORDINATE_BYTES) as usize],
            blocks: [0; (BLOCKS_WINDOW * BLOCK_BYTES) as usize],
            text: [0; TEXT_WINDOW_BYTES],
            name: [0; TEXT_BYTES_MAX],
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// The position of one place, and the location of its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The place's number in the file, in the order of latitudes.
    pub number: u32,
    /// Latitude in millionths of a degree.
    pub latitude_udeg: i32,
    /// Longitude in millionths of a degree.
    pub longitude_udeg: i32,
    /// Offset of its block's texts in the texts.
    pub(crate) block_text_at: u32,
    /// Index of its text within the block.
    pub(crate) nth: u8,
}

/// An open places file with a correct checksum at the time it was opened. Holds a file descriptor and 1.1 KB.
pub struct Dat {
    file: File,
    path: PathBuf,
    pub(crate) places: u32,
    pub(crate) blocks: u32,
    pub(crate) texts_at: u32,
    areas_at: u32,
    regions_at: u32,
    checksum_at: u32,
    pairs: Pairs,
    /// Latitude of the first place of every n-th block; see [`Dat::blocks_per_fence`].
    pub(crate) fences_udeg: [i32; FENCES as usize],
}

impl Dat {
    /// Opens `path` and checks the whole file: magic, version, length, checksum, and the order of the sections. Reads the file
    /// once, 4 KB at a time.
    ///
    /// # Errors
    /// A failed check or read. The error names the file.
    pub fn open(path: &Path) -> Result<Self, PlacesError> {
        let file = open_regular(path).map_err(|error| PlacesError::Open(path.into(), error))?;
        let length = file.metadata().map_err(|error| PlacesError::Open(path.into(), error))?.len();
        if length < u64::from(HEADER_BYTES + BLOCK_BYTES + CHECKSUM_BYTES) {
            return Err(PlacesError::NotPlaces(path.into()));
        }
        let mut header = [0; HEADER_BYTES as usize];
        file.read_exact_at(&mut header, 0).map_err(|error| PlacesError::Read(path.into(), error))?;
        if header[..8] != MAGIC {
            return Err(PlacesError::NotPlaces(path.into()));
        }
        let [version, places, blocks, texts_at, areas_at, regions_at, checksum_at] =
            std::array::from_fn(|index| u32_at(&header, 8 + 4 * index));
        if version != VERSION {
            return Err(PlacesError::Version(path.into(), version));
        }
        let expected = u64::from(checksum_at) + u64::from(CHECKSUM_BYTES);
        if length != expected {
            return Err(PlacesError::Length(path.into(), expected, length));
        }
        let mut pairs = [0; PAIRS_BYTES];
        pairs.copy_from_slice(&header[36..]);
        let pairs = Pairs::new(pairs);
        let (path, fences_udeg) = (path.into(), [i32::MAX; FENCES as usize]);
        let mut dat = Self {
            file,
            path,
            places,
            blocks,
            texts_at,
            areas_at,
            regions_at,
            checksum_at,
            pairs,
            fences_udeg,
        };
        dat.check_sections()?;
        dat.check_sum()?;
        dat.read_fences()?;
        Ok(dat)
    }

    /// The number of places in the file.
    pub fn places(&self) -> u32 {
        self.places
    }

    /// The file's length in bytes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.checksum_at) + u64::from(CHECKSUM_BYTES)
    }

    fn check_sections(&self) -> Result<(), PlacesError> {
        let texts_at = self.coordinates_at() + u64::from(self.places) * u64::from(COORDINATE_BYTES);
        let is_in_order = u64::from(self.texts_at) == texts_at
            && self.texts_at <= self.areas_at
            && self.areas_at <= self.regions_at
            && self.regions_at <= self.checksum_at;
        if is_in_order { Ok(()) } else { Err(self.corrupt("its sections overlap")) }
    }

    fn check_sum(&self) -> Result<(), PlacesError> {
        let mut hasher = SipHasher13::new();
        let mut buffer = [0; 4096];
        let mut at = 0;
        let end = u64::from(self.checksum_at);
        while at < end {
            let bytes = self.read(at, end, &mut buffer)?;
            hasher.write(bytes);
            at += bytes.len() as u64;
        }
        let mut checksum = [0; 8];
        self.read(end, self.bytes(), &mut checksum)?;
        if hasher.finish() == u64::from_le_bytes(checksum) {
            Ok(())
        } else {
            Err(PlacesError::Checksum(self.path.clone()))
        }
    }

    /// The name of `spot`, and its area for [`Dat::area`]. One read, or two if a block's names are long.
    ///
    /// # Errors
    /// A failed read, or an invalid text.
    pub fn name<'a>(&self, spot: &Spot, scratch: &'a mut Scratch) -> Result<(AreaAt, &'a str), PlacesError> {
        let Scratch { text, name, .. } = scratch;
        let end = u64::from(self.areas_at);
        let mut at = u64::from(self.texts_at) + u64::from(spot.block_text_at);
        let mut bytes = self.read(at, end, text)?.len();
        let mut begin = 0;
        let mut skip = spot.nth;
        loop {
            match entry(&text[begin..bytes], TEXT_HEAD_BYTES) {
                Some((_, packed)) if skip > 0 => {
                    skip -= 1;
                    begin += TEXT_HEAD_BYTES + packed.len();
                }
                Some((area, packed)) => return Ok((AreaAt(area), self.unpack(packed, name)?)),
                // The window cuts this entry, so read again from its begin. A whole window holds any entry.
                None if begin > 0 => {
                    at += begin as u64;
                    bytes = self.read(at, end, text)?.len();
                    begin = 0;
                }
                None => return Err(self.corrupt("a name passes its section's end")),
            }
        }
    }

    /// The data that places of an area share: their kind, the area's name (may be empty), and its region for
    /// [`Dat::region`]. One read.
    ///
    /// # Errors
    /// A failed read, or an invalid area.
    pub fn area<'a>(
        &self,
        area: AreaAt,
        scratch: &'a mut Scratch,
    ) -> Result<(Kind, RegionAt, &'a str), PlacesError> {
        let at = u64::from(self.areas_at) + area.0;
        let bytes = self.read(at, u64::from(self.regions_at), &mut scratch.text)?;
        let (word, packed) =
            entry(bytes, AREA_HEAD_BYTES).ok_or_else(|| self.corrupt("an area passes its section's end"))?;
        let kind =
            Kind::from_number(word >> 32).ok_or_else(|| self.corrupt("a place is of an unknown kind"))?;
        let region = RegionAt(word & u64::from(u32::MAX));
        Ok((kind, region, self.unpack(packed, &mut scratch.name)?))
    }

    /// The name of a region, country included. One read.
    ///
    /// # Errors
    /// A failed read, or an invalid text.
    pub fn region<'a>(&self, region: RegionAt, scratch: &'a mut Scratch) -> Result<&'a str, PlacesError> {
        let at = u64::from(self.regions_at) + region.0;
        let bytes = self.read(at, u64::from(self.checksum_at), &mut scratch.text)?;
        let (_, packed) = entry(bytes, 1).ok_or_else(|| self.corrupt("a region passes its section's end"))?;
        self.unpack(packed, &mut scratch.name)
    }

    fn unpack<'a>(&self, packed: &[u8], name: &'a mut [u8; TEXT_BYTES_MAX]) -> Result<&'a str, PlacesError> {
        self.pairs.unpack(packed, name).ok_or_else(|| self.corrupt("a name is not text"))
    }

    pub(crate) fn coordinates_at(&self) -> u64 {
        u64::from(HEADER_BYTES) + (u64::from(self.blocks) + 1) * u64::from(BLOCK_BYTES)
    }

    /// Fills `buffer` from `at`, but only up to `end`. An `at` at or behind `end` is an error.
    pub(crate) fn read<'a>(&self, at: u64, end: u64, buffer: &'a mut [u8]) -> Result<&'a [u8], PlacesError> {
        let left = end.saturating_sub(at);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        if count == 0 {
            return Err(self.corrupt("an offset passes its section's end"));
        }
        let buffer = &mut buffer[..count];
        self.file.read_exact_at(buffer, at).map_err(|error| PlacesError::Read(self.path.clone(), error))?;
        Ok(buffer)
    }

    pub(crate) fn corrupt(&self, what: &'static str) -> PlacesError {
        PlacesError::Corrupt(self.path.clone(), what)
    }
}

/// Offset of an area in the areas. Equal areas have equal offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AreaAt(u64);

/// Offset of a region in the regions. Equal regions have equal offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionAt(u64);

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The word and the packed name of the entry at the begin of `bytes`. The head is the word and one byte for the length, so
/// the word of a one-byte head is 0. `None` if `bytes` does not hold the whole entry.
fn entry(bytes: &[u8], head_bytes: usize) -> Option<(u64, &[u8])> {
    let (head, rest) = bytes.split_at_checked(head_bytes)?;
    let (&length, word) = head.split_last()?;
    let word = word.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    Some((word, rest.get(..usize::from(length))?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::file::encode::Place;
    use crate::places::file::nearest::nearest;
    use crate::places::file::render;
    use crate::places::testing::{TempFile, places_of, some_places};
    use crate::places::{MAX_ITEMS, Query};

    fn everywhere() -> Query {
        Query { latitude_deg: 89.9, longitude_deg: 0.0, radius_m: 50_000.0, items: MAX_ITEMS }
    }

    fn encoded() -> Vec<u8> {
        crate::places::file::encode::encode(&mut some_places()).expect("the places are in range")
    }

    #[test]
    fn every_place_comes_back() {
        let mut places: Vec<Place> = some_places();
        // A block's texts take several windows, and the blocks take more than one window.
        for index in 0..2_000 {
            places.push(Place {
                name: format!("{index} {}", "x€".repeat(40 + index % 20)),
                latitude_udeg: 40_000_000 + i32::try_from(index).expect("small") * 7_001,
                ..places[0].clone()
            });
        }
        let bytes = crate::places::file::encode::encode(&mut places).expect("the places are in range");
        let file = TempFile::new(&bytes);
        assert_eq!(places_of(file.path()), places);
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let bytes = encoded();
        for length in 0..bytes.len() {
            let file = TempFile::new(&bytes[..length]);
            assert!(Dat::open(file.path()).is_err(), "cut at {length}");
        }
        let file = TempFile::new(&[&bytes[..], b"\n"].concat());
        assert!(matches!(Dat::open(file.path()), Err(PlacesError::Length(..))));
    }

    #[test]
    fn a_file_with_any_byte_changed_is_refused() {
        let bytes = encoded();
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0x20;
            let file = TempFile::new(&bytes);
            assert!(Dat::open(file.path()).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_forged_checksum_gives_errors_at_worst() {
        let bytes = encoded();
        let end = bytes.len() - CHECKSUM_BYTES as usize;
        for at in 8..end {
            for value in [0, 0xFF, bytes[at] ^ 1, bytes[at] ^ 0x80] {
                let mut bytes = bytes.clone();
                bytes[at] = value;
                crate::places::file::encode::seal(&mut bytes, end);
                let file = TempFile::new(&bytes);
                if let Ok(dat) = Dat::open(file.path()) {
                    let mut scratch = Scratch::new();
                    let _ = nearest(&dat, &everywhere(), &mut scratch);
                    let _ = render::answer(&dat, &everywhere(), &mut scratch);
                    let _ = dat.scan_band(i32::MIN, i32::MAX, &mut scratch, |_| {});
                }
            }
        }
    }

    #[test]
    fn foreign_files_are_refused() {
        let file = TempFile::new(&[b'{'; 1000]);
        assert!(matches!(Dat::open(file.path()), Err(PlacesError::NotPlaces(_))));
        let mut bytes = encoded();
        bytes[8] = 9;
        let file = TempFile::new(&bytes);
        assert!(matches!(Dat::open(file.path()), Err(PlacesError::Version(_, 9))));
        assert!(matches!(Dat::open(Path::new("/nowhere/places.dat")), Err(PlacesError::Open(..))));
        assert!(matches!(Dat::open(&std::env::temp_dir()), Err(PlacesError::Open(..))));
    }
}
