//! A DomU's place on a network: leased before it is made, told to it by DHCP, given
//! back after it is gone.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net};

use super::dhcp::{Dhcp, Offer};
use super::order::Order;
use crate::config::Settings;
use crate::container::ContainerId;
use crate::libxl::Nic;
use crate::network::{self, Forward, Lease, Leases, Networks, Owner, Publish, Request};

/// Leases of these DomUs are known by it, apart from those of others.
const OWNER: &str = "backend/";

/// The networks of this host.
pub fn networks(settings: &Settings) -> Networks {
    settings.networks()
}

/// Takes back what a DomU that is gone with its monitor has of networks below `run`.
pub fn release(run: &Path, id: &ContainerId) -> network::Result<()> {
    Leases::new(run).release(&owner_id(id))
}

fn owner_id(id: &ContainerId) -> String {
    format!("{OWNER}{id}")
}

/// What one DomU has of a network.
#[derive(Debug)]
pub struct Connection<'a> {
    networks: &'a Networks,
    owner: Owner,
    lease: Option<Lease>,
}

impl<'a> Connection<'a> {
    /// Leases what the order asks for.
    pub fn open(networks: &'a Networks, order: &Order) -> network::Result<Connection<'a>> {
        let owner = Owner { id: owner_id(&order.id), name: format!("DomU {}", order.name) };
        let lease = order.network.as_ref().map(|network| {
            let request = Request { network: network.clone(), ..Request::default() };
            networks.attach(&owner, &request)
        });
        Ok(Connection { networks, owner, lease: lease.transpose()? })
    }

    /// The interface, for the DomU that is to be made.
    pub fn nic(&self, hotplug: &Path) -> Option<Nic> {
        self.lease.as_ref().map(|lease| Nic {
            mac: Some(lease.mac),
            bridge: Some(lease.bridge.clone()),
            script: Some(hotplug.to_owned()),
            ifname: None,
            mtu: Some(lease.mtu),
        })
    }

    /// The DomU's addresses.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.lease.iter().flat_map(|lease| &lease.addresses).map(IpNet::addr).collect()
    }

    /// Waits on the bridge for the guest's question.
    pub fn dhcp(&self) -> io::Result<Option<Dhcp>> {
        let Some(lease) = &self.lease else { return Ok(None) };
        let address = lease.addresses.iter().find_map(|net| match net {
            IpNet::V4(net) => Some(*net),
            IpNet::V6(_) => None,
        });
        let Some(address) = address else { return Ok(None) };
        let router = lease.gateways.iter().find_map(v4);
        let server = router.unwrap_or_else(|| first(address));
        let (mac, mtu) = (lease.mac, lease.mtu);
        let offer = Offer { mac, address, server, router, dns: name_servers()?, mtu };
        Dhcp::open(&lease.bridge, offer).map(Some)
    }

    /// Leads ports of this host to the DomU: all or none.
    pub fn publish(&self, ports: &[Publish]) -> network::Result<Vec<Forward>> {
        // Without a lease it is on no network, which has no name then.
        let network = self.lease.as_ref().map_or("none", |lease| &lease.network);
        self.networks.publish(&self.owner, network, ports)
    }

    /// Takes them back.
    pub fn unpublish(&self) -> network::Result<()> {
        self.networks.unpublish(&self.owner.id)
    }

    /// Gives everything back.
    pub fn release(&self) -> network::Result<()> {
        self.networks.release(&self.owner.id)
    }
}

fn v4(address: &IpAddr) -> Option<Ipv4Addr> {
    match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    }
}

/// On a network without a router, the server needs a name of some kind.
fn first(net: Ipv4Net) -> Ipv4Addr {
    net.hosts().next().unwrap_or(net.addr())
}

/// This host's name servers; one that listens on this host alone is of no use to
/// a guest.
fn name_servers() -> io::Result<Vec<Ipv4Addr>> {
    match fs::read_to_string("/etc/resolv.conf") {
        Ok(text) => Ok(in_resolv_conf(&text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(e),
    }
}

fn in_resolv_conf(text: &str) -> Vec<Ipv4Addr> {
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let server = (words.next() == Some("nameserver")).then(|| words.next()).flatten()?;
        server.parse().ok()
    });
    servers.filter(|server: &Ipv4Addr| !server.is_loopback()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_servers_are_those_that_a_guest_can_reach() {
        let text = "# nameserver 1.1.1.1\nnameserver 127.0.0.53\nnameserver 10.0.2.3\n\
                    nameserver fe80::1\nsearch example\n";
        assert_eq!(in_resolv_conf(text), [Ipv4Addr::new(10, 0, 2, 3)]);
    }
}
