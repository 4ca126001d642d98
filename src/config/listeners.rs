//! Finds listeners that use the same port of the same machine.
//!
//! The configuration does not list machines, so the check infers them:
//! - Nodes with the same host in `links` are on one machine, since other nodes dial that host. All loopback hosts are one
//!   machine. A wildcard gives no information. A host name and an address may be one machine; the check does not look up names.
//! - An address that is neither loopback nor wildcard belongs to one machine, so using it twice is a conflict.
//! - Every board can use `127.0.0.1:8001` and `0.0.0.0:8001`. Two nodes conflict there only if `links` shows that they
//!   are on one machine.
//!
//! On one machine, two listeners conflict if they have the same port and either the same address or one is a wildcard
//! that covers the other. `[::]` also covers IPv4, as on Linux unless `net.ipv6.bindv6only` is set. The check cannot
//! detect two addresses of one machine; the node then fails to bind.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::endpoint::Endpoint;
use super::finding::Findings;
use super::read::join;
use super::{Config, NodeSpec};

/// A machine, as inferred from the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine<'a> {
    Loopback,
    Host(IpAddr),
    Name(&'a str),
    /// Unknown, except that it is this node's.
    OfNode(usize),
}

struct Listener<'a> {
    node: usize,
    name: &'a str,
    member: &'static str,
    address: SocketAddr,
    /// As messages show it: the address, or the host name that the node listens for.
    shown: String,
    line: usize,
    machine: Machine<'a>,
}

/// Notes, once, each listener that conflicts with an earlier one in the file.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    let mut listeners = Vec::new();
    for (node, spec) in config.nodes.iter().enumerate() {
        let machine = spec.links.as_ref().map_or(Machine::OfNode(node), |links| machine(&links.value, node));
        for (member, address) in spec.listeners() {
            let (value, line) = (canonical(address.value), address.line);
            let name = spec.links.as_ref().filter(|links| member == "links" && links.value.host().is_some());
            let shown = name.map_or_else(|| value.to_string(), |name| name.value.to_string());
            listeners.push(Listener { node, name: &spec.name, member, address: value, shown, line, machine });
        }
    }
    for (index, later) in listeners.iter().enumerate() {
        if let Some(first) = listeners[..index].iter().find(|first| clash(first, later)) {
            let taken_by = join(&join("nodes", first.name), first.member);
            let (address, other, line) = (&later.shown, &first.shown, first.line);
            let message = if first.shown == later.shown {
                format!("{address} is already used by {taken_by} on line {line}")
            } else {
                format!("{address} conflicts with {other} of {taken_by} on line {line}")
            };
            let member = join(&join("nodes", later.name), later.member);
            findings.error(Some(later.line), &member, message, "give one of them another port");
        }
    }
    dialled_twice(&config.nodes, findings);
}

/// Notes the nodes that are dialled where an earlier one is. Where a node has `listen`, its `links` is not a listener.
fn dialled_twice(nodes: &[NodeSpec], findings: &mut Findings) {
    for (index, later) in nodes.iter().enumerate() {
        let Some(links) = later.links.as_ref().filter(|links| !links.value.is_wildcard()) else { continue };
        let is_same = |first: &&NodeSpec| {
            let other = first.links.as_ref().map(|links| &links.value);
            (first.listen.is_some() || later.listen.is_some()) && other == Some(&links.value)
        };
        if let Some(first) = nodes[..index].iter().find(is_same) {
            let message =
                format!("{} is already used by {}", links.value, join(&join("nodes", &first.name), "links"));
            let member = join(&join("nodes", &later.name), "links");
            findings.error(Some(links.line), &member, message, "give one of them another port");
        }
    }
}

fn canonical(mut address: SocketAddr) -> SocketAddr {
    address.set_ip(address.ip().to_canonical());
    address
}

fn machine(links: &Endpoint, node: usize) -> Machine<'_> {
    match links {
        links if links.is_wildcard() => Machine::OfNode(node),
        links if links.is_loopback() => Machine::Loopback,
        Endpoint::Address(address) => Machine::Host(address.ip().to_canonical()),
        Endpoint::Name(_) => links.host().map_or(Machine::OfNode(node), Machine::Name),
    }
}

fn clash(a: &Listener<'_>, b: &Listener<'_>) -> bool {
    let (x, y) = (a.address, b.address);
    let is_global = !x.ip().is_unspecified() && !x.ip().is_loopback();
    let is_one_machine = a.node == b.node || a.machine == b.machine || (is_global && x == y);
    is_one_machine && x.port() == y.port() && (x == y || takes_in(x.ip(), y.ip()) || takes_in(y.ip(), x.ip()))
}

/// Whether a listener on this wildcard also accepts connections to that address.
fn takes_in(wildcard: IpAddr, address: IpAddr) -> bool {
    match wildcard {
        IpAddr::V4(ip) => ip.is_unspecified() && address.is_ipv4(),
        IpAddr::V6(ip) => ip == Ipv6Addr::UNSPECIFIED,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Node, errors_of};

    /// Two nodes A and B, an edge, and the errors but the one about the missing key.
    fn clashes(a: (&str, &str), b: (&str, &str)) -> Vec<String> {
        let nodes =
            [Node { name: "A", clients: a.0, links: a.1 }, Node { name: "B", clients: b.0, links: b.1 }];
        let mut errors = errors_of(&nodes, &[("A", "B")]);
        errors.retain(|error| !error.contains("no key_file"));
        errors
    }

    /// Rows of the members `clients` and `links` of both nodes, and the message.
    type Row = ((&'static str, &'static str), (&'static str, &'static str), Option<&'static str>);

    fn check(rows: &[Row]) {
        for &(a, b, clash) in rows {
            let expected: Vec<_> =
                clash.map(|text| format!("{text} (give one of them another port)")).into_iter().collect();
            assert_eq!(clashes(a, b), expected, "{a:?} {b:?}");
        }
    }

    #[test]
    fn two_listeners_on_one_address_clash() {
        check(&[
            (("127.0.0.1:1", "127.0.0.1:2"), ("127.0.0.1:3", "127.0.0.1:4"), None),
            // One address given twice: on one machine, or a machine's own.
            (
                ("127.0.0.1:1", "127.0.0.1:2"),
                ("127.0.0.1:1", "127.0.0.1:4"),
                Some("m:3: nodes.B.clients: 127.0.0.1:1 is already used by nodes.A.clients on line 2"),
            ),
            (
                ("10.0.0.1:1", "10.0.0.1:1"),
                ("10.0.0.2:1", "10.0.0.2:2"),
                Some("m:2: nodes.A.links: 10.0.0.1:1 is already used by nodes.A.clients on line 2"),
            ),
            (
                ("10.0.0.9:1", "10.0.0.1:2"),
                ("10.0.0.9:1", "10.0.0.2:2"),
                Some("m:3: nodes.B.clients: 10.0.0.9:1 is already used by nodes.A.clients on line 2"),
            ),
            (
                ("[::ffff:10.0.0.1]:1", "10.0.0.1:2"),
                ("10.0.0.1:1", "10.0.0.2:2"),
                Some("m:3: nodes.B.clients: 10.0.0.1:1 is already used by nodes.A.clients on line 2"),
            ),
            // Equal ports of different machines, loopback and wildcard on each: no clash.
            (("10.0.0.1:1", "10.0.0.1:2"), ("10.0.0.2:1", "10.0.0.2:2"), None),
            (("127.0.0.1:1", "10.0.0.1:2"), ("127.0.0.1:1", "10.0.0.2:2"), None),
            (("0.0.0.0:1", "10.0.0.1:2"), ("0.0.0.0:1", "10.0.0.2:2"), None),
            // Wildcards on one machine.
            (
                ("0.0.0.0:1", "10.0.0.1:2"),
                ("0.0.0.0:1", "10.0.0.1:3"),
                Some("m:3: nodes.B.clients: 0.0.0.0:1 is already used by nodes.A.clients on line 2"),
            ),
            (
                ("0.0.0.0:1", "10.0.0.1:1"),
                ("10.0.0.2:1", "10.0.0.2:2"),
                Some("m:2: nodes.A.links: 10.0.0.1:1 conflicts with 0.0.0.0:1 of nodes.A.clients on line 2"),
            ),
            (
                ("[::]:1", "10.0.0.1:1"),
                ("10.0.0.2:1", "10.0.0.2:2"),
                Some("m:2: nodes.A.links: 10.0.0.1:1 conflicts with [::]:1 of nodes.A.clients on line 2"),
            ),
            (("0.0.0.0:1", "[fd00::1]:1"), ("10.0.0.2:1", "10.0.0.2:2"), None),
        ]);
    }

    #[test]
    fn host_names_clash_like_wildcards_of_their_machines() {
        check(&[
            // A node with a host name listens on all addresses of its board.
            (("0.0.0.0:1", "hill.local:2"), ("0.0.0.0:1", "smith.local:2"), None),
            (
                ("0.0.0.0:1", "hill.local:2"),
                ("10.0.0.2:3", "Hill.local:2"),
                Some("m:3: nodes.B.links: hill.local:2 is already used by nodes.A.links on line 2"),
            ),
            (
                ("10.0.0.1:2", "hill.local:2"),
                ("10.0.0.2:1", "10.0.0.2:2"),
                Some(
                    "m:2: nodes.A.links: hill.local:2 conflicts with 10.0.0.1:2 of nodes.A.clients on line 2",
                ),
            ),
            (("127.0.0.1:1", "localhost:2"), ("127.0.0.1:3", "localhost:4"), None),
            (
                ("127.0.0.1:1", "localhost:2"),
                ("127.0.0.1:2", "127.0.0.1:4"),
                Some(
                    "m:3: nodes.B.clients: 127.0.0.1:2 conflicts with localhost:2 of nodes.A.links on line 2",
                ),
            ),
            (("[fd00::1]:1", "[fd00::1]:2"), ("[fd00::2]:1", "[fd00::2]:2"), None),
        ]);
    }
}
