//! The guest's network, as the host wants it to be.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What `/etc/hosts` begins with, as docker writes it.
pub const HOSTS: &str = "127.0.0.1\tlocalhost\n\
                         ::1\tlocalhost ip6-localhost ip6-loopback\n\
                         fe00::\tip6-localnet\n\
                         ff00::\tip6-mcastprefix\n\
                         ff02::1\tip6-allnodes\n\
                         ff02::2\tip6-allrouters\n";

/// Interfaces, and the files that name others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// The interfaces besides the loopback. Those that the guest has set up already
    /// are left as they are; one that is not here any more goes.
    pub interfaces: Vec<Interface>,
    /// What `/etc/hosts` is to hold.
    pub hosts: String,
    /// What `/etc/resolv.conf` is to hold; empty leaves the image's.
    pub resolv_conf: String,
}

/// An interface of the guest, a vif of the DomU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Its hardware address, by which the guest finds it.
    pub mac: [u8; 6],
    /// Its name in the guest.
    pub name: String,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its addresses, each with the length of its network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The ways through it, besides those to its addresses' networks, in an order in
    /// which they can be added.
    pub routes: Vec<Route>,
    /// The hardware addresses of hosts that nobody is to ask for.
    pub neighbours: Vec<(IpAddr, [u8; 6])>,
}

/// A way to other hosts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// Where it leads, with the length of the prefix.
    pub destination: (IpAddr, u8),
    /// The host that passes packets on; none where everybody is a neighbour.
    pub gateway: Option<IpAddr>,
    /// The address that packets come from, if not the kernel's choice.
    pub source: Option<IpAddr>,
    /// Its metric, if not the kernel's choice.
    pub metric: Option<u32>,
    /// The gateway is a neighbour though no route says so.
    pub onlink: bool,
}
