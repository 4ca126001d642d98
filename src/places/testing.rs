//! Shared by the tests of this folder: a few places, and temporary files that a drop removes.

use crate::files::testing::TestDir;
use crate::places::file::encode::Place;
use crate::places::file::format::{Dat, Kind, Scratch};
use std::path::{Path, PathBuf};

/// A file in a temporary folder. A drop removes it.
pub(super) struct TempFile {
    path: PathBuf,
    _folder: TestDir,
}

impl TempFile {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let folder = TestDir::new();
        Self { path: folder.write("file", bytes, 0o644), _folder: folder }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Every place of a file, in order.
pub(super) fn places_of(file: &Path) -> Vec<Place> {
    let dat = Dat::open(file).expect("the file is whole");
    let (mut scan, mut scratch) = (Scratch::new(), Scratch::new());
    let mut places = Vec::new();
    dat.scan_band(i32::MIN, i32::MAX, &mut scan, |spot| {
        places.push(dat.place(&spot, &mut scratch).expect("the file is whole"));
    })
    .expect("the file is whole");
    assert_eq!(places.len(), dat.places() as usize);
    places
}

/// Places of both kinds: two near UCLA, one with non-ASCII letters, some near the North Pole.
pub(super) fn some_places() -> Vec<Place> {
    let rows = [
        (
            34_065_800,
            -118_445_000,
            Kind::Locality,
            "Westwood \"Village\"",
            "Los Angeles County",
            "California, US",
        ),
        (
            33_942_501,
            -118_407_997,
            Kind::Airport,
            "Los Angeles International Airport",
            "Los Angeles",
            "California, US",
        ),
        (-23_547_500, -46_636_110, Kind::Locality, "São Paulo", "", "São Paulo, BR"),
        (89_900_000, 0, Kind::Locality, "North", "", "XX"),
        (89_901_000, 180_000_000, Kind::Airport, "Far North Airport", "North", "XX"),
        (89_902_000, -90_000_000, Kind::Airport, "Farther North Airport", "North", "XX"),
    ];
    rows.map(|(latitude_udeg, longitude_udeg, kind, name, area, region)| Place {
        latitude_udeg,
        longitude_udeg,
        kind,
        name: name.to_owned(),
        area: area.into(),
        region: region.into(),
    })
    .to_vec()
}
