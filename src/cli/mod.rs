//! The command line: arguments in, exit status out.
//!
//! Exit status 0 is success, 1 is failure, 2 is wrong usage, 3 is a line that a node did not take: a service manager may restart after 1, never after 2.
//! Answers go to standard output, all other messages to standard error. The program chooses the runtime of the node.

mod commands;
mod flags;

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use log::{Level, LevelFilter};
use zeroize::Zeroizing;

use crate::config::{self, Checked, Config, Environment, Finding, Keys, Severity, near_or, quoted};
use crate::places::near_command;
use crate::proto::node::secret::Mode;
use crate::server::logging::{LogFormat, tell};
use crate::server::{NodeConfig, ReloadFn, RunError, service};
#[cfg(feature = "import")]
use commands::places;
#[cfg(feature = "up")]
use commands::up;
#[cfg(feature = "tools")]
use commands::{clients, init, key, nodes};
use commands::{send, serve, status, token};
use flags::parse::{self, Command};

/// The longest line that `serve --supervised` reads: two keys of 64 digits, a space and the line end.
const KEY_LINE_BYTES_MAX: usize = 130;

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    /// Wrong usage: the whole message. Exit status 2.
    Usage(String),
    /// The message without the program's name. Exit status 1.
    CouldNotRun(String),
    /// The command has printed the reason already. Exit status 1.
    Reported,
    /// A node did not take what was sent; the reason has been printed. Exit status 3.
    Rejected,
}

/// Runs a node until a signal stops it: [`server::run`](crate::server::run) on some runtime.
pub type RunNode = fn(NodeConfig, ReloadFn) -> Result<(), RunError>;

/// Runs the program with the arguments that follow its name. Returns its exit status.
pub fn run(args: impl IntoIterator<Item = OsString>, node: RunNode) -> ExitCode {
    let done = parse::parse(args)
        .map_err(|error| Failure::Usage(error.to_string()))
        .and_then(|command| carry_out(command, node));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Reported) => ExitCode::from(1),
        Err(Failure::Rejected) => ExitCode::from(3),
        Err(Failure::CouldNotRun(message)) => {
            tell(Level::Error, &format!("herd: {message}"));
            ExitCode::from(1)
        }
        Err(Failure::Usage(message)) => {
            tell(Level::Error, &message);
            ExitCode::from(2)
        }
    }
}

fn carry_out(command: Command, node: RunNode) -> Result<(), Failure> {
    match command {
        Command::Serve { name, config, log_level, log_format, supervised } => {
            serve(&name, config.as_deref(), (log_level, log_format), supervised, node)
        }
        other => carry_out_briefly(other),
    }
}

/// Why a command that this build lacks does not come this far.
#[cfg(not(all(feature = "up", feature = "tools", feature = "import")))]
const REFUSED_BEFORE: &str = "the parser refuses what this build lacks";

/// Every command except `serve`. A separate function: a node must not hold the other commands' locals on its stack.
#[inline(never)]
fn carry_out_briefly(command: Command) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match command {
        Command::Print(text) => write(&mut out, text.as_bytes()),
        Command::Refused(reason) => Err(Failure::CouldNotRun(reason.to_owned())),
        #[cfg(feature = "up")]
        Command::Up { config, log_dir, log_level } => {
            let read = read(config.as_deref());
            let checked = checked(&read, Severity::Warning)?;
            drop(out);
            up::run(&read, &checked, &up::Options { config, log_dir, log_level })
        }
        Command::Send(options) => send::run(&options, &mut out),
        #[cfg(feature = "tools")]
        Command::Init { boards, out: folder } => init::run(&boards, &folder, &mut out),
        #[cfg(feature = "tools")]
        Command::Key { node, out: folder } => key::run(&node, &folder, &mut out),
        Command::Status { name, request } => status::run(name.as_deref(), request, &mut out),
        #[cfg(feature = "tools")]
        Command::Clients(options) => clients::run(&options, &mut out),
        #[cfg(feature = "tools")]
        Command::Nodes(options) => nodes::run(&options, &mut out),
        Command::Check { config, node } => check(&read(config.as_deref()), node.as_deref(), &mut out),
        Command::Token(options) => {
            let checked = checked(&read(options.config.as_deref()), Severity::Error)?;
            let text = token::text(&checked, &options);
            let text = text.map_err(|why| Failure::CouldNotRun(format!("token: {why}")))?;
            write(&mut out, text.as_bytes())
        }
        Command::PlacesNear { query, file } => {
            let file = file.or_else(|| Environment::of_this_process().places_file()).ok_or_else(|| {
                let remedy = "name one with --file, or make one with: herd places import";
                Failure::CouldNotRun(format!("places near: no places file found ({remedy})"))
            })?;
            let answer = near_command(&file, &query);
            write(&mut out, &answer.map_err(|error| Failure::CouldNotRun(error.to_string()))?)
        }
        #[cfg(feature = "import")]
        Command::PlacesImport(what) => places::import(&what, &mut out)
            .map_err(|message| Failure::CouldNotRun(format!("places import: {message}"))),
        Command::Serve { .. } => unreachable!("carry_out serves"),
        #[cfg(not(feature = "up"))]
        Command::Up { .. } => unreachable!("{REFUSED_BEFORE}"),
        #[cfg(not(feature = "tools"))]
        Command::Init { .. } | Command::Key { .. } | Command::Clients(_) | Command::Nodes(_) => {
            unreachable!("{REFUSED_BEFORE}")
        }
        #[cfg(not(feature = "import"))]
        Command::PlacesImport(_) => unreachable!("{REFUSED_BEFORE}"),
    }
}

/// Writes to standard output. A closed pipe is not an error: `herd --help | head -3`.
fn write(out: &mut dyn Write, text: &[u8]) -> Result<(), Failure> {
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::CouldNotRun(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// The configuration in this file, or the built-in one.
fn read(config: Option<&Path>) -> Config {
    config.map_or_else(config::builtin, Config::read)
}

/// The checked configuration. Prints findings of this severity or worse to standard error.
fn checked(config: &Config, least: Severity) -> Result<Checked, Failure> {
    let (checked, findings) = config.check();
    let is_shown = |finding: &&Finding| least == Severity::Warning || finding.severity == Severity::Error;
    for finding in findings.iter().filter(is_shown) {
        let level = if finding.severity == Severity::Error { Level::Error } else { Level::Warn };
        tell(level, &finding.to_string());
    }
    checked.ok_or(Failure::Reported)
}

/// `herd check`: prints one line per finding, and a summary.
fn check(config: &Config, node: Option<&str>, out: &mut dyn Write) -> Result<(), Failure> {
    let (mut checked, mut findings) = config.check();
    if checked.is_some() {
        findings.extend(config.board_findings(node));
        checked = checked.filter(|_| findings.iter().all(|finding| finding.severity == Severity::Warning));
    }
    let mut text: String = findings.iter().map(|finding| format!("{finding}\n")).collect();
    text.push_str(&summary(checked.as_ref(), &findings));
    write(out, text.as_bytes())?;
    checked.map(drop).ok_or(Failure::Reported)
}

/// `5 nodes, 6 edges: ok`, `5 nodes, 6 edges: ok, 1 warning`, or `2 errors, 1 warning`.
fn summary(checked: Option<&Checked>, findings: &[Finding]) -> String {
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    let warnings = findings.len() - errors;
    let mut text = match checked {
        Some(config) => {
            format!("{}, {}: ok", counted(config.nodes.len(), "node"), counted(config.edges.len(), "edge"))
        }
        None => counted(errors, "error"),
    };
    if warnings > 0 {
        text.push_str(", ");
        text.push_str(&counted(warnings, "warning"));
    }
    text.push('\n');
    text.push_str(checked.map_or("", advice));
    text
}

/// How a herd with the herd's key alone moves to secret links.
fn advice(checked: &Checked) -> &'static str {
    match &checked.secret_links {
        None if checked.keys.is_some() && !checked.settings.is_loopback => {
            "links are signed, but not encrypted: see herd key --help, and docs/OPERATIONS.md, \"Encrypted links\", for the change of a herd that runs\n"
        }
        Some(links) if links.mode != Mode::Only => {
            "links are not all encrypted before \"secret_links\" is \"only\"\n"
        }
        _ => "",
    }
}

/// `herd serve`: runs one node, with the keys of the configuration or of `herd up`.
///
/// Not inlined, and neither is `ready_to_serve`: the node holds this stack frame as long as it runs.
#[inline(never)]
fn serve(
    name: &str,
    config: Option<&Path>,
    (log_level, log_format): (LevelFilter, LogFormat),
    supervised: bool,
    node: RunNode,
) -> Result<(), Failure> {
    let served = ready_to_serve(name, config, supervised).and_then(|(checked, me, keys)| {
        let options = serve::ServeOptions { log_level, log_format, stops_with_stdin: supervised };
        let (name, config) = (name.to_owned(), config.map(Path::to_path_buf));
        let reread = move || reread(&name, config.as_deref(), keys.clone());
        serve::serve(checked, me, &options, reread, node).map_err(Failure::CouldNotRun)
    });
    if served.is_err() {
        // The service manager may hold a listener with waiting clients; closing it refuses them at once.
        service::let_go();
    }
    served
}

/// The checked configuration, the index of this node in it, and the keys from `herd up`.
#[inline(never)]
fn ready_to_serve(
    name: &str,
    file: Option<&Path>,
    supervised: bool,
) -> Result<(Checked, usize, Option<Keys>), Failure> {
    let config = read(file);
    // `herd up` has printed the warnings once for all its nodes.
    let mut checked = checked(&config, if supervised { Severity::Error } else { Severity::Warning })?;
    let me = checked.index_of(name).ok_or_else(|| {
        let remedy = near_or(name, config.names(), || config::one_of(config.names()));
        let file = file.map_or_else(|| PathBuf::from("the built-in configuration"), Path::to_path_buf);
        Failure::Usage(format!("herd serve: no node {} in {} ({remedy})", quoted(name), file.display()))
    })?;
    let mut keys = None;
    if supervised {
        let given = key_line(io::stdin().lock()).map_err(|message| {
            Failure::CouldNotRun(format!("serve --supervised: standard input: {message}"))
        })?;
        checked = checked.with_keys(given.clone());
        keys = Some(given);
    }
    Ok((checked, me, keys))
}

/// Reads the configuration again for a running node. An error is one line.
fn reread(name: &str, config: Option<&Path>, keys: Option<Keys>) -> Result<(Checked, usize), String> {
    let (checked, findings) = read(config).check();
    let (errors, warnings): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.severity == Severity::Error);
    for warning in warnings {
        log::warn!("{warning}");
    }
    let joined = |errors: &[&Finding]| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    let checked = checked.ok_or_else(|| joined(&errors))?;
    let me = checked
        .index_of(name)
        .ok_or_else(|| format!("the configuration no longer lists node {}", quoted(name)))?;
    let checked = match keys {
        Some(keys) => checked.with_keys(keys),
        None => checked,
    };
    Ok((checked, me))
}

/// Reads the line of keys that `herd up` writes. No bytes follow the line, so buffering loses nothing.
fn key_line(input: impl BufRead) -> Result<Keys, String> {
    let mut line = Zeroizing::new(String::with_capacity(KEY_LINE_BYTES_MAX));
    input.take(KEY_LINE_BYTES_MAX as u64).read_line(&mut line).map_err(|error| error.to_string())?;
    Keys::from_line(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_keys_is_bounded() {
        let key = "5a".repeat(32);
        assert_eq!(key_line(format!("{key} {key}\n").as_bytes()).map(|keys| keys.current), Ok([0x5a; 32]));
        for line in ["", "\n", "x\n"] {
            assert!(key_line(line.as_bytes()).is_err(), "{line:?}");
        }
        assert!(key_line(io::BufReader::new(io::repeat(b'0'))).is_err());
    }

    #[test]
    fn a_summary_counts_in_words() {
        let (checked, _) = config::builtin().check_in(&Environment::default());
        assert_eq!(summary(checked.as_ref(), &[]), "5 nodes, 6 edges: ok\n");
        let (_, findings) = Config::parse("[]", Path::new("m")).check_in(&Environment::default());
        assert_eq!(summary(None, &findings), "1 error, 1 warning\n");
    }
}
