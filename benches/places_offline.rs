//! How long a nearby query takes: `cargo bench --bench places_offline`.
//!
//! Prints the median in microseconds of a whole query (scan, names, JSON) of 10 km and 8 results: on the committed places
//! file, and on one of 1,000,000 places made by importing 800,629 rows more that crowd where its places do; then how many
//! times as long the second takes. Opening and checking a file is timed apart, as a node does it once. The files are in the
//! page cache by then: a board's first query after boot waits for its card instead.

use std::error::Error;
use std::fs::{self, File};
use std::hint::black_box;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use herd::places::Query;
use herd::places::file::format::{Dat, Scratch};
use herd::places::file::nearest::nearest;
use herd::places::file::render::answer;
use herd::places::import::{Columns, Format, Import, Progress, import, kind_of_word};

use herd_test_support::rows::{Layout, Rows};

const ROUNDS: usize = 4_000;
const PLACES: u64 = 1_000_000;
const RATIO_MAX: f64 = 5.0;
const WHERE: [(&str, f64, f64); 5] = [
    ("UCLA", 34.06893, -118.445127),
    ("London", 51.5074, -0.1278),
    ("Delhi", 28.6139, 77.209),
    ("south pole", -90.0, 0.0),
    ("date line", -16.8, 180.0),
];

fn main() -> Result<(), Box<dyn Error>> {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/places.dat");
    let few = open(&committed)?;
    let few_us = measured(&few)?;
    let large = grown(&committed, &few)?;
    let many = open(&large)?;
    fs::remove_file(&large)?;
    let many_us = measured(&many)?;
    println!("{:<12} times as long", "where");
    let mut worst = 0.0_f64;
    for ((name, ..), (few_us, many_us)) in WHERE.iter().zip(few_us.iter().zip(&many_us)) {
        let ratio = many_us / few_us;
        println!("{name:<12} {ratio:>5.2}");
        worst = worst.max(ratio);
    }
    if worst > RATIO_MAX { Err(format!("more than {RATIO_MAX} times as long").into()) } else { Ok(()) }
}

fn open(file: &Path) -> Result<Dat, Box<dyn Error>> {
    let begin = Instant::now();
    let dat = Dat::open(file)?;
    println!("{} places, {} bytes, opened and checked in {:.1?}", dat.places(), dat.bytes(), begin.elapsed());
    Ok(dat)
}

/// A places file of [`PLACES`] places: the ones of `committed` and others about them.
fn grown(committed: &Path, dat: &Dat) -> Result<PathBuf, Box<dyn Error>> {
    let path = |name| Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id()));
    let (input, out) = (path("million.csv"), path("million.dat"));
    let mut file = BufWriter::new(File::create(&input)?);
    Rows::of(dat).write(Layout::Csv, PLACES - u64::from(dat.places()), &mut file)?;
    file.flush()?;
    let what = Import {
        inputs: vec![(input.clone(), Format::Csv)],
        base: Some(committed.into()),
        divisions: Vec::new(),
        columns: Columns::default(),
        kind: kind_of_word("point_of_interest").ok_or("a kind")?,
        skips_bad: false,
        out: out.clone(),
    };
    let summary = import(&what, &mut Progress::new(&mut io::sink(), false))?;
    fs::remove_file(&input)?;
    if u64::from(summary.places) == PLACES { Ok(out) } else { Err(summary.to_string().into()) }
}

/// Prints the medians of each place, and gives the medians of whole queries.
fn measured(dat: &Dat) -> Result<Vec<f64>, Box<dyn Error>> {
    println!("{:<12} {:>8} {:>9} {:>8}  median us, 10 km, 8 results", "where", "results", "scan", "whole");
    let mut scratch = Scratch::new();
    let mut medians_us = Vec::new();
    for (name, latitude_deg, longitude_deg) in WHERE {
        let query = Query { latitude_deg, longitude_deg, radius_m: 10_000.0, items: 8 };
        let scan_us = median_us(|| nearest(dat, black_box(&query), &mut scratch).is_ok());
        let whole_us = median_us(|| answer(dat, black_box(&query), &mut scratch).is_ok());
        let results = nearest(dat, &query, &mut scratch)?.spots.len();
        println!("{name:<12} {results:>8} {scan_us:>9.1} {whole_us:>8.1}");
        medians_us.push(whole_us);
    }
    Ok(medians_us)
}

fn median_us(mut query: impl FnMut() -> bool) -> f64 {
    let mut times_us: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let begin = Instant::now();
            assert!(black_box(query()), "the query is answered");
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times_us.sort_by(f64::total_cmp);
    times_us[ROUNDS / 2]
}
