//! Reads extracts of OpenStreetMap as PBF: nodes with a name, and closed ways and multipolygons with a name and a known
//! type, at the middle of their outline. The rule is that of GeoJSON from `osmium export`.
//!
//! A file holds nodes, then ways, then relations, so it is read three times in the other direction: relations show which ways
//! the import needs, ways show which nodes. Invariant: memory holds the areas that are places, and 16 bytes for each node of
//! their outlines.

mod blocks;

use super::error::{ImportError, Wrong};
use super::osm::{Bounds, Shape, Tags};
use super::row::Id;
use super::{LeftOut, Outcome, Take};
use crate::files::open_regular;
use crate::places::file::format::Kind;
use blocks::{Element, Type, elements};
use std::cell::Cell;
use std::collections::HashMap;
use std::io::{self, BufReader, Seek};
use std::path::Path;

/// Billionths of a degree in a millionth.
const NDEG: i64 = 1_000;

/// Most nodes of outlines, in 4 GB. A file in which every relation has the same way would need more.
const OUTLINES_MAX: usize = 1 << 28;
const TOO_LARGE: Damage = Damage::What("has too many outlines (import smaller extracts one by one)");

/// Why the reading ended.
#[derive(Debug)]
enum Damage {
    Read(io::Error),
    What(&'static str),
    /// The import stops at a bad row.
    Stopped(ImportError),
}

/// Calls `take` with each place, and with each element that is left out. A node without a known tag gets `kind`. Counts the
/// bytes of the last of the three readings in `bytes`.
pub(super) fn read(file: &Path, kind: Kind, bytes: &Cell<u64>, take: Take<'_>) -> Result<(), ImportError> {
    read_three_times(file, kind, bytes, take).map_err(|damage| match damage {
        Damage::Read(error) => ImportError::Read(file.into(), error),
        Damage::What(what) => ImportError::Malformed(file.into(), 0, what.into()),
        Damage::Stopped(error) => error,
    })
}

fn read_three_times(file: &Path, kind: Kind, bytes: &Cell<u64>, take: Take<'_>) -> Result<(), Damage> {
    let mut take = |outcome| take(0, outcome).map_err(Damage::Stopped);
    let mut reader = BufReader::new(open_regular(file)?);
    let mut areas = Areas::default();
    elements(&mut reader, Type::Relation, &mut |relation| areas.add_relation(relation, kind, &mut take))?;
    reader.rewind()?;
    elements(&mut reader, Type::Way, &mut |way| areas.add_way(way, kind, &mut take))?;
    reader.rewind()?;
    areas.of_node.sort_unstable();
    let mut position = reader.get_ref().try_clone()?;
    elements(&mut reader, Type::Node, &mut |node| {
        areas.add_node(node);
        if node.tags.is_empty() {
            return Ok(());
        }
        bytes.set(position.stream_position()?);
        let id = format!("node {}", node.id);
        let place =
            || udeg(node).ok_or_else(|| Wrong::new(id.clone(), "is not on the globe", "load the file again"));
        take(placed(node, b'n', Shape::Point, place, kind))
    })?;
    for Area { id, tags, bounds } in areas.all {
        let centre = bounds.centre();
        let outcome = match centre {
            // Its outline is not in the extract.
            None => Ok(Outcome::LeftOut(LeftOut::NoPoint)),
            Some(centre) => tags.place(Shape::Area, || Ok(centre), Some(id), kind),
        };
        take(outcome.unwrap_or_else(Outcome::Bad))?;
    }
    Ok(())
}

/// Latitude and longitude of a node in millionths of a degree, rounded half away from zero as in GeoJSON.
fn udeg(node: &Element<'_>) -> Option<(i32, i32)> {
    let round = |ndeg: i64, limit_deg: i64| {
        let udeg = (ndeg.checked_add(ndeg.signum() * NDEG / 2)?) / NDEG;
        i32::try_from(udeg).ok().filter(|_| udeg.abs() <= limit_deg * 1_000_000)
    };
    Some((round(node.position_ndeg.0, 90)?, round(node.position_ndeg.1, 180)?))
}

fn tags_of(element: &Element<'_>) -> Tags {
    let mut tags = Tags::default();
    element.tags.iter().for_each(|(key, value)| tags.add(key, *value));
    tags
}

fn id_of(element: &Element<'_>, letter: u8) -> Option<Id> {
    u64::try_from(element.id).ok().map(|id| Id::OpenStreetMap(letter, id, 0))
}

/// The place that an element is, or why it is not one.
fn placed(
    element: &Element<'_>,
    letter: u8,
    shape: Shape,
    position: impl FnOnce() -> Result<(i32, i32), Wrong>,
    kind: Kind,
) -> Outcome {
    let place = tags_of(element).place(shape, position, id_of(element, letter), kind);
    place.unwrap_or_else(|mut wrong| {
        wrong.member = format!("{}{}: {}", char::from(letter), element.id, wrong.member).into();
        Outcome::Bad(wrong)
    })
}

struct Area {
    id: Id,
    tags: Tags,
    bounds: Bounds,
}

/// The areas that are places.
#[derive(Default)]
struct Areas {
    all: Vec<Area>,
    /// The areas whose outlines a way belongs to.
    of_way: HashMap<i64, Vec<usize>>,
    /// Pairs of a node and an area, by node.
    of_node: Vec<(i64, usize)>,
}

impl Areas {
    /// Adds the element if it is a place. Returns the area's index.
    fn add(
        &mut self,
        element: &Element<'_>,
        letter: u8,
        kind: Kind,
        take: &mut dyn FnMut(Outcome) -> Result<(), Damage>,
    ) -> Result<Option<usize>, Damage> {
        // The position is not known yet.
        match (placed(element, letter, Shape::Area, || Ok((0, 0)), kind), id_of(element, letter)) {
            (Outcome::Row(_), Some(id)) => {
                self.all.push(Area { id, tags: tags_of(element), bounds: Bounds::default() });
                Ok(Some(self.all.len() - 1))
            }
            (outcome, _) => take(outcome).map(|()| None),
        }
    }

    fn add_relation(
        &mut self,
        relation: &Element<'_>,
        kind: Kind,
        take: &mut dyn FnMut(Outcome) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        // Others, such as routes, have no outline.
        if !["multipolygon", "boundary"].iter().any(|word| relation.tags.contains(&("type", word))) {
            return Ok(());
        }
        if let Some(area) = self.add(relation, b'r', kind, take)? {
            relation.refs.iter().for_each(|way| self.of_way.entry(*way).or_default().push(area));
        }
        Ok(())
    }

    fn add_way(
        &mut self,
        way: &Element<'_>,
        kind: Kind,
        take: &mut dyn FnMut(Outcome) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        let mut areas = self.of_way.remove(&way.id).unwrap_or_default();
        let is_closed = way.refs.len() > 3 && way.refs.first() == way.refs.last();
        if is_closed && !way.tags.is_empty() && !way.tags.contains(&("area", "no")) {
            areas.extend(self.add(way, b'w', kind, take)?);
        } else if !way.tags.is_empty() {
            take(Outcome::LeftOut(LeftOut::NoPoint))?;
        }
        for area in areas {
            self.of_node.extend(way.refs.iter().map(|node| (*node, area)));
        }
        if self.of_node.len() > OUTLINES_MAX { Err(TOO_LARGE) } else { Ok(()) }
    }

    fn add_node(&mut self, node: &Element<'_>) {
        let begin = self.of_node.partition_point(|(id, _)| *id < node.id);
        let wanted = self.of_node[begin..].iter().take_while(|(id, _)| *id == node.id);
        for (_, area) in wanted {
            if let (Some(area), Some((latitude, longitude))) = (self.all.get_mut(*area), udeg(node)) {
                area.bounds.add(latitude, longitude);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{geojson, shown_rows};
    use super::*;
    use crate::places::testing::TempFile;
    use std::fs;

    fn extract(ending: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/osm/village").with_extension(ending)
    }

    /// What a reader finds, without lines and ids.
    fn found(read: impl FnOnce(Take<'_>) -> Result<(), ImportError>) -> Vec<String> {
        let without = |row: &String| {
            let (_, row) = row.split_once(' ').expect("a line");
            row.rsplit_once(" | ").map_or(row, |(row, _)| row).to_owned()
        };
        let mut rows: Vec<String> = shown_rows(read).iter().map(without).collect();
        rows.sort();
        rows
    }

    fn found_in(bytes: &[u8]) -> Result<Vec<String>, String> {
        let file = TempFile::new(bytes);
        let mut failed = Ok(());
        let rows = found(|take| {
            failed = read(file.path(), Kind::PointOfInterest, &Cell::new(0), take)
                .map_err(|error| error.to_string());
            Ok(())
        });
        failed.map(|()| rows).map_err(|error| error.replace(&file.path().display().to_string(), "x"))
    }

    #[test]
    fn an_extract_gives_the_same_places_as_its_geojson() {
        let text = fs::read(extract("geojsonseq")).expect("it is committed");
        let of_json = found(|take| geojson::read(&*text, Path::new("x"), (Kind::PointOfInterest, 0), take));
        let of_pbf = found_in(&fs::read(extract("osm.pbf")).expect("it is committed"));
        let places = |rows: Vec<String>| {
            let (left_out, places): (Vec<_>, Vec<_>) =
                rows.into_iter().partition(|row| row.starts_with("left out"));
            (places, left_out.iter().filter(|row| !row.ends_with("NoPoint")).count())
        };
        let (places_of_json, left_out_of_json) = places(of_json);
        let (places_of_pbf, left_out_of_pbf) = places(of_pbf.expect("it is whole"));
        let expected = [
            "Cafe 52500000 13400000 Café Blüte | 3 Dorfstraße | Neudorf",
            "Library 52510500 13411000 Village Library |  | ",
            "Locality 52501000 13403000 Neudorf |  | ",
            "NaturalFeature 52525000 13425000 Mill Pond |  | ",
            "PointOfInterest 52500001 13401000 Old Oak |  | ",
            "PointOfInterest 52526000 13424000 Gate |  | ",
            "Store -2 -1 Null Bread |  | ",
        ];
        assert_eq!(places_of_pbf, expected);
        assert_eq!((places_of_json, left_out_of_json), (places_of_pbf, left_out_of_pbf));
    }

    #[test]
    fn ids_are_as_osmium_writes_them() {
        let file = extract("osm.pbf");
        let rows = shown_rows(|take| read(&file, Kind::PointOfInterest, &Cell::new(0), take));
        let ids: Vec<_> = rows.iter().filter_map(|row| row.rsplit_once(" | ")).map(|(_, id)| id).collect();
        assert_eq!(ids, ["n1 0", "n2 0", "n4 0", "n5 0", "n27 0", "r40 0", "w30 0"]);
    }

    #[test]
    fn what_is_not_a_whole_pbf_is_named() {
        let whole = fs::read(extract("osm.pbf")).expect("it is committed");
        assert_eq!(found_in(b""), Ok(vec![]));
        let foreign = "x: holds something else than blocks of PBF (is it of another --format?)";
        for bytes in [&b"name,lat,lon\n"[..], b"{\"type\":", &[0, 0, 0, 2, 0x7F, 0x7F]] {
            assert_eq!(found_in(bytes), Err(foreign.to_owned()), "{bytes:?}");
        }
        // A file cut between two blocks is whole.
        let cuts = (1..whole.len()).map(|length| found_in(&whole[..length]));
        let cut_off = cuts.filter(|cut| cut.as_ref().is_err_and(|error| error.contains("cut off?"))).count();
        assert_eq!(cut_off, whole.len() - 1 - 3);
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;
            let _ = found_in(&bytes);
        }
        let error =
            read(&std::env::temp_dir(), Kind::Cafe, &Cell::new(0), &mut |_, _| Ok(())).expect_err("a folder");
        assert!(error.to_string().ends_with("cannot be read: not a regular file"), "{error}");
    }
}
