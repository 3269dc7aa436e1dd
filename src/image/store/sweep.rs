//! Removing: names first, then whatever nothing leads to any more.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::super::layout::Documents;
use super::super::{Digest, Error, Reference, Result, disk};
use super::{Locked, Store};
use crate::events::{self, Event, Kind};

/// The images that containers are made of, by manifest, each with the names of
/// its containers. They are kept whatever else is removed.
pub type InUse = BTreeMap<Digest, Vec<String>>;

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    /// Names that were taken away.
    pub untagged: Vec<String>,
    /// Ids (configuration digests) of the images that are gone.
    pub deleted: Vec<Digest>,
    /// Bytes on disk.
    pub bytes: u64,
}

/// What the store takes on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Images, named or not.
    pub images: usize,
    /// Those that containers are made of.
    pub active: usize,
    /// Bytes of all blobs and root disks.
    pub bytes: u64,
    /// Bytes that `image prune --all` would free.
    pub reclaimable: u64,
}

impl Store {
    /// Gives the image another name, taken from whatever had it.
    pub fn tag(&self, digest: &Digest, name: &Reference) -> Result<()> {
        let mut locked = self.locked()?;
        let known = locked.index.entries().iter().find(|e| e.digest == *digest).cloned();
        let mut entry = known.ok_or_else(|| Error::Unknown { name: digest.to_string() })?;
        entry.name = Some(name.to_string());
        entry.stamp = None;
        locked.index.add(entry);
        locked.save()?;
        self.tell("tag", self.id_of(digest), Some(&name.to_string()));
        Ok(())
    }

    /// Takes names away. Their images stay.
    pub fn untag(&self, names: &[String]) -> Result<()> {
        let mut locked = self.locked()?;
        let mut untagged = Vec::new();
        for name in names {
            let digest = locked.index.untag(name);
            untagged.push(digest.ok_or_else(|| Error::Unknown { name: name.clone() })?);
        }
        locked.save()?;
        for (name, digest) in names.iter().zip(untagged) {
            self.tell("untag", self.id_of(&digest), Some(name));
        }
        Ok(())
    }

    /// Takes one name away; with the last one the image goes, unless a container
    /// is made of it.
    pub fn remove_name(&self, name: &str, in_use: &InUse) -> Result<Freed> {
        let mut locked = self.locked()?;
        let untagged = locked.index.untag(name);
        let digest = untagged.ok_or_else(|| Error::Unknown { name: name.to_owned() })?;
        let nameless = |e: &&super::Entry| e.digest == digest && e.name.is_none();
        let gone = locked.index.entries().iter().any(|e| nameless(&e)).then_some(digest);
        self.drop_images(&mut locked, gone, vec![(name.to_owned(), digest)], in_use)
    }

    /// Removes an image with all of its names, unless a container is made of it:
    /// then it loses its names only.
    pub fn remove_image(&self, digest: &Digest, in_use: &InUse) -> Result<Freed> {
        let mut locked = self.locked()?;
        let names: Vec<_> =
            names_of(&locked, digest).into_iter().map(|name| (name, *digest)).collect();
        for (name, _) in &names {
            locked.index.untag(name);
        }
        self.drop_images(&mut locked, [*digest], names, in_use)
    }

    /// Removes all nameless images, or all that no container is made of, for
    /// which `wanted` is true; and whatever killed and failed pulls have left.
    pub fn prune(
        &self,
        all: bool,
        in_use: &InUse,
        wanted: &dyn Fn(&Documents) -> bool,
    ) -> Result<Freed> {
        let mut locked = self.locked()?;
        let mut gone = Vec::new();
        let mut untagged = Vec::new();
        for digest in locked.index.digests() {
            let names = names_of(&locked, &digest);
            let spare = !in_use.contains_key(&digest) && (all || names.is_empty());
            // One that cannot be read is of no use to anybody.
            if spare && self.blobs.image(&digest).map_or(true, |documents| wanted(&documents)) {
                untagged.extend(names.into_iter().map(|name| (name, digest)));
                gone.push(digest);
            }
        }
        self.drop_images(&mut locked, gone, untagged, in_use)
    }

    /// Takes images out of the index and removes what only they needed.
    fn drop_images(
        &self,
        locked: &mut Locked<'_>,
        digests: impl IntoIterator<Item = Digest>,
        untagged: Vec<(String, Digest)>,
        in_use: &InUse,
    ) -> Result<Freed> {
        let named = |(name, digest)| (name, self.id_of(&digest));
        let untagged: Vec<(String, Digest)> = untagged.into_iter().map(named).collect();
        let mut deleted = Vec::new();
        for digest in digests.into_iter().filter(|digest| !in_use.contains_key(digest)) {
            deleted.push(self.id_of(&digest));
            locked.index.remove(&digest);
        }
        // Names first: what is half removed is then a leftover, not a damaged image.
        locked.save()?;
        untagged.iter().for_each(|(name, id)| self.tell("untag", *id, Some(name)));
        deleted.iter().for_each(|id| self.tell("delete", *id, None));
        let bytes = self.sweep(locked, in_use)?;
        let untagged = untagged.into_iter().map(|(name, _)| name).collect();
        Ok(Freed { untagged, deleted, bytes })
    }

    /// The id of an image; of one that cannot be read, its digest.
    fn id_of(&self, digest: &Digest) -> Digest {
        self.blobs.image(digest).map_or(*digest, |documents| documents.config_digest)
    }

    /// Tells that something has happened to an image, for `vxn events`.
    pub(super) fn tell(&self, action: &str, id: impl ToString, name: Option<&str>) {
        let mut event = Event::new(Kind::Image, action, id.to_string());
        event.attributes.extend(name.map(|name| ("name".to_owned(), name.to_owned())));
        events::tell(&self.root, &event);
    }

    /// Removes the blobs and disks that no image needs. Pulls under way hold
    /// what they rely on by links of their own.
    fn sweep(&self, locked: &Locked<'_>, in_use: &InUse) -> Result<u64> {
        let needed = self.needed(locked.index.digests().iter().chain(in_use.keys()));
        let mut freed = 0;
        for path in self.files()?.into_iter().filter(|path| !needed.contains(path)) {
            freed += size(&path);
            fs::remove_file(&path).map_err(Error::io(&path))?;
        }
        Ok(freed)
    }

    /// The files of `images`, blobs and disks.
    pub(super) fn needed<'a>(&self, images: impl Iterator<Item = &'a Digest>) -> HashSet<PathBuf> {
        let mut needed = HashSet::new();
        for digest in images {
            needed.insert(self.blobs.blob(digest));
            if let Ok(documents) = self.blobs.image(digest) {
                needed.extend(documents.blobs().map(|blob| self.blobs.blob(&blob)));
                for disk in disk::paths(&self.root, &documents.layers) {
                    needed.extend([disk::Record::path(&disk), disk]);
                }
            }
        }
        needed
    }

    /// All files that images can need.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for dir in ["images/blobs/sha256", "disks"].map(|dir| self.root.join(dir)) {
            for entry in fs::read_dir(&dir).map_err(Error::io(&dir))? {
                let path = entry.map_err(Error::io(&dir))?.path();
                // Not the lock.
                let hidden =
                    path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(b"."));
                found.extend((!hidden).then_some(path));
            }
        }
        Ok(found)
    }

    /// What the store takes on disk.
    pub fn usage(&self, in_use: &InUse) -> Result<Usage> {
        let digests = self.index()?.digests();
        let active: Vec<_> = digests.iter().filter(|d| in_use.contains_key(d)).collect();
        let kept = self.needed(in_use.keys());
        let (mut bytes, mut reclaimable) = (0, 0);
        for path in self.files()? {
            bytes += size(&path);
            reclaimable += if kept.contains(&path) { 0 } else { size(&path) };
        }
        Ok(Usage { images: digests.len(), active: active.len(), bytes, reclaimable })
    }
}

fn names_of(locked: &Locked<'_>, digest: &Digest) -> Vec<String> {
    let entries = locked.index.entries().iter();
    entries.filter(|e| e.digest == *digest).filter_map(|e| e.name.clone()).collect()
}

/// A file's length; of one that has just gone, none.
pub(super) fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len())
}
