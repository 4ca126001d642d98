//! Writes version 1 of the [`format`](mod@super::format). It runs on the machine that builds a places file, never in a
//! node, because it holds all places in memory.
//!
//! Invariant: the same places give the same bytes, in any order.

use crate::places::file::format::{
    BLOCK_BYTES, BLOCK_PLACES_MAX, CHECKSUM_BYTES, COORDINATE_BYTES, HEADER_BYTES, Kind, MAGIC, REGION_BITS,
    VERSION,
};
use crate::places::file::pair_encoding::{TEXT_BYTES_MAX, pack_all};
use siphasher::sip::SipHasher13;
use std::collections::BTreeMap;
use std::hash::Hasher;

/// One place from the sources. The order is the order of the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) latitude_udeg: i32,
    pub(crate) longitude_udeg: i32,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// County or town; may be empty.
    pub(crate) area: String,
    /// Region and country as an answer shows them.
    pub(crate) region: String,
}

/// Counts of an encoding.
pub(crate) struct Sizes {
    /// Places dropped because another place has the same kind, name and position.
    pub(crate) duplicates: usize,
}

/// Sorts `places` and encodes them as the bytes of a file. Of several places with the same kind, name and position only
/// the first stays, because they would have the same `place_id`.
///
/// # Errors
/// A text is too long, or a section exceeds the range of its offsets.
pub(crate) fn encode(places: &mut Vec<Place>) -> Result<(Vec<u8>, Sizes), String> {
    let given = places.len();
    places.sort_unstable();
    places.dedup_by(|a, b| identity(a) == identity(b));
    let sizes = Sizes { duplicates: given - places.len() };

    // Number regions in the order of their names: similar names pack alike, and the order is total.
    let mut regions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut areas: BTreeMap<(Kind, &str, &str), usize> = BTreeMap::new();
    for place in places.iter() {
        regions.insert(&place.region, 0);
        areas.insert((place.kind, &place.region, &place.area), 0);
    }
    let names = places.iter().map(|place| place.name.as_str());
    let texts: Vec<&str> =
        names.chain(areas.keys().map(|area| area.2)).chain(regions.keys().copied()).collect();
    if let Some(text) = texts.iter().find(|text| text.len() > TEXT_BYTES_MAX || text.contains('\0')) {
        return Err(format!("the text {text:?} holds NUL or more than {TEXT_BYTES_MAX} bytes"));
    }
    let (pairs, packed) = pack_all(&texts);
    let (names, packed) = packed.split_at(places.len());
    let (area_names, region_names) = packed.split_at(areas.len());

    let mut region_bytes = Vec::new();
    for (at, name) in regions.values_mut().zip(region_names) {
        *at = region_bytes.len();
        push_text(&mut region_bytes, name)?;
    }
    if region_bytes.len() >= 1 << REGION_BITS {
        return Err(format!(
            "{} bytes of regions are more than {REGION_BITS} bits can name",
            region_bytes.len()
        ));
    }
    let mut area_bytes = Vec::new();
    for (((kind, region, _), at), name) in areas.iter_mut().zip(area_names) {
        *at = area_bytes.len();
        push_u24(&mut area_bytes, regions[region] | usize::from(*kind as u8) << REGION_BITS)?;
        push_text(&mut area_bytes, name)?;
    }
    let (mut blocks, mut coordinates, mut text_bytes) = (Vec::new(), Vec::new(), Vec::new());
    let mut first: Option<(usize, i32)> = None;
    for (number, (place, name)) in places.iter().zip(names).enumerate() {
        let begun = first.filter(|(begin, _)| number - begin < BLOCK_PLACES_MAX as usize);
        let above = begun.and_then(|(_, latitude)| u16::try_from(place.latitude_udeg - latitude).ok());
        if above.is_none() {
            first = Some((number, place.latitude_udeg));
            push_block(&mut blocks, place.latitude_udeg, number, text_bytes.len())?;
        }
        coordinates.extend_from_slice(&above.unwrap_or(0).to_le_bytes());
        coordinates.extend_from_slice(&place.longitude_udeg.to_le_bytes());
        push_u24(&mut text_bytes, areas[&(place.kind, place.region.as_str(), place.area.as_str())])?;
        push_text(&mut text_bytes, name)?;
    }
    push_block(&mut blocks, i32::MAX, places.len(), text_bytes.len())?;

    let body = [&blocks[..], &coordinates, &text_bytes, &area_bytes, &region_bytes];
    Ok((assemble(places.len(), pairs.bytes(), body)?, sizes))
}

/// The identity of a place: all but its area and region.
fn identity(place: &Place) -> (i32, i32, Kind, &str) {
    (place.latitude_udeg, place.longitude_udeg, place.kind, &place.name)
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
    let numbers = [VERSION as usize, places, blocks, ends[1], ends[2], ends[3], ends[4]];
    let mut bytes = header(&numbers.map(u32_of).into_iter().collect::<Result<Vec<_>, _>>()?, pairs);
    bytes.extend(body.into_iter().flatten());
    let end = bytes.len();
    bytes.extend_from_slice(&[0; CHECKSUM_BYTES as usize]);
    seal(&mut bytes, end);
    Ok(bytes)
}

/// The file's header: version, counts and offsets in the order of `format.rs`, and the pair table.
pub(crate) fn header(numbers: &[u32], pairs: &[u8]) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
    let bytes: Vec<u8> = MAGIC.into_iter().chain(numbers).chain(pairs.iter().copied()).collect();
    debug_assert_eq!(bytes.len(), HEADER_BYTES as usize);
    bytes
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

fn push_u24(bytes: &mut Vec<u8>, number: usize) -> Result<(), String> {
    let [low, middle, high, 0] = u32_of(number)?.to_le_bytes() else {
        return Err(format!("offset {number} needs more than 24 bits: too many areas"));
    };
    bytes.extend_from_slice(&[low, middle, high]);
    Ok(())
}

fn push_text(bytes: &mut Vec<u8>, packed: &[u8]) -> Result<(), String> {
    bytes.push(u8::try_from(packed.len()).map_err(|_| "a packed text is longer than 255 bytes".to_owned())?);
    bytes.extend_from_slice(packed);
    Ok(())
}

fn u32_of(number: usize) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| format!("{number} needs more than 32 bits: too many places"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::testing::some_places;

    #[test]
    fn the_order_of_the_input_does_not_matter() {
        let mut reversed = some_places();
        reversed.reverse();
        let (a, _) = encode(&mut some_places()).expect("in range");
        let (b, _) = encode(&mut reversed).expect("in range");
        assert_eq!(a, b);
    }

    #[test]
    fn the_same_place_is_kept_once() {
        let mut places = some_places();
        let again = Place { area: "elsewhere".to_owned(), ..places[0].clone() };
        let airport = Place { kind: Kind::Airport, ..places[0].clone() };
        let count = places.len();
        places.extend([again, airport]);
        let (_, sizes) = encode(&mut places).expect("in range");
        assert_eq!((places.len(), sizes.duplicates), (count + 1, 1));
    }

    #[test]
    fn texts_out_of_range_are_named() {
        for name in ["x".repeat(256), "a\0b".to_owned()] {
            let place = Place { name, ..some_places()[0].clone() };
            let error = encode(&mut vec![place]).err().expect("the name is refused");
            assert!(error.contains("255 bytes"), "{error}");
        }
    }

    #[test]
    fn no_places_are_a_file_too() {
        let (bytes, _) = encode(&mut Vec::new()).expect("nothing is in range");
        assert_eq!(bytes.len(), (HEADER_BYTES + BLOCK_BYTES + CHECKSUM_BYTES) as usize);
    }
}
