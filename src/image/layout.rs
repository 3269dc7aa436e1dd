//! The OCI image layout: a directory of blobs named by digest, and an index
//! (OCI image-spec, image-layout.md). Read without trust, written atomically.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use oci_spec::image::{Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType};
use serde::de::DeserializeOwned;

use super::digest::{Digest, Mismatch, Verified};
use super::platform::{self, Platform};
use super::{Error, Result};
use crate::state;

/// The largest index, manifest or configuration that is read, in bytes; skopeo
/// draws the same line.
const MAX_DOCUMENT: u64 = 4 << 20;
/// How deep an index may lie in an index.
const MAX_DEPTH: usize = 4;
/// More layers than any builder makes (docker stops at 127).
const MAX_LAYERS: usize = 512;

/// The tag, as the specification has it and as containerd does.
const REF_NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];

/// A directory in the OCI image layout.
#[derive(Debug, Clone)]
pub struct Layout {
    dir: PathBuf,
}

/// One layer of an image, from the bottom up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerRef {
    /// The blob.
    pub digest: Digest,
    /// The digest of the tar archive in it, uncompressed.
    pub diff_id: Digest,
}

/// What an image's manifest and configuration say.
#[derive(Debug, Clone)]
pub struct Documents {
    /// The manifest's digest.
    pub digest: Digest,
    /// The configuration's digest.
    pub config_digest: Digest,
    /// The configuration.
    pub config: ImageConfiguration,
    /// The layers, lowest first.
    pub layers: Vec<LayerRef>,
}

impl Documents {
    /// Refuses an image that `platform` does not run; `reference` is its name.
    pub fn check_platform(&self, platform: &Platform, reference: &str) -> Result<()> {
        if platform.runs(&self.config) {
            return Ok(());
        }
        let offered = format!("{}/{}", self.config.os(), self.config.architecture());
        Err(Error::Platform { reference: reference.to_owned(), offered, wanted: platform.clone() })
    }

    /// Every blob of the image but the manifest.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> {
        self.layers.iter().map(|layer| layer.digest).chain([self.config_digest])
    }
}

impl Layout {
    /// The layout in `dir`; nothing is read yet.
    pub fn at(dir: &Path) -> Layout {
        Layout { dir: dir.to_owned() }
    }

    /// The file that holds a blob, whether it exists or not.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.dir.join("blobs/sha256").join(digest.hex())
    }

    /// Reads `index.json`.
    pub fn index(&self) -> Result<ImageIndex> {
        let path = self.dir.join("index.json");
        match File::open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(self.wrong("no OCI layout: it has no index.json"))
            }
            Err(e) => Err(Error::io(&path)(e)),
            Ok(file) => {
                let bytes = read_bounded(file).map_err(Error::io(&path))?;
                serde_json::from_slice(&bytes)
                    .map_err(|e| self.wrong(format!("index.json is malformed: {e}")))
            }
        }
    }

    /// The manifest that `tag` names, or the only image when there is no tag,
    /// for `platform`.
    pub fn resolve(
        &self,
        tag: Option<&str>,
        reference: &str,
        platform: &Platform,
    ) -> Result<Digest> {
        let index = self.index()?;
        let named = match tag {
            Some(tag) => with_tag(index.manifests(), tag),
            None => index.manifests().clone(),
        };
        let tags: Vec<&str> = tags(index.manifests()).into_iter().collect();
        match tag {
            _ if index.manifests().is_empty() => return Err(self.wrong("there is no image in it")),
            Some(tag) if named.is_empty() => {
                let why = format!("no image is tagged {tag:?}, only {}", tags.join(", "));
                return Err(self.wrong(why));
            }
            None if tags.len() > 1 => {
                return Err(self.wrong(format!("choose one of its tags: {}", tags.join(", "))));
            }
            _ => {}
        }
        self.descend(&named, reference, platform)
    }

    /// The manifest for `platform` that `start` leads to.
    pub fn descend(
        &self,
        start: &[Descriptor],
        reference: &str,
        platform: &Platform,
    ) -> Result<Digest> {
        let mut descriptors = start.to_vec();
        for _ in 0..MAX_DEPTH {
            descriptors.retain(|d| Kind::of(d).is_some());
            let best = platform.pick(&descriptors).ok_or_else(|| Error::Platform {
                reference: reference.to_owned(),
                offered: platform::offered(&descriptors),
                wanted: platform.clone(),
            })?;
            let digest = self.address(best)?;
            if Kind::of(best) == Some(Kind::Manifest) {
                return Ok(digest);
            }
            descriptors = self.document::<ImageIndex>(&digest)?.manifests().clone();
        }
        Err(self.wrong(format!("an index lies more than {MAX_DEPTH} deep")))
    }

    /// The digest in a descriptor.
    pub fn address(&self, descriptor: &Descriptor) -> Result<Digest> {
        let text = descriptor.digest().as_ref();
        text.parse().map_err(|e| self.wrong(format!("{e}, and vxn reads no other")))
    }

    /// Reads an image's manifest and configuration and checks that they belong
    /// together. The layers are not read.
    pub fn image(&self, digest: &Digest) -> Result<Documents> {
        let wrong = |why: &str| Error::Document { digest: *digest, why: why.to_owned() };
        let manifest: ImageManifest = self.document(digest)?;
        if !is_config(manifest.config()) {
            return Err(wrong("this is not an image but some other artifact"));
        }
        let config_digest = self.address(manifest.config())?;
        let config: ImageConfiguration = self.document(&config_digest)?;
        let diff_ids = config.rootfs().diff_ids();
        if diff_ids.len() != manifest.layers().len() {
            return Err(wrong("manifest and configuration disagree on the number of layers"));
        }
        if diff_ids.len() > MAX_LAYERS {
            return Err(wrong("too many layers"));
        }
        let mut layers = Vec::with_capacity(diff_ids.len());
        for (descriptor, diff_id) in manifest.layers().iter().zip(diff_ids) {
            if !is_layer(descriptor) {
                let media = descriptor.media_type();
                return Err(wrong(&format!("vxn cannot read layers of type {media}")));
            }
            let diff_id = diff_id.parse().map_err(|e| wrong(&format!("{e}")))?;
            layers.push(LayerRef { digest: self.address(descriptor)?, diff_id });
        }
        Ok(Documents { digest: *digest, config_digest, config, layers })
    }

    /// Reads a JSON blob, held to its digest.
    pub fn document<T: DeserializeOwned>(&self, digest: &Digest) -> Result<T> {
        let path = self.blob(digest);
        let bytes = File::open(&path).and_then(read_bounded).map_err(Error::io(&path))?;
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(Error::Damaged { digest: *digest, found });
        }
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::Document { digest: *digest, why: e.to_string() })
    }

    /// Checks a blob's content against its digest.
    pub fn verify(&self, digest: &Digest) -> Result<()> {
        let path = self.blob(digest);
        let file = File::open(&path).map_err(Error::io(&path))?;
        copy_verified(file, *digest, &mut io::sink()).map_err(damage(*digest, &path))
    }

    /// Writes a blob, whole or not at all, and returns its descriptor.
    pub fn put(&self, media: MediaType, bytes: &[u8]) -> Result<Descriptor> {
        let digest = Digest::of(bytes);
        let path = self.blob(&digest);
        state::write_atomic(&path, bytes).map_err(Error::io(&path))?;
        digest.descriptor(media, bytes.len() as u64)
    }

    /// Writes `index.json`.
    pub fn put_index(&self, index: &ImageIndex) -> Result<()> {
        let path = self.dir.join("index.json");
        let json = serde_json::to_vec_pretty(index).map_err(|e| Error::io(&path)(e.into()))?;
        state::write_atomic(&path, &json).map_err(Error::io(&path))
    }

    /// Makes the directories and the mark of a layout where they are missing.
    pub fn init(&self) -> Result<()> {
        let blobs = self.dir.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(Error::io(&blobs))?;
        let mark = self.dir.join("oci-layout");
        if mark.exists() {
            return Ok(());
        }
        state::write_atomic(&mark, br#"{"imageLayoutVersion":"1.0.0"}"#).map_err(Error::io(&mark))
    }

    /// The digests of all blobs that are here, whole or damaged.
    pub fn blobs(&self) -> Result<Vec<Digest>> {
        let dir = self.dir.join("blobs/sha256");
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).map_err(Error::io(&dir))? {
            let name = entry.map_err(Error::io(&dir))?.file_name();
            found.extend(
                name.to_str().and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()),
            );
        }
        Ok(found)
    }

    /// Takes a blob from `other`, on the same file system, by a hard link.
    /// Returns whether it is here now.
    pub fn link(&self, other: &Layout, digest: &Digest) -> Result<bool> {
        let path = self.blob(digest);
        match fs::hard_link(other.blob(digest), &path) {
            Ok(()) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io(&path)(e)),
        }
    }

    /// Copies a blob from `other` by way of the directory `work`. Does nothing
    /// if it is here already.
    pub fn adopt(&self, other: &Layout, digest: &Digest, work: &Path) -> Result<()> {
        if self.blob(digest).exists() {
            return Ok(());
        }
        let source = other.blob(digest);
        let from = File::open(&source).map_err(Error::io(&source))?;
        self.receive(from, digest, work).map_err(|e| match e {
            Error::Io { source: e, .. } if e.kind() != io::ErrorKind::StorageFull => {
                Error::io(&source)(e)
            }
            other => other,
        })
    }

    /// Takes a blob that `from` gives, held to its digest, by way of the
    /// directory `work`.
    pub fn receive(&self, from: impl Read, digest: &Digest, work: &Path) -> Result<()> {
        let (target, half) = (self.blob(digest), work.join(digest.hex()));
        let mut to = File::create(&half).map_err(Error::io(&half))?;
        copy_verified(from, *digest, &mut to).map_err(damage(*digest, &half))?;
        to.sync_all().and_then(|()| fs::rename(&half, &target)).map_err(Error::io(&target))
    }

    /// Something is wrong with this layout.
    pub fn wrong(&self, why: impl Into<String>) -> Error {
        Error::Layout { path: self.dir.clone(), why: why.into() }
    }
}

fn copy_verified(from: impl Read, digest: Digest, to: &mut impl io::Write) -> io::Result<()> {
    let mut from = Verified::new(BufReader::with_capacity(1 << 16, from), digest);
    io::copy(&mut from, to).map(|_| ())
}

/// For `map_err`: tells a wrong digest from a failing disk.
fn damage(digest: Digest, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| match source.get_ref().and_then(|e| e.downcast_ref::<Mismatch>()) {
        Some(Mismatch { found }) => Error::Damaged { digest, found: *found },
        None => Error::Io { path, source },
    }
}

fn read_bounded(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 4 MiB"));
    }
    Ok(bytes)
}

/// What a document of a registry or a layout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One image.
    Manifest,
    /// Images for several platforms.
    Index,
}

impl Kind {
    /// By a descriptor's media type.
    pub fn of(descriptor: &Descriptor) -> Option<Kind> {
        Kind::of_type(descriptor.media_type().as_ref())
    }

    /// By the media type.
    pub fn of_type(media: &str) -> Option<Kind> {
        match media {
            "application/vnd.oci.image.manifest.v1+json"
            | "application/vnd.docker.distribution.manifest.v2+json" => Some(Kind::Manifest),
            "application/vnd.oci.image.index.v1+json"
            | "application/vnd.docker.distribution.manifest.list.v2+json" => Some(Kind::Index),
            _ => None,
        }
    }
}

fn is_config(descriptor: &Descriptor) -> bool {
    matches!(
        descriptor.media_type().as_ref(),
        "application/vnd.oci.image.config.v1+json"
            | "application/vnd.docker.container.image.v1+json"
    )
}

/// Whether this is a tar archive, however compressed, that nobody encrypted.
fn is_layer(descriptor: &Descriptor) -> bool {
    let media = descriptor.media_type().to_string();
    ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."]
        .iter()
        .any(|prefix| media.starts_with(prefix))
        && !media.ends_with("+encrypted")
}

/// The tag of an entry of an index.
pub fn tag(descriptor: &Descriptor) -> Option<&str> {
    let annotations = descriptor.annotations().as_ref()?;
    REF_NAMES.iter().find_map(|key| annotations.get(*key)).map(String::as_str)
}

fn with_tag(descriptors: &[Descriptor], tag: &str) -> Vec<Descriptor> {
    let has = |d: &&Descriptor| {
        d.annotations()
            .as_ref()
            .is_some_and(|a| REF_NAMES.iter().any(|key| a.get(*key).is_some_and(|t| t == tag)))
    };
    descriptors.iter().filter(has).cloned().collect()
}

fn tags(descriptors: &[Descriptor]) -> BTreeSet<&str> {
    descriptors.iter().filter_map(tag).collect()
}

#[cfg(test)]
mod tests;
