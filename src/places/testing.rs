//! Shared by the tests of this folder: a few places, and temporary files that a drop removes.

use crate::places::file::encode::Place;
use crate::places::file::format::Kind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// A file in the system's folder for temporary files. A drop removes it.
pub(super) struct TempFile(PathBuf);

impl TempFile {
    pub(super) fn new(bytes: &[u8]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("herd-places-{}-{number}", std::process::id()));
        std::fs::write(&path, bytes).expect("the folder for temporary files can be written");
        Self(path)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
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
