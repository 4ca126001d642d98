//! Where log lines go: to standard error, in the form that whoever reads it can use.
//!
//! On a terminal that is `simple_logger`. Under systemd each line starts with its priority
//! (sd-daemon(3)), and the journal adds the time. Anywhere else, a file or a pipe, lines are plain. The
//! last two never panic when the reader has gone: a node must not die of its log. None of them shows, at
//! any level, what crates that carry keys say.

use std::io::{IsTerminal, Write};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::places::{SECRET_TARGETS, is_secret_target};

/// Sends the log to standard error, down to `level`.
///
/// A second call changes nothing: the first logger stays.
pub fn start(level: LevelFilter) {
    let to_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    if !to_journal && std::io::stderr().is_terminal() {
        let logger = simple_logger::SimpleLogger::new().with_level(level);
        let mute =
            |logger: simple_logger::SimpleLogger, target| logger.with_module_level(target, LevelFilter::Off);
        if SECRET_TARGETS.into_iter().fold(logger, mute).init().is_ok() {
            return;
        }
    }
    static PLAIN: Plain = Plain { priorities: false };
    static JOURNAL: Plain = Plain { priorities: true };
    let logger = if to_journal { &JOURNAL } else { &PLAIN };
    if log::set_logger(logger).is_ok() {
        log::set_max_level(level);
    }
}

struct Plain {
    priorities: bool,
}

impl Log for Plain {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= log::max_level() && !is_secret_target(metadata.target())
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = if self.priorities {
            format!("<{}>{}\n", priority(record.level()), record.args())
        } else {
            format!("{:<5} {}\n", record.level(), record.args())
        };
        // One write a line, so that lines of several processes on one pipe stay whole. If nobody
        // reads any more there is nobody to tell.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
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
