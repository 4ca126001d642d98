//! The command line: arguments in, options out.

use std::ffi::OsString;
use std::path::PathBuf;

use herd::server::logging::LogFormat;
use lexopt::prelude::{Long, Short, Value};
use lexopt::{Parser, ValueExt};
use log::{Level, LevelFilter};

use super::failure::Failure;

const HELP: &str = include_str!("help.txt");

/// The options of the command line, not checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// The node.
    pub name: Option<String>,
    /// The configuration file.
    pub config: Option<PathBuf>,
    /// `--broker`; empty if missing.
    pub broker: String,
    /// `--ca-file`.
    pub ca_file: Option<PathBuf>,
    /// `--password-file`.
    pub password_file: Option<PathBuf>,
    /// `--prefix`.
    pub prefix: Option<String>,
    /// `--take-in`.
    pub take_in: Option<String>,
    /// `--user-devices`.
    pub user_devices: Option<usize>,
    /// `--encode-dots`.
    pub encode_dots: bool,
    /// `--log-level`.
    pub log_level: Option<LevelFilter>,
    /// `--log-format`.
    pub log_format: LogFormat,
}

/// A command line.
#[derive(Debug, PartialEq)]
pub enum Command {
    /// Print this text.
    Print(String),
    /// Run a bridge with these options.
    Run(Box<Options>),
}

/// Reads the arguments that follow the program's name.
///
/// # Errors
/// Wrong usage.
pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Command, Failure> {
    parse(Parser::from_args(args)).map_err(|error| Failure::Usage(error.to_string()))
}

fn parse(mut parser: Parser) -> Result<Command, lexopt::Error> {
    let mut options = Options::default();
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(Command::Print(HELP.to_owned())),
            Short('V') | Long("version") => {
                return Ok(Command::Print(format!("herd-bridge {}\n", env!("CARGO_PKG_VERSION"))));
            }
            Long("broker") => options.broker = parser.value()?.string()?,
            Long("ca-file") => options.ca_file = Some(parser.value()?.into()),
            Long("password-file") => options.password_file = Some(parser.value()?.into()),
            Long("prefix") => options.prefix = Some(parser.value()?.string()?),
            Long("take-in") => options.take_in = Some(parser.value()?.string()?),
            Long("user-devices") => options.user_devices = Some(parser.value()?.parse()?),
            Long("encode-dots") => options.encode_dots = true,
            Long("config") => options.config = Some(parser.value()?.into()),
            Long("log-level") => {
                let level: Level = parser.value()?.parse()?;
                options.log_level = Some(level.to_level_filter());
            }
            Long("log-format") => options.log_format = parser.value()?.parse_with(log_format)?,
            Value(name) if options.name.is_none() => options.name = Some(name.string()?),
            Short(_) | Long(_) | Value(_) => return Err(arg.unexpected()),
        }
    }
    match options.broker.is_empty() {
        true => Err("--broker URL is missing".into()),
        false => Ok(Command::Run(Box::new(options))),
    }
}

fn log_format(word: &str) -> Result<LogFormat, String> {
    let known = LogFormat::WORDS.iter().find(|(known, _)| *known == word);
    known.map(|(_, format)| *format).ok_or_else(|| "one of: auto, journal, text, json".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        // The first word is a flag or an operand, not the program's name.
        parse(Parser::from_args(line.split_whitespace())).map_err(|error| error.to_string())
    }

    #[test]
    fn a_command_line_is_read() {
        let expected = Options {
            name: Some("Hill".into()),
            broker: "mqtt://b".into(),
            config: Some("m".into()),
            ..Options::default()
        };
        assert_eq!(parsed("Hill --broker mqtt://b --config m"), Ok(Command::Run(Box::new(expected.clone()))));
        let more = Options {
            ca_file: Some("ca".into()),
            password_file: Some("p".into()),
            prefix: Some("a/b".into()),
            take_in: Some("none".into()),
            user_devices: Some(3),
            encode_dots: true,
            log_level: Some(LevelFilter::Warn),
            log_format: LogFormat::Json,
            ..expected
        };
        let line = "--broker=mqtt://b Hill --config m --ca-file ca --password-file p --prefix a/b --take-in none \
                    --user-devices 3 --encode-dots --log-level warn --log-format json";
        assert_eq!(parsed(line), Ok(Command::Run(Box::new(more))));
    }

    #[test]
    fn wrong_usage_is_refused() {
        for (line, words) in [
            ("Hill", "--broker URL is missing"),
            ("Hill Smith --broker b", "unexpected argument \"Smith\""),
            ("--broker", "missing argument for option '--broker'"),
            ("--broker b --user-devices x", "cannot parse argument \"x\""),
            ("--broker b --log-level off", "cannot parse argument \"off\""),
            ("--broker b --log-format x", "one of: auto, journal, text, json"),
            ("--broker b --password x", "invalid option '--password'"),
        ] {
            let why = parsed(line).expect_err(line);
            assert!(why.contains(words), "{line}: {why}");
        }
    }

    #[test]
    fn help_names_each_flag_and_fits_a_terminal() {
        assert_eq!(parsed("-h"), Ok(Command::Print(HELP.to_owned())));
        assert!(HELP.lines().all(|line| line.len() <= 80));
        let source = include_str!("options.rs");
        let flags = source.split("Long(\"").skip(1).filter_map(|rest| rest.split_once("\") "));
        assert!(flags.map(|(flag, _)| flag).all(|flag| HELP.contains(&format!("--{flag}"))));
    }
}
