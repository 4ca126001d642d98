//! Reads OpenStreetMap's tags: whether an element is a place, and the place's name, kind and vicinity. The rule is the same
//! for GeoJSON and PBF.
//!
//! The table lists only the tags that a visitor to a town looks for. This module does not know file formats.

use super::error::Wrong;
use super::row::{Id, Row, name, text};
use super::{LeftOut, Outcome};
use crate::places::file::encode::Place;
use crate::places::file::format::Kind;
use crate::places::json::{members, string};

/// The kind for each key and values. The first key with a listed value wins. `*` stands for all values.
const KINDS: &[(&str, &str, Kind)] = &[
    ("amenity", "restaurant fast_food food_court", Kind::Restaurant),
    ("amenity", "cafe ice_cream", Kind::Cafe),
    ("amenity", "bar pub biergarten", Kind::Bar),
    ("amenity", "pharmacy", Kind::Pharmacy),
    ("amenity", "hospital", Kind::Hospital),
    ("amenity", "clinic doctors dentist", Kind::Doctor),
    ("amenity", "school kindergarten", Kind::School),
    ("amenity", "university college", Kind::University),
    ("amenity", "library", Kind::Library),
    ("amenity", "place_of_worship", Kind::PlaceOfWorship),
    ("amenity", "bank", Kind::Bank),
    ("amenity", "atm", Kind::Atm),
    ("amenity", "post_office", Kind::PostOffice),
    ("amenity", "police", Kind::Police),
    ("amenity", "fire_station", Kind::FireStation),
    ("amenity", "fuel", Kind::GasStation),
    ("amenity", "parking", Kind::Parking),
    ("amenity", "bus_station", Kind::BusStation),
    ("amenity", "townhall courthouse", Kind::LocalGovernmentOffice),
    ("amenity", "cinema", Kind::MovieTheater),
    ("amenity", "grave_yard", Kind::Cemetery),
    ("amenity", "marketplace", Kind::Store),
    ("shop", "supermarket", Kind::Supermarket),
    ("shop", "*", Kind::Store),
    ("tourism", "hotel motel hostel guest_house apartment chalet alpine_hut", Kind::Lodging),
    ("tourism", "museum gallery", Kind::Museum),
    ("tourism", "camp_site caravan_site", Kind::Campground),
    ("tourism", "attraction viewpoint theme_park zoo artwork", Kind::TouristAttraction),
    ("leisure", "park garden nature_reserve playground", Kind::Park),
    ("leisure", "stadium", Kind::Stadium),
    ("railway", "station halt", Kind::TrainStation),
    ("highway", "bus_stop", Kind::BusStation),
    ("aeroway", "aerodrome heliport helipad", Kind::Airport),
    ("office", "government", Kind::LocalGovernmentOffice),
    ("historic", "*", Kind::TouristAttraction),
    ("landuse", "cemetery", Kind::Cemetery),
    ("natural", "*", Kind::NaturalFeature),
    ("waterway", "*", Kind::NaturalFeature),
    ("place", "island islet ocean sea", Kind::NaturalFeature),
    ("place", "*", Kind::Locality),
];

/// Keys of a place's name, the best first.
const NAMES: [&str; 3] = ["name", "name:en", "brand"];
/// Keys of a place's street.
const STREETS: [&str; 2] = ["addr:street", "addr:place"];
const NUMBER: &str = "addr:housenumber";
const TOWNS: [&str; 4] = ["addr:city", "addr:town", "addr:village", "addr:suburb"];
/// Key of the id among the properties, as `osmium export -a id` and Overpass write it.
const ID: &str = "@id";
/// Values of `place` that are divisions of countries, like GeoNames' class A.
const DIVISIONS: [&str; 7] = ["continent", "country", "state", "region", "province", "county", "district"];

/// The key as a static text, if this module uses it.
fn known(key: &str) -> Option<&'static str> {
    let keys = NAMES.iter().chain(&STREETS).chain([&NUMBER, &ID]).chain(&TOWNS);
    keys.chain(KINDS.iter().map(|(key, ..)| key)).find(|known| **known == key).copied()
}

/// The shape of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Point,
    /// A closed outline: of a building, a park, a lake.
    Area,
}

/// The smallest rectangle around some positions, in millionths of a degree.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bounds(Option<[i32; 6]>);

/// A whole turn, in millionths of a degree.
const TURN_UDEG: i32 = 360_000_000;

impl Bounds {
    pub(super) fn add(&mut self, latitude_udeg: i32, longitude_udeg: i32) {
        // The longitude as it is, and counted from 0 to the east, for what lies across the date line.
        let eastward = if longitude_udeg < 0 { longitude_udeg + TURN_UDEG } else { longitude_udeg };
        let [lat, lon, far] = [latitude_udeg, longitude_udeg, eastward];
        let [south, north, west, east, near, beyond] = self.0.unwrap_or([lat, lat, lon, lon, far, far]);
        self.0 = Some([
            south.min(lat),
            north.max(lat),
            west.min(lon),
            east.max(lon),
            near.min(far),
            beyond.max(far),
        ]);
    }

    /// Latitude and longitude of its middle. Of the two ways around the earth it takes the shorter one.
    pub(super) fn centre(&self) -> Option<(i32, i32)> {
        // No overflow: a sum is at most 720 million.
        self.0.map(|[south, north, west, east, near, beyond]| {
            let longitude = match (near + beyond) / 2 {
                _ if east - west <= beyond - near => (west + east) / 2,
                middle if middle > TURN_UDEG / 2 => middle - TURN_UDEG,
                middle => middle,
            };
            ((south + north) / 2, longitude)
        })
    }
}

/// The tags that this module uses.
#[derive(Debug, Default)]
pub(super) struct Tags(Vec<(&'static str, String)>);

impl Tags {
    /// The tags in a feature's `properties`. A number is the text that it is written in.
    pub(super) fn of_json(properties: &str) -> Result<Self, Wrong> {
        let mut tags = Self::default();
        members(properties, |key, value| {
            let number = || value.get().starts_with(|c: char| c == '-' || c.is_ascii_digit());
            match string(value) {
                Some(text) => tags.add(&key, text),
                None if number() => tags.add(&key, value.get().to_owned()),
                None => {}
            }
        })
        .map_err(|_| Wrong::new("properties", "is not an object", "tags are members: \"name\": \"...\""))?;
        Ok(tags)
    }

    /// Adds a tag. The last value of a repeated tag wins.
    pub(super) fn add(&mut self, key: &str, value: impl Into<String>) {
        if let Some(key) = known(key) {
            self.0.retain(|(had, _)| *had != key);
            self.0.push((key, value.into()));
        }
    }

    /// The place that has these tags, or why it is not one. A point needs a name; an area needs a name and a known type, since
    /// most of them are buildings and fields. A point without a known type gets `kind`.
    pub(super) fn place(
        &self,
        shape: Shape,
        position: impl FnOnce() -> Result<(i32, i32), Wrong>,
        id: Option<Id>,
        kind: Kind,
    ) -> Result<Outcome, Wrong> {
        let known = self.kind();
        if self.get("place").is_some_and(|place| DIVISIONS.contains(&place)) {
            return Ok(Outcome::LeftOut(LeftOut::Division));
        }
        let Some((key, raw)) = self.first(&NAMES) else { return Ok(Outcome::LeftOut(LeftOut::Unnamed)) };
        let name = name(key, raw)?;
        if shape == Shape::Area && known.is_none() {
            return Ok(Outcome::LeftOut(LeftOut::NoPoint));
        }
        let (mut area, mut region) = (String::new(), String::new());
        if let Some((key, street)) = self.first(&STREETS) {
            area = text(key, &format!("{} {street}", self.get(NUMBER).unwrap_or("")))?;
        }
        if let Some((key, town)) = self.first(&TOWNS) {
            region = text(key, town)?;
        }
        let (latitude_udeg, longitude_udeg) = position()?;
        let (area, region, kind) = (area.into(), region.into(), known.unwrap_or(kind));
        let place = Place { latitude_udeg, longitude_udeg, kind, name, area, region };
        Ok(Outcome::Row(Row { place, id, date: 0 }))
    }

    /// The id among the tags.
    pub(super) fn id(&self) -> Option<&str> {
        self.get(ID)
    }

    /// The value of a tag, if it is not empty.
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    fn first(&self, keys: &[&'static str]) -> Option<(&'static str, &str)> {
        keys.iter().find_map(|key| self.get(key).map(|value| (*key, value)))
    }

    fn kind(&self) -> Option<Kind> {
        KINDS.iter().find_map(|(key, values, kind)| {
            // The first of several values wins: `cafe;bakery`.
            let value = self.get(key)?.split(';').next()?.trim();
            if value == "no" {
                return None;
            }
            values.split(' ').any(|known| known == value || known == "*").then_some(*kind)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_kinds() {
        let table = [
            (r#"{"amenity":"cafe"}"#, Some(Kind::Cafe)),
            (r#"{"amenity":"cafe;bar","shop":"bakery"}"#, Some(Kind::Cafe)),
            (r#"{"amenity":"bench","shop":"bakery"}"#, Some(Kind::Store)),
            (r#"{"shop":"supermarket"}"#, Some(Kind::Supermarket)),
            (r#"{"shop":"no","tourism":"hotel"}"#, Some(Kind::Lodging)),
            (r#"{"tourism":"information"}"#, None),
            (r#"{"place":"village"}"#, Some(Kind::Locality)),
            (r#"{"place":"island"}"#, Some(Kind::NaturalFeature)),
            (r#"{"natural":"peak"}"#, Some(Kind::NaturalFeature)),
            (r#"{"highway":"crossing"}"#, None),
            (r#"{"shop":5}"#, Some(Kind::Store)),
            (r#"{"shop":true}"#, None),
            (r#"{"shop":"a","shop":"supermarket"}"#, Some(Kind::Supermarket)),
            ("{}", None),
        ];
        for (tags, kind) in table {
            assert_eq!(Tags::of_json(tags).map(|tags| tags.kind()), Ok(kind), "{tags}");
        }
    }

    #[test]
    fn names_and_addresses() {
        let placed = |tags: &str, shape| {
            let tags = Tags::of_json(tags)?;
            Ok(match tags.place(shape, || Ok((1, 2)), None, Kind::Bar)? {
                Outcome::Row(Row { place: Place { name, area, region, kind, .. }, .. }) => {
                    format!("{name} | {area} | {region} | {kind:?} | {:?}", tags.id())
                }
                other => format!("{other:?}"),
            })
        };
        let table = [
            (
                r#"{"name":" Diddy\nRiese ","addr:housenumber":"926","addr:street":"Broxton Avenue","addr:city":"Los Angeles"}"#,
                "Diddy Riese | 926 Broxton Avenue | Los Angeles | Bar | None",
            ),
            (
                r#"{"brand":"B","addr:street":"S","addr:suburb":"T","@id":42}"#,
                "B | S | T | Bar | Some(\"42\")",
            ),
            (
                r#"{"name":"","name:en":"E","addr:housenumber":"5","@id":"n7"}"#,
                "E |  |  | Bar | Some(\"n7\")",
            ),
            (r#"{"name":1984,"amenity":"pub"}"#, "1984 |  |  | Bar | None"),
            (r#"{"name":true}"#, "LeftOut(Unnamed)"),
            (r#"{"operator":"O"}"#, "LeftOut(Unnamed)"),
            (r#"{"place":"county","name":"x"}"#, "LeftOut(Division)"),
        ];
        for (tags, expected) in table {
            assert_eq!(placed(tags, Shape::Point), Ok::<_, Wrong>(expected.to_owned()), "{tags}");
        }
        let library = r#"{"name":"L","building":"yes","amenity":"library"}"#;
        assert_eq!(placed(library, Shape::Area), Ok("L |  |  | Library | None".to_owned()));
        let house = placed(r#"{"name":"L","building":"yes"}"#, Shape::Area);
        assert_eq!(house, Ok("LeftOut(NoPoint)".to_owned()));
        assert_eq!(Tags::of_json("[]").expect_err("no object").member, "properties");
    }

    #[test]
    fn the_middle_of_positions() {
        let mut bounds = Bounds::default();
        assert_eq!(bounds.centre(), None);
        for (latitude, longitude) in [(90_000_000, -180_000_000), (-10, 180_000_000), (5, 0)] {
            bounds.add(latitude, longitude);
        }
        assert_eq!(bounds.centre(), Some((44_999_995, 90_000_000)));
        for (longitudes, middle) in [
            ([179_900_000, 180_000_000, -180_000_000, -179_900_000], 180_000_000),
            ([177_000_000, 178_000_000, -179_000_000, -178_000_000], 179_500_000),
            ([-10, 20, -4, 4], 5),
            ([-180_000_000, -90_000_000, 0, 0], -90_000_000),
        ] {
            let mut bounds = Bounds::default();
            longitudes.into_iter().for_each(|longitude| bounds.add(0, longitude));
            assert_eq!(bounds.centre(), Some((0, middle)), "{longitudes:?}");
        }
    }
}
