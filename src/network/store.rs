//! The networks that there are, and the lock around everything.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use vxn_link::{LinkError, Links};

use super::bridge;
use super::definition::{DEFAULT, Defaults, Network, NewNetwork};
use super::error::{Error, Result, at};
use super::leases::State;
use super::{nft, rules};
use crate::state::{Lock, remove_half_written, write_atomic};

/// All networks of this host, and who is on them.
#[derive(Debug, Clone)]
pub struct Networks {
    /// The list of the networks that users made.
    definitions: PathBuf,
    /// Leases and lock.
    run: PathBuf,
    defaults: Defaults,
}

impl Networks {
    /// Those whose definitions are in `root` (`/var/lib/vxn`) and whose leases
    /// are in `run` (`/run/vxn`).
    pub fn new(root: &Path, run: &Path, defaults: Defaults) -> Networks {
        let definitions = root.join("network/networks.json");
        Networks { definitions, run: run.join("network"), defaults }
    }

    /// Every network, the default one first.
    ///
    /// # Errors
    /// When the list cannot be read.
    pub fn list(&self) -> Result<Vec<Network>> {
        let path = &self.definitions;
        let mut all = vec![Network::predefined(&self.defaults)];
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
        let _lock = self.lock()?;
        let mut all = self.list()?;
        let connected = Links::open().and_then(|links| links.connected());
        let connected = connected.map_err(LinkError::of("look for a free range on", "any"))?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let network = Network::new(new, &all, &connected, now.as_secs())?;
        all.push(network.clone());
        self.write(&all)?;
        Ok(network)
    }

    /// Removes a network that nobody is on.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::Predefined`], [`Error::InUse`].
    pub fn remove(&self, name: &str) -> Result<()> {
        let _lock = self.lock()?;
        let mut all = self.list()?;
        let at = all.iter().position(|network| network.name == name);
        let at = at.ok_or_else(|| Error::Unknown(name.to_owned()))?;
        if name == DEFAULT {
            return Err(Error::Predefined(name.to_owned()));
        }
        let state = State::load(&self.leases())?;
        let owners: Vec<String> = state.on(name).map(|lease| lease.owner.name.clone()).collect();
        if !owners.is_empty() {
            return Err(Error::InUse { name: name.to_owned(), owners });
        }
        all.remove(at);
        self.write(&all)
    }

    /// Who has what at this moment.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn state(&self) -> Result<State> {
        State::load(&self.leases())
    }

    fn write(&self, all: &[Network]) -> Result<()> {
        let made: Vec<&Network> = all.iter().filter(|network| network.name != DEFAULT).collect();
        let path = &self.definitions;
        let json = serde_json::to_vec_pretty(&made).map_err(|e| at(path)(e.into()))?;
        let dir = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(dir).map_err(at(dir))?;
        write_atomic(path, &json).map_err(at(path))
    }

    fn leases(&self) -> PathBuf {
        self.run.join("leases.json")
    }

    /// Waits for its turn, and clears away what was half-written by one who was
    /// killed during his.
    fn lock(&self) -> Result<Lock> {
        fs::create_dir_all(&self.run).map_err(at(&self.run))?;
        let path = self.run.join("lock");
        let lock = Lock::exclusive(&path).map_err(at(&path))?;
        for file in [&self.leases(), &self.definitions] {
            remove_half_written(file).map_err(at(file))?;
        }
        Ok(lock)
    }

    /// Adds to the leases: written down, then set up. After a failure there is
    /// nothing more than before.
    pub(super) fn grow<T>(&self, add: impl FnOnce(&mut State, &Links) -> Result<T>) -> Result<T> {
        let _lock = self.lock()?;
        let path = self.leases();
        let before = State::load(&path)?;
        let links = Links::open().map_err(LinkError::of("ask for", "any"))?;
        let mut state = before.clone();
        let done = add(&mut state, &links).and_then(|value| {
            state.save(&path)?;
            state.networks.values().try_for_each(|active| bridge::set_up(&links, active))?;
            nft::apply(&rules::ruleset(&state))?;
            Ok(value)
        });
        if done.is_err() {
            let new =
                state.networks.values().filter(|a| !before.networks.contains_key(&a.network.name));
            for active in new {
                if let Err(e) = bridge::take_down(&links, active) {
                    tracing::warn!("{e}");
                }
            }
            before.save(&path)?;
        }
        done
    }

    /// Takes leases away, then strikes them out; `false` when there is nothing
    /// to be taken. Networks that nobody is on any more go with them.
    pub(super) fn shrink(&self, take: impl FnOnce(&mut State) -> bool) -> Result<bool> {
        // Nobody ever had a lease: there is nothing to wait for.
        if !self.run.exists() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        let path = self.leases();
        let mut state = State::load(&path)?;
        let taken = take(&mut state);
        // Somebody may have been killed before he had his lease on one.
        let idle = state.take_idle();
        if !taken && idle.is_empty() {
            return Ok(false);
        }
        nft::apply(&rules::ruleset(&state))?;
        let links = Links::open().map_err(LinkError::of("ask for", "any"))?;
        for active in &idle {
            bridge::take_down(&links, active)?;
        }
        state.save(&path)?;
        Ok(taken)
    }
}
