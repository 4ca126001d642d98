//! `herd places import` as a user runs it: the file, the messages, and that the old file stays until the new one is
//! whole. Its help is compared in `cli.rs`; what each format may hold is tried beside the readers.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use herd::places::file::format::Dat;

use herd_test_support::rows::{Layout, Rows};
use herd_test_support::{Folder, json, places_file, printed, ran, until_some};

/// A folder in which the program runs.
struct Workplace(Folder);

impl Workplace {
    fn new() -> Workplace {
        Workplace(Folder::new())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        self.0.write(name, bytes);
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path(name)).expect("the file is there")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path("")).expect("the folder is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("listed").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_herd"));
        command.args(["places"]).args(line.split(' ')).current_dir(self.0.path("")).stdin(Stdio::null());
        command
    }

    /// What `herd places` did with these words: its status, its output, its messages.
    fn ran(&self, line: &str) -> (Option<i32>, String, String) {
        ran(&mut self.command(line))
    }

    /// The same of words that are right: the output alone.
    fn printed(&self, line: &str) -> String {
        printed(&mut self.command(line))
    }

    /// Name, type and vicinity of what is near.
    fn near(&self, file: &str, position: &str) -> Vec<String> {
        let json = json(&self.printed(&format!("near --file {file} {position}")));
        let row = |result: &serde_json::Value| {
            let member = |at: &serde_json::Value| at.as_str().unwrap_or("none").to_owned();
            format!(
                "{} | {} | {}",
                member(&result["name"]),
                member(&result["types"][0]),
                member(&result["vicinity"])
            )
        };
        json["results"].as_array().expect("an array").iter().map(row).collect()
    }
}

const CAFES: &str = "Name,Y,X,Kind,Address\n\
    \"Café \"\"Profeta\"\"\",34.0630,-118.4470,cafe,\"1129 Glendon Ave, Los Angeles\"\n\
    Nowhere,134.0630,-118.4470,cafe,\n\
    Diddy Riese,34.0632,-118.4468,bakery,\"926 Broxton Ave, Los Angeles\"\n";

#[test]
fn bad_row() {
    let folder = Workplace::new();
    folder.write("cafes.csv", CAFES);
    folder.write("own.dat", "as it was");
    let line = "import --out own.dat --columns name=Name,lat=Y,lon=X,type=Kind,vicinity=Address cafes.csv";
    let first = "cafes.csv:3: Y: \"134.0630\" is not a number from -90 to 90 (are latitude and longitude swapped? positions are decimal degrees)";
    let second =
        "cafes.csv:4: Kind: \"bakery\" is not a type of places (the types are in: herd places import --help)";
    let message = format!("herd: places import: {first}; to leave bad rows out: --skip-bad\n");
    assert_eq!(folder.ran(line), (Some(1), String::new(), message));
    assert_eq!((folder.read("own.dat"), folder.names().len()), (b"as it was".to_vec(), 2));

    let (status, text, messages) = folder.ran(&format!("{line} --skip-bad"));
    let bytes = folder.read("own.dat").len();
    let summary = format!(
        "own.dat: 1 place (0 of the base, 1 row, 0 the same as another), {bytes} bytes; left out: 2 bad rows\n"
    );
    assert_eq!((status, text), (Some(0), summary));
    // No bar: this is not a terminal.
    assert_eq!(messages, format!("{first}; left out\n{second}; left out\n"));
    assert_eq!(
        folder.near("own.dat", "34.063 -118.447 1"),
        ["Café \"Profeta\" | cafe | 1129 Glendon Ave, Los Angeles"]
    );
    assert_eq!(folder.names(), ["cafes.csv", "own.dat"]);
}

#[test]
fn wrong_usage() {
    let folder = Workplace::new();
    for line in [
        "import x.csv",
        "import --out o",
        "import --out o x.xml",
        "import --out o --separator ;; x.csv",
        "import --out o --type x x.csv",
    ] {
        let (status, text, messages) = folder.ran(line);
        assert_eq!((status, text.as_str()), (Some(2), ""), "{line}");
        assert!(messages.ends_with("; see: herd places import --help\n"), "{messages}");
    }
    assert_eq!(folder.names(), [""; 0]);
}

/// What an output must not become: a device, a pipe and a folder stay what they are, and so does a symbolic link.
#[test]
fn other_outputs() {
    let folder = Workplace::new();
    folder.write("x.csv", "name,lat,lon\nA,1,1\n");
    fs::create_dir(folder.0.path("folder")).expect("the folder is ours");
    let made = Command::new("mkfifo").arg(folder.0.path("pipe")).status().expect("mkfifo can be run");
    assert!(made.success());
    for out in ["folder", "pipe", "/dev/null", "/dev/full"] {
        let message = format!("herd: places import: {out}: cannot be written: not a regular file\n");
        assert_eq!(folder.ran(&format!("import --out {out} x.csv")), (Some(1), String::new(), message));
    }
    std::os::unix::fs::symlink("target.dat", folder.0.path("link.dat")).expect("the folder is ours");
    assert_eq!(folder.ran("import --out link.dat x.csv").0, Some(0));
    assert!(folder.0.path("link.dat").is_symlink() && folder.0.path("target.dat").is_file());
    // The program that asks must not wait for a pipe either.
    let (status, _, messages) = folder.ran("near --file pipe 1 1 1");
    assert_eq!(
        (status, messages.as_str()),
        (Some(1), "herd: places: cannot open pipe: not a regular file\n")
    );
    assert_eq!(folder.names(), ["folder", "link.dat", "pipe", "target.dat", "x.csv"]);
}

/// The node's user could read the old file: it can read the new one.
#[test]
fn mode_of_output() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Workplace::new();
    folder.write("x.csv", "name,lat,lon\nA,1,1\n");
    folder.write("own.dat", "old");
    let own = folder.0.path("own.dat");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o644)).expect("the file is ours");
    let line = format!("umask 077; {} places import --out own.dat x.csv", env!("CARGO_BIN_EXE_herd"));
    let status =
        Command::new("sh").args(["-c", &line]).current_dir(folder.0.path("")).stdout(Stdio::null()).status();
    assert!(status.expect("a shell can be run").success());
    assert_eq!(fs::metadata(&own).expect("written").permissions().mode() & 0o777, 0o644);
}

/// An extract of OpenStreetMap. What the GeoJSON of the same extract gives is compared beside the reader.
#[cfg(feature = "pbf")]
#[test]
fn extract() {
    let folder = Workplace::new();
    let village = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/osm/village.osm.pbf");
    fs::copy(village, folder.0.path("village.osm.pbf")).expect("the folder can be written");
    let text = folder.printed("import --out own.dat --type park village.osm.pbf");
    let summary = "own.dat: 7 places (0 of the base, 7 rows, 0 the same as another)";
    let left_out = "left out: 2 without a name, 3 other than points and typed areas, 1 division";
    let bytes = folder.read("own.dat").len();
    assert_eq!(text, format!("{summary}, {bytes} bytes; {left_out}\n"));
    assert_eq!(
        folder.near("own.dat", "52.5 13.4 0.2"),
        ["Café Blüte | cafe | 3 Dorfstraße, Neudorf", "Old Oak | park | "]
    );
    let (status, _, messages) = folder.ran("import --out own.dat --format csv village.osm.pbf");
    let wrong = "herd: places import: village.osm.pbf:1: is OpenStreetMap's PBF (give --format pbf)\n";
    assert_eq!((status, messages.as_str()), (Some(1), wrong));
}

#[test]
fn types_of_help() {
    let folder = Workplace::new();
    let (_, help, _) = folder.ran("import --help");
    let list = help.split("is one of:").nth(1).and_then(|rest| rest.split('.').next()).expect("the list");
    let types: Vec<&str> = list.split([',', '\n']).map(str::trim).filter(|word| !word.is_empty()).collect();
    assert_eq!(types.len(), 34);
    for pair in types.chunks(2) {
        folder.write("x.csv", format!("name,lat,lon,type\nA,1,1,{}\nB,2,2,\n", pair[0]));
        folder.printed(&format!("import --out x.dat --type {} x.csv", pair[1]));
        assert!(folder.near("x.dat", "1 1 1")[0].starts_with(&format!("A | {} | ", pair[0])));
        assert!(folder.near("x.dat", "2 2 1")[0].starts_with(&format!("B | {} | ", pair[1])));
    }
}

#[test]
fn three_formats() {
    let folder = Workplace::new();
    let base = places_file();
    let dat = Dat::open(&base).expect("the committed file is whole");
    let rows = Rows::of(&dat);
    for (layout, name) in
        [(Layout::GeoNames, "XX.txt"), (Layout::Csv, "rows.csv"), (Layout::GeoJson, "osm.geojson")]
    {
        let mut bytes = Vec::new();
        rows.write(layout, 300, &mut bytes).expect("memory takes all");
        folder.write(name, bytes);
    }
    folder.write("cafe.geojsonl", "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[-118.4452,34.0690]},\"properties\":{\"amenity\":\"cafe\",\"name\":\"Kerckhoff\"}}\n");
    let own = folder.0.path("own.dat");
    fs::copy(&base, &own).expect("the folder can be written");
    // The output is the base.
    let text =
        folder.printed("import --base own.dat --out own.dat XX.txt rows.csv osm.geojson cafe.geojsonl");
    // The three formats say the same of the same 300 places.
    let bytes = folder.read("own.dat").len();
    let summary = "own.dat: 199672 places (199371 of the base, 901 rows, 600 the same as another)";
    assert_eq!(text, format!("{summary}, {bytes} bytes\n"));
    assert_eq!(
        folder.near("own.dat", "34.06893 -118.445127 3 2"),
        ["Kerckhoff | cafe | ", "Bel Air | locality | Los Angeles County, California, US"]
    );
    // Every answer about the committed places is as it was.
    let base = base.to_str().expect("the path is UTF-8");
    for position in ["64.1355 -21.8954 0.1 1", "1.28967 103.85007 0.1 1", "-90 0 50 1"] {
        let near = folder.near("own.dat", position);
        assert!(!near.is_empty() && near == folder.near(base, position), "{position}: {near:?}");
    }
}

#[test]
fn killed() {
    let folder = Workplace::new();
    folder.write("own.dat", fs::read(places_file()).expect("the committed file is there"));
    let before = folder.read("own.dat");
    let mut child = folder
        .command("import --format csv --skip-bad --base own.dat --out own.dat /dev/stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be run");
    // Many rows, then a bad one, which is reported when it has been read.
    let mut input = child.stdin.take().expect("a pipe");
    let mut text = "name,lat,lon\n".to_owned();
    for i in 0..150_000 {
        text.push_str(&format!("A place numbered {i},1,1\n"));
    }
    text.push_str("B,91,1\n");
    let filler = "C,2,2\n".repeat(20_000);
    let writer = std::thread::spawn(move || {
        let _ = input.write_all(text.as_bytes()).and_then(|()| input.write_all(filler.as_bytes()));
        // The pipe stays open until the program is gone.
        input
    });
    let mut outcome = [0; 10];
    let mut stderr = child.stderr.take().expect("a pipe");
    std::io::Read::read_exact(&mut stderr, &mut outcome).expect("the bad row is reported");
    assert_eq!(folder.names(), ["own.dat"]);
    child.kill().expect("the program is running");
    until_some("the program ends", || child.try_wait().expect("the program is ours"));
    drop(writer.join().expect("the writer ends when the pipe breaks"));
    assert!(folder.read("own.dat") == before, "the old file is as it was");
    assert_eq!(folder.names(), ["own.dat"]);
}
