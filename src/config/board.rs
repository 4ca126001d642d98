//! Checks that need the board itself: which addresses and names it has, and whether its places file is whole.
//!
//! A node does not run them when it starts: reading a whole places file takes a board seconds, and an address may come
//! later than the node.

use std::io::ErrorKind;
use std::net::{IpAddr, ToSocketAddrs, UdpSocket};

use super::endpoint::Endpoint;
use super::finding::{Finding, Findings, near_or, one_of, quoted};
use super::read::join;
use super::{At, Config, Environment, NodeSpec};

/// Notes what this board lacks. With the name of a node, also the addresses of that node that this machine does not have,
/// and the host names that it cannot look up.
pub(super) fn check(config: &Config, node: Option<&str>, environment: &Environment) -> Vec<Finding> {
    let mut findings = config.findings.emptied();
    if let Some((file, line)) = config.places.wanted_file(environment)
        && let Err(error) = crate::places::check_file(&file)
    {
        let remedy = "copy it again, or make one with: herd places import";
        findings.error(line, "places.file", error, remedy);
    }
    #[cfg(feature = "tls")]
    if let Some(tls) = &config.tls {
        let wrong = match super::certificate::load(&tls.files()) {
            Ok((_, expired)) => expired,
            Err(wrong) => Some(wrong),
        };
        if let Some(wrong) = wrong {
            let remedy = "name the PEM files of a valid certificate and of its key";
            findings.error(Some(tls.cert_file.line), "tls", wrong.to_string(), remedy);
        }
    }
    if let Some(node) = node {
        of_node(config, node, environment, &mut findings);
    }
    findings.finish()
}

fn of_node(config: &Config, name: &str, environment: &Environment, findings: &mut Findings) {
    let Some(node) = config.nodes.iter().find(|node| node.name == name) else {
        let remedy = near_or(name, config.names(), || one_of(config.names()));
        return findings.error(None, "", format!("the configuration has no node {}", quoted(name)), remedy);
    };
    for (member, address) in node.listeners() {
        let ip = address.value.ip();
        if is_of_other_machine(ip) {
            findings.error(
                Some(address.line),
                &join(&join("nodes", name), member),
                format!("this machine does not have the address {ip}"),
                "check the node on its own board, or correct the address (see: ip address)",
            );
        }
    }
    host_names(config, node, findings);
    super::secret::check_private(config, node, environment, findings);
}

fn is_of_other_machine(ip: IpAddr) -> bool {
    // Port 0: the node may be running and hold its own.
    let error = UdpSocket::bind((ip, 0)).err();
    error.is_some_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

/// Looks up the host names of the node and its neighbours, with the C library: as the node does.
fn host_names(config: &Config, node: &NodeSpec, findings: &mut Findings) {
    let is_edge = |other: &NodeSpec| {
        let joins = |ends: &[String; 2]| ends.contains(&node.name) && ends.contains(&other.name);
        config.edges.iter().any(|edge| joins(&edge.ends))
    };
    for other in config.nodes.iter().filter(|other| other.name == node.name || is_edge(other)) {
        let Some((At { value: links @ Endpoint::Name(text), line }, host)) =
            other.links.as_ref().and_then(|links| Some((links, links.value.host()?)))
        else {
            continue;
        };
        let member = join(&join("nodes", &other.name), "links");
        match text.to_socket_addrs() {
            Err(_) => {
                let remedy =
                    format!("see: getent hosts {host}; static programs know DNS and /etc/hosts, not .local");
                findings.warning(Some(*line), &member, format!("this machine cannot look up {host}"), remedy);
            }
            Ok(mut found) if other.name == node.name && !links.is_loopback() => {
                if found.all(|address| is_of_other_machine(address.ip())) {
                    let remedy = "check the node on its own board, or correct the name (see: hostname)";
                    let message = format!("{host} is not the name of this machine");
                    findings.error(Some(*line), &member, message, remedy);
                }
            }
            Ok(_) => {}
        }
    }
}
