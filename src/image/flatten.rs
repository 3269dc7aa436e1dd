//! An image as an OCI layout with a single layer, for programs that unpack
//! layers with `tar` and know nothing of whiteouts.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use oci_spec::image::{
    Descriptor, History, ImageConfiguration, ImageIndexBuilder, ImageManifestBuilder, MediaType,
    RootFs, SCHEMA_VERSION,
};
use sha2::{Digest as _, Sha256};

use super::layer::Blobs;
use super::merge::{Limits, Plan};
use super::store::stage::Stage;
use super::{Digest, Error, Image, Progress, Result, Store, disk};

const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

impl Store {
    /// Writes `image`, which is in the store, as a layout of its own to `dir`: one
    /// uncompressed layer with all whiteouts applied. `false` if the layers are not
    /// here any more, which a root disk outlives.
    pub fn flatten(
        &self,
        image: &Image,
        dir: &Path,
        limits: &Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<bool> {
        let Some(documents) = self.documents(&image.digest)? else { return Ok(false) };
        let stage = Stage::new(self)?;
        if !stage.hold(documents.blobs())? {
            return Ok(false);
        }
        let blobs = Blobs { layout: stage.layout(), layers: &documents.layers };
        let to = dir.join("blobs/sha256");
        fs::create_dir_all(&to).map_err(Error::io(&to))?;
        let half = to.join(".layer");
        let plan =
            Plan::new(&blobs, limits, progress).map_err(|e| disk::refused(&blobs, &half, e))?;
        let file = File::create(&half).map_err(Error::io(&half))?;
        let mut tar = Hashing { inner: BufWriter::new(file), hash: Sha256::new(), length: 0 };
        plan.write(&blobs, &mut tar, progress).map_err(|e| disk::refused(&blobs, &half, e))?;
        let (digest, length) = tar.finish().map_err(Error::io(&half))?;
        fs::rename(&half, to.join(digest.hex())).map_err(Error::io(&half))?;
        let write = |bytes: &[u8]| -> Result<Digest> {
            let digest = Digest::of(bytes);
            let path = to.join(digest.hex());
            fs::write(&path, bytes).map_err(Error::io(&path))?;
            Ok(digest)
        };
        let documents = || -> std::result::Result<_, oci_spec::OciSpecError> {
            Ok(serde_json::to_vec(&config(&image.config, &digest))?)
        };
        let config = documents().map_err(|e| wrong(image, e))?;
        let config_digest = write(&config)?;
        let described = descriptors(&config_digest, config.len(), &digest, length);
        let manifest = described.map_err(|e| wrong(image, e))?;
        let manifest_digest = write(&manifest)?;
        let index = index(&manifest_digest, manifest.len()).map_err(|e| wrong(image, e))?;
        for (name, bytes) in [("oci-layout", LAYOUT), ("index.json", &index)] {
            let path = dir.join(name);
            fs::write(&path, bytes).map_err(Error::io(&path))?;
        }
        Ok(true)
    }
}

fn wrong(image: &Image, e: oci_spec::OciSpecError) -> Error {
    Error::Document { digest: image.digest, why: e.to_string() }
}

/// The image's configuration with the one layer.
fn config(of: &ImageConfiguration, layer: &Digest) -> ImageConfiguration {
    let mut config = of.clone();
    let mut root = RootFs::default();
    root.set_diff_ids(vec![layer.to_string()]);
    config.set_rootfs(root);
    config.set_history(None::<Vec<History>>);
    config
}

type Built = std::result::Result<Vec<u8>, oci_spec::OciSpecError>;

fn descriptors(config: &Digest, config_length: usize, layer: &Digest, length: u64) -> Built {
    let config = descriptor(MediaType::ImageConfig, config, config_length as u64)?;
    let layer = descriptor(MediaType::ImageLayer, layer, length)?;
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(vec![layer])
        .build()?;
    Ok(serde_json::to_vec(&manifest)?)
}

fn index(manifest: &Digest, length: usize) -> Built {
    let manifest = descriptor(MediaType::ImageManifest, manifest, length as u64)?;
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .manifests(vec![manifest])
        .build()?;
    Ok(serde_json::to_vec(&index)?)
}

fn descriptor(
    media: MediaType,
    digest: &Digest,
    length: u64,
) -> std::result::Result<Descriptor, oci_spec::OciSpecError> {
    let digest: oci_spec::image::Digest = digest.to_string().parse()?;
    Ok(Descriptor::new(media, length, digest))
}

/// Counts and digests what passes.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    length: u64,
}

impl Hashing<BufWriter<File>> {
    fn finish(mut self) -> io::Result<(Digest, u64)> {
        self.inner.flush()?;
        Ok((Digest::from(self.hash), self.length))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.length += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
