//! The store: blobs and root disks under one directory, and which reference
//! means which manifest.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, ImageIndex, MediaType};

use super::layout::{self, Documents, LayerRef, Layout};
use super::merge::Limits;
use super::reference::{Reference, Source};
use super::{Digest, disk, fetch, platform};
use super::{DiskFormat, Error, Image, Progress, PullOptions, Result, RootDisk};
use crate::state::{self, Lock, WorkDir};

/// What a local archive looked like when it was read.
const STAMP: &str = "vxn.archive.stamp";
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The images of this host.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    blobs: Layout,
}

impl Store {
    /// Opens the store under `root` (usually `/var/lib/vxn`), making it if need
    /// be, and removes what killed commands have left in its `tmp/`.
    pub fn open(root: &Path) -> Result<Store> {
        let images = root.join("images");
        let blobs = images.join("blobs/sha256");
        for dir in [&blobs, &root.join("disks")] {
            fs::create_dir_all(dir).map_err(Error::io(dir))?;
        }
        let root = fs::canonicalize(root).map_err(Error::io(root))?;
        let store = Store { blobs: Layout::at(&root.join("images")), root };
        WorkDir::reap(&store.tmp()).map_err(Error::io(&store.tmp()))?;
        let version = store.root.join("images/oci-layout");
        if !version.exists() {
            state::write_atomic(&version, br#"{"imageLayoutVersion":"1.0.0"}"#)
                .map_err(Error::io(&version))?;
        }
        Ok(store)
    }

    /// The image, if it is here and ready to run. Starts no program, reads no
    /// layer. A local layout or archive that has changed since it was pulled
    /// counts as not here; one that is gone is an error.
    pub fn find(&self, reference: &Reference) -> Result<Option<Image>> {
        let source = Origin::of(reference)?;
        let Some(documents) = self.lookup(&source)? else { return Ok(None) };
        let path = disk::path(&self.root, &documents.layers);
        Ok(path.exists().then(|| image(source.key, documents, path)))
    }

    /// The image, found here, or else built from blobs that are here, or else
    /// pulled.
    pub fn get(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Image> {
        let source = Origin::of(reference)?;
        if let Some(documents) = self.lookup(&source)? {
            let here = documents.blobs().all(|digest| self.blobs.blob(&digest).exists());
            if here || disk::path(&self.root, &documents.layers).exists() {
                return self.finish(source.key, documents, &options.limits, progress);
            }
        }
        self.pull(reference, options, progress)
    }

    /// The layers of an image in the store.
    pub(super) fn layers(&self, image: &Image) -> Result<Vec<LayerRef>> {
        Ok(self.blobs.image(&image.digest)?.layers)
    }

    /// Where the blobs are.
    pub(super) fn layout(&self) -> &Layout {
        &self.blobs
    }

    /// Fetches what `reference` means now and makes its root disk. Layers and
    /// disks that are here already are kept.
    pub fn pull(
        &self,
        reference: &Reference,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Image> {
        let source = Origin::of(reference)?;
        let work = WorkDir::new(&self.tmp()).map_err(Error::io(&self.tmp()))?;
        let digest = match &source.layout {
            Some((layout, digest)) => self.adopt(layout, *digest, work.path())?,
            None => fetch::skopeo(reference, &self.root, work.path(), options, progress)?,
        };
        let documents = self.blobs.image(&digest)?;
        if !platform::runs(&documents.config) {
            let (os, arch) = (documents.config.os(), documents.config.architecture());
            return Err(Error::Platform { reference: source.key, offered: format!("{os}/{arch}") });
        }
        if Origin::of(reference)?.stamp != source.stamp {
            let why = "the archive changed while it was read".to_owned();
            return Err(Error::Fetch { reference: source.key, words: why });
        }
        let key = source.key.clone();
        let image = self.finish(key, documents, &options.limits, progress)?;
        self.record(&source, &digest)?;
        Ok(image)
    }

    /// Copies an image, layer by layer, out of a local layout.
    fn adopt(&self, from: &Layout, digest: Digest, work: &Path) -> Result<Digest> {
        let documents = from.image(&digest)?;
        for blob in documents.blobs().chain([digest]) {
            self.blobs.adopt(from, &blob, work)?;
        }
        Ok(digest)
    }

    fn finish(
        &self,
        key: String,
        documents: Documents,
        limits: &Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Image> {
        let path = disk::make(&self.root, &self.blobs, &documents.layers, limits, progress);
        if let Err(Error::Damaged { digest, .. }) = &path {
            self.forget(digest);
        }
        path.map(|path| image(key, documents, path))
    }

    /// The documents of an image that was pulled, unless its source has changed.
    fn lookup(&self, source: &Origin) -> Result<Option<Documents>> {
        let index = self.index()?;
        let Some(entry) = index.manifests().iter().find(|d| layout::tag(d) == Some(&source.key))
        else {
            return Ok(None);
        };
        let annotation = |key| entry.annotations().as_ref().and_then(|a| a.get(key));
        let digest = entry.digest().as_ref().parse().ok();
        let now = source.layout.as_ref().map(|(_, digest)| *digest);
        let Some(digest) = digest.filter(|then| now.is_none_or(|now| now == *then)) else {
            return Ok(None);
        };
        if annotation(STAMP) != source.stamp.as_ref() {
            return Ok(None);
        }
        match self.blobs.image(&digest) {
            Ok(documents) => Ok(Some(documents)),
            Err(Error::Damaged { digest, .. }) => {
                self.forget(&digest);
                Ok(None)
            }
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                Ok(None)
            }
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

    /// Makes `source` mean the manifest `digest`.
    fn record(&self, source: &Origin, digest: &Digest) -> Result<()> {
        let lock = self.root.join("images/.lock");
        let _held = Lock::exclusive(&lock).map_err(Error::io(&lock))?;
        let mut index = self.index()?;
        let mut entries = index.manifests().clone();
        entries.retain(|d| layout::tag(d) != Some(&source.key));
        entries.push(self.entry(source, digest)?);
        index.set_manifests(entries);
        let path = self.root.join("images/index.json");
        let json = serde_json::to_vec_pretty(&index)
            .map_err(|e| Error::io(&path)(std::io::Error::other(e)))?;
        state::write_atomic(&path, &json).map_err(Error::io(&path))
    }

    fn entry(&self, source: &Origin, digest: &Digest) -> Result<Descriptor> {
        let path = self.blobs.blob(digest);
        let size = fs::metadata(&path).map_err(Error::io(&path))?.len();
        let address: oci_spec::image::Digest = digest
            .to_string()
            .parse()
            .map_err(|e| Error::Document { digest: *digest, why: format!("{e}") })?;
        let mut entry = Descriptor::new(MediaType::ImageManifest, size, address);
        let mut annotations = HashMap::from([(REF_NAME.to_owned(), source.key.clone())]);
        annotations.extend(source.stamp.clone().map(|stamp| (STAMP.to_owned(), stamp)));
        entry.set_annotations(Some(annotations));
        Ok(entry)
    }

    /// The store's own index; empty in a new store.
    fn index(&self) -> Result<ImageIndex> {
        if self.root.join("images/index.json").exists() {
            return self.blobs.index();
        }
        Ok(ImageIndex::default())
    }

    fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }
}

fn image(reference: String, documents: Documents, path: PathBuf) -> Image {
    Image {
        reference,
        digest: documents.digest,
        config_digest: documents.config_digest,
        config: documents.config,
        root_disk: RootDisk { path, format: DiskFormat::SquashFs },
    }
}

/// A reference as the index knows it, and what tells whether it has changed.
struct Origin {
    /// The canonical reference, with an absolute path.
    key: String,
    /// A local layout, and the manifest that it names now.
    layout: Option<(Layout, Digest)>,
    /// What a local archive looks like now.
    stamp: Option<String>,
}

impl Origin {
    fn of(reference: &Reference) -> Result<Origin> {
        let absolute = reference.absolute()?;
        let key = absolute.to_string();
        let (mut layout, mut stamp) = (None, None);
        match &absolute.source {
            Source::Registry { .. } => {}
            Source::Layout { dir, tag } => {
                let from = Layout::at(dir);
                let digest = from.resolve(tag.as_deref(), &key)?;
                layout = Some((from, digest));
            }
            Source::Archive { file, .. } => {
                let m = fs::metadata(file).map_err(Error::io(file))?;
                stamp = Some(format!(
                    "dev={} ino={} size={} mtime={}.{:09} ctime={}.{:09}",
                    m.dev(),
                    m.ino(),
                    m.size(),
                    m.mtime(),
                    m.mtime_nsec(),
                    m.ctime(),
                    m.ctime_nsec()
                ));
            }
        }
        Ok(Origin { key, layout, stamp })
    }
}
