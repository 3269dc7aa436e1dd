//! Removes what killed processes left: found by uuid and marker, never by name.

use std::fs;
use std::path::Path;

use super::condition::{Ended, Recorded};
use super::id::ContainerId;
use super::journal::{self, Journal, Record};
use super::store::{self, Containers};
use super::{network, news, place};
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
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] store::Error),
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

/// Ends the lives below `run` whose monitors are dead, and returns how many there
/// were. Without any it costs a directory listing.
pub fn abandoned(run: &Path) -> Result<usize, Error> {
    abandoned_with(run, |id| network::release(run, id))
}

/// The same with a journal of other lives; `release` takes back what one has of
/// networks.
pub fn abandoned_with(
    run: &Path,
    release: impl Fn(&ContainerId) -> crate::network::Result<()>,
) -> Result<usize, Error> {
    // No directory: nothing was ever run since the boot.
    if !run.join("containers").exists() {
        return Ok(0);
    }
    let entries = Journal::open(run)?.abandoned()?;
    if entries.is_empty() {
        return Ok(0);
    }
    let records: Vec<&Record> = entries.iter().filter_map(|(_, record)| record.as_ref()).collect();
    if !records.is_empty() {
        let ctx = Ctx::open()?;
        for domain in ctx.list()? {
            if records.iter().any(|record| record.uuid == domain.uuid) {
                tracing::info!(domid = %domain.domid, "destroying a DomU whose monitor is dead");
                ctx.destroy(domain.domid)?;
            }
        }
        hotplug::reap_loops(&Xenstore::open()?, Path::new(hotplug::LOCK))?;
    }
    let count = entries.len();
    for (entry, record) in entries {
        if let Some(record) = record {
            release(&record.id)?;
            if let Some(path) = &record.namespace {
                place::clear(path, &record.id)?;
            }
            if let Some(root) = &record.root {
                settle(&Containers::new(root), &record.id, "the container's monitor was killed")?;
            }
        }
        entry.remove()?;
    }
    Ok(count)
}

/// A `--rm` container goes with its life, of another one the end is written down.
fn settle(store: &Containers, id: &ContainerId, why: &str) -> Result<(), store::Error> {
    match store.load(id) {
        Ok(definition) => {
            let ended = Ended::abandoned(why);
            let code = ("exitCode", ended.code.to_string());
            news::tell(store.root(), &definition, "die", &[code]);
            if definition.remove {
                return store.remove(id);
            }
            store.record(id, &Recorded::Exited(ended))
        }
        // The monitor died before it had made it, or a power cut has halved it.
        Err(store::Error::NoSuchContainer(_)) => Ok(()),
        Err(e) => {
            tracing::warn!("{e}: the container is removed");
            store.remove(id)
        }
    }
}

/// Once after each boot: ends the lives that were cut short by the end of the
/// last one. The directory `run` is gone with a boot, and so is the mark in it.
pub fn after_boot(root: &Path, run: &Path) -> Result<(), Error> {
    let mark = run.join("booted");
    if mark.exists() {
        return Ok(());
    }
    let store = Containers::new(root);
    for id in store.ids()? {
        if let Ok(Some(Recorded::Alive)) = Recorded::read(&store.home(&id)) {
            settle(&store, &id, "the host went down")?;
        }
    }
    fs::create_dir_all(run)?;
    Ok(fs::write(&mark, "")?)
}

/// Removes abandoned work directories and names below `root`.
pub fn leftovers(root: &Path) -> Result<(), Error> {
    Store::clear_up(root)?;
    Ok(Containers::new(root).sweep_names()?)
}

#[cfg(test)]
mod tests {
    use super::super::condition::Condition;
    use super::super::definition::tests::definition;
    use super::*;

    #[test]
    fn a_boot_ends_what_was_alive_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let (root, run) = (dir.path().join("lib"), dir.path().join("run"));
        let store = Containers::new(&root);
        let [mut fleeting, lasting, created] = ["a", "b", "c"].map(definition);
        fleeting.remove = true;
        for made in [&fleeting, &lasting, &created] {
            store.add(made).unwrap();
        }
        store.record(&fleeting.id, &Recorded::Alive).unwrap();
        store.record(&lasting.id, &Recorded::Alive).unwrap();
        after_boot(&root, &run).unwrap();
        assert!(store.load(&fleeting.id).is_err());
        let Condition::Exited(ended) = store.condition(&lasting.id, &run).unwrap() else {
            panic!("not ended");
        };
        assert_eq!((ended.code, ended.by_user), (137, false));
        assert_eq!(store.condition(&created.id, &run).unwrap(), Condition::Created);
        // Only once: what begins later is alive.
        store.record(&lasting.id, &Recorded::Alive).unwrap();
        after_boot(&root, &run).unwrap();
        assert_eq!(Recorded::read(&store.home(&lasting.id)).unwrap(), Some(Recorded::Alive));
    }
}
