//! What the configuration says of the addresses that connections come from.

use std::net::{IpAddr, SocketAddr};

use super::NodeConfig;
use crate::proto::names::NodeId;

/// The addresses that are treated apart.
#[derive(Debug)]
pub(super) struct Addresses {
    /// No address of the configuration is beyond loopback: clients have no quota.
    is_loopback: bool,
    /// Clients at these addresses have no quota either.
    gateways: Vec<IpAddr>,
    /// Where the neighbours listen.
    neighbours: Vec<IpAddr>,
    /// What the host names of the others had as addresses at the last look-up.
    found: Vec<(NodeId, IpAddr)>,
}

impl Addresses {
    pub(super) fn of(plan: &NodeConfig) -> Self {
        let neighbour = |&index: &usize| Some(plan.nodes[index].links.address()?.ip().to_canonical());
        Addresses {
            is_loopback: plan.settings.is_loopback,
            gateways: plan.settings.gateways.clone(),
            neighbours: plan.neighbours.iter().filter_map(neighbour).collect(),
            found: Vec::new(),
        }
    }

    /// The result of a look-up replaces the one before.
    pub(super) fn found(&mut self, node: NodeId, found: &[SocketAddr]) {
        self.found.retain(|(other, _)| *other != node);
        self.found.extend(found.iter().map(|address| (node, address.ip().to_canonical())));
    }

    /// Whether clients at this address have no quota.
    pub(super) fn is_exempt(&self, address: IpAddr) -> bool {
        self.is_loopback || self.gateways.contains(&address.to_canonical())
    }

    /// Whether it is that of a neighbour.
    pub(super) fn is_neighbours(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.neighbours.contains(&address) || self.found.iter().any(|(_, found)| *found == address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_up_replaces_the_one_before_it() {
        let configured = vec!["10.0.0.2".parse().expect("an address")];
        let mut addresses =
            Addresses { is_loopback: false, gateways: vec![], neighbours: configured, found: vec![] };
        let at = |text: &str| -> SocketAddr { text.parse().expect("an address") };
        addresses.found(NodeId::default(), &[at("10.0.0.1:9001"), at("[fd00::1]:9001")]);
        addresses.found(NodeId::default(), &[at("10.0.0.3:9001")]);
        for (ip, is_neighbours) in
            [("10.0.0.1", false), ("fd00::1", false), ("10.0.0.2", true), ("::ffff:10.0.0.3", true)]
        {
            assert_eq!(addresses.is_neighbours(ip.parse().expect("an address")), is_neighbours, "{ip}");
        }
    }
}
