//! A container on a network: its lease, its vif, and what its guest is told.
//!
//! Containers find each other by `/etc/hosts`, which is kept current: every
//! monitor watches the leases and tells its guest of those who come and go. A name
//! server would need an address and a port on every bridge, and a process to own
//! them; there is none that lives as long as a network does.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use serde::{Deserialize, Serialize};
use vxn_link::Route;
use vxn_proto::{HOSTS, Interface};

use super::ContainerId;
use super::place::Place;
use super::resolv;
use crate::libxl::{DomId, Mac, Nic};
use crate::network::{Lease, Leases, Networks, Owner, Publish, Request, Result, State};

/// What the user wants of the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    /// The network's name; none for a container on its own.
    pub network: Option<String>,
    /// Instead of it, a network namespace of this host that others have prepared: the
    /// container takes its place there.
    #[serde(default)]
    pub namespace: Option<PathBuf>,
    /// `--ip`.
    pub ip: Option<Ipv4Addr>,
    /// `--ip6`.
    pub ip6: Option<Ipv6Addr>,
    /// `--mac-address`.
    pub mac: Option<Mac>,
    /// `--publish` and `--publish-all`.
    pub ports: Vec<Publish>,
    /// `--network-alias`.
    pub aliases: Vec<String>,
    /// `--dns`; Dom0's own servers if there are none.
    pub dns: Vec<IpAddr>,
    /// `--dns-search`.
    pub dns_search: Vec<String>,
    /// `--dns-option`.
    pub dns_option: Vec<String>,
    /// `--add-host`.
    pub hosts: Vec<Host>,
}

/// A name that the user gives an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The name.
    pub name: String,
    /// Its address; none for Dom0's own, on the container's network.
    pub address: Option<IpAddr>,
}

/// A container that is on its network.
#[derive(Debug)]
pub struct Connection<'a> {
    networks: &'a Networks,
    spec: &'a NetworkSpec,
    /// What it calls itself, as `/etc/hosts` has it.
    own_names: &'a str,
    owner: Owner,
    lease: Option<Lease>,
    place: Option<Place>,
    /// Readable when leases have changed; none without a lease.
    changes: Option<Inotify>,
}

/// How a container is called among all owners of leases.
fn owner_id(id: &ContainerId) -> String {
    format!("container:{id}")
}

/// Takes back what a container has of any network below `run`.
///
/// # Errors
/// The network's; the lease stays then.
pub fn release(run: &Path, id: &ContainerId) -> Result<()> {
    Leases::new(run).release(&owner_id(id))
}

/// What containers have of their networks: those that run have leases.
#[derive(Debug)]
pub struct Held(State);

impl Held {
    /// As it is at this moment, below `run`.
    ///
    /// # Errors
    /// When the leases cannot be read.
    pub fn load(run: &Path) -> Result<Held> {
        Leases::new(run).state().map(Held)
    }

    /// The lease of a container, if it has one.
    pub fn of(&self, id: &ContainerId) -> Option<&Lease> {
        let owner = owner_id(id);
        self.0.leases.iter().find(|lease| lease.owner.id == owner)
    }
}

impl<'a> Connection<'a> {
    /// Gets on the network, with the published ports. The container's journal
    /// entry has to be there: who finds it without its monitor calls [`release`].
    ///
    /// # Errors
    /// The network's; nothing is left then.
    pub fn open(
        networks: &'a Networks,
        spec: &'a NetworkSpec,
        id: &ContainerId,
        name: &str,
        own_names: &'a str,
    ) -> Result<Connection<'a>> {
        let place = spec.namespace.as_deref().map(|path| Place::find(path, id)).transpose()?;
        let owner = Owner { id: owner_id(id), name: format!("container {name}") };
        let request = |network: &String| Request {
            network: network.clone(),
            ip: spec.ip,
            ip6: spec.ip6,
            mac: spec.mac,
            names: names(name, id.short(), &spec.aliases),
            ports: spec.ports.clone(),
        };
        let lease = spec.network.as_ref().map(|network| {
            // A life before this one may have been killed at the wrong moment.
            networks.release(&owner.id)?;
            networks.attach(&owner, &request(network))
        });
        let lease = lease.transpose()?;
        let changes = lease.as_ref().map(|_| watch(networks.dir())).transpose();
        let mut connection =
            Connection { networks, spec, own_names, owner, lease, place, changes: None };
        match changes {
            Ok(changes) => connection.changes = changes,
            Err(e) => {
                let error = crate::network::Error::Io { path: networks.dir().into(), error: e };
                connection.close()?;
                return Err(error);
            }
        }
        Ok(connection)
    }

    /// Becomes readable when others on the network may have come or gone.
    pub fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.changes.as_ref().map(AsFd::as_fd)
    }

    /// Takes note of the changes up to now.
    pub fn note_changes(&self) {
        // Nothing to read is what it ends with; what is lost is told by the leases.
        while self.changes.as_ref().is_some_and(|changes| changes.read_events().is_ok()) {}
    }

    /// Connects the DomU, which has [`Connection::nics`], where its hotplug program
    /// does not.
    ///
    /// # Errors
    /// The network's; what is half done ends with the DomU and [`Connection::close`].
    pub fn connect(&self, domid: DomId) -> Result<()> {
        self.place.as_ref().map_or(Ok(()), |place| place.take(domid))
    }

    /// Gets off the network, after the DomU is gone.
    ///
    /// # Errors
    /// The network's; the lease stays then.
    pub fn close(self) -> Result<()> {
        self.place.as_ref().map_or(Ok(()), Place::leave)?;
        match self.lease {
            Some(_) => self.networks.release(&self.owner.id),
            None => Ok(()),
        }
    }

    /// The vifs that the DomU is to have.
    pub fn nics(&self, hotplug: &Path) -> Vec<Nic> {
        let nic = |lease: &Lease| Nic {
            mac: Some(lease.mac),
            bridge: Some(lease.bridge.clone()),
            script: Some(hotplug.to_owned()),
            ifname: None,
            mtu: Some(lease.mtu),
        };
        let places = self.place.iter().flat_map(|place| place.nics(hotplug));
        self.lease.iter().map(nic).chain(places).collect()
    }

    /// What the guest is to be told now; again after others came or went.
    ///
    /// # Errors
    /// When the leases cannot be read.
    pub fn guest(&self) -> Result<vxn_proto::Network> {
        let state = self.networks.state()?;
        Ok(vxn_proto::Network {
            interfaces: self.interfaces(),
            hosts: self.hosts(&state),
            resolv_conf: self.resolv_conf(),
        })
    }

    fn interfaces(&self) -> Vec<Interface> {
        let places = self.place.iter().flat_map(Place::interfaces);
        self.lease.iter().map(interface).chain(places).collect()
    }

    /// `/etc/hosts`: docker's, and the names of the others on the network.
    fn hosts(&self, state: &State) -> String {
        let mut text = HOSTS.to_owned();
        let mut line = |address: IpAddr, names: &str| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{address}\t{names}");
        };
        for host in &self.spec.hosts {
            let gateways = self.lease.iter().flat_map(|lease| lease.gateways.iter().copied());
            let addresses: Vec<IpAddr> = host.address.map_or(gateways.collect(), |a| vec![a]);
            addresses.into_iter().for_each(|address| line(address, &host.name));
        }
        let Some(lease) = &self.lease else { return text };
        for net in &lease.addresses {
            line(net.addr(), self.own_names);
        }
        for other in state.on(&lease.network) {
            for net in &other.addresses {
                line(net.addr(), &other.names.join(" "));
            }
        }
        text
    }

    /// `/etc/resolv.conf`: the user's words, or Dom0's; empty leaves the image's.
    fn resolv_conf(&self) -> String {
        let spec = self.spec;
        let asked = !(spec.dns.is_empty() && spec.dns_search.is_empty());
        if self.lease.is_none() && !asked && spec.dns_option.is_empty() {
            return String::new();
        }
        resolv::conf(spec)
    }
}

/// Leases are replaced by a rename, or removed with the last one.
fn watch(dir: &Path) -> std::io::Result<Inotify> {
    let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    inotify.add_watch(dir, AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE)?;
    Ok(inotify)
}

/// The names by which others find a container.
fn names(name: &str, short: &str, aliases: &[String]) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    names.extend(aliases.iter().cloned());
    if name != short {
        names.push(short.to_owned());
    }
    names
}

fn interface(lease: &Lease) -> Interface {
    Interface {
        mac: lease.mac.0,
        name: "eth0".to_owned(),
        mtu: lease.mtu,
        addresses: lease.addresses.iter().map(prefix).collect(),
        routes: lease.gateways.iter().map(|gateway| told(&Route::default_by(*gateway))).collect(),
        neighbours: Vec::new(),
    }
}

/// A network, or an address in it, in the guest's words.
pub(super) fn prefix(net: &IpNet) -> (IpAddr, u8) {
    (net.addr(), net.prefix_len())
}

/// A route in the guest's words.
pub(super) fn told(route: &Route) -> vxn_proto::Route {
    let Route { destination, gateway, source, metric, onlink } = *route;
    vxn_proto::Route { destination: prefix(&destination), gateway, source, metric, onlink }
}
