//! The dashboard for Grafana shows what a node exports: every family of it, and nothing else.

use std::collections::BTreeSet;

use herd::places;
use herd::proto::counters::Counters;
use herd::proto::pace::Received;
use herd::server::counters::Refusals;
use herd::server::metrics;
use herd::server::snapshot::record::{Health, LastWritten};
use herd::server::status::{Link, RuntimeStats, Status};
use serde_json::Value;

/// Columns of a dashboard.
const COLUMNS: u64 = 24;
/// What expressions consist of beside metrics: functions and words of PromQL, and labels.
const WORDS: &str = "format reason command sum max count rate increase by on group_left job instance node __rate_interval label_values";

fn dashboard() -> Value {
    serde_json::from_str(include_str!("../../cross/package/grafana.json")).expect("it is JSON")
}

fn panels(dashboard: &Value) -> &Vec<Value> {
    dashboard["panels"].as_array().expect("a list")
}

/// A node of which all is known that can be.
fn status() -> Status {
    let link = Link {
        node: "Smith".to_owned(),
        is_up: true,
        is_encrypted: true,
        for_ms: Some(1),
        is_in_sync: true,
        equal_ago_ms: Some(1),
        pending: 0,
        round_trip_ms: Some(1),
        received: Received::default(),
        dials_in_ms: None,
        name_in_use_at: None,
        last_error: None,
    };
    let last = LastWritten { ago_ms: 1, entries: 1, bytes: 1, took_ms: 1 };
    Status {
        node: "Hill".to_owned(),
        file: "herd.json".to_owned(),
        up_ms: 1,
        clock_is_trusted: true,
        links: vec![link],
        entries: (1, 4096),
        evicted: 0,
        oldest_s: Some(1),
        floor_ns: Some(1),
        places: places::Health {
            source: "offline",
            waiting: 0,
            queue_max: 64,
            workers: 0,
            paused_s: None,
            last_failure: None,
            counters: places::Counters::default(),
        },
        snapshot: Some(Health { between_s: 300, last: Some(last), ..Health::default() }),
        private_kb: Some(1),
        counters: Counters::new().each().chain(Refusals::default().each()).collect(),
        stats: RuntimeStats::default(),
    }
}

/// The samples of each family that a node exports, by their names.
fn exported() -> BTreeSet<String> {
    let text = metrics::text(&status(), metrics::Format::OpenMetrics);
    let mut samples = BTreeSet::new();
    let mut families = 0;
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(_) => families += 1,
            None if line.starts_with('#') => {}
            None => _ = samples.insert(line.split(['{', ' ']).next().expect("a name").to_owned()),
        }
    }
    assert_eq!(samples.len(), families, "each family has a sample here, all of one name");
    samples
}

/// The names in an expression: not numbers, and not what stands in quotes.
fn names(expression: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut names = BTreeSet::new();
    for (index, part) in expression.split('"').enumerate() {
        let is_quoted = index % 2 == 1;
        for word in part.split(|c: char| !is_of_name(c)) {
            let is_name = word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if is_name && !is_quoted {
                names.insert(word.to_owned());
            }
        }
    }
    names
}

/// All expressions, also of variables.
fn expressions(dashboard: &Value) -> Vec<String> {
    let targets =
        panels(dashboard).iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let of_targets = targets.map(|target| target["expr"].as_str().expect("each target has one").to_owned());
    let variables = dashboard["templating"]["list"].as_array().expect("a list").iter();
    let of_variables =
        variables.filter_map(|variable| variable["query"]["query"].as_str().map(str::to_owned));
    of_targets.chain(of_variables).collect()
}

#[test]
fn all_metrics_shown() {
    let (exported, mut shown) = (exported(), BTreeSet::new());
    for expression in expressions(&dashboard()) {
        let names = names(&expression);
        assert!(names.iter().any(|name| exported.contains(name)), "{expression} shows nothing");
        for name in names {
            assert!(
                exported.contains(&name) || WORDS.split(' ').any(|word| word == name),
                "{name} in {expression}"
            );
            shown.insert(name);
        }
    }
    let missing: Vec<&String> = exported.iter().filter(|name| !shown.contains(*name)).collect();
    assert!(missing.is_empty(), "shown nowhere: {missing:?}");
}

#[test]
fn counters_as_rates() {
    for expression in expressions(&dashboard()) {
        // A rate of several metrics at once is an error: without their names they are one.
        assert!(!expression.contains("__name__"), "{expression}");
        let has_counter = names(&expression).iter().any(|name| name.ends_with("_total"));
        let is_rate = expression.contains("rate(") || expression.contains("increase(");
        assert_eq!(has_counter, is_rate, "{expression}");
    }
}

#[test]
fn panel_layout() {
    let dashboard = dashboard();
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels(&dashboard) {
        let id = panel["id"].as_u64().expect("a number");
        assert!(id > 0 && ids.insert(id), "{id} twice");
        let title =
            panel["title"].as_str().filter(|title| !title.is_empty()).expect("each panel has a title");
        let [x, y, w, h] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
        assert!(w > 0 && h > 0 && x + w <= COLUMNS, "{title}");
        for column in x..x + w {
            for line in y..y + h {
                assert!(taken.insert((column, line)), "{title} lies upon another");
            }
        }
    }
    // No line is left empty: Grafana would move up what stands below.
    let lines = taken.iter().map(|(_, line)| line + 1).max().expect("there are panels");
    assert!((0..lines).all(|line| (0..COLUMNS).any(|column| taken.contains(&(column, line)))));
}

#[test]
fn data_source() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().expect("a list");
    let source = variables.iter().find(|variable| variable["name"] == "DS_PROMETHEUS").expect("a variable");
    assert_eq!((&source["type"], &source["query"]), (&"datasource".into(), &"prometheus".into()));
    for panel in panels(&dashboard) {
        let title = &panel["title"];
        if panel["type"] == "row" {
            assert!(panel["targets"].is_null(), "{title}");
            continue;
        }
        let targets = panel["targets"].as_array().expect("a list");
        let mut letters = BTreeSet::new();
        for with_source in targets.iter().chain([panel]) {
            assert_eq!(with_source["datasource"]["uid"], "${DS_PROMETHEUS}", "{title}");
            assert_eq!(with_source["datasource"]["type"], "prometheus", "{title}");
        }
        for target in targets {
            assert!(letters.insert(target["refId"].as_str().expect("a letter")), "{title}");
        }
        assert!(!targets.is_empty(), "{title}");
    }
    // An id would be another's in another Grafana.
    assert!(dashboard["id"].is_null() && dashboard["uid"] == "herd");
}

/// The rules are checked for their form by promtool in CI.
#[test]
fn alert_rules() {
    let rules = include_str!("../../cross/package/alerts.yml");
    let exported = exported();
    let words = rules.lines().filter(|line| line.trim_start().starts_with("expr:")).flat_map(|line| {
        line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| word.starts_with("herd_"))
    });
    let asked: BTreeSet<&str> = words.collect();
    assert!(asked.len() >= 6, "{asked:?}");
    for name in asked {
        assert!(exported.contains(name), "no node exports {name}");
    }
    for label in rules.split("$labels.").skip(1) {
        assert!(label.starts_with("instance ") || label.starts_with("neighbour "), "{}", &label[..20]);
    }
}
