//! The towns of a rectangle, for the map of the page.

use super::send_list::list_turn;
use super::{HTTP_MS_MAX, JSON, page, refusal};
use crate::places::file::towns::{Rectangle, Town};
use crate::server::answer::answer_of;
use crate::server::json::Json;
use crate::server::shared::{NodeRuntime, Server};

/// The answer to `/towns`. It has a turn as a list of all clients does, as it reads the places file.
pub(super) async fn towns<R: NodeRuntime>(
    server: &'static Server<R>,
    area: Rectangle,
    is_head: bool,
) -> String {
    let turn = server.in_time(HTTP_MS_MAX, async { Ok(list_turn(server).await) }).await;
    let Ok(_turn) = turn else { return refusal(429) };
    // A node without a places file, or with one that cannot be read, has no towns.
    let answer = answer_of(|done| {
        server.driver.ask_towns(area, move |towns| done(towns.map_or(Vec::new(), json)));
    });
    match String::from_utf8(answer.await.unwrap_or_default()) {
        Ok(json) if !json.is_empty() => page(JSON, &json, is_head),
        _ => refusal(404),
    }
}

fn json(towns: Vec<Town>) -> Vec<u8> {
    let mut json = Json::default();
    json.open("towns", '[');
    for Town { name, latitude_udeg, longitude_udeg } in towns {
        json.open("", '{');
        json.text("name", &name);
        json.number("lat", Some(f64::from(latitude_udeg) / 1e6));
        json.number("lon", Some(f64::from(longitude_udeg) / 1e6));
        json.close('}');
    }
    json.close(']');
    json.finish().into_bytes()
}
