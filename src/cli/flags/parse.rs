//! Parses arguments into a [`Command`], or a usage error that names the wrong word.
//!
//! The parser opens no file and has no side effects, so tests can try any command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::Arg;
use log::LevelFilter;

pub(in crate::cli) use super::command::{
    ClientsOptions, Command, Near, NodesOptions, PhoneApp, SendOptions, TokenOptions,
};
use super::entry::{Entry, Flag, HAS_IMPORT, HAS_TOOLS, HAS_UP};
use super::help::{self, Detail, spelled};
use super::table::{COMMANDS, LOG_LEVELS};
use crate::config::{did_you_mean, is_node_name, near_or, one_of, quoted};
use crate::places::import::{Columns, Format, Import, kind_of_word};
use crate::places::{MAX_ITEMS, Query};
use crate::proto::decimal::decimal;
use crate::server::control::Request;
use crate::server::logging::LogFormat;

/// The limits of WHATSAT (PROTOCOL); `places near` has the same.
const RADIUS_KM_MAX: i32 = 50;

/// The default of `--timeout`: more than the 8 s that a node gives a query for places.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
const TIMEOUT_S: RangeInclusive<f64> = 0.1..=3600.0;

/// Wrong usage, as a message of one line.
#[derive(Debug)]
pub(in crate::cli) struct UsageError {
    /// The words that name the command, after `herd`; empty if none was recognised.
    words: String,
    message: String,
    /// What to type instead; may be empty.
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
pub(in crate::cli) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, UsageError> {
    let mut parser = lexopt::Parser::from_args(args);
    let entry = match command(&mut parser)? {
        Chosen::Entry(entry) => entry,
        Chosen::Text(text) => return Ok(Command::Print(text)),
    };
    if !entry.refusal.is_empty() {
        return Ok(Command::Refused(entry.refusal));
    }
    match given(&mut parser, entry)? {
        Ok(given) => build(&given),
        Err(detail) => Ok(Command::Print(help::command(entry, detail))),
    }
}

/// What the first words select.
enum Chosen {
    Entry(&'static Entry),
    Text(String),
}

/// Reads the one or two words that name the command.
fn command(parser: &mut lexopt::Parser) -> Result<Chosen, UsageError> {
    let mut group: Option<&'static str> = None;
    loop {
        let words: Vec<&str> = group.into_iter().collect();
        // The words that are valid here.
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
            // `herd help serve` is `herd serve --help`.
            (Some(Arg::Value(word)), None) if word == "help" => {
                let rest = parser.raw_args().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
                *parser = lexopt::Parser::from_args(rest.into_iter().chain(["--help".into()]));
            }
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

/// A flag as typed.
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

/// Reads the flags and operands of a command. The inner `Err` is a request for help.
fn given(parser: &mut lexopt::Parser, entry: &'static Entry) -> Result<Result<Given, Detail>, UsageError> {
    let wrong = |message: String, remedy: String| wrong(entry.words, message, remedy);
    let mut given = Given { entry, flags: Vec::new(), operands: Vec::new() };
    loop {
        // lexopt would parse a negative number as a flag.
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
            // The only short flag besides help.
            Arg::Short('v') => find_flag(entry, "verbose"),
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
    /// Checks that all required flags are there, and that the number of operands fits.
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
            return Err(self.wrong(format!("unexpected operand {}", quoted(&extra.to_string_lossy())), hint));
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

    /// The value of a required flag; `complete` has checked that it is there.
    fn required_path(&self, name: &str) -> PathBuf {
        self.path(name).unwrap_or_default()
    }

    /// A flag or operand as text. Names of nodes and addresses are ASCII.
    fn text(&self, what: &str, value: &OsStr) -> Result<String, UsageError> {
        let text = value.to_str().map(str::to_owned);
        text.ok_or_else(|| {
            self.wrong(format!("{what}: {} is not UTF-8", quoted(&value.to_string_lossy())), "")
        })
    }

    /// The operands as text.
    fn texts(&self, what: &str) -> Result<Vec<String>, UsageError> {
        self.operands.iter().map(|value| self.text(what, value)).collect()
    }

    /// The operand that names a node, which need not be in any configuration.
    fn new_node(&self) -> Result<String, UsageError> {
        let name = self.text("NAME", &self.operands[0])?;
        if is_node_name(&name) {
            return Ok(name);
        }
        Err(self.wrong(format!("{} is not a node name", quoted(&name)), "letters, digits, '.', '_' and '-'"))
    }

    /// The error of a word that a flag does not take.
    fn unknown(&self, what: &str, flag: &str, typed: &str, words: &[&str]) -> UsageError {
        let remedy = near_or(typed, words.iter().copied(), || one_of(words.iter().copied()));
        self.wrong(format!("unknown {what} {} for {flag}", quoted(typed)), &remedy)
    }

    fn log_format(&self) -> Result<LogFormat, UsageError> {
        let Some(value) = self.flag("log-format") else { return Ok(LogFormat::Auto) };
        let typed = value.to_string_lossy();
        let known = LogFormat::WORDS.iter().find(|(word, _)| *word == typed);
        known.map(|(_, format)| *format).ok_or_else(|| {
            self.unknown("format", "--log-format", &typed, &LogFormat::WORDS.map(|(word, _)| word))
        })
    }

    fn log_level(&self) -> Result<LevelFilter, UsageError> {
        let Some(value) = self.flag("log-level") else { return Ok(LevelFilter::Info) };
        let typed = value.to_string_lossy();
        // `off` would parse too, but an operator cannot diagnose a node without a log.
        let known = LOG_LEVELS.contains(&typed.as_ref()).then(|| typed.parse().ok()).flatten();
        known.ok_or_else(|| self.unknown("level", "--log-level", &typed, LOG_LEVELS))
    }

    fn timeout(&self) -> Result<Duration, UsageError> {
        let Some(value) = self.flag("timeout") else { return Ok(TIMEOUT_DEFAULT) };
        let typed = value.to_string_lossy();
        let seconds = decimal(typed.as_bytes()).filter(|seconds| TIMEOUT_S.contains(seconds));
        seconds.map(Duration::from_secs_f64).ok_or_else(|| {
            let message = format!("{} is not a valid --timeout", quoted(&typed));
            self.wrong(message, "seconds, from 0.1 to 3600")
        })
    }

    /// An operand as a number within limits. The limits are whole: a board's program does not write fractions.
    fn number(&self, index: usize, what: &str, least: i32, most: i32) -> Result<f64, UsageError> {
        let typed = self.operands[index].to_string_lossy();
        let limits = f64::from(least)..=f64::from(most);
        let number = decimal(typed.as_bytes()).filter(|number| limits.contains(number));
        number.ok_or_else(|| {
            self.wrong(
                format!("{} is not a valid {what}", quoted(&typed)),
                &format!("a number from {least} to {most}"),
            )
        })
    }

    fn near(&self) -> Result<Command, UsageError> {
        let items = match self.operands.get(3).map(|typed| typed.to_string_lossy()) {
            None => MAX_ITEMS,
            Some(typed) => {
                typed.parse().ok().filter(|items| (1..=MAX_ITEMS).contains(items)).ok_or_else(|| {
                    let remedy = format!("a whole number from 1 to {MAX_ITEMS}");
                    self.wrong(format!("{} is not a valid N", quoted(&typed)), &remedy)
                })?
            }
        };
        Ok(Command::PlacesNear {
            query: Query {
                latitude_deg: self.number(0, "LAT", -90, 90)?,
                longitude_deg: self.number(1, "LON", -180, 180)?,
                radius_m: self.number(2, "KM", 0, RADIUS_KM_MAX)? * 1_000.0,
                items,
            },
            file: self.path("file"),
        })
    }
}

impl Given {
    fn import(&self) -> Result<Import, UsageError> {
        let format = self.flag("format").map(|word| self.format(word)).transpose()?;
        let inputs = self.operands.iter().map(|file| {
            let file = PathBuf::from(file);
            let format = format.or_else(|| Format::of_name(&file)).ok_or_else(|| {
                let message = format!(
                    "the extension of {} is not that of a known format",
                    quoted(&file.to_string_lossy())
                );
                self.wrong(message, &format!("give --format, one of: {}", Format::WORDS.join(", ")))
            })?;
            Ok((file, format))
        });
        let mut columns = match self.flag("columns") {
            None => Columns::default(),
            Some(list) => Columns::parse(&self.text("--columns", list)?).map_err(|part| {
                let remedy = format!("ROLE=COLUMN,... with each role once: {}", Columns::ROLES.join(", "));
                self.wrong(format!("{} is not valid in --columns", quoted(&part)), &remedy)
            })?,
        };
        columns.separator = self.flag("separator").map(|typed| self.separator(typed)).transpose()?;
        let word = self.flag("type").map_or("point_of_interest".into(), |word| word.to_string_lossy());
        let kind = kind_of_word(&word).ok_or_else(|| {
            self.wrong(format!("unknown type {} for --type", quoted(&word)), "the help lists the types")
        })?;
        Ok(Import {
            inputs: inputs.collect::<Result<_, _>>()?,
            base: self.path("base"),
            divisions: [self.path("admin1"), self.path("admin2")].into_iter().flatten().collect(),
            columns,
            kind,
            skips_bad: self.flag("skip-bad").is_some(),
            out: self.required_path("out"),
        })
    }

    fn separator(&self, typed: &OsStr) -> Result<char, UsageError> {
        let typed = typed.to_string_lossy();
        let mut chars = typed.chars();
        match (chars.next(), chars.next(), typed.as_ref()) {
            (_, _, "tab") => Ok('\t'),
            (_, _, "comma") => Ok(','),
            (_, _, "semicolon") => Ok(';'),
            (Some(c), None, _) if !matches!(c, '"' | '\r' | '\n') => Ok(c),
            _ => {
                let message = format!("{} is not valid in --separator", quoted(&typed));
                Err(self.wrong(message, "one character, or one of: comma, semicolon, tab"))
            }
        }
    }

    fn format(&self, word: &OsStr) -> Result<Format, UsageError> {
        let word = word.to_string_lossy();
        Format::of_word(&word).ok_or_else(|| self.unknown("format", "--format", &word, &Format::WORDS))
    }
}

impl Given {
    fn clients(&self) -> Result<Command, UsageError> {
        let near = self.flag("near").map(|near| {
            let typed = near.to_string_lossy();
            let numbers: Vec<f64> =
                typed.split(',').filter_map(|part| decimal(part.trim().as_bytes())).collect();
            match numbers[..] {
                [lat_deg, lon_deg, radius_km]
                    if typed.split(',').count() == 3
                        && (-90.0..=90.0).contains(&lat_deg)
                        && (-180.0..=180.0).contains(&lon_deg)
                        && radius_km >= 0.0 =>
                {
                    Ok(Near { lat_deg, lon_deg, radius_km })
                }
                _ => {
                    let remedy = "degrees and kilometres, such as --near 34.07,-118.45,10";
                    Err(self.wrong(format!("{} is not a valid --near", quoted(&typed)), remedy))
                }
            }
        });
        Ok(Command::Clients(ClientsOptions {
            id: self.operands.first().map(|id| self.text("ID", id)).transpose()?,
            near: near.transpose()?,
            node: self.flag("node").map(|node| self.text("--node", node)).transpose()?,
            json: self.flag("json").is_some(),
        }))
    }

    fn status(&self) -> Result<Request, UsageError> {
        let is_given = |name| self.flag(name).is_some();
        match (is_given("all"), is_given("json"), is_given("verbose")) {
            (true, _, true) => {
                Err(self.wrong("--verbose is not for --all".to_owned(), "the herd has no counters"))
            }
            (true, true, _) => Ok(Request::HerdJson),
            (true, false, _) => Ok(Request::HerdText),
            (false, true, _) => Ok(Request::Json),
            (false, false, true) => Ok(Request::Verbose),
            (false, false, false) => Ok(Request::Text),
        }
    }

    fn check(&self, config: Option<PathBuf>) -> Result<Command, UsageError> {
        let operand = self.operands.first().map(PathBuf::from);
        if config.is_some() && operand.is_some() {
            return Err(self.wrong("the configuration is given twice".to_owned(), "give FILE alone"));
        }
        let node = self.flag("node").map(|node| self.text("--node", node)).transpose()?;
        Ok(Command::Check { config: config.or(operand), node })
    }
}

/// Makes the command from its flags and operands, which are complete. The compiler leaves out what this build lacks.
fn build(given: &Given) -> Result<Command, UsageError> {
    let config = given.path("config");
    Ok(match given.entry.words {
        ["up"] if HAS_UP => {
            Command::Up { config, log_dir: given.path("log-dir"), log_level: given.log_level()? }
        }
        ["serve"] => Command::Serve {
            name: given.text("NAME", &given.operands[0])?,
            config,
            log_level: given.log_level()?,
            log_format: given.log_format()?,
            supervised: given.flag("supervised").is_some(),
        },
        ["send"] => {
            let to = given.flag("to").map(|to| given.text("--to", to)).transpose()?;
            Command::Send(SendOptions {
                to,
                config,
                timeout: given.timeout()?,
                lines: given.operands.clone(),
            })
        }
        ["init"] if HAS_TOOLS => Command::Init {
            boards: given.texts("NAME=HOST")?,
            out: given.path("out").unwrap_or_else(|| ".".into()),
        },
        ["key"] if HAS_TOOLS => {
            Command::Key { node: given.new_node()?, out: given.path("out").unwrap_or_else(|| ".".into()) }
        }
        ["status"] => Command::Status {
            name: given.operands.first().map(|name| given.text("NAME", name)).transpose()?,
            request: given.status()?,
        },
        ["clients"] if HAS_TOOLS => given.clients()?,
        ["nodes"] if HAS_TOOLS => Command::Nodes(NodesOptions {
            names: given.texts("NAME")?,
            node: given.flag("node").map(|node| given.text("--node", node)).transpose()?,
            json: given.flag("json").is_some(),
        }),
        ["check"] => given.check(config)?,
        ["token"] => given.token(config)?,
        ["places", "near"] => given.near()?,
        ["places", "import"] if HAS_IMPORT => Command::PlacesImport(given.import()?),
        words => unreachable!("the table names a command that nothing builds: {words:?}"),
    })
}

#[path = "parse_token.rs"]
mod token;

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
