//! What an import of 1,000,000 rows takes: `cargo bench --bench places_import`.
//!
//! Writes the rows in each format (150 to 300 MB together, below `target`), has `herd places import` merge them with the
//! committed file, and prints its time, the most memory that it had resident (`VmHWM`, looked at every 2 ms), and the size
//! of what came out. The limit is 450 MB, and the bench fails beyond it.

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use herd::places::file::format::Dat;

use herd_test_support::rows::{Layout, Rows};

const ROWS: u64 = 1_000_000;
const MEMORY_KB_MAX: u64 = 450_000;

fn main() -> Result<(), Box<dyn Error>> {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/places.dat");
    let rows = Rows::of(&Dat::open(&base)?);
    let out = path("imported.dat");
    println!("{ROWS} rows and the committed file as the base:");
    println!("{:<10} {:>9} {:>7} {:>10} {:>10}  places", "format", "bytes in", "s", "peak KB", "bytes out");
    let mut is_over = false;
    for (layout, format, name) in [
        (Layout::GeoNames, "geonames", "rows.txt"),
        (Layout::Csv, "csv", "rows.csv"),
        (Layout::GeoJson, "geojson", "rows.geojson"),
    ] {
        let input = path(name);
        let mut file = BufWriter::new(File::create(&input)?);
        rows.write(layout, ROWS, &mut file)?;
        file.flush()?;
        let (time, peak_kb) = import(&base, &out, &input)?;
        let (read, written) = (fs::metadata(&input)?.len(), fs::metadata(&out)?.len());
        let places = Dat::open(&out)?.places();
        println!("{format:<10} {read:>9} {:>7.2} {peak_kb:>10} {written:>10}  {places}", time.as_secs_f64());
        is_over |= peak_kb > MEMORY_KB_MAX;
        fs::remove_file(&input)?;
    }
    fs::remove_file(&out)?;
    if is_over { Err(format!("an import took more than {MEMORY_KB_MAX} KB").into()) } else { Ok(()) }
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()))
}

/// Runs the program, and gives its time and the most memory that was seen.
fn import(base: &Path, out: &Path, input: &Path) -> Result<(Duration, u64), Box<dyn Error>> {
    let begin = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_herd"))
        .args(["places", "import", "--base"])
        .args([base, Path::new("--out"), out, input])
        .stdout(Stdio::null())
        .spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak_kb = 0;
    loop {
        if let Some(status) = child.try_wait()? {
            let time = begin.elapsed();
            return if status.success() { Ok((time, peak_kb)) } else { Err("the import failed".into()) };
        }
        // The mark of a process that has just ended is gone with its memory.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kb = mark.and_then(|mark| mark.trim().trim_end_matches(" kB").parse().ok());
        peak_kb = peak_kb.max(kb.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
}
