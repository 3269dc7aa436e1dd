//! The store: blobs and root disks under one directory, and which reference
//! means which manifest.
//!
//! `images/` is an OCI layout. Its index is all that is remembered; what blobs
//! and disks are needed is derived from it whenever something is removed. An
//! image is put together in a [`stage`] and appears whole or not at all.

mod check;
mod commit;
mod index;
mod list;
mod local;
mod origin;
pub(super) mod stage;
mod sweep;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::blob_lock::BlobLocks;
use super::layout::{Documents, Layout};
use super::reference::{Reference, Source};
use super::{Digest, Error, Formats, Image, Platform, Progress, PullOptions, Result, RootDisk};
use super::{disk, fetch};
use crate::state::{Lock, WorkDir};
pub use check::{Finding, Remedy};
pub use commit::Commit;
use index::{Entry, Index};
pub use list::{Found, Summary};
use origin::Origin;
use stage::Stage;
pub use sweep::{Freed, InUse, Usage};

/// The images of this host.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    blobs: Layout,
}

/// The index, read under its lock and held until it is written or dropped.
struct Locked<'a> {
    store: &'a Store,
    index: Index,
    _lock: Lock,
}

impl Locked<'_> {
    /// Writes the index.
    fn save(&self) -> Result<()> {
        self.store.blobs.put_index(&self.index.document()?)
    }
}

impl Store {
    /// Opens the store under `root` (usually `/var/lib/vxn`), making it if need
    /// be, and takes care of what killed commands have left in its `tmp/`.
    pub fn open(root: &Path) -> Result<Store> {
        let blobs = Layout::at(&root.join("images"));
        blobs.init()?;
        let disks = root.join("disks");
        fs::create_dir_all(&disks).map_err(Error::io(&disks))?;
        let root = fs::canonicalize(root).map_err(Error::io(root))?;
        let store = Store { blobs: Layout::at(&root.join("images")), root };
        stage::reap(&store).map_err(Error::io(&store.tmp()))?;
        Ok(store)
    }

    /// Takes care of what killed commands have left below `root`, if there is a
    /// store: two directory listings when they left nothing.
    pub fn clear_up(root: &Path) -> io::Result<()> {
        if root.join("images/oci-layout").exists() {
            let blobs = Layout::at(&root.join("images"));
            return stage::reap(&Store { root: root.to_owned(), blobs });
        }
        WorkDir::reap(&root.join("tmp"))
    }

    /// The image, if it is here, ready to run, and made for this machine. Starts
    /// no program, reads no layer. A local layout or archive that has changed
    /// since it was pulled counts as not here; one that is gone is an error. So does
    /// an image none of whose root disks is one of `formats`.
    pub fn find(&self, reference: &Reference, formats: Formats) -> Result<Option<Image>> {
        let platform = Platform::host();
        let origin = Origin::of(reference, &platform)?;
        let Some(documents) = self.known(&origin, &platform)? else { return Ok(None) };
        let disk = disk::find(&self.root, &documents.layers, formats);
        Ok(disk.map(|disk| image(origin.key, documents, disk)))
    }

    /// The image, found here, or else built from blobs that are here, or else
    /// pulled.
    pub fn get(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Image> {
        let origin = Origin::of(reference, &options.platform)?;
        if let Some(documents) = self.known(&origin, &options.platform)? {
            if let Some(disk) = disk::find(&self.root, &documents.layers, options.formats) {
                return Ok(image(origin.key, documents, disk));
            }
            let stage = Stage::new(self)?;
            if stage.hold(documents.blobs().chain([documents.digest]))? {
                return finish(&stage, origin.key, documents, Vec::new(), options, progress);
            }
        }
        self.pull(reference, options, progress)
    }

    /// Fetches what `reference` means now and makes its root disk. Layers and
    /// disks that are here already are kept.
    pub fn pull(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Image> {
        let origin = Origin::of(reference, &options.platform)?;
        let stage = Stage::new(self)?;
        let (digest, remote) = match (&origin.layout, &reference.source) {
            (Some((layout, digest)), _) => (adopt(&stage, layout, *digest)?, None),
            (None, Source::Registry { .. }) => {
                self.fetch(reference, &origin.key, &stage, options, progress)?
            }
            (None, _) => (fetch::copy(reference, &stage, None, options, progress)?, None),
        };
        let documents = stage.layout().image(&digest)?;
        documents.check_platform(&options.platform, &origin.key)?;
        if Origin::of(reference, &options.platform)?.stamp != origin.stamp {
            let why = "the archive changed while it was read".to_owned();
            return Err(Error::Fetch { reference: origin.key, words: why });
        }
        let Origin { key, stamp, .. } = origin;
        let size = stage.size(&digest)?;
        let entry = Entry { name: Some(key.clone()), digest, size, stamp, remote };
        let image = finish(&stage, key, documents, vec![entry], options, progress)?;
        self.tell("pull", &image.reference, Some(&image.reference));
        Ok(image)
    }

    /// Brings an image of a registry into the stage. While one command downloads
    /// a blob, all others that need it wait. Returns the manifest's digest, and
    /// the registry's where that is another one.
    fn fetch(
        &self,
        reference: &Reference,
        key: &str,
        stage: &Stage<'_>,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(Digest, Option<Digest>)> {
        let offer = fetch::offer(reference, options)?;
        let file = self.root.join("images/.blobs.lock");
        let mut waiting = || progress(Progress::Waiting);
        let locks =
            BlobLocks::take(&file, offer.blobs(), &mut waiting).map_err(Error::io(&file))?;
        if let Some(entry) = self.index()?.get(key) {
            if entry.remote.unwrap_or(entry.digest) == offer.digest
                && self.holds(stage, entry.digest, &offer)?
            {
                progress(Progress::UpToDate);
                return Ok((entry.digest, entry.remote));
            }
        }
        stage.hold(offer.blobs())?;
        progress(Progress::Layers { layers: offer.layers(stage.layout()) });
        let copied = fetch::copy(reference, stage, Some(&offer), options, progress);
        // Also when it broke off: what is whole is not fetched again.
        stage.publish()?;
        drop(locks);
        let digest = copied?;
        Ok((digest, (offer.digest != digest).then_some(offer.digest)))
    }

    /// Whether an image that is here is the one on offer and all of it is here;
    /// the stage holds it then.
    fn holds(&self, stage: &Stage<'_>, digest: Digest, offer: &fetch::Offer) -> Result<bool> {
        let Some(documents) = self.documents(&digest)? else { return Ok(false) };
        Ok(offer.config() == Some(documents.config_digest)
            && stage.hold(documents.blobs().chain([digest]))?)
    }

    /// The documents of an image that was pulled, unless its source has changed
    /// or it is for another machine.
    fn known(&self, origin: &Origin, platform: &Platform) -> Result<Option<Documents>> {
        let index = self.index()?;
        let Some(entry) = index.get(&origin.key) else { return Ok(None) };
        let now = origin.layout.as_ref().map(|(_, digest)| *digest);
        if now.is_some_and(|now| now != entry.digest) || entry.stamp != origin.stamp {
            return Ok(None);
        }
        let documents = self.documents(&entry.digest)?;
        Ok(documents.filter(|documents| platform.runs(&documents.config)))
    }

    /// The documents of an image, if they are here and whole. Damaged ones are
    /// removed: the next pull fetches them.
    pub(super) fn documents(&self, digest: &Digest) -> Result<Option<Documents>> {
        match self.blobs.image(digest) {
            Ok(documents) => Ok(Some(documents)),
            Err(Error::Damaged { digest, .. }) => {
                self.forget(&digest);
                Ok(None)
            }
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Removes a damaged blob, so that the next pull fetches it.
    fn forget(&self, digest: &Digest) {
        tracing::warn!("removing damaged blob {digest}");
        let path = self.blobs.blob(digest);
        if let Err(e) = fs::remove_file(&path) {
            tracing::warn!("{}: {e}", path.display());
        }
    }

    /// Takes the lock of the index: blobs come and go only under it.
    fn lock(&self) -> Result<Lock> {
        let path = self.root.join("images/.lock");
        Lock::exclusive(&path).map_err(Error::io(&path))
    }

    /// The index, to be changed.
    fn locked(&self) -> Result<Locked<'_>> {
        let _lock = self.lock()?;
        Ok(Locked { store: self, index: self.index()?, _lock })
    }

    /// The store's own index; empty in a new store.
    fn index(&self) -> Result<Index> {
        if self.root.join("images/index.json").exists() {
            return Ok(Index::read(&self.blobs.index()?));
        }
        Ok(Index::default())
    }

    fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }
}

/// Copies an image, layer by layer, out of a local layout.
fn adopt(stage: &Stage<'_>, from: &Layout, digest: Digest) -> Result<Digest> {
    let documents = from.image(&digest)?;
    let blobs = || documents.blobs().chain([digest]);
    stage.hold(blobs())?;
    for blob in blobs() {
        stage.layout().adopt(from, &blob, stage.dir())?;
    }
    Ok(digest)
}

/// Makes the root disk and gives the store the whole.
fn finish(
    stage: &Stage<'_>,
    key: String,
    documents: Documents,
    entries: Vec<Entry>,
    options: &PullOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Image> {
    let format = stage.disk(&documents, options, progress).inspect_err(|e| {
        if let Error::Damaged { digest, .. } = e {
            stage.forget(digest);
        }
    })?;
    let disk = stage.commit(&documents, format, entries)?;
    progress(Progress::Done);
    Ok(image(key, documents, disk))
}

fn image(reference: String, documents: Documents, root_disk: RootDisk) -> Image {
    Image {
        reference,
        digest: documents.digest,
        config_digest: documents.config_digest,
        config: documents.config,
        root_disk,
    }
}
