//! Which containers are alive, and what their monitors would leave behind.
//!
//! `RUN/containers/ID/` holds `journal.json` and a lock. The monitor takes the
//! lock before it writes the journal, writes the journal before it calls libxl,
//! and holds the lock for as long as it lives: an entry whose lock is free has
//! lost its monitor, and everything that it names is to be removed.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{ContainerId, Name};
use crate::libxl::Uuid;
use crate::state::{Lock, write_atomic};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else has the container: a monitor, or a command for a moment.
    #[error("container {} is in use", .0.short())]
    Busy(ContainerId),
    /// Another DomU has the name.
    #[error("the name {name:?} is already in use by container {owner}")]
    NameTaken {
        /// The name.
        name: String,
        /// Id of its container.
        owner: String,
    },
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

/// What a container may leave behind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The container.
    pub id: ContainerId,
    /// The name that it holds.
    pub name: Option<Name>,
    /// The uuid of its DomU.
    pub uuid: Uuid,
    /// Process id of its monitor.
    pub monitor: u32,
    /// Where the container itself is kept, when the end of its DomU is its own.
    pub root: Option<PathBuf>,
    /// The network namespace in which it has a place.
    #[serde(default)]
    pub namespace: Option<PathBuf>,
}

/// The directory of all entries, `/run/vxn`.
#[derive(Debug)]
pub struct Journal {
    containers: PathBuf,
    names: PathBuf,
}

const RECORD: &str = "journal.json";
const LOCK: &str = "lock";
const GATE: &str = ".lock";

impl Journal {
    /// Opens the journal below `run`, making it when it is not there.
    pub fn open(run: &Path) -> Result<Journal, Error> {
        let journal = Journal { containers: run.join("containers"), names: run.join("names") };
        for dir in [&journal.containers, &journal.names] {
            fs::create_dir_all(dir).map_err(at(dir))?;
        }
        Ok(journal)
    }

    /// Where the monitor of a container keeps what it tells the world.
    pub fn directory(&self, id: &ContainerId) -> PathBuf {
        self.containers.join(id.as_str())
    }

    /// Takes a container for oneself. The entry lives until [`Entry::remove`].
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub fn take(&self, id: &ContainerId) -> Result<Entry, Error> {
        let path = self.directory(id);
        // The gate keeps `abandoned` out of the gap between mkdir and flock.
        let _gate = self.gate()?;
        fs::create_dir_all(&path).map_err(at(&path))?;
        let lock = Lock::try_exclusive(&path.join(LOCK)).map_err(at(&path))?;
        // What a killed monitor has left is cleared up before anything else.
        match lock.filter(|_| !path.join(RECORD).exists()) {
            Some(lock) => Ok(Entry { gate: self.containers.join(GATE), path, name: None, lock }),
            None => Err(Error::Busy(id.clone())),
        }
    }

    /// Takes a container and writes down what it may leave behind.
    ///
    /// # Errors
    /// [`Error::Busy`] and [`Error::NameTaken`]; nothing is left in the journal then.
    pub fn enter(&self, record: &Record) -> Result<Entry, Error> {
        let mut entry = self.take(&record.id)?;
        match self.fill(&mut entry, record) {
            Ok(()) => Ok(entry),
            Err(e) => {
                entry.remove()?;
                Err(e)
            }
        }
    }

    fn fill(&self, entry: &mut Entry, record: &Record) -> Result<(), Error> {
        entry.record(record)?;
        if let Some(name) = &record.name {
            entry.name = Some(self.claim(name, &record.id)?);
        }
        Ok(())
    }

    fn claim(&self, name: &Name, id: &ContainerId) -> Result<PathBuf, Error> {
        let link = self.names.join(name.as_str());
        match symlink(id.as_str(), &link) {
            Ok(()) => Ok(link),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let owner = fs::read_link(&link).unwrap_or_default().display().to_string();
                Err(Error::NameTaken { name: name.to_string(), owner })
            }
            Err(e) => Err(at(&link)(e)),
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

    /// An entry without a readable record was being made when its maker died:
    /// there is no DomU yet.
    fn adopt(&self, path: PathBuf, lock: Lock) -> (Entry, Option<Record>) {
        let record: Option<Record> =
            fs::read(path.join(RECORD)).ok().and_then(|json| serde_json::from_slice(&json).ok());
        let link = record.as_ref().and_then(|r| {
            let link = self.names.join(r.name.as_ref()?.as_str());
            let owner = fs::read_link(&link).ok()?;
            (owner == Path::new(r.id.as_str())).then_some(link)
        });
        (Entry { gate: self.containers.join(GATE), path, name: link, lock }, record)
    }

    /// The directory of the container that holds a name.
    pub fn holder(&self, name: &Name) -> Result<Option<PathBuf>, Error> {
        let link = self.names.join(name.as_str());
        match fs::read_link(&link) {
            Ok(id) => Ok(Some(self.containers.join(id))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(at(&link)(e)),
        }
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
    name: Option<PathBuf>,
    lock: Lock,
}

impl Entry {
    /// Its directory, for what else belongs to the container.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down what may be left behind from here on.
    pub fn record(&self, record: &Record) -> Result<(), Error> {
        let file = self.path.join(RECORD);
        let json = serde_json::to_vec_pretty(record).map_err(|e| at(&file)(e.into()))?;
        write_atomic(&file, &json).map_err(at(&file))
    }

    /// Removes the entry, when nothing of the container is left: first the
    /// name, so that a name always has an entry.
    pub fn remove(self) -> Result<(), Error> {
        // Or `abandoned` could find the directory without its lock file.
        let _gate = Lock::exclusive(&self.gate).map_err(at(&self.gate))?;
        if let Some(link) = &self.name {
            fs::remove_file(link).map_err(at(link))?;
        }
        fs::remove_dir_all(&self.path).map_err(at(&self.path))?;
        drop(self.lock);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: Option<&str>) -> Record {
        Record {
            id: ContainerId::random().unwrap(),
            name: name.map(|n| n.parse().unwrap()),
            uuid: Uuid::random(),
            monitor: 1,
            root: None,
            namespace: None,
        }
    }

    #[test]
    fn a_name_has_one_owner_and_is_free_after_it() {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        let first = record(Some("web"));
        let entry = journal.enter(&first).unwrap();
        let error = journal.enter(&record(Some("web"))).unwrap_err();
        assert!(error.to_string().contains(first.id.as_str()), "{error}");
        assert_eq!(fs::read_dir(&journal.containers).unwrap().count(), 2, "entry and gate");
        entry.remove().unwrap();
        journal.enter(&record(Some("web"))).unwrap().remove().unwrap();
    }

    #[test]
    fn a_container_has_one_master() {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        let record = record(None);
        let entry = journal.take(&record.id).unwrap();
        assert!(matches!(journal.take(&record.id), Err(Error::Busy(_))));
        entry.remove().unwrap();
        drop(journal.enter(&record).unwrap());
        assert!(matches!(journal.take(&record.id), Err(Error::Busy(_))), "not cleared up yet");
    }

    #[test]
    fn only_entries_without_a_monitor_are_abandoned() {
        let run = tempfile::tempdir().unwrap();
        let journal = Journal::open(run.path()).unwrap();
        let alive = journal.enter(&record(None)).unwrap();
        let dead = record(Some("gone"));
        drop(journal.enter(&dead).unwrap());
        let mut found = journal.abandoned().unwrap();
        assert_eq!(found.len(), 1);
        let (entry, found) = found.remove(0);
        assert_eq!(found.unwrap().uuid, dead.uuid);
        entry.remove().unwrap();
        assert!(journal.abandoned().unwrap().is_empty());
        assert_eq!(fs::read_dir(&journal.names).unwrap().count(), 0);
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
