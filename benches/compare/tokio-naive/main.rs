//! The herd's protocol on tokio as one writes it at the first go: as many threads as cores, a task a connection, `BufReader::lines`,
//! strings, a `HashMap` behind a mutex, a broadcast channel to the neighbours.
//!
//! The benches measure it beside the node, as they measure each server of `benches/compare/rivals`. Like the rivals it answers
//! IAMAT, WHATSAT without places and everything else, and floods. It leaves out what a node needs: limits of any kind, keys,
//! ages, and repair after a link was down.

use std::collections::HashMap;
use std::env;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;

const NO_PLACES: &str = r#"{"html_attributions":[],"results":[],"status":"ZERO_RESULTS"}"#;
/// Between two tries to reach a neighbour.
const PAUSE: Duration = Duration::from_millis(100);
/// Changes that a slow neighbour may lag behind.
const CHANGES: usize = 1024;

struct Herd {
    name: String,
    /// Time and AT line of the newest update of each client.
    updates: Mutex<HashMap<String, (f64, String)>>,
    changes: broadcast::Sender<String>,
}

impl Herd {
    /// Keeps an update if it is news, and tells the neighbours.
    fn hear(&self, client: &str, time: f64, at_line: &str) {
        let mut updates = self.updates.lock().expect("no thread panics with the lock");
        if updates.get(client).is_none_or(|(known, _)| time > *known) {
            updates.insert(client.to_owned(), (time, at_line.to_owned()));
            let _ = self.changes.send(at_line.to_owned());
        }
    }

    fn answer(&self, line: &str) -> String {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let answer = match fields[..] {
            ["IAMAT", client, position, time] => self.iamat(client, position, time),
            ["WHATSAT", client, radius, items] => self.whatsat(client, radius, items),
            _ => None,
        };
        answer.unwrap_or_else(|| format!("? {line}\n"))
    }

    fn iamat(&self, client: &str, position: &str, time: &str) -> Option<String> {
        let longitude = position.get(1..)?.find(['+', '-'])? + 1;
        let (latitude, longitude) = position.split_at(longitude);
        let (latitude, longitude): (f64, f64) = (latitude.parse().ok()?, longitude.parse().ok()?);
        let seconds: f64 = time.parse().ok()?;
        if latitude.abs() > 90.0 || longitude.abs() > 180.0 {
            return None;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs_f64();
        let at_line = format!("AT {} {:+.9} {client} {position} {time}", self.name, now - seconds);
        self.hear(client, seconds, &at_line);
        Some(at_line + "\n")
    }

    fn whatsat(&self, client: &str, radius: &str, items: &str) -> Option<String> {
        let (radius, items): (f64, u32) = (radius.parse().ok()?, items.parse().ok()?);
        if !(0.0..=50.0).contains(&radius) || items > 20 {
            return None;
        }
        let updates = self.updates.lock().expect("no thread panics with the lock");
        updates.get(client).map(|(_, at_line)| format!("{at_line}\n{NO_PLACES}\n\n"))
    }
}

async fn serve_client(herd: Arc<Herd>, mut stream: TcpStream) -> std::io::Result<()> {
    let (input, mut output) = stream.split();
    let mut lines = BufReader::new(input).lines();
    while let Some(line) = lines.next_line().await? {
        output.write_all(herd.answer(&line).as_bytes()).await?;
    }
    Ok(())
}

async fn hear_neighbour(herd: Arc<Herd>, stream: TcpStream) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    while let Some(line) = lines.next_line().await? {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let ["AT", _, _, client, _, time] = fields[..]
            && let Ok(time) = time.parse()
        {
            herd.hear(client, time, &line);
        }
    }
    Ok(())
}

async fn tell_neighbour(herd: Arc<Herd>, address: String) {
    let mut changes = herd.changes.subscribe();
    loop {
        let Ok(mut stream) = TcpStream::connect(&address).await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        while let Ok(line) = changes.recv().await {
            if stream.write_all(format!("{line}\n").as_bytes()).await.is_err() {
                break;
            }
        }
    }
}

fn main() {
    // What `#[tokio::main]` stands for.
    tokio::runtime::Runtime::new().expect("threads can be started").block_on(run());
}

async fn run() {
    let args: Vec<String> = env::args().collect();
    let [_, serve, name, flag, map] = &args[..] else {
        panic!("usage: herd-tokio-naive serve NAME --config FILE")
    };
    assert_eq!((serve.as_str(), flag.as_str()), ("serve", "--config"), "usage: serve NAME --config FILE");
    let map: Value =
        serde_json::from_str(&std::fs::read_to_string(map).expect("a configuration")).expect("JSON");
    let address = |node: &str, member: &str| {
        map["nodes"][node][member].as_str().expect("an address in the configuration").to_owned()
    };
    let updates = Mutex::new(HashMap::new());
    let herd = Arc::new(Herd { name: name.clone(), updates, changes: broadcast::channel(CHANGES).0 });
    for edge in map["edges"].as_array().expect("edges in the configuration") {
        let ends = [edge[0].as_str(), edge[1].as_str()].map(|end| end.expect("a node's name"));
        if let Some(me) = ends.iter().position(|end| end == name) {
            tokio::spawn(tell_neighbour(herd.clone(), address(ends[1 - me], "links")));
        }
    }
    let links = TcpListener::bind(address(name, "links")).await.expect("a free address");
    let neighbours = herd.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = links.accept().await {
            tokio::spawn(hear_neighbour(neighbours.clone(), stream));
        }
    });
    let clients = TcpListener::bind(address(name, "clients")).await.expect("a free address");
    while let Ok((stream, _)) = clients.accept().await {
        tokio::spawn(serve_client(herd.clone(), stream));
    }
}
