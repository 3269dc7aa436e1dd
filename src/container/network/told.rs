//! What a guest is told of its networks.

use std::fmt::Write;
use std::net::IpAddr;

use ipnet::IpNet;
use vxn_link::Route;
use vxn_proto::{HOSTS, Interface};

use super::{Joined, NetworkSpec};
use crate::container::resolv;
use crate::network::State;

/// The kernel's metric of an IPv6 route for which none is said.
const METRIC6: u32 = 1024;

/// `/etc/hosts`: docker's, and the names of the others on the networks.
pub fn hosts(spec: &NetworkSpec, joined: &[Joined], own_names: &str, state: &State) -> String {
    let mut text = HOSTS.to_owned();
    let mut line = |address: IpAddr, names: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{address}\t{names}");
    };
    let way_out = joined.iter().map(|joined| &joined.lease.gateways).find(|list| !list.is_empty());
    for host in &spec.hosts {
        let gateways = way_out.cloned().unwrap_or_default();
        let addresses = host.address.map_or(gateways, |address| vec![address]);
        addresses.into_iter().for_each(|address| line(address, &host.name));
    }
    for Joined { lease, .. } in joined {
        lease.addresses.iter().for_each(|net| line(net.addr(), own_names));
    }
    for Joined { lease, .. } in joined {
        for other in state.on(&lease.network).filter(|other| other.owner.id != lease.owner.id) {
            other.addresses.iter().for_each(|net| line(net.addr(), &other.names.join(" ")));
        }
    }
    text
}

/// `/etc/resolv.conf`: the user's words, or Dom0's; empty leaves the image's.
pub fn resolv_conf(spec: &NetworkSpec, networked: bool) -> String {
    let asked = !(spec.dns.is_empty() && spec.dns_search.is_empty() && spec.dns_option.is_empty());
    if networked || asked { resolv::conf(spec) } else { String::new() }
}

/// An interface. Each leads everywhere, the one that was there first before the
/// others: when it goes, the next one's routes are there already.
pub fn interface(joined: &Joined) -> Interface {
    let Joined { lease, number, rank, .. } = joined;
    let route = |gateway: &IpAddr| {
        let kernels = if gateway.is_ipv6() { METRIC6 } else { 0 };
        let metric = (*rank > 0).then_some(kernels + rank);
        told(&Route { metric, ..Route::default_by(*gateway) })
    };
    Interface {
        mac: lease.mac.0,
        name: format!("eth{number}"),
        mtu: lease.mtu,
        addresses: lease.addresses.iter().map(prefix).collect(),
        routes: lease.gateways.iter().map(route).collect(),
        neighbours: Vec::new(),
    }
}

/// A network, or an address in it, in the guest's words.
pub fn prefix(net: &IpNet) -> (IpAddr, u8) {
    (net.addr(), net.prefix_len())
}

/// A route in the guest's words.
pub fn told(route: &Route) -> vxn_proto::Route {
    let Route { destination, gateway, source, metric, onlink } = *route;
    vxn_proto::Route { destination: prefix(&destination), gateway, source, metric, onlink }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::network::Host;
    use crate::network::{Lease, Owner};

    fn lease(owner: &str, network: &str, address: &str, gateways: &[&str]) -> Lease {
        Lease {
            owner: Owner { id: owner.to_owned(), name: owner.to_owned() },
            network: network.to_owned(),
            bridge: "vxn1".to_owned(),
            mtu: 1500,
            mac: "00:16:3e:00:00:01".parse().unwrap(),
            addresses: vec![address.parse().unwrap()],
            gateways: gateways.iter().map(|ip| ip.parse().unwrap()).collect(),
            names: vec![owner.to_owned(), format!("{owner}-{network}")],
            forwards: Vec::new(),
        }
    }

    fn joined(number: u32, rank: u32, gateways: &[&str]) -> Joined {
        let lease = lease("web", &format!("n{number}"), &format!("10.{number}.0.2/24"), gateways);
        Joined { lease, number, rank, devid: None }
    }

    #[test]
    fn the_network_that_was_there_first_leads_out() {
        let metrics = |joined: &Joined| -> Vec<Option<u32>> {
            interface(joined).routes.iter().map(|route| route.metric).collect()
        };
        assert_eq!(metrics(&joined(1, 0, &["10.1.0.1", "fd00::1"])), [None, None]);
        assert_eq!(metrics(&joined(0, 3, &["10.0.0.1", "fd00::1"])), [Some(3), Some(1027)]);
        assert!(metrics(&joined(2, 1, &[])).is_empty(), "an internal one leads nowhere");
        assert_eq!(interface(&joined(2, 1, &[])).name, "eth2");
    }

    #[test]
    fn the_names_are_those_of_all_networks() {
        let networks = [joined(1, 0, &[]), joined(2, 1, &["10.2.0.1"])];
        let state = State {
            leases: vec![
                networks[0].lease.clone(),
                lease("db", "n1", "10.1.0.3/24", &[]),
                lease("db", "n2", "10.2.0.3/24", &[]),
                lease("far", "n3", "10.3.0.3/24", &[]),
            ],
            ..State::default()
        };
        let gateway = Host { name: "dom0".to_owned(), address: None };
        let spec = NetworkSpec { hosts: vec![gateway], ..NetworkSpec::default() };
        let text = hosts(&spec, &networks, "box", &state);
        let own = "10.2.0.1\tdom0\n10.1.0.2\tbox\n10.2.0.2\tbox\n";
        let others = "10.1.0.3\tdb db-n1\n10.2.0.3\tdb db-n2\n";
        assert_eq!(text, format!("{HOSTS}{own}{others}"));
    }
}
