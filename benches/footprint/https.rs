//! What ten answers of a place service over TLS leave behind in a node.

use std::time::Duration;

use crate::client::Client;
use crate::process::{Map, Node};
use crate::programs::Program;
use crate::rows::Table;
use herd_test_support::upstream::tls::Ca;
use herd_test_support::upstream::{Server, ok};

/// Bytes of an answer of Google's, about.
const ANSWER_BYTES: usize = 46_000;
const ANSWERS: usize = 10;
const REST: Duration = Duration::from_millis(700);

/// A service that answers each query with as much as Google does.
pub(crate) struct Service {
    ca: Ca,
    server: Server,
}

impl Service {
    pub(crate) fn start() -> Service {
        let ca = Ca::new();
        let place = r#"{"name":"Café","place_id":"ChIJ","geometry":{"location":{"lat":34.06893,"lng":-118.445127}},"types":["cafe","food"]}"#;
        let places = [place].repeat(ANSWER_BYTES / place.len()).join(",\n");
        let answer = format!(r#"{{"html_attributions":[],"results":[{places}],"status":"OK"}}"#);
        let server = Server::start_tls(ok(answer), ca.server(2000, 4000));
        Service { ca, server }
    }

    pub(crate) fn measure(&self, program: &Program, which: usize, table: &mut Table) {
        let places = format!(
            r#", "places": {{ "source": "google-legacy", "url": {:?}, "ca_file": {:?} }}"#,
            self.server.url(),
            self.ca.file()
        );
        let map = Map::of(1, &places);
        let node = Node::start(program, &map, 0, &[]);
        Node::wait_for(map.clients[0]);
        let mut client = Client::connect(map.clients[0], program.dialect);
        client.update(0..ANSWERS, 1);
        std::thread::sleep(REST);
        let asked = self.server.seen().len();
        for id in 0..ANSWERS {
            client.what_is_at(&format!("client-{id:05}.example.org"), 10, 20);
        }
        assert!(self.server.seen().len() > asked, "{}: the service was not asked", program.name);
        table.add(which, "after ten HTTPS answers, private memory", "KB", node.anonymous() / 1024.0);
    }
}
