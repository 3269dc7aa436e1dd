//! Which containers are alive, and what their monitors would leave behind.
//!
//! `RUN/containers/ID/` holds a lock, `journal.json`, and what a monitor tells
//! the world. The monitor takes the lock first, writes the journal before it
//! calls libxl, and holds the lock for as long as it lives: an entry whose lock
//! is free has lost its monitor, and everything that it names is to be removed.
//! Who changes a container that is not alive holds the same lock meanwhile.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ContainerId;
use crate::libxl::Uuid;
use crate::state::{Lock, write_atomic};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else has the container: a monitor, or a command for a moment.
    #[error("container {} is in use", .0.short())]
    Busy(ContainerId),
    /// A file of the journal cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io { path: path.to_owned(), source }
}

/// What a monitor may leave behind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The container.
    pub id: ContainerId,
    /// The uuid of its DomU.
    pub uuid: Uuid,
    /// Process id of its monitor.
    pub monitor: u32,
    /// Where the container itself is kept.
    pub root: PathBuf,
}

/// The directory of all entries, `/run/vxn`.
#[derive(Debug)]
pub struct Journal {
    containers: PathBuf,
}

const RECORD: &str = "journal.json";
const LOCK: &str = "lock";
const GATE: &str = ".lock";

impl Journal {
    /// Opens the journal below `run`, making it when it is not there.
    pub fn open(run: &Path) -> Result<Journal, Error> {
        let containers = run.join("containers");
        fs::create_dir_all(&containers).map_err(at(&containers))?;
        Ok(Journal { containers })
    }

    /// Where the monitor of a container keeps what it tells the world.
    pub fn directory(&self, id: &ContainerId) -> PathBuf {
        self.containers.join(id.as_str())
    }

    /// Takes a container for oneself. The entry lives until [`Entry::remove`].
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub fn enter(&self, id: &ContainerId) -> Result<Entry, Error> {
        let path = self.directory(id);
        // The gate keeps `abandoned` out of the gap between mkdir and flock.
        let _gate = self.gate()?;
        fs::create_dir_all(&path).map_err(at(&path))?;
        let lock = Lock::try_exclusive(&path.join(LOCK)).map_err(at(&path))?;
        // What a killed monitor has left is cleared up before anything else.
        match lock.filter(|_| !path.join(RECORD).exists()) {
            Some(lock) => Ok(Entry { gate: self.containers.join(GATE), path, lock }),
            None => Err(Error::Busy(id.clone())),
        }
    }

    /// The entries whose monitors are gone. Each comes with its lock held, so
    /// nobody else clears it up at the same time.
    pub fn abandoned(&self) -> Result<Vec<(Entry, Option<Record>)>, Error> {
        let _gate = self.gate()?;
        let mut found = Vec::new();
        for dir in fs::read_dir(&self.containers).map_err(at(&self.containers))? {
            let path = dir.map_err(at(&self.containers))?.path();
            if !path.is_dir() {
                continue;
            }
            let lock = Lock::try_exclusive(&path.join(LOCK));
            if let Some(lock) = lock.map_err(at(&path))? {
                found.push(self.adopt(path, lock));
            }
        }
        Ok(found)
    }

    /// An entry without a readable record has no DomU.
    fn adopt(&self, path: PathBuf, lock: Lock) -> (Entry, Option<Record>) {
        let json = fs::read(path.join(RECORD)).ok();
        let record = json.and_then(|json| serde_json::from_slice(&json).ok());
        (Entry { gate: self.containers.join(GATE), path, lock }, record)
    }

    fn gate(&self) -> Result<Lock, Error> {
        let path = self.containers.join(GATE);
        Lock::exclusive(&path).map_err(at(&path))
    }
}

/// A locked entry.
#[derive(Debug)]
pub struct Entry {
    gate: PathBuf,
    path: PathBuf,
    lock: Lock,
}

impl Entry {
    /// The entry's directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down what may be left behind from here on.
    pub fn record(&self, record: &Record) -> Result<(), Error> {
        let file = self.path.join(RECORD);
        let json = serde_json::to_vec_pretty(record).map_err(|e| at(&file)(e.into()))?;
        write_atomic(&file, &json).map_err(at(&file))
    }

    /// Removes the entry, when nothing of the life is left.
    pub fn remove(self) -> Result<(), Error> {
        // Or `abandoned` could find the directory without its lock file.
        let _gate = Lock::exclusive(&self.gate).map_err(at(&self.gate))?;
        fs::remove_dir_all(&self.path).map_err(at(&self.path))?;
        drop(self.lock);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            id: ContainerId::random().unwrap(),
            uuid: Uuid::random(),
            monitor: 1,
            root: "/var/lib/vxn".into(),
        }
    }

    #[test]
    fn a_container_has_one_master() {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        let id = record().id;
        let entry = journal.enter(&id).unwrap();
        assert!(matches!(journal.enter(&id), Err(Error::Busy(_))));
        entry.remove().unwrap();
        journal.enter(&id).unwrap().remove().unwrap();
        assert_eq!(fs::read_dir(&journal.containers).unwrap().count(), 1, "the gate");
    }

    #[test]
    fn only_entries_without_a_monitor_are_abandoned() {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        let alive = journal.enter(&record().id).unwrap();
        let dead = record();
        journal.enter(&dead.id).unwrap().record(&dead).unwrap();
        assert!(matches!(journal.enter(&dead.id), Err(Error::Busy(_))), "not cleared up yet");
        let mut found = journal.abandoned().unwrap();
        assert_eq!(found.len(), 1);
        let (entry, found) = found.remove(0);
        assert_eq!(found.unwrap().uuid, dead.uuid);
        entry.remove().unwrap();
        assert!(journal.abandoned().unwrap().is_empty());
        drop(alive);
    }

    #[test]
    fn a_half_made_entry_is_abandoned_too() {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        fs::create_dir(journal.containers.join("half")).unwrap();
        let (entry, record) = journal.abandoned().unwrap().remove(0);
        assert!(record.is_none());
        entry.remove().unwrap();
    }
}
