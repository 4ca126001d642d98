//! A places file of arbitrary bytes, and a query to it. The target corrects the checksum.
//!
//! Input: 14 bytes, then the file. The first byte holds bits: 1 leave magic, length and checksum unchanged
//! (else the target corrects them), 2 leave the start of the texts, 4 leave the order of blocks (else the
//! target numbers them in order, 32 places each). Then a byte: items (modulo 21); i32 latitude and i32
//! longitude in millionths of a degree; u32 radius in metres (modulo 50,001).
//!
//! Checks: a file that opens has consistent sections. All places, names, areas and regions can be read, each as
//! text or as an error. Places come in order of their numbers, and there are not more than the header states.
//! The answer is JSON with at most the requested items. If the file is in order, the nearest places equal the
//! result of measuring each place.

use std::hash::Hasher;

use herd::places::file::format::{Dat, Scratch, Spot, VERSION};
use herd::places::file::nearest::{EARTH_RADIUS_M, Found, nearest};
use herd::places::file::render::answer;
use herd::places::{MAX_ITEMS, Query};
use serde_json::Value;
use siphasher::sip::SipHasher13;

use crate::scratch;

const HEADER_BYTES: usize = 548;
const BLOCK_BYTES: usize = 12;
const COORDINATE_BYTES: usize = 6;
const CHECKSUM_BYTES: usize = 8;
const BLOCK_PLACES: u32 = 32;
const MAGIC: &[u8; 8] = b"HERDPLCS";
/// The longest text of a file, unpacked.
const TEXT_BYTES_MAX: usize = 255;
/// The longest answer: three texts for each result, each byte escaped as six, and the JSON around them.
const ANSWER_BYTES_MAX: usize = 256 + 20 * (512 + 3 * 6 * TEXT_BYTES_MAX);
/// The two formulas differ in their last digits. Within this distance of the rim, either result is correct.
const RIM_M: f64 = 1e-3;

/// See the head of the file.
pub fn places_dat(data: &[u8]) {
    let Some((head, file)) = data.split_first_chunk::<14>() else { return };
    let mut file = file.to_vec();
    mend(&mut file, head[0]);
    let path = scratch::file_of(&file);
    let dat = match Dat::open(path) {
        Ok(dat) => dat,
        Err(error) => {
            assert!(error.to_string().contains("herd-fuzz"), "an error names the file: {error}");
            return;
        }
    };
    assert_eq!(&file[..8], MAGIC);
    assert_eq!(u32_at(&file, 8), VERSION);
    assert_eq!((dat.places(), dat.bytes()), (u32_at(&file, 12), file.len() as u64));
    check_sections(&file);
    let mut scratch = Box::new(Scratch::new());
    let spots = scan(&dat, &mut scratch);
    for spot in spots.iter().flatten() {
        read_texts(&dat, spot, &mut scratch);
    }
    let query = query(head);
    let json = answer(&dat, &query, &mut scratch);
    if let Ok(json) = &json {
        check_answer(json, &query);
    }
    let spots = spots.filter(|spots| are_blocks_true(&file, spots));
    check_nearest(&dat, &query, spots.as_deref(), &mut scratch);
}

/// Corrects fields of the header, so that a mutation reaches the code behind the first checks.
fn mend(file: &mut [u8], bits: u8) {
    let length = file.len();
    if length < HEADER_BYTES + BLOCK_BYTES + CHECKSUM_BYTES {
        return;
    }
    let put = |file: &mut [u8], at: usize, value: usize| {
        let value = u32::try_from(value).unwrap_or(u32::MAX);
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    };
    if bits & 2 == 0 {
        let coordinates_at =
            HEADER_BYTES + (u32_at(file, 16) as usize).saturating_add(1).saturating_mul(BLOCK_BYTES);
        let texts_at =
            coordinates_at.saturating_add((u32_at(file, 12) as usize).saturating_mul(COORDINATE_BYTES));
        put(file, 20, texts_at);
        // Puts the sections in order.
        let end = length - CHECKSUM_BYTES;
        let areas_at = (u32_at(file, 24) as usize).clamp(texts_at.min(end), end);
        let regions_at = (u32_at(file, 28) as usize).clamp(areas_at, end);
        put(file, 24, areas_at);
        put(file, 28, regions_at);
    }
    if bits & 4 == 0 {
        let blocks = (u32_at(file, 16) as usize).min((length - HEADER_BYTES) / BLOCK_BYTES);
        let places = u32_at(file, 12);
        for block in 0..blocks {
            let number = (u32::try_from(block).unwrap_or(u32::MAX)).saturating_mul(BLOCK_PLACES).min(places);
            put(file, HEADER_BYTES + block * BLOCK_BYTES + 4, number as usize);
        }
    }
    if bits & 1 == 0 {
        file[..8].copy_from_slice(MAGIC);
        put(file, 32, length - CHECKSUM_BYTES);
        let (body, checksum) = file.split_at_mut(length - CHECKSUM_BYTES);
        let mut hasher = SipHasher13::new();
        hasher.write(body);
        checksum.copy_from_slice(&hasher.finish().to_le_bytes());
    }
}

/// Checks that the sections follow each other and that every place has coordinates.
fn check_sections(file: &[u8]) {
    let (places, blocks) = (u64::from(u32_at(file, 12)), u64::from(u32_at(file, 16)));
    let coordinates_at = HEADER_BYTES as u64 + (blocks + 1) * BLOCK_BYTES as u64;
    let [texts_at, areas_at, regions_at, checksum_at] =
        [20, 24, 28, 32].map(|at| u64::from(u32_at(file, at)));
    assert_eq!(texts_at, coordinates_at + places * COORDINATE_BYTES as u64);
    assert!([texts_at, areas_at, regions_at, checksum_at].is_sorted());
    assert_eq!(checksum_at + CHECKSUM_BYTES as u64, file.len() as u64);
}

fn query(head: &[u8; 14]) -> Query {
    let udeg = |at: usize, most: i32| {
        let value = i32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        f64::from(value % (most + 1)) / 1_000_000.0
    };
    Query {
        latitude_deg: udeg(2, 90_000_000),
        longitude_deg: udeg(6, 180_000_000),
        radius_m: f64::from(u32_at(head, 10) % 50_001),
        items: head[1] % (MAX_ITEMS + 1),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// All places of the file, if the file can be read to its end.
fn scan(dat: &Dat, scratch: &mut Scratch) -> Option<Vec<Spot>> {
    let mut spots: Vec<Spot> = Vec::new();
    let read = dat.scan_band(i32::MIN, i32::MAX, scratch, |spot| spots.push(spot));
    assert!(spots.is_sorted_by(|a, b| a.number < b.number), "places come by number, each once");
    assert!(spots.iter().all(|spot| spot.number < dat.places()), "a number is below the count of places");
    read.is_ok().then_some(spots)
}

fn read_texts(dat: &Dat, spot: &Spot, scratch: &mut Scratch) {
    let check = |text: &str| assert!(text.len() <= TEXT_BYTES_MAX && !text.contains('\0'), "{text:?}");
    let Ok((area, name)) = dat.name(spot, scratch) else { return };
    check(name);
    let Ok((_, region, area)) = dat.area(area, scratch) else { return };
    check(area);
    if let Ok(region) = dat.region(region, scratch) {
        check(region);
    }
}

fn check_answer(json: &[u8], query: &Query) {
    let value: Value = serde_json::from_slice(json).expect("an answer is JSON");
    let results = value["results"].as_array().expect("an answer has results");
    assert!(results.len() <= usize::from(query.items) && json.len() <= ANSWER_BYTES_MAX);
    let status = value["status"].as_str().expect("an answer has a status");
    assert!(status == "OK" || (status == "ZERO_RESULTS" && results.is_empty()));
    assert!(!json.windows(2).any(|pair| pair == b"\n\n") && !json.ends_with(b"\n"));
}

/// Distance by unit vectors, a formula that is independent of the tested one.
fn chord_m(query: &Query, spot: &Spot) -> f64 {
    let vector = |latitude: f64, longitude: f64| {
        let (y, z) = latitude.to_radians().sin_cos();
        let (e, n) = longitude.to_radians().sin_cos();
        [z * n, z * e, y]
    };
    let a = vector(query.latitude_deg, query.longitude_deg);
    let b = vector(f64::from(spot.latitude_udeg) / 1e6, f64::from(spot.longitude_udeg) / 1e6);
    let square: f64 = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    2.0 * EARTH_RADIUS_M * (square.sqrt() / 2.0).min(1.0).asin()
}

/// Whether each block begins at the latitude of its first place and the sentinel is the largest latitude, as
/// the format requires. A reader trusts these values: a forged file can hide places, and nothing else.
fn are_blocks_true(file: &[u8], spots: &[Spot]) -> bool {
    let blocks = u32_at(file, 16) as usize;
    let head = |block: usize| {
        let at = HEADER_BYTES + block * BLOCK_BYTES;
        (u32_at(file, at).cast_signed(), u32_at(file, at + 4))
    };
    let first = |number: u32| spots.iter().find(|spot| spot.number == number).map(|spot| spot.latitude_udeg);
    (0..blocks).map(head).all(|(latitude_udeg, number)| first(number) == Some(latitude_udeg))
        && head(blocks).0 == i32::MAX
}

fn check_nearest(dat: &Dat, query: &Query, spots: Option<&[Spot]>, scratch: &mut Scratch) {
    let Ok(found) = nearest(dat, query, scratch) else { return };
    let distances: Vec<f64> = found.spots.iter().map(Found::distance_m).collect();
    assert!(distances.len() <= usize::from(query.items) && distances.is_sorted());
    assert!(distances.iter().all(|metres| *metres <= query.radius_m + RIM_M));
    // The next checks require that the places are sorted by latitude and lie on the globe.
    let Some(spots) = spots else { return };
    let is_on_globe = |spot: &Spot| {
        spot.latitude_udeg.unsigned_abs() <= 90_000_000 && spot.longitude_udeg.unsigned_abs() <= 180_000_000
    };
    let is_in_order = spots.is_sorted_by_key(|spot| spot.latitude_udeg) && spots.iter().all(is_on_globe);
    if !is_in_order || spots.len() != dat.places() as usize {
        return;
    }
    let mut all: Vec<f64> = spots.iter().map(|spot| chord_m(query, spot)).collect();
    all.sort_by(f64::total_cmp);
    let within = all.iter().filter(|metres| **metres <= query.radius_m).count();
    let rim = all.iter().filter(|metres| (**metres - query.radius_m).abs() < RIM_M).count();
    assert!(found.any == (within > 0) || rim > 0, "`any` is correct: {query:?}");
    let expected = within.min(usize::from(query.items));
    assert!(distances.len().abs_diff(expected) <= rim, "{} for {expected}: {query:?}", distances.len());
    for (metres, plain) in distances.iter().zip(&all) {
        assert!((metres - plain).abs() < RIM_M, "{metres} for {plain}: {query:?}");
    }
}
