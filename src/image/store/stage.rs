//! The place where an image is put together before the store has it.
//!
//! A stage is a work directory with a layout of its own. What the store has
//! already is hard-linked into it, so that nobody can take it away meanwhile;
//! what arrives is linked into the store when it is whole. A stage whose maker
//! was killed is found by its free lock, and its whole blobs are kept: the next
//! pull goes on from there.

use std::fs;
use std::io;
use std::path::Path;

use super::super::layout::{Documents, Layout};
use super::super::{
    Digest, DiskFormat, Error, LayerState, Progress, PullOptions, Result, RootDisk, disk,
};
use super::Store;
use super::index::Entry;
use crate::state::WorkDir;

/// An image in the making.
pub struct Stage<'a> {
    store: &'a Store,
    work: WorkDir,
    layout: Layout,
}

impl<'a> Stage<'a> {
    /// An empty one.
    pub fn new(store: &'a Store) -> Result<Stage<'a>> {
        let tmp = store.tmp();
        let work = WorkDir::new(&tmp).map_err(Error::io(&tmp))?;
        let layout = layout_in(work.path());
        layout.init()?;
        Ok(Stage { store, work, layout })
    }

    /// The store that it is for.
    pub fn store(&self) -> &'a Store {
        self.store
    }

    /// For temporary files.
    pub fn dir(&self) -> &Path {
        self.work.path()
    }

    /// Where the image's blobs go.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The length of a blob that has arrived.
    pub fn size(&self, digest: &Digest) -> Result<u64> {
        let path = self.layout.blob(digest);
        Ok(fs::metadata(&path).map_err(Error::io(&path))?.len())
    }

    /// Takes those of `blobs` that the store has. Returns whether it has all.
    pub fn hold(&self, blobs: impl IntoIterator<Item = Digest>) -> Result<bool> {
        let mut all = true;
        for blob in blobs {
            all &= self.layout.link(&self.store.blobs, &blob)?;
        }
        Ok(all)
    }

    /// Gives the store what has arrived.
    pub fn publish(&self) -> Result<()> {
        let _held = self.store.lock()?;
        keep(&self.store.blobs, &self.layout)
    }

    /// Makes the image's root disk, or holds one that is there and will do. Returns
    /// what it is.
    pub fn disk(
        &self,
        documents: &Documents,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<DiskFormat> {
        let PullOptions { formats, limits, .. } = options;
        self.target().make(&self.layout, &documents.layers, *formats, limits, progress)
    }

    /// Gives the store the whole image with its disk, all at once, under the
    /// names in `entries`.
    pub fn commit(
        &self,
        documents: &Documents,
        format: DiskFormat,
        entries: Vec<Entry>,
    ) -> Result<RootDisk> {
        let mut locked = self.store.locked()?;
        keep(&self.store.blobs, &self.layout)?;
        let path = disk::path(&self.store.root, &documents.layers, format);
        link(&self.target().held(&path), &path).map_err(Error::io(&path))?;
        entries.into_iter().for_each(|entry| locked.index.add(entry));
        locked.save()?;
        Ok(RootDisk { path, format })
    }

    fn target(&self) -> disk::Target<'_> {
        disk::Target { root: &self.store.root, held: self.dir() }
    }

    /// What there is of a layer.
    pub fn state(&self, layer: &Digest) -> LayerState {
        let size = fs::metadata(self.layout.blob(layer)).map_or(0, |m| m.len());
        LayerState { digest: *layer, size, present: false }
    }

    /// Drops a damaged blob here and in the store, so that it is fetched again.
    pub fn forget(&self, digest: &Digest) {
        tracing::warn!("removing damaged blob {digest}");
        for layout in [&self.layout, &self.store.blobs] {
            let path = layout.blob(digest);
            if let Err(e) = fs::remove_file(&path) {
                tracing::warn!("{}: {e}", path.display());
            }
        }
    }
}

/// The layout of a stage in its work directory.
fn layout_in(work: &Path) -> Layout {
    Layout::at(&work.join("layout"))
}

/// Links all blobs of `from` into the store. A blob has its name only when it is
/// whole.
fn keep(store: &Layout, from: &Layout) -> Result<()> {
    for blob in from.blobs()? {
        store.link(from, &blob)?;
    }
    Ok(())
}

/// A hard link, unless the name is taken already.
pub fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Keeps the blobs of stages whose makers are gone, and removes the stages.
pub fn reap(store: &Store) -> io::Result<()> {
    WorkDir::reap_with(&store.tmp(), |abandoned| {
        let layout = layout_in(abandoned);
        // It can have died before it made a layout, and not all who work there make one.
        if let Err(e) = store.lock().and_then(|_held| keep(&store.blobs, &layout)) {
            tracing::debug!("nothing to keep in {}: {e}", abandoned.display());
        }
    })
}
