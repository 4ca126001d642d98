//! The herd's configuration: its nodes, its edges, and what they need to start.
//!
//! A [`Config`] is a configuration as written, mistakes included. [`Config::check`] checks all of it and reports all
//! mistakes at once. It returns a [`Checked`] only without errors. Nodes are built only from a `Checked`, so later
//! code need not check again. All boards of a herd use one configuration file, so both ends of an edge agree on it.
//!
//! Reading and checking block (on a few small files), look up no host names and start no thread. This module uses only
//! limits and plain settings of the rest of the program.
//!
//! ```
//! let config = r#"{ "nodes": { "Hill": { "clients": "127.0.0.1:8001", "links": "127.0.0.1:9001" } },
//!                "edges": [["Hill", "Hil"]] }"#;
//! let (checked, findings) = herd::config::Config::parse(config, std::path::Path::new("herd.json")).check();
//! assert!(checked.is_none());
//! assert_eq!(findings[0].to_string(), r#"herd.json:2: edges[0]: unknown node "Hil" (did you mean "Hill"?)"#);
//! ```

mod addresses;
mod board;
#[cfg(feature = "tls")]
pub mod certificate;
mod check;
mod endpoint;
#[cfg(test)]
mod endpoint_tests;
mod environment;
mod finding;
mod graph;
mod json;
mod keys;
mod listeners;
mod not_json;
mod phones;
mod places;
mod read;
mod secret;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use endpoint::Endpoint;
pub use environment::Environment;
pub use finding::{FINDINGS_MAX, Finding, Severity};
pub(crate) use finding::{did_you_mean, near_or, one_of, quoted};
pub use keys::{KEY_BYTES, Keys, key_digits};
pub(crate) use read::is_name as is_node_name;
pub use secret::{SecretLinks, private_key_file, read_private_key};

use crate::proto::limits::TABLE_CLIENTS;
pub use crate::proto::limits::{
    AGE_S_MAX, AGE_S_MIN, CLIENTS_MAX_MIN, CLIENTS_PER_ADDRESS_MAX, NEIGHBOURS_MAX,
    NODE_NAME_BYTES_MAX as NAME_BYTES_MAX, NODES_MAX,
};

use crate::places::Settings;
use crate::proto::node::secret::{Mode, PublicKeys};
use finding::Findings;
use phones::TlsSpec;
use places::PlacesSpec;

/// The most edges of a herd: every node has the maximum number of neighbours.
pub const EDGES_MAX: usize = NODES_MAX * NEIGHBOURS_MAX / 2;

/// The longest configuration file, in bytes. The largest herd with the longest names fits.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;
const _: () =
    assert!(CONFIG_BYTES_MAX >= NODES_MAX * (NAME_BYTES_MAX + 96) + EDGES_MAX * (2 * NAME_BYTES_MAX + 8));

/// The most gateway addresses in a configuration.
pub const GATEWAYS_MAX: usize = 64;

/// The most names in `phone_tokens`.
pub const PHONE_TOKENS_MAX: usize = 256;

/// The largest `clients_max`, and its default: the table of this build.
#[expect(clippy::cast_possible_truncation, reason = "at most 32768")]
pub const CLIENTS_MAX: u32 = TABLE_CLIENTS as u32;

/// The largest `snapshot_s`, in seconds: a day, the longest lifetime of an entry.
pub const SNAPSHOT_S_MAX: u32 = 86_400;
/// The smallest `snapshot_s`, in seconds. More frequent snapshots wear out an SD card.
pub const SNAPSHOT_S_MIN: u32 = 60;

/// A value of the configuration and its line.
#[derive(Clone, Copy, Debug)]
struct At<T> {
    value: T,
    line: usize,
}

/// A configuration as written. [`Config::parse`], [`Config::read`] and [`builtin`] make it and never fail:
/// [`Config::check`] reports mistakes in the text together with all others.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// In the order of the file. Names are unique, but need not be well-formed.
    nodes: Vec<NodeSpec>,
    edges: Vec<EdgeSpec>,
    key_file: Option<At<PathBuf>>,
    places: PlacesSpec,
    clock: ClockTrust,
    clients_per_address: Option<u32>,
    clients_max: Option<u32>,
    lifetime_s: Option<u32>,
    gateways: Vec<IpAddr>,
    snapshot_s: Option<u32>,
    phones: PhoneSettings,
    tls: Option<TlsSpec>,
    secret_links: Option<At<Mode>>,
    /// The folder of the file.
    folder: PathBuf,
    /// The findings of the reader: mistakes within one member.
    findings: Findings,
    /// Whether the reader skipped nodes, so an unknown name may still be right.
    lost_nodes: bool,
    /// Whether the reader skipped edges, so paths through the herd may be missing.
    lost_edges: bool,
}

/// A member of `nodes`. An address is `None` if the reader reported an error in it.
#[derive(Clone, Debug, Default)]
struct NodeSpec {
    name: String,
    line: usize,
    clients: Option<At<SocketAddr>>,
    links: Option<At<Endpoint>>,
    listen: Option<At<SocketAddr>>,
    http: Option<At<SocketAddr>>,
    phones: Option<At<SocketAddr>>,
    public_key: Option<At<PublicKeys>>,
}

impl NodeSpec {
    /// Each address that the node listens on, and its member.
    fn listeners(&self) -> impl Iterator<Item = (&'static str, At<SocketAddr>)> {
        let links = self.links.as_ref().filter(|_| self.listen.is_none());
        let all = [
            ("clients", self.clients),
            ("links", links.map(|links| At { value: links.value.listens_at(), line: links.line })),
            ("listen", self.listen),
            ("http", self.http),
            ("phones", self.phones),
        ];
        all.into_iter().filter_map(|(member, address)| Some((member, address?)))
    }
}

/// An element of `edges`.
#[derive(Clone, Debug)]
struct EdgeSpec {
    /// Its index in the array, from 0.
    index: usize,
    line: usize,
    ends: [String; 2],
}

impl Config {
    /// Reads a configuration from its text. Messages name it `file`; relative paths in it start from the folder of `file`.
    #[must_use]
    pub fn parse(text: &str, file: &Path) -> Config {
        read::from_text(text, &file.display().to_string(), file.parent().unwrap_or(Path::new("")))
    }

    /// Reads a configuration file of at most [`CONFIG_BYTES_MAX`] bytes.
    #[must_use]
    pub fn read(file: &Path) -> Config {
        read::from_file(file)
    }

    /// Reports all mistakes of the configuration, in the order of its lines. Returns a [`Checked`] exactly if no finding
    /// is an error.
    #[must_use]
    pub fn check(&self) -> (Option<Checked>, Vec<Finding>) {
        self.check_in(&Environment::of_this_process())
    }

    /// [`Config::check`] in an environment that the caller chooses.
    #[must_use]
    pub fn check_in(&self, environment: &Environment) -> (Option<Checked>, Vec<Finding>) {
        check::check(self, environment)
    }

    /// What `herd check` checks beyond [`Config::check`]: the places file from end to end, and whether this machine has the
    /// addresses of `node`.
    #[must_use]
    pub fn board_findings(&self, node: Option<&str>) -> Vec<Finding> {
        board::check(self, node, &Environment::of_this_process())
    }

    /// The mistakes in the text alone. For `herd send`: a client often cannot read the herd's key.
    #[must_use]
    pub fn text_findings(&self) -> Vec<Finding> {
        self.findings.clone().finish()
    }

    /// The names of the nodes in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// Where a client reaches this node. If the node listens on every address of its board, this is the host of its
    /// `links`. `None` if the configuration has no such node or address.
    #[must_use]
    pub fn client_address(&self, name: &str) -> Option<Endpoint> {
        let node = self.nodes.iter().find(|node| node.name == name)?;
        Some(reached(node, node.clients?.value))
    }

    /// The same address seen from the node's own board: a wildcard becomes loopback.
    #[must_use]
    pub fn client_address_on_board(&self, name: &str) -> Option<SocketAddr> {
        let node = self.nodes.iter().find(|node| node.name == name)?;
        let mut address = node.clients?.value;
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        Some(address)
    }

    /// The same for its HTTP listener, if the configuration has one.
    #[must_use]
    pub fn page(&self, name: &str) -> Option<String> {
        let node = self.nodes.iter().find(|node| node.name == name)?;
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        Some(format!("{scheme}://{}/", reached(node, node.http?.value)))
    }
}

/// Where a listener of this node is reached; a wildcard becomes the host of its `links`.
fn reached(node: &NodeSpec, address: SocketAddr) -> Endpoint {
    node.links.as_ref().map_or(Endpoint::Address(address), |links| links.value.reach(address))
}

/// The default configuration: five nodes on loopback, clients on ports 8001 to 8005, links on 9001 to 9005, pages on
/// 8011 to 8015. It is also the example of a configuration.
#[must_use]
pub fn builtin() -> Config {
    read::from_text(BUILTIN, "built-in configuration", Path::new(""))
}

/// The text of the built-in configuration.
const BUILTIN: &str = include_str!("builtin.json");

/// A configuration without errors.
///
/// Names are unique tokens of 1 to [`NAME_BYTES_MAX`] bytes; every edge joins two different nodes, once; no node has more
/// than [`NEIGHBOURS_MAX`] neighbours; there is a path between any two nodes; there are keys unless every address is
/// loopback; no two listeners of one machine use the same port; a node can be dialled if a neighbour dials it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Sorted by the bytes of the names. 1 to [`NODES_MAX`].
    pub nodes: Vec<NodeEntry>,
    /// Pairs of indices into `nodes`, the smaller first, sorted. The first node of a pair is the one that dials.
    pub edges: Vec<(usize, usize)>,
    /// `None` only if every address of the configuration is loopback.
    pub keys: Option<Keys>,
    /// The public keys of the nodes. `None` for signed links.
    pub secret_links: Option<SecretLinks>,
    /// What applies to every node.
    pub settings: NodeSettings,
}

/// The settings of a configuration that every node has alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSettings {
    /// The source of WHATSAT's places, keys included.
    pub places: Settings,
    /// When the node trusts the wall clock.
    pub clock: ClockTrust,
    /// The quota of clients per address in a node's table; 1 to [`CLIENTS_PER_ADDRESS_MAX`].
    pub clients_per_address: u32,
    /// The largest number of clients in a node's table; [`CLIENTS_MAX_MIN`] to [`CLIENTS_MAX`].
    pub clients_max: u32,
    /// The life of an entry in seconds; [`AGE_S_MIN`] to [`AGE_S_MAX`].
    pub lifetime_s: u32,
    /// Addresses without a quota, since many clients share them; at most [`GATEWAYS_MAX`].
    pub gateways: Vec<IpAddr>,
    /// Whether every address of the configuration is loopback, so all clients are on this machine.
    pub is_loopback: bool,
    /// The time between two snapshots of a node, in seconds: [`SNAPSHOT_S_MIN`] to [`SNAPSHOT_S_MAX`]. None by default.
    pub snapshot_s: Option<u32>,
    /// What applies to reports of phones.
    pub phones: PhoneSettings,
    /// The certificate of `http` and `phones`, if they speak TLS.
    pub tls: Option<TlsFiles>,
    /// The absolute path of the configuration file, or `built-in configuration`.
    pub file: String,
}

/// One node of a [`Checked`] config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// A letter or digit, then letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Where the node listens for clients; may be a wildcard such as `0.0.0.0:8001`.
    pub clients: SocketAddr,
    /// Where its neighbours dial it. A wildcard only if no neighbour dials the node.
    pub links: Endpoint,
    /// Where the node listens for its neighbours: `listen`, or else `links`.
    pub listen: SocketAddr,
    /// Where the node serves HTTP: page, status and metrics. `None` by default.
    pub http: Option<SocketAddr>,
    /// Where phones report over HTTP. `None` by default.
    pub phones: Option<SocketAddr>,
}

/// What the configuration says of phones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PhoneSettings {
    /// Whether an answer to OwnTracks has the newest other clients.
    pub friends: bool,
    /// Names whose token has another number than 1; at most [`PHONE_TOKENS_MAX`]. 0 forbids the name.
    pub tokens: Vec<(String, u32)>,
}

impl PhoneSettings {
    /// The number of this name's token.
    #[must_use]
    pub fn number(&self, name: &[u8]) -> u32 {
        self.tokens.iter().find(|(other, _)| other.as_bytes() == name).map_or(1, |(_, number)| *number)
    }
}

/// The PEM files of a certificate and its private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and each certificate between it and its root.
    pub cert_file: PathBuf,
    /// The private key.
    pub key_file: PathBuf,
}

/// When a node trusts its wall clock, and so refuses times far ahead of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockTrust {
    /// Always: the board has a clock chip, or all clients share the node's clock.
    Trusted,
    /// Never.
    Untrusted,
    /// As soon as systemd-timesyncd has set the clock.
    #[default]
    Auto,
}

impl ClockTrust {
    /// The file that systemd-timesyncd creates when it has set the clock.
    pub const FLAG_FILE: &'static str = "/run/systemd/timesync/synchronized";

    /// Whether the node trusts the wall clock now. [`ClockTrust::Auto`] checks a file at each call, since a board's clock is
    /// often set after the node's start. So call this at intervals, not for each line.
    #[must_use]
    pub fn holds_now(self) -> bool {
        match self {
            ClockTrust::Trusted => true,
            ClockTrust::Untrusted => false,
            ClockTrust::Auto => Path::new(ClockTrust::FLAG_FILE).exists(),
        }
    }
}

impl Checked {
    /// The index of a name in `nodes`.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.nodes.binary_search_by(|node| node.name.as_str().cmp(name)).ok()
    }

    /// The neighbours of the node of this index, as indices into `nodes`, ascending; empty for an index out of range.
    #[must_use]
    pub fn neighbours(&self, index: usize) -> Vec<usize> {
        let other_end = |&(a, b): &(usize, usize)| match index {
            _ if a == index => Some(b),
            _ if b == index => Some(a),
            _ => None,
        };
        let mut neighbours: Vec<usize> = self.edges.iter().filter_map(other_end).collect();
        neighbours.sort_unstable();
        neighbours
    }

    /// The same configuration with these keys instead of its own: `herd up` makes a fresh one for its nodes.
    #[must_use]
    pub fn with_keys(self, keys: Keys) -> Checked {
        Checked { keys: Some(keys), ..self }
    }
}
