//! OCI runtime bundles as containers: what runc's callers hand over, in the engine's
//! words. `docs/oci.md` says what is taken and what is refused.
//!
//! [`bundle`] reads what a caller has prepared, [`refuse`] says no to what a DomU cannot
//! be, [`definition`] translates the rest, with [`mounts`], [`process`] and [`resources`];
//! [`rootfs`] makes the root disk. [`state`] remembers, below the runtime's `--root`, which
//! container of the engine is which of the caller's.

pub mod bundle;
pub mod cgroup;
pub mod console;
pub mod definition;
mod error;
pub mod mounts;
pub mod process;
pub mod program;
pub mod refuse;
pub mod resources;
pub mod rootfs;
pub mod state;

use std::path::{Path, PathBuf};

pub use error::{Error, Result};

use crate::container::reap;
use crate::container::store::{self, Containers};

/// The version of the runtime specification that is kept to.
pub const SPEC_VERSION: &str = "1.0.2";

/// Where the engine keeps the containers of OCI callers, apart from its own: they are
/// listed and removed by whoever has created them.
pub fn store(root: &Path) -> PathBuf {
    root.join("oci")
}

/// Removes what killed commands have left of such containers, and once after each boot
/// all of them: their callers' own state is gone with the boot.
///
/// # Errors
/// The store cannot be written.
pub fn clear_up(root: &Path, run: &Path) -> std::result::Result<(), reap::Error> {
    let root = store(root);
    if !root.exists() {
        return Ok(());
    }
    let mark = run.join("oci-booted");
    if !mark.exists() {
        remove_all(&Containers::new(&root))?;
        std::fs::write(&mark, "")?;
    }
    reap::leftovers(&root)
}

fn remove_all(store: &Containers) -> std::result::Result<(), store::Error> {
    store.ids()?.iter().try_for_each(|id| store.remove(id))
}
