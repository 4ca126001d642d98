//! Writes log lines to standard error, in the format that suits its reader.
//!
//! On a terminal, `simple_logger` writes them, warnings and errors in colour. In a file or a pipe, lines are plain. Both have the time in UTC. In
//! systemd's journal each line starts with its priority (sd-daemon(3)), and the journal adds the time. An operator can
//! select lines of JSON instead.
//!
//! A node must not fail or wait because of its log. So it writes a line only if the reader has room for it.
//! Otherwise it drops and counts the line, and logs the count when there is room again. A ready pipe takes
//! [`LOG_LINE_BYTES_MAX`] at once (pipe(7)), and the journal's socket more, so such a write does not block.
//! A stopped terminal (Ctrl-S) is not ready. A terminal whose other end is gone unnoticed stays ready until
//! its buffer of about 64 KB is full: redirect the log of a node that runs unattended.
//!
//! No format, at any level, shows records of crates that handle keys.

use std::cell::Cell;
use std::fmt;
use std::io::{IsTerminal, StderrLock, Write};
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use simple_logger::SimpleLogger;

use super::client_id;
use super::json::Json;
use super::limits::LOG_LINE_BYTES_MAX;
use crate::places::is_secret_target;
use crate::proto::limits::CLIENT_ID_BYTES_MAX;

/// Lines lost since the start.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Log lines dropped because the reader had no room, since the start.
#[must_use]
pub fn lines_lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// The form of the log's lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Depends on standard error: a terminal, the journal, or another file.
    #[default]
    Auto,
    /// A priority before each line, for systemd's journal.
    Journal,
    /// Time, level and words.
    Text,
    /// One JSON object per line: `time`, `level`, `node`, `message`; about a client also `client` and `id`.
    Json,
}

impl LogFormat {
    /// The formats by the words that the command line has for them.
    pub const WORDS: [(&'static str, LogFormat); 4] = [
        ("auto", LogFormat::Auto),
        ("journal", LogFormat::Journal),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
    ];
}

/// The node that this process runs, for lines of JSON.
static NODE: OnceLock<String> = OnceLock::new();

/// The target of records about a client. As JSON they have members for the client that [`set_client`] and [`set_id`] name.
pub(super) const CLIENT: &str = "herd::client";

thread_local! {
    /// Where the client of this thread's next records is, where lines are logged.
    static PEER: Cell<Option<SocketAddr>> = const { Cell::new(None) };
    /// The id in its line, and the length of it; 0 for none.
    static ID: Cell<([u8; CLIENT_ID_BYTES_MAX], usize)> = const { Cell::new(([0; CLIENT_ID_BYTES_MAX], 0)) };
}

/// Sets the client that the next records of this thread are about.
pub(super) fn set_client(address: Option<SocketAddr>) {
    PEER.set(address);
    ID.set(([0; CLIENT_ID_BYTES_MAX], 0));
}

/// Sets the id in the line of that client. A longer id than is valid counts as none.
pub(super) fn set_id(id: Option<&[u8]>) {
    let id = id.filter(|id| id.len() <= CLIENT_ID_BYTES_MAX).unwrap_or_default();
    let mut bytes = [0; CLIENT_ID_BYTES_MAX];
    bytes[..id.len()].copy_from_slice(id);
    ID.set((bytes, id.len()));
}

/// The client as the text of records names it.
pub(super) struct Peer;

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        PEER.get().map_or(Ok(()), |address| write!(f, " {address}"))
    }
}

/// Sends the log of this node to standard error, down to `level`.
///
/// A second call changes nothing: the first logger stays.
pub fn start(node: &str, level: LevelFilter, format: LogFormat) {
    let _ = NODE.set(node.to_owned());
    let form = match format {
        LogFormat::Auto => Form::of_standard_error(level),
        LogFormat::Journal => Form::Journal,
        LogFormat::Text => Form::Plain,
        LogFormat::Json => Form::Json,
    };
    if log::set_boxed_logger(Box::new(Logger { form, lost: AtomicU64::new(0) })).is_ok() {
        log::set_max_level(level);
    }
}

impl Form {
    fn of_standard_error(level: LevelFilter) -> Self {
        if is_journal() {
            Form::Journal
        } else if std::io::stderr().is_terminal() {
            Form::Terminal(SimpleLogger::new().with_level(level))
        } else {
            Form::Plain
        }
    }
}

/// Whether standard error is the journal: systemd names its device and inode (systemd.exec(5), `JOURNAL_STREAM`). A program that
/// a service starts inherits the variable, and may have its standard error elsewhere.
fn is_journal() -> bool {
    let Some(stream) = std::env::var_os("JOURNAL_STREAM") else { return false };
    let Ok(stat) = rustix::fs::fstat(std::io::stderr()) else { return false };
    stream.to_str() == Some(&format!("{}:{}", stat.st_dev, stat.st_ino))
}

/// Prints a message that is not part of the log to standard error: why a command failed, or the mistakes of a
/// configuration. Under systemd each line has its priority here too. A closed standard error is ignored.
pub fn tell(level: Level, text: &str) {
    let mut stderr = std::io::stderr().lock();
    let to_journal = is_journal();
    for line in text.lines() {
        let _ = match to_journal {
            true => writeln!(stderr, "<{}>{line}", priority(level)),
            false => writeln!(stderr, "{line}"),
        };
    }
}

enum Form {
    Terminal(SimpleLogger),
    Journal,
    Plain,
    Json,
}

struct Logger {
    form: Form,
    /// Lines dropped since the last report of their number.
    lost: AtomicU64,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level() && !is_secret_target(metadata.target())
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // Held until the line is written: another thread could take the room.
        let mut stderr = std::io::stderr().lock();
        if !has_room(&stderr, Duration::ZERO) {
            self.lose_one();
            return;
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let mut loss = Record::builder();
            loss.level(Level::Warn).target(record.target());
            self.write(
                &mut stderr,
                &loss
                    .args(format_args!("{lost} log lines were dropped: the log was not read in time"))
                    .build(),
            );
            if !has_room(&stderr, Duration::ZERO) {
                self.lose_one();
                return;
            }
        }
        self.write(&mut stderr, record);
    }

    fn flush(&self) {}
}

impl Logger {
    fn lose_one(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        LOST.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&self, stderr: &mut StderrLock, record: &Record) {
        let mut line = match &self.form {
            Form::Terminal(logger) => {
                // In brackets after the level. A module's path, which is there otherwise, tells an operator nothing.
                let time = Rfc3339(unix_ms()).to_string();
                let mut dated = Record::builder();
                dated.level(record.level()).target(&time);
                let Some(colour) = colour(record.level()) else {
                    return logger.log(&dated.args(*record.args()).build());
                };
                return logger.log(&dated.args(format_args!("{colour}{}\x1b[0m", record.args())).build());
            }
            Form::Journal => format!("<{}>{}", priority(record.level()), record.args()),
            Form::Plain => format!("{} {:<5} {}", Rfc3339(unix_ms()), record.level(), record.args()),
            Form::Json => json_line(unix_ms(), record),
        }
        .into_bytes();
        line.truncate(LOG_LINE_BYTES_MAX - 1);
        line.push(b'\n');
        // One write per line, so that lines of several processes on one pipe do not mix. An error
        // means that the reader is gone.
        let _ = stderr.write_all(&line);
    }
}

/// The code that sets the colour of a line on a terminal: warnings and errors stand out. `None` where the user wants no colours
/// (no-color.org).
fn colour(level: Level) -> Option<&'static str> {
    let code = match level {
        Level::Error => "\x1b[31m",
        Level::Warn => "\x1b[33m",
        _ => return None,
    };
    std::env::var_os("NO_COLOR").is_none_or(|wish| wish.is_empty()).then_some(code)
}

/// Whether a write of a line does not block, now or within `wait`, which is less than a second. False if the reader is gone.
pub(crate) fn has_room(stderr: &StderrLock, wait: Duration) -> bool {
    let mut polled = [PollFd::new(stderr, PollFlags::OUT)];
    let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
    match poll(&mut polled, Some(&wait)) {
        Ok(_) => polled[0].revents().contains(PollFlags::OUT) && !polled[0].revents().intersects(gone),
        Err(_) => false,
    }
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 as a date and time in UTC (RFC 3339).
struct Rfc3339(u64);

impl fmt::Display for Rfc3339 {
    /// The date by the days since 1970: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`. Its
    /// years begin in March, so that the leap day is their last.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (days, ms) = (self.0 / 86_400_000 + 719_468, self.0 % 86_400_000);
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hours, minutes, seconds) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}.{:03}Z", ms % 1_000)
    }
}

/// A complete line of JSON; a long message is truncated.
fn json_line(unix_ms: u64, record: &Record) -> String {
    let mut message = record.args().to_string();
    let line = |message: &str| {
        let mut json = Json::default();
        json.text("time", &Rfc3339(unix_ms).to_string());
        json.text("level", &record.level().as_str().to_ascii_lowercase());
        if let Some(node) = NODE.get() {
            json.text("node", node);
        }
        if record.target() == CLIENT {
            if let Some(address) = PEER.get() {
                json.text("client", &address.to_string());
            }
            let (id, length) = ID.get();
            if length > 0 {
                json.text("id", &client_id::encoded(&id[..length]));
            }
        }
        json.text("message", message);
        json.finish().trim_end().to_owned()
    };
    loop {
        let whole = line(&message);
        if whole.len() < LOG_LINE_BYTES_MAX {
            return whole;
        }
        // An escape is several bytes: what is left in proportion may still be too long, and is cut again then.
        let mut end = (message.len() * LOG_LINE_BYTES_MAX / whole.len()).saturating_sub(16);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        message.truncate(end);
    }
}

/// The priorities of syslog(3).
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// Bytes of a remote peer, escaped for a log: one line without control characters.
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let bytes = self.0.strip_suffix(b"\n").unwrap_or(self.0);
        write!(f, "{}", bytes.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_match_the_calendar() {
        // By date(1): date -u -d @SECONDS.
        for (seconds, date) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (68_169_600, "1972-02-29T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_799, "2000-02-29T23:59:59.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000Z"),
            (1_795_737_600, "2026-11-27T00:00:00.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(Rfc3339(seconds * 1000).to_string(), date);
        }
    }

    #[test]
    fn a_line_about_a_client_has_its_address_and_id() {
        let members = |target: &str| {
            let line = json_line(7, &Record::builder().target(target).args(format_args!("x")).build());
            let read: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
            (read["client"].as_str().map(str::to_owned), read["id"].as_str().map(str::to_owned))
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(members(CLIENT), (None, None));
        set_client("127.0.0.1:7".parse().ok());
        assert_eq!(members(CLIENT), (text("127.0.0.1:7"), None));
        let longest = "x".repeat(CLIENT_ID_BYTES_MAX);
        for (id, shown) in
            [("kiwi", text("kiwi")), (&longest, text(&longest)), (&format!("{longest}x"), None)]
        {
            set_id(Some(id.as_bytes()));
            assert_eq!(members(CLIENT), (text("127.0.0.1:7"), shown));
        }
        set_id(Some(b"caf\xe9"));
        assert_eq!(members(CLIENT).1, text("caf%E9"));
        assert_eq!(members("herd::server"), (None, None));
        set_client("[::1]:7".parse().ok());
        assert_eq!(members(CLIENT), (text("[::1]:7"), None));
    }

    #[test]
    fn a_line_of_json_is_whole_however_long_it_is() {
        for message in
            ["a \"b\"\n".to_owned(), "é\u{1}".repeat(LOG_LINE_BYTES_MAX), "x".repeat(2 * LOG_LINE_BYTES_MAX)]
        {
            let line =
                json_line(7, &Record::builder().level(Level::Warn).args(format_args!("{message}")).build());
            assert!(line.len() < LOG_LINE_BYTES_MAX && !line.contains('\n'), "{} bytes", line.len());
            let read: serde_json::Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!((&read["time"], &read["level"]), (&"1970-01-01T00:00:00.007Z".into(), &"warn".into()));
            let logged = read["message"].as_str().expect("a string");
            assert!(
                message.starts_with(logged) && (logged == message || logged.len() > 600),
                "{} bytes",
                logged.len()
            );
        }
    }
}
