//! `herd serve`: from the configuration of the herd to the node that runs.

use log::LevelFilter;

use crate::cli::RunNode;
use crate::config::{self, Checked, Environment};
use crate::proto::auth;
use crate::server::logging::LogFormat;
use crate::server::{self, Address, NodeConfig, SecretPlan};

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
    if checked.keys.is_some() {
        keep_secrets();
    }
    server::logging::start(&name, options.log_level, options.log_format);
    let supervised = options.stops_with_stdin;
    let reread = move || reread().and_then(|(checked, me)| plan(checked, me, supervised));
    node(plan(checked, me, supervised)?, Box::new(reread)).map_err(|error| format!("{name}: {error}"))
}

/// Keeps keys out of core dumps and from other processes of this user (PR_SET_DUMPABLE, prctl(2)).
fn keep_secrets() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// The configuration as one node sees it.
fn plan(checked: Checked, me: usize, supervised: bool) -> Result<NodeConfig, String> {
    let secret = secret(&checked, me)?;
    let neighbours = checked.neighbours(me);
    let address = |node: config::NodeEntry| Address {
        name: node.name,
        clients: node.clients,
        links: node.links,
        http: node.http,
        phones: node.phones,
    };
    let listen = checked.nodes[me].listen;
    // Edges cost memory, and only the page shows them.
    let shown = if checked.nodes[me].http.is_some() { checked.edges.as_slice() } else { &[] };
    let number = |index: usize| u16::try_from(index).unwrap_or(u16::MAX);
    let edges = shown.iter().map(|&(a, b)| (number(a), number(b))).collect();
    Ok(NodeConfig {
        secret,
        edges,
        nodes: checked.nodes.into_iter().map(address).collect(),
        me,
        listen,
        neighbours,
        keys: checked.keys.map(|keys| auth::Keys::new(keys.current, keys.previous)),
        settings: checked.settings,
        supervised,
    })
}

/// What secret links need, the node's private key included.
fn secret(checked: &Checked, me: usize) -> Result<Option<SecretPlan>, String> {
    let Some(links) = &checked.secret_links else { return Ok(None) };
    let name = &checked.nodes[me].name;
    let pair = links.key_pair(name, me, &Environment::of_this_process());
    let pair = pair.map_err(|(message, remedy)| format!("{message} ({remedy})"))?;
    Ok(pair.map(|pair| SecretPlan { mode: links.mode, pair, public_keys: links.public_keys.clone() }))
}
