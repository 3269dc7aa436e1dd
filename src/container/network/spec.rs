//! What the user wants of the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::libxl::Mac;
use crate::network::{Error, Publish, Result};

/// What the user wants of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// The networks that the container is on, in the order of the guest's interfaces;
    /// none for a container on its own.
    pub memberships: Vec<Membership>,
    /// Instead of them, a network namespace of this host that others have prepared: the
    /// container takes its place there.
    #[serde(default)]
    pub namespace: Option<PathBuf>,
    /// `--publish` and `--publish-all`.
    pub ports: Vec<Publish>,
    /// `--dns`; Dom0's own servers if there are none.
    pub dns: Vec<IpAddr>,
    /// `--dns-search`.
    pub dns_search: Vec<String>,
    /// `--dns-option`.
    pub dns_option: Vec<String>,
    /// `--add-host`.
    pub hosts: Vec<Host>,
}

/// What a container is to be on one of its networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The network's name.
    pub network: String,
    /// `--ip`.
    pub ip: Option<Ipv4Addr>,
    /// `--ip6`.
    pub ip6: Option<Ipv6Addr>,
    /// `--mac-address`.
    pub mac: Option<Mac>,
    /// `--network-alias`, `--alias`.
    pub aliases: Vec<String>,
}

/// A name that the user gives an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The name.
    pub name: String,
    /// Its address; none for Dom0's own, on the container's network.
    pub address: Option<IpAddr>,
}

impl NetworkSpec {
    /// Whether the container is on that network.
    pub fn is_on(&self, network: &str) -> bool {
        self.memberships.iter().any(|membership| membership.network == network)
    }

    /// Puts a container, which messages call `owner`, on another network.
    ///
    /// # Errors
    /// [`Error::Connected`].
    pub fn connect(&mut self, owner: &str, membership: Membership) -> Result<()> {
        if self.is_on(&membership.network) {
            let (owner, network) = (owner.to_owned(), membership.network);
            return Err(Error::Connected { owner, network });
        }
        self.memberships.push(membership);
        Ok(())
    }

    /// Takes a container, which messages call `owner`, off a network.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub fn disconnect(&mut self, owner: &str, network: &str) -> Result<()> {
        if !self.is_on(network) {
            let (owner, network) = (owner.to_owned(), network.to_owned());
            return Err(Error::NotConnected { owner, network });
        }
        self.memberships.retain(|membership| membership.network != network);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_on_a_network_once_or_not() {
        let mut spec = NetworkSpec::default();
        let on = |network: &str| Membership { network: network.to_owned(), ..Default::default() };
        spec.connect("container web", on("front")).unwrap();
        spec.connect("container web", on("back")).unwrap();
        let error = spec.connect("container web", on("front")).unwrap_err();
        assert_eq!(error.to_string(), "container web is connected to network front already");
        spec.disconnect("container web", "front").unwrap();
        assert_eq!(spec.memberships, [on("back")]);
        let error = spec.disconnect("container web", "front").unwrap_err();
        assert_eq!(error.to_string(), "container web is not connected to network front");
    }
}
