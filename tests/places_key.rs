//! No log line at any level holds the key. A file of its own, since a process has one logger.

use herd::places::{Places, Settings, is_secret_target};
use herd_test_support::upstream::asking::*;
use herd_test_support::upstream::{Act, Server, ok, status};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::Mutex;

/// Stores every record of every writer.
struct Everything(Mutex<Vec<(Level, String, String)>>);

impl Log for Everything {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        let line = (record.level(), record.target().to_owned(), record.args().to_string());
        self.0.lock().expect("no panics").push(line);
    }

    fn flush(&self) {}
}

static LOG: Everything = Everything(Mutex::new(Vec::new()));

#[test]
fn the_key_is_in_no_log_line() {
    log::set_logger(&LOG).expect("the only logger of this process");
    log::set_max_level(LevelFilter::Trace);
    let server = Server::start(ok(ODD));
    for settings in [legacy(&server), modern(&server)] {
        assert!(!format!("{settings:?}").contains(KEY));
        let places = Places::start(settings);
        let acts = [
            ok(ODD),
            ok("{}"),
            ok(format!("no JSON {KEY}")),
            status(403, format!("{{\"error\":{{\"message\":\"{KEY}\"}}}}")),
            Act::Answer(302, "Location: http://127.0.0.1:1/\r\n", Vec::new()),
            Act::CloseAtOnce,
        ];
        for act in acts {
            server.act(act);
            assert!(!answer(&places, UCLA).contains(KEY));
        }
    }
    let refused = legacy_at("http://127.0.0.1:1/".to_owned());
    answer_of(Settings { fallback: Some(places_file()), ..refused });

    let lines = LOG.0.lock().expect("no panics");
    let with_key: Vec<_> = lines.iter().filter(|(_, _, line)| line.contains(KEY)).collect();
    assert!(!with_key.is_empty(), "the test has teeth: a dependency does write it");
    for (level, target, line) in with_key {
        assert!(is_secret_target(target), "{level} {target}: {line}");
    }
    // The shown lines contain what an operator needs.
    let has_shown = |words: &str| {
        lines.iter().any(|(level, target, line)| {
            *level == Level::Warn && !is_secret_target(target) && line.contains(words)
        })
    };
    assert!(has_shown("repeats the key") && has_shown("cannot be reached: Connection refused"), "{lines:?}");
}
