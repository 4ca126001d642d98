//! The bridge: what a node tells those who watch it goes to an MQTT broker as OwnTracks locations, and OwnTracks
//! locations on that broker go to the node as reports.
//!
//! ```text
//!   node: control socket --watch--> stream -> pending -> owntracks -> session --> broker
//!   node: client port    <--IAMAT-- reports <-------- owntracks <- session <----- broker
//! ```
//!
//! A process of its own beside the node, which knows nothing of it: to the node it is one who watches and one client. All
//! it knows is in memory, bounded, and given up with the connection to the broker; the herd is what remembers.
//!
//! * [`owntracks`], [`topics`], [`pending`], [`stream`] and [`session`] **decide**. *Invariant: no socket, no clock; whatever
//!   a broker, a node or a stranger's message holds, they neither panic nor keep more than [`limits`] says.*
//! * `run` **does**: two connections to the node, one to the broker, one thread.
//!
//! A herd's own messages never come back as reports, whoever passes them on: what is published has a member that says that
//! it is of a herd, and what has that member is left alone.

pub mod backoff;
pub mod counters;
mod devices;
pub mod limits;
mod node;
pub mod owntracks;
pub mod pending;
mod run;
pub mod session;
pub mod stream;
pub mod topics;
mod warnings;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

pub use run::run;

/// The TCP port of MQTT.
pub const MQTT_PORT: u16 = 1883;

/// What a bridge joins.
#[derive(Debug)]
pub struct Settings {
    /// The node's name.
    pub node: String,
    /// Where its control socket may be; the first that answers is taken.
    pub control: Vec<PathBuf>,
    /// Its client port, as it is reached from this machine.
    pub clients: SocketAddr,
    /// The broker.
    pub broker: Broker,
    /// What comes before a client's id in the topics of what is published: [`topics::check_prefix`].
    pub prefix: String,
    /// The topics of what is taken in, if anything: [`topics::check_filter`].
    pub take_in: Option<String>,
}

/// A broker, and who the bridge is to it.
#[derive(Clone)]
pub struct Broker {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The name that the broker knows the bridge by, and its password; the latter may be empty.
    pub login: Option<(String, String)>,
}

impl fmt::Debug for Broker {
    /// Never the password.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "mqtt://")?;
        if let Some((user, _)) = &self.login {
            write!(f, "{}@", user.escape_default())?;
        }
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

impl Broker {
    /// Reads `mqtt://[USER@]HOST[:PORT]`.
    ///
    /// # Errors
    /// What is wrong with it, and the remedy; neither holds a password that stands where none belongs.
    pub fn parse(url: &str) -> Result<Broker, (String, String)> {
        let wrong = |why: &str, remedy: &str| Err((why.to_owned(), remedy.to_owned()));
        let form = "mqtt://[USER@]HOST[:PORT]";
        let Some(rest) = url.strip_prefix("mqtt://") else {
            return match url.split_once("://") {
                Some(("mqtts" | "ssl" | "wss", _)) => wrong(
                    "the bridge speaks MQTT without TLS",
                    "run the broker on this board, or put a tunnel between",
                ),
                _ => wrong("it is no address of a broker", form),
            };
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        if user.is_some_and(|user| user.contains(':')) {
            return wrong(
                "a password does not belong there, where all can read it",
                "put it in a --password-file",
            );
        }
        if user.is_some_and(|user| user.is_empty() || user.len() > limits::LOGIN_BYTES_MAX) {
            return wrong("the user's name is empty, or too long", form);
        }
        let (host, port) = match place.strip_prefix('[').and_then(|place| place.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, port.strip_prefix(':').or(Some(""))),
            None => place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
        if host.is_empty() || host.len() > limits::LOGIN_BYTES_MAX || !host.chars().all(is_host) {
            return wrong("it names no host", form);
        }
        let Some(port) = port.map_or(Some(MQTT_PORT), |port| port.parse().ok().filter(|port| *port > 0))
        else {
            return wrong("its port is no number from 1 to 65535", form);
        };
        let login = user.map(|user| (user.to_owned(), String::new()));
        Ok(Broker { host: host.to_owned(), port, login })
    }
}

/// What comes in time, or else an error.
async fn in_time<T>(ms: u64, done: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    let late = async {
        async_io::Timer::after(std::time::Duration::from_millis(ms)).await;
        Err(std::io::ErrorKind::TimedOut.into())
    };
    futures_lite::future::or(done, late).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_broker_is_read_and_shown_without_a_password() {
        for (url, shown) in [
            ("mqtt://broker", "mqtt://broker:1883"),
            ("mqtt://10.0.0.2:1884/", "mqtt://10.0.0.2:1884"),
            ("mqtt://ann@ex.org@broker:1", "mqtt://ann@ex.org@broker:1"),
            ("mqtt://ann@[fe80::1%eth0]", "mqtt://ann@[fe80::1%eth0]:1883"),
            ("mqtt://[::1]:7", "mqtt://[::1]:7"),
        ] {
            let mut broker = Broker::parse(url).unwrap_or_else(|why| panic!("{url}: {why:?}"));
            if let Some((_, password)) = &mut broker.login {
                "secret".clone_into(password);
            }
            assert_eq!((broker.to_string(), format!("{broker:?}")), (shown.to_owned(), shown.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_of_a_broker_is_refused_with_the_reason() {
        for (url, why) in [
            ("broker", "it is no address of a broker"),
            ("http://broker", "it is no address of a broker"),
            ("mqtts://broker", "the bridge speaks MQTT without TLS"),
            ("mqtt://ann:secret@broker", "a password does not belong there, where all can read it"),
            ("mqtt://@broker", "the user's name is empty, or too long"),
            ("mqtt://", "it names no host"),
            ("mqtt://a b", "it names no host"),
            ("mqtt://a:0", "its port is no number from 1 to 65535"),
            ("mqtt://a:x", "its port is no number from 1 to 65535"),
            ("mqtt://[::1]7", "its port is no number from 1 to 65535"),
            ("mqtt://a:70000", "its port is no number from 1 to 65535"),
        ] {
            let (said, remedy) = Broker::parse(url).expect_err(url);
            assert_eq!(said, why, "{url}");
            assert!(!remedy.is_empty() && !format!("{said}{remedy}").contains("secret"));
        }
    }
}
