//! `herd token`: the tokens of pages and of phones, and links that set apps up.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cli::flags::parse::{PhoneApp, TokenOptions};
use crate::config::{Checked, Keys};
use crate::percent;
use crate::proto::auth;
use crate::server::json::Json;
use crate::server::token::Token;

/// What the command prints.
///
/// # Errors
/// A message: the herd has no key, or a QR code cannot be made.
pub(in crate::cli) fn text(checked: &Checked, options: &TokenOptions) -> Result<String, String> {
    let without_key = "the configuration has no key_file, so only this machine can reach the pages and report, without a token";
    let keys = checked.keys.as_ref().ok_or(without_key)?;
    let Some(name) = &options.phone else {
        return Ok(page(keys).map(|token| format!("{token}\n")).unwrap_or_default());
    };
    if !cfg!(feature = "phones") {
        return Err(
            "this build takes no reports of phones (use a build with the feature \"phones\")".to_owned()
        );
    }
    let number = checked.settings.phones.number(name.as_bytes());
    if number == 0 {
        return Err(format!("phone_tokens forbids {name} (give it a number above 0)"));
    }
    let token = Token::of_phone(&keys_of(keys), name.as_bytes(), number)[0].to_string();
    let Some(url) = &options.url else { return Ok(format!("{token}\n")) };
    let mut text = format!("{:10} {token}\n", "token");
    for (app, link) in links(name, &token, url.trim_end_matches('/')) {
        let _ = writeln!(text, "{:10} {link}", app.name());
        if options.qr == Some(app) {
            text.push_str(&qr(&link)?);
        }
    }
    Ok(text)
}

/// The token that opens the pages of nodes that have these keys.
pub(in crate::cli) fn page(keys: &Keys) -> Option<Token> {
    Token::of_page(&keys_of(keys)).next()
}

fn keys_of(keys: &Keys) -> auth::Keys {
    auth::Keys::new(keys.current, keys.previous)
}

/// For each app what sets it up: a link that it opens, or the address that its user enters.
fn links(name: &str, token: &str, url: &str) -> [(PhoneApp, String); 5] {
    let mut owntracks = Json::default();
    owntracks.text("_type", "configuration");
    // HTTP.
    owntracks.number("mode", Some(3));
    owntracks.text("url", url);
    owntracks.flag("auth", true);
    owntracks.text("username", name);
    owntracks.text("password", token);
    let owntracks = STANDARD.encode(owntracks.finish().trim_end());
    let (to, id) = (encoded(&format!("{url}/{token}")), encoded(name));
    [
        (PhoneApp::OwnTracks, format!("owntracks:///config?inline={}", encoded(&owntracks))),
        (PhoneApp::Traccar, format!("org.traccar.client://config?url={to}&id={id}")),
        (PhoneApp::Overland, format!("overland://setup?url={}&token={token}&device_id={id}", encoded(url))),
        (PhoneApp::OsmAnd, format!("{url}/{token}?id={id}&lat={{0}}&lon={{1}}&timestamp={{2}}")),
        (PhoneApp::GpsLogger, format!("{url}/{token}?id={id}&%ALL")),
    ]
}

/// A value in the query of a link.
fn encoded(value: &str) -> String {
    percent::encoded(value.as_bytes(), percent::is_unreserved)
}

/// A link as a QR code for a terminal.
#[cfg(feature = "qr")]
fn qr(link: &str) -> Result<String, String> {
    use qrcode::QrCode;
    use qrcode::render::unicode::Dense1x2;

    let code = QrCode::new(link).map_err(|error| format!("a QR code cannot hold the link: {error}"))?;
    // Dark on light, as readers expect, on a terminal that is dark.
    let image = code.render::<Dense1x2>().dark_color(Dense1x2::Dark).light_color(Dense1x2::Light).build();
    Ok(image + "\n")
}

#[cfg(not(feature = "qr"))]
fn qr(_: &str) -> Result<String, String> {
    Err("this build makes no QR codes (build herd with the feature \"qr\", as a PC's build has it)"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a member of a query, decoded as apps do.
    fn member(link: &str, name: &str) -> String {
        let (_, query) = link.split_once('?').expect("a query");
        let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
        let value = pair.unwrap_or_else(|| panic!("{name} in {link}"));
        let bytes = crate::server::client_id::decoded(value.as_bytes()).expect("it is encoded");
        String::from_utf8(bytes.into_owned()).expect("UTF-8")
    }

    #[test]
    fn each_app_finds_its_settings_in_its_link() {
        let [owntracks, traccar, overland, osmand, gpslogger] =
            links("ann&co/+?", "aaaa-bbbb-cccc-dddd", "https://hill.example:5055").map(|(_, link)| link);
        assert!(owntracks.starts_with("owntracks:///config?inline="), "{owntracks}");
        let json = STANDARD.decode(member(&owntracks, "inline")).expect("base 64");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let expected = serde_json::json!({
            "_type": "configuration", "mode": 3, "url": "https://hill.example:5055", "auth": true,
            "username": "ann&co/+?", "password": "aaaa-bbbb-cccc-dddd",
        });
        assert_eq!(json, expected);
        assert!(traccar.starts_with("org.traccar.client://config?"), "{traccar}");
        assert_eq!(member(&traccar, "url"), "https://hill.example:5055/aaaa-bbbb-cccc-dddd");
        assert_eq!(member(&traccar, "id"), "ann&co/+?");
        assert!(overland.starts_with("overland://setup?"), "{overland}");
        assert_eq!(member(&overland, "url"), "https://hill.example:5055");
        assert_eq!(member(&overland, "token"), "aaaa-bbbb-cccc-dddd");
        assert_eq!(member(&overland, "device_id"), "ann&co/+?");
        let start = "https://hill.example:5055/aaaa-bbbb-cccc-dddd?id=ann%26co%2F%2B%3F&";
        assert_eq!(osmand, format!("{start}lat={{0}}&lon={{1}}&timestamp={{2}}"));
        assert_eq!(gpslogger, format!("{start}%ALL"));
    }

    #[cfg(feature = "qr")]
    #[test]
    fn a_code_is_a_square_of_blocks() {
        let code = qr("org.traccar.client://config?url=a&id=b").expect("it fits");
        let lines: Vec<usize> = code.lines().map(|line| line.chars().count()).collect();
        assert!(lines.len() > 10 && lines.iter().all(|&line| line == lines[0]), "{code}");
        assert!(lines[0].abs_diff(2 * lines.len()) <= 1, "{code}");
    }
}
