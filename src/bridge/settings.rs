//! Settings: the bridge checks its options against the configuration of the herd.
//!
//! The bridge is a client of its node, so it does not need the herd's key. It needs a readable configuration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use herd::config::{self, Config, Environment, Severity};
use herd::files::read_secret;
use herd::server::{control, logging};
use log::{Level, LevelFilter};

use super::broker::Broker;
use super::failure::Failure;
use super::limits::{DEVICES_MAX, LOGIN_BYTES_MAX, USER_DEVICES_MAX};
use super::options::Options;
use super::topics::{self, Topics};

const PREFIX: &str = "owntracks/herd";
const TAKE_IN: &str = "owntracks/+/+";
/// The value of `--take-in` that turns taking in off.
const NONE: &str = "none";
/// The password's name among systemd's credentials.
const CREDENTIAL: &str = "mqtt-password";

/// What a bridge connects.
#[derive(Debug)]
pub struct Settings {
    /// The node's name.
    pub node: String,
    /// Possible paths of its control socket. The bridge uses the first that answers.
    pub control: Vec<PathBuf>,
    /// The address of its client port, from this machine.
    pub clients: SocketAddr,
    /// The broker.
    pub broker: Broker,
    /// The topics that the bridge publishes under.
    pub topics: Topics,
    /// The filter of topics that the bridge takes in: [`topics::check_filter`]. `None` if it takes in nothing.
    pub take_in: Option<String>,
    /// The maximum of devices of one MQTT user.
    pub user_devices_max: usize,
}

/// Reads the configuration, and checks the options against it. Starts the log.
///
/// # Errors
/// Wrong usage, or a refusal of the system.
pub fn load(options: &Options) -> Result<Settings, Failure> {
    let config = options.config.as_deref().map_or_else(config::builtin, Config::read);
    let credentials = Environment::of_this_process().credentials;
    let findings = config.text_findings();
    if let Some(error) = findings.iter().find(|finding| finding.severity == Severity::Error) {
        return Err(Failure::CouldNotRun(error.to_string()));
    }
    let settings = settings(options, &config, credentials.as_deref(), &control::names())?;
    for finding in findings {
        logging::tell(Level::Warn, &finding.to_string());
    }
    logging::start(&settings.node, options.log_level.unwrap_or(LevelFilter::Info), options.log_format);
    Ok(settings)
}

fn usage(what: &str, why: &str, remedy: &str) -> Failure {
    let remedy = if remedy.is_empty() { String::new() } else { format!(" ({remedy})") };
    Failure::Usage(format!("{what}: {why}{remedy}"))
}

fn settings(
    options: &Options,
    config: &Config,
    credentials: Option<&Path>,
    running: &[String],
) -> Result<Settings, Failure> {
    let mut broker =
        Broker::parse(&options.broker).map_err(|(why, remedy)| usage("--broker", &why, &remedy))?;
    match (broker.is_tls, options.ca_file.as_deref()) {
        (true, file) => broker.trust(file).map_err(Failure::CouldNotRun)?,
        (false, Some(_)) => return Err(usage("--ca-file", "--broker does not use TLS", "mqtts://HOST")),
        (false, None) => {}
    }
    let prefix = options.prefix.clone().unwrap_or_else(|| PREFIX.to_owned());
    topics::check_prefix(&prefix).map_err(|why| usage("--prefix", &why, PREFIX))?;
    let take_in = options.take_in.clone().unwrap_or_else(|| TAKE_IN.to_owned());
    let take_in = (take_in != NONE).then_some(take_in);
    if let Some(filter) = &take_in {
        topics::check_filter(filter).map_err(|why| usage("--take-in", &why, TAKE_IN))?;
    }
    let user_devices_max = options.user_devices.unwrap_or(USER_DEVICES_MAX);
    if !(1..=DEVICES_MAX).contains(&user_devices_max) {
        return Err(usage("--user-devices", "out of range", &format!("1 to {DEVICES_MAX}")));
    }
    let node = node(options.name.as_deref(), config, running)?;
    let Some(clients) = config.client_address_on_board(&node) else {
        let names: Vec<&str> = config.names().collect();
        let why = format!("the configuration has no node {node:?}");
        return Err(usage("NAME", &why, &format!("one of: {}", names.join(", "))));
    };
    broker.password(options.password_file.as_deref(), credentials)?;
    let topics = Topics { prefix, encode_dots: options.encode_dots };
    Ok(Settings { control: control::paths(&node), node, clients, broker, topics, take_in, user_devices_max })
}

/// The node of this name, or the only one of the configuration that runs here.
fn node(name: Option<&str>, config: &Config, running: &[String]) -> Result<String, Failure> {
    if let Some(name) = name {
        return Ok(name.to_owned());
    }
    let here: Vec<&str> = config.names().filter(|name| running.iter().any(|other| other == name)).collect();
    match here[..] {
        [name] => Ok(name.to_owned()),
        [] => Err(Failure::CouldNotRun(
            "no node of the configuration runs on this machine (name one: herd-bridge NAME; start it with: herd serve NAME)"
                .to_owned(),
        )),
        _ => Err(usage("NAME", "several nodes of the configuration run on this machine", &format!("one of: {}", here.join(", ")))),
    }
}

impl Broker {
    /// Sets the password: from this file, or from systemd's credentials.
    fn password(&mut self, file: Option<&Path>, credentials: Option<&Path>) -> Result<(), Failure> {
        let credential = credentials.map(|folder| folder.join(CREDENTIAL));
        // The unit passes a blank line if the board has no password.
        let credential = credential.filter(|file| file.metadata().is_ok_and(|metadata| metadata.len() > 1));
        match (&mut self.login, file, credential) {
            (None, Some(_), _) => {
                return Err(usage("--password-file", "--broker names no user", "mqtt://USER@HOST"));
            }
            (Some((_, password)), Some(file), _) => *password = read_password(file, true)?,
            (Some((_, password)), None, Some(file)) => *password = read_password(&file, false)?,
            _ => {}
        }
        Ok(())
    }
}

/// The first line of a file that only its owner can read. systemd's credentials are in a private folder.
fn read_password(path: &Path, must_be_private: bool) -> Result<String, Failure> {
    let wrong = |why: &str| Failure::CouldNotRun(format!("--password-file: {}: {why}", path.display()));
    let text = read_secret(path, must_be_private, LOGIN_BYTES_MAX as u64 + 3)
        .map_err(|why| Failure::CouldNotRun(format!("--password-file: {why}")))?;
    let password = text.lines().next().unwrap_or_default();
    match password.len() {
        0 => Err(wrong("the file does not hold a password")),
        bytes if bytes > LOGIN_BYTES_MAX => Err(wrong(&format!("longer than {LOGIN_BYTES_MAX} bytes"))),
        _ => Ok(password.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn options(name: Option<&str>, broker: &str) -> Options {
        Options { name: name.map(str::to_owned), broker: broker.to_owned(), ..Options::default() }
    }

    fn made(options: &Options, running: &[&str]) -> Result<Settings, String> {
        let running: Vec<String> = running.iter().map(|name| (*name).to_owned()).collect();
        settings(options, &config::builtin(), None, &running).map_err(|failure| match failure {
            Failure::Usage(message) => message,
            Failure::CouldNotRun(message) => format!("1: {message}"),
        })
    }

    #[test]
    fn settings_come_from_the_configuration_and_defaults() {
        let settings = made(&options(Some("Smith"), "mqtt://ann@b"), &[]).expect("it is right");
        assert_eq!(
            (settings.node.as_str(), settings.clients.port(), settings.topics.prefix.as_str()),
            ("Smith", 8003, PREFIX)
        );
        assert_eq!(settings.take_in.as_deref(), Some(TAKE_IN));
        let none = Options { take_in: Some(NONE.into()), ..options(None, "mqtt://b") };
        let settings = made(&none, &["Other", "Hill"]).expect("it is right");
        assert_eq!((settings.node.as_str(), settings.take_in), ("Hill", None));
    }

    #[test]
    fn a_wrong_option_is_reported_with_a_remedy() {
        let with = |change: fn(&mut Options)| {
            let mut options = options(Some("Hill"), "mqtt://b");
            change(&mut options);
            made(&options, &[]).expect_err("it is wrong")
        };
        for (message, words) in [
            (with(|o| o.broker = "mqtt://a:b@c".into()), "--broker: every user of this machine can read"),
            (with(|o| o.prefix = Some("a/#".into())), "--prefix: a prefix has no wildcards (owntracks/herd)"),
            (with(|o| o.take_in = Some("+".into())), "--take-in: an id is made of"),
            (with(|o| o.name = Some("Hil".into())), "no node \"Hil\" (one of: Hill, "),
            (with(|o| o.password_file = Some("p".into())), "--broker names no user (mqtt://USER@HOST)"),
            (with(|o| o.user_devices = Some(0)), "--user-devices: out of range (1 to 4096)"),
            (
                with(|o| o.ca_file = Some("/dev/null".into())),
                "--ca-file: --broker does not use TLS (mqtts://HOST)",
            ),
            (with(|o| o.name = None), "1: no node of the configuration runs on this machine"),
        ] {
            assert!(message.contains(words), "{message}");
        }
        let several = made(&options(None, "mqtt://b"), &["Hill", "Smith"]).expect_err("which?");
        assert!(several.contains("one of: Hill, Smith"), "{several}");
    }

    #[test]
    fn a_wrong_configuration_is_not_wrong_usage() {
        for file in ["/nowhere/herd.json", "/dev/null"] {
            let options = Options { config: Some(file.into()), ..options(Some("Hill"), "mqtt://b") };
            let failure = load(&options).err();
            assert!(matches!(&failure, Some(Failure::CouldNotRun(why)) if why.contains(file)), "{failure:?}");
        }
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
        assert!(read("\n", 0o600, true).is_err_and(|why| why.contains("not hold a password")));
        assert!(read(&"x".repeat(LOGIN_BYTES_MAX + 1), 0o600, true).is_err_and(|why| why.contains("longer")));
        assert!(read(&"x".repeat(LOGIN_BYTES_MAX), 0o600, true).is_ok());
        std::fs::remove_file(&path).expect("it is there");
    }
}
