//! Tests whole imports against a simple model, and the output after a failed import.

use super::super::{MAX_ITEMS, Query};
use super::*;
use crate::files::testing::TestDir;
use crate::places::file::render::answer;
use crate::places::testing::{places_of, some_places};
use proptest::prelude::*;
use std::collections::BTreeMap;

struct Folder(TestDir);

impl Folder {
    fn new() -> Self {
        Self(TestDir::new())
    }

    fn file(&self, name: &str, text: &[u8]) -> PathBuf {
        self.0.write(name, text, 0o644)
    }

    /// An import of these files into `out.dat`.
    fn import(&self, inputs: &[&PathBuf]) -> Import {
        Import {
            inputs: inputs
                .iter()
                .map(|&file| (file.clone(), Format::of_name(file).expect("a known ending")))
                .collect(),
            base: None,
            divisions: Vec::new(),
            columns: Columns::default(),
            kind: Kind::PointOfInterest,
            skips_bad: false,
            out: self.0.path("out.dat"),
        }
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path("")).expect("the folder is there");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

/// Runs an import. Returns its result and its messages.
fn run(what: &Import) -> (Result<Summary, String>, String) {
    let mut messages = Vec::new();
    let done = import(what, &mut Progress::new(&mut messages, false));
    (done.map_err(|error| error.to_string()), String::from_utf8(messages).expect("UTF-8"))
}

fn place((latitude_udeg, longitude_udeg): (i32, i32), kind: Kind, [name, area, region]: [&str; 3]) -> Place {
    let (name, area, region) = (name.to_owned(), area.into(), region.into());
    Place { latitude_udeg, longitude_udeg, kind, name, area, region }
}

#[test]
fn the_newest_of_equal_places_stays() {
    let folder = Folder::new();
    let base = folder.file("base.dat", &encode(&mut some_places()).expect("in range"));
    // North is in the base; B is twice; C moved; D has the id of C, in another file.
    let first = folder.file(
        "first.csv",
        "name,lat,lon,type,vicinity,id\nNorth,89.9,0,locality,\"Here, There\",\nB,1,1,cafe,old,\nC,2,2,bar,C,7\nB,1,1,cafe,new,\nC,2.5,2,bar,C,7\n".as_bytes(),
    );
    let second = folder.file("second.csv", b"name,lat,lon,type,id\nD,3,3,bar,7\nB,1,1,bar,\n");
    let what = Import { base: Some(base.clone()), ..folder.import(&[&first, &second]) };
    let (done, messages) = run(&what);
    let bytes = fs::metadata(&what.out).expect("written").len();
    let summary = Summary { base: 6, rows: 7, places: 10, bytes, ..Summary::default() };
    assert_eq!((done, messages.as_str()), (Ok(summary), ""));
    let mut expected = some_places();
    expected.retain(|place| place.name != "North");
    expected.extend([
        place((89_900_000, 0), Kind::Locality, ["North", "Here", "There"]),
        place((1_000_000, 1_000_000), Kind::Cafe, ["B", "new", ""]),
        place((1_000_000, 1_000_000), Kind::Bar, ["B", "", ""]),
        place((2_500_000, 2_000_000), Kind::Bar, ["C", "C", ""]),
        place((3_000_000, 3_000_000), Kind::Bar, ["D", "", ""]),
    ]);
    expected.sort();
    assert_eq!(places_of(&what.out), expected);
    assert_eq!(folder.names(), ["base.dat", "first.csv", "out.dat", "second.csv"], "nothing else is left");
    // The output may be the base. A second import of the same files changes nothing.
    let again = Import { base: Some(what.out.clone()), ..what };
    let before = fs::read(&again.out).expect("written");
    assert!(run(&again).0.is_ok_and(|summary| (summary.base, summary.rows, summary.places) == (10, 7, 10)));
    assert_eq!(fs::read(&again.out).expect("written"), before);
}

#[test]
fn the_later_date_of_two_geonames_rows_wins() {
    let folder = Folder::new();
    let line =
        |lat: &str, date: &str| format!("1\tA\tA\t\t{lat}\t1\tP\tPPL\tSG\t\t01\t\t\t\t0\t\t\t\t{date}\n");
    let dump = folder.file("SG.txt", (line("1", "2020-01-02") + &line("2", "2020-01-01")).as_bytes());
    let changes = folder.file("modifications.txt", line("3", "2020-01-02").as_bytes());
    for (inputs, lat) in [(vec![&dump], 1), (vec![&dump, &changes], 3), (vec![&changes, &dump], 1)] {
        let what = folder.import(&inputs);
        assert!(run(&what).0.is_ok());
        assert_eq!(
            places_of(&what.out),
            [place((lat * 1_000_000, 1_000_000), Kind::Locality, ["A", "", "SG"])]
        );
    }
}

const NOTHING: &str = "holds no place (is it of another --format? was the download cut off?)";

#[test]
fn bad_rows_end_an_import_or_are_counted() {
    let folder = Folder::new();
    let bad: String = (0..25).map(|i| format!("A,{},0\n", 91 + i)).collect();
    let rows = folder.file("rows.csv", format!("name,lat,lon\nA,1,1\n{bad}B,2,2\n").as_bytes());
    let what = folder.import(&[&rows]);
    fs::write(&what.out, b"as it was").expect("the folder can be written");
    let file = rows.display();
    let wrong = format!(
        "{file}:3: lat: \"91\" is not a number from -90 to 90 (are latitude and longitude swapped? positions are decimal degrees)"
    );
    assert_eq!(run(&what), (Err(format!("{wrong}; to leave bad rows out: --skip-bad")), String::new()));
    assert_eq!(fs::read(&what.out).expect("there"), b"as it was");
    assert_eq!(folder.names(), ["out.dat", "rows.csv"]);
    let (done, messages) = run(&Import { skips_bad: true, ..what.clone() });
    let summary = done.expect("bad rows are left out");
    assert_eq!((summary.rows, summary.bad, summary.places), (2, 25, 2));
    assert!(summary.to_string().ends_with("; left out: 25 bad rows"), "{summary}");
    let lines: Vec<_> = messages.lines().collect();
    assert_eq!(
        (lines.len(), lines[0], lines[20]),
        (21, &*format!("{wrong}; left out"), "5 more bad rows left out")
    );
    assert_eq!(places_of(&what.out).len(), 2);

    // A file of another format than the given one replaces nothing.
    let before = fs::read(&what.out).expect("written");
    let foreign = Import { skips_bad: true, inputs: vec![(rows, Format::GeoNames)], ..what };
    let expected = format!("rows.csv: {NOTHING}; left out: 28 bad rows");
    assert!(run(&foreign).0.is_err_and(|error| error.ends_with(&expected)));
    assert_eq!(fs::read(&foreign.out).expect("there"), before);
}

#[test]
fn an_input_without_a_place_replaces_nothing() {
    let folder = Folder::new();
    let point = "\"geometry\":{\"type\":\"Point\",\"coordinates\":[2,1]}";
    let of = |properties: &str| {
        let feature = format!("{{\"type\":\"Feature\",{point},\"properties\":{properties}}}");
        format!("{{\"type\":\"FeatureCollection\",\"features\":[{feature}]}}")
    };
    let whole = folder.file("whole.csv", b"name,lat,lon\nA,1,1\n");
    let table = [
        ("zero.txt", String::new(), ""),
        ("emptyfc.geojson", "{\"type\": \"FeatureCollection\", \"features\": []}".to_owned(), ""),
        ("zero.geojson", "\n".to_owned(), ""),
        ("capname.geojson", of("{\"Name\":\"X\"}"), "; left out: 1 without a name"),
        ("nested.geojson", of("{\"tags\":{\"name\":\"X\"}}"), "; left out: 1 without a name"),
        ("header.csv", "name,lat,lon\r\n,,\r\n".to_owned(), ""),
    ];
    for (name, text, left_out) in table {
        let file = folder.file(name, text.as_bytes());
        for skips_bad in [false, true] {
            for inputs in [vec![&file], vec![&whole, &file]] {
                let what = Import { skips_bad, ..folder.import(&inputs) };
                fs::write(&what.out, b"as it was").expect("the folder can be written");
                let expected = format!("{}: {NOTHING}{left_out}", file.display());
                assert_eq!(run(&what).0, Err(expected));
                assert_eq!(fs::read(&what.out).expect("there"), b"as it was");
            }
        }
    }
}

#[test]
fn ids_of_elements_and_of_files() {
    let folder = Folder::new();
    let point = |id: &str, name: &str, lon: f64| {
        let geometry = format!("{{\"type\":\"Point\",\"coordinates\":[{lon},1]}}");
        format!(
            "{{\"type\":\"Feature\",{id},\"properties\":{{\"name\":\"{name}\"}},\"geometry\":{geometry}}}\n"
        )
    };
    let [n42, node42, w7] = ["n42", "node/42", "w7"].map(|id| format!("\"id\":\"{id}\""));
    let table = [
        // The same element, moved by 15 m and renamed, moved far and not renamed.
        (point(&n42, "A", 2.0), point(&node42, "B", 2.0001), "B"),
        (point(&n42, "A", 2.0), point(&node42, "A", 9.0), "A"),
        (point(&node42, "B", 2.0), point(&n42, "A", 2.001), "A"),
        // Ids of two sites' own, which look like OpenStreetMap's.
        (point(&w7, "North", 2.0), point(&w7, "South", 3.0), "North South"),
        (point("\"id\":\"a1\"", "North", 2.0), point("\"id\":\"a1\"", "South", 3.0), "North South"),
        // Ids of a file's own count within the file.
        (point("\"id\":7", "A", 2.0), point("\"id\":7", "B", 2.0), "A B"),
        (point("\"id\":7", "A", 2.0) + &point("\"id\":7", "B", 9.0), point("\"id\":\"x\"", "C", 2.0), "B C"),
    ];
    for (first, second, expected) in table {
        let files = [("a.geojsonl", &first), ("b.geojsonl", &second)];
        let [a, b] = files.map(|(name, text)| folder.file(name, text.as_bytes()));
        let what = folder.import(&[&a, &b]);
        assert!(run(&what).0.is_ok());
        let mut names: Vec<String> = places_of(&what.out).into_iter().map(|place| place.name).collect();
        names.sort();
        assert_eq!(names.join(" "), expected, "{first}{second}");
    }
    // As many as claim to be one element are places; the import still ends soon.
    let claims: String = (0..100).map(|i| point(&n42, &format!("P{i}"), f64::from(i))).collect();
    let what = folder.import(&[&folder.file("c.geojsonl", claims.as_bytes())]);
    assert_eq!(run(&what).0.map(|summary| summary.places), Ok(100));
}

#[test]
fn what_cannot_be_read_or_written_is_named() {
    let folder = Folder::new();
    let rows = folder.file("rows.csv", b"name,lat,lon\nA,1,1\n");
    let cut = folder.file("cut.geojson", b"{\"type\":\"FeatureCollection\",\"features\":[\n");
    let what = folder.import(&[&rows]);
    let base = |file: &Path| Import { base: Some(file.into()), ..what.clone() };
    let table = [
        (folder.import(&[&folder.0.path("none.csv")]), "none.csv: cannot be read: No such file"),
        (
            Import { inputs: vec![(folder.0.path(""), Format::Csv)], ..what.clone() },
            "cannot be read: is a directory",
        ),
        (
            Import { skips_bad: true, ..folder.import(&[&cut]) },
            "cut.geojson:2: ends in the middle of what begins on line 1",
        ),
        (base(&folder.0.path("none.dat")), "--base: places: cannot open"),
        (base(&rows), "rows.csv is not a places file"),
        (base(&folder.0.path("")), "not a regular file"),
        (Import { divisions: vec![rows.clone()], ..what.clone() }, "rows.csv:1: has no tab"),
        (
            Import { out: folder.0.path("none/out.dat"), ..what.clone() },
            "none/out.dat: cannot be written: No such file",
        ),
        (Import { out: folder.0.path(""), ..what.clone() }, "cannot be written: not a regular file"),
        (
            Import { out: "/dev/null".into(), ..what.clone() },
            "/dev/null: cannot be written: not a regular file",
        ),
        (Import { out: rows.clone(), ..what.clone() }, "rows.csv: cannot be written: it is one of the files"),
        (Import { out: rows.join("out.dat"), ..what.clone() }, "out.dat: cannot be written: Not a directory"),
    ];
    for (what, expected) in table {
        let (done, messages) = run(&what);
        assert!(done.as_ref().is_err_and(|error| error.contains(expected)), "{expected}: {done:?}");
        assert_eq!(
            (messages.as_str(), folder.names()),
            ("", vec!["cut.geojson".to_owned(), "rows.csv".to_owned()])
        );
    }
}

#[test]
fn a_summary_counts_in_words() {
    let one = Summary { rows: 1, places: 1, bytes: 600, ..Summary::default() };
    assert_eq!(one.to_string(), "1 place (0 of the base, 1 row, 0 the same as another), 600 bytes");
    let many =
        Summary { base: 3, rows: 4, bad: 1, unnamed: 2, no_points: 3, divisions: 4, places: 5, bytes: 700 };
    assert_eq!(
        many.to_string(),
        "5 places (3 of the base, 4 rows, 2 the same as another), 700 bytes; left out: 1 bad row, 2 without a name, 3 other than points and typed areas, 4 divisions"
    );
}

#[test]
fn what_was_imported_is_near() {
    let folder = Folder::new();
    let rows = folder.file(
        "rows.csv",
        "name,lat,lon,type,vicinity\nÜ,34.06,-118.44,cafe,\"Broxton Avenue, Los Angeles\"\nÖ,34.06,-118.45,,\n".as_bytes(),
    );
    let what = Import { kind: Kind::MovieTheater, ..folder.import(&[&rows]) };
    assert!(run(&what).0.is_ok());
    let query = Query { latitude_deg: 34.06, longitude_deg: -118.44, radius_m: 5_000.0, items: MAX_ITEMS };
    let dat = Dat::open(&what.out).expect("whole");
    let json = answer(&dat, &query, &mut Scratch::new()).expect("whole");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let row = |result: &serde_json::Value| {
        format!("{} {} {}", result["name"], result["types"][0], result["vicinity"])
    };
    let found: Vec<_> = json["results"].as_array().expect("an array").iter().map(row).collect();
    assert_eq!(found, [r#""Ü" "cafe" "Broxton Avenue, Los Angeles""#, r#""Ö" "movie_theater" """#]);
}

#[test]
fn formats_and_columns_by_their_words() {
    for (name, format) in [
        ("a/US.txt", Some(Format::GeoNames)),
        ("x.CSV", Some(Format::Csv)),
        ("x.geojsonseq", Some(Format::GeoJson)),
        ("x.json", Some(Format::GeoJson)),
        ("x.osm.pbf", Some(Format::Pbf)),
        ("x.xml", None),
        ("csv", None),
    ] {
        assert_eq!(Format::of_name(Path::new(name)), format, "{name}");
    }
    assert_eq!(
        Format::WORDS.map(Format::of_word),
        [Format::GeoNames, Format::Csv, Format::GeoJson, Format::Pbf].map(Some)
    );
    assert_eq!(Format::of_word("xml"), None);
    let list = Columns::ROLES.map(|role| format!("{role}=The {role}")).join(",");
    let columns = Columns::parse(&list).expect("every role is known");
    assert_eq!(columns.given, Columns::ROLES.map(|role| Some(format!("The {role}"))));
    for list in ["", "name", "name=", "nam=x", "name=a,name=b", "name=a,"] {
        assert!(Columns::parse(list).is_err(), "{list}");
    }
}

/// A row of the model: position, kind, name, vicinity, id. Each has few values, so many rows are equal.
type Model = ((i32, i32), usize, u8, String, Option<u8>);

const KINDS: [&str; 3] = ["cafe", "bar", "movie_theater"];

fn any_row() -> impl Strategy<Value = Model> {
    let position = (-3..=3_i32, -1..=1_i32).prop_map(|(lat, lon)| (lat * 30_000, lon * 180_000_000));
    (position, 0..3_usize, 0..4_u8, "[a-e]{0,5}(, [a-c]{1,2})?", prop::option::weighted(0.3, 0..20_u8))
}

fn name_of(number: u8) -> String {
    format!("N{number} é€ and more")
}

fn place_of((position, kind, number, vicinity, _): &Model) -> Place {
    let (area, region) = row::vicinity("vicinity", vicinity).expect("short enough");
    place(*position, Kind::of_word(KINDS[*kind]).expect("known"), [&name_of(*number), &area, &region])
}

fn csv_of(rows: &[Model]) -> String {
    let mut text = "lat;lon;type;name;vicinity;id\n".to_owned();
    for ((lat, lon), kind, number, vicinity, id) in rows {
        let [lat, lon] = [lat, lon].map(|udeg| format!("{:.6}", f64::from(*udeg) / 1e6));
        let id = id.map_or_else(String::new, |id| id.to_string());
        text.push_str(&format!("{lat};{lon};{};{};\"{vicinity}\";{id}\n", KINDS[*kind], name_of(*number)));
    }
    text
}

/// The expected places. The model maps file and id to a row, then the identity to a place; later rows replace earlier ones.
fn model_of(base: &[Model], files: &[Vec<Model>]) -> Vec<Place> {
    let mut ids = BTreeMap::new();
    let mut rows: Vec<Option<Place>> = base.iter().map(|row| Some(place_of(row))).collect();
    for (file, row) in
        files.iter().enumerate().flat_map(|(file, rows)| rows.iter().map(move |row| (file, row)))
    {
        if let Some(before) = row.4.and_then(|id| ids.insert((file, id), rows.len())) {
            rows[before] = None;
        }
        rows.push(Some(place_of(row)));
    }
    let places = rows.into_iter().flatten();
    let identity =
        |place: &Place| (place.latitude_udeg, place.longitude_udeg, place.kind, place.name.clone());
    places.map(|place| (identity(&place), place)).collect::<BTreeMap<_, _>>().into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn an_import_is_what_a_plain_model_says(
        mut base in prop::collection::vec(any_row(), 0..80),
        files in prop::collection::vec(prop::collection::vec(any_row(), 1..80), 0..3),
    ) {
        base.iter_mut().for_each(|row| row.4 = None);
        let folder = Folder::new();
        // The base comes from an import too.
        let first = folder.import(&[&folder.file("base.csv", csv_of(&base).as_bytes())]);
        prop_assert_eq!(run(&first).0.is_ok(), !base.is_empty());
        if base.is_empty() {
            return Ok(());
        }
        prop_assert_eq!(places_of(&first.out), model_of(&base, &[]));
        let inputs: Vec<_> = (0..).zip(&files).map(|(i, rows)| folder.file(&format!("{i}.csv"), csv_of(rows).as_bytes())).collect();
        let what = Import { base: Some(first.out.clone()), ..folder.import(&inputs.iter().collect::<Vec<_>>()) };
        let summary = run(&what).0.expect("the rows are right");
        let model = model_of(&base, &files);
        prop_assert_eq!(summary.rows, files.iter().map(|rows| rows.len() as u64).sum::<u64>());
        prop_assert_eq!(summary.places as usize, model.len());
        prop_assert_eq!(places_of(&what.out), model);
        // A second import gives the same bytes.
        let bytes = fs::read(&what.out).expect("written");
        prop_assert!(run(&what).0.is_ok());
        prop_assert_eq!(fs::read(&what.out).expect("written"), bytes);
    }
}
