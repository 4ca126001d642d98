//! The kinds of places that a places file can hold, and their words in Google's legacy service.
//!
//! This module does not know files. The numbers are part of the [`format`](mod@super::format), so add new kinds at the end.

/// The kinds by number, each with Google's word and the further `types` of a result.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $word:literal $($more:literal)*;)*) => {
        /// The kind of a place. The file holds its number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[allow(missing_docs, reason = "each is the Google type of its name")]
        pub enum Kind {
            $($(#[$doc])* $kind),*
        }

        const KINDS: &[(Kind, &str, &str)] =
            &[$((Kind::$kind, $word, concat!("[ \"", $word, "\"", $(", \"", $more, "\"",)* " ]"))),*];
    };
}

kinds! {
    /// A city, town or village.
    Locality "locality" "political";
    /// An airport, landing strip, seaplane base or heliport. The committed data does not distinguish them.
    Airport "airport" "point_of_interest" "establishment";
    /// A place of none of the other kinds.
    PointOfInterest "point_of_interest" "establishment";
    NaturalFeature "natural_feature" "establishment";
    Park "park" "point_of_interest" "establishment";
    Restaurant "restaurant" "food" "point_of_interest" "establishment";
    Cafe "cafe" "food" "point_of_interest" "establishment";
    Bar "bar" "point_of_interest" "establishment";
    Lodging "lodging" "point_of_interest" "establishment";
    Store "store" "point_of_interest" "establishment";
    Supermarket "supermarket" "store" "point_of_interest" "establishment";
    Pharmacy "pharmacy" "health" "point_of_interest" "establishment";
    Hospital "hospital" "health" "point_of_interest" "establishment";
    Doctor "doctor" "health" "point_of_interest" "establishment";
    School "school" "point_of_interest" "establishment";
    University "university" "point_of_interest" "establishment";
    Library "library" "point_of_interest" "establishment";
    Museum "museum" "point_of_interest" "establishment";
    PlaceOfWorship "place_of_worship" "point_of_interest" "establishment";
    Bank "bank" "finance" "point_of_interest" "establishment";
    Atm "atm" "finance" "point_of_interest" "establishment";
    PostOffice "post_office" "point_of_interest" "establishment";
    Police "police" "point_of_interest" "establishment";
    FireStation "fire_station" "point_of_interest" "establishment";
    GasStation "gas_station" "point_of_interest" "establishment";
    Parking "parking" "point_of_interest" "establishment";
    BusStation "bus_station" "point_of_interest" "establishment";
    TrainStation "train_station" "point_of_interest" "establishment";
    TouristAttraction "tourist_attraction" "point_of_interest" "establishment";
    Stadium "stadium" "point_of_interest" "establishment";
    Cemetery "cemetery" "point_of_interest" "establishment";
    LocalGovernmentOffice "local_government_office" "point_of_interest" "establishment";
    Campground "campground" "lodging" "point_of_interest" "establishment";
    MovieTheater "movie_theater" "point_of_interest" "establishment";
}

impl Kind {
    /// The kind with this number in a file.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|number| KINDS.get(number)).map(|(kind, ..)| *kind)
    }

    /// The kind with this word of Google's.
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        KINDS.iter().find(|(_, known, _)| *known == word).map(|(kind, ..)| *kind)
    }

    /// Google's legacy `types` for such places, as JSON on one line. Google has no types for landing strips, seaplane bases or
    /// heliports.
    pub(crate) fn types(self) -> &'static str {
        KINDS[self as usize].2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_found_by_number_and_word() {
        for (number, (kind, word, types)) in (0..).zip(KINDS) {
            assert_eq!(Kind::from_number(number), Some(*kind));
            assert_eq!((*kind as u64, Kind::of_word(word), kind.types()), (number, Some(*kind), *types));
            assert!(serde_json::from_str::<Vec<String>>(types).is_ok_and(|types| types[0] == *word));
            assert!(types.len() < 90, "short enough for one line");
        }
        assert_eq!((Kind::from_number(KINDS.len() as u64), Kind::of_word("Cafe")), (None, None));
        assert_eq!(Kind::Locality.types(), r#"[ "locality", "political" ]"#);
    }
}
