//! `herd bridge`: arguments into what a bridge joins.
//!
//! Only the configuration's text has to be right: as a client of its node the bridge needs no key of the herd.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use log::Level;

use super::Failure;
use super::parse::BridgeOptions;
use crate::bridge::limits::LOGIN_BYTES_MAX;
use crate::bridge::{self, Broker, Settings, topics};
use crate::config::{Config, Environment, did_you_mean, quoted};
use crate::server::{control, logging};

const PREFIX: &str = "owntracks/herd";
const TAKE_IN: &str = "owntracks/+/+";
/// What `--take-in` calls no filter at all.
const NONE: &str = "none";
/// The password's name among systemd's credentials.
const CREDENTIAL: &str = "mqtt-password";

/// Runs a bridge until it is told to stop.
pub(super) fn run(options: &BridgeOptions) -> Result<(), Failure> {
    let config = super::read(options.map.as_deref());
    let credentials = Environment::of_this_process().credentials;
    let settings = settings(options, &config, credentials.as_deref(), &control::names())?;
    for finding in config.text_findings() {
        logging::tell(Level::Warn, &finding.to_string());
    }
    logging::start(options.log_level, options.log_format);
    bridge::run(settings).map_err(|error| Failure::CouldNotRun(format!("bridge: {error}")))
}

fn usage(what: &str, why: &str, remedy: &str) -> Failure {
    let remedy = if remedy.is_empty() { String::new() } else { format!(" ({remedy})") };
    Failure::Usage(format!("herd bridge: {what}: {why}{remedy}; see: herd bridge --help"))
}

fn settings(
    options: &BridgeOptions,
    config: &Config,
    credentials: Option<&Path>,
    running: &[String],
) -> Result<Settings, Failure> {
    let mut broker =
        Broker::parse(&options.broker).map_err(|(why, remedy)| usage("--broker", &why, &remedy))?;
    let prefix = options.prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
    topics::check_prefix(&prefix).map_err(|why| usage("--prefix", &why, PREFIX))?;
    let take_in = options.take_in.clone().unwrap_or_else(|| TAKE_IN.to_owned());
    let take_in = (take_in != NONE).then_some(take_in);
    if let Some(filter) = &take_in {
        topics::check_filter(filter).map_err(|why| usage("--take-in", &why, TAKE_IN))?;
    }
    let node = node(options.name.as_deref(), config, running)?;
    let Some(clients) = config.client_address_on_board(&node) else {
        let near = did_you_mean(&node, config.names());
        let remedy = if near.is_empty() { "its nodes: herd check --config FILE".to_owned() } else { near };
        return Err(usage("NAME", &format!("no node {} in the configuration", quoted(&node)), &remedy));
    };
    let credential = credentials.map(|folder| folder.join(CREDENTIAL));
    // The unit hands over a blank line where the board has no password.
    let credential = credential.filter(|file| file.metadata().is_ok_and(|metadata| metadata.len() > 1));
    match (&mut broker.login, &options.password_file, credential) {
        (None, Some(_), _) => {
            return Err(usage("--password-file", "--broker names no user", "mqtt://USER@HOST"));
        }
        (Some((_, password)), Some(file), _) => *password = read_password(file, true)?,
        (Some((_, password)), None, Some(file)) => *password = read_password(&file, false)?,
        _ => {}
    }
    Ok(Settings { control: control::paths(&node), node, clients, broker, prefix, take_in })
}

/// The node that is named, or the only one of the configuration that runs here.
fn node(name: Option<&str>, config: &Config, running: &[String]) -> Result<String, Failure> {
    if let Some(name) = name {
        return Ok(name.to_owned());
    }
    let here: Vec<&str> = config.names().filter(|name| running.iter().any(|other| other == name)).collect();
    match here[..] {
        [name] => Ok(name.to_owned()),
        [] => Err(Failure::CouldNotRun(
            "bridge: no node of the configuration runs on this machine (name one: herd bridge NAME; start it with: herd serve NAME)"
                .to_owned(),
        )),
        _ => Err(usage("NAME", "several nodes of the configuration run on this machine", &format!("one of: {}", here.join(", ")))),
    }
}

/// The first line of a file that nobody but its owner may read; systemd's credentials are in a closed folder.
fn read_password(path: &PathBuf, must_be_private: bool) -> Result<String, Failure> {
    let name = path.display();
    let wrong = |why: &str| Failure::CouldNotRun(format!("bridge: --password-file: {name}: {why}"));
    let metadata = std::fs::metadata(path).map_err(|error| wrong(&error.to_string()))?;
    if !metadata.is_file() {
        return Err(wrong("not a regular file"));
    }
    if must_be_private && metadata.mode() & 0o077 != 0 {
        return Err(wrong(&format!("others than its owner may use it (chmod 600 {name})")));
    }
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(&error.to_string()))?;
    file.take(LOGIN_BYTES_MAX as u64 + 3)
        .read_to_string(&mut text)
        .map_err(|error| wrong(&error.to_string()))?;
    let password = text.lines().next().unwrap_or_default();
    match password.len() {
        0 => Err(wrong("it holds no password")),
        bytes if bytes > LOGIN_BYTES_MAX => Err(wrong(&format!("longer than {LOGIN_BYTES_MAX} bytes"))),
        _ => Ok(password.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use log::LevelFilter;

    use super::*;
    use crate::config;
    use crate::server::logging::LogFormat;

    fn options(name: Option<&str>, broker: &str) -> BridgeOptions {
        BridgeOptions {
            name: name.map(str::to_owned),
            config: None,
            broker: broker.to_owned(),
            password_file: None,
            prefix: None,
            take_in: None,
            log_level: LevelFilter::Info,
            log_format: LogFormat::Auto,
        }
    }

    fn made(options: &BridgeOptions, running: &[&str]) -> Result<Settings, String> {
        let running: Vec<String> = running.iter().map(|name| (*name).to_owned()).collect();
        settings(options, &config::builtin(), None, &running).map_err(|failure| match failure {
            Failure::Usage(message) => message,
            Failure::CouldNotRun(message) => format!("1: {message}"),
            Failure::Told => "told".to_owned(),
        })
    }

    #[test]
    fn a_bridge_is_made_of_the_map_and_of_defaults() {
        let settings = made(&options(Some("Smith"), "mqtt://ann@b"), &[]).expect("it is right");
        assert_eq!(
            (settings.node.as_str(), settings.clients.port(), settings.prefix.as_str()),
            ("Smith", 8003, PREFIX)
        );
        assert_eq!(settings.take_in.as_deref(), Some(TAKE_IN));
        let none = BridgeOptions { take_in: Some(NONE.into()), ..options(None, "mqtt://b") };
        let settings = made(&none, &["Other", "Hill"]).expect("it is right");
        assert_eq!((settings.node.as_str(), settings.take_in), ("Hill", None));
    }

    #[test]
    fn what_makes_no_sense_is_told_with_a_remedy() {
        let with = |change: fn(&mut BridgeOptions)| {
            let mut options = options(Some("Hill"), "mqtt://b");
            change(&mut options);
            made(&options, &[]).expect_err("it is wrong")
        };
        for (said, words) in [
            (
                with(|o| o.broker = "mqtt://a:b@c".into()),
                "herd bridge: --broker: a password does not belong there",
            ),
            (
                with(|o| o.prefix = Some("a/#".into())),
                "herd bridge: --prefix: a prefix has no wildcards (owntracks/herd)",
            ),
            (with(|o| o.take_in = Some("+".into())), "herd bridge: --take-in: an id is made of"),
            (
                with(|o| o.name = Some("Hil".into())),
                "no node \"Hil\" in the configuration (did you mean \"Hill\"?)",
            ),
            (with(|o| o.password_file = Some("p".into())), "--broker names no user (mqtt://USER@HOST)"),
            (with(|o| o.name = None), "1: bridge: no node of the configuration runs on this machine"),
        ] {
            assert!(said.contains(words), "{said}");
        }
        let several = made(&options(None, "mqtt://b"), &["Hill", "Smith"]).expect_err("which?");
        assert!(several.contains("one of: Hill, Smith"), "{several}");
    }

    #[test]
    fn a_password_is_the_first_line_of_a_private_file() {
        let path = std::env::temp_dir().join(format!("herd-password-{}", std::process::id()));
        let read = |text: &str, mode: u32, must_be_private: bool| {
            std::fs::write(&path, text).expect("it can be written");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("it is ours");
            read_password(&path, must_be_private).map_err(|failure| format!("{failure:?}"))
        };
        assert_eq!(read("a b\r\nc\n", 0o600, true), Ok("a b".to_owned()));
        assert_eq!(read("a", 0o644, false), Ok("a".to_owned()));
        assert!(
            read("secret", 0o640, true)
                .is_err_and(|why| why.contains("chmod 600") && !why.contains("secret"))
        );
        assert!(read("\n", 0o600, true).is_err_and(|why| why.contains("no password")));
        assert!(read(&"x".repeat(LOGIN_BYTES_MAX + 1), 0o600, true).is_err_and(|why| why.contains("longer")));
        assert!(read(&"x".repeat(LOGIN_BYTES_MAX), 0o600, true).is_ok());
        std::fs::remove_file(&path).expect("it is there");
    }
}
