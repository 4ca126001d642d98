//! A node's status, as `herd status` shows it: text and JSON.
//!
//! A copy of plain values, made for each request, and two formats. It contains no position.

use std::fmt::Write as _;

use super::boards::Boards;
use super::json::Json;
use super::phones::PhoneStats;
use super::snapshot::record;
use crate::places;
use crate::proto::default_node::BoardNode;
use crate::proto::node::links::LinkState;
use crate::proto::pace::Received;
use crate::proto::time::Now;

/// Counters of a node at work. Without `--verbose` the text shows the others only: what was refused, dropped or failed.
const ROUTINE: [&str; 19] = [
    "iamat",
    "whatsat",
    "invalid",
    "iamat_stale",
    "updates_new",
    "updates_duplicate",
    "updates_stale",
    "updates_expired",
    "entries_swept",
    "snapshot_restored",
    "updates_sent",
    "digests_sent",
    "digests_equal",
    "digests_differ",
    "links_up",
    "links_down",
    "dials_failed",
    "dial_back_requests",
    "census_late_replies",
];

/// The server's part of the status.
#[derive(Clone, Copy, Debug, Default)]
pub struct RuntimeStats {
    /// Clients connected.
    pub clients: usize,
    /// The maximum of clients.
    pub clients_max: usize,
    /// Clients disconnected for a new one.
    pub clients_evicted: u64,
    /// Clients disconnected because they did not read.
    pub unread_refused: u64,
    /// HTTP requests that got their page.
    pub http_answered: u64,
    /// HTTP requests denied: without the herd's token, or with a foreign host name.
    pub http_denied: u64,
    /// HTTP requests refused: an unknown page, or not valid.
    pub http_refused: u64,
    /// What came of requests of phones.
    pub phones: PhoneStats,
    /// Subscribers.
    pub subscribers: usize,
    /// Subscribers disconnected because they fell too far behind.
    pub subscribers_lost: u64,
    /// Subscribers refused because the maximum was reached.
    pub subscribers_refused: u64,
    /// Log lines dropped because the reader had no room.
    pub log_lines_lost: u64,
    /// Reloads that the node applied.
    pub reloads: u32,
}

/// One link of a [`Status`].
#[derive(Clone, Debug)]
pub struct Link {
    /// The neighbour.
    pub node: String,
    /// Whether the link is up.
    pub is_up: bool,
    /// For how long it has been up or down, in milliseconds; none if it was never up.
    pub for_ms: Option<u64>,
    /// Whether it is up and encrypted.
    pub is_encrypted: bool,
    /// Whether both ends were equal at their last comparison, and no update is pending since.
    pub is_in_sync: bool,
    /// How long ago that was, in milliseconds.
    pub equal_ago_ms: Option<u64>,
    /// Updates pending for the neighbour.
    pub pending: usize,
    /// Of the last ping, in milliseconds; the dialling end alone knows.
    pub round_trip_ms: Option<u64>,
    /// What the neighbour has sent since the node started.
    pub received: Received,
    /// When the neighbour is dialled next, in milliseconds.
    pub dials_in_ms: Option<u64>,
    /// What last went wrong, in words.
    pub last_error: Option<String>,
    /// The addresses of two boards that were seen to use the neighbour's name within the last ten minutes.
    pub name_in_use_at: Option<String>,
}

/// A node's status at one moment.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its name.
    pub node: String,
    /// The configuration file.
    pub file: String,
    /// Since when it runs, in milliseconds.
    pub up_ms: u64,
    /// Whether its wall clock is known to be right.
    pub clock_is_trusted: bool,
    /// Its links.
    pub links: Vec<Link>,
    /// Clients it remembers, and at most.
    pub entries: (usize, usize),
    /// Evicted updates.
    pub evicted: u64,
    /// The age of the oldest entry, in seconds.
    pub oldest_s: Option<i32>,
    /// The rank of the smallest entry of a full table, in nanoseconds since 1970: below it updates are refused.
    pub floor_ns: Option<i64>,
    /// The source of places, and its state.
    pub places: places::Health,
    /// The state of its snapshots, if there are any.
    pub snapshot: Option<record::Health>,
    /// Its private memory, in KB, if the system reports it.
    pub private_kb: Option<u64>,
    /// Counters of the core, then the server's counters.
    pub counters: Vec<(&'static str, u64)>,
    /// The server's part.
    pub stats: RuntimeStats,
}

impl Status {
    /// Reads the status of a node. `error_of` is the last error of a neighbour that is not reachable.
    pub(super) fn of(
        node: &BoardNode,
        now: &Now,
        (places, snapshot): (places::Health, Option<record::Health>),
        (stats, boards, file): (RuntimeStats, &Boards, &str),
        error_of: impl Fn(&LinkState) -> Option<String>,
    ) -> Self {
        let name = |id| String::from_utf8_lossy(node.names().name(id)).into_owned();
        let since = |at| now.mono.since_ms(at);
        let links = node.links().map(|link| Link {
            node: name(link.node),
            is_up: link.up_since.is_some(),
            for_ms: link.up_since.or(link.down_since).map(since),
            is_encrypted: link.is_secret,
            is_in_sync: link.is_in_sync(),
            equal_ago_ms: link.equal_at.map(since),
            pending: link.pending,
            round_trip_ms: link.round_trip_ms,
            received: link.received,
            dials_in_ms: link.dial_at.map(|at| at.since_ms(now.mono)),
            name_in_use_at: link.is_name_in_use(now.mono).then(|| boards.words(link.node)),
            last_error: error_of(&link).or_else(|| link.last_cut.map(|cut| cut.reason().to_owned())),
        });
        let table = node.table();
        Status {
            node: name(node.me()),
            file: file.to_owned(),
            up_ms: now.mono.0,
            clock_is_trusted: now.wall_is_trusted,
            links: links.collect(),
            entries: (table.len(), table.capacity()),
            evicted: table.evicted(),
            oldest_s: table.oldest_s(now.mono.seconds()),
            floor_ns: table.floor().map(|floor| floor.sighting.rank.0),
            places,
            snapshot,
            private_kb: private_kb(),
            counters: node.counters().each().collect(),
            stats,
        }
    }

    /// Lines for people. Without `is_verbose`, what is zero or routine is left out.
    #[must_use]
    pub fn text(&self, is_verbose: bool) -> String {
        let mut text = String::new();
        let version = env!("CARGO_PKG_VERSION");
        let clock = if self.clock_is_trusted { "clock trusted" } else { "clock not trusted" };
        let _ = writeln!(text, "{}: up {}, herd {version}, {clock}", self.node, Span(self.up_ms));
        let _ = writeln!(text, "  file     {}", self.file);
        let width = self.links.iter().map(|link| link.node.len()).max().unwrap_or(0);
        for link in &self.links {
            let _ = writeln!(text, "  link     {:width$}  {}", link.node, link.words(is_verbose));
        }
        let (entries, capacity) = self.entries;
        let _ = write!(text, "  table    {entries} of {capacity} clients");
        if let Some(oldest_s) = self.oldest_s {
            let oldest_ms = u64::try_from(oldest_s).unwrap_or(0) * 1_000;
            let _ = write!(text, ", the oldest heard {} ago", Span(oldest_ms));
        }
        text += &counted(is_verbose, &[(self.evicted, "evicted")]);
        let stats = &self.stats;
        let _ = write!(text, "  clients  {} connected of {}", stats.clients, stats.clients_max);
        let unread = (stats.unread_refused, "disconnected because they did not read");
        text += &counted(is_verbose, &[(stats.clients_evicted, "evicted"), unread]);
        let requests = [
            (stats.subscribers_lost, "fell behind"),
            (stats.http_answered, "requests answered"),
            (stats.http_denied, "denied"),
            (stats.http_refused, "refused"),
        ];
        if stats.subscribers > 0 || requests.iter().any(|(count, _)| *count > 0) {
            let _ = write!(text, "  http     {} subscribers", stats.subscribers);
            text += &counted(is_verbose, &requests);
        }
        let [updates, ignored, rejected] = self.stats.phones.sums();
        if updates + rejected + ignored > 0 {
            let _ = writeln!(
                text,
                "  phones   {updates} updates; {ignored} points not used, {rejected} reports refused"
            );
        }
        let _ = writeln!(text, "  places   {}", self.places);
        if let Some(snapshot) = &self.snapshot {
            let _ = writeln!(text, "  snapshot {}", snapshot_words(snapshot));
        }
        if let Some(kb) = self.private_kb {
            let _ = writeln!(text, "  memory   {kb} KB private");
        }
        let lost = ("log_lines_lost", stats.log_lines_lost);
        for (name, value) in self.counters.iter().chain([&lost]) {
            if is_verbose || (*value > 0 && !ROUTINE.contains(name)) {
                let _ = writeln!(text, "  counter  {name} {value}");
            }
        }
        text
    }

    /// One JSON object and a line feed.
    #[must_use]
    pub fn json(&self) -> String {
        let mut json = Json::default();
        json.text("node", &self.node);
        json.text("version", env!("CARGO_PKG_VERSION"));
        json.text("file", &self.file);
        json.number("up_ms", Some(self.up_ms));
        json.number("reloads", Some(self.stats.reloads));
        json.flag("clock_is_trusted", self.clock_is_trusted);
        json.open("links", '[');
        for link in &self.links {
            json.open("", '{');
            link.json(&mut json);
            json.close('}');
        }
        json.close(']');
        json.open("table", '{');
        json.number("entries", Some(self.entries.0));
        json.number("capacity", Some(self.entries.1));
        json.number("evicted", Some(self.evicted));
        json.number("oldest_s", self.oldest_s);
        json.number("floor_ns", self.floor_ns);
        json.close('}');
        json.open("clients", '{');
        json.number("connected", Some(self.stats.clients));
        json.number("max", Some(self.stats.clients_max));
        json.number("pushed_out", Some(self.stats.clients_evicted));
        json.number("unread_refused", Some(self.stats.unread_refused));
        json.close('}');
        json.open("places", '{');
        places_json(&self.places, &mut json);
        json.close('}');
        http_json(&self.stats, &mut json);
        match &self.snapshot {
            Some(snapshot) => {
                json.open("snapshot", '{');
                snapshot_json(snapshot, &mut json);
                json.close('}');
            }
            None => json.number("snapshot", None::<u64>),
        }
        json.number("private_kb", self.private_kb);
        json.number("log_lines_lost", Some(self.stats.log_lines_lost));
        json.open("counters", '{');
        for (name, value) in &self.counters {
            json.number(name, Some(*value));
        }
        json.close('}');
        json.finish()
    }
}

/// What came of HTTP requests, and of requests of phones.
fn http_json(stats: &RuntimeStats, json: &mut Json) {
    json.open("http", '{');
    json.number("answered", Some(stats.http_answered));
    json.number("denied", Some(stats.http_denied));
    json.number("refused", Some(stats.http_refused));
    json.number("subscribers", Some(stats.subscribers));
    json.number("subscribers_lost", Some(stats.subscribers_lost));
    json.number("subscribers_refused", Some(stats.subscribers_refused));
    json.close('}');
    let [updates, ignored, rejected] = stats.phones.sums();
    json.open("phones", '{');
    json.number("updates", Some(updates));
    json.number("rejected", Some(rejected));
    json.number("ignored", Some(ignored));
    json.close('}');
}

impl Link {
    fn words(&self, is_verbose: bool) -> String {
        let mut words = match (self.is_up, self.for_ms) {
            (true, Some(ms)) => format!("up {}", Span(ms)),
            (true, None) => "up".to_owned(),
            (false, Some(ms)) => format!("down {}", Span(ms)),
            (false, None) => "never up".to_owned(),
        };
        let _ = match (self.is_up, self.is_in_sync, self.equal_ago_ms) {
            (true, true, Some(ms)) => write!(words, ", in sync {} ago", Span(ms)),
            _ => write!(words, ", out of sync, {} pending", self.pending),
        };
        if self.is_encrypted {
            words += ", encrypted";
        }
        if let Some(ms) = self.round_trip_ms {
            let _ = write!(words, ", round trip {ms} ms");
        }
        if let Some(ms) = self.dials_in_ms {
            let _ = write!(words, ", next dial in {}", Span(ms));
        }
        let Received { updates, digests, questions, waits } = self.received;
        if is_verbose {
            let _ = write!(words, ", sent {updates} updates, {digests} digests, {questions} questions");
        }
        if waits > 0 {
            let _ = write!(words, ", sent too fast {waits} times");
        }
        if let Some(addresses) = &self.name_in_use_at {
            let _ = write!(words, "; two boards use this name, at {addresses}");
        }
        if let Some(error) = &self.last_error {
            let _ = write!(words, "; last error: {error}");
        }
        words
    }

    fn json(&self, json: &mut Json) {
        json.text("node", &self.node);
        json.flag("is_up", self.is_up);
        json.flag("is_encrypted", self.is_encrypted);
        json.number("for_ms", self.for_ms);
        json.flag("is_in_sync", self.is_in_sync);
        json.number("equal_ago_ms", self.equal_ago_ms);
        json.number("pending", Some(self.pending));
        json.number("round_trip_ms", self.round_trip_ms);
        json.open("received", '{');
        json.number("updates", Some(self.received.updates));
        json.number("digests", Some(self.received.digests));
        json.number("questions", Some(self.received.questions));
        json.number("waits", Some(self.received.waits));
        json.close('}');
        json.number("dials_in_ms", self.dials_in_ms);
        json.optional_text("last_error", self.last_error.as_deref());
        json.optional_text("name_in_use_at", self.name_in_use_at.as_deref());
    }
}

/// The end of a line: counts with their words. Without `is_verbose`, zeros are left out.
fn counted(is_verbose: bool, counts: &[(u64, &str)]) -> String {
    let shown = counts.iter().filter(|(count, _)| is_verbose || *count > 0);
    let words: Vec<String> = shown.map(|(count, words)| format!("{count} {words}")).collect();
    format!("{}{}\n", if words.is_empty() { "" } else { "; " }, words.join(", "))
}

fn places_json(places: &places::Health, json: &mut Json) {
    json.text("source", places.source);
    json.number("waiting", Some(places.waiting));
    json.number("queue_max", Some(places.queue_max));
    json.number("workers", Some(places.workers));
    json.number("paused_s", places.paused_s);
    json.optional_text("last_failure", places.last_failure.as_ref().map(|(words, _)| words.as_str()));
    json.number("last_failure_ago_s", places.last_failure.as_ref().map(|(_, ago_s)| ago_s));
    for (name, value) in places.counters.each() {
        json.number(name, Some(value));
    }
}

fn snapshot_words(snapshot: &record::Health) -> String {
    let mut words = match &snapshot.last {
        Some(last) => format!(
            "{} entries written {} ago, {} bytes in {} ms",
            last.entries,
            Span(last.ago_ms),
            last.bytes,
            last.took_ms
        ),
        None => "none since the start".to_owned(),
    };
    if let Some(error) = &snapshot.error {
        let _ = write!(words, "; {} failed, the last one because {error}", snapshot.failed);
    }
    words
}

fn snapshot_json(snapshot: &record::Health, json: &mut Json) {
    let last = snapshot.last.as_ref();
    json.number("between_s", Some(snapshot.between_s));
    json.number("written", Some(snapshot.written));
    json.number("failed", Some(snapshot.failed));
    json.number("last_ago_ms", last.map(|last| last.ago_ms));
    json.number("last_entries", last.map(|last| last.entries));
    json.number("last_bytes", last.map(|last| last.bytes));
    json.number("last_took_ms", last.map(|last| last.took_ms));
    json.optional_text("last_error", snapshot.error.as_deref());
}

/// A time in milliseconds, in its two largest units.
pub(crate) struct Span(pub(crate) u64);

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let s = self.0 / 1_000;
        match s {
            0..60 => write!(f, "{s} s"),
            60..3_600 => write!(f, "{} min {} s", s / 60, s % 60),
            3_600..86_400 => write!(f, "{} h {} min", s / 3_600, s / 60 % 60),
            _ => write!(f, "{} d {} h", s / 86_400, s / 3_600 % 24),
        }
    }
}

/// The private memory of this process, from the kernel.
pub(super) fn private_kb() -> Option<u64> {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").ok()?;
    let private = rollup.lines().filter(|line| line.starts_with("Private_"));
    let kb = |line: &str| line.split_whitespace().nth(1)?.parse::<u64>().ok();
    Some(private.filter_map(kb).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routine_counters_are_of_the_core() {
        let known: Vec<&str> = crate::proto::counters::Counters::described().map(|(name, _)| name).collect();
        assert!(ROUTINE.iter().all(|name| known.contains(name)));
    }

    #[test]
    fn a_time_has_two_units() {
        for (ms, words) in [
            (0, "0 s"),
            (59_999, "59 s"),
            (60_000, "1 min 0 s"),
            (3_725_000, "1 h 2 min"),
            (90_061_000, "1 d 1 h"),
        ] {
            assert_eq!(Span(ms).to_string(), words);
        }
    }
}
