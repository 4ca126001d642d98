//! Google's Places API (New), `places:searchNearby`: a POST whose answer is converted into the legacy shape.
//!
//! This module knows the service's address, its query and its answers, but not the transport. It copies numbers and
//! strings of the answer as the upstream wrote them; it does not parse and print them again.

use crate::places::Query;
use crate::places::file::render::{push, push_strings};
use crate::places::json::{DEPTH_MAX, elements, is_deeper, members};
use crate::places::settings::Endpoint;
use crate::places::upstream::failure::Failure;
use crate::places::upstream::google_legacy::{degrees, metres};
use crate::places::upstream::http::Response;
use crate::places::upstream::refusal::{Refusal, echoes_key, error_words, of_http};
use serde_json::value::RawValue;
use ureq::http::{HeaderValue, Request};

/// Google's address.
pub(crate) const URL: &str = "https://places.googleapis.com/v1/places:searchNearby";

/// The requested members. Google charges by member, so the list holds only what an answer shows.
const FIELDS: &str = "places.id,places.displayName,places.location,places.types,places.businessStatus,places.formattedAddress,places.shortFormattedAddress";

/// Smallest radius: the service refuses 0.
const RADIUS_M_MIN: f64 = 1.0;

/// The request for `query`: the nearest first, as many as wanted, but at least one.
pub(crate) fn request(endpoint: &Endpoint, query: &Query) -> Result<Request<String>, Failure> {
    let body = format!(
        r#"{{"locationRestriction":{{"circle":{{"center":{{"latitude":{},"longitude":{}}},"radius":{}}}}},"maxResultCount":{},"rankPreference":"DISTANCE"}}"#,
        degrees(query.latitude_deg),
        degrees(query.longitude_deg),
        metres(query.radius_m.max(RADIUS_M_MIN)),
        query.items.max(1),
    );
    let mut request = Request::post(endpoint.url.as_deref().unwrap_or(URL))
        .header("content-type", "application/json")
        .header("x-goog-fieldmask", FIELDS);
    if let Some(key) = &endpoint.key {
        let mut value = HeaderValue::from_str(key.expose()).map_err(|_| Failure::NoKey)?;
        value.set_sensitive(true);
        request = request.header("x-goog-api-key", value);
    }
    request.body(body).map_err(|_| Failure::Setting("places.url is not an address".to_owned()))
}

/// Converts `response` into the legacy shape with at most `items` results. The error says why no answer exists.
pub(crate) fn read(response: &Response, endpoint: &Endpoint, items: usize) -> Result<Vec<u8>, Refusal> {
    let Response { status, body, is_packed } = response;
    if echoes_key(endpoint, body) {
        return Err(Failure::KeyEchoed.into());
    }
    if *status != 200 {
        return Err(refusal(*status, body).into());
    }
    let bad = |why: &str| Refusal::from(Failure::BadJson(why.to_owned()));
    let text = match str::from_utf8(body) {
        Err(_) if *is_packed => return Err(bad("it is compressed, which was not asked for")),
        Err(_) => return Err(bad("it is not UTF-8")),
        Ok(text) if is_deeper(text, DEPTH_MAX) => return Err(bad("it is nested too deeply")),
        Ok(text) => text,
    };
    let (mut places, mut is_double) = (None, false);
    members(text, |name, value| {
        if name == "places" {
            is_double |= places.replace(value).is_some();
        }
    })
    .map_err(|error| {
        bad(if error.is_eof() { "it breaks off" } else { "it is malformed or not an object" })
    })?;
    if is_double {
        return Err(bad("a member appears twice"));
    }
    render(places, items).map_err(bad)
}

/// The failure of a refusal. An invalid key is also 400 INVALID_ARGUMENT here; only its reason differs from a bad query's.
fn refusal(status: u16, body: &[u8]) -> Failure {
    let message = error_words(body);
    let reason = b"API_KEY_INVALID";
    if status == 400 && body.windows(reason.len()).any(|window| window == reason) {
        return Failure::KeyRefused(message);
    }
    of_http(status, message)
}

/// An answer without `places` means that there are none. A place that cannot be read is left out.
///
/// # Errors
/// No place can be read, or `places` is not an array.
fn render(places: Option<&RawValue>, items: usize) -> Result<Vec<u8>, &'static str> {
    let mut json = Vec::with_capacity(places.map_or(0, |places| places.get().len()) + 128);
    push(&mut json, "{\n   \"html_attributions\" : [],\n   \"results\" : [");
    let (mut count, mut shown, mut wrong) = (0, 0, None);
    if let Some(places) = places {
        elements(places.get(), |place| {
            count += 1;
            if shown == items {
                return;
            }
            match Place::read(place.get()) {
                Ok(place) => {
                    push(&mut json, if shown == 0 { "\n" } else { ",\n" });
                    push_place(&mut json, &place);
                    shown += 1;
                }
                Err(why) => wrong = Some(why),
            }
        })
        .map_err(|_| "its places are not an array")?;
    }
    match wrong {
        Some(why) if shown == 0 => return Err(why),
        Some(why) => log::debug!("places: left out a place: {why}"),
        None => {}
    }
    push(&mut json, if shown == 0 { "],\n" } else { "\n   ],\n" });
    push(
        &mut json,
        if count == 0 { "   \"status\" : \"ZERO_RESULTS\"\n}" } else { "   \"status\" : \"OK\"\n}" },
    );
    Ok(json)
}

/// The members of a place that an answer shows, each as the upstream wrote it.
#[derive(Default)]
struct Place<'a> {
    business_status: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    latitude: Option<&'a RawValue>,
    longitude: Option<&'a RawValue>,
    types: Vec<&'a str>,
    address: Option<&'a RawValue>,
    short_address: Option<&'a RawValue>,
}

fn push_place(json: &mut Vec<u8>, place: &Place) {
    // The service omits a coordinate that is zero.
    let number = |value: Option<&'_ RawValue>| value.map_or("0", RawValue::get).to_owned();
    push(json, "      {\n");
    if let Some(status) = place.business_status {
        push(json, &format!("         \"business_status\" : {},\n", status.get()));
    }
    push(json, "         \"geometry\" : {\n            \"location\" : {\n               \"lat\" : ");
    push(json, &number(place.latitude));
    push(json, ",\n               \"lng\" : ");
    push(json, &number(place.longitude));
    push(json, "\n            }\n         },\n");
    for (name, value) in [("name", place.name), ("place_id", place.id)] {
        if let Some(value) = value {
            push(json, &format!("         \"{name}\" : {},\n", value.get()));
        }
    }
    push(json, "         \"types\" : ");
    push_strings(json, 9, &place.types);
    if let Some(address) = place.short_address.or(place.address) {
        push(json, ",\n         \"vicinity\" : ");
        push(json, address.get());
    }
    push(json, "\n      }");
}

/// Whether this is a number of degrees, up to `most` in both directions.
fn is_degrees(value: &RawValue, most: f64) -> bool {
    let text = value.get();
    let is_number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
    is_number && text.parse::<f64>().is_ok_and(|degrees| degrees.abs() <= most)
}

impl<'a> Place<'a> {
    fn read(text: &'a str) -> Result<Self, &'static str> {
        let mut place = Self::default();
        let mut location = None;
        let mut name = None;
        let mut types = None;
        let is_string = |value: &&RawValue| value.get().starts_with('"');
        members(text, |member, value| match &*member {
            "businessStatus" => place.business_status = Some(value).filter(is_string),
            "id" => place.id = Some(value).filter(is_string),
            "displayName" => name = Some(value),
            "location" => location = Some(value),
            "types" => types = Some(value),
            "formattedAddress" => place.address = Some(value).filter(is_string),
            "shortFormattedAddress" => place.short_address = Some(value).filter(is_string),
            _ => {}
        })
        .map_err(|_| "a place is not an object")?;
        let location = location.ok_or("a place has no location")?;
        let mut is_odd = false;
        members(location.get(), |member, value| match &*member {
            "latitude" => {
                is_odd |= !is_degrees(value, 90.0);
                place.latitude = Some(value);
            }
            "longitude" => {
                is_odd |= !is_degrees(value, 180.0);
                place.longitude = Some(value);
            }
            _ => {}
        })
        .map_err(|_| "a place's location is not an object")?;
        if is_odd {
            return Err("a place's location is not in degrees");
        }
        if let Some(name) = name {
            members(name.get(), |member, value| {
                if member == "text" {
                    place.name = Some(value).filter(is_string);
                }
            })
            .map_err(|_| "a place's name is not an object")?;
        }
        if let Some(types) = types {
            elements(types.get(), |value| {
                place.types.extend(Some(value).filter(is_string).map(RawValue::get));
            })
            .map_err(|_| "a place's types are not an array")?;
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Key;

    fn answered(status: u16, body: &str, items: usize) -> Result<String, Failure> {
        let endpoint = Endpoint { url: None, key: Some(Key::new("AIza-secret").expect("a key")) };
        let response = Response { status, body: body.into(), is_packed: false };
        let answer = read(&response, &endpoint, items).map_err(|refusal| refusal.failure)?;
        Ok(String::from_utf8(answer).expect("UTF-8"))
    }

    const TWO: &str = r#"{"places":[{"id":"ChIJ1","types":["cafe","coffee_shop","breakfast_restaurant","food","point_of_interest"],
        "formattedAddress":"1 Long Rd, X","location":{"latitude":34.0700,"longitude":-118.44512712345678},
        "displayName":{"text":"Caf\u00e9 \"É\"","languageCode":"en"},"shortFormattedAddress":"1 Long Rd"},
        {"id":"ChIJ2","types":["park"],"location":{"latitude":1E1}}]}"#;

    #[test]
    fn places_take_the_legacy_shape_digit_for_digit() {
        let expected = r#"{
   "html_attributions" : [],
   "results" : [
      {
         "geometry" : {
            "location" : {
               "lat" : 34.0700,
               "lng" : -118.44512712345678
            }
         },
         "name" : "Caf\u00e9 \"É\"",
         "place_id" : "ChIJ1",
         "types" : [
            "cafe",
            "coffee_shop",
            "breakfast_restaurant",
            "food",
            "point_of_interest"
         ],
         "vicinity" : "1 Long Rd"
      },
      {
         "geometry" : {
            "location" : {
               "lat" : 1E1,
               "lng" : 0
            }
         },
         "place_id" : "ChIJ2",
         "types" : [ "park" ]
      }
   ],
   "status" : "OK"
}"#;
        assert_eq!(answered(200, TWO, 20).expect("an answer"), expected);
        let one = answered(200, TWO, 1).expect("an answer");
        assert!(one.contains("ChIJ1") && !one.contains("ChIJ2"));
        let none = answered(200, TWO, 0).expect("an answer");
        assert!(none.contains("\"results\" : [],\n   \"status\" : \"OK\""), "{none}");
        for empty in ["{}", " {\n}\n", r#"{"places":[]}"#] {
            assert!(
                answered(200, empty, 5).expect("an answer").contains("[],\n   \"status\" : \"ZERO_RESULTS\"")
            );
        }
    }

    #[test]
    fn a_closed_place_is_marked() {
        let text = TWO.replace(r#""id":"ChIJ2","#, r#""id":"ChIJ2","businessStatus":"CLOSED_PERMANENTLY","#);
        let value: serde_json::Value =
            serde_json::from_str(&answered(200, &text, 20).expect("an answer")).expect("JSON");
        assert_eq!(value["results"][1]["business_status"], "CLOSED_PERMANENTLY");
        assert_eq!(value["results"][0].get("business_status"), None);
        assert!(FIELDS.contains("places.businessStatus"));
    }

    #[test]
    fn a_place_without_a_position_costs_itself_alone() {
        for wrong in [
            r#"{"id":"x"}"#,
            r#"{"id":"x","location":null}"#,
            r#"{"id":"x","location":[1,2]}"#,
            r#"{"id":"x","location":{"latitude":"1"}}"#,
            r#"{"id":"x","location":{"latitude":1e999}}"#,
            r#"{"id":"x","location":{"latitude":90.1}}"#,
            r#"{"id":"x","location":{"longitude":-181}}"#,
            r#"{"id":"x","location":{"latitude":1},"displayName":7}"#,
            "null",
        ] {
            for text in [
                TWO.replacen('[', &format!("[{wrong},"), 1),
                TWO.replace(r#"{"id":"ChIJ2""#, &format!(r#"{wrong},{{"id":"ChIJ2""#)),
                TWO.replace(r#"{"latitude":1E1}}]"#, &format!(r#"{{"latitude":1E1}}}},{wrong}]"#)),
            ] {
                assert_eq!(answered(200, &text, 20), answered(200, TWO, 20), "{text}");
                assert_eq!(answered(200, &text, 2), answered(200, TWO, 2), "it takes no room: {text}");
            }
            let alone = answered(200, &format!(r#"{{"places":[{wrong}]}}"#), 20);
            assert!(matches!(alone, Err(Failure::BadJson(_))), "{wrong}");
        }
    }

    #[test]
    fn each_refusal_has_its_failure() {
        let error = |code: u16, word: &str, reason: &str| {
            let body = format!(
                r#"{{"error":{{"code":{code},"message":"sent","status":"{word}","details":[{{"reason":"{reason}"}}]}}}}"#
            );
            answered(code, &body, 5).expect_err("no answer")
        };
        let sent = || "sent".to_owned();
        assert_eq!(error(400, "INVALID_ARGUMENT", ""), Failure::Refused(sent()));
        assert_eq!(error(400, "INVALID_ARGUMENT", "API_KEY_INVALID"), Failure::KeyRefused(sent()));
        assert_eq!(error(401, "UNAUTHENTICATED", ""), Failure::KeyRefused(sent()));
        assert_eq!(error(403, "PERMISSION_DENIED", ""), Failure::KeyRefused(sent()));
        assert_eq!(error(429, "RESOURCE_EXHAUSTED", ""), Failure::Quota(sent()));
        assert_eq!(error(503, "UNAVAILABLE", ""), Failure::Status(503));
        let words: Vec<_> = [error(400, "", ""), error(403, "", ""), error(429, "", ""), error(500, "", "")]
            .iter()
            .map(Failure::status)
            .collect();
        assert_eq!(words, ["INVALID_REQUEST", "REQUEST_DENIED", "OVER_QUERY_LIMIT", "UNKNOWN_ERROR"]);
        for body in [
            "",
            "[]",
            "<html>",
            r#"{"places":{}}"#,
            r#"{"places":[1]}"#,
            r#"{"places":[{}]}"#,
            r#"{"places":[{"location":{"latitude":"1"}}]}"#,
            r#"{"places":[],"places":[]}"#,
        ] {
            assert!(matches!(answered(200, body, 5), Err(Failure::BadJson(_))), "{body}");
        }
        assert_eq!(answered(200, r#"{"places":[],"x":"AIza-secret"}"#, 5), Err(Failure::KeyEchoed));
    }

    #[test]
    fn queries_ask_for_the_nearest_in_the_circle() {
        let endpoint = Endpoint { url: None, key: Some(Key::new("AIza-secret").expect("a key")) };
        let query = Query { latitude_deg: 34.06893, longitude_deg: -118.445127, radius_m: 0.0, items: 0 };
        let request = request(&endpoint, &query).expect("a request");
        let body: serde_json::Value = serde_json::from_str(request.body()).expect("JSON");
        assert_eq!(body["locationRestriction"]["circle"]["center"]["latitude"], 34.06893);
        assert_eq!(body["locationRestriction"]["circle"]["radius"], 1);
        assert_eq!((&body["maxResultCount"], &body["rankPreference"]), (&1.into(), &"DISTANCE".into()));
        assert_eq!(request.headers()["x-goog-api-key"], "AIza-secret");
        assert!(!format!("{request:?}").contains("AIza-secret"));
        assert!(
            request.headers()["x-goog-fieldmask"].to_str().is_ok_and(|mask| mask.contains("places.location"))
        );
    }
}
