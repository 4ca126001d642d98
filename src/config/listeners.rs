//! Finds listeners that use the same port of the same machine.
//!
//! The configuration does not list machines, so the check infers them:
//! - Nodes with the same host in `links` are on one machine, since other nodes dial that host. All loopback hosts are one
//!   machine. A wildcard gives no information.
//! - An address that is neither loopback nor wildcard belongs to one machine, so using it twice is a conflict.
//! - Every board can use `127.0.0.1:8001` and `0.0.0.0:8001`. Two nodes conflict there only if `links` shows that they
//!   are on one machine.
//!
//! On one machine, two listeners conflict if they have the same port and either the same address or one is a wildcard
//! that covers the other. `[::]` also covers IPv4, as on Linux unless `net.ipv6.bindv6only` is set. The check cannot
//! detect two addresses of one machine; the node then fails to bind.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::finding::Findings;
use super::read::join;
use super::{At, Config};

/// A machine, as inferred from the configuration.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    Loopback,
    Host(IpAddr),
    /// Unknown, except that it is this node's.
    OfNode(usize),
}

struct Listener<'a> {
    node: usize,
    name: &'a str,
    member: &'static str,
    address: At<SocketAddr>,
    machine: Machine,
}

/// Notes, once, each listener that conflicts with an earlier one in the file.
pub(super) fn check(config: &Config, findings: &mut Findings) {
    let mut listeners = Vec::new();
    for (node, spec) in config.nodes.iter().enumerate() {
        let machine =
            spec.links.map_or(Machine::OfNode(node), |links| machine(links.value.ip().to_canonical(), node));
        for (member, address) in [("clients", spec.clients), ("links", spec.links), ("http", spec.http)] {
            if let Some(mut address) = address {
                address.value.set_ip(address.value.ip().to_canonical());
                listeners.push(Listener { node, name: &spec.name, member, address, machine });
            }
        }
    }
    for (index, later) in listeners.iter().enumerate() {
        if let Some(first) = listeners[..index].iter().find(|first| clash(first, later)) {
            let member = join(&join("nodes", later.name), later.member);
            let taken_by = join(&join("nodes", first.name), first.member);
            let address = later.address.value;
            let message = if first.address.value == address {
                format!("{address} is already used by {taken_by} on line {}", first.address.line)
            } else {
                let other = first.address.value;
                format!("{address} conflicts with {other} of {taken_by} on line {}", first.address.line)
            };
            findings.error(
                Some(later.address.line),
                &member,
                message,
                "give one of them another port".to_owned(),
            );
        }
    }
}

fn machine(links: IpAddr, node: usize) -> Machine {
    match links {
        ip if ip.is_unspecified() => Machine::OfNode(node),
        ip if ip.is_loopback() => Machine::Loopback,
        ip => Machine::Host(ip),
    }
}

fn clash(a: &Listener<'_>, b: &Listener<'_>) -> bool {
    let (x, y) = (a.address.value, b.address.value);
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

    #[test]
    fn two_listeners_on_one_address_clash() {
        for (a, b, clash) in [
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
            (("[fd00::1]:1", "[fd00::1]:2"), ("[fd00::2]:1", "[fd00::2]:2"), None),
        ] {
            let expected: Vec<_> =
                clash.map(|text| format!("{text} (give one of them another port)")).into_iter().collect();
            assert_eq!(clashes(a, b), expected, "{a:?} {b:?}");
        }
    }
}
