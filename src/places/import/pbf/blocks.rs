//! Reads the blocks of a PBF file (<https://wiki.openstreetmap.org/wiki/PBF_Format>), and the elements in them.
//!
//! The crates for this bring a code generator and 15 to 40 packages, some in two versions, and `osmpbf` panics on an unknown
//! type of a member. The part of the format that a places file needs is short; `miniz_oxide` unpacks it. This module does
//! not know tags.
//!
//! Invariants: a block takes at most [`BLOCK_BYTES_MAX`] twice. No content of a file makes this code panic.

use super::Damage;
use std::io::{self, Read};

/// Longest header of a block, and longest block, unpacked: the format's own limits.
const HEADER_BYTES_MAX: u32 = 64 * 1_024;
const BLOCK_BYTES_MAX: usize = 32 << 20;

/// What a reader must know to understand the data.
const FEATURES: [&[u8]; 2] = [b"OsmSchema-V0.6", b"DenseNodes"];

const CUT_OFF: Damage = Damage::What("ends in the middle of a block (was the download cut off?)");
const NO_BLOCK: Damage = Damage::What("holds something else than blocks of PBF (is it of another --format?)");
const DAMAGED: Damage = Damage::What("has a damaged block (load it again)");
const PACKED: Damage =
    Damage::What("has blocks that are not packed by zlib (convert it: osmium cat -o NEW.osm.pbf FILE)");
const FOREIGN: Damage = Damage::What(
    "needs features that this program does not know, such as a history (convert it: osmium time-filter)",
);

/// The type of an element. The letter is that of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Node,
    Way,
    Relation,
}

/// A node, way or relation.
#[derive(Debug)]
pub(super) struct Element<'a> {
    pub(super) id: i64,
    pub(super) tags: Vec<(&'a str, &'a str)>,
    /// Latitude and longitude of a node in billionths of a degree.
    pub(super) position_ndeg: (i64, i64),
    /// The nodes of a way, or the ways of a relation.
    pub(super) refs: Vec<i64>,
}

/// Calls `take` with each element of the type.
pub(super) fn elements(
    reader: &mut impl Read,
    wanted: Type,
    take: &mut dyn FnMut(&Element<'_>) -> Result<(), Damage>,
) -> Result<(), Damage> {
    while let Some((is_data, block)) = next_block(reader)? {
        if is_data {
            primitive_block(&block, wanted, take)?;
        } else {
            check_features(&block)?;
        }
    }
    Ok(())
}

/// The next block, and whether it holds elements. `None` at the end.
fn next_block(reader: &mut impl Read) -> Result<Option<(bool, Vec<u8>)>, Damage> {
    let mut length = Vec::new();
    reader.take(4).read_to_end(&mut length)?;
    let Ok(length) = <[u8; 4]>::try_from(&*length).map(u32::from_be_bytes) else {
        return if length.is_empty() { Ok(None) } else { Err(CUT_OFF) };
    };
    if length > HEADER_BYTES_MAX {
        return Err(NO_BLOCK);
    }
    let header = exactly(reader, length as usize)?;
    let (mut word, mut bytes) = (&[][..], 0);
    for field in fields(&header) {
        match field.map_err(|_| NO_BLOCK)? {
            (1, Value::Bytes(value)) => word = value,
            (3, Value::Number(value)) => bytes = value,
            _ => {}
        }
    }
    let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= BLOCK_BYTES_MAX).ok_or(NO_BLOCK)?;
    let blob = exactly(reader, bytes)?;
    let is_data = match word {
        b"OSMData" => true,
        b"OSMHeader" => false,
        // Others are skipped, as the format wants it.
        b"" => return Err(NO_BLOCK),
        _ => return Ok(Some((true, Vec::new()))),
    };
    for field in fields(&blob) {
        match field? {
            (1, Value::Bytes(raw)) => return Ok(Some((is_data, raw.to_vec()))),
            (3, Value::Bytes(zlib)) => {
                let unpacked = miniz_oxide::inflate::decompress_to_vec_zlib_with_limit(zlib, BLOCK_BYTES_MAX);
                return Ok(Some((is_data, unpacked.map_err(|_| DAMAGED)?)));
            }
            _ => {}
        }
    }
    Err(PACKED)
}

fn exactly(reader: &mut impl Read, count: usize) -> Result<Vec<u8>, Damage> {
    let mut bytes = Vec::new();
    reader.take(count as u64).read_to_end(&mut bytes)?;
    if bytes.len() == count { Ok(bytes) } else { Err(CUT_OFF) }
}

fn check_features(block: &[u8]) -> Result<(), Damage> {
    for field in fields(block) {
        if let (4, Value::Bytes(feature)) = field?
            && !FEATURES.contains(&feature)
        {
            return Err(FOREIGN);
        }
    }
    Ok(())
}

/// What the elements of a block share.
struct Block<'a> {
    strings: Vec<&'a [u8]>,
    granularity: i64,
    /// Of latitude and longitude.
    offset: (i64, i64),
}

fn primitive_block(
    bytes: &[u8],
    wanted: Type,
    take: &mut dyn FnMut(&Element<'_>) -> Result<(), Damage>,
) -> Result<(), Damage> {
    let mut block = Block { strings: Vec::new(), granularity: 100, offset: (0, 0) };
    let mut groups = Vec::new();
    for field in fields(bytes) {
        match field? {
            (1, Value::Bytes(table)) => {
                for string in fields(table) {
                    block.strings.extend(string?.1.bytes());
                }
            }
            (2, Value::Bytes(group)) => groups.push(group),
            (17, Value::Number(value)) => block.granularity = value.cast_signed(),
            (19, Value::Number(value)) => block.offset.0 = value.cast_signed(),
            (20, Value::Number(value)) => block.offset.1 = value.cast_signed(),
            _ => {}
        }
    }
    for group in groups {
        for field in fields(group) {
            match (field?, wanted) {
                ((1, Value::Bytes(node)), Type::Node) => take(&block.element(node, wanted)?)?,
                ((2, Value::Bytes(nodes)), Type::Node) => block.dense(nodes, take)?,
                ((3, Value::Bytes(way)), Type::Way) => take(&block.element(way, wanted)?)?,
                ((4, Value::Bytes(relation)), Type::Relation) => take(&block.element(relation, wanted)?)?,
                _ => {}
            }
        }
    }
    Ok(())
}

impl<'a> Block<'a> {
    fn string(&self, at: u64) -> Result<&'a str, Damage> {
        let string = usize::try_from(at).ok().and_then(|at| self.strings.get(at)).ok_or(DAMAGED)?;
        std::str::from_utf8(string).map_err(|_| DAMAGED)
    }

    /// Billionths of a degree. A number too large for a degree is out of range later.
    fn position(&self, latitude: i64, longitude: i64) -> (i64, i64) {
        let ndeg = |offset: i64, value: i64| value.saturating_mul(self.granularity).saturating_add(offset);
        (ndeg(self.offset.0, latitude), ndeg(self.offset.1, longitude))
    }

    fn element(&self, bytes: &[u8], of: Type) -> Result<Element<'a>, Damage> {
        let (mut id, mut keys, mut values) = (0, &[][..], &[][..]);
        let (mut refs, mut types, mut position) = (&[][..], None, (0, 0));
        for field in fields(bytes) {
            match (field?, of) {
                ((1, Value::Number(value)), Type::Node) => id = signed(value),
                ((1, Value::Number(value)), _) => id = value.cast_signed(),
                ((2, Value::Bytes(value)), _) => keys = value,
                ((3, Value::Bytes(value)), _) => values = value,
                ((8, Value::Number(value)), Type::Node) => position.0 = signed(value),
                ((9, Value::Number(value)), Type::Node) => position.1 = signed(value),
                ((8, Value::Bytes(value)), Type::Way) | ((9, Value::Bytes(value)), Type::Relation) => {
                    refs = value;
                }
                ((10, Value::Bytes(value)), Type::Relation) => types = Some(value),
                _ => {}
            }
        }
        let mut tags = Vec::new();
        for (key, value) in packed(keys).zip(packed(values)) {
            tags.push((self.string(key?)?, self.string(value?)?));
        }
        let mut refs: Vec<i64> = deltas(refs).collect::<Result<_, _>>()?;
        if let Some(types) = types {
            // Type 1 is a way.
            let mut types = packed(types);
            refs.retain(|_| matches!(types.next(), Some(Ok(1))));
        }
        Ok(Element { id, tags, position_ndeg: self.position(position.0, position.1), refs })
    }

    /// Many nodes, each of their numbers in a row of its own.
    fn dense(
        &self,
        bytes: &[u8],
        take: &mut dyn FnMut(&Element<'_>) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        let (mut ids, mut latitudes, mut longitudes, mut tags) = (&[][..], &[][..], &[][..], &[][..]);
        for field in fields(bytes) {
            match field? {
                (1, Value::Bytes(value)) => ids = value,
                (8, Value::Bytes(value)) => latitudes = value,
                (9, Value::Bytes(value)) => longitudes = value,
                (10, Value::Bytes(value)) => tags = value,
                _ => {}
            }
        }
        let positions = deltas(latitudes).zip(deltas(longitudes));
        let mut tags = packed(tags);
        for (id, (latitude, longitude)) in deltas(ids).zip(positions) {
            let mut element = Element {
                id: id?,
                tags: Vec::new(),
                position_ndeg: self.position(latitude?, longitude?),
                refs: Vec::new(),
            };
            // Pairs of key and value; 0 ends the pairs of a node.
            while let Some(key) = tags.next().transpose()?.filter(|key| *key != 0) {
                let value = tags.next().ok_or(DAMAGED)??;
                element.tags.push((self.string(key)?, self.string(value)?));
            }
            take(&element)?;
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }
}

/// What `read` takes from these bytes, one after another, until it cannot.
fn items<'a, T>(
    mut bytes: &'a [u8],
    read: impl Fn(&mut &'a [u8]) -> Option<T>,
) -> impl Iterator<Item = Result<T, Damage>> {
    std::iter::from_fn(move || {
        let is_end = bytes.is_empty();
        (!is_end).then(|| {
            read(&mut bytes).ok_or_else(|| {
                bytes = &[];
                DAMAGED
            })
        })
    })
}

/// The fields of a message of protocol buffers, with their numbers.
fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Value<'_>), Damage>> {
    items(bytes, field)
}

fn field<'a>(bytes: &mut &'a [u8]) -> Option<(u64, Value<'a>)> {
    let key = varint(bytes)?;
    let length = match key & 7 {
        0 => return Some((key >> 3, Value::Number(varint(bytes)?))),
        1 => 8,
        2 => usize::try_from(varint(bytes)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (value, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some((key >> 3, Value::Bytes(value)))
}

/// Numbers in a row.
fn packed(bytes: &[u8]) -> impl Iterator<Item = Result<u64, Damage>> {
    items(bytes, varint)
}

/// Signed numbers in a row, each as its difference to the one before.
fn deltas(bytes: &[u8]) -> impl Iterator<Item = Result<i64, Damage>> {
    let mut last = 0_i64;
    packed(bytes).map(move |difference| {
        last = last.wrapping_add(signed(difference?));
        Ok(last)
    })
}

/// A number of at most ten bytes, seven bits in each.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7F).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A number whose lowest bit is its sign.
fn signed(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

impl From<io::Error> for Damage {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_of_any_length() {
        for (bytes, number) in [
            (&[0][..], Some(0)),
            (&[0x96, 1], Some(150)),
            (&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1], Some(u64::MAX)),
            (&[0x80], None),
            (&[0xFF; 11], None),
        ] {
            assert_eq!(varint(&mut &*bytes), number, "{bytes:?}");
        }
        assert_eq!([0, 1, 2, u64::MAX].map(signed), [0, -1, 1, i64::MIN]);
    }

    proptest! {
        #[test]
        fn any_block_ends(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for wanted in [Type::Node, Type::Way, Type::Relation] {
                let _ = primitive_block(&bytes, wanted, &mut |_| Ok(()));
                let _ = elements(&mut &*bytes, wanted, &mut |_| Ok(()));
            }
        }
    }
}
