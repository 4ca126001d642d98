//! `herd serve`: from the configuration of the herd to the node that runs.

use log::LevelFilter;

use crate::cli::RunNode;
use crate::config::{self, Checked};
use crate::proto::auth;
use crate::server::logging::LogFormat;
use crate::server::token::Token;
use crate::server::{self, Address, NodeConfig};

/// How a node is run.
#[derive(Debug)]
pub(in crate::cli) struct ServeOptions {
    pub(in crate::cli) log_level: LevelFilter,
    pub(in crate::cli) log_format: LogFormat,
    /// Whether the node stops at the end of its standard input, which `herd up` holds open. `ready_to_serve` has
    /// read the key from it; no more bytes follow.
    pub(in crate::cli) stops_with_stdin: bool,
}

/// Runs the node of this index until a signal stops it. `reread` reads the configuration and the index again.
pub(in crate::cli) fn serve(
    checked: Checked,
    me: usize,
    options: &ServeOptions,
    reread: impl Fn() -> Result<(Checked, usize), String> + 'static,
    node: RunNode,
) -> Result<(), String> {
    let name = checked.nodes[me].name.clone();
    server::logging::start(&name, options.log_level, options.log_format);
    let supervised = options.stops_with_stdin;
    let reread = move || reread().map(|(checked, me)| plan(checked, me, supervised));
    node(plan(checked, me, supervised), Box::new(reread)).map_err(|error| format!("{name}: {error}"))
}

/// The configuration as one node sees it.
fn plan(checked: Checked, me: usize, supervised: bool) -> NodeConfig {
    let neighbours = checked.neighbours(me);
    let address = |node: config::NodeEntry| Address {
        name: node.name,
        clients: node.clients,
        links: node.links,
        http: node.http,
    };
    // Edges cost memory, and only the page shows them.
    let shown = if checked.nodes[me].http.is_some() { checked.edges.as_slice() } else { &[] };
    let number = |index: usize| u16::try_from(index).unwrap_or(u16::MAX);
    let edges = shown.iter().map(|&(a, b)| (number(a), number(b))).collect();
    NodeConfig {
        edges,
        nodes: checked.nodes.into_iter().map(address).collect(),
        me,
        neighbours,
        keys: checked.keys.map(|keys| auth::Keys::new(keys.current, keys.previous)),
        clock: checked.clock,
        clients_per_address: checked.clients_per_address,
        gateways: checked.gateways,
        is_loopback: checked.is_loopback,
        snapshot_s: checked.snapshot_s,
        file: checked.file,
        places: checked.places,
        supervised,
    }
}

/// The token that opens the pages of nodes that have these keys.
pub(in crate::cli) fn token(keys: &config::Keys) -> Option<Token> {
    Token::of(&auth::Keys::new(keys.current, keys.previous)).next()
}
