//! OCI runtime bundles as containers: what runc's callers hand over, in the engine's
//! words. `docs/oci.md` says what is taken and what is refused.
//!
//! [`bundle`] reads what a caller has prepared, [`refuse`] says no to what a DomU cannot
//! be, [`definition`] translates the rest, with [`mounts`], [`process`], [`resources`] and
//! `annotations`; [`rootfs`] makes the root disk, unless [`disks`] has one of the same root.
//! [`state`] remembers, below the runtime's `--root`, which container of the engine is which
//! of the caller's, and [`hooks`] runs the caller's programs.

mod annotations;
pub mod bundle;
pub mod cgroup;
mod claim;
pub mod console;
pub mod definition;
pub mod disks;
mod error;
pub mod hooks;
pub mod mounts;
mod overlay;
pub mod process;
pub mod program;
pub mod refuse;
pub mod resources;
pub mod rootfs;
mod shape;
pub mod state;

use std::path::{Path, PathBuf};

pub use error::{Error, Result};

use crate::container::journal::{self, Journal};
use crate::container::reap;
use crate::container::store::Containers;

/// The version of the runtime specification that is kept to.
pub const SPEC_VERSION: &str = "1.0.2";

/// Where the engine keeps the containers of OCI callers, apart from its own: they are
/// listed and removed by whoever has created them.
pub fn store(root: &Path) -> PathBuf {
    root.join("oci")
}

/// Removes what killed commands, or a boot, have left of such containers: they go with
/// their monitors, and `reap` has ended those whose monitors are dead.
///
/// # Errors
/// The store cannot be written.
pub fn clear_up(root: &Path, run: &Path) -> std::result::Result<(), reap::Error> {
    let root = store(root);
    if !root.exists() {
        return Ok(());
    }
    let store = Containers::new(&root);
    for id in store.ids()? {
        if run.join("containers").join(id.as_str()).exists() {
            continue;
        }
        match Journal::open(run)?.take(&id) {
            Ok(entry) => {
                store.remove(&id)?;
                entry.remove()?;
            }
            // Its monitor has come meanwhile.
            Err(journal::Error::Busy(_)) => {}
            Err(e) => return Err(e.into()),
        }
    }
    reap::leftovers(&root)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::ContainerId;

    #[test]
    fn containers_without_a_monitor_are_removed_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (root, run) = (dir.path().join("lib"), dir.path().join("run"));
        clear_up(&root, &run).unwrap();
        let homes = store(&root).join("containers");
        let [alive, dead] = [(); 2].map(|()| ContainerId::random().unwrap());
        for id in [&alive, &dead] {
            std::fs::create_dir_all(homes.join(id.as_str())).unwrap();
        }
        let held = Journal::open(&run).unwrap().take(&alive).unwrap();
        clear_up(&root, &run).unwrap();
        assert!(homes.join(alive.as_str()).exists() && !homes.join(dead.as_str()).exists());
        held.remove().unwrap();
        clear_up(&root, &run).unwrap();
        assert!(!homes.join(alive.as_str()).exists());
    }
}
