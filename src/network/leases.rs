//! Who has what: kept in one file below `/run/vxn/network`, gone with the boot.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use vxn_link::Mac;

use super::definition::Network;
use super::error::{Result, at};
use super::port::Forward;
use crate::state::write_atomic;

/// Who has a lease. This room knows neither containers nor domains: an id is
/// a text that no other owner has, and whether its owner lives is known to who
/// made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Unique among all owners.
    pub id: String,
    /// What messages call it, `container web`.
    pub name: String,
}

/// What an owner has on a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who.
    pub owner: Owner,
    /// The network's name.
    pub network: String,
    /// The bridge that the vif is to be a port of.
    pub bridge: String,
    /// MTU of the interface in bytes.
    pub mtu: u32,
    /// Hardware address of the interface.
    pub mac: Mac,
    /// Addresses of the interface, with the lengths of their networks' prefixes.
    pub addresses: Vec<IpNet>,
    /// Where everything else is reached; none on an internal network.
    pub gateways: Vec<IpAddr>,
    /// Names by which others on the network find it.
    pub names: Vec<String>,
    /// Ports of this host that lead to it.
    pub forwards: Vec<Forward>,
}

/// A network that somebody has a lease on, as it is set up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Active {
    /// What it is to be.
    pub network: Network,
    /// Whether its bridge was made here, and is to go with the last lease.
    pub made: bool,
    /// The bridge's addresses in the network.
    pub gateways: Vec<IpNet>,
    /// Those of them that were added here to a bridge that was found.
    pub added: Vec<IpNet>,
    /// MTU of the bridge.
    pub mtu: u32,
}

/// All leases, and the networks that they are on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// By name.
    pub networks: BTreeMap<String, Active>,
    /// In the order in which they were made.
    pub leases: Vec<Lease>,
}

impl State {
    /// Reads the file; nothing when there is none yet.
    pub fn load(path: &Path) -> Result<State> {
        match std::fs::read(path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|e| at(path)(e.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(State::default()),
            Err(e) => Err(at(path)(e)),
        }
    }

    /// Replaces the file; without leases there is none.
    pub fn save(&self, path: &Path) -> Result<()> {
        if *self == State::default() {
            return match std::fs::remove_file(path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at(path)(e)),
                _ => Ok(()),
            };
        }
        let json = serde_json::to_vec_pretty(self).map_err(|e| at(path)(e.into()))?;
        write_atomic(path, &json).map_err(at(path))
    }

    /// The addresses on a network that a guest cannot have.
    pub fn taken(&self, network: &str) -> BTreeSet<IpAddr> {
        let gateways = self.networks.get(network).into_iter().flat_map(|a| &a.gateways);
        let leased = self.on(network).flat_map(|lease| &lease.addresses);
        gateways.chain(leased).map(IpNet::addr).collect()
    }

    /// The leases on a network.
    pub fn on(&self, network: &str) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(move |lease| lease.network == network)
    }

    /// Takes out the networks that nobody has a lease on.
    pub fn take_idle(&mut self) -> Vec<Active> {
        let used: BTreeSet<&String> = self.leases.iter().map(|lease| &lease.network).collect();
        let idle: Vec<String> =
            self.networks.keys().filter(|name| !used.contains(name)).cloned().collect();
        idle.iter().filter_map(|name| self.networks.remove(name)).collect()
    }
}
