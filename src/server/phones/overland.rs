//! Overland: a batch of GeoJSON features, of which the newest of each device is reported.

use std::cmp::Ordering;

use super::form::Fields;
use super::request::Head;
use super::{BATCH_DEVICES_MAX, Content, Format, Ignored, IgnoredCounts, Point, fix};
use crate::places::json;
use crate::proto::fields::ClientTime;
use crate::server::iamat::{Fix, degrees, id_of_name, time_of_date};

/// What the member `locations` of a message says. `device` names the client where a feature does not.
pub(super) fn content(locations: &str, head: &Head, device: Option<String>) -> Content {
    let device = Fields::of(b"", head.query).value(&["id", "device_id"]).or(device);
    let (mut points, mut ignored): (Vec<Point>, _) = (Vec::new(), IgnoredCounts::default());
    let is_array = json::elements(locations, |feature| {
        let (own, fix) = read(feature.get());
        let id = own.as_deref().or(device.as_deref()).and_then(id_of_name);
        let fix = fix.map_err(|why| ignored.add(why)).ok();
        match points.iter().position(|point| point.id == id) {
            Some(at) => keep_later(&mut points[at].fix, fix),
            None if points.len() < BATCH_DEVICES_MAX => points.push(Point { id, fix }),
            None => ignored.add(Ignored::Id),
        }
    });
    if is_array.is_err() {
        ignored.add(Ignored::Json);
    }
    if points.is_empty() {
        points.push(Point { id: device.as_deref().and_then(id_of_name), fix: None });
    }
    Content { format: Format::Overland, points, ignored }
}

/// The device of a feature, and where it was.
fn read(feature: &str) -> (Option<String>, Result<Fix, Ignored>) {
    let (mut geometry, mut properties) = ("{}", "{}");
    let _ = json::members(feature, |name, value| match &*name {
        "geometry" => geometry = value.get(),
        "properties" => properties = value.get(),
        _ => {}
    });
    let mut coordinates = "[]";
    let _ = json::members(geometry, |name, value| {
        if name == "coordinates" {
            coordinates = value.get();
        }
    });
    // Longitude first (RFC 7946, 3.1.1).
    let mut lon_lat_deg = [None; 2];
    let mut at = 0;
    let _ = json::elements(coordinates, |number| {
        if let Some(place) = lon_lat_deg.get_mut(at) {
            *place = degrees(number.get());
        }
        at += 1;
    });
    let (mut device, mut time) = (None, None);
    let _ = json::members(properties, |name, value| match &*name {
        "device_id" => device = json::string(value).filter(|device| !device.is_empty()),
        "timestamp" => time = json::string(value).and_then(|text| time_of_date(&text)),
        _ => {}
    });
    (device, fix(lon_lat_deg[1], lon_lat_deg[0], time))
}

/// Replaces a fix by a later one.
fn keep_later(newest: &mut Option<Fix>, fix: Option<Fix>) {
    let time = |fix: &Option<Fix>| fix.as_ref().and_then(|fix| ClientTime::parse(fix.time.as_bytes()));
    let is_later = match (time(newest), time(&fix)) {
        (Some(newest), Some(time)) => time.compare(&newest) == Ordering::Greater,
        (newest, time) => newest.is_none() && time.is_some(),
    };
    if is_later {
        *newest = fix;
    }
}
