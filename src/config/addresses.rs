//! Addresses that no node can use.

use std::net::{IpAddr, SocketAddr};

/// What is wrong with an address of a listener, and the remedy. `None` for one that a board can have, and for a wildcard.
pub(super) fn unusable(address: SocketAddr) -> Option<(&'static str, &'static str)> {
    const OWN: &str = "use the board's own address";
    let scope = if let SocketAddr::V6(v6) = address { v6.scope_id() } else { 0 };
    match address.ip().to_canonical() {
        ip if ip.is_multicast() => Some(("is a multicast address", OWN)),
        IpAddr::V4(ip) if ip.is_broadcast() => Some(("is the broadcast address", OWN)),
        // RFC 1122 3.2.1.3: "this network".
        IpAddr::V4(ip) if ip.octets()[0] == 0 && !ip.is_unspecified() => {
            Some(("is not the address of a machine", OWN))
        }
        // RFC 1112 4: reserved.
        IpAddr::V4(ip) if ip.octets()[0] >= 240 => Some(("is a reserved address", OWN)),
        IpAddr::V6(ip) if ip.is_unicast_link_local() && scope == 0 => Some((
            "is link-local and has no scope",
            "add the number of the interface, such as [fe80::1%2]:8001 (see: ip link), or use another address",
        )),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::unusable;

    #[test]
    fn addresses_that_no_node_can_use_are_named() {
        for (address, expected) in [
            ("[ff02::1]:1", Some("is a multicast address")),
            ("224.0.0.1:1", Some("is a multicast address")),
            ("[::ffff:224.0.0.1]:1", Some("is a multicast address")),
            ("255.255.255.255:1", Some("is the broadcast address")),
            ("0.0.0.1:1", Some("is not the address of a machine")),
            ("240.0.0.1:1", Some("is a reserved address")),
            ("[fe80::1]:1", Some("is link-local and has no scope")),
            ("[fe80::1%2]:1", None),
            ("0.0.0.0:1", None),
            ("[::]:1", None),
            ("127.0.0.1:1", None),
            ("10.0.0.255:1", None),
            ("169.254.1.2:1", None),
            ("[fd00::1]:1", None),
        ] {
            let found = unusable(address.parse().expect("an address"));
            assert_eq!(found.map(|(message, _)| message), expected, "{address}");
        }
    }
}
