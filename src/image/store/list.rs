//! What is in the store, and what users call it.

use std::collections::BTreeSet;

use oci_spec::image::ImageConfiguration;
use serde_json::Value;

use super::super::layout::{Documents, LayerRef};
use super::super::reference::At;
use super::super::{Digest, Error, Formats, Image, PullOptions, Reference, Result, disk};
use super::stage::Stage;
use super::sweep::size;
use super::{Progress, Store, finish, image};

/// An image of this store that a user has named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its manifest.
    pub digest: Digest,
    /// The name that was meant; none when it was an id.
    pub name: Option<String>,
}

/// What lists show of an image.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Its canonical references.
    pub names: Vec<String>,
    /// Its manifest here.
    pub digest: Digest,
    /// `NAME@DIGEST` for every registry that it came from or went to.
    pub repo_digests: Vec<String>,
    /// The digest of its configuration: the image's id.
    pub id: Digest,
    /// Its configuration.
    pub config: ImageConfiguration,
    /// Its layers, lowest first.
    pub layers: Vec<LayerRef>,
    /// Bytes on disk, blobs and root disks; other images may share them.
    pub size: u64,
}

impl Store {
    /// All images, the newest first.
    pub fn images(&self) -> Result<Vec<Summary>> {
        let mut found = Vec::new();
        for digest in self.index()?.digests() {
            match self.summary(&digest) {
                Ok(summary) => found.push(summary),
                Err(e) => tracing::warn!(
                    "image {digest} cannot be read: {e}: try `vxn system check --repair`"
                ),
            }
        }
        found.sort_by_key(|s| std::cmp::Reverse(s.config.created().clone()));
        Ok(found)
    }

    /// One image.
    pub fn summary(&self, digest: &Digest) -> Result<Summary> {
        let documents = self.blobs.image(digest)?;
        let index = self.index()?;
        let (mut names, mut repo_digests) = (Vec::new(), BTreeSet::new());
        for entry in index.entries().iter().filter(|e| e.digest == *digest) {
            let Some(name) = &entry.name else { continue };
            let reference = Reference::parse(name)?;
            if let Some((repository, _)) = reference.in_registry() {
                let remote = entry.remote.unwrap_or(entry.digest);
                repo_digests.insert(format!("{repository}@{remote}"));
            }
            names.push(name.clone());
        }
        let files = documents.blobs().chain([*digest]).collect::<BTreeSet<_>>();
        let files = files.iter().map(|blob| self.blobs.blob(blob));
        let disks = disk::paths(&self.root, &documents.layers);
        Ok(Summary {
            names,
            digest: *digest,
            repo_digests: repo_digests.into_iter().collect(),
            size: files.chain(disks).map(|file| size(&file)).sum(),
            id: documents.config_digest,
            config: documents.config,
            layers: documents.layers,
        })
    }

    /// The size of a blob, in bytes.
    pub fn blob_size(&self, digest: &Digest) -> u64 {
        size(&self.blobs.blob(digest))
    }

    /// The image's configuration as it is written, with the fields that vxn does
    /// not know.
    pub fn raw_config(&self, id: &Digest) -> Result<Value> {
        self.blobs.document(id)
    }

    /// The file that the image's root disk is, if it is there.
    pub fn disk_of(&self, summary: &Summary) -> Option<std::path::PathBuf> {
        disk::find(&self.root, &summary.layers, Formats::Any).map(|disk| disk.path)
    }

    /// The image that a user means: by name, where names without a registry
    /// belong to `registry`, by the digest of a name, or by the beginning of an id.
    pub fn lookup(&self, text: &str, registry: &str) -> Result<Found> {
        let unknown = || Error::Unknown { name: text.to_owned() };
        let index = self.index()?;
        let reference = Reference::parse_in(text, registry);
        // The path of a local image that is gone stands as it is typed.
        let name = |r: &Reference| r.absolute().map_or(r.to_string(), |r| r.to_string());
        if let Some(entry) = reference.as_ref().ok().and_then(|r| index.get(&name(r))) {
            return Ok(Found { digest: entry.digest, name: entry.name.clone() });
        }
        if let Ok(Some((name, At::Digest(pinned)))) = reference.as_ref().map(|r| r.in_registry()) {
            let here = index.entries().iter().find(|entry| {
                let theirs = entry.name.as_ref().and_then(|n| Reference::parse(n).ok());
                let same = theirs.as_ref().and_then(|r| r.in_registry()).map(|(n, _)| n == name);
                same == Some(true) && [Some(entry.digest), entry.remote].contains(&Some(pinned))
            });
            return Ok(Found { digest: here.ok_or_else(unknown)?.digest, name: None });
        }
        self.by_id(text)?.map(|digest| Found { digest, name: None }).ok_or_else(unknown)
    }

    fn by_id(&self, text: &str) -> Result<Option<Digest>> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        if hex.is_empty() || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let mut found: Vec<(Digest, Digest)> = Vec::new();
        for digest in self.index()?.digests() {
            let Ok(documents) = self.blobs.image(&digest) else { continue };
            let id = documents.config_digest;
            if id.hex().starts_with(hex) || digest.hex() == hex {
                found.push((id, digest));
            }
        }
        match &found[..] {
            [] => Ok(None),
            // One configuration under manifests that differ in compression only.
            [(id, digest), rest @ ..] if rest.iter().all(|(other, _)| other == id) => {
                Ok(Some(*digest))
            }
            _ => Err(Error::Ambiguous { id: text.to_owned() }),
        }
    }

    /// The image with its root disk, which is made when it is missing.
    pub fn prepare(
        &self,
        found: &Found,
        options: &PullOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Image> {
        let documents: Documents = self.blobs.image(&found.digest)?;
        let key = found.name.clone().unwrap_or_else(|| documents.config_digest.to_string());
        documents.check_platform(&options.platform, &key)?;
        if let Some(disk) = disk::find(&self.root, &documents.layers, options.formats) {
            return Ok(image(key, documents, disk));
        }
        let stage = Stage::new(self)?;
        if !stage.hold(documents.blobs().chain([found.digest]))? {
            return Err(Error::Incomplete { name: key });
        }
        finish(&stage, key, documents, Vec::new(), options, progress)
    }
}
