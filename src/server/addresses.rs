//! What the configuration says of the addresses that connections come from.

use std::net::IpAddr;

use super::NodeConfig;

/// The addresses that are treated apart.
#[derive(Debug)]
pub(super) struct Addresses {
    /// No address of the configuration is beyond loopback: clients have no quota.
    is_loopback: bool,
    /// Clients at these addresses have no quota either.
    gateways: Vec<IpAddr>,
    /// Where the neighbours listen.
    neighbours: Vec<IpAddr>,
}

impl Addresses {
    pub(super) fn of(plan: &NodeConfig) -> Self {
        let neighbour = |&index: &usize| plan.nodes[index].links.ip().to_canonical();
        Addresses {
            is_loopback: plan.is_loopback,
            gateways: plan.gateways.clone(),
            neighbours: plan.neighbours.iter().map(neighbour).collect(),
        }
    }

    /// Whether clients at this address have no quota.
    pub(super) fn is_exempt(&self, address: IpAddr) -> bool {
        self.is_loopback || self.gateways.contains(&address.to_canonical())
    }

    /// Whether it is that of a neighbour.
    pub(super) fn is_neighbours(&self, address: IpAddr) -> bool {
        self.neighbours.contains(&address.to_canonical())
    }
}
