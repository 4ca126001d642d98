//! Reads OpenStreetMap's tags: a place's name, kind and vicinity.
//!
//! The table lists only the tags that a visitor to a town looks for. This module does not know GeoJSON's geometry.

use super::error::Wrong;
use super::row::{name, text};
use crate::places::file::format::Kind;
use crate::places::json::{members, string};

/// The kind for each key and value. The first key with a listed value wins. A key whose last entry is `*` accepts all
/// values.
const KINDS: &[(&str, &[(&str, Kind)])] = &[
    (
        "amenity",
        &[
            ("restaurant", Kind::Restaurant),
            ("fast_food", Kind::Restaurant),
            ("food_court", Kind::Restaurant),
            ("cafe", Kind::Cafe),
            ("ice_cream", Kind::Cafe),
            ("bar", Kind::Bar),
            ("pub", Kind::Bar),
            ("biergarten", Kind::Bar),
            ("pharmacy", Kind::Pharmacy),
            ("hospital", Kind::Hospital),
            ("clinic", Kind::Doctor),
            ("doctors", Kind::Doctor),
            ("dentist", Kind::Doctor),
            ("school", Kind::School),
            ("kindergarten", Kind::School),
            ("university", Kind::University),
            ("college", Kind::University),
            ("library", Kind::Library),
            ("place_of_worship", Kind::PlaceOfWorship),
            ("bank", Kind::Bank),
            ("atm", Kind::Atm),
            ("post_office", Kind::PostOffice),
            ("police", Kind::Police),
            ("fire_station", Kind::FireStation),
            ("fuel", Kind::GasStation),
            ("parking", Kind::Parking),
            ("bus_station", Kind::BusStation),
            ("townhall", Kind::LocalGovernmentOffice),
            ("courthouse", Kind::LocalGovernmentOffice),
            ("cinema", Kind::MovieTheater),
            ("grave_yard", Kind::Cemetery),
            ("marketplace", Kind::Store),
        ],
    ),
    ("shop", &[("supermarket", Kind::Supermarket), ("*", Kind::Store)]),
    (
        "tourism",
        &[
            ("hotel", Kind::Lodging),
            ("motel", Kind::Lodging),
            ("hostel", Kind::Lodging),
            ("guest_house", Kind::Lodging),
            ("apartment", Kind::Lodging),
            ("chalet", Kind::Lodging),
            ("alpine_hut", Kind::Lodging),
            ("museum", Kind::Museum),
            ("gallery", Kind::Museum),
            ("camp_site", Kind::Campground),
            ("caravan_site", Kind::Campground),
            ("attraction", Kind::TouristAttraction),
            ("viewpoint", Kind::TouristAttraction),
            ("theme_park", Kind::TouristAttraction),
            ("zoo", Kind::TouristAttraction),
            ("artwork", Kind::TouristAttraction),
        ],
    ),
    (
        "leisure",
        &[
            ("park", Kind::Park),
            ("garden", Kind::Park),
            ("nature_reserve", Kind::Park),
            ("playground", Kind::Park),
            ("stadium", Kind::Stadium),
        ],
    ),
    ("railway", &[("station", Kind::TrainStation), ("halt", Kind::TrainStation)]),
    ("highway", &[("bus_stop", Kind::BusStation)]),
    ("aeroway", &[("aerodrome", Kind::Airport), ("heliport", Kind::Airport), ("helipad", Kind::Airport)]),
    ("office", &[("government", Kind::LocalGovernmentOffice)]),
    ("historic", &[("*", Kind::TouristAttraction)]),
    ("landuse", &[("cemetery", Kind::Cemetery)]),
    ("natural", &[("*", Kind::NaturalFeature)]),
    ("waterway", &[("*", Kind::NaturalFeature)]),
    (
        "place",
        &[
            ("island", Kind::NaturalFeature),
            ("islet", Kind::NaturalFeature),
            ("ocean", Kind::NaturalFeature),
            ("sea", Kind::NaturalFeature),
            ("*", Kind::Locality),
        ],
    ),
];

/// Keys of a place's name, the best first.
const NAMES: [&str; 3] = ["name", "name:en", "brand"];
/// Keys of a place's street.
const STREETS: [&str; 2] = ["addr:street", "addr:place"];
const NUMBER: &str = "addr:housenumber";
const TOWNS: [&str; 4] = ["addr:city", "addr:town", "addr:village", "addr:suburb"];
/// Keys of ids among the properties, as `osmium export -a id` and Overpass write them.
const IDS: [&str; 1] = ["@id"];
/// Values of `place` that are divisions of countries, like GeoNames' class A.
const DIVISIONS: [&str; 7] = ["continent", "country", "state", "region", "province", "county", "district"];

/// The content of the tags.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Described {
    /// Empty if no tag holds a name.
    pub(super) name: String,
    /// `None` if no known tag holds a kind.
    pub(super) kind: Option<Kind>,
    pub(super) is_division: bool,
    pub(super) area: String,
    pub(super) region: String,
    pub(super) id: Option<String>,
}

/// Reads the tags in a feature's `properties`.
pub(super) fn describe(properties: &str) -> Result<Described, Wrong> {
    let mut tags = Tags(Vec::new());
    members(properties, |key, value| {
        // The last value of a repeated tag wins.
        if let (Some(key), Some(value)) = (known(key), string(value)) {
            tags.0.retain(|(had, _)| *had != key);
            tags.0.push((key, value));
        } else if key == IDS[0] {
            // A number.
            tags.0.push((IDS[0], value.get().to_owned()));
        }
    })
    .map_err(|_| Wrong::new("properties", "is not an object", "tags are members: \"name\": \"...\""))?;
    let mut described = Described {
        kind: tags.kind(),
        is_division: tags.get("place").is_some_and(|place| DIVISIONS.contains(&place)),
        id: tags.first(&IDS).map(|(_, id)| id.to_owned()),
        ..Described::default()
    };
    if let Some((key, raw)) = tags.first(&NAMES) {
        described.name = name(key, raw)?;
    }
    if let Some((key, street)) = tags.first(&STREETS) {
        let number = tags.get(NUMBER).unwrap_or("");
        described.area = text(key, &format!("{number} {street}"))?;
    }
    if let Some((key, town)) = tags.first(&TOWNS) {
        described.region = text(key, town)?;
    }
    Ok(described)
}

/// The key as a static text, if this module uses it.
fn known(key: &str) -> Option<&'static str> {
    let keys = NAMES.iter().chain(&STREETS).chain([&NUMBER]).chain(&TOWNS).chain(&IDS);
    keys.chain(KINDS.iter().map(|(key, _)| key)).find(|known| **known == key).copied()
}

/// The tags that this module uses.
struct Tags(Vec<(&'static str, String)>);

impl Tags {
    /// The value of a tag, if it is not empty.
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.iter().find(|(known, _)| *known == key).map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    fn first(&self, keys: &[&'static str]) -> Option<(&'static str, &str)> {
        keys.iter().find_map(|key| self.get(key).map(|value| (*key, value)))
    }

    fn kind(&self) -> Option<Kind> {
        KINDS.iter().find_map(|(key, kinds)| {
            // The first of several values wins: `cafe;bakery`.
            let value = self.get(key)?.split(';').next()?.trim();
            if value == "no" {
                return None;
            }
            kinds.iter().find(|(known, _)| *known == value || *known == "*").map(|(_, kind)| *kind)
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
            (r#"{"shop":5}"#, None),
            (r#"{"shop":"a","shop":"supermarket"}"#, Some(Kind::Supermarket)),
            ("{}", None),
        ];
        for (tags, kind) in table {
            assert_eq!(describe(tags).map(|described| described.kind), Ok(kind), "{tags}");
        }
    }

    #[test]
    fn names_and_addresses() {
        let row = |tags: &str| {
            let described = describe(tags).expect("tags");
            format!("{} | {} | {} | {:?}", described.name, described.area, described.region, described.id)
        };
        let table = [
            (
                r#"{"name":" Diddy\nRiese ","addr:housenumber":"926","addr:street":"Broxton Avenue","addr:city":"Los Angeles"}"#,
                "Diddy Riese | 926 Broxton Avenue | Los Angeles | None",
            ),
            (r#"{"brand":"B","addr:street":"S","addr:suburb":"T","@id":42}"#, "B | S | T | Some(\"42\")"),
            (r#"{"name":"","name:en":"E","addr:housenumber":"5","@id":"n7"}"#, "E |  |  | Some(\"n7\")"),
            (r#"{"operator":"O"}"#, " |  |  | None"),
        ];
        for (tags, expected) in table {
            assert_eq!(row(tags), expected, "{tags}");
        }
        let wrong = describe("[]").expect_err("no object");
        assert_eq!(wrong.member, "properties");
        let wrong = describe(&format!(r#"{{"addr:city":"{}"}}"#, "x".repeat(256))).expect_err("too long");
        assert_eq!(wrong.member, "addr:city");
        assert!(describe(r#"{"place":"county","name":"x"}"#).is_ok_and(|described| described.is_division));
    }
}
