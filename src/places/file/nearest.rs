//! Finds the places within a radius, nearest first.
//!
//! The code scans a band of latitude from south to north. A box of longitudes drops most places with an integer comparison.
//! The code computes the distance only of the others. This module does not know names or JSON. It holds at most the
//! nearest 20 places, in an array.
//!
//! Distances are great-circle distances on a sphere of the IUGG mean radius. The haversine formula stays precise at short
//! distances; the law of cosines does not. The error against the ellipsoid is up to 0.5 %: 50 m in 10 km. Places at the
//! same distance come in the order of the file (latitude, longitude, kind, name).
//!
//! A spatial index would not help: a band of 20 km holds 300 to 1,800 of 199,371 places. To read them takes two or three
//! reads, while the names of eight results take eight.

use crate::places::error::PlacesError;
use crate::places::file::format::{Dat, Scratch, Spot};
use crate::places::{MAX_ITEMS, Query};

/// Mean radius of the earth in metres (IUGG, R1).
pub const EARTH_RADIUS_M: f64 = 6_371_008.8;

const UDEG: f64 = 1_000_000.0;

/// The places within the radius.
#[derive(Debug, Default)]
pub struct Nearest {
    /// Whether any place is within the radius, even when the query asks for 0 items.
    pub any: bool,
    /// The nearest, nearest first; at most the query's `items`.
    pub spots: heapless::Vec<Found, { MAX_ITEMS as usize }>,
}

/// A place and its distance.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The place.
    pub spot: Spot,
    /// sin^2 of half the angle to the query's position. It grows with the distance, so it is enough for the order.
    haversine: f64,
}

impl Found {
    /// Distance to the query's position in metres.
    pub fn distance_m(&self) -> f64 {
        2.0 * EARTH_RADIUS_M * libm::asin(self.haversine.min(1.0).sqrt())
    }
}

/// Finds the places of `dat` within the query's radius, the circle's edge included.
///
/// # Errors
/// A query out of range ([`Query::check`]), a failed read, or a damaged file.
pub fn nearest(dat: &Dat, query: &Query, scratch: &mut Scratch) -> Result<Nearest, PlacesError> {
    query.check()?;
    let area = Area::new(query);
    let mut nearest = Nearest::default();
    let items = usize::from(query.items);
    dat.scan_band(area.low_udeg, area.high_udeg, scratch, |spot| {
        if !area.may_hold(spot.longitude_udeg) {
            return;
        }
        let haversine = area.haversine(spot.latitude_udeg, spot.longitude_udeg);
        if haversine <= area.haversine_max {
            nearest.any = true;
            nearest.keep(Found { spot, haversine }, items);
        }
    })?;
    Ok(nearest)
}

impl Nearest {
    /// Inserts `found` in the order of distance. A full list of `items` drops its farthest place. Places arrive by rising
    /// number, so an insertion behind equal distances preserves the order of the file.
    fn keep(&mut self, found: Found, items: usize) {
        let at = self
            .spots
            .iter()
            .rposition(|other| other.haversine <= found.haversine)
            .map_or(0, |before| before + 1);
        if at >= items {
            return;
        }
        self.spots.truncate(items - 1);
        let inserted = self.spots.insert(at, found);
        debug_assert!(inserted.is_ok(), "items is at most the capacity, and one place was made");
    }
}

/// The circle of a query, with its band of latitude and its box.
struct Area {
    latitude_rad: f64,
    latitude_cos: f64,
    longitude_udeg: i32,
    longitude_deg: f64,
    haversine_max: f64,
    low_udeg: i32,
    high_udeg: i32,
    /// Largest difference of longitudes. 180 degrees or more includes every longitude.
    half_width_udeg: i32,
}

impl Area {
    /// The caller has checked the query's ranges.
    fn new(query: &Query) -> Self {
        let latitude_rad = query.latitude_deg.to_radians();
        let angle_rad = query.radius_m / EARTH_RADIUS_M;
        let reach_deg = angle_rad.to_degrees();
        let half_sin = libm::sin(angle_rad / 2.0);
        // A circle around a pole has places at every longitude. Otherwise its widest point lies between its centre and the
        // pole, where sin(width) = sin(radius) / cos(latitude).
        let holds_a_pole = query.latitude_deg.abs() + reach_deg >= 90.0;
        let half_width_deg = if holds_a_pole {
            180.0
        } else {
            libm::asin((libm::sin(angle_rad) / libm::cos(latitude_rad)).clamp(0.0, 1.0)).to_degrees()
        };
        Self {
            latitude_rad,
            latitude_cos: libm::cos(latitude_rad),
            longitude_udeg: udeg(query.longitude_deg),
            longitude_deg: query.longitude_deg,
            // Slightly larger (13 nm at 0, 38 nm at 50 km), so that rounding does not drop a place exactly at the edge. At
            // radius 0 a place at -180 degrees also matches a query at 180.
            haversine_max: half_sin * half_sin * (1.0 + 1e-12) + 1e-30,
            // Rounded outwards: the box may be too large, never too small.
            low_udeg: udeg(query.latitude_deg - reach_deg) - 2,
            high_udeg: udeg(query.latitude_deg + reach_deg) + 2,
            half_width_udeg: udeg(half_width_deg) + 2,
        }
    }

    fn may_hold(&self, longitude_udeg: i32) -> bool {
        let apart = longitude_udeg.abs_diff(self.longitude_udeg);
        // The shorter way can cross the date line. A damaged file may hold more than 360 degrees; the result is then 0.
        let apart = apart.min(360_000_000_u32.saturating_sub(apart));
        apart <= self.half_width_udeg.unsigned_abs()
    }

    fn haversine(&self, latitude_udeg: i32, longitude_udeg: i32) -> f64 {
        // A division, not a multiplication by 1e-6: it gives the double nearest to the decimal, as the query's parser does.
        let latitude_rad = (f64::from(latitude_udeg) / UDEG).to_radians();
        let longitude_rad = (f64::from(longitude_udeg) / UDEG - self.longitude_deg).to_radians();
        let up = libm::sin((latitude_rad - self.latitude_rad) / 2.0);
        let across = libm::sin(longitude_rad / 2.0);
        up * up + self.latitude_cos * libm::cos(latitude_rad) * across * across
    }
}

/// Degrees, up to about one turn, to the nearest millionth.
#[allow(
    clippy::cast_possible_truncation,
    reason = "400 degrees are 400 million, and `as` stops at the ends of i32"
)]
fn udeg(degrees: f64) -> i32 {
    debug_assert!(degrees.abs() <= 400.0);
    (degrees * UDEG).round() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::file::encode::{Place, encode};
    use crate::places::file::format::Kind;
    use crate::places::testing::TempFile;
    use proptest::prelude::*;

    /// A place. All have the same name of one letter, because packing takes most of a test's time.
    fn place(latitude_udeg: i32, longitude_udeg: i32) -> Place {
        let (name, area, region) = ("x".into(), "".into(), "y".into());
        Place { latitude_udeg, longitude_udeg, kind: Kind::Locality, name, area, region }
    }

    fn query(latitude_deg: f64, longitude_deg: f64, radius_m: f64, items: u8) -> Query {
        Query { latitude_deg, longitude_deg, radius_m, items }
    }

    fn ask(places: &mut Vec<Place>, query: &Query) -> Nearest {
        let bytes = encode(places).expect("in range");
        let file = TempFile::new(&bytes);
        let dat = Dat::open(file.path()).expect("whole");
        nearest(&dat, query, &mut Scratch::new()).expect("the file is whole")
    }

    fn positions(nearest: &Nearest) -> Vec<(i32, i32)> {
        nearest.spots.iter().map(|found| (found.spot.latitude_udeg, found.spot.longitude_udeg)).collect()
    }

    /// The distance by unit vectors: a formula independent of the tested one.
    fn chord_m(query: &Query, latitude_udeg: i32, longitude_udeg: i32) -> f64 {
        let vector = |latitude: f64, longitude: f64| {
            let (y, z) = latitude.to_radians().sin_cos();
            let (e, n) = longitude.to_radians().sin_cos();
            [z * n, z * e, y]
        };
        let a = vector(query.latitude_deg, query.longitude_deg);
        let b = vector(f64::from(latitude_udeg) / UDEG, f64::from(longitude_udeg) / UDEG);
        let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
        2.0 * EARTH_RADIUS_M * (square.sqrt() / 2.0).asin()
    }

    #[test]
    fn known_distances() {
        let table = [
            // One degree of a meridian; London to Paris; a metre or so at the equator.
            (query(0.0, 0.0, 0.0, 1), (1_000_000, 0), 111_195.08, 0.01),
            (query(51.5074, -0.1278, 0.0, 1), (48_856_600, 2_352_200), 343_557.0, 60.0),
            (query(0.0, 0.0, 0.0, 1), (0, 10), 1.111_950_8, 1e-6),
        ];
        for (query, (latitude, longitude), metres, within) in table {
            let haversine = Area::new(&query).haversine(latitude, longitude);
            let spot = Found { haversine, ..some_found() };
            assert!((spot.distance_m() - metres).abs() < within, "{} {metres}", spot.distance_m());
        }
    }

    fn some_found() -> Found {
        let all = ask(&mut vec![place(0, 0)], &query(0.0, 0.0, 1.0, 1));
        all.spots[0]
    }

    #[test]
    fn radius_zero_finds_the_very_point() {
        let found = ask(&mut vec![place(34_068_930, -118_445_127)], &query(34.068930, -118.445127, 0.0, 1));
        assert_eq!(found.spots.len(), 1);
        assert!(ask(&mut vec![place(1, -180_000_000)], &query(0.000001, 180.0, 0.0, 1)).any);
        assert!(ask(&mut vec![place(90_000_000, 0)], &query(90.0, 77.0, 0.0, 1)).any);
        assert!(!ask(&mut vec![place(34_068_931, -118_445_127)], &query(34.06893, -118.445127, 0.0, 1)).any);
    }

    #[test]
    fn no_items_still_tell_whether_anything_is_near() {
        let mut places = vec![place(0, 0)];
        let found = ask(&mut places, &query(0.0, 0.01, 5_000.0, 0));
        assert!(found.any && found.spots.is_empty());
        assert!(!ask(&mut places, &query(1.0, 0.0, 5_000.0, 0)).any);
    }

    #[test]
    fn the_poles_see_every_longitude() {
        let mut places =
            vec![place(89_900_000, 0), place(89_900_000, 179_000_000), place(89_950_000, -90_000_000)];
        let found = ask(&mut places, &query(89.95, 90.0, 20_000.0, 20));
        assert_eq!(found.spots.len(), 3);
        let mut places = vec![place(-90_000_000, 0), place(-89_999_999, 12_000_000)];
        assert_eq!(ask(&mut places, &query(-90.0, -77.0, 1.0, 20)).spots.len(), 2);
    }

    #[test]
    fn the_date_line_is_no_border() {
        let mut places = vec![
            place(0, 179_990_000),
            place(0, -179_990_000),
            place(0, 180_000_000),
            place(0, -180_000_000),
        ];
        for longitude in [180.0, -180.0, 179.99, -179.99] {
            assert_eq!(ask(&mut places, &query(0.0, longitude, 3_000.0, 20)).spots.len(), 4, "{longitude}");
        }
    }

    #[test]
    fn equals_come_in_the_order_of_the_file() {
        let mut places = vec![place(0, 10_000), place(10_000, 0), place(-10_000, 0), place(0, -10_000)];
        let found = ask(&mut places, &query(0.0, 0.0, 5_000.0, 3));
        let numbers: Vec<_> = positions(&found);
        assert_eq!(numbers, [(-10_000, 0), (0, -10_000), (0, 10_000)]);
    }

    /// Positions: two thirds near the poles, the date line and the origin, one third anywhere.
    fn position() -> impl Strategy<Value = (i32, i32)> {
        let near = 1_500_000;
        prop_oneof![
            (-90_000_000..=90_000_000, -180_000_000..=180_000_000),
            (90_000_000 - near..=90_000_000, -180_000_000..=180_000_000),
            (-90_000_000..=-90_000_000 + near, -180_000_000..=180_000_000),
            (-near..=near, 180_000_000 - near..=180_000_000),
            (-near..=near, -180_000_000..=-180_000_000 + near),
            (-near..=near, -near..=near),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn agrees_with_measuring_every_place(
            positions in prop::collection::vec(position(), 0..600),
            queries in prop::collection::vec((position(), 0_u32..=50_000, 0_u8..=20), 12),
        ) {
            let mut places: Vec<_> = positions.iter().map(|&(latitude, longitude)| place(latitude, longitude)).collect();
            let bytes = encode(&mut places).expect("in range");
            let file = TempFile::new(&bytes);
            let dat = Dat::open(file.path()).expect("whole");
            let mut scratch = Scratch::new();
            for ((latitude, longitude), radius, items) in queries {
                let query = query(f64::from(latitude) / UDEG, f64::from(longitude) / UDEG, f64::from(radius), items);
                let found = nearest(&dat, &query, &mut scratch).expect("whole");
                let mut all: Vec<f64> = places.iter().map(|p| chord_m(&query, p.latitude_udeg, p.longitude_udeg)).collect();
                all.sort_by(f64::total_cmp);
                let within = all.iter().filter(|metres| **metres <= query.radius_m).count();
                // Two formulas differ in their last digits, so both results are accepted at the circle's edge.
                let rim = all.iter().filter(|metres| (**metres - query.radius_m).abs() < 1e-5).count();
                prop_assert!(found.any == (within > 0) || rim > 0);
                let expected = within.min(usize::from(items));
                prop_assert!(found.spots.len().abs_diff(expected) <= rim, "{} {expected} {query:?}", found.spots.len());
                for (found, metres) in found.spots.iter().zip(&all) {
                    prop_assert!((found.distance_m() - metres).abs() < 1e-4, "{} {metres}", found.distance_m());
                }
            }
        }
    }
}
