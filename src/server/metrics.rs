//! A node's figures for a monitoring system: OpenMetrics text, version 1.0.0, of what `herd status` shows.
//!
//! Names by Prometheus' conventions: base units in the name, `_total` for what only grows. No position and no client's id is
//! among the labels.

use std::fmt::{Display, Write as _};

use super::counters::Refusals;
use super::status::Status;
use crate::proto::counters::Counters;

/// What the answer is called in HTTP.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text for a node that is so.
#[must_use]
pub fn text(status: &Status) -> String {
    let mut text = Text::default();
    let version = env!("CARGO_PKG_VERSION");
    text.family("herd_build", "info", "The node and its release.");
    text.sample("herd_build_info", &[("node", &status.node), ("version", version)], 1);
    text.gauge("herd_uptime_seconds", "Since the node started.", seconds(status.up_ms));
    text.gauge(
        "herd_clock_trusted",
        "Whether the wall clock is known to be right.",
        u8::from(status.clock_is_trusted),
    );
    links(&mut text, status);
    let (entries, capacity) = status.entries;
    text.gauge("herd_table_entries", "Clients that the node remembers.", entries);
    text.gauge("herd_table_capacity_entries", "Clients that it can remember.", capacity);
    if let Some(oldest_s) = status.oldest_s {
        text.gauge("herd_table_oldest_age_seconds", "Since the oldest entry was heard.", oldest_s);
    }
    text.counter("herd_table_evicted", "Entries that gave way to newer ones.", status.evicted);
    let facts = &status.facts;
    text.gauge("herd_clients", "Clients connected.", facts.clients);
    text.gauge("herd_clients_max", "Clients that may be connected.", facts.clients_max);
    text.counter("herd_clients_pushed_out", "Clients closed for a newcomer.", facts.clients_pushed_out);
    text.counter("herd_clients_unread", "Clients closed because they did not read.", facts.unread_refused);
    text.counter("herd_http_answered", "Requests over HTTP that were answered.", facts.http_answered);
    text.counter(
        "herd_http_denied",
        "Requests without the herd's token, or by a foreign name.",
        facts.http_denied,
    );
    text.counter("herd_http_refused", "Requests that made no sense.", facts.http_refused);
    text.gauge("herd_watchers", "Those who watch the node.", facts.watchers);
    text.counter("herd_watchers_lost", "Watchers that fell too far behind.", facts.watchers_lost);
    text.counter("herd_watchers_refused", "Watchers that there was no room for.", facts.watchers_refused);
    text.counter("herd_log_lines_lost", "Lines of the log that nobody had room for.", facts.log_lines_lost);
    if let Some(kb) = status.private_kb {
        text.gauge("herd_memory_private_bytes", "Memory that the process shares with no other.", kb * 1024);
    }
    places(&mut text, status);
    snapshot(&mut text, status);
    let described = Counters::described().chain(Refusals::described());
    for ((name, value), (_, help)) in status.counters.iter().zip(described) {
        text.counter(&format!("herd_{name}"), help, value);
    }
    text.0 + "# EOF\n"
}

fn links(text: &mut Text, status: &Status) {
    let links = || status.links.iter();
    text.family("herd_link_up", "gauge", "Whether the link to the neighbour is up.");
    for link in links() {
        text.sample("herd_link_up", &[("neighbour", &link.node)], u8::from(link.is_up));
    }
    text.family(
        "herd_link_in_step",
        "gauge",
        "Whether both ends held the same when they last compared, with nothing left unsaid since.",
    );
    for link in links() {
        text.sample("herd_link_in_step", &[("neighbour", &link.node)], u8::from(link.is_in_step));
    }
    text.family(
        "herd_link_name_in_use",
        "gauge",
        "Whether two boards were seen to use the neighbour's name within the last ten minutes.",
    );
    for link in links() {
        let is_in_use = u8::from(link.name_in_use_at.is_some());
        text.sample("herd_link_name_in_use", &[("neighbour", &link.node)], is_in_use);
    }
    text.family("herd_link_owed_reports", "gauge", "Reports that are still to be sent to the neighbour.");
    for link in links() {
        text.sample("herd_link_owed_reports", &[("neighbour", &link.node)], link.owed);
    }
    text.family(
        "herd_link_equal_age_seconds",
        "gauge",
        "Since both ends last found that they held the same.",
    );
    for (link, ms) in links().filter_map(|link| Some((link, link.equal_ago_ms?))) {
        text.sample("herd_link_equal_age_seconds", &[("neighbour", &link.node)], seconds(ms));
    }
    text.family("herd_link_round_trip_seconds", "gauge", "Of the last ping; the dialling end alone has it.");
    for (link, ms) in links().filter_map(|link| Some((link, link.round_trip_ms?))) {
        text.sample("herd_link_round_trip_seconds", &[("neighbour", &link.node)], seconds(ms));
    }
}

fn places(text: &mut Text, status: &Status) {
    let places = &status.places;
    text.gauge("herd_places_waiting_queries", "Queries that wait for places.", places.waiting);
    text.gauge("herd_places_workers", "Threads that ask for places.", places.workers);
    text.gauge(
        "herd_places_paused",
        "Whether the upstream is left alone after failures.",
        u8::from(places.paused_s.is_some()),
    );
    for (name, value) in places.counters.each() {
        let help = format!("Queries for places: {}.", name.replace('_', " "));
        text.counter(&format!("herd_places_{name}"), &help, value);
    }
}

fn snapshot(text: &mut Text, status: &Status) {
    let Some(snapshot) = &status.snapshot else { return };
    text.counter("herd_snapshot_written", "Snapshots of the table that were written.", snapshot.written);
    text.counter("herd_snapshot_failed", "Snapshots of the table that could not be.", snapshot.failed);
    let Some(last) = &snapshot.last else { return };
    let age = "Since the last snapshot was written.";
    text.gauge("herd_snapshot_age_seconds", age, seconds(last.ago_ms));
    text.gauge("herd_snapshot_entries", "Clients in the last snapshot.", last.entries);
    text.gauge("herd_snapshot_size_bytes", "Length of the last snapshot.", last.bytes);
    let took = "How long the last snapshot took until it was on the disk.";
    text.gauge("herd_snapshot_duration_seconds", took, seconds(last.took_ms));
}

/// Milliseconds as seconds, exactly.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if let Some((_, unit)) = name.rsplit_once('_').filter(|(_, unit)| ["seconds", "bytes"].contains(unit))
        {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {}", escaped(help));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "counter", help);
        self.sample(&format!("{name}_total"), &[], value);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_as_the_format_wants_them() {
        let mut text = Text::default();
        text.gauge("herd_uptime_seconds", "Since \"then\".", seconds(12_007));
        text.counter("herd_iamat", "Lines.", 3);
        text.family("herd_link_up", "gauge", "Up.");
        text.sample("herd_link_up", &[("neighbour", "a\"b\\c"), ("x", "y")], 1);
        assert_eq!(
            text.0,
            "# TYPE herd_uptime_seconds gauge\n# UNIT herd_uptime_seconds seconds\n# HELP herd_uptime_seconds Since \\\"then\\\".\n\
             herd_uptime_seconds 12.007\n\
             # TYPE herd_iamat counter\n# HELP herd_iamat Lines.\nherd_iamat_total 3\n\
             # TYPE herd_link_up gauge\n# HELP herd_link_up Up.\nherd_link_up{neighbour=\"a\\\"b\\\\c\",x=\"y\"} 1\n"
        );
    }

    #[test]
    fn each_counter_has_words() {
        assert_eq!(Counters::described().count(), Counters::new().each().count());
        let all: Vec<_> = Counters::new().each().chain(Refusals::default().each()).collect();
        for ((name, _), (described, help)) in
            all.into_iter().zip(Counters::described().chain(Refusals::described()))
        {
            assert_eq!(name, described);
            assert!(
                help.starts_with(|c: char| c.is_ascii_uppercase()) && help.ends_with('.'),
                "{name}: {help:?}"
            );
            assert!(!name.ends_with("_total") && !help.contains("  "), "{name}: {help:?}");
        }
    }
}
