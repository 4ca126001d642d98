//! Writes log lines to standard error, in the format that suits its reader.
//!
//! On a terminal, `simple_logger` writes them. Under systemd each line starts with its priority
//! (sd-daemon(3)), and the journal adds the time. In a file or a pipe, lines are plain. An operator can
//! select lines of JSON instead.
//!
//! A node must not fail or wait because of its log. So it writes a line only if the reader has room for it.
//! Otherwise it drops and counts the line, and logs the count when there is room again. A ready pipe takes
//! [`LOG_LINE_BYTES_MAX`] at once (pipe(7)), and the journal's socket more, so such a write does not block.
//! A stopped terminal (Ctrl-S) is not ready. A terminal whose other end is gone unnoticed stays ready until
//! its buffer of about 64 KB is full: redirect the log of a node that runs unattended.
//!
//! No format, at any level, shows records of crates that handle keys.

use std::fmt;
use std::io::{IsTerminal, StderrLock, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use simple_logger::SimpleLogger;

use super::json::Json;
use super::limits::LOG_LINE_BYTES_MAX;
use crate::places::is_secret_target;

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
    /// Level and words.
    Text,
    /// One JSON object per line: `unix_ms`, `level`, `message`.
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

/// Sends the log to standard error, down to `level`.
///
/// A second call changes nothing: the first logger stays.
pub fn start(level: LevelFilter, format: LogFormat) {
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
        if std::env::var_os("JOURNAL_STREAM").is_some() {
            Form::Journal
        } else if std::io::stderr().is_terminal() {
            Form::Terminal(SimpleLogger::new().with_level(level))
        } else {
            Form::Plain
        }
    }
}

/// Prints a message that is not part of the log to standard error: why a command failed, or the mistakes of a
/// configuration. Under systemd each line has its priority here too. A closed standard error is ignored.
pub fn tell(level: Level, text: &str) {
    let mut stderr = std::io::stderr().lock();
    let to_journal = std::env::var_os("JOURNAL_STREAM").is_some();
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
        if !has_room(&stderr) {
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
            if !has_room(&stderr) {
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
            Form::Terminal(logger) => return logger.log(record),
            Form::Journal => format!("<{}>{}", priority(record.level()), record.args()),
            Form::Plain => format!("{:<5} {}", record.level(), record.args()),
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

/// Whether a write of a line does not block. False if the reader is gone.
fn has_room(stderr: &StderrLock) -> bool {
    let mut polled = [PollFd::new(stderr, PollFlags::OUT)];
    let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
    match poll(&mut polled, Some(&Timespec::default())) {
        Ok(_) => polled[0].revents().contains(PollFlags::OUT) && !polled[0].revents().intersects(gone),
        Err(_) => false,
    }
}

fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

/// A complete line of JSON; a long message is truncated.
fn json_line(unix_ms: u128, record: &Record) -> String {
    let mut message = record.args().to_string();
    let line = |message: &str| {
        let mut json = Json::default();
        json.number("unix_ms", Some(unix_ms));
        json.text("level", &record.level().as_str().to_ascii_lowercase());
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
    fn a_line_of_json_is_whole_however_long_it_is() {
        for message in
            ["a \"b\"\n".to_owned(), "é\u{1}".repeat(LOG_LINE_BYTES_MAX), "x".repeat(2 * LOG_LINE_BYTES_MAX)]
        {
            let line =
                json_line(7, &Record::builder().level(Level::Warn).args(format_args!("{message}")).build());
            assert!(line.len() < LOG_LINE_BYTES_MAX && !line.contains('\n'), "{} bytes", line.len());
            let read: serde_json::Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert_eq!((&read["unix_ms"], &read["level"]), (&7.into(), &"warn".into()));
            let logged = read["message"].as_str().expect("a string");
            assert!(
                message.starts_with(logged) && (logged == message || logged.len() > 600),
                "{} bytes",
                logged.len()
            );
        }
    }
}
