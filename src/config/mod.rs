//! The herd's configuration: its nodes, its edges, and what they need to start.
//!
//! A [`Config`] is a configuration as it was written, mistakes included; [`Config::check`] looks at all of it, gives every mistake
//! at once, and gives a [`Checked`] only when there is none. Nodes are built from a `Checked` and nothing else, so what
//! holds for a `Checked` need not be looked at again. One config serves all boards of a herd: both ends of an edge agree on
//! it by construction.
//!
//! Reading and checking block (a few small files), look up no names and start no thread. Of the rest
//! of the program this module knows limits and plain settings only.
//!
//! ```
//! let config = r#"{ "nodes": { "Hill": { "clients": "127.0.0.1:8001", "links": "127.0.0.1:9001" } },
//!                "edges": [["Hill", "Hil"]] }"#;
//! let (checked, findings) = herd::config::Config::parse(config, std::path::Path::new("herd.json")).check();
//! assert!(checked.is_none());
//! assert_eq!(findings[0].to_string(), r#"herd.json:2: edges[0]: unknown node "Hil" (did you mean "Hill"?)"#);
//! ```

mod check;
mod environment;
mod finding;
mod graph;
mod json;
mod keys;
mod listeners;
mod places;
mod read;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

pub use environment::Environment;
pub use finding::{FINDINGS_MAX, Finding, Severity};
pub(crate) use finding::{did_you_mean, quoted};
pub use keys::{KEY_BYTES, Keys};

pub use crate::proto::limits::{
    CLIENTS_PER_ADDRESS_MAX, NEIGHBOURS_MAX, NODE_NAME_BYTES_MAX as NAME_BYTES_MAX, NODES_MAX,
};

use crate::places::Settings;
use finding::Findings;
use places::PlacesSpec;

/// The most edges of a herd: every node with all the neighbours it may have.
pub const EDGES_MAX: usize = NODES_MAX * NEIGHBOURS_MAX / 2;

/// The longest configuration file, in bytes. The largest herd, with its names as long as they may be, fits.
pub const CONFIG_BYTES_MAX: usize = 1024 * 1024;
const _: () =
    assert!(CONFIG_BYTES_MAX >= NODES_MAX * (NAME_BYTES_MAX + 96) + EDGES_MAX * (2 * NAME_BYTES_MAX + 8));

/// The most addresses of gateways that a configuration lists.
pub const GATEWAYS_MAX: usize = 64;

/// The longest time between two snapshots that a configuration may ask for, in seconds: a day, which is as long as an entry lives.
pub const SNAPSHOT_S_MAX: u32 = 86_400;
/// The shortest, in seconds: for a disk that writing does not wear out. A card wants minutes.
pub const SNAPSHOT_S_MIN: u32 = 10;

/// A value of the configuration and the line that it is on.
#[derive(Clone, Copy, Debug)]
struct At<T> {
    value: T,
    line: usize,
}

/// A configuration as it was written. Made by [`Config::parse`], [`Config::read`] or [`builtin`]; none of them fails, since what is
/// wrong with the text is given by [`Config::check`] together with everything else.
#[derive(Clone, Debug)]
pub struct Config {
    /// In the order of the file. Names are unique, but need not be well-formed.
    nodes: Vec<NodeSpec>,
    edges: Vec<EdgeSpec>,
    key_file: Option<At<PathBuf>>,
    places: PlacesSpec,
    clock: ClockTrust,
    clients_per_address: u32,
    gateways: Vec<IpAddr>,
    snapshot_s: Option<u32>,
    /// What the reader found: everything that one member shows by itself.
    findings: Findings,
    /// Whether the reader had to leave out nodes, so that a name that is not there may still be right.
    lost_nodes: bool,
    /// Whether the reader had to leave out edges, so that paths through the herd may be missing.
    lost_edges: bool,
}

/// A member of `nodes`. An address is `None` when the reader could make nothing of it, and said so.
#[derive(Clone, Debug)]
struct NodeSpec {
    name: String,
    line: usize,
    clients: Option<At<SocketAddr>>,
    links: Option<At<SocketAddr>>,
    http: Option<At<SocketAddr>>,
}

/// An element of `edges`.
#[derive(Clone, Debug)]
struct EdgeSpec {
    /// Its place in the array, from 0.
    index: usize,
    line: usize,
    ends: [String; 2],
}

impl Config {
    /// Reads a configuration from its text. `file` is how messages call it, and relative paths in it start from its folder.
    #[must_use]
    pub fn parse(text: &str, file: &Path) -> Config {
        read::from_text(text, &file.display().to_string(), file.parent().unwrap_or(Path::new("")))
    }

    /// Reads a configuration file of at most [`CONFIG_BYTES_MAX`] bytes.
    #[must_use]
    pub fn read(file: &Path) -> Config {
        read::from_file(file)
    }

    /// Everything that is wrong with the configuration, in the order of its lines, and the configuration to build nodes from, which is there
    /// exactly when no finding is an error.
    #[must_use]
    pub fn check(&self) -> (Option<Checked>, Vec<Finding>) {
        self.check_in(&Environment::of_this_process())
    }

    /// [`Config::check`] with environment of the caller's choice.
    #[must_use]
    pub fn check_in(&self, environment: &Environment) -> (Option<Checked>, Vec<Finding>) {
        check::check(self, environment)
    }

    /// What is wrong with the text alone: for a client of the herd, who need not be able to read the herd's key.
    #[must_use]
    pub fn text_findings(&self) -> Vec<Finding> {
        self.findings.clone().finish()
    }

    /// The names of the nodes in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// The address to connect to as a client of this node. A node that listens on every address of its board is reached
    /// at the address of its links. `None` where the configuration gives no such node or no such address.
    #[must_use]
    pub fn client_address(&self, name: &str) -> Option<SocketAddr> {
        let node = self.nodes.iter().find(|node| node.name == name)?;
        Some(reached(node, node.clients?.value))
    }

    /// The same as seen on the node's own board, where a listener on every address is reached over loopback.
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

    /// The same for its HTTP listener, if it is to have one.
    #[must_use]
    pub fn http_address(&self, name: &str) -> Option<SocketAddr> {
        let node = self.nodes.iter().find(|node| node.name == name)?;
        Some(reached(node, node.http?.value))
    }
}

/// Where a listener of this node is reached: one on all addresses of its board at that of its links.
fn reached(node: &NodeSpec, mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified()
        && let Some(links) = node.links
    {
        address.set_ip(links.value.ip());
    }
    address
}

/// The five-node herd that is used where no configuration is named: clients on ports 8001 to 8005, links on 9001 to 9005, pages on 8011 to 8015, all on
/// loopback. Also the example of a configuration.
#[must_use]
pub fn builtin() -> Config {
    read::from_text(BUILTIN, "built-in configuration", Path::new(""))
}

/// The text of the built-in configuration.
const BUILTIN: &str = include_str!("builtin.json");

/// A configuration without mistakes: all that a node needs to know of its herd.
///
/// Names are unique tokens of 1 to [`NAME_BYTES_MAX`] bytes; every edge joins two different nodes, once; no node has more
/// than [`NEIGHBOURS_MAX`] neighbours; there is a path between any two nodes; there are keys unless every address is
/// loopback; no two listeners of one machine want the same port; every node that is dialled can be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Sorted by the bytes of the names. 1 to [`NODES_MAX`].
    pub nodes: Vec<NodeEntry>,
    /// Pairs of indices into `nodes`, the smaller first, sorted. The first node of a pair is the one that dials.
    pub edges: Vec<(usize, usize)>,
    /// `None` only where every address of the configuration is loopback.
    pub keys: Option<Keys>,
    /// Where WHATSAT's places come from, keys included.
    pub places: Settings,
    /// When the wall clock is taken to be right.
    pub clock: ClockTrust,
    /// How many clients one address may hold in a node's table; 1 to [`CLIENTS_PER_ADDRESS_MAX`].
    pub clients_per_address: u32,
    /// Addresses that many clients share, and that have no quota; at most [`GATEWAYS_MAX`].
    pub gateways: Vec<IpAddr>,
    /// Whether every address of the configuration is loopback: then no client comes from another machine.
    pub is_loopback: bool,
    /// The time between two snapshots of a node, in seconds: [`SNAPSHOT_S_MIN`] to [`SNAPSHOT_S_MAX`]. None by default.
    pub snapshot_s: Option<u32>,
}

/// One node of a [`Checked`] config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeEntry {
    /// A letter or digit, then letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Where the node listens for clients; may be a wildcard such as `0.0.0.0:8001`.
    pub clients: SocketAddr,
    /// Where the node listens for its neighbours, and where they dial it; a wildcard only for a node that nobody dials.
    pub links: SocketAddr,
    /// Where the node says how it is over HTTP; nowhere by default.
    pub http: Option<SocketAddr>,
}

/// When a node takes its wall clock to be right, and so refuses times far ahead of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockTrust {
    /// Always: the board has a clock chip, or all clients share the node's clock.
    Trusted,
    /// Never.
    Untrusted,
    /// From when systemd-timesyncd says that it has set the clock.
    Auto,
}

impl ClockTrust {
    /// The file that systemd-timesyncd makes once it has set the clock.
    pub const FLAG_FILE: &'static str = "/run/systemd/timesync/synchronized";

    /// Whether the wall clock is taken to be right at this moment. With [`ClockTrust::Auto`] this looks for a file each
    /// time, since a board's clock is often set only after the node has started: ask now and then, not for each line.
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
    /// The place of a name in `nodes`.
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
