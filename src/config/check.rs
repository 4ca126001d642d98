//! The relations between a configuration's members, and the files that it names.
//!
//! Goes on after each mistake, as the reader does. One kind of finding is held back: when an edge could not be read or
//! names an unknown node, nothing is said about paths through the herd, since mending the edge most likely mends them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::finding::{Findings, did_you_mean, quoted};
use super::graph::Graph;
use super::keys::HOW_TO_MAKE_A_KEY;
use super::read::join;
use super::{
    At, Checked, ClockTrust, Config, Environment, Finding, Keys, NEIGHBOURS_MAX, NodeEntry, NodeSpec,
    listeners,
};

/// How many nodes a message names before it only counts them.
const NAMES_SHOWN_MAX: usize = 5;

/// Looks at all of a configuration.
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
    let keys = keys(config, environment, &mut findings);
    let places = super::places::check(&config.places, environment, &mut findings);
    if findings.has_errors() {
        return (None, findings.finish());
    }
    let is_loopback = first_beyond_loopback(config).is_none();
    let clock =
        if config.clock == ClockTrust::Auto && is_loopback { ClockTrust::Trusted } else { config.clock };
    // Without errors every address is there; the list is as long as `sorted` exactly then.
    let nodes: Vec<NodeEntry> = sorted.iter().filter_map(|node| entry(node)).collect();
    debug_assert_eq!(nodes.len(), sorted.len(), "a missing address is an error");
    let checked = Checked {
        nodes,
        edges: edges.into_keys().collect(),
        keys,
        places,
        clock,
        clients_per_address: config.clients_per_address,
        gateways: config.gateways.clone(),
        is_loopback,
        snapshot_s: config.snapshot_s,
    };
    (Some(checked), findings.finish())
}

fn entry(node: &NodeSpec) -> Option<NodeEntry> {
    let http = node.http.map(|http| http.value);
    Some(NodeEntry { name: node.name.clone(), clients: node.clients?.value, links: node.links?.value, http })
}

/// The edges as pairs of indices into `sorted`, each with its place in the file, and whether none of them is lost.
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
            // An edge from an unknown node to itself is told once, and none is where nodes could not be read.
            if !config.lost_nodes && found.is_none() && (end == 0 || edge.ends[0] != edge.ends[1]) {
                let near = did_you_mean(name, config.names());
                let remedy = if near.is_empty() { "add it to \"nodes\"".to_owned() } else { near };
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
            findings.error(Some(edge.line), &member, message, "leave it out".to_owned());
        } else if let Some(first) = edges.get(&pair) {
            let message = format!(
                "{}-{} appears twice, first as edges[{}] on line {}",
                name(a),
                name(b),
                first.value,
                first.line
            );
            findings.error(Some(edge.line), &member, message, "leave one of them out".to_owned());
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
        let message = format!("{} neighbours, where {NEIGHBOURS_MAX} are the most", graph.degree(index));
        let remedy = "let some of them be each other's neighbours".to_owned();
        findings.error(Some(node.line), &join("nodes", &node.name), message, remedy);
    }
}

/// Notes a herd in pieces, or the nodes whose loss would leave it in pieces.
fn paths(sorted: &[&NodeSpec], graph: &Graph, findings: &mut Findings) {
    let pieces = graph.pieces(None);
    if pieces.len() > 1 {
        let heads: Vec<usize> = pieces.iter().map(|piece| piece[0]).collect();
        let message =
            format!("the herd is in {} pieces: no path between {}", pieces.len(), named(sorted, &heads));
        let remedy = format!("such as [{:?}, {:?}]", sorted[heads[0]].name, sorted[heads[1]].name);
        findings.error(None, "edges", message, format!("add edges, {remedy}"));
        return;
    }
    for (index, cut_off) in graph.cut_nodes() {
        let node = sorted[index];
        let message = format!("its loss cuts off {}", named(sorted, &cut_off));
        let remedy = "an edge around it keeps the herd whole".to_owned();
        findings.warning(Some(node.line), &join("nodes", &node.name), message, remedy);
    }
}

/// `A and B`, `A, B and C`, or the first few and how many more.
fn named(sorted: &[&NodeSpec], indices: &[usize]) -> String {
    let mut names: Vec<String> =
        indices.iter().take(NAMES_SHOWN_MAX).map(|index| join("", &sorted[*index].name)).collect();
    if indices.len() > NAMES_SHOWN_MAX {
        names.push(format!("{} more", indices.len() - NAMES_SHOWN_MAX));
    }
    let last = names.pop().unwrap_or_default();
    if names.is_empty() { last } else { format!("{} and {last}", names.join(", ")) }
}

/// Notes links addresses that the neighbour who dials them cannot reach. The node whose name sorts first dials.
fn dialling(sorted: &[&NodeSpec], edges: &BTreeMap<(usize, usize), At<usize>>, findings: &mut Findings) {
    // Each node is told once, with its first dialler.
    let mut diallers: BTreeMap<usize, (usize, At<usize>)> = BTreeMap::new();
    for (&(dialler, dialled), edge) in edges {
        let (Some(from), Some(to)) = (sorted[dialler].links, sorted[dialled].links) else { continue };
        let to = to.value.ip().to_canonical();
        if to.is_unspecified() || (to.is_loopback() && !from.value.ip().to_canonical().is_loopback()) {
            diallers.entry(dialled).or_insert((dialler, *edge));
        }
    }
    for (dialled, (dialler, _)) in diallers {
        let (node, by) = (sorted[dialled], join("", &sorted[dialler].name));
        let Some(links) = node.links else { continue };
        let member = join(&join("nodes", &node.name), "links");
        let address = links.value;
        if address.ip().to_canonical().is_unspecified() {
            let message = format!("{address} cannot be dialled, and {by} dials it");
            findings.error(Some(links.line), &member, message, "give the board's own address".to_owned());
        } else {
            let message = format!("{address} is loopback, and {by}, whose own links are not, dials it");
            let remedy = "only right if both are on one machine".to_owned();
            findings.warning(Some(links.line), &member, message, remedy);
        }
    }
}

/// The first address of the configuration that other machines can reach, and its member.
fn first_beyond_loopback(config: &Config) -> Option<(At<SocketAddr>, String)> {
    let addresses = config.nodes.iter().flat_map(|node| {
        let named = [("clients", node.clients), ("links", node.links)];
        named.into_iter().filter_map(|(member, address)| Some((address?, node.name.as_str(), member)))
    });
    addresses
        .filter(|(address, _, _)| !address.value.ip().to_canonical().is_loopback())
        .map(|(address, node, member)| (address, join(&join("nodes", node), member)))
        .next()
}

/// The herd's keys: from systemd's credentials, else from the configuration's key file.
fn keys(config: &Config, environment: &Environment, findings: &mut Findings) -> Option<Keys> {
    let line = config.key_file.as_ref().map(|key_file| key_file.line);
    let read = match (environment.credential_key(), &config.key_file) {
        (Some(credential), _) => Keys::read(&credential, false),
        (None, Some(key_file)) => Keys::read(&key_file.value, true),
        (None, None) => {
            if let Some((address, member)) = first_beyond_loopback(config) {
                let message =
                    format!("{} is not loopback, and the configuration names no key_file", address.value);
                findings.error(Some(address.line), &member, message, HOW_TO_MAKE_A_KEY.to_owned());
            }
            return None;
        }
    };
    read.map_err(|(message, remedy)| findings.error(line, "key_file", message, remedy)).ok()
}
