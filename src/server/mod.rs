//! The server does what the core decides: sockets, timers, clocks, signals, logs.
//!
//! `driver` is bytes in, bytes out, and waits for nothing. [`shared`], and the files named `serve`, are the tasks of a node,
//! written once for any [`runtime`]. They do not depend on the format of a configuration, only on a [`NodeConfig`].

mod acceptor;
mod addresses;
mod answer;
mod boards;
pub mod budget;
pub mod client;
pub mod client_id;
pub mod clock;
pub mod control;
pub mod counters;
pub mod driver;
pub mod events;
pub mod footprint;
pub mod herd_status;
pub mod http;
pub mod iamat;
pub mod json;
pub mod limits;
mod link_log;
mod link_table;
mod links;
pub mod listen;
pub mod logging;
mod look_up;
pub mod metrics;
pub mod notify;
pub mod phones;
mod random;
mod run;
pub mod runtime;
pub mod service;
pub mod shared;
pub mod snapshot;
pub mod status;
mod target;
#[cfg_attr(not(feature = "tls"), path = "plain.rs")]
mod tls;
pub mod token;
pub mod warn_limit;

pub use run::run;

use std::fmt;
use std::net::SocketAddr;

use crate::config::{Endpoint, NodeSettings};
use crate::proto::auth::Keys;
use crate::proto::node::StartError;
use crate::proto::node::secret::{Mode, PublicKeys, Secrecy};
use crate::proto::noise::key_pair::KeyPair;

/// One node of the herd, as the others see it.
#[derive(Clone, Debug)]
pub struct Address {
    /// Its name.
    pub name: String,
    /// Where it listens to clients.
    pub clients: SocketAddr,
    /// Where its neighbours dial it.
    pub links: Endpoint,
    /// Where it serves HTTP, if anywhere.
    pub http: Option<SocketAddr>,
    /// Where it takes reports of phones, if anywhere.
    pub phones: Option<SocketAddr>,
}

/// One node's part of a checked configuration.
#[derive(Debug)]
pub struct NodeConfig {
    /// All nodes of the configuration, sorted by name.
    pub nodes: Vec<Address>,
    /// This node's place in `nodes`.
    pub me: usize,
    /// Where this node listens to its neighbours.
    pub listen: SocketAddr,
    /// The neighbours' places in `nodes`, rising.
    pub neighbours: Vec<usize>,
    /// All edges of the configuration, for subscribers over HTTP; empty without an HTTP listener.
    pub edges: Vec<(u16, u16)>,
    /// The herd's keys; none only where every address is loopback.
    pub keys: Option<Keys>,
    /// What secret links need; none for signed ones. The node takes it when it starts or reloads.
    pub secret: Option<SecretPlan>,
    /// What applies to every node.
    pub settings: NodeSettings,
    /// Another process holds this node's standard input open as long as it is to run.
    pub supervised: bool,
}

/// What a node needs for secret links.
#[derive(Debug)]
pub struct SecretPlan {
    /// Which links it dials and accepts.
    pub mode: Mode,
    /// Its key pair.
    pub pair: KeyPair,
    /// The public keys of all nodes, in the order of their names.
    pub public_keys: Vec<PublicKeys>,
}

impl SecretPlan {
    pub(crate) fn secrecy(&self) -> Secrecy<'_> {
        Secrecy { mode: self.mode, pair: &self.pair, public_keys: &self.public_keys }
    }
}

/// Reads the configuration again; the error is a message. Runs on the node's own thread and blocks it: a configuration
/// is a small file on the board.
pub type ReloadFn = Box<dyn Fn() -> Result<NodeConfig, String>>;

/// Why a node could not run.
#[derive(Debug)]
pub enum RunError {
    /// A listener could not be bound.
    Bind {
        /// `clients` or `links`.
        member: &'static str,
        /// The address of the configuration.
        address: SocketAddr,
        /// The system's error.
        error: std::io::Error,
    },
    /// The core refused the plan: the configuration was not checked.
    Start(StartError),
    /// The system refused a resource that a node needs.
    System {
        /// What it was.
        what: &'static str,
        /// The system's error.
        error: std::io::Error,
    },
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            RunError::Bind { member, address, error } if error.kind() == std::io::ErrorKind::AddrInUse => {
                write!(
                    f,
                    "{member}: {address} is in use by another node or program (stop it, or change the port)"
                )
            }
            RunError::Bind { member, address, error } => {
                write!(f, "{member}: cannot listen on {address}: {error}")
            }
            RunError::Start(error) => write!(f, "the configuration was not checked: {error:?}"),
            RunError::System { what, error } => write!(f, "{what}: {error}"),
        }
    }
}

impl std::error::Error for RunError {}
