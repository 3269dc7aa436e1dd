//! The networks that there are.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use vxn_link::{LinkError, Links};

use super::definition::{DEFAULT, Defaults, Network, NewNetwork};
use super::error::{Error, Result, at};
use super::ledger::Leases;
use crate::events::{self, Event, Kind};
use crate::state::{Lock, remove_half_written, write_atomic};

/// All networks of this host, and who is on them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Networks {
    root: PathBuf,
    /// The list of the networks that users made.
    definitions: PathBuf,
    defaults: Defaults,
    leases: Leases,
}

impl Networks {
    /// Those whose definitions are in `root` (`/var/lib/vxn`) and whose leases
    /// are in `run` (`/run/vxn`).
    pub fn new(root: &Path, run: &Path, defaults: Defaults) -> Networks {
        let definitions = root.join("network/networks.json");
        Networks { root: root.to_owned(), definitions, defaults, leases: Leases::new(run) }
    }

    /// Every network, the default one first.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn list(&self) -> Result<Vec<Network>> {
        let path = &self.definitions;
        let mut all = vec![Network::predefined(&self.defaults)?];
        match fs::read(path) {
            Ok(json) => {
                let made: Vec<Network> =
                    serde_json::from_slice(&json).map_err(|e| at(path)(e.into()))?;
                all.extend(made);
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(at(path)(e)),
        }
        Ok(all)
    }

    /// The network of that name.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn find(&self, name: &str) -> Result<Network> {
        let found = self.list()?.into_iter().find(|network| network.name == name);
        found.ok_or_else(|| Error::Unknown(name.to_owned()))
    }

    /// Makes a network. Its bridge comes with its first guest.
    ///
    /// # Errors
    /// When its name, bridge or addresses are taken or cannot be.
    pub fn create(&self, new: NewNetwork) -> Result<Network> {
        let _lock = self.lock_definitions()?;
        let mut all = self.list()?;
        let connected = Links::open().and_then(|links| links.connected());
        let connected = connected.map_err(LinkError::of("look for a free range on", "any"))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let network = Network::new(new, &all, &connected, now.as_secs())?;
        all.push(network.clone());
        self.write(&all)?;
        self.tell("create", &network.name);
        Ok(network)
    }

    /// Removes a network that nobody is on.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Predefined`], [`Error::InUse`].
    pub fn remove(&self, name: &str) -> Result<()> {
        let _lock = self.lock_definitions()?;
        let mut all = self.list()?;
        let at = all.iter().position(|network| network.name == name);
        let at = at.ok_or_else(|| Error::Unknown(name.to_owned()))?;
        if name == DEFAULT {
            return Err(Error::Predefined(name.to_owned()));
        }
        let state = self.state()?;
        let owners: Vec<String> = state.on(name).map(|lease| lease.owner.name.clone()).collect();
        if !owners.is_empty() {
            return Err(Error::InUse { name: name.to_owned(), owners });
        }
        all.remove(at);
        self.write(&all)?;
        self.tell("destroy", name);
        Ok(())
    }

    fn tell(&self, action: &str, name: &str) {
        let event = Event::new(Kind::Network, action, name);
        events::tell(&self.root, &event.with("name", name).with("type", "bridge"));
    }

    fn lock_definitions(&self) -> Result<Lock> {
        let lock = self.lock()?;
        let path = &self.definitions;
        remove_half_written(path).map_err(at(path)).map(|()| lock)
    }

    fn write(&self, all: &[Network]) -> Result<()> {
        let made: Vec<&Network> = all.iter().filter(|network| network.name != DEFAULT).collect();
        let path = &self.definitions;
        let json = serde_json::to_vec_pretty(&made).map_err(|e| at(path)(e.into()))?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir).map_err(at(dir))?;
        write_atomic(path, &json).map_err(at(path))
    }
}

/// What there is to do about leases without knowing the networks.
impl Deref for Networks {
    type Target = Leases;

    fn deref(&self) -> &Leases {
        &self.leases
    }
}
