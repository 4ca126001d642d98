//! Checks that need the board itself: which addresses it has, and whether its places file is whole.
//!
//! A node does not run them when it starts: reading a whole places file takes a board seconds, and an address may come
//! later than the node.

use std::io::ErrorKind;
use std::net::UdpSocket;

use super::finding::{Finding, Findings, did_you_mean, one_of, quoted};
use super::read::join;
use super::{Config, Environment};

/// Notes what this board lacks. With the name of a node, also the addresses of that node that this machine does not have.
pub(super) fn check(config: &Config, node: Option<&str>, environment: &Environment) -> Vec<Finding> {
    let mut findings = config.findings.emptied();
    if let Some((file, line)) = config.places.wanted_file(environment)
        && let Err(error) = crate::places::check_file(&file)
    {
        let remedy = "copy it again, or make one with: herd places import".to_owned();
        findings.error(line, "places.file", error, remedy);
    }
    if let Some(node) = node {
        addresses(config, node, &mut findings);
    }
    findings.finish()
}

fn addresses(config: &Config, name: &str, findings: &mut Findings) {
    let Some(node) = config.nodes.iter().find(|node| node.name == name) else {
        let near = did_you_mean(name, config.names());
        let remedy = if near.is_empty() { one_of(config.names()) } else { near };
        return findings.error(None, "", format!("the configuration has no node {}", quoted(name)), remedy);
    };
    for (member, address) in [("clients", node.clients), ("links", node.links), ("http", node.http)] {
        let Some(address) = address else { continue };
        let ip = address.value.ip();
        // Port 0: the node may be running and hold its own.
        let error = UdpSocket::bind((ip, 0)).err();
        if error.is_some_and(|error| error.kind() == ErrorKind::AddrNotAvailable) {
            findings.error(
                Some(address.line),
                &join(&join("nodes", name), member),
                format!("this machine does not have the address {ip}"),
                "check the node on its own board, or correct the address (see: ip address)".to_owned(),
            );
        }
    }
}
