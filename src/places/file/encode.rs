//! Writes the [`format`](mod@super::format). It runs on the machine that makes a places file, never in a node, because it
//! holds all places in memory.
//!
//! Invariant: the same places give the same bytes, in any order.

use crate::places::error::PlacesError;
use crate::places::file::format::{
    BLOCK_BYTES, BLOCK_PLACES_MAX, CHECKSUM_BYTES, COORDINATE_BYTES, Dat, HEADER_BYTES, Kind, MAGIC, Scratch,
    Spot, VERSION,
};
use crate::places::file::pair_encoding::{Packer, TEXT_BYTES_MAX};
use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use std::rc::Rc;

/// Bytes of the texts from which the pairs are chosen. The choice of 100 pairs reads them 200 times.
const SAMPLE_BYTES_MAX: usize = 512 * 1_024;

/// One place. The order is the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) latitude_udeg: i32,
    pub(crate) longitude_udeg: i32,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// County or town; may be empty. Places share this text and the next.
    pub(crate) area: Rc<str>,
    /// Region and country as an answer shows them.
    pub(crate) region: Rc<str>,
}

impl Dat {
    /// A place of a file, with its texts.
    pub(crate) fn place(&self, spot: &Spot, scratch: &mut Scratch) -> Result<Place, PlacesError> {
        let (area_at, name) = self.name(spot, scratch)?;
        let name = name.to_owned();
        let (kind, region_at, area) = self.area(area_at, scratch)?;
        let area = area.into();
        let region = self.region(region_at, scratch)?.into();
        let Spot { latitude_udeg, longitude_udeg, .. } = *spot;
        Ok(Place { latitude_udeg, longitude_udeg, kind, name, area, region })
    }
}

/// Sorts `places` and encodes them as the bytes of a file. Of several places with the same kind, name and position only
/// the last stays, because they would have the same `place_id`.
///
/// # Errors
/// A text is too long, or the file would be longer than 4 GB.
pub(crate) fn encode(places: &mut Vec<Place>) -> Result<Vec<u8>, String> {
    places.reverse();
    // Stable: of equals, the last is the first now.
    places.sort_by(|a, b| identity(a).cmp(&identity(b)));
    places.dedup_by(|a, b| identity(a) == identity(b));

    // A region, its areas, and the places of each, in a row.
    let mut areas: Vec<_> =
        (0..).zip(places.iter()).map(|(number, place)| (area_of(place), number)).collect();
    areas.sort_unstable();
    let mut texts: Vec<&str> = places.iter().map(|place| place.name.as_str()).collect();
    texts.extend(areas.chunk_by(|a, b| a.0 == b.0).map(|group| group[0].0.1));
    texts.extend(areas.chunk_by(|a, b| a.0.0 == b.0.0).map(|group| group[0].0.0));
    let packer = packer(&texts)?;

    let (mut region_bytes, mut area_bytes) = (Vec::new(), Vec::new());
    let mut area_at: Vec<u32> = vec![0; places.len()];
    for region in areas.chunk_by(|a, b| a.0.0 == b.0.0) {
        let region_at = u32_of(region_bytes.len())?;
        push_text(&mut region_bytes, region[0].0.0, &packer)?;
        for area in region.chunk_by(|a, b| a.0 == b.0) {
            let at = u32_of(area_bytes.len())?;
            let (_, name, kind) = area[0].0;
            area_bytes.extend_from_slice(&region_at.to_le_bytes());
            area_bytes.push(kind as u8);
            push_text(&mut area_bytes, name, &packer)?;
            area.iter().for_each(|(_, number): &(_, usize)| area_at[*number] = at);
        }
    }
    let (mut blocks, mut coordinates, mut text_bytes) = (Vec::new(), Vec::new(), Vec::new());
    let mut first: Option<(usize, i32)> = None;
    for (number, place) in places.iter().enumerate() {
        let begun = first.filter(|(begin, _)| number - begin < BLOCK_PLACES_MAX as usize);
        let above = begun.and_then(|(_, latitude)| u16::try_from(place.latitude_udeg - latitude).ok());
        if above.is_none() {
            first = Some((number, place.latitude_udeg));
            push_block(&mut blocks, place.latitude_udeg, number, text_bytes.len())?;
        }
        coordinates.extend_from_slice(&above.unwrap_or(0).to_le_bytes());
        coordinates.extend_from_slice(&place.longitude_udeg.to_le_bytes());
        text_bytes.extend_from_slice(&area_at[number].to_le_bytes());
        push_text(&mut text_bytes, &place.name, &packer)?;
    }
    push_block(&mut blocks, i32::MAX, places.len(), text_bytes.len())?;
    let body = [&blocks[..], &coordinates, &text_bytes, &area_bytes, &region_bytes];
    assemble(places.len(), packer.pairs().bytes(), body)
}

/// The identity of a place: all but its area and region.
fn identity(place: &Place) -> (i32, i32, Kind, &str) {
    (place.latitude_udeg, place.longitude_udeg, place.kind, &place.name)
}

/// What places share: region, area and kind.
fn area_of(place: &Place) -> (&str, &str, Kind) {
    (&place.region, &place.area, place.kind)
}

/// Chooses the pairs for `texts` from a sample of them: every text, or every n-th.
fn packer(texts: &[&str]) -> Result<Packer, String> {
    let (mut is_used, mut bytes) = ([false; 256], 0);
    for text in texts {
        if text.len() > TEXT_BYTES_MAX || text.contains('\0') {
            return Err(format!("the text {text:?} holds NUL or more than {TEXT_BYTES_MAX} bytes"));
        }
        text.bytes().for_each(|byte| is_used[usize::from(byte)] = true);
        bytes += text.len() + 1;
    }
    let step = bytes / SAMPLE_BYTES_MAX + 1;
    let sample = texts.iter().step_by(step).flat_map(|text| text.bytes().chain([0])).collect();
    Ok(Packer::new(sample, &is_used))
}

/// Joins header, sections in order, and checksum.
fn assemble(places: usize, pairs: &[u8], body: [&[u8]; 5]) -> Result<Vec<u8>, String> {
    debug_assert_eq!(body[1].len(), places * COORDINATE_BYTES as usize);
    let mut ends = body.map(<[u8]>::len);
    ends[0] += HEADER_BYTES as usize;
    for index in 1..ends.len() {
        ends[index] += ends[index - 1];
    }
    let blocks = body[0].len() / BLOCK_BYTES as usize - 1;
    let mut bytes = Vec::with_capacity(ends[4] + CHECKSUM_BYTES as usize);
    bytes.extend_from_slice(&MAGIC);
    for number in [VERSION as usize, places, blocks, ends[1], ends[2], ends[3], ends[4]] {
        bytes.extend_from_slice(&u32_of(number)?.to_le_bytes());
    }
    bytes.extend_from_slice(pairs);
    debug_assert_eq!(bytes.len(), HEADER_BYTES as usize);
    body.into_iter().for_each(|section| bytes.extend_from_slice(section));
    bytes.extend_from_slice(&[0; CHECKSUM_BYTES as usize]);
    seal(&mut bytes, ends[4]);
    Ok(bytes)
}

/// Writes the checksum of the bytes before `end` to `end`.
pub(crate) fn seal(bytes: &mut [u8], end: usize) {
    let mut hasher = SipHasher13::new();
    hasher.write(&bytes[..end]);
    bytes[end..].copy_from_slice(&hasher.finish().to_le_bytes());
}

fn push_block(blocks: &mut Vec<u8>, latitude_udeg: i32, number: usize, text_at: usize) -> Result<(), String> {
    blocks.extend_from_slice(&latitude_udeg.to_le_bytes());
    blocks.extend_from_slice(&u32_of(number)?.to_le_bytes());
    blocks.extend_from_slice(&u32_of(text_at)?.to_le_bytes());
    Ok(())
}

/// Appends the length of the packed text, and the packed text.
fn push_text(bytes: &mut Vec<u8>, text: &str, packer: &Packer) -> Result<(), String> {
    let mut packed = text.as_bytes().to_vec();
    packer.pack(&mut packed);
    bytes.push(u8::try_from(packed.len()).map_err(|_| "a packed text is longer than 255 bytes".to_owned())?);
    bytes.extend_from_slice(&packed);
    Ok(())
}

fn u32_of(number: usize) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| "the file would pass 4 GB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::testing::some_places;

    #[test]
    fn the_order_of_the_input_does_not_matter() {
        let mut reversed = some_places();
        reversed.reverse();
        assert_eq!(encode(&mut some_places()), encode(&mut reversed));
    }

    #[test]
    fn the_last_of_equal_places_stays() {
        let mut places = some_places();
        let again = Place { area: "elsewhere".into(), ..places[0].clone() };
        let airport = Place { kind: Kind::Airport, ..places[0].clone() };
        let count = places.len();
        places.extend([again.clone(), airport]);
        encode(&mut places).expect("in range");
        assert!(places.len() == count + 1 && places.contains(&again) && places.is_sorted());
    }

    #[test]
    fn texts_out_of_range_are_named() {
        for name in ["x".repeat(256), "a\0b".to_owned()] {
            let place = Place { name, ..some_places()[0].clone() };
            let error = encode(&mut vec![place]).expect_err("the name is refused");
            assert!(error.contains("255 bytes"), "{error}");
        }
    }

    #[test]
    fn no_places_are_a_file_too() {
        let bytes = encode(&mut Vec::new()).expect("nothing is in range");
        assert_eq!(bytes.len(), (HEADER_BYTES + BLOCK_BYTES + CHECKSUM_BYTES) as usize);
    }
}
