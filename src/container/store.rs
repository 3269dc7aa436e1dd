//! The containers of this host, as they are kept on disk.
//!
//! ```text
//! ROOT/containers/ID/definition.json   what the container is
//!                    state.json        how its last life ended
//!                    layer.img         what it has written, for its guest's eyes only
//!                    log/              what it has said
//! ROOT/names/NAME → ID                 claimed for as long as the container exists
//! ```
//!
//! A container appears and disappears whole: its directory is made elsewhere and
//! renamed, under the store's lock.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::condition::{Condition, Ended, Live, Recorded};
use super::definition::{Definition, Layer};
use super::{ContainerId, Name, layer, news, volumes};
use crate::state::{Lock, WorkDir, write_atomic};
use crate::volume;

/// Why the store does not do what it is asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another container has the name.
    #[error("the name {name:?} is already in use by container {owner}")]
    NameTaken {
        /// The name.
        name: String,
        /// Id of its container.
        owner: String,
    },
    /// Nothing has this name or id.
    #[error("no such container: {0}")]
    NoSuchContainer(String),
    /// The beginning of several ids.
    #[error("{0:?} is the beginning of several ids")]
    Ambiguous(String),
    /// The disk of the writable layer.
    #[error(transparent)]
    Layer(#[from] layer::Error),
    /// A volume.
    #[error(transparent)]
    Volume(#[from] volume::Error),
    /// A file of the store cannot be read or written.
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

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::NameTaken { .. } => {
                Some("pick another --name, or remove that container: vxn rm NAME".to_owned())
            }
            Error::NoSuchContainer(_) => Some("`vxn ps -a` lists all containers".to_owned()),
            Error::Ambiguous(_) => Some("give more of the id".to_owned()),
            Error::Layer(e) => e.hint(),
            Error::Volume(e) => e.hint(),
            Error::Io { .. } => None,
        }
    }
}

/// The store below `/var/lib/vxn`.
#[derive(Debug, Clone)]
pub struct Containers {
    root: PathBuf,
    containers: PathBuf,
    names: PathBuf,
}

const DEFINITION: &str = "definition.json";
const LAYER: &str = "layer.img";

impl Containers {
    /// The store below `root`; it need not be there yet.
    pub fn new(root: &Path) -> Containers {
        let [containers, names] = ["containers", "names"].map(|name| root.join(name));
        Containers { root: root.to_owned(), containers, names }
    }

    /// What the store is below.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of a container.
    pub fn home(&self, id: &ContainerId) -> PathBuf {
        self.containers.join(id.as_str())
    }

    /// The disk of a container's writable layer, if it has one.
    pub fn layer(&self, definition: &Definition) -> Option<PathBuf> {
        let disk = matches!(definition.layer, Layer::Disk { .. });
        disk.then(|| self.home(&definition.id).join(LAYER))
    }

    /// Adds a container, claims its name and makes its volumes.
    ///
    /// # Errors
    /// [`Error::NameTaken`]; nothing of the container is left then.
    pub fn add(&self, definition: &Definition) -> Result<(), Error> {
        let tmp = self.root.join("tmp");
        let work = WorkDir::new(&tmp).map_err(at(&tmp))?;
        let made = work.path().join("container");
        fs::create_dir(&made).map_err(at(&made))?;
        if let Layer::Disk { bytes } = definition.layer {
            layer::make(&made.join(LAYER), bytes)?;
        }
        self.write(&made, definition)?;
        let _lock = self.lock()?;
        self.claim(&definition.name, &definition.id)?;
        let home = self.home(&definition.id);
        fs::rename(&made, &home).map_err(at(&home))?;
        // After the container: whoever is killed here leaves no volume that nobody has.
        if let Err(e) = volumes::make(&self.root, definition) {
            fs::rename(&home, &made).map_err(at(&made))?;
            if let Err(e) = volumes::remove_anonymous(&self.root, definition) {
                tracing::warn!("cannot remove the container's volumes: {e}");
            }
            return Err(e);
        }
        news::tell(&self.root, definition, "create", &[]);
        if definition.remove {
            return Ok(());
        }
        let synced = File::open(&self.containers).and_then(|dir| dir.sync_all());
        synced.map_err(at(&self.containers))
    }

    /// Changes a container's definition, whatever else has changed of it meanwhile.
    ///
    /// # Errors
    /// What `change` says; nothing has changed then.
    pub fn change<E: From<Error>>(
        &self,
        id: &ContainerId,
        change: impl FnOnce(&mut Definition) -> Result<(), E>,
    ) -> Result<(), E> {
        let _lock = self.lock()?;
        let mut definition = self.load(id)?;
        change(&mut definition)?;
        Ok(self.write(&self.home(id), &definition)?)
    }

    /// Replaces a container's definition. A new name is claimed, the old one freed.
    ///
    /// # Errors
    /// [`Error::NameTaken`]; nothing has changed then.
    pub fn update(&self, definition: &Definition) -> Result<(), Error> {
        let _lock = self.lock()?;
        let old = self.load(&definition.id)?;
        if old.name != definition.name {
            self.claim(&definition.name, &definition.id)?;
        }
        self.write(&self.home(&definition.id), definition)?;
        if old.name != definition.name {
            self.free(&old.name, &old.id)?;
            let old_name = ("oldName", old.name.to_string());
            news::tell(&self.root, definition, "rename", &[old_name]);
        } else {
            news::tell(&self.root, definition, "update", &[]);
        }
        Ok(())
    }

    /// Removes a container and all that it has written; its name is free again. The
    /// volumes that were made for a `--rm` container go too.
    pub fn remove(&self, id: &ContainerId) -> Result<(), Error> {
        let tmp = self.root.join("tmp");
        let work = WorkDir::new(&tmp).map_err(at(&tmp))?;
        let _lock = self.lock()?;
        let definition = self.load(id);
        let home = self.home(id);
        fs::rename(&home, work.path().join("container")).map_err(at(&home))?;
        match definition {
            Ok(definition) => {
                self.free(&definition.name, id)?;
                news::tell(&self.root, &definition, "destroy", &[]);
                if definition.remove {
                    volumes::remove_anonymous(&self.root, &definition)?;
                }
                Ok(())
            }
            // Whatever it was called: its name is stale now, and swept away.
            Err(_) => Ok(()),
        }
    }

    /// The container with this name, this id, or the only one whose id begins so.
    pub fn find(&self, word: &str) -> Result<Definition, Error> {
        if let Ok(name) = word.parse::<Name>() {
            if let Some(owner) = self.owner(&name) {
                return self.load(&owner);
            }
        }
        let none = || Error::NoSuchContainer(word.to_owned());
        if word.is_empty() {
            return Err(none());
        }
        let mut found = self.ids()?.into_iter().filter(|id| id.as_str().starts_with(word));
        let first = found.next().ok_or_else(none)?;
        if found.next().is_some() {
            return Err(Error::Ambiguous(word.to_owned()));
        }
        self.load(&first)
    }

    /// All containers, the newest first.
    pub fn list(&self) -> Result<Vec<Definition>, Error> {
        let mut list = Vec::new();
        for id in self.ids()? {
            match self.load(&id) {
                Ok(definition) => list.push(definition),
                // Removed since.
                Err(Error::NoSuchContainer(_)) => {}
                Err(e) => tracing::warn!("{e}"),
            }
        }
        list.sort_by_key(|definition| std::cmp::Reverse(definition.created));
        Ok(list)
    }

    /// How a container is; `run` is where its monitor would tell.
    pub fn condition(&self, id: &ContainerId, run: &Path) -> Result<Condition, Error> {
        let live = Live::read(&run.join("containers").join(id.as_str()));
        let home = self.home(id);
        match (live.map_err(at(run))?, Recorded::read(&home).map_err(at(&home))?) {
            (Some(live), _) => Ok(Condition::Live(live)),
            (None, None) => Ok(Condition::Created),
            (None, Some(Recorded::Exited(ended))) => Ok(Condition::Exited(ended)),
            (None, Some(Recorded::Alive)) => {
                Ok(Condition::Exited(Ended::abandoned("its monitor is gone")))
            }
        }
    }

    /// Writes down how a container is.
    pub fn record(&self, id: &ContainerId, recorded: &Recorded) -> Result<(), Error> {
        let home = self.home(id);
        // A container that ends with its process is removed after a power cut.
        let durable = !self.load(id)?.remove;
        recorded.write(&home, durable).map_err(at(&home))
    }

    /// Reads a container's definition.
    pub fn load(&self, id: &ContainerId) -> Result<Definition, Error> {
        let path = self.home(id).join(DEFINITION);
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|e| at(&path)(e.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(Error::NoSuchContainer(id.short().to_owned()))
            }
            Err(e) => Err(at(&path)(e)),
        }
    }

    /// Ids of all containers.
    pub fn ids(&self) -> Result<Vec<ContainerId>, Error> {
        let entries = match fs::read_dir(&self.containers) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(&self.containers))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(at(&self.containers))?.file_name();
            let name = name.to_string_lossy().into_owned();
            ids.extend(ContainerId::try_from(name).ok());
        }
        Ok(ids)
    }

    /// A container that ends with its process is not worth the wait for the disk:
    /// after a power cut it is removed anyway.
    fn write(&self, dir: &Path, definition: &Definition) -> Result<(), Error> {
        let path = dir.join(DEFINITION);
        let json = serde_json::to_vec_pretty(definition).map_err(|e| at(&path)(e.into()))?;
        let fresh = dir != self.home(&definition.id);
        let written = if definition.remove && fresh {
            fs::write(&path, &json)
        } else {
            write_atomic(&path, &json)
        };
        written.map_err(at(&path))
    }

    fn lock(&self) -> Result<Lock, Error> {
        for dir in [&self.containers, &self.names] {
            fs::create_dir_all(dir).map_err(at(dir))?;
        }
        let path = self.containers.join(".lock");
        Lock::exclusive(&path).map_err(at(&path))
    }

    /// Who holds a name: a container that is there.
    fn owner(&self, name: &Name) -> Option<ContainerId> {
        let target = fs::read_link(self.names.join(name.as_str())).ok()?;
        let id = ContainerId::try_from(target.to_string_lossy().into_owned()).ok()?;
        self.home(&id).exists().then_some(id)
    }

    /// Under the lock. A link whose container is gone was left by a killed command.
    fn claim(&self, name: &Name, id: &ContainerId) -> Result<(), Error> {
        if let Some(owner) = self.owner(name) {
            let owner = owner.short().to_owned();
            return Err(Error::NameTaken { name: name.to_string(), owner });
        }
        let link = self.names.join(name.as_str());
        unlink(&link)?;
        symlink(id.as_str(), &link).map_err(at(&link))
    }

    /// Under the lock. A link to another container is not ours to remove.
    fn free(&self, name: &Name, id: &ContainerId) -> Result<(), Error> {
        let link = self.names.join(name.as_str());
        if fs::read_link(&link).is_ok_and(|target| target == Path::new(id.as_str())) {
            unlink(&link)?;
        }
        Ok(())
    }

    /// Removes the names that killed commands have left: there are more names than
    /// containers then, as a name is claimed before its container appears or is
    /// renamed, and freed after.
    pub fn sweep_names(&self) -> Result<(), Error> {
        let names = || -> io::Result<Vec<String>> {
            let entries = fs::read_dir(&self.names)?;
            entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
        };
        if names().map_or(0, |names| names.len()) <= self.ids()?.len() {
            return Ok(());
        }
        let _lock = self.lock()?;
        for text in names().map_err(at(&self.names))? {
            let owner = text.parse().ok().and_then(|name| self.owner(&name));
            let held = owner.and_then(|id| self.load(&id).ok());
            if held.is_none_or(|definition| definition.name.as_str() != text) {
                unlink(&self.names.join(text))?;
            }
        }
        Ok(())
    }
}

fn unlink(link: &Path) -> Result<(), Error> {
    match fs::remove_file(link) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(at(link)(e)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
