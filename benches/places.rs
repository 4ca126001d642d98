//! What places from elsewhere cost: heap of a cut, memory of TLS, and whether others notice a slow upstream.
//!
//! `cargo bench --bench places`. Real nodes as processes of their own, a real HTTP and HTTPS server on loopback. Memory is
//! `Anonymous` of `smaps_rollup`: what would have to be swapped out. Linux only.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use herd_test_support::upstream::tls::Ca;
use herd_test_support::upstream::{Act, Server, ok};
use herd_test_support::{Client, Herd, Measured};

/// One node whose map has this member `places`, and little in its environment but `environment`.
fn start(places: &str, environment: &[(&'static str, &'static str)]) -> Herd {
    let measured = Measured { environment: environment.to_vec(), ..Measured::default() };
    Herd::one().places(places).measured(measured).start()
}

/// An answer laid out as Google's, of 20 results and about 46 KB.
fn answer_of_46_kb() -> String {
    let mut text = "{\n   \"html_attributions\" : [],\n   \"next_page_token\" : \"".to_owned();
    text.push_str(&"Aap_uE".repeat(60));
    text.push_str("\",\n   \"results\" : [\n");
    for n in 0..20 {
        let comma = if n == 0 { "" } else { ",\n" };
        let _ = write!(
            text,
            "{comma}      {{\n         \"business_status\" : \"OPERATIONAL\",\n         \"geometry\" : {{\n            \"location\" : {{\n               \"lat\" : 34.06{n:02}930,\n               \"lng\" : -118.44{n:02}127\n            }}\n         }},\n         \"name\" : \"Caf\\u00e9 number {n}\",\n         \"photos\" : [\n            {{\n               \"height\" : 3024,\n               \"html_attributions\" : [ \"\\u003ca href=\\\"https://maps.example/contrib/{n}\\\"\\u003eA. Person\\u003c/a\\u003e\" ],\n               \"photo_reference\" : \"{}\",\n               \"width\" : 4032\n            }}\n         ],\n         \"place_id\" : \"ChIJ{n:023}\",\n         \"rating\" : 4.{},\n         \"types\" : [ \"cafe\", \"food\", \"point_of_interest\", \"establishment\" ],\n         \"vicinity\" : \"{n} Westwood Boulevard, Los Angeles\"\n      }}",
            "AUacShh3_Dd8yvV2JZMtNjjbbSbFhSv-0VmUN-uasQ2Oj00XB63irPTks0-A_1rMNfdTunoOVZfVOExRRBNrupUf8TY4Kw5iQNQgf2rwcaM8hXNQg7KDyvMR5B-HzoCE1mwy2ba9yxvmtiJrdV-xBgO8c5iJL65BCd0slyI1".repeat(9),
            n % 10,
        );
    }
    text.push_str("\n   ],\n   \"status\" : \"OK\"\n}\n");
    text
}

fn heap_of_a_cut() {
    let text = answer_of_46_kb();
    let mut body = text.as_bytes().to_vec();
    let cut = allocation_counter::measure(|| {
        herd::places::upstream::truncate::cut(&mut body, 5).expect("it is JSON");
    });
    let tree = allocation_counter::measure(|| {
        let value: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        std::hint::black_box(&value);
    });
    println!(
        "heap of a cut of {} bytes to 5 results, beyond the body: {} bytes (limit 4,096); a tree of values: {}",
        text.len(),
        cut.bytes_max,
        tree.bytes_max
    );
}

/// KB of a node that idles, after ten answers one by one, and after ten at once. It trusts the built-in roots or one CA.
fn memory(server: &Server, environment: &[(&'static str, &'static str)], ca: Option<&Ca>) -> [u64; 3] {
    let ca_file = ca.map_or_else(String::new, |ca| format!(", \"ca_file\": {:?}", ca.file()));
    let places = format!("{{ \"source\": \"google-legacy\", \"url\": {:?}{ca_file} }}", server.url());
    let herd = start(&places, environment);
    let node = &herd["Hill"];
    let mut client = Client::connect(node.clients);
    for n in 0..10 {
        client.ask(&format!("IAMAT c{n} +34.068930-118.44512{n} 1621464827.959498503"));
    }
    std::thread::sleep(Duration::from_secs(1));
    let idle = node.anonymous_kib();
    for n in 0..10 {
        client.ask(&format!("WHATSAT c{n} 10 20"));
        client.json();
    }
    let one_by_one = node.anonymous_kib();
    let mut clients: Vec<_> = (0..10).map(|_| Client::connect(node.clients)).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("WHATSAT c{n} 10 20\n"));
    }
    for client in &mut clients {
        client.line();
        client.json();
    }
    [idle, one_by_one, node.anonymous_kib()]
}

fn memory_of_tls() {
    let (ca, other) = (Ca::new(), Ca::new());
    let server = Server::start_tls(ok(answer_of_46_kb()), ca.server(2000, 4000));
    let one_arena = [("MALLOC_ARENA_MAX", "1")];
    // No server here has a certificate of the built-in roots: what they take more than one CA shows in a refusal.
    for (what, environment, trusted) in [
        ("ten HTTPS answers of 46 KB", &[][..], Some(&ca)),
        ("the same with MALLOC_ARENA_MAX=1", &one_arena[..], Some(&ca)),
        ("refused, another CA trusted", &[][..], Some(&other)),
        ("refused, the built-in roots trusted", &[][..], None),
    ] {
        let requests = server.seen().len();
        let runs: Vec<[u64; 3]> = (0..5).map(|_| memory(&server, environment, trusted)).collect();
        let is_good = trusted.is_some_and(|trusted| trusted.file() == ca.file());
        assert_eq!(server.seen().len() - requests, if is_good { 100 } else { 0 }, "answered, or refused");
        let more =
            |at: usize| -> Vec<u64> { runs.iter().map(|run| run[at].saturating_sub(run[0])).collect() };
        println!(
            "private memory, {what}: {:?} kB above the idle node's {} (limit 450); ten more at once: {:?}",
            more(1),
            runs[0][0],
            more(2)
        );
    }
}

/// Microseconds of 1,000 IAMATs, one after another.
fn iamats(client: &mut Client, from: usize) -> Vec<f64> {
    (from..from + 1_000)
        .map(|n| {
            let line = format!("IAMAT kiwi +34.068930-118.445127 {}", 1_600_000_000 + n);
            let begin = Instant::now();
            assert!(client.ask(&line).starts_with("AT "));
            begin.elapsed().as_secs_f64() * 1e6
        })
        .collect()
}

fn quantile(times: &mut [f64], percent: usize) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() * percent / 100]
}

fn iamats_beside_a_hanging_upstream() {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        let server = Server::start(Act::HangBeforeHead);
        let url = server.url();
        let places = format!("{{ \"source\": \"google-legacy\", \"url\": {url:?}, \"timeout_ms\": 60000 }}");
        let herd = start(&places, &[]);
        let node = &herd["Hill"];
        let mut client = Client::connect(node.clients);
        let mut waiting: Vec<_> = (0..30).map(|_| Client::connect(node.clients)).collect();
        for (n, client) in waiting.iter_mut().enumerate() {
            client.ask(&format!("IAMAT c{n} +34-118.{n:03} 1621464827"));
        }
        iamats(&mut client, 0);
        alone.extend(iamats(&mut client, 1_000));
        for (n, client) in waiting.iter_mut().enumerate() {
            client.send(format!("WHATSAT c{n} 10 5\n"));
        }
        while server.seen().len() < 8 {
            std::thread::sleep(Duration::from_millis(5));
        }
        beside.extend(iamats(&mut client, 2_000));
    }
    let [a50, a99] = [50, 99].map(|percent| quantile(&mut alone, percent));
    let [b50, b99] = [50, 99].map(|percent| quantile(&mut beside, percent));
    println!(
        "IAMATs while 30 WHATSATs hang upstream: p99 {b99:.0} us, undisturbed {a99:.0}: {:.2} times (limit 2); median {b50:.0}, undisturbed {a50:.0}",
        b99 / a99
    );
}

fn fifty_at_once() {
    let server = Server::start(Act::Late(Duration::from_millis(300), answer_of_46_kb().into()));
    let herd = start(&format!("{{ \"source\": \"google-legacy\", \"url\": {:?} }}", server.url()), &[]);
    let node = &herd["Hill"];
    let mut clients: Vec<_> = (0..50).map(|_| Client::connect(node.clients)).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.ask(&format!("IAMAT c{n} +34-118.{n:03} 1621464827"));
    }
    let begin = Instant::now();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("WHATSAT c{n} 10 5\n"));
    }
    let mut whole = 0;
    for client in &mut clients {
        client.line();
        whole += usize::from(client.json().contains("\"status\" : \"OK\""));
    }
    println!(
        "50 WHATSATs at once, upstream of 0.3 s: {whole} answered within {:.2} s (limit 3)",
        begin.elapsed().as_secs_f64()
    );
}

fn main() {
    heap_of_a_cut();
    memory_of_tls();
    iamats_beside_a_hanging_upstream();
    fifty_at_once();
}
