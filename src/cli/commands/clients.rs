//! `herd clients`: the clients that a node of this machine knows.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

use serde_json::Value;

use super::status;
use super::terminal::for_terminal;
use crate::cli::flags::parse::{ClientsOptions, Near};
use crate::cli::{Failure, write};
use crate::config::quoted;
use crate::places::file::nearest::EARTH_RADIUS_M;
use crate::server::client_id::encoded;
use crate::server::control::{BUSY, Request};

/// Prints the clients that match, as a table or as JSON.
pub(in crate::cli) fn run(options: &ClientsOptions, out: &mut dyn Write) -> Result<(), Failure> {
    let answer = status::answer(options.node.as_deref(), Request::Clients)?;
    let could_not = |why: String| Failure::CouldNotRun(format!("clients: {why}"));
    if answer == BUSY {
        return Err(could_not(
            "another reader takes the node's list slowly (try again in half a minute)".into(),
        ));
    }
    let all: Vec<Value> = serde_json::from_str(&answer)
        .map_err(|error| could_not(format!("the node's answer is cut or not valid: {error}")))?;
    let found: Vec<&Value> = all.iter().filter(|client| matches(client, options)).collect();
    let text = if options.json { json(&found) } else { table(&found) };
    write(out, &for_terminal(text.as_bytes(), std::io::stdout().is_terminal()))?;
    match &options.id {
        Some(id) if found.is_empty() => Err(could_not(format!("the node knows no client {}", quoted(id)))),
        _ => Ok(()),
    }
}

fn matches(client: &Value, options: &ClientsOptions) -> bool {
    // An id as it is printed, where some bytes are encoded, or as the client sent it.
    let is_id = |id: &str| client["id"] == id || client["id"] == *encoded(id.as_bytes());
    let has_id = options.id.as_deref().is_none_or(is_id);
    has_id && options.near.as_ref().is_none_or(|near| distance_km(client, near) <= near.radius_km)
}

/// The great-circle distance, by the haversine formula.
fn distance_km(client: &Value, near: &Near) -> f64 {
    let radians = |member: &str| client[member].as_f64().unwrap_or(0.0).to_radians();
    let (lat, lon) = (radians("latitude"), radians("longitude"));
    let (near_lat, near_lon) = (near.lat_deg.to_radians(), near.lon_deg.to_radians());
    let (up, across) = (((lat - near_lat) / 2.0).sin(), ((lon - near_lon) / 2.0).sin());
    let haversine = up * up + lat.cos() * near_lat.cos() * across * across;
    2.0 * EARTH_RADIUS_M / 1000.0 * haversine.min(1.0).sqrt().asin()
}

fn json(clients: &[&Value]) -> String {
    let lines: Vec<String> = clients.iter().map(ToString::to_string).collect();
    format!("[{}]\n", lines.join(",\n"))
}

fn table(clients: &[&Value]) -> String {
    let text = |client: &Value, member: &str| client[member].as_str().unwrap_or("").to_owned();
    let width = clients.iter().map(|client| text(client, "id").chars().count()).max().unwrap_or(0);
    let mut table = String::new();
    for client in clients {
        let place = |member: &str| client[member].as_f64().unwrap_or(0.0);
        let _ = writeln!(
            table,
            "{:width$}  {:+.6}{:+.6}  {:>6} ago  from {}",
            text(client, "id"),
            place("latitude"),
            place("longitude"),
            ago(client["age_s"].as_i64().unwrap_or(0)),
            text(client, "origin"),
        );
    }
    let _ = writeln!(table, "{} client{}", clients.len(), if clients.len() == 1 { "" } else { "s" });
    table
}

/// Seconds in the largest unit that they fill.
fn ago(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients() -> Vec<Value> {
        let text = r#"[{"id":"ann","latitude":34.06893,"longitude":-118.445127,"time":"1","skew":"+1","origin":"Hill","age_s":5},
            {"id":"bo","latitude":51.5,"longitude":0,"time":"1","skew":"+1","origin":"Smith","age_s":7300}]"#;
        serde_json::from_str(text).expect("JSON")
    }

    fn found(options: &ClientsOptions) -> Vec<String> {
        let clients = clients();
        let found = clients.iter().filter(|client| matches(client, options));
        found.map(|client| client["id"].as_str().expect("text").to_owned()).collect()
    }

    #[test]
    fn clients_are_chosen_by_id_and_by_distance() {
        let near = |lat_deg, lon_deg, radius_km| ClientsOptions {
            near: Some(Near { lat_deg, lon_deg, radius_km }),
            ..ClientsOptions::default()
        };
        assert_eq!(found(&ClientsOptions::default()), ["ann", "bo"]);
        assert_eq!(found(&ClientsOptions { id: Some("bo".into()), ..ClientsOptions::default() }), ["bo"]);
        // From UCLA to the sign of Hollywood it is 13.9 km.
        assert_eq!(found(&near(34.1341, -118.3215, 14.0)), ["ann"]);
        assert_eq!(found(&near(34.1341, -118.3215, 13.0)), [""; 0]);
        assert_eq!(found(&near(51.5, 0.0, 0.0)), ["bo"]);
    }

    #[test]
    fn an_id_is_found_as_printed_and_as_sent() {
        let client = serde_json::json!({ "id": "50%25" });
        for (id, is_found) in [("50%25", true), ("50%", true), ("50", false), ("50%2525", false)] {
            let options = ClientsOptions { id: Some(id.into()), ..ClientsOptions::default() };
            assert_eq!(matches(&client, &options), is_found, "{id}");
        }
    }

    #[test]
    fn a_table_is_for_people() {
        let clients = clients();
        assert_eq!(
            table(&clients.iter().collect::<Vec<_>>()),
            "ann  +34.068930-118.445127     5 s ago  from Hill\nbo   +51.500000+0.000000     2 h ago  from Smith\n2 clients\n"
        );
    }
}
