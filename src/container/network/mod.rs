//! A container on a network: its lease, its vif, and what its guest is told.
//!
//! Containers find each other by `/etc/hosts`, which is kept current: every
//! monitor watches the leases and tells its guest of those who come and go. A name
//! server would need an address and a port on every bridge, and a process to own
//! them; there is none that lives as long as a network does.

mod spec;
mod told;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use vxn_proto::Interface;

pub use spec::{Host, Membership, NetworkSpec};
pub(super) use told::{prefix, told};

use super::ContainerId;
use super::definition::Definition;
use super::place::Place;
use crate::libxl::{DomId, Nic};
use crate::network::{Error, Forward, Lease, Leases, Networks, Owner, Request, Result, State};

/// A container that is on its networks.
#[derive(Debug)]
pub struct Connection {
    networks: Networks,
    spec: NetworkSpec,
    /// What it calls itself, as `/etc/hosts` has it.
    own_names: String,
    /// The names by which all others find it.
    names: Vec<String>,
    owner: Owner,
    /// In the order in which it came to them. The first that is not internal is its way
    /// out, and has its published ports.
    joined: Vec<Joined>,
    place: Option<Place>,
    /// Readable when leases have changed; none before there is one.
    changes: Option<Inotify>,
}

/// A network that the container is on.
#[derive(Debug)]
struct Joined {
    lease: Lease,
    /// The interface is `eth` with this number.
    number: u32,
    /// How many came before it, in all of the DomU's life at most.
    rank: u32,
    /// The number of the vif, which the DomU may not have yet.
    devid: Option<u32>,
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

    /// The leases of a container.
    pub fn of(&self, id: &ContainerId) -> Vec<&Lease> {
        let owner = owner_id(id);
        self.0.leases.iter().filter(|lease| lease.owner.id == owner).collect()
    }

    /// The published ports of a container.
    pub fn forwards(&self, id: &ContainerId) -> Vec<Forward> {
        self.of(id).into_iter().flat_map(|lease| lease.forwards.clone()).collect()
    }
}

impl Connection {
    /// Gets on the networks, with the published ports. The container's journal
    /// entry has to be there: who finds it without its monitor calls [`release`].
    ///
    /// # Errors
    /// The network's; nothing is left then.
    pub fn open(networks: &Networks, definition: &Definition) -> Result<Connection> {
        let Definition { id, name, network: spec, .. } = definition;
        let place = spec.namespace.as_deref().map(|path| Place::find(path, id)).transpose()?;
        let mut connection = Connection {
            networks: networks.clone(),
            spec: spec.clone(),
            own_names: definition.own_names(),
            names: names(name.as_str(), id.short()),
            owner: Owner { id: owner_id(id), name: owner_name(name.as_str()) },
            joined: Vec::new(),
            place,
            changes: None,
        };
        if let Err(e) = connection.join_all() {
            connection.close()?;
            return Err(e);
        }
        Ok(connection)
    }

    fn join_all(&mut self) -> Result<()> {
        if self.spec.memberships.is_empty() {
            return Ok(());
        }
        // A life before this one may have been killed at the wrong moment.
        self.networks.release(&self.owner.id)?;
        for (devid, membership) in (0..).zip(self.spec.memberships.clone()) {
            self.join(&membership)?;
            self.plugged(&membership.network, devid);
        }
        match self.joined.first() {
            Some(joined) if !self.spec.ports.is_empty() && self.way_out().is_none() => {
                Err(Error::Internal(joined.lease.network.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Gets on another network. The vif is for the caller to make.
    ///
    /// # Errors
    /// The network's, [`Error::Connected`] if it is on it; nothing has changed then.
    pub fn join(&mut self, membership: &Membership) -> Result<()> {
        if self.changes.is_none() {
            self.changes = Some(watch(self.networks.dir())?);
        }
        let network = self.networks.find(&membership.network)?;
        let publishes = self.way_out().is_none() && !network.internal;
        let mut names = self.names.clone();
        names.splice(1..1, membership.aliases.iter().cloned());
        let lease = self.networks.attach(
            &self.owner,
            &Request {
                network: network.name,
                ip: membership.ip,
                ip6: membership.ip6,
                mac: membership.mac,
                names,
                ports: if publishes { self.spec.ports.clone() } else { Vec::new() },
            },
        )?;
        let taken: Vec<u32> = self.joined.iter().map(|joined| joined.number).collect();
        let number = (0..).find(|number| !taken.contains(number)).unwrap_or_default();
        let rank = self.joined.iter().map(|joined| joined.rank + 1).max().unwrap_or_default();
        self.joined.push(Joined { lease, number, rank, devid: None });
        Ok(())
    }

    /// The vif of a network is there.
    pub fn plugged(&mut self, network: &str, devid: u32) {
        let joined = self.joined.iter_mut().find(|joined| joined.lease.network == network);
        joined.into_iter().for_each(|joined| joined.devid = Some(devid));
    }

    /// The number of the vif of a network, if there is one.
    ///
    /// # Errors
    /// [`Error::NotConnected`].
    pub fn devid(&self, network: &str) -> Result<Option<u32>> {
        let joined = self.joined.iter().find(|joined| joined.lease.network == network);
        joined.map(|joined| joined.devid).ok_or_else(|| Error::NotConnected {
            owner: self.owner.name.clone(),
            network: network.to_owned(),
        })
    }

    /// Gets off a network, after its vif is gone. Ports that were published there are
    /// published on the next one.
    ///
    /// # Errors
    /// The network's.
    pub fn leave(&mut self, network: &str) -> Result<()> {
        self.networks.detach(&self.owner, network)?;
        let published = self.way_out().is_some_and(|lease| lease.network == network);
        self.joined.retain(|joined| joined.lease.network != network);
        let Some(next) = self.way_out().filter(|_| published) else { return Ok(()) };
        if let Err(e) = self.networks.publish(&self.owner, &next.network, &self.spec.ports) {
            // It has left all the same.
            tracing::warn!("its ports are not published any more: {e}");
        }
        Ok(())
    }

    /// The network that leads everywhere.
    fn way_out(&self) -> Option<&Lease> {
        let leases = self.joined.iter().map(|joined| &joined.lease);
        leases.into_iter().find(|lease| !lease.gateways.is_empty())
    }

    /// Becomes readable when others on the networks may have come or gone.
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

    /// Gets off the networks, after the DomU is gone.
    ///
    /// # Errors
    /// The network's; the leases stay then.
    pub fn close(self) -> Result<()> {
        self.place.as_ref().map_or(Ok(()), Place::leave)?;
        if self.joined.is_empty() { Ok(()) } else { self.networks.release(&self.owner.id) }
    }

    /// The vifs that the DomU is to have from its start.
    pub fn nics(&self, hotplug: &Path) -> Vec<Nic> {
        let places = self.place.iter().flat_map(|place| place.nics(hotplug));
        self.joined.iter().map(|joined| nic(&joined.lease, hotplug)).chain(places).collect()
    }

    /// The vif for a network that it is on.
    pub fn nic(&self, network: &str, hotplug: &Path) -> Option<Nic> {
        let joined = self.joined.iter().find(|joined| joined.lease.network == network);
        joined.map(|joined| nic(&joined.lease, hotplug))
    }

    /// What the guest is to be told now; again after others came or went.
    ///
    /// # Errors
    /// When the leases cannot be read.
    pub fn guest(&self) -> Result<vxn_proto::Network> {
        let state = self.networks.state()?;
        Ok(vxn_proto::Network {
            interfaces: self.interfaces(),
            hosts: told::hosts(&self.spec, &self.joined, &self.own_names, &state),
            resolv_conf: told::resolv_conf(&self.spec, !self.joined.is_empty()),
        })
    }

    fn interfaces(&self) -> Vec<Interface> {
        let places = self.place.iter().flat_map(Place::interfaces);
        self.joined.iter().map(told::interface).chain(places).collect()
    }
}

fn nic(lease: &Lease, hotplug: &Path) -> Nic {
    Nic {
        mac: Some(lease.mac),
        bridge: Some(lease.bridge.clone()),
        script: Some(hotplug.to_owned()),
        ifname: None,
        mtu: Some(lease.mtu),
    }
}

/// Leases are replaced by a rename, or removed with the last one.
fn watch(dir: &Path) -> Result<Inotify> {
    let watched = || {
        std::fs::create_dir_all(dir)?;
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        inotify.add_watch(dir, AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_DELETE)?;
        Ok(inotify)
    };
    watched().map_err(|error| Error::Io { path: dir.into(), error })
}

/// How messages call a container.
pub fn owner_name(name: &str) -> String {
    format!("container {name}")
}

/// The names by which others find a container on any network: the first one is its own.
fn names(name: &str, short: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if name != short {
        names.push(short.to_owned());
    }
    names
}
