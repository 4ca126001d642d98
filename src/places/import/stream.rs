//! Writes a places file of version 2 from sorted places, without all places in memory. The
//! [`format`](mod@crate::places::file::format) describes it.
//!
//! The writer makes three passes. The first selects the newest of equal places, numbers the places, and collects the bytes
//! and pairs of their texts. The second reads regions and areas in order, packs each once, and records the area's offset
//! for each place. The third writes places and areas side by side, because all section offsets are known by then.
//!
//! Invariants: the same places give the same bytes, whatever files they came from. Memory does not grow with the number of
//! places.

use super::error::ImportError;
use super::progress::Progress;
use super::row::{Parts, push_text, split_text};
use super::runs::{Appender, Merge, Sorter, Window, unnamed};
use super::sample::Sample;
use crate::places::atomic_file::{Replacement, folder_of};
use crate::places::file::encode::header;
use crate::places::file::format::{
    BLOCK_BYTES, BLOCK_PLACES_MAX, CHECKSUM_BYTES, COORDINATE_BYTES, HEADER_BYTES, VERSION_LARGE,
};
use crate::places::file::pair_encoding::Packer;
use siphasher::sip::SipHasher13;
use std::fs::File;
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Counts of the written file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) places: u32,
    pub(super) bytes: u64,
}

/// Calls `take` with the last record of each group. The records of a group are equal in the part that `key` selects.
pub(super) fn last_of_equals(
    merge: &mut Merge,
    key: fn(&[u8]) -> &[u8],
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let (mut last, mut next) = (Vec::new(), Vec::new());
    let mut has_one = merge.next(&mut last)?;
    while has_one {
        has_one = merge.next(&mut next)?;
        if !has_one || key(&last) != key(&next) {
            take(&last)?;
        }
        std::mem::swap(&mut last, &mut next);
    }
    Ok(())
}

/// Writes `places`, whose records are [`Parts`], to `out`. The sorts use runs of `run_bytes`.
pub(super) fn write(
    places: Merge,
    out: &Path,
    run_bytes: usize,
    progress: &mut Progress<'_>,
) -> Result<Written, ImportError> {
    let folder = folder_of(out);
    let temporary = |error| ImportError::Temporary(folder.into(), error);
    let (distinct, areas) = select_distinct(places, folder, run_bytes, progress).map_err(temporary)?;
    let places = u32::try_from(distinct.places).map_err(|_| {
        ImportError::Limit(format!("{} places, and 4294967295 can be numbered", distinct.places))
    })?;
    let packer = Packer::new(distinct.sample.texts(), distinct.sample.is_used());
    let sections = Sections::new(areas, &packer, folder, run_bytes, progress).map_err(temporary)?;
    let new = Replacement::new(out).map_err(|error| ImportError::Write(out.into(), error))?;
    let written = put(new.file(), &distinct, sections, &packer, progress).and_then(|ends| {
        let numbers = ends.map(|end| u32::try_from(end).ok());
        let [Some(texts), Some(areas), Some(regions), Some(end)] = numbers else { return Ok(None) };
        let blocks = u32::try_from(distinct.blocks).unwrap_or(u32::MAX);
        let numbers = [VERSION_LARGE, places, blocks, texts, areas, regions, end];
        new.file().write_all_at(&header(&numbers, packer.pairs().bytes()), 0)?;
        seal(new.file(), ends[3])?;
        new.commit()?;
        Ok(Some(Written { places, bytes: ends[3] + u64::from(CHECKSUM_BYTES) }))
    });
    match written {
        Ok(Some(written)) => Ok(written),
        Ok(None) => Err(ImportError::Limit("the file would pass 4 GB".to_owned())),
        Err(error) => Err(ImportError::Write(out.into(), error)),
    }
}

/// The places after the first pass, in order, and their statistics.
struct Distinct {
    /// A record for each place: latitude, longitude, name.
    file: File,
    bytes: u64,
    places: u64,
    blocks: u64,
    sample: Sample,
}

fn select_distinct(
    mut merge: Merge,
    folder: &Path,
    run_bytes: usize,
    progress: &mut Progress<'_>,
) -> io::Result<(Distinct, Sorter)> {
    let mut areas = Sorter::new(folder, run_bytes)?;
    let mut distinct =
        Distinct { file: unnamed(folder)?, bytes: 0, places: 0, blocks: 0, sample: Sample::default() };
    let mut appender = Appender::new(0);
    let mut blocks = Blocks::default();
    let mut record = Vec::new();
    progress.begin("sorting places", merge.total());
    last_of_equals(&mut merge, identity, |place| {
        let place = Parts::of(place).ok_or(io::ErrorKind::InvalidData)?;
        record.clear();
        record.extend_from_slice(&place.latitude_udeg.to_le_bytes());
        record.extend_from_slice(&place.longitude_udeg.to_le_bytes());
        record.extend_from_slice(place.name);
        appender.push_record(&distinct.file, &record)?;
        record.clear();
        push_text(&mut record, place.region);
        push_text(&mut record, place.area);
        record.push(place.kind);
        record.extend_from_slice(&distinct.places.to_be_bytes());
        areas.push(&record)?;
        distinct.sample.add(place.name, [place.area, place.region]);
        distinct.blocks += u64::from(blocks.above(place.latitude_udeg).is_none());
        distinct.places += 1;
        progress.at(distinct.places);
        Ok(())
    })?;
    appender.flush(&distinct.file)?;
    distinct.bytes = appender.at();
    Ok((distinct, areas))
}

fn identity(record: &[u8]) -> &[u8] {
    Parts::of(record).map_or(record, |parts| parts.identity)
}

/// Divides places into blocks.
#[derive(Default)]
struct Blocks {
    first_udeg: i32,
    places: u32,
}

impl Blocks {
    /// Difference between the next place's latitude and its block's first one. `None` if the place begins a block.
    fn above(&mut self, latitude_udeg: i32) -> Option<u16> {
        let above = latitude_udeg.checked_sub(self.first_udeg).and_then(|above| u16::try_from(above).ok());
        let above = above.filter(|_| (1..BLOCK_PLACES_MAX).contains(&self.places));
        match above {
            Some(_) => self.places += 1,
            None => (self.first_udeg, self.places) = (latitude_udeg, 1),
        }
        above
    }
}

/// The sections of areas and regions, and each place's offset in the areas.
struct Sections {
    areas: (File, u64),
    regions: (File, u64),
    /// Records of a place's number and its area's offset.
    offsets: Merge,
}

impl Sections {
    fn new(
        areas: Sorter,
        packer: &Packer,
        folder: &Path,
        run_bytes: usize,
        progress: &mut Progress<'_>,
    ) -> io::Result<Self> {
        let (area_file, region_file) = (unnamed(folder)?, unnamed(folder)?);
        let (mut area_bytes, mut region_bytes) = (Appender::new(0), Appender::new(0));
        let mut offsets = Sorter::new(folder, run_bytes)?;
        let mut merge = areas.merge()?;
        let (mut record, mut last) = (Vec::new(), Vec::new());
        let (mut region_at, mut area_at, mut done) = (0, 0, 0);
        progress.begin("sorting areas", merge.total());
        while merge.next(&mut record)? {
            let (area, number) = record.split_last_chunk::<8>().ok_or(io::ErrorKind::InvalidData)?;
            if last.as_slice() != area {
                let (region, rest) = split_text(area).ok_or(io::ErrorKind::InvalidData)?;
                let (name, kind) = split_text(rest).ok_or(io::ErrorKind::InvalidData)?;
                let &kind = kind.first().ok_or(io::ErrorKind::InvalidData)?;
                if split_text(&last).is_none_or(|(last, _)| last != region) {
                    region_at = region_bytes.at();
                    push_packed(&mut region_bytes, &region_file, &[], region, packer)?;
                }
                area_at = area_bytes.at();
                // A region offset beyond 32 bits means a file beyond 4 GB, which the caller refuses.
                let [a, b, c, d, ..] = region_at.to_le_bytes();
                push_packed(&mut area_bytes, &area_file, &[a, b, c, d, kind], name, packer)?;
                last.clear();
                last.extend_from_slice(area);
            }
            let mut offset = number.to_vec();
            offset.extend_from_slice(&area_at.to_be_bytes());
            offsets.push(&offset)?;
            done += 1;
            progress.at(done);
        }
        area_bytes.flush(&area_file)?;
        region_bytes.flush(&region_file)?;
        Ok(Self {
            areas: (area_file, area_bytes.at()),
            regions: (region_file, region_bytes.at()),
            offsets: offsets.merge()?,
        })
    }
}

/// Appends an entry: head, length of the packed text, packed text.
fn push_packed(to: &mut Appender, file: &File, head: &[u8], text: &[u8], packer: &Packer) -> io::Result<()> {
    let mut packed = text.to_vec();
    packer.pack(&mut packed);
    let length = u8::try_from(packed.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    to.push(file, head)?;
    to.push(file, &[length])?;
    to.push(file, &packed)
}

/// Writes all sections to `file`. Returns the offsets of texts, areas, regions and checksum.
fn put(
    file: &File,
    distinct: &Distinct,
    mut sections: Sections,
    packer: &Packer,
    progress: &mut Progress<'_>,
) -> io::Result<[u64; 4]> {
    let coordinates_at = u64::from(HEADER_BYTES) + (distinct.blocks + 1) * u64::from(BLOCK_BYTES);
    let texts_at = coordinates_at + distinct.places * u64::from(COORDINATE_BYTES);
    let (mut heads, mut coordinates) = (Appender::new(HEADER_BYTES.into()), Appender::new(coordinates_at));
    let mut texts = Appender::new(texts_at);
    let mut places = Window::new(0..distinct.bytes);
    let mut blocks = Blocks::default();
    let (mut place, mut offset) = (Vec::new(), Vec::new());
    progress.begin("writing places", distinct.places);
    let mut number = 0_u64;
    while places.next(&distinct.file, &mut place)? && sections.offsets.next(&mut offset)? {
        let (position, name) = place.split_first_chunk::<8>().ok_or(io::ErrorKind::InvalidData)?;
        let [a, b, c, d, longitude @ ..] = *position;
        let latitude_udeg = i32::from_le_bytes([a, b, c, d]);
        let above = blocks.above(latitude_udeg);
        if above.is_none() {
            push_block(&mut heads, file, latitude_udeg, number, texts.at() - texts_at)?;
        }
        coordinates.push(file, &above.unwrap_or(0).to_le_bytes())?;
        coordinates.push(file, &longitude)?;
        let area = offset.last_chunk::<8>().ok_or(io::ErrorKind::InvalidData)?;
        let [a, b, c, d, ..] = u64::from_be_bytes(*area).to_le_bytes();
        push_packed(&mut texts, file, &[a, b, c, d], name, packer)?;
        number += 1;
        progress.at(number);
    }
    push_block(&mut heads, file, i32::MAX, number, texts.at() - texts_at)?;
    heads.flush(file)?;
    coordinates.flush(file)?;
    let areas_at = texts.at();
    copy(&sections.areas, &mut texts, file)?;
    let regions_at = texts.at();
    copy(&sections.regions, &mut texts, file)?;
    texts.flush(file)?;
    Ok([texts_at, areas_at, regions_at, texts.at()])
}

/// Appends a block's entry. An offset beyond 32 bits means a file beyond 4 GB, which the caller refuses.
fn push_block(
    to: &mut Appender,
    file: &File,
    latitude_udeg: i32,
    number: u64,
    text_at: u64,
) -> io::Result<()> {
    to.push(file, &latitude_udeg.to_le_bytes())?;
    to.push(file, &number.to_le_bytes()[..4])?;
    to.push(file, &text_at.to_le_bytes()[..4])
}

/// Copies a section behind the written part.
fn copy((from, bytes): &(File, u64), to: &mut Appender, file: &File) -> io::Result<()> {
    in_pieces(from, *bytes, |piece| to.push(file, piece))
}

/// Writes the checksum of the bytes before `end` to `end`.
fn seal(file: &File, end: u64) -> io::Result<()> {
    let mut hasher = SipHasher13::new();
    in_pieces(file, end, |piece| {
        hasher.write(piece);
        Ok(())
    })?;
    file.write_all_at(&hasher.finish().to_le_bytes(), end)
}

/// Calls `take` with the bytes before `end`, in pieces.
fn in_pieces(file: &File, end: u64, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1_024];
    let mut at = 0;
    while at < end {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
        file.read_exact_at(&mut buffer[..left], at)?;
        take(&buffer[..left])?;
        at += left as u64;
    }
    Ok(())
}
