//! The volumes that there are.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::error::at;
use super::{Error, Name, Volume};
use crate::events::{self, Event, Kind};
use crate::state::{LockFile, WorkDir, write_atomic};

/// All volumes of this host.
#[derive(Debug, Clone)]
pub struct Volumes {
    root: PathBuf,
    volumes: PathBuf,
    tmp: PathBuf,
}

const RECORD: &str = "volume.json";
const DATA: &str = "_data";
const LOCK: &str = ".lock";

impl Volumes {
    /// Those below `root` (`/var/lib/vxn`); it need not be there yet.
    pub fn new(root: &Path) -> Volumes {
        let [volumes, tmp] = ["volumes", "tmp"].map(|name| root.join(name));
        Volumes { root: root.to_owned(), volumes, tmp }
    }

    /// The directory of a volume's content.
    pub fn data(&self, name: &Name) -> PathBuf {
        self.volumes.join(name.as_str()).join(DATA)
    }

    /// The volume of that name.
    ///
    /// # Errors
    /// [`Error::Unknown`].
    pub fn find(&self, name: &Name) -> Result<Volume, Error> {
        let path = self.volumes.join(name.as_str()).join(RECORD);
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json).map_err(|e| at(&path)(e.into())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::Unknown(name.to_string())),
            Err(e) => Err(at(&path)(e)),
        }
    }

    /// All volumes, in the order of their names.
    ///
    /// # Errors
    /// The system's.
    pub fn list(&self) -> Result<Vec<Volume>, Error> {
        let entries = match fs::read_dir(&self.volumes) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(at(&self.volumes))?,
        };
        let mut list = Vec::new();
        for entry in entries {
            let name = entry.map_err(at(&self.volumes))?.file_name();
            let Ok(name) = name.to_string_lossy().parse() else { continue };
            match self.find(&name) {
                Ok(volume) => list.push(volume),
                // Removed since.
                Err(Error::Unknown(_)) => {}
                Err(e) => tracing::warn!("{e}"),
            }
        }
        list.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(list)
    }

    /// Makes a volume, empty. One that is there is what it is.
    ///
    /// # Errors
    /// The system's.
    pub fn create(&self, volume: Volume) -> Result<Volume, Error> {
        let _lock = self.lock()?;
        match self.find(&volume.name) {
            Err(Error::Unknown(_)) => {
                self.make(&volume)?;
                self.tell("create", &volume.name);
                Ok(volume)
            }
            found => found,
        }
    }

    /// A volume's content, which is made when it is not there.
    ///
    /// # Errors
    /// The system's.
    pub fn ensure(&self, name: &Name) -> Result<PathBuf, Error> {
        self.create(Volume::new(name.clone(), Default::default()))?;
        Ok(self.data(name))
    }

    /// Bytes of disk that a volume takes; of what cannot be read, none.
    pub fn size(&self, name: &Name) -> u64 {
        blocks(&self.data(name)) * 512
    }

    /// Removes a volume that nobody uses.
    ///
    /// # Errors
    /// [`Error::Unknown`]; [`Error::InUse`] when there are `users`.
    pub fn remove(&self, name: &Name, users: &[String]) -> Result<(), Error> {
        let work = WorkDir::new(&self.tmp).map_err(at(&self.tmp))?;
        let _lock = self.lock()?;
        self.find(name)?;
        if !users.is_empty() {
            return Err(Error::InUse { name: name.clone(), users: users.to_vec() });
        }
        let home = self.volumes.join(name.as_str());
        fs::rename(&home, work.path().join("volume")).map_err(at(&home))?;
        self.tell("destroy", name);
        Ok(())
    }

    fn tell(&self, action: &str, name: &Name) {
        let event = Event::new(Kind::Volume, action, name.as_str());
        events::tell(&self.root, &event.with("driver", "local"));
    }

    /// Under the lock. What it holds is on the disk before it is in its place.
    fn make(&self, volume: &Volume) -> Result<(), Error> {
        let work = WorkDir::new(&self.tmp).map_err(at(&self.tmp))?;
        let made = work.path().join("volume");
        let data = made.join(DATA);
        fs::create_dir_all(&data).map_err(at(&data))?;
        let path = made.join(RECORD);
        let json = serde_json::to_vec_pretty(volume).map_err(|e| at(&path)(e.into()))?;
        write_atomic(&path, &json).map_err(at(&path))?;
        let home = self.volumes.join(volume.name.as_str());
        fs::rename(&made, &home).map_err(at(&home))?;
        let synced = File::open(&self.volumes).and_then(|dir| dir.sync_all());
        synced.map_err(at(&self.volumes))
    }

    fn lock(&self) -> Result<LockFile, Error> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.volumes);
        made.map_err(at(&self.volumes))?;
        let path = self.volumes.join(LOCK);
        LockFile::exclusive(&path).map_err(at(&path))
    }
}

/// Blocks of what is at `path`, and of all below it on the way there through no link.
fn blocks(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    let entries = meta.is_dir().then(|| fs::read_dir(path).ok()).flatten();
    let below = entries.into_iter().flatten().flatten().map(|entry| blocks(&entry.path()));
    meta.blocks() + below.sum::<u64>()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn store() -> (tempfile::TempDir, Volumes) {
        let root = tempfile::tempdir().unwrap();
        let volumes = Volumes::new(root.path());
        (root, volumes)
    }

    #[test]
    fn a_volume_is_made_once_and_keeps_its_labels() {
        let (root, volumes) = store();
        assert!(volumes.list().unwrap().is_empty());
        let name: Name = "data".parse().unwrap();
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let made = volumes.create(Volume::new(name.clone(), labels)).unwrap();
        let data = volumes.ensure(&name).unwrap();
        assert_eq!(data, root.path().join("volumes/data/_data"));
        assert_eq!(volumes.find(&name).unwrap(), made);
        let unnamed = Volume::new(Name::random().unwrap(), BTreeMap::new()).unnamed();
        volumes.create(unnamed).unwrap();
        let list = volumes.list().unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list.iter().filter(|volume| volume.is_anonymous()).count(), 1);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&root.path().join("volumes")), mode(&data)), (0o700, 0o755));
        assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn a_volume_goes_with_its_content_and_nothing_else() {
        let (root, volumes) = store();
        let name: Name = "data".parse().unwrap();
        let data = volumes.ensure(&name).unwrap();
        fs::write(root.path().join("outside"), "kept").unwrap();
        symlink("../../../outside", data.join("link")).unwrap();
        symlink(root.path(), data.join("up")).unwrap();
        fs::write(data.join("file"), [1; 10_000]).unwrap();
        assert!((10_000..100_000).contains(&volumes.size(&name)));
        let users = ["web".to_owned()];
        let error = volumes.remove(&name, &users).unwrap_err();
        assert_eq!(error.to_string(), "volume data is in use by web");
        volumes.remove(&name, &[]).unwrap();
        assert!(matches!(volumes.remove(&name, &[]), Err(Error::Unknown(_))));
        assert!(!data.exists());
        assert_eq!(fs::read(root.path().join("outside")).unwrap(), b"kept");
        assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
    }
}
