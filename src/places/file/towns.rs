//! Finds towns for a map: at most one in each cell of a rectangle, so that the names keep apart.
//!
//! A places file has no populations, so the size of a town is not known. Of each cell the town nearest to its middle is
//! taken. Invariant: whatever the file holds, the memory is that of the cells, and no cell reads more than a few texts.

use crate::places::error::PlacesError;
use crate::places::file::format::{Dat, Kind, Scratch, Spot};

/// Cells of the rectangle from west to east, and from south to north.
const COLUMNS: u8 = 16;
const ROWS: u8 = 12;
/// The most towns in a rectangle.
pub const TOWNS_MAX: usize = COLUMNS as usize * ROWS as usize;
/// Places of a cell whose kind is read. If none of them is a town, the cell stays empty.
const CANDIDATES: usize = 4;

const UDEG: f64 = 1_000_000.0;

/// A rectangle of positions, in millionths of a degree. Neither side is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rectangle {
    south_udeg: i32,
    west_udeg: i32,
    north_udeg: i32,
    east_udeg: i32,
}

/// A town and its position in millionths of a degree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Town {
    /// Its name.
    pub name: String,
    /// Latitude.
    pub latitude_udeg: i32,
    /// Longitude.
    pub longitude_udeg: i32,
}

impl Rectangle {
    /// Reads `SOUTH,WEST,NORTH,EAST` in decimal degrees. `None` if it is anything else, or empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut sides = text.split(',').map(|side| side.parse::<f64>().ok());
        let mut side = |most: f64| {
            let degrees = sides.next()??;
            #[expect(clippy::cast_possible_truncation, reason = "180 degrees are 180 million")]
            (-most..=most).contains(&degrees).then(|| (degrees * UDEG).round() as i32)
        };
        let [south_udeg, west_udeg, north_udeg, east_udeg] =
            [side(90.0)?, side(180.0)?, side(90.0)?, side(180.0)?];
        let is_whole = sides.next().is_none() && south_udeg < north_udeg && west_udeg < east_udeg;
        is_whole.then_some(Rectangle { south_udeg, west_udeg, north_udeg, east_udeg })
    }

    /// The cell of a position, and the square of its distance to the cell's middle, in sides of a cell.
    fn cell(&self, spot: &Spot) -> Option<(usize, f64)> {
        let of = |at: i32, least: i32, most: i32, cells: u8| {
            let part = (f64::from(at) - f64::from(least)) / (f64::from(most) - f64::from(least));
            let place = part * f64::from(cells);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "`as` stops at the ends of u8"
            )]
            let cell = (place as u8).min(cells - 1);
            (0.0..=1.0).contains(&part).then(|| (usize::from(cell), place - f64::from(cell) - 0.5))
        };
        let (column, across) = of(spot.longitude_udeg, self.west_udeg, self.east_udeg, COLUMNS)?;
        let (row, up) = of(spot.latitude_udeg, self.south_udeg, self.north_udeg, ROWS)?;
        Some((row * usize::from(COLUMNS) + column, across * across + up * up))
    }
}

/// The places of a cell, the nearest to its middle first.
type Cell = heapless::Vec<(f64, Spot), CANDIDATES>;

fn keep(cell: &mut Cell, far: f64, spot: Spot) {
    let at = cell.iter().rposition(|(other, _)| *other <= far).map_or(0, |before| before + 1);
    if at < CANDIDATES {
        cell.truncate(CANDIDATES - 1);
        let _ = cell.insert(at, (far, spot));
    }
}

/// The towns of a rectangle, at most [`TOWNS_MAX`].
///
/// # Errors
/// A failed read, or a damaged file.
pub(crate) fn towns(dat: &Dat, area: &Rectangle, scratch: &mut Scratch) -> Result<Vec<Town>, PlacesError> {
    let mut cells = vec![Cell::new(); TOWNS_MAX];
    dat.scan_band(area.south_udeg, area.north_udeg, scratch, |spot| {
        if let Some((cell, far)) = area.cell(&spot) {
            keep(&mut cells[cell], far, spot);
        }
    })?;
    let mut towns = Vec::new();
    for cell in cells {
        for (_, spot) in cell {
            let (area, name) = dat.name(&spot, scratch)?;
            let name = name.to_owned();
            if dat.area(area, scratch)?.0 == Kind::Locality {
                let Spot { latitude_udeg, longitude_udeg, .. } = spot;
                towns.push(Town { name, latitude_udeg, longitude_udeg });
                break;
            }
        }
    }
    Ok(towns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::file::encode::{Place, encode};
    use crate::places::testing::TempFile;

    #[test]
    fn a_rectangle_has_four_sides_in_their_ranges() {
        let rectangle = Rectangle {
            south_udeg: 33_900_000,
            west_udeg: -118_600_000,
            north_udeg: 34_100_000,
            east_udeg: -118_300_000,
        };
        assert_eq!(Rectangle::parse("33.9,-118.6,34.1,-118.3"), Some(rectangle));
        for wrong in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "3,2,1,4",
            "1,4,3,2",
            "1,2,1,4",
            "-91,0,0,1",
            "0,0,1,181",
            "a,2,3,4",
            "NaN,0,1,1",
            "0,0,inf,1",
        ] {
            assert_eq!(Rectangle::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cell_has_the_town_nearest_to_its_middle() {
        let place = |name: &str, latitude_udeg, longitude_udeg, kind| {
            let (name, area, region) = (name.into(), "".into(), "y".into());
            Place { latitude_udeg, longitude_udeg, kind, name, area, region }
        };
        // The first cell has its middle at 0.5, 0.5 degrees.
        let mut places = vec![
            place("airport", 500_000, 500_000, Kind::Airport),
            place("near", 600_000, 500_000, Kind::Locality),
            place("far", 900_000, 900_000, Kind::Locality),
            place("corner", 12_000_000, 16_000_000, Kind::Locality),
            place("outside", 500_000, 16_000_001, Kind::Locality),
            place("south", -1, 500_000, Kind::Locality),
        ];
        let file = TempFile::new(&encode(&mut places).expect("in range"));
        let dat = Dat::open(file.path()).expect("whole");
        let area = Rectangle::parse("0,0,12,16").expect("a rectangle");
        let found = towns(&dat, &area, &mut Scratch::new()).expect("the file is whole");
        let names: Vec<&str> = found.iter().map(|town| town.name.as_str()).collect();
        assert_eq!(names, ["near", "corner"]);
        assert_eq!((found[0].latitude_udeg, found[0].longitude_udeg), (600_000, 500_000));
    }

    #[test]
    fn the_committed_file_has_at_most_one_town_a_cell() {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/places.dat");
        let dat = Dat::open(&file).expect("whole");
        for (area, least) in
            [("-90,-180,90,180", 100), ("33.5,-119,34.5,-117.5", 50), ("-60,-140,-50,-130", 0)]
        {
            let area = Rectangle::parse(area).expect("a rectangle");
            let found = towns(&dat, &area, &mut Scratch::new()).expect("the file is whole");
            assert!((least..=TOWNS_MAX).contains(&found.len()), "{} in {area:?}", found.len());
        }
    }
}
