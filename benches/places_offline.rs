//! How long a nearby query takes on the committed places file: `cargo bench --bench places_offline`.
//!
//! Prints the median in microseconds of a whole query (scan, names, JSON) of 10 km and 8 results. Opening and checking
//! the file is timed apart, as a node does it once. The file is in the page cache by then: a board's first query after
//! boot waits for its card instead.

use herd::places::Query;
use herd::places::dat::{Dat, Scratch};
use herd::places::near::nearest;
use herd::places::render::answer;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

const ROUNDS: usize = 4_000;

fn main() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/places.dat");
    let begin = Instant::now();
    let dat = match Dat::open(&file) {
        Ok(dat) => dat,
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    };
    println!("{} places, {} bytes, opened and checked in {:.1?}", dat.places(), dat.bytes(), begin.elapsed());
    println!("{:<12} {:>8} {:>9} {:>8}  median us, 10 km, 8 results", "where", "results", "scan", "whole");
    let places = [
        ("UCLA", 34.06893, -118.445127),
        ("London", 51.5074, -0.1278),
        ("Delhi", 28.6139, 77.209),
        ("south pole", -90.0, 0.0),
        ("date line", -16.8, 180.0),
    ];
    let mut scratch = Scratch::new();
    for (name, latitude_deg, longitude_deg) in places {
        let query = Query { latitude_deg, longitude_deg, radius_m: 10_000.0, items: 8 };
        let scan_us = median_us(|| nearest(&dat, black_box(&query), &mut scratch).is_ok());
        let whole_us = median_us(|| answer(&dat, black_box(&query), &mut scratch).is_ok());
        let results = nearest(&dat, &query, &mut scratch).map_or(0, |nearest| nearest.spots.len());
        println!("{name:<12} {results:>8} {scan_us:>9.1} {whole_us:>8.1}");
    }
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
