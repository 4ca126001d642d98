//! Checks relations between a configuration's members, and the files that it names.
//!
//! The check continues after each mistake, as the reader does. If an edge is unreadable or names an unknown node, the
//! check reports nothing about paths through the herd: the corrected edge most likely restores them.

use std::collections::BTreeMap;

use super::endpoint::Endpoint;
use super::finding::{Findings, near_or, quoted};
use super::graph::Graph;
use super::keys::HOW_TO_MAKE_A_KEY;
use super::read::join;
use super::{
    AGE_S_MAX, At, CLIENTS_MAX, Checked, ClockTrust, Config, Environment, Finding, Keys, NEIGHBOURS_MAX,
    NodeEntry, NodeSettings, NodeSpec, listeners,
};
use crate::places::Settings;
use crate::proto::limits::clients_per_address;

/// The most nodes that a message names; it counts the rest.
const NAMES_SHOWN_MAX: usize = 5;

/// Checks all of a configuration.
pub(super) fn check(config: &Config, environment: &Environment) -> (Option<Checked>, Vec<Finding>) {
    let mut findings = config.findings.clone();
    let mut sorted: Vec<&NodeSpec> = config.nodes.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let (edges, is_whole) = edges(config, &sorted, &mut findings);
    let graph = Graph::new(sorted.len(), &edges.keys().copied().collect::<Vec<_>>());
    degrees(&sorted, &graph, &mut findings);
    if is_whole && !config.lost_nodes && !config.lost_edges {
        paths(&sorted, &graph, &mut findings);
    }
    dialling(&sorted, &edges, &mut findings);
    listeners::check(config, &mut findings);
    super::phones::check(config, &mut findings);
    let keys = keys(config, environment, &mut findings);
    let secret_links = super::secret::check(config, &sorted, keys.is_some(), &mut findings);
    let places = super::places::check(&config.places, environment, &mut findings);
    if findings.has_errors() {
        return (None, findings.finish());
    }
    // A missing address is an error, so without errors every node has an entry.
    let nodes: Vec<NodeEntry> = sorted.iter().filter_map(|node| entry(node)).collect();
    debug_assert_eq!(nodes.len(), sorted.len(), "a missing address is an error");
    let checked = Checked {
        nodes,
        edges: edges.into_keys().collect(),
        keys,
        secret_links,
        settings: settings(config, places),
    };
    (Some(checked), findings.finish())
}

fn settings(config: &Config, places: Settings) -> NodeSettings {
    let is_loopback = first_beyond_loopback(config).is_none();
    let clients_max = config.clients_max.unwrap_or(CLIENTS_MAX);
    let is_right = config.clock == ClockTrust::Auto && is_loopback;
    NodeSettings {
        places,
        clock: if is_right { ClockTrust::Trusted } else { config.clock },
        clients_per_address: config.clients_per_address.unwrap_or(clients_per_address(clients_max)),
        clients_max,
        lifetime_s: config.lifetime_s.unwrap_or(AGE_S_MAX),
        gateways: config.gateways.clone(),
        is_loopback,
        snapshot_s: config.snapshot_s,
        phones: config.phones.clone(),
        tls: config.tls.as_ref().map(super::phones::TlsSpec::files),
        file: config.findings.path(),
    }
}

fn entry(node: &NodeSpec) -> Option<NodeEntry> {
    let links = node.links.as_ref()?.value.clone();
    Some(NodeEntry {
        name: node.name.clone(),
        clients: node.clients?.value,
        listen: node.listen.map_or_else(|| links.listens_at(), |listen| listen.value),
        links,
        http: node.http.map(|http| http.value),
        phones: node.phones.map(|phones| phones.value),
    })
}

/// The edges as pairs of indices into `sorted`, each with its position in the file, and whether all of them were understood.
fn edges(
    config: &Config,
    sorted: &[&NodeSpec],
    findings: &mut Findings,
) -> (BTreeMap<(usize, usize), At<usize>>, bool) {
    let mut edges: BTreeMap<(usize, usize), At<usize>> = BTreeMap::new();
    let mut is_whole = true;
    for edge in &config.edges {
        let member = format!("edges[{}]", edge.index);
        let ends = [0, 1].map(|end| {
            let name = edge.ends[end].as_str();
            let found = sorted.binary_search_by(|node| node.name.as_str().cmp(name)).ok();
            // Reports an edge from an unknown node to itself once, and no unknown names if nodes were unreadable.
            if !config.lost_nodes && found.is_none() && (end == 0 || edge.ends[0] != edge.ends[1]) {
                let remedy = near_or(name, config.names(), || "add it to \"nodes\"".to_owned());
                findings.error(Some(edge.line), &member, format!("unknown node {}", quoted(name)), remedy);
            }
            found
        });
        let [Some(a), Some(b)] = ends else {
            is_whole = false;
            continue;
        };
        let pair = (a.min(b), a.max(b));
        let name = |index: usize| join("", &sorted[index].name);
        if a == b {
            let message = format!("an edge from {} to itself", name(a));
            findings.error(Some(edge.line), &member, message, "remove it");
        } else if let Some(first) = edges.get(&pair) {
            let message = format!(
                "{}-{} appears twice, first as edges[{}] on line {}",
                name(a),
                name(b),
                first.value,
                first.line
            );
            findings.error(Some(edge.line), &member, message, "remove one of them");
        } else {
            edges.insert(pair, At { value: edge.index, line: edge.line });
        }
    }
    (edges, is_whole)
}

/// Notes the nodes with too many neighbours.
fn degrees(sorted: &[&NodeSpec], graph: &Graph, findings: &mut Findings) {
    for (index, node) in sorted.iter().enumerate().filter(|(index, _)| graph.degree(*index) > NEIGHBOURS_MAX)
    {
        let message = format!("{} neighbours; the maximum is {NEIGHBOURS_MAX}", graph.degree(index));
        let remedy = "connect some of these neighbours to each other instead";
        findings.error(Some(node.line), &join("nodes", &node.name), message, remedy);
    }
}

/// Notes a partitioned herd, or the nodes whose loss would partition it.
fn paths(sorted: &[&NodeSpec], graph: &Graph, findings: &mut Findings) {
    let partitions = graph.partitions(None);
    if partitions.len() > 1 {
        let heads: Vec<usize> = partitions.iter().map(|partition| partition[0]).collect();
        let message = format!(
            "the herd has {} partitions: no path between {}",
            partitions.len(),
            named(sorted, &heads)
        );
        let remedy = format!("such as [{:?}, {:?}]", sorted[heads[0]].name, sorted[heads[1]].name);
        findings.error(None, "edges", message, format!("add edges, {remedy}"));
        return;
    }
    for (index, cut_off) in graph.cut_nodes() {
        let node = sorted[index];
        let message = format!("if this node fails, it cuts off {}", named(sorted, &cut_off));
        let remedy = "add an edge that bypasses it";
        findings.warning(Some(node.line), &join("nodes", &node.name), message, remedy);
    }
}

/// `A and B`, `A, B and C`, or the first few and the number of others.
fn named(sorted: &[&NodeSpec], indices: &[usize]) -> String {
    let mut names: Vec<String> =
        indices.iter().take(NAMES_SHOWN_MAX).map(|index| join("", &sorted[*index].name)).collect();
    if indices.len() > NAMES_SHOWN_MAX {
        names.push(format!("{} more", indices.len() - NAMES_SHOWN_MAX));
    }
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
}

/// Notes links addresses that the dialling neighbour cannot reach. The node whose name sorts first dials.
fn dialling(sorted: &[&NodeSpec], edges: &BTreeMap<(usize, usize), At<usize>>, findings: &mut Findings) {
    // Reports each node once, with its first dialler.
    let mut diallers: BTreeMap<usize, (usize, At<usize>)> = BTreeMap::new();
    for (&(dialler, dialled), edge) in edges {
        let (Some(from), Some(to)) = (&sorted[dialler].links, &sorted[dialled].links) else { continue };
        if to.value.is_wildcard() || (to.value.is_loopback() && !from.value.is_loopback()) {
            diallers.entry(dialled).or_insert((dialler, *edge));
        }
    }
    for (dialled, (dialler, _)) in diallers {
        let (node, by) = (sorted[dialled], join("", &sorted[dialler].name));
        let Some(links) = &node.links else { continue };
        let member = join(&join("nodes", &node.name), "links");
        let address = &links.value;
        if address.is_wildcard() {
            let message = format!("{by} dials {address}, which is a wildcard");
            findings.error(Some(links.line), &member, message, "use the board's own address");
        } else {
            let message =
                format!("{by} dials {address}, which is loopback, but the links address of {by} is not");
            let remedy = "correct only if both nodes are on one machine";
            findings.warning(Some(links.line), &member, message, remedy);
        }
    }
}

/// The first address that other machines can reach, and its member: of `clients`, `links` and `listen`, else of the HTTP
/// listeners, whose tokens are made of the key.
fn first_beyond_loopback(config: &Config) -> Option<(At<Endpoint>, String)> {
    let address = |at: At<_>| At { value: Endpoint::Address(at.value), line: at.line };
    [0..3, 3..5].into_iter().find_map(|members| {
        config.nodes.iter().find_map(|node| {
            let named = [
                ("clients", node.clients.map(address)),
                ("links", node.links.clone()),
                ("listen", node.listen.map(address)),
                ("http", node.http.map(address)),
                ("phones", node.phones.map(address)),
            ];
            named[members.clone()].iter().find_map(|(member, address)| {
                let address = address.clone().filter(|address| !address.value.is_loopback())?;
                Some((address, join(&join("nodes", &node.name), member)))
            })
        })
    })
}

/// The herd's keys: from systemd's credentials, else from the configuration's key file.
fn keys(config: &Config, environment: &Environment, findings: &mut Findings) -> Option<Keys> {
    let line = config.key_file.as_ref().map(|key_file| key_file.line);
    let read = match (environment.credential("key"), &config.key_file) {
        (Some(credential), _) => Keys::read(&credential, false),
        (None, Some(key_file)) => Keys::read(&key_file.value, true),
        (None, None) => {
            if let Some((address, member)) = first_beyond_loopback(config) {
                let message =
                    format!("{} is not loopback, but the configuration has no key_file", address.value);
                findings.error(Some(address.line), &member, message, HOW_TO_MAKE_A_KEY.to_owned());
            }
            return None;
        }
    };
    read.map_err(|(message, remedy)| findings.error(line, "key_file", message, remedy)).ok()
}
