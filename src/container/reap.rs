//! Removes what killed processes left: found by uuid and marker, never by name.

use std::path::Path;

use super::journal::{self, Journal};
use super::network;
use crate::hotplug;
use crate::image::Store;
use crate::libxl::{self, Ctx};
use crate::xenstore::{self, Xenstore};

/// Why something may be left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// A DomU cannot be found or destroyed.
    #[error(transparent)]
    Libxl(#[from] libxl::Error),
    /// xenstored does not answer.
    #[error(transparent)]
    Xenstore(#[from] xenstore::Error),
    /// Leases cannot be taken back.
    #[error(transparent)]
    Network(#[from] crate::network::Error),
    /// Loop devices cannot be looked through.
    #[error(transparent)]
    Hotplug(#[from] hotplug::Error),
    /// Temporary files cannot be removed.
    #[error("cannot remove abandoned files: {0}")]
    Files(#[from] std::io::Error),
}

/// Removes the containers below `run` whose monitors are dead, and returns how
/// many there were. Without any it costs a directory listing.
pub fn abandoned(run: &Path) -> Result<usize, Error> {
    // No directory: nothing was ever run since the boot.
    if !run.join("containers").exists() {
        return Ok(0);
    }
    let entries = Journal::open(run)?.abandoned()?;
    if entries.is_empty() {
        return Ok(0);
    }
    let ctx = Ctx::open()?;
    let domains = ctx.list()?;
    for (_, record) in &entries {
        let uuid = record.as_ref().map(|r| r.uuid);
        for domain in domains.iter().filter(|d| Some(d.uuid) == uuid) {
            tracing::info!(domid = %domain.domid, "destroying a DomU whose monitor is dead");
            ctx.destroy(domain.domid)?;
        }
    }
    hotplug::reap_loops(&Xenstore::open()?, Path::new(hotplug::LOCK))?;
    let count = entries.len();
    for (entry, record) in entries {
        if let Some(record) = record {
            network::release(run, &record.id)?;
        }
        entry.remove()?;
    }
    Ok(count)
}

/// Removes abandoned work directories below `root`.
pub fn work_directories(root: &Path) -> Result<(), Error> {
    Ok(Store::clear_up(root)?)
}
