//! Rows to import, as many as are wanted and each time the same: the places of a places file and, around each, others with
//! names, kinds and addresses of their own. So they crowd where places crowd, and no two addresses are alike.

use std::io::{self, Write};

use herd::places::file::format::{Dat, Kind, Scratch};

/// A place that others are made of.
struct Seed {
    latitude_udeg: i32,
    longitude_udeg: i32,
    name: String,
    region: String,
}

/// What a row says. GeoNames' letters, the word of CSV, OpenStreetMap's tag.
const KINDS: [(&str, &str, &str); 5] = [
    ("P\tPPL", "locality", "\"place\":\"village\""),
    ("S\tREST", "restaurant", "\"amenity\":\"restaurant\""),
    ("S\tHTL", "lodging", "\"tourism\":\"hotel\""),
    ("L\tPRK", "park", "\"leisure\":\"park\""),
    ("S\tRSTN", "train_station", "\"railway\":\"station\""),
];
const STREETS: [&str; 6] =
    ["High Street", "Hauptstraße", "Rue de la Gare", "Avenida Central", "Main St", "Via Roma"];

/// How rows are written.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    /// GeoNames' text, tab by tab.
    GeoNames,
    /// CSV with a head.
    Csv,
    /// A feature a line.
    GeoJson,
}

/// Makes rows of the places of a file.
pub struct Rows(Vec<Seed>);

impl Rows {
    /// Reads the file whole: 30 MB for the committed one.
    pub fn of(dat: &Dat) -> Rows {
        let (mut scan, mut scratch) = (Scratch::new(), Scratch::new());
        let mut seeds = Vec::new();
        let scanned = dat.scan_band(i32::MIN, i32::MAX, &mut scan, |spot| {
            let (area_at, name) = dat.name(&spot, &mut scratch).expect("the file is whole");
            let name = name.to_owned();
            let (_, region_at, _): (Kind, _, _) = dat.area(area_at, &mut scratch).expect("the file is whole");
            let region = dat.region(region_at, &mut scratch).expect("the file is whole").to_owned();
            let (latitude_udeg, longitude_udeg) = (spot.latitude_udeg, spot.longitude_udeg);
            seeds.push(Seed { latitude_udeg, longitude_udeg, name, region });
        });
        scanned.expect("the file is whole");
        Rows(seeds)
    }

    /// Writes rows 0 to `count`, none of which is the same place as another or as one of the file.
    pub fn write(&self, layout: Layout, count: u64, out: &mut dyn Write) -> io::Result<()> {
        match layout {
            Layout::GeoNames => {}
            Layout::Csv => writeln!(out, "id,name,lat,lon,type,vicinity")?,
            Layout::GeoJson => writeln!(out, "{{\"type\":\"FeatureCollection\",\"features\":[")?,
        }
        for i in 0..count {
            self.row(layout, i, i + 1 == count, out)?;
        }
        if matches!(layout, Layout::GeoJson) {
            writeln!(out, "]}}")?;
        }
        Ok(())
    }

    fn row(&self, layout: Layout, i: u64, is_last: bool, out: &mut dyn Write) -> io::Result<()> {
        let hash = mixed(i);
        let pick = |of: usize, shift: u32| usize::try_from((hash >> shift) % of as u64).unwrap_or(0);
        // Strides through the file, so that any few rows are from all over the world.
        let at = usize::try_from(i.wrapping_mul(104_729) % self.0.len() as u64).unwrap_or(0);
        let seed = &self.0[at];
        let about = |udeg: i32, limit: i32, shift| {
            let by = i32::try_from(pick(200_001, shift)).unwrap_or(0) - 100_000;
            f64::from((udeg + by).clamp(-limit, limit)) / 1e6
        };
        let (lat, lon) =
            (about(seed.latitude_udeg, 90_000_000, 0), about(seed.longitude_udeg, 180_000_000, 20));
        let (letters, word, tag) = KINDS[pick(KINDS.len(), 40)];
        let name = format!("{} {i}", seed.name.replace(['"', '\\', ','], " "));
        let street = format!("{} {}", STREETS[pick(STREETS.len(), 44)], 1 + i % 997);
        match layout {
            Layout::GeoNames => {
                let country = seed.region.rsplit(", ").next().unwrap_or("");
                writeln!(
                    out,
                    "{}\t{name}\t{name}\t{name},{name}\t{lat:.6}\t{lon:.6}\t{letters}\t{country}\t\t{:02}\t{:03}\t\t\t{}\t\t{}\tEtc/UTC\t2026-11-{:02}",
                    1_000_000_000 + i,
                    pick(50, 3),
                    pick(300, 7),
                    pick(9_999, 11),
                    pick(2_000, 13),
                    1 + pick(24, 5)
                )
            }
            Layout::Csv => {
                writeln!(
                    out,
                    "{i},{name},{lat:.6},{lon:.6},{word},\"{street}, {}\"",
                    seed.region.replace('"', "")
                )
            }
            Layout::GeoJson => {
                let end = if is_last { "" } else { "," };
                writeln!(
                    out,
                    "{{\"type\":\"Feature\",\"id\":\"n{}\",\"geometry\":{{\"type\":\"Point\",\"coordinates\":[{lon:.7},{lat:.7}]}},\"properties\":{{{tag},\"name\":\"{name}\",\"addr:street\":\"{street}\",\"addr:city\":\"{}\",\"source\":\"survey\"}}}}{end}",
                    1_000_000_000 + i,
                    seed.region.replace(['"', '\\'], "")
                )
            }
        }
    }
}

/// SplitMix64: numbers that look drawn, the same each time.
fn mixed(i: u64) -> u64 {
    let mut x = i.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}
