//! Google's legacy Nearby Search: a GET whose answer is forwarded unchanged.
//!
//! This module knows the service's address, its query and its answers, but not the transport.

use crate::percent;
use crate::places::Query;
use crate::places::settings::Endpoint;
use crate::places::upstream::failure::{Failure, words};
use crate::places::upstream::http::Response;
use crate::places::upstream::refusal::{Refusal, echoes_key, error_words, of_http};
use crate::places::upstream::truncate::{Reply, cut};
use ureq::http::Request;

/// Google's address.
pub(crate) const URL: &str = "https://maps.googleapis.com/maps/api/place/nearbysearch/json";

/// The request for `query`: location, radius in metres, key.
pub(crate) fn request(endpoint: &Endpoint, query: &Query) -> Result<Request<()>, Failure> {
    let url = endpoint.url.as_deref().unwrap_or(URL);
    let joint = match url.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, query)) if query.ends_with('&') => "",
        Some(_) => "&",
    };
    // A positive number has no sign: in a query, `+` means a space.
    let location = format!("{},{}", degrees(query.latitude_deg), degrees(query.longitude_deg));
    let mut address = format!("{url}{joint}location={location}&radius={}", metres(query.radius_m));
    if let Some(key) = &endpoint.key {
        address.push_str("&key=");
        address.push_str(&percent::encoded(key.expose().as_bytes(), percent::is_unreserved));
    }
    Request::get(address).body(()).map_err(|_| Failure::Setting("places.url is not an address".to_owned()))
}

/// The answer in `response`, truncated to `items`, or the reason for a refusal.
pub(crate) fn read(response: Response, endpoint: &Endpoint, items: usize) -> Result<Vec<u8>, Refusal> {
    let Response { status, mut body, is_packed } = response;
    if echoes_key(endpoint, &body) {
        return Err(Failure::KeyEchoed.into());
    }
    let reply = match cut(&mut body, items) {
        Err(_) if status != 200 => return Err(of_http(status, String::new()).into()),
        Err(_) if is_packed => {
            return Err(Failure::BadJson("it is compressed, which was not asked for".to_owned()).into());
        }
        Err(why) => return Err(Failure::BadJson(why.to_owned()).into()),
        Ok(reply) => reply,
    };
    let Reply { status: word, error_message, has_results } = reply;
    let reason = error_message.map_or_else(|| error_words(&body), |message| words(&message));
    let failing = word.filter(|word| !matches!(word.as_str(), "OK" | "ZERO_RESULTS"));
    match failing {
        None if status != 200 => Err(of_http(status, reason).into()),
        None if !has_results => Err(Failure::BadJson("it has no results".to_owned()).into()),
        None => Ok(body),
        Some(word) => {
            // The client gets the upstream's own text if the text has the right shape.
            let text = (status == 200 && has_results).then_some(body);
            Err(Refusal { failure: of_status(&word, reason), status: Some(word), text })
        }
    }
}

fn of_status(status: &str, reason: String) -> Failure {
    match status {
        "REQUEST_DENIED" => Failure::KeyRefused(reason),
        "OVER_QUERY_LIMIT" | "OVER_DAILY_LIMIT" => Failure::Quota(reason),
        "INVALID_REQUEST" | "NOT_FOUND" => Failure::Refused(reason),
        _ => Failure::Upstream(reason),
    }
}

/// Plain decimal with at least six decimals, as clients write positions. A number with more decimals shows all of them.
pub(crate) fn degrees(degrees: f64) -> String {
    // The addition turns -0.0 into 0.
    let shortest = format!("{}", degrees + 0.0);
    let decimals = shortest.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if decimals >= 6 { shortest } else { format!("{:.6}", degrees + 0.0) }
}

/// Plain decimal to the millimetre. A conversion from kilometres has a rounding error in its last bit.
pub(crate) fn metres(metres: f64) -> String {
    let text = format!("{metres:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Key;

    const QUERY: Query =
        Query { latitude_deg: 34.06893, longitude_deg: -118.445127, radius_m: 10_000.0, items: 5 };

    fn address(url: Option<&str>, key: Option<&str>) -> String {
        let key = key.map(|key| Key::new(key).expect("a key"));
        let endpoint = Endpoint { url: url.map(str::to_owned), key };
        request(&endpoint, &QUERY).expect("an address").uri().to_string()
    }

    #[test]
    fn addresses_hold_location_radius_and_key() {
        let tail = "location=34.068930,-118.445127&radius=10000";
        assert_eq!(address(None, Some("AIza-secret")), format!("{URL}?{tail}&key=AIza-secret"));
        assert_eq!(address(Some("http://h/p"), None), format!("http://h/p?{tail}"));
        assert_eq!(address(Some("http://h/p?"), None), format!("http://h/p?{tail}"));
        assert_eq!(address(Some("http://h/p?a=b"), None), format!("http://h/p?a=b&{tail}"));
        assert_eq!(address(Some("http://h/p?a=b&"), None), format!("http://h/p?a=b&{tail}"));
        assert_eq!(
            address(Some("http://h/p"), Some("a&b=c+d%e")),
            format!("http://h/p?{tail}&key=a%26b%3Dc%2Bd%25e")
        );
    }

    #[test]
    fn numbers_are_plain() {
        for (number, text) in [
            (34.06893, "34.068930"),
            (0.0, "0.000000"),
            (-0.0, "0.000000"),
            (90.0, "90.000000"),
            (-0.000_000_1, "-0.0000001"),
            (33.123_456_789_012_3, "33.1234567890123"),
        ] {
            assert_eq!(degrees(number), text);
        }
        for (number, text) in
            [(0.0, "0"), (50_000.0, "50000"), (1_234.5, "1234.5"), (0.3 * 1000.0, "300"), (7.0004, "7")]
        {
            assert_eq!(metres(number), text);
        }
    }

    fn answered(status: u16, body: &str) -> Result<String, Refusal> {
        let endpoint = Endpoint { url: None, key: Some(Key::new("AIza-secret").expect("a key")) };
        let response = Response { status, body: body.into(), is_packed: false };
        read(response, &endpoint, 1).map(|body| String::from_utf8(body).expect("UTF-8"))
    }

    #[test]
    fn answers_and_refusals_differ() {
        let ok = r#"{"results" : [ {"a":1.10}, 2 ],"status" : "OK"}"#;
        assert_eq!(answered(200, ok).expect("an answer"), r#"{"results" : [ {"a":1.10} ],"status" : "OK"}"#);
        assert!(answered(200, r#"{"results":[]}"#).is_ok());
        let denied = r#"{"error_message":"bad key","results":[],"status":"REQUEST_DENIED"}"#;
        let failing = |status: u16, body: &str| answered(status, body).expect_err("no answer");
        let refusal = failing(200, denied);
        assert_eq!(refusal.failure, Failure::KeyRefused("bad key".to_owned()));
        assert_eq!(refusal.text.as_deref(), Some(denied.as_bytes()));
        let refusal = failing(403, denied);
        assert_eq!((refusal.status.as_deref(), refusal.text), (Some("REQUEST_DENIED"), None));
        let refusal = failing(200, r#"{"status":"OVER_QUERY_LIMIT"}"#);
        assert_eq!((refusal.failure, refusal.text), (Failure::Quota(String::new()), None));
        let google = r#"{"error":{"code":403,"message":"Forbidden\nhere","status":"X"}}"#;
        assert_eq!(failing(403, google).failure, Failure::KeyRefused("Forbidden here".to_owned()));
        assert_eq!(failing(500, "<html>").failure, Failure::Status(500));
        assert_eq!(failing(302, "").failure, Failure::Redirect(302));
        assert!(matches!(failing(200, "{}").failure, Failure::BadJson(_)));
        assert!(matches!(failing(200, "<html>").failure, Failure::BadJson(_)));
        assert_eq!(failing(200, r#"{"results":["?key=AIza-secret"]}"#).failure, Failure::KeyEchoed);
    }
}
