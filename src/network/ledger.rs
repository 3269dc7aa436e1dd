//! The leases on disk and in the kernel, and the lock around both.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vxn_link::{LinkError, Links};

use super::error::{Error, Result, at};
use super::leases::{Lease, Owner, State};
use super::{bridge, nft, rules};
use crate::state::{Lock, remove_half_written};

/// All leases of this host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Leases {
    /// The file and the lock.
    run: PathBuf,
}

impl Leases {
    /// Those below `run` (`/run/vxn`).
    pub fn new(run: &Path) -> Leases {
        Leases { run: run.join("network") }
    }

    /// The directory whose changes are changes of the leases.
    pub fn dir(&self) -> &Path {
        &self.run
    }

    /// Who has what at this moment.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn state(&self) -> Result<State> {
        State::load(&self.file())
    }

    /// Takes all published ports of an owner back, and leaves its addresses.
    ///
    /// # Errors
    /// When rules or files cannot be changed.
    pub fn unpublish(&self, owner: &str) -> Result<()> {
        let mine = |lease: &&mut Lease| lease.owner.id == owner && !lease.forwards.is_empty();
        let take = |state: &mut State| {
            state.leases.iter_mut().filter(mine).map(|lease| lease.forwards.clear()).count() > 0
        };
        self.shrink(take).map(drop)
    }

    /// Takes everything that an owner has; an owner who has nothing is no error.
    ///
    /// # Errors
    /// When rules, bridge or files cannot be changed; the lease stays then.
    pub fn release(&self, owner: &str) -> Result<()> {
        self.reap(|id| id != owner).map(drop)
    }

    /// Takes one network from an owner who is on several.
    ///
    /// # Errors
    /// [`Error::NotConnected`] when the owner is not on it.
    pub fn detach(&self, owner: &Owner, network: &str) -> Result<()> {
        let stays = |lease: &Lease| lease.owner.id != owner.id || lease.network != network;
        match self.shrink(|state| retain(state, stays))? {
            true => Ok(()),
            false => {
                let (owner, network) = (owner.name.clone(), network.to_owned());
                Err(Error::NotConnected { owner, network })
            }
        }
    }

    /// Takes everything from the owners who are not `alive`, and says whether
    /// there was anything. An owner whose fate the caller does not know is alive.
    ///
    /// # Errors
    /// When rules, bridges or files cannot be changed; the leases stay then.
    pub fn reap(&self, alive: impl Fn(&str) -> bool) -> Result<bool> {
        self.shrink(|state| retain(state, |lease| alive(&lease.owner.id)))
    }

    fn file(&self) -> PathBuf {
        self.run.join("leases.json")
    }

    /// Waits for its turn, and clears away what was half-written by one who was
    /// killed during his.
    pub(super) fn lock(&self) -> Result<Lock> {
        fs::create_dir_all(&self.run).map_err(at(&self.run))?;
        let path = self.run.join("lock");
        let lock = Lock::exclusive(&path).map_err(at(&path))?;
        remove_half_written(&self.file()).map_err(at(&self.run))?;
        Ok(lock)
    }

    /// Adds to the leases: written down, then set up. After a failure there is
    /// nothing more than before.
    pub(super) fn grow<T>(&self, add: impl FnOnce(&mut State, &Links) -> Result<T>) -> Result<T> {
        let _lock = self.lock()?;
        let path = self.file();
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
        let path = self.file();
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

/// Keeps the leases that `stay`, and says whether any did not.
fn retain(state: &mut State, stays: impl Fn(&Lease) -> bool) -> bool {
    let before = state.leases.len();
    state.leases.retain(stays);
    state.leases.len() < before
}
