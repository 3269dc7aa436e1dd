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
    /// The interfaces besides the loopback; the first is `eth0`. Those that the
    /// guest has set up already are left as they are.
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
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Its addresses, each with the length of its network's prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Where everything without another way goes, at most one for each IP.
    pub gateways: Vec<IpAddr>,
}
