//! Traccar's OsmAnd protocol: a form of Traccar Client 8 and 10, OsmAnd and GPSLogger, and the JSON of Traccar Client 9.

use super::credentials::Credentials;
use super::form::Fields;
use super::{Content, Format, Ignored, fix};
use crate::places::json;
use crate::server::iamat::{self, Fix, degrees, id_of_name};

/// What a form says.
pub(super) fn of_form(fields: &Fields, credentials: &Credentials, now_s: Option<&str>) -> Content {
    let id = fields.value(&["id", "deviceid", "device_id", "device"]);
    let id = id.or_else(|| credentials.user.clone()).and_then(|id| id_of_name(&id));
    Content::of_one(Format::Traccar, id, fix_of(fields, now_s))
}

fn fix_of(fields: &Fields, now_s: Option<&str>) -> Result<Fix, Ignored> {
    if fields.value(&["valid"]).is_some_and(|valid| matches!(&*valid.to_ascii_lowercase(), "false" | "0")) {
        return Err(Ignored::Position);
    }
    let (mut lat, mut lon) = (fields.value(&["lat", "latitude"]), fields.value(&["lon", "lng", "longitude"]));
    if let Some((both_lat, both_lon)) = fields.value(&["location"]).as_deref().and_then(|l| l.split_once(','))
    {
        lat.get_or_insert(both_lat.trim().to_owned());
        lon.get_or_insert(both_lon.trim().to_owned());
    }
    let degrees = |text: Option<String>| text.and_then(|text| degrees(&text));
    const TIMES: [&str; 3] = ["timestamp", "time", "tst"];
    let time = match fields.value(&TIMES) {
        Some(_) => TIMES.iter().find_map(|name| time(&fields.value(&[name])?)),
        None => now_s.map(str::to_owned),
    };
    fix(degrees(lat), degrees(lon), time)
}

/// The time of a number or a date.
fn time(text: &str) -> Option<String> {
    // A plus sign that was not encoded has become a blank.
    let date = || iamat::time_of_date(text).or_else(|| iamat::time_of_date(&text.replace(' ', "+")));
    iamat::time(text).or_else(date)
}

/// What the member `location` of a JSON message says.
pub(super) fn of_json(location: &str, device: &str, now_s: Option<&str>) -> Content {
    let (mut stamp, mut coords) = (None, None);
    let _ = json::members(location, |name, value| match &*name {
        "timestamp" => stamp = Some(json::string(value).unwrap_or_else(|| value.get().to_owned())),
        "coords" => coords = Some(value.get()),
        _ => {}
    });
    let (mut lat_deg, mut lon_deg) = (None, None);
    let _ = json::members(coords.unwrap_or("{}"), |name, value| match &*name {
        "latitude" => lat_deg = degrees(value.get()),
        "longitude" => lon_deg = degrees(value.get()),
        _ => {}
    });
    let time = match stamp {
        Some(stamp) => time(&stamp),
        None => now_s.map(str::to_owned),
    };
    Content::of_one(Format::Traccar, id_of_name(device), fix(lat_deg, lon_deg, time))
}
