//! From arguments to a [`Command`]: plain data, or a usage error that names the wrong word.
//!
//! Opens no file and does nothing else, so that every line that a user may type can be tried in a test.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;

use lexopt::Arg;
use log::LevelFilter;

use super::help::{self, Detail, spelled};
use super::table::{COMMANDS, Entry, Flag, LOG_LEVELS};
use crate::config::{did_you_mean, quoted};

/// The limits of WHATSAT (PROTOCOL), which `places near` answers like.
const RADIUS_KM_MAX: f64 = 50.0;
const ITEMS_MAX: usize = 20;

/// What the user wants done.
#[derive(Debug, PartialEq)]
pub(super) enum Command {
    /// Print this text: help, or the version.
    Print(String),
    Up {
        map: Option<PathBuf>,
        log_dir: Option<PathBuf>,
        log_level: LevelFilter,
    },
    Serve {
        name: String,
        map: Option<PathBuf>,
        log_level: LevelFilter,
        supervised: bool,
    },
    Send {
        to: Option<String>,
        map: Option<PathBuf>,
        lines: Vec<OsString>,
    },
    Check {
        map: Option<PathBuf>,
    },
    Footprint,
    PlacesNear {
        lat_deg: f64,
        lon_deg: f64,
        radius_km: f64,
        items: usize,
        file: Option<PathBuf>,
    },
    PlacesBuild {
        cities: PathBuf,
        admin1: PathBuf,
        admin2: PathBuf,
        airports: PathBuf,
        out: PathBuf,
    },
}

/// Wrong usage, told in one line.
#[derive(Debug)]
pub(super) struct UsageError {
    /// The words that name the command, after `herd`; empty where it was not got that far.
    words: String,
    message: String,
    /// What was perhaps meant; may be empty.
    remedy: String,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let space = if self.words.is_empty() { "" } else { " " };
        write!(f, "herd{space}{}: {}", self.words, self.message)?;
        if !self.remedy.is_empty() {
            write!(f, " ({})", self.remedy)?;
        }
        write!(f, "; see: herd{space}{} --help", self.words)
    }
}

fn wrong(words: &[&str], message: String, remedy: String) -> UsageError {
    UsageError { words: words.join(" "), message, remedy }
}

/// Reads the arguments that follow the program's name.
pub(super) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = lexopt::Parser::from_args(args);
    let entry = match command(&mut parser)? {
        Chosen::Entry(entry) => entry,
        Chosen::Text(text) => return Ok(Command::Print(text)),
    };
    match given(&mut parser, entry)? {
        Ok(given) => build(&given),
        Err(detail) => Ok(Command::Print(help::command(entry, detail))),
    }
}

/// What the first words chose.
enum Chosen {
    Entry(&'static Entry),
    Text(String),
}

/// Reads the one or two words that name the command.
fn command(parser: &mut lexopt::Parser) -> Result<Chosen, UsageError> {
    let mut group: Option<&'static str> = None;
    loop {
        let words: Vec<&str> = group.into_iter().collect();
        // The words that may stand here.
        let candidates =
            COMMANDS.iter().filter(|entry| entry.words.starts_with(&words)).map(|e| e.words[words.len()]);
        let arg = parser.next().map_err(|error| wrong(&words, error.to_string(), String::new()))?;
        match (arg, group) {
            (None, _) => {
                let mut known: Vec<&str> = candidates.collect();
                known.dedup();
                return Err(wrong(&words, "no command".to_owned(), format!("one of: {}", known.join(", "))));
            }
            (Some(Arg::Short('h') | Arg::Long("help")), None) => return Ok(Chosen::Text(help::program())),
            (Some(Arg::Short('h') | Arg::Long("help")), Some(word)) => {
                return Ok(Chosen::Text(help::group(word)));
            }
            (Some(Arg::Short('V') | Arg::Long("version")), None) => return Ok(Chosen::Text(help::version())),
            (Some(Arg::Value(word)), _) => {
                let word = word.to_string_lossy().into_owned();
                let Some(known) = candidates.clone().find(|known| *known == word) else {
                    let remedy = did_you_mean(&word, candidates);
                    return Err(wrong(&words, format!("unknown command {}", quoted(&word)), remedy));
                };
                let chosen: Vec<&str> = words.iter().copied().chain([known]).collect();
                if let Some(entry) = COMMANDS.iter().find(|entry| entry.words == chosen) {
                    return Ok(Chosen::Entry(entry));
                }
                group = Some(known);
            }
            (Some(arg), _) => {
                let message = format!("unknown flag {}", quoted(&flag_text(&arg)));
                return Err(wrong(&words, message, "the command comes first".to_owned()));
            }
        }
    }
}

/// A flag as the user typed it.
fn flag_text(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Short(letter) => format!("-{letter}"),
        Arg::Long(name) => format!("--{name}"),
        Arg::Value(value) => value.to_string_lossy().into_owned(),
    }
}

/// The flags and operands of a command, checked against its entry.
struct Given {
    entry: &'static Entry,
    flags: Vec<(&'static str, OsString)>,
    operands: Vec<OsString>,
}

/// Reads what follows the command's words; the inner `Err` asks for help.
fn given(parser: &mut lexopt::Parser, entry: &'static Entry) -> Result<Result<Given, Detail>, UsageError> {
    let wrong = |message: String, remedy: String| wrong(entry.words, message, remedy);
    let mut given = Given { entry, flags: Vec::new(), operands: Vec::new() };
    loop {
        // A negative number is no flag, though the parser would take it for one.
        if let Some(mut args) = parser.try_raw_args()
            && let Some(number) = args.next_if(is_negative_number)
        {
            given.operands.push(number);
            continue;
        }
        let Some(arg) = parser.next().map_err(|error| wrong(error.to_string(), String::new()))? else {
            break;
        };
        let flag = match arg {
            Arg::Short('h') => return Ok(Err(Detail::Short)),
            Arg::Long("help") => return Ok(Err(Detail::Long)),
            Arg::Value(value) => {
                given.operands.push(value);
                continue;
            }
            Arg::Long(name) => find_flag(entry, name),
            Arg::Short(_) => None,
        };
        let Some(flag) = flag else {
            let typed = flag_text(&arg);
            let known: Vec<String> = entry.flags.iter().map(|flag| format!("--{}", flag.name)).collect();
            let near = did_you_mean(&typed, known.iter().map(String::as_str));
            return Err(wrong(format!("unknown flag {}", quoted(&typed)), near));
        };
        if given.flags.iter().any(|(name, _)| *name == flag.name) {
            return Err(wrong(format!("--{} is given twice", flag.name), String::new()));
        }
        let value = match flag.value {
            None => OsString::new(),
            Some(_) => {
                parser.value().map_err(|_| wrong(format!("no value for {}", spelled(flag)), String::new()))?
            }
        };
        given.flags.push((flag.name, value));
    }
    given.complete().map(Ok)
}

fn find_flag(entry: &'static Entry, name: &str) -> Option<&'static Flag> {
    entry.flags.iter().find(|flag| flag.name == name)
}

fn is_negative_number(arg: &OsStr) -> bool {
    matches!(arg.as_encoded_bytes(), [b'-', b'0'..=b'9' | b'.', ..])
}

impl Given {
    /// Checks that no flag and no operand is missing, and no operand is one too many.
    fn complete(self) -> Result<Given, UsageError> {
        for flag in self.entry.flags {
            if flag.is_required && self.flag(flag.name).is_none() {
                return Err(self.wrong(format!("{} is missing", spelled(flag)), ""));
            }
        }
        let (fewest, most) = self.entry.operand_counts;
        if let Some(extra) = self.operands.get(most) {
            let hint =
                if self.entry.operands.is_empty() { "it takes no operands" } else { self.entry.operands };
            return Err(self.wrong(format!("{} is one too many", quoted(&extra.to_string_lossy())), hint));
        }
        if self.operands.len() < fewest {
            let missing =
                self.entry.operands.split(' ').nth(self.operands.len()).unwrap_or(self.entry.operands);
            return Err(self.wrong(format!("{missing} is missing"), ""));
        }
        Ok(self)
    }

    fn wrong(&self, message: String, remedy: &str) -> UsageError {
        wrong(self.entry.words, message, remedy.to_owned())
    }

    fn flag(&self, name: &str) -> Option<&OsString> {
        self.flags.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        self.flag(name).map(PathBuf::from)
    }

    /// The value of a flag that the table requires; `complete` has seen it.
    fn required_path(&self, name: &str) -> PathBuf {
        self.path(name).unwrap_or_default()
    }

    /// A flag or operand as text: names of nodes and addresses are ASCII anyway.
    fn text(&self, what: &str, value: &OsStr) -> Result<String, UsageError> {
        let text = value.to_str().map(str::to_owned);
        text.ok_or_else(|| {
            self.wrong(format!("{what}: {} is not UTF-8", quoted(&value.to_string_lossy())), "")
        })
    }

    fn log_level(&self) -> Result<LevelFilter, UsageError> {
        let Some(value) = self.flag("log-level") else { return Ok(LevelFilter::Info) };
        let typed = value.to_string_lossy();
        // `off` would parse too, but a node that says nothing cannot be helped.
        let known = LOG_LEVELS.contains(&typed.as_ref()).then(|| typed.parse().ok()).flatten();
        known.ok_or_else(|| {
            let near = did_you_mean(&typed, LOG_LEVELS.iter().copied());
            let remedy = if near.is_empty() { format!("one of: {}", LOG_LEVELS.join(", ")) } else { near };
            self.wrong(format!("unknown level {} for --log-level", quoted(&typed)), &remedy)
        })
    }

    /// An operand as a number within limits.
    fn number(&self, index: usize, what: &str, least: f64, most: f64) -> Result<f64, UsageError> {
        let typed = self.operands[index].to_string_lossy();
        // NaN is in no range.
        let number = typed.parse().ok().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| {
            self.wrong(
                format!("{} is no {what}", quoted(&typed)),
                &format!("a number from {least} to {most}"),
            )
        })
    }

    fn near(&self) -> Result<Command, UsageError> {
        let items = match self.operands.get(3).map(|typed| typed.to_string_lossy()) {
            None => ITEMS_MAX,
            Some(typed) => {
                typed.parse().ok().filter(|items| (1..=ITEMS_MAX).contains(items)).ok_or_else(|| {
                    let remedy = format!("a whole number from 1 to {ITEMS_MAX}");
                    self.wrong(format!("{} is no N", quoted(&typed)), &remedy)
                })?
            }
        };
        Ok(Command::PlacesNear {
            lat_deg: self.number(0, "LAT", -90.0, 90.0)?,
            lon_deg: self.number(1, "LON", -180.0, 180.0)?,
            radius_km: self.number(2, "KM", 0.0, RADIUS_KM_MAX)?,
            items,
            file: self.path("file"),
        })
    }
}

/// Makes the command out of its flags and operands, which are complete.
fn build(given: &Given) -> Result<Command, UsageError> {
    let map = given.path("map");
    Ok(match given.entry.words {
        ["up"] => Command::Up { map, log_dir: given.path("log-dir"), log_level: given.log_level()? },
        ["serve"] => Command::Serve {
            name: given.text("NAME", &given.operands[0])?,
            map,
            log_level: given.log_level()?,
            supervised: given.flag("supervised").is_some(),
        },
        ["send"] => {
            let to = given.flag("to").map(|to| given.text("--to", to)).transpose()?;
            Command::Send { to, map, lines: given.operands.clone() }
        }
        ["check"] => Command::Check { map },
        ["footprint"] => Command::Footprint,
        ["places", "near"] => given.near()?,
        ["places", "build"] => Command::PlacesBuild {
            cities: given.required_path("cities"),
            admin1: given.required_path("admin1"),
            admin2: given.required_path("admin2"),
            airports: given.required_path("airports"),
            out: given.required_path("out"),
        },
        words => unreachable!("the table names a command that nothing builds: {words:?}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
    }

    fn path(name: &str) -> Option<PathBuf> {
        Some(PathBuf::from(name))
    }

    #[test]
    fn each_command_is_understood() {
        let info = LevelFilter::Info;
        for (line, command) in [
            ("up", Command::Up { map: None, log_dir: None, log_level: info }),
            (
                "up --log-level=trace --map a.json --log-dir logs",
                Command::Up { map: path("a.json"), log_dir: path("logs"), log_level: LevelFilter::Trace },
            ),
            (
                "serve --supervised Hill --map m",
                Command::Serve { name: "Hill".into(), map: path("m"), log_level: info, supervised: true },
            ),
            ("send", Command::Send { to: None, map: None, lines: vec![] }),
            (
                "send --to Hill a -5 -- --to -h",
                Command::Send {
                    to: Some("Hill".into()),
                    map: None,
                    lines: ["a", "-5", "--to", "-h"].map(OsString::from).to_vec(),
                },
            ),
            ("check --map m", Command::Check { map: path("m") }),
            ("footprint", Command::Footprint),
            (
                "places near -34.5 -.5 50",
                Command::PlacesNear { lat_deg: -34.5, lon_deg: -0.5, radius_km: 50.0, items: 20, file: None },
            ),
            (
                "places near 1 -118.445127 0.5 --file p 7",
                Command::PlacesNear {
                    lat_deg: 1.0,
                    lon_deg: -118.445_127,
                    radius_km: 0.5,
                    items: 7,
                    file: path("p"),
                },
            ),
            ("--version", Command::Print("herd 0.1.0\n".into())),
            ("places -h", Command::Print(help::group("places"))),
            ("up nonsense --help", Command::Print(help::command(&COMMANDS[0], Detail::Long))),
        ] {
            assert_eq!(parsed(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn wrong_usage_names_the_word_and_what_was_meant() {
        for (line, message) in [
            ("", "herd: no command (one of: up, serve, send, check, footprint, places); see: herd --help"),
            ("srve Hill", "herd: unknown command \"srve\" (did you mean \"serve\"?); see: herd --help"),
            ("frobnicate", "herd: unknown command \"frobnicate\"; see: herd --help"),
            ("--map x up", "herd: unknown flag \"--map\" (the command comes first); see: herd --help"),
            ("places", "herd places: no command (one of: near, build); see: herd places --help"),
            (
                "places bild",
                "herd places: unknown command \"bild\" (did you mean \"build\"?); see: herd places --help",
            ),
            ("up --mpa x", "herd up: unknown flag \"--mpa\" (did you mean \"--map\"?); see: herd up --help"),
            ("up -x", "herd up: unknown flag \"-x\"; see: herd up --help"),
            ("up --map", "herd up: no value for --map FILE; see: herd up --help"),
            ("up --map a --map b", "herd up: --map is given twice; see: herd up --help"),
            ("up Hill", "herd up: \"Hill\" is one too many (it takes no operands); see: herd up --help"),
            (
                "up --log-level loud",
                "herd up: unknown level \"loud\" for --log-level (one of: error, warn, info, debug, trace); see: herd up --help",
            ),
            (
                "serve X --log-level dbug",
                "herd serve: unknown level \"dbug\" for --log-level (did you mean \"debug\"?); see: herd serve --help",
            ),
            ("serve", "herd serve: NAME is missing; see: herd serve --help"),
            ("serve A B", "herd serve: \"B\" is one too many (NAME); see: herd serve --help"),
            (
                "serve A --supervised=yes",
                "herd serve: unexpected argument for option '--supervised': \"yes\"; see: herd serve --help",
            ),
            ("places near 1 2", "herd places near: KM is missing; see: herd places near --help"),
            (
                "places near 91 2 3",
                "herd places near: \"91\" is no LAT (a number from -90 to 90); see: herd places near --help",
            ),
            ("places near 1 -nan 3", "herd places near: unknown flag \"-n\"; see: herd places near --help"),
            (
                "places near 1 nan 3",
                "herd places near: \"nan\" is no LON (a number from -180 to 180); see: herd places near --help",
            ),
            (
                "places near 1 2 51",
                "herd places near: \"51\" is no KM (a number from 0 to 50); see: herd places near --help",
            ),
            (
                "places near 1 2 3 0",
                "herd places near: \"0\" is no N (a whole number from 1 to 20); see: herd places near --help",
            ),
            (
                "places build --cities c",
                "herd places build: --admin1 FILE is missing; see: herd places build --help",
            ),
        ] {
            assert_eq!(parsed(line), Err(message.to_owned()), "{line}");
        }
    }

    #[test]
    fn every_command_of_the_table_is_built() {
        for entry in COMMANDS {
            let mut line = entry.words.join(" ");
            for flag in entry.flags.iter().filter(|flag| flag.is_required) {
                line.push_str(&format!(" --{} x", flag.name));
            }
            line.push_str(&" 1".repeat(entry.operand_counts.0));
            assert!(parsed(&line).is_ok(), "{line}");
        }
    }
}
