//! The figures of `herd status` as OpenMetrics text, version 1.0.0, or as the older text format of Prometheus, version 0.0.4.
//!
//! The two differ in the name of a counter's family, in what a family declares, and in escapes; the samples are the same.
//! Names follow Prometheus' conventions: base units in the name, `_total` for counters. Labels hold neither positions nor client
//! ids.

use std::fmt::{Display, Write as _};

use super::counters::Refusals;
use super::phones::{FORMATS, IGNORED, PhoneStats, REJECTED};
use super::status::{Link, RuntimeStats, Status};
use crate::proto::counters::Counters;

/// The format of [`text`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OpenMetrics 1.0.0.
    OpenMetrics,
    /// Prometheus' text format 0.0.4, for scrapers that do not know OpenMetrics.
    Text,
}

impl Format {
    /// Its content type.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The metrics of a node with this status.
#[must_use]
pub fn text(status: &Status, format: Format) -> String {
    let mut text = Text { out: String::new(), format };
    let version = env!("CARGO_PKG_VERSION");
    text.family("herd_build", "info", "The node's name and version.");
    text.sample("herd_build_info", &[("node", &status.node), ("version", version)], 1);
    text.gauge("herd_uptime_seconds", "Time since the node started.", seconds(status.up_ms));
    text.gauge("herd_clock_trusted", "1 if the wall clock is trusted.", u8::from(status.clock_is_trusted));
    links(&mut text, status);
    let (entries, capacity) = status.entries;
    text.gauge("herd_table_entries", "Clients in the table.", entries);
    text.gauge("herd_table_capacity_entries", "Clients that the table can hold.", capacity);
    if let Some(oldest_s) = status.oldest_s {
        text.gauge("herd_table_oldest_age_seconds", "Age of the oldest entry of the table.", oldest_s);
    }
    text.counter("herd_table_evicted", "Entries evicted from the full table by newer ones.", status.evicted);
    connections(&mut text, &status.stats);
    if let Some(kb) = status.private_kb {
        text.gauge("herd_memory_private_bytes", "Private memory of the process.", kb * 1024);
    }
    places(&mut text, status);
    snapshot(&mut text, status);
    let described = Counters::described().chain(Refusals::described());
    commands(&mut text, status);
    for ((name, value), (_, help)) in status.counters.iter().zip(described) {
        if !COMMANDS.contains(name) {
            text.counter(&format!("herd_{name}"), help, value);
        }
    }
    text.out + if format == Format::OpenMetrics { "# EOF\n" } else { "" }
}

/// The counters that are one family with a label: what a client's line was.
const COMMANDS: [&str; 3] = ["iamat", "whatsat", "invalid"];

fn commands(text: &mut Text, status: &Status) {
    let family = "herd_client_commands";
    text.family(family, "counter", "Lines of clients, by command.");
    for (name, value) in status.counters.iter().filter(|(name, _)| COMMANDS.contains(name)) {
        text.sample(&format!("{family}_total"), &[("command", name)], value);
    }
}

fn connections(text: &mut Text, stats: &RuntimeStats) {
    text.gauge("herd_clients", "Client connections.", stats.clients);
    text.gauge("herd_clients_max", "Limit of client connections.", stats.clients_max);
    text.counter(
        "herd_clients_evicted",
        "Client connections closed to accept a newer one.",
        stats.clients_evicted,
    );
    text.counter(
        "herd_clients_unread",
        "Client connections closed because the client did not read its answers.",
        stats.unread_refused,
    );
    text.counter("herd_http_answered", "HTTP requests answered.", stats.http_answered);
    text.counter(
        "herd_http_denied",
        "HTTP requests denied: without the herd's token, or for a foreign host name.",
        stats.http_denied,
    );
    text.counter("herd_http_refused", "Malformed HTTP requests.", stats.http_refused);
    phones(text, &stats.phones);
    text.gauge("herd_event_subscribers", "Open event streams.", stats.subscribers);
    text.counter(
        "herd_event_subscribers_lost",
        "Event streams closed because the subscriber fell too far behind.",
        stats.subscribers_lost,
    );
    text.counter(
        "herd_event_subscribers_refused",
        "Event streams refused because too many were open.",
        stats.subscribers_refused,
    );
    text.counter(
        "herd_log_lines_dropped",
        "Log lines dropped because the log could not be written.",
        stats.log_lines_lost,
    );
}

fn phones(text: &mut Text, stats: &PhoneStats) {
    let mut family = |name: &str, help: &str, label: &str, values: &[&str], counts: &[u64]| {
        text.family(name, "counter", help);
        for (value, count) in values.iter().zip(counts) {
            text.sample(&format!("{name}_total"), &[(label, value)], count);
        }
    };
    family("herd_phone_updates", "Updates of phones, by format.", "format", &FORMATS, &stats.updates);
    family(
        "herd_phone_rejected",
        "Reports of phones that were refused.",
        "reason",
        &REJECTED,
        &stats.rejected,
    );
    family("herd_phone_ignored", "Points of phones that were not used.", "reason", &IGNORED, &stats.ignored);
}

fn links(text: &mut Text, status: &Status) {
    let mut family = |name: &str, help: &str, value: fn(&Link) -> Option<String>| {
        text.family(name, "gauge", help);
        for (link, value) in status.links.iter().filter_map(|link| Some((link, value(link)?))) {
            text.sample(name, &[("neighbour", &link.node)], value);
        }
    };
    family("herd_link_up", "1 if the link to the neighbour is up.", |link| flag(link.is_up));
    let help = "1 if both ends were equal at their last comparison and no update has been pending since.";
    family("herd_link_in_sync", help, |link| flag(link.is_in_sync));
    let help = "1 if two boards used the neighbour's name within the last ten minutes.";
    family("herd_link_name_in_use", help, |link| flag(link.name_in_use_at.is_some()));
    let help = "Updates pending for the neighbour.";
    family("herd_link_pending_updates", help, |link| Some(link.pending.to_string()));
    let help = "Time since both ends last found their tables equal.";
    family("herd_link_equal_age_seconds", help, |link| link.equal_ago_ms.map(seconds));
    let help = "Round trip of the last ping, at the dialling end only.";
    family("herd_link_round_trip_seconds", help, |link| link.round_trip_ms.map(seconds));
}

fn places(text: &mut Text, status: &Status) {
    let places = &status.places;
    text.gauge("herd_places_waiting_queries", "Queries waiting for places.", places.waiting);
    text.gauge("herd_places_workers", "Threads that query the places source.", places.workers);
    text.gauge(
        "herd_places_paused",
        "1 while the node does not query the upstream because of failures.",
        u8::from(places.paused_s.is_some()),
    );
    for (name, value) in places.counters.each() {
        let help = format!("Queries for places: {}.", name.replace('_', " "));
        text.counter(&format!("herd_places_{name}"), &help, value);
    }
}

fn snapshot(text: &mut Text, status: &Status) {
    let Some(snapshot) = &status.snapshot else { return };
    text.counter("herd_snapshot_written", "Snapshots written.", snapshot.written);
    text.counter("herd_snapshot_failed", "Snapshots that could not be written.", snapshot.failed);
    let Some(last) = &snapshot.last else { return };
    let age = "Age of the last snapshot.";
    text.gauge("herd_snapshot_age_seconds", age, seconds(last.ago_ms));
    text.gauge("herd_snapshot_entries", "Clients in the last snapshot.", last.entries);
    text.gauge("herd_snapshot_size_bytes", "Size of the last snapshot.", last.bytes);
    let took = "Time to write the last snapshot to the disk.";
    text.gauge("herd_snapshot_duration_seconds", took, seconds(last.took_ms));
}

fn flag(is_set: bool) -> Option<String> {
    Some(u8::from(is_set).to_string())
}

/// Milliseconds as seconds, exactly.
fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

struct Text {
    out: String,
    format: Format,
}

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        if self.format == Format::Text {
            // Its families are named as their samples, and it does not have the type info.
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            let help = help.replace('\\', "\\\\").replace('\n', "\\n");
            let _ = writeln!(self.out, "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}");
            return;
        }
        let _ = writeln!(self.out, "# TYPE {name} {kind}");
        if let Some((_, unit)) = name.rsplit_once('_').filter(|(_, unit)| ["seconds", "bytes"].contains(unit))
        {
            let _ = writeln!(self.out, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.out, "# HELP {name} {}", escaped(help));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.out.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let _ = write!(self.out, "{}{label}=\"{}\"", if index == 0 { '{' } else { ',' }, escaped(text));
        }
        let _ = writeln!(self.out, "{} {value}", if labels.is_empty() { "" } else { "}" });
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
        let mut text = Text { out: String::new(), format: Format::OpenMetrics };
        text.gauge("herd_uptime_seconds", "Since \"then\".", seconds(12_007));
        text.counter("herd_iamat", "Lines.", 3);
        text.family("herd_link_up", "gauge", "Up.");
        text.sample("herd_link_up", &[("neighbour", "a\"b\\c"), ("x", "y")], 1);
        assert_eq!(
            text.out,
            "# TYPE herd_uptime_seconds gauge\n# UNIT herd_uptime_seconds seconds\n# HELP herd_uptime_seconds Since \\\"then\\\".\n\
             herd_uptime_seconds 12.007\n\
             # TYPE herd_iamat counter\n# HELP herd_iamat Lines.\nherd_iamat_total 3\n\
             # TYPE herd_link_up gauge\n# HELP herd_link_up Up.\nherd_link_up{neighbour=\"a\\\"b\\\\c\",x=\"y\"} 1\n"
        );
    }

    #[test]
    fn the_older_format_has_its_own_families() {
        let mut text = Text { out: String::new(), format: Format::Text };
        text.family("herd_build", "info", "Name.");
        text.sample("herd_build_info", &[("node", "a\"b\\c")], 1);
        text.gauge("herd_uptime_seconds", "Since \"then\".\\\n", seconds(12_007));
        text.counter("herd_iamat", "Lines.", 3);
        assert_eq!(
            text.out,
            "# HELP herd_build_info Name.\n# TYPE herd_build_info gauge\nherd_build_info{node=\"a\\\"b\\\\c\"} 1\n\
             # HELP herd_uptime_seconds Since \"then\".\\\\\\n\n# TYPE herd_uptime_seconds gauge\nherd_uptime_seconds 12.007\n\
             # HELP herd_iamat_total Lines.\n# TYPE herd_iamat_total counter\nherd_iamat_total 3\n"
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
