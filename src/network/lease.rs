//! Getting on a network, and off it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use vxn_link::{Links, Mac};

use super::definition::Network;
use super::error::{Error, Result};
use super::leases::{Active, Lease, Owner, State};
use super::port::{Forward, Publish};
use super::store::Networks;
use super::{address, bridge, publish};

/// What an owner wants of a network.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The network's name.
    pub network: String,
    /// Its IPv4 address; any free one if there is none.
    pub ip: Option<Ipv4Addr>,
    /// Its IPv6 address; any free one if there is none.
    pub ip6: Option<Ipv6Addr>,
    /// Its hardware address; made of the owner's id if there is none.
    pub mac: Option<Mac>,
    /// Names by which others on the network find it.
    pub names: Vec<String>,
    /// What is to be published.
    pub ports: Vec<Publish>,
}

impl Networks {
    /// Gives the owner an interface's worth of a network: the bridge, addresses,
    /// published ports. It is the owner's until [`Networks::release`].
    ///
    /// # Errors
    /// Nothing is left then.
    pub fn attach(&self, owner: &Owner, request: &Request) -> Result<Lease> {
        let network = self.find(&request.network)?;
        self.grow(|state, links| {
            if state.on(&network.name).any(|lease| lease.owner.id == owner.id) {
                let (owner, network) = (owner.name.clone(), network.name.clone());
                return Err(Error::Connected { owner, network });
            }
            let active = activate(state, links, &network)?;
            let mut lease = Lease {
                owner: owner.clone(),
                network: network.name.clone(),
                bridge: network.bridge.clone(),
                mtu: active.mtu,
                mac: hardware_address(state, owner, request)?,
                addresses: addresses(state, &active, owner, request)?,
                gateways: match network.internal {
                    true => Vec::new(),
                    false => active.gateways.iter().map(IpNet::addr).collect(),
                },
                names: request.names.clone(),
                forwards: Vec::new(),
            };
            lease.forwards = publish::resolve(state, &network, &lease, &request.ports)?;
            state.leases.push(lease.clone());
            Ok(lease)
        })
    }

    /// Publishes more ports of an owner who has a lease on that network, and returns
    /// them. All of them or none.
    ///
    /// # Errors
    /// [`Error::NotConnected`], [`Error::PortTaken`] and others; nothing has
    /// changed then.
    pub fn publish(&self, owner: &Owner, name: &str, ports: &[Publish]) -> Result<Vec<Forward>> {
        let network = self.find(name)?;
        self.grow(|state, _| {
            let this = |lease: &Lease| lease.owner.id == owner.id && lease.network == name;
            let at = state.leases.iter().position(this).ok_or_else(|| {
                let (owner, network) = (owner.name.clone(), name.to_owned());
                Error::NotConnected { owner, network }
            })?;
            let lease = &state.leases[at];
            let forwards = publish::resolve(state, &network, lease, ports)?;
            state.leases[at].forwards.extend(forwards.iter().cloned());
            Ok(forwards)
        })
    }

    /// Sets bridges and rules up again as the leases say: after somebody else has
    /// flushed the host's ruleset, for instance.
    ///
    /// # Errors
    /// When rules or bridges cannot be changed.
    pub fn reload(&self) -> Result<()> {
        self.grow(|state, links| {
            let networks: Vec<Network> =
                state.networks.values().map(|active| active.network.clone()).collect();
            networks.iter().try_for_each(|network| activate(state, links, network).map(drop))
        })
    }
}

impl Network {
    /// Refuses an address that no guest can have on the network, whoever else is there.
    ///
    /// # Errors
    /// [`Error::BadAddress`].
    pub fn check_address(&self, address: IpAddr) -> Result<()> {
        let why = match self.nets().find(|net| net.addr().is_ipv4() == address.is_ipv4()) {
            None => "it has no such range".to_owned(),
            Some(net) if !address::is_host(&net, address) => format!("it is no host's in {net}"),
            Some(_) if self.gateways().any(|net| net.addr() == address) => {
                "it is the gateway's".to_owned()
            }
            Some(_) => return Ok(()),
        };
        Err(Error::BadAddress { address, network: self.name.clone(), why })
    }
}

/// Plans what the network's bridge needs, and keeps in mind what it was given
/// before.
fn activate(state: &mut State, links: &Links, network: &Network) -> Result<Active> {
    let mut active = bridge::plan(links, network)?;
    if let Some(known) = state.networks.get(&network.name) {
        let missing: Vec<IpNet> =
            known.added.iter().filter(|address| !active.added.contains(address)).copied().collect();
        active.added.extend(missing);
    }
    state.networks.insert(network.name.clone(), active.clone());
    Ok(active)
}

fn hardware_address(state: &State, owner: &Owner, request: &Request) -> Result<Mac> {
    let taken = state.on(&request.network).map(|lease| lease.mac.0).collect();
    let Some(mac) = request.mac else {
        return Ok(address::mac(&owner.id, &request.network, &taken));
    };
    match state.on(&request.network).find(|lease| lease.mac == mac) {
        None => Ok(mac),
        Some(lease) => {
            let holder = lease.owner.name.clone();
            Err(Error::AddressTaken { address: mac.to_string(), holder })
        }
    }
}

fn addresses(
    state: &State,
    active: &Active,
    owner: &Owner,
    request: &Request,
) -> Result<Vec<IpNet>> {
    let taken = state.taken(&request.network);
    let mut wanted: Vec<IpAddr> = Vec::new();
    wanted.extend(request.ip.map(IpAddr::V4));
    wanted.extend(request.ip6.map(IpAddr::V6));
    let mut given = Vec::new();
    for gateway in &active.gateways {
        let net = gateway.trunc();
        let of_family = |ip: &&IpAddr| ip.is_ipv4() == net.addr().is_ipv4();
        let address = match wanted.iter().find(of_family) {
            Some(address) => check(state, &net, *address, request)?,
            None => address::pick(&net, &owner.id, &taken).ok_or_else(|| Error::Exhausted {
                network: request.network.clone(),
                subnet: net,
            })?,
        };
        given.push(IpNet::new_assert(address, net.prefix_len()));
    }
    let unmet = wanted.iter().find(|ip| !given.iter().any(|net| net.addr() == **ip));
    match unmet {
        None => Ok(given),
        Some(address) => Err(bad_address(*address, request, "it has no such range".to_owned())),
    }
}

fn bad_address(address: IpAddr, request: &Request, why: String) -> Error {
    Error::BadAddress { address, network: request.network.clone(), why }
}

/// An address that the user asked for, if it can be had.
fn check(state: &State, net: &IpNet, address: IpAddr, request: &Request) -> Result<IpAddr> {
    if !address::is_host(net, address) {
        return Err(bad_address(address, request, format!("it is no host's in {net}")));
    }
    let has = |lease: &&super::Lease| lease.addresses.iter().any(|net| net.addr() == address);
    if let Some(lease) = state.on(&request.network).find(has) {
        let holder = lease.owner.name.clone();
        return Err(Error::AddressTaken { address: address.to_string(), holder });
    }
    if state.taken(&request.network).contains(&address) {
        return Err(bad_address(address, request, "it is the gateway's".to_owned()));
    }
    Ok(address)
}
